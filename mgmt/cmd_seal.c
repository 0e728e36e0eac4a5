/* SPDX-License-Identifier: ISC */
/* pneu account seal|recovery: an account's key pair, to which its mail is
 * sealed (docs/sealing.md). */
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/seal.h"
#include "common/auth/unlock.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/seal.h"
#include "mgmt/secret.h"

struct seal_args {
	const char *address;
	bool recovery, remove;
	struct secret secret;
};

static bool
parse(struct seal_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "recovery", no_argument, NULL, 'r' },
		{ "remove", no_argument, NULL, 'R' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			in->recovery = true;
		else if (c == 'R')
			in->remove = true;
		else
			return false;
	}
	if (argc - optind != 1)
		return false;
	in->address = argv[optind];
	return true;
}

/* --- the key, by what a person knows --- */

static int
not_opened(struct directory *d, const char *account, bool recovery, int rc)
{
	int status = directory_failed(d, rc);

	if (rc == -EACCES && !recovery)
		fprintf(stderr,
		    "      a password that opens the sealed mail of %s comes "
		    "first, then the new one;\n"
		    "      with the recovery key instead: --recovery; to give up "
		    "what is sealed for good: --lose-sealed-mail\n",
		    account);
	else if (rc == -EACCES)
		fputs("      to give up what is sealed for good: "
		      "--lose-sealed-mail\n",
		    stderr);
	return status;
}

int
seal_key_ask(struct directory *d, const char *account, bool recovery,
    struct seal_key **key)
{
	struct secret secret = { 0 };
	const char *prompt = arena_printf(&d->arena,
	    recovery ? "Recovery key of %s: "
		     : "A password of %s that opens its sealed mail: ",
	    account);
	struct slice text;
	int rc;

	*key = NULL;
	if (prompt == NULL || !secret_read_once(&secret, prompt)) {
		secret_wipe(&secret);
		return EX_USAGE;
	}
	text = slice(secret.text, secret.n);
	rc = recovery
	    ? accounts_key_recover(d->a, slice_str(account), text, key, &d->err)
	    : accounts_key_open(d->a, slice_str(account), text, key, &d->err);
	secret_wipe(&secret);
	return rc == 0 ? EX_OK : not_opened(d, account, recovery, rc);
}

/* --- a recovery key --- */

/* Print a new one: the only time that anybody sees it. */
static int
recovery_print(struct directory *d, const char *account,
    const struct seal_key *key)
{
	char text[RECOVERY_TEXT_LEN + 1] = "";
	int rc = accounts_recovery_make(
	    d->a, slice_str(account), key, text, &d->err);

	if (rc == 0) {
		printf("%s\n", text);
		fprintf(stderr,
		    "This key opens the sealed mail of %s when its passwords "
		    "are forgotten.\n"
		    "Keep it on paper; nobody can show it again. It is asked "
		    "for by: pneu password set --recovery %s\n",
		    account, account);
	}
	OPENSSL_cleanse(text, sizeof(text));
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
account_get(
    struct directory *d, const char *address, struct accounts_account *v)
{
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(address), v);

	if (rc == -ENOENT)
		return no_such_account(d, address);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
recovery(struct directory *d, void *arg)
{
	struct seal_args *in = arg;
	struct accounts_account v;
	struct seal_key *key;
	int status = account_get(d, in->address, &v), rc;

	if (status != EX_OK)
		return status;
	if (!v.has_key) {
		complain("%s has no key pair; next: pneu account seal %s",
		    v.address, v.address);
		return 1;
	}
	if (in->remove) {
		rc = accounts_recovery_remove(
		    d->a, slice_str(v.address), &d->err);
		return rc == 0 ? EX_OK : directory_failed(d, rc);
	}
	if ((status = seal_key_ask(d, v.address, in->recovery, &key)) == EX_OK)
		status = recovery_print(d, v.address, key);
	seal_key_unref(&key);
	return status;
}

int
cmd_account_recovery(const struct conf *conf, int argc, char **argv)
{
	struct seal_args in = { 0 };

	if (!parse(&in, argc, argv) || (in.recovery && in.remove))
		return command_usage();
	return directory_run(conf, true, recovery, &in);
}

/* --- seal --- */

static void
tell_closed(struct directory *d, const char *account)
{
	struct accounts_credential *v = NULL;
	size_t n = 0;

	if (accounts_credential_list(
		d->a, &d->arena, slice_str(account), &v, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (!v[i].opens && accounts_scopes_may_read(v[i].scopes))
			fprintf(stderr,
			    "the password \"%s\" does not open what is sealed "
			    "until it is set again; next: pneu password set "
			    "--name %s %s\n",
			    v[i].name, v[i].name, account);
}

/* The pair, by a password; then its recovery key, if that is wanted. */
static int
make_pair(struct directory *d, const char *account, struct seal_args *in)
{
	const char *prompt = arena_printf(
	    &d->arena, "Password for %s, which is to open its mail: ", account);
	struct seal_key *key = NULL;
	struct slice text;
	int status, rc;

	if (prompt == NULL || !secret_read_once(&in->secret, prompt))
		return EX_USAGE;
	text = slice(in->secret.text, in->secret.n);
	rc = accounts_key_make(d->a, slice_str(account), text, &d->err);
	if (rc == 0 && in->recovery)
		rc = accounts_key_open(
		    d->a, slice_str(account), text, &key, &d->err);
	status = rc == 0 ? EX_OK : directory_failed(d, rc);
	if (key != NULL)
		status = recovery_print(d, account, key);
	seal_key_unref(&key);
	if (status == EX_OK)
		tell_closed(d, account);
	return status;
}

/* What comes in is sealed to the account from now on; what is there is for
 * pneu-mailbox to seal. */
static int
choose(struct directory *d, struct accounts_account *v)
{
	struct accounts_sealing s;
	int rc = accounts_sealing_get(d->a, slice_str(v->address), &s);

	if (rc == 0 && s.how != ACCOUNTS_ENCRYPTION_ACCOUNT) {
		v->encryption = ACCOUNTS_ENCRYPTION_ACCOUNT;
		rc = accounts_account_put(d->a, v, false, &d->err);
	}
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
seal(struct directory *d, void *arg)
{
	struct seal_args *in = arg;
	struct accounts_account v;
	int status = account_get(d, in->address, &v);

	if (status == EX_OK && v.has_key && in->recovery) {
		complain("%s has a key pair; for a new recovery key: "
			 "pneu account recovery %s",
		    v.address, v.address);
		status = 1;
	}
	if (status == EX_OK && !v.has_key)
		status = make_pair(d, v.address, in);
	return status == EX_OK ? choose(d, &v) : status;
}

int
cmd_account_seal(const struct conf *conf, int argc, char **argv)
{
	struct seal_args in = { 0 };
	int status;

	if (!parse(&in, argc, argv) || in.remove)
		return command_usage();
	status = directory_run(conf, true, seal, &in);
	secret_wipe(&in.secret);
	if (status != EX_OK)
		return status;
	/* The other program does not know what was printed here. */
	fflush(stdout);
	return hand_over_mail("seal", in.address);
}
