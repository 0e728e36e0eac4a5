/* SPDX-License-Identifier: ISC */
/*
 * POP3: which messages are new is told by UIDL (RFC 1939 7). A message is noted
 * as seen once mailbox has it; one that mailbox got though the note is lost is
 * fetched again, and known there by its octets.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "gateway/fetch.h"
#include "gateway/pop3_client.h"
#include "gateway/received.h"

#define NOTE_EVERY 200 /* messages */
#define DAY_S 86400
#define NEVER_S (INT64_MAX / 2)
#define LISTED_MAX 1000000

/* A message there. */
struct listed {
	unsigned char id[STATE_ID];
	uint32_t number;
	int64_t first_s; /* seen; 0: it is new */
	bool delete;
};

struct maildrop {
	struct fetch *f;
	struct pop3_client *c;
	struct listed *v;
	size_t n, cap;
	struct state_seen *seen;
	size_t n_seen;
	struct state_seen fresh[NOTE_EVERY]; /* not noted yet */
	size_t n_fresh;
	struct listed *pending[NOTE_EVERY]; /* handed over, not safe yet */
	size_t n_pending;
	bool one_by_one;
	size_t n_new;
	uint64_t source;
	struct spool *body;
	int64_t now_s;
	size_t n_delete;
};

/* --- connecting --- */

static int
open_at(void *arg, const struct net_addr *to, struct buf *said)
{
	static const enum pop3_client_tls modes[] = { POP3_TLS_IMPLICIT,
		POP3_TLS_STLS, POP3_TLS_NONE };
	struct maildrop *m = arg;
	const struct fetch *f = m->f;
	bool by_token = f->o.sign_in == OUTSIDE_OAUTH;
	const struct pop3_client_conf conf = {
		.tls_mode = modes[f->o.server.security],
		.tls = f->g->tls,
		.host = f->o.server.host,
		.user = f->o.user,
		.password = by_token ? NULL : f->secret.p,
		.token = by_token ? f->secret.p : NULL,
	};

	return pop3_client_open(&m->c, to, &conf, said);
}

/* --- what is there --- */

static int
list_one(void *arg, uint32_t number, struct slice uid)
{
	struct maildrop *m = arg;
	size_t cap = m->cap == 0 ? 256 : m->cap * 2;
	struct listed *v;

	if (m->n == LISTED_MAX)
		return 0;
	if (m->n == m->cap) {
		if ((v = reallocarray(m->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n] = (struct listed){ .number = number };
	state_id(uid, m->v[m->n++].id);
	return 0;
}

static int
id_cmp(const void *a, const void *b)
{
	return memcmp(a, b, STATE_ID);
}

/* Sorted by id, as `seen` is: what both have is not new, and what is only in
 * `seen` has gone there and can be forgotten. */
static int
compare(struct maildrop *m)
{
	size_t i = 0, gone = 0;

	if (m->n > 0)
		qsort(m->v, m->n, sizeof(*m->v), id_cmp);
	for (size_t k = 0; k < m->n_seen; k++) {
		while (i < m->n && id_cmp(m->v[i].id, m->seen[k].id) < 0)
			i++;
		if (i == m->n || id_cmp(m->v[i].id, m->seen[k].id) != 0) {
			m->seen[gone++] = m->seen[k];
			continue;
		}
		for (size_t j = i;
		     j < m->n && id_cmp(m->v[j].id, m->seen[k].id) == 0; j++)
			m->v[j].first_s =
			    m->seen[k].first_s > 0 ? m->seen[k].first_s : 1;
	}
	return gone == 0
	    ? 0
	    : state_seen_del(m->f->g->state, m->f->o.address, m->seen, gone);
}

static int
number_cmp(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* --- messages --- */

static int
note(struct maildrop *m)
{
	int rc = state_seen_put(
	    m->f->g->state, m->f->o.address, m->fresh, m->n_fresh);

	if (rc != 0)
		fetch_fail(m->f, FETCH_RETRY, "our state: %s", strerror(-rc));
	m->n_fresh = 0;
	return rc;
}

/* One that could not be taken is never deleted there. */
static int
seen_now(struct maildrop *m, struct listed *l, bool refused)
{
	struct state_seen *s = &m->fresh[m->n_fresh++];

	l->first_s = refused ? NEVER_S : m->now_s;
	memcpy(s->id, l->id, STATE_ID);
	s->first_s = l->first_s;
	return m->n_fresh == NOTE_EVERY ? note(m) : 0;
}

static int
on_octets(void *arg, struct slice octets)
{
	struct maildrop *m = arg;
	int rc = spool_write(m->body, octets);

	if (rc != 0)
		fetch_fail(m->f, FETCH_RETRY, "our spool: %s", strerror(-rc));
	return rc;
}

/* 0, POP3_REFUSED, FETCH_GATHERED, or an error. */
static int
take(struct maildrop *m, struct listed *l)
{
	struct fetch *f = m->f;
	/* With the unique-id in both, two messages of the same octets are one:
	 * a server that has lost its ids would else give everything again. */
	struct fetch_message msg = { .source = m->source,
		.uidvalidity = get_be32(l->id),
		.uid = get_be32(l->id + 4),
		.flags = SLICE_EMPTY,
		.mailbox =
		    slice_str(*f->o.into != '\0' ? f->o.into : "INBOX") };
	int rc = spool_new(&m->body, f->g->spool_dir);

	if (rc != 0)
		fetch_fail(f, FETCH_RETRY, "our spool: %s", strerror(-rc));
	if (rc == 0)
		rc = pop3_client_retr(m->c, l->number, on_octets, m);
	msg.body = m->body;
	if (rc == 0) {
		msg.internaldate = received_at(m->body, m->now_s);
		rc = fetch_deposit(f, &msg);
		if (rc == FETCH_GATHERED)
			m->pending[m->n_pending++] = l;
		else if (rc >= 0)
			rc = seen_now(m, l, rc == 1);
	}
	spool_free(&m->body);
	return rc;
}

/* What was gathered is here. */
static int
on_placed(void *arg, size_t i)
{
	struct maildrop *m = arg;

	return seen_now(m, m->pending[i], false);
}

static void
gather(struct maildrop *m)
{
	m->n_pending = 0;
	if (!m->one_by_one)
		fetch_gather_begin(m->f, on_placed, m);
}

/* Those that mailbox did not take are new still, and their turn comes again. */
static int
gathered(struct maildrop *m)
{
	int rc = m->f->gather.on ? fetch_gather_end(m->f) : 0;

	if (rc != -EAGAIN)
		return rc;
	buf_reset(&m->f->why);
	m->one_by_one = true;
	return 0;
}

/* From the i-th on, as many as are noted together. Those that the server does not
 * give stay new, and are asked for again. */
static int
take_some(struct maildrop *m, size_t *i)
{
	struct fetch *f = m->f;
	int rc = 0, ours;

	gather(m);
	for (; *i < m->n && rc == 0 && m->n_pending < NOTE_EVERY; ++*i) {
		if (m->v[*i].first_s != 0)
			continue;
		if (fetch_had_its_turn(f)) {
			f->more = true;
			break;
		}
		rc = take(m, &m->v[*i]);
		if (rc == POP3_REFUSED) {
			log_warning("message not given",
			    "number=%u said=\"%s\"", m->v[*i].number,
			    pop3_client_said(m->c));
			m->v[*i].first_s = NEVER_S; /* not in this look */
			rc = 0;
		} else if (rc == FETCH_GATHERED &&
		    (rc = fetch_gather_tick(f)) == -EAGAIN) {
			rc = 0;
			break;
		}
	}
	ours = gathered(m);
	fetch_progress(f, m->n_new > f->messages ? m->n_new - f->messages : 0);
	return rc != 0 ? rc : ours;
}

static int
take_new(struct maildrop *m)
{
	struct fetch *f = m->f;
	bool single;
	size_t i;
	int rc = 0;

	for (i = 0; i < m->n; i++)
		m->n_new += m->v[i].first_s == 0;
	i = 0;
	while (i < m->n && rc == 0 && !f->more) {
		single = m->one_by_one;
		rc = take_some(m, &i);
		if (m->one_by_one && !single)
			i = 0;
	}
	/* Also after an error: what has come need not come again. */
	if (m->n_fresh > 0 && note(m) != 0 && rc == 0)
		rc = -EIO;
	return rc;
}

/* --- deleting there --- */

/* Only what is here, and noted so. */
static int
delete_old(struct maildrop *m)
{
	int64_t days = m->f->o.delete_days;
	int rc = 0;

	for (size_t i = 0; i < m->n && days >= 0 && rc == 0; i++) {
		if (m->v[i].first_s == 0 ||
		    m->v[i].first_s > m->now_s - days * DAY_S)
			continue;
		rc = pop3_client_dele(m->c, m->v[i].number);
		if (rc == 0)
			m->n_delete++;
		rc = rc == POP3_REFUSED ? 0 : rc;
	}
	return rc;
}

static enum fetch_end
finish(struct maildrop *m)
{
	int rc = pop3_client_quit(m->c);

	if (m->n_delete > 0)
		log_info("deleted there", "outside=%s messages=%zu rc=%d",
		    log_qs(m->f->o.address), m->n_delete, rc);
	if (rc == 0 || m->n_delete == 0)
		return FETCH_OK;
	return fetch_fail(m->f, FETCH_RETRY, "%s: deletes nothing: %s",
	    m->f->o.server.host, pop3_client_said(m->c));
}

/* --- all --- */

static enum fetch_end
look(struct maildrop *m)
{
	struct fetch *f = m->f;
	int rc = pop3_client_uidl(m->c, list_one, m);

	if (rc == POP3_REFUSED)
		return fetch_fail(f, FETCH_RETRY, "%s: no UIDL: %s",
		    f->o.server.host, pop3_client_said(m->c));
	if (rc == 0) {
		rc = state_seen_load(
		    f->g->state, f->o.address, &m->seen, &m->n_seen);
		if (rc == 0)
			rc = compare(m);
		if (rc != 0)
			return fetch_fail(
			    f, FETCH_RETRY, "our state: %s", strerror(-rc));
		if (m->n > 0)
			qsort(m->v, m->n, sizeof(*m->v), number_cmp);
		rc = take_new(m);
	}
	if (rc == 0)
		rc = delete_old(m);
	if (rc != 0)
		return fetch_fail_broken(f, rc, "");
	return finish(m);
}

enum fetch_end
fetch_pop3(struct fetch *f)
{
	unsigned char id[STATE_ID];
	struct maildrop *m = calloc(1, sizeof(*m));
	enum fetch_end end;

	if (m == NULL)
		return fetch_fail(f, FETCH_RETRY, "out of memory");
	m->f = f;
	m->now_s = clock_wall_s();
	state_id(slice_str(f->o.address), id);
	m->source = get_be64(id);
	end = fetch_connect(m->f, open_at, m);
	if (end == FETCH_OK && f->probe)
		(void)pop3_client_quit(m->c);
	else if (end == FETCH_OK)
		end = look(m);
	pop3_client_free(&m->c);
	free(m->v);
	free(m->seen);
	free(m);
	return end;
}
