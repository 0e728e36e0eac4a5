/* SPDX-License-Identifier: ISC */
/*
 * How a message's octets lie in its blob: in frames of FRAME_OCTETS of the
 * message (the last has the rest), each compressed by itself, so that any range
 * is read by unpacking the frames that it touches. Numbers are big-endian:
 *
 *   header, 8:   0x8e "PNM", version 1, dictionary (0: none, else its number),
 *                flags (1: sealed), binary logarithm of FRAME_OCTETS (16)
 *   frames:      a zstd frame, or the octets as they are where that gains little
 *   index, 8 each: bit 63: as they are; else the end of the frame in the blob
 *   trailer, 8:  octets of the message
 *
 * Sealed, flags are 1. Then each frame has a tag of 16 octets behind it, and so
 * has the trailer. The key is the message's own, the nonce of a frame its
 * number, of the trailer the one with its second bit set. What a frame's tag
 * covers beside the frame: id of the blob, header, number and length of the
 * frame, whether it is as it was, and the last. The trailer's: id, header, size.
 * So each frame stands where it was written, none is missing, and the index
 * can only say what is so.
 *
 * Where frames lie follows from the index alone, so a reader of any size of
 * message holds one frame. Nothing here waits or knows of the store.
 */
#ifndef PNEU_MAILBOX_MAILS_FRAMES_H
#define PNEU_MAILBOX_MAILS_FRAMES_H

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "mailbox/mails/aead.h"

#define FRAME_OCTETS ((size_t)64 << 10)
#define FRAMES_HEAD 8
#define FRAMES_FIRST '\x8e' /* the first octet, which no message has */
#define FRAMES_TAIL 8  /* the trailer */
#define FRAMES_ENTRY 8 /* of the index */
#define FRAMES_LEVEL_MAX 9
#define FRAMES_ID 16

/* What a message is sealed with. Wipe it. */
struct frames_seal {
	unsigned char key[AEAD_KEY];
	char id[FRAMES_ID]; /* of the blob */
};

/* --- compressing; one for all messages of a process --- */

struct packer;
/* `level`: of zstd; 0: compress nothing. NULL: no memory. */
struct packer *packer_new(int level);
void packer_free(struct packer **p);

/* --- writing --- */

struct frames_writer {
	struct packer *packer;
	const struct frames_seal *seal; /* NULL: none; else to be set at once */
	/* Takes what goes into the blob, in order; may wait. 0 or an error. */
	int (*put)(void *arg, struct slice octets);
	void *arg;
	struct buf plain;  /* the frame that is not full yet */
	struct buf packed; /* what goes to put at once */
	struct buf index;
	uint64_t at;	/* octets put, packed ones included */
	uint64_t size; /* of the message */
};
void frames_writer_init(struct frames_writer *w, struct packer *p,
    int (*put)(void *arg, struct slice octets), void *arg);
/* 0, -ENOMEM, or what `put` says; after an error only clear may follow. */
int frames_write(struct frames_writer *w, struct slice octets);
/* The last frame, index, trailer. */
int frames_end(struct frames_writer *w);
void frames_writer_clear(struct frames_writer *w);

/* --- reading --- */

/* A blob as it is stored. */
struct frames_source {
	/* Exactly n octets from `at`, which lie within it; may wait. */
	int (*read)(void *arg, uint64_t at, void *p, size_t n);
	void *arg;
	uint64_t stored; /* octets */
};

struct frames {
	const struct frames_source *source;
	const struct frames_seal *seal;
	bool sealed;
	unsigned dictionary;
	uint64_t size;	/* of the message */
	uint64_t count; /* frames */
	uint64_t index; /* where it lies */
};
/*
 * 0; -EBADMSG: not a blob of frames, or damaged, or sealed with something else
 * than `seal`, or not sealed though it is to be; or what `read` says. Without
 * `seal` and yet sealed: -ENOKEY, and *f can be looked at.
 */
int frames_open(struct frames *f, const struct frames_source *source,
    const struct frames_seal *seal);
/* Octets of frame i of the message. */
size_t frames_octets(const struct frames *f, uint64_t i);
/* Unpack frame i, which is there, into `plain`, which has room. 0, -EBADMSG,
 * -ENOMEM, or what `read` says. */
int frames_read(const struct frames *f, struct packer *p, uint64_t i,
    char *plain);

/* What a blob of one frame takes at most. */
#define FRAMES_SMALL(size)                                                     \
	(FRAMES_HEAD + (size) + FRAMES_ENTRY + FRAMES_TAIL + 2 * AEAD_TAG)

#endif
