/* SPDX-License-Identifier: ISC */
/*
 * The rows of an account that have a mailbox's name, in the clear or sealed:
 *
 *	n/<name>            1, id, attributes
 *	N<digest>           2, id, attributes, the name sealed
 *	g/<name>NUL<id>     1, id, attributes, when it was deleted
 *	G<digest><id>       2, the same, the name sealed
 *
 * What is sealed is bound to all else in the row, key and account.
 */
#ifndef PNEU_MAILBOX_MAILS_NAME_ROWS_H
#define PNEU_MAILBOX_MAILS_NAME_ROWS_H

#include "mailbox/mails/name_seal.h"

enum name_kind { NAME_LIVE = 'n', NAME_KEPT = 'g' };

struct name_fields {
	uint64_t id;
	uint32_t attrs;
	int64_t deleted_s; /* KEPT only */
	bool sealed;	   /* how the row is stored */
};

/* Append the key; and the value where `val` is not NULL. -ENOKEY, -ENOMEM. */
int name_row_put(struct name_sealer *s, enum name_kind kind,
    struct slice name, const struct name_fields *f, struct buf *key,
    struct buf *val);
/* Of a row whose key begins as said above. 0, -EIO damaged, -ENOKEY (the fields
 * are there then, and `name` has nothing), -ENOMEM. */
int name_row_get(struct name_sealer *s, struct slice key, struct slice val,
    enum name_kind *kind, struct name_fields *f, struct buf *name);

#endif
