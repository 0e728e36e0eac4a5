/* SPDX-License-Identifier: ISC */
/*
 * IMAP: what is new in a folder is what has a UID from the one on that was next
 * the last time (RFC 3501 2.3.1.1). How far that is, is noted after each batch
 * that mailbox has, so a first look at a large account goes on where it broke
 * off. With another UIDVALIDITY all is fetched once more; mailbox knows it by
 * its octets.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/imap/level.h"
#include "common/imap/set.h"
#include "gateway/imap_folders.h"
#include "gateway/known.h"

#define BREAKS 3 /* on one message that breaks the connection */
#define UIDS_MAX 10000000
#define NOTE_MS 5000
#define HERE_MS 5000 /* between two looks at what changed here */
#define IDLE_MS (25 * 60 * INT64_C(1000)) /* RFC 2177 3: under 30 minutes */

/* --- connecting --- */

struct opening {
	struct fetch *f;
	struct imap_client **out;
};

static int
open_at(void *arg, const struct net_addr *to, struct buf *said)
{
	static const enum imap_client_tls modes[] = { IMAP_TLS_IMPLICIT,
		IMAP_TLS_STARTTLS, IMAP_TLS_MAY };
	const struct opening *o = arg;
	const struct fetch *f = o->f;
	bool by_token = f->o.sign_in == OUTSIDE_OAUTH;
	const struct imap_client_conf conf = {
		.tls_mode = modes[f->o.server.security],
		/* "none" is what was asked for, not what is found. */
		.tls = f->o.server.security == OUTSIDE_PLAIN ? NULL : f->g->tls,
		.host = f->o.server.host,
		.user = f->o.user,
		.password = by_token ? NULL : f->secret.p,
		.token = by_token ? f->secret.p : NULL,
	};

	return imap_client_open(o->out, to, &conf, said);
}

enum fetch_end
fetch_imap_connect(struct fetch *f, struct imap_client **out)
{
	return fetch_connect(f, open_at, &(struct opening){ f, out });
}

/* --- folders --- */

static struct folder *
folder_of(struct imap_session *s, struct slice raw)
{
	bool inbox = slice_eq_str_nocase(raw, "INBOX");

	for (size_t i = 0; i < s->n; i++)
		if (slice_eq(s->folders[i].raw, raw) ||
		    (inbox && slice_eq_str_nocase(s->folders[i].raw, "INBOX")))
			return &s->folders[i];
	return NULL;
}

static int
add_folder(struct imap_session *s, const struct imap_response *r)
{
	size_t cap = s->cap == 0 ? 32 : s->cap * 2;
	struct folder *v;

	if (s->n == FOLDERS_MAX)
		return 0;
	if (s->n == s->cap) {
		if ((v = reallocarray(s->folders, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		s->folders = v;
		s->cap = cap;
	}
	v = &s->folders[s->n];
	*v = (struct folder){ .raw = arena_dup(&s->a, r->name),
		.name =
		    imap_name_decode(&s->a, r->name, s->prefix, r->separator),
		.selectable = true };
	if (v->raw.p == NULL)
		return -ENOMEM;
	/* Of such a length that nobody has it here. */
	if (v->name.p == NULL || v->name.n == 0) {
		log_warning("folder passed over", "folder=%s",
		    log_q(slice_head(v->raw, 200)));
		return 0;
	}
	s->separator = r->separator;
	state_id(v->raw, v->id.id);
	s->n++;
	return 0;
}

static void
take_attributes(struct folder *b, const struct imap_flags *attrs)
{
	static const char *const uses[] = { "Archive", "Drafts", "Junk", "Sent",
		"Trash", "Flagged", "All", "Important" };

	for (size_t i = 0; i < attrs->n; i++) {
		struct slice a = attrs->v[i];

		if (slice_eq_str_nocase(a, "\\Noselect") ||
		    slice_eq_str_nocase(a, "\\NonExistent"))
			b->selectable = false;
		for (size_t k = 0; k < sizeof(uses) / sizeof(uses[0]); k++)
			if (a.n > 1 &&
			    slice_eq_str_nocase(slice_from(a, 1), uses[k]))
				b->use = uses[k];
	}
}

static int
on_list(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;
	struct folder *b;

	if (r->kind == IMAP_STATUS && (b = folder_of(s, r->name)) != NULL) {
		b->has_status = r->uidnext != 0;
		b->uidvalidity = r->uidvalidity;
		b->uidnext = r->uidnext;
		b->messages = r->messages;
		b->modseq = r->modseq;
		if (r->mailboxid.n > 0)
			b->objectid = arena_dup(&s->a, r->mailboxid);
	}
	if (r->kind != IMAP_LIST || r->name.n == 0 ||
	    folder_of(s, r->name) != NULL)
		return 0;
	if ((s->rc = add_folder(s, r)) != 0)
		return s->rc;
	if ((b = folder_of(s, r->name)) != NULL)
		take_attributes(b, &r->flags);
	return 0;
}

static void
folders_clear(struct imap_session *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->folders[i].v);
	s->n = 0;
}

static int
on_namespace(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;

	if (r->kind == IMAP_NAMESPACE && r->name.n > 0)
		s->prefix = arena_dup(&s->a, r->name);
	return 0;
}

/* INBOX first: it is what people wait for. */
static int
folder_cmp(const void *a, const void *b)
{
	const struct folder *x = a, *y = b;
	bool x_first = slice_eq_str(x->name, "INBOX");

	if (x_first != slice_eq_str(y->name, "INBOX"))
		return x_first ? -1 : 1;
	return slice_cmp(x->name, y->name);
}

static void
put_status_items(const struct imap_session *s, struct buf *out)
{
	buf_printf(out, "(UIDNEXT UIDVALIDITY MESSAGES%s%s)",
	    imap_client_has(s->c, "CONDSTORE") ? " HIGHESTMODSEQ" : "",
	    imap_client_has(s->c, "OBJECTID") ? " MAILBOXID" : "");
}

/* In one command with how each stands, where the server has RFC 5819. */
static int
list(struct imap_session *s)
{
	const struct imap_handler h = { .untagged = on_list, .arg = s },
				  ns = { .untagged = on_namespace, .arg = s };
	bool status = imap_client_has(s->c, "LIST-STATUS");
	struct buf items = BUF_INIT;
	int rc = 0;

	folders_clear(s);
	arena_reset(&s->a);
	s->folder = NULL;
	s->prefix = SLICE_EMPTY;
	s->separator = '\0';
	if (imap_client_has(s->c, "NAMESPACE"))
		rc = imap_client_run(s->c, &ns, "NAMESPACE");
	if (rc < 0)
		return rc;
	rc = IMAP_REFUSED;
	put_status_items(s, &items);
	if (status || imap_client_has(s->c, "SPECIAL-USE"))
		rc = imap_client_run(s->c, &h,
		    "LIST \"\" \"*\" RETURN (%s%s%s)",
		    imap_client_has(s->c, "SPECIAL-USE") ? "SPECIAL-USE " : "",
		    status ? "STATUS " : "CHILDREN",
		    status ? buf_str(&items) : "");
	buf_clear(&items);
	if (rc == IMAP_REFUSED)
		rc = imap_client_run(s->c, &h, "LIST \"\" \"*\"");
	if (s->n > 0)
		qsort(s->folders, s->n, sizeof(*s->folders), folder_cmp);
	return rc;
}

/* The one that is watched: INBOX, or the first of those that were named. */
static struct folder *
watched(struct imap_session *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (session_wants(s, &s->folders[i]))
			return &s->folders[i];
	return NULL;
}

int
session_list(struct imap_session *s)
{
	struct folder *b;
	int rc = list(s);

	if (rc == 0)
		rc = folders_assign(s);
	/* STATUS of what is open may be of when it was opened (RFC 3501
	 * 6.3.10). */
	if (s->watching && (b = watched(s)) != NULL)
		b->has_status = false;
	return rc;
}

int
session_status(struct imap_session *s, struct folder *b)
{
	const struct imap_handler h = { .untagged = on_list, .arg = s };
	struct buf name = BUF_INIT, items = BUF_INIT;
	int rc = IMAP_REFUSED;

	put_status_items(s, &items);
	if (imap_put_quoted(&name, b->raw))
		rc = imap_client_run(
		    s->c, &h, "STATUS %s %s", buf_str(&name), buf_str(&items));
	buf_clear(&name);
	buf_clear(&items);
	return rc;
}

/* Those that were named; else all but views of what is elsewhere. */
bool
session_wants(const struct imap_session *s, const struct folder *b)
{
	const struct outside *o = &s->f->o;

	for (size_t i = 0; i < o->n_folders; i++)
		if (slice_eq_str(b->name, o->folders[i]) ||
		    (slice_eq_str(b->name, "INBOX") &&
			strcasecmp(o->folders[i], "INBOX") == 0))
			return b->selectable;
	if (o->n_folders > 0 || !b->selectable)
		return false;
	return b->use == NULL ||
	    (strcmp(b->use, "All") != 0 && strcmp(b->use, "Flagged") != 0 &&
		strcmp(b->use, "Important") != 0);
}

/* --- a folder --- */

static void
take_permanent(struct imap_session *s, struct slice code)
{
	ssize_t at = slice_find(code, '(');
	struct slice rest;

	s->keywords_any = false;
	s->permanent = (struct merge_flags){ 0 };
	if (at < 0)
		return;
	rest = slice_from(code, (size_t)at + 1);
	while (rest.n > 0) {
		struct slice word = slice_split(&rest, ' ');

		if (word.n > 0 && word.p[word.n - 1] == ')')
			word.n--;
		s->keywords_any |= slice_eq_str(word, "\\*");
		(void)pair_flag_add(&s->keywords, &s->permanent, word);
	}
}

static int
on_select(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;
	uint64_t n;

	if (r->kind == IMAP_EXISTS)
		s->exists = r->number;
	if (r->kind == IMAP_FETCH || r->kind == IMAP_VANISHED)
		return follow_note(s, r);
	if (r->kind != IMAP_OK)
		return 0;
	if (imap_code_number(r->code, "UIDVALIDITY", &n) == 0)
		s->uidvalidity = (uint32_t)n;
	else if (imap_code_number(r->code, "UIDNEXT", &n) == 0)
		s->uidnext = (uint32_t)n;
	else if (imap_code_number(r->code, "HIGHESTMODSEQ", &n) == 0)
		s->highest = n;
	else if (slice_starts_nocase(r->code, "PERMANENTFLAGS "))
		take_permanent(s, r->code);
	return 0;
}

/* For reading: nothing becomes \Seen there, or loses \Recent. */
int
session_select(
    struct imap_session *s, struct folder *b, bool write, const char *how)
{
	const struct imap_handler h = { .untagged = on_select, .arg = s };
	struct buf name = BUF_INIT;
	int rc = IMAP_REFUSED;

	s->folder = b;
	s->uidvalidity = s->uidnext = s->exists = 0;
	s->highest = 0;
	follow_forget(s);
	/* RFC 3501 6.3.1: what is not said may all be changed. */
	s->keywords_any = true;
	s->permanent =
	    (struct merge_flags){ (1u << SYSTEM_FLAGS) - 1, UINT64_MAX };
	if (imap_put_quoted(&name, b->raw))
		rc = imap_client_run(s->c, &h, "%s %s%s",
		    write ? "SELECT" : "EXAMINE", buf_str(&name), how);
	buf_clear(&name);
	return rc;
}

int
session_unselect(struct imap_session *s)
{
	/* Nothing goes by that which was opened for reading (RFC 3501 6.4.2). */
	int rc = imap_client_run(s->c, NULL, "CLOSE");

	s->folder = NULL;
	return rc < 0 ? rc : 0;
}

int
session_state_failed(struct imap_session *s, int rc)
{
	if (rc != 0)
		fetch_fail(s->f, FETCH_RETRY, "our state: %s", strerror(-rc));
	return s->rc = rc;
}

static uint64_t
source_of(const struct imap_session *s, const struct folder *b)
{
	struct buf text = BUF_INIT;
	unsigned char id[STATE_ID];

	buf_put_str(&text, s->f->o.address);
	buf_put_char(&text, '\0');
	buf_put_slice(&text, b->raw);
	state_id(buf_slice(&text), id);
	buf_clear(&text);
	return get_be64(id);
}

/* How far it was dealt with: after what is known of the messages. */
static int
note(struct imap_session *s)
{
	struct fetch *f = s->f;
	int rc = pair_keywords_save(f->g->state, f->o.address, &s->keywords);

	if (rc == 0)
		rc = pairs_flush(&s->pairs);
	if (rc == 0)
		rc = state_folder_put(
		    f->g->state, f->o.address, s->folder->id.id, &s->state);
	return session_state_failed(s, rc);
}

/* --- what is new --- */

static int
on_uid(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;
	size_t cap = s->cap_uids == 0 ? 256 : s->cap_uids * 2;
	uint32_t *v;

	/* "n:*" has the last one, too; and others come unasked. */
	if (r->kind != IMAP_FETCH || r->uid < s->from || s->n_uids == UIDS_MAX)
		return 0;
	if (s->n_uids == s->cap_uids) {
		if ((v = reallocarray(s->uids, cap, sizeof(*v))) == NULL)
			return s->rc = -ENOMEM;
		s->uids = v;
		s->cap_uids = cap;
	}
	s->uids[s->n_uids++] = r->uid;
	return 0;
}

static int
uid_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
sort_uids(struct imap_session *s)
{
	size_t kept = 0;

	if (s->n_uids > 0)
		qsort(s->uids, s->n_uids, sizeof(*s->uids), uid_cmp);
	for (size_t i = 0; i < s->n_uids; i++)
		if (kept == 0 || s->uids[i] != s->uids[kept - 1])
			s->uids[kept++] = s->uids[i];
	s->n_uids = kept;
}

static int
find_new(struct imap_session *s)
{
	const struct imap_handler h = { .untagged = on_uid, .arg = s };
	int rc;

	s->n_uids = s->at = 0;
	s->from = s->state.uidnext > 0 ? s->state.uidnext : 1;
	if (s->exists == 0 || (s->uidnext != 0 && s->uidnext <= s->from))
		return 0;
	rc = imap_client_run(s->c, &h, "UID FETCH %u:* (UID)", s->from);
	sort_uids(s);
	return rc;
}

/* --- messages --- */

static int
on_literal(void *arg, struct slice so_far, uint64_t size)
{
	struct imap_session *s = arg;

	(void)size;
	if (!slice_ends_nocase(so_far, "BODY[] ") &&
	    !slice_ends_nocase(so_far, "BODY[] ~"))
		return 0;
	spool_free(&s->body);
	if ((s->rc = spool_new(&s->body, s->f->g->spool_dir)) != 0)
		return s->rc;
	return 1;
}

static int
on_octets(void *arg, struct slice octets)
{
	struct imap_session *s = arg;

	s->rc = spool_write(s->body, octets);
	if (s->rc != 0)
		fetch_fail(
		    s->f, FETCH_RETRY, "our spool: %s", strerror(-s->rc));
	return s->rc;
}

/* Which of the batch it is, or -1. */
static ssize_t
batch_index(const struct imap_session *s, uint32_t uid)
{
	if (uid == 0 && s->n_batch == 1)
		return 0; /* a server that does not say */
	for (size_t i = 0; i < s->n_batch; i++)
		if (s->uids[s->at + i] == uid)
			return (ssize_t)i;
	return -1;
}

static bool
is_pending(const struct batch *b, size_t index)
{
	for (size_t i = 0; i < b->n_pending; i++)
		if (b->pending[i].index == index)
			return true;
	return false;
}

/* Small ones may come inside the response. */
static int
spool_inside(struct imap_session *s, struct slice body)
{
	int rc;

	spool_free(&s->body);
	if ((rc = spool_new(&s->body, s->f->g->spool_dir)) == 0)
		rc = spool_write(s->body, body);
	return rc;
}

/* Which one it is here, so that what becomes of it is known. */
static int
pair_up(struct imap_session *s, uint32_t uid, const struct merge_flags *flags)
{
	struct fetch *f = s->f;
	const struct pair v = { .there = uid,
		.here = f->put_uid,
		.first_s = clock_wall_s(),
		.agreed = *flags };
	int rc = 0;

	if (v.here == 0)
		return 0;
	/* UIDs of a mailbox that was here before mean nothing in this one. */
	if (s->state.here != f->put_uidvalidity && s->state.here != 0 &&
	    (rc = pairs_flush(&s->pairs)) == 0)
		rc = pairs_forget(f->g->state, f->o.address, &s->folder->id);
	s->state.here = f->put_uidvalidity;
	pairs_put(&s->pairs, &s->folder->id, &v);
	return session_state_failed(s, rc);
}

static int
put_in(struct imap_session *s, const struct imap_response *r, size_t index)
{
	uint32_t uid = s->uids[s->at + index];
	struct buf flags = BUF_INIT, name = BUF_INIT;
	struct merge_flags agreed = { 0 };
	struct fetch_message m = { .body = s->body,
		.source = s->source,
		.uidvalidity = s->uidvalidity,
		.uid = uid,
		.internaldate = r->has_date ? r->internaldate : INT64_MIN,
		.use = *s->f->o.into == '\0' && !folders_is_named(s, s->folder)
		    ? s->folder->use
		    : NULL };
	int rc;

	for (size_t i = 0; i < r->flags.n; i++) {
		if (slice_eq_str_nocase(r->flags.v[i], "\\Recent"))
			continue;
		buf_put_slice(&flags, r->flags.v[i]);
		buf_put_char(&flags, ' ');
		(void)pair_flag_add(&s->keywords, &agreed, r->flags.v[i]);
	}
	m.flags = buf_slice(&flags);
	if (!folders_put_name(s, s->folder, &name))
		name.failed = true;
	m.mailbox = buf_slice(&name);
	if (folders_is_named(s, s->folder))
		m.here = s->folder->known->here;
	rc = flags.failed || name.failed ? -ENOMEM : fetch_deposit(s->f, &m);
	/* It came without any; what it has there is a change. */
	if (rc == 0 && s->f->put_known) {
		agreed = (struct merge_flags){ 0 };
		rc = follow_note(s, r);
	}
	if (rc == 0)
		rc = pair_up(s, uid, &agreed);
	else if (rc == FETCH_GATHERED)
		s->batch->pending[s->batch->n_pending++] =
		    (struct pending){ uid, index, agreed };
	buf_clear(&flags);
	buf_clear(&name);
	return rc == 1 ? 0 : rc;
}

/* What was gathered is here. */
static int
on_placed(void *arg, size_t i)
{
	struct imap_session *s = arg;
	const struct pending *p = &s->batch->pending[i];
	int rc = pair_up(s, p->uid, &p->agreed);

	s->batch->got[p->index] = rc == 0;
	return rc;
}

static int
on_fetch(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;
	ssize_t i;
	int rc;

	if (r->kind != IMAP_FETCH || !r->has_body)
		return 0;
	if ((i = batch_index(s, r->uid)) < 0 || s->batch->got[i] ||
	    is_pending(s->batch, (size_t)i))
		return 0;
	rc = r->body_streamed ? 0 : spool_inside(s, r->body);
	if (rc == 0 && s->body != NULL)
		rc = put_in(s, r, (size_t)i);
	spool_free(&s->body);
	s->batch->got[i] = rc == 0;
	if (rc == FETCH_GATHERED && (rc = fetch_gather_tick(s->f)) == -EAGAIN)
		rc = 0; /* told at the end */
	return s->rc = rc;
}

/* After a batch, whose command ended with `rc`; ONE_BY_ONE: it is to be fetched
 * so once more, since mailbox does not take all of it. */
#define ONE_BY_ONE 2
static int
gathered(struct imap_session *s, int rc)
{
	int ours = s->f->gather.on ? fetch_gather_end(s->f) : 0;

	if (ours == 0)
		return rc;
	if (ours == -EAGAIN && rc >= 0 && s->rc == 0)
		return ONE_BY_ONE;
	if (s->rc == 0)
		s->rc = ours;
	return ours;
}

static int
fetch_batch(struct imap_session *s, size_t max)
{
	const struct imap_handler h = { .untagged = on_fetch,
		.sink = { on_literal, on_octets, s },
		.arg = s };
	struct buf set = BUF_INIT;
	int rc;

	s->n_batch = s->n_uids - s->at < max ? s->n_uids - s->at : max;
	if (s->batch == NULL && (s->batch = malloc(sizeof(*s->batch))) == NULL)
		return s->rc = -ENOMEM;
	memset(s->batch, 0, sizeof(*s->batch));
	if (s->n_batch > 1)
		fetch_gather_begin(s->f, on_placed, s);
	imap_set_put(&set, s->uids + s->at, s->n_batch);
	rc = set.failed ? (s->rc = -ENOMEM)
			: imap_client_run(s->c, &h,
			      "UID FETCH %s (UID FLAGS INTERNALDATE "
			      "BODY.PEEK[])",
			      buf_str(&set));
	buf_clear(&set);
	spool_free(&s->body);
	return gathered(s, rc);
}

/* It cannot be had, for whatever reason: on with the others. */
static void
pass_over(struct imap_session *s, uint32_t uid, const char *why)
{
	log_warning("message passed over", "folder=%s uid=%u reason=\"%s\"",
	    log_q(s->folder->name), uid, why);
	s->f->refused++;
}

/* The connection broke at the first one that we have not got. */
static int
broke_off(struct imap_session *s)
{
	struct state_folder *st = &s->state;
	size_t i = 0;
	uint32_t uid;

	while (i < s->n_batch && s->batch->got[i])
		i++;
	if (i == s->n_batch)
		return 0;
	uid = s->uids[s->at + i];
	st->uidnext = uid;
	if (st->stuck_uid != uid)
		st->stuck_times = 0;
	st->stuck_uid = uid;
	if (++st->stuck_times >= BREAKS) {
		pass_over(s, uid, "the server breaks off each time");
		st->uidnext = uid + 1;
	}
	return note(s);
}

/* How many messages of that folder are new, as far as the list tells. */
static uint64_t
coming(const struct imap_session *s, const struct folder *b)
{
	struct state_folder st;
	uint64_t n = b->messages;

	if (!b->has_status || !session_wants(s, b) ||
	    state_folder_get(s->f->g->state, s->f->o.address, b->id.id, &st) !=
		0)
		return 0;
	if (st.uidvalidity != b->uidvalidity || st.uidnext == 0)
		return n;
	if (b->uidnext <= st.uidnext)
		return 0;
	return b->uidnext - st.uidnext < n ? b->uidnext - st.uidnext : n;
}

/* Of this folder, and of those that come after it. */
static uint64_t
left_to_fetch(struct imap_session *s)
{
	uint64_t left = s->n_uids - s->at;

	for (struct folder *b = s->folder + 1; b < s->folders + s->n; b++) {
		if (!b->counted)
			b->coming = coming(s, b);
		b->counted = true;
		left += b->coming;
	}
	return left;
}

/* All of a batch was dealt with: those that did not come are gone there. A note
 * is three commits; where more is to come, it is made each five seconds. After a crash
 * what came since is fetched again, and known here. */
static int
batch_done(struct imap_session *s)
{
	int64_t now_ms = clock_mono_ms();

	s->at += s->n_batch;
	s->state.uidnext = s->uids[s->at - 1] + 1;
	s->state.stuck_uid = s->state.stuck_times = 0;
	fetch_progress(s->f, left_to_fetch(s));
	if (s->at < s->n_uids && now_ms - s->noted_ms < NOTE_MS)
		return 0;
	s->noted_ms = now_ms;
	return note(s);
}

static int
fetch_new(struct imap_session *s)
{
	struct fetch *f = s->f;
	size_t max = s->state.stuck_times > 0 ? 1 : BATCH;
	int rc = 0;

	while (s->at < s->n_uids && rc == 0) {
		if (fetch_had_its_turn(f)) {
			f->more = true;
			return note(s);
		}
		rc = fetch_batch(s, max);
		if (rc < 0 && rc != -ECANCELED && s->rc == 0)
			(void)broke_off(s);
		if (rc < 0)
			return rc;
		/* One of them: each by itself then. */
		if ((rc == IMAP_REFUSED && s->n_batch > 1) ||
		    rc == ONE_BY_ONE) {
			buf_reset(&f->why);
			max = 1;
			rc = 0;
			continue;
		}
		if (rc == IMAP_REFUSED && !s->batch->got[0])
			pass_over(s, s->uids[s->at], imap_client_said(s->c));
		rc = batch_done(s);
	}
	return rc;
}

/* --- all of a folder --- */

/* What STATUS says is what was noted: nothing has happened. */
static bool
is_as_it_was(const struct imap_session *s, const struct folder *b)
{
	const struct outside *o = &s->f->o;

	if (folders_are_mirrored(s) && b->known != NULL &&
	    b->known->sample_uid == 0)
		return false;
	if (!b->has_status || s->state.uidnext == 0 ||
	    b->uidvalidity != s->state.uidvalidity ||
	    b->uidnext != s->state.uidnext || o->delete_days >= 0)
		return false;
	if (o->sync == OUTSIDE_APART)
		return true;
	return b->messages == s->state.messages && b->modseq != 0 &&
	    b->modseq == s->state.modseq;
}

static int
open_folder(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	struct buf how = BUF_INIT;
	size_t how_n;
	int rc;

	follow_how(s, &how);
	how_n = how.n;
	rc = session_select(s, b, false, buf_str(&how));
	buf_clear(&how);
	if (rc == IMAP_REFUSED)
		log_warning("folder passed over", "folder=%s said=\"%s\"",
		    log_q(b->name), imap_client_said(s->c));
	if (rc != 0)
		return rc;
	s->source = source_of(s, b);
	s->by_qresync = how_n > 0 && s->qresync && s->state.modseq != 0;
	if (s->state.uidvalidity == s->uidvalidity)
		return 0;
	/* Which message is which is not known any more; nothing that is here
	 * goes for that. */
	follow_forget(s);
	s->by_qresync = false;
	if (s->state.uidvalidity != 0 &&
	    (rc = pairs_forget(f->g->state, f->o.address, &b->id)) != 0)
		return session_state_failed(s, rc);
	s->state = (struct state_folder){ .uidvalidity = s->uidvalidity };
	return 0;
}

/* How many are new, and how many of these came since it was opened. */
static size_t
count_came(const struct imap_session *s, size_t *late)
{
	*late = 0;
	for (size_t i = s->n_uids;
	     s->uidnext != 0 && i > 0 && s->uids[i - 1] >= s->uidnext; i--)
		++*late;
	return s->n_uids;
}

static int
look_at(struct imap_session *s, struct folder *b)
{
	struct fetch *f = s->f;
	int rc =
	    state_folder_get(f->g->state, f->o.address, b->id.id, &s->state);
	size_t came, late;

	if (rc != 0)
		return session_state_failed(s, rc);
	b->next = s->state;
	if (is_as_it_was(s, b))
		return 0;
	if ((rc = open_folder(s, b)) != 0)
		return rc < 0 ? rc : 0;
	if ((rc = follow_ask(s)) != 0 || (rc = find_new(s)) != 0)
		return rc < 0 ? rc : 0;
	came = count_came(s, &late);
	if ((rc = follow_moved(s, b)) == 0)
		rc = fetch_new(s);
	if (rc != 0 || f->more)
		return rc < 0 ? rc : 0;
	/* Up to what was next when it was opened, all has been dealt with. */
	if (s->uidnext > s->state.uidnext || s->pairs.n > 0) {
		if (s->uidnext > s->state.uidnext)
			s->state.uidnext = s->uidnext;
		rc = note(s);
	}
	if (rc == 0 && f->o.sync != OUTSIDE_APART)
		rc = follow_end(s, b, came, late);
	if (rc == 0)
		rc = folders_sample(s, b);
	if (rc == 0 && f->o.delete_days >= 0)
		rc = mirror_delete_old(s, b);
	return rc < 0 ? rc : 0;
}

/* --- all --- */

static int
look_begins(struct imap_session *s)
{
	struct fetch *f = s->f;

	(void)pairs_flush(&s->pairs); /* of a look that has broken off */
	pairs_begin(&s->pairs, f->g->state, f->o.address);
	pair_keywords_clear(&s->keywords);
	return session_state_failed(
	    s, pair_keywords_load(f->g->state, f->o.address, &s->keywords));
}

static enum fetch_end
look(struct imap_session *s)
{
	struct fetch *f = s->f;
	int rc;

	s->rc = 0;
	if ((rc = look_begins(s)) != 0)
		return FETCH_RETRY;
	if ((rc = session_list(s)) == IMAP_REFUSED)
		return fetch_fail(f, FETCH_RETRY, "%s: no list of folders: %s",
		    f->o.server.host, imap_client_said(s->c));
	if (rc == 0)
		rc = folders_sync(s);
	s->watching = false;
	for (size_t i = 0; i < s->n && rc == 0 && !f->more; i++)
		if (session_wants(s, &s->folders[i]))
			rc = look_at(s, &s->folders[i]);
	if (rc == 0 && !f->more && f->o.sync != OUTSIDE_APART)
		rc = mirror_all(s);
	if (rc != 0)
		return fetch_fail_broken(
		    f, s->rc != 0 ? s->rc : rc, imap_client_said(s->c));
	return FETCH_OK;
}

void
imap_session_free(struct imap_session **out)
{
	struct imap_session *s = *out;

	*out = NULL;
	if (s == NULL)
		return;
	imap_client_free(&s->c);
	spool_free(&s->body);
	arena_reset(&s->a);
	arena_reset(&s->known_a);
	store_batch_free(&s->pairs.b);
	pair_keywords_clear(&s->keywords);
	folders_clear(s);
	free(s->folders);
	free(s->uids);
	free(s->seen);
	free(s->gone);
	free(s->batch);
	free(s);
}

enum fetch_end
fetch_imap(struct fetch *f)
{
	enum fetch_end end = FETCH_OK;
	struct imap_session *s = f->imap;

	if (s == NULL) {
		f->imap = s = calloc(1, sizeof(*s));
		if (s == NULL)
			return fetch_fail(f, FETCH_RETRY, "out of memory");
		s->f = f;
		s->a = ARENA_INIT_MAX((size_t)32 << 20);
		end = fetch_imap_connect(f, &s->c);
		if (end == FETCH_OK && !f->probe &&
		    f->o.sync != OUTSIDE_APART &&
		    imap_client_has(s->c, "QRESYNC") &&
		    imap_client_has(s->c, "ENABLE"))
			s->qresync =
			    imap_client_run(s->c, NULL, "ENABLE QRESYNC") == 0;
	}
	if (end == FETCH_OK && !f->probe)
		end = look(s);
	f->can_idle = end == FETCH_OK && !f->probe && !f->more &&
	    imap_client_has(s->c, "IDLE");
	/* With more to fetch it goes on by the same connection. */
	if (end != FETCH_OK || f->probe || (!f->more && !f->can_idle))
		imap_session_free(&f->imap);
	return end;
}

/* --- waiting for news --- */

/* What the other side tells by itself is looked at, but for our own echo. */
static int
on_news(void *arg, const struct imap_response *r)
{
	struct imap_session *s = arg;

	if (s->f->o.sync != OUTSIDE_APART &&
	    (r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED ||
		(r->kind == IMAP_FETCH && r->has_flags))) {
		s->news = true;
		return 1;
	}
	if (r->kind == IMAP_EXPUNGE && s->exists > 0)
		s->exists--;
	if (r->kind != IMAP_EXISTS || r->number <= s->exists)
		return 0;
	s->exists = r->number;
	s->news = true;
	return 1;
}

/* The list of UIDs is of no more use, and many wait so. */
static void
rest(struct imap_session *s)
{
	free(s->uids);
	free(s->seen);
	free(s->gone);
	s->uids = NULL;
	s->seen = NULL;
	s->gone = NULL;
	free(s->batch);
	s->batch = NULL;
	s->n_uids = s->cap_uids = s->n_seen = s->cap_seen = 0;
	s->n_gone = s->cap_gone = 0;
}

/* Not as the look has left it. Once in a row: a server may count as it likes. */
static bool
has_moved_on(struct imap_session *s)
{
	bool differs = s->uidnext > s->state.uidnext ||
	    s->uidvalidity != s->state.uidvalidity;

	if (differs)
		return true;
	if (s->f->o.sync == OUTSIDE_APART)
		return false;
	differs = s->highest > s->state.modseq ||
	    (s->highest == 0 && s->exists != s->state.messages);
	s->hurried = differs && !s->hurried;
	return s->hurried;
}

/* What is done here is to be there soon: asked now and then, since mailbox
 * tells nobody. */
struct here_watch {
	struct imap_session *s;
	struct co_event *kick;
	struct co *co, *parent;
};

static void
watch_here(void *arg)
{
	struct here_watch *w = arg;

	while (co_sleep(HERE_MS) == 0)
		if (mirror_is_due(w->s) == 1) {
			co_event_set(w->kick);
			break;
		}
	w->co = NULL;
	co_wake(w->parent);
}

static void
watch_end(struct here_watch *w)
{
	if (w->co != NULL)
		co_cancel(w->co);
	/* Not cancelled: it uses what is ours. */
	while (w->co != NULL)
		co_park_uncancelable();
}

int
imap_session_idle(struct fetch *f, struct co_event *also, int64_t timeout_ms)
{
	const struct imap_handler h = { .untagged = on_news, .arg = f->imap };
	struct imap_session *s = f->imap;
	int64_t end = clock_mono_ms() + timeout_ms, left;
	struct here_watch watch = { s, also, NULL, co_self() };
	struct folder *b = watched(s);
	int rc;

	if (b == NULL ||
	    (rc = session_select(s, b, false,
		 f->o.sync != OUTSIDE_APART &&
			 imap_client_has(s->c, "CONDSTORE")
		     ? " (CONDSTORE)"
		     : "")) == IMAP_REFUSED)
		return -ENOENT;
	if (rc == 0)
		rc = state_folder_get(
		    f->g->state, f->o.address, b->id.id, &s->state);
	s->watching = true;
	/* Something came between the look and now. */
	if (rc != 0 || has_moved_on(s))
		return rc;
	rest(s);
	s->news = false;
	if (f->o.sync == OUTSIDE_MIRROR)
		watch.co = co_spawn(watch_here, &watch);
	while (rc == 0 && !s->news && !also->set &&
	    (left = end - clock_mono_ms()) > 0)
		rc = imap_client_idle(
		    s->c, &h, also, left < IDLE_MS ? left : IDLE_MS);
	watch_end(&watch);
	return rc == IMAP_REFUSED ? -ENOENT : rc;
}
