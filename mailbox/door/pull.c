/* SPDX-License-Identifier: ISC */
/* From mailbox to mailbox, over as many connections as it takes. */
#include "mailbox/door/pull.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "mailbox/door/pull_impl.h"

#define LOOKS 3 /* at a mailbox, when that breaks the connection */
#define TRIES 5 /* to connect, one after the other */

/* --- connections --- */

static int
open_one(struct pull *p, struct buf *why)
{
	int rc = -EHOSTUNREACH;

	for (size_t i = 0; i < p->conf->n_addrs; i++) {
		buf_reset(why);
		rc = imap_client_open(
		    &p->c, &p->conf->addrs[i], &p->conf->client, why);
		if (rc == 0 || rc == -EACCES || rc == -ENOTSUP)
			break;
	}
	return rc;
}

static void
tell_open(struct pull *p, int rc, const struct buf *why)
{
	const char *what = rc == -EACCES ? "sign-in refused"
	    : rc == -ENOTSUP             ? "no way to sign in that we have"
	    : rc == -EBUSY               ? "not now"
	    : rc == -EPROTO              ? "not what was expected"
					 : strerror(-rc);

	door_warn(p->report, "%s: %s%s%s", p->conf->client.host, what,
	    why->n > 0 ? ": " : "", buf_str(why));
}

/* `again`: it has worked before, so it may be worth while to wait. */
static int
connect_to(struct pull *p, bool again)
{
	static const int64_t wait_ms[TRIES] = { 100, 500, 2000, 5000, 15000 };
	struct buf why = BUF_INIT;
	int rc;

	imap_client_free(&p->c);
	for (int i = 0;; i++) {
		rc = open_one(p, &why);
		if (rc == 0 || rc == -EACCES || rc == -ENOTSUP || !again ||
		    i == TRIES || co_sleep(wait_ms[i]) != 0)
			break;
	}
	if (rc != 0)
		tell_open(p, p->rc = rc, &why);
	p->said |= rc != 0;
	buf_clear(&why);
	return rc;
}

/* --- progress --- */

static int
on_status(void *arg, const struct imap_response *r)
{
	struct pull *p = arg;

	if (r->kind == IMAP_STATUS)
		p->report->expected += r->messages;
	return 0;
}

/* How much is it? Only for somebody who looks. */
static int
count(struct pull *p)
{
	const struct imap_handler h = { .untagged = on_status, .arg = p };
	struct buf name = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < p->n && rc >= 0 && p->report->terminal; i++) {
		buf_reset(&name);
		if (p->boxes[i].selectable &&
		    imap_put_quoted(&name, p->boxes[i].raw))
			rc = imap_client_run(
			    p->c, &h, "STATUS %s (MESSAGES)", buf_str(&name));
	}
	buf_clear(&name);
	return rc < 0 ? rc : 0;
}

/* --- mailboxes --- */

static uint64_t
source_of(const struct pull *p, const struct remote *b)
{
	struct slice parts[4] = { SLICE_LIT("imap"),
		slice_str(p->conf->client.user),
		slice_str(p->conf->client.host), b->raw };
	uint64_t f = door_fingerprint(parts, 4);

	return f == 0 ? 1 : f; /* 0: from a file */
}

/* Gmail's views of what is elsewhere. */
static bool
is_a_view(const struct pull *p, const struct remote *b)
{
	return p->gmail &&
	    (b->special & (MAILS_FLAGGED | MAILS_IMPORTANT)) != 0;
}

static int
one_mailbox(struct pull *p, const struct remote *b)
{
	int rc = take_mailbox(p->take, b->name, b->special);

	if (rc != 1)
		return p->rc = rc;
	p->box = b;
	p->source = source_of(p, b);
	p->looked = p->failed = false;
	p->n_uids = 0;
	p->breaks = 0;
	for (int i = 0; (rc = pull_mailbox(p)) < 0 && p->rc == 0; i++) {
		if (!p->looked && i == LOOKS) {
			door_warn(p->report,
			    "%s: the server breaks off each time; passed over",
			    log_q(b->name));
			p->report->failed++;
			return connect_to(p, true);
		}
		if ((rc = connect_to(p, true)) != 0)
			break;
	}
	return rc;
}

static int
subscriptions(struct pull *p)
{
	int rc = 0;

	take_has_subscriptions(p->take);
	for (size_t i = 0; i < p->n && rc == 0; i++)
		if (p->boxes[i].subscribed && !is_a_view(p, &p->boxes[i]))
			rc = take_subscribe(
			    p->take, p->boxes[i].name, p->boxes[i].special);
	return rc;
}

/* The connection may break before there is a list: then once more. */
static int
list(struct pull *p)
{
	int rc = connect_to(p, false);

	for (int i = 0; rc == 0 && i < 2; i++) {
		if ((rc = pull_list(p)) == 0 && (rc = count(p)) == 0)
			return 0;
		if (p->rc == 0)
			rc = connect_to(p, true);
	}
	if (rc == 0) {
		door_warn(p->report, "%s: breaks off", p->conf->client.host);
		rc = p->rc = -ECONNRESET;
		p->said = true;
	}
	return rc;
}

static int
run(struct pull *p)
{
	int rc = list(p);

	for (size_t i = 0; i < p->n && rc == 0; i++)
		if (p->boxes[i].selectable && !is_a_view(p, &p->boxes[i]))
			rc = one_mailbox(p, &p->boxes[i]);
	if (rc == 0)
		rc = subscriptions(p);
	return rc == 0 ? take_finish(p->take) : rc;
}

int
pull(const struct pull_conf *conf)
{
	struct pull p = { .conf = conf,
		.report = conf->take.report,
		.a = ARENA_INIT_MAX((size_t)32 << 20) };
	int rc = take_new(&p.take, &conf->take), flushed;

	if (rc == 0 && (rc = run(&p)) != 0 && rc != -EDQUOT) {
		/* What has come whole is not to be fetched again. */
		flushed = take_flush(p.take);
		(void)flushed;
	}
	imap_client_free(&p.c);
	take_free(&p.take);
	seen_clear(&p.gm_seen);
	free(p.boxes);
	free(p.uids);
	arena_reset(&p.a);
	return p.said ? -EINVAL : rc;
}
