/* SPDX-License-Identifier: ISC */
/*
 * Secrets that must come back as they were: passwords of accounts that use
 * CRAM-MD5 or APOP. Sealed by AES-256-GCM with a key that is in a file of its
 * own, so that a copy of the database alone tells none of them.
 */
#ifndef PNEU_AUTH_SECRET_H
#define PNEU_AUTH_SECRET_H

#include "common/base/buf.h"

#define SECRET_KEY_LEN 32
#define SECRET_OVERHEAD 28 /* nonce and tag */

/*
 * Read the key; `make` it where it is missing, readable by its owner alone, or
 * by the group of a folder that is a group's (setgid). 0, -ENOENT, -EINVAL (not
 * a key), -errno.
 */
int secret_key_load(
    const char *path, bool make, unsigned char key[static SECRET_KEY_LEN]);

/* The name of a new file is as durable as its folder: before anything is sealed
 * with a key that is in it. 0 or -errno. */
int secret_name_sync(const char *path);

#define SECRET_LINE_MAX ((size_t)4096)
/* The first line of a file, without white space around it: a secret that a
 * person has put there. 0 or -errno with the reason in `err`; wipe `out`. */
int secret_line_read(const char *path, struct buf *out, struct buf *err);

/* `about` is what it belongs to: opened for another it fails. 0 or -EIO. */
int secret_seal(const unsigned char key[static SECRET_KEY_LEN],
    struct slice about, struct slice plain, struct buf *out);
/* 0, -EBADMSG (another key, or damaged), -ENOMEM. Wipe `out`. */
int secret_open(const unsigned char key[static SECRET_KEY_LEN],
    struct slice about, struct slice sealed, struct buf *out);

#endif
