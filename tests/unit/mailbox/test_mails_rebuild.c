/* SPDX-License-Identifier: ISC */
/*
 * Rows that are lost, in part or all, made again from what is left: every
 * message is there again, once, with its octets, its date, and where it was
 * delivered; what was expunged is not; rows that were not lost are as they were.
 */
#include "tests/unit/mailbox/mails_test.h"

#include "mailbox/mails/birth.h"
#include "mailbox/mails/check.h"
#include "mailbox/mails/rebuild.h"

/* --- what was delivered --- */

static const struct delivered {
	const char *mailbox; /* of Alice */
	uint32_t flags;
	const char *keywords[3];
	int64_t date;
	size_t octets; /* of the text */
	bool bob;      /* and to Bob's INBOX */
} delivered[] = {
	{ "INBOX", 0, { NULL }, 1000000000, 100, false },
	{ "INBOX", MAILS_SEEN | MAILS_FLAGGED_FLAG, { "$Forwarded", "red" },
	    1100000000, 5000, false },
	{ "INBOX", 0, { NULL }, 1200000000, 100, true },
	{ "Work/2026 \xc3\xa4", MAILS_SEEN, { NULL }, 1300000000, 70000,
	    false },
	{ "Work/2026 \xc3\xa4", 0, { "red" }, 1400000000, 300000, true },
	{ "Empty of text", MAILS_DRAFT, { NULL }, -5, 0, false },
};
#define DELIVERED (sizeof(delivered) / sizeof(delivered[0]))

static void
text_of(struct buf *out, size_t i)
{
	buf_reset(out);
	if (delivered[i].octets > 0)
		buf_printf(out, "Subject: %zu\r\n\r\n", i);
	for (size_t k = 0; out->n < delivered[i].octets; k++)
		buf_printf(
		    out, "Line %zu of %zu: %zu\r\n", k, i, k * 7919 % (i + 97));
}

static void
deliver_one(size_t i)
{
	const struct delivered *d = &delivered[i];
	struct mails_target t[2] = {
		{ .account = ALICE,
		    .mailbox = slice_str(d->mailbox),
		    .flags = d->flags,
		    .keywords = d->keywords,
		    .internaldate = d->date },
		{ .account = BOB,
		    .mailbox = SLICE_LIT("INBOX"),
		    .internaldate = d->date },
	};
	struct mails_message *msg = NULL;
	struct buf text = BUF_INIT;

	text_of(&text, i);
	CHECK_INT(mails_message_begin(mm, &msg), 0);
	for (size_t k = 0; k < (d->bob ? 2 : 1); k++)
		CHECK_INT(mails_message_for(msg, t[k].account), 0);
	CHECK_INT(mails_message_write(msg, buf_slice(&text)), 0);
	CHECK_INT(mails_message_end(msg), 0);
	CHECK_INT(mails_deliver(msg, t, d->bob ? 2 : 1), 0);
	mails_message_free(&msg);
	buf_clear(&text);
}

static void
fill(void)
{
	uint64_t id;

	CHECK_INT(
	    mails_create(mm, ALICE, slice_str("Work/2026 \xc3\xa4"), 0, &id),
	    0);
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("Empty of text"), 0, &id), 0);
	for (size_t i = 0; i < DELIVERED; i++)
		deliver_one(i);
}

/* --- what is found --- */

static unsigned found[DELIVERED], found_bob[DELIVERED], found_others;
static bool places; /* are what they were */

static bool
has_keyword(struct mails_view *v, uint32_t seq, const char *wanted)
{
	struct mails_flags f = mails_view_flags(v, seq);
	const char *name;

	for (unsigned i = 0; (name = mails_view_keyword(v, i)) != NULL; i++)
		if (strcmp(name, wanted) == 0)
			return f.keywords >> i & 1;
	return false;
}

static void
find_message(struct mails_view *v, uint32_t seq, bool bob, const char *mailbox,
    char *got)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_summary summary;
	struct mails_row row = { 0 };
	struct buf text = BUF_INIT;
	size_t n = 0, i = 0;

	CHECK_INT(mails_row(v, seq, &row), 0);
	CHECK_INT(mails_read(v, seq, 0, got, 400000, &n), 0);
	for (; i < DELIVERED; i++) {
		text_of(&text, i);
		if (slice_eq(slice(got, n), buf_slice(&text)))
			break;
	}
	CHECK_INT(mails_summary(v, seq, &a, &summary), 0);
	CHECK_INT(row.size, n);
	if (i == DELIVERED) {
		found_others++;
	} else if (bob) {
		found_bob[i]++;
		CHECK_INT(row.internaldate, delivered[i].date);
	} else {
		found[i]++;
		CHECK(!places || strcmp(mailbox, delivered[i].mailbox) == 0);
		CHECK_INT(row.internaldate, delivered[i].date);
		CHECK_INT(row.flags.system, delivered[i].flags);
		for (size_t k = 0; delivered[i].keywords[k] != NULL; k++)
			CHECK(has_keyword(v, seq, delivered[i].keywords[k]));
	}
	buf_clear(&text);
	arena_reset(&a);
}

static void
find_in(const char *account)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_info *infos = NULL;
	char *got = malloc(400000);
	struct mails_view *v;
	size_t n = 0;

	CHECK_INT(mails_list(mm, account, &a, &infos, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (infos[i].attrs & MAILS_NOSELECT)
			continue;
		v = view_of(account, infos[i].name);
		for (uint32_t s = 1; v != NULL && s <= mails_view_count(v); s++)
			find_message(v, s, strcmp(account, BOB) == 0,
			    infos[i].name, got);
		mails_view_close(&v);
	}
	free(got);
	arena_reset(&a);
}

static void
tell(void *arg, const struct mails_fault *f)
{
	(void)arg;
	print_message(
	    "%s %s UID %u: %s\n", f->account, f->mailbox, f->uid, f->what);
}

static void
quiet(void *arg, const struct mails_fault *f)
{
	(void)arg, (void)f;
}

/* All is there, once, and the store is sound. */
static void
all_is_there(void)
{
	struct mails_status s;

	memset(found, 0, sizeof(found));
	memset(found_bob, 0, sizeof(found_bob));
	found_others = 0;
	find_in(ALICE);
	find_in(BOB);
	for (size_t i = 0; i < DELIVERED; i++) {
		CHECK_INT(found[i], 1);
		CHECK_INT(found_bob[i], delivered[i].bob);
	}
	CHECK_INT(found_others, 0);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 3);
	CHECK_INT(s.unseen, 2);
	CHECK_INT(mails_check(mm, true, tell, NULL, NULL), 0);
}

static uint64_t
rebuild(void)
{
	struct mails_rebuilt b;

	CHECK_INT(mails_rebuild(mm, NULL, quiet, NULL, &b), 0);
	CHECK_INT(b.damaged, 0);
	CHECK_INT(b.unowned, 0);
	return b.messages;
}

/* --- what is lost --- */

static char part_names[64][STORE_KEY_MAX];
static size_t n_parts;

static int
part_note(void *arg, struct slice part)
{
	(void)arg;
	if (n_parts == 64)
		return -E2BIG;
	memcpy(part_names[n_parts], part.p, part.n);
	part_names[n_parts++][part.n] = '\0';
	return 0;
}

/* Rows with from <= key < to of all partitions with that prefix. */
static void
lose(const char *prefix, const char *from, const char *to)
{
	struct store_batch *b;

	n_parts = 0;
	CHECK_INT(store_partitions(st, slice_str(prefix), part_note, NULL), 0);
	for (size_t i = 0; i < n_parts; i++) {
		b = store_batch_new(st, slice_str(part_names[i]));
		store_del_range(b, slice_str(from), slice_str(to));
		CHECK_INT(test_commit(b), 0);
	}
}

static const struct {
	const char *prefix, *from, *to;
	uint64_t back; /* messages; at least */
	bool same;     /* all else, flags too, is as it was */
} losses[] = {
	{ "a", "none", "none", 0, true },
	{ "m", "u", "v", 8, true }, /* messages */
	{ "m", "s", "t", 0, true }, /* summaries */
	{ "m", "h", "i", 0, true }, /* headers */
	{ "m", "", "", 8, true },   /* all of mailboxes but their names */
	{ "aa", "", "", 0, false }, /* accounts: names of mailboxes */
	{ "r", "", "", 0, true },   /* who shares a blob */
	{ "", "", "", 8, true },    /* everything */
};

static size_t current;

static void
lost_rows(void)
{
	unsigned n = 0;

	places = losses[current].same;
	fill();
	lose(losses[current].prefix, losses[current].from, losses[current].to);
	CHECK(rebuild() >= losses[current].back);
	CHECK_INT(rebuild(), 0);
	if (losses[current].same)
		all_is_there();
	find_in(ALICE);
	find_in(BOB);
	for (size_t i = 0; i < DELIVERED; i++)
		n += found[i] != 0 && (!delivered[i].bob || found_bob[i] != 0);
	CHECK_INT(n, DELIVERED);
}

static void
what_is_lost_comes_back(void **state)
{
	(void)state;
	for (current = 0; current < sizeof(losses) / sizeof(losses[0]);
	     current++) {
		mails_run_on_all(lost_rows);
		mails_run_sealed_too(lost_rows);
	}
}

/* --- what is not lost, and what is no message --- */

/* Expunged is expunged; moved is where it moved to. */
static void
expunged_and_moved(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_collected collected;
	struct mails_copied out;
	struct mails_view *v;
	uint32_t seq = 1;

	places = false;
	fill();
	v = view_of(BOB, "INBOX");
	CHECK_INT(mails_expunge(v, &seq, 1, true), 0);
	mails_view_close(&v);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_expunge(v, &seq, 1, true), 0);
	seq = 2;
	CHECK_INT(mails_move(v, &seq, 1, SLICE_LIT("Archive"), &a, &out), 0);
	mails_view_close(&v);
	/* A share that an expunge in doubt has left would come back. */
	if (test_engine->lies)
		CHECK_INT(mails_collect(mm, -1, &collected), 0);
	CHECK_INT(rebuild(), 0);
	memset(found, 0, sizeof(found));
	memset(found_bob, 0, sizeof(found_bob));
	find_in(ALICE);
	find_in(BOB);
	CHECK_INT(found[0], 0);
	CHECK_INT(found[1], 1);
	CHECK_INT(found_bob[2], 0);
	CHECK_INT(found_bob[4], 1);
	CHECK_INT(mails_check(mm, true, tell, NULL, NULL), 0);
	arena_reset(&a);
}
MAILS_ON_ALL(expunged_and_moved)

static void
damaged_row(void)
{
	char key[5] = { 'u', 0, 0, 0, 2 };
	struct mails_rebuilt b;
	struct store_batch *batch;

	places = true;
	fill();
	n_parts = 0;
	CHECK_INT(store_partitions(st, SLICE_LIT("m"), part_note, NULL), 0);
	for (size_t i = 0; i < n_parts; i++) {
		struct buf row = BUF_INIT;

		if (store_get(st, slice_str(part_names[i]), slice(key, 5),
			&row) == 0) {
			row.p[0] = 77;
			batch = store_batch_new(st, slice_str(part_names[i]));
			store_put(batch, slice(key, 5), buf_slice(&row));
			CHECK_INT(test_commit(batch), 0);
		}
		buf_clear(&row);
	}
	CHECK_INT(mails_rebuild(mm, NULL, quiet, NULL, &b), 0);
	/* Of two mailboxes of Alice's and of Bob's. */
	CHECK(b.rows == 3 || test_engine->lies);
	CHECK_INT(b.messages, 3);
	all_is_there();
}
MAILS_ON_ALL(damaged_row)

/* As they were before blobs had births, and before they had frames. */
static void
of_before(void)
{
	const struct slice text = SLICE_LIT("Subject: old\r\n\r\nText.\r\n");
	struct store_blob_writer *w;
	struct store_blob_id id;
	struct mails_rebuilt b;
	struct mails_view *v;
	int rc;

	fill();
	store_blob_id_new(&id);
	CHECK_INT(store_blob_begin(st, &id, &w), 0);
	CHECK_INT(store_blob_write(w, text), 0);
	CHECK_INT(store_blob_seal(w), 0);
	do
		rc = store_blob_sync(w);
	while (is_doubt(rc));
	CHECK_INT(rc, 0);
	store_blob_writer_free(&w);
	CHECK_INT(mails_rebuild(mm, NULL, quiet, NULL, &b), 0);
	CHECK_INT(b.messages, 0);
	CHECK_INT(b.unowned, 1);
	CHECK_INT(mails_rebuild(mm, ALICE, quiet, NULL, &b), 0);
	CHECK_INT(b.messages, 1);
	CHECK_INT(mails_rebuild(mm, ALICE, quiet, NULL, &b), 0);
	CHECK_INT(b.messages, 0);
	v = view_of(ALICE, MAILS_RECOVERED);
	CHECK(v != NULL && mails_view_count(v) == 1);
	CHECK(v != NULL && text_is(v, 1, text.p));
	mails_view_close(&v);
	CHECK_INT(mails_check(mm, true, tell, NULL, NULL), 0);
}
MAILS_ON_ALL(of_before)

/* --- what stands in the blob --- */

static void
a_birth_is_read_as_written(void **state)
{
	struct birth in = { .account = SLICE_LIT(ALICE),
		.mailbox = SLICE_LIT("Work"),
		.internaldate = -7,
		.flags = 5,
		.keywords = { SLICE_LIT("one"), SLICE_LIT("two") },
		.n_keywords = 2,
		.wrap = SLICE_LIT("key") };
	static const int64_t dates[] = { 0, 1, -1, 127, 128, -128, -129, 255,
		INT32_MAX, INT64_C(4102444800), INT64_MIN, INT64_MAX };
	char name[1000];
	struct buf b = BUF_INIT;
	struct slice rest;
	struct birth out;
	size_t n = 0;

	(void)state;
	memset(name, 'n', sizeof(name));
	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		struct birth one = { .account = SLICE_LIT(ALICE),
			.mailbox = slice(name, i * 50),
			.internaldate = dates[i] };

		buf_reset(&b);
		assert_true(birth_put(&b, &one));
		rest = buf_slice(&b);
		assert_int_equal(birth_next(&rest, &out), 1);
		assert_true(out.internaldate == dates[i]);
		assert_int_equal(out.mailbox.n, i == 0 ? 5 : i * 50);
		assert_int_equal(rest.n, 0);
	}
	buf_reset(&b);
	/* Far more than there is room for. */
	for (int i = 0; i < 5000; i++)
		assert_true(birth_put(&b, &in));
	assert_true(birth_end(&b));
	assert_true(b.n <= BIRTH_MAX);
	assert_int_equal(birth_octets(b.p + b.n - BIRTH_TAIL, b.n), b.n);
	assert_int_equal(birth_octets(b.p + b.n - BIRTH_TAIL, b.n - 1), 0);
	rest = slice(b.p, b.n - BIRTH_TAIL);
	while (birth_next(&rest, &out) == 1) {
		assert_true(slice_eq(out.account, in.account));
		assert_true(slice_eq(out.mailbox, in.mailbox));
		assert_true(slice_eq(out.wrap, in.wrap));
		assert_true(out.internaldate == -7 && out.flags == 5);
		assert_int_equal(out.n_keywords, 2);
		assert_true(slice_eq(out.keywords[1], in.keywords[1]));
		n++;
	}
	assert_int_equal(rest.n, 0);
	assert_true(n > 500 && n < 5000);
	/* Cut anywhere, it is no birth. */
	for (size_t k = 1; k < 40; k++) {
		rest = slice(b.p, k);
		assert_int_equal(birth_next(&rest, &out), -EBADMSG);
	}
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_birth_is_read_as_written),
		cmocka_unit_test(on_all_expunged_and_moved),
		cmocka_unit_test(on_all_damaged_row),
		cmocka_unit_test(on_all_of_before),
		cmocka_unit_test(what_is_lost_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
