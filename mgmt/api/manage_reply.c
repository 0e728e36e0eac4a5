/* SPDX-License-Identifier: ISC */
/* Problems (RFC 9457), and values of a JSON body, strictly. */
#include <errno.h>

#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"

/* The codes of mailbox/api/api_reply.c mean the same here. */
const struct http_problem manage_problems[] = {
	{ "bad-request", 400, "The request cannot be read" },
	{ "bad-json", 400, "The body is not a JSON object" },
	{ "not-signed-in", 401, "A token is needed" },
	{ "bad-token", 401, "The token is not valid, or not any more" },
	{ "bad-csrf", 403, "X-CSRF-Token is missing or wrong" },
	{ "bad-scope", 403, "The token may not do this" },
	{ "not-private", 403, "Passwords are taken over TLS only" },
	{ "wrong-password", 403, "That is not the account's password" },
	{ "sealed", 403, "The account's sealed mail would be lost" },
	{ "not-allowed", 403, "Only an admin may do that" },
	{ "not-found", 404, "There is nothing at this path" },
	{ "no-such-account", 404, "There is no such account" },
	{ "no-such-address", 404, "There is no such alias or blocked address" },
	{ "no-such-domain", 404, "There is no such domain" },
	{ "no-such-outside", 404, "There is no such outside account" },
	{ "no-such-notice", 404, "There is no such subscription" },
	{ "no-such-queued", 404, "There is no such message in the queue" },
	{ "no-such-password", 404, "There is no password of that name" },
	{ "not-found-out", 404, "The servers of that address cannot be found" },
	{ "bad-method", 405, "The path does not know this method" },
	{ "timeout", 408, "The request took too long" },
	{ "exists", 409, "There is one already" },
	{ "not-empty", 409, "It is not empty" },
	{ "login-failed", 409, "That login is not possible, or has failed" },
	{ "must-confirm", 409,
	    "DNS names a server of another domain, for which "
	    "nothing vouches: say it yourself" },
	{ "too-large", 413, "The body is too large" },
	{ "bad-type", 415, "The body must be application/json" },
	{ "bad-value", 422, "A value is missing or is not as it must be" },
	{ "limit", 422, "That is more than an account may have" },
	{ "too-many-requests", 429, "Too many requests; try again later" },
	{ "head-too-large", 431, "The head of the request is too large" },
	{ "failed", 500, "That went wrong here" },
	{ "not-implemented", 501, "That is not offered" },
	{ "try-later", 503, "Not possible just now; try again later" },
	{ "bad-version", 505, "Only HTTP/1 is spoken here" },
	{ 0 },
};

int
manage_problem(struct manage_call *c, const char *code, const char *detail)
{
	json_t *text =
	    detail == NULL || *detail == '\0' ? NULL : json_string(detail);

	if (detail != NULL && *detail != '\0' && text == NULL)
		text = json_string(log_qs(detail));
	http_problem_reply(c->x, manage_problems, code, text);
	return MANAGE_REPLIED;
}

int
manage_errno(struct manage_call *c, int rc, const char *what)
{
	const char *why = buf_str(&c->err);

	switch (rc) {
	case 0:
	case MANAGE_REPLIED:
		return rc;
	case -ENOENT:
		return manage_problem(c, what, NULL);
	case -EEXIST:
		return manage_problem(c, "exists", why);
	case -EINVAL:
		return manage_problem(c, "bad-value", why);
	case -ENOTEMPTY:
		return manage_problem(c, "not-empty", why);
	case -ENOKEY:
		return manage_problem(c, "sealed", why);
	case -ENOSPC:
	case -E2BIG:
	case -ENOMEM:
		return manage_problem(c, "limit", why);
	}
	log_error("api failed",
	    "operation=%s account=%s error=\"%s\" why=\"%s\"",
	    c->route != NULL ? c->route->id : "", log_qs(c->account),
	    strerror(-rc), log_qs(why));
	return manage_problem(c, "try-later", NULL);
}

int
manage_too_many(struct manage_call *c, int seconds)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", seconds);
	http_reply_field(c->x, "Retry-After", slice_str(text));
	return manage_problem(c, "too-many-requests", NULL);
}

int
manage_json(struct manage_call *c, int status, json_t *j)
{
	http_json_reply(c->x, status, "application/json", j);
	return 0;
}

int
manage_no_content(struct manage_call *c)
{
	http_reply(c->x, 204, NULL, SLICE_EMPTY);
	return 0;
}

/* --- values --- */

static void
bad_value(struct manage_call *c, const char *name, const char *want)
{
	char text[200];

	if (c->failed)
		return;
	c->failed = true;
	snprintf(text, sizeof(text), "%s %s", name, want);
	manage_problem(c, "bad-value", text);
}

void
manage_only(struct manage_call *c, const char *const *names)
{
	const char *key;
	json_t *v;

	json_object_foreach(c->in, key, v)
	{
		size_t i = 0;

		while (names[i] != NULL && strcmp(names[i], key) != 0)
			i++;
		if (names[i] == NULL) {
			bad_value(c, log_qs(key), "is not known here");
			return;
		}
	}
}

int
manage_empty(struct manage_call *c)
{
	static const char *const names[] = { NULL };

	manage_only(c, names);
	return c->failed ? MANAGE_REPLIED : 0;
}

static json_t *
given(struct manage_call *c, const char *name)
{
	return c->failed ? NULL : json_object_get(c->in, name);
}

/* What goes into records and lines: no control characters. */
static const char *
plain(struct manage_call *c, json_t *j, const char *name, size_t max)
{
	const char *s = json_string_value(j);
	size_t n = json_string_length(j);

	if (s == NULL) {
		bad_value(c, name, "must be a string");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < ' ' || s[i] == 0x7f) {
			bad_value(c, name, "has a control character");
			return NULL;
		}
	if (n > max) {
		bad_value(c, name, "is too long");
		return NULL;
	}
	return s;
}

const char *
manage_str(struct manage_call *c, const char *name, size_t max)
{
	json_t *j = given(c, name);

	return j == NULL ? NULL : plain(c, j, name, max);
}

const char *
manage_need(struct manage_call *c, const char *name, size_t max)
{
	const char *s = manage_str(c, name, max);

	if (s == NULL || *s == '\0')
		bad_value(c, name, "is needed");
	return s;
}

bool
manage_bool(struct manage_call *c, const char *name, bool *out)
{
	json_t *j = given(c, name);

	if (j == NULL)
		return false;
	if (!json_is_boolean(j)) {
		bad_value(c, name, "must be true or false");
		return false;
	}
	*out = json_is_true(j);
	return true;
}

bool
manage_int(struct manage_call *c, const char *name, int64_t min, int64_t max,
    const int64_t *none, int64_t *out)
{
	json_t *j = given(c, name);
	char want[96];

	if (j == NULL)
		return false;
	if (json_is_null(j) && none != NULL) {
		*out = *none;
		return true;
	}
	if (!json_is_integer(j) || json_integer_value(j) < min ||
	    json_integer_value(j) > max) {
		snprintf(want, sizeof(want),
		    "must be a whole number from %lld to %lld", (long long)min,
		    (long long)max);
		bad_value(c, name, want);
		return false;
	}
	*out = json_integer_value(j);
	return true;
}

bool
manage_word(struct manage_call *c, const char *name, const char *const *words,
    int n, int *out)
{
	const char *s = manage_str(c, name, 64);
	struct buf want = BUF_INIT_MAX(160);

	for (int i = 0; s != NULL && i < n; i++)
		if (strcmp(s, words[i]) == 0) {
			*out = i;
			buf_clear(&want);
			return true;
		}
	buf_put_str(&want, "must be one of");
	for (int i = 0; s != NULL && i < n; i++)
		buf_printf(&want, "%s %s", i > 0 ? "," : "", words[i]);
	if (s != NULL)
		bad_value(c, name, buf_str(&want));
	buf_clear(&want);
	return false;
}

bool
manage_strs(struct manage_call *c, const char *name, size_t most,
    const char *const **out, size_t *n)
{
	json_t *j = given(c, name), *item;
	const char **v;
	size_t i;

	if (j == NULL)
		return false;
	if (!json_is_array(j) || json_array_size(j) > most) {
		bad_value(c, name, "must be a list, and not too long");
		return false;
	}
	v = arena_array(c->a, json_array_size(j) + 1, sizeof(*v));
	if (v == NULL) {
		bad_value(c, name, "is too long");
		return false;
	}
	*n = 0;
	json_array_foreach(j, i, item)
	{
		if ((v[i] = plain(c, item, name, 1000)) == NULL)
			return false;
		(*n)++;
	}
	*out = v;
	return true;
}

const char *
manage_param(struct manage_call *c, size_t i)
{
	const char *s = arena_strdup(c->a, c->param[i]);

	return s != NULL ? s : "";
}
