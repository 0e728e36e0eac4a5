/* SPDX-License-Identifier: ISC */
/*
 * How many connections each client has in this process: an IPv4 address, or the
 * /64 of an IPv6 address, is one client. What is allowed stands in the settings
 * max_per_address and crowd_from of a program's section.
 */
#ifndef PNEU_NET_CLIENTS_H
#define PNEU_NET_CLIENTS_H

#include "common/base/conf.h"
#include "common/net/conn.h"

struct clients;

/* One client; its owner is a session. Zeros: not counted. */
struct client_prefix {
	char text[64];
};

/* 0 or -ENOMEM. */
int clients_new(struct clients **out);
void clients_free(struct clients **c);
/* From now on; `conf` stays in use until the next call. */
void clients_configure(
    struct clients *c, const struct conf *conf, const char *section);

/*
 * Count one connection more of this peer. 0; -EBUSY when there are too many, and
 * that one is counted too until it leaves; -ENOMEM. Peers on Unix sockets, in
 * crowd_from and in xclient_from, who speak for others, are not counted.
 */
int clients_enter(struct clients *c, const struct net_addr *peer,
    struct client_prefix *prefix);
void clients_leave(struct clients *c, struct client_prefix *prefix);

#endif
