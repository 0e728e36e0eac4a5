/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/door/take_impl.h"

#define ARENA_MAX ((size_t)8 << 20) /* names of mailboxes */

/* --- opening --- */

/* An account that is new comes to be by a look at it. */
static int
is_there(struct take *t)
{
	const char **accounts;
	size_t n;
	int rc = mails_accounts(t->conf.m, &t->a, &accounts, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		if (strcmp(accounts[i], t->conf.account) == 0)
			return 1;
	return rc;
}

/* What the account has: a mailbox for each use; and any mail yet? */
static int
look_at_account(struct take *t)
{
	struct mails_info *infos;
	struct mails_status st;
	size_t n;
	int rc = t->report->dry_run ? is_there(t) : 1;

	t->fresh = true;
	t->exists = rc == 1;
	if (rc != 1)
		return rc;
	rc = mails_list(t->conf.m, t->conf.account, &t->a, &infos, &n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (infos[i].id == 0 || infos[i].attrs & MAILS_NOSELECT)
			continue;
		for (unsigned bit = 0; bit < 10; bit++)
			if (infos[i].attrs & MAILS_SPECIAL_USES & 1u << bit)
				t->special[bit] = infos[i].name;
		if ((rc = mails_status(t->conf.m, t->conf.account,
			 slice_str(infos[i].name), &st)) == 0)
			t->fresh &= st.uidnext == 1;
	}
	return rc;
}

int
take_new(struct take **out, const struct take_conf *conf)
{
	struct take *t = calloc(1, sizeof(*t));
	int rc;

	*out = t;
	if (t == NULL)
		return -ENOMEM;
	t->conf = *conf;
	t->report = conf->report;
	t->a = ARENA_INIT_MAX(ARENA_MAX);
	if ((rc = batch_new(&t->batch, t)) != 0 ||
	    (rc = door_digest_new(&t->digest)) != 0 ||
	    (rc = look_at_account(t)) != 0)
		take_free(out);
	return rc;
}

void
take_free(struct take **out)
{
	struct take *t = *out;

	*out = NULL;
	if (t == NULL)
		return;
	take_drop(t);
	batch_free(&t->batch);
	door_digest_free(&t->digest);
	seen_clear(&t->seen);
	buf_clear(&t->chunk);
	arena_reset(&t->a);
	free(t);
}

/* --- mailboxes --- */

static bool
is_wanted(const struct take *t, struct slice name)
{
	return (t->conf.only == NULL || door_is_listed(t->conf.only, name)) &&
	    !door_is_listed(t->conf.not, name);
}

/* The name here of a mailbox there; NULL: no memory. */
static const char *
name_here(struct take *t, struct slice name, unsigned special)
{
	const char *into = t->conf.into;

	if (into != NULL)
		return slice_eq_str_nocase(name, "INBOX")
		    ? arena_strdup(&t->a, slice_str(into))
		    : arena_printf(&t->a, "%s%c%.*s", into, MAILS_SEPARATOR,
			  (int)name.n, name.p);
	for (unsigned bit = 0; bit < 10; bit++)
		if (special & 1u << bit && t->special[bit] != NULL)
			return t->special[bit];
	return arena_strdup(&t->a, name);
}

static struct visited *
visited_of(struct take *t, const char *name)
{
	struct visited *v = t->names;

	while (v != NULL && strcmp(v->name, name) != 0)
		v = v->next;
	if (v == NULL && (v = arena_alloc(&t->a, sizeof(*v))) != NULL) {
		v->name = name;
		v->next = t->names;
		t->names = v;
	}
	return v;
}

/* Levels above it that are no mailboxes anywhere are names only. */
static int
make_mailbox(struct take *t, const char *name, unsigned special)
{
	struct slice all = slice_str(name);
	int rc = 0;

	for (size_t i = 1; i < all.n && (rc == 0 || rc == -EEXIST); i++)
		if (all.p[i] == MAILS_SEPARATOR)
			rc = mails_create(t->conf.m, t->conf.account,
			    slice_head(all, i), MAILS_NOSELECT, NULL);
	if (rc == 0 || rc == -EEXIST)
		rc = mails_create(
		    t->conf.m, t->conf.account, all, special, NULL);
	return rc == -EEXIST ? 0 : rc;
}

/* One use at most: RFC 6154 allows more, we do not. */
static unsigned
one_use(const struct take *t, unsigned special)
{
	special &= MAILS_SPECIAL_USES;
	special &= ~special + 1;
	return t->conf.into != NULL ? 0 : special;
}

int
take_mailbox(struct take *t, struct slice name, unsigned special)
{
	struct mails_status st;
	struct visited *v;
	const char *here;
	int rc = take_flush(t);

	t->target = NULL;
	if (rc != 0 || !is_wanted(t, name))
		return rc;
	seen_clear(&t->seen);
	t->last_uid = t->last_uidvalidity = 0;
	t->no_keywords_told = false;
	special = one_use(t, special);
	if ((here = name_here(t, name, special)) == NULL ||
	    (v = visited_of(t, here)) == NULL)
		return -ENOMEM;
	door_report_mailbox(t->report, name);
	if (t->report->dry_run) {
		if (t->exists &&
		    mails_status(
			t->conf.m, t->conf.account, slice_str(here), &st) == 0)
			t->target = v->name;
		return 1;
	}
	rc = make_mailbox(t, here, special);
	if (rc == -EINVAL) {
		door_warn(t->report,
		    "%s: cannot be a mailbox's name here; "
		    "passed over",
		    log_q(slice_str(here)));
		t->report->failed++;
		return 0;
	}
	if (rc == -ENOSPC)
		door_warn(t->report, "%s: no room for one more mailbox",
		    log_q(slice_str(here)));
	if (rc != 0)
		return rc;
	v->visited = true;
	t->target = v->name;
	return 1;
}

const char *
take_target(const struct take *t)
{
	return t->target;
}

/* --- keys and notes --- */

struct door_key
take_uid_key(const struct take_origin *o)
{
	struct slice parts[1];
	struct door_key k;
	char octets[16];

	put_be64(octets, o->source);
	put_be32(octets + 8, o->uidvalidity);
	put_be32(octets + 12, o->uid);
	parts[0] = slice(octets, sizeof(octets));
	door_key_make(&k, 'u', parts, 1);
	return k;
}

static struct door_key
content_key(const unsigned char sum[static 32], uint32_t times)
{
	struct slice parts[2];
	struct door_key k;
	char octets[4];

	put_be32(octets, times);
	parts[0] = slice(sum, 32);
	parts[1] = slice(octets, sizeof(octets));
	door_key_make(&k, 'm', parts, 2);
	return k;
}

struct note
take_note(const struct door_meta *meta, const struct take_origin *origin)
{
	struct slice parts[MAILS_KEYWORDS_MAX];
	struct door_meta sorted = *meta;
	struct note n = { .flags = (uint8_t)meta->flags };

	door_keywords_sort(&sorted);
	for (size_t i = 0; i < sorted.n_keywords; i++)
		parts[i] = slice_str(sorted.keywords[i]);
	if (sorted.n_keywords > 0)
		n.keywords = door_fingerprint(parts, sorted.n_keywords);
	if (origin != NULL)
		n.origin = *origin;
	return n;
}

bool
take_note_decode(struct slice in, struct note *out)
{
	if (in.n != 25)
		return false;
	*out = (struct note){ .flags = (uint8_t)in.p[0],
		.keywords = get_be64(in.p + 1),
		.origin = { get_be64(in.p + 9), get_be32(in.p + 17),
		    get_be32(in.p + 21) } };
	return true;
}

/* What stands under a key: 0, -ENOENT. */
static int
key_get(
    struct take *t, const struct door_key *k, uint32_t *uid, struct note *note)
{
	struct buf val = BUF_INIT;
	int rc = t->target == NULL
	    ? -ENOENT
	    : mails_key_get(t->conf.m, t->conf.account, slice_str(t->target),
		  door_key_slice(k), uid, &val);

	*note = (struct note){ 0 };
	if (rc == 0 && !take_note_decode(buf_slice(&val), note))
		rc = -EIO;
	buf_clear(&val);
	return rc;
}

static bool
flags_differ(const struct note *a, const struct note *b)
{
	return a->flags != b->flags || a->keywords != b->keywords;
}

int
take_is_known(struct take *t, const struct take_origin *origin,
    const struct door_meta *meta)
{
	struct door_key k = take_uid_key(origin);
	struct note is = take_note(meta, origin), was;
	uint32_t uid;
	int rc = key_get(t, &k, &uid, &was);

	if (rc != 0)
		return rc == -ENOENT ? 0 : rc;
	t->report->known++;
	if (!flags_differ(&is, &was))
		return 1;
	t->report->changed++;
	rc = batch_mend(t->batch, uid, meta, true, &is, NULL);
	return rc == 0 ? 1 : rc;
}

/* --- messages --- */

int
take_begin(struct take *t)
{
	int rc;

	take_drop(t);
	t->begun = true;
	t->octets = 0;
	t->crlf = (struct crlf_maker){ 0 };
	if (t->report->dry_run)
		return 0;
	rc = mails_message_begin(t->conf.m, &t->msg);
	return rc == 0 ? mails_message_for(t->msg, t->conf.account) : rc;
}

int
take_octets(struct take *t, struct slice octets)
{
	int rc = 0;

	while (octets.n > 0 && rc == 0) {
		struct slice part = slice_head(octets, DOOR_CHUNK);

		octets = slice_from(octets, part.n);
		buf_reset(&t->chunk);
		if (!crlf_make(&t->crlf, part, &t->chunk))
			return -ENOMEM;
		door_digest_put(t->digest, buf_slice(&t->chunk));
		t->octets += t->chunk.n;
		if (t->msg != NULL)
			rc = mails_message_write(t->msg, buf_slice(&t->chunk));
	}
	return rc;
}

void
take_drop(struct take *t)
{
	unsigned char sum[32];

	if (t->begun)
		door_digest_end(t->digest, sum);
	t->begun = false;
	mails_message_free(&t->msg);
}

/* Does the message under that key, here or about to be, belong to another one
 * of the same source? Then ours is a second one that is alike in all. */
static bool
is_anothers(const struct note *n, const struct take_origin *o)
{
	return n->origin.source == o->source &&
	    n->origin.uidvalidity == o->uidvalidity && n->origin.uid != o->uid;
}

/*
 * The key for this message, and whether it is there: 0, -ENOENT.
 * Of files, the n-th of some octets is the n-th of any other time. Of a server
 * we see only some of the messages, so there the note says which it is.
 */
static int
content_find(struct take *t, const unsigned char sum[static 32],
    const struct take_origin *origin, struct door_key *key, uint32_t *uid,
    struct note *was)
{
	struct slice part = slice(sum, 32);
	const struct note *soon;
	uint32_t times = 0;
	int rc;

	if (origin == NULL) {
		if ((rc = seen_count(
			 &t->seen, door_fingerprint(&part, 1), &times)) != 0)
			return rc;
		*key = content_key(sum, times);
		return key_get(t, key, uid, was);
	}
	for (;; times++) {
		*key = content_key(sum, times);
		soon = batch_find(t->batch, key);
		if (soon != NULL && is_anothers(soon, origin))
			continue;
		if (soon != NULL && (rc = batch_flush(t->batch)) != 0)
			return rc;
		rc = key_get(t, key, uid, was);
		if (rc != 0 || !is_anothers(was, origin))
			return rc;
	}
}

static int
take_known(struct take *t, const struct door_meta *meta, const struct note *is,
    const struct note *was, uint32_t uid, const struct door_key *key)
{
	bool differ = flags_differ(is, was);

	t->report->known++;
	t->report->changed += differ;
	if (!differ && is->origin.source == 0)
		return 0;
	return batch_mend(t->batch, uid, meta, differ, is, key);
}

int
take_end(struct take *t, const struct door_meta *meta,
    const struct take_origin *origin)
{
	struct note is = take_note(meta, origin), was;
	struct mails_message *msg = t->msg;
	unsigned char sum[32];
	struct door_key key;
	uint32_t uid;
	int rc;

	door_digest_end(t->digest, sum);
	t->begun = false;
	t->msg = NULL;
	t->last_uid = 0;
	rc = content_find(t, sum, origin, &key, &uid, &was);
	if (rc == 0) {
		t->last_uid = uid;
		rc = take_known(t, meta, &is, &was, uid, &key);
	} else if (rc == -ENOENT && t->report->dry_run) {
		t->report->messages++;
		t->report->octets += t->octets;
		rc = 0;
	} else if (rc == -ENOENT && (rc = mails_message_end(msg)) == 0) {
		rc = batch_add(t->batch, msg, &key, meta, &is);
		msg = NULL;
	}
	mails_message_free(&msg);
	door_report_tick(t->report);
	return rc;
}

void
take_last(const struct take *t, uint32_t *uidvalidity, uint32_t *uid)
{
	struct mails_status st;

	*uid = t->last_uid;
	*uidvalidity = t->last_uidvalidity;
	/* Of one that was known already. */
	if (*uid != 0 && *uidvalidity == 0 &&
	    mails_status(
		t->conf.m, t->conf.account, slice_str(t->target), &st) == 0)
		*uidvalidity = st.uidvalidity;
	if (*uidvalidity == 0)
		*uid = 0;
}

int
take_place(struct take *t, const struct take_origin *origin,
    uint32_t *uidvalidity, uint32_t *uid)
{
	struct door_key k = take_uid_key(origin);
	struct mails_status st;
	struct note note;
	int rc = key_get(t, &k, uid, &note);

	if (rc == 0 && t->last_uidvalidity == 0 &&
	    (rc = mails_status(
		 t->conf.m, t->conf.account, slice_str(t->target), &st)) == 0)
		t->last_uidvalidity = st.uidvalidity;
	*uidvalidity = t->last_uidvalidity;
	return rc;
}

int
take_flush(struct take *t)
{
	return t->target == NULL ? 0 : batch_flush(t->batch);
}

/* --- subscriptions --- */

void
take_has_subscriptions(struct take *t)
{
	t->has_subs = true;
}

int
take_subscribe(struct take *t, struct slice name, unsigned special)
{
	const char *here;
	struct visited *v;

	if (!is_wanted(t, name))
		return 0;
	if ((here = name_here(t, name, one_use(t, special))) == NULL ||
	    (v = visited_of(t, here)) == NULL)
		return -ENOMEM;
	v->subscribed = true;
	return 0;
}

/* A mailbox that the source has, and is not subscribed to there, stays so; but
 * nobody who had mail here loses a subscription. */
int
take_finish(struct take *t)
{
	int rc = take_flush(t);

	if (t->report->dry_run)
		return rc;
	for (struct visited *v = t->names; v != NULL && rc == 0; v = v->next) {
		if (v->subscribed || (v->visited && !t->has_subs))
			rc = mails_subscribe(t->conf.m, t->conf.account,
			    slice_str(v->name), true);
		else if (v->visited && t->fresh)
			rc = mails_subscribe(t->conf.m, t->conf.account,
			    slice_str(v->name), false);
		if (rc == -EINVAL || rc == -ENOENT)
			rc = 0; /* a name that cannot be here */
	}
	return rc;
}
