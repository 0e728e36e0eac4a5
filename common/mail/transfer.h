/* SPDX-License-Identifier: ISC */
/*
 * Content transfer encodings (RFC 2045 6): base64 and quoted-printable, both
 * directions, streaming with the state of a few octets. Decoders are lenient
 * to other people's mail; base64_decode is strict, for protocols.
 */
#ifndef PNEU_MAIL_TRANSFER_H
#define PNEU_MAIL_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/slice.h"

enum transfer_encoding {
	TRANSFER_7BIT,
	TRANSFER_8BIT,
	TRANSFER_BINARY,
	TRANSFER_QP,
	TRANSFER_BASE64,
	TRANSFER_OTHER, /* unknown: opaque (RFC 2045 6.4) */
};

/* Of the value of Content-Transfer-Encoding; empty is 7bit. */
enum transfer_encoding transfer_encoding_of(struct slice name);

struct transfer_decoder {
	enum transfer_encoding encoding;
	uint32_t bits; /* base64: what came since the last full group */
	unsigned n_bits;
	bool ended;   /* base64: padding seen */
	char hold[3]; /* quoted-printable: "=" and what follows it */
	size_t n_hold;
	size_t n_space; /* white space that may stand before a line end */
	char space[76];
};

void transfer_decoder_init(
    struct transfer_decoder *d, enum transfer_encoding encoding);
/* Append decoded octets. False when out has failed (is full). */
bool
transfer_decode(struct transfer_decoder *d, struct slice in, struct buf *out);
bool transfer_decoder_end(struct transfer_decoder *d, struct buf *out);

struct transfer_encoder {
	enum transfer_encoding encoding; /* QP or BASE64 */
	unsigned char hold[3];
	size_t n_hold;
	size_t column;
};

/* Lines of at most 76 octets, CRLF. For quoted-printable the input is text
 * whose line ends are CRLF or LF. */
void transfer_encoder_init(
    struct transfer_encoder *e, enum transfer_encoding encoding);
bool
transfer_encode(struct transfer_encoder *e, struct slice in, struct buf *out);
bool transfer_encoder_end(struct transfer_encoder *e, struct buf *out);

/* The value of a base64 digit (RFC 4648 4), 0 .. 63, or -1. */
int base64_digit(char c);
/* One token without line ends, as SASL has it. */
bool base64_encode(struct buf *out, struct slice in);
/* Strict: canonical padding, no other octet. 0, -EINVAL, -ENOMEM (out full);
 * out is as before on error. */
int base64_decode(struct buf *out, struct slice in);
/* The same with the alphabet for URLs (RFC 4648 5): written without padding,
 * read with or without. */
bool base64url_encode(struct buf *out, struct slice in);
int base64url_decode(struct buf *out, struct slice in);

#endif
