/* SPDX-License-Identifier: ISC */
/*
 * Messages for 7-bit servers: whatever comes in, the result is the same however
 * it is read, and nothing is left in it to convert.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/mail/seven_bit.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct source {
	struct slice message;
	size_t most;
};

static int
give(void *arg, uint64_t at, void *p, size_t n, size_t *got)
{
	const struct source *s = arg;
	struct slice rest = at < s->message.n
	    ? slice_from(s->message, (size_t)at)
	    : SLICE_EMPTY;

	*got = rest.n < n ? rest.n : n;
	if (*got > s->most)
		*got = s->most;
	memcpy(p, rest.p, *got);
	return 0;
}

static int
convert(struct slice message, size_t most, size_t piece, struct buf *out)
{
	struct source source = { message, most };
	struct seven_bit *s;
	char room[5000];
	ssize_t got;
	int rc = seven_bit_new(&s, give, &source);

	if (rc != 0)
		return rc;
	while ((got = seven_bit_read(s, room, piece)) > 0)
		buf_put(out, room, (size_t)got);
	seven_bit_free(&s);
	return (int)got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf one = BUF_INIT, two = BUF_INIT, again = BUF_INIT;
	struct slice message = slice(p, n);
	int rc;

	if (n > 100000)
		return 0;
	rc = convert(message, SIZE_MAX, 5000, &one);
	if (convert(message, 1 + n % 7, 1 + n % 100, &two) != rc)
		abort();
	if (!slice_eq(buf_slice(&one), buf_slice(&two)))
		abort();
	if (rc != 0 && rc != -ENOTSUP && rc != -ENOMEM)
		abort();
	if (rc == 0) {
		rc = convert(buf_slice(&one), SIZE_MAX, 5000, &again);
		if (rc != 0 && rc != -ENOMEM)
			abort();
		if (rc == 0 && !slice_eq(buf_slice(&one), buf_slice(&again)))
			abort();
	}
	buf_clear(&one);
	buf_clear(&two);
	buf_clear(&again);
	return 0;
}
