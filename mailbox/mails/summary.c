/* SPDX-License-Identifier: ISC */
/*
 * Summaries: made while a message comes in, kept as a row, so that FETCH of a
 * list opens no body. Texts with their length in front, then the parts; packed
 * with a dictionary (pack.h) unless compression is off. What does not fit a row
 * is made from the blob when somebody asks.
 *
 *	0  kind: NONE, PLAIN, ZSTD (4 octets length, then the frame), PACKED
 *	   (1 octet dictionary, 4 octets length, then the frame), SEALED (12
 *	   octets nonce, then another kind with what follows it, sealed with the
 *	   message's key, 16 octets tag)
 *
 * ZSTD is of before there was a dictionary, and is only read.
 */
#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/mail/envelope.h"
#include "common/mail/message_id.h"
#include "common/mail/mime.h"
#include "common/mail/text.h"
#include "mailbox/mails/impl.h"
#include "mailbox/mails/pack.h"

#define KIND_NONE 0
#define KIND_PLAIN 1
#define KIND_ZSTD 2
#define KIND_PACKED 3
#define KIND_SEALED 4

#define UNPACKED_MAX ((size_t)4 << 20)
#define TEXT_KEPT ((size_t)16 << 10) /* of the body, for the preview */
#define ARENA_MAX ((size_t)8 << 20)
#define COMPUTE_CHUNK ((size_t)64 << 10)
#define PART_OCTETS 42 /* without type and charset */

struct summary_maker {
	struct arena arena;
	struct mime_parser *parser;
};

/* --- making --- */

int
summary_maker_new(struct summary_maker **out)
{
	struct summary_maker *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	*out = NULL;
	if (s == NULL)
		return -ENOMEM;
	s->arena = ARENA_INIT_MAX(ARENA_MAX);
	if ((rc = mime_parser_new(&s->parser, &s->arena, TEXT_KEPT)) != 0)
		summary_maker_free(&s);
	*out = s;
	return rc;
}

int
summary_maker_feed(struct summary_maker *s, struct slice octets)
{
	return mime_parser_feed(s->parser, octets);
}

void
summary_maker_free(struct summary_maker **out)
{
	struct summary_maker *s = *out;

	*out = NULL;
	if (s == NULL)
		return;
	mime_parser_free(&s->parser);
	arena_reset(&s->arena);
	free(s);
}

static void
put_text(struct buf *b, struct slice s)
{
	buf_put_be32(b, (uint32_t)s.n);
	buf_put_slice(b, s);
}

/* .p NULL becomes the empty text. */
static struct slice
some(struct slice s)
{
	return s.p == NULL ? SLICE_EMPTY : s;
}

static void
put_part(struct buf *b, const struct mime_part *p)
{
	struct buf type = BUF_INIT;

	buf_put_be32(b, p->parent == NULL ? 0 : p->parent->index);
	buf_put_be32(b, p->number);
	buf_put_char(b, (char)p->kind);
	buf_put_char(b, (char)p->encoding);
	buf_put_be64(b, p->header_at);
	buf_put_be64(b, p->header_size);
	buf_put_be64(b, p->body_at);
	buf_put_be64(b, p->body_size);
	buf_put_slice(&type, p->type);
	buf_put_char(&type, '/');
	buf_put_slice(&type, p->subtype);
	put_text(b, buf_slice(&type));
	put_text(b, some(param_raw(&p->params, "charset")));
	buf_clear(&type);
}

static void
put_parts(struct buf *b, const struct mime_part *root)
{
	uint32_t n = 0;

	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		n++;
	buf_put_be32(b, n);
	for (const struct mime_part *p = root; p; p = mime_part_next(p))
		put_part(b, p);
}

static int
put_imap_texts(struct buf *b, const struct mime_part *root)
{
	struct buf text = BUF_INIT;
	int rc;

	if ((rc = envelope_put(&text, root->envelope)) == 0) {
		put_text(b, buf_slice(&text));
		buf_reset(&text);
		rc = envelope_put_body(&text, root, false);
	}
	if (rc == 0) {
		put_text(b, buf_slice(&text));
		buf_reset(&text);
		rc = envelope_put_body(&text, root, true);
	}
	put_text(b, buf_slice(&text));
	buf_clear(&text);
	return rc;
}

static int
put_preview(struct buf *b, const struct mime_parser *parser,
    const struct mime_part *root)
{
	const struct mime_part *part = text_part_find(root);
	struct buf text = BUF_INIT_MAX(4 * TEXT_KEPT), preview = BUF_INIT;
	int rc = 0;

	if (part != NULL)
		rc = text_decode(part, mime_parser_text(parser, part), &text);
	if (rc == 0 && part != NULL &&
	    !text_preview(buf_slice(&text), &preview))
		rc = -ENOMEM;
	put_text(b, buf_slice(&preview));
	buf_clear(&text);
	buf_clear(&preview);
	return rc;
}

/* As summary_decode reads it. */
static int
put_all(struct buf *b, struct summary_maker *s, const struct mime_part *root)
{
	const struct mime_envelope *e = root->envelope;
	int64_t sent = INT64_MIN;
	int rc;

	if ((rc = put_imap_texts(b, root)) != 0 ||
	    (rc = put_preview(b, s->parser, root)) != 0)
		return rc;
	put_text(b, some(message_id_first(&s->arena, some(e->message_id))));
	put_text(
	    b, some(e->references.p != NULL ? e->references : e->in_reply_to));
	put_text(
	    b, some(envelope_base_subject(&s->arena, some(e->subject), NULL)));
	if (!envelope_sent_date(e, &sent))
		sent = INT64_MIN;
	buf_put_be64(b, (uint64_t)sent);
	buf_put_be32(b, (uint32_t)(root->header_lines + root->body_lines));
	buf_put_be64(b, root->header_size);
	put_parts(b, root);
	return b->failed ? -ENOMEM : 0;
}

/* --- rows --- */

static void
row_none(struct buf *row)
{
	buf_reset(row);
	buf_put_char(row, KIND_NONE);
}

/* False: it does not get smaller. */
static bool
row_packed(struct buf *row, struct packer *p, struct slice plain)
{
	buf_put_char(row, KIND_PACKED);
	buf_put_char(row, (char)packer_dictionary(p, PACK_SUMMARY));
	buf_put_be32(row, (uint32_t)plain.n);
	return packer_pack(p, PACK_SUMMARY, plain, row);
}

static int
row_pack(struct buf *row, struct packer *p, struct slice plain)
{
	buf_reset(row);
	if (plain.n > UNPACKED_MAX || !row_packed(row, p, plain)) {
		buf_reset(row);
		buf_put_char(row, KIND_PLAIN);
		buf_put_slice(row, plain);
	}
	if (row->failed || row->n > STORE_VALUE_MAX)
		row_none(row);
	return row->failed ? -ENOMEM : 0;
}

/* What is authenticated with it: that it is a summary, and of which message. */
#define ABOUT (FRAMES_ID + 7)

static struct slice
about_make(char out[static ABOUT], const struct frames_seal *seal)
{
	memcpy(out, seal->id, FRAMES_ID);
	memcpy(out + FRAMES_ID, "summary", 7);
	return slice(out, ABOUT);
}

/* The row as it is made becomes one that is sealed. */
static int
row_seal(struct buf *row, const struct frames_seal *seal)
{
	struct aead_nonce nonce = aead_nonce_new();
	struct buf plain = *row;
	char about[ABOUT];
	int rc;

	*row = BUF_INIT;
	buf_put_char(row, KIND_SEALED);
	buf_put(row, nonce.octets, AEAD_NONCE);
	rc = buf_reserve(row, plain.n + AEAD_TAG) ? 0 : -ENOMEM;
	if (rc == 0)
		rc = aead_seal(seal->key, &nonce, about_make(about, seal),
		    buf_slice(&plain), row->p + row->n);
	row->n += rc == 0 ? plain.n + AEAD_TAG : 0;
	buf_wipe(&plain);
	if (rc == 0 && row->n > STORE_VALUE_MAX)
		row_none(row);
	return rc;
}

/* The message's octets, summed up, in `plain`. */
static int
maker_plain(struct summary_maker *s, struct buf *plain)
{
	struct mime_part *root;
	int rc = mime_parser_end(s->parser, &root);

	return rc == 0 ? put_all(plain, s, root) : rc;
}

int
summary_maker_end(struct summary_maker *s, struct packer *p,
    const struct frames_seal *seal, struct buf *row)
{
	struct buf plain = BUF_INIT;
	int rc = maker_plain(s, &plain);

	/* A message that cannot be summed up is still a message. */
	if (rc != 0) {
		row_none(row);
		rc = row->failed ? -ENOMEM : 0;
	} else {
		rc = row_pack(row, p, buf_slice(&plain));
		if (rc == 0 && seal != NULL && row->p[0] != KIND_NONE)
			rc = row_seal(row, seal);
	}
	(seal == NULL ? buf_clear : buf_wipe)(&plain);
	return rc;
}

static int
maker_feed_blob(struct summary_maker *s, struct mails *m, const struct row *r,
    const struct frames_seal *seal)
{
	char *p = malloc(COMPUTE_CHUNK);
	uint64_t at = 0;
	size_t got = 0;
	int rc = p == NULL ? -ENOMEM : 0;

	while (rc == 0) {
		rc = octets_read(m, r, seal, at, p, COMPUTE_CHUNK, &got);
		if (rc != 0 || got == 0)
			break;
		at += got;
		rc = summary_maker_feed(s, slice(p, got));
	}
	free(p);
	return rc;
}

int
summary_compute(struct mails *m, const struct row *r,
    const struct frames_seal *seal, struct buf *row)
{
	struct buf plain = BUF_INIT;
	struct summary_maker *s;
	int rc;

	buf_reset(row);
	if ((rc = summary_maker_new(&s)) != 0)
		return rc;
	if ((rc = maker_feed_blob(s, m, r, seal)) == 0 &&
	    (rc = maker_plain(s, &plain)) == 0) {
		buf_put_char(row, KIND_PLAIN);
		buf_put_slice(row, buf_slice(&plain));
		rc = row->failed ? -ENOMEM : 0;
	}
	if (rc == 0 && seal != NULL)
		rc = row_seal(row, seal);
	(seal == NULL ? buf_clear : buf_wipe)(&plain);
	summary_maker_free(&s);
	return rc;
}

/* --- reading --- */

/* What is left of a row; `bad` once it was too short. */
struct reader {
	struct slice rest;
	bool bad;
};

static struct slice
get_octets(struct reader *r, size_t n)
{
	struct slice s = slice_head(r->rest, n);

	if (r->rest.n < n) {
		r->bad = true;
		return SLICE_EMPTY;
	}
	r->rest = slice_from(r->rest, n);
	return s;
}

static uint32_t
get32(struct reader *r)
{
	struct slice s = get_octets(r, 4);

	return r->bad ? 0 : get_be32(s.p);
}

static uint64_t
get64(struct reader *r)
{
	struct slice s = get_octets(r, 8);

	return r->bad ? 0 : get_be64(s.p);
}

static unsigned char
get8(struct reader *r)
{
	struct slice s = get_octets(r, 1);

	return r->bad ? 0 : (unsigned char)s.p[0];
}

static struct slice
get_text(struct reader *r)
{
	return get_octets(r, get32(r));
}

static bool
get_part(struct reader *r, struct mails_part *p, size_t n_parts)
{
	unsigned char kind, encoding;

	p->parent = get32(r);
	p->number = get32(r);
	kind = get8(r);
	encoding = get8(r);
	p->header_at = get64(r);
	p->header_size = get64(r);
	p->body_at = get64(r);
	p->body_size = get64(r);
	p->type = get_text(r);
	p->charset = get_text(r);
	if (r->bad || p->parent >= n_parts || kind > MAILS_PART_MESSAGE ||
	    encoding > MAILS_ENC_OTHER)
		return false;
	p->kind = kind;
	p->encoding = encoding;
	return true;
}

static int
get_parts(struct reader *r, struct arena *a, struct mails_summary *out)
{
	size_t n = get32(r);
	struct mails_part *parts;

	if (r->bad || n == 0 || n > r->rest.n / PART_OCTETS)
		return -EBADMSG;
	if ((parts = arena_array(a, n, sizeof(*parts))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!get_part(r, &parts[i], n))
			return -EBADMSG;
	out->parts = parts;
	out->n_parts = n;
	return 0;
}

static int
plain_decode(struct slice plain, struct arena *a, struct mails_summary *out)
{
	struct reader r = { plain, false };

	out->envelope = get_text(&r);
	out->body = get_text(&r);
	out->bodystructure = get_text(&r);
	out->preview = get_text(&r);
	out->message_id = get_text(&r);
	out->references = get_text(&r);
	out->base_subject = get_text(&r);
	out->sent_date = (int64_t)get64(&r);
	out->lines = get32(&r);
	out->header_size = get64(&r);
	return r.bad ? -EBADMSG : get_parts(&r, a, out);
}

static int
zstd_unpack(struct slice row, struct arena *a, struct slice *plain)
{
	size_t n, got;
	char *p;

	if (row.n < 4 || (n = get_be32(row.p)) > UNPACKED_MAX)
		return -EBADMSG;
	if ((p = arena_alloc(a, n + 1)) == NULL)
		return -ENOMEM;
	got = ZSTD_decompress(p, n, row.p + 4, row.n - 4);
	if (ZSTD_isError(got) || got != n)
		return -EBADMSG;
	*plain = slice(p, n);
	return 0;
}

static int
packed_unpack(
    struct packer *pack, struct slice row, struct arena *a, struct slice *plain)
{
	size_t n;
	char *p;
	int rc;

	if (row.n < 5 || (n = get_be32(row.p + 1)) > UNPACKED_MAX)
		return -EBADMSG;
	if ((p = arena_alloc(a, n + 1)) == NULL)
		return -ENOMEM;
	rc = packer_unpack(
	    pack, (unsigned char)row.p[0], slice_from(row, 5), p, n);
	*plain = slice(p, n);
	return rc;
}

static int
plain_row_decode(struct packer *p, struct slice row, struct arena *a,
    struct mails_summary *out)
{
	struct slice plain = slice_from(row, 1);
	int rc;

	if (row.n == 0)
		return -EBADMSG;
	switch (row.p[0]) {
	case KIND_PLAIN:
		if ((plain = arena_dup(a, plain)).p == NULL)
			return -ENOMEM;
		break;
	case KIND_ZSTD:
		if ((rc = zstd_unpack(plain, a, &plain)) != 0)
			return rc;
		break;
	case KIND_PACKED:
		if ((rc = packed_unpack(p, plain, a, &plain)) != 0)
			return rc;
		break;
	default:
		return -EBADMSG;
	}
	return plain_decode(plain, a, out);
}

static int
sealed_decode(struct packer *p, const struct frames_seal *seal,
    struct slice row, struct arena *a, struct mails_summary *out)
{
	char about[ABOUT], *plain;
	struct aead_nonce nonce;
	size_t n;
	int rc;

	if (row.n < 1 + AEAD_NONCE + AEAD_TAG || row.p[0] != KIND_SEALED)
		return -EBADMSG; /* also one that is not sealed: not ours */
	memcpy(nonce.octets, row.p + 1, AEAD_NONCE);
	row = slice_from(row, 1 + AEAD_NONCE);
	n = row.n - AEAD_TAG;
	if ((plain = malloc(n + 1)) == NULL)
		return -ENOMEM;
	rc = aead_open(
	    seal->key, &nonce, about_make(about, seal), row, plain);
	if (rc == 0)
		rc = plain_row_decode(p, slice(plain, n), a, out);
	explicit_bzero(plain, n);
	free(plain);
	return rc;
}

int
summary_decode(struct packer *p, const struct frames_seal *seal,
    struct slice row, struct arena *a, struct mails_summary *out)
{
	*out = (struct mails_summary){ .n_parts = 0 };
	return seal == NULL ? plain_row_decode(p, row, a, out)
			    : sealed_decode(p, seal, row, a, out);
}

bool
summary_is_sealed(struct slice row)
{
	return row.n > 0 && row.p[0] == KIND_SEALED;
}
