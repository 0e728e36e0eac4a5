/* SPDX-License-Identifier: ISC */
/* What import needs of Mails: many at once in order, keys that stay, notes,
 * names without a mailbox. */
#include "common/base/clock.h"
#include "tests/unit/mailbox/mails_test.h"

#define N 20

/* N messages "0" .. to INBOX under keys that begin with `kind`; every third
 * has a keyword that is new then. */
static void
bring_in(char kind, int *rcs, uint32_t *uids)
{
	static const char *const words[N][2] = { { "k0" }, { NULL }, { NULL },
		{ "k3" }, { NULL }, { NULL }, { "k6" }, { NULL }, { NULL },
		{ "k9" } };
	struct mails_message *msgs[N];
	struct mails_target targets[N];
	char text[N][24], keys[N][24];

	for (int i = 0; i < N; i++) {
		snprintf(text[i], sizeof(text[i]), "X: %d\r\n", i);
		snprintf(keys[i], sizeof(keys[i]), "%c%02d", kind, i);
		msgs[i] = message_of(text[i]);
		targets[i] = (struct mails_target){ .account = ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = 1000 + i,
			.keywords = words[i],
			.key = slice(keys[i], 3),
			.note = slice(text[i], 4) };
	}
	CHECK_INT(mails_deliver_each(msgs, targets, N), 0);
	for (int i = 0; i < N; i++) {
		rcs[i] = targets[i].rc;
		uids[i] = targets[i].uid;
		mails_message_free(&msgs[i]);
	}
}

static void
many_in_order(void)
{
	struct mails_view *v;
	uint32_t uids[N], again[N];
	char text[24];
	int rcs[N];

	bring_in('m', rcs, uids);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), N);
	for (int i = 0; i < N; i++) {
		CHECK_INT(rcs[i], 0);
		CHECK(i == 0 || uids[i] > uids[i - 1]);
		snprintf(text, sizeof(text), "X: %d\r\n", i);
		CHECK(text_is(v, (uint32_t)i + 1, text));
	}
	mails_view_close(&v);
	bring_in('m', rcs, again);
	for (int i = 0; i < N; i++)
		CHECK_INT(again[i], uids[i]);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), N);
	mails_view_close(&v);
}

/* Deliveries of the daemons, with keys of their own, forget none of ours. */
static void
deliver_daily(void)
{
	char key[ID_LEN + 1];
	struct mails_message *msg;
	struct mails_target t = { .account = ALICE,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = INT64_MIN };

	for (int i = 0; i < 130; i++) {
		id_new(key);
		t.key = slice_str(key);
		msg = message_of("X: y\r\n");
		CHECK_INT(mails_deliver(msg, &t, 1), 0);
		mails_message_free(&msg);
	}
}

static int
note_is(const char *key, uint32_t want_uid, const char *want)
{
	struct buf note = BUF_INIT;
	uint32_t uid = 0;
	int rc = mails_key_get(
	    mm, ALICE, SLICE_LIT("INBOX"), slice_str(key), &uid, &note);

	if (rc == 0) {
		CHECK_INT(uid, want_uid);
		CHECK(slice_eq_str(buf_slice(&note), want));
	}
	buf_clear(&note);
	return rc;
}

static void
keys_stay(void)
{
	uint32_t uids[N];
	int rcs[N];

	bring_in('m', rcs, uids);
	deliver_daily();
	CHECK_INT(note_is("m07", uids[7], "X: 7"), 0);
	CHECK_INT(note_is("x07", 0, ""), -ENOENT);
	CHECK_INT(mails_key_note(mm, ALICE, SLICE_LIT("INBOX"),
		      SLICE_LIT("m07"), SLICE_LIT("new")),
	    0);
	CHECK_INT(note_is("m07", uids[7], "new"), 0);
	CHECK_INT(mails_key_note(mm, ALICE, SLICE_LIT("INBOX"),
		      SLICE_LIT("x07"), SLICE_LIT("new")),
	    -ENOENT);
}

/* Keys without a delivery, many in one commit, and again with other notes. */
static void
keys_put(void)
{
	struct mails_key keys[2] = {
		{ SLICE_LIT("u1"), 7, SLICE_LIT("one") },
		{ SLICE_LIT("u2"), 0, SLICE_LIT("") },
	};

	CHECK_INT(mails_keys_put(mm, ALICE, SLICE_LIT("INBOX"), keys, 2), 0);
	CHECK_INT(note_is("u1", 7, "one"), 0);
	CHECK_INT(note_is("u2", 0, ""), 0);
	keys[1].note = SLICE_LIT("two");
	CHECK_INT(
	    mails_keys_put(mm, ALICE, SLICE_LIT("INBOX"), keys + 1, 1), 0);
	CHECK_INT(note_is("u2", 0, "two"), 0);
	CHECK_INT(
	    mails_keys_put(mm, ALICE, SLICE_LIT("none"), keys, 2), -ENOENT);
	deliver_daily();
	CHECK_INT(note_is("u1", 7, "one"), 0);
	CHECK_INT(mails_key_note(mm, ALICE, SLICE_LIT("INBOX"), SLICE_LIT("u1"),
		      SLICE_LIT("three")),
	    0);
	CHECK_INT(note_is("u1", 7, "three"), 0);
}

/* A quota that is reached in the midst of many: what fits goes in, in order,
 * and nothing waits for itself. */
static void
quota_in_between(void)
{
	static const struct mails_quota quota = { .messages = 7 };
	struct mails_message *msgs[N];
	struct mails_target targets[N];
	int64_t began = clock_mono_ms();
	struct mails_view *v;

	CHECK_INT(deliver_to(ALICE, "INBOX", 0, "X: before\r\n"), 1);
	for (int i = 0; i < N; i++) {
		msgs[i] = message_of("X: y\r\n");
		targets[i] = (struct mails_target){ .account = ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = 1000 + i,
			.quota = &quota };
	}
	CHECK_INT(mails_deliver_each(msgs, targets, N), -EDQUOT);
	for (int i = 0; i < N; i++) {
		CHECK_INT(targets[i].rc, i < 6 ? 0 : -EDQUOT);
		mails_message_free(&msgs[i]);
	}
	CHECK(
	    clock_mono_ms() - began < 9000); /* the patience of locks is 10 s */
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), 7);
	mails_view_close(&v);
}

static bool
attrs_are(const char *name, unsigned want)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_info *infos;
	unsigned attrs = ~0u;
	size_t n;

	CHECK_INT(mails_list(mm, ALICE, &a, &infos, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (strcmp(infos[i].name, name) == 0 && infos[i].id != 0)
			attrs = infos[i].attrs;
	arena_reset(&a);
	return attrs == want;
}

static void
names_only(void)
{
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("a/b"), MAILS_NOSELECT, NULL), 0);
	CHECK(attrs_are("a", MAILS_NOSELECT));
	CHECK(attrs_are("a/b", MAILS_NOSELECT));
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("a/b"), MAILS_NOSELECT, NULL),
	    -EEXIST);
	CHECK_INT(deliver_to(ALICE, "a/b", 0, "X: y\r\n"), -ENOENT);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("a/b/c"), 0, NULL), 0);
	CHECK(attrs_are("a/b", MAILS_NOSELECT));
	CHECK(attrs_are("a/b/c", 0));
	/* It becomes a mailbox when one of that name comes. */
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("a/b"), 0, NULL), 0);
	CHECK(attrs_are("a/b", 0));
	CHECK_INT(deliver_to(ALICE, "a/b", 0, "X: y\r\n"), 1);
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("a/b"), MAILS_NOSELECT, NULL),
	    -EEXIST);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("d"),
		      MAILS_NOSELECT | MAILS_SENT, NULL),
	    -EINVAL);
}

MAILS_ON_ALL(many_in_order)
MAILS_ON_ALL(keys_stay)
MAILS_ON_ALL(keys_put)
MAILS_ON_ALL(quota_in_between)
MAILS_ON_ALL(names_only)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_many_in_order),
		cmocka_unit_test(on_all_keys_stay),
		cmocka_unit_test(on_all_keys_put),
		cmocka_unit_test(on_all_quota_in_between),
		cmocka_unit_test(on_all_names_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
