/* SPDX-License-Identifier: ISC */
/*
 * All that is there, against all that is known of it: where history does not reach
 * back far enough, where a label was renamed or deleted, and when an account
 * becomes a mirror. Messages are listed label by label, 500 in a request, into rows
 * of our own; then these and what is known are gone through side by side. What
 * differs is asked for one by one, for a listing of many pages is of no one moment;
 * what changed since it began, history tells. Each page is noted, so that a look
 * that breaks off goes on where it was.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/net/http_form.h"
#include "gateway/fetch_gmail.h"

#define PAGE "500"
#define ROWS 500   /* of one step */
#define PARALLEL 4 /* messages that are asked for at a time */

static const char *const system_labels[] = { "DRAFT", "IMPORTANT", "INBOX",
	"SENT", "SPAM", "STARRED", "TRASH", "UNREAD" };
#define N_SYSTEM (sizeof(system_labels) / sizeof(system_labels[0]))

struct compare {
	struct gmail_session *s;
	/* labels, by id, and which are which in the rows: */
	const char **labels;
	size_t n_labels;
	/* of a step: */
	struct gmail_row *rows;
	size_t n_rows;
	char *listed;
	size_t n_listed;
	json_t *changed, *gone;
	/* what is asked for: */
	const char *ids[ROWS];
	size_t n_ids, at;
	int stop;
};

static int
compare_state(struct gmail_session *s, int rc)
{
	if (rc != 0)
		fetch_fail(s->f, FETCH_RETRY, "our state: %s", strerror(-rc));
	return rc;
}

int
gmail_compare_begin(struct gmail_session *s)
{
	if (s->f->o.sync == OUTSIDE_APART)
		return 0;
	s->pos.compare = GMAIL_COMPARE_LABELS;
	s->pos.doubt = false;
	s->pos.label[0] = '\0';
	memset(s->pos.joined, 0, sizeof(s->pos.joined));
	return compare_state(
	    s, gmail_listed_forget(s->f->g->state, s->f->o.address));
}

int
gmail_compare_index(struct gmail_session *s)
{
	struct gmail_writer w = { .s = s->f->g->state,
		.address = s->f->o.address };
	unsigned char key[STATE_ID] = { 0 };
	struct gmail_row *v;
	size_t n = 1;
	int rc = 0, ended;

	while (rc == 0 && n > 0) {
		rc = gmail_rows(
		    s->f->g->state, s->f->o.address, key, ROWS, &v, &n);
		for (size_t i = 0; i < n; i++) {
			if (v[i].kind == GMAIL_ROW_DONE)
				gmail_write(&w, &v[i]);
			buf_clear(&v[i].text);
		}
		free(v);
	}
	ended = gmail_write_end(&w);
	return compare_state(s, rc != 0 ? rc : ended);
}

int
gmail_compare_listed(
    struct gmail_session *s, const json_t *messages, const char *label)
{
	size_t n = 0;
	char *v;
	int rc;

	if (s->pos.compare == GMAIL_COMPARE_NONE)
		return 0;
	v = calloc(json_array_size(messages) + 1, GMAIL_LISTED);
	if (v == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(messages); i++) {
		const char *id = json_string_value(
		    json_object_get(json_array_get(messages, i), "id"));

		if (gmail_id_is_valid(slice_str(id)))
			gmail_listed_id(id, label, v + GMAIL_LISTED * n++);
	}
	rc = compare_state(
	    s, gmail_listed_put(s->f->g->state, s->f->o.address, v, n));
	free(v);
	return rc;
}

/* --- which have which label --- */

static int
text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int
labels_sorted(struct compare *c)
{
	const char *id;
	json_t *v;

	c->labels = calloc(
	    N_SYSTEM + json_object_size(c->s->names) + 1, sizeof(*c->labels));
	if (c->labels == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < N_SYSTEM; i++)
		c->labels[c->n_labels++] = system_labels[i];
	json_object_foreach(c->s->names, id, v) c->labels[c->n_labels++] = id;
	qsort(c->labels, c->n_labels, sizeof(*c->labels), text_cmp);
	return 0;
}

/* One page of pos.label. *more: there are others. */
static int
label_page(struct gmail_session *s, bool *more)
{
	struct buf path = BUF_INIT_MAX(4000);
	json_t *answer = NULL;
	const char *next;
	int rc;

	buf_put_str(&path, "messages?includeSpamTrash=true&maxResults=" PAGE);
	http_form_put(&path, "labelIds", slice_str(s->pos.label));
	if (s->pos.page.n > 0)
		http_form_put(&path, "pageToken", buf_slice(&s->pos.page));
	rc = path.failed ? -ENOMEM
			 : gmail_get(&s->login.g, buf_str(&path), &answer);
	buf_clear(&path);
	*more = rc == -EINVAL && s->pos.page.n > 0;
	if (*more) { /* a token holds not for ever: from the first page on */
		buf_reset(&s->pos.page);
		return gmail_session_note(s);
	}
	/* The label has gone meanwhile. */
	if (rc == -EINVAL || rc == -ENOENT)
		rc = 0;
	else if (rc == 0)
		rc = gmail_compare_listed(
		    s, json_object_get(answer, "messages"), s->pos.label);
	next = json_string_value(json_object_get(answer, "nextPageToken"));
	*more = next != NULL && *next != '\0';
	buf_reset(&s->pos.page);
	if (*more && !buf_put_str(&s->pos.page, next))
		rc = -EPROTO;
	json_decref(answer);
	return rc;
}

static int
list_labels(struct compare *c)
{
	struct gmail_session *s = c->s;
	bool more;
	int rc = 0;

	for (size_t i = 0; i < c->n_labels && rc == 0; i++) {
		if (strcmp(c->labels[i], s->pos.label) < 0)
			continue;
		if (strcmp(c->labels[i], s->pos.label) > 0)
			buf_reset(&s->pos.page);
		snprintf(
		    s->pos.label, sizeof(s->pos.label), "%s", c->labels[i]);
		for (more = true; more && rc == 0;) {
			rc = label_page(s, &more);
			if (rc == 0 && more)
				rc = gmail_session_note(s);
		}
	}
	if (rc != 0)
		return rc;
	buf_reset(&s->pos.page);
	s->pos.label[0] = '\0';
	s->pos.compare = GMAIL_COMPARE_JOIN;
	return gmail_session_note(s);
}

/* --- side by side --- */

static void
step_clear(struct compare *c)
{
	for (size_t i = 0; i < c->n_rows; i++)
		buf_clear(&c->rows[i].text);
	free(c->rows);
	free(c->listed);
	c->rows = NULL;
	c->listed = NULL;
	c->n_rows = c->n_listed = 0;
}

/* The next rows from `key` on, which moves on, and what was listed of them. */
static int
step_load(struct compare *c, unsigned char key[static STATE_ID])
{
	struct fetch *f = c->s->f;
	unsigned char from[STATE_ID];
	int rc;

	step_clear(c);
	memcpy(from, key, STATE_ID);
	rc = gmail_rows(
	    f->g->state, f->o.address, key, ROWS, &c->rows, &c->n_rows);
	if (rc == 0 && c->n_rows > 0)
		rc = gmail_listed_get(f->g->state, f->o.address, from, key,
		    &c->listed, &c->n_listed);
	return compare_state(c->s, rc);
}

/* The id of the label of a listed one; NULL: "", or none any more. */
static const char *
label_of(const struct compare *c, const char *listed)
{
	char want[GMAIL_LISTED];

	for (size_t i = 0; i < c->n_labels; i++) {
		gmail_listed_id("", c->labels[i], want);
		if (memcmp(want + STATE_ID, listed + STATE_ID,
			GMAIL_LISTED - STATE_ID) == 0)
			return c->labels[i];
	}
	return NULL;
}

/* Its labels as they were listed; false: it was not there. */
static bool
listed_labels(const struct compare *c, const char *id, struct buf *out)
{
	char want[GMAIL_LISTED];
	size_t low = 0, high = c->n_listed;
	bool there = false;

	gmail_listed_id(id, "", want);
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (memcmp(c->listed + mid * GMAIL_LISTED, want, STATE_ID) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (; low < c->n_listed; low++) {
		const char *one = c->listed + low * GMAIL_LISTED;
		const char *label;

		if (memcmp(one, want, STATE_ID) != 0)
			break;
		there = true;
		label = memcmp(one, want, GMAIL_LISTED) == 0 ? NULL
							     : label_of(c, one);
		if (label != NULL)
			buf_printf(out, "%s ", label);
	}
	return there;
}

static bool
has_all(struct slice a, struct slice b)
{
	while (a.n > 0) {
		struct slice word = slice_split(&a, ' '), rest = b;
		bool found = word.n == 0;

		while (rest.n > 0 && !found)
			found = slice_eq_nocase(slice_split(&rest, ' '), word);
		if (!found)
			return false;
	}
	return true;
}

static int
differs(struct compare *c, const struct gmail_row *row, bool *listed, bool *out)
{
	struct gmail_place place = { .flags = BUF_INIT_MAX(16000) };
	struct buf labels = BUF_INIT_MAX(GMAIL_LABELS_MAX);
	struct slice flags;
	int rc = 0;

	*out = true;
	*listed = listed_labels(c, row->id, &labels);
	if (*listed)
		rc = gmail_session_place(c->s, buf_slice(&labels), &place);
	flags = buf_slice(&place.flags);
	if (*listed && rc == 0)
		*out = !has_all(flags, row->flags) ||
		    !has_all(row->flags, flags) ||
		    (c->s->f->o.sync == OUTSIDE_MIRROR &&
			!(slice_eq(slice_str(place.use), row->use) &&
			    slice_eq(place.mailbox, row->mailbox)));
	buf_clear(&place.flags);
	buf_clear(&labels);
	return rc;
}

static bool
is_kept(const struct gmail_row *row)
{
	return row->kind == GMAIL_ROW_DONE && row->uid != 0;
}

/* Is so much gone that it is not believed? */
static int
count_gone(struct compare *c)
{
	unsigned char key[STATE_ID] = { 0 };
	struct buf none = BUF_INIT_MAX(GMAIL_LABELS_MAX);
	size_t gone = 0, total = 0;
	int rc;

	while ((rc = step_load(c, key)) == 0 && c->n_rows > 0)
		for (size_t i = 0; i < c->n_rows; i++) {
			if (!is_kept(&c->rows[i]) ||
			    gmail_row_is_thrown_away(&c->rows[i]))
				continue;
			buf_reset(&none);
			total++;
			gone += !listed_labels(c, c->rows[i].id, &none);
		}
	buf_clear(&none);
	c->s->pos.doubt = gmail_mirror_doubts(gone, total);
	if (rc == 0 && c->s->pos.doubt)
		log_warning("most of it is gone there: what is here stays",
		    "outside=%s gone=%zu of=%zu", log_qs(c->s->f->o.address),
		    gone, total);
	return rc;
}

/* --- what differs is asked for --- */

static int
ask_one(struct compare *c, const char *id)
{
	json_t *answer = NULL, *labels = NULL;
	char path[100 + GMAIL_ID_MAX];
	int rc;

	snprintf(path, sizeof(path), "messages/%s?format=minimal", id);
	rc = gmail_get(&c->s->login.g, path, &answer);
	if (rc == -ENOENT) {
		json_object_set_new(c->gone, id, json_object());
		return 0;
	}
	if (rc == 0) { /* left out where there is none */
		labels = json_object_get(answer, "labelIds");
		json_object_set_new(c->changed, id,
		    json_pack("{s:o}", "labelIds",
			labels != NULL ? json_incref(labels) : json_array()));
	}
	json_decref(answer);
	return rc;
}

static void
ask_some(void *arg)
{
	struct compare *c = arg;
	int rc;

	while (c->at < c->n_ids && c->stop == 0) {
		rc = ask_one(c, c->ids[c->at++]);
		if (rc != 0 && c->stop == 0)
			c->stop = rc;
	}
}

static int
ask_all(struct compare *c)
{
	struct co_group group = { 0 };
	int rc = 0;

	c->at = 0;
	c->stop = 0;
	for (size_t i = 0; i < PARALLEL && i < c->n_ids && rc == 0; i++)
		rc = co_group_spawn(&group, ask_some, c);
	if (co_group_join(&group) != 0 && rc == 0)
		rc = -ECANCELED;
	return c->stop != 0 ? c->stop : rc;
}

static int
join_step(struct compare *c)
{
	struct fetch *f = c->s->f;
	struct gmail_writer w = { .s = f->g->state, .address = f->o.address };
	bool listed, differ;
	int rc = 0, ended;

	c->n_ids = 0;
	for (size_t i = 0; i < c->n_rows && rc == 0; i++) {
		struct gmail_row *row = &c->rows[i];

		if (!is_kept(row) ||
		    (rc = differs(c, row, &listed, &differ)) != 0 || !differ)
			continue;
		if (!listed &&
		    (c->s->pos.first ||
			(c->s->pos.doubt && !gmail_row_is_thrown_away(row)))) {
			row->kind = GMAIL_ROW_PASSED; /* mail of its own */
			row->uid = 0;
			gmail_write(&w, row);
			continue;
		}
		c->ids[c->n_ids++] = row->id;
	}
	ended = compare_state(c->s, gmail_write_end(&w));
	if (rc != 0 || (rc = ended) != 0 || c->n_ids == 0)
		return rc;
	c->changed = json_object();
	c->gone = json_object();
	rc = c->changed == NULL || c->gone == NULL ? -ENOMEM : ask_all(c);
	if (rc == 0)
		rc = gmail_mirror(c->s, c->changed, c->gone, false);
	json_decref(c->changed);
	json_decref(c->gone);
	return rc;
}

static int
join(struct compare *c)
{
	static const unsigned char none[STATE_ID];
	struct gmail_session *s = c->s;
	unsigned char key[STATE_ID];
	int rc = 0;

	if (memcmp(s->pos.joined, none, STATE_ID) == 0)
		rc = count_gone(c);
	memcpy(key, s->pos.joined, STATE_ID);
	while (rc == 0 && (rc = step_load(c, key)) == 0 && c->n_rows > 0) {
		if ((rc = join_step(c)) != 0)
			break;
		memcpy(s->pos.joined, key, STATE_ID);
		rc = gmail_session_note(s);
	}
	step_clear(c);
	if (rc != 0)
		return rc;
	s->pos.compare = GMAIL_COMPARE_NONE;
	s->pos.first = s->pos.doubt = false;
	memset(s->pos.joined, 0, STATE_ID);
	rc = gmail_session_note(s);
	return rc != 0
	    ? rc
	    : compare_state(
		  s, gmail_listed_forget(s->f->g->state, s->f->o.address));
}

int
gmail_compare(struct gmail_session *s)
{
	struct compare c = { .s = s };
	int rc;

	if (s->pos.compare == GMAIL_COMPARE_NONE || s->pos.listing)
		return 0;
	rc = gmail_session_names(s);
	if (rc == 0)
		rc = labels_sorted(&c);
	if (rc == 0 && s->pos.compare == GMAIL_COMPARE_LABELS)
		rc = list_labels(&c);
	if (rc == 0)
		rc = join(&c);
	free(c.labels);
	return rc;
}
