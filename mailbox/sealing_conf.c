/* SPDX-License-Identifier: ISC */
#include "mailbox/sealing_conf.h"

#include <errno.h>
#include <string.h>

#include "common/auth/seal.h"

#define KEY_FILE "sealing.key"

const char *
sealing_key_path(const struct conf *conf, struct arena *a)
{
	if (*conf_str(conf, "mailbox.sealing_key") != '\0')
		return conf_file(conf, "mailbox.sealing_key");
	return arena_printf(
	    a, "%s/" KEY_FILE, conf_file(conf, "mailbox.dir"));
}

/* The folder of the store, where the key may have to go, is there once the
 * store is open; so without a key first. */
static int
key_make(struct seal_key **k, const char *path, const struct mails_conf *mc,
    struct buf *err)
{
	struct mails *m;
	int rc = mails_open(&m, mc, err);

	if (rc != 0)
		return rc;
	rc = mails_has_sealed(m) ? -ENOKEY : seal_key_load(k, path, true);
	mails_close(&m);
	return rc;
}

static int
key_load(struct seal_key **k, const char *path, const struct mails_conf *mc,
    bool make, struct buf *err)
{
	int rc = seal_key_load(k, path, false);

	if (rc == -ENOENT)
		rc = make ? key_make(k, path, mc, err) : 0;
	if (rc != 0 && err->n == 0)
		buf_printf(err, "mailbox.sealing_key %s: %s", path,
		    rc == -EINVAL       ? "not a key of 32 octets"
			: rc == -ENOKEY ? "it is gone, and there is mail that "
					  "was sealed with it"
					: strerror(-rc));
	return rc;
}

int
sealing_mails_open(struct mails **out, const struct conf *conf,
    struct mails_conf *mc, bool reads, struct buf *err)
{
	struct arena a = ARENA_INIT_MAX(8192);
	const char *path = sealing_key_path(conf, &a);
	bool seals = conf_enum(conf, "mailbox.encryption") != 0; /* none */
	struct seal_key *key = NULL;
	int rc = path == NULL
	    ? -ENOMEM
	    : key_load(&key, path, mc, seals && !reads, err);

	if (rc == 0) {
		mc->seal = seals && !reads;
		mc->server_key = key;
		rc = mails_open(out, mc, err);
		mc->server_key = NULL;
		/* Another store's backup, say: as without a key. */
		if (rc == -EKEYREJECTED && reads)
			rc = mails_open(out, mc, err);
	}
	seal_key_unref(&key);
	arena_reset(&a);
	return rc;
}
