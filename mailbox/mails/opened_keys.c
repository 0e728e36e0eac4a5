/* SPDX-License-Identifier: ISC */
/*
 * Keys of messages that were opened with an account's private key, so that who
 * reads a message again does not pay the exchange again: 50 us each, twenty
 * times what all else of a summary costs. Bounded; an entry is for the same box,
 * blob and private key only, and goes when the last view that has the key does.
 */
#include <stdlib.h>

#include "mailbox/mails/impl.h"

#define ENTRIES 4096 /* 160 octets each */
#define WAYS 8

struct opened_key {
	bool used;
	unsigned char public[SEAL_PUBLIC_LEN];
	unsigned char blob[STORE_BLOB_ID_LEN];
	unsigned char box[SEAL_BOX_LEN];
	unsigned char secret[SEAL_SECRET_LEN];
};

struct opened_keys {
	struct opened_key v[ENTRIES];
	unsigned char next[ENTRIES / WAYS]; /* the way that gives way */
};

/* Blob ids are random. */
static size_t
set_of(const struct row *r)
{
	return get_be32((const char *)r->blob.octets) % (ENTRIES / WAYS);
}

bool
opened_keys_find(const struct mails *m, const struct row *r,
    const struct seal_key *k, unsigned char secret[static SEAL_SECRET_LEN])
{
	const struct opened_key *e;

	if (m->opened_keys == NULL || k == NULL)
		return false;
	e = &m->opened_keys->v[set_of(r) * WAYS];
	for (size_t i = 0; i < WAYS; i++, e++)
		if (e->used &&
		    memcmp(e->blob, r->blob.octets, sizeof(e->blob)) == 0 &&
		    memcmp(e->box, r->wrap.octets, sizeof(e->box)) == 0 &&
		    memcmp(e->public, seal_key_public(k), sizeof(e->public)) ==
			0) {
			memcpy(secret, e->secret, SEAL_SECRET_LEN);
			return true;
		}
	return false;
}

void
opened_keys_note(struct mails *m, const struct row *r, const struct seal_key *k,
    const unsigned char secret[static SEAL_SECRET_LEN])
{
	struct opened_key *e;
	size_t set = set_of(r);

	/* Of a view that went while the box was opened: nobody would wipe it. */
	if (k == NULL || !unlocked_is(m, k))
		return;
	if (m->opened_keys == NULL &&
	    (m->opened_keys = calloc(1, sizeof(*m->opened_keys))) == NULL)
		return;
	e = &m->opened_keys->v[set * WAYS + m->opened_keys->next[set]];
	m->opened_keys->next[set] =
	    (unsigned char)((m->opened_keys->next[set] + 1) % WAYS);
	e->used = true;
	memcpy(e->public, seal_key_public(k), sizeof(e->public));
	memcpy(e->blob, r->blob.octets, sizeof(e->blob));
	memcpy(e->box, r->wrap.octets, sizeof(e->box));
	memcpy(e->secret, secret, SEAL_SECRET_LEN);
}

void
opened_keys_wipe(struct mails *m, const struct seal_key *k)
{
	struct opened_key *e;

	if (m->opened_keys == NULL || k == NULL)
		return;
	for (e = m->opened_keys->v; e < m->opened_keys->v + ENTRIES; e++)
		if (e->used &&
		    memcmp(e->public, seal_key_public(k), sizeof(e->public)) ==
			0)
			explicit_bzero(e, sizeof(*e));
}

void
opened_keys_free(struct mails *m)
{
	if (m->opened_keys != NULL)
		explicit_bzero(m->opened_keys, sizeof(*m->opened_keys));
	free(m->opened_keys);
	m->opened_keys = NULL;
}
