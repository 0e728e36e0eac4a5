/* SPDX-License-Identifier: ISC */
/*
 * The fields of records that sealed mail needs:
 *
 *	account     "seal": { "public", "recovery" }
 *	credential  "unlock": { "public", "scrypt": { "n", "r", "p", "salt" },
 *	            "password", "scram_sha_256", "scram_sha_1" }
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "common/auth/accounts_impl.h"
#include "common/mail/transfer.h"

static const char *const scram_names[SCRAM_DIGESTS] = { "scram_sha_256",
	"scram_sha_1" };

/* --- from JSON --- */

/* Base64 of exactly n octets. */
static bool
read_octets(const json_t *o, const char *name, unsigned char *out, size_t n)
{
	json_t *v = json_object_get(o, name);
	struct buf b = BUF_INIT_MAX(n);
	bool ok = json_is_string(v) &&
	    base64_decode(&b,
		slice(json_string_value(v), json_string_length(v))) == 0 &&
	    b.n == n;

	if (ok)
		memcpy(out, b.p, n);
	buf_clear(&b);
	return ok;
}

static bool
read_number(const json_t *o, const char *name, uint64_t max, uint64_t *out)
{
	json_t *v = json_object_get(o, name);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    (uint64_t)json_integer_value(v) > max)
		return false;
	*out = (uint64_t)json_integer_value(v);
	return true;
}

bool
record_seal_read(const json_t *record, struct seal_record *out)
{
	json_t *o = json_object_get(record, "seal");

	memset(out, 0, sizeof(*out));
	if (o == NULL)
		return true;
	out->has_key = true;
	out->has_recovery = json_object_get(o, "recovery") != NULL;
	return read_octets(o, "public", out->public, sizeof(out->public)) &&
	    (!out->has_recovery ||
		read_octets(
		    o, "recovery", out->recovery, sizeof(out->recovery)));
}

static bool
read_scrypt(const json_t *o, struct unlock_scrypt *out)
{
	uint64_t r, p;

	if (!read_number(o, "n", UINT32_MAX, &out->n) ||
	    !read_number(o, "r", UINT32_MAX, &r) ||
	    !read_number(o, "p", UINT32_MAX, &p) ||
	    !read_octets(o, "salt", out->salt, sizeof(out->salt)))
		return false;
	out->r = (uint32_t)r;
	out->p = (uint32_t)p;
	return unlock_scrypt_is_fit(out);
}

bool
record_unlock_read(const json_t *record, struct unlock *out)
{
	json_t *o = json_object_get(record, "unlock");

	memset(out, 0, sizeof(*out));
	if (o == NULL)
		return true;
	out->any = true;
	for (size_t d = 0; d < SCRAM_DIGESTS; d++) {
		out->has_scram[d] = json_object_get(o, scram_names[d]) != NULL;
		if (out->has_scram[d] &&
		    !read_octets(o, scram_names[d], out->by_scram[d],
			sizeof(out->by_scram[d])))
			return false;
	}
	return read_octets(o, "public", out->public, sizeof(out->public)) &&
	    read_octets(o, "password", out->by_password,
		sizeof(out->by_password)) &&
	    read_scrypt(json_object_get(o, "scrypt"), &out->scrypt);
}

/* --- to JSON --- */

/* NULL in *o: out of memory, once and for all. */
static void
put(json_t **o, const char *name, json_t *v)
{
	if (*o == NULL) {
		json_decref(v);
	} else if (json_object_set_new(*o, name, v) != 0) {
		json_decref(*o);
		*o = NULL;
	}
}

static void
put_octets(json_t **o, const char *name, const unsigned char *p, size_t n)
{
	struct buf b = BUF_INIT;

	base64_encode(&b, slice(p, n));
	put(o, name, b.failed ? NULL : json_string(buf_str(&b)));
	buf_clear(&b);
}

static json_t *
scrypt_json(const struct unlock_scrypt *s)
{
	json_t *o = json_object();

	put(&o, "n", json_integer((json_int_t)s->n));
	put(&o, "r", json_integer(s->r));
	put(&o, "p", json_integer(s->p));
	put_octets(&o, "salt", s->salt, sizeof(s->salt));
	return o;
}

json_t *
record_unlock_json(const struct unlock *u)
{
	json_t *o = json_object();

	put_octets(&o, "public", u->public, sizeof(u->public));
	put(&o, "scrypt", scrypt_json(&u->scrypt));
	put_octets(&o, "password", u->by_password, sizeof(u->by_password));
	for (size_t d = 0; d < SCRAM_DIGESTS; d++)
		if (u->has_scram[d])
			put_octets(&o, scram_names[d], u->by_scram[d],
			    sizeof(u->by_scram[d]));
	return o;
}

static json_t *
seal_json(const struct seal_record *s)
{
	json_t *o = json_object();

	put_octets(&o, "public", s->public, sizeof(s->public));
	if (s->has_recovery)
		put_octets(&o, "recovery", s->recovery, sizeof(s->recovery));
	return o;
}

int
record_seal_put(
    struct slice old, const struct seal_record *seal, struct buf *out)
{
	/* It was read a moment ago, with the depth checked. */
	json_t *o = json_loadb(old.p, old.n, JSON_REJECT_DUPLICATES, NULL);
	char *text = NULL;
	int rc = -ENOMEM;

	if (!json_is_object(o)) {
		json_decref(o);
		return -EIO;
	}
	if (seal->has_key)
		put(&o, "seal", seal_json(seal));
	else
		json_object_del(o, "seal");
	if (o != NULL && (text = json_dumps(o, JSON_COMPACT)) != NULL)
		rc = strlen(text) > STORE_VALUE_MAX ? -E2BIG
		    : buf_put_str(out, text)	    ? 0
						    : -ENOMEM;
	free(text);
	json_decref(o);
	return rc;
}
