/* SPDX-License-Identifier: ISC */
/*
 * Lines of a connection are what a simple splitter makes of the whole input,
 * in whatever pieces it arrives. The first octet is the longest line allowed,
 * the second the size of the pieces.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/net/conn.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct slice input;
static size_t max, step;
static struct conn *near, *far;
static struct buf got, expected;

static void
note(struct buf *out, int rc, struct slice line, bool bare)
{
	buf_printf(out, "%d %d %zu ", rc, rc == 0 && bare, rc ? 0 : line.n);
	if (rc == 0)
		buf_put_slice(out, line);
}

/* The rule of conn.h, for input that is all there. */
static void
split(void)
{
	struct slice rest = input, line;
	ssize_t lf;
	bool cr;

	while ((lf = slice_find(rest, '\n')) >= 0) {
		line = slice_head(rest, (size_t)lf);
		rest = slice_from(rest, (size_t)lf + 1);
		cr = line.n > 0 && line.p[line.n - 1] == '\r';
		line.n -= cr;
		note(&expected, line.n > max ? -EMSGSIZE : 0, line, !cr);
	}
	note(&expected, -EPIPE, SLICE_EMPTY, false);
}

static void
send_pieces(void *arg)
{
	struct slice rest = input;

	(void)arg;
	while (rest.n > 0 && conn_write(near, slice_head(rest, step)) == 0 &&
	    conn_flush(near) == 0) {
		rest = slice_from(rest, step);
		co_yield ();
	}
	conn_shutdown(near);
}

static void
run(void *arg)
{
	struct co_group g = { 0 };
	struct slice line = SLICE_EMPTY;
	bool bare = false;
	int rc;

	(void)arg;
	if (conn_pair(&near, &far) != 0)
		abort();
	co_group_spawn(&g, send_pieces, NULL);
	do {
		rc = conn_read_line(far, max, &line, &bare);
		note(&got, rc, line, bare);
	} while (rc == 0 || rc == -EMSGSIZE);
	co_group_join(&g);
	conn_free(&near);
	conn_free(&far);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 2 || loop_init() != 0)
		return 0;
	max = p[0];
	step = p[1] == 0 ? 4096 : p[1];
	input = slice(p + 2, n - 2);
	buf_reset(&got);
	buf_reset(&expected);
	split();
	co_run(run, NULL);
	if (!slice_eq(buf_slice(&got), buf_slice(&expected)))
		abort();
	return 0;
}
