/* SPDX-License-Identifier: ISC */
/* STORE (RFC 3501 6.4.6) with UNCHANGEDSINCE (RFC 7162 3.1.3). */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_set.h"

struct store_args {
	struct imap_set set;
	enum mails_store_mode mode;
	bool silent;
	bool conditional;
	uint64_t unchanged_since;
	struct imap_flags flags;
};

/* "(UNCHANGEDSINCE n)" SP */
static int
parse_modifier(struct imap_session *s, struct store_args *a)
{
	int rc;

	if (!imap_accept(&s->p, '('))
		return 0;
	if (!imap_accept_word(&s->p, "UNCHANGEDSINCE"))
		return imap_bad(s, "Unknown modifier");
	a->conditional = true;
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_u64(&s->p, &a->unchanged_since)) != 0 ||
	    (rc = imap_parse_char(&s->p, ')')) != 0)
		return rc;
	return imap_parse_sp(&s->p);
}

static int
parse_item(struct imap_session *s, struct store_args *a)
{
	struct slice name;
	int rc;

	a->mode = imap_accept(&s->p, '+') ? MAILS_FLAGS_ADD
	    : imap_accept(&s->p, '-')     ? MAILS_FLAGS_REMOVE
					  : MAILS_FLAGS_SET;
	if ((rc = imap_parse_name(&s->p, &name)) != 0)
		return rc;
	a->silent = slice_eq_str_nocase(name, "FLAGS.SILENT");
	if (!a->silent && !slice_eq_str_nocase(name, "FLAGS"))
		return imap_bad(s, "FLAGS expected");
	return 0;
}

static int
parse_store_args(struct imap_session *s, struct store_args *a)
{
	int rc;

	*a = (struct store_args){ .silent = false };
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_seqs(s, &a->set)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = parse_modifier(s, a)) != 0 || (rc = parse_item(s, a)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_flags(s, true, &a->flags)) != 0)
		return rc;
	return imap_parse_end(&s->p);
}

/* The new flags, or where only that is wanted the new MODSEQ, of those that
 * were not passed over. */
static int
tell_stored(struct imap_session *s, const struct store_args *a,
    const uint32_t *seqs, size_t n, const uint32_t *failed, size_t n_failed)
{
	size_t f = 0;
	int rc = 0;

	if (a->silent && !s->condstore)
		return 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		/* Both are in order. */
		while (f < n_failed && failed[f] < seqs[i])
			f++;
		if ((f < n_failed && failed[f] == seqs[i]) ||
		    mails_view_is_gone(s->view, seqs[i]))
			continue;
		imap_put_flags_update(s, seqs[i], !a->silent);
		rc = imap_drain(s);
	}
	return rc;
}

static bool
is_any_gone(const struct imap_session *s, const uint32_t *seqs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (mails_view_is_gone(s->view, seqs[i]))
			return true;
	return false;
}

/* "MODIFIED 7,9": numbers, or UIDs under UID. */
static int
modified_code(
    struct imap_session *s, uint32_t *failed, size_t n, const char **code)
{
	struct buf b = BUF_INIT;

	for (size_t i = 0; i < n && s->uid; i++)
		failed[i] = mails_view_uid(s->view, failed[i]);
	buf_put_str(&b, "MODIFIED ");
	imap_set_put(&b, failed, n);
	*code = b.failed ? NULL : arena_strdup(&s->a, buf_slice(&b));
	buf_clear(&b);
	return *code == NULL ? -ENOMEM : 0;
}

static int
reply_stored(
    struct imap_session *s, uint32_t *failed, size_t n_failed, bool gone)
{
	const char *code;
	int rc;

	if (n_failed > 0) {
		if ((rc = modified_code(s, failed, n_failed, &code)) != 0)
			return rc;
		return imap_ok(s, code, "Conditional STORE failed for some");
	}
	if (gone && !s->uid) /* RFC 2180 4.2 */
		return imap_no(
		    s, "EXPUNGEISSUED", "Some of the messages no longer exist");
	return imap_ok(s, gone ? "EXPUNGEISSUED" : NULL, "STORE completed");
}

int
cmd_store(struct imap_session *s)
{
	struct store_args a;
	uint32_t *seqs, *failed = NULL;
	size_t n, n_failed = 0;
	bool gone;
	int rc;

	if ((rc = parse_store_args(s, &a)) != 0 ||
	    (rc = imap_seqs_list(s, &a.set, &seqs, &n, &gone)) != 0)
		return rc;
	if (a.conditional)
		imap_enable_condstore(s);
	if (a.conditional && a.unchanged_since == 0) {
		/* Every message has changed since then. */
		failed = seqs;
		n_failed = n;
		n = 0;
	}
	if (n > 0 &&
	    (rc = mails_store_flags(s->view, seqs, n, a.mode, a.flags.system,
		 a.flags.keywords, a.unchanged_since, true, &s->a, &failed,
		 &n_failed)) != 0)
		return imap_no_errno(s, rc);
	/* New keywords are told before they are used, and what somebody has
	 * expunged has no flags to tell. */
	if ((rc = imap_sync(s, false)) != 0 ||
	    (rc = tell_stored(s, &a, seqs, n, failed, n_failed)) != 0)
		return rc;
	gone |= is_any_gone(s, seqs, n);
	return reply_stored(s, failed, n_failed, gone);
}
