/* SPDX-License-Identifier: ISC */
/* What guard's reply to RCPT means to the queue. */
#include "qm/verdict.h"

#include <errno.h>

#include "common/mail/address.h"

enum verdict
verdict_of(const struct smtp_reply *reply)
{
	if (reply->code == 251)
		return VERDICT_EXPAND;
	if (smtp_reply_is_positive(reply))
		return VERDICT_LOCAL;
	if (reply->code == 550 &&
	    slice_eq_str(slice_str(reply->enhanced), "5.7.1"))
		return VERDICT_REMOTE;
	return reply->code >= 500 && reply->code < 600 ? VERDICT_REFUSED
						       : VERDICT_LATER;
}

bool
verdict_route(
    struct queue_message *m, struct queue_rcpt *r, bool local, bool smarthost)
{
	struct slice name, domain = SLICE_EMPTY;
	const char *route;

	if (local) {
		r->route = DESTINATION_LOCAL;
		return true;
	}
	if (address_split(r->address, &name, &domain) != 0 && !smarthost &&
	    !m->wishes.outside)
		return false;
	if ((route = destination_name_of(m, smarthost, domain)) == NULL)
		return false;
	r->route = route;
	return true;
}

/* --- 251 --- */

/* One line: "<forward-path> local" or "... relay". */
struct target {
	struct slice address;
	bool local;
};

static bool
target_next(struct slice *lines, struct target *out)
{
	while (lines->n > 0) {
		struct slice line = slice_split(lines, '\n');
		ssize_t open = slice_find(line, '<');
		ssize_t close = slice_rfind(line, '>');

		if (open < 0 || close < open + 2)
			continue;
		out->address =
		    slice(line.p + open + 1, (size_t)(close - open - 1));
		out->local = slice_starts_nocase(
		    slice_trim(slice_from(line, (size_t)close + 1)), "local");
		return true;
	}
	return false;
}

static bool
has_address(const struct queue_message *m, struct slice address)
{
	for (size_t i = 0; i < m->n_rcpts; i++)
		if (slice_eq_nocase(m->rcpts[i]->address, address) &&
		    m->rcpts[i]->state == QUEUE_PENDING)
			return true;
	return false;
}

static int
target_add(struct queue_message *m, const struct queue_rcpt *from,
    const struct target *t, unsigned notify, struct slice orcpt, bool smarthost)
{
	struct queue_rcpt *r;

	if (m->n_rcpts == QUEUE_RCPTS_MAX)
		return -E2BIG;
	if ((r = queue_message_add(m, t->address, notify, orcpt)) == NULL)
		return -ENOMEM;
	r->expansions = from->expansions + 1;
	/* Without a route it is asked of guard, and says then what is wrong. */
	verdict_route(m, r, t->local, smarthost);
	return 0;
}

int
verdict_expand(struct queue_message *m, const struct queue_rcpt *from,
    struct slice text, bool smarthost)
{
	struct slice lines = text, orcpt = from->orcpt;
	unsigned notify = from->notify;
	size_t n_rcpts = m->n_rcpts;
	uint32_t next_index = m->next_index;
	struct target t;
	int n = 0, rc;

	while (target_next(&lines, &t))
		n++;
	if (n > 1 && (notify & SMTP_NOTIFY_SUCCESS) != 0) {
		notify &= ~(unsigned)SMTP_NOTIFY_SUCCESS;
		if (notify == 0)
			notify = SMTP_NOTIFY_NEVER;
	}
	if (orcpt.n == 0)
		orcpt = slice_str(arena_printf(&m->arena, "%s;%.*s",
		    (m->flags & QUEUE_UTF8) != 0 ? "utf-8" : "rfc822",
		    (int)from->address.n, from->address.p));
	lines = text;
	while (target_next(&lines, &t)) {
		/* It may name the address itself: mail stays there too. */
		if (has_address(m, t.address) &&
		    !slice_eq_nocase(t.address, from->address))
			continue;
		rc = target_add(m, from, &t, notify, orcpt, smarthost);
		if (rc != 0) { /* all or none */
			m->n_rcpts = n_rcpts;
			m->next_index = next_index;
			return rc;
		}
	}
	return n;
}
