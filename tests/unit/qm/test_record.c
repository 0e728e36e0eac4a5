/* SPDX-License-Identifier: ISC */
/*
 * Rows of the queue, octet by octet: what an older program wrote is read, and
 * what is read is written again as it was.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "qm/queue/record.h"

#define TEXT(s) "\0\x01" s
/* flags body ret arrival due size blob attempts next */
#define FIXED                                                                  \
	"\x02\x01\x02"                                                         \
	"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x07"               \
	"0123456789abcdef\0\0\0\x08\0\0\0\x09"
#define TEXTS TEXT("f") TEXT("e") TEXT("t")
#define AT "\0\0\0\0\0\0\x0f\xa0" /* 4000 */

struct row {
	const char *name;
	const char *octets;
	size_t n;
	struct smtp_wishes wishes;
};
#define ROW(s) s, sizeof(s) - 1

static const struct row good[] = {
	{ "before there were wishes", ROW("\x01" FIXED TEXTS), { 0 } },
	{ "held", ROW("\x02" FIXED TEXTS "\x01\0\x0d" AT "for;4"),
	    { .release_ms = 4000, .hold = SLICE_LIT("for;4") } },
	{ "urgent", ROW("\x02" FIXED TEXTS "\x02\0\x01\x0d"),
	    { .priority = 4, .has_priority = true } },
	{ "late", ROW("\x02" FIXED TEXTS "\x03\0\x0a" AT "R\x01"),
	    { .by_ms = 4000, .by_mode = 'R', .by_trace = true } },
	{ "not without TLS", ROW("\x02" FIXED TEXTS "\x04\0\0"),
	    { .requiretls = true } },
	{ "by an outside account", ROW("\x02" FIXED TEXTS "\x05\0\0"),
	    { .outside = true } },
	{ "held and not urgent",
	    ROW("\x02" FIXED TEXTS "\x01\0\x09" AT "x\x02\0\x01\0"),
	    { .release_ms = 4000,
		.hold = SLICE_LIT("x"),
		.priority = -9,
		.has_priority = true } },
};

static const struct row bad[] = {
	{ "no such version", ROW("\x03" FIXED TEXTS), { 0 } },
	{ "more than there was", ROW("\x01" FIXED TEXTS "\x01\0\x09" AT "x"),
	    { 0 } },
	{ "a wish for nothing", ROW("\x02" FIXED TEXTS), { 0 } },
	{ "of a newer program", ROW("\x02" FIXED TEXTS "\x7f\0\x01x"), { 0 } },
	{ "cut off", ROW("\x02" FIXED TEXTS "\x01\0\x0d" AT "for;"), { 0 } },
	{ "no words", ROW("\x02" FIXED TEXTS "\x01\0\x08" AT), { 0 } },
	{ "late and then?", ROW("\x02" FIXED TEXTS "\x03\0\x0a" AT "X\x01"),
	    { 0 } },
	{ "neither yes nor no", ROW("\x02" FIXED TEXTS "\x03\0\x0a" AT "N\x02"),
	    { 0 } },
	{ "TLS and what else?", ROW("\x02" FIXED TEXTS "\x04\0\x01x"), { 0 } },
	{ "outside and what else?", ROW("\x02" FIXED TEXTS "\x05\0\x01x"),
	    { 0 } },
	{ "more urgent than there is", ROW("\x02" FIXED TEXTS "\x02\0\x01\x13"),
	    { 0 } },
	{ "not in order",
	    ROW("\x02" FIXED TEXTS "\x02\0\x01\0\x01\0\x09" AT "x"), { 0 } },
	{ "twice", ROW("\x02" FIXED TEXTS "\x01\0\x09" AT "x\x01\0\x09" AT "x"),
	    { 0 } },
};

static bool
wishes_are(const struct smtp_wishes *a, const struct smtp_wishes *b)
{
	return a->release_ms == b->release_ms && slice_eq(a->hold, b->hold) &&
	    a->priority == b->priority && a->has_priority == b->has_priority &&
	    a->by_ms == b->by_ms && a->by_mode == b->by_mode &&
	    a->by_trace == b->by_trace && a->requiretls == b->requiretls &&
	    a->outside == b->outside;
}

static void
rows_are_read_and_written_again(void **state)
{
	(void)state;
	assert_int_equal(sizeof(((struct queue_message *)0)->blob.octets), 16);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct queue_message *m = queue_message_new();
		struct slice row = slice(good[i].octets, good[i].n);
		struct buf again = BUF_INIT;

		if (record_message_get(m, row) != 0)
			fail_msg("%s: not read", good[i].name);
		assert_int_equal(m->arrival_ms, 5);
		assert_int_equal(m->next_index, 9);
		assert_true(slice_eq_str(m->trace, "t"));
		if (!wishes_are(&m->wishes, &good[i].wishes))
			fail_msg("%s: other wishes", good[i].name);
		assert_true(record_message_put(&again, m));
		if (!slice_eq(buf_slice(&again), row))
			fail_msg("%s: written otherwise", good[i].name);
		buf_clear(&again);
		queue_message_free(&m);
	}
}

static void
what_is_no_row_is_not_guessed_at(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct queue_message *m = queue_message_new();

		if (record_message_get(m, slice(bad[i].octets, bad[i].n)) == 0)
			fail_msg("%s: read", bad[i].name);
		queue_message_free(&m);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_read_and_written_again),
		cmocka_unit_test(what_is_no_row_is_not_guessed_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
