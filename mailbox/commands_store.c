/* SPDX-License-Identifier: ISC */
/*
 * The admin's commands on the mail store as a whole: check, collect, stats,
 * backup, verify, restore. All but restore run beside the daemons.
 */
#include "mailbox/commands_store.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/accounts.h"
#include "common/base/log.h"
#include "mailbox/mails/rebuild.h"
#include "mailbox/sealing_conf.h"

#define COLLECT_AGE_S (24 * 3600) /* see mails_collect */

/* One run of one command. */
struct run {
	const char *name;
	const struct conf *conf;
	const char *dir;    /* the store that is opened */
	const char *target; /* where a copy goes */
	bool readonly;
	bool json;
	bool must_exist;          /* a store that is not there is a fault */
	bool is_backup;           /* its rows have a sum to be verified */
	bool rebuild;             /* of check */
	const char *recover_to;   /* an account, or NULL */
	int (*fn)(struct run *r); /* 0, or an exit status */
	struct mails *mails;
	struct accounts *accounts; /* of rebuild: how their names are sealed */
	int status;
};

typedef unsigned long long ull;

static int
complain(const struct run *r, const char *dir, int rc)
{
	fprintf(stderr, "pneu mail %s: %s: %s\n", r->name, dir, strerror(-rc));
	return rc == -EIO ? 1 : EX_TEMPFAIL;
}

static int
print_json(json_t *j)
{
	bool done = j != NULL && json_dumpf(j, stdout, JSON_INDENT(1)) == 0;

	putchar('\n');
	json_decref(j);
	return done ? 0 : EX_OSERR;
}

/* "1.4 MiB" */
static const char *
size_text(uint64_t n, char out[static 16])
{
	static const char *const units[] = { "octets", "KiB", "MiB", "GiB",
		"TiB" };
	double v = (double)n;
	size_t u = 0;

	for (; v >= 1024 && u < 4; u++)
		v /= 1024;
	snprintf(out, 16, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return out;
}

/* --- check --- */

static json_t *
fault_json(const struct mails_fault *f)
{
	json_t *j = json_object();

	if (f->account != NULL)
		json_object_set_new(j, "account", json_string(f->account));
	if (f->mailbox != NULL)
		json_object_set_new(j, "mailbox", json_string(f->mailbox));
	if (f->uid != 0)
		json_object_set_new(j, "uid", json_integer(f->uid));
	json_object_set_new(j, "fault", json_string(f->what));
	return j;
}

static void
fault_print(const struct mails_fault *f)
{
	if (f->account != NULL)
		printf("account %s, ", log_qs(f->account));
	if (f->mailbox != NULL)
		printf("mailbox %s", log_qs(f->mailbox));
	else if (f->mailbox_id != 0)
		printf(
		    "a mailbox without a name (m%016llx)", (ull)f->mailbox_id);
	if (f->uid != 0)
		printf(", UID %u", f->uid);
	printf("%s%s\n", f->mailbox_id != 0 ? ": " : "", f->what);
}

static void
fault_tell(void *arg, const struct mails_fault *f)
{
	json_t *faults = arg;

	if (faults != NULL)
		json_array_append_new(faults, fault_json(f));
	else
		fault_print(f);
}

static int
check_json(const struct mails_checked *c, json_t *faults)
{
	return print_json(json_pack("{s:I, s:I, s:I, s:o}", "mailboxes",
	    (json_int_t)c->mailboxes, "messages", (json_int_t)c->messages,
	    "octets", (json_int_t)c->octets, "faults", faults));
}

static int
cmd_check(struct run *r)
{
	json_t *faults = r->json ? json_array() : NULL;
	struct mails_checked c = { 0 };
	int rc = 0, status;

	/* Where nothing was ever stored, nothing is wrong. */
	if (r->mails != NULL)
		rc = mails_check(r->mails, true, fault_tell, faults, &c);
	status = rc > 0;
	if (rc == -EAGAIN)
		fprintf(stderr,
		    "pneu mail %s: too much was moved meanwhile; try again\n",
		    r->name);
	if (rc < 0) {
		json_decref(faults);
		return rc == -EAGAIN ? EX_TEMPFAIL : complain(r, r->dir, rc);
	}
	if (r->json)
		return check_json(&c, faults) != 0 ? EX_OSERR : status;
	printf("%llu messages in %llu mailboxes, %llu octets, ",
	    (ull)c.messages, (ull)c.mailboxes, (ull)c.octets);
	printf(rc == 0    ? "no faults\n"
		: rc == 1 ? "1 fault\n"
			  : "%d faults\n",
	    rc);
	return status;
}

/* --- check --rebuild --- */

static void
rebuilt_print(const struct mails_rebuilt *b)
{
	char size[16];

	printf("%llu messages put back (%s), %llu mailboxes mended, %llu "
	       "damaged rows removed\n",
	    (ull)b->messages, size_text(b->octets, size), (ull)b->mailboxes,
	    (ull)b->rows);
	if (b->damaged > 0)
		printf("%llu blobs could not be put back\n", (ull)b->damaged);
	if (b->unowned > 0)
		printf("%llu blobs do not say whose they are; to have them in "
		       "a mailbox: --recover-to ADDRESS\n",
		    (ull)b->unowned);
}

static int
cmd_rebuild(struct run *r)
{
	json_t *told = r->json ? json_array() : NULL;
	struct mails_rebuilt b;
	int rc = mails_rebuild(r->mails, r->recover_to, fault_tell, told, &b);

	if (rc != 0) {
		json_decref(told);
		return complain(r, r->dir, rc);
	}
	if (r->json)
		return print_json(json_pack(
		    "{s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "messages",
		    (json_int_t)b.messages, "octets", (json_int_t)b.octets,
		    "mailboxes", (json_int_t)b.mailboxes, "rows",
		    (json_int_t)b.rows, "unowned", (json_int_t)b.unowned,
		    "damaged", (json_int_t)b.damaged, "told", told));
	rebuilt_print(&b);
	return b.damaged > 0;
}

/* --- collect, stats --- */

static int
cmd_collect(struct run *r)
{
	struct mails_collected c;
	char size[16];
	int rc = mails_collect(r->mails, COLLECT_AGE_S, &c);

	if (rc == -EIO)
		fprintf(stderr,
		    "pneu mail collect: there are faults, and what is damaged "
		    "may need what seems left over; see: pneu mail check\n");
	if (rc != 0)
		return rc == -EIO ? 1 : complain(r, r->dir, rc);
	if (r->json)
		return print_json(json_pack("{s:I, s:I, s:I, s:I}", "blobs",
		    (json_int_t)c.blobs, "octets", (json_int_t)c.octets, "refs",
		    (json_int_t)c.refs, "mailboxes", (json_int_t)c.mailboxes));
	if (c.blobs + c.refs + c.mailboxes == 0)
		printf("Nothing older than a day was left over.\n");
	else
		printf("Removed %llu blobs without a message (%s), %llu shares "
		       "without a message, %llu mailboxes without a name.\n",
		    (ull)c.blobs, size_text(c.octets, size), (ull)c.refs,
		    (ull)c.mailboxes);
	return 0;
}

static int
blob_count(
    void *arg, const struct store_blob_id *id, uint64_t size, int64_t written_s)
{
	(void)id, (void)size, (void)written_s;
	++*(uint64_t *)arg;
	return 0;
}

static int
cmd_stats(struct run *r)
{
	struct store_stats s = { 0 };
	uint64_t blobs = 0;
	char size[16];
	int rc = 0;

	if (r->mails != NULL &&
	    ((rc = store_stats(mails_store(r->mails), &s)) != 0 ||
		(rc = store_blob_list(
		     mails_store(r->mails), blob_count, &blobs)) != 0))
		return complain(r, r->dir, rc);
	if (r->json)
		return print_json(json_pack("{s:I, s:I, s:I, s:I, s:I}",
		    "rows_octets", (json_int_t)s.rows_octets, "blobs",
		    (json_int_t)blobs, "blob_octets", (json_int_t)s.blob_octets,
		    "dead_octets", (json_int_t)s.blob_dead_octets, "segments",
		    (json_int_t)s.segments));
	printf("rows      %s\n", size_text(s.rows_octets, size));
	printf(
	    "blobs     %llu, %s\n", (ull)blobs, size_text(s.blob_octets, size));
	printf("dead      %s, given back by and by\n",
	    size_text(s.blob_dead_octets, size));
	printf("segments  %llu\n", (ull)s.segments);
	return 0;
}

/* --- backup, restore --- */

static int
cmd_backup(struct run *r)
{
	struct arena a = ARENA_INIT_MAX(8192);
	int rc = store_backup(mails_store(r->mails), r->target);

	if (rc == -EACCES || rc == -EPERM)
		fprintf(stderr,
		    "pneu mail backup: %s must be a folder that user %u can "
		    "write\n",
		    r->target, (unsigned)geteuid());
	if (rc != 0)
		return complain(r, r->target, rc);
	printf("Done; to be sure: pneu mail verify %s\n", r->target);
	if (mails_has_sealed(r->mails))
		printf("The key that opens it, %s, is not in it: keep a copy "
		       "elsewhere\n",
		    sealing_key_path(r->conf, &a));
	arena_reset(&a);
	return 0;
}

/* What is missing above `path`, as on a machine that is new. */
static int
make_parents(const char *path)
{
	char *part = strdup(path);
	int rc = part == NULL ? -ENOMEM : 0;

	for (size_t i = 1; rc == 0 && part[i] != '\0'; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST &&
		    access(part, F_OK) == -1)
			rc = -errno;
		part[i] = '/';
	}
	free(part);
	return rc;
}

static int
cmd_restore(struct run *r)
{
	int rc = make_parents(r->target);

	if (rc == 0)
		rc = store_backup(mails_store(r->mails), r->target);
	if (rc != 0)
		return complain(r, r->target, rc);
	printf("The mail is in %s; to be sure: pneu mail check\n", r->target);
	return 0;
}

/* Is there mail? Then it is for the admin to say that it may go. */
static bool
is_taken(const char *dir)
{
	struct buf path = BUF_INIT;
	struct stat st;
	bool taken;

	buf_printf(&path, "%s/data.mdb", dir);
	taken = stat(buf_str(&path), &st) == 0;
	buf_clear(&path);
	if (taken)
		fprintf(stderr,
		    "pneu mail restore: there is a mail store in %s already. "
		    "Stop pneu-mailbox, move that folder away, and try again; "
		    "what came in since the backup is then only there.\n",
		    dir);
	return taken;
}

/* --- the frame --- */

/* Only what the files of the blobs say; the rest is for cmd_rebuild. */
static int
reindex(const struct run *r, const struct store_conf *conf, struct buf *err)
{
	struct store_reindexed found;
	char size[16];
	int rc;

	buf_reset(err);
	if ((rc = store_reindex(conf, &found, err)) != 0 || r->json)
		return rc;
	printf("The database was lost, and is made anew: %llu blobs (%s) were "
	       "found\n",
	    (ull)found.blobs, size_text(found.octets, size));
	if (found.damaged > 0)
		printf("%llu places in the files are damaged\n",
		    (ull)found.damaged);
	return 0;
}

/* What is made again is sealed as what comes in. Where the accounts are lost
 * too, as it is for all. */
static int
rebuild_begin(struct run *r, struct mails_conf *conf, struct buf *err)
{
	int rc = accounts_open(&r->accounts, r->conf, false, err);

	if (rc == 0 && !accounts_exist(r->accounts))
		accounts_close(&r->accounts);
	if (r->accounts == NULL)
		conf->seal = (enum mails_sealing)conf_enum(
		    r->conf, "mailbox.encryption");
	return rc == -ENOENT ? 0 : rc;
}

static int
store_begin(struct run *r)
{
	struct mails_conf conf = { .store = { .engine = "embedded",
				       .dir = r->dir,
				       .readonly = r->readonly } };
	struct buf err = BUF_INIT;
	int rc = r->is_backup ? store_backup_check(r->dir) : 0;

	if (rc == -EIO)
		buf_put_str(&err, "the rows are damaged, no checksum fits");
	if (rc == 0 && r->rebuild)
		rc = rebuild_begin(r, &conf, &err);
	if (rc == 0)
		rc = sealing_mails_open(
		    &r->mails, r->conf, &conf, r->accounts, &err);
	/* The rows are lost, all of them. */
	if (r->rebuild && rc == -ENOTRECOVERABLE &&
	    (rc = reindex(r, &conf.store, &err)) == 0)
		rc = sealing_mails_open(
		    &r->mails, r->conf, &conf, r->accounts, &err);
	if (rc == -ENOTRECOVERABLE)
		buf_put_str(&err, "; or: pneu mail check --rebuild");

	if (rc == -ENOENT && r->readonly && !r->must_exist)
		rc = 0;
	if (rc == -ENOENT)
		fprintf(stderr, "pneu mail %s: there is no mail store in %s\n",
		    r->name, r->dir);
	else if (rc != 0)
		fprintf(stderr, "pneu mail %s: %s: %s %s\n", r->name, r->dir,
		    strerror(-rc), buf_str(&err));
	buf_clear(&err);
	return rc == 0 ? 0 : rc == -ENOENT ? 1 : EX_TEMPFAIL;
}

static void
run_main(void *arg)
{
	struct run *r = arg;

	if ((r->status = store_begin(r)) == 0)
		r->status = r->fn(r);
	mails_close(&r->mails);
	accounts_close(&r->accounts);
}

static int
usage(const struct run *r, bool with_dir, bool with_json)
{
	fprintf(stderr, "usage: pneu mail %s%s%s\n", r->name,
	    with_json ? " [--json]" : "", with_dir ? " DIR" : "");
	return EX_USAGE;
}

static int
run(struct run *r)
{
	if (co_run(run_main, r) != 0)
		return EX_OSERR;
	return fflush(stdout) == 0 ? r->status : EX_IOERR;
}

/* Fill r->json and *dir from the arguments. 0, or EX_USAGE. */
static int
parse(struct run *r, int argc, char **argv, const char **dir, bool with_json)
{
	int n = 0;

	r->name = argv[0];
	for (int i = 1; i < argc; i++) {
		if (with_json && strcmp(argv[i], "--json") == 0)
			r->json = true;
		else if (argv[i][0] == '-' || dir == NULL || n++ > 0)
			return usage(r, dir != NULL, with_json);
		else
			*dir = argv[i];
	}
	return dir != NULL && n == 0 ? usage(r, true, with_json) : 0;
}

static int
run_on_mail(const struct conf *conf, int argc, char **argv, bool readonly,
    int (*fn)(struct run *))
{
	struct run r = { .conf = conf,
		.dir = conf_file(conf, "mailbox.dir"),
		.readonly = readonly,
		.fn = fn };
	int status = parse(&r, argc, argv, NULL, true);

	return status != 0 ? status : run(&r);
}

static int
check_usage(void)
{
	fprintf(stderr, "usage: pneu mail check [--json] [--rebuild "
			"[--recover-to ADDRESS]]\n");
	return EX_USAGE;
}

int
run_check(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf,
		.name = argv[0],
		.dir = conf_file(conf, "mailbox.dir"),
		.readonly = true,
		.fn = cmd_check };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			r.json = true;
		else if (strcmp(argv[i], "--rebuild") == 0)
			r.rebuild = true;
		else if (strcmp(argv[i], "--recover-to") == 0 && i + 1 < argc)
			r.recover_to = argv[++i];
		else
			return check_usage();
	}
	if (r.recover_to != NULL && !r.rebuild)
		return check_usage();
	if (r.rebuild) {
		r.readonly = false;
		r.must_exist = true;
		r.fn = cmd_rebuild;
	}
	return run(&r);
}

int
run_collect(const struct conf *conf, int argc, char **argv)
{
	return run_on_mail(conf, argc, argv, false, cmd_collect);
}

int
run_stats(const struct conf *conf, int argc, char **argv)
{
	return run_on_mail(conf, argc, argv, true, cmd_stats);
}

int
run_backup(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf,
		.dir = conf_file(conf, "mailbox.dir"),
		.readonly = true,
		.must_exist = true,
		.fn = cmd_backup };
	int status = parse(&r, argc, argv, &r.target, false);

	return status != 0 ? status : run(&r);
}

int
run_verify(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf,
		.readonly = true,
		.must_exist = true,
		.is_backup = true,
		.fn = cmd_check };
	int status = parse(&r, argc, argv, &r.dir, true);

	return status != 0 ? status : run(&r);
}

int
run_restore(const struct conf *conf, int argc, char **argv)
{
	struct run r = { .conf = conf,
		.target = conf_file(conf, "mailbox.dir"),
		.readonly = true,
		.must_exist = true,
		.is_backup = true,
		.fn = cmd_restore };
	int status = parse(&r, argc, argv, &r.dir, false);

	if (status != 0)
		return status;
	return is_taken(r.target) ? 1 : run(&r);
}
