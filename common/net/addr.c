/* SPDX-License-Identifier: ISC */
/*
 * Addresses as text and as keys (declared in conn.h). Numbers only: nothing
 * here asks a name server. IPv4 inside IPv6 (::ffff:a.b.c.d, what a socket for
 * both families reports) is always shown as the IPv4 address that it is.
 */
#include "common/net/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static const struct sockaddr_in6 *
v6(const struct net_addr *a)
{
	return (const struct sockaddr_in6 *)&a->sa;
}

/* The IPv4 address in network order, also of ::ffff:a.b.c.d. */
static bool
v4_of(const struct net_addr *a, struct in_addr *out)
{
	if (a->sa.ss_family == AF_INET) {
		*out = ((const struct sockaddr_in *)&a->sa)->sin_addr;
		return true;
	}
	if (a->sa.ss_family != AF_INET6 ||
	    !IN6_IS_ADDR_V4MAPPED(&v6(a)->sin6_addr))
		return false;
	memcpy(out, &v6(a)->sin6_addr.s6_addr[12], sizeof(*out));
	return true;
}

uint16_t
net_addr_port(const struct net_addr *a)
{
	if (a->sa.ss_family == AF_INET)
		return ntohs(((const struct sockaddr_in *)&a->sa)->sin_port);
	if (a->sa.ss_family == AF_INET6)
		return ntohs(v6(a)->sin6_port);
	return 0;
}

void
net_addr_set_port(struct net_addr *a, uint16_t port)
{
	if (a->sa.ss_family == AF_INET)
		((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
	else if (a->sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
}

const char *
net_addr_path(const struct net_addr *a)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)&a->sa;

	if (!net_addr_is_unix(a) ||
	    a->len <= offsetof(struct sockaddr_un, sun_path))
		return "";
	return un->sun_path;
}

static int
parse_unix(struct net_addr *a, struct slice path, const char *run_dir)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&a->sa;
	struct slice dir =
	    slice_str(path.n > 0 && path.p[0] == '/' ? "" : run_dir);
	size_t n;

	if (path.n == 0 || (path.p[0] != '/' && dir.n == 0))
		return -EINVAL;
	n = dir.n + (dir.n > 0) + path.n;
	if (n >= sizeof(un->sun_path) || memchr(path.p, '\0', path.n))
		return -EINVAL;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, dir.p, dir.n);
	if (dir.n > 0)
		un->sun_path[dir.n] = '/';
	memcpy(un->sun_path + n - path.n, path.p, path.n);
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

int
net_addr_parse_host(struct net_addr *a, struct slice host, uint16_t port)
{
	struct net_addr r = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&r.sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&r.sa;
	char text[INET6_ADDRSTRLEN];

	if (host.n >= sizeof(text) || memchr(host.p, '\0', host.n))
		return -EINVAL;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		r.len = sizeof(*in);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		r.len = sizeof(*in6);
	} else {
		return -EINVAL;
	}
	net_addr_set_port(&r, port);
	*a = r;
	return 0;
}

int
net_addr_parse(struct net_addr *a, const char *text, const char *run_dir)
{
	struct slice s = slice_str(text), host;
	struct net_addr r = { 0 };
	ssize_t colon = slice_rfind(s, ':');
	uint64_t port;
	int rc;

	if (slice_starts(s, "unix:")) {
		rc = parse_unix(&r, slice_from(s, 5), run_dir);
		if (rc == 0)
			*a = r;
		return rc;
	}
	if (colon < 1 ||
	    slice_u64(slice_from(s, (size_t)colon + 1), 65535, &port) != 0)
		return -EINVAL;
	host = slice_head(s, (size_t)colon);
	if (slice_eq_str(host, "*"))
		return net_addr_parse_host(a, SLICE_LIT("::"), (uint16_t)port);
	if (host.p[0] == '[') {
		if (host.n < 4 || host.p[host.n - 1] != ']')
			return -EINVAL;
		host = slice(host.p + 1, host.n - 2);
		if (slice_find(host, ':') < 0)
			return -EINVAL;
	} else if (slice_find(host, ':') >= 0) {
		return -EINVAL; /* where does ::1:25 end? */
	}
	return net_addr_parse_host(a, host, (uint16_t)port);
}

void
net_addr_host(const struct net_addr *a, char out[static 128])
{
	struct in_addr in;

	if (v4_of(a, &in))
		inet_ntop(AF_INET, &in, out, 128);
	else if (a->sa.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &v6(a)->sin6_addr, out, 128);
	else
		memcpy(out, "unix", 5);
}

void
net_addr_text(const struct net_addr *a, char out[static 128])
{
	char host[128];

	net_addr_host(a, host);
	if (net_addr_is_unix(a))
		snprintf(out, 128, *net_addr_path(a) ? "unix:%s" : "unix",
		    net_addr_path(a));
	else
		snprintf(out, 128,
		    strchr(host, ':') ? "[%.64s]:%u" : "%.64s:%u", host,
		    net_addr_port(a));
}

bool
net_addr_is_unix(const struct net_addr *a)
{
	return a->sa.ss_family != AF_INET && a->sa.ss_family != AF_INET6;
}

bool
net_addr_is_loopback(const struct net_addr *a)
{
	struct in_addr in;

	if (net_addr_is_unix(a))
		return true;
	if (v4_of(a, &in))
		return ntohl(in.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6(a)->sin6_addr);
}

void
net_addr_prefix(const struct net_addr *a, char out[static 64])
{
	struct in6_addr half = { 0 };
	struct in_addr in;
	char text[INET6_ADDRSTRLEN];

	if (v4_of(a, &in)) {
		inet_ntop(AF_INET, &in, out, 64);
	} else if (a->sa.ss_family == AF_INET6) {
		memcpy(&half, &v6(a)->sin6_addr, 8);
		inet_ntop(AF_INET6, &half, text, sizeof(text));
		snprintf(out, 64, "%s/64", text);
	} else {
		memcpy(out, "unix", 5);
	}
}

/* --- networks --- */

/* As 16 octets, IPv4 mapped. */
static void
octets_of(const struct net_addr *a, unsigned char out[static 16])
{
	struct in_addr in;

	memset(out, 0, 16);
	if (v4_of(a, &in)) {
		out[10] = out[11] = 0xff;
		memcpy(out + 12, &in, 4);
	} else {
		memcpy(out, &v6(a)->sin6_addr, 16);
	}
}

/* The first octets and how many bits of them count. */
static bool
network_parse(struct slice text, unsigned char out[static 16], unsigned *bits)
{
	struct slice length = text, host = slice_split(&length, '/');
	struct net_addr a;
	struct in_addr in;
	uint64_t n = 0;
	bool v4;

	if (net_addr_parse_host(&a, host, 0) != 0)
		return false;
	v4 = v4_of(&a, &in);
	if (host.n == text.n)
		n = v4 ? 32 : 128;
	else if (slice_u64(length, v4 ? 32 : 128, &n) != 0)
		return false;
	octets_of(&a, out);
	*bits = (unsigned)n + (v4 ? 96 : 0);
	return true;
}

bool
net_network_is_valid(const char *network)
{
	unsigned char octets[16];
	unsigned bits;

	return strcmp(network, "unix") == 0 ||
	    strcmp(network, "loopback") == 0 ||
	    network_parse(slice_str(network), octets, &bits);
}

static bool
is_in(const struct net_addr *a, const char *network)
{
	unsigned char want[16], have[16];
	unsigned bits, rest;

	if (net_addr_is_unix(a))
		return strcmp(network, "unix") == 0;
	if (strcmp(network, "loopback") == 0)
		return net_addr_is_loopback(a);
	if (!network_parse(slice_str(network), want, &bits))
		return false;
	octets_of(a, have);
	rest = bits % 8;
	if (memcmp(want, have, bits / 8) != 0)
		return false;
	return rest == 0 ||
	    (want[bits / 8] ^ have[bits / 8]) >> (8 - rest) == 0;
}

bool
net_addr_is_listed(const struct net_addr *a, const char *const *networks)
{
	for (; *networks != NULL; networks++)
		if (is_in(a, *networks))
			return true;
	return false;
}
