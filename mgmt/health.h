/* SPDX-License-Identifier: ISC */
/* Whether our programs answer: a connection to each address, and a look at the
 * greeting. */
#ifndef PNEU_MGMT_HEALTH_H
#define PNEU_MGMT_HEALTH_H

#include <jansson.h>

#include "common/base/conf.h"
#include "mgmt/programs.h"

#define HEALTH_PROBES_MAX 128

struct probe {
	const struct program *program;
	const struct program_protocol *protocol;
	char address[128]; /* as configured */
	bool served; /* or not, for want of a certificate: then it is fine */
	bool ok;
	int64_t took_ms;
	char said[160]; /* the greeting, or what went wrong */
};

struct health {
	struct probe probes[HEALTH_PROBES_MAX];
	size_t n;
	bool ok; /* all of them */
};

/*
 * The health of now, at most 2 seconds old; waits up to 5 seconds. Valid until
 * the caller's next wait. NULL when cancelled.
 */
const struct health *health_now(const struct conf *conf);
/* Once before, and once after: what TLS needs. 0 or -errno. */
int health_open(void);
void health_close(void);

/* {"status": "ok", "programs": {"mta": {"status": ..., "sockets": [...]}}} */
json_t *health_json(const struct health *h);

#endif
