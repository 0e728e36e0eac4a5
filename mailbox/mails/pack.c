/* SPDX-License-Identifier: ISC */
/*
 * The contexts are made when first needed, and then kept: making them costs
 * more than packing a short message.
 */
#include "mailbox/mails/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "mailbox/mails/frames.h"

/* tests/bench/mailtext.py and `zstd --train` made it; see docs/performance.md.
 * What a build makes anew might differ, so it lies in the tree. */
__asm__(".pushsection .rodata\n"
	".balign 16\n"
	"pack_dictionary_1:\n"
	".incbin \"mailbox/mails/dictionary.1\"\n"
	"pack_dictionary_1_end:\n"
	".byte 0\n"
	".popsection\n");
extern const char pack_dictionary_1[] __attribute__((visibility("hidden")));
extern const char pack_dictionary_1_end[] __attribute__((visibility("hidden")));

struct packer {
	int level;
	bool failed; /* to make the context that packs: no compression */
	ZSTD_CCtx *c;
	ZSTD_CDict *c_dict;
	ZSTD_DCtx *d;
	ZSTD_DDict *d_dict;
};

struct packer *
packer_new(int level)
{
	struct packer *p = calloc(1, sizeof(*p));

	if (p != NULL)
		p->level = level;
	return p;
}

void
packer_free(struct packer **out)
{
	struct packer *p = *out;

	*out = NULL;
	if (p == NULL)
		return;
	ZSTD_freeCCtx(p->c);
	ZSTD_freeCDict(p->c_dict);
	ZSTD_freeDCtx(p->d);
	ZSTD_freeDDict(p->d_dict);
	free(p);
}

unsigned
packer_dictionary(const struct packer *p)
{
	return p->level > 0 ? 1 : 0;
}

static size_t
dictionary_octets(void)
{
	return (size_t)(pack_dictionary_1_end - pack_dictionary_1);
}

static bool
can_pack(struct packer *p)
{
	if (p->level <= 0 || p->failed)
		return false;
	if (p->c != NULL)
		return true;
	p->c = ZSTD_createCCtx();
	p->c_dict = ZSTD_createCDict(
	    pack_dictionary_1, dictionary_octets(), p->level);
	/* The number of the dictionary stands in the blob's header. */
	p->failed = p->c == NULL || p->c_dict == NULL ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_dictIDFlag, 0)) ||
	    ZSTD_isError(ZSTD_CCtx_refCDict(p->c, p->c_dict));
	return !p->failed;
}

bool
packer_pack(struct packer *p, struct slice plain, struct buf *out)
{
	size_t room = plain.n - plain.n / 16, n;

	if (plain.n < 64 || !can_pack(p) || !buf_reserve(out, room))
		return false;
	n = ZSTD_compress2(p->c, out->p + out->n, room, plain.p, plain.n);
	if (ZSTD_isError(n))
		return false;
	out->n += n;
	return true;
}

int
packer_unpack(struct packer *p, unsigned dictionary, struct slice packed,
    char *plain, size_t n)
{
	size_t got;

	if (dictionary > PACK_DICTIONARIES)
		return -EBADMSG;
	if (p->d == NULL && (p->d = ZSTD_createDCtx()) == NULL)
		return -ENOMEM;
	if (dictionary == 1 && p->d_dict == NULL &&
	    (p->d_dict = ZSTD_createDDict(
		 pack_dictionary_1, dictionary_octets())) == NULL)
		return -ENOMEM;
	got = ZSTD_decompress_usingDDict(p->d, plain, n, packed.p, packed.n,
	    dictionary == 1 ? p->d_dict : NULL);
	return !ZSTD_isError(got) && got == n ? 0 : -EBADMSG;
}
