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

_Static_assert((size_t)1 << FRAME_LOG2 == FRAME_OCTETS, "the header says it");

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
	buf_clear(&w->plain);
	buf_clear(&w->packed);
	buf_clear(&w->index);
}

static void
header_put(struct frames_writer *w)
{
	const char head[FRAMES_HEAD] = { '\x8e', 'P', 'N', 'M', VERSION,
		(char)packer_dictionary(w->packer), 0, FRAME_LOG2 };

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

static void
frame_put(struct frames_writer *w, struct slice plain)
{
	size_t before;
	char entry[FRAMES_ENTRY];
	bool packed;

	if (w->at == 0)
		header_put(w);
	before = w->packed.n;
	packed = packer_pack(w->packer, plain, &w->packed);
	if (!packed)
		buf_put_slice(&w->packed, plain);
	w->at += w->packed.n - before;
	put_be64(entry, packed ? w->at : w->at | AS_IS);
	buf_put(&w->index, entry, sizeof(entry));
	w->size += plain.n;
}

int
frames_write(struct frames_writer *w, struct slice octets)
{
	size_t n;
	int rc = 0;

	while (octets.n > 0 && rc == 0) {
		n = FRAME_OCTETS - w->plain.n;
		n = n < octets.n ? n : octets.n;
		if (n == FRAME_OCTETS) {
			frame_put(w, slice_head(octets, n));
			rc = flush(w);
		} else if (!buf_put(&w->plain, octets.p, n)) {
			rc = -ENOMEM;
		} else if (w->plain.n == FRAME_OCTETS) {
			frame_put(w, buf_slice(&w->plain));
			buf_reset(&w->plain);
			rc = flush(w);
		}
		octets = slice_from(octets, n);
	}
	return rc;
}

int
frames_end(struct frames_writer *w)
{
	char size[FRAMES_TAIL];

	if (w->plain.n > 0)
		frame_put(w, buf_slice(&w->plain));
	if (w->at == 0)
		header_put(w);
	put_be64(size, w->size);
	buf_put_slice(&w->packed, buf_slice(&w->index));
	buf_put(&w->packed, size, sizeof(size));
	return flush(w);
}

/* --- reading --- */

static int
read_be64(const struct frames_source *s, uint64_t at, uint64_t *out)
{
	char octets[8];
	int rc = s->read(s->arg, at, octets, sizeof(octets));

	if (rc == 0)
		*out = get_be64(octets);
	return rc;
}

int
frames_open(struct frames *f, const struct frames_source *s)
{
	char head[FRAMES_HEAD];
	int rc;

	*f = (struct frames){ .source = s };
	if (s->stored < FRAMES_HEAD + FRAMES_TAIL)
		return -EBADMSG;
	if ((rc = s->read(s->arg, 0, head, sizeof(head))) != 0 ||
	    (rc = read_be64(s, s->stored - FRAMES_TAIL, &f->size)) != 0)
		return rc;
	f->dictionary = (unsigned char)head[5];
	if (memcmp(head, MAGIC, 4) != 0 || head[4] != VERSION || head[6] != 0 ||
	    head[7] != FRAME_LOG2 || f->dictionary > PACK_DICTIONARIES)
		return -EBADMSG;
	f->count = f->size / FRAME_OCTETS + (f->size % FRAME_OCTETS > 0);
	if (f->count >
	    (s->stored - FRAMES_HEAD - FRAMES_TAIL) / (FRAMES_ENTRY + 1))
		return -EBADMSG; /* each frame has an octet at least */
	f->index = s->stored - FRAMES_TAIL - f->count * FRAMES_ENTRY;
	return 0;
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
	    to - *from > frames_octets(f, i))
		return -EBADMSG;
	*n = (size_t)(to - *from);
	return 0;
}

int
frames_read(
    const struct frames *f, struct packer *p, uint64_t i, char *plain)
{
	const struct frames_source *s = f->source;
	struct slice out = slice(plain, frames_octets(f, i));
	char *packed;
	uint64_t from;
	size_t n;
	bool as_is;
	int rc = frame_find(f, i, &from, &n, &as_is);

	if (rc != 0)
		return rc;
	if (as_is)
		return n != out.n ? -EBADMSG : s->read(s->arg, from, plain, n);
	if ((packed = malloc(n)) == NULL)
		return -ENOMEM;
	rc = s->read(s->arg, from, packed, n);
	if (rc == 0)
		rc = packer_unpack(
		    p, f->dictionary, slice(packed, n), plain, out.n);
	free(packed);
	return rc;
}
