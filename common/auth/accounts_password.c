/* SPDX-License-Identifier: ISC */
/*
 * Checking a password. One hash per check, whether there is such a user or
 * not, and whatever that user's state is; what is wrong is told to the log
 * only. Hashes run on the thread pool, few at a time, so that a flood of
 * sign-ins does not stop the mail.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/auth_cache.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"

struct check {
	struct accounts *a;
	enum accounts_scope scope;
	struct accounts_login login;
	const struct credential_record *match; /* in scope, if any is */
	bool prepared; /* else no password can be this */
	struct password password;
	bool wants_key;
	struct seal_key *key; /* of `match`, if it opens one */
	/* The job on the thread pool. */
	char setting[PASSWORD_HASH_MAX], hash[PASSWORD_HASH_MAX];
	int rc;
};

static bool
is_in_scope(const struct check *c, const struct credential_record *r)
{
	return r->public.scopes == 0 ||
	    (r->public.scopes & (unsigned)c->scope) != 0;
}

/* --- the cache --- */

/* Apply the mask of this password, which is its own inverse. */
static bool
mask_key(const struct check *c, const unsigned char *in,
    unsigned char out[static AUTH_CACHE_KEY_LEN])
{
	if (!auth_cache_mask(c->a->cache, c->login.name.address, c->match->raw,
		slice(c->password.text, c->password.n), out))
		return false;
	for (size_t i = 0; i < AUTH_CACHE_KEY_LEN; i++)
		out[i] ^= in[i];
	return true;
}

static bool
cache_mac(const struct check *c, const struct credential_record *r,
    unsigned char mac[static AUTH_CACHE_MAC_LEN])
{
	return auth_cache_mac(c->a->cache, c->login.name.address, r->raw,
	    slice(c->password.text, c->password.n), mac);
}

/*
 * Only for what will succeed: a quick refusal would tell that the password of
 * a disabled account is right.
 */
static bool
is_cached(struct check *c)
{
	unsigned char mac[AUTH_CACHE_MAC_LEN];
	int64_t now = clock_mono_ms();

	/* What stands in for an impossible password may be somebody's. */
	if (!c->prepared || !c->login.enabled)
		return false;
	for (size_t i = 0; i < c->login.n && c->match == NULL; i++) {
		const struct credential_record *r = &c->login.credentials[i];

		if (is_in_scope(c, r) && cache_mac(c, r, mac) &&
		    auth_cache_has(c->a->cache, mac, now))
			c->match = r;
	}
	return c->match != NULL;
}

static void
cache(const struct check *c)
{
	unsigned char mac[AUTH_CACHE_MAC_LEN], masked[AUTH_CACHE_KEY_LEN];
	bool has_key = c->key != NULL &&
	    mask_key(c, seal_key_private(c->key), masked);

	if (cache_mac(c, c->match, mac))
		auth_cache_put(c->a->cache, mac, has_key ? masked : NULL,
		    clock_mono_ms());
}

/* The key out of the cache: true if it is there. */
static bool
key_is_cached(struct check *c)
{
	unsigned char mac[AUTH_CACHE_MAC_LEN], octets[SEAL_KEY_LEN];
	const unsigned char *masked = NULL;

	if (cache_mac(c, c->match, mac))
		masked = auth_cache_key(c->a->cache, mac, clock_mono_ms());
	if (masked == NULL || !mask_key(c, masked, octets))
		return false;
	c->key = accounts_unlock_take(c->a, &c->login, octets);
	OPENSSL_cleanse(octets, sizeof(octets));
	return c->key != NULL;
}

/* --- hashing --- */

static void
hash_work(void *arg)
{
	struct check *c = arg;

	c->rc = password_hash(&c->password, c->setting, c->hash);
}

int
accounts_work(struct accounts *a, void (*fn)(void *), void *arg)
{
	int rc;

	if (a->hashes >= ACCOUNTS_HASHES_MAX) {
		if (!a->flooded) /* once, not for each of the flood */
			log_warning("too many sign-ins at once", "hashes=%zu",
			    a->hashes);
		a->flooded = true;
		return -EAGAIN;
	}
	a->hashes++;
	if ((rc = co_semaphore_take(&a->hashers, -1)) == 0) {
		rc = co_work(fn, arg);
		co_semaphore_give(&a->hashers);
	}
	if (--a->hashes == 0)
		a->flooded = false;
	return rc == 0 ? 0 : -EAGAIN;
}

/* Hash with c->setting, in turn. 0, or -EAGAIN. */
static int
hash_in_turn(struct check *c)
{
	int rc = accounts_work(c->a, hash_work, c);

	return rc == 0 && c->rc == 0 ? 0 : -EAGAIN;
}

/* The part of a hash that makes others with its salt (crypt(5)). */
static size_t
setting_len(const char *hash)
{
	const char *end = strrchr(hash, '$');

	return end == NULL ? 0 : (size_t)(end - hash) + 1;
}

static bool
has_setting(const struct credential_record *r, const char *setting)
{
	size_t n = setting_len(setting);

	return n > 0 && n == setting_len(r->hash) &&
	    memcmp(r->hash, setting, n) == 0;
}

static void
compare(struct check *c)
{
	/* All of them: the time does not say which it was. */
	for (size_t i = 0; i < c->login.n; i++) {
		const struct credential_record *r = &c->login.credentials[i];

		if (has_setting(r, c->setting) &&
		    password_hash_eq(r->hash, c->hash) &&
		    (c->match == NULL || is_in_scope(c, r)))
			c->match = r;
	}
}

static bool
setting_was_tried(const struct accounts_login *l, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (has_setting(&l->credentials[j], l->credentials[i].hash))
			return true;
	return false;
}

/*
 * Credentials of an account share a salt (accounts_credential.c), so this is
 * one hash; more only where hashes came from elsewhere.
 */
static int
hash_all(struct check *c)
{
	bool any = false;
	int rc = 0;

	for (size_t i = 0; i < c->login.n && rc == 0; i++) {
		const char *hash = c->login.credentials[i].hash;

		if (strlen(hash) >= PASSWORD_HASH_MAX ||
		    setting_was_tried(&c->login, i))
			continue;
		memcpy(c->setting, hash, strlen(hash) + 1);
		any = true;
		if ((rc = hash_in_turn(c)) == 0)
			compare(c);
	}
	if (!any) {
		memcpy(c->setting, c->a->dummy, sizeof(c->setting));
		rc = hash_in_turn(c);
	}
	return rc;
}

/* --- the verdict --- */

/*
 * The password is right: the private key that it opens, for who wants it. Only
 * now, so that it costs nobody else anything, and tells nothing more than that.
 */
static int
unlock(struct check *c, struct arena *arena)
{
	if (!c->wants_key || !accounts_opens(&c->login, c->match) ||
	    key_is_cached(c))
		return 0;
	return accounts_unlock_password(
	    c->a, arena, &c->login, c->match, &c->password, &c->key);
}

/* 0 with *why NULL for right, or words; -EAGAIN. */
static int
verdict(struct check *c, struct arena *arena, const char **why)
{
	int rc;

	*why = NULL;
	if (is_cached(c))
		return unlock(c, arena);
	if ((rc = hash_all(c)) != 0)
		return rc;
	if (c->match == NULL || !c->prepared)
		*why = c->login.is_account ? "wrong password" : "no account";
	else if (!c->login.enabled)
		*why = "disabled";
	else if (!is_in_scope(c, c->match))
		*why = "password not for this";
	else if ((rc = unlock(c, arena)) == 0)
		cache(c);
	return rc;
}

static int
check_run(struct check *c, struct arena *arena, struct slice user,
    struct slice password, const char **why)
{
	int rc = accounts_login_load(c->a, arena, user, &c->login);

	if (rc != 0)
		return rc;
	c->prepared = password_prepare(password, true, &c->password) == 0;
	if (!c->prepared) {
		/* Hash something all the same. */
		c->password.n = 1;
		memcpy(c->password.text, "x", 2);
	}
	return verdict(c, arena, why);
}

/* --- around any check --- */

struct slice
accounts_attempt_key(
    struct accounts *a, struct arena *arena, struct slice user)
{
	struct accounts_name name;

	if (accounts_user(a, arena, user, &name) != 0)
		return slice_head(user, ADDRESS_MAX);
	return name.address;
}

/* Nothing was looked at yet. What is no account may be a password, typed where
 * the name belongs, and is not written. */
static void
trace_unchecked(struct accounts *a, const struct accounts_attempt *at)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)1 << 20);
	struct slice account = { NULL, 0 };
	struct accounts_account record;
	struct throttle_state state;
	bool of_account;

	if (trace_is_on() &&
	    accounts_account_get(a, &scratch, at->key, &record) == 0)
		account = at->key;
	of_account = throttle_account(
			 a->throttle, at->key, clock_wall_ms(), &state) &&
	    state.blocked_ms > 0;
	trace_write(&(struct trace_record){ .kind = TRACE_AUTH,
	    .code = 454,
	    .enhanced = "4.7.0",
	    .field = { [TRACE_ACCOUNT] = account,
		[TRACE_RULE] = slice_str(of_account ? "auth.block_account"
						    : "auth.block_address"),
		[TRACE_TEXT] = SLICE_LIT(
		    "not checked, too many sign-ins have failed") } });
	arena_reset(&scratch);
}

int
accounts_check_begin(struct accounts *a, struct accounts_attempt *at)
{
	int64_t wait =
	    throttle_begin(a->throttle, at->peer, at->key, clock_wall_ms());

	at->began_us = clock_mono_us();
	if (wait < 0) {
		log_info("sign-in not checked", "peer=%s mechanism=%s reason=%s",
		    at->peer, at->mechanism, "\"too many failed\"");
		trace_unchecked(a, at);
		return -EAGAIN;
	}
	if (wait == 0 || co_sleep(wait) == 0)
		return 0;
	throttle_end(a->throttle, at->peer, at->key, THROTTLE_UNCHECKED,
	    clock_wall_ms());
	return -EAGAIN;
}

int
accounts_check_end(struct accounts *a, const struct accounts_attempt *at,
    const struct accounts_login *l, const struct credential_record *match,
    int rc, const char *why)
{
	enum throttle_outcome outcome = THROTTLE_UNCHECKED;
	int64_t now = clock_wall_ms();

	if (rc == 0)
		outcome = why == NULL ? THROTTLE_GOOD : THROTTLE_WRONG;
	throttle_end(a->throttle, at->peer, at->key, outcome, now);
	if (rc != 0)
		return -EAGAIN;
	if (why != NULL) {
		accounts_log_refused(l, at, why);
		return -EACCES;
	}
	if (match != NULL)
		throttle_used(a->throttle, l->name.address, match->public.name,
		    match->public.created_s, now);
	return 0;
}

static int
authenticate(struct check *c, struct arena *arena, struct slice user,
    struct slice password, const char *peer, const char **account)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)4 << 20);
	struct accounts_attempt at = { accounts_attempt_key(c->a, &scratch, user),
		peer, "password", 0 };
	const char *why = NULL;
	int rc = accounts_check_begin(c->a, &at);

	if (rc == 0) {
		rc = check_run(c, &scratch, user, password, &why);
		rc = accounts_check_end(
		    c->a, &at, &c->login, c->match, rc, why);
	}
	if (rc == 0) {
		*account = arena_strdup(arena, c->login.name.address);
		rc = *account == NULL ? -EAGAIN : 0;
	}
	arena_reset(&scratch);
	return rc;
}

int
accounts_authenticate(struct accounts *a, struct arena *arena,
    struct slice user, struct slice password, enum accounts_scope scope,
    const char *peer, const char **account)
{
	return accounts_authenticate_key(
	    a, arena, user, password, scope, peer, account, NULL);
}

int
accounts_authenticate_key(struct accounts *a, struct arena *arena,
    struct slice user, struct slice password, enum accounts_scope scope,
    const char *peer, const char **account, struct seal_key **key)
{
	struct check *c = calloc(1, sizeof(*c));
	int rc;

	if (key != NULL)
		*key = NULL;
	if (c == NULL)
		return -EAGAIN;
	c->a = a;
	c->scope = scope;
	c->wants_key = key != NULL;
	rc = authenticate(c, arena, user, password, peer, account);
	if (rc == 0 && key != NULL) {
		*key = c->key;
		c->key = NULL;
	}
	seal_key_unref(&c->key);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
	return rc;
}
