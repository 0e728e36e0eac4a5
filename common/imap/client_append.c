/* SPDX-License-Identifier: ISC */
/* APPEND (RFC 3501 6.3.11), streamed. */
#include <errno.h>

#include "common/imap/client_impl.h"

#define SHORT 4096 /* RFC 7888 5: what LITERAL- lets go unasked */

static int
send_spool(struct imap_client *c, struct spool *body)
{
	uint64_t at = 0;
	struct slice part;
	int rc = 0;

	while (rc == 0 && at < spool_size(body)) {
		if ((rc = spool_view(body, at, &part)) == 0)
			rc = conn_write(c->conn, part);
		at += part.n;
	}
	return rc;
}

static bool
may_go_on(const struct imap_client *c, uint64_t size)
{
	return imap_client_has(c, "LITERAL+") ||
	    (imap_client_has(c, "LITERAL-") && size <= SHORT);
}

/* Up to where the octets begin. 0, IMAP_REFUSED or an error. */
static int
begin(struct imap_client *c, struct slice mailbox, const char *flags,
    uint64_t size)
{
	bool go_on = may_go_on(c, size);
	struct buf line = BUF_INIT;
	struct imap_response r;
	int rc = -EINVAL;

	buf_put_str(&line, "APPEND ");
	if (imap_put_quoted(&line, mailbox)) {
		buf_printf(&line, " (%s) {%llu%s}", flags,
		    (unsigned long long)size, go_on ? "+" : "");
		rc = line.failed ? -ENOMEM : client_send(c, buf_slice(&line));
	}
	buf_clear(&line);
	if (rc != 0 || go_on)
		return rc;
	rc = client_wait(c, NULL, true, &r);
	return rc == IMAP_MORE ? 0 : rc == 0 ? -EPROTO : rc;
}

/* "APPENDUID 38505 3955" (RFC 4315 3); or not said. */
static void
where(struct slice code, struct imap_append *out)
{
	uint64_t validity, uid;

	if (slice_eq_str_nocase(slice_split(&code, ' '), "APPENDUID") &&
	    slice_u64(slice_split(&code, ' '), UINT32_MAX, &validity) == 0 &&
	    slice_u64(code, UINT32_MAX, &uid) == 0) {
		out->uidvalidity = (uint32_t)validity;
		out->uid = (uint32_t)uid;
	}
}

int
imap_client_append(struct imap_client *c, struct slice mailbox,
    const char *flags, struct slice header, struct spool *body,
    struct imap_append *out)
{
	uint64_t size = header.n + spool_size(body);
	struct imap_response r;
	int rc;

	*out = (struct imap_append){ .uid = 0 };
	if (c->broken)
		return -ECONNRESET;
	if ((rc = begin(c, mailbox, flags, size)) == 0) {
		out->sent = true;
		if ((rc = conn_write(c->conn, header)) == 0 &&
		    (rc = send_spool(c, body)) == 0)
			rc = conn_puts(c->conn, "\r\n");
		/* Half a literal: nothing can be said after it. */
		if (rc != 0) {
			c->broken = true;
			return rc;
		}
		rc = client_wait(c, NULL, false, &r);
	}
	if (rc == 0)
		where(r.code, out);
	return rc;
}
