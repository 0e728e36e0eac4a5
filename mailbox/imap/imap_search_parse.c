/* SPDX-License-Identifier: ISC */
/* The keys of SEARCH, to a tree. */
#include <errno.h>

#include "common/mail/casemap.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "mailbox/imap/imap_search.h"

#define NEEDLE_MAX ((size_t)64 << 10)

enum argument {
	NONE,
	STRING,
	FIELD_STRING,
	DATE,
	NUMBER,
	KEYWORD,
	UIDS,
	MODSEQ
};

/* NOT_x is x under a NOT. */
#define NOT_ 0x100

static const struct {
	const char *name;
	unsigned kind; /* enum imap_key_kind, NOT_ */
	enum argument argument;
	uint32_t flags;
} keys[] = {
	{ "ALL", IMAP_KEY_ALL, NONE, 0 },
	{ "ANSWERED", IMAP_KEY_FLAG, NONE, MAILS_ANSWERED },
	{ "BCC", IMAP_KEY_BCC, STRING, 0 },
	{ "BEFORE", IMAP_KEY_BEFORE, DATE, 0 },
	{ "BODY", IMAP_KEY_BODY, STRING, 0 },
	{ "CC", IMAP_KEY_CC, STRING, 0 },
	{ "DELETED", IMAP_KEY_FLAG, NONE, MAILS_DELETED },
	{ "DRAFT", IMAP_KEY_FLAG, NONE, MAILS_DRAFT },
	{ "FLAGGED", IMAP_KEY_FLAG, NONE, MAILS_FLAGGED_FLAG },
	{ "FROM", IMAP_KEY_FROM, STRING, 0 },
	{ "HEADER", IMAP_KEY_HEADER, FIELD_STRING, 0 },
	{ "KEYWORD", IMAP_KEY_KEYWORD, KEYWORD, 0 },
	{ "LARGER", IMAP_KEY_LARGER, NUMBER, 0 },
	{ "MODSEQ", IMAP_KEY_MODSEQ, MODSEQ, 0 },
	{ "OLD", IMAP_KEY_RECENT | NOT_, NONE, 0 },
	{ "OLDER", IMAP_KEY_OLDER, NUMBER, 0 },
	{ "ON", IMAP_KEY_ON, DATE, 0 },
	{ "RECENT", IMAP_KEY_RECENT, NONE, 0 },
	{ "SEEN", IMAP_KEY_FLAG, NONE, MAILS_SEEN },
	{ "SENTBEFORE", IMAP_KEY_SENTBEFORE, DATE, 0 },
	{ "SENTON", IMAP_KEY_SENTON, DATE, 0 },
	{ "SENTSINCE", IMAP_KEY_SENTSINCE, DATE, 0 },
	{ "SINCE", IMAP_KEY_SINCE, DATE, 0 },
	{ "SMALLER", IMAP_KEY_SMALLER, NUMBER, 0 },
	{ "SUBJECT", IMAP_KEY_SUBJECT, STRING, 0 },
	{ "TEXT", IMAP_KEY_TEXT, STRING, 0 },
	{ "TO", IMAP_KEY_TO, STRING, 0 },
	{ "UID", IMAP_KEY_UIDS, UIDS, 0 },
	{ "UNANSWERED", IMAP_KEY_FLAG | NOT_, NONE, MAILS_ANSWERED },
	{ "UNDELETED", IMAP_KEY_FLAG | NOT_, NONE, MAILS_DELETED },
	{ "UNDRAFT", IMAP_KEY_FLAG | NOT_, NONE, MAILS_DRAFT },
	{ "UNFLAGGED", IMAP_KEY_FLAG | NOT_, NONE, MAILS_FLAGGED_FLAG },
	{ "UNKEYWORD", IMAP_KEY_KEYWORD | NOT_, KEYWORD, 0 },
	{ "UNSEEN", IMAP_KEY_FLAG | NOT_, NONE, MAILS_SEEN },
	{ "YOUNGER", IMAP_KEY_YOUNGER, NUMBER, 0 },
};

static unsigned
cost_of(enum imap_key_kind kind)
{
	return kind < IMAP_KEY_BEFORE    ? 0
	    : kind < IMAP_KEY_SENTBEFORE ? 1
	    : kind < IMAP_KEY_HEADER     ? 2
	    : kind == IMAP_KEY_HEADER    ? 3
	    : kind <= IMAP_KEY_TEXT      ? 4
					 : 0;
}

static struct imap_key *
key_new(struct imap_parser *p, enum imap_key_kind kind)
{
	struct imap_key *k = arena_alloc(p->a, sizeof(*k));

	if (k != NULL) {
		k->kind = kind;
		k->cost = cost_of(kind);
	}
	return k;
}

/* A child stands before its dearer brothers, so that they may never be
 * asked. */
static void
key_adopt(struct imap_key *parent, struct imap_key *child)
{
	struct imap_key **at = &parent->child;

	while (*at != NULL && (*at)->cost <= child->cost)
		at = &(*at)->next;
	child->next = *at;
	*at = child;
	if (child->cost > parent->cost)
		parent->cost = child->cost;
}

static int
key_negate(struct imap_parser *p, struct imap_key **k)
{
	struct imap_key *not = key_new(p, IMAP_KEY_NOT);

	if (not == NULL)
		return -ENOMEM;
	key_adopt(not, *k);
	*k = not ;
	return 0;
}

/* --- arguments --- */

static int
parse_needle(struct imap_parser *p, struct imap_key *k)
{
	struct buf mapped = BUF_INIT_MAX(36 * NEEDLE_MAX);
	struct slice text;
	int rc;

	if ((rc = imap_parse_astring(p, &text)) != 0)
		return rc;
	if (!utf8_is_valid(text))
		return imap_parser_bad(p, "String is not in the charset");
	casemap_put(&mapped, text);
	k->needle = mapped.failed ? slice(NULL, 0)
				  : arena_dup(p->a, buf_slice(&mapped));
	buf_clear(&mapped);
	return k->needle.p == NULL ? -ENOMEM : 0;
}

static int
parse_date(struct imap_parser *p, struct imap_key *k)
{
	struct slice text;
	int rc;

	if ((rc = imap_parse_astring(p, &text)) != 0)
		return rc;
	if (date_parse_imap_day(text, &k->day) != 0)
		return imap_parser_bad(p, "Invalid date");
	return 0;
}

static int
parse_set(struct imap_parser *p, struct imap_key *k)
{
	struct slice token;
	int rc;

	if ((rc = imap_parse_set_token(p, &token)) != 0)
		return rc;
	if ((rc = imap_set_parse(p->a, token, &k->set)) == -EINVAL)
		return imap_parser_bad(p, "Invalid message set");
	return rc;
}

/* ["/flags/x" SP ("priv" / "shared" / "all") SP] n: one MODSEQ stands for all
 * of a message's data here, so the entry is ignored (RFC 7162 3.1.5). */
static int
parse_modseq(struct imap_parser *p, struct imap_search *q, struct imap_key *k)
{
	struct slice entry;
	int rc;

	q->has_modseq = true;
	if (imap_peek(p) == '"') {
		if ((rc = imap_parse_string(p, &entry)) != 0 ||
		    (rc = imap_parse_sp(p)) != 0)
			return rc;
		if (!imap_accept_word(p, "priv") &&
		    !imap_accept_word(p, "shared") &&
		    !imap_accept_word(p, "all"))
			return imap_parser_bad(p, "Invalid entry type");
		if ((rc = imap_parse_sp(p)) != 0)
			return rc;
	}
	return imap_parse_u64(p, &k->number);
}

static int
parse_argument(struct imap_parser *p, struct imap_search *q,
    enum argument argument, struct imap_key *k)
{
	int rc;

	if (argument == NONE)
		return 0;
	if ((rc = imap_parse_sp(p)) != 0)
		return rc;
	switch (argument) {
	case DATE:
		return parse_date(p, k);
	case NUMBER:
		return imap_parse_u64(p, &k->number);
	case KEYWORD:
		return imap_parse_atom(p, &k->name);
	case UIDS:
		return parse_set(p, k);
	case MODSEQ:
		return parse_modseq(p, q, k);
	case FIELD_STRING:
		if ((rc = imap_parse_astring(p, &k->name)) != 0 ||
		    (rc = imap_parse_sp(p)) != 0)
			return rc;
		return parse_needle(p, k);
	default:
		return parse_needle(p, k);
	}
}

/* --- keys --- */

static int parse_key(struct imap_parser *p, struct imap_search *q,
    unsigned depth, struct imap_key **out);

/* The keys of a list, joined by AND, up to where no SP follows. */
static int
parse_keys(struct imap_parser *p, struct imap_search *q, unsigned depth,
    struct imap_key **out)
{
	struct imap_key *k, *all = key_new(p, IMAP_KEY_AND);
	int rc;

	if (all == NULL)
		return -ENOMEM;
	do {
		if ((rc = parse_key(p, q, depth, &k)) != 0)
			return rc;
		key_adopt(all, k);
	} while (imap_accept(p, ' '));
	*out = all->child->next == NULL ? all->child : all;
	return 0;
}

/* NEW is "(RECENT UNSEEN)". */
static int
make_new(struct imap_parser *p, struct imap_key **out)
{
	struct imap_key *all = key_new(p, IMAP_KEY_AND);
	struct imap_key *recent = key_new(p, IMAP_KEY_RECENT);
	struct imap_key *unseen = key_new(p, IMAP_KEY_FLAG);

	if (all == NULL || recent == NULL || unseen == NULL)
		return -ENOMEM;
	unseen->flags = MAILS_SEEN;
	if (key_negate(p, &unseen) != 0)
		return -ENOMEM;
	key_adopt(all, recent);
	key_adopt(all, unseen);
	*out = all;
	return 0;
}

static int
parse_or(struct imap_parser *p, struct imap_search *q, unsigned depth,
    struct imap_key **out)
{
	struct imap_key *a, *b, * or = key_new(p, IMAP_KEY_OR);
	int rc;

	if (or == NULL)
		return -ENOMEM;
	if ((rc = imap_parse_sp(p)) != 0 ||
	    (rc = parse_key(p, q, depth, &a)) != 0 ||
	    (rc = imap_parse_sp(p)) != 0 ||
	    (rc = parse_key(p, q, depth, &b)) != 0)
		return rc;
	key_adopt(or, a);
	key_adopt(or, b);
	*out = or ;
	return 0;
}

static int
parse_named(struct imap_parser *p, struct imap_search *q, struct slice name,
    struct imap_key **out)
{
	struct imap_key *k;
	size_t i = 0;
	int rc;

	while (!slice_eq_str_nocase(name, keys[i].name))
		if (++i == sizeof(keys) / sizeof(keys[0]))
			return imap_parser_bad(p, "Unknown search key");
	k = key_new(p, (enum imap_key_kind)(keys[i].kind & ~(unsigned)NOT_));
	if (k == NULL)
		return -ENOMEM;
	k->flags = keys[i].flags;
	if ((rc = parse_argument(p, q, keys[i].argument, k)) != 0)
		return rc;
	if (k->kind == IMAP_KEY_BODY || k->kind == IMAP_KEY_TEXT) {
		if (q->n_texts == IMAP_SEARCH_TEXTS)
			return imap_parser_bad(p, "[LIMIT] Too many texts");
		k->text = q->n_texts;
		q->texts[q->n_texts++] = k;
	}
	*out = k;
	return (keys[i].kind & NOT_) != 0 ? key_negate(p, out) : 0;
}

static int
parse_key(struct imap_parser *p, struct imap_search *q, unsigned depth,
    struct imap_key **out)
{
	struct slice name;
	int rc;

	if (depth == IMAP_SEARCH_DEPTH)
		return imap_parser_bad(p, "[LIMIT] Keys are nested too deep");
	if (imap_accept(p, '(')) {
		if ((rc = parse_keys(p, q, depth + 1, out)) != 0)
			return rc;
		return imap_parse_char(p, ')');
	}
	if (ascii_is_digit(imap_peek(p)) || imap_peek(p) == '*') {
		if ((*out = key_new(p, IMAP_KEY_SEQS)) == NULL)
			return -ENOMEM;
		return parse_set(p, *out);
	}
	if ((rc = imap_parse_atom(p, &name)) != 0)
		return rc;
	if (slice_eq_str_nocase(name, "NOT")) {
		if ((rc = imap_parse_sp(p)) != 0 ||
		    (rc = parse_key(p, q, depth + 1, out)) != 0)
			return rc;
		return key_negate(p, out);
	}
	if (slice_eq_str_nocase(name, "OR"))
		return parse_or(p, q, depth + 1, out);
	if (slice_eq_str_nocase(name, "NEW"))
		return make_new(p, out);
	return parse_named(p, q, name, out);
}

/* --- the whole --- */

static int
parse_return_option(struct imap_parser *p, struct imap_search *q)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_atom(p, &name)) != 0)
		return rc;
	if (slice_eq_str_nocase(name, "MIN"))
		q->returns |= IMAP_RETURN_MIN;
	else if (slice_eq_str_nocase(name, "MAX"))
		q->returns |= IMAP_RETURN_MAX;
	else if (slice_eq_str_nocase(name, "ALL"))
		q->returns |= IMAP_RETURN_ALL;
	else if (slice_eq_str_nocase(name, "COUNT"))
		q->returns |= IMAP_RETURN_COUNT;
	else
		return imap_parser_bad(p, "Unknown result option");
	return 0;
}

/* "RETURN" SP "(" ... ")" SP */
static int
parse_return(struct imap_parser *p, struct imap_search *q)
{
	int rc;

	if (!imap_accept_word(p, "RETURN"))
		return 0;
	q->extended = true;
	if ((rc = imap_parse_sp(p)) != 0 || (rc = imap_parse_char(p, '(')) != 0)
		return rc;
	if (imap_accept(p, ')')) {
		q->returns = IMAP_RETURN_ALL;
		return imap_parse_sp(p);
	}
	do {
		if ((rc = parse_return_option(p, q)) != 0)
			return rc;
	} while (imap_accept(p, ' '));
	if ((rc = imap_parse_char(p, ')')) != 0)
		return rc;
	return imap_parse_sp(p);
}

/* "CHARSET" SP name SP */
static int
parse_charset(struct imap_parser *p, struct imap_search *q)
{
	struct slice name;
	int rc;

	if (!imap_accept_word(p, "CHARSET"))
		return 0;
	if ((rc = imap_parse_sp(p)) != 0 ||
	    (rc = imap_parse_astring(p, &name)) != 0)
		return rc;
	q->bad_charset = !slice_eq_str_nocase(name, "UTF-8") &&
	    !slice_eq_str_nocase(name, "US-ASCII");
	return imap_parse_sp(p);
}

int
imap_search_parse(struct imap_parser *p, struct imap_search *out)
{
	int rc;

	*out = (struct imap_search){ .returns = 0 };
	if ((rc = parse_return(p, out)) != 0 ||
	    (rc = parse_charset(p, out)) != 0)
		return rc;
	/* Strings in it are not UTF-8: the keys cannot be read. */
	if (out->bad_charset)
		return 0;
	if ((rc = parse_keys(p, out, 0, &out->root)) != 0)
		return rc;
	return imap_parse_end(p);
}
