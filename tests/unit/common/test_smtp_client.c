/* SPDX-License-Identifier: ISC */
/* The client against our own server with every set of extensions. Against bad
 * servers: test_smtp_client_bad.c; the pool: test_smtp_client_pool.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/auth/sasl.h"
#include "common/smtp/client.h"
#include "common/smtp/client_impl.h"
#include "tests/unit/common/smtp_dialogue.h"

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
		cmocka_unit_test(what_fits_in_a_transaction),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, teardown);
}
