/* SPDX-License-Identifier: ISC */
/*
 * Text in the charsets of mail to UTF-8, by iconv. Only charsets of an
 * allow-list of names reach iconv: its rarer modules have had holes
 * (CVE-2024-2961). What is not valid becomes U+FFFD; NUL is dropped.
 */
#ifndef PNEU_MAIL_CHARSET_H
#define PNEU_MAIL_CHARSET_H

#include <iconv.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/slice.h"
#include "common/mail/charset_utf7.h"

/* A name, or alias, that can be decoded here (case ignored). */
bool charset_is_known(struct slice name);

struct charset_decoder {
	int kind; /* for the decoder itself */
	size_t unit;
	iconv_t cd;
	char pending[16];
	size_t n_pending;
	struct utf7_decoder utf7;
};

/*
 * An unknown or empty name is taken as UTF-8 where the octets are valid and
 * as U+FFFD where not (RFC 6532 mail has no charset in its header).
 * -ENOMEM, or 0.
 */
int charset_decoder_init(struct charset_decoder *d, struct slice name);
/* Append the text in UTF-8 to `out`. False when out has failed (is full). */
bool
charset_decode(struct charset_decoder *d, struct slice in, struct buf *out);
/* A sequence that was not complete becomes U+FFFD; frees what d holds. */
bool charset_decoder_end(struct charset_decoder *d, struct buf *out);

/* All three in one. -ENOMEM (also: out is full), or 0. */
int charset_to_utf8(struct slice name, struct slice in, struct buf *out);

/* Well-formed UTF-8 (RFC 3629 4): no surrogates, none over U+10FFFF. */
bool utf8_is_valid(struct slice s);
/* Octets of the first `chars` characters of s (valid UTF-8), at most s.n. */
size_t utf8_prefix(struct slice s, size_t chars);
/* All octets under 128. */
bool ascii_is_all(struct slice s);

#endif
