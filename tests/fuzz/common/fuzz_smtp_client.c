/* SPDX-License-Identifier: ISC */
/*
 * The client against a server that says what the fuzzer wants: the first octet
 * chooses SMTP or LMTP, each further part (up to a NUL) is said after the
 * client has gone silent. A recipient counts as delivered only by a 2yz that
 * was there.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/auth/sasl.h"
#include "common/smtp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct run {
	struct slice input;
	bool lmtp, sign_in;
	int fds[2];
};

static void
require(bool good)
{
	if (!good)
		abort();
}

static void
check(int rc, const struct smtp_client_rcpt *rcpts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct smtp_reply *r = &rcpts[i].reply;

		require(r->code == 0 || (r->code >= 200 && r->code < 600));
		require(!rcpts[i].accepted || r->code != 0);
		for (size_t k = 0; k < r->text.n; k++)
			require((unsigned char)r->text.p[k] >= ' ' ||
			    r->text.p[k] == '\t' || r->text.p[k] == '\n');
	}
	require(rc <= 0);
}

static void
transact(struct smtp_client *c)
{
	struct smtp_client_rcpt rcpts[3] = { { .address = SLICE_LIT("a@b") },
		{ .address = SLICE_LIT("c@d"),
		    .orcpt = SLICE_LIT("rfc822;c@d"),
		    .notify = 2 },
		{ .address = SLICE_LIT("e@f") } };
	struct smtp_client_mail mail = { .from = SLICE_LIT("x@y"),
		.size = 10,
		.xforward = "NAME=x",
		.trace = SLICE_LIT("01JABCDEFGHJKMNPQR") };
	struct smtp_reply reply;
	struct spool *body;
	int rc = smtp_client_mail(c, &mail, rcpts, 3, &reply);

	check(rc, rcpts, 3);
	if (rc != 0 || spool_new(&body, "/tmp") != 0)
		return;
	spool_write(body, SLICE_LIT("Subject: x\r\n\r\n.\r\n"));
	rc = smtp_client_send(c, SLICE_LIT("A: b\r\n"), body, rcpts, 3, &reply);
	check(rc, rcpts, 3);
	spool_free(&body);
}

static void
client(void *arg)
{
	struct run *r = arg;
	struct smtp_client_conf conf = { .lmtp = r->lmtp,
		.hostname = "fuzz",
		.sasl_user = r->sign_in ? "u" : NULL,
		.sasl_password = "p",
		.sasl = &sasl_smtp_client,
		.timeout_ms = 60000 };
	struct smtp_reply reply;
	struct smtp_client *c;
	struct conn *conn;

	require(conn_new(&conn, r->fds[1], r->fds[1]) == 0);
	if (smtp_client_open_conn(&c, conn, &conf, &reply) == 0) {
		transact(c);
		transact(c);
		smtp_client_reset(c);
	}
	smtp_client_free(&c);
	r->fds[1] = -1;
}

static void
drain(struct run *r)
{
	char room[4096];

	for (int i = 0; i < 4; i++) {
		co_yield ();
		while (recv(r->fds[0], room, sizeof(room), MSG_DONTWAIT) > 0)
			i = 0;
	}
}

static void
server(void *arg)
{
	struct run *r = arg;
	struct co_group g = { 0 };

	require(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r->fds) == 0);
	co_group_spawn(&g, client, r);
	while (r->input.n > 0 && r->fds[1] != -1) {
		struct slice part = slice_split(&r->input, '\0');

		if (send(r->fds[0], part.p, part.n, MSG_NOSIGNAL) !=
		    (ssize_t)part.n)
			break;
		drain(r);
	}
	shutdown(r->fds[0], SHUT_WR);
	while (g.running > 0)
		drain(r);
	co_group_join(&g);
	close(r->fds[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run r = { 0 };

	if (n < 1 || n > 20000)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	r.lmtp = p[0] & 1;
	r.sign_in = p[0] & 2;
	r.input = slice_from(slice(p, n), 1);
	require(co_run(server, &r) == 0);
	return 0;
}
