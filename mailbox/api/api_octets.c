/* SPDX-License-Identifier: ISC */
/* Messages and parts as they are, streamed, with ranges (RFC 9110 14). */
#include <errno.h>
#include <stdlib.h>

#include "mailbox/api/api_impl.h"
#include "mailbox/api/api_messages.h"

#define CHUNK ((size_t)64 << 10)

/* --- a part, decoded --- */

int
api_reader_init(struct api_reader *r, struct mails_view *v, uint32_t seq,
    const struct mails_part *part)
{
	static const enum transfer_encoding encodings[] = {
		[MAILS_ENC_7BIT] = TRANSFER_7BIT,
		[MAILS_ENC_8BIT] = TRANSFER_8BIT,
		[MAILS_ENC_BINARY] = TRANSFER_BINARY,
		[MAILS_ENC_QP] = TRANSFER_QP,
		[MAILS_ENC_BASE64] = TRANSFER_BASE64,
		[MAILS_ENC_OTHER] = TRANSFER_OTHER,
	};

	*r = (struct api_reader){
		.v = v,
		.seq = seq,
		.at = part->body_at,
		.left = part->body_size,
		.raw = BUF_INIT_MAX(CHUNK),
		.out = BUF_INIT_MAX(4 * CHUNK),
	};
	transfer_decoder_init(&r->decoder, encodings[part->encoding]);
	return buf_reserve(&r->raw, CHUNK) ? 0 : -ENOMEM;
}

int
api_reader_next(struct api_reader *r, struct slice *piece)
{
	size_t got;
	int rc;

	buf_reset(&r->out);
	while (r->out.n == 0 && !r->ended) {
		rc = mails_read(r->v, r->seq, r->at, r->raw.p,
		    r->left < CHUNK ? (size_t)r->left : CHUNK, &got);
		if (rc == 0 && got == 0 && r->left > 0)
			rc = -EIO; /* shorter than its summary says */
		if (rc != 0)
			return rc;
		transfer_decode(&r->decoder, slice(r->raw.p, got), &r->out);
		r->at += got;
		r->left -= got;
		if (r->left == 0) {
			r->ended = true;
			transfer_decoder_end(&r->decoder, &r->out);
		}
		if (r->out.failed)
			return -ENOMEM;
		if ((rc = co_yield ()) != 0)
			return rc;
	}
	*piece = buf_slice(&r->out);
	return 0;
}

void
api_reader_clear(struct api_reader *r)
{
	buf_clear(&r->raw);
	buf_clear(&r->out);
}

int
api_part_octets(struct mails_view *v, uint32_t seq,
    const struct mails_part *part, struct buf *out)
{
	struct api_reader r;
	struct slice piece;
	int rc = api_reader_init(&r, v, seq, part);

	while (rc == 0 && (rc = api_reader_next(&r, &piece)) == 0 &&
	    piece.n > 0)
		if (!buf_put_slice(out, piece))
			rc = -E2BIG;
	api_reader_clear(&r);
	return rc;
}

/* --- ranges --- */

struct range {
	bool given;
	uint64_t from, size;
};

/*
 * One range of octets; several, or another unit, are as if none was asked for
 * (RFC 9110 14.2). 0, or -ERANGE.
 */
static int
parse_range(struct slice text, uint64_t total, struct range *out)
{
	struct slice last, first;
	uint64_t from, to;

	*out = (struct range){ .size = total };
	if (!slice_starts(text, "bytes=") || slice_find(text, ',') >= 0)
		return 0;
	last = slice_from(text, 6);
	first = slice_split(&last, '-');
	if (first.n == 0) { /* the last so many */
		if (slice_u64(last, UINT64_MAX, &to) != 0)
			return 0;
		if (to == 0 || total == 0)
			return -ERANGE;
		from = to < total ? total - to : 0;
		to = total - 1;
	} else {
		if (slice_u64(first, UINT64_MAX, &from) != 0)
			return 0;
		to = UINT64_MAX;
		if (last.n > 0 && slice_u64(last, UINT64_MAX, &to) != 0)
			return 0;
		if (to < from)
			return 0;
		if (from >= total)
			return -ERANGE;
		if (to >= total)
			to = total - 1;
	}
	*out = (struct range){ true, from, to - from + 1 };
	return 0;
}

/* The head of the reply. 0, API_REPLIED, or the connection's error. */
static int
begin(struct api_call *c, const char *type, uint64_t total, struct range *r)
{
	struct slice text = http_head_get(&c->x->head, "Range");
	char value[80];
	int rc = 0;

	*r = (struct range){ .size = total };
	if (text.p != NULL)
		rc = parse_range(text, total, r);
	http_reply_field(c->x, "Accept-Ranges", SLICE_LIT("bytes"));
	/* What strangers sent must not act as a page of ours. */
	http_reply_field(c->x, "Content-Security-Policy",
	    SLICE_LIT("default-src 'none'; sandbox"));
	if (rc != 0) {
		snprintf(value, sizeof(value), "bytes */%llu",
		    (unsigned long long)total);
		http_reply_field(c->x, "Content-Range", slice_str(value));
		api_problem(c, "bad-range", NULL);
		return API_REPLIED;
	}
	if (r->given) {
		snprintf(value, sizeof(value), "bytes %llu-%llu/%llu",
		    (unsigned long long)r->from,
		    (unsigned long long)(r->from + r->size - 1),
		    (unsigned long long)total);
		http_reply_field(c->x, "Content-Range", slice_str(value));
	}
	return http_reply_begin(
	    c->x, r->given ? 206 : 200, type, (int64_t)r->size);
}

/* --- the message --- */

int
api_send_raw(struct api_call *c, struct mails_view *v, uint32_t seq,
    const char *type)
{
	struct mails_row row;
	struct range r;
	char *chunk;
	size_t got = 0;
	int rc;

	if ((rc = mails_row(v, seq, &row)) != 0)
		return rc;
	if ((chunk = arena_alloc(c->a, CHUNK)) == NULL)
		return -ENOMEM;
	if ((rc = begin(c, type, row.size, &r)) != 0)
		return rc;
	while (r.size > 0 && c->x->head.method != HTTP_HEAD) {
		rc = mails_read(v, seq, r.from, chunk,
		    r.size < CHUNK ? (size_t)r.size : CHUNK, &got);
		/* Less than was promised: the client must see it. */
		if (rc != 0 || got == 0) {
			http_reply_abort(c->x);
			return rc != 0 ? rc : -EIO;
		}
		if ((rc = http_reply_write(c->x, slice(chunk, got))) != 0)
			return rc;
		r.from += got;
		r.size -= got;
	}
	return 0;
}

int
api_message_raw(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq;
	int rc;

	if ((rc = api_view(c, &v)) == 0 && (rc = api_message(c, v, &seq)) == 0)
		rc = api_send_raw(c, v, seq, "message/rfc822");
	mails_view_close(&v);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc;
}

/* --- a part --- */

static int
measure(struct mails_view *v, uint32_t seq, const struct mails_part *part,
    uint64_t *size)
{
	struct api_reader r;
	struct slice piece;
	int rc;

	*size = part->body_size;
	if (part->encoding != MAILS_ENC_QP && part->encoding != MAILS_ENC_BASE64)
		return 0;
	*size = 0;
	rc = api_reader_init(&r, v, seq, part);
	while (rc == 0 && (rc = api_reader_next(&r, &piece)) == 0 &&
	    piece.n > 0)
		*size += piece.n;
	api_reader_clear(&r);
	return rc;
}

static int
stream_part(struct api_call *c, struct mails_view *v, uint32_t seq,
    const struct mails_part *part, struct range range)
{
	struct api_reader r;
	struct slice piece;
	int rc = api_reader_init(&r, v, seq, part);

	while (rc == 0 && range.size > 0 &&
	    (rc = api_reader_next(&r, &piece)) == 0) {
		uint64_t skip = range.from < piece.n ? range.from : piece.n;

		if (piece.n == 0)
			rc = -EIO;
		range.from -= skip;
		piece = slice_from(piece, (size_t)skip);
		piece = slice_head(piece, (size_t)range.size);
		range.size -= piece.n;
		if (rc == 0)
			rc = http_reply_write(c->x, piece);
	}
	if (rc != 0)
		http_reply_abort(c->x);
	api_reader_clear(&r);
	return rc;
}

/* RFC 6266, RFC 8187 */
static void
put_disposition(struct api_call *c, struct slice filename)
{
	struct buf b = BUF_INIT_MAX(4096);

	buf_put_str(&b, "attachment");
	for (size_t i = 0; i < filename.n && i < 255; i++) {
		unsigned char o = (unsigned char)filename.p[i];

		if (i == 0)
			buf_put_str(&b, "; filename*=UTF-8''");
		if (ascii_is_alpha((char)o) || ascii_is_digit((char)o) ||
		    o == '.' || o == '-' || o == '_')
			buf_put_char(&b, (char)o);
		else
			buf_printf(&b, "%%%02X", o);
	}
	http_reply_field(c->x, "Content-Disposition", buf_slice(&b));
	buf_clear(&b);
}

/* What the sender says it is, if that can stand in a header. */
static const char *
type_of(struct api_call *c, const struct mails_part *part)
{
	const char *type;

	if (part->kind == MAILS_PART_MESSAGE)
		return "message/rfc822";
	for (size_t i = 0; i < part->type.n; i++)
		if (!ascii_is_alpha(part->type.p[i]) &&
		    !ascii_is_digit(part->type.p[i]) &&
		    strchr("/.+-_", part->type.p[i]) == NULL)
			return "application/octet-stream";
	type = arena_strdup(c->a, part->type);
	return type == NULL || type[0] == '\0' ? "application/octet-stream"
					       : type;
}

int
api_send_part(struct api_call *c, struct mails_view *v, uint32_t seq)
{
	struct mails_summary sum;
	struct api_part info;
	const struct mails_part *part;
	struct range range;
	uint64_t index, total;
	int rc;

	if ((rc = mails_summary(v, seq, c->a, &sum)) != 0)
		return rc;
	if (slice_u64(c->param[2], UINT32_MAX, &index) != 0 ||
	    index >= sum.n_parts || sum.parts[index].kind == MAILS_PART_MULTI)
		return api_problem(c, "no-such-part", NULL);
	part = &sum.parts[index];
	if ((rc = api_part_info(v, seq, c->a, part, &info)) != 0 ||
	    (rc = measure(v, seq, part, &total)) != 0)
		return rc;
	put_disposition(
	    c, info.filename.p != NULL ? info.filename : SLICE_EMPTY);
	if ((rc = begin(c, type_of(c, part), total, &range)) != 0 ||
	    c->x->head.method == HTTP_HEAD)
		return rc;
	return stream_part(c, v, seq, part, range);
}

int
api_message_part(struct api_call *c)
{
	struct mails_view *v = NULL;
	uint32_t seq;
	int rc;

	if ((rc = api_view(c, &v)) == 0 && (rc = api_message(c, v, &seq)) == 0)
		rc = api_send_part(c, v, seq);
	mails_view_close(&v);
	if (rc == -ENOENT)
		return api_problem(c, "no-such-message", NULL);
	return rc;
}
