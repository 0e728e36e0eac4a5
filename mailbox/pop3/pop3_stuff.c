/* SPDX-License-Identifier: ISC */
#include "mailbox/pop3/pop3_stuff.h"

/* One line or a piece of one; true when it ended the line. */
static bool
put_piece(struct pop3_stuffer *t, struct slice piece, struct buf *out)
{
	if (!t->in_line && piece.p[0] == '.')
		buf_put_char(out, '.');
	buf_put_slice(out, piece);
	t->last = piece.p[piece.n - 1];
	t->in_line = t->last != '\n';
	return !t->in_line;
}

bool
pop3_stuff(struct pop3_stuffer *t, struct slice in, struct buf *out)
{
	while (in.n > 0) {
		ssize_t lf = slice_find(in, '\n');
		struct slice piece =
		    lf < 0 ? in : slice_head(in, (size_t)lf + 1);

		if (t->counting && t->lines == 0)
			return true;
		if (put_piece(t, piece, out) && t->counting)
			t->lines--;
		in = slice_from(in, piece.n);
	}
	return t->counting && t->lines == 0;
}

void
pop3_stuff_end(struct pop3_stuffer *t, struct buf *out)
{
	if (t->in_line)
		buf_put_str(out, t->last == '\r' ? "\n" : "\r\n");
	buf_put_str(out, ".\r\n");
}
