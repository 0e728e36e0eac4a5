/* SPDX-License-Identifier: ISC */
#include "mailbox/api/api_compose.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "common/mail/transfer.h"
#include "mailbox/mails/envelope_read.h"

#define ATTACHMENTS_MAX 100
#define REFERENCES_MAX 4000 /* octets */

static int
bad(struct api_call *c, const char *detail)
{
	api_problem(c, "bad-value", detail);
	return API_REPLIED;
}

/* --- addresses --- */

static bool
has_bad_octet(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f ||
		    s.p[i] == '<' || s.p[i] == '>')
			return true;
	return false;
}

/* "a@b", "Name <a@b>" or { "name", "address" }. */
static int
address_in(struct api_call *c, json_t *j, struct address *out)
{
	const char *text = json_string_value(
	    json_is_object(j) ? json_object_get(j, "address") : j);
	const char *name = json_string_value(json_object_get(j, "name"));
	struct address_list list;
	struct slice canonical;
	struct buf b = BUF_INIT_MAX(ADDRESS_MAX + 2);
	int rc;

	if (text == NULL || !utf8_is_valid(slice_str(text)))
		return bad(c, "an address is a string, or an object with "
			      "name and address");
	rc = address_list_parse(c->a, slice_str(text), &list);
	if (rc != 0)
		return rc;
	if (list.n != 1 || list.v[0].broken || list.v[0].domain.n == 0 ||
	    list.v[0].kind != ADDRESS_MAILBOX)
		return bad(c, "not an address: write local@domain");
	*out = list.v[0];
	if (name != NULL)
		out->name = slice_str(name);
	out->name = header_unfold(
	    c->a, out->name.p == NULL ? SLICE_EMPTY : out->name);
	address_put_spec(&b, out->local, out->domain);
	rc = b.failed || has_bad_octet(out->domain)
	    ? -EINVAL
	    : address_canonical(c->a, buf_slice(&b), &canonical);
	buf_clear(&b);
	return rc == -EINVAL ? bad(c, "not an address: write local@domain")
			     : rc;
}

static int
spec_of(struct api_call *c, const struct address *m, struct slice *out)
{
	struct buf b = BUF_INIT_MAX(ADDRESS_MAX + 2);

	address_put_spec(&b, m->local, m->domain);
	*out = arena_dup(c->a, buf_slice(&b));
	buf_clear(&b);
	return out->p == NULL || out->n == 0 ? -ENOMEM : 0;
}

static int
add_rcpt(struct api_call *c, struct api_outgoing *o, const struct address *m)
{
	struct slice spec;
	int rc = spec_of(c, m, &spec);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < o->n_rcpts; i++)
		if (slice_eq_nocase(o->rcpts[i], spec))
			return 0;
	if (o->n_rcpts == API_RCPTS_MAX)
		return bad(c, "more than 1000 recipients");
	if (!ascii_is_all(spec))
		o->smtputf8 = true;
	o->rcpts[o->n_rcpts++] = spec;
	return 0;
}

/* --- fields --- */

/* A list of addresses as a field, and as recipients. */
static int
put_addresses(struct api_call *c, struct api_outgoing *o, const char *key,
    const char *field, bool rcpts)
{
	json_t *list = json_object_get(c->in, key), *item;
	struct address m;
	size_t i;
	int rc;

	if (list == NULL || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return bad(c, "to, cc, bcc and reply_to are lists");
	json_array_foreach(list, i, item)
	{
		if ((rc = address_in(c, item, &m)) != 0 ||
		    (rcpts && (rc = add_rcpt(c, o, &m)) != 0))
			return rc;
		if (field == NULL)
			continue;
		buf_put_str(&o->message, i == 0 ? field : ",\r\n ");
		if (i == 0)
			buf_put_str(&o->message, ": ");
		address_put(&o->message, &m, false);
	}
	if (field != NULL && json_array_size(list) > 0)
		buf_put_str(&o->message, "\r\n");
	return 0;
}

static int
put_from(struct api_call *c, struct api_outgoing *o)
{
	json_t *from = json_object_get(c->in, "from");
	struct accounts_account who;
	struct address m;
	json_t *own = NULL;
	int rc = 0;

	if (from == NULL || json_is_null(from)) {
		rc = accounts_account_get(
		    c->env->accounts, c->a, slice_str(c->account), &who);
		if (rc != 0)
			return -EAGAIN;
		from = own = json_pack("{s:s, s:o}", "address", c->account,
		    "name", api_text(slice_str(who.name)));
	}
	rc = address_in(c, from, &m);
	m.name = rc == 0 ? arena_dup(c->a, m.name) : SLICE_EMPTY;
	json_decref(own);
	if (rc != 0 || (rc = spec_of(c, &m, &o->from)) != 0)
		return rc;
	if (!ascii_is_all(o->from))
		o->smtputf8 = true;
	buf_put_str(&o->message, "From: ");
	address_put(&o->message, &m, false);
	buf_put_str(&o->message, "\r\n");
	return 0;
}

static int
put_subject(struct api_call *c, struct buf *b)
{
	const char *subject;
	struct slice text;
	int rc = api_in_string(c, "subject", &subject);

	if (rc != 0 || subject == NULL)
		return rc;
	text = header_unfold(c->a, slice_str(subject));
	if (text.p == NULL)
		return -ENOMEM;
	buf_put_str(b, "Subject: ");
	encoded_put_text(b, text, strlen("Subject: "));
	buf_put_str(b, "\r\n");
	return 0;
}

static void
put_ids(struct api_outgoing *o, struct buf *b)
{
	struct buf id = BUF_INIT_MAX(1000);
	ssize_t at = slice_rfind(o->from, '@');

	message_id_put(&id, slice_from(o->from, at < 0 ? 0 : (size_t)at + 1));
	buf_put_str(b, "Message-ID: ");
	buf_put_slice(b, buf_slice(&id));
	buf_put_str(b, "\r\nDate: ");
	date_put(b, (struct date){ clock_wall_s(), 0 });
	buf_put_str(b, "\r\n");
	buf_clear(&id);
}

/* --- what it answers --- */

/* RFC 5322 3.6.4 */
static int
put_threading(struct api_call *c, struct api_outgoing *o,
    struct mails_view *v, uint32_t seq)
{
	struct slice f[ENVELOPE_FIELDS], id = SLICE_EMPTY, refs;
	struct mails_summary sum;
	int rc;

	if ((rc = mails_summary(v, seq, c->a, &sum)) != 0)
		return rc;
	if (envelope_read_split(sum.envelope, f) != 0 ||
	    envelope_read_string(c->a, f[ENVELOPE_MESSAGE_ID], &id) != 0 ||
	    id.n == 0 || id.n > 900)
		return 0;
	id = header_unfold(c->a, id);
	refs = header_unfold(c->a, sum.references.p != NULL ? sum.references
							    : SLICE_EMPTY);
	if (id.p == NULL || refs.p == NULL)
		return -ENOMEM;
	if (refs.n > REFERENCES_MAX)
		refs = SLICE_EMPTY;
	header_put(&o->message, "In-Reply-To", id);
	refs.p = arena_printf(c->a, "%.*s%s%.*s", (int)refs.n, refs.p,
	    refs.n > 0 ? " " : "", (int)id.n, id.p);
	if (refs.p == NULL)
		return -ENOMEM;
	header_put(&o->message, "References", slice_str(refs.p));
	return 0;
}

static int
put_answered(struct api_call *c, struct api_outgoing *o)
{
	json_t *j = json_object_get(c->in, "answers");
	const char *id = json_string_value(json_object_get(j, "mailbox"));
	json_int_t uid = json_integer_value(json_object_get(j, "uid"));
	struct mails_view *v = NULL;
	bool exact;
	uint32_t seq;
	int rc;

	if (j == NULL || json_is_null(j))
		return 0;
	if (id == NULL || uid < 1 || uid > UINT32_MAX)
		return bad(c, "answers has the mailbox and the uid of a "
			      "message");
	if ((rc = api_mailbox_by_id(c, slice_str(id), &o->answered_box)) != 0)
		return rc;
	rc = api_open(c, o->answered_box.name, &v);
	if (rc != 0)
		return rc;
	seq = mails_view_seq(v, (uint32_t)uid, &exact);
	o->answered_uid = exact ? (uint32_t)uid : 0;
	if (exact)
		rc = put_threading(c, o, v, seq);
	mails_view_close(&v);
	return rc;
}

/* --- the body --- */

static void
put_boundary(char out[static 48])
{
	char id[ID_LEN + 1];

	id_new(id);
	snprintf(out, 48, "=_pneu_%s", id);
}

static void
put_multipart(struct buf *b, const char *subtype, const char *boundary)
{
	buf_printf(b,
	    "Content-Type: multipart/%s; boundary=\"%s\"\r\n\r\n", subtype,
	    boundary);
}

static void
put_encoded(struct buf *b, struct slice octets, enum transfer_encoding as)
{
	struct transfer_encoder e;

	buf_printf(b, "Content-Transfer-Encoding: %s\r\n\r\n",
	    as == TRANSFER_QP ? "quoted-printable" : "base64");
	transfer_encoder_init(&e, as);
	transfer_encode(&e, octets, b);
	transfer_encoder_end(&e, b);
	buf_put_str(b, "\r\n");
}

static void
put_text(struct buf *b, const char *subtype, const char *text)
{
	buf_printf(b, "Content-Type: text/%s; charset=utf-8\r\n", subtype);
	put_encoded(b, slice_str(text), TRANSFER_QP);
}

static void
put_texts(struct buf *b, const char *text, const char *html)
{
	char boundary[48];

	if (html == NULL || text == NULL) {
		put_text(b, html != NULL ? "html" : "plain",
		    html != NULL ? html : text);
		return;
	}
	put_boundary(boundary);
	put_multipart(b, "alternative", boundary);
	buf_printf(b, "--%s\r\n", boundary);
	put_text(b, "plain", text);
	buf_printf(b, "--%s\r\n", boundary);
	put_text(b, "html", html);
	buf_printf(b, "--%s--\r\n", boundary);
}

static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    memchr(".+-_", s.p[i], 4) == NULL)
			return false;
	return s.n > 0;
}

static bool
is_type(const char *type)
{
	struct slice sub = slice_str(type), top = slice_split(&sub, '/');

	return is_token(top) && is_token(sub) && strlen(type) < 120;
}

/* RFC 2231: what is not plain goes as %XX. */
static void
put_filename(struct buf *b, const char *name)
{
	buf_put_str(b, "; filename*=utf-8''");
	for (size_t i = 0; name[i] != '\0' && i < 255; i++) {
		char o = name[i];

		if (ascii_is_alpha(o) || ascii_is_digit(o) || o == '.' ||
		    o == '-' || o == '_')
			buf_put_char(b, o);
		else
			buf_printf(b, "%%%02X", (unsigned char)o);
	}
}

static int
put_attachment(struct api_call *c, struct buf *b, json_t *j)
{
	const char *name = json_string_value(json_object_get(j, "filename"));
	const char *type = json_string_value(json_object_get(j, "type"));
	const char *content = json_string_value(json_object_get(j, "content"));
	struct buf octets = BUF_INIT_MAX(API_COMPOSED_MAX);

	if (type == NULL)
		type = "application/octet-stream";
	/* base64 says nothing about what a multipart has in it (RFC 2045 6.4). */
	if (!is_type(type) || strncasecmp(type, "multipart/", 10) == 0 ||
	    strncasecmp(type, "message/", 8) == 0)
		return bad(c, "the type of an attachment is like image/png");
	if (content == NULL || base64_decode(&octets, slice_str(content)) != 0) {
		buf_clear(&octets);
		return bad(c, "the content of an attachment is base64");
	}
	buf_printf(b, "Content-Type: %s\r\nContent-Disposition: attachment",
	    type);
	if (name != NULL && name[0] != '\0')
		put_filename(b, name);
	buf_put_str(b, "\r\n");
	put_encoded(b, buf_slice(&octets), TRANSFER_BASE64);
	buf_clear(&octets);
	return 0;
}

static int
put_body(struct api_call *c, struct buf *b)
{
	json_t *list = json_object_get(c->in, "attachments"), *item;
	const char *text, *html;
	char boundary[48];
	size_t i;
	int rc;

	if ((rc = api_in_string(c, "text", &text)) != 0 ||
	    (rc = api_in_string(c, "html", &html)) != 0)
		return rc;
	if (text == NULL && html == NULL)
		text = "";
	buf_put_str(b, "MIME-Version: 1.0\r\n");
	if (json_array_size(list) == 0) {
		put_texts(b, text, html);
		return 0;
	}
	if (json_array_size(list) > ATTACHMENTS_MAX)
		return bad(c, "more than 100 attachments");
	put_boundary(boundary);
	put_multipart(b, "mixed", boundary);
	buf_printf(b, "--%s\r\n", boundary);
	put_texts(b, text, html);
	json_array_foreach(list, i, item)
	{
		buf_printf(b, "--%s\r\n", boundary);
		if ((rc = put_attachment(c, b, item)) != 0)
			return rc;
	}
	buf_printf(b, "--%s--\r\n", boundary);
	return 0;
}

/* --- all of it --- */

static int
rcpts_room(struct api_call *c, struct api_outgoing *o)
{
	o->rcpts = arena_array(c->a, API_RCPTS_MAX, sizeof(*o->rcpts));
	return o->rcpts == NULL ? -ENOMEM : 0;
}

int
api_compose(struct api_call *c, struct api_outgoing *o)
{
	struct buf *b = &o->message;
	int rc;

	*b = BUF_INIT_MAX(API_COMPOSED_MAX);
	if ((rc = rcpts_room(c, o)) != 0 || (rc = put_from(c, o)) != 0 ||
	    (rc = put_addresses(c, o, "to", "To", true)) != 0 ||
	    (rc = put_addresses(c, o, "cc", "Cc", true)) != 0 ||
	    (rc = put_addresses(c, o, "bcc", NULL, true)) != 0 ||
	    (rc = put_addresses(c, o, "reply_to", "Reply-To", false)) != 0 ||
	    (rc = put_subject(c, b)) != 0)
		return rc;
	put_ids(o, b);
	if ((rc = put_answered(c, o)) != 0 || (rc = put_body(c, b)) != 0)
		return rc;
	if (b->failed) {
		api_problem(c, "too-large", NULL);
		return API_REPLIED;
	}
	o->message_id = header_value(c->a, buf_slice(b), "Message-ID");
	return 0;
}

static int
raw_rcpts(struct api_call *c, struct slice header, const char *field,
    struct api_outgoing *o)
{
	struct slice rest = header;
	struct address_list list;
	struct header_field f;
	int rc = 0;

	while (rc == 0 && header_next(&rest, &f)) {
		if (!slice_eq_str_nocase(f.name, field))
			continue;
		rc = address_list_parse(c->a, f.value, &list);
		for (size_t i = 0; rc == 0 && i < list.n; i++)
			if (list.v[i].kind == ADDRESS_MAILBOX) {
				if (list.v[i].broken || list.v[i].domain.n == 0)
					return bad(c, "a recipient in the "
						      "header is no address");
				rc = add_rcpt(c, o, &list.v[i]);
			}
	}
	return rc;
}

int
api_compose_raw(
    struct api_call *c, struct slice header, struct api_outgoing *o)
{
	static const char *const fields[] = { "To", "Cc", "Bcc" };
	struct slice value = header_value(c->a, header, "From");
	const struct address *from;
	struct address_list list;
	int rc;

	if (value.p == NULL)
		return bad(c, "the message has no From");
	if ((rc = rcpts_room(c, o)) != 0 ||
	    (rc = address_list_parse(c->a, value, &list)) != 0)
		return rc;
	from = address_list_first(&list);
	if (from == NULL || from->domain.n == 0)
		return bad(c, "From names nobody");
	if ((rc = spec_of(c, from, &o->from)) != 0)
		return rc;
	o->smtputf8 = !ascii_is_all(header);
	for (size_t i = 0; rc == 0 && i < 3; i++)
		rc = raw_rcpts(c, header, fields[i], o);
	o->message_id = header_value(c->a, header, "Message-ID");
	return rc;
}
