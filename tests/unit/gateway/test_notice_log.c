/* SPDX-License-Identifier: ISC */
/* Events and how far subscriptions have come, on the engine that lies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/notice_log.h"

#define ID "abcdefghabcdefgh"
#define OTHER "bbbbbbbbbbbbbbbb"
#define A "bob@d.test"

static char fault[200];

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition) && fault[0] == '\0')                          \
			snprintf(fault, sizeof(fault), "line %d: %s",          \
			    __LINE__, #condition);                             \
	} while (0)

static struct notice_event
arrival(uint64_t mailbox, uint64_t modseq)
{
	return (struct notice_event){ .mailbox = mailbox,
		.modseq = modseq,
		.uid = (uint32_t)modseq,
		.uidvalidity = 3,
		.size = modseq * 1000,
		.date_s = -5,
		.arrived_s = (int64_t)(100 + modseq),
		.quiet = mailbox == 2,
		.gone = modseq == 4 };
}

static void
numbers(struct store *s)
{
	const struct notice_event first[] = { arrival(1, 2), arrival(1, 4),
		arrival(2, 1) };
	/* Told again, as after a crash, and with what is new. */
	const struct notice_event again[] = { arrival(1, 2), arrival(1, 4),
		arrival(1, 5), arrival(2, 1), arrival(2, 9) };
	const struct notice_dead dead[] = { { .number = 1, .error = "" },
		{ .number = 2, .error = "" }, { .number = 5, .error = "" } };
	const struct notice_status st = { .error = "" };
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct notice_event v[10];
	struct notice_dead d[10];
	uint64_t from, next;
	size_t n;

	CHECK(notice_log_bounds(s, A, &from, &next) == 0);
	CHECK(from == 1 && next == 1);
	CHECK(notice_log_append(s, A, first, 3) == 0);
	CHECK(notice_log_append(s, A, again, 5) == 0);
	CHECK(notice_log_append(s, A, again, 5) == 0);
	CHECK(notice_log_bounds(s, A, &from, &next) == 0);
	CHECK(from == 1 && next == 6);
	CHECK(notice_log_read(s, A, 0, 10, v, &n) == 0 && n == 5);
	for (size_t i = 0; i < n; i++)
		CHECK(v[i].number == i + 1);
	CHECK(v[0].modseq == 2 && v[1].modseq == 4 && v[2].mailbox == 2);
	CHECK(v[3].modseq == 5 && v[4].modseq == 9);
	CHECK(v[1].gone && !v[0].gone && v[2].quiet && !v[3].quiet);
	CHECK(v[3].size == 5000 && v[3].date_s == -5 && v[3].uid == 5);
	CHECK(notice_log_read(s, A, 4, 1, v, &n) == 0 && n == 1);
	CHECK(v[0].number == 4);
	CHECK(notice_log_read(s, A, 6, 1, v, &n) == 0 && n == 0);
	/* Another account, of whose name this is the beginning. */
	CHECK(notice_log_read(s, A "x", 0, 10, v, &n) == 0 && n == 0);
	CHECK(notice_log_since(s, A, 105, &next) == 0 && next == 4);
	CHECK(notice_log_since(s, A, 1000, &next) == 0 && next == 6);
	CHECK(notice_log_since(s, A, 0, &next) == 0 && next == 1);
	/* The old ones go from the start, dead or not; numbers go on. */
	CHECK(notice_status_put(s, A, ID, &st, dead, 3, 0) == 0);
	CHECK(notice_log_purge(s, A, 104) == 0);
	CHECK(notice_log_bounds(s, A, &from, &next) == 0);
	CHECK(from == 2 && next == 6);
	CHECK(notice_dead_list(s, A, ID, &a, 0, 10, d, &n) == 0 && n == 2);
	CHECK(d[0].number == 2 && d[1].number == 5);
	CHECK(notice_forget(s, A, ID) == 0);
	CHECK(notice_log_purge(s, A, 1000) == 0);
	CHECK(notice_log_bounds(s, A, &from, &next) == 0);
	CHECK(from == 6 && next == 6);
	arena_reset(&a);
}

static int
note_id(void *arg, struct slice id)
{
	struct buf *b = arg;

	buf_put_slice(b, id);
	buf_put_char(b, ' ');
	return 0;
}

static void
statuses(struct store *s)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct notice_status st = { .next = 7,
		.sent = 5,
		.fails = 3,
		.since_s = 100,
		.ended = UINT64_MAX >> 12,
		.status = 503,
		.error = "it \"answers\" \xff" },
			     got;
	const struct notice_dead dead[] = {
		{ .number = 2, .attempts = 4, .status = 422, .error = "x" },
		{ .number = 300, .error = "" }
	};
	struct notice_dead v[10];
	struct buf ids = BUF_INIT;
	size_t n;

	CHECK(notice_status_get(s, &a, A, ID, &got) == -ENOENT);
	CHECK(got.next == 0 && *got.error == '\0');
	CHECK(notice_status_put(s, A, ID, &st, dead, 2, 0) == 0);
	st.error = "";
	CHECK(notice_status_put(s, A, OTHER, &st, NULL, 0, 0) == 0);
	CHECK(notice_status_get(s, &a, A, ID, &got) == 0);
	CHECK(got.next == 7 && got.fails == 3 && got.since_s == 100 &&
	    got.ended == UINT64_MAX >> 12 && got.status == 503);
	CHECK(*got.error != '\0');
	CHECK(notice_dead_list(s, A, ID, &a, 0, 10, v, &n) == 0 && n == 2);
	CHECK(v[0].number == 2 && v[0].attempts == 4 && v[1].number == 300);
	CHECK(notice_dead_list(s, A, ID, &a, 3, 10, v, &n) == 0 && n == 1);
	CHECK(notice_dead_list(s, A, OTHER, &a, 0, 10, v, &n) == 0 && n == 0);
	CHECK(notice_dead_count(s, A, ID, 10, &n) == 0 && n == 2);
	CHECK(notice_dead_count(s, A, ID, 1, &n) == 0 && n == 1);
	CHECK(notice_dead_count(s, A, OTHER, 10, &n) == 0 && n == 0);
	CHECK(notice_status_put(s, A, ID, &st, NULL, 0, 2) == 0);
	CHECK(notice_dead_list(s, A, ID, &a, 0, 10, v, &n) == 0 && n == 1);
	CHECK(notice_known(s, A, note_id, &ids) == 0);
	CHECK(slice_eq_str(buf_slice(&ids), ID " " OTHER " "));
	CHECK(notice_forget(s, A, ID) == 0);
	CHECK(notice_status_get(s, &a, A, ID, &got) == -ENOENT);
	CHECK(notice_dead_list(s, A, ID, &a, 0, 10, v, &n) == 0 && n == 0);
	CHECK(notice_status_get(s, &a, A, OTHER, &got) == 0);
	buf_reset(&ids);
	CHECK(notice_accounts(s, note_id, &ids) == 0);
	CHECK(slice_eq_str(buf_slice(&ids), A " "));
	CHECK(notice_drop(s, A) == 0);
	CHECK(notice_status_get(s, &a, A, OTHER, &got) == -ENOENT);
	buf_clear(&ids);
	arena_reset(&a);
}

static void
run_all(void *arg)
{
	const struct store_conf sc = { .engine = "memory",
		.seed = *(unsigned *)arg,
		.conflict_pct = 10,
		.unknown_pct = 10,
		.late_pct = 30 };
	struct buf err = BUF_INIT;
	struct store *s = NULL;

	CHECK(store_open(&s, &sc, &err) == 0);
	numbers(s);
	statuses(s);
	store_close(&s);
	buf_clear(&err);
}

static void
test_log(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		assert_int_equal(co_run(run_all, &seed), 0);
		assert_string_equal(fault, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_log) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
