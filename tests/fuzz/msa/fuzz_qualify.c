/* SPDX-License-Identifier: ISC */
/*
 * Domains for addresses that have none, in any field: taken out again, the
 * field is what it was; and what a reader of addresses sees are the same ones,
 * the complete ones first of all.
 */
#include <stdlib.h>
#include <string.h>

#include "common/mail/address.h"
#include "msa/msa.h"

#define DOMAIN "added.qualify.test"

static bool
is_known(void *arg, struct slice local)
{
	(void)arg;
	return local.n % 2 == 0;
}

/* Does `now` hold `was`, but for the domain and folds? */
static bool
is_the_same(struct slice was, struct slice now)
{
	while (now.n > 0) {
		if (slice_starts(now, "@" DOMAIN) &&
		    !slice_starts(was, "@" DOMAIN)) {
			now = slice_from(now, strlen("@" DOMAIN));
		} else if (slice_starts(now, "\r\n\t") &&
		    !slice_starts(was, "\r\n\t")) {
			now = slice_from(now, 3);
		} else {
			if (was.n == 0 || *was.p != *now.p)
				return false;
			was = slice_from(was, 1);
			now = slice_from(now, 1);
		}
	}
	return was.n == 0;
}

/* Addresses with a domain that was there before. */
static void
note(struct slice value, struct buf *out)
{
	struct arena a = ARENA_INIT_MAX((size_t)64 << 20);
	struct address_list list = { 0 };

	if (address_list_parse(&a, value, &list) == 0)
		for (size_t i = 0; i < list.n; i++) {
			const struct address *m = &list.v[i];

			if (m->domain.p == NULL || m->broken ||
			    slice_eq_str(m->domain, DOMAIN))
				continue;
			buf_put_slice(out, m->local);
			buf_put_char(out, '@');
			buf_put_slice(out, m->domain);
			buf_put_char(out, '\n');
		}
	arena_reset(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct msa_fixup f = { .domain = SLICE_LIT(DOMAIN),
		.is_known = is_known };
	struct slice value = slice(p, n);
	struct buf out = BUF_INIT, before = BUF_INIT, after = BUF_INIT;
	bool done;

	/* What has the mark already tells nothing. */
	if (n > 100000 || slice_find_slice(value, SLICE_LIT("@" DOMAIN)) >= 0)
		return 0;
	done = msa_qualify(value, &f, &out);
	if (!is_the_same(value, buf_slice(&out)) ||
	    (!done && !slice_eq(value, buf_slice(&out))))
		abort();
	note(value, &before);
	note(buf_slice(&out), &after);
	if (!slice_eq(buf_slice(&before), buf_slice(&after)))
		abort();
	buf_clear(&before);
	buf_clear(&after);
	buf_clear(&out);
	return 0;
}
