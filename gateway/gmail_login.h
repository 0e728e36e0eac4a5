/* SPDX-License-Identifier: ISC */
/* Gmail for an outside account that fetch.h has prepared: where, and with its
 * access token, which is renewed once where it is not taken. */
#ifndef PNEU_GATEWAY_GMAIL_LOGIN_H
#define PNEU_GATEWAY_GMAIL_LOGIN_H

#include "gateway/fetch.h"
#include "gateway/gmail_client.h"

struct gmail_login {
	struct gmail g;
	struct fetch *f;
	struct co_mutex renewing;
	enum fetch_end renew_end; /* of the last token */
	struct buf base;
};

/* "https://host:port" */
void gmail_base_put(struct buf *out, const struct outside_server *s);

/* `f` must not move. */
void gmail_login_init(struct gmail_login *l, struct fetch *f);
void gmail_login_clear(struct gmail_login *l);
/* What a call that failed makes of the look; told. */
enum fetch_end gmail_login_failed(struct gmail_login *l, int rc);

#endif
