/* SPDX-License-Identifier: ISC */
/* The client against scripted servers that misbehave in every state. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/smtp/client.h"
#include "tests/unit/common/smtp_dialogue.h"

static struct arena replies;

/*
 * Scripts of the other side: "S: line", "R: octets", "C: line expected" (a
 * final * for any rest), "D:" data up to the dot, "B:" a BDAT with its octets,
 * "L:" a long line without end, "E:" closes. What comes behind the script is read and dropped.
 */
struct bad {
	const char *name;
	bool lmtp;
	const char *const *script;
	const char *outcome;
};

struct bad_run {
	const struct bad *bad;
	struct conn *ends[2];
	struct buf outcome;
	char error[300];
	int64_t patience_ms;
};

static void
bad_expect(struct bad_run *r, const char *want)
{
	struct slice line;
	char got[300] = "";
	int rc = conn_read_line(r->ends[1], sizeof(got) - 1, &line, NULL);

	if (rc == 0)
		memcpy(got, line.p, line.n);
	if (rc != 0 || !matches(want, got))
		snprintf(r->error, sizeof(r->error), "want %.100s got %.100s",
		    want, rc == 0 ? got : strerror(-rc));
}

static void
bad_read_data(struct bad_run *r)
{
	struct slice line;

	while (conn_read_line(r->ends[1], 1000, &line, NULL) == 0 &&
	    !slice_eq_str(line, "."))
		;
}

static void
bad_read_chunk(struct bad_run *r)
{
	struct slice line;
	uint64_t n;
	char *p;

	if (conn_read_line(r->ends[1], 1000, &line, NULL) != 0)
		return;
	slice_split(&line, ' ');
	if (slice_u64(slice_split(&line, ' '), 10000000, &n) != 0) {
		snprintf(r->error, sizeof(r->error), "not BDAT");
		return;
	}
	p = malloc(n + 1);
	conn_read_exact(r->ends[1], p, n);
	free(p);
}

static void
bad_server(void *arg)
{
	struct bad_run *r = arg;
	const char *const *step = r->bad->script;
	struct slice rest;

	for (; *step != NULL && r->error[0] == '\0'; step++) {
		const char *text = (*step)[2] == ' ' ? *step + 3 : "";

		if (**step == 'S')
			conn_printf(r->ends[1], "%s\r\n", text);
		else if (**step == 'R')
			conn_puts(r->ends[1], text);
		else if (**step == 'C')
			bad_expect(r, text);
		else if (**step == 'D')
			bad_read_data(r);
		else if (**step == 'B')
			bad_read_chunk(r);
		else if (**step == 'L')
			for (int i = 0; i < 10000; i++)
				conn_puts(r->ends[1], "xxxxxxxxxx");
		else if (**step == 'E')
			conn_free(&r->ends[1]);
	}
	while (r->ends[1] != NULL && conn_peek(r->ends[1], &rest) == 0)
		conn_consume(r->ends[1], rest.n);
	conn_free(&r->ends[1]);
}

static const char *
name_of(int rc)
{
	return rc == 0          ? "ok"
	    : rc == -ECONNRESET ? "reset"
	    : rc == -EPROTO     ? "proto"
	    : rc == -ETIMEDOUT  ? "timeout"
				: strerror(-rc);
}

static void
bad_delivery(struct bad_run *r, struct smtp_client *c,
    const struct smtp_client_mail *mail, struct smtp_client_rcpt *rcpts)
{
	struct smtp_reply mail_reply, reply;
	struct spool *body;
	int rc;

	spool_new(&body, "/tmp");
	spool_write(body, SLICE_LIT("x\r\n"));
	rc = smtp_client_deliver(
	    c, mail, rcpts, 2, SLICE_EMPTY, body, &mail_reply, &reply);
	buf_printf(&r->outcome, " %s/%d/%d rcpt=%d,%d", name_of(rc),
	    mail_reply.code, reply.code, rcpts[0].reply.code,
	    rcpts[1].reply.code);
	spool_free(&body);
}

/* One transaction with two recipients, as "mail=ok/250 rcpt=250,550 send=...". */
static void
bad_transaction(struct bad_run *r, struct smtp_client *c)
{
	static const struct smtp_client_mail mail = { .from =
							  SLICE_LIT("a@a") };
	struct smtp_client_rcpt rcpts[2] = { { .address = SLICE_LIT("b@b") },
		{ .address = SLICE_LIT("c@c") } };
	struct smtp_reply reply;
	struct spool *body;
	int rc;

	if (strncmp(r->bad->name, "ahead", 5) == 0) {
		bad_delivery(r, c, &mail, rcpts);
		return;
	}
	rc = smtp_client_mail(c, &mail, rcpts, 2, &reply);
	buf_printf(&r->outcome, " mail=%s/%d rcpt=%d,%d", name_of(rc),
	    reply.code, rcpts[0].reply.code, rcpts[1].reply.code);
	if (rc != 0 || (!rcpts[0].accepted && !rcpts[1].accepted))
		return;
	spool_new(&body, "/tmp");
	spool_write(body, SLICE_LIT("x\r\n"));
	rc = smtp_client_send(c, SLICE_EMPTY, body, rcpts, 2, &reply);
	buf_printf(&r->outcome, " send=%s/%d rcpt=%d,%d", name_of(rc),
	    reply.code, rcpts[0].reply.code, rcpts[1].reply.code);
	spool_free(&body);
}

static struct tls_client *bad_tls;

static void
bad_client(void *arg)
{
	struct bad_run *r = arg;
	struct smtp_client_conf conf = { .lmtp = r->bad->lmtp,
		.hostname = "me",
		.timeout_ms = 20000,
		.reply_arena = &replies };
	struct co_group g = { 0 };
	struct smtp_reply reply;
	struct smtp_client *c;
	int rc;

	if (strstr(r->bad->outcome, "timeout") != NULL)
		conf.timeout_ms = r->patience_ms;
	if (strncmp(r->bad->name, "tls:", 4) == 0) {
		conf.tls = bad_tls;
		conf.tls_mode = SMTP_TLS_STARTTLS;
		conf.tls_name = "mx.test";
	}
	if (conn_pair(&r->ends[0], &r->ends[1]) != 0)
		abort();
	co_group_spawn(&g, bad_server, r);
	rc = smtp_client_open_conn(&c, r->ends[0], &conf, &reply);
	buf_printf(&r->outcome, "open=%s/%d", name_of(rc), reply.code);
	if (rc == 0) {
		bad_transaction(r, c);
		if (strstr(r->bad->outcome, "used up") != NULL) {
			buf_put_str(&r->outcome,
			    smtp_client_is_alive(c) ? "" : "; used up");
		} else if (strchr(r->bad->outcome, ';') != NULL) {
			buf_put_str(&r->outcome, ";");
			bad_transaction(r, c);
		}
	}
	smtp_client_free(&c);
	co_group_join(&g);
}

#define OPEN "S: 220 bad", "C: EHLO me", "S: 250 bad"
#define OPEN_PIPELINING                                                        \
	"S: 220 bad", "C: EHLO me", "S: 250-bad", "S: 250 PIPELINING"
#define OPEN_CHUNKING                                                          \
	"S: 220 bad", "C: EHLO me", "S: 250-bad", "S: 250-PIPELINING",         \
	    "S: 250 CHUNKING"
#define OPEN_LMTP "S: 220 bad", "C: LHLO me", "S: 250-bad", "S: 250 PIPELINING"
#define OPEN_OURS                                                              \
	"S: 220 bad", "C: LHLO me", "S: 250-bad", "S: 250-PIPELINING",         \
	    "S: 250-CHUNKING", "S: 250 XTRACE"
#define AHEAD                                                                  \
	"C: MAIL FROM:<a@a>", "C: RCPT TO:<b@b>", "C: RCPT TO:<c@c>",          \
	    "C: BDAT 3 LAST", "C: x"
#define ENVELOPE                                                               \
	"C: MAIL FROM:<a@a>", "S: 250 ok", "C: RCPT TO:<b@b>", "S: 250 ok",    \
	    "C: RCPT TO:<c@c>", "S: 250 ok"
#define GOOD "open=ok/250 mail=ok/250 rcpt=250,250 "

#define OPEN_PRDR                                                              \
	"S: 220 x", "C: EHLO *", "S: 250-x", "S: 250 PRDR",                    \
	    "C: MAIL FROM:<a@a> PRDR", "S: 250 ok", "C: RCPT *", "S: 250 ok",  \
	    "C: RCPT *", "S: 250 ok", "C: DATA", "S: 354 ok", "D:"

static const struct bad bads[] = {
	{ "PRDR", false,
	    SCRIPT(OPEN_PRDR, "S: 353 each", "S: 250 ok", "S: 452 full",
		"S: 250 ok", "E:"),
	    GOOD "send=ok/250 rcpt=250,452; mail=reset/0 rcpt=0,0" },
	{ "PRDR, and the message is refused as a whole", false,
	    SCRIPT(OPEN_PRDR, "S: 353 each", "S: 250 ok", "S: 452 full",
		"S: 550 no", "E:"),
	    GOOD "send=ok/550 rcpt=550,452; mail=reset/0 rcpt=0,0" },
	{ "PRDR offered and not used", false,
	    SCRIPT(OPEN_PRDR, "S: 250 all", "E:"),
	    GOOD "send=ok/250 rcpt=250,250; mail=reset/0 rcpt=0,0" },
	{ "PRDR, cut off", false,
	    SCRIPT(OPEN_PRDR, "S: 353 each", "S: 250 ok", "E:"),
	    GOOD "send=reset/451 rcpt=451,451" },
	{ "353 that was not asked for", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go", "D:", "S: 353 each"),
	    GOOD "send=proto/451 rcpt=451,451" },
	{ "MAILMAX (RFC 9422): the second transaction is not begun", false,
	    SCRIPT("S: 220 x", "C: EHLO *", "S: 250-x",
		"S: 250 LIMITS MAILMAX=1 RCPTMAX=0 FOO RCPTDOMAINMAX=x",
		ENVELOPE, "C: DATA", "S: 354 go", "D:", "S: 250 stored",
		"C: QUIT"),
	    GOOD "send=ok/250 rcpt=250,250; used up" },
	{ "a good one", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go",
		"D:", "S: 250 stored", ENVELOPE, "C: DATA", "S: 354 go",
		"D:", "S: 250 stored", "C: QUIT"),
	    GOOD "send=ok/250 rcpt=250,250; mail=ok/250 rcpt=250,250 "
		 "send=ok/250 rcpt=250,250" },
	{ "closed at once", false, SCRIPT("E:"), "open=reset/0" },
	{ "silent", false, SCRIPT("R: "), "open=timeout/0" },
	{ "not SMTP", false, SCRIPT("S: SSH-2.0-OpenSSH_9.2"), "open=proto/0" },
	{ "a very long line", false, SCRIPT("R: 220 ", "L:", "S: "),
	    "open=proto/0" },
	{ "refused by the banner", false, SCRIPT("S: 554 5.7.1 go away"),
	    "open=proto/554" },
	{ "busy", false, SCRIPT("S: 421 4.3.2 later", "E:"), "open=proto/421" },
	{ "a banner of many lines", false,
	    SCRIPT("S: 220-bad", "S: 220-very", "S: 220 bad", "C: EHLO me",
		"S: 250 ok", "C: MAIL *", "E:"),
	    "open=ok/250 mail=reset/0 rcpt=0,0" },
	{ "closed at EHLO", false, SCRIPT("S: 220 bad", "C: EHLO me", "E:"),
	    "open=reset/0" },
	{ "no EHLO", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 502 what", "C: HELO me",
		"S: 250 ok", ENVELOPE, "C: DATA", "S: 354", "D:", "S: 250"),
	    GOOD "send=ok/250 rcpt=250,250" },
	{ "no hello at all", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 550 no", "C: HELO me",
		"S: 550 no"),
	    "open=proto/550" },
	{ "later at EHLO", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 451 later"),
	    "open=proto/451" },
	{ "no LHLO", true, SCRIPT("S: 220 bad", "C: LHLO me", "S: 500 what"),
	    "open=proto/500" },
	{ "MAIL refused", false,
	    SCRIPT(OPEN, "C: MAIL *", "S: 550 no", "C: MAIL *", "S: 451 no",
		"C: QUIT"),
	    "open=ok/250 mail=ok/550 rcpt=0,0; mail=ok/451 rcpt=0,0" },
	{ "MAIL refused, pipelined", false,
	    SCRIPT(OPEN_PIPELINING, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 550 no", "S: 503 what", "S: 503 what", "C: MAIL *",
		"C: RCPT *", "C: RCPT *", "S: 250 ok", "S: 550 no", "S: 550 no",
		"C: QUIT"),
	    "open=ok/250 mail=ok/550 rcpt=503,503; mail=ok/250 rcpt=550,550" },
	{ "a transaction that was left open is reset", false,
	    SCRIPT(OPEN, "C: MAIL *", "S: 250 ok", "C: RCPT *", "S: 550 no",
		"C: RCPT *", "S: 550 no", "C: RSET", "S: 250 ok", "C: MAIL *",
		"S: 550 no", "C: QUIT"),
	    "open=ok/250 mail=ok/250 rcpt=550,550; mail=ok/550 rcpt=0,0" },
	{ "closed at RCPT", false,
	    SCRIPT(
		OPEN_PIPELINING, "C: MAIL *", "S: 250 ok", "S: 250 ok", "E:"),
	    "open=ok/250 mail=reset/250 rcpt=250,0" },
	{ "421 at MAIL", false,
	    SCRIPT(OPEN_PIPELINING, "C: MAIL *", "S: 421 bye", "E:"),
	    "open=ok/250 mail=ok/421 rcpt=421,421; mail=reset/0 rcpt=0,0" },
	{ "421 at RCPT", false,
	    SCRIPT(OPEN_PIPELINING, "C: MAIL *", "S: 250 ok", "S: 250 ok",
		"S: 421 bye", "E:"),
	    "open=ok/250 mail=ok/250 rcpt=250,421 send=reset/451 "
	    "rcpt=451,421" },
	{ "nonsense at RCPT", false,
	    SCRIPT(OPEN_PIPELINING, "C: MAIL *", "S: 250 ok", "S: what?"),
	    "open=ok/250 mail=proto/250 rcpt=0,0" },
	{ "silent at MAIL", false, SCRIPT(OPEN, "C: MAIL *"),
	    "open=ok/250 mail=timeout/0 rcpt=0,0" },
	{ "DATA refused", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 451 no", "C: RSET",
		"S: 250 ok", "C: MAIL *", "S: 550 no"),
	    GOOD "send=ok/451 rcpt=451,451; mail=ok/550 rcpt=0,0" },
	{ "DATA answered with 250", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 250 ok"),
	    GOOD "send=proto/451 rcpt=451,451" },
	{ "closed at DATA", false, SCRIPT(OPEN, ENVELOPE, "C: DATA", "E:"),
	    GOOD "send=reset/451 rcpt=451,451" },
	{ "closed at the dot", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go", "D:", "E:"),
	    GOOD "send=reset/451 rcpt=451,451" },
	{ "silent at the dot", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go", "D:"),
	    GOOD "send=timeout/451 rcpt=451,451" },
	{ "refused at the dot", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go",
		"D:", "S: 554 5.6.0 no", ENVELOPE, "C: DATA", "S: 354 go",
		"D:", "S: 250 ok"),
	    GOOD "send=ok/554 rcpt=554,554; mail=ok/250 rcpt=250,250 "
		 "send=ok/250 rcpt=250,250" },
	{ "354 at the dot is no answer", false,
	    SCRIPT(OPEN, ENVELOPE, "C: DATA", "S: 354 go", "D:", "S: 354 more"),
	    GOOD "send=proto/451 rcpt=451,451" },
	{ "LMTP gives each its own", true,
	    SCRIPT(OPEN_LMTP, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 250 ok", "S: 250 ok", "C: DATA", "S: 354 go",
		"D:", "S: 250 ok", "S: 452 4.2.2 full", "C: QUIT"),
	    GOOD "send=ok/250 rcpt=250,452" },
	{ "LMTP skips who was refused", true,
	    SCRIPT(OPEN_LMTP, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 550 no", "S: 250 ok", "C: DATA", "S: 354 go",
		"D:", "S: 452 4.2.2 full", "C: QUIT"),
	    "open=ok/250 mail=ok/250 rcpt=550,250 send=ok/452 rcpt=550,452" },
	{ "LMTP closed between replies (RFC 2033 5)", true,
	    SCRIPT(OPEN_LMTP, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 250 ok", "S: 250 ok", "C: DATA", "S: 354 go",
		"D:", "S: 250 ok", "E:"),
	    GOOD "send=reset/250 rcpt=250,451" },
	{ "BDAT", false,
	    SCRIPT(OPEN_CHUNKING, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 250 ok", "S: 250 ok", "C: BDAT 3 LAST", "C: x",
		"S: 250 ok", "C: QUIT"),
	    GOOD "send=ok/250 rcpt=250,250" },
	{ "BDAT refused", false,
	    SCRIPT(OPEN_CHUNKING, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 250 ok", "S: 250 ok", "B:", "S: 552 big",
		"C: MAIL *", "C: RCPT *", "C: RCPT *", "S: 550 no", "S: 503 no",
		"S: 503 no"),
	    GOOD "send=ok/552 rcpt=552,552; mail=ok/550 rcpt=503,503" },
	{ "ahead", true,
	    SCRIPT(OPEN_OURS, AHEAD, "S: 250 ok", "S: 250 ok", "S: 550 no",
		"S: 250 stored", AHEAD, "S: 250 ok", "S: 250 ok", "S: 250 ok",
		"S: 250 stored", "S: 452 full", "C: QUIT"),
	    "open=ok/250 ok/250/250 rcpt=250,550; ok/250/250 rcpt=250,452" },
	{ "ahead of a refused MAIL", true,
	    SCRIPT(OPEN_OURS, AHEAD, "S: 451 no", "S: 503 no", "S: 503 no",
		"S: 503 no", AHEAD, "S: 250 ok", "S: 250 ok", "S: 250 ok",
		"S: 250 stored", "S: 250 stored", "C: QUIT"),
	    "open=ok/250 ok/451/0 rcpt=503,503; ok/250/250 rcpt=250,250" },
	{ "ahead of refused recipients (RFC 2033 4.3)", true,
	    SCRIPT(OPEN_OURS, AHEAD, "S: 250 ok", "S: 550 no", "S: 550 no",
		AHEAD, "S: 250 ok", "S: 550 no", "S: 250 ok", "S: 250 stored",
		"C: QUIT"),
	    "open=ok/250 ok/250/0 rcpt=550,550; ok/250/250 rcpt=550,250" },
	{ "ahead of 421", true, SCRIPT(OPEN_OURS, AHEAD, "S: 421 no", "E:"),
	    "open=ok/250 ok/421/0 rcpt=421,421; reset/0/0 rcpt=0,0" },
	{ "ahead and lost", true,
	    SCRIPT(OPEN_OURS, AHEAD, "S: 250 ok", "S: 250 ok", "S: 250 ok",
		"S: 250 stored", "E:"),
	    "open=ok/250 reset/250/250 rcpt=250,451" },
	{ "tls: a reply is put behind the one to STARTTLS", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 250-bad", "S: 250 STARTTLS",
		"C: STARTTLS",
		"R: 220 go\r\n250-injected\r\n250 AUTH PLAIN\r\n"),
	    "open=proto/220" },
	{ "tls: not offered", false, SCRIPT(OPEN), "open=proto/454" },
	{ "tls: offered and refused", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 250-bad", "S: 250 STARTTLS",
		"C: STARTTLS", "S: 454 4.7.0 later"),
	    "open=proto/454" },
	{ "tls: no handshake", false,
	    SCRIPT("S: 220 bad", "C: EHLO me", "S: 250-bad", "S: 250 STARTTLS",
		"C: STARTTLS", "S: 220 go", "E:"),
	    "open=reset/0" },
	{ "closed at BDAT", false,
	    SCRIPT(OPEN_CHUNKING, "C: MAIL *", "C: RCPT *", "C: RCPT *",
		"S: 250 ok", "S: 250 ok", "S: 250 ok", "B:", "E:"),
	    GOOD "send=reset/451 rcpt=451,451" },
};

static void
bad_servers(void **state)
{
	struct buf err = BUF_INIT;
	size_t failed = 0;

	(void)state;
	assert_int_equal(
	    tls_client_new_files(&bad_tls, TLS_VERIFY_NONE, NULL, &err), 0);
	for (size_t i = 0; i < sizeof(bads) / sizeof(*bads); i++) {
		struct bad_run r = { .bad = &bads[i], .patience_ms = 20 };

		co_run(bad_client, &r);
		/* On a busy machine that may be over before its time: what comes
		 * before the silence, too, takes a while. */
		while (strcmp(buf_str(&r.outcome), bads[i].outcome) != 0 &&
		    strstr(bads[i].outcome, "timeout") != NULL &&
		    r.patience_ms < 10000) {
			buf_clear(&r.outcome);
			r = (struct bad_run){ .bad = &bads[i],
				.patience_ms = r.patience_ms * 8 };
			co_run(bad_client, &r);
		}
		if (r.error[0] != '\0' ||
		    strcmp(buf_str(&r.outcome), bads[i].outcome) != 0) {
			print_error("%s: %s\n  %s\n  %s\n", bads[i].name,
			    r.error, buf_str(&r.outcome), bads[i].outcome);
			failed++;
		}
		buf_clear(&r.outcome);
	}
	tls_client_free(&bad_tls);
	assert_int_equal(failed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_servers),
	};
	int rc;

	log_set_level(LOG_LEVEL_ERROR);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	arena_reset(&replies);
	return rc;
}
