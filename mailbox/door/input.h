/* SPDX-License-Identifier: ISC */
/*
 * A stream to be read: a file or a pipe, in pieces of at most INPUT_MAX. What
 * stands far ahead can be looked at too (mbox: is there a message where
 * Content-Length says?); a pipe is then read on into an unlinked file.
 */
#ifndef PNEU_MAILBOX_DOOR_INPUT_H
#define PNEU_MAILBOX_DOOR_INPUT_H

#include "common/base/slice.h"

#define INPUT_MAX ((size_t)64 << 10)

struct input;

/* Up to n octets at p; 0 at the end, or -errno. */
typedef ssize_t input_read_fn(void *arg, void *p, size_t n);

/* `dir`: where a file goes if one is needed; kept, not copied. The descriptor
 * stays the caller's. 0 or -ENOMEM. */
int input_new(struct input **out, int fd, const char *dir);
int
input_new_fn(struct input **out, input_read_fn *fn, void *arg, const char *dir);
void input_free(struct input **in);

/* Show what comes next: at least n (<= INPUT_MAX) octets, fewer only at the
 * end. Valid until the next call. 0 or -errno, which is sticky. */
int input_peek(struct input *in, size_t n, struct slice *out);
/* Go past n of the octets that were shown. */
void input_consume(struct input *in, size_t n);
/* Up to the next LF, and with it; or INPUT_MAX octets of a longer line. Empty:
 * the end. */
int input_line(struct input *in, struct slice *out);
/* Up to n octets that stand `at` octets ahead; *got < n only at the end. */
int input_ahead(struct input *in, uint64_t at, void *p, size_t n, size_t *got);
/* Octets gone past since the beginning. */
uint64_t input_consumed(const struct input *in);

/* An unlinked file in `dir`, or -errno. */
int door_tempfile(const char *dir);

#endif
