/* SPDX-License-Identifier: ISC */
/* A message of Gmail's: the same whole or octet by octet; what is taken is JSON
 * to jansson, too, and says the same. */
#include <jansson.h>
#include <stdlib.h>

#include "common/mail/transfer.h"
#include "gateway/gmail_scan.h"

static int
put(void *arg, struct slice octets)
{
	return buf_put_slice(arg, octets) ? 0 : -1;
}

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static int
scan(struct slice in, size_t step, struct gmail_scan *s, struct buf *out)
{
	gmail_scan_init(s, put, out);
	while (in.n > 0 && gmail_scan_feed(s, slice_head(in, step)) == 0)
		in = slice_from(in, step);
	return gmail_scan_end(s);
}

/* jansson wants UTF-8 and no lone surrogates, which we pass over. */
static void
compare(struct slice in, const struct gmail_scan *s, const struct buf *out)
{
	json_t *o = json_loadb(in.p, in.n, JSON_ALLOW_NUL, NULL);
	struct buf raw = BUF_INIT;
	const json_t *text;

	if (o != NULL && json_object_size(o) > 0) {
		text = json_object_get(o, "raw");
		need(json_is_string(text));
		need(base64url_decode(&raw,
			 slice(json_string_value(text),
			     json_string_length(text))) == 0);
		need(slice_eq(buf_slice(&raw), buf_slice(out)));
		text = json_object_get(o, "id");
		need(json_is_string(text) &&
		    strcmp(json_string_value(text), s->id) == 0);
	}
	json_decref(o);
	buf_clear(&raw);
}

int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n);

int
LLVMFuzzerTestOneInput(const unsigned char *p, size_t n)
{
	struct slice in = slice(p, n);
	struct buf whole = BUF_INIT, pieces = BUF_INIT;
	struct gmail_scan a, b;
	int rc = scan(in, n, &a, &whole);

	need(rc == scan(in, 1, &b, &pieces));
	if (rc == 0) {
		need(slice_eq(buf_slice(&whole), buf_slice(&pieces)));
		need(strcmp(a.id, b.id) == 0 && a.id[0] != '\0');
		need(slice_eq(buf_slice(&a.labels), buf_slice(&b.labels)));
		need(a.internaldate_ms == b.internaldate_ms);
		need(whole.n <= n);
		compare(in, &a, &whole);
	}
	gmail_scan_clear(&a);
	gmail_scan_clear(&b);
	buf_clear(&whole);
	buf_clear(&pieces);
	return 0;
}
