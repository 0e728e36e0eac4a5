/* SPDX-License-Identifier: ISC */
/*
 * DNS with DNSSEC by libunbound, in the loop; every look-up waits. One cache
 * per process. Names are A-labels. Results live in the caller's arena.
 *
 * Errors: -ENOENT no such name, -ENODATA the name has no such records,
 * -EAGAIN the servers gave no usable answer or the answer is bogus (try
 * later), -ECANCELED.
 */
#ifndef PNEU_NET_DNS_H
#define PNEU_NET_DNS_H

#include "common/base/arena.h"
#include "common/base/conf.h"
#include "common/net/conn.h"

struct dns;

int dns_new(struct dns **out, const struct conf *conf, struct buf *err);
void dns_free(struct dns **d);

struct dns_mx {
	uint16_t preference;
	const char *host; /* lower-case, no final dot; "" is the null MX */
};
/* Sorted by preference, random among equals (RFC 5321 5.1). */
int dns_mx(struct dns *d, struct arena *a, const char *domain,
    struct dns_mx **out, size_t *n, bool *secure);
/* A and AAAA, IPv6 and IPv4 in turn; ports are 0. */
int dns_addresses(struct dns *d, struct arena *a, const char *host,
    struct net_addr **out, size_t *n, bool *secure);
int dns_txt(struct dns *d, struct arena *a, const char *name,
    struct slice **out, size_t *n, bool *secure);
/* The name of an address that maps back to it (RFC 8601's iprev), or ENOENT. */
int dns_ptr(struct dns *d, struct arena *a, const struct net_addr *addr,
    const char **out);

/*
 * The answers of a DNS packet for one type, owner and CNAME chain checked;
 * apart, to be fuzzed. The rdata slices point into `packet`; names inside
 * rdata are read with dns_rdata_name. Count, or -EBADMSG.
 */
struct dns_rr {
	struct slice rdata;
};
int dns_packet_parse(struct slice packet, uint16_t type, struct dns_rr *out,
    size_t max);
/* A possibly compressed name at `rdata.p + at` within `packet`, as text. */
int dns_rdata_name(struct slice packet, struct slice rdata, size_t at,
    char out[static 256]);

#endif
