/* SPDX-License-Identifier: ISC */
/*
 * /html: a message to look at, for a frame. What came is cleaned by
 * html_clean; the sandbox of the Content-Security-Policy stands behind that, so
 * that even what should slip through runs no script, sends no form and
 * fetches nothing.
 */
#include <errno.h>

#include "common/mail/html_clean.h"
#include "common/mail/transfer.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/api/api_messages.h"

#define TEXT_MAX ((size_t)1 << 20)
#define IMAGE_MAX ((size_t)2 << 20)
#define PAGE_MAX ((size_t)12 << 20) /* images included */
#define IMAGES_MAX 100

static const char head[] =
    "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">"
    "<meta name=\"referrer\" content=\"no-referrer\">"
    "<meta name=\"viewport\" content=\"width=device-width\">"
    "<style>html{color-scheme:light;background:#fff;color:#111}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:12px;"
    "overflow-wrap:anywhere}"
    "img{max-width:100%;height:auto}"
    "table{max-width:100%}"
    ".text{white-space:pre-wrap}"
    "blockquote{margin:0 0 0 8px;padding-left:10px;"
    "border-left:3px solid #ccc}</style></head><body>";

struct page {
	struct api_call *c;
	struct mails_view *v;
	uint32_t seq;
	struct mails_summary sum;
	unsigned images;
};

static const char *const image_types[] = { "image/png", "image/jpeg",
	"image/gif", "image/webp", NULL };

static const char *
image_type(struct slice type)
{
	for (const char *const *t = image_types; *t != NULL; t++)
		if (slice_eq_str_nocase(type, *t))
			return *t;
	return NULL;
}

/* "data:image/png;base64,...", as it is. */
static bool
put_data(struct slice src, struct buf *out)
{
	struct slice data = slice_from(src, 5);
	struct slice type = slice_split(&data, ';');

	if (image_type(type) == NULL || !slice_starts_nocase(data, "base64,"))
		return false;
	data = slice_from(data, 7);
	for (size_t i = 0; i < data.n; i++)
		if (base64_digit(data.p[i]) < 0 && data.p[i] != '=')
			return false;
	return buf_printf(out, "data:%s;base64,", image_type(type)) &&
	    buf_put_slice(out, data);
}

/* The part that "cid:..." names (RFC 2392). */
static bool
put_part(struct page *p, struct slice id, struct buf *out)
{
	struct buf octets = BUF_INIT_MAX(IMAGE_MAX);
	struct api_part info;
	bool good = false;

	for (size_t i = 1; i < p->sum.n_parts && !good; i++) {
		const struct mails_part *part = &p->sum.parts[i];
		const char *type = image_type(part->type);

		if (type == NULL ||
		    api_part_info(p->v, p->seq, p->c->a, part, &info) != 0 ||
		    !slice_eq(info.content_id, id))
			continue;
		if (api_part_octets(p->v, p->seq, part, &octets) != 0)
			break;
		good = buf_printf(out, "data:%s;base64,", type) &&
		    base64_encode(out, buf_slice(&octets));
	}
	buf_clear(&octets);
	return good;
}

static bool
put_image(void *arg, struct slice src, struct buf *out)
{
	struct page *p = arg;

	if (p->images == IMAGES_MAX)
		return false;
	p->images++;
	if (slice_starts_nocase(src, "data:"))
		return put_data(src, out);
	return slice_starts_nocase(src, "cid:") &&
	    put_part(p, slice_from(src, 4), out);
}

/* The part to show: HTML before plain text. */
static int
choose(struct page *p, const struct mails_part **out, bool *html)
{
	static const char *const types[] = { "text/html", "text/plain" };
	struct api_part info;
	int rc;

	*out = NULL;
	for (size_t t = 0; t < 2 && *out == NULL; t++)
		for (size_t i = 0; i < p->sum.n_parts && *out == NULL; i++) {
			const struct mails_part *part = &p->sum.parts[i];

			if (part->kind != MAILS_PART_LEAF ||
			    !slice_eq_str(part->type, types[t]))
				continue;
			rc = api_part_info(
			    p->v, p->seq, p->c->a, part, &info);
			if (rc != 0)
				return rc;
			if (slice_eq_str(info.disposition, "attachment"))
				continue;
			*out = part;
			*html = t == 0;
		}
	return 0;
}

static void
put_plain(struct slice text, struct buf *out)
{
	buf_put_str(out, "<div class=\"text\">");
	html_put_text(out, text);
	buf_put_str(out, "</div>");
}

static int
put_page(struct page *p, bool remote, struct buf *out)
{
	struct html_clean h = { .image = put_image, .arg = p,
		.remote = remote };
	struct buf text = BUF_INIT_MAX(TEXT_MAX);
	const struct mails_part *part;
	bool html = false, cut;
	int rc;

	buf_put_str(out, head);
	if ((rc = choose(p, &part, &html)) == 0 && part != NULL &&
	    (rc = api_part_text(p->v, p->seq, part, &text, &cut)) == 0) {
		if (html)
			html_clean(&h, buf_slice(&text), out);
		else
			put_plain(buf_slice(&text), out);
	}
	buf_put_str(out, "</body></html>\n");
	buf_clear(&text);
	return rc;
}

static int
send_page(struct api_call *c, struct page *p)
{
	struct buf out = BUF_INIT_MAX(PAGE_MAX);
	struct slice remote;
	bool allow;
	int rc;

	if (!http_head_query(&c->x->head, "remote", &remote))
		remote = SLICE_EMPTY;
	allow = slice_eq_str(remote, "true");
	if ((rc = put_page(p, allow, &out)) == 0) {
		http_reply_field(c->x, "Content-Security-Policy",
		    allow ? SLICE_LIT(
				"default-src 'none'; style-src "
				"'unsafe-inline'; img-src data: http: https:; "
				"base-uri 'none'; form-action 'none'; "
				"frame-ancestors 'self'; sandbox allow-popups "
				"allow-popups-to-escape-sandbox")
			  : SLICE_LIT(
				"default-src 'none'; style-src "
				"'unsafe-inline'; img-src data:; "
				"base-uri 'none'; form-action 'none'; "
				"frame-ancestors 'self'; sandbox allow-popups "
				"allow-popups-to-escape-sandbox"));
		http_reply(
		    c->x, 200, "text/html; charset=utf-8", buf_slice(&out));
	}
	buf_clear(&out);
	return rc;
}

int
api_message_html(struct api_call *c)
{
	struct page p = { .c = c };
	int rc;

	if ((rc = api_view(c, &p.v)) == 0 &&
	    (rc = api_message(c, p.v, &p.seq)) == 0 &&
	    (rc = mails_summary(p.v, p.seq, c->a, &p.sum)) == 0)
		rc = send_page(c, &p);
	mails_view_close(&p.v);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc;
}
