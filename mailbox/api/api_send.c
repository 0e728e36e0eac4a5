/* SPDX-License-Identifier: ISC */
/*
 * /send: the message goes to msa, which decides who may send as whom, how much,
 * and completes the header, as for every mail program; by XCLIENT it is told
 * whose session this is. /drafts: the same, but kept.
 */
#include <errno.h>

#include "common/base/log.h"
#include "common/mail/header.h"
#include "common/net/service.h"
#include "common/smtp/client.h"
#include "common/smtp/spool.h"
#include "mailbox/api/api_compose.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/quota.h"

#define SEND_JSON_MAX ((size_t)24 << 20)
#define SEND_HEADER_MAX ((size_t)64 << 10)

/* --- msa --- */

/* Our session there as the account's; the banner after XCLIENT is read by
 * smtp_client_open_conn. */
static int
open_msa(struct api_call *c, struct smtp_client **out)
{
	const struct smtp_client_conf conf = {
		.hostname = service_hostname(),
		.timeout_ms = 300000,
	};
	struct net_addr to;
	struct smtp_reply said;
	struct conn *conn = NULL;
	struct slice line;
	struct buf login = BUF_INIT;
	char peer[128];
	int rc = net_addr_parse(&to, c->env->msa, c->env->run_dir);

	if (rc == 0)
		rc = conn_connect(&conn, &to, NULL, 10000);
	if (rc != 0) {
		log_warning("msa not reached", "error=%s", strerror(-rc));
		return -EAGAIN;
	}
	do {
		rc = conn_read_line(conn, 4096, &line, NULL);
	} while (rc == 0 && slice_starts(line, "220-"));
	if (rc == 0 && !slice_starts(line, "220 "))
		rc = -EPROTO;
	smtp_xtext_encode(slice_str(c->account), &login);
	net_addr_host(conn_peer(c->x->c), peer);
	if (rc == 0)
		rc = conn_printf(conn, "XCLIENT ADDR=%s LOGIN=%s\r\n",
		    net_addr_is_unix(conn_peer(c->x->c)) ? "[UNAVAILABLE]"
							 : peer,
		    buf_str(&login));
	buf_clear(&login);
	if (rc != 0) {
		conn_free(&conn);
		return -EAGAIN;
	}
	rc = smtp_client_open_conn(out, conn, &conf, &said);
	if (rc != 0)
		log_warning("msa refuses us", "code=%d", said.code);
	return rc == 0 ? 0 : -EAGAIN;
}

/* What msa said, as a problem. */
static int
problem_of(struct api_call *c, const struct smtp_reply *r, const char *code)
{
	char text[400];

	snprintf(text, sizeof(text), "%d %s %.*s", r->code, r->enhanced,
	    r->text.n > 300 ? 300 : (int)r->text.n, r->text.p);
	if (r->code == 452 && strcmp(r->enhanced, "4.7.1") == 0)
		code = "sending-limit";
	else if (r->code / 100 == 4)
		code = "try-later";
	else if (r->code == 552)
		code = "too-large";
	else if (strcmp(r->enhanced, "5.7.1") == 0)
		code = "not-your-address";
	api_problem(c, code, text);
	return API_REPLIED;
}

static int
check_rcpts(
    struct api_call *c, const struct smtp_client_rcpt *rcpts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!rcpts[i].accepted)
			return problem_of(c, &rcpts[i].reply, "bad-recipient");
	return 0;
}

static int
transaction(struct api_call *c, struct smtp_client *client,
    const struct api_outgoing *o, struct spool *body)
{
	struct smtp_client_mail m = {
		.from = o->from,
		.size = spool_size(body),
		.body = spool_is_8bit(body) ? SMTP_BODY_8BITMIME
					    : SMTP_BODY_7BIT,
		.smtputf8 = o->smtputf8,
	};
	struct smtp_client_rcpt *rcpts =
	    arena_array(c->a, o->n_rcpts, sizeof(*rcpts));
	struct smtp_reply said;
	int rc;

	if (rcpts == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_rcpts; i++)
		rcpts[i].address = o->rcpts[i];
	rc = smtp_client_mail(client, &m, rcpts, o->n_rcpts, &said);
	if (rc != 0)
		return rc == -EINVAL ? rc : -EAGAIN;
	if (!smtp_reply_is_positive(&said))
		return problem_of(c, &said, "not-accepted");
	if ((rc = check_rcpts(c, rcpts, o->n_rcpts)) != 0)
		return rc;
	rc = smtp_client_send(
	    client, SLICE_EMPTY, body, rcpts, o->n_rcpts, &said);
	if (rc != 0)
		return -EAGAIN;
	return smtp_reply_is_positive(&said)
	    ? 0
	    : problem_of(c, &said, "not-accepted");
}

static int
hand_over(
    struct api_call *c, const struct api_outgoing *o, struct spool *body)
{
	struct smtp_client *client = NULL;
	int rc;

	if (o->n_rcpts == 0) {
		api_problem(c, "bad-value", "there is nobody to send it to");
		return API_REPLIED;
	}
	if ((rc = open_msa(c, &client)) == 0)
		rc = transaction(c, client, o, body);
	smtp_client_free(&client);
	return rc;
}

/* --- what is kept here --- */

/* In the mailbox of that use; *id is 0 where the account has none. */
static int
store_in(struct api_call *c, unsigned use, uint32_t flags, struct spool *body,
    uint64_t *id, uint32_t *uid)
{
	struct mails_message *msg = NULL;
	struct mails_target t = { .account = c->account,
		.flags = flags,
		.internaldate = INT64_MIN };
	struct mails_quota quota;
	struct mails_info *list;
	struct slice piece;
	size_t n;
	int rc = mails_list(c->env->mails, c->account, c->a, &list, &n);

	*id = 0;
	for (size_t i = 0; rc == 0 && i < n && *id == 0; i++)
		if ((list[i].attrs & use) != 0 && list[i].id != 0) {
			*id = list[i].id;
			t.mailbox = slice_str(list[i].name);
		}
	if (rc != 0 || *id == 0 ||
	    (rc = quota_get(c->env->accounts, c->a, c->account, &quota)) != 0)
		return rc;
	t.quota = &quota;
	if ((rc = mails_message_begin(c->env->mails, &msg)) == 0)
		rc = mails_message_for(msg, t.account);
	for (uint64_t at = 0; rc == 0 && at < spool_size(body); at += piece.n)
		if ((rc = spool_view(body, at, &piece)) == 0)
			rc = mails_message_write(msg, piece);
	if (rc == 0 && (rc = mails_message_end(msg)) == 0)
		rc = mails_deliver(msg, &t, 1);
	mails_message_free(&msg);
	*uid = t.uid;
	return rc;
}

static void
mark_answered(struct api_call *c, const struct api_outgoing *o)
{
	struct mails_view *v = NULL;
	uint32_t seq, *failed;
	size_t n_failed;
	bool exact = false;

	if (o->answered_uid == 0 ||
	    api_open(c, o->answered_box.name, &v) != 0)
		return;
	seq = mails_view_seq(v, o->answered_uid, &exact);
	if (exact)
		mails_store_flags(v, &seq, 1, MAILS_FLAGS_ADD, MAILS_ANSWERED,
		    NULL, 0, true, c->a, &failed, &n_failed);
	mails_view_close(&v);
}

static json_t *
stored_json(const struct api_outgoing *o, uint64_t id, uint32_t uid)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)id);
	return json_pack("{s:o, s:o, s:o}", "message_id",
	    o->message_id.p != NULL ? api_text(o->message_id) : json_null(),
	    "mailbox", uid > 0 ? json_string(text) : json_null(), "uid",
	    uid > 0 ? json_integer(uid) : json_null());
}

/* --- the requests --- */

static bool
is_raw(struct api_call *c)
{
	struct slice type = http_head_get(&c->x->head, "Content-Type");

	return slice_eq_str_nocase(
	    slice_trim(slice_split(&type, ';')), "message/rfc822");
}

/* LF alone becomes CRLF. */
static int
spool_text(struct spool *s, struct slice piece, char *last)
{
	int rc = 0;

	while (rc == 0 && piece.n > 0) {
		ssize_t lf = slice_find(piece, '\n');
		size_t n = lf < 0 ? piece.n : (size_t)lf;

		if (n > 0) {
			rc = spool_write(s, slice_head(piece, n));
			*last = piece.p[n - 1];
		}
		if (rc == 0 && lf >= 0) {
			rc = spool_write(s, *last == '\r' ? SLICE_LIT("\n")
							  : SLICE_LIT("\r\n"));
			*last = '\n';
		}
		piece = slice_from(piece, lf < 0 ? n : n + 1);
	}
	return rc;
}

static int
take_raw(struct api_call *c, struct api_outgoing *o, struct spool *body)
{
	struct slice piece;
	char last = '\0';
	int rc;

	while ((rc = http_body_read(c->x, c->env->max_size, &piece)) == 0 &&
	    piece.n > 0)
		if ((rc = spool_text(body, piece, &last)) != 0)
			return rc;
	if (rc != 0)
		return http_api_body_problem(c->x, api_problems, rc);
	if ((rc = spool_head(body, SEND_HEADER_MAX, &piece)) != 0)
		return rc;
	return api_compose_raw(
	    c, slice_head(piece, header_size(piece)), o);
}

static int
take_json(struct api_call *c, struct api_outgoing *o, struct spool *body)
{
	int rc = api_read_json(c, SEND_JSON_MAX);

	if (rc == 0)
		rc = api_compose(c, o);
	if (rc == 0)
		rc = spool_write(body, buf_slice(&o->message));
	buf_clear(&o->message);
	return rc;
}

static int
send_it(struct api_call *c, struct api_outgoing *o, struct spool *body)
{
	bool save = true;
	uint64_t id = 0;
	uint32_t uid = 0;
	int rc;

	if ((rc = c->in != NULL ? api_in_bool(c, "save", &save) : 0) != 0 ||
	    (rc = hand_over(c, o, body)) != 0)
		return rc;
	/* It has gone: nothing from here on may say that it has not. */
	if (save &&
	    (rc = store_in(c, MAILS_SENT, MAILS_SEEN, body, &id, &uid)) != 0)
		log_warning("sent message not kept", "account=%s error=%s",
		    log_qs(c->account), strerror(-rc));
	mark_answered(c, o);
	return api_json(c, 202, stored_json(o, id, uid));
}

int
api_send(struct api_call *c)
{
	struct api_outgoing o = { .n_rcpts = 0 };
	struct spool *body = NULL;
	int rc = spool_new(&body, c->env->spool_dir);

	if (rc == 0)
		rc = is_raw(c) ? take_raw(c, &o, body) : take_json(c, &o, body);
	if (rc == 0)
		rc = send_it(c, &o, body);
	spool_free(&body);
	return rc;
}

int
api_drafts_post(struct api_call *c)
{
	struct api_outgoing o = { .n_rcpts = 0 };
	struct spool *body = NULL;
	uint64_t id;
	uint32_t uid = 0;
	int rc = spool_new(&body, c->env->spool_dir);

	if (rc == 0)
		rc = take_json(c, &o, body);
	if (rc == 0)
		rc = store_in(c, MAILS_DRAFTS, MAILS_DRAFT | MAILS_SEEN, body,
		    &id, &uid);
	spool_free(&body);
	if (rc == 0 && uid == 0)
		return api_problem(c, "no-such-mailbox", "no Drafts");
	return rc != 0 ? rc : api_json(c, 201, stored_json(&o, id, uid));
}
