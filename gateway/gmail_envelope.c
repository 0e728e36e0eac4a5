/* SPDX-License-Identifier: ISC */
#include "gateway/gmail_envelope.h"

#include <errno.h>

#include "common/mail/address.h"
#include "common/mail/header.h"

struct envelope {
	struct arena *a;
	struct slice *to; /* canonical */
	bool *named;
	size_t n;
	bool others;
};

static void
name(struct envelope *e, const struct address *m)
{
	struct buf spec = BUF_INIT_MAX(2 * ADDRESS_MAX);
	struct slice canonical;
	bool found = false;

	if (m->kind != ADDRESS_MAILBOX)
		return;
	if (m->broken || m->domain.p == NULL ||
	    !address_put_spec(&spec, m->local, m->domain) ||
	    address_canonical(e->a, buf_slice(&spec), &canonical) != 0) {
		e->others = true;
		buf_clear(&spec);
		return;
	}
	buf_clear(&spec);
	for (size_t i = 0; i < e->n; i++)
		if (slice_eq(e->to[i], canonical))
			found = e->named[i] = true;
	e->others = e->others || !found;
}

static int
read_header(struct envelope *e, struct slice header)
{
	static const char *const fields[] = { "To", "Cc", "Bcc" };
	struct address_list list;
	struct header_field f;

	while (header_next(&header, &f)) {
		/* Which of them it then follows is not documented. */
		if (slice_starts_nocase(f.name, "Resent-"))
			e->others = true;
		for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]);
		     i++) {
			if (!slice_eq_str_nocase(slice_trim(f.name), fields[i]))
				continue;
			if (address_list_parse(e->a, f.value, &list) != 0)
				return -ENOMEM;
			e->others = e->others || list.truncated;
			for (size_t k = 0; k < list.n; k++)
				name(e, &list.v[k]);
		}
	}
	return 0;
}

static void
put_bcc(const struct envelope *e, const struct slice *to, struct buf *bcc)
{
	for (size_t i = 0; i < e->n; i++) {
		if (e->named[i])
			continue;
		buf_put_str(bcc, bcc->n == 0 ? "Bcc: " : ",\r\n ");
		buf_put_slice(bcc, to[i]);
	}
	if (bcc->n > 0)
		buf_put_str(bcc, "\r\n");
}

int
gmail_envelope(struct arena *a, struct slice message, const struct slice *to,
    size_t n, struct buf *bcc, bool *others)
{
	struct envelope e = { .a = a, .n = n };
	size_t size = header_size(message);
	int rc = 0;

	*others = true;
	e.to = arena_array(a, n + 1, sizeof(*e.to));
	e.named = arena_array(a, n + 1, sizeof(*e.named));
	if (e.to == NULL || e.named == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = address_canonical(a, to[i], &e.to[i]);
	/* A header without its end is not all of it. */
	if (rc == -EINVAL || size == message.n)
		return 0;
	if (rc == 0)
		rc = read_header(&e, slice_head(message, size));
	if (rc == 0)
		put_bcc(&e, to, bcc);
	*others = e.others;
	return rc == 0 && bcc->failed ? -ENOMEM : rc;
}
