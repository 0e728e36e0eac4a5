/* SPDX-License-Identifier: ISC */
/* From a domain to the addresses to try (RFC 5321 5.1, RFC 7505). */
#include "qm/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"

/* --- addresses --- */

static void
addr_set_port(struct net_addr *a, uint16_t port)
{
	if (a->sa.ss_family == AF_INET)
		((struct sockaddr_in *)&a->sa)->sin_port = htons(port);
	else if (a->sa.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&a->sa)->sin6_port = htons(port);
}

static bool
addr_same_host(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.ss_family != b->sa.ss_family)
		return false;
	if (a->sa.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&a->sa)->sin_addr.s_addr ==
		    ((const struct sockaddr_in *)&b->sa)->sin_addr.s_addr;
	return a->sa.ss_family == AF_INET6 &&
	    memcmp(&((const struct sockaddr_in6 *)&a->sa)->sin6_addr,
		&((const struct sockaddr_in6 *)&b->sa)->sin6_addr, 16) == 0;
}

int
route_literal(struct slice literal, uint16_t port, struct net_addr *out)
{
	char text[64];
	struct slice in = literal;
	struct net_addr a = { .len = 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&a.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.sa;

	if (in.n < 3 || in.p[0] != '[' || in.p[in.n - 1] != ']')
		return -EINVAL;
	in = slice(in.p + 1, in.n - 2);
	if (in.n >= sizeof(text) || memchr(in.p, '\0', in.n) != NULL)
		return -EINVAL;
	memcpy(text, in.p, in.n);
	text[in.n] = '\0';
	if (slice_starts_nocase(in, "IPv6:") &&
	    inet_pton(AF_INET6, text + 5, &v6->sin6_addr) == 1) {
		a.sa.ss_family = AF_INET6;
		a.len = sizeof(*v6);
	} else if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		a.sa.ss_family = AF_INET;
		a.len = sizeof(*v4);
	} else {
		return -EINVAL;
	}
	addr_set_port(&a, port);
	*out = a;
	return 0;
}

/* Loopback is left out: mail for it would only be refused by our own mta. */
static bool
ifaddr_counts(const struct ifaddrs *i, struct net_addr *out)
{
	if (i->ifa_addr == NULL)
		return false;
	*out = (struct net_addr){ .len = 0 };
	if (i->ifa_addr->sa_family == AF_INET)
		out->len = sizeof(struct sockaddr_in);
	else if (i->ifa_addr->sa_family == AF_INET6)
		out->len = sizeof(struct sockaddr_in6);
	else
		return false;
	memcpy(&out->sa, i->ifa_addr, out->len);
	return !net_addr_is_loopback(out);
}

int
route_self_addresses(struct arena *a, struct route_self *out)
{
	struct ifaddrs *all;
	struct net_addr *v, one;
	size_t n = 0;

	if (getifaddrs(&all) == -1)
		return -errno;
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		n += ifaddr_counts(i, &one);
	v = arena_array(a, n + 1, sizeof(*v));
	if (v != NULL) {
		n = 0;
		for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
			if (ifaddr_counts(i, &one))
				v[n++] = one;
		out->addresses = v;
		out->n_addresses = n;
	}
	freeifaddrs(all);
	return v == NULL ? -ENOMEM : 0;
}

/* --- the DNS of the real world --- */

static int
real_mx(void *arg, struct arena *a, const char *domain, struct dns_mx **out,
    size_t *n, bool *secure)
{
	return dns_mx(arg, a, domain, out, n, secure);
}

static int
real_addresses(void *arg, struct arena *a, const char *host,
    struct net_addr **out, size_t *n)
{
	bool secure;

	return dns_addresses(arg, a, host, out, n, &secure);
}

struct route_dns
route_dns_real(struct dns *d)
{
	return (struct route_dns){ d, real_mx, real_addresses };
}

/* --- hops --- */

struct route {
	const struct route_dns *dns;
	const struct route_self *self;
	struct arena *a;
	uint16_t port;
	struct route_hop *hops;
	size_t n;
	bool later;  /* a look-up failed for now */
	bool secure; /* of the hops that are added */
};

static bool
is_self(const struct route *r, const char *host, const struct net_addr *addrs,
    size_t n)
{
	if (r->self == NULL)
		return false;
	if (r->self->hostname != NULL &&
	    slice_eq_str_nocase(slice_str(host), r->self->hostname))
		return true;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < r->self->n_addresses; j++)
			if (addr_same_host(&addrs[i], &r->self->addresses[j]))
				return true;
	return false;
}

static void
hops_add(
    struct route *r, const char *host, const struct net_addr *addrs, size_t n)
{
	for (size_t i = 0; i < n && r->n < ROUTE_ADDRESSES_MAX; i++) {
		r->hops[r->n].host = host;
		r->hops[r->n].addr = addrs[i];
		r->hops[r->n].secure = r->secure;
		addr_set_port(&r->hops[r->n].addr, r->port);
		r->n++;
	}
}

/* All addresses of one host. 1 when the host is ourselves. */
static int
host_add(struct route *r, const char *host)
{
	struct net_addr *addrs = NULL;
	size_t n = 0;
	int rc = r->dns->addresses(r->dns->arg, r->a, host, &addrs, &n);

	if (rc == -ENOENT || rc == -ENODATA)
		n = 0;
	else if (rc == -EAGAIN)
		r->later = true;
	else if (rc != 0)
		return rc;
	if (rc != 0)
		n = 0;
	if (is_self(r, host, addrs, n))
		return 1;
	hops_add(r, host, addrs, n);
	return 0;
}

/*
 * MX hosts in their order. When we are among them, our preference and all
 * above is discarded: also what was added before of the same preference.
 */
static int
mx_add(struct route *r, const struct dns_mx *mx, size_t n, bool *self)
{
	size_t level = 0; /* hops before those of this preference */

	for (size_t i = 0; i < n && i < ROUTE_HOSTS_MAX; i++) {
		int rc;

		if (i > 0 && mx[i].preference != mx[i - 1].preference)
			level = r->n;
		if ((rc = host_add(r, mx[i].host)) < 0)
			return rc;
		if (rc == 1) {
			*self = true;
			r->n = level;
			return 0;
		}
	}
	return 0;
}

/* A host that is ourselves may stand behind the first ten. */
static size_t
mx_cut_self_by_name(
    const struct route *r, const struct dns_mx *mx, size_t n, bool *self)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_self(r, mx[i].host, NULL, 0))
			continue;
		*self = true;
		n = i;
		while (n > 0 && mx[n - 1].preference == mx[i].preference)
			n--;
	}
	return n;
}

static int
nothing(struct route *r, bool self, bool had_mx, const char *domain,
    struct smtp_reply *why)
{
	if (r->later)
		*why = smtp_reply_f(r->a, 451, "4.4.3",
		    "no usable answer of the DNS for the mail hosts of %s",
		    domain);
	else if (self)
		*why = smtp_reply_f(r->a, 554, "5.4.6",
		    "mail for %s loops back to this host", domain);
	else if (had_mx)
		*why = smtp_reply_f(r->a, 550, "5.4.4",
		    "no mail host of %s has an address", domain);
	else
		*why = smtp_reply_f(r->a, 550, "5.1.2",
		    "%s does not exist or takes no mail", domain);
	return -EHOSTUNREACH;
}

static int
route_name(struct route *r, const char *domain, struct smtp_reply *why)
{
	struct dns_mx *mx = NULL;
	size_t n = 0;
	bool self = false;
	int rc = r->dns->mx(r->dns->arg, r->a, domain, &mx, &n, &r->secure);

	if (rc == -EAGAIN)
		r->later = true;
	else if (rc == -ENOENT)
		return nothing(r, false, false, domain, why);
	else if (rc != 0 && rc != -ENODATA)
		return rc;
	if (rc == -EAGAIN)
		return nothing(r, false, false, domain, why);
	if (rc == 0 && n == 1 && mx[0].host[0] == '\0') {
		*why = smtp_reply_f(
		    r->a, 556, "5.1.10", "%s takes no mail (null MX)", domain);
		return -EHOSTUNREACH;
	}
	/* The name of the implicit MX is the domain, which nobody can change. */
	if (rc != 0 || n == 0)
		r->secure = true;
	if (rc == 0 && n > 0)
		rc = mx_add(r, mx, mx_cut_self_by_name(r, mx, n, &self), &self);
	else if ((rc = host_add(r, domain)) == 1)
		self = true;
	if (rc < 0)
		return rc;
	return r->n > 0 ? 0 : nothing(r, self, n > 0, domain, why);
}

static void
why_ours(struct route *r, int rc, struct smtp_reply *why)
{
	if (why->code == 0)
		*why = smtp_reply_f(r->a, 451, "4.3.0", "%s",
		    rc == -ECANCELED ? "the queue is being stopped"
				     : strerror(-rc));
}

static int
route_new(struct route *r, struct smtp_reply *why)
{
	*why = (struct smtp_reply){ 0 };
	r->hops = arena_array(r->a, ROUTE_ADDRESSES_MAX, sizeof(*r->hops));
	if (r->hops != NULL)
		return 0;
	*why = SMTP_REPLY(451, "4.3.0", "out of memory");
	return -ENOMEM;
}

static int
route_literal_domain(
    struct route *r, struct slice domain, struct smtp_reply *why)
{
	struct net_addr addr;
	char *host;

	if (route_literal(domain, r->port, &addr) != 0) {
		*why = SMTP_REPLY(550, "5.1.2", "not an address literal");
		return -EINVAL;
	}
	if ((host = arena_strdup(r->a, domain)) == NULL)
		return -ENOMEM;
	if (is_self(r, host, &addr, 1))
		return nothing(r, true, false, host, why);
	hops_add(r, host, &addr, 1);
	return 0;
}

int
route_domain(const struct route_dns *dns, const struct route_self *self,
    struct arena *a, struct slice domain, uint16_t port, struct route_hop **out,
    size_t *n, struct smtp_reply *why)
{
	struct route r = { .dns = dns, .self = self, .a = a, .port = port };
	struct slice name;
	char *text;
	int rc;

	if ((rc = route_new(&r, why)) != 0)
		return rc;
	if (domain.n > 0 && domain.p[0] == '[') {
		rc = route_literal_domain(&r, domain, why);
	} else if (domain_canonical(a, domain, &name) != 0) {
		*why = SMTP_REPLY(550, "5.1.2", "not a domain name");
		rc = -EINVAL;
	} else if ((text = arena_strdup(a, name)) == NULL) {
		rc = -ENOMEM;
	} else {
		rc = route_name(&r, text, why);
	}
	if (rc != 0)
		why_ours(&r, rc, why);
	*out = r.hops;
	*n = r.n;
	return rc;
}

int
route_smarthost(const struct route_dns *dns, struct arena *a,
    const char *smarthost, struct route_hop **out, size_t *n,
    struct smtp_reply *why)
{
	struct route r = { .dns = dns, .a = a, .secure = true };
	struct slice whole = slice_str(smarthost);
	ssize_t colon = slice_rfind(whole, ':');
	struct net_addr addr;
	uint64_t port = 0;
	char *host;
	int rc;

	if ((rc = route_new(&r, why)) != 0)
		return rc;
	if (net_addr_parse(&addr, smarthost, "/") == 0) {
		if ((host = arena_strdup(a, whole)) == NULL)
			rc = -ENOMEM;
		r.hops[0] = (struct route_hop){ host, addr, true };
		r.n = 1;
	} else if (colon <= 0 ||
	    slice_u64(slice_from(whole, (size_t)colon + 1), 65535, &port) !=
		0) {
		*why = SMTP_REPLY(
		    451, "4.3.5", "qm.smarthost is not of the form host:port");
		rc = -EINVAL;
	} else if ((host = arena_strdup(a, slice_head(whole, (size_t)colon))) ==
	    NULL) {
		rc = -ENOMEM;
	} else {
		r.port = (uint16_t)port;
		rc = host_add(&r, host);
		if (rc == 0 && r.n == 0) {
			r.later = true; /* never a reason to give up mail */
			rc = nothing(&r, false, false, host, why);
		}
	}
	if (rc != 0)
		why_ours(&r, rc, why);
	*out = r.hops;
	*n = r.n;
	return rc;
}
