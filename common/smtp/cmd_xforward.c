/* SPDX-License-Identifier: ISC */
/* XFORWARD, as Postfix documents it: who the client is that our peer serves.
 * Holds until the transaction that follows has ended. */
#include <errno.h>

#include "common/base/log.h"
#include "common/mail/charset.h"
#include "common/smtp/session.h"

#define VALUE_MAX 255

static struct slice *
attribute(struct smtp_xforward *x, struct slice name)
{
	const struct {
		const char *name;
		struct slice *value;
	} all[] = {
		{ "NAME", &x->name },
		{ "ADDR", &x->addr },
		{ "PORT", &x->port },
		{ "PROTO", &x->proto },
		{ "HELO", &x->helo },
		{ "SOURCE", &x->source },
		{ "IDENT", &x->ident },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (slice_eq_str_nocase(name, all[i].name))
			return all[i].value;
	return NULL;
}

/* What ends in logs and header fields: nothing that could break out. */
static bool
is_safe(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return utf8_is_valid(s);
}

/* 0, -EINVAL or -ENOMEM. */
static int
set(struct smtp_session *s, struct slice word)
{
	struct slice value = word, name = slice_split(&value, '=');
	struct slice *to = attribute(&s->xforward, name);
	struct buf b = BUF_INIT_MAX(VALUE_MAX + 1);
	int rc;

	if (to == NULL || name.n == word.n || value.n > VALUE_MAX)
		return -EINVAL;
	rc = smtp_xtext_decode(value, &b);
	if (rc == 0 && !is_safe(buf_slice(&b)))
		rc = -EINVAL;
	if (rc == 0) {
		*to = SLICE_EMPTY;
		if (!slice_eq_str_nocase(buf_slice(&b), "[UNAVAILABLE]"))
			*to = arena_dup(&s->tx, buf_slice(&b));
		if (to->p == NULL)
			rc = -ENOMEM;
	}
	buf_clear(&b);
	return rc;
}

int
cmd_xforward(struct smtp_session *s, struct slice args)
{
	int rc = args.n == 0 ? -EINVAL : 0;

	if (!(session_offered(s) & SMTP_EXT_XFORWARD))
		return session_refuse(s, 550, "5.7.1", "Not from you");
	while (rc == 0 && args.n > 0)
		rc = set(s, slice_split(&args, ' '));
	if (rc == -ENOMEM)
		return session_say(s, 452, "4.3.1", "Out of memory");
	if (rc != 0)
		return session_refuse(s, 501, "5.5.4", "Bad attribute");
	if (!session_is_lmtp(s))
		log_info("xforward", "name=%s addr=%s helo=%s ident=%s",
		    log_q(s->xforward.name), log_q(s->xforward.addr),
		    log_q(s->xforward.helo), log_q(s->xforward.ident));
	return session_say(s, 250, "2.0.0", "OK");
}
