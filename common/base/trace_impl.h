/* SPDX-License-Identifier: ISC */
/*
 * The file of a ring, for its writer and its reader:
 *
 *	64 KiB		struct trace_header
 *	size octets	records; position p of all that was ever written stands
 *			at p % size
 *
 * A record is a struct trace_head, one octet with the length of each field
 * that is present, the fields, and zeros up to a multiple of 8. Numbers are in
 * the machine's order: the file never leaves it.
 *
 * A writer takes room by adding to header.head, and writes magic last. What a
 * killed one left half done, or a slow one wrote over newer records, fails the
 * CRC. The record holds its own position: old octets in the room of a new
 * record are never taken for one, nor is what a peer put into a field, because
 * that has no control characters and a position begins with NULs.
 */
#ifndef PNEU_BASE_TRACE_IMPL_H
#define PNEU_BASE_TRACE_IMPL_H

#include "common/base/trace.h"

#define TRACE_HEADER_SIZE ((size_t)64 << 10) /* a page of any machine */
#define TRACE_FILE_MAGIC 0x31676e6952656e70u /* "pneRing1" */
#define TRACE_MAGIC 0x54a7c0deu

struct trace_header {
	uint64_t magic;
	uint64_t size; /* of the records; a multiple of TRACE_HEADER_SIZE */
	char program[32];
	uint32_t version;
	uint32_t crc; /* of the above */
	uint64_t unused[1];
	uint64_t head; /* a cache line of its own */
};
#define TRACE_VERSION 1

struct trace_head {
	uint32_t magic;
	uint32_t crc; /* of what follows it, to the end of the record */
	uint64_t pos;
	int64_t at_us;
	uint32_t took_us;
	uint32_t octets;
	uint16_t size; /* of the record */
	uint16_t code;
	uint16_t present; /* fields: 1 << enum trace_field */
	uint8_t kind;
	uint8_t enhanced[3]; /* 5.1.1; all 0: none */
	uint8_t zero[6];
};
_Static_assert(sizeof(struct trace_head) == 48, "no holes");
_Static_assert(TRACE_FIELDS <= 16, "present has 16 bits");
_Static_assert(sizeof(struct trace_head) + TRACE_FIELDS +
	    TRACE_FIELDS * TRACE_TEXT_MAX + 8 <=
	TRACE_RECORD_MAX,
    "a reader holds any record");

/* Of a header, over all before its crc. */
uint32_t trace_header_crc(const struct trace_header *h);
/* Of a record of h->size octets. */
uint32_t trace_record_crc(const void *record, size_t size);

#endif
