/* SPDX-License-Identifier: ISC */
#include "common/net/http_api.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"

/* --- which route --- */

void
http_match_offer(struct http_match *m, enum http_method method,
    const char *pattern, const void *route)
{
	enum http_method as = m->method == HTTP_HEAD ? HTTP_GET : m->method;
	struct slice got[HTTP_PARAMS] = { { 0 } };

	if (!http_path_fits(pattern, m->path, got))
		return;
	m->allow |= method;
	if (method == as && m->found == NULL) {
		m->found = route;
		memcpy(m->param, got, sizeof(got));
	}
}

const void *
http_match_end(struct http_match *m, struct arena *a)
{
	if (m->found != NULL && !http_params_decode(a, m->param)) {
		m->allow = 0;
		m->found = NULL;
	}
	return m->found;
}

void
http_match_refuse(struct http_exchange *x, const struct http_problem *table,
    const struct http_match *m)
{
	if (m->allow == 0) {
		http_problem_reply(x, table, "not-found", NULL);
		return;
	}
	http_reply_allow(x, m->allow);
	http_problem_reply(x, table, "bad-method", NULL);
}

/* --- how often --- */

#define BUCKETS 1024
#define PROBES 8
#define NAME_MAX_ 95

static struct bucket {
	char who[NAME_MAX_ + 1];
	int64_t at_ms;
	double left;
} buckets[BUCKETS];

static uint32_t
hash(struct slice s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static struct bucket *
bucket_of(struct slice who, int64_t now_ms, double most)
{
	uint32_t h = hash(who);
	struct bucket *oldest = NULL;

	for (uint32_t i = 0; i < PROBES; i++) {
		struct bucket *b = &buckets[(h + i) % BUCKETS];

		if (slice_eq_str(who, b->who))
			return b;
		if (oldest == NULL || b->at_ms < oldest->at_ms)
			oldest = b;
	}
	memcpy(oldest->who, who.p, who.n);
	oldest->who[who.n] = '\0';
	oldest->at_ms = now_ms;
	oldest->left = most;
	return oldest;
}

int
http_rate_take(struct slice who, int64_t per_minute)
{
	double per_ms = (double)per_minute / 60000, most;
	int64_t now_ms = clock_mono_ms();
	struct bucket *b;

	if (per_minute == 0)
		return 0;
	most = per_minute < 60 ? 10 : (double)per_minute / 6;
	b = bucket_of(slice_head(who, NAME_MAX_), now_ms, most);
	b->left += (double)(now_ms - b->at_ms) * per_ms;
	if (b->left > most)
		b->left = most;
	b->at_ms = now_ms;
	if (b->left < 1)
		return (int)((1 - b->left) / per_ms / 1000) + 1;
	b->left--;
	return 0;
}

int
http_api_rate(struct http_exchange *x, const struct http_problem *table,
    const char *account, int64_t per_minute)
{
	char who[64], seconds[16];
	int wait;

	if (account == NULL)
		net_addr_prefix(conn_peer(x->c), who);
	wait = http_rate_take(
	    slice_str(account != NULL ? account : who), per_minute);
	if (wait == 0)
		return 0;
	snprintf(seconds, sizeof(seconds), "%d", wait);
	http_reply_field(x, "Retry-After", slice_str(seconds));
	http_problem_reply(x, table, "too-many-requests", NULL);
	return HTTP_API_REPLIED;
}

/* --- the body --- */

int
http_api_body_problem(
    struct http_exchange *x, const struct http_problem *table, int rc)
{
	const char *code = rc == -EMSGSIZE || rc == -ENOMEM ? "too-large"
	    : rc == -EBADMSG                                ? "bad-request"
	    : rc == -EPROTONOSUPPORT                        ? "bad-type"
							    : NULL;

	if (code == NULL)
		return rc;
	http_problem_reply(x, table, code, NULL);
	return HTTP_API_REPLIED;
}

int
http_api_body(struct http_exchange *x, const struct http_problem *table,
    size_t max, json_t **in)
{
	struct buf why = BUF_INIT_MAX(512);
	int rc = http_json_body(x, max, in, &why);

	if (rc == -EINVAL) {
		json_t *text = json_string(buf_str(&why));

		http_problem_reply(x, table, "bad-json",
		    text != NULL ? text : json_string(log_qs(buf_str(&why))));
		rc = HTTP_API_REPLIED;
	} else {
		rc = http_api_body_problem(x, table, rc);
	}
	buf_clear(&why);
	return rc;
}

/* --- the rest --- */

bool
http_api_csrf(struct http_exchange *x, const char *want)
{
	struct slice given = http_head_get(&x->head, "X-CSRF-Token");

	if (x->head.method == HTTP_GET || x->head.method == HTTP_HEAD)
		return true;
	return want != NULL && given.n == strlen(want) &&
	    CRYPTO_memcmp(given.p, want, given.n) == 0;
}

void
http_api_refuse(
    struct http_exchange *x, const struct http_problem *table, int status)
{
	const char *code = "bad-request";

	for (const struct http_problem *p = table; p->code != NULL; p++)
		if (p->status == status) {
			code = p->code;
			break;
		}
	http_problem_reply(x, table, code, NULL);
}

void
http_api_log(struct http_exchange *x, const char *operation,
    const char *account, int64_t began_us)
{
	log_info("api", "operation=%s status=%d account=%s took_us=%lld",
	    operation != NULL ? operation : "-", x->status, log_qs(account),
	    (long long)(clock_mono_us() - began_us));
}
