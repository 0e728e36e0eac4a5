/* SPDX-License-Identifier: ISC */
/* ETRN (RFC 1985): somebody who was away asks for what waits for him. */
#include "common/smtp/session.h"

static bool
is_label_char(char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '_' ||
	    (unsigned char)c >= 0x80;
}

/* A domain or an address literal, by its looks. */
static bool
is_node(struct slice s)
{
	if (s.n == 0 || s.n > SMTP_DOMAIN_MAX)
		return false;
	if (*s.p == '[')
		return s.n > 2 && s.p[s.n - 1] == ']' && slice_find(s, ' ') < 0;
	for (size_t i = 0; i < s.n; i++)
		if (!is_label_char(s.p[i]) &&
		    (s.p[i] != '.' || i == 0 || s.p[i - 1] == '.'))
			return false;
	return true;
}

static int
ask_handler(struct smtp_session *s, struct slice node, bool subdomains)
{
	struct arena a = ARENA_INIT_MAX(16384);
	struct smtp_reply reply = { 0 };
	int rc = s->srv->handler->flush(s, &a, node, subdomains, &reply);

	if (rc != 0)
		reply = session_trouble(s, "flush", rc);
	/* RFC 1985 5.3 has a code of its own for it. */
	if (reply.code == 0 || reply.code == 451 || reply.code == 452)
		reply = SMTP_REPLY(458, "4.3.0", "Unable to do that now");
	if (reply.code == 459)
		s->n_rejects++;
	rc = session_reply(s, &reply);
	arena_reset(&a);
	return rc;
}

int
cmd_etrn(struct smtp_session *s, struct slice args)
{
	bool subdomains = args.n > 0 && *args.p == '@';

	if (!(session_offered(s) & SMTP_EXT_ETRN))
		return session_refuse(s, 502, "5.5.1", "No ETRN here");
	/* RFC 1985 5.2: "#" has a name of a queue behind it. */
	if (args.n > 0 && *args.p == '#')
		return session_say(s, 458, "4.3.0", "Queues have no names");
	if (subdomains)
		args = slice_from(args, 1);
	if (!is_node(args))
		return session_refuse(s, 501, "5.5.4", "A domain, please");
	return ask_handler(s, args, subdomains);
}
