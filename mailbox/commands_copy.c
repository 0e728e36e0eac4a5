/* SPDX-License-Identifier: ISC */
/* `pneu mail copy imap://user@old.host ACCOUNT`. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/co.h"
#include "common/base/log.h"
#include "mailbox/commands_door_impl.h"
#include "mailbox/door/pull.h"

#define SECRET_MAX ((size_t)8192)
#define ADDRS_MAX 16
#define TIMEOUT_S 120

/* Where to, as the URL says. */
struct url {
	char *user, *host;
	const char *port; /* NULL: not said */
	bool imaps;
};

/* --- the URL --- */

static int
hex_digit(char c)
{
	c = ascii_lower(c);
	return ascii_is_digit(c)   ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10
				   : -1;
}

/* In place. False: it has a NUL or half an escape. */
static bool
percent_decode(char *text)
{
	char *to = text;
	int high, low;

	for (; *text != '\0'; text++) {
		if (*text != '%') {
			*to++ = *text;
			continue;
		}
		if ((high = hex_digit(text[1])) < 0 ||
		    (low = hex_digit(text[2])) < 0 || high + low == 0)
			return false;
		*to++ = (char)(high * 16 + low);
		text += 2;
	}
	*to = '\0';
	return true;
}

/* "user@host:port", where the user's name may have an '@', too, and the host
 * be "[::1]". */
static bool
url_parse(struct arena *a, const char *text, struct url *out)
{
	struct slice rest = slice_str(text);
	char *at, *colon, *end;

	*out = (struct url){ .imaps = slice_starts_nocase(rest, "imaps://") };
	if (!out->imaps && !slice_starts_nocase(rest, "imap://"))
		return false;
	rest = slice_from(rest, out->imaps ? 8 : 7);
	if ((out->user = arena_strdup(a, rest)) == NULL ||
	    (at = strrchr(out->user, '@')) == NULL || at == out->user)
		return false;
	*at = '\0';
	out->host = at + 1;
	if ((end = strchr(out->host, '/')) != NULL)
		*end = '\0';
	if (out->host[0] == '[' && (end = strchr(out->host, ']')) != NULL) {
		out->host++;
		*end = '\0';
		colon = end[1] == ':' ? end + 1 : NULL;
	} else {
		colon = strchr(out->host, ':');
	}
	if (colon != NULL) {
		*colon = '\0';
		out->port = colon + 1;
	}
	/* A password in it would stand in the list of processes. */
	return strchr(out->user, ':') == NULL && percent_decode(out->user) &&
	    out->host[0] != '\0' && (out->port == NULL || *out->port != '\0');
}

/* --- the server --- */

struct lookup {
	const struct url *u;
	const char *port;
	struct addrinfo *found;
	int rc;
};

static void
look_up(void *arg)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct lookup *l = arg;

	l->rc = getaddrinfo(l->u->host, l->port, &hints, &l->found);
}

static int
addresses(struct door *d, const struct url *u, const char *port,
    struct net_addr *out, size_t *n)
{
	struct lookup l = { .u = u, .port = port };
	int rc = co_work(look_up, &l);

	*n = 0;
	if (rc != 0)
		return rc;
	if (l.rc != 0) {
		door_warn(
		    &d->report, "%s: %s", log_qs(u->host), gai_strerror(l.rc));
		return -EHOSTUNREACH;
	}
	for (struct addrinfo *i = l.found; i != NULL && *n < ADDRS_MAX;
	     i = i->ai_next) {
		memcpy(&out[*n].sa, i->ai_addr, i->ai_addrlen);
		out[(*n)++].len = i->ai_addrlen;
	}
	freeaddrinfo(l.found);
	return 0;
}

/* Without a port: 993 where it answers (RFC 8314), else STARTTLS at 143. */
static const char *
find_port(const struct url *u, const struct net_addr *addrs, size_t n)
{
	struct conn *c;

	if (u->port != NULL || u->imaps)
		return u->port != NULL ? u->port : "993";
	for (size_t i = 0; i < n; i++)
		if (conn_connect(&c, &addrs[i], NULL, 5000) == 0) {
			conn_free(&c);
			return "993";
		}
	return "143";
}

static int
find_server(struct door *d, const struct url *u, struct pull_conf *conf,
    struct net_addr *addrs)
{
	const char *port = u->port != NULL ? u->port : "993";
	int rc = addresses(d, u, port, addrs, &conf->n_addrs);

	if (rc != 0)
		return rc;
	port = find_port(u, addrs, conf->n_addrs);
	for (size_t i = 0; i < conf->n_addrs && u->port == NULL; i++)
		net_addr_set_port(
		    &addrs[i], strcmp(port, "993") == 0 ? 993 : 143);
	conf->addrs = addrs;
	conf->client.tls_mode = u->imaps || strcmp(port, "993") == 0
	    ? IMAP_TLS_IMPLICIT
	    : d->insecure ? IMAP_TLS_MAY
			  : IMAP_TLS_STARTTLS;
	return 0;
}

static int
make_tls(struct door *d, struct tls_client **out)
{
	struct buf err = BUF_INIT;
	int rc = tls_client_new_files(
	    out, d->insecure ? TLS_VERIFY_NONE : TLS_VERIFY_NAMES, d->ca, &err);

	if (rc != 0)
		door_warn(&d->report, "%s", buf_str(&err));
	buf_clear(&err);
	return rc;
}

/* --- all --- */

static int
copy_from(struct door *d, const struct url *u, char *secret)
{
	struct net_addr addrs[ADDRS_MAX];
	struct tls_client *tls = NULL;
	struct pull_conf conf = { .take = door_take_conf(d) };
	int rc = make_tls(d, &tls);

	conf.client = (struct imap_client_conf){ .tls = tls,
		.host = u->host,
		.user = u->user,
		.password = d->token_file == NULL ? secret : NULL,
		.token = d->token_file != NULL ? secret : NULL,
		.timeout_ms =
		    (int64_t)(d->timeout_s > 0 ? d->timeout_s : TIMEOUT_S) *
		    1000 };
	if (rc == 0)
		rc = find_server(d, u, &conf, addrs);
	if (rc == 0)
		rc = pull(&conf);
	tls_client_free(&tls);
	return rc;
}

static int
do_copy(struct door *d)
{
	char secret[SECRET_MAX], prompt[400];
	struct url u;
	int rc;

	if (!url_parse(&d->a, d->operands[0], &u)) {
		door_warn(&d->report,
		    "%s: is not like imap://user@host or imaps://user@host:993 "
		    "(in a user's name, '/' is %%2F, and a password is not in "
		    "it)",
		    log_qs(d->operands[0]));
		return -EINVAL;
	}
	snprintf(prompt, sizeof(prompt), "Password for %s at %s: ",
	    log_qs(u.user), log_qs(u.host));
	if ((rc = door_account(d, d->operands[1], false)) == 0 &&
	    (rc = door_secret(d, prompt, secret, sizeof(secret))) == 0)
		rc = copy_from(d, &u, secret);
	explicit_bzero(secret, sizeof(secret));
	return rc;
}

int
run_copy(const struct conf *conf, int argc, char **argv)
{
	struct door d = { .conf = conf, .args = DOOR_COPY_ARGS, .fn = do_copy };

	return door_run(&d, argc, argv);
}
