/* SPDX-License-Identifier: ISC */
/* Arguments that several commands have: mailbox names, message sets, flags. */
#include <errno.h>

#include "mailbox/imap/imap_session.h"
#include "mailbox/imap/imap_set.h"
#include "common/imap/utf7.h"
#include "mailbox/quota.h"

#define FLAGS_MAX 256 /* in one list */

/* --- mailbox names --- */

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

int
imap_parse_mailbox(struct imap_session *s, struct slice *name)
{
	struct buf b = BUF_INIT_MAX(4 * MAILS_NAME_MAX);
	struct slice raw;
	int rc;

	if ((rc = imap_parse_astring(&s->p, &raw)) != 0)
		return rc;
	if (raw.n > 4 * MAILS_NAME_MAX)
		return -EINVAL;
	rc = imap_utf7_decode(&b, raw);
	if (rc == 0 && (b.n == 0 || has_control(buf_slice(&b))))
		rc = -EINVAL;
	if (rc == 0) {
		*name = arena_dup(&s->a, buf_slice(&b));
		rc = name->p == NULL ? -ENOMEM : 0;
	}
	buf_clear(&b);
	return rc;
}

void
imap_put_string(struct buf *b, struct slice text)
{
	bool literal = false;

	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] >= 0x7f || text.p[i] < 0x20)
			literal = true;
	if (literal) {
		buf_put_char(b, '{');
		buf_put_u64(b, text.n);
		buf_put_str(b, "}\r\n");
		buf_put_slice(b, text);
		return;
	}
	buf_put_char(b, '"');
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_put_char(b, '\\');
		buf_put_char(b, text.p[i]);
	}
	buf_put_char(b, '"');
}

void
imap_put_mailbox(struct buf *b, const char *name)
{
	struct buf utf7 = BUF_INIT_MAX(8 * MAILS_NAME_MAX);

	imap_utf7_encode(&utf7, slice_str(name));
	imap_put_string(b, buf_slice(&utf7));
	buf_clear(&utf7);
}

/* --- message sets --- */

/* UID ranges to the sequence numbers of those that exist. */
static void
uids_to_seqs(const struct mails_view *v, struct imap_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		struct imap_range r = set->v[i];
		bool exact;
		uint32_t lo = mails_view_seq(v, r.lo, &exact);

		lo += !exact;
		r = (struct imap_range){ lo, mails_view_seq(v, r.hi, &exact) };
		if (r.lo <= r.hi)
			set->v[n++] = r;
	}
	set->n = n;
}

int
imap_parse_seqs(struct imap_session *s, struct imap_set *out)
{
	uint32_t count = mails_view_count(s->view);
	struct slice token;
	int rc;

	if ((rc = imap_parse_set_token(&s->p, &token)) != 0)
		return rc;
	if ((rc = imap_set_parse(&s->a, token, out)) == -EINVAL)
		return imap_bad(s, "Invalid message set");
	if (rc != 0)
		return rc;
	if (s->uid) {
		imap_set_resolve(out,
		    count == 0 ? mails_view_uidnext(s->view)
			       : mails_view_uid(s->view, count));
		uids_to_seqs(s->view, out);
		return 0;
	}
	/* "*" of an empty mailbox is a 0 here, and refused as well. */
	imap_set_resolve(out, count);
	if (out->v[0].lo == 0 || out->v[out->n - 1].hi > count)
		return imap_bad(s, "No such message");
	return 0;
}

int
imap_seqs_list(struct imap_session *s, const struct imap_set *set,
    uint32_t **seqs, size_t *n, bool *gone)
{
	uint32_t *v =
	    arena_array(&s->a, (size_t)imap_set_count(set), sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	*n = 0;
	*gone = false;
	for (size_t i = 0; i < set->n; i++)
		for (uint32_t seq = set->v[i].lo; seq <= set->v[i].hi; seq++) {
			if (mails_view_is_gone(s->view, seq))
				*gone = true;
			else
				v[(*n)++] = seq;
		}
	*seqs = v;
	return 0;
}

/* --- flags --- */

static int
system_flag(struct imap_session *s, struct slice name, uint32_t *bits)
{
	uint32_t flag = mails_flag_find(name);

	*bits |= flag;
	if (flag != 0)
		return 0;
	return imap_bad(s,
	    slice_eq_str_nocase(name, "\\Recent") ? "\\Recent cannot be set"
						  : "Unknown system flag");
}

static int
parse_flag(struct imap_session *s, struct imap_flags *out, size_t *n)
{
	struct slice flag;
	int rc;

	if ((rc = imap_parse_flag(&s->p, &flag)) != 0)
		return rc;
	if (flag.p[0] == '\\')
		return system_flag(s, flag, &out->system);
	if (*n == FLAGS_MAX || flag.n > 100)
		return imap_bad(s, "[LIMIT] Too many or too long keywords");
	out->keywords[*n] = arena_strdup(&s->a, flag);
	return out->keywords[(*n)++] == NULL ? -ENOMEM : 0;
}

int
imap_parse_flags(struct imap_session *s, bool bare, struct imap_flags *out)
{
	bool list = imap_peek(&s->p) == '(';
	size_t n = 0;
	int rc;

	*out = (struct imap_flags){ .system = 0 };
	out->keywords =
	    arena_array(&s->a, FLAGS_MAX + 1, sizeof(*out->keywords));
	if (out->keywords == NULL)
		return -ENOMEM;
	if (!list && !bare)
		return imap_bad(s, "Flag list expected");
	if (imap_accept(&s->p, '(') && imap_accept(&s->p, ')'))
		return 0;
	do {
		if ((rc = parse_flag(s, out, &n)) != 0)
			return rc;
	} while (imap_accept(&s->p, ' '));
	return list ? imap_parse_char(&s->p, ')') : 0;
}

int
imap_quota(struct imap_session *s, struct mails_quota *out)
{
	int rc;

	*out = (struct mails_quota){ 0 };
	if (s->env->accounts == NULL)
		return 0;
	rc = quota_get(s->env->accounts, &s->a, s->account, out);
	/* Removed while it is logged in: nothing more for it. */
	return rc == -ENOENT ? -EAGAIN : rc;
}
