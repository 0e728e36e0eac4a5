/* SPDX-License-Identifier: ISC */
/*
 * How we were started, found from the environment, standard input, the options
 * and the configuration, in this order (service.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/listen.h"
#include "common/net/service_impl.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START of sd_listen_fds(3) */
#define INHERITED_MAX 1024

/* --- what kind of descriptor --- */

static bool
is_type(int fd, mode_t type)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static bool
is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on;
}

/* A stream socket that is not listening is a session even when its peer has
 * gone already: getpeername cannot be asked. */
static bool
is_connected(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 &&
	    type == SOCK_STREAM && !is_listening(fd);
}

static void
local_address(int fd, struct net_addr *a)
{
	a->len = sizeof(a->sa);
	if (getsockname(fd, (struct sockaddr *)&a->sa, &a->len) == -1)
		*a = (struct net_addr){ 0 };
}

/* --- which protocol --- */

static const struct service_protocol *
protocol_named(const struct service *s, struct slice name)
{
	const struct service_protocol *p;

	for (p = s->protocols; p->name != NULL; p++)
		if (slice_eq_str(name, p->name))
			return p;
	return NULL;
}

/* Does a configured address of `p` stand where `a` does? */
static bool
is_configured_at(const struct service_protocol *p, const struct conf *conf,
    const struct net_addr *a)
{
	size_t n;
	const char *const *list = conf_list(conf, p->setting, &n);
	const char *run_dir = conf_file(conf, "run_dir");
	struct net_addr c;

	for (size_t i = 0; i < n; i++) {
		if (net_addr_parse(&c, list[i], run_dir) != 0 ||
		    net_addr_is_unix(&c) != net_addr_is_unix(a))
			continue;
		if (net_addr_is_unix(a)
			? strcmp(net_addr_path(&c), net_addr_path(a)) == 0
			: net_addr_port(&c) == net_addr_port(a))
			return true;
	}
	return false;
}

/* Of an inherited descriptor; `name` from LISTEN_FDNAMES. */
static const struct service_protocol *
protocol_of(const struct service *s, const struct conf *conf,
    const struct service_options *o, int fd, struct slice name)
{
	const struct service_protocol *p = protocol_named(s, name);
	struct net_addr a;

	if (p == NULL && o->protocol != NULL)
		p = protocol_named(s, slice_str(o->protocol));
	if (p != NULL)
		return p;
	local_address(fd, &a);
	for (p = s->protocols; p->name != NULL; p++)
		if (is_configured_at(p, conf, &a))
			return p;
	for (p = s->protocols; p->name != NULL; p++)
		if (p->port != 0 && p->port == net_addr_port(&a))
			return p;
	return s->protocols;
}

/* --- listeners --- */

static int
add(struct service_start *st, const struct service_listener *l)
{
	struct service_listener *more =
	    reallocarray(st->listeners, st->n + 1, sizeof(*l));

	if (more == NULL)
		return EX_TEMPFAIL;
	st->listeners = more;
	st->listeners[st->n++] = *l;
	return 0;
}

static int
open_listener(struct service_start *st, const struct service_protocol *p,
    const struct conf *conf, const char *text)
{
	struct service_listener l = { .fd = -1, .protocol = p };
	struct net_addr a;
	struct stat sb;
	int rc;

	rc = net_listen(text, conf_file(conf, "run_dir"), &a, &l.fd);
	if (rc == -EINVAL) {
		log_error("listen", "%s=\"%s\" is not an address", p->setting,
		    log_qs(text));
		return EX_CONFIG;
	}
	if (rc != 0) {
		log_error("listen", "%s=\"%s\" error=\"%s\"", p->setting,
		    log_qs(text), strerror(-rc));
		return EX_TEMPFAIL;
	}
	if (net_addr_is_unix(&a) && stat(net_addr_path(&a), &sb) == 0) {
		l.made = true;
		l.dev = sb.st_dev;
		l.ino = sb.st_ino;
		snprintf(l.path, sizeof(l.path), "%s", net_addr_path(&a));
	}
	return add(st, &l);
}

/* --- the four ways --- */

static bool
is_inherited(const struct service_start *st, const struct net_addr *a)
{
	struct net_addr l;

	for (size_t i = 0; i < st->n; i++) {
		local_address(st->listeners[i].fd, &l);
		if (net_addr_is_unix(&l) &&
		    strcmp(net_addr_path(&l), net_addr_path(a)) == 0)
			return true;
	}
	return false;
}

/* Beside inherited sockets: the Unix sockets of the configuration. Without
 * them the rest still works, so trouble is only told. */
static void
open_unix(
    struct service_start *st, const struct service *s, const struct conf *conf)
{
	const struct service_protocol *p;
	struct net_addr a;
	size_t n;

	for (p = s->protocols; p->name != NULL; p++) {
		const char *const *list = conf_list(conf, p->setting, &n);

		for (size_t i = 0; i < n; i++)
			if (net_addr_parse(
				&a, list[i], conf_file(conf, "run_dir")) == 0 &&
			    net_addr_is_unix(&a) && !is_inherited(st, &a))
				open_listener(st, p, conf, list[i]);
	}
}

/* (a) The number of descriptors that systemd gave us, by the environment. */
static size_t
listen_fds(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t n = 0;

	if (pid == NULL || fds == NULL ||
	    slice_u64(slice_str(pid), INT32_MAX, &n) != 0 ||
	    (pid_t)n != getpid() ||
	    slice_u64(slice_str(fds), INHERITED_MAX, &n) != 0)
		return 0;
	return (size_t)n;
}

static void
one_session(struct service_start *st, const struct service_protocol *p, int rfd,
    int wfd)
{
	st->one_session = true;
	st->protocol = p;
	st->rfd = rfd;
	st->wfd = wfd;
}

static int
from_systemd(struct service_start *st, const struct service *s,
    const struct conf *conf, const struct service_options *o, size_t n)
{
	const char *env = getenv("LISTEN_FDNAMES");
	struct slice names = slice_str(env), name;
	struct service_listener l = { 0 };
	int rc;

	st->inherited = true;
	for (size_t i = 0; i < n; i++) {
		l.fd = FIRST_FD + (int)i;
		name = slice_split(&names, ':');
		fcntl(l.fd, F_SETFD, FD_CLOEXEC);
		l.protocol = protocol_of(s, conf, o, l.fd, name);
		if (is_connected(l.fd)) {
			one_session(st, l.protocol, l.fd, l.fd);
			return 0;
		}
		if (!is_listening(l.fd)) {
			log_error("listen",
			    "inherited descriptor %d is not a "
			    "stream socket",
			    l.fd);
			return EX_USAGE;
		}
		fcntl(l.fd, F_SETFL, O_RDWR | O_NONBLOCK);
		if ((rc = add(st, &l)) != 0)
			return rc;
	}
	open_unix(st, s, conf);
	return 0;
}

/* inetd gives the connection as standard error too, and what we log is not for
 * the peer: syslog gets it, one datagram a line, or nobody. */
void
service_rescue_stderr(void)
{
	struct sockaddr_un un = { AF_UNIX, "/dev/log" };
	struct stat a, b;
	int log_fd;

	if (fstat(STDIN_FILENO, &a) == -1 || !S_ISSOCK(a.st_mode) ||
	    fstat(STDERR_FILENO, &b) == -1 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
		return;
	log_fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (log_fd != -1 &&
	    connect(log_fd, (struct sockaddr *)&un, sizeof(un)) == -1) {
		close(log_fd);
		log_fd = -1;
	}
	if (log_fd == -1)
		log_fd = open("/dev/null", O_WRONLY);
	if (log_fd != -1) {
		dup2(log_fd, STDERR_FILENO);
		close(log_fd);
	}
}

/* (b) and (c): standard input is a socket or a pipe. False: neither. */
static bool
from_stdin(struct service_start *st, const struct service *s,
    const struct conf *conf, const struct service_options *o, int *rc)
{
	const struct service_protocol *p;
	struct service_listener l = { .fd = STDIN_FILENO };

	*rc = 0;
	p = protocol_of(s, conf, o, STDIN_FILENO, SLICE_EMPTY);
	if (is_listening(STDIN_FILENO)) {
		l.protocol = p;
		fcntl(l.fd, F_SETFL, O_RDWR | O_NONBLOCK);
		*rc = add(st, &l);
	} else if (is_connected(STDIN_FILENO)) {
		one_session(st, p, STDIN_FILENO, STDIN_FILENO);
	} else if (is_type(STDIN_FILENO, S_IFIFO)) {
		one_session(st, p, STDIN_FILENO, STDOUT_FILENO);
	} else {
		return false;
	}
	st->inherited = true;
	return true;
}

/* (d) */
static int
from_options(struct service_start *st, const struct service *s,
    const struct conf *conf, const struct service_options *o)
{
	const struct service_protocol *p;
	struct slice address;
	int rc = 0;

	for (size_t i = 0; i < o->n_listen && rc == 0; i++) {
		address = slice_str(o->listen[i]);
		p = protocol_named(s, slice_split(&address, '='));
		if (p == NULL || address.n == 0) {
			fprintf(stderr,
			    "pneu-%s: --listen %s: not "
			    "PROTOCOL=ADDRESS; see --help\n",
			    s->name, o->listen[i]);
			return EX_USAGE;
		}
		rc = open_listener(st, p, conf, address.p);
	}
	return rc;
}

static int
from_conf(
    struct service_start *st, const struct service *s, const struct conf *conf)
{
	const struct service_protocol *p;
	size_t n;
	int rc = 0;

	for (p = s->protocols; p->name != NULL; p++) {
		const char *const *list = conf_list(conf, p->setting, &n);

		for (size_t i = 0; i < n && rc == 0; i++)
			rc = open_listener(st, p, conf, list[i]);
	}
	return rc;
}

int
service_start_find(struct service_start *st, const struct service *s,
    const struct conf *conf, const struct service_options *o)
{
	size_t n = listen_fds();
	int rc = 0;

	*st = (struct service_start){ .rfd = -1, .wfd = -1 };
	if (o->protocol != NULL &&
	    protocol_named(s, slice_str(o->protocol)) == NULL) {
		fprintf(stderr, "pneu-%s: --protocol %s: unknown; see --help\n",
		    s->name, o->protocol);
		return EX_USAGE;
	}
	if (n > 0)
		rc = from_systemd(st, s, conf, o, n);
	if (rc == 0 && o->n_listen > 0)
		rc = from_options(st, s, conf, o);
	else if (rc == 0 && n == 0 && !from_stdin(st, s, conf, o, &rc))
		rc = from_conf(st, s, conf);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	if (rc != 0)
		service_start_close(st, true);
	if (rc == 0 && !st->one_session && st->n == 0) {
		log_error("listen", "no address is configured");
		return EX_CONFIG;
	}
	return rc;
}

/* Only what is still the socket that we made. */
static void
remove_made(const struct service_listener *l)
{
	struct stat st;

	if (l->made && stat(l->path, &st) == 0 && st.st_dev == l->dev &&
	    st.st_ino == l->ino)
		unlink(l->path);
}

void
service_start_close(struct service_start *st, bool remove)
{
	for (size_t i = 0; i < st->n; i++) {
		if (remove)
			remove_made(&st->listeners[i]);
		close(st->listeners[i].fd);
	}
	free(st->listeners);
	st->listeners = NULL;
	st->n = 0;
}
