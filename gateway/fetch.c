/* SPDX-License-Identifier: ISC */
#include "gateway/fetch.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/http_url.h"
#include "gateway/gather.h"
#include "gateway/state_push.h"

#define SOURCE_MAX ((size_t)1700) /* of a command line's 2048 */
#define FLAGS_MAX ((size_t)400)
#define PROGRESS_MS 2000

/* --- to mailbox --- */

static bool
is_ascii(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] > 0x7e)
			return false;
	return true;
}

/* mailbox/lmtp/deposit.h */
static bool
put_source(const struct fetch_message *m, bool is_old, struct buf *out)
{
	struct buf text = BUF_INIT_MAX(SOURCE_MAX);

	buf_printf(out, "%016llx;%u;%u;", (unsigned long long)m->source,
	    m->uidvalidity, m->uid);
	if (m->internaldate < 0)
		buf_put_char(out, '-');
	else
		buf_printf(out, "%lld", (long long)m->internaldate);
	buf_printf(out, ";%s;%s;", is_old ? "old" : "new",
	    m->use != NULL ? m->use : "-");
	/* Very many keywords do not fit in a line; the message does. */
	if (m->flags.n <= FLAGS_MAX)
		buf_put_slice(&text, m->flags);
	buf_put_char(&text, '\t');
	buf_put_slice(&text, m->mailbox);
	if (m->here != 0)
		buf_printf(&text, "\t%u", m->here);
	smtp_xtext_encode(buf_slice(&text), out);
	if (text.failed)
		out->failed = true;
	buf_clear(&text);
	return !out->failed;
}

/* The reply that counts. */
static const struct smtp_reply *
verdict(const struct smtp_reply *mail, const struct smtp_reply *rcpt)
{
	return smtp_reply_is_positive(mail) ? rcpt : mail;
}

/* "delivered|known <uidvalidity> <uid>" */
void
fetch_take_place(struct fetch *f, struct slice text)
{
	uint64_t validity, uid;

	f->put_uidvalidity = f->put_uid = 0;
	(void)slice_split(&text, ' ');
	if (slice_u64(slice_split(&text, ' '), UINT32_MAX, &validity) != 0 ||
	    slice_u64(text, UINT32_MAX, &uid) != 0)
		return;
	f->put_uidvalidity = (uint32_t)validity;
	f->put_uid = (uint32_t)uid;
}

int
fetch_judge(struct fetch *f, const struct fetch_message *m,
    const struct smtp_reply *reply)
{
	if (smtp_reply_is_positive(reply)) {
		fetch_take_place(f, reply->text);
		f->messages++;
		f->octets += spool_size(m->body);
		return 0;
	}
	/* One that is too large or cannot be taken will not be any better;
	 * an account that is not there is not this message's fault. */
	if (reply->code >= 500 && strncmp(reply->enhanced, "5.1.1", 5) != 0 &&
	    strncmp(reply->enhanced, "5.2.", 4) != 0 &&
	    strcmp(reply->enhanced, "5.3.3") != 0) {
		log_warning("message not taken",
		    "outside=%s account=%s mailbox=%s size=%llu reply=\"%d %s "
		    "%s\"",
		    log_qs(f->o.address), log_qs(f->o.account),
		    log_q(m->mailbox), (unsigned long long)spool_size(m->body),
		    reply->code, reply->enhanced, log_q(reply->text));
		f->refused++;
		return 1;
	}
	fetch_fail(f, FETCH_RETRY, "our mailbox: %d %s %s", reply->code,
	    reply->enhanced, log_q(reply->text));
	return -EAGAIN;
}

/* Before the account was added: a first look is no flood of notices. */
static bool
was_there_before(const struct fetch *f, const struct fetch_message *m)
{
	return m->internaldate != INT64_MIN && m->internaldate < f->o.created_s;
}

/* `body` under that envelope; the reply that counts is told. */
static int
hand_over(struct fetch *f, const struct fetch_message *m,
    const struct smtp_client_mail *mail, struct spool *body)
{
	struct smtp_client_rcpt rcpt = { .address = slice_str(f->o.account) };
	struct smtp_reply mail_reply, reply;
	struct smtp_client *c;
	int rc = smtp_pool_get(f->g->mailbox, &c);

	if (rc != 0) {
		fetch_fail(f, FETCH_RETRY, "our mailbox: %s", strerror(-rc));
		return rc;
	}
	rc = smtp_client_deliver(
	    c, mail, &rcpt, 1, SLICE_EMPTY, body, &mail_reply, &reply);
	/* Texts are the client's: before it is given back. */
	if (rc == 0)
		rc = fetch_judge(f, m, verdict(&mail_reply, &rcpt.reply));
	else
		fetch_fail(f, FETCH_RETRY, "our mailbox: %s", strerror(-rc));
	smtp_pool_put(f->g->mailbox, c, rc >= 0 || rc == -EAGAIN);
	return rc;
}

static int
deposit_as_new(struct fetch *f, const struct fetch_message *m)
{
	struct buf source = BUF_INIT_MAX(SOURCE_MAX + 200);
	char trace[ID_LEN + 1];
	/* Binary: a NUL or a bare LF is the other side's doing, and nothing
	 * that mail is to be lost for. */
	struct smtp_client_mail mail = { .size = spool_size(m->body),
		.body = SMTP_BODY_BINARYMIME,
		.smtputf8 = !is_ascii(slice_str(f->o.account)) };
	int rc;

	id_new(trace);
	mail.trace = slice_str(trace);
	if (!put_source(m, was_there_before(f, m), &source)) {
		fetch_fail(f, FETCH_RETRY, "our mailbox: %s", strerror(ENOMEM));
		rc = -ENOMEM;
	} else {
		mail.source = buf_slice(&source);
		rc = f->gather.on ? fetch_gather_put(f, m, &mail) : -ENOSYS;
		if (rc == -ENOSYS)
			rc = hand_over(f, m, &mail, m->body);
	}
	buf_clear(&source);
	return rc;
}

/* --- what we had put in there ourselves (push.h) --- */

int
fetch_octets_id(
    struct slice head, struct spool *body, unsigned char out[static STATE_ID])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	struct slice part;
	uint64_t at = 0;
	int rc = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
		EVP_DigestUpdate(c, head.p, head.n) == 1
	    ? 0
	    : -ENOMEM;

	while (rc == 0 && at < spool_size(body)) {
		if ((rc = spool_view(body, at, &part)) == 0 &&
		    EVP_DigestUpdate(c, part.p, part.n) != 1)
			rc = -ENOMEM;
		at += part.n;
	}
	if (rc == 0 && EVP_DigestFinal_ex(c, md, NULL) != 1)
		rc = -ENOMEM;
	if (rc == 0)
		memcpy(out, md, STATE_ID);
	EVP_MD_CTX_free(c);
	return rc;
}

static bool
is_for_inbox(const struct fetch_message *m)
{
	return slice_eq_str(m->mailbox, "INBOX");
}

/* 1 with *out, which is to be cleared in any case; 0: it was not; or an
 * error. */
static int
find_put_in(
    struct fetch *f, const struct fetch_message *m, struct state_put_in *out)
{
	struct state *s = f->g->state;
	unsigned char id[STATE_ID];
	int rc;

	*out = (struct state_put_in){ .text = BUF_INIT };
	/* Below `into` is all that is there, whatever else is here. */
	if (*f->o.into != '\0' || (rc = state_put_in_any(s, f->o.address)) == 0)
		return 0;
	if (rc < 0)
		return rc;
	rc = -ENOENT;
	if (is_for_inbox(m))
		rc = state_put_in_at(
		    s, f->o.address, m->uidvalidity, m->uid, out);
	if (rc == -ENOENT &&
	    (rc = fetch_octets_id(SLICE_EMPTY, m->body, id)) == 0) {
		buf_clear(&out->text);
		rc = state_put_in_of(s, f->o.address, id, out);
	}
	return rc == -ENOENT ? 0 : rc == 0 ? 1 : rc;
}

/* The field that went on top of it; mailbox puts its own. */
static int
without_return_path(struct fetch *f, const struct fetch_message *m,
    const struct state_put_in *p, struct spool **out)
{
	struct buf field = BUF_INIT;
	struct slice head, part;
	uint64_t at = 0;
	int rc = spool_new(out, f->g->spool_dir);

	buf_printf(
	    &field, "Return-Path: <%.*s>\r\n", (int)p->from.n, p->from.p);
	if (rc == 0 && field.failed)
		rc = -ENOMEM;
	if (rc == 0)
		rc = spool_head(m->body, field.n, &head);
	if (rc == 0 && slice_eq(head, buf_slice(&field)))
		at = field.n;
	while (rc == 0 && at < spool_size(m->body)) {
		if ((rc = spool_view(m->body, at, &part)) == 0)
			rc = spool_write(*out, part);
		at += part.n;
	}
	buf_clear(&field);
	return rc;
}

/* As qm delivers it, under its own id: so it is put in once, whoever comes
 * first, and also where it is to be here by this way only. */
static int
deposit_put_in(struct fetch *f, const struct fetch_message *m,
    const struct state_put_in *p)
{
	struct spool *body = NULL;
	struct smtp_client_mail mail = { .from = p->from,
		.body = SMTP_BODY_BINARYMIME,
		.smtputf8 =
		    !is_ascii(slice_str(f->o.account)) || !is_ascii(p->from),
		.trace = p->trace,
		.source = SLICE_LIT("-") };
	int rc = without_return_path(f, m, p, &body);

	if (rc == 0) {
		mail.size = spool_size(body);
		rc = hand_over(f, m, &mail, body);
	} else {
		fetch_fail(f, FETCH_RETRY, "our spool: %s", strerror(-rc));
	}
	spool_free(&body);
	if (rc != 0)
		return rc;
	f->put_known = true;
	/* It is in INBOX here; there it has been moved meanwhile. */
	if (!is_for_inbox(m))
		f->put_uidvalidity = f->put_uid = 0;
	rc = state_put_in_forget(
	    f->g->state, f->o.address, p, m->uidvalidity, m->uid);
	if (rc != 0)
		fetch_fail(f, FETCH_RETRY, "our state: %s", strerror(-rc));
	return rc;
}

int
fetch_deposit(struct fetch *f, const struct fetch_message *m)
{
	struct state_put_in p;
	int rc = find_put_in(f, m, &p);

	f->put_known = false;
	if (rc == 0)
		rc = deposit_as_new(f, m);
	else if (rc == 1)
		rc = deposit_put_in(f, m, &p);
	else
		fetch_fail(f, FETCH_RETRY, "our state: %s", strerror(-rc));
	buf_clear(&p.text);
	return rc;
}

/* --- one run --- */

/* RFC 6761 6.3: nobody is asked what localhost is. */
int
gateway_addresses(struct gateway *g, struct arena *a, const struct outside *o,
    const struct outside_server *s, struct net_addr **out, size_t *n)
{
	const char *host =
	    strcasecmp(s->host, "localhost") == 0 ? "127.0.0.1" : s->host;
	int rc = dns_addresses(g->dns, a, host, out, n, NULL);
	size_t kept = 0;

	for (size_t i = 0; rc == 0 && i < *n; i++) {
		if (o->public_only && !net_addr_is_global(&(*out)[i]))
			continue;
		(*out)[kept] = (*out)[i];
		net_addr_set_port(&(*out)[kept++], s->port);
	}
	*n = rc == 0 ? kept : *n;
	return rc == 0 && kept == 0 ? -ENODATA : rc;
}

static enum fetch_end
get_token(struct fetch *f, const char *refused)
{
	struct buf token = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + 2);
	int rc = token_get(f->g->tokens, &f->o, refused, &token, &f->why);

	buf_wipe(&f->secret);
	if (rc == 0 &&
	    (!buf_put_slice(&f->secret, buf_slice(&token)) ||
		!buf_put_char(&f->secret, '\0')))
		rc = -EAGAIN;
	buf_wipe(&token);
	if (rc == -ECANCELED)
		return fetch_fail(f, FETCH_RETRY, "stopped");
	return rc == 0                       ? FETCH_OK
	    : rc == -EACCES || rc == -EINVAL ? FETCH_LOGIN
					     : FETCH_RETRY;
}

enum fetch_end
fetch_renew(struct fetch *f, enum fetch_end end)
{
	struct buf refused = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + 2);

	if (end != FETCH_LOGIN || f->o.sign_in != OUTSIDE_OAUTH || f->renewed ||
	    !buf_put_slice(&refused, buf_slice(&f->secret)))
		return end;
	f->renewed = true;
	buf_reset(&f->why);
	end = get_token(f, buf_str(&refused));
	buf_wipe(&refused);
	return end;
}

static enum fetch_end
connect_once(struct fetch *f, fetch_open_fn open, void *arg)
{
	struct buf said = BUF_INIT;
	enum fetch_end end = FETCH_OK;
	int rc = -EHOSTUNREACH;

	for (size_t i = 0; i < f->n_addrs; i++) {
		buf_reset(&said);
		rc = open(arg, &f->addrs[i], &said);
		if (rc == 0 || rc == -EACCES || rc == -EBUSY ||
		    rc == -ECANCELED)
			break;
	}
	if (rc != 0)
		end = fetch_fail_open(f, rc, buf_str(&said));
	buf_clear(&said);
	return end;
}

enum fetch_end
fetch_connect(struct fetch *f, fetch_open_fn open, void *arg)
{
	enum fetch_end end = connect_once(f, open, arg);

	if (end == FETCH_LOGIN && (end = fetch_renew(f, end)) == FETCH_OK)
		end = connect_once(f, open, arg);
	return end;
}

static enum fetch_end
get_password(struct fetch *f)
{
	int rc = outside_secret(f->g->accounts, &f->o, &f->secret);

	if (rc == 0 && memchr(f->secret.p, '\0', f->secret.n) != NULL)
		rc = -EBADMSG;
	if (rc == 0 && !buf_put_char(&f->secret, '\0'))
		rc = -ENOMEM;
	if (rc == -ENOENT)
		return fetch_fail(f, FETCH_LOGIN, "there is no password");
	if (rc != 0)
		return fetch_fail(f, FETCH_LOGIN,
		    "the password cannot be unsealed: %s",
		    rc == -EBADMSG ? "it was sealed with another key"
				   : strerror(-rc));
	return FETCH_OK;
}

/* One that was removed, and has been added again since, begins anew. */
static enum fetch_end
claim(struct fetch *f)
{
	int rc = state_claim(f->g->state, f->o.address, f->o.id);

	return rc == 0
	    ? FETCH_OK
	    : fetch_fail(f, FETCH_RETRY, "our state: %s", strerror(-rc));
}

enum fetch_end
fetch_prepare(struct fetch *f, const char *address)
{
	enum fetch_end end;
	int rc;

	f->a = ARENA_INIT_MAX((size_t)1 << 20);
	f->secret = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + 2);
	f->why = BUF_INIT_MAX(1000);
	rc = outside_get(f->g->accounts, &f->a, slice_str(address), &f->o);
	if (rc == -ENOENT)
		return fetch_fail(f, FETCH_GONE, "no outside account");
	if (rc != 0)
		return fetch_fail(
		    f, FETCH_RETRY, "accounts: %s", strerror(-rc));
	/* Only the gateway writes; `pneu outside test` does not. */
	if (f->g->tokens != NULL && (end = claim(f)) != FETCH_OK)
		return end;
	end = f->o.sign_in == OUTSIDE_OAUTH ? get_token(f, NULL)
					    : get_password(f);
	/* Of Gmail, http_stream knows it by itself. */
	if (end != FETCH_OK || f->o.protocol == OUTSIDE_GMAIL)
		return end;
	rc = gateway_addresses(
	    f->g, &f->a, &f->o, &f->o.server, &f->addrs, &f->n_addrs);
	return rc == 0 ? FETCH_OK : fetch_fail_name(f, rc);
}

/* One host has a maildrop by any of the usual ports. */
static unsigned
port_of(const struct outside *o)
{
	static const uint16_t usual[] = { 110, 143, 443, 993, 995 };

	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		if (o->server.port == usual[i])
			return 0;
	return o->server.port;
}

/* Whose maildrop it is, and for whom: an account that was removed and added
 * again has its mail anew, wherever that went meanwhile. */
static int
bind_state(struct fetch *f)
{
	const struct outside *o = &f->o;
	unsigned char print[STATE_ID];
	struct buf b = BUF_INIT;
	int rc;

	for (const char *p = o->server.host; *p != '\0'; p++)
		buf_put_char(&b, ascii_lower(*p));
	buf_printf(&b, "%c%u%c%d%c%s%c%s%c%lld", 0, port_of(o), 0,
	    (int)o->protocol, 0, o->user, 0, o->account, 0,
	    (long long)o->created_s);
	state_id(buf_slice(&b), print);
	rc = b.failed ? -ENOMEM : state_bind(f->g->state, o->address, print);
	buf_clear(&b);
	return rc;
}

enum fetch_end
fetch_run(struct fetch *f, const char *address)
{
	enum fetch_end end = FETCH_OK;
	int rc;

	f->messages = f->octets = f->refused = 0;
	f->more = f->can_idle = f->told = false;
	/* One that is over soon needs no progress. */
	f->told_ms = clock_mono_ms();
	f->not_before_s = 0;
	f->why.max = 1000;
	buf_reset(&f->why);
	if (f->imap == NULL) {
		fetch_clear(f);
		f->renewed = false;
		end = fetch_prepare(f, address);
		if (end == FETCH_OK && !f->probe &&
		    (rc = bind_state(f)) != 0)
			end = fetch_fail(
			    f, FETCH_RETRY, "our state: %s", strerror(-rc));
	}
	if (end != FETCH_OK)
		return end;
	switch (f->o.protocol) {
	case OUTSIDE_GMAIL:
		return fetch_gmail(f);
	case OUTSIDE_IMAP:
		return fetch_imap(f);
	default:
		return fetch_pop3(f);
	}
}

bool
fetch_had_its_turn(const struct fetch *f)
{
	return f->messages >= FETCH_BATCH &&
	    (f->g->others_wait ||
		f->messages >= FETCH_BATCH * (uint64_t)FETCH_BATCHES);
}

void
fetch_progress(struct fetch *f, uint64_t left)
{
	const struct state_progress p = { f->messages, left };
	int64_t now_ms = clock_mono_ms();

	if (now_ms - f->told_ms < PROGRESS_MS)
		return;
	f->told_ms = now_ms;
	f->told = true;
	/* For people only: what is not told now is told next time. */
	(void)state_progress_put(f->g->state, f->o.address, &p);
}

int
fetch_idle(struct fetch *f, struct co_event *also, int64_t timeout_ms)
{
	return f->imap == NULL ? -ENOTCONN
			       : imap_session_idle(f, also, timeout_ms);
}

void
fetch_clear(struct fetch *f)
{
	imap_session_free(&f->imap);
	fetch_gather_drop(f);
	buf_wipe(&f->secret);
	buf_clear(&f->why);
	arena_reset(&f->a);
}
