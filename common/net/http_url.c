/* SPDX-License-Identifier: ISC */
#include "common/net/http_url.h"

#include <errno.h>

#define HOST_MAX 253 /* RFC 1035 2.3.4 */

bool
net_addr_is_global(const struct net_addr *a)
{
	static const char *const not4[] = { "0.0.0.0/8", "10.0.0.0/8",
		"100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
		"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
		"240.0.0.0/4", NULL };
	static const char *const global6[] = { "2000::/3", NULL };
	/* Protocol assignments with Teredo, 6to4, documentation, SRv6. */
	static const char *const not6[] = { "2001::/23", "2001:db8::/32",
		"2002::/16", "3fff::/20", NULL };

	if (a->sa.ss_family == AF_INET)
		return !net_addr_is_listed(a, not4);
	return a->sa.ss_family == AF_INET6 && net_addr_is_listed(a, global6) &&
	    !net_addr_is_listed(a, not6);
}

static bool
is_visible(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' ||
		    strchr("\"<>\\^`{|}#", s.p[i]) != NULL)
			return false;
	return true;
}

static bool
is_label(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	return s.n > 0 && s.n <= 63;
}

/* Some readers take such a last label for (a part of) a number. */
static bool
is_number(struct slice s)
{
	size_t i = 0;

	if (slice_starts_nocase(s, "0x"))
		return true;
	while (i < s.n && ascii_is_digit(s.p[i]))
		i++;
	return i == s.n;
}

static int
take_name(struct http_url *u)
{
	struct slice rest = u->host, label = SLICE_EMPTY;

	if (rest.n == 0 || rest.n > HOST_MAX)
		return -EINVAL;
	while (rest.n > 0) {
		label = slice_split(&rest, '.');
		if (!is_label(label))
			return -EINVAL;
	}
	if (u->host.p[u->host.n - 1] == '.')
		return -EINVAL;
	if (!is_number(label))
		return 0;
	u->is_address = true;
	return net_addr_parse_host(&u->address, u->host, u->port);
}

/* "host", "host:8443", "[2001:db8::1]:8443" */
static int
take_authority(struct slice s, struct http_url *u)
{
	bool six = s.n > 0 && s.p[0] == '[';
	ssize_t end = slice_find(s, six ? ']' : ':');
	struct slice rest;
	uint64_t port;

	if (six && end < 0)
		return -EINVAL;
	u->host = six ? slice_from(slice_head(s, (size_t)end), 1)
	    : end < 0 ? s
		      : slice_head(s, (size_t)end);
	rest = six    ? slice_from(s, (size_t)end + 1)
	    : end < 0 ? SLICE_EMPTY
		      : slice_from(s, (size_t)end);
	u->port = u->tls ? 443 : 80;
	if (rest.n > 0) {
		if (rest.p[0] != ':' || rest.n > 6 ||
		    slice_u64(slice_from(rest, 1), UINT16_MAX, &port) != 0 ||
		    port == 0)
			return -EINVAL;
		u->port = (uint16_t)port;
	}
	if (!six)
		return take_name(u);
	u->is_address = true;
	/* No zone: "fe80::1%eth0". */
	if (slice_find(u->host, ':') < 0 || slice_find(u->host, '%') >= 0)
		return -EINVAL;
	return net_addr_parse_host(&u->address, u->host, u->port);
}

int
http_url_parse(struct slice in, struct http_url *out)
{
	struct http_url u = { 0 };
	size_t at, end;
	int rc;

	if (in.n > HTTP_URL_MAX || !is_visible(in))
		return -EINVAL;
	u.tls = slice_starts_nocase(in, "https://");
	if (!u.tls && !slice_starts_nocase(in, "http://"))
		return -EINVAL;
	at = u.tls ? 8 : 7;
	for (end = at; end < in.n && in.p[end] != '/' && in.p[end] != '?';)
		end++;
	u.origin = slice_head(in, end);
	u.target = slice_from(in, end);
	rc = take_authority(slice_from(u.origin, at), &u);
	if (rc == 0)
		*out = u;
	return rc;
}
