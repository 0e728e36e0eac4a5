/* SPDX-License-Identifier: ISC */
/* What a FETCH asks for (RFC 3501 6.4.5), and the answer to it. */
#ifndef PNEU_MAILBOX_IMAP_FETCH_H
#define PNEU_MAILBOX_IMAP_FETCH_H

#include "mailbox/imap/imap_section.h"
#include "mailbox/imap/imap_session.h"
#include "mailbox/imap/imap_set.h"

enum imap_fetch_item {
	IMAP_FETCH_UID = 1,
	IMAP_FETCH_FLAGS = 2,
	IMAP_FETCH_INTERNALDATE = 4,
	IMAP_FETCH_SIZE = 8,
	IMAP_FETCH_MODSEQ = 16,
	IMAP_FETCH_ENVELOPE = 32,
	IMAP_FETCH_BODY = 64,
	IMAP_FETCH_BODYSTRUCTURE = 128,
};

struct imap_fetch {
	struct imap_set set;
	unsigned items;
	struct imap_section *sections; /* in the order asked for */
	bool sets_seen;
	bool changed_only; /* CHANGEDSINCE (RFC 7162 3.1.4.1) */
	uint64_t changed_since;
	/* What became of it: */
	bool gone;  /* some messages were expunged meanwhile */
	int failed; /* some could not be read: the last error */
};

/*
 * Send the answers. Messages that cannot be read are left out and noted. 0, or
 * an error of the connection.
 */
int imap_fetch_run(struct imap_session *s, struct imap_fetch *f);

/* One section of a message of s->view, as an nstring. 0, an error of the
 * connection, or one of reading, and then nothing was written. */
int imap_fetch_section(struct imap_session *s, uint32_t seq,
    const struct imap_section *section);

#endif
