/* SPDX-License-Identifier: ISC */
/*
 * Connections: buffers and waiting. Each read and write is tried first; only
 * after EAGAIN does the coroutine park. The descriptor is watched
 * edge-triggered for both directions, so a connection costs one epoll_ctl in
 * its life, and an edge that comes while nobody waits is only noted in
 * `ready`. Nothing is lost by that, because every wait follows a failed try.
 */
#include "common/net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/net/conn_impl.h"

#define IN_FIRST ((size_t)16 << 10) /* doubles while reads fill it */
#define IN_MAX ((size_t)64 << 10)  /* but for longer lines, where allowed */
#define OUT_MAX ((size_t)64 << 10)
#define OUT_KEEP ((size_t)16 << 10) /* capacity kept after a flush */
#define TIMEOUT_MS ((int64_t)5 * 60 * 1000)
#define LINGER_READS 16
#define CONNECT_AGAIN_MS 20
#define FAIR_OCTETS ((size_t)256 << 10) /* moved without a wait */

/* --- making --- */

static int
set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags == -1)
		return -errno;
	if ((flags & O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -errno;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == -1 ? -errno : 0;
}

static void
set_socket_options(int fd)
{
	/* Replies are written whole, so Nagle could only delay them. A peer
	 * that vanished is noticed within 15 minutes (IMAP IDLE). Both fail
	 * on what is not TCP, which is fine. */
	int on = 1, idle_s = 600, interval_s = 60, count = 5;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(
	    fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

/* A pipe, or a peer that is gone already, counts as a nameless Unix one. */
static void
learn_addresses(struct conn *c)
{
	c->peer.len = sizeof(c->peer.sa);
	if (getpeername(c->rfd, (struct sockaddr *)&c->peer.sa, &c->peer.len) ==
	    -1) {
		c->peer.len = 0;
		c->peer.sa.ss_family = AF_UNIX;
	}
	c->local.len = sizeof(c->local.sa);
	if (getsockname(
		c->rfd, (struct sockaddr *)&c->local.sa, &c->local.len) == -1) {
		c->local.len = 0;
		c->local.sa.ss_family = AF_UNIX;
	}
}

static void
close_fds(int rfd, int wfd)
{
	close(rfd);
	if (wfd != rfd)
		close(wfd);
}

/* A peer that goes away is an error return, never the end of us. */
static void
ignore_sigpipe(void)
{
	static bool done;

	if (!done)
		signal(SIGPIPE, SIG_IGN);
	done = true;
}

int
conn_new(struct conn **out, int rfd, int wfd)
{
	struct conn *c = calloc(1, sizeof(*c));
	int rc = c == NULL ? -ENOMEM : set_nonblocking(rfd);

	if (rc == 0 && wfd != rfd)
		rc = set_nonblocking(wfd);
	if (rc != 0) {
		close_fds(rfd, wfd);
		free(c);
		return rc;
	}
	ignore_sigpipe();
	c->rfd = rfd;
	c->wfd = wfd;
	c->ready = EV_READ | EV_WRITE;
	c->in_want = IN_FIRST;
	c->timeout_ms = TIMEOUT_MS;
	c->deadline = -1;
	id_new(c->id);
	set_socket_options(rfd);
	learn_addresses(c);
	*out = c;
	return 0;
}

const char *
conn_id(const struct conn *c)
{
	return c->id + ID_LEN - 8;
}

int
conn_pair(struct conn **a, struct conn **b)
{
	int fd[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == -1)
		return -errno;
	if ((rc = conn_new(a, fd[0], fd[0])) != 0) {
		close(fd[1]);
		return rc;
	}
	if ((rc = conn_new(b, fd[1], fd[1])) != 0)
		conn_free(a);
	return rc;
}

/* connect(2) until it is done. A Unix socket whose queue is full says EAGAIN
 * and has no event for when it is not. */
static int
connect_fd(int fd, const struct net_addr *to, int64_t timeout_ms)
{
	int64_t end = clock_mono_ms() + timeout_ms;
	const struct sockaddr *sa = (const struct sockaddr *)&to->sa;
	socklen_t len = sizeof(int);
	int error, rc;

	while (connect(fd, sa, to->len) == -1 && errno != EINPROGRESS &&
	    errno != EINTR) {
		if (errno != EAGAIN)
			return -errno;
		if (timeout_ms >= 0 && clock_mono_ms() >= end)
			return -ETIMEDOUT;
		if ((rc = co_sleep(CONNECT_AGAIN_MS)) != 0)
			return rc;
	}
	if ((rc = co_wait_fd(fd, EV_WRITE, timeout_ms)) != 0)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		return -errno;
	return -error;
}

int
conn_connect(struct conn **out, const struct net_addr *to,
    const struct net_addr *local, int64_t timeout_ms)
{
	int fd = socket(
	    to->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd == -1)
		return -errno;
	if (local != NULL &&
	    bind(fd, (const struct sockaddr *)&local->sa, local->len) == -1)
		rc = -errno;
	if (rc == 0)
		rc = connect_fd(fd, to, timeout_ms);
	if (rc != 0) {
		close(fd);
		return rc;
	}
	return conn_new(out, fd, fd);
}

/* --- settings --- */

void
conn_set_timeout(struct conn *c, int64_t timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

void
conn_set_deadline(struct conn *c, int64_t mono_ms)
{
	c->deadline = mono_ms;
}

const struct net_addr *
conn_peer(const struct conn *c)
{
	return &c->peer;
}

const struct net_addr *
conn_local(const struct conn *c)
{
	return &c->local;
}

void
conn_set_peer(struct conn *c, const struct net_addr *peer)
{
	c->peer = *peer;
}

bool
conn_is_idle(const struct conn *c)
{
	return c->idle;
}

/* --- waiting --- */

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	c->ready |= what & (EV_READ | EV_WRITE);
	if (what & EV_CLOSED) {
		c->end_seen = true;
		c->ready |= EV_READ;
	}
	if (c->waiter != NULL && (c->ready & c->want) != 0)
		co_wake(c->waiter);
}

static int
arm(struct conn *c)
{
	short r = EV_READ | EV_ET | EV_PERSIST;

	if (!c->armed) {
		if (c->rfd == c->wfd)
			r |= EV_CLOSED;
		event_assign(&c->event, loop_base(), c->rfd, r, on_event, c);
		event_assign(&c->wevent, loop_base(), c->wfd, EV_WRITE | EV_ET,
		    on_event, c);
		if (event_add(&c->event, NULL) == -1)
			return -ENOMEM;
		c->armed = true;
	}
	/* For once, and only when a write found no room: a Unix socket would
	 * wake us each time when the peer has read. It may be there already. */
	if ((c->want & EV_WRITE) && event_add(&c->wevent, NULL) == -1)
		return -ENOMEM;
	return 0;
}

/* The earlier of now + timeout_ms and the deadline; -1: neither. */
static int64_t
limit(const struct conn *c, int64_t timeout_ms)
{
	int64_t end;

	if (timeout_ms < 0)
		return c->deadline;
	end = clock_mono_ms() + timeout_ms;
	return c->deadline >= 0 && c->deadline < end ? c->deadline : end;
}

/* Park once, at most until `until`. */
static int
park(struct conn *c, int64_t until)
{
	int64_t left = -1;
	int rc;

	if ((rc = arm(c)) != 0)
		return rc;
	if (until >= 0 && (left = until - clock_mono_ms()) <= 0)
		return co_is_canceled(co_self()) ? -ECANCELED : -ETIMEDOUT;
	c->moved = 0;
	c->waiter = co_self();
	rc = co_park(left);
	c->waiter = NULL;
	/* libevent's clock is coarse: its timers may be some ms early. */
	if (rc == -ETIMEDOUT && clock_mono_ms() < until)
		rc = 0;
	return rc;
}

int
conn_wait(struct conn *c, int64_t *until)
{
	int rc;

	if (*until == CONN_UNTIL_UNSET)
		*until = limit(c, c->timeout_ms);
	while ((c->ready & c->want) == 0)
		if ((rc = park(c, *until)) != 0)
			return rc;
	return 0;
}

/* A peer that sends or takes as fast as we work would never let us wait, and
 * nobody else run. */
static int
be_fair(struct conn *c, size_t moved)
{
	c->moved += moved;
	if (c->moved < FAIR_OCTETS || co_self() == NULL)
		return 0;
	c->moved = 0;
	return co_yield ();
}

/* --- one try --- */

/* The kernel's many words for a peer that is gone are one to the callers. */
static int
final_error(int error)
{
	return error == ENOMEM || error == ENOBUFS ? -ENOMEM : -ECONNRESET;
}

static ssize_t
try_read(struct conn *c, void *p, size_t n)
{
	ssize_t r;

	if (c->ssl != NULL)
		return conn_tls_read(c, p, n);
	c->want = EV_READ;
	if ((c->ready & EV_READ) == 0)
		return -EAGAIN;
	while ((r = read(c->rfd, p, n)) == -1 && errno == EINTR)
		;
	/* A short read has taken all there was, and what comes later has its
	 * own edge; but for the end, whose edge may have come with the data. */
	if (r > 0 && (size_t)r < n && c->rfd == c->wfd && !c->end_seen)
		c->ready &= ~EV_READ;
	if (r >= 0)
		return r;
	if (errno != EAGAIN)
		return final_error(errno);
	c->ready &= ~EV_READ;
	return -EAGAIN;
}

static ssize_t
try_write(struct conn *c, const void *p, size_t n)
{
	ssize_t r;

	if (c->ssl != NULL)
		return conn_tls_write(c, p, n);
	c->want = EV_WRITE;
	if ((c->ready & EV_WRITE) == 0)
		return -EAGAIN;
	while ((r = write(c->wfd, p, n)) == -1 && errno == EINTR)
		;
	if (r >= 0)
		return r;
	if (errno != EAGAIN)
		return final_error(errno);
	c->ready &= ~EV_WRITE;
	return -EAGAIN;
}

/* --- reading --- */

static void
in_release(struct conn *c)
{
	if (c->in_n > 0)
		return;
	memory_give(c->in_cap);
	free(c->in);
	c->in = NULL;
	c->in_at = c->in_cap = 0;
	c->in_want = IN_FIRST;
}

/* What has been read and not consumed. */
static struct slice
in_unread(const struct conn *c)
{
	return c->in_n == 0 ? SLICE_EMPTY : slice(c->in + c->in_at, c->in_n);
}

static void
in_consume(struct conn *c, size_t n)
{
	c->in_at += n;
	c->in_n -= n;
	if (c->in_n == 0)
		c->in_at = 0;
}

/* Room behind what is unread. */
static int
in_reserve(struct conn *c)
{
	char *p;

	if (c->in_at > 0 && c->in_cap - c->in_at - c->in_n < c->in_cap / 4) {
		memmove(c->in, c->in + c->in_at, c->in_n);
		c->in_at = 0;
	}
	if (c->in_n == c->in_cap && c->in_want <= c->in_cap)
		c->in_want = c->in_cap * 2;
	if (c->in_want <= c->in_cap)
		return 0;
	if ((p = realloc(c->in, c->in_want)) == NULL)
		return -ENOMEM;
	memory_take(c->in_want - c->in_cap);
	c->in = p;
	c->in_cap = c->in_want;
	return 0;
}

/* Read once into the buffer, if that needs no wait. 0, -EAGAIN, or the error
 * that is now sticky. */
static int
try_fill(struct conn *c)
{
	size_t room;
	ssize_t r;
	int rc;

	if (c->read_error != 0)
		return c->read_error;
	if ((rc = in_reserve(c)) != 0)
		return c->read_error = rc;
	room = c->in_cap - c->in_at - c->in_n;
	r = try_read(c, c->in + c->in_at + c->in_n, room);
	if (r == -EAGAIN)
		return -EAGAIN;
	if (r <= 0)
		return c->read_error = r == 0 ? -EPIPE : (int)r;
	c->in_n += (size_t)r;
	if ((size_t)r == room && c->in_want < IN_MAX) /* a fast sender */
		c->in_want *= 2;
	return 0;
}

/* Read at least one octet more into the buffer. Before it waits, our output
 * goes out. */
static int
fill(struct conn *c, int64_t *until)
{
	int rc;

	size_t had = c->in_n;

	while ((rc = try_fill(c)) == -EAGAIN) {
		if (c->out.n > 0)
			rc = conn_flush(c);
		else
			rc = conn_wait(c, until);
		if (rc != 0)
			return c->read_error = rc;
	}
	if (rc == 0 && (rc = be_fair(c, c->in_n - had)) != 0)
		c->read_error = rc;
	return rc;
}

size_t
conn_buffered(const struct conn *c)
{
	return c->in_n + (c->ssl != NULL ? (size_t)SSL_pending(c->ssl) : 0);
}

static bool
ends_with_cr(struct slice s)
{
	return s.n > 0 && s.p[s.n - 1] == '\r';
}

/* Read on to the end of a line that was too long, keeping nothing of it. */
static int
drop_line(struct conn *c, int64_t *until, bool *bare_lf)
{
	bool cr = false;
	ssize_t lf;
	int rc;

	while ((lf = slice_find(in_unread(c), '\n')) < 0) {
		cr = ends_with_cr(in_unread(c));
		in_consume(c, c->in_n);
		if ((rc = fill(c, until)) != 0)
			return rc;
	}
	if (lf > 0)
		cr = ends_with_cr(slice_head(in_unread(c), (size_t)lf));
	in_consume(c, (size_t)lf + 1);
	*bare_lf = !cr;
	return -EMSGSIZE;
}

int
conn_read_line(struct conn *c, size_t max, struct slice *line, bool *bare_lf)
{
	int64_t until = CONN_UNTIL_UNSET;
	struct slice s;
	size_t seen = 0;
	bool unasked;
	ssize_t lf;
	int rc;

	if (bare_lf == NULL)
		bare_lf = &unasked;
	for (;;) {
		s = in_unread(c);
		if ((lf = slice_find(slice_from(s, seen), '\n')) >= 0)
			break;
		/* With its CR, a line of `max` is one more than that. */
		if (c->in_n > max && c->in_n - max > 1)
			return drop_line(c, &until, bare_lf);
		seen = c->in_n;
		if ((rc = fill(c, &until)) != 0)
			return rc;
	}
	s.n = seen + (size_t)lf;
	in_consume(c, s.n + 1);
	*bare_lf = !ends_with_cr(s);
	s.n -= !*bare_lf;
	if (s.n > max)
		return -EMSGSIZE;
	*line = s;
	return 0;
}

int
conn_peek(struct conn *c, struct slice *out)
{
	int64_t until = CONN_UNTIL_UNSET;
	int rc;

	if (c->in_n == 0 && (rc = fill(c, &until)) != 0)
		return rc;
	*out = slice_head(in_unread(c), IN_MAX);
	return 0;
}

void
conn_consume(struct conn *c, size_t n)
{
	if (n > c->in_n)
		abort(); /* our bug: it was never shown */
	in_consume(c, n);
}

int
conn_read_exact(struct conn *c, void *p, size_t n)
{
	int64_t until;
	char *to = p;
	size_t part;
	int rc;

	while (n > 0) {
		until = CONN_UNTIL_UNSET;
		if (c->in_n == 0 && (rc = fill(c, &until)) != 0)
			return rc;
		part = c->in_n < n ? c->in_n : n;
		memcpy(to, c->in + c->in_at, part);
		in_consume(c, part);
		to += part;
		n -= part;
	}
	return 0;
}

static void
out_release(struct conn *c, size_t keep)
{
	if (c->out.cap > keep)
		buf_clear(&c->out);
	else
		buf_reset(&c->out);
}

/* Wait as an idle client does: with nothing held but the conn itself. */
static int
wait_idle(struct conn *c, struct co_event *also, int64_t until)
{
	int rc = 0;

	in_release(c);
	out_release(c, 0);
	c->idle = true;
	if (also != NULL)
		also->waiter = co_self();
	while (rc == 0 && (c->ready & c->want) == 0 &&
	    (also == NULL || !also->set))
		rc = park(c, until);
	if (also != NULL)
		also->waiter = NULL;
	c->idle = false;
	return rc;
}

int
conn_wait_input(struct conn *c, struct co_event *also, int64_t timeout_ms)
{
	int64_t until = limit(c, timeout_ms);
	int rc = 0;

	/* "Is there anything now?" asks the kernel, not what the loop has
	 * last heard of it. */
	if (timeout_ms == 0)
		c->ready |= EV_READ;
	for (;;) {
		if (also != NULL && also->set)
			return 2;
		if (c->in_n > 0)
			return 1;
		if (rc != 0)
			return rc;
		if ((rc = try_fill(c)) == 0)
			continue;
		if (rc != -EAGAIN)
			return rc;
		if (c->out.n > 0)
			rc = conn_flush(c);
		else
			rc = wait_idle(c, also, until);
	}
}

void
conn_rest(struct conn *c)
{
	in_release(c);
	if (c->out.n == 0)
		out_release(c, 0);
}

size_t
conn_discard_input(struct conn *c)
{
	size_t n = c->in_n;

	in_consume(c, n);
	return n;
}

/* --- writing --- */

/* Send what is buffered until the kernel takes no more. 0, -EAGAIN, or the
 * error that is now sticky. */
static int
try_send(struct conn *c)
{
	ssize_t r;

	size_t at = 0;

	if (c->write_error != 0)
		return c->write_error;
	while (at < c->out.n) {
		r = try_write(c, c->out.p + at, c->out.n - at);
		if (r == -EAGAIN) {
			buf_consume(&c->out, at);
			return -EAGAIN;
		}
		if (r < 0)
			return c->write_error = (int)r;
		at += (size_t)r;
	}
	out_release(c, OUT_KEEP);
	return 0;
}

int
conn_flush(struct conn *c)
{
	size_t waiting = c->out.n;
	int64_t until;
	int rc;

	while ((rc = try_send(c)) == -EAGAIN) {
		until = CONN_UNTIL_UNSET;
		rc = conn_wait(c, &until);
		/* Not sticky when cancelled: conn_free sends what it can. */
		if (rc == -ECANCELED)
			return rc;
		if (rc != 0)
			return c->write_error = rc;
	}
	return rc != 0 ? rc : be_fair(c, waiting);
}

int
conn_write(struct conn *c, struct slice s)
{
	struct slice part;
	int rc;

	if (c->write_error != 0)
		return c->write_error;
	for (;;) {
		part =
		    slice_head(s, c->out.n < OUT_MAX ? OUT_MAX - c->out.n : 0);
		if (!buf_put_slice(&c->out, part))
			return c->write_error = -ENOMEM;
		s = slice_from(s, part.n);
		if (s.n == 0)
			return 0;
		if ((rc = conn_flush(c)) != 0)
			return rc;
	}
}

int
conn_puts(struct conn *c, const char *s)
{
	return conn_write(c, slice_str(s));
}

int
conn_printf(struct conn *c, const char *fmt, ...)
{
	va_list ap;
	bool ok;

	if (c->write_error != 0)
		return c->write_error;
	va_start(ap, fmt);
	ok = buf_vprintf(&c->out, fmt, ap);
	va_end(ap);
	if (!ok)
		return c->write_error = -ENOMEM;
	return c->out.n > OUT_MAX ? conn_flush(c) : 0;
}

size_t
conn_unsent(const struct conn *c)
{
	return c->out.n;
}

int
conn_shutdown(struct conn *c)
{
	int rc = conn_flush(c);

	if (rc != 0)
		return rc;
	conn_tls_close_notify(c);
	c->write_error = -EPIPE;
	if (c->rfd == c->wfd) {
		shutdown(c->wfd, SHUT_WR);
		return 0;
	}
	if (c->armed)
		event_del(&c->wevent);
	close(c->wfd);
	c->wfd = -1;
	return 0;
}

/* --- the end --- */

/* Octets that nobody read would turn the close into a reset, which may
 * overtake the last reply; so end our side and take in what is there. */
static void
linger(struct conn *c)
{
	char waste[4096];

	if (c->rfd != c->wfd || c->read_error == -ECONNRESET ||
	    shutdown(c->wfd, SHUT_WR) == -1)
		return;
	for (int i = 0; i < LINGER_READS; i++)
		if (read(c->rfd, waste, sizeof(waste)) <= 0)
			break;
}

void
conn_free(struct conn **conn)
{
	struct conn *c = *conn;

	if (c == NULL)
		return;
	*conn = NULL;
	try_send(c);
	conn_tls_close_notify(c);
	if (c->armed) {
		event_del(&c->event);
		event_del(&c->wevent); /* fine where it is not pending */
	}
	linger(c);
	SSL_free(c->ssl);
	close(c->rfd);
	if (c->wfd != c->rfd && c->wfd != -1)
		close(c->wfd);
	memory_give(c->in_cap);
	free(c->in);
	buf_clear(&c->out);
	free(c);
}
