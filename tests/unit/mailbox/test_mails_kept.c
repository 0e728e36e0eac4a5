/* SPDX-License-Identifier: ISC */
/* Mail that was expunged, and is kept: seen, brought back, removed for good. */
#include "tests/unit/mailbox/mails_test.h"

#include <time.h>

#include "mailbox/mails/check.h"
#include "mailbox/mails/kept_impl.h"

#define DAY 86400

static const char *
text_of(unsigned number)
{
	static char text[100];

	snprintf(text, sizeof(text), "Subject: %u\r\n\r\nText %u.\r\n", number,
	    number);
	return text;
}

static void
fill(unsigned n)
{
	for (unsigned i = 1; i <= n; i++)
		CHECK_INT(deliver_to(ALICE, "INBOX", 0, text_of(i)), i);
}

/* Expunge messages 1 .. n of a mailbox. */
static void
expunge(const char *mailbox, uint32_t n)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	uint32_t seqs[16];

	for (uint32_t i = 0; i < n; i++)
		seqs[i] = i + 1;
	CHECK_INT(mails_expunge(v, seqs, n, true), 0);
	mails_view_close(&v);
}

static void
move(const char *from, const char *to, uint32_t seq)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_view *v = view_of(ALICE, from);
	struct mails_copied out;

	CHECK_INT(mails_move(v, &seq, 1, slice_str(to), &a, &out), 0);
	CHECK_INT(out.n, 1);
	mails_view_close(&v);
	arena_reset(&a);
}

static bool
has(const char *mailbox, uint32_t seq, unsigned number)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	bool is = v != NULL && mails_view_count(v) >= seq &&
	    text_is(v, seq, text_of(number));

	mails_view_close(&v);
	return is;
}

static int
count(const char *mailbox)
{
	struct mails_view *v;
	int n = mails_view_open(mm, ALICE, slice_str(mailbox), &v);

	if (n == 0)
		n = (int)mails_view_count(v);
	mails_view_close(&v);
	return n;
}

static void
no_fault(void *arg, const struct mails_fault *f)
{
	(void)arg;
	print_message("check: %s\n", f->what);
}

static int
count_blob(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	(void)id, (void)size, (void)written_s;
	++*(int *)arg;
	return 0;
}

/* Nothing is wrong, nothing is left over, and there are so many blobs. */
static void
check_blobs(int blobs)
{
	struct mails_collected c;
	int n = 0;

	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	if (!test_engine->lies) {
		CHECK_INT(mails_collect(mm, -1, &c), 0);
		CHECK_INT(c.blobs + c.refs + c.mailboxes, 0);
		CHECK_INT(store_blob_list(st, count_blob, &n), 0);
		CHECK_INT(n, blobs);
	}
}

static void
purge(int64_t before_s)
{
	uint64_t removed;

	CHECK_INT(mails_purge(mm, ALICE, before_s, &removed), 0);
}

/* --- what was expunged --- */

static void
is_seen(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_summary sum;
	struct mails_status s;
	struct mails_view *v;
	uint64_t octets, messages;

	CHECK_INT(count("#deleted/INBOX"), 0);
	fill(4);
	expunge("INBOX", 2);
	v = view_of(ALICE, "#deleted/INBOX");
	CHECK(mails_view_is_read_only(v));
	CHECK_INT(mails_view_count(v), 2);
	CHECK_INT(mails_view_uidnext(v), 3);
	CHECK(text_is(v, 1, text_of(1)) && text_is(v, 2, text_of(2)));
	CHECK_INT(mails_summary(v, 2, &a, &sum), 0);
	CHECK(slice_eq_str(sum.base_subject, "2"));
	/* One goes while it is looked at. */
	expunge("INBOX", 1);
	CHECK(sync_is(v, true, "e3 "));
	CHECK(text_is(v, 3, text_of(3)));
	mails_view_close(&v);
	/* Nothing of it counts. */
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 1);
	CHECK_INT(mails_usage(mm, ALICE, &octets, &messages), 0);
	CHECK_INT(messages, 1);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("#deleted/INBOX"), &s), 0);
	CHECK_INT(s.messages, 3);
	CHECK_INT(s.unseen, 3);
	check_blobs(4);
	arena_reset(&a);
}
MAILS_ON_ALL(is_seen)

static void
is_read_only(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	static const char name[] = "#deleted/INBOX";
	struct mails_copied out;
	struct mails_view *v;
	uint32_t one = 1;

	fill(1);
	expunge("INBOX", 1);
	v = view_of(ALICE, name);
	CHECK_INT(mails_store_flags(v, &one, 1, MAILS_FLAGS_ADD, MAILS_SEEN,
		      NULL, 0, true, &a, NULL, NULL),
	    -EACCES);
	CHECK_INT(mails_expunge(v, NULL, 0, true), -EACCES);
	CHECK_INT(
	    mails_move(v, &one, 1, SLICE_LIT("Trash"), &a, &out), -EACCES);
	mails_view_close(&v);
	CHECK_INT(deliver_to(ALICE, name, 0, text_of(2)), -EACCES);
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("#time"), 0, NULL), -EACCES);
	CHECK_INT(mails_delete(mm, ALICE, slice_str(name)), -EACCES);
	CHECK_INT(
	    mails_rename(mm, ALICE, slice_str(name), SLICE_LIT("x")), -EACCES);
	CHECK_INT(mails_rename(mm, ALICE, SLICE_LIT("Junk"), slice_str(name)),
	    -EACCES);
	CHECK_INT(mails_subscribe(mm, ALICE, slice_str(name), true), -EACCES);
	CHECK_INT(count("#deleted/Nothing"), -ENOENT);
	CHECK_INT(count("#deleted"), -ENOENT);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("#timely"), 0, NULL), 0);
	arena_reset(&a);
}
MAILS_ON_ALL(is_read_only)

static void
comes_back(void)
{
	struct mails_view *v;
	uint32_t uids[] = { 2, 9 };
	uint64_t restored;

	CHECK_INT(
	    deliver_to(ALICE, "INBOX", MAILS_DELETED | MAILS_SEEN, text_of(1)),
	    1);
	for (unsigned i = 2; i <= 4; i++)
		CHECK_INT(
		    deliver_to(ALICE, "INBOX", MAILS_SEEN, text_of(i)), i);
	expunge("INBOX", 4);
	CHECK_INT(mails_undelete(
		      mm, ALICE, SLICE_LIT("INBOX"), uids, 2, 0, &restored),
	    0);
	CHECK_INT(restored, 1);
	CHECK(has("INBOX", 1, 2));
	CHECK_INT(count("#deleted/INBOX"), 3);
	CHECK_INT(mails_undelete(mm, ALICE, SLICE_LIT("INBOX"), NULL, 0,
		      clock_wall_s() + DAY, &restored),
	    0);
	CHECK_INT(restored, 0);
	CHECK_INT(mails_undelete(
		      mm, ALICE, SLICE_LIT("INBOX"), NULL, 0, 0, &restored),
	    0);
	CHECK_INT(restored, 3);
	CHECK_INT(count("#deleted/INBOX"), 0);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), 4);
	CHECK_INT(mails_view_uid(v, 1), 5);
	for (uint32_t seq = 1; seq <= 4; seq++)
		CHECK_INT(mails_view_flags(v, seq).system, MAILS_SEEN);
	mails_view_close(&v);
	check_blobs(4);
}
MAILS_ON_ALL(comes_back)

static const struct mails_quota one_message = { .messages = 1 };

static void
is_copied_out(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	const char *words[] = { "red", NULL };
	struct mails_view *v = NULL;
	struct mails_copied out;
	uint32_t seqs[] = { 1, 2 }, one = 1;

	fill(2);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_store_flags(v, &one, 1, MAILS_FLAGS_ADD,
		      MAILS_FLAGGED_FLAG, words, 0, true, &a, NULL, NULL),
	    0);
	mails_view_close(&v);
	expunge("INBOX", 2);
	v = view_of(ALICE, "#deleted/INBOX");
	CHECK_INT(mails_copy(v, seqs, 2, SLICE_LIT("Nowhere"), NULL, &a, &out),
	    -ENOENT);
	CHECK_INT(mails_copy(
		      v, seqs, 2, SLICE_LIT("Archive"), &one_message, &a, &out),
	    -EDQUOT);
	CHECK_INT(count("Archive"), 0);
	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	CHECK_INT(out.n, 2);
	CHECK_INT(out.from[1], 2);
	mails_view_close(&v);
	CHECK(has("Archive", 1, 1) && has("Archive", 2, 2));
	v = view_of(ALICE, "Archive");
	CHECK_INT(mails_view_flags(v, 1).system, MAILS_FLAGGED_FLAG);
	CHECK_INT(mails_view_flags(v, 1).keywords, 1);
	mails_view_close(&v);
	CHECK_INT(count("#deleted/INBOX"), 2);
	arena_reset(&a);
}
MAILS_ON_ALL(is_copied_out)

static void
goes_for_good(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	uint32_t seqs[] = { 1, 2, 3 };
	struct mails_copied out;
	struct mails_view *v;

	fill(3);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	mails_view_close(&v);
	expunge("INBOX", 3);
	check_blobs(3);
	purge(clock_wall_s() - DAY); /* too young */
	CHECK_INT(count("#deleted/INBOX"), 3);
	purge(INT64_MAX);
	CHECK_INT(count("#deleted/INBOX"), 0);
	check_blobs(2);
	CHECK(has("Archive", 1, 1) && has("Archive", 2, 2));
	expunge("Archive", 2);
	purge(INT64_MAX);
	check_blobs(0);
	arena_reset(&a);
}
MAILS_ON_ALL(goes_for_good)

/* --- what was at a time --- */

/* As if it had come a day before. */
static void
age(const char *mailbox, uint32_t uid)
{
	struct store_batch *b;
	struct row r = { .size = 0 };
	struct box *x = NULL;
	uint64_t id;
	int rc;

	CHECK_INT(names_find(mm, ALICE, slice_str(mailbox), &id), 0);
	x = box_get(mm, id);
	do
		rc = row_get(x, uid, &r);
	while (is_doubt(rc));
	CHECK_INT(rc, 0);
	r.savedate -= DAY;
	b = store_batch_new(st, box_part(x));
	put_row(b, uid, &r);
	CHECK_INT(test_commit(b), 0);
	box_put(&x);
}

static const char *
at(int64_t seconds_ago, const char *mailbox)
{
	static char name[100];
	time_t t = clock_wall_s() - seconds_ago;
	struct tm tm;
	char when[40];

	localtime_r(&t, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(name, sizeof(name), "#time/%s/%s", when, mailbox);
	return name;
}

static void
was_at_a_time(void)
{
	struct mails_view *v;

	fill(4);
	for (uint32_t uid = 1; uid <= 3; uid++)
		age("INBOX", uid);
	CHECK_INT(count(at(DAY / 2, "INBOX")), 3);
	CHECK_INT(count(at(2 * DAY, "INBOX")), 0);
	expunge("INBOX", 1);
	move("INBOX", "Archive", 1);
	CHECK_INT(count("#deleted/INBOX"), 1); /* the other is elsewhere */
	v = view_of(ALICE, at(DAY / 2, "INBOX"));
	CHECK(mails_view_is_read_only(v));
	CHECK_INT(mails_view_count(v), 3);
	for (uint32_t seq = 1; seq <= 3; seq++) {
		CHECK_INT(mails_view_uid(v, seq), seq);
		CHECK(text_is(v, seq, text_of(seq)));
	}
	CHECK(sync_is(v, true, ""));
	mails_view_close(&v);
	CHECK_INT(count(at(DAY / 2, "Archive")), 0);
	/* It goes from there too, and is kept on behalf of both. */
	expunge("Archive", 1);
	CHECK(has(at(DAY / 2, "INBOX"), 2, 2));
	check_blobs(4);
	purge(INT64_MAX);
	CHECK_INT(count(at(DAY / 2, "INBOX")), 1);
	check_blobs(2);
	CHECK_INT(count(at(8 * DAY, "INBOX")), -ENOENT);
	CHECK_INT(count(at(-10, "INBOX")), -ENOENT);
	CHECK_INT(count("#time/2026-13-01/INBOX"), -ENOENT);
	CHECK_INT(count("#time/2026-11-20x/INBOX"), -ENOENT);
	CHECK_INT(count("#time/INBOX"), -ENOENT);
}
MAILS_ON_ALL(was_at_a_time)

/* --- mailboxes --- */

static void
mailboxes_are_kept(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_status before, after;
	const char **names;
	uint64_t restored;
	uint64_t id;

	fill(2);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("Box/Sub"), 0, &id), 0);
	CHECK_INT(deliver_to(ALICE, "Box/Sub", 0, text_of(3)), 1);
	CHECK_INT(deliver_to(ALICE, "Box/Sub", 0, text_of(4)), 2);
	expunge("Box/Sub", 1);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("Box/Sub"), &before), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Box/Sub")), 0);
	CHECK_INT(count("Box/Sub"), -ENOENT);
	CHECK(has("#deleted/Box/Sub", 1, 4));
	CHECK_INT(mails_kept_mailboxes(mm, ALICE, &a, &names), 0);
	CHECK(names[0] != NULL && strcmp(names[0], "Box/Sub") == 0 &&
	    names[1] == NULL);
	check_blobs(4);
	CHECK_INT(mails_undelete(
		      mm, ALICE, SLICE_LIT("Box/Sub"), NULL, 0, 0, &restored),
	    0);
	CHECK_INT(restored, 1);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("Box/Sub"), &after), 0);
	CHECK_INT(after.uidvalidity, before.uidvalidity);
	CHECK(has("Box/Sub", 1, 4) && has("#deleted/Box/Sub", 1, 3));
	/* Twice of one name; the later is seen. */
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Box/Sub")), 0);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("Box/Sub"), 0, &id), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Box/Sub")), 0);
	purge(clock_wall_s() - DAY);
	check_blobs(4);
	purge(INT64_MAX);
	CHECK_INT(count("#deleted/Box/Sub"), -ENOENT);
	check_blobs(2);
	arena_reset(&a);
}
MAILS_ON_ALL(mailboxes_are_kept)

static void
an_account_goes_with_all(void)
{
	fill(3);
	expunge("INBOX", 2);
	CHECK_INT(deliver_to(ALICE, "Junk", 0, text_of(3)), 1);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Junk")), 0);
	CHECK_INT(mails_account_drop(mm, ALICE), 0);
	check_blobs(0);
}
MAILS_ON_ALL(an_account_goes_with_all)

/* --- and when nothing is kept --- */

static void
nothing_is_kept_body(void)
{
	fill(2);
	expunge("INBOX", 1);
	CHECK_INT(count("#deleted/INBOX"), -ENOENT);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Junk")), 0);
	check_blobs(1);
}

static void
nothing_is_kept(void **state)
{
	(void)state;
	test_keep_s = 0;
	mails_run_on_all(nothing_is_kept_body);
}

static void
check_blobs_of_later(void)
{
	expunge("INBOX", 1);
	CHECK(has("#deleted/INBOX", 1, 2));
	check_blobs(1);
}

/* A store of before, with a mailbox that has expunged nothing yet. */
static void
kept_later(void **state)
{
	void (*first)(void) = nothing_is_kept_body;
	void (*then)(void) = check_blobs_of_later;

	(void)state;
	test_engine = &test_engines[2];
	store_test_failure[0] = '\0';
	test_dir_new();
	test_keep_s = 0;
	co_run(mails_test_body, &first);
	test_keep_s = 7 * DAY;
	co_run(mails_test_body, &then);
	test_dir_remove();
	assert_string_equal(store_test_failure, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_is_seen),
		cmocka_unit_test(on_all_is_read_only),
		cmocka_unit_test(on_all_comes_back),
		cmocka_unit_test(on_all_is_copied_out),
		cmocka_unit_test(on_all_goes_for_good),
		cmocka_unit_test(on_all_was_at_a_time),
		cmocka_unit_test(on_all_mailboxes_are_kept),
		cmocka_unit_test(on_all_an_account_goes_with_all),
		cmocka_unit_test(nothing_is_kept),
		cmocka_unit_test(kept_later),
	};

	test_keep_s = 7 * DAY;
	test_dir_in_memory = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
