/* SPDX-License-Identifier: ISC */
/*
 * What the query of a list asks for, as the tree that SEARCH has: the same
 * texts, the same index, the same exact answer (docs/search.md).
 */
#include <errno.h>

#include "common/mail/casemap.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/imap/imap_search.h"

#define NEEDLE_MAX ((size_t)1000)

static const struct {
	const char *name;
	enum imap_key_kind kind;
	unsigned cost; /* as imap_search_parse has it */
} texts[] = {
	{ "q", IMAP_KEY_TEXT, 4 },
	{ "body", IMAP_KEY_BODY, 4 },
	{ "from", IMAP_KEY_FROM, 2 },
	{ "to", IMAP_KEY_TO, 2 },
	{ "cc", IMAP_KEY_CC, 2 },
	{ "subject", IMAP_KEY_SUBJECT, 2 },
};

static const struct {
	const char *name;
	uint32_t flag;
	bool not ;
} flags[] = {
	{ "seen", MAILS_SEEN, false },
	{ "flagged", MAILS_FLAGGED_FLAG, false },
	{ "answered", MAILS_ANSWERED, false },
	{ "draft", MAILS_DRAFT, false },
};

struct builder {
	struct api_call *c;
	struct imap_search *q;
	struct imap_key *all;
};

static int
bad(struct api_call *c, const char *name, const char *want)
{
	char text[128];

	snprintf(text, sizeof(text), "%s must be %s", name, want);
	api_problem(c, "bad-value", text);
	return API_REPLIED;
}

static int
query(struct api_call *c, const char *name, struct slice *out)
{
	if (!http_head_query(&c->x->head, name, out) ||
	    (out->p != NULL && !utf8_is_valid(*out)))
		return bad(c, name, "UTF-8 in %XX");
	return 0;
}

/* Cheap keys stand before dear ones. */
static struct imap_key *
add_key(struct builder *b, enum imap_key_kind kind, unsigned cost)
{
	struct imap_key *k = arena_alloc(b->c->a, sizeof(*k));
	struct imap_key **at = &b->all->child;

	if (k == NULL)
		return NULL;
	k->kind = kind;
	k->cost = cost;
	while (*at != NULL && (*at)->cost <= cost)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
	return k;
}

static int
add_text(struct builder *b, size_t i)
{
	struct buf mapped = BUF_INIT_MAX(36 * NEEDLE_MAX);
	struct imap_key *k;
	struct slice text;
	int rc = query(b->c, texts[i].name, &text);

	if (rc != 0 || text.n == 0)
		return rc;
	if (text.n > NEEDLE_MAX)
		return bad(b->c, texts[i].name, "shorter");
	if ((k = add_key(b, texts[i].kind, texts[i].cost)) == NULL)
		return -ENOMEM;
	casemap_put(&mapped, text);
	k->needle = arena_dup(b->c->a, buf_slice(&mapped));
	buf_clear(&mapped);
	if (k->needle.p == NULL)
		return -ENOMEM;
	if (k->kind == IMAP_KEY_TEXT || k->kind == IMAP_KEY_BODY) {
		k->text = b->q->n_texts;
		b->q->texts[b->q->n_texts++] = k;
	}
	return 0;
}

static int
add_flag(struct builder *b, size_t i)
{
	struct imap_key *k, *not ;
	struct slice text;
	int rc = query(b->c, flags[i].name, &text);

	if (rc != 0 || text.p == NULL)
		return rc;
	if (!slice_eq_str(text, "true") && !slice_eq_str(text, "false"))
		return bad(b->c, flags[i].name, "true or false");
	if (slice_eq_str(text, "true")) {
		k = add_key(b, IMAP_KEY_FLAG, 0);
	} else {
		not = add_key(b, IMAP_KEY_NOT, 0);
		k = arena_alloc(b->c->a, sizeof(*k));
		if (not == NULL || k == NULL)
			return -ENOMEM;
		k->kind = IMAP_KEY_FLAG;
		not ->child = k;
	}
	if (k == NULL)
		return -ENOMEM;
	k->flags = flags[i].flag;
	return 0;
}

/* "2026-11-20": by the day it was received. */
static int
add_day(struct builder *b, const char *name, enum imap_key_kind kind)
{
	struct imap_key *k;
	struct slice text;
	struct date d;
	int rc = query(b->c, name, &text);

	if (rc != 0 || text.n == 0)
		return rc;
	if (text.n != 10 || date_parse(text, &d) != 0)
		return bad(b->c, name, "a day as 2026-11-20");
	if ((k = add_key(b, kind, 1)) == NULL)
		return -ENOMEM;
	k->day = date_day(d);
	return 0;
}

static int
add_keyword(struct builder *b)
{
	struct imap_key *k;
	struct slice text;
	int rc = query(b->c, "keyword", &text);

	if (rc != 0 || text.n == 0)
		return rc;
	if ((k = add_key(b, IMAP_KEY_KEYWORD, 0)) == NULL)
		return -ENOMEM;
	k->name = text;
	return 0;
}

int
api_search_parse(struct api_call *c, const struct mails_view *v,
    struct imap_search *q, bool *any)
{
	struct builder b = { .c = c, .q = q };
	int rc = 0;

	*q = (struct imap_search){ .returns = 0 };
	b.all = q->root = arena_alloc(c->a, sizeof(*b.all));
	if (b.all == NULL)
		return -ENOMEM;
	b.all->kind = IMAP_KEY_AND;
	for (size_t i = 0; rc == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
		rc = add_text(&b, i);
	for (size_t i = 0; rc == 0 && i < sizeof(flags) / sizeof(flags[0]); i++)
		rc = add_flag(&b, i);
	if (rc == 0)
		rc = add_day(&b, "since", IMAP_KEY_SINCE);
	if (rc == 0)
		rc = add_day(&b, "before", IMAP_KEY_BEFORE);
	if (rc == 0)
		rc = add_keyword(&b);
	*any = b.all->child != NULL;
	if (rc == 0 && *any)
		rc = imap_search_prepare(q, v);
	return rc;
}
