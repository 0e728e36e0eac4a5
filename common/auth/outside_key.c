/* SPDX-License-Identifier: ISC */
#include "common/auth/outside_key.h"

#include <errno.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/secret.h"
#include "common/base/log.h"

/* Its folder belongs to who makes it, and to nobody else. */
static int
make_folder(const char *path)
{
	char *folder = strdup(path);
	int rc = folder == NULL ? -ENOMEM : 0;

	if (rc == 0 && mkdir(dirname(folder), 0700) == -1 && errno != EEXIST)
		rc = -errno;
	free(folder);
	return rc;
}

static int
load_key(
    struct accounts *a, bool make, unsigned char key[static SECRET_KEY_LEN])
{
	int rc;

	/* Without files (tests) there is one key for all. */
	if (strcmp(a->store_conf.engine, "embedded") != 0) {
		memcpy(key, a->key, SECRET_KEY_LEN);
		return 0;
	}
	rc = make ? make_folder(a->outside_key_path) : 0;
	if (rc == 0)
		rc = secret_key_load(a->outside_key_path, make, key);
	if (rc != 0)
		log_error("no key for the passwords of outside accounts",
		    "file=\"%s\" error=\"%s\"", log_qs(a->outside_key_path),
		    strerror(-rc));
	return rc;
}

int
outside_key_seal(struct accounts *a, struct arena *arena, struct slice owner,
    struct slice what, struct slice secret, struct slice *out, struct buf *err)
{
	unsigned char key[SECRET_KEY_LEN];
	struct buf b = BUF_INIT;
	int rc = load_key(a, true, key);

	if (rc != 0)
		buf_printf(err, "%s: %s", a->outside_key_path, strerror(-rc));
	if (rc == 0)
		rc = secret_seal(
		    key, accounts_secret_about(arena, owner, what), secret, &b);
	if (rc == 0 && (*out = arena_dup(arena, buf_slice(&b))).p == NULL)
		rc = -ENOMEM;
	OPENSSL_cleanse(key, sizeof(key));
	buf_clear(&b);
	return rc;
}

int
outside_key_open(struct accounts *a, struct slice owner, struct slice what,
    struct slice sealed, struct buf *out)
{
	struct arena arena = ARENA_INIT_MAX(4096);
	unsigned char key[SECRET_KEY_LEN];
	int rc;

	if (sealed.n == 0)
		return -ENOENT;
	if ((rc = load_key(a, false, key)) == 0)
		rc = secret_open(key,
		    accounts_secret_about(&arena, owner, what), sealed, out);
	OPENSSL_cleanse(key, sizeof(key));
	arena_reset(&arena);
	return rc;
}
