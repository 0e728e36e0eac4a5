/* SPDX-License-Identifier: ISC */
/*
 * The process above the workers: it holds the listening sockets and starts
 * again what has crashed, later each time. It has no loop and speaks to no
 * peer; all it does is wait for signals and for the workers' "ready".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/service_impl.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 30000
#define STEADY_MS 60000     /* after so long a crash is a new story */
#define KILL_AFTER_MS 10000 /* beyond the time to drain */

struct slot {
	pid_t pid; /* 0: none runs */
	int64_t started_ms, start_at_ms, backoff_ms;
};

struct master {
	struct service_process *process;
	struct slot *slots;
	size_t n, running;
	int signal_fd, ready_r, ready_w;
	bool ready; /* some worker has been so */
	bool stopping;
	int64_t kill_at_ms;
	int64_t watchdog_at_ms;
	int status;
};

/* --- workers --- */

static void
run_worker(struct master *m)
{
	struct service_process *p = m->process;
	int rc;

	close(m->signal_fd);
	close(m->ready_r);
	p->has_master = true;
	p->ready_fd = m->ready_w;
	rc = service_worker(p);
	tls_server_free(&p->tls);
	conf_free(&p->conf);
	free(m->slots);
	exit(rc);
}

static void
slot_delay(struct slot *s)
{
	int64_t now = clock_mono_ms();

	if (s->backoff_ms == 0 || now - s->started_ms >= STEADY_MS)
		s->backoff_ms = BACKOFF_FIRST_MS;
	else if ((s->backoff_ms *= 2) > BACKOFF_MAX_MS)
		s->backoff_ms = BACKOFF_MAX_MS;
	s->start_at_ms = now + s->backoff_ms;
}

static void
slot_start(struct master *m, struct slot *s)
{
	pid_t pid;

	fflush(NULL); /* or both processes would print it */
	s->started_ms = clock_mono_ms();
	if ((pid = fork()) == 0)
		run_worker(m);
	if (pid == -1) {
		log_error("worker", "error=\"%s\"", strerror(errno));
		slot_delay(s);
		return;
	}
	s->pid = pid;
	m->running++;
}

static void
start_due(struct master *m)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < m->n && !m->stopping; i++)
		if (m->slots[i].pid == 0 && now >= m->slots[i].start_at_ms)
			slot_start(m, &m->slots[i]);
}

static void
signal_workers(const struct master *m, int sig)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->slots[i].pid != 0)
			kill(m->slots[i].pid, sig);
}

static void
stop(struct master *m)
{
	struct service_process *p = m->process;

	m->stopping = true;
	m->kill_at_ms = clock_mono_ms() + KILL_AFTER_MS +
	    conf_duration_ms(p->conf, "drain");
	service_notify("STOPPING=1");
	service_start_close(p->start, true);
	signal_workers(m, SIGTERM);
}

/* A worker that cannot even start will not do better soon: let whoever started
 * us know, instead of trying for ever. */
static void
worker_ended(struct master *m, struct slot *s, int status)
{
	s->pid = 0;
	m->running--;
	if (m->stopping)
		return;
	if (!m->ready && WIFEXITED(status)) {
		m->status = WEXITSTATUS(status);
		stop(m);
		return;
	}
	if (WIFSIGNALED(status))
		log_error("worker", "ended by signal %d, starting another",
		    WTERMSIG(status));
	else
		log_error("worker", "ended with status %d, starting another",
		    WEXITSTATUS(status));
	slot_delay(s);
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < m->n; i++)
			if (m->slots[i].pid == pid)
				worker_ended(m, &m->slots[i], status);
}

/* --- signals --- */

/* Workers reload by themselves; ours is for those that are started later. */
static void
reload(struct master *m)
{
	struct service_process *p = m->process;
	struct buf err = BUF_INIT;
	struct conf *conf = service_conf_load(p->options, &err);

	service_notify_reloading();
	if (conf != NULL) {
		conf_free(&p->conf);
		p->conf = conf;
		service_conf_set(conf);
		if (p->tls != NULL)
			tls_server_reload(p->tls, conf, &err);
	}
	signal_workers(m, SIGHUP);
	service_notify("READY=1");
	buf_clear(&err);
}

static void
terminate(struct master *m)
{
	if (!m->stopping) {
		stop(m);
		return;
	}
	signal_workers(m, SIGKILL);
	m->status = EX_TEMPFAIL;
}

static void
read_signals(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(m);
		else if (info.ssi_signo == SIGHUP)
			reload(m);
		else
			terminate(m);
	}
}

static void
read_ready(struct master *m)
{
	char octets[64];

	if (read(m->ready_r, octets, sizeof(octets)) <= 0 || m->ready)
		return;
	m->ready = true;
	service_notify("READY=1");
}

/* --- waiting --- */

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Milliseconds until something is to be done; -1: only signals. */
static int
time_left(const struct master *m)
{
	int64_t now = clock_mono_ms(), at = INT64_MAX;

	for (size_t i = 0; i < m->n && !m->stopping; i++)
		if (m->slots[i].pid == 0)
			at = earlier(at, m->slots[i].start_at_ms);
	if (m->stopping)
		at = m->kill_at_ms;
	if (service_watchdog_ms() > 0)
		at = earlier(at, m->watchdog_at_ms);
	if (at == INT64_MAX)
		return -1;
	return at <= now ? 0 : (int)(at - now);
}

static void
watchdog(struct master *m)
{
	int64_t now = clock_mono_ms();

	if (service_watchdog_ms() == 0 || now < m->watchdog_at_ms)
		return;
	service_notify("WATCHDOG=1");
	m->watchdog_at_ms = now + service_watchdog_ms();
}

static void
run(struct master *m)
{
	struct pollfd fds[] = { { m->signal_fd, POLLIN, 0 },
		{ m->ready_r, POLLIN, 0 } };

	start_due(m);
	while (!m->stopping || m->running > 0) {
		poll(fds, 2, time_left(m));
		/* A worker that said ready and then crashed was ready. */
		read_ready(m);
		read_signals(m);
		watchdog(m);
		start_due(m);
		if (m->stopping && clock_mono_ms() >= m->kill_at_ms)
			signal_workers(m, SIGKILL);
	}
}

static int
open_all(struct master *m)
{
	sigset_t mask;
	int ready[2];

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGHUP);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	m->signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->signal_fd == -1 || pipe2(ready, O_NONBLOCK | O_CLOEXEC) == -1)
		return -errno;
	m->ready_r = ready[0];
	m->ready_w = ready[1];
	return 0;
}

int
service_master(struct service_process *p, size_t workers)
{
	struct master m = { .process = p, .n = workers };
	int rc;

	m.slots = calloc(workers, sizeof(*m.slots));
	if (m.slots == NULL || (rc = open_all(&m)) != 0) {
		log_error("start", "no memory or descriptors");
		service_start_close(p->start, true);
		free(m.slots);
		return EX_TEMPFAIL;
	}
	run(&m);
	close(m.signal_fd);
	close(m.ready_r);
	close(m.ready_w);
	free(m.slots);
	return m.status;
}
