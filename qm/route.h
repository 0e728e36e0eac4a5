/* SPDX-License-Identifier: ISC */
/*
 * Which hosts take the mail of a domain, in which order (RFC 5321 5.1): its
 * MX hosts, or the domain itself where it has none; the null MX (RFC 7505);
 * address literals; a smarthost. DNS is asked through two functions, so that
 * tests have a DNS of their own.
 */
#ifndef PNEU_QM_ROUTE_H
#define PNEU_QM_ROUTE_H

#include "common/base/arena.h"
#include "common/net/conn.h"
#include "common/net/dns.h"
#include "common/smtp/smtp.h"

#define ROUTE_HOSTS_MAX 10
#define ROUTE_ADDRESSES_MAX 10 /* of all hosts together */

/* As dns_mx and dns_addresses; *secure: DNSSEC vouches for it. */
struct route_dns {
	void *arg;
	int (*mx)(void *arg, struct arena *a, const char *domain,
	    struct dns_mx **out, size_t *n, bool *secure);
	int (*addresses)(void *arg, struct arena *a, const char *host,
	    struct net_addr **out, size_t *n);
};
/* Of a struct dns. */
struct route_dns route_dns_real(struct dns *d);

/* Who we are, to cut loops. */
struct route_self {
	const char *hostname;
	const struct net_addr *addresses; /* of our interfaces */
	size_t n_addresses;
};
/* The addresses of this machine but loopback; in the arena. */
int route_self_addresses(struct arena *a, struct route_self *out);

/* One address to try. */
struct route_hop {
	const char *host; /* for SNI and logs */
	struct net_addr addr;
	bool secure; /* the name is sure: the domain's own, or of a signed MX */
};

/*
 * The hops for a domain (as in the recipient: any case, UTF-8, or an address
 * literal), in the order to be tried; at least one. Waits. 0; or -errno with
 * *why: 5xx when there is nothing to try, 4xx to come again.
 */
int route_domain(const struct route_dns *dns, const struct route_self *self,
    struct arena *a, struct slice domain, uint16_t port, struct route_hop **out,
    size_t *n, struct smtp_reply *why);

/* "host:port", "192.0.2.1:587", "[2001:db8::1]:587", "unix:/path"; no MX. */
int route_smarthost(const struct route_dns *dns, struct arena *a,
    const char *smarthost, struct route_hop **out, size_t *n,
    struct smtp_reply *why);

/* A printed IPv4 or IPv6 (RFC 5321 4.1.3, brackets included) as an address. */
int route_literal(struct slice literal, uint16_t port, struct net_addr *out);

#endif
