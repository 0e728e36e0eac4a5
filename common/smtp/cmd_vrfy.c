/* SPDX-License-Identifier: ISC */
/*
 * VRFY (RFC 5321 3.5, 4.1.1.6; RFC 6531 3.7.4.2) and HELP. Who exists is given
 * away only where the program has a verify hook, which it has by
 * configuration; else 252, which every server may say (RFC 5321 7.3).
 */
#include "common/smtp/session.h"

static int
cannot_tell(struct smtp_session *s)
{
	return session_say(s, 252, "2.5.2",
	    "Try RCPT; mail is accepted where the address is good");
}

/* A user name is no address: which mailbox it stands for we do not guess. */
static bool
is_user_name(struct slice args)
{
	struct slice word = slice_split(&args, ' ');

	return slice_find(word, '@') < 0 && slice_find(word, '<') < 0 &&
	    slice_find(word, '"') < 0;
}

static bool
is_smtputf8(struct slice params)
{
	return slice_eq_str_nocase(slice_trim(params), "SMTPUTF8");
}

/* RFC 6531 3.7.4.2: without the parameter nothing that is not ASCII may be in
 * the question or the answer. */
static int
check_params(struct smtp_session *s, const struct smtp_path *who,
    struct slice params, struct smtp_reply *error)
{
	bool utf8 = is_smtputf8(params) &&
	    (session_offered(s) & SMTP_EXT_SMTPUTF8);

	*error = (struct smtp_reply){ 0 };
	if (!utf8 && slice_trim(params).n > 0)
		*error = SMTP_REPLY(555, "5.5.4", "Parameter not known");
	else if (who->utf8 && !utf8)
		*error = SMTP_REPLY(553, "5.6.7",
		    "Address is not ASCII, and SMTPUTF8 was not asked for");
	return error->code;
}

static int
ask_handler(
    struct smtp_session *s, struct arena *a, const struct smtp_path *who)
{
	struct smtp_reply reply = { 0 };
	int rc = s->srv->handler->verify(s, a, who, &reply);

	/* Doubt, which has a code of its own here. */
	if (rc != 0 || reply.code == 0 || smtp_reply_is_temporary(&reply))
		return cannot_tell(s);
	if (reply.code >= 500)
		s->n_rejects++; /* counts as a wrong RCPT does */
	return session_reply(s, &reply);
}

int
cmd_vrfy(struct smtp_session *s, struct slice args)
{
	struct arena a = ARENA_INIT_MAX(COMMAND_LINE_MAX * 8);
	struct smtp_reply error;
	struct slice params;
	struct smtp_path who;
	int rc;

	if (args.n == 0)
		return session_refuse(s, 501, "5.5.4", "Verify whom?");
	if (is_user_name(args))
		return cannot_tell(s);
	rc = session_path_in(s, &a, args, "", &who, &params);
	if (rc == 0 && who.local.n == 0)
		rc = SMTP_PATH_SYNTAX;
	if (rc != 0) {
		error = session_path_error(rc, "5.1.3");
		s->n_errors++;
		rc = session_reply(s, &error);
	} else if (check_params(s, &who, params, &error) != 0) {
		s->n_errors++;
		rc = session_reply(s, &error);
	} else if (s->srv->handler->verify == NULL) {
		rc = cannot_tell(s);
	} else {
		rc = ask_handler(s, &a, &who);
	}
	arena_reset(&a);
	return rc;
}
