/* SPDX-License-Identifier: ISC */
/* Who a balancer connects for: read octet by octet up to the end of the header
 * and no further, since what follows may be a TLS handshake. */
#include "common/net/proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#define V1_MAX 107 /* with CR LF */
#define START 12   /* both versions have at least so many octets */
#define V2_MAX 4096

static const char signature[START + 1] =
    "\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a";

/* --- version 1: a line of text --- */

/* "TCP4 source destination source-port destination-port" */
static int
take_words(struct conn *c, struct slice line)
{
	struct slice family = slice_split(&line, ' ');
	struct slice source = slice_split(&line, ' ');
	struct slice destination = slice_split(&line, ' ');
	struct slice port = slice_split(&line, ' ');
	struct net_addr peer, ignored;
	uint64_t number, to;

	if (slice_eq_str(family, "UNKNOWN"))
		return 0;
	if (!slice_eq_str(family, "TCP4") && !slice_eq_str(family, "TCP6"))
		return -EPROTO;
	if (slice_u64(port, 65535, &number) != 0 ||
	    slice_u64(line, 65535, &to) != 0 ||
	    net_addr_parse_host(&peer, source, (uint16_t)number) != 0 ||
	    net_addr_parse_host(&ignored, destination, 0) != 0)
		return -EPROTO;
	if ((peer.sa.ss_family == AF_INET) != slice_eq_str(family, "TCP4"))
		return -EPROTO;
	conn_set_peer(c, &peer);
	return 0;
}

static int
read_v1(struct conn *c, const char *start)
{
	char line[V1_MAX + 1];
	size_t n = START;
	int rc = 0;

	memcpy(line, start, START);
	while (rc == 0 && n < V1_MAX && line[n - 1] != '\n')
		rc = conn_read_exact(c, &line[n++], 1);
	if (rc != 0)
		return rc;
	if (line[n - 1] != '\n' || line[n - 2] != '\r')
		return -EPROTO;
	return take_words(c, slice(line + 6, n - 8));
}

/* --- version 2: binary --- */

static void
set_v4(struct conn *c, const unsigned char *p)
{
	struct net_addr a = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in = (struct sockaddr_in *)&a.sa;

	in->sin_family = AF_INET;
	memcpy(&in->sin_addr, p, 4);
	memcpy(&in->sin_port, p + 8, 2);
	conn_set_peer(c, &a);
}

static void
set_v6(struct conn *c, const unsigned char *p)
{
	struct net_addr a = { .len = sizeof(struct sockaddr_in6) };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a.sa;

	in6->sin6_family = AF_INET6;
	memcpy(&in6->sin6_addr, p, 16);
	memcpy(&in6->sin6_port, p + 32, 2);
	conn_set_peer(c, &a);
}

static int
read_v2(struct conn *c)
{
	unsigned char head[4], address[36] = { 0 };
	size_t n, left;
	int rc = conn_read_exact(c, head, sizeof(head));

	if (rc != 0)
		return rc;
	n = (size_t)head[2] << 8 | head[3];
	if (head[0] >> 4 != 2 || (head[0] & 15) > 1 || n > V2_MAX)
		return -EPROTO;
	left = n < sizeof(address) ? n : sizeof(address);
	if ((rc = conn_read_exact(c, address, left)) != 0)
		return rc;
	for (left = n - left; rc == 0 && left > 0; left--)
		rc = conn_read_exact(c, &(char){ 0 }, 1);
	if (rc != 0 || (head[0] & 15) == 0) /* LOCAL */
		return rc;
	if (head[1] == 0x11 && n >= 12)
		set_v4(c, address);
	else if (head[1] == 0x21 && n >= 36)
		set_v6(c, address);
	else if (head[1] == 0x11 || head[1] == 0x21)
		return -EPROTO;
	return 0;
}

int
proxy_read(struct conn *c)
{
	char start[START];
	int rc = conn_read_exact(c, start, sizeof(start));

	if (rc != 0)
		return rc;
	if (memcmp(start, signature, START) == 0)
		return read_v2(c);
	if (memcmp(start, "PROXY ", 6) == 0 &&
	    memchr(start, '\n', START) == NULL)
		return read_v1(c, start);
	return -EPROTO;
}
