/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/restore.h"

#include "mailbox/mails/impl.h"

static void
make_begin(struct header *h, const struct mails_restored *was)
{
	if (h->messages > 0 || h->uidnext != 1)
		return;
	h->uidvalidity = was->uidvalidity;
	if (h->modseq < was->modseq)
		h->modseq = was->modseq;
}

/* What is restored is not recent: its clients know it. */
static void
make_end(struct header *h, const struct mails_restored *was)
{
	if (h->uidvalidity != was->uidvalidity)
		return;
	if (h->uidnext < was->uidnext)
		h->uidnext = was->uidnext;
	if (h->recent_uid < was->uidnext)
		h->recent_uid = was->uidnext;
}

static bool
same_header(const struct header *a, const struct header *b)
{
	return a->uidvalidity == b->uidvalidity && a->modseq == b->modseq &&
	    a->uidnext == b->uidnext && a->recent_uid == b->recent_uid;
}

static int
header_change(struct mails *m, const char *account, struct slice name,
    void (*make)(struct header *h, const struct mails_restored *was),
    const struct mails_restored *was, struct header *now)
{
	unsigned attempts = 0;
	struct change c;
	struct box *x;
	uint64_t id;
	int rc = names_find(m, account, name, &id);

	if (rc != 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	do {
		x->known = false; /* also after what another process did */
		if ((rc = change_begin(&c, x)) != 0)
			continue;
		make(&c.h, was);
		*now = c.h;
		if (same_header(&c.h, &c.old))
			change_abort(&c);
		else
			rc = change_commit(&c);
	} while (try_again(rc, &attempts));
	box_put(&x);
	return mails_error(rc);
}

int
mails_restore_begin(struct mails *m, const char *account, struct slice name,
    const struct mails_restored *was, bool *same)
{
	struct header h = { 0 };
	int rc = header_change(m, account, name, make_begin, was, &h);

	*same = rc == 0 && h.uidvalidity == was->uidvalidity;
	return rc;
}

int
mails_restore_end(struct mails *m, const char *account, struct slice name,
    const struct mails_restored *was)
{
	struct header h;

	return header_change(m, account, name, make_end, was, &h);
}

int
mails_is_untouched(struct mails *m, const char *account, bool *out)
{
	struct buf part = BUF_INIT, row = BUF_INIT;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = store_get(m->s, buf_slice(&part), SLICE_LIT("v"), &row);
	*out = rc == -ENOENT;
	buf_clear(&part);
	buf_clear(&row);
	return rc == -ENOENT ? 0 : mails_error(rc);
}
