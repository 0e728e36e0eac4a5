/* SPDX-License-Identifier: ISC */
/*
 * SASL, the server's side (RFC 4422): PLAIN (RFC 4616), LOGIN (an old draft
 * that programs still use), SCRAM-SHA-256 and -PLUS (RFC 5802, 7677).
 */
#include "common/auth/sasl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistr.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/oauth.h"
#include "common/auth/scram.h"
#include "common/base/clock.h"

#define MESSAGE_MAX 12288 /* of a client: tokens are long (RFC 4954 4) */

struct mechanism;

struct sasl_server {
	const struct mechanism *mechanism;
	struct accounts *accounts;
	enum accounts_scope scope;
	const struct conn *conn; /* outlives this */
	char peer[64];
	struct arena arena;
	unsigned step;     /* messages that came */
	bool over;         /* failed or done: no more messages */
	struct slice user; /* LOGIN: the first answer; CRAM-MD5: challenge */
	struct scram scram;
	const char *account;
	struct seal_key *key; /* of the account, if the mechanism opens it */
};

struct mechanism {
	const char *name;
	int (*step)(struct sasl_server *s, struct slice in, struct buf *out);
	bool plus;
	enum scram_digest digest;
	bool xoauth2;
};

/* --- PLAIN and LOGIN --- */

/* Where the account's private key goes; NULL: nowhere. */
static struct seal_key **
wanted_key(struct sasl_server *s)
{
	return (s->scope & ACCOUNTS_READING) != 0 ? &s->key : NULL;
}

static int
check_password(struct sasl_server *s, struct slice user, struct slice password)
{
	return accounts_authenticate_key(s->accounts, &s->arena, user, password,
	    s->scope, s->peer, &s->account, wanted_key(s));
}

/* Acting as somebody else is granted to nobody. 0, -EACCES, -EAGAIN. */
static int
check_authzid(struct sasl_server *s, struct slice authzid)
{
	struct accounts_name name;
	int rc;

	if (authzid.n == 0)
		return 0;
	rc = accounts_user(s->accounts, &s->arena, authzid, &name);
	if (rc == 0 && !slice_eq_str(name.address, s->account))
		rc = -EINVAL;
	if (rc == 0)
		return 0;
	s->account = NULL;
	return rc == -EINVAL ? -EACCES : -EAGAIN;
}

static int
step_plain(struct sasl_server *s, struct slice in, struct buf *out)
{
	struct slice authzid, user;
	int rc;

	(void)out;
	if (u8_check((const uint8_t *)in.p, in.n) != NULL)
		return -EBADMSG;
	authzid = slice_split(&in, '\0');
	user = slice_split(&in, '\0');
	/* What is left is the password; without it one NUL was missing. */
	if (user.n == 0 || in.n == 0 || slice_find(in, '\0') >= 0)
		return -EBADMSG;
	if ((rc = check_password(s, user, in)) == 0)
		rc = check_authzid(s, authzid);
	return rc == 0 ? SASL_OK : rc;
}

static int
step_login(struct sasl_server *s, struct slice in, struct buf *out)
{
	int rc;

	if (s->step == 1) {
		s->user = arena_dup(&s->arena, in);
		if (s->user.p == NULL || !buf_put_str(out, "Password:"))
			return -EAGAIN;
		return SASL_MORE;
	}
	rc = check_password(s, s->user, in);
	return rc == 0 ? SASL_OK : rc;
}

/* --- CRAM-MD5 (RFC 2195) --- */

/* "user digest" to our challenge, which is in s->user. */
static int
step_cram(struct sasl_server *s, struct slice in, struct buf *out)
{
	ssize_t space = slice_rfind(in, ' ');
	int rc;

	(void)out;
	if (s->user.n == 0 || space < 1)
		return -EBADMSG;
	rc = accounts_authenticate_digest(s->accounts, &s->arena,
	    slice_head(in, (size_t)space), ACCOUNTS_CRAM_MD5, s->user,
	    slice_from(in, (size_t)space + 1), s->scope, s->peer, &s->account,
	    wanted_key(s));
	return rc == 0 ? SASL_OK : rc;
}

static int
cram_challenge(struct sasl_server *s, struct buf *out)
{
	s->user = slice_str(accounts_challenge(s->accounts, &s->arena));
	return s->user.n > 0 && buf_put_slice(out, s->user) ? SASL_MORE
							    : -EAGAIN;
}

/* --- EXTERNAL (RFC 4422 A): the certificate says who --- */

/*
 * The account of a name in the certificate: the one that the client asks for,
 * else the first that is one. 0 with *why NULL, or words; -EAGAIN.
 */
static int
external_verdict(struct sasl_server *s, struct arena *arena, struct slice want,
    struct accounts_login *l, const char **why)
{
	struct accounts_name asked = { .address = SLICE_EMPTY };
	struct slice *v = NULL;
	size_t n = 0;
	int rc = 0;

	*why = "certificate of nobody here";
	if (want.n > 0 && (rc = accounts_user(s->accounts, arena, want,
			       &asked)) != 0)
		return rc == -EINVAL ? 0 : rc;
	conn_tls_client_mails(s->conn, arena, &v, &n);
	for (size_t i = 0; i < n; i++) {
		rc = accounts_login_load(s->accounts, arena, v[i], l);
		if (rc != 0)
			return rc;
		if (!l->is_account ||
		    (want.n > 0 &&
			!slice_eq(asked.address, l->name.address)))
			continue;
		*why = l->enabled ? NULL : "disabled";
		return 0;
	}
	return 0;
}

static int
step_external(struct sasl_server *s, struct slice in, struct buf *out)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_attempt at = { accounts_attempt_key(
					   s->accounts, &scratch, in),
		s->peer, s->mechanism->name, 0 };
	struct accounts_login l = { 0 };
	const char *why = NULL;
	int rc = accounts_check_begin(s->accounts, &at);

	(void)out;
	if (rc == 0) {
		rc = external_verdict(s, &scratch, in, &l, &why);
		rc = accounts_check_end(s->accounts, &at, &l, NULL, rc, why);
	}
	if (rc == 0) {
		s->account = arena_strdup(&s->arena, l.name.address);
		rc = s->account == NULL ? -EAGAIN : 0;
	}
	arena_reset(&scratch);
	return rc == 0 ? SASL_OK : rc;
}

static bool
has_certificate(const struct conn *c)
{
	struct arena arena = ARENA_INIT_MAX((size_t)64 << 10);
	struct slice *v;
	size_t n;
	bool has = conn_tls_client_mails(c, &arena, &v, &n) == 0;

	arena_reset(&arena);
	return has;
}

/* --- OAUTHBEARER (RFC 7628), XOAUTH2 (Google's page of that name) --- */

/* "KEY=value" in what is parted by ^A; .p NULL: not there. */
static struct slice
pair_of(struct slice in, const char *key)
{
	size_t n = strlen(key);

	while (in.n > 0) {
		struct slice pair = slice_split(&in, '\x01');

		if (pair.n > n && pair.p[n] == '=' &&
		    slice_eq_str(slice_head(pair, n), key))
			return slice_from(pair, n + 1);
	}
	return slice(NULL, 0);
}

/* The GS2 header: "n,a=USER,^A"; as SCRAM has it. */
static int
read_gs2(struct sasl_server *s, struct slice *in)
{
	struct slice flag = slice_split(in, ',');
	struct slice authzid = slice_split(in, ',');

	if (!slice_eq_str(flag, "n") && !slice_eq_str(flag, "y"))
		return -EBADMSG;
	if (in->n == 0 || in->p[0] != '\x01')
		return -EBADMSG;
	if (authzid.n > 0 && !slice_starts(authzid, "a="))
		return -EBADMSG;
	if (authzid.n > 0)
		return scram_name_decode(
		    &s->arena, slice_from(authzid, 2), &s->user);
	return 0;
}

/* The user as the client names it to s->user, and the token. The host and port
 * that may be there too are not looked at: a server has many names. */
static int
read_token(struct sasl_server *s, struct slice in, struct slice *token)
{
	static const char scheme[] = "bearer ";
	struct slice auth;
	int rc = 0;

	s->user = SLICE_EMPTY;
	if (in.n < 2 || in.p[in.n - 1] != '\x01' || in.p[in.n - 2] != '\x01' ||
	    slice_find(in, '\0') >= 0)
		return -EBADMSG;
	if (s->mechanism->xoauth2)
		s->user = arena_dup(&s->arena, pair_of(in, "user"));
	else
		rc = read_gs2(s, &in);
	auth = pair_of(in, "auth");
	if (rc != 0 || auth.p == NULL || s->user.p == NULL ||
	    (s->mechanism->xoauth2 && s->user.n == 0))
		return -EBADMSG;
	*token = slice_from(auth, sizeof(scheme) - 1);
	return slice_eq_str_nocase(slice_head(auth, sizeof(scheme) - 1), scheme)
	    ? 0
	    : -EBADMSG;
}

static int
token_verdict(struct sasl_server *s, struct arena *arena, struct slice token,
    struct accounts_login *l, const char **why)
{
	const char *user = NULL;
	int rc = oauth_check(s->accounts->oauth, arena, token, &user);

	*why = rc == -EACCES ? "token refused" : NULL;
	if (rc != 0)
		return rc == -EACCES ? 0 : rc;
	rc = accounts_login_load(s->accounts, arena, slice_str(user), l);
	if (rc == 0 && !l->is_account)
		*why = "token of nobody here";
	else if (rc == 0 && !l->enabled)
		*why = "disabled";
	return rc;
}

static int
check_token(struct sasl_server *s, struct slice token)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)1 << 20);
	struct accounts_attempt at = { accounts_attempt_key(
					   s->accounts, &scratch, s->user),
		s->peer, s->mechanism->name, 0 };
	struct accounts_login l = { 0 };
	const char *why = NULL;
	int rc = accounts_check_begin(s->accounts, &at);

	if (rc == 0) {
		rc = token_verdict(s, &scratch, token, &l, &why);
		rc = accounts_check_end(s->accounts, &at, &l, NULL, rc, why);
	}
	if (rc == 0) {
		s->account = arena_strdup(&s->arena, l.name.address);
		rc = s->account == NULL ? -EAGAIN : check_authzid(s, s->user);
	}
	arena_reset(&scratch);
	return rc;
}

static int
step_bearer(struct sasl_server *s, struct slice in, struct buf *out)
{
	struct slice token;
	int rc;

	/* The client has seen why, and may say no more (RFC 7628 3.2.3). */
	if (s->step > 1)
		return -EACCES;
	if ((rc = read_token(s, in, &token)) != 0)
		return rc;
	if ((rc = check_token(s, token)) != -EACCES)
		return rc == 0 ? SASL_OK : rc;
	oauth_refusal(s->accounts->oauth, out);
	return SASL_MORE;
}

int
sasl_server_start(
    struct accounts *a, const struct conf *conf, struct buf *err)
{
	return oauth_new(&a->oauth, conf, err);
}

void
sasl_server_stop(struct accounts *a)
{
	if (a != NULL)
		oauth_free(&a->oauth);
}

/* --- SCRAM --- */

static bool
fits(const struct scram_keys *k, const struct scram_keys *shown)
{
	return k->iterations == shown->iterations &&
	    slice_eq(slice(k->salt, k->salt_n),
		slice(shown->salt, shown->salt_n));
}

/*
 * What is shown as salt and iterations, the same for every scope (else one
 * could tell an account from a fake by asking at two ports); and the keys that
 * count here: of this scope, and of that salt.
 */
static int
scram_candidates(struct sasl_server *s, struct arena *arena,
    struct accounts_login *l, struct scram_keys *shown,
    const struct scram_keys ***keys, size_t *n)
{
	enum scram_digest d = s->scram.digest;
	int rc = accounts_login_load(s->accounts, arena, s->scram.user, l);

	*n = 0;
	if (rc != 0)
		return rc;
	memset(shown, 0, sizeof(*shown));
	shown->digest = d;
	shown->iterations = s->accounts->policy.scram_iterations;
	scram_fake_salt(s->accounts->secret, l->name.address, shown);
	for (size_t i = 0; i < l->n; i++) {
		if (l->credentials[i].has_scram[d]) {
			*shown = l->credentials[i].scram[d];
			break;
		}
	}
	accounts_login_scope(l, s->scope);
	if ((*keys = arena_array(arena, l->n + 1, sizeof(**keys))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		if (l->credentials[i].has_scram[d] &&
		    fits(&l->credentials[i].scram[d], shown))
			(*keys)[(*n)++] = &l->credentials[i].scram[d];
	return 0;
}

static int
scram_first(struct sasl_server *s, struct slice in, struct buf *out)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)1 << 20);
	const struct scram_keys **keys;
	struct accounts_login l;
	struct scram_keys shown;
	size_t n;
	int rc = scram_client_first(&s->scram, in);

	if (rc == 0 &&
	    (rc = scram_candidates(s, &scratch, &l, &shown, &keys, &n)) == 0)
		rc = scram_server_first(&s->scram, &shown, out);
	arena_reset(&scratch);
	return rc == 0 ? SASL_MORE : rc;
}

static const struct credential_record *
record_of_keys(const struct accounts_login *l, const struct scram_keys *k)
{
	for (size_t i = 0; i < l->n; i++)
		if (&l->credentials[i].scram[k->digest] == k)
			return &l->credentials[i];
	return NULL;
}

/* The proof was right: ClientKey, which is in it, opens the private key. */
static int
scram_unlock(struct sasl_server *s, struct arena *arena,
    const struct accounts_login *l, const struct credential_record *r)
{
	unsigned char client_key[SCRAM_KEY_LEN];
	enum scram_digest d = s->scram.digest;
	int rc = 0;

	if (wanted_key(s) == NULL || !accounts_opens(l, r))
		return 0;
	if (!scram_client_key(&s->scram, &r->scram[d], client_key))
		rc = -EAGAIN;
	if (rc == 0)
		rc = accounts_unlock_client_key(s->accounts, arena, l, r, d,
		    client_key, &s->key);
	OPENSSL_cleanse(client_key, sizeof(client_key));
	return rc;
}

/* 0 with *why NULL for right, or words. */
static int
scram_verdict(struct sasl_server *s, struct arena *arena,
    struct accounts_login *l, struct buf *out,
    const struct credential_record **record, const char **why)
{
	const struct scram_keys **keys;
	struct scram_keys shown;
	size_t n;
	ssize_t match;
	int rc = scram_candidates(s, arena, l, &shown, &keys, &n);

	if (rc != 0)
		return rc;
	if (n == 0) {
		/* Nobody has the keys of zeros; it takes the same time. */
		memset(&shown.stored_key, 0, sizeof(shown.stored_key));
		keys[0] = &shown;
	}
	match = scram_verify(&s->scram, keys, n == 0 ? 1 : n);
	if (n == 0 || match < 0)
		*why = l->is_account ? "wrong password" : "no account";
	else if (!l->enabled)
		*why = "disabled";
	else
		rc = scram_server_final(&s->scram, keys[match], out);
	if (match >= 0)
		*record = record_of_keys(l, keys[match]);
	if (rc == 0 && *why == NULL && *record != NULL)
		rc = scram_unlock(s, arena, l, *record);
	return rc;
}

static int
scram_final(struct sasl_server *s, struct slice in, struct buf *out)
{
	struct arena scratch = ARENA_INIT_MAX((size_t)1 << 20);
	const struct credential_record *match = NULL;
	struct accounts_attempt at;
	struct accounts_login l = { 0 };
	const char *why = NULL;
	int rc;

	if ((rc = scram_client_final(&s->scram, in)) != 0)
		return rc;
	at = (struct accounts_attempt){ accounts_attempt_key(
					    s->accounts, &scratch, s->scram.user),
		s->peer, s->mechanism->name, 0 };
	if ((rc = accounts_check_begin(s->accounts, &at)) == 0) {
		rc = scram_verdict(s, &scratch, &l, out, &match, &why);
		rc = accounts_check_end(s->accounts, &at, &l, match, rc, why);
	}
	if (rc == 0) {
		s->account = arena_strdup(&s->arena, l.name.address);
		rc = s->account == NULL ? -EAGAIN
					: check_authzid(s, s->scram.authzid);
	}
	arena_reset(&scratch);
	return rc == 0 ? SASL_OK : rc;
}

static int
step_scram(struct sasl_server *s, struct slice in, struct buf *out)
{
	return s->step == 1 ? scram_first(s, in, out) : scram_final(s, in, out);
}

/* --- mechanisms, best first --- */

static const struct mechanism mechanisms[] = {
	{ "EXTERNAL", step_external, false, 0, false },
	{ "SCRAM-SHA-256-PLUS", step_scram, true, SCRAM_SHA_256, false },
	{ "SCRAM-SHA-1-PLUS", step_scram, true, SCRAM_SHA_1, false },
	{ "SCRAM-SHA-256", step_scram, false, SCRAM_SHA_256, false },
	{ "SCRAM-SHA-1", step_scram, false, SCRAM_SHA_1, false },
	{ "OAUTHBEARER", step_bearer, false, 0, false },
	{ "XOAUTH2", step_bearer, false, 0, true },
	{ "PLAIN", step_plain, false, 0, false },
	{ "LOGIN", step_login, false, 0, false },
	{ "CRAM-MD5", step_cram, false, 0, false },
	{ NULL, NULL, false, 0, false },
};

static void
channel_read(
    const struct conn *c, struct scram_channel *out, struct arena *arena)
{
	struct buf b = BUF_INIT;

	*out = (struct scram_channel){ SLICE_EMPTY, SLICE_EMPTY };
	if (conn_tls_binding(c, "tls-exporter", &b) == 0)
		out->exporter = arena_dup(arena, buf_slice(&b));
	buf_reset(&b);
	if (conn_tls_binding(c, "tls-unique", &b) == 0)
		out->unique = arena_dup(arena, buf_slice(&b));
	buf_clear(&b);
}

static bool
is_offered(const struct mechanism *m, struct accounts *a, const struct conn *c,
    const struct scram_channel *ch)
{
	if (m->step == step_cram)
		return accounts_have_secrets(a);
	if (m->step == step_external)
		return has_certificate(c);
	/* A token is as good as a password (RFC 7628 3), wherever it passes. */
	if (m->step == step_bearer)
		return a->oauth != NULL &&
		    (conn_is_tls(c) || net_addr_is_loopback(conn_peer(c)));
	if (m->step == step_scram && !a->scram[m->digest])
		return false;
	return !m->plus || ch->exporter.n > 0 || ch->unique.n > 0;
}

static bool
may_authenticate(const struct conn *c, bool plaintext_ok)
{
	return plaintext_ok || conn_is_tls(c) || net_addr_is_unix(conn_peer(c));
}

const char *
sasl_server_mechanisms(struct accounts *a, struct arena *arena,
    const struct conn *c, bool plaintext_ok)
{
	struct buf b = BUF_INIT;
	struct scram_channel ch;
	char *list;

	if (!may_authenticate(c, plaintext_ok))
		return "";
	channel_read(c, &ch, arena);
	for (const struct mechanism *m = mechanisms; m->name != NULL; m++)
		if (is_offered(m, a, c, &ch))
			buf_printf(&b, "%s%s", b.n > 0 ? " " : "", m->name);
	list = arena_strdup(arena, buf_slice(&b));
	buf_clear(&b);
	return list != NULL ? list : "PLAIN LOGIN";
}

int
sasl_server_new(struct sasl_server **out, struct accounts *a, struct conn *c,
    struct slice mechanism, enum accounts_scope scope, bool plaintext_ok)
{
	const struct mechanism *m = mechanisms;
	struct scram_channel ch;
	struct sasl_server *s;

	while (m->name != NULL && !slice_eq_str_nocase(mechanism, m->name))
		m++;
	if (m->name == NULL || !may_authenticate(c, plaintext_ok))
		return -ENOSYS;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->arena = ARENA_INIT_MAX((size_t)64 << 10);
	channel_read(c, &ch, &s->arena);
	if (!is_offered(m, a, c, &ch)) {
		sasl_server_free(&s);
		return -ENOSYS;
	}
	s->mechanism = m;
	s->accounts = a;
	s->scope = scope;
	s->conn = c;
	net_addr_prefix(conn_peer(c), s->peer);
	if (m->step == step_scram)
		scram_init(&s->scram, &s->arena, m->digest, m->plus, &ch);
	*out = s;
	return 0;
}

void
sasl_server_free(struct sasl_server **s)
{
	if (*s == NULL)
		return;
	seal_key_unref(&(*s)->key);
	arena_reset(&(*s)->arena);
	OPENSSL_cleanse(*s, sizeof(**s));
	free(*s);
	*s = NULL;
}

int
sasl_server_step(struct sasl_server *s, struct slice in, struct buf *out)
{
	size_t before = out->n;
	int rc;

	if (in.p == NULL && s->step == 0) {
		if (s->mechanism->step == step_cram && s->user.n == 0)
			return cram_challenge(s, out);
		/* The others begin with the client (LOGIN may). */
		if (s->mechanism->step == step_login)
			buf_put_str(out, "Username:");
		return out->failed ? -EAGAIN : SASL_MORE;
	}
	if (in.p == NULL || in.n > MESSAGE_MAX || s->over)
		return -EBADMSG;
	s->step++;
	rc = s->mechanism->step(s, in, out);
	if (rc < 0)
		buf_truncate(out, before);
	s->over = rc != SASL_MORE;
	return rc >= 0 || rc == -EACCES || rc == -EBADMSG ? rc : -EAGAIN;
}

const char *
sasl_server_account(const struct sasl_server *s)
{
	return s->account;
}

const char *
sasl_server_mechanism(const struct sasl_server *s)
{
	return s->mechanism->name;
}

struct seal_key *
sasl_server_take_key(struct sasl_server *s)
{
	struct seal_key *k = s->account != NULL ? s->key : NULL;

	if (k != NULL)
		s->key = NULL;
	return k;
}
