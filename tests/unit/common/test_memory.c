/* SPDX-License-Identifier: ISC */
/* The count of all buffers, and what its limit does to arenas and spools. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/smtp/spool.h"

#define K ((size_t)1 << 10)

static int
teardown(void **state)
{
	(void)state;
	memory_set_limit(0);
	return memory_used() == 0 ? 0 : -1;
}

static void
buffers_and_arenas_are_counted(void **state)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT_MAX(200 * K);

	(void)state;
	assert_false(memory_is_full()); /* without a limit */
	assert_true(buf_reserve(&b, 100 * K));
	assert_int_equal(memory_used(), b.cap);
	assert_true(buf_reserve(&b, 300 * K));
	assert_int_equal(memory_used(), b.cap);
	assert_non_null(arena_alloc(&a, 50 * K));
	assert_true(memory_used() >= b.cap + 50 * K);
	arena_reset(&a);
	assert_int_equal(memory_used(), b.cap);
	buf_clear(&b);
	assert_int_equal(memory_used(), 0);
}

static void
an_arena_stays_small_when_all_is_used(void **state)
{
	struct buf b = BUF_INIT;
	struct arena a = ARENA_INIT_MAX(200 * K), other = a;

	(void)state;
	memory_set_limit(256 * K);
	assert_non_null(arena_alloc(&a, 100 * K));
	assert_false(memory_is_short());
	assert_true(buf_reserve(&b, 100 * K));
	assert_true(memory_is_short());
	assert_false(memory_is_full());
	assert_true(buf_reserve(&b, 200 * K));
	assert_true(memory_is_full());
	assert_null(arena_alloc(&a, 50 * K));
	assert_null(arena_alloc(&other, 50 * K));
	assert_non_null(arena_alloc(&other, 20 * K));
	buf_clear(&b);
	assert_false(memory_is_full());
	assert_non_null(arena_alloc(&a, 50 * K));
	arena_reset(&a);
	arena_reset(&other);
}

/* A message in pieces of `piece` octets, short of memory from `from` on. */
static void
spool_of(size_t size, size_t piece, size_t from)
{
	struct buf plug = BUF_INIT;
	struct spool *s;
	struct slice head, view;
	char *text = malloc(size), *back = malloc(size);
	size_t got;

	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i % 23);
	memory_set_limit(1024 * K);
	assert_int_equal(spool_new(&s, "/tmp"), 0);
	for (size_t at = 0; at < size; at += piece) {
		size_t n = size - at < piece ? size - at : piece;

		if (at >= from)
			assert_true(buf_reserve(&plug, 600 * K));
		assert_int_equal(spool_write(s, slice(text + at, n)), 0);
	}
	assert_true(from >= size || memory_used() < plug.cap + from + 300 * K);
	if (from == 0)
		assert_true(memory_used() <= plug.cap + 16 * K);
	assert_int_equal(spool_size(s), size);
	for (size_t n = 1; n <= 64 * K; n *= 2) {
		assert_int_equal(spool_head(s, n, &head), 0);
		assert_int_equal(head.n, n < size ? n : size);
		assert_memory_equal(head.p, text, head.n);
	}
	assert_int_equal(spool_read(s, 0, back, size, &got), 0);
	assert_int_equal(got, size);
	assert_memory_equal(back, text, size);
	for (size_t at = 0; at < size; at += view.n) {
		assert_int_equal(spool_view(s, at, &view), 0);
		assert_true(view.n > 0 && at + view.n <= size);
		assert_memory_equal(view.p, text + at, view.n);
	}
	spool_free(&s);
	buf_clear(&plug);
	free(text);
	free(back);
}

static void
messages_go_to_files_sooner(void **state)
{
	static const size_t sizes[] = { 100, 7 * K, 8 * K, 8 * K + 1, 70 * K,
		300 * K, 900 * K };
	static const size_t pieces[] = { 77, 8 * K, 100 * K, 1024 * K };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t k = 0; k < sizeof(pieces) / sizeof(*pieces); k++) {
			spool_of(sizes[i], pieces[k], 0);
			spool_of(sizes[i], pieces[k], 5 * K);
			spool_of(sizes[i], pieces[k], 100 * K);
			spool_of(sizes[i], pieces[k], SIZE_MAX);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
		    buffers_and_arenas_are_counted, teardown),
		cmocka_unit_test_teardown(
		    an_arena_stays_small_when_all_is_used, teardown),
		cmocka_unit_test_teardown(
		    messages_go_to_files_sooner, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
