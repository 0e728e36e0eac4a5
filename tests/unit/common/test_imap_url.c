/* SPDX-License-Identifier: ISC */
/* IMAP URLs: those of RFC 4467 and 5092, and what is none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/imap_url.h"

#define TOKEN "91354a473744909de610943775f92038"

/* user|host|mailbox|uidvalidity|uid|section|from.max|access|access user|
 * mechanism|rump's length less the URL's */
static const struct {
	const char *url, *expected;
} good[] = {
	{ "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+"
	  "fred:internal:" TOKEN,
	    "joe|example.com|INBOX|0|20|1.2|-|1|fred|internal|-42" },
	{ "imap://joe@example.com/INBOX/;uid=20/;section=1.2;urlauth=submit+"
	  "fred",
	    "joe|example.com|INBOX|0|20|1.2|-|1|fred||0" },
	{ "imap://joe@example.com/INBOX/;uid=20/;section=1.2",
	    "joe|example.com|INBOX|0|20|1.2|-|0|||0" },
	{ "imap://example.com/Shared/;uid=20/;section=1.2;urlauth=submit+fred",
	    "|example.com|Shared|0|20|1.2|-|1|fred||0" },
	{ "imap://harry@gryffindor.example.com/outbox;uidvalidity=1078863300/"
	  ";uid=25;urlauth=submit+harry:internal:" TOKEN,
	    "harry|gryffindor.example.com|outbox|1078863300|25||-|1|harry|"
	    "internal|-42" },
	{ "IMAP://a%40b.test;AUTH=*@h.test:143/a%20b%2Fc/d/;UID=1",
	    "a@b.test|h.test:143|a b/c/d|0|1||-|0|||0" },
	{ "imap://u@h/x/;UID=4294967295/;SECTION=HEADER.FIELDS%20(DATE)"
	  "/;PARTIAL=5.10;EXPIRE=2026-11-20T22:00:00Z;URLAUTH=user+a%40b",
	    "u|h|x|0|4294967295|HEADER.FIELDS (DATE)|5.10|2|a@b||0" },
	{ "imap://u@h/x/;UID=1/;PARTIAL=7;URLAUTH=authuser",
	    "u|h|x|0|1||7.0|3|||0" },
	{ "imap://u@h/x/;UID=1;URLAUTH=ANONYMOUS:INTERNAL:" TOKEN "aB",
	    "u|h|x|0|1||-|4||INTERNAL|-44" },
	{ "imap://u@h/%C3%A9/;UID=1", "u|h|\xc3\xa9|0|1||-|0|||0" },
};
static const char *const bad[] = {
	"",
	"imap://",
	"imap://h",
	"imap://u@h/",
	"imap://u@h/INBOX",
	"imap://u@h/INBOX?SUBJECT%20x",
	"imap://u@h/INBOX;TYPE=LIST",
	"imap://u@h/;UID=1",
	"imap://u@h//;UID=",
	"imap://u@h/x/;UID=0",
	"imap://u@h/x/;UID=4294967296",
	"imap://u@h/x/;UID=1x",
	"imap://u@h/x/;UID=*",
	"imap://u@h/x;UIDVALIDITY=0/;UID=1",
	"imap://@h/x/;UID=1",
	"imap://u@/x/;UID=1",
	"imap://u@h/x%/;UID=1",
	"imap://u@h/x%0D%0A/;UID=1",
	"imap://u@h/x%00/;UID=1",
	"imap://u@h/x%ff/;UID=1",
	"imap://u@h/x/;UID=1 LAST",
	"imap://u@h/x\"/;UID=1",
	"imap://u@h/\xc3\xa9/;UID=1",
	"imap://u@h/x/;UID=1/;SECTION=",
	"imap://u@h/x/;UID=1/;PARTIAL=",
	"imap://u@h/x/;UID=1/;PARTIAL=1.0",
	"imap://u@h/x/;UID=1;EXPIRE=tomorrow;URLAUTH=authuser",
	"imap://u@h/x/;UID=1;URLAUTH=",
	"imap://u@h/x/;UID=1;URLAUTH=root",
	"imap://u@h/x/;UID=1;URLAUTH=submit+",
	"imap://u@h/x/;UID=1;URLAUTH=authuser:",
	"imap://u@h/x/;UID=1;URLAUTH=authuser:internal",
	"imap://u@h/x/;UID=1;URLAUTH=authuser:internal:",
	"imap://u@h/x/;UID=1;URLAUTH=authuser:internal:1234",
	"imap://u@h/x/;UID=1;URLAUTH=authuser:in_ternal:" TOKEN,
	"imap://u@h/x/;UID=1;URLAUTH=authuser:internal:" TOKEN "g",
	"http://u@h/x/;UID=1",
	"imaps://u@h/x/;UID=1",
};

static const char *
text_of(struct arena *a, const struct imap_url *u, size_t n)
{
	return arena_printf(a, "%.*s|%.*s|%.*s|%u|%u|%.*s|%s|%d|%.*s|%.*s|%d",
	    (int)u->user.n, u->user.p, (int)u->host.n, u->host.p,
	    (int)u->mailbox.n, u->mailbox.p, u->uidvalidity, u->uid,
	    (int)u->section.n, u->section.p,
	    u->partial ? arena_printf(a, "%llu.%llu",
			     (unsigned long long)u->from,
			     (unsigned long long)u->max)
		       : "-",
	    (int)u->access, (int)u->access_user.n, u->access_user.p,
	    (int)u->mechanism.n, u->mechanism.p, (int)u->rump.n - (int)n);
}

static void
urls_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct slice in = slice_str(good[i].url);
		struct arena a = ARENA_INIT_MAX(0);
		struct imap_url u;

		assert_int_equal(imap_url_parse(&a, in, &u), 0);
		assert_string_equal(text_of(&a, &u, in.n), good[i].expected);
		arena_reset(&a);
	}
}

static void
what_is_none_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct imap_url u;
		int rc = imap_url_parse(&a, slice_str(bad[i]), &u);

		if (rc != -EINVAL)
			print_error("%s\n", bad[i]);
		assert_int_equal(rc, -EINVAL);
		arena_reset(&a);
	}
}

static void
expiry_is_a_time(void **state)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct imap_url u;

	(void)state;
	assert_int_equal(
	    imap_url_parse(&a,
		SLICE_LIT("imap://u@h/x/;UID=1;EXPIRE=1970-01-02T01:00:00+01:00"
			  ";URLAUTH=authuser"),
		&u),
	    0);
	assert_int_equal(u.expire_s, 86400);
	assert_int_equal(
	    imap_url_parse(&a, SLICE_LIT("imap://u@h/x/;UID=1"), &u), 0);
	assert_true(u.expire_s == INT64_MAX);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(expiry_is_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
