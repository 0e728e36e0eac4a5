/* SPDX-License-Identifier: ISC */
/*
 * Sealing what is there: reseal.h. One message: its octets go into a new blob,
 * with a new key, as a delivery's do; then one batch, guarded on the row as it
 * was read, puts the row with the new blob and its box, and takes the old blob
 * where it was the row's alone. Where it was shared, the order is that of refs.c:
 * a ref of the new blob, the row, the old ref.
 *
 * A key is not wrapped anew: who had the old one would still open the message.
 *
 * Rows of one account that share a blob share the new one too, as far as this
 * run remembers; what other accounts share of it stays with them.
 *
 * Names go first, each mailbox's keywords with it, all of them in batches that
 * find what is left to do by what is there. A blob that is sealed, but says in
 * the clear where it was delivered (of before names were sealed), is made anew.
 */
#include "mailbox/mails/reseal.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/birth.h"
#include "mailbox/mails/index_impl.h"
#include "mailbox/mails/kept_impl.h"

#define CHUNK ((size_t)64 << 10)
#define PAGE 64
#define REMEMBERED 4096 /* shared blobs */
#define PASSES_MAX 20
#define LEASE_MS 120000
#define RENEW_MS 30000

/* A shared blob that was made anew. */
struct remembered {
	struct store_blob_id from;
	struct row to; /* blob, wrap, token */
	bool is;
};

/* A row that is not as it is to be. */
struct todo {
	uint32_t uid, kept; /* one of both is 0 */
	bool look; /* the row is, but does its blob have names in the clear? */
	struct row row;
};

struct job {
	struct mails *m;
	const char *account;
	struct seal_key *k;
	struct name_sealer sealer;
	enum wrap_kind want;
	struct mails_resealed *out;
	struct remembered *shared;
	void (*progress)(void *arg);
	void *arg;
	uint64_t changed; /* in this pass */
	uint64_t fence;
	int64_t renewed_ms;
	/* The mailbox that is being done: */
	struct box *x;
	const char *name;
	struct keywords keywords;
	struct todo todo[PAGE];
	size_t n;
	uint32_t next;
	bool first; /* the first pass, which counts */
};

static bool
suits(const struct job *j, const struct row *r)
{
	return r->wrap.kind == j->want ||
	    (j->want == WRAP_NONE && r->wrap.kind == WRAP_CLEAR);
}

/* Its place: where it is, or is to be. Of four that are taken the first goes. */
static struct remembered *
remembered_at(struct job *j, const struct store_blob_id *id)
{
	struct remembered *set =
	    &j->shared[get_be32(id->octets) % (REMEMBERED / 4) * 4];

	for (size_t i = 0; i < 4; i++)
		if (set[i].is && memcmp(&set[i].from, id, sizeof(*id)) == 0)
			return &set[i];
	for (size_t i = 0; i < 4; i++)
		if (!set[i].is)
			return &set[i];
	return set;
}

/* --- the new blob --- */

static int
copy_octets(struct job *j, const struct row *r, const struct frames_seal *seal,
    struct mails_message *msg)
{
	char *p = malloc(CHUNK);
	uint64_t at = 0;
	size_t got = 0;
	int rc = p == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		rc = octets_read(j->m, r, seal, at, p, CHUNK, &got);
		if (rc != 0 || got == 0)
			break;
		rc = mails_message_write(msg, slice(p, got));
		at += got;
	}
	if (p != NULL)
		explicit_bzero(p, CHUNK);
	free(p);
	if (rc == 0 && at != r->size)
		rc = -EIO;
	return rc == 0 ? mails_message_end(msg) : rc;
}

/* It says where it belongs, as that of a delivery does. */
static int
blob_close(struct job *j, struct mails_message *msg, const struct row *r)
{
	struct birth b = { .account = slice_str(j->account),
		.mailbox = slice_str(j->name),
		.internaldate = r->internaldate,
		.flags = r->flags.system };
	char room[1 + SEAL_BOX_LEN] = { (char)r->wrap.kind };
	struct buf birth = BUF_INIT, names = BUF_INIT;
	int rc = 0;

	memcpy(room + 1, r->wrap.octets, wrap_octets(r->wrap.kind));
	if (r->wrap.kind != WRAP_NONE)
		b.wrap = slice(room, 1 + wrap_octets(r->wrap.kind));
	for (size_t i = 0; i < j->keywords.n; i++)
		if (r->flags.keywords >> i & 1 && b.n_keywords < BIRTH_KEYWORDS)
			b.keywords[b.n_keywords++] =
			    slice_str(j->keywords.names[i]);
	if (j->want != WRAP_NONE)
		rc = birth_names_seal(&j->sealer, &msg->blob, &b, &names);
	if (rc == 0 && (!birth_put(&birth, &b) || !birth_end(&birth)))
		rc = -ENOMEM;
	if (rc == 0)
		rc = store_blob_write(msg->w, buf_slice(&birth));
	if (rc == 0)
		rc = store_blob_seal(msg->w);
	msg->closed = rc == 0;
	buf_clear(&names);
	buf_clear(&birth);
	return rc;
}

/* The message anew, and what its row is to have of it. -ESTALE: how mail is
 * sealed was changed meanwhile. */
static int
blob_make(struct job *j, const struct row *r, struct mails_message **msg,
    struct row *new)
{
	struct opened o = { .wrap.kind = WRAP_NONE };
	const struct frames_seal *seal;
	int rc = row_unseal(j->x, r, j->k, &o, &seal);

	*new = *r;
	new->framed = true;
	new->wrap = (struct wrap){ .kind = WRAP_NONE };
	if (rc == 0 && (rc = mails_message_begin(j->m, msg)) == 0 &&
	    (rc = mails_message_for(*msg, j->account)) == 0)
		rc = copy_octets(j, r, seal, *msg);
	opened_wipe(&o);
	if (rc != 0)
		return rc;
	new->blob = (*msg)->blob;
	if ((*msg)->sealed)
		rc = wrap_make(j->m, j->account,
		    slice(new->blob.octets, sizeof(new->blob.octets)),
		    (*msg)->seal.key, &new->wrap);
	if (rc == 0 && new->wrap.kind != j->want)
		rc = -ESTALE;
	return rc == 0 ? blob_close(j, *msg, new) : rc;
}

/* --- the row --- */

static int
row_now(struct job *j, const struct todo *t, struct row *now, struct buf *raw)
{
	struct kept k;
	int rc;

	if (t->kept == 0)
		return row_get(j->x, t->uid, now);
	buf_reset(raw);
	if ((rc = kept_get(j->x, t->kept, &k, raw)) == 0)
		*now = k.row;
	return rc;
}

static void
kept_change(struct change *c, const struct todo *t, struct slice raw,
    const struct row *new)
{
	struct key k = key_uid('e', t->kept);
	char row[KEPT_ROW_MAX];
	size_t n = raw.n < KEPT_HEAD ? raw.n : KEPT_HEAD;

	memcpy(row, raw.p, n);
	n += row_encode(row + n, new);
	store_guard(c->b, key_slice(&k), raw);
	store_put(c->b, key_slice(&k), slice(row, n));
}

static void
live_change(struct change *c, const struct todo *t, const struct row *now,
    const struct row *new, struct slice summary)
{
	struct key k = key_uid('s', t->uid);

	guard_row(c->b, t->uid, now);
	put_row(c->b, t->uid, new);
	if (summary.n > 0)
		store_put(c->b, key_slice(&k), summary);
	else
		store_del(c->b, key_slice(&k)); /* made when it is asked for */
}

/* What becomes of the row: flags and dates are those of now. */
static struct row
row_with(const struct row *now, const struct row *new)
{
	struct row r = *now;

	r.blob = new->blob;
	r.framed = true;
	r.wrap = new->wrap;
	r.token = new->token;
	return r;
}

/* 1: the row has gone, or has other octets by now. `msg`: NULL where the blob
 * is stored. */
static int
row_attempt(struct job *j, const struct todo *t, const struct row *new,
    struct mails_message *msg, struct slice summary)
{
	struct buf raw = BUF_INIT;
	struct row now, put;
	struct change c;
	int rc = row_now(j, t, &now, &raw);

	if (rc == 0 && memcmp(&now.blob, &new->blob, sizeof(now.blob)) == 0) {
		buf_clear(&raw);
		return 0; /* an attempt of unknown outcome has done it */
	}
	if (rc == -ENOENT ||
	    (rc == 0 && memcmp(&now.blob, &t->row.blob, sizeof(now.blob)) != 0))
		rc = 1;
	else if (rc == 0 && now.token != t->row.token)
		rc = 1; /* copied just now: in the next pass */
	if (rc == 0 && (rc = change_begin(&c, j->x)) == 0) {
		put = row_with(&now, new);
		if (t->kept != 0)
			kept_change(&c, t, buf_slice(&raw), &put);
		else
			live_change(&c, t, &now, &put, summary);
		if (now.token == 0)
			store_batch_blob_del(c.b, &now.blob);
		if (msg != NULL)
			store_batch_need(c.b, msg->w);
		rc = change_commit(&c);
	}
	buf_clear(&raw);
	return rc;
}

static int
row_change(struct job *j, const struct todo *t, const struct row *new,
    struct mails_message *msg, struct slice summary)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = row_attempt(j, t, new, msg, summary);
	while (try_again(rc, &attempts));
	return rc;
}

/* --- a message --- */

static int
ref_change(struct job *j, const struct row *r, uint64_t beside,
    struct mails_message *msg, bool add)
{
	struct ref ref = {
		.blob = r->blob, .token = r->token, .beside = beside
	};
	int rc = add ? refs_add(j->m, &ref, 1, msg == NULL ? NULL : msg->w)
		     : refs_remove(j->m, &ref, 1);

	return rc == 0 && ref.refused ? -ENOENT : rc;
}

/* The blob that another row of the account got in place of the same one; -ENOENT
 * when there is none. Its summary is made when it is asked for. 1: not now. */
static int
share_known(struct job *j, const struct todo *t)
{
	struct remembered *known = remembered_at(j, &t->row.blob);
	struct row new;
	int rc;

	if (!known->is ||
	    memcmp(&known->from, &t->row.blob, sizeof(known->from)) != 0)
		return -ENOENT;
	new = known->to;
	new.token = token_new();
	rc = ref_change(j, &new, known->to.token, NULL, true);
	if (rc == -ENOENT) {
		known->is = false; /* that row has gone, and the blob with it */
		return rc;
	}
	if (rc == 0 && (rc = row_change(j, t, &new, NULL, SLICE_EMPTY)) != 0 &&
	    rc != STORE_EUNKNOWN)
		(void)ref_change(j, &new, 0, NULL, false);
	if (rc == 0)
		(void)ref_change(j, &t->row, 0, NULL, false);
	return rc;
}

/* 1: not now. */
static int
message_anew(struct job *j, const struct todo *t)
{
	struct mails_message *msg = NULL;
	struct row new;
	int rc = blob_make(j, &t->row, &msg, &new);

	if (rc == 0 && t->row.token != 0) {
		new.token = token_new();
		rc = ref_change(j, &new, 0, msg, true);
	}
	if (rc == 0) {
		rc = row_change(j, t, &new, msg, buf_slice(&msg->summary));
		if (rc != 0 && rc != STORE_EUNKNOWN && new.token != 0)
			(void)ref_change(j, &new, 0, NULL, false);
		if (rc == 0 && new.token != 0) {
			*remembered_at(j, &t->row.blob) =
			    (struct remembered){ t->row.blob, new, true };
			(void)ref_change(j, &t->row, 0, NULL, false);
		}
	}
	mails_message_free(&msg);
	return rc;
}

/* An error that is not the message's alone. */
static bool
is_final(int rc)
{
	return rc != 0 && rc != -ENOKEY && rc != -EIO && rc != -EBADMSG &&
	    rc != -ENOENT;
}

/* Does the blob tell in the clear what of the account is to be sealed? */
static bool
tells_names(struct job *j, const struct row *r)
{
	struct buf births = BUF_INIT;
	struct blob_look look;
	struct slice rest;
	struct birth b;
	bool tells = false;

	if (octets_look(j->m, &r->blob, &look, &births) != 0)
		births.n = 0;
	rest = buf_slice(&births);
	while (!tells && birth_next(&rest, &b) == 1)
		tells = slice_eq_str(b.account, j->account) &&
		    (b.n_keywords > 0 ||
			(b.sealed.n == 0 &&
			    !slice_eq(b.mailbox, SLICE_LIT("INBOX"))));
	buf_clear(&births);
	return tells;
}

static int
message_do(struct job *j, const struct todo *t)
{
	int rc;

	if (t->look && !tells_names(j, &t->row))
		return 0;
	rc = t->row.token == 0 ? -ENOENT : share_known(j, t);

	if (rc == -ENOENT)
		rc = message_anew(j, t);
	j->changed += rc == 0 || rc == 1;
	if (rc == 0) {
		j->out->done++;
		j->out->octets += t->row.size;
	} else if (j->first) {
		j->out->locked += rc == -ENOKEY;
		j->out->failed += rc == -EIO || rc == -EBADMSG;
	}
	if (j->progress != NULL)
		j->progress(j->arg);
	return rc != 1 && is_final(rc) ? rc : 0;
}

/* --- a mailbox --- */

static bool
is_todo(const struct job *j, struct todo *t)
{
	t->look = suits(j, &t->row);
	return !t->look || (j->first && j->want != WRAP_NONE);
}

static int
todo_row(void *arg, struct slice key, struct slice val)
{
	struct job *j = arg;
	struct todo *t = &j->todo[j->n];

	if (key.n != 5)
		return -EIO;
	j->next = get_be32(key.p + 1) + 1;
	*t = (struct todo){ .uid = j->next - 1 };
	if (j->first)
		j->out->messages++;
	/* A damaged row: check names it. */
	if (row_decode(val, &t->row) == 0 && is_todo(j, t))
		j->n++;
	return j->n == PAGE;
}

static int
todo_kept(void *arg, uint32_t number, const struct kept *k)
{
	struct job *j = arg;
	struct todo t = { .kept = number, .row = k->row };

	j->next = number + 1;
	if (k->kind != KEPT_EXPUNGED)
		return 0;
	if (j->first)
		j->out->messages++;
	if (is_todo(j, &t))
		j->todo[j->n++] = t;
	return j->n == PAGE;
}

static int
lease_keep(struct job *j)
{
	struct buf name = BUF_INIT;
	int rc = 0;

	if (clock_mono_ms() - j->renewed_ms < RENEW_MS)
		return 0;
	j->renewed_ms = clock_mono_ms();
	buf_printf(&name, "seal %s", j->account);
	if (store_lease_renew(j->m->s, buf_slice(&name), j->fence, LEASE_MS) !=
	    0)
		rc = -EBUSY;
	buf_clear(&name);
	return rc;
}

/* Some rows, from j->next on. 1: there are more. */
static int
page_do(struct job *j, bool kept)
{
	struct key from = key_uid('u', j->next);
	int rc, done = 0;

	j->n = 0;
	rc = kept ? kept_rows(j->x, j->next, todo_kept, j)
		  : store_scan(j->m->s, box_part(j->x), key_slice(&from),
			SLICE_LIT("v"), 0, todo_row, j);
	for (size_t i = 0; i < j->n && rc >= 0 && done == 0; i++)
		if ((done = lease_keep(j)) == 0 &&
		    (done = message_do(j, &j->todo[i])) == 0)
			done = co_yield ();
	return done != 0 ? done : rc;
}

static int
box_do(struct job *j, uint64_t id, const char *name)
{
	int rc = 0;

	j->name = name;
	if ((j->x = box_get(j->m, id)) == NULL)
		return -ENOMEM;
	if ((rc = moves_replay(j->x)) == 0 &&
	    (rc = keywords_convert(j->x)) >= 0) {
		j->changed += rc == 1;
		rc = keywords_read(j->x, &j->keywords);
	}
	for (unsigned kept = 0; kept < 2 && rc == 0; kept++) {
		j->next = 0;
		while ((rc = page_do(j, kept)) == 1)
			;
	}
	keywords_clear(&j->keywords);
	box_put(&j->x);
	return rc == -ENOENT ? 0 : rc; /* deleted meanwhile */
}

static int
boxes_do(struct job *j)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct mails_info *infos;
	struct kept_box *kept;
	const char *name;
	size_t n = 0;
	int rc = mails_list(j->m, j->account, &a, &infos, &n);

	for (size_t i = 0; i < n && rc == 0; i++)
		if (infos[i].id != 0)
			rc = box_do(j, infos[i].id, infos[i].name);
	if (rc == 0)
		rc = kept_boxes(j->m, j->account, &a, &kept, &n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (kept[i].name.n == 0)
			continue; /* without the key; so nothing comes here */
		name = arena_strdup(&a, kept[i].name);
		rc = name == NULL ? -ENOMEM : box_do(j, kept[i].id, name);
	}
	arena_reset(&a);
	return rc;
}

/* What was indexed of it before, and the key of that. */
static int
index_forget(struct job *j)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	uint64_t *ids;
	size_t n;
	int rc = index_key_retire(j->m, j->account);

	if (rc == 1 && (rc = names_ids(j->m, j->account, &a, &ids, &n)) == 0)
		for (size_t i = 0; i < n && rc == 0; i++)
			rc = mails_index_drop(j->m, ids[i]);
	arena_reset(&a);
	return rc;
}

/* Until a pass finds nothing: what moved on before it was reached, or came in
 * as it was begun under another mode, is found then. */
static int
job_run(struct job *j)
{
	int rc = name_sealer_init(&j->sealer, j->m, j->account);

	if (rc == 0)
		rc = j->sealer.write_rc;
	if (rc == 0 && (rc = names_convert(j->m, j->account)) == 0 &&
	    (rc = origins_convert(j->m, j->account)) == 0)
		rc = index_forget(j);
	for (unsigned pass = 0; pass < PASSES_MAX && rc == 0; pass++) {
		j->changed = 0;
		j->first = pass == 0;
		rc = boxes_do(j);
		if (j->changed == 0)
			break;
	}
	return rc;
}

int
mails_sealing_of(struct mails *m, const char *account, enum mails_sealing *how)
{
	unsigned char public[SEAL_PUBLIC_LEN];

	return sealing_of(m, account, how, public);
}

int
mails_reseal(struct mails *m, const char *account, struct seal_key *k,
    void (*progress)(void *arg), void *arg, struct mails_resealed *out)
{
	static const enum wrap_kind kinds[] = { WRAP_NONE, WRAP_SERVER,
		WRAP_ACCOUNT };
	struct job *j = calloc(1, sizeof(*j));
	struct buf lease = BUF_INIT;
	enum mails_sealing how;
	int rc = j == NULL ? -ENOMEM : mails_sealing_of(m, account, &how);

	*out = (struct mails_resealed){ 0 };
	if (rc == 0 &&
	    (j->shared = calloc(REMEMBERED, sizeof(*j->shared))) == NULL)
		rc = -ENOMEM;
	buf_printf(&lease, "seal %s", account);
	if (rc == 0)
		rc = store_lease_acquire(
		    m->s, buf_slice(&lease), LEASE_MS, &j->fence);
	if (rc == 0) {
		j->m = m;
		j->account = account;
		j->k = k;
		j->want = kinds[how];
		j->out = out;
		j->progress = progress;
		j->arg = arg;
		j->renewed_ms = clock_mono_ms();
		rc = job_run(j);
		(void)store_lease_release(m->s, buf_slice(&lease), j->fence);
	}
	if (j != NULL) {
		name_sealer_wipe(&j->sealer);
		free(j->shared);
	}
	free(j);
	buf_clear(&lease);
	return rc == -ESTALE ? -EAGAIN : mails_error(rc);
}
