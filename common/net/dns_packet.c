/* SPDX-License-Identifier: ISC */
/*
 * Reading a DNS answer (RFC 1035 4.1). libunbound has checked the signatures
 * where there are any, but what an unsigned zone says is anybody's: nothing
 * here trusts a length, a count or a pointer.
 */
#include <errno.h>
#include <stdio.h>

#include "common/net/dns.h"

#define HEADER_SIZE 12
#define NAME_WIRE_MAX 255 /* RFC 1035 2.3.4 */
#define CNAMES_MAX 16
#define TYPE_CNAME 5
#define CLASS_IN 1

static unsigned
get_be16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* --- names --- */

/* Text of a name being made; `n` without the NUL. */
struct name_text {
	char *p; /* of 256 octets */
	size_t n;
};

static bool
put_char(struct name_text *t, char c)
{
	if (t->n == 255)
		return false;
	t->p[t->n++] = c;
	return true;
}

/* An octet of a label, as a zone file has it (RFC 1035 5.1). */
static bool
put_octet(struct name_text *t, unsigned char c)
{
	if (c == '.' || c == '\\')
		return put_char(t, '\\') && put_char(t, (char)c);
	if (c > ' ' && c < 0x7f)
		return put_char(t, ascii_lower((char)c));
	return put_char(t, '\\') && put_char(t, (char)('0' + c / 100)) &&
	    put_char(t, (char)('0' + c / 10 % 10)) &&
	    put_char(t, (char)('0' + c % 10));
}

static bool
put_label(struct name_text *t, struct slice label)
{
	if (t->n > 0 && !put_char(t, '.'))
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!put_octet(t, (unsigned char)label.p[i]))
			return false;
	return true;
}

/*
 * The name at `at`, whose own octets end before `end`. Returns how many these
 * are, or -EBADMSG. Pointers go back only (RFC 1035 4.1.4: to a prior
 * occurrence), so that there are no loops.
 */
static int
name_expand(struct slice packet, size_t at, size_t end, char out[static 256])
{
	struct name_text text = { out, 0 };
	size_t start = at, used = 0, wire = 1;

	for (;;) {
		unsigned len;

		if (at >= end)
			return -EBADMSG;
		len = (unsigned char)packet.p[at];
		if (len >= 0xc0) {
			size_t to;

			if (at + 2 > end)
				return -EBADMSG;
			to = get_be16(packet.p + at) & 0x3fff;
			if (used == 0)
				used = at + 2 - start;
			if (to >= start)
				return -EBADMSG;
			end = start; /* a name ends before what points to it */
			start = at = to;
			continue;
		}
		if (len > 63 || at + 1 + len > end)
			return -EBADMSG;
		at += 1 + len;
		if (len == 0)
			break;
		wire += 1 + len;
		if (wire > NAME_WIRE_MAX ||
		    !put_label(&text, slice(packet.p + at - len, len)))
			return -EBADMSG;
	}
	out[text.n] = '\0';
	return (int)(used != 0 ? used : at - start);
}

int
dns_rdata_name(
    struct slice packet, struct slice rdata, size_t at, char out[static 256])
{
	size_t start = (size_t)(rdata.p - packet.p);

	if (at >= rdata.n)
		return -EBADMSG;
	return name_expand(packet, start + at, start + rdata.n, out);
}

/* --- records --- */

struct rr {
	char owner[256];
	unsigned type, class;
	struct slice rdata;
};

/* The record at *at, which moves behind it. 0 or -EBADMSG. */
static int
rr_read(struct slice packet, size_t *at, struct rr *out)
{
	int n = name_expand(packet, *at, packet.n, out->owner);
	size_t p = *at + (size_t)n, rdlength;

	if (n < 0 || packet.n - p < 10)
		return -EBADMSG;
	out->type = get_be16(packet.p + p);
	out->class = get_be16(packet.p + p + 2);
	rdlength = get_be16(packet.p + p + 8);
	p += 10;
	if (packet.n - p < rdlength)
		return -EBADMSG;
	out->rdata = slice(packet.p + p, rdlength);
	*at = p + rdlength;
	return 0;
}

/*
 * The records of `type` that `owner` has, the first `max` of them. Where it has
 * a CNAME instead, `owner` becomes what that says, and *alias is set.
 */
static int
collect(struct slice packet, size_t at, unsigned count, uint16_t type,
    char owner[static 256], struct dns_rr *out, size_t max, bool *alias)
{
	struct slice cname = { NULL, 0 };
	struct rr rr;
	size_t n = 0;

	*alias = false;
	for (; count > 0; count--) {
		if (rr_read(packet, &at, &rr) != 0)
			return -EBADMSG;
		if (rr.class != CLASS_IN || strcmp(rr.owner, owner) != 0)
			continue;
		if (rr.type == type && n < max)
			out[n++].rdata = rr.rdata;
		else if (rr.type == TYPE_CNAME && cname.p == NULL)
			cname = rr.rdata;
	}
	if (n > 0 || cname.p == NULL || type == TYPE_CNAME)
		return (int)n;
	*alias = true;
	return dns_rdata_name(packet, cname, 0, owner) == (int)cname.n
	    ? 0
	    : -EBADMSG;
}

int
dns_packet_rcode(struct slice packet)
{
	if (packet.n < HEADER_SIZE || ((unsigned char)packet.p[2] & 0x80) == 0)
		return -EBADMSG;
	return packet.p[3] & 0x0f;
}

int
dns_packet_parse(
    struct slice packet, uint16_t type, struct dns_rr *out, size_t max)
{
	char owner[256];
	size_t at = HEADER_SIZE;
	unsigned count;
	bool alias;
	int n;

	if (dns_packet_rcode(packet) < 0 || get_be16(packet.p + 4) != 1)
		return -EBADMSG;
	count = get_be16(packet.p + 6);
	if ((n = name_expand(packet, at, packet.n, owner)) < 0)
		return n;
	at += (size_t)n;
	if (packet.n - at < 4 || get_be16(packet.p + at) != type ||
	    get_be16(packet.p + at + 2) != CLASS_IN)
		return -EBADMSG;
	at += 4;
	for (int i = 0; i <= CNAMES_MAX; i++) {
		n = collect(packet, at, count, type, owner, out, max, &alias);
		if (!alias || n < 0)
			return n;
	}
	return -EBADMSG; /* a loop, or too long a chain */
}
