/* SPDX-License-Identifier: ISC */
/* /outside: the accounts that people have elsewhere. Whose an outside account
 * is not, to him it is not there. */
#include <errno.h>

#include "common/auth/oauth_provider.h"
#include "common/auth/outside_find.h"
#include "common/auth/program_ask.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/directory.h"

#define TEXT_MAX 255
#define STATE_MS 5000
#define TEST_MS 90000
#define FETCH_MS 100000
#define INTERVAL_MIN_S 10
#define INTERVAL_MAX_S (7 * 24 * 3600)
#define DAYS_MAX 36500

static json_t *
server_json(const struct outside_server *s)
{
	return *s->host == '\0'
	    ? json_null()
	    : json_pack("{s:s, s:i, s:s}", "host", s->host, "port",
		  (int)s->port, "security", outside_securities[s->security]);
}

/* How it stands is the gateway's to know; NULL where it does not answer. */
static json_t *
status_json(struct manage_call *c, const struct outside *o)
{
	char line[400];
	json_t *j = NULL;

	snprintf(line, sizeof(line), "XSTATE <%s>", o->address);
	if (program_ask(
		c->env->conf, "gateway.lmtp", line, STATE_MS, &j, &c->err) != 0)
		j = json_null();
	buf_reset(&c->err);
	return j;
}

/* The record; never the password. */
static json_t *
record_json(struct manage_call *c, const struct outside *o)
{
	json_t *j = json_pack(
	    "{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b, s:s, s:o, "
	    "s:I, s:o, s:b, s:o, s:o, s:s, s:s}",
	    "address", o->address, "account", o->account, "protocol",
	    outside_protocols[o->protocol], "host", o->server.host, "port",
	    (int)o->server.port, "security",
	    outside_securities[o->server.security], "user", o->user,
	    "has_password", o->sealed.n > 0, "into", o->into, "folders",
	    json_texts(o->folders, o->n_folders), "interval_seconds",
	    (json_int_t)o->interval_s, "delete_after_days",
	    o->delete_days < 0 ? json_null()
			       : json_integer((json_int_t)o->delete_days),
	    "paused", o->paused, "smtp", server_json(&o->smtp), "created",
	    json_time(o->created_s), "sign_in", outside_sign_ins[o->sign_in],
	    "oauth_provider", o->oauth.provider);

	json_object_set_new(j, "status", status_json(c, o));
	return j;
}

static int
reply(struct manage_call *c, int status, const struct outside *o)
{
	return manage_json(c, status, record_json(c, o));
}

/* Of whom: an admin may name another account. */
static const char *
owner(struct manage_call *c)
{
	struct slice v = SLICE_EMPTY;

	if (c->admin && http_head_query(&c->x->head, "account", &v) && v.n > 0)
		return arena_strdup(c->a, v);
	return c->account;
}

/* The one of the path. */
int
outside_api_of(struct manage_call *c, struct outside *o)
{
	int rc = outside_get(c->env->accounts, c->a, c->param[0], o);

	if (rc == -EINVAL ||
	    (rc == 0 && strcmp(o->account, c->account) != 0 && !c->admin))
		rc = -ENOENT;
	return manage_errno(c, rc, "no-such-outside");
}

int
outside_api_list(struct manage_call *c)
{
	struct outside *v = NULL;
	json_t *list;
	size_t n = 0;
	int rc =
	    outside_list(c->env->accounts, c->a, slice_str(owner(c)), &v, &n);

	if (rc != 0 && rc != -ENOENT)
		return manage_errno(c, rc, "no-such-account");
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, record_json(c, &v[i]));
	return manage_json(c, 200, json_pack("{s:o}", "outside", list));
}

int
outside_api_get(struct manage_call *c)
{
	struct outside o;
	int rc = outside_api_of(c, &o);

	return rc != 0 ? rc : reply(c, 200, &o);
}

/* --- finding --- */

static int
find(struct manage_call *c, const char *address, bool pop3, struct outside *o,
    const char **hint)
{
	int rc = outside_find(c->env->dns, c->a, address, pop3, o, hint);

	if (rc == -EPERM)
		return manage_problem(c, "must-confirm", o->server.host);
	if (rc == -EINVAL)
		return manage_problem(
		    c, "bad-value", "address must be like name@domain");
	if (rc == -EAGAIN)
		return manage_problem(c, "try-later", "DNS gives no answer");
	return manage_errno(c, rc, "not-found-out");
}

int
outside_api_find(struct manage_call *c)
{
	struct outside o = { .server = { .host = "" }, .smtp = { .host = "" } };
	struct slice address = SLICE_EMPTY, protocol = SLICE_EMPTY;
	const char *hint = NULL, *text;
	int rc;

	if (!http_head_query(&c->x->head, "address", &address) ||
	    !http_head_query(&c->x->head, "protocol", &protocol) ||
	    address.n == 0 || address.n > TEXT_MAX)
		return manage_problem(c, "bad-value", "address is needed");
	text = arena_strdup(c->a, address);
	if (text == NULL)
		return -ENOMEM;
	rc = find(c, text, slice_eq_str(protocol, "pop3"), &o, &hint);
	if (rc != 0)
		return rc;
	return manage_json(c, 200,
	    json_pack("{s:s, s:s, s:s, s:i, s:s, s:o, s:s?, s:b}", "address",
		text, "protocol", outside_protocols[o.protocol], "host",
		o.server.host, "port", (int)o.server.port, "security",
		outside_securities[o.server.security], "smtp",
		server_json(&o.smtp), "hint", hint, "oauth",
		oauth_provider_of_host(o.server.host) != NULL));
}

/* --- what a body says --- */

static uint16_t
usual_port(enum outside_protocol p, enum outside_security s)
{
	bool tls = s == OUTSIDE_TLS;

	return p == OUTSIDE_POP3 ? (tls ? 995 : 110) : (tls ? 993 : 143);
}

static void
smtp_in(struct manage_call *c, struct outside *o)
{
	static const char *const names[] = { "host", "port", "security", NULL };
	json_t *j = json_object_get(c->in, "smtp"), *outer = c->in;
	int security = (int)o->smtp.security;
	int64_t port = 0;
	const char *host;

	if (j == NULL || c->failed)
		return;
	if (json_is_null(j)) {
		o->smtp.host = "";
		return;
	}
	if (!json_is_object(j)) {
		c->failed = true;
		manage_problem(
		    c, "bad-value", "smtp must be an object or null");
		return;
	}
	c->in = j;
	manage_only(c, names);
	host = manage_need(c, "host", TEXT_MAX);
	manage_word(
	    c, "security", outside_securities, OUTSIDE_SECURITIES, &security);
	manage_int(c, "port", 1, UINT16_MAX, NULL, &port);
	c->in = outer;
	if (c->failed)
		return;
	o->smtp.host = host;
	o->smtp.security = (enum outside_security)security;
	o->smtp.port = port != 0              ? (uint16_t)port
	    : o->smtp.security == OUTSIDE_TLS ? 465
					      : 587;
}

static void
server_in(struct manage_call *c, struct outside *o)
{
	int protocol = (int)o->protocol, security = (int)o->server.security;
	int64_t port = 0;
	bool moved;
	const char *s;

	moved = manage_word(
	    c, "protocol", outside_protocols, OUTSIDE_PROTOCOLS, &protocol);
	moved |= manage_word(
	    c, "security", outside_securities, OUTSIDE_SECURITIES, &security);
	o->protocol = (enum outside_protocol)protocol;
	o->server.security = (enum outside_security)security;
	if ((s = manage_str(c, "host", TEXT_MAX)) != NULL)
		o->server.host = s;
	if (manage_int(c, "port", 1, UINT16_MAX, NULL, &port))
		o->server.port = (uint16_t)port;
	else if (moved || o->server.port == 0)
		o->server.port = usual_port(o->protocol, o->server.security);
}

/* By tokens of a provider that we know by its server: where else they might
 * come from is for the admin to say (pneu outside set --oauth-token-url). */
static void
sign_in_in(struct manage_call *c, struct outside *o)
{
	const struct oauth_provider *p;
	int how = (int)o->sign_in;

	if (!manage_word(
		c, "sign_in", outside_sign_ins, OUTSIDE_SIGN_INS, &how))
		return;
	if (how == (int)o->sign_in)
		return;
	o->sign_in = (enum outside_sign_in)how;
	o->oauth =
	    (struct outside_oauth){ "", "", "", "", "", "", SLICE_EMPTY };
	if (o->sign_in != OUTSIDE_OAUTH)
		return;
	if ((p = oauth_provider_of_host(o->server.host)) != NULL) {
		o->oauth.provider = p->name;
		return;
	}
	c->failed = true;
	manage_problem(
	    c, "bad-value", "No provider of tokens is known for that server");
}

/* Over what `o` has. */
static void
body_in(struct manage_call *c, struct outside *o)
{
	static const int64_t by_setting = 0, never = -1;
	const char *s;

	server_in(c, o);
	smtp_in(c, o);
	sign_in_in(c, o);
	if ((s = manage_str(c, "user", TEXT_MAX)) != NULL)
		o->user = s;
	if ((s = manage_str(c, "into", TEXT_MAX)) != NULL)
		o->into = s;
	manage_strs(
	    c, "folders", OUTSIDE_FOLDERS_MAX, &o->folders, &o->n_folders);
	manage_int(c, "interval_seconds", INTERVAL_MIN_S, INTERVAL_MAX_S,
	    &by_setting, &o->interval_s);
	manage_int(
	    c, "delete_after_days", 0, DAYS_MAX, &never, &o->delete_days);
	manage_bool(c, "paused", &o->paused);
	if (!c->failed && o->protocol == OUTSIDE_IMAP && o->delete_days >= 0) {
		c->failed = true;
		manage_problem(c, "bad-value", "delete_after_days is for pop3");
	}
}

/* A user's server is out in the world: not this machine, nor its neighbours. */
static bool
may_be_private(const struct manage_call *c)
{
	return c->admin || conf_bool(c->env->conf, "manage.outside_private");
}

static struct slice
password_in(struct manage_call *c)
{
	const char *s = manage_str(c, "password", ACCOUNTS_PASSWORD_MAX);

	if (s != NULL && !c->is_private && !c->failed) {
		c->failed = true;
		manage_problem(c, "not-private", NULL);
	}
	return s == NULL || *s == '\0' ? slice(NULL, 0) : slice_str(s);
}

#define BODY                                                                   \
	"address", "protocol", "host", "port", "security", "user", "password", \
	    "into", "folders", "interval_seconds", "delete_after_days",        \
	    "paused", "smtp", "sign_in", NULL

int
outside_api_add(struct manage_call *c)
{
	static const char *const names[] = { BODY };
	struct outside o = { .account = owner(c),
		.into = "",
		.delete_days = -1,
		.server = { .host = "" },
		.smtp = { .host = "" },
		.oauth = { "", "", "", "", "", "", SLICE_EMPTY } };
	const char *hint;
	struct slice password;
	int rc;

	manage_only(c, names);
	o.address = manage_need(c, "address", TEXT_MAX);
	o.user = o.address;
	password = password_in(c);
	if (c->failed)
		return MANAGE_REPLIED;
	if (json_object_get(c->in, "host") == NULL) {
		const char *p =
		    json_string_value(json_object_get(c->in, "protocol"));

		rc = find(c, o.address, p != NULL && strcmp(p, "pop3") == 0, &o,
		    &hint);
		if (rc != 0)
			return rc;
	}
	body_in(c, &o);
	if (c->failed)
		return MANAGE_REPLIED;
	o.public_only = !may_be_private(c);
	rc = outside_put(c->env->accounts, &o, true, password, &c->err);
	if (rc == 0)
		rc = outside_get(
		    c->env->accounts, c->a, slice_str(o.address), &o);
	rc = manage_errno(c, rc, "no-such-account");
	return rc != 0 ? rc : reply(c, 201, &o);
}

int
outside_api_patch(struct manage_call *c)
{
	static const char *const names[] = { BODY };
	struct outside o, before;
	struct slice password;
	int rc = outside_api_of(c, &o);

	if (rc != 0)
		return rc;
	before = o;
	manage_only(c, names + 1);
	body_in(c, &o);
	password = password_in(c);
	if (c->failed)
		return MANAGE_REPLIED;
	/* A token of another's hands must not send the password to a server of
	 * their choice: who moves the account says it again. */
	if (password.p == NULL && o.sealed.n > 0 &&
	    (strcmp(o.server.host, before.server.host) != 0 ||
		o.server.port != before.server.port ||
		(o.server.security == OUTSIDE_PLAIN &&
		    before.server.security != OUTSIDE_PLAIN) ||
		(*o.smtp.host != '\0' &&
		    (strcmp(o.smtp.host, before.smtp.host) != 0 ||
			(o.smtp.security == OUTSIDE_PLAIN &&
			    before.smtp.security != OUTSIDE_PLAIN)))))
		return manage_problem(c, "bad-value",
		    "password is needed where the server is another one");
	if (json_object_get(c->in, "host") != NULL ||
	    json_object_get(c->in, "smtp") != NULL)
		o.public_only = !may_be_private(c);
	rc = outside_put(c->env->accounts, &o, false, password, &c->err);
	if (rc == 0)
		rc = outside_get(
		    c->env->accounts, c->a, slice_str(o.address), &o);
	rc = manage_errno(c, rc, "no-such-outside");
	return rc != 0 ? rc : reply(c, 200, &o);
}

int
outside_api_delete(struct manage_call *c)
{
	struct outside o;
	int rc = outside_api_of(c, &o);

	if (rc == 0)
		rc = manage_errno(c,
		    outside_remove(
			c->env->accounts, slice_str(o.address), &c->err),
		    "no-such-outside");
	return rc != 0 ? rc : manage_no_content(c);
}

/* --- what the gateway does --- */

static int
ask(struct manage_call *c, const char *verb, int64_t timeout_ms, json_t **out)
{
	char line[400];
	struct outside o;
	int rc = outside_api_of(c, &o);

	*out = NULL;
	if (rc != 0 || (rc = manage_empty(c)) != 0)
		return rc;
	snprintf(line, sizeof(line), "%s <%s>", verb, o.address);
	return program_ask(
	    c->env->conf, "gateway.lmtp", line, timeout_ms, out, &c->err);
}

int
outside_api_test(struct manage_call *c)
{
	json_t *j;
	int rc = ask(c, "XTEST", TEST_MS, &j);

	return rc == 0 ? manage_json(c, 200, j)
		       : manage_errno(c, rc, "no-such-outside");
}

/* Much mail takes long: it goes on, and the reply says so. */
int
outside_api_fetch(struct manage_call *c)
{
	json_t *j;
	int rc = ask(c, "XLOOK", FETCH_MS, &j);

	if (rc == -ETIMEDOUT)
		return manage_json(c, 200, json_pack("{s:b}", "done", 0));
	if (rc != 0)
		return manage_errno(c, rc, "no-such-outside");
	json_object_set_new(j, "done", json_true());
	return manage_json(c, 200, j);
}
