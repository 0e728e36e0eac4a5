/* SPDX-License-Identifier: ISC */
/* How libunbound is set up: whom it asks, what it trusts, how much it keeps. */
#include <errno.h>
#include <event2/event.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/dns_impl.h"

#define ROOT_KEY "/usr/share/dns/root.key" /* Debian's dns-root-data */

static int
fault(struct buf *err, const char *setting, const char *value, const char *why)
{
	buf_printf(err, "%s: %s: %s\n", setting, value, why);
	return -EINVAL;
}

/* One thread asks, and one cache per process has to be small. */
static const struct {
	const char *name, *value;
} options[] = {
	{ "do-not-query-localhost:", "no" }, /* resolvers often are there */
	{ "unblock-lan-zones:", "yes" },  /* PTR of private addresses: who is */
	{ "insecure-lan-zones:", "yes" }, /* asked may know these */
	{ "outbound-msg-retry:", "3" }, /* the queue tries again anyway */
	{ "msg-cache-slabs:", "1" },
	{ "rrset-cache-slabs:", "1" },
	{ "infra-cache-slabs:", "1" },
	{ "key-cache-slabs:", "1" },
	{ "msg-cache-size:", "1m" },
	{ "rrset-cache-size:", "2m" },
	{ "key-cache-size:", "512k" },
	{ "neg-cache-size:", "256k" },
	{ "infra-cache-numhosts:", "2000" },
};

static int
set_options(struct ub_ctx *ub, struct buf *err)
{
	size_t n = sizeof(options) / sizeof(options[0]);

	for (size_t i = 0; i < n; i++)
		if (ub_ctx_set_option(ub, options[i].name, options[i].value) !=
		    0)
			return fault(err, "libunbound", options[i].name,
			    "no such option");
	return 0;
}

static int
set_servers(struct ub_ctx *ub, const struct conf *conf, struct buf *err)
{
	size_t n;
	const char *const *server = conf_list(conf, "dns.servers", &n);
	int rc;

	for (size_t i = 0; i < n; i++)
		if (ub_ctx_set_fwd(ub, server[i]) != 0)
			return fault(err, "dns.servers", server[i],
			    "expected an address, such as 127.0.0.1, or with "
			    "its port 127.0.0.1@53");
	if (n == 0 && (rc = ub_ctx_resolvconf(ub, NULL)) != 0)
		log_warning("no resolvers in /etc/resolv.conf",
		    "why=\"%s\" instead=\"the root servers are asked\"",
		    ub_strerror(rc));
	return 0;
}

static int
set_trust(struct ub_ctx *ub, const struct conf *conf, struct buf *err)
{
	const char *file = conf_file(conf, "dns.trust_anchor");
	bool given = file[0] != '\0';

	if (strcmp(conf_str(conf, "dns.trust_anchor"), "none") == 0)
		return ub_ctx_set_option(ub, "module-config:", "iterator");
	if (!given)
		file = ROOT_KEY;
	if (access(file, R_OK) == 0)
		return ub_ctx_add_ta_file(ub, file) == 0 ? 0 : -ENOMEM;
	if (given)
		return fault(err, "dns.trust_anchor", file, strerror(errno));
	log_warning(
	    "dns without DNSSEC", "file=%s why=\"%s\"", file, strerror(errno));
	return ub_ctx_set_option(ub, "module-config:", "iterator");
}

/* --- stub zones --- */

static int
set_stub(
    struct ub_ctx *ub, const char *zone, struct slice servers, struct buf *err)
{
	struct slice one;
	struct buf text = BUF_INIT;
	int rc = 0, n = 0;

	while (servers.n > 0 && rc == 0) {
		one = slice_trim(slice_split(&servers, ','));
		buf_reset(&text);
		buf_put_slice(&text, one);
		rc = ub_ctx_set_stub(ub, zone, buf_str(&text), 0);
		n++;
	}
	if (rc == 0 && n > 0)
		/* The root says that such a zone is not there. */
		rc = ub_ctx_set_option(ub, "domain-insecure:", zone);
	if (rc != 0 || n == 0)
		fault(err, "dns.stub", zone,
		    "expected the addresses of its servers, such as "
		    "127.0.0.1@5353");
	buf_clear(&text);
	return rc != 0 || n == 0 ? -EINVAL : 0;
}

static int
set_stubs(struct ub_ctx *ub, const struct conf *conf, struct buf *err)
{
	size_t n;
	const char *const *zone = conf_map_keys(conf, "dns.stub", &n);
	int rc;

	for (size_t i = 0; i < n; i++) {
		rc = set_stub(ub, zone[i],
		    slice_str(conf_map(conf, "dns.stub", zone[i])), err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/*
 * libunbound answers by itself that "test." and some others are empty
 * (RFC 6761, RFC 6303), also for a stub zone in there. This ends the time of
 * setting options, and tells whether they were good.
 */
static int
remove_built_in_zones(struct ub_ctx *ub, const struct conf *conf)
{
	size_t n;
	const char *const *zone = conf_map_keys(conf, "dns.stub", &n);
	int rc = ub_ctx_zone_remove(ub, "stub.invalid.");

	for (size_t i = 0; i < n && rc == 0; i++)
		for (const char *p = zone[i]; p != NULL && rc == 0;) {
			if (*p != '\0')
				rc = ub_ctx_zone_remove(ub, p);
			p = strchr(p, '.');
			p = p != NULL ? p + 1 : NULL;
		}
	return rc;
}

int
dns_ub_new(struct ub_ctx **out, const struct conf *conf, struct buf *err)
{
	struct ub_ctx *ub = ub_ctx_create_event(loop_base());
	int rc;

	if (ub == NULL) {
		fault(err, "dns", "libunbound", strerror(ENOMEM));
		return -ENOMEM;
	}
	ub_ctx_debugout(ub, NULL); /* no lines in another format */
	if ((rc = set_options(ub, err)) == 0 &&
	    (rc = set_servers(ub, conf, err)) == 0 &&
	    (rc = set_trust(ub, conf, err)) == 0 &&
	    (rc = set_stubs(ub, conf, err)) == 0 &&
	    (rc = remove_built_in_zones(ub, conf)) == 0) {
		*out = ub;
		return 0;
	}
	if (err->n == 0)
		fault(err, "dns", "libunbound",
		    rc < 0 && rc > -20 ? ub_strerror(rc) : strerror(-rc));
	ub_ctx_delete(ub);
	return -EINVAL;
}
