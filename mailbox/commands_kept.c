/* SPDX-License-Identifier: ISC */
/*
 * `pneu mail undelete`: what was expunged comes back, or is listed; mailboxes
 * that were deleted come back whole. `pneu mail purge`: it goes for good, now.
 * Both beside the running daemons.
 */
#include "mailbox/commands_kept.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "common/auth/accounts.h"
#include "common/base/clock.h"
#include "mailbox/mails/envelope_read.h"
#include "mailbox/mails/kept.h"
#include "mailbox/sealing_conf.h"

#define UIDS_MAX 10000

struct run {
	const struct conf *conf;
	const char *name, *account, *mailbox;
	bool json, list, yes;
	int64_t since_s;
	uint32_t *uids;
	size_t n_uids;
	struct mails *mails;
	json_t *all;
	uint64_t count;
	int status;
};

/* --- arguments --- */

static int
uid_cmp(const void *pa, const void *pb)
{
	const uint32_t *a = pa, *b = pb;

	return *a < *b ? -1 : *a > *b;
}

/* "3,7,12" */
static int
uids_parse(struct run *r, const char *text)
{
	char *end;

	if (r->uids == NULL &&
	    (r->uids = calloc(UIDS_MAX, sizeof(*r->uids))) == NULL)
		return -ENOMEM;
	do {
		unsigned long uid = strtoul(text, &end, 10);

		if (end == text || uid == 0 || uid > UINT32_MAX ||
		    r->n_uids == UIDS_MAX || (*end != '\0' && *end != ','))
			return -EINVAL;
		r->uids[r->n_uids++] = (uint32_t)uid;
		text = end + 1;
	} while (*end == ',');
	qsort(r->uids, r->n_uids, sizeof(*r->uids), uid_cmp);
	return 0;
}

/* "90m", "2h", "3d": so long ago; or "2026-11-20", "2026-11-20T14:30". */
static int
since_parse(const char *text, int64_t *out)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%dT%H:%M",
		"%Y-%m-%dT%H:%M:%S" };
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end != text && end[0] != '\0' && end[1] == '\0' && n < 100000) {
		int64_t unit = *end == 'm' ? 60
		    : *end == 'h'          ? 3600
		    : *end == 'd'          ? 86400
					   : 0;

		*out = clock_wall_s() - (int64_t)n * unit;
		return unit == 0 ? -EINVAL : 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { .tm_isdst = -1 };
		const char *rest = strptime(text, forms[i], &tm);

		if (rest == NULL || *rest != '\0')
			continue;
		*out = mktime(&tm);
		return *out == -1 ? -EINVAL : 0;
	}
	return -EINVAL;
}

/* --- undelete --- */

static void
time_text(int64_t s, char out[static 32])
{
	time_t t = s;
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%S%z", &tm);
}

/* Of the ENVELOPE, as it is there; "" where there is none. */
static const char *
subject_of(struct slice envelope, struct arena *a)
{
	struct slice fields[ENVELOPE_FIELDS], text = SLICE_EMPTY;
	char *p;

	if (envelope_read_split(envelope, fields) != 0 ||
	    envelope_read_string(a, fields[ENVELOPE_SUBJECT], &text) != 0 ||
	    (p = arena_strdup(a, text)) == NULL)
		return "";
	for (char *c = p; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	return p;
}

static bool
is_meant(const struct run *r, const struct mails_kept *k)
{
	if (r->uids != NULL)
		return bsearch(&k->uid, r->uids, r->n_uids, sizeof(*r->uids),
			   uid_cmp) != NULL;
	return k->expunged_s >= r->since_s;
}

static int
list_one(void *arg, const struct mails_kept *k)
{
	struct arena a = ARENA_INIT_MAX(1 << 18);
	struct run *r = arg;
	char when[32];

	if (!is_meant(r, k))
		return 0;
	time_text(k->expunged_s, when);
	r->count++;
	if (r->json)
		json_array_append_new(r->all,
		    json_pack("{s:s, s:I, s:s, s:I, s:s}", "mailbox",
			r->mailbox, "uid", (json_int_t)k->uid, "deleted", when,
			"size", (json_int_t)k->size, "subject",
			subject_of(k->envelope, &a)));
	else
		printf("%-20s %6u %s %9llu %s\n", r->mailbox, k->uid, when,
		    (unsigned long long)k->size, subject_of(k->envelope, &a));
	arena_reset(&a);
	return 0;
}

static int
list_mailbox(struct run *r, bool deleted)
{
	if (!deleted)
		return mails_kept_each(
		    r->mails, r->account, slice_str(r->mailbox), list_one, r);
	if (r->json)
		json_array_append_new(r->all,
		    json_pack("{s:s, s:b}", "mailbox", r->mailbox,
			"mailbox_deleted", true));
	else
		printf("%-20s the mailbox itself\n", r->mailbox);
	return 0;
}

static int
undelete_mailbox(struct run *r)
{
	uint64_t restored = 0;
	int rc = mails_undelete(r->mails, r->account, slice_str(r->mailbox),
	    r->uids, r->n_uids, r->since_s, &restored);

	if (rc == -EEXIST)
		fprintf(stderr,
		    "pneu mail undelete: there is a mailbox %s now; rename "
		    "it first\n",
		    r->mailbox);
	if (rc == 0 && restored > 0)
		printf(
		    "%-20s %llu\n", r->mailbox, (unsigned long long)restored);
	r->count += restored;
	return rc;
}

/* Of all mailboxes, or the one that was named: first those that are there. */
static int
each_mailbox(struct run *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	const char *only = r->mailbox, **deleted;
	struct mails_info *all;
	bool found = false;
	size_t n;
	int rc;

	if ((rc = mails_list(r->mails, r->account, &a, &all, &n)) == 0)
		rc = mails_kept_mailboxes(r->mails, r->account, &a, &deleted);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		r->mailbox = all[i].name;
		if (all[i].id == 0 || (all[i].attrs & MAILS_NOSELECT) != 0 ||
		    (only != NULL && strcmp(only, r->mailbox) != 0))
			continue;
		found = true;
		rc = r->list ? list_mailbox(r, false) : undelete_mailbox(r);
	}
	for (; rc == 0 && *deleted != NULL; deleted++) {
		r->mailbox = *deleted;
		if (only != NULL && strcmp(only, r->mailbox) != 0)
			continue;
		if (r->list)
			rc = list_mailbox(r, true);
		else if (!found || only == NULL)
			rc = undelete_mailbox(r);
		if (rc == -EEXIST && only == NULL)
			rc = 0;
		found = true;
	}
	arena_reset(&a);
	return rc == 0 && only != NULL && !found ? -ENOENT : rc;
}

static int
cmd_undelete(struct run *r)
{
	int rc = each_mailbox(r);

	if (rc == 0 && r->list && r->json &&
	    json_dumpf(r->all, stdout, JSON_INDENT(1)) == 0)
		putchar('\n');
	else if (rc == 0 && !r->list)
		printf(
		    "%llu messages are back\n", (unsigned long long)r->count);
	return rc;
}

/* --- purge --- */

static int
cmd_purge(struct run *r)
{
	uint64_t removed;
	int rc = mails_purge(r->mails, r->account, INT64_MAX, &removed);

	if (rc == 0)
		printf("%llu messages are gone for good\n",
		    (unsigned long long)removed);
	return rc;
}

/* --- the frame --- */

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct mails_conf conf = {
		.store = { .engine = "embedded",
		    .dir = conf_file(r->conf, "mailbox.dir") },
		.keep_s =
		    conf_duration_ms(r->conf, "mailbox.keep_deleted") / 1000,
	};
	struct accounts *accounts = NULL;
	struct buf err = BUF_INIT;
	int rc = accounts_open(&accounts, r->conf, false, &err);

	if (rc == 0)
		rc = sealing_mails_open(
		    &r->mails, r->conf, &conf, accounts, &err);
	if (rc == 0)
		rc = strcmp(r->name, "purge") == 0 ? cmd_purge(r)
						   : cmd_undelete(r);
	if (rc != 0 && rc != -EEXIST)
		fprintf(stderr, "pneu mail %s: %s: %s %s\n", r->name,
		    r->account,
		    rc == -ENOENT ? "no such mailbox" : strerror(-rc),
		    buf_str(&err));
	r->status = rc == 0                                   ? 0
	    : rc == -ENOENT || rc == -EEXIST || rc == -EINVAL ? 1
							      : EX_TEMPFAIL;
	mails_close(&r->mails);
	accounts_close(&accounts);
	buf_clear(&err);
}

static int
usage(const char *name, const char *args)
{
	fprintf(stderr, "usage: pneu mail %s %s\n", name, args);
	return EX_USAGE;
}

static int
run(struct run *r)
{
	r->all = json_array();
	if (co_run(run_main, r) != 0)
		r->status = EX_OSERR;
	json_decref(r->all);
	free(r->uids);
	return fflush(stdout) == 0 ? r->status : EX_IOERR;
}

int
run_undelete(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf, .name = argv[0] };
	bool bad = false;

	for (int i = 1; i < argc && !bad; i++) {
		if (strcmp(argv[i], "--list") == 0)
			r.list = true;
		else if (strcmp(argv[i], "--json") == 0)
			r.json = true;
		else if (strcmp(argv[i], "--uid") == 0)
			bad = ++i == argc || uids_parse(&r, argv[i]) != 0;
		else if (strcmp(argv[i], "--since") == 0)
			bad = ++i == argc ||
			    since_parse(argv[i], &r.since_s) != 0;
		else if (argv[i][0] == '-' || r.mailbox != NULL)
			bad = true;
		else if (r.account == NULL)
			r.account = argv[i];
		else
			r.mailbox = argv[i];
	}
	/* UIDs are of one mailbox. */
	if (bad || r.account == NULL || (r.json && !r.list) ||
	    (r.uids != NULL && r.mailbox == NULL)) {
		free(r.uids);
		return usage(argv[0], KEPT_UNDELETE_ARGS);
	}
	return run(&r);
}

int
run_purge(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf, .name = argv[0] };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--yes") == 0)
			r.yes = true;
		else if (argv[i][0] == '-' || r.account != NULL)
			return usage(argv[0], KEPT_PURGE_ARGS);
		else
			r.account = argv[i];
	}
	if (r.account == NULL)
		return usage(argv[0], KEPT_PURGE_ARGS);
	if (!r.yes) {
		fprintf(stderr,
		    "pneu mail purge: what was deleted from %s cannot be "
		    "brought back then; to do it: pneu mail purge --yes %s\n",
		    r.account, r.account);
		return 1;
	}
	return run(&r);
}
