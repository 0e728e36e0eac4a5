/* SPDX-License-Identifier: ISC */
#include "gateway/pop3_parse.h"

#include <errno.h>

enum pop3_status
pop3_status_parse(struct slice line, struct slice *text)
{
	static const struct {
		const char *word;
		enum pop3_status status;
	} words[] = { { "+OK", POP3_OK }, { "-ERR", POP3_ERR },
		{ "+", POP3_MORE } };
	struct slice rest = line, word = slice_split(&rest, ' ');

	*text = rest;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eq_str_nocase(word, words[i].word))
			return words[i].status;
	*text = line;
	return POP3_NONE;
}

struct slice
pop3_code(struct slice text)
{
	ssize_t end = slice_find(text, ']');

	if (text.n == 0 || text.p[0] != '[' || end < 0)
		return SLICE_EMPTY;
	return slice_from(slice_head(text, (size_t)end), 1);
}

bool
pop3_line_is_last(struct slice *line)
{
	if (line->n == 0 || line->p[0] != '.')
		return false;
	*line = slice_from(*line, 1);
	return line->n == 0;
}

int
pop3_uidl_parse(struct slice line, uint32_t *number, struct slice *uid)
{
	struct slice rest = line, word = slice_split(&rest, ' ');
	uint64_t n;

	rest = slice_trim(rest);
	if (slice_u64(word, UINT32_MAX, &n) != 0 || n == 0 || rest.n == 0 ||
	    rest.n > POP3_UID_MAX)
		return -EINVAL;
	for (size_t i = 0; i < rest.n; i++)
		if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == 0x7f)
			return -EINVAL;
	*number = (uint32_t)n;
	*uid = rest;
	return 0;
}

struct slice
pop3_timestamp(struct slice greeting)
{
	ssize_t from = slice_rfind(greeting, '<'),
		to = slice_rfind(greeting, '>');

	if (from < 0 || to < from ||
	    slice_find(slice_from(greeting, (size_t)from), '@') < 0)
		return SLICE_EMPTY;
	return slice_from(slice_head(greeting, (size_t)to + 1), (size_t)from);
}

/* --- a message --- */

/* What becomes of an octet: it is dropped, or belongs to the message; *cr says
 * that a CR that was held back does too. */
static bool
body_octet(struct pop3_body *b, char c, bool *cr)
{
	*cr = false;
	switch (b->state) {
	case POP3_LINE_START:
		if (c == '.') {
			b->state = POP3_DOT;
			return false;
		}
		break;
	case POP3_DOT:
		if (c == '\r') {
			b->state = POP3_DOT_CR;
			return false;
		}
		b->ended = c == '\n';
		break;
	case POP3_DOT_CR:
		b->ended = c == '\n';
		*cr = !b->ended;
		/* Of two CRs the second may be the one before the LF. */
		if (c == '\r')
			return false;
		break;
	case POP3_IN_LINE:
		break;
	}
	b->state = c == '\n' ? POP3_LINE_START : POP3_IN_LINE;
	return !b->ended;
}

int
pop3_body_feed(struct pop3_body *b, struct slice in,
    int (*octets)(void *arg, struct slice octets), void *arg, size_t *used)
{
	size_t from = 0, i = 0;
	bool cr, keep;
	int rc = 0;

	for (; i < in.n && !b->ended && rc == 0; i++) {
		keep = body_octet(b, in.p[i], &cr);
		if (keep && !cr)
			continue;
		/* The run that ends before this octet. */
		if (i > from)
			rc = octets(arg, slice_from(slice_head(in, i), from));
		if (rc == 0 && cr)
			rc = octets(arg, SLICE_LIT("\r"));
		from = keep ? i : i + 1;
	}
	if (rc == 0 && i > from)
		rc = octets(arg, slice_from(slice_head(in, i), from));
	*used = i;
	return rc;
}
