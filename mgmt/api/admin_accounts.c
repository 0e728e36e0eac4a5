/* SPDX-License-Identifier: ISC */
/* /admin/accounts: all accounts of all domains. */
#include <errno.h>
#include <openssl/crypto.h>

#include "common/auth/outside.h"
#include "common/auth/password.h"
#include "common/base/log.h"
#include "mgmt/api/manage_impl.h"
#include "mgmt/directory.h"

#define NAME_OCTETS 200
#define TEXT_MAX 255
#define PAGE 200
#define PAGE_MAX 1000

static int
get(struct manage_call *c, struct accounts_account *v)
{
	int rc = accounts_account_get(c->env->accounts, c->a, c->param[0], v);

	return manage_errno(c, rc == -EINVAL ? -ENOENT : rc, "no-such-account");
}

/* A page of a sorted list: the first place behind `after`, and how many. */
static int
page_of(struct manage_call *c, struct slice *after, uint64_t *limit)
{
	struct slice v = SLICE_EMPTY;

	*limit = PAGE;
	*after = SLICE_EMPTY;
	if (!http_head_query(&c->x->head, "limit", &v) ||
	    !http_head_query(&c->x->head, "cursor", after) ||
	    (v.p != NULL &&
		(slice_u64(v, PAGE_MAX, limit) != 0 || *limit == 0)))
		return manage_problem(c, "bad-value", "limit is 1 to 1000");
	return 0;
}

static bool
contains(const char *text, struct slice what)
{
	struct slice s = slice_str(text);

	for (size_t i = 0; what.n > 0 && i + what.n <= s.n; i++)
		if (slice_eq_nocase(slice(s.p + i, what.n), what))
			return true;
	return what.n == 0;
}

static bool
is_behind(const char *name, struct slice after)
{
	struct slice s = slice_str(name);
	size_t n = s.n < after.n ? s.n : after.n;
	int diff = n == 0 ? 0 : memcmp(s.p, after.p, n);

	return after.n == 0 || diff > 0 || (diff == 0 && s.n > after.n);
}

int
admin_accounts_get(struct manage_call *c)
{
	struct slice domain = SLICE_EMPTY, q = SLICE_EMPTY, after;
	struct accounts_account *v = NULL;
	const char *next = NULL;
	json_t *list;
	uint64_t limit, got = 0;
	size_t n = 0;
	int rc = page_of(c, &after, &limit);

	if (rc != 0)
		return rc;
	if (!http_head_query(&c->x->head, "domain", &domain) ||
	    !http_head_query(&c->x->head, "q", &q))
		return manage_problem(c, "bad-value", NULL);
	rc = manage_errno(c,
	    accounts_account_list(c->env->accounts, c->a,
		domain.p != NULL ? domain : SLICE_EMPTY, &v, &n),
	    "no-such-domain");
	if (rc != 0)
		return rc;
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		if (!is_behind(v[i].address, after) ||
		    !(contains(v[i].address, q) || contains(v[i].name, q)))
			continue;
		if (got == limit) {
			next = v[i - 1].address;
			break;
		}
		json_array_append_new(list, account_json(&v[i]));
		got++;
	}
	return manage_json(
	    c, 200, json_pack("{s:o, s:s?}", "accounts", list, "next", next));
}

static int
reply(struct manage_call *c, int status, const struct accounts_account *v)
{
	struct accounts_credential *w = NULL;
	struct outside *o = NULL;
	json_t *passwords = json_array(), *j = account_json(v);
	size_t n = 0, n_outside = 0;

	(void)accounts_credential_list(
	    c->env->accounts, c->a, slice_str(v->address), &w, &n);
	(void)outside_list(
	    c->env->accounts, c->a, slice_str(v->address), &o, &n_outside);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(passwords, json_string(w[i].name));
	json_object_set_new(j, "passwords", passwords);
	json_object_set_new(j, "outside", json_integer((json_int_t)n_outside));
	return manage_json(c, status, j);
}

int
admin_account_get(struct manage_call *c)
{
	struct accounts_account v;
	int rc = get(c, &v);

	return rc != 0 ? rc : reply(c, 200, &v);
}

#define SETTINGS                                                               \
	"name", "disabled", "admin", "quota_octets", "quota_messages",         \
	    "reply_as", "encryption", "send_as", "limits", NULL

/* null: as the settings say; false: none. */
static void
limits_in(struct manage_call *c, struct accounts_account *v)
{
	json_t *j = json_object_get(c->in, "limits"), *item;
	const char *key;

	if (j == NULL || c->failed)
		return;
	json_object_foreach(j, key, item)
	{
		size_t i = 0;

		while (i < SENT_LIMITS && strcmp(sent_limit_names[i].key, key))
			i++;
		if (i == SENT_LIMITS ||
		    !(json_is_null(item) || json_is_false(item) ||
			(json_is_integer(item) &&
			    json_integer_value(item) > 0 &&
			    json_integer_value(item) <= SENT_LIMIT_MAX))) {
			c->failed = true;
			manage_problem(c, "bad-value", "limits");
			return;
		}
		v->sent_limits[i] = json_is_null(item) ? 0
		    : json_is_false(item)              ? SENT_UNLIMITED
					  : (uint32_t)json_integer_value(item);
	}
}

static void
body_in(struct manage_call *c, struct accounts_account *v)
{
	static const int64_t none = 0;
	int64_t octets = (int64_t)v->quota_octets;
	int64_t messages = (int64_t)v->quota_messages;
	int how = (int)v->encryption;
	const char *s;

	if ((s = manage_str(c, "name", NAME_OCTETS)) != NULL)
		v->name = s;
	manage_bool(c, "disabled", &v->disabled);
	manage_bool(c, "admin", &v->admin);
	manage_bool(c, "reply_as", &v->reply_as);
	manage_int(c, "quota_octets", 0, INT64_MAX, &none, &octets);
	manage_int(c, "quota_messages", 0, INT64_MAX, &none, &messages);
	manage_word(
	    c, "encryption", account_encryptions, ACCOUNT_ENCRYPTIONS, &how);
	manage_strs(
	    c, "send_as", ACCOUNTS_TARGETS_MAX, &v->send_as, &v->n_send_as);
	limits_in(c, v);
	v->quota_octets = (uint64_t)octets;
	v->quota_messages = (uint64_t)messages;
	v->encryption = (enum accounts_encryption)how;
}

static int
set_password(
    struct manage_call *c, const char *address, const char *password, bool lose)
{
	struct accounts_password_change ch = { .name = "password",
		.password = slice_str(password),
		.lose_sealed = lose };

	if (!c->is_private)
		return manage_problem(c, "not-private", NULL);
	return manage_errno(c,
	    accounts_password_change(
		c->env->accounts, slice_str(address), &ch, &c->err),
	    "no-such-account");
}

int
admin_accounts_post(struct manage_call *c)
{
	static const char *const names[] = { "address", "password", SETTINGS };
	struct accounts_account v = { .name = "" };
	const char *password;
	int rc;

	manage_only(c, names);
	v.address = manage_need(c, "address", TEXT_MAX);
	password = manage_str(c, "password", ACCOUNTS_PASSWORD_MAX);
	body_in(c, &v);
	if (c->failed)
		return MANAGE_REPLIED;
	if (password != NULL && !c->is_private)
		return manage_problem(c, "not-private", NULL);
	rc = manage_errno(c,
	    accounts_account_put(c->env->accounts, &v, true, &c->err),
	    "no-such-domain");
	if (rc == 0 && password != NULL)
		rc = set_password(c, v.address, password, false);
	if (rc == 0)
		rc = manage_errno(c,
		    accounts_account_get(
			c->env->accounts, c->a, slice_str(v.address), &v),
		    "no-such-account");
	return rc != 0 ? rc : reply(c, 201, &v);
}

/* An admin who takes that from himself could not give it back. */
static bool
is_own(const struct manage_call *c, const struct accounts_account *v)
{
	return strcmp(v->address, c->account) == 0;
}

int
admin_account_patch(struct manage_call *c)
{
	static const char *const names[] = { SETTINGS };
	struct accounts_account v;
	int rc = get(c, &v);

	if (rc != 0)
		return rc;
	manage_only(c, names);
	body_in(c, &v);
	if (c->failed)
		return MANAGE_REPLIED;
	if (is_own(c, &v) && (!v.admin || v.disabled))
		return manage_problem(
		    c, "not-allowed", "An admin cannot end his own rights");
	rc = manage_errno(c,
	    accounts_account_put(c->env->accounts, &v, false, &c->err),
	    "no-such-account");
	return rc != 0 ? rc : admin_account_get(c);
}

int
admin_account_delete(struct manage_call *c)
{
	struct accounts_account v;
	int rc = get(c, &v);

	if (rc != 0)
		return rc;
	if (is_own(c, &v))
		return manage_problem(
		    c, "not-allowed", "An admin cannot remove himself");
	rc = manage_errno(c,
	    accounts_account_remove(
		c->env->accounts, slice_str(v.address), &c->err),
	    "no-such-account");
	return rc != 0 ? rc : manage_no_content(c);
}

int
admin_account_password(struct manage_call *c)
{
	static const char *const names[] = { "password", "lose_sealed_mail",
		NULL };
	char made[PASSWORD_GENERATED_LEN + 1] = "";
	struct accounts_account v;
	const char *password;
	bool lose = false;
	json_t *j;
	int rc = get(c, &v);

	if (rc != 0)
		return rc;
	manage_only(c, names);
	password = manage_str(c, "password", ACCOUNTS_PASSWORD_MAX);
	manage_bool(c, "lose_sealed_mail", &lose);
	if (c->failed)
		return MANAGE_REPLIED;
	if (password == NULL) {
		password_generate(made);
		password = made;
	}
	if ((rc = set_password(c, v.address, password, lose)) == 0) {
		log_info("password set", "account=%s by=%s", log_qs(v.address),
		    log_qs(c->account));
		j = json_pack("{s:s}", "address", v.address);
		if (*made != '\0')
			json_object_set_new(j, "password", json_string(made));
		rc = manage_json(c, 200, j);
	}
	OPENSSL_cleanse(made, sizeof(made));
	return rc;
}
