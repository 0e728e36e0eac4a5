/* SPDX-License-Identifier: ISC */
/* BURL (RFC 4468) in the engine: its place among RCPT, BDAT and the end, and
 * what a URL that fails does. Each dialogue whole and octet by octet. */
#include "tests/unit/common/smtp_scenes.h"


/* Octets by the name that the URL ends in. */
static int
burl(struct smtp_session *s, struct slice url,
    int (*take)(void *arg, struct slice octets), void *arg,
    struct smtp_reply *reply)
{
	int rc = 0;

	(void)s;
	if (slice_ends_nocase(url, "header"))
		return take(arg, SLICE_LIT("Subject: x\r\n\r\n"));
	if (slice_ends_nocase(url, "word"))
		return take(arg, SLICE_LIT("word"));
	if (slice_ends_nocase(url, "bare"))
		return take(arg, SLICE_LIT("a\nb\r\n"));
	if (slice_ends_nocase(url, "dots"))
		return take(arg, SLICE_LIT("..\r\n.\r\n"));
	if (slice_ends_nocase(url, "broken"))
		return -EIO;
	for (int i = 0; i < 100 && rc == 0 && slice_ends_nocase(url, "large");
	     i++)
		rc = take(arg, SLICE_LIT("0123456789\r\n"));
	if (rc == 0)
		*reply = SMTP_REPLY(
		    554, "5.7.0", "IMAP URL authorization failed");
	return rc;
}

static int
on_auth_yes(struct smtp_session *s, struct slice mechanism,
    struct slice initial, bool has_initial, struct smtp_reply *reply)
{
	(void)mechanism, (void)initial, (void)has_initial;
	smtp_session_set_authenticated(s, "harry");
	*reply = SMTP_REPLY(235, "2.7.0", "PLAIN authentication successful");
	return 0;
}

static const char *
mechanisms(struct smtp_session *s)
{
	(void)s;
	return "PLAIN";
}

static const struct smtp_handler handler = {
	.mail = on_mail,
	.rcpt = on_rcpt,
	.message = on_message,
	.burl = burl,
	.auth = on_auth_yes,
	.auth_mechanisms = mechanisms,
};
static const struct smtp_server submission = {
	.kind = SMTP_SERVER_SUBMISSION,
	.handler = &handler,
	.hostname = "owlry",
	.extensions = SMTP_EXT_BURL | SMTP_EXT_CHUNKING |
	    SMTP_EXT_PIPELINING | SMTP_EXT_AUTH,
	.auth_without_tls = true,
	.auth_required = true,
	.max_size = 1000,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server relay = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &handler,
	.hostname = "owlry",
	.extensions = SMTP_EXT_CHUNKING,
	.max_errors = 20,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

#define AUTH                                                                   \
	"S: 220 *", "C: EHLO potter", "S: 250-owlry", "S: 250-PIPELINING",     \
	    "S: 250-CHUNKING", "S: 250-BURL", "S: 250-AUTH PLAIN",             \
	    "S: 250-VRFY", "S: 250 HELP", "C: AUTH PLAIN aGFycnkAaGFycnkAYWNjaW8=",           \
	    "S: 235 2.7.0 *"
#define MAIL                                                                   \
	"C: MAIL FROM:<h@x>", "S: 250 *", "C: RCPT TO:<r@x>", "S: 250 *"
#define BYE "C: QUIT", "S: 221 *", "E:"
#define RECORDED(text)                                                         \
	"message with=ESMTPA from=h@x size=0 body=0 utf8=0 ret=0 envid= "      \
	"auth= 8bit=0\nrcpt r@x notify=0 orcpt=\n" text "--\n"

static const struct scene scenes[] = {
	{ "what it needs is said by EHLO", &submission,
	    SCRIPT(AUTH, "C: EHLO potter", "S: 250-owlry", "S: 250-PIPELINING",
		"S: 250-CHUNKING", "S: 250-BURL imap", "S: 250-*", "S: 250-*",
		"S: 250 *",
		BYE),
	    NULL },
	{ "the whole message", &submission,
	    SCRIPT(AUTH, MAIL, "C: BURL imap:header LAST", "S: 250 2.0.0 *",
		MAIL, "C: burl imap:dots last", "S: 250 2.0.0 *", BYE),
	    RECORDED("Subject: x\r\n\r\n") RECORDED("..\r\n.\r\n") },
	{ "pipelined", &submission,
	    SCRIPT(AUTH,
		"R: MAIL FROM:<h@x>\r\nRCPT TO:<r@x>\r\nBURL imap:header "
		"LAST\r\nMAIL FROM:<h@x>\r\nRCPT TO:<nobody@x>\r\n"
		"BURL imap:header LAST\r\nRSET\r\nQUIT\r\n",
		"S: 250 *", "S: 250 *", "S: 250 2.0.0 *", "S: 250 *",
		"S: 550 *", "S: 554 5.5.*", "S: 250 *", "S: 221 *", "E:"),
	    RECORDED("Subject: x\r\n\r\n") },
	{ "between chunks", &submission,
	    SCRIPT(AUTH, MAIL, "C: BURL imap:header", "S: 250 2.5.0 Waiting *",
		"R: BDAT 4\r\na-\r\n", "S: 250 2.0.0 *", "C: BURL imap:word",
		"S: 250 2.5.0 *", "C: BURL imap:word", "S: 250 2.5.0 *",
		"R: BDAT 2 LAST\r\n\r\n", "S: 250 2.0.0 *", MAIL,
		"R: BDAT 3\r\na: ", "S: 250 *", "C: BURL imap:word LAST",
		"S: 250 2.0.0 *", BYE),
	    RECORDED("Subject: x\r\n\r\na-\r\nwordword\r\n")
		RECORDED("a: word\r\n") },
	{ "a failed one fails all", &submission,
	    SCRIPT(AUTH, MAIL, "C: BURL imap:no LAST",
		"S: 554 5.7.0 IMAP URL authorization failed*",
		"C: BURL imap:header LAST", "S: 503 *", MAIL,
		"C: BURL imap:header", "S: 250 *", "C: BURL imap:no",
		"S: 554 5.7.0 *", "C: BURL imap:header", "S: 503 *",
		"R: BDAT 2 LAST\r\n\r\n", "S: 503 *", "C: RSET", "S: 250 *",
		MAIL, "C: BURL imap:broken LAST", "S: 451 4.3.0 *", MAIL,
		"C: BURL imap:header LAST", "S: 250 *", BYE),
	    RECORDED("Subject: x\r\n\r\n") },
	{ "octets are looked at as any others", &submission,
	    SCRIPT(AUTH, MAIL, "C: BURL imap:bare LAST", "S: 550 5.6.0 *",
		MAIL, "C: BURL imap:large LAST", "S: 552 5.3.4 *", BYE),
	    NULL },
	{ "out of order", &submission,
	    SCRIPT("S: 220 *", "C: BURL imap:header LAST", "S: 5*",
		"C: EHLO potter", "S: 250-*", "S: 250-*", "S: 250-*",
		"S: 250-*", "S: 250-*", "S: 250-*", "S: 250 *",
		"C: BURL imap:header", "S: 530 *", "C: AUTH PLAIN aGFycnkAaGFycnkAYWNjaW8=",
		"S: 235 *", "C: BURL imap:header LAST", "S: 503 *",
		"C: MAIL FROM:<h@x>", "S: 250 *", "C: BURL imap:header LAST",
		"S: 554 *", "C: RCPT TO:<r@x>", "S: 250 *", "C: BURL",
		"S: 501 *",
		"C: BURL imap:header FIRST", "S: 501 *",
		"C: BURL imap:header LAST x", "S: 501 *",
		"C: BURL imap:header LAST", "S: 250 *", BYE),
	    RECORDED("Subject: x\r\n\r\n") },
	{ "not where it is not offered", &relay,
	    SCRIPT("S: 220 *", "C: EHLO potter", "S: 250-owlry",
		"S: 250-CHUNKING", "S: 250-AUTH PLAIN", "S: 250-VRFY",
		"S: 250 HELP", MAIL,
		"C: BURL imap:header LAST", "S: 502 *", BYE),
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenes_go_as_written),
		cmocka_unit_test(scenes_go_the_same_octet_by_octet),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
