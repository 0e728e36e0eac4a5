/* SPDX-License-Identifier: ISC */
/*
 * Text in all its wrappings: decoders give the same in chunks, and UTF-8 on
 * one line; what the encoders write, the decoders give back.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/envelope.h"
#include "common/mail/param.h"
#include "common/mail/transfer.h"

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
check_line(struct slice s)
{
	check(s.p != NULL && utf8_is_valid(s));
	for (size_t i = 0; i < s.n; i++)
		check(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0');
}

static void
check_words(struct arena *a, struct slice text)
{
	struct slice decoded = encoded_decode(a, text), again;
	struct buf b = BUF_INIT;

	check_line(decoded);
	check_line(envelope_base_subject(a, text, NULL));
	decoded = slice_trim(decoded);
	check(encoded_put_text(&b, decoded, 9));
	check(ascii_is_all(buf_slice(&b)));
	again = encoded_decode(a, buf_slice(&b));
	/* long runs of spaces are shortened in writing */
	if (slice_find_slice(decoded, SLICE_LIT("          ")) < 0)
		check(slice_eq(decoded, again));
	buf_reset(&b);
	check(encoded_put_phrase(&b, decoded, 6));
	check(ascii_is_all(buf_slice(&b)));
	check_line(encoded_decode(a, buf_slice(&b)));
	buf_clear(&b);
}

static void
decode(enum transfer_encoding encoding, struct slice in, size_t step,
    struct buf *out)
{
	struct transfer_decoder d;

	transfer_decoder_init(&d, encoding);
	for (; in.n > 0; in = slice_from(in, step))
		check(transfer_decode(&d, slice_head(in, step), out));
	check(transfer_decoder_end(&d, out));
}

static void
encode(enum transfer_encoding encoding, struct slice in, size_t step,
    struct buf *out)
{
	struct transfer_encoder e;

	transfer_encoder_init(&e, encoding);
	for (; in.n > 0; in = slice_from(in, step))
		check(transfer_encode(&e, slice_head(in, step), out));
	check(transfer_encoder_end(&e, out));
}

/* LF and CRLF are the same to quoted-printable. */
static void
put_crlf(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\n' && (i == 0 || s.p[i - 1] != '\r'))
			buf_put_char(b, '\r');
		buf_put_char(b, s.p[i]);
	}
}

static void
check_transfer(enum transfer_encoding encoding, struct slice s, size_t step)
{
	struct buf whole = BUF_INIT, stepped = BUF_INIT, back = BUF_INIT;
	struct buf text = BUF_INIT;

	decode(encoding, s, s.n + 1, &whole);
	decode(encoding, s, step, &stepped);
	check(slice_eq(buf_slice(&whole), buf_slice(&stepped)));
	buf_reset(&whole);
	buf_reset(&stepped);
	encode(encoding, s, s.n + 1, &whole);
	encode(encoding, s, step, &stepped);
	check(slice_eq(buf_slice(&whole), buf_slice(&stepped)));
	check(ascii_is_all(buf_slice(&whole)));
	decode(encoding, buf_slice(&whole), step, &back);
	if (encoding == TRANSFER_QP)
		put_crlf(&text, s);
	else
		buf_put_slice(&text, s);
	check(slice_eq(buf_slice(&back), buf_slice(&text)));
	buf_clear(&whole);
	buf_clear(&stepped);
	buf_clear(&back);
	buf_clear(&text);
}

static void
check_base64(struct slice s)
{
	struct buf b = BUF_INIT, back = BUF_INIT;

	if (base64_decode(&b, s) == 0) {
		check(base64_encode(&back, buf_slice(&b)));
		check(slice_eq(s, buf_slice(&back)));
	} else {
		check(b.n == 0);
	}
	buf_clear(&b);
	buf_clear(&back);
}

static void
check_charset(struct slice name, struct slice s, size_t step)
{
	struct buf whole = BUF_INIT, stepped = BUF_INIT;
	struct charset_decoder d;

	check(charset_to_utf8(name, s, &whole) == 0);
	check(utf8_is_valid(buf_slice(&whole)));
	check(charset_decoder_init(&d, name) == 0);
	for (; s.n > 0; s = slice_from(s, step))
		check(charset_decode(&d, slice_head(s, step), &stepped));
	check(charset_decoder_end(&d, &stepped));
	check(slice_eq(buf_slice(&whole), buf_slice(&stepped)));
	buf_clear(&whole);
	buf_clear(&stepped);
}

static void
check_params(struct arena *a, struct slice s)
{
	struct slice type, subtype;
	struct params params;

	if (param_field_parse(a, s, &type, &subtype, &params) != 0)
		return;
	check(type.n > 0 && subtype.n > 0 && params.n <= PARAMS_MAX);
	for (size_t i = 0; i < params.n; i++) {
		char *name = arena_strdup(a, params.v[i].name);
		struct slice v;

		check(params.v[i].name.n > 0 && params.v[i].value.p != NULL);
		if (slice_ends_nocase(params.v[i].name, "*"))
			name[params.v[i].name.n - 1] = '\0';
		v = param_decode(a, &params, name);
		check(v.p != NULL && utf8_is_valid(v));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first octet chooses a charset and the size of chunks. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "utf-8", "iso-2022-jp", "utf-16",
		"utf-7", "gb18030", "big5", "shift_jis", "euc-kr",
		"windows-1258", "iso-2022-kr", "euc-jp", "windows-1252",
		"utf-32", "iso-8859-6", "koi8-r", "windows-1255" };
	struct arena a = { 0 };
	struct slice s;
	size_t step;

	if (size == 0)
		return 0;
	s = slice(data + 1, size - 1);
	step = 1 + data[0] / 16;
	check_words(&a, s);
	check_transfer(TRANSFER_BASE64, s, step);
	check_transfer(TRANSFER_QP, s, step);
	check_base64(s);
	check_charset(slice_str(names[data[0] % 16]), s, step);
	check_params(&a, s);
	arena_reset(&a);
	return 0;
}
