/* SPDX-License-Identifier: ISC */
#include "common/store/record.h"

#include "common/base/crc32c.h"

static const char magic[4] = { 'P', 'N', 'B', '1' };

void
record_encode(char out[static RECORD_HEADER], const struct record *r)
{
	memcpy(out, magic, sizeof(magic));
	memcpy(out + 8, r->id.octets, sizeof(r->id.octets));
	put_be64(out + 24, r->length);
	put_be64(out + 32, (uint64_t)r->written_s);
	put_be32(out + 4, crc32c(0, out + 8, RECORD_HEADER - 8));
}

bool
record_decode(const char in[static RECORD_HEADER], struct record *r)
{
	if (memcmp(in, magic, sizeof(magic)) != 0 ||
	    get_be32(in + 4) != crc32c(0, in + 8, RECORD_HEADER - 8))
		return false;
	memcpy(r->id.octets, in + 8, sizeof(r->id.octets));
	r->length = get_be64(in + 24);
	r->written_s = (int64_t)get_be64(in + 32);
	return true;
}

uint32_t
record_crc(const struct store_blob_id *id, uint64_t number, struct slice octets)
{
	char n[8];
	uint32_t crc = crc32c(0, id->octets, sizeof(id->octets));

	put_be64(n, number);
	crc = crc32c(crc, n, sizeof(n));
	return crc32c(crc, octets.p, octets.n);
}
