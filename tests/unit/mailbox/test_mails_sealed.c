/* SPDX-License-Identifier: ISC */
/*
 * Sealed mail: who opens it, and what of it can be changed in the store
 * without being noticed. Sums of the engine do not help here: rows have none,
 * and who changes octets on purpose makes new ones.
 */
#include "tests/unit/mailbox/mails_test.h"

#include "common/base/clock.h"
#include "mailbox/mails/check.h"
#include "mailbox/mails/impl.h"
#include "mailbox/mails/reseal.h"

#define CAROL "carol@example.test"
#define TEXT(n)                                                                \
	"From: Alice <alice@example.test>\r\nSubject: number " #n              \
	"\r\n\r\nText of number " #n ", and some more of it: " #n "\r\n"

static struct seal_key *bob_key;

static enum mails_sealing alice_how = MAILS_SEAL_ACCOUNT;

/* Alice to her key, as long as she wants that, Bob to his, Carol not, others with the server's. */
static int
each_differs(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	const struct seal_key *k = test_account_key;

	(void)arg;
	*how = strcmp(account, ALICE) == 0 ? alice_how : MAILS_SEAL_ACCOUNT;
	if (strcmp(account, BOB) == 0)
		k = bob_key;
	else if (strcmp(account, CAROL) == 0)
		*how = MAILS_SEAL_NONE;
	else if (strcmp(account, ALICE) != 0)
		*how = MAILS_SEAL_SERVER;
	memcpy(public, seal_key_public(k), 32);
	return 0;
}

static void
all_for(void (*body)(void))
{
	test_keys_make();
	if (bob_key == NULL)
		assert_int_equal(seal_key_make(&bob_key), 0);
	for (size_t i = 0; i < TEST_ENGINES; i++)
		mails_run_on(&test_engines[i], body);
}

static void
open_each_differs(void)
{
	mm->account_sealing = each_differs;
}

static struct mails_view *
locked(const char *account, const char *mailbox)
{
	struct mails_view *v = NULL;

	CHECK_INT(mails_view_open(mm, account, slice_str(mailbox), &v), 0);
	return v;
}

/* 0: the text is there; else the error. */
static int
read_rc(struct mails_view *v, uint32_t seq, const char *want)
{
	char got[4096];
	size_t n;
	int rc = mails_read(v, seq, 0, got, sizeof(got), &n);

	if (rc == 0)
		CHECK(slice_eq_str(slice(got, n), want));
	return rc;
}

static int
subject_rc(struct mails_view *v, uint32_t seq, const char *want)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_summary s;
	int rc = mails_summary(v, seq, &a, &s);

	if (rc == 0)
		CHECK(slice_eq_str(s.base_subject, want));
	arena_reset(&a);
	return rc;
}

/* --- who opens it --- */

static void
one_to_many_body(void)
{
	struct mails_message *msg = NULL;
	struct mails_target t[4] = { { .account = ALICE }, { .account = BOB },
		{ .account = CAROL }, { .account = "dave@example.test" } };
	struct seal_key *key, *keys[] = { test_account_key, bob_key, NULL,
		NULL };
	size_t alive = seal_key_count();
	struct mails_view *v;

	open_each_differs();
	CHECK_INT(mails_message_begin(mm, &msg), 0);
	for (size_t i = 0; i < 4; i++) {
		t[i].mailbox = SLICE_LIT("INBOX");
		t[i].internaldate = 1;
		CHECK_INT(mails_message_for(msg, t[i].account), 0);
	}
	CHECK_INT(mails_message_write(msg, SLICE_LIT(TEXT(1))), 0);
	CHECK_INT(mails_message_end(msg), 0);
	CHECK_INT(mails_deliver(msg, t, 4), 0);
	mails_message_free(&msg);
	for (size_t i = 0; i < 4; i++) {
		v = locked(t[i].account, "INBOX");
		CHECK_INT(read_rc(v, 1, TEXT(1)), i < 2 ? -ENOKEY : 0);
		CHECK_INT(subject_rc(v, 1, "number 1"), i < 2 ? -ENOKEY : 0);
		key = keys[i] == bob_key ? test_account_key : bob_key;
		mails_view_unlock(v, key);
		CHECK_INT(read_rc(v, 1, TEXT(1)), i < 2 ? -EIO : 0);
		CHECK_INT(subject_rc(v, 1, "number 1"), i < 2 ? -EIO : 0);
		mails_view_unlock(v, keys[i]);
		CHECK_INT(read_rc(v, 1, TEXT(1)), 0);
		CHECK_INT(subject_rc(v, 1, "number 1"), 0);
		mails_view_close(&v);
	}
	CHECK_INT(seal_key_count(), alive);
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
}

static void
one_to_many(void **state)
{
	(void)state;
	all_for(one_to_many_body);
}

/* What one session has read a piece of is not there for one without a key. */
static void
cache_is_locked_body(void)
{
	struct mails_view *v, *w;
	char octet;
	size_t n;

	open_each_differs();
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), 1);
	v = view_of(ALICE, "INBOX");
	w = locked(ALICE, "INBOX");
	CHECK_INT(mails_read(v, 1, 5, &octet, 1, &n), 0);
	CHECK_INT(mails_read(w, 1, 5, &octet, 1, &n), -ENOKEY);
	mails_view_close(&v);
	CHECK(mm->unlocked == NULL);
	mails_view_close(&w);
}

static void
cache_is_locked(void **state)
{
	(void)state;
	all_for(cache_is_locked_body);
}

/* Keys of messages that were opened are kept for who has the account's, and as
 * long as a view has it. */
static bool
is_known(const struct mails_view *v, uint32_t uid, const struct seal_key *k)
{
	unsigned char secret[SEAL_SECRET_LEN];
	struct row r;

	CHECK_INT(row_get(v->x, uid, &r), 0);
	CHECK_INT(r.wrap.kind, WRAP_ACCOUNT);
	return opened_keys_find(mm, &r, k, secret);
}

static void
opened_keys_go_body(void)
{
	struct mails_view *v, *w;

	open_each_differs();
	for (int i = 1; i <= 3; i++)
		CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), i);
	v = view_of(ALICE, "INBOX");
	w = view_of(ALICE, "INBOX");
	CHECK(!is_known(v, 1, test_account_key));
	for (uint32_t k = 0; k < 2; k++)
		for (uint32_t i = 1; i <= 3; i++)
			CHECK_INT(read_rc(v, i, TEXT(1)), 0);
	for (uint32_t i = 1; i <= 3; i++)
		CHECK(is_known(v, i, test_account_key));
	CHECK(!is_known(v, 1, bob_key) && !is_known(v, 1, NULL));
	/* Not for who has no key, nor another one. */
	mails_view_unlock(w, NULL);
	CHECK_INT(read_rc(w, 1, TEXT(1)), -ENOKEY);
	mails_view_unlock(w, bob_key);
	CHECK_INT(read_rc(w, 1, TEXT(1)), -EIO);
	mails_view_unlock(w, test_account_key);
	mails_view_close(&v);
	CHECK(is_known(w, 1, test_account_key));
	mails_view_unlock(w, NULL);
	CHECK(!is_known(w, 1, test_account_key));
	mails_view_close(&w);
}

static void
opened_keys_go(void **state)
{
	(void)state;
	all_for(opened_keys_go_body);
}

/* A mode that changes: what is there is read as it is, whatever comes next. */
static void
modes_change_body(void)
{
	static const enum mails_sealing modes[] = { MAILS_SEAL_ACCOUNT,
		MAILS_SEAL_SERVER, MAILS_SEAL_NONE };
	struct mails_view *v;
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_copied out;
	uint32_t all[] = { 1, 2, 3 };

	open_each_differs();
	for (size_t i = 0; i < 3; i++) {
		alice_how = modes[i];
		CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), (int)i + 1);
	}
	alice_how = MAILS_SEAL_ACCOUNT;
	v = locked(ALICE, "INBOX");
	CHECK_INT(read_rc(v, 1, TEXT(1)), -ENOKEY);
	CHECK_INT(read_rc(v, 3, TEXT(1)), 0);
	CHECK_INT(
	    mails_copy(v, all, 3, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	CHECK_INT(mails_move(v, all, 3, SLICE_LIT("Trash"), &a, &out), 0);
	mails_view_close(&v);
	for (size_t k = 0; k < 2; k++) {
		v = view_of(ALICE, k == 0 ? "Archive" : "Trash");
		for (uint32_t i = 1; i <= 3; i++) {
			CHECK_INT(read_rc(v, i, TEXT(1)), 0);
			CHECK_INT(subject_rc(v, i, "number 1"), 0);
		}
		mails_view_close(&v);
	}
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	arena_reset(&a);
}

static void
modes_change(void **state)
{
	(void)state;
	all_for(modes_change_body);
}

/* What was taken in in the clear is not kept so for who wants it sealed: where
 * nobody said for whom it was, or she changed her mind meanwhile. */
static void
never_in_the_clear_body(void)
{
	static const char *const said[] = { NULL, CAROL, ALICE };

	open_each_differs();
	for (size_t i = 0; i < 3; i++) {
		struct mails_message *msg = NULL;
		struct mails_target t[] = { { .account = ALICE,
						.mailbox = SLICE_LIT("INBOX"),
						.internaldate = 1 },
			{ .account = CAROL,
			    .mailbox = SLICE_LIT("INBOX"),
			    .internaldate = 1 } };

		alice_how = MAILS_SEAL_NONE;
		CHECK_INT(mails_message_begin(mm, &msg), 0);
		if (said[i] != NULL)
			CHECK_INT(mails_message_for(msg, said[i]), 0);
		CHECK_INT(mails_message_write(msg, SLICE_LIT(TEXT(1))), 0);
		CHECK_INT(mails_message_end(msg), 0);
		alice_how = MAILS_SEAL_ACCOUNT;
		mails_deliver(msg, t, 2);
		CHECK_INT(t[0].rc, -ESTALE);
		CHECK_INT(t[1].rc, 0);
		mails_message_free(&msg);
	}
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
}

static void
never_in_the_clear(void **state)
{
	(void)state;
	all_for(never_in_the_clear_body);
}

/* --- tampering --- */

static void
part_of(const char *account, char part[static 24])
{
	struct mails_view *v = locked(account, "INBOX");

	snprintf(part, 24, "m%016llx",
	    (unsigned long long)mails_view_mailbox_id(v));
	mails_view_close(&v);
}

static void
get_row(const char *part, char kind, uint32_t uid, struct buf *out)
{
	struct key k = key_uid(kind, uid);

	buf_reset(out);
	CHECK_INT(store_get(st, slice_str(part), key_slice(&k), out), 0);
}

static void
set_row(const char *part, char kind, uint32_t uid, struct slice row)
{
	struct store_batch *b = store_batch_new(st, slice_str(part));
	struct key k = key_uid(kind, uid);

	store_put(b, key_slice(&k), row);
	CHECK_INT(test_commit(b), 0);
}

#define WRAP_AT MESSAGE_ROW
#define SIZE_AT 37 /* of the row: see codec.c */
#define BLOB_AT 45

/*
 * Who may write into the store and has an account makes its row one of
 * another's message: that the blob does not open must not be helped by a piece
 * of it that is in memory for its owner.
 */
static void
cache_is_nobody_elses_body(void)
{
	struct buf row = BUF_INIT;
	char alice[24], bob[24], octet;
	struct mails_view *v, *w;
	size_t n;

	open_each_differs();
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), 1);
	CHECK_INT(deliver_to(BOB, "INBOX", 0, TEXT(1)), 1);
	part_of(ALICE, alice);
	part_of(BOB, bob);
	get_row(alice, 'u', 1, &row);
	v = view_of(ALICE, "INBOX");
	w = locked(BOB, "INBOX");
	mails_view_unlock(w, bob_key);
	CHECK_INT(mails_read(v, 1, 5, &octet, 1, &n), 0);
	/* As if it were not sealed. */
	row.p[0] = 2;
	set_row(bob, 'u', 1, slice(row.p, MESSAGE_ROW));
	CHECK_INT(mails_read(w, 1, 5, &octet, 1, &n), -EIO);
	/* As if its key were in the clear, and this one. */
	row.p[0] = 5;
	set_row(bob, 'u', 1, slice(row.p, MESSAGE_ROW + SEAL_SECRET_LEN));
	CHECK_INT(mails_read(w, 1, 5, &octet, 1, &n), -EIO);
	CHECK_INT(mails_read(v, 1, 5, &octet, 1, &n), 0);
	/* Nor is it longer than it is, because the row says so. */
	get_row(alice, 'u', 1, &row);
	row.p[SIZE_AT + 6]++;
	set_row(alice, 'u', 1, buf_slice(&row));
	CHECK_INT(mails_read(v, 1, 300, &octet, 1, &n), -EIO);
	mails_view_close(&v);
	mails_view_close(&w);
	buf_clear(&row);
}

static void
cache_is_nobody_elses(void **state)
{
	(void)state;
	all_for(cache_is_nobody_elses_body);
}

/* Everything of a row that the key is bound to, moved to another's. */
static void
swaps_body(void)
{
	struct buf one = BUF_INIT, two = BUF_INIT, bobs = BUF_INIT;
	char alice[24], bob[24];
	struct mails_view *v, *w;
	struct row r;

	open_each_differs();
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), 1);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(2)), 2);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(3)), 3);
	CHECK_INT(deliver_to(BOB, "INBOX", 0, TEXT(4)), 1);
	part_of(ALICE, alice);
	part_of(BOB, bob);
	v = view_of(ALICE, "INBOX");
	w = locked(BOB, "INBOX");
	mails_view_unlock(w, bob_key);
	get_row(alice, 'u', 1, &one);
	get_row(alice, 'u', 2, &two);
	get_row(bob, 'u', 1, &bobs);
	CHECK_INT(row_decode(buf_slice(&one), &r), 0);
	CHECK_INT(memcmp(one.p + BLOB_AT, r.blob.octets, 16), 0);
	/* The box of one message, in the row of another. */
	memcpy(two.p + WRAP_AT, one.p + WRAP_AT, two.n - WRAP_AT);
	set_row(alice, 'u', 2, buf_slice(&two));
	CHECK_INT(read_rc(v, 2, TEXT(2)), -EIO);
	CHECK_INT(subject_rc(v, 2, "number 2"), -EIO);
	/* Another message's blob, under the own box. */
	get_row(alice, 'u', 3, &two);
	memcpy(two.p + BLOB_AT, one.p + BLOB_AT, 16);
	set_row(alice, 'u', 3, buf_slice(&two));
	CHECK_INT(read_rc(v, 3, TEXT(3)), -EIO);
	/* A whole row, of another account. */
	set_row(bob, 'u', 1, buf_slice(&one));
	CHECK_INT(read_rc(w, 1, TEXT(4)), -EIO);
	CHECK_INT(subject_rc(w, 1, "number 4"), -EIO);
	/* Each costs its own message only. */
	CHECK_INT(read_rc(v, 1, TEXT(1)), 0);
	CHECK_INT(subject_rc(v, 1, "number 1"), 0);
	/* Another's summary, or one that is not sealed: that of the message. */
	get_row(alice, 's', 2, &two);
	set_row(alice, 's', 1, buf_slice(&two));
	CHECK_INT(subject_rc(v, 1, "number 1"), 0);
	buf_reset(&two);
	buf_put(&two, "\1\0\0\0\0", 5);
	set_row(alice, 's', 1, buf_slice(&two));
	CHECK_INT(subject_rc(v, 1, "number 1"), 0);
	/* A row that says that nothing is sealed. */
	one.p[0] = 2;
	set_row(alice, 'u', 1, slice(one.p, MESSAGE_ROW));
	CHECK_INT(read_rc(v, 1, TEXT(1)), -EIO);
	mails_view_close(&v);
	mails_view_close(&w);
	buf_clear(&one);
	buf_clear(&two);
	buf_clear(&bobs);
}

static void
swaps(void **state)
{
	(void)state;
	all_for(swaps_body);
}

/* A bit of a row of message 2, wherever: right text, or an error; and none of
 * its neighbours notices. */
static void
row_flips_body(void)
{
	static const char kinds[] = "us";
	static const char *const accounts[] = { ALICE, "dave@example.test",
		CAROL };
	struct buf row = BUF_INIT;
	struct mails_view *v;
	unsigned seen = 0, flips = 0;
	char part[24];
	int rc;

	open_each_differs();
	for (size_t a = 0; a < 3; a++) {
		CHECK_INT(deliver_to(accounts[a], "INBOX", 0, TEXT(1)), 1);
		CHECK_INT(deliver_to(accounts[a], "INBOX", 0, TEXT(2)), 2);
		CHECK_INT(deliver_to(accounts[a], "INBOX", 0, TEXT(3)), 3);
		part_of(accounts[a], part);
		v = view_of(accounts[a], "INBOX");
		for (size_t k = 0; k < 2; k++) {
			get_row(part, kinds[k], 2, &row);
			for (size_t at = 0; at < row.n; at++) {
				row.p[at] = (char)(row.p[at] ^ 1 << at % 8);
				set_row(part, kinds[k], 2, buf_slice(&row));
				rc = read_rc(v, 2, TEXT(2));
				seen += rc != 0;
				flips++;
				CHECK(rc == 0 || rc == -EIO || rc == -ENOKEY);
				rc = subject_rc(v, 2, "number 2");
				CHECK(rc == 0 || rc == -EIO || rc == -ENOKEY);
				/* All of blob and box. */
				CHECK(k == 1 || at < BLOB_AT ||
				    (at >= BLOB_AT + 16 && at < WRAP_AT) ||
				    rc != 0);
				CHECK_INT(read_rc(v, 1, TEXT(1)), 0);
				CHECK_INT(subject_rc(v, 3, "number 3"), 0);
				row.p[at] = (char)(row.p[at] ^ 1 << at % 8);
			}
			set_row(part, kinds[k], 2, buf_slice(&row));
		}
		mails_view_close(&v);
	}
	CHECK(seen > 0 && flips > 300);
	buf_clear(&row);
}

static void
row_flips(void **state)
{
	(void)state;
	test_keys_make();
	if (bob_key == NULL)
		assert_int_equal(seal_key_make(&bob_key), 0);
	mails_run_on(&test_engines[0], row_flips_body);
}

/* --- what is there --- */

static enum mails_sealing how_now;

static int
as_how_now(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	(void)arg;
	(void)account;
	*how = how_now;
	memcpy(public, seal_key_public(test_account_key), 32);
	return 0;
}

static const struct {
	const char *mailbox;
	unsigned n;
} boxes[] = { { "INBOX", 4 }, { "Archive", 3 }, { "Trash", 1 },
	{ "#deleted/INBOX", 1 } };
#define BOXES_N (sizeof(boxes) / sizeof(boxes[0]))

/* All rows as text, but for what sealing changes. */
static void
all_of(struct buf *out, bool unlocked)
{
	char got[4096];
	struct mails_view *v;
	struct mails_row row;
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_summary s;
	size_t n;

	buf_reset(out);
	for (size_t b = 0; b < BOXES_N; b++) {
		v = locked(ALICE, boxes[b].mailbox);
		if (unlocked)
			mails_view_unlock(v, test_account_key);
		CHECK_INT(mails_view_count(v), boxes[b].n);
		for (uint32_t i = 1; i <= mails_view_count(v); i++) {
			CHECK_INT(mails_row(v, i, &row), 0);
			CHECK_INT(
			    mails_read(v, i, 0, got, sizeof(got), &n), 0);
			CHECK_INT(mails_summary(v, i, &a, &s), 0);
			buf_printf(out, "%u %u %llu %llu %lld %.*s %.*s\n",
			    row.uid, row.flags.system,
			    (unsigned long long)row.flags.keywords,
			    (unsigned long long)row.modseq,
			    (long long)row.internaldate, (int)n, got,
			    (int)s.base_subject.n, s.base_subject.p);
		}
		mails_view_close(&v);
	}
	arena_reset(&a);
}

static int
on_row_kind(void *arg, struct slice key, struct slice val)
{
	unsigned *kinds = arg;
	struct row r;

	(void)key;
	CHECK_INT(row_decode(key.p[0] == 'e' ? slice_from(val, 14) : val, &r),
	    0);
	kinds[r.wrap.kind]++;
	return 0;
}

static int
on_blob(void *arg, const struct store_blob_id *id, uint64_t size,
    int64_t written_s)
{
	(void)id;
	(void)size;
	(void)written_s;
	++*(unsigned *)arg;
	return 0;
}

/* All rows are sealed so, and what they leave behind is nothing. */
static void
all_are(enum wrap_kind want)
{
	unsigned kinds[4] = { 0 };
	struct mails_collected collected;
	struct mails_view *v;
	unsigned blobs = 0;

	for (size_t b = 0; b < BOXES_N; b++) {
		v = locked(ALICE, boxes[b].mailbox);
		CHECK_INT(store_scan(st, box_part(v->x), SLICE_LIT("u"),
			      SLICE_LIT("v"), 0, on_row_kind, kinds),
		    0);
		if (strcmp(boxes[b].mailbox, "INBOX") == 0)
			CHECK_INT(store_scan(st, box_part(v->x), SLICE_LIT("e"),
				      SLICE_LIT("f"), 0, on_row_kind, kinds),
			    0);
		mails_view_close(&v);
	}
	CHECK(kinds[want] > 8);
	/* A row of what moved away stays as it was. */
	for (enum wrap_kind k = 0; k < 4; k++)
		CHECK(k == want || kinds[k] <= 1);
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	/* What a commit in doubt has left goes by collect alone (refs.c). */
	if (test_engine->lies)
		CHECK_INT(mails_collect(mm, -10, &collected), 0);
	/* What shared a blob does so still. */
	CHECK_INT(store_blob_list(st, on_blob, &blobs), 0);
	CHECK_INT(blobs, 6);
}

static void
what_is_there_body(void)
{
	static const struct {
		enum mails_sealing how;
		enum wrap_kind kind;
		bool key;
	} steps[] = { { MAILS_SEAL_SERVER, WRAP_SERVER, false },
		{ MAILS_SEAL_ACCOUNT, WRAP_ACCOUNT, false },
		{ MAILS_SEAL_SERVER, WRAP_SERVER, true },
		{ MAILS_SEAL_NONE, WRAP_NONE, false },
		{ MAILS_SEAL_ACCOUNT, WRAP_ACCOUNT, false },
		{ MAILS_SEAL_NONE, WRAP_NONE, true } };
	uint32_t seqs[] = { 1, 2, 3, 4, 5, 6 };
	struct buf before = BUF_INIT, after = BUF_INIT;
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_resealed r;
	struct mails_copied out;
	struct mails_view *v;

	mm->account_sealing = as_how_now;
	how_now = MAILS_SEAL_NONE;
	for (int i = 1; i <= 6; i++)
		CHECK_INT(deliver_to(ALICE, "INBOX", (uint32_t)i, TEXT(1)), i);
	v = locked(ALICE, "INBOX");
	CHECK_INT(
	    mails_copy(v, seqs, 3, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	CHECK_INT(mails_move(v, seqs + 4, 1, SLICE_LIT("Trash"), &a, &out), 0);
	CHECK_INT(mails_expunge(v, seqs + 5, 1, true), 0);
	mails_view_close(&v);
	all_of(&before, true);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		how_now = steps[i].how;
		CHECK_INT(mails_reseal(mm, ALICE,
			      steps[i].key ? test_account_key : NULL, NULL,
			      NULL, &r),
		    0);
		CHECK_INT(r.messages, 9);
		CHECK_INT(r.done, 9);
		CHECK_INT(r.failed + r.locked, 0);
		all_are(steps[i].kind);
		all_of(&after, steps[i].how == MAILS_SEAL_ACCOUNT);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		/* Nothing is left to do. */
		CHECK_INT(mails_reseal(mm, ALICE, NULL, NULL, NULL, &r), 0);
		CHECK_INT(r.done, 0);
	}
	/* Without the key what is sealed to the account stays. */
	how_now = MAILS_SEAL_ACCOUNT;
	CHECK_INT(mails_reseal(mm, ALICE, NULL, NULL, NULL, &r), 0);
	how_now = MAILS_SEAL_NONE;
	CHECK_INT(mails_reseal(mm, ALICE, NULL, NULL, NULL, &r), 0);
	CHECK_INT(r.locked, 9);
	all_are(WRAP_ACCOUNT);
	buf_clear(&before);
	buf_clear(&after);
	arena_reset(&a);
}

static void
what_is_there(void **state)
{
	(void)state;
	test_keep_s = 3600;
	all_for(what_is_there_body);
	test_keep_s = 0;
}

/* Another server's key: not to be opened, whoever asks. */
static void
other_server_key_body(void)
{
	struct mails_conf conf = { .store = test_conf(),
		.seal = MAILS_SEAL_SERVER };
	struct buf err = BUF_INIT;

	CHECK_INT(deliver_to(ALICE, "INBOX", 0, TEXT(1)), 1);
	CHECK(mails_has_sealed(mm));
	mails_close(&mm);
	conf.server_key = test_account_key;
	CHECK_INT(mails_open(&mm, &conf, &err), -EKEYREJECTED);
	CHECK(err.n > 0);
	buf_clear(&err);
	mails_test_open();
}

static void
other_server_key(void **state)
{
	(void)state;
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on(&test_engines[2], other_server_key_body);
	test_seal = MAILS_SEAL_NONE;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_to_many),
		cmocka_unit_test(cache_is_locked),
		cmocka_unit_test(opened_keys_go),
		cmocka_unit_test(modes_change),
		cmocka_unit_test(never_in_the_clear),
		cmocka_unit_test(cache_is_nobody_elses),
		cmocka_unit_test(swaps),
		cmocka_unit_test(row_flips),
		cmocka_unit_test(what_is_there),
		cmocka_unit_test(other_server_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
