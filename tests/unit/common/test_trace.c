/* SPDX-License-Identifier: ISC */
/* The ring of trace records: round its end, torn, damaged, cut under its
 * writer, written by several processes at once, one of them killed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "common/base/trace_impl.h"

static char dir[64], path[128];

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/pneu-trace.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/mta.ring", dir);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	trace_close();
	unlink(path);
	return rmdir(dir); /* fails if a temporary file was left */
}

static struct trace_conf
conf_of(size_t size)
{
	return (struct trace_conf){ .dir = dir,
		.program = "mta",
		.size = size,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
}

static int
open_sized(size_t size)
{
	struct trace_conf c = conf_of(size);

	return trace_open(&c);
}

static void
write_text(enum trace_kind kind, const char *text)
{
	trace_write(&(struct trace_record){
	    .kind = kind, .field = { [TRACE_TEXT] = slice_str(text) } });
}

/* How many records there are. */
static size_t
count(struct trace_ring *r)
{
	struct trace_record rec;
	size_t n = 0;

	trace_ring_rewind(r);
	while (trace_ring_next(r, &rec))
		n++;
	return n;
}

static size_t
count_file(void)
{
	struct trace_ring r;
	size_t n;

	assert_int_equal(trace_ring_open(&r, path), 0);
	n = count(&r);
	trace_ring_close(&r);
	return n;
}

static struct slice
read_all(const char *file)
{
	int fd = open(file, O_RDONLY);
	struct stat st;
	char *p;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_non_null(p = malloc((size_t)st.st_size));
	assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
	close(fd);
	return slice(p, (size_t)st.st_size);
}

/* --- one record --- */

static void
every_field_comes_back(void **state)
{
	struct trace_record in = { .kind = TRACE_RCPT,
		.code = 550,
		.enhanced = "5.7.25",
		.took_us = 1234,
		.octets = 70000 };
	int64_t before = clock_wall_us();
	struct trace_record out;
	struct trace_ring r;
	char text[TRACE_FIELDS][32];

	(void)state;
	for (int i = 0; i < TRACE_FIELDS; i++) {
		snprintf(text[i], sizeof(text[i]), "field %d", i * i * i);
		in.field[i] = slice_str(text[i]);
	}
	in.field[TRACE_SENDER] = SLICE_EMPTY;
	in.field[TRACE_RULE] = slice(NULL, 0);
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	assert_true(trace_is_on());
	assert_string_equal(trace_program(), "mta");
	trace_write(&in);
	assert_int_equal(trace_ring_open(&r, path), 0);
	assert_string_equal(r.program, "mta");
	assert_true(trace_ring_next(&r, &out));
	assert_int_equal(out.kind, TRACE_RCPT);
	assert_int_equal(out.code, 550);
	assert_string_equal(out.enhanced, "5.7.25");
	assert_int_equal(out.took_us, 1234);
	assert_int_equal(out.octets, 70000);
	assert_in_range(out.at_us, before, clock_wall_us());
	for (int i = 0; i < TRACE_FIELDS; i++) {
		assert_true(slice_eq(out.field[i], in.field[i]));
		assert_int_equal(out.field[i].p == NULL, in.field[i].p == NULL);
	}
	assert_false(trace_ring_next(&r, &out));
	trace_ring_close(&r);
}

static void
texts_are_bounded_and_have_no_control_characters(void **state)
{
	char text[1000], want[TRACE_TEXT_MAX + 1];
	struct trace_record out;
	struct trace_ring r;
	static const struct {
		const char *in, *out;
	} enhanced[] = { { "", "" }, { "5.1.1", "5.1.1" }, { "5.1", "" },
		{ "5.999.1", "" }, { "x.0.0", "" }, { "4.7.255", "4.7.255" } };

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	write_text(TRACE_MAIL, "a\r\nb\x7f\tc\xc3\xa4");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	write_text(TRACE_MAIL, text);
	/* The last character of three octets begins at 253 and does not fit. */
	memcpy(text + 253, "\xe2\x82\xac", 3);
	write_text(TRACE_MAIL, text);
	for (size_t i = 0; i < sizeof(enhanced) / sizeof(*enhanced); i++) {
		struct trace_record in = { .kind = TRACE_MAIL, .took_us = -5 };

		snprintf(
		    in.enhanced, sizeof(in.enhanced), "%s", enhanced[i].in);
		in.octets = UINT64_MAX;
		trace_write(&in);
	}
	assert_int_equal(trace_ring_open(&r, path), 0);
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_TEXT], "a  b  c\xc3\xa4"));
	memset(want, 'x', sizeof(want));
	assert_true(trace_ring_next(&r, &out));
	assert_true(
	    slice_eq(out.field[TRACE_TEXT], slice(want, TRACE_TEXT_MAX)));
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq(out.field[TRACE_TEXT], slice(want, 253)));
	for (size_t i = 0; i < sizeof(enhanced) / sizeof(*enhanced); i++) {
		assert_true(trace_ring_next(&r, &out));
		assert_string_equal(out.enhanced, enhanced[i].out);
		assert_int_equal(out.octets, UINT32_MAX);
		assert_int_equal(out.took_us, 0);
	}
	trace_ring_close(&r);
}

/* Wherever it stands, and whatever stands beside it. */
static void
each_octet_is_kept_or_a_space(void **state)
{
	char text[20], want[20];
	struct trace_record in = { .kind = TRACE_MAIL,
		.field = { [TRACE_TEXT] = slice(text, sizeof(text)) } };
	struct trace_record out;
	struct trace_ring r;

	(void)state;
	assert_int_equal(open_sized((size_t)1 << 20), 0);
	for (int c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(text, c >= 0x80 ? 'x' : 0x80, sizeof(text));
			text[at] = (char)c;
			trace_write(&in);
		}
	assert_int_equal(trace_ring_open(&r, path), 0);
	for (int c = 0; c < 256; c++)
		for (size_t at = 0; at < sizeof(text); at++) {
			memset(want, c >= 0x80 ? 'x' : 0x80, sizeof(want));
			want[at] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
			assert_true(trace_ring_next(&r, &out));
			assert_memory_equal(
			    out.field[TRACE_TEXT].p, want, sizeof(want));
		}
	trace_ring_close(&r);
}

/* What --follow does: up to an end that was asked for before. */
static void
a_reader_goes_on(void **state)
{
	struct trace_record out;
	struct trace_ring r;
	uint64_t end;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	assert_int_equal(trace_ring_open(&r, path), 0);
	write_text(TRACE_MAIL, "one");
	end = trace_ring_end(&r);
	write_text(TRACE_MAIL, "two");
	assert_false(trace_ring_next(&r, &out));
	trace_ring_go_on(&r, end);
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_TEXT], "one"));
	assert_false(trace_ring_next(&r, &out));
	trace_ring_go_on(&r, trace_ring_end(&r));
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_TEXT], "two"));
	/* Overtaken: what is left is read from where it begins. */
	for (int i = 0; i < 5000; i++)
		write_text(TRACE_MAIL, "more");
	trace_ring_go_on(&r, trace_ring_end(&r));
	assert_true(r.head - r.at <= TRACE_SIZE_MIN);
	assert_true(trace_ring_next(&r, &out));
	while (trace_ring_next(&r, &out))
		assert_true(slice_eq_str(out.field[TRACE_TEXT], "more"));
	assert_true(r.at == r.head);
	/* Nonsense is not followed. */
	trace_ring_go_on(&r, 0);
	trace_ring_go_on(&r, UINT64_MAX & ~7ull);
	assert_true(r.at == r.head && r.head == trace_ring_end(&r));
	trace_ring_close(&r);
}

static struct trace_context context = { "CONN0001", "192.0.2.1",
	"01JABCDEFGHJKMNPQR" };

static struct trace_context *
get_context(void)
{
	return &context;
}

static void
the_context_fills_in_what_is_left_out(void **state)
{
	struct trace_record out, in = { .kind = TRACE_RCPT };
	struct trace_ring r;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	trace_set_context(get_context);
	trace_write(&in);
	in.field[TRACE_PEER] = SLICE_LIT("192.0.2.2");
	trace_write(&in);
	/* Of another transaction, that was not of this connection. */
	in.field[TRACE_PEER] = slice(NULL, 0);
	in.field[TRACE_ID] = SLICE_LIT("01JZZZZZZZZZZZZZZZ");
	trace_write(&in);
	trace_set_context(NULL);
	assert_int_equal(trace_ring_open(&r, path), 0);
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_ID], context.id));
	assert_true(slice_eq_str(out.field[TRACE_CONN], context.conn));
	assert_true(slice_eq_str(out.field[TRACE_PEER], context.peer));
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_ID], context.id));
	assert_true(slice_eq_str(out.field[TRACE_PEER], "192.0.2.2"));
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_ID], "01JZZZZZZZZZZZZZZZ"));
	assert_null(out.field[TRACE_CONN].p);
	assert_null(out.field[TRACE_PEER].p);
	trace_ring_close(&r);
}

/* What the coroutines give it. */
static void
in_coroutine(void *arg)
{
	struct trace_context *c = co_trace_context();

	(void)arg;
	snprintf(c->id, sizeof(c->id), "01JCOROUTINE000000");
	write_text(TRACE_MAIL, "x");
}

static void
a_coroutine_has_a_context_of_its_own(void **state)
{
	struct trace_record out;
	struct trace_ring r;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	assert_int_equal(co_run(in_coroutine, NULL), 0);
	write_text(TRACE_MAIL, "outside");
	assert_int_equal(trace_ring_open(&r, path), 0);
	assert_true(trace_ring_next(&r, &out));
	assert_true(slice_eq_str(out.field[TRACE_ID], "01JCOROUTINE000000"));
	assert_true(trace_ring_next(&r, &out));
	assert_null(out.field[TRACE_ID].p);
	trace_ring_close(&r);
}

/* --- round the end --- */

static void
write_number(unsigned writer, unsigned n)
{
	char text[TRACE_TEXT_MAX];
	size_t len = 20 + n * 37 % 200;

	memset(text, 'a' + (int)(n % 26), sizeof(text));
	text[len] = '\0';
	trace_write(&(struct trace_record){ .kind = TRACE_RCPT,
	    .code = (int)(200 + writer),
	    .octets = n,
	    .field = { [TRACE_TEXT] = slice(text, len) } });
}

/* Is it one that write_number wrote, whole? */
static bool
is_number(const struct trace_record *r)
{
	struct slice t = r->field[TRACE_TEXT];

	if (t.n != 20 + r->octets * 37 % 200)
		return false;
	for (size_t i = 0; i < t.n; i++)
		if (t.p[i] != 'a' + (char)(r->octets % 26))
			return false;
	return true;
}

static void
the_newest_stay_in_order(void **state)
{
	struct trace_record out;
	struct trace_ring r;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	for (unsigned total = 1; total <= 3000; total++) {
		uint64_t next = UINT64_MAX;
		size_t octets = 0;

		write_number(0, total);
		if (total % 61 != 0)
			continue;
		assert_int_equal(trace_ring_open(&r, path), 0);
		while (trace_ring_next(&r, &out)) {
			assert_true(is_number(&out));
			assert_true(next == UINT64_MAX || out.octets == next);
			next = out.octets + 1;
			octets += out.field[TRACE_TEXT].n;
		}
		assert_int_equal(next, total + 1);
		/* As many as fit, not only a few. */
		assert_true(total < 1000 || octets > TRACE_SIZE_MIN / 2);
		trace_ring_close(&r);
	}
}

static void
the_ring_goes_on_where_it_was(void **state)
{
	(void)state;
	assert_int_equal(open_sized(1 << 20), 0);
	for (unsigned i = 0; i < 50; i++)
		write_number(0, i);
	trace_close();
	write_number(0, 1); /* nowhere */
	assert_false(trace_is_on());
	assert_int_equal(open_sized(1 << 20), 0);
	for (unsigned i = 0; i < 50; i++)
		write_number(0, i);
	assert_int_equal(count_file(), 100);
}

static void
a_flood_of_connections_washes_nothing_away(void **state)
{
	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	write_text(TRACE_MAIL, "x");
	for (int i = 0; i < 10000; i++)
		write_text(TRACE_CONNECT, "refused");
	assert_in_range(count_file(), 51, 501);
}

/* --- damage --- */

static void
a_damaged_record_costs_only_itself(void **state)
{
	struct trace_record out;
	struct trace_ring r;
	struct slice file;
	size_t at = TRACE_HEADER_SIZE, begin, end;
	char *p;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	for (unsigned i = 0; i < 9; i++)
		write_number(0, i);
	file = read_all(path);
	p = (char *)(uintptr_t)file.p;
	for (int i = 0; i < 4; i++) {
		struct trace_head h;

		memcpy(&h, p + at, sizeof(h));
		at += h.size;
		begin = at;
	}
	memcpy(&end, p + begin + offsetof(struct trace_head, size), 2);
	end = begin + (end & 0xffff);
	for (size_t i = begin; i < end; i++) {
		for (int bit = 0; bit < 8; bit++) {
			size_t n = 0;

			p[i] = (char)(p[i] ^ 1 << bit);
			assert_int_equal(trace_ring_init(&r, file), 0);
			for (; trace_ring_next(&r, &out); n++) {
				assert_true(is_number(&out));
				assert_int_not_equal(out.octets, 4);
			}
			assert_int_equal(n, 8);
			p[i] = (char)(p[i] ^ 1 << bit);
		}
	}
	/* Half of it is still of an older record: a writer was killed. */
	memset(p + begin + 24, 0, 40);
	assert_int_equal(trace_ring_init(&r, file), 0);
	assert_int_equal(count(&r), 8);
	free(p);
}

/* Each makes the file another than it was. */
static void
damage_magic(int fd)
{
	assert_int_equal(pwrite(fd, "x", 1, 0), 1);
}
static void
damage_size(int fd)
{
	assert_int_equal(pwrite(fd, "x", 1, 8), 1);
}
static void
damage_crc(int fd)
{
	assert_int_equal(
	    pwrite(fd, "xxxx", 4, offsetof(struct trace_header, crc)), 4);
}
static void
damage_head(int fd)
{
	assert_int_equal(
	    pwrite(fd, "\1", 1, offsetof(struct trace_header, head)), 1);
}
static void
damage_shorter(int fd)
{
	assert_int_equal(ftruncate(fd, 100000), 0);
}
static void
damage_longer(int fd)
{
	assert_int_equal(ftruncate(fd, 1000000), 0);
}
static void
damage_empty(int fd)
{
	assert_int_equal(ftruncate(fd, 0), 0);
}
static void
damage_zeros(int fd)
{
	damage_empty(fd);
	assert_int_equal(ftruncate(fd, TRACE_HEADER_SIZE + TRACE_SIZE_MIN), 0);
}

static void
a_damaged_file_is_made_anew(void **state)
{
	static void (*const damages[])(int) = { damage_magic, damage_size,
		damage_crc, damage_head, damage_shorter, damage_longer,
		damage_empty, damage_zeros };
	struct trace_ring r;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		struct trace_conf existing = conf_of(TRACE_SIZE_MIN);
		int fd;

		existing.existing = true;
		assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
		write_text(TRACE_MAIL, "x");
		trace_close();
		assert_true((fd = open(path, O_RDWR)) >= 0);
		damages[i](fd);
		close(fd);
		assert_int_equal(trace_ring_open(&r, path), -EBADMSG);
		assert_int_equal(trace_open(&existing), -EBADMSG);
		assert_false(trace_is_on());
		assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
		assert_int_equal(count_file(), 0);
		write_text(TRACE_MAIL, "x");
		assert_int_equal(count_file(), 1);
	}
	/* Another size is another file. */
	assert_int_equal(open_sized(2 * TRACE_SIZE_MIN - 5), 0);
	assert_int_equal(count_file(), 0);
}

static void
what_is_not_ours_is_not_written(void **state)
{
	char other[128];
	struct stat st;
	struct slice before, after;

	(void)state;
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(other, sizeof(other), "%s/other", dir);
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	trace_close();
	assert_int_equal(rename(path, other), 0);
	before = read_all(other);
	for (int i = 0; i < 4; i++) {
		unlink(path);
		if (i == 0)
			assert_int_equal(symlink(other, path), 0);
		else if (i == 1)
			assert_int_equal(link(other, path), 0);
		else if (i == 2)
			assert_int_equal(mkfifo(path, 0600), 0);
		else
			assert_int_equal(symlink("nowhere", path), 0);
		assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
		write_text(TRACE_MAIL, "x");
		assert_int_equal(count_file(), 1);
		assert_int_equal(lstat(path, &st), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_nlink == 1);
		assert_int_equal(st.st_mode & 07777, 0640);
		after = read_all(other);
		assert_true(slice_eq(before, after));
		free((void *)(uintptr_t)after.p);
	}
	free((void *)(uintptr_t)before.p);
	unlink(other);
	if (geteuid() != 0)
		return;
	/* As root: another user's, who could be writing into it. */
	assert_int_equal(chown(path, 12345, 12345), 0);
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	assert_int_equal(count_file(), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void
it_belongs_to_who_is_told(void **state)
{
	struct trace_conf c = conf_of(TRACE_SIZE_MIN);
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	c.uid = 1234;
	c.gid = 2345;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(trace_open(&c), 0);
		write_text(TRACE_MAIL, "x");
		assert_int_equal(count_file(), (size_t)i + 1);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_uid, 1234);
		assert_int_equal(st.st_gid, 2345);
	}
}

static void
no_folder_no_room_no_trace(void **state)
{
	struct trace_conf c = conf_of(TRACE_SIZE_MIN);

	(void)state;
	c.existing = true;
	assert_int_equal(trace_open(&c), -ENOENT);
	c = conf_of(0);
	assert_int_equal(trace_open(&c), 0);
	assert_false(trace_is_on());
	write_text(TRACE_MAIL, "x");
	assert_int_equal(access(path, F_OK), -1);
	c = conf_of(TRACE_SIZE_MIN);
	c.dir = "/nonexistent";
	assert_int_equal(trace_open(&c), -ENOENT);
	assert_false(trace_is_on());
	write_text(TRACE_MAIL, "x");
}

static void
a_file_cut_under_its_writer_ends_the_trace_only(void **state)
{
	(void)state;
	assert_int_equal(open_sized(1 << 20), 0);
	for (unsigned i = 0; i < 100; i++)
		write_number(0, i);
	assert_int_equal(truncate(path, 0), 0);
	for (unsigned i = 0; i < 100; i++)
		write_number(0, i);
	assert_false(trace_is_on());
	/* And the next start makes it anew. */
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(open_sized(1 << 20), 0);
	write_number(0, 1);
	assert_true(trace_is_on());
	assert_int_equal(count_file(), 1);
}

/* --- several processes --- */

#define WRITERS 4

static pid_t
writer(unsigned id, unsigned n)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	/* Not longer than the test, however that ends. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(500);
	for (unsigned i = 0; n == 0 || i < n; i++)
		write_number(id, i);
	_exit(0);
}

/* Each writer's records in its order; without a gap where `all`. */
static size_t
check_writers(struct trace_ring *r, bool all)
{
	uint64_t next[WRITERS] = { 0 };
	struct trace_record out;
	size_t n = 0;

	for (; trace_ring_next(r, &out); n++) {
		unsigned w = (unsigned)out.code - 200;

		assert_true(w < WRITERS && is_number(&out));
		assert_true(out.octets >= next[w]);
		if (all)
			assert_int_equal(out.octets, next[w]);
		next[w] = out.octets + 1;
	}
	return n;
}

static void
processes_write_at_once(void **state)
{
	struct trace_ring r;
	pid_t pid[WRITERS];
	int status;

	(void)state;
	assert_int_equal(open_sized((size_t)8 << 20), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_true((pid[i] = writer(i, 5000)) > 0);
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(trace_ring_open(&r, path), 0);
	assert_int_equal(check_writers(&r, true), WRITERS * 5000);
	trace_ring_close(&r);
}

static void
a_reader_beside_writers_and_their_end_by_sigkill(void **state)
{
	struct trace_ring r;
	pid_t pid[WRITERS];
	uint64_t head = 0;
	size_t n = 0, kept;
	int status;

	(void)state;
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	for (unsigned i = 0; i < WRITERS; i++)
		assert_true((pid[i] = writer(i, 0)) > 0);
	/* Until they have gone round many times while we read. */
	for (int round = 0; round < 300 || head < 20 * TRACE_SIZE_MIN;
	     round++) {
		assert_int_equal(trace_ring_open(&r, path), 0);
		head = r.head;
		n += check_writers(&r, false);
		trace_ring_close(&r);
		sched_yield();
	}
	assert_true(n > 0);
	for (unsigned i = 0; i < WRITERS; i++)
		kill(pid[i], SIGKILL);
	for (unsigned i = 0; i < WRITERS; i++)
		waitpid(pid[i], &status, 0);
	/* All but what each had in its hands is there. */
	assert_int_equal(trace_ring_open(&r, path), 0);
	kept = check_writers(&r, false);
	trace_ring_close(&r);
	assert_true(kept > TRACE_SIZE_MIN / 400);
	/* And it goes on from there. */
	trace_close();
	assert_int_equal(open_sized(TRACE_SIZE_MIN), 0);
	write_number(0, UINT32_MAX);
	assert_true(count_file() >= kept - 10);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(every_field_comes_back),
		T(texts_are_bounded_and_have_no_control_characters),
		T(each_octet_is_kept_or_a_space),
		T(a_reader_goes_on),
		T(the_context_fills_in_what_is_left_out),
		T(a_coroutine_has_a_context_of_its_own),
		T(the_newest_stay_in_order),
		T(the_ring_goes_on_where_it_was),
		T(a_flood_of_connections_washes_nothing_away),
		T(a_damaged_record_costs_only_itself),
		T(a_damaged_file_is_made_anew),
		T(what_is_not_ours_is_not_written),
		T(it_belongs_to_who_is_told),
		T(no_folder_no_room_no_trace),
		T(a_file_cut_under_its_writer_ends_the_trace_only),
		T(processes_write_at_once),
		T(a_reader_beside_writers_and_their_end_by_sigkill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
