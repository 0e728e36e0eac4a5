/* SPDX-License-Identifier: ISC */
/* STATUS items (RFC 3501 6.3.10, 7162, 8438, 7889), for STATUS and LIST. */
#ifndef PNEU_MAILBOX_IMAP_STATUS_H
#define PNEU_MAILBOX_IMAP_STATUS_H

#include "mailbox/imap/imap_session.h"

/* "(MESSAGES UNSEEN)" to bits for imap_put_status. */
int imap_parse_status_items(struct imap_session *s, unsigned *items);
/* "* STATUS name (...)". 0 or an error of mails_status, then with nothing
 * written. */
int imap_put_status(struct imap_session *s, struct slice name,
    struct slice utf7, unsigned items);

#endif
