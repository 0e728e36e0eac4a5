/* SPDX-License-Identifier: ISC */
#include "common/auth/notice_ask.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/mail/transfer.h"
#include "common/net/service.h"
#include "common/smtp/client.h"

#define ASK_MS 120000 /* a test waits for the receiver */
#define ANSWER_MAX ((size_t)512 << 10)

static int
open_gateway(const struct conf *conf, struct arena *a, struct smtp_client **c)
{
	const struct smtp_client_conf client = { .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = ASK_MS,
		.reply_arena = a };
	const char *run_dir = conf_file(conf, "run_dir");
	struct smtp_reply reply = { 0 };
	struct net_addr to;
	size_t n;
	const char *const *list = conf_list(conf, "gateway.lmtp", &n);

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
	    (*out = json_loadb(json.p, json.n, JSON_DECODE_ANY, NULL)) == NULL)
		rc = -EPROTO;
	buf_clear(&json);
	return rc == -EINVAL ? -EPROTO : rc;
}

int
notice_ask(
    const struct conf *conf, const char *what, json_t **out, struct buf *err)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct buf line = BUF_INIT_MAX(1000);
	struct buf text = BUF_INIT_MAX(ANSWER_MAX);
	struct smtp_client *c = NULL;
	struct smtp_reply reply = { 0 };
	int rc = open_gateway(conf, &a, &c);

	*out = NULL;
	buf_printf(&line, "XNOTICE %s", what);
	if (rc == 0)
		rc = line.failed
		    ? -EINVAL
		    : smtp_client_own(c, buf_slice(&line), &reply, &text);
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
	buf_clear(&line);
	arena_reset(&a);
	return rc;
}
