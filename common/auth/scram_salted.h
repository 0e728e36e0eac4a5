/* SPDX-License-Identifier: ISC */
/*
 * SaltedPasswords of SCRAM, the client's side (RFC 5802 3): what a password gives
 * after thousands of rounds is the same each time as long as the server's salt and
 * count are, so who signs in every few minutes keeps it (5.1 allows that). In this
 * process's memory, of a bounded number, each under an HMAC of all that it comes
 * from: none is ever used for another server's salt or another password.
 */
#ifndef PNEU_AUTH_SCRAM_SALTED_H
#define PNEU_AUTH_SCRAM_SALTED_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/slice.h"

#define SCRAM_SALTED_ID 32
#define SCRAM_SALTED_MAX 32 /* octets: SHA-256 */

/* Of what one comes from. False: do without. */
bool scram_salted_id(const char *mechanism, struct slice user,
    struct slice password, struct slice salt, struct slice count,
    unsigned char id[static SCRAM_SALTED_ID]);
/* Its octets into `out`, and how many; 0: it is not here. */
size_t scram_salted_get(const unsigned char id[static SCRAM_SALTED_ID],
    unsigned char out[static SCRAM_SALTED_MAX]);
void scram_salted_put(
    const unsigned char id[static SCRAM_SALTED_ID], struct slice salted);
/* How often one was here, since the start. */
uint64_t scram_salted_hits(void);
/* Zeros over all of them. */
void scram_salted_wipe(void);

#endif
