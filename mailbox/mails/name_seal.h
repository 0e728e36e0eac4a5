/* SPDX-License-Identifier: ISC */
/*
 * Names that users give (mailboxes, keywords, addresses that mail came for),
 * sealed where mail of the account is: with a key that is made of the server's,
 * whether mail is sealed with that or to the account, for deliveries and
 * sign-ins without a key need names. docs/sealing.md says what it protects from.
 *
 * A name that is a row's key is its keyed digest, and stands sealed in the
 * value. Sealed text: 12 octets of nonce, the text with NULs up to a multiple
 * of NAME_PAD, 16 of tag. The nonce is a keyed digest of what is sealed and
 * where (as RFC 5297 does it): the same name at the same place gives the same
 * octets, so a row can be guarded on, and none of a nonce is ever used for two
 * texts.
 */
#ifndef PNEU_MAILBOX_MAILS_NAME_SEAL_H
#define PNEU_MAILBOX_MAILS_NAME_SEAL_H

#include "common/base/buf.h"
#include "common/base/slice.h"

#define NAME_DIGEST 16
#define NAME_PAD 32

struct mails;

/* How names of an account are written and read now. */
struct name_sealer {
	int write_rc; /* why nothing can be written, or 0 */
	bool seals;   /* what is written is sealed */
	bool opens;   /* what is sealed can be opened */
	bool has_seal;
	unsigned char base[32], seal[32];
};

/* May wait, where the server's key is to be made or to be looked for. 0,
 * -ENOMEM; a key that is not here is told when it is needed. Wipe it. */
int name_sealer_init(
    struct name_sealer *s, struct mails *m, const char *account);
void name_sealer_wipe(struct name_sealer *s);

/* None of these waits. */

/* -ENOKEY. */
int name_digest(const struct name_sealer *s, struct slice name,
    unsigned char out[static NAME_DIGEST]);
/* Append; `about` is authenticated with it: where it stands. The text does not
 * end with NUL. -ENOKEY, -ENOMEM. */
int name_seal(struct name_sealer *s, struct slice about, struct slice text,
    struct buf *out);
/* Append the text. -ENOKEY, -ENOMEM; -EBADMSG: changed, or of another place. */
int name_open(struct name_sealer *s, struct slice about, struct slice sealed,
    struct buf *out);

#endif
