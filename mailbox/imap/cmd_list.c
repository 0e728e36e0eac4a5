/* SPDX-License-Identifier: ISC */
/* LIST with the options of RFCs 5258, 6154 and 5819, and LSUB. */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_kept.h"
#include "mailbox/imap/imap_list.h"
#include "mailbox/imap/imap_special.h"
#include "mailbox/imap/imap_status.h"

#define PATTERN_MAX 1000 /* octets, with the reference */
#define PATTERNS_MAX 32

struct list_args {
	bool extended;    /* any syntax that is not RFC 3501's */
	unsigned options; /* enum imap_list_option */
	unsigned status;  /* items, 0: none */
	struct slice reference;
	struct slice patterns[PATTERNS_MAX];
	size_t n_patterns;
};

/* --- arguments --- */

static int
parse_selection_option(struct imap_session *s, struct list_args *l)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_atom(&s->p, &name)) != 0)
		return rc;
	if (slice_eq_str_nocase(name, "SUBSCRIBED"))
		l->options |= IMAP_LIST_SUBSCRIBED;
	else if (slice_eq_str_nocase(name, "SPECIAL-USE"))
		l->options |= IMAP_LIST_SPECIAL;
	else if (slice_eq_str_nocase(name, "RECURSIVEMATCH"))
		l->options |= IMAP_LIST_RECURSIVE;
	else if (!slice_eq_str_nocase(name, "REMOTE")) /* there are none */
		return imap_bad(s, "Unknown selection option");
	return 0;
}

static int
parse_return_option(struct imap_session *s, struct list_args *l)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_atom(&s->p, &name)) != 0)
		return rc;
	if (slice_eq_str_nocase(name, "STATUS")) {
		if ((rc = imap_parse_sp(&s->p)) != 0)
			return rc;
		return imap_parse_status_items(s, &l->status);
	}
	if (slice_eq_str_nocase(name, "SUBSCRIBED"))
		l->options |= IMAP_LIST_RETURN_SUBSCRIBED;
	else if (!slice_eq_str_nocase(name, "CHILDREN") &&
	    !slice_eq_str_nocase(name, "SPECIAL-USE")) /* always there */
		return imap_bad(s, "Unknown return option");
	return 0;
}

/* The rest of "(" [x *(SP x)] ")" after its "(". */
static int
parse_options(struct imap_session *s, struct list_args *l,
    int (*option)(struct imap_session *, struct list_args *))
{
	int rc;

	l->extended = true;
	if (imap_accept(&s->p, ')'))
		return 0;
	do {
		if ((rc = option(s, l)) != 0)
			return rc;
	} while (imap_accept(&s->p, ' '));
	return imap_parse_char(&s->p, ')');
}

static int
parse_pattern(struct imap_session *s, struct list_args *l)
{
	struct slice pattern;
	char *text;
	int rc;

	if ((rc = imap_parse_list_mailbox(&s->p, &pattern)) != 0)
		return rc;
	if (l->reference.n + pattern.n > PATTERN_MAX ||
	    l->n_patterns == PATTERNS_MAX)
		return imap_bad(s, "[LIMIT] Too many or too long patterns");
	text = arena_printf(&s->a, "%.*s%.*s", (int)l->reference.n,
	    l->reference.p, (int)pattern.n, pattern.p);
	if (text == NULL)
		return -ENOMEM;
	l->patterns[l->n_patterns++] = slice_str(text);
	/* The empty pattern asks for the root, whatever the reference. */
	if (pattern.n == 0)
		l->patterns[l->n_patterns - 1] = SLICE_EMPTY;
	return 0;
}

static int
parse_list_args(struct imap_session *s, struct list_args *l)
{
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0)
		return rc;
	if (imap_accept(&s->p, '(') &&
	    ((rc = parse_options(s, l, parse_selection_option)) != 0 ||
		(rc = imap_parse_sp(&s->p)) != 0))
		return rc;
	if ((rc = imap_parse_astring(&s->p, &l->reference)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0)
		return rc;
	if (imap_accept(&s->p, '('))
		rc = parse_options(s, l, parse_pattern);
	else
		rc = parse_pattern(s, l);
	if (rc != 0)
		return rc;
	if (imap_accept(&s->p, ' ')) {
		if (!imap_accept_word(&s->p, "RETURN"))
			return imap_bad(s, "RETURN expected");
		if ((rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_char(&s->p, '(')) != 0 ||
		    (rc = parse_options(s, l, parse_return_option)) != 0)
			return rc;
	}
	if ((l->options & (IMAP_LIST_RECURSIVE | IMAP_LIST_SUBSCRIBED)) ==
	    IMAP_LIST_RECURSIVE)
		return imap_bad(s, "RECURSIVEMATCH needs SUBSCRIBED");
	return imap_parse_end(&s->p);
}

/* --- answers --- */

static void
put_attr(struct buf *b, const char *name)
{
	if (b->n > 0 && b->p[b->n - 1] != '(')
		buf_put_char(b, ' ');
	buf_put_str(b, name);
}

static void
put_entry(struct imap_session *s, const struct imap_list_entry *e,
    const char *what, bool children)
{
	struct buf *b = &s->out;

	buf_put_str(b, what);
	if (e->nonexistent)
		put_attr(b, "\\NonExistent");
	else if ((e->attrs & MAILS_NOSELECT) != 0)
		put_attr(b, "\\Noselect");
	if ((e->attrs & MAILS_SUBSCRIBED) != 0)
		put_attr(b, "\\Subscribed");
	if (children)
		put_attr(
		    b, e->has_children ? "\\HasChildren" : "\\HasNoChildren");
	for (const struct imap_special *u = imap_specials; u->name; u++)
		if ((e->attrs & u->attr) != 0)
			put_attr(b, u->name);
	buf_put_str(b, ") \"/\" ");
	imap_put_string(b, e->utf7);
	if (e->child_info)
		buf_put_str(b, " (\"CHILDINFO\" (\"SUBSCRIBED\"))");
	buf_put_str(b, "\r\n");
}

static int
put_entry_status(
    struct imap_session *s, const struct imap_list_entry *e, unsigned items)
{
	int rc;

	if (items == 0 || !e->exists || (e->attrs & MAILS_NOSELECT) != 0)
		return 0;
	rc = imap_put_status(s, e->name, e->utf7, items);
	/* One mailbox that cannot be read now has no STATUS (RFC 5819 2). */
	return rc == -ECANCELED ? rc : 0;
}

static int
list_names(struct imap_session *s, const struct list_args *l, const char *what)
{
	bool lsub = (l->options & IMAP_LIST_LSUB) != 0;
	struct imap_list_entry *entries;
	struct mails_info *all;
	size_t n;
	int rc;

	rc = mails_list(s->env->mails, s->account, &s->a, &all, &n);
	if (rc != 0)
		return imap_no_errno(s, rc);
	if ((l->options & (IMAP_LIST_LSUB | IMAP_LIST_SUBSCRIBED)) == 0 &&
	    (rc = imap_kept_add(&s->a, s->env->mails, s->account, l->patterns,
		 l->n_patterns, &all, &n)) != 0)
		return imap_no_errno(s, rc);
	rc = imap_list_select(&s->a, all, n, l->patterns, l->n_patterns,
	    l->options, &entries, &n);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0; i++) {
		put_entry(s, &entries[i], what, !lsub);
		rc = put_entry_status(s, &entries[i], l->status);
		if (rc == 0)
			rc = imap_drain(s);
	}
	return rc != 0
	    ? rc
	    : imap_ok(s, NULL, lsub ? "LSUB completed" : "LIST completed");
}

int
cmd_list(struct imap_session *s)
{
	struct list_args *l = arena_alloc(&s->a, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	if ((rc = parse_list_args(s, l)) != 0)
		return rc;
	if (!l->extended && l->patterns[0].n == 0) {
		buf_put_str(&s->out, "* LIST (\\Noselect) \"/\" \"\"\r\n");
		return imap_ok(s, NULL, "LIST completed");
	}
	return list_names(s, l, "* LIST (");
}

int
cmd_lsub(struct imap_session *s)
{
	struct list_args *l = arena_alloc(&s->a, sizeof(*l));
	int rc;

	if (l == NULL)
		return -ENOMEM;
	l->options = IMAP_LIST_LSUB;
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_astring(&s->p, &l->reference)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = parse_pattern(s, l)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if (l->patterns[0].n == 0) {
		buf_put_str(&s->out, "* LSUB (\\Noselect) \"/\" \"\"\r\n");
		return imap_ok(s, NULL, "LSUB completed");
	}
	return list_names(s, l, "* LSUB (");
}
