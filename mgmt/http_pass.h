/* SPDX-License-Identifier: ISC */
/* Handing a request on to another of our programs. */
#ifndef PNEU_MGMT_HTTP_PASS_H
#define PNEU_MGMT_HTTP_PASS_H

#include "common/net/http_server.h"

/*
 * To the server at `to`, which is told for whom (RFC 7239), and its reply back,
 * octet by octet; the client's connection ends with it. Where `to` does not
 * answer: 503.
 */
void http_pass(struct http_exchange *x, const struct net_addr *to);

#endif
