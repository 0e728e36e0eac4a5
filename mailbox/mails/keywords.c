/* SPDX-License-Identifier: ISC */
/*
 * The keywords of a mailbox: names in row "k", messages have bits. Names are
 * only ever added, so a bit means the same for ever.
 */
#include <stdlib.h>

#include "mailbox/mails/impl.h"

#define KEYWORD_MAX 255 /* octets */

void
keywords_clear(struct keywords *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->names[i]);
	k->n = 0;
}

/* An atom, as flag-keyword is (RFC 3501 9). */
static bool
keyword_is_valid(struct slice name)
{
	if (name.n == 0 || name.n > KEYWORD_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f ||
		    strchr("(){%*\"\\]", name.p[i]) != NULL)
			return false;
	return true;
}

static int
keyword_add(struct keywords *k, struct slice name)
{
	if (k->n == MAILS_KEYWORDS_MAX)
		return -E2BIG;
	if ((k->names[k->n] = slice_strdup(name)) == NULL)
		return -ENOMEM;
	k->n++;
	return 0;
}

int
keywords_read(struct box *x, struct keywords *k)
{
	struct buf row = BUF_INIT;
	struct slice rest;
	int rc = store_get(x->m->s, box_part(x), KEY_KEYWORDS, &row);

	keywords_clear(k);
	rest = buf_slice(&row);
	while (rc == 0 && rest.n > 0)
		rc = keyword_add(k, slice_split(&rest, '\0'));
	buf_clear(&row);
	return rc == -ENOENT ? 0 : rc;
}

int
keywords_bits(
    struct keywords *k, const char *const *names, uint64_t *bits, bool *grown)
{
	size_t i;
	int rc;

	*bits = 0;
	for (; names != NULL && *names != NULL; names++) {
		if (!keyword_is_valid(slice_str(*names)))
			return -EINVAL;
		/* Keywords do not differ by case. */
		for (i = 0; i < k->n; i++)
			if (slice_eq_str_nocase(slice_str(*names), k->names[i]))
				break;
		if (i == k->n) {
			if ((rc = keyword_add(k, slice_str(*names))) != 0)
				return rc;
			*grown = true;
		}
		*bits |= (uint64_t)1 << i;
	}
	return 0;
}

int
keywords_translate(const struct keywords *from, uint64_t bits,
    struct keywords *to, uint64_t *out)
{
	const char *name[2] = { NULL, NULL };
	uint64_t bit;
	bool grown;
	int rc;

	*out = 0;
	for (size_t i = 0; i < from->n; i++) {
		if ((bits & (uint64_t)1 << i) == 0)
			continue;
		name[0] = from->names[i];
		rc = keywords_bits(to, name, &bit, &grown);
		if (rc == 0)
			*out |= bit;
		else if (rc != -E2BIG)
			return rc;
	}
	return 0;
}

void
keywords_put(struct change *c, const struct keywords *k)
{
	struct buf row = BUF_INIT;

	for (size_t i = 0; i < k->n; i++)
		buf_put(&row, k->names[i], strlen(k->names[i]) + 1);
	store_put(c->b, KEY_KEYWORDS, buf_slice(&row));
	buf_clear(&row);
	c->h.keywords = (uint32_t)k->n;
}
