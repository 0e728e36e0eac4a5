/* SPDX-License-Identifier: ISC */
#include "common/mail/casemap.h"

#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#define DEPTH 4 /* of decompositions in decompositions; Unicode has 3 */

static void
put_char(struct buf *out, ucs4_t c)
{
	uint8_t octets[6];
	int n = u8_uctomb(octets, c, sizeof(octets));

	if (n > 0)
		buf_put(out, octets, (size_t)n);
}

static void
put_decomposed(struct buf *out, ucs4_t c, int depth)
{
	ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
	int tag, n = depth == 0 ? -1 : uc_decomposition(c, &tag, parts);

	if (n < 0) {
		put_char(out, c);
		return;
	}
	for (int i = 0; i < n; i++)
		put_decomposed(out, parts[i], depth - 1);
}

/* The ASCII octets at the start of s. */
static size_t
put_ascii(struct buf *out, struct slice s)
{
	size_t n = 0;

	while (n < s.n && (unsigned char)s.p[n] < 0x80)
		n++;
	if (!buf_reserve(out, n))
		return n;
	for (size_t i = 0; i < n; i++)
		out->p[out->n + i] = ascii_upper(s.p[i]);
	out->n += n;
	out->p[out->n] = '\0';
	return n;
}

bool
casemap_put(struct buf *out, struct slice s)
{
	while (s.n > 0) {
		ucs4_t c;
		int n;

		s = slice_from(s, put_ascii(out, s));
		if (s.n == 0)
			break;
		n = u8_mbtoucr(&c, (const uint8_t *)s.p, s.n);
		if (n > 0) {
			put_decomposed(out, uc_totitle(c), DEPTH);
		} else {
			n = 1;
			buf_put(out, s.p, 1);
		}
		s = slice_from(s, (size_t)n);
	}
	return !out->failed;
}
