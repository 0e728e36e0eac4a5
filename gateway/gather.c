/* SPDX-License-Identifier: ISC */
/*
 * Many messages to mailbox in one commit there (mailbox/lmtp/gather.h). What
 * was handed over is not safe before the flush has said so, and only then is it
 * told to the protocol, which notes it.
 */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "gateway/gather.h"

/* So much may wait for a slow server to send the rest. */
#define OCTETS_MAX ((uint64_t)3 << 19)
#define AGE_MAX_MS 1000

void
fetch_gather_begin(
    struct fetch *f, int (*placed)(void *arg, size_t i), void *arg)
{
	f->gather =
	    (struct fetch_gather){ .on = true, .placed = placed, .arg = arg };
}

static int
command(struct fetch *f, const char *verb, struct smtp_reply *reply,
    struct buf *joined)
{
	return smtp_client_own(f->gather.c, slice_str(verb), reply, joined);
}

static void
give_back(struct fetch *f, bool good)
{
	smtp_pool_put(f->g->mailbox, f->gather.c, good);
	f->gather.c = NULL;
}

static int
ours_failed(struct fetch *f, int rc)
{
	fetch_fail(f, FETCH_RETRY, "our mailbox: %s", strerror(-rc));
	return f->gather.rc = rc;
}

/* 0; -ENOSYS: this mailbox cannot do it; or an error, told. */
static int
begin(struct fetch *f)
{
	struct buf joined = BUF_INIT_MAX(4096);
	struct smtp_reply reply;
	int rc = smtp_pool_get(f->g->mailbox, &f->gather.c);
	bool good;

	if (rc != 0)
		return ours_failed(f, rc);
	rc = command(f, "XGATHER", &reply, &joined);
	good = rc == 0 && smtp_reply_is_positive(&reply);
	buf_clear(&joined);
	f->gather.n = 0;
	f->gather.octets = 0;
	f->gather.begun_ms = clock_mono_ms();
	if (!good)
		give_back(f, rc == 0);
	return good ? 0 : rc == 0 ? -ENOSYS : ours_failed(f, rc);
}

/* One line for each message, in the order that they went in. */
static int
places(struct fetch *f, struct slice text)
{
	struct fetch_gather *g = &f->gather;
	int rc = 0;

	for (size_t i = 0; i < g->n && rc == 0; i++) {
		if (text.n == 0)
			return ours_failed(f, -EPROTO);
		fetch_take_place(f, slice_split(&text, '\n'));
		f->messages++;
		rc = g->placed(g->arg, g->n_placed++);
	}
	f->octets += g->octets;
	return g->rc = rc;
}

static int
flush(struct fetch *f)
{
	struct buf joined = BUF_INIT_MAX((size_t)64 << 10);
	struct smtp_reply reply;
	int rc = command(f, "XFLUSH", &reply, &joined);

	if (rc != 0) {
		ours_failed(f, rc);
	} else if (!smtp_reply_is_positive(&reply)) {
		fetch_fail(f, FETCH_RETRY, "our mailbox: %d %s %s", reply.code,
		    reply.enhanced, log_q(reply.text));
		f->gather.rc = -EAGAIN;
	} else {
		(void)places(f, reply.text);
	}
	buf_clear(&joined);
	give_back(f, rc == 0);
	return f->gather.rc;
}

static bool
is_enough(const struct fetch_gather *g)
{
	return g->octets >= OCTETS_MAX ||
	    clock_mono_ms() - g->begun_ms >= AGE_MAX_MS;
}

int
fetch_gather_put(struct fetch *f, const struct fetch_message *m,
    const struct smtp_client_mail *mail)
{
	struct smtp_client_rcpt rcpt = { .address = slice_str(f->o.account) };
	struct smtp_reply mail_reply, reply;
	struct fetch_gather *g = &f->gather;
	int rc = g->rc != 0 || g->c != NULL ? 0 : begin(f);

	if (rc == -ENOSYS)
		return rc;
	/* It will all be done once more, one at a time. */
	if (g->rc != 0)
		return FETCH_GATHERED;
	rc = smtp_client_deliver(
	    g->c, mail, &rcpt, 1, SLICE_EMPTY, m->body, &mail_reply, &reply);
	if (rc != 0) {
		give_back(f, false);
		return ours_failed(f, rc);
	}
	if (!smtp_reply_is_positive(&mail_reply) ||
	    !smtp_reply_is_positive(&rcpt.reply))
		return fetch_judge(f, m,
		    smtp_reply_is_positive(&mail_reply) ? &rcpt.reply
							: &mail_reply);
	g->n++;
	g->octets += spool_size(m->body);
	return FETCH_GATHERED;
}

int
fetch_gather_tick(struct fetch *f)
{
	return f->gather.c != NULL && is_enough(&f->gather) ? flush(f) : 0;
}

int
fetch_gather_end(struct fetch *f)
{
	int rc = f->gather.c != NULL ? flush(f) : f->gather.rc;

	f->gather = (struct fetch_gather){ .on = false };
	return rc;
}

void
fetch_gather_drop(struct fetch *f)
{
	if (f->gather.c != NULL)
		give_back(f, false);
	f->gather = (struct fetch_gather){ .on = false };
}
