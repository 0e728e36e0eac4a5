/* SPDX-License-Identifier: ISC */
#include "common/net/http_json.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/json_text.h"
#include "common/base/log.h"

#define PROBLEM "application/problem+json"

/* --- paths --- */

static struct slice
segment(struct slice s)
{
	ssize_t at = slice_find(s, '/');

	return slice_head(s, at < 0 ? s.n : (size_t)at);
}

bool
http_path_fits(
    const char *pattern, struct slice path, struct slice param[HTTP_PARAMS])
{
	struct slice p = slice_str(pattern);
	size_t n = 0;

	while (p.n > 0 && path.n > 0) {
		struct slice want, have;

		if (p.p[0] != '/' || path.p[0] != '/')
			return false;
		p = slice_from(p, 1);
		path = slice_from(path, 1);
		want = segment(p);
		have = segment(path);
		if (want.n > 0 && want.p[0] == '{') {
			if (n == HTTP_PARAMS || have.n == 0)
				return false;
			param[n++] = have;
		} else if (!slice_eq(want, have)) {
			return false;
		}
		p = slice_from(p, want.n);
		path = slice_from(path, have.n);
	}
	return p.n == 0 && path.n == 0;
}

bool
http_params_decode(struct arena *a, struct slice param[HTTP_PARAMS])
{
	for (size_t i = 0; i < HTTP_PARAMS; i++) {
		if (param[i].n == 0)
			continue;
		param[i] = http_percent_decode(a, param[i], false);
		if (param[i].p == NULL)
			return false;
	}
	return true;
}

void
http_reply_allow(struct http_exchange *x, unsigned methods)
{
	static const struct {
		unsigned method;
		const char *name;
	} names[] = { { HTTP_GET, "GET, HEAD" }, { HTTP_POST, "POST" },
		{ HTTP_PUT, "PUT" }, { HTTP_PATCH, "PATCH" },
		{ HTTP_DELETE, "DELETE" } };
	struct buf b = BUF_INIT_MAX(128);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((methods & names[i].method) != 0)
			buf_printf(
			    &b, "%s%s", b.n > 0 ? ", " : "", names[i].name);
	http_reply_field(x, "Allow", buf_slice(&b));
	buf_clear(&b);
}

/* --- bodies --- */

static bool
is_json_type(struct slice type)
{
	struct slice t = slice_trim(slice_split(&type, ';'));

	return slice_eq_str_nocase(t, "application/json");
}

int
http_json_load(struct slice text, json_t **out, struct buf *why)
{
	json_error_t e;

	if (text.n == 0)
		return (*out = json_object()) == NULL ? -ENOMEM : 0;
	*out = NULL;
	if (json_text_is_deep(text)) {
		buf_put_str(why, "nested too deep");
		return -EINVAL;
	}
	*out = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
	if (json_is_object(*out))
		return 0;
	buf_printf(why, "line %d, column %d: %s", e.line, e.column,
	    *out == NULL ? e.text : "an object is expected");
	json_decref(*out);
	*out = NULL;
	return -EINVAL;
}

int
http_json_body(
    struct http_exchange *x, size_t max, json_t **out, struct buf *why)
{
	struct buf b = BUF_INIT_MAX(max);
	int rc;

	*out = NULL;
	/* Also keeps forms of other sites out, which cannot send this type
	 * without asking (CORS). */
	if (http_head_has_body(&x->head) &&
	    !is_json_type(http_head_get(&x->head, "Content-Type")))
		return -EPROTONOSUPPORT;
	rc = http_body_all(x, max, &b);
	if (rc == -ENOMEM)
		rc = -EMSGSIZE;
	if (rc == 0)
		rc = http_json_load(buf_slice(&b), out, why);
	buf_wipe(&b); /* there may be a password in it */
	return rc;
}

/* --- replies --- */

void
http_json_reply(
    struct http_exchange *x, int status, const char *type, json_t *j)
{
	char *text =
	    j == NULL ? NULL : json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(j);
	if (text == NULL)
		http_reply(x, 500, "text/plain", SLICE_LIT("Out of memory\n"));
	else
		http_reply(x, status, type, slice_str(text));
	free(text);
}

void
http_problem_reply(struct http_exchange *x, const struct http_problem *table,
    const char *code, json_t *detail)
{
	const struct http_problem *p = table;
	json_t *j;

	while (p->code != NULL && strcmp(p->code, code) != 0)
		p++;
	if (p->status == 401)
		http_reply_field(
		    x, "WWW-Authenticate", SLICE_LIT("Bearer realm=\"pneu\""));
	if (p->status == 503)
		http_reply_field(x, "Retry-After", SLICE_LIT("5"));
	j = json_pack("{s:s+, s:s, s:i, s:s, s:s}", "type",
	    "urn:pneu:problem:", p->code, "title", p->title, "status",
	    p->status, "code", p->code, "instance", conn_id(x->c));
	if (detail != NULL)
		json_object_set_new(j, "detail", detail);
	log_debug("problem", "code=%s", p->code);
	http_json_reply(x, p->status, PROBLEM, j);
}

/* --- for whom --- */

static void
take_pairs(struct http_exchange *x, struct slice value, bool *is_tls)
{
	struct net_addr peer;
	char text[128];

	while (value.n > 0) {
		struct slice v = slice_trim(slice_split(&value, ';'));
		struct slice name = slice_split(&v, '=');

		if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
			v = slice(v.p + 1, v.n - 2);
		if (slice_eq_str_nocase(name, "proto")) {
			*is_tls = slice_eq_str_nocase(v, "https");
		} else if (slice_eq_str_nocase(name, "for") &&
		    v.n < sizeof(text)) {
			memcpy(text, v.p, v.n);
			text[v.n] = '\0';
			if (net_addr_parse(&peer, text, "") == 0)
				conn_set_peer(x->c, &peer);
		}
	}
}

void
http_take_forwarded(struct http_exchange *x, bool *is_tls)
{
	struct slice forwarded = http_head_get(&x->head, "Forwarded");

	*is_tls = false;
	if (forwarded.p != NULL && net_addr_is_unix(conn_peer(x->c)))
		take_pairs(x, forwarded, is_tls);
	*is_tls |= conn_is_tls(x->c);
}
