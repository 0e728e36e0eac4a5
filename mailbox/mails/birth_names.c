/* SPDX-License-Identifier: ISC */
/* What a birth has of names: the mailbox, then the keywords, NUL between. */
#include <errno.h>

#include "common/store/store.h"
#include "mailbox/mails/birth.h"
#include "mailbox/mails/name_seal.h"

#define ABOUT (5 + STORE_BLOB_ID_LEN)

static struct slice
about_make(char out[static ABOUT], const struct store_blob_id *id)
{
	memcpy(out, "birth", 5);
	memcpy(out + 5, id->octets, STORE_BLOB_ID_LEN);
	return slice(out, ABOUT);
}

int
birth_names_seal(struct name_sealer *s, const struct store_blob_id *id,
    struct birth *b, struct buf *room)
{
	struct buf names = BUF_INIT;
	char about[ABOUT];
	int rc;

	if (b->n_keywords == 0 && slice_eq(b->mailbox, SLICE_LIT("INBOX")))
		return 0;
	buf_put_slice(&names, b->mailbox);
	for (size_t i = 0; i < b->n_keywords; i++) {
		buf_put_char(&names, '\0');
		buf_put_slice(&names, b->keywords[i]);
	}
	buf_reset(room);
	rc = names.failed ? -ENOMEM
			  : name_seal(s, about_make(about, id),
				buf_slice(&names), room);
	if (rc == 0)
		b->sealed = buf_slice(room);
	buf_clear(&names);
	return rc;
}

int
birth_names_open(struct name_sealer *s, const struct store_blob_id *id,
    struct birth *b, struct buf *room)
{
	char about[ABOUT];
	struct slice rest;
	int rc;

	buf_reset(room);
	if ((rc = name_open(s, about_make(about, id), b->sealed, room)) != 0)
		return rc;
	rest = buf_slice(room);
	b->mailbox = slice_split(&rest, '\0');
	b->n_keywords = 0;
	while (rest.n > 0 && b->n_keywords < BIRTH_KEYWORDS)
		b->keywords[b->n_keywords++] = slice_split(&rest, '\0');
	b->sealed = SLICE_EMPTY;
	return 0;
}
