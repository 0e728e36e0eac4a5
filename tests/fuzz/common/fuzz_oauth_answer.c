/* SPDX-License-Identifier: ISC */
/* What a token endpoint says (the first octet gives the status), read as an
 * answer for tokens and as one for devices: what comes out may be sent in a line
 * and shown at a terminal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/oauth_client.h"
#include "common/auth/oauth_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_plain(const char *s)
{
	if (s == NULL)
		abort();
	for (; *s != '\0'; s++)
		if (*s < 0x20 || *s > 0x7e)
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int statuses[] = { 200, 400, 401, 428, 429, 500, 0, 302 };
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct oauth_answer o;
	struct oauth_device d;
	struct slice json;
	int rc, status;

	if (size == 0)
		return 0;
	status = statuses[data[0] % 8];
	json = slice(data + 1, size - 1);
	rc = oauth_answer_parse(&a, status, json, &o);
	check_plain(o.access);
	check_plain(o.refresh);
	if (rc > 0 || (rc == 0) != (*o.access != '\0') ||
	    (rc == 0 && (status != 200 || *o.error != '\0')) ||
	    (rc != 0 && *o.error == '\0' && *o.description == '\0') ||
	    o.expires_s < 0)
		abort();
	rc = oauth_device_parse(&a, json, &d);
	if (rc == 0) {
		check_plain(d.device_code);
		check_plain(d.user_code);
		check_plain(d.url);
		check_plain(d.url_with_code);
		if (strncmp(d.url, "https://", 8) != 0 || d.interval_s < 1 ||
		    d.expires_s < 1)
			abort();
	}
	arena_reset(&a);
	return 0;
}
