/* SPDX-License-Identifier: ISC */
/*
 * Rows of the queue as a damaged store could give them, and guard's list of
 * forward-paths. What is read and written again is the same row.
 */
#include <stdlib.h>
#include <string.h>

#include "qm/queue/record.h"
#include "qm/verdict.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
try_message(struct slice row)
{
	struct queue_message *m = queue_message_new();
	struct buf again = BUF_INIT;

	if (record_message_get(m, row) == 0) {
		check(record_message_put(&again, m));
		check(slice_eq(buf_slice(&again), row));
	}
	buf_clear(&again);
	queue_message_free(&m);
}

static void
try_rcpt(struct slice row)
{
	struct queue_message *m = queue_message_new();
	struct record_key k = record_rcpt_key("01M7XKBCWGY8BZ2K156E", 7);
	struct buf again = BUF_INIT;

	if (record_rcpt_get(m, record_slice(&k), row) == 0) {
		check(m->n_rcpts == 1 && m->rcpts[0]->index == 7);
		check(record_rcpt_put(&again, m->rcpts[0]));
		/* A NUL in the status ends it: shorter, but never other. */
		check(again.n <= row.n);
		check(again.n < row.n || slice_eq(buf_slice(&again), row));
	}
	buf_clear(&again);
	queue_message_free(&m);
}

static void
try_expand(struct slice text)
{
	struct queue_message *m = queue_message_new();
	struct queue_rcpt *from =
	    queue_message_add(m, SLICE_LIT("a@x.test"), 0, SLICE_EMPTY);
	int n = verdict_expand(m, from, text, text.n % 2 == 0);

	check(n >= 0 && m->n_rcpts <= (size_t)n + 1);
	for (size_t i = 1; i < m->n_rcpts; i++)
		check(m->rcpts[i]->address.n > 0 &&
		    memchr(m->rcpts[i]->address.p, '\n',
			m->rcpts[i]->address.n) == NULL);
	queue_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n > 20000)
		return 0;
	try_message(slice(p, n));
	try_rcpt(slice(p, n));
	try_expand(slice(p, n));
	return 0;
}
