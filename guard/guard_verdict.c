/* SPDX-License-Identifier: ISC */
/* From what an address resolves to, to the reply that says so. */
#include "guard/guard.h"

static struct smtp_reply
verdict_forward(struct arena *a, const struct accounts_resolution *r)
{
	struct buf text = BUF_INIT_MAX((size_t)1 << 20);
	struct smtp_reply reply;

	for (size_t i = 0; i < r->n_targets; i++)
		buf_printf(&text, "%s<%s> %s", i > 0 ? "\n" : "", r->targets[i],
		    r->target_is_local[i] ? "local" : "relay");
	reply =
	    (struct smtp_reply){ 251, "2.1.5", arena_dup(a, buf_slice(&text)) };
	if (text.failed || reply.text.p == NULL)
		reply = SMTP_REPLY(451, "4.3.0", "too many forward addresses");
	buf_clear(&text);
	return reply;
}

struct smtp_reply
guard_verdict(struct arena *a, const struct smtp_path *to,
    const struct accounts_resolution *r)
{
	/* The address is the client's own; smtp_reply_write makes it safe. */
	int n = to->text.n > 256 ? 256 : (int)to->text.n;

	switch (r->fate) {
	case ACCOUNTS_DELIVER:
		return SMTP_REPLY(250, "2.1.5", "recipient ok");
	case ACCOUNTS_FORWARD:
		return verdict_forward(a, r);
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
		return guard_verdict(a, who, r);
	}
}
