/* SPDX-License-Identifier: ISC */
/*
 * A session of guard: one LMTP connection of mta, kept for many transactions.
 * Recipients of accounts with a quota are also asked of mailbox, which alone
 * knows what is used (one database has one owner).
 */
#include "guard/guard.h"

#include <errno.h>
#include <string.h>

#include "common/base/log.h"
#include "common/smtp/client.h"
#include "common/smtp/server.h"

#define MAILBOX_CONNECTIONS 16

static struct {
	struct accounts *accounts;
	struct smtp_pool *mailbox;
	struct smtp_server server;
} guard;

/*
 * Has the account room for a message of this size? mailbox answers RCPT with
 * 452 4.2.2 when not. The transaction is only asked for and dropped.
 */
static int
ask_mailbox(
    struct smtp_session *s, const char *account, struct smtp_reply *reply)
{
	const struct smtp_mail *m = smtp_session_mail(s);
	struct smtp_client_mail mail = { .from = SLICE_EMPTY,
		.size = m->size,
		.trace = slice_str(smtp_session_id(s)),
		.smtputf8 = m->smtputf8 };
	struct smtp_client_rcpt rcpt = { .address = slice_str(account) };
	struct smtp_reply mail_reply;
	struct smtp_client *c;
	int rc;

	if ((rc = smtp_pool_get(guard.mailbox, &c)) != 0) {
		smtp_session_because(
		    s, "mailbox does not answer: %s", strerror(-rc));
		return rc;
	}
	rc = smtp_client_mail(c, &mail, &rcpt, 1, &mail_reply);
	if (rc == 0) {
		const struct smtp_reply *r = smtp_reply_is_positive(&mail_reply)
		    ? &rcpt.reply
		    : &mail_reply;

		if (!smtp_reply_is_positive(r))
			smtp_session_because(s, "quota of %s", account);
		rc = 0;
		if (!smtp_reply_is_positive(r)) {
			*reply = *r;
			reply->text =
			    arena_dup(smtp_session_tx_arena(s), r->text);
			if (reply->text.p == NULL)
				rc = -ENOMEM;
		}
		if (rc == 0)
			rc = smtp_client_reset(c);
	}
	smtp_pool_put(guard.mailbox, c, rc == 0);
	return rc;
}

/* Does the account have a quota at all? Most have none, and cost nothing. */
static int
check_quota(
    struct smtp_session *s, const char *account, struct smtp_reply *reply)
{
	struct accounts_quota q;
	int rc = accounts_quota_get(
	    guard.accounts, smtp_session_tx_arena(s), slice_str(account), &q);

	if (rc != 0)
		return rc;
	if (q.octets == 0 && q.messages == 0 && q.domain_octets == 0 &&
	    q.domain_messages == 0)
		return 0;
	return ask_mailbox(s, account, reply);
}

/* Where the mail of the accounts is put, too: of each target in turn. */
static int
find_push(struct arena *a, const struct accounts_resolution *r,
    struct guard_push **out)
{
	bool one = r->fate == ACCOUNTS_DELIVER;
	size_t n = one ? 1 : r->n_targets;

	*out = arena_array(a, n + 1, sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *account = one ? r->account : r->target_accounts[i];
		struct accounts_account of_it;
		int rc = account == NULL ? -ENOENT
					 : accounts_account_get(guard.accounts,
					       a, slice_str(account), &of_it);

		if (rc != 0 && rc != -ENOENT)
			return rc;
		(*out)[i] = rc != 0 ? (struct guard_push){ .n = 0 }
				    : (struct guard_push){ of_it.push,
					      of_it.n_push, of_it.push_only };
	}
	return 0;
}

static int
on_rcpt(struct smtp_session *s, struct smtp_rcpt *r, struct smtp_reply *reply)
{
	const struct smtp_xforward *x = smtp_session_xforward(s);
	struct arena *a = smtp_session_tx_arena(s);
	struct accounts_resolution found;
	struct guard_push *push = NULL;
	int rc = accounts_resolve(
	    guard.accounts, a, r->to.local, r->to.domain, &found);

	if (rc == 0 &&
	    (found.fate == ACCOUNTS_DELIVER || found.fate == ACCOUNTS_FORWARD))
		rc = find_push(a, &found, &push);
	if (rc != 0)
		return rc;
	*reply = guard_verdict(a, &r->to, &found, push);
	smtp_session_because(s, "%s", found.rule);
	if (found.fate == ACCOUNTS_DELIVER && !(push->n > 0 && push->only))
		rc = check_quota(s, found.account, reply);
	log_info("verdict",
	    "rcpt=<%s> code=%d esc=%s rule=\"%s\" client=%s helo=%s",
	    log_q(r->to.text), reply->code, reply->enhanced, log_qs(found.rule),
	    log_q(x->addr), log_q(x->helo));
	return rc;
}

/* VRFY: what RCPT would say, but not where an alias leads. */
static int
on_verify(struct smtp_session *s, struct arena *a, const struct smtp_path *who,
    struct smtp_reply *reply)
{
	struct accounts_resolution found;
	int rc = accounts_resolve(
	    guard.accounts, a, who->local, who->domain, &found);

	(void)s;
	if (rc != 0)
		return rc;
	*reply = guard_verify(a, who, &found);
	return 0;
}

/* guard takes no messages: it offers no content checks yet, and who sends it
 * one has taken it for a mailbox. */
static int
on_data(struct smtp_session *s, struct smtp_reply *reply)
{
	(void)s;
	*reply = SMTP_REPLY(554, "5.3.5", "guard decides, it does not deliver");
	return 0;
}

static int
on_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	(void)s, (void)body;
	for (size_t i = 0; i < n; i++)
		replies[i] = SMTP_REPLY(
		    554, "5.3.5", "guard decides, it does not deliver");
	return 0;
}

static const struct smtp_handler handler = {
	.rcpt = on_rcpt,
	.verify = on_verify,
	.data = on_data,
	.message = on_message,
};

/* For sessions from now on. */
void
guard_reload(const struct conf *conf)
{
	size_t n_networks;

	guard.server = (struct smtp_server){
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
		.max_size = (uint64_t)1 << 40, /* mta's limit is the one */
		.tls = service_tls(),
		.xclient_from =
		    conf_list(conf, "guard.xclient_from", &n_networks),
		.max_recipients = 999999,
		.max_errors = 100,
		.timeout_ms = 3600000,
		.spool_dir = "/nonexistent",
	};
}

int
guard_start(const struct conf *conf)
{
	static struct smtp_client_conf client;
	struct buf err = BUF_INIT;
	int rc;

	client = (struct smtp_client_conf){ .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = 60000 };
	rc = accounts_open(&guard.accounts, conf, false, &err);
	if (rc == 0)
		rc = smtp_pool_new(&guard.mailbox,
		    conf_str(conf, "guard.mailbox"), conf_file(conf, "run_dir"),
		    &client, MAILBOX_CONNECTIONS);
	if (rc != 0)
		log_error("start", "error=%s reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	guard_reload(conf);
	return rc;
}

void
guard_stop(void)
{
	smtp_pool_free(&guard.mailbox);
	accounts_close(&guard.accounts);
}

size_t
guard_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	if (max < 2)
		return 0;
	/* LMDB's reader table is written by readers too. */
	out[0] = (struct service_path){ conf_file(conf, "accounts.dir"), true };
	out[1] = (struct service_path){ conf_file(conf, "run_dir"), true };
	return 2;
}

void
guard_session(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(&guard.server, c);
}
