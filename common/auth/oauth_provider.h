/* SPDX-License-Identifier: ISC */
/*
 * Where the big providers give out tokens of OAuth 2.0 for the mail of their
 * users, and to whom: every installation registers a client of its own with
 * them, which the settings gateway.oauth_clients and _secrets name.
 */
#ifndef PNEU_AUTH_OAUTH_PROVIDER_H
#define PNEU_AUTH_OAUTH_PROVIDER_H

#include "common/auth/outside.h"
#include "common/base/conf.h"

struct oauth_provider {
	const char *name;
	const char *hosts; /* ends of its servers' names, by spaces */
	const char *auth_url, *token_url;
	const char *device_url; /* NULL: it has no device flow for mail */
	const char *scope;      /* IMAP, POP3 and SMTP, or the API */
	const char *extra;      /* "&name=value" of the first request, or "" */
	/* What it wants a program on the user's machine to be called. */
	const char *loopback;
};

/* By name, or whose server this is; NULL: none that we know. */
const struct oauth_provider *oauth_provider_find(const char *name);
const struct oauth_provider *oauth_provider_of_host(const char *host);
/* The n-th, for lists; NULL after the last. */
const struct oauth_provider *oauth_provider_at(size_t n);

/* Whom we ask and as whom: of the record, the settings and the table. Strings
 * are never NULL; wipe `secret`. */
struct oauth_app {
	const char *auth_url, *token_url, *device_url, *scope, *extra;
	const char *loopback;
	const char *client;
	struct buf secret; /* "": none, a public client */
	bool basic; /* how it is told: HTTP Basic, else in the form */
};
/*
 * In the arena, but for the secret. 0; -EINVAL: it is not said where tokens come
 * from, or as whom; or an error of a secret's file or key; with what is to be
 * done about it in `err`. Clear in any case.
 */
int oauth_app_of(struct accounts *a, const struct conf *conf,
    struct arena *arena, const struct outside *o, struct oauth_app *out,
    struct buf *err);
void oauth_app_clear(struct oauth_app *app);

#endif
