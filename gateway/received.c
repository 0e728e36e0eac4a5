/* SPDX-License-Identifier: ISC */
#include "gateway/received.h"

#include <errno.h>

#include "common/mail/date.h"
#include "common/mail/header.h"

#define HEAD_MAX ((size_t)64 << 10)

static int
received_date(struct slice header, struct date *out)
{
	struct header_field f;
	ssize_t semicolon;

	if (!header_find(header, "Received", &f) ||
	    (semicolon = slice_rfind(f.value, ';')) < 0)
		return -EINVAL;
	return date_parse(slice_from(f.value, (size_t)semicolon + 1), out);
}

static int
date_field(struct slice header, struct date *out)
{
	struct header_field f;

	return header_find(header, "Date", &f) ? date_parse(f.value, out)
					       : -EINVAL;
}

int64_t
received_at(struct spool *body, int64_t now_s)
{
	struct slice octets;
	struct date d;

	if (spool_head(body, HEAD_MAX, &octets) != 0)
		return INT64_MIN;
	octets = slice_head(octets, header_size(octets));
	if (received_date(octets, &d) != 0 && date_field(octets, &d) != 0)
		return INT64_MIN;
	return d.time >= 0 && d.time <= now_s ? d.time : INT64_MIN;
}
