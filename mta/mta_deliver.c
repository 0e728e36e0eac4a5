/* SPDX-License-Identifier: ISC */
/*
 * The end of data. SMTP has one reply, LMTP has one per recipient; this is
 * where many fates become one answer without losing or doubling a message:
 *
 *  1. Relayed targets go to qm first: if it takes nothing, nothing has been
 *     delivered yet, and the client simply tries again.
 *  2. Local targets go to mailbox.
 *  3. All fine: 250. Nothing fine: the reply, 4xx before 5xx. Mixed: what
 *     failed goes to qm, which tries again or reports to the sender: then 250.
 *
 * Where the client uses PRDR each recipient has its reply, and nothing of this
 * is needed but for aliases that lead to several places.
 */
#include "mta/mta.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/trace.h"

#define TRANSACTION_MAX 1000 /* recipients at once, where no limit is named */

struct delivery {
	struct smtp_session *session;
	struct smtp_client_mail mail;
	struct slice prefix;
	struct spool *body;
	struct arena *arena;
};

static void
set_all(struct mta_target *t, size_t n, struct smtp_reply reply)
{
	for (size_t i = 0; i < n; i++) {
		t[i].reply = reply;
		t[i].took_us = 0;
		t[i].error = 0;
	}
}

static void
set_end(struct mta_target *t, size_t n, int64_t began_us, int error)
{
	for (size_t i = 0; i < n; i++) {
		t[i].took_us = clock_mono_us() - began_us;
		t[i].error = error;
	}
}

/* Replies of a client live in its arena: keep them for the session. */
static struct smtp_reply
keep_reply(struct arena *a, const struct smtp_reply *r)
{
	struct smtp_reply kept = *r;

	kept.text = arena_dup(a, slice_head(r->text, 1000));
	if (kept.text.p == NULL)
		kept.text = SLICE_EMPTY;
	return kept;
}

/*
 * One LMTP transaction for the first of n targets, as many as the other side
 * takes at once; how many: each of them gets its reply. A peer that is
 * down or dies gives 451 for those that have none yet; when it died after the
 * dot they may have been delivered, and the same trace id at the next try
 * keeps mailbox from doing it twice.
 */
static size_t
hand_over_some(struct smtp_pool *pool, const struct delivery *d,
    struct mta_target *t, size_t n)
{
	struct smtp_client_rcpt *rcpts;
	struct smtp_reply opened = { 0 }, whole = { 0 };
	int64_t began_us = clock_mono_us();
	struct smtp_client *c;
	int rc;

	set_all(
	    t, n, SMTP_REPLY(451, "4.4.2", "delivery failed, try again later"));
	rcpts = arena_array(d->arena, n, sizeof(*rcpts));
	if (rcpts == NULL)
		return n;
	if ((rc = smtp_pool_get(pool, &c)) != 0) {
		set_end(t, n, began_us, rc);
		return n;
	}
	for (size_t i = 0; i < n; i++)
		rcpts[i] = (struct smtp_client_rcpt){ .address = t[i].address,
			.notify = t[i].notify,
			.orcpt = t[i].orcpt };
	n = smtp_client_fit(c, rcpts, n);
	rc = smtp_client_deliver(
	    c, &d->mail, rcpts, n, d->prefix, d->body, &opened, &whole);
	set_end(t, n, began_us, 0);
	/* After an error a 250 may be RCPT's own: only refusals are sure. */
	for (size_t i = 0; i < n; i++)
		if (rcpts[i].reply.code >= (rc == 0 ? 200 : 400))
			t[i].reply = keep_reply(d->arena, &rcpts[i].reply);
		else if (opened.code >= 400)
			t[i].reply = keep_reply(d->arena, &opened);
		else
			t[i].error = rc;
	if (rc != 0)
		log_warning("handing over failed", "peer=%s error=\"%s\"",
		    smtp_client_remote(c), strerror(-rc));
	smtp_pool_put(pool, c, rc == 0);
	return n;
}

/* All n, in as many transactions as the other side's limits want. */
static void
hand_over(struct smtp_pool *pool, const struct delivery *d,
    struct mta_target *t, size_t n)
{
	for (size_t at = 0; at < n;)
		at += hand_over_some(pool, d, t + at,
		    n - at < TRANSACTION_MAX ? n - at : TRANSACTION_MAX);
}

/* Who decided about the target. */
static const char *
who(const struct delivery *d, const struct mta_target *t)
{
	const char *name = t->relay ? "qm" : "mailbox";
	const char *text = t->error == 0 ? NULL
	    : arena_printf(d->arena, "%s does not answer: %s", name,
		  strerror(-t->error));

	return text != NULL ? text : name;
}

static void
trace_fate(const struct delivery *d, const struct mta_target *t)
{
	struct trace_record r = { .kind = TRACE_HANDOVER,
		.code = t->reply.code,
		.took_us = t->took_us,
		.octets = d->mail.size,
		.field = { [TRACE_RECIPIENT] = t->address,
		    [TRACE_MESSAGE_ID] = smtp_session_message_id(d->session),
		    [TRACE_TEXT] = t->reply.text } };

	if (!trace_is_on())
		return;
	r.field[TRACE_RULE] = slice_str(who(d, t));
	memcpy(r.enhanced, t->reply.enhanced, sizeof(r.enhanced));
	trace_write(&r);
}

static void
tell_fates(
    const struct delivery *d, const struct mta_target *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		trace_fate(d, &t[i]);
		log_info("delivery",
		    "rcpt=<%s> to=%s code=%d esc=%s text=\"%s\"",
		    log_q(t[i].address), t[i].relay ? "qm" : "mailbox",
		    t[i].reply.code, t[i].reply.enhanced,
		    log_q(t[i].reply.text));
	}
}

/* Move what failed to the front; how many. */
static size_t
failed_first(struct mta_target *t, size_t n)
{
	size_t failed = 0;

	for (size_t i = 0; i < n; i++)
		if (!smtp_reply_is_positive(&t[i].reply)) {
			struct mta_target swap = t[failed];

			t[failed++] = t[i];
			t[i] = swap;
		}
	return failed;
}

/* Nothing was delivered: a reply that makes the client try again if that can
 * help any of them. */
static struct smtp_reply
refusal(const struct delivery *d, const struct mta_target *t, size_t n)
{
	size_t i = 0;

	while (i < n && !smtp_reply_is_temporary(&t[i].reply))
		i++;
	i = i < n ? i : 0;
	smtp_session_because(d->session, "%s", who(d, &t[i]));
	return t[i].reply;
}

/* What failed is qm's now, if it takes it. */
static struct smtp_reply
leave_to_qm(const struct mta_peers *peers, const struct delivery *d,
    struct mta_target *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		t[i].relay = true;
	smtp_session_because(d->session,
	    "some were served, the others are left to qm");
	hand_over(peers->qm, d, t, n);
	tell_fates(d, t, n);
	if (failed_first(t, n) > 0)
		return SMTP_REPLY(451, "4.3.0",
		    "not all recipients could be served, try again later");
	return SMTP_REPLY(250, "2.0.0", "accepted");
}

static struct smtp_reply
deliver_all(const struct mta_peers *peers, const struct delivery *d,
    struct mta_target *t, size_t n, size_t relayed)
{
	size_t failed;

	if (relayed > 0) {
		hand_over(peers->qm, d, t, relayed);
		tell_fates(d, t, relayed);
		if (failed_first(t, relayed) == relayed)
			return refusal(d, t, relayed);
	}
	hand_over(peers->mailbox, d, t + relayed, n - relayed);
	tell_fates(d, t + relayed, n - relayed);
	failed = failed_first(t, n);
	if (failed == n)
		return refusal(d, t, n);
	if (failed > 0)
		return leave_to_qm(peers, d, t, failed);
	return SMTP_REPLY(250, "2.0.0", "accepted");
}

/* --- PRDR: a reply for each recipient --- */

/* Of one recipient, whose targets are a run of `all`. */
struct fate {
	size_t good, bad;
	struct smtp_reply refusal; /* 4xx before 5xx */
};

static struct fate
fate_of(const struct mta_target *all, size_t n_all, size_t owner,
    struct mta_target *t, size_t n)
{
	struct fate f = { 0 };

	for (size_t i = 0; i < n_all && all[i].owner <= owner; i++) {
		const struct mta_target *of;

		if (all[i].owner != owner)
			continue;
		of = mta_targets_find(t, n, &all[i]);
		if (smtp_reply_is_positive(&of->reply)) {
			f.good++;
			continue;
		}
		if (f.bad++ == 0 || smtp_reply_is_temporary(&of->reply))
			f.refusal = of->reply;
	}
	return f;
}

/* What failed of recipients of which another part was delivered goes to qm. */
static void
leave_mixed_to_qm(const struct mta_peers *peers, const struct delivery *d,
    const struct mta_target *all, size_t n_all, struct mta_target *t, size_t n)
{
	struct mta_target *left = arena_array(d->arena, n, sizeof(*left));
	size_t n_left = 0;

	for (size_t i = 0; i < n_all && left != NULL; i++) {
		struct mta_target *of = mta_targets_find(t, n, &all[i]);
		struct fate f;

		if (smtp_reply_is_positive(&of->reply) || of->relay)
			continue;
		f = fate_of(all, n_all, all[i].owner, t, n);
		if (f.good > 0 && n_left < n)
			left[n_left++] = *of;
	}
	n_left = mta_targets_unique(left, n_left);
	hand_over(peers->qm, d, left, n_left);
	for (size_t i = 0; i < n_left; i++) {
		mta_targets_find(t, n, &left[i])->reply = left[i].reply;
		left[i].relay = true;
	}
	tell_fates(d, left, n_left);
}

static struct smtp_reply
reply_of(const struct fate *f)
{
	if (f->bad == 0)
		return SMTP_REPLY(250, "2.1.5", "accepted");
	if (f->good == 0)
		return f->refusal;
	return SMTP_REPLY(
	    451, "4.3.0", "not all of it could be served, try again later");
}

static void
deliver_each(const struct mta_peers *peers, const struct delivery *d,
    const struct mta_target *all, size_t n_all, struct mta_target *t, size_t n,
    size_t relayed, struct smtp_reply *replies, size_t n_replies)
{
	hand_over(peers->qm, d, t, relayed);
	hand_over(peers->mailbox, d, t + relayed, n - relayed);
	tell_fates(d, t, n);
	leave_mixed_to_qm(peers, d, all, n_all, t, n);
	for (size_t i = 0; i < n_replies; i++) {
		struct fate f = fate_of(all, n_all, i, t, n);

		replies[i] = reply_of(&f);
	}
}

/* --- the call --- */

void
mta_deliver(const struct mta_peers *peers, struct smtp_session *s,
    struct slice prefix, struct spool *body, struct mta_target *targets,
    size_t n, struct smtp_reply *replies, size_t n_replies)
{
	const struct smtp_mail *m = smtp_session_mail(s);
	struct delivery d = {
		.session = s,
		.mail = { .from = m->from.text,
		    .size = spool_size(body) + prefix.n,
		    /* A client that sends 8-bit without saying so. */
		    .body = spool_is_8bit(body) && m->body == SMTP_BODY_7BIT
			? SMTP_BODY_8BITMIME
			: m->body,
		    .smtputf8 = m->smtputf8,
		    .ret = m->ret,
		    .envid = m->envid,
		    .wishes = m->wishes,
		    .trace = slice_str(smtp_session_id(s)) },
		.prefix = prefix,
		.body = body,
		.arena = smtp_session_tx_arena(s),
	};
	struct mta_target *all = NULL;
	size_t relayed = 0, n_all = n;

	if (n_replies > 1) {
		all = arena_array(d.arena, n, sizeof(*all));
		if (all == NULL) {
			for (size_t i = 0; i < n_replies; i++)
				replies[i] =
				    SMTP_REPLY(452, "4.3.1", "out of memory");
			return;
		}
		memcpy(all, targets, n * sizeof(*all));
	}
	n = mta_targets_unique(targets, n);
	while (relayed < n && targets[relayed].relay)
		relayed++;
	if (all != NULL) {
		deliver_each(peers, &d, all, n_all, targets, n, relayed,
		    replies, n_replies);
		return;
	}
	*replies = deliver_all(peers, &d, targets, n, relayed);
	if (replies->code == 250)
		*replies = smtp_reply_f(d.arena, 250, "2.0.0",
		    "message %s accepted", smtp_session_id(s));
}
