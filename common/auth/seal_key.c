/* SPDX-License-Identifier: ISC */
/*
 * Private keys in memory: where they lie, who holds them. They share pages of
 * their own, locked and left out of core dumps; a page goes when its last key
 * does. OpenSSL makes a copy for each use and wipes that itself.
 */
#include "common/auth/seal_key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/auth/seal.h"
#include "common/auth/secret.h"
#include "common/base/clock.h"

#define PAGE_LEN ((size_t)4096)
#define PAGE_KEYS (PAGE_LEN / SEAL_KEY_LEN)

struct page {
	struct page *next;
	unsigned char *octets; /* PAGE_LEN, mapped */
	size_t used;
	bool taken[PAGE_KEYS];
};

struct seal_key {
	size_t refs;
	struct page *page;
	unsigned char *private; /* in the page */
	unsigned char public[SEAL_PUBLIC_LEN];
	/* The table that shares it, and the next there; NULL: none does. */
	struct seal_table *table;
	struct seal_key *next;
};

/* Of the process, as what they keep secret from is. */
static struct page *pages;
static size_t alive;

/* --- memory --- */

static struct page *
page_new(void)
{
	struct page *p = calloc(1, sizeof(*p));
	void *m;

	if (p == NULL)
		return NULL;
	m = mmap(NULL, PAGE_LEN, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED) {
		free(p);
		return NULL;
	}
	/* Best effort: what may be locked is limited, and a key that could be
	 * swapped is better than mail that cannot be read. */
	(void)!mlock(m, PAGE_LEN);
	(void)!madvise(m, PAGE_LEN, MADV_DONTDUMP);
	p->octets = m;
	p->next = pages;
	pages = p;
	return p;
}

static bool
slot_take(struct seal_key *k)
{
	struct page *p = pages;
	size_t i = 0;

	while (p != NULL && p->used == PAGE_KEYS)
		p = p->next;
	if (p == NULL && (p = page_new()) == NULL)
		return false;
	while (p->taken[i])
		i++;
	p->taken[i] = true;
	p->used++;
	k->page = p;
	k->private = p->octets + i * SEAL_KEY_LEN;
	return true;
}

static void
slot_give(struct seal_key *k)
{
	struct page *p = k->page, **at = &pages;

	OPENSSL_cleanse(k->private, SEAL_KEY_LEN);
	p->taken[(size_t)(k->private - p->octets) / SEAL_KEY_LEN] = false;
	if (--p->used > 0)
		return;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	munmap(p->octets, PAGE_LEN);
	free(p);
}

/* --- keys --- */

EVP_PKEY *
seal_key_pkey(const unsigned char *private, const unsigned char *public)
{
	EVP_PKEY_CTX *c;
	EVP_PKEY *k = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
		    (void *)(uintptr_t)private, SEAL_KEY_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
		    (void *)(uintptr_t)public, SEAL_PUBLIC_LEN),
		OSSL_PARAM_construct_end(),
	};

	if (public == NULL)
		return EVP_PKEY_new_raw_private_key(
		    EVP_PKEY_X25519, NULL, private, SEAL_KEY_LEN);
	c = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);
	if (c == NULL || EVP_PKEY_fromdata_init(c) != 1 ||
	    EVP_PKEY_fromdata(c, &k, EVP_PKEY_KEYPAIR, params) != 1)
		k = NULL;
	EVP_PKEY_CTX_free(c);
	return k;
}

/* RFC 7748 6.1: the private key times the base point. */
static bool
public_of(const unsigned char *private, unsigned char *public)
{
	EVP_PKEY *k = seal_key_pkey(private, NULL);
	size_t n = SEAL_PUBLIC_LEN;
	bool ok = k != NULL && EVP_PKEY_get_raw_public_key(k, public, &n) == 1;

	EVP_PKEY_free(k);
	return ok;
}

int
seal_key_new(
    struct seal_key **out, const unsigned char octets[static SEAL_KEY_LEN])
{
	struct seal_key *k = calloc(1, sizeof(*k));

	if (k == NULL || !slot_take(k)) {
		free(k);
		return -ENOMEM;
	}
	alive++;
	k->refs = 1;
	memcpy(k->private, octets, SEAL_KEY_LEN);
	if (!public_of(k->private, k->public)) {
		seal_key_unref(&k);
		return -EIO;
	}
	*out = k;
	return 0;
}

int
seal_key_make(struct seal_key **out)
{
	unsigned char octets[SEAL_KEY_LEN];
	int rc;

	random_octets(octets, sizeof(octets));
	rc = seal_key_new(out, octets);
	OPENSSL_cleanse(octets, sizeof(octets));
	return rc;
}

int
seal_key_load(struct seal_key **out, const char *path, bool make)
{
	unsigned char octets[SECRET_KEY_LEN];
	int rc = secret_key_load(path, make, octets);

	if (rc == 0)
		rc = seal_key_new(out, octets);
	OPENSSL_cleanse(octets, sizeof(octets));
	return rc;
}

struct seal_key *
seal_key_ref(struct seal_key *k)
{
	if (k != NULL)
		k->refs++;
	return k;
}

static void table_forget(struct seal_key *k);

void
seal_key_unref(struct seal_key **k)
{
	struct seal_key *gone = *k;

	*k = NULL;
	if (gone == NULL || --gone->refs > 0)
		return;
	table_forget(gone);
	slot_give(gone);
	alive--;
	free(gone);
}

const unsigned char *
seal_key_public(const struct seal_key *k)
{
	return k->public;
}

const unsigned char *
seal_key_private(const struct seal_key *k)
{
	return k->private;
}

size_t
seal_key_count(void)
{
	return alive;
}

/* --- keys in use --- */

#define CHAINS 64

struct seal_table {
	struct seal_key *chains[CHAINS];
};

/* Public keys are as good as random. */
static struct seal_key **
chain_of(struct seal_table *t, const unsigned char *public)
{
	return &t->chains[public[0] % CHAINS];
}

struct seal_table *
seal_table_new(void)
{
	return calloc(1, sizeof(struct seal_table));
}

void
seal_table_free(struct seal_table **t)
{
	if (*t == NULL)
		return;
	for (size_t i = 0; i < CHAINS; i++)
		for (struct seal_key *k = (*t)->chains[i]; k != NULL;
		     k = k->next)
			k->table = NULL;
	free(*t);
	*t = NULL;
}

static void
table_forget(struct seal_key *k)
{
	struct seal_key **at;

	if (k->table == NULL)
		return;
	at = chain_of(k->table, k->public);
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
}

struct seal_key *
seal_table_find(struct seal_table *t,
    const unsigned char public[static SEAL_PUBLIC_LEN])
{
	struct seal_key *k = *chain_of(t, public);

	while (k != NULL && memcmp(k->public, public, SEAL_PUBLIC_LEN) != 0)
		k = k->next;
	return seal_key_ref(k);
}

void
seal_table_share(struct seal_table *t, struct seal_key **k)
{
	struct seal_key *used = seal_table_find(t, (*k)->public), **chain;

	if (used != NULL) {
		seal_key_unref(k);
		*k = used;
		return;
	}
	chain = chain_of(t, (*k)->public);
	(*k)->table = t;
	(*k)->next = *chain;
	*chain = *k;
}
