/* SPDX-License-Identifier: ISC */
#include "gateway/gmail_login.h"

#include <errno.h>

enum fetch_end
gmail_login_failed(struct gmail_login *l, int rc)
{
	struct fetch *f = l->f;
	const char *host = f->o.server.host, *said = buf_str(&l->g.said);
	const char *colon = *said == '\0' ? "" : ": ";

	switch (rc) {
	case -EACCES:
		if (f->why.n > 0)
			return l->renew_end;
		/* One that is new is not taken either. */
		return fetch_fail(f,
		    l->renew_end == FETCH_OK ? FETCH_LOGIN : l->renew_end,
		    "%s does not take our token%s%s", host, colon, said);
	case -EPERM:
		return fetch_fail(f, FETCH_LOGIN, "%s does not let us%s%s",
		    host, colon, said);
	case -EHOSTUNREACH:
		return fetch_fail(f, FETCH_HOST, "%s port %u: %s", host,
		    f->o.server.port, *said == '\0' ? strerror(-rc) : said);
	case -ECANCELED:
		return fetch_fail(f, FETCH_RETRY, "stopped");
	case -EBUSY:
		f->not_before_s = l->g.retry_after_s;
		break;
	}
	return fetch_fail_broken(f, rc, said);
}

/* Only one asks for a token; the others have what it gets. */
static int
renew(void *arg, const char *refused)
{
	struct gmail_login *l = arg;
	int rc = co_mutex_lock(&l->renewing, -1);

	if (rc != 0)
		return rc;
	if (strcmp(refused, buf_str(&l->f->secret)) == 0)
		l->renew_end = fetch_renew(l->f, FETCH_LOGIN);
	rc = l->renew_end == FETCH_OK ? 0 : -EACCES;
	co_mutex_unlock(&l->renewing);
	return rc;
}

void
gmail_base_put(struct buf *out, const struct outside_server *s)
{
	buf_printf(out, "https://%s:%u", s->host, s->port);
}

void
gmail_login_init(struct gmail_login *l, struct fetch *f)
{
	*l = (struct gmail_login){ .f = f, .base = BUF_INIT_MAX(600) };
	gmail_base_put(&l->base, &f->o.server);
	gmail_init(&l->g, f->g->api, buf_str(&l->base), &f->secret);
	l->g.global_only = f->o.public_only;
	l->g.renew = renew;
	l->g.arg = l;
	l->renew_end = FETCH_OK;
}

void
gmail_login_clear(struct gmail_login *l)
{
	gmail_clear(&l->g);
	buf_clear(&l->base);
}
