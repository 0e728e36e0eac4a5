/* SPDX-License-Identifier: ISC */
/*
 * Check and collect, both on a census. What a crash may leave by design (see
 * refs.c, names.c, deliver.c) is no fault: it is what collect is for.
 */
#include "mailbox/mails/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/mails/census.h"
#include "mailbox/mails/kept_impl.h"

/* "1234..ef", for texts. */
struct blob_name {
	char text[2 * STORE_BLOB_ID_LEN + 1];
};

static struct blob_name
blob_name(const struct store_blob_id *id)
{
	struct blob_name n;

	for (size_t i = 0; i < sizeof(id->octets); i++)
		snprintf(n.text + 2 * i, 3, "%02x", id->octets[i]);
	return n;
}

/* --- refs --- */

/* Go through all rows of refs. */
struct refs_walk {
	struct census *c;
	int (*ref)(struct refs_walk *w, const struct ref *r, uint32_t added_s);
	struct ref *found; /* to be removed or forgotten */
	size_t n, cap;
	int64_t before; /* added earlier than this */
};

static int
refs_row(void *arg, struct slice key, struct slice val)
{
	struct refs_walk *w = arg;
	struct ref r;
	int rc = 0;

	if (key.n != sizeof(r.blob.octets) || val.n % MAILS_REF != 0) {
		census_fault(w->c, 0, 0, "a row of refs is damaged");
		return 0;
	}
	memcpy(r.blob.octets, key.p, key.n);
	for (size_t at = 0; at < val.n && rc == 0; at += MAILS_REF) {
		r.token = get_be64(val.p + at);
		rc = w->ref(w, &r, get_be32(val.p + at + 8));
	}
	return rc;
}

static int
refs_walk(struct refs_walk *w)
{
	char part[4];
	int rc = 0;

	for (unsigned i = 0; i < 256 && rc == 0; i++) {
		snprintf(part, sizeof(part), "r%02x", i);
		rc = store_scan(w->c->m->s, slice(part, 3), SLICE_EMPTY,
		    SLICE_EMPTY, 0, refs_row, w);
	}
	return rc;
}

static int
ref_mark(struct refs_walk *w, const struct ref *r, uint32_t added_s)
{
	struct mark *m = census_ref(w->c, r);

	(void)added_s;
	/* More than one has it when a message is at the end of its move: in
	 * the target, and still in the intent. */
	while (m != NULL) {
		m->listed = true;
		m = census_is_last(w->c, m) || m[1].token != r->token ? NULL
								      : m + 1;
	}
	return 0;
}

/* --- check --- */

static int
blob_mark(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct census *c = arg;
	struct mark *m = census_blob(c, id);

	(void)written_s;
	for (; m != NULL; m = census_is_last(c, m) ? NULL : m + 1) {
		m->stored = true;
		if (!m->framed && m->size != size)
			census_fault(c, m->mailbox, m->uid,
			    "has %llu octets, its row says %llu",
			    (unsigned long long)size,
			    (unsigned long long)m->size);
	}
	return 0;
}

/* Is the row of the mark still as it was counted? What changed since is not
 * judged. */
static bool
is_still_there(struct census *c, const struct mark *m)
{
	struct box *x = box_get(c->m, m->mailbox);
	struct row r;
	struct kept k;
	bool is = m->uid != 0 && x != NULL;

	if (is && m->kept != 0) {
		is = kept_get(x, m->kept, &k, NULL) == 0;
		r = k.row;
	} else if (is) {
		is = row_get(x, m->uid, &r) == 0;
	}
	is = is && r.token == m->token &&
	    memcmp(&r.blob, &m->blob, sizeof(r.blob)) == 0;

	box_put(&x);
	return is;
}

static bool
is_stored(struct census *c, const struct mark *m)
{
	uint64_t size;

	return m->stored || store_blob_size(c->m->s, &m->blob, &size) == 0;
}

static void
mark_check(struct census *c, const struct mark *m)
{
	const struct mark *other = m + 1;

	if (!is_stored(c, m) && is_still_there(c, m))
		census_fault(c, m->mailbox, m->uid,
		    "its octets (blob %s) are missing",
		    blob_name(&m->blob).text);
	if (m->token != 0 && !m->listed && is_still_there(c, m))
		census_fault(c, m->mailbox, m->uid,
		    "its share of blob %s is not listed",
		    blob_name(&m->blob).text);
	if (!census_is_last(c, m) &&
	    (m->token == 0 || m->token == other->token) &&
	    is_still_there(c, m) && is_still_there(c, other))
		census_fault(c, m->mailbox, m->uid,
		    "blob %s is this message's alone, and another's",
		    blob_name(&m->blob).text);
}

static int
check_marks(struct census *c)
{
	struct refs_walk w = { .c = c, .ref = ref_mark };
	int rc;

	if ((rc = store_blob_list(c->m->s, blob_mark, c)) != 0 ||
	    (rc = refs_walk(&w)) != 0)
		return rc;
	for (size_t i = 0; i < c->n_marks; i++) {
		mark_check(c, &c->marks[i]);
		if (i % 1000 == 999)
			(void)co_yield ();
	}
	return 0;
}

/* With the server's key all of it is verified; what is sealed to an account,
 * as far as can be seen from outside. */
static int
check_sealed(struct census *c, const struct mark *m)
{
	struct box *x = box_get(c->m, m->mailbox);
	const struct frames_seal *seal = NULL;
	struct opened o = { .wrap.kind = WRAP_NONE };
	struct kept k;
	int rc = x == NULL      ? -ENOMEM
	    : m->kept != 0      ? kept_get(x, m->kept, &k, NULL)
				: row_get(x, m->uid, &k.row);

	if (rc == 0 && (rc = row_unseal(x, &k.row, NULL, &o, &seal)) == -ENOKEY)
		rc = 0;
	if (rc == 0)
		rc = octets_check(c->m, &k.row, seal);
	opened_wipe(&o);
	box_put(&x);
	return rc;
}

/* What the engine cannot know: whether a blob is laid out as its row wants. */
static int
check_frames(struct census *c)
{
	int rc = 0;

	for (size_t i = 0; i < c->n_marks && rc != -ENOMEM; i++) {
		const struct mark *m = &c->marks[i];
		const struct row r = { .blob = m->blob, .size = m->size };

		if (m->uid == 0 || !m->framed)
			continue;
		rc = m->sealed ? check_sealed(c, m)
			       : octets_check(c->m, &r, NULL);
		if (rc == -EBADMSG && is_still_there(c, m))
			census_fault(c, m->mailbox, m->uid,
			    "its octets (blob %s) are not what its row says",
			    blob_name(&m->blob).text);
		(void)co_yield ();
	}
	return rc == -ENOMEM ? rc : 0;
}

/* The store's own: of a message where it is one's, or several's. */
static void
store_fault(void *arg, const struct store_blob_id *blob, const char *what)
{
	struct census *c = arg;
	struct mark *m = blob == NULL ? NULL : census_blob(c, blob);

	if (m == NULL)
		census_fault(c, 0, 0, "%s%s", what,
		    blob == NULL ? "" : " (no message has it)");
	for (; m != NULL; m = census_is_last(c, m) ? NULL : m + 1)
		census_fault(c, m->mailbox, m->uid, "%s", what);
}

/* The name of a mailbox; looked up when another is wanted than last time. */
struct place {
	uint64_t mailbox;
	struct buf account;
	struct arena arena;
	const char *name; /* NULL: not known */
};

static void
place_find(struct mails *m, struct place *p, uint64_t mailbox)
{
	struct box *x = box_get(m, mailbox);
	struct mails_info *all;
	size_t n = 0;

	p->mailbox = mailbox;
	p->name = NULL;
	arena_reset(&p->arena);
	buf_reset(&p->account);
	if (x == NULL)
		return;
	/* In a store that is open to read the list is there, though the call
	 * may fail at finishing what a crash left. */
	if (store_get(m->s, box_part(x), KEY_OWNER, &p->account) == 0)
		(void)mails_list(m, buf_str(&p->account), &p->arena, &all, &n);
	for (size_t i = 0; i < n; i++)
		if (all[i].id == mailbox)
			p->name = all[i].name;
	box_put(&x);
}

static void
faults_tell(struct census *c, mails_fault_fn *fault, void *arg)
{
	struct place p = { .account = BUF_INIT,
		.arena = ARENA_INIT_MAX((size_t)4 << 20) };

	for (size_t i = 0; i < c->n_faults; i++) {
		const struct census_fault *f = &c->faults[i];

		if (f->mailbox != p.mailbox)
			place_find(c->m, &p, f->mailbox);
		fault(arg,
		    &(struct mails_fault){
			.account = f->mailbox != 0 && p.account.n > 0
			    ? buf_str(&p.account)
			    : NULL,
			.mailbox = f->mailbox != 0 ? p.name : NULL,
			.mailbox_id = f->mailbox,
			.uid = f->uid,
			.what = buf_str(&c->texts) + f->text,
		    });
	}
	buf_clear(&p.account);
	arena_reset(&p.arena);
}

static void
checked_sum(const struct census *c, struct mails_checked *out)
{
	*out = (struct mails_checked){ 0 };
	for (size_t i = 0; i < c->n_boxes; i++)
		out->mailboxes += c->boxes[i].exists;
	for (size_t i = 0; i < c->n_marks; i++) {
		if (c->marks[i].uid == 0 || c->marks[i].kept != 0)
			continue;
		out->messages++;
		out->octets += c->marks[i].size;
	}
}

int
mails_check(struct mails *m, bool octets, mails_fault_fn *fault, void *arg,
    struct mails_checked *out)
{
	struct census c = { .m = m };
	int rc = census_take(&c);

	if (rc == 0)
		rc = check_marks(&c);
	if (rc == 0 && octets && (rc = check_frames(&c)) == 0)
		rc = store_check(m->s, store_fault, &c);
	if (rc >= 0)
		rc = c.faults_lost ? -ENOMEM : (int)c.n_faults;
	if (rc > 0)
		faults_tell(&c, fault, arg);
	if (rc >= 0 && out != NULL)
		checked_sum(&c, out);
	census_clear(&c);
	return mails_error(rc);
}

/* --- collect --- */

static int
walk_note(struct refs_walk *w, const struct ref *r)
{
	size_t cap = w->cap == 0 ? 256 : w->cap * 2;
	struct ref *v;

	if (w->n == w->cap) {
		if ((v = realloc(w->found, cap * sizeof(*v))) == NULL)
			return -ENOMEM;
		w->found = v;
		w->cap = cap;
	}
	w->found[w->n++] = *r;
	return 0;
}

static int
ref_note(struct refs_walk *w, const struct ref *r, uint32_t added_s)
{
	if (census_ref(w->c, r) != NULL || (int64_t)added_s > w->before)
		return 0;
	return walk_note(w, r);
}

/* Refs without a row. Where the blob is some row's alone, the blob stays. */
static int
collect_refs(struct census *c, int64_t before, struct mails_collected *out)
{
	struct refs_walk w = { .c = c, .ref = ref_note, .before = before };
	const struct mark *alone;
	int rc = refs_walk(&w);

	for (size_t i = 0; i < w.n && rc == 0; i++) {
		alone = census_blob(c, &w.found[i].blob);
		if (alone != NULL && alone->token == 0)
			rc = refs_forget(c->m, &w.found[i], 1);
		else
			rc = refs_remove(c->m, &w.found[i], 1);
		out->refs += rc == 0;
	}
	free(w.found);
	return rc;
}

struct blobs_walk {
	struct refs_walk list; /* as a list of blobs */
	struct mails_collected *out;
};

static int
blob_note(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	struct blobs_walk *w = arg;
	const struct ref r = { .blob = *id, .token = size };

	if (written_s > w->list.before || census_blob(w->list.c, id) != NULL)
		return 0;
	return walk_note(&w->list, &r);
}

/* A share of it may be on its way to a row: then it has refs. */
static bool
blob_has_refs(struct mails *m, const struct store_blob_id *id)
{
	struct buf row = BUF_INIT;
	char part[4];
	int rc;

	snprintf(part, sizeof(part), "r%02x", id->octets[0]);
	rc = store_get(
	    m->s, slice(part, 3), slice(id->octets, sizeof(id->octets)), &row);
	buf_clear(&row);
	return rc != -ENOENT;
}

static int
collect_blobs(struct census *c, int64_t before, struct mails_collected *out)
{
	struct blobs_walk w = { { .c = c, .before = before }, out };
	int rc = store_blob_list(c->m->s, blob_note, &w);
	unsigned attempts;

	for (size_t i = 0; i < w.list.n && rc == 0; i++) {
		if (blob_has_refs(c->m, &w.list.found[i].blob))
			continue;
		attempts = 0;
		do
			rc = store_blob_del(c->m->s, &w.list.found[i].blob);
		while (try_again(rc, &attempts));
		out->blobs += rc == 0;
		out->octets += rc == 0 ? w.list.found[i].token : 0;
	}
	free(w.list.found);
	return rc;
}

static bool
has_id(const uint64_t *ids, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

/*
 * Has the mailbox a name now? A census may see neither of both of one that was
 * deleted and kept, and brought back at that moment. So live names are looked at
 * before and after those that are kept.
 */
static int
box_is_named(struct mails *m, uint64_t id, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct kept_box *kept;
	unsigned damaged = 0;
	uint64_t *ids;
	size_t n = 0;
	bool is = false;
	int rc = 0;

	for (int k = 0; k < 2 && rc == 0 && !is; k++) {
		rc = names_ids_count(m, account, &a, &ids, &n, &damaged);
		is = rc == 0 && (damaged > 0 || has_id(ids, n, id));
		if (rc != 0 || is)
			break;
		rc = kept_boxes_count(m, account, &a, &kept, &n, &damaged);
		is = rc == 0 && damaged > 0;
		for (size_t i = 0; i < n && rc == 0; i++)
			is |= kept[i].id == id;
	}
	arena_reset(&a);
	return rc != 0 ? rc : is;
}

/* A mailbox without a name: its creation, or its deletion, was cut short. */
static int
collect_box(struct census *c, uint64_t id, struct mails_collected *out)
{
	struct box *x = box_get(c->m, id);
	const char *account;
	int rc = x == NULL ? -ENOMEM : box_account(x, &account);

	if (rc == 0)
		rc = box_is_named(c->m, id, account);
	if (rc == 0 || rc == -ENOENT) {
		rc = box_destroy(c->m, id);
		out->mailboxes += rc == 0;
	}
	box_put(&x);
	return rc > 0 ? 0 : rc;
}

static int
collect_boxes(struct census *c, int64_t before, struct mails_collected *out)
{
	int rc = 0;

	for (size_t i = 0; i < c->n_boxes && rc == 0; i++)
		if (!c->boxes[i].named &&
		    (!c->boxes[i].exists ||
			(int64_t)c->boxes[i].h.uidvalidity <= before))
			rc = collect_box(c, c->boxes[i].id, out);
	return rc;
}

int
mails_collect(struct mails *m, int64_t age_s, struct mails_collected *out)
{
	struct census c = { .m = m };
	int64_t before = clock_wall_s() - age_s;
	int rc;

	*out = (struct mails_collected){ 0 };
	if ((rc = census_take(&c)) == 0 && c.n_faults > 0)
		rc = -EIO; /* a row that cannot be read may speak of any blob */
	if (rc == 0 && (rc = collect_boxes(&c, before, out)) == 0 &&
	    (rc = collect_refs(&c, before, out)) == 0)
		rc = collect_blobs(&c, before, out);
	census_clear(&c);
	return mails_error(rc);
}
