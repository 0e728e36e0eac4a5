/* SPDX-License-Identifier: ISC */
/*
 * Parameters of MAIL and RCPT (RFC 5321 4.1.2 esmtp-param): two tables, one
 * row per parameter with the extension that brings it.
 */
#include "common/smtp/smtp.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/mail/charset.h"
#include "common/mail/date.h"

#define ENVID_MAX 100 /* RFC 3461 5.4, encoded */
#define ORCPT_MAX 500

struct parse {
	struct arena *arena;
	unsigned offered;
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt;
};

/* A value's parser: 0, -EINVAL (501) or -ENOMEM (452). */
struct param {
	const char *keyword;
	unsigned ext;
	int (*set)(struct parse *p, struct slice value);
	bool without_value;
};

/* What xtext and the like decode to is copied into the arena. RFC 3461 4.2 and
 * 4.4 allow nothing but printable ASCII and space in it; UTF-8 may come by
 * RFC 6533. So nothing can break out of a header field or a log line. */
static int
keep_decoded(struct parse *p, int rc, struct buf *decoded, struct slice *out)
{
	struct slice s = buf_slice(decoded);

	for (size_t i = 0; rc == 0 && i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
			rc = -EINVAL;
	if (rc == 0 && !utf8_is_valid(s))
		rc = -EINVAL;
	if (rc == 0) {
		*out = arena_dup(p->arena, s);
		rc = out->p == NULL ? -ENOMEM : 0;
	}
	buf_clear(decoded);
	return rc;
}

static int
keep_xtext(struct parse *p, struct slice value, struct slice *out)
{
	struct buf b = BUF_INIT_MAX(value.n + 1);
	int rc = smtp_xtext_decode(value, &b);

	return keep_decoded(p, rc, &b, out);
}

/* --- MAIL --- */

static int
set_size(struct parse *p, struct slice value)
{
	/* RFC 1870 3: 1 to 20 digits. More than 64 bits is too much in any
	 * case; the size check says so. */
	int rc = value.n > 20 ? -EINVAL
			      : slice_u64(value, UINT64_MAX, &p->mail->size);

	if (rc == -ERANGE) {
		p->mail->size = UINT64_MAX;
		rc = 0;
	}
	return rc;
}

static int
set_body(struct parse *p, struct slice value)
{
	if (slice_eq_str_nocase(value, "7BIT"))
		p->mail->body = SMTP_BODY_7BIT;
	else if (slice_eq_str_nocase(value, "8BITMIME"))
		p->mail->body = SMTP_BODY_8BITMIME;
	else if (slice_eq_str_nocase(value, "BINARYMIME") &&
	    (p->offered & SMTP_EXT_BINARYMIME))
		p->mail->body = SMTP_BODY_BINARYMIME;
	else
		return -EINVAL;
	return 0;
}

static int
set_smtputf8(struct parse *p, struct slice value)
{
	(void)value;
	p->mail->smtputf8 = true;
	return 0;
}

static int
set_ret(struct parse *p, struct slice value)
{
	if (slice_eq_str_nocase(value, "FULL"))
		p->mail->ret = SMTP_RET_FULL;
	else if (slice_eq_str_nocase(value, "HDRS"))
		p->mail->ret = SMTP_RET_HDRS;
	else
		return -EINVAL;
	return 0;
}

static int
set_envid(struct parse *p, struct slice value)
{
	if (value.n > ENVID_MAX)
		return -EINVAL;
	return keep_xtext(p, value, &p->mail->envid);
}

/* AUTH=<> or a mailbox (RFC 4954 5); which of the two is to be trusted is not
 * for the parser to say. */
static int
set_auth(struct parse *p, struct slice value)
{
	return keep_xtext(p, value, &p->mail->auth);
}

static int
set_prdr(struct parse *p, struct slice value)
{
	(void)value;
	p->mail->prdr = true;
	return 0;
}

static int
set_trace(struct parse *p, struct slice value)
{
	if (value.n != ID_LEN)
		return -EINVAL;
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_is_alpha(value.p[i]) && !ascii_is_digit(value.p[i]))
			return -EINVAL;
	p->mail->trace = arena_dup(p->arena, value);
	return p->mail->trace.p == NULL ? -ENOMEM : 0;
}

static int
set_source(struct parse *p, struct slice value)
{
	p->mail->source = arena_dup(p->arena, value);
	return p->mail->source.p == NULL ? -ENOMEM : 0;
}

/* --- FUTURERELEASE: one of HOLDFOR and HOLDUNTIL (RFC 4865 3, 4) --- */

static int
keep_hold(struct parse *p, const char *how, struct slice value)
{
	struct smtp_wishes *w = &p->mail->wishes;
	const char *text;

	if (w->hold.n > 0)
		return -EINVAL; /* RFC 4865 4.2 9 */
	text = arena_printf(p->arena, "%s;%.*s", how, (int)value.n, value.p);
	w->hold = text == NULL ? SLICE_EMPTY : slice_str(text);
	return text == NULL ? -ENOMEM : 0;
}

static int
set_holdfor(struct parse *p, struct slice value)
{
	uint64_t seconds;

	if (value.n > 9 || slice_u64(value, 999999999, &seconds) != 0)
		return -EINVAL;
	p->mail->wishes.release_ms = clock_wall_ms() + (int64_t)seconds * 1000;
	return keep_hold(p, "for", value);
}

/* "2026-11-20T22:00:00Z": RFC 3339 5.6, with T and Z in upper case. */
static bool
is_internet_time(struct slice s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	size_t i;

	for (i = 0; form[i] != '\0'; i++)
		if (i >= s.n ||
		    (form[i] == 'd' ? !ascii_is_digit(s.p[i])
				    : s.p[i] != form[i]))
			return false;
	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && ascii_is_digit(s.p[i]); i++)
			;
	s = slice_from(s, i);
	if (slice_eq_str(s, "Z"))
		return true;
	return s.n == 6 && (s.p[0] == '+' || s.p[0] == '-') &&
	    ascii_is_digit(s.p[1]) && ascii_is_digit(s.p[2]) && s.p[3] == ':' &&
	    ascii_is_digit(s.p[4]) && ascii_is_digit(s.p[5]);
}

static int
set_holduntil(struct parse *p, struct slice value)
{
	struct date d;

	if (value.n > 40 || !is_internet_time(value) ||
	    date_parse(value, &d) != 0)
		return -EINVAL;
	p->mail->wishes.release_ms = d.time * 1000;
	return keep_hold(p, "until", value);
}

/* RFC 6710 7: "-9" to "9", without a sign or zeros that need not be. */
static int
set_priority(struct parse *p, struct slice value)
{
	bool negative = value.n > 0 && *value.p == '-';
	uint64_t n;

	if (negative)
		value = slice_from(value, 1);
	if (value.n != 1 || slice_u64(value, 9, &n) != 0 ||
	    (negative && n == 0))
		return -EINVAL;
	p->mail->wishes.priority = negative ? -(int)n : (int)n;
	p->mail->wishes.has_priority = true;
	return 0;
}

/* "-123;NT" (RFC 2852 4) */
static int
set_by(struct parse *p, struct slice value)
{
	struct smtp_wishes *w = &p->mail->wishes;
	struct slice mode = value, time = slice_split(&mode, ';');
	bool negative = time.n > 0 && *time.p == '-';
	uint64_t seconds;

	if (time.n > 0 && (*time.p == '-' || *time.p == '+'))
		time = slice_from(time, 1);
	if (time.n > 9 || slice_u64(time, 999999999, &seconds) != 0)
		return -EINVAL;
	w->by_trace = mode.n == 2 && ascii_lower(mode.p[1]) == 't';
	if (mode.n != 1 && !w->by_trace)
		return -EINVAL;
	w->by_mode = ascii_lower(*mode.p) == 'r' ? 'R'
	    : ascii_lower(*mode.p) == 'n'        ? 'N'
						 : '\0';
	if (w->by_mode == '\0' ||
	    (w->by_mode == 'R' && (negative || seconds == 0)))
		return -EINVAL;
	w->by_ms = clock_wall_ms() +
	    (negative ? -(int64_t)seconds : (int64_t)seconds) * 1000;
	return 0;
}

static int
set_requiretls(struct parse *p, struct slice value)
{
	(void)value;
	p->mail->wishes.requiretls = true;
	return 0;
}

static int
set_outside(struct parse *p, struct slice value)
{
	(void)value;
	p->mail->wishes.outside = true;
	return 0;
}

static const struct param mail_params[] = {
	{ "SIZE", SMTP_EXT_SIZE, set_size, false },
	{ "BODY", SMTP_EXT_8BITMIME, set_body, false },
	{ "SMTPUTF8", SMTP_EXT_SMTPUTF8, set_smtputf8, true },
	{ "RET", SMTP_EXT_DSN, set_ret, false },
	{ "ENVID", SMTP_EXT_DSN, set_envid, false },
	{ "AUTH", SMTP_EXT_AUTH, set_auth, false },
	{ "XTRACE", SMTP_EXT_XTRACE, set_trace, false },
	{ "XSOURCE", SMTP_EXT_XSOURCE, set_source, false },
	{ "XOUTSIDE", SMTP_EXT_XOUTSIDE, set_outside, true },
	{ "PRDR", SMTP_EXT_PRDR, set_prdr, true },
	{ "MT-PRIORITY", SMTP_EXT_MT_PRIORITY, set_priority, false },
	{ "BY", SMTP_EXT_DELIVERBY, set_by, false },
	{ "REQUIRETLS", SMTP_EXT_REQUIRETLS, set_requiretls, true },
	{ "HOLDFOR", SMTP_EXT_FUTURERELEASE, set_holdfor, false },
	{ "HOLDUNTIL", SMTP_EXT_FUTURERELEASE, set_holduntil, false },
	{ NULL, 0, NULL, false },
};

/* --- RCPT --- */

static int
set_notify(struct parse *p, struct slice value)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {
		{ "SUCCESS", SMTP_NOTIFY_SUCCESS },
		{ "FAILURE", SMTP_NOTIFY_FAILURE },
		{ "DELAY", SMTP_NOTIFY_DELAY },
	};
	unsigned notify = 0;

	/* RFC 3461 4.1: NEVER stands by itself. */
	if (slice_eq_str_nocase(value, "NEVER")) {
		p->rcpt->notify = SMTP_NOTIFY_NEVER;
		return 0;
	}
	/* A comma at the end would leave the rest empty: no word. */
	if (value.n > 0 && value.p[value.n - 1] == ',')
		return -EINVAL;
	while (value.n > 0) {
		struct slice word = slice_split(&value, ',');
		unsigned bit = 0;

		for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
			if (slice_eq_str_nocase(word, words[i].word))
				bit = words[i].bit;
		if (bit == 0)
			return -EINVAL;
		notify |= bit;
	}
	p->rcpt->notify = notify;
	return 0;
}

static int
set_orcpt(struct parse *p, struct slice value)
{
	struct buf b = BUF_INIT_MAX(ORCPT_MAX + 1);
	int rc = value.n > ORCPT_MAX ? -EINVAL : smtp_orcpt_decode(value, &b);

	return keep_decoded(p, rc, &b, &p->rcpt->orcpt);
}

static const struct param rcpt_params[] = {
	{ "NOTIFY", SMTP_EXT_DSN, set_notify, false },
	{ "ORCPT", SMTP_EXT_DSN, set_orcpt, false },
	{ NULL, 0, NULL, false },
};

/* --- the list --- */

static bool
refuse(struct parse *p, struct smtp_reply *error, int code,
    const char *enhanced, const char *what, struct slice word)
{
	*error = smtp_reply_f(p->arena, code, enhanced, "%s %.*s", what,
	    (int)slice_head(word, 40).n, word.p);
	return false;
}

/* esmtp-keyword = (ALPHA / DIGIT) *(ALPHA / DIGIT / "-"), esmtp-value = visible
 * octets but "=" (UTF-8 by RFC 6531 3.3). */
static bool
is_keyword(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    (i == 0 || s.p[i] != '-'))
			return false;
	return s.n > 0;
}

static bool
is_value(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '=' ||
		    s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

static const struct param *
param_find(const struct param *table, struct slice keyword, unsigned offered)
{
	for (; table->keyword != NULL; table++)
		if (slice_eq_str_nocase(keyword, table->keyword))
			return (table->ext & offered) ? table : NULL;
	return NULL;
}

static bool
param_parse(struct parse *p, const struct param *table, struct slice word,
    unsigned *seen, struct smtp_reply *error)
{
	struct slice value = word, keyword = slice_split(&value, '=');
	bool has_value = keyword.n < word.n;
	const struct param *param;
	int rc;

	if (!is_keyword(keyword) || (has_value && !is_value(value)))
		return refuse(p, error, 501, "5.5.4", "Syntax error in",
		    SLICE_LIT("parameter"));
	if ((param = param_find(table, keyword, p->offered)) == NULL)
		return refuse(
		    p, error, 555, "5.5.4", "Parameter not known:", keyword);
	if (*seen & 1U << (param - table))
		return refuse(
		    p, error, 501, "5.5.4", "Parameter given twice:", keyword);
	*seen |= 1U << (param - table);
	if (has_value == param->without_value)
		return refuse(p, error, 501, "5.5.4",
		    has_value ? "No value goes with" : "A value belongs to",
		    keyword);
	if ((rc = param->set(p, value)) == 0)
		return true;
	if (rc == -ENOMEM)
		return refuse(
		    p, error, 452, "4.3.1", "Out of memory for", keyword);
	return refuse(p, error, 501, "5.5.4", "Bad value of", keyword);
}

/* Words are separated by one space; more, and spaces at the end, are taken as
 * one for the many clients that write them so. */
static bool
params_parse(struct parse *p, const struct param *table, struct slice in,
    struct smtp_reply *error)
{
	unsigned seen = 0;

	if (in.n > 0 && *in.p != ' ')
		return refuse(p, error, 501, "5.5.4", "Syntax error behind the",
		    SLICE_LIT("path"));
	while (in.n > 0) {
		struct slice word = slice_split(&in, ' ');

		if (word.n > 0 && !param_parse(p, table, word, &seen, error))
			return false;
	}
	return true;
}

bool
smtp_mail_params_parse(struct arena *a, struct slice in, unsigned offered,
    struct smtp_mail *out, struct smtp_reply *error)
{
	struct parse p = { a, offered, out, NULL };

	return params_parse(&p, mail_params, in, error);
}

bool
smtp_rcpt_params_parse(struct arena *a, struct slice in, unsigned offered,
    struct smtp_rcpt *out, struct smtp_reply *error)
{
	struct parse p = { a, offered, NULL, out };

	return params_parse(&p, rcpt_params, in, error);
}
