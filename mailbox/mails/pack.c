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

/* tests/bench/mailtext.py and `zstd --train` made them; see docs/performance.md.
 * What a build makes anew might differ, so they lie in the tree. */
#define DICTIONARY(n)                                                          \
	__asm__(".pushsection .rodata\n"                                       \
		".balign 16\n"                                                 \
		"pack_dictionary_" #n ":\n"                                    \
		".incbin \"mailbox/mails/dictionary." #n "\"\n"                \
		"pack_dictionary_" #n "_end:\n"                                \
		".byte 0\n"                                                    \
		".popsection\n");                                              \
	extern const char pack_dictionary_##n[]                                \
	    __attribute__((visibility("hidden")));                             \
	extern const char pack_dictionary_##n##_end[]                          \
	    __attribute__((visibility("hidden")))

DICTIONARY(1);
DICTIONARY(2);

#define SUMMARY_LEVEL 3 /* at least */

struct packer {
	int level;
	bool failed; /* to make what packs: no compression */
	ZSTD_CCtx *c;
	ZSTD_CDict *c_dict[PACK_DICTIONARIES];
	ZSTD_DCtx *d;
	ZSTD_DDict *d_dict[PACK_DICTIONARIES];
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
	ZSTD_freeDCtx(p->d);
	for (size_t i = 0; i < PACK_DICTIONARIES; i++) {
		ZSTD_freeCDict(p->c_dict[i]);
		ZSTD_freeDDict(p->d_dict[i]);
	}
	free(p);
}

unsigned
packer_dictionary(const struct packer *p, enum pack_what what)
{
	return p->level <= 0 ? 0 : what == PACK_SUMMARY ? 2 : 1;
}

static struct slice
dictionary_of(unsigned number)
{
	return number == 1
	    ? slice(pack_dictionary_1,
		  (size_t)(pack_dictionary_1_end - pack_dictionary_1))
	    : slice(pack_dictionary_2,
		  (size_t)(pack_dictionary_2_end - pack_dictionary_2));
}

static bool
can_pack(struct packer *p)
{
	int level;

	if (p->level <= 0 || p->failed)
		return false;
	if (p->c != NULL)
		return true;
	p->c = ZSTD_createCCtx();
	p->failed = p->c == NULL;
	for (unsigned i = 0; i < PACK_DICTIONARIES; i++) {
		struct slice d = dictionary_of(i + 1);

		level = i == 1 && p->level < SUMMARY_LEVEL ? SUMMARY_LEVEL
							   : p->level;
		p->c_dict[i] = ZSTD_createCDict(d.p, d.n, level);
		p->failed |= p->c_dict[i] == NULL;
	}
	/* The number of the dictionary stands beside what is packed. */
	p->failed = p->failed ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->c, ZSTD_c_dictIDFlag, 0));
	return !p->failed;
}

bool
packer_pack(struct packer *p, enum pack_what what, struct slice plain,
    struct buf *out)
{
	size_t room = plain.n - plain.n / 16, n;
	const ZSTD_CDict *d;

	if (plain.n < 64 || !can_pack(p) || !buf_reserve(out, room))
		return false;
	d = p->c_dict[packer_dictionary(p, what) - 1];
	/* What found no room last time may stand in the middle still. */
	if (ZSTD_isError(ZSTD_CCtx_reset(p->c, ZSTD_reset_session_only)) ||
	    ZSTD_isError(ZSTD_CCtx_refCDict(p->c, d)))
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
	ZSTD_DDict **dict = NULL;
	struct slice text;
	size_t got;

	if (dictionary > PACK_DICTIONARIES)
		return -EBADMSG;
	if (dictionary > 0)
		dict = &p->d_dict[dictionary - 1];
	if (p->d == NULL && (p->d = ZSTD_createDCtx()) == NULL)
		return -ENOMEM;
	if (dict != NULL && *dict == NULL) {
		text = dictionary_of(dictionary);
		if ((*dict = ZSTD_createDDict(text.p, text.n)) == NULL)
			return -ENOMEM;
	}
	got = ZSTD_decompress_usingDDict(p->d, plain, n, packed.p, packed.n,
	    dict != NULL ? *dict : NULL);
	return !ZSTD_isError(got) && got == n ? 0 : -EBADMSG;
}
