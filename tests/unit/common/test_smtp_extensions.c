/* SPDX-License-Identifier: ISC */
/*
 * Dialogues for what MAIL may ask for beyond delivery, and for the verbs that
 * extensions bring. Each is run whole and octet by octet.
 */
#include "tests/unit/common/smtp_scenes.h"

#define HELLO "S: 220 mx.test ESMTP pneu", "C: HELO a", "S: 250 mx.test"
#define BYE "C: QUIT", "S: 221 2.0.0 *", "E:"

static const struct smtp_handler silent = {
	.mail = on_mail,
	.rcpt = on_rcpt,
	.message = on_message,
};
static const struct smtp_server plain = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &silent, /* and verifies nobody */
	.hostname = "mx.test",
	.extensions = SMTP_EXT_SMTPUTF8,
	.max_errors = 5,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

/* A submission server (without AUTH) and the queue, which hold mail. */
static const struct smtp_server submission = {
	.kind = SMTP_SERVER_SUBMISSION,
	.handler = &silent,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_FUTURERELEASE | SMTP_EXT_DELIVERBY,
	.hold_max_s = 100000,
	.by_min_s = 30,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server queue = {
	.kind = SMTP_SERVER_LMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_FUTURERELEASE | SMTP_EXT_DELIVERBY,
	.hold_max_s = 999999999,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
#define SUBMIT                                                                 \
	"S: 220 mx.test ESMTP pneu", "C: EHLO a", "S: 250-mx.test",            \
	    "S: 250-DELIVERBY 30", "S: 250-FUTURERELEASE 100000 20*",          \
	    "S: 250-VRFY", "S: 250 HELP"
#define QUEUE                                                                  \
	"S: 220 mx.test LMTP pneu", "C: LHLO a", "S: 250-mx.test",             \
	    "S: 250-DELIVERBY", "S: 250-FUTURERELEASE 999999999 20*",          \
	    "S: 250-VRFY", "S: 250 HELP"
#define REFUSED(mail) "C: MAIL FROM:<a@a.example> " mail, "S: 501 5.5.4 *"
#define TAKEN(mail)                                                            \
	"C: MAIL FROM:<a@a.example> " mail, "S: 250 *", "C: RSET", "S: 250 *"
#define MESSAGE(mail)                                                          \
	"C: MAIL FROM:<a@a.example> " mail, "S: 250 *",                        \
	    "C: RCPT TO:<b@b.example>", "S: 250 *", "C: DATA", "S: 354 *",     \
	    "C: x", "C: .", "S: 250 *"
#define RECORDED(with)                                                         \
	"message with=" with                                                   \
	" from=a@a.example size=0 body=0 utf8=0 ret=0 envid= auth= 8bit=0\n"
#define RCPT_B "rcpt b@b.example notify=0 orcpt=\nx\r\n--\n"

static const char *const listed[] = { "192.0.2.0/24", NULL };
static const struct smtp_server hasty = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_MT_PRIORITY,
	.priority_max = 2,
	.priority_from = listed,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
#define HASTY                                                                  \
	"S: 220 *", "C: EHLO a", "S: 250-mx.test", "S: 250-MT-PRIORITY MIXER", \
	    "S: 250-VRFY", "S: 250 HELP"

static const struct smtp_server requiring = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_REQUIRETLS,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server requiring_lmtp = {
	.kind = SMTP_SERVER_LMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_REQUIRETLS,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

static const struct smtp_server flushing = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_ETRN,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server flushing_lmtp = {
	.kind = SMTP_SERVER_LMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_ETRN,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
#define FLUSHING                                                               \
	"S: 220 *", "C: EHLO a", "S: 250-mx.test", "S: 250-ETRN",              \
	    "S: 250-VRFY", "S: 250 HELP"

#define X13 "xxxxxxxxxxxxx"
#define X65 X13 X13 X13 X13 X13

static const struct scene scenes[] = {
	/* --- RFC 5321 3.5, 7.3; RFC 6531 3.7.4.2 --- */
	{ "VRFY where nobody is given away", &plain,
	    SCRIPT(HELLO, "C: VRFY <b@b.example>", "S: 252 2.5.2 *",
		"C: VRFY nobody@b.example", "S: 252 2.5.2 *", BYE),
	    NULL },
	{ "VRFY with a true answer", &esmtp,
	    SCRIPT(HELLO, "C: VRFY <b@b.example>", "S: 250 2.1.5 <b@b.example>",
		"C: VRFY b@b.example", "S: 250 2.1.5 <b@b.example>",
		"C: VRFY <nobody@b.example>", "S: 550 5.1.1 *",
		"C: VRFY postmaster", "S: 252 *", "C: VRFY <postmaster>",
		"S: 250 2.1.5 <postmaster>", BYE),
	    NULL },
	{ "VRFY in doubt is 252", &esmtp,
	    SCRIPT(HELLO, "C: VRFY <broken@b.example>", "S: 252 2.5.2 *",
		"C: VRFY <later@b.example>", "S: 252 2.5.2 *",
		"C: VRFY just a name", "S: 252 2.5.2 *", BYE),
	    NULL },
	{ "VRFY of what is no address", &esmtp,
	    SCRIPT(HELLO, "C: VRFY", "S: 501 5.5.4 *", "C: VRFY <>",
		"S: 501 5.1.3 *", "C: VRFY <b@b.example", "S: 501 5.1.3 *",
		"C: VRFY <b@b.example> PLEASE", "S: 555 5.5.4 *", BYE),
	    NULL },
	{ "VRFY and UTF-8", &plain,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test", "S: 250-SMTPUTF8",
		"S: 250-VRFY", "S: 250 HELP", "C: VRFY <\xc3\xa4@b.example>",
		"S: 553 5.6.7 *", "C: VRFY <\xc3\xa4@b.example> SMTPUTF8",
		"S: 252 2.5.2 *", BYE),
	    NULL },
	{ "VRFY within a transaction leaves it alone", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<>", "S: 250 *",
		"C: VRFY <b@b.example>", "S: 250 2.1.5 *",
		"C: RCPT TO:<b@b.example>", "S: 250 *", "C: RSET", "S: 250 *",
		BYE),
	    NULL },
	{ "wrong guesses end the session as at RCPT", &esmtp,
	    SCRIPT(HELLO, "R: VRFY <a@a\r\nVRFY <a@a\r\nVRFY <a@a\r\n",
		"S: 501 *", "S: 501 *", "S: 501 *", "C: VRFY <a@a", "S: 501 *",
		"C: VRFY <a@a", "S: 501 *", "S: 421 4.7.0 *", "E:"),
	    NULL },
	/* --- FUTURERELEASE, RFC 4865 --- */
	{ "FUTURERELEASE: what is a time", &submission,
	    SCRIPT(SUBMIT, TAKEN("HOLDFOR=3600"), TAKEN("holdfor=0"),
		TAKEN("HOLDFOR=100000"),
		TAKEN("HOLDUNTIL=2020-01-01T00:00:00Z"),
		TAKEN("HOLDUNTIL=2020-01-01T00:00:00.25+01:00"), BYE),
	    NULL },
	{ "FUTURERELEASE: what is none", &submission,
	    SCRIPT(SUBMIT, REFUSED("HOLDFOR="), REFUSED("HOLDFOR"),
		REFUSED("HOLDFOR=-1"), REFUSED("HOLDFOR=1h"),
		REFUSED("HOLDFOR=1234567890"), REFUSED("HOLDUNTIL=tomorrow"),
		REFUSED("HOLDUNTIL=2020-01-01"),
		REFUSED("HOLDUNTIL=2020-01-01T00:00:00"),
		REFUSED("HOLDUNTIL=2020-01-01t00:00:00Z"),
		REFUSED("HOLDUNTIL=2020-13-01T00:00:00Z"),
		REFUSED("HOLDUNTIL=2020-01-01T00:00:00Z;x"), BYE),
	    NULL },
	{ "FUTURERELEASE: too far, and twice (4.2 7 to 10)", &submission,
	    SCRIPT(SUBMIT, REFUSED("HOLDFOR=100001"),
		REFUSED("HOLDUNTIL=2199-01-01T00:00:00Z"),
		REFUSED("HOLDFOR=1 HOLDFOR=1"),
		REFUSED("HOLDFOR=1 HOLDUNTIL=2020-01-01T00:00:00Z"), BYE),
	    NULL },
	{ "FUTURERELEASE: the handler is told", &queue,
	    SCRIPT(QUEUE, MESSAGE("HOLDFOR=3600"), MESSAGE(""), BYE),
	    RECORDED("LMTP") "hold for;3600 until now+3600\n" RCPT_B RECORDED(
		"LMTP") RCPT_B },
	{ "FUTURERELEASE: submission only (4.2 2)", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<> HOLDFOR=1", "S: 555 5.5.4 *", BYE),
	    NULL },
	{ "FUTURERELEASE: to the queue from our own only", &queue,
	    SCRIPT("P: 192.0.2.1:25", "S: 220 *", "C: LHLO a", "S: 250-mx.test",
		"S: 250-DELIVERBY", "S: 250-VRFY", "S: 250 HELP",
		"C: MAIL FROM:<> HOLDFOR=1", "S: 555 5.5.4 *", BYE),
	    NULL },
	/* --- MT-PRIORITY, RFC 6710 --- */
	{ "MT-PRIORITY: what is one", &hasty,
	    SCRIPT(HASTY, TAKEN("MT-PRIORITY=0"), TAKEN("MT-PRIORITY=-9"),
		TAKEN("mt-priority=2"), REFUSED("MT-PRIORITY=-0"),
		REFUSED("MT-PRIORITY=10"), REFUSED("MT-PRIORITY=+1"),
		REFUSED("MT-PRIORITY=01"), REFUSED("MT-PRIORITY=-"),
		REFUSED("MT-PRIORITY="), REFUSED("MT-PRIORITY"),
		REFUSED("MT-PRIORITY=1 MT-PRIORITY=1"), BYE),
	    NULL },
	{ "MT-PRIORITY: as high as one may (4.1)", &hasty,
	    SCRIPT(HASTY, MESSAGE("MT-PRIORITY=2"), MESSAGE("MT-PRIORITY=-5"),
		"C: MAIL FROM:<a@a.example> MT-PRIORITY=9",
		"S: 250 2.3.6 2 is the new priority",
		"C: RCPT TO:<b@b.example>", "S: 250 *", "C: DATA", "S: 354 *",
		"C: x", "C: .", "S: 250 *", BYE),
	    RECORDED("ESMTP") "priority 2\n" RCPT_B
		RECORDED("ESMTP") "priority -5\n" RCPT_B RECORDED(
		    "ESMTP") "priority 2\n" RCPT_B },
	{ "MT-PRIORITY: from who is listed", &hasty,
	    SCRIPT("P: 192.0.2.77:25", HASTY,
		"C: MAIL FROM:<a@a.example> MT-PRIORITY=9", "S: 250 2.1.0 *",
		BYE),
	    NULL },
	{ "MT-PRIORITY: from our own", &lmtp,
	    SCRIPT("S: 220 *", "C: LHLO a", "S: 250-mx.test",
		"S: 250-SIZE 1000", "S: 250-PIPELINING", "S: 250-8BITMIME",
		"S: 250-SMTPUTF8", "S: 250-ENHANCEDSTATUSCODES",
		"S: 250-CHUNKING", "S: 250-BINARYMIME", "S: 250-DSN",
		"S: 250-MT-PRIORITY MIXER", "S: 250-REQUIRETLS", "S: 250-ETRN",
		"S: 250-XFORWARD *", "S: 250-XTRACE", "S: 250-XSOURCE", "S: 250-XOUTSIDE",
		"S: 250-LIMITS RCPTMAX=4", "S: 250-DELIVERBY", "S: 250-VRFY",
		"S: 250 HELP", "C: MAIL FROM:<a@a.example> MT-PRIORITY=9",
		"S: 250 2.1.0 *", BYE),
	    NULL },
	{ "MT-PRIORITY: where it is not offered", &plain,
	    SCRIPT(
		HELLO, "C: MAIL FROM:<> MT-PRIORITY=1", "S: 555 5.5.4 *", BYE),
	    NULL },
	/* --- DELIVERBY, RFC 2852 --- */
	{ "DELIVERBY: what is a time", &submission,
	    SCRIPT(SUBMIT, TAKEN("BY=120;R"), TAKEN("by=+30;rt"),
		TAKEN("BY=0;N"), TAKEN("BY=-999999999;NT"),
		TAKEN("BY=999999999;R"), BYE),
	    NULL },
	{ "DELIVERBY: what is none", &submission,
	    SCRIPT(SUBMIT, REFUSED("BY"), REFUSED("BY="), REFUSED("BY=120"),
		REFUSED("BY=120;"), REFUSED("BY=120;X"), REFUSED("BY=120;NX"),
		REFUSED("BY=120;NTT"), REFUSED("BY=;N"), REFUSED("BY=-;N"),
		REFUSED("BY=+-1;N"), REFUSED("BY=1234567890;N"),
		REFUSED("BY=120;N BY=120;N"), BYE),
	    NULL },
	{ "DELIVERBY: no return in the past (4)", &submission,
	    SCRIPT(SUBMIT, REFUSED("BY=0;R"), REFUSED("BY=-1;RT"), BYE), NULL },
	{ "DELIVERBY: less than the least (2)", &submission,
	    SCRIPT(SUBMIT, "C: MAIL FROM:<a@a.example> BY=29;R",
		"S: 555 5.5.4 *", TAKEN("BY=29;N"), BYE),
	    NULL },
	{ "DELIVERBY before it is released (RFC 4865 5.2.2)", &submission,
	    SCRIPT(SUBMIT, REFUSED("HOLDFOR=3600 BY=60;N"),
		TAKEN("HOLDFOR=60 BY=3600;R"), BYE),
	    NULL },
	{ "DELIVERBY: the handler is told", &queue,
	    SCRIPT(QUEUE, MESSAGE("BY=120;R"), MESSAGE("BY=-5;NT"), BYE),
	    RECORDED("LMTP") "by now+120;R\n" RCPT_B RECORDED(
		"LMTP") "by now-5;NT\n" RCPT_B },
	/* --- REQUIRETLS, RFC 8689 (under TLS: "secure" below) --- */
	{ "REQUIRETLS: not in plain text (2)", &requiring,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test", "S: 250-VRFY",
		"S: 250 HELP", "C: MAIL FROM:<> REQUIRETLS", "S: 555 5.5.4 *",
		BYE),
	    NULL },
	{ "REQUIRETLS: between our own", &requiring_lmtp,
	    SCRIPT("S: 220 *", "C: LHLO a", "S: 250-mx.test",
		"S: 250-REQUIRETLS", "S: 250-VRFY", "S: 250 HELP",
		MESSAGE("REQUIRETLS"), REFUSED("REQUIRETLS=1"),
		REFUSED("REQUIRETLS REQUIRETLS"), BYE),
	    RECORDED("LMTP") "requiretls\n" RCPT_B },
	{ "REQUIRETLS: LMTP over a wire", &requiring_lmtp,
	    SCRIPT("P: 192.0.2.1:25", "S: 220 *", "C: LHLO a", "S: 250-mx.test",
		"S: 250-VRFY", "S: 250 HELP", "C: MAIL FROM:<> REQUIRETLS",
		"S: 555 5.5.4 *", BYE),
	    NULL },
	/* --- ETRN, RFC 1985 --- */
	{ "ETRN: what is a node", &flushing,
	    SCRIPT(FLUSHING, "C: ETRN b.example", "S: 253 2.0.0 b.example",
		"C: etrn @b.example", "S: 253 2.0.0 below b.example",
		"C: ETRN [192.0.2.1]", "S: 253 2.0.0 [192.0.2.1]",
		"C: ETRN #queue", "S: 458 *", BYE),
	    NULL },
	{ "ETRN: what is none", &flushing,
	    SCRIPT(FLUSHING, "C: ETRN", "S: 501 5.5.4 *", "C: ETRN @",
		"S: 501 5.5.4 *", "C: ETRN a b", "S: 501 5.5.4 *", "C: ETRN .a",
		"S: 501 5.5.4 *", "C: ETRN a..b", "S: 501 5.5.4 *",
		"C: ETRN []", "S: 501 5.5.4 *", "C: ETRN [1 2]",
		"S: 501 5.5.4 *", "C: ETRN a@b", "S: 501 5.5.4 *",
		"C: ETRN <a>", "S: 501 5.5.4 *", BYE),
	    NULL },
	{ "ETRN: what hooks say", &flushing,
	    SCRIPT(FLUSHING, "C: ETRN broken", "S: 458 4.3.0 *",
		"C: ETRN later", "S: 458 4.3.0 *", "C: ETRN forbidden",
		"S: 459 4.7.1 *", BYE),
	    NULL },
	{ "ETRN: after EHLO, and not in a transaction (5)", &flushing,
	    SCRIPT("S: 220 *", "C: ETRN a", "S: 503 *", "C: HELO a", "S: 250 *",
		"C: MAIL FROM:<>", "S: 250 *", "C: ETRN a", "S: 503 5.5.1 *",
		"C: RSET", "S: 250 *", "C: ETRN a", "S: 253 *", BYE),
	    NULL },
	{ "ETRN: where there is none", &plain,
	    SCRIPT(HELLO, "C: ETRN a", "S: 502 5.5.1 *", BYE), NULL },
	{ "ETRN: to the queue from our own only", &flushing_lmtp,
	    SCRIPT("P: 192.0.2.1:25", "S: 220 *", "C: LHLO a", "S: 250-mx.test",
		"S: 250-VRFY", "S: 250 HELP", "C: ETRN a", "S: 502 5.5.1 *",
		BYE),
	    NULL },
	{ "ETRN: and those", &flushing_lmtp,
	    SCRIPT("S: 220 *", "C: LHLO a", "S: 250-mx.test", "S: 250-ETRN",
		"S: 250-VRFY", "S: 250 HELP", "C: ETRN a", "S: 253 *", BYE),
	    NULL },
	/* --- RFC 5321 4.5.3.1.1 --- */
	{ "long names: who sends may have one, who gets may not", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<" X65 "@a.example>", "S: 250 *",
		"C: RCPT TO:<" X65 "@b.example>", "S: 501 5.1.3 *", "C: RSET",
		"S: 250 *", "C: MAIL FROM:" X65 "@a.example", "S: 250 *", BYE),
	    NULL },
	{ "long names: reports go to them", &queue,
	    SCRIPT(QUEUE, "C: MAIL FROM:<>", "S: 250 *",
		"C: RCPT TO:<" X65 "@b.example>", "S: 250 *", BYE),
	    NULL },
	/* --- RFC 5321 4.1.1.8 --- */
	{ "HELP names what there is", &plain,
	    SCRIPT(HELLO, "C: HELP",
		"S: 214 2.0.0 RFC 5321: MAIL RCPT DATA RSET QUIT EHLO HELO "
		"NOOP "
		"VRFY HELP",
		"C: HELP MAIL", "S: 214 2.0.0 *", BYE),
	    NULL },
	{ "and in LMTP", &lmtp,
	    SCRIPT("S: 220 *", "C: HELP",
		"S: 214 2.0.0 RFC 2033: MAIL RCPT DATA BDAT RSET QUIT LHLO "
		"NOOP ETRN XFORWARD VRFY HELP",
		BYE),
	    NULL },
};

static void
scenes_go_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		scene_run(&scenes[i], CUT_NOWHERE);
}

static void
scenes_go_the_same_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		scene_run(&scenes[i], CUT_EVERYWHERE);
}

/* RFC 8689 2: offered, and taken, once TLS is there. */
static void
requiretls_under_tls(void **state)
{
	const struct scene secure = { "REQUIRETLS under TLS", NULL,
		SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test",
		    "S: 250-STARTTLS", "S: 250-VRFY", "S: 250 HELP",
		    "C: STARTTLS", "S: 220 *", "T:", "C: EHLO a",
		    "S: 250-mx.test", "S: 250-REQUIRETLS", "S: 250-VRFY",
		    "S: 250 HELP", MESSAGE("REQUIRETLS"), BYE),
		RECORDED("ESMTPS") "requiretls\n" RCPT_B };
	struct smtp_server server = requiring;
	struct dialogue d = {
		.server = &server, .script = secure.script, .cut = CUT_NOWHERE
	};
	struct buf err = BUF_INIT;
	char path[32];

	(void)state;
	make_certificate(path);
	server.extensions |= SMTP_EXT_STARTTLS;
	assert_int_equal(
	    tls_server_new_files(&server.tls, path, path, &err), 0);
	assert_int_equal(
	    tls_client_new_files(&d.tls, TLS_VERIFY_NONE, NULL, &err), 0);
	assert_string_equal(dialogue_run(&d), "");
	assert_string_equal(buf_str(&record), secure.recorded);
	tls_client_free(&d.tls);
	tls_server_free(&server.tls);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenes_go_as_written),
		cmocka_unit_test(scenes_go_the_same_octet_by_octet),
		cmocka_unit_test(requiretls_under_tls),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
