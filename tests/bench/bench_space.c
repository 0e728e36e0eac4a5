/* SPDX-License-Identifier: ISC */
/*
 * What the messages of a folder take in Mails at a level of compression, and
 * what it costs: delivered by 20 writers to 20 mailboxes, and read once.
 *
 * usage: bench-space DIR LEVEL FILE...      (DIR: a new folder)
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "mailbox/mails/mails.h"

#define WRITERS 20

static struct {
	const char *dir;
	uint64_t level;
	char **files;
	int n_files, next;
	struct mails *mails;
	struct buf *texts;
	uint64_t octets;
} bench;

static double
cpu_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool
need(int rc, const char *what)
{
	if (rc != 0) {
		fprintf(stderr, "bench-space: %s: %s\n", what, strerror(-rc));
		exit(1);
	}
	return true;
}

static void
read_files(void)
{
	char part[65536];
	ssize_t n;

	bench.texts = calloc((size_t)bench.n_files, sizeof(*bench.texts));
	for (int i = 0; i < bench.n_files; i++) {
		int fd = open(bench.files[i], O_RDONLY);

		bench.texts[i] = (struct buf)BUF_INIT;
		while ((n = read(fd, part, sizeof(part))) > 0)
			buf_put(&bench.texts[i], part, (size_t)n);
		close(fd);
		bench.octets += bench.texts[i].n;
	}
}

static void
account_of(char out[static 40], unsigned i)
{
	snprintf(out, 40, "user%u@example.test", i);
}

static void
writer(void *arg)
{
	char account[40];
	struct mails_target t = { .account = account,
		.mailbox = SLICE_LIT("INBOX"),
		.internaldate = INT64_MIN };
	struct mails_message *msg;

	account_of(account, (unsigned)(uintptr_t)arg);
	while (bench.next < bench.n_files) {
		const struct buf *text = &bench.texts[bench.next++];

		need(mails_message_begin(bench.mails, &msg), "begin");
		need(mails_message_write(msg, buf_slice(text)), "write");
		need(mails_message_end(msg), "end");
		need(mails_deliver(msg, &t, 1), "deliver");
		mails_message_free(&msg);
	}
}

static void
read_all(void)
{
	static char octets[50000]; /* in pieces, as clients do */
	struct mails_view *v;
	char account[40];
	size_t got;

	for (unsigned i = 0; i < WRITERS; i++) {
		account_of(account, i);
		need(mails_view_open(
			 bench.mails, account, SLICE_LIT("INBOX"), &v),
		    "open");
		for (uint32_t s = 1; s <= mails_view_count(v); s++) {
			uint64_t at = 0;

			do {
				need(mails_read(v, s, at, octets,
					 sizeof(octets), &got),
				    "read");
				at += got;
			} while (got > 0);
		}
		mails_view_close(&v);
	}
}

/* --- what rows hold, beside what LMDB's pages lose --- */

struct parts {
	struct arena arena;
	struct slice names[4096];
	size_t n;
	struct slice at; /* whose rows are being counted */
	double summaries, others;
};

static int
part_note(void *arg, struct slice name)
{
	struct parts *p = arg;

	if (p->n < 4096)
		p->names[p->n++] = arena_dup(&p->arena, name);
	return 0;
}

static int
row_count(void *arg, struct slice key, struct slice val)
{
	struct parts *p = arg;
	double octets = (double)(p->at.n + 1 + key.n + val.n);

	if (p->at.p[0] == 'm' && key.p[0] == 's')
		p->summaries += octets;
	else
		p->others += octets;
	return 0;
}

static void
rows_count(double messages)
{
	static struct parts p = { .arena = ARENA_INIT_MAX(1 << 20) };
	struct store *s = mails_store(bench.mails);

	need(store_partitions(s, SLICE_EMPTY, part_note, &p), "partitions");
	for (size_t i = 0; i < p.n; i++) {
		p.at = p.names[i];
		need(store_scan(s, p.at, SLICE_EMPTY, SLICE_EMPTY, 0, row_count,
			 &p),
		    "scan");
	}
	printf("octets of rows, per message: summary %.0f, all others %.0f\n",
	    p.summaries / messages, p.others / messages);
	arena_reset(&p.arena);
}

static void
run(void *arg)
{
	const struct mails_conf conf = {
		.store = { .engine = "embedded", .dir = bench.dir },
		.compression = (int)bench.level,
	};
	struct co_group g = { 0 };
	struct buf err = BUF_INIT;
	struct store_stats s;
	double in, out, n = bench.n_files;

	(void)arg;
	need(mails_open(&bench.mails, &conf, &err), "open");
	in = cpu_s();
	for (uintptr_t i = 0; i < WRITERS; i++)
		(void)co_group_spawn(&g, writer, (void *)i);
	(void)co_group_join(&g);
	in = cpu_s() - in;
	out = cpu_s();
	read_all();
	out = cpu_s() - out;
	need(store_stats(mails_store(bench.mails), &s), "stats");
	printf("level %d: %.3f octets stored per octet, %.0f octets of rows "
	       "per message; CPU ms per message: %.3f in, %.3f out\n",
	    (int)bench.level, (double)s.blob_octets / (double)bench.octets,
	    (double)s.rows_octets / n, in * 1000 / n, out * 1000 / n);
	rows_count(n);
	mails_close(&bench.mails);
}

int
main(int argc, char **argv)
{
	if (argc < 4 || slice_u64(slice_str(argv[2]), 9, &bench.level) != 0) {
		fprintf(stderr, "usage: bench-space DIR LEVEL FILE...\n");
		return 2;
	}
	bench.dir = argv[1];
	bench.files = argv + 3;
	bench.n_files = argc - 3;
	read_files();
	return co_run(run, NULL) == 0 ? 0 : 1;
}
