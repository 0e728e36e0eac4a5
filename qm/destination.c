/* SPDX-License-Identifier: ISC */
#include "qm/destination.h"

#include <string.h>

#include "common/auth/outside.h"

#define GATEWAY "gateway"

static const struct {
	unsigned need;
	const char *word;
} needs[] = {
	{ DESTINATION_BY, "+by" },
	{ DESTINATION_TLS, "+tls" },
	{ DESTINATION_TLS_IF, "+iftls" },
	{ DESTINATION_TLS_ANY, "+anytls" },
};
#define N_NEEDS (sizeof(needs) / sizeof(*needs))

static unsigned
needs_of(const struct queue_message *m)
{
	unsigned n = m->wishes.by_mode == 'R' ? DESTINATION_BY : 0;

	if (m->wishes.requiretls)
		n |= m->from.n > 0 ? DESTINATION_TLS : DESTINATION_TLS_IF;
	else if (m->flags & QUEUE_TLS_ANY)
		n |= DESTINATION_TLS_ANY;
	return n;
}

/* One for each account, so that one that is slow hinders nobody. What it needs
 * is the gateway's to see to. */
static const char *
gateway_name(struct queue_message *m)
{
	return arena_printf(
	    &m->arena, GATEWAY ":%.*s", (int)m->from.n, m->from.p);
}

const char *
destination_name_of(
    struct queue_message *m, bool smarthost, struct slice domain)
{
	struct buf b = BUF_INIT;
	char *name = NULL;

	/* What is put into an outside account; of those of a provider one after
	 * the other. */
	if (slice_ends_nocase(domain, OUTSIDE_PUSH_DOMAIN))
		return arena_printf(
		    &m->arena, GATEWAY ":%.*s", (int)domain.n, domain.p);
	if (m->wishes.outside)
		return gateway_name(m);
	buf_put_str(&b, smarthost ? "smarthost" : "smtp");
	for (size_t i = 0; i < N_NEEDS; i++)
		if (needs_of(m) & needs[i].need)
			buf_put_str(&b, needs[i].word);
	if (!smarthost) {
		buf_put_char(&b, ':');
		for (size_t i = 0; i < domain.n; i++)
			buf_put_char(&b, ascii_lower(domain.p[i]));
	}
	if (!b.failed)
		name = arena_strdup(&m->arena, buf_slice(&b));
	buf_clear(&b);
	return name;
}

struct destination_name
destination_parse(const char *name)
{
	const char *colon = strchr(name, ':');
	struct destination_name d = {
		.kind = strcmp(name, DESTINATION_LOCAL) == 0
		    ? DESTINATION_MAILBOX
		    : strncmp(name, GATEWAY ":", sizeof(GATEWAY)) == 0
		    ? DESTINATION_GATEWAY
		    : colon != NULL ? DESTINATION_DOMAIN
				    : DESTINATION_SMARTHOST,
		.domain = colon == NULL ? "" : colon + 1,
	};
	struct slice kind = slice_str(name);

	if (colon != NULL)
		kind = slice_head(kind, (size_t)(colon - name));
	for (size_t i = 0; i < N_NEEDS; i++)
		if (slice_find_slice(kind, slice_str(needs[i].word)) >= 0)
			d.needs |= needs[i].need;
	return d;
}
