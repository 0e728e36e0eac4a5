/* SPDX-License-Identifier: ISC */
#include "common/mail/imap_url.h"

#include <errno.h>
#include <string.h>

#include "common/mail/charset.h"
#include "common/mail/date.h"
#include "common/mail/lex.h"

#define TOKEN_MIN 32 /* RFC 4467 9 */

/* --- pieces --- */

/* Where `word` stands in s the first (last) time, in any case; -1. */
static ssize_t
find_word(struct slice s, const char *word, bool last)
{
	ssize_t found = -1;

	for (size_t i = 0; i < s.n && (last || found < 0); i++)
		if (slice_starts_nocase(slice_from(s, i), word))
			found = (ssize_t)i;
	return found;
}

/* Go past `word`. */
static bool
take_word(struct slice *s, const char *word)
{
	if (!slice_starts_nocase(*s, word))
		return false;
	*s = slice_from(*s, strlen(word));
	return true;
}

/* At least one digit, up to `max`. */
static bool
take_number(struct slice *s, uint64_t max, uint64_t *out)
{
	struct slice digits = *s;
	size_t n = 0;

	while (n < s->n && ascii_is_digit(s->p[n]))
		n++;
	digits.n = n;
	*s = slice_from(*s, n);
	return n > 0 && slice_u64(digits, max, out) == 0;
}

/* Octets that are no URL's, or would end what it stands in. */
static bool
is_clean(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f ||
		    strchr("\"\\<>{}^`|", s.p[i]) != NULL)
			return false;
	return true;
}

/* Percent encoding out; UTF-8 without control characters. */
static int
decode(struct arena *a, struct slice in, struct slice *out)
{
	char *p = arena_alloc(a, in.n + 1);
	size_t n = 0;

	if (p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < in.n; i++) {
		int hi, lo;

		p[n++] = in.p[i];
		if (in.p[i] != '%')
			continue;
		if (i + 2 >= in.n || (hi = lex_hex_digit(in.p[i + 1])) < 0 ||
		    (lo = lex_hex_digit(in.p[i + 2])) < 0)
			return -EINVAL;
		p[n - 1] = (char)(hi << 4 | lo);
		i += 2;
	}
	*out = slice(p, n);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ' || p[i] == 0x7f)
			return -EINVAL;
	return utf8_is_valid(*out) ? 0 : -EINVAL;
}

/* --- from the end to the front --- */

static int
parse_access(struct arena *a, struct slice s, struct imap_url *out)
{
	if (slice_eq_str_nocase(s, "authuser")) {
		out->access = IMAP_URL_AUTHUSER;
		return 0;
	}
	if (slice_eq_str_nocase(s, "anonymous")) {
		out->access = IMAP_URL_ANONYMOUS;
		return 0;
	}
	if (take_word(&s, "submit+"))
		out->access = IMAP_URL_SUBMIT;
	else if (take_word(&s, "user+"))
		out->access = IMAP_URL_USER;
	else
		return -EINVAL;
	return s.n == 0 ? -EINVAL : decode(a, s, &out->access_user);
}

static bool
is_mechanism(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '.')
			return false;
	return s.n > 0;
}

static bool
is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (lex_hex_digit(s.p[i]) < 0)
			return false;
	return s.n >= TOKEN_MIN;
}

/* "access[:mechanism:token]", which begins `at` octets into the URL. */
static int
parse_urlauth(
    struct arena *a, struct slice in, size_t at, struct imap_url *out)
{
	struct slice s = slice_from(in, at), access;
	ssize_t colon = slice_find(s, ':');

	access = colon < 0 ? s : slice_head(s, (size_t)colon);
	out->rump = slice_head(in, at + access.n);
	if (colon >= 0) {
		s = slice_from(s, (size_t)colon + 1);
		out->mechanism = slice_split(&s, ':');
		out->token = s;
		if (!is_mechanism(out->mechanism) || !is_token(out->token))
			return -EINVAL;
	}
	return parse_access(a, access, out);
}

/* ";EXPIRE=date-time" at the end of *s. */
static int
take_expire(struct slice *s, struct imap_url *out)
{
	ssize_t at = find_word(*s, ";EXPIRE=", true);
	struct date date;

	out->expire_s = INT64_MAX;
	if (at < 0)
		return 0;
	if (date_parse(slice_from(*s, (size_t)at + strlen(";EXPIRE=")),
		&date) != 0)
		return -EINVAL;
	out->expire_s = date.time;
	*s = slice_head(*s, (size_t)at);
	return 0;
}

/* "/;PARTIAL=from[.max]" at the end of *s. */
static int
take_partial(struct slice *s, struct imap_url *out)
{
	ssize_t at = find_word(*s, "/;PARTIAL=", true);
	struct slice rest;

	if (at < 0)
		return 0;
	rest = slice_from(*s, (size_t)at + strlen("/;PARTIAL="));
	*s = slice_head(*s, (size_t)at);
	out->partial = true;
	if (!take_number(&rest, INT64_MAX, &out->from))
		return -EINVAL;
	if (rest.n == 0)
		return 0;
	return take_word(&rest, ".") &&
		take_number(&rest, INT64_MAX, &out->max) && rest.n == 0 &&
		out->max > 0
	    ? 0
	    : -EINVAL;
}

/* "/;SECTION=section" at the end of *s. */
static int
take_section(struct arena *a, struct slice *s, struct imap_url *out)
{
	ssize_t at = find_word(*s, "/;SECTION=", false);
	struct slice text;

	out->section = SLICE_EMPTY;
	if (at < 0)
		return 0;
	text = slice_from(*s, (size_t)at + strlen("/;SECTION="));
	*s = slice_head(*s, (size_t)at);
	return text.n == 0 ? -EINVAL : decode(a, text, &out->section);
}

/* "mailbox[;UIDVALIDITY=n]/;UID=n" */
static int
parse_message(struct arena *a, struct slice s, struct imap_url *out)
{
	ssize_t at = find_word(s, "/;UID=", true);
	struct slice rest;
	uint64_t n;

	if (at < 0)
		return -EINVAL;
	rest = slice_from(s, (size_t)at + strlen("/;UID="));
	if (!take_number(&rest, UINT32_MAX, &n) || n == 0 || rest.n > 0)
		return -EINVAL;
	out->uid = (uint32_t)n;
	s = slice_head(s, (size_t)at);
	at = find_word(s, ";UIDVALIDITY=", true);
	if (at >= 0) {
		rest = slice_from(s, (size_t)at + strlen(";UIDVALIDITY="));
		if (!take_number(&rest, UINT32_MAX, &n) || n == 0 ||
		    rest.n > 0)
			return -EINVAL;
		out->uidvalidity = (uint32_t)n;
		s = slice_head(s, (size_t)at);
	}
	return s.n == 0 ? -EINVAL : decode(a, s, &out->mailbox);
}

/* "[user[;AUTH=mechanism]@]host[:port]" */
static int
parse_server(struct arena *a, struct slice s, struct imap_url *out)
{
	ssize_t at = slice_rfind(s, '@'), auth;
	struct slice user = at < 0 ? SLICE_EMPTY : slice_head(s, (size_t)at);

	out->host = slice_from(s, (size_t)(at + 1));
	if ((auth = find_word(user, ";AUTH=", false)) >= 0)
		user = slice_head(user, (size_t)auth);
	if (out->host.n == 0 || (at >= 0 && user.n == 0))
		return -EINVAL;
	return decode(a, user, &out->user);
}

int
imap_url_parse(struct arena *a, struct slice in, struct imap_url *out)
{
	struct slice s = in, server;
	ssize_t at;
	int rc;

	*out = (struct imap_url){ .rump = in };
	if (in.n > IMAP_URL_MAX || !is_clean(in) || !take_word(&s, "imap://"))
		return -EINVAL;
	server = slice_split(&s, '/');
	if ((rc = parse_server(a, server, out)) != 0)
		return rc;
	if ((at = find_word(s, ";URLAUTH=", true)) >= 0) {
		size_t before = (size_t)(s.p - in.p) + (size_t)at;

		rc = parse_urlauth(
		    a, in, before + strlen(";URLAUTH="), out);
		s = slice_head(s, (size_t)at);
	}
	if (rc == 0)
		rc = take_expire(&s, out);
	if (rc == 0)
		rc = take_partial(&s, out);
	if (rc == 0)
		rc = take_section(a, &s, out);
	return rc == 0 ? parse_message(a, s, out) : rc;
}
