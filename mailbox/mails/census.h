/* SPDX-License-Identifier: ISC */
/* All message rows there are, as check and collect want them; theirs alone. */
#ifndef PNEU_MAILBOX_MAILS_CENSUS_H
#define PNEU_MAILBOX_MAILS_CENSUS_H

#include "mailbox/mails/impl.h"

/* A message row, or one that is on its way in a move. */
struct mark {
	struct store_blob_id blob;
	uint64_t token, size;
	uint64_t mailbox;
	uint32_t uid;  /* 0: on its way */
	uint32_t kept; /* number of its kept row; 0: it is a message */
	bool stored;  /* its blob was seen */
	bool listed;  /* its ref was seen */
	bool framed, sealed;
};

struct census_box {
	uint64_t id;
	bool exists; /* has a header */
	bool named;
	struct header h;
};

/* Which mailbox and message, 0 where not known; a text of `texts`. */
struct census_fault {
	uint64_t mailbox;
	uint32_t uid;
	size_t text;
};

struct census {
	struct mails *m;
	struct buf texts; /* of faults, a NUL behind each */
	struct census_fault *faults;
	size_t n_faults, cap_faults;
	bool faults_lost; /* out of memory */
	struct mark *marks; /* sorted by blob, then token */
	size_t n_marks, cap_marks;
	struct census_box *boxes; /* sorted by id */
	size_t n_boxes, cap_boxes;
};

/*
 * Count everything, such that no message is missed that is in the store all
 * the time, moving or not. 0, -EAGAIN (too much moved), or another error.
 */
int census_take(struct census *c);
void census_clear(struct census *c);
void census_fault(struct census *c, uint64_t mailbox, uint32_t uid,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The first mark of the blob, or NULL; those of one blob follow each other. */
struct mark *census_blob(struct census *c, const struct store_blob_id *id);
/* The mark with that token, or NULL. */
struct mark *census_ref(struct census *c, const struct ref *r);
bool census_is_last(const struct census *c, const struct mark *m);

#endif
