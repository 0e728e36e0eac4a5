/* SPDX-License-Identifier: ISC */
#include "gateway/known.h"

#include "gateway/state_impl.h"

#define KEY_LEN (1 + STATE_ID)
#define HEAD (STATE_ID + 12 + STATE_ID + 1)
#define MOVED_STEP 200 /* of one commit */

static struct slice
key_of(const unsigned char id[static STATE_ID], char room[static KEY_LEN])
{
	room[0] = 'y';
	memcpy(room + 1, id, STATE_ID);
	return slice(room, KEY_LEN);
}

static int
encode(const struct known *k, struct buf *out)
{
	char numbers[12];

	put_be32(numbers, k->there);
	put_be32(numbers + 4, k->here);
	put_be32(numbers + 8, k->sample_uid);
	buf_put(out, k->id.id, STATE_ID);
	buf_put(out, numbers, sizeof(numbers));
	buf_put(out, k->sample, STATE_ID);
	buf_put_char(out, k->pending ? '\1' : '\0');
	buf_put_slice(out, k->name);
	buf_put_char(out, '\0');
	buf_put_slice(out, k->raw);
	buf_put_char(out, '\0');
	buf_put_slice(out, k->objectid);
	return out->failed ? -E2BIG : 0;
}

static int
decode(struct arena *a, struct slice key, struct slice val, struct known *out)
{
	struct slice rest = arena_dup(a, val);

	if (key.n != KEY_LEN || val.n < HEAD)
		return -EIO;
	if (rest.p == NULL)
		return -ENOMEM;
	*out = (struct known){ .there = get_be32(rest.p + STATE_ID),
		.here = get_be32(rest.p + STATE_ID + 4),
		.sample_uid = get_be32(rest.p + STATE_ID + 8),
		.pending = rest.p[HEAD - 1] == 1 };
	memcpy(out->key, key.p + 1, STATE_ID);
	memcpy(out->id.id, rest.p, STATE_ID);
	memcpy(out->sample, rest.p + STATE_ID + 12, STATE_ID);
	rest = slice_from(rest, HEAD);
	out->name = slice_split(&rest, '\0');
	out->raw = slice_split(&rest, '\0');
	out->objectid = rest;
	return 0;
}

/* --- reading --- */

/* Rows of one kind into an array of their own size, in the arena. */
struct rows {
	struct arena *a;
	char *v;
	size_t n, cap, size;
};

static void *
rows_next(struct rows *r)
{
	size_t cap = r->cap == 0 ? 32 : r->cap * 2;
	char *v;

	if (r->n == r->cap) {
		if ((v = arena_array(r->a, cap, r->size)) == NULL)
			return NULL;
		if (r->n > 0)
			memcpy(v, r->v, r->n * r->size);
		r->v = v;
		r->cap = cap;
	}
	return r->v + r->n++ * r->size;
}

static int
known_row(void *arg, struct slice key, struct slice val)
{
	struct rows *r = arg;
	struct known *k = rows_next(r);

	return k == NULL ? -ENOMEM : decode(r->a, key, val, k);
}

static int
lone_row(void *arg, struct slice key, struct slice val)
{
	struct rows *r = arg;
	uint32_t *v = key.n == 5 ? rows_next(r) : NULL;

	(void)val;
	if (v == NULL)
		return key.n == 5 ? -ENOMEM : -EIO;
	*v = get_be32(key.p + 1);
	return 0;
}

static int
load(struct state *s, const char *address, const char *from, const char *to,
    int (*row)(void *arg, struct slice key, struct slice val), struct rows *r)
{
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), slice_str(from),
		    slice_str(to), 0, row, r);
	buf_clear(&part);
	return rc == -ENOENT ? 0 : rc;
}

int
known_load(struct state *s, const char *address, struct arena *a,
    struct known **out, size_t *n)
{
	struct rows r = { .a = a, .size = sizeof(struct known) };
	int rc = load(s, address, "y", "z", known_row, &r);

	*out = (struct known *)(void *)r.v;
	*n = rc == 0 ? r.n : 0;
	return rc;
}

int
lone_load(struct state *s, const char *address, struct arena *a, uint32_t **out,
    size_t *n)
{
	struct rows r = { .a = a, .size = sizeof(uint32_t) };
	int rc = load(s, address, "z", "{", lone_row, &r);

	*out = (uint32_t *)(void *)r.v;
	*n = rc == 0 ? r.n : 0;
	return rc;
}

/* --- writing --- */

static int
begin(struct state *s, const char *address, struct store_batch **out)
{
	struct buf part;
	int rc = state_part(address, &part);

	*out = NULL;
	if (rc == 0 &&
	    (*out = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	buf_clear(&part);
	return rc;
}

static int
put(struct store_batch *b, const struct known *k)
{
	struct buf val = BUF_INIT_MAX(STORE_VALUE_MAX);
	char room[KEY_LEN];
	int rc = encode(k, &val);

	if (rc == 0)
		store_put(b, key_of(k->key, room), buf_slice(&val));
	buf_clear(&val);
	return rc;
}

int
known_put(struct state *s, const char *address, const struct known *k)
{
	struct store_batch *b;
	int rc = begin(s, address, &b);

	if (rc == 0 && (rc = put(b, k)) == 0)
		rc = state_commit(s, b);
	store_batch_free(&b);
	return rc;
}

static int
move_some(struct state *s, const char *address, const unsigned char *was,
    const struct known *const *v, size_t n)
{
	struct store_batch *b;
	char room[KEY_LEN];
	int rc = begin(s, address, &b);

	for (size_t i = 0; i < n && rc == 0; i++)
		store_del(b, key_of(was + i * STATE_ID, room));
	for (size_t i = 0; i < n && rc == 0; i++)
		rc = put(b, v[i]);
	if (rc == 0)
		rc = state_commit(s, b);
	store_batch_free(&b);
	return rc;
}

int
known_move(struct state *s, const char *address, const unsigned char *was,
    const struct known *const *v, size_t n)
{
	size_t step;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < MOVED_STEP ? n - at : MOVED_STEP;
		rc = move_some(s, address, was + at * STATE_ID, v + at, step);
	}
	return rc;
}

/* The row last: until then it is known what to forget. */
int
known_drop(struct state *s, const char *address, const struct known *k)
{
	struct store_batch *b = NULL;
	char room[KEY_LEN], folder[KEY_LEN];
	int rc = pairs_forget(s, address, &k->id);

	if (rc == 0)
		rc = begin(s, address, &b);
	if (rc == 0) {
		folder[0] = 'f';
		memcpy(folder + 1, k->id.id, STATE_ID);
		store_del(b, slice(folder, sizeof(folder)));
		store_del(b, key_of(k->key, room));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	return rc;
}

static struct slice
lone_key(uint32_t uidvalidity, char room[static 5])
{
	room[0] = 'z';
	put_be32(room + 1, uidvalidity);
	return slice(room, 5);
}

int
lone_put(struct state *s, const char *address, uint32_t uidvalidity,
    struct slice name)
{
	char room[5];

	return state_row_put(s, address, lone_key(uidvalidity, room), name);
}

int
lone_drop(struct state *s, const char *address, uint32_t uidvalidity)
{
	struct store_batch *b;
	char room[5];
	int rc = begin(s, address, &b);

	if (rc == 0) {
		store_del(b, lone_key(uidvalidity, room));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	return rc;
}
