/* SPDX-License-Identifier: ISC */
/* One program of `pneu run`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mgmt/commands.h"
#include "mgmt/run.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS (10 * 1000)
#define STEADY_MS (10 * 1000) /* after so long a run, the first again */

/* --- in the new process, until exec --- */

/* The sockets become 3, 4, ...; by way of higher numbers, as they may stand in
 * one another's place. */
static bool
place_sockets(struct run_child *c)
{
	int n = (int)c->n_sockets;

	for (int i = 0; i < n; i++) {
		c->sockets[i].fd =
		    fcntl(c->sockets[i].fd, F_DUPFD_CLOEXEC, FIRST_FD + n);
		if (c->sockets[i].fd == -1)
			return false;
	}
	for (int i = 0; i < n; i++)
		if (dup2(c->sockets[i].fd, FIRST_FD + i) == -1)
			return false;
	return true;
}

/* Standard output is for "ready" alone; an input that is a pipe would look
 * like a session. */
static bool
place_standard(void)
{
	int null = open("/dev/null", O_RDONLY);

	if (null == -1 || dup2(null, STDIN_FILENO) == -1)
		return false;
	if (null > STDERR_FILENO)
		close(null);
	return dup2(STDERR_FILENO, STDOUT_FILENO) != -1;
}

static bool
set_environment(const struct run *r, const struct run_child *c)
{
	struct buf names = BUF_INIT;
	char number[32];
	bool ok;

	for (size_t i = 0; i < c->n_sockets; i++)
		buf_printf(
		    &names, "%s%s", i > 0 ? ":" : "", c->sockets[i].protocol);
	snprintf(number, sizeof(number), "%zu", c->n_sockets);
	ok = setenv("LISTEN_FDS", number, 1) == 0 &&
	    setenv("LISTEN_FDNAMES", buf_str(&names), 1) == 0 &&
	    setenv("NOTIFY_SOCKET", r->notify_name, 1) == 0;
	snprintf(number, sizeof(number), "%d", (int)getpid());
	ok = ok && setenv("LISTEN_PID", number, 1) == 0;
	buf_clear(&names);
	return ok && !names.failed;
}

/* Nothing that we block or ignore is inherited. */
static void
reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* "pneu-mta -c FILE --set name=value ..." */
static char **
arguments(const struct run *r, const struct run_child *c)
{
	char **argv = calloc(r->n_set * 2 + 5, sizeof(*argv));
	size_t n = 0;

	if (argv == NULL)
		return NULL;
	argv[n++] = strdup(c->program->binary);
	if (r->path != NULL) {
		argv[n++] = strdup("-c");
		argv[n++] = r->path;
	}
	if (c->program->command != NULL)
		argv[n++] = strdup(c->program->command);
	for (size_t i = 0; i < r->n_set; i++) {
		argv[n++] = strdup("--set");
		argv[n++] = r->set[i];
	}
	return argv;
}

static _Noreturn void
become(struct run *r, struct run_child *c, pid_t parent)
{
	char **argv = arguments(r, c);

	/* A supervisor that is killed takes all with it. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EX_TEMPFAIL);
	/* Ctrl-C is for the supervisor, which then stops all in order. */
	setpgid(0, 0);
	reset_signals();
	if (argv != NULL && place_standard() && set_environment(r, c) &&
	    place_sockets(c))
		exec_beside(c->program->binary, argv);
	_exit(EX_UNAVAILABLE);
}

/* --- in the supervisor --- */

/* From when it may start again. */
static void
delay(struct run_child *c)
{
	int64_t now = clock_mono_ms();

	if (c->backoff_ms == 0 || now - c->started_ms >= STEADY_MS)
		c->backoff_ms = BACKOFF_FIRST_MS;
	else
		c->backoff_ms *= 2;
	if (c->backoff_ms > BACKOFF_MAX_MS)
		c->backoff_ms = BACKOFF_MAX_MS;
	c->start_at_ms = now + c->backoff_ms;
}

void
run_child_start(struct run *r, struct run_child *c)
{
	pid_t parent = getpid(), pid;

	fflush(NULL); /* or both processes would print it */
	c->started_ms = clock_mono_ms();
	c->ready = false;
	if ((pid = fork()) == 0)
		become(r, c, parent);
	if (pid == -1) {
		log_error("start", "program=%s error=\"%s\"", c->program->name,
		    strerror(errno));
		delay(c);
		return;
	}
	/* Also here: a SIGKILL to its group may come before it has run. */
	setpgid(pid, pid);
	c->pid = pid;
	log_debug("started", "program=%s pid=%d", c->program->name, (int)pid);
}

static void
log_end(const struct run_child *c, int status)
{
	bool signaled = WIFSIGNALED(status);

	log_error("ended", "program=%s pid=%d %s=%d again_in_ms=%lld",
	    c->program->name, (int)c->pid, signaled ? "signal" : "status",
	    signaled ? WTERMSIG(status) : WEXITSTATUS(status),
	    (long long)(c->start_at_ms - clock_mono_ms()));
}

static void
log_stopped(const struct run_child *c, int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	log_error("stopped", "program=%s pid=%d %s=%d", c->program->name,
	    (int)c->pid, WIFSIGNALED(status) ? "signal" : "status",
	    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* What it says itself will not change by trying again: a configuration that it
 * refuses, or that it is not there at all. */
static bool
is_hopeless(int status)
{
	return WIFEXITED(status) &&
	    (WEXITSTATUS(status) == EX_CONFIG ||
		WEXITSTATUS(status) == EX_UNAVAILABLE);
}

void
run_child_ended(struct run *r, struct run_child *c, int status)
{
	if (r->stopping) {
		log_stopped(c, status);
	} else if (r->ready_by_ms != -1 && !c->ready && is_hopeless(status)) {
		log_stopped(c, status);
		run_stop(r, WEXITSTATUS(status));
	} else {
		delay(c);
		log_end(c, status);
	}
	c->pid = 0;
}
