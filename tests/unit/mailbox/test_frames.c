/* SPDX-License-Identifier: ISC */
/* The layout of blobs: what is written is read, and what is not so is seen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <zstd.h>

#include "mailbox/mails/check.h"
#include "mailbox/mails/frames.h"
#include "mailbox/mails/pack.h"
#include "tests/unit/mailbox/mails_test.h"

static int
to_buf(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -ENOMEM;
}

static int
from_slice(void *arg, uint64_t at, void *p, size_t n)
{
	const struct slice *s = arg;

	assert_true(at <= s->n && n <= s->n - at);
	memcpy(p, s->p + at, n);
	return 0;
}

/* Text packs, noise does not, and a frame may be half of each. */
enum kind { TEXT, NOISE, BOTH };

static void
content(struct buf *out, enum kind kind, size_t n)
{
	uint32_t x = (uint32_t)n + 1;

	buf_reset(out);
	for (unsigned i = 0; kind != NOISE && out->n < n / (1 + (kind == BOTH));
	     i++)
		buf_printf(out, "Received: from mx%u.example.org\r\n", i);
	for (; out->n < n; x = x * 1664525 + 1013904223)
		buf_put_char(out, (char)(x >> 24));
	buf_truncate(out, n);
}

/* What write_all and read_all seal with; NULL: nothing. */
static const struct frames_seal *seal;
static const struct frames_seal a_seal = { { 1, 2, 3 }, "id of a blob" };

static void
write_all(struct packer *p, struct slice plain, size_t step, struct buf *blob)
{
	struct frames_writer w;

	buf_reset(blob);
	frames_writer_init(&w, p, to_buf, blob);
	w.seal = seal;
	for (size_t at = 0; at < plain.n; at += step)
		assert_int_equal(
		    frames_write(&w, slice_head(slice_from(plain, at), step)),
		    0);
	assert_int_equal(frames_end(&w), 0);
	assert_int_equal(w.size, plain.n);
	frames_writer_clear(&w);
}

/* 0 and all of it in `out`, or the error. */
static int
read_all(struct packer *p, struct slice blob, struct buf *out)
{
	struct frames_source s = { from_slice, &blob, blob.n };
	struct frames f;
	int rc = frames_open(&f, &s, seal);

	buf_reset(out);
	for (uint64_t i = 0; rc == 0 && i < f.count; i++) {
		assert_true(buf_reserve(out, FRAME_OCTETS));
		rc = frames_read(&f, p, i, out->p + out->n);
		out->n += frames_octets(&f, i);
	}
	return rc;
}

static const size_t sizes[] = { 0, 1, 63, 64, 4096, FRAME_OCTETS - 1,
	FRAME_OCTETS, FRAME_OCTETS + 1, 2 * FRAME_OCTETS, 300000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void
check_written_is_read(void)
{
	static const size_t steps[] = { 1000, 70000, 1000000 };
	struct buf plain = BUF_INIT, blob = BUF_INIT, first = BUF_INIT,
		   got = BUF_INIT;
	size_t tags = seal == NULL ? 0 : AEAD_TAG;

	for (int level = 0; level <= FRAMES_LEVEL_MAX; level += 3) {
		struct packer *p = packer_new(level), *other = packer_new(0);

		for (unsigned i = 0; i < 3 * SIZES; i++) {
			content(&plain, (enum kind)(i % 3), sizes[i / 3]);
			for (unsigned s = 0; s < 3; s++) {
				write_all(
				    p, buf_slice(&plain), steps[s], &blob);
				if (s == 0)
					buf_put_slice(&first, buf_slice(&blob));
				assert_true(slice_eq(
				    buf_slice(&blob), buf_slice(&first)));
				assert_int_equal(read_all(other,
						     buf_slice(&blob), &got),
				    0);
				assert_true(slice_eq(
				    buf_slice(&got), buf_slice(&plain)));
			}
			assert_true(blob.n <= FRAMES_HEAD + plain.n +
				(FRAMES_ENTRY + tags) *
				    (plain.n / FRAME_OCTETS + 1) +
				FRAMES_TAIL + tags);
			if (level > 0 && i % 3 == TEXT && plain.n >= 4096)
				assert_true(blob.n < plain.n / 3);
			buf_reset(&first);
		}
		packer_free(&p);
		packer_free(&other);
	}
	buf_clear(&plain);
	buf_clear(&blob);
	buf_clear(&first);
	buf_clear(&got);
}

static void
written_is_read(void **state)
{
	(void)state;
	check_written_is_read();
	seal = &a_seal;
	check_written_is_read();
	seal = NULL;
}

/* --- sealed --- */

/* Written with one seal, read with another: 0 or the error. */
static int
read_with(struct packer *p, const struct frames_seal *other, struct slice blob)
{
	struct buf got = BUF_INIT;
	int rc;

	seal = other;
	rc = read_all(p, blob, &got);
	seal = NULL;
	buf_clear(&got);
	return rc;
}

static void
seal_is_needed(void **state)
{
	struct frames_seal other_key = a_seal, other_id = a_seal;
	struct packer *p = packer_new(1);
	struct buf plain = BUF_INIT, blob = BUF_INIT;

	(void)state;
	other_key.key[31] ^= 1;
	other_id.id[0] = 'x';
	for (unsigned i = 0; i < SIZES; i++) {
		content(&plain, TEXT, sizes[i]);
		seal = &a_seal;
		write_all(p, buf_slice(&plain), 70000, &blob);
		assert_int_equal(read_with(p, &a_seal, buf_slice(&blob)), 0);
		assert_int_equal(read_with(p, NULL, buf_slice(&blob)), -ENOKEY);
		assert_int_equal(
		    read_with(p, &other_key, buf_slice(&blob)), -EBADMSG);
		assert_int_equal(
		    read_with(p, &other_id, buf_slice(&blob)), -EBADMSG);
		if (plain.n >= 64)
			assert_null(
			    memmem(blob.p, blob.n, plain.p, 20));
		/* What is not sealed does not pass for what is. */
		write_all(p, buf_slice(&plain), 70000, &blob);
		assert_int_equal(
		    read_with(p, &a_seal, buf_slice(&blob)), -EBADMSG);
	}
	packer_free(&p);
	buf_clear(&plain);
	buf_clear(&blob);
}

/* Each bit, and every cut, wherever: what is read is right, or an error. */
static void
sealed_damage_is_seen(void **state)
{
	struct packer *p = packer_new(3);
	struct buf plain = BUF_INIT, blob = BUF_INIT, longer = BUF_INIT;
	size_t step;

	(void)state;
	content(&plain, BOTH, 2 * FRAME_OCTETS + 3000);
	seal = &a_seal;
	write_all(p, buf_slice(&plain), 4096, &blob);
	for (size_t at = 0; at < blob.n; at += step) {
		step = at < 60 || at + 90 > blob.n ? 1 : 997;
		blob.p[at] = (char)(blob.p[at] ^ 1 << at % 8);
		assert_int_equal(
		    read_with(p, &a_seal, buf_slice(&blob)), -EBADMSG);
		blob.p[at] = (char)(blob.p[at] ^ 1 << at % 8);
		assert_int_equal(
		    read_with(p, &a_seal, slice(blob.p, at)), -EBADMSG);
		buf_reset(&longer);
		buf_put(&longer, blob.p, at);
		buf_put_char(&longer, 0);
		buf_put(&longer, blob.p + at, blob.n - at);
		assert_int_equal(
		    read_with(p, &a_seal, buf_slice(&longer)), -EBADMSG);
	}
	assert_int_equal(read_with(p, &a_seal, buf_slice(&blob)), 0);
	packer_free(&p);
	buf_clear(&plain);
	buf_clear(&blob);
	buf_clear(&longer);
}

/*
 * The engine's checksums see damage; what gets past them must not do more than
 * give an error or other octets. And a blob that is cut is always seen.
 */
static void
damage_is_bounded(void **state)
{
	struct packer *p = packer_new(3);
	struct buf plain = BUF_INIT, blob = BUF_INIT, got = BUF_INIT;
	char *copy;

	(void)state;
	content(&plain, BOTH, FRAME_OCTETS + 3000);
	write_all(p, buf_slice(&plain), 4096, &blob);
	copy = malloc(blob.n);
	for (size_t n = 0; n < blob.n; n += n < 60 || n + 60 > blob.n ? 1 : 97)
	{
		memcpy(copy, blob.p, n);
		assert_int_equal(read_all(p, slice(copy, n), &got), -EBADMSG);
	}
	for (size_t at = 0; at < blob.n;
	     at += at < 60 || at + 60 > blob.n ? 1 : 97)
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(copy, blob.p, blob.n);
			copy[at] = (char)(copy[at] ^ 1 << bit);
			if (read_all(p, slice(copy, blob.n), &got) != 0)
				continue;
			/* Only the octets of frames as they are. */
			assert_true(at >= FRAMES_HEAD);
			assert_int_equal(got.n, plain.n);
		}
	free(copy);
	buf_clear(&plain);
	buf_clear(&blob);
	buf_clear(&got);
	packer_free(&p);
}

/* Written by version 1 with dictionary 1: it must be read for ever. */
static void
golden(void **state)
{
	static const char plain[] =
	    "Received: from mail.example.org\r\nSubject: capsule\r\n"
	    "MIME-Version: 1.0\r\n\r\nThrough the tube, through the tube.\r\n";
	static const unsigned char blob[] = {
#include "tests/unit/mailbox/frames_golden.h"
	};
	struct packer *p = packer_new(0);
	struct buf got = BUF_INIT;

	(void)state;
	assert_int_equal(read_all(p, slice(blob, sizeof(blob)), &got), 0);
	assert_true(slice_eq_str(buf_slice(&got), plain));
	buf_clear(&got);
	packer_free(&p);
}

/* --- in Mails --- */

static void
message_put(struct slice octets)
{
	struct mails_message *msg = NULL;
	struct mails_target t = { .account = ALICE,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = INT64_MIN };

	CHECK_INT(mails_message_begin(mm, &msg), 0);
	CHECK_INT(mails_message_for(msg, ALICE), 0);
	CHECK_INT(mails_message_write(msg, octets), 0);
	CHECK_INT(mails_message_end(msg), 0);
	CHECK_INT(mails_deliver(msg, &t, 1), 0);
	mails_message_free(&msg);
}

/* Readers of many messages at once, each in its own steps, the cache between
 * them. */
struct reader {
	struct mails_view *v;
	uint32_t seq;
	size_t step;
	const struct buf *want;
};

static void
reader_main(void *arg)
{
	const struct reader *r = arg;
	struct buf got = BUF_INIT;
	size_t n = 1;
	int rc = 0;

	while (rc == 0 && n > 0) {
		CHECK(buf_reserve(&got, r->step));
		rc = mails_read(
		    r->v, r->seq, got.n, got.p + got.n, r->step, &n);
		got.n += n;
		(void)co_yield ();
	}
	CHECK_INT(rc, 0);
	CHECK(slice_eq(buf_slice(&got), buf_slice(r->want)));
	buf_clear(&got);
}

static void
ranges(void)
{
	struct buf plain[SIZES] = { 0 };
	struct reader readers[2 * SIZES];
	struct co_group g = { 0 };
	struct mails_view *v;
	char octet;
	size_t got;

	for (unsigned i = 0; i < SIZES; i++) {
		plain[i] = (struct buf)BUF_INIT;
		content(&plain[i], (enum kind)(i % 3), sizes[i]);
		message_put(buf_slice(&plain[i]));
	}
	v = view_of(ALICE, "INBOX");
	for (unsigned i = 0; i < 2 * SIZES; i++) {
		readers[i] = (struct reader){ v, i / 2 + 1,
			i % 2 ? 9001 : 150000, &plain[i / 2] };
		CHECK_INT(co_group_spawn(&g, reader_main, &readers[i]), 0);
	}
	CHECK_INT(co_group_join(&g), 0);
	for (unsigned i = 0; i < SIZES; i++)
		for (size_t at = 0; at < sizes[i]; at += 1 + sizes[i] / 7) {
			CHECK_INT(mails_read(v, i + 1, at, &octet, 1, &got), 0);
			CHECK(got == 1 && octet == plain[i].p[at]);
		}
	CHECK_INT(mails_read(v, 1, 10, &octet, 1, &got), 0);
	CHECK_INT(got, 0);
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	mails_view_close(&v);
	for (unsigned i = 0; i < SIZES; i++)
		buf_clear(&plain[i]);
}
MAILS_ON_ALL(ranges)

/* A summary as it was packed before there was a dictionary, and (`first`) with
 * the first of them. Its preview differs from the message's, so that one that
 * is made anew is seen. */
static void
old_summary_put(struct buf *old, bool first, const struct buf *plain)
{
	struct packer *p = packer_new(1);

	buf_reset(old);
	buf_put_char(old, first ? 3 : 2);
	if (first)
		buf_put_char(old, 1);
	buf_put_be32(old, (uint32_t)plain->n);
	CHECK(buf_reserve(old, ZSTD_compressBound(plain->n)));
	if (first)
		CHECK(packer_pack(p, PACK_FRAME, buf_slice(plain), old));
	else
		old->n += ZSTD_compress(old->p + old->n,
		    ZSTD_compressBound(plain->n), plain->p, plain->n, 1);
	packer_free(&p);
}

static void
old_summary(void)
{
	struct buf row = BUF_INIT, old = BUF_INIT, plain = BUF_INIT;
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct packer *p = packer_new(0);
	struct mails_summary s;
	struct mails_view *v;
	struct store_batch *b;
	ssize_t at;
	const struct slice key = slice("s\0\0\0\1", 5);
	char part[24];

	deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\nas it came\r\n");
	v = view_of(ALICE, "INBOX");
	snprintf(part, sizeof(part), "m%016llx",
	    (unsigned long long)mails_view_mailbox_id(v));
	CHECK_INT(store_get(st, slice_str(part), key, &row), 0);
	CHECK(row.n > 6 && row.p[0] == 3);
	CHECK(buf_reserve(&plain, get_be32(row.p + 2)));
	plain.n = get_be32(row.p + 2);
	CHECK_INT(packer_unpack(p, (unsigned char)row.p[1],
		      slice_from(buf_slice(&row), 6), plain.p, plain.n),
	    0);
	CHECK(row.n < plain.n);
	CHECK_INT(row.p[1], 2);
	at = slice_find_slice(buf_slice(&plain), SLICE_LIT("as it came"));
	CHECK(at > 0);
	memcpy(plain.p + at, "as it CAME", 10);
	for (int first = 0; first < 2; first++) {
		old_summary_put(&old, first, &plain);
		b = store_batch_new(st, slice_str(part));
		store_put(b, key, buf_slice(&old));
		CHECK_INT(test_commit(b), 0);
		CHECK_INT(mails_summary(v, 1, &a, &s), 0);
		CHECK(slice_eq_str(s.preview, "as it CAME"));
		CHECK(slice_eq_str(s.base_subject, "X") ||
		    slice_eq_str(s.base_subject, "x"));
	}
	mails_view_close(&v);
	packer_free(&p);
	arena_reset(&a);
	buf_clear(&row);
	buf_clear(&old);
	buf_clear(&plain);
}
MAILS_ON_ALL_PLAIN(old_summary)

/* A message of before: the row of version 1, the blob as it came. */
static void
old_blobs(void)
{
	struct store_blob_writer *w = NULL;
	struct store_blob_id id;
	struct store_batch *b;
	struct mails_view *v;
	struct buf row = BUF_INIT;
	char part[24];

	deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\nas it came\r\n");
	v = view_of(ALICE, "INBOX");
	snprintf(part, sizeof(part), "m%016llx",
	    (unsigned long long)mails_view_mailbox_id(v));
	CHECK_INT(store_get(st, slice_str(part), slice("u\0\0\0\1", 5), &row),
	    0);
	store_blob_id_new(&id);
	CHECK_INT(store_blob_begin(st, &id, &w), 0);
	CHECK_INT(store_blob_write(
		      w, SLICE_LIT("Subject: x\r\n\r\nAS IT CAME\r\n")),
	    0);
	CHECK_INT(store_blob_seal(w), 0);
	row.p[0] = 1;
	memcpy(row.p + 45, id.octets, sizeof(id.octets));
	b = store_batch_new(st, slice_str(part));
	store_batch_need(b, w);
	store_put(b, slice("u\0\0\0\1", 5), buf_slice(&row));
	CHECK_INT(test_commit(b), 0);
	store_blob_writer_free(&w);
	CHECK(text_is(v, 1, "Subject: x\r\n\r\nAS IT CAME\r\n"));
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	mails_view_close(&v);
	buf_clear(&row);
}
MAILS_ON_ALL_PLAIN(old_blobs)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_is_read),
		cmocka_unit_test(seal_is_needed),
		cmocka_unit_test(sealed_damage_is_seen),
		cmocka_unit_test(damage_is_bounded),
		cmocka_unit_test(golden),
		cmocka_unit_test(on_all_ranges),
		cmocka_unit_test(on_all_old_blobs),
		cmocka_unit_test(on_all_old_summary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
