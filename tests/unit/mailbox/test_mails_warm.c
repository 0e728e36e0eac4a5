/* SPDX-License-Identifier: ISC */
/* Lists of mailboxes that nobody has open, on every kind of store. */
#include "mailbox/mails/impl.h"
#include "tests/unit/mailbox/mails_test.h"

#define MESSAGE "Subject: x\r\n\r\nText.\r\n"

static unsigned
warm_lists(void)
{
	unsigned n = 0;

	for (const struct box *x = mm->warm; x != NULL; x = x->next_warm)
		n++;
	return n;
}

/* A list that nobody has open is kept, and of now for who opens it again. */
static void
lists_stay(void)
{
	const struct mails_view *list;
	struct mails_view *v, *w;
	char name[16];

	deliver_to(ALICE, "INBOX", 0, MESSAGE);
	deliver_to(ALICE, "INBOX", 0, MESSAGE);
	v = view_of(ALICE, "INBOX");
	w = view_of(ALICE, "INBOX");
	mails_view_close(&v);
	CHECK_INT(warm_lists(), 0);
	mails_view_close(&w);
	CHECK_INT(warm_lists(), 1);
	list = mm->warm->master;
	deliver_to(ALICE, "INBOX", MAILS_FLAGGED_FLAG, MESSAGE);
	v = view_of(ALICE, "INBOX");
	CHECK(v->x->master == list);
	CHECK_INT(warm_lists(), 0);
	CHECK_INT(mails_view_count(v), 3);
	CHECK(mails_view_flags(v, 3).system == MAILS_FLAGGED_FLAG);
	mails_view_close(&v);
	/* Another mailbox of the same name is another. */
	for (int i = 0; i < 2; i++) {
		CHECK_INT(
		    mails_create(mm, ALICE, slice_str("Gone"), 0, NULL), 0);
		v = view_of(ALICE, "Gone");
		CHECK_INT(mails_view_count(v), 0);
		mails_view_close(&v);
		deliver_to(ALICE, "Gone", 0, MESSAGE);
		CHECK_INT(mails_delete(mm, ALICE, slice_str("Gone")), 0);
	}
	for (int i = 0; i < 70; i++) {
		snprintf(name, sizeof(name), "B%d", i);
		CHECK_INT(mails_create(mm, ALICE, slice_str(name), 0, NULL), 0);
		v = view_of(ALICE, name);
		mails_view_close(&v);
	}
	CHECK_INT(warm_lists(), 64);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_view_count(v), 3);
	mails_view_close(&v);
}

MAILS_ON_ALL_PLAIN(lists_stay)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_lists_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
