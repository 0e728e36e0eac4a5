/* SPDX-License-Identifier: ISC */
/*
 * Delivery by LMTP. Each recipient resolves to accounts of ours (so mailbox is
 * useful behind any MTA, without guard); the message goes to each account
 * once. Return-Path is put on top (RFC 5321 4.4), Delivered-To where the
 * recipient was not simply the account's address, Received where the message
 * did not come from our own mta, which has written one.
 *
 * 250 for a recipient means: durable in that account's INBOX (promise 1).
 */
#include "mailbox/lmtp/lmtp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/notice.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"
#include "common/mail/date.h"
#include "common/mail/header.h"
#include "common/mail/message_id.h"
#include "common/smtp/server.h"
#include "mailbox/lmtp/arrived.h"
#include "mailbox/lmtp/deposit.h"
#include "mailbox/lmtp/gather.h"
#include "mailbox/lmtp/mirror.h"
#include "mailbox/lmtp/origin.h"
#include "mailbox/quota.h"

#define CHUNK ((size_t)64 << 10)
#define KEY_MAX 64
#define RECIPIENTS_MAX 2000 /* mta sends at most 1,000 at a time */

static struct {
	struct mails *mails;
	struct accounts *accounts;
	struct origins origins;
	struct smtp_server server;
	struct smtp_server own; /* for peers on Unix sockets: with XWHO */
} lmtp;

/* What RCPT found: the accounts that this recipient means, usually one. */
struct recipient {
	const char *const *accounts;
	size_t n;
	struct slice original; /* the address to show in Delivered-To */
};

/* One account's copy. Several recipients may share it. */
struct copy {
	const char *account;
	struct slice original;     /* of the first of them */
	struct slice delivered_to; /* header field with CRLF, or empty */
	bool reply_as;
	struct mails_quota quota;
	struct mails_target target;
};

/* --- recipients --- */

/* Room for a message of the announced size? RFC 1870 6.1; the decision that
 * counts is made at delivery. */
static int
check_room(
    struct smtp_session *s, const char *account, struct smtp_reply *reply)
{
	uint64_t size = smtp_session_mail(s)->size;
	struct mails_quota quota;
	int rc =
	    quota_get(lmtp.accounts, smtp_session_tx_arena(s), account, &quota);

	if (rc == 0)
		rc = mails_room(
		    lmtp.mails, account, &quota, size == 0 ? 1 : size);
	if (rc != -EDQUOT)
		return rc;
	smtp_session_because(s, "quota of %s", account);
	*reply = SMTP_REPLY(452, "4.2.2", "mailbox is full");
	return 0;
}

/* "rfc822;x@y" of ORCPT where mta has sent it, else the recipient. */
static struct slice
original_of(const struct smtp_rcpt *r)
{
	ssize_t at = slice_find(r->orcpt, ';');

	return at < 0 ? r->to.text : slice_from(r->orcpt, (size_t)at + 1);
}

static int
recipient_of(struct arena *a, const struct smtp_rcpt *r,
    const struct accounts_resolution *found, struct recipient **out)
{
	struct recipient *to = arena_alloc(a, sizeof(*to));
	const char **one = arena_array(a, 1, sizeof(*one));

	if (to == NULL || one == NULL)
		return -ENOMEM;
	to->original = original_of(r);
	if (found->fate == ACCOUNTS_FORWARD) {
		to->accounts = found->targets;
		to->n = found->n_targets;
	} else {
		one[0] = found->account;
		to->accounts = one;
		to->n = 1;
	}
	*out = to;
	return 0;
}

static bool
is_all_local(const struct accounts_resolution *found)
{
	for (size_t i = 0; i < found->n_targets; i++)
		if (!found->target_is_local[i])
			return false;
	return true;
}

static int
refuse(struct smtp_session *s, const struct accounts_resolution *found,
    struct smtp_reply why, struct smtp_reply *reply)
{
	smtp_session_because(s, "%s", found->rule);
	*reply = why;
	return 0;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct accounts_resolution found;
	struct recipient *to;
	int rc;

	if ((rc = accounts_resolve(
		 lmtp.accounts, a, r->to.local, r->to.domain, &found)) != 0)
		return rc;
	switch (found.fate) {
	case ACCOUNTS_DELIVER:
		break;
	case ACCOUNTS_FORWARD:
		if (is_all_local(&found))
			break;
		return refuse(s, &found,
		    SMTP_REPLY(550, "5.1.6",
			"address forwards to another system, not for mailbox"),
		    reply);
	case ACCOUNTS_DISABLED:
		return refuse(s, &found,
		    SMTP_REPLY(550, "5.2.1", "mailbox is disabled"), reply);
	default:
		return refuse(s, &found,
		    SMTP_REPLY(550, "5.1.1", "no such mailbox"), reply);
	}
	*reply = SMTP_REPLY(250, "2.1.5", "recipient ok");
	if ((rc = recipient_of(a, r, &found, &to)) != 0)
		return rc;
	r->data = to;
	for (size_t i = 0; i < to->n && rc == 0 && reply->code == 250; i++)
		rc = check_room(s, to->accounts[i], reply);
	return rc;
}

/* --- the message --- */

/* Delivered-To, if the account's own address does not say it already. */
static struct slice
delivered_to(struct arena *a, const char *account, struct slice original)
{
	char *text;

	if (slice_eq_str_nocase(original, account))
		return SLICE_EMPTY;
	text = arena_printf(a, "Delivered-To: %.*s\r\n",
	    original.n > 320 ? 320 : (int)original.n, original.p);
	return text == NULL ? SLICE_EMPTY : slice_str(text);
}

static struct copy *
copy_find(struct copy *copies, size_t n, const char *account)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(copies[i].account, account) == 0)
			return &copies[i];
	return NULL;
}

/* The copies to make: each account once. */
static int
plan(struct smtp_session *s, struct copy **out, size_t *n_out)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct smtp_rcpt *const *rcpts;
	size_t n_rcpts, max = 0, n = 0;
	struct copy *copies;

	rcpts = smtp_session_rcpts(s, &n_rcpts);
	for (size_t i = 0; i < n_rcpts; i++)
		max += ((const struct recipient *)rcpts[i]->data)->n;
	if ((copies = arena_array(a, max, sizeof(*copies))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n_rcpts; i++) {
		const struct recipient *to = rcpts[i]->data;

		for (size_t k = 0; k < to->n; k++)
			if (copy_find(copies, n, to->accounts[k]) == NULL)
				copies[n++] = (struct copy){
					.account = to->accounts[k],
					.original = to->original,
					.delivered_to = delivered_to(
					    a, to->accounts[k], to->original),
				};
	}
	*out = copies;
	*n_out = n;
	return 0;
}

static int
target_init(struct smtp_session *s, struct copy *c)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct accounts_account record;
	int rc = accounts_account_get(
	    lmtp.accounts, a, slice_str(c->account), &record);

	if (rc == 0) {
		c->reply_as = record.reply_as;
		rc = quota_get(lmtp.accounts, a, c->account, &c->quota);
	}
	c->target = (struct mails_target){
		.account = c->account,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = INT64_MIN,
		/* Only a sender that gave an id can ask again with it. */
		.key = slice_head(smtp_session_mail(s)->trace, KEY_MAX),
		.quota = &c->quota,
		/* In doubt, yes: the gateway knows better. */
		.tell =
		    notice_wanted(lmtp.accounts, slice_str(c->account)) != 0,
	};
	return rc;
}

static void
put_trace_fields(struct smtp_session *s, struct buf *b)
{
	const struct smtp_mail *m = smtp_session_mail(s);

	buf_put_str(b, "Return-Path: <");
	buf_put_slice(b, m->from.text);
	buf_put_str(b, ">\r\n");
	if (m->trace.n > 0)
		return;
	buf_put_str(b, "Received: from ");
	buf_put_slice(b, smtp_session_helo(s));
	buf_printf(b, "\r\n\tby %s with %s id %s;\r\n\t",
	    smtp_session_server(s)->hostname, smtp_session_with(s),
	    smtp_session_id(s));
	date_put(b, (struct date){ clock_wall_s(), 0 });
	buf_put_str(b, "\r\n");
}

static int
write_body(struct mails_message *msg, struct spool *body)
{
	uint64_t at = 0, size = spool_size(body);
	size_t room = size < CHUNK ? (size_t)size + 1 : CHUNK, got;
	char *chunk = malloc(room);
	int rc = chunk == NULL ? -ENOMEM : 0;

	while (at < size && rc == 0) {
		if ((rc = spool_read(body, at, chunk, room, &got)) != 0)
			break;
		rc = mails_message_write(msg, slice(chunk, got));
		at += got;
	}
	free(chunk);
	return rc;
}

/* One stored message for all copies with the same Delivered-To. */
static int
store_copies(struct smtp_session *s, struct spool *body, struct slice extra,
    struct mails_target *targets, size_t n)
{
	struct buf head = BUF_INIT_MAX(16384);
	struct mails_message *msg = NULL;
	int rc;

	put_trace_fields(s, &head);
	buf_put_slice(&head, extra);
	rc = head.failed ? -ENOMEM : mails_message_begin(lmtp.mails, &msg);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = mails_message_for(msg, targets[i].account);
	if (rc == 0)
		rc = mails_message_write(msg, buf_slice(&head));
	if (rc == 0)
		rc = write_body(msg, body);
	if (rc == 0)
		rc = mails_message_end(msg);
	if (rc == 0)
		mails_deliver(msg, targets, n);
	for (size_t i = 0; i < n && rc != 0; i++)
		targets[i].rc = rc;
	mails_message_free(&msg);
	buf_clear(&head);
	return rc;
}

/* Deliver the copies, those that share their octets together. */
static int
deliver(
    struct smtp_session *s, struct spool *body, struct copy *copies, size_t n)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct mails_target *targets = arena_array(a, n, sizeof(*targets));
	struct copy **of = arena_array(a, n, sizeof(*of));
	bool *done = arena_array(a, n, sizeof(*done));

	if (targets == NULL || of == NULL || done == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		for (size_t j = i; j < n; j++) {
			if (done[j] ||
			    !slice_eq(
				copies[j].delivered_to, copies[i].delivered_to))
				continue;
			done[j] = true;
			of[k] = &copies[j];
			targets[k++] = copies[j].target;
		}
		if (k > 0)
			store_copies(
			    s, body, copies[i].delivered_to, targets, k);
		while (k-- > 0)
			of[k]->target = targets[k];
	}
	return 0;
}

static struct smtp_reply
reply_of(int rc)
{
	switch (rc) {
	case 0:
		return SMTP_REPLY(250, "2.0.0", "delivered");
	case -EDQUOT:
		return SMTP_REPLY(452, "4.2.2", "mailbox is full");
	case -ENOSPC:
		return SMTP_REPLY(452, "4.3.1", "disk is full");
	default:
		return SMTP_REPLY(451, "4.3.0",
		    "cannot store the message now, try again later");
	}
}

/* With the place, for who asked for it by XSOURCE=- (deposit.h). */
static struct smtp_reply
reply_with_place(struct smtp_session *s, const struct copy *c)
{
	const struct mails_target *t = &c->target;

	return t->rc != 0 || t->uid == 0
	    ? reply_of(t->rc)
	    : smtp_reply_f(smtp_session_tx_arena(s), 250, "2.0.0", "%s %u %u",
		  t->again ? "known" : "delivered", t->uidvalidity, t->uid);
}

static const char *
rule_of(struct smtp_session *s, const struct copy *c)
{
	const char *text = NULL;

	if (c->target.rc == 0)
		return c->target.again ? "it was there already" : "";
	if (c->target.rc == -EDQUOT)
		text = arena_printf(
		    smtp_session_tx_arena(s), "quota of %s", c->account);
	return text != NULL ? text : strerror(-c->target.rc);
}

static void
tell(struct smtp_session *s, const struct copy *c, uint64_t octets,
    int64_t took_us)
{
	struct smtp_reply reply = reply_of(c->target.rc);
	struct trace_record r = { .kind = TRACE_STORED,
		.code = reply.code,
		.took_us = took_us,
		.octets = octets,
		.field = { [TRACE_SENDER] = smtp_session_mail(s)->from.text,
		    [TRACE_ACCOUNT] = slice_str(c->account),
		    [TRACE_RECIPIENT] = c->original,
		    [TRACE_MESSAGE_ID] = smtp_session_message_id(s),
		    [TRACE_TEXT] = reply.text } };
	const char *rule = rule_of(s, c);
	char place[64];

	memcpy(r.enhanced, reply.enhanced, sizeof(r.enhanced));
	if (rule[0] != '\0')
		r.field[TRACE_RULE] = slice_str(rule);
	if (c->target.rc == 0) {
		snprintf(
		    place, sizeof(place), "INBOX as UID %u", c->target.uid);
		r.field[TRACE_TEXT] = slice_str(place);
	}
	trace_write(&r);
	log_info("delivered", "account=%s uid=%u size=%llu rc=\"%s\"",
	    log_qs(c->account), c->target.uid, (unsigned long long)octets,
	    c->target.rc == 0 ? "ok" : strerror(-c->target.rc));
}

/* The worst of the accounts that the recipient means. */
static int
fate_of(const struct recipient *to, struct copy *copies, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < to->n && rc == 0; i++)
		rc = copy_find(copies, n, to->accounts[i])->target.rc;
	return rc;
}

/* For accounts that reply as the address that was written to. Before the
 * reply: later it might not be done any more. */
static void
keep_origins(struct smtp_session *s, struct spool *body,
    const struct copy *copies, size_t n)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct slice id = { NULL, 0 }, head, value;

	for (size_t i = 0; i < n; i++) {
		if (!copies[i].reply_as || copies[i].target.rc != 0)
			continue;
		if (id.p == NULL) {
			if (spool_head(body, 65536, &head) != 0)
				return;
			value = header_value(a, head, "Message-ID");
			if (value.p != NULL)
				id = message_id_first(a, value);
			if (id.p == NULL)
				return;
		}
		origin_keep(
		    &lmtp.origins, copies[i].account, copies[i].original, id);
	}
}

static int
on_command(struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	int rc;

	if (!net_addr_is_unix(conn_peer(smtp_session_conn(s))))
		return -ENOSYS;
	if (slice_eq_str_nocase(verb, "XWHO"))
		return origin_xwho(&lmtp.origins, s, args, reply);
	rc = gather_command(lmtp.mails, s, verb, args, reply);
	if (rc == -ENOSYS)
		rc = arrived_command(lmtp.mails, s, verb, args, reply);
	return rc != -ENOSYS
	    ? rc
	    : mirror_command(lmtp.mails, lmtp.accounts, s, verb, args, reply);
}

/* --- what an outside account has (deposit.h) --- */

static void
tell_deposit(struct smtp_session *s, const struct copy *c,
    const struct deposit *d, bool known, uint64_t octets)
{
	struct smtp_reply reply = reply_of(c->target.rc);
	struct trace_record r = { .kind = TRACE_STORED,
		.code = reply.code,
		.octets = octets,
		.field = { [TRACE_ACCOUNT] = slice_str(c->account),
		    [TRACE_RECIPIENT] = c->original,
		    [TRACE_MESSAGE_ID] = smtp_session_message_id(s),
		    [TRACE_RULE] = known ? SLICE_LIT("it was there already")
					 : SLICE_LIT("outside account"),
		    [TRACE_TEXT] =
			c->target.rc == 0 ? d->mailbox : reply.text } };

	memcpy(r.enhanced, reply.enhanced, sizeof(r.enhanced));
	trace_write(&r);
	log_info("deposited",
	    "account=%s mailbox=%s size=%llu known=%d rc=\"%s\"",
	    log_qs(c->account), log_q(d->mailbox), (unsigned long long)octets,
	    known, c->target.rc == 0 ? "ok" : strerror(-c->target.rc));
}

static int
take_deposit(struct smtp_session *s, struct spool *body, struct copy *copies,
    size_t n, struct smtp_reply *reply)
{
	struct deposit d;
	struct deposited at = { .known = false };
	int rc = deposit_parse(
	    smtp_session_tx_arena(s), smtp_session_mail(s)->source, &d);

	if (rc == -EINVAL || n != 1) {
		*reply = SMTP_REPLY(554, "5.5.4", "XSOURCE is not well-formed");
		return 0;
	}
	if (rc == 0 && gather_is_open(s))
		return gather_take(s, copies[0].account, &copies[0].quota, &d,
		    body, copies[0].target.tell, reply);
	if (rc == 0)
		rc = deposit(lmtp.mails, copies[0].account, &copies[0].quota,
		    &d, body, copies[0].target.tell, &at);
	copies[0].target.rc = rc;
	tell_deposit(s, &copies[0], &d, at.known, spool_size(body));
	if (rc == -EINVAL)
		*reply =
		    SMTP_REPLY(553, "5.1.3", "there cannot be such a mailbox");
	else if (rc == 0 && at.uid != 0)
		*reply = smtp_reply_f(smtp_session_tx_arena(s), 250, "2.0.0",
		    "%s %u %u", at.known ? "known" : "delivered",
		    at.uidvalidity, at.uid);
	else
		*reply = reply_of(rc);
	return 0;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct smtp_rcpt *const *rcpts = smtp_session_rcpts(s, &n);
	struct slice source = smtp_session_mail(s)->source;
	int64_t began_us = clock_mono_us();
	struct copy *copies;
	size_t n_copies;
	int rc;

	if ((rc = plan(s, &copies, &n_copies)) != 0)
		return rc;
	for (size_t i = 0; i < n_copies; i++)
		if ((rc = target_init(s, &copies[i])) != 0)
			return rc;
	if (source.n > 0 && !slice_eq_str(source, "-")) {
		rc = take_deposit(s, body, copies, n_copies, &replies[0]);
		for (size_t i = 1; i < n; i++)
			replies[i] = replies[0];
		return rc;
	}
	if ((rc = deliver(s, body, copies, n_copies)) != 0)
		return rc;
	keep_origins(s, body, copies, n_copies);
	for (size_t i = 0; i < n_copies; i++)
		tell(s, &copies[i], spool_size(body),
		    clock_mono_us() - began_us);
	for (size_t i = 0; i < n; i++)
		replies[i] =
		    source.n > 0 && n_copies == 1
		    ? reply_with_place(s, &copies[0])
		    : reply_of(fate_of(rcpts[i]->data, copies, n_copies));
	return 0;
}

static void
on_disconnect(struct smtp_session *s)
{
	gather_end(s);
	arrived_end(s);
}

static const struct smtp_handler handler = {
	.rcpt = on_rcpt,
	.message = on_message,
	.command = on_command,
	.disconnect = on_disconnect,
};

static const char *const own_ehlo[] = { "XWHO", "XMIRROR", "XARRIVED",
	"XGATHER", NULL };

int
lmtp_start(
    const struct conf *conf, struct mails *mails, struct accounts *accounts)
{
	size_t n_networks;

	lmtp.mails = mails;
	lmtp.accounts = accounts;
	lmtp.server = (struct smtp_server){
		.kind = SMTP_SERVER_LMTP,
		.handler = &handler,
		.hostname = service_hostname(),
		.extensions = SMTP_EXT_PIPELINING | SMTP_EXT_SIZE |
		    SMTP_EXT_8BITMIME | SMTP_EXT_SMTPUTF8 | SMTP_EXT_ENHANCED |
		    SMTP_EXT_STARTTLS | SMTP_EXT_CHUNKING |
		    SMTP_EXT_BINARYMIME | SMTP_EXT_DSN | SMTP_EXT_XFORWARD |
		    SMTP_EXT_XTRACE | SMTP_EXT_LIMITS | SMTP_EXT_XCLIENT |
		    SMTP_EXT_MT_PRIORITY | SMTP_EXT_DELIVERBY |
		    SMTP_EXT_REQUIRETLS,
		.tls = service_tls(),
		.max_size = conf_size(conf, "mailbox.max_size"),
		.xclient_from =
		    conf_list(conf, "mailbox.xclient_from", &n_networks),
		.max_recipients = RECIPIENTS_MAX,
		.max_errors = 100,
		.timeout_ms = 300000,
		.spool_dir = conf_file(conf, "mailbox.spool_dir"),
	};
	lmtp.origins = (struct origins){ mails, accounts };
	lmtp.own = lmtp.server;
	lmtp.own.extra_ehlo = own_ehlo;
	lmtp.own.extensions |= SMTP_EXT_XSOURCE;
	return 0;
}

void
lmtp_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(
	    net_addr_is_unix(conn_peer(c)) ? &lmtp.own : &lmtp.server, c);
}
