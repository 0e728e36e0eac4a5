/* SPDX-License-Identifier: ISC */
/* The key of an account's search index: a row of the account, by chance. */
#include "common/base/clock.h"
#include "mailbox/mails/index_impl.h"

#define KEY_ROW SLICE_LIT("q")

int
index_key_get(
    struct mails *m, const char *account, unsigned char key[static INDEX_KEY])
{
	struct buf part = BUF_INIT, row = BUF_INIT;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = store_get(m->s, buf_slice(&part), KEY_ROW, &row);
	if (rc == 0 && row.n != INDEX_KEY)
		rc = -EIO;
	if (rc == 0)
		memcpy(key, row.p, INDEX_KEY);
	buf_wipe(&row);
	buf_clear(&part);
	return rc;
}

int
index_key_make(
    struct mails *m, const char *account, unsigned char key[static INDEX_KEY])
{
	struct buf part = BUF_INIT;
	struct store_batch *b;
	int rc = index_key_get(m, account, key);

	if (rc != -ENOENT)
		return rc;
	if ((rc = account_part(&part, account)) != 0)
		return rc;
	random_octets(key, INDEX_KEY);
	if ((b = store_batch_new(m->s, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		store_guard_absent(b, KEY_ROW);
		store_put(b, KEY_ROW, slice(key, INDEX_KEY));
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	/* Another was first, or it may be ours after all. */
	if (rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN)
		rc = index_key_get(m, account, key);
	return rc;
}
