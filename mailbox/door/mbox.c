/* SPDX-License-Identifier: ISC */
/*
 * Reading mbox. Lines come in pieces of at most INPUT_MAX; a blank line is
 * held back until it is known whether it stands between two messages.
 */
#include "mailbox/door/mbox.h"

#include <stdlib.h>

#include "common/mail/date.h"

#define FIELD_MAX 16384 /* octets kept of a field of ours */
#define LOOK 512        /* at what stands behind a Content-Length */
#define LENGTH_MAX ((uint64_t)4 << 30)
#define OUT_ENOUGH ((size_t)32 << 10)

enum field {
	FIELD_OTHER,
	FIELD_STATUS,
	FIELD_X_STATUS,
	FIELD_KEYWORDS,
	FIELD_LENGTH,
	FIELD_MOZILLA,
	FIELD_C_CLIENT, /* its note to itself has this */
	FIELD_NUMBERS,  /* UIDs of others */
	FIELD_DATE,     /* stays in the message */
};

enum state { AT_MESSAGE, IN_HEADER, IN_BODY, IN_SIZED, AT_END };

struct mbox {
	struct input *in;
	enum mbox_format format;
	enum state state;
	bool begun; /* there was a message */
	struct buf out;
	/* of the message: */
	struct arena a;
	struct door_meta meta;
	int ours;          /* mbox_from_parse */
	bool crlf;         /* the "From " line ends so */
	unsigned own;      /* of our three fields, how many are past; 3: all */
	bool in_line;      /* behind the start of a line of the file */
	enum field field;  /* the one that is being read */
	struct buf value;  /* of it */
	struct buf length; /* Content-Length as it stands there, or empty */
	uint64_t body_octets; /* what it says */
	uint64_t left;        /* IN_SIZED */
	int64_t date_field;
	bool internal;
	struct slice blank; /* held back: "", "\n" or "\r\n" */
	struct slice eol;   /* the same, in a message that ends in a line */
	struct mbox_quoter quoter;
	bool quoted; /* the quoter is to be asked */
};

int
mbox_new(struct mbox **out, struct input *in, enum mbox_format format)
{
	struct mbox *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return -ENOMEM;
	m->in = in;
	m->format = format;
	m->a = ARENA_INIT_MAX((size_t)64 << 10);
	m->value.max = FIELD_MAX;
	*out = m;
	return 0;
}

void
mbox_free(struct mbox **out)
{
	struct mbox *m = *out;

	*out = NULL;
	if (m == NULL)
		return;
	buf_clear(&m->out);
	buf_clear(&m->value);
	buf_clear(&m->length);
	arena_reset(&m->a);
	free(m);
}

const struct door_meta *
mbox_meta(const struct mbox *m)
{
	return &m->meta;
}

bool
mbox_is_internal(const struct mbox *m)
{
	return m->internal;
}

/* --- lines --- */

static bool
is_blank(struct slice line)
{
	return slice_eq_str(line, "\n") || slice_eq_str(line, "\r\n");
}

static struct slice
without_end(struct slice line)
{
	if (line.n > 0 && line.p[line.n - 1] == '\n')
		line.n--;
	return line;
}

/* Does a message begin with this line, in the midst of the file? */
static bool
is_separator(const struct mbox *m, struct slice line)
{
	int64_t date;
	int ours;

	if (!mbox_from_parse(without_end(line), &date, &ours))
		return false;
	return date != INT64_MIN || m->ours != 0 || m->format == MBOX_O ||
	    m->format == MBOX_RD;
}

/* The line has been dealt with; the next piece may go on in it. */
static void
line_done(struct mbox *m, struct slice piece)
{
	m->in_line = piece.n > 0 && piece.p[piece.n - 1] != '\n';
	input_consume(m->in, piece.n);
}

/* --- what goes out --- */

static struct slice
static_end(bool crlf)
{
	return crlf ? SLICE_LIT("\r\n") : SLICE_LIT("\n");
}

/* Octets of the message as the file has them. */
static void
put(struct mbox *m, struct slice s)
{
	if (s.n == 0)
		return;
	if (m->ours == 2) { /* its last line end is none of its own */
		buf_put_slice(&m->out, m->eol);
		m->eol = SLICE_EMPTY;
		if (s.p[s.n - 1] == '\n') {
			bool crlf = m->crlf && s.n > 1 && s.p[s.n - 2] == '\r';

			m->eol = static_end(crlf);
			s.n -= m->eol.n;
		}
	}
	buf_put_slice(&m->out, s);
}

static void
put_quoted(struct mbox *m, struct slice s)
{
	struct buf plain = BUF_INIT;

	if (!m->quoted) {
		put(m, s);
		return;
	}
	if (!mbox_quote(&m->quoter, s, &plain))
		m->out.failed = true;
	put(m, buf_slice(&plain));
	buf_clear(&plain);
}

static void
put_blank(struct mbox *m)
{
	if (m->blank.n > 0)
		put_quoted(m, m->blank);
	m->blank = SLICE_EMPTY;
}

static void
hold_blank(struct mbox *m, struct slice line)
{
	put_blank(m);
	m->blank = static_end(line.n == 2);
}

/* --- fields --- */

static const struct {
	const char *name;
	enum field field;
} fields[] = {
	{ "Status:", FIELD_STATUS },
	{ "X-Status:", FIELD_X_STATUS },
	{ "X-Keywords:", FIELD_KEYWORDS },
	{ "Content-Length:", FIELD_LENGTH },
	{ "X-UID:", FIELD_NUMBERS },
	{ "X-IMAPbase:", FIELD_NUMBERS },
	{ "X-IMAP:", FIELD_C_CLIENT },
	{ "X-Mozilla-Status:", FIELD_MOZILLA },
	{ "X-Mozilla-Status2:", FIELD_NUMBERS },
	{ "X-Mozilla-Keys:", FIELD_KEYWORDS },
	{ "Date:", FIELD_DATE },
};
#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

static enum field
field_of(struct slice line, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (slice_starts_nocase(line, fields[i].name))
			return fields[i].field;
	return FIELD_OTHER;
}

static void
take_letters(struct mbox *m, struct slice value)
{
	static const struct {
		enum field field;
		char letter;
		uint32_t flag;
	} letters[] = { { FIELD_STATUS, 'R', MAILS_SEEN },
		{ FIELD_X_STATUS, 'A', MAILS_ANSWERED },
		{ FIELD_X_STATUS, 'F', MAILS_FLAGGED_FLAG },
		{ FIELD_X_STATUS, 'T', MAILS_DRAFT },
		{ FIELD_X_STATUS, 'D', MAILS_DELETED } };

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (letters[i].field == m->field &&
		    slice_find(value, letters[i].letter) >= 0)
			m->meta.flags |= letters[i].flag;
}

static void
take_keywords(struct mbox *m, struct slice value)
{
	struct slice word;

	while (value.n > 0) {
		word = slice_trim(slice_split(&value, ' '));
		if (word.n > 0)
			(void)door_keyword_add(&m->meta, &m->a, word);
	}
}

/* Four hexadecimal digits. */
static void
take_mozilla(struct mbox *m, struct slice value)
{
	unsigned long bits = 0;

	for (size_t i = 0; i < value.n && i < 4; i++) {
		char c = ascii_lower(value.p[i]);

		bits = bits << 4 |
		    (unsigned long)(ascii_is_digit(c) ? c - '0'
			    : c >= 'a' && c <= 'f'    ? c - 'a' + 10
						      : 0);
	}
	m->meta.flags |= (bits & 1 ? MAILS_SEEN : 0) |
	    (bits & 2 ? MAILS_ANSWERED : 0) |
	    (bits & 4 ? MAILS_FLAGGED_FLAG : 0);
	if (bits & 0x1000)
		(void)door_keyword_add(
		    &m->meta, &m->a, SLICE_LIT("$Forwarded"));
	m->internal |= (bits & 8) != 0; /* expunged, the file not compacted */
}

static void
take_length(struct mbox *m, struct slice value)
{
	/* What is no number is no length, and stays. */
	if (slice_u64(value, LENGTH_MAX, &m->body_octets) == 0)
		buf_put_slice(&m->length, buf_slice(&m->value));
	else
		put(m, buf_slice(&m->value));
}

/* The field has come to its end: what does it say? */
static void
field_end(struct mbox *m)
{
	struct slice value = buf_slice(&m->value);
	struct date d;

	(void)slice_split(&value, ':');
	value = slice_trim(value);
	if (m->field == FIELD_STATUS || m->field == FIELD_X_STATUS)
		take_letters(m, value);
	else if (m->field == FIELD_KEYWORDS)
		take_keywords(m, value);
	else if (m->field == FIELD_MOZILLA)
		take_mozilla(m, value);
	else if (m->field == FIELD_C_CLIENT)
		m->internal = true;
	else if (m->field == FIELD_LENGTH)
		take_length(m, value);
	else if (m->field == FIELD_DATE && date_parse(value, &d) == 0)
		m->date_field = d.time;
	m->field = FIELD_OTHER;
	buf_reset(&m->value);
}

/* Which field this line begins. Of what we wrote, only our own three on top
 * count; should another program have moved them, it is as any mbox. */
static enum field
field_begin(struct mbox *m, struct slice line)
{
	enum field f;

	if (m->ours != 0 && m->own < 3) {
		f = field_of(line, m->own, m->own + 1);
		if (f != FIELD_OTHER) {
			m->own++;
			return f;
		}
		m->own = 4;
	}
	if (m->own == 3)
		return FIELD_OTHER;
	f = field_of(line, 0, N_FIELDS);
	/* There the length is a field like others. */
	if (f == FIELD_LENGTH &&
	    (m->format == MBOX_O || m->format == MBOX_RD || m->length.n > 0))
		return FIELD_OTHER;
	return f;
}

/* --- the header --- */

/* Our own fields have one line each, whatever the next one begins with. */
static bool
is_continuation(const struct mbox *m, struct slice line)
{
	return m->own > 3 && (line.p[0] == ' ' || line.p[0] == '\t');
}

/* A piece of a header line. */
static void
header_piece(struct mbox *m, struct slice piece)
{
	bool begins = !m->in_line;

	if (begins && !is_continuation(m, piece)) {
		field_end(m);
		m->field = field_begin(m, piece);
	}
	if (m->field != FIELD_OTHER)
		buf_put_slice(&m->value, piece);
	/* UUCP's trail of ">From " lines is no part of the header. */
	if (m->ours == 0 && slice_starts(piece, ">From ") && begins)
		return;
	if (m->field == FIELD_OTHER || m->field == FIELD_DATE)
		put_quoted(m, piece);
}

/* The octets behind a body of that many: none, or the next message? */
static bool
is_boundary(struct slice before, struct slice s)
{
	bool at_line = before.n == 0 || before.p[0] == '\n';
	int64_t date;
	int ours;

	for (int i = 0; i < 2 && s.n > 0; i++) {
		size_t n = slice_starts(s, "\r\n") ? 2 : s.p[0] == '\n';

		at_line |= n > 0;
		s = slice_from(s, n);
	}
	if (s.n == 0)
		return true;
	return at_line &&
	    mbox_from_parse(slice_split(&s, '\n'), &date, &ours) &&
	    date != INT64_MIN;
}

/* Is it true what Content-Length says? */
static int
check_length(struct mbox *m, bool *good)
{
	char look[LOOK + 1];
	size_t got, first = m->body_octets > 0;
	int rc = input_ahead(
	    m->in, m->body_octets - first, look, LOOK + first, &got);

	*good = rc == 0 && got >= first &&
	    is_boundary(slice(look, first), slice(look + first, got - first));
	return rc;
}

/* What the body is like: as long as that, or up to the next "From "; with
 * something to be undone, or not. */
static int
body_begin(struct mbox *m)
{
	bool sized = false;
	int rc = 0;

	if (m->ours == 0 && m->length.n > 0)
		rc = check_length(m, &sized);
	m->quoted = m->ours != 0 || m->format == MBOX_O ||
	    m->format == MBOX_RD || m->format == MBOX_CL ||
	    (m->format == MBOX_ANY && !sized);
	m->quoter.unquote = true;
	m->quoter.only_one =
	    m->ours == 0 && (m->format == MBOX_O || m->format == MBOX_CL);
	m->state = sized ? IN_SIZED : IN_BODY;
	m->left = m->body_octets;
	if (!sized)
		put(m, buf_slice(&m->length)); /* it belongs to the message */
	return rc;
}

static int
header_end(struct mbox *m, struct slice line)
{
	int rc;

	field_end(m);
	m->blank = static_end(line.n == 2);
	line_done(m, line);
	rc = body_begin(m);
	/* Only what we wrote may have a header without a blank line. */
	if (m->ours == 0)
		put_blank(m);
	return rc;
}

static void
message_end(struct mbox *m)
{
	struct buf rest = BUF_INIT;

	if (m->state == IN_HEADER) {
		field_end(m);
		put(m, buf_slice(&m->length));
	}
	if (m->quoted) {
		mbox_quote_end(&m->quoter, &rest);
		put(m, buf_slice(&rest));
		buf_clear(&rest);
	}
	m->blank = m->eol = SLICE_EMPTY;
	if (m->meta.internaldate == INT64_MIN)
		m->meta.internaldate = m->date_field;
	m->state = AT_END;
}

static int
read_header(struct mbox *m)
{
	struct slice line;
	int rc = input_line(m->in, &line);

	if (rc != 0)
		return rc;
	if (line.n == 0 || (!m->in_line && is_separator(m, line))) {
		message_end(m);
		return 0;
	}
	if (!m->in_line && is_blank(line))
		return header_end(m, line);
	header_piece(m, line);
	line_done(m, line);
	return 0;
}

/* --- the body --- */

static int
read_body(struct mbox *m)
{
	struct slice line;
	int rc = input_line(m->in, &line);

	if (rc != 0)
		return rc;
	if (line.n == 0 || (!m->in_line && is_separator(m, line))) {
		message_end(m);
		return 0;
	}
	if (!m->in_line && is_blank(line)) {
		hold_blank(m, line);
	} else {
		put_blank(m);
		put_quoted(m, line);
	}
	line_done(m, line);
	return 0;
}

static int
read_sized(struct mbox *m)
{
	struct slice s;
	int rc;

	if (m->left > 0) {
		if ((rc = input_peek(m->in, 1, &s)) != 0)
			return rc;
		if (s.n == 0)
			return -EIO; /* it was there a moment ago */
		s = slice_head(
		    s, m->left < INPUT_MAX ? (size_t)m->left : INPUT_MAX);
		put_quoted(m, s);
		input_consume(m->in, s.n);
		m->left -= s.n;
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		if ((rc = input_peek(m->in, 2, &s)) != 0)
			return rc;
		if (slice_starts(s, "\r\n"))
			input_consume(m->in, 2);
		else if (slice_starts(s, "\n"))
			input_consume(m->in, 1);
	}
	message_end(m);
	return 0;
}

/* --- messages --- */

int
mbox_read(struct mbox *m, struct slice *out)
{
	int rc = 0;

	buf_reset(&m->out);
	while (rc == 0 && m->state != AT_END && m->state != AT_MESSAGE &&
	    m->out.n < OUT_ENOUGH) {
		if (m->state == IN_HEADER)
			rc = read_header(m);
		else
			rc = m->state == IN_BODY ? read_body(m) : read_sized(m);
	}
	*out = buf_slice(&m->out);
	return rc == 0 && m->out.failed ? -ENOMEM : rc;
}

static void
message_begin(struct mbox *m, int64_t date, int ours, bool crlf)
{
	m->state = IN_HEADER;
	m->begun = true;
	arena_reset(&m->a);
	m->meta = (struct door_meta){ .internaldate = date };
	m->ours = ours;
	m->crlf = crlf;
	m->own = ours != 0 ? 0 : 4;
	m->in_line = false;
	m->field = FIELD_OTHER;
	buf_reset(&m->value);
	buf_reset(&m->length);
	m->body_octets = m->left = 0;
	m->date_field = INT64_MIN;
	m->internal = false;
	m->blank = m->eol = SLICE_EMPTY;
	m->quoter = (struct mbox_quoter){ .unquote = true };
	m->quoted = ours != 0;
}

/* Past the blank lines that some files begin with, to a line. */
static int
find_line(struct mbox *m, struct slice *line)
{
	int rc;

	while ((rc = input_line(m->in, line)) == 0 && line->n > 0 &&
	    is_blank(*line))
		input_consume(m->in, line->n);
	return rc;
}

int
mbox_next(struct mbox *m)
{
	struct slice line;
	bool crlf, whole;
	int64_t date;
	int ours, rc;

	do
		if ((rc = mbox_read(m, &line)) != 0)
			return rc;
	while (line.n > 0);
	if ((rc = find_line(m, &line)) != 0 || line.n == 0)
		return rc;
	if (!mbox_from_parse(without_end(line), &date, &ours))
		return -EBADMSG;
	crlf = slice_ends_nocase(line, "\r\n");
	do { /* the rest of it, should it be absurdly long */
		whole = line.p[line.n - 1] == '\n';
		input_consume(m->in, line.n);
	} while (!whole && (rc = input_line(m->in, &line)) == 0 && line.n > 0);
	message_begin(m, date, ours, crlf);
	return rc == 0 ? 1 : rc;
}
