/* SPDX-License-Identifier: ISC */
/*
 * Plain connections. Each case has two ends of a socketpair, each with a
 * coroutine; they note what they saw and the test asserts it afterwards,
 * because cmocka's longjmp must not cross stacks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/net/conn.h"

#define BIG ((size_t)3 << 20)

static struct conn *a, *b;
static struct buf notes; /* what the reading end saw */

/* --- lines --- */

struct line_case {
	const char *input;
	size_t max;
	const char *expected; /* one word per call, see read_lines */
};

static const struct line_case line_cases[] = {
	{ "EHLO a\r\nQUIT\r\n", 100, "[EHLO a] [QUIT] end" },
	{ "bare\nlf\r\n", 100, "[bare]bare [lf] end" },
	{ "\r\n\n\r\n", 100, "[] []bare [] end" },
	{ "a\rb\r\r\n", 100, "[a\rb\r] end" },
	{ "12345\r\n123456\r\n1\r\n", 5, "[12345] long [1] end" },
	{ "12345\n123456\n1\n", 5, "[12345]bare longbare [1]bare end" },
	{ "12345\r\r\nx\r\n", 5, "long [x] end" },
	{ "1234567890\r1\nx\r\n", 5, "longbare [x] end" },
	{ "1234567890123456789012345678901234567890\r\nok\r\n", 5,
	    "long [ok] end" },
	{ "1234567890", 5, "end" },
	{ "no ending", 100, "end" },
	{ "", 100, "end" },
	{ "\r\n", 0, "[] end" },
	{ "x\r\n\r\n", 0, "long [] end" },
};

static const struct line_case *line_case;
static size_t step;

static void
send_in_steps(void *arg)
{
	struct slice in = slice_str(line_case->input);

	(void)arg;
	while (in.n > 0) {
		conn_write(a, slice_head(in, step));
		conn_flush(a);
		in = slice_from(in, step);
		co_yield ();
	}
	conn_shutdown(a);
}

static void
read_lines(void *arg)
{
	struct slice line;
	bool bare;
	int rc;

	(void)arg;
	for (;;) {
		rc = conn_read_line(b, line_case->max, &line, &bare);
		if (rc == 0)
			buf_printf(&notes, "[%.*s]%s ", (int)line.n, line.p,
			    bare ? "bare" : "");
		else if (rc == -EMSGSIZE)
			buf_printf(&notes, "long%s ", bare ? "bare" : "");
		else
			break;
	}
	buf_put_str(&notes, rc == -EPIPE ? "end" : "other error");
}

static void
run_lines(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	conn_pair(&a, &b);
	co_group_spawn(&g, read_lines, NULL);
	co_group_spawn(&g, send_in_steps, NULL);
	co_group_join(&g);
	conn_free(&a);
	conn_free(&b);
}

static void
lines_are_the_same_however_they_arrive(void **state)
{
	static const size_t steps[] = { 1, 2, 3, 7, 1000 };
	size_t n = sizeof(line_cases) / sizeof(line_cases[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < sizeof(steps) / sizeof(steps[0]); j++) {
			line_case = &line_cases[i];
			step = steps[j];
			co_run(run_lines, NULL);
			assert_string_equal(
			    buf_str(&notes), line_case->expected);
			buf_reset(&notes);
		}
	}
}

/* --- long things --- */

static char
pattern(size_t i)
{
	return (char)('a' + i % 23 + i / 4099 % 3);
}

static void
send_big(void *arg)
{
	static char block[10007];

	(void)arg;
	for (size_t at = 0; at < BIG; at += sizeof(block)) {
		size_t n = BIG - at < sizeof(block) ? BIG - at : sizeof(block);

		for (size_t i = 0; i < n; i++)
			block[i] = pattern(at + i);
		if (conn_write(a, slice(block, n)) != 0)
			return;
	}
	conn_puts(a, "\nnext\r\n");
	conn_flush(a);
}

static struct {
	size_t right, largest_wait;
	int rc, rc2;
	bool flag;
	char text[64];
	int64_t ms;
} seen;

static void
read_big_by_peek(void *arg)
{
	struct slice s;
	size_t at = 0;

	(void)arg;
	while (at < BIG && conn_peek(b, &s) == 0) {
		s = slice_head(s, BIG - at);
		for (size_t i = 0; i < s.n; i++)
			seen.right += s.p[i] == pattern(at + i);
		at += s.n;
		conn_consume(b, s.n);
		co_yield (); /* a slow reader */
	}
	seen.rc = conn_read_line(b, 10, &s, NULL);
	seen.rc2 = conn_read_line(b, 10, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
}

static void
read_big_exactly(void *arg)
{
	char *all = malloc(BIG + 1);
	struct slice s;

	(void)arg;
	seen.rc = conn_read_exact(b, all, BIG + 1);
	for (size_t i = 0; i < BIG; i++)
		seen.right += all[i] == pattern(i);
	free(all);
	seen.rc2 = conn_read_line(b, 10, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
}

static void
read_big_line(void *arg)
{
	struct slice s = SLICE_EMPTY;

	(void)arg;
	seen.rc = conn_read_line(b, BIG, &s, &seen.flag);
	for (size_t i = 0; i < s.n; i++)
		seen.right += s.p[i] == pattern(i);
	seen.rc2 = conn_read_line(b, 10, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
}

static void (*other_end)(void *);

static void
run_big(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	conn_pair(&a, &b);
	co_group_spawn(&g, send_big, NULL);
	co_group_spawn(&g, other_end, NULL);
	co_group_join(&g);
	conn_free(&a);
	conn_free(&b);
}

static void
big_transfers_are_whole(void **state)
{
	static void (*const readers[])(
	    void *) = { read_big_by_peek, read_big_exactly, read_big_line };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		memset(&seen, 0, sizeof(seen));
		other_end = readers[i];
		co_run(run_big, NULL);
		assert_int_equal(seen.right, BIG);
		assert_int_equal(seen.rc, 0);
		assert_int_equal(seen.rc2, 0);
		assert_string_equal(seen.text, "next");
	}
}

/* --- replies go out before a wait, and together --- */

static void
pipelining_client(void *arg)
{
	struct slice s;

	(void)arg;
	conn_puts(a, "1\n2\n3\n");
	conn_flush(a);
	conn_peek(a, &s);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
	conn_shutdown(a);
}

static void
run_pipelining(void *arg)
{
	struct co_group g = { 0 };
	struct slice s;

	(void)arg;
	conn_pair(&a, &b);
	co_group_spawn(&g, pipelining_client, NULL);
	while (conn_read_line(b, 10, &s, NULL) == 0)
		conn_printf(b, "%.*s ok ", (int)s.n, s.p);
	co_group_join(&g);
	conn_free(&a);
	conn_free(&b);
}

static void
pipelined_replies_leave_in_one_write_before_the_wait(void **state)
{
	(void)state;
	co_run(run_pipelining, NULL);
	assert_string_equal(seen.text, "1 ok 2 ok 3 ok ");
}

/* --- a peer that does not read --- */

static void
never_reads(void *arg)
{
	(void)arg;
	conn_set_timeout(a, 30);
	while (seen.rc == 0)
		seen.rc = conn_puts(a, "0123456789012345678901234567890123\n");
	seen.rc2 = conn_puts(a, "more");
}

static void
run_slow_peer(void *arg)
{
	(void)arg;
	memset(&seen, 0, sizeof(seen));
	conn_pair(&a, &b);
	never_reads(NULL);
	conn_free(&a);
	conn_free(&b);
}

static void
writing_to_a_peer_that_does_not_read_times_out(void **state)
{
	(void)state;
	co_run(run_slow_peer, NULL);
	assert_int_equal(seen.rc, -ETIMEDOUT);
	assert_int_equal(seen.rc2, -ETIMEDOUT); /* sticky */
}

/* --- time --- */

static void
drip(void *arg)
{
	(void)arg;
	while (co_sleep(5) == 0) {
		conn_puts(a, "x");
		conn_flush(a);
	}
}

static void
run_dripping(void *arg)
{
	struct co *c = co_spawn(drip, NULL);
	int64_t start = clock_mono_ms();
	struct slice s;

	(void)arg;
	conn_pair(&a, &b);
	conn_set_timeout(b, 60);
	seen.rc = conn_read_line(b, 1000, &s, NULL);
	seen.ms = clock_mono_ms() - start;
	seen.rc2 = conn_read_line(b, 1000, &s, NULL);
	co_cancel(c);
	while (co_count() > 1)
		co_yield ();
	conn_free(&a);
	conn_free(&b);
}

static void
a_line_that_drips_in_is_timed_as_a_whole(void **state)
{
	(void)state;
	co_run(run_dripping, NULL);
	assert_int_equal(seen.rc, -ETIMEDOUT);
	assert_int_equal(seen.rc2, -ETIMEDOUT);
	assert_true(seen.ms >= 60);
}

static void
run_deadline(void *arg)
{
	int64_t start = clock_mono_ms();
	struct slice s;

	(void)arg;
	conn_pair(&a, &b);
	conn_set_deadline(b, start + 40);
	seen.rc = conn_peek(b, &s);
	seen.ms = clock_mono_ms() - start;
	conn_free(&a);
	conn_free(&b);
}

static void
no_wait_goes_beyond_the_deadline(void **state)
{
	(void)state;
	co_run(run_deadline, NULL);
	assert_int_equal(seen.rc, -ETIMEDOUT);
	assert_true(seen.ms >= 40);
}

/* --- idle --- */

static struct co_event event;

static void
idle_end(void *arg)
{
	(void)arg;
	seen.rc = conn_wait_input(b, &event, -1);
	seen.rc2 = conn_wait_input(b, NULL, 10);
}

static void
run_also(void *arg)
{
	(void)arg;
	event = (struct co_event){ 0 };
	conn_pair(&a, &b);
	co_spawn(idle_end, NULL);
	co_yield ();
	co_yield ();
	seen.flag = conn_is_idle(b) && !conn_is_idle(a);
	co_event_set(&event);
	while (co_count() > 1)
		co_sleep(1);
	conn_free(&a);
	conn_free(&b);
}

static void
an_idle_wait_ends_by_the_event_and_times_out(void **state)
{
	(void)state;
	co_run(run_also, NULL);
	assert_int_equal(seen.rc, 2);
	assert_int_equal(seen.rc2, -ETIMEDOUT);
	assert_true(seen.flag);
}

static void
run_input(void *arg)
{
	struct slice s;

	(void)arg;
	event = (struct co_event){ 0 };
	conn_pair(&a, &b);
	co_spawn(idle_end, NULL);
	co_yield ();
	conn_puts(a, "NOOP\r\n");
	conn_flush(a);
	while (co_count() > 1)
		co_yield ();
	seen.flag =
	    conn_read_line(b, 10, &s, NULL) == 0 && slice_eq_str(s, "NOOP");
	conn_shutdown(a);
	seen.ms = conn_wait_input(b, NULL, -1);
	conn_free(&a);
	conn_free(&b);
}

static void
an_idle_wait_ends_by_input(void **state)
{
	(void)state;
	co_run(run_input, NULL);
	assert_int_equal(seen.rc, 1);
	assert_int_equal(seen.rc2, 1); /* nobody took the line yet */
	assert_true(seen.flag);
	assert_int_equal(seen.ms, -EPIPE);
}

static void
run_gone(void *arg)
{
	(void)arg;
	conn_pair(&a, &b);
	seen.rc = conn_wait_input(a, NULL, 0);
	conn_free(&b);
	seen.rc2 = conn_wait_input(a, NULL, 0);
	conn_free(&a);
}

static void
a_look_without_a_wait_sees_that_the_peer_has_gone(void **state)
{
	(void)state;
	co_run(run_gone, NULL);
	assert_int_equal(seen.rc, -ETIMEDOUT);
	assert_int_equal(seen.rc2, -EPIPE);
}

static void
canceled_end(void *arg)
{
	(void)arg;
	seen.rc = conn_wait_input(b, NULL, -1);
	conn_puts(b, "bye\r\n");
	conn_free(&b);
}

static void
run_cancel(void *arg)
{
	struct co *c = co_spawn(canceled_end, NULL);
	struct slice s = SLICE_EMPTY;

	(void)arg;
	conn_pair(&a, &b);
	co_yield ();
	co_cancel(c);
	seen.rc2 = conn_read_line(a, 10, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
	conn_free(&a);
}

static void
a_canceled_session_can_still_say_goodbye(void **state)
{
	(void)state;
	co_run(run_cancel, NULL);
	assert_int_equal(seen.rc, -ECANCELED);
	assert_int_equal(seen.rc2, 0);
	assert_string_equal(seen.text, "bye");
}

/* --- ends --- */

static void
run_half_close(void *arg)
{
	struct slice s;

	(void)arg;
	conn_pair(&a, &b);
	conn_puts(a, "last\n");
	conn_shutdown(a);
	seen.rc = conn_puts(a, "after");
	conn_read_line(b, 10, &s, NULL);
	seen.rc2 = conn_read_line(b, 10, &s, NULL);
	conn_puts(b, "reply\n");
	conn_flush(b);
	seen.flag =
	    conn_read_line(a, 10, &s, NULL) == 0 && slice_eq_str(s, "reply");
	conn_free(&a);
	/* SIGPIPE would end this test. */
	for (seen.ms = 0; seen.ms == 0;) {
		conn_puts(b, "nobody");
		seen.ms = conn_flush(b);
	}
	conn_free(&b);
}

static void
half_close_and_gone_peer_are_told_apart(void **state)
{
	(void)state;
	co_run(run_half_close, NULL);
	assert_int_equal(seen.rc, -EPIPE);
	assert_int_equal(seen.rc2, -EPIPE);
	assert_true(seen.flag);
	assert_int_equal(seen.ms, -ECONNRESET);
}

static void
run_last_word(void *arg)
{
	struct slice s = SLICE_EMPTY;

	(void)arg;
	conn_pair(&a, &b);
	conn_puts(a, "many octets that nobody reads");
	conn_flush(a);
	conn_puts(b, "421 busy\r\n");
	conn_free(&b);
	seen.rc = conn_read_line(a, 20, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
	conn_free(&a);
}

static void
the_last_word_survives_unread_input(void **state)
{
	(void)state;
	co_run(run_last_word, NULL);
	assert_int_equal(seen.rc, 0);
	assert_string_equal(seen.text, "421 busy");
}

static void
run_files(void *arg)
{
	char path[] = "/tmp/test_conn.XXXXXX", got[8] = "";
	int rfd = mkstemp(path), wfd = open(path, O_WRONLY | O_APPEND);
	struct conn *c;
	struct slice s;

	(void)arg;
	seen.right = (size_t)write(rfd, "file\n", 5);
	lseek(rfd, 0, SEEK_SET);
	seen.rc = conn_new(&c, rfd, wfd);
	seen.flag = conn_read_line(c, 10, &s, NULL) == 0 &&
	    slice_eq_str(s, "file") && net_addr_is_unix(conn_peer(c));
	conn_puts(c, "out");
	conn_flush(c);
	conn_read_exact(c, got, 3);
	seen.rc2 = conn_peek(c, &s);
	snprintf(seen.text, sizeof(seen.text), "%s", got);
	conn_free(&c);
	unlink(path);
}

static void
files_never_wait(void **state)
{
	(void)state;
	co_run(run_files, NULL);
	assert_int_equal(seen.rc, 0);
	assert_int_equal(seen.rc2, -EPIPE);
	assert_true(seen.flag);
	assert_string_equal(seen.text, "out");
}

static void
pipe_echo(void *arg)
{
	struct conn *c = arg;
	struct slice s;

	while (conn_read_line(c, 100, &s, NULL) == 0)
		conn_printf(c, "<%.*s>\n", (int)s.n, s.p);
	conn_free(&c);
}

static void
run_pipes(void *arg)
{
	struct conn *near, *far;
	struct slice s = SLICE_EMPTY;
	int there[2], back[2];

	(void)arg;
	seen.rc = pipe(there) + pipe(back);
	conn_new(&near, back[0], there[1]);
	conn_new(&far, there[0], back[1]);
	co_spawn(pipe_echo, far);
	conn_puts(near, "through\n");
	seen.rc2 = conn_read_line(near, 100, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
	conn_shutdown(near);
	seen.ms = conn_read_line(near, 100, &s, NULL);
	conn_free(&near);
}

static void
a_pair_of_pipes_is_a_connection(void **state)
{
	(void)state;
	co_run(run_pipes, NULL);
	assert_int_equal(seen.rc, 0);
	assert_int_equal(seen.rc2, 0);
	assert_string_equal(seen.text, "<through>");
	assert_int_equal(seen.ms, -EPIPE);
}

/* --- connecting --- */

static void
run_connect(void *arg)
{
	struct net_addr to;
	int l = socket(AF_INET, SOCK_STREAM, 0), fd;
	struct slice s = SLICE_EMPTY;

	(void)arg;
	net_addr_parse(&to, "127.0.0.1:0", NULL);
	bind(l, (struct sockaddr *)&to.sa, to.len);
	listen(l, 5);
	getsockname(l, (struct sockaddr *)&to.sa, &to.len);
	seen.rc = conn_connect(&a, &to, NULL, 5000);
	fd = accept(l, NULL, NULL);
	conn_new(&b, fd, fd);
	conn_puts(b, "220 hello\r\n");
	conn_flush(b);
	conn_read_line(a, 100, &s, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)s.n, s.p);
	seen.flag = net_addr_port(conn_peer(a)) == net_addr_port(&to) &&
	    net_addr_port(conn_local(b)) == net_addr_port(&to) &&
	    net_addr_is_loopback(conn_peer(b));
	conn_free(&a);
	conn_free(&b);
	close(l);
	seen.rc2 = conn_connect(&a, &to, NULL, 5000);
}

static void
connecting_gives_a_conn_or_the_reason(void **state)
{
	(void)state;
	co_run(run_connect, NULL);
	assert_int_equal(seen.rc, 0);
	assert_string_equal(seen.text, "220 hello");
	assert_true(seen.flag);
	assert_int_equal(seen.rc2, -ECONNREFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_the_same_however_they_arrive),
		cmocka_unit_test(big_transfers_are_whole),
		cmocka_unit_test(
		    pipelined_replies_leave_in_one_write_before_the_wait),
		cmocka_unit_test(
		    writing_to_a_peer_that_does_not_read_times_out),
		cmocka_unit_test(a_line_that_drips_in_is_timed_as_a_whole),
		cmocka_unit_test(no_wait_goes_beyond_the_deadline),
		cmocka_unit_test(an_idle_wait_ends_by_the_event_and_times_out),
		cmocka_unit_test(an_idle_wait_ends_by_input),
		cmocka_unit_test(
		    a_look_without_a_wait_sees_that_the_peer_has_gone),
		cmocka_unit_test(a_canceled_session_can_still_say_goodbye),
		cmocka_unit_test(half_close_and_gone_peer_are_told_apart),
		cmocka_unit_test(the_last_word_survives_unread_input),
		cmocka_unit_test(files_never_wait),
		cmocka_unit_test(a_pair_of_pipes_is_a_connection),
		cmocka_unit_test(connecting_gives_a_conn_or_the_reason),
	};
	int rc = cmocka_run_group_tests(tests, NULL, NULL);

	buf_clear(&notes);
	return rc;
}
