/* SPDX-License-Identifier: ISC */
/* /account: what people may change of their own account, and their passwords. */
#include <errno.h>
#include <openssl/crypto.h>

#include "common/auth/password.h"
#include "common/auth/seal.h"
#include "common/auth/seal_key.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/directory.h"

#define NAME_OCTETS 200
#define MAIN_PASSWORD "password"
#define PASSWORD_MIN 8

static int
get(struct manage_call *c, struct accounts_account *v)
{
	return manage_errno(c,
	    accounts_account_get(
		c->env->accounts, c->a, slice_str(c->account), v),
	    "no-such-account");
}

static int
reply(struct manage_call *c, const struct accounts_account *v)
{
	struct accounts_sealing s = { 0 };
	json_t *j = account_json(v);

	/* What the settings make of "default". */
	if (accounts_sealing_get(c->env->accounts, slice_str(v->address), &s) ==
	    0)
		json_object_set_new(j, "encryption_now",
		    json_string(account_encryptions[s.how]));
	return manage_json(c, 200, j);
}

int
own_get(struct manage_call *c)
{
	struct accounts_account v;
	int rc = get(c, &v);

	return rc != 0 ? rc : reply(c, &v);
}

struct own {
	const char *name;     /* NULL: as it is */
	const bool *reply_as; /* NULL: as it is */
};

static int
change_own(void *arg, struct arena *arena, struct accounts_account *r,
    struct buf *err)
{
	const struct own *own = arg;

	(void)arena, (void)err;
	if (own->name != NULL)
		r->name = own->name;
	if (own->reply_as != NULL)
		r->reply_as = *own->reply_as;
	return 0;
}

int
own_patch(struct manage_call *c)
{
	static const char *const names[] = { "name", "reply_as", NULL };
	struct own own;
	bool reply_as;
	int rc;

	manage_only(c, names);
	own.name = manage_str(c, "name", NAME_OCTETS);
	own.reply_as = manage_bool(c, "reply_as", &reply_as) ? &reply_as : NULL;
	if (c->failed)
		return MANAGE_REPLIED;
	rc = manage_errno(c,
	    accounts_account_change(c->env->accounts, slice_str(c->account),
		change_own, &own, &c->err),
	    "no-such-account");
	return rc != 0 ? rc : own_get(c);
}

/* --- passwords --- */

static const char *
new_password(
    struct manage_call *c, char made[static PASSWORD_GENERATED_LEN + 1])
{
	const char *given = manage_str(c, "password", ACCOUNTS_PASSWORD_MAX);

	if (given == NULL) {
		password_generate(made);
		return made;
	}
	if (strlen(given) >= PASSWORD_MIN || c->failed)
		return given;
	c->failed = true;
	manage_problem(c, "bad-value", "password has at least 8 octets");
	return given;
}

static int
change(struct manage_call *c, const char *current,
    struct accounts_password_change *ch)
{
	struct seal_key *key = NULL;
	int rc = manage_check_password(c, current, &key);

	if (rc == 0) {
		ch->key = key;
		rc = manage_errno(c,
		    accounts_password_change(
			c->env->accounts, slice_str(c->account), ch, &c->err),
		    "no-such-account");
	}
	if (rc == 0)
		log_info("password set", "account=%s name=\"%s\"",
		    log_qs(c->account), log_qs(ch->name));
	seal_key_unref(&key);
	return rc;
}

int
own_password_post(struct manage_call *c)
{
	static const char *const names[] = { "current", "password", NULL };
	struct accounts_password_change ch = { .name = MAIN_PASSWORD };
	const char *current, *password;
	int rc;

	manage_only(c, names);
	current = manage_need(c, "current", ACCOUNTS_PASSWORD_MAX);
	password = manage_need(c, "password", ACCOUNTS_PASSWORD_MAX);
	if (!c->failed && strlen(password) < PASSWORD_MIN) {
		c->failed = true;
		manage_problem(
		    c, "bad-value", "password has at least 8 octets");
	}
	if (c->failed)
		return MANAGE_REPLIED;
	ch.password = slice_str(password);
	rc = change(c, current, &ch);
	return rc != 0 ? rc : manage_no_content(c);
}

int
own_passwords_get(struct manage_call *c)
{
	struct accounts_credential *v = NULL;
	json_t *list;
	size_t n = 0;
	int rc = manage_errno(c,
	    accounts_credential_list(
		c->env->accounts, c->a, slice_str(c->account), &v, &n),
	    "no-such-account");

	if (rc != 0)
		return rc;
	list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list,
		    json_pack("{s:s, s:o, s:o, s:o, s:b, s:b}", "name",
			v[i].name, "scopes", password_scopes_json(v[i].scopes),
			"created", json_time(v[i].created_s), "used",
			json_time(v[i].used_s), "opens_sealed", v[i].opens,
			"main", strcmp(v[i].name, MAIN_PASSWORD) == 0));
	return manage_json(c, 200, json_pack("{s:o}", "passwords", list));
}

static unsigned
scopes_in(struct manage_call *c)
{
	const char *const *words;
	unsigned set = 0;
	size_t n;

	if (!manage_strs(c, "scopes", 8, &words, &n))
		return 0;
	for (size_t i = 0; i < n; i++) {
		unsigned scope = password_scope(slice_str(words[i]));

		if (scope == 0 && !c->failed) {
			c->failed = true;
			manage_problem(c, "bad-value",
			    "scopes are imap, pop3, submission and api");
		}
		set |= scope;
	}
	return set;
}

static bool
has_password(struct manage_call *c, const char *name)
{
	struct accounts_credential *v = NULL;
	size_t n = 0;

	if (accounts_credential_list(
		c->env->accounts, c->a, slice_str(c->account), &v, &n) != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return true;
	return false;
}

int
own_passwords_post(struct manage_call *c)
{
	static const char *const names[] = { "current", "name", "scopes",
		"password", NULL };
	struct accounts_password_change ch = { 0 };
	char made[PASSWORD_GENERATED_LEN + 1] = "";
	const char *current, *password;
	json_t *j;
	int rc;

	manage_only(c, names);
	current = manage_need(c, "current", ACCOUNTS_PASSWORD_MAX);
	ch.name = manage_need(c, "name", 64);
	ch.scopes = scopes_in(c);
	password = new_password(c, made);
	if (c->failed)
		return MANAGE_REPLIED;
	if (has_password(c, ch.name))
		return manage_problem(c, "exists", NULL);
	ch.password = slice_str(password);
	if ((rc = change(c, current, &ch)) == 0) {
		j = json_pack("{s:s, s:o}", "name", ch.name, "scopes",
		    password_scopes_json(ch.scopes));
		if (*made != '\0')
			json_object_set_new(j, "password", json_string(made));
		rc = manage_json(c, 201, j);
	}
	OPENSSL_cleanse(made, sizeof(made));
	return rc;
}

int
own_passwords_delete(struct manage_call *c)
{
	const char *name = manage_param(c, 0);
	int rc;

	/* Nobody shall lock himself out by one request. */
	if (strcmp(name, MAIN_PASSWORD) == 0)
		return manage_problem(
		    c, "not-allowed", "The main password can only be changed");
	rc = accounts_credential_remove(
	    c->env->accounts, slice_str(c->account), name, &c->err);
	if (rc == 0)
		return manage_no_content(c);
	return manage_errno(c, rc, "no-such-password");
}
