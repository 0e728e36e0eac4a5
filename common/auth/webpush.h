/* SPDX-License-Identifier: ISC */
/*
 * Web Push: messages that only the receiver's device opens (RFC 8291, by the
 * aes128gcm of RFC 8188), and the server's key pair that push services know it
 * by (VAPID, RFC 8292).
 */
#ifndef PNEU_AUTH_WEBPUSH_H
#define PNEU_AUTH_WEBPUSH_H

#include <openssl/types.h>

#include "common/net/http_url.h"

#define WEBPUSH_POINT 65 /* uncompressed, P-256 */
#define WEBPUSH_AUTH 16
#define WEBPUSH_SALT 16
/* Push services take bodies of 4096 octets (RFC 8291 4). */
#define WEBPUSH_MAX 3993

/* --- the server's keys --- */

struct webpush_key; /* P-256, for signing */

/* From the file, made where it is missing, mode 0600. 0, -EINVAL (not such a
 * key), -errno. */
int webpush_key_load(const char *path, struct webpush_key **out);
void webpush_key_free(struct webpush_key **k);
/* In base64url: what a browser is to subscribe with. */
bool webpush_key_public(const struct webpush_key *k, struct buf *out);
/*
 * The value of Authorization for messages to that service: good for 12 hours.
 * `contact`: mailto: or https:. 0, -EIO.
 */
int webpush_vapid(const struct webpush_key *k, const struct http_url *to,
    const char *contact, int64_t now_s, struct buf *out);

/* --- messages --- */

/* Is it a point of the curve? */
bool webpush_point_is_valid(struct slice point);
/*
 * `plain` for who has the point and the auth secret, appended to `out`; padded,
 * so that its length tells little. 0, -EINVAL (no such point), -E2BIG, -EIO.
 */
int webpush_encrypt(
    struct slice point, struct slice auth, struct slice plain, struct buf *out);
/* The same with a key pair of one's own, a salt, and zeros for padding: for
 * the tests' vectors. */
int webpush_encrypt_with(EVP_PKEY *own, struct slice salt, struct slice point,
    struct slice auth, struct slice plain, size_t padding, struct buf *out);

#endif
