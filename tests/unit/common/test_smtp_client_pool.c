/* SPDX-License-Identifier: ISC */
/* The client's pool: connections kept, dead, left open, and none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/un.h>

#include "common/smtp/client.h"
#include "tests/unit/common/smtp_dialogue.h"

#define SOCKET "test-smtp-pool.sock"

struct pool_run {
	struct smtp_pool *pool;
	int listener;
	unsigned accepted;    /* connections */
	unsigned close_after; /* close the first after so many messages */
	struct co *acceptor;
	struct co_group sessions;
	int rc[20];
	char dir[32];
};

static struct pool_run pools;

static void
pool_session(void *arg)
{
	struct conn *c = arg;
	struct smtp_server server = lmtp;

	smtp_serve(&server, c);
	conn_free(&c);
}

/* Says hello and goes away when a MAIL comes. */
static void
pool_dead_session(void *arg)
{
	struct conn *c = arg;
	struct slice line;

	conn_puts(c, "220 dead\r\n");
	conn_read_line(c, 1000, &line, NULL);
	conn_puts(c, "250-dead\r\n250 PIPELINING\r\n");
	conn_read_line(c, 1000, &line, NULL);
	if (slice_starts(line, "NOOP")) {
		conn_puts(c, "250 ok\r\n");
		conn_read_line(c, 1000, &line, NULL);
	}
	conn_free(&c);
}

static void
pool_accept(void *arg)
{
	struct conn *c;
	int fd;

	(void)arg;
	while (co_wait_fd(pools.listener, 0x02 /* EV_READ */, -1) == 0) {
		fd = accept4(pools.listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1 || conn_new(&c, fd, fd) != 0)
			continue;
		co_group_spawn(&pools.sessions,
		    pools.accepted++ < pools.close_after ? pool_dead_session
							 : pool_session,
		    c);
	}
	co_group_join(&pools.sessions);
}

static void
pool_listen(size_t max, int64_t idle_ms)
{
	const struct smtp_client_conf conf = { .lmtp = true,
		.hostname = "me",
		.timeout_ms = 20000,
		.idle_ms = idle_ms };
	struct net_addr a;

	snprintf(pools.dir, sizeof(pools.dir), "/tmp/pneu-pool.XXXXXX");
	if (mkdtemp(pools.dir) == NULL ||
	    net_addr_parse(&a, "unix:" SOCKET, pools.dir) != 0)
		abort();
	pools.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(pools.listener, (struct sockaddr *)&a.sa, a.len) != 0 ||
	    listen(pools.listener, 10) != 0)
		abort();
	fcntl(pools.listener, F_SETFL, O_NONBLOCK);
	pools.accepted = 0;
	pools.sessions = (struct co_group){ 0 };
	if (smtp_pool_new(&pools.pool, "unix:" SOCKET, pools.dir, &conf, max) !=
	    0)
		abort();
	pools.acceptor = co_spawn(pool_accept, NULL);
}

static void
pool_stop_listening(void)
{
	co_cancel(pools.acceptor);
	while (co_count() > 1)
		co_yield ();
	close(pools.listener);
}

static void
pool_forget(void)
{
	struct net_addr a;

	net_addr_parse(&a, "unix:" SOCKET, pools.dir);
	unlink(net_addr_path(&a));
	rmdir(pools.dir);
	smtp_pool_free(&pools.pool);
}

static void
pool_end(void)
{
	smtp_pool_free(&pools.pool);
	pool_stop_listening();
	pool_forget();
}

static int
pool_send(void)
{
	static const struct smtp_client_mail mail = { .from =
							  SLICE_LIT("a@a") };
	struct smtp_client_rcpt rcpt = { .address = SLICE_LIT("b@b") };
	struct smtp_client *c;
	struct smtp_reply mail_reply, reply;
	struct spool *body;
	int rc;

	if ((rc = smtp_pool_get(pools.pool, &c)) != 0)
		return rc;
	spool_new(&body, "/tmp");
	rc = smtp_client_deliver(
	    c, &mail, &rcpt, 1, SLICE_EMPTY, body, &mail_reply, &reply);
	spool_free(&body);
	smtp_pool_put(pools.pool, c, rc == 0);
	return rc == 0 && reply.code != 250 ? -EBADMSG : rc;
}

static void
pool_one_after_the_other(void *arg)
{
	(void)arg;
	pool_listen(2, 0);
	for (size_t i = 0; i < 20; i++)
		pools.rc[i] = pool_send();
	pool_end();
}

static void
pool_sender(void *arg)
{
	*(int *)arg = pool_send();
}

static void
pool_all_at_once(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	pool_listen(3, 0);
	for (size_t i = 0; i < 20; i++)
		co_group_spawn(&g, pool_sender, &pools.rc[i]);
	co_group_join(&g);
	pool_end();
}

/* The connection dies between two transactions: unseen, so that only MAIL
 * finds out. */
static void
pool_with_a_dead_one(void *arg)
{
	struct smtp_client *c;

	(void)arg;
	pool_listen(1, 0);
	if ((pools.rc[0] = smtp_pool_get(pools.pool, &c)) == 0) {
		pools.rc[1] = smtp_client_noop(c);
		smtp_pool_put(pools.pool, c, true);
	}
	pools.rc[2] = pool_send();
	pool_end();
}

static void
pool_reuses_connections(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_one_after_the_other, NULL);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.accepted, 1);
}

static void
pool_is_bounded(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_all_at_once, NULL);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.accepted, 3);
}

static void
pool_tries_again_when_the_connection_was_dead(void **state)
{
	(void)state;
	pools.close_after = 1;
	co_run(pool_with_a_dead_one, NULL);
	assert_int_equal(pools.rc[0], 0);
	assert_int_equal(pools.rc[1], 0);
	assert_int_equal(pools.rc[2], 0);
	assert_int_equal(pools.accepted, 2);
}

static void
pool_hold(void *arg)
{
	struct smtp_client *c[4];

	(void)arg;
	for (size_t i = 0; i < 4; i++)
		pools.rc[i] = smtp_pool_get(pools.pool, &c[i]);
	for (size_t i = 0; i < 4; i++)
		smtp_pool_put(pools.pool, c[i], true);
}

/* Half of four stay; and in the end none. */
static void
pool_grows_old(void *arg)
{
	pool_listen(4, 50);
	pool_hold(arg);
	pools.rc[4] = (int)pools.accepted;
	while (pools.sessions.running > 0 && co_sleep(5) == 0)
		;
	pool_hold(arg);
	pools.rc[5] = (int)pools.accepted;
	pool_hold(arg);
	pools.rc[6] = (int)pools.accepted;
	pool_end();
}

static void
pool_closes_what_is_idle(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_grows_old, NULL);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pools.rc[i], 0);
	assert_int_equal(pools.rc[4], 4);
	assert_int_equal(pools.rc[5], 8);
	assert_in_range(pools.rc[6], 10, 12);
}

static void
pool_left_open(void *arg)
{
	static const struct smtp_client_mail mail = { .from =
							  SLICE_LIT("a@a") };
	struct smtp_reply reply;
	struct smtp_client *c;

	(void)arg;
	pool_listen(1, 0);
	resets = 0;
	if ((pools.rc[0] = smtp_pool_get(pools.pool, &c)) == 0) {
		pools.rc[1] = smtp_client_mail(c, &mail, NULL, 0, &reply);
		smtp_pool_put(pools.pool, c, true);
	}
	pools.rc[2] = (int)resets;
	pool_end();
}

static void
pool_resets_what_was_left_open(void **state)
{
	(void)state;
	pools.close_after = 0;
	co_run(pool_left_open, NULL);
	assert_int_equal(pools.rc[0], 0);
	assert_int_equal(pools.rc[1], 0);
	assert_int_equal(pools.rc[2], 1);
}

/* Questions about two, one of them unknown, and no message: RSET has gone out
 * with them, so the pool has nothing to say, and the next ones may come. */
static void
pool_asked(void *arg)
{
	static const struct smtp_client_mail mail = {
		.from = SLICE_LIT("a@a"), .ask_only = true
	};
	struct smtp_client_rcpt rcpts[2];
	struct smtp_reply reply;
	struct smtp_client *c;

	(void)arg;
	pool_listen(1, 0);
	resets = 0;
	if ((pools.rc[0] = smtp_pool_get(pools.pool, &c)) != 0)
		abort();
	for (int i = 0; i < 2; i++) {
		memset(rcpts, 0, sizeof(rcpts));
		rcpts[0].address = SLICE_LIT("b@b.example");
		rcpts[1].address = SLICE_LIT("nobody@b.example");
		pools.rc[1 + i] = smtp_client_mail(c, &mail, rcpts, 2, &reply);
		pools.rc[3 + i] = rcpts[0].accepted && !rcpts[1].accepted &&
		    rcpts[1].reply.code == 550;
		pools.rc[5 + i] = (int)resets;
	}
	smtp_pool_put(pools.pool, c, true);
	pools.rc[7] = (int)resets;
	pools.rc[8] = pool_send();
	pools.rc[9] = (int)pools.accepted;
	pool_end();
}

static void
pool_asks_without_a_message(void **state)
{
	static const int wanted[] = { 0, 0, 0, 1, 1, 1, 2, 2, 0, 1 };

	(void)state;
	pools.close_after = 0;
	co_run(pool_asked, NULL);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (pools.rc[i] != wanted[i])
			fail_msg("%zu: %d", i, pools.rc[i]);
}

static void
pool_no_peer(void *arg)
{
	(void)arg;
	pool_listen(1, 0);
	pool_stop_listening();
	pools.rc[0] = pool_send();
	pools.rc[1] = pool_send(); /* its turn came back */
	pool_forget();
}

static void
pool_without_a_peer(void **state)
{
	(void)state;
	co_run(pool_no_peer, NULL);
	assert_int_equal(pools.rc[0], -ECONNREFUSED);
	assert_int_equal(pools.rc[1], -ECONNREFUSED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_reuses_connections),
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(pool_closes_what_is_idle),
		cmocka_unit_test(pool_tries_again_when_the_connection_was_dead),
		cmocka_unit_test(pool_resets_what_was_left_open),
		cmocka_unit_test(pool_asks_without_a_message),
		cmocka_unit_test(pool_without_a_peer),
	};
	int rc;

	log_set_level(LOG_LEVEL_ERROR);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	buf_clear(&record);
	return rc;
}
