/* SPDX-License-Identifier: ISC */
#include "mailbox/commands_ipfs.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/seal.h"
#include "common/base/log.h"
#include "mailbox/commands_door_impl.h"
#include "mailbox/ipfs/give.h"
#include "mailbox/ipfs/keeper.h"
#include "mailbox/ipfs/status.h"
#include "mailbox/ipfs/take.h"
#include "mailbox/mails/impl.h"
#include "mailbox/sealing_conf.h"

bool
ipfs_is_meant(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--ipfs") == 0)
			return true;
	return false;
}

static int
node_of(struct door *d, struct ipfs_node *n)
{
	const char *addr =
	    d->node != NULL ? d->node : conf_str(d->conf, "mailbox.ipfs");

	if (*addr != '\0' &&
	    ipfs_node_init(n, addr, conf_file(d->conf, "run_dir")) == 0)
		return 0;
	door_warn(&d->report,
	    *addr == '\0' ? "no node: set mailbox.ipfs, or say --node ADDRESS"
			  : "%s: not an address of a node's API, such as "
			    "127.0.0.1:5001",
	    log_qs(addr));
	return -EINVAL;
}

/* What ended it; said, so that the frame says no more. */
static int
failed(struct door *d, const struct ipfs_node *n, int rc)
{
	const char *what = rc == -ENOKEY ? "no key that opens it is here"
	    : rc == -ENOENT              ? "the node has no such block"
	    : rc == -EBADMSG && *n->why == '\0'
	    ? "it is damaged, or sealed with another key"
	    : rc == -EDQUOT ? "no more room in the account"
			    : strerror(-rc);

	if (rc == 0 || rc == -EREMOTEIO)
		return rc;
	if ((rc == -EAGAIN || rc == -EBADMSG) && *n->why != '\0')
		what = n->why;
	door_warn(&d->report, "%s", what);
	return -EREMOTEIO;
}

/* --- export --- */

static int
do_export(struct door *d)
{
	struct ipfs_node node;
	struct ipfs_give conf = {
		.m = d->mails, .node = &node, .report = &d->report
	};
	char text[CID_TEXT + 1];
	struct cid cid;
	int rc = node_of(d, &node);

	d->stdout_is_taken = true;
	if (rc == 0)
		rc = door_account(d, d->operands[0], true);
	if (rc != 0)
		return rc;
	conf.account = d->account.address;
	conf.has_recovery = accounts_recovery_get(d->accounts,
				slice_str(conf.account), conf.recovery) == 0;
	if (d->account.has_key && !conf.has_recovery)
		door_warn(&d->report,
		    "%s has no recovery key: where its passwords are lost too, "
		    "nothing opens this; see: pneu account recovery",
		    log_qs(conf.account));
	if ((rc = ipfs_give(&conf, &cid)) != 0)
		return failed(d, &node, rc);
	cid_text(&cid, text);
	printf("%s\n", text);
	return fflush(stdout) == 0 ? 0 : -EIO;
}

/* --- import --- */

/* Of the account here, if it is the same pair. */
static int
key_of_here(struct door *d, const char *account, const struct root *r,
    struct slice secret, struct seal_key **out)
{
	struct slice address = slice_str(account);
	struct buf why = BUF_INIT;
	int rc = accounts_key_open(d->accounts, address, secret, out, &why);

	if (rc != 0)
		rc = accounts_key_recover(
		    d->accounts, address, secret, out, &why);
	if (rc == 0 && r->kind == ROOT_ACCOUNT &&
	    memcmp(seal_key_public(*out), r->public, SEAL_PUBLIC_LEN) != 0) {
		seal_key_unref(out);
		rc = -EACCES;
	}
	buf_clear(&why);
	return rc;
}

/* The account's private key, of there; asked for where it is needed. */
static int
private_key(struct door *d, const struct root *r, struct seal_key **out)
{
	const char *account = d->operands[1];
	struct slice secret;
	char text[512];
	int rc;

	if (r->kind != ROOT_ACCOUNT && d->password_file == NULL)
		return 0;
	if (account == NULL) {
		door_warn(&d->report,
		    "sealed to an account, whose name does not stand in it: "
		    "say ACCOUNT");
		return -EINVAL;
	}
	rc = door_secret(
	    d, "Password or recovery key of the account: ", text, sizeof(text));
	if (rc != 0)
		return -EINVAL; /* said */
	secret = slice_str(text);
	rc = key_of_here(d, account, r, secret, out);
	if (rc != 0 && r->has_recovery)
		rc = accounts_recovery_open(
		    slice_str(account), r->public, r->recovery, secret, out);
	explicit_bzero(text, sizeof(text));
	if (rc == 0)
		return 0;
	door_warn(&d->report, "%s: this opens no mail of the manifest%s",
	    log_qs(account),
	    r->has_recovery ? ""
			    : "; it has none of its recovery key's, so a "
			      "password of this account as it was is needed");
	return -EINVAL;
}

/* The server's key of there: --key, or that of here. */
static int
server_key(struct door *d, unsigned char out[static SEAL_KEY_LEN], bool *has)
{
	struct seal_key *k = NULL;
	int rc;

	*has = d->mails->has_server_key;
	memcpy(out, d->mails->server_key, SEAL_KEY_LEN);
	if (d->key_file == NULL)
		return 0;
	if ((rc = seal_key_load(&k, d->key_file, false)) == 0)
		rc = seal_key_subkey(k, "mails", out);
	seal_key_unref(&k);
	*has = rc == 0;
	if (rc != 0)
		door_warn(&d->report, "%s: %s", log_qs(d->key_file),
		    rc == -EINVAL ? "not a key of 32 octets" : strerror(-rc));
	return rc == 0 ? 0 : -EINVAL;
}

struct importing {
	struct door *d;
	struct ipfs_take take;
};

static int
who(void *arg, const char *account)
{
	struct importing *i = arg;
	struct door *d = i->d;
	int rc = door_account(
	    d, d->operands[1] != NULL ? d->operands[1] : account, false);

	if (rc != 0)
		return -EREMOTEIO; /* said */
	i->take.account = d->account.address;
	if (!d->ignore_quota &&
	    quota_get(d->accounts, &d->a, i->take.account, &d->quota) == 0)
		i->take.quota = &d->quota;
	return 0;
}

static int
take_root(struct importing *i, struct ipfs_root *root)
{
	unsigned char key[SEAL_KEY_LEN];
	struct door *d = i->d;
	bool has;
	int rc = server_key(d, key, &has);

	if (rc == 0)
		rc = private_key(d, &root->root, &i->take.key);
	if (rc == 0) {
		i->take.server_key = has ? key : NULL;
		rc = failed(d, i->take.node, ipfs_take(&i->take, root));
	}
	if (i->take.other_uids > 0)
		door_warn(&d->report,
		    "%llu messages have other UIDs than they had",
		    (unsigned long long)i->take.other_uids);
	seal_key_unref(&i->take.key);
	explicit_bzero(key, sizeof(key));
	return rc;
}

static int
do_import(struct door *d)
{
	struct ipfs_node node;
	struct importing i = { .d = d };
	struct ipfs_root root = { .block = BUF_INIT };
	struct cid cid;
	int rc = node_of(d, &node);

	if (rc == 0 && cid_parse(slice_str(d->operands[0]), &cid) != 0) {
		door_warn(&d->report,
		    "%s: not a CID as export prints it (bafkrei...)",
		    log_qs(d->operands[0]));
		rc = -EINVAL;
	}
	if (rc != 0)
		return rc;
	i.take = (struct ipfs_take){ .m = d->mails,
		.node = &node,
		.spool_dir = door_spool_dir(d),
		.who = who,
		.arg = &i,
		.report = &d->report };
	rc = failed(d, &node, ipfs_root_get(&node, &cid, &root));
	if (rc == 0)
		rc = take_root(&i, &root);
	buf_wipe(&root.block);
	return rc;
}

int
run_ipfs_export(const struct conf *conf, int argc, char **argv)
{
	struct door d = { .conf = conf,
		.args = IPFS_EXPORT_ARGS,
		.fn = do_export,
		.ipfs = true,
		.operands_min = 1,
		.operands_max = 1 };

	return door_run(&d, argc, argv);
}

int
run_ipfs_import(const struct conf *conf, int argc, char **argv)
{
	struct door d = { .conf = conf,
		.args = IPFS_IMPORT_ARGS,
		.fn = do_import,
		.ipfs = true,
		.operands_min = 1,
		.operands_max = 2 };

	return door_run(&d, argc, argv);
}

/* --- how it stands --- */

struct status_run {
	const struct conf *conf;
	bool json;
	int status;
};

static int
print_status(const struct status_run *r, const struct ipfs_status *s)
{
	const char *addr = conf_str(r->conf, "mailbox.ipfs");
	json_t *j;
	int rc;

	if (!r->json) {
		printf("node       %s\n", *addr != '\0' ? addr : "none");
		printf("messages   %llu there, %llu to be put, %llu to be "
		       "unpinned\n",
		    (unsigned long long)s->put, (unsigned long long)s->waiting,
		    (unsigned long long)s->leaving);
		printf("blocks     %llu\nmanifests  %llu\n",
		    (unsigned long long)s->blocks,
		    (unsigned long long)s->manifests);
		return fflush(stdout);
	}
	j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "node", addr, "put",
	    (json_int_t)s->put, "waiting", (json_int_t)s->waiting, "leaving",
	    (json_int_t)s->leaving, "blocks", (json_int_t)s->blocks,
	    "manifests", (json_int_t)s->manifests);
	rc = j == NULL ? -1 : json_dumpf(j, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(j);
	return rc != 0 ? rc : fflush(stdout);
}

static void
status_main(void *arg)
{
	struct status_run *r = arg;
	struct mails_conf conf = { .store = { .engine = "embedded",
				       .dir = conf_file(r->conf, "mailbox.dir"),
				       .readonly = true } };
	struct buf err = BUF_INIT;
	struct ipfs_status s;
	struct mails *m = NULL;
	int rc = sealing_mails_open(&m, r->conf, &conf, NULL, &err);

	if (rc == 0)
		rc = ipfs_status_get(mails_store(m), &s);
	if (rc != 0)
		fprintf(stderr, "pneu mail ipfs: %s: %s %s\n", conf.store.dir,
		    strerror(-rc), buf_str(&err));
	r->status = rc != 0            ? EX_TEMPFAIL
	    : print_status(r, &s) != 0 ? EX_IOERR
				       : 0;
	mails_close(&m);
	buf_clear(&err);
}

int
run_ipfs_status(const struct conf *conf, int argc, char **argv)
{
	struct status_run r = { .conf = conf };

	if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		r.json = true;
	} else if (argc != 1) {
		fprintf(stderr, "usage: pneu mail ipfs %s\n", IPFS_STATUS_ARGS);
		return EX_USAGE;
	}
	return co_run(status_main, &r) != 0 ? EX_OSERR : r.status;
}
