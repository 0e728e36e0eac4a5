/* SPDX-License-Identifier: ISC */
/*
 * IMAP responses: whole or in pieces of the size that the first octet says, the
 * same is understood; nothing points out of the text, nothing grows over its
 * bound.
 */
#include <stdlib.h>

#include "common/imap/response.h"
#include "common/imap/set.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define LARGE 64 /* literals from here on are streamed */

static void
require(bool good)
{
	if (!good)
		abort();
}

static int
sink_begin(void *arg, struct slice so_far, uint64_t size)
{
	(void)arg;
	require(so_far.n <= IMAP_RESPONSE_MAX);
	return size >= LARGE;
}

static int
sink_octets(void *arg, struct slice octets)
{
	buf_put_slice(arg, octets);
	return 0;
}

static void
put(struct buf *out, struct slice s)
{
	buf_put_u64(out, s.n);
	buf_put_slice(out, s);
}

static void
put_sets(struct buf *out, const struct imap_response *r)
{
	uint32_t from[20], to[20], a, b;
	struct slice set = r->set;
	size_t n = imap_code_copyuid(r->code, &a, from, to, 20);

	require(n <= 20);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%u>%u ", from[i], to[i]);
	/* What was parsed as a set is one. */
	while (set.n > 0) {
		require(imap_set_next(&set, &a, &b) == 1 && a <= b && a > 0);
		buf_printf(out, "%u:%u ", a, b);
	}
}

static void
put_response(struct buf *out, const struct imap_response *r)
{
	buf_printf(out, "%d %u %u %lld %llu %llu %llu %u %u %u %d%d%d%d %d\n",
	    r->kind, r->number, r->uid, (long long)r->internaldate,
	    (unsigned long long)r->size, (unsigned long long)r->modseq,
	    (unsigned long long)r->gm_msgid, r->messages, r->uidnext,
	    r->uidvalidity, r->has_flags, r->has_date, r->has_body,
	    r->body_streamed, r->separator);
	put(out, r->tag);
	put(out, r->code);
	put(out, r->text);
	put(out, r->name);
	put(out, r->body);
	put(out, r->envelope);
	put_sets(out, r);
	require(r->flags.n <= IMAP_KEYWORDS_MAX);
	for (size_t i = 0; i < r->flags.n; i++)
		put(out, r->flags.v[i]);
}

static void
run(struct slice in, size_t step, struct buf *out)
{
	struct imap_assembler a = { .left = 0 };
	struct imap_sink sink = { sink_begin, sink_octets, out };
	struct arena arena = ARENA_INIT_MAX(2 * IMAP_RESPONSE_MAX);
	struct imap_response r;
	size_t used;
	int rc = 0;

	while (in.n > 0 && rc >= 0) {
		struct slice part = slice_head(in, step);

		rc = imap_assembler_feed(&a, part, &sink, &used);
		require(used <= part.n && (rc != 0 || used == part.n));
		require(a.text.n <= IMAP_RESPONSE_MAX);
		in = slice_from(in, used);
		if (rc == 1) {
			if (imap_response_parse(
				&arena, buf_slice(&a.text), &r) == 0)
				put_response(out, &r);
			imap_assembler_reset(&a);
			arena_reset(&arena);
		}
	}
	buf_printf(out, "end %d\n", rc);
	imap_assembler_clear(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	struct slice in;

	if (n < 1)
		return 0;
	in = slice(p + 1, n - 1);
	run(in, SIZE_MAX, &whole);
	run(in, 1 + p[0] % 32, &pieces);
	require(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
