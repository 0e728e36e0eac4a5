/* SPDX-License-Identifier: ISC */
/*
 * Rows of the search index, and of snapshots. Properties: what is read lies inside its block;
 * a question only takes away; the same row gives the same answer again. And a
 * block that is made of the input has what was put into it.
 */
#include <stdlib.h>

#include "mailbox/mails/index_block.h"
#include "mailbox/mails/snapshot.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
read_row(struct slice in)
{
	uint32_t uids[INDEX_BLOCK];
	struct index_set all, some, again;
	struct index_chunk c;

	if (index_chunk_read(in, &c) != 0)
		return;
	index_set_fill(&all, c.n);
	for (unsigned t = c.i; t < INDEX_TOKENS; t += 1021) {
		some = again = all;
		if (!index_chunk_has(&c, (uint16_t)t) ||
		    index_chunk_and(&c, (uint16_t)t, &some) != 0)
			continue;
		need(index_chunk_and(&c, (uint16_t)t, &again) == 0);
		need(memcmp(&some, &again, sizeof(some)) == 0);
		for (unsigned w = 0; w < INDEX_WORDS; w++)
			need((some.words[w] & ~all.words[w]) == 0);
	}
	if (c.i > 0)
		return;
	some = all;
	if (index_chunk_always(&c, &some) == 0)
		need(memcmp(&some, &all, sizeof(some)) == 0);
	if (index_chunk_uids(&c, uids) == 0)
		for (unsigned i = 0; i < c.n; i++)
			need(uids[i] >= c.first && uids[i] < c.end &&
			    (i == 0 || uids[i] > uids[i - 1]));
}

/* Two octets are a token; four of them a message. */
static void
make_block(struct slice in)
{
	struct index_maker *m = index_maker_new();
	struct buf row = BUF_INIT;
	struct index_chunk c;
	struct index_set s;
	unsigned chunks;

	need(m != NULL);
	for (size_t at = 0; at + 8 <= in.n && !index_maker_is_full(m);
	     at += 8) {
		for (size_t k = 0; k < 8; k += 2)
			index_maker_token(m,
			    (uint16_t)((unsigned char)in.p[at + k] << 8 |
				(unsigned char)in.p[at + k + 1]));
		need(index_maker_message(m, (uint32_t)at + 1, false) == 0);
	}
	chunks = index_maker_count(m) == 0 ? 0 : index_maker_chunks(m);
	for (unsigned i = 0; i < chunks; i++) {
		buf_reset(&row);
		need(index_maker_chunk(m, i, 1, (uint32_t)in.n + 1, &row) == 0);
		need(index_chunk_read(buf_slice(&row), &c) == 0);
		for (size_t at = 0; at + 8 <= in.n && at / 8 < c.n; at += 8) {
			unsigned t = (unsigned)(unsigned char)in.p[at] << 8 |
			    (unsigned char)in.p[at + 1];

			if (!index_chunk_has(&c, (uint16_t)t))
				continue;
			index_set_fill(&s, c.n);
			need(index_chunk_and(&c, (uint16_t)t, &s) == 0);
			need(index_set_has(&s, (unsigned)(at / 8)));
		}
		read_row(buf_slice(&row));
	}
	buf_clear(&row);
	index_maker_free(&m);
}

/* What is read and written is read as the same. */
static void
snapshot(struct slice in)
{
	struct roll one = { .n = 0 }, two = { .n = 0 };
	struct buf row = BUF_INIT;
	uint32_t i = 0;

	if (snapshot_row_decode(SNAPSHOT_UIDS, in, &one) == 0) {
		snapshot_row_encode(SNAPSHOT_UIDS, &one, &i, &row);
		need(i == one.n);
		need(snapshot_row_decode(
			 SNAPSHOT_UIDS, buf_slice(&row), &two) == 0);
		need(one.n == two.n);
		for (i = 0; i < one.n; i++)
			need(roll_at(&one, i)->uid == roll_at(&two, i)->uid &&
			    roll_at(&one, i)->modseq ==
				roll_at(&two, i)->modseq);
	}
	roll_clear(&one);
	roll_clear(&two);
	buf_clear(&row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice(data, size);

	if (size == 0)
		return 0;
	if (data[0] == 'm')
		make_block(slice_from(in, 1));
	else if (data[0] == 's')
		snapshot(slice_from(in, 1));
	else
		read_row(in);
	return 0;
}
