/* SPDX-License-Identifier: ISC */
/*
 * What changed at the origin in messages that were fetched before. With
 * QRESYNC (RFC 7162) the open tells; with CONDSTORE one FETCH tells flags, and
 * the number of messages whether any went; without either, flags are compared
 * now and then, message by message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/set.h"
#include "gateway/imap_session.h"

#define COMPARE_STEP 1000 /* messages of one command */
#define COMPARE_MAX 20000 /* of one folder, the newest, for flags */
#define PRINTS_STEP 200
#define SEEN_MAX 5000000
#define RANGES_MAX 1000000
/* More than that at once is not believed: see docs/gateway.md. */
#define MASS_MIN 10
#define MASS_EMPTY 3

/* --- what is said --- */

static int
note_flags(struct imap_session *s, const struct imap_response *r)
{
	size_t cap = s->cap_seen == 0 ? 64 : s->cap_seen * 2;
	struct seen_flags *v, one = { .uid = r->uid };

	if (r->uid == 0 || !r->has_flags || s->n_seen == SEEN_MAX)
		return 0;
	if (s->n_seen == s->cap_seen) {
		if ((v = reallocarray(s->seen, cap, sizeof(*v))) == NULL)
			return s->rc = -ENOMEM;
		s->seen = v;
		s->cap_seen = cap;
	}
	for (size_t i = 0; i < r->flags.n; i++)
		(void)pair_flag_add(&s->keywords, &one.flags, r->flags.v[i]);
	s->seen[s->n_seen++] = one;
	return 0;
}

static int
note_gone(struct imap_session *s, const struct imap_response *r)
{
	struct slice set = r->set;
	struct uid_range one, *v;
	size_t cap;

	while (imap_set_next(&set, &one.from, &one.to) == 1) {
		if (s->n_gone == RANGES_MAX)
			return s->rc = -E2BIG;
		if (s->n_gone == s->cap_gone) {
			cap = s->cap_gone == 0 ? 64 : s->cap_gone * 2;
			v = reallocarray(s->gone, cap, sizeof(*v));
			if (v == NULL)
				return s->rc = -ENOMEM;
			s->gone = v;
			s->cap_gone = cap;
		}
		s->gone[s->n_gone++] = one;
	}
	return 0;
}

int
follow_note(struct imap_session *s, const struct imap_response *r)
{
	if (s->f->o.sync == OUTSIDE_APART)
		return 0;
	return r->kind == IMAP_FETCH   ? note_flags(s, r)
	    : r->kind == IMAP_VANISHED ? note_gone(s, r)
				       : 0;
}

static int
on_follow(void *arg, const struct imap_response *r)
{
	return follow_note(arg, r);
}

void
follow_forget(struct imap_session *s)
{
	s->n_seen = s->n_gone = 0;
}

/* --- asking --- */

void
follow_how(const struct imap_session *s, struct buf *out)
{
	if (s->f->o.sync == OUTSIDE_APART)
		return;
	if (s->qresync && s->state.modseq != 0)
		buf_printf(out, " (QRESYNC (%u %llu))", s->state.uidvalidity,
		    (unsigned long long)s->state.modseq);
	else if (imap_client_has(s->c, "CONDSTORE") || s->qresync)
		buf_put_str(out, " (CONDSTORE)");
}

int
follow_ask(struct imap_session *s)
{
	const struct imap_handler h = { .untagged = on_follow, .arg = s };
	int rc = 0;

	if (s->f->o.sync == OUTSIDE_APART || s->highest == 0)
		return 0;
	if (s->state.modseq == 0)
		s->state.modseq = s->highest; /* from here on */
	else if (!s->by_qresync && s->highest > s->state.modseq &&
	    s->exists > 0 && s->state.uidnext > 1)
		rc = imap_client_run(s->c, &h,
		    "UID FETCH 1:%u (FLAGS) (CHANGEDSINCE %llu)",
		    s->state.uidnext - 1, (unsigned long long)s->state.modseq);
	return rc < 0 ? rc : 0;
}

/* --- what differs --- */

static int
add_change(
    struct imap_session *s, struct folder *b, const struct there_change *one)
{
	size_t cap = b->cap == 0 ? 64 : b->cap * 2;
	struct there_change *v;

	if (b->n == b->cap) {
		if ((v = reallocarray(b->v, cap, sizeof(*v))) == NULL)
			return s->rc = -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *one;
	return 0;
}

static int
take_seen(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	struct there_change one;
	int rc;

	for (size_t i = 0; i < s->n_seen; i++) {
		one = (struct there_change){ .flags = s->seen[i].flags };
		rc = pair_get(f->g->state, f->o.address, &b->id, s->seen[i].uid,
		    &one.pair);
		if (rc == -ENOENT)
			continue;
		if (rc != 0)
			return session_state_failed(s, rc);
		if (!merge_flags_eq(&one.flags, &one.pair.agreed) &&
		    (rc = add_change(s, b, &one)) != 0)
			return rc;
	}
	return 0;
}

static int
add_gone(struct imap_session *s, struct folder *b, const struct pair *v)
{
	const struct there_change one = { .pair = *v, .gone = true };

	return add_change(s, b, &one);
}

static int
take_gone(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	struct pair *v;
	size_t n;
	int rc = 0;

	for (size_t i = 0; i < s->n_gone && rc == 0; i++) {
		rc = pairs_range(f->g->state, f->o.address, &b->id,
		    s->gone[i].from, s->gone[i].to, SIZE_MAX, &v, &n);
		if (rc != 0)
			return session_state_failed(s, rc);
		for (size_t k = 0; k < n && rc == 0; k++)
			rc = add_gone(s, b, &v[k]);
		free(v);
	}
	return rc;
}

static int
seen_cmp(const void *a, const void *b)
{
	const struct seen_flags *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* Some messages, in order: those that are not listed are gone. */
static int
compare_step(
    struct imap_session *s, struct folder *b, const struct pair *v, size_t n)
{
	const struct imap_handler h = { .untagged = on_follow, .arg = s };
	struct seen_flags key, *found;
	struct there_change one;
	int rc = 0;

	follow_forget(s);
	if (s->exists > 0)
		rc = imap_client_run(s->c, &h, "UID FETCH %u:%u (FLAGS)",
		    v[0].there, v[n - 1].there);
	if (rc != 0)
		return rc < 0 ? rc : 0; /* refused: nothing is known */
	if (s->n_seen > 0)
		qsort(s->seen, s->n_seen, sizeof(*s->seen), seen_cmp);
	for (size_t i = 0; i < n && rc == 0; i++) {
		key.uid = v[i].there;
		found = s->n_seen == 0
		    ? NULL
		    : bsearch(&key, s->seen, s->n_seen, sizeof(key), seen_cmp);
		one = (struct there_change){ .pair = v[i],
			.gone = found == NULL };
		if (found != NULL)
			one.flags = found->flags;
		if (one.gone || !merge_flags_eq(&one.flags, &v[i].agreed))
			rc = add_change(s, b, &one);
	}
	return rc;
}

/* Message by message. `all`: some have gone; else the newest are enough. */
static int
compare(struct imap_session *s, struct folder *b, bool all)
{
	struct fetch *f = s->f;
	uint32_t from = 1;
	size_t n, total;
	struct pair *v;
	int rc = pairs_count(f->g->state, f->o.address, &b->id, &total);

	while (rc == 0 && from < s->from) {
		rc = pairs_range(f->g->state, f->o.address, &b->id, from,
		    s->from - 1, COMPARE_STEP, &v, &n);
		if (rc != 0)
			break;
		if (n > 0)
			from = v[n - 1].there + 1;
		if (n > 0 && (all || total <= COMPARE_MAX))
			rc = compare_step(s, b, v, n);
		total -= n < total ? n : total;
		free(v);
		if (rc != 0)
			return rc;
		if (n < COMPARE_STEP)
			break;
	}
	follow_forget(s);
	return session_state_failed(s, rc);
}

/* --- and is believed --- */

static int
change_cmp(const void *a, const void *b)
{
	const struct there_change *x = a, *y = b;

	if (x->pair.there != y->pair.there)
		return x->pair.there < y->pair.there ? -1 : 1;
	return (int)y->gone - (int)x->gone;
}

/* Each message once; that it is gone comes before its flags. */
static size_t
sort_changes(struct folder *b)
{
	size_t kept = 0, gone = 0;

	if (b->n > 0)
		qsort(b->v, b->n, sizeof(*b->v), change_cmp);
	for (size_t i = 0; i < b->n; i++) {
		if (kept > 0 && b->v[i].pair.there == b->v[kept - 1].pair.there)
			continue;
		gone += b->v[i].gone;
		b->v[kept++] = b->v[i];
	}
	b->n = kept;
	return gone;
}

/*
 * A folder that is suddenly empty, or has lost most of what it had, may be a
 * server's fault as well as its owner's will: what is here stays here, as mail
 * of its own from now on.
 */
static int
doubt(struct imap_session *s, struct folder *b, size_t gone)
{
	struct fetch *f = s->f;
	size_t total, kept = 0;
	int rc = pairs_count(f->g->state, f->o.address, &b->id, &total);

	if (rc != 0)
		return session_state_failed(s, rc);
	if (!(gone > MASS_MIN && gone * 2 > total) &&
	    !(gone > MASS_EMPTY && s->exists == 0))
		return 0;
	log_warning("most of a folder is gone there: what is here stays",
	    "outside=%s folder=%s gone=%zu of=%zu", log_qs(f->o.address),
	    log_q(b->name), gone, total);
	for (size_t i = 0; i < b->n; i++) {
		if (b->v[i].gone)
			pairs_drop(&s->pairs, &b->id, &b->v[i].pair);
		else
			b->v[kept++] = b->v[i];
	}
	b->n = kept;
	return 0;
}

int
follow_end(struct imap_session *s, struct folder *b, size_t came, size_t late)
{
	int64_t now_s = clock_wall_s();
	bool some_went =
	    !s->by_qresync && s->exists + late != s->state.messages + came;
	bool due = s->highest == 0 &&
	    now_s - s->state.compared_s >= s->f->g->compare_s;
	size_t gone;
	int rc;

	b->n = 0;
	b->next = s->state;
	b->next.modseq = s->highest;
	b->next.messages = s->exists + (uint32_t)late;
	if ((rc = take_seen(s, b)) != 0 || (rc = take_gone(s, b)) != 0)
		return rc;
	if (some_went || due) {
		if ((rc = compare(s, b, some_went)) != 0)
			return rc;
		b->next.compared_s = now_s;
	}
	gone = sort_changes(b);
	if (gone > 0 && s->f->o.sync == OUTSIDE_MIRROR &&
	    (rc = doubt(s, b, gone)) != 0)
		return rc;
	b->looked = true;
	return 0;
}

/* --- what we have moved there ourselves --- */

struct printing {
	void (*fn)(void *arg, uint32_t uid, const unsigned char *id);
	void *arg;
};

/* The same wherever it is moved to (RFC 3501 6.4.7). */
static int
on_print(void *arg, const struct imap_response *r)
{
	struct printing *p = arg;
	struct buf text = BUF_INIT;
	unsigned char id[STATE_ID];

	if (r->kind != IMAP_FETCH || r->uid == 0 || r->envelope.n == 0)
		return 0;
	buf_printf(&text, "%llu %lld ", (unsigned long long)r->size,
	    r->has_date ? (long long)r->internaldate : -1LL);
	buf_put_slice(&text, r->envelope);
	state_id(buf_slice(&text), id);
	if (!text.failed)
		p->fn(p->arg, r->uid, id);
	buf_clear(&text);
	return 0;
}

int
follow_prints(struct imap_session *s, const uint32_t *uids, size_t n,
    void (*fn)(void *arg, uint32_t uid, const unsigned char *id), void *arg)
{
	struct printing p = { fn, arg };
	const struct imap_handler h = { .untagged = on_print, .arg = &p };
	struct buf set = BUF_INIT;
	size_t step;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < PRINTS_STEP ? n - at : PRINTS_STEP;
		buf_reset(&set);
		imap_set_put(&set, uids + at, step);
		rc = set.failed
		    ? (s->rc = -ENOMEM)
		    : imap_client_run(s->c, &h,
			  "UID FETCH %s (RFC822.SIZE INTERNALDATE ENVELOPE)",
			  buf_str(&set));
	}
	buf_clear(&set);
	return rc;
}

struct matching {
	struct imap_session *s;
	struct folder *b;
	struct pair_moving *v;
	size_t n;
};

static void
match_moved(void *arg, uint32_t uid, const unsigned char *id)
{
	struct matching *m = arg;

	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].pair.here == 0 ||
		    memcmp(m->v[i].id, id, STATE_ID) != 0)
			continue;
		m->v[i].pair.there = uid;
		pairs_put(&m->s->pairs, &m->b->id, &m->v[i].pair);
		pairs_moving_drop(&m->s->pairs, &m->b->id, id);
		m->v[i].pair.here = 0; /* taken */
		for (size_t k = 0; k < m->s->n_uids; k++)
			if (m->s->uids[k] == uid)
				m->s->uids[k] = 0;
		return;
	}
}

static void
uids_close_up(struct imap_session *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_uids; i++)
		if (s->uids[i] != 0)
			s->uids[kept++] = s->uids[i];
	s->n_uids = kept;
}

/* follow_ask had only those that were met before. */
static int
ask_flags(struct imap_session *s, const uint32_t *uids, size_t n)
{
	const struct imap_handler h = { .untagged = on_follow, .arg = s };
	struct buf set = BUF_INIT;
	size_t step;
	int rc = 0;

	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < PRINTS_STEP ? n - at : PRINTS_STEP;
		buf_reset(&set);
		imap_set_put(&set, uids + at, step);
		rc = set.failed ? (s->rc = -ENOMEM)
				: imap_client_run(s->c, &h,
				      "UID FETCH %s (FLAGS)", buf_str(&set));
	}
	buf_clear(&set);
	return rc;
}

/* What is in `all` and not in s->uids any more: its flags. */
static int
ask_flags_of_taken(struct imap_session *s, uint32_t *all, size_t n)
{
	size_t taken = 0, k = 0;

	for (size_t i = 0; i < n; i++)
		if (k < s->n_uids && s->uids[k] == all[i])
			k++;
		else
			all[taken++] = all[i];
	return ask_flags(s, all, taken);
}

int
follow_moved(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	struct matching m = { .s = s, .b = b };
	uint32_t *uids, *all;
	struct pair pair;
	size_t n, n_all = s->n_uids;
	int rc = 0;

	if (s->state.uidnext == 0 || s->n_uids == 0)
		return 0;
	if ((all = calloc(n_all, sizeof(*all))) == NULL)
		return s->rc = -ENOMEM;
	memcpy(all, s->uids, n_all * sizeof(*all));
	for (size_t i = 0; i < s->n_uids; i++) {
		rc = pair_get(
		    f->g->state, f->o.address, &b->id, s->uids[i], &pair);
		if (rc == 0)
			s->uids[i] = 0;
		else if (rc != -ENOENT)
			break;
		else
			rc = 0;
	}
	uids_close_up(s);
	if (rc == 0)
		rc = pairs_moving(
		    f->g->state, f->o.address, &b->id, &m.v, &m.n);
	if (rc != 0) {
		free(all);
		return session_state_failed(s, rc);
	}
	n = s->n_uids;
	uids = m.n > 0 && n > 0 ? calloc(n, sizeof(*uids)) : NULL;
	if (uids != NULL) {
		memcpy(uids, s->uids, n * sizeof(*uids));
		rc = follow_prints(s, uids, n, match_moved, &m);
		uids_close_up(s);
	}
	free(uids);
	free(m.v);
	if (rc >= 0)
		rc = ask_flags_of_taken(s, all, n_all);
	free(all);
	return rc < 0 ? rc : session_state_failed(s, pairs_flush(&s->pairs));
}
