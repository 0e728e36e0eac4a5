/* SPDX-License-Identifier: ISC */
/*
 * Tokens, in a partition of the mail store, so that all workers know them and
 * they outlive a restart. A token is 32 random octets; kept is its SHA-256,
 * which opens nothing.
 *
 * Rows: "h<hash>" the record, JSON; "a<account>\0<id>" the hash.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/api/api_impl.h"

#define PARTITION SLICE_LIT("http")
#define TOKENS_MAX 200 /* of an account; of more the oldest go */

/* RFC 4648 5, without padding. */
static void
put_base64url(char *out, const unsigned char *in, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | in[i];
		for (have += 8; have >= 6; have -= 6)
			*out++ = digits[bits >> (have - 6) & 63];
	}
	if (have > 0)
		*out++ = digits[bits << (6 - have) & 63];
	*out = '\0';
}

static void
hash_of(struct slice text, unsigned char out[static SHA256_DIGEST_LENGTH])
{
	SHA256((const unsigned char *)text.p, text.n, out);
}

static void
id_of(const unsigned char hash[static SHA256_DIGEST_LENGTH],
    char out[static API_TOKEN_ID_LEN + 1])
{
	put_base64url(out, hash, API_TOKEN_ID_LEN / 4 * 3);
}

void
api_token_csrf(struct slice text, char out[static API_TOKEN_LEN + 1])
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char named[4 + API_TOKEN_LEN] = "csrf";

	if (text.n > API_TOKEN_LEN)
		text.n = API_TOKEN_LEN;
	memcpy(named + 4, text.p, text.n);
	hash_of(slice(named, 4 + text.n), hash);
	put_base64url(out, hash, sizeof(hash));
}

/* --- keys --- */

static bool
put_record_key(struct buf *b, const unsigned char *hash)
{
	return buf_put_char(b, 'h') && buf_put(b, hash, SHA256_DIGEST_LENGTH);
}

static bool
put_account_key(struct buf *b, const char *account, struct slice id)
{
	return buf_put_char(b, 'a') && buf_put_str(b, account) &&
	    buf_put_char(b, '\0') && buf_put_slice(b, id);
}

int
api_token_passwords(const struct api_env *env, struct arena *a,
    const char *account, char out[static API_TOKEN_ID_LEN + 1])
{
	unsigned char digest[ACCOUNTS_DIGEST_LEN];
	int rc = accounts_passwords_digest(
	    env->accounts, a, slice_str(account), digest);

	if (rc == 0)
		id_of(digest, out);
	return rc;
}

/* --- the account's private key, wrapped by the token --- */

#define WRAP_LABEL "pneu api token"

static const char hex_digits[] = "0123456789abcdef";

static int
wrap_key(const struct api_token *t, struct slice text,
    char out[static 2 * SEAL_WRAP_LEN + 1])
{
	unsigned char by[SEAL_KEY_LEN], box[SEAL_WRAP_LEN];
	int rc = seal_subkey(text, WRAP_LABEL, by);

	out[0] = '\0';
	if (rc == 0)
		rc = seal_wrap(
		    by, seal_key_private(t->key), slice_str(t->account), box);
	OPENSSL_cleanse(by, sizeof(by));
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < SEAL_WRAP_LEN; i++) {
		out[2 * i] = hex_digits[box[i] >> 4];
		out[2 * i + 1] = hex_digits[box[i] & 15];
	}
	out[2 * SEAL_WRAP_LEN] = '\0';
	return 0;
}

static bool
unhex(const char *in, unsigned char *out, size_t n)
{
	if (strlen(in) != 2 * n)
		return false;
	for (size_t i = 0; i < 2 * n; i++) {
		const char *digit = strchr(hex_digits, in[i]);

		if (digit == NULL)
			return false;
		out[i / 2] =
		    (unsigned char)(out[i / 2] << 4 | (digit - hex_digits));
	}
	return true;
}

/* "" is none. */
static int
unwrap_key(struct api_token *t, struct slice text, const char *wrapped)
{
	unsigned char by[SEAL_KEY_LEN], box[SEAL_WRAP_LEN] = { 0 };
	unsigned char private[SEAL_KEY_LEN];
	int rc;

	if (wrapped[0] == '\0')
		return 0;
	if (!unhex(wrapped, box, sizeof(box)))
		return -EIO;
	if ((rc = seal_subkey(text, WRAP_LABEL, by)) == 0)
		rc = seal_unwrap(by, box, slice_str(t->account), private);
	if (rc == 0)
		rc = seal_key_new(&t->key, private);
	OPENSSL_cleanse(by, sizeof(by));
	OPENSSL_cleanse(private, sizeof(private));
	return rc == -EBADMSG ? -EIO : rc;
}

/* --- records --- */

/* `key` is the account's, wrapped, or "". */
static int
record_read(struct arena *a, struct slice text, struct api_token *t,
    const char **wrapped)
{
	json_t *j = json_loadb(text.p, text.n, 0, NULL);
	const char *account, *name, *p, *key = "";
	int scopes, session;
	json_int_t created, expires;
	int rc = -EIO;

	if (j != NULL &&
	    json_unpack(j, "{s:s, s:s, s:i, s:b, s:I, s:I, s:s, s?s}",
		"account", &account, "name", &name, "scopes", &scopes,
		"session", &session, "created", &created, "expires", &expires,
		"passwords", &p, "key", &key) == 0) {
		t->account = arena_strdup(a, slice_str(account));
		t->name = arena_strdup(a, slice_str(name));
		t->scopes = (unsigned)scopes;
		t->session = session != 0;
		t->created_s = created;
		t->expires_s = expires;
		snprintf(t->passwords, sizeof(t->passwords), "%s", p);
		*wrapped = arena_strdup(a, slice_str(key));
		rc = t->account && t->name && *wrapped ? 0 : -ENOMEM;
	}
	json_decref(j);
	return rc;
}

static char *
record_text(const struct api_token *t, const char *wrapped)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:b, s:I, s:I, s:s, s:s}",
	    "account", t->account, "name", t->name, "scopes", (int)t->scopes,
	    "session", (int)t->session, "created", (json_int_t)t->created_s,
	    "expires", (json_int_t)t->expires_s, "passwords", t->passwords,
	    "key", wrapped);
	char *text = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);

	json_decref(j);
	return text;
}

static int
remove_rows(const struct api_env *env, const char *account, struct slice id,
    const unsigned char *hash)
{
	struct store *s = mails_store(env->mails);
	struct store_batch *batch = store_batch_new(s, PARTITION);
	struct buf key = BUF_INIT;
	int rc = -ENOMEM;

	if (batch != NULL) {
		put_record_key(&key, hash);
		store_del(batch, buf_slice(&key));
		buf_reset(&key);
		put_account_key(&key, account, id);
		store_del(batch, buf_slice(&key));
		rc = store_commit_one(s, batch);
	}
	store_batch_free(&batch);
	buf_clear(&key);
	return rc;
}

int
api_token_remove(
    const struct api_env *env, const char *account, struct slice id)
{
	struct buf key = BUF_INIT, hash = BUF_INIT;
	int rc;

	put_account_key(&key, account, id);
	rc = key.n > STORE_KEY_MAX / 2 ? -ENOENT
				       : store_get(mails_store(env->mails),
					     PARTITION, buf_slice(&key), &hash);
	if (rc == 0 && hash.n != SHA256_DIGEST_LENGTH)
		rc = -EIO;
	if (rc == 0)
		rc = remove_rows(env, account, id, (const void *)hash.p);
	buf_clear(&key);
	buf_clear(&hash);
	return rc;
}

/* --- all of an account --- */

struct listing {
	struct arena *a;
	struct slice *hashes;
	size_t n;
};

static int
note_hash(void *arg, struct slice key, struct slice val)
{
	struct listing *l = arg;

	(void)key;
	if (l->n == 2 * TOKENS_MAX || val.n != SHA256_DIGEST_LENGTH)
		return 0;
	l->hashes[l->n] = arena_dup(l->a, val);
	return l->hashes[l->n++].p == NULL ? -ENOMEM : 0;
}

static int
load(const struct api_env *env, struct arena *a, struct slice hash,
    struct api_token *t, const char **wrapped)
{
	struct buf key = BUF_INIT, val = BUF_INIT;
	int rc;

	put_record_key(&key, (const void *)hash.p);
	rc = store_get(
	    mails_store(env->mails), PARTITION, buf_slice(&key), &val);
	if (rc == 0)
		rc = record_read(a, buf_slice(&val), t, wrapped);
	id_of((const void *)hash.p, t->id);
	buf_clear(&key);
	buf_clear(&val);
	return rc;
}

/* Those that still open something; the others are removed by the way. */
int
api_token_list(const struct api_env *env, struct arena *a, const char *account,
    struct api_token **out, size_t *n)
{
	struct listing l = { .a = a };
	struct buf from = BUF_INIT, to = BUF_INIT;
	char now[API_TOKEN_ID_LEN + 1];
	const char *wrapped;
	int rc;

	*n = 0;
	l.hashes = arena_array(a, 2 * TOKENS_MAX, sizeof(*l.hashes));
	*out = arena_array(a, 2 * TOKENS_MAX, sizeof(**out));
	if (l.hashes == NULL || *out == NULL)
		return -ENOMEM;
	if ((rc = api_token_passwords(env, a, account, now)) != 0)
		return rc;
	put_account_key(&from, account, SLICE_EMPTY);
	put_account_key(&to, account, SLICE_LIT("\xff"));
	rc = store_scan(mails_store(env->mails), PARTITION, buf_slice(&from),
	    buf_slice(&to), 0, note_hash, &l);
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		struct api_token *t = &(*out)[*n];

		rc = load(env, a, l.hashes[i], t, &wrapped);
		if (rc == 0 && t->expires_s > clock_wall_s() &&
		    strcmp(t->passwords, now) == 0)
			++*n;
		else if (rc == 0 || rc == -ENOENT)
			rc = remove_rows(env, account, slice_str(t->id),
			    (const void *)l.hashes[i].p);
	}
	buf_clear(&from);
	buf_clear(&to);
	return rc;
}

/* Room for one more: the one goes that is the oldest. */
static int
make_room(const struct api_env *env, struct arena *a, const char *account)
{
	struct api_token *list;
	size_t n, oldest = 0;
	int rc = api_token_list(env, a, account, &list, &n);

	if (rc != 0 || n < TOKENS_MAX)
		return rc;
	for (size_t i = 1; i < n; i++)
		if (list[i].created_s < list[oldest].created_s)
			oldest = i;
	return api_token_remove(env, account, slice_str(list[oldest].id));
}

int
api_token_new(const struct api_env *env, struct arena *a, struct api_token *t,
    char text[static API_TOKEN_LEN + 1])
{
	struct store *s = mails_store(env->mails);
	unsigned char secret[32], hash[SHA256_DIGEST_LENGTH];
	char wrapped[2 * SEAL_WRAP_LEN + 1] = "";
	struct store_batch *batch;
	struct buf key = BUF_INIT;
	char *record = NULL;
	int rc;

	random_octets(secret, sizeof(secret));
	put_base64url(text, secret, sizeof(secret));
	OPENSSL_cleanse(secret, sizeof(secret));
	hash_of(slice_str(text), hash);
	id_of(hash, t->id);
	if ((rc = make_room(env, a, t->account)) != 0)
		return rc;
	if (t->key != NULL && (t->scopes & (API_READ | API_WRITE)) != 0 &&
	    (rc = wrap_key(t, slice_str(text), wrapped)) != 0)
		return rc;
	batch = store_batch_new(s, PARTITION);
	record = record_text(t, wrapped);
	if (batch != NULL && record != NULL) {
		put_record_key(&key, hash);
		store_put(batch, buf_slice(&key), slice_str(record));
		buf_reset(&key);
		put_account_key(&key, t->account, slice_str(t->id));
		store_put(batch, buf_slice(&key), slice(hash, sizeof(hash)));
		rc = store_commit_one(s, batch);
	} else {
		rc = -ENOMEM;
	}
	store_batch_free(&batch);
	buf_clear(&key);
	free(record);
	return rc;
}

int
api_token_find(const struct api_env *env, struct arena *a, struct slice text,
    struct api_token *out)
{
	unsigned char hash[SHA256_DIGEST_LENGTH];
	char now[API_TOKEN_ID_LEN + 1];
	const char *wrapped;
	int rc;

	if (text.n != API_TOKEN_LEN)
		return -ENOENT;
	hash_of(text, hash);
	rc = load(env, a, slice(hash, sizeof(hash)), out, &wrapped);
	if (rc != 0)
		return rc;
	if (out->expires_s <= clock_wall_s())
		return -ENOENT;
	if ((rc = api_token_passwords(env, a, out->account, now)) != 0)
		return rc;
	return strcmp(out->passwords, now) == 0 ? unwrap_key(out, text, wrapped)
						: -ENOENT;
}
