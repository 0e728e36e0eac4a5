/* SPDX-License-Identifier: ISC */
/*
 * The servers of an outside address, from the address alone: the big providers,
 * by domain and by MX, then what the domain says in DNS (RFC 6186, RFC 8314 5.1).
 */
#ifndef PNEU_AUTH_OUTSIDE_FIND_H
#define PNEU_AUTH_OUTSIDE_FIND_H

#include "common/auth/outside.h"
#include "common/net/dns.h"

/*
 * Sets protocol, server and smtp of `o` (smtp with host "" where nothing is
 * known), strings in the arena or static. `pop3`: that protocol is wanted, else
 * IMAP before POP3. *hint: a word for the user, or NULL. Waits. 0; -ENOENT:
 * nothing is known; -EPERM: DNS names a host in another domain, and nobody
 * vouches for that (RFC 6186 6): `o` has it, for the user to confirm; -EINVAL:
 * not an address; -EAGAIN: DNS gives no answer.
 */
int outside_find(struct dns *d, struct arena *a, const char *address, bool pop3,
    struct outside *o, const char **hint);

#endif
