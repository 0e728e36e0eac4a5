/* SPDX-License-Identifier: ISC */
/* Special uses of mailboxes (RFC 6154 2, RFC 8457). */
#ifndef PNEU_MAILBOX_IMAP_SPECIAL_H
#define PNEU_MAILBOX_IMAP_SPECIAL_H

#include "common/base/slice.h"

struct imap_special {
	unsigned attr; /* enum mails_attr */
	const char *name;
};
/* All of them; ends with a NULL name. */
extern const struct imap_special imap_specials[];

/* "\Sent" as an enum mails_attr; 0: not a special use. */
unsigned imap_special_of(struct slice name);

#endif
