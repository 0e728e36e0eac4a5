/* SPDX-License-Identifier: ISC */
/*
 * Messages for 7-bit servers: as data, from sources that give all at once or
 * octet by octet, and taken in pieces of any size.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mail/seven_bit.h"

#define LINES10(l) l l l l l l l l l l

static const struct {
	const char *name;
	const char *in;
	size_t n;
	const char *out; /* NULL: cannot be done */
} cases[] = {
#define CASE(name, in, out)                                                    \
	{                                                                      \
		name, in, sizeof(in) - 1, out                                  \
	}
#define SAME(name, in)                                                         \
	{                                                                      \
		name, in, sizeof(in) - 1, in                                   \
	}
	SAME("nothing", ""),
	SAME("7-bit is left alone",
	    "Subject: x\r\nContent-Transfer-Encoding: 8bit\r\n\r\nplain\r\n"),
	SAME("8-bit in a header has no other form",
	    "Subject: caf\xe9\r\n\r\nplain\r\n"),
	CASE("text becomes quoted-printable",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\nSubject: x\r\n\r\n"
	    "a caf\xc3\xa9 = one, and some more text\r\n.\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Subject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "a caf=C3=A9 =3D one, and some more text\r\n.\r\n"),
	CASE("text without MIME becomes MIME",
	    "Subject: x\r\n\r\na caf\xe9, and some more text\r\n",
	    "Subject: x\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "a caf=E9, and some more text\r\n"),
	CASE("text that is mostly high becomes base64",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; "
	    "charset=utf-8\r\n\r\n"
	    "\xc3\xa4\xc3\xa4\xc3\xa4",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nw6TDpMOk\r\n"),
	CASE("what is no text becomes base64",
	    "MIME-Version: 1.0\r\nContent-Type: image/x\r\n"
	    "Content-Transfer-Encoding: binary\r\n\r\na\0b\nc\rd",
	    "MIME-Version: 1.0\r\nContent-Type: image/x\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nYQBiCmMNZA==\r\n"),
	CASE("binary text keeps its line ends",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\na\nb\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nYQpiDQo=\r\n"),
	CASE("of a multipart only what must",
	    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\npre\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
	    "--b\r\nContent-Type: text/html; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n<p>caf\xc3\xa9</p> "
	    "and text\r\n"
	    "--b\r\nContent-Type: image/x\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
	    "--b\r\n\r\n\xe9 without any header\r\n--b--\r\npost\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\npre\r\n"
	    "--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
	    "--b\r\nContent-Type: text/html; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "<p>caf=C3=A9</p> and text=\r\n\r\n"
	    "--b\r\nContent-Type: image/x\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
	    "--b\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "=E9 without any header=\r\n\r\n--b--\r\npost\r\n"),
	CASE("within a message in it",
	    "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 8bit\r\n\r\n"
	    "Subject: y\r\n\r\nthe caf\xe9 within, and text\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n\r\n"
	    "Subject: y\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=unknown-8bit\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "the caf=E9 within, and text\r\n"),
	CASE("a multipart that cannot be taken apart",
	    "MIME-Version: 1.0\r\nContent-Type: "
	    "multipart/mixed\r\n\r\n\xe9\r\n",
	    NULL),
	CASE("a report's fields must be 7-bit",
	    "MIME-Version: 1.0\r\nContent-Type: message/delivery-status\r\n\r\n"
	    "\xe9\r\n",
	    NULL),
	CASE("not encoded twice",
	    "MIME-Version: 1.0\r\nContent-Transfer-Encoding: "
	    "quoted-printable\r\n\r\n=C3\xa9\r\n",
	    NULL),
	CASE("a line that is too long",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" LINES10(
		LINES10("0123456789")) "\r\n",
	    "MIME-Version: 1.0\r\nContent-Type: text/plain\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
	    "*"),
};

struct source {
	const char *p;
	size_t n, most;
};

static int
give(void *arg, uint64_t at, void *p, size_t n, size_t *got)
{
	const struct source *s = arg;

	*got = at < s->n ? s->n - (size_t)at : 0;
	if (*got > n)
		*got = n;
	if (*got > s->most)
		*got = s->most;
	memcpy(p, s->p + (*got > 0 ? at : 0), *got);
	return 0;
}

static int
convert(const char *in, size_t n, size_t most, size_t piece, struct buf *out)
{
	struct source source = { in, n, most };
	struct seven_bit *s;
	char room[70000];
	ssize_t got;
	int rc = seven_bit_new(&s, give, &source);

	if (rc != 0)
		return rc;
	while ((got = seven_bit_read(s, room, piece)) > 0)
		buf_put(out, room, (size_t)got);
	seven_bit_free(&s);
	return (int)got;
}

static void
check(size_t i, size_t most, size_t piece)
{
	struct buf out = BUF_INIT;
	int rc = convert(cases[i].in, cases[i].n, most, piece, &out);
	size_t n = cases[i].out == NULL ? 0 : strlen(cases[i].out);

	if (cases[i].out == NULL) {
		if (rc != -ENOTSUP)
			fail_msg("%s: %d", cases[i].name, rc);
	} else if (n > 0 && cases[i].out[n - 1] == '*') {
		assert_int_equal(rc, 0);
		assert_memory_equal(out.p, cases[i].out, n - 1);
		assert_true(memchr(out.p + n, '=', 80) != NULL);
	} else if (rc != 0 || strcmp(buf_str(&out), cases[i].out) != 0) {
		fail_msg("%s: %d \"%s\"", cases[i].name, rc, buf_str(&out));
	}
	buf_clear(&out);
}

static void
messages_become_7bit(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		check(i, SIZE_MAX, 65536);
		check(i, 1, 65536);
		check(i, SIZE_MAX, 1);
		check(i, 3, 7);
	}
}

/* More than a chunk, so that encoders go on over it. */
static void
large_bodies_are_streamed(void **state)
{
	static const char head[] =
	    "MIME-Version: 1.0\r\nContent-Type: x/y\r\n\r\n";
	static char in[200000];
	struct buf out = BUF_INIT, again = BUF_INIT;

	(void)state;
	memset(in, 0xe9, sizeof(in));
	memcpy(in, head, sizeof(head) - 1);
	assert_int_equal(convert(in, sizeof(in), SIZE_MAX, 70000, &out), 0);
	assert_int_equal(convert(in, sizeof(in), 1000, 333, &again), 0);
	assert_true(slice_eq(buf_slice(&out), buf_slice(&again)));
	assert_in_range(out.n, sizeof(in) * 4 / 3, sizeof(in) * 3 / 2);
	buf_clear(&out);
	buf_clear(&again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_become_7bit),
		cmocka_unit_test(large_bodies_are_streamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
