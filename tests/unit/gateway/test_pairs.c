/* SPDX-License-Identifier: ISC */
/* Which message is which: rows by both UIDs, what goes together, what is not
 * committed, what is damaged; on the engine that lies. */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "gateway/pairs.h"
#include "gateway/state_impl.h"

#define A "far@out.test"
#define MANY 700 /* more than one commit */

static char fault[200];

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition) && fault[0] == '\0')                          \
			snprintf(fault, sizeof(fault), "line %d: %s",          \
			    __LINE__, #condition);                             \
	} while (0)

static const struct pair_folder inbox = { "inboxinboxinboxi" },
				trash = { "trashtrashtrasht" };

static struct pair
pair_of(uint32_t there)
{
	return (struct pair){ .there = there,
		.here = there + 1000,
		.first_s = -7,
		.agreed = { there & 31, UINT64_C(1) << 63 | there },
		.print = UINT64_C(0xfedcba9876543210) + there };
}

static bool
pair_is(const struct pair *a, uint32_t there)
{
	struct pair b = pair_of(there);

	return a->there == b.there && a->here == b.here &&
	    a->first_s == b.first_s && a->print == b.print &&
	    a->agreed.system == b.agreed.system &&
	    a->agreed.keywords == b.agreed.keywords;
}

static void
put(struct pairs *p, const struct pair_folder *f, uint32_t there)
{
	struct pair v = pair_of(there);

	pairs_put(p, f, &v);
}

static size_t
count(struct state *s, const struct pair_folder *f)
{
	size_t n = 99999;

	CHECK(pairs_count(s, A, f, &n) == 0);
	return n;
}

/* --- pairs --- */

static void
both_ways(struct state *s)
{
	struct pairs p;
	struct pair got, one = pair_of(3);
	struct pair *v;
	size_t n;

	CHECK(pair_get(s, A, &inbox, 3, &got) == -ENOENT);
	CHECK(pair_find(s, A, &inbox, 1003, &got) == -ENOENT);
	CHECK(pairs_range(s, A, &inbox, 1, 9, 9, &v, &n) == 0 && n == 0);
	CHECK(count(s, &inbox) == 0);
	pairs_begin(&p, s, A);
	CHECK(pairs_flush(&p) == 0);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		put(&p, &inbox, uid);
	put(&p, &trash, UINT32_MAX);
	CHECK(pairs_flush(&p) == 0);
	CHECK(count(s, &inbox) == MANY && count(s, &trash) == 1);
	for (uint32_t uid = 1; uid <= MANY; uid++) {
		CHECK(pair_get(s, A, &inbox, uid, &got) == 0);
		CHECK(pair_is(&got, uid));
		CHECK(pair_find(s, A, &inbox, uid + 1000, &got) == 0);
		CHECK(pair_is(&got, uid));
	}
	CHECK(pair_get(s, A, &trash, 3, &got) == -ENOENT);
	CHECK(pair_get(s, "far@out.tes", &inbox, 3, &got) == -ENOENT);
	CHECK(pairs_range(s, A, &inbox, 5, 7, 99, &v, &n) == 0 && n == 3);
	for (size_t i = 0; i < n; i++)
		CHECK(pair_is(&v[i], (uint32_t)i + 5));
	free(v);
	CHECK(pairs_range(s, A, &inbox, 5, MANY, 2, &v, &n) == 0 && n == 2);
	CHECK(pair_is(&v[1], 6));
	free(v);
	CHECK(
	    pairs_range(s, A, &trash, 0, UINT32_MAX, 9, &v, &n) == 0 && n == 1);
	free(v);
	pairs_drop(&p, &inbox, &one);
	CHECK(pairs_flush(&p) == 0 && count(s, &inbox) == MANY - 1);
	CHECK(pair_get(s, A, &inbox, 3, &got) == -ENOENT);
	CHECK(pair_find(s, A, &inbox, 1003, &got) == -ENOENT);
}

static void
doomed(struct state *s)
{
	struct pair two = pair_of(2), got;
	struct pairs p;
	uint32_t *v;
	size_t n;

	pairs_begin(&p, s, A);
	pairs_doom(&p, &inbox, &two);
	CHECK(pairs_flush(&p) == 0);
	CHECK(pair_get(s, A, &inbox, 2, &got) == -ENOENT);
	CHECK(pair_find(s, A, &inbox, 1002, &got) == -ENOENT);
	CHECK(pairs_doomed(s, A, &inbox, 9, &v, &n) == 0 && n == 1);
	CHECK(n == 1 && v[0] == 2);
	free(v);
	CHECK(pairs_doomed(s, A, &trash, 9, &v, &n) == 0 && n == 0);
	for (uint32_t uid = 4; uid < 8; uid++) {
		two = pair_of(uid);
		pairs_doom(&p, &inbox, &two);
	}
	pairs_undoom(&p, &inbox, 2);
	CHECK(pairs_flush(&p) == 0);
	CHECK(pairs_doomed(s, A, &inbox, 3, &v, &n) == 0 && n == 3);
	CHECK(n == 3 && v[0] == 4 && v[2] == 6);
	free(v);
}

/* Rows of one change are in one commit, and what was not committed when the
 * process went is not there: neither half of it. */
static void
killed(struct state *s)
{
	struct pair got;
	struct pairs p;
	size_t n = 0;

	CHECK(pairs_forget(s, A, &inbox) == 0 && count(s, &inbox) == 0);
	pairs_begin(&p, s, A);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		put(&p, &inbox, uid);
	store_batch_free(&p.b); /* as a kill does */
	for (uint32_t uid = 1; uid <= MANY; uid++) {
		int there = pair_get(s, A, &inbox, uid, &got);

		CHECK(there == 0 || there == -ENOENT);
		CHECK(pair_find(s, A, &inbox, uid + 1000, &got) == there);
		n += there == 0;
	}
	CHECK(n == count(s, &inbox) && n > 0 && n < MANY);
	pairs_begin(&p, s, A);
	for (uint32_t uid = 1; uid <= MANY; uid++)
		put(&p, &inbox, uid); /* done again is done once */
	CHECK(pairs_flush(&p) == 0 && count(s, &inbox) == MANY);
}

static void
forgotten(struct state *s)
{
	struct pair one = pair_of(1);
	struct pairs p;
	uint32_t *v;
	size_t n;

	pairs_begin(&p, s, A);
	put(&p, &trash, 1);
	pairs_doom(&p, &inbox, &one);
	CHECK(pairs_flush(&p) == 0);
	CHECK(pairs_forget(s, A, &inbox) == 0);
	CHECK(count(s, &inbox) == 0 && count(s, &trash) > 0);
	CHECK(pairs_doomed(s, A, &inbox, 9, &v, &n) == 0 && n == 0);
	CHECK(pairs_forget(s, A, NULL) == 0 && count(s, &trash) == 0);
	CHECK(pairs_forget(s, "nobody@out.test", NULL) == 0);
}

/* --- moves --- */

static void
put_moving_of(struct state *s, const char id[static STATE_ID], int64_t when_s,
    size_t octets)
{
	char key[1 + 2 * STATE_ID] = "i", row[64] = { 0 };

	memcpy(key + 1, trash.id, STATE_ID);
	memcpy(key + 1 + STATE_ID, id, STATE_ID);
	put_be64(row + 33, (uint64_t)when_s);
	CHECK(state_row_put(
		  s, A, slice(key, sizeof(key)), slice(row, octets)) == 0);
}

static void
moves(struct state *s)
{
	struct pair_moving one = { "oneoneoneoneone", pair_of(0) }, *v;
	struct pairs p;
	size_t n;

	pairs_begin(&p, s, A);
	pairs_moving_put(&p, &trash, &one);
	CHECK(pairs_flush(&p) == 0);
	put_moving_of(s, "oldoldoldoldold", clock_wall_s() - 8 * 86400, 41);
	put_moving_of(s, "newnewnewnewnew", clock_wall_s() - 6 * 86400, 41);
	CHECK(pairs_moving(s, A, &inbox, &v, &n) == 0 && n == 0);
	CHECK(pairs_moving(s, A, &trash, &v, &n) == 0 && n == 2);
	CHECK(n == 2 && memcmp(v[0].id, "new", 3) == 0);
	CHECK(n == 2 && memcmp(v[1].id, one.id, STATE_ID) == 0);
	CHECK(n == 2 && pair_is(&v[1].pair, 0));
	free(v);
	pairs_moving_drop(&p, &trash, one.id);
	CHECK(pairs_flush(&p) == 0);
	CHECK(pairs_moving(s, A, &trash, &v, &n) == 0 && n == 1);
	free(v);
	put_moving_of(s, "badbadbadbadbad", clock_wall_s(), 40);
	CHECK(pairs_moving(s, A, &trash, &v, &n) == -EIO && n == 0);
	CHECK(v == NULL);
	CHECK(pairs_forget(s, A, &trash) == 0);
	CHECK(pairs_moving(s, A, &trash, &v, &n) == 0 && n == 0);
}

/* --- damage --- */

static void
put_raw(struct state *s, char kind, uint32_t uid, size_t key_n, size_t row_n)
{
	char key[64] = { kind }, row[64] = { 0 };

	memcpy(key + 1, inbox.id, STATE_ID);
	put_be32(key + 1 + STATE_ID, uid);
	put_be32(row, uid);
	CHECK(state_row_put(s, A, slice(key, 1 + STATE_ID + key_n),
		  slice(row, row_n)) == 0);
}

static void
damaged(struct state *s)
{
	struct pair got, *v;
	struct pairs p;
	uint32_t *uids;
	size_t n;

	pairs_begin(&p, s, A);
	put(&p, &inbox, 1);
	CHECK(pairs_flush(&p) == 0);
	put_raw(s, 'm', 2, 4, 32);
	CHECK(pair_get(s, A, &inbox, 2, &got) == -EIO);
	CHECK(pairs_range(s, A, &inbox, 1, 9, 9, &v, &n) == -EIO && n == 0);
	CHECK(v == NULL);
	CHECK(pairs_range(s, A, &inbox, 1, 1, 9, &v, &n) == 0 && n == 1);
	free(v);
	put_raw(s, 'l', 3, 4, 3);
	CHECK(pair_find(s, A, &inbox, 3, &got) == -EIO);
	put_raw(s, 'l', 4, 4, 4); /* of none */
	CHECK(pair_find(s, A, &inbox, 4, &got) == -ENOENT);
	put_raw(s, 'x', 5, 3, 1);
	CHECK(pairs_doomed(s, A, &inbox, 9, &uids, &n) == -EIO && n == 0);
	CHECK(pairs_forget(s, A, &inbox) == 0);
	CHECK(pairs_doomed(s, A, &inbox, 9, &uids, &n) == 0 && n == 0);
}

/* --- mailboxes here, flags --- */

static void
cursors(struct state *s)
{
	const struct pair_cursor c = { 1, UINT32_MAX, UINT64_MAX - 1, 4 };
	struct pair_cursor got;
	unsigned char id[STATE_ID];
	char key[1 + STATE_ID] = "b";

	CHECK(pair_cursor_get(s, A, "INBOX", &got) == -ENOENT);
	CHECK(pair_cursor_put(s, A, "INBOX", &c) == 0);
	CHECK(pair_cursor_get(s, A, "INBOX", &got) == 0);
	CHECK(got.uidvalidity == 1 && got.uid == UINT32_MAX &&
	    got.modseq == UINT64_MAX - 1 && got.modseq_uid == 4);
	CHECK(pair_cursor_get(s, A, "INBO", &got) == -ENOENT);
	state_id(SLICE_LIT("Bad"), id);
	memcpy(key + 1, id, STATE_ID);
	CHECK(state_row_put(
		  s, A, slice(key, sizeof(key)), SLICE_LIT("short")) == 0);
	CHECK(pair_cursor_get(s, A, "Bad", &got) == -EIO);
	CHECK(pair_cursors_forget(s, A) == 0);
	CHECK(pair_cursor_get(s, A, "INBOX", &got) == -ENOENT);
}

static void
keywords(struct state *s)
{
	struct pair_keywords k, again;
	struct merge_flags f = { 0 };
	struct buf out = BUF_INIT;
	char name[300];

	CHECK(pair_keywords_load(s, A, &k) == 0 && k.n == 0);
	CHECK(pair_flag_add(&k, &f, SLICE_LIT("\\seen")) && f.system == 1);
	CHECK(!pair_flag_add(&k, &f, SLICE_LIT("\\Recent")));
	CHECK(!pair_flag_add(&k, &f, SLICE_LIT("")));
	memset(name, 'x', sizeof(name));
	CHECK(!pair_flag_add(&k, &f, slice(name, 257)));
	for (int i = 0; i < PAIR_KEYWORDS; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		CHECK(pair_flag_add(&k, &f, slice_str(name)));
	}
	CHECK(!pair_flag_add(&k, &f, SLICE_LIT("one-more")));
	CHECK(pair_flag_add(&k, &f, SLICE_LIT("K7")) && k.n == PAIR_KEYWORDS);
	CHECK(f.keywords == UINT64_MAX);
	CHECK(pair_keywords_save(s, A, &k) == 0 && k.kept == k.n);
	CHECK(pair_keywords_load(s, A, &again) == 0 && again.n == k.n);
	f = (struct merge_flags){ .system = 16, .keywords = 1 | 1 << 9 };
	pair_flags_put(&again, &f, &out);
	CHECK(strcmp(buf_str(&out), "\\Draft k0 k9 ") == 0);
	buf_clear(&out);
	pair_keywords_clear(&again);
	pair_keywords_clear(&k);
	buf_reset(&out);
	for (int i = 0; i <= PAIR_KEYWORDS; i++)
		buf_put(&out, "k", 2);
	CHECK(state_row_put(s, A, SLICE_LIT("k"), buf_slice(&out)) == 0);
	CHECK(pair_keywords_load(s, A, &again) == -EIO);
	pair_keywords_clear(&again);
	buf_clear(&out);
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
	struct state s = { NULL };

	CHECK(store_open(&s.store, &sc, &err) == 0);
	both_ways(&s);
	doomed(&s);
	killed(&s);
	forgotten(&s);
	moves(&s);
	damaged(&s);
	cursors(&s);
	keywords(&s);
	store_close(&s.store);
	buf_clear(&err);
}

static void
test_rows(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 5; seed++) {
		assert_int_equal(co_run(run_all, &seed), 0);
		assert_string_equal(fault, "");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
