/* SPDX-License-Identifier: ISC */
/*
 * The small forms: sets, modified UTF-7, patterns, ENVELOPE. Properties: what
 * is decoded encodes to the same again; a resolved set is in order and apart;
 * what envelope_read_split gives lies inside its input.
 */
#include <stdlib.h>

#include "common/mail/casemap.h"
#include "mailbox/mails/envelope_read.h"
#include "mailbox/imap/imap_list.h"
#include "mailbox/imap/imap_set.h"
#include "common/imap/utf7.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
utf7(struct slice in)
{
	struct buf text = BUF_INIT, again = BUF_INIT;

	if (imap_utf7_decode(&text, in) == 0) {
		need(imap_utf7_encode(&again, buf_slice(&text)));
		need(slice_eq(buf_slice(&again), in));
	}
	need(text.n == 0 || text.p != NULL);
	buf_reset(&text);
	buf_reset(&again);
	if (imap_utf7_encode(&text, in)) {
		need(imap_utf7_decode(&again, buf_slice(&text)) == 0);
		need(slice_eq(buf_slice(&again), in));
	}
	buf_clear(&text);
	buf_clear(&again);
}

static void
sets(struct slice in)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct imap_set s;

	if (imap_set_parse(&a, in, &s) == 0) {
		imap_set_resolve(&s, 1000);
		need(s.n > 0);
		for (size_t i = 0; i < s.n; i++) {
			need(s.v[i].lo >= 1 && s.v[i].lo <= s.v[i].hi);
			need(i == 0 || s.v[i].lo > s.v[i - 1].hi + 1);
			need(imap_set_has(&s, s.v[i].lo) &&
			    imap_set_has(&s, s.v[i].hi));
			need(s.v[i].lo == 1 || i == 0 ||
			    !imap_set_has(&s, s.v[i].lo - 1));
		}
	}
	arena_reset(&a);
}

static void
envelope(struct slice in)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct slice f[ENVELOPE_FIELDS], s, rest;

	if (envelope_read_split(in, f) == 0)
		for (size_t i = 0; i < ENVELOPE_FIELDS; i++) {
			need(f[i].p > in.p && f[i].n > 0 &&
			    f[i].p + f[i].n < in.p + in.n);
			envelope_read_string(&a, f[i], &s);
			rest = f[i];
			for (size_t n = 0;
			     envelope_read_address(&a, &rest, &s) == 1; n++)
				need(n < in.n);
		}
	arena_reset(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice(data, size), pattern = in, name;
	struct buf mapped = BUF_INIT;

	utf7(in);
	sets(in);
	envelope(in);
	name = slice_head(slice_split(&pattern, '\n'), 200);
	imap_list_match(slice_head(pattern, 200), name);
	need(casemap_put(&mapped, in));
	need(mapped.n >= in.n / 4 && mapped.n <= 36 * in.n);
	buf_clear(&mapped);
	return 0;
}
