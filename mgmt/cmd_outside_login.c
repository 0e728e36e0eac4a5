/* SPDX-License-Identifier: ISC */
/* pneu outside login: the token of an outside account that signs in by OAuth. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/auth/oauth_login.h"
#include "common/auth/secret.h"
#include "common/base/clock.h"
#include "common/base/co.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/loopback.h"

struct login_args {
	const struct conf *conf;
	const char *address;
	bool token, device, loopback, json;
	uint64_t port;
	/* while it runs: */
	struct http_client *http;
	struct oauth_login *login;
};

/* A line of JSON, at once: who started us waits for it. */
static void
put_line(json_t *j)
{
	if (j != NULL)
		json_dumpf(j, stdout, JSON_COMPACT);
	json_decref(j);
	putchar('\n');
	fflush(stdout);
}

/* --- a token that somebody has from elsewhere --- */

static int
take_token(struct directory *d, const struct login_args *in)
{
	struct buf token = BUF_INIT_MAX(OUTSIDE_SECRET_MAX);
	struct outside o;
	int rc = outside_get(d->a, &d->arena, slice_str(in->address), &o);

	if (rc == -ENOENT)
		buf_printf(&d->err, "no outside account %s", in->address);
	if (rc == 0 && o.sign_in != OUTSIDE_OAUTH) {
		buf_printf(&d->err,
		    "%s signs in by password; to have it use OAuth: pneu "
		    "outside set --oauth %s",
		    o.address, o.address);
		rc = -ENOENT;
	}
	if (rc == 0)
		rc = secret_line_read("/dev/stdin", &token, &d->err);
	if (rc == 0 && token.n == 0) {
		buf_put_str(&d->err, "no token on standard input");
		rc = -EINVAL;
	}
	if (rc == 0)
		rc = outside_put(d->a, &o, false, buf_slice(&token), &d->err);
	buf_wipe(&token);
	return rc;
}

/* --- by device --- */

static void
show_device(const struct login_args *in, const struct oauth_login_prompt *p)
{
	int64_t left_s = (p->until_ms - clock_mono_ms()) / 1000;

	if (in->json) {
		put_line(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "address",
		    p->address, "by", "device", "url", p->url, "code", p->code,
		    "url_with_code", p->url_with_code, "expires_seconds",
		    (json_int_t)left_s));
		return;
	}
	printf("To let pneu fetch the mail of %s, go to\n\n    %s\n\n"
	       "and enter the code\n\n    %s\n\n",
	    p->address, p->url, p->code);
	if (*p->url_with_code != '\0')
		printf("or go to\n\n    %s\n\n", p->url_with_code);
	printf("Waiting for that, for %lld minutes ...\n",
	    (long long)(left_s + 59) / 60);
	fflush(stdout);
}

static int
by_device(struct directory *d, struct login_args *in)
{
	const struct oauth_login_prompt *p;
	int64_t wait_ms;
	int rc = oauth_login_begin(&in->login, d->a, in->conf, in->http,
	    slice_str(in->address), NULL, &d->err);

	if (rc != 0)
		return rc;
	p = oauth_login_prompt(in->login);
	show_device(in, p);
	do {
		wait_ms = p->next_ms - clock_mono_ms();
		rc = wait_ms > 0 ? co_sleep(wait_ms) : 0;
		if (rc == 0)
			rc = oauth_login_poll(in->login, &d->err);
	} while (rc == OAUTH_LOGIN_WAIT);
	return rc;
}

/* --- by the browser on this machine --- */

static void
show_loopback(const struct login_args *in, const struct oauth_login_prompt *p,
    uint16_t port)
{
	if (in->json) {
		put_line(
		    json_pack("{s:s, s:s, s:s, s:i}", "address", p->address,
			"by", "loopback", "url", p->url, "port", (int)port));
		return;
	}
	printf("To let pneu fetch the mail of %s, open\n\n    %s\n\n"
	       "in a browser on this machine",
	    p->address, p->url);
	if (isatty(STDIN_FILENO))
		printf(". From another machine: ssh -L %u:127.0.0.1:%u to this "
		       "one first, or paste here the address of the page that "
		       "cannot be opened at the end",
		    port, port);
	printf(".\nWaiting ...\n");
	fflush(stdout);
}

static int
redirected(void *arg, struct slice query, struct buf *why)
{
	struct login_args *in = arg;

	/* Somebody who came before anybody was sent. */
	if (in->login == NULL)
		return 1;
	return oauth_login_redirected(in->login, query, why);
}

static int
by_loopback(struct directory *d, struct login_args *in, const char *host)
{
	const struct loopback_conf conf = {
		.port = (uint16_t)in->port, .redirected = redirected, .arg = in
	};
	struct loopback *l = NULL;
	char redirect[64];
	uint16_t port;
	int rc = loopback_open(&l, &conf, &port);

	if (rc != 0) {
		buf_printf(&d->err, "127.0.0.1 port %u: %s", (unsigned)in->port,
		    strerror(-rc));
		return rc;
	}
	snprintf(redirect, sizeof(redirect), "http://%s:%u", host, port);
	rc = oauth_login_begin(&in->login, d->a, in->conf, in->http,
	    slice_str(in->address), redirect, &d->err);
	if (rc == 0) {
		const struct oauth_login_prompt *p =
		    oauth_login_prompt(in->login);

		show_loopback(in, p, port);
		rc = loopback_wait(l, p->until_ms - clock_mono_ms(), &d->err);
		if (rc == -ETIMEDOUT && d->err.n == 0)
			buf_put_str(&d->err, "no browser has come in time");
	}
	loopback_close(&l);
	return rc;
}

/* --- the command --- */

static int
run_flow(struct directory *d, struct login_args *in)
{
	char host[16];
	bool device = false;
	int rc = oauth_login_ways(
	    d->a, in->conf, slice_str(in->address), &device, host, &d->err);

	if (rc == 0)
		rc = http_client_new(&in->http, in->conf, &d->err);
	if (rc == 0)
		rc = in->device || (device && !in->loopback)
		    ? by_device(d, in)
		    : by_loopback(d, in, host);
	oauth_login_free(&in->login);
	http_client_free(&in->http);
	return rc;
}

static int
login(struct directory *d, void *arg)
{
	struct login_args *in = arg;
	int rc = in->token ? take_token(d, in) : run_flow(d, in);

	if (in->json)
		put_line(json_pack("{s:b, s:s, s:s}", "ok", rc == 0, "address",
		    in->address, "error",
		    rc == 0            ? ""
			: d->err.n > 0 ? buf_str(&d->err)
				       : strerror(-rc)));
	else if (rc == 0)
		printf("Logged in. The gateway looks at it at once: "
		       "pneu outside show %s\n",
		    in->address);
	if (rc == 0)
		return EX_OK;
	if (!in->json)
		return directory_failed(d, rc);
	return rc == -EAGAIN || rc == -ETIMEDOUT ? EX_TEMPFAIL : 1;
}

int
cmd_outside_login(const struct conf *conf, int argc, char **argv)
{
	static const struct option options[] = {
		{ "device", no_argument, NULL, 'd' },
		{ "loopback", no_argument, NULL, 'l' },
		{ "port", required_argument, NULL, 'p' },
		{ "token", no_argument, NULL, 't' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct login_args in = { .conf = conf };
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'd':
			in.device = true;
			break;
		case 'l':
			in.loopback = true;
			break;
		case 'p':
			in.loopback = true;
			good &= slice_u64(slice_str(optarg), UINT16_MAX,
				    &in.port) == 0;
			break;
		case 't':
			in.token = true;
			break;
		case 'j':
			in.json = true;
			break;
		default:
			good = false;
		}
	if (!good || argc - optind != 1 ||
	    in.device + in.loopback + in.token > 1)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, login, &in);
}
