/* SPDX-License-Identifier: ISC */
/* The programs of a pneu system as the supervisor and the status page know
 * them; what each serves is told by its own table as well. */
#ifndef PNEU_MGMT_PROGRAMS_H
#define PNEU_MGMT_PROGRAMS_H

#include <stdbool.h>

#define PROGRAM_PROTOCOLS_MAX 8

struct program_protocol {
	const char *name, *setting;
	bool tls; /* nothing to serve without a certificate */
	/* How a greeting begins, and what to say then; NULL: not looked at. */
	const char *greeting, *quit;
};

struct program {
	const char *name;    /* "mta" */
	const char *binary;  /* "pneu-mta" */
	const char *command; /* a word for it, or NULL */
	const char *does;    /* for people */
	struct program_protocol protocols[PROGRAM_PROTOCOLS_MAX];
};

/* In the order of starting; ends with a NULL name. */
extern const struct program programs[];

#endif
