/* SPDX-License-Identifier: ISC */
#include "common/auth/oauth_login.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/auth/oauth_client.h"
#include "common/base/clock.h"
#include "common/base/json_text.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/net/http_form.h"
#include "common/net/http_head.h"

#define DEVICE_GRANT "urn:ietf:params:oauth:grant-type:device_code"
#define CODE_S 900   /* a login in the browser may take so long */
#define INTERVAL_S 5 /* RFC 8628 3.2, 3.5 */
#define INTERVAL_MAX_S 60
#define EXPIRES_MAX_S 3600
#define RANDOM_OCTETS 32 /* 43 characters, RFC 7636 4.1 */

struct oauth_login {
	struct accounts *a;
	struct http_client *h;
	struct arena arena;
	struct outside o;
	struct oauth_app app;
	struct oauth_login_prompt prompt;
	int64_t interval_ms;
	struct oauth_device device;
	struct buf verifier, state;
	const char *redirect;
};

/* --- pieces --- */

/* Each string that a server gives goes to a terminal or a page. */
static const char *
plain(struct arena *a, const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return oauth_token_of(
	    a, slice(json_string_value(v), json_string_length(v)));
}

static int64_t
whole(const json_t *o, const char *name, int64_t otherwise, int64_t max)
{
	const json_t *v = json_object_get(o, name);
	double n = json_number_value(v);

	if (!json_is_number(v) || n < 1)
		return otherwise;
	return n > (double)max ? max : (int64_t)n;
}

static bool
is_https(const char *url)
{
	return strncmp(url, "https://", 8) == 0;
}

int
oauth_device_parse(struct arena *a, struct slice json, struct oauth_device *out)
{
	json_t *o = json_text_load(json, JSON_REJECT_DUPLICATES);
	bool good = json_is_object(o);

	*out = (struct oauth_device){ "", "", "", "", 0, 0 };
	if (good) {
		out->device_code = plain(a, o, "device_code");
		out->user_code = plain(a, o, "user_code");
		out->url = plain(a, o, "verification_uri");
		/* Google's name for it, from before the RFC. */
		if (out->url != NULL && *out->url == '\0')
			out->url = plain(a, o, "verification_url");
		out->url_with_code = plain(a, o, "verification_uri_complete");
		out->expires_s =
		    whole(o, "expires_in", EXPIRES_MAX_S, EXPIRES_MAX_S);
		out->interval_s =
		    whole(o, "interval", INTERVAL_S, INTERVAL_MAX_S);
		good = out->device_code != NULL && out->user_code != NULL &&
		    out->url != NULL && out->url_with_code != NULL &&
		    *out->device_code != '\0' && *out->user_code != '\0' &&
		    is_https(out->url) &&
		    (*out->url_with_code == '\0' ||
			is_https(out->url_with_code));
	}
	json_decref(o);
	return good ? 0 : -EAGAIN;
}

bool
oauth_challenge(struct slice verifier, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];

	return EVP_Digest(
		   verifier.p, verifier.n, md, NULL, EVP_sha256(), NULL) == 1 &&
	    base64url_encode(out, slice(md, 32));
}

static bool
random_text(struct buf *out)
{
	unsigned char octets[RANDOM_OCTETS];
	bool ok;

	random_octets(octets, sizeof(octets));
	ok = base64url_encode(out, slice(octets, sizeof(octets)));
	OPENSSL_cleanse(octets, sizeof(octets));
	return ok;
}

/* --- beginning --- */

static int
begin_device(struct oauth_login *l, struct buf *err)
{
	struct buf form = BUF_INIT, answer = BUF_INIT_MAX(OAUTH_ANSWER_MAX);
	struct oauth_answer why = { "", "", 0, "", "" };
	int status = 0, rc;

	if (*l->app.device_url == '\0') {
		buf_put_str(err, "the provider has no login by device");
		return -EINVAL;
	}
	if (*l->app.scope != '\0')
		http_form_put(&form, "scope", slice_str(l->app.scope));
	rc = form.failed ? -EAGAIN
			 : oauth_client_post(l->h, &l->app, l->app.device_url,
			       &form, &status, &answer);
	if (rc == 0 && status == 200)
		rc = oauth_device_parse(
		    &l->arena, buf_slice(&answer), &l->device);
	else if (rc == 0)
		rc = oauth_answer_parse(
		    &l->arena, status, buf_slice(&answer), &why);
	if (rc == 0 && status != 200)
		rc = -EAGAIN;
	if (rc != 0)
		buf_printf(err, "%s: %s%s%s", l->app.device_url,
		    *why.error != '\0' ? why.error : "no answer of use",
		    *why.description != '\0' ? ": " : "", why.description);
	buf_clear(&form);
	buf_wipe(&answer);
	if (rc != 0)
		return rc == -EINVAL ? -EACCES : rc;
	l->interval_ms = l->device.interval_s * 1000;
	l->prompt.url = l->device.url;
	l->prompt.code = l->device.user_code;
	l->prompt.url_with_code = l->device.url_with_code;
	l->prompt.until_ms = clock_mono_ms() + l->device.expires_s * 1000;
	l->prompt.next_ms = clock_mono_ms() + l->interval_ms;
	return 0;
}

static int
begin_code(struct oauth_login *l, struct buf *err)
{
	struct buf url = BUF_INIT, challenge = BUF_INIT;
	int rc = -EAGAIN;

	if (!is_https(l->app.auth_url)) {
		buf_put_str(err,
		    "where the user logs in is not known, or not "
		    "https: --oauth-auth-url");
		return -EINVAL;
	}
	buf_printf(&url, "%s%c", l->app.auth_url,
	    strchr(l->app.auth_url, '?') == NULL ? '?' : '&');
	if (random_text(&l->verifier) && random_text(&l->state) &&
	    oauth_challenge(buf_slice(&l->verifier), &challenge)) {
		http_form_put(&url, "response_type", SLICE_LIT("code"));
		http_form_put(&url, "client_id", slice_str(l->app.client));
		http_form_put(&url, "redirect_uri", slice_str(l->redirect));
		if (*l->app.scope != '\0')
			http_form_put(&url, "scope", slice_str(l->app.scope));
		http_form_put(&url, "state", buf_slice(&l->state));
		http_form_put(&url, "code_challenge", buf_slice(&challenge));
		http_form_put(&url, "code_challenge_method", SLICE_LIT("S256"));
		/* So that nobody picks another account by mistake. */
		http_form_put(&url, "login_hint", slice_str(l->o.user));
		buf_put_str(&url, l->app.extra);
		l->prompt.url = url.failed
		    ? NULL
		    : arena_strdup(&l->arena, buf_slice(&url));
		rc = l->prompt.url == NULL ? -EAGAIN : 0;
	}
	l->prompt.state = buf_str(&l->state);
	l->prompt.until_ms = clock_mono_ms() + CODE_S * INT64_C(1000);
	buf_clear(&url);
	buf_clear(&challenge);
	return rc;
}

/* The record, and whom to ask. */
static int
find(struct oauth_login *l, const struct conf *conf, struct slice address,
    struct buf *err)
{
	int rc = outside_get(l->a, &l->arena, address, &l->o);

	if (rc == -ENOENT || rc == -EAGAIN) {
		buf_printf(err, "no outside account %s", log_q(address));
		return -ENOENT;
	}
	if (rc == 0 && l->o.sign_in != OUTSIDE_OAUTH) {
		buf_printf(err,
		    "%s signs in by password; to have it use OAuth: pneu "
		    "outside set --oauth %s",
		    l->o.address, l->o.address);
		return -EINVAL;
	}
	if (rc == 0)
		rc = oauth_app_of(l->a, conf, &l->arena, &l->o, &l->app, err);
	return rc;
}

int
oauth_login_begin(struct oauth_login **out, struct accounts *a,
    const struct conf *conf, struct http_client *h, struct slice address,
    const char *redirect, struct buf *err)
{
	struct oauth_login *l = calloc(1, sizeof(*l));
	int rc;

	*out = NULL;
	if (l == NULL)
		return -ENOMEM;
	l->a = a;
	l->h = h;
	l->arena = ARENA_INIT_MAX((size_t)1 << 20);
	l->prompt = (struct oauth_login_prompt){ "", "", "", "", "", 0, 0 };
	rc = find(l, conf, address, err);
	if (rc == 0 && redirect != NULL &&
	    (l->redirect = arena_strdup(&l->arena, slice_str(redirect))) ==
		NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = redirect != NULL ? begin_code(l, err)
				      : begin_device(l, err);
	if (rc != 0) {
		oauth_login_free(&l);
		return rc;
	}
	l->prompt.address = l->o.address;
	*out = l;
	return 0;
}

void
oauth_login_free(struct oauth_login **out)
{
	struct oauth_login *l = *out;

	if (l == NULL)
		return;
	*out = NULL;
	if (l->device.device_code != NULL)
		slice_wipe(slice_str(l->device.device_code));
	oauth_app_clear(&l->app);
	buf_wipe(&l->verifier);
	buf_wipe(&l->state);
	arena_reset(&l->arena);
	free(l);
}

const struct oauth_login_prompt *
oauth_login_prompt(const struct oauth_login *l)
{
	return &l->prompt;
}

int
oauth_login_ways(struct accounts *a, const struct conf *conf,
    struct slice address, bool *device, char loopback[static 16],
    struct buf *err)
{
	struct oauth_login l = { .a = a,
		.arena = ARENA_INIT_MAX((size_t)1 << 20) };
	int rc = find(&l, conf, address, err);

	if (rc == 0) {
		*device = *l.app.device_url != '\0';
		snprintf(loopback, 16, "%s", l.app.loopback);
	}
	oauth_app_clear(&l.app);
	arena_reset(&l.arena);
	return rc;
}

/* --- the end --- */

/* Into the record, as it is by now. */
static int
keep(struct oauth_login *l, struct oauth_answer *answer, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)1 << 20);
	struct outside o;
	int rc;

	if (*answer->refresh == '\0') {
		buf_put_str(err,
		    "the provider gave a token for now, and none that lasts "
		    "(refresh token); the client's registration or the scope "
		    "must ask for one (offline_access)");
		oauth_answer_wipe(answer);
		return -ENODATA;
	}
	rc = outside_get(l->a, &arena, slice_str(l->o.address), &o);
	if (rc == 0 && o.sign_in != OUTSIDE_OAUTH) {
		buf_put_str(err, "it signs in by password now");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = outside_put(
		    l->a, &o, false, slice_str(answer->refresh), err);
	else if (rc == -ENOENT)
		buf_put_str(err, "the outside account has been removed");
	oauth_answer_wipe(answer);
	arena_reset(&arena);
	return rc;
}

static int
over(const struct oauth_answer *answer, int rc, struct buf *err)
{
	buf_printf(err, "the provider says %s%s%s",
	    *answer->error != '\0' ? answer->error : "no",
	    *answer->description != '\0' ? ": " : "", answer->description);
	return rc;
}

static int
not_yet(struct oauth_login *l, const struct oauth_answer *answer)
{
	if (strcmp(answer->error, "slow_down") == 0)
		l->interval_ms += INTERVAL_S * 1000;
	else if (strcmp(answer->error, "authorization_pending") != 0)
		/* No answer: less and less often (RFC 8628 3.5). */
		l->interval_ms *= 2;
	if (l->interval_ms > INTERVAL_MAX_S * INT64_C(1000))
		l->interval_ms = INTERVAL_MAX_S * INT64_C(1000);
	l->prompt.next_ms = clock_mono_ms() + l->interval_ms;
	return OAUTH_LOGIN_WAIT;
}

int
oauth_login_poll(struct oauth_login *l, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)256 << 10);
	struct buf form = BUF_INIT;
	struct oauth_answer answer;
	int rc;

	if (l->redirect != NULL)
		return -EINVAL;
	if (clock_mono_ms() < l->prompt.next_ms)
		return OAUTH_LOGIN_WAIT;
	if (clock_mono_ms() >= l->prompt.until_ms) {
		buf_put_str(err, "nobody has entered the code in time");
		return -ETIMEDOUT;
	}
	http_form_put(&form, "grant_type", SLICE_LIT(DEVICE_GRANT));
	http_form_put(&form, "device_code", slice_str(l->device.device_code));
	rc = oauth_client_ask(l->h, &l->app, &form, &arena, &answer);
	if (rc == 0)
		rc = keep(l, &answer, err);
	else if (rc == -EAGAIN)
		rc = not_yet(l, &answer);
	else if (rc == -EACCES && strcmp(answer.error, "expired_token") == 0)
		rc = over(&answer, -ETIMEDOUT, err);
	else if (rc != -ECANCELED)
		rc = over(&answer, rc, err);
	buf_wipe(&form);
	arena_reset(&arena);
	return rc;
}

static int
change_code(struct oauth_login *l, struct arena *arena, struct slice code,
    struct buf *err)
{
	struct buf form = BUF_INIT;
	struct oauth_answer answer;
	int rc;

	http_form_put(&form, "grant_type", SLICE_LIT("authorization_code"));
	http_form_put(&form, "code", code);
	http_form_put(&form, "redirect_uri", slice_str(l->redirect));
	http_form_put(&form, "code_verifier", buf_slice(&l->verifier));
	rc = form.failed
	    ? -EAGAIN
	    : oauth_client_ask(l->h, &l->app, &form, arena, &answer);
	if (rc == 0)
		rc = keep(l, &answer, err);
	else if (rc != -ECANCELED && !form.failed)
		rc = over(&answer, rc, err);
	buf_wipe(&form);
	return rc;
}

static int
redirected(struct oauth_login *l, struct arena *arena, struct slice query,
    struct buf *err)
{
	const struct http_head h = { .a = arena, .query = query };
	struct slice state, error, code, text;

	/* RFC 6749 10.12: what has not our state is somebody else's. */
	if (!http_head_query(&h, "state", &state) ||
	    !http_head_query(&h, "error", &error) ||
	    !http_head_query(&h, "error_description", &text) ||
	    !http_head_query(&h, "code", &code) || state.p == NULL ||
	    l->state.n == 0 || state.n != l->state.n ||
	    CRYPTO_memcmp(state.p, l->state.p, state.n) != 0)
		return OAUTH_LOGIN_WAIT;
	/* A code is good once, and so is the state. */
	buf_wipe(&l->state);
	l->prompt.state = "";
	if (error.p != NULL) {
		buf_printf(err, "the provider says %s%s",
		    log_q(slice_head(error, 200)), text.p != NULL ? ": " : "");
		if (text.p != NULL)
			buf_put_str(err, log_q(slice_head(text, 200)));
		return -EACCES;
	}
	if (code.p == NULL || code.n == 0) {
		buf_put_str(err,
		    "the provider sent the browser back without "
		    "a code");
		return -EINVAL;
	}
	return change_code(l, arena, code, err);
}

int
oauth_login_redirected(
    struct oauth_login *l, struct slice query, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)256 << 10);
	int rc;

	if (l->redirect == NULL)
		return -EINVAL;
	rc = redirected(l, &arena, query, err);
	arena_reset(&arena);
	return rc;
}
