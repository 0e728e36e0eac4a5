/* SPDX-License-Identifier: ISC */
/*
 * MTA-STS (RFC 8461): what a domain says of the hosts that take its mail, and
 * over HTTPS, so that who sits between cannot say otherwise. The text of it;
 * fetching and keeping is sts_cache.h. Pure functions.
 */
#ifndef PNEU_QM_STS_H
#define PNEU_QM_STS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"

#define STS_AGE_MAX 31557600 /* a year (3.2) */
#define STS_ID_MAX 32
#define STS_MX_MAX 64

enum sts_mode {
	STS_NONE, /* or there is no policy */
	STS_TESTING,
	STS_ENFORCE,
};

struct sts_policy {
	enum sts_mode mode;
	int64_t max_age_s;
	struct slice mx[STS_MX_MAX]; /* "mx.example.org", "*.example.org" */
	size_t n_mx;
};

/*
 * The id of a TXT record (3.1), which points into it. -ENOENT: it is no record
 * of MTA-STS; -EINVAL: a bad one.
 */
int sts_txt_parse(struct slice txt, struct slice *id);
/* The file (3.2); what *out has points into it. -EINVAL: a bad one. */
int sts_policy_parse(struct slice text, struct sts_policy *out);
/* May this host take the mail (4.1)? No final dot, A-labels. */
bool sts_policy_fits(const struct sts_policy *p, struct slice host);

#endif
