/* SPDX-License-Identifier: ISC */
#include "gateway/state_impl.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/log.h"

#define KEY_LEN (1 + STATE_ID)
#define FOLDER_ROW 40
#define ERROR_MAX 500
#define ATTEMPTS 20

const char *const state_kinds[] = { "new", "ok", "retry", "login" };

void
state_id(struct slice of, unsigned char out[static STATE_ID])
{
	unsigned char md[EVP_MAX_MD_SIZE];

	/* Cannot fail but for want of memory; then it is as good as unknown. */
	if (EVP_Digest(of.p, of.n, md, NULL, EVP_sha256(), NULL) != 1)
		memset(md, 0, sizeof(md));
	memcpy(out, md, STATE_ID);
}

/* --- opening --- */

int
state_open(
    struct state **out, const struct conf *conf, bool readonly, struct buf *err)
{
	const struct store_conf sc = { .engine = "embedded",
		.dir = conf_file(conf, "gateway.dir"),
		.readonly = readonly };
	struct state *s = calloc(1, sizeof(*s));
	int rc = s == NULL ? -ENOMEM : store_open(&s->store, &sc, err);

	if (rc != 0) {
		free(s);
		s = NULL;
	}
	*out = s;
	return rc;
}

void
state_close(struct state **out)
{
	struct state *s = *out;

	*out = NULL;
	if (s == NULL)
		return;
	store_close(&s->store);
	free(s);
}

struct store *
state_store(struct state *s)
{
	return s->store;
}

int
state_part(const char *address, struct buf *out)
{
	*out = BUF_INIT_MAX(STORE_KEY_MAX - KEY_LEN);
	buf_put_char(out, 'p');
	buf_put_str(out, address);
	return out->failed ? -E2BIG : 0;
}

int
state_drop(struct state *s, const char *address)
{
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_partition_drop(s->store, buf_slice(&part));
	buf_clear(&part);
	return rc;
}

static int
claim(struct state *s, const char *address, const char *id)
{
	struct buf val = BUF_INIT;
	int rc;

	rc = state_row_get(s, address, SLICE_LIT("a"), &val);
	if (rc == 0 && slice_eq_str(buf_slice(&val), id)) {
		buf_clear(&val);
		return 0;
	}
	buf_clear(&val);
	if (rc == 0 || rc == -ENOENT)
		rc = state_drop(s, address);
	return rc == 0 || rc == -ENOENT
	    ? state_row_put(s, address, SLICE_LIT("a"), slice_str(id))
	    : rc;
}

int
state_claim(struct state *s, const char *address, const char *id)
{
	int rc;

	if (*id == '\0')
		return 0;
	/* One at a time: what the first has noted since is not to go. */
	if ((rc = co_mutex_lock(&s->claiming, -1)) != 0)
		return rc;
	rc = claim(s, address, id);
	co_mutex_unlock(&s->claiming);
	return rc;
}

struct addresses {
	int (*each)(void *arg, struct slice address);
	void *arg;
};

static int
one_address(void *arg, struct slice name)
{
	const struct addresses *a = arg;

	return a->each(a->arg, slice_from(name, 1));
}

int
state_addresses(
    struct state *s, int (*each)(void *arg, struct slice address), void *arg)
{
	struct addresses a = { each, arg };

	return store_partitions(s->store, SLICE_LIT("p"), one_address, &a);
}

int
state_commit(struct state *s, struct store_batch *b)
{
	int rc = -EAGAIN;

	for (int i = 0; i < ATTEMPTS; i++) {
		rc = store_commit_one(s->store, b);
		if (rc != STORE_ECONFLICT && rc != STORE_EUNKNOWN)
			break;
	}
	return rc;
}

int
state_row_put(
    struct state *s, const char *address, struct slice key, struct slice val)
{
	struct store_batch *b = NULL;
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0 &&
	    (b = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		store_put(b, key, val);
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	return rc;
}

int
state_row_get(
    struct state *s, const char *address, struct slice key, struct buf *val)
{
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_get(s->store, buf_slice(&part), key, val);
	buf_clear(&part);
	return rc;
}

#define STATUS SLICE_LIT("s")

/* Keys begin with a letter; "a", "s" and "t" stay. */
static void
put_bound(struct store_batch *b, bool anew, struct slice print)
{
	if (anew) {
		store_del_range(b, SLICE_LIT("b"), STATUS);
		store_del_range(b, SLICE_LIT("u"), SLICE_LIT("{"));
	}
	store_put(b, SLICE_LIT("o"), print);
}

int
state_bind(struct state *s, const char *address,
    const unsigned char print[static STATE_ID])
{
	struct slice now = slice(print, STATE_ID);
	struct store_batch *b = NULL;
	struct buf part, was = BUF_INIT;
	int rc = state_row_get(s, address, SLICE_LIT("o"), &was);
	bool known = rc == 0, same = known && slice_eq(buf_slice(&was), now);

	buf_clear(&was);
	if (same || (rc != 0 && rc != -ENOENT))
		return rc;
	rc = state_part(address, &part);
	if (rc == 0 &&
	    (b = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		put_bound(b, known, now);
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	if (rc == 0 && known)
		log_info("another maildrop: all of it is new", "outside=%s",
		    log_qs(address));
	return rc;
}

/* --- how it stands --- */

static int64_t
number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static int
decode(struct arena *a, const json_t *o, struct state_status *out)
{
	const char *kind = json_string_value(json_object_get(o, "state"));
	const char *error = json_string_value(json_object_get(o, "error"));

	out->looked_s = number(o, "looked");
	out->good_s = number(o, "good");
	out->next_s = number(o, "next");
	out->fails = (uint32_t)number(o, "fails");
	out->messages = (uint64_t)number(o, "messages");
	out->octets = (uint64_t)number(o, "octets");
	out->refused = (uint64_t)number(o, "refused");
	for (int i = 0; kind != NULL && i < STATE_KINDS; i++)
		if (strcmp(kind, state_kinds[i]) == 0)
			out->kind = (enum state_kind)i;
	out->error = arena_strdup(a, slice_str(error));
	return out->error == NULL ? -ENOMEM : 0;
}

int
state_status_get(struct state *s, struct arena *a, const char *address,
    struct state_status *out)
{
	struct buf val = BUF_INIT;
	json_t *o = NULL;
	int rc = state_row_get(s, address, STATUS, &val);

	*out = (struct state_status){ .kind = STATE_NEW, .error = "" };
	if (rc == 0) {
		o = json_loadb(val.p, val.n, 0, NULL);
		rc = json_is_object(o) ? decode(a, o, out) : -EIO;
	}
	json_decref(o);
	buf_clear(&val);
	return rc;
}

int
state_status_put(
    struct state *s, const char *address, const struct state_status *st)
{
	struct slice error = slice_head(slice_str(st->error), ERROR_MAX);
	json_t *text = json_stringn(error.p, error.n), *o;
	char *dump;
	int rc = -ENOMEM;

	/* What a server said, cut or not, need not be UTF-8. */
	if (text == NULL)
		text = json_string("not told in UTF-8");
	o = json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
	    state_kinds[st->kind], "error", text, "looked",
	    (json_int_t)st->looked_s, "good", (json_int_t)st->good_s, "next",
	    (json_int_t)st->next_s, "fails", (json_int_t)st->fails, "messages",
	    (json_int_t)st->messages, "octets", (json_int_t)st->octets,
	    "refused", (json_int_t)st->refused);
	dump = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	if (dump != NULL)
		rc = state_row_put(s, address, SLICE_LIT("s"), slice_str(dump));
	free(dump);
	json_decref(o);
	return rc;
}

/* --- how far it is --- */

int
state_status_now(struct state *s, struct arena *a, const char *address,
    struct state_status *out)
{
	struct buf val = BUF_INIT;
	int rc = state_status_get(s, a, address, out);

	if (state_row_get(s, address, SLICE_LIT("q"), &val) == 0 &&
	    val.n == 16) {
		out->messages += get_be64(val.p);
		out->left = get_be64(val.p + 8);
	}
	buf_clear(&val);
	return rc;
}

int
state_progress_put(
    struct state *s, const char *address, const struct state_progress *p)
{
	char val[16];

	put_be64(val, p->done);
	put_be64(val + 8, p->left);
	return state_row_put(s, address, SLICE_LIT("q"), slice(val, 16));
}

/* --- OAuth --- */

int
state_token_get(struct state *s, const char *address,
    const unsigned char base[static STATE_ID], struct buf *sealed)
{
	struct buf val = BUF_INIT;
	int rc = state_row_get(s, address, SLICE_LIT("t"), &val);

	if (rc == 0 &&
	    (val.n <= STATE_ID || memcmp(val.p, base, STATE_ID) != 0))
		rc = -ENOENT;
	if (rc == 0 &&
	    !buf_put_slice(sealed, slice_from(buf_slice(&val), STATE_ID)))
		rc = -ENOMEM;
	buf_clear(&val);
	return rc;
}

int
state_token_put(struct state *s, const char *address,
    const unsigned char base[static STATE_ID], struct slice sealed)
{
	struct buf val = BUF_INIT;
	int rc = -ENOMEM;

	buf_put(&val, base, STATE_ID);
	if (buf_put_slice(&val, sealed))
		rc = state_row_put(s, address, SLICE_LIT("t"), buf_slice(&val));
	buf_clear(&val);
	return rc;
}

/* --- POP3 --- */

struct loading {
	struct state_seen *v;
	size_t n, cap;
};

static int
load_row(void *arg, struct slice key, struct slice val)
{
	struct loading *l = arg;
	size_t cap = l->cap == 0 ? 256 : l->cap * 2;
	struct state_seen *v;

	if (key.n != KEY_LEN || val.n < 8)
		return 0;
	if (l->n == l->cap) {
		if ((v = reallocarray(l->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	memcpy(l->v[l->n].id, key.p + 1, STATE_ID);
	l->v[l->n++].first_s = (int64_t)get_be64(val.p);
	return 0;
}

int
state_seen_load(
    struct state *s, const char *address, struct state_seen **out, size_t *n)
{
	struct loading l = { 0 };
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), SLICE_LIT("u"),
		    SLICE_LIT("v"), 0, load_row, &l);
	buf_clear(&part);
	if (rc != 0 && rc != -ENOENT) {
		free(l.v);
		return rc;
	}
	*out = l.v;
	*n = l.n;
	return 0;
}

/* In batches as large as the engine takes them. */
static int
seen_change(struct state *s, const char *address, const struct state_seen *v,
    size_t n, bool del)
{
	char key[KEY_LEN] = "u", val[8];
	struct store_batch *b;
	struct buf part;
	int rc = state_part(address, &part);

	for (size_t i = 0; i < n && rc == 0;) {
		b = store_batch_new(s->store, buf_slice(&part));
		for (size_t k = 0; k < STORE_BATCH_OPS && i < n; k++, i++) {
			memcpy(key + 1, v[i].id, STATE_ID);
			put_be64(val, (uint64_t)v[i].first_s);
			if (b != NULL && del)
				store_del(b, slice(key, KEY_LEN));
			else if (b != NULL)
				store_put(
				    b, slice(key, KEY_LEN), slice(val, 8));
		}
		rc = b == NULL ? -ENOMEM : state_commit(s, b);
		store_batch_free(&b);
	}
	buf_clear(&part);
	return rc;
}

int
state_seen_put(
    struct state *s, const char *address, const struct state_seen *v, size_t n)
{
	return seen_change(s, address, v, n, false);
}

int
state_seen_del(
    struct state *s, const char *address, const struct state_seen *v, size_t n)
{
	return seen_change(s, address, v, n, true);
}

/* --- IMAP --- */

static struct slice
folder_key(const unsigned char id[static STATE_ID], char room[static KEY_LEN])
{
	room[0] = 'f';
	memcpy(room + 1, id, STATE_ID);
	return slice(room, KEY_LEN);
}

int
state_folder_get(struct state *s, const char *address,
    const unsigned char id[static STATE_ID], struct state_folder *out)
{
	struct buf val = BUF_INIT;
	char room[KEY_LEN];
	int rc = state_row_get(s, address, folder_key(id, room), &val);

	*out = (struct state_folder){ 0 };
	/* Shorter ones are of before there were pairs: looked at once more. */
	if (rc == 0 && val.n == FOLDER_ROW)
		*out = (struct state_folder){ .uidvalidity = get_be32(val.p),
			.uidnext = get_be32(val.p + 4),
			.stuck_uid = get_be32(val.p + 8),
			.stuck_times = get_be32(val.p + 12),
			.modseq = get_be64(val.p + 16),
			.messages = get_be32(val.p + 24),
			.compared_s = (int64_t)get_be64(val.p + 28),
			.here = get_be32(val.p + 36) };
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

int
state_folder_put(struct state *s, const char *address,
    const unsigned char id[static STATE_ID], const struct state_folder *f)
{
	char room[KEY_LEN], val[FOLDER_ROW];

	put_be32(val, f->uidvalidity);
	put_be32(val + 4, f->uidnext);
	put_be32(val + 8, f->stuck_uid);
	put_be32(val + 12, f->stuck_times);
	put_be64(val + 16, f->modseq);
	put_be32(val + 24, f->messages);
	put_be64(val + 28, (uint64_t)f->compared_s);
	put_be32(val + 36, f->here);
	return state_row_put(
	    s, address, folder_key(id, room), slice(val, sizeof(val)));
}
