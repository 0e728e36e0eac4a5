/* SPDX-License-Identifier: ISC */
/* What the files of rebuild share. */
#ifndef PNEU_MAILBOX_MAILS_REBUILD_IMPL_H
#define PNEU_MAILBOX_MAILS_REBUILD_IMPL_H

#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/rebuild.h"

struct rebuild {
	struct mails *m;
	const char *recover_to;
	mails_fault_fn *told;
	void *arg;
	struct mails_rebuilt *out;
};

/* All mailboxes have sound headers, and names. */
int rebuild_boxes(struct rebuild *r);

#endif
