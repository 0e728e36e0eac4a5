/* SPDX-License-Identifier: ISC */
/* One mailbox: what is new in it, and which flags have changed. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "mailbox/door/pull_impl.h"

/* --- what was noted --- */

static struct door_key
state_key(uint64_t source)
{
	char octets[8];
	struct slice part = slice(octets, sizeof(octets));
	struct door_key k;

	put_be64(octets, source);
	door_key_make(&k, 's', &part, 1);
	return k;
}

static int
state_load(struct pull *p, struct pull_state *out)
{
	const char *target = take_target(p->take);
	struct door_key k = state_key(p->source);
	struct buf note = BUF_INIT;
	uint32_t unused;
	int rc = target == NULL
	    ? -ENOENT
	    : mails_key_get(p->conf->take.m, p->conf->take.account,
		  slice_str(target), door_key_slice(&k), &unused, &note);

	*out = (struct pull_state){ 0 };
	if (rc == 0 && note.n == 16)
		*out = (struct pull_state){ get_be32(note.p),
			get_be32(note.p + 4), get_be64(note.p + 8) };
	buf_clear(&note);
	return rc == -ENOENT ? 0 : rc;
}

static int
state_save(struct pull *p)
{
	struct door_key k = state_key(p->source);
	struct mails_key key = { .key = door_key_slice(&k) };
	char note[16];

	if (p->report->dry_run || take_target(p->take) == NULL)
		return 0;
	put_be32(note, p->now.uidvalidity);
	put_be32(note + 4, p->now.uidnext);
	put_be64(note + 8, p->now.modseq);
	key.note = slice(note, sizeof(note));
	return mails_keys_put(p->conf->take.m, p->conf->take.account,
	    slice_str(take_target(p->take)), &key, 1);
}

/* --- selecting --- */

static int
on_select(void *arg, const struct imap_response *r)
{
	struct pull *p = arg;
	uint64_t n;

	if (r->kind == IMAP_EXISTS)
		p->exists = r->number;
	if (r->kind != IMAP_OK)
		return 0;
	if (imap_code_number(r->code, "UIDVALIDITY", &n) == 0)
		p->now.uidvalidity = (uint32_t)n;
	else if (imap_code_number(r->code, "UIDNEXT", &n) == 0)
		p->now.uidnext = (uint32_t)n;
	else if (imap_code_number(r->code, "HIGHESTMODSEQ", &n) == 0)
		p->now.modseq = n;
	return 0;
}

int
pull_select(struct pull *p)
{
	const struct imap_handler h = { .untagged = on_select, .arg = p };
	struct buf name = BUF_INIT;
	int rc;

	p->now = (struct pull_state){ 0 };
	p->exists = 0;
	if (!imap_put_quoted(&name, p->box->raw)) {
		buf_clear(&name);
		return IMAP_REFUSED;
	}
	rc = imap_client_run(p->c, &h, "EXAMINE %s%s", buf_str(&name),
	    imap_client_has(p->c, "CONDSTORE") ? " (CONDSTORE)" : "");
	buf_clear(&name);
	return rc;
}

/* --- what is there --- */

static int
add_uid(struct pull *p, uint32_t uid)
{
	size_t cap = p->cap_uids == 0 ? 256 : p->cap_uids * 2;
	uint32_t *v;

	if (p->n_uids == p->cap_uids) {
		if ((v = reallocarray(p->uids, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		p->uids = v;
		p->cap_uids = cap;
	}
	p->uids[p->n_uids++] = uid;
	return 0;
}

/* Gmail's All Mail has what the other mailboxes have: only the rest of it. */
static int
is_elsewhere(struct pull *p, const struct imap_response *r, bool *is)
{
	uint32_t times = 0;
	int rc = 0;

	*is = false;
	if (p->gmail && r->gm_msgid != 0)
		rc = seen_count(&p->gm_seen, r->gm_msgid, &times);
	if (rc == 0 && p->box->special & MAILS_ALL)
		*is = times > 0;
	return rc;
}

static int
look_at(struct pull *p, const struct imap_response *r, struct arena *a)
{
	struct take_origin origin = { p->source, p->now.uidvalidity, r->uid };
	struct door_meta meta;
	bool elsewhere;
	int rc = is_elsewhere(p, r, &elsewhere);

	if (rc != 0)
		return rc;
	pull_meta(p, r, &meta, a);
	if ((rc = take_is_known(p->take, &origin, &meta)) != 0)
		return rc < 0 ? rc : 0;
	if (elsewhere) {
		p->report->skipped++;
		return 0;
	}
	if (p->report->dry_run) {
		p->report->messages++;
		p->report->octets += r->size;
		return 0;
	}
	return add_uid(p, r->uid);
}

static int
on_look(void *arg, const struct imap_response *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)32 << 10);
	struct pull *p = arg;

	/* One that is sent unasked says no UID; "n:*" has the last one too. */
	if (r->kind != IMAP_FETCH || r->uid == 0 || !r->has_flags ||
	    r->uid < p->from)
		return 0;
	p->rc = look_at(p, r, &a);
	arena_reset(&a);
	door_report_tick(p->report);
	return p->rc;
}

#define LOOK "(UID FLAGS INTERNALDATE RFC822.SIZE%s)"

/* Those below are known: only their flags. */
static int
look_at_old(
    struct pull *p, const struct imap_handler *h, const struct pull_state *was)
{
	p->from = 1;
	if (was->uidnext <= 1 || p->exists == 0 ||
	    (was->modseq != 0 && was->modseq == p->now.modseq))
		return 0;
	if (was->modseq != 0 && p->now.modseq != 0)
		return imap_client_run(p->c, h,
		    "UID FETCH 1:%u (UID FLAGS) (CHANGEDSINCE %llu)",
		    was->uidnext - 1, (unsigned long long)was->modseq);
	return imap_client_run(
	    p->c, h, "UID FETCH 1:%u (UID FLAGS)", was->uidnext - 1);
}

static int
look(struct pull *p)
{
	const struct imap_handler h = { .untagged = on_look, .arg = p };
	struct pull_state was;
	int rc = p->rc = state_load(p, &was);

	if (rc != 0)
		return rc;
	if (was.uidvalidity != p->now.uidvalidity || p->gmail)
		was = (struct pull_state){ .uidnext = 1 };
	if ((rc = look_at_old(p, &h, &was)) != 0)
		return rc;
	p->from = was.uidnext;
	if (p->exists == 0 ||
	    (p->now.uidnext != 0 && p->now.uidnext == was.uidnext))
		return 0;
	return imap_client_run(p->c, &h, "UID FETCH %u:* " LOOK, p->from,
	    p->gmail ? " X-GM-MSGID" : "");
}

/* --- all of it --- */

static int
uid_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void
sort_uids(struct pull *p)
{
	size_t kept = 0;

	if (p->n_uids > 0)
		qsort(p->uids, p->n_uids, sizeof(*p->uids), uid_cmp);
	for (size_t i = 0; i < p->n_uids; i++)
		if (kept == 0 || p->uids[i] != p->uids[kept - 1])
			p->uids[kept++] = p->uids[i];
	p->n_uids = kept;
}

#define BATCH 100
#define ATTEMPTS 3 /* on one message that breaks the connection */

/* After a break the same is asked again; a message that breaks it each time is
 * one that the server cannot give. */
static int
fetch_all(struct pull *p)
{
	bool progress = false;
	uint32_t first = p->n_uids > 0 ? p->uids[0] : 0;
	int rc = pull_fetch(p, p->breaks > 0 ? 1 : BATCH, &progress);

	if (rc >= 0 || p->rc != 0)
		return rc;
	if (progress || p->n_uids == 0 || p->uids[0] != first)
		p->breaks = 0;
	if (++p->breaks <= ATTEMPTS)
		return rc;
	door_warn(p->report,
	    "%s, UID %u: the server breaks off each time; passed over",
	    log_q(p->box->name), first);
	p->report->failed++;
	p->failed = true;
	p->breaks = 0;
	memmove(p->uids, p->uids + 1, (p->n_uids - 1) * sizeof(*p->uids));
	p->n_uids--;
	return rc;
}

/* The list of what to fetch is good for as long as UIDs are. */
static int
begin(struct pull *p)
{
	uint32_t uidvalidity = p->now.uidvalidity;
	int rc = pull_select(p);

	if (rc != 0 || (p->looked && p->now.uidvalidity == uidvalidity))
		return rc;
	p->n_uids = 0;
	p->looked = false;
	if ((rc = look(p)) == 0) {
		p->looked = true;
		sort_uids(p);
		p->seen = p->now;
	}
	return rc;
}

int
pull_mailbox(struct pull *p)
{
	int rc = begin(p);

	if (rc == IMAP_REFUSED) {
		door_warn(p->report, "%s: %s; passed over", log_q(p->box->name),
		    imap_client_said(p->c));
		p->report->failed++;
		return 0;
	}
	if (rc == 0)
		rc = fetch_all(p);
	if (rc != 0)
		return rc;
	if ((rc = take_flush(p->take)) == 0 && !p->failed &&
	    p->seen.uidvalidity != 0 && p->seen.uidnext != 0) {
		p->now = p->seen;
		rc = state_save(p);
	}
	return p->rc = rc;
}
