/* SPDX-License-Identifier: ISC */
/*
 * One notice on its way: what it says, in which form, and what the answer means.
 * docs/notices.md has the forms.
 */
#ifndef PNEU_GATEWAY_NOTICE_SEND_H
#define PNEU_GATEWAY_NOTICE_SEND_H

#include <jansson.h>

#include "common/net/http_client.h"
#include "gateway/notice_log.h"
#include "common/auth/webpush.h"

struct notice_sender {
	struct accounts *accounts;
	struct http_client *http;
	struct webpush_key *key;
	const char *contact;
	int64_t timeout_ms;
	bool private; /* addresses that are not public, and http */
};

enum notice_fate {
	NOTICE_DONE,
	NOTICE_LATER, /* try again */
	NOTICE_DEAD,  /* this one will never be taken */
	NOTICE_ENDED, /* the receiver wants no more of any */
};
struct notice_result {
	enum notice_fate fate;
	int status;            /* of HTTP; 0: there was none */
	int64_t retry_after_s; /* what it asks for; 0: nothing */
	struct buf why;        /* for people; clear it */
};

/*
 * Send the event (NULL: a test) to the subscription. `about`: what the message
 * says of itself, as mailbox has it, or NULL where the content is NOTHING or the
 * message is gone. 0, or -ECANCELED.
 */
int notice_send(const struct notice_sender *s, const struct notice *n,
    const struct notice_event *e, const json_t *about,
    struct notice_result *out);

/* What is told, as JSON; `short`: it must fit in a push message. For tests. */
json_t *notice_body(const struct notice *n, const struct notice_event *e,
    const json_t *about, bool shorter);
/* "t=...,v1=..." of a body, at that time. False: no memory. */
bool notice_signature(
    struct slice secret, int64_t now_s, struct slice body, struct buf *out);
/* What a status means; `push`: of a push service. */
enum notice_fate notice_judge(int status, bool push);

#endif
