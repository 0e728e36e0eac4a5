/* SPDX-License-Identifier: ISC */
/*
 * Values with parameters (RFC 2045 5.1, RFC 2183 2): Content-Type and
 * Content-Disposition. Continuations are joined (RFC 2231 3, as its section 6
 * asks of IMAP servers): `name*0*=..; name*1=..` becomes one `name*`.
 */
#ifndef PNEU_MAIL_PARAM_H
#define PNEU_MAIL_PARAM_H

#include <stddef.h>

#include "common/base/arena.h"
#include "common/base/slice.h"

#define PARAMS_MAX 64 /* of one field; the rest is left out */

struct param {
	struct slice name;  /* lower-case; ends in "*" when extended */
	struct slice value; /* unquoted; extended: charset'language'%XX */
};

struct params {
	const struct param *v;
	size_t n;
};

/*
 * Parse `type/subtype; a=b; ...` or `disposition; a=b; ...`: the first word or
 * words lower-case to *type and *subtype (subtype NULL: there is none to
 * expect). Comments are passed over. 0; -EINVAL when the first part is not as
 * it should be (out is untouched); -ENOMEM. Broken parameters are passed over.
 */
int param_field_parse(struct arena *a, struct slice value, struct slice *type,
    struct slice *subtype, struct params *params);

/* The raw value of a parameter, not extended; .p NULL when there is none. */
struct slice param_raw(const struct params *params, const char *name);

/*
 * A parameter as UTF-8: extended ones (RFC 2231 4) decoded, encoded words
 * inside a plain one (which RFC 2047 5 forbids, and everybody sends) too.
 * .p NULL when there is none or the arena is full. Text for people: may hold
 * any character but NUL, also "/" and line ends.
 */
struct slice
param_decode(struct arena *a, const struct params *params, const char *name);

#endif
