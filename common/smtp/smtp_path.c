/* SPDX-License-Identifier: ISC */
/*
 * Reverse-paths and forward-paths: RFC 5321 4.1.2, address literals of 4.1.3,
 * lengths of 4.5.3.1, UTF-8 of RFC 6531 3.3. A cursor walks the input; each
 * function takes what its grammar rule matches.
 *
 * Taken beyond the grammar, as Postfix does, because it is in use and does no
 * harm: dots anywhere in a local part (it is quoted from here on), underscores
 * in a domain, and the dot of the root behind it (dropped).
 */
#include "common/smtp/smtp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/mail/charset.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

struct cursor {
	const char *at, *end;
};

static bool
take(struct cursor *c, char want)
{
	if (c->at == c->end || *c->at != want)
		return false;
	c->at++;
	return true;
}

static bool
is_high(char c)
{
	return (unsigned char)c >= 0x80;
}

/* RFC 5322 3.2.3, and the UTF-8 of RFC 6531 3.3 (validity is checked once for
 * the whole path). */
static bool
is_atext(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || is_high(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_let_dig(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || is_high(c);
}

/* Dot-string = Atom *("." Atom) */
static bool
take_dot_string(struct cursor *c)
{
	do {
		const char *atom = c->at;

		while (c->at < c->end && is_atext(*c->at))
			c->at++;
		if (c->at == atom)
			return false;
	} while (take(c, '.'));
	return true;
}

/* Quoted-string: what it says goes to `out` (room for SMTP_PATH_MAX). */
static bool
take_quoted_string(struct cursor *c, char *out, size_t *n)
{
	*n = 0;
	if (!take(c, '"'))
		return false;
	while (c->at < c->end) {
		char o = *c->at++;

		if (o == '"')
			return true;
		if (o == '\\') {
			if (c->at == c->end || is_high(*c->at))
				return false;
			o = *c->at++;
		}
		if ((unsigned char)o < 0x20 || o == 0x7f)
			return false;
		if (*n < SMTP_PATH_MAX)
			out[(*n)++] = o;
	}
	return false;
}

/* Atoms and dots in any order, but not dots alone. */
static bool
take_loose_dot_string(struct cursor *c)
{
	bool atom = false;

	for (; c->at < c->end && (is_atext(*c->at) || *c->at == '.'); c->at++)
		atom = atom || *c->at != '.';
	return atom;
}

/* The local part without quotes, in `out` (room for SMTP_PATH_MAX, which is
 * more than fits in a path). */
static bool
take_local(struct cursor *c, char *out, size_t *n)
{
	const char *start = c->at;

	if (c->at < c->end && *c->at == '"')
		return take_quoted_string(c, out, n);
	if (!take_loose_dot_string(c))
		return false;
	*n = (size_t)(c->at - start);
	memcpy(out, start, *n <= SMTP_PATH_MAX ? *n : SMTP_PATH_MAX);
	return true;
}

/* Domain = sub-domain *("." sub-domain) */
static bool
take_domain(struct cursor *c)
{
	do {
		const char *label = c->at;

		while (c->at < c->end &&
		    (is_let_dig(*c->at) || *c->at == '-' || *c->at == '_'))
			c->at++;
		if (c->at == label || *label == '-' || c->at[-1] == '-')
			return false;
		/* UTF-8 labels are measured as A-labels, by who looks up. */
		if (c->at - label > LABEL_MAX &&
		    ascii_is_all(slice(label, (size_t)(c->at - label))))
			return false;
	} while (take(c, '.') && (c->at == c->end || *c->at != '>'));
	return true;
}

/* RFC 5321 4.1.3. No general address literal has ever been registered. */
static bool
take_literal(struct cursor *c)
{
	struct slice in = { c->at + 1, (size_t)(c->end - c->at) - 1 };
	unsigned char address[16];
	char text[INET6_ADDRSTRLEN];
	ssize_t n = slice_find(in, ']');
	int family = AF_INET;

	if (n < 0)
		return false;
	in = slice_head(in, (size_t)n);
	c->at = in.p + n + 1;
	if (slice_starts_nocase(in, "IPv6:")) {
		family = AF_INET6;
		in = slice_from(in, 5);
	}
	if (in.n >= sizeof(text) || memchr(in.p, '\0', in.n) != NULL)
		return false;
	memcpy(text, in.p, in.n);
	text[in.n] = '\0';
	return inet_pton(family, text, address) == 1;
}

/* A-d-l ":", the source route, which is ignored (RFC 5321 Appendix C). */
static bool
take_source_route(struct cursor *c)
{
	do {
		if (!take(c, '@'))
			return false;
		if (c->at < c->end && *c->at == '[' ? !take_literal(c)
						    : !take_domain(c))
			return false;
	} while (take(c, ','));
	return take(c, ':');
}

static int
path_copy(struct arena *a, struct slice local, struct slice domain,
    struct slice text, struct smtp_path *out)
{
	struct smtp_path p;

	p.local = arena_dup(a, local);
	p.domain = arena_dup(a, domain);
	p.text = arena_dup(a, text);
	p.utf8 = !ascii_is_all(text);
	if (p.local.p == NULL || p.domain.p == NULL || p.text.p == NULL)
		return SMTP_PATH_NOMEM;
	*out = p;
	return SMTP_PATH_OK;
}

/* "@" and what follows it up to ">". <Postmaster> alone may do without. */
static int
take_rest(struct cursor *c, struct slice local, struct slice *domain)
{
	const char *start;

	*domain = SLICE_EMPTY;
	if (take(c, '>'))
		return slice_eq_str_nocase(local, "postmaster")
		    ? SMTP_PATH_OK
		    : SMTP_PATH_SYNTAX;
	if (!take(c, '@') || c->at == c->end)
		return SMTP_PATH_SYNTAX;
	start = c->at;
	if (*c->at == '[' ? !take_literal(c) : !take_domain(c))
		return SMTP_PATH_SYNTAX;
	*domain = slice(start, (size_t)(c->at - start));
	if (c->at[-1] == '.')
		domain->n--;
	return take(c, '>') ? SMTP_PATH_OK : SMTP_PATH_SYNTAX;
}

static bool
is_dot_string(struct slice s)
{
	struct cursor c = { s.p, s.p + s.n };

	return take_dot_string(&c) && c.at == c.end;
}

/* The path as it goes on the wire from here, into the arena. */
static int
path_finish(struct arena *a, struct slice local, struct slice domain,
    struct slice text, struct smtp_path *out)
{
	struct buf strict = BUF_INIT_MAX(3 * SMTP_PATH_MAX);
	int rc;

	if (!utf8_is_valid(text))
		return SMTP_PATH_SYNTAX;
	if (*text.p != '"' && !is_dot_string(local)) {
		if (!smtp_path_write(&strict, local, domain))
			return SMTP_PATH_NOMEM;
		text = buf_slice(&strict);
	}
	if (domain.n > SMTP_DOMAIN_MAX || text.n > SMTP_PATH_MAX - 2)
		rc = SMTP_PATH_TOO_LONG;
	else
		rc = path_copy(a, local, domain, text, out);
	buf_clear(&strict);
	return rc;
}

static int
path_parse(struct arena *a, struct slice in, size_t local_max,
    struct smtp_path *out, size_t *used)
{
	struct cursor c = { in.p, in.p + in.n };
	char unquoted[SMTP_PATH_MAX];
	struct slice local = { unquoted, 0 }, domain, text;
	int rc;

	if (!take(&c, '<'))
		return SMTP_PATH_SYNTAX;
	if (take(&c, '>')) {
		rc = path_copy(a, SLICE_EMPTY, SLICE_EMPTY, SLICE_EMPTY, out);
		if (rc == SMTP_PATH_OK)
			*used = 2;
		return rc;
	}
	if (c.at < c.end && *c.at == '@' && !take_source_route(&c))
		return SMTP_PATH_SYNTAX;
	text.p = c.at;
	if (!take_local(&c, unquoted, &local.n))
		return SMTP_PATH_SYNTAX;
	if (local.n == 0 || local.n > local_max)
		return local.n == 0 ? SMTP_PATH_SYNTAX : SMTP_PATH_TOO_LONG;
	if ((rc = take_rest(&c, local, &domain)) != SMTP_PATH_OK)
		return rc;
	/* Up to ">", or the dot before it. */
	text.n = domain.n > 0 ? (size_t)(domain.p + domain.n - text.p)
			      : (size_t)(c.at - text.p) - 1;
	rc = path_finish(a, local, domain, text, out);
	if (rc == SMTP_PATH_OK)
		*used = (size_t)(c.at - in.p);
	return rc;
}

int
smtp_path_parse(
    struct arena *a, struct slice in, struct smtp_path *out, size_t *used)
{
	return path_parse(a, in, SMTP_LOCAL_MAX, out, used);
}

int
smtp_long_path_parse(
    struct arena *a, struct slice in, struct smtp_path *out, size_t *used)
{
	return path_parse(a, in, SMTP_PATH_MAX - 2, out, used);
}

static bool
has_control(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

bool
smtp_path_write(struct buf *b, struct slice local, struct slice domain)
{
	size_t start = b->n;

	if (has_control(local) || has_control(domain) ||
	    slice_find(domain, '>') >= 0 || slice_find(domain, ' ') >= 0)
		return false;
	if (local.n == 0 || is_dot_string(local)) {
		buf_put_slice(b, local);
	} else {
		/* RFC 5321 4.1.2: the form with the least quoting. */
		buf_put_char(b, '"');
		for (size_t i = 0; i < local.n; i++) {
			if (local.p[i] == '"' || local.p[i] == '\\')
				buf_put_char(b, '\\');
			buf_put_char(b, local.p[i]);
		}
		buf_put_char(b, '"');
	}
	if (domain.n > 0) {
		buf_put_char(b, '@');
		buf_put_slice(b, domain);
	}
	if (b->failed)
		buf_truncate(b, start);
	return !b->failed;
}
