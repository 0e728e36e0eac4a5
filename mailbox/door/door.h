/* SPDX-License-Identifier: ISC */
/*
 * The two-way door: mail comes in from Maildir, mbox, tar and other IMAP
 * servers, and goes out as Maildir, mbox and tar, with flags, keywords, dates
 * and folders. What the files of the door share.
 *
 * A reader of a format tells `take` (take.h) of mailboxes and messages; `give`
 * (give.h) tells a writer of a format. Everything streams: memory is bounded
 * but for some 16 to 40 octets for each message of a mailbox.
 */
#ifndef PNEU_MAILBOX_DOOR_H
#define PNEU_MAILBOX_DOOR_H

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "mailbox/mails/mails.h"

#define DOOR_CHUNK ((size_t)64 << 10)

/* What is known of a message besides its octets. */
struct door_meta {
	bool quiet;           /* nobody is to be told that it came */
	uint32_t flags;       /* enum mails_flag */
	int64_t internaldate; /* seconds; INT64_MIN: not known */
	size_t n_keywords;
	const char *keywords[MAILS_KEYWORDS_MAX + 1]; /* ends with NULL */
};

/*
 * Add a keyword: true, also when it was there; false when it cannot be one
 * (RFC 3501 flag-keyword), when there are too many, or memory is out.
 */
bool door_keyword_add(struct door_meta *m, struct arena *a, struct slice name);
/* By octets, so that what is written does not depend on who was first. */
void door_keywords_sort(struct door_meta *m);

/* Is the mailbox in the list, which ends with NULL (NULL: nothing is)? INBOX in
 * any spelling. */
bool door_is_listed(const char *const *list, struct slice mailbox);

/* --- what a message is known by --- */

#define DOOR_KEY 17 /* octets: a small letter, and half a SHA-256 */
struct door_key {
	char octets[DOOR_KEY];
};
static inline struct slice
door_key_slice(const struct door_key *k)
{
	return slice(k->octets, sizeof(k->octets));
}
/* Of n parts; `kind` is a small letter (MAILS_KEY: such keys stay). */
void door_key_make(
    struct door_key *k, char kind, const struct slice *parts, size_t n);
/* 64 bits of the same. */
uint64_t door_fingerprint(const struct slice *parts, size_t n);

/* SHA-256 in pieces. */
struct door_digest;
int door_digest_new(struct door_digest **out);
void door_digest_put(struct door_digest *d, struct slice octets);
void door_digest_end(struct door_digest *d, unsigned char out[static 32]);
void door_digest_free(struct door_digest **d);

/* --- telling what goes on (report.c) --- */

struct door_report {
	const char *what; /* "import" */
	bool dry_run, json, terminal;
	char mailbox[64]; /* the one that is under way */
	uint64_t mailboxes, messages, octets;
	uint64_t known;   /* were here already */
	uint64_t changed; /* of these, with other flags than before */
	uint64_t skipped; /* not mail: left out */
	uint64_t failed;
	uint64_t expected; /* messages in all; 0: not known */
	int64_t begun_ms, told_ms;
	bool line; /* something stands on the terminal's line */
};
void door_report_begin(struct door_report *r, const char *what);
void door_report_mailbox(struct door_report *r, struct slice name);
/* Now and then, when there is somebody to look. */
void door_report_tick(struct door_report *r);
/* One thing that went wrong; the rest goes on. Counts nothing. */
void door_warn(struct door_report *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The summary, on standard output or, where that has the mail, on standard
 * error. 0 or -EIO. */
int door_report_end(struct door_report *r, bool stdout_is_taken);

#endif
