/* SPDX-License-Identifier: ISC */
/* IDLE (RFC 2177). */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"

#define IDLE_MS ((int64_t)30 * 60 * 1000)
#define DONE_MAX 1024

/* Tell what changes until the client says something. */
static int
idle(struct imap_session *s, struct co_event *changed)
{
	int rc;

	for (;;) {
		/* Cleared first: a change during the sync sets it again. */
		changed->set = false;
		if (s->view != NULL && (rc = imap_sync(s, true)) != 0)
			return rc;
		if (s->state == IMAP_LOGOUT)
			return 0;
		if ((rc = imap_drain_all(s)) != 0)
			return rc;
		buf_clear(&s->out);
		rc = conn_wait_input(s->c, changed, IDLE_MS);
		if (rc != 2)
			return rc < 0 ? rc : 0;
	}
}

static int
read_done(struct imap_session *s)
{
	struct slice line;
	int rc = conn_read_line(s->c, DONE_MAX, &line, NULL);

	if (rc == -EMSGSIZE || (rc == 0 && !slice_eq_str_nocase(line, "DONE")))
		return imap_bad(s, "DONE expected");
	return rc != 0 ? rc : imap_ok(s, NULL, "IDLE completed");
}

/* The command is parsed, and its tag is all that must outlast the wait: give
 * the arena back, for the wait is long. */
static void
slim(struct imap_session *s)
{
	if (s->tag.n > sizeof(s->idle_tag))
		return;
	memcpy(s->idle_tag, s->tag.p, s->tag.n);
	s->tag = slice(s->idle_tag, s->tag.n);
	s->p.line = SLICE_EMPTY;
	s->p.at = 0;
	arena_reset(&s->a);
}

int
cmd_idle(struct imap_session *s)
{
	struct co_event changed = { .set = false };
	int rc;

	if ((rc = imap_parse_end(&s->p)) != 0)
		return rc;
	slim(s);
	buf_put_str(&s->out, "+ idling\r\n");
	if (s->view != NULL)
		mails_view_watch(s->view, &changed);
	rc = idle(s, &changed);
	if (s->view != NULL)
		mails_view_watch(s->view, NULL);
	return rc != 0 || s->state == IMAP_LOGOUT ? rc : read_done(s);
}
