/* SPDX-License-Identifier: ISC */
/* What changed since a cursor: all of it, in pages of any size, once more after
 * what is forgotten. */
#include "tests/unit/mailbox/mails_test.h"

static struct arena arena = ARENA_INIT_MAX(1 << 20);

/* "+1:seen -2 " of all since the cursor, asked in pages; then a code. */
static void
changes_are(struct mails_cursor *c, const char *mailbox, size_t max,
    const char *want, uint64_t *print)
{
	struct buf got = BUF_INIT;
	struct mails_changed ch = { .more = true };
	int rc = 0;

	while (rc == 0 && ch.more) {
		rc = mails_changes(
		    mm, ALICE, slice_str(mailbox), c, max, &arena, &ch);
		for (size_t i = 0; rc == 0 && i < ch.n; i++) {
			buf_printf(&got, "%c%u", ch.v[i].gone ? '-' : '+',
			    ch.v[i].uid);
			if (!ch.v[i].gone)
				buf_printf(&got, ":%x", ch.v[i].flags.system);
			for (size_t k = 0; k < ch.n_keywords; k++)
				if (ch.v[i].flags.keywords & UINT64_C(1) << k)
					buf_printf(&got, ",%s", ch.keywords[k]);
			buf_put_char(&got, ' ');
			if (print != NULL && !ch.v[i].gone)
				*print = ch.v[i].print;
		}
	}
	if (rc != 0)
		buf_printf(&got, "%s", rc == -ESTALE ? "stale" : "error");
	if (strcmp(buf_str(&got), want) != 0 && store_test_failure[0] == '\0')
		snprintf(store_test_failure, sizeof(store_test_failure),
		    "\"%s\", not \"%s\"", buf_str(&got), want);
	buf_clear(&got);
	arena_reset(&arena);
}

static struct mails_cursor
from_the_start(const char *mailbox)
{
	struct mails_status status;

	CHECK_INT(mails_status(mm, ALICE, slice_str(mailbox), &status), 0);
	return (struct mails_cursor){ status.uidvalidity, 1, 0, UINT32_MAX };
}

static void
store(uint32_t seq, uint32_t flags, const char *keyword)
{
	const char *const names[] = { keyword, NULL };
	struct mails_view *v = view_of(ALICE, "INBOX");

	CHECK_INT(
	    mails_store_flags(v, &seq, 1, MAILS_FLAGS_ADD, flags,
		keyword != NULL ? names : NULL, 0, true, &arena, NULL, NULL),
	    0);
	mails_view_close(&v);
	arena_reset(&arena);
}

static void
flags_and_expunges(void)
{
	const size_t pages[] = { 1, 2, 100 };
	struct mails_cursor c, was;
	struct mails_view *v;
	uint32_t seq = 2;

	for (int i = 1; i <= 4; i++)
		CHECK_INT(
		    deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\n"), i);
	c = from_the_start("INBOX");
	changes_are(&c, "INBOX", 3, "+1:0 +2:0 +3:0 +4:0 ", NULL);
	changes_are(&c, "INBOX", 3, "", NULL);
	was = c;
	store(3, MAILS_SEEN, "Zebra");
	store(1, MAILS_FLAGGED_FLAG, NULL);
	store(2, MAILS_FLAGGED_FLAG, NULL);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_expunge(v, &seq, 1, true), 0);
	mails_view_close(&v);
	CHECK_INT(
	    deliver_to(ALICE, "INBOX", MAILS_SEEN, "Subject: y\r\n\r\n"), 5);
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		c = was;
		changes_are(
		    &c, "INBOX", pages[i], "+3:1,Zebra +1:4 -2 +5:1 ", NULL);
		changes_are(&c, "INBOX", pages[i], "", NULL);
	}
}
MAILS_ON_ALL_PLAIN(flags_and_expunges)

/* Gone from one, and known in the other, which it has reached by then. */
static void
moves(void)
{
	struct mails_cursor inbox, trash;
	uint64_t before = 1, after = 2;
	struct mails_copied out;
	struct mails_view *v;
	uint32_t seq = 1;

	CHECK_INT(
	    deliver_to(ALICE, "INBOX", MAILS_SEEN, "Subject: x\r\n\r\n"), 1);
	inbox = from_the_start("INBOX");
	trash = from_the_start("Trash");
	changes_are(&inbox, "INBOX", 10, "+1:1 ", &before);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_move(v, &seq, 1, SLICE_LIT("Trash"), &arena, &out), 0);
	mails_view_close(&v);
	changes_are(&inbox, "INBOX", 10, "-1 ", NULL);
	changes_are(&trash, "Trash", 10, "+1:1 ", &after);
	CHECK_INT(before == after, 1);
}
MAILS_ON_ALL_PLAIN(moves)

static void
cursors_of_another_mailbox(void)
{
	struct mails_cursor c, now;

	CHECK_INT(deliver_to(ALICE, "INBOX", 0, "Subject: x\r\n\r\n"), 1);
	now = from_the_start("INBOX");
	changes_are(&now, "INBOX", 10, "+1:0 ", NULL);
	c = now;
	c.uidvalidity++;
	changes_are(&c, "INBOX", 10, "stale", NULL);
	CHECK_INT(c.uidvalidity, now.uidvalidity);
	CHECK_INT(c.uid, now.uid);
	changes_are(&c, "INBOX", 10, "", NULL);
	/* As after a backup was put back. */
	c.modseq += 10;
	changes_are(&c, "INBOX", 10, "stale", NULL);
	c.uid += 10;
	changes_are(&c, "INBOX", 10, "stale", NULL);
	changes_are(&c, "INBOX", 10, "", NULL);
	changes_are(&c, "None", 10, "error", NULL);
}
MAILS_ON_ALL_PLAIN(cursors_of_another_mailbox)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_flags_and_expunges),
		cmocka_unit_test(on_all_moves),
		cmocka_unit_test(on_all_cursors_of_another_mailbox),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
