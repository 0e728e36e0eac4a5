/* SPDX-License-Identifier: ISC */
#include "common/auth/oauth_provider.h"

#include <errno.h>
#include <string.h>

#include "common/auth/secret.h"

#define MICROSOFT "https://login.microsoftonline.com/common/oauth2/v2.0/"
#define OUTLOOK "https://outlook.office.com/"
#define FASTMAIL "https://www.fastmail.com/dev/protocol-"

/* What each publishes for developers; scopes are for reading and sending. */
static const struct oauth_provider providers[] = {
	/* Its device flow gives no scope of mail. Without the two words it
	 * gives no refresh token, or not a second time. */
	{ "google", "gmail.com googlemail.com googleapis.com",
	    "https://accounts.google.com/o/oauth2/v2/auth",
	    "https://oauth2.googleapis.com/token", NULL,
	    "https://mail.google.com/", "&access_type=offline&prompt=consent",
	    "127.0.0.1" },
	/* It lets the port of "localhost" be any, and that name's only. */
	{ "microsoft",
	    "outlook.com office365.com office.com hotmail.com live.com",
	    MICROSOFT "authorize", MICROSOFT "token", MICROSOFT "devicecode",
	    OUTLOOK "IMAP.AccessAsUser.All " OUTLOOK
		    "POP.AccessAsUser.All " OUTLOOK "SMTP.Send offline_access",
	    "", "localhost" },
	{ "yahoo", "mail.yahoo.com",
	    "https://api.login.yahoo.com/oauth2/request_auth",
	    "https://api.login.yahoo.com/oauth2/get_token", NULL, "mail-w", "",
	    "localhost" },
	{ "aol", "mail.aol.com aol.com",
	    "https://api.login.aol.com/oauth2/request_auth",
	    "https://api.login.aol.com/oauth2/get_token", NULL, "mail-w", "",
	    "localhost" },
	{ "yandex", "yandex.com yandex.ru",
	    "https://oauth.yandex.com/authorize",
	    "https://oauth.yandex.com/token",
	    "https://oauth.yandex.com/device/code", "mail:imap_full mail:smtp",
	    "", "127.0.0.1" },
	{ "mailru", "mail.ru", "https://o2.mail.ru/login",
	    "https://o2.mail.ru/token", NULL, "mail.imap", "", "127.0.0.1" },
	{ "fastmail", "fastmail.com", "https://api.fastmail.com/oauth/authorize",
	    "https://api.fastmail.com/oauth/refresh", NULL,
	    FASTMAIL "imap " FASTMAIL "pop " FASTMAIL "smtp offline_access", "",
	    "127.0.0.1" },
};
#define N_PROVIDERS (sizeof(providers) / sizeof(providers[0]))

const struct oauth_provider *
oauth_provider_at(size_t n)
{
	return n < N_PROVIDERS ? &providers[n] : NULL;
}

const struct oauth_provider *
oauth_provider_find(const char *name)
{
	for (size_t i = 0; i < N_PROVIDERS; i++)
		if (strcmp(providers[i].name, name) == 0)
			return &providers[i];
	return NULL;
}

static bool
is_below(struct slice host, struct slice domain)
{
	return host.n >= domain.n &&
	    slice_eq_nocase(slice_from(host, host.n - domain.n), domain) &&
	    (host.n == domain.n || host.p[host.n - domain.n - 1] == '.');
}

const struct oauth_provider *
oauth_provider_of_host(const char *host)
{
	for (size_t i = 0; i < N_PROVIDERS; i++) {
		struct slice rest = slice_str(providers[i].hosts);

		while (rest.n > 0)
			if (is_below(slice_str(host), slice_split(&rest, ' ')))
				return &providers[i];
	}
	return NULL;
}

/* --- whom we ask, and as whom --- */

static const char *
or_else(const char *mine, const char *other)
{
	return *mine != '\0' ? mine : other != NULL ? other : "";
}

static int
client_of(const struct conf *conf, struct arena *arena, const struct outside *o,
    struct oauth_app *out, struct buf *err)
{
	const char *name = o->oauth.provider, *file;

	out->client = o->oauth.client;
	if (*out->client == '\0')
		out->client =
		    or_else("", conf_map(conf, "gateway.oauth_clients", name));
	if (*out->client == '\0') {
		buf_printf(err,
		    "no client id: register a client with the provider, and "
		    "name it in gateway.oauth_clients, or by --client-id");
		return -EINVAL;
	}
	file = conf_map(conf, "gateway.oauth_secrets", name);
	/* A client of the record's own has its own secret, or none. */
	if (*o->oauth.client != '\0' || file == NULL)
		return 0;
	if ((file = conf_resolve(conf, arena, file)) == NULL)
		return -ENOMEM;
	return secret_line_read(file, &out->secret, err);
}

int
oauth_app_of(struct accounts *a, const struct conf *conf, struct arena *arena,
    const struct outside *o, struct oauth_app *out, struct buf *err)
{
	static const struct oauth_provider none;
	const struct outside_oauth *v = &o->oauth;
	const struct oauth_provider *p = oauth_provider_find(v->provider);
	int rc;

	if (p == NULL)
		p = &none;
	*out = (struct oauth_app){ .auth_url = or_else(v->auth_url, p->auth_url),
		.token_url = or_else(v->token_url, p->token_url),
		.device_url = or_else(v->device_url, p->device_url),
		.scope = or_else(v->scope, p->scope),
		.extra = or_else("", p->extra),
		.loopback = p->loopback != NULL ? p->loopback : "127.0.0.1",
		.secret = BUF_INIT_MAX(SECRET_LINE_MAX),
		/* RFC 6749 2.3.1: all servers must take Basic. Those in the
		 * table publish the other way. */
		.basic = *v->token_url != '\0' };
	if (*out->token_url == '\0') {
		buf_put_str(err,
		    "where tokens come from is not known: say --oauth-provider "
		    "or --oauth-token-url");
		return -EINVAL;
	}
	rc = client_of(conf, arena, o, out, err);
	if (rc == 0 && v->sealed.n > 0) {
		buf_wipe(&out->secret);
		rc = outside_client_secret(a, o, &out->secret);
		if (rc != 0)
			buf_printf(err, "the client's secret: %s",
			    rc == -EBADMSG ? "sealed with another key"
					   : strerror(-rc));
	}
	if (rc == 0 &&
	    ((out->client = arena_strdup(arena, slice_str(out->client))) ==
		NULL))
		rc = -ENOMEM;
	return rc;
}

void
oauth_app_clear(struct oauth_app *app)
{
	buf_wipe(&app->secret);
}
