/* SPDX-License-Identifier: ISC */
/*
 * A blob on the medium: header, then chunks of 64 KiB (the last may be
 * shorter), each followed by its CRC-32C. A chunk's sum is taken over the
 * blob's id and the chunk's number too, so octets of the right sum in the
 * wrong place are noticed, and a range is verified by its chunks alone.
 *
 *	0  "PNB1"     4  CRC-32C of 8..40   8  id (16)
 *	24 length (8, big-endian)           32 written, seconds (8)
 */
#ifndef PNEU_STORE_RECORD_H
#define PNEU_STORE_RECORD_H

#include "common/store/store.h"

#define RECORD_HEADER 40
#define RECORD_CHUNK ((size_t)64 << 10)
#define RECORD_CRC 4

struct record {
	struct store_blob_id id;
	uint64_t length; /* of the blob's octets */
	int64_t written_s;
};

void record_encode(char out[static RECORD_HEADER], const struct record *r);
/* False: not a header, or damaged. */
bool record_decode(const char in[static RECORD_HEADER], struct record *r);
/* The sum of chunk `number`. */
uint32_t record_crc(
    const struct store_blob_id *id, uint64_t number, struct slice octets);

/* Octets of the record of a blob of `length`. */
static inline uint64_t
record_size(uint64_t length)
{
	return RECORD_HEADER + length +
	    (length + RECORD_CHUNK - 1) / RECORD_CHUNK * RECORD_CRC;
}

/* Where chunk `number` begins in the record, and its octets without sum. */
static inline uint64_t
record_chunk_at(uint64_t number)
{
	return RECORD_HEADER + number * (RECORD_CHUNK + RECORD_CRC);
}
static inline size_t
record_chunk_n(uint64_t length, uint64_t number)
{
	uint64_t left = length - number * RECORD_CHUNK;

	return left < RECORD_CHUNK ? (size_t)left : RECORD_CHUNK;
}

#endif
