/* SPDX-License-Identifier: ISC */
/* What the files about kept mail share, and give to the rest of Mails. */
#ifndef PNEU_MAILBOX_MAILS_KEPT_IMPL_H
#define PNEU_MAILBOX_MAILS_KEPT_IMPL_H

#include "mailbox/mails/impl.h"
#include "mailbox/mails/kept.h"
#include "mailbox/mails/name_rows.h"

/* --- rows (kept.c) --- */

enum kept_kind {
	KEPT_EXPUNGED = 1,
	/* It is elsewhere, and so is its blob, as long as this row stays: a
	 * message that is expunged there later is kept there longer. */
	KEPT_MOVED = 2,
};

struct kept {
	enum kept_kind kind;
	int64_t expunged_s;
	uint32_t uid; /* that it had */
	struct row row;
};
#define KEPT_HEAD 14 /* before the message's row */
#define KEPT_ROW_MAX (KEPT_HEAD + MESSAGE_ROW_MAX)

/* In the batch that takes the message's row out. */
void kept_put(
    struct change *c, uint32_t uid, const struct row *r, enum kept_kind kind);
int kept_decode(struct slice in, struct kept *k); /* 0, -EIO */
/* `raw` (or NULL) gets the row as it is. */
int kept_get(struct box *x, uint32_t number, struct kept *k, struct buf *raw);
/* Remove what was expunged before that; *removed (or NULL) counts. */
int kept_purge(struct box *x, int64_t before_s, uint64_t *removed);

/* All kept rows from a number on; `fn` must not wait, and non-zero ends it. */
int kept_rows(struct box *x, uint32_t from,
    int (*fn)(void *arg, uint32_t number, const struct kept *k), void *arg);

/* --- names (kept_names.c) --- */

/* "#deleted..." and "#time..." are no names of mailboxes. */
bool kept_is_name(struct slice name);

/* A mailbox of an account that was deleted, as its row has it. */
struct kept_box {
	struct slice name; /* in the arena */
	uint64_t id;
	uint32_t attrs;
	int64_t deleted_s;
	bool sealed; /* how the row is stored */
};
int kept_box_put(
    struct name_sealer *s, struct store_batch *b, const struct kept_box *k);
/* Under a guard on it, the row goes. */
int kept_box_take(
    struct name_sealer *s, struct store_batch *b, const struct kept_box *k);
/* Is it there, and (k->sealed) in which form? 0 or -ENOENT. */
int kept_box_look(struct mails *m, struct name_sealer *s, struct slice part,
    struct kept_box *k);
/* Sorted by name; without the server's key, sealed names are empty. */
int kept_boxes(struct mails *m, const char *account, struct arena *a,
    struct kept_box **out, size_t *n);
/* The same, and how many rows besides are damaged. */
int kept_boxes_count(struct mails *m, const char *account, struct arena *a,
    struct kept_box **out, size_t *n, unsigned *damaged);
/* The one of that name that was deleted last. -ENOENT. */
int kept_box_find(struct mails *m, const char *account, struct slice name,
    struct arena *a, struct kept_box *out);

/* --- views (kept_view.c) --- */

/*
 * What such a name means: kind, the mailbox, the time. -ENOENT: nothing, or
 * nothing is kept. `name` is canonical.
 */
int kept_view_find(
    struct mails_view *v, const char *account, struct slice name, uint64_t *id);
int kept_view_load(struct mails_view *v);
int kept_view_sync(struct mails_view *v, const struct header *now);
/* As row_get, of any kind of view. */
int view_row(struct mails_view *v, uint32_t seq, struct row *r);
/* COPY out of a view that is not live: octet by octet. */
int kept_copy(struct mails_view *v, const uint32_t *seqs, size_t n,
    struct slice target, const struct mails_quota *quota, struct arena *a,
    struct mails_copied *out);
/* Of view.c: room for one more, and its flags from the row. */
int view_append(struct mails_view *v, uint32_t uid, const struct row *r);

/* --- of names.c --- */

/* Put a deleted mailbox back under its name. -EEXIST. */
int
names_revive(struct mails *m, const char *account, const struct kept_box *k);
/* Now it goes for good. */
int names_destroy_kept(
    struct mails *m, const char *account, const struct kept_box *k);

/* Ends the purger, and waits for that. */
void purge_stop(struct mails *m);

#endif
