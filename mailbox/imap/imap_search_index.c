/* SPDX-License-Identifier: ISC */
/* What the index says of a search: of each text that is looked for, then of
 * the tree. */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/mails/index.h"

struct asked {
	struct slice texts[MAILS_INDEX_NEEDLES];
	uint64_t *may[MAILS_INDEX_NEEDLES];
	size_t n;
};

static bool
is_text_key(const struct imap_key *k)
{
	return k->kind >= IMAP_KEY_SUBJECT && k->kind <= IMAP_KEY_TEXT &&
	    k->needle.n >= MAILS_INDEX_LEAST;
}

/* Which of the texts is the key's; a->n when none is. */
static size_t
text_of(const struct asked *a, const struct imap_key *k)
{
	size_t i = 0;

	while (i < a->n && !slice_eq(a->texts[i], k->needle))
		i++;
	return i;
}

/* Texts that a match needs: not those below NOT. */
static void
collect(struct asked *a, const struct imap_key *k)
{
	if (k->kind == IMAP_KEY_AND || k->kind == IMAP_KEY_OR)
		for (const struct imap_key *c = k->child; c; c = c->next)
			collect(a, c);
	else if (is_text_key(k) && a->n < MAILS_INDEX_NEEDLES &&
	    text_of(a, k) == a->n)
		a->texts[a->n++] = k->needle;
}

/* Of 64 messages, those that may match. As deep as IMAP_SEARCH_DEPTH. */
static uint64_t
may_match(const struct asked *a, const struct imap_key *k, size_t word)
{
	uint64_t may = k->kind == IMAP_KEY_OR ? 0 : UINT64_MAX;
	size_t i;

	if (k->kind == IMAP_KEY_AND)
		for (const struct imap_key *c = k->child; c; c = c->next)
			may &= may_match(a, c, word);
	else if (k->kind == IMAP_KEY_OR)
		for (const struct imap_key *c = k->child; c; c = c->next)
			may |= may_match(a, c, word);
	else if (is_text_key(k) && (i = text_of(a, k)) < a->n)
		may = a->may[i][word];
	return may;
}

uint64_t *
imap_search_candidates(const struct imap_search *q, struct mails_view *v)
{
	size_t words = mails_view_count(v) / 64 + 1;
	struct asked a = { .n = 0 };
	uint64_t *out;
	int rc;

	collect(&a, q->root);
	if (a.n == 0)
		return NULL;
	/* Without the index all are looked at: slower, and as right. */
	if ((rc = mails_index_ask(v, a.texts, a.n, a.may)) != 0)
		log_warning("search index not read",
		    "mailbox=\"%s\" error=\"%s\"", log_qs(mails_view_name(v)),
		    strerror(-rc));
	if (a.may[0] == NULL)
		return NULL;
	if ((out = calloc(words, sizeof(*out))) != NULL)
		for (size_t w = 0; w < words; w++)
			out[w] = may_match(&a, q->root, w);
	free(a.may[0]);
	return out;
}
