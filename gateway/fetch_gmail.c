/* SPDX-License-Identifier: ISC */
/*
 * Gmail: what changed is told by history from an id on, in one request. The first
 * time, and where history does not reach back so far, all messages are listed; a
 * message that was dealt with has a row (state_gmail.h), so a look that breaks
 * off goes on where it was, and a second listing fetches nothing twice.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/http_form.h"
#include "gateway/fetch_gmail.h"

#define PARALLEL 4 /* messages at a time; each counts 20 of 15,000 a minute */
#define PAGE "500" /* their most, of listings and history */
#define HISTORY_PAGES 20
#define FAILED_MAX 3 /* messages that cannot be had, in one look */
#define RETRIED_MAX 20
#define TRIES_MAX 10 /* then it is passed over */

static int
our_state(struct gmail_session *s, int rc)
{
	if (rc != 0)
		fetch_fail(s->f, FETCH_RETRY, "our state: %s", strerror(-rc));
	return rc;
}

int
gmail_session_note(struct gmail_session *s)
{
	return our_state(
	    s, gmail_position_put(s->f->g->state, s->f->o.address, &s->pos));
}

/* --- labels --- */

static void
keep_names(struct gmail_session *s, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "labels");

	json_decref(s->names);
	json_decref(s->words);
	s->names = json_object();
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *l = json_array_get(list, i);
		const char *id = json_string_value(json_object_get(l, "id"));
		const char *name =
		    json_string_value(json_object_get(l, "name"));
		const char *type =
		    json_string_value(json_object_get(l, "type"));

		if (id != NULL && name != NULL && type != NULL &&
		    strcmp(type, "user") == 0)
			json_object_set_new(s->names, id, json_string(name));
	}
	s->words = gmail_words_of(s->names);
}

int
gmail_session_names(struct gmail_session *s)
{
	json_t *answer = NULL;
	int rc = 0;

	if (co_mutex_lock(&s->naming, -1) != 0)
		return -ECANCELED;
	if (!s->has_names &&
	    (rc = gmail_get(&s->login.g, "labels", &answer)) == 0) {
		keep_names(s, answer);
		s->has_names = true;
	}
	json_decref(answer);
	co_mutex_unlock(&s->naming);
	return rc;
}

int
gmail_session_label(struct gmail_session *s, struct slice name, const char **id)
{
	json_t *answer = NULL, *body;
	const char *made;
	int rc = 0;

	if ((*id = gmail_label_named(s->names, name)) != NULL)
		return 0;
	body = json_pack("{s:o, s:s, s:s}", "name",
	    json_stringn(name.p, name.n), "labelListVisibility", "labelShow",
	    "messageListVisibility", "show");
	rc = gmail_post(&s->login.g, "labels", body, &answer);
	made = json_string_value(json_object_get(answer, "id"));
	if (rc == 0 && gmail_id_is_valid(slice_str(made))) {
		json_object_set_new(
		    s->names, made, json_stringn(name.p, name.n));
		json_decref(s->words);
		s->words = gmail_words_of(s->names);
		*id = gmail_label_named(s->names, name);
	} else if (rc == -EINVAL || rc == -EEXIST) {
		log_info("no label there", "outside=%s label=%s said=\"%s\"",
		    log_qs(s->f->o.address), log_q(name),
		    log_qs(buf_str(&s->login.g.said)));
		rc = 0;
	}
	json_decref(answer);
	return rc;
}

void
gmail_labels_text(const json_t *message, struct buf *out)
{
	const json_t *list = json_object_get(message, "labelIds");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *id = json_string_value(json_array_get(list, i));

		if (!gmail_id_is_valid(slice_str(id)))
			continue;
		buf_put_str(out, id);
		buf_put_char(out, ' ');
	}
}

int
gmail_session_place(
    struct gmail_session *s, struct slice labels, struct gmail_place *out)
{
	bool folders = s->f->o.labels == OUTSIDE_LABELS_FOLDERS, unknown;
	int rc;

	gmail_place_of(labels, s->names, folders, out, &unknown);
	if (unknown && !s->has_names) {
		if ((rc = gmail_session_names(s)) != 0)
			return rc;
		gmail_place_of(labels, s->names, folders, out, &unknown);
	}
	return out->flags.failed ? -ENOMEM : 0;
}

/* --- a message --- */

static int
on_raw(void *arg, struct slice octets)
{
	return spool_write(arg, octets);
}

struct slice
gmail_session_mailbox(
    const struct gmail_session *s, struct slice mailbox, struct buf *room)
{
	const char *into = s->f->o.into;

	if (*into == '\0')
		return mailbox;
	buf_put_str(room, into);
	if (!slice_eq_str(mailbox, "INBOX")) {
		buf_put_char(room, '/');
		buf_put_slice(room, mailbox);
	}
	return buf_slice(room);
}

/* 0, 1 (not to be had here), or an error that is told. */
static int
put_in(struct gmail_session *s, const struct gmail_row *row,
    const struct gmail_scan *scan, struct spool *body, const char *use)
{
	struct buf room = BUF_INIT_MAX(4000);
	struct fetch_message m = { .body = body,
		.source = s->source,
		.internaldate = scan->internaldate_ms == INT64_MIN
		    ? INT64_MIN
		    : scan->internaldate_ms / 1000,
		.use = *s->f->o.into == '\0' && *use != '\0' ? use : NULL,
		.flags = row->flags,
		.mailbox = gmail_session_mailbox(s, row->mailbox, &room) };
	int rc;

	gmail_place_numbers(row->id, &m.uidvalidity, &m.uid);
	rc = room.failed ? -ENOMEM : fetch_deposit(s->f, &m);
	buf_clear(&room);
	return rc;
}

int
gmail_session_row_put(struct gmail_session *s, const struct gmail_row *row)
{
	return our_state(
	    s, gmail_row_put(s->f->g->state, s->f->o.address, row));
}

int
gmail_session_row_get(
    struct gmail_session *s, const char *id, struct gmail_row *out)
{
	return our_state(
	    s, gmail_row_get(s->f->g->state, s->f->o.address, id, out));
}

/* One at a time: where it is, is told in f. */
static int
put_in_and_note(struct gmail_session *s, struct gmail_row *row,
    const struct gmail_scan *scan, struct spool *body, const char *use)
{
	int rc = co_mutex_lock(&s->putting, -1);

	if (rc != 0)
		return rc;
	s->f->put_uidvalidity = s->f->put_uid = 0;
	rc = put_in(s, row, scan, body, use);
	row->uidvalidity = s->f->put_uidvalidity;
	row->uid = s->f->put_uid;
	co_mutex_unlock(&s->putting);
	return rc;
}

/* `row` is what is known of it; its place stays, once it has one. */
static int
deliver(struct gmail_session *s, struct gmail_row *row,
    const struct gmail_scan *scan, struct spool *body)
{
	struct gmail_place place = { .flags = BUF_INIT_MAX(8000) };
	char use[16];
	int rc = gmail_session_place(s, buf_slice(&scan->labels), &place);

	row->flags = buf_slice(&place.flags);
	row->labels = buf_slice(&scan->labels);
	if (row->kind != GMAIL_ROW_GOING) {
		row->use = slice_str(place.use);
		row->mailbox = place.mailbox;
	}
	/* Where they say another place, it is to be moved yet. */
	row->has_labels =
	    slice_eq_str(row->use, place.use != NULL ? place.use : "") &&
	    slice_eq(row->mailbox, place.mailbox);
	snprintf(use, sizeof(use), "%.*s", (int)row->use.n, row->use.p);
	if (rc == 0 && place.chat) {
		row->kind = GMAIL_ROW_PASSED;
		rc = gmail_session_row_put(s, row);
	} else if (rc == 0) {
		row->kind = GMAIL_ROW_GOING;
		rc = gmail_session_row_put(s, row);
		if (rc == 0 &&
		    (rc = put_in_and_note(s, row, scan, body, use)) >= 0) {
			row->kind = rc == 0 ? GMAIL_ROW_DONE : GMAIL_ROW_PASSED;
			rc = gmail_session_row_put(s, row);
		}
	}
	buf_clear(&place.flags);
	return rc;
}

/* It cannot be had now. 0: on with the others. */
static int
set_aside(struct gmail_session *s, struct gmail_failed *fail, int rc)
{
	struct fetch *f = s->f;
	struct gmail_row row = { .kind = GMAIL_ROW_PASSED, .use = SLICE_EMPTY };
	bool last = ++fail->tries > TRIES_MAX;
	int put = 0;

	log_warning(last ? "message passed over" : "message not given",
	    "id=%s tries=%u reason=\"%s\"", fail->id, fail->tries,
	    log_qs(s->login.g.said.n > 0 ? buf_str(&s->login.g.said)
					 : strerror(-rc)));
	if (last) {
		f->refused++;
		memcpy(row.id, fail->id, sizeof(row.id));
		fail->tries = 0;
		put = gmail_session_row_put(s, &row);
	}
	if (put == 0)
		put = our_state(
		    s, gmail_failed_put(f->g->state, f->o.address, fail));
	if (put != 0)
		return put;
	return ++s->n_failed >= FAILED_MAX ? rc : 0;
}

static bool
is_of_message(int rc)
{
	return rc == -ECONNRESET || rc == -EREMOTEIO || rc == -EPROTO ||
	    rc == -EINVAL || rc == -E2BIG;
}

static int
get_and_deliver(
    struct gmail_session *s, struct gmail_failed *fail, struct gmail_row *row)
{
	struct fetch *f = s->f;
	struct gmail_scan scan;
	struct spool *body = NULL;
	unsigned tried = fail->tries;
	int rc = spool_new(&body, f->g->spool_dir);

	gmail_scan_init(&scan, on_raw, body);
	if (rc != 0) {
		fetch_fail(f, FETCH_RETRY, "our spool: %s", strerror(-rc));
		return rc;
	}
	rc = gmail_get_raw(&s->login.g, fail->id, &scan);
	if (rc == -ENOSPC || rc == -EIO)
		fetch_fail(f, FETCH_RETRY, "our spool: %s", strerror(-rc));
	if (rc == 0)
		rc = deliver(s, row, &scan, body);
	else if (is_of_message(rc))
		rc = set_aside(s, fail, rc);
	else if (rc == -ENOENT) /* gone meanwhile */
		rc = 0;
	/* It was one, and is dealt with. */
	if (rc == 0 && tried > 0 && fail->tries == tried) {
		fail->tries = 0;
		rc = our_state(
		    s, gmail_failed_put(f->g->state, f->o.address, fail));
	}
	gmail_scan_clear(&scan);
	spool_free(&body);
	return rc;
}

/* What is not here yet. */
static int
take(struct gmail_session *s, struct gmail_failed *fail)
{
	struct gmail_row row;
	int rc = our_state(
	    s, gmail_row_get(s->f->g->state, s->f->o.address, fail->id, &row));

	memcpy(row.id, fail->id, sizeof(row.id));
	if (rc == 0 && row.kind != GMAIL_ROW_DONE &&
	    row.kind != GMAIL_ROW_PASSED)
		rc = get_and_deliver(s, fail, &row);
	buf_clear(&row.text);
	return rc;
}

/* --- many --- */

static bool
may_go_on(struct gmail_session *s)
{
	if (s->f->messages >= FETCH_BATCH)
		s->f->more = true;
	return s->stop == 0 && !s->f->more;
}

static void
work(void *arg)
{
	struct gmail_session *s = arg;
	int rc;

	while (s->at < s->n && may_go_on(s)) {
		rc = take(s, &s->v[s->at++]);
		if (rc != 0 && s->stop == 0)
			s->stop = rc;
	}
}

/* All of s->v, some at a time. 0, also where `more` is set before all was. */
static int
take_all(struct gmail_session *s)
{
	struct co_group group = { 0 };
	int rc = 0;

	s->at = 0;
	s->stop = 0;
	for (size_t i = 0; i < PARALLEL && i < s->n && rc == 0; i++)
		rc = co_group_spawn(&group, work, s);
	if (co_group_join(&group) != 0 && rc == 0)
		rc = -ECANCELED;
	return s->stop != 0 ? s->stop : rc;
}

static void
forget(struct gmail_session *s)
{
	free(s->v);
	s->v = NULL;
	s->n = 0;
}

/* "id" of each object of the array; those that are none are passed over. */
static int
ids_of(struct gmail_session *s, const json_t *list)
{
	size_t n = json_array_size(list);

	forget(s);
	if (n > 0 && (s->v = calloc(n, sizeof(*s->v))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const char *id = json_string_value(
		    json_object_get(json_array_get(list, i), "id"));
		struct slice text = slice_str(id);

		if (gmail_id_is_valid(text))
			memcpy(s->v[s->n++].id, text.p, text.n + 1);
	}
	return 0;
}

static int
take_failed(struct gmail_session *s)
{
	int rc;

	forget(s);
	rc = our_state(s,
	    gmail_failed_load(
		s->f->g->state, s->f->o.address, RETRIED_MAX, &s->v, &s->n));
	return rc == 0 ? take_all(s) : rc;
}

/* --- the listing --- */

static int
history_id(const json_t *o, const char *name, uint64_t *out)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text != NULL &&
		slice_u64(slice_str(text), UINT64_MAX, out) == 0 && *out > 0
	    ? 0
	    : -EPROTO;
}

/* From the first message on: what changes meanwhile, history has. `compare`: some
 * are here. */
static int
list_begin(struct gmail_session *s, bool compare)
{
	json_t *answer = NULL;
	int rc = compare ? gmail_compare_begin(s) : 0;

	if (rc == 0)
		rc = gmail_get(&s->login.g, "profile", &answer);

	if (rc == 0)
		rc = history_id(answer, "historyId", &s->pos.history);
	json_decref(answer);
	if (rc != 0)
		return rc;
	s->pos.listing = true;
	buf_reset(&s->pos.page);
	return gmail_session_note(s);
}

static int
list_page(struct gmail_session *s, json_t **out)
{
	struct buf path = BUF_INIT_MAX(4000);
	int rc;

	buf_put_str(&path, "messages?includeSpamTrash=true&maxResults=" PAGE);
	if (s->pos.page.n > 0)
		http_form_put(&path, "pageToken", buf_slice(&s->pos.page));
	rc =
	    path.failed ? -ENOMEM : gmail_get(&s->login.g, buf_str(&path), out);
	buf_clear(&path);
	return rc;
}

static int
list_next(struct gmail_session *s, const json_t *answer)
{
	const char *next =
	    json_string_value(json_object_get(answer, "nextPageToken"));

	buf_reset(&s->pos.page);
	if (next == NULL || *next == '\0')
		s->pos.listing = false;
	else if (!buf_put_str(&s->pos.page, next))
		return -EPROTO;
	return gmail_session_note(s);
}

static int
list_all(struct gmail_session *s)
{
	json_t *answer;
	int rc = 0;

	while (s->pos.listing && rc == 0 && may_go_on(s)) {
		answer = NULL;
		rc = list_page(s, &answer);
		if (rc == -EINVAL && s->pos.page.n > 0) {
			/* They do not hold for ever: once more from the top,
			 * which fetches nothing twice. */
			buf_reset(&s->pos.page);
			rc = gmail_session_note(s);
			continue;
		}
		if (rc == 0)
			rc = ids_of(s, json_object_get(answer, "messages"));
		if (rc == 0)
			rc = take_all(s);
		if (rc == 0 && !s->f->more)
			rc = gmail_compare_listed(
			    s, json_object_get(answer, "messages"), "");
		if (rc == 0 && !s->f->more)
			rc = list_next(s, answer);
		json_decref(answer);
	}
	return rc;
}

/* --- history --- */

/* The messages of one kind of change, into `out` (ids as keys). */
static void
collect(const json_t *record, const char *kind, json_t *out, json_t *not_in)
{
	const json_t *list = json_object_get(record, kind);

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *m = json_object_get(json_array_get(list, i), "message");
		const char *id = json_string_value(json_object_get(m, "id"));

		if (!gmail_id_is_valid(slice_str(id)))
			continue;
		json_object_set(out, id, m);
		json_object_del(not_in, id);
	}
}

/* What a page says, the last word on each message, over what others said. */
static int
history_read(const json_t *answer, struct gmail_changes *c)
{
	const json_t *list = json_object_get(answer, "history");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *record = json_array_get(list, i);

		collect(record, "messagesAdded", c->added, c->gone);
		collect(record, "labelsAdded", c->labels, c->gone);
		collect(record, "labelsRemoved", c->labels, c->gone);
		collect(record, "messagesDeleted", c->gone, c->added);
		if (history_id(record, "id", &c->last) != 0)
			return -EPROTO;
	}
	return 0;
}

static int
take_added(struct gmail_session *s, const json_t *added)
{
	json_t *list = json_array();
	const char *id;
	json_t *m;
	int rc;

	json_object_foreach((json_t *)(uintptr_t)added, id, m)
	    json_array_append(list, m);
	rc = list == NULL ? -ENOMEM : ids_of(s, list);
	json_decref(list);
	return rc == 0 ? take_all(s) : rc;
}

static void
changes_clear(struct gmail_changes *c)
{
	json_decref(c->added);
	json_decref(c->labels);
	json_decref(c->gone);
}

/* One page. *more: there are others. */
static int
history_page(struct gmail_session *s, struct gmail_changes *c, bool *more)
{
	uint64_t from = c->last;
	char path[300];
	json_t *answer = NULL;
	int rc;

	snprintf(path, sizeof(path),
	    "history?startHistoryId=%llu&maxResults=" PAGE
	    "&historyTypes=messageAdded&historyTypes=messageDeleted"
	    "&historyTypes=labelAdded&historyTypes=labelRemoved",
	    (unsigned long long)from);
	rc = gmail_get(&s->login.g, path, &answer);
	if (rc == 0)
		rc = history_read(answer, c);
	else if (rc == -ENOENT)
		rc = -ESTALE;
	*more =
	    json_object_get(answer, "nextPageToken") != NULL && c->last > from;
	if (rc == 0 && !*more)
		rc = history_id(answer, "historyId", &c->last);
	json_decref(answer);
	return rc;
}

/* Some pages at a time, so that the last word on a message is mostly what it is
 * like now. */
static int
history_pages(struct gmail_session *s, bool *more)
{
	struct gmail_changes c = { json_object(), json_object(), json_object(),
		s->pos.history };
	int rc =
	    c.added == NULL || c.labels == NULL || c.gone == NULL ? -ENOMEM : 0;

	for (int i = 0; i < HISTORY_PAGES && *more && rc == 0; i++)
		rc = history_page(s, &c, more);
	if (rc == 0)
		rc = take_added(s, c.added);
	/* Only once all of these are here: their first labels may be older. */
	if (rc == 0 && !s->f->more)
		rc = gmail_mirror(s, c.labels, c.gone, !*more);
	if (rc == 0 && !s->f->more && c.last != s->pos.history) {
		s->pos.history = c.last;
		rc = gmail_session_note(s);
	}
	changes_clear(&c);
	return rc;
}

/* It does not reach back so far: all once more. */
static int
follow(struct gmail_session *s)
{
	bool more = true;
	int rc = 0;

	while (rc == 0 && more && may_go_on(s))
		rc = history_pages(s, &more);
	if (rc != -ESTALE)
		return rc;
	log_info("history is too old there", "history=%llu",
	    (unsigned long long)s->pos.history);
	return list_begin(s, true);
}

/* --- all --- */

/* What is noted may be of an account of the same address that was removed, and
 * had its mail elsewhere. */
static int
is_of_this(struct gmail_session *s)
{
	const struct outside *o = &s->f->o;

	if (s->pos.of_s == o->created_s)
		return 0;
	s->pos.history = 0;
	s->pos.listing = s->pos.mirror = s->pos.first = false;
	s->pos.compare = GMAIL_COMPARE_NONE;
	s->pos.labels_s = 0;
	buf_reset(&s->pos.page);
	s->pos.of_s = o->created_s;
	return our_state(s, gmail_state_forget(s->f->g->state, o->address));
}

/* Whether it is mirrored has changed: then what is there and here is compared once,
 * and what went before that stays as it is. */
static int
mirror_switch(struct gmail_session *s)
{
	bool mirror = s->f->o.sync == OUTSIDE_MIRROR;
	int rc = 0;

	if (s->pos.mirror == mirror)
		return 0;
	if (mirror && s->pos.history != 0) {
		rc = gmail_compare_index(s);
		s->pos.first = true;
		if (rc == 0)
			rc = list_begin(s, true);
	} else if (!mirror) {
		rc = our_state(
		    s, pair_cursors_forget(s->f->g->state, s->f->o.address));
	}
	s->pos.mirror = mirror;
	return rc == 0 ? gmail_session_note(s) : rc;
}

/* A label that has another name there, or has gone, tells no message of it. */
static int
check_names(struct gmail_session *s)
{
	int64_t now_s = clock_wall_s();
	bool changed = false;
	int rc;

	if (s->f->o.sync == OUTSIDE_APART ||
	    now_s - s->pos.labels_s < s->f->g->compare_s)
		return 0;
	if ((rc = gmail_session_names(s)) != 0 ||
	    (rc = our_state(s,
		 gmail_names_check(s->f->g->state, s->f->o.address, s->names,
		     &changed))) != 0)
		return rc;
	s->pos.labels_s = now_s;
	rc = changed ? list_begin(s, true) : gmail_session_note(s);
	/* Once it is noted that all is compared. */
	return rc != 0
	    ? rc
	    : our_state(s,
		  gmail_names_put(s->f->g->state, s->f->o.address, s->names));
}

static int
look(struct gmail_session *s)
{
	bool compared;
	int rc = our_state(
	    s, gmail_position_get(s->f->g->state, s->f->o.address, &s->pos));

	if (rc == 0)
		rc = is_of_this(s);
	if (rc == 0)
		rc = mirror_switch(s);
	if (rc != 0)
		return rc;
	rc = s->pos.history == 0 ? list_begin(s, false) : follow(s);
	if (rc == 0)
		rc = check_names(s);
	if (rc == 0)
		rc = take_failed(s);
	compared = s->pos.listing || s->pos.compare != GMAIL_COMPARE_NONE;
	if (rc == 0)
		rc = list_all(s);
	if (rc == 0 && !s->f->more)
		rc = gmail_compare(s);
	/* What was done here meanwhile need not wait for the next look. */
	if (rc == 0 && !s->f->more && compared)
		rc = follow(s);
	return rc;
}

static int
probe(struct gmail_session *s)
{
	json_t *answer = NULL;
	uint64_t history;
	int rc = gmail_get(&s->login.g, "profile", &answer);

	if (rc == 0)
		rc = history_id(answer, "historyId", &history);
	json_decref(answer);
	return rc;
}

enum fetch_end
fetch_gmail(struct fetch *f)
{
	struct gmail_session *s = calloc(1, sizeof(*s));
	struct buf text = BUF_INIT_MAX(600);
	unsigned char id[STATE_ID];
	enum fetch_end end = FETCH_OK;
	int rc;

	if (s == NULL)
		return fetch_fail(f, FETCH_RETRY, "out of memory");
	s->f = f;
	buf_printf(&text, "gmail %s", f->o.address);
	state_id(buf_slice(&text), id);
	s->source = get_be64(id);
	gmail_login_init(&s->login, f);
	rc = f->probe ? probe(s) : look(s);
	if (rc != 0)
		end = gmail_login_failed(&s->login, rc);
	forget(s);
	json_decref(s->names);
	json_decref(s->words);
	buf_clear(&s->pos.page);
	gmail_login_clear(&s->login);
	free(s);
	buf_clear(&text);
	return end;
}
