/* SPDX-License-Identifier: ISC */
/*
 * A message's octets from its blob. One of a single frame is read in one call
 * of the engine; of a longer one its header, trailer and index first.
 *
 * A reader takes a message in pieces, so the frames that were not read to
 * their end stay here, a few for all readers of the process; one that is done
 * with is dropped. What another coroutine changes while this one waits does not
 * matter: a frame that is being read is nobody else's yet.
 */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "mailbox/mails/birth.h"
#include "mailbox/mails/impl.h"

#define SLOTS 8

struct slot {
	struct store_blob_id blob;
	uint64_t frame;
	char *plain; /* NULL: free */
	size_t n;
	/* What opened it, and must open it for whoever has it from here: a row
	 * may name any blob. To be wiped. */
	bool sealed;
	unsigned char key[AEAD_KEY];
	uint64_t used; /* when, by the cache's count */
};

struct frame_cache {
	struct slot slots[SLOTS];
	uint64_t count;
};

static bool
slot_is(const struct slot *s, const struct slot *want)
{
	return s->plain != NULL && s->frame == want->frame &&
	    s->n == want->n && s->sealed == want->sealed &&
	    memcmp(&s->blob, &want->blob, sizeof(s->blob)) == 0 &&
	    (!s->sealed || CRYPTO_memcmp(s->key, want->key, AEAD_KEY) == 0);
}

static struct slot *
slot_find(struct mails *m, const struct slot *want)
{
	for (size_t i = 0; m->frames != NULL && i < SLOTS; i++) {
		struct slot *s = &m->frames->slots[i];

		if (slot_is(s, want))
			return s;
	}
	return NULL;
}

static void
slot_drop(struct slot *s)
{
	if (s->plain != NULL && s->sealed)
		explicit_bzero(s->plain, s->n);
	explicit_bzero(s->key, sizeof(s->key));
	free(s->plain);
	s->plain = NULL;
}

/* Takes what is in `new`. */
static void
cache_put(struct mails *m, struct slot *new)
{
	struct slot *s = slot_find(m, new);

	if (m->frames == NULL)
		m->frames = calloc(1, sizeof(*m->frames));
	if (m->frames == NULL) {
		slot_drop(new);
		return;
	}
	if (s == NULL)
		s = m->frames->slots;
	for (size_t i = 0; i < SLOTS && s->plain != NULL; i++)
		if (m->frames->slots[i].plain == NULL ||
		    m->frames->slots[i].used < s->used)
			s = &m->frames->slots[i];
	slot_drop(s);
	*s = *new;
	s->used = ++m->frames->count;
}

void
octets_cache_wipe(struct mails *m)
{
	for (size_t i = 0; m->frames != NULL && i < SLOTS; i++)
		if (m->frames->slots[i].sealed)
			slot_drop(&m->frames->slots[i]);
}

void
octets_cache_free(struct mails *m)
{
	for (size_t i = 0; m->frames != NULL && i < SLOTS; i++)
		slot_drop(&m->frames->slots[i]);
	free(m->frames);
	m->frames = NULL;
}

/* --- the blob, as a source of frames --- */

struct blob {
	struct mails *m;
	const struct row *row;
	char *whole; /* all of it, where it is small; else NULL */
	struct frames_source source;
	struct frames frames;
};

static int
read_memory(void *arg, uint64_t at, void *p, size_t n)
{
	const struct blob *b = arg;

	memcpy(p, b->whole + at, n);
	return 0;
}

static int
read_store(void *arg, uint64_t at, void *p, size_t n)
{
	const struct blob *b = arg;
	size_t got;
	int rc = store_blob_read(b->m->s, &b->row->blob, at, p, n, &got);

	return rc == 0 && got != n ? -EBADMSG : rc;
}

static void
blob_close(struct blob *b)
{
	free(b->whole);
}

/* What a blob of some dozens of targets has behind the frames. */
#define ROOM_FOR_BIRTH 4096

/* 1: it has more than `room`. */
static int
blob_read_into(struct blob *b, size_t room)
{
	size_t got;
	int rc;

	free(b->whole);
	if ((b->whole = malloc(room)) == NULL)
		return -ENOMEM;
	rc = store_blob_read(
	    b->m->s, &b->row->blob, 0, b->whole, room, &got);
	b->source.read = read_memory;
	b->source.stored = got;
	return rc == 0 && got == room ? 1 : rc;
}

static int
blob_read_whole(struct blob *b)
{
	size_t frames = FRAMES_SMALL((size_t)b->row->size);
	int rc = blob_read_into(b, frames + ROOM_FOR_BIRTH);

	if (rc == 1)
		rc = blob_read_into(b, frames + BIRTH_MAX + 1);
	return rc == 1 ? -EBADMSG : rc;
}

/* The frames end where the birth begins. */
static int
blob_skip_birth(struct blob *b)
{
	struct frames_source *s = &b->source;
	char tail[BIRTH_TAIL];
	int rc;

	if (s->stored < BIRTH_TAIL)
		return -EBADMSG;
	rc = s->read(s->arg, s->stored - BIRTH_TAIL, tail, sizeof(tail));
	if (rc == 0)
		s->stored -= birth_octets(tail, s->stored);
	return rc;
}

/* Closed by the caller, also after an error. */
static int
blob_open(struct blob *b, struct mails *m, const struct row *r,
    const struct frames_seal *seal)
{
	int rc;

	*b = (struct blob){ .m = m, .row = r };
	b->source = (struct frames_source){ .read = read_store, .arg = b };
	if (r->size <= FRAME_OCTETS)
		rc = blob_read_whole(b);
	else
		rc = store_blob_size(m->s, &r->blob, &b->source.stored);
	if (rc == 0)
		rc = blob_skip_birth(b);
	if (rc == 0)
		rc = frames_open(&b->frames, &b->source, seal);
	if ((rc == 0 || rc == -ENOKEY) && b->frames.size != r->size)
		rc = -EBADMSG;
	if (rc == -ENOKEY && r->wrap.kind == WRAP_NONE)
		rc = -EBADMSG; /* the row does not know of a key */
	return rc;
}

/* Every frame, for its tag. */
static int
blob_verify(const struct blob *b)
{
	char *plain = malloc(FRAME_OCTETS);
	int rc = plain == NULL ? -ENOMEM : 0;

	for (uint64_t i = 0; rc == 0 && i < b->frames.count; i++)
		rc = frames_read(&b->frames, b->m->packer, i, plain);
	if (plain != NULL)
		explicit_bzero(plain, FRAME_OCTETS);
	free(plain);
	return rc;
}

int
octets_check(
    struct mails *m, const struct row *r, const struct frames_seal *seal)
{
	struct blob b;
	int rc = blob_open(&b, m, r, seal);

	if (rc == 0 && seal != NULL)
		rc = blob_verify(&b);
	blob_close(&b);
	return rc;
}

/* --- without a row --- */

static int
birth_read(struct blob *b, struct buf *out)
{
	struct frames_source *s = &b->source;
	uint64_t stored = s->stored;
	size_t n;
	int rc = blob_skip_birth(b);

	if (rc != 0 || s->stored == stored)
		return rc;
	n = (size_t)(stored - s->stored) - BIRTH_TAIL;
	if (!buf_reserve(out, n))
		return -ENOMEM;
	if ((rc = s->read(s->arg, s->stored, out->p + out->n, n)) == 0)
		out->n += n;
	return rc;
}

int
octets_look(struct mails *m, const struct store_blob_id *id,
    struct blob_look *out, struct buf *birth)
{
	const struct row row = { .blob = *id };
	struct blob b = { .m = m, .row = &row };
	char first = '\0';
	int rc;

	b.source = (struct frames_source){ .read = read_store, .arg = &b };
	rc = store_blob_size(m->s, id, &b.source.stored);
	*out = (struct blob_look){ .size = b.source.stored };
	if (rc == 0 && out->size > 0)
		rc = read_store(&b, 0, &first, 1);
	out->framed = first == FRAMES_FIRST;
	if (rc != 0 || !out->framed)
		return rc;
	if ((rc = birth_read(&b, birth)) == 0)
		rc = frames_open(&b.frames, &b.source, NULL);
	out->size = b.frames.size;
	out->sealed = b.frames.sealed;
	return rc == -ENOKEY ? 0 : rc;
}

/* --- reading --- */

/* All of frame i; the caller's. */
static int
frame_read(struct mails *m, const struct row *r,
    const struct frames_seal *seal, uint64_t i, char **out)
{
	struct blob b;
	int rc = blob_open(&b, m, r, seal);

	*out = NULL;
	if (rc == 0 &&
	    (*out = malloc(frames_octets(&b.frames, i))) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = frames_read(&b.frames, m->packer, i, *out);
	blob_close(&b);
	if (rc != 0) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

/* Up to n octets from `at`, as far as its frame goes; to_end: all of that. */
static int
part_read(struct mails *m, const struct row *r, const struct frames_seal *seal,
    uint64_t at, char *p, size_t n, bool to_end)
{
	uint64_t i = at / FRAME_OCTETS, rest = r->size - i * FRAME_OCTETS;
	struct slot *s, new = { .blob = r->blob,
		.frame = i,
		.sealed = seal != NULL,
		.n = rest < FRAME_OCTETS ? (size_t)rest : FRAME_OCTETS };
	int rc = 0;

	if (seal != NULL)
		memcpy(new.key, seal->key, sizeof(new.key));
	if ((s = slot_find(m, &new)) != NULL) {
		s->used = ++m->frames->count;
		memcpy(p, s->plain + at % FRAME_OCTETS, n);
		if (to_end)
			slot_drop(s);
	} else if ((rc = frame_read(m, r, seal, i, &new.plain)) == 0) {
		memcpy(p, new.plain + at % FRAME_OCTETS, n);
		if (to_end)
			slot_drop(&new);
		else
			cache_put(m, &new);
	}
	explicit_bzero(new.key, sizeof(new.key));
	return rc;
}

int
octets_read(struct mails *m, const struct row *r,
    const struct frames_seal *seal, uint64_t at, void *p, size_t n,
    size_t *got)
{
	char *out = p;
	size_t part;
	int rc;

	*got = 0;
	if (!r->framed)
		return store_blob_read(m->s, &r->blob, at, p, n, got);
	while (n > 0 && at < r->size) {
		part = FRAME_OCTETS - (size_t)(at % FRAME_OCTETS);
		if (part > r->size - at)
			part = (size_t)(r->size - at);
		rc = part <= n
		    ? part_read(m, r, seal, at, out + *got, part, true)
		    : part_read(m, r, seal, at, out + *got, n, false);
		if (rc != 0)
			return rc == -EBADMSG ? -EIO : rc;
		part = part < n ? part : n;
		*got += part;
		at += part;
		n -= part;
	}
	return 0;
}
