/* SPDX-License-Identifier: ISC */
#include "gateway/gmail_labels.h"

#include "common/imap/utf7.h"

#define KEYWORD_MAX 60
#define MAILBOX_MAX 200

bool
gmail_keyword_put(struct buf *out, const char *name)
{
	struct buf utf7 = BUF_INIT_MAX(4000);
	bool ok = imap_utf7_encode(&utf7, slice_str(name)) && utf7.n > 0;

	for (size_t i = 0; ok && i < utf7.n && i < KEYWORD_MAX; i++) {
		char c = utf7.p[i];
		bool good =
		    c > ' ' && c < 0x7f && strchr("(){%*\"\\]", c) == NULL;

		ok = buf_put_char(out, good ? c : '_');
	}
	buf_clear(&utf7);
	return ok;
}

static bool
has_label(struct slice labels, struct slice id)
{
	while (labels.n > 0)
		if (slice_eq(slice_split(&labels, ' '), id))
			return true;
	return false;
}

static bool
has(struct slice labels, const char *id)
{
	return has_label(labels, slice_str(id));
}

/* Theirs, which say nothing more here. */
static bool
is_system(struct slice id)
{
	static const char *const all[] = { "INBOX", "SENT", "TRASH", "SPAM",
		"DRAFT", "UNREAD", "STARRED", "IMPORTANT", "CHAT" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (slice_eq_str(id, all[i]))
			return true;
	return slice_starts(id, "CATEGORY_") ||
	    slice_ends_nocase(id, "_STAR") || slice_starts(id, "STARRED_");
}

static const char *
name_of(const json_t *names, struct slice id)
{
	char key[80];

	if (id.n >= sizeof(key))
		return NULL;
	memcpy(key, id.p, id.n);
	key[id.n] = '\0';
	return json_string_value(json_object_get(names, key));
}

/* One that a mailbox can have; the others are keywords. */
static bool
is_mailbox_name(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f ||
		    (name[i] == '/' && (i == 0 || name[i + 1] == '/')))
			return false;
	return n > 0 && n <= MAILBOX_MAX && name[n - 1] != '/';
}

/* The user's label that comes first, or NULL. */
static const char *
first_label(struct slice labels, const json_t *names)
{
	const char *first = NULL, *name;

	while (labels.n > 0) {
		name = name_of(names, slice_split(&labels, ' '));
		if (name != NULL && is_mailbox_name(name) &&
		    (first == NULL || strcmp(name, first) < 0))
			first = name;
	}
	return first;
}

static void
put_keywords(struct slice labels, const json_t *names, const char *place,
    struct buf *out, bool *unknown)
{
	while (labels.n > 0) {
		struct slice id = slice_split(&labels, ' ');
		const char *name = name_of(names, id);

		if (name == NULL) {
			*unknown = *unknown || (id.n > 0 && !is_system(id));
			continue;
		}
		if (name == place)
			continue;
		if (gmail_keyword_put(out, name))
			buf_put_char(out, ' ');
	}
}

void
gmail_place_of(struct slice labels, const json_t *names, bool folders,
    struct gmail_place *out, bool *unknown)
{
	static const struct {
		const char *id, *use, *mailbox;
	} first[] = { { "TRASH", "Trash", "Trash" }, { "SPAM", "Junk", "Junk" },
		{ "DRAFT", "Drafts", "Drafts" }, { "INBOX", NULL, "INBOX" } };
	const char *label = folders ? first_label(labels, names) : NULL;
	const char *place = NULL;
	bool sent = has(labels, "SENT");

	*unknown = false;
	out->use = label != NULL ? NULL : sent ? "Sent" : "Archive";
	out->mailbox = slice_str(label != NULL ? label
		: sent                         ? "Sent"
					       : "Archive");
	place = label;
	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		if (has(labels, first[i].id)) {
			out->use = first[i].use;
			out->mailbox = slice_str(first[i].mailbox);
			place = NULL;
			break;
		}
	out->chat = has(labels, "CHAT");
	buf_reset(&out->flags);
	if (!has(labels, "UNREAD"))
		buf_put_str(&out->flags, "\\Seen ");
	if (has(labels, "STARRED"))
		buf_put_str(&out->flags, "\\Flagged ");
	if (has(labels, "DRAFT"))
		buf_put_str(&out->flags, "\\Draft ");
	if (has(labels, "IMPORTANT"))
		buf_put_str(&out->flags, "$Important ");
	put_keywords(labels, names, place, &out->flags, unknown);
}

/* --- the other way round --- */

json_t *
gmail_words_of(const json_t *names)
{
	json_t *out = json_object();
	const char *id;
	json_t *name;

	json_object_foreach((json_t *)(uintptr_t)names, id, name)
	{
		struct buf word = BUF_INIT_MAX(4000), ids = BUF_INIT;
		const char *had;

		if (gmail_keyword_put(&word, json_string_value(name))) {
			for (size_t i = 0; i < word.n; i++)
				word.p[i] = ascii_lower(word.p[i]);
			had = json_string_value(
			    json_object_get(out, buf_str(&word)));
			buf_printf(&ids, "%s%s ", had != NULL ? had : "", id);
			json_object_set_new(
			    out, buf_str(&word), json_string(buf_str(&ids)));
		}
		buf_clear(&word);
		buf_clear(&ids);
	}
	return out;
}

static struct slice
ids_of_word(const json_t *words, struct slice flag)
{
	char key[KEYWORD_MAX + 1];

	if (flag.n > KEYWORD_MAX)
		return SLICE_EMPTY;
	for (size_t i = 0; i < flag.n; i++)
		key[i] = ascii_lower(flag.p[i]);
	key[flag.n] = '\0';
	return slice_str(json_string_value(json_object_get(words, key)));
}

/* Of flags that are labels, or (`unset`) the want of one. */
static const struct {
	const char *flag, *label;
	bool unset;
} flag_labels[] = { { "\\Seen", "UNREAD", true },
	{ "\\Flagged", "STARRED", false },
	{ "$Important", "IMPORTANT", false } };
#define N_FLAG_LABELS (sizeof(flag_labels) / sizeof(flag_labels[0]))

bool
gmail_flag_is_theirs(const json_t *words, struct slice flag)
{
	for (size_t i = 0; i < N_FLAG_LABELS; i++)
		if (slice_eq_str_nocase(flag, flag_labels[i].flag))
			return true;
	return ids_of_word(words, flag).n > 0;
}

void
gmail_edit_clear(struct gmail_edit *e)
{
	buf_clear(&e->add);
	buf_clear(&e->remove);
}

static void
put_once(struct buf *b, struct slice id)
{
	struct slice all = buf_slice(b);

	while (all.n > 0)
		if (slice_eq(slice_split(&all, ' '), id))
			return;
	buf_put_slice(b, id);
	buf_put_char(b, ' ');
}

static void
edit(struct gmail_edit *e, struct slice labels, struct slice id, bool on)
{
	if (has_label(labels, id) != on)
		put_once(on ? &e->add : &e->remove, id);
}

/* Of labels that are one keyword here, all go, and one comes. */
static void
edit_word(struct gmail_edit *e, struct slice labels, struct slice ids, bool on)
{
	struct slice all = ids, id;
	bool had = false;

	while (all.n > 0) {
		id = slice_split(&all, ' ');
		had |= has_label(labels, id);
		if (!on)
			edit(e, labels, id, false);
	}
	if (on && !had && ids.n > 0)
		edit(e, labels, slice_split(&ids, ' '), true);
}

static void
edit_flag(struct gmail_edit *e, struct slice labels, const json_t *words,
    struct slice flag, bool on)
{
	for (size_t i = 0; i < N_FLAG_LABELS; i++)
		if (slice_eq_str_nocase(flag, flag_labels[i].flag)) {
			edit(e, labels, slice_str(flag_labels[i].label),
			    on != flag_labels[i].unset);
			return;
		}
	edit_word(e, labels, ids_of_word(words, flag), on);
}

void
gmail_edit_flags(struct gmail_edit *e, struct slice labels, const json_t *words,
    struct slice add, struct slice remove)
{
	while (add.n > 0)
		edit_flag(e, labels, words, slice_split(&add, ' '), true);
	while (remove.n > 0)
		edit_flag(e, labels, words, slice_split(&remove, ' '), false);
}

void
gmail_edit_place(struct gmail_edit *e, struct slice labels, struct slice use,
    struct slice mailbox, const char *from, const char *to)
{
	bool trash = slice_eq_str(use, "Trash"),
	     junk = slice_eq_str(use, "Junk");

	edit(e, labels, SLICE_LIT("TRASH"), trash);
	edit(e, labels, SLICE_LIT("SPAM"), junk);
	edit(e, labels, SLICE_LIT("INBOX"),
	    use.n == 0 && slice_eq_str(mailbox, "INBOX"));
	/* Its labels stay with what is thrown away, so that it can go back. */
	if (from != NULL && !trash && !junk &&
	    (to == NULL || strcmp(from, to) != 0))
		edit(e, labels, slice_str(from), false);
	if (to != NULL)
		edit(e, labels, slice_str(to), true);
}

void
gmail_edit_apply(
    const struct gmail_edit *e, struct slice labels, struct buf *out)
{
	struct slice add = buf_slice(&e->add);

	while (labels.n > 0) {
		struct slice id = slice_split(&labels, ' ');

		if (id.n > 0 && !has_label(buf_slice(&e->remove), id))
			put_once(out, id);
	}
	while (add.n > 0)
		put_once(out, slice_split(&add, ' '));
}

const char *
gmail_label_named(const json_t *names, struct slice name)
{
	const char *id;
	json_t *v;

	json_object_foreach((json_t *)(uintptr_t)names, id, v)
	{
		if (slice_eq_str(name, json_string_value(v)))
			return id;
	}
	return NULL;
}
