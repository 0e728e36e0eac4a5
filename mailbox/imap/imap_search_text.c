/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_search_text.h"

#include <errno.h>

#include "common/mail/header.h"

void
imap_text_search_clear(struct imap_text_search *t)
{
	search_text_clear(&t->text);
	buf_clear(&t->window);
}

bool
imap_text_has(
    struct imap_text_search *t, struct slice text, struct slice needle)
{
	return slice_find_slice(search_text_map(&t->text, text), needle) >= 0;
}

bool
imap_text_field_has(struct imap_text_search *t, struct slice header,
    struct slice name, struct slice needle)
{
	struct slice rest = header;
	struct header_field f;

	while (header_next(&rest, &f))
		if (slice_eq_nocase(f.name, name) &&
		    (needle.n == 0 || imap_text_has(t, f.value, needle)))
			return true;
	return false;
}

/* --- one reading for all needles --- */

struct reading {
	struct buf *window; /* of a text part: a piece, and some before it */
	const struct imap_search *q;
	uint64_t found, wanted, texts; /* bits of q->texts; keys TEXT */
	size_t longest;
};

static bool
is_done(const struct reading *r)
{
	return (r->found & r->wanted) == r->wanted;
}

/* Look through a text for what is not found yet. */
static void
look(struct reading *r, struct slice text, uint64_t among)
{
	for (unsigned i = 0; i < r->q->n_texts; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if ((among & bit & ~r->found) != 0 &&
		    slice_find_slice(text, r->q->texts[i]->needle) >= 0)
			r->found |= bit;
	}
}

/* What was not enough for a needle stays for the next piece. */
static void
slide(struct reading *r, bool begins)
{
	struct buf *w = r->window;

	if (begins)
		buf_reset(w);
	else if (w->n >= r->longest)
		buf_consume(w, w->n - (r->longest - 1));
}

/* 1: all is found. */
static int
look_at_piece(
    void *arg, enum search_text_kind kind, struct slice mapped, bool begins)
{
	struct reading *r = arg;

	if (kind == SEARCH_BODY) {
		slide(r, begins);
		if (!buf_put_slice(r->window, mapped))
			return -ENOMEM;
		look(r, buf_slice(r->window), UINT64_MAX);
	} else {
		look(r, mapped,
		    kind == SEARCH_OWN_HEADER ? r->texts : UINT64_MAX);
	}
	return is_done(r);
}

int
imap_text_search(struct imap_text_search *t, const struct imap_search *q,
    struct mails_view *v, uint32_t seq, const struct mails_summary *sum,
    uint64_t *found)
{
	struct reading r = { .window = &t->window, .q = q, .longest = 1 };
	unsigned kinds = SEARCH_PART_HEADER | SEARCH_BODY;
	int rc = 0;

	for (unsigned i = 0; i < q->n_texts; i++) {
		size_t n = q->texts[i]->needle.n;
		uint64_t bit = UINT64_C(1) << i;

		r.wanted |= bit;
		if (n == 0)
			r.found |= bit;
		if (n > r.longest)
			r.longest = n;
		if (q->texts[i]->kind == IMAP_KEY_TEXT)
			r.texts |= bit;
	}
	if ((r.texts & ~r.found) != 0)
		kinds |= SEARCH_OWN_HEADER;
	if (!is_done(&r))
		rc = search_text_walk(
		    &t->text, v, seq, sum, kinds, look_at_piece, &r);
	*found = r.found;
	return rc > 0 ? 0 : rc;
}
