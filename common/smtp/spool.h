/* SPDX-License-Identifier: ISC */
/*
 * A message body on its way: in memory up to 256 KiB (less when the process is
 * short of it, memory.h), in an unlinked file of the spool folder beyond. Octets
 * are those of the message (no dot-stuffing), lines end with CRLF. For one
 * coroutine at a time: who sends a spool to several places at once makes them
 * wait for each other.
 */
#ifndef PNEU_SMTP_SPOOL_H
#define PNEU_SMTP_SPOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

struct spool;

/* `dir`: where a file goes if one is needed; kept, not copied. */
int spool_new(struct spool **out, const char *dir);
void spool_free(struct spool **s);
/* 0, -ENOSPC, -EIO, -ENOMEM; the spool is then good for spool_free only. */
int spool_write(struct spool *s, struct slice octets);
uint64_t spool_size(const struct spool *s);
/* Up to n octets from `at`; *got < n only at the end. 0 or -EIO. */
int spool_read(struct spool *s, uint64_t at, void *p, size_t n, size_t *got);
/*
 * The octets from `at` that are at hand, without a copy where possible: at
 * least one unless `at` is the end, then none. How to walk a whole message.
 * Valid until the next spool call. 0, -EIO or -ENOMEM.
 */
int spool_view(struct spool *s, uint64_t at, struct slice *out);
/* The first octets (at most 64 KiB, fewer if the message is shorter) without
 * a copy where possible; for the header. Valid until the next spool call. */
int spool_head(struct spool *s, size_t n, struct slice *out);
/* Whether any octet is over 127; kept while writing. */
bool spool_is_8bit(const struct spool *s);

#endif
