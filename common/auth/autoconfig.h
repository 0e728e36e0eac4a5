/* SPDX-License-Identifier: ISC */
/*
 * What a provider says of its servers in a file for mail programs: Mozilla's
 * autoconfig, config-v1.1.xml. From the domain itself by HTTPS only, so that who
 * vouches for it is who has the domain.
 */
#ifndef PNEU_AUTH_AUTOCONFIG_H
#define PNEU_AUTH_AUTOCONFIG_H

#include "common/auth/outside.h"
#include "common/net/http_client.h"

#define AUTOCONFIG_MAX ((size_t)64 << 10) /* octets of the file */

/*
 * The first server of the wanted protocol (`pop3`; else IMAP before POP3) and the
 * first to send through that have TLS and a way to sign in that we have, into
 * protocol, server, smtp and user of `o`, in the arena. *oauth: tokens are all
 * that it takes. 0; -ENOENT: none of use; -EBADMSG: not such a file, or one with
 * a DTD; -ENOMEM. Pure.
 */
int autoconfig_parse(struct arena *a, struct slice xml, struct slice local,
    struct slice domain, bool pop3, struct outside *o, bool *oauth);

/* The same of what the domain's own two places have, each some 10 s at most:
 * https://autoconfig.DOMAIN/mail/config-v1.1.xml?emailaddress=..., and
 * https://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml. -ENOENT also where
 * there is no answer. `public_only`: only of addresses that the whole world can
 * have. Waits. */
int autoconfig_find(struct http_client *h, struct arena *a, struct slice local,
    struct slice domain, bool pop3, bool public_only, struct outside *o,
    bool *oauth);

#endif
