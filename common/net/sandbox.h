/* SPDX-License-Identifier: ISC */
/*
 * The cage of a running daemon: no new privileges, Landlock for the file
 * system (and outgoing TCP), and a seccomp allowlist. What a program must not
 * do then fails with EPERM or EACCES; a kernel without Landlock leaves the
 * rest in force.
 *
 * For the calling thread and those it makes later: enter before any thread.
 */
#ifndef PNEU_NET_SANDBOX_H
#define PNEU_NET_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path that stays reachable, with all below it; relative to nothing. */
struct service_path {
	const char *path;
	bool write; /* read, write, make and remove; else read */
};

struct sandbox {
	const struct service_path *paths; /* beside the system's own */
	size_t n;
	/* May have sockets of the internet (TCP, DNS); else only Unix ones, and
	 * the connections that it accepts. */
	bool connects_out;
	/* Else, where there are some: TCP to these ports only (before Landlock 4
	 * to all), of whatever address: a kernel tells no more. */
	const uint16_t *ports;
	size_t n_ports;
};

/*
 * 0; or -errno, after logging what failed: then nothing may be served. Paths
 * that do not exist are left out.
 */
int sandbox_enter(const struct sandbox *s);

#endif
