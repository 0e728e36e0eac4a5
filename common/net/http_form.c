/* SPDX-License-Identifier: ISC */
#include "common/net/http_form.h"

#include <errno.h>

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

static int
hex(char c)
{
	c = ascii_lower(c);
	return ascii_is_digit(c) ? c - '0'
	    : c >= 'a' && c <= 'f' ? c - 'a' + 10
				   : -1;
}

static int
decode(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (s.n - i < 3 || hex(s.p[i + 1]) < 0 ||
			    hex(s.p[i + 2]) < 0)
				return -EINVAL;
			c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		}
		if (c == '\0')
			return -EINVAL;
		buf_put_char(out, c);
	}
	return out->failed ? -EINVAL : 0;
}

int
http_form_next(struct slice *form, struct buf *name, struct buf *value)
{
	struct slice pair, key;
	int rc;

	buf_reset(name);
	buf_reset(value);
	do {
		if (form->n == 0)
			return 0;
		pair = slice_split(form, '&');
	} while (pair.n == 0);
	key = slice_split(&pair, '=');
	rc = decode(key, name);
	if (rc == 0)
		rc = decode(pair, value);
	return rc == 0 ? 1 : rc;
}
