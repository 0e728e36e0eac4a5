/* SPDX-License-Identifier: ISC */
/* Manifests: what is written is read, in any pieces; nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "mailbox/ipfs/manifest.h"
#include "mailbox/ipfs/root.h"

/* --- what is read is written again --- */

static struct buf again;
static int stop_at; /* items until a function says -EINTR; 0: never */

static int
item(bool fine)
{
	assert_true(fine);
	return stop_at > 0 && --stop_at == 0 ? -EINTR : 0;
}

static int
on_head(void *arg, const struct manifest_head *h)
{
	return item(manifest_put_head(arg, h));
}

static int
on_mailbox(void *arg, const struct manifest_mailbox *b)
{
	return item(manifest_put_mailbox(arg, b));
}

static int
on_message(void *arg, const struct manifest_message *m)
{
	return item(manifest_put_message(arg, m));
}

static const struct manifest_fns fns = { on_head, on_mailbox, on_message };

static int
read_by(struct slice in, size_t step, struct manifest_end *end)
{
	struct manifest_reader r;
	int rc = 0;

	buf_reset(&again);
	manifest_reader_init(&r, &fns, &again);
	for (size_t at = 0; at < in.n && rc == 0; at += step)
		rc = manifest_feed(&r, slice_head(slice_from(in, at), step));
	if (rc == 0)
		rc = manifest_feed_end(&r);
	*end = r.seen;
	manifest_reader_clear(&r);
	return rc;
}

/* --- one with everything --- */

static char digests[3 * CID_DIGEST];

static void
make_message(struct buf *out, uint32_t uid, enum wrap_kind kind, size_t blocks)
{
	struct manifest_message m = { .uid = uid,
		.row = { .flags = { MAILS_SEEN | MAILS_DRAFT, 5 },
		    .internaldate = -1,
		    .savedate = 1700000000,
		    .size = 1234567,
		    .framed = kind != WRAP_NONE,
		    .wrap = { .kind = kind } },
		.stored = blocks * BLOCK_OCTETS,
		.digests = slice(digests, blocks * CID_DIGEST),
		.n = blocks };

	memset(m.row.blob.octets, (int)uid, sizeof(m.row.blob.octets));
	memset(m.row.wrap.octets, 0x77, wrap_octets(kind));
	memset(m.key, 0x55, sizeof(m.key));
	assert_true(manifest_put_message(out, &m));
}

static void
make(struct buf *out)
{
	struct manifest_head h = { 1790000000,
		SLICE_LIT("alice@example.test") };
	struct manifest_mailbox b = { .attrs = MAILS_SUBSCRIBED,
		.uidvalidity = 7,
		.uidnext = 100,
		.modseq = 1ULL << 40,
		.name = SLICE_LIT("INBOX"),
		.n_keywords = 3,
		.keywords = {
		    SLICE_LIT("$Forwarded"), SLICE_LIT("a"), SLICE_LIT("b") } };
	struct manifest_mailbox name = { .attrs =
					     MAILS_SUBSCRIBED | MAILS_NOSELECT,
		.name = SLICE_LIT("gone/\xc3\xa9") };
	struct manifest_mailbox empty = { .attrs = MAILS_SENT,
		.uidvalidity = 8,
		.uidnext = 1,
		.name = SLICE_LIT("Sent") };
	struct manifest_end e = { 3, 4 };

	for (size_t i = 0; i < sizeof(digests); i++)
		digests[i] = (char)i;
	assert_true(manifest_put_head(out, &h));
	assert_true(manifest_put_mailbox(out, &b));
	make_message(out, 1, WRAP_NONE, 1);
	make_message(out, 2, WRAP_SERVER, 2);
	make_message(out, 50, WRAP_ACCOUNT, 3);
	make_message(out, 99, WRAP_CLEAR, 1);
	assert_true(manifest_put_mailbox(out, &name));
	assert_true(manifest_put_mailbox(out, &empty));
	assert_true(manifest_put_end(out, &e));
}

static void
reads_what_it_writes(void **state)
{
	struct buf m = BUF_INIT;
	struct manifest_end end;
	struct slice without;

	(void)state;
	make(&m);
	for (size_t step = 1; step <= m.n; step = step * 3 + 1) {
		assert_int_equal(read_by(buf_slice(&m), step, &end), 0);
		assert_int_equal(end.mailboxes, 3);
		assert_int_equal(end.messages, 4);
		without = slice_head(buf_slice(&m), again.n);
		assert_true(slice_eq(buf_slice(&again), without));
		assert_int_equal(m.n - again.n, 5 + 12); /* Z */
	}
	buf_clear(&m);
}

static void
cut_or_longer_is_none(void **state)
{
	struct buf m = BUF_INIT;
	struct manifest_end end;

	(void)state;
	make(&m);
	for (size_t n = 0; n < m.n; n++)
		assert_int_equal(read_by(slice(m.p, n), 64, &end), -EBADMSG);
	buf_put_char(&m, '\0');
	assert_int_equal(read_by(buf_slice(&m), 64, &end), -EBADMSG);
	buf_clear(&m);
}

static void
functions_can_end_it(void **state)
{
	struct buf m = BUF_INIT;
	struct manifest_end end;

	(void)state;
	make(&m);
	for (int i = 1; i <= 8; i++) {
		stop_at = i;
		assert_int_equal(read_by(buf_slice(&m), 64, &end), -EINTR);
	}
	stop_at = 0;
	buf_clear(&m);
}

/* --- each rule --- */

/* The octet at `at` of the first record of that letter becomes `c`. */
static int
with(char letter, size_t at, int c)
{
	struct buf m = BUF_INIT;
	struct manifest_end end;
	size_t i = 0;
	int rc;

	make(&m);
	while (m.p[i] != letter)
		i += 5 + get_be32(m.p + i + 1);
	m.p[i + 5 + at] = (char)c;
	rc = read_by(buf_slice(&m), 1000, &end);
	buf_clear(&m);
	return rc;
}

static void
refuses(void **state)
{
	struct manifest_end end;
	struct buf m = BUF_INIT;

	(void)state;
	assert_int_equal(with('H', 0, 1), 0);
	assert_int_equal(with('H', 0, 2), -EBADMSG);    /* version */
	assert_int_equal(with('H', 9, '\0'), -EBADMSG); /* account */
	assert_int_equal(with('B', 0, 0x80), -EBADMSG); /* attributes */
	assert_int_equal(with('B', 7, 0), -EBADMSG);    /* UIDVALIDITY 0 */
	assert_int_equal(
	    with('B', 11, 99), -EBADMSG); /* UIDNEXT: 99 is there */
	assert_int_equal(with('B', 21, 200), -EBADMSG);  /* name too long */
	assert_int_equal(with('B', 22, '\0'), -EBADMSG); /* in the name */
	assert_int_equal(with('B', 27, 0), -EBADMSG);    /* an empty keyword */
	assert_int_equal(with('B', 27, 250), -EBADMSG);  /* longer than it is */
	assert_int_equal(with('M', 3, 0), -EBADMSG);     /* UID 0 */
	assert_int_equal(with('M', 3, 2), -EBADMSG);     /* UID twice */
	assert_int_equal(with('M', 7, 0x20), -EBADMSG);  /* a flag */
	assert_int_equal(with('M', 15, 8), -EBADMSG);    /* a fourth keyword */
	assert_int_equal(with('M', 56, 2), -EBADMSG);    /* framed */
	assert_int_equal(with('M', 57, 4), -EBADMSG);    /* enum wrap_kind */
	assert_int_equal(with('M', 57, 1), -EBADMSG);    /* then octets miss */
	assert_int_equal(with('M', 94, 1), -EBADMSG); /* octets of the blob */
	assert_int_equal(with('Z', 3, 2), -EBADMSG);  /* mailboxes */
	assert_int_equal(with('Z', 11, 3), -EBADMSG); /* messages */
	make(&m);
	m.p[0] = 'M';
	assert_int_equal(read_by(buf_slice(&m), 1000, &end), -EBADMSG);
	m.p[0] = 'X';
	assert_int_equal(read_by(buf_slice(&m), 1000, &end), -EBADMSG);
	m.p[0] = 'H';
	m.p[1] = 1; /* 16 MiB */
	assert_int_equal(read_by(buf_slice(&m), 1000, &end), -EBADMSG);
	buf_clear(&m);
	buf_clear(&again);
}

/* --- the root --- */

static const unsigned char key[AEAD_KEY] = { 9 };

static int
root_reads(struct slice block, const unsigned char *k, struct root *r,
    struct root_body *b)
{
	struct buf copy = BUF_INIT;
	size_t sealed;
	int rc = root_decode(block, r, &sealed);

	assert_true(buf_put_slice(&copy, block));
	if (rc == 0)
		rc = root_open(&copy, sealed, k, b);
	if (rc == 0) /* only what it says of itself is looked at */
		b->octets_here.p = b->digests.p = NULL;
	buf_clear(&copy);
	return rc;
}

static void
root_of(enum root_kind kind, bool is_inline, struct buf *block)
{
	struct root r = { .kind = kind, .has_recovery = true };
	struct root_body b = { .octets = 2 * BLOCK_OCTETS + 1,
		.digests = slice(digests, sizeof(digests)) };

	memset(r.wrapped, 3, sizeof(r.wrapped));
	memset(r.public, 4, sizeof(r.public));
	memset(r.recovery, 5, sizeof(r.recovery));
	if (is_inline)
		b = (struct root_body){ .octets = 5,
			.is_inline = true,
			.octets_here = SLICE_LIT("hello") };
	assert_int_equal(root_encode(&r, key, &b, block), 0);
	assert_true(block->n <= IPFS_BLOCK_MAX);
}

static void
root_round_trip(void **state)
{
	static const enum root_kind kinds[] = { ROOT_SERVER, ROOT_ACCOUNT };
	const unsigned char other[AEAD_KEY] = { 8 };
	struct buf block = BUF_INIT;
	struct root_body b;
	struct root r;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		root_of(kinds[i % 2], i / 2, &block);
		assert_int_equal(root_reads(buf_slice(&block), key, &r, &b), 0);
		assert_int_equal(r.kind, kinds[i % 2]);
		assert_int_equal(b.is_inline, i / 2);
		assert_int_equal(b.octets, i / 2 ? 5 : 2 * BLOCK_OCTETS + 1);
		assert_int_equal(r.has_recovery, r.kind == ROOT_ACCOUNT);
		assert_int_equal(
		    root_reads(buf_slice(&block), other, &r, &b), -EBADMSG);
		for (size_t at = 0; at < block.n; at++) {
			block.p[at] ^= 0x10;
			assert_int_equal(
			    root_reads(buf_slice(&block), key, &r, &b),
			    -EBADMSG);
			block.p[at] ^= 0x10;
		}
		for (size_t n = 0; n < block.n; n++)
			assert_int_equal(
			    root_reads(slice(block.p, n), key, &r, &b),
			    -EBADMSG);
	}
	buf_clear(&block);
}

static void
root_has_room(void **state)
{
	char *much = calloc(1, ROOT_ROOM + 1);
	struct root r = { .kind = ROOT_ACCOUNT };
	struct root_body b = { .octets = ROOT_ROOM,
		.is_inline = true,
		.octets_here = slice(much, ROOT_ROOM) };
	struct buf block = BUF_INIT;

	(void)state;
	assert_non_null(much);
	assert_int_equal(root_encode(&r, key, &b, &block), 0);
	assert_true(block.n <= IPFS_BLOCK_MAX);
	b = (struct root_body){ .octets = ROOT_LEAVES_MAX * BLOCK_OCTETS,
		.digests = slice(much, ROOT_LEAVES_MAX * CID_DIGEST) };
	assert_int_equal(root_encode(&r, key, &b, &block), 0);
	assert_true(block.n <= IPFS_BLOCK_MAX);
	assert_int_equal(root_reads(buf_slice(&block), key, &r, &b), 0);
	buf_clear(&block);
	free(much);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(cut_or_longer_is_none),
		cmocka_unit_test(functions_can_end_it),
		cmocka_unit_test(refuses),
		cmocka_unit_test(root_round_trip),
		cmocka_unit_test(root_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
