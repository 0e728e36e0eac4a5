/* SPDX-License-Identifier: ISC */
/* /session: signing in and out. /tokens: what opens the account. */
#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/api/api_impl.h"

#define NAME_MAX_ 100
#define TOKEN_MAX_S ((int64_t)10 * 365 * 24 * 3600)

static const struct {
	const char *name;
	unsigned scope;
} scopes[] = {
	{ "read", API_READ },
	{ "write", API_WRITE },
	{ "send", API_SEND },
	{ "tokens", API_TOKENS },
	{ "account", API_ACCOUNT },
	{ "admin", API_ADMIN },
};
#define N_SCOPES (sizeof(scopes) / sizeof(scopes[0]))

static json_t *
scopes_json(unsigned set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < N_SCOPES; i++)
		if ((set & scopes[i].scope) != 0)
			json_array_append_new(
			    list, json_string(scopes[i].name));
	return list;
}

static unsigned
scope_of(const char *name)
{
	for (size_t i = 0; name != NULL && i < N_SCOPES; i++)
		if (strcmp(name, scopes[i].name) == 0)
			return scopes[i].scope;
	return 0;
}

/* Those that are asked for, or all of `most`. */
static int
scopes_in(struct api_call *c, unsigned most, unsigned *out)
{
	json_t *list = json_object_get(c->in, "scopes"), *item;
	size_t i;

	*out = most;
	if (list == NULL)
		return 0;
	*out = 0;
	json_array_foreach(list, i, item)
	{
		unsigned scope = scope_of(json_string_value(item));

		if (scope == 0) {
			api_problem(c, "bad-value",
			    "scopes are read, write, send, tokens, account "
			    "and admin");
			return API_REPLIED;
		}
		if ((scope & most) == 0) {
			api_problem(c, "bad-scope", "More than this token has");
			return API_REPLIED;
		}
		*out |= scope;
	}
	if (*out == 0)
		api_problem(c, "bad-value", "scopes must be a list of words");
	return *out == 0 ? API_REPLIED : 0;
}

/* What is told of a token; not what opens it. */
static json_t *
token_json(const struct api_token *t)
{
	return json_pack("{s:s, s:o, s:s, s:o, s:b, s:o, s:o}", "id", t->id,
	    "name", api_text(slice_str(t->name)), "account", t->account,
	    "scopes", scopes_json(t->scopes), "session", (int)t->session,
	    "created", api_time(t->created_s), "expires",
	    api_time(t->expires_s));
}

static int
token_in(
    struct api_call *c, struct api_token *t, unsigned most, int64_t default_s)
{
	int64_t seconds = default_s;
	const char *name;
	int rc;

	if ((rc = scopes_in(c, most, &t->scopes)) != 0 ||
	    (rc = api_in_int(c, "expires_in", 1, TOKEN_MAX_S, &seconds)) ||
	    (rc = api_in_string(c, "name", &name)) != 0)
		return rc;
	if (name != NULL && strlen(name) > NAME_MAX_) {
		api_problem(c, "bad-value", "name is too long");
		return API_REPLIED;
	}
	t->name = name != NULL ? name : "";
	t->created_s = clock_wall_s();
	t->expires_s = t->created_s + seconds;
	return 0;
}

/* --- signing in --- */

static void
set_cookie(struct api_call *c, const char *text, int64_t max_age_s)
{
	char value[256];

	/* Behind another server that does TLS for us we cannot tell: Secure
	 * would lose the cookie over HTTP. */
	snprintf(value, sizeof(value),
	    "pneu=%s; Path=" API_ROOT "; HttpOnly; SameSite=Strict; "
	    "Max-Age=%lld%s",
	    text, (long long)max_age_s, c->is_tls ? "; Secure" : "");
	http_reply_field(c->x, "Set-Cookie", slice_str(value));
}

/* The one check of a password that all protocols use: counts and delays. */
static int
authenticate(struct api_call *c, const char *user, const char *password,
    struct api_token *t)
{
	char peer[64];
	int rc;

	/* Before the check: what is changed while it runs ends the token. */
	rc = api_token_passwords(c->env, c->a, user, t->passwords);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	net_addr_prefix(conn_peer(c->x->c), peer);
	rc = accounts_authenticate_key(c->env->accounts, c->a, slice_str(user),
	    slice_str(password), ACCOUNTS_API, peer, &t->account, &t->key);
	if (rc != -EACCES)
		return rc;
	api_problem(c, "bad-credentials", NULL);
	return API_REPLIED;
}

static int
reply_signed_in(struct api_call *c, const struct api_token *t, const char *text,
    bool cookie)
{
	char csrf[API_TOKEN_LEN + 1];
	json_t *j = token_json(t);

	if (cookie) {
		set_cookie(c, text, t->expires_s - t->created_s);
		api_token_csrf(slice_str(text), csrf);
		json_object_set_new(j, "csrf", json_string(csrf));
	} else {
		json_object_set_new(j, "token", json_string(text));
		json_object_set_new(j, "token_type", json_string("Bearer"));
	}
	return api_json(c, 201, j);
}

/* What only admins have, others do not get. */
static int
leave_out_admin(struct api_call *c, struct api_token *t)
{
	struct accounts_account who;
	int rc;

	if ((t->scopes & API_ADMIN) == 0)
		return 0;
	rc = accounts_account_get(
	    c->env->accounts, c->a, slice_str(t->account), &who);
	if (rc != 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	if (!who.admin)
		t->scopes &= ~(unsigned)API_ADMIN;
	if (t->scopes != 0)
		return 0;
	api_problem(c, "bad-scope", "More than this account has");
	return API_REPLIED;
}

int
api_session_post(struct api_call *c)
{
	struct api_token t = { .session = true };
	char text[API_TOKEN_LEN + 1], peer[128];
	const char *user, *password;
	bool cookie = false;
	int rc;

	if (!c->is_private)
		return api_problem(c, "not-private", NULL);
	if ((rc = api_in_string(c, "address", &user)) != 0 ||
	    (rc = api_in_string(c, "password", &password)) != 0 ||
	    (rc = api_in_bool(c, "cookie", &cookie)) != 0 ||
	    (rc = token_in(c, &t, API_SCOPES_ALL, c->env->session_s)) != 0)
		return rc;
	if (user == NULL || password == NULL)
		return api_problem(
		    c, "bad-value", "address and password are needed");
	if ((rc = authenticate(c, user, password, &t)) != 0)
		return rc == -ENOENT ? -EIO : rc;
	net_addr_text(conn_peer(c->x->c), peer);
	log_info("login", "account=%s mechanism=API peer=%s tls=%s",
	    log_qs(t.account), peer, conn_tls_version(c->x->c));
	if ((rc = leave_out_admin(c, &t)) == 0)
		rc = api_token_new(c->env, c->a, &t, text);
	seal_key_unref(&t.key);
	if (rc != 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	return reply_signed_in(c, &t, text, cookie);
}

int
api_session_get(struct api_call *c)
{
	struct accounts_account who;
	char csrf[API_TOKEN_LEN + 1];
	json_t *j;
	int rc;

	rc = accounts_account_get(
	    c->env->accounts, c->a, slice_str(c->account), &who);
	if (rc != 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	j = token_json(&c->token);
	json_object_set_new(j, "display_name", api_text(slice_str(who.name)));
	json_object_set_new(j, "admin", json_boolean(who.admin));
	if (c->by_cookie) {
		api_token_csrf(c->token_text, csrf);
		json_object_set_new(j, "csrf", json_string(csrf));
	}
	return api_json(c, 200, j);
}

int
api_session_delete(struct api_call *c)
{
	int rc = api_token_remove(c->env, c->account, slice_str(c->token.id));

	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (c->by_cookie)
		set_cookie(c, "", 0);
	return api_no_content(c);
}

/* --- tokens --- */

int
api_tokens_get(struct api_call *c)
{
	struct api_token *list;
	json_t *items;
	size_t n;
	int rc = api_token_list(c->env, c->a, c->account, &list, &n);

	if (rc != 0)
		return rc;
	items = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(items, token_json(&list[i]));
	return api_json(c, 200, json_pack("{s:o}", "tokens", items));
}

int
api_tokens_post(struct api_call *c)
{
	struct api_token t = { .account = c->account, .key = c->token.key };
	char text[API_TOKEN_LEN + 1];
	int rc;

	rc = token_in(c, &t, c->token.scopes, c->env->session_s);
	if (rc != 0)
		return rc;
	memcpy(t.passwords, c->token.passwords, sizeof(t.passwords));
	if ((rc = api_token_new(c->env, c->a, &t, text)) != 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	return reply_signed_in(c, &t, text, false);
}

int
api_tokens_delete(struct api_call *c)
{
	int rc = api_token_remove(c->env, c->account, c->param[0]);

	if (rc == -ENOENT)
		return api_problem(c, "no-such-token", NULL);
	return rc != 0 ? rc : api_no_content(c);
}
