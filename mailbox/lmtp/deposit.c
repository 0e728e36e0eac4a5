/* SPDX-License-Identifier: ISC */
#include "mailbox/lmtp/deposit.h"

#include <errno.h>
#include <stdlib.h>

#include "mailbox/imap/imap_special.h"

#define TEXT_MAX ((size_t)2048)

/* --- XSOURCE --- */

static int
hex_parse(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n != 16)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		char c = ascii_lower(s.p[i]);

		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return -EINVAL;
		v = v << 4 |
		    (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*out = v;
	return 0;
}

static int
number_parse(struct slice s, uint32_t *out)
{
	uint64_t n;
	int rc = slice_u64(s, UINT32_MAX, &n);

	if (rc == 0)
		*out = (uint32_t)n;
	return rc == 0 ? 0 : -EINVAL;
}

static int
date_of(struct slice s, int64_t *out)
{
	uint64_t n;

	*out = INT64_MIN;
	if (slice_eq_str(s, "-"))
		return 0;
	if (slice_u64(s, (uint64_t)1 << 40, &n) != 0)
		return -EINVAL;
	*out = (int64_t)n;
	return 0;
}

static int
age_of(struct slice s, bool *is_old)
{
	*is_old = slice_eq_str(s, "old");
	return *is_old || slice_eq_str(s, "new") ? 0 : -EINVAL;
}

static int
use_of(struct arena *a, struct slice s, unsigned *out)
{
	const char *name;

	*out = 0;
	if (slice_eq_str(s, "-"))
		return 0;
	if ((name = arena_printf(a, "\\%.*s", (int)s.n, s.p)) == NULL)
		return -ENOMEM;
	*out = imap_special_of(slice_str(name));
	return *out == 0 ? -EINVAL : 0;
}

void
deposit_flags(struct arena *a, struct slice s, struct door_meta *out)
{
	while (s.n > 0) {
		struct slice name = slice_split(&s, ' ');

		if (slice_starts(name, "\\"))
			out->flags |= mails_flag_find(name);
		else if (name.n > 0)
			(void)door_keyword_add(out, a, name);
	}
}

static int
text_of(struct arena *a, struct slice xtext, struct deposit *out)
{
	struct buf plain = BUF_INIT_MAX(TEXT_MAX);
	struct slice text, flags;
	int rc = smtp_xtext_decode(xtext, &plain);

	if (rc == 0 && slice_find(buf_slice(&plain), '\t') < 0)
		rc = -EINVAL;
	if (rc == 0) {
		text = arena_dup(a, buf_slice(&plain));
		rc = text.p == NULL ? -ENOMEM : 0;
	}
	buf_clear(&plain);
	if (rc != 0)
		return rc;
	flags = slice_split(&text, '\t');
	deposit_flags(a, flags, &out->meta);
	out->mailbox = slice_split(&text, '\t');
	if (out->mailbox.n == 0)
		return -EINVAL;
	return text.n > 0 ? number_parse(text, &out->uidvalidity) : 0;
}

int
deposit_parse(struct arena *a, struct slice value, struct deposit *out)
{
	int rc;

	*out = (struct deposit){ 0 };
	if ((rc = hex_parse(slice_split(&value, ';'), &out->origin.source)) !=
		0 ||
	    (rc = number_parse(
		 slice_split(&value, ';'), &out->origin.uidvalidity)) != 0 ||
	    (rc = number_parse(slice_split(&value, ';'), &out->origin.uid)) !=
		0 ||
	    (rc = date_of(slice_split(&value, ';'), &out->meta.internaldate)) !=
		0 ||
	    (rc = age_of(slice_split(&value, ';'), &out->is_old)) != 0 ||
	    (rc = use_of(a, slice_split(&value, ';'), &out->special)) != 0)
		return rc;
	return text_of(a, value, out);
}

/* --- taking it in --- */

int
deposit_body(struct take *t, struct spool *body)
{
	uint64_t at = 0;
	struct slice octets;
	int rc = take_begin(t);

	while (rc == 0 && (rc = spool_view(body, at, &octets)) == 0 &&
	    octets.n > 0) {
		rc = take_octets(t, octets);
		at += octets.n;
	}
	return rc;
}

int
deposit_name(struct mails *m, const char *account, const struct deposit *d,
    struct arena *a, struct slice *out)
{
	struct mails_status st;
	struct mails_info *v;
	size_t n;
	int rc;

	*out = d->mailbox;
	if (d->uidvalidity == 0 ||
	    (mails_status(m, account, d->mailbox, &st) == 0 &&
		st.uidvalidity == d->uidvalidity))
		return 0;
	rc = mails_list(m, account, a, &v, &n);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (v[i].id != 0 && !(v[i].attrs & MAILS_NOSELECT) &&
		    mails_status(m, account, slice_str(v[i].name), &st) == 0 &&
		    st.uidvalidity == d->uidvalidity)
			*out = slice_str(v[i].name);
	return rc;
}

int
deposit(struct mails *m, const char *account, const struct mails_quota *quota,
    const struct deposit *d, struct spool *body, bool tell,
    struct deposited *out)
{
	struct door_report report = { .what = "deposit" };
	const struct take_conf conf = { .m = m,
		.account = account,
		.quota = quota,
		.report = &report,
		.tell = tell && !d->is_old };
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	struct take *t = NULL;
	struct slice name;
	int rc = take_new(&t, &conf);

	if (rc == 0)
		rc = deposit_name(m, account, d, &a, &name);
	if (rc == 0)
		rc = take_mailbox(t, name, d->special);
	if (rc == 0)
		rc = -EINVAL;
	else if (rc == 1)
		rc = deposit_body(t, body);
	if (rc == 0)
		rc = take_end(t, &d->meta, &d->origin);
	/* From here on it is durable, which is what 250 says. */
	if (rc == 0)
		rc = take_flush(t);
	if (rc == 0 && report.failed > 0)
		rc = -EIO;
	*out = (struct deposited){ .known = report.known > 0 };
	take_last(t, &out->uidvalidity, &out->uid);
	take_free(&t);
	arena_reset(&a);
	return rc;
}
