/* SPDX-License-Identifier: ISC */
/* Requests by HTTP: a host that does not answer has its own share of the
 * connections, and who asks another one is not kept waiting by it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/net/http_client.h"
#include "common/net/listen.h"

#define PER_HOST 3
#define ASKED 40
#define WAIT_MS 60000

struct server {
	bool silent;
	int fd, port;
	int held[2 * ASKED]; /* connections that get no answer */
	size_t n;
	struct co *co;
};

static struct http_client *http;
static size_t ended;
static struct co_event changed;

static void
serve(void *arg)
{
	static const char answer[] =
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
	struct server *s = arg;
	char octets[2000];
	int fd;

	while (co_wait_fd(s->fd, EV_READ, -1) == 0) {
		if ((fd = accept(s->fd, NULL, NULL)) == -1)
			continue;
		if (s->silent) {
			s->held[s->n++] = fd;
			co_event_set(&changed);
			continue;
		}
		if (co_wait_fd(fd, EV_READ, WAIT_MS) == 0 &&
		    read(fd, octets, sizeof(octets)) > 0)
			assert_int_equal(write(fd, answer, sizeof(answer) - 1),
			    sizeof(answer) - 1);
		close(fd);
	}
	s->co = NULL;
}

static void
listen_at(struct server *s, bool silent)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(in);

	*s = (struct server){ .silent = silent };
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(s->fd, 128), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &n), 0);
	s->port = ntohs(in.sin_port);
	s->co = co_spawn(serve, s);
}

static int
ask(const struct server *s, struct buf *why)
{
	struct buf body = BUF_INIT;
	char url[100];
	struct http_request r = {
		.url = url, .timeout_ms = WAIT_MS, .max = 1000, .why = why
	};
	int status = 0, rc;

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/x", s->port);
	rc = http_fetch(http, &r, &status, &body);
	if (rc == 0) {
		assert_int_equal(status, 200);
		assert_string_equal(buf_str(&body), "hi");
	}
	buf_clear(&body);
	return rc;
}

static void
ask_in_vain(void *arg)
{
	struct buf why = BUF_INIT;

	assert_int_equal(ask(arg, &why), -ECANCELED);
	buf_clear(&why);
	ended++;
	co_event_set(&changed);
}

static void
end(struct server *s)
{
	co_cancel(s->co);
	while (s->co != NULL)
		co_yield ();
	for (size_t i = 0; i < s->n; i++)
		close(s->held[i]);
	close(s->fd);
}

static void
slow_and_quick(void *arg)
{
	struct co *asking[ASKED];
	struct server slow, quick;

	(void)arg;
	listen_at(&slow, true);
	listen_at(&quick, false);
	for (size_t i = 0; i < ASKED; i++)
		asking[i] = co_spawn(ask_in_vain, &slow);
	while (slow.n < PER_HOST) {
		changed.set = false;
		assert_int_equal(co_event_wait(&changed, WAIT_MS), 0);
	}
	/* More than all connections there are, one after the other. */
	for (size_t i = 0; i < 3 * PER_HOST; i++)
		assert_int_equal(ask(&quick, NULL), 0);
	assert_int_equal(slow.n, PER_HOST);
	assert_int_equal(ended, 0);
	for (size_t i = 0; i < ASKED; i++)
		co_cancel(asking[i]);
	while (ended < ASKED) {
		changed.set = false;
		assert_int_equal(co_event_wait(&changed, WAIT_MS), 0);
	}
	end(&slow);
	end(&quick);
}

static void
nobody(void *arg)
{
	struct buf why = BUF_INIT;
	struct server s;

	(void)arg;
	listen_at(&s, true);
	end(&s);
	assert_int_equal(ask(&s, &why), -EAGAIN);
	assert_non_null(strstr(buf_str(&why), "Couldn't connect"));
	buf_clear(&why);
}

static void (*scene)(void *);

static void
in_loop(void *arg)
{
	struct buf err = BUF_INIT;
	struct conf *conf = conf_load(NULL, &err);

	assert_non_null(conf);
	assert_int_equal(http_client_new(&http, conf, &err), 0);
	http_client_limit(http, PER_HOST + 2, PER_HOST);
	scene(arg);
	http_client_free(&http);
	conf_free(&conf);
	buf_clear(&err);
}

static void
test_a_slow_host_does_not_keep_others(void **state)
{
	(void)state;
	scene = slow_and_quick;
	co_run(in_loop, NULL);
	assert_int_equal(ended, ASKED);
}

static void
test_nobody_is_there(void **state)
{
	(void)state;
	scene = nobody;
	co_run(in_loop, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_slow_host_does_not_keep_others),
		cmocka_unit_test(test_nobody_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
