/* SPDX-License-Identifier: ISC */
/*
 * A message for a server that takes only 7-bit lines (RFC 6152 3, RFC 3030 4):
 * parts that have more become quoted-printable or base64, and say so in their
 * header; nested messages and multiparts are gone into, because they cannot be
 * encoded themselves (RFC 2045 6.4). All else is copied octet by octet.
 *
 * The message is read three times: for its structure, for what is in its
 * parts, and as it goes out; a chunk is held, never a part.
 */
#ifndef PNEU_MAIL_SEVEN_BIT_H
#define PNEU_MAIL_SEVEN_BIT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct seven_bit;

/* Up to n octets of the message from `at`; *got 0 at its end. 0 or -errno. May
 * wait. */
typedef int seven_bit_source(
    void *arg, uint64_t at, void *p, size_t n, size_t *got);

/*
 * Plan it. 0; -ENOTSUP: it cannot be done (a nested message or multipart that
 * could not be taken apart has 8-bit octets); -ENOMEM; what `source` returned.
 * Raw 8-bit octets in headers stay, and in what a multipart has before and
 * behind its parts: there is no form for them.
 */
int seven_bit_new(struct seven_bit **out, seven_bit_source *source, void *arg);
/* The next octets of the result; 0 at its end; or -errno. */
ssize_t seven_bit_read(struct seven_bit *s, void *p, size_t n);
void seven_bit_free(struct seven_bit **s);

#endif
