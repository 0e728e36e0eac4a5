/* SPDX-License-Identifier: ISC */
/*
 * Address lists of header fields (RFC 5322 3.4, with the obsolete forms of 4.4,
 * UTF-8 by RFC 6532, groups in From by RFC 6854), and the canonical form of an
 * e-mail address.
 *
 * Tolerant: every field gives a list. What cannot be understood becomes an
 * address that is marked `broken` and whose parts show what was written.
 */
#ifndef PNEU_MAIL_ADDRESS_H
#define PNEU_MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/slice.h"

/* Of a list; what stands after them is left out, `truncated` says so. */
#define ADDRESS_LIST_MAX 8192

enum address_kind {
	ADDRESS_MAILBOX,
	ADDRESS_GROUP_START, /* name and raw_name hold the group's name */
	ADDRESS_GROUP_END,
};

/* Parts that are absent have .p NULL. */
struct address {
	enum address_kind kind;
	bool broken;
	struct slice raw_name; /* unquoted, comments out, encoded words left:
				  as IMAP wants it. "a@b (Name)" counts too */
	struct slice name;     /* the same in UTF-8 (RFC 2047 decoded) */
	struct slice route;    /* "@a,@b" of an obsolete route */
	struct slice local;    /* without quotes */
	struct slice domain;   /* as written, comments and white space out;
				  NULL where there is no "@" */
};

struct address_list {
	struct address *v;
	size_t n;
	bool truncated;
};

/* `value` is a raw or unfolded field value. 0 or -ENOMEM (arena full). All
 * slices are in the arena. An empty value gives an empty list. */
int address_list_parse(
    struct arena *a, struct slice value, struct address_list *out);

/* The first mailbox that is not broken, or NULL: whom a From names. */
const struct address *address_list_first(const struct address_list *list);

/*
 * Write a mailbox for a header field: `Name <local@domain>`, the name quoted
 * or (when `utf8` is false and it is not ASCII) as encoded words, the local
 * part quoted where needed.
 */
bool address_put(struct buf *b, const struct address *m, bool utf8);
/* Only local@domain, local part quoted where needed (RFC 5321 4.1.2). */
bool address_put_spec(struct buf *b, struct slice local, struct slice domain);

/* --- single addresses, as accounts and envelopes have them --- */

#define ADDRESS_LOCAL_MAX 64   /* RFC 5321 4.5.3.1.1 */
#define ADDRESS_DOMAIN_MAX 255 /* RFC 5321 4.5.3.1.2 */
#define ADDRESS_MAX 254        /* RFC 5321 4.5.3.1.3 less the "<>" */

/*
 * Cut "local@domain" at the "@" that is not inside quotes; the local part
 * keeps its quotes. -EINVAL when either is empty or there is no "@".
 */
int
address_split(struct slice address, struct slice *local, struct slice *domain);

/*
 * The form in which addresses are looked up and compared: local part unquoted
 * where it may be, NFC and lower-case; "@"; domain as domain_canonical.
 * Two addresses are the same mailbox here when this is the same. In the
 * arena, at most ADDRESS_MAX octets.
 * -EINVAL: not an address, or over a limit; -ENOMEM.
 */
int address_canonical(struct arena *a, struct slice address, struct slice *out);
/* Only the local part (with or without quotes). */
int
address_canonical_local(struct arena *a, struct slice local, struct slice *out);
/*
 * Lower-case, U-labels as A-labels (IDNA2008, UTS 46 non-transitional); an
 * address literal "[...]" lower-case. One dot at the end is dropped.
 * -EINVAL, -ENOMEM.
 */
int domain_canonical(struct arena *a, struct slice domain, struct slice *out);
/* For people: A-labels as UTF-8 where that can be turned back. The input
 * itself otherwise. .p NULL when the arena is full. */
struct slice domain_display(struct arena *a, struct slice domain);

#endif
