/* SPDX-License-Identifier: ISC */
#include "gateway/push.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/client.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "gateway/gmail_login.h"

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
	if (smtp_reply_is_positive(&reply))
		(void)state_push_del(p->g->state, p->address, p->trace);
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

static int
on_search(void *arg, const struct imap_response *r)
{
	bool *found = arg;

	if (r->kind == IMAP_SEARCH && r->text.n > 0)
		*found = true;
	return 0;
}

/* It went out once, and the reply was lost: is it there? 0 with *found, or an
 * error of the connection. */
static int
look_for(struct push *p, struct imap_client *c, bool *found)
{
	const struct imap_handler h = { .untagged = on_search, .arg = found };
	struct buf id = BUF_INIT;
	struct slice head, value;
	int rc = spool_head(p->body, HEADER_SEEN, &head);

	*found = false;
	if (rc != 0)
		return rc;
	value = header_value(&p->f.a, head, "Message-ID");
	if (value.n == 0 || !imap_put_quoted(&id, slice_trim(value))) {
		buf_clear(&id);
		return 0;
	}
	rc = imap_client_run(c, NULL, "EXAMINE \"INBOX\"");
	if (rc == 0)
		rc = imap_client_run(
		    c, &h, "UID SEARCH HEADER Message-ID %s", buf_str(&id));
	buf_clear(&id);
	return rc == IMAP_REFUSED ? 0 : rc;
}

/* Before octets go out, so that a kill is known of. */
static int
note_sent(struct push *p)
{
	p->state.sent = true;
	return state_push_put(p->g->state, p->address, p->trace, &p->state);
}

static struct smtp_reply
done(struct push *p, const char *how)
{
	log_info("put in", "outside=%s account=%s octets=%llu how=%s",
	    log_qs(p->address), log_qs(p->f.o.account),
	    (unsigned long long)spool_size(p->body), how);
	(void)state_push_del(p->g->state, p->address, p->trace);
	return SMTP_REPLY(250, "2.0.0", "put in");
}

static struct smtp_reply
append(struct push *p, struct imap_client *c)
{
	const struct smtp_mail *m = smtp_session_mail(p->s);
	struct imap_append where;
	struct buf header = BUF_INIT;
	int rc = note_sent(p);

	if (rc != 0)
		return ours_failed(p, "our state", rc);
	/* RFC 5321 4.4: this is the final delivery. */
	buf_printf(&header, "Return-Path: <%.*s>\r\n", (int)m->from.text.n,
	    m->from.text.p);
	rc = header.failed ? -ENOMEM
			   : imap_client_append(c, SLICE_LIT("INBOX"), "",
				 buf_slice(&header), p->body, &where);
	buf_clear(&header);
	if (rc == 0)
		return done(p, "appended");
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
by_imap(struct push *p)
{
	struct imap_client *c = NULL;
	enum fetch_end end = fetch_imap_connect(&p->f, &c);
	struct smtp_reply reply;
	bool found = false;
	int rc = 0;

	if (end == FETCH_LOGIN)
		return stays_here(p, buf_str(&p->f.why));
	if (end != FETCH_OK)
		return later(p, buf_str(&p->f.why));
	if (p->state.sent)
		rc = look_for(p, c, &found);
	if (rc != 0)
		reply = later(p, strerror(-rc));
	else
		reply = found ? done(p, "found") : append(p, c);
	imap_client_free(&c);
	return reply;
}

/* --- Gmail --- */

/* As look_for. */
static int
find_there(struct push *p, struct gmail *g, bool *found)
{
	char there[GMAIL_ID_MAX + 1];
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
insert(struct push *p, struct gmail *g)
{
	static const char *const labels[] = { "INBOX", "UNREAD", NULL };
	const struct smtp_mail *m = smtp_session_mail(p->s);
	struct buf header = BUF_INIT;
	char id[GMAIL_ID_MAX + 1];
	int rc = note_sent(p);

	buf_printf(&header, "Return-Path: <%.*s>\r\n", (int)m->from.text.n,
	    m->from.text.p);
	if (rc == 0)
		rc = header.failed ? -ENOMEM
				   : gmail_insert(g, labels, true,
					 buf_slice(&header), p->body, id);
	buf_clear(&header);
	return rc;
}

static struct smtp_reply
by_gmail(struct push *p)
{
	struct gmail_login l;
	enum fetch_end end = FETCH_OK;
	bool found = false;
	int rc = 0;

	gmail_login_init(&l, &p->f);
	if (p->state.sent)
		rc = find_there(p, &l.g, &found);
	if (rc == 0 && !found)
		rc = insert(p, &l.g);
	if (rc != 0)
		end = gmail_login_failed(&l, rc);
	gmail_login_clear(&l);
	if (rc == 0)
		return done(p, found ? "found" : "inserted");
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
