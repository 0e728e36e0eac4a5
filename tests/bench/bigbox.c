/* SPDX-License-Identifier: ISC */
/*
 * One large mailbox, always the same for the same numbers: into a store of
 * pneu's, or as an mbox file that a peer can take in. Words are common or rare as
 * in real text, headers as long; message 7 of every 100,000 has the word
 * "zugzwang", once.
 *
 * usage: bigbox pneu DIR ACCOUNT FROM TO [SIZE]      (TO not included)
 *        bigbox mbox FILE FROM TO [SIZE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "mailbox/mails/mails.h"

#define AT_ONCE 400 /* messages of one group commit */
#define WORDS 20000u
#define BEGAN 1700000000 /* date of message 0; one each minute */

static struct {
	const char *dir, *account;
	uint64_t from, to, size;
	uint32_t seed;
	int status;
} box = { .size = 2048 };

static uint32_t
chance(uint32_t n)
{
	box.seed = box.seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(box.seed >> 4) * n >> 28);
}

/* Word i: syllables by its number. */
static void
put_word(struct buf *b, uint32_t i)
{
	static const char *const syllables[] = { "an", "ber", "co", "de", "el",
		"fa", "gor", "hi", "in", "jo", "ka", "lem", "mi", "nu", "or",
		"pe", "qui", "ras", "si", "tor", "un", "va", "wen", "xi", "yt",
		"ze", "str", "ing", "tion", "the" };

	do {
		buf_put_str(b, syllables[i % 30]);
		i /= 30;
	} while (i > 0);
}

/* Word n is some n times as rare as the first. */
static void
put_some_word(struct buf *b)
{
	uint32_t of = WORDS;

	for (uint32_t halve = chance(14); halve > 0; halve--)
		of = of / 2 + 1;
	put_word(b, chance(of));
}

static void
put_hex(struct buf *b, unsigned n)
{
	while (n-- > 0)
		buf_printf(b, "%x", chance(16));
}

static void
put_date(struct buf *b, uint64_t i)
{
	time_t t = (time_t)(BEGAN + i * 60);
	char text[64];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S +0000", &tm);
	buf_put_str(b, text);
}

static void
put_message(struct buf *b, uint64_t i)
{
	uint32_t who = (uint32_t)i * 7919 % 997;
	size_t line;

	box.seed = (uint32_t)i * 2654435761u + 1;
	buf_printf(b,
	    "Return-Path: <user%u@example.net>\r\n"
	    "Received: from mx%u.example.net (mx%u.example.net "
	    "[192.0.2.%u])\r\n\tby mail.example.org with ESMTPS id ",
	    who, who % 9, who % 9, who % 256);
	put_hex(b, 16);
	buf_put_str(b, "\r\n\tfor <user@example.org>; ");
	put_date(b, i);
	buf_put_str(b, "\r\nDate: ");
	put_date(b, i);
	buf_put_str(b, "\r\nFrom: ");
	put_word(b, who + 900);
	buf_put_char(b, ' ');
	put_word(b, who + 2000);
	buf_printf(b,
	    " <user%u@example.net>\r\nTo: user@example.org\r\n"
	    "Subject: ",
	    who);
	for (int k = 0; k < 5; k++) {
		put_some_word(b);
		buf_put_char(b, ' ');
	}
	buf_printf(b, "%llu\r\nMessage-ID: <", (unsigned long long)i);
	put_hex(b, 24);
	buf_put_str(b,
	    "@example.net>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n\r\n");
	for (line = 0; b->n < box.size; line++) {
		put_some_word(b);
		buf_put_str(b, line % 10 == 9 ? "\r\n" : " ");
	}
	buf_put_str(b, i % 100000 == 7 ? "zugzwang\r\n" : "end\r\n");
}

/* Some are seen, answered, flagged. */
static uint32_t
flags_of(uint64_t i)
{
	return (i % 10 != 0 ? MAILS_SEEN : 0u) |
	    (i % 7 == 0 ? MAILS_ANSWERED : 0u) |
	    (i % 50 == 0 ? MAILS_FLAGGED_FLAG : 0u);
}

/* --- pneu --- */

static int
deliver_some(struct mails *m, uint64_t from, size_t n)
{
	static struct mails_message *msgs[AT_ONCE];
	static struct mails_target targets[AT_ONCE];
	struct buf text = BUF_INIT;
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		buf_reset(&text);
		put_message(&text, from + i);
		targets[i] = (struct mails_target){ .account = box.account,
			.mailbox = SLICE_LIT("INBOX"),
			.flags = flags_of(from + i),
			.internaldate = (int64_t)(BEGAN + (from + i) * 60) };
		if ((rc = mails_message_begin(m, &msgs[i])) == 0)
			rc = mails_message_write(msgs[i], buf_slice(&text));
		if (rc == 0)
			rc = mails_message_end(msgs[i]);
	}
	if (rc == 0)
		rc = mails_deliver_each(msgs, targets, n);
	for (size_t i = 0; i < n; i++)
		mails_message_free(&msgs[i]);
	buf_clear(&text);
	return rc;
}

static void
fill_pneu(void *arg)
{
	const struct mails_conf conf = {
		.store = { .engine = "embedded", .dir = box.dir },
		.compression = 1, /* the daemon's default */
	};
	struct buf err = BUF_INIT;
	struct mails *m;
	int64_t ms = clock_mono_ms();
	int rc;

	(void)arg;
	if ((rc = mails_open(&m, &conf, &err)) != 0)
		fprintf(stderr, "bigbox: %s\n", buf_str(&err));
	for (uint64_t i = box.from; rc == 0 && i < box.to; i += AT_ONCE)
		rc = deliver_some(m, i,
		    box.to - i < AT_ONCE ? (size_t)(box.to - i) : AT_ONCE);
	if (rc != 0)
		fprintf(stderr, "bigbox: %s\n", strerror(-rc));
	printf("%llu messages in %lld ms\n",
	    (unsigned long long)(box.to - box.from),
	    (long long)(clock_mono_ms() - ms));
	mails_close(&m);
	buf_clear(&err);
	box.status = rc != 0;
}

/* --- mbox --- */

static void
put_status(struct buf *b, uint64_t i)
{
	uint32_t flags = flags_of(i);

	buf_printf(b, "Status: %sO\r\nX-Status: %s%s\r\n",
	    flags & MAILS_SEEN ? "R" : "", flags & MAILS_ANSWERED ? "A" : "",
	    flags & MAILS_FLAGGED_FLAG ? "F" : "");
}

static int
fill_mbox(void)
{
	FILE *f = fopen(box.dir, "w");
	struct buf text = BUF_INIT, all = BUF_INIT;
	struct slice rest;
	time_t t;
	int rc = f == NULL;

	for (uint64_t i = box.from; rc == 0 && i < box.to; i++) {
		buf_reset(&text);
		buf_reset(&all);
		put_message(&text, i);
		t = (time_t)(BEGAN + i * 60);
		buf_printf(&all, "From user@example.net %.24s\n", ctime(&t));
		put_status(&all, i);
		/* Lines end in LF there. */
		buf_put_slice(&all, buf_slice(&text));
		buf_put_char(&all, '\n');
		for (rest = buf_slice(&all); rest.n > 0 && rc == 0;) {
			struct slice line = slice_split(&rest, '\n');

			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			rc = fwrite(line.p, 1, line.n, f) != line.n ||
			    putc('\n', f) == EOF;
		}
	}
	if (rc != 0 || (f != NULL && fclose(f) != 0))
		perror(box.dir);
	buf_clear(&text);
	buf_clear(&all);
	return rc;
}

/* --- */

static bool
take_numbers(int argc, char **argv)
{
	return argc >= 2 && argc <= 3 &&
	    slice_u64(slice_str(argv[0]), UINT32_MAX, &box.from) == 0 &&
	    slice_u64(slice_str(argv[1]), UINT32_MAX, &box.to) == 0 &&
	    (argc < 3 ||
		slice_u64(slice_str(argv[2]), 1 << 24, &box.size) == 0);
}

int
main(int argc, char **argv)
{
	if (argc > 4 && strcmp(argv[1], "pneu") == 0 &&
	    take_numbers(argc - 4, argv + 4)) {
		box.dir = argv[2];
		box.account = argv[3];
		return co_run(fill_pneu, NULL) == 0 ? box.status : 1;
	}
	if (argc > 3 && strcmp(argv[1], "mbox") == 0 &&
	    take_numbers(argc - 3, argv + 3)) {
		box.dir = argv[2];
		return fill_mbox();
	}
	fprintf(stderr,
	    "usage: bigbox pneu DIR ACCOUNT FROM TO [SIZE]\n"
	    "       bigbox mbox FILE FROM TO [SIZE]\n");
	return 2;
}
