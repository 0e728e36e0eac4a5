/* SPDX-License-Identifier: ISC */
/*
 * Runs dialogues with two sessions of a server on mailboxes in memory: what is
 * sent, and every octet of the answer.
 */
#ifndef PNEU_TEST_DIALOGUE_H
#define PNEU_TEST_DIALOGUE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "common/net/conn.h"
#include "tests/unit/mailbox/fake_mails.h"

struct step {
	int who;          /* session 0 or 1 */
	const char *say;  /* NULL: only listen */
	const char *hear; /* "~": up to and with the next ~ may be anything */
	void (*also)(struct mails *m); /* before it is said */
};

struct dialogue {
	const char *name;
	const struct step *steps;
};

struct side {
	struct conn *server, *client;
	struct buf heard;
};
static struct {
	const struct dialogue *d;
	void (*serve)(struct mails *m, struct conn *c);
	const char *greeting;
	struct mails *m;
	struct side side[2];
	size_t step; /* reached; all: no failure */
	char *fault;
} test;

static void
run_server(void *arg)
{
	struct side *s = arg;

	test.serve(test.m, s->server);
	conn_free(&s->server);
}

/* Does what was heard so far agree with the start of what is to be heard? */
static bool
agrees(struct slice heard, const char *want, bool *complete)
{
	*complete = false;
	for (; *want != '\0'; want++) {
		if (*want == '~') {
			const char *end = strchr(want + 1, '~');
			struct slice stop =
			    slice(want + 1, (size_t)(end - want) - 1);
			ssize_t at = slice_find_slice(heard, stop);

			if (at < 0)
				return true;
			heard = slice_from(heard, (size_t)at + stop.n);
			want = end;
			continue;
		}
		if (heard.n == 0)
			return true;
		if (heard.p[0] != *want)
			return false;
		heard = slice_from(heard, 1);
	}
	*complete = heard.n == 0;
	return *complete;
}

static void
hear(struct side *s, const char *want)
{
	struct slice got;
	bool complete, ok;

	while ((ok = agrees(buf_slice(&s->heard), want, &complete)) &&
	    !complete && test.fault == NULL) {
		if (conn_peek(s->client, &got) != 0) {
			ok = false;
			break;
		}
		buf_put_slice(&s->heard, got);
		conn_consume(s->client, got.n);
	}
	if (!ok && test.fault == NULL)
		test.fault = strdup(buf_str(&s->heard));
	buf_reset(&s->heard);
}

static void
run_client(void *arg)
{
	(void)arg;
	for (size_t i = 0; i < 2; i++) {
		if (conn_pair(&test.side[i].server, &test.side[i].client) != 0)
			return;
		conn_set_timeout(test.side[i].client, 20000);
		co_spawn(run_server, &test.side[i]);
		hear(&test.side[i], test.greeting);
	}
	for (const struct step *s = test.d->steps;
	     s->hear != NULL && test.fault == NULL; s++) {
		struct side *side = &test.side[s->who];

		test.step = (size_t)(s - test.d->steps);
		if (s->also != NULL)
			s->also(test.m);
		if (s->say != NULL &&
		    (conn_puts(side->client, s->say) != 0 ||
			conn_flush(side->client) != 0))
			test.fault = strdup("(gone)");
		hear(side, s->hear);
	}
	conn_free(&test.side[0].client);
	conn_free(&test.side[1].client);
	while (co_count() > 1)
		co_sleep(1);
}

/* `fill` puts the first messages in; `serve` is one session. */
static void
run_dialogue(const struct dialogue *d, void (*fill)(struct mails *m),
    void (*serve)(struct mails *m, struct conn *c), const char *greeting)
{
	const struct mails_conf conf = { .no_default_mailboxes = false };
	struct buf err = BUF_INIT;

	memset(&test, 0, sizeof(test));
	test.d = d;
	test.serve = serve;
	test.greeting = greeting;
	mails_open(&test.m, &conf, &err);
	fill(test.m);
	co_run(run_client, NULL);
	buf_clear(&test.side[0].heard);
	buf_clear(&test.side[1].heard);
	mails_close(&test.m);
	if (test.fault != NULL) {
		print_error("%s, step %zu: said %s\nheard:\n%s\nnot:\n%s\n",
		    d->name, test.step, d->steps[test.step].say, test.fault,
		    d->steps[test.step].hear);
		free(test.fault);
		fail();
	}
}

#define END                                                                    \
	{                                                                      \
		0, NULL, NULL, NULL                                            \
	}

#endif
