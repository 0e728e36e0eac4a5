/* SPDX-License-Identifier: ISC */
/*
 * `pneu run`: opens the sockets of all programs, starts these with them as
 * systemd would (LISTEN_FDS, Accept=no), and keeps them running.
 *
 *   cmd_run.c      options, and the order of all that follows
 *   run_sockets.c  who listens where
 *   run_child.c    one program: start, end, wait before the next start
 *   run_loop.c     signals, readiness, stopping
 */
#ifndef PNEU_MGMT_RUN_H
#define PNEU_MGMT_RUN_H

#include <stdint.h>
#include <sys/types.h>

#include "common/base/conf.h"
#include "mgmt/programs.h"

#define RUN_SOCKETS_MAX 64 /* of one program */

struct run_socket {
	int fd;
	const char *protocol;
	char path[128]; /* of a Unix socket, which we remove; or "" */
};

struct run_child {
	const struct program *program;
	struct run_socket sockets[RUN_SOCKETS_MAX];
	size_t n_sockets; /* 0: it is not started */
	pid_t pid;        /* 0: it does not run */
	bool ready;
	int64_t started_ms, start_at_ms, backoff_ms;
};

struct run {
	struct conf *conf;
	char *path; /* of the configuration, or NULL */
	char **set; /* name=value, for the programs too */
	size_t n_set;
	int ready_fd;               /* gets "ready"; -1: it got it */
	int64_t ready_by_ms;        /* of clock_mono_ms; -1: all were ready */
	struct run_child *children; /* one for each of `programs` */
	size_t n;
	int notify_fd;
	char notify_name[32]; /* for NOTIFY_SOCKET */
	bool stopping;
	int64_t kill_at_ms; /* -1: not any more */
	int status;         /* to exit with */
};

/* --- run_sockets.c --- */

/* 0, or an exit status with every trouble told. */
int run_sockets_open(struct run *r);
void run_sockets_close(struct run *r);

/* --- run_child.c --- */

void run_child_start(struct run *r, struct run_child *c);
/* It ended with this status of waitpid. */
void run_child_ended(struct run *r, struct run_child *c, int status);

/* --- run_loop.c --- */

/* Until all have stopped; the exit status. */
int run_loop(struct run *r);
/* Ask all to end. */
void run_stop(struct run *r, int status);

#endif
