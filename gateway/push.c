/* SPDX-License-Identifier: ISC */
#include "gateway/push.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/client.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "gateway/gmail_login.h"
#include "gateway/state_gmail.h"
#include "gateway/state_push.h"

#define PATIENCE_S (24 * 3600) /* then it goes to the mailbox here */
#define HEADER_SEEN ((size_t)64 << 10)

struct push {
	struct gateway *g;
	struct smtp_session *s;
	struct fetch f; /* of the outside account */
	const char *address;
	struct slice trace;
	struct spool *body;
	struct state_push state;
	struct state_put_in put; /* what goes there */
};

static struct smtp_reply
kept(const struct push *p, struct smtp_reply reply)
{
	reply.text = arena_dup(smtp_session_tx_arena(p->s), reply.text);
	if (reply.text.p == NULL)
		return SMTP_REPLY(451, "4.3.1", "out of memory");
	return reply;
}

static struct smtp_reply
ours_failed(const struct push *p, const char *what, int rc)
{
	return smtp_reply_f(smtp_session_tx_arena(p->s), 451, "4.3.0", "%s: %s",
	    what, strerror(-rc));
}

/* --- to the mailbox here --- */

static struct smtp_reply
deposit(struct push *p)
{
	struct smtp_client_rcpt rcpt = { .address = slice_str(p->f.o.account) };
	const struct smtp_mail *m = smtp_session_mail(p->s);
	const struct smtp_client_mail mail = { .from = m->from.text,
		.size = spool_size(p->body),
		.body = m->body,
		.smtputf8 = m->smtputf8,
		.trace = p->trace };
	struct smtp_reply mail_reply, final, reply;
	struct smtp_client *c;
	int rc = smtp_pool_get(p->g->mailbox, &c);

	if (rc != 0)
		return ours_failed(p, "mailbox", rc);
	rc = smtp_client_deliver(
	    c, &mail, &rcpt, 1, SLICE_EMPTY, p->body, &mail_reply, &final);
	if (rc == 0)
		reply = kept(p,
		    smtp_reply_is_positive(&mail_reply) ? rcpt.reply
							: mail_reply);
	else
		reply = ours_failed(p, "mailbox", rc);
	smtp_pool_put(p->g->mailbox, c, rc == 0);
	return reply;
}

static struct smtp_reply
stays_here(struct push *p, const char *why)
{
	struct smtp_reply reply = deposit(p);

	log_warning("not put in, kept here",
	    "outside=%s account=%s reason=\"%s\" code=%d", log_qs(p->address),
	    log_qs(p->f.o.account), why, reply.code);
	if (smtp_reply_is_positive(&reply)) {
		p->state.over = true;
		(void)state_push_put(
		    p->g->state, p->address, p->trace, &p->state);
	}
	return reply;
}

/* The queue comes again; but not for ever. */
static struct smtp_reply
later(struct push *p, const char *why)
{
	if (clock_wall_s() - p->state.since_s > PATIENCE_S)
		return stays_here(p, why);
	return smtp_reply_f(
	    smtp_session_tx_arena(p->s), 451, "4.4.0", "%s", log_qs(why));
}

/* --- IMAP --- */

struct looking {
	bool found;
	uint32_t uidvalidity, uid; /* uid 0: there are several */
};

static int
on_search(void *arg, const struct imap_response *r)
{
	struct looking *l = arg;
	uint64_t n;

	if (r->kind == IMAP_OK &&
	    imap_code_number(r->code, "UIDVALIDITY", &n) == 0)
		l->uidvalidity = (uint32_t)n;
	if (r->kind != IMAP_SEARCH || r->text.n == 0)
		return 0;
	l->found = true;
	if (slice_u64(slice_trim(r->text), UINT32_MAX, &n) == 0)
		l->uid = (uint32_t)n;
	return 0;
}

/* It went out once, and the reply was lost: is it there? 0 with *found, or an
 * error of the connection. */
static int
look_for(struct push *p, struct imap_client *c, struct looking *found)
{
	const struct imap_handler h = { .untagged = on_search, .arg = found };
	struct buf id = BUF_INIT;
	struct slice head, value;
	int rc = spool_head(p->body, HEADER_SEEN, &head);

	*found = (struct looking){ false };
	if (rc != 0)
		return rc;
	value = header_value(&p->f.a, head, "Message-ID");
	if (value.n == 0 || !imap_put_quoted(&id, slice_trim(value))) {
		buf_clear(&id);
		return 0;
	}
	rc = imap_client_run(c, &h, "EXAMINE \"INBOX\"");
	if (rc == 0)
		rc = imap_client_run(
		    c, &h, "UID SEARCH HEADER Message-ID %s", buf_str(&id));
	buf_clear(&id);
	return rc == IMAP_REFUSED ? 0 : rc;
}

/* RFC 5321 4.4: this is the final delivery. */
static int
return_path(const struct push *p, struct buf *out)
{
	struct slice from = smtp_session_mail(p->s)->from.text;

	buf_printf(out, "Return-Path: <%.*s>\r\n", (int)from.n, from.p);
	return out->failed ? -ENOMEM : 0;
}

/* What it is known by when it is fetched from there. */
static int
know(struct push *p, struct slice header)
{
	p->put.trace = p->trace;
	p->put.from = smtp_session_mail(p->s)->from.text;
	return fetch_octets_id(header, p->body, p->put.octets);
}

/* Before octets go out, so that a kill is known of. */
static int
note_sent(struct push *p)
{
	int rc = state_put_in_announce(p->g->state, p->address, &p->put);

	p->state.sent = true;
	return rc != 0
	    ? rc
	    : state_push_put(p->g->state, p->address, p->trace, &p->state);
}

/* Before the queue hears of it. */
static struct smtp_reply
done(struct push *p, const char *how, uint32_t uidvalidity, uint32_t uid)
{
	int rc = state_put_in_done(
	    p->g->state, p->address, &p->put, uidvalidity, uid);

	if (rc != 0)
		return ours_failed(p, "our state", rc);
	log_info("put in", "outside=%s account=%s octets=%llu how=%s",
	    log_qs(p->address), log_qs(p->f.o.account),
	    (unsigned long long)spool_size(p->body), how);
	return SMTP_REPLY(250, "2.0.0", "put in");
}

static struct smtp_reply
append(struct push *p, struct imap_client *c, struct slice header)
{
	struct imap_append where;
	int rc = note_sent(p);

	if (rc != 0)
		return ours_failed(p, "our state", rc);
	rc = imap_client_append(
	    c, SLICE_LIT("INBOX"), "", header, p->body, &where);
	if (rc == 0)
		return done(p, "appended", where.uidvalidity, where.uid);
	if (rc != IMAP_REFUSED)
		return later(p, strerror(-rc));
	p->state.sent = false;
	rc = state_push_put(p->g->state, p->address, p->trace, &p->state);
	if (rc != 0)
		return ours_failed(p, "our state", rc);
	return imap_client_not_now(c) ? later(p, imap_client_said(c))
				      : stays_here(p, imap_client_said(c));
}

static struct smtp_reply
by_connection(struct push *p, struct imap_client *c)
{
	struct looking l = { false };
	struct buf header = BUF_INIT;
	struct smtp_reply reply;
	int rc = return_path(p, &header);

	if (rc == 0)
		rc = know(p, buf_slice(&header));
	if (rc == 0 && p->state.sent)
		rc = look_for(p, c, &l);
	if (rc != 0)
		reply = later(p, strerror(-rc));
	else
		reply = l.found ? done(p, "found", l.uidvalidity, l.uid)
				: append(p, c, buf_slice(&header));
	buf_clear(&header);
	return reply;
}

static struct smtp_reply
by_imap(struct push *p)
{
	struct imap_client *c = NULL;
	enum fetch_end end = fetch_imap_connect(&p->f, &c);
	struct smtp_reply reply;

	if (end == FETCH_LOGIN)
		return stays_here(p, buf_str(&p->f.why));
	if (end != FETCH_OK)
		return later(p, buf_str(&p->f.why));
	reply = by_connection(p, c);
	imap_client_free(&c);
	return reply;
}

/* --- Gmail --- */

/* As look_for. */
static int
find_there(struct push *p, struct gmail *g, bool *found,
    char there[static GMAIL_ID_MAX + 1])
{
	struct slice head, id;
	int rc = spool_head(p->body, HEADER_SEEN, &head);

	*found = false;
	if (rc != 0)
		return rc;
	id = header_value(&p->f.a, head, "Message-ID");
	if (id.n > 0)
		id = message_id_first(&p->f.a, id);
	if (id.p == NULL || id.n == 0)
		return 0;
	rc = gmail_find(g, id, false, there);
	*found = rc == 0;
	return rc == -ENOENT ? 0 : rc;
}

/* As if it had come there by SMTP, but for their filters. */
static int
insert(struct push *p, struct gmail *g, struct slice header,
    char id[static GMAIL_ID_MAX + 1])
{
	static const char *const labels[] = { "INBOX", "UNREAD", NULL };
	int rc = note_sent(p);

	return rc == 0 ? gmail_insert(g, labels, true, header, p->body, id)
		       : rc;
}

static int
find_or_insert(struct push *p, struct gmail *g, bool *found,
    char id[static GMAIL_ID_MAX + 1])
{
	struct buf header = BUF_INIT;
	int rc = return_path(p, &header);

	*found = false;
	if (rc == 0)
		rc = know(p, buf_slice(&header));
	if (rc == 0 && p->state.sent)
		rc = find_there(p, g, found, id);
	if (rc == 0 && !*found)
		rc = insert(p, g, buf_slice(&header), id);
	buf_clear(&header);
	return rc;
}

static struct smtp_reply
by_gmail(struct push *p)
{
	char there[GMAIL_ID_MAX + 1] = "";
	struct gmail_login l;
	enum fetch_end end = FETCH_OK;
	uint32_t uidvalidity, uid;
	bool found;
	int rc;

	gmail_login_init(&l, &p->f);
	rc = find_or_insert(p, &l.g, &found, there);
	if (rc != 0)
		end = gmail_login_failed(&l, rc);
	gmail_login_clear(&l);
	if (rc == 0) {
		gmail_place_numbers(there, &uidvalidity, &uid);
		return done(p, found ? "found" : "inserted", uidvalidity, uid);
	}
	/* What it does not like, it will not like later. */
	return end == FETCH_LOGIN || rc == -EINVAL || rc == -E2BIG
	    ? stays_here(p, buf_str(&p->f.why))
	    : later(p, buf_str(&p->f.why));
}

/* --- all --- */

static struct smtp_reply
put_in(struct push *p)
{
	enum fetch_end end;
	int rc = state_push_get(p->g->state, p->address, p->trace, &p->state);

	/* Our reply was lost, and what could be looked for there may have been
	 * deleted since, or have no name. */
	if (rc == 0 && p->state.over && p->trace.n > 0)
		return SMTP_REPLY(250, "2.0.0", "it is there already");
	if (rc == 0 && p->state.since_s == 0) {
		p->state.since_s = clock_wall_s();
		rc = state_push_put(
		    p->g->state, p->address, p->trace, &p->state);
	}
	if (rc != 0)
		return ours_failed(p, "our state", rc);
	end = fetch_prepare(&p->f, p->address);
	if (end == FETCH_GONE)
		return SMTP_REPLY(550, "5.1.1", "no such outside account");
	if (end == FETCH_LOGIN)
		return stays_here(p, buf_str(&p->f.why));
	if (end != FETCH_OK)
		return later(p, buf_str(&p->f.why));
	if (p->f.o.protocol == OUTSIDE_GMAIL)
		return by_gmail(p);
	if (p->f.o.protocol != OUTSIDE_IMAP)
		return stays_here(p, "nothing can be put in there");
	return by_imap(p);
}

struct smtp_reply
push_message(struct gateway *g, struct smtp_session *s, struct slice address,
    struct spool *body)
{
	struct push p = { .g = g,
		.s = s,
		.f = { .g = g },
		.address = arena_strdup(smtp_session_tx_arena(s), address),
		.trace = smtp_session_mail(s)->trace,
		.body = body };
	struct smtp_reply reply;

	if (p.address == NULL)
		return SMTP_REPLY(451, "4.3.1", "out of memory");
	reply = put_in(&p);
	fetch_clear(&p.f);
	return reply;
}

int
push_rcpt(struct gateway *g, struct smtp_session *s, struct slice address,
    struct smtp_reply *reply)
{
	struct outside o;
	int rc =
	    outside_get(g->accounts, smtp_session_tx_arena(s), address, &o);

	*reply = rc == 0 ? SMTP_REPLY(250, "2.1.5", "recipient ok")
			 : SMTP_REPLY(550, "5.1.1", "no such outside account");
	return rc == -ENOENT ? 0 : rc;
}

/* --- what led to nothing --- */

#define SWEEP_MS (6 * 3600 * INT64_C(1000))

struct names {
	struct arena a;
	const char **v;
	size_t n, cap;
};

static int
one_name(void *arg, struct slice address)
{
	struct names *l = arg;
	size_t cap = l->cap == 0 ? 64 : l->cap * 2;
	const char **v;

	if (l->n == l->cap) {
		if ((v = reallocarray(l->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n] = arena_strdup(&l->a, address);
	return l->v[l->n++] == NULL ? -ENOMEM : 0;
}

/* Of messages that were taken out of the queue, and of those that nobody has
 * fetched from there. */
static void
sweep(struct gateway *g)
{
	struct names l = { .a = ARENA_INIT_MAX((size_t)256 << 20) };
	int64_t before_s = clock_wall_s() - STATE_PUSH_DAYS * INT64_C(86400);
	size_t n, all = 0;
	int rc = state_addresses(g->state, one_name, &l);

	for (size_t i = 0; i < l.n && rc == 0; i++) {
		rc = state_push_sweep(g->state, l.v[i], before_s, &n);
		all += n;
	}
	if (rc != 0 && rc != -ENOENT)
		log_warning("old rows stay", "error=\"%s\"", strerror(-rc));
	else if (all > 0)
		log_info(
		    "old rows of what was put in have gone", "rows=%zu", all);
	arena_reset(&l.a);
	free(l.v);
}

static struct {
	struct co *co;
	struct co_event ended;
} upkeep;

static void
upkeep_main(void *arg)
{
	do
		sweep(arg);
	while (co_sleep(SWEEP_MS) == 0);
	upkeep.co = NULL;
	co_event_set(&upkeep.ended);
}

int
push_start(struct gateway *g)
{
	return (upkeep.co = co_spawn(upkeep_main, g)) == NULL ? -ENOMEM : 0;
}

void
push_stop(void)
{
	if (upkeep.co != NULL)
		co_cancel(upkeep.co);
	while (upkeep.co != NULL) {
		upkeep.ended.set = false;
		if (co_event_wait(&upkeep.ended, -1) == -ECANCELED)
			return;
	}
}
