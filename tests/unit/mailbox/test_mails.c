/* SPDX-License-Identifier: ISC */
/* Mails in its ordinary life, on every kind of store. */
#include "common/base/clock.h"
#include "mailbox/mails/check.h"
#include "mailbox/mails/impl.h"
#include "tests/unit/mailbox/mails_test.h"

#define MESSAGE                                                                \
	"From: Alice <alice@example.test>\r\n"                                 \
	"To: bob@example.test\r\n"                                             \
	"Subject: Re: capsules\r\n"                                            \
	"Message-ID: <1@example.test>\r\n"                                     \
	"Date: Fri, 20 Nov 2026 22:00:00 +0000\r\n"                            \
	"\r\n"                                                                 \
	"Through the tube.\r\n"

/* --- names --- */

static bool
list_is(const char *account, const char *want)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct buf got = BUF_INIT;
	struct mails_info *infos;
	size_t n;
	bool is;

	CHECK_INT(mails_list(mm, account, &a, &infos, &n), 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(&got, "%s%s%s;", infos[i].name,
		    infos[i].attrs & MAILS_SUBSCRIBED ? "+" : "",
		    infos[i].id == 0                      ? "?"
			: infos[i].attrs & MAILS_NOSELECT ? "!"
							  : "");
	is = strcmp(buf_str(&got), want) == 0;
	if (!is)
		print_message("list is %s\n", buf_str(&got));
	buf_clear(&got);
	arena_reset(&a);
	return is;
}

#define DEFAULTS "INBOX+;Archive+;Drafts+;Junk+;Sent+;Trash+;"

static void
new_account(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	const char **accounts;
	size_t n;

	CHECK(list_is(ALICE, DEFAULTS));
	CHECK(list_is(ALICE, DEFAULTS));
	CHECK(deliver_to(BOB, "inbox", 0, MESSAGE) == 1);
	CHECK_INT(mails_accounts(mm, &a, &accounts, &n), 0);
	CHECK_INT(n, 2);
	CHECK(n == 2 && strcmp(accounts[0], ALICE) == 0);
	CHECK_INT(mails_account_drop(mm, BOB), 0);
	CHECK_INT(mails_accounts(mm, &a, &accounts, &n), 0);
	CHECK_INT(n, 1);
	arena_reset(&a);
}

static void
names(void)
{
	uint64_t id = 0, other = 0;

	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("work/2026/may"), 0, &id), 0);
	CHECK(id != 0);
	CHECK(list_is(ALICE, DEFAULTS "work;work/2026;work/2026/may;"));
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("work"), 0, &other), -EEXIST);
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("inbox"), 0, NULL), -EEXIST);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("InBox/sub/"), 0, NULL), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("inbox/sub")), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("inbox")), -EPERM);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("nope")), -ENOENT);
	/* RFC 3501 6.3.4: with children it stays as a name. */
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("work")), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("work")), -ENOENT);
	CHECK(list_is(ALICE, DEFAULTS "work!;work/2026;work/2026/may;"));
	CHECK_INT(deliver_to(ALICE, "work", 0, MESSAGE), -ENOENT);
	CHECK_INT(
	    mails_rename(mm, ALICE, SLICE_LIT("work"), SLICE_LIT("old/job")),
	    0);
	CHECK(list_is(
	    ALICE, DEFAULTS "old;old/job!;old/job/2026;old/job/2026/may;"));
	CHECK_INT(
	    mails_rename(mm, ALICE, SLICE_LIT("old/job"), SLICE_LIT("Trash")),
	    -EEXIST);
	CHECK_INT(mails_rename(mm, ALICE, SLICE_LIT("nope"), SLICE_LIT("x")),
	    -ENOENT);
	CHECK(deliver_to(ALICE, "old/job/2026/may", 0, MESSAGE) == 1);
	CHECK_INT(
	    mails_rename(mm, ALICE, SLICE_LIT("old"), SLICE_LIT("old/older")),
	    0);
	CHECK(list_is(ALICE,
	    DEFAULTS "old;old/older;old/older/job!;old/older/job/2026;"
		     "old/older/job/2026/may;"));
	CHECK_INT(deliver_to(ALICE, "old/older/job/2026/may", 0, MESSAGE), 2);
}

/* 33 levels. */
#define DEEP "1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3"

static void
names_bad(void)
{
	static const char *const bad[] = { "", "/", "/a", "a//b", "a\nb",
		"a\x7f", "\xff\xfe", DEEP };
	char longest[MAILS_NAME_MAX + 2];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_INT(mails_create(mm, ALICE, slice_str(bad[i]), 0, NULL),
		    -EINVAL);
	memset(longest, 'x', sizeof(longest));
	CHECK_INT(mails_create(
		      mm, ALICE, slice(longest, MAILS_NAME_MAX + 1), 0, NULL),
	    -EINVAL);
	CHECK_INT(
	    mails_create(mm, ALICE, slice(longest, MAILS_NAME_MAX), 0, NULL),
	    0);
	CHECK_INT(mails_create(mm, "", SLICE_LIT("a"), 0, NULL), -EINVAL);
	/* One name in two spellings of Unicode. */
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("e\xcc\x81t\xc3\xa9"), 0, NULL),
	    0);
	CHECK_INT(
	    mails_create(mm, ALICE, SLICE_LIT("\xc3\xa9t\xc3\xa9"), 0, NULL),
	    -EEXIST);
}

static void
subscriptions(void)
{
	CHECK_INT(mails_subscribe(mm, ALICE, SLICE_LIT("Sent"), false), 0);
	CHECK_INT(mails_subscribe(mm, ALICE, SLICE_LIT("later"), true), 0);
	CHECK_INT(mails_subscribe(mm, ALICE, SLICE_LIT("never"), false), 0);
	CHECK(list_is(
	    ALICE, "INBOX+;Archive+;Drafts+;Junk+;Sent;Trash+;later+?;"));
	CHECK_INT(deliver_to(ALICE, "later", 0, MESSAGE), -ENOENT);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("later"), 0, NULL), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("Junk")), 0);
	CHECK(list_is(
	    ALICE, "INBOX+;Archive+;Drafts+;Junk+?;Sent;Trash+;later+;"));
	CHECK_INT(mails_subscribe(mm, ALICE, SLICE_LIT("Junk"), false), 0);
	CHECK(list_is(ALICE, "INBOX+;Archive+;Drafts+;Sent;Trash+;later+;"));
}

static void
uidvalidity_grows(void)
{
	struct mails_status a, b;
	uint32_t last = 0;

	for (int i = 0; i < 4; i++) {
		CHECK_INT(
		    mails_create(mm, ALICE, SLICE_LIT("box"), 0, NULL), 0);
		CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("box"), &a), 0);
		CHECK(a.uidvalidity > last);
		last = a.uidvalidity;
		CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("box")), 0);
		CHECK_INT(
		    mails_status(mm, ALICE, SLICE_LIT("box"), &b), -ENOENT);
	}
}

/* --- messages --- */

static void
delivery(void)
{
	struct mails_status s;
	struct mails_view *v;
	struct mails_row row;
	uint64_t octets, messages;
	bool exact;

	for (int i = 1; i <= 5; i++)
		CHECK_INT(deliver_to(
			      ALICE, "INBOX", i == 3 ? MAILS_SEEN : 0, MESSAGE),
		    i);
	v = view_of(ALICE, "inbox");
	CHECK_INT(mails_view_count(v), 5);
	CHECK_INT(mails_view_uidnext(v), 6);
	CHECK_INT(mails_view_uid(v, 5), 5);
	CHECK_INT(mails_view_first_unseen(v), 1);
	CHECK_INT(mails_view_recent_from(v), 1);
	CHECK_INT(mails_view_flags(v, 3).system, MAILS_SEEN);
	CHECK_INT(mails_view_seq(v, 4, &exact), 4);
	CHECK(exact);
	CHECK_INT(mails_view_seq(v, 40, &exact), 5);
	CHECK(!exact);
	CHECK(text_is(v, 2, MESSAGE));
	CHECK_INT(mails_row(v, 2, &row), 0);
	CHECK_INT(row.size, sizeof(MESSAGE) - 1);
	CHECK(row.internaldate > 1600000000);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 5);
	CHECK_INT(s.unseen, 4);
	CHECK_INT(s.octets, 5 * (sizeof(MESSAGE) - 1));
	CHECK_INT(mails_usage(mm, ALICE, &octets, &messages), 0);
	CHECK_INT(octets, s.octets);
	CHECK_INT(messages, 5);
	mails_view_close(&v);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 6);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_recent_from(v), 6);
	mails_view_close(&v);
	CHECK_INT(deliver_to(ALICE, "nowhere", 0, MESSAGE), -ENOENT);
}

static void
summaries(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_summary s = { .n_parts = 0 };
	struct mails_view *v;

	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 1);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_summary(v, 1, &a, &s), 0);
	CHECK(slice_find_slice(s.envelope, SLICE_LIT("\"Re: capsules\"")) > 0);
	CHECK(slice_starts(s.body, "(\"TEXT\" \"PLAIN\"") ||
	    slice_starts(s.body, "(\"text\" \"plain\""));
	CHECK(slice_eq_str(s.preview, "Through the tube."));
	CHECK(slice_eq_str_nocase(s.base_subject, "capsules"));
	CHECK(slice_eq_str(s.message_id, "1@example.test"));
	CHECK_INT(s.sent_date, 1795212000);
	CHECK_INT(s.n_parts, 1);
	CHECK_INT(s.header_size,
	    strlen(MESSAGE) -
		strlen("Through the tube."
		       "\r\n"));
	CHECK_INT(s.lines, 7);
	CHECK_INT(s.parts[0].body_at, s.header_size);
	CHECK(slice_eq_str(s.parts[0].type, "text/plain"));
	mails_view_close(&v);
	arena_reset(&a);
}

static int
blob_count(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	(void)id, (void)size, (void)written_s;
	++*(int *)arg;
	return 0;
}

/* What a commit in doubt has left goes by collect alone (refs.c). */
static void
collect(void)
{
	struct mails_collected out;

	if (test_engine->lies)
		CHECK_INT(mails_collect(mm, -10, &out), 0);
}

static void
many_targets(void)
{
	static const struct mails_quota ten_octets = { .octets = 10 };
	struct mails_message *msg = message_of(MESSAGE);
	struct mails_target t[4] = {
		{ .account = ALICE, .mailbox = SLICE_LIT("INBOX") },
		{ .account = BOB, .mailbox = SLICE_LIT("nowhere") },
		{ .account = BOB, .mailbox = SLICE_LIT("INBOX") },
		{ .account = ALICE,
		    .mailbox = SLICE_LIT("INBOX"),
		    .quota = &ten_octets },
	};
	struct store_stats before, after;
	struct mails_view *v;
	int blobs = 0;

	CHECK(list_is(ALICE, DEFAULTS));
	CHECK(list_is(BOB, DEFAULTS));
	CHECK_INT(store_stats(st, &before), 0);
	CHECK(mails_deliver(msg, t, 4) != 0);
	CHECK_INT(t[0].rc, 0);
	CHECK_INT(t[1].rc, -ENOENT);
	CHECK_INT(t[2].rc, 0);
	CHECK_INT(t[3].rc, -EDQUOT);
	mails_message_free(&msg);
	CHECK_INT(store_stats(st, &after), 0);
	CHECK(after.blob_octets > before.blob_octets);
	/* Stored once. */
	CHECK_INT(store_blob_list(st, blob_count, &blobs), 0);
	CHECK_INT(blobs, 1);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_expunge(v, (uint32_t[]){ 1 }, 1, true), 0);
	CHECK(sync_is(v, true, "x1 "));
	mails_view_close(&v);
	v = view_of(BOB, "INBOX");
	CHECK(text_is(v, 1, MESSAGE));
	CHECK_INT(mails_expunge(v, (uint32_t[]){ 1 }, 1, true), 0);
	mails_view_close(&v);
	collect();
	CHECK_INT(store_stats(st, &after), 0);
	CHECK_INT(after.blob_octets, before.blob_octets);
}

static void
quota(void)
{
	struct mails_quota q = { .messages = 3 };
	struct mails_target t = { .account = ALICE,
		.mailbox = SLICE_LIT("INBOX"),
		.quota = &q,
		.internaldate = 1000 };
	struct mails_message *msg;

	CHECK_INT(deliver_to(ALICE, "Sent", 0, MESSAGE), 1);
	for (int i = 0; i < 3; i++) {
		msg = message_of(MESSAGE);
		CHECK_INT(mails_deliver(msg, &t, 1), i < 2 ? 0 : -EDQUOT);
		mails_message_free(&msg);
	}
	q.messages = 0;
	q.octets = 4 * strlen(MESSAGE) - 1;
	msg = message_of(MESSAGE);
	CHECK_INT(mails_deliver(msg, &t, 1), -EDQUOT);
	q.octets++;
	CHECK_INT(mails_deliver(msg, &t, 1), 0);
	mails_message_free(&msg);
}

/* --- changes, and what others see of them --- */

static void
flags(void)
{
	static const char *const names[] = { "$Forwarded", "work", NULL };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_view *v, *w;
	uint32_t *failed, seqs[] = { 1, 2, 3 };
	size_t n_failed;
	uint64_t modseq;

	for (int i = 0; i < 4; i++)
		deliver_to(ALICE, "INBOX", 0, MESSAGE);
	v = view_of(ALICE, "INBOX");
	w = view_of(ALICE, "INBOX");
	modseq = mails_view_highestmodseq(v);
	CHECK_INT(mails_store_flags(v, seqs, 3, MAILS_FLAGS_ADD, MAILS_SEEN,
		      NULL, 0, true, &a, &failed, &n_failed),
	    0);
	CHECK_INT(n_failed, 0);
	CHECK_INT(mails_view_flags(v, 3).system, MAILS_SEEN);
	CHECK(mails_view_modseq(v, 3) > modseq);
	CHECK(sync_is(v, true, "")); /* silent */
	CHECK(sync_is(w, true, "f1 f2 f3 "));
	CHECK_INT(mails_view_flags(w, 2).system, MAILS_SEEN);
	CHECK(sync_is(w, true, ""));
	/* Two change different flags of one message: both stay. */
	CHECK_INT(mails_store_flags(w, seqs, 1, MAILS_FLAGS_ADD, MAILS_DELETED,
		      names, 0, false, &a, &failed, &n_failed),
	    0);
	CHECK_INT(mails_store_flags(v, seqs, 1, MAILS_FLAGS_ADD, MAILS_DRAFT,
		      NULL, 0, true, &a, &failed, &n_failed),
	    0);
	CHECK_INT(mails_view_flags(v, 1).system,
	    MAILS_SEEN | MAILS_DELETED | MAILS_DRAFT);
	CHECK_INT(mails_view_flags(v, 1).keywords, 3);
	CHECK(sync_is(v, true, "k f1 ")); /* of the other's part */
	CHECK(strcmp(mails_view_keyword(v, 1), "work") == 0);
	CHECK(mails_view_keyword(v, 2) == NULL);
	CHECK(sync_is(w, true, "f1 "));
	/* RFC 7162 3.1.3 */
	modseq = mails_view_highestmodseq(v);
	CHECK_INT(mails_store_flags(w, seqs + 1, 1, MAILS_FLAGS_SET, 0, NULL, 0,
		      true, &a, &failed, &n_failed),
	    0);
	CHECK_INT(mails_store_flags(v, seqs, 3, MAILS_FLAGS_SET, MAILS_ANSWERED,
		      NULL, modseq, true, &a, &failed, &n_failed),
	    0);
	CHECK_INT(n_failed, 1);
	CHECK(n_failed == 1 && failed[0] == 2);
	CHECK_INT(mails_view_flags(v, 1).system, MAILS_ANSWERED);
	CHECK_INT(mails_view_flags(v, 1).keywords, 0);
	CHECK(sync_is(v, true, "f2 "));
	CHECK_INT(mails_view_flags(v, 2).system, 0);
	mails_view_close(&v);
	mails_view_close(&w);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_flags(v, 3).system, MAILS_ANSWERED);
	mails_view_close(&v);
	arena_reset(&a);
}

static void
expunges(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_view *v, *w;
	uint32_t *failed, seqs[] = { 2, 4, 5 };
	struct mails_status s;
	size_t n_failed;

	for (int i = 0; i < 6; i++)
		deliver_to(ALICE, "INBOX", 0, MESSAGE);
	v = view_of(ALICE, "INBOX");
	w = view_of(ALICE, "INBOX");
	CHECK_INT(mails_store_flags(v, seqs, 3, MAILS_FLAGS_ADD, MAILS_DELETED,
		      NULL, 0, true, &a, &failed, &n_failed),
	    0);
	/* UID EXPUNGE of 2 and 3: 3 is not deleted. */
	CHECK_INT(mails_expunge(v, (uint32_t[]){ 2, 3 }, 2, false), 0);
	CHECK_INT(mails_expunge(v, NULL, 0, false), 0);
	deliver_to(ALICE, "INBOX", 0, MESSAGE);
	CHECK(sync_is(v, true, "x2 x3 x3 e4 "));
	/* The other may not be told yet: numbers stay. */
	CHECK(sync_is(w, false, "e7 "));
	CHECK(mails_view_is_gone(w, 4));
	CHECK(!mails_view_is_gone(w, 3));
	CHECK_INT(mails_view_uid(w, 6), 6);
	CHECK_INT(mails_store_flags(w, seqs, 3, MAILS_FLAGS_ADD, MAILS_SEEN,
		      NULL, 0, true, &a, &failed, &n_failed),
	    0);
	CHECK(!text_is(w, 4, MESSAGE));
	CHECK(sync_is(w, true, "x2 x3 x3 "));
	CHECK_INT(mails_view_count(w), 4);
	CHECK_INT(mails_view_uid(w, 3), 6);
	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, 4);
	CHECK_INT(s.deleted, 0);
	CHECK_INT(s.unseen, 4);
	mails_view_close(&v);
	mails_view_close(&w);
	arena_reset(&a);
}

static void
watching(void)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct co_event e = { .set = false };

	mails_view_watch(v, &e);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 1);
	CHECK_INT(co_event_wait(&e, 60000), 0);
	CHECK(sync_is(v, true, "e1 "));
	mails_view_watch(v, NULL);
	mails_view_close(&v);
}

static void
copies(void)
{
	static const char *const names[] = { "blue", NULL };
	static const struct mails_quota four = { .messages = 4 };
	static const struct mails_quota five = { .messages = 5 };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied out;
	struct mails_view *v, *w;
	uint32_t *failed, seqs[] = { 1, 3 };
	struct store_stats before, after;
	size_t n_failed;

	for (int i = 0; i < 3; i++)
		deliver_to(ALICE, "INBOX", 0, MESSAGE);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(
	    mails_store_flags(v, seqs, 2, MAILS_FLAGS_SET, MAILS_FLAGGED_FLAG,
		names, 0, true, &a, &failed, &n_failed),
	    0);
	CHECK_INT(store_stats(st, &before), 0);
	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("nope"), NULL, &a, &out), -ENOENT);
	CHECK_INT(mails_copy(v, seqs, 2, SLICE_LIT("Archive"), &four, &a, &out),
	    -EDQUOT);
	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("Archive"), &five, &a, &out), 0);
	CHECK_INT(out.n, 2);
	CHECK(out.n == 2 && out.from[1] == 3 && out.to[1] == 2);
	CHECK_INT(
	    mails_copy(v, seqs, 1, SLICE_LIT("Archive"), NULL, &a, &out), 0);
	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("INBOX"), NULL, &a, &out), 0);
	CHECK(sync_is(v, true, "e5 "));
	CHECK_INT(mails_view_flags(v, 5).keywords, 1);
	collect();
	CHECK_INT(store_stats(st, &after), 0);
	CHECK_INT(after.blob_octets, before.blob_octets);
	w = view_of(ALICE, "Archive");
	CHECK_INT(mails_view_count(w), 3);
	CHECK_INT(mails_view_flags(w, 3).system, MAILS_FLAGGED_FLAG);
	CHECK(strcmp(mails_view_keyword(w, 0), "blue") == 0);
	/* The originals go; the copies stay, and the last takes the blob. */
	CHECK_INT(mails_expunge(v, (uint32_t[]){ 1, 2, 3, 4, 5 }, 5, true), 0);
	for (uint32_t i = 1; i <= 3; i++)
		CHECK(text_is(w, i, MESSAGE));
	CHECK_INT(mails_expunge(w, (uint32_t[]){ 1, 2, 3 }, 3, true), 0);
	collect();
	CHECK_INT(store_stats(st, &after), 0);
	CHECK_INT(after.blob_octets, 0);
	mails_view_close(&v);
	mails_view_close(&w);
	arena_reset(&a);
}

static void
moves(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied out;
	struct mails_view *v, *w;
	struct mails_summary s;
	uint32_t seqs[200];

	for (uint32_t i = 0; i < 200; i++) {
		seqs[i] = i + 1;
		deliver_to(ALICE, "INBOX", i % 2 ? MAILS_SEEN : 0, MESSAGE);
	}
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_move(v, seqs, 3, SLICE_LIT("nope"), &a, &out), -ENOENT);
	CHECK_INT(
	    mails_move(v, seqs + 1, 198, SLICE_LIT("Trash"), &a, &out), 0);
	CHECK_INT(out.n, 198);
	for (size_t i = 0; i < out.n; i++)
		CHECK(out.from[i] == i + 2 && out.to[i] == i + 1);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK_INT(mails_view_count(v), 2);
	CHECK_INT(mails_view_uid(v, 2), 200);
	w = view_of(ALICE, "Trash");
	CHECK_INT(mails_view_count(w), 198);
	CHECK_INT(mails_view_flags(w, 1).system, MAILS_SEEN);
	CHECK(text_is(w, 198, MESSAGE));
	CHECK_INT(mails_summary(w, 198, &a, &s), 0);
	/* Again, and INBOX by name (RFC 3501 6.3.5). */
	CHECK_INT(mails_move(v, seqs, 2, SLICE_LIT("INBOX"), &a, &out), 0);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK_INT(mails_view_uid(v, 1), 201);
	CHECK_INT(
	    mails_rename(mm, ALICE, SLICE_LIT("INBOX"), SLICE_LIT("old")), 0);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK_INT(mails_view_count(v), 0);
	mails_view_close(&w);
	w = view_of(ALICE, "old");
	CHECK_INT(mails_view_count(w), 2);
	CHECK(text_is(w, 2, MESSAGE));
	mails_view_close(&v);
	mails_view_close(&w);
	arena_reset(&a);
}

/* Blobs go with the mailbox, but for those that others share. */
static void
deleting(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied out;
	struct store_stats stats;
	struct mails_view *v;
	uint32_t seqs[120];

	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("box"), 0, NULL), 0);
	for (uint32_t i = 0; i < 120; i++) {
		seqs[i] = i + 1;
		deliver_to(ALICE, "box", 0, MESSAGE);
	}
	v = view_of(ALICE, "box");
	CHECK_INT(
	    mails_copy(v, seqs, 1, SLICE_LIT("INBOX"), NULL, &a, &out), 0);
	CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("box")), 0);
	CHECK_INT(mails_view_sync(v, true, NULL), -ENOENT);
	mails_view_close(&v);
	collect();
	CHECK_INT(store_stats(st, &stats), 0);
	CHECK(stats.blob_octets < 3 * strlen(MESSAGE)); /* one, perhaps sealed */
	v = view_of(ALICE, "INBOX");
	CHECK(text_is(v, 1, MESSAGE));
	mails_view_close(&v);
	CHECK_INT(mails_account_drop(mm, ALICE), 0);
	collect();
	CHECK_INT(store_stats(st, &stats), 0);
	CHECK_INT(stats.blob_octets, 0);
	arena_reset(&a);
}

/* Deliver to both under `key`; the UID that alice's copy has. */
static uint32_t
deliver_under(struct slice key)
{
	struct mails_message *msg = message_of(MESSAGE);
	struct mails_target t[2];

	for (int i = 0; i < 2; i++)
		t[i] = (struct mails_target){ .account = i ? BOB : ALICE,
			.mailbox = SLICE_LIT("INBOX"),
			.internaldate = INT64_MIN,
			.key = key };
	CHECK_INT(mails_deliver(msg, t, 2), 0);
	CHECK(t[0].uidvalidity != 0);
	mails_message_free(&msg);
	return t[0].uid;
}

static uint32_t
count_in(const char *account)
{
	struct mails_status s = { 0 };

	CHECK_INT(mails_status(mm, account, SLICE_LIT("INBOX"), &s), 0);
	return s.messages;
}

/* Promise 1: who had no reply and asks again gives one copy. */
static void
once_under_a_key(void)
{
	struct slice key = SLICE_LIT("01M7XKN4V6CQJ40FFX");
	uint32_t uid = deliver_under(key);

	CHECK_INT(deliver_under(key), uid);
	CHECK_INT(deliver_under(key), uid);
	CHECK_INT(count_in(ALICE), 1);
	CHECK_INT(count_in(BOB), 1);
	CHECK(deliver_under(SLICE_LIT("01M7XKN4V6CQJ40FFY")) != uid);
	CHECK(deliver_under(SLICE_EMPTY) != deliver_under(SLICE_EMPTY));
	CHECK_INT(count_in(ALICE), 4);
}

/* Keys of long ago go; those in use stay. */
static void
old_keys_go(void)
{
	char old[ID_LEN + 1], key[ID_LEN + 1];
	uint32_t uid = 0;

	id_new(old);
	id_time(clock_wall_ms() - 20 * INT64_C(86400000), key);
	memcpy(old, key, ID_TIME_LEN);
	deliver_under(slice_str(old));
	id_new(key);
	uid = deliver_under(slice_str(key));
	for (int i = 0; i < 130; i++) {
		char other[ID_LEN + 1];

		id_new(other);
		deliver_under(slice_str(other));
	}
	CHECK_INT(deliver_under(slice_str(key)), uid);
	CHECK(deliver_under(slice_str(old)) > uid);
}

MAILS_ON_ALL(once_under_a_key)
MAILS_ON_ALL(old_keys_go)
/* --- damage --- */

static void
row_put(struct mails_view *v, char kind, uint32_t uid, const char *val)
{
	struct store_batch *b;
	char part[24], key[5];

	snprintf(part, sizeof(part), "m%016llx",
	    (unsigned long long)mails_view_mailbox_id(v));
	b = store_batch_new(st, slice_str(part));
	key[0] = kind;
	put_be32(key + 1, uid);
	store_put(b, slice(key, sizeof(key)), slice_str(val));
	CHECK_INT(test_commit(b), 0);
}

static void
count_fault(void *arg, const struct mails_fault *f)
{
	CHECK(f->account != NULL && strcmp(f->account, ALICE) == 0);
	CHECK(f->mailbox != NULL && strcmp(f->mailbox, "INBOX") == 0);
	++*(int *)arg;
}

/* One message, never the mailbox. */
static void
damage(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_summary s;
	struct mails_row row;
	struct mails_view *v;
	int faults = 0;

	for (int i = 0; i < 4; i++)
		deliver_to(ALICE, "INBOX", 0, MESSAGE);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_check(mm, true, count_fault, &faults, NULL), 0);
	/* A summary is made anew. */
	row_put(v, 's', 1, "\2junk");
	CHECK_INT(mails_summary(v, 1, &a, &s), 0);
	CHECK(slice_eq_str(s.preview, "Through the tube."));
	row_put(v, 's', 1, "");
	CHECK_INT(mails_summary(v, 1, &a, &s), 0);
	CHECK_INT(s.n_parts, 1);
	CHECK_INT(mails_check(mm, true, count_fault, &faults, NULL), 0);
	/* A blob that is gone. */
	CHECK_INT(mails_row(v, 2, &row), 0);
	while (is_doubt(store_blob_del(st, &row.blob)))
		CHECK(test_engine->lies);
	CHECK(!text_is(v, 2, MESSAGE));
	CHECK_INT(mails_summary(v, 2, &a, &s), 0);
	CHECK(slice_eq_str(s.preview, "Through the tube."));
	CHECK_INT(mails_check(mm, true, count_fault, &faults, NULL), 1);
	/* A row; of a list that is not known from before. */
	row_put(v, 'u', 3, "junk");
	mails_view_close(&v);
	warm_free(mm);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), 3);
	CHECK_INT(mails_view_uid(v, 3), 4);
	CHECK(text_is(v, 3, MESSAGE));
	CHECK(mails_check(mm, true, count_fault, &faults, NULL) > 1);
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 5);
	mails_view_close(&v);
	arena_reset(&a);
}

/* Expunges of long ago are forgotten; a view from before them compares. */
#define LONG_AGO 10600

static void
long_ago(void)
{
	uint32_t *seqs = calloc(LONG_AGO, sizeof(*seqs)), n = 0;
	struct mails_view *v, *w;

	/* On disk this takes long, and is the same. */
	if (strcmp(test_engine->name, "memory") != 0)
		goto out;
	for (uint32_t i = 1; i <= LONG_AGO; i++) {
		deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\n");
		if (i % 100 != 0)
			seqs[n++] = i;
	}
	v = view_of(ALICE, "INBOX");
	w = view_of(ALICE, "INBOX");
	CHECK_INT(mails_expunge(w, seqs, n, true), 0);
	CHECK_INT(mails_view_sync(w, true, NULL), 0);
	deliver_to(ALICE, "INBOX", 0, MESSAGE);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK_INT(mails_view_count(v), LONG_AGO / 100 + 1);
	for (uint32_t i = 1; i <= LONG_AGO / 100; i++)
		CHECK_INT(mails_view_uid(v, i), 100 * i);
	mails_view_close(&v);
	mails_view_close(&w);
out:
	free(seqs);
}

MAILS_ON_ALL(new_account)
MAILS_ON_ALL(names)
MAILS_ON_ALL(names_bad)
MAILS_ON_ALL(subscriptions)
MAILS_ON_ALL(uidvalidity_grows)
MAILS_ON_ALL(delivery)
MAILS_ON_ALL(summaries)
MAILS_ON_ALL(many_targets)
MAILS_ON_ALL(quota)
MAILS_ON_ALL(flags)
MAILS_ON_ALL(expunges)
MAILS_ON_ALL(watching)
MAILS_ON_ALL(copies)
MAILS_ON_ALL(moves)
MAILS_ON_ALL(deleting)
MAILS_ON_ALL(damage)
MAILS_ON_ALL(long_ago)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_once_under_a_key),
		cmocka_unit_test(on_all_old_keys_go),
		cmocka_unit_test(on_all_new_account),
		cmocka_unit_test(on_all_names),
		cmocka_unit_test(on_all_names_bad),
		cmocka_unit_test(on_all_subscriptions),
		cmocka_unit_test(on_all_uidvalidity_grows),
		cmocka_unit_test(on_all_delivery),
		cmocka_unit_test(on_all_summaries),
		cmocka_unit_test(on_all_many_targets),
		cmocka_unit_test(on_all_quota),
		cmocka_unit_test(on_all_flags),
		cmocka_unit_test(on_all_expunges),
		cmocka_unit_test(on_all_watching),
		cmocka_unit_test(on_all_copies),
		cmocka_unit_test(on_all_moves),
		cmocka_unit_test(on_all_deleting),
		cmocka_unit_test(on_all_damage),
		cmocka_unit_test(on_all_long_ago),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
