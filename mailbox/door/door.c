/* SPDX-License-Identifier: ISC */
#include "mailbox/door/door.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* --- keywords --- */

bool
door_keyword_add(struct door_meta *m, struct arena *a, struct slice name)
{
	for (size_t i = 0; i < m->n_keywords; i++)
		if (slice_eq_str_nocase(name, m->keywords[i]))
			return true;
	if (!mails_keyword_is_valid(name) || m->n_keywords == MAILS_KEYWORDS_MAX ||
	    (m->keywords[m->n_keywords] = arena_strdup(a, name)) == NULL)
		return false;
	m->keywords[++m->n_keywords] = NULL;
	return true;
}

static int
keyword_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void
door_keywords_sort(struct door_meta *m)
{
	qsort(m->keywords, m->n_keywords, sizeof(m->keywords[0]), keyword_cmp);
}

bool
door_is_listed(const char *const *list, struct slice mailbox)
{
	bool inbox = slice_eq_str_nocase(mailbox, "INBOX");

	for (; list != NULL && *list != NULL; list++)
		if (slice_eq_str(mailbox, *list) ||
		    (inbox && slice_eq_str_nocase(mailbox, *list)))
			return true;
	return false;
}

/* --- digests --- */

struct door_digest {
	EVP_MD_CTX *ctx;
};

int
door_digest_new(struct door_digest **out)
{
	struct door_digest *d = calloc(1, sizeof(*d));

	if (d == NULL || (d->ctx = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1) {
		door_digest_free(&d);
		return -ENOMEM;
	}
	*out = d;
	return 0;
}

void
door_digest_put(struct door_digest *d, struct slice octets)
{
	if (EVP_DigestUpdate(d->ctx, octets.p, octets.n) != 1)
		abort(); /* it only computes */
}

/* It can be used again for another. */
void
door_digest_end(struct door_digest *d, unsigned char out[static 32])
{
	if (EVP_DigestFinal_ex(d->ctx, out, NULL) != 1 ||
	    EVP_DigestInit_ex(d->ctx, EVP_sha256(), NULL) != 1)
		abort();
}

void
door_digest_free(struct door_digest **d)
{
	if (*d == NULL)
		return;
	EVP_MD_CTX_free((*d)->ctx);
	free(*d);
	*d = NULL;
}

/* Each part with its length before it, so that no two lists are one text. */
static void
digest_parts(const struct slice *parts, size_t n, unsigned char out[static 32])
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < n; i++) {
		buf_put_be64(&text, parts[i].n);
		buf_put_slice(&text, parts[i]);
	}
	if (text.failed ||
	    EVP_Digest(buf_str(&text), text.n, out, NULL, EVP_sha256(), NULL) !=
		1)
		abort(); /* without it, mail would come in twice */
	buf_clear(&text);
}

void
door_key_make(
    struct door_key *k, char kind, const struct slice *parts, size_t n)
{
	unsigned char sum[32];

	digest_parts(parts, n, sum);
	k->octets[0] = kind;
	memcpy(k->octets + 1, sum, DOOR_KEY - 1);
}

uint64_t
door_fingerprint(const struct slice *parts, size_t n)
{
	unsigned char sum[32];

	digest_parts(parts, n, sum);
	return get_be64(sum);
}
