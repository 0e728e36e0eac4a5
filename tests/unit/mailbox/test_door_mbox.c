/* SPDX-License-Identifier: ISC */
/* mbox: its four variants in, quoting, and what we write in again. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "mailbox/door/lines.h"
#include "mailbox/door/mbox.h"
#include "tests/unit/mailbox/door_input.h"

#define F "From a@b.example Fri Nov 20 22:00:00 2026\n"
#define T "1795212000 "

/* --- reading --- */

/*
 * What is read of `text`, as "<time> <flags> <keywords>|<message>" for each
 * message, with "$" behind it.
 */
static void
read_all(
    struct slice text, size_t step, enum mbox_format format, struct buf *out)
{
	struct memory_input memory;
	struct input *in = memory_input(&memory, text, step);
	struct buf body = BUF_INIT;
	const struct door_meta *meta;
	struct slice s;
	struct mbox *m;
	int rc;

	assert_int_equal(mbox_new(&m, in, format), 0);
	while ((rc = mbox_next(m)) == 1) {
		buf_reset(&body);
		do {
			assert_int_equal(mbox_read(m, &s), 0);
			buf_put_slice(&body, s);
		} while (s.n > 0);
		meta = mbox_meta(m);
		if (meta->internaldate == INT64_MIN)
			buf_put_str(out, "- ");
		else
			buf_printf(out, "%lld ", (long long)meta->internaldate);
		buf_printf(out, "%x", meta->flags);
		for (size_t i = 0; i < meta->n_keywords; i++)
			buf_printf(out, " %s", meta->keywords[i]);
		buf_printf(out, "%s|%s$", mbox_is_internal(m) ? "!" : "",
		    buf_str(&body));
	}
	if (rc != 0)
		buf_printf(out, "error %d", rc);
	mbox_free(&m);
	input_free(&in);
	buf_clear(&body);
}

static const struct {
	const char *what;
	enum mbox_format format;
	const char *text, *want;
} cases[] = {
	{ "nothing", MBOX_ANY, "", "" },
	{ "no mbox", MBOX_ANY, "Subject: x\n\nbody\n", "error -74" },
	{ "one", MBOX_ANY, F "X: y\n\nbody\n\n", T "0|X: y\n\nbody\n$" },
	{ "no blank line at the end", MBOX_ANY, F "X: y\n\nbody\n",
	    T "0|X: y\n\nbody\n$" },
	{ "no line end at the end", MBOX_ANY, F "X: y\n\nbody",
	    T "0|X: y\n\nbody$" },
	{ "blank lines in front", MBOX_ANY, "\n\n" F "X: y\n\nbody\n",
	    T "0|X: y\n\nbody\n$" },
	{ "two", MBOX_ANY, F "X: y\n\none\n\n" F "X: z\n\ntwo\n\n\n",
	    T "0|X: y\n\none\n$" T "0|X: z\n\ntwo\n\n$" },
	{ "CRLF", MBOX_ANY,
	    "From a@b Fri Nov 20 22:00:00 2026\r\nX: y\r\n\r\none\r\n\r\n"
	    "From a@b Fri Nov 20 22:00:00 2026\r\nX: z\r\n\r\ntwo\r\n\r\n",
	    T "0|X: y\r\n\r\none\r\n$" T "0|X: z\r\n\r\ntwo\r\n$" },
	{ "no body", MBOX_ANY, F "X: y\n\n" F "X: z\n" F "\nbody\n",
	    T "0|X: y\n\n$" T "0|X: z\n$" T "0|\nbody\n$" },
	{ "a sentence is no separator", MBOX_ANY,
	    F "X: y\n\nFrom here on\nFrom 12 of\n\n",
	    T "0|X: y\n\nFrom here on\nFrom 12 of\n$" },
	{ "but where all are", MBOX_RD, F "X: y\n\nFrom here on\nX: z\n\nb\n",
	    T "0|X: y\n\n$- 0|X: z\n\nb\n$" },
	{ "a date in the message will do", MBOX_RD,
	    "From nobody\nDate: Fri, 20 Nov 2026 22:00:00 +0000\n\nb\n",
	    T "0|Date: Fri, 20 Nov 2026 22:00:00 +0000\n\nb\n$" },
	{ "zones, short times, senders with spaces", MBOX_ANY,
	    "From \"a b\"@c Fri Nov 20 23:00 +0100 2026\n\n1\n\n"
	    "From x Fri Nov 20 22:00:00 UTC 2026 remote from y\n\n2\n",
	    T "0|\n1\n$" T "0|\n2\n$" },

	/* Quoting. */
	{ "mboxrd", MBOX_ANY, F "X: y\n\n>From me\n>>From you\n>>>\n> From\n",
	    T "0|X: y\n\nFrom me\n>From you\n>>>\n> From\n$" },
	{ "mboxo", MBOX_O, F "X: y\n\n>From me\n>>From you\n>\n",
	    T "0|X: y\n\nFrom me\n>>From you\n>\n$" },
	{ "UUCP in the header", MBOX_ANY,
	    F ">From x Fri Nov 20 22:00:00 2026 remote from y\nX: y\n\nb\n",
	    T "0|X: y\n\nb\n$" },

	/* Content-Length. */
	{ "mboxcl2", MBOX_ANY,
	    F "Content-Length: 44\nX: y\n\nFrom a@b Fri Nov 20 22:00:00 2026\n"
	      ">From me\n\n\n" F "X: z\n\nb\n",
	    T "0|X: y\n\nFrom a@b Fri Nov 20 22:00:00 2026\n>From me\n\n"
	      "$" T "0|X: z\n\nb\n$" },
	{ "mboxcl2 without the line ends", MBOX_CL2,
	    F "Content-Length: 4\n\nbody\n\n" F "Content-Length: 4\n\nbody",
	    T "0|\nbody$" T "0|\nbody$" },
	{ "mboxcl", MBOX_CL,
	    F "X: y\nContent-Length: 19\n\n>From me\n>>From me\n\n" F "\nb\n",
	    T "0|X: y\n\nFrom me\n>>From me\n$" T "0|\nb\n$" },
	{ "a wrong length is a field like others", MBOX_ANY,
	    F "X: y\nContent-Length: 3\n\n>From me\n\n" F "\nb\n",
	    T "0|X: y\nContent-Length: 3\n\nFrom me\n$" T "0|\nb\n$" },
	{ "too long", MBOX_ANY, F "Content-Length: 300\n\nbody\n",
	    T "0|Content-Length: 300\n\nbody\n$" },
	{ "a length of nothing", MBOX_ANY,
	    F "Content-Length: 0\n\n\n" F "\nb\n", T "0|\n$" T "0|\nb\n$" },
	{ "no number", MBOX_ANY, F "Content-Length: x\n\nbody\n",
	    T "0|Content-Length: x\n\nbody\n$" },
	{ "in mboxrd it means nothing", MBOX_RD,
	    F "Content-Length: 5\n\nbody\n\n",
	    T "0|Content-Length: 5\n\nbody\n$" },

	/* Flags. */
	{ "Status", MBOX_ANY,
	    F "Status: RO\nX: y\nX-Status: AF\nX-Keywords: a b  \n $c\n"
	      "X-UID: 12\nX-IMAPbase: 1 2 a\n   b\n\nbody\n",
	    T "7 a b $c|X: y\n\nbody\n$" },
	{ "all of X-Status", MBOX_ANY, F "X-Status: DT\n\nb\n", T "18|\nb\n$" },
	{ "Mozilla", MBOX_ANY,
	    F "X-Mozilla-Status: 1007\nX-Mozilla-Status2: 00000000\n"
	      "X-Mozilla-Keys: $label1 work \n\nb\n",
	    T "7 $Forwarded $label1 work|\nb\n$" },
	{ "expunged by Mozilla", MBOX_ANY, F "X-Mozilla-Status: 0009\n\nb\n",
	    T "1!|\nb\n$" },
	{ "the note of c-client", MBOX_ANY,
	    F "Subject: DON'T DELETE\nX-IMAP: 1234 5\nStatus: RO\n\nb\n",
	    T "1!|Subject: DON'T DELETE\n\nb\n$" },
	{ "not in the body", MBOX_ANY, F "\nStatus: RO\n\n",
	    T "0|\nStatus: RO\n$" },
};

static void
variants(void **state)
{
	static const size_t steps[] = { 1, 7, 100000 };
	struct buf got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t k = 0; k < 3; k++) {
			buf_reset(&got);
			read_all(slice_str(cases[i].text), steps[k],
			    cases[i].format, &got);
			if (strcmp(buf_str(&got), cases[i].want) != 0)
				fail_msg("%s: <%s>, not <%s>", cases[i].what,
				    buf_str(&got), cases[i].want);
		}
	buf_clear(&got);
}

/* --- quoting --- */

static const struct {
	const char *plain, *quoted, *quoted_once;
} quotes[] = {
	{ "", "", "" },
	{ "From x\n", ">From x\n", ">From x\n" },
	{ "From", "From", "From" },
	{ "From ", ">From ", ">From " },
	{ ">From x\nFrom y\n", ">>From x\n>From y\n", ">From x\n>From y\n" },
	{ ">>>>From ", ">>>>>From ", ">>>>From " },
	{ "a From x\n>\n>F\n>Fro\nFrox\n\n", "a From x\n>\n>F\n>Fro\nFrox\n\n",
	    "a From x\n>\n>F\n>Fro\nFrox\n\n" },
	{ "> From \nFFrom \nFrFrom ", "> From \nFFrom \nFrFrom ",
	    "> From \nFFrom \nFrFrom " },
	{ "\r\nFrom x\r\n", "\r\n>From x\r\n", "\r\n>From x\r\n" },
};

static void
quote(struct mbox_quoter q, const char *text, size_t step, struct buf *out)
{
	struct slice in = slice_str(text);

	buf_reset(out);
	for (; in.n > 0; in = slice_from(in, step))
		assert_true(mbox_quote(&q, slice_head(in, step), out));
	assert_true(mbox_quote_end(&q, out));
}

static void
quoting(void **state)
{
	struct buf got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(quotes) / sizeof(quotes[0]); i++)
		for (size_t step = 1; step < 9; step++) {
			quote((struct mbox_quoter){ 0 }, quotes[i].plain, step,
			    &got);
			assert_string_equal(buf_str(&got), quotes[i].quoted);
			quote((struct mbox_quoter){ .unquote = true },
			    quotes[i].quoted, step, &got);
			assert_string_equal(buf_str(&got), quotes[i].plain);
			quote((struct mbox_quoter){ .only_one = true },
			    quotes[i].plain, step, &got);
			assert_string_equal(
			    buf_str(&got), quotes[i].quoted_once);
		}
	buf_clear(&got);
}

/* --- out and in --- */

/* As the exporter does. */
static void
write_message(struct buf *out, const char *text, const struct door_meta *meta)
{
	struct slice s = slice_str(text);
	struct mbox_quoter q = { 0 };
	bool in_line = s.n > 0 && s.p[s.n - 1] != '\n';

	mbox_put_head(out, meta, in_line);
	mbox_quote(&q, s, out);
	mbox_quote_end(&q, out);
	buf_put_str(out, in_line ? "\n\n" : "\n");
}

static const char *const messages[] = {
	"X: y\n\nbody\n",
	"X: y\n\nbody",
	"X: y\n\nbody\n\n\n",
	"X: y\n\n",
	"X: y\n",
	"X: y",
	"\nbody\n",
	"\n",
	"From me\nX: y\n\nFrom you\n>From him\n\nFrom",
	" begins with a space\nX: y\n\nb\n",
	"Status: RO\nX-Status: A\nX-Keywords: z\n\nb\n",
	"X-Status: A\nContent-Length: 2\n\nb\n",
	"X-IMAP: 1\nX-Mozilla-Status: 0008\n\nb\n",
	"X-Keywords: z\n y\n\nb\n",
	("From x Fri Nov 20 22:00:00 2026\n\nFrom x Fri Nov 20 22:00:00 "
	 "2026\n\n"),
	"X: y\r\n\r\nkept as it is\r\r\n",
};
#define N_MESSAGES (sizeof(messages) / sizeof(messages[0]))

static void
round_trip(void **state)
{
	struct door_meta meta = { .flags = 0x1f,
		.internaldate = 1795212000,
		.n_keywords = 2,
		.keywords = { "$Forwarded", "work", NULL } };
	struct buf text = BUF_INIT, want = BUF_INIT, got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < N_MESSAGES; i++) {
		write_message(&text, messages[i], &meta);
		buf_printf(&want, T "%x", meta.flags);
		for (size_t k = 0; k < meta.n_keywords; k++)
			buf_printf(&want, " %s", meta.keywords[k]);
		buf_printf(&want, "|%s$", messages[i]);
		meta.flags /= 2;
		meta.n_keywords = i % 3;
	}
	for (size_t step = 1; step < 1000; step = step * 4 + 1) {
		buf_reset(&got);
		read_all(buf_slice(&text), step, MBOX_ANY, &got);
		assert_string_equal(buf_str(&got), buf_str(&want));
	}
	buf_clear(&text);
	buf_clear(&want);
	buf_clear(&got);
}

/* Lines far longer than a piece. */
static void
long_lines(void **state)
{
	struct buf text = BUF_INIT, got = BUF_INIT, want = BUF_INIT;

	(void)state;
	buf_put_str(&text, F "X: y\n\n");
	buf_put_str(&want, T "0|X: y\n\n");
	for (int i = 0; i < 40000; i++) {
		buf_put_str(&text, ">From ");
		buf_put_str(&want, i == 0 ? "From " : ">From ");
	}
	buf_put_str(&text, "\n\n" F "X: z\n\n");
	buf_printf(&want, "\n$" T "0|X: z\n\n$");
	read_all(buf_slice(&text), 4096, MBOX_ANY, &got);
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, got.n);
	buf_clear(&text);
	buf_clear(&want);
	buf_clear(&got);
}

/* A large body with a length, from a pipe: looked for far ahead. */
static void
far_ahead(void **state)
{
	struct buf text = BUF_INIT, got = BUF_INIT, want = BUF_INIT;

	(void)state;
	for (int n = 0; n < 5; n++) {
		buf_printf(&text, F "Content-Length: %d\n\n", 40000 * 8);
		buf_put_str(&want, T "0|\n");
		for (int i = 0; i < 40000; i++) {
			buf_put_str(&text, ">From \n\n");
			buf_put_str(&want, ">From \n\n");
		}
		buf_put_str(&text, "\n");
		buf_put_str(&want, "$");
	}
	read_all(buf_slice(&text), 5000, MBOX_ANY, &got);
	assert_int_equal(got.n, want.n);
	assert_memory_equal(got.p, want.p, got.n);
	buf_clear(&text);
	buf_clear(&want);
	buf_clear(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(variants),
		cmocka_unit_test(quoting),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(far_ahead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
