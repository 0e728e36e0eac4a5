/* SPDX-License-Identifier: ISC */
/*
 * The header of any message: the same in chunks, made of its fields; no value,
 * however written, brings in a second field.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/header.h"
#include "common/mail/message_id.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
check_reader(struct slice m, size_t step, size_t size)
{
	struct header_reader r;
	size_t at = 0;

	header_reader_init(&r);
	while (at < m.n && !r.done) {
		struct slice chunk = slice_head(slice_from(m, at), step);

		check(header_reader_feed(&r, chunk) == 0);
		at += chunk.n;
	}
	if (!r.done)
		header_reader_end(&r);
	check(slice_eq(header_reader_header(&r), slice_head(m, size)));
	check(slice_eq(header_reader_body(&r), slice(m.p + size, at - size)));
	header_reader_clear(&r);
}

static void
check_one_line(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		check(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0');
	check(s.n == 0 ||
	    (!ascii_is_space(s.p[0]) && !ascii_is_space(s.p[s.n - 1])));
}

/* Written and read again it is one field, whatever is in it. */
static void
check_written(struct slice value)
{
	struct buf b = BUF_INIT;
	struct slice rest, line;
	struct header_field f;

	check(header_put(&b, "Name", value));
	rest = buf_slice(&b);
	check(header_size(rest) == (rest.n <= HEADER_MAX ? rest.n : 0) ||
	    rest.n > HEADER_MAX);
	check(header_next(&rest, &f) && rest.n == 0);
	check(slice_eq_str(f.name, "Name") && f.raw.n == b.n);
	for (rest = buf_slice(&b); rest.n > 0;) {
		line = slice_split(&rest, '\n');
		check(line.n <= 999 && line.p[line.n - 1] == '\r');
		check(slice_find(line, '\r') == (ssize_t)line.n - 1);
	}
	buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice m = slice(data, n), rest, *ids, value;
	struct arena a = { 0 };
	size_t size = header_size(m), fields = 0, n_ids;
	struct header_field f;

	check(size <= n && size <= HEADER_MAX);
	check_reader(m, n == 0 ? 1 : 1 + data[n - 1] % 16, size);
	rest = slice_head(m, size);
	while (header_next(&rest, &f)) {
		check(f.raw.p >= m.p && f.raw.p + f.raw.n <= m.p + size);
		check(f.name.p == f.raw.p && f.name.n < f.raw.n);
		value = header_unfold(&a, f.value);
		check_one_line(value);
		check_written(f.value);
		check(message_id_list(&a, f.value, &ids, &n_ids) == 0);
		fields += slice_eq_str_nocase(f.name, "to");
	}
	check(rest.n == 0);
	check(fields == header_count(m, "To"));
	check(header_find(m, "To", &f) == (fields > 0));
	check_one_line(header_unfold(&a, m));
	check_written(m);
	arena_reset(&a);
	return 0;
}
