/* SPDX-License-Identifier: ISC */
/*
 * The wire format; the first octet says which part of it. What a parser takes
 * is safe to pass on, and means the same when it is written again.
 */
#include <stdlib.h>

#include "common/smtp/data.h"
#include "common/smtp/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static struct arena arena;

static void
require(bool good)
{
	if (!good)
		abort();
}

static bool
is_one_line(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

/* What one parser takes the other does too, but for the local part's length. */
static void
path(struct slice in)
{
	struct smtp_path p, again;
	struct buf b = BUF_INIT;
	size_t used;

	if (smtp_path_parse(&arena, in, &p, &used) == SMTP_PATH_OK)
		require(p.local.n <= SMTP_LOCAL_MAX &&
		    smtp_long_path_parse(&arena, in, &p, &used) ==
			SMTP_PATH_OK);
	if (smtp_long_path_parse(&arena, in, &p, &used) != SMTP_PATH_OK)
		return;
	require(used >= 2 && used <= in.n && in.p[used - 1] == '>');
	require(p.domain.n <= SMTP_DOMAIN_MAX && p.text.n <= SMTP_PATH_MAX - 2);
	require(is_one_line(p.text) && is_one_line(p.local));
	buf_put_char(&b, '<');
	require(smtp_path_write(&b, p.local, p.domain));
	buf_put_char(&b, '>');
	/* The least quoting can still be too long for a path. */
	if (smtp_long_path_parse(&arena, buf_slice(&b), &again, &used) == 0) {
		require(used == b.n);
		require(slice_eq(again.local, p.local));
		require(slice_eq(again.domain, p.domain));
		require(again.utf8 == p.utf8);
	} else {
		require(b.n > SMTP_PATH_MAX);
	}
	buf_clear(&b);
}

static void
params(struct slice in)
{
	struct smtp_mail m = { 0 };
	struct smtp_rcpt r = { 0 }, again = { 0 };
	struct smtp_reply error = { 0 };
	struct buf b = BUF_INIT;

	if (smtp_mail_params_parse(&arena, in, ~0U, &m, &error)) {
		require(is_one_line(m.envid) && is_one_line(m.auth));
		require(m.trace.n == 0 || m.trace.n == 18);
	} else {
		require(error.code == 501 || error.code == 555);
	}
	if (!smtp_rcpt_params_parse(&arena, in, ~0U, &r, &error))
		return;
	require(is_one_line(r.orcpt));
	if (r.orcpt.n > 0) {
		buf_put_str(&b, " ORCPT=");
		require(smtp_orcpt_encode(r.orcpt, true, &b));
		if (smtp_rcpt_params_parse(
			&arena, buf_slice(&b), ~0U, &again, &error))
			require(slice_eq(again.orcpt, r.orcpt));
		else
			require(b.n > 500);
	}
	buf_clear(&b);
}

static void
reply(struct slice in)
{
	struct smtp_reply_reader one = { .arena = &arena }, two = one;
	struct smtp_reply r, again;
	struct buf wire = BUF_INIT;
	int rc = 0;

	while (rc == 0 && in.n > 0)
		rc = smtp_reply_read(&one, slice_split(&in, '\n'), &r);
	smtp_reply_reader_clear(&one);
	if (rc != 1)
		return;
	require(r.code >= 200 && r.code <= 599);
	require(smtp_reply_write(&wire, &r));
	in = buf_slice(&wire);
	for (rc = 0; rc == 0 && in.n > 0;) {
		struct slice line = slice_split(&in, '\n');

		require(line.n > 0 && line.n + 1 <= 512);
		require(line.p[line.n - 1] == '\r');
		line.n--;
		require(memchr(line.p, '\r', line.n) == NULL);
		rc = smtp_reply_read(&two, line, &again);
	}
	/* A text of very many lines may fold to more than are read. */
	if (rc == 1)
		require(in.n == 0 && again.code == r.code);
	else
		require(wire.n > SMTP_REPLY_LINES_MAX);
	smtp_reply_reader_clear(&two);
	buf_clear(&wire);
}

static int
collect(void *arg, struct slice octets)
{
	require(octets.n > 0);
	buf_put_slice(arg, octets);
	return 0;
}

/* In pieces as the seed says, decoding gives what it gives at once. */
static void
decode(struct slice in, unsigned seed, bool chunked, bool normalise)
{
	struct smtp_decoder whole = { .chunked = chunked,
		.normalise = normalise };
	struct smtp_decoder cut = whole;
	struct buf a = BUF_INIT, b = BUF_INIT;
	size_t used, total = 0, whole_used;
	int whole_rc = smtp_decode(&whole, in, &whole_used, collect, &a);
	int rc = 0;

	while (rc == 0 && total < in.n) {
		size_t n = in.n - total;

		seed = seed * 1103515245 + 12345;
		if (n > (seed >> 16) % 7 + 1)
			n = (seed >> 16) % 7 + 1;
		rc = smtp_decode(
		    &cut, slice(in.p + total, n), &used, collect, &b);
		total += used;
	}
	require(rc == whole_rc && total == whole_used);
	require(slice_eq(buf_slice(&a), buf_slice(&b)));
	require(whole.faults == cut.faults);
	if (whole_rc == 1 && whole.faults == 0)
		require(whole_used >= 3 &&
		    memcmp(in.p + whole_used - 3, ".\r\n", 3) == 0);
	buf_clear(&a);
	buf_clear(&b);
}

/* What is sent is received, whole, and ends where it ends. */
static void
encode(struct slice in, unsigned seed)
{
	struct smtp_encoder e = { 0 }, plain = { .chunked = true };
	struct smtp_decoder d = { 0 };
	struct buf wire = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
	size_t half = in.n == 0 ? 0 : seed % in.n, used;

	smtp_encode(&plain, in, collect, &want);
	smtp_encode_end(&plain, collect, &want);
	smtp_encode(&e, slice_head(in, half), collect, &wire);
	smtp_encode(&e, slice_from(in, half), collect, &wire);
	smtp_encode_end(&e, collect, &wire);
	require(smtp_decode(&d, buf_slice(&wire), &used, collect, &got) == 1);
	require(used == wire.n);
	require((d.faults & ~(unsigned)SMTP_DATA_NUL) == 0);
	require(slice_eq(buf_slice(&got), buf_slice(&want)));
	buf_clear(&wire);
	buf_clear(&want);
	buf_clear(&got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = slice(p, n);

	if (n == 0)
		return 0;
	in = slice_from(in, 1);
	switch (p[0] % 8) {
	case 0:
	case 1:
		path(in);
		break;
	case 2:
	case 3:
		params(in);
		break;
	case 4:
	case 5:
		reply(in);
		break;
	case 6:
		decode(in, p[0], p[0] & 8, p[0] & 16);
		break;
	default:
		encode(in, p[0]);
		break;
	}
	arena_reset(&arena);
	return 0;
}
