/* SPDX-License-Identifier: ISC */
#include "common/auth/oauth_client.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/base/json_text.h"
#include "common/base/log.h"
#include "common/net/http_form.h"

#define TOKEN_MAX ((size_t)6000) /* it goes into a line of SASL, in base64 */
#define EXPIRES_MAX_S INT64_C(315360000)
#define TEXT_MAX 200

/* --- what a server says --- */

const char *
oauth_token_of(struct arena *a, struct slice s)
{
	if (s.p == NULL || s.n == 0 || s.n > TOKEN_MAX)
		return "";
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return "";
	return arena_strdup(a, s);
}

static const char *
token(struct arena *a, const json_t *v)
{
	return oauth_token_of(
	    a, slice(json_string_value(v), json_string_length(v)));
}

static const char *
words(struct arena *a, const json_t *v)
{
	struct slice s = slice(json_string_value(v), json_string_length(v));

	if (s.p == NULL)
		return "";
	return arena_strdup(a, slice_str(log_q(slice_head(s, TEXT_MAX))));
}

/* RFC 6749 5.1 says a number; some give it as a string. */
static int64_t
seconds(const json_t *v)
{
	uint64_t n = 0;

	if (json_is_string(v) &&
	    slice_u64(slice(json_string_value(v), json_string_length(v)),
		EXPIRES_MAX_S, &n) != 0)
		n = 0;
	if (json_is_number(v) && json_number_value(v) >= 1)
		n = json_number_value(v) > (double)EXPIRES_MAX_S
		    ? (uint64_t)EXPIRES_MAX_S
		    : (uint64_t)json_number_value(v);
	return (int64_t)n;
}

static bool
is_among(const char *word, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcmp(word, *list) == 0)
			return true;
	return false;
}

static int
judge_error(int status, const char *error)
{
	/* Of the grant: whoever gave it must give it again. */
	static const char *const grant[] = { "invalid_grant", "access_denied",
		"expired_token", "interaction_required", "consent_required",
		"login_required", NULL };
	static const char *const later[] = { "temporarily_unavailable",
		"server_error", "slow_down", "authorization_pending", NULL };

	if (status >= 500 || status == 429 || is_among(error, later))
		return -EAGAIN;
	return is_among(error, grant) ? -EACCES : -EINVAL;
}

static int
judge(struct arena *a, int status, const json_t *o, struct oauth_answer *out)
{
	const json_t *error = json_object_get(o, "error");
	const char *type = json_string_value(json_object_get(o, "token_type"));

	if (json_is_string(error) && json_string_length(error) > 0) {
		out->error = words(a, error);
		out->description =
		    words(a, json_object_get(o, "error_description"));
		return judge_error(status, json_string_value(error));
	}
	/* RFC 6749 7.1: what is not understood must not be used. */
	if (status != 200 || type == NULL || strcasecmp(type, "Bearer") != 0)
		return -EAGAIN;
	out->access = token(a, json_object_get(o, "access_token"));
	out->refresh = token(a, json_object_get(o, "refresh_token"));
	out->expires_s = seconds(json_object_get(o, "expires_in"));
	return out->access != NULL && *out->access != '\0' ? 0 : -EAGAIN;
}

int
oauth_answer_parse(
    struct arena *a, int status, struct slice json, struct oauth_answer *out)
{
	json_t *o = json_text_load(json, JSON_REJECT_DUPLICATES);
	int rc;

	*out = (struct oauth_answer){ "", "", 0, "", "" };
	rc = json_is_object(o) ? judge(a, status, o, out) : -EAGAIN;
	json_decref(o);
	if (out->access == NULL || out->refresh == NULL || out->error == NULL ||
	    out->description == NULL) {
		*out = (struct oauth_answer){ "", "", 0, "", "out of memory" };
		rc = -EAGAIN;
	}
	if (rc == -EAGAIN && *out->error == '\0' && *out->description == '\0') {
		out->description = arena_printf(
		    a, "it answers %d, and nothing that makes sense", status);
		if (out->description == NULL)
			out->description = "out of memory";
	}
	return rc;
}

void
oauth_answer_wipe(struct oauth_answer *answer)
{
	slice_wipe(slice_str(answer->access));
	slice_wipe(slice_str(answer->refresh));
}

/* --- asking --- */

/* RFC 6749 2.3.1: as in a form, then as HTTP has it. */
static void
put_client(const struct oauth_app *app, struct buf *form, struct buf *user,
    struct buf *password)
{
	if (app->basic && app->secret.n > 0) {
		http_percent_put(user, slice_str(app->client));
		http_percent_put(password, buf_slice(&app->secret));
		return;
	}
	http_form_put(form, "client_id", slice_str(app->client));
	if (app->secret.n > 0)
		http_form_put(form, "client_secret", buf_slice(&app->secret));
}

int
oauth_client_post(struct http_client *h, const struct oauth_app *app,
    const char *url, const struct buf *form, int *status, struct buf *answer)
{
	struct buf all = BUF_INIT_MAX(OAUTH_ANSWER_MAX), user = all,
		   password = all;
	struct http_request r = { .url = url,
		.timeout_ms = OAUTH_TIMEOUT_MS,
		.max = OAUTH_ANSWER_MAX };
	int rc;

	buf_put_slice(&all, buf_slice(form));
	put_client(app, &all, &user, &password);
	if (user.n > 0) {
		r.user = buf_str(&user);
		r.password = buf_str(&password);
	}
	r.form = buf_str(&all);
	/* Never in the clear, whatever a record says. */
	if (strncmp(url, "https://", 8) != 0)
		rc = -EINVAL;
	else if (all.failed || user.failed || password.failed)
		rc = -ENOMEM;
	else
		rc = http_fetch(h, &r, status, answer);
	buf_wipe(&all);
	buf_wipe(&user);
	buf_wipe(&password);
	return rc == 0 || rc == -EINVAL || rc == -ECANCELED ? rc : -EAGAIN;
}

int
oauth_client_ask(struct http_client *h, const struct oauth_app *app,
    const struct buf *form, struct arena *a, struct oauth_answer *out)
{
	struct buf answer = BUF_INIT_MAX(OAUTH_ANSWER_MAX);
	int status = 0, rc;

	*out = (struct oauth_answer){ "", "", 0, "", "it does not answer" };
	rc = oauth_client_post(h, app, app->token_url, form, &status, &answer);
	if (rc == 0)
		rc = oauth_answer_parse(a, status, buf_slice(&answer), out);
	else if (rc == -EINVAL)
		out->description = "not an https: URL";
	buf_wipe(&answer);
	return rc;
}

int
oauth_client_refresh(struct http_client *h, const struct oauth_app *app,
    struct slice refresh, struct arena *a, struct oauth_answer *out)
{
	struct buf form = BUF_INIT_MAX(OAUTH_ANSWER_MAX);
	int rc = -EAGAIN;

	*out = (struct oauth_answer){ "", "", 0, "", "out of memory" };
	http_form_put(&form, "grant_type", SLICE_LIT("refresh_token"));
	http_form_put(&form, "refresh_token", refresh);
	if (!form.failed)
		rc = oauth_client_ask(h, app, &form, a, out);
	buf_wipe(&form);
	return rc;
}
