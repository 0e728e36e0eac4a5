/* SPDX-License-Identifier: ISC */
/*
 * A login at an outside account's provider, for the command and for the API: the
 * user goes to a URL and says yes there, and the account's record has a refresh
 * token. Two ways:
 *
 * device (RFC 8628)  the user enters a code, at whichever machine; we ask until
 *                    it is done.
 * code (RFC 6749 4.1, with PKCE of RFC 7636)  the browser comes back to a URL of
 *                    ours, of a program on the user's machine (RFC 8252 7.3) or
 *                    of a web page, with a code that we change for the token.
 */
#ifndef PNEU_AUTH_OAUTH_LOGIN_H
#define PNEU_AUTH_OAUTH_LOGIN_H

#include "common/auth/oauth_provider.h"
#include "common/net/http_client.h"

struct oauth_login;

/* What the user is to be shown, and what the caller has to know; valid until the
 * login is freed. */
struct oauth_login_prompt {
	const char *address;
	const char *url;           /* where to go */
	const char *code;          /* device: to be entered there, else "" */
	const char *url_with_code; /* device: both in one (a QR code), or "" */
	const char *state; /* code: comes back in the redirect; 43 octets */
	int64_t until_ms;  /* of clock_mono_ms: then it is over */
	int64_t next_ms;   /* device: do not ask before */
};

/*
 * Begin. `redirect` NULL: by device; else where the browser is to come back to,
 * which the client's registration must allow. Of an account of OUTSIDE_OAUTH. 0;
 * -ENOENT: no such outside account; -EINVAL: it cannot log in so, -EACCES: the
 * provider does not want us, -EAGAIN: it does not answer; with the reason in
 * `err`. Waits.
 */
int oauth_login_begin(struct oauth_login **out, struct accounts *a,
    const struct conf *conf, struct http_client *h, struct slice address,
    const char *redirect, struct buf *err);
void oauth_login_free(struct oauth_login **l);
const struct oauth_login_prompt *
oauth_login_prompt(const struct oauth_login *l);
/* Of oauth_app_of: does the provider have a device flow; what a program on the
 * user's machine is called there ("127.0.0.1" or "localhost"). */
int oauth_login_ways(struct accounts *a, const struct conf *conf,
    struct slice address, bool *device, char loopback[static 16],
    struct buf *err);

#define OAUTH_LOGIN_WAIT 1
/*
 * Device: ask whether it is done. OAUTH_LOGIN_WAIT: not yet, again at
 * prompt->next_ms; 0: done, the record has the token; else it is over: -EACCES
 * (the user said no), -ETIMEDOUT (nobody said anything), -EINVAL, -ENODATA (no
 * refresh token was given), or of outside_put; with the reason in `err`. Waits.
 */
int oauth_login_poll(struct oauth_login *l, struct buf *err);
/*
 * Code: what came back, the query of the redirect. As above; OAUTH_LOGIN_WAIT:
 * it is not of this login (another state), go on waiting.
 */
int oauth_login_redirected(
    struct oauth_login *l, struct slice query, struct buf *err);

/* --- for tests --- */

/* The answer of a device endpoint (RFC 8628 3.2). Strings in the arena. */
struct oauth_device {
	const char *device_code, *user_code, *url, *url_with_code;
	int64_t expires_s, interval_s;
};
/* 0, or -EAGAIN: not one. Pure. */
int oauth_device_parse(
    struct arena *a, struct slice json, struct oauth_device *out);
/* S256 of RFC 7636 4.2. */
bool oauth_challenge(struct slice verifier, struct buf *out);

#endif
