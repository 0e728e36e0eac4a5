/* SPDX-License-Identifier: ISC */
/* The waiting of `pneu run`: for signals, for ends, for READY=1, for times. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sysexits.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mgmt/run.h"

#define KILL_AFTER_MS 5000 /* beyond `drain` */

/* --- all programs --- */

static void
signal_all(const struct run *r, int sig)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->children[i].pid != 0)
			kill(r->children[i].pid, sig);
}

/* With their workers. */
static void
kill_all(struct run *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct run_child *c = &r->children[i];

		if (c->pid == 0)
			continue;
		log_error("killed", "program=%s pid=%d it did not stop in time",
		    c->program->name, (int)c->pid);
		kill(-c->pid, SIGKILL);
		kill(c->pid, SIGKILL);
		r->status = EX_SOFTWARE;
	}
	r->kill_at_ms = -1;
}

void
run_stop(struct run *r, int status)
{
	if (r->stopping)
		return;
	r->stopping = true;
	r->status = status;
	r->kill_at_ms = clock_mono_ms() + KILL_AFTER_MS +
	    conf_duration_ms(r->conf, "drain");
	signal_all(r, SIGTERM);
}

static bool
any_runs(const struct run *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->children[i].pid != 0)
			return true;
	return false;
}

static void
start_due(struct run *r)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < r->n && !r->stopping; i++) {
		struct run_child *c = &r->children[i];

		if (c->n_sockets > 0 && c->pid == 0 && c->start_at_ms <= now)
			run_child_start(r, c);
	}
}

static void
reap(struct run *r)
{
	int status;
	pid_t pid;

	/* As the first process of a container, others' children too. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < r->n; i++)
			if (r->children[i].pid == pid)
				run_child_ended(r, &r->children[i], status);
}

/* --- readiness --- */

static void
tell_ready(struct run *r)
{
	static const char word[] = "ready\n";

	r->ready_by_ms = -1;
	log_info("ready", "programs=all");
	/* Whoever asked for it may be gone. */
	if (write(r->ready_fd, word, sizeof(word) - 1) == -1)
		log_debug("ready", "error=\"%s\"", strerror(errno));
	if (r->ready_fd > STDERR_FILENO)
		close(r->ready_fd);
	r->ready_fd = -1;
}

static void
look_if_ready(struct run *r)
{
	if (r->ready_by_ms == -1 || r->stopping)
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->children[i].n_sockets > 0 && !r->children[i].ready)
			return;
	tell_ready(r);
}

static void
not_ready_in_time(struct run *r)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->children[i].n_sockets > 0 && !r->children[i].ready)
			log_error("not ready in time", "program=%s",
			    r->children[i].program->name);
	run_stop(r, EX_UNAVAILABLE);
}

/* The lines of one sd_notify(3). */
static bool
says_ready(struct slice text)
{
	while (text.n > 0)
		if (slice_eq_str(slice_split(&text, '\n'), "READY=1"))
			return true;
	return false;
}

/* Who speaks is told by the kernel, not by what is said. */
static void
read_notify(struct run *r)
{
	char text[512], control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = { text, sizeof(text) };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(r->notify_fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	struct ucred who;

	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_CREDENTIALS ||
	    c->cmsg_len < CMSG_LEN(sizeof(who)))
		return;
	memcpy(&who, CMSG_DATA(c), sizeof(who));
	if (!says_ready(slice(text, (size_t)n)))
		return;
	for (size_t i = 0; i < r->n; i++)
		if (r->children[i].pid != 0 && r->children[i].pid == who.pid)
			r->children[i].ready = true;
	look_if_ready(r);
}

/* A name that the kernel chooses, in the abstract name space: no file. */
static int
notify_open(struct run *r)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(un);
	int on = 1;

	r->notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (r->notify_fd == -1 ||
	    setsockopt(
		r->notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == -1 ||
	    bind(r->notify_fd, (struct sockaddr *)&un, sizeof(un.sun_family)) ==
		-1 ||
	    getsockname(r->notify_fd, (struct sockaddr *)&un, &len) == -1)
		return -errno;
	snprintf(r->notify_name, sizeof(r->notify_name), "@%.*s",
	    (int)(len - offsetof(struct sockaddr_un, sun_path)) - 1,
	    un.sun_path + 1);
	return 0;
}

/* --- signals --- */

static int
signals_open(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		return -errno;
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void
read_signals(struct run *r, int fd)
{
	struct signalfd_siginfo s;

	while (read(fd, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo == SIGHUP) {
			log_info("reload", "programs=all");
			signal_all(r, SIGHUP);
		} else if (s.ssi_signo != SIGCHLD) {
			log_info("stopping", "signal=%u", s.ssi_signo);
			run_stop(r, EX_OK);
		}
	}
	reap(r);
}

/* --- times --- */

static void
sooner(int64_t *at, int64_t other)
{
	if (other != -1 && (*at == -1 || other < *at))
		*at = other;
}

/* For poll: until the next thing that is due. */
static int
wait_ms(const struct run *r)
{
	int64_t at = -1, left;

	if (r->stopping) {
		at = r->kill_at_ms;
	} else {
		at = r->ready_by_ms;
		for (size_t i = 0; i < r->n; i++)
			if (r->children[i].n_sockets > 0 &&
			    r->children[i].pid == 0)
				sooner(&at, r->children[i].start_at_ms);
	}
	if (at == -1)
		return -1;
	left = at - clock_mono_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

static void
do_due(struct run *r)
{
	int64_t now = clock_mono_ms();

	if (r->stopping && r->kill_at_ms != -1 && now >= r->kill_at_ms)
		kill_all(r);
	if (!r->stopping && r->ready_by_ms != -1 && now >= r->ready_by_ms)
		not_ready_in_time(r);
	start_due(r);
}

int
run_loop(struct run *r)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	int rc = notify_open(r);

	fds[0].fd = signals_open();
	fds[1].fd = r->notify_fd;
	if (rc != 0 || fds[0].fd < 0) {
		log_error("start", "error=\"%s\"", strerror(-rc));
		return EX_OSERR;
	}
	r->kill_at_ms = -1;
	start_due(r);
	while (!r->stopping || any_runs(r)) {
		if (poll(fds, 2, wait_ms(r)) == -1 && errno != EINTR)
			break;
		if (fds[1].revents & POLLIN)
			read_notify(r);
		read_signals(r, fds[0].fd);
		do_due(r);
	}
	close(fds[0].fd);
	close(fds[1].fd);
	return r->status;
}
