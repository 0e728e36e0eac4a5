/* SPDX-License-Identifier: ISC */
/*
 * The reader of a ring, whose file any program may have written anything
 * into. The header is made good, so that the records are looked at; the input
 * is put where the ring ends, so that some go round.
 */
#include <stdlib.h>

#include "common/base/crc32c.h"
#include "common/base/trace_impl.h"

#define RING ((size_t)8 << 10)

static unsigned char file[TRACE_HEADER_SIZE + RING];

static void
header_make(uint64_t head)
{
	struct trace_header h = { .magic = TRACE_FILE_MAGIC,
		.version = TRACE_VERSION,
		.size = RING,
		.program = "fuzz",
		.head = head };

	h.crc = trace_header_crc(&h);
	memcpy(file, &h, sizeof(h));
}

/* The CRC of what could be a record is made right: no fuzzer finds it. */
static void
crc_mend(unsigned char *p, size_t left)
{
	uint32_t magic, crc;
	uint16_t size;

	memcpy(&magic, p, sizeof(magic));
	memcpy(&size, p + offsetof(struct trace_head, size), sizeof(size));
	if (magic != TRACE_MAGIC || size > left ||
	    size < sizeof(struct trace_head))
		return;
	crc = trace_record_crc(p, size);
	memcpy(p + offsetof(struct trace_head, crc), &crc, sizeof(crc));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct trace_ring r;
	struct trace_record rec;
	unsigned char *records = file + TRACE_HEADER_SIZE;
	uint64_t head, before;
	size_t n = 0;

	if (size < 9)
		return 0;
	/* Anything at all as a file: refused or not, nothing is read beyond. */
	if (trace_ring_init(&r, slice(data, size)) == 0)
		abort();
	memcpy(&head, data, 8);
	head &= ~(uint64_t)7;
	header_make(head);
	memset(records, 0, RING);
	data += 8;
	size -= 8;
	if (size > RING)
		size = RING;
	memcpy(records, data, size);
	if (size < RING / 2) /* and again at the end */
		memcpy(records + RING - (size & ~(size_t)7), data,
		    size & ~(size_t)7);
	for (size_t i = 0; i + sizeof(struct trace_head) <= RING; i += 8)
		crc_mend(records + i, RING - i);
	if (trace_ring_init(&r, slice(file, sizeof(file))) != 0)
		abort();
	before = r.at;
	while (trace_ring_next(&r, &rec)) {
		if (r.at <= before || r.at > r.head || ++n > RING / 48)
			abort();
		before = r.at;
		for (int i = 0; i < TRACE_FIELDS; i++)
			if (rec.field[i].n > TRACE_TEXT_MAX ||
			    (rec.field[i].p == NULL && rec.field[i].n > 0))
				abort();
		(void)trace_kind_name(rec.kind);
	}
	trace_ring_close(&r);
	return 0;
}
