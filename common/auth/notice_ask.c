/* SPDX-License-Identifier: ISC */
#include "common/auth/notice_ask.h"

#include <errno.h>

#include "common/auth/program_ask.h"

#define ASK_MS 120000 /* a test waits for the receiver */

int
notice_ask(
    const struct conf *conf, const char *what, json_t **out, struct buf *err)
{
	struct buf line = BUF_INIT_MAX(1000);
	int rc = -EINVAL;

	*out = NULL;
	if (buf_printf(&line, "XNOTICE %s", what))
		rc = program_ask(
		    conf, "gateway.lmtp", buf_str(&line), ASK_MS, out, err);
	buf_clear(&line);
	return rc;
}
