/* SPDX-License-Identifier: ISC */
/* A request that is taken has a path that begins with a slash and no blank,
 * and every refusal has a status. */
#include <stdlib.h>

#include "mgmt/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check_status(int rc)
{
	if (rc != 0 && rc != 400 && rc != 413 && rc != 505)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice input = slice(p, n), line = slice_split(&input, '\n');
	struct http_request r;
	int rc = http_request_line(&r, line);

	check_status(rc);
	if (rc != 0)
		return 0;
	if (r.method != HTTP_OTHER && (r.path.n == 0 || r.path.p[0] != '/'))
		abort();
	for (size_t i = 0; i < r.path.n; i++)
		if (r.path.p[i] <= ' ' || r.path.p[i] == '?')
			abort();
	while (input.n > 0) {
		bool had_body = r.has_body;

		rc = http_request_field(&r, slice_split(&input, '\n'));
		check_status(rc);
		if (rc != 0)
			return 0;
		if (had_body && !r.has_body)
			abort();
	}
	check_status(http_request_end(&r));
	return 0;
}
