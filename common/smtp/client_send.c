/* SPDX-License-Identifier: ISC */
/*
 * The message: BDAT (RFC 3030) in chunks of what is at hand, else DATA; then
 * the final replies (in LMTP one for each recipient, RFC 2033 4.2).
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/smtp/client_impl.h"
#include "common/smtp/data.h"

#define CHUNK ((size_t)64 << 10)
#define CHUNKS_AHEAD 8 /* sent and not answered */

typedef ssize_t read_fn(void *arg, void *p, size_t n);

/* Where the octets come from: the prefix, then a spool or a function. */
struct source {
	struct slice prefix;
	struct spool *spool;
	read_fn *read;
	void *arg;
	char *room; /* of `read`, CHUNK octets */
	uint64_t at, size;
	bool ended;
};

struct sending {
	struct smtp_client *c;
	struct source from;
	struct smtp_encoder encoder;
	struct smtp_client_rcpt *rcpts;
	size_t n;
	struct smtp_reply *reply;
	unsigned ahead; /* chunks without reply */
	bool refused;   /* a chunk was; *reply says so */
	bool source_error;
};

/* --- the source --- */

static int
fill_from_function(struct source *s, struct slice *out)
{
	size_t n = 0;

	if (s->room == NULL && (s->room = malloc(CHUNK)) == NULL)
		return -ENOMEM;
	while (n < CHUNK && !s->ended) {
		ssize_t r = s->read(s->arg, s->room + n, CHUNK - n);

		if (r < 0)
			return (int)r;
		n += (size_t)r;
		s->ended = r == 0;
	}
	*out = slice(s->room, n);
	return 0;
}

/* The next octets; s->ended is set with the last of them. */
static int
next_octets(struct source *s, struct slice *out)
{
	int rc;

	*out = SLICE_EMPTY;
	if (s->read != NULL)
		return fill_from_function(s, out);
	if (s->spool != NULL) {
		if ((rc = spool_view(s->spool, s->at, out)) != 0)
			return rc;
		*out = slice_head(*out, CHUNK * 4);
		s->at += out->n;
	}
	s->ended = s->at == s->size;
	return 0;
}

/* --- writing --- */

static int
to_conn(void *client, struct slice octets)
{
	return conn_write(((struct smtp_client *)client)->conn, octets);
}

static int
count(void *total, struct slice octets)
{
	*(size_t *)total += octets.n;
	return 0;
}

/* The chunk, and before it the prefix when it is the first, behind it the
 * end when it is the last. */
static int
encode(struct smtp_encoder *e, struct slice prefix, struct slice octets,
    bool last, smtp_emit *emit, void *arg)
{
	int rc = smtp_encode(e, prefix, emit, arg);

	if (rc == 0)
		rc = smtp_encode(e, octets, emit, arg);
	return rc == 0 && last ? smtp_encode_end(e, emit, arg) : rc;
}

static int
write_chunk(struct sending *s, struct slice octets)
{
	struct smtp_encoder counting = s->encoder;
	size_t n = 0;
	int rc;

	encode(&counting, s->from.prefix, octets, s->from.ended, count, &n);
	rc = conn_printf(
	    s->c->conn, "BDAT %zu%s\r\n", n, s->from.ended ? " LAST" : "");
	if (rc == 0)
		rc = encode(&s->encoder, s->from.prefix, octets, s->from.ended,
		    to_conn, s->c);
	s->from.prefix = SLICE_EMPTY;
	s->ahead++;
	return rc;
}

/* --- replies --- */

static void
set_reply(struct sending *s, const struct smtp_reply *r)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->rcpts[i].accepted)
			s->rcpts[i].reply = *r;
	*s->reply = *r;
}

/* RFC 2033 5: the replies that came count; the rest is to be tried again. */
static int
lose(struct sending *s, size_t from, int rc)
{
	struct smtp_reply lost = SMTP_REPLY(
	    451, "4.4.2", "The connection was lost before the reply");

	for (size_t i = from; i < s->n; i++)
		if (s->rcpts[i].accepted)
			s->rcpts[i].reply = lost;
	if (s->reply->code == 0 || from == 0)
		*s->reply = lost;
	return rc;
}

/* One final reply; 3yz would be none. */
static int
read_final_reply(struct sending *s, struct smtp_reply *r)
{
	int rc = client_read_reply(s->c, &s->c->tx, r);

	return rc == 0 && r->code < 400 && r->code >= 300 ? -EPROTO : rc;
}

static int
read_replies_of_recipients(struct sending *s)
{
	bool first = true;
	int rc;

	for (size_t i = 0; i < s->n; i++) {
		if (!s->rcpts[i].accepted)
			continue;
		if ((rc = read_final_reply(s, &s->rcpts[i].reply)) != 0)
			return lose(s, i, rc);
		if (first)
			*s->reply = s->rcpts[i].reply;
		first = false;
	}
	return 0;
}

/* 353, a reply for each recipient, and one about the whole: a refusal of that
 * is everybody's. */
static int
read_prdr_replies(struct sending *s)
{
	struct smtp_reply whole;
	int rc = read_replies_of_recipients(s);

	if (rc == 0)
		rc = read_final_reply(s, &whole);
	if (rc != 0)
		return lose(s, 0, rc);
	for (size_t i = 0; i < s->n; i++)
		if (s->rcpts[i].accepted && whole.code >= 400 &&
		    smtp_reply_is_positive(&s->rcpts[i].reply))
			s->rcpts[i].reply = whole;
	*s->reply = whole;
	return 0;
}

static int
read_final_replies(struct sending *s)
{
	int rc;

	s->c->needs_reset = false;
	if (s->c->conf.lmtp)
		return read_replies_of_recipients(s);
	if ((rc = client_read_reply(s->c, &s->c->tx, s->reply)) != 0)
		return lose(s, 0, rc);
	if (s->c->prdr && s->reply->code == 353)
		return read_prdr_replies(s);
	if (s->reply->code >= 300 && s->reply->code < 400)
		return lose(s, 0, -EPROTO);
	set_reply(s, s->reply);
	return 0;
}

/* A server may refuse in the middle and close: then writing fails, and what it
 * said waits to be read. */
static int
read_last_words(struct sending *s, int rc)
{
	struct smtp_reply r;

	if (rc == -ECONNRESET && client_read_reply(s->c, &s->c->tx, &r) == 0 &&
	    r.code >= 400) {
		set_reply(s, &r);
		s->c->out_of_step = true;
		return 0;
	}
	s->c->out_of_step = true;
	return lose(s, 0, rc);
}

/* --- DATA --- */

static int
send_data(struct sending *s)
{
	struct smtp_client *c = s->c;
	struct slice octets;
	int rc;

	if ((rc = client_ask(c, s->reply, "DATA")) != 0)
		return lose(s, 0, rc);
	if (s->reply->code != 354) {
		set_reply(s, s->reply);
		/* 2yz or 3yz would be no answer at all. */
		if (s->reply->code < 400) {
			c->out_of_step = true;
			return lose(s, 0, -EPROTO);
		}
		return 0;
	}
	*s->reply = (struct smtp_reply){ 0 };
	c->out_of_step = true; /* until the dot */
	while (rc == 0 && !s->from.ended) {
		if ((rc = next_octets(&s->from, &octets)) != 0)
			return lose(s, 0, rc);
		rc = encode(&s->encoder, s->from.prefix, octets, s->from.ended,
		    to_conn, c);
		s->from.prefix = SLICE_EMPTY;
	}
	if (rc == 0)
		rc = conn_flush(c->conn);
	if (rc != 0)
		return read_last_words(s, rc);
	c->out_of_step = false;
	return read_final_replies(s);
}

/* --- BDAT --- */

static int
read_chunk_reply(struct sending *s)
{
	struct smtp_reply r;
	int rc = client_read_reply(s->c, &s->c->tx, &r);

	if (rc != 0)
		return lose(s, 0, rc);
	s->ahead--;
	if (r.code != 250 && !s->refused) {
		s->refused = true;
		set_reply(s, &r);
	}
	return 0;
}

/* A chunk was refused: nothing more is sent, and RSET is due. */
static int
finish_refused(struct sending *s, bool last_sent)
{
	int rc = 0;

	/* How many replies LMTP gives to a LAST that came too late is not laid
	 * down. */
	if (last_sent && s->c->conf.lmtp)
		s->c->out_of_step = true;
	while (rc == 0 && s->ahead > 0 && !s->c->out_of_step)
		rc = read_chunk_reply(s);
	if (rc == 0 && s->reply->code < 400) {
		s->c->out_of_step = true;
		return lose(s, 0, -EPROTO);
	}
	return rc;
}

static int
send_bdat(struct sending *s)
{
	unsigned most = s->c->ext & SMTP_EXT_PIPELINING ? CHUNKS_AHEAD : 1;
	struct slice octets;
	int rc = 0;

	s->encoder.chunked = true;
	while (!s->from.ended && !s->refused) {
		if ((rc = next_octets(&s->from, &octets)) != 0) {
			s->c->out_of_step = true;
			return lose(s, 0, rc);
		}
		if ((rc = write_chunk(s, octets)) != 0)
			return read_last_words(s, rc);
		while (s->ahead >= most && !s->from.ended) {
			if ((rc = read_chunk_reply(s)) != 0)
				return rc;
		}
	}
	/* All but the last have one reply each. */
	while (s->ahead > 1 && !s->refused)
		if ((rc = read_chunk_reply(s)) != 0)
			return rc;
	if (s->refused)
		return finish_refused(s, s->from.ended);
	return read_final_replies(s);
}

static size_t
count_accepted(const struct smtp_client_rcpt *rcpts, size_t n)
{
	size_t accepted = 0;

	for (size_t i = 0; i < n; i++)
		accepted += rcpts[i].accepted;
	return accepted;
}

/* --- the calls --- */

static int
send_message(struct smtp_client *c, struct source *from, enum smtp_body body,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *reply)
{
	struct sending s = {
		.c = c, .from = *from, .rcpts = rcpts, .n = n, .reply = reply
	};
	int rc;

	*reply = (struct smtp_reply){ 0 };
	if (count_accepted(rcpts, n) == 0)
		return -EINVAL;
	if (c->out_of_step)
		return lose(&s, 0, -ECONNRESET);
	s.encoder.binary = body == SMTP_BODY_BINARYMIME;
	/* RFC 5321 4.5.3.2.6: the end of the message may take twice as long as
	 * anything else. */
	conn_set_timeout(c->conn, c->conf.timeout_ms * 2);
	if (c->ext & SMTP_EXT_CHUNKING)
		rc = send_bdat(&s);
	else
		rc = send_data(&s);
	conn_set_timeout(c->conn, c->conf.timeout_ms);
	free(s.from.room);
	if (rc != 0)
		c->out_of_step = true;
	return rc;
}

int
smtp_client_send(struct smtp_client *c, struct slice prefix, struct spool *body,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *reply)
{
	struct source from = { .prefix = prefix,
		.spool = body,
		.size = body == NULL ? 0 : spool_size(body) };

	return send_message(c, &from, c->body, rcpts, n, reply);
}

int
smtp_client_send_from(struct smtp_client *c, struct slice prefix,
    ssize_t (*read)(void *arg, void *p, size_t n), void *arg, uint64_t size,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *reply)
{
	struct source from = {
		.prefix = prefix, .read = read, .arg = arg, .size = size
	};

	return send_message(c, &from, c->body, rcpts, n, reply);
}

/* --- all in one --- */

#define AHEAD_OCTETS CHUNK
#define AHEAD_RCPTS 32

/*
 * May the message go out before the envelope is answered? RFC 3030 2 says no,
 * but for a server that is known to be one of ours (XTRACE), and whose replies
 * in every case are known: LMTP gives one for each recipient it accepted.
 */
static bool
may_run_ahead(const struct smtp_client *c, const struct source *from, size_t n)
{
	unsigned need =
	    SMTP_EXT_PIPELINING | SMTP_EXT_CHUNKING | SMTP_EXT_XTRACE;

	return c->conf.lmtp && (c->ext & need) == need && n <= AHEAD_RCPTS &&
	    from->prefix.n + from->size <= AHEAD_OCTETS;
}

struct ahead {
	struct smtp_client *c;
	const struct source *from;
	bool binary, sent;
};

static int
send_ahead(void *arg)
{
	struct ahead *a = arg;
	struct sending s = { .c = a->c, .from = *a->from };
	struct slice octets;
	int rc = next_octets(&s.from, &octets);

	s.encoder =
	    (struct smtp_encoder){ .chunked = true, .binary = a->binary };
	if (rc == 0)
		rc = write_chunk(&s, octets);
	a->sent = true;
	return rc;
}

/* The replies to a message that went ahead of its envelope's. */
static int
read_ahead_replies(struct smtp_client *c, bool has_transaction,
    struct smtp_client_rcpt *rcpts, size_t n, struct smtp_reply *reply)
{
	struct sending s = { .c = c, .rcpts = rcpts, .n = n, .reply = reply };
	struct smtp_reply none;
	int rc;

	if (c->out_of_step)
		return has_transaction ? lose(&s, 0, -ECONNRESET) : 0;
	/* Without a transaction BDAT is out of order, and is told so; with one
	 * but no recipient it has no reply (RFC 2033 4.3). */
	if (!has_transaction)
		rc = client_read_reply(c, &c->tx, &none);
	else
		rc = read_final_replies(&s);
	if (rc != 0)
		c->out_of_step = true;
	return rc;
}

int
smtp_client_deliver(struct smtp_client *c, const struct smtp_client_mail *m,
    struct smtp_client_rcpt *rcpts, size_t n, struct slice prefix,
    struct spool *body, struct smtp_reply *mail_reply, struct smtp_reply *reply)
{
	struct source from = { .prefix = prefix,
		.spool = body,
		.size = body == NULL ? 0 : spool_size(body) };
	struct ahead ahead = {
		.c = c, .from = &from, .binary = m->body == SMTP_BODY_BINARYMIME
	};
	bool good;
	int rc;

	*reply = (struct smtp_reply){ 0 };
	rc = client_envelope(c, m, rcpts, n, mail_reply,
	    may_run_ahead(c, &from, n) ? send_ahead : NULL, &ahead);
	if (rc != 0)
		return rc;
	good = smtp_reply_is_positive(mail_reply);
	if (ahead.sent)
		return read_ahead_replies(c, good, rcpts, n, reply);
	if (!good || count_accepted(rcpts, n) == 0)
		return 0;
	return send_message(c, &from, m->body, rcpts, n, reply);
}
