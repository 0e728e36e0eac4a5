/* SPDX-License-Identifier: ISC */
/* A message and the lines of a POP3 server: the same whole or octet by octet;
 * what is taken apart is part of what was given. */
#include <stdlib.h>

#include "gateway/pop3_parse.h"

static int
put(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -1;
}

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static size_t
body(struct slice in, size_t step, struct pop3_body *b, struct buf *out)
{
	size_t used, all = 0;

	while (in.n > 0 && !b->ended) {
		need(pop3_body_feed(b, slice_head(in, step), put, out, &used) ==
		    0);
		need(b->ended || used == slice_head(in, step).n);
		in = slice_from(in, used);
		all += used;
	}
	return all;
}

static bool
is_within(struct slice part, struct slice all)
{
	return part.n == 0 ||
	    (part.p >= all.p && part.p + part.n <= all.p + all.n);
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

int
LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
	struct slice in = slice(p, n), line = in, text, uid;
	struct pop3_body a = { 0 }, b = { 0 };
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	uint32_t number;

	need(body(in, n, &a, &whole) == body(in, 1, &b, &pieces));
	need(a.ended == b.ended && a.state == b.state);
	need(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
	need(whole.n <= n);
	(void)pop3_status_parse(in, &text);
	need(is_within(text, in) && is_within(pop3_code(text), in));
	need(is_within(pop3_timestamp(in), in));
	if (pop3_uidl_parse(in, &number, &uid) == 0)
		need(number > 0 && uid.n > 0 && is_within(uid, in));
	if (!pop3_line_is_last(&line))
		need(is_within(line, in));
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
