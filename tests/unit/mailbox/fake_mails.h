/* SPDX-License-Identifier: ISC */
/*
 * All of mails.h in memory, for one account, in one process: so that sessions
 * are tested apart from the store, and its errors come when a test wants them.
 * Included by one .c file; as it defines every function of mails.h, nothing of
 * the real Mails is linked.
 */
#ifndef PNEU_TEST_FAKE_MAILS_H
#define PNEU_TEST_FAKE_MAILS_H

#include <errno.h>
#include <stdlib.h>

#include "common/mail/envelope.h"
#include "common/mail/mime.h"
#include "mailbox/mails/index.h"
#include "mailbox/mails/kept.h"
#include "mailbox/mails/mails.h"

#define FAKE_BOXES 16
#define FAKE_MESSAGES 64

struct fake_message {
	uint32_t uid;
	struct mails_flags flags;
	uint64_t modseq;
	int64_t internaldate;
	struct slice octets; /* malloc'd */
};
struct fake_box {
	char *name;
	unsigned attrs;
	uint64_t id;
	uint32_t uidvalidity, uidnext, recent_from;
	uint64_t modseq;
	struct fake_message *v[FAKE_MESSAGES];
	uint32_t n;
	char *keywords[MAILS_KEYWORDS_MAX];
};
struct mails {
	struct fake_box boxes[FAKE_BOXES];
	size_t n;
	uint64_t next_id;
	struct mails_view *views;
	/* What a test wants to go wrong. */
	int write_error;      /* of whatever changes something */
	uint32_t broken_uid;  /* mails_row is fine, mails_read gives -EIO */
	uint64_t broken_from; /* ... from this octet on */
	uint32_t rowless_uid; /* mails_row gives -EIO */
};
struct mails_message {
	struct mails *m;
	struct buf octets;
};
struct mails_view {
	struct mails *m;
	struct mails_view *next;
	uint64_t box;
	uint32_t recent_from;
	struct {
		uint32_t uid;
		struct mails_flags flags;
		uint64_t modseq;
		bool gone;
	} v[FAKE_MESSAGES];
	uint32_t n;
	unsigned keywords;
	struct co_event *watch;
};

static inline bool
fake_is_name(const char *known, struct slice name)
{
	return slice_eq_str(name, known) ||
	    (strcmp(known, "INBOX") == 0 && slice_eq_str_nocase(name, known));
}

static inline struct fake_box *
fake_find(struct mails *m, struct slice name)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->boxes[i].id != 0 && fake_is_name(m->boxes[i].name, name))
			return &m->boxes[i];
	return NULL;
}

static inline struct fake_box *
fake_box(const struct mails_view *v)
{
	for (size_t i = 0; i < v->m->n; i++)
		if (v->m->boxes[i].id == v->box)
			return &v->m->boxes[i];
	return NULL;
}

static inline struct fake_message *
fake_message(const struct mails_view *v, uint32_t seq)
{
	struct fake_box *b = fake_box(v);

	for (uint32_t i = 0; b != NULL && i < b->n; i++)
		if (b->v[i]->uid == v->v[seq - 1].uid)
			return b->v[i];
	return NULL;
}

static inline void
fake_notify(struct mails *m, uint64_t box)
{
	for (struct mails_view *v = m->views; v != NULL; v = v->next)
		if (v->box == box && v->watch != NULL)
			co_event_set(v->watch);
}

static inline void
fake_add(struct fake_box *b, struct slice octets, struct mails_flags flags,
    int64_t date)
{
	struct fake_message *msg = calloc(1, sizeof(*msg));

	*msg = (struct fake_message){ b->uidnext++, flags, ++b->modseq, date,
		slice(slice_strdup(octets), octets.n) };
	b->v[b->n++] = msg;
}

static inline void
fake_remove(struct fake_box *b, uint32_t i)
{
	free((char *)(uintptr_t)b->v[i]->octets.p);
	free(b->v[i]);
	b->n--;
	memmove(&b->v[i], &b->v[i + 1], (b->n - i) * sizeof(b->v[0]));
	b->modseq++;
}

static inline uint64_t
fake_keyword(struct fake_box *b, const char *name)
{
	for (unsigned i = 0; i < MAILS_KEYWORDS_MAX; i++) {
		if (b->keywords[i] == NULL)
			b->keywords[i] = strdup(name);
		if (strcmp(b->keywords[i], name) == 0)
			return UINT64_C(1) << i;
	}
	return 0;
}

static inline struct mails_flags
fake_flags(struct fake_box *b, uint32_t system, const char *const *keywords)
{
	struct mails_flags f = { system, 0 };

	for (; keywords != NULL && *keywords != NULL; keywords++)
		f.keywords |= fake_keyword(b, *keywords);
	return f;
}

/* --- mailboxes --- */

int
mails_open(struct mails **out, const struct mails_conf *conf, struct buf *err)
{
	uint64_t id;

	(void)err;
	*out = calloc(1, sizeof(**out));
	mails_create(*out, "", SLICE_LIT("INBOX"), 0, &id);
	(*out)->boxes[0].attrs = MAILS_SUBSCRIBED;
	if (!conf->no_default_mailboxes)
		mails_create(*out, "", SLICE_LIT("Sent"), MAILS_SENT, &id);
	return 0;
}

void
mails_close(struct mails **m)
{
	for (size_t i = 0; i < (*m)->n; i++) {
		struct fake_box *b = &(*m)->boxes[i];

		while (b->n > 0)
			fake_remove(b, b->n - 1);
		for (unsigned k = 0; k < MAILS_KEYWORDS_MAX; k++)
			free(b->keywords[k]);
		free(b->name);
	}
	free(*m);
	*m = NULL;
}

struct store *
mails_store(struct mails *m)
{
	(void)m;
	return NULL;
}

int
mails_list(struct mails *m, const char *account, struct arena *a,
    struct mails_info **out, size_t *n)
{
	(void)account;
	*out = arena_array(a, FAKE_BOXES, sizeof(**out));
	*n = 0;
	for (size_t i = 0; i < m->n; i++)
		if (m->boxes[i].id != 0 || m->boxes[i].attrs != 0)
			(*out)[(*n)++] = (struct mails_info){ m->boxes[i].name,
				m->boxes[i].id, m->boxes[i].attrs };
	return 0;
}

int
mails_create(struct mails *m, const char *account, struct slice name,
    unsigned special, uint64_t *id)
{
	struct fake_box *b = &m->boxes[m->n];

	(void)account;
	if (m->write_error != 0)
		return m->write_error;
	if (fake_find(m, name) != NULL)
		return -EEXIST;
	if (m->n == FAKE_BOXES)
		return -ENOSPC;
	if (name.n == 0 || name.p[0] == '/' || name.n > MAILS_NAME_MAX)
		return -EINVAL;
	*b = (struct fake_box){ .name = slice_strdup(name),
		.attrs = special,
		.id = ++m->next_id,
		.uidvalidity = 1000 + (uint32_t)m->next_id,
		.uidnext = 1,
		.recent_from = 1,
		.modseq = 1 };
	*id = b->id;
	m->n++;
	return 0;
}

int
mails_delete(struct mails *m, const char *account, struct slice name)
{
	struct fake_box *b = fake_find(m, name);

	(void)account;
	if (m->write_error != 0)
		return m->write_error;
	if (b == NULL)
		return -ENOENT;
	if (b == &m->boxes[0])
		return -EPERM;
	while (b->n > 0)
		fake_remove(b, b->n - 1);
	fake_notify(m, b->id);
	b->id = 0;
	b->attrs &= MAILS_SUBSCRIBED;
	return 0;
}

int
mails_rename(
    struct mails *m, const char *account, struct slice from, struct slice to)
{
	struct fake_box *b = fake_find(m, from);

	(void)account;
	if (m->write_error != 0)
		return m->write_error;
	if (b == NULL)
		return -ENOENT;
	if (fake_find(m, to) != NULL)
		return -EEXIST;
	free(b->name);
	b->name = slice_strdup(to);
	return 0;
}

int
mails_subscribe(
    struct mails *m, const char *account, struct slice name, bool subscribed)
{
	struct fake_box *b = fake_find(m, name);

	(void)account;
	if (b == NULL)
		return -ENOENT;
	b->attrs = (b->attrs & ~(unsigned)MAILS_SUBSCRIBED) |
	    (subscribed ? MAILS_SUBSCRIBED : 0);
	return 0;
}

int
mails_account_drop(struct mails *m, const char *account)
{
	(void)m, (void)account;
	return 0;
}

int
mails_accounts(struct mails *m, struct arena *a, const char ***out, size_t *n)
{
	(void)m, (void)a, (void)out;
	*n = 0;
	return 0;
}

int
mails_status(struct mails *m, const char *account, struct slice name,
    struct mails_status *out)
{
	struct fake_box *b = fake_find(m, name);

	(void)account;
	if (b == NULL)
		return -ENOENT;
	*out = (struct mails_status){ .uidvalidity = b->uidvalidity,
		.uidnext = b->uidnext,
		.messages = b->n,
		.highestmodseq = b->modseq };
	for (uint32_t i = 0; i < b->n; i++) {
		out->unseen += (b->v[i]->flags.system & MAILS_SEEN) == 0;
		out->deleted += (b->v[i]->flags.system & MAILS_DELETED) != 0;
		out->octets += b->v[i]->octets.n;
	}
	return 0;
}

int
mails_recent(struct mails *m, const char *account, struct slice name,
    uint32_t *n)
{
	struct fake_box *b = fake_find(m, name);

	(void)account;
	*n = 0;
	for (uint32_t i = 0; b != NULL && i < b->n; i++)
		*n += b->v[i]->uid >= b->recent_from;
	return b == NULL ? -ENOENT : 0;
}

int
mails_usage(
    struct mails *m, const char *account, uint64_t *octets, uint64_t *messages)
{
	(void)m, (void)account;
	*octets = *messages = 0;
	return 0;
}

/* --- putting messages in --- */

int
mails_message_begin(struct mails *m, struct mails_message **out)
{
	*out = calloc(1, sizeof(**out));
	(*out)->m = m;
	return 0;
}

int
mails_message_for(struct mails_message *msg, const char *account)
{
	(void)msg;
	(void)account;
	return 0;
}

int
mails_message_write(struct mails_message *msg, struct slice octets)
{
	buf_put_slice(&msg->octets, octets);
	return 0;
}

int
mails_message_end(struct mails_message *msg)
{
	return msg->m->write_error;
}

uint64_t
mails_message_size(const struct mails_message *msg)
{
	return msg->octets.n;
}

void
mails_message_free(struct mails_message **msg)
{
	if (*msg != NULL)
		buf_clear(&(*msg)->octets);
	free(*msg);
	*msg = NULL;
}

int
mails_deliver(struct mails_message *msg, struct mails_target *t, size_t n)
{
	struct fake_box *b = fake_find(msg->m, t->mailbox);

	if (n != 1 || b == NULL)
		return -ENOENT;
	if (b->n == FAKE_MESSAGES)
		return -ENOSPC;
	t->uid = b->uidnext;
	t->uidvalidity = b->uidvalidity;
	fake_add(b, buf_slice(&msg->octets),
	    fake_flags(b, t->flags, t->keywords),
	    t->internaldate == INT64_MIN ? 1000000000 : t->internaldate);
	fake_notify(msg->m, b->id);
	return t->rc = 0;
}

/* --- views --- */

static inline void
fake_show(struct mails_view *v, const struct fake_message *msg)
{
	v->v[v->n].uid = msg->uid;
	v->v[v->n].flags = msg->flags;
	v->v[v->n].modseq = msg->modseq;
	v->v[v->n].gone = false;
	v->n++;
}

static inline unsigned
fake_keyword_count(const struct fake_box *b)
{
	unsigned n = 0;

	while (n < MAILS_KEYWORDS_MAX && b->keywords[n] != NULL)
		n++;
	return n;
}

int
mails_view_examine(struct mails *m, const char *account, struct slice name,
    struct mails_view **out)
{
	struct fake_box *b = fake_find(m, name);
	struct mails_view *v;

	(void)account;
	if (b == NULL || (b->attrs & MAILS_NOSELECT) != 0)
		return -ENOENT;
	v = calloc(1, sizeof(*v));
	v->m = m;
	v->box = b->id;
	v->recent_from = b->recent_from;
	v->keywords = fake_keyword_count(b);
	for (uint32_t i = 0; i < b->n; i++)
		fake_show(v, b->v[i]);
	v->next = m->views;
	m->views = v;
	*out = v;
	return 0;
}

int
mails_view_open(struct mails *m, const char *account, struct slice name,
    struct mails_view **out)
{
	int rc = mails_view_examine(m, account, name, out);

	return rc != 0 ? rc : mails_view_claim_recent(*out);
}

bool
mails_view_is_read_only(const struct mails_view *v)
{
	(void)v;
	return false;
}

int64_t
mails_keep_s(const struct mails *m)
{
	(void)m;
	return 0;
}

int
mails_kept_names(struct mails *m, const char *account, struct arena *a,
    const char ***out, size_t *n)
{
	(void)m, (void)account, (void)a, (void)out;
	*n = 0;
	return 0;
}

void
mails_view_close(struct mails_view **v)
{
	struct mails_view **at;

	if (*v == NULL)
		return;
	for (at = &(*v)->m->views; *at != *v; at = &(*at)->next)
		;
	*at = (*v)->next;
	free(*v);
	*v = NULL;
}

const char *
mails_view_name(const struct mails_view *v)
{
	return fake_box(v) == NULL ? "" : fake_box(v)->name;
}

uint64_t
mails_view_mailbox_id(const struct mails_view *v)
{
	return v->box;
}

uint32_t
mails_view_uidvalidity(const struct mails_view *v)
{
	return fake_box(v)->uidvalidity;
}

uint32_t
mails_view_uidnext(const struct mails_view *v)
{
	return fake_box(v)->uidnext;
}

uint64_t
mails_view_highestmodseq(const struct mails_view *v)
{
	return fake_box(v)->modseq;
}

uint32_t
mails_view_recent_from(const struct mails_view *v)
{
	return v->recent_from;
}

int
mails_view_claim_recent(struct mails_view *v)
{
	if (v->n > 0 && fake_box(v) != NULL)
		fake_box(v)->recent_from = v->v[v->n - 1].uid + 1;
	return 0;
}

uint32_t
mails_view_count(const struct mails_view *v)
{
	return v->n;
}

uint32_t
mails_view_uid(const struct mails_view *v, uint32_t seq)
{
	return v->v[seq - 1].uid;
}

void
mails_view_unlock(struct mails_view *v, struct seal_key *k)
{
	(void)v;
	(void)k;
}

uint32_t
mails_view_seq(const struct mails_view *v, uint32_t uid, bool *exact)
{
	uint32_t seq = 0;

	while (seq < v->n && v->v[seq].uid <= uid)
		seq++;
	*exact = seq > 0 && v->v[seq - 1].uid == uid;
	return seq;
}

struct mails_flags
mails_view_flags(const struct mails_view *v, uint32_t seq)
{
	return v->v[seq - 1].flags;
}

uint64_t
mails_view_modseq(const struct mails_view *v, uint32_t seq)
{
	return v->v[seq - 1].modseq;
}

const char *
mails_view_keyword(const struct mails_view *v, unsigned i)
{
	return fake_box(v)->keywords[i];
}

uint32_t
mails_view_first_unseen(const struct mails_view *v)
{
	for (uint32_t i = 0; i < v->n; i++)
		if ((v->v[i].flags.system & MAILS_SEEN) == 0)
			return i + 1;
	return 0;
}

static inline bool
fake_same(struct mails_flags a, struct mails_flags b)
{
	return a.system == b.system && a.keywords == b.keywords;
}

int
mails_view_sync(
    struct mails_view *v, bool expunge, const struct mails_changes *c)
{
	struct fake_box *b = fake_box(v);
	uint32_t had;

	if (b == NULL)
		return -ENOENT;
	if (fake_keyword_count(b) > v->keywords)
		c->keywords(c->arg);
	v->keywords = fake_keyword_count(b);
	for (uint32_t seq = 1; seq <= v->n; seq++) {
		v->v[seq - 1].gone = fake_message(v, seq) == NULL;
		if (!v->v[seq - 1].gone || !expunge)
			continue;
		c->expunged(c->arg, seq, v->v[seq - 1].uid);
		v->n--;
		memmove(&v->v[seq - 1], &v->v[seq],
		    (v->n - seq + 1) * sizeof(v->v[0]));
		seq--;
	}
	had = v->n;
	for (uint32_t i = 0; i < b->n; i++)
		if (v->n == 0 || b->v[i]->uid > v->v[v->n - 1].uid)
			fake_show(v, b->v[i]);
	if (v->n > had)
		c->exists(c->arg, v->n);
	for (uint32_t seq = 1; seq <= had; seq++) {
		struct fake_message *msg = fake_message(v, seq);

		if (msg == NULL || fake_same(msg->flags, v->v[seq - 1].flags))
			continue;
		v->v[seq - 1].flags = msg->flags;
		v->v[seq - 1].modseq = msg->modseq;
		c->flags(c->arg, seq, msg->uid);
	}
	return 0;
}

bool
mails_view_is_gone(const struct mails_view *v, uint32_t seq)
{
	return v->v[seq - 1].gone;
}

void
mails_view_watch(struct mails_view *v, struct co_event *e)
{
	v->watch = e;
}

/* --- reading --- */

int
mails_row(struct mails_view *v, uint32_t seq, struct mails_row *out)
{
	struct fake_message *msg = fake_message(v, seq);

	if (msg == NULL)
		return -ENOENT;
	if (msg->uid == v->m->rowless_uid)
		return -EIO;
	*out = (struct mails_row){ .uid = msg->uid,
		.flags = msg->flags,
		.modseq = msg->modseq,
		.internaldate = msg->internaldate,
		.size = msg->octets.n };
	return 0;
}

static inline struct mails_part
fake_part(struct arena *a, const struct mime_part *p)
{
	struct slice charset = param_raw(&p->params, "charset");

	return (struct mails_part){
		.parent = p->parent == NULL ? 0 : p->parent->index,
		.number = p->number,
		.kind = p->kind == MIME_LEAF    ? MAILS_PART_LEAF
		    : p->kind == MIME_MULTIPART ? MAILS_PART_MULTI
						: MAILS_PART_MESSAGE,
		.header_at = p->header_at,
		.header_size = p->header_size,
		.body_at = p->body_at,
		.body_size = p->body_size,
		.encoding = p->encoding == TRANSFER_QP ? MAILS_ENC_QP
		    : p->encoding == TRANSFER_BASE64   ? MAILS_ENC_BASE64
						       : MAILS_ENC_8BIT,
		.type = slice_str(arena_printf(a, "%.*s/%.*s", (int)p->type.n,
		    p->type.p, (int)p->subtype.n, p->subtype.p)),
		.charset = charset.p == NULL ? SLICE_EMPTY : charset,
	};
}

int
mails_summary(struct mails_view *v, uint32_t seq, struct arena *a,
    struct mails_summary *out)
{
	struct fake_message *msg = fake_message(v, seq);
	struct buf env = BUF_INIT, body = BUF_INIT, structure = BUF_INIT;
	struct mails_part *parts;
	struct mime_part *root;
	size_t n = 0;

	if (msg == NULL)
		return -ENOENT;
	if (mime_parse(a, msg->octets, &root) != 0)
		return -ENOMEM;
	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		n++;
	parts = arena_array(a, n, sizeof(*parts));
	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		parts[p->index] = fake_part(a, p);
	envelope_put(&env, root->envelope);
	envelope_put_body(&body, root, false);
	envelope_put_body(&structure, root, true);
	*out =
	    (struct mails_summary){ .envelope = arena_dup(a, buf_slice(&env)),
		    .body = arena_dup(a, buf_slice(&body)),
		    .bodystructure = arena_dup(a, buf_slice(&structure)),
		    .header_size = root->header_size,
		    .parts = parts,
		    .n_parts = n };
	buf_clear(&env);
	buf_clear(&body);
	buf_clear(&structure);
	return 0;
}

int
mails_read(struct mails_view *v, uint32_t seq, uint64_t at, void *p, size_t n,
    size_t *got)
{
	struct fake_message *msg = fake_message(v, seq);
	struct slice rest;

	if (msg == NULL)
		return -ENOENT;
	rest = slice_head(slice_from(msg->octets, (size_t)at), n);
	/* In small pieces, so that their joints are tested. */
	if (rest.n > 7)
		rest.n = 7;
	if (msg->uid == v->m->broken_uid && at + rest.n > v->m->broken_from)
		return -EIO;
	if (rest.n > 0)
		memcpy(p, rest.p, rest.n);
	*got = rest.n;
	return 0;
}

int
mails_index_ask(struct mails_view *v, const struct slice *texts, size_t n,
    uint64_t **may)
{
	(void)v, (void)texts, (void)n;
	may[0] = NULL;
	return 0;
}

/* --- changing --- */

int
mails_store_flags(struct mails_view *v, const uint32_t *seqs, size_t n,
    enum mails_store_mode mode, uint32_t flags, const char *const *keywords,
    uint64_t unchanged_since, bool silent, struct arena *a, uint32_t **failed,
    size_t *n_failed)
{
	struct fake_box *b = fake_box(v);
	struct mails_flags f;

	*failed = arena_array(a, n, sizeof(**failed));
	*n_failed = 0;
	if (v->m->write_error != 0)
		return v->m->write_error;
	f = fake_flags(b, flags, keywords);
	b->modseq++;
	for (size_t i = 0; i < n; i++) {
		struct fake_message *msg = fake_message(v, seqs[i]);
		struct mails_flags new = f;

		if (msg == NULL)
			continue;
		if (unchanged_since != 0 && msg->modseq > unchanged_since) {
			(*failed)[(*n_failed)++] = seqs[i];
			continue;
		}
		if (mode == MAILS_FLAGS_ADD) {
			new.system |= msg->flags.system;
			new.keywords |= msg->flags.keywords;
		} else if (mode == MAILS_FLAGS_REMOVE) {
			new.system = msg->flags.system & ~f.system;
			new.keywords = msg->flags.keywords & ~f.keywords;
		}
		if (!fake_same(new, msg->flags))
			msg->modseq = b->modseq;
		msg->flags = new;
		v->v[seqs[i] - 1].modseq = msg->modseq;
		if (silent)
			v->v[seqs[i] - 1].flags = new;
	}
	fake_notify(v->m, v->box);
	return 0;
}

int
mails_copy(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, const struct mails_quota *quota, struct arena *a,
    struct mails_copied *out)
{
	struct fake_box *to = fake_find(v->m, target);
	uint32_t *from_uids = arena_array(a, n, sizeof(*from_uids));
	uint32_t *to_uids = arena_array(a, n, sizeof(*to_uids));

	(void)quota;
	if (v->m->write_error != 0)
		return v->m->write_error;
	if (to == NULL)
		return -ENOENT;
	if (to->n + n > FAKE_MESSAGES)
		return -ENOSPC;
	*out = (struct mails_copied){ to->uidvalidity, from_uids, to_uids, n };
	for (size_t i = 0; i < n; i++) {
		struct fake_message *msg = fake_message(v, seqs[i]);

		from_uids[i] = msg->uid;
		to_uids[i] = to->uidnext;
		fake_add(to, msg->octets, msg->flags, msg->internaldate);
	}
	fake_notify(v->m, to->id);
	return 0;
}

int
mails_move(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, struct arena *a, struct mails_copied *out)
{
	int rc = mails_copy(v, seqs, n, target, NULL, a, out);

	return rc != 0 ? rc : mails_expunge(v, seqs, n, true);
}

static inline bool
fake_is_among(
    const struct mails_view *v, const uint32_t *seqs, size_t n, uint32_t uid)
{
	for (size_t i = 0; i < n; i++)
		if (v->v[seqs[i] - 1].uid == uid)
			return true;
	return seqs == NULL;
}

int
mails_expunge(struct mails_view *v, const uint32_t *seqs, size_t n, bool force)
{
	struct fake_box *b = fake_box(v);

	if (v->m->write_error != 0)
		return v->m->write_error;
	for (uint32_t i = b->n; i-- > 0;)
		if (fake_is_among(v, seqs, n, b->v[i]->uid) &&
		    (force || (b->v[i]->flags.system & MAILS_DELETED) != 0))
			fake_remove(b, i);
	fake_notify(v->m, v->box);
	return 0;
}

/* --- keys of URLs: all of "k", and another letter after each reset --- */

static char fake_urlkey = 'k';
static bool fake_no_urlkey;

int
mails_urlkey_get(struct mails *m, const char *account, struct slice name,
    bool make, unsigned char key[static MAILS_URLKEY])
{
	(void)account;
	if (fake_find(m, name) == NULL || (fake_no_urlkey && !make))
		return -ENOENT;
	fake_no_urlkey = false;
	memset(key, fake_urlkey, MAILS_URLKEY);
	return 0;
}

int
mails_urlkey_reset(struct mails *m, const char *account, struct slice name)
{
	(void)account;
	if (fake_find(m, name) == NULL)
		return -ENOENT;
	fake_urlkey++;
	return m->write_error;
}

int
mails_urlkeys_remove(struct mails *m, const char *account)
{
	(void)account;
	fake_urlkey++;
	fake_no_urlkey = true;
	return m->write_error;
}

#endif
