/* SPDX-License-Identifier: ISC */
/* Maildir's names and side files; line endings; what was seen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "mailbox/door/lines.h"
#include "mailbox/door/maildir.h"
#include "mailbox/door/seen.h"

/* --- file names --- */

static const struct {
	const char *name, *base, *id;
	uint32_t flags, letters;
	bool passed;
	uint64_t order;
} names[] = {
	{ "1700000000.P1.host", "1700000000.P1.host", "1700000000.P1.host", 0,
	    0, false, 1700000000 },
	{ "17.a:2,", "17.a", "17.a", 0, 0, false, 17 },
	{ "17.a,S=5,W=6:2,DFRST", "17.a,S=5,W=6", "17.a", 0x1f, 0, false, 17 },
	{ "17.a:2,PSabz", "17.a", "17.a", MAILS_SEEN, 0x2000003, true, 17 },
	{ "17.a,U=4:2,FS,x", "17.a,U=4", "17.a",
	    MAILS_SEEN | MAILS_FLAGGED_FLAG, 0, false, 17 },
	{ "17.a!2,S", "17.a", "17.a", MAILS_SEEN, 0, false, 17 },
	{ "17.a:1,S", "17.a", "17.a", 0, 0, false, 17 },
	{ "a:b:2,S", "a:b", "a:b", MAILS_SEEN, 0, false, 0 },
	{ "", "", "", 0, 0, false, 0 },
};

static void
file_names(void **state)
{
	struct maildir_name n;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		maildir_name_parse(slice_str(names[i].name), &n);
		assert_true(slice_eq_str(n.base, names[i].base));
		assert_true(slice_eq_str(n.id, names[i].id));
		assert_int_equal(n.flags, names[i].flags);
		assert_int_equal(n.letters, names[i].letters);
		assert_int_equal(n.passed, names[i].passed);
		assert_int_equal(n.order, names[i].order);
	}
}

static void
infos(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	maildir_put_info(&b, 0, false, 0);
	maildir_put_info(&b, 0x1f, true, 0x2000001);
	maildir_put_info(&b, MAILS_SEEN, true, 0);
	assert_string_equal(buf_str(&b), ":2,:2,DFPRSTaz:2,PS");
	buf_clear(&b);
}

/* --- folders --- */

static const struct {
	const char *mailbox, *folder;
	bool one_way; /* others write so; we do not */
} folders[] = {
	{ "Sent", "Sent", false },
	{ "work/2026/may", "work.2026.may", false },
	{ "a.b/c", "a&AC4-b.c", false },
	{ "...", "&AC4-&AC4-&AC4-", false },
	{ "R&D", "R&-D", false },
	{ "Entw\xc3\xbcrfe", "Entw&APw-rfe", false },
	{ "\xc3\xa9.\xc3\xa9", "&AOk-&AC4-&AOk-", false },
	{ "\xf0\x9f\x93\xac", "&2D3c7A-", false },
	{ "INBOX/sub", "INBOX.sub", false },
	{ "a/b", "a..b", true },
	{ "Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe", true },
	{ "Entw_rfe", "Entw\xfcrfe", true },
	{ "a_b", "a&AC8-b", true }, /* '/' */
	{ "x~y", "x&AH4-y", true }, /* Courier */
	{ "a&b", "a&b", true },     /* broken */
	{ "a&AOk", "a&AOk", true }, /* broken */
	{ "a_", "a&2D0-", true },   /* half a pair */
	{ "a_b", "a\tb", true },
};

static void
folder_names(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		buf_reset(&b);
		assert_true(
		    maildir_folder_decode(&b, slice_str(folders[i].folder)));
		assert_string_equal(buf_str(&b), folders[i].mailbox);
		if (folders[i].one_way)
			continue;
		buf_reset(&b);
		assert_true(
		    maildir_folder_encode(&b, slice_str(folders[i].mailbox)));
		assert_string_equal(buf_str(&b), folders[i].folder);
	}
	buf_reset(&b);
	assert_false(maildir_folder_encode(&b, SLICE_LIT("a\xff")));
	buf_clear(&b);
}

/* --- keywords --- */

static void
dovecot_keywords(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct maildir_keywords k = { 0 };
	struct door_meta m = { 0 };

	(void)state;
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("0 $Junk"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("2 work\r"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("25 last"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("26 none"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("x none"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("1"));
	maildir_dovecot_keyword(&k, &a, SLICE_LIT("3 not(atom"));
	maildir_keywords_add(&k, UINT64_MAX, &m, &a);
	assert_int_equal(m.n_keywords, 3);
	assert_string_equal(m.keywords[0], "$Junk");
	assert_string_equal(m.keywords[1], "work");
	assert_string_equal(m.keywords[2], "last");
	assert_null(m.keywords[3]);
	m.n_keywords = 0;
	maildir_keywords_add(&k, 1u << 2, &m, &a);
	assert_int_equal(m.n_keywords, 1);
	assert_string_equal(m.keywords[0], "work");
	arena_reset(&a);
}

static void
courier_keywords(void **state)
{
	static const char *const lines[] = { "$Label1", "work", "", "17.a:0 1",
		"18.b:1", "19.c:", "20.d:70 0", "bad", ":0" };
	struct arena a = ARENA_INIT_MAX(65536);
	struct maildir_courier c = { 0 };
	struct buf got = BUF_INIT;
	struct slice base;
	uint64_t bits;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (maildir_courier_line(
			&c, &a, slice_str(lines[i]), &base, &bits))
			buf_printf(&got, "%.*s=%llx ", (int)base.n, base.p,
			    (unsigned long long)bits);
	assert_string_equal(buf_str(&got), "17.a=3 18.b=2 19.c=0 20.d=1 ");
	assert_int_equal(c.keywords.n, 2);
	assert_string_equal(c.keywords.names[1], "work");
	buf_clear(&got);
	arena_reset(&a);
}

static const struct {
	const char *line, *base;
	uint32_t uid;
} uids[] = {
	{ "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1", NULL, 0 },
	{ "25006 :1276528487.M364837P9451.kurkku,S=1355,W=1394:2,",
	    "1276528487.M364837P9451.kurkku,S=1355,W=1394:2,", 25006 },
	{ "25017 W2481 :1276533073.M242911P3632.kurkku",
	    "1276533073.M242911P3632.kurkku", 25017 },
	{ "1 1275660208 25022", NULL, 0 },
	{ "12 17.a", "17.a", 12 },
	{ "0 17.a", NULL, 0 },
	{ "12", NULL, 0 },
	{ "x :17", NULL, 0 },
};

static void
uid_lists(void **state)
{
	struct slice base;
	uint32_t uid;

	(void)state;
	for (size_t i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
		bool is =
		    maildir_uid_line(slice_str(uids[i].line), &base, &uid);

		assert_int_equal(is, uids[i].base != NULL);
		if (!is)
			continue;
		assert_true(slice_eq_str(base, uids[i].base));
		assert_int_equal(uid, uids[i].uid);
	}
}

/* --- subscriptions --- */

static const struct {
	enum maildir_subscriptions kind;
	const char *lines[5], *want;
} subscriptions[] = {
	{ MAILDIR_DOVECOT_1, { "INBOX", "work.2026", "a&AC4-b\r", "" },
	    "INBOX;work/2026;a.b;" },
	{ MAILDIR_DOVECOT_1, { "V\t2", "", "INBOX", "work\t2026.5" },
	    "INBOX;work/2026.5;" },
	{ MAILDIR_DOVECOT_1, { "V\t2", "", "a\001tb", "b\t\tc" }, "b/c;" },
	{ MAILDIR_COURIER, { "INBOX", "INBOX.Sent", "INBOX.INBOX.a" },
	    "INBOX;Sent;INBOX/a;" },
};

static void
subscribed(void **state)
{
	struct buf name = BUF_INIT, got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		enum maildir_subscriptions kind = subscriptions[i].kind;

		buf_reset(&got);
		for (size_t k = 0; subscriptions[i].lines[k] != NULL; k++)
			if (maildir_subscription(&kind,
				slice_str(subscriptions[i].lines[k]), &name))
				buf_printf(&got, "%s;", buf_str(&name));
		assert_string_equal(buf_str(&got), subscriptions[i].want);
	}
	buf_clear(&name);
	buf_clear(&got);
}

/* --- keywords of a message --- */

static void
metas(void **state)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct door_meta m = { 0 };
	char name[300];

	(void)state;
	assert_true(door_keyword_add(&m, &a, SLICE_LIT("b")));
	assert_true(door_keyword_add(&m, &a, SLICE_LIT("B")));
	assert_true(door_keyword_add(&m, &a, SLICE_LIT("a")));
	assert_int_equal(m.n_keywords, 2);
	door_keywords_sort(&m);
	assert_string_equal(m.keywords[0], "a");
	assert_false(door_keyword_add(&m, &a, SLICE_LIT("")));
	assert_false(door_keyword_add(&m, &a, SLICE_LIT("\\Seen")));
	assert_false(door_keyword_add(&m, &a, SLICE_LIT("a b")));
	memset(name, 'x', sizeof(name));
	assert_false(door_keyword_add(&m, &a, slice(name, 256)));
	for (int i = 0; i < 70; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		assert_int_equal(
		    door_keyword_add(&m, &a, slice_str(name)), i < 62);
	}
	assert_int_equal(m.n_keywords, MAILS_KEYWORDS_MAX);
	assert_null(m.keywords[MAILS_KEYWORDS_MAX]);
	arena_reset(&a);
}

/* --- line endings --- */

static const struct {
	const char *in, *crlf, *lf;
	bool plain;
} lines[] = {
	{ "", "", "", true },
	{ "a\nb\n", "a\r\nb\r\n", "a\nb\n", false },
	{ "a\r\nb\r\n", "a\r\nb\r\n", "a\nb\n", true },
	{ "\n\n", "\r\n\r\n", "\n\n", false },
	{ "\r\n\r\n", "\r\n\r\n", "\n\n", true },
	{ "a\r\r\nb", "a\r\r\nb", "a\r\nb", false },
	{ "a\rb\r", "a\rb\r", "a\rb\r", true },
	{ "\r", "\r", "\r", true },
	{ "\r\r", "\r\r", "\r\r", true },
	{ "\r\n\n", "\r\n\r\n", "\n\n", false },
};

static void
line_endings(void **state)
{
	struct buf crlf = BUF_INIT, lf = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		for (size_t step = 1; step < 5; step++) {
			struct slice in = slice_str(lines[i].in);
			struct line_census c = { 0 };
			struct crlf_maker to_crlf = { 0 };
			struct lf_maker to_lf = { 0 };

			buf_reset(&crlf);
			buf_reset(&lf);
			for (; in.n > 0; in = slice_from(in, step)) {
				crlf_make(
				    &to_crlf, slice_head(in, step), &crlf);
				lf_make(&to_lf, slice_head(in, step), &lf);
				line_census_feed(&c, slice_head(in, step));
			}
			lf_make_end(&to_lf, &lf);
			assert_string_equal(buf_str(&crlf), lines[i].crlf);
			assert_string_equal(buf_str(&lf), lines[i].lf);
			assert_int_equal(
			    line_census_is_plain(&c), lines[i].plain);
			assert_int_equal(c.octets, strlen(lines[i].in));
			assert_int_equal(line_census_lf_octets(&c), lf.n);
			if (!lines[i].plain)
				continue;
			/* Out and in again is the same. */
			to_crlf = (struct crlf_maker){ 0 };
			buf_reset(&crlf);
			crlf_make(&to_crlf, buf_slice(&lf), &crlf);
			assert_string_equal(buf_str(&crlf), lines[i].in);
		}
	buf_clear(&crlf);
	buf_clear(&lf);
}

/* --- what was seen --- */

static void
seen_before(void **state)
{
	struct seen s = { 0 };
	uint32_t times;

	(void)state;
	for (uint32_t round = 0; round < 3; round++)
		for (uint64_t i = 0; i < 10000; i++) {
			assert_int_equal(
			    seen_count(&s, i * i << 20, &times), 0);
			assert_int_equal(times, round);
		}
	seen_clear(&s);
	assert_int_equal(seen_count(&s, 0, &times), 0);
	assert_int_equal(times, 0);
	seen_clear(&s);
}

/* --- keys --- */

static void
keys(void **state)
{
	const struct slice one[] = { SLICE_LIT("ab"), SLICE_LIT("c") };
	const struct slice two[] = { SLICE_LIT("a"), SLICE_LIT("bc") };
	struct door_key a, b;

	(void)state;
	door_key_make(&a, 'm', one, 2);
	door_key_make(&b, 'm', one, 2);
	assert_memory_equal(&a, &b, sizeof(a));
	door_key_make(&b, 'm', two, 2);
	assert_memory_not_equal(&a, &b, sizeof(a));
	door_key_make(&b, 'n', one, 2);
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_true(door_fingerprint(one, 2) != door_fingerprint(two, 2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file_names),
		cmocka_unit_test(infos),
		cmocka_unit_test(folder_names),
		cmocka_unit_test(dovecot_keywords),
		cmocka_unit_test(courier_keywords),
		cmocka_unit_test(uid_lists),
		cmocka_unit_test(subscribed),
		cmocka_unit_test(metas),
		cmocka_unit_test(line_endings),
		cmocka_unit_test(seen_before),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
