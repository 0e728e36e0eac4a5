/* SPDX-License-Identifier: ISC */
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): a
 * balancer in front says first for whom it connects.
 */
#ifndef PNEU_NET_PROXY_H
#define PNEU_NET_PROXY_H

#include "common/net/conn.h"

/*
 * Read the header, and let conn_peer be whom it names; who speaks for himself
 * (LOCAL, UNKNOWN) stays. Waits. 0, -EPROTO for anything else, or an error of
 * the connection.
 */
int proxy_read(struct conn *c);

#endif
