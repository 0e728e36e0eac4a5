/* SPDX-License-Identifier: ISC */
/*
 * What every daemon has in common: options, configuration, the four ways to
 * start (design 2.4), workers, signals, privileges, draining.
 *
 *  (a) systemd sockets: LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES; Accept=no, and
 *      Accept=yes (the one descriptor is a connected socket). With Accept=no,
 *      configured Unix sockets that are not among them are opened too: the
 *      other programs look for them there
 *  (b) inetd nowait / UCSPI: standard input is a connected socket or a pipe
 *      (output goes to standard output); one session, then exit
 *  (c) inetd wait: standard input is a listening socket
 *  (d) --listen PROTOCOL=ADDRESS, or the configuration. --listen means this
 *      one, whatever standard input is
 *
 * Which protocol a descriptor speaks: its LISTEN_FDNAMES name; else
 * --protocol NAME; else the configured port that it stands on (or the well
 * known one); else the first of the table.
 *
 * SIGTERM and SIGINT stop accepting and drain; SIGHUP reloads.
 *
 * Exit status: 0; 64 usage; 75 could not start, try again; 78 configuration.
 */
#ifndef PNEU_NET_SERVICE_H
#define PNEU_NET_SERVICE_H

#include "common/base/conf.h"
#include "common/net/conn.h"
#include "common/net/sandbox.h"
#include "common/net/tls.h"

struct service_protocol {
	const char *name;    /* "imaps": --protocol, LISTEN_FDNAMES, log */
	const char *setting; /* "mailbox.imaps": where it listens */
	uint16_t port;	     /* the standard one, to tell inherited sockets */
	bool tls;	     /* handshake before the first octet */
	/* Sent, then closed, when there are too many connections; may be NULL:
	 * "421 4.3.2 too many connections\r\n". Not where `tls` is set. */
	const char *busy;
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

struct service {
	const char *name; /* "mailbox": section of the configuration */
	const char *summary; /* one line for --help */
	const struct service_protocol *protocols; /* ends with a NULL name */
	const struct service_command *commands;	  /* may be NULL */
	/*
	 * In each worker, as a coroutine, after the fork and before the first
	 * session; as the user of the `user` setting and already inside the
	 * sandbox, so that its files belong to that user and its threads are
	 * in the sandbox too. 0, or -errno after logging why: the worker exits
	 * with 75.
	 */
	int (*start)(const struct conf *conf);
	/* Optional, as a coroutine: after SIGHUP with a configuration that was
	 * good. The one before stays valid until the next reload, and as long
	 * as a session lives that began under it; the one before that goes. */
	void (*reload)(const struct conf *conf);
	/* Optional: all sessions have ended (or were cancelled). May wait. */
	void (*stop)(void);
	/* Optional: at most `max` paths for the sandbox; returns how many.
	 * Folders with `write` are made (0700) where they are missing. run_dir,
	 * the configuration and the certificates are added by the service. */
	size_t (*paths)(const struct conf *conf, struct service_path *out,
	    size_t max);
	/* Settings that list networks: who must begin with a PROXY header, and
	 * who may use XCLIENT (looked at here for faults only); or NULL. */
	const char *proxy_from, *xclient_from;
	const char *const *networks; /* more of those, NULL-terminated; or NULL */
	/* Needs outgoing TCP connections or DNS (qm), or only Unix sockets. Where
	 * a setting of the section is a TCP address (mta.guard on another
	 * machine), they are allowed without this. */
	bool connects_out;
	/* Such a setting that is looked at at the start only, so that its port
	 * alone can be allowed; or NULL. */
	const char *fixed_peer;
	/* One process, whatever `workers` says. */
	bool one_worker;
	/* It decides nothing about mail (pneu http). */
	bool without_trace;
	/* Signs people in: reaches the files of accounts.key and
	 * auth.oauth_secret_file, and the server of auth.oauth_url. */
	bool signs_in;
	/* Reaches the files of gateway.oauth_secrets. */
	bool asks_for_tokens;
	/* No certificate is loaded and service_tls() is NULL: for those who
	 * may not read the key. With the second (guard, qm) only where all of
	 * the protocols' settings name Unix sockets. */
	bool without_tls, tls_on_tcp;
	/* Only where a protocol with `tls` has an address (pneu http). */
	bool tls_if_served;
};

/* The whole main(). Returns the exit status (sysexits). */
int service_main(const struct service *s, int argc, char **argv);

/* For sessions. */
const struct conf *service_conf(void);
/* The TLS server, or NULL where none is configured. */
struct tls_server *service_tls(void);
/*
 * True once the service drains: finish the command, then end the session.
 * Sessions that stand in conn_wait_input are cancelled then (it returns
 * -ECANCELED), so most need not look.
 */
bool service_is_draining(void);
/* hostname of the configuration, or the machine's full name; the string stays
 * for as long as the process lives. */
const char *service_hostname(void);
#define PNEU_VERSION "0.1.0"

#endif
