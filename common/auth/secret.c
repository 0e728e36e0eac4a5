/* SPDX-License-Identifier: ISC */
#include "common/auth/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"

#define NONCE_LEN 12
#define TAG_LEN 16

/* --- the key --- */

static int
key_read(const char *path, unsigned char key[static SECRET_KEY_LEN])
{
	unsigned char octets[SECRET_KEY_LEN + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, octets, sizeof(octets));
	int rc = n == -1 ? -errno : 0;

	if (fd != -1)
		close(fd);
	if (rc == 0 && n != SECRET_KEY_LEN)
		rc = -EINVAL;
	if (rc == 0)
		memcpy(key, octets, SECRET_KEY_LEN);
	OPENSSL_cleanse(octets, sizeof(octets));
	return rc;
}

static int
key_write(int fd, const char *path)
{
	unsigned char key[SECRET_KEY_LEN];
	char folder[PATH_MAX];
	struct stat st;
	ssize_t n;

	random_octets(key, sizeof(key));
	n = write(fd, key, sizeof(key));
	OPENSSL_cleanse(key, sizeof(key));
	if (n != sizeof(key))
		return n == -1 ? -errno : -ENOSPC;
	snprintf(folder, sizeof(folder), "%s", path);
	if (stat(dirname(folder), &st) == 0) {
		if ((st.st_mode & S_ISGID) != 0 && fchmod(fd, 0640) == -1)
			return -errno;
		/* Made by root in the folder of whoever is to read it. */
		if (geteuid() == 0 && st.st_uid != 0 &&
		    fchown(fd, st.st_uid, (gid_t)-1) == -1)
			return -errno;
	}
	/* What is sealed with it is only as durable as it is. */
	return fsync(fd) == -1 ? -errno : 0;
}

int
secret_name_sync(const char *path)
{
	char folder[PATH_MAX];
	int fd, rc;

	if ((size_t)snprintf(folder, sizeof(folder), "%s", path) >=
	    sizeof(folder))
		return -ENAMETOOLONG;
	fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		return -errno;
	rc = fsync(fd) == -1 ? -errno : 0;
	close(fd);
	return rc;
}

/* Whole or not at all; another's that came first stays. */
static int
key_make(const char *path)
{
	char part[PATH_MAX];
	int fd, rc;

	if ((size_t)snprintf(part, sizeof(part), "%s.XXXXXX", path) >=
	    sizeof(part))
		return -ENAMETOOLONG;
	if ((fd = mkostemp(part, O_CLOEXEC)) == -1)
		return -errno;
	rc = key_write(fd, path);
	close(fd);
	if (rc == 0 && link(part, path) == -1 && errno != EEXIST)
		rc = -errno;
	unlink(part);
	return rc == 0 ? secret_name_sync(path) : rc;
}

int
secret_key_load(
    const char *path, bool make, unsigned char key[static SECRET_KEY_LEN])
{
	int rc = key_read(path, key);

	if (rc != -ENOENT || !make)
		return rc;
	if ((rc = key_make(path)) != 0)
		return rc;
	return key_read(path, key);
}

/* --- of people --- */

int
secret_line_read(const char *path, struct buf *out, struct buf *err)
{
	char text[SECRET_LINE_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof(text));
	int rc = n == -1 ? -errno : 0;
	struct slice rest, line;

	if (fd != -1)
		close(fd);
	if (rc == 0) {
		rest = slice(text, (size_t)n);
		line = slice_trim(slice_split(&rest, '\n'));
		if (!buf_put_slice(out, line))
			rc = -ENOMEM;
	}
	OPENSSL_cleanse(text, sizeof(text));
	if (rc != 0)
		buf_printf(err, "%s: %s", path, strerror(-rc));
	return rc;
}

/* --- sealing --- */

int
secret_seal(const unsigned char key[static SECRET_KEY_LEN], struct slice about,
    struct slice plain, struct buf *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char *p;
	int n = 0;
	bool ok;

	p = malloc(plain.n + SECRET_OVERHEAD);
	ok = c != NULL && p != NULL;
	if (ok) {
		random_octets(p, NONCE_LEN);
		ok = EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, p) ==
			1 &&
		    EVP_EncryptUpdate(c, NULL, &n,
			(const unsigned char *)about.p, (int)about.n) == 1 &&
		    EVP_EncryptUpdate(c, p + NONCE_LEN, &n,
			(const unsigned char *)plain.p, (int)plain.n) == 1 &&
		    EVP_EncryptFinal_ex(c, p + NONCE_LEN + n, &n) == 1 &&
		    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN,
			p + NONCE_LEN + plain.n) == 1;
	}
	ok = ok && buf_put(out, p, plain.n + SECRET_OVERHEAD);
	EVP_CIPHER_CTX_free(c);
	free(p);
	return ok ? 0 : -EIO;
}

int
secret_open(const unsigned char key[static SECRET_KEY_LEN], struct slice about,
    struct slice sealed, struct buf *out)
{
	const unsigned char *in = (const unsigned char *)sealed.p;
	unsigned char tag[TAG_LEN], *p;
	EVP_CIPHER_CTX *c;
	size_t plain;
	int n = 0;
	bool ok;

	if (sealed.n < SECRET_OVERHEAD)
		return -EBADMSG;
	plain = sealed.n - SECRET_OVERHEAD;
	memcpy(tag, in + NONCE_LEN + plain, TAG_LEN);
	p = malloc(plain + 1);
	c = EVP_CIPHER_CTX_new();
	if (p == NULL || c == NULL) {
		free(p);
		EVP_CIPHER_CTX_free(c);
		return -ENOMEM;
	}
	ok = EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, in) == 1 &&
	    EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)about.p,
		(int)about.n) == 1 &&
	    EVP_DecryptUpdate(c, p, &n, in + NONCE_LEN, (int)plain) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
	    EVP_DecryptFinal_ex(c, p + n, &n) == 1;
	ok = ok && buf_put(out, p, plain);
	OPENSSL_cleanse(p, plain + 1);
	free(p);
	EVP_CIPHER_CTX_free(c);
	return ok ? 0 : -EBADMSG;
}
