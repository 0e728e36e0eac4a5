/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_list.h"

#include <errno.h>
#include <stdlib.h>

#include "common/imap/utf7.h"

/* --- wildcards --- */

static bool
is_inbox(struct slice name)
{
	return slice_starts(name, "INBOX") &&
	    (name.n == 5 || name.p[5] == MAILS_SEPARATOR);
}

/*
 * A mismatch goes back to the last wildcard and lets it take one octet more;
 * a "%" that may not (there stands a separator) leaves it to the last "*"
 * before it. Wildcards further back need never be asked: the earliest place
 * for what stands between them leaves the most room for the rest.
 */
bool
imap_list_match(struct slice pattern, struct slice name)
{
	bool inbox = is_inbox(name);
	size_t p = 0, n = 0;
	size_t star_p = SIZE_MAX, star_n = 0, percent_p = SIZE_MAX,
	       percent_n = 0;

	for (;;) {
		char c = p < pattern.n ? pattern.p[p] : '\0';

		if (p < pattern.n && c == '*') {
			star_p = ++p;
			star_n = n;
			percent_p = SIZE_MAX;
		} else if (p < pattern.n && c == '%') {
			percent_p = ++p;
			percent_n = n;
		} else if (p < pattern.n && n < name.n &&
		    (c == name.p[n] ||
			(inbox && n < 5 && ascii_upper(c) == name.p[n]))) {
			p++;
			n++;
		} else if (p == pattern.n && n == name.n) {
			return true;
		} else if (percent_p != SIZE_MAX && percent_n < name.n &&
		    name.p[percent_n] != MAILS_SEPARATOR) {
			p = percent_p;
			n = ++percent_n;
		} else if (star_p != SIZE_MAX && star_n < name.n) {
			p = star_p;
			n = ++star_n;
			percent_p = SIZE_MAX;
		} else {
			return false;
		}
	}
}

/* --- which names --- */

enum {
	EXISTS = 1,
	CHOSEN = 2,       /* by the selection options */
	CHILD = 4,        /* has a child that exists */
	CHILD_CHOSEN = 8, /* has one that is chosen */
};

struct node {
	struct slice name;
	unsigned attrs, bits;
};

static bool
is_chosen(const struct mails_info *m, unsigned options)
{
	if ((options & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_LSUB)) != 0
		? (m->attrs & MAILS_SUBSCRIBED) == 0
		: m->id == 0)
		return false;
	return (options & IMAP_LIST_SPECIAL) == 0 ||
	    (m->attrs & MAILS_SPECIAL_USES) != 0;
}

static size_t
levels(struct slice name)
{
	size_t n = 1;

	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == MAILS_SEPARATOR;
	return n;
}

static size_t
add_with_parents(struct node *v, const struct mails_info *m, unsigned options)
{
	unsigned bits =
	    (m->id != 0 ? EXISTS : 0) | (is_chosen(m, options) ? CHOSEN : 0);
	struct slice name = slice_str(m->name);
	size_t n = 0;
	ssize_t at;

	v[n++] = (struct node){ name, m->attrs, bits };
	bits = ((bits & EXISTS) != 0 ? CHILD : 0) |
	    ((bits & CHOSEN) != 0 ? CHILD_CHOSEN : 0);
	while ((at = slice_rfind(name, MAILS_SEPARATOR)) > 0) {
		name.n = (size_t)at;
		v[n++] = (struct node){ name, 0, bits };
	}
	return n;
}

/* INBOX first, as everywhere. */
static int
compare(const void *x, const void *y)
{
	const struct node *a = x, *b = y;
	bool a_first = slice_eq_str(a->name, "INBOX");
	bool b_first = slice_eq_str(b->name, "INBOX");

	if (a_first != b_first)
		return a_first ? -1 : 1;
	return slice_cmp(a->name, b->name);
}

static size_t
merge(struct node *v, size_t n)
{
	size_t kept = 0;

	qsort(v, n, sizeof(*v), compare);
	for (size_t i = 0; i < n; i++) {
		if (kept > 0 && slice_eq(v[kept - 1].name, v[i].name)) {
			v[kept - 1].attrs |= v[i].attrs;
			v[kept - 1].bits |= v[i].bits;
		} else {
			v[kept++] = v[i];
		}
	}
	return kept;
}

/* The pattern that matches, or NULL. */
static const struct slice *
match_any(const struct slice *patterns, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (imap_list_match(patterns[i], name))
			return &patterns[i];
	return NULL;
}

static bool
is_shown(const struct node *v, const struct slice *pattern, unsigned options)
{
	if (pattern == NULL)
		return false;
	if ((v->bits & CHOSEN) != 0)
		return true;
	if ((v->bits & CHILD_CHOSEN) == 0)
		return false;
	if ((options & IMAP_LIST_LSUB) != 0) /* RFC 3501 6.3.9 */
		return pattern->n > 0 && pattern->p[pattern->n - 1] == '%';
	return (options & IMAP_LIST_RECURSIVE) != 0;
}

static struct imap_list_entry
entry_of(const struct node *v, struct slice utf7, unsigned options)
{
	struct imap_list_entry e = {
		.name = v->name,
		.utf7 = utf7,
		.attrs = v->attrs,
		.exists = (v->bits & EXISTS) != 0,
		.has_children = (v->bits & CHILD) != 0,
		.child_info = (options & IMAP_LIST_RECURSIVE) != 0 &&
		    (v->bits & CHILD_CHOSEN) != 0,
	};

	e.nonexistent = !e.exists;
	if ((options & (IMAP_LIST_SUBSCRIBED | IMAP_LIST_RETURN_SUBSCRIBED)) ==
	    0)
		e.attrs &= ~(unsigned)MAILS_SUBSCRIBED;
	if ((options & IMAP_LIST_LSUB) != 0) {
		/* \Noselect means here: itself not subscribed. */
		e.attrs = (v->bits & CHOSEN) != 0 ? 0 : MAILS_NOSELECT;
		e.nonexistent = false;
	}
	return e;
}

static struct slice
utf7_of(struct arena *a, struct slice name, struct buf *scratch)
{
	buf_reset(scratch);
	imap_utf7_encode(scratch, name);
	return arena_dup(a, buf_slice(scratch));
}

static int
show(struct arena *a, const struct node *v, size_t n,
    const struct slice *patterns, size_t n_patterns, unsigned options,
    struct imap_list_entry **out, size_t *n_out)
{
	struct imap_list_entry *e = arena_array(a, n, sizeof(*e));
	struct buf scratch = BUF_INIT_MAX(8 * MAILS_NAME_MAX);
	int rc = e == NULL ? -ENOMEM : 0;

	*n_out = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct slice utf7 = utf7_of(a, v[i].name, &scratch);

		if (utf7.p == NULL)
			rc = -ENOMEM;
		else if (is_shown(&v[i], match_any(patterns, n_patterns, utf7),
			     options))
			e[(*n_out)++] = entry_of(&v[i], utf7, options);
	}
	buf_clear(&scratch);
	*out = e;
	return rc;
}

int
imap_list_select(struct arena *a, const struct mails_info *all, size_t n,
    const struct slice *patterns, size_t n_patterns, unsigned options,
    struct imap_list_entry **out, size_t *n_out)
{
	size_t total = 0, count = 0;
	struct node *v;

	for (size_t i = 0; i < n; i++)
		total += levels(slice_str(all[i].name));
	if ((v = arena_array(a, total, sizeof(*v))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		count += add_with_parents(v + count, &all[i], options);
	count = merge(v, count);
	return show(a, v, count, patterns, n_patterns, options, out, n_out);
}
