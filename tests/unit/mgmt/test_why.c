/* SPDX-License-Identifier: ISC */
/* pneu why: what is asked, which records answer, and their words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "mgmt/why.h"

#define ID_A "01M8H2C9R8BVNSMAAA"
#define ID_B "01M8H2C9RW4795PBBB"
#define ID_C "01M8H2F2PS4HH8FCCC"

#define F(name, text) [TRACE_##name] = { text, sizeof(text) - 1 }

/* --- words --- */

static const struct {
	const char *program;
	struct trace_record r;
	const char *words;
} words_cases[] = {
	{ "mta",
	    { .kind = TRACE_CONNECT,
		.code = 421,
		.enhanced = "4.7.0",
		.field = { F(PEER, "192.0.2.1"), F(RULE, "mta.max_per_address"),
		    F(TEXT, "too many connections") } },
	    "turned away the connection from 192.0.2.1: 421 4.7.0 too many "
	    "connections (mta.max_per_address)" },
	{ "mta",
	    { .kind = TRACE_COMMAND,
		.code = 503,
		.enhanced = "5.5.1",
		.field = { F(PEER, "192.0.2.1"), F(RULE, "DATA"),
		    F(TEXT, "Not at this point") } },
	    "refused a command of 192.0.2.1: 503 5.5.1 Not at this point "
	    "(DATA)" },
	{ "mailbox",
	    { .kind = TRACE_AUTH,
		.code = 235,
		.field = { F(PEER, "2001:db8::1"), F(ACCOUNT, "a@b.test"),
		    F(RULE, "SCRAM-SHA-256"), F(TEXT, "IMAP") } },
	    "a@b.test signed in from 2001:db8::1 by IMAP (SCRAM-SHA-256)" },
	{ "msa",
	    { .kind = TRACE_AUTH,
		.code = 235,
		.field = { F(PEER, "192.0.2.1"), F(ACCOUNT, "a@b.test"),
		    F(RULE, "PLAIN"), F(TEXT, "signed in") } },
	    "a@b.test signed in from 192.0.2.1 (PLAIN)" },
	{ "msa",
	    { .kind = TRACE_AUTH,
		.code = 535,
		.enhanced = "5.7.8",
		.field = { F(PEER, "192.0.2.1"), F(ACCOUNT, "a@b.test"),
		    F(RULE, "password"), F(TEXT, "wrong password") } },
	    "refused the sign-in as a@b.test from 192.0.2.1: 535 5.7.8 wrong "
	    "password (password)" },
	{ "msa",
	    { .kind = TRACE_AUTH,
		.code = 454,
		.enhanced = "4.7.0",
		.field = { F(PEER, "192.0.2.1"), F(RULE, "auth.block_address"),
		    F(TEXT, "not checked") } },
	    "put off the sign-in under a strange name from 192.0.2.1: 454 "
	    "4.7.0 not checked (auth.block_address)" },
	{ "mta",
	    { .kind = TRACE_SESSION,
		.field = { F(PEER, "192.0.2.1"),
		    F(TEXT, "mx.test, 1 messages, 1 recipients: QUIT") } },
	    "the connection from 192.0.2.1 ended: mx.test, 1 messages, 1 "
	    "recipients: QUIT" },
	{ "mta",
	    { .kind = TRACE_MAIL,
		.code = 250,
		.octets = 2048,
		.field = { F(PEER, "192.0.2.1"), F(SENDER, "x@y.test"),
		    F(TEXT, "mx.y.test") } },
	    "192.0.2.1 (mx.y.test) brings a message from <x@y.test>, 2.0 KiB" },
	{ "mta",
	    { .kind = TRACE_MAIL, .code = 250, .field = { F(SENDER, "") } },
	    "a program on this machine brings a message from <>" },
	{ "msa",
	    { .kind = TRACE_MAIL,
		.code = 550,
		.enhanced = "5.7.1",
		.field = { F(SENDER, "x@y.test"), F(RULE, "not yours"),
		    F(TEXT, "may not send as") } },
	    "refused the sender <x@y.test>: 550 5.7.1 may not send as (not "
	    "yours)" },
	{ "guard",
	    { .kind = TRACE_RCPT,
		.code = 250,
		.field = { F(RECIPIENT, "a@b.test"),
		    F(RULE, "account a@b.test") } },
	    "knows the recipient <a@b.test> (account a@b.test)" },
	{ "mta",
	    { .kind = TRACE_RCPT,
		.code = 250,
		.field = { F(RECIPIENT, "a@b.test"), F(RULE, "guard") } },
	    "took the recipient <a@b.test> (guard)" },
	{ "guard",
	    { .kind = TRACE_RCPT,
		.code = 251,
		.field = { F(RECIPIENT, "s@b.test"), F(RULE, "alias s@b.test"),
		    F(TEXT, "<a@b.test> local <c@d.test> relay") } },
	    "<s@b.test> stands for <a@b.test>, <c@d.test> (alias s@b.test)" },
	{ "guard",
	    { .kind = TRACE_RCPT,
		.code = 550,
		.enhanced = "5.7.1",
		.field = { F(RECIPIENT, "s@b.test"), F(RULE, "no domain") } },
	    "<s@b.test> is not at this system: 550 5.7.1 (no domain)" },
	{ "mta",
	    { .kind = TRACE_RCPT,
		.code = 452,
		.enhanced = "4.2.2",
		.field = { F(ID, ID_A), F(RECIPIENT, "s@b.test"),
		    F(RULE, "guard"),
		    F(TEXT, "mailbox is full [ref " ID_A "]") } },
	    "put off the recipient <s@b.test>: 452 4.2.2 mailbox is full "
	    "(guard)" },
	{ "mta",
	    { .kind = TRACE_MESSAGE,
		.code = 250,
		.enhanced = "2.0.0",
		.octets = 3 << 20,
		.field = { F(TEXT, "accepted") } },
	    "took the message, 3.0 MiB: 250 2.0.0 accepted" },
	{ "mta",
	    { .kind = TRACE_MESSAGE,
		.code = 552,
		.octets = 900,
		.field = { F(RECIPIENT, "s@b.test"), F(RULE, "mta.max_size"),
		    F(TEXT, "too big") } },
	    "refused the message for <s@b.test>, 900 octets: 552 too big "
	    "(mta.max_size)" },
	{ "mta",
	    { .kind = TRACE_ABORT,
		.field = { F(TEXT, "the client has gone, after 1 recipients") } },
	    "the message never came to its end: the client has gone, after 1 "
	    "recipients" },
	{ "mta",
	    { .kind = TRACE_HANDOVER,
		.code = 250,
		.enhanced = "2.0.0",
		.field = { F(RECIPIENT, "a@b.test"), F(RULE, "mailbox"),
		    F(TEXT, "delivered") } },
	    "handed it to mailbox for <a@b.test>: 250 2.0.0 delivered" },
	{ "mta",
	    { .kind = TRACE_HANDOVER,
		.code = 451,
		.field = { F(RECIPIENT, "a@b.test"), F(RULE, "qm"),
		    F(TEXT, "try later") } },
	    "could not hand it over for <a@b.test>: 451 try later (qm)" },
	{ "mailbox",
	    { .kind = TRACE_STORED,
		.code = 250,
		.field = { F(ACCOUNT, "a@b.test"), F(TEXT, "INBOX as UID 7"),
		    F(RULE, "it was there already") } },
	    "stored it for a@b.test in INBOX as UID 7 (it was there already)" },
	{ "mailbox",
	    { .kind = TRACE_STORED,
		.code = 452,
		.enhanced = "4.2.2",
		.field = { F(ACCOUNT, "a@b.test"), F(TEXT, "mailbox is full"),
		    F(RULE, "quota of a@b.test") } },
	    "could not store it for a@b.test: 452 4.2.2 mailbox is full (quota "
	    "of a@b.test)" },
	{ "qm",
	    { .kind = TRACE_QUEUED,
		.field = { F(TEXT, "as " ID_A "86, for 1 recipient") } },
	    "queued it as " ID_A "86, for 1 recipient" },
	{ "qm",
	    { .kind = TRACE_EXPANDED,
		.field = { F(RECIPIENT, "s@b.test"), F(RULE, "guard"),
		    F(TEXT, "<a@b.test> local") } },
	    "<s@b.test> stands for <a@b.test> (guard)" },
	{ "qm",
	    { .kind = TRACE_ATTEMPT,
		.code = 250,
		.field = { F(RECIPIENT, "c@d.test"), F(RULE, "TLS1.3"),
		    F(PEER, "mx.d.test[192.0.2.9]:25"), F(TEXT, "ok") } },
	    "sent it for <c@d.test> to mx.d.test[192.0.2.9]:25 (TLS1.3), which "
	    "said: 250 ok" },
	{ "qm",
	    { .kind = TRACE_ATTEMPT,
		.code = 450,
		.enhanced = "4.2.0",
		.field = { F(RECIPIENT, "c@d.test"), F(RULE, "no TLS"),
		    F(PEER, "mx.d.test[192.0.2.9]:25"),
		    F(TEXT, "greylisted [ref 12345678]") } },
	    "could not send it yet for <c@d.test>, tried "
	    "mx.d.test[192.0.2.9]:25 (no TLS), which said: 450 4.2.0 "
	    "greylisted [ref 12345678]" },
	{ "qm",
	    { .kind = TRACE_ATTEMPT,
		.code = 550,
		.enhanced = "5.1.2",
		.field = { F(RECIPIENT, "c@d.test"),
		    F(TEXT, "d.test does not exist") } },
	    "failed for good for <c@d.test>: 550 5.1.2 d.test does not exist" },
	{ "qm",
	    { .kind = TRACE_ATTEMPT,
		.code = 250,
		.field = { F(RECIPIENT, "c@d.test"), F(RULE, "mailbox"),
		    F(PEER, "unix:/run/pneu/mailbox.sock"), F(TEXT, "ok") } },
	    "sent it for <c@d.test> to mailbox, which said: 250 ok" },
	{ "qm",
	    { .kind = TRACE_RETRY,
		.field = { F(TEXT, "1 recipient waits, next attempt at T") } },
	    "1 recipient waits, next attempt at T" },
	{ "qm",
	    { .kind = TRACE_EXPIRED,
		.code = 450,
		.field = { F(RECIPIENT, "c@d.test"), F(RULE, "qm.max_age"),
		    F(TEXT, "4.2.0 busy") } },
	    "gave up on <c@d.test>, it was tried for too long; the last reply "
	    "was: 450 4.2.0 busy (qm.max_age)" },
	{ "qm",
	    { .kind = TRACE_REPORT,
		.field = { F(SENDER, "a@b.test"), F(LINK, ID_B),
		    F(TEXT, "1 failed") } },
	    "told <a@b.test> in the report " ID_B ": 1 failed" },
	{ "qm",
	    { .kind = TRACE_REPORT,
		.field = { F(SENDER, ""), F(RECIPIENT, "c@d.test"),
		    F(TEXT, "the message has no sender to be told") } },
	    "told nobody about <c@d.test>: the message has no sender to be "
	    "told" },
	{ "qm",
	    { .kind = TRACE_ORDER,
		.field = { F(TEXT, "hold it"), F(RULE, ID_A "86") } },
	    "an admin ordered: hold it (" ID_A "86)" },
	/* Of a newer version. */
	{ "guard",
	    { .kind = TRACE_KINDS + 3,
		.code = 250,
		.field = { F(TEXT, "fine"), F(RULE, "a rule") } },
	    "250 fine (a rule)" },
	/* What does not print, and what is no UTF-8. */
	{ "mta",
	    { .kind = TRACE_RCPT,
		.code = 250,
		.field = { F(RECIPIENT, "\xc3\xa9\xff\x1b[1m\xc2\x9b@b") } },
	    "took the recipient <\xc3\xa9??[1m?@b>" },
};

static void
each_kind_has_words(void **state)
{
	unsigned seen = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(words_cases) / sizeof(words_cases[0]);
	     i++) {
		struct why_record r = { .r = words_cases[i].r,
			.program = words_cases[i].program };
		struct buf b = BUF_INIT;
		json_t *j;

		why_words(&r, &b);
		assert_string_equal(buf_str(&b), words_cases[i].words);
		buf_clear(&b);
		seen |= 1u << r.r.kind;
		j = why_json(&r);
		assert_string_equal(
		    json_string_value(json_object_get(j, "words")),
		    words_cases[i].words);
		assert_string_equal(
		    json_string_value(json_object_get(j, "program")),
		    words_cases[i].program);
		json_decref(j);
	}
	for (unsigned kind = 1; kind < TRACE_KINDS; kind++)
		assert_true(seen & 1u << kind);
}

static void
a_record_is_data(void **state)
{
	struct why_record r = { .program = "mta",
		.r = { .kind = TRACE_RCPT,
		    .code = 550,
		    .enhanced = "5.1.1",
		    .took_us = 1234,
		    .octets = 99,
		    .at_us = 1795868493123456 } };
	static const char *const names[] = { "id", "connection", "peer",
		"sender", "recipient", "account", "message_id", "rule", "text",
		"link" };
	json_t *j;

	(void)state;
	for (int i = 0; i < TRACE_FIELDS; i++)
		r.r.field[i] = slice_str(names[i]);
	j = why_json(&r);
	for (int i = 0; i < TRACE_FIELDS; i++)
		assert_string_equal(
		    json_string_value(json_object_get(j, names[i])), names[i]);
	assert_string_equal(json_string_value(json_object_get(j, "time")),
	    "2026-11-28T12:21:33.123456Z");
	assert_string_equal(
	    json_string_value(json_object_get(j, "kind")), "rcpt");
	assert_string_equal(
	    json_string_value(json_object_get(j, "enhanced")), "5.1.1");
	assert_int_equal(
	    json_integer_value(json_object_get(j, "duration_us")), 1234);
	assert_int_equal(json_integer_value(json_object_get(j, "octets")), 99);
	assert_int_equal(json_integer_value(json_object_get(j, "code")), 550);
	json_decref(j);
}

static void
durations_are_short(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = { { 0, "0 us" }, { 999, "999 us" }, { 1234, "1.2 ms" },
		{ 1500000, "1.5 s" }, { 3600000000, "60 min" } };
	struct buf b = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_reset(&b);
		why_duration(cases[i].us, &b);
		assert_string_equal(buf_str(&b), cases[i].text);
	}
	buf_clear(&b);
}

/* --- the question --- */

static const struct trace_record sample = { .kind = TRACE_ATTEMPT,
	.at_us = 1000,
	.field = { F(ID, ID_A), F(CONN, "0123ABCD"), F(LINK, ID_B),
	    F(PEER, "mx.d.test[192.0.2.9]:25"), F(SENDER, "Alice@b.test"),
	    F(RECIPIENT, "c@d.test"), F(ACCOUNT, "acc@b.test"),
	    F(MESSAGE_ID, "m1@b.test"), F(RULE, "qm.max_age"),
	    F(TEXT, "queued as " ID_C "86 [ref 89ABCDEF]") } };

static const struct {
	const char *text;
	enum why_what what;
	bool matches;
} query_cases[] = {
	{ NULL, WHY_ALL, true },
	{ ID_A, WHY_ID, true },
	{ "01m8h2c9r8bvnsmaaa", WHY_ID, true },
	{ "[ref " ID_A "]", WHY_ID, true },
	{ "ref " ID_A, WHY_ID, true },
	{ " <" ID_A "> ", WHY_ID, true },
	{ ID_B, WHY_ID, true },
	{ ID_C, WHY_ID, true }, /* in the text */
	{ ID_C "86", WHY_ID, true },
	{ ID_C "87", WHY_ID, false },
	{ "0123abcd", WHY_ID, true },
	{ "[ref 89ABCDEF]", WHY_ID, true },
	{ "00000000", WHY_ID, false },
	{ "alice@B.TEST", WHY_ADDRESS, true },
	{ "c@d.test", WHY_ADDRESS, true },
	{ "acc@b.test", WHY_ADDRESS, true },
	{ "<m1@b.test>", WHY_ADDRESS, true },
	{ "@d.test", WHY_ADDRESS, true },
	{ "@e.test", WHY_ADDRESS, false },
	{ "lice@b.test", WHY_ADDRESS, false },
	{ "192.0.2.9", WHY_NETWORK, true },
	{ "[192.0.2.9]", WHY_NETWORK, true },
	{ "192.0.2.0/24", WHY_NETWORK, true },
	{ "192.0.2.8", WHY_NETWORK, false },
	{ "2001:db8::/32", WHY_NETWORK, false },
	{ "MX.D", WHY_WORD, true },
	{ "max_age", WHY_WORD, true },
	{ "nothing", WHY_WORD, false },
};

static void
questions_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(query_cases) / sizeof(query_cases[0]);
	     i++) {
		struct arena a = { 0 };
		struct why_query q;

		assert_int_equal(
		    why_query_parse(&q, &a, query_cases[i].text), 0);
		if (q.what != query_cases[i].what ||
		    why_query_matches(&q, &sample) != query_cases[i].matches)
			fail_msg("\"%s\"", query_cases[i].text);
		q.since_us = sample.at_us + 1;
		assert_false(why_query_matches(&q, &sample));
		arena_reset(&a);
	}
}

static void
peers_are_found_in_each_form(void **state)
{
	static const struct {
		const char *peer, *network;
		bool matches;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1:25", "192.0.2.1", true },
		{ "2001:db8::1", "2001:db8::/32", true },
		{ "[2001:db8::1]:25", "2001:db8::1", true },
		{ "mx[2001:db8::1]:25", "2001:db8::1", true },
		{ "unix:/run/x", "192.0.2.1", false },
		{ "", "192.0.2.1", false },
		{ NULL, "192.0.2.1", false },
		{ "[", "192.0.2.1", false },
		{ "]192.0.2.1[", "192.0.2.1", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *peer = cases[i].peer;
		struct trace_record r = { .field = { [TRACE_PEER] = {
			    peer, peer == NULL ? 0 : strlen(peer) } } };
		struct why_query q = { .what = WHY_NETWORK,
			.text = slice_str(cases[i].network) };

		if (why_query_matches(&q, &r) != cases[i].matches)
			fail_msg("%s", peer != NULL ? peer : "NULL");
	}
}

static void
times_are_understood(void **state)
{
	static const int64_t now_us = 1795868493000000; /* 12:21:33 UTC */
	static const struct {
		const char *text;
		int64_t us; /* -1: not understood */
	} cases[] = {
		{ "90s", now_us - 90 * 1000000LL },
		{ "15m", now_us - 900 * 1000000LL },
		{ "2h", now_us - 7200 * 1000000LL },
		{ "3d", now_us - 3 * 86400 * 1000000LL },
		{ "1w", now_us - 7 * 86400 * 1000000LL },
		{ "999999w", 0 },
		{ "2026-11-28", 1795824000000000 },
		{ "2026-11-28 12:21", 1795868460000000 },
		{ "2026-11-28T12:21", 1795868460000000 },
		{ "2026-11-28 12:21:33", 1795868493000000 },
		{ "2026-11-28T12:21:33Z", 1795868493000000 },
		{ "", -1 },
		{ "h", -1 },
		{ "1", -1 },
		{ "1y", -1 },
		{ "-1h", -1 },
		{ "1h30m", -1 },
		{ "yesterday", -1 },
		{ "2026-13-01", -1 },
		{ "2026-11-28 12:21 x", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t us = -1;
		int rc = why_since_parse(cases[i].text, now_us, &us);

		if (rc != (cases[i].us == -1 ? -EINVAL : 0) ||
		    us != cases[i].us)
			fail_msg("\"%s\": %lld", cases[i].text, (long long)us);
	}
}

/* --- from rings to journeys --- */

static char dir[64];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pneu-why.XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
teardown(void **state)
{
	static const char *const files[] = { "mta", "guard", "msa", "qm",
		"mailbox" };
	char path[128];

	(void)state;
	trace_close();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s.ring", dir, files[i]);
		unlink(path);
	}
	return rmdir(dir);
}

static void
write_one(const char *program, struct trace_record r)
{
	struct trace_conf conf = { .dir = dir,
		.program = program,
		.size = TRACE_SIZE_MIN,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };

	assert_int_equal(trace_open(&conf), 0);
	trace_write(&r);
	usleep(1000); /* records are put in order by their time */
}

#define RECORD(k, ...)                                                         \
	((struct trace_record){ .kind = TRACE_##k, .field = { __VA_ARGS__ } })

/* "A:mail A:rcpt" of the journeys, separated by "|". */
static void
expect_found(const char *question, size_t limit, const char *expected)
{
	static struct why_rings rings;
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct why_found f;
	struct why_query q;

	assert_int_equal(why_query_parse(&q, &a, question), 0);
	assert_int_equal(why_rings_open(&rings, dir), 0);
	assert_int_equal(why_collect(&rings, &q, limit, &f), 0);
	for (size_t i = 0; i < f.n; i++) {
		struct slice key = why_key(&f.v[i].r);

		buf_printf(&b, "%s%.3s:%s.%s",
		    i == 0                                    ? ""
			: f.v[i].journey != f.v[i - 1].journey ? "|"
							       : " ",
		    key.p + key.n - 3, f.v[i].program,
		    trace_kind_name((unsigned)f.v[i].r.kind));
	}
	assert_string_equal(buf_str(&b), expected);
	why_found_clear(&f);
	why_rings_close(&rings);
	buf_clear(&b);
	arena_reset(&a);
}

static void
journeys_are_put_together(void **state)
{
	(void)state;
	expect_found(NULL, 0, "");
	write_one("msa", RECORD(AUTH, F(CONN, "CCCC0C01"), F(PEER, "192.0.2.1"),
			     F(ACCOUNT, "a@b")));
	write_one("msa", RECORD(MAIL, F(ID, ID_A), F(CONN, "CCCC0C01"),
			     F(PEER, "192.0.2.1"), F(SENDER, "a@b")));
	write_one("guard", RECORD(RCPT, F(ID, ID_A), F(RECIPIENT, "c@d")));
	write_one("qm", RECORD(REPORT, F(ID, ID_A), F(LINK, ID_C)));
	write_one("mta", RECORD(CONNECT, F(CONN, "CCCC0C02"),
			     F(PEER, "198.51.100.1")));
	write_one("msa", RECORD(MAIL, F(ID, ID_B), F(CONN, "CCCC0C01"),
			     F(PEER, "192.0.2.1"), F(SENDER, "a@b")));
	write_one("mailbox", RECORD(STORED, F(ID, ID_C), F(ACCOUNT, "e@b")));
	write_one("msa", RECORD(SESSION, F(CONN, "CCCC0C01"),
			     F(PEER, "192.0.2.1")));
	/* By any of its records, with its report, and with its connection. */
	expect_found(ID_A, 0,
	    "C01:msa.auth AAA:msa.mail AAA:guard.rcpt AAA:qm.report "
	    "CCC:mailbox.stored C01:msa.session");
	expect_found("c@d", 0,
	    "C01:msa.auth AAA:msa.mail AAA:guard.rcpt AAA:qm.report "
	    "CCC:mailbox.stored C01:msa.session");
	expect_found("e@b", 0,
	    "C01:msa.auth AAA:msa.mail AAA:guard.rcpt AAA:qm.report "
	    "CCC:mailbox.stored C01:msa.session");
	/* The connection is told once, with the first of its messages. */
	expect_found("192.0.2.1", 0,
	    "C01:msa.auth AAA:msa.mail AAA:guard.rcpt AAA:qm.report "
	    "CCC:mailbox.stored C01:msa.session|BBB:msa.mail");
	expect_found("CCCC0C02", 0, "C02:mta.connect");
	expect_found("a@b", 1, "C01:msa.auth BBB:msa.mail C01:msa.session");
	expect_found("nobody@b", 0, "");
}

/* More of them than names that are kept at once. */
static void
the_newest_of_very_many(void **state)
{
	enum { MANY = 200000 };
	static struct why_rings rings;
	struct trace_conf conf = { .dir = dir,
		.program = "mta",
		.size = (size_t)64 << 20,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	struct why_query q = { .what = WHY_ALL };
	struct why_found f;
	char id[ID_LEN + 1];

	(void)state;
	assert_int_equal(trace_open(&conf), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(id, sizeof(id), "%018d", i);
		trace_write(&(struct trace_record){ .kind = TRACE_MAIL,
		    .field = { [TRACE_ID] = slice_str(id),
			F(CONN, "CCCC0C01") } });
	}
	trace_write(&RECORD(SESSION, F(CONN, "CCCC0C01")));
	assert_int_equal(why_rings_open(&rings, dir), 0);
	assert_int_equal(why_collect(&rings, &q, 3, &f), 0);
	assert_int_equal(f.n, 4); /* with the connection's */
	assert_false(f.cut);
	assert_true(f.n_left > 50000);
	snprintf(id, sizeof(id), "%018d", MANY - 1);
	assert_true(slice_eq_str(f.v[3].r.field[TRACE_ID], id));
	snprintf(id, sizeof(id), "%018d", MANY - 3);
	assert_true(slice_eq_str(f.v[0].r.field[TRACE_ID], id));
	why_found_clear(&f);
	assert_int_equal(why_collect(&rings, &q, 0, &f), 0);
	assert_true(f.cut);
	assert_true(f.n > 50000);
	why_found_clear(&f);
	/* What is asked for by name is found, however old. */
	q = (struct why_query){ .what = WHY_ID,
		.text = SLICE_LIT("000000000000000007") };
	assert_int_equal(why_collect(&rings, &q, 0, &f), 0);
	assert_int_equal(f.n, 2);
	assert_false(f.cut);
	why_found_clear(&f);
	why_rings_close(&rings);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_words),
		cmocka_unit_test(a_record_is_data),
		cmocka_unit_test(durations_are_short),
		cmocka_unit_test(questions_are_understood),
		cmocka_unit_test(peers_are_found_in_each_form),
		cmocka_unit_test(times_are_understood),
		cmocka_unit_test_setup_teardown(
		    journeys_are_put_together, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_newest_of_very_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
