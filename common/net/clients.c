/* SPDX-License-Identifier: ISC */
/*
 * Connections per client prefix: a small hash table with chains. As many
 * entries as there are connections, so max_connections bounds it.
 */
#include "common/net/clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"

#define BUCKETS 1024

struct client {
	struct client *next;
	unsigned connections;
	struct client_prefix prefix;
};

struct clients {
	struct client *bucket[BUCKETS];
	uint64_t seed; /* so that nobody can choose colliding addresses */
	unsigned max;
	const char *const *crowd_from, *const *xclient_from; /* networks */
};

int
clients_new(struct clients **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return -ENOMEM;
	random_octets(&(*out)->seed, sizeof((*out)->seed));
	return 0;
}

void
clients_free(struct clients **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		struct client *e, *next;

		for (e = (*c)->bucket[i]; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(*c);
	*c = NULL;
}

/* FNV-1a from a secret start. Where the entry is, or would be appended. */
static struct client **
find(struct clients *c, const char *prefix)
{
	uint64_t h = 0xcbf29ce484222325 ^ c->seed;
	struct client **at;

	for (const char *p = prefix; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
	at = &c->bucket[(h >> 32) % BUCKETS];
	while (*at != NULL && strcmp((*at)->prefix.text, prefix) != 0)
		at = &(*at)->next;
	return at;
}

static int
enter(struct clients *c, const struct client_prefix *prefix)
{
	struct client **at = find(c, prefix->text);

	if (*at == NULL) {
		if ((*at = calloc(1, sizeof(**at))) == NULL)
			return -ENOMEM;
		(*at)->prefix = *prefix;
	}
	return ++(*at)->connections > c->max ? -EBUSY : 0;
}

void
clients_configure(
    struct clients *c, const struct conf *conf, const char *section)
{
	char name[64];
	size_t n;

	snprintf(name, sizeof(name), "%s.max_per_address", section);
	c->max = (unsigned)conf_int(conf, name);
	snprintf(name, sizeof(name), "%s.crowd_from", section);
	c->crowd_from = conf_list(conf, name, &n);
	snprintf(name, sizeof(name), "%s.xclient_from", section);
	c->xclient_from = conf_list(conf, name, &n);
}

int
clients_enter(struct clients *c, const struct net_addr *peer,
    struct client_prefix *prefix)
{
	int rc;

	prefix->text[0] = '\0';
	if (net_addr_is_unix(peer) ||
	    net_addr_is_listed(peer, c->crowd_from) ||
	    net_addr_is_listed(peer, c->xclient_from))
		return 0;
	net_addr_prefix(peer, prefix->text);
	if ((rc = enter(c, prefix)) == -ENOMEM)
		prefix->text[0] = '\0';
	return rc;
}

void
clients_leave(struct clients *c, struct client_prefix *prefix)
{
	struct client **at, *e;

	if (prefix->text[0] == '\0')
		return;
	at = find(c, prefix->text);
	prefix->text[0] = '\0';
	if ((e = *at) == NULL || --e->connections > 0)
		return;
	*at = e->next;
	free(e);
}
