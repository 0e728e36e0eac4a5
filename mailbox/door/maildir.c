/* SPDX-License-Identifier: ISC */
#include "mailbox/door/maildir.h"

#include "common/imap/level.h"
#include "common/imap/utf7.h"

/* --- file names --- */

static const struct {
	char letter;
	uint32_t flag;
} flag_letters[] = {
	{ 'D', MAILS_DRAFT },
	{ 'F', MAILS_FLAGGED_FLAG },
	{ 'R', MAILS_ANSWERED },
	{ 'S', MAILS_SEEN },
	{ 'T', MAILS_DELETED },
};
#define N_FLAGS (sizeof(flag_letters) / sizeof(flag_letters[0]))

static void
info_parse(struct slice info, struct maildir_name *out)
{
	for (size_t i = 0; i < info.n && info.p[i] != ','; i++) {
		char c = info.p[i];

		for (size_t k = 0; k < N_FLAGS; k++)
			if (flag_letters[k].letter == c)
				out->flags |= flag_letters[k].flag;
		if (c == 'P')
			out->passed = true;
		else if (c >= 'a' && c <= 'z')
			out->letters |= 1u << (c - 'a');
	}
}

void
maildir_name_parse(struct slice name, struct maildir_name *out)
{
	struct slice id = name, digits = name;
	ssize_t colon = slice_rfind(name, ':');

	/* Where a file system has no colon, '!' stands for it. */
	if (colon < 0)
		colon = slice_rfind(name, '!');
	*out = (struct maildir_name){ .base = name };
	if (colon >= 0) {
		out->base = id = digits = slice_head(name, (size_t)colon);
		if (slice_starts(slice_from(name, (size_t)colon + 1), "2,"))
			info_parse(slice_from(name, (size_t)colon + 3), out);
	}
	out->id = slice_split(&id, ',');
	for (size_t i = 0; i < digits.n && ascii_is_digit(digits.p[i]); i++)
		if (out->order < UINT64_MAX / 100)
			out->order =
			    out->order * 10 + (uint64_t)(digits.p[i] - '0');
}

bool
maildir_put_info(struct buf *b, uint32_t flags, bool passed, uint32_t letters)
{
	buf_put_str(b, ":2,");
	for (size_t k = 0; k < N_FLAGS; k++) {
		if (flag_letters[k].letter == 'R' && passed)
			buf_put_char(b, 'P');
		if (flags & flag_letters[k].flag)
			buf_put_char(b, flag_letters[k].letter);
	}
	for (unsigned i = 0; i < MAILDIR_LETTERS; i++)
		if (letters & 1u << i)
			buf_put_char(b, (char)('a' + i));
	return !b->failed;
}

/* --- folders --- */

bool
maildir_folder_decode(struct buf *out, struct slice name)
{
	bool first = true;

	/* Nobody makes empty levels but by accident: they are left out. */
	while (name.n > 0) {
		struct slice part = slice_split(&name, '.');

		if (part.n == 0)
			continue;
		if (!first)
			buf_put_char(out, MAILS_SEPARATOR);
		first = false;
		imap_level_decode(out, part);
	}
	return !out->failed;
}

bool
maildir_folder_encode(struct buf *out, struct slice name)
{
	while (name.n > 0) {
		size_t n = 0;

		while (n < name.n && name.p[n] != '.' &&
		    name.p[n] != MAILS_SEPARATOR)
			n++;
		if (!imap_utf7_encode(out, slice_head(name, n)))
			return false;
		if (n < name.n)
			buf_put_str(out, name.p[n] == '.' ? "&AC4-" : ".");
		name = slice_from(name, n + 1);
	}
	return !out->failed;
}

/* --- keywords --- */

static void
keyword_set(struct maildir_keywords *k, struct arena *a, size_t number,
    struct slice name)
{
	if (number >= MAILS_KEYWORDS_MAX || name.n == 0)
		return;
	k->names[number] = arena_strdup(a, name);
	if (k->n <= number)
		k->n = number + 1;
}

void
maildir_dovecot_keyword(
    struct maildir_keywords *k, struct arena *a, struct slice line)
{
	struct slice number = slice_split(&line, ' ');
	uint64_t n;

	if (slice_u64(number, MAILDIR_LETTERS - 1, &n) == 0)
		keyword_set(k, a, (size_t)n, slice_trim(line));
}

void
maildir_keywords_add(const struct maildir_keywords *k, uint64_t bits,
    struct door_meta *m, struct arena *a)
{
	for (size_t i = 0; i < k->n; i++)
		if (bits >> i & 1 && k->names[i] != NULL)
			(void)door_keyword_add(m, a, slice_str(k->names[i]));
}

bool
maildir_courier_line(struct maildir_courier *c, struct arena *a,
    struct slice line, struct slice *base, uint64_t *bits)
{
	struct slice number;
	ssize_t colon;
	uint64_t n;

	if (!c->in_messages && line.n > 0) {
		keyword_set(&c->keywords, a, c->keywords.n, line);
		return false;
	}
	if (!c->in_messages || (colon = slice_rfind(line, ':')) < 0) {
		c->in_messages = true;
		return false;
	}
	*base = slice_head(line, (size_t)colon);
	*bits = 0;
	line = slice_from(line, (size_t)colon + 1);
	while (line.n > 0) {
		number = slice_split(&line, ' ');
		if (slice_u64(number, MAILS_KEYWORDS_MAX - 1, &n) == 0)
			*bits |= (uint64_t)1 << n;
	}
	return base->n > 0;
}

/* "12 base" of version 1, "12 W45 :base" of version 3. A version 1 header is
 * "1 1275660208 25022": three numbers. */
bool
maildir_uid_line(struct slice line, struct slice *base, uint32_t *uid)
{
	struct slice number = slice_split(&line, ' ');
	ssize_t colon = slice_starts(line, ":") ? 0 : -1;
	uint64_t n;

	if (slice_u64(number, UINT32_MAX, &n) != 0 || n == 0)
		return false;
	if (colon < 0) {
		colon = slice_find_slice(line, SLICE_LIT(" :"));
		colon += colon >= 0;
	}
	*base = slice_from(line, colon < 0 ? 0 : (size_t)colon + 1);
	*uid = (uint32_t)n;
	return base->n > 0 && slice_find(*base, ' ') < 0;
}

/* --- subscriptions --- */

/* Dovecot's "\001t" and so on: none of these octets is in a name of ours. */
static bool
is_escaped(struct slice line)
{
	return slice_find(line, '\001') >= 0;
}

static bool
tabs_to_name(struct slice line, struct buf *out)
{
	while (line.n > 0) {
		struct slice part = slice_split(&line, '\t');

		if (part.n == 0)
			continue;
		if (out->n > 0)
			buf_put_char(out, MAILS_SEPARATOR);
		imap_level_decode(out, part);
	}
	return out->n > 0 && !out->failed;
}

bool
maildir_subscription(
    enum maildir_subscriptions *kind, struct slice line, struct buf *out)
{
	buf_reset(out);
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (slice_eq_str(line, "V\t2")) {
		*kind = MAILDIR_DOVECOT_2;
		return false;
	}
	if (line.n == 0 || is_escaped(line))
		return false;
	if (*kind == MAILDIR_DOVECOT_2)
		return tabs_to_name(line, out);
	if (*kind == MAILDIR_COURIER && slice_starts(line, "INBOX."))
		line = slice_from(line, 6);
	return maildir_folder_decode(out, line) && out->n > 0;
}
