/* SPDX-License-Identifier: ISC */
/* Folders of an IMAP account, and the mailboxes here that they are. All calls
 * wait but those that say how something is called. */
#ifndef PNEU_GATEWAY_IMAP_FOLDERS_H
#define PNEU_GATEWAY_IMAP_FOLDERS_H

#include "gateway/here.h"
#include "gateway/imap_session.h"

/* After each list: which of them are known. */
int folders_assign(struct imap_session *s);
/* Are folders made, renamed and deleted? */
bool folders_are_mirrored(const struct imap_session *s);
/* That, at the beginning of a look: then s->folders is as it is now. */
int folders_sync(struct imap_session *s);
/* At its end: what was deleted here, of which now nothing is there, goes. */
int folders_end(struct imap_session *s);
/* It is not mirrored any more: what becomes of mailboxes is nobody's wish. */
int folders_forget(struct imap_session *s);

/* A folder that was looked at and is open: by which message it is known. */
int folders_sample(struct imap_session *s, struct folder *b);

/* The name of its mailbox here; is it the whole name, whatever it is for there? */
bool folders_is_named(const struct imap_session *s, const struct folder *b);
bool folders_put_name(
    const struct imap_session *s, const struct folder *b, struct buf *out);
/* Its mailbox, of these; NULL: there is none (any more). */
struct here_box *folders_box_of(const struct imap_session *s,
    const struct folder *b, struct here_box *boxes, size_t n);
/* The other way round. */
struct folder *folders_of_box(const struct imap_session *s,
    const struct here_box *box, struct here_box *boxes, size_t n);
/* There is none, but something was moved to that mailbox here: made there, if
 * it can be; else *out is NULL. s->cap has room for it. */
int folders_needed(struct imap_session *s, const struct here_box *box,
    struct here_box *boxes, size_t n, struct folder **out);

#endif
