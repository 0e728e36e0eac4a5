/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/service.h"
#include "gateway/notices_impl.h"

#define LOOK_MS 1000           /* for subscriptions that have changed */
#define PURGE_MS (3600 * 1000) /* of an account's old events */
#define TROUBLE_MS 30000       /* longest wait for mailbox */
#define PER_HOST 8
#define MAILBOX_CONNECTIONS 8
#define TABLE_FIRST 64

/* --- accounts and their subscriptions --- */

static size_t
slot_of(const struct notices *s, struct slice account)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < account.n; i++)
		h = (h ^ (unsigned char)account.p[i]) * 1099511628211u;
	return (size_t)(h % s->n_table);
}

struct watched *
watched_find(const struct notices *s, struct slice account)
{
	struct watched *w =
	    s->n_table == 0 ? NULL : s->table[slot_of(s, account)];

	while (w != NULL && !slice_eq_str(account, w->account))
		w = w->next;
	return w;
}

static int
table_grow(struct notices *s)
{
	size_t n = s->n_table == 0 ? TABLE_FIRST : s->n_table * 2;
	struct watched **old = s->table, **table, *w;
	size_t old_n = s->n_table;

	if (s->n_watched < s->n_table)
		return 0;
	if ((table = calloc(n, sizeof(*table))) == NULL)
		return -ENOMEM;
	s->table = table;
	s->n_table = n;
	for (size_t i = 0; i < old_n; i++)
		while ((w = old[i]) != NULL) {
			size_t slot = slot_of(s, slice_str(w->account));

			old[i] = w->next;
			w->next = table[slot];
			table[slot] = w;
		}
	free(old);
	return 0;
}

static struct watched *
watched_get(struct notices *s, const char *account)
{
	struct watched *w = watched_find(s, slice_str(account));
	size_t n = strlen(account) + 1, slot;

	if (w != NULL)
		return w;
	if (table_grow(s) != 0 || (w = calloc(1, sizeof(*w) + n)) == NULL)
		return NULL;
	memcpy(w->account, account, n);
	slot = slot_of(s, slice_str(account));
	w->next = s->table[slot];
	s->table[slot] = w;
	s->n_watched++;
	return w;
}

static void
watched_free(struct notices *s, struct watched *w)
{
	struct watched **at = &s->table[slot_of(s, slice_str(w->account))];

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	s->n_watched--;
	free(w);
}

struct subscriber *
subscriber_find(const struct watched *w, const char *id)
{
	struct subscriber *u = w == NULL ? NULL : w->subscribers;

	while (u != NULL && strcmp(u->id, id) != 0)
		u = u->next;
	return u;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	subscriber_kick(arg, false);
}

static struct subscriber *
subscriber_get(struct notices *s, struct watched *w, const char *id)
{
	struct subscriber *u = subscriber_find(w, id), **at;

	if (u != NULL)
		return u;
	if ((u = calloc(1, sizeof(*u))) == NULL ||
	    (u->timer = evtimer_new(loop_base(), on_timer, u)) == NULL) {
		free(u);
		return NULL;
	}
	u->w = w;
	u->all = s;
	memcpy(u->id, id, NOTICE_ID_LEN);
	for (at = &w->subscribers; *at != NULL; at = &(*at)->next)
		;
	*at = u;
	return u;
}

/* It is not running. Its account goes with the last of them. */
static void
subscriber_free(struct subscriber *u)
{
	struct watched *w = u->w;
	struct subscriber **at = &w->subscribers;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	event_free(u->timer);
	if (w->subscribers == NULL)
		watched_free(u->all, w);
	free(u);
}

void
subscriber_settle(struct subscriber *u)
{
	if (u->gone && u->co == NULL && u->users == 0)
		subscriber_free(u);
}

/* --- running --- */

static void
subscriber_main(void *arg)
{
	struct subscriber *u = arg;
	struct notices *s = u->all;
	int64_t wait;
	struct timeval tv;

	co_log_context("notice=%s", u->id);
	do {
		u->kick = false;
		wait = subscriber_run(u);
	} while (u->kick && !u->gone && !s->stopping);
	u->co = NULL;
	s->alive--;
	co_event_set(&s->ended);
	if (wait > 0 && !u->gone && !s->stopping) {
		tv = (struct timeval){ wait / 1000, wait % 1000 * 1000 };
		event_add(u->timer, &tv);
	}
	subscriber_settle(u);
}

void
subscriber_kick(struct subscriber *u, bool force)
{
	u->force = u->force || force;
	if (u->gone || u->all->stopping)
		return;
	u->kick = true;
	if (u->co != NULL)
		return;
	event_del(u->timer);
	if ((u->co = co_spawn(subscriber_main, u)) != NULL)
		u->all->alive++;
	else
		event_add(u->timer, &(struct timeval){ 1, 0 });
}

static void
watched_kick(struct watched *w)
{
	for (struct subscriber *u = w->subscribers; u != NULL; u = u->next)
		subscriber_kick(u, false);
}

/* --- what has arrived --- */

/* "mailbox:modseq,..." of the last of each mailbox, which stand together. */
static void
put_done(struct buf *done, const struct notice_event *v, size_t n)
{
	buf_reset(done);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || v[i + 1].mailbox != v[i].mailbox)
			buf_printf(done, "%s%llu:%llu", done->n > 0 ? "," : "",
			    (unsigned long long)v[i].mailbox,
			    (unsigned long long)v[i].modseq);
}

static void
purge(struct notices *s, const char *account)
{
	struct watched *w = watched_find(s, slice_str(account));

	if (w == NULL ||
	    (w->purged_ms != 0 && clock_mono_ms() - w->purged_ms < PURGE_MS))
		return;
	w->purged_ms = clock_mono_ms();
	(void)notice_log_purge(
	    s->store, account, clock_wall_s() - s->conf.keep_s);
}

/* All that has arrived becomes events; mailbox is told so with the next
 * question, and may forget it then. */
static int
take_arrivals(struct notices *s, const char *account)
{
	struct notice_event v[ARRIVALS_MAX];
	struct buf done = BUF_INIT_MAX(3800);
	struct watched *w;
	size_t n;
	int rc;

	do {
		rc = arrived_list(s->mailbox, account, buf_str(&done), v, &n);
		w = watched_find(s, slice_str(account));
		if (rc == 0 && w != NULL)
			rc = notice_log_append(s->store, account, v, n);
		put_done(&done, v, n);
		if ((w = watched_find(s, slice_str(account))) != NULL)
			watched_kick(w);
	} while (rc == 0 && n > 0);
	buf_clear(&done);
	if (rc == 0)
		purge(s, account);
	return rc;
}

/* One round over all accounts of which there is something. -ENOENT: there was
 * nothing. */
static int
take_round(struct notices *s, struct smtp_client *c)
{
	struct buf account = BUF_INIT_MAX(800), next = BUF_INIT_MAX(800);
	int rc, bad = 0, taken = 0;

	while ((rc = arrived_next(c, buf_str(&account), &next)) == 0) {
		buf_reset(&account);
		buf_put_slice(&account, buf_slice(&next));
		buf_reset(&next);
		/* It may be of a subscription that we have not heard of; while
		 * that is not known, what has come there stays there. */
		rc = watched_find(s, buf_slice(&account)) != NULL
		    ? 0
		    : notices_look(s);
		if (rc == 0)
			rc = take_arrivals(s, buf_str(&account));
		if (rc == -ECANCELED)
			break;
		if (rc != 0) {
			log_warning("arrivals are not told",
			    "account=%s error=\"%s\"",
			    log_qs(buf_str(&account)), strerror(-rc));
			bad = rc;
		} else {
			taken++;
		}
	}
	buf_clear(&account);
	buf_clear(&next);
	if (rc == -ENOENT)
		rc = bad != 0 ? bad : taken > 0 ? 0 : -ENOENT;
	return rc;
}

/* Those that are watched are looked at once, marked or not. */
static void
take_all(struct notices *s)
{
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	const char **names = arena_array(&a, s->n_watched + 1, sizeof(*names));
	size_t n = 0;

	for (size_t i = 0; names != NULL && i < s->n_table; i++)
		for (struct watched *w = s->table[i]; w != NULL; w = w->next)
			if ((names[n] = arena_strdup(
				 &a, slice_str(w->account))) != NULL)
				n++;
	for (size_t i = 0; i < n && !s->stopping; i++)
		if (take_arrivals(s, names[i]) == -ECANCELED)
			break;
	arena_reset(&a);
}

static int
connect_mailbox(struct notices *s, struct smtp_client **c)
{
	struct smtp_reply reply = { 0 };

	return smtp_client_open(c, &s->mailbox_addr, &s->client, &reply);
}

static void
arriving_main(void *arg)
{
	struct notices *s = arg;
	const struct backoff_conf trouble = { 200, TROUBLE_MS };
	struct smtp_client *c = NULL;
	unsigned fails = 0;
	bool all = true;
	int rc = 0;

	while (!s->stopping && rc != -ECANCELED) {
		if (c == NULL)
			rc = connect_mailbox(s, &c);
		if (rc == 0 && all)
			take_all(s);
		all = all && rc != 0;
		if (rc == 0)
			rc = take_round(s, c);
		if (rc == 0 || rc == -ENOENT) {
			fails = 0;
			rc = 0;
			continue;
		}
		smtp_client_free(&c);
		if (rc == -ECANCELED)
			break;
		if (fails++ == 3)
			log_warning("mailbox does not tell of new mail",
			    "error=\"%s\"", strerror(-rc));
		rc = co_sleep(
		    backoff_retry(&trouble, fails, random_below(0x10000)));
	}
	smtp_client_free(&c);
	s->arriving = NULL;
	co_event_set(&s->ended);
}

/* --- subscriptions come and go --- */

static int
take_record(struct notices *s, const struct notice *n)
{
	struct watched *w = watched_get(s, n->account);
	struct subscriber *u;

	if (w == NULL)
		return -ENOMEM;
	if ((u = subscriber_get(s, w, n->id)) == NULL) {
		if (w->subscribers == NULL)
			watched_free(s, w);
		return -ENOMEM;
	}
	u->listed = true;
	if (u->version != n->version) {
		u->version = n->version;
		/* Not at the start: what waits for its time goes on so. */
		subscriber_kick(u, s->generation != 0);
	}
	return 0;
}

static struct subscriber *
unlisted(const struct notices *s)
{
	for (size_t i = 0; i < s->n_table; i++)
		for (struct watched *w = s->table[i]; w != NULL; w = w->next)
			for (struct subscriber *u = w->subscribers; u != NULL;
			     u = u->next)
				if (!u->listed && !u->gone)
					return u;
	return NULL;
}

static void
subscriber_leave(struct subscriber *u)
{
	u->gone = true;
	event_del(u->timer);
	subscriber_settle(u);
}

static int
take_list(struct notices *s, const struct notice *v, size_t n)
{
	struct subscriber *u;
	int rc = 0;

	for (size_t i = 0; i < s->n_table; i++)
		for (struct watched *w = s->table[i]; w != NULL; w = w->next)
			for (u = w->subscribers; u != NULL; u = u->next)
				u->listed = false;
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = take_record(s, &v[i]);
	while (rc == 0 && (u = unlisted(s)) != NULL)
		subscriber_leave(u);
	return rc;
}

struct leftovers {
	struct notices *s;
	struct arena a;
	const char *account; /* without subscriptions; or */
	const char *of, *id; /* a subscription that is gone */
};

static int
leftover_id(void *arg, struct slice id)
{
	struct leftovers *l = arg;
	char text[NOTICE_ID_LEN + 1] = "";
	struct subscriber *u;

	if (id.n != NOTICE_ID_LEN)
		return 0;
	memcpy(text, id.p, id.n);
	u = subscriber_find(watched_find(l->s, slice_str(l->of)), text);
	if (u != NULL && !u->gone)
		return 0;
	l->id = arena_strdup(&l->a, id);
	return 1;
}

static int
leftover_account(void *arg, struct slice account)
{
	struct leftovers *l = arg;

	if (watched_find(l->s, account) != NULL)
		return 0;
	l->account = arena_strdup(&l->a, account);
	return 1;
}

/* What is known of subscriptions and accounts that are no more goes, one at a
 * time. */
static void
tidy_account(struct notices *s, const char *account)
{
	for (int rc = 1; rc == 1;) {
		struct leftovers l = { .s = s, .of = account };

		rc = notice_known(s->store, account, leftover_id, &l);
		if (rc == 1 &&
		    (l.id == NULL ||
			notice_forget(s->store, account, l.id) != 0))
			rc = 0;
		arena_reset(&l.a);
	}
}

static void
tidy(struct notices *s, const struct notice *v, size_t n)
{
	for (int rc = 1; rc == 1 && !s->stopping;) {
		struct leftovers l = { .s = s };

		rc = notice_accounts(s->store, leftover_account, &l);
		if (rc == 1 &&
		    (l.account == NULL ||
			notice_drop(s->store, l.account) != 0))
			rc = 0;
		arena_reset(&l.a);
	}
	for (size_t i = 0; i < n && !s->stopping; i++)
		if (i == 0 || strcmp(v[i].account, v[i - 1].account) != 0)
			tidy_account(s, v[i].account);
}

int
notices_look(struct notices *s)
{
	struct arena a = ARENA_INIT_MAX((size_t)256 << 20);
	struct notice *v;
	uint64_t generation;
	size_t n;
	int rc = co_mutex_lock(&s->looked, -1);

	if (rc != 0)
		return rc;
	rc = notice_generation(s->g->accounts, &generation);
	if (rc == 0 && generation != s->generation) {
		rc = notice_list(s->g->accounts, &a, SLICE_EMPTY, &v, &n);
		if (rc == 0)
			rc = take_list(s, v, n);
		if (rc == 0)
			tidy(s, v, n);
		if (rc == 0)
			s->generation = generation;
	}
	/* -EAGAIN: there is no directory yet. */
	if (rc != 0 && rc != -EAGAIN)
		log_error("subscriptions", "error=\"%s\"", strerror(-rc));
	co_mutex_unlock(&s->looked);
	arena_reset(&a);
	return rc;
}

static void
looking_main(void *arg)
{
	struct notices *s = arg;

	while (!s->stopping) {
		(void)notices_look(s);
		/* Events are taken once it is known for whom. */
		if (s->arriving == NULL && !s->stopping)
			s->arriving = co_spawn(arriving_main, s);
		if (co_sleep(LOOK_MS) != 0)
			break;
	}
	s->looking = NULL;
	co_event_set(&s->ended);
}

/* --- from start to end --- */

void
notices_configure(struct notices *s, const struct conf *conf)
{
	const char *contact = conf_str(conf, "gateway.notice_contact");
	long max = (long)conf_int(conf, "gateway.notice_max");
	char *text = NULL;

	s->conf = (struct notices_conf){
		.retry = { conf_duration_ms(conf, "gateway.notice_retry_first"),
		    conf_duration_ms(conf, "gateway.notice_retry_max") },
		.give_up_s =
		    conf_duration_ms(conf, "gateway.notice_give_up") / 1000,
		.keep_s = conf_duration_ms(conf, "gateway.notice_keep") / 1000,
	};
	s->sender.timeout_ms = conf_duration_ms(conf, "gateway.notice_timeout");
	s->sender.private = conf_bool(conf, "gateway.notice_private");
	if (asprintf(&text, "%s%s",
		*contact != '\0' ? contact : "mailto:postmaster@",
		*contact != '\0' ? "" : service_hostname()) == -1)
		return;
	free(s->contact);
	s->sender.contact = s->contact = text;
	http_client_limit(s->sender.http, max, PER_HOST);
}

/* For commands: gateway_open has its own, which fetches may use up. */
static int
open_mailbox(struct notices *s, const struct conf *conf)
{
	const char *address = conf_str(conf, "gateway.mailbox");
	const char *run_dir = conf_file(conf, "run_dir");

	s->client = (struct smtp_client_conf){ .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = 300000 };
	if (net_addr_parse(&s->mailbox_addr, address, run_dir) != 0)
		return -EINVAL;
	return smtp_pool_new(
	    &s->mailbox, address, run_dir, &s->client, MAILBOX_CONNECTIONS);
}

static int
open_all(struct notices *s, const struct conf *conf, struct buf *err)
{
	struct buf path = BUF_INIT_MAX(4096);
	int rc = http_client_new(&s->sender.http, conf, err);

	if (rc == 0 && (rc = open_mailbox(s, conf)) != 0)
		buf_printf(err, "gateway.mailbox: %s", strerror(-rc));
	if (rc != 0)
		return rc;
	buf_printf(&path, "%s/vapid.pem", conf_file(conf, "gateway.dir"));
	rc = webpush_key_load(buf_str(&path), &s->sender.key);
	if (rc != 0)
		buf_printf(err, "%s: %s", buf_str(&path), strerror(-rc));
	buf_clear(&path);
	return rc;
}

int
notices_new(struct notices **out, struct gateway *g, const struct conf *conf,
    struct buf *err)
{
	struct notices *s = calloc(1, sizeof(*s));
	int rc;

	*out = s;
	if (s == NULL)
		return -ENOMEM;
	s->g = g;
	s->store = state_store(g->state);
	s->sender.accounts = g->accounts;
	s->sending.free = (size_t)conf_int(conf, "gateway.notice_max");
	rc = open_all(s, conf, err);
	if (rc == 0) {
		notices_configure(s, conf);
		s->looking = co_spawn(looking_main, s);
	}
	if (rc == 0 && s->looking == NULL)
		rc = -ENOMEM;
	if (rc != 0)
		notices_free(out);
	return rc;
}

static void
cancel_all(struct notices *s)
{
	if (s->looking != NULL)
		co_cancel(s->looking);
	if (s->arriving != NULL)
		co_cancel(s->arriving);
	for (size_t i = 0; i < s->n_table; i++)
		for (struct watched *w = s->table[i]; w != NULL; w = w->next)
			for (struct subscriber *u = w->subscribers; u != NULL;
			     u = u->next)
				if (u->co != NULL)
					co_cancel(u->co);
}

void
notices_free(struct notices **out)
{
	struct notices *s = *out;

	*out = NULL;
	if (s == NULL)
		return;
	s->stopping = true;
	cancel_all(s);
	while (s->looking != NULL || s->arriving != NULL || s->alive > 0) {
		s->ended.set = false;
		if (co_event_wait(&s->ended, -1) == -ECANCELED)
			return; /* what runs uses it */
	}
	for (size_t i = 0; i < s->n_table; i++)
		while (s->table[i] != NULL)
			subscriber_free(s->table[i]->subscribers);
	free(s->table);
	http_client_free(&s->sender.http);
	webpush_key_free(&s->sender.key);
	smtp_pool_free(&s->mailbox);
	free(s->contact);
	free(s);
}
