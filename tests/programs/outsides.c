/* SPDX-License-Identifier: ISC */
/*
 * Many outside accounts at once, for benchmarks: outsides CONF N HOST PORT
 * USERS ACCOUNT makes o1@out.test to oN@out.test, for ACCOUNT here, by IMAP with
 * TLS, with the password "demo". The first ALONE sign in as u<i>@out.test, the
 * others share the rest of u1 to u<USERS>.
 * `pneu outside add` does the same one by one, a process for each.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/outside.h"
#include "common/base/co.h"

#define ALONE 20

static struct conf *conf;
static char **args;
static int status = EX_TEMPFAIL;

static int
number(int i)
{
	return (int)strtol(args[i], NULL, 10);
}

static int
add(struct accounts *a, int i, struct buf *err)
{
	struct buf address = BUF_INIT, user = BUF_INIT;
	struct outside o = { .account = args[6],
		.protocol = OUTSIDE_IMAP,
		.server = { args[3], (uint16_t)number(4), OUTSIDE_TLS },
		.smtp = { .host = "" },
		.oauth = { "", "", "", "", "", "", SLICE_EMPTY },
		.into = "",
		.delete_days = -1 };
	int rc;

	buf_printf(&address, "o%d@out.test", i);
	buf_printf(&user, "u%d@out.test",
	    i <= ALONE ? i : ALONE + 1 + i % (number(5) - ALONE));
	o.address = buf_str(&address);
	o.user = buf_str(&user);
	rc = outside_put(a, &o, true, SLICE_LIT("demo"), err);
	buf_clear(&address);
	buf_clear(&user);
	return rc;
}

static void
run_main(void *arg)
{
	struct accounts *a = NULL;
	struct buf err = BUF_INIT;
	int n = number(2), rc = accounts_open(&a, conf, true, &err);

	(void)arg;
	for (int i = 1; i <= n && rc == 0; i++)
		rc = add(a, i, &err);
	if (rc == 0)
		status = 0;
	else
		fprintf(
		    stderr, "outsides: %s %s\n", strerror(-rc), buf_str(&err));
	accounts_close(&a);
	buf_clear(&err);
}

int
main(int argc, char **argv)
{
	struct buf err = BUF_INIT;

	args = argv;
	if (argc != 7 || (conf = conf_load(argv[1], &err)) == NULL) {
		fprintf(stderr, "outsides: %s\n", buf_str(&err));
		return EX_USAGE;
	}
	co_run(run_main, NULL);
	conf_free(&conf);
	buf_clear(&err);
	return status;
}
