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
has(struct slice labels, const char *id)
{
	while (labels.n > 0)
		if (slice_eq_str(slice_split(&labels, ' '), id))
			return true;
	return false;
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
