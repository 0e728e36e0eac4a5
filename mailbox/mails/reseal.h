/* SPDX-License-Identifier: ISC */
/*
 * Mail that is there already, sealed (or not) as mail of its account is now:
 * each message that is otherwise becomes another blob with another key, and its
 * row changes in one batch. Clients read, deliver and delete meanwhile; a crash
 * leaves each message as it was or as it is to be, and the next call goes on.
 */
#ifndef PNEU_MAILBOX_MAILS_RESEAL_H
#define PNEU_MAILBOX_MAILS_RESEAL_H

#include "mailbox/mails/mails.h"

struct mails_resealed {
	uint64_t messages; /* seen, with those that are kept */
	uint64_t done;     /* of them made anew */
	uint64_t octets;   /* of those */
	uint64_t locked;   /* sealed with what is not here: left as they are */
	uint64_t failed;   /* that cannot be read: left as they are */
};
/* How mail of the account is sealed now. 0 or an error of mails_conf.sealing. */
int mails_sealing_of(
    struct mails *m, const char *account, enum mails_sealing *how);
/*
 * `k`: the account's private key, or NULL: only for what is sealed to the
 * account and is not to be any more. `progress` (or NULL) after each message.
 * -EBUSY: another process is at it.
 */
int mails_reseal(struct mails *m, const char *account, struct seal_key *k,
    void (*progress)(void *arg), void *arg, struct mails_resealed *out);

#endif
