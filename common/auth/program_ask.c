/* SPDX-License-Identifier: ISC */
#include "common/auth/program_ask.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/json_text.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/mail/transfer.h"
#include "common/net/service.h"
#include "common/smtp/client.h"

#define CONNECT_MS 10000
#define ANSWER_MAX ((size_t)512 << 10)
#define LINE                                                                   \
	400 /* octets of a line of the reply: shorter than what is folded */

static int
open_program(const struct conf *conf, const char *setting, int64_t timeout_ms,
    struct arena *a, struct smtp_client **c)
{
	const struct smtp_client_conf client = { .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = CONNECT_MS,
		.timeout_ms = timeout_ms,
		.reply_arena = a };
	const char *run_dir = conf_file(conf, "run_dir");
	struct smtp_reply reply = { 0 };
	struct net_addr to;
	size_t n;
	const char *const *list = conf_list(conf, setting, &n);

	for (size_t i = 0; i < n; i++)
		if (net_addr_parse(&to, list[i], run_dir) == 0 &&
		    net_addr_is_unix(&to))
			return smtp_client_open(c, &to, &client, &reply);
	return -EDESTADDRREQ;
}

static int
answer_load(struct slice text, json_t **out)
{
	struct buf json = BUF_INIT_MAX(ANSWER_MAX);
	int rc = base64_decode(&json, text);

	if (rc == 0 &&
	    (*out = json_text_load(buf_slice(&json), JSON_DECODE_ANY)) == NULL)
		rc = -EPROTO;
	buf_clear(&json);
	return rc == -EINVAL ? -EPROTO : rc;
}

int
program_ask(const struct conf *conf, const char *setting, const char *line,
    int64_t timeout_ms, json_t **out, struct buf *err)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct buf text = BUF_INIT_MAX(ANSWER_MAX);
	struct smtp_client *c = NULL;
	struct smtp_reply reply = { 0 };
	int rc;

	*out = NULL;
	rc = open_program(conf, setting, timeout_ms, &a, &c);
	if (rc == -ENOENT) /* no socket; what is asked for may be there */
		rc = -ECONNREFUSED;
	if (rc == 0)
		rc = smtp_client_own(c, slice_str(line), &reply, &text);
	if (rc == 0 && smtp_reply_is_positive(&reply)) {
		rc = answer_load(buf_slice(&text), out);
	} else if (rc == 0) {
		buf_put_str(err, log_q(buf_slice(&text)));
		rc = reply.code == 550                ? -ENOENT
		    : smtp_reply_is_temporary(&reply) ? -EAGAIN
						      : -EPROTO;
	}
	smtp_client_free(&c);
	buf_clear(&text);
	arena_reset(&a);
	return rc;
}

void
program_answer(struct arena *a, json_t *j, struct smtp_reply *reply)
{
	char *json = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);
	struct buf text = BUF_INIT_MAX(ANSWER_MAX),
		   lines = BUF_INIT_MAX(ANSWER_MAX);
	struct slice rest;

	json_decref(j);
	if (json != NULL)
		base64_encode(&text, slice_str(json));
	for (rest = buf_slice(&text); rest.n > 0;) {
		size_t n = rest.n < LINE ? rest.n : LINE;

		if (lines.n > 0)
			buf_put_char(&lines, '\n');
		buf_put_slice(&lines, slice_head(rest, n));
		rest = slice_from(rest, n);
	}
	*reply = json == NULL || text.failed || lines.failed
	    ? SMTP_REPLY(451, "4.3.0", "too much for one answer")
	    : (struct smtp_reply){ .code = 250,
		      .enhanced = "2.0.0",
		      .text = arena_dup(a, buf_slice(&lines)) };
	free(json);
	buf_clear(&text);
	buf_clear(&lines);
}

json_t *
program_time(int64_t s)
{
	struct buf b = BUF_INIT_MAX(64);
	json_t *j;

	if (s == 0)
		return json_null();
	date_put_iso(&b, s);
	j = json_string(buf_str(&b));
	buf_clear(&b);
	return j;
}
