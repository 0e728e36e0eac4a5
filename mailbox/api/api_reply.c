/* SPDX-License-Identifier: ISC */
/* JSON, in and out, and problems (RFC 9457). */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "mailbox/api/api_impl.h"

#define JSON "application/json"

/* Codes are for programs and never change; titles are for people. */
const struct http_problem api_problems[] = {
	{ "bad-request", 400, "The request cannot be read" },
	{ "bad-json", 400, "The body is not a JSON object" },
	{ "bad-value", 422, "A value is missing or is not as it must be" },
	{ "not-signed-in", 401, "A token is needed" },
	{ "bad-token", 401, "The token is not valid, or not any more" },
	{ "bad-credentials", 401, "Wrong address or password" },
	{ "not-private", 403, "Passwords are taken over TLS only" },
	{ "bad-scope", 403, "The token may not do this" },
	{ "bad-csrf", 403, "X-CSRF-Token is missing or wrong" },
	{ "bad-origin", 403, "That is not for pages of other sites" },
	{ "not-found", 404, "There is nothing at this path" },
	{ "no-such-mailbox", 404, "There is no such mailbox" },
	{ "no-such-message", 404, "There is no such message" },
	{ "no-such-part", 404, "The message has no such part" },
	{ "not-your-address", 403, "The account may not send as that" },
	{ "bad-recipient", 422, "A recipient is not accepted" },
	{ "not-accepted", 422, "The message is not accepted" },
	{ "sending-limit", 429, "The account has sent enough for now" },
	{ "no-such-token", 404, "There is no such token" },
	{ "bad-method", 405, "The path does not know this method" },
	{ "timeout", 408, "The request took too long" },
	{ "mailbox-exists", 409, "There is a mailbox of that name" },
	{ "bad-mailbox-name", 422, "That cannot be the name of a mailbox" },
	{ "not-with-inbox", 409, "That is not possible with INBOX" },
	{ "sealed", 403, "This mail is sealed to a key that this token does "
			 "not open: sign in with a password that does" },
	{ "read-only", 409, "What is kept can only be read" },
	{ "too-large", 413, "The body is too large" },
	{ "bad-type", 415, "The body must be application/json" },
	{ "bad-range", 416, "The range is beyond the end" },
	{ "too-many-requests", 429, "Too many requests; try again later" },
	{ "head-too-large", 431, "The head of the request is too large" },
	{ "limit", 422, "That is more than one request may ask for" },
	{ "failed", 500, "That went wrong here" },
	{ "not-implemented", 501, "That is not offered" },
	{ "try-later", 503, "Not possible just now; try again later" },
	{ "bad-version", 505, "Only HTTP/1 is spoken here" },
	{ "over-quota", 507, "The quota is used up" },
	{ "disk-full", 507, "The disk is full" },
	{ 0 },
};

int
api_json(struct api_call *c, int status, json_t *j)
{
	http_json_reply(c->x, status, JSON, j);
	return 0;
}

int
api_no_content(struct api_call *c)
{
	http_reply(c->x, 204, NULL, SLICE_EMPTY);
	return 0;
}

int
api_problem(struct api_call *c, const char *code, const char *detail)
{
	http_problem_reply(c->x, api_problems, code,
	    detail != NULL ? api_text(slice_str(detail)) : NULL);
	return 0;
}

int
api_errno(struct api_call *c, int rc)
{
	switch (rc) {
	case 0:
	case API_REPLIED:
		return 0;
	case -ENOENT:
		return api_problem(c, "no-such-mailbox", NULL);
	case -EEXIST:
		return api_problem(c, "mailbox-exists", NULL);
	case -EINVAL:
		return api_problem(c, "bad-mailbox-name", NULL);
	case -EPERM:
		return api_problem(c, "not-with-inbox", NULL);
	case -EACCES:
		return api_problem(c, "read-only", NULL);
	case -ENOKEY:
		return api_problem(c, "sealed", NULL);
	case -EDQUOT:
		return api_problem(c, "over-quota", NULL);
	case -ENOSPC:
		return api_problem(c, "disk-full", NULL);
	case -E2BIG:
	case -ENOMEM:
		return api_problem(c, "limit", NULL);
	default:
		log_error("api failed", "operation=%s account=%s error=%s",
		    c->route != NULL ? c->route->id : "",
		    log_qs(c->account), strerror(-rc));
		return api_problem(c, "try-later", NULL);
	}
}

json_t *
api_text(struct slice s)
{
	struct buf b = BUF_INIT;
	json_t *j = NULL;

	if (utf8_is_valid(s) && memchr(s.p, '\0', s.n) == NULL)
		return json_stringn(s.p, s.n);
	if (charset_to_utf8(SLICE_LIT("utf-8"), s, &b) == 0)
		j = json_stringn(buf_str(&b), b.n);
	buf_clear(&b);
	return j;
}

json_t *
api_time(int64_t seconds)
{
	struct buf b = BUF_INIT_MAX(64);
	json_t *j;

	date_put_iso(&b, seconds);
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}

/* --- input --- */

static int
bad_value(struct api_call *c, const char *name, const char *want)
{
	char text[128];

	snprintf(text, sizeof(text), "%s must be %s", name, want);
	api_problem(c, "bad-value", text);
	return API_REPLIED;
}

int
api_in_string(struct api_call *c, const char *name, const char **out)
{
	json_t *j = json_object_get(c->in, name);

	*out = NULL;
	if (j == NULL || json_is_null(j))
		return 0;
	*out = json_string_value(j);
	if (*out == NULL || strlen(*out) != json_string_length(j))
		return bad_value(c, name, "a string");
	return 0;
}

int
api_in_bool(struct api_call *c, const char *name, bool *out)
{
	json_t *j = json_object_get(c->in, name);

	if (j == NULL)
		return 0;
	if (!json_is_boolean(j))
		return bad_value(c, name, "true or false");
	*out = json_is_true(j);
	return 0;
}

int
api_in_int(struct api_call *c, const char *name, int64_t min, int64_t max,
    int64_t *out)
{
	json_t *j = json_object_get(c->in, name);
	char want[64];

	if (j == NULL)
		return 0;
	snprintf(want, sizeof(want), "a whole number from %lld to %lld",
	    (long long)min, (long long)max);
	if (!json_is_integer(j) || json_integer_value(j) < min ||
	    json_integer_value(j) > max)
		return bad_value(c, name, want);
	*out = json_integer_value(j);
	return 0;
}
