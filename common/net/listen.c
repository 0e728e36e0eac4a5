/* SPDX-License-Identifier: ISC */
/* One listening socket: Unix sockets that were left behind, both families by
 * one socket, an address that a process just now lets go. */
#include "common/net/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024
#define BIND_TRIES 10
#define BIND_PAUSE_US 100000

/* Does anybody answer at this Unix socket? If not, it is what a killed process
 * left behind. */
static bool
is_alive(const struct net_addr *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool alive;

	if (fd == -1)
		return true; /* not known */
	alive = connect(fd, (const struct sockaddr *)&a->sa, a->len) == 0 ||
	    errno != ECONNREFUSED;
	close(fd);
	return alive;
}

static int
bind_unix(int fd, const struct net_addr *a)
{
	const char *path = net_addr_path(a);
	mode_t old = umask(0117); /* 0660: the programs share a group */
	int rc = 0;

	if (bind(fd, (const struct sockaddr *)&a->sa, a->len) == -1)
		rc = -errno;
	if (rc == -EADDRINUSE && !is_alive(a) && unlink(path) == 0) {
		rc = 0;
		if (bind(fd, (const struct sockaddr *)&a->sa, a->len) == -1)
			rc = -errno;
	}
	umask(old);
	return rc;
}

/* `both`: IPv4 clients of an IPv6 socket too ("*:25"). */
static int
bind_inet(int fd, const struct net_addr *a, bool both)
{
	int on = 1, only = !both;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->sa.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6,
	    IPV6_V6ONLY, &only, sizeof(only)) == -1)
		return -errno;
	return bind(fd, (const struct sockaddr *)&a->sa, a->len) == -1 ?
	    -errno : 0;
}

static int
listen_at(const struct net_addr *a, bool both, int *out)
{
	int fd = socket(a->sa.ss_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd == -1)
		return -errno;
	rc = net_addr_is_unix(a) ? bind_unix(fd, a) : bind_inet(fd, a, both);
	/* Workers of a master that was killed let go of it just now. */
	for (int i = 0; i < BIND_TRIES && rc == -EADDRINUSE; i++) {
		usleep(BIND_PAUSE_US);
		rc = net_addr_is_unix(a) ? bind_unix(fd, a) :
					   bind_inet(fd, a, both);
	}
	if (rc == 0 && listen(fd, BACKLOG) == -1)
		rc = -errno;
	if (rc != 0)
		close(fd);
	else
		*out = fd;
	return rc;
}

/* "*" means both families, where the machine has both. */
static int
listen_any(struct net_addr *a, uint16_t port, int *out)
{
	int rc = listen_at(a, true, out);

	if (rc != -EAFNOSUPPORT && rc != -EADDRNOTAVAIL)
		return rc;
	net_addr_parse_host(a, SLICE_LIT("0.0.0.0"), port);
	return listen_at(a, false, out);
}

int
net_listen(const char *text, const char *run_dir, struct net_addr *a, int *fd)
{
	if (net_addr_parse(a, text, run_dir) != 0)
		return -EINVAL;
	if (text[0] == '*')
		return listen_any(a, net_addr_port(a), fd);
	return listen_at(a, false, fd);
}
