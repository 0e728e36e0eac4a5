/* SPDX-License-Identifier: ISC */
/*
 * A submitted header made complete. Whatever comes in, what leaves is read by
 * the next program as msa read it: the same header, with the fields that must
 * be there once and none that must not, and the senders that were checked.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mail/header.h"
#include "msa/msa.h"

struct senders {
	struct buf text;
	bool any;
};

static int
note(void *arg, struct slice local, struct slice domain)
{
	struct senders *s = arg;

	s->any = true;
	buf_put_slice(&s->text, local);
	buf_put_char(&s->text, '@');
	buf_put_slice(&s->text, domain.p == NULL ? SLICE_EMPTY : domain);
	buf_put_char(&s->text, '\n');
	return 0;
}

static void
check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice message = slice(p, n), header;
	struct msa_fixup f = { .fixes = MSA_FIX_ALL,
		.from = SLICE_LIT("a@x.test"),
		.sender = SLICE_LIT("a@x.test"),
		.id_domain = SLICE_LIT("x.test"),
		.domain = SLICE_LIT("x.test") };
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	struct senders before = { .any = false }, after = { .any = false };
	struct buf out = BUF_INIT;
	size_t fields;

	if (n > 200000 || !msa_header_measure(message, n, &header))
		return 0;
	check(msa_fixup_header(header, &f, &out));
	fields = out.n;
	buf_put_str(&out, "\r\n");
	buf_put_slice(&out, slice_from(message, header.n));
	/* The blank line is where the next one finds it. */
	check(header_size(buf_slice(&out)) == fields + 2 ||
	    fields + 2 > HEADER_MAX);
	check(header_count(buf_slice(&out), "Bcc") == 0);
	check(header_count(buf_slice(&out), "Return-Path") == 0);
	check(header_count(buf_slice(&out), "Date") > 0);
	check(header_count(buf_slice(&out), "Message-ID") > 0);
	check(header_count(buf_slice(&out), "From") > 0);
	if (msa_each_address(&a, header, "From", note, &before) == 0 && before.any &&
	    msa_each_address(&a, buf_slice(&out), "From", note, &after) == 0)
		check(
		    slice_eq(buf_slice(&before.text), buf_slice(&after.text)));
	buf_clear(&before.text);
	buf_clear(&after.text);
	buf_clear(&out);
	arena_reset(&a);
	return 0;
}
