/* SPDX-License-Identifier: ISC */
/* XSOURCE, taken apart. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "mailbox/lmtp/deposit.h"

#define ID "00000000000000ff"

static void
what_is_well_formed(void **state)
{
	static const struct {
		const char *value, *mailbox;
		uint32_t uidvalidity, uid, flags;
		int64_t date;
		size_t keywords;
		unsigned special;
	} cases[] = {
		{ ID ";1;2;-;new;-;+09INBOX", "INBOX", 1, 2, 0, INT64_MIN, 0, 0 },
		{ ID ";4294967295;0;1000;old;Sent;\\Seen+20$Label1+20\\X+20+09a/b",
		    "a/b", UINT32_MAX, 0, MAILS_SEEN, 1000, 1, MAILS_SENT },
		{ ID ";1;2;-;new;-;\\flagged+20+20Zebra+20Zebra+20+09a+0977", "a",
		    1, 2, MAILS_FLAGGED_FLAG, INT64_MIN, 1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a = { 0 };
		struct deposit d;

		assert_int_equal(
		    deposit_parse(&a, slice_str(cases[i].value), &d), 0);
		assert_int_equal(d.origin.source, 0xff);
		assert_int_equal(d.origin.uidvalidity, cases[i].uidvalidity);
		assert_int_equal(d.origin.uid, cases[i].uid);
		assert_int_equal(d.meta.flags, cases[i].flags);
		assert_int_equal(d.meta.n_keywords, cases[i].keywords);
		assert_true(d.meta.internaldate == cases[i].date);
		assert_int_equal(d.special, cases[i].special);
		assert_true(d.is_old == (cases[i].special != 0));
		assert_true(slice_eq_str(d.mailbox, cases[i].mailbox));
		assert_int_equal(d.uidvalidity,
		    strcmp(cases[i].mailbox, "a") == 0 ? 77 : 0);
		arena_reset(&a);
	}
}

static void
what_is_not(void **state)
{
	static const char *const cases[] = { "", ID, ID ";1;2;-;new;-",
		ID ";1;2;-;-;+09a", ID ";1;2;-;;-;+09a",
		ID ";1;2;-;older;-;+09a",
		ID ";1;2;-;new;-;+09a+09b", ID ";1;2;-;new;-;+09+097",
		ID ";1;2;-;new;-;", ID ";1;2;-;new;-;INBOX", ID ";1;2;-;new;-;+09",
		ID ";x;2;-;new;-;+09a", ID ";1;4294967296;-;new;-;+09a",
		ID ";1;2;;new;-;+09a", ID ";1;2;-1;new;-;+09a",
		ID ";1;2;-;new;Nothing;+09a", ID ";1;2;-;new;-;+0",
		"0ff;1;2;-;new;-;+09a", "00000000000000fg;1;2;-;new;-;+09a" };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct arena a = { 0 };
		struct deposit d;

		assert_int_equal(
		    deposit_parse(&a, slice_str(cases[i]), &d), -EINVAL);
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_well_formed),
		cmocka_unit_test(what_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
