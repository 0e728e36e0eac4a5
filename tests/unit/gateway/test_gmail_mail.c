/* SPDX-License-Identifier: ISC */
/* What Gmail's labels are here, and what its API does not know: the envelope. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "gateway/gmail_envelope.h"
#include "gateway/gmail_labels.h"

static void
places(void **state)
{
	static const struct {
		const char *labels, *use, *mailbox, *flags;
		bool folders, unknown;
	} tests[] = {
		{ "INBOX UNREAD ", NULL, "INBOX", "", 0, 0 },
		{ "", "Archive", "Archive", "\\Seen ", 0, 0 },
		{ "SENT INBOX ", NULL, "INBOX", "\\Seen ", 0, 0 },
		{ "SENT STARRED ", "Sent", "Sent", "\\Seen \\Flagged ", 0, 0 },
		{ "INBOX TRASH ", "Trash", "Trash", "\\Seen ", 0, 0 },
		{ "SPAM UNREAD IMPORTANT ", "Junk", "Junk", "$Important ", 0,
		    0 },
		{ "DRAFT ", "Drafts", "Drafts", "\\Seen \\Draft ", 0, 0 },
		{ "Label_1 Label_2 ", "Archive", "Archive", "\\Seen b_b A/b ",
		    0, 0 },
		{ "Label_1 Label_2 ", NULL, "A/b", "\\Seen b_b ", 1, 0 },
		{ "Label_1 INBOX ", NULL, "INBOX", "\\Seen b_b ", 1, 0 },
		{ "Label_1 SENT ", NULL, "b b", "\\Seen ", 1, 0 },
		{ "Label_3 ", "Archive", "Archive", "\\Seen /x ", 1, 0 },
		{ "Label_9 ", "Archive", "Archive", "\\Seen ", 0, 1 },
		{ "CATEGORY_SOCIAL YELLOW_STAR ", "Archive", "Archive",
		    "\\Seen ", 0, 0 },
	};
	json_t *names = json_pack("{s:s, s:s, s:s}", "Label_1", "b b",
	    "Label_2", "A/b", "Label_3", "/x");

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct gmail_place p = { .flags = BUF_INIT };
		bool unknown;

		gmail_place_of(slice_str(tests[i].labels), names,
		    tests[i].folders, &p, &unknown);
		assert_int_equal(unknown, tests[i].unknown);
		assert_true(slice_eq_str(p.mailbox, tests[i].mailbox));
		if (tests[i].use == NULL)
			assert_null(p.use);
		else
			assert_string_equal(p.use, tests[i].use);
		assert_string_equal(buf_str(&p.flags), tests[i].flags);
		buf_clear(&p.flags);
	}
	json_decref(names);
}

/* What is to be changed there of what changed here, and what is there then. */
static void
edits(void **state)
{
	static const struct {
		const char *labels, *flags_add, *flags_remove, *use, *mailbox;
		const char *from, *to, *add, *remove, *after;
	} tests[] = {
		{ "INBOX UNREAD ", "\\Seen ", "", NULL, NULL, NULL, NULL, "",
		    "UNREAD ", "INBOX " },
		{ "INBOX ", "\\Flagged $important ", "\\Seen ", NULL, NULL,
		    NULL, NULL, "STARRED IMPORTANT UNREAD ", "",
		    "INBOX STARRED IMPORTANT UNREAD " },
		/* What it has, or has not, is left out. */
		{ "STARRED ", "\\Seen \\Flagged ", "$Important ", NULL, NULL,
		    NULL, NULL, "", "", "STARRED " },
		/* What is no label there. */
		{ "INBOX ", "\\Answered NonJunk ", "\\Draft x ", NULL, NULL,
		    NULL, NULL, "", "", "INBOX " },
		/* Two labels are one keyword: one comes, both go. */
		{ "INBOX ", "B_B ", "", NULL, NULL, NULL, NULL, "Label_1 ", "",
		    "INBOX Label_1 " },
		{ "Label_4 ", "b_b ", "", NULL, NULL, NULL, NULL, "", "",
		    "Label_4 " },
		{ "Label_1 INBOX Label_4 ", "", "b_b ", NULL, NULL, NULL, NULL,
		    "", "Label_1 Label_4 ", "INBOX " },
		{ "INBOX UNREAD ", "", "", "Archive", "Archive", NULL, NULL, "",
		    "INBOX ", "UNREAD " },
		{ "INBOX SPAM Label_2 ", "", "", "Trash", "Trash", "Label_2",
		    NULL, "TRASH ", "SPAM INBOX ", "Label_2 TRASH " },
		{ "TRASH ", "", "", "", "INBOX", NULL, NULL, "INBOX ",
		    "TRASH ", "INBOX " },
		{ "Label_2 ", "", "", "", "b b", "Label_2", "Label_1",
		    "Label_1 ", "Label_2 ", "Label_1 " },
		{ "SENT INBOX ", "", "", "Sent", "Sent", NULL, NULL, "",
		    "INBOX ", "SENT " },
		{ "", "", "", "Junk", "Junk", NULL, NULL, "SPAM ", "",
		    "SPAM " },
	};
	json_t *names = json_pack("{s:s, s:s, s:s}", "Label_1", "b b",
	    "Label_2", "A/b", "Label_4", "B(B");
	json_t *words = gmail_words_of(names);

	(void)state;
	assert_true(gmail_flag_is_theirs(words, SLICE_LIT("a/B")));
	assert_true(gmail_flag_is_theirs(words, SLICE_LIT("\\seen")));
	assert_false(gmail_flag_is_theirs(words, SLICE_LIT("\\Answered")));
	assert_false(gmail_flag_is_theirs(words, SLICE_LIT("b b")));
	assert_string_equal(
	    gmail_label_named(names, SLICE_LIT("A/b")), "Label_2");
	assert_null(gmail_label_named(names, SLICE_LIT("A")));
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct slice labels = slice_str(tests[i].labels);
		struct gmail_edit e = { .add = BUF_INIT };
		struct buf after = BUF_INIT;

		gmail_edit_flags(&e, labels, words,
		    slice_str(tests[i].flags_add),
		    slice_str(tests[i].flags_remove));
		if (tests[i].use != NULL)
			gmail_edit_place(&e, labels, slice_str(tests[i].use),
			    slice_str(tests[i].mailbox), tests[i].from,
			    tests[i].to);
		assert_string_equal(buf_str(&e.add), tests[i].add);
		assert_string_equal(buf_str(&e.remove), tests[i].remove);
		gmail_edit_apply(&e, labels, &after);
		assert_string_equal(buf_str(&after), tests[i].after);
		gmail_edit_clear(&e);
		buf_clear(&after);
	}
	json_decref(words);
	json_decref(names);
}

static void
envelopes(void **state)
{
	static const struct slice to[] = { SLICE_LIT("a@x.example"),
		SLICE_LIT("b@x.example") };
	static const struct {
		const char *header, *bcc;
		bool others;
	} tests[] = {
		{ "To: A <a@x.example>, b@X.example\r\n\r\n", "", false },
		{ "Cc: g: b@x.example;\r\nTo: a@x.example\r\n\r\n", "", false },
		{ "To: a@x.example\r\n\r\n", "Bcc: b@x.example\r\n", false },
		{ "Bcc: b@x.example\r\n\r\n", "Bcc: a@x.example\r\n", false },
		{ "Subject: x\r\n\r\n", "Bcc: a@x.example,\r\n b@x.example\r\n",
		    false },
		{ "To: a@x.example, b@x.example, c@x.example\r\n\r\n", "",
		    true },
		{ "To: a@x.example, b@x.example\r\nBcc: c@x.example\r\n\r\n",
		    "", true },
		{ "To: a@x.example, b@x.example\r\nResent-To: a@x.example\r\n"
		  "\r\n",
		    "", true },
		{ "To: a@x.example, b@x.example, <c\r\n\r\n", "", true },
		/* The header's end is not seen. */
		{ "To: a@x.example, b@x.example\r\n", "", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		struct arena a = ARENA_INIT_MAX(1 << 20);
		struct buf bcc = BUF_INIT, text = BUF_INIT;
		bool others;

		buf_put_str(&text, tests[i].header);
		if (i + 1 < sizeof(tests) / sizeof(tests[0]))
			buf_put_str(&text, "body\r\n");
		assert_int_equal(
		    gmail_envelope(&a, buf_slice(&text), to, 2, &bcc, &others),
		    0);
		assert_int_equal(others, tests[i].others);
		if (!others)
			assert_string_equal(buf_str(&bcc), tests[i].bcc);
		buf_clear(&bcc);
		buf_clear(&text);
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places),
		cmocka_unit_test(edits),
		cmocka_unit_test(envelopes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
