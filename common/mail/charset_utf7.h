/* SPDX-License-Identifier: ISC */
/*
 * UTF-7 (RFC 2152) to UTF-8. Not by iconv: glibc's gives another result when
 * ill-formed text comes in other chunks.
 */
#ifndef PNEU_MAIL_CHARSET_UTF7_H
#define PNEU_MAIL_CHARSET_UTF7_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

/* Zero-initialise. */
struct utf7_decoder {
	bool shifted;  /* within + ... - */
	bool begun;    /* something came since the + */
	uint32_t bits; /* n_bits of them wait for the rest of their unit */
	unsigned n_bits;
	uint16_t high; /* a surrogate that waits for the low one, or 0 */
};

/* Append the text; what is ill-formed becomes U+FFFD. The same for every way
 * to cut the input. */
void utf7_decode(struct utf7_decoder *d, struct slice in, struct buf *out);
/* No more input. */
void utf7_decoder_end(struct utf7_decoder *d, struct buf *out);

#endif
