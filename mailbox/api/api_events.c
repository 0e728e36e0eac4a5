/* SPDX-License-Identifier: ISC */
/*
 * /events: what changes in the mailboxes, as server-sent events (HTML 9.2).
 *
 * The id of an event says where the client stands: for each mailbox its id,
 * UIDNEXT, highest MODSEQ and count. Who comes back with it (Last-Event-ID or
 * `since`) is told what happened meanwhile: messages and flags one by one, and
 * of a mailbox from which something was expunged that it must be read anew.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/api/api_impl.h"
#include "mailbox/api/api_messages.h"

#define BOXES_MAX 64
#define HEARTBEAT_MS (15 * 1000)
#define STREAMS_MAX 16 /* of an account, in a process: views are not free */
#define NOTES_MAX 1000 /* changes told one by one; more: read it anew */

struct note {
	enum { NOTE_FLAGS, NOTE_EXPUNGED } what;
	uint32_t uid;
};

struct box {
	uint64_t id;
	struct mails_view *v;
	/* Where the client stands: */
	uint32_t uidnext, count;
	uint64_t modseq;
	/* Since the last sync: */
	struct note *notes;
	size_t n_notes;
	bool overflow;
};

struct stream {
	struct api_call *c;
	struct box boxes[BOXES_MAX];
	size_t n;
	struct co_event changed;
	struct buf out;
	struct stream *next;
};
static struct stream *streams; /* that are open */

/* --- positions --- */

static void
put_position(struct stream *s, struct buf *b)
{
	for (size_t i = 0; i < s->n; i++)
		buf_printf(b, "%s%llu:%u:%llu:%u", i > 0 ? "," : "",
		    (unsigned long long)s->boxes[i].id, s->boxes[i].uidnext,
		    (unsigned long long)s->boxes[i].modseq,
		    s->boxes[i].count);
}

static bool
parse_position(struct slice text, struct box *out)
{
	uint64_t v[4];

	for (size_t i = 0; i < 4; i++)
		if (slice_u64(slice_split(&text, ':'),
			i % 2 == 0 ? UINT64_MAX : UINT32_MAX, &v[i]) != 0)
			return false;
	out->id = v[0];
	out->uidnext = (uint32_t)v[1];
	out->modseq = v[2];
	out->count = (uint32_t)v[3];
	return text.n == 0;
}

static void
stand_now(struct box *b)
{
	b->uidnext = mails_view_uidnext(b->v);
	b->modseq = mails_view_highestmodseq(b->v);
	b->count = mails_view_count(b->v);
}

/* --- events --- */

static int
send_event(struct stream *s, const char *name, json_t *data)
{
	char *text = data == NULL ? NULL : json_dumps(data, JSON_COMPACT);
	int rc = -ENOMEM;

	json_decref(data);
	buf_reset(&s->out);
	buf_printf(&s->out, "event: %s\nid: ", name);
	put_position(s, &s->out);
	buf_printf(&s->out, "\ndata: %s\n\n", text != NULL ? text : "{}");
	if (text != NULL && !s->out.failed)
		rc = http_reply_write(s->c->x, buf_slice(&s->out));
	free(text);
	return rc;
}

static json_t *
about(const struct box *b, uint32_t uid)
{
	char id[24];

	snprintf(id, sizeof(id), "%llu", (unsigned long long)b->id);
	return uid > 0 ? json_pack("{s:s, s:I}", "mailbox", id, "uid",
			     (json_int_t)uid)
		       : json_pack("{s:s}", "mailbox", id);
}

static int
tell_message(struct stream *s, struct box *b, uint32_t seq)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)8 << 20);
	json_t *j = about(b, mails_view_uid(b->v, seq)), *item = NULL;
	int rc = api_summary_json(b->v, seq, &scratch, &item);

	if (rc == 0)
		json_object_update(j, item);
	json_decref(item);
	arena_reset(&scratch);
	if (rc == -ECANCELED) {
		json_decref(j);
		return rc;
	}
	return send_event(s, "message", j);
}

static int
tell_flags(struct stream *s, struct box *b, uint32_t seq)
{
	json_t *j = about(b, mails_view_uid(b->v, seq));

	json_object_set_new(
	    j, "flags", api_flags_json(b->v, mails_view_flags(b->v, seq)));
	return send_event(s, "flags", j);
}

/* Messages that the client does not know yet; the position goes along, so
 * that none is told twice. */
static int
tell_new(struct stream *s, struct box *b)
{
	uint32_t from = b->uidnext, seq;
	bool exact;
	int rc = 0;

	seq = from == 0 ? 1 : mails_view_seq(b->v, from - 1, &exact) + 1;
	for (; rc == 0 && seq <= mails_view_count(b->v); seq++) {
		b->uidnext = mails_view_uid(b->v, seq) + 1;
		b->count++;
		rc = tell_message(s, b, seq);
	}
	return rc;
}

/* --- what came while nobody listened --- */

static int
replay(struct stream *s, struct box *b)
{
	uint32_t known, count = mails_view_count(b->v);
	uint64_t since = b->modseq;
	size_t told = 0;
	bool exact;
	int rc = 0;

	/* Known messages that are there still; fewer than he had: some went. */
	known = b->uidnext > 0 ? mails_view_seq(b->v, b->uidnext - 1, &exact)
			       : 0;
	if (known != b->count) {
		stand_now(b);
		return send_event(s, "reload", about(b, 0));
	}
	for (uint32_t seq = 1; rc == 0 && seq <= known; seq++)
		if (mails_view_modseq(b->v, seq) > since) {
			if (++told > NOTES_MAX) {
				stand_now(b);
				return send_event(s, "reload", about(b, 0));
			}
			rc = tell_flags(s, b, seq);
		}
	if (rc == 0 && count > known)
		rc = tell_new(s, b);
	stand_now(b);
	return rc;
}

/* --- what comes --- */

static void
add_note(struct box *b, int what, uint32_t uid)
{
	if (b->notes == NULL)
		b->notes = calloc(NOTES_MAX, sizeof(*b->notes));
	if (b->notes == NULL || b->n_notes == NOTES_MAX)
		b->overflow = true;
	else
		b->notes[b->n_notes++] = (struct note){ what, uid };
}

static void
on_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	(void)seq;
	add_note(arg, NOTE_EXPUNGED, uid);
}

static void
on_flags(void *arg, uint32_t seq, uint32_t uid)
{
	(void)seq;
	add_note(arg, NOTE_FLAGS, uid);
}

static void
on_exists(void *arg, uint32_t count)
{
	(void)arg, (void)count;
}

static void
on_keywords(void *arg)
{
	(void)arg;
}

static int
tell_notes(struct stream *s, struct box *b)
{
	bool exact;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->n_notes; i++) {
		struct note n = b->notes[i];
		uint32_t seq = mails_view_seq(b->v, n.uid, &exact);

		if (n.what == NOTE_EXPUNGED) {
			b->count -= n.uid < b->uidnext && b->count > 0;
			rc = send_event(s, "expunged", about(b, n.uid));
		} else if (exact && n.uid < b->uidnext) {
			rc = tell_flags(s, b, seq);
		}
	}
	return rc;
}

static int
follow(struct stream *s, struct box *b)
{
	const struct mails_changes changes = { .expunged = on_expunged,
		.exists = on_exists,
		.flags = on_flags,
		.keywords = on_keywords,
		.arg = b };
	uint64_t modseq = b->modseq;
	int rc;

	b->n_notes = 0;
	b->overflow = false;
	if ((rc = mails_view_sync(b->v, true, &changes)) != 0)
		return rc;
	if (mails_view_highestmodseq(b->v) == modseq && b->n_notes == 0)
		return 0;
	if (b->overflow) {
		stand_now(b);
		return send_event(s, "reload", about(b, 0));
	}
	if ((rc = tell_notes(s, b)) == 0)
		rc = tell_new(s, b);
	stand_now(b);
	free(b->notes);
	b->notes = NULL;
	return rc;
}

/* A mailbox that was deleted is told of, and forgotten. */
static int
follow_all(struct stream *s)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < s->n; i++) {
		struct box *b = &s->boxes[i];

		if (b->v == NULL)
			continue;
		rc = follow(s, b);
		if (rc == -ENOENT) {
			mails_view_close(&b->v);
			rc = send_event(s, "mailboxes", json_object());
		}
	}
	return rc;
}

/* Whoever was let in once may have been shut out since: 0, -ENOENT: he has, or
 * an error. */
static int
look_at_token(struct stream *s)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct api_token now = { .key = NULL };
	int rc = api_token_find(s->c->env, &a, s->c->token_text, &now);

	seal_key_unref(&now.key);
	arena_reset(&a);
	return rc;
}

static int
run(struct stream *s)
{
	int rc;

	for (;;) {
		s->changed.set = false;
		if ((rc = look_at_token(s)) == -ENOENT)
			return 0; /* he comes again, and is told so */
		if (rc != 0 || (rc = follow_all(s)) != 0 ||
		    (rc = conn_flush(s->c->x->c)) != 0)
			return rc;
		rc = conn_wait_input(s->c->x->c, &s->changed, HEARTBEAT_MS);
		if (rc == 1)
			return 0; /* another request: this one is over */
		if (rc == -ETIMEDOUT)
			rc = http_reply_write(
			    s->c->x, SLICE_LIT(": still here\n\n"));
		if (rc < 0)
			return rc;
	}
}

/* --- the beginning --- */

static int
open_box(struct stream *s, const struct mails_info *info)
{
	struct box *b = &s->boxes[s->n];
	int rc = api_open(s->c, info->name, &b->v);

	if (rc == -ENOENT)
		return 0;
	if (rc != 0)
		return rc;
	b->id = info->id;
	stand_now(b);
	mails_view_watch(b->v, &s->changed);
	s->n++;
	return 0;
}

static int
open_boxes(struct stream *s)
{
	struct api_call *c = s->c;
	struct mails_info *list, one;
	struct slice id;
	size_t n;
	int rc;

	if (!http_head_query(&c->x->head, "mailbox", &id))
		id = SLICE_LIT("0");
	if (id.p != NULL) {
		rc = api_mailbox_by_id(c, id, &one);
		return rc != 0 ? rc : open_box(s, &one);
	}
	rc = mails_list(c->env->mails, c->account, c->a, &list, &n);
	for (size_t i = 0; rc == 0 && i < n && s->n < BOXES_MAX; i++)
		if ((list[i].attrs & MAILS_NOSELECT) == 0)
			rc = open_box(s, &list[i]);
	return rc;
}

/* Where the client says that it stands. 0 or API_REPLIED. */
static int
take_position(struct stream *s)
{
	struct slice text = http_head_get(&s->c->x->head, "Last-Event-ID");
	struct box at;

	if (text.p == NULL &&
	    (!http_head_query(&s->c->x->head, "since", &text) ||
		text.p == NULL))
		return 0;
	while (text.n > 0) {
		if (!parse_position(slice_split(&text, ','), &at)) {
			api_problem(s->c, "bad-value",
			    "since is the id of an event");
			return API_REPLIED;
		}
		for (size_t i = 0; i < s->n; i++)
			if (s->boxes[i].id == at.id) {
				s->boxes[i].uidnext = at.uidnext;
				s->boxes[i].modseq = at.modseq;
				s->boxes[i].count = at.count;
			}
	}
	return 0;
}

static int
start(struct stream *s)
{
	int rc;

	if ((rc = open_boxes(s)) != 0 || (rc = take_position(s)) != 0)
		return rc;
	s->c->x->close = true;
	rc = http_reply_begin(s->c->x, 200, "text/event-stream", -1);
	if (rc != 0 || s->c->x->head.method == HTTP_HEAD)
		return rc != 0 ? rc : API_REPLIED;
	rc = send_event(s, "ready", json_object());
	for (size_t i = 0; rc == 0 && i < s->n; i++)
		rc = replay(s, &s->boxes[i]);
	return rc;
}

static bool
is_one_too_many(const char *account)
{
	size_t n = 0;

	for (const struct stream *s = streams; s != NULL; s = s->next)
		n += strcmp(s->c->account, account) == 0;
	return n >= STREAMS_MAX;
}

static void
forget(struct stream *s)
{
	struct stream **at = &streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

int
api_events(struct api_call *c)
{
	struct stream *s;
	int rc;

	if (is_one_too_many(c->account)) {
		http_reply_field(c->x, "Retry-After", SLICE_LIT("30"));
		return api_problem(c, "too-many-requests", NULL);
	}
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->c = c;
	s->next = streams;
	streams = s;
	if ((rc = start(s)) == 0)
		rc = run(s);
	for (size_t i = 0; i < s->n; i++) {
		if (s->boxes[i].v != NULL)
			mails_view_watch(s->boxes[i].v, NULL);
		mails_view_close(&s->boxes[i].v);
		free(s->boxes[i].notes);
	}
	buf_clear(&s->out);
	forget(s);
	free(s);
	if (rc != 0 && rc != API_REPLIED && c->x->begun)
		http_reply_abort(c->x);
	return rc;
}
