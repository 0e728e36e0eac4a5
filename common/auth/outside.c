/* SPDX-License-Identifier: ISC */
/*
 * Partition "o": a row "a/ADDRESS" for each outside account, and the generation
 * "g" of accounts_change.
 */
#include "common/auth/outside.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/auth/accounts_change.h"
#include "common/auth/outside_key.h"
#include "common/auth/secret.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"

#define TEXT_MAX 255
#define OAUTH_TEXT_MAX 1000 /* scopes are long */

const char *const outside_protocols[] = { "pop3", "imap", "gmail" };
const char *const outside_label_words[] = { "keywords", "folders" };
const char *const outside_securities[] = { "tls", "starttls", "none" };
const char *const outside_sign_ins[] = { "password", "oauth" };

/* What each kind of secret is sealed for: none can stand for another. */
#define FOR_PASSWORD SLICE_LIT("outside")
#define FOR_TOKEN SLICE_LIT("outside token")
#define FOR_CLIENT SLICE_LIT("outside client")
const char *const outside_syncs[] = { "follow", "mirror", "apart" };

static struct slice
key_of(struct arena *arena, struct slice address)
{
	return accounts_key(arena, "a/", address);
}

/* --- from JSON --- */

static const char *
text(struct arena *arena, const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);

	return arena_strdup(arena,
	    slice(json_string_value(v) != NULL ? json_string_value(v) : "",
		json_string_length(v)));
}

static int64_t
number(const json_t *o, const char *name, int64_t otherwise)
{
	const json_t *v = json_object_get(o, name);

	return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

/* Index of the word; -1: it is none of them. */
static int
word(const json_t *o, const char *name, const char *const *words, int n)
{
	const char *v = json_string_value(json_object_get(o, name));

	for (int i = 0; v != NULL && i < n; i++)
		if (strcmp(v, words[i]) == 0)
			return i;
	return -1;
}

static int
decode_sealed(
    struct arena *arena, const json_t *o, const char *name, struct slice *out)
{
	const json_t *v = json_object_get(o, name);
	struct buf b = BUF_INIT_MAX(OUTSIDE_SECRET_MAX + SECRET_OVERHEAD);
	int rc = 0;

	*out = SLICE_EMPTY;
	if (v == NULL)
		return 0;
	if (!json_is_string(v) ||
	    base64_decode(
		&b, slice(json_string_value(v), json_string_length(v))) != 0)
		rc = -EIO;
	else if ((*out = arena_dup(arena, buf_slice(&b))).p == NULL)
		rc = -ENOMEM;
	buf_clear(&b);
	return rc;
}

static int
decode_folders(struct arena *arena, const json_t *o, struct outside *out)
{
	const json_t *v = json_object_get(o, "folders");
	size_t n = json_array_size(v);
	const char **list;

	if (n == 0)
		return 0;
	if (n > OUTSIDE_FOLDERS_MAX)
		return -EIO;
	if ((list = arena_array(arena, n, sizeof(*list))) == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *s = json_array_get(v, i);

		if (!json_is_string(s))
			return -EIO;
		list[i] = arena_strdup(
		    arena, slice(json_string_value(s), json_string_length(s)));
		if (list[i] == NULL)
			return -ENOMEM;
	}
	out->folders = list;
	out->n_folders = n;
	return 0;
}

static int
decode_smtp(struct arena *arena, const json_t *o, struct outside_server *out)
{
	int security =
	    word(o, "smtp_security", outside_securities, OUTSIDE_SECURITIES);
	int64_t port = number(o, "smtp_port", 0);

	*out = (struct outside_server){ .host = text(arena, o, "smtp_host") };
	if (out->host == NULL)
		return -ENOMEM;
	if (*out->host == '\0')
		return 0;
	if (security < 0 || port < 1 || port > UINT16_MAX)
		return -EIO;
	out->port = (uint16_t)port;
	out->security = (enum outside_security)security;
	return 0;
}

static int
decode_oauth(struct arena *arena, const json_t *o, struct outside *out)
{
	const json_t *j = json_object_get(o, "oauth");
	struct outside_oauth *v = &out->oauth;

	/* Records of before know passwords only. */
	out->sign_in = json_is_object(j) ? OUTSIDE_OAUTH : OUTSIDE_PASSWORD;
	*v = (struct outside_oauth){ .provider = text(arena, j, "provider"),
		.client = text(arena, j, "client"),
		.scope = text(arena, j, "scope"),
		.auth_url = text(arena, j, "auth_url"),
		.token_url = text(arena, j, "token_url"),
		.device_url = text(arena, j, "device_url") };
	if (v->provider == NULL || v->client == NULL || v->scope == NULL ||
	    v->auth_url == NULL || v->token_url == NULL ||
	    v->device_url == NULL)
		return -ENOMEM;
	return decode_sealed(arena, j, "sealed", &v->sealed);
}

static int
decode_fields(struct arena *arena, const json_t *o, struct outside *out)
{
	int protocol =
	    word(o, "protocol", outside_protocols, OUTSIDE_PROTOCOLS);
	int security =
	    word(o, "security", outside_securities, OUTSIDE_SECURITIES);
	int64_t port = number(o, "port", 0);
	int sync = word(o, "sync", outside_syncs, OUTSIDE_SYNCS);

	if (protocol < 0 || security < 0 || port < 1 || port > UINT16_MAX)
		return -EIO;
	*out = (struct outside){ .account = text(arena, o, "account"),
		.protocol = (enum outside_protocol)protocol,
		.server = { text(arena, o, "host"), (uint16_t)port,
		    (enum outside_security)security },
		.user = text(arena, o, "user"),
		.into = text(arena, o, "into"),
		.interval_s = number(o, "interval", 0),
		.labels = word(o, "labels", outside_label_words,
			      OUTSIDE_LABELS) == OUTSIDE_LABELS_FOLDERS
		    ? OUTSIDE_LABELS_FOLDERS
		    : OUTSIDE_LABELS_KEYWORDS,
		.delete_days = number(o, "delete_days", -1),
		/* Records of before, too. */
		.sync = sync < 0 ? OUTSIDE_FOLLOW : (enum outside_sync)sync,
		.paused = json_is_true(json_object_get(o, "paused")),
		.created_s = number(o, "created", 0),
		.id = text(arena, o, "id") };
	if (out->id == NULL || out->account == NULL ||
	    out->server.host == NULL || out->user == NULL || out->into == NULL)
		return -ENOMEM;
	return 0;
}

int
outside_decode(struct arena *arena, struct slice address, struct slice row,
    struct outside *out)
{
	json_t *o = record_load(row);
	int rc = o == NULL ? -EIO : decode_fields(arena, o, out);

	if (rc == 0)
		rc = decode_smtp(arena, o, &out->smtp);
	if (rc == 0)
		rc = decode_sealed(arena, o, "sealed", &out->sealed);
	if (rc == 0)
		rc = decode_oauth(arena, o, out);
	if (rc == 0)
		rc = decode_folders(arena, o, out);
	if (rc == 0)
		out->public_only =
		    json_is_true(json_object_get(o, "public_only"));
	if (rc == 0 && (out->address = arena_strdup(arena, address)) == NULL)
		rc = -ENOMEM;
	json_decref(o);
	if (rc == -EIO)
		log_error("record of an outside account is damaged",
		    "address=%s", log_q(address));
	return rc;
}

/* --- to JSON --- */

static json_t *
folders_json(const struct outside *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->n_folders; i++)
		json_array_append_new(list, json_string(o->folders[i]));
	return list;
}

static int
encode_smtp(json_t *j, const struct outside_server *s)
{
	if (s->host == NULL || *s->host == '\0') {
		json_object_del(j, "smtp_host");
		return 0;
	}
	return json_object_set_new(j, "smtp_host", json_string(s->host)) ||
		json_object_set_new(j, "smtp_port", json_integer(s->port)) ||
		json_object_set_new(j, "smtp_security",
		    json_string(outside_securities[s->security]))
	    ? -ENOMEM
	    : 0;
}

static int
encode_oauth(json_t *j, const struct outside *o)
{
	const struct outside_oauth *v = &o->oauth;
	struct buf b64 = BUF_INIT;
	json_t *new;
	int rc;

	if (o->sign_in != OUTSIDE_OAUTH) {
		json_object_del(j, "oauth");
		return 0;
	}
	base64_encode(&b64, v->sealed);
	new = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "provider",
	    v->provider, "client", v->client, "scope", v->scope, "auth_url",
	    v->auth_url, "token_url", v->token_url, "device_url", v->device_url,
	    "sealed", buf_str(&b64));
	if (new != NULL && v->sealed.n == 0)
		json_object_del(new, "sealed");
	rc = new == NULL || json_object_set_new(j, "oauth", new) != 0 ? -ENOMEM
								      : 0;
	buf_clear(&b64);
	return rc;
}

/* `old`: fields of it that we do not know are kept. */
static int
encode(struct slice old, const struct outside *o, struct slice sealed,
    struct buf *out)
{
	struct buf b64 = BUF_INIT;
	json_t *j = old.n > 0 ? record_load(old) : json_object();
	json_t *new;
	char *dump = NULL, id[ID_LEN + 1];
	int rc = 0;

	base64_encode(&b64, sealed);
	new = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:I, s:I, s:s, "
			"s:b, s:I, s:o, s:s}",
	    "account", o->account, "protocol", outside_protocols[o->protocol],
	    "host", o->server.host, "port", (int)o->server.port, "security",
	    outside_securities[o->server.security], "user", o->user, "into",
	    o->into, "interval", (json_int_t)o->interval_s, "delete_days",
	    (json_int_t)o->delete_days, "sync", outside_syncs[o->sync],
	    "paused", o->paused, "created", (json_int_t)o->created_s, "folders",
	    folders_json(o), "sealed", buf_str(&b64));
	if (j == NULL)
		rc = -EIO;
	else if (new == NULL || json_object_update(j, new) != 0)
		rc = -ENOMEM;
	if (rc == 0 && sealed.n == 0)
		json_object_del(j, "sealed");
	if (rc == 0 && old.n == 0) {
		id_new(id);
		rc = json_object_set_new(j, "id", json_string(id)) == 0
		    ? 0
		    : -ENOMEM;
	}
	if (rc == 0 && o->protocol == OUTSIDE_GMAIL &&
	    json_object_set_new(
		j, "labels", json_string(outside_label_words[o->labels])) != 0)
		rc = -ENOMEM;
	if (rc == 0)
		rc = encode_smtp(j, &o->smtp);
	if (rc == 0)
		rc = encode_oauth(j, o);
	if (rc == 0 && o->public_only &&
	    json_object_set_new(j, "public_only", json_true()) != 0)
		rc = -ENOMEM;
	else if (rc == 0 && !o->public_only)
		json_object_del(j, "public_only");
	if (rc == 0 && (dump = json_dumps(j, JSON_COMPACT)) == NULL)
		rc = -ENOMEM;
	if (rc == 0 && strlen(dump) > STORE_VALUE_MAX)
		rc = -E2BIG;
	if (rc == 0 && !buf_put_str(out, dump))
		rc = -ENOMEM;
	free(dump);
	json_decref(new);
	json_decref(j);
	buf_clear(&b64);
	return rc;
}

/* --- reading --- */

int
outside_get(struct accounts *a, struct arena *arena, struct slice address,
    struct outside *out)
{
	struct accounts_name name;
	struct slice row;
	int rc = accounts_name(arena, address, &name);

	if (rc != 0)
		return rc == -EINVAL ? -ENOENT : rc;
	rc = accounts_row(
	    a, arena, SLICE_LIT("o"), key_of(arena, name.address), &row);
	return rc == 0 ? outside_decode(arena, name.address, row, out) : rc;
}

int
outside_sends(struct accounts *a, struct slice account, struct slice local,
    struct slice domain)
{
	struct arena arena = ARENA_INIT_MAX((size_t)1 << 20);
	struct slice l, d;
	struct outside o;
	const char *address;
	int rc = accounts_local(&arena, local, &l);

	if (rc == 0)
		rc = domain_canonical(&arena, domain, &d);
	if (rc == 0 &&
	    (address = arena_printf(
		 &arena, "%.*s@%.*s", (int)l.n, l.p, (int)d.n, d.p)) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = outside_get(a, &arena, slice_str(address), &o);
	if (rc == 0)
		rc = (*o.smtp.host != '\0' || o.protocol == OUTSIDE_GMAIL) &&
		    slice_eq_str(account, o.account);
	arena_reset(&arena);
	return rc == -ENOENT || rc == -EINVAL ? 0 : rc;
}

struct list {
	struct arena *arena;
	struct slice account;
	struct outside *v;
	size_t n, cap;
};

static int
list_room(struct list *l)
{
	size_t cap = l->cap == 0 ? 32 : l->cap * 2;
	struct outside *v;

	if (l->n < l->cap)
		return 0;
	if ((v = arena_array(l->arena, cap, sizeof(*v))) == NULL)
		return -ENOMEM;
	if (l->n > 0)
		memcpy(v, l->v, l->n * sizeof(*v));
	l->v = v;
	l->cap = cap;
	return 0;
}

static int
list_row(void *arg, struct slice key, struct slice val)
{
	struct list *l = arg;
	struct outside o;
	int rc = outside_decode(l->arena, slice_from(key, 2), val, &o);

	if (rc != 0)
		return rc == -EIO ? 0 : rc; /* it costs itself, not the list */
	if (l->account.n > 0 && !slice_eq_str(l->account, o.account))
		return 0;
	if ((rc = list_room(l)) == 0)
		l->v[l->n++] = o;
	return rc;
}

int
outside_list(struct accounts *a, struct arena *arena, struct slice account,
    struct outside **out, size_t *n)
{
	struct list l = { .arena = arena };
	struct accounts_name name;
	int rc = accounts_ready(a);

	if (rc == 0 && account.n > 0) {
		rc = accounts_name(arena, account, &name);
		l.account = name.address;
	}
	if (rc == 0)
		rc = store_scan(a->store, SLICE_LIT("o"), SLICE_LIT("a/"),
		    SLICE_LIT("a0"), 0, list_row, &l);
	*out = l.v;
	*n = l.n;
	return rc == -ENOENT ? 0 : rc;
}

struct each {
	int (*each)(void *arg, struct slice address, struct slice record);
	void *arg;
};

static int
each_row(void *arg, struct slice key, struct slice val)
{
	const struct each *e = arg;

	return e->each(e->arg, slice_from(key, 2), val);
}

int
outside_each(struct accounts *a,
    int (*each)(void *arg, struct slice address, struct slice record),
    void *arg)
{
	struct each e = { each, arg };
	int rc = accounts_ready(a);

	if (rc == 0)
		rc = store_scan(a->store, SLICE_LIT("o"), SLICE_LIT("a/"),
		    SLICE_LIT("a0"), 0, each_row, &e);
	return rc == -ENOENT ? 0 : rc;
}

int
outside_generation(struct accounts *a, uint64_t *out)
{
	struct arena arena = ARENA_INIT_MAX(4096);
	struct slice row;
	int rc = accounts_row(a, &arena, SLICE_LIT("o"), SLICE_LIT("g"), &row);

	*out = 0;
	if (rc == 0 && row.n >= 8)
		*out = get_be64(row.p) | 1;
	arena_reset(&arena);
	return rc == -ENOENT ? 0 : rc;
}

/* --- secrets --- */

static struct slice
purpose_of(const struct outside *o)
{
	return o->sign_in == OUTSIDE_OAUTH ? FOR_TOKEN : FOR_PASSWORD;
}

int
outside_secret(struct accounts *a, const struct outside *o, struct buf *out)
{
	return outside_key_open(
	    a, slice_str(o->address), purpose_of(o), o->sealed, out);
}

int
outside_client_secret(
    struct accounts *a, const struct outside *o, struct buf *out)
{
	return outside_key_open(
	    a, slice_str(o->address), FOR_CLIENT, o->oauth.sealed, out);
}

int
outside_token_open(struct accounts *a, const struct outside *o,
    struct slice sealed, struct buf *out)
{
	return outside_key_open(
	    a, slice_str(o->address), FOR_TOKEN, sealed, out);
}

int
outside_token_seal(struct accounts *a, struct arena *arena,
    const struct outside *o, struct slice token, struct slice *out,
    struct buf *err)
{
	return outside_key_seal(
	    a, arena, slice_str(o->address), FOR_TOKEN, token, out, err);
}

int
outside_seal_client(struct accounts *a, struct arena *arena, struct outside *o,
    struct slice secret, struct buf *err)
{
	struct accounts_name name;
	int rc;

	o->oauth.sealed = SLICE_EMPTY;
	if (secret.n == 0)
		return 0;
	rc = check_address(arena, slice_str(o->address), &name, err);
	return rc != 0 ? rc
		       : outside_key_seal(a, arena, name.address, FOR_CLIENT,
			     secret, &o->oauth.sealed, err);
}

/* --- writing --- */

struct put {
	const struct outside *o;
	bool add;
	struct slice secret;
};

static bool
is_host(const char *host)
{
	for (const char *p = host; *p != '\0'; p++)
		if (!ascii_is_alpha(*p) && !ascii_is_digit(*p) &&
		    strchr("-._:", *p) == NULL)
			return false;
	return *host != '\0';
}

static int
check(struct change *c, const struct outside *o)
{
	int rc;

	if (!is_host(o->server.host) || o->server.port == 0)
		return change_fail(
		    c, -EINVAL, "the server is a host's name and a port");
	if (o->protocol == OUTSIDE_GMAIL &&
	    (o->sign_in != OUTSIDE_OAUTH || o->server.security != OUTSIDE_TLS))
		return change_fail(
		    c, -EINVAL, "gmail signs in by OAuth, over TLS");
	if (o->protocol == OUTSIDE_GMAIL && o->n_folders > 0)
		return change_fail(c, -EINVAL,
		    "gmail has labels: folders to be fetched are of imap");
	if (o->protocol == OUTSIDE_GMAIL && o->delete_days >= 0)
		return change_fail(
		    c, -EINVAL, "deleting there is for pop3 and imap");
	if ((rc = check_text(
		 "host", slice_str(o->server.host), TEXT_MAX, c->err)) != 0 ||
	    (rc = check_text("user", slice_str(o->user), TEXT_MAX, c->err)) !=
		0 ||
	    (rc = check_text("into", slice_str(o->into), TEXT_MAX, c->err)) !=
		0)
		return rc;
	if (o->n_folders > OUTSIDE_FOLDERS_MAX)
		return change_fail(
		    c, -EINVAL, "at most %d folders", OUTSIDE_FOLDERS_MAX);
	for (size_t i = 0; i < o->n_folders && rc == 0; i++)
		rc = check_text(
		    "folder", slice_str(o->folders[i]), TEXT_MAX, c->err);
	return rc;
}

/* What is asked for tokens, and told the client's secret: nobody else sees it. */
static bool
is_https(const char *url)
{
	return *url == '\0' || strncmp(url, "https://", 8) == 0;
}

static int
check_oauth(struct change *c, const struct outside_oauth *v)
{
	const char *const texts[] = { v->provider, v->client, v->scope,
		v->auth_url, v->token_url, v->device_url };
	int rc = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		rc = check_text(
		    "oauth", slice_str(texts[i]), OAUTH_TEXT_MAX, c->err);
		if (rc != 0)
			return rc;
		if (i >= 3 && !is_https(texts[i]))
			return change_fail(
			    c, -EINVAL, "%s: only https:", texts[i]);
	}
	return 0;
}

/* Names in canonical form, and the account is one of ours. */
static int
names(struct change *c, const struct outside *o, struct accounts_name *address,
    struct accounts_account *account)
{
	int rc =
	    check_address(&c->arena, slice_str(o->address), address, c->err);

	if (rc != 0)
		return rc;
	rc = accounts_account_get(
	    c->a, &c->arena, slice_str(o->account), account);
	if (rc == -ENOENT)
		change_fail(c, rc, "no account %s", o->account);
	return rc;
}

/* What was sealed for another way to sign in is of no use. */
static int
other_way(struct change *c, struct slice address, struct slice row,
    const struct outside *o, struct slice *sealed)
{
	struct outside old;
	int rc = row.n == 0 ? 0 : outside_decode(&c->arena, address, row, &old);

	if (row.n > 0 && rc == 0 && old.sign_in != o->sign_in)
		*sealed = SLICE_EMPTY;
	return rc;
}

static int
put_fill(struct change *c, const void *arg)
{
	const struct put *p = arg;
	struct outside o = *p->o, old;
	struct accounts_name address;
	struct accounts_account account;
	struct slice row = SLICE_EMPTY, sealed = o.sealed, key;
	struct buf json = BUF_INIT;
	int rc = names(c, &o, &address, &account);

	if (rc == 0)
		rc = check(c, &o);
	if (rc == 0 && o.sign_in == OUTSIDE_OAUTH)
		rc = check_oauth(c, &o.oauth);
	if (rc != 0)
		return rc;
	key = key_of(&c->arena, address.address);
	rc = accounts_row(c->a, &c->arena, c->part, key, &row);
	if (rc == 0 && p->add) {
		rc = outside_decode(&c->arena, address.address, row, &old);
		return change_fail(c, -EEXIST, "%s is there already, for %s",
		    p->o->address, rc == 0 ? old.account : "nobody");
	}
	if (rc == -ENOENT && !p->add)
		return change_fail(
		    c, -ENOENT, "no outside account %s", p->o->address);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	o.account = account.address;
	if (o.protocol == OUTSIDE_POP3)
		o.sync = OUTSIDE_FOLLOW; /* it has nothing to be followed */
	if (o.created_s == 0)
		o.created_s = clock_wall_s();
	if (p->secret.p != NULL)
		rc = outside_key_seal(c->a, &c->arena, address.address,
		    purpose_of(&o), p->secret, &sealed, c->err);
	else
		rc = other_way(c, address.address, row, &o, &sealed);
	if (rc != 0)
		return rc;
	return change_put(c, key, encode(row, &o, sealed, &json), &json);
}

int
outside_put(struct accounts *a, const struct outside *o, bool add,
    struct slice secret, struct buf *err)
{
	struct put p = { o, add, secret };

	if (secret.p != NULL && secret.n > OUTSIDE_SECRET_MAX) {
		buf_printf(err, "longer than %zu octets", OUTSIDE_SECRET_MAX);
		return -EINVAL;
	}
	return accounts_change(a, SLICE_EMPTY, put_fill, &p, err);
}

static int
remove_fill(struct change *c, const void *arg)
{
	const struct slice *address = arg;
	struct accounts_name name;
	struct slice row, key;
	int rc = check_address(&c->arena, *address, &name, c->err);

	if (rc != 0)
		return rc;
	key = key_of(&c->arena, name.address);
	rc = accounts_row(c->a, &c->arena, c->part, key, &row);
	if (rc == -ENOENT)
		return change_fail(c, rc, "no outside account %.*s",
		    (int)name.address.n, name.address.p);
	if (rc == 0)
		store_del(c->b, key);
	return rc;
}

int
outside_remove(struct accounts *a, struct slice address, struct buf *err)
{
	int rc = outside_push_forget(a, address, err);

	return rc != 0
	    ? rc
	    : accounts_change(a, SLICE_EMPTY, remove_fill, &address, err);
}

int
outside_remove_all(struct accounts *a, struct slice account, struct buf *err)
{
	struct arena arena = ARENA_INIT_MAX((size_t)64 << 20);
	struct outside *v = NULL;
	size_t n = 0;
	int rc = outside_list(a, &arena, account, &v, &n);

	if (rc == -ENOENT || rc == -EAGAIN) /* no such account; no database */
		rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = outside_remove(a, slice_str(v[i].address), err);
		if (rc == -ENOENT)
			rc = 0;
	}
	arena_reset(&arena);
	return rc;
}
