/* SPDX-License-Identifier: ISC */
#include "gateway/state_gmail.h"

#include <jansson.h>
#include <stdlib.h>

#include "gateway/state_impl.h"

#define KEY_LEN (1 + STATE_ID)
#define ROW_HEAD 9 /* kind, UIDVALIDITY, UID */
#define PAGE_MAX ((size_t)2000)
#define HERE_LEN 9
#define WRITE_OPS 200
#define WRITE_OCTETS ((size_t)256 << 10)

static struct slice
key_of(char kind, const char *id, char room[static KEY_LEN])
{
	room[0] = kind;
	state_id(slice_str(id), (unsigned char *)room + 1);
	return slice(room, KEY_LEN);
}

void
gmail_place_numbers(const char *id, uint32_t *uidvalidity, uint32_t *uid)
{
	unsigned char octets[STATE_ID];

	state_id(slice_str(id), octets);
	*uidvalidity = get_be32(octets);
	*uid = get_be32(octets + 4);
}

/* --- where we are --- */

static void
compare_get(const json_t *o, struct gmail_position *out)
{
	const char *label = json_string_value(json_object_get(o, "label"));
	const char *hex = json_string_value(json_object_get(o, "joined"));
	json_int_t compare = json_integer_value(json_object_get(o, "compare"));
	unsigned octet;

	out->labels_s = json_integer_value(json_object_get(o, "labels"));
	out->first = json_is_true(json_object_get(o, "first"));
	out->doubt = json_is_true(json_object_get(o, "doubt"));
	if (compare > GMAIL_COMPARE_NONE && compare <= GMAIL_COMPARE_JOIN)
		out->compare = (enum gmail_compare_state)compare;
	if (label != NULL && strlen(label) <= GMAIL_ID_MAX)
		memcpy(out->label, label, strlen(label) + 1);
	for (size_t i = 0; hex != NULL && i < STATE_ID &&
	     sscanf(hex + 2 * i, "%2x", &octet) == 1;
	     i++)
		out->joined[i] = (unsigned char)octet;
}

int
gmail_position_get(
    struct state *s, const char *address, struct gmail_position *out)
{
	struct buf val = BUF_INIT;
	const char *history, *page;
	json_t *o = NULL;
	int rc = state_row_get(s, address, SLICE_LIT("G"), &val);

	*out = (struct gmail_position){ .page = BUF_INIT_MAX(PAGE_MAX) };
	if (rc == 0)
		o = json_loadb(val.p, val.n, 0, NULL);
	history = json_string_value(json_object_get(o, "history"));
	page = json_string_value(json_object_get(o, "page"));
	if (history != NULL)
		(void)slice_u64(slice_str(history), UINT64_MAX, &out->history);
	out->of_s = json_integer_value(json_object_get(o, "of"));
	out->listing = json_is_true(json_object_get(o, "listing"));
	out->mirror = json_is_true(json_object_get(o, "mirror"));
	compare_get(o, out);
	if (page != NULL && !buf_put_str(&out->page, page))
		rc = -ENOMEM;
	json_decref(o);
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

int
gmail_position_put(
    struct state *s, const char *address, const struct gmail_position *p)
{
	char history[24], joined[2 * STATE_ID + 1];
	json_t *o;
	char *dump;
	int rc = -ENOMEM;

	snprintf(
	    history, sizeof(history), "%llu", (unsigned long long)p->history);
	for (size_t i = 0; i < STATE_ID; i++)
		snprintf(joined + 2 * i, 3, "%02x", p->joined[i]);
	o = json_pack("{s:s, s:b, s:s, s:I, s:b, s:i, s:b, s:b, s:s, s:s, s:I}",
	    "history", history, "listing", p->listing, "page",
	    buf_str(&p->page), "of", (json_int_t)p->of_s, "mirror", p->mirror,
	    "compare", (int)p->compare, "first", p->first, "doubt", p->doubt,
	    "label", p->label, "joined", joined, "labels",
	    (json_int_t)p->labels_s);
	dump = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	if (dump != NULL)
		rc = state_row_put(s, address, SLICE_LIT("G"), slice_str(dump));
	free(dump);
	json_decref(o);
	return rc;
}

int
gmail_state_forget(struct state *s, const char *address)
{
	struct store_batch *b = NULL;
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0 &&
	    (b = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		store_del_range(b, SLICE_LIT("G"), SLICE_LIT("H"));
		store_del_range(b, SLICE_LIT("g"), SLICE_LIT("i"));
		store_del_range(b, SLICE_LIT("r"), SLICE_LIT("s"));
		store_del_range(b, SLICE_LIT("c"), SLICE_LIT("d"));
		store_del_range(b, SLICE_LIT("b"), SLICE_LIT("c"));
		store_del_range(b, SLICE_LIT("N"), SLICE_LIT("O"));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	return rc;
}

/* --- messages --- */

/* "<kind><UIDVALIDITY><UID>id\nuse\nmailbox\nflags\nprint\nlabels"; labels "?":
 * not known. The last two are missing in what was written before there were any.
 * *out has the text. */
static void
row_decode(struct gmail_row *out)
{
	struct slice rest = buf_slice(&out->text), id, print;

	if (rest.n < ROW_HEAD)
		return;
	rest = slice_from(rest, ROW_HEAD);
	id = slice_split(&rest, '\n');
	if (!gmail_id_is_valid(id))
		return;
	memcpy(out->id, id.p, id.n);
	out->id[id.n] = '\0';
	out->kind = (enum gmail_row_kind)out->text.p[0];
	out->uidvalidity = get_be32(out->text.p + 1);
	out->uid = get_be32(out->text.p + 5);
	out->use = slice_split(&rest, '\n');
	out->mailbox = slice_split(&rest, '\n');
	out->flags = slice_split(&rest, '\n');
	print = slice_split(&rest, '\n');
	out->has_labels = print.n > 0 && !slice_eq_str(rest, "?");
	(void)slice_u64(print, UINT64_MAX, &out->print);
	out->labels = out->has_labels ? rest : SLICE_EMPTY;
}

int
gmail_row_get(
    struct state *s, const char *address, const char *id, struct gmail_row *out)
{
	char room[KEY_LEN];
	int rc;

	*out = (struct gmail_row){ .use = SLICE_EMPTY };
	rc = state_row_get(s, address, key_of('g', id, room), &out->text);
	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	row_decode(out);
	if (strcmp(out->id, id) != 0) { /* another one's: as good as none */
		buf_clear(&out->text);
		*out = (struct gmail_row){ .use = SLICE_EMPTY };
	}
	return 0;
}

static struct slice
here_key(uint32_t uidvalidity, uint32_t uid, char room[static HERE_LEN])
{
	room[0] = 'r';
	put_be32(room + 1, uidvalidity);
	put_be32(room + 5, uid);
	return slice(room, HERE_LEN);
}

int
gmail_row_find(struct state *s, const char *address, uint32_t uidvalidity,
    uint32_t uid, struct gmail_row *out)
{
	char room[HERE_LEN], id[GMAIL_ID_MAX + 1];
	struct buf val = BUF_INIT;
	int rc =
	    state_row_get(s, address, here_key(uidvalidity, uid, room), &val);

	*out = (struct gmail_row){ .use = SLICE_EMPTY };
	if (rc == 0 && gmail_id_is_valid(buf_slice(&val))) {
		memcpy(id, val.p, val.n);
		id[val.n] = '\0';
		rc = gmail_row_get(s, address, id, out);
		if (rc == 0 &&
		    (out->uidvalidity != uidvalidity || out->uid != uid ||
			out->kind != GMAIL_ROW_DONE)) {
			buf_clear(&out->text);
			*out = (struct gmail_row){ .use = SLICE_EMPTY };
		}
	}
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

bool
gmail_row_is_thrown_away(const struct gmail_row *row)
{
	return slice_eq_str(row->use, "Trash") ||
	    slice_eq_str(row->use, "Junk") || slice_eq_str(row->use, "Drafts");
}

struct rows {
	struct gmail_row *v;
	size_t n, max;
	unsigned char last[STATE_ID];
};

static int
rows_one(void *arg, struct slice key, struct slice val)
{
	struct rows *r = arg;
	struct gmail_row *row = &r->v[r->n];

	if (key.n != KEY_LEN)
		return 0;
	if (r->n == r->max)
		return 1;
	*row = (struct gmail_row){ .use = SLICE_EMPTY };
	if (!buf_put_slice(&row->text, val))
		return -ENOMEM;
	r->n++;
	row_decode(row);
	memcpy(r->last, key.p + 1, STATE_ID);
	return 0;
}

/* The key that comes next. */
static void
key_next(unsigned char key[static STATE_ID])
{
	for (size_t i = STATE_ID; i > 0 && ++key[i - 1] == 0; i--)
		continue;
}

int
gmail_rows(struct state *s, const char *address,
    unsigned char key[static STATE_ID], size_t max, struct gmail_row **out,
    size_t *n)
{
	struct rows r = { .v = calloc(max, sizeof(*r.v)), .max = max };
	char from[KEY_LEN] = { 'g' };
	struct buf part;
	int rc = state_part(address, &part);

	if (r.v == NULL)
		rc = -ENOMEM;
	memcpy(from + 1, key, STATE_ID);
	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part),
		    slice(from, sizeof(from)), SLICE_LIT("h"), 0, rows_one, &r);
	buf_clear(&part);
	if (r.n > 0) {
		memcpy(key, r.last, STATE_ID);
		key_next(key);
	}
	*out = r.v;
	*n = r.n;
	return rc == -ENOENT || rc == 1 ? 0 : rc;
}

/* --- writing them --- */

int
gmail_write_end(struct gmail_writer *w)
{
	int rc = w->rc;

	if (rc == 0 && w->b != NULL)
		rc = state_commit(w->s, w->b);
	store_batch_free(&w->b);
	w->n = w->octets = 0;
	w->rc = 0;
	return rc;
}

static bool
write_room(struct gmail_writer *w, size_t octets)
{
	struct buf part;

	if (w->rc == 0 &&
	    (w->n >= WRITE_OPS || w->octets + octets > WRITE_OCTETS))
		w->rc = gmail_write_end(w);
	if (w->rc == 0 && w->b == NULL) {
		w->rc = state_part(w->address, &part);
		if (w->rc == 0 &&
		    (w->b = store_batch_new(w->s->store, buf_slice(&part))) ==
			NULL)
			w->rc = -ENOMEM;
		buf_clear(&part);
	}
	w->n += 2;
	w->octets += octets;
	return w->rc == 0;
}

void
gmail_write(struct gmail_writer *w, const struct gmail_row *row)
{
	struct buf val = BUF_INIT_MAX(STORE_VALUE_MAX);
	char room[KEY_LEN], here[HERE_LEN];

	buf_put_char(&val, (char)row->kind);
	buf_put_be32(&val, row->uidvalidity);
	buf_put_be32(&val, row->uid);
	buf_printf(&val, "%s\n", row->id);
	buf_put_slice(&val, row->use);
	buf_put_char(&val, '\n');
	buf_put_slice(&val, row->mailbox);
	buf_put_char(&val, '\n');
	buf_put_slice(&val, row->flags);
	buf_printf(&val, "\n%llu\n", (unsigned long long)row->print);
	buf_put_slice(&val, row->has_labels ? row->labels : SLICE_LIT("?"));
	if (val.failed && w->rc == 0)
		w->rc = -E2BIG;
	else if (write_room(w, val.n + 200)) {
		store_put(w->b, key_of('g', row->id, room), buf_slice(&val));
		if (row->uid != 0)
			store_put(w->b,
			    here_key(row->uidvalidity, row->uid, here),
			    slice_str(row->id));
	}
	buf_clear(&val);
}

int
gmail_row_put(struct state *s, const char *address, const struct gmail_row *row)
{
	struct gmail_writer w = { .s = s, .address = address };

	gmail_write(&w, row);
	return gmail_write_end(&w);
}

/* --- a comparison --- */

void
gmail_listed_id(
    const char *id, const char *label, char out[static GMAIL_LISTED])
{
	unsigned char hash[STATE_ID];

	state_id(slice_str(id), (unsigned char *)out);
	state_id(slice_str(label), hash);
	memcpy(out + STATE_ID, hash, GMAIL_LISTED - STATE_ID);
}

int
gmail_listed_put(struct state *s, const char *address, const char *v, size_t n)
{
	char key[1 + GMAIL_LISTED] = { 'c' };
	struct store_batch *b = NULL;
	struct buf part;
	size_t step;
	int rc = state_part(address, &part);

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < WRITE_OPS ? n - at : WRITE_OPS;
		b = store_batch_new(s->store, buf_slice(&part));
		for (size_t i = at; i < at + step && b != NULL; i++) {
			memcpy(key + 1, v + i * GMAIL_LISTED, GMAIL_LISTED);
			store_put(b, slice(key, sizeof(key)), SLICE_LIT("1"));
		}
		rc = b == NULL ? -ENOMEM : state_commit(s, b);
		store_batch_free(&b);
	}
	buf_clear(&part);
	return rc;
}

static int
listed_one(void *arg, struct slice key, struct slice val)
{
	struct buf *out = arg;

	(void)val;
	if (key.n != 1 + GMAIL_LISTED)
		return 0;
	return buf_put_slice(out, slice_from(key, 1)) ? 0 : -ENOMEM;
}

int
gmail_listed_get(struct state *s, const char *address,
    const unsigned char from[static STATE_ID],
    const unsigned char to[static STATE_ID], char **out, size_t *n)
{
	char first[KEY_LEN] = { 'c' }, last[KEY_LEN] = { 'c' };
	struct buf part, all = BUF_INIT_MAX((size_t)64 << 20);
	int rc = state_part(address, &part);

	memcpy(first + 1, from, STATE_ID);
	memcpy(last + 1, to, STATE_ID);
	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part),
		    slice(first, sizeof(first)), slice(last, sizeof(last)),
		    STORE_SCAN_KEYS, listed_one, &all);
	buf_clear(&part);
	*n = all.n / GMAIL_LISTED;
	*out = all.p;
	return rc == -ENOENT ? 0 : rc;
}

int
gmail_listed_forget(struct state *s, const char *address)
{
	struct store_batch *b = NULL;
	struct buf part;
	int rc = state_part(address, &part);

	if (rc == 0 &&
	    (b = store_batch_new(s->store, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		store_del_range(b, SLICE_LIT("c"), SLICE_LIT("d"));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	return rc;
}

int
gmail_names_check(
    struct state *s, const char *address, const json_t *names, bool *changed)
{
	struct buf val = BUF_INIT;
	int rc = state_row_get(s, address, SLICE_LIT("N"), &val);
	json_t *had = rc == 0 ? json_loadb(val.p, val.n, 0, NULL) : NULL, *v;
	const char *id;

	*changed = false;
	json_object_foreach(had, id, v) *changed |=
	    !json_equal(v, json_object_get(names, id));
	json_decref(had);
	buf_clear(&val);
	return rc == -ENOENT ? 0 : rc;
}

int
gmail_names_put(struct state *s, const char *address, const json_t *names)
{
	char *dump = json_dumps(names, JSON_COMPACT);
	int rc = -ENOMEM;

	/* Of so very many nobody sees that one was renamed. */
	if (dump != NULL)
		rc = state_row_put(s, address, SLICE_LIT("N"),
		    strlen(dump) <= STORE_VALUE_MAX ? slice_str(dump)
						    : SLICE_LIT("{}"));
	free(dump);
	return rc;
}

/* --- those that failed --- */

struct loading {
	struct gmail_failed *v;
	size_t n, max;
};

static int
load_row(void *arg, struct slice key, struct slice val)
{
	struct loading *l = arg;
	struct slice id = slice_from(val, 1);

	if (key.n != KEY_LEN || !gmail_id_is_valid(id))
		return 0;
	l->v[l->n] = (struct gmail_failed){ .tries = (unsigned char)val.p[0] };
	memcpy(l->v[l->n].id, id.p, id.n);
	return ++l->n == l->max;
}

int
gmail_failed_load(struct state *s, const char *address, size_t max,
    struct gmail_failed **out, size_t *n)
{
	struct loading l = { .v = calloc(max, sizeof(*l.v)), .max = max };
	struct buf part;
	int rc = state_part(address, &part);

	if (l.v == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = store_scan(s->store, buf_slice(&part), SLICE_LIT("h"),
		    SLICE_LIT("i"), 0, load_row, &l);
	buf_clear(&part);
	*out = l.v;
	*n = l.n;
	return rc == -ENOENT || rc == 1 ? 0 : rc;
}

int
gmail_failed_put(
    struct state *s, const char *address, const struct gmail_failed *f)
{
	char room[KEY_LEN];
	struct slice key = key_of('h', f->id, room);
	struct store_batch *b = NULL;
	struct buf part, val = BUF_INIT;
	int rc = state_part(address, &part);

	buf_put_char(&val, (char)f->tries);
	buf_put_str(&val, f->id);
	if (rc == 0 &&
	    (val.failed ||
		(b = store_batch_new(s->store, buf_slice(&part))) == NULL))
		rc = -ENOMEM;
	if (rc == 0) {
		if (f->tries == 0)
			store_del(b, key);
		else
			store_put(b, key, buf_slice(&val));
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&val);
	buf_clear(&part);
	return rc;
}
