/* SPDX-License-Identifier: ISC */
/*
 * How many messages a second one process puts into Mails, each durable before
 * the next of the same writer begins: what group commit gives, without
 * network and protocols. Writers have a mailbox each. Then each mailbox is read,
 * summaries and octets, twice each: what sealing costs there.
 *
 * usage: bench-mails DIR [WRITERS] [MESSAGES] [none|server|account]
 * (a new folder; 20, 10000, none)
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/auth/seal.h"
#include "common/base/clock.h"
#include "mailbox/mails/mails.h"

#define MESSAGE 4096

static struct {
	const char *dir;
	struct mails *mails;
	uint64_t writers, messages, begun, failed, read;
	enum mails_sealing how;
	struct seal_key *server, *account;
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
		rc = mails_message_for(msg, account);
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

/* --- reading --- */

static int64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int
read_summary(struct mails_view *v, uint32_t seq)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct mails_summary s;
	int rc = mails_summary(v, seq, &a, &s);

	arena_reset(&a);
	return rc;
}

static int
read_octets(struct mails_view *v, uint32_t seq)
{
	static char octets[MESSAGE];
	size_t got;
	int rc = mails_read(v, seq, 0, octets, sizeof(octets), &got);

	return rc == 0 && got != MESSAGE ? -EIO : rc;
}

static void
read_all(const char *what, int (*read)(struct mails_view *v, uint32_t seq))
{
	struct mails_view *v;
	char account[40];
	int64_t us[2] = { 0 }, from; /* and again, by the same client */

	bench.read = 0;
	for (unsigned i = 0; i < bench.writers; i++) {
		snprintf(account, sizeof(account), "user%u@example.test", i);
		if (mails_view_examine(bench.mails, account,
			SLICE_LIT("INBOX"), &v) != 0)
			continue;
		mails_view_unlock(v, bench.account);
		for (int k = 0; k < 2; k++) {
			from = cpu_us();
			for (uint32_t seq = 1; seq <= mails_view_count(v);
			     seq++)
				bench.failed += read(v, seq) != 0;
			us[k] += cpu_us() - from;
		}
		bench.read += mails_view_count(v);
		mails_view_close(&v);
	}
	printf("%llu %s: %.1f us of CPU each, again: %.1f\n",
	    (unsigned long long)bench.read, what,
	    (double)us[0] / (double)(bench.read + 1),
	    (double)us[1] / (double)(bench.read + 1));
}

static int
sealing(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	(void)arg;
	(void)account;
	*how = bench.how;
	memcpy(public, seal_key_public(bench.account), 32);
	return 0;
}

static void
run(void *arg)
{
	const struct mails_conf conf = { .store = { .engine = "embedded",
					     .dir = bench.dir },
		.compression = 1,
		.seal = bench.how,
		.server_key =
		    bench.how == MAILS_SEAL_NONE ? NULL : bench.server,
		.sealing = bench.how == MAILS_SEAL_NONE ? NULL : sealing };
	struct store_stats before, after;
	struct co_group g = { 0 };
	struct buf err = BUF_INIT;
	int64_t ms, us = cpu_us();

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
	us = cpu_us() - us;
	printf("%llu writers: %llu messages of %d octets in %lld ms, %lld a "
	       "second; %llu commits, %llu failed; %.1f us of CPU each\n",
	    (unsigned long long)bench.writers,
	    (unsigned long long)bench.messages, MESSAGE, (long long)ms,
	    (long long)bench.messages * 1000 / (long long)ms,
	    (unsigned long long)(after.commits - before.commits),
	    (unsigned long long)bench.failed,
	    (double)us / (double)bench.messages);
	read_all("summaries", read_summary);
	read_all("messages", read_octets);
	mails_close(&bench.mails);
}

int
main(int argc, char **argv)
{
	static const char *const modes[] = { "none", "server", "account" };

	if (argc == 5)
		for (unsigned i = 0; i < 3; i++)
			if (strcmp(argv[4], modes[i]) == 0)
				bench.how = (enum mails_sealing)i;
	if (seal_key_make(&bench.server) != 0 ||
	    seal_key_make(&bench.account) != 0)
		return 1;
	if (argc < 2 || argc > 5 ||
	    (argc > 2 &&
		slice_u64(slice_str(argv[2]), 1000, &bench.writers) != 0) ||
	    (argc > 3 &&
		slice_u64(slice_str(argv[3]), 100000000, &bench.messages) !=
		    0)) {
		fprintf(
		    stderr, "usage: bench-mails DIR [WRITERS] [MESSAGES] "
		    "[none|server|account]\n");
		return 2;
	}
	bench.dir = argv[1];
	text_fill();
	return co_run(run, NULL) == 0 && bench.failed == 0 ? 0 : 1;
}
