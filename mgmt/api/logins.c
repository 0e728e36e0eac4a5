/* SPDX-License-Identifier: ISC */
/*
 * /outside/{address}/login: logging in at an outside account's provider, by a
 * code that is entered there, or by a browser that comes back to the web page.
 * Logins under way are in memory only: who is interrupted begins anew.
 */
#include <errno.h>

#include "common/auth/oauth_login.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/address.h"
#include "mgmt/api/manage_impl.h"

#define LOGINS_MAX 256
#define PER_ACCOUNT 4

struct under_way {
	struct oauth_login *login;
	char account[ADDRESS_MAX + 1];
	bool device, busy;
};
static struct under_way logins[LOGINS_MAX];

static void
drop(struct under_way *u)
{
	oauth_login_free(&u->login);
	*u = (struct under_way){ 0 };
}

/* The provider has given up on those that are too old. */
static void
drop_old(void)
{
	for (size_t i = 0; i < LOGINS_MAX; i++)
		if (logins[i].login != NULL && !logins[i].busy &&
		    oauth_login_prompt(logins[i].login)->until_ms <
			clock_mono_ms())
			drop(&logins[i]);
}

void
logins_free(void)
{
	for (size_t i = 0; i < LOGINS_MAX; i++)
		drop(&logins[i]);
}

static struct under_way *
find_login(const char *account, const char *address)
{
	for (size_t i = 0; i < LOGINS_MAX; i++)
		if (logins[i].login != NULL &&
		    strcmp(logins[i].account, account) == 0 &&
		    strcmp(oauth_login_prompt(logins[i].login)->address,
			address) == 0)
			return &logins[i];
	return NULL;
}

/* Of the same address the one before ends. NULL: too many. */
static struct under_way *
place_for(const char *account, const char *address)
{
	struct under_way *free = find_login(account, address);
	size_t own = 0;

	if (free != NULL)
		return free->busy ? NULL : free;
	for (size_t i = 0; i < LOGINS_MAX; i++) {
		if (logins[i].login == NULL && !logins[i].busy && free == NULL)
			free = &logins[i];
		own += logins[i].login != NULL &&
		    strcmp(logins[i].account, account) == 0;
	}
	return own < PER_ACCOUNT ? free : NULL;
}

/* Where a browser that asks us comes back to; NULL: that is not known. */
static const char *
redirect_of(struct manage_call *c)
{
	const char *url = conf_str(c->env->conf, "manage.url");
	struct slice host = http_head_get(&c->x->head, "Host");

	if (*url != '\0')
		return arena_printf(c->a, "%s/login", url);
	/* On the user's own machine (RFC 8252 7.3). */
	if (slice_starts(host, "127.0.0.1:") ||
	    slice_starts(host, "localhost:"))
		return arena_printf(c->a, "http%s://%.*s/login",
		    c->is_tls ? "s" : "", (int)host.n, host.p);
	return NULL;
}

static json_t *
login_json(const struct under_way *u, const char *state)
{
	const struct oauth_login_prompt *p = oauth_login_prompt(u->login);
	int64_t wait = (p->next_ms - clock_mono_ms() + 999) / 1000;
	int64_t left = (p->until_ms - clock_mono_ms()) / 1000;

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "state", state,
	    "flow", u->device ? "device" : "code", "url", p->url, "code",
	    p->code, "url_with_code", p->url_with_code, "interval",
	    (json_int_t)(u->device && wait > 0 ? wait : 2), "expires_in",
	    (json_int_t)(left > 0 ? left : 0));
}

static int
login_errno(struct manage_call *c, int rc)
{
	if (rc == -EACCES || rc == -EINVAL || rc == -ENODATA)
		return manage_problem(c, "login-failed", buf_str(&c->err));
	if (rc == -EAGAIN)
		return manage_problem(c, "try-later", buf_str(&c->err));
	return manage_errno(c, rc, "no-such-outside");
}

int
outside_login_post(struct manage_call *c)
{
	static const char *const names[] = { "flow", NULL };
	static const char *const flows[] = { "device", "code" };
	const char *redirect = NULL;
	struct under_way *u;
	struct outside o;
	char loopback[16];
	bool device = false, given;
	int flow = 0, rc = outside_api_of(c, &o);

	if (rc != 0)
		return rc;
	manage_only(c, names);
	given = manage_word(c, "flow", flows, 2, &flow);
	if (c->failed)
		return MANAGE_REPLIED;
	if (o.sign_in != OUTSIDE_OAUTH)
		return manage_problem(
		    c, "login-failed", "It signs in by a password");
	rc = oauth_login_ways(c->env->accounts, c->env->conf,
	    slice_str(o.address), &device, loopback, &c->err);
	if (rc != 0)
		return login_errno(c, rc);
	device = given ? flow == 0 : device;
	if (!device && (redirect = redirect_of(c)) == NULL)
		return manage_problem(c, "login-failed",
		    "The admin must say where this page is: manage.url");
	drop_old();
	if ((u = place_for(o.account, o.address)) == NULL)
		return manage_problem(
		    c, "limit", "Too many logins are under way");
	drop(u);
	snprintf(u->account, sizeof(u->account), "%s", c->account);
	u->device = device;
	u->busy = true;
	rc = oauth_login_begin(&u->login, c->env->accounts, c->env->conf,
	    c->env->http, slice_str(o.address), redirect, &c->err);
	if (rc != 0) {
		*u = (struct under_way){ 0 };
		return login_errno(c, rc);
	}
	u->busy = false;
	return manage_json(c, 201, login_json(u, "waiting"));
}

/* How the one that was asked has ended, or that it has not. */
static int
reply_end(struct manage_call *c, struct under_way *u, int rc)
{
	if (rc == OAUTH_LOGIN_WAIT)
		return manage_json(c, 200, login_json(u, "waiting"));
	log_info("outside login", "account=%s outside=%s error=\"%s\"",
	    log_qs(u->account), log_qs(oauth_login_prompt(u->login)->address),
	    rc == 0 ? "" : strerror(-rc));
	drop(u);
	if (rc == 0)
		return manage_json(c, 200, json_pack("{s:s}", "state", "done"));
	return manage_json(c, 200,
	    json_pack("{s:s, s:s}", "state", "failed", "error",
		c->err.n > 0 ? log_qs(buf_str(&c->err)) : strerror(-rc)));
}

int
outside_login_get(struct manage_call *c)
{
	struct under_way *u;
	struct outside o;
	int rc = outside_api_of(c, &o);

	if (rc != 0)
		return rc;
	drop_old();
	if ((u = find_login(c->account, o.address)) == NULL)
		/* The redirect may have ended it. */
		return manage_json(c, 200,
		    json_pack(
			"{s:s}", "state", o.sealed.n > 0 ? "done" : "none"));
	if (!u->device || u->busy ||
	    clock_mono_ms() < oauth_login_prompt(u->login)->next_ms)
		return manage_json(c, 200, login_json(u, "waiting"));
	u->busy = true;
	rc = oauth_login_poll(u->login, &c->err);
	u->busy = false;
	return reply_end(c, u, rc);
}

/*
 * The browser came back to the page, which hands on what it brought, with the
 * session: only a login that the same account began takes it, so nobody can have
 * another's browser log in to an account of his own (RFC 9700 4.7).
 */
int
outside_login_back(struct manage_call *c)
{
	static const char *const names[] = { "query", NULL };
	const char *query, *address;
	struct slice q;
	int rc;

	manage_only(c, names);
	query = manage_need(c, "query", 4096);
	if (c->failed)
		return MANAGE_REPLIED;
	q = slice_str(query);
	if (q.p[0] == '?')
		q = slice_from(q, 1);
	drop_old();
	for (size_t i = 0; i < LOGINS_MAX; i++) {
		struct under_way *u = &logins[i];

		if (u->login == NULL || u->device || u->busy ||
		    strcmp(u->account, c->account) != 0)
			continue;
		address = arena_strdup(
		    c->a, slice_str(oauth_login_prompt(u->login)->address));
		u->busy = true;
		rc = oauth_login_redirected(u->login, q, &c->err);
		u->busy = false;
		if (rc == OAUTH_LOGIN_WAIT)
			continue; /* of another */
		drop(u);
		if (rc != 0)
			return login_errno(c, rc);
		return manage_json(c, 200,
		    json_pack("{s:s, s:s}", "state", "done", "address",
			address != NULL ? address : ""));
	}
	return manage_problem(c, "login-failed", "No login waits for that");
}
