/* SPDX-License-Identifier: ISC */
/*
 * Which names LIST and LSUB give: wildcards (RFC 3501 6.3.8), children
 * (RFC 3348), selection and return options (RFC 5258). No I/O here.
 */
#ifndef PNEU_MAILBOX_IMAP_LIST_H
#define PNEU_MAILBOX_IMAP_LIST_H

#include "common/base/arena.h"
#include "common/base/slice.h"
#include "mailbox/mails/mails.h"

/*
 * Does the name match? "*" is anything, "%" anything without the separator;
 * INBOX in any case. Linear in name and pattern, whatever the pattern.
 */
bool imap_list_match(struct slice pattern, struct slice name);

enum imap_list_option {
	/* selection: only names that are or have ... */
	IMAP_LIST_SUBSCRIBED = 1,
	IMAP_LIST_SPECIAL = 2,
	/* parents of selected names that are not themselves */
	IMAP_LIST_RECURSIVE = 4,
	/* in the answer */
	IMAP_LIST_RETURN_SUBSCRIBED = 8,
	/* LSUB: parents of subscribed names for "%", as \Noselect */
	IMAP_LIST_LSUB = 16,
};

/* One line of the answer. */
struct imap_list_entry {
	struct slice name; /* UTF-8 */
	struct slice utf7;
	unsigned attrs; /* enum mails_attr, those that are to be shown */
	bool exists;    /* id is not 0: STATUS can be asked for */
	bool nonexistent, has_children, child_info;
};

/*
 * The names of `all` (mails_list) that match one of the patterns and the
 * options, in order. -ENOMEM, or 0.
 */
int imap_list_select(struct arena *a, const struct mails_info *all, size_t n,
    const struct slice *patterns, size_t n_patterns, unsigned options,
    struct imap_list_entry **out, size_t *n_out);

#endif
