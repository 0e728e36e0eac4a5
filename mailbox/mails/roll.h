/* SPDX-License-Identifier: ISC */
/*
 * The messages of a view, in the order of their UIDs, in pages that views of
 * one mailbox share: who changes a message of a shared page gets a copy of
 * it first. So many idle sessions on a large mailbox hold its list once.
 * Nothing here waits.
 */
#ifndef PNEU_MAILBOX_MAILS_ROLL_H
#define PNEU_MAILBOX_MAILS_ROLL_H

#include <stdbool.h>
#include <stdint.h>

struct entry {
	uint32_t uid;
	uint8_t system; /* enum mails_flag */
	bool gone : 1;  /* expunged, and the client does not know */
	bool tell : 1;  /* flags have changed, the client does not know */
	bool seen : 1;  /* in a comparison of all rows */
	bool stale : 1;
	uint64_t keywords;
	uint64_t modseq;
};

#define ROLL_PAGE 1024u /* messages */

struct roll_page {
	uint32_t refs, n, cap;
	struct entry v[];
};

/* Zero-initialise. */
struct roll {
	struct roll_page **pages;
	uint32_t *before; /* messages in the pages before each */
	uint32_t n_pages, cap;
	uint32_t n; /* messages */
};

void roll_clear(struct roll *r);
/* `to` is empty before. 0 or -ENOMEM. */
int roll_share(struct roll *to, const struct roll *from);
/* Message i, 0 .. n - 1. */
const struct entry *roll_at(const struct roll *r, uint32_t i);
/* The same, to be changed (not its UID). NULL: no memory. */
struct entry *roll_edit(struct roll *r, uint32_t i);
/* Its UID is greater than all before. 0 or -ENOMEM. */
int roll_append(struct roll *r, const struct entry *e);
/* How many have a UID of at most `uid`. */
uint32_t roll_find(const struct roll *r, uint32_t uid);
/* Keep the first n. */
void roll_truncate(struct roll *r, uint32_t n);
/* Take out those that are gone, each told before, with its place (0 ..) at
 * that moment. Only pages of one's own have such. */
void roll_remove_gone(struct roll *r,
    void (*tell)(void *arg, uint32_t i, const struct entry *e), void *arg);

#endif
