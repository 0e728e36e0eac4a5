/* SPDX-License-Identifier: ISC */
/*
 * Under which address a message leaves, where that is not the one it came
 * with: the tag of Send-As in its Subject (sendas.h).
 */
#include "msa/msa.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"

/* --- who --- */

static int
refuse(struct smtp_session *s, const char *enhanced, const char *before,
    struct slice text, const char *behind, struct smtp_reply *reply)
{
	smtp_session_because(s, "sendas tag in the Subject");
	*reply = smtp_reply_f(smtp_session_tx_arena(s), 550, enhanced,
	    "%s%.*s%s", before, text.n > 320 ? 320 : (int)text.n, text.p,
	    behind);
	return 1;
}

/* The domain of the first address of From, "" when there is none. */
static int
note_domain(void *arg, struct slice local, struct slice domain)
{
	struct slice *out = arg;

	(void)local;
	*out = domain.p == NULL ? SLICE_EMPTY : domain;
	return 1;
}

/* A tag without a domain means the catch-all domain of From, else the
 * account's oldest. */
static int
own_domain(struct smtp_session *s, struct arena *a, struct slice header,
    struct slice *out)
{
	struct slice prefer = SLICE_EMPTY;
	const char *domain;
	int rc = msa_each_address(a, header, "From", note_domain, &prefer);

	if (rc >= 0)
		rc = accounts_catch_all_of(msa_of(s)->accounts, a,
		    slice_str(smtp_session_authenticated(s)), prefer,
		    &domain);
	if (rc == 0)
		*out = slice_str(domain);
	return rc;
}

/* What the tag asks for, if the account may. */
static int
grant(struct smtp_session *s, struct arena *a, struct msa_as *as,
    struct smtp_reply *reply)
{
	struct buf address = BUF_INIT_MAX(2048);
	int rc = accounts_may_send_as(msa_of(s)->accounts,
	    slice_str(smtp_session_authenticated(s)), as->local, as->domain);

	address_put_spec(&address, as->local, as->domain);
	as->address = arena_dup(a, buf_slice(&address));
	buf_clear(&address);
	if (rc < 0 || as->address.p == NULL)
		return rc < 0 ? rc : -ENOMEM;
	if (rc == 0)
		return refuse(s, "5.7.1", "you may not send as <",
		    as->address, ">", reply);
	if (!ascii_is_all(as->local) && !smtp_session_mail(s)->smtputf8)
		return refuse(
		    s, "5.6.7", "<", as->address, "> needs SMTPUTF8", reply);
	return 0;
}

static int
take_tag(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply)
{
	int rc = 0;

	as->local = as->tag.local;
	if (as->tag.domain.p != NULL) {
		rc = domain_canonical(a, as->tag.domain, &as->domain);
	} else {
		rc = own_domain(s, a, header, &as->domain);
		if (rc == -ENOENT)
			return refuse(s, "5.7.1", "you may not send as ",
			    as->local, ": no catch-all domain is yours",
			    reply);
	}
	as->has_tag = true;
	return rc == 0 ? grant(s, a, as, reply) : rc;
}

int
msa_as_find(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply)
{
	int found;

	*as = (struct msa_as){ .address = { NULL, 0 } };
	if (!msa_of(s)->send_as)
		return 0;
	found = sendas_find(a, header, &as->tag);
	if (found == SENDAS_NONE || found < 0)
		return found;
	if (found == SENDAS_TAG)
		return take_tag(s, a, header, as, reply);
	if (found == SENDAS_BAD)
		return refuse(s, "5.1.7", "[sendas:", as->tag.text,
		    "] in the Subject is no address", reply);
	return refuse(s, "5.7.1", "more than one ", SLICE_LIT("[sendas:]"),
	    " tag is in the Subject", reply);
}

/* --- what becomes of the message --- */

int
msa_as_apply(struct smtp_session *s, struct msa_session *m, struct arena *a,
    struct slice header, const struct msa_as *as, struct buf *out,
    struct smtp_reply *reply)
{
	int rc = sendas_rewrite(a, header, as->has_tag ? &as->tag : NULL,
	    as->local, as->domain, out);

	if (rc == 0 && !buf_put_str(out, "\r\n"))
		rc = -ENOMEM;
	/* Notifications stay without a sender. */
	if (rc == 0 && smtp_session_mail(s)->from.text.n > 0)
		rc = msa_reopen(s, m, as->address, reply);
	if (rc == 0)
		log_info("sends as", "account=%s as=<%s> by=%s",
		    log_qs(smtp_session_authenticated(s)),
		    log_q(as->address), as->has_tag ? "tag" : "reply_as");
	return rc;
}
