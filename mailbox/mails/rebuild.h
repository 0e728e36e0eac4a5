/* SPDX-License-Identifier: ISC */
/*
 * Rows made again from what is left: from the rows that can be read still, and
 * from the blobs, each of which says where its message was delivered (birth.h).
 */
#ifndef PNEU_MAILBOX_MAILS_REBUILD_H
#define PNEU_MAILBOX_MAILS_REBUILD_H

#include "mailbox/mails/check.h"

#define MAILS_RECOVERED "Recovered" /* the mailbox, and names below it */

struct mails_rebuilt {
	uint64_t messages, octets; /* put back */
	uint64_t mailboxes;        /* mended: header or name was missing */
	uint64_t rows;             /* removed, for they were damaged */
	uint64_t unowned;          /* blobs of before births: not put back */
	uint64_t damaged;          /* blobs that cannot be read */
};

/*
 * Rows that are there stay as they are. A mailbox without a sound header gets
 * one by its rows, and a new UIDVALIDITY; one without a name gets one below
 * "Recovered". A blob that is no message's goes where it was delivered, with
 * the INTERNALDATE and the flags of then, and a new UID. A shared one goes back
 * to accounts that have no part in it as long as it has shares without a row,
 * so what somebody has expunged stays so.
 *
 * Blobs that do not say whose they are go to "Recovered" of the account
 * `recover_to`, or, NULL, stay where they are. `told` hears of mailboxes and of
 * what could not be done. May run beside the daemons. 0, or an error; again is
 * never wrong.
 */
int mails_rebuild(struct mails *m, const char *recover_to, mails_fault_fn *told,
    void *arg, struct mails_rebuilt *out);

#endif
