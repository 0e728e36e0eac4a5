/* SPDX-License-Identifier: ISC */
/*
 * The keys of deliveries, for who brings mail in again and again: was this
 * one here already, and what did we note of it. deliver.c writes them.
 */
#include "mailbox/mails/impl.h"

#define KEY_OCTETS 64

struct key_row {
	struct box *x;
	char room[KEY_OCTETS + 1];
	struct slice key;
	struct buf val;
};

static int
key_row_get(struct key_row *k, struct mails *m, const char *account,
    struct slice mailbox, struct slice key)
{
	uint64_t id;
	int rc;

	*k = (struct key_row){ .val = BUF_INIT };
	key = slice_head(key, KEY_OCTETS);
	k->room[0] = 'i';
	memcpy(k->room + 1, key.p, key.n);
	k->key = slice(k->room, key.n + 1);
	if ((rc = names_find(m, account, mailbox, &id)) != 0)
		return rc;
	if ((k->x = box_get(m, id)) == NULL)
		return -ENOMEM;
	rc = store_get(m->s, box_part(k->x), k->key, &k->val);
	return rc == 0 && k->val.n < 4 ? -EIO : rc;
}

static void
key_row_clear(struct key_row *k)
{
	buf_clear(&k->val);
	box_put(&k->x);
}

int
mails_key_get(struct mails *m, const char *account, struct slice mailbox,
    struct slice key, uint32_t *uid, struct buf *note)
{
	struct key_row k;
	int rc = key_row_get(&k, m, account, mailbox, key);

	if (rc == 0) {
		*uid = get_be32(k.val.p);
		if (!buf_put_slice(note, slice_from(buf_slice(&k.val), 4)))
			rc = -ENOMEM;
	}
	key_row_clear(&k);
	return mails_error(rc);
}

/* Guarded on the row as it was: with the mailbox, it may be gone. */
static int
note_attempt(struct key_row *k, struct slice note)
{
	struct store_batch *b = store_batch_new(k->x->m->s, box_part(k->x));
	char val[4 + MAILS_NOTE_MAX];
	int rc;

	if (b == NULL)
		return -ENOMEM;
	note = slice_head(note, MAILS_NOTE_MAX);
	memcpy(val, k->val.p, 4);
	memcpy(val + 4, note.p, note.n);
	store_guard(b, k->key, buf_slice(&k->val));
	store_put(b, k->key, slice(val, 4 + note.n));
	rc = store_commit_one(k->x->m->s, b);
	store_batch_free(&b);
	return rc;
}

int
mails_key_note(struct mails *m, const char *account, struct slice mailbox,
    struct slice key, struct slice note)
{
	unsigned attempts = 0;
	struct key_row k;
	int rc;

	do {
		if ((rc = key_row_get(&k, m, account, mailbox, key)) == 0)
			rc = note_attempt(&k, note);
		key_row_clear(&k);
	} while (try_again(rc, &attempts));
	return mails_error(rc);
}

static void
key_put(struct store_batch *b, const struct mails_key *k)
{
	struct slice key = slice_head(k->key, KEY_OCTETS);
	struct slice note = slice_head(k->note, MAILS_NOTE_MAX);
	char room[KEY_OCTETS + 1], val[4 + MAILS_NOTE_MAX];

	room[0] = 'i';
	memcpy(room + 1, key.p, key.n);
	put_be32(val, k->uid);
	memcpy(val + 4, note.p, note.n);
	store_put(b, slice(room, key.n + 1), slice(val, 4 + note.n));
}

int
mails_keys_put(struct mails *m, const char *account, struct slice mailbox,
    const struct mails_key *keys, size_t n)
{
	unsigned attempts = 0;
	struct change c;
	struct box *x;
	uint64_t id;
	int rc = names_find(m, account, mailbox, &id);

	if (rc != 0 || n == 0)
		return mails_error(rc);
	if ((x = box_get(m, id)) == NULL)
		return -ENOMEM;
	/* A change of the mailbox, so that none is put where it is gone. */
	do {
		if ((rc = change_begin(&c, x)) != 0)
			break;
		for (size_t i = 0; i < n; i++)
			key_put(c.b, &keys[i]);
		rc = change_commit(&c);
	} while (try_again(rc, &attempts));
	box_put(&x);
	return mails_error(rc);
}
