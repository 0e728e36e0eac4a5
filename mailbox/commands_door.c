/* SPDX-License-Identifier: ISC */
/* The commands of the two-way door; they run beside the daemons. */
#include "mailbox/commands_door_impl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/seal.h"
#include "common/base/log.h"
#include "mailbox/commands_ipfs.h"
#include "mailbox/door/give.h"
#include "mailbox/door/source.h"
#include "mailbox/ipfs/keeper.h"
#include "mailbox/sealing_conf.h"

/* --- arguments --- */

enum {
	OPT_FORMAT = 256,
	OPT_MAILBOX,
	OPT_EXCEPT,
	OPT_INTO,
	OPT_QUOTA,
	OPT_DRY_RUN,
	OPT_JSON,
	OPT_PASSWORD,
	OPT_TOKEN,
	OPT_CA,
	OPT_INSECURE,
	OPT_TIMEOUT,
	OPT_IPFS,
	OPT_NODE,
	OPT_KEY
};

static const struct option all_options[] = {
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "mailbox", required_argument, NULL, OPT_MAILBOX },
	{ "except", required_argument, NULL, OPT_EXCEPT },
	{ "into", required_argument, NULL, OPT_INTO },
	{ "ignore-quota", no_argument, NULL, OPT_QUOTA },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "password-file", required_argument, NULL, OPT_PASSWORD },
	{ "token-file", required_argument, NULL, OPT_TOKEN },
	{ "ca", required_argument, NULL, OPT_CA },
	{ "insecure", no_argument, NULL, OPT_INSECURE },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "ipfs", no_argument, NULL, OPT_IPFS },
	{ "node", required_argument, NULL, OPT_NODE },
	{ "key", required_argument, NULL, OPT_KEY },
	{ NULL, 0, NULL, 0 },
};

static int
usage(const struct door *d)
{
	fprintf(stderr, "usage: pneu mail %s %s\n", d->name, d->args);
	return EX_USAGE;
}

static bool
keep(const char **list, size_t *n, const char *name)
{
	if (*n == DOOR_NAMES_MAX)
		return false;
	list[(*n)++] = name;
	return true;
}

static bool
set_option(struct door *d, int opt)
{
	switch (opt) {
	case OPT_FORMAT:
		d->format = optarg;
		return true;
	case OPT_MAILBOX:
		return keep(d->only, &d->n_only, optarg);
	case OPT_EXCEPT:
		return keep(d->not, &d->n_not, optarg);
	case OPT_INTO:
		d->into = optarg;
		return *optarg != '\0';
	case OPT_QUOTA:
		d->ignore_quota = true;
		return true;
	case OPT_DRY_RUN:
		d->report.dry_run = true;
		return true;
	case OPT_JSON:
		d->report.json = true;
		return true;
	case OPT_PASSWORD:
		d->password_file = optarg;
		return true;
	case OPT_TOKEN:
		d->token_file = optarg;
		return true;
	case OPT_CA:
		d->ca = optarg;
		return true;
	case OPT_INSECURE:
		d->insecure = true;
		return true;
	case OPT_IPFS:
		return d->ipfs;
	case OPT_NODE:
		d->node = optarg;
		return true;
	case OPT_KEY:
		d->key_file = optarg;
		return true;
	case OPT_TIMEOUT:
		return slice_u64(slice_str(optarg), 86400, &d->timeout_s) ==
		    0 &&
		    d->timeout_s > 0;
	default:
		return false;
	}
}

/* The command's own options are those that its usage names. */
static bool
is_own(const struct door *d, int opt)
{
	const struct option *o = all_options;
	char text[32];

	while (o->name != NULL && o->val != opt)
		o++;
	snprintf(text, sizeof(text), "[--%s", o->name ? o->name : "?");
	return opt == OPT_IPFS || strstr(d->args, text) != NULL;
}

static int
parse(struct door *d, int argc, char **argv)
{
	int opt;

	d->name = argv[0];
	optind = 0; /* the program's own options were read before */
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", all_options, NULL)) != -1)
		if (!is_own(d, opt) || !set_option(d, opt))
			return usage(d);
	if (d->operands_max == 0)
		d->operands_min = d->operands_max = 2;
	if (argc - optind < d->operands_min || argc - optind > d->operands_max)
		return usage(d);
	for (int i = 0; optind + i < argc; i++)
		d->operands[i] = argv[optind + i];
	return 0;
}

/* --- the account --- */

/* Not a mere typing error: it exists, or, for export, it has mail. */
static int
find_account(struct door *d, const char *address, bool with_mail)
{
	const char **accounts;
	size_t n;
	int rc = accounts_account_get(
	    d->accounts, &d->a, slice_str(address), &d->account);

	if (rc != -ENOENT || !with_mail)
		return rc;
	if ((rc = mails_accounts(d->mails, &d->a, &accounts, &n)) != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (strcmp(accounts[i], address) == 0) {
			d->account =
			    (struct accounts_account){ .address = accounts[i] };
			return 0;
		}
	return -ENOENT;
}

int
door_account(struct door *d, const char *address, bool with_mail)
{
	int rc = find_account(d, address, with_mail);

	if (rc == -ENOENT)
		door_warn(&d->report,
		    "%s: no such account; see: pneu account list, pneu account "
		    "add",
		    log_qs(address));
	else if (rc != 0)
		door_warn(&d->report, "%s: %s", log_qs(address), strerror(-rc));
	return rc;
}

const char *
door_spool_dir(const struct door *d)
{
	const char *dir = conf_file(d->conf, "mailbox.spool_dir");
	const char *tmp = getenv("TMPDIR");

	if (access(dir, W_OK | X_OK) == 0)
		return dir;
	return tmp != NULL && access(tmp, W_OK | X_OK) == 0 ? tmp : "/var/tmp";
}

static const char *const *
list_of(const char *const *list, size_t n)
{
	return n > 0 ? list : NULL;
}

/* --- import --- */

static const struct {
	const char *name;
	int format; /* enum source_format */
	enum mbox_format mbox;
} import_formats[] = {
	{ "maildir", SOURCE_MAILDIR, MBOX_ANY },
	{ "tar", SOURCE_TAR, MBOX_ANY },
	{ "mbox", SOURCE_MBOX, MBOX_ANY },
	{ "mboxo", SOURCE_MBOX, MBOX_O },
	{ "mboxrd", SOURCE_MBOX, MBOX_RD },
	{ "mboxcl", SOURCE_MBOX, MBOX_CL },
	{ "mboxcl2", SOURCE_MBOX, MBOX_CL2 },
};
#define N_IMPORT (sizeof(import_formats) / sizeof(import_formats[0]))

/* An enum source_format, or -errno, said already. */
static int
import_format(struct door *d, struct source *s)
{
	struct stat st;
	int rc;

	for (size_t i = 0; d->format != NULL && i < N_IMPORT; i++) {
		if (strcmp(d->format, import_formats[i].name) != 0)
			continue;
		s->mbox = import_formats[i].mbox;
		if (import_formats[i].format == SOURCE_MBOX &&
		    stat(s->path, &st) == 0 && S_ISDIR(st.st_mode))
			return SOURCE_MBOXES;
		return import_formats[i].format;
	}
	rc = d->format != NULL ? -EINVAL : source_detect(s);
	if (d->format != NULL)
		door_warn(&d->report,
		    "%s: no such format; there are: maildir tar mbox mboxo "
		    "mboxrd mboxcl mboxcl2",
		    log_qs(d->format));
	else if (rc == -EINVAL)
		door_warn(&d->report,
		    "%s: neither a Maildir, an mbox, a folder of these nor a "
		    "tar; --format says which, if it is one",
		    log_qs(s->path));
	else if (rc < 0)
		door_warn(&d->report, "%s: %s", log_qs(s->path), strerror(-rc));
	return rc;
}

static int
read_source(const struct source *s, int format)
{
	switch (format) {
	case SOURCE_MAILDIR:
		return source_maildir(s);
	case SOURCE_MBOX:
		return source_mbox(s);
	case SOURCE_MBOXES:
		return source_mboxes(s);
	default:
		return source_tar(s);
	}
}

struct take_conf
door_take_conf(struct door *d)
{
	struct take_conf conf = { .m = d->mails,
		.account = d->account.address,
		.into = d->into,
		.only = list_of(d->only, d->n_only),
		.not = list_of(d->not, d->n_not),
		.report = &d->report };

	/* Of one that is only in the mail store there is none. */
	if (!d->ignore_quota &&
	    quota_get(d->accounts, &d->a, conf.account, &d->quota) == 0)
		conf.quota = &d->quota;
	return conf;
}

static int
do_import(struct door *d)
{
	struct source s = { .path = d->operands[1],
		.dir = door_spool_dir(d),
		.report = &d->report };
	struct take_conf conf;
	int rc = door_account(d, d->operands[0], false), format;

	if (rc != 0 || (format = import_format(d, &s)) < 0)
		return rc != 0 ? rc : -EINVAL;
	conf = door_take_conf(d);
	if ((rc = take_new(&s.take, &conf)) == 0 &&
	    (rc = read_source(&s, format)) >= 0)
		rc = take_finish(s.take);
	take_free(&s.take);
	return rc;
}

/* --- export --- */

static const struct {
	const char *name;
	int (*give)(const struct give_conf *conf, const char *path);
} export_formats[] = {
	{ "maildir", give_maildir },
	{ "tar", give_tar },
	{ "mbox", give_mbox },
	{ "mboxes", give_mboxes },
};
#define N_EXPORT (sizeof(export_formats) / sizeof(export_formats[0]))

/* By its name, where --format does not say. */
static const char *
export_format(const struct door *d)
{
	const char *dest = d->operands[1];

	if (d->format != NULL)
		return d->format;
	if (strcmp(dest, "-") == 0 ||
	    slice_ends_nocase(slice_str(dest), ".tar"))
		return "tar";
	return slice_ends_nocase(slice_str(dest), ".mbox") ? "mbox" : "maildir";
}

/* Of mail that is sealed to the account: by one of its passwords, or by its
 * recovery key. */
static int
export_key(struct door *d, struct seal_key **out)
{
	struct slice address = slice_str(d->account.address), secret;
	struct buf why = BUF_INIT;
	char text[512], prompt[400];
	int rc;

	if (!d->account.has_key)
		return 0;
	snprintf(prompt, sizeof(prompt), "Password or recovery key of %s: ",
	    log_qs(d->account.address));
	if ((rc = door_secret(d, prompt, text, sizeof(text))) != 0)
		return rc;
	secret = slice_str(text);
	rc = accounts_key_open(d->accounts, address, secret, out, &why);
	if (rc == -EACCES)
		rc = accounts_key_recover(
		    d->accounts, address, secret, out, &why);
	explicit_bzero(text, sizeof(text));
	if (rc != 0)
		door_warn(&d->report, "%s: %s", log_qs(d->account.address),
		    rc == -EACCES ? "this opens no sealed mail"
				  : strerror(-rc));
	buf_clear(&why);
	return rc;
}

static int
do_export_as(struct door *d, const struct give_conf *conf, const char *format)
{
	for (size_t i = 0; i < N_EXPORT; i++)
		if (strcmp(format, export_formats[i].name) == 0)
			return export_formats[i].give(conf, d->operands[1]);
	door_warn(&d->report,
	    "%s: no such format; there are: maildir tar mbox mboxes",
	    log_qs(format));
	return -EINVAL;
}

static int
do_export(struct door *d)
{
	struct give_conf conf = { .m = d->mails,
		.only = list_of(d->only, d->n_only),
		.not = list_of(d->not, d->n_not),
		.report = &d->report };
	const char *format = export_format(d);
	int rc = door_account(d, d->operands[0], true);

	if (rc != 0)
		return rc;
	conf.account = d->account.address;
	d->stdout_is_taken = strcmp(d->operands[1], "-") == 0;
	if (d->stdout_is_taken && strcmp(format, "tar") != 0) {
		door_warn(&d->report, "standard output takes a tar only");
		return -EINVAL;
	}
	if ((rc = export_key(d, &conf.key)) == 0)
		rc = do_export_as(d, &conf, format);
	seal_key_unref(&conf.key);
	return rc;
}

/* --- the frame --- */

static int
open_all(struct door *d)
{
	struct mails_conf conf = { .store = { .engine = "embedded",
				       .dir = conf_file(
					   d->conf, "mailbox.dir") },
		.compression =
		    (int)conf_int(d->conf, "mailbox.compression") };
	struct buf err = BUF_INIT;
	const char *what = "accounts";
	int rc = accounts_open(&d->accounts, d->conf, false, &err);

	if (rc == 0) {
		what = conf.store.dir;
		rc = sealing_mails_open(
		    &d->mails, d->conf, &conf, d->accounts, &err);
	}
	if (rc != 0)
		door_warn(&d->report, "%s: %s %s", what, strerror(-rc),
		    buf_str(&err));
	buf_clear(&err);
	return rc;
}

/* What was not said where it happened. */
static void
tell_end(struct door *d, int rc)
{
	if (rc != -EDQUOT && rc != -EINVAL && rc != -ENOENT && rc != -EEXIST &&
	    rc != -EREMOTEIO)
		door_warn(&d->report, "ended early: %s", strerror(-rc));
}

static void
run_main(void *arg)
{
	struct door *d = arg;
	int rc = open_all(d);

	if (rc != 0) {
		d->status = EX_TEMPFAIL;
	} else {
		door_report_begin(&d->report, d->name);
		if ((rc = d->fn(d)) != 0)
			tell_end(d, rc);
		if (door_report_end(&d->report, d->stdout_is_taken) != 0)
			rc = -EIO;
		d->status = rc != 0 || d->report.failed > 0;
		ipfs_hint(d->mails);
	}
	mails_close(&d->mails);
	accounts_close(&d->accounts);
	arena_reset(&d->a);
}

int
door_run(struct door *d, int argc, char **argv)
{
	int status = parse(d, argc, argv);

	if (status != 0)
		return status;
	d->a = ARENA_INIT_MAX((size_t)16 << 20);
	return co_run(run_main, d) != 0 ? EX_OSERR : d->status;
}

int
run_import(const struct conf *conf, int argc, char **argv)
{
	struct door d = {
		.conf = conf, .args = DOOR_IMPORT_ARGS, .fn = do_import
	};

	if (ipfs_is_meant(argc, argv))
		return run_ipfs_import(conf, argc, argv);
	return door_run(&d, argc, argv);
}

int
run_export(const struct conf *conf, int argc, char **argv)
{
	struct door d = {
		.conf = conf, .args = DOOR_EXPORT_ARGS, .fn = do_export
	};

	if (ipfs_is_meant(argc, argv))
		return run_ipfs_export(conf, argc, argv);
	return door_run(&d, argc, argv);
}
