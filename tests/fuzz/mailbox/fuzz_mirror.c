/* SPDX-License-Identifier: ISC */
/*
 * What pneu-gateway asks of mailbox by verbs of its own (mirror.h, arrived.h,
 * origin.h), as lines on a small store; names and flags in them come from
 * servers elsewhere. @V is the INBOX's UIDVALIDITY, @A the account. Whatever
 * comes, there is one well-formed reply to each line, none of which says that
 * something went wrong here. XSOURCE (deposit.h) is read besides: what is taken
 * is what it says.
 */
#include <errno.h>

#include "common/auth/accounts_impl.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "mailbox/lmtp/arrived.h"
#include "mailbox/lmtp/deposit.h"
#include "mailbox/lmtp/mirror.h"
#include "mailbox/lmtp/origin.h"
#include "tests/fuzz/http_framed.h"
#include "tests/fuzz/json_kept.h"
#include "tests/fuzz/need.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 6000
#define ACCOUNT "u@x.test"

static struct mails *mails;
static struct accounts *accounts;
static struct slice input;
static size_t asked;
static struct buf got;
static struct conn *client, *server;
static char validity[12];
static const struct framed_name names[] = { { 'V', validity },
	{ 'A', "<" ACCOUNT ">" }, { 0 } };

/* --- what is there --- */

static void
deliver(void)
{
	struct mails_target t = { .account = ACCOUNT,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = 761000000,
		.tell = true };
	struct mails_status st;

	for (int i = 0; i < 3; i++) {
		struct mails_message *msg = NULL;

		need(mails_message_begin(mails, &msg) == 0);
		need(mails_message_write(msg,
			 SLICE_LIT("Subject: x\r\nMessage-ID: <a@b>\r\n\r\n"
				   "hi\r\n")) == 0);
		need(mails_message_end(msg) == 0 &&
		    mails_deliver(msg, &t, 1) == 0);
		mails_message_free(&msg);
	}
	need(mails_status(mails, ACCOUNT, SLICE_LIT("INBOX"), &st) == 0);
	snprintf(validity, sizeof(validity), "%u", st.uidvalidity);
}

static void
open_all(struct conf **conf)
{
	struct store_conf sc = { .engine = "memory" };
	struct mails_conf mc = { .store = sc, .keep_s = 1000 };
	struct accounts_domain d = { .name = "x.test" };
	struct accounts_account u = { .address = ACCOUNT, .name = "U" };
	struct buf err = BUF_INIT;

	*conf = conf_parse("fuzz", SLICE_LIT("{}"), &err);
	need(*conf != NULL && mails_open(&mails, &mc, &err) == 0);
	need(accounts_open_store(&accounts, *conf, &sc, &err) == 0);
	need(accounts_domain_put(accounts, &d, true, &err) == 0);
	need(accounts_account_put(accounts, &u, true, &err) == 0);
	deliver();
	buf_clear(&err);
}

/* --- both sides --- */

static int
on_command(struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	const struct origins origins = { mails, accounts };
	int rc;

	if (slice_eq_str_nocase(verb, "XWHO"))
		return origin_xwho(&origins, s, args, reply);
	rc = arrived_command(mails, s, verb, args, reply);
	return rc != -ENOSYS
	    ? rc
	    : mirror_command(mails, accounts, s, verb, args, reply);
}

static const struct smtp_handler handler = { .command = on_command,
	.disconnect = arrived_end };

static void
serve(void *arg)
{
	const struct smtp_server s = { .kind = SMTP_SERVER_LMTP,
		.handler = &handler,
		.hostname = "fuzz",
		.max_errors = 100000,
		.timeout_ms = 60000,
		.spool_dir = "/tmp" };

	(void)arg;
	smtp_serve(&s, server);
	conn_free(&server);
}

/* Waits for something to arrive; and what is no verb of ours, or no line. */
static bool
is_left_out(struct slice line)
{
	return line.n < 2 || line.n > 1900 || (line.p[0] | 0x20) != 'x' ||
	    framed_has(line, "<>");
}

static void
send_all(void *arg)
{
	struct buf out = BUF_INIT;

	(void)arg;
	while (input.n > 0) {
		struct slice line = slice_split(&input, '\n');

		if (is_left_out(line))
			continue;
		framed_put(&out, line, names);
		buf_put_str(&out, "\r\n");
		asked++;
	}
	if (conn_write(client, buf_slice(&out)) == 0)
		conn_flush(client);
	conn_shutdown(client);
	buf_clear(&out);
}

static void
run(void *arg)
{
	struct conf *conf;
	struct slice piece;

	(void)arg;
	open_all(&conf);
	need(conn_pair(&server, &client) == 0);
	co_spawn(serve, NULL);
	/* Input before the banner would end it. */
	need(conn_peek(client, &piece) == 0);
	co_spawn(send_all, NULL);
	while (conn_peek(client, &piece) == 0) {
		buf_put_slice(&got, piece);
		conn_consume(client, piece.n);
	}
	while (co_count() > 1)
		need(co_yield () == 0);
	conn_free(&client);
	mails_close(&mails);
	accounts_close(&accounts);
	conf_free(&conf);
}

/* --- what came out --- */

static void
check_reply(const struct smtp_reply *r)
{
	need(r->code == 220 || r->code == 250 || r->code == 252 ||
	    r->code == 500 || r->code == 501 || r->code == 550 ||
	    r->code == 552 || r->code == 553 ||
	    r->code == 451); /* a list of names that has changed */
}

static void
check_got(void)
{
	struct slice rest = buf_slice(&got);
	struct smtp_reply_reader reader = { 0 };
	struct arena arena = { 0 };
	struct smtp_reply reply;
	size_t replies = 0;

	reader.arena = &arena;
	while (rest.n > 0) {
		struct slice line = slice_split(&rest, '\n');
		int rc;

		need(line.n > 0 && line.p[line.n - 1] == '\r');
		line.n--;
		rc = smtp_reply_read(&reader, line, &reply);
		need(rc == 0 || rc == 1);
		if (rc == 1) {
			check_reply(&reply);
			replies++;
			arena_reset(&arena);
		}
	}
	need(replies == asked + 1);
	smtp_reply_reader_clear(&reader);
	arena_reset(&arena);
}

/* XSOURCE */
static void
try_source(struct slice value)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct deposit d;
	int rc = deposit_parse(&a, value, &d);

	need(rc == 0 || rc == -EINVAL);
	if (rc == 0) {
		need(d.mailbox.n > 0 && d.mailbox.n <= value.n);
		need(d.meta.internaldate == INT64_MIN ||
		    d.meta.internaldate >= 0);
		for (size_t i = 0; i < d.meta.n_keywords; i++)
			for (const char *k = d.meta.keywords[i]; *k; k++)
				need((unsigned char)*k > ' ');
	}
	arena_reset(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 1 || n > INPUT_MAX)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	json_kept_start();
	input = slice(p, n);
	asked = 0;
	if (slice_starts(input, "XSOURCE=")) {
		try_source(slice_from(input, 8));
		return 0;
	}
	need(co_run(run, NULL) == 0);
	check_got();
	buf_clear(&got);
	json_kept_check();
	return 0;
}
