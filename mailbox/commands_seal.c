/* SPDX-License-Identifier: ISC */
/*
 * `pneu mail seal` and `unseal`: mail that is there already becomes as mail
 * that comes in is. Beside the running daemon; ended early, the next call goes
 * on.
 */
#include "mailbox/commands_seal.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/seal.h"
#include "common/base/log.h"
#include "mailbox/commands_door_impl.h"
#include "mailbox/mails/reseal.h"
#include "mailbox/sealing_conf.h"

struct run {
	const struct conf *conf;
	const char *name, *args;
	bool unseal, json;
	const char *password_file;
	const char *account;
	struct mails *mails;
	struct accounts *accounts;
	struct arena arena;
	uint64_t total, seen;
	struct mails_resealed sum;
	int status;
};

static int
complain(const struct run *r, const char *what, int rc)
{
	fprintf(stderr, "pneu mail %s: %s: %s\n", r->name, log_qs(r->account),
	    what);
	return rc;
}

static const char *
reason(int rc)
{
	return rc == -EBUSY  ? "another process is at it"
	    : rc == -ENOENT ? "no such account; see: pneu account list"
	    : rc == -ENOKEY ? "there is no server's key, see "
			      "mailbox.sealing_key"
			    : strerror(-rc);
}

static void
on_progress(void *arg)
{
	struct run *r = arg;

	if (++r->seen % 16 == 0 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%llu of %llu \r",
		    (unsigned long long)r->seen, (unsigned long long)r->total);
}

/* Of what is sealed to the account. *k NULL: it has no key pair. */
static int
ask_key(struct run *r, const struct accounts_account *a, struct seal_key **k)
{
	struct door d = { .name = r->name, .password_file = r->password_file };
	struct slice address = slice_str(a->address), secret;
	struct buf why = BUF_INIT;
	char text[512], prompt[400];
	int rc;

	if (!r->unseal || !a->has_key)
		return 0;
	snprintf(prompt, sizeof(prompt),
	    "Password or recovery key of %s: ", log_qs(a->address));
	if ((rc = door_secret(&d, prompt, text, sizeof(text))) != 0)
		return rc;
	secret = slice_str(text);
	rc = accounts_key_open(r->accounts, address, secret, k, &why);
	if (rc == -EACCES)
		rc = accounts_key_recover(
		    r->accounts, address, secret, k, &why);
	explicit_bzero(text, sizeof(text));
	buf_clear(&why);
	return rc == 0 ? 0
		       : complain(r,
			     rc == -EACCES ? "this opens no sealed mail"
					   : reason(rc),
			     rc);
}

static int
seal_account(struct run *r)
{
	struct accounts_account a;
	struct seal_key *k = NULL;
	enum mails_sealing how;
	uint64_t octets;
	int rc = accounts_account_get(
	    r->accounts, &r->arena, slice_str(r->account), &a);

	if (rc == 0)
		rc = mails_sealing_of(r->mails, a.address, &how);
	if (rc != 0)
		return complain(r, reason(rc), rc);
	if (!r->unseal && how == MAILS_SEAL_NONE)
		return complain(r,
		    "its mail is not sealed; first: pneu account set "
		    "--encryption server|account",
		    -EINVAL);
	if (r->unseal && how == MAILS_SEAL_ACCOUNT)
		return complain(r,
		    "its mail is sealed to it; first: pneu account set "
		    "--encryption none|server",
		    -EINVAL);
	if ((rc = ask_key(r, &a, &k)) != 0)
		return rc;
	(void)mails_usage(r->mails, a.address, &octets, &r->total);
	rc = mails_reseal(r->mails, a.address, k, on_progress, r, &r->sum);
	seal_key_unref(&k);
	return rc == 0 ? 0 : complain(r, reason(rc), rc);
}

static int
report(struct run *r)
{
	const struct mails_resealed *s = &r->sum;
	json_t *j;

	if (!r->json) {
		printf("%llu of %llu messages (%llu octets) made anew",
		    (unsigned long long)s->done,
		    (unsigned long long)s->messages,
		    (unsigned long long)s->octets);
		if (s->locked > 0)
			printf("; %llu are sealed to the account and stay so: "
			       "pneu mail unseal asks for its password",
			    (unsigned long long)s->locked);
		if (s->failed > 0)
			printf("; %llu could not be read, see pneu mail check",
			    (unsigned long long)s->failed);
		putchar('\n');
	} else {
		j = json_pack("{s:I, s:I, s:I, s:I, s:I}", "messages",
		    (json_int_t)s->messages, "done", (json_int_t)s->done,
		    "octets", (json_int_t)s->octets, "locked",
		    (json_int_t)s->locked, "failed", (json_int_t)s->failed);
		if (j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0)
			return EX_OSERR;
		putchar('\n');
		json_decref(j);
	}
	return fflush(stdout) != 0           ? EX_IOERR
	    : s->locked + s->failed > 0      ? 1
					     : 0;
}

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
		fprintf(stderr, "pneu mail %s: %s: %s %s\n", r->name,
		    conf.store.dir, strerror(-rc), buf_str(&err));
		r->status = EX_TEMPFAIL;
	} else if ((rc = seal_account(r)) == 0) {
		r->status = report(r);
	} else {
		r->status = rc == -ENOENT || rc == -EINVAL || rc == -EACCES ||
			rc == -ENODATA
		    ? 1
		    : EX_TEMPFAIL;
	}
	mails_close(&r->mails);
	accounts_close(&r->accounts);
	arena_reset(&r->arena);
	buf_clear(&err);
}

static int
run(struct run *r, int argc, char **argv)
{
	r->name = argv[0];
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			r->json = true;
		else if (r->unseal && i + 1 < argc &&
		    strcmp(argv[i], "--password-file") == 0)
			r->password_file = argv[++i];
		else if (argv[i][0] == '-' || r->account != NULL)
			goto usage;
		else
			r->account = argv[i];
	}
	if (r->account == NULL)
		goto usage;
	r->arena = ARENA_INIT_MAX((size_t)1 << 20);
	return co_run(run_main, r) != 0 ? EX_OSERR : r->status;
usage:
	fprintf(stderr, "usage: pneu mail %s %s\n", r->name, r->args);
	return EX_USAGE;
}

int
run_seal(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf, .args = SEAL_ARGS };

	return run(&r, argc, argv);
}

int
run_unseal(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf, .args = UNSEAL_ARGS, .unseal = true };

	return run(&r, argc, argv);
}
