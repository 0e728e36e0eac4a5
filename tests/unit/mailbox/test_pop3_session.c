/* SPDX-License-Identifier: ISC */
/* Dialogues with POP3 sessions. */
#include "mailbox/pop3/pop3.h"
#include "tests/unit/mailbox/dialogue.h"

static const char first[] =
    "Subject: one\r\n\r\n.dot\r\nsecond line\r\nthird\r\n";
static const char second[] = "Subject: no line end\r\n\r\nx";

static void
fill(struct mails *m)
{
	struct fake_box *b = &m->boxes[0];

	fake_add(b, slice_str(first), (struct mails_flags){ 0, 0 }, 1);
	fake_add(b, slice_str(second), (struct mails_flags){ 0, 0 }, 1);
}

static void
break_second(struct mails *m)
{
	m->broken_uid = 2;
}

static void
break_first_late(struct mails *m)
{
	m->broken_uid = 1;
	m->broken_from = 20;
}

static void
disk_full(struct mails *m)
{
	m->write_error = -ENOSPC;
}

static void
remove_first(struct mails *m)
{
	fake_remove(&m->boxes[0], 0);
}

static const struct step reading[] = {
	{ 0, "STAT\r\n", "+OK 2 67\r\n", NULL },
	{ 0, "list\r\n", "+OK Listing follows\r\n1 42\r\n2 25\r\n.\r\n", NULL },
	{ 0, "LIST 2\r\n", "+OK 2 25\r\n", NULL },
	{ 0, "UIDL\r\n", "+OK Listing follows\r\n1 1001.1\r\n2 1001.2\r\n.\r\n",
	    NULL },
	{ 0, "UIDL 1\r\n", "+OK 1 1001.1\r\n", NULL },
	{ 0, "RETR 1\r\n",
	    "+OK Message follows\r\nSubject: one\r\n\r\n..dot\r\n"
	    "second line\r\nthird\r\n.\r\n",
	    NULL },
	{ 0, "RETR 2\r\n",
	    "+OK Message follows\r\nSubject: no line end\r\n\r\nx\r\n.\r\n",
	    NULL },
	{ 0, "TOP 1 0\r\n", "+OK Message follows\r\nSubject: one\r\n\r\n.\r\n",
	    NULL },
	{ 0, "TOP 1 1\r\n",
	    "+OK Message follows\r\nSubject: one\r\n\r\n..dot\r\n.\r\n", NULL },
	{ 0, "TOP 1 99\r\n",
	    "+OK Message follows\r\nSubject: one\r\n\r\n..dot\r\n"
	    "second line\r\nthird\r\n.\r\n",
	    NULL },
	{ 0, "TOP 1\r\n", "-ERR Number of lines expected\r\n", NULL },
	{ 0, "RETR\r\n", "-ERR Message number expected\r\n", NULL },
	{ 0, "RETR 3\r\n", "-ERR No such message\r\n", NULL },
	{ 0, "RETR 0\r\n", "-ERR No such message\r\n", NULL },
	{ 0, "RETR -1\r\n", "-ERR Message number expected\r\n", NULL },
	{ 0, "USER x\r\n", "-ERR Logged in already\r\n", NULL },
	{ 0, "NOPE\r\n", "-ERR Unknown command\r\n", NULL },
	{ 0, "NOOP\r\nNOOP\r\n", "+OK Nothing done\r\n+OK Nothing done\r\n",
	    NULL },
	END,
};

/* Deleting is done by QUIT alone, and seen by nobody before. */
static const struct step deleting[] = {
	{ 0, "DELE 1\r\n", "+OK Message will be deleted\r\n", NULL },
	{ 0, "DELE 1\r\n", "-ERR Message is deleted\r\n", NULL },
	{ 0, "RETR 1\r\n", "-ERR Message is deleted\r\n", NULL },
	{ 0, "STAT\r\n", "+OK 1 25\r\n", NULL },
	{ 0, "LIST\r\n", "+OK Listing follows\r\n2 25\r\n.\r\n", NULL },
	{ 1, "STAT\r\n", "+OK 2 67\r\n", NULL },
	{ 0, "RSET\r\n", "+OK Nothing will be deleted\r\n", NULL },
	{ 0, "STAT\r\n", "+OK 2 67\r\n", NULL },
	{ 0, "DELE 2\r\n", "+OK Message will be deleted\r\n", NULL },
	{ 0, "QUIT\r\n", "+OK Bye\r\n", NULL },
	{ 1, "RETR 2\r\n", "-ERR No such message any more\r\n", NULL },
	{ 1, "DELE 2\r\n", "+OK Message will be deleted\r\n", NULL },
	{ 1, "QUIT\r\n", "+OK Bye\r\n", NULL },
	END,
};

static const struct step trouble[] = {
	{ 0, "RETR 2\r\n", "-ERR [SYS/TEMP] Try again later [ref ~]~\r\n",
	    break_second },
	{ 0, "NOOP\r\n", "+OK Nothing done\r\n", NULL },
	/* a part must not be taken for the whole */
	{ 1, "RETR 1\r\n", "+OK Message follows\r\nSubject: one\r\n",
	    break_first_late },
	{ 0, "DELE 2\r\n", "+OK Message will be deleted\r\n", disk_full },
	{ 0, "QUIT\r\n", "-ERR [SYS/TEMP] Deleted messages are not removed [ref ~]~\r\n",
	    NULL },
	END,
};

static const struct step gone[] = {
	{ 0, "RETR 1\r\n", "-ERR No such message any more\r\n", remove_first },
	{ 0, "RETR 2\r\n",
	    "+OK Message follows\r\nSubject: no line end\r\n\r\nx\r\n.\r\n",
	    NULL },
	{ 0, "TOP 1 1\r\n", "-ERR No such message any more\r\n", NULL },
	END,
};

static const struct dialogue dialogues[] = {
	{ "reading", reading },
	{ "deleting", deleting },
	{ "trouble", trouble },
	{ "gone", gone },
};

static void
serve(struct mails *m, struct conn *c)
{
	const struct pop3_env env = { .mails = m, .preauth = "alice@x" };

	pop3_serve(&env, c);
}

static void
dialogue(void **state)
{
	run_dialogue(*state, fill, serve, "+OK Logged in\r\n");
}

int
main(void)
{
	struct CMUnitTest tests[sizeof(dialogues) / sizeof(dialogues[0])];
	size_t n = 0;

	for (; n < sizeof(dialogues) / sizeof(dialogues[0]); n++)
		tests[n] = (struct CMUnitTest){ dialogues[n].name, dialogue,
			NULL, NULL, (void *)(uintptr_t)&dialogues[n] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
