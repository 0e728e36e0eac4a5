/* SPDX-License-Identifier: ISC */
/* Completing a submitted header: pure functions on octets. */
#include "msa/msa.h"

#include <errno.h>

#include "common/mail/address.h"
#include "common/mail/date.h"
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

/* Fields that do not leave with the message: blind recipients (RFC 5322
 * 3.6.3), and what only the last hop may write (RFC 5321 4.4). */
static bool
is_dropped(struct slice name)
{
	static const char *const names[] = { "Bcc", "Resent-Bcc",
		"Return-Path" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_eq_str_nocase(name, names[i]))
			return true;
	return false;
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
put_missing(struct slice header, const struct msa_fixup *f, struct buf *out)
{
	struct header_field field;

	if (!header_find(header, "Date", &field)) {
		buf_put_str(out, "Date: ");
		date_put(out, (struct date){ f->now_s, 0 });
		buf_put_str(out, "\r\n");
	}
	if (!header_find(header, "From", &field)) {
		buf_put_str(out, "From: <");
		buf_put_slice(out, f->from);
		buf_put_str(out, ">\r\n");
	}
	if (!header_find(header, "Message-ID", &field)) {
		buf_put_str(out, "Message-ID: ");
		message_id_put(out, f->id_domain);
		buf_put_str(out, "\r\n");
	}
}

bool
msa_fixup_header(
    struct slice header, const struct msa_fixup *f, struct buf *out)
{
	struct slice rest = header;
	struct header_field field;

	while (header_next(&rest, &field))
		if (!is_dropped(field.name))
			put_field(out, field.raw);
	put_missing(header, f, out);
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
