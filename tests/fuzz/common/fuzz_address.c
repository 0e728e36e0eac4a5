/* SPDX-License-Identifier: ISC */
/*
 * Address lists: groups are balanced, each mailbox has its parts, an address
 * that is not broken survives writing; the canonical form is canonical.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/address.h"
#include "common/mail/charset.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

/* Written and parsed again it is the same. */
static void
check_survives(struct arena *a, const struct address *m)
{
	struct address_list again;
	struct buf b = BUF_INIT;

	check(address_put(&b, m, false));
	check(address_list_parse(a, buf_slice(&b), &again) == 0);
	check(again.n == 1 && again.v[0].kind == ADDRESS_MAILBOX);
	check(!again.v[0].broken);
	check(slice_eq(again.v[0].local, m->local));
	check(slice_eq(again.v[0].domain, m->domain));
	check((again.v[0].name.n == 0) == (slice_trim(m->name).n == 0));
	buf_clear(&b);
}

static void
check_list(struct arena *a, const struct address_list *list)
{
	bool in_group = false;

	check(list->n <= ADDRESS_LIST_MAX + 1);
	for (size_t i = 0; i < list->n; i++) {
		const struct address *m = &list->v[i];

		if (m->kind == ADDRESS_MAILBOX) {
			check(m->local.p != NULL);
			check(m->name.p == NULL || utf8_is_valid(m->name));
			check((m->name.p == NULL) == (m->raw_name.p == NULL));
			check(m->broken || (m->local.n > 0 && m->domain.n > 0));
			if (!m->broken && i < 20)
				check_survives(a, m);
		} else {
			check(in_group == (m->kind == ADDRESS_GROUP_END));
			check((m->name.p == NULL) == in_group);
			in_group = !in_group;
		}
	}
	check(!in_group);
}

static void
check_canonical(struct arena *a, struct slice s)
{
	struct slice out, again, local, domain;

	if (address_canonical(a, s, &out) != 0)
		return;
	check(out.n <= ADDRESS_MAX && utf8_is_valid(out));
	check(address_canonical(a, out, &again) == 0);
	check(slice_eq(out, again));
	check(address_split(out, &local, &domain) == 0);
	check(local.n <= ADDRESS_LOCAL_MAX && domain.n <= ADDRESS_DOMAIN_MAX);
	check(ascii_is_all(domain));
	check(domain_display(a, domain).p != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct address_list list;
	struct slice s = slice(data, size);

	check(address_list_parse(&a, s, &list) == 0);
	check_list(&a, &list);
	check_canonical(&a, s);
	arena_reset(&a);
	return 0;
}
