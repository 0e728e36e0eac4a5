/* SPDX-License-Identifier: ISC */
/*
 * The log: one line per event on standard error, `key=value`, where journald,
 * s6-log or a file picks it up.
 *
 *	mta: rcpt rejected conn=9F2.. id=01J.. rcpt=<a@b.example> code=550
 *
 * error   someone must act          warning  we coped
 * info    one per connection, transaction, delivery      debug  the rest
 *
 * What a peer sent goes through log_q (escaped, truncated). Passwords, tokens
 * and bodies never come here.
 */
#ifndef PNEU_BASE_LOG_H
#define PNEU_BASE_LOG_H

#include "common/base/slice.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

/* `program` is kept, not copied. */
void log_open(const char *program, enum log_level level);
void log_set_level(enum log_level level);
enum log_level log_level(void);

void log_error(const char *event, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_warning(const char *event, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_info(const char *event, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void log_debug(const char *event, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Peer text made safe for a log line: everything but printable ASCII and
 * well-formed UTF-8 as \xNN, quote and backslash escaped, cut at 256 octets
 * with "...". The result lives in one of 8 buffers used in turn, so it is good
 * for the log call that it stands in.
 */
const char *log_q(struct slice s);
const char *log_qs(const char *s); /* of a C string; NULL prints "-" */

/*
 * What stands in every line of the running session ("conn=.. id=.."): asked
 * from the coroutine layer, which registers itself here. NULL: nothing.
 */
void log_set_context(const char *(*context)(void));

#endif
