/* SPDX-License-Identifier: ISC */
/*
 * Looking after Mails: is everything there that rows say is there, and what is
 * there that nothing speaks of any more (a crash leaves such things: a blob
 * without a row, a ref without a row, a mailbox without a name).
 */
#ifndef PNEU_MAILBOX_MAILS_CHECK_H
#define PNEU_MAILBOX_MAILS_CHECK_H

#include "mailbox/mails/mails.h"

/* A fault, as far as its place is known; valid during the call. */
struct mails_fault {
	const char *account; /* or NULL */
	const char *mailbox; /* its name, or NULL */
	uint64_t mailbox_id; /* or 0 */
	uint32_t uid;        /* or 0 */
	const char *what;    /* in plain words */
};
typedef void mails_fault_fn(void *arg, const struct mails_fault *f);

struct mails_checked {
	uint64_t mailboxes, messages, octets; /* as messages' sizes */
};
/*
 * Read everything: rows, sums in headers, blobs of each message, refs, and
 * (`octets`) every checksum of the store. Changes nothing, and may run beside
 * the daemons. A damaged message is one fault for each mailbox it is in. Number
 * of faults, or -errno. What is merely left over is no fault. `out` may be
 * NULL.
 */
int mails_check(struct mails *m, bool octets, mails_fault_fn *fault, void *arg,
    struct mails_checked *out);

struct mails_collected {
	uint64_t blobs, octets; /* without a message */
	uint64_t refs;          /* without a row */
	uint64_t mailboxes;     /* without a name */
};
/*
 * Remove what is left over and older than `age_s`: a day is longer than
 * anything is under way; less only when nobody else has the store open.
 * -EAGAIN: too much was moved meanwhile, try later.
 */
int mails_collect(struct mails *m, int64_t age_s, struct mails_collected *out);

#endif
