/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/search_text.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/mail/casemap.h"
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/html_text.h"
#include "common/mail/transfer.h"

#define CHUNK ((size_t)16 << 10)
#define FIELD_ARENA_MAX ((size_t)4 << 20)
#define TURN_MS 5

void
search_text_clear(struct search_text *t)
{
	buf_clear(&t->raw);
	buf_clear(&t->decoded);
	buf_clear(&t->utf8);
	buf_clear(&t->text);
	buf_clear(&t->mapped);
	arena_reset(&t->field);
}

int
search_text_read(struct search_text *t, struct mails_view *v, uint32_t seq,
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

struct slice
search_text_map(struct search_text *t, struct slice text)
{
	struct slice decoded;

	t->field.max = FIELD_ARENA_MAX;
	decoded = encoded_decode(&t->field, text);
	buf_reset(&t->mapped);
	if (decoded.p != NULL)
		casemap_put(&t->mapped, decoded);
	arena_reset(&t->field);
	return buf_slice(&t->mapped);
}

int
search_text_turn(struct search_text *t)
{
	int64_t turn = t->turn_ms > 0 ? t->turn_ms : TURN_MS;
	int rc;

	if (t->turn_began_ms == 0)
		t->turn_began_ms = clock_mono_ms();
	if (clock_mono_ms() - t->turn_began_ms < turn)
		return 0;
	rc = t->rest_ms > 0 ? co_sleep(t->rest_ms) : co_yield ();
	t->turn_began_ms = clock_mono_ms();
	return rc;
}

/* --- the walk --- */

struct walk {
	struct search_text *t;
	struct mails_view *v;
	uint32_t seq;
	unsigned kinds;
	search_piece_fn *piece;
	void *arg;
};

static int
walk_field(struct walk *w, struct slice text, enum search_text_kind kind)
{
	if ((w->kinds & kind) == 0)
		return 0;
	return w->piece(w->arg, kind, search_text_map(w->t, text), true);
}

static int
walk_header(struct walk *w, const struct mails_part *part, bool own)
{
	struct header_field f;
	struct slice rest;
	int rc = search_text_read(
	    w->t, w->v, w->seq, part->header_at, part->header_size);

	rest = buf_slice(&w->t->raw);
	while (rc == 0 && header_next(&rest, &f)) {
		rc = walk_field(w, slice_trim(f.raw),
		    own ? SEARCH_OWN_HEADER : SEARCH_PART_HEADER);
		if (rc == 0 && own)
			rc = walk_field(w, f.value, SEARCH_OWN_VALUE);
	}
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

/* raw -> decoded -> utf8 -> text -> mapped */
struct body {
	struct transfer_decoder transfer;
	struct charset_decoder charset;
	struct html_text html;
	bool is_html, ended;
};

static int
body_piece(struct search_text *t, struct body *b, bool last)
{
	struct slice text;

	buf_reset(&t->decoded);
	buf_reset(&t->utf8);
	buf_reset(&t->text);
	buf_reset(&t->mapped);
	transfer_decode(&b->transfer, buf_slice(&t->raw), &t->decoded);
	if (last)
		transfer_decoder_end(&b->transfer, &t->decoded);
	charset_decode(&b->charset, buf_slice(&t->decoded), &t->utf8);
	if (last)
		charset_decoder_end(&b->charset, &t->utf8);
	b->ended = last;
	text = buf_slice(&t->utf8);
	if (b->is_html) {
		html_text_feed(&b->html, text, &t->text);
		if (last)
			html_text_end(&b->html, &t->text);
		text = buf_slice(&t->text);
	}
	casemap_put(&t->mapped, text);
	return t->decoded.failed || t->utf8.failed || t->text.failed ||
		t->mapped.failed
	    ? -ENOMEM
	    : 0;
}

static int
walk_body(struct walk *w, const struct mails_part *part)
{
	struct body b = { .is_html = slice_eq_str(part->type, "text/html") };
	uint64_t at = part->body_at, left = part->body_size, n;
	struct search_text *t = w->t;
	bool begins = true;
	int rc;

	if ((rc = charset_decoder_init(&b.charset, part->charset)) != 0)
		return rc;
	transfer_decoder_init(&b.transfer, encoding_of(part));
	while (rc == 0 && left > 0) {
		n = left < CHUNK ? left : CHUNK;
		rc = search_text_read(t, w->v, w->seq, at, n);
		at += n;
		left -= n;
		if (rc == 0)
			rc = body_piece(t, &b, left == 0);
		if (rc == 0)
			rc = w->piece(
			    w->arg, SEARCH_BODY, buf_slice(&t->mapped), begins);
		if (rc == 0)
			rc = search_text_turn(t);
		begins = false;
	}
	if (!b.ended)
		charset_decoder_end(&b.charset, &t->utf8);
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
search_text_walk(struct search_text *t, struct mails_view *v, uint32_t seq,
    const struct mails_summary *sum, unsigned kinds, search_piece_fn *piece,
    void *arg)
{
	struct walk w = { t, v, seq, kinds, piece, arg };
	unsigned own = SEARCH_OWN_HEADER | SEARCH_OWN_VALUE;
	int rc = 0;

	for (size_t i = 0; i < sum->n_parts && rc == 0; i++) {
		const struct mails_part *part = &sum->parts[i];

		if ((kinds & (i == 0 ? own : SEARCH_PART_HEADER)) != 0)
			rc = walk_header(&w, part, i == 0);
		if (rc == 0 && (kinds & SEARCH_BODY) != 0 && is_text(part))
			rc = walk_body(&w, part);
	}
	return rc;
}
