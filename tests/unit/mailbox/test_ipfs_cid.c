/* SPDX-License-Identifier: ISC */
/* CIDs, blocks as they are sealed, and the answers of a node. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "mailbox/ipfs/answer.h"
#include "mailbox/ipfs/block.h"

/* --- CIDs --- */

/* The third is of the documentation of Rust's crate cid, the others are known
 * from everywhere. */
static const struct {
	const char *octets, *cid;
} vectors[] = {
	{ "", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku" },
	{ "hello world",
	    "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e" },
	{ "beep boop",
	    "bafkreieq5jui4j25lacwomsqgjeswwl3y5zcdrresptwgmfylxo2depppq" },
	{ "foo",
	    "bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy" },
};

static void
cid_vectors(void **state)
{
	char text[CID_TEXT + 1];
	struct cid c, again;

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_int_equal(cid_of(slice_str(vectors[i].octets), &c), 0);
		cid_text(&c, text);
		assert_string_equal(text, vectors[i].cid);
		assert_int_equal(cid_parse(slice_str(text), &again), 0);
		assert_memory_equal(&c, &again, sizeof(c));
	}
}

static const char *const refused[] = {
	"",
	"b",
	/* another codec: dag-pb, dag-cbor with BLAKE2b */
	"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
	"bafy2bzaceak4ipewhpc3wrrotbfbiquhv2celtjgsyigetmbxlbe5b6rmk4am",
	/* version 0, base 58 */
	"QmVnWhM2qYr9JkjGLaEVSZnCprRLDW8qns1oYYVXjnb4DA",
	"zb2rhZMC2PFynWT7oBj7e6BpDpzge367etSQi6ZUA81EVVCxG",
	/* capitals, in their own base and not */
	"BAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU",
	"bAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU",
	/* an octet more, one less, a foreign letter, spare bits that are set */
	"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykua",
	"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk",
	"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvy1u",
	"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv",
	" bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk",
	"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk=",
};

static void
cid_refuses(void **state)
{
	struct cid c;

	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_int_equal(cid_parse(slice_str(refused[i]), &c), -EINVAL);
}

/* --- blocks --- */

static void
padding_grows_by_an_eighth(void **state)
{
	size_t last = 0;

	(void)state;
	for (size_t n = 0; n <= BLOCK_OCTETS; n += n < 5000 ? 1 : 997) {
		size_t p = padded_octets(n);

		assert_true(p >= n && p >= last && p <= BLOCK_OCTETS);
		assert_true(n <= 256 || p - n <= n / 8);
		last = p;
	}
	assert_int_equal(padded_octets(BLOCK_OCTETS), BLOCK_OCTETS);
}

static void
block_counts(void **state)
{
	(void)state;
	assert_int_equal(block_count(0), 1);
	assert_int_equal(block_count(1), 1);
	assert_int_equal(block_count(BLOCK_OCTETS), 1);
	assert_int_equal(block_count(BLOCK_OCTETS + 1), 2);
	assert_int_equal(block_count(10 * BLOCK_OCTETS), 10);
}

static void
block_opens_where_it_belongs(void **state)
{
	unsigned char key[AEAD_KEY] = { 1 }, other[AEAD_KEY] = { 2 };
	struct buf block = BUF_INIT, copy = BUF_INIT;
	struct slice text = SLICE_LIT("a letter"), plain;

	(void)state;
	assert_int_equal(block_seal(key, BLOCK_BLOB, 3, text, &block), 0);
	assert_int_equal(block.n, 256 + AEAD_TAG);
#define OPENS(k, kind, number)                                                 \
	(buf_reset(&copy), buf_put_slice(&copy, buf_slice(&block)),            \
	    block_open(k, kind, number, &copy, &plain))
	assert_int_equal(OPENS(key, BLOCK_BLOB, 3), 0);
	assert_true(slice_eq(slice_head(plain, text.n), text));
	assert_int_equal(OPENS(other, BLOCK_BLOB, 3), -EBADMSG);
	assert_int_equal(OPENS(key, BLOCK_LEAF, 3), -EBADMSG);
	assert_int_equal(OPENS(key, BLOCK_BLOB, 4), -EBADMSG);
	for (size_t i = 0; i < block.n; i++) {
		block.p[i] ^= 1;
		assert_int_equal(OPENS(key, BLOCK_BLOB, 3), -EBADMSG);
		block.p[i] ^= 1;
	}
	buf_truncate(&block, AEAD_TAG - 1);
	assert_int_equal(OPENS(key, BLOCK_BLOB, 3), -EBADMSG);
	buf_clear(&block);
	buf_clear(&copy);
}

/* --- answers --- */

#define OK "HTTP/1.1 200 OK\r\n"
static const struct {
	const char *octets;
	int rc; /* of all, at the end of the connection */
	int status;
	const char *body;
} answers[] = {
	{ OK "Content-Length: 5\r\n\r\nhello", 1, 200, "hello" },
	{ OK "content-length:0\r\n\r\n", 1, 200, "" },
	{ "HTTP/1.0 404 \r\n\r\nto the end", 1, 404, "to the end" },
	{ "HTTP/1.1 500\r\nContent-Length: 1\r\n\r\nx", 1, 500, "x" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 1, 204, "" },
	{ "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 2\r\n\r\nab", 1,
	    200, "ab" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n"
	     "0123456789\r\n0\r\nX-Stream-Error: \r\n\r\n",
	    1, 200, "abc0123456789" },
	{ OK "Transfer-Encoding: Chunked\n\n1\nz\n0\n\n", 1, 200, "z" },
	{ OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 1, 200,
	    "hello" },
	/* too early an end */
	{ "", -EPROTO, 0, "" },
	{ OK, -EPROTO, 200, "" },
	{ OK "Content-Length: 6\r\n\r\nhello", -EPROTO, 200, "hello" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -EPROTO, 200,
	    "abc" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n0\r\n", -EPROTO, 200, "" },
	/* none */
	{ "220 mx ESMTP\r\n", -EPROTO, 0, "" },
	{ "HTTP/2 200\r\n\r\n", -EPROTO, 0, "" },
	{ "HTTP/1.1 20\r\n\r\n", -EPROTO, 0, "" },
	{ "HTTP/1.1 099 x\r\n\r\n", -EPROTO, 0, "" },
	{ "HTTP/1.1 2000 x\r\n\r\n", -EPROTO, 0, "" },
	{ "HTTP/1.1 101 Switching\r\n\r\n", -EPROTO, 101, "" },
	{ OK "no colon\r\n\r\n", -EPROTO, 200, "" },
	{ OK "Content-Length: -1\r\n\r\n", -EPROTO, 200, "" },
	{ OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", -EPROTO, 200,
	    "" },
	{ OK "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc"
	     "\r\n0\r\n\r\n",
	    -EPROTO, 200, "" },
	{ OK "Transfer-Encoding: gzip, chunked\r\n\r\n", -EPROTO, 200, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\nx\r\n", -EPROTO, 200, "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n123456789\r\n", -EPROTO, 200,
	    "" },
	{ OK "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", -EPROTO, 200,
	    "a" },
	/* too much */
	{ OK "Content-Length: 100\r\n\r\n0123456789012345678901234567890",
	    -E2BIG, 200, NULL },
};

static void
answer_is(size_t i, size_t step)
{
	struct slice all = slice_str(answers[i].octets);
	struct answer a;
	int rc = 0;

	answer_init(&a, 30);
	for (size_t at = 0; at < all.n && rc == 0; at += step)
		rc = answer_feed(&a, slice_head(slice_from(all, at), step));
	if (rc == 0)
		rc = answer_end(&a);
	if (rc != answers[i].rc || a.status != answers[i].status ||
	    (answers[i].body != NULL &&
		!slice_eq_str(buf_slice(&a.body), answers[i].body)))
		fail_msg("answer %zu by %zu: %d, status %d, body \"%s\"", i,
		    step, rc, a.status, buf_str(&a.body));
	answer_clear(&a);
}

static void
answers_in_any_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		for (size_t step = 1; step < 200; step = step * 2 + 1)
			answer_is(i, step);
}

static void
answer_lines_are_bounded(void **state)
{
	struct answer a;
	int rc;

	(void)state;
	answer_init(&a, 30);
	assert_int_equal(answer_feed(&a, slice_str(OK)), 0);
	do
		rc = answer_feed(&a, SLICE_LIT("A: b\r\n"));
	while (rc == 0);
	assert_int_equal(rc, -EPROTO);
	assert_in_range(a.lines, ANSWER_LINES_MAX, ANSWER_LINES_MAX + 1);
	answer_clear(&a);
	answer_init(&a, 30);
	for (size_t n = 0, end = ANSWER_LINE_MAX + 10; n < end; n++)
		if ((rc = answer_feed(&a, SLICE_LIT("x"))) != 0)
			break;
	assert_int_equal(rc, -EPROTO);
	answer_clear(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cid_vectors),
		cmocka_unit_test(cid_refuses),
		cmocka_unit_test(padding_grows_by_an_eighth),
		cmocka_unit_test(block_counts),
		cmocka_unit_test(block_opens_where_it_belongs),
		cmocka_unit_test(answers_in_any_pieces),
		cmocka_unit_test(answer_lines_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
