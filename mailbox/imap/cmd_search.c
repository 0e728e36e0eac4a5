/* SPDX-License-Identifier: ISC */
/* SEARCH: which messages, and how they are told (RFC 3501 7.2.5, 4731 3.1). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_search.h"

struct result {
	uint32_t *v; /* numbers, or UIDs under UID, in order */
	size_t n;
	uint64_t modseq; /* highest of them */
	bool gone;       /* some messages were expunged meanwhile */
};

static bool
is_first_only(const struct imap_search *q)
{
	return q->extended && q->returns == IMAP_RETURN_MIN;
}

static bool
is_last_only(const struct imap_search *q)
{
	return q->extended && q->returns == IMAP_RETURN_MAX;
}

static void
add_match(struct imap_session *s, struct result *out, uint32_t seq)
{
	uint64_t modseq = mails_view_modseq(s->view, seq);

	out->v[out->n++] = s->uid ? mails_view_uid(s->view, seq) : seq;
	if (modseq > out->modseq)
		out->modseq = modseq;
}

/* A message that cannot be read does not match, and costs no more. */
static int
note_error(struct imap_session *s, struct result *out, uint32_t seq, int rc)
{
	/* Sealed: none of them can be searched, and the client must know. */
	if (rc == -ECANCELED || rc == -ENOKEY)
		return rc;
	if (rc == -ENOENT)
		out->gone = true;
	else
		log_error("message not searched",
		    "account=%s mailbox=\"%s\" "
		    "uid=%u error=%s",
		    log_qs(s->account), log_qs(mails_view_name(s->view)),
		    mails_view_uid(s->view, seq), strerror(-rc));
	return 0;
}

static int
search_all(struct imap_session *s, const struct imap_search *q,
    struct imap_search_run *run, const uint64_t *may, struct result *out)
{
	uint32_t count = mails_view_count(s->view);
	int64_t began_ms = clock_mono_ms();
	unsigned tested = 0;
	int rc;

	for (uint32_t i = 1; i <= count; i++) {
		uint32_t seq = is_last_only(q) ? count + 1 - i : i;

		if (may != NULL &&
		    (may[(seq - 1) / 64] >> (seq - 1) % 64 & 1) == 0)
			continue;
		if ((rc = imap_search_test(run, seq)) == 1)
			add_match(s, out, seq);
		else if (rc < 0 && (rc = note_error(s, out, seq, rc)) != 0)
			return rc;
		if (out->n > 0 && (is_first_only(q) || is_last_only(q)))
			return 0;
		if (++tested % 64 == 0 && clock_mono_ms() - began_ms >= 5) {
			if ((rc = co_yield ()) != 0)
				return rc;
			began_ms = clock_mono_ms();
		}
	}
	return 0;
}

static int
run_search(
    struct imap_session *s, const struct imap_search *q, struct result *out)
{
	struct imap_search_run *run;
	uint64_t *may;
	int rc;

	*out = (struct result){ .n = 0 };
	out->v = arena_array(&s->a, mails_view_count(s->view), sizeof(*out->v));
	if (out->v == NULL)
		return -ENOMEM;
	if ((rc = imap_search_run_new(&run, q, s->view)) != 0)
		return rc;
	may = imap_search_candidates(q, s->view);
	rc = search_all(s, q, run, may, out);
	free(may);
	imap_search_run_free(&run);
	return rc;
}

/* --- telling --- */

static int
put_search(
    struct imap_session *s, const struct imap_search *q, const struct result *r)
{
	int rc = 0;

	buf_put_str(&s->out, "* SEARCH");
	for (size_t i = 0; i < r->n && rc == 0; i++) {
		buf_put_char(&s->out, ' ');
		buf_put_u64(&s->out, r->v[i]);
		rc = imap_drain(s);
	}
	if (q->has_modseq && r->n > 0) {
		buf_put_str(&s->out, " (MODSEQ ");
		buf_put_u64(&s->out, r->modseq);
		buf_put_char(&s->out, ')');
	}
	buf_put_str(&s->out, "\r\n");
	return rc;
}

static void
put_number(struct buf *b, const char *name, uint64_t n)
{
	buf_put_str(b, name);
	buf_put_u64(b, n);
}

static void
put_esearch(
    struct imap_session *s, const struct imap_search *q, const struct result *r)
{
	struct buf *b = &s->out;

	buf_put_str(b, "* ESEARCH (TAG ");
	imap_put_string(b, s->tag);
	buf_put_str(b, s->uid ? ") UID" : ")");
	if (r->n > 0) {
		if ((q->returns & IMAP_RETURN_MIN) != 0)
			put_number(b, " MIN ", r->v[0]);
		if ((q->returns & IMAP_RETURN_MAX) != 0)
			put_number(b, " MAX ", r->v[r->n - 1]);
		if ((q->returns & IMAP_RETURN_ALL) != 0) {
			buf_put_str(b, " ALL ");
			imap_set_put(b, r->v, r->n);
		}
	}
	if ((q->returns & IMAP_RETURN_COUNT) != 0)
		put_number(b, " COUNT ", r->n);
	if (q->has_modseq && r->n > 0)
		put_number(b, " MODSEQ ", r->modseq);
	buf_put_str(b, "\r\n");
}

int
cmd_search(struct imap_session *s)
{
	struct imap_search q;
	struct result r;
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_search_parse(&s->p, &q)) != 0)
		return rc;
	if (q.bad_charset)
		return imap_no(s, "BADCHARSET (US-ASCII UTF-8)",
		    "Charset is not supported");
	if (imap_search_prepare(&q, s->view) == -ERANGE)
		return imap_bad(s, "No such message");
	if (q.has_modseq)
		imap_enable_condstore(s);
	if ((rc = run_search(s, &q, &r)) != 0)
		return rc == -ENOKEY ? imap_no_errno(s, rc) : rc;
	if (q.extended)
		put_esearch(s, &q, &r);
	else
		rc = put_search(s, &q, &r);
	return rc != 0
	    ? rc
	    : imap_ok(s, r.gone ? "EXPUNGEISSUED" : NULL, "SEARCH completed");
}
