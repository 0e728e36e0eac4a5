/* SPDX-License-Identifier: ISC */
/*
 * A configuration is refused with a reason, or taken; and what is shown of it
 * is JSON for machines, and for people a configuration that shows the same.
 */
#include <jansson.h>
#include <stdlib.h>

#include "common/base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
check_json(const struct conf *c)
{
	struct buf out = BUF_INIT;
	json_t *j;

	conf_show(c, true, &out);
	if (out.failed || (j = json_loadb(out.p, out.n, 0, NULL)) == NULL)
		abort();
	json_decref(j);
	buf_clear(&out);
}

static void
check_text(const struct conf *c)
{
	struct buf one = BUF_INIT, two = BUF_INIT, err = BUF_INIT;
	struct conf *again;

	conf_show(c, false, &one);
	if ((again = conf_parse("f", buf_slice(&one), &err)) == NULL)
		abort();
	conf_show(again, false, &two);
	conf_free(&again);
	/* Now all values come from a file of this layout: so do the origins. */
	if ((again = conf_parse("f", buf_slice(&two), &err)) == NULL)
		abort();
	buf_reset(&one);
	conf_show(again, false, &one);
	if (!slice_eq(buf_slice(&one), buf_slice(&two)))
		abort();
	conf_free(&again);
	buf_clear(&one);
	buf_clear(&two);
	buf_clear(&err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf err = BUF_INIT;
	struct conf *c = conf_parse("f", slice(p, n), &err);

	if ((c == NULL) != (err.n > 0))
		abort();
	if (c != NULL) {
		check_json(c);
		check_text(c);
	}
	conf_free(&c);
	buf_clear(&err);
	return 0;
}
