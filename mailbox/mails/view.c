/* SPDX-License-Identifier: ISC */
/*
 * A client's view of a mailbox: an array of its messages, read once, and from
 * then on brought up to date by what changed: change rows since the last
 * modseq for flags and expunges, message rows from the last UIDNEXT on for new
 * messages.
 *
 * The header is read first, and everything after it only up to what it says.
 * A row that changed in between is seen now or at the next sync, for its
 * change row moved on with it.
 */
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/snapshot.h"

#define PAGE 1000 /* rows read between two turns of the loop */

static void
entry_set(struct entry *e, const struct row *r)
{
	e->system = (uint8_t)r->flags.system;
	e->keywords = r->flags.keywords;
	e->modseq = r->modseq;
}

uint32_t
mails_view_seq(const struct mails_view *v, uint32_t uid, bool *exact)
{
	uint32_t n = roll_find(&v->roll, uid);

	if (exact != NULL)
		*exact = n > 0 && roll_at(&v->roll, n - 1)->uid == uid;
	return n;
}

/* --- reading rows in pages --- */

struct page {
	struct mails_view *v;
	int (*row)(struct page *p, uint32_t uid, const struct row *r);
	uint32_t next; /* the UID to go on with */
	unsigned n;
};

static int
page_row(void *arg, struct slice key, struct slice val)
{
	struct page *p = arg;
	struct row r;
	uint32_t uid;
	int rc;

	if (key.n != 5)
		return -EIO;
	uid = get_be32(key.p + 1);
	p->next = uid + 1;
	if (row_decode(val, &r) != 0) {
		/* It costs that message; check names it. */
		log_error("message row damaged", "mailbox=%s uid=%u",
		    p->v->x->part, uid);
		return ++p->n == PAGE;
	}
	rc = p->row(p, uid, &r);
	return rc != 0 ? rc : ++p->n == PAGE;
}

/* All rows with from <= UID < to. */
static int
rows_each(struct mails_view *v, uint32_t from, uint32_t to,
    int (*row)(struct page *p, uint32_t uid, const struct row *r))
{
	struct page p = { v, row, from, 0 };
	struct key first, end = key_uid('u', to);
	int rc = 1;

	while (rc == 1 && p.next < to) {
		p.n = 0;
		first = key_uid('u', p.next);
		rc = store_scan(v->m->s, box_part(v->x), key_slice(&first),
		    key_slice(&end), 0, page_row, &p);
		if (rc == 1)
			(void)co_yield ();
	}
	return rc > 0 ? 0 : rc;
}

int
view_append(struct mails_view *v, uint32_t uid, const struct row *r)
{
	struct roll *roll = &v->roll;
	struct entry e = { .uid = uid };

	if (roll->n > 0 && roll_at(roll, roll->n - 1)->uid >= uid)
		return 0;
	entry_set(&e, r);
	return roll_append(roll, &e);
}

static int
append_row(struct page *p, uint32_t uid, const struct row *r)
{
	return view_append(p->v, uid, r);
}

/* --- opening --- */

/* From now on nobody else is told that these are recent (RFC 3501 2.3.2).
 * *from: the first of them. */
static int
recent_claim(struct mails_view *v, uint32_t *from)
{
	struct change c;
	unsigned attempts = 0;
	int rc;

	do {
		if ((rc = change_begin(&c, v->x)) != 0)
			return rc;
		if (c.h.recent_uid >= v->h.uidnext) {
			change_abort(&c);
			return 0;
		}
		*from = c.h.recent_uid;
		c.h.recent_uid = v->h.uidnext;
		rc = change_commit(&c);
	} while (try_again(rc, &attempts));
	return rc;
}

int
mails_view_claim_recent(struct mails_view *v)
{
	uint32_t from;

	if (v->kind != VIEW_LIVE || v->h.recent_uid >= v->h.uidnext)
		return 0;
	return mails_error(recent_claim(v, &from));
}

/* The list, as rows or a snapshot have it; v->h says of when it is. */
static int
list_load(struct mails_view *v)
{
	struct header now;
	int rc;

	if ((rc = box_read(v->x, &now)) != 0)
		return rc;
	v->h = now;
	if ((rc = snapshot_load(v, &now)) == -ENOENT)
		return rows_each(v, 1, now.uidnext, append_row);
	return rc == 0 ? mails_view_sync(v, true, NULL) : rc;
}

/* The view whose pages the others share: there, and of now. */
static int
master_ready(struct box *x)
{
	int rc;

	if (x->master != NULL) {
		rc = mails_view_sync(x->master, true, NULL);
	} else {
		if ((x->master = calloc(1, sizeof(*x->master))) == NULL)
			return -ENOMEM;
		x->master->m = x->m;
		x->master->x = box_get(x->m, x->id);
		rc = list_load(x->master);
	}
	if (rc != 0)
		mails_view_close(&x->master);
	return rc;
}

static int
list_share(struct mails_view *v)
{
	struct box *x = v->x;
	int rc;

	if (x->views++ == 0)
		warm_take(x);
	v->shares = true;
	if ((rc = co_mutex_lock(&x->opening, -1)) != 0)
		return rc;
	if ((rc = master_ready(x)) == 0) {
		v->h = x->master->h;
		rc = roll_share(&v->roll, &x->master->roll);
	}
	co_mutex_unlock(&x->opening);
	return rc;
}

static int
view_load(struct mails_view *v)
{
	int rc;

	/* A full disk, say, must not stand before what is here. */
	if ((rc = moves_replay(v->x)) != 0)
		log_warning("moves not finished", "mailbox=%s error=\"%s\"",
		    v->x->part, strerror(-rc));
	if (v->kind == VIEW_KEPT || v->kind == VIEW_PAST)
		return kept_view_load(v);
	if ((rc = list_share(v)) != 0 ||
	    (rc = keywords_read(v->x, &v->keywords)) != 0)
		return rc;
	v->recent_from = v->h.recent_uid;
	return 0;
}

int
view_list_open(struct box *x, struct mails_view **out)
{
	struct mails_view *v = calloc(1, sizeof(*v));
	int rc = -ENOMEM;

	*out = NULL;
	if (v == NULL)
		return -ENOMEM;
	v->m = x->m;
	if ((v->x = box_get(x->m, x->id)) != NULL)
		rc = list_share(v);
	if (rc != 0)
		mails_view_close(&v);
	*out = v;
	return rc;
}

static int
part_row(struct page *p, uint32_t uid, const struct row *r)
{
	return p->v->roll.n == p->v->part_max ? 2 : append_row(p, uid, r);
}

int
view_part_open(struct box *x, uint32_t from, uint32_t to, uint32_t max,
    struct mails_view **out)
{
	struct mails_view *v = calloc(1, sizeof(*v));
	int rc = -ENOMEM;

	*out = NULL;
	if (v == NULL)
		return -ENOMEM;
	v->m = x->m;
	v->part_max = max;
	if ((v->x = box_get(x->m, x->id)) != NULL)
		rc = rows_each(v, from, to, part_row);
	if (rc != 0)
		mails_view_close(&v);
	*out = v;
	return rc;
}

static void
on_note(void *arg)
{
	struct mails_view *v = arg;

	if (v->event != NULL)
		co_event_set(v->event);
}

static int
view_open(struct mails *m, const char *account, struct slice name, bool recent,
    struct mails_view **out)
{
	struct mails_view *v = calloc(1, sizeof(*v));
	struct arena a = ARENA_INIT_MAX(8192);
	struct slice canonical;
	uint64_t id;
	int rc = -ENOMEM;

	*out = NULL;
	if (v == NULL)
		return -ENOMEM;
	v->m = m;
	if ((rc = name_canonical(&a, name, &canonical)) == 0)
		rc = kept_is_name(canonical)
		    ? kept_view_find(v, account, canonical, &id)
		    : names_find(m, account, name, &id);
	if (rc == 0) {
		v->account = strdup(account);
		v->name = slice_strdup(canonical);
		v->x = box_get(m, id);
		rc = v->account == NULL || v->name == NULL || v->x == NULL
		    ? -ENOMEM
		    : view_load(v);
	}
	arena_reset(&a);
	if (rc != 0) {
		mails_view_close(&v);
		return mails_error(rc);
	}
	if (recent && v->kind == VIEW_LIVE && v->h.recent_uid < v->h.uidnext)
		(void)recent_claim(v, &v->recent_from); /* or once more */
	v->watch = (struct store_watch){ .fn = on_note, .arg = v };
	store_watch(m->s, box_part(v->x), &v->watch);
	*out = v;
	return 0;
}

int
mails_view_open(struct mails *m, const char *account, struct slice name,
    struct mails_view **out)
{
	return view_open(m, account, name, true, out);
}

int
mails_view_examine(struct mails *m, const char *account, struct slice name,
    struct mails_view **out)
{
	return view_open(m, account, name, false, out);
}

void
mails_view_close(struct mails_view **out)
{
	struct mails_view *v = *out;

	*out = NULL;
	if (v == NULL)
		return;
	store_unwatch(v->m->s, &v->watch);
	view_unseal_end(v);
	if (v->shares && --v->x->views == 0)
		warm_keep(v->x);
	keywords_clear(&v->keywords);
	box_put(&v->x);
	roll_clear(&v->roll);
	free(v->past_kept);
	free(v->account);
	free(v->name);
	free(v);
}

void
mails_view_watch(struct mails_view *v, struct co_event *e)
{
	v->event = e;
}

/* --- bringing it up to date --- */

/* What changed, gathered before anything is told. */
struct changed {
	uint32_t uid;
	bool expunged;
};

struct gather {
	struct changed *v;
	size_t n, cap;
	uint64_t next; /* modseq and UID to go on behind */
	uint32_t next_uid;
	size_t page;
};

static int
gather_add(struct gather *g, uint32_t uid, bool expunged)
{
	size_t cap = g->cap == 0 ? 32 : g->cap * 2;
	struct changed *v;

	if (g->n == g->cap) {
		if ((v = realloc(g->v, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		g->v = v;
		g->cap = cap;
	}
	g->v[g->n++] = (struct changed){ uid, expunged };
	return 0;
}

static int
gather_row(void *arg, struct slice key, struct slice val)
{
	struct gather *g = arg;
	int rc;

	if (key.n != 13 || val.n != 1)
		return -EIO;
	g->next = get_be64(key.p + 1);
	g->next_uid = get_be32(key.p + 9);
	rc = gather_add(g, g->next_uid, val.p[0] == CHANGE_EXPUNGE);
	return rc != 0 ? rc : ++g->page == PAGE;
}

/* Change rows with since < modseq <= until. */
static int
gather_changes(
    struct mails_view *v, uint64_t since, uint64_t until, struct gather *g)
{
	struct key from, end = key_change(until + 1, 0);
	int rc = 1;

	g->next = since;
	g->next_uid = UINT32_MAX;
	while (rc == 1) {
		g->page = 0;
		from = g->next_uid == UINT32_MAX
		    ? key_change(g->next + 1, 0)
		    : key_change(g->next, g->next_uid + 1);
		rc = store_scan(v->m->s, box_part(v->x), key_slice(&from),
		    key_slice(&end), 0, gather_row, g);
		if (rc == 1)
			(void)co_yield ();
	}
	return rc > 0 ? 0 : rc;
}

/* Some expunges since the last sync are forgotten: compare all. */
static int
compare_row(struct page *p, uint32_t uid, const struct row *r)
{
	struct entry *e;
	bool exact;
	uint32_t seq = mails_view_seq(p->v, uid, &exact);

	if (!exact)
		return 0;
	if ((e = view_edit(p->v, seq)) == NULL)
		return -ENOMEM;
	e->seen = true;
	if (e->modseq != r->modseq)
		e->stale = true;
	return 0;
}

static int
gather_all(struct mails_view *v, struct gather *g)
{
	int rc;

	const struct entry *e;

	for (uint32_t seq = 1; seq <= v->roll.n; seq++) {
		struct entry *mark = view_edit(v, seq);

		if (mark == NULL)
			return -ENOMEM;
		mark->seen = mark->stale = false;
	}
	rc = rows_each(v, 1, v->h.uidnext, compare_row);
	for (uint32_t seq = 1; seq <= v->roll.n && rc == 0; seq++) {
		e = view_entry(v, seq);
		if (!e->seen || e->stale)
			rc = gather_add(g, e->uid, !e->seen);
	}
	return rc;
}

/* Take the new flags of one message; it may be gone by now. */
static int
flags_take(struct mails_view *v, uint32_t seq)
{
	struct entry *e;
	struct row r;
	int rc = row_get(v->x, mails_view_uid(v, seq), &r);

	if (rc == -ENOENT)
		return 0; /* its expunge has a change row farther on */
	if (rc != 0)
		return rc;
	if (view_entry(v, seq)->modseq == r.modseq)
		return 0; /* one's own change, or that of the snapshot */
	if ((e = view_edit(v, seq)) == NULL)
		return -ENOMEM;
	e->tell = v->tells = true;
	entry_set(e, &r);
	return 0;
}

static int
changes_take(struct mails_view *v, const struct gather *g)
{
	struct entry *e;
	uint32_t seq;
	bool exact;
	int rc = 0;

	for (size_t i = 0; i < g->n && rc == 0; i++) {
		seq = mails_view_seq(v, g->v[i].uid, &exact);
		if (!exact || view_entry(v, seq)->gone)
			continue;
		if (!g->v[i].expunged) {
			rc = flags_take(v, seq);
		} else if ((e = view_edit(v, seq)) == NULL) {
			rc = -ENOMEM;
		} else {
			e->gone = true;
			v->n_gone++;
		}
	}
	return rc;
}

static void
expunge_tell(void *arg, uint32_t i, const struct entry *e)
{
	const struct mails_changes *changes = arg;

	if (changes != NULL && changes->expunged != NULL)
		changes->expunged(changes->arg, i + 1, e->uid);
}

static void
expunges_tell(struct mails_view *v, const struct mails_changes *changes)
{
	roll_remove_gone(&v->roll, expunge_tell, (void *)(uintptr_t)changes);
	v->n_gone = 0;
}

static void
flags_tell(
    struct mails_view *v, uint32_t n, const struct mails_changes *changes)
{
	for (uint32_t seq = 1; v->tells && seq <= n; seq++) {
		const struct entry *e = view_entry(v, seq);

		if (!e->tell || e->gone)
			continue;
		/* A page with such a mark is one's own. */
		view_edit(v, seq)->tell = false;
		if (changes != NULL && changes->flags != NULL)
			changes->flags(changes->arg, seq, e->uid);
	}
	v->tells = false;
}

/* All that waits; the view's numbers do not change in it. */
static int
changes_read(struct mails_view *v, const struct header *now, bool *keywords)
{
	struct gather g = { .n = 0 };
	int rc;

	*keywords = now->keywords != v->keywords.n;
	if (*keywords && (rc = keywords_read(v->x, &v->keywords)) != 0)
		return rc;
	if (v->h.modseq < now->expunge_floor)
		rc = gather_all(v, &g);
	else
		rc = gather_changes(v, v->h.modseq, now->modseq, &g);
	if (rc == 0)
		rc = changes_take(v, &g);
	free(g.v);
	return rc;
}

/* Of a view that is not live: nothing changes but what comes and goes. */
static int
sync_kept(struct mails_view *v, bool expunge, const struct header *now,
    const struct mails_changes *changes)
{
	uint32_t known = v->roll.n;
	int rc;

	if ((rc = kept_view_sync(v, now)) != 0)
		return mails_error(rc);
	if (expunge && v->n_gone > 0) {
		known -= v->n_gone;
		expunges_tell(v, changes);
	}
	if (v->roll.n > known && changes != NULL && changes->exists != NULL)
		changes->exists(changes->arg, v->roll.n);
	return 0;
}

int
mails_view_sync(
    struct mails_view *v, bool expunge, const struct mails_changes *changes)
{
	struct header now;
	uint32_t known;
	bool keywords = false;
	int rc;

	/* The mailbox itself is gone: so are its messages. */
	if ((rc = box_read(v->x, &now)) != 0)
		return mails_error(rc);
	if (v->kind == VIEW_KEPT || v->kind == VIEW_PAST)
		return sync_kept(v, expunge, &now, changes);
	if (now.modseq != v->h.modseq &&
	    (rc = changes_read(v, &now, &keywords)) != 0)
		return mails_error(rc);
	if (keywords && changes != NULL && changes->keywords != NULL)
		changes->keywords(changes->arg);
	if (expunge && v->n_gone > 0)
		expunges_tell(v, changes);
	known = v->roll.n;
	if ((rc = rows_each(v, v->h.uidnext, now.uidnext, append_row)) != 0) {
		roll_truncate(&v->roll, known); /* told when all are there */
		return mails_error(rc);
	}
	v->h = now;
	if (v->roll.n > known && changes != NULL && changes->exists != NULL)
		changes->exists(changes->arg, v->roll.n);
	flags_tell(v, known, changes);
	return 0;
}

/* --- asking --- */

const char *
mails_view_name(const struct mails_view *v)
{
	return v->name;
}

bool
mails_view_is_read_only(const struct mails_view *v)
{
	return v->kind != VIEW_LIVE;
}

uint64_t
mails_view_mailbox_id(const struct mails_view *v)
{
	return v->x->id;
}

uint32_t
mails_view_uidvalidity(const struct mails_view *v)
{
	return v->h.uidvalidity;
}

uint32_t
mails_view_uidnext(const struct mails_view *v)
{
	return v->h.uidnext;
}

uint64_t
mails_view_highestmodseq(const struct mails_view *v)
{
	return v->h.modseq;
}

uint32_t
mails_view_recent_from(const struct mails_view *v)
{
	return v->recent_from;
}

uint32_t
mails_view_count(const struct mails_view *v)
{
	return v->roll.n;
}

uint32_t
mails_view_uid(const struct mails_view *v, uint32_t seq)
{
	return view_entry(v, seq)->uid;
}

struct mails_flags
mails_view_flags(const struct mails_view *v, uint32_t seq)
{
	const struct entry *e = view_entry(v, seq);

	return (struct mails_flags){ e->system, e->keywords };
}

uint64_t
mails_view_modseq(const struct mails_view *v, uint32_t seq)
{
	return view_entry(v, seq)->modseq;
}

const char *
mails_view_keyword(const struct mails_view *v, unsigned i)
{
	return i < v->keywords.n ? v->keywords.names[i] : NULL;
}

uint32_t
mails_view_first_unseen(const struct mails_view *v)
{
	for (uint32_t seq = 1; seq <= v->roll.n; seq++)
		if ((view_entry(v, seq)->system & MAILS_SEEN) == 0)
			return seq;
	return 0;
}

bool
mails_view_is_gone(const struct mails_view *v, uint32_t seq)
{
	return view_entry(v, seq)->gone;
}

/* --- reading messages --- */

int
mails_row(struct mails_view *v, uint32_t seq, struct mails_row *out)
{
	uint32_t uid = mails_view_uid(v, seq);
	struct row r;
	int rc = view_row(v, seq, &r);

	if (rc == 0)
		*out = (struct mails_row){
			.uid = uid,
			.flags = r.flags,
			.modseq = r.modseq,
			.internaldate = r.internaldate,
			.savedate = r.savedate,
			.size = r.size,
			.blob = r.blob,
		};
	return mails_error(rc);
}

/* A row whose blob is not there: damaged, unless the message went, or was
 * sealed into another blob, just now. */
static int
gone_or_moved(struct mails_view *v, uint32_t seq, struct row *r)
{
	struct row now;
	int rc = view_row(v, seq, &now);

	if (rc != 0 || v->kind == VIEW_PAST)
		return -ENOENT;
	if (memcmp(&now.blob, &r->blob, sizeof(r->blob)) == 0)
		return -EIO;
	*r = now;
	return 0;
}

static int
summary_from_octets(struct mails_view *v, uint32_t seq, struct row *r,
    struct arena *a, struct mails_summary *out)
{
	struct opened o = { .wrap.kind = WRAP_NONE };
	const struct frames_seal *seal;
	struct buf row = BUF_INIT;
	int rc;

	do {
		rc = view_unseal(v, r, &o, &seal);
		if (rc == 0)
			rc = summary_compute(v->m, r, seal, &row);
	} while (rc == -ENOENT && (rc = gone_or_moved(v, seq, r)) == 0);
	if (rc == 0)
		rc = summary_decode(v->m->packer, seal, buf_slice(&row), a, out);
	opened_wipe(&o);
	buf_clear(&row);
	return rc == -EBADMSG ? -EIO : rc;
}

/* As it is kept. -ENOENT or -EBADMSG: it must be made; the row is read.
 * -ESTALE: the message is gone. */
static int
summary_from_row(struct mails_view *v, uint32_t seq, struct row *r,
    struct arena *a, struct mails_summary *out)
{
	struct key k = key_uid('s', mails_view_uid(v, seq));
	struct opened o = { .wrap.kind = WRAP_NONE };
	const struct frames_seal *seal = NULL;
	struct buf row = BUF_INIT;
	bool sealing;
	int found, rc = v->kind == VIEW_KEPT
	    ? -ENOENT
	    : store_get(v->m->s, box_part(v->x), key_slice(&k), &row);

	sealing = v->m->sealing || summary_is_sealed(buf_slice(&row));
	if (rc == 0 && sealing && (rc = view_row(v, seq, r)) == 0 &&
	    (rc = view_unseal(v, r, &o, &seal)) == -EBADMSG)
		rc = -EIO;
	if (rc == 0)
		rc = summary_decode(v->m->packer, seal, buf_slice(&row), a, out);
	opened_wipe(&o);
	buf_clear(&row);
	if (rc != -ENOENT && rc != -EBADMSG)
		return rc;
	/* The message itself may be gone. */
	if ((found = view_row(v, seq, r)) != 0)
		return found == -ENOENT ? -ESTALE : found;
	return rc;
}

int
mails_summary(struct mails_view *v, uint32_t seq, struct arena *a,
    struct mails_summary *out)
{
	struct row r;
	int rc = summary_from_row(v, seq, &r, a, out);

	/* None, or damaged: the message itself has all of it. */
	if (rc == -EBADMSG || rc == -ENOENT)
		rc = summary_from_octets(v, seq, &r, a, out);
	return rc == -ESTALE ? -ENOENT : mails_error(rc);
}

int
mails_read(struct mails_view *v, uint32_t seq, uint64_t at, void *p, size_t n,
    size_t *got)
{
	struct opened o = { .wrap.kind = WRAP_NONE };
	const struct frames_seal *seal;
	struct row r;
	int rc = view_row(v, seq, &r);

	*got = 0;
	if (rc != 0)
		return mails_error(rc);
	do {
		rc = view_unseal(v, &r, &o, &seal);
		if (rc == 0)
			rc = octets_read(v->m, &r, seal, at, p, n, got);
	} while (rc == -ENOENT && (rc = gone_or_moved(v, seq, &r)) == 0);
	opened_wipe(&o);
	return rc == -EBADMSG ? -EIO : mails_error(rc);
}
