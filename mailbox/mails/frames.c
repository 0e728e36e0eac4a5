/* SPDX-License-Identifier: ISC */
/* The layout: frames.h. Compression: pack.c. */
#include "mailbox/mails/frames.h"

#include <errno.h>
#include <stdlib.h>

#include "mailbox/mails/pack.h"

#define MAGIC "\x8ePNM"
#define VERSION 1
#define FRAME_LOG2 16
#define AS_IS ((uint64_t)1 << 63)
#define SEALED 1 /* of the flags */

_Static_assert((size_t)1 << FRAME_LOG2 == FRAME_OCTETS, "the header says it");

/* --- sealing --- */

#define ABOUT (FRAMES_ID + FRAMES_HEAD + 8 + 8)
#define ABOUT_AS_IS ((uint64_t)1 << 62)
#define ABOUT_LAST ((uint64_t)1 << 61)

static void
header_make(char head[static FRAMES_HEAD], unsigned dictionary, bool sealed)
{
	memcpy(head, MAGIC, 4);
	head[4] = VERSION;
	head[5] = (char)dictionary;
	head[6] = sealed ? SEALED : 0;
	head[7] = FRAME_LOG2;
}

/* What is authenticated beside a frame, or beside nothing in the trailer. */
static struct slice
about_make(char out[static ABOUT], const struct frames_seal *seal,
    unsigned dictionary, uint64_t number, uint64_t octets)
{
	memcpy(out, seal->id, FRAMES_ID);
	header_make(out + FRAMES_ID, dictionary, true);
	put_be64(out + FRAMES_ID + FRAMES_HEAD, number);
	put_be64(out + FRAMES_ID + FRAMES_HEAD + 8, octets);
	return slice(out, ABOUT);
}

static struct aead_nonce
frame_nonce(uint64_t number)
{
	struct aead_nonce n = { { 0 } };

	put_be64(n.octets + AEAD_NONCE - 8, number);
	return n;
}

static struct aead_nonce
trailer_nonce(void)
{
	return (struct aead_nonce){ { 0x40 } };
}

/* --- writing --- */

void
frames_writer_init(struct frames_writer *w, struct packer *p,
    int (*put)(void *arg, struct slice octets), void *arg)
{
	*w = (struct frames_writer){ .packer = p, .put = put, .arg = arg };
}

void
frames_writer_clear(struct frames_writer *w)
{
	(w->seal == NULL ? buf_clear : buf_wipe)(&w->plain);
	(w->seal == NULL ? buf_clear : buf_wipe)(&w->packed);
	buf_clear(&w->index);
}

static void
header_put(struct frames_writer *w)
{
	char head[FRAMES_HEAD];

	header_make(head, packer_dictionary(w->packer, PACK_FRAME),
	    w->seal != NULL);
	buf_put(&w->packed, head, sizeof(head));
	w->at = sizeof(head);
}

static int
flush(struct frames_writer *w)
{
	int rc;

	if (w->packed.failed || w->index.failed)
		return -ENOMEM;
	rc = w->put(w->arg, buf_slice(&w->packed));
	buf_reset(&w->packed);
	return rc;
}

/* What stands in w->packed from `from` on, which is `octets` of the message. */
static void
frame_seal(struct frames_writer *w, size_t from, uint64_t octets, bool packed,
    bool last)
{
	uint64_t number = w->index.n / FRAMES_ENTRY;
	struct aead_nonce nonce = frame_nonce(number);
	char about[ABOUT];
	struct slice a;

	if (w->seal == NULL || !buf_reserve(&w->packed, AEAD_TAG))
		return;
	octets |= packed ? 0 : ABOUT_AS_IS;
	octets |= last ? ABOUT_LAST : 0;
	a = about_make(about, w->seal,
	    packer_dictionary(w->packer, PACK_FRAME), number, octets);
	if (aead_seal(w->seal->key, &nonce, a,
		slice(w->packed.p + from, w->packed.n - from),
		w->packed.p + from) != 0)
		w->packed.failed = true;
	else
		w->packed.n += AEAD_TAG;
}

static void
frame_put(struct frames_writer *w, struct slice plain, bool last)
{
	size_t before;
	char entry[FRAMES_ENTRY];
	bool packed;

	if (w->at == 0)
		header_put(w);
	before = w->packed.n;
	packed = packer_pack(w->packer, PACK_FRAME, plain, &w->packed);
	if (!packed)
		buf_put_slice(&w->packed, plain);
	frame_seal(w, before, plain.n, packed, last);
	w->at += w->packed.n - before;
	put_be64(entry, packed ? w->at : w->at | AS_IS);
	buf_put(&w->index, entry, sizeof(entry));
	w->size += plain.n;
}

/* A full frame waits until there is more: it may be the last. */
int
frames_write(struct frames_writer *w, struct slice octets)
{
	size_t n;
	int rc = 0;

	while (octets.n > 0 && rc == 0) {
		if (w->plain.n == FRAME_OCTETS) {
			frame_put(w, buf_slice(&w->plain), false);
			buf_reset(&w->plain);
			rc = flush(w);
		}
		n = FRAME_OCTETS - w->plain.n;
		n = n < octets.n ? n : octets.n;
		if (rc == 0 && n == FRAME_OCTETS && octets.n > n) {
			frame_put(w, slice_head(octets, n), false);
			rc = flush(w);
		} else if (rc == 0 && !buf_put(&w->plain, octets.p, n)) {
			rc = -ENOMEM;
		}
		octets = slice_from(octets, n);
	}
	return rc;
}

static void
trailer_put(struct frames_writer *w)
{
	struct aead_nonce nonce = trailer_nonce();
	char tail[FRAMES_TAIL + AEAD_TAG], about[ABOUT];
	struct slice a;
	size_t n = FRAMES_TAIL;

	put_be64(tail, w->size);
	if (w->seal != NULL) {
		a = about_make(about, w->seal,
		    packer_dictionary(w->packer, PACK_FRAME),
		    w->index.n / FRAMES_ENTRY, w->size);
		if (aead_seal(w->seal->key, &nonce, a, SLICE_EMPTY,
			tail + n) != 0)
			w->packed.failed = true;
		n += AEAD_TAG;
	}
	buf_put(&w->packed, tail, n);
}

int
frames_end(struct frames_writer *w)
{
	if (w->plain.n > 0)
		frame_put(w, buf_slice(&w->plain), true);
	if (w->at == 0)
		header_put(w);
	buf_put_slice(&w->packed, buf_slice(&w->index));
	trailer_put(w);
	return flush(w);
}

/* --- reading --- */

/* The header. */
static int
head_read(struct frames *f)
{
	const struct frames_source *s = f->source;
	char head[FRAMES_HEAD];
	int rc;

	if (s->stored < FRAMES_HEAD + FRAMES_TAIL)
		return -EBADMSG;
	if ((rc = s->read(s->arg, 0, head, sizeof(head))) != 0)
		return rc;
	f->dictionary = (unsigned char)head[5];
	f->sealed = head[6] == SEALED;
	if (memcmp(head, MAGIC, 4) != 0 || head[4] != VERSION ||
	    (head[6] != 0 && head[6] != SEALED) || head[7] != FRAME_LOG2 ||
	    f->dictionary > PACK_DICTIONARIES)
		return -EBADMSG;
	/* What is not sealed is not taken for what is. */
	return f->seal != NULL && !f->sealed ? -EBADMSG : 0;
}

/* How much it is, and where the index lies, by what the trailer says. */
static int
tail_read(struct frames *f)
{
	const struct frames_source *s = f->source;
	size_t tag = f->sealed ? AEAD_TAG : 0, n = FRAMES_TAIL + tag;
	char tail[FRAMES_TAIL + AEAD_TAG], about[ABOUT];
	struct aead_nonce nonce = trailer_nonce();
	int rc;

	if (s->stored < FRAMES_HEAD + n)
		return -EBADMSG;
	if ((rc = s->read(s->arg, s->stored - n, tail, n)) != 0)
		return rc;
	f->size = get_be64(tail);
	f->count = f->size / FRAME_OCTETS + (f->size % FRAME_OCTETS > 0);
	/* Each frame has an octet at least. */
	if (f->count > (s->stored - FRAMES_HEAD - n) / (FRAMES_ENTRY + 1 + tag))
		return -EBADMSG;
	f->index = s->stored - n - f->count * FRAMES_ENTRY;
	if (!f->sealed)
		return 0;
	if (f->count == 0 && f->index != FRAMES_HEAD)
		return -EBADMSG;
	if (f->seal == NULL)
		return -ENOKEY;
	return aead_open(f->seal->key, &nonce,
	    about_make(about, f->seal, f->dictionary, f->count, f->size),
	    slice(tail + FRAMES_TAIL, AEAD_TAG), about);
}

int
frames_open(struct frames *f, const struct frames_source *s,
    const struct frames_seal *seal)
{
	int rc;

	*f = (struct frames){ .source = s, .seal = seal };
	rc = head_read(f);
	return rc == 0 ? tail_read(f) : rc;
}

size_t
frames_octets(const struct frames *f, uint64_t i)
{
	uint64_t rest = f->size - i * FRAME_OCTETS;

	return rest < FRAME_OCTETS ? (size_t)rest : FRAME_OCTETS;
}

/* Where frame i lies, and whether it is as it was. */
static int
frame_find(const struct frames *f, uint64_t i, uint64_t *from, size_t *n,
    bool *as_is)
{
	char entries[2 * FRAMES_ENTRY];
	const struct frames_source *s = f->source;
	size_t first = i == 0 ? 1 : 0; /* of the two; frame 0 is behind header */
	uint64_t to;
	int rc;

	put_be64(entries, FRAMES_HEAD);
	rc = s->read(s->arg, f->index + (i - 1 + first) * FRAMES_ENTRY,
	    entries + first * FRAMES_ENTRY, (2 - first) * FRAMES_ENTRY);
	if (rc != 0)
		return rc;
	*from = get_be64(entries) & ~AS_IS;
	to = get_be64(entries + FRAMES_ENTRY);
	*as_is = (to & AS_IS) != 0;
	to &= ~AS_IS;
	if (*from < FRAMES_HEAD || to <= *from || to > f->index ||
	    to - *from > frames_octets(f, i) + (f->sealed ? AEAD_TAG : 0))
		return -EBADMSG;
	if (f->sealed && i == f->count - 1 && to != f->index)
		return -EBADMSG;
	*n = (size_t)(to - *from);
	return 0;
}

/* In place; *n becomes the length without the tag. */
static int
frame_open(
    const struct frames *f, uint64_t i, char *octets, size_t *n, bool as_is)
{
	struct aead_nonce nonce = frame_nonce(i);
	uint64_t plain = frames_octets(f, i);
	char about[ABOUT];
	int rc;

	plain |= as_is ? ABOUT_AS_IS : 0;
	plain |= i == f->count - 1 ? ABOUT_LAST : 0;
	rc = aead_open(f->seal->key, &nonce,
	    about_make(about, f->seal, f->dictionary, i, plain),
	    slice(octets, *n), octets);
	*n = *n < AEAD_TAG ? 0 : *n - AEAD_TAG;
	return rc;
}

static int
sealed_read(const struct frames *f, uint64_t from, char *octets, size_t *n,
    uint64_t i, bool as_is)
{
	const struct frames_source *s = f->source;
	int rc = s->read(s->arg, from, octets, *n);

	return rc == 0 && f->sealed ? frame_open(f, i, octets, n, as_is) : rc;
}

int
frames_read(
    const struct frames *f, struct packer *p, uint64_t i, char *plain)
{
	struct slice out = slice(plain, frames_octets(f, i));
	char *packed;
	uint64_t from;
	size_t n, room;
	bool as_is;
	int rc = frame_find(f, i, &from, &n, &as_is);

	if (rc != 0)
		return rc;
	if (f->sealed && f->seal == NULL)
		return -ENOKEY;
	if (as_is && !f->sealed)
		return n != out.n
		    ? -EBADMSG
		    : f->source->read(f->source->arg, from, plain, n);
	if ((packed = malloc(room = n)) == NULL)
		return -ENOMEM;
	rc = sealed_read(f, from, packed, &n, i, as_is);
	if (rc == 0 && as_is)
		rc = n == out.n ? 0 : -EBADMSG;
	if (rc == 0 && as_is)
		memcpy(plain, packed, n);
	else if (rc == 0)
		rc = packer_unpack(
		    p, f->dictionary, slice(packed, n), plain, out.n);
	if (f->sealed)
		explicit_bzero(packed, room);
	free(packed);
	return rc;
}
