/* SPDX-License-Identifier: ISC */
/*
 * The table is made at the first use. Two threads may both make it (the loop
 * and the writer): they write the same words, and `ready` follows them.
 */
#include "common/base/crc32c.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u

static _Atomic uint32_t table[256];
static _Atomic bool ready;

static void
table_make(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ POLYNOMIAL : c >> 1;
		table[i] = c;
	}
	ready = true;
}

uint32_t
crc32c_portable(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *o = p;

	if (!ready)
		table_make();
	crc = ~crc;
	for (; n > 0; n--)
		crc = crc >> 8 ^
		    atomic_load_explicit(
			&table[(crc ^ *o++) & 0xff], memory_order_relaxed);
	return ~crc;
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const void *p, size_t n)
{
	const unsigned char *o = p;
	uint64_t c = ~crc, word;

	for (; n >= sizeof(word); n -= sizeof(word), o += sizeof(word)) {
		memcpy(&word, o, sizeof(word));
		c = __builtin_ia32_crc32di(c, word);
	}
	for (; n > 0; n--)
		c = __builtin_ia32_crc32qi((uint32_t)c, *o++);
	return ~(uint32_t)c;
}
#endif

uint32_t
crc32c(uint32_t crc, const void *p, size_t n)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, p, n);
#endif
	return crc32c_portable(crc, p, n);
}
