/* SPDX-License-Identifier: ISC */
/*
 * Messages put back from their blobs. First the mailboxes that are there are
 * made sound (rebuild_boxes.c); then a census tells which blobs are some
 * message's, and the others are delivered once more, as they lie, in the order
 * in which they came.
 */
#include "mailbox/mails/rebuild.h"

#include <stdio.h>
#include <stdlib.h>

#include "mailbox/mails/birth.h"
#include "mailbox/mails/census.h"
#include "mailbox/mails/name_seal.h"
#include "mailbox/mails/rebuild_impl.h"

#define STEP 64 /* messages of one commit */

/* --- which blobs --- */

struct lost_blob {
	struct store_blob_id id;
	int64_t written_s;
};

struct work {
	struct rebuild *r;
	struct census c;
	struct lost_blob *v;
	size_t n, cap;
	struct back *backs; /* what the next commit puts back */
	size_t n_backs;
};

static int
lost_note(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct work *w = arg;
	const struct mark *m = census_blob(&w->c, id);
	size_t cap = w->cap == 0 ? 1024 : w->cap * 2;
	struct lost_blob *v;

	(void)size;
	/* One message's alone, which is there. */
	if (m != NULL && m->token == 0)
		return 0;
	if (w->n == w->cap) {
		if ((v = realloc(w->v, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct lost_blob){ *id, written_s };
	return 0;
}

static int
lost_cmp(const void *pa, const void *pb)
{
	const struct lost_blob *a = pa, *b = pb;

	if (a->written_s != b->written_s)
		return a->written_s < b->written_s ? -1 : 1;
	return memcmp(&a->id, &b->id, sizeof(a->id));
}

/* --- shares --- */

static int
shares_row(struct work *w, const struct store_blob_id *id, struct buf *row)
{
	char part[4];

	snprintf(part, sizeof(part), "r%02x", id->octets[0]);
	return store_get(w->r->m->s, slice(part, 3),
	    slice(id->octets, sizeof(id->octets)), row);
}

/* Those of the blob that no row has. -ENOENT: it is not shared. */
static int
shares_free(
    struct work *w, const struct store_blob_id *id, uint64_t **out, size_t *n)
{
	struct ref ref = { .blob = *id };
	struct buf row = BUF_INIT;
	int rc = shares_row(w, id, &row);

	*out = NULL;
	*n = 0;
	if (rc == 0 &&
	    (*out = calloc(row.n / MAILS_REF + 1, sizeof(**out))) == NULL)
		rc = -ENOMEM;
	for (size_t at = 0; rc == 0 && at + MAILS_REF <= row.n;
	     at += MAILS_REF) {
		ref.token = get_be64(row.p + at);
		if (census_ref(&w->c, &ref) == NULL)
			(*out)[(*n)++] = ref.token;
	}
	buf_clear(&row);
	return rc;
}

static bool
is_listed(const struct buf *row, uint64_t token)
{
	for (size_t at = 0; at + MAILS_REF <= row->n; at += MAILS_REF)
		if (get_be64(row->p + at) == token)
			return true;
	return false;
}

/* The list of a blob's shares has those of all its messages, from the mark on
 * that is its first. */
static int
shares_list(struct work *w, struct mark *m)
{
	struct ref ref = { .blob = m->blob };
	struct buf row = BUF_INIT;
	int rc = shares_row(w, &m->blob, &row);

	rc = rc == -ENOENT ? 0 : rc;
	for (; rc == 0 && m != NULL;
	     m = census_is_last(&w->c, m) ? NULL : m + 1) {
		ref.token = m->token;
		if (m->token != 0 && !is_listed(&row, m->token))
			rc = refs_add(w->r->m, &ref, 1, NULL);
	}
	buf_clear(&row);
	return rc;
}

static int
shares_list_all(struct work *w)
{
	int rc = 0;

	for (size_t i = 0; i < w->c.n_marks && rc == 0; i++) {
		struct mark *m = &w->c.marks[i];

		if (i > 0 &&
		    memcmp(&m[-1].blob, &m->blob, sizeof(m->blob)) == 0)
			continue;
		/* The last of a blob has a token if any has. */
		while (!census_is_last(&w->c, m))
			m++;
		if (m->token != 0)
			rc = shares_list(w, &w->c.marks[i]);
	}
	return rc;
}

/* --- one commit --- */

/* A message on its way back. */
struct back {
	struct mails_message msg;
	struct row row;
	struct buf account, mailbox, keywords;
	const char *names[BIRTH_KEYWORDS + 1];
};

static void
back_clear(struct back *b)
{
	buf_clear(&b->msg.summary);
	buf_clear(&b->account);
	buf_clear(&b->mailbox);
	buf_clear(&b->keywords);
}

static void
problem(struct rebuild *r, const struct store_blob_id *id, const char *account,
    const char *what)
{
	char hex[2 * STORE_BLOB_ID_LEN + 1], text[120];

	for (size_t i = 0; i < sizeof(id->octets); i++)
		snprintf(hex + 2 * i, 3, "%02x", id->octets[i]);
	snprintf(text, sizeof(text), "blob %s: %s", hex, what);
	r->told(
	    r->arg, &(struct mails_fault){ .account = account, .what = text });
}

static void
back_done(struct work *w, const struct back *b, const struct mails_target *t)
{
	struct rebuild *r = w->r;

	if (t->rc == 0) {
		r->out->messages++;
		r->out->octets += b->row.size;
	} else {
		r->out->damaged++;
		problem(r, &b->row.blob, t->account, strerror(-t->rc));
	}
}

static int
backs_commit(struct work *w)
{
	struct mails_target targets[STEP] = { 0 };
	struct mails_message *msgs[STEP];
	struct row rows[STEP];
	int rc = 0;

	for (size_t i = 0; i < w->n_backs; i++) {
		struct back *b = &w->backs[i];

		msgs[i] = &b->msg;
		rows[i] = b->row;
		targets[i] = (struct mails_target){
			.account = buf_str(&b->account),
			.mailbox = buf_slice(&b->mailbox),
			.flags = b->row.flags.system,
			.keywords = b->names,
			.internaldate = b->row.internaldate,
		};
	}
	if (w->n_backs > 0)
		rc = deliver_stored(msgs, targets, rows, w->n_backs);
	for (size_t i = 0; i < w->n_backs; i++) {
		back_done(w, &w->backs[i], &targets[i]);
		back_clear(&w->backs[i]);
	}
	w->n_backs = 0;
	/* What one message costs is told; what all would cost ends it. */
	return rc == -ENOSPC || rc == -ENOMEM || rc == -EIO ? rc : 0;
}

/* The mailbox of that name, or, where no mailbox can have it, INBOX. */
static int
place_make(struct rebuild *r, const char *account, struct buf *mailbox)
{
	uint64_t id;
	int rc = names_find(r->m, account, buf_slice(mailbox), &id);

	if (rc == -ENOENT)
		rc = mails_create(r->m, account, buf_slice(mailbox), 0, &id);
	if (rc != -EINVAL && rc != -EACCES)
		return rc == -EEXIST ? 0 : rc;
	buf_reset(mailbox);
	buf_put_str(mailbox, "INBOX");
	return names_find(r->m, account, buf_slice(mailbox), &id);
}

static int
back_fill(struct work *w, struct back *b, const struct birth *birth)
{
	size_t at[BIRTH_KEYWORDS] = { 0 };

	buf_put_slice(&b->account, birth->account);
	buf_put_slice(&b->mailbox, birth->mailbox);
	for (size_t i = 0; i < birth->n_keywords; i++) {
		at[i] = b->keywords.n;
		buf_put_slice(&b->keywords, birth->keywords[i]);
		buf_put_char(&b->keywords, '\0');
	}
	if (b->account.failed || b->mailbox.failed || b->keywords.failed)
		return -ENOMEM;
	for (size_t i = 0; i < birth->n_keywords; i++)
		b->names[i] = b->keywords.p + at[i];
	return place_make(w->r, buf_str(&b->account), &b->mailbox);
}

static bool
wrap_of(struct slice in, struct wrap *out)
{
	*out = (struct wrap){ .kind = WRAP_NONE };
	if (in.n == 0)
		return true;
	out->kind = (enum wrap_kind)in.p[0];
	if ((out->kind != WRAP_SERVER && out->kind != WRAP_ACCOUNT) ||
	    in.n != 1 + wrap_octets(out->kind))
		return false;
	memcpy(out->octets, in.p + 1, in.n - 1);
	return true;
}

/* One more; `like` has what its blob says. */
static int
back_add(struct work *w, const struct row *like, const struct birth *birth)
{
	struct back *b = &w->backs[w->n_backs];
	int rc;

	*b = (struct back){ .row = *like };
	if (!wrap_of(birth->wrap, &b->row.wrap))
		return -EBADMSG;
	b->row.internaldate = birth->internaldate;
	b->row.flags.system = birth->flags;
	b->msg = (struct mails_message){ .m = w->r->m,
		.blob = like->blob,
		.size = like->size,
		.ended = true,
		.closed = true };
	if ((rc = back_fill(w, b, birth)) != 0) {
		back_clear(b);
		return rc;
	}
	/* Without it now, it is made when it is asked for: of what is sealed,
	 * by who has the key. */
	if (b->row.wrap.kind != WRAP_NONE ||
	    summary_compute(w->r->m, &b->row, NULL, &b->msg.summary) != 0 ||
	    b->msg.summary.n > STORE_VALUE_MAX)
		buf_reset(&b->msg.summary);
	return ++w->n_backs == STEP ? backs_commit(w) : 0;
}

/* --- one blob --- */

/* Has the account a part in the blob, by whatever mailbox? */
static int
account_has(struct work *w, const struct store_blob_id *id,
    struct slice account, bool *has)
{
	struct mark *m = census_blob(&w->c, id);
	struct buf owner = BUF_INIT;
	struct box *x;
	int rc = 0;

	*has = false;
	for (; m != NULL && !*has && rc == 0;
	     m = census_is_last(&w->c, m) ? NULL : m + 1) {
		buf_reset(&owner);
		if ((x = box_get(w->r->m, m->mailbox)) == NULL)
			return -ENOMEM;
		rc = store_get(w->r->m->s, box_part(x), KEY_OWNER, &owner);
		*has = rc == 0 && slice_eq(buf_slice(&owner), account);
		rc = rc == -ENOENT ? 0 : rc;
		box_put(&x);
	}
	buf_clear(&owner);
	return rc;
}

/* Its own share: one that no row has, or a new one. */
static int
share_take(struct work *w, struct row *row, uint64_t *shares, size_t *n)
{
	struct ref ref = { .blob = row->blob };

	if (*n > 0) {
		row->token = shares[--*n];
		return 0;
	}
	ref.token = row->token = token_new();
	return refs_add(w->r->m, &ref, 1, NULL);
}

/* Of one blob. */
struct found {
	struct row row;
	struct blob_look look;
	struct buf births;
	bool shared;      /* it has a list of shares */
	uint64_t *shares; /* those that no row has */
	size_t n_shares;
};

static int
unowned(struct work *w, const struct lost_blob *l, struct found *f)
{
	const struct birth birth = {
		.account = slice_str(w->r->recover_to),
		.mailbox = SLICE_LIT(MAILS_RECOVERED),
		.internaldate = l->written_s,
	};
	int rc = 0;

	if (w->r->recover_to == NULL) {
		w->r->out->unowned++;
		return 0;
	}
	if (f->shared)
		rc = share_take(w, &f->row, f->shares, &f->n_shares);
	return rc == 0 ? back_add(w, &f->row, &birth) : rc;
}

/* To how many was it delivered that have no part in it? -EBADMSG. */
static int
targets_count(struct work *w, const struct found *f, size_t *n)
{
	struct slice rest = buf_slice(&f->births);
	struct birth birth;
	bool has;
	int rc;

	for (*n = 0; (rc = birth_next(&rest, &birth)) == 1; *n += !has)
		if ((rc = account_has(w, &f->row.blob, birth.account, &has)) !=
		    0)
			return rc;
	return rc;
}

static bool
can_be_opened(struct work *w, const struct found *f, const struct birth *birth)
{
	char account[400];

	if (!f->look.sealed || birth->wrap.n > 0)
		return true;
	snprintf(account, sizeof(account), "%.*s", (int)birth->account.n,
	    birth->account.p);
	w->r->out->damaged++;
	problem(
	    w->r, &f->row.blob, account, "its key was in the row that is lost");
	return false;
}

/* Where it goes, opened. 1: it cannot be told without the server's key. */
static int
birth_open(struct work *w, const struct found *f, struct birth *birth,
    struct buf *room)
{
	char *account = slice_strdup(birth->account);
	struct name_sealer s = { 0 };
	int rc =
	    account == NULL ? -ENOMEM : name_sealer_init(&s, w->r->m, account);

	if (rc == 0)
		rc = birth_names_open(&s, &f->row.blob, birth, room);
	if (rc == -ENOKEY) {
		w->r->out->damaged++;
		problem(w->r, &f->row.blob, account,
		    "where it goes is sealed with the server's key, which is "
		    "not here");
		rc = 1;
	} else if (rc == -EBADMSG) {
		problem(w->r, &f->row.blob, account,
		    "where it goes is damaged, so into " MAILS_RECOVERED);
		birth->mailbox = SLICE_LIT(MAILS_RECOVERED);
		rc = 0;
	}
	name_sealer_wipe(&s);
	free(account);
	return rc;
}

static int
owned(struct work *w, struct found *f, bool is_any)
{
	struct slice rest = buf_slice(&f->births);
	struct buf names = BUF_INIT;
	struct birth birth;
	size_t n;
	bool has;
	int rc = targets_count(w, f, &n);

	while (rc == 0 && birth_next(&rest, &birth) == 1) {
		rc = account_has(w, &f->row.blob, birth.account, &has);
		if (rc != 0 || has || !can_be_opened(w, f, &birth))
			continue;
		if (birth.sealed.n > 0 &&
		    (rc = birth_open(w, f, &birth, &names)) != 0) {
			rc = rc == 1 ? 0 : rc;
			continue;
		}
		if (f->shared || is_any || n > 1)
			rc = share_take(w, &f->row, f->shares, &f->n_shares);
		if (rc == 0)
			rc = back_add(w, &f->row, &birth);
	}
	buf_clear(&names);
	return rc;
}

static int
found_put(struct work *w, const struct lost_blob *l, struct found *f)
{
	bool is_any = census_blob(&w->c, &l->id) != NULL;
	int rc = shares_free(w, &l->id, &f->shares, &f->n_shares);

	f->shared = rc == 0;
	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (is_any && f->n_shares == 0)
		return 0; /* all who have a part in it are there */
	rc = octets_look(w->r->m, &l->id, &f->look, &f->births);
	f->row.size = f->look.size;
	f->row.framed = f->look.framed;
	if (rc == -EIO)
		rc = -EBADMSG;
	if (rc != 0)
		return rc;
	return f->births.n > 0 ? owned(w, f, is_any) : unowned(w, l, f);
}

static int
blob_back(struct work *w, const struct lost_blob *l)
{
	struct found f = { .row.blob = l->id };
	int rc = found_put(w, l, &f);

	if (rc == -EBADMSG) {
		w->r->out->damaged++;
		problem(w->r, &l->id, NULL, "damaged");
		rc = 0;
	}
	free(f.shares);
	buf_clear(&f.births);
	return rc == -ENOENT ? 0 : rc; /* deleted meanwhile */
}

static int
blobs_back(struct work *w)
{
	int rc;

	if ((rc = census_take(&w->c)) != 0 || (rc = shares_list_all(w)) != 0 ||
	    (rc = store_blob_list(w->r->m->s, lost_note, w)) != 0)
		return rc;
	if (w->n > 0)
		qsort(w->v, w->n, sizeof(*w->v), lost_cmp);
	if ((w->backs = calloc(STEP, sizeof(*w->backs))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < w->n && rc == 0; i++) {
		rc = blob_back(w, &w->v[i]);
		(void)co_yield ();
	}
	return rc == 0 ? backs_commit(w) : rc;
}

int
mails_rebuild(struct mails *m, const char *recover_to, mails_fault_fn *told,
    void *arg, struct mails_rebuilt *out)
{
	struct rebuild r = { m, recover_to, told, arg, out };
	struct work w = { .r = &r, .c = { .m = m } };
	int rc;

	*out = (struct mails_rebuilt){ 0 };
	if ((rc = rebuild_boxes(&r)) == 0)
		rc = blobs_back(&w);
	for (size_t i = 0; i < w.n_backs; i++)
		back_clear(&w.backs[i]);
	free(w.backs);
	free(w.v);
	census_clear(&w.c);
	return mails_error(rc);
}
