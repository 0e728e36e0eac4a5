/* SPDX-License-Identifier: ISC */
/*
 * How many messages a second one process puts into Mails, each durable before
 * the next of the same writer begins: what group commit gives, without
 * network and protocols. Writers have a mailbox each.
 *
 * usage: bench-mails DIR [WRITERS] [MESSAGES]     (a new folder; 20, 10000)
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "mailbox/mails/mails.h"

#define MESSAGE 4096

static struct {
	const char *dir;
	struct mails *mails;
	uint64_t writers, messages, begun, failed;
	char text[MESSAGE];
} bench = { .writers = 20, .messages = 10000 };

static void
text_fill(void)
{
	static const char head[] = "From: Alice <alice@example.test>\r\n"
				   "To: bob@example.test\r\n"
				   "Subject: capsule\r\n"
				   "Message-ID: <1@example.test>\r\n"
				   "Date: Fri, 20 Nov 2026 22:00:00 +0000\r\n"
				   "\r\n";

	for (size_t i = 0; i < MESSAGE; i++)
		bench.text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	memcpy(bench.text, head, sizeof(head) - 1);
}

static int
deliver(const char *account)
{
	struct mails_target t = { .account = account,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = INT64_MIN };
	struct mails_message *msg;
	int rc = mails_message_begin(bench.mails, &msg);

	if (rc == 0)
		rc = mails_message_write(msg, slice(bench.text, MESSAGE));
	if (rc == 0)
		rc = mails_message_end(msg);
	if (rc == 0)
		rc = mails_deliver(msg, &t, 1);
	mails_message_free(&msg);
	return rc;
}

static void
writer(void *arg)
{
	char account[40];

	snprintf(account, sizeof(account), "user%u@example.test",
	    (unsigned)(uintptr_t)arg);
	while (bench.begun++ < bench.messages)
		bench.failed += deliver(account) != 0;
}

static void
run(void *arg)
{
	const struct mails_conf conf = { .store = { .engine = "embedded",
					     .dir = bench.dir } };
	struct store_stats before, after;
	struct co_group g = { 0 };
	struct buf err = BUF_INIT;
	int64_t ms;

	(void)arg;
	if (mails_open(&bench.mails, &conf, &err) != 0) {
		fprintf(stderr, "bench-mails: %s\n", buf_str(&err));
		exit(1);
	}
	(void)store_stats(mails_store(bench.mails), &before);
	ms = clock_mono_ms();
	for (uintptr_t i = 0; i < bench.writers; i++)
		(void)co_group_spawn(&g, writer, (void *)i);
	(void)co_group_join(&g);
	ms = clock_mono_ms() - ms + 1;
	(void)store_stats(mails_store(bench.mails), &after);
	printf("%llu writers: %llu messages of %d octets in %lld ms, %lld a "
	       "second; %llu commits, %llu failed\n",
	    (unsigned long long)bench.writers,
	    (unsigned long long)bench.messages, MESSAGE, (long long)ms,
	    (long long)bench.messages * 1000 / (long long)ms,
	    (unsigned long long)(after.commits - before.commits),
	    (unsigned long long)bench.failed);
	mails_close(&bench.mails);
}

int
main(int argc, char **argv)
{
	if (argc < 2 || argc > 4 ||
	    (argc > 2 &&
		slice_u64(slice_str(argv[2]), 1000, &bench.writers) != 0) ||
	    (argc > 3 &&
		slice_u64(slice_str(argv[3]), 100000000, &bench.messages) !=
		    0)) {
		fprintf(
		    stderr, "usage: bench-mails DIR [WRITERS] [MESSAGES]\n");
		return 2;
	}
	bench.dir = argv[1];
	text_fill();
	return co_run(run, NULL) == 0 && bench.failed == 0 ? 0 : 1;
}
