/* SPDX-License-Identifier: ISC */
#include "gateway/pairs.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "gateway/state_impl.h"

#define FOLDER_KEY (1 + STATE_ID)
#define UID_KEY (FOLDER_KEY + 4)
#define MOVING_KEY (FOLDER_KEY + STATE_ID)
#define PAIR_ROW 33
#define CURSOR_ROW 20
#define OPS_MAX 400
#define MOVING_KEPT_S (INT64_C(7) * 86400)
#define NAMES_MAX ((size_t)16 << 10)

const char *const system_flags[] = { "\\Seen", "\\Answered", "\\Flagged",
	"\\Deleted", "\\Draft" };

/* --- rows --- */

struct pair_key {
	char octets[MOVING_KEY];
	size_t n;
};

static struct slice
key_slice(const struct pair_key *k)
{
	return slice(k->octets, k->n);
}

static struct pair_key
folder_key(char kind, const struct pair_folder *f)
{
	struct pair_key k = { .n = FOLDER_KEY };

	k.octets[0] = kind;
	memcpy(k.octets + 1, f->id, STATE_ID);
	return k;
}

static struct pair_key
uid_key(char kind, const struct pair_folder *f, uint32_t uid)
{
	struct pair_key k = folder_key(kind, f);

	put_be32(k.octets + k.n, uid);
	k.n += 4;
	return k;
}

static struct pair_key
moving_key(const struct pair_folder *f, const unsigned char id[static STATE_ID])
{
	struct pair_key k = folder_key('i', f);

	memcpy(k.octets + k.n, id, STATE_ID);
	k.n += STATE_ID;
	return k;
}

/* Behind all keys that begin so. */
static struct pair_key
key_end(const struct pair_key *k)
{
	struct pair_key end = *k;

	memset(end.octets + end.n, 0xff, sizeof(end.octets) - end.n);
	end.n = sizeof(end.octets);
	return end;
}

static void
pair_encode(char out[static PAIR_ROW], const struct pair *v)
{
	put_be32(out, v->there);
	put_be32(out + 4, v->here);
	put_be64(out + 8, (uint64_t)v->first_s);
	out[16] = (char)v->agreed.system;
	put_be64(out + 17, v->agreed.keywords);
	put_be64(out + 25, v->print);
}

static int
pair_decode(struct slice in, struct pair *out)
{
	if (in.n != PAIR_ROW)
		return -EIO;
	*out = (struct pair){ .there = get_be32(in.p),
		.here = get_be32(in.p + 4),
		.first_s = (int64_t)get_be64(in.p + 8),
		.agreed = { (unsigned char)in.p[16], get_be64(in.p + 17) },
		.print = get_be64(in.p + 25) };
	return 0;
}

/* --- changes --- */

void
pairs_begin(struct pairs *p, struct state *s, const char *address)
{
	*p = (struct pairs){ .s = s, .address = address };
}

int
pairs_flush(struct pairs *p)
{
	int rc = p->rc;

	if (rc == 0 && p->b != NULL)
		rc = state_commit(p->s, p->b);
	store_batch_free(&p->b);
	p->n = 0;
	p->rc = 0;
	return rc;
}

/* Room for n more, which go together. */
static bool
pairs_room(struct pairs *p, size_t n)
{
	struct buf part;

	if (p->rc == 0 && p->n + n > OPS_MAX)
		p->rc = pairs_flush(p);
	if (p->rc == 0 && p->b == NULL) {
		p->rc = state_part(p->address, &part);
		if (p->rc == 0 &&
		    (p->b = store_batch_new(p->s->store, buf_slice(&part))) ==
			NULL)
			p->rc = -ENOMEM;
		buf_clear(&part);
	}
	p->n += n;
	return p->rc == 0;
}

void
pairs_put(struct pairs *p, const struct pair_folder *f, const struct pair *v)
{
	struct pair_key m = uid_key('m', f, v->there),
			l = uid_key('l', f, v->here);
	char row[PAIR_ROW];

	if (!pairs_room(p, 2))
		return;
	pair_encode(row, v);
	store_put(p->b, key_slice(&m), slice(row, sizeof(row)));
	store_put(p->b, key_slice(&l), slice(row, 4));
}

void
pairs_drop(struct pairs *p, const struct pair_folder *f, const struct pair *v)
{
	struct pair_key m = uid_key('m', f, v->there),
			l = uid_key('l', f, v->here);

	if (!pairs_room(p, 2))
		return;
	store_del(p->b, key_slice(&m));
	store_del(p->b, key_slice(&l));
}

void
pairs_doom(struct pairs *p, const struct pair_folder *f, const struct pair *v)
{
	struct pair_key m = uid_key('m', f, v->there),
			l = uid_key('l', f, v->here),
			x = uid_key('x', f, v->there);

	if (!pairs_room(p, 3))
		return;
	store_del(p->b, key_slice(&m));
	store_del(p->b, key_slice(&l));
	store_put(p->b, key_slice(&x), SLICE_LIT("x"));
}

void
pairs_undoom(struct pairs *p, const struct pair_folder *f, uint32_t there)
{
	struct pair_key x = uid_key('x', f, there);

	if (pairs_room(p, 1))
		store_del(p->b, key_slice(&x));
}

void
pairs_moving_put(
    struct pairs *p, const struct pair_folder *to, const struct pair_moving *m)
{
	struct pair_key k = moving_key(to, m->id);
	char row[PAIR_ROW + 8];

	if (!pairs_room(p, 1))
		return;
	pair_encode(row, &m->pair);
	put_be64(row + PAIR_ROW, (uint64_t)clock_wall_s());
	store_put(p->b, key_slice(&k), slice(row, sizeof(row)));
}

void
pairs_moving_drop(struct pairs *p, const struct pair_folder *to,
    const unsigned char id[static STATE_ID])
{
	struct pair_key k = moving_key(to, id);

	if (pairs_room(p, 1))
		store_del(p->b, key_slice(&k));
}

/* --- asking --- */

int
pair_get(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t there, struct pair *out)
{
	struct pair_key k = uid_key('m', f, there);
	struct buf val = BUF_INIT;
	int rc = state_row_get(s, address, key_slice(&k), &val);

	if (rc == 0)
		rc = pair_decode(buf_slice(&val), out);
	buf_clear(&val);
	return rc;
}

int
pair_find(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t here, struct pair *out)
{
	struct pair_key k = uid_key('l', f, here);
	struct buf val = BUF_INIT;
	int rc = state_row_get(s, address, key_slice(&k), &val);

	if (rc == 0)
		rc = val.n == 4 ? pair_get(s, address, f, get_be32(val.p), out)
				: -EIO;
	buf_clear(&val);
	return rc;
}

/* Rows of one kind, all or some, into an array of their own size. */
struct gathering {
	char *v;
	size_t n, cap, size, max;
	int (*take)(void *out, struct slice key, struct slice val);
};

static int
gather_one(void *arg, struct slice key, struct slice val)
{
	struct gathering *g = arg;
	size_t cap = g->cap == 0 ? 64 : g->cap * 2;
	char *v;
	int rc;

	if (g->n == g->max)
		return 1;
	if (g->n == g->cap) {
		if ((v = reallocarray(g->v, cap, g->size)) == NULL)
			return -ENOMEM;
		g->v = v;
		g->cap = cap;
	}
	rc = g->take(g->v + g->n * g->size, key, val);
	g->n += rc == 0;
	return rc < 0 ? rc : 0;
}

static int
gather(struct state *s, const char *address, const struct pair_key *from,
    const struct pair_key *to, unsigned flags, struct gathering *g)
{
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), key_slice(from),
		    key_slice(to), flags, gather_one, g);
	buf_clear(&part);
	if (rc >= 0 || rc == -ENOENT)
		return 0;
	free(g->v);
	g->v = NULL;
	g->n = 0;
	return rc;
}

static int
take_pair(void *out, struct slice key, struct slice val)
{
	(void)key;
	return pair_decode(val, out);
}

int
pairs_range(struct state *s, const char *address, const struct pair_folder *f,
    uint32_t from, uint32_t to, size_t max, struct pair **out, size_t *n)
{
	struct gathering g = {
		.size = sizeof(struct pair), .max = max, .take = take_pair
	};
	struct pair_key first = uid_key('m', f, from),
			last = uid_key('m', f, to), end;
	int rc;

	end = key_end(&last);
	rc = gather(s, address, &first, &end, 0, &g);
	*out = (struct pair *)(void *)g.v;
	*n = g.n;
	return rc;
}

static int
count_one(void *arg, struct slice key, struct slice val)
{
	(void)key, (void)val;
	++*(size_t *)arg;
	return 0;
}

int
pairs_count(struct state *s, const char *address, const struct pair_folder *f,
    size_t *n)
{
	struct pair_key from = folder_key('m', f), to = key_end(&from);
	struct buf part;
	int rc = state_part(address, &part);

	*n = 0;
	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), key_slice(&from),
		    key_slice(&to), STORE_SCAN_KEYS, count_one, n);
	buf_clear(&part);
	return rc == -ENOENT ? 0 : rc;
}

/* All rows of these kinds, of a folder, or (NULL) of all. */
static int
forget(struct state *s, const char *address, const char *kinds,
    const struct pair_folder *f)
{
	struct store_batch *b = NULL;
	struct pair_key from, to;
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0 &&
	    (b = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	for (; rc == 0 && *kinds != '\0'; kinds++) {
		from = (struct pair_key){ .octets = { *kinds }, .n = 1 };
		if (f != NULL)
			from = folder_key(*kinds, f);
		to = key_end(&from);
		store_del_range(b, key_slice(&from), key_slice(&to));
	}
	if (rc == 0)
		rc = state_commit(s, b);
	store_batch_free(&b);
	buf_clear(&part);
	return rc;
}

int
pairs_forget(struct state *s, const char *address, const struct pair_folder *f)
{
	return forget(s, address, "mlxi", f);
}

int
pair_cursors_forget(struct state *s, const char *address)
{
	return forget(s, address, "b", NULL);
}

static int
take_doomed(void *out, struct slice key, struct slice val)
{
	uint32_t uid;

	(void)val;
	if (key.n != UID_KEY)
		return -EIO;
	uid = get_be32(key.p + FOLDER_KEY);
	memcpy(out, &uid, sizeof(uid));
	return 0;
}

int
pairs_doomed(struct state *s, const char *address, const struct pair_folder *f,
    size_t max, uint32_t **out, size_t *n)
{
	struct gathering g = {
		.size = sizeof(uint32_t), .max = max, .take = take_doomed
	};
	struct pair_key from = folder_key('x', f), to = key_end(&from);
	int rc = gather(s, address, &from, &to, 0, &g);

	*out = (uint32_t *)(void *)g.v;
	*n = g.n;
	return rc;
}

static int
take_moving(void *out, struct slice key, struct slice val)
{
	struct pair_moving *m = out;

	if (key.n != MOVING_KEY || val.n != PAIR_ROW + 8)
		return -EIO;
	if (clock_wall_s() - (int64_t)get_be64(val.p + PAIR_ROW) >
	    MOVING_KEPT_S)
		return 1;
	memcpy(m->id, key.p + FOLDER_KEY, STATE_ID);
	return pair_decode(slice_head(val, PAIR_ROW), &m->pair);
}

int
pairs_moving(struct state *s, const char *address, const struct pair_folder *to,
    struct pair_moving **out, size_t *n)
{
	struct gathering g = { .size = sizeof(struct pair_moving),
		.max = SIZE_MAX,
		.take = take_moving };
	struct pair_key from = folder_key('i', to), end = key_end(&from);
	int rc = gather(s, address, &from, &end, 0, &g);

	*out = (struct pair_moving *)(void *)g.v;
	*n = g.n;
	return rc;
}

/* --- mailboxes here --- */

static struct pair_key
cursor_key(const char *mailbox)
{
	struct pair_folder f;

	state_id(slice_str(mailbox), f.id);
	return folder_key('b', &f);
}

int
pair_cursor_get(struct state *s, const char *address, const char *mailbox,
    struct pair_cursor *out)
{
	struct pair_key k = cursor_key(mailbox);
	struct buf val = BUF_INIT;
	int rc = state_row_get(s, address, key_slice(&k), &val);

	if (rc == 0 && val.n != CURSOR_ROW)
		rc = -EIO;
	if (rc == 0)
		*out =
		    (struct pair_cursor){ get_be32(val.p), get_be32(val.p + 4),
			    get_be64(val.p + 8), get_be32(val.p + 16) };
	buf_clear(&val);
	return rc;
}

int
pair_cursor_put(struct state *s, const char *address, const char *mailbox,
    const struct pair_cursor *c)
{
	struct pair_key k = cursor_key(mailbox);
	char val[CURSOR_ROW];

	put_be32(val, c->uidvalidity);
	put_be32(val + 4, c->uid);
	put_be64(val + 8, c->modseq);
	put_be32(val + 16, c->modseq_uid);
	return state_row_put(
	    s, address, key_slice(&k), slice(val, sizeof(val)));
}

/* --- flags --- */

void
pair_keywords_clear(struct pair_keywords *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->names[i]);
	k->n = k->kept = 0;
}

int
pair_keywords_load(
    struct state *s, const char *address, struct pair_keywords *k)
{
	struct buf val = BUF_INIT;
	struct slice rest;
	int rc = state_row_get(s, address, SLICE_LIT("k"), &val);

	*k = (struct pair_keywords){ .n = 0 };
	for (rest = buf_slice(&val); rc == 0 && rest.n > 0;) {
		if (k->n == PAIR_KEYWORDS)
			rc = -EIO;
		else if ((k->names[k->n] = slice_strdup(
			      slice_split(&rest, '\0'))) == NULL)
			rc = -ENOMEM;
		else
			k->n++;
	}
	k->kept = k->n;
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

int
pair_keywords_save(
    struct state *s, const char *address, struct pair_keywords *k)
{
	struct buf val = BUF_INIT_MAX(NAMES_MAX + PAIR_KEYWORDS);
	int rc = 0;

	if (k->kept == k->n)
		return 0;
	for (size_t i = 0; i < k->n; i++)
		buf_put(&val, k->names[i], strlen(k->names[i]) + 1);
	rc = val.failed
	    ? -E2BIG
	    : state_row_put(s, address, SLICE_LIT("k"), buf_slice(&val));
	if (rc == 0)
		k->kept = k->n;
	buf_clear(&val);
	return rc;
}

static bool
keyword_add(struct pair_keywords *k, struct merge_flags *f, struct slice name)
{
	size_t i = 0;

	while (i < k->n && !slice_eq_str_nocase(name, k->names[i]))
		i++;
	if (i == k->n) {
		if (i == PAIR_KEYWORDS || name.n == 0 ||
		    name.n > NAMES_MAX / PAIR_KEYWORDS ||
		    (k->names[i] = slice_strdup(name)) == NULL)
			return false;
		k->n++;
	}
	f->keywords |= UINT64_C(1) << i;
	return true;
}

bool
pair_flag_add(struct pair_keywords *k, struct merge_flags *f, struct slice name)
{
	for (unsigned i = 0; i < SYSTEM_FLAGS; i++)
		if (slice_eq_str_nocase(name, system_flags[i])) {
			f->system |= 1u << i;
			return true;
		}
	return !slice_starts(name, "\\") && keyword_add(k, f, name);
}

void
pair_flags_put(
    const struct pair_keywords *k, const struct merge_flags *f, struct buf *out)
{
	for (unsigned i = 0; i < SYSTEM_FLAGS; i++)
		if (f->system & 1u << i)
			buf_printf(out, "%s ", system_flags[i]);
	for (size_t i = 0; i < k->n; i++)
		if (f->keywords & UINT64_C(1) << i)
			buf_printf(out, "%s ", k->names[i]);
}
