/* SPDX-License-Identifier: ISC */
/*
 * Keeping a node up with the store, on each engine, the lying one too, while
 * the node drops requests before and after it has done them, and all is stopped
 * and begun anew: in the end it has pinned what the rows say, and they are of
 * the blobs that there are. And an account from a manifest, row by row.
 */
#include <event2/event.h>
#include <sys/socket.h>

#include "common/net/conn.h"
#include "mailbox/ipfs/give.h"
#include "mailbox/ipfs/keeper.h"
#include "mailbox/ipfs/manifest_rows.h"
#include "mailbox/ipfs/rows.h"
#include "mailbox/ipfs/status.h"
#include "mailbox/ipfs/take.h"
#include "mailbox/mails/impl.h"
#include "tests/unit/mailbox/mails_test.h"

#define BLOCKS 4096

/* --- a node in this process --- */

static struct {
	char path[100], addr[110];
	int fd;
	struct co *co;
	struct cid cids[BLOCKS];
	struct buf blocks[BLOCKS];
	bool pinned[BLOCKS];
	size_t n, requests;
	unsigned bad_pct;
} node;

static size_t
node_find(const struct cid *c)
{
	size_t i = 0;

	while (i < node.n && memcmp(&node.cids[i], c, sizeof(*c)) != 0)
		i++;
	return i;
}

static size_t
node_pins(void)
{
	size_t n = 0;

	for (size_t i = 0; i < node.n; i++)
		n += node.pinned[i];
	return n;
}

static bool
is_bad(void)
{
	return random_below(100) < node.bad_pct;
}

static void
node_add(struct conn *c, struct slice body)
{
	ssize_t end = slice_find(body, '\r');
	ssize_t from = slice_find_slice(body, SLICE_LIT("\r\n\r\n"));
	char text[CID_TEXT + 1];
	struct slice block;
	struct cid cid;
	size_t i;

	CHECK(end > 0 && from > 0);
	/* "\r\n--boundary--\r\n" */
	block = slice(
	    body.p + from + 4, body.n - (size_t)from - 4 - ((size_t)end + 6));
	CHECK(block.n > 0 && block.n <= IPFS_BLOCK_MAX);
	CHECK_INT(cid_of(block, &cid), 0);
	if ((i = node_find(&cid)) == node.n) {
		CHECK(node.n < BLOCKS);
		node.cids[node.n++] = cid;
		buf_put_slice(&node.blocks[i], block);
	}
	node.pinned[i] = true;
	cid_text(&cid, text);
	if (!is_bad())
		(void)conn_printf(
		    c, "HTTP/1.1 200 OK\r\n\r\n{\"Hash\": \"%s\"}\n", text);
}

static void
node_of_cid(struct conn *c, struct slice line)
{
	ssize_t at = slice_find_slice(line, SLICE_LIT("arg="));
	struct cid cid;
	size_t i;

	CHECK_INT(
	    cid_parse(
		slice_head(slice_from(line, (size_t)at + 4), CID_TEXT), &cid),
	    0);
	i = node_find(&cid);
	if (slice_starts(line, "POST /api/v0/pin/rm?") && i < node.n &&
	    node.pinned[i]) {
		node.pinned[i] = false;
		if (!is_bad())
			(void)conn_puts(c, "HTTP/1.1 200 OK\r\n\r\n{}");
	} else if (slice_starts(line, "POST /api/v0/block/get?") &&
	    i < node.n) {
		(void)conn_puts(c, "HTTP/1.1 200 OK\r\n\r\n");
		(void)conn_write(c, buf_slice(&node.blocks[i]));
	} else {
		(void)conn_puts(
		    c, "HTTP/1.1 500 x\r\n\r\n{\"Message\": \"not pinned\"}");
	}
}

static void
node_serve(void *arg)
{
	struct conn *c = arg;
	struct slice line;
	char *first = NULL, *body = NULL;
	uint64_t n = 0;
	int rc;

	node.requests++;
	rc = conn_read_line(c, 1024, &line, NULL);
	if (rc == 0)
		first = slice_strdup(line);
	while (rc == 0 && (rc = conn_read_line(c, 1024, &line, NULL)) == 0 &&
	    line.n > 0)
		if (slice_starts(line, "Content-Length: "))
			CHECK_INT(
			    slice_u64(slice_from(line, 16), 1 << 20, &n), 0);
	body = malloc((size_t)n + 1);
	if (rc == 0)
		rc = conn_read_exact(c, body, (size_t)n);
	if (rc == 0 && !is_bad()) {
		if (slice_starts(slice_str(first), "POST /api/v0/add?"))
			node_add(c, slice(body, (size_t)n));
		else
			node_of_cid(c, slice_str(first));
	}
	(void)conn_flush(c);
	conn_free(&c);
	free(first);
	free(body);
}

static void
node_main(void *arg)
{
	struct conn *c;
	int fd;

	(void)arg;
	while (co_wait_fd(node.fd, EV_READ, -1) == 0) {
		if ((fd = accept4(node.fd, NULL, NULL, SOCK_CLOEXEC)) == -1)
			continue;
		if (conn_new(&c, fd, fd) == 0)
			(void)co_spawn(node_serve, c);
	}
	node.co = NULL;
}

static void
node_begin(void)
{
	struct net_addr a;

	snprintf(node.path, sizeof(node.path), "/tmp/pneu-ipfs-%d.sock",
	    (int)getpid());
	snprintf(node.addr, sizeof(node.addr), "unix:%s", node.path);
	(void)unlink(node.path);
	CHECK_INT(net_addr_parse(&a, node.addr, "/"), 0);
	node.fd =
	    socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK_INT(bind(node.fd, (struct sockaddr *)&a.sa, a.len), 0);
	CHECK_INT(listen(node.fd, 64), 0);
	node.co = co_spawn(node_main, NULL);
}

static void
node_end(void)
{
	co_cancel(node.co);
	while (node.co != NULL)
		(void)co_sleep(1);
	close(node.fd);
	(void)unlink(node.path);
	for (size_t i = 0; i < node.n; i++)
		buf_clear(&node.blocks[i]);
	memset(node.pinned, 0, sizeof(node.pinned));
	node.n = 0;
	node.bad_pct = 0;
}

/* --- keeping up --- */

static struct ipfs *keeper;

static void
keeper_begin(void)
{
	const struct ipfs_conf conf = { .addr = node.addr,
		.run_dir = "/",
		.start_ms = 1,
		.away_ms = 2,
		.away_max_ms = 5,
		.duty = 1 };

	CHECK_INT(ipfs_start(&keeper, mm, &conf), 0);
}

/* Nothing is left to do, and the node has what the rows say. */
static bool
is_settled(void)
{
	struct ipfs_status s;

	if (ipfs_status_get(st, &s) != 0 || s.waiting > 0 || s.leaving > 0)
		return false;
	return s.blocks == node_pins();
}

static void
settle(void)
{
	unsigned i = 0;

	for (; i < 20000 && !is_settled(); i++) {
		if (i % 100 == 99)
			ipfs_hint(mm); /* what the engine lied about */
		(void)co_sleep(3);
	}
	CHECK(i < 20000);
}

static void
deliver_some(unsigned n)
{
	char text[200];

	for (unsigned i = 0; i < n; i++) {
		snprintf(text, sizeof(text),
		    "Subject: number %u\r\n\r\nText %u\r\n", i,
		    random_below(9));
		CHECK(deliver_to(ALICE, "INBOX", 0, text) > 0);
	}
}

static void
expunge_some(unsigned n)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	uint32_t seqs[1];

	for (; v != NULL && n > 0 && mails_view_count(v) > 0; n--) {
		seqs[0] = 1 + random_below(mails_view_count(v));
		CHECK_INT(mails_expunge(v, seqs, 1, true), 0);
		CHECK_INT(mails_view_sync(v, true, NULL), 0);
	}
	mails_view_close(&v);
}

static void
copy_some(void)
{
	struct mails_view *v = view_of(ALICE, "INBOX");
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied copied;
	uint32_t seqs[] = { 1, 2 };

	CHECK_INT(
	    mails_copy(v, seqs, 2, SLICE_LIT("Archive"), NULL, &a, &copied), 0);
	mails_view_close(&v);
	arena_reset(&a);
}

static void
keeps_up_body(void)
{
	node_begin();
	keeper_begin();
	for (unsigned round = 0; round < 6; round++) {
		node.bad_pct = round % 2 == 0 ? 0 : 40;
		deliver_some(6);
		copy_some();
		(void)co_sleep(random_below(40));
		expunge_some(3);
		ipfs_stop(&keeper); /* wherever it is */
		deliver_some(2);
		expunge_some(1);
		if (!test_engine->conf.seed) { /* the memory's would be empty */
			mails_close(&mm);
			mails_test_open();
		}
		keeper_begin();
		(void)co_sleep(random_below(40));
	}
	node.bad_pct = 3;
	settle();
	CHECK(node_pins() > 0);
	/* All goes. */
	CHECK_INT(mails_account_drop(mm, ALICE), 0);
	ipfs_hint(mm);
	settle();
	/* A blob whose delivery's outcome was in doubt is collected later. */
	if (!test_engine->lies)
		CHECK_INT(node_pins(), 0);
	ipfs_stop(&keeper);
	node_end();
}
MAILS_ON_ALL_PLAIN(keeps_up_body)

/* --- an account from a manifest --- */

static int
to_bob(void *arg, const char *account)
{
	struct ipfs_take *t = arg;

	CHECK(strcmp(account, ALICE) == 0);
	t->account = BOB;
	return 0;
}

static void
same_rows(const char *mailbox)
{
	struct mails_view *a = view_of(ALICE, mailbox);
	struct mails_view *b = view_of(BOB, mailbox);
	struct mails_row ra, rb;
	char ta[2000], tb[2000];
	size_t na, nb;

	CHECK_INT(mails_view_uidvalidity(a), mails_view_uidvalidity(b));
	CHECK_INT(mails_view_uidnext(a), mails_view_uidnext(b));
	CHECK(mails_view_highestmodseq(b) >= mails_view_highestmodseq(a));
	CHECK_INT(mails_view_count(a), mails_view_count(b));
	CHECK_INT(mails_view_recent_from(b), mails_view_uidnext(b));
	for (uint32_t i = 1; i <= mails_view_count(a); i++) {
		CHECK_INT(mails_row(a, i, &ra), 0);
		CHECK_INT(mails_row(b, i, &rb), 0);
		CHECK_INT(ra.uid, rb.uid);
		CHECK_INT(ra.flags.system, rb.flags.system);
		CHECK_INT(ra.internaldate, rb.internaldate);
		CHECK_INT(ra.savedate, rb.savedate);
		CHECK_INT(ra.size, rb.size);
		CHECK_INT(mails_read(a, i, 0, ta, sizeof(ta), &na), 0);
		CHECK_INT(mails_read(b, i, 0, tb, sizeof(tb), &nb), 0);
		CHECK(slice_eq(slice(ta, na), slice(tb, nb)));
	}
	mails_view_close(&a);
	mails_view_close(&b);
}

static void
gives_and_takes_body(void)
{
	struct ipfs_node n;
	struct door_report report = { .what = "test" };
	struct ipfs_give give = {
		.m = mm, .node = &n, .account = ALICE, .report = &report
	};
	struct ipfs_take take = { .m = mm,
		.node = &n,
		.server_key = mm->server_key,
		.key = test_account_key,
		.spool_dir = "/tmp",
		.who = to_bob,
		.report = &report };
	struct ipfs_root root;
	struct cid cid = { { 0 } }, other;

	node_begin();
	CHECK_INT(ipfs_node_init(&n, node.addr, "/"), 0);
	deliver_some(7);
	copy_some();
	expunge_some(2);
	CHECK_INT(ipfs_give(&give, &cid), 0);
	CHECK_INT(report.failed, 0);
	CHECK_INT(report.messages, 7);
	take.arg = &take;
	for (int i = 0; i < 2; i++) {
		report = (struct door_report){ .what = "test" };
		CHECK_INT(ipfs_root_get(&n, &cid, &root), 0);
		CHECK_INT(ipfs_take(&take, &root), 0);
		CHECK_INT(report.failed, 0);
		CHECK_INT(report.messages, i == 0 ? 7 : 0);
		CHECK_INT(report.known, i == 0 ? 0 : 7);
		CHECK_INT(take.other_uids, 0);
		same_rows("INBOX");
		same_rows("Archive");
		buf_clear(&root.block);
	}
	/* One whose root the node did not take is none: the older one stays. */
	node.bad_pct = 100;
	CHECK(ipfs_give(&give, &other) < 0);
	node.bad_pct = 0;
	CHECK_INT(ipfs_manifests_reap(mm, &n), 0);
	CHECK(node.pinned[node_find(&cid)]);
	CHECK_INT(ipfs_give(&give, &other), 0);
	CHECK(node.pinned[node_find(&other)] && !node.pinned[node_find(&cid)]);
	node_end();
}

static void
gives_and_takes(void **state)
{
	(void)state;
	/* A lying engine gives up at times: not here. */
	test_seal = MAILS_SEAL_NONE;
	mails_run_on(&test_engines[0], gives_and_takes_body);
	mails_run_on(&test_engines[2], gives_and_takes_body);
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on(&test_engines[0], gives_and_takes_body);
	test_seal = MAILS_SEAL_ACCOUNT;
	mails_run_on(&test_engines[0], gives_and_takes_body);
	test_seal = MAILS_SEAL_NONE;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_all_keeps_up_body),
		cmocka_unit_test(gives_and_takes),
	};

	log_open("test", LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
