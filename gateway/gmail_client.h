/* SPDX-License-Identifier: ISC */
/*
 * Gmail's HTTP API (REST v1, https://developers.google.com/gmail/api), as much of
 * it as we need. All calls wait. What passes by itself (too many requests, an
 * error on their side) is tried again a few times; an access token that is not
 * taken is renewed once.
 *
 * Errors: -EACCES the token is not taken; -EPERM this is not allowed; -ENOENT;
 * -EEXIST; -EINVAL it does not like what it got; -E2BIG; -EBUSY too many requests, see
 * retry_after_s; -EREMOTEIO an error of theirs; -EPROTO not what was expected;
 * -EHOSTUNREACH no connection; -ECONNRESET it broke off; -ECANCELED; -ENOMEM.
 * Why, for people, is then in `said`.
 */
#ifndef PNEU_GATEWAY_GMAIL_CLIENT_H
#define PNEU_GATEWAY_GMAIL_CLIENT_H

#include <jansson.h>

#include "common/net/http_client.h"
#include "common/smtp/spool.h"
#include "gateway/gmail_scan.h"

struct gmail {
	struct http_client *http;
	const char *base;        /* "https://gmail.googleapis.com:443" */
	const struct buf *token; /* the access token, NUL-terminated */
	bool global_only;        /* as of http_stream */
	/* Have another one in `token` than `refused`; NULL: there is none. 0 or
	 * negative. */
	int (*renew)(void *arg, const char *refused);
	void *arg;
	/* results: */
	struct buf said;
	int64_t retry_after_s; /* of -EBUSY and -EREMOTEIO; 0: not said */
};

void gmail_init(struct gmail *g, struct http_client *http, const char *base,
    const struct buf *token);
void gmail_clear(struct gmail *g);

/* GET users/me/<path>: an object; json_decref(*out). */
int gmail_get(struct gmail *g, const char *path, json_t **out);
/* The message, its octets to the scan's `raw`, whose error ends it. */
int gmail_get_raw(struct gmail *g, const char *id, struct gmail_scan *scan);
/* POST users/me/<path> with this object, which is taken over. */
int gmail_post(struct gmail *g, const char *path, json_t *body, json_t **out);
/* The same where the answer says nothing more. `body`: NULL, there is none. */
int gmail_do(struct gmail *g, const char *path, json_t *body);

/*
 * Send: to whom the header says and nobody else; Bcc is taken out there. `head`
 * goes before the message's octets. Tried once. `id` of what was sent, or "".
 */
int gmail_send(struct gmail *g, struct slice head, struct spool *body,
    char id[static GMAIL_ID_MAX + 1]);

/*
 * Put a message in as if it had come by SMTP, without being scanned or sorted;
 * `labels`: ids ("INBOX", "UNREAD"), ends with NULL. Its date there is that of the
 * Date field, or with `now` the time of day; `head` goes before it. Tried once: whether it is there
 * after an error that is none of the server's is not known (gmail_find).
 */
int gmail_insert(struct gmail *g, const char *const *labels, bool now,
    struct slice head, struct spool *body, char id[static GMAIL_ID_MAX + 1]);
/* A message with this Message-ID (without brackets): `sent`, among those that its
 * user has sent, else wherever it is. 0, or -ENOENT. */
int gmail_find(struct gmail *g, struct slice message_id, bool sent,
    char id[static GMAIL_ID_MAX + 1]);

#endif
