/* SPDX-License-Identifier: ISC */
/* Flags, move, copy, delete, undelete; of one message or of many. */
#include <errno.h>

#include "mailbox/api/api_impl.h"
#include "mailbox/api/api_messages.h"
#include "mailbox/mails/envelope_read.h"
#include "mailbox/mails/kept.h"
#include "mailbox/quota.h"

#define FLAGS_MAX 100
#define KEYWORD_MAX 100

struct chosen {
	struct mails_view *v;
	uint32_t *seqs;
	size_t n;
};

/* --- which messages --- */

static int
bad(struct api_call *c, const char *detail)
{
	api_problem(c, "bad-value", detail);
	return API_REPLIED;
}

static int
uids_in(struct api_call *c, uint32_t **uids, size_t *n)
{
	json_t *list = json_object_get(c->in, "uids"), *item;
	size_t i;

	*n = json_array_size(list);
	if (*n == 0)
		return bad(c, "uids must be a list of numbers");
	if (*n > API_UIDS_MAX)
		return bad(c, "uids are too many: 1000 at most");
	if ((*uids = arena_array(c->a, *n, sizeof(**uids))) == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, item)
	{
		json_int_t uid = json_integer_value(item);

		if (!json_is_integer(item) || uid < 1 || uid > UINT32_MAX)
			return bad(c, "uids must be a list of numbers");
		(*uids)[i] = (uint32_t)uid;
	}
	return 0;
}

static bool
has_seq(const struct chosen *m, uint32_t seq)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->seqs[i] == seq)
			return true;
	return false;
}

static void
add_seq(struct chosen *m, uint32_t seq)
{
	size_t i = m->n++;

	for (; i > 0 && m->seqs[i - 1] > seq; i--)
		m->seqs[i] = m->seqs[i - 1];
	m->seqs[i] = seq;
}

/* Those of the body that exist; what is gone is gone, for whoever asks for a
 * change of many. */
static int
choose_many(struct api_call *c, struct chosen *m)
{
	uint32_t *uids, seq;
	bool exact;
	size_t n;
	int rc;

	if ((rc = uids_in(c, &uids, &n)) != 0 || (rc = api_view(c, &m->v)) != 0)
		return rc;
	if ((m->seqs = arena_array(c->a, n, sizeof(*m->seqs))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		seq = mails_view_seq(m->v, uids[i], &exact);
		if (exact && !has_seq(m, seq))
			add_seq(m, seq);
	}
	return 0;
}

static int
choose_one(struct api_call *c, struct chosen *m)
{
	int rc;

	if ((m->seqs = arena_array(c->a, 1, sizeof(*m->seqs))) == NULL)
		return -ENOMEM;
	if ((rc = api_view(c, &m->v)) == 0 &&
	    (rc = api_message(c, m->v, m->seqs)) == 0)
		m->n = 1;
	return rc;
}

/* --- flags --- */

struct wish {
	enum mails_store_mode mode;
	uint32_t flags;
	const char **keywords; /* NULL-terminated */
	bool given;
};

/* An atom, as IMAP clients must be able to name it. */
static bool
is_keyword(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f ||
		    strchr("(){%*\"\\]", s[i]) != NULL)
			return false;
	return n > 0 && n <= KEYWORD_MAX;
}

static int
flags_in(struct api_call *c, const char *name, struct wish *w)
{
	json_t *list = json_object_get(c->in, name), *item;
	size_t i, n = 0;

	if (list == NULL)
		return 0;
	if (!json_is_array(list) || json_array_size(list) > FLAGS_MAX)
		return bad(c, "flags must be lists of names");
	w->given = true;
	w->keywords =
	    arena_array(c->a, FLAGS_MAX + 1, sizeof(*w->keywords));
	if (w->keywords == NULL)
		return -ENOMEM;
	json_array_foreach(list, i, item)
	{
		const char *s = json_string_value(item);

		if (s == NULL || !is_keyword(s))
			return bad(c, "flags are words: seen, answered, "
				      "flagged, draft, deleted or a keyword");
		if (api_flag(s) != 0)
			w->flags |= api_flag(s);
		else
			w->keywords[n++] = s;
	}
	return 0;
}

static int
store(struct api_call *c, const struct chosen *m, const struct wish *w)
{
	uint32_t *failed;
	size_t n_failed;

	if (!w->given || m->n == 0)
		return 0;
	return mails_store_flags(m->v, m->seqs, m->n, w->mode, w->flags,
	    w->keywords, 0, true, c->a, &failed, &n_failed);
}

static json_t *
uids_json(const struct chosen *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->n; i++)
		json_array_append_new(list,
		    json_integer(mails_view_uid(m->v, m->seqs[i])));
	return list;
}

static int
change_flags(struct api_call *c, const struct chosen *m)
{
	struct wish set = { .mode = MAILS_FLAGS_SET };
	struct wish add = { .mode = MAILS_FLAGS_ADD };
	struct wish remove = { .mode = MAILS_FLAGS_REMOVE };
	int rc;

	if ((rc = flags_in(c, "set", &set)) != 0 ||
	    (rc = flags_in(c, "add", &add)) != 0 ||
	    (rc = flags_in(c, "remove", &remove)) != 0)
		return rc;
	if (!set.given && !add.given && !remove.given)
		return bad(c, "set, add or remove is needed");
	if ((rc = store(c, m, &set)) != 0 || (rc = store(c, m, &add)) != 0 ||
	    (rc = store(c, m, &remove)) != 0)
		return rc;
	return api_json(
	    c, 200, json_pack("{s:o}", "uids", uids_json(m)));
}

int
api_messages_patch(struct api_call *c)
{
	struct chosen m = { .n = 0 };
	int rc = choose_many(c, &m);

	if (rc == 0)
		rc = change_flags(c, &m);
	mails_view_close(&m.v);
	return rc;
}

int
api_message_patch(struct api_call *c)
{
	struct chosen m = { .n = 0 };
	int rc = choose_one(c, &m);

	if (rc == 0)
		rc = change_flags(c, &m);
	mails_view_close(&m.v);
	return rc;
}

/* --- copy and move --- */

static int
target_in(struct api_call *c, struct mails_info *target)
{
	const char *id;
	int rc = api_in_string(c, "to", &id);

	if (rc == 0 && id == NULL)
		return bad(c, "to must be the id of a mailbox");
	return rc != 0 ? rc : api_mailbox_by_id(c, slice_str(id), target);
}

static json_t *
copied_json(const struct mails_info *target, const struct mails_copied *done)
{
	json_t *pairs = json_array();
	char id[24];

	for (size_t i = 0; i < done->n; i++)
		json_array_append_new(pairs,
		    json_pack("{s:I, s:I}", "from", (json_int_t)done->from[i],
			"to", (json_int_t)done->to[i]));
	snprintf(id, sizeof(id), "%llu", (unsigned long long)target->id);
	return json_pack("{s:s, s:o}", "mailbox", id, "uids", pairs);
}

static int
copy_or_move(struct api_call *c, bool move)
{
	struct mails_copied done = { .n = 0 };
	struct mails_quota quota;
	struct mails_info target;
	struct chosen m = { .n = 0 };
	int rc;

	if ((rc = target_in(c, &target)) == 0 &&
	    (rc = choose_many(c, &m)) == 0 && m.n > 0) {
		if (move)
			rc = mails_move(m.v, m.seqs, m.n,
			    slice_str(target.name), c->a, &done);
		else if ((rc = quota_get(c->env->accounts, c->a, c->account,
			      &quota)) == 0)
			rc = mails_copy(m.v, m.seqs, m.n,
			    slice_str(target.name), &quota, c->a, &done);
	}
	mails_view_close(&m.v);
	return rc != 0 ? rc : api_json(c, 200, copied_json(&target, &done));
}

int
api_messages_move(struct api_call *c)
{
	return copy_or_move(c, true);
}

int
api_messages_copy(struct api_call *c)
{
	return copy_or_move(c, false);
}

/* --- delete and undelete --- */

int
api_messages_delete(struct api_call *c)
{
	struct chosen m = { .n = 0 };
	json_t *uids = NULL;
	int rc = choose_many(c, &m);

	if (rc == 0)
		uids = uids_json(&m);
	if (rc == 0 && m.n > 0)
		rc = mails_expunge(m.v, m.seqs, m.n, true);
	mails_view_close(&m.v);
	if (rc == 0)
		return api_json(c, 200, json_pack("{s:o}", "uids", uids));
	json_decref(uids);
	return rc;
}

int
api_message_delete(struct api_call *c)
{
	struct chosen m = { .n = 0 };
	int rc = choose_one(c, &m);

	if (rc == 0)
		rc = mails_expunge(m.v, m.seqs, m.n, true);
	mails_view_close(&m.v);
	return rc != 0 ? rc : api_no_content(c);
}

struct kept_list {
	struct arena *a;
	json_t *items;
};

static int
kept_one(void *arg, const struct mails_kept *k)
{
	struct kept_list *l = arg;
	struct slice f[ENVELOPE_FIELDS], subject = SLICE_EMPTY;

	if (json_array_size(l->items) == API_UIDS_MAX)
		json_array_remove(l->items, 0); /* the oldest */
	if (envelope_read_split(k->envelope, f) != 0 ||
	    envelope_read_string(l->a, f[ENVELOPE_SUBJECT], &subject) != 0 ||
	    subject.p == NULL)
		subject = SLICE_EMPTY;
	return json_array_append_new(l->items,
	    json_pack("{s:I, s:o, s:o, s:I, s:o}", "uid", (json_int_t)k->uid,
		"deleted", api_time(k->expunged_s), "received",
		api_time(k->internaldate), "size", (json_int_t)k->size,
		"subject", api_header_text(l->a, subject)));
}

int
api_deleted_get(struct api_call *c)
{
	struct kept_list l = { .a = c->a };
	struct mails_info info;
	int rc = api_mailbox(c, &info);

	if (rc != 0)
		return rc;
	l.items = json_array();
	rc = mails_kept_each(
	    c->env->mails, c->account, slice_str(info.name), kept_one, &l);
	if (rc == 0 || rc == -ENOENT)
		return api_json(
		    c, 200, json_pack("{s:o}", "messages", l.items));
	json_decref(l.items);
	return rc;
}

int
api_undelete(struct api_call *c)
{
	struct mails_info info;
	uint64_t restored = 0;
	struct chosen m = { .n = 0 };
	uint32_t *uids;
	size_t n;
	int rc;

	if ((rc = uids_in(c, &uids, &n)) != 0 ||
	    (rc = api_mailbox(c, &info)) != 0)
		return rc;
	/* Ascending, each once. */
	if ((m.seqs = arena_array(c->a, n, sizeof(*m.seqs))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!has_seq(&m, uids[i]))
			add_seq(&m, uids[i]);
	rc = mails_undelete(c->env->mails, c->account, slice_str(info.name),
	    m.seqs, m.n, 0, &restored);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc != 0 ? rc
		       : api_json(c, 200,
			     json_pack("{s:I}", "restored",
				 (json_int_t)restored));
}
