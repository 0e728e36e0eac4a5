/* SPDX-License-Identifier: ISC */
/* From what an address resolves to, to the reply that says so. */
#include "common/auth/outside.h"
#include "guard/guard.h"

static void
put_line(struct buf *text, struct slice address, const char *behind,
    const char *word)
{
	buf_printf(text, "%s<%.*s%s> %s", text->n > 0 ? "\n" : "",
	    (int)address.n, address.p, behind, word);
}

/* An account of ours, and where its mail is put, too. */
static void
put_account(
    struct buf *text, struct slice address, const struct guard_push *push)
{
	if (push == NULL || push->n == 0 || !push->only)
		put_line(text, address, "", "local");
	for (size_t i = 0; push != NULL && i < push->n; i++)
		put_line(
		    text, slice_str(push->to[i]), OUTSIDE_PUSH_DOMAIN, "relay");
}

static struct smtp_reply
reply_251(struct arena *a, struct buf *text)
{
	struct smtp_reply reply = { 251, "2.1.5",
		arena_dup(a, buf_slice(text)) };

	if (text->failed || reply.text.p == NULL)
		reply = SMTP_REPLY(451, "4.3.0", "too many forward addresses");
	buf_clear(text);
	return reply;
}

static struct smtp_reply
verdict_forward(struct arena *a, const struct accounts_resolution *r,
    const struct guard_push *push)
{
	struct buf text = BUF_INIT_MAX((size_t)1 << 20);

	for (size_t i = 0; i < r->n_targets; i++)
		if (r->target_is_local[i])
			put_account(&text, slice_str(r->targets[i]),
			    push == NULL ? NULL : &push[i]);
		else
			put_line(&text, slice_str(r->targets[i]), "", "relay");
	return reply_251(a, &text);
}

/* Mostly nothing is put elsewhere, and the reply is the short one. */
static struct smtp_reply
verdict_deliver(
    struct arena *a, const struct smtp_path *to, const struct guard_push *push)
{
	struct buf text = BUF_INIT;

	if (push == NULL || push->n == 0)
		return SMTP_REPLY(250, "2.1.5", "recipient ok");
	put_account(&text, to->text, push);
	return reply_251(a, &text);
}

struct smtp_reply
guard_verdict(struct arena *a, const struct smtp_path *to,
    const struct accounts_resolution *r, const struct guard_push *push)
{
	/* The address is the client's own; smtp_reply_write makes it safe. */
	int n = to->text.n > 256 ? 256 : (int)to->text.n;

	switch (r->fate) {
	case ACCOUNTS_DELIVER:
		return verdict_deliver(a, to, push);
	case ACCOUNTS_FORWARD:
		return verdict_forward(a, r, push);
	case ACCOUNTS_BLOCKED:
	case ACCOUNTS_UNKNOWN:
		return smtp_reply_f(a, 550, "5.1.1",
		    "<%.*s>: no such recipient", n, to->text.p);
	case ACCOUNTS_DISABLED:
		return smtp_reply_f(a, 550, "5.2.1",
		    "<%.*s>: mailbox is disabled", n, to->text.p);
	case ACCOUNTS_NOT_LOCAL:
		return smtp_reply_f(a, 550, "5.7.1",
		    "<%.*s>: relay access denied", n, to->text.p);
	}
	return SMTP_REPLY(451, "4.3.0", "no decision");
}

struct smtp_reply
guard_verify(struct arena *a, const struct smtp_path *who,
    const struct accounts_resolution *r)
{
	switch (r->fate) {
	case ACCOUNTS_DELIVER:
	case ACCOUNTS_FORWARD:
		return smtp_reply_f(a, 250, "2.1.5", "<%.*s>",
		    who->text.n > 256 ? 256 : (int)who->text.n, who->text.p);
	case ACCOUNTS_NOT_LOCAL:
		return SMTP_REPLY(252, "2.5.2", "not an address of ours");
	default:
		return guard_verdict(a, who, r, NULL);
	}
}
