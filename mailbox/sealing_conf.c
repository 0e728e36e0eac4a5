/* SPDX-License-Identifier: ISC */
#include "mailbox/sealing_conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/auth/accounts.h"
#include "common/auth/seal.h"
#include "common/base/log.h"

#define KEY_FILE "sealing.key"

/* One Mails a program: its callbacks find here what they need. */
static struct accounts *accounts;
static char key_path[4096];

const char *
sealing_key_path(const struct conf *conf, struct arena *a)
{
	if (*conf_str(conf, "mailbox.sealing_key") != '\0')
		return conf_file(conf, "mailbox.sealing_key");
	return arena_printf(a, "%s/" KEY_FILE, conf_file(conf, "mailbox.dir"));
}

static int
account_sealing(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	struct accounts_sealing s;
	int rc = accounts_sealing_get(accounts, slice_str(account), &s);

	(void)arg;
	if (rc != 0)
		return rc;
	memcpy(public, s.public, 32);
	*how = s.how == ACCOUNTS_ENCRYPTION_NONE ? MAILS_SEAL_NONE
	    : s.how == ACCOUNTS_ENCRYPTION_ACCOUNT && s.has_key
	    ? MAILS_SEAL_ACCOUNT
	    : MAILS_SEAL_SERVER; /* also until it has a key */
	return 0;
}

static int
server_key_get(void *arg, bool make, struct seal_key **out)
{
	int rc = seal_key_load(out, key_path, make);

	(void)arg;
	if (rc != 0 && (make || rc != -ENOENT))
		log_error("sealing key", "path=\"%s\" error=\"%s\"",
		    log_qs(key_path), strerror(-rc));
	return rc;
}

static int
key_load(struct seal_key **k, const struct mails_conf *mc, struct buf *err)
{
	struct mails *m;
	int rc = seal_key_load(k, key_path, false);

	if (rc != -ENOENT || mc->seal == MAILS_SEAL_NONE) {
		if (rc != 0 && rc != -ENOENT)
			buf_printf(err, "mailbox.sealing_key %s: %s", key_path,
			    rc == -EINVAL ? "not a key of 32 octets"
					  : strerror(-rc));
		return rc == -ENOENT ? 0 : rc;
	}
	/* The folder of the store, where it may have to go, is there once the
	 * store is open; so without a key first. */
	if ((rc = mails_open(&m, mc, err)) != 0)
		return rc;
	if (mails_has_sealed(m))
		rc = -ENOKEY;
	else
		rc = seal_key_load(k, key_path, true);
	mails_close(&m);
	if (rc != 0)
		buf_printf(err, "mailbox.sealing_key %s: %s", key_path,
		    rc == -ENOKEY ? "it is gone, and there is mail that was "
				    "sealed with it"
				  : strerror(-rc));
	return rc;
}

static int
open_to_read(struct mails **out, struct mails_conf *mc, struct buf *err)
{
	int rc = mails_open(out, mc, err);

	mc->server_key = NULL;
	/* Another store's backup, say: as without a key. */
	return rc == -EKEYREJECTED ? mails_open(out, mc, err) : rc;
}

int
sealing_mails_open(struct mails **out, const struct conf *conf,
    struct mails_conf *mc, struct accounts *by, struct buf *err)
{
	struct arena a = ARENA_INIT_MAX(8192);
	const char *path = sealing_key_path(conf, &a);
	struct seal_key *key = NULL;
	int rc = path == NULL ? -ENOMEM : 0;

	if (rc == 0 &&
	    (size_t)snprintf(key_path, sizeof(key_path), "%s", path) >=
		sizeof(key_path))
		rc = -ENAMETOOLONG;
	if (rc == 0 && by != NULL) {
		accounts = by;
		mc->seal =
		    (enum mails_sealing)conf_enum(conf, "mailbox.encryption");
		mc->sealing = account_sealing;
		mc->server_key_get = server_key_get;
	}
	if (rc == 0 && (rc = key_load(&key, mc, err)) == 0) {
		mc->server_key = key;
		rc = by == NULL ? open_to_read(out, mc, err)
				: mails_open(out, mc, err);
		mc->server_key = NULL;
	}
	seal_key_unref(&key);
	arena_reset(&a);
	return rc;
}
