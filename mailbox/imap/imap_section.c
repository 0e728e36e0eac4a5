/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_section.h"

#include "common/mail/header.h"

#define FIELDS_MAX 256

/* --- parsing --- */

/* section-part, up to where a name or the end follows. */
static int
parse_path(struct imap_parser *p, struct imap_section *out)
{
	uint32_t *path = NULL;
	int rc;

	while (ascii_is_digit(imap_peek(p))) {
		if (path == NULL &&
		    (path = arena_array(
			 p->a, IMAP_SECTION_DEPTH, sizeof(*path))) == NULL)
			return -ENOMEM;
		if (out->n_path == IMAP_SECTION_DEPTH)
			return imap_parser_bad(p, "Section is too deep");
		if ((rc = imap_parse_u32(p, &path[out->n_path])) != 0)
			return rc;
		if (path[out->n_path++] == 0)
			return imap_parser_bad(p, "Part numbers begin with 1");
		if (imap_peek(p) == ']')
			break;
		if (!imap_accept(p, '.') || imap_peek(p) == ']')
			return imap_parser_bad(p, "Invalid section");
	}
	out->path = path;
	return 0;
}

static int
parse_fields(struct imap_parser *p, struct imap_section *out)
{
	struct slice *fields = arena_array(p->a, FIELDS_MAX, sizeof(*fields));
	int rc;

	if (fields == NULL)
		return -ENOMEM;
	if ((rc = imap_parse_sp(p)) != 0 || (rc = imap_parse_char(p, '(')) != 0)
		return rc;
	do {
		if (out->n_fields == FIELDS_MAX)
			return imap_parser_bad(p, "Too many fields");
		rc = imap_parse_astring(p, &fields[out->n_fields++]);
		if (rc != 0)
			return rc;
	} while (imap_accept(p, ' '));
	out->fields = fields;
	return imap_parse_char(p, ')');
}

static const struct {
	const char *name;
	enum imap_section_what what;
} texts[] = {
	{ "HEADER", IMAP_SECTION_HEADER },
	{ "HEADER.FIELDS", IMAP_SECTION_FIELDS },
	{ "HEADER.FIELDS.NOT", IMAP_SECTION_FIELDS_NOT },
	{ "TEXT", IMAP_SECTION_TEXT },
	{ "MIME", IMAP_SECTION_MIME },
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static int
parse_text(struct imap_parser *p, struct imap_section *out)
{
	struct slice name;
	size_t i;
	int rc;

	if ((rc = imap_parse_name(p, &name)) != 0)
		return imap_parser_bad(p, "Invalid section");
	for (i = 0; i < TEXTS; i++)
		if (slice_eq_str_nocase(name, texts[i].name))
			break;
	if (i == TEXTS ||
	    (texts[i].what == IMAP_SECTION_MIME && out->n_path == 0))
		return imap_parser_bad(p, "Invalid section");
	out->what = texts[i].what;
	if (out->what == IMAP_SECTION_FIELDS ||
	    out->what == IMAP_SECTION_FIELDS_NOT)
		return parse_fields(p, out);
	return 0;
}

/* "<" number "." nz-number ">" */
static int
parse_partial(struct imap_parser *p, struct imap_section *out)
{
	int rc;

	if (!imap_accept(p, '<'))
		return 0;
	out->partial = true;
	if ((rc = imap_parse_u64(p, &out->from)) != 0 ||
	    (rc = imap_parse_char(p, '.')) != 0 ||
	    (rc = imap_parse_u64(p, &out->max)) != 0)
		return rc;
	if (out->max == 0)
		return imap_parser_bad(p, "Partial of no octets");
	return imap_parse_char(p, '>');
}

static bool
is_atom(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 ||
		    (unsigned char)s.p[i] >= 0x7f ||
		    strchr("(){%*\"\\]", s.p[i]) != NULL)
			return false;
	return s.n > 0;
}

/* Field names come back as atoms where they are, else quoted; what can be
 * neither (it names no field there is) loses those octets. */
static void
put_field_name(struct buf *b, struct slice name)
{
	bool atom = is_atom(name);

	if (!atom)
		buf_put_char(b, '"');
	for (size_t i = 0; i < name.n; i++) {
		char c = ascii_upper(name.p[i]);

		if (c == '"' || c == '\\')
			buf_put_char(b, '\\');
		if ((unsigned char)c >= 0x20 && (unsigned char)c < 0x7f)
			buf_put_char(b, c);
	}
	if (!atom)
		buf_put_char(b, '"');
}

static void
put_label(struct buf *b, const struct imap_section *s)
{
	buf_put_str(b, "BODY[");
	for (size_t i = 0; i < s->n_path; i++) {
		if (i > 0)
			buf_put_char(b, '.');
		buf_put_u64(b, s->path[i]);
	}
	if (s->n_path > 0 && s->what != IMAP_SECTION_ALL)
		buf_put_char(b, '.');
	for (size_t i = 0; i < TEXTS; i++)
		if (texts[i].what == s->what)
			buf_put_str(b, texts[i].name);
	for (size_t i = 0; i < s->n_fields; i++) {
		buf_put_str(b, i == 0 ? " (" : " ");
		put_field_name(b, s->fields[i]);
	}
	buf_put_str(b, s->n_fields > 0 ? ")]" : "]");
	if (s->partial) {
		buf_put_char(b, '<');
		buf_put_u64(b, s->from);
		buf_put_char(b, '>');
	}
}

int
imap_section_parse(struct imap_parser *p, struct imap_section *out)
{
	struct buf label = BUF_INIT;
	int rc;

	*out = (struct imap_section){ .what = IMAP_SECTION_ALL };
	if ((rc = imap_parse_char(p, '[')) != 0 ||
	    (rc = parse_path(p, out)) != 0)
		return rc;
	if (imap_peek(p) != ']' && (rc = parse_text(p, out)) != 0)
		return rc;
	if ((rc = imap_parse_char(p, ']')) != 0 ||
	    (rc = parse_partial(p, out)) != 0)
		return rc;
	put_label(&label, out);
	out->label =
	    label.failed ? slice(NULL, 0) : arena_dup(p->a, buf_slice(&label));
	buf_clear(&label);
	return out->label.p == NULL ? -ENOMEM : 0;
}

/* --- finding --- */

static const struct mails_part *
child(const struct mails_summary *sum, const struct mails_part *parent,
    uint32_t number)
{
	uint32_t index = (uint32_t)(parent - sum->parts);

	/* Children come after their parent. */
	for (size_t i = (size_t)index + 1; i < sum->n_parts; i++)
		if (sum->parts[i].parent == index &&
		    (number == 0 || sum->parts[i].number == number))
			return &sum->parts[i];
	return NULL;
}

/*
 * A number chooses among the parts of a multipart. The body of a message that
 * is none is its part 1, whatever its type.
 */
static const struct mails_part *
find_part(const struct imap_section *s, const struct mails_summary *sum)
{
	const struct mails_part *part = sum->parts;
	bool is_message = true; /* the numbers are of this message's body */

	for (size_t i = 0; i < s->n_path; i++) {
		if (!is_message && part->kind == MAILS_PART_MESSAGE) {
			if ((part = child(sum, part, 0)) == NULL)
				return NULL;
			is_message = true;
		}
		if (part->kind == MAILS_PART_MULTI)
			part = child(sum, part, s->path[i]);
		else if (!is_message || s->path[i] != 1)
			return NULL;
		if (part == NULL)
			return NULL;
		is_message = false;
	}
	return part;
}

bool
imap_section_is_whole(const struct imap_section *s)
{
	return s->what == IMAP_SECTION_ALL && s->n_path == 0;
}

bool
imap_section_find(const struct imap_section *s, const struct mails_summary *sum,
    uint64_t size, struct imap_octets *out)
{
	const struct mails_part *part;

	if (imap_section_is_whole(s)) {
		*out = (struct imap_octets){ 0, size };
		return true;
	}
	if (sum->n_parts == 0 || (part = find_part(s, sum)) == NULL)
		return false;
	if (s->what == IMAP_SECTION_ALL) {
		*out = (struct imap_octets){ part->body_at, part->body_size };
		return true;
	}
	/* HEADER and TEXT are of a message: this one, or a part that is. */
	if (s->what != IMAP_SECTION_MIME && s->n_path > 0) {
		if (part->kind != MAILS_PART_MESSAGE ||
		    (part = child(sum, part, 0)) == NULL)
			return false;
	}
	if (s->what == IMAP_SECTION_TEXT)
		*out = (struct imap_octets){ part->body_at, part->body_size };
	else
		*out =
		    (struct imap_octets){ part->header_at, part->header_size };
	return true;
}

/* --- fields --- */

static bool
is_named(const struct imap_section *s, struct slice name)
{
	for (size_t i = 0; i < s->n_fields; i++)
		if (slice_eq_nocase(s->fields[i], name))
			return true;
	return false;
}

void
imap_section_filter(
    const struct imap_section *s, struct slice header, struct buf *out)
{
	bool wanted = s->what == IMAP_SECTION_FIELDS;
	struct slice rest = header;
	struct header_field f;

	while (header_next(&rest, &f))
		if (is_named(s, f.name) == wanted)
			buf_put_slice(out, f.raw);
	/* The blank line belongs to it, where there is one. */
	if (slice_ends_nocase(header, "\n\r\n") || slice_eq_str(header, "\r\n"))
		buf_put_str(out, "\r\n");
}
