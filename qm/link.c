/* SPDX-License-Identifier: ISC */
#include "qm/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/mail/address.h"

static void
fault_set(struct scheduler_fault *why, const struct smtp_reply *reply,
    const char *remote)
{
	size_t n = reply->text.n;

	if (n > sizeof(why->text))
		n = sizeof(why->text);
	why->reply = *reply;
	memmove(why->text, reply->text.p, n);
	why->reply.text = slice(why->text, n);
	snprintf(why->remote, sizeof(why->remote), "%s", remote);
}

static void
relay_name(char out[static 512], const char *host, const struct net_addr *addr)
{
	char text[128];

	net_addr_text(addr, text);
	if (host[0] == '[' || net_addr_is_unix(addr))
		snprintf(out, 512, "%s", text);
	else
		snprintf(out, 512, "%s[%s]", host, text);
}

/* No reply of theirs: what happened, in the form of one. */
static struct smtp_reply
reply_of_errno(struct arena *a, int rc, const char *relay)
{
	if (rc == -ECANCELED)
		return SMTP_REPLY(451, "4.3.2", "the queue is being stopped");
	if (rc == -EPROTO)
		return smtp_reply_f(
		    a, 451, "4.5.0", "%s does not speak the protocol", relay);
	return smtp_reply_f(
	    a, 451, "4.4.1", "connection to %s: %s", relay, strerror(-rc));
}

/* RFC 8689 4.2.1, of a connection that was opened to be verified. */
static bool
is_verified(const struct link *l, const struct route_hop *hop, bool sure,
    struct smtp_reply *reply)
{
	unsigned ext = smtp_client_extensions(l->client);

	if (!hop->secure && !sure)
		*reply = SMTP_REPLY(550, "5.7.30",
		    "REQUIRETLS, and neither DNSSEC nor MTA-STS vouches for "
		    "the MX");
	else if (!smtp_client_is_tls(l->client))
		*reply = SMTP_REPLY(550, "5.7.10",
		    "REQUIRETLS, and no TLS that could be verified");
	else if (!(ext & SMTP_EXT_REQUIRETLS))
		*reply = SMTP_REPLY(
		    550, "5.7.30", "REQUIRETLS is not supported by the server");
	else
		return true;
	return false;
}

/* Has the server what this mail must have? Else *reply says why not. */
static bool
meets_needs(struct link *l, const struct route_hop *hop, bool sure,
    struct smtp_reply *reply)
{
	unsigned ext = smtp_client_extensions(l->client);

	if ((l->needs & DESTINATION_BY) && !(ext & SMTP_EXT_DELIVERBY)) {
		*reply = SMTP_REPLY(
		    554, "5.3.3", "No server there takes delivery times");
		return false;
	}
	if (l->needs & (DESTINATION_TLS | DESTINATION_TLS_IF)) {
		l->verified = is_verified(l, hop, sure, reply);
		return l->verified;
	}
	return true;
}

/*
 * Open, and see that all needs are met; else -EPROTO and the reply. Where TLS
 * must be verified it is tried by "may", which falls back to plain text: so it
 * shows that it was TLS that failed, and nothing is sent on such a connection.
 */
static int
hop_open_once(struct link *l, const struct route_hop *hop,
    const struct smtp_client_conf *conf, bool sure, struct smtp_reply *reply)
{
	int rc = smtp_client_open(&l->client, &hop->addr, conf, reply);

	if (rc != 0 || meets_needs(l, hop, sure, reply))
		return rc;
	l->unmet = true;
	smtp_client_free(&l->client);
	return -EPROTO;
}

/* Of an address literal, with brackets or a port, the address: anything else
 * in SNI is a fault to some (GnuTLS), and no name in a certificate. */
static const char *
tls_name(struct arena *a, const struct route_hop *hop)
{
	char host[128];
	const char *kept;

	if (net_addr_is_unix(&hop->addr) || strpbrk(hop->host, "[:") == NULL)
		return hop->host;
	net_addr_host(&hop->addr, host);
	kept = arena_strdup(a, slice_str(host));
	return kept == NULL ? hop->host : kept;
}

/* What the domain's policy wants of TLS; nothing else is tried then. */
static void
conf_of_policy(struct smtp_client_conf *conf, const struct deliver *d,
    const struct policy_hop *policy)
{
	if (policy->kind == POLICY_ANY)
		return;
	conf->tls_mode = SMTP_TLS_STARTTLS;
	if (policy->kind == POLICY_DANE) {
		conf->tls = d->policy.dane;
		conf->dane = &policy->tls;
	} else {
		conf->tls = policy->kind == POLICY_NAMES ? d->conf.tls_names
							 : d->conf.tls_any;
	}
}

/*
 * Where REQUIRETLS wants the server verified and no policy does that already:
 * by the host's name, and by "may", see hop_open_once.
 */
static void
conf_verified(struct smtp_client_conf *conf, const struct deliver *d,
    const struct policy_hop *policy)
{
	if (policy->kind == POLICY_DANE || policy->kind == POLICY_NAMES)
		return;
	conf->tls = d->conf.tls_names;
	if (conf->tls_mode == SMTP_TLS_NONE || policy->kind == POLICY_ENCRYPT)
		conf->tls_mode = SMTP_TLS_MAY;
}

static int
hop_connect(struct deliver *d, struct link *l, const struct route_hop *hop,
    const struct smtp_client_conf *conf, const struct policy_hop *policy,
    struct smtp_reply *reply)
{
	struct smtp_client_conf verified = *conf;
	int rc;

	if (policy->kind == POLICY_REFUSE) {
		*reply = policy->reply;
		return -EPROTO;
	}
	conf_verified(&verified, d, policy);
	if (l->needs & (DESTINATION_TLS | DESTINATION_TLS_IF))
		rc = hop_open_once(l, hop, &verified, policy->sure, reply);
	else
		rc = hop_open_once(l, hop, conf, policy->sure, reply);
	if (rc != 0 && (l->needs & DESTINATION_TLS_IF))
		rc = smtp_client_open(&l->client, &hop->addr, conf, reply);
	return rc;
}

/* Why a host that must be safe could not be had. */
static void
say_unsafe(struct arena *a, const struct link *l,
    const struct policy_hop *policy, int rc, struct smtp_reply *reply)
{
	if (policy->kind == POLICY_ANY || policy->kind == POLICY_REFUSE)
		return;
	if (rc == -ECONNRESET)
		*reply = smtp_reply_f(a, 451, "4.7.5",
		    "%s: %s has no TLS with a certificate that fits",
		    policy->name, l->relay);
	else if (rc == -EPROTO && memcmp(reply->enhanced, "4.7.4", 6) == 0)
		*reply = smtp_reply_f(a, 451, "4.7.4",
		    "%s: %s offers no TLS", policy->name, l->relay);
}

/* One hop: 0 and a client, or an error and the reply. */
static int
hop_open(struct deliver *d, struct link *l, const struct route_hop *hop,
    const struct smtp_client_conf *base, struct arena *a,
    struct smtp_reply *reply)
{
	struct smtp_client_conf conf = *base;
	struct policy_hop policy;
	int rc = policy_of_hop(&d->policy, &l->domain, a, hop, &policy);

	conf.tls_name = tls_name(a, hop);
	conf.reply_arena = a;
	conf_of_policy(&conf, d, &policy);
	relay_name(l->relay, hop->host, &hop->addr);
	snprintf(l->host, sizeof(l->host), "%s", hop->host);
	*reply = (struct smtp_reply){ 0 };
	if (rc == 0)
		rc = hop_connect(d, l, hop, &conf, &policy, reply);
	l->peer.policy = policy.name;
	if (rc == 0)
		return 0;
	if (rc != -EPROTO || reply->code < 400)
		*reply = reply_of_errno(a, rc, l->relay);
	say_unsafe(a, l, &policy, rc, reply);
	log_info("connection failed", "relay=%s code=%d reply=\"%s\"",
	    log_qs(l->relay), reply->code, log_q(reply->text));
	return rc;
}

/*
 * All hops in order until one greets. When all refuse for good, so do we; one
 * that may do later is enough to come again.
 */
static int
hops_open(struct deliver *d, struct link *l, const struct route_hop *hops,
    size_t n, const struct smtp_client_conf *conf, struct arena *a,
    struct scheduler_fault *why)
{
	struct smtp_reply reply;
	bool have = false;
	int rc = -EHOSTUNREACH;

	for (size_t i = 0; i < n; i++) {
		rc = hop_open(d, l, &hops[i], conf, a, &reply);
		if (rc == 0)
			return 0;
		if (!have || smtp_reply_is_temporary(&reply))
			fault_set(why, &reply, l->relay);
		have = true;
		if (rc == -ECANCELED)
			break;
	}
	return rc;
}

/* One of our own programs, by LMTP. */
static int
open_ours(struct deliver *d, struct link *l, const char *setting,
    const char *address, bool final, struct arena *a,
    struct scheduler_fault *why)
{
	struct smtp_client_conf conf = { .lmtp = true,
		.final = final,
		.hostname = d->conf.hostname,
		.connect_timeout_ms = d->conf.connect_timeout_ms,
		.timeout_ms = d->conf.timeout_ms };
	struct route_hop hop = { .host = final ? "mailbox" : "gateway" };
	int rc = net_addr_parse(&hop.addr, address, d->conf.run_dir);

	if (rc != 0) {
		fault_set(why,
		    &SMTP_REPLY(451, "4.3.5", "it is not an address"), setting);
		return rc;
	}
	l->local = final;
	rc = hops_open(d, l, &hop, 1, &conf, a, why);
	/* Ours, and in trouble: never a reason to give up mail. */
	if (rc != 0 && !smtp_reply_is_temporary(&why->reply)) {
		why->reply.code = 451;
		memcpy(why->reply.enhanced, "4.3.0", 6);
	}
	return rc;
}

/* Address literals have no policy. */
static const char *
policy_domain_of(struct arena *a, const char *domain)
{
	struct slice name;

	if (domain[0] == '[' ||
	    domain_canonical(a, slice_str(domain), &name) != 0)
		return NULL;
	return arena_strdup(a, name);
}

static int
open_domain(struct deliver *d, struct link *l, const char *domain,
    struct arena *a, struct scheduler_fault *why)
{
	struct smtp_client_conf conf = { .hostname = d->conf.hostname,
		.tls_mode =
		    d->conf.tls_any != NULL ? SMTP_TLS_MAY : SMTP_TLS_NONE,
		.tls = d->conf.tls_any,
		.connect_timeout_ms = d->conf.connect_timeout_ms,
		.timeout_ms = d->conf.timeout_ms };
	struct route_hop *hops;
	struct smtp_reply reply;
	size_t n;
	int rc = route_domain(&d->dns, &d->self, a, slice_str(domain),
	    d->conf.smtp_port, &hops, &n, &reply);

	if (rc != 0) {
		fault_set(why, &reply, "");
		return rc;
	}
	if (!(l->needs & DESTINATION_TLS_ANY))
		l->domain.name = policy_domain_of(a, domain);
	return hops_open(d, l, hops, n, &conf, a, why);
}

static int
open_smarthost(struct deliver *d, struct link *l, struct arena *a,
    struct scheduler_fault *why)
{
	enum smtp_client_tls mode = d->conf.smarthost_tls;
	struct smtp_client_conf conf = { .hostname = d->conf.hostname,
		.tls_mode = mode,
		.tls = mode == SMTP_TLS_NONE ? NULL
		    : mode == SMTP_TLS_MAY   ? d->conf.tls_any
					     : d->conf.tls_names,
		.sasl_user = d->conf.smarthost_user,
		.sasl_password = d->conf.smarthost_password,
		.sasl = &sasl_smtp_client,
		.connect_timeout_ms = d->conf.connect_timeout_ms,
		.timeout_ms = d->conf.timeout_ms };
	struct route_hop *hops;
	struct smtp_reply reply;
	size_t n;
	int rc =
	    route_smarthost(&d->dns, a, d->conf.smarthost, &hops, &n, &reply);

	if (rc != 0) {
		fault_set(why, &reply, d->conf.smarthost);
		return rc;
	}
	rc = hops_open(d, l, hops, n, &conf, a, why);
	/* A wrong password is the admin's to mend, not the senders'; but what a
	 * message needs, it needs. */
	if (rc != 0 && !l->unmet && !smtp_reply_is_temporary(&why->reply)) {
		why->reply.code = 451;
		if (why->reply.enhanced[0] != '\0')
			why->reply.enhanced[0] = '4';
	}
	return rc;
}

void
link_close(void *arg, void *connection)
{
	struct link *l = connection;

	(void)arg;
	smtp_client_free(&l->client);
	free(l);
}

int
link_open(void *arg, const char *destination, void **connection,
    struct scheduler_fault *why)
{
	struct deliver *d = arg;
	struct link *l = calloc(1, sizeof(*l));
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct destination_name to = destination_parse(destination);
	int rc;

	if (l == NULL) {
		fault_set(why, &SMTP_REPLY(451, "4.3.0", "out of memory"), "");
		return -ENOMEM;
	}
	l->needs = to.needs;
	if (to.kind == DESTINATION_MAILBOX)
		rc = open_ours(
		    d, l, "qm.mailbox", d->conf.mailbox, true, &a, why);
	else if (to.kind == DESTINATION_GATEWAY)
		rc = open_ours(
		    d, l, "qm.gateway", d->conf.gateway, false, &a, why);
	else if (to.kind == DESTINATION_SMARTHOST)
		rc = open_smarthost(d, l, &a, why);
	else
		rc = open_domain(d, l, to.domain, &a, why);
	arena_reset(&a);
	if (rc != 0) {
		free(l);
		return rc;
	}
	snprintf(
	    l->tls, sizeof(l->tls), "%s", smtp_client_tls_version(l->client));
	l->domain = (struct policy_domain){ .name = NULL }; /* was the arena's */
	l->peer = (struct deliver_peer){ .host = l->host,
		.policy = l->peer.policy,
		.relay = l->relay,
		.tls = l->tls,
		.final = l->local,
		.dsn = !l->local &&
		    (smtp_client_extensions(l->client) & SMTP_EXT_DSN) != 0,
		.by = (smtp_client_extensions(l->client) &
			  SMTP_EXT_DELIVERBY) != 0 };
	*connection = l;
	return 0;
}
