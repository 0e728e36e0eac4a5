/* SPDX-License-Identifier: ISC */
/*
 * Idle connections to one address, the last used first. So those that a burst
 * has left behind are at the end of the list, where they grow old and are
 * closed: each would cost both sides memory.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "common/smtp/client_impl.h"

#define IDLE_MS ((int64_t)30 * 1000)

struct smtp_pool {
	struct net_addr to;
	struct smtp_client_conf conf;
	struct tls_client *tls; /* where the address is TCP */
	char *name;             /* the address as configured, for the log */
	struct smtp_client *idle;
	size_t n_idle, max_idle;
	struct event *sweep; /* pending while anything is idle */
	struct co_semaphore room;
};

/* Over a wire by TLS where it is offered: any certificate is better than
 * none. */
static int
use_tls(struct smtp_pool *p)
{
	struct buf err = BUF_INIT;
	int rc;

	if (net_addr_is_unix(&p->to) || p->conf.tls != NULL)
		return 0;
	rc = tls_client_new_files(&p->tls, TLS_VERIFY_NONE, NULL, &err);
	buf_clear(&err);
	p->conf.tls = p->tls;
	p->conf.tls_mode = SMTP_TLS_MAY;
	return rc;
}

int
smtp_pool_new(struct smtp_pool **out, const char *address, const char *run_dir,
    const struct smtp_client_conf *conf, size_t max)
{
	struct smtp_pool *p = calloc(1, sizeof(*p));
	int rc;

	if (p == NULL)
		return -ENOMEM;
	p->conf = *conf;
	p->conf.reply_arena = NULL;
	if (p->conf.idle_ms == 0)
		p->conf.idle_ms = IDLE_MS;
	p->room.free = max;
	p->max_idle = (max + 1) / 2;
	p->name = strdup(address);
	rc = p->name == NULL ? -ENOMEM
			     : net_addr_parse(&p->to, address, run_dir);
	if (rc == 0)
		rc = use_tls(p);
	if (rc != 0) {
		smtp_pool_free(&p);
		return rc;
	}
	*out = p;
	return 0;
}

/* From *at on to the end of the list. */
static void
close_all(struct smtp_pool *p, struct smtp_client **at)
{
	struct smtp_client *c;

	while ((c = *at) != NULL) {
		*at = c->next;
		p->n_idle--;
		smtp_client_free(&c);
	}
}

void
smtp_pool_free(struct smtp_pool **pool)
{
	struct smtp_pool *p = *pool;

	if (p == NULL)
		return;
	*pool = NULL;
	close_all(p, &p->idle);
	if (p->sweep != NULL)
		event_free(p->sweep);
	tls_client_free(&p->tls);
	free(p->name);
	free(p);
}

static void
sweep_later(struct smtp_pool *p)
{
	int64_t ms = p->conf.idle_ms / 2;
	struct timeval tick = { ms / 1000, ms % 1000 * 1000 };

	if (p->idle != NULL && p->sweep != NULL &&
	    !event_pending(p->sweep, EV_TIMEOUT, NULL))
		event_add(p->sweep, &tick); /* fails: they stay, no harm */
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct smtp_pool *p = arg;
	struct smtp_client **at = &p->idle;
	int64_t now = clock_mono_ms();

	(void)fd, (void)what;
	while (*at != NULL && now - (*at)->idle_since_ms < p->conf.idle_ms)
		at = &(*at)->next;
	close_all(p, at);
	sweep_later(p);
}

static void
put_idle(struct smtp_pool *p, struct smtp_client *c)
{
	conn_rest(c->conn);
	c->idle_since_ms = clock_mono_ms();
	c->next = p->idle;
	p->idle = c;
	p->n_idle++;
	if (p->sweep == NULL)
		p->sweep = event_new(loop_base(), -1, 0, on_sweep, p);
	sweep_later(p);
}

static struct smtp_client *
take_idle(struct smtp_pool *p)
{
	struct smtp_client *c;

	while ((c = p->idle) != NULL) {
		p->idle = c->next;
		p->n_idle--;
		c->next = NULL;
		c->reused = true;
		if (smtp_client_is_alive(c))
			return c;
		c->out_of_step = true;
		smtp_client_free(&c);
	}
	return NULL;
}

int
smtp_pool_get(struct smtp_pool *p, struct smtp_client **out)
{
	struct smtp_reply reply = { 0 };
	int rc;

	*out = NULL;
	rc = co_semaphore_take(
	    &p->room, p->conf.timeout_ms > 0 ? p->conf.timeout_ms : -1);
	if (rc != 0) {
		log_warning(
		    "peer busy", "peer=%s error=%s", p->name, strerror(-rc));
		return rc;
	}
	if ((*out = take_idle(p)) != NULL)
		return 0;
	rc = smtp_client_open(out, &p->to, &p->conf, &reply);
	if (rc != 0) {
		log_warning("peer down", "peer=%s error=%s code=%d", p->name,
		    strerror(-rc), reply.code);
		co_semaphore_give(&p->room);
	}
	return rc;
}

void
smtp_pool_put(struct smtp_pool *p, struct smtp_client *c, bool good)
{
	if (c == NULL)
		return;
	/* A transaction left open would keep the other side busy with it, and
	 * from ending when it is to shut down. */
	if (good && c->needs_reset)
		good = smtp_client_reset(c) == 0;
	if (good && !c->out_of_step && p->n_idle < p->max_idle)
		put_idle(p, c);
	else
		smtp_client_free(&c);
	co_semaphore_give(&p->room);
}

/* The reply is the caller's, the connection the pool's again. */
static int
pool_answer(struct smtp_pool *p, struct smtp_client *c, int rc, struct arena *a,
    struct smtp_reply *reply)
{
	if (rc == 0) {
		reply->text = arena_dup(a, reply->text);
		rc = reply->text.p == NULL ? -ENOMEM : 0;
	}
	smtp_pool_put(p, c, rc == 0);
	return rc;
}

int
smtp_pool_verify(struct smtp_pool *p, struct arena *a, struct slice address,
    struct smtp_reply *reply)
{
	struct smtp_client *c;
	int rc;

	if ((rc = smtp_pool_get(p, &c)) != 0)
		return rc;
	return pool_answer(
	    p, c, smtp_client_verify(c, address, reply), a, reply);
}

int
smtp_pool_flush(struct smtp_pool *p, struct arena *a, struct slice node,
    bool subdomains, struct smtp_reply *reply)
{
	struct smtp_client *c;
	int rc;

	if ((rc = smtp_pool_get(p, &c)) != 0)
		return rc;
	return pool_answer(
	    p, c, smtp_client_flush(c, node, subdomains, reply), a, reply);
}
