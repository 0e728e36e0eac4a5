/* SPDX-License-Identifier: ISC */
/*
 * Names of mailboxes and keywords, addresses that mail came for: sealed with
 * the account's mail, nowhere in the files; changed, exchanged, lost; and from
 * one form into the other, with all that stands in between.
 */
#include "tests/unit/mailbox/mails_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <unistd.h>

#include "mailbox/mails/check.h"
#include "mailbox/mails/kept_impl.h"
#include "mailbox/mails/rebuild.h"
#include "mailbox/mails/reseal.h"

#define MARK "quicksilver" /* is in every name */
#define NOW 1800000000

static enum mails_sealing how_now; /* Alice's; Bob's is `server` */

static int
as_how_now(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	(void)arg;
	*how = strcmp(account, ALICE) == 0 ? how_now : MAILS_SEAL_SERVER;
	memcpy(public, seal_key_public(test_account_key), 32);
	return 0;
}

/* --- names of every kind --- */

static const char *const names[] = { MARK, MARK "/a", MARK "/a/B",
	"x-" MARK " \xc3\xa4" };
#define NAMES (sizeof(names) / sizeof(names[0]))

static int
deliver_marked(const char *account, const char *mailbox)
{
	static const char *const keywords[] = { MARK "-one", "$Two-" MARK,
		NULL };
	struct mails_message *msg = NULL;
	struct mails_target t = { .account = account,
		.mailbox = slice_str(mailbox),
		.keywords = keywords,
		.internaldate = 1000000000 };
	int rc = mails_message_begin(mm, &msg);

	if (rc == 0)
		rc = mails_message_for(msg, account);
	if (rc == 0)
		rc = mails_message_write(msg, SLICE_LIT("A: b\r\n\r\nc\r\n"));
	if (rc == 0)
		rc = mails_message_end(msg);
	if (rc == 0)
		rc = mails_deliver(msg, &t, 1);
	mails_message_free(&msg);
	return rc;
}

static void
fill(const char *account)
{
	const char *const more[] = { "later-" MARK, NULL };
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct mails_copied out;
	struct mails_view *v;
	uint32_t *failed, one[] = { 1 };
	size_t n;

	for (size_t i = 0; i < NAMES; i++) {
		CHECK_INT(
		    mails_create(mm, account, slice_str(names[i]), 0, NULL), 0);
		CHECK_INT(deliver_marked(account, names[i]), 0);
	}
	CHECK_INT(deliver_marked(account, "INBOX"), 0);
	CHECK_INT(mails_create(mm, account, SLICE_LIT("gone-" MARK), 0, NULL),
	    0);
	CHECK_INT(deliver_marked(account, "gone-" MARK), 0);
	CHECK_INT(mails_delete(mm, account, SLICE_LIT("gone-" MARK)), 0);
	CHECK_INT(mails_create(mm, account, SLICE_LIT("old-" MARK), 0, NULL),
	    0);
	CHECK_INT(mails_rename(mm, account, SLICE_LIT("old-" MARK),
		      SLICE_LIT("new-" MARK)),
	    0);
	CHECK_INT(mails_subscribe(
		      mm, account, SLICE_LIT("nothing-" MARK), true),
	    0);
	v = view_of(account, "INBOX");
	CHECK_INT(mails_store_flags(v, one, 1, MAILS_FLAGS_ADD, 0, more, 0,
		      false, &a, &failed, &n),
	    0);
	CHECK_INT(mails_copy(v, one, 1, SLICE_LIT("Archive"), NULL, &a, &out),
	    0);
	CHECK_INT(
	    mails_move(v, one, 1, SLICE_LIT("new-" MARK), &a, &out), 0);
	mails_view_close(&v);
	for (int i = 0; i < 40; i++) {
		char id[40];

		snprintf(id, sizeof(id), "%d@" MARK, i);
		CHECK_INT(mails_origin_put(mm, account, slice_str(id),
			      slice_str(id), NOW + i),
		    0);
	}
	arena_reset(&a);
}

/* All that is to be read, as text. */
static void
all_of(struct buf *out, const char *account)
{
	struct arena a = ARENA_INIT_MAX(1 << 18);
	struct mails_info *infos;
	const char **kept, *keyword;
	struct mails_view *v;
	size_t n = 0;

	buf_reset(out);
	CHECK_INT(mails_list(mm, account, &a, &infos, &n), 0);
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s %llx %u", infos[i].name,
		    (unsigned long long)infos[i].id, infos[i].attrs);
		if (infos[i].id != 0 && (infos[i].attrs & MAILS_NOSELECT) == 0 &&
		    mails_view_examine(
			mm, account, slice_str(infos[i].name), &v) == 0) {
			for (unsigned k = 0;
			     (keyword = mails_view_keyword(v, k)) != NULL; k++)
				buf_printf(out, " %s", keyword);
			for (uint32_t s = 1; s <= mails_view_count(v); s++)
				buf_printf(out, " %llx",
				    (unsigned long long)mails_view_flags(v, s)
					.keywords);
			mails_view_close(&v);
		}
		buf_put_char(out, '\n');
	}
	CHECK_INT(mails_kept_mailboxes(mm, account, &a, &kept), 0);
	for (; *kept != NULL; kept++)
		buf_printf(out, "kept %s\n", *kept);
	for (int i = 0; i < 40; i++) {
		struct buf address = BUF_INIT;
		char id[40];

		snprintf(id, sizeof(id), "%d@" MARK, i);
		if (mails_origin_get(mm, account, slice_str(id), NOW + 40,
			&address) == 0)
			buf_printf(out, "from %s\n", buf_str(&address));
		buf_clear(&address);
	}
	arena_reset(&a);
}

/* --- where they are not --- */

struct seen {
	struct slice part;
	unsigned rows, marked;
};

static bool
has_mark(struct slice s)
{
	return slice_find_slice(s, SLICE_LIT(MARK)) >= 0;
}

static int
on_row(void *arg, struct slice key, struct slice val)
{
	struct seen *s = arg;

	s->rows++;
	s->marked += has_mark(key) || has_mark(val);
	return 0;
}

static int
on_part(void *arg, struct slice part)
{
	buf_put_slice(arg, part);
	buf_put_char(arg, '\n');
	return 0;
}

/* Rows that have the mark. */
static unsigned
marked_rows(void)
{
	struct buf parts = BUF_INIT;
	struct seen s = { .rows = 0 };
	struct slice rest;

	CHECK_INT(store_partitions(st, SLICE_EMPTY, on_part, &parts), 0);
	rest = buf_slice(&parts);
	while (rest.n > 0)
		CHECK_INT(store_scan(st, slice_split(&rest, '\n'), SLICE_EMPTY,
			      SLICE_EMPTY, 0, on_row, &s),
		    0);
	CHECK(s.rows > 10);
	buf_clear(&parts);
	return s.marked;
}

static unsigned marked_files, files;

static int
on_file(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	static char octets[65536 + 16];
	size_t keep = 0;
	ssize_t n;
	int fd;

	(void)f;
	if (type != FTW_F || !S_ISREG(sb->st_mode))
		return 0;
	files++;
	if ((fd = open(path, O_RDONLY)) < 0)
		return 0;
	while ((n = read(fd, octets + keep, 65536)) > 0) {
		if (has_mark(slice(octets, keep + (size_t)n))) {
			marked_files++;
			break;
		}
		keep = keep + (size_t)n < 16 ? keep + (size_t)n : 16;
		memmove(octets, octets + (size_t)n, keep);
	}
	close(fd);
	return 0;
}

/* Every octet of the store's files, pages that LMDB has freed too. */
static unsigned
in_files(void)
{
	marked_files = files = 0;
	CHECK_INT(nftw(test_conf().dir, on_file, 16, FTW_PHYS), 0);
	CHECK(files >= 3);
	return marked_files;
}

static void
nowhere_body(void)
{
	struct buf text = BUF_INIT;
	unsigned lines = 0;

	mm->account_sealing = as_how_now;
	fill(ALICE);
	fill(BOB);
	all_of(&text, ALICE);
	for (size_t i = 0; i < text.n; i++)
		lines += text.p[i] == '\n';
	CHECK(lines > 50);
	CHECK_INT(marked_rows(), 0);
	if (test_engine->shared)
		CHECK_INT(in_files(), 0);
	CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	buf_clear(&text);
}

static void
for_all(void (*body)(void))
{
	test_keys_make();
	test_keep_s = 3600;
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on_all(body);
	test_seal = MAILS_SEAL_NONE;
	test_keep_s = 0;
}

static void
nowhere(void **state)
{
	(void)state;
	how_now = MAILS_SEAL_SERVER;
	for_all(nowhere_body);
	how_now = MAILS_SEAL_ACCOUNT;
	for_all(nowhere_body);
}

/* The test can fail: in the clear they are found. */
static void
in_the_clear_body(void)
{
	mm->account_sealing = as_how_now;
	fill(ALICE);
	CHECK(marked_rows() > 20);
	if (test_engine->shared)
		CHECK(in_files() >= 2);
}

static void
in_the_clear(void **state)
{
	(void)state;
	how_now = MAILS_SEAL_NONE;
	for_all(in_the_clear_body);
}

/* --- from one form into the other --- */

static void
forms_body(void)
{
	static const enum mails_sealing steps[] = { MAILS_SEAL_SERVER,
		MAILS_SEAL_ACCOUNT, MAILS_SEAL_NONE, MAILS_SEAL_ACCOUNT,
		MAILS_SEAL_SERVER, MAILS_SEAL_NONE };
	struct buf before = BUF_INIT, after = BUF_INIT;
	struct mails_resealed r;
	uint64_t restored;

	mm->account_sealing = as_how_now;
	how_now = MAILS_SEAL_NONE;
	fill(ALICE);
	all_of(&before, ALICE);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		how_now = steps[i];
		/* As it is, with both forms beside each other. */
		all_of(&after, ALICE);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		CHECK_INT(mails_subscribe(
			      mm, ALICE, SLICE_LIT("Archive"), false),
		    0);
		CHECK_INT(
		    mails_subscribe(mm, ALICE, SLICE_LIT("Archive"), true), 0);
		CHECK_INT(mails_create(mm, ALICE, SLICE_LIT(MARK), 0, NULL),
		    -EEXIST);
		all_of(&after, ALICE);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		/* A name of the one form, in its place one of the other. */
		CHECK_INT(mails_rename(
			      mm, ALICE, SLICE_LIT(MARK), SLICE_LIT("r-" MARK)),
		    0);
		CHECK_INT(mails_rename(
			      mm, ALICE, SLICE_LIT("r-" MARK), SLICE_LIT(MARK)),
		    0);
		CHECK_INT(mails_undelete(mm, ALICE, SLICE_LIT("gone-" MARK),
			      NULL, 0, 0, &restored),
		    0);
		CHECK_INT(restored, 1);
		CHECK_INT(mails_delete(mm, ALICE, SLICE_LIT("gone-" MARK)), 0);
		all_of(&after, ALICE);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		CHECK_INT(mails_reseal(mm, ALICE, test_account_key, NULL, NULL,
			      &r),
		    0);
		CHECK_INT(r.failed + r.locked, 0);
		all_of(&after, ALICE);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		if (how_now == MAILS_SEAL_NONE)
			CHECK(marked_rows() > 20);
		else
			CHECK_INT(marked_rows(), 0);
		CHECK_INT(mails_reseal(mm, ALICE, test_account_key, NULL, NULL,
			      &r),
		    0);
		CHECK_INT(r.done, 0);
		CHECK_INT(mails_check(mm, true, NULL, NULL, NULL), 0);
	}
	buf_clear(&before);
	buf_clear(&after);
}

static void
forms(void **state)
{
	(void)state;
	for_all(forms_body);
}

/* --- rows that were changed --- */

struct saved {
	struct buf part, key, val;
};
static struct saved saved[256];
static size_t n_saved;
static struct slice saved_part;

static int
on_named(void *arg, struct slice key, struct slice val)
{
	struct saved *s = &saved[n_saved];

	(void)arg;
	if (n_saved == 256 || strchr("NGkW", key.p[0]) == NULL)
		return 0;
	buf_put_slice(&s->part, saved_part);
	buf_put_slice(&s->key, key);
	buf_put_slice(&s->val, val);
	n_saved++;
	return 0;
}

/* Rows that have a name, of an account. */
static void
save_all(const char *account)
{
	struct arena a = ARENA_INIT_MAX(1 << 16);
	struct buf part = BUF_INIT;
	uint64_t *ids;
	size_t n = 0;

	buf_printf(&part, "a%s", account);
	saved_part = buf_slice(&part);
	CHECK_INT(store_scan(st, saved_part, SLICE_EMPTY, SLICE_EMPTY, 0,
		      on_named, NULL),
	    0);
	CHECK_INT(names_ids(mm, account, &a, &ids, &n), 0);
	for (size_t i = 0; i < n; i++) {
		buf_reset(&part);
		buf_printf(&part, "m%016llx", (unsigned long long)ids[i]);
		saved_part = buf_slice(&part);
		CHECK_INT(store_scan(st, saved_part, SLICE_LIT("k"),
			      SLICE_LIT("l"), 0, on_named, NULL),
		    0);
	}
	buf_reset(&part);
	buf_printf(&part, "w%s", account);
	saved_part = buf_slice(&part);
	CHECK_INT(store_scan(st, saved_part, SLICE_EMPTY, SLICE_LIT("X"), 0,
		      on_named, NULL),
	    0);
	buf_clear(&part);
	arena_reset(&a);
}

static void
saved_clear(void)
{
	for (; n_saved > 0; n_saved--) {
		buf_clear(&saved[n_saved - 1].part);
		buf_clear(&saved[n_saved - 1].key);
		buf_clear(&saved[n_saved - 1].val);
	}
}

static void
put(const struct saved *s, struct slice val)
{
	struct store_batch *b = store_batch_new(st, buf_slice(&s->part));

	store_put(b, buf_slice(&s->key), val);
	CHECK_INT(test_commit(b), 0);
}

/* Is each line of `now` one of `was`? What is missing is seen; nothing is
 * there that was not. Made-up keywords are known for what they are. */
static bool
is_part_of(const struct buf *now, const struct buf *was)
{
	struct slice rest = buf_slice(now), line;

	while (rest.n > 0) {
		line = slice_split(&rest, '\n');
		if (slice_find_slice(line, SLICE_LIT(" lost-")) < 0 &&
		    slice_find_slice(buf_slice(was), line) < 0)
			return false;
	}
	return true;
}

static unsigned faults;

static void
on_fault(void *arg, const struct mails_fault *f)
{
	(void)arg, (void)f;
	faults++;
}

static void
changed_body(void)
{
	struct buf before = BUF_INIT, after = BUF_INIT;
	unsigned seen = 0;

	mm->account_sealing = as_how_now;
	fill(ALICE);
	save_all(ALICE);
	CHECK(n_saved > 20 && n_saved < 256);
	all_of(&before, ALICE);
	for (size_t i = 0; i < n_saved; i++) {
		struct saved *s = &saved[i];
		/* Of origins, which have entries: one octet of the first. */
		size_t step = s->key.p[0] == 'W' ? s->val.n : 7;

		for (size_t at = i % 7; at < s->val.n; at += step) {
			s->val.p[at] = (char)(s->val.p[at] ^ 1 << at % 8);
			put(s, buf_slice(&s->val));
			all_of(&after, ALICE);
			seen += !slice_eq(
			    buf_slice(&before), buf_slice(&after));
			if (s->key.p[0] != 'W')
				CHECK(!slice_eq(buf_slice(&before),
				    buf_slice(&after)));
			CHECK(is_part_of(&after, &before));
			/* Nobody makes another of its name over it. */
			if (s->key.p[0] == 'N') {
				CHECK_INT(mails_create(mm, ALICE,
					      SLICE_LIT("b"), 0, NULL),
				    -EIO);
				faults = 0;
				CHECK(mails_check(mm, false, on_fault, NULL,
					  NULL) > 0);
				CHECK(faults > 0);
			}
			s->val.p[at] = (char)(s->val.p[at] ^ 1 << at % 8);
		}
		put(s, buf_slice(&s->val));
	}
	CHECK(seen > 100);
	all_of(&after, ALICE);
	CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
	CHECK_INT(mails_check(mm, false, NULL, NULL, NULL), 0);
	saved_clear();
	buf_clear(&before);
	buf_clear(&after);
}

static void
changed(void **state)
{
	(void)state;
	how_now = MAILS_SEAL_ACCOUNT;
	test_keys_make();
	test_keep_s = 3600;
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on(&test_engines[0], changed_body);
	test_seal = MAILS_SEAL_NONE;
	test_keep_s = 0;
}

/* Rows of Bob's in Alice's place, by their keys and by their values; and rows
 * of hers in each other's. */
static void
exchanged_body(void)
{
	struct buf before = BUF_INIT, after = BUF_INIT;
	size_t alices, n;

	mm->account_sealing = as_how_now;
	fill(ALICE);
	fill(BOB);
	save_all(ALICE);
	alices = n_saved;
	save_all(BOB);
	n = n_saved;
	CHECK(alices > 20 && n > alices + 5);
	all_of(&before, ALICE);
	for (size_t i = 0; i < alices; i++)
		for (size_t k = 0; k < n; k++) {
			struct saved *to = &saved[i], *of = &saved[k];

			if (i == k || to->key.p[0] != of->key.p[0] ||
			    slice_eq(buf_slice(&to->val), buf_slice(&of->val)))
				continue;
			put(to, buf_slice(&of->val));
			all_of(&after, ALICE);
			CHECK(is_part_of(&after, &before));
			CHECK(to->key.p[0] == 'W' ||
			    !slice_eq(
				buf_slice(&before), buf_slice(&after)));
			put(to, buf_slice(&to->val));
		}
	/* Under the other's key. */
	for (size_t k = alices; k < n; k++) {
		struct saved as = saved[k];
		struct store_batch *b;

		if (strchr("NG", as.key.p[0]) == NULL)
			continue;
		as.part = saved[0].part;
		put(&as, buf_slice(&as.val));
		all_of(&after, ALICE);
		CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
		if (as.key.p[0] == 'N')
			CHECK_INT(
			    mails_create(mm, ALICE, SLICE_LIT("b"), 0, NULL),
			    -EIO);
		b = store_batch_new(st, buf_slice(&as.part));
		store_del(b, buf_slice(&as.key));
		CHECK_INT(test_commit(b), 0);
	}
	all_of(&after, ALICE);
	CHECK(slice_eq(buf_slice(&before), buf_slice(&after)));
	saved_clear();
	buf_clear(&before);
	buf_clear(&after);
}

static void
exchanged(void **state)
{
	(void)state;
	how_now = MAILS_SEAL_SERVER;
	test_keys_make();
	test_keep_s = 3600;
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on(&test_engines[0], exchanged_body);
	test_seal = MAILS_SEAL_NONE;
	test_keep_s = 0;
}

/* --- what check --rebuild makes of it --- */

static void
on_told(void *arg, const struct mails_fault *f)
{
	buf_printf(arg, "%s: %s\n", f->mailbox != NULL ? f->mailbox : "",
	    f->what);
}

static void
mended_body(void)
{
	struct buf text = BUF_INIT, told = BUF_INIT;
	struct mails_rebuilt out;
	struct mails_view *v;
	struct buf val = BUF_INIT;

	mm->account_sealing = as_how_now;
	fill(ALICE);
	save_all(ALICE);
	/* Each name, and each keyword. */
	for (size_t i = 0; i < n_saved; i++) {
		buf_reset(&val);
		buf_put_slice(&val, buf_slice(&saved[i].val));
		val.p[val.n - 1] = (char)(val.p[val.n - 1] ^ 1);
		put(&saved[i], buf_slice(&val));
	}
	CHECK(mails_check(mm, false, on_fault, NULL, NULL) > 5);
	CHECK_INT(mails_rebuild(mm, NULL, on_told, &told, &out), 0);
	CHECK_INT(mails_check(mm, true, on_told, &told, NULL), 0);
	/* Every message is there, under a name that can be told. */
	all_of(&text, ALICE);
	CHECK(slice_find_slice(buf_slice(&text),
		  SLICE_LIT(MAILS_RECOVERED "/5")) >= 0);
	CHECK(slice_find_slice(buf_slice(&text), SLICE_LIT(" lost-2 ")) >= 0 ||
	    slice_find_slice(buf_slice(&text), SLICE_LIT(" lost-2")) >= 0);
	CHECK(slice_find_slice(buf_slice(&told), SLICE_LIT("keywords")) >= 0);
	/* It is used as any other, and what was made is sealed. */
	v = view_of(ALICE, MAILS_RECOVERED "/1");
	CHECK_INT(mails_view_count(v), 1);
	mails_view_close(&v);
	CHECK_INT(deliver_marked(ALICE, MAILS_RECOVERED "/1"), 0);
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT(MARK), 0, NULL), 0);
	CHECK_INT(marked_rows(), 0);
	saved_clear();
	buf_clear(&val);
	buf_clear(&text);
	buf_clear(&told);
}

static void
mended(void **state)
{
	(void)state;
	how_now = MAILS_SEAL_SERVER;
	for_all(mended_body);
}

/* --- keys --- */

/* Another process makes the server's key while this one runs without it. */
static unsigned asked;

static int
key_get(void *arg, bool make, struct seal_key **out)
{
	(void)arg;
	(void)make;
	asked++;
	*out = seal_key_ref(test_server_key);
	return 0;
}

static void
key_later_body(void)
{
	struct mails_conf conf = { .store = test_conf(),
		.sealing = as_how_now,
		.server_key_get = key_get };
	struct buf err = BUF_INIT, text = BUF_INIT;
	struct mails *late;

	mails_close(&mm);
	CHECK_INT(mails_open(&late, &conf, &err), 0);
	mm = late;
	st = mails_store(mm);
	CHECK_INT(deliver_marked(ALICE, "INBOX"), 0);
	all_of(&text, ALICE);
	CHECK_INT(asked, 0);
	/* As the other process would: this one has no key in memory. */
	how_now = MAILS_SEAL_SERVER;
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT(MARK), 0, NULL), 0);
	CHECK_INT(asked, 1);
	mm->has_server_key = false;
	mm->server_key_get = NULL;
	CHECK_INT(mails_create(mm, ALICE, SLICE_LIT("b"), 0, NULL), -ENOKEY);
	mm->server_key_get = key_get;
	all_of(&text, ALICE);
	CHECK_INT(asked, 2);
	CHECK(slice_find_slice(buf_slice(&text), SLICE_LIT(MARK)) >= 0);
	buf_clear(&text);
	buf_clear(&err);
}

static void
key_later(void **state)
{
	(void)state;
	test_keys_make();
	how_now = MAILS_SEAL_NONE;
	mails_run_on(&test_engines[2], key_later_body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nowhere),
		cmocka_unit_test(in_the_clear),
		cmocka_unit_test(forms),
		cmocka_unit_test(changed),
		cmocka_unit_test(exchanged),
		cmocka_unit_test(mended),
		cmocka_unit_test(key_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
