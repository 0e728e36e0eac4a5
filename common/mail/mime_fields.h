/* SPDX-License-Identifier: ISC */
/* For mime.c: the fields of one header that the tree keeps. */
#ifndef PNEU_MAIL_MIME_FIELDS_H
#define PNEU_MAIL_MIME_FIELDS_H

#include "common/mail/mime.h"

/*
 * Fill in the part from its header. Its parent, for the default type
 * (RFC 2046 5.1.5), and `envelope`, when its fields are wanted, are set.
 * 0 or -ENOMEM.
 */
int
mime_fields_parse(struct arena *a, struct slice header, struct mime_part *part);

#endif
