/* SPDX-License-Identifier: ISC */
#include "common/net/http_stream.h"

#include <errno.h>
#include <stdlib.h>

#include "common/net/http_client_impl.h"

#define HELD ((size_t)128 << 10) /* octets that wait for who takes them */
#define CONNECT_MS 30000
#define NOT_PUBLIC "not a public address"

struct stream {
	struct http_transfer f; /* first: CURLINFO_PRIVATE */
	const struct http_stream_request *r;
	struct http_stream_answer *out;
	struct curl_slist *headers;
	struct buf in, taken;
	bool paused;
	int failed; /* by read */
};

/* --- from libcurl, in the loop --- */

static size_t
on_octets(char *p, size_t one, size_t n, void *arg)
{
	struct stream *s = arg;

	if (s->in.n > 0 && s->in.n + one * n > HELD) {
		s->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	co_event_set(&s->f.done);
	return buf_put(&s->in, p, one * n) ? n : 0;
}

static size_t
on_read(char *p, size_t one, size_t n, void *arg)
{
	struct stream *s = arg;
	ssize_t got = s->r->read(s->r->arg, p, one * n);

	if (got >= 0)
		return (size_t)got;
	s->failed = (int)got;
	return CURL_READFUNC_ABORT;
}

/* --- setting up --- */

static bool
header(struct stream *s, const char *name, const char *value)
{
	struct buf line = BUF_INIT_MAX((size_t)64 << 10);
	struct curl_slist *more = NULL;

	/* "Expect:" without a value takes libcurl's own away. */
	buf_printf(&line, *value != '\0' ? "%s: %s" : "%s:%s", name, value);
	if (!line.failed &&
	    (more = curl_slist_append(s->headers, buf_str(&line))) != NULL)
		s->headers = more;
	buf_wipe(&line);
	return more != NULL;
}

static bool
headers(struct stream *s)
{
	const struct http_stream_request *r = s->r;
	struct buf bearer = BUF_INIT_MAX((size_t)32 << 10);
	bool ok = true;

	if (r->bearer != NULL) {
		buf_printf(&bearer, "Bearer %s", r->bearer);
		ok = !bearer.failed &&
		    header(s, "Authorization", buf_str(&bearer));
	}
	buf_wipe(&bearer);
	if (r->content_type != NULL)
		ok = ok && header(s, "Content-Type", r->content_type) &&
		    header(s, "Expect", "");
	else if (strcmp(r->method, "POST") == 0) /* libcurl's own */
		ok = ok && header(s, "Content-Type", "");
	return ok;
}

static bool
prepare(struct http_client *h, struct stream *s)
{
	const struct http_stream_request *r = s->r;
	bool sends = r->content_type != NULL;
	CURL *e = s->f.easy;
	bool ok = headers(s);

#define SET(option, value)                                                     \
	ok = ok && curl_easy_setopt(e, option, value) == CURLE_OK
	SET(CURLOPT_URL, r->url);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	/* Of HTTP/2 libcurl holds what comes while it is paused, all of it. */
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
	SET(CURLOPT_LOW_SPEED_TIME, (long)(r->silence_ms + 999) / 1000);
	SET(CURLOPT_PRIVATE, &s->f);
	SET(CURLOPT_ERRORBUFFER, s->f.error);
	SET(CURLOPT_WRITEFUNCTION, on_octets);
	SET(CURLOPT_WRITEDATA, s);
	if (s->f.resolve != NULL)
		SET(CURLOPT_RESOLVE, s->f.resolve);
	if (h->ca != NULL)
		SET(CURLOPT_CAINFO, h->ca);
	if (strcmp(r->method, "POST") == 0) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->size);
	}
	if (sends) {
		SET(CURLOPT_READFUNCTION, on_read);
		SET(CURLOPT_READDATA, s);
		/* libcurl sends again what an old connection did not take. */
		SET(CURLOPT_FRESH_CONNECT, 1L);
	}
	if (s->headers != NULL)
		SET(CURLOPT_HTTPHEADER, s->headers);
#undef SET
	return ok && http_client_guard(&s->f);
}

/* --- running --- */

static void
learn(struct stream *s)
{
	curl_off_t after = 0;
	long code = 0;

	curl_easy_getinfo(s->f.easy, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_getinfo(s->f.easy, CURLINFO_RETRY_AFTER, &after);
	s->out->status = (int)code;
	s->out->retry_after_s = (int64_t)after;
}

/* To who takes it, who may wait while more comes. */
static int
hand_on(struct stream *s)
{
	struct buf in = s->in;

	s->in = s->taken;
	s->taken = in;
	learn(s);
	return s->r->octets(s->r->arg, s->out->status, buf_slice(&s->taken));
}

static int
pump(struct stream *s)
{
	int rc = 0;

	while (rc == 0) {
		s->f.done.set = false;
		if (s->in.n > 0) {
			rc = hand_on(s);
			buf_reset(&s->taken);
			continue;
		}
		if (s->f.ended)
			break;
		if (s->paused) {
			s->paused = false;
			curl_easy_pause(s->f.easy, CURLPAUSE_CONT);
			continue;
		}
		rc = co_event_wait(&s->f.done, -1);
	}
	return rc;
}

static int
outcome(struct stream *s, struct buf *why)
{
	learn(s);
	if (s->failed != 0)
		return s->failed;
	if (s->f.result == CURLE_OK)
		return 0;
	if (why != NULL)
		buf_put_str(why,
		    s->f.refused                ? NOT_PUBLIC
			: s->f.error[0] != '\0' ? s->f.error
						: curl_easy_strerror(
						      s->f.result));
	switch (s->f.result) {
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		/* Of the connection, or of what came after it. */
		return s->out->status == 0 ? -EHOSTUNREACH : -ECONNRESET;
	default:
		return -ECONNRESET;
	}
}

static int
run(struct http_client *h, struct stream *s, struct buf *why)
{
	int rc;

	if (!prepare(h, s) ||
	    curl_multi_add_handle(h->multi, s->f.easy) != CURLM_OK)
		return -ENOMEM;
	rc = pump(s);
	curl_multi_remove_handle(h->multi, s->f.easy);
	return rc == 0 ? outcome(s, why) : rc;
}

int
http_stream(struct http_client *h, const struct http_stream_request *r,
    struct http_stream_answer *out, struct buf *why)
{
	struct stream *s = calloc(1, sizeof(*s));
	int rc = -ENOMEM;

	*out = (struct http_stream_answer){ 0 };
	if (s == NULL)
		return rc;
	s->r = r;
	s->out = out;
	s->f.global_only = r->global_only;
	rc = http_client_resolve(h, &s->f, r->url);
	if (rc == -EAGAIN || rc == -EACCES) {
		if (why != NULL)
			buf_put_str(
			    why, rc == -EACCES ? NOT_PUBLIC : s->f.error);
		rc = -EHOSTUNREACH;
	}
	if (rc == 0) {
		s->f.easy = curl_easy_init();
		rc = s->f.easy == NULL ? -ENOMEM : run(h, s, why);
	}
	curl_easy_cleanup(s->f.easy);
	curl_slist_free_all(s->f.resolve);
	for (struct curl_slist *l = s->headers; l != NULL; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(s->headers);
	buf_wipe(&s->in);
	buf_wipe(&s->taken);
	free(s);
	return rc;
}
