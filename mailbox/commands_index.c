/* SPDX-License-Identifier: ISC */
/*
 * `pneu mail index`: bring the search index of an account up to date now, or
 * make it anew, or tell how it is. Beside the running daemon.
 */
#include "mailbox/commands_index.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/accounts.h"
#include "mailbox/mails/index.h"
#include "mailbox/sealing_conf.h"

struct run {
	const struct conf *conf;
	const char *dir, *account;
	bool json, status_only, rebuild;
	struct mails *mails;
	struct accounts *accounts;
	json_t *all;
	struct mails_index_status sum;
	const char *mailbox; /* the one that is being indexed */
	uint64_t id;
	int status;
};

static void
add(struct mails_index_status *to, const struct mails_index_status *s)
{
	to->messages += s->messages;
	to->indexed += s->indexed;
	to->blocks += s->blocks;
	to->octets += s->octets;
}

static void
print_line(struct run *r, const char *name, const struct mails_index_status *s)
{
	if (!r->json)
		printf("%-40s %9llu %9llu %7llu %12llu\n", name,
		    (unsigned long long)s->messages,
		    (unsigned long long)s->indexed,
		    (unsigned long long)s->blocks,
		    (unsigned long long)s->octets);
	else
		json_array_append_new(r->all,
		    json_pack("{s:s, s:I, s:I, s:I, s:I}", "mailbox", name,
			"messages", (json_int_t)s->messages, "indexed",
			(json_int_t)s->indexed, "blocks", (json_int_t)s->blocks,
			"octets", (json_int_t)s->octets));
}

/* On a terminal: how far it is, over and over on one line. */
static void
on_progress(void *arg)
{
	struct run *r = arg;
	struct mails_index_status s;

	if (isatty(STDERR_FILENO) &&
	    mails_index_status(r->mails, r->id, &s) == 0)
		fprintf(stderr, "\r%s: %llu of %llu \r", r->mailbox,
		    (unsigned long long)s.indexed,
		    (unsigned long long)s.messages);
}

static int
index_mailbox(struct run *r, const struct mails_info *box)
{
	struct mails_index_status s;
	int rc = 0;

	r->mailbox = box->name;
	r->id = box->id;
	if (r->rebuild)
		rc = mails_index_drop(r->mails, box->id);
	if (rc == 0 && !r->status_only)
		rc = mails_index_build(r->mails, box->id, on_progress, r);
	if (rc == 0)
		rc = mails_index_status(r->mails, box->id, &s);
	if (rc == 0) {
		print_line(r, box->name, &s);
		add(&r->sum, &s);
	}
	return rc;
}

static int
index_account(struct run *r)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct mails_info *boxes;
	size_t n;
	int rc = mails_list(r->mails, r->account, &a, &boxes, &n);

	if (rc == 0 && !r->json)
		printf("%-40s %9s %9s %7s %12s\n", "MAILBOX", "MESSAGES",
		    "INDEXED", "BLOCKS", "OCTETS");
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (boxes[i].id != 0 && (boxes[i].attrs & MAILS_NOSELECT) == 0)
			rc = index_mailbox(r, &boxes[i]);
	arena_reset(&a);
	return rc;
}

static const char *
reason(int rc)
{
	return rc == -EBUSY  ? "another process is indexing this account"
	    : rc == -ENOKEY ? "its mail is sealed to it, and is indexed while "
			      "it is signed in"
			    : strerror(-rc);
}

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct mails_conf conf = { .store = { .engine = "embedded",
				       .dir = r->dir,
				       .readonly = r->status_only } };
	struct buf err = BUF_INIT;
	int rc = r->status_only
	    ? 0
	    : accounts_open(&r->accounts, r->conf, false, &err);

	if (rc == 0)
		rc = sealing_mails_open(
		    &r->mails, r->conf, &conf, r->accounts, &err);

	if (rc == 0)
		rc = index_account(r);
	if (rc != 0)
		fprintf(stderr, "pneu mail index: %s: %s %s\n", r->account,
		    reason(rc), buf_str(&err));
	r->status = rc == 0 ? 0 : rc == -EIO ? 1 : EX_TEMPFAIL;
	mails_close(&r->mails);
	accounts_close(&r->accounts);
	buf_clear(&err);
}

static int
report(struct run *r)
{
	json_t *all;

	if (!r->json) {
		print_line(r, "all", &r->sum);
		return fflush(stdout) == 0 ? r->status : EX_IOERR;
	}
	all = json_pack("{s:s, s:I, s:I, s:I, s:O}", "account", r->account,
	    "messages", (json_int_t)r->sum.messages, "indexed",
	    (json_int_t)r->sum.indexed, "octets", (json_int_t)r->sum.octets,
	    "mailboxes", r->all);
	if (all == NULL || json_dumpf(all, stdout, JSON_INDENT(1)) != 0)
		r->status = EX_OSERR;
	putchar('\n');
	json_decref(all);
	return fflush(stdout) == 0 ? r->status : EX_IOERR;
}

int
run_index(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf, .dir = conf_file(conf, "mailbox.dir") };
	int status;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			r.json = true;
		else if (strcmp(argv[i], "--status") == 0)
			r.status_only = true;
		else if (strcmp(argv[i], "--rebuild") == 0)
			r.rebuild = true;
		else if (argv[i][0] == '-' || r.account != NULL)
			goto usage;
		else
			r.account = argv[i];
	}
	if (r.account == NULL || (r.status_only && r.rebuild))
		goto usage;
	r.all = json_array();
	if (co_run(run_main, &r) != 0)
		r.status = EX_OSERR;
	status = r.status == 0 ? report(&r) : r.status;
	json_decref(r.all);
	return status;
usage:
	fprintf(stderr,
	    "usage: pneu mail index [--json] "
	    "[--status | --rebuild] ACCOUNT\n");
	return EX_USAGE;
}
