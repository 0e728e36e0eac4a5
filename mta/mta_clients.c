/* SPDX-License-Identifier: ISC */
/*
 * Connections per client prefix: a small hash table with chains. As many
 * entries as there are connections, so max_connections bounds it.
 */
#include "mta/mta.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"

#define BUCKETS 1024

struct client {
	struct client *next;
	unsigned connections;
	char prefix[64];
};

struct mta_clients {
	struct client *bucket[BUCKETS];
	uint64_t seed; /* so that nobody can choose colliding addresses */
};

int
mta_clients_new(struct mta_clients **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return -ENOMEM;
	random_octets(&(*out)->seed, sizeof((*out)->seed));
	return 0;
}

void
mta_clients_free(struct mta_clients **c)
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
find(struct mta_clients *c, const char *prefix)
{
	uint64_t h = 0xcbf29ce484222325 ^ c->seed;
	struct client **at;

	for (const char *p = prefix; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * 0x100000001b3;
	at = &c->bucket[(h >> 32) % BUCKETS];
	while (*at != NULL && strcmp((*at)->prefix, prefix) != 0)
		at = &(*at)->next;
	return at;
}

unsigned
mta_clients_enter(struct mta_clients *c, const char *prefix)
{
	struct client **at = find(c, prefix);

	if (*at == NULL) {
		if ((*at = calloc(1, sizeof(**at))) == NULL)
			return 0;
		strncpy((*at)->prefix, prefix, sizeof((*at)->prefix) - 1);
	}
	return ++(*at)->connections;
}

void
mta_clients_leave(struct mta_clients *c, const char *prefix)
{
	struct client **at = find(c, prefix), *e = *at;

	if (e == NULL || --e->connections > 0)
		return;
	*at = e->next;
	free(e);
}
