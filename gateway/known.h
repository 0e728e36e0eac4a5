/* SPDX-License-Identifier: ISC */
/*
 * Which folder of an IMAP account elsewhere is which mailbox here, so that one
 * that is renamed or gone is told from one that is new. Rows, besides those of
 * state.h and pairs.h:
 *
 *   y<16>   a folder, by half a SHA-256 of its name there: F of its other rows
 *           (16 octets), UIDVALIDITY there and here, UID of its sample (4 each),
 *           the sample (16), 1 while it is still to be made there; then its name
 *           here, NUL, its name there, NUL, its MAILBOXID (RFC 8474)
 *   z<4>    a mailbox here, by its UIDVALIDITY, that is none there; its name
 *
 * F stays what it is when a folder is renamed, so what is known of its messages
 * needs not be written anew. UIDVALIDITY here is as good as an id: mailbox gives
 * none twice in an account, and a mailbox keeps it when it is renamed.
 */
#ifndef PNEU_GATEWAY_KNOWN_H
#define PNEU_GATEWAY_KNOWN_H

#include "gateway/pairs.h"

struct folder;
struct here_box;

struct known {
	unsigned char key[STATE_ID]; /* of the row */
	struct pair_folder id;       /* F */
	uint32_t there, here; /* UIDVALIDITY; there 0: not told yet; here 0: it
			       * is no mailbox here */
	/* One of its messages, as follow_prints has it; UID 0: none yet,
	 * UINT32_MAX: there was none. */
	uint32_t sample_uid;
	unsigned char sample[STATE_ID];
	bool pending;          /* it is still to be made there */
	struct slice name;     /* here, as it was at the last look */
	struct slice raw;      /* there */
	struct slice objectid; /* empty: it has none */
	struct folder *f;      /* of this look, or NULL */
	struct here_box *box;  /* the same */
};

/* Sorted by key; in the arena. */
int known_load(struct state *s, const char *address, struct arena *a,
    struct known **out, size_t *n);
int known_put(struct state *s, const char *address, const struct known *k);
/* Other names there: `raw` and `key` of each are new, `was` are the old keys, one
 * after the other. */
int known_move(struct state *s, const char *address, const unsigned char *was,
    const struct known *const *v, size_t n);
/* With all that is known of its messages. */
int known_drop(struct state *s, const char *address, const struct known *k);

/* UIDVALIDITYs, ascending; in the arena. */
int lone_load(struct state *s, const char *address, struct arena *a,
    uint32_t **out, size_t *n);
int lone_put(struct state *s, const char *address, uint32_t uidvalidity,
    struct slice name);
int lone_drop(struct state *s, const char *address, uint32_t uidvalidity);

#endif
