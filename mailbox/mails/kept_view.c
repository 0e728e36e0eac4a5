/* SPDX-License-Identifier: ISC */
/*
 * Read-only views of what was: of kept messages, of a mailbox at a past time,
 * of a deleted mailbox.
 */
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/room.h"

#define COPY_CHUNK ((size_t)64 << 10)
#define COPY_STEP 32 /* messages of one group commit */

/* --- names --- */

/* "2026-11-20", "2026-11-20T14:30", "2026-11-20T14:30:15", or without colons;
 * in the time zone of the server. */
static int
time_parse(struct slice when, int64_t *out)
{
	static const char form[] = "dddd-dd-ddTdddddd";
	int field[6] = { 0 };
	struct tm tm = { .tm_isdst = -1 };
	size_t at = 0, f;
	time_t t;

	for (size_t i = 0; i < when.n; i++) {
		char c = when.p[i];

		if (c == ':' && (at == 13 || at == 15))
			continue;
		if (form[at] == '\0' ||
		    (form[at] == 'd' ? c < '0' || c > '9' : c != form[at]))
			return -ENOENT;
		f = at < 4 ? 0 : at < 7 ? 1 : at < 10 ? 2 : 3 + (at - 11) / 2;
		if (form[at++] == 'd')
			field[f] = 10 * field[f] + (c - '0');
	}
	if (at != 10 && at != 15 && at != 17)
		return -ENOENT;
	tm.tm_year = field[0] - 1900;
	tm.tm_mon = field[1] - 1;
	tm.tm_mday = field[2];
	tm.tm_hour = field[3];
	tm.tm_min = field[4];
	tm.tm_sec = field[5];
	if (field[1] < 1 || field[1] > 12 || field[2] < 1 || field[2] > 31 ||
	    field[3] > 23 || field[4] > 59 || field[5] > 60 ||
	    (t = mktime(&tm)) == (time_t)-1)
		return -ENOENT;
	*out = t;
	return 0;
}

/* The live mailbox of that name, else one that was deleted. */
static int
box_find(struct mails_view *v, const char *account, struct slice name,
    uint64_t *id, bool *deleted)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct kept_box k;
	int rc = names_find(v->m, account, name, id);

	*deleted = false;
	if (rc == -ENOENT &&
	    (rc = kept_box_find(v->m, account, name, &a, &k)) == 0) {
		*id = k.id;
		*deleted = true;
	}
	arena_reset(&a);
	return rc;
}

int
kept_view_find(
    struct mails_view *v, const char *account, struct slice name, uint64_t *id)
{
	struct slice root = slice_split(&name, MAILS_SEPARATOR), when;
	bool deleted;
	int rc;

	if (v->m->keep_s == 0 || name.n == 0)
		return -ENOENT;
	if (slice_eq_str(root, MAILS_DELETED_ROOT)) {
		rc = box_find(v, account, name, id, &deleted);
		v->kind = deleted ? VIEW_DELETED : VIEW_KEPT;
		return rc;
	}
	when = slice_split(&name, MAILS_SEPARATOR);
	v->kind = VIEW_PAST;
	if (name.n == 0 || (rc = time_parse(when, &v->past_s)) != 0 ||
	    v->past_s > clock_wall_s() ||
	    v->past_s < clock_wall_s() - v->m->keep_s)
		return -ENOENT;
	return box_find(v, account, name, id, &deleted);
}

/* --- what was expunged --- */

static int
kept_note(void *arg, uint32_t number, const struct kept *k)
{
	struct mails_view *v = arg;
	struct entry *e;
	uint32_t seq;
	bool exact;

	if (k->kind != KEPT_EXPUNGED)
		return 0;
	seq = mails_view_seq(v, number, &exact);
	if (!exact) /* numbers go up: what is new stands behind all others */
		return seq == v->roll.n ? view_append(v, number, &k->row) : 0;
	if ((e = view_edit(v, seq)) == NULL)
		return -ENOMEM;
	e->seen = true;
	return 0;
}

/* UIDs of such a view are the numbers. */
static void
kept_header(struct mails_view *v, const struct header *now)
{
	v->h = *now;
	v->h.uidnext = now->kept_next == 0 ? 1 : now->kept_next;
	v->h.recent_uid = v->recent_from = v->h.uidnext;
}

static int
kept_marks(struct mails_view *v, uint32_t n)
{
	struct entry *e;

	for (uint32_t seq = 1; seq <= n; seq++) {
		if ((e = view_edit(v, seq)) == NULL)
			return -ENOMEM;
		e->seen = false;
	}
	return 0;
}

int
kept_view_sync(struct mails_view *v, const struct header *now)
{
	uint32_t known = v->roll.n;
	const struct entry *e;
	int rc;

	if (v->kind != VIEW_KEPT)
		return 0;
	if ((rc = kept_marks(v, known)) != 0)
		return rc;
	if ((rc = kept_rows(v->x, 0, kept_note, v)) != 0) {
		roll_truncate(&v->roll, known);
		return rc;
	}
	for (uint32_t seq = 1; seq <= known; seq++) {
		e = view_entry(v, seq);
		if (e->seen || e->gone)
			continue;
		view_edit(v, seq)->gone = true;
		v->n_gone++;
	}
	kept_header(v, now);
	return 0;
}

/* --- what was at a time --- */

struct past {
	struct mails_view *v;
	struct past_entry {
		uint32_t uid, kept;
		struct row row;
	} * e;
	size_t n, cap;
	uint32_t next;
	unsigned page;
};

static int
past_add(struct past *p, uint32_t uid, uint32_t kept, const struct row *r)
{
	struct past_entry *e = p->e;

	if (r->savedate > p->v->past_s)
		return 0;
	if (p->n == p->cap) {
		p->cap = p->cap == 0 ? 256 : p->cap * 2;
		if ((e = realloc(e, p->cap * sizeof(*e))) == NULL)
			return -ENOMEM;
		p->e = e;
	}
	p->e[p->n++] = (struct past_entry){ uid, kept, *r };
	return 0;
}

static int
past_kept(void *arg, uint32_t number, const struct kept *k)
{
	struct past *p = arg;

	return k->expunged_s <= p->v->past_s
	    ? 0
	    : past_add(p, k->uid, number, &k->row);
}

static int
past_live(void *arg, struct slice key, struct slice val)
{
	struct past *p = arg;
	struct row r;
	int rc;

	if (key.n != 5)
		return -EIO;
	p->next = get_be32(key.p + 1) + 1;
	if (row_decode(val, &r) != 0)
		return ++p->page == 1000;
	rc = past_add(p, p->next - 1, 0, &r);
	return rc != 0 ? rc : ++p->page == 1000;
}

static int
past_cmp(const void *pa, const void *pb)
{
	const struct past_entry *a = pa, *b = pb;

	return a->uid < b->uid  ? -1
	    : a->uid > b->uid   ? 1
	    : a->kept < b->kept ? -1
				: a->kept > b->kept;
}

/* Live ones first: one that is expunged in between is found again as kept. */
static int
past_gather(struct past *p)
{
	struct box *x = p->v->x;
	struct key from, to = key_uid('u', p->v->h.uidnext);
	int rc = 1;

	while (rc == 1) {
		p->page = 0;
		from = key_uid('u', p->next);
		rc = store_scan(x->m->s, box_part(x), key_slice(&from),
		    key_slice(&to), 0, past_live, p);
		if (rc == 1)
			(void)co_yield ();
	}
	return rc == 0 ? kept_rows(x, 0, past_kept, p) : rc;
}

/* A message that moved away, and is gone for good where it went. */
static bool
past_is_lost(struct mails_view *v, const struct past_entry *e)
{
	uint64_t size;

	return e->kept != 0 &&
	    store_blob_size(v->m->s, &e->row.blob, &size) == -ENOENT;
}

static int
past_fill(struct mails_view *v, const struct past *p)
{
	int rc = 0;

	if ((v->past_kept = calloc(p->n + 1, sizeof(*v->past_kept))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < p->n && rc == 0; i++) {
		/* Of one that was seen live and kept, the latter is newer. */
		if ((i + 1 < p->n && p->e[i + 1].uid == p->e[i].uid) ||
		    past_is_lost(v, &p->e[i]))
			continue;
		if ((rc = view_append(v, p->e[i].uid, &p->e[i].row)) == 0)
			v->past_kept[v->roll.n - 1] = p->e[i].kept;
	}
	v->h.recent_uid = v->recent_from = v->h.uidnext;
	return rc;
}

static int
past_load(struct mails_view *v)
{
	struct past p = { .v = v, .next = 1 };
	int rc = past_gather(&p);

	if (rc == 0 && p.n > 0)
		qsort(p.e, p.n, sizeof(*p.e), past_cmp);
	if (rc == 0)
		rc = past_fill(v, &p);
	free(p.e);
	return rc;
}

int
kept_view_load(struct mails_view *v)
{
	struct header now;
	int rc;

	if ((rc = box_read(v->x, &now)) != 0 ||
	    (rc = keywords_read(v->x, &v->keywords)) != 0)
		return rc;
	v->h = now;
	if (v->kind == VIEW_PAST)
		return past_load(v);
	kept_header(v, &now);
	return kept_rows(v->x, 0, kept_note, v);
}

/* --- messages --- */

int
view_row(struct mails_view *v, uint32_t seq, struct row *r)
{
	uint32_t number = v->kind == VIEW_KEPT ? mails_view_uid(v, seq)
	    : v->kind == VIEW_PAST             ? v->past_kept[seq - 1]
					       : 0;
	struct kept k;
	int rc;

	if (number == 0)
		return row_get(v->x, mails_view_uid(v, seq), r);
	if ((rc = kept_get(v->x, number, &k, NULL)) == 0)
		*r = k.row;
	return rc;
}

/* --- COPY --- */

struct copies {
	struct mails_view *v;
	struct mails_message *msgs[COPY_STEP];
	struct mails_target targets[COPY_STEP];
	const char *names[COPY_STEP][MAILS_KEYWORDS_MAX + 1];
};

static int
copy_octets(struct mails_view *v, uint32_t seq, struct mails_message **out)
{
	char *p = malloc(COPY_CHUNK);
	uint64_t at = 0;
	size_t got = 0;
	int rc = p == NULL ? -ENOMEM : mails_message_begin(v->m, out);

	if (rc == 0)
		rc = mails_message_for(*out, v->account);
	while (rc == 0) {
		rc = mails_read(v, seq, at, p, COPY_CHUNK, &got);
		if (rc != 0 || got == 0)
			break;
		rc = mails_message_write(*out, slice(p, got));
		at += got;
	}
	free(p);
	return rc == 0 ? mails_message_end(*out) : rc;
}

static int
copy_one(struct copies *c, uint32_t seq, size_t i, struct mails_target like)
{
	struct mails_flags flags = mails_view_flags(c->v, seq);
	const char *name;
	struct row r;
	size_t n = 0;
	int rc;

	if ((rc = view_row(c->v, seq, &r)) != 0 ||
	    (rc = copy_octets(c->v, seq, &c->msgs[i])) != 0)
		return rc;
	for (unsigned k = 0; (name = mails_view_keyword(c->v, k)) != NULL; k++)
		if (flags.keywords >> k & 1)
			c->names[i][n++] = name;
	c->names[i][n] = NULL;
	c->targets[i] = like;
	c->targets[i].flags = flags.system & ~(uint32_t)MAILS_DELETED;
	c->targets[i].keywords = c->names[i];
	c->targets[i].internaldate = r.internaldate;
	return 0;
}

static int
copy_step(struct copies *c, const uint32_t *seqs, size_t n,
    struct mails_target like, uint32_t *from, uint32_t *to, size_t *done)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = copy_one(c, seqs[i], i, like);
	if (rc == 0)
		rc = mails_deliver_each(c->msgs, c->targets, n);
	for (size_t i = 0; i < n; i++) {
		if (c->msgs[i] != NULL && c->targets[i].account != NULL &&
		    c->targets[i].uid != 0 && c->targets[i].rc == 0) {
			from[*done] = mails_view_uid(c->v, seqs[i]);
			to[(*done)++] = c->targets[i].uid;
		}
		mails_message_free(&c->msgs[i]);
		c->targets[i] = (struct mails_target){ .account = NULL };
	}
	return rc;
}

static void
copy_undo(
    struct mails_view *v, struct slice target, const uint32_t *uids, size_t n)
{
	struct box *x;
	uint64_t id;

	if (n == 0 || names_find(v->m, v->account, target, &id) != 0 ||
	    (x = box_get(v->m, id)) == NULL)
		return;
	(void)box_expunge(x, uids, n, true, false);
	box_put(&x);
}

/* For all of them at once: a delivery that holds room must not ask for more. */
static int
copy_room(struct mails_view *v, const uint32_t *seqs, size_t n,
    const struct mails_quota *quota, struct room *out)
{
	uint64_t octets = 0;
	struct row r;
	int rc;

	for (size_t i = 0; i < n; i++) {
		if ((rc = view_row(v, seqs[i], &r)) != 0)
			return rc;
		octets += r.size;
	}
	return room_take(v->m, v->account, quota, octets, n, out);
}

int
kept_copy(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, const struct mails_quota *quota, struct arena *a,
    struct mails_copied *out)
{
	struct copies *c = calloc(1, sizeof(*c));
	const struct mails_target like = { .account = v->account,
		.mailbox = target };
	uint32_t *from = arena_array(a, n + 1, sizeof(*from));
	uint32_t *to = arena_array(a, n + 1, sizeof(*to));
	size_t step = 0, done = 0;
	struct room room = { 0 };
	struct mails_status s;
	int rc = c == NULL || from == NULL || to == NULL
	    ? -ENOMEM
	    : mails_status(v->m, v->account, target, &s);

	if (rc == 0)
		c->v = v;
	if (rc == 0)
		rc = copy_room(v, seqs, n, quota, &room);
	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < COPY_STEP ? n - at : COPY_STEP;
		rc = copy_step(c, seqs + at, step, like, from, to, &done);
	}
	if (rc != 0)
		copy_undo(v, target, to, done);
	else
		*out = (struct mails_copied){ s.uidvalidity, from, to, done };
	room_end(v->m, v->account, &room, rc == 0);
	free(c);
	return mails_error(rc);
}
