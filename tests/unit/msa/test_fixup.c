/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "common/mail/header.h"
#include "msa/msa.h"

#define DATE "Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"
#define ID "Message-ID: <1@x.test>\r\n"
#define FROM "From: a@x.test\r\n"
#define MADE_DATE "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"

static const struct {
	const char *in, *out;
} cases[] = {
	{ DATE ID FROM "\r\n", DATE ID FROM },
	{ DATE ID FROM "Bcc: x@y.test,\r\n\tz@y.test\r\nTo: b@x.test\r\n\r\n",
	    DATE ID FROM "To: b@x.test\r\n" },
	{ "bCC: x@y.test\r\nReturn-Path: <x@y>\r\n" DATE ID FROM "\r\n",
	    DATE ID FROM },
	{ DATE ID "To: b\r\n\r\n", DATE ID "To: b\r\nFrom: <a@x.test>\r\n" },
	{ ID FROM "\r\n", ID FROM MADE_DATE },
	{ "Subject: folded\r\n  twice\r\n\tmore\r\n" DATE ID FROM "\r\n",
	    "Subject: folded\r\n  twice\r\n\tmore\r\n" DATE ID FROM },
	{ "Subject: \xff\xfe raw\r\n" DATE ID FROM,
	    "Subject: \xff\xfe raw\r\n" DATE ID FROM },
	{ "Subject: lf\n" DATE ID FROM "\n", "Subject: lf\r\n" DATE ID FROM },
	/* What cannot be read is made anew; the rest stays in its place. */
	{ "Date: tomorrow\r\n" ID FROM "\r\n", ID FROM MADE_DATE },
	{ "Date:\r\n Fri, 20 Nov 2026\r\n 10:00:00 +0000\r\n" ID FROM "\r\n",
	    "Date:\r\n Fri, 20 Nov 2026\r\n 10:00:00 +0000\r\n" ID FROM },
	/* RFC 5322 3.6.2 */
	{ DATE ID "From: a@x.test, b@x.test\r\n\r\n",
	    DATE ID "From: a@x.test, b@x.test\r\nSender: <s@x.test>\r\n" },
	{ DATE ID "Sender: b@x.test\r\nFrom: a@x.test, b@x.test\r\n\r\n",
	    DATE ID "Sender: b@x.test\r\nFrom: a@x.test, b@x.test\r\n" },
};

/* Each can be switched off. */
static const struct {
	unsigned fixes;
	const char *name, *in, *out;
} switched[] = {
	{ 0, "", "Bcc: x@y.test\r\nDate: bad\r\nReturn-Path: <x@y>\r\n"
	    "Message-ID: \r\n\r\n",
	    "Bcc: x@y.test\r\nDate: bad\r\nMessage-ID: \r\n" },
	{ 0, "", "From: a@x.test, b@x.test\r\n\r\n",
	    "From: a@x.test, b@x.test\r\n" },
	{ MSA_FIX_DATE, "", "\r\n", MADE_DATE },
	{ MSA_FIX_FROM, "", "\r\n", "From: <a@x.test>\r\n" },
	{ MSA_FIX_FROM, "A B", "\r\n", "From: A B <a@x.test>\r\n" },
	{ MSA_FIX_FROM, "B\xc3\xa9, A", "\r\n",
	    "From: =?utf-8?q?B=C3=A9=2C_A?= <a@x.test>\r\n" },
	{ MSA_FIX_BCC, "", "Bcc: x\r\nTo: y\r\n\r\n", "To: y\r\n" },
	{ MSA_FIX_SENDER, "", "From: b@x.test\r\n\r\n",
	    "From: b@x.test\r\n" },
	{ MSA_FIX_SENDER_ALWAYS, "", "From: b@x.test\r\n\r\n",
	    "From: b@x.test\r\nSender: <s@x.test>\r\n" },
	{ MSA_FIX_SENDER_ALWAYS, "", "From: S <S@X.test>\r\n\r\n",
	    "From: S <S@X.test>\r\n" },
	{ MSA_FIX_SENDER_ALWAYS, "", "\r\n", "" },
};

static const struct msa_fixup fixup = { .fixes = MSA_FIX_ALL &
	    ~(unsigned)MSA_FIX_SENDER_ALWAYS,
	.from = SLICE_LIT("a@x.test"),
	.sender = SLICE_LIT("s@x.test"),
	.id_domain = SLICE_LIT("x.test") };

static void
fixes_are_made_where_they_are_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(switched) / sizeof(switched[0]); i++) {
		struct msa_fixup f = fixup;
		struct buf out = BUF_INIT;

		f.fixes = switched[i].fixes;
		f.from_name = slice_str(switched[i].name);
		assert_true(
		    msa_fixup_header(slice_str(switched[i].in), &f, &out));
		assert_string_equal(buf_str(&out), switched[i].out);
		buf_clear(&out);
	}
}

static void
headers_are_completed(void **state)
{
	struct msa_fixup f = fixup;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT;

		assert_true(msa_fixup_header(slice_str(cases[i].in), &f, &out));
		assert_string_equal(buf_str(&out), cases[i].out);
		buf_clear(&out);
	}
}

static void
an_empty_header_gets_all_three(void **state)
{
	struct msa_fixup f = fixup;
	struct header_field field;
	struct buf out = BUF_INIT;

	(void)state;
	assert_true(msa_fixup_header(SLICE_LIT("\r\n"), &f, &out));
	assert_true(header_find(buf_slice(&out), "Date", &field));
	assert_true(header_find(buf_slice(&out), "From", &field));
	assert_true(header_find(buf_slice(&out), "Message-ID", &field));
	assert_true(slice_ends_nocase(field.value, "@x.test>"));
	buf_clear(&out);
}

static int
note(void *arg, struct slice local, struct slice domain)
{
	buf_put_slice(arg, local);
	buf_put_char(arg, '@');
	buf_put_slice(arg, domain);
	buf_put_char(arg, ' ');
	return slice_eq_str(local, "stop") ? 7 : 0;
}

static void
each_from_address_is_seen(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct buf seen = BUF_INIT;

	(void)state;
	assert_int_equal(
	    msa_each_address(&a,
		SLICE_LIT("From: A <a@x.test>, \"B, C\" "
			  "<b@y.test>\r\nTo: n@z.test\r\n"
			  "from: g: d@x.test;\r\n\r\nFrom: e@x\r\n"),
		"From", note, &seen),
	    0);
	assert_string_equal(buf_str(&seen), "a@x.test b@y.test d@x.test ");
	buf_reset(&seen);
	assert_int_equal(
	    msa_each_address(
		&a, SLICE_LIT("From: stop@x, never@x\r\n\r\n"), "From", note, &seen),
	    7);
	assert_string_equal(buf_str(&seen), "stop@x ");
	buf_clear(&seen);
	arena_reset(&a);
}

/* Whatever is cut off, the header is found where it is, or not at all. */
static void
the_header_is_measured_as_far_as_it_is_there(void **state)
{
	static const struct {
		const char *message;
		size_t n; /* of the header */
	} headers[] = {
		{ DATE ID FROM "\r\nbody: x\r\n\r\nmore", 81 },
		{ DATE ID FROM "no field\r\nmore\r\n", 79 },
		{ "\r\nbody\r\n", 2 },
		{ "body\r\n", 0 },
		{ DATE ID FROM, 79 },
		{ "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct slice whole = slice_str(headers[i].message), header;

		for (size_t n = 0; n <= whole.n; n++)
			if (msa_header_measure(slice_head(whole, n), whole.n,
				&header))
				assert_int_equal(header.n, headers[i].n);
			else
				assert_true(n < headers[i].n + 12);
		assert_true(msa_header_measure(whole, whole.n, &header));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_measured_as_far_as_it_is_there),
		cmocka_unit_test(headers_are_completed),
		cmocka_unit_test(fixes_are_made_where_they_are_on),
		cmocka_unit_test(an_empty_header_gets_all_three),
		cmocka_unit_test(each_from_address_is_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
