/* SPDX-License-Identifier: ISC */
/*
 * Lists of mailboxes that nobody has open any more, kept for who comes back: a
 * request of the API opens its mailbox and closes it. They are brought up to
 * date when somebody does (view.c), so they cost memory only, and that has a
 * limit.
 */
#include "mailbox/mails/impl.h"

#define WARM_MESSAGES 262144u /* of all together: 6 MiB */
#define WARM_BOXES 64u

static void
cool_behind(struct mails *m)
{
	uint32_t messages = 0;
	struct box *x, **at = &m->warm;

	for (unsigned n = 0; (x = *at) != NULL; n++) {
		messages += x->master->roll.n;
		if (n < WARM_BOXES && messages <= WARM_MESSAGES) {
			at = &x->next_warm;
		} else {
			*at = x->next_warm;
			mails_view_close(&x->master);
		}
	}
}

void
warm_keep(struct box *x)
{
	if (x->master == NULL)
		return;
	x->next_warm = x->m->warm;
	x->m->warm = x;
	cool_behind(x->m);
}

void
warm_take(struct box *x)
{
	struct box **at = &x->m->warm;

	while (*at != NULL && *at != x)
		at = &(*at)->next_warm;
	if (*at != NULL)
		*at = x->next_warm;
}

void
warm_free(struct mails *m)
{
	struct box *x;

	while ((x = m->warm) != NULL) {
		m->warm = x->next_warm;
		mails_view_close(&x->master);
	}
}
