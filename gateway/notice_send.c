/* SPDX-License-Identifier: ISC */
#include "gateway/notice_send.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/mail/encoded.h"
#include "common/mail/transfer.h"
#include "common/net/service.h"

#define ANSWER_MAX ((size_t)16 << 10)
#define PUSH_TTL_S 86400
#define SHORT_OCTETS 250 /* of a text in a push message */
#define HEADERS 10

/* --- what is told --- */

static void
put_time(json_t *j, const char *name, int64_t s)
{
	struct buf b = BUF_INIT_MAX(64);

	date_put_iso(&b, s);
	json_object_set_new(j, name, json_string(buf_str(&b)));
	buf_clear(&b);
}

/* A text; where it has to be short, cut between characters, and without what
 * JSON would write in six. */
static json_t *
cut(struct slice text, bool shorter)
{
	char room[SHORT_OCTETS];
	size_t n = text.n;

	if (!shorter)
		return json_stringn(text.p, text.n);
	if (n > SHORT_OCTETS)
		for (n = SHORT_OCTETS;
		     n > 0 && ((unsigned char)text.p[n] & 0xc0) == 0x80;)
			n--;
	for (size_t i = 0; i < n; i++)
		room[i] = (unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f
		    ? ' '
		    : text.p[i];
	return json_stringn(room, n);
}

static json_t *
cut_member(const json_t *o, const char *name, bool shorter)
{
	const json_t *v = json_object_get(o, name);
	const char *p = json_string_value(v);

	return p == NULL ? json_null()
			 : cut(slice(p, json_string_length(v)), shorter);
}

static const json_t *
first_from(const json_t *about)
{
	return json_array_get(json_object_get(about, "from"), 0);
}

static void
put_envelope(json_t *j, const json_t *about, bool shorter)
{
	const json_t *from = first_from(about);

	json_object_set_new(j, "from",
	    from == NULL ? json_null()
			 : json_pack("{s:o, s:o}", "name",
			       cut_member(from, "name", shorter), "address",
			       cut_member(from, "address", shorter)));
	json_object_set_new(
	    j, "subject", cut_member(about, "subject", shorter));
	if (!shorter)
		json_object_set_new(
		    j, "message_id", cut_member(about, "message_id", false));
}

static void
put_message(json_t *j, const struct notice *n, const struct notice_event *e,
    const json_t *about, bool shorter)
{
	char id[24];

	if (json_is_true(json_object_get(about, "sealed"))) {
		json_object_set_new(j, "sealed", json_true());
		return;
	}
	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->mailbox);
	json_object_set_new(j, "mailbox",
	    json_pack("{s:s, s:o}", "id", id, "name",
		cut_member(about, "mailbox_name", shorter)));
	json_object_set_new(j, "uid", json_integer((json_int_t)e->uid));
	json_object_set_new(
	    j, "uidvalidity", json_integer((json_int_t)e->uidvalidity));
	json_object_set_new(j, "size", json_integer((json_int_t)e->size));
	if (about == NULL || json_is_true(json_object_get(about, "gone"))) {
		json_object_set_new(j, "gone", json_true());
		return;
	}
	put_envelope(j, about, shorter);
	if (n->content == NOTICE_PREVIEW)
		json_object_set_new(
		    j, "preview", cut_member(about, "preview", shorter));
}

/* The same for each attempt, so that receivers know one that comes twice. */
static const char *
id_of(const struct notice *n, const struct notice_event *e, char out[static 64])
{
	snprintf(out, 64, "%s-%llu", n->id,
	    e == NULL ? 0 : (unsigned long long)e->number);
	return out;
}

json_t *
notice_body(const struct notice *n, const struct notice_event *e,
    const json_t *about, bool shorter)
{
	char id[64];
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:s}", "id",
	    id_of(n, e, id), "type", e == NULL ? "test" : "mail", "event",
	    (json_int_t)(e == NULL ? 0 : e->number), "subscription", n->id,
	    "account", n->account);

	if (j == NULL)
		return NULL;
	if (*n->name != '\0')
		json_object_set_new(
		    j, "name", cut(slice_str(n->name), shorter));
	put_time(j, "arrived", e == NULL ? clock_wall_s() : e->arrived_s);
	if (e != NULL && n->content != NOTICE_NOTHING)
		put_message(j, n, e, about, shorter);
	return j;
}

bool
notice_signature(
    struct slice secret, int64_t now_s, struct slice body, struct buf *out)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	struct buf what = BUF_INIT;
	unsigned n = sizeof(md);
	bool ok;

	buf_printf(&what, "%lld.", (long long)now_s);
	buf_put_slice(&what, body);
	ok = !what.failed &&
	    HMAC(EVP_sha256(), secret.p, (int)secret.n,
		(const unsigned char *)what.p, what.n, md, &n) != NULL;
	buf_clear(&what);
	buf_printf(out, "t=%lld,v1=", (long long)now_s);
	for (unsigned i = 0; i < n && ok; i++)
		buf_printf(out, "%02x", md[i]);
	return ok && !out->failed;
}

/* --- what the answer means --- */

enum notice_fate
notice_judge(int status, bool push)
{
	if (status >= 200 && status < 300)
		return NOTICE_DONE;
	/* RFC 8030 7.3: the subscription is no more. */
	if (status == 410 || (push && status == 404))
		return NOTICE_ENDED;
	/* It is the message that is not wanted, and it will not change. */
	if (status == 400 || status == 413 || status == 415 || status == 422)
		return NOTICE_DEAD;
	return NOTICE_LATER;
}

static void
say_status(struct notice_result *r)
{
	if (r->status >= 300 && r->status < 400)
		buf_printf(&r->why,
		    "it answers %d: redirects are not followed; set its URL",
		    r->status);
	else
		buf_printf(&r->why, "it answers %d", r->status);
}

/* --- a request --- */

struct sending {
	const struct notice_sender *s;
	const struct notice *n;
	const struct notice_event *e;
	const json_t *about;
	struct notice_result *out;
	struct http_url url;
	struct buf secret, body;
	struct buf lines[HEADERS];
	const char *headers[HEADERS + 1];
	size_t n_headers;
};

static void header(struct sending *x, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
header(struct sending *x, const char *fmt, ...)
{
	struct buf *b = &x->lines[x->n_headers];
	va_list ap;

	if (x->n_headers == HEADERS)
		return;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
	/* Whatever it was made of, it is one line. */
	for (size_t i = 0; i < b->n; i++)
		if ((unsigned char)b->p[i] < ' ' || b->p[i] == 0x7f)
			b->p[i] = ' ';
	x->headers[x->n_headers++] = buf_str(b);
}

static int
later(struct sending *x, const char *why)
{
	x->out->fate = NOTICE_LATER;
	buf_put_str(&x->out->why, why);
	return -EIO;
}

static int
take_secret(struct sending *x)
{
	int rc = notice_secret(x->s->accounts, x->n, &x->secret);

	if (rc == -ENOENT)
		return 0;
	if (rc == -EBADMSG)
		return later(x,
		    "its secret does not open: the key is another one; set it "
		    "anew");
	return rc == 0 ? 0 : later(x, strerror(-rc));
}

static int
put_json_body(struct sending *x, bool shorter, struct buf *out)
{
	json_t *j = notice_body(x->n, x->e, x->about, shorter);
	char *dump = j == NULL ? NULL : json_dumps(j, JSON_COMPACT);

	json_decref(j);
	if (dump != NULL)
		buf_put_str(out, dump);
	free(dump);
	return dump != NULL && !out->failed ? 0 : later(x, "out of memory");
}

static int
prepare_webhook(struct sending *x)
{
	struct buf signature = BUF_INIT_MAX(512);
	char id[64];
	int rc = put_json_body(x, false, &x->body);

	if (rc == 0 &&
	    !notice_signature(buf_slice(&x->secret), clock_wall_s(),
		buf_slice(&x->body), &signature))
		rc = later(x, "out of memory");
	header(x, "Content-Type: application/json");
	header(x, "Pneu-Id: %s", id_of(x->n, x->e, id));
	header(x, "Pneu-Event: %llu",
	    x->e == NULL ? 0 : (unsigned long long)x->e->number);
	header(x, "Pneu-Signature: %s", buf_str(&signature));
	buf_clear(&signature);
	return rc;
}

/* Notices that tell nothing replace one another, while the device is away. */
static void
put_topic(struct sending *x)
{
	if (x->n->content == NOTICE_NOTHING)
		header(x, "Topic: %s", x->n->id);
}

static int
encrypt(struct sending *x, struct slice plain)
{
	struct buf point = BUF_INIT_MAX(256), auth = BUF_INIT_MAX(256);
	int rc = base64url_decode(&point, slice_str(x->n->p256dh));

	if (rc == 0)
		rc = base64url_decode(&auth, buf_slice(&x->secret));
	if (rc == 0)
		rc = webpush_encrypt(
		    buf_slice(&point), buf_slice(&auth), plain, &x->body);
	buf_clear(&point);
	buf_wipe(&auth);
	if (rc == 0)
		return 0;
	buf_put_str(&x->out->why, "p256dh or auth is no such key");
	x->out->fate = NOTICE_ENDED;
	return -EINVAL;
}

static int
prepare_push(struct sending *x)
{
	struct buf plain = BUF_INIT_MAX(WEBPUSH_MAX),
		   vapid = BUF_INIT_MAX(8192);
	bool sealed = *x->n->p256dh != '\0';
	int rc = put_json_body(x, true, sealed ? &plain : &x->body);

	if (rc == 0 && sealed)
		rc = encrypt(x, buf_slice(&plain));
	if (rc == 0 && x->s->key != NULL) {
		if (webpush_vapid(x->s->key, &x->url, x->s->contact,
			clock_wall_s(), &vapid) == 0)
			header(x, "Authorization: %s", buf_str(&vapid));
		else
			rc = later(x, "cannot sign");
	}
	header(x, "TTL: %d", PUSH_TTL_S);
	header(x, "Urgency: normal");
	if (sealed)
		header(x, "Content-Encoding: aes128gcm");
	header(x, "Content-Type: %s",
	    sealed ? "application/octet-stream" : "application/json");
	put_topic(x);
	buf_wipe(&plain);
	buf_clear(&vapid);
	return rc;
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *p = json_string_value(json_object_get(o, name));

	return p != NULL ? p : "";
}

/* As encoded words, which ntfy reads, in one line. */
static void
title(struct sending *x, const char *text)
{
	struct buf b = BUF_INIT_MAX(4096);

	encoded_put_text(&b, slice_str(text), 7);
	header(x, "Title: %s", buf_str(&b));
	buf_clear(&b);
}

/* Sender above, subject and preview below; or that there is mail. */
static int
prepare_ntfy(struct sending *x)
{
	json_t *j = notice_body(x->n, x->e, x->about, true);
	const json_t *from = json_object_get(j, "from");
	const char *who = text_of(from, "name");
	char id[64];

	if (*who == '\0')
		who = text_of(from, "address");
	title(x,
	    *who != '\0'       ? who
		: x->e == NULL ? "Test of pneu"
			       : "New mail");
	if (*who != '\0') {
		buf_put_str(&x->body, text_of(j, "subject"));
		if (*text_of(j, "preview") != '\0')
			buf_printf(&x->body, "%s%s", x->body.n > 0 ? "\n" : "",
			    text_of(j, "preview"));
	}
	if (x->body.n == 0)
		buf_printf(&x->body, "for %s", x->n->account);
	json_decref(j);
	header(x, "Content-Type: text/plain; charset=utf-8");
	header(x, "Tags: envelope");
	header(x, "Pneu-Id: %s", id_of(x->n, x->e, id));
	if (x->secret.n > 0)
		header(x, "Authorization: Bearer %s", buf_str(&x->secret));
	return x->body.failed ? later(x, "out of memory") : 0;
}

static int
check_url(struct sending *x)
{
	if (http_url_parse(slice_str(x->n->url), &x->url) == 0 &&
	    (x->url.tls || x->s->private))
		return 0;
	return later(x, "only https, unless gateway.notice_private is on");
}

static int
exchange(struct sending *x)
{
	struct notice_result *out = x->out;
	struct buf answer = BUF_INIT_MAX(ANSWER_MAX);
	const struct http_request r = { .url = x->n->url,
		.body = buf_slice(&x->body),
		.headers = x->headers,
		.timeout_ms = x->s->timeout_ms,
		.max = ANSWER_MAX,
		.global_only = !x->s->private,
		.status_only = true,
		.retry_after_s = &out->retry_after_s,
		.why = &out->why };
	int rc = http_fetch(x->s->http, &r, &out->status, &answer);

	buf_clear(&answer);
	if (rc == -ECANCELED)
		return rc;
	if (rc != 0) {
		out->status = 0;
		out->fate = NOTICE_LATER;
		if (out->why.n == 0)
			buf_put_str(&out->why, strerror(-rc));
		return 0;
	}
	out->fate = notice_judge(out->status,
	    x->n->kind == NOTICE_WEBPUSH || x->n->kind == NOTICE_UNIFIEDPUSH);
	if (out->fate != NOTICE_DONE)
		say_status(out);
	return 0;
}

int
notice_send(const struct notice_sender *s, const struct notice *n,
    const struct notice_event *e, const json_t *about,
    struct notice_result *out)
{
	static int (*const prepare[NOTICE_KINDS])(struct sending * x) = {
		[NOTICE_WEBHOOK] = prepare_webhook,
		[NOTICE_WEBPUSH] = prepare_push,
		[NOTICE_UNIFIEDPUSH] = prepare_push,
		[NOTICE_NTFY] = prepare_ntfy,
	};
	struct sending x = { .s = s,
		.n = n,
		.e = e,
		.about = about,
		.out = out,
		.secret = BUF_INIT_MAX(NOTICE_SECRET_MAX + 1),
		.body = BUF_INIT_MAX((size_t)64 << 10) };
	int rc;

	*out = (struct notice_result){ .fate = NOTICE_LATER,
		.why = BUF_INIT_MAX(500) };
	header(&x, "User-Agent: pneu/" PNEU_VERSION);
	rc = check_url(&x);
	if (rc == 0)
		rc = take_secret(&x);
	if (rc == 0)
		rc = prepare[n->kind](&x);
	if (rc == 0)
		rc = exchange(&x);
	buf_wipe(&x.secret);
	buf_clear(&x.body);
	for (size_t i = 0; i < x.n_headers; i++)
		buf_wipe(&x.lines[i]);
	return rc == -ECANCELED ? rc : 0;
}
