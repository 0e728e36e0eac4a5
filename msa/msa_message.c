/* SPDX-License-Identifier: ISC */
/*
 * The end of data: check whom the header names, complete it, and stream the
 * message to qm. The answer is qm's.
 */
#include "msa/msa.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"
#include "common/mail/date.h"
#include "common/mail/header.h"

/* RFC 5321 4.4. The client's address is left out unless it is wanted: it is
 * the user's own business. Without a from clause nothing untrue is said. */
static void
put_received_from(struct smtp_session *s, struct buf *out)
{
	const struct net_addr *peer = conn_peer(smtp_session_conn(s));
	char host[128];

	net_addr_host(peer, host);
	buf_put_str(out, "from ");
	buf_put_slice(out, smtp_session_helo(s));
	if (net_addr_is_unix(peer))
		buf_put_str(out, " (local socket)");
	else
		buf_printf(out, " ([%s%s])",
		    strchr(host, ':') != NULL ? "IPv6:" : "", host);
	buf_put_str(out, "\r\n\t");
}

static void
put_received(struct smtp_session *s, struct buf *out)
{
	const struct conn *c = smtp_session_conn(s);

	buf_put_str(out, "Received: ");
	if (msa_of(s)->received_client)
		put_received_from(s, out);
	buf_printf(out, "by %s with %s", smtp_session_server(s)->hostname,
	    smtp_session_with(s));
	if (conn_is_tls(c))
		buf_printf(
		    out, " (%s %s)", conn_tls_version(c), conn_tls_cipher(c));
	buf_printf(out, "\r\n\tid %s", smtp_session_id(s));
	if (smtp_session_mail(s)->wishes.has_priority)
		buf_printf(out, "\r\n\tPRIORITY %d", /* RFC 6710 4.1 2 */
		    smtp_session_mail(s)->wishes.priority);
	buf_put_str(out, ";\r\n\t");
	date_put(out, (struct date){ clock_wall_s(), 0 });
	buf_put_str(out, "\r\n");
}

static struct slice
domain_of(struct slice address)
{
	ssize_t at = slice_rfind(address, '@');

	return at < 0 ? SLICE_EMPTY : slice_from(address, (size_t)at + 1);
}

/* The octets behind the header, for smtp_client_send_from. */
struct rest {
	struct spool *body;
	uint64_t at;
};

static ssize_t
read_rest(void *arg, void *p, size_t n)
{
	struct rest *r = arg;
	size_t got;
	int rc = spool_read(r->body, r->at, p, n, &got);

	r->at += rc == 0 ? got : 0;
	return rc == 0 ? (ssize_t)got : rc;
}

/* qm keeps a message for all recipients or for none, so the first reply that
 * is not good stands for all. */
static struct smtp_reply
result_of(const struct smtp_client_rcpt *rcpts, size_t n,
    const struct smtp_reply *whole)
{
	for (size_t i = 0; i < n; i++)
		if (!smtp_reply_is_positive(&rcpts[i].reply))
			return rcpts[i].reply;
	return *whole;
}

static int
queue(struct smtp_session *s, struct msa_session *m, struct spool *body,
    size_t header_n, struct buf *head, struct smtp_reply *reply)
{
	struct rest rest = { body, header_n };
	struct smtp_reply whole = { 0 };
	struct smtp_client *qm = m->qm;
	int rc;

	m->qm = NULL;
	rc = smtp_client_send_from(qm, buf_slice(head), read_rest, &rest,
	    spool_size(body) - header_n, m->rcpts, m->n_rcpts, &whole);
	if (rc == 0) {
		*reply = result_of(m->rcpts, m->n_rcpts, &whole);
		if (smtp_reply_is_positive(reply))
			*reply = smtp_reply_f(smtp_session_tx_arena(s), 250,
			    "2.0.0", "queued as %s", smtp_session_id(s));
		else
			reply->text =
			    arena_dup(smtp_session_tx_arena(s), reply->text);
	} else {
		smtp_session_because(
		    s, "qm does not answer: %s", strerror(-rc));
		log_warning("queueing failed", "peer=%s error=\"%s\"",
		    smtp_client_remote(qm), strerror(-rc));
		*reply = SMTP_REPLY(
		    451, "4.3.0", "the queue does not answer, try again later");
	}
	smtp_pool_put(msa_of(s)->qm, qm, rc == 0);
	return reply->text.p == NULL ? -ENOMEM : 0;
}

/* Only what was accepted counts. */
static int
queue_counted(struct smtp_session *s, struct msa_session *m,
    struct spool *body, size_t header_n, struct buf *head,
    struct smtp_reply *reply)
{
	struct sent_count count;
	int rc = msa_limits_take(s, m->n_rcpts, &count, reply);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = queue(s, m, body, header_n, head, reply);
	if (rc != 0 || !smtp_reply_is_positive(reply))
		msa_limits_give_back(s, &count);
	return rc;
}

/* The name of the account, for a From that we make of its own address; ""
 * else, or when it cannot be known. */
static struct slice
account_name(struct smtp_session *s, struct slice from)
{
	struct slice account = slice_str(smtp_session_authenticated(s));
	struct accounts_account record;

	if (!slice_eq_nocase(account, from) ||
	    accounts_account_get(msa_of(s)->accounts, smtp_session_tx_arena(s),
		account, &record) != 0)
		return SLICE_EMPTY;
	return slice_str(record.name);
}

/* Whose domain recipients without one are given, and what went wrong. */
struct known {
	struct smtp_session *session;
	struct slice domain;
	int rc;
};

/* RFC 6409 8: "must be verified to be a valid local part in the domain". That
 * a catch-all would take it says nothing. */
static bool
is_known(void *arg, struct slice local)
{
	struct known *k = arg;
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_resolution r;
	int rc = accounts_resolve(
	    msa_of(k->session)->accounts, &a, local, k->domain, &r);
	bool known = rc == 0 &&
	    (r.fate == ACCOUNTS_DELIVER || r.fate == ACCOUNTS_DISABLED ||
		(r.fate == ACCOUNTS_FORWARD && !r.catch_all));

	if (rc != 0 && k->rc == 0)
		k->rc = rc;
	arena_reset(&a);
	return known;
}

static int
complete_header(struct smtp_session *s, const struct msa_as *as,
    struct slice header, struct buf *out)
{
	struct slice account = slice_str(smtp_session_authenticated(s));
	struct slice from = smtp_session_mail(s)->from.text;
	struct known known = { .session = s, .domain = domain_of(account) };
	struct msa_fixup f;

	if (as->address.p != NULL)
		from = as->address;
	else if (from.n == 0)
		from = account;
	f = (struct msa_fixup){ .fixes = msa_of(s)->fixes,
		.from = from,
		.from_name = account_name(s, from),
		.sender = from,
		.id_domain = domain_of(from),
		.now_s = clock_wall_s(),
		.domain = known.domain,
		.is_known = msa_of(s)->fixes & MSA_FIX_QUALIFY_ALWAYS
		    ? NULL
		    : is_known,
		.arg = &known };
	put_received(s, out);
	msa_fixup_header(header, &f, out);
	buf_put_str(out, "\r\n");
	return out->failed ? -ENOMEM : known.rc;
}

/* The first octets of the message in `room`. */
static int
read_head(struct spool *body, size_t n, struct buf *room, struct slice *out)
{
	size_t got;
	int rc;

	if (!buf_reserve(room, n))
		return -ENOMEM;
	if ((rc = spool_read(body, 0, room->p, n, &got)) != 0)
		return rc;
	room->n = got;
	*out = buf_slice(room);
	return 0;
}

/*
 * The header as an exact prefix of the body, in the spool or in `room`.
 * -EMSGSIZE: over MSA_HEADER_MAX.
 */
static int
find_header(struct spool *body, struct buf *room, struct slice *header)
{
	struct slice head;
	int rc = spool_head(body, 65536, &head);

	if (rc == 0 && !msa_header_measure(head, spool_size(body), header)) {
		rc = read_head(body, MSA_HEADER_MAX, room, &head);
		if (rc == 0 &&
		    !msa_header_measure(head, spool_size(body), header))
			rc = -EMSGSIZE;
	}
	return rc;
}

/* Fields of recipients that are longer now. */
static void
say_domains(struct slice was, struct slice is, struct buf *out)
{
	static const char *const names[] = { "To", "Cc", "Reply-To" };
	struct header_field a, b;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (header_find(was, names[i], &a) &&
		    header_find(is, names[i], &b) && b.value.n > a.value.n)
			buf_printf(out, "%sadded a domain in %s",
			    out->n > 0 ? ", " : "", names[i]);
}

/* For the trace: what was done to the header. */
static void
say_changes(struct smtp_session *s, const struct msa_as *as, struct slice was,
    struct slice is)
{
	static const char *const names[] = { "Date", "Message-ID", "From",
		"Sender", "Bcc" };
	struct buf b = BUF_INIT_MAX(1024);
	struct header_field f;

	if (as->address.p != NULL) {
		buf_put_str(&b, "sent as <");
		buf_put_slice(&b, as->address);
		buf_put_char(&b, '>');
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		bool had = header_find(was, names[i], &f);

		if (had == header_find(is, names[i], &f))
			continue;
		buf_printf(&b, "%s%s %s", b.n > 0 ? ", " : "",
		    had ? "removed" : "added", names[i]);
	}
	say_domains(was, is, &b);
	if (b.n > 0)
		smtp_session_because(s, "%s", buf_str(&b));
	buf_clear(&b);
}

/* The header as it is to leave into `out`, and the envelope. 0; 1 with *reply;
 * or an error. */
static int
make_header(struct smtp_session *s, struct msa_session *m,
    struct slice header, struct buf *out, struct smtp_reply *reply)
{
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	struct buf changed = BUF_INIT_MAX(MSA_HEADER_MAX * 2);
	struct msa_as as;
	int rc = msa_check_header(s, header, reply);

	if (rc == 0)
		rc = msa_as_find(s, &a, header, &as, reply);
	if (rc == 0 && as.address.p != NULL) {
		rc = msa_as_apply(s, m, &a, header, &as, &changed, reply);
		header = buf_slice(&changed);
	}
	if (rc == 0)
		rc = complete_header(s, &as, header, out);
	if (rc == 0 && trace_is_on())
		say_changes(s, &as, header, buf_slice(out));
	buf_clear(&changed);
	arena_reset(&a);
	return rc;
}

static int
take_message(struct smtp_session *s, struct msa_session *m, struct spool *body,
    struct buf *room, struct smtp_reply *reply)
{
	struct buf out = BUF_INIT_MAX(MSA_HEADER_MAX * 2);
	struct slice header;
	int rc = find_header(body, room, &header);

	if (rc == -EMSGSIZE) {
		*reply = SMTP_REPLY(554, "5.6.0", "the header is too large");
		return 0;
	}
	/* spool_head's octets go with the next call of the spool. */
	if (rc == 0)
		rc = make_header(s, m, header, &out, reply);
	if (rc == 0)
		rc = queue_counted(s, m, body, header.n, &out, reply);
	buf_clear(&out);
	return rc < 0 ? rc : 0;
}

int
msa_message(struct smtp_session *s, struct spool *body,
    struct smtp_reply *replies, size_t n)
{
	struct msa_session *m = smtp_session_data(s);
	struct buf room = BUF_INIT_MAX(MSA_HEADER_MAX);
	int rc;

	(void)n;
	if (m->qm == NULL)
		return -ECONNRESET;
	rc = take_message(s, m, body, &room, &replies[0]);
	buf_clear(&room);
	return rc;
}
