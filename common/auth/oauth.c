/* SPDX-License-Identifier: ISC */
#include "common/auth/oauth.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/json_text.h"
#include "common/base/log.h"
#include "common/net/http_client.h"
#include "common/net/http_form.h"

#define ANSWER_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 10000
#define CACHE_S 60
#define CACHE_SETS 128
#define CACHE_WAYS 4
#define USER_MAX 320
#define SECRET_MAX 512

struct cached {
	unsigned char mac[32];
	int64_t until_s;
	char user[USER_MAX + 1];
};
struct oauth {
	struct http_client *http;
	char *url, *client, *claim, *scope, *discovery;
	char secret[SECRET_MAX + 1];
	unsigned char key[32];
	struct cached cache[CACHE_SETS][CACHE_WAYS];
};

/* --- what the server says (RFC 7662 2.2) --- */

/* Is `want` one of the words? */
static bool
has_scope(const char *list, const char *want)
{
	struct slice rest = slice_str(list);

	while (rest.n > 0)
		if (slice_eq_str(slice_split(&rest, ' '), want))
			return true;
	return false;
}

static int
judge(json_t *o, const char *claim, const char *scope, int64_t now_s,
    const char **user, int64_t *until_s)
{
	json_t *exp = json_object_get(o, "exp");
	json_t *nbf = json_object_get(o, "nbf");
	json_t *who = json_object_get(o, claim);

	if (!json_is_true(json_object_get(o, "active")))
		return -EACCES;
	/* Compared as they are: what a number can be, no int64_t holds. */
	if ((json_is_number(exp) &&
		json_number_value(exp) < (double)(now_s + 1)) ||
	    (json_is_number(nbf) && json_number_value(nbf) > (double)now_s))
		return -EACCES;
	*until_s = now_s + CACHE_S;
	if (json_is_number(exp) && json_number_value(exp) < (double)*until_s)
		*until_s = (int64_t)json_number_value(exp);
	if (*scope != '\0' &&
	    !has_scope(json_string_value(json_object_get(o, "scope")), scope))
		return -EACCES;
	/* An address that its owner only claims is nobody's. */
	if (strcmp(claim, "email") == 0 &&
	    json_is_false(json_object_get(o, "email_verified")))
		return -EACCES;
	if (!json_is_string(who))
		who = json_object_get(o, "username");
	*user = json_string_value(who);
	return *user != NULL && **user != '\0' &&
		json_string_length(who) <= USER_MAX
	    ? 0
	    : -EACCES;
}

int
oauth_read_answer(struct arena *arena, struct slice json, const char *claim,
    const char *scope, int64_t now_s, const char **user, int64_t *until_s)
{
	json_t *o = json_text_load(json, JSON_REJECT_DUPLICATES);
	int rc;

	if (!json_is_object(o) ||
	    !json_is_boolean(json_object_get(o, "active"))) {
		json_decref(o);
		return -EAGAIN;
	}
	rc = judge(o, claim, scope, now_s, user, until_s);
	if (rc == 0 && (*user = arena_strdup(arena, slice_str(*user))) == NULL)
		rc = -EAGAIN;
	json_decref(o);
	return rc;
}

/* --- asking it --- */

static bool
is_alnum(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c);
}

static int
ask(struct oauth *o, struct arena *arena, struct slice token, const char **user,
    int64_t *until_s)
{
	struct buf form = BUF_INIT_MAX(64 << 10);
	struct buf answer = BUF_INIT_MAX(ANSWER_MAX);
	struct http_request r = { .url = o->url,
		.user = *o->client != '\0' ? o->client : NULL,
		.password = o->secret,
		.timeout_ms = TIMEOUT_MS,
		.max = ANSWER_MAX };
	int status = 0, rc;

	http_form_put(&form, "token_type_hint", SLICE_LIT("access_token"));
	http_form_put(&form, "token", token);
	r.form = buf_str(&form);
	rc = form.failed ? -ENOMEM : http_fetch(o->http, &r, &status, &answer);
	if (rc == 0 && status != 200) {
		log_warning("token not checked", "url=%s status=%d",
		    log_qs(o->url), status);
		rc = -EAGAIN;
	}
	if (rc == 0)
		rc = oauth_read_answer(arena, buf_slice(&answer), o->claim,
		    o->scope, clock_wall_s(), user, until_s);
	buf_wipe(&form);
	buf_wipe(&answer);
	return rc == 0 || rc == -EACCES ? rc : -EAGAIN;
}

/* --- the cache --- */

/* b64token of RFC 6750 2.1. */
static bool
is_token(struct slice t)
{
	while (t.n > 0 && t.p[t.n - 1] == '=')
		t.n--;
	for (size_t i = 0; i < t.n; i++)
		if (!is_alnum(t.p[i]) && memchr("-._~+/", t.p[i], 6) == NULL)
			return false;
	return t.n > 0;
}

/* Where the answer for `mac` is, or goes: over the one that ends first. */
static struct cached *
cache_place(struct oauth *o, const unsigned char *mac)
{
	struct cached *set = o->cache[get_be32(mac) % CACHE_SETS], *place = set;

	for (int i = 0; i < CACHE_WAYS; i++) {
		if (CRYPTO_memcmp(set[i].mac, mac, sizeof(set[i].mac)) == 0)
			return &set[i];
		if (set[i].until_s < place->until_s)
			place = &set[i];
	}
	return place;
}

int
oauth_check(
    struct oauth *o, struct arena *arena, struct slice token, const char **user)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct cached *c;
	int64_t until_s;
	int rc;

	if (!is_token(token))
		return -EACCES;
	if (HMAC(EVP_sha256(), o->key, sizeof(o->key),
		(const unsigned char *)token.p, token.n, mac, NULL) == NULL)
		return -EAGAIN;
	c = cache_place(o, mac);
	if (c->until_s > clock_wall_s() &&
	    CRYPTO_memcmp(c->mac, mac, sizeof(c->mac)) == 0) {
		*user = arena_strdup(arena, slice_str(c->user));
		return *user == NULL ? -EAGAIN : 0;
	}
	if ((rc = ask(o, arena, token, user, &until_s)) != 0)
		return rc;
	c = cache_place(o, mac); /* others have been answered meanwhile */
	memcpy(c->mac, mac, sizeof(c->mac));
	memcpy(c->user, *user, strlen(*user) + 1);
	c->until_s = until_s;
	return 0;
}

void
oauth_refusal(const struct oauth *o, struct buf *out)
{
	json_t *j = json_pack("{s:s}", "status", "invalid_token");
	char *text;

	if (*o->scope != '\0')
		json_object_set_new(j, "scope", json_string(o->scope));
	if (*o->discovery != '\0')
		json_object_set_new(
		    j, "openid-configuration", json_string(o->discovery));
	text = json_dumps(j, JSON_COMPACT);
	buf_put_str(out, text != NULL ? text : "{}");
	free(text);
	json_decref(j);
}

/* --- making --- */

static int
secret_read(struct oauth *o, const struct conf *conf, struct buf *err)
{
	const char *path = conf_file(conf, "auth.oauth_secret_file");
	ssize_t n;
	int fd;

	if (*conf_str(conf, "auth.oauth_secret_file") == '\0')
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd == -1 ? -1 : read(fd, o->secret, SECRET_MAX);
	if (n == -1)
		buf_printf(err, "%s: %s", path, strerror(errno));
	if (fd != -1)
		close(fd);
	while (n > 0 && (o->secret[n - 1] == '\n' || o->secret[n - 1] == '\r'))
		o->secret[--n] = '\0';
	return n == -1 ? -EIO : 0;
}

int
oauth_new(struct oauth **out, const struct conf *conf, struct buf *err)
{
	struct oauth *o;
	int rc;

	*out = NULL;
	if (*conf_str(conf, "auth.oauth_url") == '\0')
		return 0;
	if ((o = calloc(1, sizeof(*o))) == NULL)
		return -ENOMEM;
	random_octets(o->key, sizeof(o->key));
	o->url = strdup(conf_str(conf, "auth.oauth_url"));
	o->client = strdup(conf_str(conf, "auth.oauth_client"));
	o->claim = strdup(conf_str(conf, "auth.oauth_user_claim"));
	o->scope = strdup(conf_str(conf, "auth.oauth_scope"));
	o->discovery = strdup(conf_str(conf, "auth.oauth_discovery"));
	rc = o->url == NULL || o->client == NULL || o->claim == NULL ||
		o->scope == NULL || o->discovery == NULL
	    ? -ENOMEM
	    : secret_read(o, conf, err);
	if (rc == 0)
		rc = http_client_new(&o->http, conf, err);
	if (rc != 0) {
		oauth_free(&o);
		return rc;
	}
	*out = o;
	return 0;
}

void
oauth_free(struct oauth **o)
{
	struct oauth *v = *o;

	if (v == NULL)
		return;
	*o = NULL;
	http_client_free(&v->http);
	free(v->url);
	free(v->client);
	free(v->claim);
	free(v->scope);
	free(v->discovery);
	OPENSSL_cleanse(v, sizeof(*v));
	free(v);
}
