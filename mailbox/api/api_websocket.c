/* SPDX-License-Identifier: ISC */
/*
 * Inbucket's monitor: a WebSocket (RFC 6455) on which the server says a message
 * in JSON when it has arrived. Of the client nothing is wanted but its pings
 * and its close.
 */
#include <errno.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "common/mail/transfer.h"
#include "mailbox/api/api_inbucket.h"

#define SEATS_MAX 64
#define PING_MS (15 * 1000)

enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct seat {
	struct mails_view *v;
	const char *account;
	uint32_t uidnext; /* told up to here */
};

struct monitor {
	struct api_call *c;
	struct seat seats[SEATS_MAX];
	size_t n;
	struct co_event changed;
};

/* --- frames --- */

static int
send_frame(struct conn *c, int op, struct slice payload)
{
	unsigned char head[10] = { (unsigned char)(0x80 | op) };
	size_t n = 2;
	int rc;

	if (payload.n < 126) {
		head[1] = (unsigned char)payload.n;
	} else if (payload.n < 65536) {
		head[1] = 126;
		head[2] = (unsigned char)(payload.n >> 8);
		head[3] = (unsigned char)payload.n;
		n = 4;
	} else {
		head[1] = 127;
		put_be64(head + 2, payload.n);
		n = 10;
	}
	rc = conn_write(c, slice(head, n));
	return rc == 0 ? conn_write(c, payload) : rc;
}

/* One frame of the client; all are masked (RFC 6455 5.1), and those that are
 * of use are short. 1: the end. */
static int
take_frame(struct conn *c)
{
	unsigned char head[2], mask[4];
	char payload[125];
	size_t n;
	int rc;

	if ((rc = conn_read_exact(c, head, 2)) != 0)
		return rc;
	n = head[1] & 0x7f;
	if ((head[1] & 0x80) == 0 || n > sizeof(payload)) {
		send_frame(c, OP_CLOSE, SLICE_LIT("\x03\xf1")); /* 1009 */
		return 1;
	}
	if ((rc = conn_read_exact(c, mask, 4)) != 0 ||
	    (rc = conn_read_exact(c, payload, n)) != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		payload[i] = (char)(payload[i] ^ mask[i % 4]);
	switch (head[0] & 0x0f) {
	case OP_CLOSE:
		send_frame(c, OP_CLOSE, slice(payload, n));
		return 1;
	case OP_PING:
		return send_frame(c, OP_PONG, slice(payload, n));
	default:
		return 0;
	}
}

/* --- what arrives --- */

static int
tell(struct monitor *m, struct seat *s)
{
	bool exact;
	uint32_t seq = mails_view_seq(s->v, s->uidnext - 1, &exact) + 1;
	int rc = 0;

	for (; rc == 0 && seq <= mails_view_count(s->v); seq++) {
		struct arena a = ARENA_INIT_MAX((size_t)8 << 20);
		json_t *j = NULL;
		char *text;

		rc = api_inbucket_header(s->v, seq, s->account, &a, &j);
		text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
		if (rc == 0 && text != NULL)
			rc = send_frame(
			    m->c->x->c, OP_TEXT, slice_str(text));
		else if (rc != -ECANCELED)
			rc = 0; /* one that cannot be read is left out */
		free(text);
		json_decref(j);
		arena_reset(&a);
	}
	s->uidnext = mails_view_uidnext(s->v);
	return rc;
}

static void
on_one(void *arg, uint32_t seq, uint32_t uid)
{
	(void)arg, (void)seq, (void)uid;
}

static void
on_count(void *arg, uint32_t count)
{
	(void)arg, (void)count;
}

static void
on_keywords(void *arg)
{
	(void)arg;
}

static int
look(struct monitor *m)
{
	static const struct mails_changes none = { .expunged = on_one,
		.exists = on_count, .flags = on_one, .keywords = on_keywords };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < m->n; i++) {
		if (m->seats[i].v == NULL)
			continue;
		rc = mails_view_sync(m->seats[i].v, true, &none);
		if (rc == 0)
			rc = tell(m, &m->seats[i]);
		else if (rc == -ENOENT) { /* the account was removed */
			mails_view_close(&m->seats[i].v);
			rc = 0;
		}
	}
	return rc;
}

static int
run(struct monitor *m)
{
	struct conn *c = m->c->x->c;
	int rc;

	for (;;) {
		m->changed.set = false;
		if ((rc = look(m)) != 0 || (rc = conn_flush(c)) != 0)
			return rc;
		rc = conn_wait_input(c, &m->changed, PING_MS);
		if (rc == 1)
			rc = take_frame(c);
		else if (rc == -ETIMEDOUT)
			rc = send_frame(c, OP_PING, SLICE_EMPTY);
		else if (rc == 2)
			continue;
		if (rc != 0)
			return rc;
	}
}

/* --- the beginning --- */

static int
take_seat(struct monitor *m, const char *account)
{
	struct seat *s = &m->seats[m->n];
	int rc;

	m->c->account = account;
	if ((rc = api_open(m->c, "INBOX", &s->v)) != 0)
		return rc;
	s->account = account;
	s->uidnext = mails_view_uidnext(s->v);
	mails_view_watch(s->v, &m->changed);
	m->n++;
	return 0;
}

static int
take_seats(struct monitor *m)
{
	struct api_call *c = m->c;
	struct accounts_account *all;
	const char *account;
	size_t n;
	int rc;

	if (c->param[0].n > 0) {
		rc = accounts_account_name(
		    c->env->accounts, c->a, c->param[0], &account);
		/* Nothing will arrive there. */
		return rc == -ENOENT ? 0
		    : rc == 0	     ? take_seat(m, account)
				     : rc;
	}
	rc = accounts_account_list(
	    c->env->accounts, c->a, SLICE_EMPTY, &all, &n);
	for (size_t i = 0; rc == 0 && i < n && m->n < SEATS_MAX; i++)
		rc = take_seat(m, all[i].address);
	return rc;
}

/* Browsers let any page open a WebSocket, and say which (RFC 6455 10.2). */
static bool
is_of_other_site(const struct api_call *c)
{
	struct slice origin = http_head_get(&c->x->head, "Origin");
	struct slice host = http_head_get(&c->x->head, "Host");
	ssize_t at;

	if (origin.p == NULL || api_origin_is_allowed(c->env, origin))
		return false;
	at = slice_find_slice(origin, SLICE_LIT("://"));
	return at < 0 ||
	    !slice_eq_nocase(slice_from(origin, (size_t)at + 3), host);
}

/* RFC 6455 4.2 */
static int
shake_hands(struct api_call *c)
{
	struct slice key = http_head_get(&c->x->head, "Sec-WebSocket-Key");
	struct slice upgrade = http_head_get(&c->x->head, "Upgrade");
	unsigned char sum[SHA_DIGEST_LENGTH];
	struct buf b = BUF_INIT;
	int rc;

	if (is_of_other_site(c)) {
		api_problem(c, "bad-origin", NULL);
		return API_REPLIED;
	}
	if (!slice_eq_str_nocase(upgrade, "websocket") || key.n != 24 ||
	    !slice_eq_str(
		http_head_get(&c->x->head, "Sec-WebSocket-Version"), "13")) {
		api_problem(c, "bad-request", "a WebSocket is expected");
		return API_REPLIED;
	}
	buf_put_slice(&b, key);
	buf_put_str(&b, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
	SHA1((const unsigned char *)b.p, b.n, sum);
	buf_reset(&b);
	base64_encode(&b, slice(sum, sizeof(sum)));
	c->x->begun = c->x->close = true;
	c->x->status = 101;
	conn_set_deadline(c->x->c, -1);
	rc = conn_printf(c->x->c,
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
	    buf_str(&b));
	buf_clear(&b);
	return rc;
}

int
api_inbucket_monitor(struct api_call *c)
{
	struct monitor *m = calloc(1, sizeof(*m));
	int rc;

	if (m == NULL)
		return -ENOMEM;
	m->c = c;
	if ((rc = take_seats(m)) == 0 && (rc = shake_hands(c)) == 0)
		rc = run(m);
	for (size_t i = 0; i < m->n; i++) {
		if (m->seats[i].v != NULL)
			mails_view_watch(m->seats[i].v, NULL);
		mails_view_close(&m->seats[i].v);
	}
	free(m);
	return rc == 1 ? 0 : rc;
}
