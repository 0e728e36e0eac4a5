/* SPDX-License-Identifier: ISC */
/* Opening the directory, and its keys. Readers may be there first, so the
 * database is opened when a look-up needs it. */
#include "common/auth/accounts_impl.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth/auth_cache.h"
#include "common/auth/signins.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/lex.h"

/* --- keys --- */

int
accounts_name(
    struct arena *arena, struct slice address, struct accounts_name *out)
{
	struct accounts_name name;
	int rc = address_canonical(arena, address, &name.address);

	if (rc == 0)
		rc = address_split(name.address, &name.local, &name.domain);
	if (rc == 0)
		*out = name;
	return rc;
}

int
accounts_local(struct arena *arena, struct slice local, struct slice *out)
{
	struct buf quoted = BUF_INIT_MAX(1024);
	int rc = address_canonical_local(arena, local, out);

	if (rc == -EINVAL && local.n > 0 && *local.p != '"') {
		lex_put_quoted(&quoted, local);
		if (!quoted.failed)
			rc = address_canonical_local(
			    arena, buf_slice(&quoted), out);
	}
	buf_clear(&quoted);
	return rc;
}

int
accounts_user(struct accounts *a, struct arena *arena, struct slice user,
    struct accounts_name *out)
{
	struct slice domain;
	char *address;
	int rc;

	if (slice_find(user, '@') >= 0)
		return accounts_name(arena, user, out);
	if ((rc = accounts_meta(a, arena, "domain", &domain)) != 0)
		return rc == -ENOENT ? -EINVAL : rc;
	if (user.n > ADDRESS_LOCAL_MAX || slice_find(user, '\0') >= 0)
		return -EINVAL;
	address = arena_printf(
	    arena, "%.*s@%.*s", (int)user.n, user.p, (int)domain.n, domain.p);
	if (address == NULL)
		return -ENOMEM;
	return accounts_name(arena, slice_str(address), out);
}

static struct slice
join(struct arena *arena, const char *prefix, struct slice a, struct slice b)
{
	size_t n = strlen(prefix);
	char *p = arena_alloc(arena, n + a.n + b.n + 1);

	if (p == NULL)
		return slice(NULL, 0);
	memcpy(p, prefix, n);
	memcpy(p + n, a.p, a.n);
	memcpy(p + n + a.n, b.p, b.n);
	return slice(p, n + a.n + b.n);
}

struct slice
accounts_partition(struct arena *arena, struct slice domain)
{
	return join(arena, "d/", domain, SLICE_EMPTY);
}

struct slice
accounts_key(struct arena *arena, const char *kind, struct slice local)
{
	return join(arena, kind, local, SLICE_EMPTY);
}

struct slice
accounts_credential_key(
    struct arena *arena, struct slice local, struct slice name)
{
	struct slice head = join(arena, "c/", local, SLICE_LIT("\0"));

	return head.p == NULL ? head : join(arena, "", head, name);
}

/* --- rows --- */

int
accounts_row(struct accounts *a, struct arena *arena, struct slice part,
    struct slice key, struct slice *val)
{
	struct buf b = BUF_INIT_MAX(STORE_VALUE_MAX);
	int rc;

	if (part.p == NULL || key.p == NULL)
		return -ENOMEM;
	if ((rc = accounts_ready(a)) != 0)
		return rc;
	if ((rc = store_get(a->store, part, key, &b)) == 0) {
		*val = arena_dup(arena, buf_slice(&b));
		rc = val->p == NULL ? -ENOMEM : 0;
	}
	buf_clear(&b);
	return rc;
}

int
accounts_meta(
    struct accounts *a, struct arena *arena, const char *key, struct slice *val)
{
	return accounts_row(a, arena, SLICE_LIT("m"), slice_str(key), val);
}

/* --- opening --- */

/* Put a row that is there once and for all, unless it is there. */
static int
meta_ensure(struct store *s, const char *key, struct slice val)
{
	struct store_batch *b = store_batch_new(s, SLICE_LIT("m"));
	int rc;

	if (b == NULL)
		return -ENOMEM;
	store_guard_absent(b, slice_str(key));
	store_put(b, slice_str(key), val);
	rc = store_commit_one(s, b);
	store_batch_free(&b);
	return rc == STORE_ECONFLICT || rc == STORE_EUNKNOWN ? 0 : rc;
}

/* A row of exactly n octets to `out`. */
static int
meta_read(struct store *s, const char *key, void *out, size_t n)
{
	struct buf b = BUF_INIT_MAX(STORE_VALUE_MAX);
	int rc = store_get(s, SLICE_LIT("m"), slice_str(key), &b);

	if (rc == 0 && b.n != n)
		rc = -EIO;
	if (rc == 0)
		memcpy(out, b.p, n);
	buf_clear(&b);
	return rc;
}

/*
 * The schema that we understand, and the secret, which stays as it is when
 * two programs make the database at once. The attempts end a run of CONFLICT
 * or UNKNOWN.
 */
static int
meta_load(struct accounts *a, struct store *s, struct buf *err)
{
	unsigned char schema[4], secret[32];
	int rc = -ENOENT;

	put_be32(schema, ACCOUNTS_SCHEMA);
	random_octets(secret, sizeof(secret));
	for (int i = 0; i < 10; i++) {
		if ((rc = meta_read(s, "schema", schema, 4)) == 0 &&
		    (rc = meta_read(s, "secret", a->secret, 32)) == 0)
			break;
		if (rc != -ENOENT || a->store_conf.readonly)
			break;
		if ((rc = meta_ensure(s, "schema", slice(schema, 4))) != 0 ||
		    (rc = meta_ensure(s, "secret", slice(secret, 32))) != 0)
			break;
		rc = -EAGAIN;
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	if (rc == 0 && get_be32(schema) > ACCOUNTS_SCHEMA) {
		buf_printf(err, "%s was made by a newer pneu (schema %u)",
		    a->dir, get_be32(schema));
		return -EPROTO;
	}
	if (rc != 0 && rc != -ENOENT)
		buf_printf(err, "%s: %s", a->dir, strerror(-rc));
	return rc;
}

/* Beside the database, where all who check passwords may write (LMDB's reader
 * table is there too). Without it each process counts for itself. */
static void
share_signins(struct accounts *a)
{
	int rc = a->store_conf.dir != NULL &&
		strcmp(a->store_conf.engine, "embedded") == 0
	    ? throttle_share(a->throttle, a->dir)
	    : 0;

	if (rc != 0)
		log_warning("failed sign-ins are not shared with others",
		    "file=\"%s/%s\" error=\"%s\"", log_qs(a->dir),
		    SIGNINS_FILE, strerror(-rc));
}

struct throttle *
accounts_throttle(struct accounts *a)
{
	return a->throttle;
}

static int
database_open(struct accounts *a, struct buf *err)
{
	struct store *s = NULL;
	int rc = store_open(&s, &a->store_conf, err);

	if (rc == 0)
		rc = meta_load(a, s, err);
	if (rc != 0) {
		store_close(&s);
		return rc;
	}
	a->store = s;
	share_signins(a);
	return 0;
}

int
accounts_ready(struct accounts *a)
{
	struct buf err = BUF_INIT_MAX(1024);
	int rc;

	if (a->store != NULL)
		return 0;
	if (co_mutex_lock(&a->opening, -1) != 0)
		return -EAGAIN;
	rc = a->store != NULL ? 0 : database_open(a, &err);
	if (rc != 0 && rc != -ENOENT && !a->complained) {
		log_error("accounts cannot be opened", "reason=%s",
		    log_qs(buf_str(&err)));
		a->complained = true;
	}
	co_mutex_unlock(&a->opening);
	buf_clear(&err);
	return rc == 0 ? 0 : -EAGAIN;
}

bool
accounts_exist(struct accounts *a)
{
	return accounts_ready(a) == 0;
}

static size_t
hashers_wanted(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	/* One thread of co_work's pool stays free for everything else. */
	return cpus > 2 ? (size_t)cpus - 1 : 1;
}

/* Without files (tests) there is a key, too. */
static int
key_choose(struct accounts *a, const struct conf *conf)
{
	int n = 0;

	if (*conf_str(conf, "accounts.key") != '\0')
		a->key_path = strdup(conf_file(conf, "accounts.key"));
	else
		n = asprintf(&a->key_path, "%s/key", a->dir);
	if (n == -1 || a->key_path == NULL) {
		a->key_path = NULL;
		return -ENOMEM;
	}
	a->outside_key_path = strdup(conf_file(conf, "accounts.outside_key"));
	if (a->outside_key_path == NULL)
		return -ENOMEM;
	if (strcmp(a->store_conf.engine, "embedded") != 0) {
		random_octets(a->key, sizeof(a->key));
		a->has_key = true;
	}
	return 0;
}

static int
accounts_new(struct accounts **out, const struct conf *conf,
    const struct store_conf *sc, struct buf *err)
{
	struct accounts *a = calloc(1, sizeof(*a));
	int rc;

	if (a == NULL)
		return -ENOMEM;
	*out = a;
	a->store_conf = *sc;
	a->dir = strdup(sc->dir != NULL ? sc->dir : "memory");
	a->subaddress = strdup(conf_str(conf, "accounts.subaddress"));
	a->cache = auth_cache_new();
	a->keys = seal_table_new();
	/* "none|server|account", in the order of the enum. */
	a->encryption = ACCOUNTS_ENCRYPTION_NONE +
	    (enum accounts_encryption)conf_enum(conf, "mailbox.encryption");
	a->hostname = strdup(*conf_str(conf, "hostname") != '\0'
		? conf_str(conf, "hostname")
		: "pneu");
	if ((rc = key_choose(a, conf)) != 0)
		return rc;
	if (a->dir == NULL || a->subaddress == NULL || a->cache == NULL || a->keys == NULL ||
	    a->hostname == NULL)
		return -ENOMEM;
	a->store_conf.dir = a->dir;
	a->policy = (struct password_policy){
		.cost = (unsigned)conf_int(conf, "accounts.hash_cost"),
		.scram_iterations =
		    (unsigned)conf_int(conf, "accounts.scram_iterations"),
	};
	a->scram[SCRAM_SHA_256] = conf_bool(conf, "accounts.scram");
	a->scram[SCRAM_SHA_1] = conf_bool(conf, "accounts.scram_sha1");
	a->hashers.free = hashers_wanted();
	random_octets(a->secret, sizeof(a->secret));
	if ((rc = throttle_new(&a->throttle, conf, err)) != 0)
		return rc;
	return password_setting(&a->policy, a->dummy);
}

int
accounts_open_store(struct accounts **out, const struct conf *conf,
    const struct store_conf *sc, struct buf *err)
{
	struct accounts *a = NULL;
	int rc = accounts_new(&a, conf, sc, err);

	if (rc != 0 && err->n == 0)
		buf_printf(err, "accounts: %s", strerror(-rc));
	else if (rc == 0 &&
	    (rc = database_open(a, err)) == -ENOENT && sc->readonly)
		rc = 0;
	if (rc != 0) {
		accounts_close(&a);
		return rc;
	}
	*out = a;
	return 0;
}

/* What is missing above `path`; others pass through it to what is theirs. */
static int
make_parents(const char *path, struct buf *err)
{
	char *part = strdup(path);
	int rc = part == NULL ? -ENOMEM : 0;

	for (size_t i = 1; rc == 0 && part[i] != '\0'; i++) {
		if (part[i] != '/')
			continue;
		part[i] = '\0';
		if (mkdir(part, 0755) == -1 && access(part, F_OK) == -1)
			rc = -errno;
		part[i] = '/';
	}
	if (rc != 0)
		buf_printf(err, "%s: %s", path, strerror(-rc));
	free(part);
	return rc;
}

int
accounts_open(
    struct accounts **out, const struct conf *conf, bool write, struct buf *err)
{
	struct store_conf sc = {
		.engine = "embedded",
		.dir = conf_file(conf, "accounts.dir"),
		.readonly = !write,
		.group = true,
	};
	int rc;

	if (write && (rc = make_parents(sc.dir, err)) != 0)
		return rc;
	return accounts_open_store(out, conf, &sc, err);
}

int
accounts_open_empty(struct accounts **out, const struct conf *conf,
    struct buf *err)
{
	struct store_conf sc = { .engine = "memory" };

	return accounts_open_store(out, conf, &sc, err);
}

void
accounts_close(struct accounts **a)
{
	struct accounts *c = *a;

	if (c == NULL)
		return;
	*a = NULL;
	store_close(&c->store);
	auth_cache_free(&c->cache);
	seal_table_free(&c->keys);
	throttle_free(&c->throttle);
	free(c->dir);
	free(c->subaddress);
	free(c->hostname);
	free(c->key_path);
	free(c->outside_key_path);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
}
