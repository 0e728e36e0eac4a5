/* SPDX-License-Identifier: ISC */
/*
 * The servers of an outside address, from the address alone: the big providers,
 * by domain and by MX, then what the domain says in DNS (RFC 6186, RFC 8314 5.1)
 * and in its file for mail programs (autoconfig.h).
 */
#ifndef PNEU_AUTH_OUTSIDE_FIND_H
#define PNEU_AUTH_OUTSIDE_FIND_H

#include "common/auth/outside.h"
#include "common/net/dns.h"
#include "common/net/http_client.h"

/*
 * Sets protocol, server and smtp of `o` (and user, where the file says another
 * one than it has) (smtp with host "" where nothing is
 * known), strings in the arena or static. `pop3`: that protocol is wanted, else
 * IMAP before POP3. *hint: a word for the user, or NULL. Waits. 0; -ENOENT:
 * nothing is known; -EPERM: DNS names a host in another domain, and nobody
 * vouches for that (RFC 6186 6): `o` has it, for the user to confirm; -EINVAL:
 * not an address; -EAGAIN: DNS gives no answer.
 */
int outside_find(struct dns *d, struct arena *a, const char *address, bool pop3,
    struct outside *o, const char **hint);
/* The same, asking the domain's web server too; `h` NULL: not; `public_only`:
 * only one that the whole world can have, as the address is a user's word. */
int outside_find_online(struct dns *d, struct http_client *h, struct arena *a,
    const char *address, bool pop3, bool public_only, struct outside *o,
    const char **hint);

/* The hint where a provider takes no password. */
extern const char outside_hint_oauth[];

/* Is what was found Gmail, by IMAP or POP3? */
bool outside_is_gmail(const struct outside *o);
/* Then by its API; sending by SMTP stays possible (gateway/relay.h). */
void outside_use_gmail(struct outside *o);

#endif
