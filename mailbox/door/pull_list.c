/* SPDX-License-Identifier: ISC */
/* Which mailboxes there are, and what they are called here. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/imap/level.h"
#include "mailbox/door/maildir.h"
#include "mailbox/door/pull_impl.h"
#include "mailbox/imap/imap_special.h"

static int
add_box(struct pull *p, struct slice raw)
{
	size_t cap = p->cap == 0 ? 64 : p->cap * 2;
	struct remote *v;

	if (p->n == PULL_MAILBOXES_MAX)
		return -E2BIG;
	if (p->n == p->cap) {
		if ((v = reallocarray(p->boxes, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		p->boxes = v;
		p->cap = cap;
	}
	p->boxes[p->n] = (struct remote){ .raw = arena_dup(&p->a, raw) };
	return p->boxes[p->n++].raw.p == NULL ? -ENOMEM : 0;
}

static struct remote *
box_of(struct pull *p, struct slice raw)
{
	for (size_t i = 0; i < p->n; i++)
		if (slice_eq(p->boxes[i].raw, raw))
			return &p->boxes[i];
	return NULL;
}

/* --- LIST, LSUB, NAMESPACE --- */

static void
take_attributes(struct remote *b, const struct imap_flags *attrs)
{
	for (size_t i = 0; i < attrs->n; i++) {
		struct slice a = attrs->v[i];

		if (slice_eq_str_nocase(a, "\\Noselect") ||
		    slice_eq_str_nocase(a, "\\NonExistent"))
			b->selectable = false;
		else if (slice_eq_str_nocase(a, "\\Subscribed"))
			b->subscribed = true;
		b->special |= imap_special_of(a);
	}
}

static int
on_list(void *arg, const struct imap_response *r)
{
	struct pull *p = arg;
	struct remote *b;
	int rc;

	if (r->kind == IMAP_LSUB && (b = box_of(p, r->name)) != NULL)
		b->subscribed = true;
	if (r->kind != IMAP_LIST || r->name.n == 0 ||
	    box_of(p, r->name) != NULL)
		return 0;
	if ((rc = add_box(p, r->name)) != 0)
		return p->rc = rc;
	b = &p->boxes[p->n - 1];
	b->selectable = true;
	take_attributes(b, &r->flags);
	b->name = imap_name_decode(
	    &p->a, r->name, p->prefix, r->separator);
	if (b->name.p == NULL) {
		door_warn(p->report, "%s: name too long; passed over",
		    log_q(r->name));
		p->report->failed++;
		p->n--;
	}
	return 0;
}

static int
on_namespace(void *arg, const struct imap_response *r)
{
	struct pull *p = arg;

	if (r->kind == IMAP_NAMESPACE && r->name.n > 0)
		p->prefix = arena_dup(&p->a, r->name);
	return 0;
}

/* INBOX first, Gmail's All Mail last, the others by name. */
static int
rank(const struct remote *b)
{
	return slice_eq_str(b->name, "INBOX") ? 0
	    : b->special & MAILS_ALL          ? 2
					      : 1;
}

static int
box_cmp(const void *a, const void *b)
{
	const struct remote *x = a, *y = b;

	return rank(x) != rank(y) ? rank(x) - rank(y)
				  : slice_cmp(x->name, y->name);
}

static int
ask(struct pull *p)
{
	const struct imap_handler h = { .untagged = on_list, .arg = p },
				  ns = { .untagged = on_namespace, .arg = p };
	int rc = 0;

	if (imap_client_has(p->c, "NAMESPACE"))
		rc = imap_client_run(p->c, &ns, "NAMESPACE");
	p->extended = imap_client_has(p->c, "LIST-EXTENDED") &&
	    imap_client_has(p->c, "SPECIAL-USE");
	if (rc >= 0 && p->extended) {
		rc = imap_client_run(p->c, &h,
		    "LIST \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE)");
		if (rc == 0)
			return 0;
	}
	if (rc >= 0)
		rc = imap_client_run(p->c, &h, "LIST \"\" \"*\"");
	if (rc == 0)
		rc = imap_client_run(p->c, &h, "LSUB \"\" \"*\"");
	return rc;
}

int
pull_list(struct pull *p)
{
	int rc;

	p->n = 0;
	arena_reset(&p->a);
	p->prefix = SLICE_EMPTY;
	p->gmail = imap_client_has(p->c, "X-GM-EXT-1");
	rc = ask(p);
	if (rc == IMAP_REFUSED) {
		door_warn(p->report, "no list of mailboxes: %s",
		    imap_client_said(p->c));
		p->said = true;
		return p->rc = -EPROTO;
	}
	if (p->n > 0)
		qsort(p->boxes, p->n, sizeof(*p->boxes), box_cmp);
	return rc;
}
