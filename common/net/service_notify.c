/* SPDX-License-Identifier: ISC */
/* sd_notify(3), whose protocol is a datagram to $NOTIFY_SOCKET: too little to
 * link a library for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/service_impl.h"

static int notify_fd = -1;
static int64_t watchdog_ms;

static int
connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = strlen(path);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	int fd;

	if (n < 2 || n >= sizeof(un.sun_path))
		return -1;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@') /* the abstract name space */
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&un, len) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

void
service_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t n;

	if (path != NULL)
		notify_fd = connect_to(path);
	if (usec != NULL && slice_u64(slice_str(usec), INT64_MAX, &n) == 0)
		watchdog_ms = (int64_t)(n / 1000 / 2);
	if (pid != NULL &&
	    (slice_u64(slice_str(pid), INT32_MAX, &n) != 0 ||
		(pid_t)n != getpid()))
		watchdog_ms = 0;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

void
service_notify(const char *state)
{
	/* Whoever listens may be gone; that changes nothing for us. */
	if (notify_fd != -1 &&
	    send(notify_fd, state, strlen(state), MSG_NOSIGNAL) == -1)
		return;
}

void
service_notify_reloading(void)
{
	char text[64];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)clock_mono_ms() * 1000);
	service_notify(text);
}

int64_t
service_watchdog_ms(void)
{
	return watchdog_ms;
}
