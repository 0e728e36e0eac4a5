/* SPDX-License-Identifier: ISC */
/* Between dns.c, dns_conf.c and dns_tlsa.c. */
#ifndef PNEU_NET_DNS_IMPL_H
#define PNEU_NET_DNS_IMPL_H

#include "common/net/dns.h"

struct ub_ctx;

#define DNS_ANSWER_MAX 64

struct dns_answer {
	struct query *q; /* has the packet */
	struct dns_rr rr[DNS_ANSWER_MAX];
	size_t n;
};

/* 0 with at least one record, and then dns_answer_clear is due; or as dns.h. */
int dns_ask(struct dns *d, const char *name, uint16_t type,
    struct dns_answer *out, bool *secure);
void dns_answer_clear(struct dns_answer *a);

/*
 * libunbound on our loop, as the configuration says, ready for queries. Uses
 * more stack than a coroutine has. 0, or -errno with the reason in `err`.
 */
int dns_ub_new(struct ub_ctx **out, const struct conf *conf, struct buf *err);

#endif
