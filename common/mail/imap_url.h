/* SPDX-License-Identifier: ISC */
/*
 * IMAP URLs of a message or a part of it (RFC 5092), with the authorization
 * of RFC 4467: imap://user@host/mailbox/;UID=20/;SECTION=1.2;EXPIRE=...
 * ;URLAUTH=submit+user:internal:token. Others (servers, lists, searches) are
 * no business of ours.
 */
#ifndef PNEU_MAIL_IMAP_URL_H
#define PNEU_MAIL_IMAP_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

#define IMAP_URL_MAX 4096 /* octets */

enum imap_url_access {
	IMAP_URL_NO_ACCESS, /* no ;URLAUTH= */
	IMAP_URL_SUBMIT,    /* a submission server, for access_user */
	IMAP_URL_USER,      /* access_user */
	IMAP_URL_AUTHUSER,  /* anybody who has signed in */
	IMAP_URL_ANONYMOUS,
};

struct imap_url {
	struct slice user;	  /* "" when there is none */
	struct slice host;	  /* with port, as written */
	struct slice mailbox;	  /* UTF-8 */
	uint32_t uidvalidity;	  /* 0: not said */
	uint32_t uid;
	struct slice section;	  /* "1.2", "HEADER"; "": the message */
	bool partial;
	uint64_t from, max;	  /* octets; max 0: to the end */
	int64_t expire_s;	  /* INT64_MAX: never */
	enum imap_url_access access;
	struct slice access_user;
	struct slice rump;	  /* what a token is made of: all before it */
	struct slice mechanism, token; /* .p NULL where there are none */
};

/*
 * The whole of `in`. Percent encoding is decoded, but in rump, which is octets
 * of `in`. Only printing ASCII without space, quotes and backslash is let in,
 * so a URL can stand in any line. 0, -EINVAL (not such a URL), -ENOMEM.
 */
int imap_url_parse(struct arena *a, struct slice in, struct imap_url *out);

#endif
