/* SPDX-License-Identifier: ISC */
#include "common/mail/envelope.h"

#include <errno.h>

#include "common/mail/address.h"
#include "common/mail/date.h"

static bool
put_sp(struct buf *b)
{
	return buf_put_char(b, ' ');
}

static bool
put_nil(struct buf *b)
{
	return buf_put_str(b, "NIL");
}

/* What neither a quoted string nor a literal may hold here. */
static bool
is_dropped(char c)
{
	return c == '\0' || c == '\r' || c == '\n';
}

static bool
put_literal(struct buf *b, struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += !is_dropped(s.p[i]);
	buf_printf(b, "{%zu}\r\n", n);
	for (size_t i = 0; i < s.n; i++)
		if (!is_dropped(s.p[i]))
			buf_put_char(b, s.p[i]);
	return !b->failed;
}

static bool
put_quoted(struct buf *b, struct slice s)
{
	buf_put_char(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (is_dropped(s.p[i]))
			continue;
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_put_char(b, '\\');
		buf_put_char(b, s.p[i]);
	}
	return buf_put_char(b, '"');
}

static bool
put_string(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 128)
			return put_literal(b, s);
	return put_quoted(b, s);
}

bool
envelope_put_nstring(struct buf *b, struct slice s)
{
	return s.p == NULL ? put_nil(b) : put_string(b, s);
}

/* --- ENVELOPE --- */

/*
 * RFC 3501 7.4.2 address: name, route, mailbox, host. NIL as host would make
 * an address without domain the start of a group, so that has "".
 */
static void
put_address(struct buf *b, const struct address *m)
{
	const struct slice nil = { NULL, 0 };
	bool mailbox = m->kind == ADDRESS_MAILBOX;
	struct slice local = m->local, host = m->domain;

	if (mailbox && host.p == NULL)
		host = SLICE_EMPTY;
	if (m->kind == ADDRESS_GROUP_START)
		local = m->raw_name;
	buf_put_char(b, '(');
	envelope_put_nstring(b, mailbox ? m->raw_name : nil);
	put_sp(b);
	envelope_put_nstring(b, mailbox ? m->route : nil);
	put_sp(b);
	envelope_put_nstring(b, m->kind == ADDRESS_GROUP_END ? nil : local);
	put_sp(b);
	envelope_put_nstring(b, mailbox ? host : nil);
	buf_put_char(b, ')');
}

static bool
is_absent(struct slice value)
{
	return value.p == NULL || value.n == 0;
}

static void
put_list(struct buf *b, const struct address_list *list)
{
	if (list->n == 0) {
		put_nil(b);
		return;
	}
	buf_put_char(b, '(');
	for (size_t i = 0; i < list->n; i++)
		put_address(b, &list->v[i]);
	buf_put_char(b, ')');
}

/* Memory for one list at a time: a message may have a thousand of them, and
 * must not be able to make its own envelope fail. */
static int
put_addresses(struct buf *b, struct slice value)
{
	struct arena a = { 0 };
	struct address_list list;
	int rc = 0;

	if (is_absent(value))
		put_nil(b);
	else if ((rc = address_list_parse(&a, value, &list)) == 0)
		put_list(b, &list);
	arena_reset(&a);
	return rc != 0 || b->failed ? -ENOMEM : 0;
}

int
envelope_put(struct buf *b, const struct mime_envelope *e)
{
	/* Absent or empty, these are as From (RFC 3501 7.4.2). */
	const struct slice lists[] = { e->from,
		is_absent(e->sender) ? e->from : e->sender,
		is_absent(e->reply_to) ? e->from : e->reply_to, e->to, e->cc,
		e->bcc };
	int rc;

	buf_put_char(b, '(');
	envelope_put_nstring(b, e->date);
	put_sp(b);
	envelope_put_nstring(b, e->subject);
	put_sp(b);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		if ((rc = put_addresses(b, lists[i])) != 0)
			return rc;
		put_sp(b);
	}
	envelope_put_nstring(b, e->in_reply_to);
	put_sp(b);
	envelope_put_nstring(b, e->message_id);
	return buf_put_char(b, ')') ? 0 : -ENOMEM;
}

bool
envelope_sent_date(const struct mime_envelope *e, int64_t *seconds)
{
	struct date d;

	if (e->date.p == NULL || date_parse(e->date, &d) != 0)
		return false;
	*seconds = d.time;
	return true;
}

/* --- BODY, BODYSTRUCTURE --- */

struct writer {
	struct buf *b;
	bool extended;
};

static void
put_params(struct buf *b, const struct params *params)
{
	if (params->n == 0) {
		put_nil(b);
		return;
	}
	for (size_t i = 0; i < params->n; i++) {
		buf_put_char(b, i == 0 ? '(' : ' ');
		put_string(b, params->v[i].name);
		put_sp(b);
		put_string(b, params->v[i].value);
	}
	buf_put_char(b, ')');
}

/* RFC 2045 5.2: what a text is in when nothing says. */
static void
put_type_params(struct buf *b, const struct mime_part *part)
{
	if (part->params.n == 0 && mime_part_is(part, "text", "plain"))
		buf_put_str(b, "(\"charset\" \"us-ascii\")");
	else
		put_params(b, &part->params);
}

static void
put_disposition(struct buf *b, const struct mime_part *part)
{
	if (part->disposition.p == NULL) {
		put_nil(b);
		return;
	}
	buf_put_char(b, '(');
	put_string(b, part->disposition);
	put_sp(b);
	put_params(b, &part->disposition_params);
	buf_put_char(b, ')');
}

/* "en, fr" as ("en" "fr") (body-fld-lang). */
static void
put_language(struct buf *b, struct slice list)
{
	size_t n = 0;

	while (list.n > 0) {
		struct slice tag = slice_trim(slice_split(&list, ','));

		if (tag.n == 0)
			continue;
		buf_put_char(b, n++ == 0 ? '(' : ' ');
		put_string(b, tag);
	}
	if (n == 0)
		put_nil(b);
	else
		buf_put_char(b, ')');
}

/* body-ext-1part and body-ext-mpart after their first item. */
static void
put_extension(struct buf *b, const struct mime_part *part)
{
	put_sp(b);
	put_disposition(b, part);
	put_sp(b);
	put_language(b, part->language);
	put_sp(b);
	envelope_put_nstring(b, part->location);
}

/* media type and body-fields. */
static void
put_fields(struct buf *b, const struct mime_part *part)
{
	/* A multipart that could not be opened, or a message where no more
	 * parts are allowed, has not the items of those types. */
	bool opaque = slice_eq_str(part->type, "multipart") ||
	    (part->kind == MIME_LEAF &&
		mime_part_is(part, "message", "rfc822"));

	put_string(b, opaque ? SLICE_LIT("application") : part->type);
	put_sp(b);
	put_string(b, opaque ? SLICE_LIT("octet-stream") : part->subtype);
	put_sp(b);
	put_type_params(b, part);
	put_sp(b);
	envelope_put_nstring(b, part->id);
	put_sp(b);
	envelope_put_nstring(b, part->description);
	put_sp(b);
	put_string(b,
	    part->encoding_name.p == NULL ? SLICE_LIT("7bit")
					  : part->encoding_name);
	put_sp(b);
	buf_put_u64(b, part->body_size);
}

static void
put_end(struct writer *w, const struct mime_part *part)
{
	if (w->extended) {
		put_sp(w->b);
		envelope_put_nstring(w->b, part->md5);
		put_extension(w->b, part);
	}
	buf_put_char(w->b, ')');
}

static void
put_leaf(struct writer *w, const struct mime_part *part)
{
	buf_put_char(w->b, '(');
	put_fields(w->b, part);
	if (slice_eq_str(part->type, "text")) {
		put_sp(w->b);
		buf_put_u64(w->b, part->body_lines);
	}
	put_end(w, part);
}

/* Up to its children. */
static int
put_opening(struct writer *w, const struct mime_part *part)
{
	int rc;

	buf_put_char(w->b, '(');
	if (part->kind != MIME_MESSAGE)
		return 0;
	put_fields(w->b, part);
	put_sp(w->b);
	rc = envelope_put(w->b, part->children->envelope);
	put_sp(w->b);
	return rc;
}

/* A multipart has at least one body in the grammar of IMAP. */
static void
put_no_parts(struct writer *w)
{
	const struct mime_part empty = { .type = SLICE_LIT("text"),
		.subtype = SLICE_LIT("plain") };

	put_leaf(w, &empty);
}

static void
put_closing(struct writer *w, const struct mime_part *part)
{
	put_sp(w->b);
	if (part->kind == MIME_MESSAGE) {
		buf_put_u64(w->b, part->body_lines);
		put_end(w, part);
		return;
	}
	put_string(w->b, part->subtype);
	if (w->extended) {
		put_sp(w->b);
		put_params(w->b, &part->params);
		put_extension(w->b, part);
	}
	buf_put_char(w->b, ')');
}

/* Without recursion: down to the first child, on to the next one, up after
 * the last. */
int
envelope_put_body(struct buf *b, const struct mime_part *part, bool extended)
{
	struct writer w = { b, extended };
	const struct mime_part *at = part;
	int rc;

	for (;;) {
		if (at->kind == MIME_LEAF) {
			put_leaf(&w, at);
		} else {
			if ((rc = put_opening(&w, at)) != 0)
				return rc;
			if (at->children != NULL) {
				at = at->children;
				continue;
			}
			put_no_parts(&w);
			put_closing(&w, at);
		}
		while (at != part && at->next == NULL) {
			at = at->parent;
			put_closing(&w, at);
		}
		if (at == part)
			return b->failed ? -ENOMEM : 0;
		at = at->next;
	}
}
