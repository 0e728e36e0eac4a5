/* SPDX-License-Identifier: ISC */
/* What the body of POST and PATCH of /outside says. */
#include <errno.h>

#include "common/auth/oauth_provider.h"
#include "mgmt/api/outside_body.h"

#define INTERVAL_MIN_S 10
#define INTERVAL_MAX_S (7 * 24 * 3600)
#define DAYS_MAX 36500

static void
refuse(struct manage_call *c, const char *why)
{
	if (c->failed)
		return;
	c->failed = true;
	manage_problem(c, "bad-value", why);
}

static uint16_t
usual_port(enum outside_protocol p, enum outside_security s)
{
	bool tls = s == OUTSIDE_TLS;

	return p == OUTSIDE_GMAIL  ? 443
	    : p == OUTSIDE_POP3 ? (tls ? 995 : 110)
				: (tls ? 993 : 143);
}

static void
smtp_in(struct manage_call *c, struct outside *o)
{
	static const char *const names[] = { "host", "port", "security", NULL };
	json_t *j = json_object_get(c->in, "smtp"), *outer = c->in;
	int security = (int)o->smtp.security;
	int64_t port = 0;
	const char *host;

	if (j == NULL || c->failed)
		return;
	if (json_is_null(j)) {
		o->smtp.host = "";
		return;
	}
	if (!json_is_object(j)) {
		refuse(c, "smtp must be an object or null");
		return;
	}
	c->in = j;
	manage_only(c, names);
	host = manage_need(c, "host", OUTSIDE_TEXT_MAX);
	manage_word(
	    c, "security", outside_securities, OUTSIDE_SECURITIES, &security);
	manage_int(c, "port", 1, UINT16_MAX, NULL, &port);
	c->in = outer;
	if (c->failed)
		return;
	o->smtp.host = host;
	o->smtp.security = (enum outside_security)security;
	o->smtp.port = port != 0              ? (uint16_t)port
	    : o->smtp.security == OUTSIDE_TLS ? 465
					      : 587;
}

static void
server_in(struct manage_call *c, struct outside *o)
{
	int protocol = (int)o->protocol, security = (int)o->server.security;
	int64_t port = 0;
	bool moved;
	const char *s;

	moved = manage_word(
	    c, "protocol", outside_protocols, OUTSIDE_PROTOCOLS, &protocol);
	moved |= manage_word(
	    c, "security", outside_securities, OUTSIDE_SECURITIES, &security);
	o->protocol = (enum outside_protocol)protocol;
	o->server.security = (enum outside_security)security;
	if ((s = manage_str(c, "host", OUTSIDE_TEXT_MAX)) != NULL)
		o->server.host = s;
	if (manage_int(c, "port", 1, UINT16_MAX, NULL, &port))
		o->server.port = (uint16_t)port;
	else if (moved || o->server.port == 0)
		o->server.port = usual_port(o->protocol, o->server.security);
}

/* By tokens of a provider that we know by its server: where else they might
 * come from is for the admin to say (pneu outside set --oauth-token-url). */
static void
sign_in_in(struct manage_call *c, struct outside *o)
{
	const struct oauth_provider *p;
	int how = (int)o->sign_in;

	if (!manage_word(
		c, "sign_in", outside_sign_ins, OUTSIDE_SIGN_INS, &how) &&
	    !c->failed && o->protocol == OUTSIDE_GMAIL)
		how = OUTSIDE_OAUTH; /* it has no other way */
	if (c->failed || how == (int)o->sign_in)
		return;
	o->sign_in = (enum outside_sign_in)how;
	o->oauth =
	    (struct outside_oauth){ "", "", "", "", "", "", SLICE_EMPTY };
	if (o->sign_in != OUTSIDE_OAUTH)
		return;
	if ((p = oauth_provider_of_host(o->server.host)) != NULL)
		o->oauth.provider = p->name;
	else
		refuse(c, "No provider of tokens is known for that server");
}

/* What is done with the mail there; what a protocol does not have is refused by
 * outside_put, but for what is kept of another one. */
static void
sync_in(struct manage_call *c, struct outside *o)
{
	static const int64_t never = -1;
	int sync = (int)o->sync, labels = (int)o->labels;

	if (manage_word(c, "sync", outside_syncs, OUTSIDE_SYNCS, &sync) &&
	    o->protocol == OUTSIDE_POP3)
		refuse(c, "sync is for imap and gmail");
	if (manage_word(c, "labels", outside_label_words, OUTSIDE_LABELS,
		&labels) &&
	    o->protocol != OUTSIDE_GMAIL)
		refuse(c, "labels is for gmail");
	o->sync = (enum outside_sync)sync;
	o->labels = (enum outside_labels)labels;
	manage_int(
	    c, "delete_after_days", 0, DAYS_MAX, &never, &o->delete_days);
}

void
outside_body_in(struct manage_call *c, struct outside *o)
{
	static const int64_t by_setting = 0;
	const char *s;

	server_in(c, o);
	smtp_in(c, o);
	sign_in_in(c, o);
	if ((s = manage_str(c, "user", OUTSIDE_TEXT_MAX)) != NULL)
		o->user = s;
	if ((s = manage_str(c, "into", OUTSIDE_TEXT_MAX)) != NULL)
		o->into = s;
	manage_strs(
	    c, "folders", OUTSIDE_FOLDERS_MAX, &o->folders, &o->n_folders);
	manage_int(c, "interval_seconds", INTERVAL_MIN_S, INTERVAL_MAX_S,
	    &by_setting, &o->interval_s);
	sync_in(c, o);
	manage_bool(c, "paused", &o->paused);
}

struct slice
outside_password_in(struct manage_call *c)
{
	const char *s = manage_str(c, "password", ACCOUNTS_PASSWORD_MAX);

	if (s != NULL && !c->is_private && !c->failed) {
		c->failed = true;
		manage_problem(c, "not-private", NULL);
	}
	return s == NULL || *s == '\0' ? slice(NULL, 0) : slice_str(s);
}

/* --- putting in --- */

int
outside_push_get(
    struct manage_call *c, const struct outside *o, struct outside_push *out)
{
	struct accounts_account r;
	int rc = accounts_account_get(
	    c->env->accounts, c->a, slice_str(o->account), &r);

	*out = (struct outside_push){ .on = false };
	for (size_t i = 0; rc == 0 && i < r.n_push; i++)
		out->on |= strcmp(r.push[i], o->address) == 0;
	out->only = rc == 0 && out->on && r.push_only;
	return rc;
}

void
outside_push_in(
    struct manage_call *c, const struct outside *o, struct outside_push *p)
{
	struct outside_push was = *p;

	manage_bool(c, "push", &p->on);
	manage_bool(c, "push_only", &p->only);
	if (c->failed)
		return;
	if (p->only && !p->on && json_object_get(c->in, "push_only") != NULL)
		refuse(c, "push_only is of what push puts there");
	if (p->on && o->protocol == OUTSIDE_POP3)
		refuse(c, "nothing can be put in by pop3");
	p->only = p->only && p->on;
	p->changed = p->on != was.on || p->only != was.only;
}

int
outside_push_apply(
    struct manage_call *c, const struct outside *o, const struct outside_push *p)
{
	if (!p->changed)
		return 0;
	return outside_push_put(c->env->accounts, slice_str(o->account),
	    slice_str(o->address), p->on, p->only, &c->err);
}
