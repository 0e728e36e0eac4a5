/* SPDX-License-Identifier: ISC */
#include "mailbox/lmtp/mirror.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/imap/set.h"
#include "common/mail/transfer.h"
#include "mailbox/imap/imap_special.h"
#include "mailbox/lmtp/deposit.h"

#define CHANGES_MAX 300                 /* of one reply: 1,000 lines are read */
#define BOXES_OCTETS ((size_t)40 << 10) /* of one reply */
#define BOXES_MAX 400
#define APPLY_MAX 1000 /* messages of one command */

/* One command. */
struct asked {
	struct mails *m;
	struct smtp_session *s;
	struct arena *a;
	const char *account;
	struct buf out; /* the reply's text */
	struct smtp_reply *reply;
};

static int
wrong(const struct asked *q)
{
	*q->reply = SMTP_REPLY(501, "5.5.4", "XMIRROR: not well-formed");
	return 0;
}

/* 250 with what was put together. */
static int
answered(struct asked *q)
{
	struct slice text = arena_dup(q->a, buf_slice(&q->out));

	if (q->out.failed || text.p == NULL)
		return -ENOMEM;
	*q->reply = (struct smtp_reply){ 250, "2.0.0", text };
	return 0;
}

/* The next word, up to `c`, decoded into the arena. -EINVAL. */
static int
word(struct asked *q, struct slice *args, char c, struct slice *out)
{
	struct buf plain = BUF_INIT_MAX(2048);
	int rc = smtp_xtext_decode(slice_split(args, c), &plain);

	if (rc == 0) {
		*out = arena_dup(q->a, buf_slice(&plain));
		rc = out->p == NULL ? -ENOMEM : 0;
	}
	buf_clear(&plain);
	return rc;
}

static int
number(struct slice *args, char c, uint64_t max, uint64_t *out)
{
	return slice_u64(slice_split(args, c), max, out) == 0 ? 0 : -EINVAL;
}

/* --- XBOXES --- */

static const char *
use_of(const struct mails_info *info)
{
	for (const struct imap_special *u = imap_specials; u->name != NULL; u++)
		if (info->attrs & u->attr)
			return u->name + 1;
	return "-";
}

static int
put_box(struct asked *q, const struct mails_info *info)
{
	struct mails_status st;
	int rc = mails_status(q->m, q->account, slice_str(info->name), &st);

	if (rc != 0)
		return rc;
	buf_printf(&q->out, "\n%u %u %llu %u %s ", st.uidvalidity, st.uidnext,
	    (unsigned long long)st.highestmodseq, st.messages, use_of(info));
	base64_encode(&q->out, slice_str(info->name));
	return 0;
}

/* Of all names, so that who puts pages together sees that they are of one list. */
static uint64_t
names_print(const struct mails_info *v, size_t n)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (size_t i = 0; i < n; i++)
		for (const char *p = v[i].name;; p++) {
			h = (h ^ (unsigned char)*p) * 1099511628211u;
			if (*p == '\0')
				break;
		}
	return h;
}

/* What is missing in the list is taken for deleted, there too: so a list of
 * names that change meanwhile is none. */
static int
names_change(struct asked *q)
{
	*q->reply = SMTP_REPLY(451, "4.3.0", "names change just now");
	return 0;
}

static int
boxes(struct asked *q, struct slice args)
{
	struct mails_info *infos;
	struct slice after;
	struct buf head = BUF_INIT;
	size_t n, i = 0, lines = 0;
	int rc = word(q, &args, ' ', &after);

	if (rc == -EINVAL)
		return wrong(q);
	if (rc == 0)
		rc = mails_list(q->m, q->account, q->a, &infos, &n);
	if (rc != 0)
		return rc;
	while (after.n > 0 && i < n && !slice_eq_str(after, infos[i].name))
		i++;
	if (after.n > 0 && i++ == n)
		return names_change(q);
	for (; i < n && rc == 0 && lines < BOXES_MAX && q->out.n < BOXES_OCTETS;
	     i++, lines++)
		if (infos[i].id != 0 && !(infos[i].attrs & MAILS_NOSELECT))
			rc = put_box(q, &infos[i]);
	if (rc == -ENOENT) /* one of them has just gone, or has another name */
		return names_change(q);
	buf_printf(&head, "%s %016llx", i < n ? "more" : "end",
	    (unsigned long long)names_print(infos, n));
	buf_put_slice(&head, buf_slice(&q->out));
	buf_clear(&q->out);
	q->out = head;
	return rc == 0 ? answered(q) : rc;
}

/* --- XCHANGES --- */

static int
cursor_parse(struct slice *args, struct mails_cursor *c)
{
	uint64_t validity, uid, modseq_uid;

	if (number(args, ';', UINT32_MAX, &validity) != 0 ||
	    number(args, ';', UINT32_MAX, &uid) != 0 ||
	    number(args, ';', INT64_MAX, &c->modseq) != 0 ||
	    number(args, ';', UINT32_MAX, &modseq_uid) != 0)
		return -EINVAL;
	c->uidvalidity = (uint32_t)validity;
	c->uid = (uint32_t)uid;
	c->modseq_uid = (uint32_t)modseq_uid;
	return 0;
}

static void
put_changes(struct asked *q, const struct mails_cursor *c,
    const struct mails_changed *ch)
{
	buf_printf(&q->out, "%s %u %u %llu %u", ch->more ? "more" : "end",
	    c->uidvalidity, c->uid, (unsigned long long)c->modseq,
	    c->modseq_uid);
	for (size_t i = 0; i < ch->n_keywords; i++)
		buf_printf(&q->out, "\nk %s", ch->keywords[i]);
	for (size_t i = 0; i < ch->n; i++) {
		const struct mails_change *v = &ch->v[i];

		if (v->gone)
			buf_printf(&q->out, "\n- %u", v->uid);
		else
			buf_printf(&q->out, "\n+ %u %llx %x %llx", v->uid,
			    (unsigned long long)v->print, v->flags.system,
			    (unsigned long long)v->flags.keywords);
	}
}

static int
changes(struct asked *q, struct slice args)
{
	struct mails_changed ch;
	struct mails_cursor c;
	struct slice name;
	int rc = cursor_parse(&args, &c);

	if (rc == 0)
		rc = word(q, &args, ' ', &name);
	if (rc == -EINVAL)
		return wrong(q);
	if (rc == 0)
		rc = mails_changes(
		    q->m, q->account, name, &c, CHANGES_MAX, q->a, &ch);
	if (rc == -ENOENT || rc == -EINVAL) {
		*q->reply = SMTP_REPLY(550, "5.1.1", "no such mailbox");
		return 0;
	}
	if (rc == -ESTALE) {
		*q->reply = smtp_reply_f(q->a, 552, "5.5.4", "%u %u %llu %u",
		    c.uidvalidity, c.uid, (unsigned long long)c.modseq,
		    c.modseq_uid);
		return 0;
	}
	if (rc != 0)
		return rc;
	put_changes(q, &c, &ch);
	return answered(q);
}

/* --- XAPPLY --- */

struct apply {
	enum { APPLY_ADD, APPLY_REMOVE, APPLY_GONE, APPLY_MOVE } op;
	uint32_t uidvalidity;
	struct slice set, name;
	struct door_meta meta;
	struct slice target; /* of a move */
};

static int
apply_parse(struct asked *q, struct slice args, struct apply *out)
{
	struct slice op = slice_split(&args, ';'), flags;
	uint64_t n;
	int rc;

	*out = (struct apply){ .op = APPLY_ADD };
	if (slice_eq_str(op, "gone"))
		out->op = APPLY_GONE;
	else if (slice_eq_str(op, "remove"))
		out->op = APPLY_REMOVE;
	else if (slice_eq_str(op, "move"))
		out->op = APPLY_MOVE;
	else if (!slice_eq_str(op, "add"))
		return -EINVAL;
	if ((rc = number(&args, ';', UINT32_MAX, &n)) != 0)
		return rc;
	out->uidvalidity = (uint32_t)n;
	out->set = slice_split(&args, ';');
	if ((rc = word(q, &args, ';', &out->name)) != 0 ||
	    (rc = word(q, &args, ' ', &flags)) != 0)
		return rc;
	out->target = flags;
	if (out->op == APPLY_MOVE)
		return flags.n > 0 ? 0 : -EINVAL;
	deposit_flags(q->a, flags, &out->meta);
	return 0;
}

/* Those of the set that are there. -EINVAL, -E2BIG. */
static int
seqs_of(struct mails_view *v, struct slice set, uint32_t *seqs, size_t *n)
{
	uint32_t from, to, seq;
	bool exact;
	int rc;

	*n = 0;
	while ((rc = imap_set_next(&set, &from, &to)) == 1) {
		seq = mails_view_seq(v, from, &exact);
		for (seq += !exact; seq > 0 && seq <= mails_view_count(v) &&
		     mails_view_uid(v, seq) <= to;
		     seq++) {
			if (*n == APPLY_MAX)
				return -E2BIG;
			if (!mails_view_is_gone(v, seq))
				seqs[(*n)++] = seq;
		}
	}
	return rc;
}

static int
apply_flags(struct asked *q, struct mails_view *v, const struct apply *p,
    const uint32_t *seqs, size_t n)
{
	const enum mails_store_mode mode =
	    p->op == APPLY_ADD ? MAILS_FLAGS_ADD : MAILS_FLAGS_REMOVE;
	uint32_t *failed;
	size_t n_failed;
	int rc = mails_store_flags(v, seqs, n, mode, p->meta.flags,
	    p->meta.n_keywords > 0 ? p->meta.keywords : NULL, 0, true, q->a,
	    &failed, &n_failed);

	if (rc != -E2BIG && rc != -EINVAL)
		return rc;
	buf_put_str(&q->out, "some");
	return mails_store_flags(v, seqs, n, mode, p->meta.flags, NULL, 0, true,
	    q->a, &failed, &n_failed);
}

static int
apply_move(struct asked *q, struct mails_view *v, const struct apply *p,
    const uint32_t *seqs, size_t n)
{
	struct mails_copied to = { .n = 0 };
	int rc = mails_move(v, seqs, n, p->target, q->a, &to);

	if (rc == -ENOENT) {
		*q->reply = SMTP_REPLY(550, "5.1.1", "no such mailbox");
		return 1;
	}
	if (rc != 0)
		return rc;
	buf_printf(&q->out, "%u", to.uidvalidity);
	for (size_t i = 0; i < to.n; i++)
		buf_printf(&q->out, "\n%u %u", to.from[i], to.to[i]);
	return 0;
}

static int
apply_op(struct asked *q, struct mails_view *v, const struct apply *p,
    const uint32_t *seqs, size_t n)
{
	switch (p->op) {
	case APPLY_GONE:
		return mails_expunge(v, seqs, n, true);
	case APPLY_MOVE:
		return apply_move(q, v, p, seqs, n);
	default:
		return apply_flags(q, v, p, seqs, n);
	}
}

static int
apply(struct asked *q, struct slice args)
{
	uint32_t *seqs = arena_array(q->a, APPLY_MAX, sizeof(*seqs));
	struct mails_view *v = NULL;
	struct apply p;
	size_t n;
	int rc = seqs == NULL ? -ENOMEM : apply_parse(q, args, &p);

	if (rc == 0)
		rc = mails_view_examine(q->m, q->account, p.name, &v);
	if (rc == -ENOENT ||
	    (rc == 0 && mails_view_uidvalidity(v) != p.uidvalidity)) {
		mails_view_close(&v);
		*q->reply = SMTP_REPLY(550, "5.1.1", "no such mailbox");
		return 0;
	}
	if (rc == 0)
		rc = seqs_of(v, p.set, seqs, &n);
	if (rc == -EINVAL || rc == -E2BIG) {
		mails_view_close(&v);
		return wrong(q);
	}
	if (rc == 0 && n > 0)
		rc = apply_op(q, v, &p, seqs, n);
	mails_view_close(&v);
	if (rc != 0)
		return rc > 0 ? 0 : rc; /* there is a reply */
	log_info("mirrored", "account=%s mailbox=%s messages=%zu op=%d",
	    log_qs(q->account), log_q(p.name), n, (int)p.op);
	if (q->out.n == 0)
		buf_put_str(&q->out, "done");
	return answered(q);
}

/* --- XBOX --- */

static int
no_such(struct asked *q)
{
	*q->reply = SMTP_REPLY(550, "5.1.1", "no such mailbox");
	return 0;
}

/* It is there, and it is that one. */
static int
box_status(struct asked *q, struct slice name, uint64_t uidvalidity,
    struct mails_status *st)
{
	int rc = mails_status(q->m, q->account, name, st);

	return rc == -EINVAL || rc == -EACCES ||
		(rc == 0 && st->uidvalidity != uidvalidity)
	    ? -ENOENT
	    : rc;
}

/* Levels above it that are no mailboxes are names only. */
static int
box_make_levels(struct asked *q, struct slice name)
{
	int rc = 0;

	for (size_t i = 1; i < name.n && (rc == 0 || rc == -EEXIST); i++)
		if (name.p[i] == MAILS_SEPARATOR)
			rc = mails_create(q->m, q->account,
			    slice_head(name, i), MAILS_NOSELECT, NULL);
	return rc == -EEXIST ? 0 : rc;
}

static int
box_make(struct asked *q, struct slice args)
{
	struct slice use = slice_split(&args, ';'), name;
	struct mails_status st;
	unsigned attr = 0;
	int rc = word(q, &args, ' ', &name);

	for (const struct imap_special *u = imap_specials; u->name != NULL; u++)
		if (slice_eq_str(use, u->name + 1))
			attr = u->attr;
	if (rc != 0)
		return rc == -EINVAL ? wrong(q) : rc;
	if ((rc = box_make_levels(q, name)) == 0) {
		rc = mails_create(q->m, q->account, name, attr, NULL);
		if (rc == 0)
			rc = mails_subscribe(q->m, q->account, name, true);
		else if (rc == -EEXIST)
			rc = 0;
	}
	if (rc == 0)
		rc = mails_status(q->m, q->account, name, &st);
	if (rc == -EINVAL || rc == -EACCES || rc == -ENOSPC) {
		*q->reply = rc == -ENOSPC
		    ? SMTP_REPLY(553, "5.3.1", "too many mailboxes")
		    : SMTP_REPLY(553, "5.1.3", "no mailbox has such a name");
		return 0;
	}
	if (rc == 0)
		buf_printf(&q->out, "%u", st.uidvalidity);
	return rc == 0 ? answered(q) : rc;
}

/* Once more, after a reply that was lost: it has that name already. */
static int
box_rename(struct asked *q, struct slice args)
{
	struct slice from, to;
	struct mails_status st;
	uint64_t uidvalidity;
	int rc = number(&args, ';', UINT32_MAX, &uidvalidity);

	if (rc == 0)
		rc = word(q, &args, ';', &from);
	if (rc == 0)
		rc = word(q, &args, ' ', &to);
	if (rc != 0)
		return rc == -EINVAL ? wrong(q) : rc;
	rc = box_status(q, from, uidvalidity, &st);
	if (rc == -ENOENT)
		rc = box_status(q, to, uidvalidity, &st);
	else if (rc == 0 && (rc = mails_rename(q->m, q->account, from, to)) == 0)
		(void)mails_subscribe(q->m, q->account, from, false);
	if (rc == -ENOENT)
		return no_such(q);
	if (rc == -EEXIST || rc == -EINVAL || rc == -EACCES || rc == -EPERM ||
	    rc == -ENOSPC) {
		*q->reply =
		    SMTP_REPLY(553, "5.1.3", "it cannot have that name");
		return 0;
	}
	if (rc == 0)
		(void)mails_subscribe(q->m, q->account, to, true);
	if (rc == 0)
		buf_put_str(&q->out, "done");
	return rc == 0 ? answered(q) : rc;
}

/* As long as nothing has happened in it since. It is kept as any other that was
 * deleted. */
static int
box_delete(struct asked *q, struct slice args)
{
	uint64_t uidvalidity, uidnext, modseq;
	struct mails_status st;
	struct slice name;
	int rc = number(&args, ';', UINT32_MAX, &uidvalidity);

	if (rc == 0)
		rc = number(&args, ';', UINT32_MAX, &uidnext);
	if (rc == 0)
		rc = number(&args, ';', INT64_MAX, &modseq);
	if (rc == 0)
		rc = word(q, &args, ' ', &name);
	if (rc != 0)
		return rc == -EINVAL ? wrong(q) : rc;
	rc = box_status(q, name, uidvalidity, &st);
	if (rc == 0 && (st.uidnext != uidnext || st.highestmodseq != modseq)) {
		*q->reply = SMTP_REPLY(553, "5.7.1", "it has changed");
		return 0;
	}
	if (rc == 0 && (rc = mails_delete(q->m, q->account, name)) == 0)
		(void)mails_subscribe(q->m, q->account, name, false);
	if (rc == -ENOENT || rc == -EPERM)
		return no_such(q);
	if (rc == 0)
		buf_put_str(&q->out, "done");
	return rc == 0 ? answered(q) : rc;
}

static int
box(struct asked *q, struct slice args)
{
	static const struct {
		const char *op;
		int (*run)(struct asked *q, struct slice args);
	} ops[] = { { "make", box_make }, { "rename", box_rename },
		{ "delete", box_delete } };
	struct slice op = slice_split(&args, ';');

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (slice_eq_str(op, ops[i].op)) {
			log_info("mirrored", "account=%s op=%s",
			    log_qs(q->account), ops[i].op);
			return ops[i].run(q, args);
		}
	return wrong(q);
}

/* --- all --- */

static const struct {
	const char *verb;
	int (*run)(struct asked *q, struct slice args);
} verbs[] = { { "XBOXES", boxes }, { "XCHANGES", changes },
	{ "XAPPLY", apply }, { "XBOX", box } };

/* The account as it is called here. */
static int
account_parse(
    struct asked *q, struct accounts *accounts, struct slice *args, int *fault)
{
	struct slice word = slice_split(args, ' ');
	int rc;

	if (word.n < 3 || word.p[0] != '<' || word.p[word.n - 1] != '>')
		return *fault = 501;
	word = slice_from(slice_head(word, word.n - 1), 1);
	rc = accounts_account_name(accounts, q->a, word, &q->account);
	if (rc == -ENOENT || rc == -EINVAL)
		return *fault = 550;
	return rc;
}

int
mirror_command(struct mails *m, struct accounts *accounts,
    struct smtp_session *s, struct slice verb, struct slice args,
    struct smtp_reply *reply)
{
	struct asked q = { m, s, smtp_session_command_arena(s), NULL, BUF_INIT,
		reply };
	int rc = -ENOSYS, fault = 0;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!slice_eq_str_nocase(verb, verbs[i].verb))
			continue;
		rc = account_parse(&q, accounts, &args, &fault);
		if (rc == 0)
			rc = verbs[i].run(&q, args);
		else if (fault == 501)
			rc = wrong(&q);
		else if (fault == 550)
			*reply = SMTP_REPLY(550, "5.1.1", "no such account");
		rc = fault != 0 ? 0 : rc;
		if (rc != 0)
			log_error("mirror", "verb=%s account=%s error=\"%s\"",
			    verbs[i].verb,
			    q.account != NULL ? log_qs(q.account) : "",
			    strerror(-rc));
		break;
	}
	buf_clear(&q.out);
	return rc;
}
