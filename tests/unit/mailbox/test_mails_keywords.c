/* SPDX-License-Identifier: ISC */
/* Keyword tables, while another process adds to them: what this one knows of the
 * mailbox is old then, and nothing else would tell it so. */
#include "mailbox/mails/impl.h"
#include "tests/unit/mailbox/mails_test.h"

#define MESSAGE "Subject: x\r\n\r\nText.\r\n"

static uint32_t all[] = { 1, 2, 3, 4 };

/* What another process does: the rows, behind our back. */
static void
others_add(const char *mailbox, const char *names, size_t octets, uint32_t n)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	char row[HEADER_ROW_MAX];
	struct store_batch *b;
	struct header h;
	int rc;

	do { /* an engine may lie: once more is the same */
		CHECK_INT(box_read(v->x, &h), 0);
		h.keywords = n;
		h.changes++;
		b = store_batch_new(st, box_part(v->x));
		store_put(b, KEY_HEADER, slice(row, header_encode(row, &h)));
		store_put(b, KEY_KEYWORDS, slice(names, octets));
		rc = store_commit_one(st, b);
		store_batch_free(&b);
	} while (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN);
	CHECK_INT(rc, 0);
	mails_view_close(&v);
}

static int
add_to(const char *mailbox, uint32_t seq, const char *name)
{
	const char *const names[] = { name, NULL };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_view *v = view_of(ALICE, mailbox);
	uint32_t *failed;
	size_t n;
	int rc = mails_store_flags(
	    v, &seq, 1, MAILS_FLAGS_ADD, 0, names, 0, true, &a, &failed, &n);

	mails_view_close(&v);
	arena_reset(&a);
	return rc;
}

static bool
table_is(const char *mailbox, const char *want)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	struct buf names = BUF_INIT;
	struct keywords k = { .n = 0 };
	bool is;

	CHECK_INT(keywords_read(v->x, &k), 0);
	for (size_t i = 0; i < k.n; i++)
		buf_printf(&names, "%s ", k.names[i]);
	is = strcmp(buf_str(&names), want) == 0;
	if (!is)
		print_message("%s: <%s>\n", mailbox, buf_str(&names));
	keywords_clear(&k);
	buf_clear(&names);
	mails_view_close(&v);
	return is;
}

static void
flags_beside(void)
{
	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 1);
	CHECK_INT(add_to("INBOX", 1, "ours"), 0);
	others_add("INBOX", "ours\0theirs", 12, 2);
	CHECK_INT(add_to("INBOX", 1, "more"), 0);
	CHECK(table_is("INBOX", "ours theirs more "));
}

static void
copies_and_moves_beside(void)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied out;
	struct mails_view *v;

	for (unsigned i = 0; i < 4; i++)
		CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), (int)i + 1);
	CHECK_INT(deliver_to(ALICE, "Trash", 0, MESSAGE), 1);
	CHECK_INT(add_to("Trash", 1, "old"), 0);
	for (uint32_t i = 1; i < 3; i++)
		CHECK_INT(add_to("INBOX", i, i == 1 ? "one" : "two"), 0);
	others_add("Trash", "old\0theirs", 11, 2);
	v = view_of(ALICE, "INBOX");
	CHECK_INT(mails_copy(v, all, 1, SLICE_LIT("Trash"), NULL, &a, &out), 0);
	others_add("Trash", "old\0theirs\0one\0newer", 21, 4);
	CHECK_INT(mails_move(v, all + 1, 1, SLICE_LIT("Trash"), &a, &out), 0);
	mails_view_close(&v);
	CHECK(table_is("Trash", "old theirs one newer two "));
	arena_reset(&a);
}

static void
deliveries_beside(void)
{
	const char *const names[] = { "new", NULL };
	struct mails_message *msg;
	struct mails_target t = { .account = ALICE,
		.mailbox = SLICE_LIT("INBOX"),
		.keywords = names,
		.internaldate = INT64_MIN };

	CHECK_INT(deliver_to(ALICE, "INBOX", 0, MESSAGE), 1);
	CHECK_INT(add_to("INBOX", 1, "ours"), 0);
	others_add("INBOX", "ours\0theirs", 12, 2);
	msg = message_of(MESSAGE);
	CHECK_INT(mails_deliver(msg, &t, 1), 0);
	mails_message_free(&msg);
	CHECK_INT(t.uid, 2);
	CHECK(table_is("INBOX", "ours theirs new "));
}

MAILS_ON_ALL_PLAIN(flags_beside)
MAILS_ON_ALL_PLAIN(copies_and_moves_beside)
MAILS_ON_ALL_PLAIN(deliveries_beside)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_flags_beside),
		cmocka_unit_test(on_all_copies_and_moves_beside),
		cmocka_unit_test(on_all_deliveries_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
