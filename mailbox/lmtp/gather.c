/* SPDX-License-Identifier: ISC */
#include "mailbox/lmtp/gather.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/base/trace.h"

/* A message that was taken. */
struct gathered {
	struct take_origin origin;
	uint64_t octets;
	bool known;
	struct slice message_id;
};

struct gather {
	struct gather *next;
	const struct smtp_session *session;
	struct mails *m;
	struct arena a;
	struct take *take; /* NULL: nothing has come yet */
	const char *account;
	struct slice mailbox;
	struct mails_quota quota;
	struct door_report report;
	struct gathered v[GATHER_MAX];
	size_t n;
	int rc; /* what went wrong with some of them */
};

/* Few sessions gather, and none for long. */
static struct gather *gathers;

static struct gather **
gather_at(const struct smtp_session *s)
{
	struct gather **at = &gathers;

	while (*at != NULL && (*at)->session != s)
		at = &(*at)->next;
	return at;
}

bool
gather_is_open(struct smtp_session *s)
{
	return *gather_at(s) != NULL;
}

void
gather_end(struct smtp_session *s)
{
	struct gather **at = gather_at(s), *g = *at;

	if (g == NULL)
		return;
	*at = g->next;
	take_free(&g->take);
	arena_reset(&g->a);
	free(g);
}

/* --- taking --- */

static int
open_for(struct gather *g, const char *account, const struct mails_quota *quota,
    const struct deposit *d, bool tell)
{
	struct take_conf conf = { .m = g->m,
		.quota = &g->quota,
		.report = &g->report,
		.tell = tell };
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	struct slice name;
	int rc;

	g->account = arena_strdup(&g->a, slice_str(account));
	g->mailbox = arena_dup(&g->a, d->mailbox);
	if (g->account == NULL || g->mailbox.p == NULL)
		return -ENOMEM;
	g->quota = *quota;
	conf.account = g->account;
	rc = take_new(&g->take, &conf);
	if (rc == 0)
		rc = deposit_name(g->m, g->account, d, &a, &name);
	if (rc == 0)
		rc = take_mailbox(g->take, name, d->special);
	arena_reset(&a);
	return rc == 1 ? 0 : rc == 0 ? -EINVAL : rc;
}

static int
take_one(struct gather *g, struct smtp_session *s, const struct deposit *d,
    struct spool *body)
{
	uint64_t known = g->report.known;
	struct gathered *v = &g->v[g->n];
	struct door_meta meta = d->meta;
	int rc = deposit_body(g->take, body);

	meta.quiet = d->is_old;
	if (rc == 0)
		rc = take_end(g->take, &meta, &d->origin);
	else
		take_drop(g->take);
	*v = (struct gathered){ .origin = d->origin,
		.octets = spool_size(body),
		.known = g->report.known > known,
		.message_id = arena_dup(&g->a, smtp_session_message_id(s)) };
	if (rc == 0)
		g->n++;
	return rc;
}

int
gather_take(struct smtp_session *s, const char *account,
    const struct mails_quota *quota, const struct deposit *d,
    struct spool *body, bool tell, struct smtp_reply *reply)
{
	struct gather *g = *gather_at(s);

	if (g->n == GATHER_MAX ||
	    (g->take != NULL &&
		(strcmp(g->account, account) != 0 ||
		    !slice_eq(g->mailbox, d->mailbox)))) {
		*reply = SMTP_REPLY(503, "5.5.1", "XFLUSH first");
		return 0;
	}
	if (g->rc == 0 && g->take == NULL)
		g->rc = open_for(g, account, quota, d, tell);
	if (g->rc == 0)
		g->rc = take_one(g, s, d, body);
	/* What stands before it may have failed, too: XFLUSH tells. */
	*reply = SMTP_REPLY(250, "2.0.0", "taken");
	return 0;
}

/* --- the end --- */

static void
tell_one(const struct gather *g, const struct gathered *v, int rc)
{
	struct trace_record r = { .kind = TRACE_STORED,
		.code = rc == 0 ? 250 : 451,
		.octets = v->octets,
		.field = { [TRACE_ACCOUNT] = slice_str(g->account),
		    [TRACE_RECIPIENT] = slice_str(g->account),
		    [TRACE_MESSAGE_ID] = v->message_id,
		    [TRACE_RULE] = v->known ? SLICE_LIT("it was there already")
					    : SLICE_LIT("outside account"),
		    [TRACE_TEXT] =
			rc == 0 ? g->mailbox : slice_str(strerror(-rc)) } };

	memcpy(r.enhanced, rc == 0 ? "2.0.0" : "4.3.0", 6);
	trace_write(&r);
	log_info("deposited",
	    "account=%s mailbox=%s size=%llu known=%d rc=\"%s\"",
	    log_qs(g->account), log_q(g->mailbox),
	    (unsigned long long)v->octets, v->known,
	    rc == 0 ? "ok" : strerror(-rc));
}

static int
put_places(struct gather *g, struct buf *out)
{
	uint32_t uidvalidity, uid;
	int rc = 0;

	for (size_t i = 0; i < g->n && rc == 0; i++) {
		rc = take_place(g->take, &g->v[i].origin, &uidvalidity, &uid);
		buf_printf(out, "%s%s %u %u", i == 0 ? "" : "\n",
		    g->v[i].known ? "known" : "delivered", uidvalidity, uid);
	}
	return rc == 0 && out->failed ? -ENOMEM : rc;
}

static int
flush(struct smtp_session *s, struct gather *g, struct smtp_reply *reply)
{
	struct arena *a = smtp_session_command_arena(s);
	struct buf out = BUF_INIT_MAX((size_t)40 * (GATHER_MAX + 1));
	int rc = g->rc;

	if (rc == 0 && g->take != NULL)
		rc = take_flush(g->take);
	if (rc == 0 && g->report.failed > 0)
		rc = -EIO;
	/* From here on they are durable, which is what 250 says. */
	if (rc == 0)
		rc = put_places(g, &out);
	for (size_t i = 0; i < g->n; i++)
		tell_one(g, &g->v[i], rc);
	*reply = SMTP_REPLY(250, "2.0.0", "nothing");
	if (rc == 0 && g->n > 0 &&
	    (reply->text = arena_dup(a, buf_slice(&out))).p == NULL)
		rc = -ENOMEM;
	if (rc == -EDQUOT)
		*reply = SMTP_REPLY(452, "4.2.2", "mailbox is full");
	else if (rc != 0)
		*reply = SMTP_REPLY(451, "4.3.0", "not all can be stored");
	buf_clear(&out);
	return 0;
}

int
gather_command(struct mails *m, struct smtp_session *s, struct slice verb,
    struct slice args, struct smtp_reply *reply)
{
	struct gather *g = *gather_at(s);
	int rc;

	(void)args;
	if (slice_eq_str_nocase(verb, "XFLUSH")) {
		*reply = SMTP_REPLY(503, "5.5.1", "XGATHER first");
		if (g == NULL)
			return 0;
		rc = flush(s, g, reply);
		gather_end(s);
		return rc;
	}
	if (!slice_eq_str_nocase(verb, "XGATHER"))
		return -ENOSYS;
	*reply = SMTP_REPLY(503, "5.5.1", "XFLUSH first");
	if (g != NULL)
		return 0;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return -ENOMEM;
	g->a = ARENA_INIT_MAX((size_t)1 << 20);
	g->session = s;
	g->m = m;
	g->report.what = "deposit";
	g->next = gathers;
	gathers = g;
	*reply = SMTP_REPLY(250, "2.0.0", "go on");
	return 0;
}
