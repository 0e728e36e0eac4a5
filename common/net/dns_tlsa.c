/* SPDX-License-Identifier: ISC */
/* TLSA records (RFC 6698): what a server's certificate must fit. */
#include <errno.h>

#include "common/net/dns_impl.h"

#define TYPE_TLSA 52

/* RFC 6698 2.1: three octets, then the certificate or its digest. */
static int
tlsa_read(struct slice rdata, struct arena *a, struct dns_tlsa *out)
{
	if (rdata.n < 4)
		return -EBADMSG;
	out->usage = (unsigned char)rdata.p[0];
	out->selector = (unsigned char)rdata.p[1];
	out->matching = (unsigned char)rdata.p[2];
	out->data = arena_dup(a, slice_from(rdata, 3));
	return out->data.p == NULL ? -EAGAIN : 0;
}

int
dns_tlsa(struct dns *d, struct arena *a, const char *host, uint16_t port,
    struct dns_tlsa **out, size_t *n, bool *secure)
{
	const char *name = arena_printf(a, "_%u._tcp.%s", port, host);
	struct dns_answer answer;
	int rc;

	*secure = false;
	if (name == NULL)
		return -EAGAIN;
	if ((rc = dns_ask(d, name, TYPE_TLSA, &answer, secure)) != 0)
		return rc;
	*n = 0;
	*out = arena_array(a, answer.n, sizeof(**out));
	for (size_t i = 0; *out != NULL && i < answer.n && rc != -EAGAIN; i++)
		if ((rc = tlsa_read(answer.rr[i].rdata, a, *out + *n)) == 0)
			(*n)++;
	dns_answer_clear(&answer);
	return *out == NULL || *n == 0 || rc == -EAGAIN ? -EAGAIN : 0;
}
