/* SPDX-License-Identifier: ISC */
/* pneu password set|list|remove: the main password of an account, and app
 * passwords: one per device, each for what it needs, each revoked by itself. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/auth/password.h"
#include "common/auth/seal.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/seal.h"
#include "mgmt/secret.h"

#define MAIN_PASSWORD "password"

struct password_args {
	const char *account;
	const char *name;
	unsigned scopes;
	bool generate, json, recovery, lose;
	struct secret secret;
};

static const struct {
	const char *name;
	unsigned scope;
} scopes[] = {
	{ "imap", ACCOUNTS_IMAP },
	{ "pop3", ACCOUNTS_POP3 },
	{ "submission", ACCOUNTS_SUBMISSION },
	{ "api", ACCOUNTS_API },
};
#define N_SCOPES (sizeof(scopes) / sizeof(scopes[0]))

/* --- the command line --- */

unsigned
password_scope(struct slice word)
{
	for (size_t i = 0; i < N_SCOPES; i++)
		if (slice_eq_str(word, scopes[i].name))
			return scopes[i].scope;
	return 0;
}

/* "imap,submission" or "all". */
static bool
scopes_parse(const char *text, unsigned *out)
{
	struct slice rest = slice_str(text);

	*out = 0;
	if (slice_eq_str(rest, "all"))
		return true;
	do {
		struct slice word = slice_trim(slice_split(&rest, ','));
		unsigned scope = password_scope(word);

		if (scope == 0) {
			complain("%.*s: not a scope; these are imap, pop3, "
				 "submission, api and all",
			    (int)word.n, word.p);
			return false;
		}
		*out |= scope;
	} while (rest.n > 0);
	return true;
}

static bool
parse(struct password_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "scope", required_argument, NULL, 's' },
		{ "generate", no_argument, NULL, 'g' },
		{ "recovery", no_argument, NULL, 'r' },
		{ "lose-sealed-mail", no_argument, NULL, 'L' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	in->name = MAIN_PASSWORD;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			in->name = optarg;
		else if (c == 'g')
			in->generate = true;
		else if (c == 'r')
			in->recovery = true;
		else if (c == 'L')
			in->lose = true;
		else if (c != 's' || !scopes_parse(optarg, &in->scopes))
			return false;
	}
	if (argc - optind == 2)
		complain("a password is never an argument: other users and "
			 "the shell's history would see it");
	if (argc - optind != 1 || (in->recovery && in->lose))
		return false;
	in->account = argv[optind];
	return true;
}

/* --- set --- */

/* The new password, set; `key` is what it is to open, or NULL. */
static int
set_with(struct directory *d, struct password_args *in,
    const struct accounts_account *v, const struct seal_key *key)
{
	struct accounts_password_change ch = { .name = in->name,
		.scopes = in->scopes,
		.key = key,
		.lose_sealed = in->lose };
	int rc;

	if (in->generate) {
		password_generate(in->secret.text);
		in->secret.n = PASSWORD_GENERATED_LEN;
	} else if (!secret_read(&in->secret, in->account)) {
		return EX_USAGE;
	}
	ch.password = slice(in->secret.text, in->secret.n);
	rc = accounts_password_change(
	    d->a, slice_str(in->account), &ch, &d->err);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->generate)
		printf("%s\n", in->secret.text);
	if (v->has_key && in->lose && accounts_scopes_may_read(in->scopes))
		fprintf(stderr,
		    "%s has a new key pair: what was sealed until now cannot "
		    "be read by anybody any more\n",
		    v->address);
	return EX_OK;
}

static int
set(struct directory *d, void *arg)
{
	struct password_args *in = arg;
	struct seal_key *key = NULL;
	struct accounts_account v;
	int status = EX_OK;
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(in->account), &v);

	if (rc == -ENOENT)
		return no_such_account(d, in->account);
	if (rc != 0)
		return directory_failed(d, rc);
	if (v.has_key && !in->lose && accounts_scopes_may_read(in->scopes))
		status = seal_key_ask(d, v.address, in->recovery, &key);
	if (status == EX_OK)
		status = set_with(d, in, &v, key);
	seal_key_unref(&key);
	return status;
}

int
cmd_password_set(const struct conf *conf, int argc, char **argv)
{
	struct password_args in = { 0 };
	int status;

	if (!parse(&in, argc, argv))
		return command_usage();
	status = directory_run(conf, true, set, &in);
	secret_wipe(&in.secret);
	return status;
}

/* --- list --- */

json_t *
password_scopes_json(unsigned v)
{
	json_t *j = json_array();

	for (size_t i = 0; i < N_SCOPES; i++)
		if (v == 0 || (v & scopes[i].scope) != 0)
			json_array_append_new(j, json_string(scopes[i].name));
	return j;
}

static const char *
scopes_text(struct arena *a, unsigned v)
{
	struct buf b = BUF_INIT;
	const char *s;

	for (size_t i = 0; i < N_SCOPES; i++)
		if ((v & scopes[i].scope) != 0)
			buf_printf(
			    &b, "%s%s", b.n > 0 ? ", " : "", scopes[i].name);
	s = v == 0 ? "all" : arena_strdup(a, buf_slice(&b));
	buf_clear(&b);
	return s;
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "PASSWORD", "SCOPE", "CREATED",
		"LAST USED", "OPENS SEALED MAIL" };
	const struct password_args *in = arg;
	struct accounts_credential *v = NULL;
	struct accounts_account account;
	json_t *j;
	struct table t;
	size_t n = 0;
	int rc = accounts_credential_list(
	    d->a, &d->arena, slice_str(in->account), &v, &n);

	if (rc == -ENOENT)
		return no_such_account(d, in->account);
	if (rc != 0)
		return directory_failed(d, rc);
	if (in->json) {
		j = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(j,
			    json_pack("{s:s, s:o, s:o, s:o, s:b}", "name",
				v[i].name, "scopes", password_scopes_json(v[i].scopes),
				"created", json_time(v[i].created_s), "used",
				json_time(v[i].used_s), "opens_sealed",
				v[i].opens));
		return json_print(j);
	}
	if (n == 0) {
		fprintf(stderr,
		    "%s has no password, so nobody can sign in; "
		    "next: pneu password set %s\n",
		    in->account, in->account);
		return EX_OK;
	}
	rc = accounts_account_get(
	    d->a, &d->arena, slice_str(in->account), &account);
	if (rc != 0)
		return directory_failed(d, rc);
	/* Who seals nothing is not asked to think of it. */
	table_init(&t, &d->arena, account.has_key ? 5 : 4, head);
	for (size_t i = 0; i < n; i++)
		table_row(&t,
		    (const char *const[]){ v[i].name,
			scopes_text(&d->arena, v[i].scopes),
			time_text(&d->arena, v[i].created_s),
			v[i].used_s == 0 ? NULL
					 : time_text(&d->arena, v[i].used_s),
			v[i].opens ? "yes" : NULL });
	table_print(&t);
	return EX_OK;
}

int
cmd_password_list(const struct conf *conf, int argc, char **argv)
{
	struct password_args in = { 0 };

	if (!options_json(argc, argv, 1, 1, &in.json))
		return command_usage();
	in.account = argv[optind];
	return directory_run(conf, false, list, &in);
}

/* --- remove --- */

static int
remove_it(struct directory *d, void *arg)
{
	const struct password_args *in = arg;
	struct accounts_account v;
	int rc =
	    accounts_account_get(d->a, &d->arena, slice_str(in->account), &v);

	if (rc == -ENOENT)
		return no_such_account(d, in->account);
	if (rc == 0 && in->lose)
		rc = accounts_credential_remove_lose(
		    d->a, slice_str(in->account), in->name, &d->err);
	else if (rc == 0)
		rc = accounts_credential_remove(
		    d->a, slice_str(in->account), in->name, &d->err);
	if (rc == -ENOENT)
		return no_such_password(d, in->account, in->name);
	if (rc == -ENOKEY) {
		rc = directory_failed(d, rc);
		fprintf(stderr,
		    "      set another one first, or make a recovery key: pneu "
		    "account recovery %s;\n"
		    "      to give up what is sealed for good: "
		    "--lose-sealed-mail\n",
		    v.address);
		return rc;
	}
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_password_remove(const struct conf *conf, int argc, char **argv)
{
	struct password_args in = { 0 };

	if (!parse(&in, argc, argv) || in.generate || in.scopes != 0 ||
	    in.recovery)
		return command_usage();
	return directory_run(conf, true, remove_it, &in);
}
