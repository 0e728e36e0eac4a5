/* SPDX-License-Identifier: ISC */
/*
 * Mailbox access keys (RFC 4467 2.2): what URLs that give access to a message
 * are authorized with. Row "g" of the mailbox's partition, so a key goes with
 * its mailbox.
 */
#include <string.h>

#include "common/base/clock.h"
#include "mailbox/mails/impl.h"

#define KEY_URLS SLICE_LIT("g")

/* Put a key where none is, or (reset) in place of the old one; NULL: none.
 * The row of the owner is there as long as the mailbox. */
static int
key_put(struct box *x, const char *account, const unsigned char *key,
    bool reset)
{
	struct store_batch *b = store_batch_new(x->m->s, box_part(x));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	store_guard(b, KEY_OWNER, slice_str(account));
	if (!reset)
		store_guard_absent(b, KEY_URLS);
	if (key != NULL)
		store_put(b, KEY_URLS, slice(key, MAILS_URLKEY));
	else
		store_del(b, KEY_URLS);
	rc = store_commit_one(x->m->s, b);
	store_batch_free(&b);
	return rc;
}

static int
key_read(struct box *x, unsigned char key[static MAILS_URLKEY])
{
	struct buf row = BUF_INIT_MAX(64);
	int rc = store_get(x->m->s, box_part(x), KEY_URLS, &row);

	if (rc == 0 && row.n != MAILS_URLKEY)
		rc = -EIO;
	if (rc == 0)
		memcpy(key, row.p, MAILS_URLKEY);
	buf_wipe(&row);
	return rc;
}

static int
box_find(struct mails *m, const char *account, struct slice name,
    struct box **out)
{
	uint64_t id;
	int rc = names_find(m, account, name, &id);

	*out = NULL;
	if (rc == 0 && (*out = box_get(m, id)) == NULL)
		rc = -ENOMEM;
	return rc;
}

int
mails_urlkey_get(struct mails *m, const char *account, struct slice name,
    bool make, unsigned char key[static MAILS_URLKEY])
{
	unsigned attempts = 0;
	struct box *x;
	int rc = box_find(m, account, name, &x);

	while (rc == 0) {
		rc = key_read(x, key);
		if (rc != -ENOENT || !make)
			break;
		random_octets(key, MAILS_URLKEY);
		rc = key_put(x, account, key, false);
		if (!try_again(rc, &attempts))
			break;
		rc = 0;
	}
	box_put(&x);
	return mails_error(rc);
}

static int
key_replace(struct box *x, const char *account, const unsigned char *key)
{
	unsigned attempts = 0;
	int rc;

	do
		rc = key_put(x, account, key, true);
	while (try_again(rc, &attempts));
	return rc;
}

int
mails_urlkey_reset(struct mails *m, const char *account, struct slice name)
{
	unsigned char key[MAILS_URLKEY];
	struct box *x;
	int rc = box_find(m, account, name, &x);

	random_octets(key, sizeof(key));
	if (rc == 0)
		rc = key_replace(x, account, key);
	box_put(&x);
	return mails_error(rc);
}

int
mails_urlkeys_remove(struct mails *m, const char *account)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	uint64_t *ids;
	size_t n;
	int rc = names_ids(m, account, &a, &ids, &n);

	for (size_t i = 0; i < n && rc == 0; i++) {
		struct box *x = box_get(m, ids[i]);

		rc = x == NULL ? -ENOMEM : key_replace(x, account, NULL);
		box_put(&x);
		if (rc == STORE_ECONFLICT || rc == -ENOENT)
			rc = 0; /* deleted meanwhile, and its key with it */
	}
	arena_reset(&a);
	return mails_error(rc);
}
