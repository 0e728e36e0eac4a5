/* SPDX-License-Identifier: ISC */
/* Between dns.c and dns_conf.c. */
#ifndef PNEU_NET_DNS_IMPL_H
#define PNEU_NET_DNS_IMPL_H

#include "common/net/dns.h"

struct ub_ctx;

/*
 * libunbound on our loop, as the configuration says, ready for queries. Uses
 * more stack than a coroutine has. 0, or -errno with the reason in `err`.
 */
int dns_ub_new(struct ub_ctx **out, const struct conf *conf, struct buf *err);

#endif
