/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qm/verdict.h"

static void
replies_have_their_meaning(void **state)
{
	static const struct {
		int code;
		const char *enhanced;
		enum verdict expected;
	} cases[] = {
		{ 250, "2.1.5", VERDICT_LOCAL },
		{ 250, "", VERDICT_LOCAL },
		{ 251, "2.1.5", VERDICT_EXPAND },
		{ 550, "5.7.1", VERDICT_REMOTE },
		{ 550, "5.1.1", VERDICT_REFUSED },
		{ 550, "5.2.1", VERDICT_REFUSED },
		{ 550, "", VERDICT_REFUSED },
		{ 554, "5.7.1", VERDICT_REFUSED },
		{ 452, "4.2.2", VERDICT_LATER },
		{ 451, "4.3.0", VERDICT_LATER },
		{ 421, "", VERDICT_LATER },
		{ 0, "", VERDICT_LATER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_reply r = { .code = cases[i].code,
			.text = SLICE_EMPTY };

		snprintf(
		    r.enhanced, sizeof(r.enhanced), "%s", cases[i].enhanced);
		assert_int_equal(verdict_of(&r), cases[i].expected);
	}
}

/* address route notify orcpt, one per line */
static void
describe(struct buf *b, const struct queue_message *m, size_t from)
{
	for (size_t i = from; i < m->n_rcpts; i++) {
		const struct queue_rcpt *r = m->rcpts[i];

		buf_put_slice(b, r->address);
		buf_printf(b, " %s %u ", r->route ? r->route : "-", r->notify);
		buf_put_slice(b, r->orcpt);
		buf_put_char(b, '\n');
	}
}

static void
forward_paths_take_the_place(void **state)
{
	static const struct {
		const char *text;
		unsigned notify;
		bool smarthost;
		int n;
		const char *expected;
	} cases[] = {
		{ "<bob@example.test> local", 0, false, 1,
		    "bob@example.test local 0 rfc822;sales@example.test\n" },
		{ "<x@Else.LAB> relay", 0, false, 1,
		    "x@Else.LAB smtp:else.lab 0 rfc822;sales@example.test\n" },
		{ "<x@else.lab> relay", 0, true, 1,
		    "x@else.lab smarthost 0 rfc822;sales@example.test\n" },
		/* One keeps what was asked for, of several none reports
		 * success (RFC 3461 5.2.7.2, 5.2.7.3). */
		{ "<b@x.lab> relay", SMTP_NOTIFY_SUCCESS, false, 1,
		    "b@x.lab smtp:x.lab 2 rfc822;sales@example.test\n" },
		{ "<b@x.lab> relay\n<c@x.lab> relay",
		    SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE, false, 2,
		    "b@x.lab smtp:x.lab 4 rfc822;sales@example.test\n"
		    "c@x.lab smtp:x.lab 4 rfc822;sales@example.test\n" },
		{ "<b@x.lab> relay\n<c@x.lab> relay", SMTP_NOTIFY_SUCCESS,
		    false, 2,
		    "b@x.lab smtp:x.lab 1 rfc822;sales@example.test\n"
		    "c@x.lab smtp:x.lab 1 rfc822;sales@example.test\n" },
		/* Itself among its targets stays; others are not doubled. */
		{ "<sales@example.test> local\n<old@x.lab> relay", 0, false, 2,
		    "sales@example.test local 0 rfc822;sales@example.test\n" },
		{ "<\"a>b\"@x.lab> relay", 0, false, 1,
		    "\"a>b\"@x.lab smtp:x.lab 0 rfc822;sales@example.test\n" },
		{ "nobody here", 0, false, 0, "" },
		{ "<> local", 0, false, 0, "" },
		{ "", 0, false, 0, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct queue_message *m = queue_message_new();
		struct buf got = BUF_INIT;
		struct queue_rcpt *from;

		queue_message_add(m, SLICE_LIT("old@x.lab"), 0, SLICE_EMPTY);
		from = queue_message_add(m, SLICE_LIT("sales@example.test"),
		    cases[i].notify, SLICE_EMPTY);
		assert_int_equal(
		    verdict_expand(
			m, from, slice_str(cases[i].text), cases[i].smarthost),
		    cases[i].n);
		describe(&got, m, 2);
		assert_string_equal(buf_str(&got), cases[i].expected);
		for (size_t j = 2; j < m->n_rcpts; j++)
			assert_int_equal(m->rcpts[j]->expansions, 1);
		buf_clear(&got);
		queue_message_free(&m);
	}
}

static void
too_many_leave_no_half(void **state)
{
	struct queue_message *m = queue_message_new();
	struct buf text = BUF_INIT;
	struct queue_rcpt *from;

	(void)state;
	from = queue_message_add(m, SLICE_LIT("all@example.test"), 0,
	    SLICE_LIT("rfc822;first@example.test"));
	for (int i = 0; i < QUEUE_RCPTS_MAX; i++)
		buf_printf(&text, "<r%d@example.test> local\n", i);
	assert_int_equal(
	    verdict_expand(m, from, buf_slice(&text), false), -E2BIG);
	assert_int_equal(m->n_rcpts, 1);
	assert_int_equal(m->next_index, 1);
	/* An original recipient is kept through several aliases. */
	assert_int_equal(
	    verdict_expand(m, from, SLICE_LIT("<a@example.test> local"), false),
	    1);
	assert_true(
	    slice_eq_str(m->rcpts[1]->orcpt, "rfc822;first@example.test"));
	buf_clear(&text);
	queue_message_free(&m);
}

static void
remote_needs_a_domain(void **state)
{
	struct queue_message *m = queue_message_new();
	struct queue_rcpt *r;

	(void)state;
	r = queue_message_add(m, SLICE_LIT("postmaster"), 0, SLICE_EMPTY);
	assert_false(verdict_route(m, r, false, false));
	assert_true(verdict_route(m, r, true, false));
	assert_string_equal(r->route, DESTINATION_LOCAL);
	r = queue_message_add(m, SLICE_LIT("\"a@b\"@X.lab"), 0, SLICE_EMPTY);
	assert_true(verdict_route(m, r, false, false));
	assert_string_equal(r->route, "smtp:x.lab");
	queue_message_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_have_their_meaning),
		cmocka_unit_test(forward_paths_take_the_place),
		cmocka_unit_test(too_many_leave_no_half),
		cmocka_unit_test(remote_needs_a_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
