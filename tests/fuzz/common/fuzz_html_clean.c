/* SPDX-License-Identifier: ISC */
/*
 * Whatever comes in: what comes out has only markup of the lists, written as we
 * write it, and cleaned once more it is the same.
 */
#include <stdlib.h>

#include "common/mail/html_clean.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
require(bool good)
{
	if (!good)
		abort();
}

static bool
image(void *arg, struct slice src, struct buf *out)
{
	(void)arg;
	return slice_starts_nocase(src, "data:") &&
	    buf_put_str(out, "data:image/png;base64,AAAA");
}

/* From behind "<" to behind ">". */
static struct slice
check_tag(struct slice s)
{
	static const char *const never[] = { "script", "style", "svg", "math",
		"iframe", "object", "embed", "form", "input", "base", "meta",
		"link", "template", "noscript", "textarea", "title" };
	struct slice name;
	size_t n = 0;

	if (slice_starts(s, "/"))
		s = slice_from(s, 1);
	while (n < s.n && (ascii_is_alpha(s.p[n]) || ascii_is_digit(s.p[n])))
		n++;
	require(n > 0);
	name = slice_head(s, n);
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		require(!slice_eq_str_nocase(name, never[i]));
	s = slice_from(s, n);
	while (s.n > 0 && s.p[0] == ' ') {
		struct slice attribute = slice_from(s, 1);

		require(!slice_starts_nocase(attribute, "on"));
		s = attribute;
		name = slice_split(&s, '=');
		require(s.n > 0 && s.p[0] == '"');
		s = slice_from(s, 1);
		attribute = slice_split(&s, '"');
		require(slice_find(attribute, '<') < 0);
		if (slice_eq_str(name, "href"))
			require(slice_starts_nocase(attribute, "http") ||
			    slice_starts_nocase(attribute, "mailto:"));
		if (slice_eq_str(name, "src"))
			require(slice_starts(attribute, "data:image/"));
	}
	require(s.n > 0 && s.p[0] == '>');
	return slice_from(s, 1);
}

static void
check(struct slice s)
{
	while (s.n > 0) {
		ssize_t lt = slice_find(s, '<');

		require(slice_find(slice_head(s,
			    lt < 0 ? s.n : (size_t)lt), '>') < 0);
		if (lt < 0)
			return;
		s = check_tag(slice_from(s, (size_t)lt + 1));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct html_clean h = { .image = image };
	struct buf once = BUF_INIT, twice = BUF_INIT;

	require(html_clean(&h, slice(p, n), &once));
	check(buf_slice(&once));
	require(html_clean(&h, buf_slice(&once), &twice));
	check(buf_slice(&twice));
	require(slice_eq(buf_slice(&once), buf_slice(&twice)));
	buf_clear(&once);
	buf_clear(&twice);
	return 0;
}
