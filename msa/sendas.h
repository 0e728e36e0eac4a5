/* SPDX-License-Identifier: ISC */
/*
 * Send-As: "[sendas:LOCAL]" or "[sendas:LOCAL@DOMAIN]" in the Subject says as
 * whom a message is to be sent. Pure functions on the header; who may, and the
 * envelope, are msa_as.c's business.
 */
#ifndef PNEU_MSA_SENDAS_H
#define PNEU_MSA_SENDAS_H

#include <stdbool.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

enum sendas_found {
	SENDAS_NONE,
	SENDAS_TAG,
	SENDAS_BAD,  /* what it holds is not an address */
	SENDAS_MANY, /* more than one */
};

struct sendas_tag {
	struct slice text;          /* between colon and bracket, for replies */
	struct slice local, domain; /* domain .p NULL: left out */
	struct slice field;         /* the Subject field, in the header */
	struct slice subject;       /* without the tag: what follows the colon,
				       folded, with its line end */
};

/*
 * Look for the tag in the Subject of a header: in any case of letters and any
 * place, folded, in encoded words (RFC 2047) or split over them; the address
 * may stand in angle brackets. enum sendas_found, or -ENOMEM. The slices are
 * in the arena or the header.
 */
int sendas_find(struct arena *a, struct slice header, struct sendas_tag *out);

/*
 * The header with From's address being `local`@`domain` (ASCII, or UTF-8 where
 * that may be sent) and its display name kept, without Sender, which would name
 * the other address, and with the Subject of `tag` (NULL: as it is). All other
 * fields are copied octet by octet. Of several addresses in From the first one
 * lends its name. *out gets no blank line. 0 or -ENOMEM.
 */
int sendas_rewrite(struct arena *a, struct slice header,
    const struct sendas_tag *tag, struct slice local, struct slice domain,
    struct buf *out);

#endif
