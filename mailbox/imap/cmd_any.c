/* SPDX-License-Identifier: ISC */
/* Commands about the session itself: CAPABILITY, NOOP, CHECK, LOGOUT, ID,
 * ENABLE, NAMESPACE. */
#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "mailbox/imap/imap_commands.h"
#include "mailbox/mails/kept.h"

#define ID_FIELDS_MAX 30 /* RFC 2971 3.3 */

/* RFCs 3501, 7888, 2177, 4315, 6851, 2342, 6154, 5258, 5819, 3691, 3348, 2971,
 * 5161, 4731, 7162, 5032, 8438, 7889, 4467 */
static const char capabilities[] =
    "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE UIDPLUS MOVE NAMESPACE "
    "SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS CHILDREN "
    "UNSELECT ESEARCH CONDSTORE WITHIN STATUS=SIZE URLAUTH";

static void
put_login_capabilities(struct imap_session *s)
{
	struct slice list = slice_str(sasl_server_mechanisms(
	    s->env->accounts, &s->a, s->c, imap_is_private(s)));

	if (s->env->tls != NULL && !conn_is_tls(s->c))
		buf_put_str(&s->out, " STARTTLS");
	if (!imap_is_private(s))
		buf_put_str(&s->out, " LOGINDISABLED");
	while (list.n > 0) {
		struct slice mechanism = slice_split(&list, ' ');

		if (mechanism.n == 0)
			continue;
		buf_put_str(&s->out, " AUTH=");
		buf_put_slice(&s->out, mechanism);
	}
}

void
imap_put_capabilities(struct imap_session *s)
{
	buf_put_str(&s->out, capabilities);
	buf_put_str(&s->out, " APPENDLIMIT=");
	buf_put_u64(&s->out, s->env->max_size);
	if (s->state == IMAP_NOT_AUTHENTICATED)
		put_login_capabilities(s);
}

int
cmd_capability(struct imap_session *s)
{
	int rc;

	if ((rc = imap_parse_end(&s->p)) != 0)
		return rc;
	buf_put_str(&s->out, "* CAPABILITY ");
	imap_put_capabilities(s);
	buf_put_str(&s->out, "\r\n");
	return imap_ok(s, NULL, "CAPABILITY completed");
}

int
cmd_noop(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	return rc != 0 ? rc : imap_ok(s, NULL, "NOOP completed");
}

int
cmd_check(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	return rc != 0 ? rc : imap_ok(s, NULL, "CHECK completed");
}

int
cmd_logout(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	if (rc != 0)
		return rc;
	imap_deselect(s);
	imap_bye(s, "Logging out");
	return imap_ok(s, NULL, "LOGOUT completed");
}

/* --- ID --- */

static int
parse_id_list(struct imap_session *s)
{
	struct slice field, value;
	int rc;

	for (unsigned n = 0; !imap_accept(&s->p, ')'); n++) {
		if (n == ID_FIELDS_MAX)
			return imap_bad(s, "Too many fields");
		if ((n > 0 && (rc = imap_parse_sp(&s->p)) != 0) ||
		    (rc = imap_parse_string(&s->p, &field)) != 0 ||
		    (rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_nstring(&s->p, &value)) != 0)
			return rc;
		if (s->state != IMAP_NOT_AUTHENTICATED && value.p != NULL)
			log_debug("client id", "field=\"%s\" value=\"%s\"",
			    log_q(field), log_q(value));
	}
	return 0;
}

int
cmd_id(struct imap_session *s)
{
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0)
		return rc;
	if (imap_accept(&s->p, '('))
		rc = parse_id_list(s);
	else if (!imap_accept_word(&s->p, "NIL"))
		rc = imap_bad(s, "List or NIL expected");
	if (rc != 0 || (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	buf_put_str(&s->out,
	    "* ID (\"name\" \"pneu\" \"version\" \"" PNEU_VERSION "\")\r\n");
	return imap_ok(s, NULL, "ID completed");
}

/* --- ENABLE, NAMESPACE --- */

int
cmd_enable(struct imap_session *s)
{
	bool condstore = false;
	struct slice name;
	int rc;

	do {
		if ((rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_atom(&s->p, &name)) != 0)
			return rc;
		condstore |= slice_eq_str_nocase(name, "CONDSTORE");
	} while (!imap_at_end(&s->p));
	buf_put_str(&s->out,
	    condstore && !s->condstore ? "* ENABLED CONDSTORE\r\n"
				       : "* ENABLED\r\n");
	if (condstore)
		imap_enable_condstore(s);
	return imap_ok(s, NULL, "ENABLE completed");
}

int
cmd_namespace(struct imap_session *s)
{
	int rc = imap_parse_end(&s->p);

	if (rc != 0)
		return rc;
	buf_put_str(&s->out, "* NAMESPACE ((\"\" \"/\")) NIL ");
	if (mails_keep_s(s->env->mails) > 0)
		buf_put_str(&s->out,
		    "((\"" MAILS_DELETED_ROOT "/\" \"/\")"
		    "(\"" MAILS_TIME_ROOT "/\" \"/\"))\r\n");
	else
		buf_put_str(&s->out, "NIL\r\n");
	return imap_ok(s, NULL, "NAMESPACE completed");
}
