/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_special.h"

#include "mailbox/mails/mails.h"

const struct imap_special imap_specials[] = {
	{ MAILS_ALL, "\\All" },
	{ MAILS_ARCHIVE, "\\Archive" },
	{ MAILS_DRAFTS, "\\Drafts" },
	{ MAILS_FLAGGED, "\\Flagged" },
	{ MAILS_IMPORTANT, "\\Important" },
	{ MAILS_JUNK, "\\Junk" },
	{ MAILS_SENT, "\\Sent" },
	{ MAILS_TRASH, "\\Trash" },
	{ 0, NULL },
};

unsigned
imap_special_of(struct slice name)
{
	for (const struct imap_special *s = imap_specials; s->name != NULL; s++)
		if (slice_eq_str_nocase(name, s->name))
			return s->attr;
	return 0;
}
