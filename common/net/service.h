/* SPDX-License-Identifier: ISC */
/*
 * What every daemon has in common: options, configuration, the four ways to
 * start (design 2.4), workers, signals, privileges, draining.
 *
 *  (a) systemd sockets: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES; Accept=no, and
 *      Accept=yes (the one descriptor is a connected socket)
 *  (b) inetd nowait / UCSPI: standard input is a connected socket or a pipe
 *      (output goes to standard output); one session, then exit
 *  (c) inetd wait: standard input is a listening socket
 *  (d) --listen PROTOCOL=ADDRESS, or the configuration
 *
 * Which protocol a descriptor speaks: its LISTEN_FDNAMES name; else
 * --protocol NAME; else the configured port that it stands on (or the well
 * known one); else the first of the table.
 *
 * SIGTERM and SIGINT stop accepting and drain; SIGHUP reloads.
 */
#ifndef PNEU_NET_SERVICE_H
#define PNEU_NET_SERVICE_H

#include "common/base/conf.h"
#include "common/net/conn.h"
#include "common/net/tls.h"

struct service_protocol {
	const char *name;    /* "imaps": --protocol, LISTEN_FDNAMES, log */
	const char *setting; /* "mailbox.imaps": where it listens */
	uint16_t port;	     /* the standard one, to tell inherited sockets */
	bool tls;	     /* handshake before the first octet */
	/* One session, in a coroutine of its own; `c` is freed by the service
	 * when it returns. */
	void (*session)(struct conn *c, const struct service_protocol *p);
};

struct service_command {
	const char *name; /* "list" */
	const char *args; /* "[--json] [ADDRESS]" */
	const char *help; /* one line */
	/* In place of the daemon; returns the exit status. argv[0] is the
	 * command's name. No loop runs: use co_run. */
	int (*run)(const struct conf *conf, int argc, char **argv);
};

/* A path that the sandbox leaves reachable; relative to nothing. */
struct service_path {
	const char *path;
	bool write;
};

struct service {
	const char *name; /* "mailbox": section of the configuration */
	const char *summary; /* one line for --help */
	const struct service_protocol *protocols; /* ends with a NULL name */
	const struct service_command *commands;	  /* may be NULL */
	/*
	 * In each worker, as a coroutine, after the fork, before the first
	 * session and before privileges are given up and the sandbox closes.
	 * 0, or -errno after logging why: the worker exits with 75.
	 */
	int (*start)(const struct conf *conf);
	/* Optional: after SIGHUP with a configuration that was good. */
	void (*reload)(const struct conf *conf);
	/* Optional: all sessions have ended (or were cancelled). May wait. */
	void (*stop)(void);
	/* Optional: at most `max` paths for the sandbox; returns how many. */
	size_t (*paths)(const struct conf *conf, struct service_path *out,
	    size_t max);
	/* Needs outgoing TCP connections (qm) or none but Unix sockets. */
	bool connects_out;
};

/* The whole main(). Returns the exit status (sysexits). */
int service_main(const struct service *s, int argc, char **argv);

/* For sessions. */
const struct conf *service_conf(void);
/* The TLS server, or NULL where none is configured. */
struct tls_server *service_tls(void);
/* True once the service drains: finish the command, then end the session. */
bool service_is_draining(void);
/* Set once when draining begins; wait on it beside input (conn_wait_input
 * returns -ECANCELED to sessions that are idle then, so few need this). */
/* hostname of the configuration, or the machine's full name. */
const char *service_hostname(void);
#define PNEU_VERSION "0.1.0"

#endif
