/* SPDX-License-Identifier: ISC */
/*
 * One process that serves: it accepts, each connection is a coroutine, and in
 * the end it drains. One coroutine (worker_main) leads from start to end; what
 * signals and ending sessions tell it are events.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/trace.h"
#include "common/net/proxy.h"
#include "common/net/service_impl.h"

#define ACCEPT_BATCH 8 /* per turn: other workers want some too */
#define ACCEPT_PAUSE_S 1
#define DRAIN_LOOK_MS 50
#define DRAIN_LAST_MS 5000 /* for sessions to end after being cancelled */
#define HANDSHAKE_MS 60000
#define COMPLAIN_EVERY_MS 10000
#define KEPT_CONFS 2
#define TRIM_PEAK 100
#define TRIM_LAST_S 64

/* A configuration lives as long as a session that began under it. */
struct epoch {
	struct epoch *next; /* older */
	struct conf *conf;
	size_t sessions;
};

struct session {
	struct session *next, **at; /* in the worker's list */
	struct worker *worker;
	struct epoch *epoch;
	const struct service_protocol *protocol;
	struct conn *conn;
	struct co *co;
};

struct acceptor {
	struct worker *worker;
	const struct service_listener *listener;
	struct event *event, *resume;
};

struct worker {
	struct service_process *process;
	struct acceptor *acceptors; /* one per listener */
	struct epoch *epochs;       /* newest first */
	struct session *sessions;
	size_t n_sessions, max_sessions;
	size_t peak;             /* of sessions, since memory was given back */
	struct event *trim;
	time_t trim_s; /* how long it waits */
	struct co_event ending;  /* by signal, or the one session ended */
	struct co_event changed; /* a session ended */
	int terminations;        /* signals so far */
	bool reloading;
	int spare_fd; /* given up for a moment to accept without any left */
	int64_t complained_ms;
	struct event *signals[3], *watchdog;
	int status;
};

static bool draining;

bool
service_is_draining(void)
{
	return draining;
}

/* --- configurations --- */

static bool
epoch_push(struct worker *w, struct conf *conf)
{
	struct epoch *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return false;
	e->conf = conf;
	e->next = w->epochs;
	w->epochs = e;
	service_conf_set(conf);
	log_set_level((enum log_level)conf_enum(conf, "log_level"));
	w->max_sessions = (size_t)conf_int(conf, "max_connections");
	memory_set_limit(conf_size(conf, "max_memory"));
	return true;
}

/* Free what no session needs, but for the newest `keep`. */
static void
epoch_sweep(struct worker *w, size_t keep)
{
	struct epoch **at = &w->epochs, *e;

	while ((e = *at) != NULL) {
		if (keep > 0 || e->sessions > 0) {
			keep -= keep > 0;
			at = &e->next;
			continue;
		}
		*at = e->next;
		conf_free(&e->conf);
		free(e);
	}
}

/* --- sessions --- */

static void
trim_later(struct worker *w, time_t after_s)
{
	struct timeval tv = { after_s, 0 };

	w->trim_s = after_s;
	if (w->trim != NULL)
		event_add(w->trim, &tv); /* fails: not trimmed, no harm */
}

static void
on_trim(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	malloc_trim(0);
	if (w->trim_s < TRIM_LAST_S)
		trim_later(w, w->trim_s * 8);
}

/* What thousands of connections used lies about in the heap; when most are
 * gone it goes back to the kernel. And again some time later, when the last of
 * them are gone, and what they left in pools. */
static void
trim_heap(struct worker *w)
{
	if (w->peak < TRIM_PEAK || w->n_sessions > w->peak / 4)
		return;
	w->peak = w->n_sessions;
	trim_later(w, 1);
}

static void
session_end(struct session *session)
{
	struct worker *w = session->worker;

	conn_free(&session->conn);
	if ((*session->at = session->next) != NULL)
		session->next->at = session->at;
	w->n_sessions--;
	session->epoch->sessions--;
	free(session);
	epoch_sweep(w, KEPT_CONFS);
	trim_heap(w);
	co_event_set(&w->changed);
	if (w->process->start->one_session)
		co_event_set(&w->ending);
}

/* Implicit TLS, where the protocol has it. */
static int
session_secure(struct session *session)
{
	int rc;

	if (!session->protocol->tls)
		return 0;
	if (service_tls() == NULL) {
		log_error(
		    "no certificate", "protocol=%s", session->protocol->name);
		return -ENOTSUP;
	}
	conn_set_timeout(session->conn, HANDSHAKE_MS);
	rc = conn_starttls_server(session->conn, service_tls());
	conn_set_timeout(session->conn, 5 * HANDSHAKE_MS);
	return rc;
}

/* A listed balancer says first for whom it connects. */
static int
session_proxied(struct session *session)
{
	const char *setting = session->worker->process->service->proxy_from;
	size_t n;
	int rc = 0;

	if (setting == NULL ||
	    !net_addr_is_listed(conn_peer(session->conn),
		conf_list(service_conf(), setting, &n)))
		return 0;
	conn_set_timeout(session->conn, HANDSHAKE_MS);
	rc = proxy_read(session->conn);
	conn_set_timeout(session->conn, 5 * HANDSHAKE_MS);
	if (rc != 0)
		log_warning("no PROXY header", "error=\"%s\"", strerror(-rc));
	return rc;
}

/* What its log lines and trace records have in common. */
static void
session_name(const struct session *session)
{
	struct trace_context *t = co_trace_context();
	char host[128];

	co_log_context("conn=%s", conn_id(session->conn));
	snprintf(t->conn, sizeof(t->conn), "%s", conn_id(session->conn));
	net_addr_host(conn_peer(session->conn), host);
	if (!net_addr_is_unix(conn_peer(session->conn)))
		snprintf(t->peer, sizeof(t->peer), "%.45s", host);
}

/* Why is in the log: only there OpenSSL's words are at hand. */
static void
trace_insecure(const struct session *session, int rc)
{
	struct slice text = rc == -ENOTSUP ? SLICE_LIT("no certificate of ours")
					   : SLICE_LIT("TLS did not begin");

	trace_write(&(struct trace_record){ .kind = TRACE_CONNECT,
	    .field = { [TRACE_RULE] = slice_str(session->protocol->name),
		[TRACE_TEXT] = text } });
}

static void
session_main(void *arg)
{
	struct session *session = arg;
	char peer[128];
	int rc;

	session_name(session);
	if (session_proxied(session) != 0) {
		session_end(session);
		return;
	}
	session_name(session);
	net_addr_text(conn_peer(session->conn), peer);
	log_info("connect", "protocol=%s peer=%s", session->protocol->name,
	    log_qs(peer));
	if ((rc = session_secure(session)) == 0)
		session->protocol->session(session->conn, session->protocol);
	else
		trace_insecure(session, rc);
	session_end(session);
}

/* Takes `c` over. */
static int
session_begin(
    struct worker *w, const struct service_protocol *p, struct conn *c)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session != NULL)
		session->co = co_spawn(session_main, session);
	if (session == NULL || session->co == NULL) {
		free(session);
		conn_free(&c);
		return -ENOMEM;
	}
	session->worker = w;
	session->epoch = w->epochs;
	session->epoch->sessions++;
	session->protocol = p;
	session->conn = c;
	session->at = &w->sessions;
	if ((session->next = w->sessions) != NULL)
		session->next->at = &session->next;
	w->sessions = session;
	if (++w->n_sessions > w->peak)
		w->peak = w->n_sessions;
	return 0;
}

static void
cancel_sessions(struct worker *w, bool all)
{
	struct session *s;

	for (s = w->sessions; s != NULL; s = s->next)
		if (all || conn_is_idle(s->conn))
			co_cancel(s->co);
}

/* --- accepting --- */

/* Of a flood only the first is worth a line. */
static void
complain(struct worker *w, const char *event, const char *text)
{
	int64_t now = clock_mono_ms();

	if (w->complained_ms != 0 && now - w->complained_ms < COMPLAIN_EVERY_MS)
		return;
	w->complained_ms = now;
	log_warning(event, "connections=%zu %s", w->n_sessions, text);
}

static void
turn_away(const struct service_protocol *p, int fd, const char *rule)
{
	struct slice busy = slice_trim(slice_str(p->busy));
	struct conn *c;
	char peer[128];

	if (conn_new(&c, fd, fd) != 0)
		return;
	net_addr_host(conn_peer(c), peer);
	trace_write(&(struct trace_record){ .kind = TRACE_CONNECT,
	    .code = 421,
	    .enhanced = "4.3.2",
	    .field = { [TRACE_CONN] = slice_str(conn_id(c)),
		[TRACE_PEER] = slice_str(peer),
		[TRACE_RULE] = slice_str(rule),
		[TRACE_TEXT] = SLICE_LIT("too many connections") } });
	if (busy.n > 0 && !p->tls)
		conn_printf(
		    c, "%.*s [ref %s]\r\n", (int)busy.n, busy.p, conn_id(c));
	conn_free(&c);
}

static int
open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is left, and the connection would wait in the queue for ever:
 * take it on the spare one and say so. */
static bool
accept_with_spare(struct worker *w, const struct service_listener *l)
{
	int fd;

	if (w->spare_fd == -1)
		return false;
	close(w->spare_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd != -1)
		turn_away(l->protocol, fd, "out of file descriptors");
	w->spare_fd = open_spare();
	complain(w, "accept", "no descriptors left");
	return fd != -1;
}

static void
on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct acceptor *a = arg;

	(void)fd, (void)what;
	if (!draining)
		event_add(a->event, NULL);
}

static void
pause_accepting(struct acceptor *a, int error)
{
	struct timeval tv = { ACCEPT_PAUSE_S, 0 };

	complain(a->worker, "accept", strerror(error));
	event_del(a->event);
	event_add(a->resume, &tv);
}

/* After a failed accept: go on? */
static bool
accept_failed(struct acceptor *a, int error)
{
	switch (error) {
	case EAGAIN:
		return false;
	case EMFILE:
		if (accept_with_spare(a->worker, a->listener))
			return true;
		break;
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		break;
	default: /* errors of the one connection: accept(2) */
		return true;
	}
	pause_accepting(a, error);
	return false;
}

static void
accept_one(struct worker *w, const struct service_listener *l, int fd)
{
	struct conn *c;

	if (w->n_sessions >= w->max_sessions) {
		complain(w, "accept", "max_connections reached");
		turn_away(l->protocol, fd, "max_connections");
	} else if (memory_is_full()) {
		complain(w, "accept", "max_memory reached");
		turn_away(l->protocol, fd, "max_memory");
	} else if (conn_new(&c, fd, fd) == 0 &&
	    session_begin(w, l->protocol, c) != 0) {
		complain(w, "accept", "out of memory");
	}
}

static void
on_acceptable(evutil_socket_t lfd, short what, void *arg)
{
	struct acceptor *a = arg;
	int fd;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd != -1)
			accept_one(a->worker, a->listener, fd);
		else if (!accept_failed(a, errno))
			return;
	}
}

static int
start_accepting(struct worker *w)
{
	struct service_start *st = w->process->start;
	struct acceptor *a;

	w->acceptors = calloc(st->n + 1, sizeof(*w->acceptors));
	if (w->acceptors == NULL)
		return -ENOMEM;
	w->spare_fd = open_spare();
	for (size_t i = 0; i < st->n; i++) {
		a = &w->acceptors[i];
		a->worker = w;
		a->listener = &st->listeners[i];
		a->event = event_new(loop_base(), a->listener->fd,
		    EV_READ | EV_PERSIST, on_acceptable, a);
		a->resume = evtimer_new(loop_base(), on_resume, a);
		if (a->event == NULL || a->resume == NULL ||
		    event_add(a->event, NULL) == -1)
			return -ENOMEM;
	}
	return 0;
}

static void
stop_accepting(struct worker *w)
{
	struct service_start *st = w->process->start;

	for (size_t i = 0; w->acceptors != NULL && i < st->n; i++) {
		if (w->acceptors[i].event != NULL)
			event_free(w->acceptors[i].event);
		if (w->acceptors[i].resume != NULL)
			event_free(w->acceptors[i].resume);
	}
	free(w->acceptors);
	w->acceptors = NULL;
	service_start_close(st, !w->process->has_master);
	if (w->spare_fd != -1)
		close(w->spare_fd);
	w->spare_fd = -1;
}

/* s6's and DJB's servers say where a pipe comes from (ucspi-tcp's
 * tcp-environ(5)); the peer's address decides about trust. */
static void
peer_from_environment(struct conn *c)
{
	const char *proto = getenv("PROTO");
	const char *ip, *port;
	char name[32];
	struct net_addr a;
	uint64_t n = 0;

	if (proto == NULL || !net_addr_is_unix(conn_peer(c)))
		return;
	snprintf(name, sizeof(name), "%.16sREMOTEIP", proto);
	if ((ip = getenv(name)) == NULL && (ip = getenv("TCPREMOTEIP")) == NULL)
		return;
	snprintf(name, sizeof(name), "%.16sREMOTEPORT", proto);
	if ((port = getenv(name)) != NULL || (port = getenv("TCPREMOTEPORT")))
		slice_u64(slice_str(port), UINT16_MAX, &n);
	if (net_addr_parse_host(&a, slice_str(ip), (uint16_t)n) == 0)
		conn_set_peer(c, &a);
}

static int
begin_one_session(struct worker *w)
{
	struct service_start *st = w->process->start;
	struct conn *c;
	int rc = conn_new(&c, st->rfd, st->wfd);

	if (rc != 0)
		return rc;
	peer_from_environment(c);
	return session_begin(w, st->protocol, c);
}

/* --- signals --- */

static void
on_terminate(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	/* A worker hears it from the master and, perhaps, from systemd too. */
	if (++w->terminations > 1 && !w->process->has_master) {
		service_start_close(w->process->start, true);
		_exit(EX_TEMPFAIL);
	}
	co_event_set(&w->ending);
}

static void
reload_tls(struct service_process *p, const struct conf *conf)
{
	struct buf err = BUF_INIT_MAX(4096);
	int rc = 0;

	if (p->tls != NULL)
		rc = tls_server_reload(p->tls, conf, &err);
	else if (service_uses_tls(p->service, conf))
		rc = tls_server_new(&p->tls, conf, &err);
	if (rc != 0)
		log_error("certificates not reloaded", "the old ones stay: %s",
		    buf_str(&err));
	service_tls_set(p->tls);
	buf_clear(&err);
}

static void
reload(struct worker *w)
{
	const struct service_process *p = w->process;
	struct buf err = BUF_INIT_MAX(4096);
	struct conf *conf = service_conf_load(p->options, &err);

	if (conf == NULL) {
		log_error("configuration not reloaded", "the old one stays: %s",
		    buf_str(&err));
	} else if (!epoch_push(w, conf)) {
		conf_free(&conf);
	} else {
		log_info("configuration reloaded", "file=\"%s\"",
		    log_qs(conf_path(conf)));
		reload_tls(w->process, conf);
		if (p->service->reload != NULL)
			p->service->reload(conf);
		epoch_sweep(w, KEPT_CONFS);
	}
	buf_clear(&err);
}

static void
reload_main(void *arg)
{
	struct worker *w = arg;

	if (!w->process->has_master)
		service_notify_reloading();
	reload(w);
	if (!w->process->has_master)
		service_notify("READY=1");
	w->reloading = false;
}

static void
on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;

	(void)fd, (void)what;
	if (!w->reloading && !draining)
		w->reloading = co_spawn(reload_main, w) != NULL;
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	service_notify("WATCHDOG=1");
}

static int
watch_signals(struct worker *w)
{
	int64_t ms = w->process->has_master ? 0 : service_watchdog_ms();
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };
	sigset_t all;

	w->signals[0] = evsignal_new(loop_base(), SIGTERM, on_terminate, w);
	w->signals[1] = evsignal_new(loop_base(), SIGHUP, on_reload, w);
	if (w->process->has_master) /* a terminal's Ctrl-C goes to all */
		signal(SIGINT, SIG_IGN);
	else
		w->signals[2] =
		    evsignal_new(loop_base(), SIGINT, on_terminate, w);
	for (size_t i = 0; i < 3; i++)
		if (w->signals[i] != NULL &&
		    event_add(w->signals[i], NULL) == -1)
			return -ENOMEM;
	/* The master forks with them blocked, so that none hits a worker
	 * before it can hear. */
	sigemptyset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	if (ms == 0)
		return 0;
	w->watchdog = event_new(loop_base(), -1, EV_PERSIST, on_watchdog, w);
	if (w->watchdog == NULL || event_add(w->watchdog, &tv) == -1)
		return -ENOMEM;
	return 0;
}

/* --- from start to end --- */

static void
say_ready(const struct worker *w)
{
	const struct service_process *p = w->process;

	if (p->ready_fd == -1)
		service_notify("READY=1");
	else if (write(p->ready_fd, "r", 1) == -1)
		log_error("ready", "error=\"%s\"", strerror(errno));
}

/* Idle sessions end at once, and others when they become idle; at the end of
 * the time all are cancelled. */
static void
drain(struct worker *w)
{
	int64_t end =
	    clock_mono_ms() + conf_duration_ms(service_conf(), "drain");
	int64_t now = clock_mono_ms();

	draining = true;
	if (!w->process->has_master)
		service_notify("STOPPING=1");
	stop_accepting(w);
	while (w->n_sessions > 0 && now < end + DRAIN_LAST_MS) {
		cancel_sessions(w, now >= end);
		w->changed.set = false;
		co_event_wait(&w->changed, DRAIN_LOOK_MS);
		now = clock_mono_ms();
	}
	if (w->n_sessions > 0)
		log_warning("drain", "sessions=%zu did not end", w->n_sessions);
}

/* Faults of the settings that list networks are told at the start. */
static bool
networks_are_valid(const char *setting)
{
	const char *const *list;
	size_t n;
	bool good = true;

	if (setting == NULL)
		return true;
	list = conf_list(service_conf(), setting, &n);
	for (size_t i = 0; i < n; i++)
		if (!net_network_is_valid(list[i])) {
			log_error("start",
			    "setting=%s value=%s error=\"not an "
			    "address or network\"",
			    setting, log_qs(list[i]));
			good = false;
		}
	return good;
}

static bool
all_networks_are_valid(const struct service *s)
{
	bool good = networks_are_valid(s->proxy_from);

	good = networks_are_valid(s->xclient_from) && good;
	for (size_t i = 0; s->networks != NULL && s->networks[i] != NULL; i++)
		good = networks_are_valid(s->networks[i]) && good;
	return good;
}

static void
worker_main(void *arg)
{
	struct worker *w = arg;
	const struct service *s = w->process->service;
	int rc = 0;

	if (!all_networks_are_valid(s) ||
	    (s->start != NULL && s->start(service_conf()) != 0)) {
		w->status = EX_TEMPFAIL;
		stop_accepting(w);
		loop_stop();
		return;
	}
	rc = w->process->start->one_session ? begin_one_session(w)
					    : start_accepting(w);
	if (rc == 0) {
		say_ready(w);
		co_event_wait(&w->ending, -1);
	} else {
		log_error("start", "error=\"%s\"", strerror(-rc));
		w->status = EX_TEMPFAIL;
	}
	drain(w);
	if (s->stop != NULL)
		s->stop();
	loop_stop();
}

/* Sessions that did not end may still use anything: then nothing is freed. */
static void
worker_clear(struct worker *w)
{
	if (w->n_sessions > 0)
		_exit(w->status);
	for (size_t i = 0; i < 3; i++)
		if (w->signals[i] != NULL)
			event_free(w->signals[i]);
	if (w->watchdog != NULL)
		event_free(w->watchdog);
	if (w->trim != NULL)
		event_free(w->trim);
	service_conf_set(NULL);
	service_tls_set(NULL);
	epoch_sweep(w, 0);
	loop_free();
}

/* As the user, in the sandbox, with a loop: what comes next may fail only for
 * want of memory. */
static int
prepare(struct worker *w)
{
	struct service_process *p = w->process;
	pid_t master = getppid();
	int rc;

	if ((rc = service_become_user(p->service, p->conf)) != 0)
		return rc;
	/* Workers do not outlive a master that was killed; changing the user
	 * would have cleared this. */
	if (p->has_master &&
	    (prctl(PR_SET_PDEATHSIG, SIGTERM) == -1 || getppid() != master))
		return EX_TEMPFAIL;
	if ((rc = service_enter_sandbox(p->service, p->conf)) != 0)
		return rc;
	if (loop_init() != 0 || watch_signals(w) != 0)
		return EX_TEMPFAIL;
	w->trim = evtimer_new(loop_base(), on_trim, w);
	if (!epoch_push(w, p->conf))
		return EX_TEMPFAIL;
	p->conf = NULL;
	service_tls_set(p->tls);
	return 0;
}

int
service_worker(struct service_process *p)
{
	struct worker w = { .process = p, .spare_fd = -1 };
	int rc = prepare(&w);

	if (rc == 0 && co_spawn(worker_main, &w) == NULL)
		rc = EX_TEMPFAIL;
	if (rc != 0) {
		service_start_close(p->start, !p->has_master);
		return rc;
	}
	loop_run();
	worker_clear(&w);
	return w.status;
}
