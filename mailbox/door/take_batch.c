/* SPDX-License-Identifier: ISC */
/*
 * Many messages in one commit, and then what is noted of them in another. The
 * order matters: a message without its 'u' key is fetched again and found by
 * its octets; a 'u' key without a message would lose it.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/door/take_impl.h"

#define ARENA_MAX ((size_t)4 << 20) /* 64 keywords of 255 octets are 16 KiB */

int
batch_new(struct batch **out, struct take *t)
{
	struct batch *b = calloc(1, sizeof(*b));

	*out = b;
	if (b == NULL)
		return -ENOMEM;
	b->t = t;
	b->a = ARENA_INIT_MAX(ARENA_MAX);
	return 0;
}

static void
batch_clear(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		mails_message_free(&b->coming[i].msg);
	b->n = b->octets = b->n_mending = 0;
	arena_reset(&b->a);
}

void
batch_free(struct batch **b)
{
	if (*b == NULL)
		return;
	batch_clear(*b);
	free(*b);
	*b = NULL;
}

/* A copy for as long as the batch; NULL with *rc 0: there are none. */
static const char *const *
keywords_copy(struct batch *b, const struct door_meta *meta, int *rc)
{
	const char **out;

	*rc = 0;
	if (meta->n_keywords == 0)
		return NULL;
	*rc = -ENOMEM;
	out = arena_array(&b->a, meta->n_keywords + 1, sizeof(*out));
	for (size_t i = 0; out != NULL && i < meta->n_keywords; i++)
		if ((out[i] = arena_strdup(
			 &b->a, slice_str(meta->keywords[i]))) == NULL)
			return NULL;
	*rc = out == NULL ? -ENOMEM : 0;
	return out;
}

int
batch_add(struct batch *b, struct mails_message *msg,
    const struct door_key *key, const struct door_meta *meta,
    const struct note *note)
{
	struct coming *c = &b->coming[b->n++];
	int rc;

	*c = (struct coming){ .msg = msg,
		.key = *key,
		.note = *note,
		.internaldate = meta->internaldate,
		.quiet = meta->quiet };
	b->octets += (size_t)mails_message_size(msg);
	c->keywords = keywords_copy(b, meta, &rc);
	if (rc == 0 &&
	    (b->n == BATCH_MESSAGES || b->octets >= BATCH_OCTETS ||
		b->a.used > ARENA_MAX / 2))
		rc = batch_flush(b);
	return rc;
}

const struct note *
batch_find(const struct batch *b, const struct door_key *key)
{
	for (size_t i = 0; i < b->n; i++)
		if (memcmp(&b->coming[i].key, key, sizeof(*key)) == 0)
			return &b->coming[i].note;
	return NULL;
}

int
batch_mend(struct batch *b, uint32_t uid, const struct door_meta *meta,
    bool flags, const struct note *note, const struct door_key *content)
{
	struct mending *m = &b->mending[b->n_mending++];
	int rc;

	*m = (struct mending){ .uid = uid,
		.flags = flags,
		.system = meta->flags,
		.note = *note,
		.has_content = content != NULL };
	if (content != NULL)
		m->content = *content;
	m->keywords = keywords_copy(b, meta, &rc);
	if (rc == 0 &&
	    (b->n_mending == BATCH_MENDING || b->a.used > ARENA_MAX / 2))
		rc = batch_flush(b);
	return rc;
}

/* --- messages --- */

static void
note_encode(char out[static 25], const struct note *n)
{
	out[0] = (char)n->flags;
	put_be64(out + 1, n->keywords);
	put_be64(out + 9, n->origin.source);
	put_be32(out + 17, n->origin.uidvalidity);
	put_be32(out + 21, n->origin.uid);
}

struct delivering {
	struct mails_message *msgs[BATCH_MESSAGES];
	struct mails_target targets[BATCH_MESSAGES];
	struct coming *from[BATCH_MESSAGES];
	char notes[BATCH_MESSAGES][25];
	size_t n;
};

#define NEW_S (7 * 86400)

static bool
is_new_mail(const struct coming *c)
{
	return (c->note.flags & MAILS_SEEN) == 0 &&
	    (c->internaldate == INT64_MIN ||
		c->internaldate > clock_wall_s() - NEW_S);
}

static void
delivering_add(struct delivering *d, const struct take *t, struct coming *c,
    bool with_keywords)
{
	size_t i = d->n++;

	note_encode(d->notes[i], &c->note);
	d->msgs[i] = c->msg;
	d->from[i] = c;
	d->targets[i] = (struct mails_target){ .account = t->conf.account,
		.mailbox = slice_str(t->target),
		.flags = c->note.flags,
		.keywords = with_keywords ? c->keywords : NULL,
		.internaldate = c->internaldate,
		.quota = t->conf.quota,
		.key = door_key_slice(&c->key),
		.tell = t->conf.tell && !c->quiet && is_new_mail(c),
		.note = slice(d->notes[i], 25) };
}

/* Those whose keywords find no room in the mailbox's table, without. */
static void
deliver_without_keywords(
    struct take *t, struct delivering *d, struct delivering *again)
{
	again->n = 0;
	for (size_t i = 0; i < d->n; i++)
		if (d->targets[i].rc == -E2BIG || d->targets[i].rc == -EINVAL)
			delivering_add(again, t, d->from[i], false);
	if (again->n == 0)
		return;
	if (!t->no_keywords_told)
		door_warn(t->report,
		    "%s: more than %d keywords; some messages come without",
		    log_q(slice_str(t->target)), MAILS_KEYWORDS_MAX);
	t->no_keywords_told = true;
	(void)mails_deliver_each(again->msgs, again->targets, again->n);
	for (size_t i = 0, k = 0; i < d->n; i++)
		if (d->targets[i].rc == -E2BIG || d->targets[i].rc == -EINVAL)
			d->targets[i] = again->targets[k++];
}

static int
delivered(
    struct take *t, const struct mails_target *target, const struct coming *c)
{
	struct door_report *r = t->report;

	if (target->rc == 0) {
		r->messages++;
		r->octets += mails_message_size(c->msg);
		t->last_uid = target->uid;
		t->last_uidvalidity = target->uidvalidity;
	} else if (target->rc == -EDQUOT) {
		door_warn(r,
		    "%s is full: raise its quota (pneu account set "
		    "--quota), or use --ignore-quota, and do the same again; "
		    "what is here already stays",
		    t->conf.account);
	} else {
		door_warn(r, "%s: %s", log_q(slice_str(t->target)),
		    strerror(-target->rc));
		r->failed++;
	}
	return target->rc;
}

static struct mails_key
uid_key(struct door_key *room, uint32_t uid, const char *note,
    const struct take_origin *o)
{
	*room = take_uid_key(o);
	return (struct mails_key){ door_key_slice(room), uid, slice(note, 25) };
}

/* Where the messages that have just been put in are at their source. */
static int
note_origins(struct take *t, struct delivering *d)
{
	struct mails_key keys[BATCH_MESSAGES];
	struct door_key room[BATCH_MESSAGES];
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		if (d->targets[i].rc == 0 && d->from[i]->note.origin.source)
			keys[n] = uid_key(&room[n], d->targets[i].uid,
			    d->notes[i], &d->from[i]->note.origin),
			n++;
	return mails_keys_put(
	    t->conf.m, t->conf.account, slice_str(t->target), keys, n);
}

static int
deliver_all(struct batch *b)
{
	struct delivering *d = calloc(2, sizeof(*d));
	struct take *t = b->t;
	int rc = 0;

	if (d == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++)
		delivering_add(d, t, &b->coming[i], true);
	(void)mails_deliver_each(d->msgs, d->targets, d->n);
	deliver_without_keywords(t, d, d + 1);
	for (size_t i = 0; i < d->n && rc == 0; i++)
		rc = delivered(t, &d->targets[i], d->from[i]);
	if (rc == 0)
		rc = note_origins(t, d);
	free(d);
	return rc;
}

/* --- flags --- */

static bool
keywords_eq(const char *const *a, const char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0)
		a++, b++;
	return *a == *b;
}

/* All that get the same flags, from mending[at] on. */
static int
mend_alike(struct batch *b, struct mails_view *v, size_t at)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	const struct mending *first = &b->mending[at];
	uint32_t seqs[BATCH_MENDING], *failed;
	size_t n = 0, n_failed;
	bool exact;
	int rc = 0;

	for (size_t i = at; i < b->n_mending; i++) {
		struct mending *m = &b->mending[i];

		if (m->done || !m->flags || m->system != first->system ||
		    !keywords_eq(m->keywords, first->keywords))
			continue;
		m->done = true;
		seqs[n] = mails_view_seq(v, m->uid, &exact);
		n += exact && !mails_view_is_gone(v, seqs[n]);
	}
	if (n > 0)
		rc = mails_store_flags(v, seqs, n, MAILS_FLAGS_SET,
		    first->system, first->keywords, 0, true, &a, &failed,
		    &n_failed);
	if (rc == -E2BIG || rc == -EINVAL)
		rc = mails_store_flags(v, seqs, n, MAILS_FLAGS_SET,
		    first->system, NULL, 0, true, &a, &failed, &n_failed);
	arena_reset(&a);
	return rc;
}

static int
mend_flags(struct batch *b)
{
	struct take *t = b->t;
	struct mails_view *v = NULL;
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < b->n_mending; i++)
		any |= b->mending[i].flags;
	if (any)
		rc = mails_view_examine(
		    t->conf.m, t->conf.account, slice_str(t->target), &v);
	for (size_t i = 0; i < b->n_mending && any && rc == 0; i++)
		if (b->mending[i].flags && !b->mending[i].done)
			rc = mend_alike(b, v, i);
	mails_view_close(&v);
	return rc;
}

static int
mend_notes(struct batch *b)
{
	struct mails_key keys[2 * BATCH_MENDING];
	struct door_key room[BATCH_MENDING];
	char notes[BATCH_MENDING][25];
	struct take *t = b->t;
	size_t n = 0;

	for (size_t i = 0; i < b->n_mending; i++) {
		struct mending *m = &b->mending[i];

		note_encode(notes[i], &m->note);
		if (m->has_content)
			keys[n++] =
			    (struct mails_key){ door_key_slice(&m->content),
				    m->uid, slice(notes[i], 25) };
		if (m->note.origin.source != 0)
			keys[n++] = uid_key(
			    &room[i], m->uid, notes[i], &m->note.origin);
	}
	return mails_keys_put(
	    t->conf.m, t->conf.account, slice_str(t->target), keys, n);
}

int
batch_flush(struct batch *b)
{
	int rc = 0;

	if (b->t->report->dry_run) {
		batch_clear(b);
		return 0;
	}
	if (b->n > 0)
		rc = deliver_all(b);
	if (rc == 0 && b->n_mending > 0 && (rc = mend_flags(b)) == 0)
		rc = mend_notes(b);
	batch_clear(b);
	return rc;
}
