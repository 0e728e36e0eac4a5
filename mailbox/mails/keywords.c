/* SPDX-License-Identifier: ISC */
/*
 * The keywords of a mailbox: names in row "k", NUL behind each, messages have
 * bits. Names are only ever added, so a bit means the same for ever. Sealed
 * (name_seal.h), the row begins with an octet that no keyword has.
 *
 * A row that does not open, or has no keywords, costs the names: they are made
 * up, so that bits mean something and messages can be read, and none can be added until
 * check --rebuild has put made-up names for good.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/mails/impl.h"
#include "mailbox/mails/name_seal.h"

#define SEALED '\1'
#define ABOUT_MAX 24

void
keywords_clear(struct keywords *k)
{
	for (size_t i = 0; i < k->n; i++)
		free(k->names[i]);
	k->n = 0;
	k->damaged = k->lost = false;
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

static int
keywords_split(struct keywords *k, struct slice rest)
{
	struct slice name;
	int rc = 0;

	while (rc == 0 && rest.n > 0) {
		name = slice_split(&rest, '\0');
		rc = mails_keyword_is_valid(name) ? keyword_add(k, name) : -EBADMSG;
	}
	return rc == -E2BIG ? -EBADMSG : rc;
}

static int
keywords_make_up(struct keywords *k, unsigned n)
{
	char name[24];
	int rc = 0;

	for (unsigned i = (unsigned)k->n;
	     i < n && i < MAILS_KEYWORDS_MAX && rc == 0; i++) {
		snprintf(name, sizeof(name), "lost-%u", i + 1);
		rc = keyword_add(k, slice_str(name));
	}
	return rc;
}

/* What is authenticated with a row: of which mailbox. */
static struct slice
about_make(char out[static ABOUT_MAX], const struct box *x)
{
	struct slice part = box_part(x);

	memcpy(out, part.p, part.n);
	out[part.n] = '\0';
	out[part.n + 1] = 'k';
	return slice(out, part.n + 2);
}

static int
keywords_open(
    struct box *x, struct name_sealer *s, struct slice row, struct keywords *k)
{
	struct buf names = BUF_INIT;
	char about[ABOUT_MAX];
	int rc = name_open(s, about_make(about, x), row, &names);

	if (rc == 0)
		rc = keywords_split(k, buf_slice(&names));
	buf_clear(&names);
	return rc;
}

static int
keywords_damaged(struct box *x, struct keywords *k, int rc)
{
	struct header h;

	log_warning("keywords cannot be opened", "mailbox=%s error=\"%s\"",
	    x->part, strerror(-rc));
	keywords_clear(k);
	k->damaged = true;
	k->lost = rc == -EBADMSG;
	rc = box_read(x, &h);
	return keywords_make_up(k, rc == 0 ? h.keywords : MAILS_KEYWORDS_MAX);
}

/* What keywords_put needs, which may not wait: whose the mailbox is, and the
 * key that it may have to be sealed with. */
static int
keywords_sealer(struct box *x, struct name_sealer *s)
{
	const char *account;
	int rc = box_account(x, &account);

	*s = (struct name_sealer){ .write_rc = rc == -ENOENT ? -EIO : rc };
	return rc == 0      ? name_sealer_init(s, x->m, account)
	    : rc == -ENOENT ? 0
			    : rc;
}

int
keywords_read(struct box *x, struct keywords *k)
{
	struct buf row = BUF_INIT;
	struct name_sealer s;
	struct slice rest;
	int rc = keywords_sealer(x, &s);

	keywords_clear(k);
	if (rc == 0)
		rc = store_get(x->m->s, box_part(x), KEY_KEYWORDS, &row);
	rest = buf_slice(&row);
	k->sealed = rest.n > 0 && rest.p[0] == SEALED;
	if (rc == 0)
		rc = k->sealed ? keywords_open(x, &s, slice_from(rest, 1), k)
			       : keywords_split(k, rest);
	if (rc == -EBADMSG || rc == -ENOKEY)
		rc = keywords_damaged(x, k, rc);
	name_sealer_wipe(&s);
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
		if (!mails_keyword_is_valid(slice_str(*names)))
			return -EINVAL;
		/* Keywords do not differ by case. */
		for (i = 0; i < k->n; i++)
			if (slice_eq_str_nocase(slice_str(*names), k->names[i]))
				break;
		if (i == k->n) {
			if (k->damaged)
				return -EIO;
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

int
keywords_put(struct change *c, const struct keywords *k)
{
	struct buf names = BUF_INIT, row = BUF_INIT;
	char about[ABOUT_MAX];
	struct name_sealer s = { 0 };
	int rc = c->x->account == NULL
	    ? -EIO
	    : name_sealer_init(&s, c->x->m, c->x->account);

	for (size_t i = 0; i < k->n; i++)
		buf_put(&names, k->names[i], strlen(k->names[i]) + 1);
	if (rc == 0)
		rc = names.failed ? -ENOMEM : s.write_rc;
	if (rc == 0 && s.seals) {
		buf_put_char(&row, SEALED);
		names.n--; /* the last one's end */
		rc = name_seal(
		    &s, about_make(about, c->x), buf_slice(&names), &row);
		store_put(c->b, KEY_KEYWORDS, buf_slice(&row));
	} else if (rc == 0) {
		store_put(c->b, KEY_KEYWORDS, buf_slice(&names));
	}
	c->h.keywords = (uint32_t)k->n;
	name_sealer_wipe(&s);
	buf_clear(&names);
	buf_clear(&row);
	return rc;
}

static int
convert_attempt(struct box *x, bool lost)
{
	struct keywords k = { .n = 0 };
	struct name_sealer s;
	struct change c;
	int rc = keywords_sealer(x, &s);

	if (rc == 0)
		rc = s.write_rc;
	if (rc == 0)
		rc = keywords_read(x, &k);
	if (rc == 0 && k.n > 0 &&
	    (lost ? k.lost : !k.damaged && k.sealed != s.seals) &&
	    (rc = change_begin(&c, x)) == 0) {
		rc = c.h.keywords != k.n ? box_conflict(x)
					 : keywords_put(&c, &k);
		if (rc != 0)
			change_abort(&c);
		else if ((rc = change_commit(&c)) == 0)
			rc = 1;
	}
	name_sealer_wipe(&s);
	keywords_clear(&k);
	return rc;
}

int
keywords_convert(struct box *x)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = convert_attempt(x, false);
	while (try_again(rc, &attempts));
	return rc;
}

int
keywords_mend(struct box *x)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = convert_attempt(x, true);
	while (try_again(rc, &attempts));
	return rc;
}
