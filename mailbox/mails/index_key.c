/* SPDX-License-Identifier: ISC */
/*
 * The key of an account's search index, by chance, in a row of the account: 32
 * octets as they are, or kind and octets of wrap.h. Where mail is sealed the
 * key is, and with it the rows of blocks: from how often tokens occur, and
 * which of them together, text can be guessed.
 *
 * A row that is not sealed as mail is now gives way to a new key, and with it
 * go all blocks, each mailbox's when it is looked at next.
 */
#include "common/base/clock.h"
#include "mailbox/mails/index_impl.h"

#define KEY_ROW SLICE_LIT("q")
#define ABOUT SLICE_LIT("index")
#define KEY_ROW_MAX (1 + SEAL_BOX_LEN)

void
index_key_wipe(struct index_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

static int
row_decode_key(struct slice row, struct wrap *w)
{
	*w = (struct wrap){ .kind = WRAP_NONE };
	if (row.n == INDEX_KEY)
		return 0;
	if (row.n == 0 || row.n > KEY_ROW_MAX)
		return -EIO;
	w->kind = (enum wrap_kind)row.p[0];
	if ((w->kind != WRAP_SERVER && w->kind != WRAP_ACCOUNT) ||
	    row.n != 1 + wrap_octets(w->kind))
		return -EIO;
	memcpy(w->octets, row.p + 1, row.n - 1);
	return 0;
}

static int
key_ready(struct index_key *k)
{
	return k->sealed ? seal_subkey(slice((char *)k->octets, INDEX_KEY),
			       "index rows", k->rows)
			 : 0;
}

/* The row as it is, too; and how it is sealed. */
static int
key_read(struct mails *m, const char *account, const struct seal_key *private,
    struct index_key *k, struct buf *row, enum wrap_kind *kind)
{
	struct buf part = BUF_INIT;
	struct wrap w;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = store_get(m->s, buf_slice(&part), KEY_ROW, row);
	if (rc == 0 && (rc = row_decode_key(buf_slice(row), &w)) == 0) {
		*kind = w.kind;
		k->sealed = w.kind != WRAP_NONE;
		if (k->sealed)
			rc = wrap_open(
			    m, account, private, ABOUT, &w, k->octets);
		else
			memcpy(k->octets, row->p, INDEX_KEY);
	}
	if (rc == 0)
		rc = key_ready(k);
	buf_clear(&part);
	return rc;
}

int
index_key_get(struct mails *m, const char *account,
    const struct seal_key *private, struct index_key *k)
{
	struct buf row = BUF_INIT;
	enum wrap_kind kind;
	int rc = key_read(m, account, private, k, &row, &kind);

	buf_wipe(&row);
	return rc;
}

/* A new one; the row is what is to be put. */
static int
key_new(struct mails *m, const char *account, enum mails_sealing how,
    struct index_key *k, struct buf *row)
{
	struct wrap w;
	int rc = 0;

	random_octets(k->octets, INDEX_KEY);
	k->sealed = how != MAILS_SEAL_NONE;
	if (!k->sealed)
		return buf_put(row, k->octets, INDEX_KEY) ? 0 : -ENOMEM;
	if ((rc = wrap_make(m, account, ABOUT, k->octets, &w)) == 0 &&
	    (w.kind == WRAP_NONE || w.kind == WRAP_CLEAR))
		rc = STORE_ECONFLICT; /* it was changed just now */
	buf_put_char(row, (char)w.kind);
	buf_put(row, w.octets, wrap_octets(w.kind));
	if (rc == 0)
		rc = row->failed ? -ENOMEM : key_ready(k);
	return rc;
}

/* In place of `old` (empty: none). */
static int
key_put(struct mails *m, const char *account, enum mails_sealing how,
    struct slice old, struct index_key *k)
{
	struct buf part = BUF_INIT, row = BUF_INIT;
	struct store_batch *b = NULL;
	int rc = account_part(&part, account);

	if (rc == 0)
		rc = key_new(m, account, how, k, &row);
	if (rc == 0 && (b = store_batch_new(m->s, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		if (old.n == 0)
			store_guard_absent(b, KEY_ROW);
		else
			store_guard(b, KEY_ROW, old);
		store_put(b, KEY_ROW, buf_slice(&row));
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	buf_wipe(&row);
	buf_clear(&part);
	return rc;
}

/* Is a key that is kept so of use where mail is sealed in this way? */
static bool
kind_suits(enum wrap_kind kind, enum mails_sealing how)
{
	return how == MAILS_SEAL_NONE ||
	    (how == MAILS_SEAL_SERVER && kind != WRAP_NONE) ||
	    kind == WRAP_ACCOUNT;
}

static int
key_make(struct mails *m, const char *account, const struct seal_key *private,
    struct index_key *k)
{
	unsigned char public[SEAL_PUBLIC_LEN];
	struct buf row = BUF_INIT;
	enum wrap_kind kind = WRAP_NONE;
	enum mails_sealing how;
	int rc = sealing_of(m, account, &how, public), found;

	if (rc != 0)
		return rc;
	/* Nobody could use it. */
	if (how == MAILS_SEAL_ACCOUNT && private == NULL)
		return -ENOKEY;
	found = key_read(m, account, private, k, &row, &kind);
	if (found == -ENOENT || found == -EBADMSG ||
	    (found == 0 && !kind_suits(kind, how)))
		found = key_put(m, account, how, buf_slice(&row), k);
	buf_wipe(&row);
	return found;
}

int
index_key_make(struct mails *m, const char *account,
    const struct seal_key *private, struct index_key *k)
{
	unsigned attempts = 0;
	int rc;

	/* Another was first, or it may be ours after all. */
	do
		rc = key_make(m, account, private, k);
	while (try_again(rc, &attempts));
	return rc;
}

static int
key_del(struct mails *m, const char *account, struct slice old)
{
	struct buf part = BUF_INIT;
	struct store_batch *b = NULL;
	int rc = account_part(&part, account);

	if (rc == 0 && (b = store_batch_new(m->s, buf_slice(&part))) == NULL)
		rc = -ENOMEM;
	if (rc == 0) {
		store_guard(b, KEY_ROW, old);
		store_del(b, KEY_ROW);
		rc = store_commit_one(m->s, b);
	}
	store_batch_free(&b);
	buf_clear(&part);
	return rc == 0 ? 1 : rc;
}

int
index_key_retire(struct mails *m, const char *account)
{
	unsigned char public[SEAL_PUBLIC_LEN];
	enum wrap_kind kind = WRAP_NONE;
	struct buf row = BUF_INIT;
	enum mails_sealing how;
	struct index_key k;
	unsigned attempts = 0;
	int rc;

	do {
		buf_reset(&row);
		if ((rc = sealing_of(m, account, &how, public)) != 0)
			break;
		rc = key_read(m, account, NULL, &k, &row, &kind);
		index_key_wipe(&k);
		if (rc == -ENOENT)
			rc = 1;
		else if (rc == 0 || rc == -ENOKEY || rc == -EBADMSG)
			rc = kind_suits(kind, how)
			    ? 0
			    : key_del(m, account, buf_slice(&row));
	} while (try_again(rc, &attempts));
	buf_wipe(&row);
	return rc;
}

/* --- rows of blocks --- */

/* What is authenticated with one: where it stands. */
static struct slice
row_about(char out[static 64], const struct box *x, struct slice key)
{
	struct slice part = box_part(x);

	memcpy(out, part.p, part.n);
	key = slice_head(key, 32);
	memcpy(out + part.n, key.p, key.n);
	return slice(out, part.n + key.n);
}

int
index_row_seal(const struct index_key *k, const struct box *x, struct slice key,
    struct buf *row)
{
	struct aead_nonce nonce = aead_nonce_new();
	struct buf plain = *row;
	char about[64];
	int rc;

	if (!k->sealed)
		return 0;
	*row = BUF_INIT;
	buf_put(row, nonce.octets, AEAD_NONCE);
	rc = buf_reserve(row, plain.n + AEAD_TAG) ? 0 : -ENOMEM;
	if (rc == 0)
		rc = aead_seal(k->rows, &nonce, row_about(about, x, key),
		    buf_slice(&plain), row->p + row->n);
	row->n += rc == 0 ? plain.n + AEAD_TAG : 0;
	buf_wipe(&plain);
	return rc;
}

int
index_row_open(const struct index_key *k, const struct box *x, struct slice key,
    struct slice *row, struct buf *room)
{
	struct aead_nonce nonce;
	char about[64];
	int rc;

	if (!k->sealed)
		return 0;
	if (row->n < AEAD_NONCE + AEAD_TAG)
		return -EBADMSG;
	memcpy(nonce.octets, row->p, AEAD_NONCE);
	*row = slice_from(*row, AEAD_NONCE);
	buf_reset(room);
	if (!buf_reserve(room, row->n))
		return -ENOMEM;
	rc = aead_open(
	    k->rows, &nonce, row_about(about, x, key), *row, room->p);
	if (rc == 0)
		room->n = row->n - AEAD_TAG;
	*row = buf_slice(room);
	return rc;
}
