/* SPDX-License-Identifier: ISC */
/*
 * URLs that users give us to send something to: http and https, strictly (RFC
 * 3986 3): no user, no fragment, no octet that is not visible ASCII, no host
 * that some reader takes for an address and another for a name ("127.1",
 * "0x7f000001").
 */
#ifndef PNEU_NET_HTTP_URL_H
#define PNEU_NET_HTTP_URL_H

#include "common/net/conn.h"

#define HTTP_URL_MAX 2000

struct http_url {
	bool tls;
	struct slice host; /* a name or an address, without brackets */
	bool is_address;
	struct net_addr address; /* with the port, where it is one */
	uint16_t port;
	struct slice target; /* path and query; may be empty */
	struct slice origin; /* "https://host:port" as it stands there */
};

/* Slices of `in`. 0, or -EINVAL. */
int http_url_parse(struct slice in, struct http_url *out);

/*
 * Can the whole world have this address? False for what RFC 6890 and its
 * registries keep for loopback, private networks, links, documentation,
 * multicast, and for ways to say an IPv4 address in IPv6.
 */
bool net_addr_is_global(const struct net_addr *a);

#endif
