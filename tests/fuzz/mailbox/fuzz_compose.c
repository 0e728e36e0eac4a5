/* SPDX-License-Identifier: ISC */
/*
 * The JSON of /send as a message: whatever is in it, the message that comes out
 * is one for the wire (lines, no other fields than ours, ASCII where it must
 * be), names in header and envelope those that were asked for, and its parts
 * read again are what was put in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/mime.h"
#include "mailbox/api/api_compose.h"
#include "tests/fuzz/json_kept.h"
#include "tests/fuzz/need.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct api_env env;
static const struct http_server nobody = { .handle = NULL };

/* --- the wire --- */

static void
check_lines(struct slice message)
{
	size_t from = 0;

	need(message.n >= 2 && message.p[message.n - 1] == '\n');
	for (size_t i = 0; i < message.n; i++) {
		need(message.p[i] != '\0');
		if (message.p[i] == '\r')
			need(i + 1 < message.n && message.p[i + 1] == '\n');
		if (message.p[i] != '\n')
			continue;
		need(i > 0 && message.p[i - 1] == '\r');
		need(i - 1 - from <= 998); /* RFC 5322 2.1.1 */
		from = i + 1;
	}
}

static void
check_fields(struct slice header, bool utf8)
{
	static const char *const ours[] = { "From", "To", "Cc", "Reply-To",
		"Subject", "Message-ID", "Date", "MIME-Version", "Content-Type",
		"Content-Transfer-Encoding" };
	unsigned seen = 0;
	struct header_field f;

	need(utf8 || ascii_is_all(header));
	while (header_next(&header, &f)) {
		size_t i = 0;

		while (i < 10 && !slice_eq_str(f.name, ours[i]))
			i++;
		need(i < 10 && (seen & 1u << i) == 0);
		seen |= 1u << i;
	}
	need((seen & 0x1e1) == 0x1e1 || (seen & 0x161) == 0x161);
}

/* --- who --- */

static void
put_spec(struct buf *b, const struct address *m)
{
	address_put_spec(b, m->local, m->domain);
	buf_put_char(b, '\n');
}

/* What one of the JSON is, as the API takes it. */
static void
put_wanted(struct arena *a, struct buf *b, json_t *j)
{
	const char *text = json_string_value(
	    json_is_object(j) ? json_object_get(j, "address") : j);
	struct address_list list;

	need(text != NULL &&
	    address_list_parse(a, slice_str(text), &list) == 0 && list.n == 1);
	put_spec(b, &list.v[0]);
}

static void
check_list(
    struct arena *a, json_t *in, const char *key, struct slice field_value)
{
	struct buf want = BUF_INIT, got = BUF_INIT;
	json_t *list = json_object_get(in, key), *one;
	struct address_list have = { .n = 0 };
	size_t i;

	json_array_foreach(list, i, one) put_wanted(a, &want, one);
	if (field_value.p != NULL)
		need(address_list_parse(a, field_value, &have) == 0);
	for (i = 0; i < have.n; i++) {
		need(!have.v[i].broken && have.v[i].kind == ADDRESS_MAILBOX);
		put_spec(&got, &have.v[i]);
	}
	need(slice_eq(buf_slice(&want), buf_slice(&got)));
	buf_clear(&want);
	buf_clear(&got);
}

static void
check_rcpts(struct arena *a, json_t *in, const struct api_outgoing *o)
{
	static const char *const keys[] = { "to", "cc", "bcc" };
	size_t n = 0;

	for (size_t k = 0; k < 3; k++) {
		json_t *one;
		size_t i;

		json_array_foreach(json_object_get(in, keys[k]), i, one)
		{
			struct buf want = BUF_INIT;
			bool found = false;

			put_wanted(a, &want, one);
			want.n--; /* the line end */
			for (size_t r = 0; r < o->n_rcpts; r++)
				found |= slice_eq_nocase(
				    o->rcpts[r], buf_slice(&want));
			need(found);
			buf_clear(&want);
			n++;
		}
	}
	need(o->n_rcpts <= n);
	for (size_t r = 0; r < o->n_rcpts; r++)
		for (size_t i = 0; i < o->rcpts[r].n; i++)
			need((unsigned char)o->rcpts[r].p[i] >= ' ');
}

/* Encoded and decoded, words of blanks may have become one: all are left out. */
static void
put_squeezed(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > ' ')
			buf_put_char(b, s.p[i]);
}

static void
check_subject(struct arena *a, json_t *in, struct slice header)
{
	const char *want = json_string_value(json_object_get(in, "subject"));
	struct slice got = header_value(a, header, "Subject");
	struct buf w = BUF_INIT, g = BUF_INIT;

	if (want != NULL) {
		put_squeezed(&w, slice_str(want));
		put_squeezed(&g, encoded_decode(a, got));
		/* What looks like an encoded word stands for itself nowhere. */
		need(slice_eq(buf_slice(&w), buf_slice(&g)) ||
		    strstr(want, "=?") != NULL);
	}
	buf_clear(&w);
	buf_clear(&g);
}

/* --- what --- */

static void
decode(struct slice message, const struct mime_part *p, struct buf *out)
{
	struct transfer_decoder d;

	transfer_decoder_init(&d, p->encoding);
	transfer_decode(
	    &d, slice(message.p + p->body_at, (size_t)p->body_size), out);
	transfer_decoder_end(&d, out);
}

/* Line ends are CRLF then, and there may be one more. */
static void
put_lines(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '\r' || i + 1 == s.n || s.p[i + 1] != '\n')
			buf_put_char(b, s.p[i]);
	while (b->n > 0 && b->p[b->n - 1] == '\n')
		b->n--;
}

static const struct mime_part *
check_text(struct slice message, const struct mime_part *p, const char *subtype,
    const char *want)
{
	struct buf w = BUF_INIT, g = BUF_INIT, raw = BUF_INIT;

	need(mime_part_is(p, "text", subtype) && p->encoding == TRANSFER_QP);
	decode(message, p, &raw);
	put_lines(&g, buf_slice(&raw));
	put_lines(&w, slice_str(want));
	need(slice_eq(buf_slice(&w), buf_slice(&g)));
	buf_clear(&raw);
	buf_clear(&w);
	buf_clear(&g);
	return mime_part_next(p);
}

static const struct mime_part *
check_attachment(
    struct arena *a, struct slice message, const struct mime_part *p, json_t *j)
{
	const char *name = json_string_value(json_object_get(j, "filename"));
	const char *type = json_string_value(json_object_get(j, "type"));
	struct slice content =
	    slice_str(json_string_value(json_object_get(j, "content")));
	struct buf want = BUF_INIT, got = BUF_INIT;
	struct slice slash = slice_str(type);

	need(p != NULL && p->kind == MIME_LEAF &&
	    slice_eq_str(p->disposition, "attachment"));
	if (type != NULL) {
		need(slice_eq_nocase(p->type, slice_split(&slash, '/')));
		need(slice_eq_nocase(p->subtype, slash));
	}
	decode(message, p, &got);
	need(base64_decode(&want, content) == 0);
	need(slice_eq(buf_slice(&want), buf_slice(&got)));
	if (name != NULL && *name != '\0') {
		struct slice n =
		    param_decode(a, &p->disposition_params, "filename");

		need(n.n > 0 && slice_starts(slice_str(name), "") &&
		    (slice_eq_str(n, name) || strlen(name) > 250));
	}
	buf_clear(&want);
	buf_clear(&got);
	return mime_part_next(p);
}

static void
check_parts(struct arena *a, json_t *in, struct slice message)
{
	const char *text = json_string_value(json_object_get(in, "text"));
	const char *html = json_string_value(json_object_get(in, "html"));
	json_t *list = json_object_get(in, "attachments"), *one;
	struct mime_part *root;
	const struct mime_part *p;
	size_t i;

	need(mime_parse(a, message, &root) == 0);
	p = root;
	if (json_array_size(list) > 0) {
		need(mime_part_is(p, "multipart", "mixed"));
		p = mime_part_next(p);
	}
	if (text != NULL && html != NULL) {
		need(mime_part_is(p, "multipart", "alternative"));
		p = mime_part_next(p);
	}
	if (text != NULL || html == NULL)
		p = check_text(message, p, "plain", text != NULL ? text : "");
	if (html != NULL)
		p = check_text(message, p, "html", html);
	json_array_foreach(list, i, one) p =
	    check_attachment(a, message, p, one);
	need(p == NULL);
}

/* --- one --- */

static void
check(struct api_call *c, const struct api_outgoing *o)
{
	struct arena a = ARENA_INIT_MAX((size_t)32 << 20);
	struct slice message = buf_slice(&o->message);
	struct slice header = slice_head(message, header_size(message));

	check_lines(message);
	check_fields(header, o->smtputf8);
	check_rcpts(&a, c->in, o);
	check_list(&a, c->in, "to", header_value(&a, header, "To"));
	check_list(&a, c->in, "cc", header_value(&a, header, "Cc"));
	check_list(&a, c->in, "reply_to", header_value(&a, header, "Reply-To"));
	check_subject(&a, c->in, header);
	check_parts(&a, c->in, message);
	arena_reset(&a);
}

static void
run(void *arg)
{
	struct http_exchange x = { .server = &nobody,
		.a = ARENA_INIT_MAX((size_t)16 << 20) };
	struct api_call c = { .x = &x, .a = &x.a, .env = &env, .in = arg };
	struct api_outgoing o = { .n_rcpts = 0 };
	struct conn *peer;
	int rc;

	need(conn_pair(&x.c, &peer) == 0);
	rc = api_compose(&c, &o);
	need(rc == 0 || rc == API_REPLIED || rc == -ENOMEM);
	need((rc == API_REPLIED) == x.begun);
	need(x.status < 500);
	if (rc == 0)
		check(&c, &o);
	buf_clear(&o.message);
	buf_clear(&x.fields);
	arena_reset(&x.a);
	conn_free(&x.c);
	conn_free(&peer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf why = BUF_INIT;
	json_t *in = NULL;

	log_set_level(LOG_LEVEL_ERROR);
	json_kept_start();
	if (http_json_load(slice(p, n), &in, &why) == 0) {
		/* Of the account, and of a message that is there. */
		if (json_string_value(json_object_get(in, "from")) == NULL)
			json_object_set_new(
			    in, "from", json_string("U <u@x.test>"));
		json_object_del(in, "answers");
		need(co_run(run, in) == 0);
	}
	json_decref(in);
	buf_clear(&why);
	json_kept_check();
	return 0;
}
