/* SPDX-License-Identifier: ISC */
/*
 * Message data on the wire: the end and the dots of DATA (RFC 5321 4.5.2),
 * and the one place that says what a line ending is. Both directions are
 * state machines fed by chunks of any size; what comes out is emitted in runs
 * as long as they can be, so that a message costs a few calls.
 */
#ifndef PNEU_SMTP_DATA_H
#define PNEU_SMTP_DATA_H

#include "common/base/slice.h"

/* Takes octets; 0, or negative to stop. Never called with none. */
typedef int smtp_emit(void *arg, struct slice octets);

/* --- receiving --- */

enum smtp_data_fault {
	SMTP_DATA_BARE_CR = 1,
	SMTP_DATA_BARE_LF = 2,
	SMTP_DATA_NUL = 4,
};

/* Zero-initialise; for BDAT, whose end is known and that has no dots, set
 * `chunked`. */
struct smtp_decoder {
	bool chunked;
	/* A bare LF becomes CRLF and is no fault, for clients that know no
	 * better; it never is part of what ends the message. */
	bool normalise;
	unsigned char state;
	unsigned faults; /* enum smtp_data_fault: what was seen so far */
};

/*
 * Take what belongs to the message from `in`: *used octets (all, unless the
 * end was found). 1: CRLF.CRLF has come, and nothing else ever is the end; 0:
 * more must come; or what emit returned.
 */
int smtp_decode(struct smtp_decoder *d, struct slice in, size_t *used,
    smtp_emit *emit, void *arg);
/* BDAT LAST has come: a CR at the end was bare. True when the last line lacks
 * its ending (an empty message does not). */
bool smtp_decode_end(struct smtp_decoder *d);

/* --- sending --- */

/* Zero-initialise; `chunked` as above, without dots. */
struct smtp_encoder {
	bool chunked;
	bool binary; /* BINARYMIME: octets as they are */
	unsigned char state;
};
/* Dots are stuffed, bare CR and LF become CRLF. 0, or what emit returned. */
int smtp_encode(struct smtp_encoder *e, struct slice in, smtp_emit *emit,
    void *arg);
/* End the last line where it is not, and the message by its dot. */
int smtp_encode_end(struct smtp_encoder *e, smtp_emit *emit, void *arg);

#endif
