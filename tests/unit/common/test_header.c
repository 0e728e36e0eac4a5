/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/mail/header.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

/* Fields as "name=value|" with the value unfolded, then where the body is. */
static const struct {
	const char *message;
	const char *fields;
	const char *body;
} cases[] = {
	{ "", "", "" },
	{ "\r\n", "", "" },
	{ "\r\nbody", "", "body" },
	{ "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A=1|B=2|", "body\r\n" },
	{ "A: 1\nB: 2\n\nbody\n", "A=1|B=2|", "body\n" },
	{ "A: 1\nB: 2\r\n\nbody\n", "A=1|B=2|", "body\n" },
	/* folding, also with a line of white space only (RFC 5322 4.2) */
	{ "A: 1\r\n 2\r\n\t3\r\nB: x\r\n\r\n", "A=1 2\t3|B=x|", "" },
	{ "A: 1\r\n  \r\n 2\r\n\r\nb", "A=1   2|", "b" },
	{ "A:\r\n 1\r\n\r\nb", "A=1|", "b" },
	/* no blank line, or no last line end */
	{ "A: 1\r\n", "A=1|", "" },
	{ "A: 1", "A=1|", "" },
	{ "A: 1\r\nno field here\r\nB: 2\r\n", "A=1|",
	    "no field here\r\nB: 2\r\n" },
	{ "just a text\r\nA: 1\r\n\r\n", "", "just a text\r\nA: 1\r\n\r\n" },
	{ " folded first\r\nA: 1\r\n", "", " folded first\r\nA: 1\r\n" },
	/* mbox lines, at the top and not */
	{ "From a@b Fri Nov 20\r\nA: 1\r\n\r\nb", "A=1|", "b" },
	{ ">From a@b Fri Nov 20\nA: 1\n\nb", "A=1|", "b" },
	{ "A: 1\nFrom a@b Fri\nB: 2\n\nb", "A=1|B=2|", "b" },
	{ "A: 1\nFrom a@b Fri\n folded\nB: 2\n\nb", "A=1|",
	    " folded\nB: 2\n\nb" },
	{ "From : a@b\r\n\r\nb", "From=a@b|", "b" },
	/* odd names */
	{ "Name : v\r\nTab\t: w\r\n\r\nb", "Name=v|Tab=w|", "b" },
	{ ": v\r\nA: 1\r\n\r\nb", "=v|A=1|", "b" },
	{ "Two words: v\r\n\r\nb", "", "Two words: v\r\n\r\nb" },
	{ "M\xfcll: v\r\n\r\nb", "", "M\xfcll: v\r\n\r\nb" },
	{ "A:B:C\r\n\r\nb", "A=B:C|", "b" },
	{ "A: gr\xfc\xdf\r\n\r\nb", "A=gr\xfc\xdf|", "b" },
	{ "A:\r\nB:   \r\n\r\nb", "A=|B=|", "b" },
	/* a bare CR is no line end */
	{ "A: 1\rB: 2\r\n\r\nb", "A=1 B: 2|", "b" },
	{ "A: 1\r\n\rb", "A=1|", "\rb" },
	{ "A: 1\r\r\n\r\nb", "A=1|", "b" },
};

static void
put_fields(struct slice header, struct buf *out)
{
	struct arena a = { 0 };
	struct slice rest = header;
	struct header_field f;
	size_t raw = 0;

	while (header_next(&rest, &f)) {
		struct slice v = header_unfold(&a, f.value);

		buf_put_slice(out, f.name);
		buf_put_char(out, '=');
		buf_put_slice(out, v);
		buf_put_char(out, '|');
		raw += f.raw.n;
		assert_true(f.raw.p >= header.p && f.raw.n > f.value.n);
	}
	assert_int_equal(rest.n, 0);
	assert_true(raw <= header.n);
	arena_reset(&a);
}

static void
check_reader(struct slice message, size_t step, struct slice header)
{
	struct header_reader r;
	size_t at = 0;

	header_reader_init(&r);
	while (at < message.n && !r.done) {
		struct slice chunk = slice_head(slice_from(message, at), step);

		assert_int_equal(header_reader_feed(&r, chunk), 0);
		at += chunk.n;
	}
	if (!r.done)
		header_reader_end(&r);
	assert_true(slice_eq(header_reader_header(&r), header));
	assert_int_equal(header_reader_body(&r).n, at - header.n);
	assert_memory_equal(
	    header_reader_body(&r).p, message.p + header.n, at - header.n);
	header_reader_clear(&r);
}

static void
headers_are_cut_and_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct slice m = slice_str(cases[i].message);
		struct slice header = slice_head(m, header_size(m));
		struct buf fields = BUF_INIT;

		put_fields(header, &fields);
		assert_string_equal(buf_str(&fields), cases[i].fields);
		assert_string_equal(m.p + header.n, cases[i].body);
		for (size_t step = 1; step < 4; step++)
			check_reader(m, step, header);
		check_reader(m, m.n + 1, header);
		buf_clear(&fields);
	}
}

static void
the_rest_of_a_huge_header_is_body(void **state)
{
	struct buf b = BUF_INIT;
	struct slice m;
	size_t size;

	(void)state;
	while (b.n <= HEADER_MAX)
		buf_put_str(
		    &b, "X-Filler: 0123456789 0123456789 0123456789\r\n");
	buf_put_str(&b, "\r\nbody");
	m = buf_slice(&b);
	size = header_size(m);
	assert_true(size <= HEADER_MAX && size > HEADER_MAX - 100);
	assert_int_equal(m.p[size - 1], '\n');
	check_reader(m, 1, slice_head(m, size));
	check_reader(m, 1000, slice_head(m, size));
	check_reader(m, m.n, slice_head(m, size));
	buf_clear(&b);

	/* one line that never ends */
	buf_put_str(&b, "A: 1\r\nB: ");
	while (b.n <= HEADER_MAX)
		buf_put_str(&b, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	m = buf_slice(&b);
	assert_int_equal(header_size(m), 6);
	check_reader(m, 777, slice_head(m, 6));
	buf_clear(&b);
}

static void
a_header_of_exactly_the_limit_fits(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_put_str(&b, "A: ");
	while (b.n < HEADER_MAX - 1)
		buf_put_char(&b, 'x');
	buf_put_char(&b, '\n');
	buf_put_str(&b, "B: 2\n");
	assert_int_equal(header_size(buf_slice(&b)), HEADER_MAX);
	check_reader(
	    buf_slice(&b), 4099, slice_head(buf_slice(&b), HEADER_MAX));
	buf_clear(&b);
}

static void
fields_are_found_and_counted(void **state)
{
	const struct slice m = SLICE_LIT("Received: a\r\nSubject: one\r\n"
					 "received : b\r\nsubject: two\r\n"
					 "Empty:\r\n\r\nReceived: c\r\n");
	struct header_field f = { .name = SLICE_LIT("untouched") };
	struct arena a = { 0 };

	(void)state;
	assert_int_equal(header_count(m, "Received"), 2);
	assert_int_equal(header_count(m, "X"), 0);
	assert_false(header_find(m, "X", &f));
	assert_true(slice_eq_str(f.name, "untouched"));
	assert_true(header_find(m, "SUBJECT", &f));
	assert_true(slice_eq_str(f.name, "Subject"));
	assert_true(slice_eq_str(header_value(&a, m, "subject"), "one"));
	assert_non_null(header_value(&a, m, "empty").p);
	assert_null(header_value(&a, m, "x").p);
	arena_reset(&a);
}

static const struct {
	struct slice raw;
	const char *unfolded;
} unfolds[] = {
	{ SLICE_LIT("a"), "a" },
	{ SLICE_LIT("  a \r\n b  \r\n"), "a  b" },
	{ SLICE_LIT("a\r\nb"), "a b" },
	{ SLICE_LIT("a\rb\nc\r\n\td"), "a b c\td" },
	{ SLICE_LIT("a\0b"), "ab" },
	{ SLICE_LIT("\r\n \r\n"), "" },
	{ SLICE_LIT(""), "" },
};

static void
values_are_unfolded(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < N(unfolds); i++)
		assert_true(slice_eq_str(
		    header_unfold(&a, unfolds[i].raw), unfolds[i].unfolded));
	arena_reset(&a);
}

static void
names_are_checked(void **state)
{
	char name[78] = { 0 };

	(void)state;
	assert_true(header_name_is_valid(SLICE_LIT("X-Foo_1!")));
	assert_false(header_name_is_valid(SLICE_LIT("")));
	assert_false(header_name_is_valid(SLICE_LIT("A:")));
	assert_false(header_name_is_valid(SLICE_LIT("A B")));
	assert_false(header_name_is_valid(SLICE_LIT("A\r\nB")));
	assert_false(header_name_is_valid(SLICE_LIT("\xc3\xa9")));
	memset(name, 'a', 77);
	assert_false(header_name_is_valid(slice_str(name)));
	assert_true(header_name_is_valid(slice(name, 76)));
}

static const struct {
	struct slice value;
	const char *field;
} puts_[] = {
	{ SLICE_LIT("hello world"), "N: hello world\r\n" },
	{ SLICE_LIT(""), "N:\r\n" },
	{ SLICE_LIT("a\r\nEvil: b"), "N: a Evil: b\r\n" },
	{ SLICE_LIT("a\r\n b"), "N: a b\r\n" },
	{ SLICE_LIT("a\nb\rc\0d"), "N: a b c d\r\n" },
	{ SLICE_LIT("1234567890 1234567890 1234567890 1234567890 1234567890 "
		    "1234567890 1234567890 1234567890"),
	    "N: 1234567890 1234567890 1234567890 1234567890 1234567890 "
	    "1234567890\r\n 1234567890 1234567890\r\n" },
};

static void
fields_are_written_folded(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(puts_); i++) {
		struct buf b = BUF_INIT;

		header_put(&b, "N", puts_[i].value);
		assert_string_equal(buf_str(&b), puts_[i].field);
		assert_int_equal(header_count(buf_slice(&b), "Evil"), 0);
		buf_clear(&b);
	}
}

static void
no_written_line_is_too_long(void **state)
{
	struct buf value = BUF_INIT, b = BUF_INIT;
	struct slice rest, line;

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_put_char(&value, 'x');
	buf_put_str(&value, "   y");
	header_put(&b, "Name", buf_slice(&value));
	rest = buf_slice(&b);
	while (rest.n > 0) {
		line = slice_split(&rest, '\n');
		assert_true(line.n <= 999); /* with its CR */
		assert_true(line.p == b.p || *line.p == ' ');
		assert_true(slice_trim(line).n > 0);
	}
	buf_clear(&b);
	buf_clear(&value);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_cut_and_read),
		cmocka_unit_test(the_rest_of_a_huge_header_is_body),
		cmocka_unit_test(a_header_of_exactly_the_limit_fits),
		cmocka_unit_test(fields_are_found_and_counted),
		cmocka_unit_test(values_are_unfolded),
		cmocka_unit_test(names_are_checked),
		cmocka_unit_test(fields_are_written_folded),
		cmocka_unit_test(no_written_line_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
