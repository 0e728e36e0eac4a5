/* SPDX-License-Identifier: ISC */
#include "gateway/notice_mailbox.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/json_text.h"
#include "common/mail/transfer.h"

#define TEXT_MAX ((size_t)64 << 10)

/* A positive reply's text; -ENOENT for 252 and 550. */
static int
ask(struct smtp_client *c, const struct buf *line, struct buf *text)
{
	struct smtp_reply reply = { 0 };
	int rc = line->failed
	    ? -EINVAL
	    : smtp_client_own(c, buf_slice(line), &reply, text);

	if (rc != 0)
		return rc;
	if (reply.code == 252 || reply.code == 550)
		return -ENOENT;
	return smtp_reply_is_positive(&reply) ? 0 : -EAGAIN;
}

static int
ask_json(struct smtp_pool *p, const struct buf *line, json_t **out)
{
	struct buf text = BUF_INIT_MAX(TEXT_MAX), json = BUF_INIT_MAX(TEXT_MAX);
	struct smtp_client *c = NULL;
	int rc = smtp_pool_get(p, &c);

	*out = NULL;
	if (rc == 0) {
		rc = ask(c, line, &text);
		smtp_pool_put(p, c, rc == 0 || rc == -ENOENT);
	}
	if (rc == 0 &&
	    (base64_decode(&json, buf_slice(&text)) != 0 ||
		(*out = json_text_load(buf_slice(&json), 0)) == NULL))
		rc = -EPROTO;
	buf_clear(&text);
	buf_clear(&json);
	return rc;
}

int
arrived_next(struct smtp_client *c, const char *after, struct buf *out)
{
	struct buf line = BUF_INIT_MAX(1000), text = BUF_INIT_MAX(1000);
	int rc;

	buf_printf(&line, "XARRIVED <%s>", after);
	rc = ask(c, &line, &text);
	if (rc == 0 &&
	    (text.n < 3 || text.p[0] != '<' || text.p[text.n - 1] != '>'))
		rc = -EPROTO;
	if (rc == 0)
		buf_put(out, text.p + 1, text.n - 2);
	buf_clear(&line);
	buf_clear(&text);
	return rc;
}

static int64_t
number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

/* Another program's word, but looked at all the same. */
static int
event_of(const json_t *o, struct notice_event *out)
{
	const char *mailbox = json_string_value(json_object_get(o, "mailbox"));

	*out = (struct notice_event){ .modseq = (uint64_t)number(o, "modseq"),
		.uidvalidity = (uint32_t)number(o, "uidvalidity"),
		.uid = (uint32_t)number(o, "uid"),
		.size = (uint64_t)number(o, "size"),
		.date_s = number(o, "date"),
		.arrived_s = number(o, "arrived"),
		.gone = json_is_true(json_object_get(o, "gone")),
		.quiet = json_is_true(json_object_get(o, "quiet")) };
	if (slice_u64(slice_str(mailbox), UINT64_MAX, &out->mailbox) != 0 ||
	    out->uid == 0 || out->modseq == 0)
		return -EPROTO;
	return 0;
}

int
arrived_list(struct smtp_pool *p, const char *account, const char *done,
    struct notice_event *out, size_t *n)
{
	struct buf line = BUF_INIT_MAX(4000);
	json_t *list = NULL, *one;
	size_t i;
	int rc;

	*n = 0;
	buf_printf(&line, "XARRIVALS <%s>%s%s", account,
	    *done != '\0' ? " " : "", done);
	rc = ask_json(p, &line, &list);
	json_array_foreach(list, i, one)
	{
		if (rc == 0 && *n < ARRIVALS_MAX)
			rc = event_of(one, &out[(*n)++]);
	}
	json_decref(list);
	buf_clear(&line);
	return rc;
}

int
arrived_about(struct smtp_pool *p, const char *account,
    const struct notice_event *e, json_t **out)
{
	struct buf line = BUF_INIT_MAX(1000);
	int rc;

	buf_printf(&line, "XARRIVAL <%s> %llu %u", account,
	    (unsigned long long)e->mailbox, e->uid);
	rc = ask_json(p, &line, out);
	buf_clear(&line);
	return rc;
}
