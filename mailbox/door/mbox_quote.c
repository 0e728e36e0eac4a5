/* SPDX-License-Identifier: ISC */
/* From-quoting of mbox, both ways, and the head of a message that we write. */
#include "common/mail/date.h"
#include "mailbox/door/mbox.h"

static const char from[] = "From ";
#define FROM_LEN (sizeof(from) - 1)

/* --- quoting --- */

/*
 * '>' at the start of a line goes through at once, but for the first one when
 * one may have to go; "From " is held back until it is one. It makes no
 * difference which '>' of many comes or goes.
 */
static bool
held_arrow(const struct mbox_quoter *q)
{
	return q->unquote && q->arrows > 0;
}

static void
let_go(struct mbox_quoter *q, bool is_from, struct buf *out)
{
	bool change =
	    is_from && (!q->only_one || q->arrows == (q->unquote ? 1 : 0));

	if (q->unquote ? held_arrow(q) && !change : change)
		buf_put_char(out, '>');
	buf_put(out, from, q->matched);
	q->in_line = true;
	q->matched = q->arrows = 0;
}

/* One octet at the start of a line. True: it has been dealt with. */
static bool
quote_start(struct mbox_quoter *q, char c, struct buf *out)
{
	if (c == '>' && q->matched == 0) {
		if (q->arrows > 0 || !q->unquote)
			buf_put_char(out, '>');
		q->arrows++;
		return true;
	}
	if (c == from[q->matched]) {
		if (++q->matched == FROM_LEN)
			let_go(q, true, out);
		return true;
	}
	let_go(q, false, out);
	return false;
}

bool
mbox_quote(struct mbox_quoter *q, struct slice in, struct buf *out)
{
	ssize_t lf;

	while (in.n > 0) {
		if (!q->in_line) {
			if (quote_start(q, in.p[0], out)) {
				in = slice_from(in, 1);
				continue;
			}
		}
		lf = slice_find(in, '\n');
		buf_put_slice(
		    out, slice_head(in, lf < 0 ? in.n : (size_t)lf + 1));
		if (lf < 0)
			break;
		q->in_line = false;
		in = slice_from(in, (size_t)lf + 1);
	}
	return !out->failed;
}

bool
mbox_quote_end(struct mbox_quoter *q, struct buf *out)
{
	if (!q->in_line)
		let_go(q, false, out);
	q->in_line = false;
	return !out->failed;
}

/* --- the head --- */

#define OURS "pneu-mboxrd"
#define OURS_IN_LINE "pneu-mboxrd-noeol"

/* "Fri Nov 20 22:00:00 2026", from "Fri, 20 Nov 2026 22:00:00 +0000". */
static void
put_asctime(struct buf *out, int64_t time)
{
	struct buf text = BUF_INIT;
	struct slice day, month, year, clock, rest;

	date_put(&text, (struct date){ .time = time });
	rest = buf_slice(&text);
	day = slice_split(&rest, ',');
	rest = slice_trim(rest);
	buf_put_slice(out, day);
	day = slice_split(&rest, ' ');
	month = slice_split(&rest, ' ');
	year = slice_split(&rest, ' ');
	clock = slice_split(&rest, ' ');
	buf_printf(out, " %.*s %2.*s %.*s %.*s", (int)month.n, month.p,
	    (int)day.n, day.p, (int)clock.n, clock.p, (int)year.n, year.p);
	if (text.failed)
		out->failed = true;
	buf_clear(&text);
}

bool
mbox_put_head(struct buf *out, const struct door_meta *meta, bool ends_in_line)
{
	uint32_t f = meta->flags;

	buf_printf(out, "From %s ", ends_in_line ? OURS_IN_LINE : OURS);
	put_asctime(out, meta->internaldate);
	/* O: not recent. All three, always: so it is clear which are ours. */
	buf_printf(out, "\nStatus: %sO\nX-Status: %s%s%s%s\nX-Keywords:",
	    f & MAILS_SEEN ? "R" : "", f & MAILS_ANSWERED ? "A" : "",
	    f & MAILS_FLAGGED_FLAG ? "F" : "", f & MAILS_DRAFT ? "T" : "",
	    f & MAILS_DELETED ? "D" : "");
	for (size_t i = 0; i < meta->n_keywords; i++)
		buf_printf(out, " %s", meta->keywords[i]);
	return buf_put_char(out, '\n');
}

/* --- the line --- */

static bool
is_month(struct slice word)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

	for (size_t i = 0; i < 12; i++)
		if (slice_eq_str_nocase(word, months[i]))
			return true;
	return false;
}

static bool
is_number(struct slice word)
{
	uint64_t n;

	return slice_u64(word, 9999, &n) == 0;
}

static struct slice
next_word(struct slice *s)
{
	while (s->n > 0 && (s->p[0] == ' ' || s->p[0] == '\t'))
		*s = slice_from(*s, 1);
	return slice_split(s, ' ');
}

/* "Nov 20 22:00[:00] ... 2026" or "20 Nov 2026 22:00 ...": what no sentence
 * that begins with "From " has. */
static bool
looks_like_date(struct slice s)
{
	struct slice a = next_word(&s), b = next_word(&s), c = next_word(&s);

	if (is_month(a) && is_number(b))
		return slice_find(c, ':') > 0;
	return is_number(a) && is_month(b) && is_number(c) &&
	    slice_find(next_word(&s), ':') > 0;
}

/* Senders may have spaces in them, so every word may begin the date. */
static bool
find_date(struct slice s, int64_t *date)
{
	struct slice at = s;
	struct date d;

	while (s.n > 0) {
		at = s;
		if (looks_like_date(s) && date_parse(at, &d) == 0) {
			*date = d.time;
			return true;
		}
		(void)next_word(&s);
	}
	return false;
}

bool
mbox_from_parse(struct slice line, int64_t *date, int *ours)
{
	struct slice sender;

	*date = INT64_MIN;
	*ours = 0;
	if (!slice_starts(line, from))
		return false;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	line = slice_from(line, FROM_LEN);
	sender = slice_head(line, line.n);
	sender = next_word(&sender);
	if (!find_date(line, date))
		return true;
	if (slice_eq_str(sender, OURS))
		*ours = 1;
	else if (slice_eq_str(sender, OURS_IN_LINE))
		*ours = 2;
	return true;
}
