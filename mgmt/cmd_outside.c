/* SPDX-License-Identifier: ISC */
/* pneu outside add|set|pause|resume|remove: accounts elsewhere, whose mail
 * pneu-gateway fetches. What needs the gateway is its own: handover.c. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/oauth_provider.h"
#include "common/auth/outside_find.h"
#include "common/auth/secret.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/secret.h"

#define DAYS_MAX 36500

struct outside_args {
	const struct conf *conf;
	const char *address, *account;
	const char *protocol, *host, *security, *user, *into, *labels;
	const char *smtp_host, *smtp_security;
	const char *provider, *client, *client_secret_file, *scope;
	const char *auth_url, *token_url, *device_url;
	uint64_t port, smtp_port;
	const char *folders[OUTSIDE_FOLDERS_MAX];
	size_t n_folders;
	bool oauth, all_folders, pause, password, has_delete, has_interval, has_sync;
	enum outside_sync sync;
	int64_t delete_days, interval_s;
	struct secret secret;
};

/* --- the command line --- */

enum {
	OPT_FOLDERS_ALL = 256,
	OPT_KEEP,
	OPT_LABELS,
	OPT_SMTP,
	OPT_SMTP_PORT,
	OPT_SMTP_SECURITY,
	OPT_OAUTH,
	OPT_PROVIDER,
	OPT_CLIENT,
	OPT_CLIENT_SECRET,
	OPT_SCOPE,
	OPT_AUTH_URL,
	OPT_TOKEN_URL,
	OPT_DEVICE_URL,
	OPT_MIRROR,
	OPT_NO_MIRROR,
	OPT_APART,
};

static const struct option outside_options[] = {
	{ "protocol", required_argument, NULL, 'p' },
	{ "host", required_argument, NULL, 'h' },
	{ "port", required_argument, NULL, 'P' },
	{ "security", required_argument, NULL, 's' },
	{ "user", required_argument, NULL, 'u' },
	{ "smtp-host", required_argument, NULL, OPT_SMTP },
	{ "smtp-port", required_argument, NULL, OPT_SMTP_PORT },
	{ "smtp-security", required_argument, NULL, OPT_SMTP_SECURITY },
	{ "oauth", no_argument, NULL, OPT_OAUTH },
	{ "oauth-provider", required_argument, NULL, OPT_PROVIDER },
	{ "oauth-auth-url", required_argument, NULL, OPT_AUTH_URL },
	{ "oauth-token-url", required_argument, NULL, OPT_TOKEN_URL },
	{ "oauth-device-url", required_argument, NULL, OPT_DEVICE_URL },
	{ "client-id", required_argument, NULL, OPT_CLIENT },
	{ "client-secret-file", required_argument, NULL, OPT_CLIENT_SECRET },
	{ "scope", required_argument, NULL, OPT_SCOPE },
	{ "into", required_argument, NULL, 'i' },
	{ "folder", required_argument, NULL, 'f' },
	{ "all-folders", no_argument, NULL, OPT_FOLDERS_ALL },
	{ "labels", required_argument, NULL, OPT_LABELS },
	{ "interval", required_argument, NULL, 't' },
	{ "delete-after", required_argument, NULL, 'd' },
	{ "keep", no_argument, NULL, OPT_KEEP },
	{ "mirror", no_argument, NULL, OPT_MIRROR },
	{ "no-mirror", no_argument, NULL, OPT_NO_MIRROR },
	{ "apart", no_argument, NULL, OPT_APART },
	{ "password", no_argument, NULL, 'w' },
	{ "pause", no_argument, NULL, 'z' },
	{ NULL, 0, NULL, 0 },
};

/* "90s", "5m", "2h", "1d", "default" (0). */
static bool
interval_parse(const char *text, int64_t *out)
{
	static const char units[] = "smhd";
	static const int64_t seconds[] = { 1, 60, 3600, 86400 };
	struct slice s = slice_str(text);
	const char *unit;
	uint64_t n;

	*out = 0;
	if (slice_eq_str(s, "default"))
		return true;
	if (s.n > 1 && (unit = strchr(units, s.p[s.n - 1])) != NULL &&
	    slice_u64(slice_head(s, s.n - 1), 1000000, &n) == 0 && n > 0) {
		*out = (int64_t)n * seconds[unit - units];
		return true;
	}
	complain("%s: not an interval; like 90s, 5m, 2h, or default", text);
	return false;
}

static bool
number_parse(const char *what, const char *text, uint64_t max, uint64_t *out)
{
	if (slice_u64(slice_str(text), max, out) == 0)
		return true;
	complain("%s: not a %s", text, what);
	return false;
}

/* Of OAuth; each means it. */
static bool
option_oauth(struct outside_args *in, int c, const char *value)
{
	const char **out = c == OPT_PROVIDER ? &in->provider
	    : c == OPT_CLIENT                ? &in->client
	    : c == OPT_CLIENT_SECRET         ? &in->client_secret_file
	    : c == OPT_SCOPE                 ? &in->scope
	    : c == OPT_AUTH_URL              ? &in->auth_url
	    : c == OPT_TOKEN_URL             ? &in->token_url
	    : c == OPT_DEVICE_URL            ? &in->device_url
					     : NULL;

	if (out != NULL)
		*out = value;
	in->oauth = true;
	return out != NULL || c == OPT_OAUTH;
}

static bool
option(struct outside_args *in, int c, const char *value)
{
	uint64_t n;

	switch (c) {
	case 'p':
		in->protocol = value;
		return true;
	case 'h':
		in->host = value;
		return true;
	case 'P':
		return number_parse("port", value, UINT16_MAX, &in->port) &&
		    in->port > 0;
	case 's':
		in->security = value;
		return true;
	case 'u':
		in->user = value;
		return true;
	case 'i':
		in->into = value;
		return true;
	case 'f':
		if (in->n_folders == OUTSIDE_FOLDERS_MAX)
			return false;
		in->folders[in->n_folders++] = value;
		return true;
	case OPT_FOLDERS_ALL:
		return in->all_folders = true;
	case 't':
		return in->has_interval =
			   interval_parse(value, &in->interval_s);
	case 'd':
		in->has_delete =
		    number_parse("number of days", value, DAYS_MAX, &n);
		in->delete_days = (int64_t)n;
		return in->has_delete;
	case OPT_SMTP:
		in->smtp_host = value;
		return true;
	case OPT_SMTP_PORT:
		return number_parse(
			   "port", value, UINT16_MAX, &in->smtp_port) &&
		    in->smtp_port > 0;
	case OPT_SMTP_SECURITY:
		in->smtp_security = value;
		return true;
	case OPT_LABELS:
		in->labels = value;
		return true;
	case OPT_KEEP:
		in->delete_days = -1;
		return in->has_delete = true;
	case OPT_MIRROR:
	case OPT_NO_MIRROR:
	case OPT_APART:
		in->sync = c == OPT_MIRROR ? OUTSIDE_MIRROR
		    : c == OPT_APART       ? OUTSIDE_APART
					   : OUTSIDE_FOLLOW;
		return in->has_sync = true;
	case 'w':
		return in->password = true;
	case 'z':
		return in->pause = true;
	}
	return c >= OPT_OAUTH && option_oauth(in, c, value);
}

static bool
parse(struct outside_args *in, int argc, char **argv, int operands)
{
	int c;

	in->delete_days = -1;
	while ((c = getopt_long(argc, argv, "", outside_options, NULL)) != -1)
		if (!option(in, c, optarg))
			return false;
	if (argc - optind != operands)
		return false;
	in->address = argv[optind];
	in->account = operands > 1 ? argv[optind + 1] : NULL;
	return true;
}

/* --- what the options say --- */

static uint16_t
usual_port(enum outside_protocol p, enum outside_security s)
{
	static const uint16_t ports[OUTSIDE_PROTOCOLS][2] = {
		[OUTSIDE_POP3] = { 995, 110 },
		[OUTSIDE_IMAP] = { 993, 143 },
		[OUTSIDE_GMAIL] = { 443, 443 },
	};

	return ports[p][s == OUTSIDE_TLS ? 0 : 1];
}

/* What it sends through; "none": nothing. */
static bool
apply_smtp(const struct outside_args *in, struct outside_server *s)
{
	int security = (int)s->security;

	if (in->smtp_security != NULL &&
	    !word_option("security (tls, starttls, none)", in->smtp_security,
		outside_securities, OUTSIDE_SECURITIES, &security))
		return false;
	s->security = (enum outside_security)security;
	if (in->smtp_host != NULL)
		s->host =
		    strcmp(in->smtp_host, "none") == 0 ? "" : in->smtp_host;
	if (in->smtp_port != 0)
		s->port = (uint16_t)in->smtp_port;
	else if (in->smtp_security != NULL || s->port == 0)
		s->port = s->security == OUTSIDE_TLS ? 465 : 587;
	return true;
}

/* How it signs in, over what `o` has. */
static bool
apply_oauth(const struct outside_args *in, struct outside *o)
{
	struct outside_oauth *v = &o->oauth;
	const struct oauth_provider *p;

	if (in->password) {
		o->sign_in = OUTSIDE_PASSWORD;
		return true;
	}
	if (!in->oauth && o->protocol != OUTSIDE_GMAIL)
		return true;
	o->sign_in = OUTSIDE_OAUTH;
	if (in->provider != NULL) {
		if (*in->provider != '\0' &&
		    oauth_provider_find(in->provider) == NULL) {
			complain("%s: not a provider that is known; say "
				 "--oauth-token-url and --oauth-auth-url or "
				 "--oauth-device-url",
			    in->provider);
			return false;
		}
		v->provider = in->provider;
	}
	v->client = in->client != NULL ? in->client : v->client;
	v->scope = in->scope != NULL ? in->scope : v->scope;
	v->auth_url = in->auth_url != NULL ? in->auth_url : v->auth_url;
	v->token_url = in->token_url != NULL ? in->token_url : v->token_url;
	v->device_url = in->device_url != NULL ? in->device_url : v->device_url;
	if (*v->provider == '\0' && *v->token_url == '\0') {
		if ((p = oauth_provider_of_host(o->server.host)) == NULL) {
			complain("where %s gives out tokens is not known; say "
				 "--oauth-provider or --oauth-token-url",
			    o->server.host);
			return false;
		}
		v->provider = p->name;
	}
	return true;
}

/* The client's secret from its file ("-": standard input), sealed. */
static bool
apply_client_secret(
    struct directory *d, const struct outside_args *in, struct outside *o)
{
	struct buf secret = BUF_INIT_MAX(SECRET_LINE_MAX);
	const char *path = in->client_secret_file;
	bool ok;

	if (path == NULL)
		return true;
	if (strcmp(path, "-") == 0)
		path = "/dev/stdin";
	ok = secret_line_read(path, &secret, &d->err) == 0 &&
	    outside_seal_client(
		d->a, &d->arena, o, buf_slice(&secret), &d->err) == 0;
	buf_wipe(&secret);
	if (!ok && d->err.n > 0)
		complain("%s", buf_str(&d->err));
	return ok;
}

/* Over what `o` has. */
static bool
apply(const struct outside_args *in, struct outside *o)
{
	int protocol = (int)o->protocol, security = (int)o->server.security;
	bool moved;

	if ((in->protocol != NULL &&
		!word_option("protocol (pop3, imap, gmail)", in->protocol,
		    outside_protocols, OUTSIDE_PROTOCOLS, &protocol)) ||
	    (in->security != NULL &&
		!word_option("security (tls, starttls, none)", in->security,
		    outside_securities, OUTSIDE_SECURITIES, &security)))
		return false;
	moved =
	    protocol != (int)o->protocol || security != (int)o->server.security;
	if (!apply_smtp(in, &o->smtp))
		return false;
	o->protocol = (enum outside_protocol)protocol;
	o->server.security = (enum outside_security)security;
	if (in->host != NULL)
		o->server.host = in->host;
	if (in->port != 0)
		o->server.port = (uint16_t)in->port;
	else if (moved || o->server.port == 0)
		o->server.port = usual_port(o->protocol, o->server.security);
	if (in->user != NULL)
		o->user = in->user;
	if (in->into != NULL)
		o->into = in->into;
	if (in->n_folders > 0 || in->all_folders) {
		o->folders = in->folders;
		o->n_folders = in->n_folders;
	}
	if (in->has_interval)
		o->interval_s = in->interval_s;
	if (in->has_delete)
		o->delete_days = in->delete_days;
	if (!apply_oauth(in, o))
		return false;
	if (in->labels != NULL) {
		int labels;

		if (!word_option("way for labels (keywords, folders)", in->labels,
			outside_label_words, OUTSIDE_LABELS, &labels))
			return false;
		if (o->protocol != OUTSIDE_GMAIL) {
			complain("--labels is for gmail");
			return false;
		}
		o->labels = (enum outside_labels)labels;
	}
	if (in->has_sync)
		o->sync = in->sync;
	if (o->protocol == OUTSIDE_POP3 && in->has_sync) {
		complain("--mirror, --no-mirror and --apart are for imap and gmail");
		return false;
	}
	return true;
}

static int
no_such_outside(struct directory *d, const char *address)
{
	(void)d;
	complain(
	    "no outside account %s; `pneu outside list` lists them", address);
	return 1;
}

static bool
read_password(struct outside_args *in, const char *user)
{
	char text[400];

	snprintf(text, sizeof(text), "Password of %s there: ", user);
	if (!secret_read_once(&in->secret, text))
		return false;
	if (in->secret.n == 0 || in->secret.n > ACCOUNTS_PASSWORD_MAX ||
	    memchr(in->secret.text, '\0', in->secret.n) != NULL) {
		complain("the password is empty, longer than %d octets, or has "
			 "a NUL",
		    ACCOUNTS_PASSWORD_MAX);
		return false;
	}
	return true;
}

/* --- add --- */

static const char *
server_text(
    struct arena *a, const char *protocol, const struct outside_server *s)
{
	return arena_printf(a, "%s://%s:%u (%s)", protocol, s->host, s->port,
	    outside_securities[s->security]);
}

/* Nobody vouches for it: the user has to say it. */
static int
must_confirm(const struct outside *o, const char *address)
{
	complain("DNS names %s for %s, which is in another domain, and nothing "
		 "vouches for that; if it is right, say so: --protocol %s "
		 "--host %s --port %u --security %s",
	    o->server.host, address, outside_protocols[o->protocol],
	    o->server.host, o->server.port,
	    outside_securities[o->server.security]);
	return 1;
}

static void
tell_found(struct directory *d, const struct outside *o, const char *hint)
{
	fprintf(stderr, "found: %s\n",
	    server_text(&d->arena, outside_protocols[o->protocol], &o->server));
	if (*o->smtp.host != '\0')
		fprintf(stderr, "       %s\n",
		    server_text(&d->arena, "smtp", &o->smtp));
	if (hint != NULL)
		fprintf(stderr, "note: %s%s\n", hint,
		    hint == outside_hint_oauth ? ": --oauth" : "");
}

/* Asked for; or it is Gmail, there is a client to log in as, and nothing else was
 * asked for. */
static bool
wants_gmail(const struct outside_args *in, const struct outside *o)
{
	const char *client =
	    conf_map(in->conf, "gateway.oauth_clients", "google");

	if (in->protocol != NULL)
		return strcmp(in->protocol, "gmail") == 0;
	return outside_is_gmail(o) && !in->password && client != NULL &&
	    *client != '\0';
}

/* Where it is, from the address alone. 0, or the exit status, told. */
static int
find(struct directory *d, const struct outside_args *in, struct outside *o)
{
	bool pop3 = in->protocol != NULL && strcmp(in->protocol, "pop3") == 0;
	const char *hint = NULL;
	struct http_client *http = NULL;
	struct dns *dns = NULL;
	int rc;

	if (in->protocol != NULL && wants_gmail(in, o)) {
		outside_use_gmail(o);
		tell_found(d, o, NULL);
		return 0;
	}
	rc = dns_new(&dns, in->conf, &d->err);
	if (rc == 0)
		rc = http_client_new(&http, in->conf, &d->err);
	if (rc == 0)
		rc = outside_find_online(
		    dns, http, &d->arena, in->address, pop3, false, o, &hint);
	http_client_free(&http);
	dns_free(&dns);
	if (rc == -EPERM)
		return must_confirm(o, in->address);
	if (rc != 0) {
		complain("%s: %s; say where: --protocol pop3|imap --host HOST",
		    in->address,
		    rc == -ENOENT       ? "its servers cannot be found"
			: rc == -EINVAL ? "not an address (name@domain)"
					: "DNS gives no answer");
		return rc == -EAGAIN ? EX_TEMPFAIL : 1;
	}
	if (wants_gmail(in, o)) {
		outside_use_gmail(o);
		hint = NULL;
	}
	tell_found(d, o, in->oauth ? NULL : hint); /* of passwords */
	return 0;
}

static int
add(struct directory *d, void *arg)
{
	struct outside_args *in = arg;
	struct outside o = { .address = in->address,
		.account = in->account,
		.user = in->address,
		.into = "",
		.delete_days = -1,
		.paused = in->pause,
		.server = { .host = "" },
		.smtp = { .host = "" },
		.oauth = { "", "", "", "", "", "", SLICE_EMPTY } };
	struct accounts_account account;
	int rc, status;

	if (in->host == NULL && (status = find(d, in, &o)) != 0)
		return status;
	if (in->host != NULL && in->protocol == NULL) {
		complain("say how it is spoken to: --protocol pop3|imap|gmail");
		return EX_USAGE;
	}
	if (!apply(in, &o))
		return EX_USAGE;
	/* Before anybody types a password for nothing. */
	rc = accounts_account_get(
	    d->a, &d->arena, slice_str(in->account), &account);
	if (rc == -ENOENT)
		return no_such_account(d, in->account);
	if (!apply_client_secret(d, in, &o))
		return 1;
	if (o.sign_in == OUTSIDE_OAUTH) {
		rc = outside_put(d->a, &o, true, slice(NULL, 0), &d->err);
		if (rc == 0)
			fprintf(stderr, "next: pneu outside login %s\n",
			    in->address);
		return rc == 0 ? EX_OK : directory_failed(d, rc);
	}
	if (!read_password(in, o.user))
		return EX_USAGE;
	rc = outside_put(
	    d->a, &o, true, slice(in->secret.text, in->secret.n), &d->err);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_outside_add(const struct conf *conf, int argc, char **argv)
{
	struct outside_args in = { .conf = conf };
	int status;

	if (!parse(&in, argc, argv, 2) || in.password || in.all_folders)
		return command_usage();
	status = directory_run(conf, true, add, &in);
	secret_wipe(&in.secret);
	return status;
}

/* --- set, pause, resume --- */

static int
get(struct directory *d, const char *address, struct outside *o)
{
	int rc = outside_get(d->a, &d->arena, slice_str(address), o);

	if (rc == -ENOENT)
		return no_such_outside(d, address);
	return rc == 0 ? 0 : directory_failed(d, rc);
}

static int
put(struct directory *d, const struct outside *o, struct slice secret)
{
	int rc = outside_put(d->a, o, false, secret, &d->err);

	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
set(struct directory *d, void *arg)
{
	struct outside_args *in = arg;
	struct slice secret = { NULL, 0 };
	struct outside o;
	int status = get(d, in->address, &o);

	if (status != 0)
		return status;
	if (!apply(in, &o))
		return EX_USAGE;
	if (!apply_client_secret(d, in, &o))
		return 1;
	if (in->password) {
		if (!read_password(in, o.user))
			return EX_USAGE;
		secret = slice(in->secret.text, in->secret.n);
	}
	return put(d, &o, secret);
}

int
cmd_outside_set(const struct conf *conf, int argc, char **argv)
{
	struct outside_args in = { 0 };
	int status;

	if (!parse(&in, argc, argv, 1) || in.pause || (in.password && in.oauth))
		return command_usage();
	status = directory_run(conf, true, set, &in);
	secret_wipe(&in.secret);
	return status;
}

static int
pause_it(struct directory *d, void *arg)
{
	const struct outside_args *in = arg;
	struct outside o;
	int status = get(d, in->address, &o);

	if (status != 0)
		return status;
	o.paused = in->pause;
	return put(d, &o, slice(NULL, 0));
}

static int
pause_or_resume(const struct conf *conf, int argc, char **argv, bool pause)
{
	struct outside_args in = { .pause = pause };
	bool json;

	if (!options_json(argc, argv, 1, 1, &json) || json)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, pause_it, &in);
}

int
cmd_outside_pause(const struct conf *conf, int argc, char **argv)
{
	return pause_or_resume(conf, argc, argv, true);
}

int
cmd_outside_resume(const struct conf *conf, int argc, char **argv)
{
	return pause_or_resume(conf, argc, argv, false);
}

/* --- remove --- */

static int
remove_it(struct directory *d, void *arg)
{
	const struct outside_args *in = arg;
	int rc = outside_remove(d->a, slice_str(in->address), &d->err);

	if (rc == -ENOENT)
		return no_such_outside(d, in->address);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

int
cmd_outside_remove(const struct conf *conf, int argc, char **argv)
{
	struct outside_args in = { 0 };
	bool json;

	if (!options_json(argc, argv, 1, 1, &json) || json)
		return command_usage();
	in.address = argv[optind];
	return directory_run(conf, true, remove_it, &in);
}
