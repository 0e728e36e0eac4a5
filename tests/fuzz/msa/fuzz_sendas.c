/* SPDX-License-Identifier: ISC */
/*
 * Send-As on any header. Without a tag nothing is to change; with one, what
 * leaves is the same header with another From and Subject: the fields are as
 * many, the address is the new one, its name the old one, the Subject reads as
 * it did without the tag, and no line ends where none did.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "msa/msa.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

/* No bare CR or LF, no NUL, where none was. */
static void
check_line_ends(struct slice out)
{
	for (size_t i = 0; i < out.n; i++) {
		if (out.p[i] == '\n')
			check(i > 0 && out.p[i - 1] == '\r');
		if (out.p[i] == '\r')
			check(i + 1 < out.n && out.p[i + 1] == '\n');
	}
}

static bool
is_clean(struct slice in)
{
	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] == '\0')
			return false;
		if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
			return false;
		if (in.p[i] == '\r' && (i + 1 >= in.n || in.p[i + 1] != '\n'))
			return false;
	}
	return true;
}

/* Is there a tag at all, told in another way? */
static bool
may_have_tag(struct arena *a, struct slice header)
{
	struct slice rest = header, text;
	struct header_field f;

	while (header_next(&rest, &f)) {
		if (!slice_eq_str_nocase(f.name, "Subject"))
			continue;
		text = encoded_decode(a, f.value);
		for (size_t i = 0; i < text.n; i++)
			if (slice_starts_nocase(
				slice_from(text, i), "[sendas:"))
				return true;
	}
	return false;
}

static size_t
count_fields(struct slice header, bool others_only)
{
	struct slice rest = header;
	struct header_field f;
	size_t n = 0;

	while (header_next(&rest, &f))
		n += !others_only ||
		    (!slice_eq_str_nocase(f.name, "From") &&
			!slice_eq_str_nocase(f.name, "Sender"));
	return n;
}

static void
check_from(struct arena *a, struct slice header, struct slice local)
{
	struct address_list list;
	struct header_field f;

	check(header_count(header, "Sender") == 0);
	check(header_count(header, "From") <= 1);
	if (!header_find(header, "From", &f) ||
	    address_list_parse(a, f.value, &list) != 0)
		return;
	check(list.n == 1 && !list.v[0].broken);
	check(slice_eq(list.v[0].local, local));
	check(slice_eq_str(list.v[0].domain, "all.lab"));
}

static void
check_subject(struct arena *a, struct slice out, const struct sendas_tag *tag,
    struct slice local)
{
	struct sendas_tag again;
	struct slice rest = out;
	struct header_field f;
	bool seen = false;

	/* Only an address could make one, and those cannot hold brackets. */
	check(sendas_find(a, out, &again) == SENDAS_NONE);
	while (header_next(&rest, &f))
		if (slice_eq_str_nocase(f.name, "Subject"))
			seen |= slice_eq(header_unfold(a, f.value),
			    header_unfold(a, tag->subject));
	check(seen);
	check(slice_find_slice(local, SLICE_LIT("]")) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice message = slice(p, n), header, fields;
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	struct sendas_tag tag = { .text = SLICE_EMPTY };
	struct buf out = BUF_INIT;
	int found;

	if (n > 100000 || !msa_header_measure(message, n, &header))
		return 0;
	found = sendas_find(&a, header, &tag);
	check(found >= 0);
	check(found == SENDAS_NONE || may_have_tag(&a, header));
	if (found == SENDAS_NONE || found == SENDAS_TAG) {
		const struct sendas_tag *t =
		    found == SENDAS_TAG ? &tag : NULL;
		struct slice local =
		    t != NULL ? t->local : SLICE_LIT("new.one");

		check(sendas_rewrite(&a, header, t, local,
			  SLICE_LIT("all.lab"), &out) == 0);
		fields = buf_slice(&out);
		if (is_clean(header))
			check_line_ends(fields);
		check(count_fields(fields, true) ==
		    count_fields(header, true));
		check_from(&a, fields, local);
		if (t != NULL)
			check_subject(&a, fields, t, local);
	}
	buf_clear(&out);
	arena_reset(&a);
	return 0;
}
