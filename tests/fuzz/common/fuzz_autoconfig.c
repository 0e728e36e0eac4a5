/* SPDX-License-Identifier: ISC */
/* A file of Mozilla's autoconfig: what comes out of it can be put in a record. */
#include <stdlib.h>
#include <string.h>

#include "common/auth/autoconfig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(const char *s, bool host)
{
	if (s == NULL || strlen(s) > 255)
		abort();
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f ||
		    (host && !ascii_is_alpha(*s) && !ascii_is_digit(*s) &&
			*s != '-' && *s != '.'))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice xml = slice(data, size);

	for (int pop3 = 0; pop3 < 2; pop3++) {
		struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
		struct outside o = { .user = "u", .smtp = { .host = "" } };
		bool oauth = false;

		if (autoconfig_parse(&a, xml, SLICE_LIT("local"),
			SLICE_LIT("d.test"), pop3 == 1, &o, &oauth) == 0) {
			check_text(o.server.host, true);
			check_text(o.smtp.host, true);
			check_text(o.user, false);
			if (*o.server.host == '\0' || o.server.port == 0 ||
			    o.server.security == OUTSIDE_PLAIN ||
			    (pop3 == 1 && o.protocol != OUTSIDE_POP3) ||
			    (*o.smtp.host != '\0' &&
				(o.smtp.port == 0 ||
				    o.smtp.security == OUTSIDE_PLAIN)))
				abort();
		}
		arena_reset(&a);
	}
	return 0;
}
