/* SPDX-License-Identifier: ISC */
/*
 * What the files of the service share; nobody else includes it.
 *
 *   service.c          options, and the order of all that follows
 *   service_start.c    how we were started: the descriptors to serve
 *   service_user.c     folders, the user to become, the sandbox's paths
 *   service_trace.c    the ring of trace records
 *   service_master.c   worker processes
 *   service_worker.c   sessions, signals, draining
 *   service_notify.c   what systemd (or `pneu run`) is told
 */
#ifndef PNEU_NET_SERVICE_IMPL_H
#define PNEU_NET_SERVICE_IMPL_H

#include <pwd.h>
#include <sys/stat.h>

#include "common/net/service.h"

#define SERVICE_OPTIONS_MAX 64

struct service_options {
	const char *conf_path;
	const char *protocol;
	const char *workers;
	const char *listen[SERVICE_OPTIONS_MAX]; /* PROTOCOL=ADDRESS */
	size_t n_listen;
	const char *set[SERVICE_OPTIONS_MAX]; /* name=value */
	size_t n_set;
};

struct service_listener {
	int fd;
	const struct service_protocol *protocol;
	bool made; /* by us, at `path`: ours to remove */
	char path[128];
	dev_t dev;
	ino_t ino;
};

/* How we were started. */
struct service_start {
	bool inherited;
	/* One session: */
	bool one_session;
	int rfd, wfd;
	const struct service_protocol *protocol;
	/* Or listening sockets: */
	struct service_listener *listeners;
	size_t n;
};

/* One process that serves: everything it needs to know. */
struct service_process {
	const struct service *service;
	const struct service_options *options;
	struct service_start *start;
	struct conf *conf; /* becomes the worker's */
	struct tls_server *tls;
	bool has_master;
	int ready_fd; /* an octet is written when ready; -1: tell systemd */
};

/* --- service.c --- */

/* The file and the options over it; NULL with the reasons in `err`. */
struct conf *service_conf_load(const struct service_options *o,
    struct buf *err);
/* What service_conf and service_tls return. */
void service_conf_set(const struct conf *conf);
void service_tls_set(struct tls_server *tls);

/* --- service_start.c --- */

/* Under inetd, standard error is the peer too; do this before anything is
 * printed there. */
void service_rescue_stderr(void);
/* Find out, and open what is to be opened. 0, or an exit status after saying
 * why on standard error. */
int service_start_find(struct service_start *st, const struct service *s,
    const struct conf *conf, const struct service_options *o);
/* Close the listening sockets; `remove`: and remove what we made. */
void service_start_close(struct service_start *st, bool remove);

/* --- service_user.c --- */

/* data_dir, run_dir and the folders of `paths`, as the user to become. 0 or
 * an exit status, after saying why. */
int service_folders(const struct service *s, const struct conf *conf);
int service_become_user(const struct service *s, const struct conf *conf);
int service_enter_sandbox(const struct service *s, const struct conf *conf);

/* The user that a program started as root becomes, or NULL. 0 or an exit
 * status, after saying why. */
int service_wanted_user(
    const struct service *s, const struct conf *conf, struct passwd **pw);

/* --- service_trace.c --- */

/* Where it cannot be, that is logged. `existing`: none is made, as for
 * commands. */
void service_trace_open(
    const struct service *s, const struct conf *conf, bool existing);

/* --- service_master.c --- */

int service_master(struct service_process *p, size_t workers);

/* --- service_worker.c --- */

int service_worker(struct service_process *p);

/* --- service_notify.c --- */

/* Keep NOTIFY_SOCKET and WATCHDOG_USEC, before the sandbox, and take them from
 * the environment. */
void service_notify_open(void);
void service_notify(const char *state);
/* RELOADING=1 wants the time too. */
void service_notify_reloading(void);
/* How often to send WATCHDOG=1; 0: never. */
int64_t service_watchdog_ms(void);

/* Has it a certificate, with this configuration? */
bool service_uses_tls(const struct service *s, const struct conf *conf);

#endif
