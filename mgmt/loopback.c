/* SPDX-License-Identifier: ISC */
#include "mgmt/loopback.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/net/http_server.h"
#include "common/net/listen.h"

/* Browsers open connections that they do not use: none may hold up others. */
#define CONNECTIONS_MAX 16
#define PASTE_MAX ((size_t)8192)

struct visit {
	struct loopback *l;
	struct conn *c;
	struct co *co;
};
struct loopback {
	struct loopback_conf conf;
	int fd;
	struct visit visits[CONNECTIONS_MAX];
	struct co *accepting, *pasting;
	size_t running; /* coroutines */
	struct co_event ended;
	bool over;
	int rc;
	struct buf why;
	struct co_event done;
};

static void
tell(struct loopback *l, struct slice query, struct buf *page)
{
	struct buf why = BUF_INIT_MAX(2000);
	int rc = l->over ? 1 : l->conf.redirected(l->conf.arg, query, &why);

	if (rc != 1 && rc != -ECANCELED) {
		l->over = true;
		l->rc = rc;
		buf_put_slice(&l->why, buf_slice(&why));
		co_event_set(&l->done);
	}
	buf_put_str(page,
	    rc == 0       ? "Logged in. You may close this window."
		: rc == 1 ? "This is not the login that is waited for."
			  : "Not logged in: ");
	if (rc != 0 && rc != 1)
		buf_put_slice(page, buf_slice(&why));
	buf_put_char(page, '\n');
	buf_clear(&why);
}

/* --- the browser --- */

static void
handle(struct http_exchange *x)
{
	struct buf page = BUF_INIT_MAX(4096);

	if (x->head.method != HTTP_GET || !slice_eq_str(x->head.path, "/")) {
		http_reply(x, 404, "text/plain", SLICE_LIT("not here\n"));
		return;
	}
	tell(x->arg, x->head.query, &page);
	http_reply(x, 200, "text/plain; charset=utf-8", buf_slice(&page));
	buf_clear(&page);
}

static const struct http_server server = {
	.handle = handle,
	/* The code stands in the address, which is to stay here. */
	.fields = "Referrer-Policy: no-referrer\r\n"
		  "Cache-Control: no-store\r\n"
		  "X-Content-Type-Options: nosniff\r\n"
		  "Content-Security-Policy: default-src 'none'\r\n",
	.requests = 1,
};

static void
ended(struct loopback *l)
{
	l->running--;
	co_event_set(&l->ended);
}

static void
visit_main(void *arg)
{
	struct visit *v = arg;
	struct loopback *l = v->l;

	http_serve(v->c, &server, l);
	conn_free(&v->c);
	v->co = NULL;
	v->l = NULL;
	ended(l);
}

static void
visit(struct loopback *l, int fd)
{
	struct visit *v = l->visits;

	while (v < l->visits + CONNECTIONS_MAX && v->l != NULL)
		v++;
	if (v == l->visits + CONNECTIONS_MAX) {
		close(fd);
		return;
	}
	if (conn_new(&v->c, fd, fd) != 0)
		return;
	v->l = l;
	if ((v->co = co_spawn(visit_main, v)) == NULL) {
		conn_free(&v->c);
		v->l = NULL;
		return;
	}
	l->running++;
}

static void
accept_main(void *arg)
{
	struct loopback *l = arg;
	int fd;

	while (co_wait_fd(l->fd, EV_READ, -1) == 0) {
		fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1)
			visit(l, fd);
		else if (errno == EMFILE || errno == ENFILE)
			co_sleep(100);
	}
	l->accepting = NULL;
	ended(l);
}

/* --- the terminal --- */

/* "http://127.0.0.1:1234/?code=...#..." or only what follows the "?". */
static void
pasted(struct loopback *l, struct slice line)
{
	struct buf page = BUF_INIT_MAX(4096);
	ssize_t at = slice_find(line, '?');

	line = slice_trim(line);
	if (at >= 0)
		line = slice_from(line, (size_t)at + 1);
	line = slice_split(&line, '#');
	if (line.n > 0) {
		tell(l, line, &page);
		if (!l->over)
			fputs(buf_str(&page), stderr);
	}
	buf_wipe(&page);
}

static void
paste_main(void *arg)
{
	struct loopback *l = arg;
	char text[PASTE_MAX];
	ssize_t n;

	while (co_wait_fd(STDIN_FILENO, EV_READ, -1) == 0 &&
	    (n = read(STDIN_FILENO, text, sizeof(text))) > 0)
		pasted(l, slice(text, (size_t)n));
	l->pasting = NULL;
	ended(l);
}

/* --- from start to end --- */

static int
listening_port(int fd, uint16_t *port)
{
	struct net_addr a = { .len = sizeof(a.sa) };

	if (getsockname(fd, (struct sockaddr *)&a.sa, &a.len) == -1)
		return -errno;
	*port = net_addr_port(&a);
	return 0;
}

int
loopback_open(
    struct loopback **out, const struct loopback_conf *conf, uint16_t *port)
{
	struct loopback *l = calloc(1, sizeof(*l));
	struct net_addr a;
	char text[32];
	int rc;

	*out = NULL;
	if (l == NULL)
		return -ENOMEM;
	l->conf = *conf;
	l->why = BUF_INIT_MAX(2000);
	snprintf(text, sizeof(text), "127.0.0.1:%u", conf->port);
	if ((rc = net_listen(text, "", &a, &l->fd)) != 0) {
		free(l);
		return rc;
	}
	rc = listening_port(l->fd, port);
	if (rc == 0 && (l->accepting = co_spawn(accept_main, l)) == NULL)
		rc = -ENOMEM;
	if (rc != 0) {
		close(l->fd);
		free(l);
		return rc;
	}
	l->running++;
	if (isatty(STDIN_FILENO) &&
	    (l->pasting = co_spawn(paste_main, l)) != NULL)
		l->running++;
	*out = l;
	return 0;
}

int
loopback_wait(struct loopback *l, int64_t timeout_ms, struct buf *why)
{
	int rc = co_event_wait(&l->done, timeout_ms);

	if (rc != 0)
		return rc;
	buf_put_slice(why, buf_slice(&l->why));
	return l->rc;
}

#define LINGER_MS 2000

void
loopback_close(struct loopback **out)
{
	struct loopback *l = *out;

	if (l == NULL)
		return;
	*out = NULL;
	if (l->accepting != NULL)
		co_cancel(l->accepting);
	if (l->pasting != NULL)
		co_cancel(l->pasting);
	/* The page is still to go to the browser that came. */
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (l->visits[i].l != NULL && conn_is_idle(l->visits[i].c))
			co_cancel(l->visits[i].co);
	while (l->running > 0) {
		l->ended.set = false;
		if (co_event_wait(&l->ended, LINGER_MS) == 0)
			continue;
		for (size_t i = 0; i < CONNECTIONS_MAX; i++)
			if (l->visits[i].l != NULL)
				co_cancel(l->visits[i].co);
	}
	close(l->fd);
	buf_wipe(&l->why);
	free(l);
}
