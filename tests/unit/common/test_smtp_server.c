/* SPDX-License-Identifier: ISC */
/* The server engine by dialogues, each of which is data. */
#include "common/smtp/session.h"
#include "tests/unit/common/smtp_scenes.h"

#define HELLO "S: 220 mx.test ESMTP pneu", "C: HELO a", "S: 250 mx.test"
#define FROM_TO                                                                \
	"C: MAIL FROM:<a@a.example>", "S: 250 2.1.0 *",                        \
	    "C: RCPT TO:<b@b.example>", "S: 250 2.1.5 *"
#define LHELLO                                                                 \
	"S: 220 mx.test LMTP pneu", "C: LHLO a", "S: 250-mx.test",             \
	    "S: 250-SIZE 1000", "S: 250-PIPELINING", "S: 250-8BITMIME",        \
	    "S: 250-SMTPUTF8", "S: 250-ENHANCEDSTATUSCODES",                   \
	    "S: 250-CHUNKING", "S: 250-BINARYMIME", "S: 250-DSN",              \
	    "S: 250-MT-PRIORITY MIXER", "S: 250-REQUIRETLS", "S: 250-ETRN",    \
	    "S: 250-XFORWARD NAME ADDR PORT PROTO HELO SOURCE IDENT",          \
	    "S: 250-XTRACE", "S: 250-XSOURCE", "S: 250-XOUTSIDE", "S: 250-LIMITS RCPTMAX=4",      \
	    "S: 250-DELIVERBY", "S: 250-VRFY", "S: 250 HELP"
#define EHELLO                                                                 \
	"S: 220 mx.test ESMTP pneu", "C: EHLO a", "S: 250-mx.test",            \
	    "S: 250-SIZE 1000", "S: 250-PIPELINING", "S: 250-8BITMIME",        \
	    "S: 250-SMTPUTF8", "S: 250-ENHANCEDSTATUSCODES",                   \
	    "S: 250-CHUNKING", "S: 250-BINARYMIME", "S: 250-DSN",              \
	    "S: 250-PRDR", "S: 250-MT-PRIORITY MIXER", "S: 250-ETRN",          \
	    "S: 250-LIMITS RCPTMAX=4", "S: 250-DELIVERBY", "S: 250-VRFY",      \
	    "S: 250 HELP"
#define REFUSED10                                                              \
	"C: MAIL FROM:<>", "S: 250 *", NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, \
	    NOBODY, NOBODY, NOBODY, NOBODY, "C: RCPT TO:<nobody@b>",           \
	    "S: 550 *"
#define AGAIN "C: RSET", "S: 250 *"
#define NOOP10                                                                 \
	"R: NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n"  \
	"NOOP\r\nNOOP\r\n",                                                    \
	    "S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *",        \
	    "S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *"
#define NOBODY "C: RCPT TO:<nobody@b>", "S: 550 *"
#define BYE "C: QUIT", "S: 221 2.0.0 Goodbye", "E:"
#define MESSAGE(with)                                                          \
	"message with=" with " from=a@a.example size=0 body=0 utf8=0 ret=0 "   \
	"envid= auth= 8bit=0\n"
#define RCPT_B "rcpt b@b.example notify=0 orcpt=\n"

static const char *const lhello[] = { LHELLO };

static const struct smtp_server no_extensions = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.max_size = 1000,
	.max_recipients = 4,
	.max_errors = 5,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server submission = {
	.kind = SMTP_SERVER_SUBMISSION,
	.handler = &recording_auth,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_AUTH,
	.auth_required = true,
	.max_size = 1000,
	.max_recipients = 4,
	.max_errors = 5,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

static const char *const proxies[] = { "192.0.2.0/24", NULL };
static const struct smtp_server behind = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_XCLIENT,
	.xclient_from = proxies,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server forwarding = {
	.kind = SMTP_SERVER_SUBMISSION,
	.handler = &recording_auth,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_XFORWARD | SMTP_EXT_XTRACE | SMTP_EXT_AUTH,
	.auth_without_tls = true,
	.auth_required = true,
	.xforward_from = proxies,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server careless = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.normalise_from = proxies,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};
static const struct smtp_server two_domains = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_LIMITS,
	.max_recipients = 100,
	.max_domains = 2,
};
static const struct smtp_server two_mails = {
	.kind = SMTP_SERVER_ESMTP,
	.handler = &recording,
	.hostname = "mx.test",
	.extensions = SMTP_EXT_LIMITS,
	.max_mails = 2,
	.max_recipients = 4,
	.timeout_ms = 60000,
	.spool_dir = "/tmp",
};

#define PRDR_TO(who) "C: RCPT TO:<" who "@b.example>", "S: 250 2.1.5 *"

static const struct scene scenes[] = {
	{ "one message", &esmtp,
	    SCRIPT(HELLO, FROM_TO, "C: DATA", "S: 354 *", "C: Subject: x",
		"C: ", "C: ..dot", "C: .. two", "C: end", "C: .",
		"S: 250 2.0.0 Stored", BYE),
	    MESSAGE("SMTP") RCPT_B
	    "Subject: x\r\n\r\n.dot\r\n. two\r\nend\r\n--\n" },
	{ "an empty message", &esmtp,
	    SCRIPT(EHELLO, FROM_TO, "C: DATA", "S: 354 *", "C: .",
		"S: 250 2.0.0 Stored", BYE),
	    MESSAGE("ESMTP") RCPT_B "--\n" },
	{ "two messages, and verbs in any case", &esmtp,
	    SCRIPT("S: 220 *", "C: hElO a", "S: 250 mx.test",
		"C: mail from:<a@a.example>", "S: 250 2.1.0 *",
		"C: rcpt to: <b@b.example>", "S: 250 2.1.5 *", "C: data",
		"S: 354 *", "C: 1", "C: .", "S: 250 2.0.0 Stored", FROM_TO,
		"C: DATA", "S: 354 *", "C: 2", "C: .", "S: 250 2.0.0 Stored",
		BYE),
	    MESSAGE("SMTP") RCPT_B "1\r\n--\n" MESSAGE("SMTP") RCPT_B
	    "2\r\n--\n" },
	{ "pipelined (RFC 2920 4)", &esmtp,
	    SCRIPT(EHELLO,
		"R: MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\n"
		"RCPT TO:<nobody@b.example>\r\nDATA\r\n",
		"S: 250 2.1.0 *", "S: 250 2.1.5 *", "S: 550 5.1.1 *",
		"S: 354 *", "R: x\r\n.\r\nMAIL FROM:<>\r\nQUIT\r\n",
		"S: 250 2.0.0 Stored", "S: 250 2.1.0 *", "S: 221 *", "E:"),
	    MESSAGE("ESMTP") RCPT_B "x\r\n--\n" },
	{ "no valid recipients (RFC 2920 4)", &esmtp,
	    SCRIPT(EHELLO,
		"R: MAIL FROM:<a@a.example>\r\nRCPT TO:<nobody@b.example>\r\n"
		"DATA\r\n",
		"S: 250 2.1.0 *", "S: 550 5.1.1 No such mailbox [ref *",
		"S: 554 5.5.1 No valid recipients [ref *", BYE),
	    NULL },
	{ "parameters", &esmtp,
	    SCRIPT(EHELLO,
		"C: MAIL FROM:<a@a.example> SIZE=100 BODY=8BITMIME SMTPUTF8 "
		"RET=HDRS ENVID=QQ+2B1",
		"S: 250 *",
		"C: RCPT TO:<b@b.example> NOTIFY=SUCCESS,DELAY "
		"ORCPT=rfc822;B+3D@b.example",
		"S: 250 *", "C: DATA", "S: 354 *", "C: \xc3\xa4", "C: .",
		"S: 250 *", BYE),
	    "message with=UTF8SMTP from=a@a.example size=100 body=1 utf8=1 "
	    "ret=2 envid=QQ+1 auth= 8bit=1\n"
	    "rcpt b@b.example notify=10 orcpt=rfc822;B=@b.example\n"
	    "\xc3\xa4\r\n--\n" },
	{ "order", &esmtp,
	    SCRIPT("S: 220 *", "C: MAIL FROM:<a@a.example>", "S: 503 5.5.1 *",
		"C: HELO a", "S: 250 *", "C: RCPT TO:<b@b.example>",
		"S: 503 5.5.1 *", "C: DATA", "S: 503 5.5.1 *", FROM_TO,
		"C: MAIL FROM:<a@a.example>", "S: 503 5.5.1 *", BYE),
	    NULL },
	{ "verbs without a session", &esmtp,
	    SCRIPT("S: 220 *", "C: NOOP anything", "S: 250 2.0.0 OK",
		"C: VRFY b", "S: 252 2.5.2 *", "C: VRFY", "S: 501 5.5.4 *",
		"C: EXPN list", "S: 502 5.5.1 *", "C: HELP", "S: 214 2.0.0 *",
		"C: RSET", "S: 250 2.0.0 *", "C: RSET x", "S: 501 5.5.4 *",
		"C: BOGUS", "S: 500 5.5.2 *", BYE),
	    NULL },
	{ "hello is not for everybody", &esmtp,
	    SCRIPT("S: 220 *", "C: LHLO a", "S: 500 *", "C: EHLO",
		"S: 501 5.5.4 *", "C: HELO my_host", "S: 250 *",
		"C: HELO [192.0.2.1] some text", "S: 250 mx.test", BYE),
	    NULL },
	{ "nor in LMTP (RFC 2033 4.1)", &lmtp,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 500 *", "C: HELO a", "S: 500 *",
		"C: LHLO a", "S: 250-mx.test"),
	    NULL },
	{ "RSET and EHLO forget", &esmtp,
	    SCRIPT(HELLO, FROM_TO, "C: RSET", "S: 250 *",
		"C: RCPT TO:<b@b.example>", "S: 503 *", FROM_TO, "C: HELO b",
		"S: 250 *", "C: DATA", "S: 503 *", BYE),
	    NULL },
	{ "what hooks say", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<mail550@a.example>",
		"S: 550 5.7.1 Not from you [ref *",
		"C: MAIL FROM:<mailbroken@a.example>", "S: 451 4.3.0 *",
		"C: MAIL FROM:<mailfull@a.example>", "S: 452 4.3.1 *",
		"C: MAIL FROM:<nodata@a.example>", "S: 250 *",
		"C: RCPT TO:<later@b.example>", "S: 450-4.2.0 Come back",
		"S: 450 4.2.0 later [ref *", "C: RCPT TO:<broken@b.example>",
		"S: 451 4.3.0 *", "C: RCPT TO:<moved@b.example>",
		"S: 251 2.1.5 <new@b.example>", "C: DATA", "S: 550 5.7.1 *",
		"C: MAIL FROM:<diskfull@a.example>", "S: 250 *",
		"C: RCPT TO:<b@b.example>", "S: 250 *", "C: DATA", "S: 354 *",
		"C: x", "C: .", "S: 452 4.3.1 *", BYE),
	    "message with=SMTP from=diskfull@a.example size=0 body=0 utf8=0 "
	    "ret=0 envid= auth= 8bit=0\n" RCPT_B "x\r\n--\n" },
	{ "a handler that says nothing has not accepted", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<>", "S: 250 *",
		"C: RCPT TO:<silent@b.example>", "S: 250 *", "C: DATA",
		"S: 354 *", "C: .", "S: 451 4.3.0 *", BYE),
	    "message with=SMTP from= size=0 body=0 utf8=0 ret=0 envid= auth= "
	    "8bit=0\nrcpt silent@b.example notify=0 orcpt=\n--\n" },
	{ "paths", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<a@@a.example>", "S: 501 5.1.7 *",
		"C: MAIL FROM:<postmaster>", "S: 501 5.1.7 *",
		"C: MAIL TO:<a@a.example>", "S: 501 5.1.7 *", "C: MAIL FROM:<>",
		"S: 250 *", "C: RCPT TO:<>", "S: 501 5.1.3 *",
		"C: RCPT TO:<Postmaster>", "S: 250 *", BYE),
	    NULL },
	{ "what careless clients write", &esmtp,
	    SCRIPT("S: 220 *", "C: HELO <\xc3\xa4(a@;_x>", "S: 250 mx.test",
		"C: MAIL FROM: <a..b.@my_host.example.> ", "S: 250 *",
		"C: RCPT TO:  <c.@b.example>", "S: 250 *",
		"C: RCPT TO:d@b.example ", "S: 250 *",
		"C: RCPT TO: e@b.example FOO=1", "S: 555 *",
		"C: RCPT TO:e@b.example>", "S: 501 *",
		"C: RCPT TO:e b@b.example", "S: 501 *", "C: RCPT TO:",
		"S: 501 *", "C: DATA", "S: 354 *", "C: .", "S: 250 *", BYE),
	    "message with=SMTP from=\"a..b.\"@my_host.example size=0 body=0 "
	    "utf8=0 ret=0 envid= auth= 8bit=0\n"
	    "rcpt \"c.\"@b.example notify=0 orcpt=\n"
	    "rcpt d@b.example notify=0 orcpt=\n--\n" },
	{ "but not our own programs", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:a@a.example", "S: 501 *", BYE), NULL },
	{ "non-ASCII addresses (RFC 6531 3.5)", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<\xc3\xa4@a.example>", "S: 550 5.6.7 *",
		"C: MAIL FROM:<a@a.example>", "S: 250 *",
		"C: RCPT TO:<\xc3\xa4@b.example>", "S: 553 5.6.7 *",
		"C: RCPT TO:<\xff@b.example>", "S: 501 5.1.3 *", BYE),
	    NULL },
	{ "unknown parameters", &no_extensions,
	    SCRIPT(HELLO, "C: MAIL FROM:<a@a.example> SIZE=1", "S: 555 5.5.4 *",
		"C: MAIL FROM:<a@a.example> X=1", "S: 555 5.5.4 *",
		"C: MAIL FROM:<a@a.example> SIZE", "S: 555 5.5.4 *", BYE),
	    NULL },
	{ "nothing is offered that is not there", &no_extensions,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test", "S: 250-VRFY",
		"S: 250 HELP", "C: STARTTLS", "S: 502 *", "C: AUTH PLAIN",
		"S: 502 *", "C: XFORWARD NAME=x", "S: 550 5.7.1 *", BYE),
	    NULL },
	{ "parameters that are wrong", &esmtp,
	    SCRIPT(HELLO, "C: MAIL FROM:<a@a.example> SIZE=x", "S: 501 5.5.4 *",
		"C: MAIL FROM:<a@a.example> SIZE=1 SIZE=1", "S: 501 5.5.4 *",
		"C: MAIL FROM:<a@a.example> SIZE=1001", "S: 552 5.3.4 *",
		"C: MAIL FROM:<a@a.example> XTRACE=01JABCDEFGHJKMNPQR",
		"S: 555 5.5.4 *", BYE),
	    NULL },
	{ "too many recipients", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<a@a.example>", "S: 250 *",
		"R: RCPT TO:<1@b>\r\nRCPT TO:<2@b>\r\nRCPT TO:<3@b>\r\n"
		"RCPT TO:<4@b>\r\nRCPT TO:<5@b>\r\n",
		"S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *",
		"S: 452 4.5.3 *", BYE),
	    NULL },
	{ "too many errors", &esmtp,
	    SCRIPT(HELLO, "R: A\r\nB\r\nC\r\nD\r\nE\r\nNOOP\r\n", "S: 500 *",
		"S: 500 *", "S: 500 *", "S: 500 *", "S: 500 *",
		"S: 421 4.7.0 *", "E:"),
	    NULL },
	{ "what was pipelined behind a refusal is no error", &esmtp,
	    SCRIPT(EHELLO,
		"R: MAIL FROM:<mail550@a>\r\nRCPT TO:<1@b>\r\n"
		"RCPT TO:<2@b>\r\nRCPT TO:<3@b>\r\nRCPT TO:<4@b>\r\n"
		"RCPT TO:<5@b>\r\nDATA\r\n",
		"S: 550 *", "S: 503 *", "S: 503 *", "S: 503 *", "S: 503 *",
		"S: 503 *", "S: 503 *", "C: RSET", "S: 250 *",
		"R: RCPT TO:<1@b>\r\nRCPT TO:<2@b>\r\nRCPT TO:<3@b>\r\n"
		"RCPT TO:<4@b>\r\nRCPT TO:<5@b>\r\n",
		"S: 503 *", "S: 503 *", "S: 503 *", "S: 503 *", "S: 503 *",
		"S: 421 4.7.0 *", "E:"),
	    NULL },
	{ "a good message makes up for errors", &esmtp,
	    SCRIPT(HELLO, "R: A\r\nB\r\nC\r\nD\r\n", "S: 500 *", "S: 500 *",
		"S: 500 *", "S: 500 *", FROM_TO, "C: DATA", "S: 354 *", "C: .",
		"S: 250 *", "R: A\r\nB\r\nC\r\nD\r\n", "S: 500 *", "S: 500 *",
		"S: 500 *", "S: 500 *", BYE),
	    MESSAGE("SMTP") RCPT_B "--\n" },
	{ "too many refused recipients", &esmtp,
	    SCRIPT(HELLO, REFUSED10, AGAIN, REFUSED10, AGAIN, REFUSED10, AGAIN,
		REFUSED10, AGAIN, REFUSED10, "S: 421 4.7.0 *", "E:"),
	    NULL },
	{ "too much that leads nowhere", &esmtp,
	    SCRIPT(HELLO, NOOP10, NOOP10, NOOP10, NOOP10,
		"R: NOOP\r\nRSET\r\nVRFY x\r\nHELP\r\nNOOP\r\nNOOP\r\n"
		"NOOP\r\nNOOP\r\nNOOP\r\n",
		"S: 250 *", "S: 250 *", "S: 252 *", "S: 214 *", "S: 250 *",
		"S: 250 *", "S: 250 *", "S: 250 *", "S: 250 *",
		"S: 421 4.7.0 *", "E:"),
	    NULL },
	{ "a program's own verb", &esmtp,
	    SCRIPT("S: 220 *", "C: XTEST", "S: 451 4.3.0 *", "C: xtest 1",
		"S: 250 2.0.0 Tested", BYE),
	    NULL },
	{ "the helo hook", &esmtp,
	    SCRIPT("S: 220 *", "C: EHLO refused.example",
		"S: 550 5.7.1 Not you [ref *", "C: EHLO broken.example",
		"S: 451 4.3.0 *", "C: MAIL FROM:<>", "S: 503 *", BYE),
	    NULL },
	{ "replies are ASCII (RFC 6531 3.7.4)", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<>", "S: 250 *",
		"C: RCPT TO:<moved-utf8@b>", "S: 250 2.1.5 Forwarding *",
		"C: RCPT TO:<utf8@b>", "S: 550 5.1.1 No ?? *", "C: RSET",
		"S: 250 *", "C: MAIL FROM:<> SMTPUTF8", "S: 250 *",
		"C: RCPT TO:<moved-utf8@b>",
		"S: 251 2.1.5 <\xc3\xa4@b.example>", BYE),
	    NULL },
	{ "but in LMTP, where 251 is an order", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:<>", "S: 250 *",
		"C: RCPT TO:<moved-utf8@b>",
		"S: 251 2.1.5 <\xc3\xa4@b.example>", BYE),
	    NULL },
	{ "lines end with CR LF", &esmtp,
	    SCRIPT(HELLO, "R: NO\rOP\r\n", "S: 500 5.5.2 *", "R: NOOP\n",
		"S: 500 5.5.2 *", "E:"),
	    NULL },
	{ "and those of AUTH do", &submission,
	    SCRIPT(HELLO, "C: AUTH PLAIN", "S: 334 ", "R: AGEAYg==\n",
		"S: 500 5.5.2 *", "E:"),
	    NULL },
	{ "an early talker", &esmtp,
	    SCRIPT("C: EHLO a", "S: 554 5.5.0 *", "E:"), NULL },
	{ "who does not wait for EHLO", &esmtp,
	    SCRIPT("S: 220 *", "R: EHLO a\r\nMAIL FROM:<a@b>\r\n",
		"S: 554 5.5.0 *", "E:"),
	    NULL },
	{ "who does not wait after HELO", &esmtp,
	    SCRIPT(HELLO, "R: MAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\n",
		"S: 554 5.5.0 *", "E:"),
	    NULL },
	{ "who does not wait for 354", &esmtp,
	    SCRIPT(HELLO, FROM_TO, "R: DATA\r\nQUIT\r\n.\r\n", "S: 554 5.5.0 *",
		"E:"),
	    NULL },
	{ "NUL is for BINARYMIME", &esmtp,
	    SCRIPT(EHELLO, FROM_TO, "C: DATA", "S: 354 *", "N:", "C: ", "C: .",
		"S: 550 5.6.0 *", FROM_TO, "R: BDAT 1 LAST\r\n",
		"N:", "S: 550 5.6.0 *", "R: NO", "N:", "C: OP",
		"S: 500 5.5.2 *", "C: MAIL FROM:<a@a.example> BODY=BINARYMIME",
		"S: 250 *", "C: RCPT TO:<b@b.example>", "S: 250 *",
		"R: BDAT 1 LAST\r\n", "N:", "S: 250 *", BYE),
	    "message with=ESMTP from=a@a.example size=0 body=2 utf8=0 ret=0 "
	    "envid= auth= 8bit=0\n" RCPT_B },
	{ "a browser", &esmtp,
	    SCRIPT("S: 220 *", "R: POST / HTTP/1.1\r\nHost: a\r\n\r\nQUIT\r\n",
		"S: 554 5.5.1 *", "E:"),
	    NULL },
	{ "the client goes away in the middle", &esmtp,
	    SCRIPT(HELLO, FROM_TO, "C: DATA", "S: 354 *", "C: half"), NULL },

	/* BDAT: RFC 3030 */
	{ "simple chunking (RFC 3030 4.1)", &esmtp,
	    SCRIPT(EHELLO, FROM_TO, "R: BDAT 10 LAST\r\nTo: x\r\n\r\n.",
		"S: 250 2.0.0 Stored", BYE),
	    MESSAGE("ESMTP") RCPT_B "To: x\r\n\r\n.\r\n--\n" },
	{ "pipelined chunks (RFC 3030 4.2)", &esmtp,
	    SCRIPT(EHELLO,
		"R: MAIL FROM:<a@a.example> BODY=BINARYMIME\r\n"
		"RCPT TO:<b@b.example>\r\nBDAT 3\r\n1\r\nBDAT 2\r\n\n\r"
		"BDAT 0 LAST\r\nQUIT\r\n",
		"S: 250 *", "S: 250 *", "S: 250 2.0.0 *", "S: 250 2.0.0 *",
		"S: 250 2.0.0 Stored", "S: 221 *", "E:"),
	    "message with=ESMTP from=a@a.example size=0 body=2 utf8=0 ret=0 "
	    "envid= auth= 8bit=0\n" RCPT_B "1\r\n\n\r--\n" },
	{ "a chunk is text without BINARYMIME", &esmtp,
	    SCRIPT(EHELLO, FROM_TO, "R: BDAT 3\r\nx\ny", "S: 250 *",
		"R: BDAT 2 LAST\r\n\r\n", "S: 550 5.6.0 *", FROM_TO,
		"R: BDAT 2\r\nx\r", "S: 250 *", "R: BDAT 0 LAST\r\n",
		"S: 550 5.6.0 *", BYE),
	    NULL },
	{ "chunks out of place are read all the same", &esmtp,
	    SCRIPT(EHELLO, "R: BDAT 6 LAST\r\nQUIT\r\n", "S: 503 5.5.1 *",
		"C: MAIL FROM:<a@a.example>", "S: 250 *",
		"R: BDAT 6\r\nQUIT\r\n", "S: 554 5.5.1 *",
		"C: RCPT TO:<b@b.example>", "S: 250 *", "R: BDAT 1\r\nx",
		"S: 250 *", "C: DATA", "S: 503 5.5.1 *",
		"C: RCPT TO:<b@b.example>", "S: 503 5.5.1 *", BYE),
	    NULL },
	{ "chunks where they are not offered", &no_extensions,
	    SCRIPT(HELLO, FROM_TO, "R: BDAT 6 LAST\r\nQUIT\r\n",
		"S: 503 5.5.1 *", BYE),
	    NULL },
	{ "a chunk whose size is not known", &esmtp,
	    SCRIPT(EHELLO, FROM_TO, "R: BDAT x\r\nMAIL FROM:<x@y>\r\n",
		"S: 501 5.5.4 *", "E:"),
	    NULL },
	{ "after a failed chunk only RSET helps", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<nodata@a.example>", "S: 250 *",
		"C: RCPT TO:<b@b.example>", "S: 250 *",
		"R: BDAT 1\r\nxBDAT 1\r\nxBDAT 0 LAST\r\n", "S: 550 5.7.1 *",
		"S: 503 5.5.1 *", "S: 503 5.5.1 *", "C: RSET", "S: 250 *",
		FROM_TO, BYE),
	    NULL },
	{ "BINARYMIME and DATA (RFC 3030 3)", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<a@a.example> BODY=BINARYMIME",
		"S: 250 *", "C: RCPT TO:<b@b.example>", "S: 250 *", "C: DATA",
		"S: 503 5.5.1 *", BYE),
	    NULL },

	/* LMTP: RFC 2033 */
	{ "a reply for each recipient (RFC 2033 4.2)", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:<chris@bar.com>", "S: 250 *",
		"C: RCPT TO:<pat@foo.edu>", "S: 250 *",
		"C: RCPT TO:<nobody@foo.edu>", "S: 550 *",
		"C: RCPT TO:<full@foo.edu>", "S: 250 *", "C: DATA", "S: 354 *",
		"C: Blah", "C: .", "S: 250 2.0.0 Stored", "S: 452 4.2.2 *",
		BYE),
	    "message with=LMTP from=chris@bar.com size=0 body=0 utf8=0 ret=0 "
	    "envid= auth= 8bit=0\nrcpt pat@foo.edu notify=0 orcpt=\n"
	    "rcpt full@foo.edu notify=0 orcpt=\nBlah\r\n--\n" },
	{ "LMTP without recipients", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:<>", "S: 250 *", "C: DATA",
		"S: 503 5.5.1 *", "R: BDAT 1\r\nx", "S: 503 5.5.1 *",
		"R: BDAT 1 LAST\r\nx", "C: NOOP", "S: 250 2.0.0 OK", BYE),
	    NULL },
	{ "BDAT in LMTP (RFC 2033 4.3)", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:<a@a.example>", "S: 250 *",
		"R: RCPT TO:<b@b.example>\r\nRCPT TO:<b@b.example>\r\n",
		"S: 250 *", "S: 250 *", "R: BDAT 1\r\n\r", "S: 250 *",
		"R: BDAT 1 LAST\r\n\n", "S: 250 *", "S: 250 *", BYE),
	    MESSAGE("LMTP") RCPT_B RCPT_B "\r\n--\n" },
	{ "a failure in LMTP is everybody's", &lmtp,
	    SCRIPT(LHELLO, "C: MAIL FROM:<nodata@a.example>", "S: 250 *",
		"R: RCPT TO:<b@b.example>\r\nRCPT TO:<c@b.example>\r\n",
		"S: 250 *", "S: 250 *", "R: BDAT 1\r\nxBDAT 0 LAST\r\n",
		"S: 550 5.7.1 *", "S: 550 5.7.1 *", "S: 550 5.7.1 *",
		"C: MAIL FROM:<diskfull@a.example>", "S: 250 *",
		"R: RCPT TO:<b@b.example>\r\nRCPT TO:<c@b.example>\r\n",
		"S: 250 *", "S: 250 *", "C: DATA", "S: 354 *", "C: .",
		"S: 452 4.3.1 *", "S: 452 4.3.1 *", BYE),
	    "message with=LMTP from=diskfull@a.example size=0 body=0 utf8=0 "
	    "ret=0 envid= auth= 8bit=0\n" RCPT_B
	    "rcpt c@b.example notify=0 orcpt=\n--\n" },
	{ "PRDR: a reply for each recipient", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<a@a.example> PRDR", "S: 250 *",
		PRDR_TO("b"), NOBODY, PRDR_TO("full"), "C: DATA", "S: 354 *",
		"C: .", "S: 353 *", "S: 250 2.0.0 Stored", "S: 452 4.2.2 *",
		"S: 250 2.0.0 *", BYE),
	    MESSAGE("ESMTP") RCPT_B
	    "rcpt full@b.example notify=0 orcpt=\n--\n" },
	{ "PRDR when nobody takes it", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<a@a.example> PRDR", "S: 250 *",
		PRDR_TO("full"), PRDR_TO("full"), "C: BDAT 0 LAST", "S: 353 *",
		"S: 452 4.2.2 *", "S: 452 4.2.2 *", "S: 550 5.0.0 *", BYE),
	    MESSAGE("ESMTP") "rcpt full@b.example notify=0 orcpt=\n"
			     "rcpt full@b.example notify=0 orcpt=\n--\n" },
	{ "PRDR of one recipient, of a refused message, with a value", &esmtp,
	    SCRIPT(EHELLO, "C: MAIL FROM:<a@a.example> PRDR=1", "S: 501 *",
		"C: MAIL FROM:<a@a.example> PRDR", "S: 250 *", PRDR_TO("full"),
		"C: DATA", "S: 354 *", "C: .", "S: 452 4.2.2 *",
		"C: MAIL FROM:<a@a.example> PRDR", "S: 250 *", PRDR_TO("b"),
		PRDR_TO("b"), "C: DATA", "S: 354 *", "R: a\nb\r\n.\r\n",
		"S: 550 5.6.0 *", BYE),
	    MESSAGE("ESMTP") "rcpt full@b.example notify=0 orcpt=\n--\n" },
	{ "XCLIENT (Postfix XCLIENT_README)", &behind,
	    SCRIPT("P: 192.0.2.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test",
		"S: 250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN", "S: 250-VRFY",
		"S: 250 HELP", "C: XCLIENT", "S: 501 *", "C: XCLIENT FOO=1",
		"S: 501 *", "C: XCLIENT ADDR=x", "S: 501 *",
		"C: XCLIENT LOGIN=a+0Db", "S: 501 *",
		"C: XCLIENT NAME=spike.example ADDR=IPV6:2001:db8::1 PORT=7 "
		"HELO=[UNAVAILABLE] LOGIN=alice PROTO=ESMTP",
		"S: 220 mx.test ESMTP pneu", "C: MAIL FROM:<>", "S: 503 *",
		"C: EHLO b", "S: 250-mx.test",
		"S: 250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN", "S: 250-VRFY",
		"S: 250 HELP", FROM_TO, "C: XCLIENT HELO=x", "S: 503 *",
		"C: DATA", "S: 354 *", "C: .", "S: 250 *", BYE),
	    MESSAGE("ESMTPA") RCPT_B "--\n" },
	{ "XCLIENT from who is not listed", &behind,
	    SCRIPT("P: 198.51.100.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test", "S: 250-VRFY", "S: 250 HELP",
		"C: XCLIENT ADDR=192.0.2.1", "S: 550 5.7.1 *", BYE),
	    NULL },
	{ "lines that end with LF, from who is listed", &careless,
	    SCRIPT("P: 192.0.2.7:1000", "S: 220 *", "R: HELO a\n",
		"S: 250 mx.test", "R: MAIL FROM:<a@a.example>\n",
		"S: 250 2.1.0 *", "R: RCPT TO:<b@b.example>\n",
		"S: 250 2.1.5 *", "R: DATA\n", "S: 354 *",
		"R: x\n.\r\n..y\n.\n\r\n.\r\n", "S: 250 2.0.0 Stored", BYE),
	    MESSAGE("SMTP") RCPT_B "x\r\n\r\n.y\r\n\r\n\r\n--\n" },
	{ "and from who is not", &careless,
	    SCRIPT("P: 198.51.100.7:1000", "S: 220 *", "R: HELO a\n",
		"S: 500 5.5.2 *", "E:"),
	    NULL },
	{ "RCPTDOMAINMAX (RFC 9422)", &two_domains,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test",
		"S: 250-LIMITS RCPTMAX=100 RCPTDOMAINMAX=2", "S: 250-VRFY",
		"S: 250 HELP", "C: MAIL FROM:<>", "S: 250 *",
		"C: RCPT TO:<a@one.test>", "S: 250 *",
		"C: RCPT TO:<b@ONE.test>", "S: 250 *",
		"C: RCPT TO:<a@two.test>", "S: 250 *",
		"C: RCPT TO:<a@three.test>", "S: 452 4.5.3 *",
		"C: RCPT TO:<c@one.test>", "S: 250 *", "C: RSET", "S: 250 *",
		"C: MAIL FROM:<>", "S: 250 *", "C: RCPT TO:<a@three.test>",
		"S: 250 *", BYE),
	    NULL },
	{ "MAILMAX (RFC 9422)", &two_mails,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test",
		"S: 250-LIMITS MAILMAX=2 RCPTMAX=4", "S: 250-VRFY",
		"S: 250 HELP", "C: MAIL FROM:<>", "S: 250 *", AGAIN,
		"C: MAIL FROM:<>", "S: 250 *", AGAIN, "C: MAIL FROM:<>",
		"S: 421 4.7.0 *", "E:"),
	    NULL },
	{ "XFORWARD is for one transaction", &lmtp,
	    SCRIPT(LHELLO, "C: XFORWARD NAME=spike.example ADDR=192.0.2.1",
		"S: 250 *", "C: xforward helo=a+2Bb PROTO=ESMTP", "S: 250 *",
		"C: XFORWARD PROTO=[unavailable]", "S: 250 *", FROM_TO,
		"R: BDAT 0 LAST\r\n", "S: 250 *", FROM_TO, "R: BDAT 0 LAST\r\n",
		"S: 250 *", BYE),
	    "for name=spike.example addr=192.0.2.1 helo=a+b proto=\n" MESSAGE(
		"LMTP") RCPT_B "--\n" MESSAGE("LMTP") RCPT_B "--\n" },
	{ "XFORWARD", &lmtp,
	    SCRIPT(LHELLO, "C: XFORWARD NAME=spike.example ADDR=192.0.2.1",
		"S: 250 *", "C: XFORWARD HELO=a+2Bb PROTO=[UNAVAILABLE]",
		"S: 250 *", "C: XFORWARD BOGUS=1", "S: 501 *",
		"C: XFORWARD NAME=a+0Ab", "S: 501 *", "C: XFORWARD", "S: 501 *",
		"C: MAIL FROM:<>", "S: 250 *", "C: XFORWARD NAME=x", "S: 503 *",
		BYE),
	    NULL },

	{ "XFORWARD from who is listed, before AUTH too", &forwarding,
	    SCRIPT("P: 192.0.2.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test", "S: 250-XFORWARD *",
		"S: 250-AUTH PLAIN LOGIN", "S: 250-VRFY", "S: 250 HELP",
		"C: XFORWARD ADDR=198.51.100.1 HELO=b", "S: 250 *",
		"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==", "S: 235 *",
		"C: MAIL FROM:<a@a.example> XTRACE=01JABCDEFGHJKMNPQR",
		"S: 555 5.5.4 *", BYE),
	    NULL },
	{ "and from who is not", &forwarding,
	    SCRIPT("P: 198.51.100.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test", "S: 250-AUTH PLAIN LOGIN", "S: 250-VRFY",
		"S: 250 HELP", "C: XFORWARD ADDR=198.51.100.1",
		"S: 550 5.7.1 *", BYE),
	    NULL },
	{ "XFORWARD and XTRACE from elsewhere", &lmtp,
	    SCRIPT("P: 192.0.2.9:1000", "S: 220 *", "C: LHLO a",
		"S: 250-mx.test", "S: 250-SIZE *", "S: 250-PIPELINING",
		"S: 250-8BITMIME", "S: 250-SMTPUTF8",
		"S: 250-ENHANCEDSTATUSCODES", "S: 250-CHUNKING",
		"S: 250-BINARYMIME", "S: 250-DSN", "S: 250-MT-PRIORITY MIXER",
		"S: 250-LIMITS RCPTMAX=4", "S: 250-DELIVERBY", "S: 250-VRFY",
		"S: 250 HELP", "C: XFORWARD NAME=x", "S: 550 5.7.1 *",
		"C: MAIL FROM:<> XTRACE=01JABCDEFGHJKMNPQR", "S: 555 5.5.4 *",
		BYE),
	    NULL },
	{ "the trace goes on", &lmtp,
	    SCRIPT("P: [::1]:1000", LHELLO,
		"C: MAIL FROM:<> XTRACE=01JABCDEFGHJKMNPQR", "S: 250 *",
		"C: RCPT TO:<nobody@b.example>",
		"S: 550 5.1.1 No such mailbox [ref 01JABCDEFGHJKMNPQR]", BYE),
	    NULL },

	/* AUTH: RFC 4954 */
	{ "no AUTH without TLS", &submission,
	    SCRIPT("P: 192.0.2.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test", "S: 250-VRFY", "S: 250 HELP",
		"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==", "S: 538 5.7.11 *", BYE),
	    NULL },
	{ "AUTH PLAIN with initial response (RFC 4954 4.1)", &submission,
	    SCRIPT("S: 220 *", "C: EHLO a", "S: 250-mx.test",
		"S: 250-AUTH PLAIN LOGIN", "S: 250-VRFY", "S: 250 HELP",
		"C: MAIL FROM:<a@a.example>", "S: 530 5.7.0 *",
		"C: AUTH plain AGFsaWNlAHNlY3JldA==", "S: 235 2.7.0 Welcome",
		"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==", "S: 503 5.5.1 *", FROM_TO,
		"C: DATA", "S: 354 *", "C: .", "S: 250 *", BYE),
	    MESSAGE("ESMTPA") RCPT_B "--\n" },
	{ "AUTH PLAIN with a challenge, LOGIN", &submission,
	    SCRIPT(HELLO, "C: AUTH PLAIN", "S: 334 ", "C: AGFsaWNlAHdyb25n",
		"S: 535 5.7.8 *", "C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6",
		"C: YWxpY2U=", "S: 334 UGFzc3dvcmQ6", "C: c2VjcmV0",
		"S: 235 2.7.0 Welcome", BYE),
	    NULL },
	{ "AUTH gone wrong", &submission,
	    SCRIPT(HELLO, "C: AUTH", "S: 501 5.5.4 *", "C: AUTH CRAM-MD5",
		"S: 504 5.5.4 *", "C: AUTH PLAIN !", "S: 501 5.5.2 *",
		"C: AUTH LOGIN", "S: 334 *", "C: *", "S: 501 5.7.0 *", BYE),
	    NULL },
};

static void
scenes_go_as_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++) {
		const struct scene *s = &scenes[i];

		scene_run(s, CUT_NOWHERE);
		/* XCLIENT ends one session and begins another. */
		assert_int_equal(
		    disconnects, s->server == &behind && resets > 0 ? 2 : 1);
	}
}

/* Where octets behind a command change its meaning, where they are cut does
 * too: those scenes are about one packet. */
static bool
is_about_packets(const struct scene *s)
{
	return strncmp(s->name, "who does not", 12) == 0 ||
	    strncmp(s->name, "a browser", 9) == 0 ||
	    strncmp(s->name, "an early", 8) == 0 ||
	    strncmp(s->name, "a chunk whose", 13) == 0;
}

static void
scenes_go_the_same_octet_by_octet(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(*scenes); i++)
		if (!is_about_packets(&scenes[i]))
			scene_run(&scenes[i], CUT_EVERYWHERE);
}

/* --- smuggling --- */

#define SMUGGLED "MAIL FROM:<evil@a>\r\nRCPT TO:<b@b.example>\r\nDATA\r\nx\r\n"
static const char *const smuggling[] = {
	"a\n.\nMAIL",
	"a\n.\r\n" SMUGGLED,
	"a\r\n.\n" SMUGGLED,
	"a\r.\r" SMUGGLED,
	"a\r\n.\r" SMUGGLED,
	"a\r.\r\n" SMUGGLED,
	"a\r\r\n.\r" SMUGGLED,
	"a\n\r.\n\r" SMUGGLED,
	"a\n\n.\n\n" SMUGGLED,
	"a\r\n.\r\r\n" SMUGGLED,
	"a\r\n\n.\r\n" SMUGGLED,
	"a\r\n.\n\r\n" SMUGGLED,
	".\n" SMUGGLED,
	".\r" SMUGGLED,
	"\n.\r\n" SMUGGLED,
};

static void
nothing_is_smuggled_wherever_it_is_cut(void **state)
{
	char raw[200];
	const char *const script[] = { HELLO, FROM_TO, "C: DATA", "S: 354 *",
		raw, "R: \r\n.\r\n", "S: 550 5.6.0 *", "C: NOOP",
		"S: 250 2.0.0 OK", BYE, NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(smuggling) / sizeof(*smuggling); i++) {
		size_t octets;

		snprintf(raw, sizeof(raw), "R: %s", smuggling[i]);
		octets = dialogue_octets(script);
		for (size_t cut = 0; cut <= octets; cut++) {
			struct dialogue d = { .server = &esmtp,
				.script = script,
				.cut = cut == 0 ? CUT_EVERYWHERE : cut };
			const char *error = dialogue_run(&d);

			if (*error != '\0')
				fail_msg("smuggling %zu cut at %zu: %s", i, cut,
				    error);
			assert_string_equal(buf_str(&record), "");
		}
	}
}

/* --- limits --- */

static char *
repeat(const char *head, char c, size_t n, const char *tail)
{
	size_t h = strlen(head), t = strlen(tail);
	char *s = malloc(h + n + t + 1);

	memcpy(s, head, h);
	memset(s + h, c, n);
	memcpy(s + h + n, tail, t + 1);
	return s;
}

static void
long_lines(void **state)
{
	/* RFC 5321 4.5.3.1.4, RFC 3461 5.4, RFC 4954 4 */
	char *fits = repeat("R: NOOP ", 'x', 2043, "\r\n");
	char *longer = repeat("R: NOOP ", 'x', 2044, "\r\n");
	char *auth = repeat("R: AUTH PLAIN ", 'A', 12276, "\r\n");
	char *response = repeat("R: ", 'A', 12289, "\r\n");
	char *endless = repeat("R: ", 'x', 300000, "\r\n");
	const char *const script[] = { HELLO, fits, "S: 250 *", longer,
		"S: 500 5.5.2 *", auth, "S: 535 *", "C: AUTH PLAIN", "S: 334 ",
		response, "S: 500 5.5.6 *", endless, "S: 500 5.5.2 *", BYE,
		NULL };
	struct dialogue d = {
		.server = &submission, .script = script, .cut = CUT_NOWHERE
	};

	(void)state;
	assert_string_equal(dialogue_run(&d), "");
	free(fits);
	free(longer);
	free(auth);
	free(response);
	free(endless);
}

static void
big_messages(void **state)
{
	/* esmtp takes 1,000 octets; the dot and stuffing do not count. */
	char *fits = repeat("R: ..", 'x', 997, "\r\n.\r\n");
	char *longer = repeat("R: ..", 'x', 998, "\r\n.\r\n");
	char *chunk = repeat("R: BDAT 1001 LAST\r\n", 'x', 1001, "");
	char *absurd = repeat("R: BDAT 70000000 LAST\r\n", 'x', 69000000, "");
	const char *const script[] = { HELLO, FROM_TO, "C: DATA", "S: 354 *",
		fits, "S: 250 *", FROM_TO, "C: DATA", "S: 354 *", longer,
		"S: 552 5.3.4 *", FROM_TO, chunk, "S: 552 5.3.4 *", FROM_TO,
		absurd, "S: 552 5.3.4 *", "E:", NULL };
	struct dialogue d = {
		.server = &esmtp, .script = script, .cut = CUT_NOWHERE
	};
	const char *error = dialogue_run(&d);

	(void)state;
	free(fits);
	free(longer);
	free(chunk);
	free(absurd);
	assert_string_equal(error, "");
}

static void
a_silent_client_is_told(void **state)
{
	const struct {
		const char *const *script;
	} cases[] = {
		{ SCRIPT("S: 220 *", "S: 421 4.4.2 *", "E:") },
		{ SCRIPT(HELLO, FROM_TO, "R: NO", "S: 421 4.4.2 *", "E:") },
		{ SCRIPT(HELLO, FROM_TO, "C: DATA", "S: 354 *", "R: x",
		    "S: 421 4.4.2 *", "E:") },
		{ SCRIPT(
		    HELLO, FROM_TO, "R: BDAT 2\r\nx", "S: 421 4.4.2 *", "E:") },
	};
	struct smtp_server impatient = esmtp;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *error = "not run";
		struct dialogue d;

		/* On a busy machine its patience may end before the silence
		 * begins. */
		impatient.timeout_ms = 20;
		while (*error != '\0' && impatient.timeout_ms < 10000) {
			d = (struct dialogue){ .server = &impatient,
				.script = cases[i].script,
				.cut = CUT_NOWHERE };
			error = dialogue_run(&d);
			impatient.timeout_ms *= 8;
		}
		assert_string_equal(error, "");
	}
}

/* Memory for a transaction is bounded; going over is an ordinary reply. */
static void
memory_is_bounded(void **state)
{
	static const char *script[60000];
	struct smtp_server server = lmtp;
	struct dialogue d = {
		.server = &server, .script = script, .cut = CUT_NOWHERE
	};
	size_t n = 0;

	(void)state;
	server.max_errors = 1000000;
	for (size_t i = 0; i < sizeof(lhello) / sizeof(*lhello); i++)
		script[n++] = lhello[i];
	script[n++] = "C: MAIL FROM:<>";
	script[n++] = "S: 250 *";
	for (int i = 0; i < 20000; i++) {
		script[n++] = "C: RCPT TO:<nobody@b.example>";
		script[n++] = i < 100 ? "S: 550 *"
		    : i > 19900       ? "S: 452 4.3.1 *"
				      : "S: *";
	}
	script[n++] = "C: RSET";
	script[n++] = "S: 250 *";
	script[n++] = "C: MAIL FROM:<>";
	script[n++] = "S: 250 *";
	script[n++] = "C: RCPT TO:<b@b.example>";
	script[n++] = "S: 250 *";
	script[n] = NULL;
	assert_string_equal(dialogue_run(&d), "");
}

static void
limits_of_time(void **state)
{
	struct smtp_server short_session = esmtp, pausing = esmtp;
	const char *const early[] = { "R: E", "S: 554 5.5.0 *", "E:", NULL };
	const char *const ends[] = { HELLO, "S: 421 4.4.2 *", "E:", NULL };
	const char *const greeted[] = { "S: 220 *", BYE, NULL };
	struct dialogue d = {
		.server = &short_session, .script = ends, .cut = CUT_NOWHERE
	};
	struct pace pace = { clock_mono_ms() - 1 };

	(void)state;
	short_session.session_ms = 20;
	assert_string_equal(dialogue_run(&d), "");
	pausing.greet_pause_ms = 20;
	d.server = &pausing;
	d.script = early;
	assert_string_equal(dialogue_run(&d), "");
	d.script = greeted;
	assert_string_equal(dialogue_run(&d), "");
	/* 100 octets earn a second. */
	assert_int_equal(pace_check(&pace, 0), -ETIMEDOUT);
	pace.until_ms = clock_mono_ms() - 500;
	assert_int_equal(pace_check(&pace, 100), 0);
}

static void
the_connect_hook(void **state)
{
	const char *const refused[] = { "S: 554 5.7.1 Not you [ref *",
		"E:", NULL };
	const char *const broken[] = { "S: 421 4.3.0 *", "E:", NULL };
	struct smtp_server server = esmtp;
	struct dialogue d = {
		.server = &server, .script = refused, .cut = CUT_NOWHERE
	};

	(void)state;
	server.app = "refuse";
	assert_string_equal(dialogue_run(&d), "");
	server.app = "broken";
	d.script = broken;
	assert_string_equal(dialogue_run(&d), "");
}

/* A service that ends cancels its sessions. */
static void
shutting_down(void **state)
{
	const struct {
		const char *const *script;
	} cases[] = {
		{ SCRIPT(HELLO, "K:", "S: 421 4.3.2 *", "E:") },
		{ SCRIPT(
		    HELLO, FROM_TO, "R: NO", "K:", "S: 421 4.3.2 *", "E:") },
		{ SCRIPT(HELLO, FROM_TO, "C: DATA", "S: 354 *", "R: x",
		    "K:", "S: 421 4.3.2 *", "E:") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct dialogue d = { .server = &esmtp,
			.script = cases[i].script,
			.cut = CUT_NOWHERE };

		assert_string_equal(dialogue_run(&d), "");
		assert_int_equal(disconnects, 1);
		assert_int_equal(resets, i > 0);
	}
}

/* --- STARTTLS --- */

static const struct scene secure[] = {
	{ "a new session begins", NULL,
	    SCRIPT("P: 192.0.2.9:1000", "S: 220 *", "C: EHLO a",
		"S: 250-mx.test", "S: 250-STARTTLS", "S: 250-VRFY",
		"S: 250 HELP", "C: STARTTLS x", "S: 501 5.5.4 *", "C: STARTTLS",
		"S: 220 2.0.0 *", "T:", "C: MAIL FROM:<a@a.example>",
		"S: 503 5.5.1 *", "C: EHLO a", "S: 250-mx.test",
		"S: 250-AUTH PLAIN LOGIN", "S: 250-VRFY", "S: 250 HELP",
		"C: STARTTLS", "S: 503 5.5.1 *",
		"C: AUTH PLAIN AGFsaWNlAHNlY3JldA==", "S: 235 *", FROM_TO,
		"C: DATA", "S: 354 *", "C: .", "S: 250 *", BYE),
	    MESSAGE("ESMTPSA") RCPT_B "--\n" },
	{ "who signed in before is nobody again (RFC 3207 4.2)", NULL,
	    SCRIPT(HELLO, "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==", "S: 235 *",
		"C: STARTTLS", "S: 220 *", "T:", "C: EHLO a", "S: 250-mx.test",
		"S: 250-AUTH PLAIN LOGIN", "S: 250-VRFY", "S: 250 HELP",
		FROM_TO, "C: DATA", "S: 354 *", "C: .", "S: 250 *", BYE),
	    MESSAGE("ESMTPS") RCPT_B "--\n" },
	{ "what stands behind STARTTLS ends the session (CVE-2011-0411)", NULL,
	    SCRIPT(HELLO, "R: STARTTLS\r\nRSET\r\n", "S: 554 5.5.0 *", "E:"),
	    NULL },
	{ "no handshake", NULL,
	    SCRIPT(
		HELLO, "C: STARTTLS", "S: 220 *", "C: NOOP", "C: NOOP", "X:"),
	    NULL },
	{ "not in a transaction", NULL,
	    SCRIPT(HELLO, FROM_TO, "C: STARTTLS", "S: 503 *", BYE), NULL },
};

static void
starttls(void **state)
{
	struct smtp_server server = esmtp;
	struct tls_client *client;
	struct buf err = BUF_INIT;
	char path[32];

	(void)state;
	make_certificate(path);
	server.handler = &recording_auth;
	server.extensions = SMTP_EXT_STARTTLS;
	assert_int_equal(
	    tls_server_new_files(&server.tls, path, path, &err), 0);
	assert_int_equal(
	    tls_client_new_files(&client, TLS_VERIFY_NONE, NULL, &err), 0);
	for (size_t i = 0; i < sizeof(secure) / sizeof(*secure); i++) {
		const struct scene *s = &secure[i];
		struct dialogue d = { .server = &server,
			.tls = client,
			.script = s->script,
			.cut = CUT_NOWHERE };
		const char *error = dialogue_run(&d);

		if (*error != '\0')
			fail_msg("%s: %s", s->name, error);
		assert_string_equal(
		    buf_str(&record), s->recorded == NULL ? "" : s->recorded);
	}
	tls_client_free(&client);
	tls_server_free(&server.tls);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scenes_go_as_written),
		cmocka_unit_test(scenes_go_the_same_octet_by_octet),
		cmocka_unit_test(nothing_is_smuggled_wherever_it_is_cut),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(big_messages),
		cmocka_unit_test(a_silent_client_is_told),
		cmocka_unit_test(starttls),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(limits_of_time),
		cmocka_unit_test(the_connect_hook),
		cmocka_unit_test(shutting_down),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
