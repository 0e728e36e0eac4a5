/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/cid.h"

#include <errno.h>
#include <openssl/evp.h>

/* Version 1, raw (0x55), sha2-256 (0x12) of 32 octets: each a varint. */
static const unsigned char head[] = { 0x01, 0x55, 0x12, CID_DIGEST };
#define HEAD sizeof(head)
#define BINARY (HEAD + CID_DIGEST)

/* RFC 4648 6, small letters, no padding: what multibase calls «b». */
static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

int
cid_of(struct slice block, struct cid *out)
{
	return EVP_Digest(
		   block.p, block.n, out->digest, NULL, EVP_sha256(), NULL) == 1
	    ? 0
	    : -EIO;
}

void
cid_text(const struct cid *c, char out[static CID_TEXT + 1])
{
	unsigned char in[BINARY];
	uint32_t bits = 0;
	unsigned n = 0;

	memcpy(in, head, HEAD);
	memcpy(in + HEAD, c->digest, CID_DIGEST);
	*out++ = 'b';
	for (size_t i = 0; i < BINARY; i++) {
		bits = bits << 8 | in[i];
		for (n += 8; n >= 5; n -= 5)
			*out++ = alphabet[bits >> (n - 5) & 31];
	}
	*out++ = alphabet[bits << (5 - n) & 31];
	*out = '\0';
}

static int
letter(char c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

int
cid_parse(struct slice text, struct cid *out)
{
	unsigned char binary[BINARY];
	uint32_t bits = 0;
	unsigned n = 0;
	size_t at = 0;
	int v;

	if (text.n != CID_TEXT || text.p[0] != 'b')
		return -EINVAL;
	for (size_t i = 1; i < CID_TEXT; i++) {
		if ((v = letter(text.p[i])) < 0)
			return -EINVAL;
		bits = bits << 5 | (uint32_t)v;
		if ((n += 5) >= 8)
			binary[at++] = (unsigned char)(bits >> (n -= 8));
	}
	/* The last letter's spare bits: two texts for one CID otherwise. */
	if (at != BINARY || (bits & ((1u << n) - 1)) != 0 ||
	    memcmp(binary, head, HEAD) != 0)
		return -EINVAL;
	memcpy(out->digest, binary + HEAD, CID_DIGEST);
	return 0;
}
