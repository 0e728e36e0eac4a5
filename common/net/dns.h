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

/*
 * After fork; in a coroutine, or before the loop runs. Reads /etc/resolv.conf
 * and the trust anchors (in the sandbox, these must be reachable). 0, or -errno with the reason
 * in `err`. Free it before the loop, when no coroutine looks anything up.
 */
int dns_new(struct dns **out, const struct conf *conf, struct buf *err);
void dns_free(struct dns **d);

/*
 * In all of these `secure` (may be NULL) says that DNSSEC vouches for the
 * answer; it is set for -ENOENT and -ENODATA too. A CNAME is followed.
 */

struct dns_mx {
	uint16_t preference;
	const char *host; /* lower-case, no final dot; "" is the null MX */
};
/*
 * Sorted by preference, random among equals (RFC 5321 5.1); at most 64. The
 * null MX (RFC 7505) is given only when it stands alone. Without MX: -ENODATA,
 * and then the domain's addresses count.
 */
int dns_mx(struct dns *d, struct arena *a, const char *domain,
    struct dns_mx **out, size_t *n, bool *secure);
struct dns_srv {
	uint16_t priority, weight, port;
	const char *host; /* lower-case, no final dot; "": not offered */
};
/* RFC 2782, of "_imaps._tcp.example.org": sorted by priority, and by weight,
 * the greater first; at most 64. */
int dns_srv(struct dns *d, struct arena *a, const char *name,
    struct dns_srv **out, size_t *n, bool *secure);
/* A and AAAA, IPv6 and IPv4 in turn, at most 32; ports are 0. An address
 * written as such gives itself. */
int dns_addresses(struct dns *d, struct arena *a, const char *host,
    struct net_addr **out, size_t *n, bool *secure);
/* Each record's strings joined (RFC 7208 3.3); at most 64. */
int dns_txt(struct dns *d, struct arena *a, const char *name,
    struct slice **out, size_t *n, bool *secure);
/* What a server's certificate must fit (RFC 6698 2.1). */
struct dns_tlsa {
	unsigned char usage, selector, matching;
	struct slice data; /* never empty */
};
/* Of the TCP port of a host, _port._tcp.host; at most 64. */
int dns_tlsa(struct dns *d, struct arena *a, const char *host, uint16_t port,
    struct dns_tlsa **out, size_t *n, bool *secure);
/* The name of an address that maps back to it (RFC 8601's iprev), or ENOENT. */
int dns_ptr(struct dns *d, struct arena *a, const struct net_addr *addr,
    const char **out);

/* --- packets, apart to be fuzzed (dns_packet.c) --- */

/* The response code (3: no such name), or -EBADMSG when it is no answer. */
int dns_packet_rcode(struct slice packet);
/*
 * The answers for one type, owner and CNAME chain checked. The rdata slices
 * point into `packet`. How many, where those over `max` are left out; 0 when
 * there are none; or -EBADMSG.
 */
struct dns_rr {
	struct slice rdata;
};
int dns_packet_parse(
    struct slice packet, uint16_t type, struct dns_rr *out, size_t max);
/*
 * A possibly compressed name at `rdata.p + at` within `packet`, as text in
 * lower case, octets that a host name has not as \DDD, the root as "". Octets
 * used at that place, or -EBADMSG.
 */
int dns_rdata_name(
    struct slice packet, struct slice rdata, size_t at, char out[static 256]);

#endif
