/* SPDX-License-Identifier: ISC */
/*
 * A message as Gmail gives it (users.messages.get, format=raw): a JSON object,
 * with the message itself as one string of base64url in it. Taken as it comes,
 * in pieces of any size: the message is handed on decoded and never held. Strict
 * JSON (RFC 8259), and strict base64url (RFC 4648 5). Pure.
 */
#ifndef PNEU_GATEWAY_GMAIL_SCAN_H
#define PNEU_GATEWAY_GMAIL_SCAN_H

#include "common/base/buf.h"

#define GMAIL_ID_MAX 64 /* octets of an id of theirs */
#define GMAIL_LABELS_MAX ((size_t)16 << 10)
#define GMAIL_DEPTH_MAX 32

struct gmail_scan {
	/* what is known when it has ended: */
	char id[GMAIL_ID_MAX + 1];
	bool has_raw;
	int64_t internaldate_ms; /* INT64_MIN: not said */
	struct buf labels;       /* ids, each followed by a space */
	/* its own: */
	int (*raw)(void *arg, struct slice octets);
	void *arg;
	unsigned state, then; /* then: after the string */
	unsigned field, key;  /* whose value it is; of the outer object */
	unsigned depth, word;
	uint64_t arrays; /* a bit for each depth: no object */
	unsigned escape, unit;
	char text[GMAIL_ID_MAX + 1]; /* of a key or a short string */
	size_t n_text;
	bool text_long;
	uint32_t bits;
	unsigned n_digits, n_pads; /* of the group of four */
	char out[3072];
	size_t n_out;
	int rc;
};

/* `raw` gets the message; anything but 0 ends it all. */
void gmail_scan_init(struct gmail_scan *s,
    int (*raw)(void *arg, struct slice octets), void *arg);
void gmail_scan_clear(struct gmail_scan *s);
/* 0; -EPROTO: it is not what it should be; -E2BIG: too many labels; or what `raw`
 * returned. An error sticks. */
int gmail_scan_feed(struct gmail_scan *s, struct slice in);
/* The end is here: 0, when it was all. */
int gmail_scan_end(struct gmail_scan *s);

/* An id that can stand in a path and in our records: letters, digits, '_', '-'. */
bool gmail_id_is_valid(struct slice id);

#endif
