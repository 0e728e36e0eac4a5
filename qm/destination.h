/* SPDX-License-Identifier: ISC */
/*
 * The name of a destination: where mail goes, and what its connections must
 * offer. Mail that needs more than other mail to the same place has a
 * destination, so connections, of its own. Pure functions.
 */
#ifndef PNEU_QM_DESTINATION_H
#define PNEU_QM_DESTINATION_H

#include <stdbool.h>

#include "qm/queue/queue.h"

#define DESTINATION_LOCAL "local"

enum destination_kind {
	DESTINATION_MAILBOX,
	DESTINATION_SMARTHOST,
	DESTINATION_DOMAIN,
	DESTINATION_GATEWAY, /* which sends by the sender's outside account */
};

/* What a server must have, else the next one is asked. */
enum destination_need {
	DESTINATION_BY = 1 << 0, /* DELIVERBY (RFC 2852 4.1.4.1) */
	/* REQUIRETLS, and TLS with a name that is sure (RFC 8689 4.2.1); the
	 * second for reports, which go without rather than not at all. */
	DESTINATION_TLS = 1 << 1,
	DESTINATION_TLS_IF = 1 << 2,
	/* Whatever the domain's policies say, it goes (RFC 8689 4.2.2). */
	DESTINATION_TLS_ANY = 1 << 3,
};

struct destination_name {
	enum destination_kind kind;
	unsigned needs;     /* enum destination_need */
	const char *domain; /* of DESTINATION_DOMAIN; of _GATEWAY the sender */
};

/* "smarthost+by", "smtp:else.test" (the domain in lower-case), in m's arena:
 * for that mail of m which is not local. NULL when out of memory. */
const char *destination_name_of(struct queue_message *m, bool smarthost,
    struct slice domain);
/* The other way; for what was made here. */
struct destination_name destination_parse(const char *name);

#endif
