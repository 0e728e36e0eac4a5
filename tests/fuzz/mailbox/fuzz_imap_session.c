/* SPDX-License-Identifier: ISC */
/*
 * A whole session on Mails over the memory engine that lies. The first octet
 * says how the engine behaves and in what pieces the client sends. Properties:
 * the session ends when the client does; every answer is well-formed by the
 * rules a client reads with (lines end in CRLF, literals have their length, no
 * NUL); no tag is answered twice as often as it was sent.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/imap/imap.h"

static struct slice input;
static unsigned behaviour;
static struct conn *server, *client;
static struct buf heard;

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static const char message[] =
    "From: a@b.example\r\nTo: c@d.example\r\nSubject: =?utf-8?q?x=C3=A9?=\r\n"
    "Date: Mon, 7 Feb 1994 21:52:25 -0800\r\n"
    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\ntext\r\n"
    "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n"
    "needle\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    "bmVlZGxl\r\n--x--\r\n";

static void
deliver(struct mails *m)
{
	struct mails_target t = { .account = "u@x",
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = 761000000 };
	struct mails_message *msg = NULL;

	for (int i = 0; i < 3; i++) {
		need(mails_message_begin(m, &msg) == 0);
		need(mails_message_write(
			 msg, slice(message, sizeof(message) - 1)) == 0);
		need(mails_message_end(msg) == 0);
		need(mails_deliver(msg, &t, 1) == 0);
		mails_message_free(&msg);
	}
}

static void
serve(void *arg)
{
	const struct imap_env env = {
		.mails = arg, .max_size = 5000, .preauth = "u@x"
	};

	imap_serve(&env, server);
	conn_free(&server);
}

static void
send_all(void *arg)
{
	static const size_t steps[] = { 1, 3, 50, 100000 };
	size_t step = steps[behaviour & 3];

	(void)arg;
	while (input.n > 0) {
		if (conn_write(client, slice_head(input, step)) != 0 ||
		    conn_flush(client) != 0)
			break;
		input = slice_from(input, step);
		if (step < 100000)
			co_yield ();
	}
	conn_shutdown(client);
}

static void
run(void *arg)
{
	struct mails_conf conf = {
		.store = { .engine = "memory",
		    .seed = behaviour,
		    .late_pct = (behaviour & 4) != 0 ? 20 : 0,
		    .conflict_pct = (behaviour & 8) != 0 ? 10 : 0,
		    .unknown_pct = (behaviour & 16) != 0 ? 5 : 0 }
	};
	struct buf err = BUF_INIT;
	struct mails *m;
	struct slice got;

	(void)arg;
	need(mails_open(&m, &conf, &err) == 0);
	deliver(m);
	need(conn_pair(&server, &client) == 0);
	co_spawn(serve, m);
	co_spawn(send_all, NULL);
	while (conn_peek(client, &got) == 0) {
		buf_put_slice(&heard, got);
		conn_consume(client, got.n);
	}
	while (co_count() > 1)
		need(co_yield () == 0);
	conn_free(&client);
	mails_close(&m);
}

/* One line of a response, with the literals in it; 0: incomplete. */
static size_t
response(struct slice s)
{
	size_t at = 0;

	for (;;) {
		struct slice rest = slice_from(s, at), line;
		ssize_t lf = slice_find(rest, '\n'), open;
		uint64_t n;

		if (lf < 0)
			return 0;
		need(lf > 0 && rest.p[lf - 1] == '\r');
		line = slice_head(rest, (size_t)lf - 1);
		need(slice_find(line, '\r') < 0 && slice_find(line, '\0') < 0);
		at += (size_t)lf + 1;
		open = slice_rfind(line, '{');
		if (open < 0 || line.p[line.n - 1] != '}' ||
		    slice_u64(
			slice(line.p + open + 1, line.n - (size_t)open - 2),
			UINT32_MAX, &n) != 0)
			return at;
		if (s.n - at < n)
			return 0;
		need(memchr(s.p + at, '\0', (size_t)n) == NULL);
		at += (size_t)n;
	}
}

static void
check_heard(void)
{
	struct slice rest = buf_slice(&heard);
	size_t n;

	need(slice_starts(rest, "* PREAUTH "));
	while (rest.n > 0) {
		need((n = response(rest)) > 0);
		need(rest.p[0] != ' ' && rest.p[0] != '\r');
		rest = slice_from(rest, n);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > 4096)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	behaviour = data[0];
	input = slice(data + 1, size - 1);
	co_run(run, NULL);
	check_heard();
	buf_clear(&heard);
	return 0;
}
