/* SPDX-License-Identifier: ISC */
/*
 * The resolver: libunbound's event API, and the waiting for its answers.
 *
 * libunbound runs on the loop's own stack only: it puts arrays of 64 KiB on
 * the stack, which a coroutine has not. So a coroutine leaves its query in a
 * list, and an event starts what is in there. That also keeps apart what
 * libunbound does not: its callback may run inside ub_resolve_event.
 *
 * A query whose coroutine has given up goes on and is dropped when it ends
 * (there is no way to cancel it with this API), so queries are counted.
 */
#include "common/net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unbound.h>
#include <unbound-event.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/dns_impl.h"

#define QUERIES_MAX 256
#define QUERY_TIMEOUT_MS (30 * 1000)

#define TYPE_A 1
#define TYPE_PTR 12
#define TYPE_MX 15
#define TYPE_SRV 33
#define TYPE_TXT 16
#define TYPE_AAAA 28
#define CLASS_IN 1
#define RCODE_NXDOMAIN 3

/* libunbound's words for `sec`. */
enum { SEC_INSECURE, SEC_BOGUS, SEC_SECURE };

struct query {
	struct query *next, **prev; /* in pending or running */
	struct dns *dns;
	const char *name;
	uint16_t type;
	struct co_event done;
	bool abandoned; /* nobody waits; whoever ends it frees it */
	int rc;         /* 0 or -EAGAIN */
	int sec;
	char *packet;
	size_t n;
};

struct dns {
	struct ub_ctx *ub;
	struct event *start;
	struct query *pending; /* newest first */
	struct query *running;
	struct co_semaphore free_queries;
};

/* --- queries --- */

static void
query_link(struct query **list, struct query *q)
{
	q->next = *list;
	q->prev = list;
	if (q->next != NULL)
		q->next->prev = &q->next;
	*list = q;
}

static void
query_unlink(struct query *q)
{
	*q->prev = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
}

static void
query_free(struct query *q)
{
	query_unlink(q);
	co_semaphore_give(&q->dns->free_queries);
	free(q->packet);
	free(q);
}

static void
query_end(struct query *q, int rc)
{
	q->rc = rc;
	if (q->abandoned)
		query_free(q);
	else
		co_event_set(&q->done);
}

static void
on_answer(void *arg, int rcode, void *packet, int n, int sec, char *why_bogus,
    int was_ratelimited)
{
	struct query *q = arg;

	(void)was_ratelimited;
	q->sec = sec;
	if (sec == SEC_BOGUS)
		log_warning("dns answer is bogus", "name=%s type=%d why=%s",
		    log_qs(q->name), q->type, log_qs(why_bogus));
	if (rcode != 0 || n < 0 || packet == NULL || sec == SEC_BOGUS) {
		query_end(q, -EAGAIN);
		return;
	}
	q->n = (size_t)n;
	q->packet = slice_strdup(slice(packet, q->n));
	query_end(q, q->packet == NULL ? -EAGAIN : 0);
}

/* On the loop's stack. The callback may run, and free `q`, in here. */
static void
query_start(struct query *q)
{
	int rc;

	query_unlink(q);
	query_link(&q->dns->running, q);
	rc = ub_resolve_event(
	    q->dns->ub, q->name, q->type, CLASS_IN, q, on_answer, NULL);
	if (rc == UB_NOERROR)
		return;
	if (rc != UB_SYNTAX)
		log_error("dns look-up failed", "name=%s why=%s",
		    log_qs(q->name), ub_strerror(rc));
	query_end(q, rc == UB_SYNTAX ? -ENOENT : -EAGAIN);
}

static void
on_start(evutil_socket_t fd, short what, void *arg)
{
	struct dns *d = arg;

	(void)fd;
	(void)what;
	while (d->pending != NULL)
		query_start(d->pending);
}

static struct query *
query_new(struct dns *d, const char *name, uint16_t type)
{
	size_t n = strlen(name) + 1;
	struct query *q = calloc(1, sizeof(*q) + n);

	if (q == NULL) {
		co_semaphore_give(&d->free_queries);
		return NULL;
	}
	q->dns = d;
	q->name = memcpy(q + 1, name, n);
	q->type = type;
	query_link(&d->pending, q);
	event_active(d->start, EV_TIMEOUT, 0);
	return q;
}

/*
 * Ask and wait. 0 and *out, of which the caller frees the packet and not the
 * query; or -EAGAIN, -ENOENT (no domain name at all) or -ECANCELED.
 */
static int
query_run(struct dns *d, const char *name, uint16_t type, struct query **out)
{
	int64_t deadline = clock_mono_ms() + QUERY_TIMEOUT_MS, left;
	struct query *q;
	int rc = co_semaphore_take(&d->free_queries, QUERY_TIMEOUT_MS);

	if (rc != 0)
		return rc == -ECANCELED ? rc : -EAGAIN;
	if ((q = query_new(d, name, type)) == NULL)
		return -EAGAIN;
	left = deadline - clock_mono_ms();
	rc = co_event_wait(&q->done, left > 0 ? left : 0);
	if (rc != 0 && !q->done.set) {
		q->abandoned = true;
		return rc == -ECANCELED ? rc : -EAGAIN;
	}
	if (rc == 0 && q->rc == 0) {
		*out = q;
		return 0;
	}
	rc = rc != 0 ? rc : q->rc;
	query_free(q);
	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

/* --- the resolver --- */

struct set_up {
	struct dns *dns;
	const struct conf *conf;
	struct buf *err;
	struct co *waiter;
	bool done;
	int rc;
};

static void
on_set_up(evutil_socket_t fd, short what, void *arg)
{
	struct set_up *s = arg;

	(void)fd;
	(void)what;
	s->rc = dns_ub_new(&s->dns->ub, s->conf, s->err);
	s->done = true;
	co_wake(s->waiter);
}

/* On the loop's stack, wherever we are. */
static int
set_up(struct set_up *s)
{
	struct event *e;

	s->waiter = co_self();
	if (s->waiter == NULL) {
		on_set_up(-1, 0, s);
		return s->rc;
	}
	if ((e = event_new(loop_base(), -1, 0, on_set_up, s)) == NULL)
		return -ENOMEM;
	event_active(e, EV_TIMEOUT, 0);
	while (!s->done)
		co_park_uncancelable();
	event_free(e);
	return s->rc;
}

int
dns_new(struct dns **out, const struct conf *conf, struct buf *err)
{
	struct dns *d = calloc(1, sizeof(*d));
	struct set_up s = { .dns = d, .conf = conf, .err = err };
	int rc = -ENOMEM;

	if (d == NULL)
		return rc;
	d->free_queries.free = QUERIES_MAX;
	d->start = event_new(loop_base(), -1, 0, on_start, d);
	if (d->start == NULL || (rc = set_up(&s)) != 0) {
		dns_free(&d);
		return rc;
	}
	*out = d;
	return 0;
}

void
dns_free(struct dns **d)
{
	if (*d == NULL)
		return;
	if ((*d)->ub != NULL)
		ub_ctx_delete((*d)->ub); /* may end queries, or forget them */
	while ((*d)->running != NULL)
		query_free((*d)->running);
	while ((*d)->pending != NULL)
		query_free((*d)->pending);
	if ((*d)->start != NULL)
		event_free((*d)->start);
	free(*d);
	*d = NULL;
}

/* --- answers --- */

static struct slice
answer_packet(const struct dns_answer *a)
{
	return slice(a->q->packet, a->q->n);
}

int
dns_ask(struct dns *d, const char *name, uint16_t type,
    struct dns_answer *out, bool *secure)
{
	int rc = query_run(d, name, type, &out->q), rcode;
	int n;

	*secure = false;
	if (rc != 0)
		return rc;
	*secure = out->q->sec == SEC_SECURE;
	rcode = dns_packet_rcode(answer_packet(out));
	n = dns_packet_parse(answer_packet(out), type, out->rr, DNS_ANSWER_MAX);
	if (n > 0 && rcode == 0) {
		out->n = (size_t)n;
		return 0;
	}
	query_free(out->q);
	if (n < 0 || (rcode != 0 && rcode != RCODE_NXDOMAIN))
		return -EAGAIN;
	return rcode == RCODE_NXDOMAIN ? -ENOENT : -ENODATA;
}

void
dns_answer_clear(struct dns_answer *a)
{
	query_free(a->q);
}

/* --- MX --- */

static int
mx_read(
    const struct dns_answer *answer, size_t i, struct arena *a, struct dns_mx *out)
{
	struct slice rdata = answer->rr[i].rdata;
	char name[256];

	if (rdata.n < 3 ||
	    dns_rdata_name(answer_packet(answer), rdata, 2, name) < 0)
		return -EBADMSG;
	out->preference = (uint16_t)((unsigned char)rdata.p[0] << 8 |
	    (unsigned char)rdata.p[1]);
	out->host = arena_strdup(a, slice_str(name));
	return out->host == NULL ? -EAGAIN : 0;
}

static void
mx_shuffle(struct dns_mx *mx, size_t n)
{
	struct dns_mx swap;
	size_t j;

	for (size_t i = n; i > 1; i--) {
		j = random_below((uint32_t)i);
		swap = mx[i - 1];
		mx[i - 1] = mx[j];
		mx[j] = swap;
	}
}

/* Stable, so that the chance among equals stays. */
static void
mx_sort(struct dns_mx *mx, size_t n)
{
	struct dns_mx one;
	size_t j;

	for (size_t i = 1; i < n; i++) {
		one = mx[i];
		for (j = i; j > 0 && mx[j - 1].preference > one.preference; j--)
			mx[j] = mx[j - 1];
		mx[j] = one;
	}
}

/* RFC 7505 3: a null MX beside others is none. */
static size_t
mx_drop_null(struct dns_mx *mx, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; n > 1 && i < n; i++)
		if (mx[i].host[0] != '\0')
			mx[kept++] = mx[i];
	return kept > 0 ? kept : n > 0;
}

int
dns_mx(struct dns *d, struct arena *a, const char *domain, struct dns_mx **out,
    size_t *n, bool *secure)
{
	struct dns_answer answer;
	bool ignored;
	int rc = dns_ask(
	    d, domain, TYPE_MX, &answer, secure != NULL ? secure : &ignored);

	if (rc != 0)
		return rc;
	*n = 0;
	*out = arena_array(a, answer.n, sizeof(**out));
	for (size_t i = 0; *out != NULL && i < answer.n && rc != -EAGAIN; i++)
		if ((rc = mx_read(&answer, i, a, *out + *n)) == 0)
			(*n)++;
	dns_answer_clear(&answer);
	if (*out == NULL || *n == 0 || rc == -EAGAIN)
		return -EAGAIN;
	mx_shuffle(*out, *n);
	mx_sort(*out, *n);
	*n = mx_drop_null(*out, *n);
	return 0;
}

/* --- services --- */

/* RFC 2782: three numbers of two octets, and a name. */
static int
srv_read(const struct dns_answer *answer, size_t i, struct arena *a,
    struct dns_srv *out)
{
	struct slice rdata = answer->rr[i].rdata;
	const unsigned char *p = (const unsigned char *)rdata.p;
	char host[256];

	if (rdata.n < 7 ||
	    dns_rdata_name(answer_packet(answer), rdata, 6, host) < 0)
		return -EBADMSG;
	*out = (struct dns_srv){ .priority = (uint16_t)(p[0] << 8 | p[1]),
		.weight = (uint16_t)(p[2] << 8 | p[3]),
		.port = (uint16_t)(p[4] << 8 | p[5]),
		.host = arena_strdup(a, slice_str(host)) };
	return out->host == NULL ? -EAGAIN : 0;
}

static int
srv_cmp(const void *a, const void *b)
{
	const struct dns_srv *x = a, *y = b;

	return x->priority != y->priority ? x->priority - y->priority
					  : y->weight - x->weight;
}

int
dns_srv(struct dns *d, struct arena *a, const char *name,
    struct dns_srv **out, size_t *n, bool *secure)
{
	struct dns_answer answer;
	bool ignored;
	int rc = dns_ask(
	    d, name, TYPE_SRV, &answer, secure != NULL ? secure : &ignored);

	if (rc != 0)
		return rc;
	*n = 0;
	*out = arena_array(a, answer.n, sizeof(**out));
	for (size_t i = 0; *out != NULL && i < answer.n && rc != -EAGAIN; i++)
		if ((rc = srv_read(&answer, i, a, *out + *n)) == 0)
			(*n)++;
	dns_answer_clear(&answer);
	if (*out == NULL || *n == 0 || rc == -EAGAIN)
		return -EAGAIN;
	qsort(*out, *n, sizeof(**out), srv_cmp);
	return 0;
}

/* --- addresses --- */

#define ADDRESSES_MAX 16 /* of each family */

struct family {
	struct dns *dns;
	const char *host;
	uint16_t type;
	int rc;
	bool secure;
	struct net_addr addr[ADDRESSES_MAX];
	size_t n;
};

static bool
address_read(struct slice rdata, uint16_t type, struct net_addr *out)
{
	char text[INET6_ADDRSTRLEN];
	int family = type == TYPE_A ? AF_INET : AF_INET6;

	if (rdata.n != (type == TYPE_A ? 4 : 16) ||
	    inet_ntop(family, rdata.p, text, sizeof(text)) == NULL)
		return false;
	return net_addr_parse_host(out, slice_str(text), 0) == 0;
}

static void
ask_family(void *arg)
{
	struct family *f = arg;
	struct dns_answer answer;

	f->rc = dns_ask(f->dns, f->host, f->type, &answer, &f->secure);
	if (f->rc != 0)
		return;
	for (size_t i = 0; i < answer.n && f->n < ADDRESSES_MAX; i++)
		f->n +=
		    address_read(answer.rr[i].rdata, f->type, &f->addr[f->n]);
	if (f->n == 0)
		f->rc = -EAGAIN;
	dns_answer_clear(&answer);
}

/* The worse of two answers without addresses decides. */
static int
families_error(int a, int b)
{
	if (a == -ECANCELED || b == -ECANCELED)
		return -ECANCELED;
	if (a == -EAGAIN || b == -EAGAIN)
		return -EAGAIN;
	return a == -ENODATA || b == -ENODATA ? -ENODATA : -ENOENT;
}

static int
families_merge(struct arena *a, const struct family *six,
    const struct family *four, struct net_addr **out, size_t *n)
{
	size_t most = six->n > four->n ? six->n : four->n;

	*n = 0;
	if (most == 0)
		return families_error(six->rc, four->rc);
	*out = arena_array(a, six->n + four->n, sizeof(**out));
	if (*out == NULL)
		return -EAGAIN;
	for (size_t i = 0; i < most; i++) {
		if (i < six->n)
			(*out)[(*n)++] = six->addr[i];
		if (i < four->n)
			(*out)[(*n)++] = four->addr[i];
	}
	return 0;
}

/* The families wait at the same time. They are not on the coroutine's stack,
 * as they are large. */
static int
ask_families(struct dns *d, struct arena *a, const char *host,
    struct net_addr **out, size_t *n, bool *secure)
{
	struct family *f = calloc(2, sizeof(*f));
	struct co_group group = { 0 };
	int rc;

	if (f == NULL)
		return -EAGAIN;
	for (int i = 0; i < 2; i++) {
		f[i] = (struct family){ .dns = d,
			.host = host,
			.type = i == 0 ? TYPE_AAAA : TYPE_A };
		f[i].rc = co_group_spawn(&group, ask_family, &f[i]) == 0
		    ? 0
		    : -EAGAIN;
	}
	rc = co_group_join(&group);
	if (rc == 0)
		rc = families_merge(a, &f[0], &f[1], out, n);
	*secure = f[0].secure && f[1].secure;
	free(f);
	return rc;
}

int
dns_addresses(struct dns *d, struct arena *a, const char *host,
    struct net_addr **out, size_t *n, bool *secure)
{
	struct net_addr literal;
	bool ignored;

	if (secure == NULL)
		secure = &ignored;
	*secure = false;
	if (net_addr_parse_host(&literal, slice_str(host), 0) != 0)
		return ask_families(d, a, host, out, n, secure);
	if ((*out = arena_alloc(a, sizeof(**out))) == NULL)
		return -EAGAIN;
	**out = literal;
	*n = 1;
	return 0;
}

/* --- TXT --- */

/* RFC 1035 3.3.14: strings with a length octet each. */
static int
txt_read(struct slice rdata, struct arena *a, struct slice *out)
{
	char *text = arena_alloc(a, rdata.n + 1);
	size_t n = 0, len;

	if (text == NULL)
		return -EAGAIN;
	for (size_t i = 0; i < rdata.n; i += len) {
		len = (unsigned char)rdata.p[i++];
		if (len > rdata.n - i)
			return -EBADMSG;
		memcpy(text + n, rdata.p + i, len);
		n += len;
	}
	*out = slice(text, n);
	return 0;
}

int
dns_txt(struct dns *d, struct arena *a, const char *name, struct slice **out,
    size_t *n, bool *secure)
{
	struct dns_answer answer;
	bool ignored;
	int rc =
	    dns_ask(d, name, TYPE_TXT, &answer, secure != NULL ? secure : &ignored);

	if (rc != 0)
		return rc;
	*n = 0;
	*out = arena_array(a, answer.n, sizeof(**out));
	for (size_t i = 0; *out != NULL && i < answer.n && rc != -EAGAIN; i++)
		if ((rc = txt_read(answer.rr[i].rdata, a, *out + *n)) == 0)
			(*n)++;
	dns_answer_clear(&answer);
	return *out == NULL || *n == 0 || rc == -EAGAIN ? -EAGAIN : 0;
}

/* --- PTR --- */

#define PTRS_MAX 10 /* RFC 7208 4.6.4 has this bound for the same work */
#define REVERSE_NAME_SIZE 80

static bool
reverse_name(const struct net_addr *addr, char out[static REVERSE_NAME_SIZE])
{
	struct buf text = BUF_INIT_MAX(REVERSE_NAME_SIZE - 1);
	const unsigned char *p;
	char plain[128];
	struct net_addr a;
	bool ok;

	/* An IPv4 address mapped into IPv6 is the IPv4 address. */
	net_addr_host(addr, plain);
	if (net_addr_parse_host(&a, slice_str(plain), 0) != 0)
		return false;
	if (a.sa.ss_family == AF_INET) {
		p = (const void *)&((struct sockaddr_in *)&a.sa)->sin_addr;
		buf_printf(
		    &text, "%d.%d.%d.%d.in-addr.arpa", p[3], p[2], p[1], p[0]);
	} else {
		p = ((struct sockaddr_in6 *)&a.sa)->sin6_addr.s6_addr;
		for (int i = 15; i >= 0; i--)
			buf_printf(&text, "%x.%x.", p[i] & 15, p[i] >> 4);
		buf_put_str(&text, "ip6.arpa");
	}
	if ((ok = !text.failed))
		memcpy(out, text.p, text.n + 1);
	buf_clear(&text);
	return ok;
}

/* 0 when `host` has this address, -ENOENT when not, or as dns.h. */
static int
maps_back(struct dns *d, const char *host, const struct net_addr *addr)
{
	struct arena a = ARENA_INIT_MAX(65536);
	char want[128], have[128];
	struct net_addr *list = NULL;
	size_t n = 0;
	bool secure, found = false;
	int rc = ask_families(d, &a, host, &list, &n, &secure);

	net_addr_host(addr, want);
	for (size_t i = 0; rc == 0 && i < n && !found; i++) {
		net_addr_host(&list[i], have);
		found = strcmp(want, have) == 0;
	}
	arena_reset(&a);
	if (rc != 0 && rc != -ENODATA)
		return rc;
	return found ? 0 : -ENOENT;
}

static int
verify_names(struct dns *d, struct arena *a, const struct dns_answer *answer,
    const struct net_addr *addr, const char **out)
{
	char name[256];
	int rc, worst = -ENOENT;

	for (size_t i = 0; i < answer->n && i < PTRS_MAX; i++) {
		if (dns_rdata_name(answer_packet(answer), answer->rr[i].rdata,
			0, name) <= 0 ||
		    name[0] == '\0')
			continue;
		rc = maps_back(d, name, addr);
		if (rc == 0) {
			*out = arena_strdup(a, slice_str(name));
			return *out == NULL ? -EAGAIN : 0;
		}
		if (rc == -ECANCELED)
			return rc;
		if (rc == -EAGAIN)
			worst = rc;
	}
	return worst;
}

int
dns_ptr(struct dns *d, struct arena *a, const struct net_addr *addr,
    const char **out)
{
	char name[REVERSE_NAME_SIZE];
	struct dns_answer answer;
	bool secure;
	int rc;

	if (!reverse_name(addr, name))
		return -ENOENT;
	if ((rc = dns_ask(d, name, TYPE_PTR, &answer, &secure)) != 0)
		return rc == -ENODATA ? -ENOENT : rc;
	rc = verify_names(d, a, &answer, addr, out);
	dns_answer_clear(&answer);
	return rc;
}
