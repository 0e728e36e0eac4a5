/* SPDX-License-Identifier: ISC */
/*
 * SEARCH (RFC 3501 6.4.4, 4731, 5032, 7162 3.1.5): the program that the
 * client's keys make, and its run over a mailbox. Strings match as substrings
 * by i;unicode-casemap, in decoded text.
 */
#ifndef PNEU_MAILBOX_IMAP_SEARCH_H
#define PNEU_MAILBOX_IMAP_SEARCH_H

#include "mailbox/imap/imap_parser.h"
#include "mailbox/imap/imap_set.h"
#include "mailbox/mails/mails.h"

#define IMAP_SEARCH_DEPTH 50 /* keys inside keys */
#define IMAP_SEARCH_TEXTS 64 /* BODY and TEXT keys */

enum imap_key_kind {
	/* what the view knows */
	IMAP_KEY_ALL,
	IMAP_KEY_SEQS,
	IMAP_KEY_UIDS,
	IMAP_KEY_FLAG, /* all of `flags` are set */
	IMAP_KEY_KEYWORD,
	IMAP_KEY_RECENT,
	IMAP_KEY_MODSEQ,
	/* what its row knows */
	IMAP_KEY_BEFORE,
	IMAP_KEY_ON,
	IMAP_KEY_SINCE,
	IMAP_KEY_OLDER,
	IMAP_KEY_YOUNGER,
	IMAP_KEY_LARGER,
	IMAP_KEY_SMALLER,
	/* what its summary knows */
	IMAP_KEY_SENTBEFORE,
	IMAP_KEY_SENTON,
	IMAP_KEY_SENTSINCE,
	IMAP_KEY_SUBJECT,
	IMAP_KEY_FROM,
	IMAP_KEY_TO,
	IMAP_KEY_CC,
	IMAP_KEY_BCC,
	/* what has to be read */
	IMAP_KEY_HEADER,
	IMAP_KEY_BODY,
	IMAP_KEY_TEXT,
	/* of other keys */
	IMAP_KEY_AND, /* children: all */
	IMAP_KEY_OR,  /* children: one of two */
	IMAP_KEY_NOT, /* child: not */
};

struct imap_key {
	enum imap_key_kind kind;
	struct imap_key *next;  /* the next child of the same key */
	struct imap_key *child; /* first of them */
	unsigned cost; /* 0 view .. 4 body; of others that of the dearest */
	struct imap_set set;
	uint32_t flags;
	uint64_t number; /* size, MODSEQ, seconds; of KEYWORD its bits */
	int64_t day;
	struct slice name;   /* HEADER's field, KEYWORD's name */
	struct slice needle; /* mapped by casemap_put */
	unsigned text;       /* BODY, TEXT: index among those */
};

enum imap_search_return {
	IMAP_RETURN_MIN = 1,
	IMAP_RETURN_MAX = 2,
	IMAP_RETURN_ALL = 4,
	IMAP_RETURN_COUNT = 8,
};

struct imap_search {
	struct imap_key *root;
	bool extended;    /* RETURN: answer by ESEARCH */
	unsigned returns; /* enum imap_search_return */
	bool bad_charset;
	bool has_modseq;
	struct imap_key *texts[IMAP_SEARCH_TEXTS];
	unsigned n_texts;
};

/* What follows "SEARCH SP". Cheap keys come first in what it makes. As the
 * parser. */
int imap_search_parse(struct imap_parser *p, struct imap_search *out);

/*
 * Before the run: sets are resolved, keywords looked up. -ERANGE: a sequence
 * number beyond the mailbox.
 */
int imap_search_prepare(struct imap_search *q, const struct mails_view *v);

/*
 * By the index: messages that may match, bit seq - 1 of words of 64; to be
 * freed. NULL: all may.
 */
uint64_t *
imap_search_candidates(const struct imap_search *q, struct mails_view *v);

struct imap_search_run;
/* -ENOMEM, or 0. */
int imap_search_run_new(struct imap_search_run **out,
    const struct imap_search *q, struct mails_view *v);
void imap_search_run_free(struct imap_search_run **r);
/* Does the message match? 1, 0, -ENOENT (expunged meanwhile), or another error
 * of Mails. */
int imap_search_test(struct imap_search_run *r, uint32_t seq);

#endif
