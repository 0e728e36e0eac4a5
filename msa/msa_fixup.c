/* SPDX-License-Identifier: ISC */
/* Completing a submitted header: pure functions on octets. */
#include "msa/msa.h"

#include <errno.h>

#include "common/mail/address.h"
#include "common/mail/date.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"

bool
msa_header_measure(struct slice head, uint64_t size, struct slice *header)
{
	bool whole = head.n >= size;

	/* A line that is cut could be taken for the first of the body. */
	if (!whole)
		head.n = (size_t)(slice_rfind(head, '\n') + 1);
	*header = slice_head(head, header_size(head));
	return whole || header->n < head.n;
}

/* --- what is there --- */

/* What a header has, as far as it matters here. */
struct seen {
	struct arena arena;
	bool date, message_id, from, sender;
	size_t authors;            /* addresses in From */
	struct slice local, domain; /* the first of them */
};

static int
see_author(void *arg, struct slice local, struct slice domain)
{
	struct seen *seen = arg;

	if (seen->authors++ == 0) {
		seen->local = local;
		seen->domain = domain;
	}
	return 0;
}

static bool
is_date(struct arena *a, struct slice value)
{
	struct slice text = header_unfold(a, value);
	struct date d;

	return text.p != NULL && date_parse(text, &d) == 0;
}

/* Fields that cannot be read count as not there (RFC 6409 8.2, 8.3), and go. */
static bool
is_junk(struct arena *a, const struct header_field *f, unsigned fixes)
{
	if (slice_eq_str_nocase(f->name, "Date"))
		return (fixes & MSA_FIX_DATE) && !is_date(a, f->value);
	if (slice_eq_str_nocase(f->name, "Message-ID"))
		return (fixes & MSA_FIX_MESSAGE_ID) &&
		    message_id_first(a, f->value).p == NULL;
	return false;
}

static void
see(struct seen *seen, struct slice header, unsigned fixes)
{
	struct slice rest = header;
	struct header_field f;

	while (header_next(&rest, &f)) {
		if (is_junk(&seen->arena, &f, fixes))
			continue;
		seen->date |= slice_eq_str_nocase(f.name, "Date");
		seen->message_id |= slice_eq_str_nocase(f.name, "Message-ID");
		seen->from |= slice_eq_str_nocase(f.name, "From");
		seen->sender |= slice_eq_str_nocase(f.name, "Sender");
	}
	(void)msa_each_address(
	    &seen->arena, header, "From", see_author, seen);
}

/* --- what goes, what is added --- */

/* Blind recipients do not leave with the message (RFC 5322 3.6.3); Return-Path
 * only the last hop may write (RFC 5321 4.4). */
static bool
is_dropped(struct slice name, unsigned fixes)
{
	if (slice_eq_str_nocase(name, "Return-Path"))
		return true;
	return (fixes & MSA_FIX_BCC) &&
	    (slice_eq_str_nocase(name, "Bcc") ||
		slice_eq_str_nocase(name, "Resent-Bcc"));
}

/* A field with its line ends made CRLF; a last line without one gets it. */
static bool
put_field(struct buf *out, struct slice raw)
{
	while (raw.n > 0) {
		struct slice line = slice_split(&raw, '\n');

		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		buf_put_slice(out, line);
		buf_put_str(out, "\r\n");
	}
	return !out->failed;
}

static void
put_qualified(const struct msa_fixup *f, const struct header_field *field,
    struct buf *out)
{
	struct buf b = BUF_INIT_MAX(MSA_HEADER_MAX * 2);
	const char *end = field->value.p + field->value.n;

	buf_put(&b, field->raw.p, (size_t)(field->value.p - field->raw.p));
	msa_qualify(field->value, f, &b);
	buf_put(&b, end, (size_t)(field->raw.p + field->raw.n - end));
	if (b.failed)
		out->failed = true;
	else
		put_field(out, buf_slice(&b));
	buf_clear(&b);
}

static bool
is_qualified(const struct msa_fixup *f, struct slice name)
{
	return (f->fixes & MSA_FIX_QUALIFY) && f->domain.n > 0 &&
	    msa_names_recipients(name);
}

static void
put_from(const struct msa_fixup *f, struct buf *out)
{
	buf_put_str(out, "From: ");
	if (f->from_name.n > 0) {
		encoded_put_phrase(out, f->from_name, strlen("From: "));
		buf_put_char(out, ' ');
	}
	buf_put_char(out, '<');
	buf_put_slice(out, f->from);
	buf_put_str(out, ">\r\n");
}

/* Is From other than the sender alone? */
static bool
needs_sender(const struct seen *seen, const struct msa_fixup *f)
{
	struct buf author = BUF_INIT_MAX(1024);
	bool same;

	if (seen->sender || seen->authors == 0)
		return false;
	if (seen->authors > 1)
		return (f->fixes & (MSA_FIX_SENDER | MSA_FIX_SENDER_ALWAYS));
	if (!(f->fixes & MSA_FIX_SENDER_ALWAYS))
		return false;
	same = address_put_spec(&author, seen->local, seen->domain) &&
	    slice_eq_nocase(buf_slice(&author), f->sender);
	buf_clear(&author);
	return !same;
}

static void
put_missing(
    const struct seen *seen, const struct msa_fixup *f, struct buf *out)
{
	if (!seen->date && (f->fixes & MSA_FIX_DATE)) {
		buf_put_str(out, "Date: ");
		date_put(out, (struct date){ f->now_s, 0 });
		buf_put_str(out, "\r\n");
	}
	if (!seen->from && (f->fixes & MSA_FIX_FROM))
		put_from(f, out);
	if (needs_sender(seen, f)) {
		buf_put_str(out, "Sender: <");
		buf_put_slice(out, f->sender);
		buf_put_str(out, ">\r\n");
	}
	if (!seen->message_id && (f->fixes & MSA_FIX_MESSAGE_ID)) {
		buf_put_str(out, "Message-ID: ");
		message_id_put(out, f->id_domain);
		buf_put_str(out, "\r\n");
	}
}

bool
msa_fixup_header(
    struct slice header, const struct msa_fixup *f, struct buf *out)
{
	struct seen seen = { .arena = ARENA_INIT_MAX((size_t)16 << 20) };
	struct slice rest = header;
	struct header_field field;

	see(&seen, header, f->fixes);
	while (header_next(&rest, &field)) {
		if (is_dropped(field.name, f->fixes) ||
		    is_junk(&seen.arena, &field, f->fixes))
			continue;
		if (is_qualified(f, field.name))
			put_qualified(f, &field, out);
		else
			put_field(out, field.raw);
	}
	put_missing(&seen, f, out);
	arena_reset(&seen.arena);
	return !out->failed;
}

static int
each_address(struct arena *a, struct slice value,
    int (*address)(void *arg, struct slice local, struct slice domain),
    void *arg)
{
	struct address_list list;
	int rc = address_list_parse(a, value, &list);

	for (size_t i = 0; rc == 0 && i < list.n; i++)
		if (list.v[i].kind == ADDRESS_MAILBOX)
			rc = address(arg, list.v[i].local, list.v[i].domain);
	return rc == 0 && list.truncated ? -E2BIG : rc;
}

int
msa_each_address(struct arena *a, struct slice header, const char *name,
    int (*address)(void *arg, struct slice local, struct slice domain),
    void *arg)
{
	struct slice rest = header;
	struct header_field field;
	int rc = 0;

	while (rc == 0 && header_next(&rest, &field))
		if (slice_eq_str_nocase(field.name, name))
			rc = each_address(a, field.value, address, arg);
	return rc;
}
