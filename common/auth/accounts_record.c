/* SPDX-License-Identifier: ISC */
/*
 * Records as JSON and back. Readers are tolerant of fields that they do not
 * know, and writers keep them; a field of the wrong type is a damaged record.
 */
#include "common/auth/accounts_impl.h"
#include "common/auth/secret.h"

#include <jansson.h>
#include <stdlib.h>

#include "common/base/json_text.h"
#include "common/mail/transfer.h"

const struct accounts_scope_name accounts_scope_names[] = {
	{ "imap", ACCOUNTS_IMAP },
	{ "pop3", ACCOUNTS_POP3 },
	{ "submission", ACCOUNTS_SUBMISSION },
	{ "api", ACCOUNTS_API },
	{ NULL, 0 },
};

/* --- from JSON --- */

static json_t *
load(struct slice json)
{
	json_t *o = json_text_load(json, JSON_REJECT_DUPLICATES);

	if (o != NULL && !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *
record_load(struct slice json)
{
	return load(json);
}

/* One object being read: the first fault sticks. */
struct reader {
	json_t *o;
	struct arena *arena;
	int rc;
};

/* The field, NULL when absent; a fault when of another type. */
static json_t *
field(struct reader *r, const char *name, json_type type)
{
	json_t *v = json_object_get(r->o, name);

	if (v == NULL || json_typeof(v) == type)
		return v;
	r->rc = -EIO;
	return NULL;
}

static const char *
text_of(struct reader *r, json_t *v)
{
	char *s = arena_strdup(
	    r->arena, slice(json_string_value(v), json_string_length(v)));

	if (s == NULL)
		r->rc = -ENOMEM;
	return s;
}

static const char *
field_text(struct reader *r, const char *name)
{
	json_t *v = field(r, name, JSON_STRING);

	return v == NULL ? "" : text_of(r, v);
}

static bool
field_bool(struct reader *r, const char *name)
{
	json_t *v = json_object_get(r->o, name);

	if (v != NULL && !json_is_boolean(v))
		r->rc = -EIO;
	return json_is_true(v);
}

static uint64_t
field_u64(struct reader *r, const char *name)
{
	json_t *v = field(r, name, JSON_INTEGER);

	if (v == NULL)
		return 0;
	if (json_integer_value(v) < 0)
		r->rc = -EIO;
	return (uint64_t)json_integer_value(v);
}

/* A number, or false: none. */
static uint32_t
field_limit(struct reader *r, const char *name)
{
	json_t *v = json_object_get(r->o, name);
	uint64_t n;

	if (json_is_false(v))
		return SENT_UNLIMITED;
	n = field_u64(r, name);
	return n > SENT_LIMIT_MAX ? SENT_UNLIMITED : (uint32_t)n;
}

static const char *const *
field_texts(struct reader *r, const char *name, size_t *n)
{
	json_t *v = field(r, name, JSON_ARRAY);
	size_t count = json_array_size(v);
	const char **list;

	*n = 0;
	if (count > ACCOUNTS_TARGETS_MAX) {
		r->rc = -EIO;
		return NULL;
	}
	list = arena_array(r->arena, count + 1, sizeof(*list));
	if (list == NULL) {
		r->rc = -ENOMEM;
		return NULL;
	}
	for (size_t i = 0; i < count; i++) {
		json_t *e = json_array_get(v, i);

		if (!json_is_string(e)) {
			r->rc = -EIO;
			return NULL;
		}
		if ((list[i] = text_of(r, e)) == NULL)
			return NULL;
	}
	*n = count;
	return list;
}

/* Base64 of at most `max` octets; returns how many. */
static size_t
field_octets(struct reader *r, const char *name, unsigned char *out, size_t max)
{
	struct buf b = BUF_INIT_MAX(max);
	json_t *v = field(r, name, JSON_STRING);
	size_t n;

	if (v == NULL ||
	    base64_decode(
		&b, slice(json_string_value(v), json_string_length(v))) != 0)
		r->rc = -EIO;
	n = b.n;
	if (n > 0)
		memcpy(out, b.p, n);
	buf_clear(&b);
	return n;
}

int
record_domain_decode(
    struct arena *arena, struct slice json, struct accounts_domain *out)
{
	struct reader r = { load(json), arena, 0 };

	if (r.o == NULL)
		return -EIO;
	*out = (struct accounts_domain){
		.name = "",
		.disabled = field_bool(&r, "disabled"),
		.quota_octets = field_u64(&r, "quota_octets"),
		.quota_messages = field_u64(&r, "quota_messages"),
		.created_s = (int64_t)field_u64(&r, "created"),
	};
	out->catch_all = field_texts(&r, "catch_all", &out->n_catch_all);
	json_decref(r.o);
	return r.rc;
}

static const char *const encryptions[] = { "", "none", "server", "account" };

/* One that is not known here is the strongest that is. */
static enum accounts_encryption
field_encryption(struct reader *r, const char *name)
{
	const char *text = field_text(r, name);

	for (size_t i = 0; text != NULL && i < 4; i++)
		if (strcmp(text, encryptions[i]) == 0)
			return (enum accounts_encryption)i;
	return ACCOUNTS_ENCRYPTION_ACCOUNT;
}

static void
decode_account(struct reader *r, struct accounts_account *out)
{
	*out = (struct accounts_account){
		.address = "",
		.name = field_text(r, "name"),
		.disabled = field_bool(r, "disabled"),
		.admin = field_bool(r, "admin"),
		.cram_md5 = field_bool(r, "cram_md5"),
		.reply_as = field_bool(r, "reply_as"),
		.quota_octets = field_u64(r, "quota_octets"),
		.quota_messages = field_u64(r, "quota_messages"),
		.created_s = (int64_t)field_u64(r, "created"),
	};
	out->encryption = field_encryption(r, "encryption");
	out->send_as = field_texts(r, "send_as", &out->n_send_as);
	out->push = field_texts(r, "push", &out->n_push);
	out->push_only = field_bool(r, "push_only");
	for (size_t i = 0; i < SENT_LIMITS; i++)
		out->sent_limits[i] = field_limit(r, sent_limit_names[i].key);
}

int
record_name_decode(
    struct arena *arena, struct slice json, struct name_record *out)
{
	struct reader r = { load(json), arena, 0 };
	const char *kind;

	if (r.o == NULL)
		return -EIO;
	memset(out, 0, sizeof(*out));
	out->account.address = out->account.name = out->alias.address = "";
	if ((kind = field_text(&r, "kind")) == NULL) {
		/* r.rc says so. */
	} else if (strcmp(kind, "account") == 0) {
		out->kind = KIND_ACCOUNT;
		decode_account(&r, &out->account);
		if (!record_seal_read(r.o, &out->seal))
			r.rc = -EIO;
		out->account.has_key = out->seal.has_key;
		out->account.has_recovery = out->seal.has_recovery;
	} else if (strcmp(kind, "alias") == 0) {
		out->kind = KIND_ALIAS;
		out->alias.targets =
		    field_texts(&r, "targets", &out->alias.n_targets);
	} else if (strcmp(kind, "blocked") == 0) {
		out->kind = KIND_BLOCKED;
		out->alias.blocked = true;
	} else {
		r.rc = -EIO;
	}
	json_decref(r.o);
	return r.rc;
}

static const char *const scram_fields[SCRAM_DIGESTS] = { "scram_sha_256",
	"scram_sha_1" };

/* False: it has none. */
static bool
decode_scram(
    struct reader *parent, enum scram_digest digest, struct scram_keys *out)
{
	struct reader r = { field(parent, scram_fields[digest], JSON_OBJECT),
		parent->arena, 0 };
	size_t n = scram_key_len(digest);
	uint64_t iterations;

	if (r.o == NULL)
		return false;
	out->digest = digest;
	iterations = field_u64(&r, "iterations");
	if (iterations < SCRAM_ITERATIONS_MIN ||
	    iterations > SCRAM_ITERATIONS_MAX)
		r.rc = -EIO;
	out->iterations = (uint32_t)iterations;
	out->salt_n =
	    (uint32_t)field_octets(&r, "salt", out->salt, sizeof(out->salt));
	if (out->salt_n == 0 ||
	    field_octets(&r, "stored_key", out->stored_key, n) != n ||
	    field_octets(&r, "server_key", out->server_key, n) != n)
		r.rc = -EIO;
	if (r.rc != 0)
		parent->rc = r.rc;
	return true;
}

static unsigned
decode_scopes(struct reader *r)
{
	unsigned scopes = 0;
	size_t n;
	const char *const *names = field_texts(r, "scopes", &n);

	for (size_t i = 0; i < n; i++) {
		const struct accounts_scope_name *s = accounts_scope_names;

		while (s->name != NULL && strcmp(s->name, names[i]) != 0)
			s++;
		/* One that is not known here must not turn into «all». */
		scopes |= s->name != NULL ? s->scope : 1U << 31;
	}
	return scopes;
}

static struct slice
decode_sealed(struct reader *r)
{
	unsigned char octets[ACCOUNTS_PASSWORD_MAX + SECRET_OVERHEAD];
	struct slice s;
	size_t n;

	if (json_object_get(r->o, "sealed") == NULL)
		return SLICE_EMPTY;
	n = field_octets(r, "sealed", octets, sizeof(octets));
	if ((s = arena_dup(r->arena, slice(octets, n))).p == NULL)
		r->rc = -ENOMEM;
	return s;
}

int
record_credential_decode(
    struct arena *arena, struct slice json, struct credential_record *out)
{
	struct reader r = { load(json), arena, 0 };

	if (r.o == NULL)
		return -EIO;
	memset(out, 0, sizeof(*out));
	out->public.name = "";
	out->public.scopes = decode_scopes(&r);
	out->public.created_s = (int64_t)field_u64(&r, "created");
	out->hash = field_text(&r, "hash");
	for (size_t d = 0; d < SCRAM_DIGESTS; d++)
		out->has_scram[d] =
		    decode_scram(&r, (enum scram_digest)d, &out->scram[d]);
	out->sealed = decode_sealed(&r);
	if (!record_unlock_read(r.o, &out->unlock))
		r.rc = -EIO;
	out->raw = json;
	json_decref(r.o);
	return r.rc;
}

/* --- to JSON --- */

/* `v` is taken over; NULL (out of memory, or text that is not UTF-8) and
 * failure of the library show in *ok. */
static void
set(json_t *o, const char *name, json_t *v, bool *ok)
{
	if (json_object_set_new(o, name, v) != 0)
		*ok = false;
}

/* A false or zero field is left out. */
static void
set_flag(json_t *o, const char *name, bool v, bool *ok)
{
	if (v)
		set(o, name, json_true(), ok);
	else
		json_object_del(o, name);
}

static void
set_number(json_t *o, const char *name, uint64_t v, bool *ok)
{
	if (v != 0)
		set(o, name, json_integer((json_int_t)v), ok);
	else
		json_object_del(o, name);
}

static void
set_texts(
    json_t *o, const char *name, const char *const *list, size_t n, bool *ok)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		if (json_array_append_new(a, json_string(list[i])) != 0)
			*ok = false;
	set(o, name, a, ok);
}

static void
set_octets(
    json_t *o, const char *name, const unsigned char *p, size_t n, bool *ok)
{
	struct buf b = BUF_INIT;

	if (!base64_encode(&b, slice(p, n)))
		*ok = false;
	set(o, name, json_string(buf_str(&b)), ok);
	buf_clear(&b);
}

/* The old record to start from, or an empty one. */
static int
begin(struct slice old, json_t **o)
{
	*o = old.n > 0 ? load(old) : json_object();
	if (*o == NULL)
		return old.n > 0 ? -EIO : -ENOMEM;
	return 0;
}

static int
finish(json_t **o, bool ok, struct buf *out)
{
	char *text = ok ? json_dumps(*o, JSON_COMPACT) : NULL;
	int rc = 0;

	json_decref(*o);
	*o = NULL;
	if (text == NULL)
		return -ENOMEM;
	if (strlen(text) > STORE_VALUE_MAX)
		rc = -E2BIG;
	else if (!buf_put_str(out, text))
		rc = -ENOMEM;
	free(text);
	return rc;
}

int
record_domain_encode(
    struct slice old, const struct accounts_domain *d, struct buf *out)
{
	bool ok = true;
	json_t *o;
	int rc = begin(old, &o);

	if (rc != 0)
		return rc;
	set_texts(o, "catch_all", d->catch_all, d->n_catch_all, &ok);
	if (d->n_catch_all == 0)
		json_object_del(o, "catch_all");
	set_flag(o, "disabled", d->disabled, &ok);
	set_number(o, "quota_octets", d->quota_octets, &ok);
	set_number(o, "quota_messages", d->quota_messages, &ok);
	set_number(o, "created", (uint64_t)d->created_s, &ok);
	return finish(&o, ok, out);
}

static void
encode_account(json_t *o, const struct accounts_account *c, bool *ok)
{
	set(o, "name", json_string(c->name != NULL ? c->name : ""), ok);
	set_flag(o, "disabled", c->disabled, ok);
	set_flag(o, "admin", c->admin, ok);
	set_flag(o, "cram_md5", c->cram_md5, ok);
	set_flag(o, "reply_as", c->reply_as, ok);
	set_number(o, "quota_octets", c->quota_octets, ok);
	set_number(o, "quota_messages", c->quota_messages, ok);
	if (c->encryption == ACCOUNTS_ENCRYPTION_DEFAULT)
		json_object_del(o, "encryption");
	else
		set(o, "encryption", json_string(encryptions[c->encryption]),
		    ok);
	set_texts(o, "send_as", c->send_as, c->n_send_as, ok);
	if (c->n_send_as == 0)
		json_object_del(o, "send_as");
	set_texts(o, "push", c->push, c->n_push, ok);
	if (c->n_push == 0)
		json_object_del(o, "push");
	set_flag(o, "push_only", c->push_only, ok);
	for (size_t i = 0; i < SENT_LIMITS; i++)
		if (c->sent_limits[i] == SENT_UNLIMITED)
			set(o, sent_limit_names[i].key, json_false(), ok);
		else
			set_number(o, sent_limit_names[i].key,
			    c->sent_limits[i], ok);
	set_number(o, "created", (uint64_t)c->created_s, ok);
}

int
record_name_encode(
    struct slice old, const struct name_record *r, struct buf *out)
{
	static const char *const kinds[] = { "account", "alias", "blocked" };
	bool ok = true;
	json_t *o;
	int rc = begin(old, &o);

	if (rc != 0)
		return rc;
	set(o, "kind", json_string(kinds[r->kind]), &ok);
	if (r->kind == KIND_ACCOUNT)
		encode_account(o, &r->account, &ok);
	else if (r->kind == KIND_ALIAS)
		set_texts(
		    o, "targets", r->alias.targets, r->alias.n_targets, &ok);
	else
		json_object_del(o, "targets");
	return finish(&o, ok, out);
}

static json_t *
encode_scram(const struct scram_keys *k, bool *ok)
{
	size_t n = scram_key_len(k->digest);
	json_t *o = json_object();

	set_number(o, "iterations", k->iterations, ok);
	set_octets(o, "salt", k->salt, k->salt_n, ok);
	set_octets(o, "stored_key", k->stored_key, n, ok);
	set_octets(o, "server_key", k->server_key, n, ok);
	return o;
}

int
record_credential_encode(const struct credential_record *r, struct buf *out)
{
	const struct accounts_scope_name *s = accounts_scope_names;
	const char *scopes[8];
	size_t n = 0;
	bool ok = true;
	json_t *o = json_object();

	for (; s->name != NULL; s++)
		if ((r->public.scopes & s->scope) != 0)
			scopes[n++] = s->name;
	if (n > 0)
		set_texts(o, "scopes", scopes, n, &ok);
	set_number(o, "created", (uint64_t)r->public.created_s, &ok);
	set(o, "hash", json_string(r->hash), &ok);
	if (r->sealed.n > 0)
		set_octets(o, "sealed", (const unsigned char *)r->sealed.p,
		    r->sealed.n, &ok);
	if (r->unlock.any)
		set(o, "unlock", record_unlock_json(&r->unlock), &ok);
	for (size_t d = 0; d < SCRAM_DIGESTS; d++)
		if (r->has_scram[d])
			set(o, scram_fields[d], encode_scram(&r->scram[d], &ok),
			    &ok);
	return finish(&o, ok, out);
}
