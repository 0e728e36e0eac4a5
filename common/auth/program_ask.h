/* SPDX-License-Identifier: ISC */
/*
 * Questions to our own running programs, by verbs of their LMTP sockets; the
 * answers are JSON (in the reply's text, base64, so that a line stays a line).
 * On Unix sockets only: who may reach them is one of us.
 */
#ifndef PNEU_AUTH_PROGRAM_ASK_H
#define PNEU_AUTH_PROGRAM_ASK_H

#include <jansson.h>

#include "common/base/conf.h"
#include "common/smtp/smtp.h"

/*
 * Send the line ("XNOTICE STATUS a@b") to the first Unix socket that the setting
 * names. 0 with *out, to be freed; -ENOENT: 550, there is no such thing;
 * -ECONNREFUSED and the like: the program does not run; -EAGAIN, -EPROTO: it
 * says no, with its words in `err`.
 */
int program_ask(const struct conf *conf, const char *setting, const char *line,
    int64_t timeout_ms, json_t **out, struct buf *err);

/* The other side: 250 with this JSON (the reference is taken; NULL is "out of
 * memory"), in the arena. */
void program_answer(struct arena *a, json_t *j, struct smtp_reply *reply);
/* A time in it, ISO 8601; of 0, which is never, null. */
json_t *program_time(int64_t s);

#endif
