/* SPDX-License-Identifier: ISC */
/* /outside: the accounts that people have elsewhere. Whose an outside account
 * is not, to him it is not there. */
#include <errno.h>

#include "common/auth/program_ask.h"
#include "common/base/log.h"
#include "mgmt/api/outside_body.h"
#include "mgmt/api/outside_found.h"
#include "mgmt/directory.h"

#define STATE_MS 5000
#define TEST_MS 90000
#define FETCH_MS 100000

json_t *
outside_server_json(const struct outside_server *s)
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

/* For people: what they might not expect of it. */
static json_t *
notes_json(const struct outside *o, const struct outside_push *push)
{
	json_t *j = json_array();

	if (push->only && outside_push_comes_back(o))
		json_array_append_new(j,
		    json_sprintf(
			"%s is fetched as well, so what is put there comes "
			"here from there; pause it, or fetch other folders "
			"only",
			o->address));
	return j;
}

/* The record; never the password. */
static json_t *
record_json(struct manage_call *c, const struct outside *o)
{
	struct outside_push push;
	json_t *j = json_pack(
	    "{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b, s:s, s:o, "
	    "s:I, s:o, s:s?, s:s?, s:b, s:o, s:o, s:s, s:s}",
	    "address", o->address, "account", o->account, "protocol",
	    outside_protocols[o->protocol], "host", o->server.host, "port",
	    (int)o->server.port, "security",
	    outside_securities[o->server.security], "user", o->user,
	    "has_password", o->sealed.n > 0, "into", o->into, "folders",
	    json_texts(o->folders, o->n_folders), "interval_seconds",
	    (json_int_t)o->interval_s, "delete_after_days",
	    o->delete_days < 0 ? json_null()
			       : json_integer((json_int_t)o->delete_days),
	    "sync",
	    o->protocol == OUTSIDE_POP3 ? NULL : outside_syncs[o->sync],
	    "labels",
	    o->protocol != OUTSIDE_GMAIL ? NULL
					 : outside_label_words[o->labels],
	    "paused", o->paused, "smtp", outside_server_json(&o->smtp),
	    "created", json_time(o->created_s), "sign_in",
	    outside_sign_ins[o->sign_in], "oauth_provider", o->oauth.provider);

	(void)outside_push_get(c, o, &push); /* not known: not on */
	json_object_set_new(j, "push", json_boolean(push.on));
	json_object_set_new(j, "push_only", json_boolean(push.only));
	json_object_set_new(j, "notes", notes_json(o, &push));
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

/* A user's server is out in the world: not this machine, nor its neighbours. */
bool
outside_may_be_private(const struct manage_call *c)
{
	return c->admin || conf_bool(c->env->conf, "manage.outside_private");
}

/* Mail is sent as its address, and nobody proves whose that is. */
static bool
may_name_servers(const struct manage_call *c)
{
	return c->admin || conf_bool(c->env->conf, "manage.outside");
}

static bool
names_server(const struct manage_call *c)
{
	return json_object_get(c->in, "host") != NULL ||
	    json_object_get(c->in, "port") != NULL ||
	    json_object_get(c->in, "smtp") != NULL;
}

/* --- changing --- */

#define BODY                                                                   \
	"address", "protocol", "host", "port", "security", "user", "password", \
	    "into", "folders", "interval_seconds", "delete_after_days",        \
	    "sync", "labels", "push", "push_only", "paused", "smtp",           \
	    "sign_in", NULL

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
	struct outside_push push = { .on = false };
	const char *hint;
	struct slice password;
	int rc;

	if (!may_name_servers(c))
		return manage_problem(
		    c, "not-allowed", "Outside accounts are added by admins");
	manage_only(c, names);
	o.address = manage_need(c, "address", OUTSIDE_TEXT_MAX);
	o.user = o.address;
	password = outside_password_in(c);
	if (c->failed)
		return MANAGE_REPLIED;
	if (json_object_get(c->in, "host") == NULL) {
		rc = outside_find_for(c, o.address,
		    json_string_value(json_object_get(c->in, "protocol")), &o,
		    &hint);
		if (rc != 0)
			return outside_find_problem(c, rc, &o);
	}
	outside_body_in(c, &o);
	outside_push_in(c, &o, &push);
	if (c->failed)
		return MANAGE_REPLIED;
	o.public_only = !outside_may_be_private(c);
	rc = outside_put(c->env->accounts, &o, true, password, &c->err);
	if (rc == -EEXIST && !c->admin)
		buf_reset(&c->err); /* whose it is */
	/* All of it, or nothing. */
	if (rc == 0 && (rc = outside_push_apply(c, &o, &push)) != 0) {
		struct buf err = BUF_INIT_MAX(4096);

		(void)outside_remove(
		    c->env->accounts, slice_str(o.address), &err);
		buf_clear(&err);
	}
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
	struct outside_push push;
	struct slice password;
	int rc = outside_api_of(c, &o);

	if (rc != 0)
		return rc;
	if ((rc = outside_push_get(c, &o, &push)) != 0)
		return manage_errno(c, rc, "no-such-account");
	before = o;
	if (names_server(c) && !may_name_servers(c))
		return manage_problem(c, "not-allowed",
		    "Servers of outside accounts are named by admins");
	manage_only(c, names + 1);
	outside_body_in(c, &o);
	outside_push_in(c, &o, &push);
	password = outside_password_in(c);
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
	if (names_server(c))
		o.public_only = !outside_may_be_private(c);
	rc = outside_put(c->env->accounts, &o, false, password, &c->err);
	if (rc == 0)
		rc = outside_push_apply(c, &o, &push);
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
	int rc = ask(c, "XFETCH", FETCH_MS, &j);

	if (rc == -ETIMEDOUT)
		return manage_json(c, 200, json_pack("{s:b}", "done", 0));
	if (rc != 0)
		return manage_errno(c, rc, "no-such-outside");
	json_object_set_new(j, "done", json_true());
	return manage_json(c, 200, j);
}
