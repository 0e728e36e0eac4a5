/* SPDX-License-Identifier: ISC */
/* Message data: decoder and encoder in every split, and the spool. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/base/buf.h"
#include "common/smtp/data.h"
#include "common/smtp/spool.h"

static int
collect(void *arg, struct slice octets)
{
	assert_true(octets.n > 0);
	buf_put_slice(arg, octets);
	return 0;
}

#define CR SMTP_DATA_BARE_CR
#define LF SMTP_DATA_BARE_LF

static const struct {
	const char *in, *out;
	unsigned faults;
	size_t rest; /* octets behind the end; or OPEN: no end */
} decodes[] = {
#define OPEN SIZE_MAX
	{ ".\r\n", "", 0, 0 },
	{ "a\r\n.\r\n", "a\r\n", 0, 0 },
	{ "a\r\n.\r\nQUIT\r\n", "a\r\n", 0, 6 },
	{ "\r\n.\r\n", "\r\n", 0, 0 },
	{ "..\r\n.\r\n", ".\r\n", 0, 0 },
	{ ".a\r\n.\r\n", "a\r\n", 0, 0 },
	{ "...\r\na.b\r\n.\r\n", "..\r\na.b\r\n", 0, 0 },
	{ "a", "a", 0, OPEN },
	{ "a\r\n.", "a\r\n", 0, OPEN },
	{ "a\r\n.\r", "a\r\n", 0, OPEN },
	{ "a\n.\r\n", "a\n.\r\n", LF, OPEN },
	{ "a\n.\n", "a\n.\n", LF, OPEN },
	{ "a\r\n.\n", "a\r\n\n", LF, OPEN },
	{ "a\r.\r", "a\r.\r", CR, OPEN },
	{ "a\r\n.\r.\r\n", "a\r\n\r.\r\n", CR, OPEN },
	{ "a\r\r\n.\r\n", "a\r\r\n", CR, 0 },
	{ "a\r\n.\r\r\n.\r\n", "a\r\n\r\r\n", CR, 0 },
	{ "a\n\r\n.\r\n", "a\n\r\n", LF, 0 },
	{ "a\rb\nc\r\n.\r\n", "a\rb\nc\r\n", CR | LF, 0 },
	{ "\n\r.\n\r", "\n\r.\n\r", CR | LF, OPEN },
	{ "\n.\r\n.\r\n", "\n.\r\n", LF, 0 },
};

/* The same where a bare LF is let in: it ends lines, and never a message. */
static const struct {
	const char *in, *out;
	unsigned faults;
	bool ends;
} normalised[] = {
	{ "a\nb\r\n.\r\n", "a\r\nb\r\n", 0, true },
	{ "a\n\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 0, true },
	{ "\n\n\r\n.\r\n", "\r\n\r\n\r\n", 0, true },
	{ "a\n.\n", "a\r\n\r\n", 0, false },
	{ "a\n.\r\n", "a\r\n\r\n", 0, false },
	{ "a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", 0, true },
	{ "a\n..b\n.c\r\n.\r\n", "a\r\n.b\r\nc\r\n", 0, true },
	{ "a\n.\r\n.\r\nQUIT", "a\r\n\r\n", 0, true },
	{ "a\rb\r\n.\r\n", "a\rb\r\n", CR, true },
	{ "a\r.\r\n.\r\n", "a\r.\r\n", CR, true },
	{ "a\n\r.\r\n.\r\n", "a\r\n\r.\r\n", CR, true },
	{ "a\n.\r.\n", "a\r\n\r.\r\n", CR, false },
};

static void
decoder_normalises(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(normalised) / sizeof(*normalised); i++) {
		struct slice in = slice_str(normalised[i].in);

		for (size_t step = 1; step <= in.n; step++) {
			struct smtp_decoder d = { .normalise = true };
			struct buf out = BUF_INIT;
			size_t used;
			int rc = 0;

			for (size_t at = 0; rc == 0 && at < in.n; at += used) {
				size_t left = in.n - at;

				rc = smtp_decode(&d,
				    slice(in.p + at, left < step ? left : step),
				    &used, collect, &out);
			}
			if (rc != normalised[i].ends)
				fail_msg("%zu: step %zu rc %d", i, step, rc);
			assert_string_equal(buf_str(&out), normalised[i].out);
			assert_int_equal(d.faults, normalised[i].faults);
			buf_clear(&out);
		}
	}
}

static void
check_decode(size_t i, struct smtp_decoder *d, const struct buf *out, int rc,
    size_t rest)
{
	bool open = decodes[i].rest == OPEN;

	if (rc != !open || (!open && rest != decodes[i].rest))
		fail_msg("%zu: rc %d rest %zu", i, rc, rest);
	assert_string_equal(buf_str(out), decodes[i].out);
	/* A CR that is still open is no fault yet. */
	assert_int_equal(d->faults, decodes[i].faults);
}

static void
decoder_in_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decodes) / sizeof(*decodes); i++) {
		size_t n = strlen(decodes[i].in);

		for (size_t cut = 0; cut <= n; cut++) {
			struct smtp_decoder d = { 0 };
			struct buf out = BUF_INIT;
			size_t used, rest;
			int rc;

			rc = smtp_decode(&d, slice(decodes[i].in, cut), &used,
			    collect, &out);
			rest = n - used;
			if (rc == 0) {
				rc = smtp_decode(&d,
				    slice(decodes[i].in + cut, n - cut), &used,
				    collect, &out);
				rest = n - cut - used;
			}
			check_decode(i, &d, &out, rc, rest);
			buf_clear(&out);
		}
	}
}

static void
decoder_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(decodes) / sizeof(*decodes); i++) {
		size_t n = strlen(decodes[i].in), at = 0, used;
		struct smtp_decoder d = { 0 };
		struct buf out = BUF_INIT;
		int rc = 0;

		while (rc == 0 && at < n) {
			rc = smtp_decode(&d, slice(decodes[i].in + at, 1),
			    &used, collect, &out);
			assert_int_equal(used, 1);
			at++;
		}
		check_decode(i, &d, &out, rc, n - at);
		buf_clear(&out);
	}
}

static void
chunks_have_no_dots(void **state)
{
	struct smtp_decoder d = { .chunked = true };
	struct buf out = BUF_INIT;
	size_t used;

	(void)state;
	assert_int_equal(
	    smtp_decode(&d, SLICE_LIT("..a\r\n.\r\nb\r"), &used, collect, &out),
	    0);
	assert_string_equal(buf_str(&out), "..a\r\n.\r\nb\r");
	assert_int_equal(d.faults, 0);
	assert_true(smtp_decode_end(&d));
	assert_int_equal(d.faults, CR);
	assert_int_equal(
	    smtp_decode(&d, slice("\0", 1), &used, collect, &out), 0);
	assert_true(d.faults & SMTP_DATA_NUL);
	buf_clear(&out);
}

/* --- encoder --- */

static const struct {
	const char *in, *data, *chunk; /* whole, with its end */
} encodes[] = {
	{ "", ".\r\n", "" },
	{ "a", "a\r\n.\r\n", "a\r\n" },
	{ "a\r\n", "a\r\n.\r\n", "a\r\n" },
	{ ".", "..\r\n.\r\n", ".\r\n" },
	{ ".\r\n", "..\r\n.\r\n", ".\r\n" },
	{ "a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n.\r\n",
	    "a\r\n.b\r\n..\r\n" },
	{ "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n" },
	{ "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n", "a\r\n.\r\nb\r\n" },
	{ "\r\r\n\n", "\r\n\r\n\r\n.\r\n", "\r\n\r\n\r\n" },
	{ "a\r", "a\r\n.\r\n", "a\r\n" },
	{ "a\n", "a\r\n.\r\n", "a\r\n" },
	{ "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n" },
};

static void
check_encode(size_t i, bool chunked, size_t cut)
{
	const char *in = encodes[i].in;
	struct smtp_encoder e = { .chunked = chunked };
	struct buf out = BUF_INIT;

	smtp_encode(&e, slice(in, cut), collect, &out);
	smtp_encode(&e, slice(in + cut, strlen(in) - cut), collect, &out);
	smtp_encode_end(&e, collect, &out);
	if (strcmp(buf_str(&out),
		chunked ? encodes[i].chunk : encodes[i].data) != 0)
		fail_msg("%zu cut at %zu: %s", i, cut, buf_str(&out));
	buf_clear(&out);
}

static void
encoder_in_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(encodes) / sizeof(*encodes); i++)
		for (size_t cut = 0; cut <= strlen(encodes[i].in); cut++) {
			check_encode(i, false, cut);
			check_encode(i, true, cut);
		}
}

static void
binary_goes_as_it_is(void **state)
{
	struct smtp_encoder e = { .chunked = true, .binary = true };
	struct buf out = BUF_INIT;

	(void)state;
	smtp_encode(&e, SLICE_LIT("a\r\0\n.\n"), collect, &out);
	smtp_encode_end(&e, collect, &out);
	assert_true(slice_eq(buf_slice(&out), SLICE_LIT("a\r\0\n.\n")));
	buf_clear(&out);
}

/* What is sent arrives, and the end is where it should be. */
static void
random_text_survives(void **state)
{
	static const char alphabet[] = "a.\r\n";
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[12];
		size_t n, used;
		struct smtp_encoder e = { 0 }, clean = { .chunked = true };
		struct smtp_decoder d = { 0 };
		struct buf wire = BUF_INIT, want = BUF_INIT, out = BUF_INIT;

		seed = seed * 1103515245 + 12345;
		n = seed >> 16 & 7;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = alphabet[seed >> 16 & 3];
		}
		smtp_encode(&clean, slice(text, n), collect, &want);
		smtp_encode_end(&clean, collect, &want);
		smtp_encode(&e, slice(text, n), collect, &wire);
		smtp_encode_end(&e, collect, &wire);
		assert_int_equal(
		    smtp_decode(&d, buf_slice(&wire), &used, collect, &out), 1);
		assert_int_equal(used, wire.n);
		assert_int_equal(d.faults, 0);
		assert_true(slice_eq(buf_slice(&out), buf_slice(&want)));
		buf_clear(&wire);
		buf_clear(&want);
		buf_clear(&out);
	}
}

/* --- spool --- */

static char
octet_at(uint64_t at)
{
	return (char)((at * 2654435761U >> 7) & 0x7f);
}

static struct spool *
make_spool(const char *dir, size_t n, size_t step)
{
	struct spool *s;
	char *p = malloc(step);

	assert_int_equal(spool_new(&s, dir), 0);
	for (size_t at = 0; at < n; at += step) {
		size_t part = n - at < step ? n - at : step;

		for (size_t i = 0; i < part; i++)
			p[i] = octet_at(at + i);
		assert_int_equal(spool_write(s, slice(p, part)), 0);
	}
	free(p);
	assert_int_equal(spool_size(s), n);
	return s;
}

static void
check_spool(struct spool *s, uint64_t n)
{
	static const size_t reads[] = { 1, 100, 4096, 70000, 400000 };
	struct slice part;
	uint64_t at;
	char *p = malloc(400000);

	for (at = 0; at < n; at += part.n) {
		assert_int_equal(spool_view(s, at, &part), 0);
		assert_true(part.n > 0);
		for (size_t i = 0; i < part.n; i++)
			if (part.p[i] != octet_at(at + i))
				fail_msg("view at %zu", (size_t)at + i);
	}
	assert_int_equal(at, n);
	assert_int_equal(spool_view(s, n, &part), 0);
	assert_int_equal(part.n, 0);
	for (size_t k = 0; k < sizeof(reads) / sizeof(*reads); k++)
		for (at = 0; at < n; at += n / 9 + 1) {
			size_t got, want;

			assert_int_equal(
			    spool_read(s, at, p, reads[k], &got), 0);
			want = n - at < reads[k] ? (size_t)(n - at) : reads[k];
			assert_int_equal(got, want);
			for (size_t i = 0; i < got; i++)
				if (p[i] != octet_at(at + i))
					fail_msg("read at %zu", (size_t)at + i);
		}
	free(p);
}

static void
spool_in_memory_and_on_disk(void **state)
{
	static const size_t sizes[] = { 0, 1, 4096, 262143, 262144, 262145,
		327680, 1000003 };
	static const size_t steps[] = { 997, 65536, 300000, 2000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < sizeof(steps) / sizeof(*steps); k++) {
			struct spool *s =
			    make_spool("/tmp", sizes[i], steps[k]);
			struct slice head;

			check_spool(s, sizes[i]);
			assert_int_equal(spool_head(s, 65536, &head), 0);
			assert_int_equal(
			    head.n, sizes[i] < 65536 ? sizes[i] : 65536);
			for (size_t o = 0; o < head.n; o++)
				assert_int_equal(head.p[o], octet_at(o));
			assert_false(spool_is_8bit(s));
			assert_int_equal(
			    spool_write(s, SLICE_LIT("1234567\xc3\xa4")), 0);
			assert_true(spool_is_8bit(s));
			spool_free(&s);
			assert_null(s);
		}
}

static void
spool_without_a_folder(void **state)
{
	struct spool *s = make_spool("/nonexistent", 262144, 4096);

	(void)state;
	assert_int_equal(spool_write(s, SLICE_LIT("x")), -EIO);
	spool_free(&s);
}

/* A disk that takes no more, in the middle of a write. */
static void
spool_on_a_full_disk(void **state)
{
	struct rlimit old, small = { 400000, 400000 };
	struct spool *s = make_spool("/tmp", 262144, 4096);
	char *p = calloc(1, 200000);
	int rc;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	rc = spool_write(s, slice(p, 200000));
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(rc, -ENOSPC);
	free(p);
	spool_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decoder_in_every_split),
		cmocka_unit_test(decoder_octet_by_octet),
		cmocka_unit_test(decoder_normalises),
		cmocka_unit_test(chunks_have_no_dots),
		cmocka_unit_test(encoder_in_every_split),
		cmocka_unit_test(binary_goes_as_it_is),
		cmocka_unit_test(random_text_survives),
		cmocka_unit_test(spool_in_memory_and_on_disk),
		cmocka_unit_test(spool_without_a_folder),
		cmocka_unit_test(spool_on_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
