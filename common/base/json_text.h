/* SPDX-License-Identifier: ISC */
/*
 * JSON that others wrote. jansson's reader goes down into itself with each
 * level, 2,048 of them, and a coroutine's stack is short: what is nested deeper
 * than anything of ours is turned away before.
 */
#ifndef PNEU_BASE_JSON_TEXT_H
#define PNEU_BASE_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/slice.h"

#define JSON_TEXT_LEVELS 20

bool json_text_is_deep(struct slice text);
/* As json_loadb, NULL too where it is deep. */
json_t *json_text_load(struct slice text, size_t flags);

#endif
