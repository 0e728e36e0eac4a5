/* SPDX-License-Identifier: ISC */
/*
 * Under which address a message leaves, where that is not the one it came
 * with: the tag of Send-As in its Subject (sendas.h); else, for an account with
 * reply_as, the address of its catch-all for which the message came in that it
 * answers. Only mailbox knows that, and is asked by XWHO.
 */
#include "msa/msa.h"

#include <errno.h>

#include "common/base/log.h"
#include "common/mail/address.h"
#include "common/mail/charset.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"
#include "common/mail/message_id.h"

#define ASK_MAX 20 /* Message-IDs of one message */

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

static int
spell(struct arena *a, struct msa_as *as)
{
	struct buf address = BUF_INIT_MAX(2048);

	address_put_spec(&address, as->local, as->domain);
	as->address = arena_dup(a, buf_slice(&address));
	buf_clear(&address);
	return as->address.p == NULL ? -ENOMEM : 0;
}

/* What the tag asks for, if the account may. */
static int
grant(struct smtp_session *s, struct arena *a, struct msa_as *as,
    struct smtp_reply *reply)
{
	int rc = spell(a, as);

	if (rc == 0)
		rc = accounts_may_send_as(msa_of(s)->accounts,
		    slice_str(smtp_session_authenticated(s)), as->local,
		    as->domain);
	if (rc < 0)
		return rc;
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

static int
by_tag(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply)
{
	int found = sendas_find(a, header, &as->tag);

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

/* --- as which address a message is answered --- */

/* Is From the account's own address, or is there none? Who writes another one
 * means that. */
static int
note_author(void *arg, struct slice local, struct slice domain)
{
	struct buf *out = arg;

	address_put_spec(
	    out, local, domain.p == NULL ? SLICE_EMPTY : domain);
	return 1;
}

static bool
is_from_account(struct smtp_session *s, struct arena *a, struct slice header)
{
	struct buf author = BUF_INIT_MAX(2048);
	struct slice canonical;
	int rc = msa_each_address(a, header, "From", note_author, &author);
	bool own = rc == 0 ||
	    (rc == 1 && !author.failed &&
		address_canonical(a, buf_slice(&author), &canonical) == 0 &&
		slice_eq_str(canonical, smtp_session_authenticated(s)));

	buf_clear(&author);
	return own;
}

/* What it answers: In-Reply-To, then References, the last one first. */
static int
answered(struct arena *a, struct slice header, struct slice ids[ASK_MAX],
    size_t *n)
{
	static const char *const fields[] = { "In-Reply-To", "References" };
	struct slice *v, value;
	size_t count;
	int rc;

	*n = 0;
	for (size_t f = 0; f < 2; f++) {
		value = header_value(a, header, fields[f]);
		if (value.p == NULL)
			continue;
		if ((rc = message_id_list(a, value, &v, &count)) != 0)
			return rc;
		for (size_t i = 0; i < count && *n < ASK_MAX; i++)
			ids[(*n)++] = v[f == 0 ? i : count - 1 - i];
	}
	return 0;
}

/* Ask for one after the other: 0 with what is known in *address, "" when
 * nothing is; or an error. */
static int
ask_mailbox(struct smtp_session *s, struct arena *a, const struct slice *ids,
    size_t n, struct slice *address)
{
	struct slice who = slice_str(smtp_session_authenticated(s));
	struct smtp_reply said = { .code = 0 };
	struct smtp_client *c;
	int rc = smtp_pool_get(msa_of(s)->mailbox, &c);

	*address = SLICE_EMPTY;
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n && rc == 0 && said.code != 250; i++) {
		rc = smtp_client_who(c, who, ids[i], &said);
		if (rc == -EINVAL) /* an id that cannot be asked for */
			rc = 0;
		else if (rc == 0 && smtp_reply_is_temporary(&said))
			rc = -EAGAIN;
	}
	if (rc == 0 && said.code == 250 && said.text.n > 2)
		*address = arena_dup(
		    a, slice_from(slice_head(said.text, said.text.n - 1), 1));
	smtp_pool_put(msa_of(s)->mailbox, c, rc == 0);
	return rc == 0 && address->p == NULL ? -ENOMEM : rc;
}

/* Without the quotes that an address is written with. */
static struct slice
unquoted(struct arena *a, struct slice local)
{
	char *p;

	if (local.n == 0 || *local.p != '"')
		return local;
	if ((p = arena_alloc(a, local.n)) == NULL)
		return slice(NULL, 0);
	return slice(p, lex_unquote(local, p));
}

/* Only if it is still the account's. */
static int
take_answered(struct smtp_session *s, struct arena *a, struct slice address,
    struct msa_as *as)
{
	struct slice local, domain;
	int rc;

	if (address_split(address, &local, &domain) != 0)
		return 0;
	if ((as->local = unquoted(a, local)).p == NULL)
		return -ENOMEM;
	rc = accounts_is_caught(msa_of(s)->accounts,
	    slice_str(smtp_session_authenticated(s)), as->local, domain);
	if (rc != 1 ||
	    (!ascii_is_all(local) && !smtp_session_mail(s)->smtputf8))
		return rc < 0 ? rc : 0;
	rc = domain_canonical(a, domain, &as->domain);
	return rc == 0 ? spell(a, as) : rc == -EINVAL ? 0 : rc;
}

/* Doubt means try later: what is sent now under the wrong address cannot be
 * called back. */
static int
by_answer(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply)
{
	struct accounts_account record;
	struct slice ids[ASK_MAX], address;
	size_t n = 0;
	int rc = accounts_account_get(msa_of(s)->accounts, a,
	    slice_str(smtp_session_authenticated(s)), &record);

	if (rc != 0 || !record.reply_as || !is_from_account(s, a, header))
		return rc;
	rc = answered(a, header, ids, &n);
	if (rc != 0 || n == 0)
		return rc;
	if ((rc = ask_mailbox(s, a, ids, n, &address)) == 0)
		return take_answered(s, a, address, as);
	log_warning("mailbox does not say what is answered", "error=\"%s\"",
	    strerror(-rc));
	*reply = SMTP_REPLY(451, "4.3.0",
	    "cannot look up now as which address to reply, try again later");
	return 1;
}

int
msa_as_find(struct smtp_session *s, struct arena *a, struct slice header,
    struct msa_as *as, struct smtp_reply *reply)
{
	int rc = 0;

	*as = (struct msa_as){ .address = { NULL, 0 } };
	if (msa_of(s)->send_as)
		rc = by_tag(s, a, header, as, reply);
	if (rc == 0 && as->address.p == NULL)
		rc = by_answer(s, a, header, as, reply);
	return rc;
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
