/* SPDX-License-Identifier: ISC */
/* Does a message match? Each kind of knowledge is fetched when the first key
 * asks for it; the tree has cheap keys first. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/mail/date.h"
#include "mailbox/mails/envelope_read.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/imap/imap_search_text.h"

#define SCRATCH_MAX ((size_t)8 << 20)
#define HEADER_READ_MAX ((uint64_t)1 << 20)

struct imap_search_run {
	const struct imap_search *q;
	struct mails_view *v;
	uint32_t recent_from;
	int64_t now_s;
	struct imap_text_search text;
	/* Of the message that is tested: */
	uint32_t seq;
	bool has_row, has_summary, has_header, has_found;
	struct mails_row row;
	struct mails_summary sum;
	struct slice envelope[ENVELOPE_FIELDS];
	struct slice header;
	uint64_t found; /* of q->texts */
	struct arena scratch;
};

/* --- before --- */

static uint64_t
keyword_bit(const struct mails_view *v, struct slice name)
{
	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++) {
		const char *known = mails_view_keyword(v, i);

		if (known == NULL)
			return 0;
		if (slice_eq_str_nocase(name, known))
			return UINT64_C(1) << i;
	}
	return 0;
}

static int
prepare_key(struct imap_key *k, const struct mails_view *v)
{
	uint32_t count = mails_view_count(v);
	int rc = 0;

	switch (k->kind) {
	case IMAP_KEY_SEQS:
		imap_set_resolve(&k->set, count);
		if (k->set.v[0].lo == 0 || k->set.v[k->set.n - 1].hi > count)
			return -ERANGE;
		break;
	case IMAP_KEY_UIDS:
		imap_set_resolve(&k->set,
		    count == 0 ? mails_view_uidnext(v)
			       : mails_view_uid(v, count));
		break;
	case IMAP_KEY_KEYWORD:
		k->number = keyword_bit(v, k->name);
		break;
	default:
		break;
	}
	for (struct imap_key *c = k->child; c != NULL && rc == 0; c = c->next)
		rc = prepare_key(c, v);
	return rc;
}

int
imap_search_prepare(struct imap_search *q, const struct mails_view *v)
{
	return prepare_key(q->root, v);
}

int
imap_search_run_new(struct imap_search_run **out, const struct imap_search *q,
    struct mails_view *v)
{
	struct imap_search_run *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->q = q;
	r->v = v;
	r->recent_from = mails_view_recent_from(v);
	r->now_s = clock_wall_s();
	r->scratch = ARENA_INIT_MAX(SCRATCH_MAX);
	*out = r;
	return 0;
}

void
imap_search_run_free(struct imap_search_run **r)
{
	if (*r == NULL)
		return;
	imap_text_search_clear(&(*r)->text);
	arena_reset(&(*r)->scratch);
	free(*r);
	*r = NULL;
}

/* --- knowing the message --- */

static int
need_row(struct imap_search_run *r)
{
	int rc = 0;

	if (!r->has_row)
		rc = mails_row(r->v, r->seq, &r->row);
	r->has_row = rc == 0;
	return rc;
}

static int
need_summary(struct imap_search_run *r)
{
	int rc;

	if (r->has_summary)
		return 0;
	if ((rc = mails_summary(r->v, r->seq, &r->scratch, &r->sum)) != 0)
		return rc;
	if (envelope_read_split(r->sum.envelope, r->envelope) != 0)
		return -EIO;
	r->has_summary = true;
	return 0;
}

static int
need_header(struct imap_search_run *r)
{
	int rc;

	if (r->has_header)
		return 0;
	if ((rc = need_summary(r)) != 0)
		return rc;
	if (r->sum.header_size > HEADER_READ_MAX)
		return -ENOMEM;
	rc = search_text_read(
	    &r->text.text, r->v, r->seq, 0, r->sum.header_size);
	if (rc != 0)
		return rc;
	r->header = arena_dup(&r->scratch, buf_slice(&r->text.text.raw));
	r->has_header = r->header.p != NULL;
	return r->has_header ? 0 : -ENOMEM;
}

static int
need_found(struct imap_search_run *r)
{
	int rc;

	if (r->has_found)
		return 0;
	if ((rc = need_summary(r)) != 0)
		return rc;
	rc = imap_text_search(&r->text, r->q, r->v, r->seq, &r->sum, &r->found);
	r->has_found = rc == 0;
	return rc;
}

/* --- keys --- */

static int
test_view_key(struct imap_search_run *r, const struct imap_key *k)
{
	struct mails_flags flags = mails_view_flags(r->v, r->seq);
	uint32_t uid = mails_view_uid(r->v, r->seq);

	switch (k->kind) {
	case IMAP_KEY_SEQS:
		return imap_set_has(&k->set, r->seq);
	case IMAP_KEY_UIDS:
		return imap_set_has(&k->set, uid);
	case IMAP_KEY_FLAG:
		return (flags.system & k->flags) == k->flags;
	case IMAP_KEY_KEYWORD:
		return (flags.keywords & k->number) != 0;
	case IMAP_KEY_RECENT:
		return uid >= r->recent_from;
	case IMAP_KEY_MODSEQ:
		return mails_view_modseq(r->v, r->seq) >= k->number;
	default:
		return 1;
	}
}

static int
test_row_key(struct imap_search_run *r, const struct imap_key *k)
{
	int64_t day, age;
	int rc;

	if ((rc = need_row(r)) != 0)
		return rc;
	day = date_day((struct date){ r->row.internaldate, 0 });
	age = r->now_s - r->row.internaldate;
	switch (k->kind) {
	case IMAP_KEY_BEFORE:
		return day < k->day;
	case IMAP_KEY_ON:
		return day == k->day;
	case IMAP_KEY_SINCE:
		return day >= k->day;
	case IMAP_KEY_OLDER: /* RFC 5032 2 */
		return age >= (int64_t)k->number;
	case IMAP_KEY_YOUNGER:
		return age <= (int64_t)k->number;
	case IMAP_KEY_LARGER:
		return r->row.size > k->number;
	default:
		return r->row.size < k->number;
	}
}

static int
test_sent_key(struct imap_search_run *r, const struct imap_key *k)
{
	struct slice text;
	struct date d;
	int rc;

	rc = envelope_read_string(
	    &r->scratch, r->envelope[ENVELOPE_DATE], &text);
	if (rc != 0)
		return rc;
	if (text.p == NULL || date_parse(text, &d) != 0)
		return 0;
	switch (k->kind) {
	case IMAP_KEY_SENTBEFORE:
		return date_day(d) < k->day;
	case IMAP_KEY_SENTON:
		return date_day(d) == k->day;
	default:
		return date_day(d) >= k->day;
	}
}

static int
test_addresses(struct imap_search_run *r, const struct imap_key *k, int field)
{
	struct slice rest = r->envelope[field], text;
	int rc;

	while ((rc = envelope_read_address(&r->scratch, &rest, &text)) == 1)
		if (imap_text_has(&r->text, text, k->needle))
			return 1;
	return rc;
}

static int
test_summary_key(struct imap_search_run *r, const struct imap_key *k)
{
	struct slice text;
	int rc;

	if ((rc = need_summary(r)) != 0)
		return rc;
	switch (k->kind) {
	case IMAP_KEY_SUBJECT:
		rc = envelope_read_string(
		    &r->scratch, r->envelope[ENVELOPE_SUBJECT], &text);
		if (rc != 0 || text.p == NULL)
			return rc;
		return imap_text_has(&r->text, text, k->needle);
	case IMAP_KEY_FROM:
		return test_addresses(r, k, ENVELOPE_FROM);
	case IMAP_KEY_TO:
		return test_addresses(r, k, ENVELOPE_TO);
	case IMAP_KEY_CC:
		return test_addresses(r, k, ENVELOPE_CC);
	case IMAP_KEY_BCC:
		return test_addresses(r, k, ENVELOPE_BCC);
	default:
		return test_sent_key(r, k);
	}
}

static int
test_content_key(struct imap_search_run *r, const struct imap_key *k)
{
	int rc;

	if (k->kind == IMAP_KEY_HEADER) {
		if ((rc = need_header(r)) != 0)
			return rc;
		return imap_text_field_has(
		    &r->text, r->header, k->name, k->needle);
	}
	if ((rc = need_found(r)) != 0)
		return rc;
	return (r->found >> k->text & 1) != 0;
}

/* As deep as IMAP_SEARCH_DEPTH. */
static int
test_key(struct imap_search_run *r, const struct imap_key *k)
{
	int rc = 0;

	switch (k->kind) {
	case IMAP_KEY_AND:
	case IMAP_KEY_OR:
		for (const struct imap_key *c = k->child; c != NULL;
		     c = c->next)
			if ((rc = test_key(r, c)) < 0 ||
			    rc == (k->kind == IMAP_KEY_OR))
				return rc;
		return rc;
	case IMAP_KEY_NOT:
		rc = test_key(r, k->child);
		return rc < 0 ? rc : !rc;
	default:
		break;
	}
	if (k->kind < IMAP_KEY_BEFORE)
		return test_view_key(r, k);
	if (k->kind < IMAP_KEY_SENTBEFORE)
		return test_row_key(r, k);
	if (k->kind < IMAP_KEY_HEADER)
		return test_summary_key(r, k);
	return test_content_key(r, k);
}

int
imap_search_test(struct imap_search_run *r, uint32_t seq)
{
	int rc;

	r->seq = seq;
	r->has_row = r->has_summary = r->has_header = r->has_found = false;
	rc = test_key(r, r->q->root);
	if (r->scratch.used > 0)
		arena_reset(&r->scratch);
	return rc;
}
