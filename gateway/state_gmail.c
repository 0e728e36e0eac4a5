/* SPDX-License-Identifier: ISC */
#include "gateway/state_gmail.h"

#include <jansson.h>
#include <stdlib.h>

#include "gateway/state_impl.h"

#define KEY_LEN (1 + STATE_ID)
#define ROW_HEAD 9 /* kind, UIDVALIDITY, UID */
#define PAGE_MAX ((size_t)2000)

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
	char history[24];
	json_t *o;
	char *dump;
	int rc = -ENOMEM;

	snprintf(
	    history, sizeof(history), "%llu", (unsigned long long)p->history);
	o = json_pack("{s:s, s:b, s:s, s:I}", "history", history, "listing",
	    p->listing, "page", buf_str(&p->page), "of", (json_int_t)p->of_s);
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
		rc = state_commit(s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	return rc;
}

/* --- messages --- */

int
gmail_row_get(
    struct state *s, const char *address, const char *id, struct gmail_row *out)
{
	char room[KEY_LEN];
	struct slice rest, of;
	int rc;

	*out = (struct gmail_row){ .use = SLICE_EMPTY };
	rc = state_row_get(s, address, key_of('g', id, room), &out->text);
	if (rc != 0 || out->text.n < ROW_HEAD)
		return rc == -ENOENT ? 0 : rc;
	rest = slice_from(buf_slice(&out->text), ROW_HEAD);
	of = slice_split(&rest, '\n');
	if (!slice_eq_str(of, id)) /* another one's: as good as none */
		return 0;
	memcpy(out->id, of.p, of.n);
	out->kind = (enum gmail_row_kind)out->text.p[0];
	out->uidvalidity = get_be32(out->text.p + 1);
	out->uid = get_be32(out->text.p + 5);
	out->use = slice_split(&rest, '\n');
	out->mailbox = slice_split(&rest, '\n');
	out->flags = rest;
	return 0;
}

int
gmail_row_put(struct state *s, const char *address, const struct gmail_row *row)
{
	struct buf val = BUF_INIT_MAX(STORE_VALUE_MAX);
	char room[KEY_LEN];
	int rc = -E2BIG;

	buf_put_char(&val, (char)row->kind);
	buf_put_be32(&val, row->uidvalidity);
	buf_put_be32(&val, row->uid);
	buf_printf(&val, "%s\n", row->id);
	buf_put_slice(&val, row->use);
	buf_put_char(&val, '\n');
	buf_put_slice(&val, row->mailbox);
	buf_put_char(&val, '\n');
	if (buf_put_slice(&val, row->flags))
		rc = state_row_put(
		    s, address, key_of('g', row->id, room), buf_slice(&val));
	buf_clear(&val);
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
