/* SPDX-License-Identifier: ISC */
/*
 * Folders that are made, renamed and deleted on one side are so on the other.
 * What each side has is held against what was noted (known.h). One thing is done
 * at a time, then both sides are looked at once more. A change is noted after it
 * was done, and known again when it is met not noted: what is to be made there is
 * noted first, a mailbox here is told by its UIDVALIDITY, and a folder there that
 * has another name by MAILBOXID, or by UIDVALIDITY and one of its messages.
 *
 * In doubt all stays: docs/gateway.md says when that is.
 */
#include "gateway/imap_folders.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/imap/utf7.h"
#include "gateway/known.h"

#define NAMES_OCTETS ((size_t)8 << 20)
#define NAME_OCTETS ((size_t)1000) /* longer ones cannot be here */
#define ROUNDS 500
#define FEW                                                                    \
	3 /* MASS_EMPTY of messages: more than that at once is not believed */

struct sync {
	struct imap_session *s;
	struct fetch *f;
	struct arena a; /* of a round */
	struct here_box *boxes;
	size_t n_boxes;
	uint32_t *lone;
	size_t n_lone;
	bool first;  /* nothing was mirrored before */
	bool relist; /* names there have changed */
	/* Other outside accounts of the same account here. */
	struct arena others_a;
	struct outside *others;
	size_t n_others;
	bool has_others;
};

/* --- which is which --- */

static struct known *
known_of(struct imap_session *s, const unsigned char key[static STATE_ID])
{
	size_t low = 0, high = s->n_known;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int cmp = memcmp(s->known[mid].key, key, STATE_ID);

		if (cmp == 0)
			return &s->known[mid];
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool
is_id_taken(const struct imap_session *s, const struct pair_folder *id)
{
	for (size_t i = 0; i < s->n_known; i++)
		if (memcmp(s->known[i].id.id, id->id, STATE_ID) == 0)
			return true;
	return false;
}

/* One that was renamed keeps what it had by its first name, so another one that
 * has this name now has to have another. */
static void
folder_assign(struct imap_session *s, struct folder *b)
{
	unsigned char key[STATE_ID];

	state_id(b->raw, key);
	b->known = b->selectable ? known_of(s, key) : NULL;
	memcpy(b->id.id, key, STATE_ID);
	if (b->known != NULL) {
		b->known->f = b;
		b->id = b->known->id;
		return;
	}
	while (is_id_taken(s, &b->id))
		state_id(slice((const char *)b->id.id, STATE_ID), b->id.id);
}

int
folders_assign(struct imap_session *s)
{
	struct fetch *f = s->f;
	int rc;

	arena_reset(&s->known_a);
	s->known_a.max = NAMES_OCTETS;
	rc = known_load(
	    f->g->state, f->o.address, &s->known_a, &s->known, &s->n_known);
	if (rc != 0) {
		s->n_known = 0;
		return session_state_failed(s, rc);
	}
	for (size_t i = 0; i < s->n; i++)
		folder_assign(s, &s->folders[i]);
	return 0;
}

bool
folders_are_mirrored(const struct imap_session *s)
{
	/* Where only some were named, what is not named may be anywhere. */
	return s->f->o.sync == OUTSIDE_MIRROR && s->f->o.n_folders == 0 &&
	    s->n < FOLDERS_MAX;
}

/* Its name here, if nobody has said otherwise. */
static bool
put_name_here(const struct fetch *f, struct slice name, struct buf *out)
{
	if (*f->o.into == '\0')
		return buf_put_slice(out, name);
	buf_put_str(out, f->o.into);
	if (!slice_eq_str(name, "INBOX")) {
		buf_put_char(out, '/');
		buf_put_slice(out, name);
	}
	return !out->failed;
}

bool
folders_is_named(const struct imap_session *s, const struct folder *b)
{
	return s->f->o.sync == OUTSIDE_MIRROR && b->known != NULL &&
	    b->known->here != 0 && b->known->name.n > 0;
}

bool
folders_put_name(
    const struct imap_session *s, const struct folder *b, struct buf *out)
{
	if (folders_is_named(s, b))
		return buf_put_slice(out, b->known->name);
	return put_name_here(s->f, b->name, out);
}

struct here_box *
folders_box_of(const struct imap_session *s, const struct folder *b,
    struct here_box *boxes, size_t n)
{
	struct buf name = BUF_INIT_MAX(8192);
	struct here_box *found = NULL;

	uint32_t here = b->known != NULL ? b->known->here : b->made_for;

	if (s->f->o.sync == OUTSIDE_MIRROR && here != 0) {
		for (size_t i = 0; i < n && found == NULL; i++)
			if (boxes[i].uidvalidity == here)
				found = &boxes[i];
		return found;
	}
	/* As mailbox/door/take.c has it. */
	for (size_t i = 0; *s->f->o.into == '\0' && b->use != NULL && i < n;
	     i++)
		if (strcmp(boxes[i].use, b->use) == 0)
			found = &boxes[i];
	if (found == NULL && put_name_here(s->f, b->name, &name))
		for (size_t i = 0; i < n; i++)
			if (slice_eq_str(buf_slice(&name), boxes[i].name))
				found = &boxes[i];
	buf_clear(&name);
	return found;
}

static struct here_box *
box_named(struct sync *y, struct slice name)
{
	for (size_t i = 0; i < y->n_boxes; i++)
		if (slice_eq_str(name, y->boxes[i].name))
			return &y->boxes[i];
	return NULL;
}

static struct known *
known_of_box(struct imap_session *s, const struct here_box *b)
{
	for (size_t i = 0; i < s->n_known; i++)
		if (s->known[i].here == b->uidvalidity)
			return &s->known[i];
	return NULL;
}

/* It goes by what it is for, not by its name. */
static bool
is_fixed_box(const struct fetch *f, const struct here_box *b)
{
	return strcmp(b->name, "INBOX") == 0 || *b->use != '\0' ||
	    strcmp(b->name, f->o.into) == 0;
}

static bool
is_fixed_folder(const struct folder *b)
{
	return b->use != NULL || slice_eq_str(b->name, "INBOX");
}

/* Below `into`, or anywhere; *rel is its name there. */
static bool
is_in_tree(const struct fetch *f, struct slice name, struct slice *rel)
{
	size_t n = strlen(f->o.into);

	*rel = name;
	if (n == 0)
		return true;
	if (slice_eq_str(name, f->o.into))
		*rel = SLICE_LIT("INBOX");
	else if (slice_starts(name, f->o.into) && name.n > n + 1 &&
	    name.p[n] == '/')
		*rel = slice_from(name, n + 1);
	else
		return false;
	return true;
}

/* --- names there --- */

static bool
put_level(char separator, struct slice level, struct buf *out)
{
	struct buf clean = BUF_INIT_MAX(4096);
	bool ok;

	for (size_t i = 0; i < level.n; i++)
		buf_put_char(
		    &clean, level.p[i] == separator ? '_' : level.p[i]);
	ok = !clean.failed && imap_utf7_encode(out, buf_slice(&clean));
	buf_clear(&clean);
	return ok;
}

/* What the mailbox is to be called there: below the folder that the mailbox above
 * it is, wherever that is. False: it cannot be there. */
static bool
put_raw(const struct imap_session *s, struct here_box *boxes, size_t n,
    struct slice name, struct buf *out)
{
	struct slice rel, last = name;
	struct folder *above = NULL;
	ssize_t at = slice_rfind(name, '/');

	if (!is_in_tree(s->f, name, &rel))
		return false;
	if (slice_rfind(rel, '/') >= 0 || rel.n < name.n)
		last = slice_from(name, (size_t)at + 1);
	if (slice_rfind(rel, '/') >= 0) {
		struct slice up = slice_head(name, (size_t)at);

		if (s->separator == '\0')
			return false;
		for (size_t i = 0; i < n; i++)
			if (slice_eq_str(up, boxes[i].name))
				above = folders_of_box(s, &boxes[i], boxes, n);
		if (above != NULL)
			buf_put_slice(out, above->raw);
		else if (!put_raw(s, boxes, n, up, out))
			return false;
		buf_put_char(out, s->separator);
	} else {
		buf_put_slice(out, s->prefix);
	}
	return put_level(s->separator, last, out) && !out->failed;
}

struct folder *
folders_of_box(const struct imap_session *s, const struct here_box *box,
    struct here_box *boxes, size_t n)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->folders[i].selectable && !s->folders[i].orphan &&
		    folders_box_of(s, &s->folders[i], boxes, n) == box &&
		    (s->folders[i].use == NULL ||
			strcmp(s->folders[i].use, "All") != 0))
			return &s->folders[i];
	return NULL;
}

static struct folder *
folder_raw(struct imap_session *s, struct slice raw)
{
	for (size_t i = 0; i < s->n; i++)
		if (slice_eq(s->folders[i].raw, raw))
			return &s->folders[i];
	return NULL;
}

/* A command with one name, or two. */
static int
run(struct imap_session *s, const char *verb, struct slice a, struct slice b)
{
	struct buf line = BUF_INIT_MAX(16384);
	int rc = IMAP_REFUSED;

	buf_printf(&line, "%s ", verb);
	if (imap_put_quoted(&line, a) &&
	    (b.n == 0 ||
		(buf_put_char(&line, ' ') && imap_put_quoted(&line, b))))
		rc = imap_client_run(s->c, NULL, "%s", buf_str(&line));
	buf_clear(&line);
	return rc;
}

static int
subscribe(struct imap_session *s, const char *verb, struct slice raw)
{
	int rc = run(s, verb, raw, SLICE_EMPTY);

	return rc < 0 ? rc : 0; /* nothing depends on it */
}

static void
tell(const struct imap_session *s, const char *what, struct slice here,
    struct slice there)
{
	log_info("folders", "outside=%s what=\"%s\" here=%s there=%s",
	    log_qs(s->f->o.address), what, log_q(here), log_q(there));
}

static int
put(struct sync *y, struct known *k)
{
	return session_state_failed(
	    y->s, known_put(y->f->g->state, y->f->o.address, k));
}

static int
drop(struct sync *y, struct known *k)
{
	return session_state_failed(
	    y->s, known_drop(y->f->g->state, y->f->o.address, k));
}

static int
put_lone(struct sync *y, const struct here_box *b)
{
	return session_state_failed(y->s,
	    lone_put(y->f->g->state, y->f->o.address, b->uidvalidity,
		slice_str(b->name)));
}

/* --- renamed there --- */

struct sampling {
	const struct known *k;
	bool same;
};

static void
on_sample(void *arg, uint32_t uid, const unsigned char *id)
{
	struct sampling *p = arg;

	p->same |=
	    uid == p->k->sample_uid && memcmp(id, p->k->sample, STATE_ID) == 0;
}

/* 1: it is the folder that was known so; 0, or an error. */
static int
is_same_folder(struct sync *y, const struct known *k, struct folder *b)
{
	struct sampling p = { k, false };
	uint32_t uid = k->sample_uid;
	size_t n;
	int rc;

	if (k->objectid.n > 0 && b->objectid.n > 0)
		return slice_eq(k->objectid, b->objectid);
	if (!b->has_status || b->uidvalidity != k->there)
		return 0;
	if (uid == 0 || uid == UINT32_MAX) {
		/* Nothing is known of any message: no harm in taking it. */
		rc = pairs_count(y->f->g->state, y->f->o.address, &k->id, &n);
		return rc != 0 ? session_state_failed(y->s, rc)
			       : n == 0 && b->messages == 0;
	}
	rc = session_select(y->s, b, false, "");
	if (rc == 0 && y->s->uidvalidity == k->there)
		rc = follow_prints(y->s, &uid, 1, on_sample, &p);
	return rc < 0 ? rc : p.same;
}

static bool
may_be_renamed(const struct known *k)
{
	return k->there != 0 && !k->pending &&
	    (k->f == NULL ||
		(k->f->has_status && k->f->uidvalidity != k->there));
}

/* The one folder that is new and is this one. */
static int
find_renamed(struct sync *y, const struct known *k, struct folder **out)
{
	struct imap_session *s = y->s;
	size_t found = 0;
	int rc = 0;

	*out = NULL;
	for (size_t i = 0; i < s->n && rc >= 0; i++) {
		struct folder *b = &s->folders[i];

		if (b->known != NULL || !session_wants(s, b))
			continue;
		if (!b->has_status && (rc = session_status(s, b)) < 0)
			return rc;
		if ((rc = is_same_folder(y, k, b)) == 1) {
			*out = b;
			found++;
		}
	}
	if (found != 1)
		*out = NULL;
	return rc < 0 ? rc : 0;
}

/* Here first: if it is not noted then, it is found once more, and its mailbox has
 * that name already. */
static int
rename_here(struct sync *y, struct known *k, struct folder *b)
{
	struct buf name = BUF_INIT_MAX(8192);
	const unsigned char *was = arena_alloc(&y->a, STATE_ID);
	const struct known *one = k;
	int rc =
	    was == NULL || !put_name_here(y->f, b->name, &name) ? -ENOMEM : 0;

	if (rc == 0 && k->box != NULL && !is_fixed_box(y->f, k->box) &&
	    !is_fixed_folder(b) &&
	    !slice_eq_str(buf_slice(&name), k->box->name)) {
		rc = name.n > NAME_OCTETS
		    ? 1
		    : here_rename(y->f, k->box, buf_slice(&name));
		tell(y->s, rc == 1 ? "cannot be renamed here" : "renamed here",
		    slice_str(k->box->name), b->raw);
		if (rc == 0)
			k->name = arena_dup(&y->s->known_a, buf_slice(&name));
		rc = rc == 1 ? 0 : rc;
	}
	buf_clear(&name);
	if (rc != 0)
		return rc;
	memcpy((void *)(uintptr_t)was, k->key, STATE_ID);
	k->raw = arena_dup(&y->s->known_a, b->raw);
	if (k->raw.p == NULL || (k->name.n > 0 && k->name.p == NULL))
		return -ENOMEM;
	state_id(k->raw, k->key);
	k->there = b->uidvalidity;
	return session_state_failed(
	    y->s, known_move(y->f->g->state, y->f->o.address, was, &one, 1));
}

/* Of those the one with the shortest name, which may have others below it. */
static int
renamed_there(struct sync *y)
{
	struct imap_session *s = y->s;
	struct folder *b, *best_b = NULL;
	struct known *best = NULL;
	int rc = 0;

	for (size_t i = 0; i < s->n_known && rc == 0; i++) {
		struct known *k = &s->known[i];

		if (!may_be_renamed(k) ||
		    (best != NULL && best->raw.n <= k->raw.n))
			continue;
		rc = find_renamed(y, k, &b);
		if (rc == 0 && b != NULL) {
			best = k;
			best_b = b;
		}
	}
	if (rc != 0 || best == NULL)
		return rc;
	rc = rename_here(y, best, best_b);
	return rc == 0 ? 1 : rc;
}

/* --- renamed here --- */

static bool
is_at_or_below(const struct imap_session *s, struct slice raw, struct slice top)
{
	return slice_eq(slice_head(raw, top.n), top) &&
	    (raw.n == top.n ||
		(s->separator != '\0' && raw.p[top.n] == s->separator));
}

/* All below it has other names there as well. */
static int
note_renamed(struct sync *y, struct slice from, struct slice to)
{
	struct imap_session *s = y->s;
	unsigned char *was = arena_array(&y->a, s->n_known + 1, STATE_ID);
	const struct known **v = arena_array(&y->a, s->n_known + 1, sizeof(*v));
	size_t n = 0;
	int rc = was == NULL || v == NULL ? -ENOMEM : 0;

	for (size_t i = 0; i < s->n_known && rc == 0; i++) {
		struct known *k = &s->known[i];
		struct buf raw = BUF_INIT_MAX(16384);

		if (!is_at_or_below(s, k->raw, from))
			continue;
		memcpy(was + n * STATE_ID, k->key, STATE_ID);
		if ((rc = subscribe(s, "UNSUBSCRIBE", k->raw)) == 0) {
			buf_put_slice(&raw, to);
			buf_put_slice(&raw, slice_from(k->raw, from.n));
			k->raw = arena_dup(&s->known_a, buf_slice(&raw));
			rc = k->raw.p == NULL
			    ? -ENOMEM
			    : subscribe(s, "SUBSCRIBE", k->raw);
		}
		buf_clear(&raw);
		if (rc == 0) {
			state_id(k->raw, k->key);
			v[n++] = k;
		}
	}
	return rc != 0
	    ? rc
	    : session_state_failed(
		  s, known_move(y->f->g->state, y->f->o.address, was, v, n));
}

/* 1: it was done; 0: it stays as it is called there. */
static int
rename_there(struct sync *y, struct known *k)
{
	struct imap_session *s = y->s;
	struct slice rel, from, to;
	struct buf raw = BUF_INIT_MAX(8192);
	int rc = 0;

	if (!is_fixed_box(y->f, k->box) && !is_fixed_folder(k->f) &&
	    is_in_tree(y->f, slice_str(k->box->name), &rel) &&
	    put_raw(s, y->boxes, y->n_boxes, slice_str(k->box->name), &raw) &&
	    !slice_eq(buf_slice(&raw), k->raw)) {
		from = arena_dup(&y->a, k->raw);
		to = arena_dup(&y->a, buf_slice(&raw));
		rc = from.p == NULL || to.p == NULL ? -ENOMEM
		    : folder_raw(s, to) != NULL     ? IMAP_REFUSED
						: run(s, "RENAME", from, to);
		tell(s, rc == 0 ? "renamed there" : "cannot be renamed there",
		    slice_str(k->box->name), from);
		if (rc == 0) {
			y->relist = true;
			rc = note_renamed(y, from, to);
			rc = rc == 0 ? 1 : rc;
		} else if (rc == IMAP_REFUSED) {
			rc = 0;
		}
	}
	buf_clear(&raw);
	return rc;
}

/* Parents first. What is below them has its new name by that. */
static int
renamed_here(struct sync *y)
{
	struct imap_session *s = y->s;
	struct known *best = NULL;
	int rc;

	for (size_t i = 0; i < s->n_known; i++) {
		struct known *k = &s->known[i];

		if (k->f != NULL && k->box != NULL &&
		    !slice_eq_str(k->name, k->box->name) &&
		    (best == NULL || k->raw.n < best->raw.n))
			best = k;
	}
	if (best == NULL)
		return 0;
	if ((rc = rename_there(y, best)) < 0)
		return rc;
	best->name = slice_str(best->box->name);
	rc = put(y, best);
	return rc == 0 ? 1 : rc;
}

/* --- gone there --- */

/* Has nothing happened here that was not done there? */
static int
is_as_agreed(struct sync *y, struct known *k)
{
	struct here_box *b = k->box;
	struct pair pair;
	size_t pairs, gone = 0;
	bool same;
	int rc = pairs_count(y->f->g->state, y->f->o.address, &k->id, &pairs);

	if (rc == 0 && pairs > FEW)
		return 0;
	if (rc == 0)
		rc = session_cursor_get(y->s, b, &b->cursor);
	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return session_state_failed(y->s, rc);
	rc = here_changes(y->f, &y->s->keywords, b);
	if (rc == -ENOENT || rc == -ESTALE || (rc == 0 && b->cut))
		return 0;
	same = rc == 0;
	for (size_t i = 0; i < b->n && same && rc == 0; i++) {
		rc = pair_find(y->f->g->state, y->f->o.address, &k->id,
		    b->v[i].uid, &pair);
		if (b->v[i].gone)
			gone += rc == 0;
		else
			same = rc == 0 &&
			    merge_flags_eq(&b->v[i].flags, &pair.agreed);
		rc = rc == -ENOENT ? 0 : rc;
	}
	here_box_clear(b);
	return rc < 0 ? rc : same && b->messages + gone == pairs;
}

static int
leave_here(struct sync *y, struct known *k, const char *why)
{
	int rc = put_lone(y, k->box);

	log_warning("a folder is gone there: what is here stays",
	    "outside=%s mailbox=%s reason=\"%s\"", log_qs(y->f->o.address),
	    log_qs(k->box->name), why);
	return rc == 0 ? drop(y, k) : rc;
}

static int
delete_here(struct sync *y, struct known *k)
{
	int rc = is_as_agreed(y, k);

	if (rc < 0)
		return rc;
	if (rc == 0)
		return leave_here(y, k,
		    "it has more than a few messages, or others than were "
		    "there");
	if ((rc = here_delete(y->f, k->box)) < 0)
		return rc;
	if (rc == 1)
		return leave_here(y, k, "it has just changed");
	tell(y->s, "deleted here", slice_str(k->box->name), k->raw);
	return drop(y, k);
}

static bool
is_gone_there(const struct known *k)
{
	return k->f == NULL && k->there != 0 && !k->pending;
}

static bool
is_gone_here(const struct known *k)
{
	return k->f != NULL && k->here != 0 && k->box == NULL;
}

/* More than a few, and more than half of all. */
static bool
are_too_many(
    const struct imap_session *s, bool (*is_gone)(const struct known *))
{
	size_t all = 0, gone = 0;

	for (size_t i = 0; i < s->n_known; i++)
		if (s->known[i].here != 0 && s->known[i].there != 0) {
			all++;
			gone += is_gone(&s->known[i]);
		}
	return gone > FEW && gone * 2 > all;
}

/* What is below others first. */
static int
gone_there(struct sync *y)
{
	struct imap_session *s = y->s;
	bool too_many = are_too_many(s, is_gone_there);
	struct known *last = NULL;
	int rc;

	for (size_t i = 0; i < s->n_known; i++)
		if (is_gone_there(&s->known[i]) &&
		    (last == NULL || s->known[i].raw.n > last->raw.n))
			last = &s->known[i];
	if (last == NULL)
		return 0;
	if (too_many) {
		rc = 0;
		for (size_t i = 0; i < s->n_known && rc == 0; i++)
			if (is_gone_there(&s->known[i]))
				rc = s->known[i].box == NULL
				    ? drop(y, &s->known[i])
				    : leave_here(y, &s->known[i],
					  "most of all folders are gone");
	} else if (last->box == NULL) {
		rc = drop(y, last);
	} else if (is_fixed_box(y->f, last->box)) {
		rc = leave_here(y, last, "it is always there");
	} else {
		rc = delete_here(y, last);
	}
	return rc == 0 ? 1 : rc;
}

/* --- gone here --- */

/* A mailbox here is older than what was seen of it: it has come from a backup,
 * and what is missing was made after that. */
static int
has_gone_back(struct sync *y)
{
	struct pair_cursor c;
	int rc;

	for (size_t i = 0; i < y->n_boxes; i++) {
		const struct here_box *b = &y->boxes[i];

		rc = session_cursor_get(y->s, b, &c);
		if (rc == 0 && c.uidvalidity == b->uidvalidity &&
		    (c.uid > b->uidnext || c.modseq > b->modseq))
			return 1;
		if (rc != 0 && rc != -ENOENT)
			return session_state_failed(y->s, rc);
	}
	return 0;
}

static int
gone_here_are_doubted(struct sync *y)
{
	const struct imap_session *s = y->s;
	bool any = false;

	for (size_t i = 0; i < s->n_known; i++)
		any |= is_gone_here(&s->known[i]);
	if (!any)
		return 0;
	return are_too_many(s, is_gone_here) ? 1 : has_gone_back(y);
}

/* 1: names are to be read once more. */
static int
gone_here(struct sync *y)
{
	struct imap_session *s = y->s;
	int rc = 0, again = 0, doubted = gone_here_are_doubted(y);

	if (doubted < 0)
		return doubted;

	for (size_t i = 0; i < s->n_known && rc == 0; i++) {
		struct known *k = &s->known[i];
		struct here_box *other;

		if (!is_gone_here(k))
			continue;
		other = box_named(y, k->name);
		if (other != NULL && known_of_box(s, other) == NULL) {
			/* Another one of that name. */
			k->here = other->uidvalidity;
			k->box = other;
			rc = put(y, k);
		} else if (is_fixed_folder(k->f)) {
			k->here = 0;
			rc = put(y, k);
		} else if (doubted == 1) {
			log_warning("mailboxes are gone here, which is not "
				    "believed: they come back",
			    "outside=%s folder=%s", log_qs(y->f->o.address),
			    log_q(k->raw));
			rc = drop(y, k);
			again = 1;
		} else {
			k->f->orphan = true;
		}
	}
	return rc == 0 ? again : rc;
}

/* --- new there --- */

/* Names of mailboxes as they are here, which need not be as they were given. */
static int
boxes_load(struct sync *y)
{
	int rc = here_boxes(y->f, &y->a, &y->boxes, &y->n_boxes);

	for (size_t i = 0; i < y->s->n_known && rc == 0; i++) {
		struct known *k = &y->s->known[i];

		k->box = NULL;
		for (size_t j = 0; j < y->n_boxes && k->here != 0; j++)
			if (y->boxes[j].uidvalidity == k->here)
				k->box = &y->boxes[j];
	}
	return rc;
}

static bool
is_lone(const struct sync *y, uint32_t uidvalidity)
{
	for (size_t i = 0; i < y->n_lone; i++)
		if (y->lone[i] == uidvalidity)
			return true;
	return false;
}

/* The mailbox that the folder is, made where there is none; *uidvalidity 0:
 * there cannot be one. */
static int
make_here(struct sync *y, struct folder *b, uint32_t *uidvalidity)
{
	struct here_box *box = folders_box_of(y->s, b, y->boxes, y->n_boxes);
	const char *use = *y->f->o.into == '\0' && b->use != NULL ? b->use : "";
	struct buf name = BUF_INIT_MAX(8192);
	int rc = 0;

	*uidvalidity = box != NULL ? box->uidvalidity : 0;
	if (box == NULL) {
		if (!put_name_here(y->f, b->name, &name))
			rc = -ENOMEM;
		else if (name.n <= NAME_OCTETS)
			rc =
			    here_make(y->f, buf_slice(&name), use, uidvalidity);
		else
			rc = 1;
		tell(y->s, rc == 1 ? "cannot be here" : "made here",
		    buf_slice(&name), b->raw);
		rc = rc == 1 ? 0 : rc;
	}
	/* One mailbox is no two folders. */
	for (size_t i = 0; i < y->s->n_known && *uidvalidity != 0; i++)
		if (y->s->known[i].here == *uidvalidity)
			*uidvalidity = 0;
	buf_clear(&name);
	return rc;
}

static int
know(struct sync *y, struct folder *b)
{
	struct known k = { .id = b->id,
		.there = b->has_status ? b->uidvalidity : 0,
		.raw = b->raw,
		.objectid = b->objectid };
	int rc = make_here(y, b, &k.here);

	state_id(k.raw, k.key);
	if (rc == 0 && k.here != 0 && is_lone(y, k.here))
		rc = session_state_failed(
		    y->s, lone_drop(y->f->g->state, y->f->o.address, k.here));
	return rc == 0 ? put(y, &k) : rc;
}

static int
new_there(struct sync *y)
{
	struct imap_session *s = y->s;
	int rc = 0, again = 0;

	for (size_t i = 0; i < s->n && rc == 0; i++) {
		struct folder *b = &s->folders[i];

		if (b->known != NULL || !session_wants(s, b))
			continue;
		if (!b->has_status && (rc = session_status(s, b)) < 0)
			return rc;
		rc = know(y, b);
		again = 1;
	}
	return rc == 0 ? again : rc;
}

/* What is told of it by now: UIDVALIDITY, a mailbox that came with its mail, and
 * how that is called. */
static int
refresh(struct sync *y, struct known *k)
{
	struct folder *b = k->f;
	struct here_box *box;
	bool changed = false;
	int rc;

	if (b == NULL)
		return 0;
	if (k->there == 0 && !b->has_status &&
	    (rc = session_status(y->s, b)) < 0)
		return rc;
	if (k->pending || (b->has_status && b->uidvalidity != k->there) ||
	    (k->objectid.n == 0 && b->objectid.n > 0)) {
		if (b->has_status && b->uidvalidity != k->there)
			k->sample_uid = 0;
		k->there = b->has_status ? b->uidvalidity : k->there;
		k->objectid = b->objectid;
		changed = k->pending || b->has_status;
		k->pending = false;
	}
	if (k->here == 0 &&
	    (box = folders_box_of(y->s, b, y->boxes, y->n_boxes)) != NULL &&
	    known_of_box(y->s, box) == NULL) {
		k->here = box->uidvalidity;
		k->box = box;
		changed = true;
	}
	if (k->box != NULL && k->name.n == 0) {
		k->name = slice_str(k->box->name);
		changed = true;
	}
	return changed ? put(y, k) : 0;
}

static int
refresh_all(struct sync *y)
{
	struct imap_session *s = y->s;
	int rc = 0;

	for (size_t i = 0; i < s->n_known && rc == 0; i++)
		rc = refresh(y, &s->known[i]);
	return rc;
}

/* --- new here --- */

static int
load_others(struct sync *y)
{
	int rc;

	if (y->has_others)
		return 0;
	y->others_a = ARENA_INIT_MAX((size_t)64 << 20);
	rc = outside_list(y->f->g->accounts, &y->others_a,
	    slice_str(y->f->o.account), &y->others, &y->n_others);
	if (rc != 0) {
		fetch_fail(y->f, FETCH_RETRY, "accounts: %s", strerror(-rc));
		return y->s->rc = rc;
	}
	y->has_others = true;
	return 0;
}

/* It may be another outside account's. */
static bool
is_of_others(const struct sync *y, struct slice name)
{
	const struct outside *o = &y->f->o;

	for (size_t i = 0; i < y->n_others; i++) {
		const char *into = y->others[i].into;
		size_t n = strlen(into);

		if (strcmp(y->others[i].address, o->address) == 0)
			continue;
		if (n == 0 && *o->into == '\0')
			return true;
		if (n > strlen(o->into) && slice_starts(name, into) &&
		    (name.n == n || name.p[n] == '/'))
			return true;
	}
	return false;
}

/* Mailboxes that have come to be since the mirror was. */
static bool
is_to_be_made(const struct sync *y, const struct here_box *b)
{
	struct slice rel, name = slice_str(b->name);

	return !y->first && !is_fixed_box(y->f, b) &&
	    is_in_tree(y->f, name, &rel) && !is_of_others(y, name);
}

/* It is noted before it is made, so that it is known whose it is. 1: done; 0: it
 * cannot be there. */
static int
create(struct imap_session *s, const struct known *k, const char *use)
{
	struct buf verb = BUF_INIT;
	int rc;

	if (*use != '\0' && imap_client_has(s->c, "CREATE-SPECIAL-USE") &&
	    imap_put_quoted(&verb, k->raw)) {
		rc = imap_client_run(
		    s->c, NULL, "CREATE %s (USE (\\%s))", buf_str(&verb), use);
		buf_clear(&verb);
		if (rc <= 0)
			goto done;
	}
	buf_clear(&verb);
	rc = run(s, "CREATE", k->raw, SLICE_EMPTY);
done:
	tell(s, rc == 0 ? "made there" : "cannot be there", k->name, k->raw);
	if (rc == 0)
		rc = subscribe(s, "SUBSCRIBE", k->raw);
	return rc < 0 ? rc : rc == 0;
}

static int
make_there(struct sync *y, struct known *k, const struct here_box *b)
{
	int rc = put(y, k);

	if (rc == 0)
		rc = create(y->s, k, b->use);
	if (rc == 1)
		return 1;
	if (rc == 0 && (rc = put_lone(y, b)) == 0)
		rc = drop(y, k);
	return rc;
}

static int
new_box(struct sync *y, const struct here_box *b)
{
	struct imap_session *s = y->s;
	struct buf raw = BUF_INIT_MAX(8192);
	struct known k = { .here = b->uidvalidity,
		.name = slice_str(b->name),
		.pending = true };
	int rc = 0;

	if (put_raw(s, y->boxes, y->n_boxes, k.name, &raw) &&
	    folder_raw(s, buf_slice(&raw)) == NULL) {
		k.raw = buf_slice(&raw);
		state_id(k.raw, k.key);
		memcpy(k.id.id, k.key, STATE_ID);
		while (is_id_taken(s, &k.id))
			state_id(
			    slice((const char *)k.id.id, STATE_ID), k.id.id);
		rc = make_there(y, &k, b);
	} else {
		tell(s, "cannot be there", k.name, buf_slice(&raw));
		rc = put_lone(y, b);
	}
	buf_clear(&raw);
	return rc;
}

static int
new_here(struct sync *y)
{
	struct imap_session *s = y->s;
	int rc = 0;

	/* Noted, and not made. */
	for (size_t i = 0; i < s->n_known && rc == 0; i++) {
		struct known *k = &s->known[i];

		if (!k->pending || k->f != NULL)
			continue;
		y->relist = true;
		rc = k->box == NULL ? drop(y, k) : make_there(y, k, k->box);
		return rc < 0 ? rc : 1;
	}
	for (size_t i = 0; i < y->n_boxes && rc == 0; i++) {
		const struct here_box *b = &y->boxes[i];

		if (known_of_box(s, b) != NULL || is_lone(y, b->uidvalidity))
			continue;
		if ((rc = load_others(y)) != 0)
			return rc;
		rc = is_to_be_made(y, b) ? new_box(y, b) : put_lone(y, b);
	}
	y->relist |= rc == 1;
	return rc;
}

/* --- all --- */

static int
lone_gone(struct sync *y)
{
	int rc = 0;

	for (size_t i = 0; i < y->n_lone && rc == 0; i++) {
		bool here = false;

		for (size_t k = 0; k < y->n_boxes; k++)
			here |= y->boxes[k].uidvalidity == y->lone[i];
		if (!here)
			rc = lone_drop(
			    y->f->g->state, y->f->o.address, y->lone[i]);
	}
	return session_state_failed(y->s, rc);
}

static int
round_begin(struct sync *y)
{
	struct imap_session *s = y->s;
	int rc = 0;

	arena_reset(&y->a);
	y->a.max = NAMES_OCTETS;
	if (y->relist)
		rc = session_list(s);
	else
		rc = folders_assign(s);
	y->relist = false;
	if (rc == IMAP_REFUSED)
		rc = -EPROTO;
	if (rc == 0)
		rc = lone_load(y->f->g->state, y->f->o.address, &y->a, &y->lone,
		    &y->n_lone);
	return rc == 0 ? boxes_load(y) : rc;
}

/* 1: something was done, and there may be more. */
static int
one_round(struct sync *y)
{
	static int (*const steps[])(struct sync * y) = { renamed_there,
		refresh_all, renamed_here, gone_there, gone_here, new_there,
		new_here, lone_gone };
	int rc = round_begin(y);

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && rc == 0; i++)
		rc = steps[i](y);
	return rc;
}

/* A list without it is none that is believed. */
static bool
has_inbox(const struct imap_session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (slice_eq_str(s->folders[i].name, "INBOX"))
			return true;
	return false;
}

int
folders_sync(struct imap_session *s)
{
	struct sync y = { .s = s, .f = s->f };
	struct pair_cursor c;
	int rc = pair_cursor_get(s->f->g->state, s->f->o.address, "INBOX", &c);

	if (!folders_are_mirrored(s) || !has_inbox(s))
		return 0;
	y.first = rc == -ENOENT;
	rc = rc == 0 || y.first ? 1 : session_state_failed(s, rc);
	for (unsigned i = 0; i < ROUNDS && rc == 1; i++)
		rc = one_round(&y);
	/* More than that is done at the next look. */
	if (rc == 1)
		rc = session_list(s);
	/* Names in there may be of what goes now. */
	if (rc == 0)
		rc = folders_assign(s);
	arena_reset(&y.a);
	arena_reset(&y.others_a);
	return rc < 0 ? rc : 0;
}

/* --- while messages are mirrored --- */

static int
lone_no_more(struct imap_session *s, const struct here_box *box)
{
	return session_state_failed(
	    s, lone_drop(s->f->g->state, s->f->o.address, box->uidvalidity));
}

static struct folder *
folder_new(struct imap_session *s, struct slice raw, struct slice name)
{
	struct folder *b;

	if (s->n == s->cap)
		return NULL;
	b = &s->folders[s->n++];
	*b = (struct folder){ .raw = raw, .name = name, .selectable = true };
	folder_assign(s, b);
	return b;
}

int
folders_needed(struct imap_session *s, const struct here_box *box,
    struct here_box *boxes, size_t n, struct folder **out)
{
	struct sync y = { .s = s, .f = s->f, .boxes = boxes, .n_boxes = n };
	struct slice rel, raw, name = slice_str(box->name);
	struct buf text = BUF_INIT_MAX(8192);
	struct known k = {
		.here = box->uidvalidity, .name = name, .pending = true
	};
	int rc = 0;

	*out = NULL;
	if (!folders_are_mirrored(s) || !is_in_tree(s->f, name, &rel) ||
	    !put_raw(s, boxes, n, name, &text) ||
	    folder_raw(s, buf_slice(&text)) != NULL) {
		buf_clear(&text);
		return 0;
	}
	raw = arena_dup(&s->a, buf_slice(&text));
	buf_clear(&text);
	if (raw.p == NULL || (rel = arena_dup(&s->a, rel)).p == NULL)
		return s->rc = -ENOMEM;
	k.raw = raw;
	state_id(raw, k.key);
	memcpy(k.id.id, k.key, STATE_ID);
	while (is_id_taken(s, &k.id))
		state_id(slice((const char *)k.id.id, STATE_ID), k.id.id);
	if ((rc = lone_no_more(s, box)) != 0 ||
	    (rc = make_there(&y, &k, box)) <= 0)
		return rc;
	*out = folder_new(s, raw, rel);
	if (*out != NULL) {
		(*out)->id = k.id;
		(*out)->made_for = k.here;
	}
	return 0;
}

static void
take_sample(void *arg, uint32_t uid, const unsigned char *id)
{
	struct known *k = arg;

	k->sample_uid = uid;
	memcpy(k->sample, id, STATE_ID);
}

int
folders_sample(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	struct known *k = b->known;
	struct pair pair, *first;
	size_t n;
	int rc;

	if (!folders_are_mirrored(s) || k == NULL)
		return 0;
	rc = k->sample_uid == 0
	    ? -ENOENT
	    : pair_get(f->g->state, f->o.address, &b->id, k->sample_uid, &pair);
	if (rc != -ENOENT)
		return session_state_failed(s, rc);
	rc = pairs_range(
	    f->g->state, f->o.address, &b->id, 1, UINT32_MAX, 1, &first, &n);
	if (rc != 0)
		return session_state_failed(s, rc);
	if (n == 0 && k->sample_uid == UINT32_MAX) {
		free(first);
		return 0;
	}
	k->sample_uid = UINT32_MAX;
	if (n > 0)
		rc = follow_prints(s, &first[0].there, 1, take_sample, k);
	free(first);
	return rc < 0
	    ? rc
	    : session_state_failed(s, known_put(f->g->state, f->o.address, k));
}

/* The mailbox was deleted here, and what of its messages was there has been
 * dealt with: so it goes, if nothing else is in it. */
static int
delete_there(struct sync *y, struct folder *b)
{
	struct imap_session *s = y->s;
	struct known *k = b->known;
	size_t pairs;
	int rc = pairs_count(y->f->g->state, y->f->o.address, &b->id, &pairs);

	if (rc != 0)
		return session_state_failed(s, rc);
	b->has_status = false;
	/* What is open may be told of as it was. */
	if ((rc = session_select(s, b, false, "")) < 0)
		return rc;
	if (rc == 0 && pairs == 0 && s->exists == 0 &&
	    s->uidvalidity == k->there) {
		if ((rc = session_unselect(s)) == 0)
			rc = run(s, "DELETE", k->raw, SLICE_EMPTY);
		if (rc == 0 &&
		    (rc = subscribe(s, "UNSUBSCRIBE", k->raw)) == 0) {
			tell(s, "deleted there", k->name, k->raw);
			return drop(y, k);
		}
		if (rc < 0)
			return rc;
	}
	log_warning("a mailbox was deleted here: its folder stays",
	    "outside=%s folder=%s messages=%u", log_qs(y->f->o.address),
	    log_q(k->raw), s->exists);
	k->here = 0;
	k->name = SLICE_EMPTY;
	return put(y, k);
}

int
folders_end(struct imap_session *s)
{
	struct sync y = { .s = s, .f = s->f };
	size_t longest = 0;
	int rc = 0;

	/* What is below others first. */
	for (size_t i = 0; i < s->n; i++)
		if (s->folders[i].orphan && s->folders[i].raw.n > longest)
			longest = s->folders[i].raw.n;
	for (size_t len = longest; len > 0 && rc == 0; len--)
		for (size_t i = 0; i < s->n && rc == 0; i++)
			if (s->folders[i].orphan &&
			    s->folders[i].raw.n == len) {
				rc = delete_there(&y, &s->folders[i]);
				s->folders[i].orphan = false;
			}
	return rc;
}

int
folders_forget(struct imap_session *s)
{
	struct fetch *f = s->f;
	struct arena a = ARENA_INIT_MAX(NAMES_OCTETS);
	uint32_t *lone;
	size_t n;
	int rc = lone_load(f->g->state, f->o.address, &a, &lone, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = lone_drop(f->g->state, f->o.address, lone[i]);
	for (size_t i = 0; i < s->n_known && rc == 0; i++) {
		s->known[i].here = 0;
		s->known[i].name = SLICE_EMPTY;
		rc = known_put(f->g->state, f->o.address, &s->known[i]);
	}
	arena_reset(&a);
	return session_state_failed(s, rc);
}
