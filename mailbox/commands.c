/* SPDX-License-Identifier: ISC */
/*
 * The admin's commands. They open the mail store beside the running daemon
 * (several processes may), do one thing as a coroutine, and print it as an
 * aligned table or, with --json, as JSON.
 */
#include "mailbox/commands.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/accounts.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "mailbox/commands_door.h"
#include "mailbox/commands_index.h"
#include "mailbox/commands_ipfs.h"
#include "mailbox/commands_kept.h"
#include "mailbox/commands_seal.h"
#include "mailbox/commands_store.h"
#include "mailbox/ipfs/keeper.h"
#include "mailbox/mails/mails.h"
#include "mailbox/sealing_conf.h"

#define CHUNK ((size_t)64 << 10)

/* One run of one command. */
struct run {
	const struct conf *conf;
	int argc;
	char **argv; /* operands, options taken out */
	bool json;
	bool yes;
	struct mails *mails;
	struct accounts *accounts;
	struct arena arena;
	int (*fn)(struct run *r); /* 0 or -errno */
	int status;
};

static int
complain(const char *what, int rc)
{
	fprintf(stderr, "pneu mail: %s: %s\n", what,
	    rc == -ENOENT ? "not there; see: pneu mail accounts, pneu mail list"
	    : rc == -ENOKEY
			  ? "sealed to the account, whose passwords open it; "
			    "see: pneu mail export"
			  : strerror(-rc));
	return rc;
}

static int
print_json(json_t *j)
{
	int rc = j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0
	    ? -ENOMEM
	    : 0;

	putchar('\n');
	json_decref(j);
	return rc;
}

static void
size_text(uint64_t n, char out[static 16])
{
	static const char units[] = "BKMGT";
	double v = (double)n;
	int u = 0;

	for (; v >= 1024 && units[u + 1] != '\0'; u++)
		v /= 1024;
	snprintf(out, 16, u == 0 ? "%.0f" : "%.1f%c", v, units[u]);
}

static struct slice
operand(const struct run *r, int i, const char *otherwise)
{
	return slice_str(i < r->argc ? r->argv[i] : otherwise);
}

/* --- accounts --- */

static int
cmd_accounts(struct run *r)
{
	json_t *all = json_array();
	const char **accounts;
	uint64_t octets, messages;
	char size[16];
	size_t n;
	int rc = mails_accounts(r->mails, &r->arena, &accounts, &n);

	if (rc == 0 && !r->json)
		printf("%-40s %9s %9s\n", "ACCOUNT", "MESSAGES", "SIZE");
	for (size_t i = 0; rc == 0 && i < n; i++) {
		rc = mails_usage(r->mails, accounts[i], &octets, &messages);
		size_text(octets, size);
		if (rc == 0 && !r->json)
			printf("%-40s %9llu %9s\n", accounts[i],
			    (unsigned long long)messages, size);
		json_array_append_new(all,
		    json_pack("{s:s, s:I, s:I}", "account", accounts[i],
			"messages", (json_int_t)messages, "octets",
			(json_int_t)octets));
	}
	if (rc == 0 && r->json)
		return print_json(all);
	json_decref(all);
	return rc;
}

/* --- list --- */

static int
cmd_list(struct run *r)
{
	json_t *all = json_array();
	struct mails_info *boxes;
	struct mails_status st;
	char size[16];
	size_t n;
	int rc = mails_list(r->mails, r->argv[0], &r->arena, &boxes, &n);

	if (rc == 0 && !r->json)
		printf("%-40s %9s %9s %9s\n", "MAILBOX", "MESSAGES", "UNSEEN",
		    "SIZE");
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (boxes[i].attrs & MAILS_NOSELECT)
			continue;
		rc = mails_status(
		    r->mails, r->argv[0], slice_str(boxes[i].name), &st);
		if (rc != 0)
			break;
		size_text(st.octets, size);
		if (!r->json)
			printf("%-40s %9u %9u %9s\n", boxes[i].name,
			    st.messages, st.unseen, size);
		json_array_append_new(all,
		    json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:b}", "mailbox",
			boxes[i].name, "messages", (int)st.messages, "unseen",
			(int)st.unseen, "octets", (json_int_t)st.octets,
			"uidvalidity", (json_int_t)st.uidvalidity, "uidnext",
			(json_int_t)st.uidnext, "subscribed",
			(boxes[i].attrs & MAILS_SUBSCRIBED) != 0));
	}
	if (rc == 0 && r->json)
		return print_json(all);
	json_decref(all);
	return rc;
}

/* --- messages --- */

static const char *
flags_text(uint32_t system, char out[static 6])
{
	static const struct {
		uint32_t flag;
		char letter;
	} letters[] = { { MAILS_SEEN, 'S' }, { MAILS_ANSWERED, 'R' },
		{ MAILS_FLAGGED_FLAG, 'F' }, { MAILS_DELETED, 'T' },
		{ MAILS_DRAFT, 'D' } };

	for (size_t i = 0; i < 5; i++)
		out[i] = system & letters[i].flag ? letters[i].letter : '-';
	out[5] = '\0';
	return out;
}

static int
message_line(struct run *r, struct mails_view *v, uint32_t seq, json_t *all)
{
	struct arena a = ARENA_INIT_MAX((size_t)4 << 20);
	struct mails_summary sum = { 0 };
	struct buf date = BUF_INIT;
	struct mails_row row;
	char flags[6];
	int rc = mails_row(v, seq, &row);

	/* One that is damaged, or sealed, has its line all the same. */
	if (rc == 0 && (rc = mails_summary(v, seq, &a, &sum)) == -ENOKEY)
		sum.base_subject = SLICE_LIT("(sealed to the account)");
	if (rc == -EIO || rc == -ENOKEY)
		rc = 0;
	if (rc == 0) {
		date_put_iso(&date, row.internaldate);
		flags_text(row.flags.system, flags);
		if (!r->json)
			printf("%8u  %s  %10llu  %s  %s\n", row.uid,
			    buf_str(&date), (unsigned long long)row.size, flags,
			    log_q(sum.base_subject));
		json_array_append_new(all,
		    json_pack("{s:I, s:s, s:I, s:s, s:o}", "uid",
			(json_int_t)row.uid, "received", buf_str(&date),
			"octets", (json_int_t)row.size, "flags", flags,
			"subject",
			json_stringn_nocheck(
			    sum.base_subject.p ? sum.base_subject.p : "",
			    sum.base_subject.n)));
	}
	buf_clear(&date);
	arena_reset(&a);
	return rc;
}

static int
cmd_messages(struct run *r)
{
	json_t *all = json_array();
	struct mails_view *v = NULL;
	int rc =
	    mails_view_open(r->mails, r->argv[0], operand(r, 1, "INBOX"), &v);

	for (uint32_t i = 1; rc == 0 && i <= mails_view_count(v); i++)
		rc = message_line(r, v, i, all);
	mails_view_close(&v);
	if (rc == 0 && r->json)
		return print_json(all);
	json_decref(all);
	return rc;
}

/* --- show, add, remove --- */

static int
print_message(struct mails_view *v, uint32_t seq)
{
	char *chunk = malloc(CHUNK);
	uint64_t at = 0;
	size_t got = 1;
	int rc = chunk == NULL ? -ENOMEM : 0;

	while (rc == 0 && got > 0) {
		rc = mails_read(v, seq, at, chunk, CHUNK, &got);
		if (rc == 0 && fwrite(chunk, 1, got, stdout) != got)
			rc = -EIO;
		at += got;
	}
	free(chunk);
	return rc;
}

static int
cmd_show(struct run *r)
{
	struct mails_view *v = NULL;
	uint64_t uid;
	uint32_t seq;
	bool exact;
	int rc;

	if (slice_u64(slice_str(r->argv[2]), UINT32_MAX, &uid) != 0)
		return -EINVAL;
	rc = mails_view_open(r->mails, r->argv[0], slice_str(r->argv[1]), &v);
	if (rc == 0) {
		seq = mails_view_seq(v, (uint32_t)uid, &exact);
		rc = exact ? print_message(v, seq) : -ENOENT;
	}
	mails_view_close(&v);
	return rc;
}

/* Standard input with any line ends becomes CRLF (Mails wants no other). */
static int
take_input(struct mails_message *msg)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0 && (n = getline(&line, &room, stdin)) > 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		rc = mails_message_write(msg, slice(line, (size_t)n));
		if (rc == 0)
			rc = mails_message_write(msg, SLICE_LIT("\r\n"));
	}
	free(line);
	return rc == 0 && ferror(stdin) ? -EIO : rc;
}

static int
cmd_add(struct run *r)
{
	struct mails_message *msg = NULL;
	struct mails_target t = { .account = r->argv[0],
		.mailbox = operand(r, 1, "INBOX"),
		.internaldate = INT64_MIN };
	int rc = mails_message_begin(r->mails, &msg);

	if (rc == 0)
		rc = mails_message_for(msg, t.account);
	if (rc == 0)
		rc = take_input(msg);
	if (rc == 0)
		rc = mails_message_end(msg);
	if (rc == 0)
		rc = mails_deliver(msg, &t, 1);
	mails_message_free(&msg);
	if (rc == 0)
		printf("stored as UID %u\n", t.uid);
	return rc;
}

static int
cmd_remove(struct run *r)
{
	if (!r->yes) {
		fprintf(stderr,
		    "pneu mail: this deletes all mail of %s for good; to do "
		    "it: pneu mail remove --yes %s\n",
		    r->argv[0], r->argv[0]);
		return -EPERM;
	}
	return mails_account_drop(r->mails, r->argv[0]);
}

/* --- the frame --- */

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct mails_conf conf = { .store = { .engine = "embedded",
				       .dir = conf_file(
					   r->conf, "mailbox.dir") },
		.compression =
		    (int)conf_int(r->conf, "mailbox.compression") };
	struct buf err = BUF_INIT;
	int rc = accounts_open(&r->accounts, r->conf, false, &err);

	if (rc == 0)
		rc = sealing_mails_open(
		    &r->mails, r->conf, &conf, r->accounts, &err);
	if (rc != 0) {
		fprintf(stderr, "pneu mail: %s: %s %s\n", conf.store.dir,
		    strerror(-rc), buf_str(&err));
		r->status = EX_TEMPFAIL;
	} else if ((rc = r->fn(r)) != 0) {
		if (rc != -EPERM)
			complain(r->argc > 0 ? r->argv[0] : "mail", rc);
		r->status = 1;
	}
	if (r->mails != NULL)
		ipfs_hint(r->mails);
	mails_close(&r->mails);
	accounts_close(&r->accounts);
	arena_reset(&r->arena);
	buf_clear(&err);
}

static int
run(const struct conf *conf, int argc, char **argv, int min, int max,
    int (*fn)(struct run *))
{
	struct run r = { .conf = conf, .fn = fn };
	char *operands[8];

	r.argv = operands;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			r.json = true;
		else if (strcmp(argv[i], "--yes") == 0)
			r.yes = true;
		else if (argv[i][0] == '-' || r.argc == max)
			goto usage;
		else
			operands[r.argc++] = argv[i];
	}
	if (r.argc < min)
		goto usage;
	if (co_run(run_main, &r) != 0)
		return EX_OSERR;
	return r.status;
usage:
	for (const struct service_command *c = mailbox_commands; c->name; c++)
		if (strcmp(c->name, argv[0]) == 0)
			fprintf(stderr, "usage: pneu mail %s %s\n", c->name,
			    c->args);
	return EX_USAGE;
}

#define COMMAND(name, min, max)                                                \
	static int run_##name(const struct conf *conf, int argc, char **argv)  \
	{                                                                      \
		return run(conf, argc, argv, min, max, cmd_##name);            \
	}

COMMAND(accounts, 0, 0)
COMMAND(list, 1, 1)
COMMAND(messages, 1, 2)
COMMAND(show, 3, 3)
COMMAND(add, 1, 2)
COMMAND(remove, 1, 1)

const struct service_command mailbox_commands[] = {
	{ "accounts", "[--json]", "Accounts that have mail, and how much",
	    run_accounts },
	{ "list", "[--json] ACCOUNT", "Mailboxes of an account", run_list },
	{ "messages", "[--json] ACCOUNT [MAILBOX]",
	    "Messages of a mailbox (default: INBOX)", run_messages },
	{ "show", "ACCOUNT MAILBOX UID", "A message as it is stored",
	    run_show },
	{ "add", "ACCOUNT [MAILBOX] <MESSAGE",
	    "Put a message from standard input in a mailbox", run_add },
	{ "remove", "--yes ACCOUNT", "Delete all mail of an account",
	    run_remove },
	{ "undelete", KEPT_UNDELETE_ARGS,
	    "Bring back what was expunged, or list it", run_undelete },
	{ "purge", KEPT_PURGE_ARGS, "Remove for good what was expunged",
	    run_purge },
	{ "index", "[--json] [--status | --rebuild] ACCOUNT",
	    "Bring the search index of an account up to date", run_index },
	{ "seal", SEAL_ARGS,
	    "Seal what an account has already, as mail that comes in is",
	    run_seal },
	{ "unseal", UNSEAL_ARGS,
	    "The opposite, once its mail is not sealed any more", run_unseal },
	{ "copy", DOOR_COPY_ARGS,
	    "Bring in, and keep bringing in, mail of another IMAP server",
	    run_copy },
	{ "import", DOOR_IMPORT_ARGS "\n    or " IPFS_IMPORT_ARGS,
	    "Bring in mail of a Maildir, mbox or tar", run_import },
	{ "export", DOOR_EXPORT_ARGS "\n    or " IPFS_EXPORT_ARGS,
	    "Write all mail of an account as Maildir, mbox or tar",
	    run_export },
	{ "ipfs", IPFS_STATUS_ARGS,
	    "How far the IPFS node of mailbox.ipfs has all mail",
	    run_ipfs_status },
	{ "check", "[--json] [--rebuild [--recover-to ADDRESS]]",
	    "Verify all mail; or make again what rows are lost", run_check },
	{ "collect", "[--json]", "Remove what crashes left over", run_collect },
	{ "stats", "[--json]", "What the store takes up", run_stats },
	{ "backup", "DIR", "Copy all mail to DIR, as it is now", run_backup },
	{ "verify", "[--json] DIR", "Verify a backup", run_verify },
	{ "restore", "DIR", "Put a backup where no mail is yet", run_restore },
	{ 0 },
};
