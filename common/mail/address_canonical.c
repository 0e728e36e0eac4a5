/* SPDX-License-Identifier: ISC */
/* One spelling for each e-mail address: what accounts are looked up by. */
#include "common/mail/address.h"

#include <errno.h>
#include <idn2.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

#include "common/mail/charset.h"
#include "common/mail/lex.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */

int
address_split(struct slice address, struct slice *local, struct slice *domain)
{
	size_t at = 0;

	if (address.n > 0 && *address.p == '"') {
		at = lex_quoted_size(address);
		if (at >= address.n || address.p[at] != '@')
			return -EINVAL;
	} else {
		ssize_t last = slice_rfind(address, '@');

		if (last < 0)
			return -EINVAL;
		at = (size_t)last;
	}
	if (at == 0 || at + 1 == address.n)
		return -EINVAL;
	*local = slice_head(address, at);
	*domain = slice_from(address, at + 1);
	return 0;
}

/* --- domains --- */

static bool
is_label(struct slice s)
{
	if (s.n == 0 || s.n > LABEL_MAX || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

static bool
is_domain(struct slice s)
{
	if (s.n == 0 || s.n > ADDRESS_DOMAIN_MAX || s.p[s.n - 1] == '.')
		return false;
	while (s.n > 0)
		if (!is_label(slice_split(&s, '.')))
			return false;
	return true;
}

/* RFC 5321 4.1.3, the inside not looked at closely. */
static bool
is_literal(struct slice s)
{
	if (s.n < 3 || s.n > ADDRESS_DOMAIN_MAX || s.p[0] != '[' ||
	    s.p[s.n - 1] != ']')
		return false;
	for (size_t i = 1; i + 1 < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    memchr(".:-", s.p[i], 3) == NULL)
			return false;
	return true;
}

static int
lower_into(struct arena *a, struct slice s, struct slice *out)
{
	char *p = arena_strdup(a, s);

	if (p == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s.n; i++)
		p[i] = ascii_lower(p[i]);
	*out = slice(p, s.n);
	return 0;
}

static int
domain_to_ascii(struct arena *a, struct slice domain, struct slice *out)
{
	char *s = slice_strdup(domain), *ascii = NULL;
	int rc, code;

	if (s == NULL)
		return -ENOMEM;
	code =
	    idn2_to_ascii_8z(s, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	free(s);
	if (code == IDN2_MALLOC)
		return -ENOMEM;
	if (code != IDN2_OK)
		return -EINVAL;
	rc = is_domain(slice_str(ascii)) ? lower_into(a, slice_str(ascii), out)
					 : -EINVAL;
	idn2_free(ascii);
	return rc;
}

int
domain_canonical(struct arena *a, struct slice domain, struct slice *out)
{
	if (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	/* UTF-8 can be longer than its A-labels, but not without end. */
	if (domain.n == 0 || domain.n > 4 * ADDRESS_DOMAIN_MAX)
		return -EINVAL;
	if (is_domain(domain) || is_literal(domain))
		return lower_into(a, domain, out);
	if (ascii_is_all(domain) || !utf8_is_valid(domain) ||
	    slice_find(domain, '\0') >= 0)
		return -EINVAL;
	return domain_to_ascii(a, domain, out);
}

struct slice
domain_display(struct arena *a, struct slice domain)
{
	char *s, *utf8 = NULL;
	struct slice out, back;

	if ((s = arena_strdup(a, domain)) == NULL)
		return slice(NULL, 0);
	out = slice(s, domain.n);
	if (slice_find_slice(domain, SLICE_LIT("xn--")) < 0 ||
	    strlen(s) != domain.n ||
	    idn2_to_unicode_8z8z(s, &utf8, 0) != IDN2_OK)
		return out;
	/* Only what leads back to the same name may stand for it. */
	if (domain_canonical(a, slice_str(utf8), &back) == 0 &&
	    slice_eq_nocase(back, domain))
		out = arena_dup(a, slice_str(utf8));
	idn2_free(utf8);
	return out;
}

/* --- local parts --- */

/* The local part without quotes, and whether it is one at all. */
static int
plain_local(struct arena *a, struct slice local, struct slice *out)
{
	char *p;

	*out = local;
	if (local.n > 0 && *local.p == '"') {
		if (local.n < 2 || lex_quoted_size(local) != local.n ||
		    local.p[local.n - 1] != '"')
			return -EINVAL;
		if ((p = arena_alloc(a, local.n)) == NULL)
			return -ENOMEM;
		*out = slice(p, lex_unquote(local, p));
	} else {
		/* Dots in odd places are in use, without quotes. */
		for (size_t i = 0; i < local.n; i++)
			if (!lex_is_atext(local.p[i]) && local.p[i] != '.')
				return -EINVAL;
	}
	if (out->n == 0 || !utf8_is_valid(*out))
		return -EINVAL;
	for (size_t i = 0; i < out->n; i++)
		if ((unsigned char)out->p[i] < ' ' || out->p[i] == 127)
			return -EINVAL;
	return 0;
}

/* NFC and lower-case; malloc'd. */
static char *
lower_nfc(struct slice s, size_t *n)
{
	return (char *)u8_tolower(
	    (const uint8_t *)s.p, s.n, NULL, UNINORM_NFC, NULL, n);
}

int
address_canonical_local(struct arena *a, struct slice local, struct slice *out)
{
	struct buf b = BUF_INIT;
	struct slice plain, result;
	size_t n;
	char *p;
	int rc;

	if (local.n > 4 * ADDRESS_LOCAL_MAX)
		return -EINVAL;
	if ((rc = plain_local(a, local, &plain)) != 0)
		return rc;
	if ((p = lower_nfc(plain, &n)) == NULL)
		return -ENOMEM;
	address_put_spec(&b, slice(p, n), SLICE_EMPTY);
	free(p);
	result = arena_dup(a, buf_slice(&b));
	rc = b.failed || result.p == NULL  ? -ENOMEM
	    : result.n > ADDRESS_LOCAL_MAX ? -EINVAL
					   : 0;
	buf_clear(&b);
	if (rc == 0)
		*out = result;
	return rc;
}

int
address_canonical(struct arena *a, struct slice address, struct slice *out)
{
	struct slice local, domain, l, d;
	char *p;
	int rc;

	if ((rc = address_split(address, &local, &domain)) != 0 ||
	    (rc = address_canonical_local(a, local, &l)) != 0 ||
	    (rc = domain_canonical(a, domain, &d)) != 0)
		return rc;
	if (l.n + 1 + d.n > ADDRESS_MAX)
		return -EINVAL;
	p = arena_printf(a, "%.*s@%.*s", (int)l.n, l.p, (int)d.n, d.p);
	if (p == NULL)
		return -ENOMEM;
	*out = slice_str(p);
	return 0;
}
