/* SPDX-License-Identifier: ISC */
#include "mailbox/lmtp/origin.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/address.h"

void
origin_keep(const struct origins *o, const char *account,
    struct slice original, struct slice message_id)
{
	struct slice local, domain;
	int rc;

	if (message_id.n == 0 ||
	    address_split(original, &local, &domain) != 0)
		return;
	rc = accounts_is_caught(
	    o->accounts, slice_str(account), local, domain);
	if (rc == 1)
		rc = mails_origin_put(o->mails, account, message_id, original,
		    clock_wall_s());
	if (rc < 0)
		log_warning("the address that a message came for is not kept",
		    "account=%s error=\"%s\"", log_qs(account),
		    strerror(-rc));
}

static int
answer(const struct origins *o, struct smtp_session *s, struct slice account,
    struct slice message_id, struct smtp_reply *reply)
{
	struct arena *a = smtp_session_command_arena(s);
	struct buf address = BUF_INIT_MAX(1024);
	const char *name = arena_strdup(a, account);
	int rc = name == NULL ? -ENOMEM
			      : mails_origin_get(o->mails, name, message_id,
				    clock_wall_s(), &address);

	if (rc == 0)
		*reply = smtp_reply_f(a, 250, "2.0.0", "<%.*s>",
		    (int)address.n, address.p);
	else if (rc == -ENOENT)
		*reply = SMTP_REPLY(252, "2.0.0", "not known");
	buf_clear(&address);
	return rc == -ENOENT ? 0 : rc;
}

int
origin_xwho(const struct origins *o, struct smtp_session *s,
    struct slice args, struct smtp_reply *reply)
{
	struct slice account = slice_split(&args, ' ');
	struct buf id = BUF_INIT_MAX(2048);
	int rc = 0;

	if (account.n < 3 || account.p[0] != '<' ||
	    account.p[account.n - 1] != '>' || args.n == 0 ||
	    smtp_xtext_decode(args, &id) != 0)
		*reply = SMTP_REPLY(
		    501, "5.5.4", "XWHO <account> message-id, please");
	else
		rc = answer(o, s,
		    slice_from(slice_head(account, account.n - 1), 1),
		    buf_slice(&id), reply);
	buf_clear(&id);
	return rc;
}
