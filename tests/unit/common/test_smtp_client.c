/* SPDX-License-Identifier: ISC */
/*
 * The client: against our own server with every set of extensions, and against
 * scripted servers that behave badly in each state.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/un.h>

#include "common/auth/sasl.h"
#include "common/smtp/client.h"
#include "common/smtp/client_impl.h"
#include "tests/unit/common/smtp_dialogue.h"

/* --- against our own --- */

struct delivery {
	/* given */
	struct smtp_server server;
	struct slice prefix, body;
	bool from_function, whole; /* how it is sent */
	size_t n_rcpts;            /* every third is nobody@ */
	struct smtp_client_mail mail;
	unsigned times; /* transactions in the session */
	struct tls_client *tls;
	const char *user;
	/* seen */
	struct conn *ends[2];
	int open_rc, mail_rc, send_rc;
	struct smtp_reply open_reply, mail_reply, reply;
	size_t n_accepted, n_final;
	unsigned extensions;
};

static struct arena replies;

static void
serve(void *arg)
{
	struct delivery *d = arg;

	smtp_serve(&d->server, d->ends[1]);
	conn_free(&d->ends[1]);
}

static ssize_t
read_slice(void *arg, void *p, size_t n)
{
	struct slice *s = arg;

	/* In odd pieces, as a store may give them. */
	n = n < s->n ? n : s->n;
	if (n > 1000)
		n = 1000;
	memcpy(p, s->p, n);
	*s = slice_from(*s, n);
	return (ssize_t)n;
}

static int
send_body(
    struct delivery *d, struct smtp_client *c, struct smtp_client_rcpt *rcpts)
{
	struct slice rest = d->body;
	struct spool *spool;
	int rc;

	if (d->from_function)
		return smtp_client_send_from(c, d->prefix, read_slice, &rest,
		    d->body.n, rcpts, d->n_rcpts, &d->reply);
	if (spool_new(&spool, "/tmp") != 0 || spool_write(spool, d->body) != 0)
		abort();
	rc =
	    smtp_client_send(c, d->prefix, spool, rcpts, d->n_rcpts, &d->reply);
	spool_free(&spool);
	return rc;
}

static void
transact_whole(
    struct delivery *d, struct smtp_client *c, struct smtp_client_rcpt *rcpts)
{
	struct spool *spool;

	if (spool_new(&spool, "/tmp") != 0 || spool_write(spool, d->body) != 0)
		abort();
	d->mail_rc = smtp_client_deliver(c, &d->mail, rcpts, d->n_rcpts,
	    d->prefix, spool, &d->mail_reply, &d->reply);
	d->n_accepted = d->n_final = d->send_rc = 0;
	for (size_t i = 0; i < d->n_rcpts; i++) {
		d->n_accepted += rcpts[i].accepted;
		d->n_final += slice_eq_str(rcpts[i].reply.text, "Stored");
	}
	spool_free(&spool);
}

static void
transact(struct delivery *d, struct smtp_client *c)
{
	struct smtp_client_rcpt *rcpts = calloc(d->n_rcpts, sizeof(*rcpts));

	for (size_t i = 0; i < d->n_rcpts; i++) {
		rcpts[i].address = i % 3 == 1 ? SLICE_LIT("nobody@b.example")
					      : SLICE_LIT("b@b.example");
		rcpts[i].notify = SMTP_NOTIFY_FAILURE;
		rcpts[i].orcpt = SLICE_LIT("rfc822;b=c@b.example");
	}
	if (d->whole) {
		transact_whole(d, c, rcpts);
		free(rcpts);
		return;
	}
	d->mail_rc =
	    smtp_client_mail(c, &d->mail, rcpts, d->n_rcpts, &d->mail_reply);
	if (d->mail_rc == 0 && d->mail_reply.code == 250) {
		d->n_accepted = d->n_final = 0;
		for (size_t i = 0; i < d->n_rcpts; i++)
			d->n_accepted +=
			    rcpts[i].accepted && rcpts[i].reply.code == 250;
		d->send_rc = send_body(d, c, rcpts);
		for (size_t i = 0; i < d->n_rcpts; i++)
			d->n_final +=
			    slice_eq_str(rcpts[i].reply.text, "Stored");
	}
	free(rcpts);
}

static void
deliver(void *arg)
{
	struct delivery *d = arg;
	struct smtp_client_conf conf = {
		.lmtp = d->server.kind == SMTP_SERVER_LMTP,
		.hostname = "client.test",
		.timeout_ms = 20000,
		.reply_arena = &replies,
		.tls = d->tls,
		.tls_mode = d->tls == NULL ? SMTP_TLS_NONE : SMTP_TLS_STARTTLS,
		.tls_name = "mx.test",
		.sasl_user = d->user,
		.sasl_password = d->user == NULL ? NULL : "secret",
		.sasl = &sasl_smtp_client,
	};
	struct co_group g = { 0 };
	struct smtp_client *c;

	if (conn_pair(&d->ends[0], &d->ends[1]) != 0)
		abort();
	co_group_spawn(&g, serve, d);
	d->open_rc =
	    smtp_client_open_conn(&c, d->ends[0], &conf, &d->open_reply);
	if (d->open_rc == 0) {
		d->extensions = smtp_client_extensions(c);
		for (unsigned i = 0; i < d->times; i++)
			transact(d, c);
	}
	smtp_client_free(&c);
	co_group_join(&g);
}

/* All messages that were recorded have this body. */
static size_t
count_bodies(struct slice want)
{
	struct slice rest = buf_slice(&record);
	size_t n = 0;

	while (rest.n > 0) {
		if (slice_starts(rest, "for "))
			slice_split(&rest, '\n');
		assert_true(slice_starts(rest, "message "));
		slice_split(&rest, '\n');
		while (slice_starts(rest, "rcpt "))
			slice_split(&rest, '\n');
		assert_true(rest.n >= want.n);
		assert_memory_equal(rest.p, want.p, want.n);
		rest = slice_from(rest, want.n);
		assert_true(slice_starts(rest, "--\n"));
		slice_split(&rest, '\n');
		n++;
	}
	return n;
}

static void
check_delivery(struct delivery *d, struct slice want, const char *what)
{
	size_t accepted = d->n_rcpts - (d->n_rcpts + 1) / 3;

	record.max = (size_t)64 << 20;
	buf_reset(&record);
	co_run(deliver, d);
	if (d->open_rc != 0 || d->mail_rc != 0 || d->mail_reply.code != 250 ||
	    d->send_rc != 0 || d->reply.code != 250 ||
	    d->n_accepted != accepted || d->n_final != accepted)
		fail_msg("%s: open %d mail %d %d send %d %d accepted %zu %zu",
		    what, d->open_rc, d->mail_rc, d->mail_reply.code,
		    d->send_rc, d->reply.code, d->n_accepted, d->n_final);
	assert_int_equal(count_bodies(want), d->times);
}

static const struct {
	const char *in, *out;
} bodies[] = {
	{ "", "" },
	{ "Subject: x\r\n\r\ntext\r\n", "Subject: x\r\n\r\ntext\r\n" },
	{ ".\r\n..\r\n.x\r\n\r\n.", ".\r\n..\r\n.x\r\n\r\n.\r\n" },
	{ "a\nb\rc\r\n.\n.\rd", "a\r\nb\r\nc\r\n.\r\n.\r\nd\r\n" },
	{ "a\r\n.\r\nMAIL FROM:<x@y>\r\n", "a\r\n.\r\nMAIL FROM:<x@y>\r\n" },
};

static struct delivery
delivery(enum smtp_server_kind kind, unsigned extensions)
{
	struct delivery d = { .server = esmtp };

	d.server.kind = kind;
	d.server.extensions = extensions;
	d.server.max_size = 0;
	d.server.max_recipients = 100000;
	d.n_rcpts = 1;
	d.times = 2;
	d.mail.from = SLICE_LIT("a@a.example");
	return d;
}

#define EXTENSIONS 14

static void
small_bodies_with_each_extension(void **state)
{
	unsigned all = (1U << EXTENSIONS) - 1;

	(void)state;
	for (int kind = 0; kind < 2; kind++)
		for (unsigned bit = 0; bit < EXTENSIONS + 2; bit++) {
			unsigned ext = bit == EXTENSIONS ? all
			    : bit == EXTENSIONS + 1      ? 0
							 : all & ~(1U << bit);
			for (size_t i = 0;
			     i < 3 * sizeof(bodies) / sizeof(*bodies); i++) {
				struct delivery d =
				    delivery(kind == 0 ? SMTP_SERVER_ESMTP
						       : SMTP_SERVER_LMTP,
					ext);
				char what[64];

				d.body = slice_str(bodies[i / 3].in);
				d.from_function = i % 3 == 1;
				d.whole = i % 3 == 2;
				d.n_rcpts = 1 + i % 4;
				d.mail.body = SMTP_BODY_8BITMIME;
				d.mail.ret = SMTP_RET_HDRS;
				d.mail.envid = SLICE_LIT("a b=c");
				d.mail.trace = SLICE_LIT("01JABCDEFGHJKMNPQR");
				d.mail.xforward = "NAME=x ADDR=192.0.2.1";
				snprintf(what, sizeof(what),
				    "kind %d ext %x body %zu", kind, ext, i);
				check_delivery(
				    &d, slice_str(bodies[i / 3].out), what);
			}
		}
}

static void
the_prefix_goes_first(void **state)
{
	(void)state;
	for (unsigned ext = 0; ext < 2; ext++) {
		struct delivery d =
		    delivery(SMTP_SERVER_LMTP, ext * SMTP_EXT_CHUNKING);

		d.prefix = SLICE_LIT("Received: x\r\n");
		d.body = SLICE_LIT(".a");
		check_delivery(
		    &d, SLICE_LIT("Received: x\r\n.a\r\n"), "prefix");
	}
}

static void
large_bodies(void **state)
{
	static const size_t sizes[] = { 65535, 65536, 65537, 262144, 300000,
		3000000 };
	char *p = malloc(3000002);

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (unsigned k = 0; k < 12; k++) {
			struct delivery d = delivery(
			    k & 1 ? SMTP_SERVER_LMTP : SMTP_SERVER_ESMTP,
			    (k & 2 ? SMTP_EXT_CHUNKING : 0) |
				SMTP_EXT_PIPELINING);
			size_t n = sizes[i];

			/* Lines of 61, so that dots and ends fall everywhere
			 * in the chunks. */
			for (size_t o = 0; o < n; o++)
				p[o] = o % 61 == 59 ? '\r'
				    : o % 61 == 60  ? '\n'
				    : o % 61 == 0   ? '.'
						    : 'x';
			memcpy(p + n - 2, "\r\n", 2);
			if (p[n - 3] == '\r')
				p[n - 3] = 'x';
			d.from_function = k & 4;
			d.whole = k & 8;
			d.body = slice(p, n);
			d.times = 1;
			check_delivery(&d, d.body, "large");
		}
	free(p);
}

static void
many_recipients(void **state)
{
	(void)state;
	for (int kind = 0; kind < 2; kind++) {
		struct delivery d =
		    delivery(kind == 0 ? SMTP_SERVER_ESMTP : SMTP_SERVER_LMTP,
			SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING | SMTP_EXT_DSN);

		d.server.max_errors = 100000;
		d.n_rcpts = 5000;
		d.times = 1;
		d.body = SLICE_LIT("x\r\n");
		check_delivery(&d, d.body, "many");
	}
}

static void
what_is_not_offered_is_refused_here(void **state)
{
	static const struct {
		struct smtp_client_mail mail;
		int code;
		const char *enhanced;
	} cases[] = {
		{ { .smtputf8 = true }, 553, "5.6.7" },
		{ { .body = SMTP_BODY_BINARYMIME }, 554, "5.6.3" },
		{ { .size = 1001 }, 552, "5.3.4" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct delivery d = delivery(SMTP_SERVER_ESMTP, SMTP_EXT_SIZE);

		d.server.max_size = 1000;
		d.mail = cases[i].mail;
		co_run(deliver, &d);
		assert_int_equal(d.mail_rc, 0);
		assert_int_equal(d.mail_reply.code, cases[i].code);
		assert_string_equal(d.mail_reply.enhanced, cases[i].enhanced);
	}
}

/* --- what MAIL asks for beyond delivery --- */

static const struct {
	const char *name;
	struct smtp_wishes wishes; /* by_ms: from now */
	unsigned ext;
	int code;             /* of MAIL */
	const char *enhanced; /* of a refusal */
	const char *recorded; /* by the server; NULL: nothing of it */
} wish_cases[] = {
	{ "hold", { .hold = SLICE_LIT("for;3600") }, SMTP_EXT_FUTURERELEASE,
	    250, "", "hold for;3600 until now+3600\n" },
	{ "hold until", { .hold = SLICE_LIT("until;2026-01-01T00:00:00Z") },
	    SMTP_EXT_FUTURERELEASE, 250, "",
	    "hold until;2026-01-01T00:00:00Z until " },
	{ "priority", { .priority = -3, .has_priority = true },
	    SMTP_EXT_MT_PRIORITY, 250, "", "priority -3\n" },
	{ "a priority that is not offered",
	    { .priority = 3, .has_priority = true }, 0, 250, "", "message " },
	{ "by", { .by_ms = 100400, .by_mode = 'R', .by_trace = true },
	    SMTP_EXT_DELIVERBY, 250, "", "by now+100;RT\n" },
	{ "late", { .by_ms = -99600, .by_mode = 'N' }, SMTP_EXT_DELIVERBY, 250,
	    "", "by now-100;N\n" },
	{ "by in a server that does not know", { .by_ms = 1, .by_mode = 'N' },
	    0, 250, "", "message " },
	{ "and must", { .by_ms = 100000, .by_mode = 'R' }, 0, 554, "5.3.3",
	    NULL },
	{ "too little is left", { .by_ms = 59000, .by_mode = 'R' },
	    SMTP_EXT_DELIVERBY, 554, "5.4.7", NULL },
	{ "nothing is left", { .by_ms = 900, .by_mode = 'R' },
	    SMTP_EXT_DELIVERBY, 554, "5.4.7", NULL },
	{ "TLS from one of ours to another", { .requiretls = true },
	    SMTP_EXT_REQUIRETLS, 250, "", "requiretls\n" },
	{ "TLS where it is not offered", { .requiretls = true }, 0, 550,
	    "5.7.30", NULL },
	{ "a hold that is not offered", { .hold = SLICE_LIT("for;1") }, 0, 554,
	    "5.3.3", NULL },
};

static void
wishes_go_along_or_the_mail_does_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wish_cases) / sizeof(*wish_cases); i++) {
		struct delivery d =
		    delivery(SMTP_SERVER_LMTP, wish_cases[i].ext);
		const char *want = wish_cases[i].recorded;

		d.server.hold_max_s = 999999999;
		d.times = 1;
		d.body = SLICE_LIT("x\r\n");
		d.server.by_min_s = 60;
		d.mail.wishes = wish_cases[i].wishes;
		d.mail.wishes.by_ms += clock_wall_ms();
		buf_reset(&record);
		co_run(deliver, &d);
		assert_int_equal(d.open_rc, 0);
		if (d.mail_rc != 0 || d.mail_reply.code != wish_cases[i].code ||
		    (d.mail_reply.code >= 400 &&
			strcmp(d.mail_reply.enhanced, wish_cases[i].enhanced)))
			fail_msg("%s: %d %d %s", wish_cases[i].name, d.mail_rc,
			    d.mail_reply.code, d.mail_reply.enhanced);
		if (want == NULL ? record.n > 0
				 : strstr(buf_str(&record), want) == NULL)
			fail_msg("%s: recorded \"%s\"", wish_cases[i].name,
			    buf_str(&record));
	}
}

static void
nothing_can_be_injected(void **state)
{
	static const struct smtp_client_mail mails[] = {
		{ .from = SLICE_LIT("a@b>\r\nRSET\r\nMAIL FROM:<c@d") },
		{ .trace = SLICE_LIT("x\r\nRSET") },
		{ .xforward = "NAME=x\r\nRSET" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mails) / sizeof(*mails); i++) {
		struct delivery d = delivery(SMTP_SERVER_ESMTP, 0);

		d.mail = mails[i];
		d.times = 1;
		co_run(deliver, &d);
		assert_int_equal(d.mail_rc, -EINVAL);
	}
}

static void
binary_mail(void **state)
{
	struct delivery d = delivery(SMTP_SERVER_LMTP,
	    SMTP_EXT_8BITMIME | SMTP_EXT_CHUNKING | SMTP_EXT_BINARYMIME);

	(void)state;
	d.mail.body = SMTP_BODY_BINARYMIME;
	d.body = SLICE_LIT("a\r\0\n.\n\r");
	check_delivery(&d, d.body, "binary");
}

static void
tls_and_auth(void **state)
{
	static const struct {
		const char *mechanisms;
		const char *user;
		bool tls;
		int rc, code;
	} cases[] = {
		{ "PLAIN LOGIN", "alice", true, 0, 0 },
		{ "LOGIN", "alice", true, 0, 0 },
		{ "LOGIN", NULL, true, 0, 0 },
		{ "PLAIN", "bob", true, -EPROTO, 535 },
		{ "GSSAPI", "alice", true, -EPROTO, 454 },
		{ "PLAIN", "alice", false, -EPROTO, 454 },
	};
	struct tls_server *tls;
	struct tls_client *client;
	struct buf err = BUF_INIT;
	char path[32];

	(void)state;
	make_certificate(path);
	assert_int_equal(tls_server_new_files(&tls, path, path, &err), 0);
	assert_int_equal(
	    tls_client_new_files(&client, TLS_VERIFY_NONE, NULL, &err), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct delivery d =
		    delivery(SMTP_SERVER_ESMTP, SMTP_EXT_STARTTLS);

		offered_mechanisms = cases[i].mechanisms;
		d.server.handler = &recording_auth;
		d.server.tls = cases[i].tls ? tls : NULL;
		d.tls = client;
		d.user = cases[i].user;
		d.body = SLICE_LIT("x\r\n");
		if (cases[i].rc == 0) {
			check_delivery(&d, d.body, cases[i].mechanisms);
			continue;
		}
		co_run(deliver, &d);
		assert_int_equal(d.open_rc, cases[i].rc);
		assert_int_equal(d.open_reply.code, cases[i].code);
	}
	tls_client_free(&client);
	tls_server_free(&tls);
	unlink(path);
}

/* --- against the bad --- */

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
		conf.timeout_ms = 20;
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
		struct bad_run r = { .bad = &bads[i] };

		co_run(bad_client, &r);
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

/* --- the pool --- */

#define SOCKET "test-smtp-pool.sock"

struct pool_run {
	struct smtp_pool *pool;
	int listener;
	unsigned accepted;    /* connections */
	unsigned close_after; /* close the first after so many messages */
	struct co *acceptor;
	struct co_group sessions;
	int rc[20];
	char dir[32];
};

static struct pool_run pools;

static void
pool_session(void *arg)
{
	struct conn *c = arg;
	struct smtp_server server = lmtp;

	smtp_serve(&server, c);
	conn_free(&c);
}

/* Says hello and goes away when a MAIL comes. */
static void
pool_dead_session(void *arg)
{
	struct conn *c = arg;
	struct slice line;

	conn_puts(c, "220 dead\r\n");
	conn_read_line(c, 1000, &line, NULL);
	conn_puts(c, "250-dead\r\n250 PIPELINING\r\n");
	conn_read_line(c, 1000, &line, NULL);
	if (slice_starts(line, "NOOP")) {
		conn_puts(c, "250 ok\r\n");
		conn_read_line(c, 1000, &line, NULL);
	}
	conn_free(&c);
}

static void
pool_accept(void *arg)
{
	struct conn *c;
	int fd;

	(void)arg;
	while (co_wait_fd(pools.listener, 0x02 /* EV_READ */, -1) == 0) {
		fd = accept4(pools.listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1 || conn_new(&c, fd, fd) != 0)
			continue;
		co_group_spawn(&pools.sessions,
		    pools.accepted++ < pools.close_after ? pool_dead_session
							 : pool_session,
		    c);
	}
	co_group_join(&pools.sessions);
}

static void
pool_listen(size_t max, int64_t idle_ms)
{
	const struct smtp_client_conf conf = { .lmtp = true,
		.hostname = "me",
		.timeout_ms = 20000,
		.idle_ms = idle_ms };
	struct net_addr a;

	snprintf(pools.dir, sizeof(pools.dir), "/tmp/pneu-pool.XXXXXX");
	if (mkdtemp(pools.dir) == NULL ||
	    net_addr_parse(&a, "unix:" SOCKET, pools.dir) != 0)
		abort();
	pools.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(pools.listener, (struct sockaddr *)&a.sa, a.len) != 0 ||
	    listen(pools.listener, 10) != 0)
		abort();
	fcntl(pools.listener, F_SETFL, O_NONBLOCK);
	pools.accepted = 0;
	pools.sessions = (struct co_group){ 0 };
	if (smtp_pool_new(&pools.pool, "unix:" SOCKET, pools.dir, &conf, max) !=
	    0)
		abort();
	pools.acceptor = co_spawn(pool_accept, NULL);
}

static void
pool_stop_listening(void)
{
	co_cancel(pools.acceptor);
	while (co_count() > 1)
		co_yield ();
	close(pools.listener);
}

static void
pool_forget(void)
{
	struct net_addr a;

	net_addr_parse(&a, "unix:" SOCKET, pools.dir);
	unlink(net_addr_path(&a));
	rmdir(pools.dir);
	smtp_pool_free(&pools.pool);
}

static void
pool_end(void)
{
	smtp_pool_free(&pools.pool);
	pool_stop_listening();
	pool_forget();
}

static int
pool_send(void)
{
	static const struct smtp_client_mail mail = { .from =
							  SLICE_LIT("a@a") };
	struct smtp_client_rcpt rcpt = { .address = SLICE_LIT("b@b") };
	struct smtp_client *c;
	struct smtp_reply mail_reply, reply;
	struct spool *body;
	int rc;

	if ((rc = smtp_pool_get(pools.pool, &c)) != 0)
		return rc;
	spool_new(&body, "/tmp");
	rc = smtp_client_deliver(
	    c, &mail, &rcpt, 1, SLICE_EMPTY, body, &mail_reply, &reply);
	spool_free(&body);
	smtp_pool_put(pools.pool, c, rc == 0);
	return rc == 0 && reply.code != 250 ? -EBADMSG : rc;
}

static void
pool_one_after_the_other(void *arg)
{
	(void)arg;
	pool_listen(2, 0);
	for (size_t i = 0; i < 20; i++)
		pools.rc[i] = pool_send();
	pool_end();
}

static void
pool_sender(void *arg)
{
	*(int *)arg = pool_send();
}

static void
pool_all_at_once(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	pool_listen(3, 0);
	for (size_t i = 0; i < 20; i++)
		co_group_spawn(&g, pool_sender, &pools.rc[i]);
	co_group_join(&g);
	pool_end();
}

/* The connection dies between two transactions: unseen, so that only MAIL
 * finds out. */
static void
pool_with_a_dead_one(void *arg)
{
	struct smtp_client *c;

	(void)arg;
	pool_listen(1, 0);
	if ((pools.rc[0] = smtp_pool_get(pools.pool, &c)) == 0) {
		pools.rc[1] = smtp_client_noop(c);
		smtp_pool_put(pools.pool, c, true);
	}
	pools.rc[2] = pool_send();
	pool_end();
}

static void
pool_reuses_connections(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_one_after_the_other, NULL);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.accepted, 1);
}

static void
pool_is_bounded(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_all_at_once, NULL);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.accepted, 3);
}

static void
pool_tries_again_when_the_connection_was_dead(void **state)
{
	(void)state;
	pools.close_after = 1;
	co_run(pool_with_a_dead_one, NULL);
	assert_int_equal(pools.rc[0], 0);
	assert_int_equal(pools.rc[1], 0);
	assert_int_equal(pools.rc[2], 0);
	assert_int_equal(pools.accepted, 2);
}

static void
pool_hold(void *arg)
{
	struct smtp_client *c[4];

	(void)arg;
	for (size_t i = 0; i < 4; i++)
		pools.rc[i] = smtp_pool_get(pools.pool, &c[i]);
	for (size_t i = 0; i < 4; i++)
		smtp_pool_put(pools.pool, c[i], true);
}

/* Half of four stay; and in the end none. */
static void
pool_grows_old(void *arg)
{
	pool_listen(4, 50);
	pool_hold(arg);
	pools.rc[4] = (int)pools.accepted;
	while (pools.sessions.running > 0 && co_sleep(5) == 0)
		;
	pool_hold(arg);
	pools.rc[5] = (int)pools.accepted;
	pool_hold(arg);
	pools.rc[6] = (int)pools.accepted;
	pool_end();
}

static void
pool_closes_what_is_idle(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_grows_old, NULL);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.rc[4], 4);
	assert_int_equal(pools.rc[5], 8);
	assert_in_range(pools.rc[6], 10, 12);
}

static void
pool_left_open(void *arg)
{
	static const struct smtp_client_mail mail = { .from =
							  SLICE_LIT("a@a") };
	struct smtp_reply reply;
	struct smtp_client *c;

	(void)arg;
	pool_listen(1, 0);
	resets = 0;
	if ((pools.rc[0] = smtp_pool_get(pools.pool, &c)) == 0) {
		pools.rc[1] = smtp_client_mail(c, &mail, NULL, 0, &reply);
		smtp_pool_put(pools.pool, c, true);
	}
	pools.rc[2] = (int)resets;
	pool_end();
}

static void
pool_resets_what_was_left_open(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_left_open, NULL);
	assert_int_equal(pools.rc[0], 0);
	assert_int_equal(pools.rc[1], 0);
	assert_int_equal(pools.rc[2], 1);
}

static void
pool_no_peer(void *arg)
{
	(void)arg;
	pool_listen(1, 0);
	pool_stop_listening();
	pools.rc[0] = pool_send();
	pools.rc[1] = pool_send(); /* its turn came back */
	pool_forget();
}

static void
pool_without_a_peer(void **state)
{
	(void)state;
	co_run(pool_no_peer, NULL);
	assert_int_equal(pools.rc[0], -ECONNREFUSED);
	assert_int_equal(pools.rc[1], -ECONNREFUSED);
}

static int
teardown(void **state)
{
	(void)state;
	arena_reset(&replies);
	buf_clear(&record);
	return 0;
}

/* RFC 9422 4: RCPTMAX, RCPTDOMAINMAX */
static void
what_fits_in_a_transaction(void **state)
{
	const struct smtp_client_rcpt rcpts[] = {
		{ .address = SLICE_LIT("a@x") },
		{ .address = SLICE_LIT("b@X") },
		{ .address = SLICE_LIT("c@y") },
		{ .address = SLICE_LIT("d@x") }, { .address = SLICE_LIT("e@z") }
	};
	static const struct {
		size_t rcpt_max, domain_max, fit;
	} cases[] = { { 0, 0, 5 }, { 3, 0, 3 }, { 5, 0, 5 }, { 9, 0, 5 },
		{ 0, 1, 2 }, { 0, 2, 4 }, { 0, 3, 5 }, { 1, 2, 1 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct smtp_client c = { .rcpt_max = cases[i].rcpt_max,
			.domain_max = cases[i].domain_max };

		assert_int_equal(smtp_client_fit(&c, rcpts, 5), cases[i].fit);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_bodies_with_each_extension),
		cmocka_unit_test(the_prefix_goes_first),
		cmocka_unit_test(large_bodies),
		cmocka_unit_test(many_recipients),
		cmocka_unit_test(what_is_not_offered_is_refused_here),
		cmocka_unit_test(wishes_go_along_or_the_mail_does_not),
		cmocka_unit_test(nothing_can_be_injected),
		cmocka_unit_test(binary_mail),
		cmocka_unit_test(tls_and_auth),
		cmocka_unit_test(bad_servers),
		cmocka_unit_test(what_fits_in_a_transaction),
		cmocka_unit_test(pool_reuses_connections),
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(pool_closes_what_is_idle),
		cmocka_unit_test(pool_tries_again_when_the_connection_was_dead),
		cmocka_unit_test(pool_resets_what_was_left_open),
		cmocka_unit_test(pool_without_a_peer),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
