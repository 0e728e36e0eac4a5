/* SPDX-License-Identifier: ISC */
/*
 * Who may send as whom: the reverse-path and every address of the fields that
 * name an author or a sender must be the account's (RFC 6409 6.1).
 */
#include "msa/msa.h"

#include <errno.h>

#include "common/mail/header.h"

static void
refuse_sender(struct smtp_session *s, struct slice local, struct slice domain,
    struct smtp_reply *reply)
{
	smtp_session_because(s, "the sender is no address of %s",
	    smtp_session_authenticated(s));
	*reply = smtp_reply_f(smtp_session_tx_arena(s), 550, "5.7.1",
	    "%s may not send as <%.*s%s%.*s>", smtp_session_authenticated(s),
	    local.n > 64 ? 64 : (int)local.n, local.p, domain.n > 0 ? "@" : "",
	    domain.n > 255 ? 255 : (int)domain.n, domain.p);
}

/* 0; 1 with *reply set; or an error. */
static int
check_reverse_path(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply)
{
	int rc;

	/* Never a cause for rejecting in itself (RFC 6409 3.2): disposition
	 * notifications come from <> (RFC 8098 3). */
	if (m->from.text.n == 0)
		return 0;
	rc = accounts_may_send_as(msa_of(s)->accounts,
	    slice_str(smtp_session_authenticated(s)), m->from.local,
	    m->from.domain);
	if (rc == 0)
		refuse_sender(s, m->from.local, m->from.domain, reply);
	return rc < 0 ? rc : !rc;
}

int
msa_mail(
    struct smtp_session *s, const struct smtp_mail *m, struct smtp_reply *reply)
{
	int rc = check_reverse_path(s, m, reply);

	if (rc == 0)
		rc = msa_limits_check(s, 1, reply);
	return rc < 0 ? rc : 0;
}

/* --- the header --- */

struct header_check {
	struct smtp_session *session;
	struct smtp_reply *reply;
	size_t n; /* addresses seen */
};

static int
check_address(void *arg, struct slice local, struct slice domain)
{
	struct header_check *c = arg;
	int rc;

	c->n++;
	if (domain.p == NULL)
		domain = SLICE_EMPTY;
	rc = accounts_may_send_as(msa_of(c->session)->accounts,
	    slice_str(smtp_session_authenticated(c->session)), local, domain);
	if (rc == 0)
		refuse_sender(c->session, local, domain, c->reply);
	return rc < 0 ? rc : !rc;
}

/* 0; 1 with *reply set; or an error. */
static int
check_field(struct smtp_session *s, struct arena *a, struct slice header,
    const char *name, struct smtp_reply *reply)
{
	struct header_check c = { s, reply, 0 };
	struct header_field field;
	int rc = msa_each_address(a, header, name, check_address, &c);
	const char *fault;

	if (rc == -E2BIG)
		fault = "names too many";
	else if (rc == 0 && c.n == 0 && header_find(header, name, &field))
		fault = "names nobody";
	else
		return rc;
	*reply = smtp_reply_f(smtp_session_tx_arena(s), 554, "5.6.0",
	    "the %s field %s", name, fault);
	return 1;
}

int
msa_check_header(
    struct smtp_session *s, struct slice header, struct smtp_reply *reply)
{
	static const char *const names[] = { "From", "Sender", "Resent-From",
		"Resent-Sender" };
	struct arena a = ARENA_INIT_MAX((size_t)16 << 20);
	int rc = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && rc == 0; i++)
		rc = check_field(s, &a, header, names[i], reply);
	arena_reset(&a);
	return rc;
}
