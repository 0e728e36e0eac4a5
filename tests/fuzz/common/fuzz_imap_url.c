/* SPDX-License-Identifier: ISC */
/* What is taken for a URL can stand in a line, and its token is made of its
 * own first octets. */
#include <stdlib.h>
#include <string.h>

#include "common/mail/imap_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena a = ARENA_INIT_MAX(0);
	struct slice in = slice(p, n);
	struct imap_url u, again;

	if (imap_url_parse(&a, in, &u) == 0) {
		for (size_t i = 0; i < n; i++)
			check(p[i] > ' ' && p[i] < 0x7f && p[i] != '"' &&
			    p[i] != '\\');
		check(u.uid > 0 && u.mailbox.n > 0 && u.host.n > 0);
		check(memchr(u.mailbox.p, '\n', u.mailbox.n) == NULL);
		check(u.rump.p == in.p && u.rump.n <= in.n);
		check((u.token.p == NULL) == (u.rump.n == in.n));
		/* The rump is a URL that says the same. */
		check(imap_url_parse(&a, u.rump, &again) == 0);
		check(again.access == u.access && again.uid == u.uid &&
		    slice_eq(again.mailbox, u.mailbox) &&
		    slice_eq(again.section, u.section) &&
		    slice_eq(again.access_user, u.access_user));
	}
	arena_reset(&a);
	return 0;
}
