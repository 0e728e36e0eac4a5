/* SPDX-License-Identifier: ISC */
/*
 * What a packet gives lies inside of it, names are of bounded length, in lower
 * case, and without a bare dot or blank that was in a label.
 */
#include <stdlib.h>

#include "common/net/dns.h"

#define RRS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check_name(const char *name)
{
	if (memchr(name, '\0', 256) == NULL)
		abort();
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name >= 0x7f ||
		    (*name >= 'A' && *name <= 'Z'))
			abort();
}

static void
check(struct slice packet, uint16_t type)
{
	struct dns_rr rr[RRS_MAX];
	int n = dns_packet_parse(packet, type, rr, RRS_MAX);
	char name[256];

	if (n > RRS_MAX || (n >= 0 && dns_packet_rcode(packet) < 0))
		abort();
	for (int i = 0; i < n; i++) {
		struct slice r = rr[i].rdata;

		if (r.p < packet.p || r.p > packet.p + packet.n ||
		    r.n > (size_t)(packet.p + packet.n - r.p))
			abort();
		for (size_t at = 0; at < 3; at++) {
			int used = dns_rdata_name(packet, r, at, name);

			if (used > 0 && at + (size_t)used > r.n)
				abort();
			if (used == 0)
				abort();
			if (used > 0)
				check_name(name);
		}
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	check(slice(p, n), 1);
	check(slice(p, n), 12);
	check(slice(p, n), 15);
	return 0;
}
