/* SPDX-License-Identifier: ISC */
/* tar: what we write is read again, by us and by GNU tar; what others write;
 * what is broken. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mailbox/door/tar.h"
#include "tests/unit/mailbox/door_input.h"

/* All members as "<type> <path> <size> <mtime> [link]: octets;". */
static void
read_all(struct slice text, size_t step, struct buf *out)
{
	struct memory_input memory;
	struct input *in = memory_input(&memory, text, step);
	struct tar_reader *r;
	struct tar_entry e;
	struct slice s;
	int rc;

	assert_int_equal(tar_reader_new(&r, in), 0);
	while ((rc = tar_next(r, &e)) == 1) {
		buf_printf(out, "%c %.*s %llu %lld", "fdlo"[e.type],
		    (int)e.path.n, e.path.p, (unsigned long long)e.size,
		    (long long)e.mtime);
		if (e.type == TAR_HARD_LINK)
			buf_printf(out, " %.*s", (int)e.link.n, e.link.p);
		buf_put_str(out, ": ");
		while ((rc = tar_read(r, &s)) == 0 && s.n > 0)
			buf_put_slice(out, s);
		if (rc != 0)
			break;
		buf_put_str(out, ";");
	}
	buf_printf(out, "%d%s", rc, tar_is_cut(r) ? " cut" : "");
	tar_reader_free(&r);
	input_free(&in);
}

static void
put_member(struct buf *tar, enum tar_type type, const char *path,
    const char *text, int64_t mtime)
{
	const struct tar_entry e = { .type = type,
		.path = slice_str(path),
		.size = strlen(text),
		.mtime = mtime };

	assert_true(tar_put_header(tar, &e));
	buf_put_str(tar, text);
	assert_true(tar_put_padding(tar, e.size));
}

#define X10 "xxxxxxxxxx"
#define LONG X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10 "/" X10 X10

static void
put_some(struct buf *tar)
{
	put_member(tar, TAR_FOLDER, "Maildir/", "", 0);
	put_member(tar, TAR_FILE, "Maildir/cur/1:2,S", "Subject: x\n\n", 17);
	put_member(tar, TAR_FILE, LONG, "abc", 1700000000);
	put_member(tar, TAR_FILE, "old", "", -5);
	put_member(tar, TAR_FILE, "late", "z", 99999999999);
}

#define SOME                                                                   \
	"d Maildir/ 0 0: ;f Maildir/cur/1:2,S 12 17: Subject: x\n\n;"          \
	"f " LONG " 3 1700000000: abc;f old 0 -5: ;f late 1 99999999999: z;"

static void
round_trip(void **state)
{
	struct buf tar = BUF_INIT, got = BUF_INIT;

	(void)state;
	put_some(&tar);
	tar_put_end(&tar);
	assert_int_equal(tar.n % TAR_BLOCK, 0);
	for (size_t step = 1; step < 20000; step = step * 7 + 3) {
		buf_reset(&got);
		read_all(buf_slice(&tar), step, &got);
		assert_string_equal(buf_str(&got), SOME "0");
	}
	/* Without an end, and cut off anywhere. */
	buf_reset(&got);
	read_all(slice_head(buf_slice(&tar), tar.n - 1024), 512, &got);
	assert_string_equal(buf_str(&got), SOME "0 cut");
	for (size_t n = 0; n < tar.n - 1024; n += 100) {
		buf_reset(&got);
		read_all(slice_head(buf_slice(&tar), n), 4096, &got);
		assert_true(n % TAR_BLOCK == 0 ||
		    slice_ends_nocase(buf_slice(&got), "-74"));
	}
	buf_clear(&tar);
	buf_clear(&got);
}

/* --- what GNU tar thinks of it, and what it writes --- */

static void
run(const char *command, struct buf *out)
{
	FILE *p = popen(command, "r");
	char chunk[4096];
	size_t n;

	assert_non_null(p);
	while ((n = fread(chunk, 1, sizeof(chunk), p)) > 0)
		buf_put(out, chunk, n);
	assert_int_equal(pclose(p), 0);
}

static void
gnu_reads(void **state)
{
	struct buf tar = BUF_INIT, got = BUF_INIT;
	char path[] = "/tmp/pneu-tar.XXXXXX", command[200];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	(void)state;
	put_some(&tar);
	tar_put_end(&tar);
	assert_int_equal(fwrite(tar.p, 1, tar.n, f), tar.n);
	assert_int_equal(fclose(f), 0);
	snprintf(command, sizeof(command),
	    "TZ=UTC tar tvf %s --full-time 2>&1 | tr -s ' '", path);
	run(command, &got);
	remove(path);
	assert_string_equal(buf_str(&got),
	    "drwx------ 0/0 0 1970-01-01 00:00:00 Maildir/\n"
	    "-rw------- 0/0 12 1970-01-01 00:00:17 Maildir/cur/1:2,S\n"
	    "-rw------- 0/0 3 2023-11-14 22:13:20 " LONG "\n"
	    "-rw------- 0/0 0 1969-12-31 23:59:55 old\n"
	    "-rw------- 0/0 1 5138-11-16 09:46:39 late\n");
	buf_clear(&tar);
	buf_clear(&got);
}

/* A hard link, a long name, a symbolic link, in each format of GNU tar. */
static void
gnu_writes(void **state)
{
	static const char *const formats[] = { "gnu", "pax", "ustar", "v7" };
	struct buf tar = BUF_INIT, got = BUF_INIT;
	char command[1000];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		bool is_long = i < 2;

		snprintf(command, sizeof(command),
		    "set -e; d=$(mktemp -d); cd $d; mkdir cur; "
		    "printf abc >cur/a; ln cur/a cur/b; ln -s a cur/c; "
		    "%s touch -d @1700000000 cur/*; "
		    "tar c --format=%s --sort=name --mtime=@1700000000 cur; "
		    "rm -r $d",
		    is_long ? "mkdir -p " LONG "; printf def >" LONG "/f;" : "",
		    formats[i]);
		buf_reset(&tar);
		buf_reset(&got);
		run(command, &tar);
		read_all(buf_slice(&tar), 700, &got);
		assert_string_equal(buf_str(&got),
		    "d cur/ 0 1700000000: ;f cur/a 3 1700000000: abc;"
		    "l cur/b 0 1700000000 cur/a: ;o cur/c 0 1700000000: ;0");
	}
	snprintf(command, sizeof(command),
	    "set -e; d=$(mktemp -d); cd $d; mkdir -p " LONG
	    "; printf def >" LONG "/f; ln " LONG "/f g; "
	    "tar c --format=gnu --mtime=@17 --no-recursion " LONG "/f g; "
	    "rm -r $d");
	buf_reset(&tar);
	buf_reset(&got);
	run(command, &tar);
	read_all(buf_slice(&tar), 700, &got);
	assert_string_equal(
	    buf_str(&got), "f " LONG "/f 3 17: def;l g 0 17 " LONG "/f: ;0");
	buf_clear(&tar);
	buf_clear(&got);
}

/* --- broken --- */

static void
broken(void **state)
{
	struct buf tar = BUF_INIT, got = BUF_INIT;
	static const struct {
		size_t at;
		char c;
	} faults[] = { { 0, 'x' }, { 124, '9' }, { 148, '7' }, { 160, 'S' },
		{ 257, 'x' } };

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		buf_reset(&tar);
		buf_reset(&got);
		put_member(&tar, TAR_FILE, "a", "b", 1);
		tar.p[faults[i].at] = faults[i].c;
		read_all(buf_slice(&tar), 512, &got);
		assert_string_equal(buf_str(&got), "-74");
	}
	buf_reset(&got);
	read_all(SLICE_EMPTY, 1, &got);
	assert_string_equal(buf_str(&got), "-74");
	buf_clear(&tar);
	buf_clear(&got);
}

/* Records of an extended header that cannot be. */
static void
broken_pax(void **state)
{
	static const char *const records[] = { "x", "5", "0 a=b\n", "99 a=b\n",
		"6 a=b", "6 a_b\n", "7 a=b\nx", "12 size=x12\n",
		"13 size=9999999999999999999\n", "11 mtime=x\n" };
	struct buf tar = BUF_INIT, got = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(records[0]); i++) {
		buf_reset(&tar);
		buf_reset(&got);
		put_member(&tar, TAR_FILE, "x", records[i], 1);
		tar.p[156] = 'x';
		/* The sum: '0' has become 'x'. */
		snprintf(tar.p + 148, 8, "%06lo",
		    strtoul(tar.p + 148, NULL, 8) + 'x' - '0');
		put_member(&tar, TAR_FILE, "a", "b", 1);
		read_all(buf_slice(&tar), 512, &got);
		assert_string_equal(buf_str(&got), "-74");
	}
	buf_clear(&tar);
	buf_clear(&got);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(gnu_reads),
		cmocka_unit_test(gnu_writes),
		cmocka_unit_test(broken),
		cmocka_unit_test(broken_pax),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
