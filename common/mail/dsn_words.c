/* SPDX-License-Identifier: ISC */
#include "common/mail/dsn_words.h"

#include "common/mail/date.h"

/*
 * By enhanced status code without its class (RFC 3463 3; 1.10 of RFC 7505,
 * 6.7 of RFC 6531), the longest that fits; what it means for the sender, and
 * what to do when it failed for good.
 */
static const struct meaning {
	const char *code; /* "1.1", or "1." for all of a subject */
	const char *reason;
	const char *advice;
} meanings[] = {
	{ "1.1", "There is no such address there.",
	    "Check the address for typing errors, or ask for the right one." },
	{ "1.2", "There is no such mail domain.",
	    "Check the part of the address behind the @." },
	{ "1.10", "That domain takes no mail at all.",
	    "Check the part of the address behind the @." },
	{ "1.3", "The address is not well-formed.",
	    "Check the address for typing errors." },
	{ "1.6", "The mailbox has moved and left no new address.",
	    "Ask for the new address in another way." },
	{ "1.8", "Your own address was not accepted as sender.",
	    "Ask your postmaster." },
	{ "1.", "Something is wrong with the address.",
	    "Check the address for typing errors, or ask for the right one." },
	{ "2.1", "The mailbox is switched off.",
	    "Reach the person in another way." },
	{ "2.2", "The mailbox is full.",
	    "Send it again later, or reach the person in another way." },
	{ "2.3", "The message is too big for that mailbox.",
	    "Send less, or in several messages." },
	{ "2.", "There is a problem with that mailbox.",
	    "Reach the person in another way." },
	{ "3.4", "The message is too big for the system there.",
	    "Send less, or in several messages." },
	{ "3.", "The mail system there has a problem.",
	    "Send it again later." },
	{ "4.1", "No server there answers.",
	    "Check the address; if it is right, send it again later." },
	{ "4.2", "The connection to the server there broke off.",
	    "Send it again later." },
	{ "4.4", "No server is known for that domain.",
	    "Check the part of the address behind the @." },
	{ "4.6", "The mail went round in a loop.",
	    "Tell the postmaster of that domain." },
	{ "4.7", "It could not be handed over in all the time that was tried.",
	    "Send it again later, or reach the person in another way." },
	{ "4.", "The way to the server there is disturbed.",
	    "Send it again later." },
	{ "6.7", "The server there takes no addresses with these letters.",
	    "Use an address of plain ASCII letters, if there is one." },
	{ "6.", "The content cannot be taken in the form it has.",
	    "Send it in another form, for example as plain text." },
	{ "7.", "The server there refuses the message by its rules.",
	    "The answer below says why; it is the server there that can change"
	    " it." },
	{ "", "The server there did not take the message.",
	    "The answer below says why." },
};

static const struct meaning *
meaning_of(struct slice status)
{
	const struct meaning *best = NULL;
	struct slice rest = status;

	slice_split(&rest, '.'); /* the class */
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
		const struct meaning *m = &meanings[i];
		size_t n = strlen(m->code);
		bool subject = n == 0 || m->code[n - 1] == '.';

		if (subject ? !slice_starts(rest, m->code)
			    : !slice_eq_str(rest, m->code))
			continue;
		if (best == NULL || n > strlen(best->code))
			best = m;
	}
	return best;
}

static bool
any(const struct dsn *d, enum dsn_action action)
{
	for (size_t i = 0; i < d->n_recipients; i++)
		if (d->recipients[i].action == action)
			return true;
	return false;
}

struct slice
dsn_words_subject(const struct dsn *d)
{
	if (any(d, DSN_FAILED))
		return SLICE_LIT("Your message could not be delivered");
	if (any(d, DSN_DELAYED))
		return SLICE_LIT("Your message is delayed");
	return SLICE_LIT("Your message was delivered");
}

static void
put_failed(struct buf *b, const struct dsn_recipient *r)
{
	const struct meaning *m = meaning_of(r->status);

	buf_printf(b,
	    "    Your message was not delivered to this address.\r\n"
	    "    %s\r\n    %s\r\n",
	    m->reason, m->advice);
}

static void
put_delayed(struct buf *b, const struct dsn_recipient *r)
{
	buf_printf(b,
	    "    Your message has not been delivered to this address yet.\r\n"
	    "    %s\r\n",
	    meaning_of(r->status)->reason);
	if (r->will_retry_until == 0) {
		buf_put_str(b, "    It is tried again.\r\n");
		return;
	}
	buf_put_str(b, "    It is tried again until ");
	date_put(b, (struct date){ r->will_retry_until, 0 });
	buf_put_str(b, ".\r\n");
}

void
dsn_words_put_recipient(struct buf *b, const struct dsn_recipient *r)
{
	switch (r->action) {
	case DSN_FAILED:
		put_failed(b, r);
		break;
	case DSN_DELAYED:
		put_delayed(b, r);
		break;
	case DSN_RELAYED:
		buf_put_str(b,
		    "    Your message was handed on to the next server, which"
		    "\r\n    does not report deliveries.\r\n");
		break;
	default:
		buf_put_str(
		    b, "    Your message was delivered to this address.\r\n");
	}
}

void
dsn_words_put_advice(struct buf *b, const struct dsn *d)
{
	buf_put_str(b, "\r\n");
	if (any(d, DSN_FAILED))
		buf_put_str(b,
		    "Nothing more is tried for the addresses that failed: to"
		    " reach them,\r\nthe message has to be sent again.\r\n");
	else if (any(d, DSN_DELAYED))
		buf_put_str(b,
		    "You need not do anything, and need not send the message"
		    " again.\r\n");
	if (!any(d, DSN_FAILED) && !any(d, DSN_DELAYED))
		return;
	buf_put_str(b, "\r\nFor help, send this report to ");
	if (d->postmaster.n > 0) {
		buf_put_slice(b, d->postmaster);
	} else {
		buf_put_str(b, "postmaster@");
		buf_put_slice(b, d->reporting_mta);
	}
	buf_put_str(b, ".\r\n");
}
