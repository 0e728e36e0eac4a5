/* SPDX-License-Identifier: ISC */
#include "gateway/state_push.h"

#include <stdio.h>

#include "common/base/clock.h"
#include "gateway/state_impl.h"

#define KEY_LEN (1 + STATE_ID)
#define HEAD 8
#define OLD_MAX 200 /* rows of one commit */

static struct slice
key_of(char kind, const unsigned char id[static STATE_ID],
    char room[static KEY_LEN])
{
	room[0] = kind;
	memcpy(room + 1, id, STATE_ID);
	return slice(room, KEY_LEN);
}

static struct slice
trace_key(struct slice trace, char room[static KEY_LEN])
{
	unsigned char id[STATE_ID];

	state_id(trace, id);
	return key_of('w', id, room);
}

/* Where it is there, in INBOX; of Gmail as mailbox is told. */
static struct slice
place_key(uint32_t uidvalidity, uint32_t uid, char room[static KEY_LEN])
{
	unsigned char id[STATE_ID];
	char text[24];

	snprintf(text, sizeof(text), "%u %u", uidvalidity, uid);
	state_id(slice_str(text), id);
	return key_of('q', id, room);
}

static int
batch_begin(struct state *s, const char *address, struct store_batch **out)
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

/* --- on its way --- */

int
state_push_get(struct state *s, const char *address, struct slice trace,
    struct state_push *out)
{
	struct buf val = BUF_INIT;
	char room[KEY_LEN];
	int rc = state_row_get(s, address, trace_key(trace, room), &val);

	*out = (struct state_push){ 0 };
	if (rc == 0 && val.n == HEAD + 1)
		*out = (struct state_push){ (int64_t)get_be64(val.p),
			val.p[HEAD] == 1, val.p[HEAD] == 2 };
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

static struct slice
push_row(const struct state_push *p, char room[static HEAD + 1])
{
	put_be64(room, (uint64_t)p->since_s);
	room[HEAD] = p->over ? 2 : p->sent ? 1 : 0;
	return slice(room, HEAD + 1);
}

int
state_push_put(struct state *s, const char *address, struct slice trace,
    const struct state_push *p)
{
	char room[KEY_LEN], val[HEAD + 1];

	return state_row_put(
	    s, address, trace_key(trace, room), push_row(p, val));
}

/* --- put in --- */

static int
row_encode(const struct state_put_in *p, bool with_octets, struct buf *out)
{
	char now[HEAD];

	put_be64(now, (uint64_t)clock_wall_s());
	buf_put(out, now, sizeof(now));
	if (with_octets)
		buf_put(out, p->octets, STATE_ID);
	buf_put_slice(out, p->trace);
	buf_put_char(out, '\0');
	buf_put_slice(out, p->from);
	return out->failed ? -ENOMEM : 0;
}

int
state_put_in_announce(
    struct state *s, const char *address, const struct state_put_in *p)
{
	struct buf val = BUF_INIT_MAX(STORE_VALUE_MAX);
	char room[KEY_LEN];
	int rc = row_encode(p, false, &val);

	if (rc == 0)
		rc = state_row_put(
		    s, address, key_of('p', p->octets, room), buf_slice(&val));
	buf_clear(&val);
	return rc;
}

int
state_put_in_done(struct state *s, const char *address,
    const struct state_put_in *p, uint32_t uidvalidity, uint32_t uid)
{
	const struct state_push over = { .since_s = clock_wall_s(),
		.over = true };
	struct buf val = BUF_INIT_MAX(STORE_VALUE_MAX);
	char room[KEY_LEN], place[KEY_LEN], row[HEAD + 1];
	struct store_batch *b;
	int rc = batch_begin(s, address, &b);

	if (rc == 0)
		rc = row_encode(p, true, &val);
	if (rc == 0) {
		store_put(b, trace_key(p->trace, room), push_row(&over, row));
		if (uid != 0)
			store_put(b, place_key(uidvalidity, uid, place),
			    buf_slice(&val));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&val);
	return rc;
}

static int
found_one(void *arg, struct slice key, struct slice val)
{
	(void)arg, (void)key, (void)val;
	return 1;
}

int
state_put_in_any(struct state *s, const char *address)
{
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), SLICE_LIT("p"),
		    SLICE_LIT("r"), STORE_SCAN_KEYS, found_one, NULL);
	buf_clear(&part);
	return rc == -ENOENT ? 0 : rc;
}

static int
row_find(struct state *s, const char *address, struct slice key,
    bool with_octets, struct state_put_in *out)
{
	size_t head = HEAD + (with_octets ? STATE_ID : 0);
	struct slice rest;
	int rc;

	*out = (struct state_put_in){ .text = BUF_INIT };
	rc = state_row_get(s, address, key, &out->text);
	if (rc == 0 && out->text.n <= head)
		rc = -EIO;
	if (rc != 0)
		return rc;
	if (with_octets)
		memcpy(out->octets, out->text.p + HEAD, STATE_ID);
	rest = slice_from(buf_slice(&out->text), head);
	out->trace = slice_split(&rest, '\0');
	out->from = rest;
	return 0;
}

int
state_put_in_at(struct state *s, const char *address, uint32_t uidvalidity,
    uint32_t uid, struct state_put_in *out)
{
	char room[KEY_LEN];

	return row_find(
	    s, address, place_key(uidvalidity, uid, room), true, out);
}

int
state_put_in_of(struct state *s, const char *address,
    const unsigned char octets[static STATE_ID], struct state_put_in *out)
{
	char room[KEY_LEN];
	int rc = row_find(s, address, key_of('p', octets, room), false, out);

	memcpy(out->octets, octets, STATE_ID);
	return rc;
}

int
state_put_in_forget(struct state *s, const char *address,
    const struct state_put_in *p, uint32_t uidvalidity, uint32_t uid)
{
	char room[KEY_LEN], place[KEY_LEN];
	struct store_batch *b;
	int rc = batch_begin(s, address, &b);

	if (rc == 0) {
		store_del(b, key_of('p', p->octets, room));
		store_del(b, place_key(uidvalidity, uid, place));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	return rc;
}

/* --- old ones --- */

struct old {
	struct store_batch *b;
	int64_t before_s;
	size_t n;
};

static int
old_row(void *arg, struct slice key, struct slice val)
{
	struct old *o = arg;

	if (key.n != KEY_LEN || val.n < HEAD ||
	    (int64_t)get_be64(val.p) >= o->before_s)
		return 0;
	store_del(o->b, key);
	return ++o->n == OLD_MAX;
}

/* At most OLD_MAX. 1: there may be more. */
static int
sweep_some(struct state *s, const char *address, int64_t before_s, size_t *n)
{
	struct old o = { .before_s = before_s };
	struct buf part;
	int rc = batch_begin(s, address, &o.b), more = 0;

	if (rc == 0)
		rc = state_part(address, &part);
	if (rc == 0) {
		more = store_scan(s->store, buf_slice(&part), SLICE_LIT("p"),
		    SLICE_LIT("r"), 0, old_row, &o);
		if (more == 0 || more == -ENOENT)
			more = store_scan(s->store, buf_slice(&part),
			    SLICE_LIT("w"), SLICE_LIT("x"), 0, old_row, &o);
		buf_clear(&part);
		rc = more < 0 && more != -ENOENT ? more : 0;
	}
	if (rc == 0 && o.n > 0)
		rc = state_commit(s, o.b);
	store_batch_free(&o.b);
	*n += rc == 0 ? o.n : 0;
	return rc == 0 ? more == 1 : rc;
}

int
state_push_sweep(
    struct state *s, const char *address, int64_t before_s, size_t *n)
{
	int rc;

	*n = 0;
	do
		rc = sweep_some(s, address, before_s, n);
	while (rc == 1);
	return rc;
}
