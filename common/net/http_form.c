/* SPDX-License-Identifier: ISC */
#include "common/net/http_form.h"

static bool
is_unreserved(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '.' ||
	    c == '_' || c == '~';
}

bool
http_percent_put(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_unreserved(s.p[i]))
			buf_put_char(b, s.p[i]);
		else
			buf_printf(b, "%%%02X", (unsigned char)s.p[i]);
	return !b->failed;
}

bool
http_form_put(struct buf *b, const char *name, struct slice value)
{
	if (b->n > 0 && b->p[b->n - 1] != '?')
		buf_put_char(b, '&');
	buf_put_str(b, name);
	buf_put_char(b, '=');
	return http_percent_put(b, value);
}
