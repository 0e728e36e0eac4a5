/* SPDX-License-Identifier: ISC */
/*
 * OAuth 2.0 (RFC 6749), the client's side: what is asked of a token endpoint,
 * and what it answers. The login flows are in oauth_login.h, and who keeps
 * tokens is the gateway (gateway/token.h).
 */
#ifndef PNEU_AUTH_OAUTH_CLIENT_H
#define PNEU_AUTH_OAUTH_CLIENT_H

#include "common/auth/oauth_provider.h"
#include "common/net/http_client.h"

/* A token or code out of an answer: VSCHAR of RFC 6749 A, not too long. In the
 * arena, NULL when out of memory; "": there is none, or it is none. */
const char *oauth_token_of(struct arena *a, struct slice s);

#define OAUTH_ANSWER_MAX ((size_t)64 << 10)
#define OAUTH_TIMEOUT_MS 20000

/* Strings in the arena, never NULL. */
struct oauth_answer {
	const char *access, *refresh; /* "": none */
	int64_t expires_s;            /* from now; 0: not said */
	/* Or why not: a word of RFC 6749 5.2, RFC 8628 3.5, and a text of the
	 * server's for people, escaped. */
	const char *error, *description;
};
/*
 * What came with `status`. 0: there is an access token of type Bearer; -EACCES:
 * `error` says that the grant is not good (any more); -EINVAL: another error,
 * which asking again does not mend; -EAGAIN: later, or not an answer that can
 * be understood. Pure.
 */
int oauth_answer_parse(
    struct arena *a, int status, struct slice json, struct oauth_answer *out);
/* Zeros over the tokens in the arena. */
void oauth_answer_wipe(struct oauth_answer *answer);

/*
 * POST `form` and who we are to `url`: the status, and what came with it. 0,
 * -EINVAL (not an https: URL), -EAGAIN, -ECANCELED. Waits.
 */
int oauth_client_post(struct http_client *h, const struct oauth_app *app,
    const char *url, const struct buf *form, int *status, struct buf *answer);
/*
 * POST `form` (may be empty) and who we are to the token endpoint. As
 * oauth_answer_parse; *out is always set, its description saying what went wrong
 * where the server said nothing. Or -ECANCELED. Waits.
 */
int oauth_client_ask(struct http_client *h, const struct oauth_app *app,
    const struct buf *form, struct arena *a, struct oauth_answer *out);
/* An access token for the refresh token (RFC 6749 6). */
int oauth_client_refresh(struct http_client *h, const struct oauth_app *app,
    struct slice refresh, struct arena *a, struct oauth_answer *out);

#endif
