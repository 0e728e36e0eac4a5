/* SPDX-License-Identifier: ISC */
#include "gateway/notice_log.h"

#include <jansson.h>
#include <stdlib.h>

#define ATTEMPTS 20
#define EVENT_LEN 49
#define PURGE_STEP 200

/* --- rows --- */

static int
part_of(const char *account, struct buf *out)
{
	*out = BUF_INIT_MAX(STORE_KEY_MAX - 40);
	buf_put_char(out, 'n');
	buf_put_str(out, account);
	return out->failed ? -E2BIG : 0;
}

struct row_key {
	char octets[1 + NOTICE_ID_LEN + 8];
	size_t n;
};

static struct row_key
number_key(char kind, uint64_t number)
{
	struct row_key k = { .n = 9 };

	k.octets[0] = kind;
	put_be64(k.octets + 1, number);
	return k;
}

static struct row_key
id_key(char kind, const char *id)
{
	struct row_key k = { .n = 1 + NOTICE_ID_LEN };

	k.octets[0] = kind;
	memcpy(k.octets + 1, id, NOTICE_ID_LEN);
	return k;
}

static struct row_key
dead_key(const char *id, uint64_t number)
{
	struct row_key k = id_key('d', id);

	put_be64(k.octets + k.n, number);
	k.n += 8;
	return k;
}

static struct slice
key_slice(const struct row_key *k)
{
	return slice(k->octets, k->n);
}

/* One batch; nobody else writes here, so a conflict is none of ours. */
static int
commit(struct store *s, struct store_batch *b)
{
	int rc = -EAGAIN;

	for (int i = 0; i < ATTEMPTS; i++) {
		rc = store_commit_one(s, b);
		if (rc != STORE_ECONFLICT && rc != STORE_EUNKNOWN)
			break;
	}
	return rc;
}

static int
begin(struct store *s, const char *account, struct store_batch **out)
{
	struct buf part;
	int rc = part_of(account, &part);

	*out = rc == 0 ? store_batch_new(s, buf_slice(&part)) : NULL;
	buf_clear(&part);
	return rc == 0 && *out == NULL ? -ENOMEM : rc;
}

static int
end(struct store *s, struct store_batch **b, int rc)
{
	if (rc == 0)
		rc = commit(s, *b);
	store_batch_free(b);
	return rc;
}

/* A number of 8 octets; 0 where there is none. */
static int
get_number(
    struct store *s, const char *account, struct slice key, uint64_t *out)
{
	struct buf part, val = BUF_INIT_MAX(64);
	int rc = part_of(account, &part);

	*out = 0;
	if (rc == 0)
		rc = store_get(s, buf_slice(&part), key, &val);
	if (rc == 0)
		rc = val.n == 8 ? 0 : -EIO;
	if (rc == 0)
		*out = get_be64(val.p);
	buf_clear(&part);
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

static void
put_number(struct store_batch *b, struct slice key, uint64_t n)
{
	char val[8];

	put_be64(val, n);
	store_put(b, key, slice(val, 8));
}

static int
scan(struct store *s, const char *account, struct slice from, struct slice to,
    unsigned flags, int (*row)(void *arg, struct slice key, struct slice val),
    void *arg)
{
	struct buf part;
	int rc = part_of(account, &part);

	if (rc == 0)
		rc = store_scan(s, buf_slice(&part), from, to, flags, row, arg);
	buf_clear(&part);
	return rc == -ENOENT ? 0 : rc;
}

/* --- events --- */

static void
put_event(struct store_batch *b, uint64_t number, const struct notice_event *e)
{
	char val[EVENT_LEN], *p = val;
	struct row_key k = number_key('e', number);

	put_be64(p, e->mailbox);
	put_be64(p + 8, e->modseq);
	put_be32(p + 16, e->uidvalidity);
	put_be32(p + 20, e->uid);
	put_be64(p + 24, e->size);
	put_be64(p + 32, (uint64_t)e->date_s);
	put_be64(p + 40, (uint64_t)e->arrived_s);
	p[48] = (char)((e->gone ? 1 : 0) | (e->quiet ? 2 : 0));
	store_put(b, key_slice(&k), slice(val, EVENT_LEN));
}

static int
get_event(struct slice key, struct slice val, struct notice_event *out)
{
	const char *p = val.p;

	if (key.n != 9 || val.n < EVENT_LEN)
		return -EIO;
	*out = (struct notice_event){ .number = get_be64(key.p + 1),
		.mailbox = get_be64(p),
		.modseq = get_be64(p + 8),
		.uidvalidity = get_be32(p + 16),
		.uid = get_be32(p + 20),
		.size = get_be64(p + 24),
		.date_s = (int64_t)get_be64(p + 32),
		.arrived_s = (int64_t)get_be64(p + 40),
		.gone = (p[48] & 1) != 0,
		.quiet = (p[48] & 2) != 0 };
	return 0;
}

/* The arrivals of one mailbox stand together, in order. */
int
notice_log_append(struct store *s, const char *account,
    const struct notice_event *v, size_t n)
{
	struct store_batch *b = NULL;
	uint64_t next, seen = 0;
	size_t put = 0;
	int rc = begin(s, account, &b);

	if (rc == 0)
		rc = get_number(s, account, SLICE_LIT("h"), &next);
	if (rc == 0 && next == 0)
		next = 1;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct row_key k = number_key('b', v[i].mailbox);

		if (i == 0 || v[i - 1].mailbox != v[i].mailbox)
			rc = get_number(s, account, key_slice(&k), &seen);
		if (rc != 0 || v[i].modseq <= seen)
			continue;
		seen = v[i].modseq;
		put_event(b, next++, &v[i]);
		put_number(b, key_slice(&k), seen);
		put++;
	}
	if (rc == 0)
		put_number(b, SLICE_LIT("h"), next);
	if (rc == 0 && put == 0) {
		store_batch_free(&b);
		return 0;
	}
	return end(s, &b, rc);
}

struct reading {
	struct notice_event *v;
	size_t n, max;
};

static int
read_row(void *arg, struct slice key, struct slice val)
{
	struct reading *r = arg;

	if (get_event(key, val, &r->v[r->n]) == 0)
		r->n++; /* a damaged one costs itself */
	return r->n == r->max;
}

int
notice_log_read(struct store *s, const char *account, uint64_t from, size_t max,
    struct notice_event *out, size_t *n)
{
	struct reading r = { .v = out, .max = max };
	struct row_key k = number_key('e', from);
	int rc =
	    scan(s, account, key_slice(&k), SLICE_LIT("f"), 0, read_row, &r);

	*n = r.n;
	return rc > 0 ? 0 : rc;
}

int
notice_log_bounds(
    struct store *s, const char *account, uint64_t *first, uint64_t *next)
{
	struct notice_event e;
	size_t n;
	int rc = get_number(s, account, SLICE_LIT("h"), next);

	if (rc == 0 && *next == 0)
		*next = 1;
	if (rc == 0)
		rc = notice_log_read(s, account, 0, 1, &e, &n);
	if (rc == 0)
		*first = n > 0 ? e.number : *next;
	return rc;
}

struct since {
	int64_t arrived_s;
	uint64_t number;
	bool found;
};

static int
since_row(void *arg, struct slice key, struct slice val)
{
	struct since *t = arg;
	struct notice_event e;

	if (get_event(key, val, &e) != 0)
		return 0;
	if (e.arrived_s < t->arrived_s)
		return 1;
	t->number = e.number;
	t->found = true;
	return 0;
}

int
notice_log_since(
    struct store *s, const char *account, int64_t arrived_s, uint64_t *number)
{
	struct since t = { .arrived_s = arrived_s };
	uint64_t first;
	int rc = notice_log_bounds(s, account, &first, number);

	if (rc == 0)
		rc = scan(s, account, SLICE_LIT("e"), SLICE_LIT("f"),
		    STORE_SCAN_REVERSE, since_row, &t);
	if (rc >= 0 && t.found)
		*number = t.number;
	return rc > 0 ? 0 : rc;
}

struct purging {
	int64_t arrived_s;
	uint64_t to;
	int n;
};

static int
purge_row(void *arg, struct slice key, struct slice val)
{
	struct purging *p = arg;
	struct notice_event e;

	if (get_event(key, val, &e) == 0 && e.arrived_s >= p->arrived_s)
		return 1;
	p->to = key.n == 9 ? get_be64(key.p + 1) + 1 : p->to;
	return ++p->n == PURGE_STEP;
}

struct purging_dead {
	struct store_batch *b;
	uint64_t to;
};

static int
purge_dead(void *arg, struct slice id)
{
	const struct purging_dead *p = arg;
	char name[NOTICE_ID_LEN + 1] = "";
	struct row_key from, to;

	if (id.n != NOTICE_ID_LEN)
		return 0;
	memcpy(name, id.p, id.n);
	from = dead_key(name, 0);
	to = dead_key(name, p->to);
	store_del_range(p->b, key_slice(&from), key_slice(&to));
	return 0;
}

int
notice_log_purge(struct store *s, const char *account, int64_t arrived_s)
{
	struct purging_dead dead;
	struct purging p = { .arrived_s = arrived_s };
	struct store_batch *b = NULL;
	struct row_key to;
	int rc =
	    scan(s, account, SLICE_LIT("e"), SLICE_LIT("f"), 0, purge_row, &p);

	if (rc < 0 || p.to == 0)
		return rc < 0 ? rc : 0;
	to = number_key('e', p.to);
	rc = begin(s, account, &b);
	if (rc == 0) {
		store_del_range(b, SLICE_LIT("e"), key_slice(&to));
		dead = (struct purging_dead){ b, p.to };
		rc = notice_known(s, account, purge_dead, &dead);
	}
	return end(s, &b, rc);
}

/* --- subscriptions --- */

static int64_t
member(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *
error_of(struct arena *a, const json_t *o)
{
	const json_t *v = json_object_get(o, "error");
	const char *p = json_string_value(v);

	return arena_strdup(
	    a, p == NULL ? SLICE_EMPTY : slice(p, json_string_length(v)));
}

static int
status_decode(struct arena *a, const json_t *o, struct notice_status *out)
{
	*out = (struct notice_status){ .next = (uint64_t)member(o, "next"),
		.sent = (uint64_t)member(o, "sent"),
		.passed = (uint64_t)member(o, "passed"),
		.fails = (uint32_t)member(o, "fails"),
		.since_s = member(o, "since"),
		.replayed_s = member(o, "replayed"),
		.sent_s = member(o, "sent_at"),
		.next_s = member(o, "next_at"),
		.status = (int)member(o, "status"),
		.ended = (uint64_t)member(o, "ended"),
		.retry_to = (uint64_t)member(o, "retry_to"),
		.error = error_of(a, o) };
	return out->error == NULL ? -ENOMEM : 0;
}

int
notice_status_get(struct store *s, struct arena *a, const char *account,
    const char *id, struct notice_status *out)
{
	struct row_key k = id_key('s', id);
	struct buf part, val = BUF_INIT;
	json_t *o = NULL;
	int rc = part_of(account, &part);

	*out = (struct notice_status){ .error = "" };
	if (rc == 0)
		rc = store_get(s, buf_slice(&part), key_slice(&k), &val);
	if (rc == 0) {
		o = json_loadb(val.p, val.n, 0, NULL);
		rc = json_is_object(o) ? status_decode(a, o, out) : -EIO;
	}
	json_decref(o);
	buf_clear(&part);
	buf_clear(&val);
	return rc;
}

/* What somebody said need not be UTF-8. */
static json_t *
error_json(const char *error)
{
	json_t *j = json_string(error);

	return j != NULL ? j : json_string("not told in UTF-8");
}

static int
put_json(struct store_batch *b, struct slice key, json_t *o)
{
	char *dump = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	int rc = dump == NULL ? -ENOMEM : 0;

	if (rc == 0)
		store_put(b, key, slice_str(dump));
	free(dump);
	json_decref(o);
	return rc;
}

static int
put_status(
    struct store_batch *b, const char *id, const struct notice_status *st)
{
	struct row_key k = id_key('s', id);

	return put_json(b, key_slice(&k),
	    json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:I, "
		      "s:I, s:o}",
		"next", (json_int_t)st->next, "sent", (json_int_t)st->sent,
		"passed", (json_int_t)st->passed,
		"fails", (json_int_t)st->fails, "since",
		(json_int_t)st->since_s, "replayed", (json_int_t)st->replayed_s,
		"sent_at", (json_int_t)st->sent_s, "next_at",
		(json_int_t)st->next_s, "status", st->status, "ended",
		(json_int_t)st->ended, "retry_to", (json_int_t)st->retry_to,
		"error", error_json(st->error)));
}

static int
put_dead(struct store_batch *b, const char *id, const struct notice_dead *d)
{
	struct row_key k = dead_key(id, d->number);

	return put_json(b, key_slice(&k),
	    json_pack("{s:I, s:I, s:i, s:o}", "at", (json_int_t)d->at_s,
		"attempts", (json_int_t)d->attempts, "status", d->status,
		"error", error_json(d->error)));
}

int
notice_status_put(struct store *s, const char *account, const char *id,
    const struct notice_status *st, const struct notice_dead *dead, size_t n,
    uint64_t taken)
{
	struct row_key k = dead_key(id, taken);
	struct store_batch *b = NULL;
	int rc = begin(s, account, &b);

	if (rc == 0)
		rc = put_status(b, id, st);
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = put_dead(b, id, &dead[i]);
	if (rc == 0 && taken != 0)
		store_del(b, key_slice(&k));
	return end(s, &b, rc);
}

struct dead_list {
	struct arena *a;
	struct notice_dead *v;
	size_t n, max;
};

static int
dead_row(void *arg, struct slice key, struct slice val)
{
	struct dead_list *l = arg;
	json_t *o = json_loadb(val.p, val.n, 0, NULL);
	struct notice_dead *d = &l->v[l->n];

	*d = (struct notice_dead){ .number = get_be64(key.p + key.n - 8),
		.at_s = member(o, "at"),
		.attempts = (uint32_t)member(o, "attempts"),
		.status = (int)member(o, "status"),
		.error = error_of(l->a, o) };
	json_decref(o);
	if (d->error == NULL)
		return -ENOMEM;
	return ++l->n == l->max;
}

int
notice_dead_list(struct store *s, const char *account, const char *id,
    struct arena *a, uint64_t from, size_t max, struct notice_dead *out,
    size_t *n)
{
	struct row_key first = dead_key(id, from);
	struct row_key last = dead_key(id, UINT64_MAX);
	struct dead_list l = { .a = a, .v = out, .max = max };
	int rc = scan(
	    s, account, key_slice(&first), key_slice(&last), 0, dead_row, &l);

	*n = l.n;
	return rc > 0 ? 0 : rc;
}

struct dead_count {
	size_t n, max;
};

static int
count_dead(void *arg, struct slice key, struct slice val)
{
	struct dead_count *k = arg;

	(void)key;
	(void)val;
	return ++k->n == k->max;
}

int
notice_dead_count(struct store *s, const char *account, const char *id,
    size_t max, size_t *n)
{
	struct row_key first = dead_key(id, 0);
	struct row_key last = dead_key(id, UINT64_MAX);
	struct dead_count k = { .max = max };
	int rc = scan(s, account, key_slice(&first), key_slice(&last),
	    STORE_SCAN_KEYS, count_dead, &k);

	*n = k.n;
	return rc > 0 ? 0 : rc;
}

int
notice_forget(struct store *s, const char *account, const char *id)
{
	struct row_key status = id_key('s', id);
	struct row_key from = dead_key(id, 0), to = dead_key(id, UINT64_MAX);
	struct store_batch *b = NULL;
	int rc = begin(s, account, &b);

	if (rc == 0) {
		store_del(b, key_slice(&status));
		store_del_range(b, key_slice(&from), key_slice(&to));
	}
	return end(s, &b, rc);
}

struct known {
	int (*each)(void *arg, struct slice id);
	void *arg;
};

static int
known_row(void *arg, struct slice key, struct slice val)
{
	const struct known *k = arg;

	(void)val;
	return k->each(k->arg, slice_from(key, 1));
}

int
notice_known(struct store *s, const char *account,
    int (*each)(void *arg, struct slice id), void *arg)
{
	struct known k = { each, arg };

	return scan(s, account, SLICE_LIT("s"), SLICE_LIT("t"), STORE_SCAN_KEYS,
	    known_row, &k);
}

static int
account_part(void *arg, struct slice name)
{
	const struct known *k = arg;

	return k->each(k->arg, slice_from(name, 1));
}

int
notice_accounts(
    struct store *s, int (*each)(void *arg, struct slice account), void *arg)
{
	struct known k = { each, arg };

	return store_partitions(s, SLICE_LIT("n"), account_part, &k);
}

int
notice_drop(struct store *s, const char *account)
{
	struct buf part;
	int rc = part_of(account, &part);

	if (rc == 0)
		rc = store_partition_drop(s, buf_slice(&part));
	buf_clear(&part);
	return rc;
}
