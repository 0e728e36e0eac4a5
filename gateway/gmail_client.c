/* SPDX-License-Identifier: ISC */
#include "gateway/gmail_client.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/json_text.h"
#include "common/base/log.h"
#include "common/net/http_form.h"
#include "common/net/http_stream.h"

#define ANSWER_MAX ((size_t)16 << 20) /* a page of history */
#define ERROR_MAX ((size_t)64 << 10)
#define SAID_MAX ((size_t)500)
#define SILENCE_MS 60000
#define ATTEMPTS 5
#define FIRST_MS 500  /* doubled with each attempt */
#define AFTER_MAX_S 8 /* longer is for the next look */

/* One request, and where its answer goes. */
struct call {
	struct gmail *g;
	const char *method, *url, *type;
	/* what is sent: */
	struct slice head, tail;
	struct spool *body;
	uint64_t at, size;
	/* what comes: */
	struct gmail_scan *scan;
	struct buf out, error;
	bool began; /* octets went to the scan: no second attempt */
	bool silent; /* what an answer has is nobody's */
};

void
gmail_init(struct gmail *g, struct http_client *http, const char *base,
    const struct buf *token)
{
	*g = (struct gmail){ .http = http,
		.base = base,
		.token = token,
		.said = BUF_INIT_MAX(SAID_MAX) };
}

void
gmail_clear(struct gmail *g)
{
	buf_clear(&g->said);
}

static void
say(struct gmail *g, const char *text)
{
	buf_reset(&g->said);
	buf_put_slice(&g->said, slice_head(slice_str(text), SAID_MAX));
}

/* --- what is sent --- */

/* From `part`, which begins at `from` in the whole. */
static size_t
copy_part(
    const struct call *c, struct slice part, uint64_t from, char *p, size_t n)
{
	struct slice rest = slice_from(part, (size_t)(c->at - from));
	size_t m = rest.n < n ? rest.n : n;

	memcpy(p, rest.p, m);
	return m;
}

static ssize_t
on_read(void *arg, char *p, size_t n)
{
	struct call *c = arg;
	uint64_t middle = c->body == NULL ? 0 : spool_size(c->body);
	size_t got = 0;
	int rc = 0;

	if (c->at < c->head.n)
		got = copy_part(c, c->head, 0, p, n);
	else if (c->at < c->head.n + middle)
		rc = spool_read(c->body, c->at - c->head.n, p, n, &got);
	else
		got = copy_part(c, c->tail, c->head.n + middle, p, n);
	c->at += got;
	return rc != 0 ? rc : (ssize_t)got;
}

/* --- what comes --- */

static int
on_octets(void *arg, int status, struct slice octets)
{
	struct call *c = arg;

	if (status / 100 != 2) {
		buf_put_slice(
		    &c->error, slice_head(octets, ERROR_MAX - c->error.n));
		return 0;
	}
	if (c->scan == NULL)
		return buf_put_slice(&c->out, octets) ? 0 : -E2BIG;
	c->began = true;
	return gmail_scan_feed(c->scan, octets);
}

static bool
is_rate(const char *reason)
{
	static const char *const rates[] = { "rateLimitExceeded",
		"userRateLimitExceeded", "dailyLimitExceeded", "quotaExceeded",
		"RESOURCE_EXHAUSTED" };

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		if (strcmp(reason, rates[i]) == 0)
			return true;
	return false;
}

static const char *
word_of(const json_t *o, const char *name)
{
	const char *word = json_string_value(json_object_get(o, name));

	return word != NULL ? word : "";
}

/* Which of the errors a status is: `rate`, that it says so. */
static int
error_of(int status, bool rate)
{
	if (status == 429 || (status == 403 && rate))
		return -EBUSY;
	if (status >= 500)
		return -EREMOTEIO;
	switch (status) {
	case 400:
		return -EINVAL;
	case 401:
		return -EACCES;
	case 403:
		return -EPERM;
	case 404:
	case 410:
		return -ENOENT;
	case 409:
		return -EEXIST;
	case 413:
		return -E2BIG;
	}
	return -EPROTO;
}

static int
refused(struct call *c, int status)
{
	json_t *all = json_text_load(buf_slice(&c->error), 0);
	const json_t *e = json_object_get(all, "error");
	const json_t *list = json_object_get(e, "errors");
	const char *message = word_of(e, "message");
	bool rate = is_rate(word_of(e, "status"));
	struct buf text = BUF_INIT_MAX(SAID_MAX * 8);

	for (size_t i = 0; i < json_array_size(list); i++)
		rate =
		    rate || is_rate(word_of(json_array_get(list, i), "reason"));
	buf_printf(&text, "%d %s", status, log_qs(message));
	say(c->g, buf_str(&text));
	buf_clear(&text);
	json_decref(all);
	return error_of(status, rate);
}

/* --- a request --- */

static int
once(struct call *c)
{
	struct gmail *g = c->g;
	const struct http_stream_request r = { .method = c->method,
		.url = c->url,
		.global_only = c->g->global_only,
		.bearer = buf_str(g->token),
		.content_type = c->type,
		.size = c->size,
		.read = on_read,
		.octets = on_octets,
		.arg = c,
		.silence_ms = SILENCE_MS };
	struct http_stream_answer answer;
	struct buf why = BUF_INIT_MAX(SAID_MAX);
	int rc;

	c->at = 0;
	buf_reset(&c->out);
	buf_reset(&c->error);
	rc = http_stream(g->http, &r, &answer, &why);
	g->retry_after_s = answer.retry_after_s;
	if (rc == 0 && answer.status / 100 != 2)
		rc = refused(c, answer.status);
	else if (rc == 0 && c->scan != NULL)
		rc = gmail_scan_end(c->scan);
	else if (rc == 0)
		say(g, "");
	if (rc != 0 && why.n > 0)
		say(g, buf_str(&why));
	else if (rc == -EPROTO)
		say(g, "not what was expected");
	buf_clear(&why);
	return rc;
}

static int
renew(struct call *c, const struct buf *refused_token)
{
	return c->g->renew == NULL
	    ? -EACCES
	    : c->g->renew(c->g->arg, buf_str(refused_token));
}

/* Truncated exponential back-off, with chance; or as long as they say. */
static int
back_off(struct call *c, int attempt)
{
	int64_t ms = FIRST_MS << attempt;

	if (c->g->retry_after_s > AFTER_MAX_S)
		return -EBUSY;
	if (c->g->retry_after_s > 0)
		ms = c->g->retry_after_s * 1000;
	return co_sleep(ms + random_below((uint32_t)ms / 2 + 1));
}

static int
run(struct call *c, int attempts)
{
	struct buf token = BUF_INIT_MAX((size_t)16 << 10);
	bool renewed = false;
	int rc;

	for (int i = 0;; i++) {
		buf_reset(&token);
		buf_put_slice(&token, buf_slice(c->g->token));
		rc = once(c);
		if (rc == -EACCES && !renewed) {
			renewed = true;
			if (renew(c, &token) == 0)
				continue;
		}
		if ((rc != -EBUSY && rc != -EREMOTEIO) || c->began ||
		    i + 1 >= attempts || back_off(c, i) != 0)
			break;
	}
	buf_wipe(&token);
	return rc;
}

static void
call_clear(struct call *c)
{
	buf_clear(&c->out);
	buf_clear(&c->error);
}

static int
run_json(struct call *c, int attempts, json_t **out)
{
	int rc;

	c->out = BUF_INIT_MAX(ANSWER_MAX);
	c->error = BUF_INIT_MAX(ERROR_MAX);
	rc = run(c, attempts);
	*out = NULL;
	if (rc == 0 && !c->silent) {
		*out = json_text_load(
		    buf_slice(&c->out), JSON_REJECT_DUPLICATES);
		if (!json_is_object(*out)) {
			json_decref(*out);
			*out = NULL;
			say(c->g, "not what was expected");
			rc = -EPROTO;
		}
	}
	call_clear(c);
	return rc;
}

/* base, "/gmail/v1/users/me/", path. */
static const char *
url_of(struct gmail *g, const char *prefix, const char *path, struct buf *out)
{
	buf_printf(out, "%s%s/gmail/v1/users/me/%s", g->base, prefix, path);
	return buf_str(out);
}

int
gmail_get(struct gmail *g, const char *path, json_t **out)
{
	struct buf url = BUF_INIT_MAX(8000);
	struct call c = { .g = g, .method = "GET" };
	int rc;

	c.url = url_of(g, "", path, &url);
	rc = url.failed ? -ENOMEM : run_json(&c, ATTEMPTS, out);
	buf_clear(&url);
	return rc;
}

int
gmail_get_raw(struct gmail *g, const char *id, struct gmail_scan *scan)
{
	struct buf url = BUF_INIT_MAX(8000);
	struct call c = { .g = g,
		.method = "GET",
		.scan = scan,
		.error = BUF_INIT_MAX(ERROR_MAX) };
	int rc;

	buf_printf(
	    &url, "%s/gmail/v1/users/me/messages/%s?format=raw", g->base, id);
	c.url = buf_str(&url);
	rc = url.failed ? -ENOMEM : run(&c, ATTEMPTS);
	if (rc == 0 && strcmp(scan->id, id) != 0) {
		say(g, "another message than was asked for");
		rc = -EPROTO;
	}
	call_clear(&c);
	buf_clear(&url);
	return rc;
}

static int
post(struct gmail *g, const char *path, json_t *body, bool silent, json_t **out)
{
	struct buf url = BUF_INIT_MAX(8000);
	bool sends = body != NULL;
	char *dump = sends ? json_dumps(body, JSON_COMPACT) : NULL;
	struct call c = { .g = g,
		.method = "POST",
		.type = sends ? "application/json; charset=UTF-8" : NULL,
		.head = slice_str(dump),
		.size = dump == NULL ? 0 : strlen(dump),
		.silent = silent };
	int rc;

	*out = NULL;
	c.url = url_of(g, "", path, &url);
	rc = url.failed || (sends && dump == NULL)
	    ? -ENOMEM
	    : run_json(&c, ATTEMPTS, out);
	free(dump);
	json_decref(body);
	buf_clear(&url);
	return rc;
}

int
gmail_post(struct gmail *g, const char *path, json_t *body, json_t **out)
{
	*out = NULL;
	return body == NULL ? -ENOMEM : post(g, path, body, false, out);
}

int
gmail_do(struct gmail *g, const char *path, json_t *body)
{
	json_t *none;

	return post(g, path, body, true, &none);
}

/* --- whole messages --- */

static void
take_id(const json_t *answer, char id[static GMAIL_ID_MAX + 1])
{
	const char *text = word_of(answer, "id");

	id[0] = '\0';
	if (gmail_id_is_valid(slice_str(text)))
		memcpy(id, text, strlen(text) + 1);
}

static int
upload(struct gmail *g, const char *path, const char *type, struct slice head,
    struct spool *body, struct slice tail, char id[static GMAIL_ID_MAX + 1])
{
	struct buf url = BUF_INIT_MAX(8000);
	struct call c = { .g = g,
		.method = "POST",
		.type = type,
		.head = head,
		.body = body,
		.tail = tail,
		.size = head.n + spool_size(body) + tail.n };
	json_t *answer = NULL;
	int rc;

	c.url = url_of(g, "/upload", path, &url);
	rc = url.failed ? -ENOMEM : run_json(&c, 1, &answer);
	take_id(answer, id);
	json_decref(answer);
	buf_clear(&url);
	return rc;
}

int
gmail_send(struct gmail *g, struct slice head, struct spool *body,
    char id[static GMAIL_ID_MAX + 1])
{
	return upload(g, "messages/send?uploadType=media", "message/rfc822",
	    head, body, SLICE_EMPTY, id);
}

int
gmail_insert(struct gmail *g, const char *const *labels, bool now,
    struct slice before, struct spool *body, char id[static GMAIL_ID_MAX + 1])
{
	struct buf head = BUF_INIT, tail = BUF_INIT, type = BUF_INIT;
	const char *path = now
	    ? "messages?uploadType=multipart&internalDateSource=receivedTime"
	    : "messages?uploadType=multipart&internalDateSource=dateHeader";
	json_t *list = json_array(), *meta;
	char boundary[ID_LEN + 1], *dump;
	int rc = -ENOMEM;

	for (; *labels != NULL; labels++)
		json_array_append_new(list, json_string(*labels));
	meta = json_pack("{s:o}", "labelIds", list);
	dump = meta == NULL ? NULL : json_dumps(meta, JSON_COMPACT);
	/* Random: no message has it. */
	id_new(boundary);
	buf_printf(&type, "multipart/related; boundary=pneu_%s", boundary);
	buf_printf(&head,
	    "--pneu_%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
	    "%s\r\n--pneu_%s\r\nContent-Type: message/rfc822\r\n\r\n",
	    boundary, dump != NULL ? dump : "", boundary);
	buf_printf(&tail, "\r\n--pneu_%s--\r\n", boundary);
	buf_put_slice(&head, before);
	if (dump != NULL && !head.failed && !tail.failed && !type.failed)
		rc = upload(g, path, buf_str(&type), buf_slice(&head), body,
		    buf_slice(&tail), id);
	free(dump);
	json_decref(meta);
	buf_clear(&head);
	buf_clear(&tail);
	buf_clear(&type);
	return rc;
}

int
gmail_find(struct gmail *g, struct slice message_id, bool sent,
    char id[static GMAIL_ID_MAX + 1])
{
	struct buf q = BUF_INIT_MAX(2000), path = BUF_INIT_MAX(7000);
	json_t *answer = NULL;
	int rc;

	buf_put_str(&q, sent ? "in:sent rfc822msgid:" : "rfc822msgid:");
	buf_put_slice(&q, message_id);
	buf_put_str(&path, "messages?");
	http_form_put(&path, "includeSpamTrash", SLICE_LIT("true"));
	http_form_put(&path, "maxResults", SLICE_LIT("1"));
	http_form_put(&path, "q", buf_slice(&q));
	id[0] = '\0';
	rc = q.failed || path.failed ? -ENOMEM
				     : gmail_get(g, buf_str(&path), &answer);
	if (rc == 0) {
		take_id(
		    json_array_get(json_object_get(answer, "messages"), 0), id);
		rc = id[0] == '\0' ? -ENOENT : 0;
	}
	json_decref(answer);
	buf_clear(&q);
	buf_clear(&path);
	return rc;
}
