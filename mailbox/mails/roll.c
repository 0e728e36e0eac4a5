/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/roll.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 16u

static void
page_release(struct roll_page *p)
{
	if (--p->refs == 0)
		free(p);
}

static size_t
page_size(uint32_t cap)
{
	return sizeof(struct roll_page) + cap * sizeof(struct entry);
}

void
roll_clear(struct roll *r)
{
	for (uint32_t i = 0; i < r->n_pages; i++)
		page_release(r->pages[i]);
	free(r->pages);
	free(r->before);
	*r = (struct roll){ .n = 0 };
}

static int
pages_room(struct roll *r, uint32_t cap)
{
	struct roll_page **pages;
	uint32_t *before;

	if (cap <= r->cap)
		return 0;
	if ((pages = realloc(r->pages, cap * sizeof(*pages))) == NULL)
		return -ENOMEM;
	r->pages = pages;
	if ((before = realloc(r->before, cap * sizeof(*before))) == NULL)
		return -ENOMEM;
	r->before = before;
	r->cap = cap;
	return 0;
}

int
roll_share(struct roll *to, const struct roll *from)
{
	if (from->n_pages == 0)
		return 0;
	if (pages_room(to, from->n_pages) != 0)
		return -ENOMEM;
	memcpy(to->pages, from->pages, from->n_pages * sizeof(*to->pages));
	memcpy(to->before, from->before, from->n_pages * sizeof(*to->before));
	to->n_pages = from->n_pages;
	to->n = from->n;
	for (uint32_t i = 0; i < to->n_pages; i++)
		to->pages[i]->refs++;
	return 0;
}

/* The page of message i. Pages are full but where some were expunged. */
static uint32_t
page_of(const struct roll *r, uint32_t i)
{
	uint32_t lo = i / ROLL_PAGE, hi = r->n_pages, mid;

	if (lo + 1 == hi || i < r->before[lo + 1])
		return lo;
	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (r->before[mid] <= i)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

const struct entry *
roll_at(const struct roll *r, uint32_t i)
{
	uint32_t page = page_of(r, i);

	return &r->pages[page]->v[i - r->before[page]];
}

/* A page of one's own, with room for `cap`. */
static struct roll_page *
page_own(struct roll *r, uint32_t page, uint32_t cap)
{
	struct roll_page *old = r->pages[page], *p;

	if (old->refs == 1 && cap <= old->cap)
		return old;
	if (old->refs == 1) {
		p = realloc(old, page_size(cap));
	} else if ((p = malloc(page_size(cap))) != NULL) {
		memcpy(p, old, page_size(old->n));
		p->refs = 1;
		old->refs--;
	}
	if (p == NULL)
		return NULL;
	p->cap = cap;
	return r->pages[page] = p;
}

struct entry *
roll_edit(struct roll *r, uint32_t i)
{
	uint32_t page = page_of(r, i);
	struct roll_page *p = page_own(r, page, r->pages[page]->n);

	return p == NULL ? NULL : &p->v[i - r->before[page]];
}

static int
page_append(struct roll *r)
{
	/* The first is small, as most mailboxes are. */
	uint32_t cap = r->n_pages == 0 ? LEAST : ROLL_PAGE;
	struct roll_page *p;

	if (r->n_pages == r->cap &&
	    pages_room(r, r->cap == 0 ? 1 : r->cap + r->cap / 2 + 1) != 0)
		return -ENOMEM;
	if ((p = malloc(page_size(cap))) == NULL)
		return -ENOMEM;
	p->refs = 1;
	p->n = 0;
	p->cap = cap;
	r->before[r->n_pages] = r->n;
	r->pages[r->n_pages++] = p;
	return 0;
}

int
roll_append(struct roll *r, const struct entry *e)
{
	struct roll_page *p;
	uint32_t cap;

	if ((r->n_pages == 0 || r->pages[r->n_pages - 1]->n == ROLL_PAGE) &&
	    page_append(r) != 0)
		return -ENOMEM;
	p = r->pages[r->n_pages - 1];
	if (p->n == p->cap || p->refs > 1) {
		cap = p->n < LEAST ? LEAST : p->n * 4;
		cap = cap > ROLL_PAGE ? ROLL_PAGE : cap;
		if ((p = page_own(r, r->n_pages - 1, cap)) == NULL)
			return -ENOMEM;
	}
	p->v[p->n++] = *e;
	r->n++;
	return 0;
}

uint32_t
roll_find(const struct roll *r, uint32_t uid)
{
	uint32_t lo = 0, hi = r->n_pages, mid, page;
	const struct roll_page *p;

	/* The last page that begins at or before it. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (r->pages[mid]->v[0].uid <= uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return 0;
	page = lo - 1;
	p = r->pages[page];
	lo = 0;
	hi = p->n;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (p->v[mid].uid <= uid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return r->before[page] + lo;
}

void
roll_truncate(struct roll *r, uint32_t n)
{
	while (r->n > n) {
		struct roll_page *p = r->pages[r->n_pages - 1];

		if (r->before[r->n_pages - 1] >= n) {
			r->n = r->before[--r->n_pages];
			page_release(p);
			continue;
		}
		/* What is cut off was appended, and so is one's own. */
		assert(p->refs == 1);
		p->n = n - r->before[r->n_pages - 1];
		r->n = n;
	}
}

void
roll_remove_gone(struct roll *r,
    void (*tell)(void *arg, uint32_t i, const struct entry *e), void *arg)
{
	uint32_t kept = 0, pages = 0;

	for (uint32_t k = 0; k < r->n_pages; k++) {
		struct roll_page *p = r->pages[k];
		uint32_t n = 0;

		for (uint32_t i = 0; i < p->n; i++) {
			if (p->v[i].gone)
				tell(arg, kept + n, &p->v[i]);
			else if (i != n++)
				p->v[n - 1] = p->v[i];
		}
		assert(n == p->n || p->refs == 1);
		p->n = n;
		if (n == 0) {
			page_release(p);
			continue;
		}
		r->pages[pages] = p;
		r->before[pages++] = kept;
		kept += n;
	}
	r->n_pages = pages;
	r->n = kept;
}
