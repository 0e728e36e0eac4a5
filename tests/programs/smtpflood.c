/* SPDX-License-Identifier: ISC */
/*
 * Sends messages by our client as fast as it goes, for benchmarks: as one of
 * our programs speaks to the next.
 *
 *	smtpflood [-l] ADDRESS CONNECTIONS MESSAGES OCTETS    -l: LMTP
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "common/smtp/client.h"

static struct {
	struct net_addr to;
	bool lmtp;
	uint64_t connections, messages, octets;
	uint64_t started, sent, failed;
} flood;

static struct spool *
make_body(void)
{
	static const char line[] = "A line of an ordinary message, as long as "
				   "they are, with its end.\r\n";
	struct spool *body;

	if (spool_new(&body, "/tmp") != 0)
		exit(1);
	while (spool_size(body) + sizeof(line) - 1 <= flood.octets)
		if (spool_write(body, SLICE_LIT(line)) != 0)
			exit(1);
	return body;
}

static int
send_one(struct smtp_client *c, struct spool *body)
{
	struct smtp_client_mail mail = { .from = SLICE_LIT("sender@a.example"),
		.size = flood.octets };
	struct smtp_client_rcpt rcpt = { .address =
					     SLICE_LIT("recipient@b.example") };
	struct smtp_reply mail_reply, reply;
	int rc = smtp_client_deliver(
	    c, &mail, &rcpt, 1, SLICE_EMPTY, body, &mail_reply, &reply);

	return rc == 0 && reply.code != 250 ? -EPROTO : rc;
}

static void
sender(void *arg)
{
	struct smtp_client_conf conf = { .lmtp = flood.lmtp,
		.hostname = "flood.test" };
	struct smtp_reply reply;
	struct spool *body = make_body();
	struct smtp_client *c;
	int rc = smtp_client_open(&c, &flood.to, &conf, &reply);

	(void)arg;
	while (rc == 0 && flood.started < flood.messages) {
		flood.started++;
		if ((rc = send_one(c, body)) == 0)
			flood.sent++;
	}
	if (rc != 0) {
		fprintf(stderr, "smtpflood: %s\n", strerror(-rc));
		flood.failed++;
	}
	smtp_client_free(&c);
	spool_free(&body);
}

static void
run(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	for (uint64_t i = 0; i < flood.connections; i++)
		co_group_spawn(&g, sender, NULL);
	co_group_join(&g);
}

int
main(int argc, char **argv)
{
	uint64_t *numbers[] = { &flood.connections, &flood.messages,
		&flood.octets };
	int64_t begin;
	double s;

	flood.lmtp = argc == 6 && strcmp(argv[1], "-l") == 0;
	if (argc != 5 + flood.lmtp)
		return 2;
	argv += 1 + flood.lmtp;
	if (net_addr_parse(&flood.to, argv[0], "/tmp") != 0)
		return 2;
	for (int i = 0; i < 3; i++)
		if (slice_u64(slice_str(argv[i + 1]), 1U << 30, numbers[i]) !=
		    0)
			return 2;
	log_open("smtpflood", LOG_LEVEL_WARNING);
	begin = clock_mono_ms();
	co_run(run, NULL);
	s = (double)(clock_mono_ms() - begin) / 1000;
	printf("%llu messages in %.2f s: %.0f/s\n",
	    (unsigned long long)flood.sent, s, (double)flood.sent / s);
	return flood.failed == 0 && flood.sent == flood.messages ? 0 : 1;
}
