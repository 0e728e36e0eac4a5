/* SPDX-License-Identifier: ISC */
/*
 * A notification is written front to back: header, words, fields, original.
 * Everything that came from elsewhere passes through header_put or put_line,
 * so that no reply or address can begin a line of its own.
 */
#include "common/mail/dsn.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "common/mail/dsn_words.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"

#define LINE_MAX_SMTP 998 /* RFC 5322 2.1.1 */
#define FLUSH_AT 4096

struct writer {
	const struct dsn *d;
	dsn_put_fn *put;
	void *arg;
	struct buf b;
	char boundary[sizeof("pneu-") + ID_LEN];
	bool eight_bit; /* octets of 128 and more may go out */
	size_t column;  /* in the original */
	bool after_cr;
};

static int
flush(struct writer *w)
{
	int rc = w->b.failed ? -ENOMEM : 0;

	if (rc == 0 && w->b.n > 0)
		rc = w->put(w->arg, buf_slice(&w->b));
	buf_reset(&w->b);
	return rc;
}

/* --- addresses and text of others --- */

/* One line of ASCII, or of UTF-8 where that is allowed; malloc'd in `out`. */
static struct slice
clean(const struct writer *w, struct slice s, struct buf *out)
{
	size_t n = 0;

	buf_reset(out);
	if (w->d->utf8)
		charset_to_utf8(SLICE_LIT("utf-8"), s, out);
	else
		for (size_t i = 0; i < s.n; i++)
			buf_put_char(
			    out, (unsigned char)s.p[i] < 128 ? s.p[i] : '?');
	for (size_t i = 0; i < out->n; i++) {
		char c = out->p[i];

		if (c == '\r' && i + 1 < out->n && out->p[i + 1] == '\n')
			continue;
		out->p[n++] = (unsigned char)c < ' ' || c == 127 ? ' ' : c;
	}
	buf_truncate(out, n);
	return slice_trim(buf_slice(out));
}

static void
put_field(struct writer *w, const char *name, struct slice value)
{
	struct buf text = BUF_INIT;

	header_put(&w->b, name, clean(w, value, &text));
	buf_clear(&text);
}

/* "type; value"; nothing when the value is empty. */
static void
put_typed(
    struct writer *w, const char *name, const char *type, struct slice value)
{
	struct buf text = BUF_INIT;

	if (value.n == 0)
		return;
	buf_printf(&text, "%s; ", type);
	buf_put_slice(&text, value);
	put_field(w, name, buf_slice(&text));
	buf_clear(&text);
}

/* The code point of the character at the start of s, which is valid. */
static uint32_t
code_point(struct slice s, size_t n)
{
	uint32_t c = (unsigned char)s.p[0] & (0xffu >> (n + 1));

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
	return c;
}

/* utf-8-addr-xtext of RFC 6533 3: what takes no UTF-8 gets "\x{FC}". */
static void
put_xtext(struct buf *b, struct slice s)
{
	while (s.n > 0) {
		size_t n = utf8_prefix(s, 1);
		unsigned char c = (unsigned char)*s.p;

		if (n > 1)
			buf_printf(b, "\\x{%X}", code_point(s, n));
		else if (c <= ' ' || c == 127 || memchr("\\+=", c, 3) != NULL)
			buf_printf(b, "\\x{%02X}", c);
		else
			buf_put_char(b, (char)c);
		s = slice_from(s, n);
	}
}

static void
put_recipient_field(struct writer *w, const char *name, struct slice address)
{
	struct buf text = BUF_INIT;

	if (ascii_is_all(address)) {
		put_typed(w, name, "rfc822", address);
	} else if (w->d->utf8 || !utf8_is_valid(address)) {
		put_typed(w, name, "utf-8", address);
	} else {
		put_xtext(&text, address);
		put_typed(w, name, "utf-8", buf_slice(&text));
	}
	buf_clear(&text);
}

static void
put_date_field(struct writer *w, const char *name, int64_t seconds)
{
	buf_printf(&w->b, "%s: ", name);
	date_put(&w->b, (struct date){ seconds, 0 });
	buf_put_str(&w->b, "\r\n");
}

/* --- the header and the words --- */

static void
put_header(struct writer *w)
{
	const struct dsn *d = w->d;
	struct buf id = BUF_INIT;

	buf_put_str(&w->b, "From: Mail Delivery System <MAILER-DAEMON@");
	buf_put_slice(&w->b, d->reporting_mta);
	buf_put_str(&w->b, ">\r\n");
	put_field(w, "To", d->sender);
	put_field(w, "Subject", dsn_words_subject(d));
	put_date_field(w, "Date", d->now);
	message_id_put(&id, d->reporting_mta);
	put_field(w, "Message-ID", buf_slice(&id));
	buf_clear(&id);
	buf_printf(&w->b,
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report;"
	    " report-type=%sdelivery-status;\r\n"
	    " boundary=\"%s\"\r\n"
	    "Content-Transfer-Encoding: %s\r\n"
	    "\r\n"
	    "This is a report in the format of RFC 3464.\r\n",
	    d->utf8 ? "global-" : "", w->boundary,
	    w->eight_bit ? "8bit" : "7bit");
}

static void
put_part(
    struct writer *w, const char *type, const char *description, bool eight_bit)
{
	buf_printf(&w->b,
	    "\r\n--%s\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Description: %s\r\n"
	    "Content-Transfer-Encoding: %s\r\n"
	    "\r\n",
	    w->boundary, type, description, eight_bit ? "8bit" : "7bit");
}

/* Indented, in lines that are not too long. */
static void
put_line(struct writer *w, const char *indent, struct slice line)
{
	struct buf text = BUF_INIT;
	struct slice s = clean(w, line, &text);

	do {
		struct slice part = slice_head(s, 900);

		while (
		    part.n < s.n && ((unsigned char)s.p[part.n] & 0xc0) == 0x80)
			part.n--;
		buf_put_str(&w->b, indent);
		buf_put_slice(&w->b, part);
		buf_put_str(&w->b, "\r\n");
		s = slice_from(s, part.n);
	} while (s.n > 0);
	buf_clear(&text);
}

static void
put_reply(struct writer *w, const struct dsn_recipient *r)
{
	struct slice lines = r->diagnostic;

	if (lines.n == 0)
		return;
	if (r->remote_mta.n > 0) {
		put_line(w, "    The answer came from ", r->remote_mta);
		buf_truncate(&w->b, w->b.n - 2);
		buf_put_str(&w->b, ":\r\n");
	} else {
		buf_put_str(&w->b, "    The answer was:\r\n");
	}
	while (lines.n > 0)
		put_line(w, "      ", slice_split(&lines, '\n'));
}

static int
put_words(struct writer *w)
{
	const struct dsn *d = w->d;
	int rc;

	put_part(w,
	    d->utf8 ? "text/plain; charset=utf-8"
		    : "text/plain; charset=us-ascii",
	    "What happened", d->utf8);
	buf_put_str(&w->b, "This is the mail system at ");
	buf_put_slice(&w->b, d->reporting_mta);
	buf_put_str(&w->b, ".\r\n");
	for (size_t i = 0; i < d->n_recipients; i++) {
		const struct dsn_recipient *r = &d->recipients[i];

		buf_put_str(&w->b, "\r\n");
		put_line(w, "  ", r->final);
		dsn_words_put_recipient(&w->b, r);
		put_reply(w, r);
		if ((rc = flush(w)) != 0)
			return rc;
	}
	dsn_words_put_advice(&w->b, d);
	return flush(w);
}

/* --- the fields --- */

static const char *
action_name(enum dsn_action action)
{
	static const char names[][10] = { "failed", "delayed", "delivered",
		"relayed", "expanded" };

	return names[action];
}

static struct slice
default_status(enum dsn_action action)
{
	return action == DSN_FAILED ? SLICE_LIT("5.0.0")
	    : action == DSN_DELAYED ? SLICE_LIT("4.0.0")
				    : SLICE_LIT("2.0.0");
}

/* "rfc822;bob@x" as it came, but its UTF-8 only where that may be. */
static void
put_original_recipient(struct writer *w, struct slice original)
{
	struct slice address = original;

	if (original.n == 0)
		return;
	slice_split(&address, ';');
	if (!ascii_is_all(original))
		put_recipient_field(w, "Original-Recipient", address);
	else
		put_field(w, "Original-Recipient", original);
}

static void
put_recipient(struct writer *w, const struct dsn_recipient *r)
{
	buf_put_str(&w->b, "\r\n");
	put_original_recipient(w, r->original);
	put_recipient_field(w, "Final-Recipient", r->final);
	buf_printf(&w->b, "Action: %s\r\n", action_name(r->action));
	put_field(w, "Status",
	    r->status.n > 0 ? r->status : default_status(r->action));
	put_typed(w, "Remote-MTA", "dns", r->remote_mta);
	put_typed(w, "Diagnostic-Code", "smtp", r->diagnostic);
	if (r->last_attempt != 0)
		put_date_field(w, "Last-Attempt-Date", r->last_attempt);
	if (r->will_retry_until != 0 && r->action == DSN_DELAYED)
		put_date_field(w, "Will-Retry-Until", r->will_retry_until);
}

static int
put_report(struct writer *w)
{
	const struct dsn *d = w->d;
	int rc = 0;

	put_part(w,
	    d->utf8 ? "message/global-delivery-status"
		    : "message/delivery-status",
	    "Delivery report", d->utf8);
	if (d->envelope_id.n > 0)
		put_field(w, "Original-Envelope-Id", d->envelope_id);
	put_typed(w, "Reporting-MTA", "dns", d->reporting_mta);
	if (d->arrival != 0)
		put_date_field(w, "Arrival-Date", d->arrival);
	if (d->deliver_by != 0)
		put_date_field(w, "Deliver-By-Date", d->deliver_by);
	if (d->hold.n > 0)
		put_field(w, "Future-Release-Request", d->hold);
	for (size_t i = 0; i < d->n_recipients && rc == 0; i++) {
		put_recipient(w, &d->recipients[i]);
		rc = flush(w);
	}
	return rc != 0 ? rc : flush(w);
}

/* --- the original --- */

static int
put_original_char(struct writer *w, char c)
{
	bool after_cr = w->after_cr;

	w->after_cr = c == '\r';
	if (c == '\n' && after_cr)
		return 0; /* its CR has ended the line */
	if (c == '\r' || c == '\n') {
		buf_put_str(&w->b, "\r\n");
		w->column = 0;
	} else {
		if (w->column++ == LINE_MAX_SMTP) {
			buf_put_str(&w->b, "\r\n");
			w->column = 1;
		}
		if (c == '\0' || (!w->eight_bit && (unsigned char)c >= 128))
			c = '?';
		buf_put_char(&w->b, c);
	}
	return w->b.n < FLUSH_AT ? 0 : flush(w);
}

static int
put_original_octets(struct writer *w, struct slice s)
{
	int rc = 0;

	for (size_t i = 0; i < s.n && rc == 0; i++)
		rc = put_original_char(w, s.p[i]);
	return rc;
}

/* The next piece of the original, empty at its end. */
static int
next_chunk(const struct dsn *d, struct slice *chunk, bool *begun)
{
	if (d->read != NULL)
		return d->read(d->read_arg, chunk);
	*chunk = *begun ? SLICE_EMPTY : d->original;
	*begun = true;
	return 0;
}

static int
put_original_whole(struct writer *w)
{
	struct slice chunk;
	bool begun = false;
	int rc;

	while ((rc = next_chunk(w->d, &chunk, &begun)) == 0 && chunk.n > 0)
		if ((rc = put_original_octets(w, chunk)) != 0)
			break;
	return rc;
}

static int
put_original_header(struct writer *w)
{
	struct header_reader r;
	struct slice chunk, header;
	bool begun = false;
	int rc = 0;

	header_reader_init(&r);
	while (rc == 0 && !r.done) {
		rc = next_chunk(w->d, &chunk, &begun);
		if (rc == 0 && chunk.n == 0)
			header_reader_end(&r);
		else if (rc == 0)
			rc = header_reader_feed(&r, chunk);
	}
	header = header_reader_header(&r);
	if (slice_ends_nocase(header, "\n\r\n"))
		header.n -= 2; /* the blank line is not a field */
	else if (slice_ends_nocase(header, "\n\n"))
		header.n -= 1;
	if (rc == 0)
		rc = put_original_octets(w, header);
	header_reader_clear(&r);
	return rc;
}

static int
put_original(struct writer *w)
{
	const struct dsn *d = w->d;
	int rc;

	if (d->whole)
		put_part(w, d->utf8 ? "message/global" : "message/rfc822",
		    "The message", w->eight_bit);
	else
		put_part(w,
		    d->utf8 ? "message/global-headers" : "text/rfc822-headers",
		    "The header of the message", w->eight_bit);
	rc = d->whole ? put_original_whole(w) : put_original_header(w);
	buf_printf(&w->b, "\r\n--%s--\r\n", w->boundary);
	return rc != 0 ? rc : flush(w);
}

int
dsn_write(const struct dsn *d, dsn_put_fn *put, void *arg)
{
	struct writer w = { .d = d, .put = put, .arg = arg, .b = BUF_INIT };
	char id[ID_LEN + 1];
	int rc;

	if (d->sender.n == 0 || d->n_recipients == 0)
		return -EINVAL;
	/* Chance, so that no original holds a line of it. */
	id_new(id);
	memcpy(w.boundary, "pneu-", 5);
	memcpy(w.boundary + 5, id, ID_LEN + 1);
	w.eight_bit = d->utf8 || d->eight_bit;
	put_header(&w);
	rc = put_words(&w);
	if (rc == 0)
		rc = put_report(&w);
	if (rc == 0)
		rc = put_original(&w);
	buf_clear(&w.b);
	return rc;
}

int
dsn_put_buf(void *buf, struct slice octets)
{
	return buf_put_slice(buf, octets) ? 0 : -ENOSPC;
}
