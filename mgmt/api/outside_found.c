/* SPDX-License-Identifier: ISC */
/*
 * The servers of an address, from the address alone, as `pneu outside add` finds
 * them. Somebody else's DNS and web servers are asked, which may take half a
 * minute: it waits in its own coroutine, with connections that nobody else needs,
 * and each account has two of these at once.
 */
#include <errno.h>

#include "common/auth/oauth_provider.h"
#include "common/mail/address.h"
#include "mgmt/api/outside_body.h"
#include "mgmt/api/outside_found.h"

#define AT_ONCE 64
#define PER_ACCOUNT 2

static char finding[AT_ONCE][ADDRESS_MAX + 1]; /* for whom; "": free */

/* NULL: too many. */
static char *
begin(const char *account)
{
	char *free = NULL;
	size_t own = 0;

	for (size_t i = 0; i < AT_ONCE; i++) {
		own += strcmp(finding[i], account) == 0;
		if (*finding[i] == '\0')
			free = finding[i];
	}
	if (free == NULL || own >= PER_ACCOUNT)
		return NULL;
	snprintf(free, sizeof(finding[0]), "%s", account);
	return free;
}

/* Gmail by its API where there is a client to log in as, and nothing else was
 * asked for. */
static bool
wants_gmail(
    const struct manage_call *c, const char *protocol, const struct outside *o)
{
	const char *client =
	    conf_map(c->env->conf, "gateway.oauth_clients", "google");
	const char *sign_in =
	    json_string_value(json_object_get(c->in, "sign_in"));

	if (protocol != NULL)
		return strcmp(protocol, "gmail") == 0;
	return outside_is_gmail(o) && client != NULL && *client != '\0' &&
	    (sign_in == NULL || strcmp(sign_in, "oauth") == 0);
}

int
outside_find_for(struct manage_call *c, const char *address,
    const char *protocol, struct outside *o, const char **hint)
{
	bool pop3 = protocol != NULL && strcmp(protocol, "pop3") == 0;
	char *place;
	int rc;

	*hint = NULL;
	if (protocol != NULL && wants_gmail(c, protocol, o)) {
		outside_use_gmail(o);
		return 0;
	}
	if ((place = begin(c->account)) == NULL)
		return -EBUSY;
	rc = outside_find_online(c->env->dns, c->env->finder, c->a, address,
	    pop3, !outside_may_be_private(c), o, hint);
	*place = '\0';
	if ((rc == 0 || rc == -EPERM) && wants_gmail(c, protocol, o)) {
		outside_use_gmail(o);
		*hint = NULL;
	}
	return rc;
}

int
outside_find_problem(struct manage_call *c, int rc, const struct outside *o)
{
	const char *where;

	switch (rc) {
	case -EPERM:
		where = arena_printf(c->a, "%s://%s:%u (%s)",
		    outside_protocols[o->protocol], o->server.host,
		    o->server.port, outside_securities[o->server.security]);
		return manage_problem(c, "must-confirm", where);
	case -EINVAL:
		return manage_problem(
		    c, "bad-value", "address must be like name@domain");
	case -EAGAIN:
		return manage_problem(c, "try-later", "DNS gives no answer");
	case -EBUSY:
		return manage_too_many(c, 5);
	}
	return manage_errno(c, rc, "not-found-out");
}

/* NULL where the query has none of that name. */
static const char *
query(struct manage_call *c, const char *name)
{
	struct slice v = SLICE_EMPTY;

	if (!http_head_query(&c->x->head, name, &v)) {
		c->failed = true;
		return NULL;
	}
	return v.n == 0 ? NULL : arena_strdup(c->a, v);
}

int
outside_api_find(struct manage_call *c)
{
	struct outside o = { .server = { .host = "" }, .smtp = { .host = "" } };
	const char *address = query(c, "address");
	const char *protocol = query(c, "protocol");
	const char *confirm = query(c, "confirm"), *hint;
	int rc;

	if (c->failed || address == NULL || strlen(address) > OUTSIDE_TEXT_MAX)
		return manage_problem(c, "bad-value", "address is needed");
	o.user = address;
	rc = outside_find_for(c, address, protocol, &o, &hint);
	/* Shown to somebody who is to confirm it. */
	if (rc != 0 &&
	    (rc != -EPERM || confirm == NULL || strcmp(confirm, "true") != 0))
		return outside_find_problem(c, rc, &o);
	return manage_json(c, 200,
	    json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:o, s:s?, s:b, s:b, s:b}",
		"address", address, "protocol", outside_protocols[o.protocol],
		"host", o.server.host, "port", (int)o.server.port, "security",
		outside_securities[o.server.security], "user", o.user, "smtp",
		outside_server_json(&o.smtp), "hint", hint, "oauth",
		oauth_provider_of_host(o.server.host) != NULL, "oauth_only",
		hint == outside_hint_oauth || o.protocol == OUTSIDE_GMAIL,
		"vouched", rc == 0));
}
