/* SPDX-License-Identifier: ISC */
#include "mailbox/imap/imap_search_text.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/mail/casemap.h"
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/transfer.h"

#define CHUNK ((size_t)16 << 10)
#define FIELD_ARENA_MAX ((size_t)4 << 20)

void
imap_text_search_clear(struct imap_text_search *t)
{
	buf_clear(&t->raw);
	buf_clear(&t->decoded);
	buf_clear(&t->utf8);
	buf_clear(&t->window);
	arena_reset(&t->field);
}

int
imap_text_read(struct imap_text_search *t, struct mails_view *v, uint32_t seq,
    uint64_t at, uint64_t n)
{
	size_t got;
	int rc;

	buf_reset(&t->raw);
	if (n > BUF_MAX || !buf_reserve(&t->raw, (size_t)n))
		return -ENOMEM;
	while (t->raw.n < n) {
		rc = mails_read(v, seq, at + t->raw.n, t->raw.p + t->raw.n,
		    (size_t)n - t->raw.n, &got);
		if (rc != 0 || got == 0)
			return rc != 0 ? rc : -EIO;
		t->raw.n += got;
	}
	return 0;
}

static bool
window_has(const struct imap_text_search *t, struct slice needle)
{
	return slice_find_slice(buf_slice(&t->window), needle) >= 0;
}

/* The window becomes this header text, decoded and mapped. */
static void
window_of_text(struct imap_text_search *t, struct slice text)
{
	struct slice decoded;

	t->field.max = FIELD_ARENA_MAX;
	decoded = encoded_decode(&t->field, text);
	buf_reset(&t->window);
	if (decoded.p != NULL)
		casemap_put(&t->window, decoded);
	arena_reset(&t->field);
}

bool
imap_text_has(
    struct imap_text_search *t, struct slice text, struct slice needle)
{
	window_of_text(t, text);
	return window_has(t, needle);
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
	struct imap_text_search *t;
	const struct imap_search *q;
	struct mails_view *v;
	uint32_t seq;
	uint64_t found, wanted; /* bits of q->texts */
	size_t longest;
};

static bool
is_done(const struct reading *r)
{
	return (r->found & r->wanted) == r->wanted;
}

/* Look through the window for what is not found yet. */
static void
look(struct reading *r, uint64_t among)
{
	for (unsigned i = 0; i < r->q->n_texts; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if ((among & bit & ~r->found) != 0 &&
		    window_has(r->t, r->q->texts[i]->needle))
			r->found |= bit;
	}
}

static void
look_in_header(struct reading *r, struct slice header, uint64_t among)
{
	struct slice rest = header;
	struct header_field f;

	while (!is_done(r) && header_next(&rest, &f)) {
		window_of_text(r->t, slice_trim(f.raw));
		look(r, among);
	}
}

static int
read_header(struct reading *r, const struct mails_part *part, uint64_t among)
{
	int rc = imap_text_read(
	    r->t, r->v, r->seq, part->header_at, part->header_size);

	if (rc == 0)
		look_in_header(r, buf_slice(&r->t->raw), among);
	return rc;
}

/* What was not enough for a needle stays for the next piece. */
static void
slide(struct reading *r)
{
	struct buf *w = &r->t->window;

	if (w->n >= r->longest)
		buf_consume(w, w->n - (r->longest - 1));
}

static int
take_turns(struct imap_text_search *t)
{
	int64_t now = clock_mono_ms();
	int rc;

	if (now - t->turn_began_ms < 5)
		return 0;
	rc = co_yield ();
	t->turn_began_ms = clock_mono_ms();
	return rc;
}

static enum transfer_encoding
encoding_of(const struct mails_part *part)
{
	switch (part->encoding) {
	case MAILS_ENC_QP:
		return TRANSFER_QP;
	case MAILS_ENC_BASE64:
		return TRANSFER_BASE64;
	default:
		return TRANSFER_8BIT;
	}
}

/* raw -> decoded -> utf8 -> window */
static int
read_body(struct reading *r, const struct mails_part *part)
{
	struct imap_text_search *t = r->t;
	uint64_t at = part->body_at, left = part->body_size;
	struct transfer_decoder transfer;
	struct charset_decoder charset;
	int rc;

	if ((rc = charset_decoder_init(&charset, part->charset)) != 0)
		return rc;
	transfer_decoder_init(&transfer, encoding_of(part));
	buf_reset(&t->window);
	while (rc == 0 && left > 0 && !is_done(r)) {
		uint64_t n = left < CHUNK ? left : CHUNK;

		if ((rc = imap_text_read(t, r->v, r->seq, at, n)) != 0)
			break;
		at += n;
		left -= n;
		buf_reset(&t->decoded);
		buf_reset(&t->utf8);
		transfer_decode(&transfer, buf_slice(&t->raw), &t->decoded);
		if (left == 0)
			transfer_decoder_end(&transfer, &t->decoded);
		charset_decode(&charset, buf_slice(&t->decoded), &t->utf8);
		slide(r);
		if (!casemap_put(&t->window, buf_slice(&t->utf8)))
			rc = -ENOMEM;
		look(r, UINT64_MAX);
		if (rc == 0)
			rc = take_turns(t);
	}
	buf_reset(&t->utf8);
	charset_decoder_end(&charset, &t->utf8);
	return rc;
}

/* Leaves that are text: of type text, or something around text that is not
 * looked into (delivery status, a multipart that is too deep). */
static bool
is_text(const struct mails_part *part)
{
	return part->kind == MAILS_PART_LEAF &&
	    (part->type.n == 0 || slice_starts(part->type, "text/") ||
		slice_starts(part->type, "message/") ||
		slice_starts(part->type, "multipart/"));
}

int
imap_text_search(struct imap_text_search *t, const struct imap_search *q,
    struct mails_view *v, uint32_t seq, const struct mails_summary *sum,
    uint64_t *found)
{
	struct reading r = { .t = t, .q = q, .v = v, .seq = seq, .longest = 1 };
	uint64_t texts = 0; /* TEXT: the message's own header as well */
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
			texts |= bit;
	}
	for (size_t i = 0; i < sum->n_parts && rc == 0 && !is_done(&r); i++) {
		const struct mails_part *part = &sum->parts[i];

		if (i > 0 || (texts & ~r.found) != 0)
			rc = read_header(&r, part, i == 0 ? texts : UINT64_MAX);
		if (rc == 0 && !is_done(&r) && is_text(part))
			rc = read_body(&r, part);
	}
	*found = r.found;
	return rc;
}
