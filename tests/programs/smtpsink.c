/* SPDX-License-Identifier: ISC */
/*
 * A null sink on the server engine: takes all mail, keeps none. For benchmarks
 * and for load tests of clients.
 *
 *	smtpsink [-l] ADDRESS    -l: LMTP; runs until a signal
 */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/smtp/server.h"

static struct smtp_server server = {
	.kind = SMTP_SERVER_ESMTP,
	.hostname = "sink.test",
	.extensions = ~0U,
	.max_size = (uint64_t)1 << 30,
	.max_recipients = 100000,
	.spool_dir = "/tmp",
};
static unsigned long messages;

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	(void)s, (void)r, (void)reply;
	return 0;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	(void)s, (void)body;
	messages++;
	for (size_t i = 0; i < n; i++)
		replies[i] = SMTP_REPLY(250, "2.0.0", "Gone");
	return 0;
}

static const struct smtp_handler handler = {
	.rcpt = on_rcpt,
	.message = on_message,
};

static void
session(void *arg)
{
	struct conn *c = arg;

	smtp_serve(&server, c);
	conn_free(&c);
}

static void
on_connection(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c;
	int client;

	(void)what, (void)arg;
	while ((client = accept4(
		    fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1)
		if (conn_new(&c, client, client) == 0 &&
		    co_spawn(session, c) == NULL)
			conn_free(&c);
}

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	(void)sig, (void)what, (void)arg;
	loop_stop();
}

static int
listen_on(const char *text)
{
	struct net_addr a;
	int fd, on = 1;

	if (net_addr_parse(&a, text, "/tmp") != 0)
		return -EINVAL;
	fd = socket(
	    a.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a.sa, a.len) == -1 ||
	    listen(fd, 1024) == -1)
		return -errno;
	return fd;
}

int
main(int argc, char **argv)
{
	struct event *accepting, *term, *interrupt;
	int fd;

	if (argc == 3 && argv[1][0] == '-' && argv[1][1] == 'l')
		server.kind = SMTP_SERVER_LMTP;
	else if (argc != 2)
		return 2;
	log_open("smtpsink", LOG_LEVEL_ERROR);
	server.handler = &handler;
	if ((fd = listen_on(argv[argc - 1])) < 0 || loop_init() != 0) {
		fprintf(stderr, "%s: cannot listen\n", argv[argc - 1]);
		return 1;
	}
	accepting = event_new(
	    loop_base(), fd, EV_READ | EV_PERSIST, on_connection, NULL);
	term = evsignal_new(loop_base(), SIGTERM, on_signal, NULL);
	interrupt = evsignal_new(loop_base(), SIGINT, on_signal, NULL);
	event_add(accepting, NULL);
	event_add(term, NULL);
	event_add(interrupt, NULL);
	loop_run();
	printf("%lu messages\n", messages);
	return 0;
}
