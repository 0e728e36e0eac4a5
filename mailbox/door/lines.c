/* SPDX-License-Identifier: ISC */
#include "mailbox/door/lines.h"

bool
crlf_make(struct crlf_maker *c, struct slice in, struct buf *out)
{
	while (in.n > 0) {
		ssize_t lf = slice_find(in, '\n');
		size_t n = lf < 0 ? in.n : (size_t)lf;

		if (n > 0)
			c->after_cr = in.p[n - 1] == '\r';
		buf_put_slice(out, slice_head(in, n));
		if (lf < 0)
			break;
		buf_put_slice(
		    out, c->after_cr ? SLICE_LIT("\n") : SLICE_LIT("\r\n"));
		c->after_cr = false;
		in = slice_from(in, n + 1);
	}
	return !out->failed;
}

bool
lf_make(struct lf_maker *l, struct slice in, struct buf *out)
{
	while (in.n > 0) {
		ssize_t cr;

		if (l->cr_held && in.p[0] != '\n')
			buf_put_char(out, '\r');
		l->cr_held = false;
		if ((cr = slice_find(in, '\r')) < 0)
			return buf_put_slice(out, in);
		buf_put_slice(out, slice_head(in, (size_t)cr));
		l->cr_held = true;
		in = slice_from(in, (size_t)cr + 1);
	}
	return !out->failed;
}

bool
lf_make_end(struct lf_maker *l, struct buf *out)
{
	if (l->cr_held)
		buf_put_char(out, '\r');
	l->cr_held = false;
	return !out->failed;
}

/* The two octets that stand before in.p[at]. */
static void
census_look(const struct line_census *c, struct slice in, size_t at,
    unsigned char *one, unsigned char *two)
{
	*one = at > 0 ? (unsigned char)in.p[at - 1] : c->last;
	*two = at > 1 ? (unsigned char)in.p[at - 2]
	    : at > 0  ? c->last
		      : c->before;
}

void
line_census_feed(struct line_census *c, struct slice in)
{
	unsigned char one, two;
	const char *lf = in.p;

	if (in.n == 0)
		return;
	while ((lf = memchr(lf, '\n', in.n - (size_t)(lf - in.p))) != NULL) {
		census_look(c, in, (size_t)(lf - in.p), &one, &two);
		c->crlfs += one == '\r';
		c->other |= one != '\r' || two == '\r';
		if (++lf == in.p + in.n)
			break;
	}
	c->octets += in.n;
	c->before = in.n > 1 ? (unsigned char)in.p[in.n - 2] : c->last;
	c->last = (unsigned char)in.p[in.n - 1];
}
