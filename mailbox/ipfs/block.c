/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/block.h"

#include <errno.h>

#define ABOUT "pneu ipfs 1 "

uint64_t
block_count(uint64_t octets)
{
	return octets == 0 ? 1 : (octets - 1) / BLOCK_OCTETS + 1;
}

/* Bits of v, without leading zeros. */
static unsigned
bits_of(size_t v)
{
	return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

size_t
padded_octets(size_t n)
{
	size_t low, padded;
	unsigned e;

	if (n <= 256)
		return 256;
	e = bits_of(n) - 1;
	low = ((size_t)1 << (e - bits_of(e))) - 1;
	padded = (n + low) & ~low;
	return padded < BLOCK_OCTETS ? padded : BLOCK_OCTETS;
}

static struct aead_nonce
nonce_of(uint64_t number)
{
	struct aead_nonce n = { { 0 } };

	put_be64(n.octets + AEAD_NONCE - 8, number);
	return n;
}

static struct slice
about_of(enum block_kind kind, char room[static sizeof(ABOUT)])
{
	memcpy(room, ABOUT, sizeof(ABOUT) - 1);
	room[sizeof(ABOUT) - 1] = (char)kind;
	return slice(room, sizeof(ABOUT));
}

int
block_seal(const unsigned char key[static AEAD_KEY], enum block_kind kind,
    uint64_t number, struct slice plain, struct buf *out)
{
	struct aead_nonce nonce = nonce_of(number);
	size_t n = padded_octets(plain.n);
	char about[sizeof(ABOUT)];
	int rc;

	buf_reset(out);
	if (!buf_reserve(out, n + AEAD_TAG))
		return -ENOMEM;
	memcpy(out->p, plain.p, plain.n);
	memset(out->p + plain.n, 0, n - plain.n);
	rc = aead_seal(
	    key, &nonce, about_of(kind, about), slice(out->p, n), out->p);
	if (rc == 0)
		out->n = n + AEAD_TAG;
	return rc;
}

int
block_open(const unsigned char key[static AEAD_KEY], enum block_kind kind,
    uint64_t number, struct buf *block, struct slice *plain)
{
	struct aead_nonce nonce = nonce_of(number);
	char about[sizeof(ABOUT)];
	int rc;

	*plain = SLICE_EMPTY;
	if (block->n < AEAD_TAG)
		return -EBADMSG;
	rc = aead_open(
	    key, &nonce, about_of(kind, about), buf_slice(block), block->p);
	if (rc == 0)
		*plain = slice(block->p, block->n - AEAD_TAG);
	return rc;
}
