/* SPDX-License-Identifier: ISC */
/*
 * What pneu-gateway asks to keep an outside account and what is here alike,
 * on Unix sockets only (XMIRROR of LHLO stands for all four). Names of
 * mailboxes are xtext.
 *
 *   XBOXES <account> [after]
 *     250-more|end print     of all names: pages with another one are of another
 *                            list; 451 4.3.0: they change just now
 *     250-uidvalidity uidnext highestmodseq messages use|- name in base64
 *
 *   XCHANGES <account> uidvalidity;uid;modseq;modseq_uid;name
 *     250-more|end uidvalidity uid modseq modseq_uid     where to go on
 *     250-k keyword                      bit 0, 1, ... of the lines below
 *     250-+ uid print system keywords    is there; the last three hexadecimal
 *     250-- uid                          is not
 *   552 5.5.4 uidvalidity uid modseq modseq_uid: what went since that cursor
 *   is not known; all is, from this one on. 550 5.1.1: no such mailbox.
 *
 *   XAPPLY <account> add|remove|gone;uidvalidity;uids;name;flags
 *     flags: xtext, each followed by a space. What is not there any more is
 *     passed over. 250; "250 2.0.0 some" where a keyword found no room.
 *   XAPPLY <account> move;uidvalidity;uids;name;target
 *     250-uidvalidity of the target; or "250 2.0.0 done", none was there
 *     250-UID in the mailbox, and UID in the target
 *
 *   XBOX <account> make;use|-;name
 *     250 uidvalidity, of the one that is there or was made (and subscribed to)
 *   XBOX <account> rename;uidvalidity;name;to
 *     With all below it; a mailbox is the same by its UIDVALIDITY, which it keeps
 *   XBOX <account> delete;uidvalidity;uidnext;highestmodseq;name
 *     If it stands so still
 *     250; 550 5.1.1: it is not there (any more); 553: it cannot be
 */
#ifndef PNEU_MAILBOX_LMTP_MIRROR_H
#define PNEU_MAILBOX_LMTP_MIRROR_H

#include "common/auth/accounts.h"
#include "common/smtp/server.h"
#include "mailbox/mails/mails.h"

/* As smtp_handler.command; -ENOSYS for other verbs. */
int mirror_command(struct mails *m, struct accounts *accounts,
    struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply);

#endif
