/* SPDX-License-Identifier: ISC */
/*
 * The server engine as a whole. The first octet chooses the kind and the
 * extensions, the second the way in which the rest comes: after each line, or
 * cut anywhere. Whatever comes in, what goes out is replies; and each message
 * that the handler saw is one that has lines, and that was answered for.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define INPUT_MAX 20000

static size_t messages, recipients, open_transactions;

static void
require(bool good)
{
	if (!good)
		abort();
}

/* --- the handler --- */

static int
on_mail(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply)
{
	const struct smtp_wishes *w = &m->wishes;

	require(smtp_session_mail(s) == m && smtp_session_id(s)[0] != '\0');
	require(w->priority >= -9 && w->priority <= 9);
	require(w->by_mode == '\0' || w->by_mode == 'N' || w->by_mode == 'R');
	require(w->hold.n < 60 && (w->hold.n > 0 || w->release_ms == 0));
	open_transactions++;
	if (m->from.local.n == 1)
		*reply = SMTP_REPLY(550, "5.7.1", "no");
	return m->from.local.n == 2 ? -EIO : 0;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	require(smtp_session_mail(s) != NULL && r->to.local.n > 0);
	require(!r->to.utf8 || smtp_session_mail(s)->smtputf8);
	if (r->to.local.n == 1)
		*reply = SMTP_REPLY(450, "4.2.0", "not\nnow");
	return r->to.local.n == 2 ? -ENOSPC : 0;
}

static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	(void)s;
	require(who->local.n > 0 && who->text.n <= SMTP_PATH_MAX);
	*reply = smtp_reply_f(
	    a, 250, "2.1.5", "<%.*s>", (int)who->text.n, who->text.p);
	return who->local.n == 1 ? -EIO : 0;
}

static int
on_flush(struct smtp_session *s, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	(void)s, (void)subdomains;
	require(node.n > 0 && node.n <= SMTP_DOMAIN_MAX);
	*reply = smtp_reply_f(a, 253, "2.0.0", "%.*s", (int)node.n, node.p);
	return node.n == 1 ? -EIO : 0;
}

static int
on_data(struct smtp_session *s, struct smtp_reply *reply)
{
	if (smtp_session_mail(s)->from.local.n == 3)
		*reply = SMTP_REPLY(550, "5.7.1", "no");
	return 0;
}

static void
check_body(struct spool *body, bool binary)
{
	struct slice part;
	char last = '\n';

	for (uint64_t at = 0; at < spool_size(body); at += part.n) {
		require(spool_view(body, at, &part) == 0 && part.n > 0);
		for (size_t i = 0; i < part.n && !binary; i++) {
			require(part.p[i] != '\0');
			require((part.p[i] == '\n') == (last == '\r') ||
			    (last == '\n' && part.p[i] != '\n'));
			last = part.p[i];
		}
	}
	require(binary || last == '\n');
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	const struct smtp_mail *m = smtp_session_mail(s);
	size_t n_rcpts;

	smtp_session_rcpts(s, &n_rcpts);
	require(n_rcpts > 0 &&
	    n ==
		(smtp_session_server(s)->kind == SMTP_SERVER_LMTP ? n_rcpts
								  : 1));
	require(spool_size(body) <= smtp_session_server(s)->max_size);
	check_body(body, m->body == SMTP_BODY_BINARYMIME);
	messages++;
	recipients += n;
	for (size_t i = 0; i < n; i++)
		replies[i] = SMTP_REPLY(250, "2.9.9", "STORED");
	return 0;
}

static void
on_reset(struct smtp_session *s)
{
	(void)s;
	require(open_transactions-- > 0);
}

static int
on_auth(struct smtp_session *s, struct slice mechanism, struct slice initial,
    bool has_initial, struct smtp_reply *reply)
{
	struct slice response = initial;
	int rc = 0;

	for (int i = 0; rc == 0 && i < 2 && (i > 0 || !has_initial); i++)
		rc = smtp_session_challenge(s, mechanism, &response);
	if (rc == 0 && response.n > 3) {
		smtp_session_set_authenticated(s, "fuzz");
		*reply = SMTP_REPLY(235, "2.7.0", "ok");
	}
	return rc;
}

static const char *
on_mechanisms(struct smtp_session *s)
{
	(void)s;
	return "PLAIN LOGIN";
}

static const struct smtp_handler handler = {
	.mail = on_mail,
	.rcpt = on_rcpt,
	.verify = on_verify,
	.flush = on_flush,
	.data = on_data,
	.message = on_message,
	.reset = on_reset,
	.auth = on_auth,
	.auth_mechanisms = on_mechanisms,
};

/* --- the wire --- */

struct run {
	struct slice input;
	unsigned seed;
	struct smtp_server server;
	int fds[2];
	struct buf output;
};

static void
serve(void *arg)
{
	struct run *r = arg;
	struct conn *c;

	require(conn_new(&c, r->fds[1], r->fds[1]) == 0);
	smtp_serve(&r->server, c);
	conn_free(&c);
	r->fds[1] = -1;
}

static void
read_output(struct run *r)
{
	char room[4096];
	ssize_t n;

	while ((n = recv(r->fds[0], room, sizeof(room), MSG_DONTWAIT)) > 0)
		buf_put(&r->output, room, (size_t)n);
}

/* Until the server has taken all, and said what it has to say. */
static void
settle(struct run *r)
{
	int waiting = 1;

	for (int i = 0; i < 1000 && r->fds[1] != -1 && waiting > 0; i++) {
		co_yield ();
		read_output(r);
		if (r->fds[1] != -1)
			ioctl(r->fds[1], FIONREAD, &waiting);
	}
	co_yield ();
	co_yield ();
	read_output(r);
}

static size_t
next_part(struct run *r)
{
	ssize_t lf = slice_find(r->input, '\n');
	size_t n;

	r->seed = r->seed * 1103515245 + 12345;
	n = (r->seed >> 16) % 50 + 1;
	if (!(r->seed & 0x4000) && lf >= 0)
		n = (size_t)lf + 1;
	return n < r->input.n ? n : r->input.n;
}

static void
feed(void *arg)
{
	struct run *r = arg;
	struct co_group g = { 0 };

	require(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, r->fds) == 0);
	co_group_spawn(&g, serve, r);
	settle(r);
	while (r->input.n > 0 && r->fds[1] != -1) {
		size_t n = next_part(r);

		if (send(r->fds[0], r->input.p, n, MSG_NOSIGNAL) != (ssize_t)n)
			break;
		r->input = slice_from(r->input, n);
		settle(r);
	}
	shutdown(r->fds[0], SHUT_WR);
	co_group_join(&g);
	read_output(r);
	close(r->fds[0]);
}

/* --- what came out --- */

static void
check_output(struct slice out)
{
	size_t stored = 0;
	struct smtp_reply_reader reader = { 0 };
	struct arena arena = { 0 };
	struct smtp_reply reply;
	bool complete = true;

	reader.arena = &arena;
	while (out.n > 0) {
		struct slice line = slice_split(&out, '\n');

		require(line.n > 0 && line.n < 512);
		require(line.p[line.n - 1] == '\r');
		line.n--;
		switch (smtp_reply_read(&reader, line, &reply)) {
		case 0:
			complete = false;
			break;
		case 1:
			complete = true;
			stored += slice_eq_str(reply.text, "STORED");
			break;
		default:
			abort();
		}
		arena_reset(&arena);
	}
	require(complete);
	require(stored == recipients);
	smtp_reply_reader_clear(&reader);
	arena_reset(&arena);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct run r = { 0 };

	if (n < 2 || n > INPUT_MAX)
		return 0;
	log_set_level(LOG_LEVEL_ERROR);
	r.server = (struct smtp_server){
		.kind = (enum smtp_server_kind)(p[0] % 3),
		.handler = &handler,
		.hostname = "fuzz",
		.extensions = p[0] & 4 ? 0 : ~0U,
		.auth_required = (p[0] & 8) != 0,
		.max_size = p[0] & 16 ? 100 : 100000,
		.hold_max_s = 100000,
		.by_min_s = 10,
		.max_recipients = 5,
		.max_errors = p[0] & 32 ? 3 : 1000,
		.timeout_ms = 60000,
		.spool_dir = "/tmp",
	};
	r.seed = p[1];
	r.input = slice_from(slice(p, n), 2);
	messages = recipients = open_transactions = 0;
	require(co_run(feed, &r) == 0);
	require(open_transactions == 0);
	check_output(buf_slice(&r.output));
	buf_clear(&r.output);
	return 0;
}
