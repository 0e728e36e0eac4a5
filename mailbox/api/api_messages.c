/* SPDX-License-Identifier: ISC */
/* Lists of messages, by pages, and one message with its text. */
#include "mailbox/api/api_messages.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/html_clean.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/mails/envelope_read.h"

#define LIMIT 50
#define LIMIT_MAX 200
#define ADDRESSES_MAX 200
#define PART_HEADER_MAX ((uint64_t)64 << 10)
#define HEADER_SHOWN_MAX ((uint64_t)256 << 10)
#define TEXT_MAX ((size_t)1 << 20) /* of a text that is shown */
#define TURN_MS 5

/* --- flags --- */

static const struct {
	uint32_t flag;
	const char *name;
} system_flags[] = {
	{ MAILS_SEEN, "seen" },
	{ MAILS_ANSWERED, "answered" },
	{ MAILS_FLAGGED_FLAG, "flagged" },
	{ MAILS_DELETED, "deleted" },
	{ MAILS_DRAFT, "draft" },
};
#define N_FLAGS (sizeof(system_flags) / sizeof(system_flags[0]))

uint32_t
api_flag(const char *name)
{
	for (size_t i = 0; i < N_FLAGS; i++)
		if (strcmp(name, system_flags[i].name) == 0)
			return system_flags[i].flag;
	return 0;
}

json_t *
api_flags_json(const struct mails_view *v, struct mails_flags f)
{
	json_t *list = json_array();
	const char *keyword;

	for (size_t i = 0; i < N_FLAGS; i++)
		if ((f.system & system_flags[i].flag) != 0)
			json_array_append_new(
			    list, json_string(system_flags[i].name));
	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++)
		if ((f.keywords >> i & 1) != 0 &&
		    (keyword = mails_view_keyword(v, i)) != NULL)
			json_array_append_new(
			    list, api_text(slice_str(keyword)));
	return list;
}

/* --- the envelope --- */

/* "name <mailbox@host>", the name still in encoded words. */
static json_t *
address_json(struct arena *a, struct slice text)
{
	ssize_t open = slice_rfind(text, '<');
	struct slice name = slice_head(text, open < 0 ? text.n : (size_t)open);
	struct slice address = SLICE_EMPTY;

	if (open >= 0) {
		address = slice_from(text, (size_t)open + 1);
		if (address.n > 0 && address.p[address.n - 1] == '>')
			address.n--;
	}
	name = encoded_decode(a, slice_trim(name));
	return json_pack("{s:o, s:o}", "name",
	    api_text(name.p == NULL ? SLICE_EMPTY : name), "address",
	    api_text(address));
}

static json_t *
addresses_json(struct arena *a, struct slice field)
{
	json_t *list = json_array();
	struct slice text;

	for (int i = 0; i < ADDRESSES_MAX &&
	     envelope_read_address(a, &field, &text) == 1;
	     i++)
		json_array_append_new(list, address_json(a, text));
	return list;
}

json_t *
api_header_text(struct arena *a, struct slice text)
{
	text = encoded_decode(a, text);
	return text.p == NULL ? json_null() : api_text(text);
}

static json_t *
string_json(struct arena *a, struct slice field, bool decode)
{
	struct slice text;

	if (envelope_read_string(a, field, &text) != 0 || text.p == NULL)
		return json_null();
	return decode ? api_header_text(a, text) : api_text(text);
}

static void
put_envelope(struct arena *a, const struct mails_summary *sum, json_t *j)
{
	static const struct {
		const char *name;
		int field;
	} lists[] = { { "from", ENVELOPE_FROM }, { "to", ENVELOPE_TO },
		{ "cc", ENVELOPE_CC }, { "bcc", ENVELOPE_BCC },
		{ "reply_to", ENVELOPE_REPLY_TO } };
	struct slice f[ENVELOPE_FIELDS];

	if (envelope_read_split(sum->envelope, f) != 0)
		return;
	json_object_set_new(
	    j, "subject", string_json(a, f[ENVELOPE_SUBJECT], true));
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		json_object_set_new(j, lists[i].name,
		    addresses_json(a, f[lists[i].field]));
	json_object_set_new(
	    j, "message_id", string_json(a, f[ENVELOPE_MESSAGE_ID], false));
	json_object_set_new(
	    j, "in_reply_to", string_json(a, f[ENVELOPE_IN_REPLY_TO], false));
}

static bool
has_attachments(const struct mails_summary *sum)
{
	for (size_t i = 0; i < sum->n_parts; i++)
		if (sum->parts[i].kind != MAILS_PART_MULTI && i > 0 &&
		    !slice_starts(sum->parts[i].type, "text/"))
			return true;
	return false;
}

/* What a list shows of a message; `sum` for the caller too. */
static int
summary_json(struct mails_view *v, uint32_t seq, struct arena *a,
    struct mails_summary *sum, json_t **out)
{
	struct mails_row row;
	int64_t sent;
	int rc;

	if ((rc = mails_row(v, seq, &row)) != 0 ||
	    (rc = mails_summary(v, seq, a, sum)) != 0)
		return rc;
	/* RFC 5256 2.2 */
	sent = sum->sent_date != INT64_MIN ? sum->sent_date : row.internaldate;
	*out = json_pack("{s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:b}", "uid",
	    (json_int_t)row.uid, "flags", api_flags_json(v, row.flags), "modseq",
	    (json_int_t)row.modseq, "size", (json_int_t)row.size, "received",
	    api_time(row.internaldate), "date", api_time(sent),
	    "preview", api_text(sum->preview), "attachments",
	    (int)has_attachments(sum));
	if (*out == NULL)
		return -ENOMEM;
	put_envelope(a, sum, *out);
	return 0;
}

int
api_summary_json(
    struct mails_view *v, uint32_t seq, struct arena *a, json_t **out)
{
	struct mails_summary sum;

	return summary_json(v, seq, a, &sum, out);
}

/* --- the list --- */

struct list {
	struct api_call *c;
	struct mails_view *v;
	struct imap_search q;
	bool any;
	uint64_t *may;
	struct imap_search_run *run;
	json_t *items;
	size_t limit;
	uint32_t next; /* UID below which the next page begins; 0: none */
};

static int
list_match(struct list *l, uint32_t seq)
{
	if (!l->any)
		return 1;
	if (l->may != NULL &&
	    (l->may[(seq - 1) / 64] >> (seq - 1) % 64 & 1) == 0)
		return 0;
	return imap_search_test(l->run, seq);
}

/* A message that cannot be read is left out, and costs no more. */
static int
list_one(struct list *l, uint32_t seq)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)8 << 20);
	struct mails_summary sum;
	json_t *item = NULL;
	int rc = list_match(l, seq);

	if (rc == 1)
		rc = summary_json(l->v, seq, &scratch, &sum, &item);
	if (item != NULL)
		json_array_append_new(l->items, item);
	arena_reset(&scratch);
	return rc == -ECANCELED ? rc : 0;
}

/* From `seq` down, until the page is full. */
static int
list_fill(struct list *l, uint32_t seq)
{
	int64_t began_ms = clock_mono_ms();
	int rc;

	for (; seq >= 1; seq--) {
		if (json_array_size(l->items) == l->limit) {
			l->next = mails_view_uid(l->v, seq) + 1;
			return 0;
		}
		if ((rc = list_one(l, seq)) != 0)
			return rc;
		if (clock_mono_ms() - began_ms >= TURN_MS) {
			if ((rc = co_yield ()) != 0)
				return rc;
			began_ms = clock_mono_ms();
		}
	}
	return 0;
}

static int
query_number(struct api_call *c, const char *name, uint64_t max, uint64_t *out)
{
	struct slice text;
	char detail[80];

	if (http_head_query(&c->x->head, name, &text) && text.p == NULL)
		return 0;
	if (text.p != NULL && slice_u64(text, max, out) == 0)
		return 0;
	snprintf(detail, sizeof(detail), "%s must be a number up to %llu", name,
	    (unsigned long long)max);
	api_problem(c, "bad-value", detail);
	return API_REPLIED;
}

static int
list_prepare(struct list *l)
{
	int rc = api_search_parse(l->c, l->v, &l->q, &l->any);

	if (rc != 0 || !l->any)
		return rc;
	if ((rc = imap_search_run_new(&l->run, &l->q, l->v)) == 0)
		l->may = imap_search_candidates(&l->q, l->v);
	return rc;
}

static json_t *
list_json(struct list *l)
{
	char cursor[16];

	snprintf(cursor, sizeof(cursor), "%u", l->next);
	return json_pack("{s:O, s:o, s:I, s:I, s:I}", "messages", l->items,
	    "next", l->next > 0 ? json_string(cursor) : json_null(), "total",
	    (json_int_t)mails_view_count(l->v), "uidvalidity",
	    (json_int_t)mails_view_uidvalidity(l->v), "modseq",
	    (json_int_t)mails_view_highestmodseq(l->v));
}

int
api_messages_get(struct api_call *c)
{
	struct list l = { .c = c };
	uint64_t limit = LIMIT, before = 0;
	uint32_t seq;
	bool exact;
	int rc;

	if ((rc = query_number(c, "limit", LIMIT_MAX, &limit)) != 0 ||
	    (rc = query_number(c, "cursor", UINT32_MAX, &before)) != 0 ||
	    (rc = api_view(c, &l.v)) != 0)
		return rc;
	seq = mails_view_count(l.v);
	if (before > 0)
		seq = mails_view_seq(l.v, (uint32_t)before - 1, &exact);
	l.limit = (size_t)limit;
	l.items = json_array();
	if ((rc = list_prepare(&l)) == 0 && (rc = list_fill(&l, seq)) == 0)
		rc = api_json(c, 200, list_json(&l));
	json_decref(l.items);
	free(l.may);
	imap_search_run_free(&l.run);
	mails_view_close(&l.v);
	return rc;
}

/* --- one message --- */

static int
read_octets(struct mails_view *v, uint32_t seq, struct arena *a, uint64_t at,
    uint64_t size, struct slice *out)
{
	char *p = arena_alloc(a, (size_t)size + 1);
	size_t got = 0;
	int rc;

	if (p == NULL)
		return -ENOMEM;
	rc = mails_read(v, seq, at, p, (size_t)size, &got);
	*out = slice(p, got);
	return rc;
}

int
api_part_info(struct mails_view *v, uint32_t seq, struct arena *a,
    const struct mails_part *part, struct api_part *out)
{
	uint64_t size = part->header_size;
	struct slice header, value, type, subtype;
	int rc;

	*out = (struct api_part){ .filename = slice(NULL, 0) };
	if (size > PART_HEADER_MAX)
		size = PART_HEADER_MAX;
	if ((rc = read_octets(v, seq, a, part->header_at, size, &header)) != 0)
		return rc;
	value = header_value(a, header, "Content-Type");
	if (value.p != NULL &&
	    param_field_parse(a, value, &type, &subtype, &out->params) == 0)
		out->filename = param_decode(a, &out->params, "name");
	value = header_value(a, header, "Content-Disposition");
	if (value.p != NULL) {
		struct params p = { .n = 0 };
		struct slice name;

		if (param_field_parse(
			a, value, &out->disposition, NULL, &p) == 0 &&
		    (name = param_decode(a, &p, "filename")).p != NULL)
			out->filename = name;
	}
	out->content_id = slice_trim(header_value(a, header, "Content-ID"));
	if (out->content_id.n > 2 && out->content_id.p[0] == '<')
		out->content_id = slice(
		    out->content_id.p + 1, out->content_id.n - 2);
	return 0;
}

static bool
is_shown(const struct mails_part *part, const struct api_part *info,
    const char *type)
{
	return part->kind == MAILS_PART_LEAF &&
	    slice_eq_str(part->type, type) &&
	    !slice_eq_str(info->disposition, "attachment");
}

static json_t *
part_json(uint32_t index, const struct mails_part *part,
    const struct api_part *info)
{
	return json_pack("{s:I, s:I, s:o, s:I, s:o, s:o, s:o, s:o}", "part",
	    (json_int_t)index, "parent", (json_int_t)part->parent, "type",
	    api_text(part->type), "octets", (json_int_t)part->body_size,
	    "charset", part->charset.n > 0 ? api_text(part->charset) : json_null(),
	    "filename",
	    info->filename.p != NULL ? api_text(info->filename) : json_null(),
	    "disposition",
	    info->disposition.n > 0 ? api_text(info->disposition) : json_null(),
	    "content_id",
	    info->content_id.n > 0 ? api_text(info->content_id) : json_null());
}

/* Decoded and in UTF-8, up to TEXT_MAX. */
int
api_part_text(struct mails_view *v, uint32_t seq,
    const struct mails_part *part, struct buf *out, bool *cut)
{
	struct api_reader r;
	struct charset_decoder cs;
	struct slice piece;
	int rc;

	if (charset_decoder_init(&cs, part->charset) != 0)
		return -ENOMEM;
	rc = api_reader_init(&r, v, seq, part);
	*cut = false;
	while (rc == 0 && !*cut && (rc = api_reader_next(&r, &piece)) == 0 &&
	    piece.n > 0)
		*cut = !charset_decode(&cs, piece, out);
	charset_decoder_end(&cs, out);
	api_reader_clear(&r);
	return rc;
}

/* How many are left out when the HTML is shown. */
static json_int_t
remote_images(struct slice html)
{
	struct html_clean h = { .remote = false };
	struct buf b = BUF_INIT;

	html_clean(&h, html, &b);
	buf_clear(&b);
	return h.blocked;
}

static int
put_text(struct api_call *c, struct mails_view *v, uint32_t seq,
    const struct mails_part *part, const char *name, json_t *j)
{
	struct buf b = BUF_INIT_MAX(TEXT_MAX);
	bool cut;
	int rc = api_part_text(v, seq, part, &b, &cut);

	(void)c;
	if (rc == 0 && strcmp(name, "html") == 0)
		json_object_set_new(j, "remote_images",
		    json_integer(remote_images(buf_slice(&b))));
	if (rc == 0) {
		json_object_set_new(j, name, api_text(buf_slice(&b)));
		if (cut)
			json_object_set_new(j, "truncated", json_true());
	}
	buf_clear(&b);
	return rc;
}

static int
put_parts(struct api_call *c, struct mails_view *v, uint32_t seq,
    const struct mails_summary *sum, json_t *j)
{
	json_t *parts = json_array();
	bool text = false, html = false;
	int rc = 0;

	json_object_set_new(j, "text", json_null());
	json_object_set_new(j, "html", json_null());
	json_object_set_new(j, "truncated", json_false());
	json_object_set_new(j, "remote_images", json_integer(0));
	json_object_set_new(j, "parts", parts);
	for (uint32_t i = 0; rc == 0 && i < sum->n_parts; i++) {
		const struct mails_part *part = &sum->parts[i];
		struct api_part info;

		if ((rc = api_part_info(v, seq, c->a, part, &info)) != 0)
			return rc;
		json_array_append_new(parts, part_json(i, part, &info));
		if (!text && is_shown(part, &info, "text/plain")) {
			text = true;
			rc = put_text(c, v, seq, part, "text", j);
		} else if (!html && is_shown(part, &info, "text/html")) {
			html = true;
			rc = put_text(c, v, seq, part, "html", j);
		}
	}
	return rc;
}

/* All fields, in their order. */
static int
put_header(struct api_call *c, struct mails_view *v, uint32_t seq,
    const struct mails_summary *sum, json_t *j)
{
	uint64_t size = sum->header_size;
	json_t *list = json_array();
	struct header_field f;
	struct slice rest;
	int rc;

	json_object_set_new(j, "header", list);
	if (size > HEADER_SHOWN_MAX)
		size = HEADER_SHOWN_MAX;
	if ((rc = read_octets(v, seq, c->a, 0, size, &rest)) != 0)
		return rc;
	while (header_next(&rest, &f)) {
		struct slice value = encoded_decode(c->a, f.value);

		if (value.p == NULL)
			return -ENOMEM;
		json_array_append_new(list,
		    json_pack("{s:o, s:o}", "name", api_text(f.name), "value",
			api_text(slice_trim(value))));
	}
	return 0;
}

int
api_message_json(
    struct api_call *c, struct mails_view *v, uint32_t seq, json_t **out)
{
	struct mails_summary sum;
	int rc;

	if ((rc = summary_json(v, seq, c->a, &sum, out)) == 0 &&
	    (rc = put_header(c, v, seq, &sum, *out)) == 0)
		rc = put_parts(c, v, seq, &sum, *out);
	return rc;
}

int
api_message_get(struct api_call *c)
{
	struct mails_view *v = NULL;
	json_t *j = NULL;
	uint32_t seq;
	int rc;

	if ((rc = api_view(c, &v)) == 0 &&
	    (rc = api_message(c, v, &seq)) == 0 &&
	    (rc = api_message_json(c, v, seq, &j)) == 0)
		rc = api_json(c, 200, json_incref(j));
	json_decref(j);
	mails_view_close(&v);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc;
}
