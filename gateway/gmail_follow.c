/* SPDX-License-Identifier: ISC */
/*
 * What changed there of messages that are here: flags and keywords, each that
 * changed there, the others stay as they are here. A draft that is gone there (each
 * edit makes another) goes here, too; nothing else does, and nothing moves.
 */
#include <errno.h>

#include "gateway/fetch_gmail.h"

/* Words of `a` that are not in `b`, each followed by a space. */
static void
minus(struct slice a, struct slice b, struct buf *out)
{
	while (a.n > 0) {
		struct slice word = slice_split(&a, ' '), rest = b;
		bool found = word.n == 0;

		while (rest.n > 0 && !found)
			found = slice_eq_nocase(slice_split(&rest, ' '), word);
		if (found)
			continue;
		buf_put_slice(out, word);
		buf_put_char(out, ' ');
	}
}

/* The mailbox that it was put into; NULL: that is gone, or was made anew. */
static const struct here_box *
box_of(struct gmail_session *s, const struct gmail_row *row)
{
	struct buf room = BUF_INIT_MAX(4000);
	struct slice name = gmail_session_mailbox(s, row->mailbox, &room);
	const struct here_box *found = NULL;

	for (size_t i = 0; i < s->n_boxes && found == NULL; i++) {
		const struct here_box *b = &s->boxes[i];

		if (b->uidvalidity == row->uidvalidity &&
		    (slice_eq_str(name, b->name) ||
			(row->use.n > 0 && slice_eq_str(row->use, b->use))))
			found = b;
	}
	buf_clear(&room);
	return found;
}

static int
load_boxes(struct gmail_session *s)
{
	int rc = 0;

	if (!s->has_boxes) {
		s->here = ARENA_INIT_MAX((size_t)4 << 20);
		rc = here_boxes(s->f, &s->here, &s->boxes, &s->n_boxes);
		s->has_boxes = rc == 0;
	}
	return rc;
}

static int
apply(struct gmail_session *s, const struct gmail_row *row, enum here_op op,
    struct slice flags)
{
	const struct here_box *box;
	bool some;
	int rc = load_boxes(s);

	if (rc != 0 || (box = box_of(s, row)) == NULL)
		return rc;
	return here_apply(s->f, box, op, &row->uid, 1, flags, &some);
}

/* Flags as they are there now. */
static int
change(struct gmail_session *s, struct gmail_row *row, struct slice flags)
{
	struct buf add = BUF_INIT, remove = BUF_INIT;
	int rc = 0;

	minus(flags, row->flags, &add);
	minus(row->flags, flags, &remove);
	if (add.failed || remove.failed)
		rc = -ENOMEM;
	if (rc == 0 && add.n > 0)
		rc = apply(s, row, HERE_ADD, buf_slice(&add));
	if (rc == 0 && remove.n > 0)
		rc = apply(s, row, HERE_REMOVE, buf_slice(&remove));
	if (rc == 0 && add.n + remove.n > 0) {
		row->flags = flags;
		rc = gmail_session_row_put(s, row);
	}
	buf_clear(&add);
	buf_clear(&remove);
	return rc;
}

static void
labels_text(const json_t *message, struct buf *out)
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

/* History leaves labels out where there are none, or does not say: then it is
 * asked for. -ENOENT: the message is gone. */
static int
labels_of(struct gmail_session *s, const char *id, const json_t *message,
    struct buf *out)
{
	json_t *answer = NULL;
	char path[100 + GMAIL_ID_MAX];
	int rc = 0;

	if (json_object_get(message, "labelIds") == NULL) {
		snprintf(path, sizeof(path), "messages/%s?format=minimal", id);
		rc = gmail_get(&s->login.g, path, &answer);
		message = answer;
	}
	if (rc == 0)
		labels_text(message, out);
	json_decref(answer);
	return rc == 0 && out->failed ? -E2BIG : rc;
}

static int
follow_one(struct gmail_session *s, const char *id, const json_t *message)
{
	struct gmail_place place = { .flags = BUF_INIT_MAX(8000) };
	struct buf labels = BUF_INIT_MAX(GMAIL_LABELS_MAX);
	struct gmail_row row;
	int rc = gmail_session_row_get(s, id, &row);

	if (rc == 0 && row.kind == GMAIL_ROW_DONE && row.uid != 0) {
		rc = labels_of(s, id, message, &labels);
		if (rc == 0)
			rc = gmail_session_place(s, buf_slice(&labels), &place);
		if (rc == 0)
			rc = change(s, &row, buf_slice(&place.flags));
		if (rc == -ENOENT)
			rc = 0;
	}
	buf_clear(&row.text);
	buf_clear(&labels);
	buf_clear(&place.flags);
	return rc;
}

static int
draft_gone(struct gmail_session *s, const char *id)
{
	struct gmail_row row;
	int rc = gmail_session_row_get(s, id, &row);

	if (rc == 0 && row.kind == GMAIL_ROW_DONE && row.uid != 0 &&
	    slice_eq_str(row.use, "Drafts")) {
		rc = apply(s, &row, HERE_GONE, SLICE_EMPTY);
		row.kind = GMAIL_ROW_PASSED;
		if (rc == 0)
			rc = gmail_session_row_put(s, &row);
	}
	buf_clear(&row.text);
	return rc;
}

int
gmail_follow(struct gmail_session *s, json_t *labels, json_t *gone)
{
	const char *id;
	json_t *m;
	int rc = 0;

	if (s->f->o.sync == OUTSIDE_APART)
		return 0;
	json_object_foreach(labels, id, m)
	{
		if ((rc = follow_one(s, id, m)) != 0)
			return rc;
	}
	json_object_foreach(gone, id, m)
	{
		if ((rc = draft_gone(s, id)) != 0)
			return rc;
	}
	return 0;
}
