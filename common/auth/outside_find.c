/* SPDX-License-Identifier: ISC */
#include "common/auth/outside_find.h"

#include <errno.h>
#include <strings.h>

#include "common/auth/autoconfig.h"
#include "common/mail/address.h"

#define APP_PASSWORD                                                           \
	"it takes an app password, made in the account's security settings"

const char outside_hint_oauth[] = "it takes no password, but OAuth";

static const struct provider {
	const char *domains; /* separated by spaces */
	const char *mx;      /* end of its MX hosts' names, or NULL */
	const char *imap, *pop3, *smtp;
	uint16_t smtp_port; /* 465: TLS; 587: STARTTLS */
	const char *hint;
} providers[] = {
	{ "gmail.com googlemail.com", ".google.com", "imap.gmail.com",
	    "pop.gmail.com", "smtp.gmail.com", 465, APP_PASSWORD },
	{ "outlook.com hotmail.com live.com msn.com outlook.de hotmail.de "
	  "hotmail.co.uk hotmail.fr",
	    ".mail.protection.outlook.com", "outlook.office365.com",
	    "outlook.office365.com", "smtp.office365.com", 587,
	    outside_hint_oauth },
	{ "yahoo.com yahoo.co.uk yahoo.de yahoo.fr ymail.com aol.com",
	    ".yahoodns.net", "imap.mail.yahoo.com", "pop.mail.yahoo.com",
	    "smtp.mail.yahoo.com", 465, APP_PASSWORD },
	{ "icloud.com me.com mac.com", ".mail.icloud.com", "imap.mail.me.com",
	    NULL, "smtp.mail.me.com", 587, APP_PASSWORD },
	{ "fastmail.com fastmail.fm", ".messagingengine.com",
	    "imap.fastmail.com", "pop.fastmail.com", "smtp.fastmail.com", 465,
	    APP_PASSWORD },
	{ "gmx.de gmx.net gmx.at gmx.ch", NULL, "imap.gmx.net", "pop.gmx.net",
	    "mail.gmx.net", 465,
	    "POP3 and IMAP must be switched on in its settings" },
	{ "gmx.com", NULL, "imap.gmx.com", "pop.gmx.com", "mail.gmx.com", 465,
	    "POP3 and IMAP must be switched on in its settings" },
	{ "web.de", NULL, "imap.web.de", "pop3.web.de", "smtp.web.de", 587,
	    "POP3 and IMAP must be switched on in its settings" },
	{ "t-online.de", NULL, "secureimap.t-online.de",
	    "securepop.t-online.de", "securesmtp.t-online.de", 465, NULL },
	{ "posteo.de posteo.net", ".posteo.de", "posteo.de", "posteo.de",
	    "posteo.de", 465, NULL },
	{ "mailbox.org", ".mailbox.org", "imap.mailbox.org", "pop3.mailbox.org",
	    "smtp.mailbox.org", 465, NULL },
	{ "yandex.com yandex.ru", ".yandex.net", "imap.yandex.com",
	    "pop.yandex.com", "smtp.yandex.com", 465, APP_PASSWORD },
	{ "mail.ru", ".mail.ru", "imap.mail.ru", "pop.mail.ru", "smtp.mail.ru",
	    465, APP_PASSWORD },
	{ .domains = NULL },
};

/* --- providers --- */

static bool
has_word(const char *words, struct slice word)
{
	struct slice rest = slice_str(words);

	while (rest.n > 0)
		if (slice_eq_nocase(slice_split(&rest, ' '), word))
			return true;
	return false;
}

static int
use_provider(
    const struct provider *p, bool pop3, struct outside *o, const char **hint)
{
	if (pop3 && p->pop3 == NULL)
		return -ENOENT;
	o->protocol = pop3 ? OUTSIDE_POP3 : OUTSIDE_IMAP;
	o->server = (struct outside_server){ pop3 ? p->pop3 : p->imap,
		pop3 ? 995 : 993, OUTSIDE_TLS };
	o->smtp = (struct outside_server){ p->smtp, p->smtp_port,
		p->smtp_port == 465 ? OUTSIDE_TLS : OUTSIDE_STARTTLS };
	*hint = p->hint;
	return 0;
}

/* The MX only chooses among these: it can name no server of its own. */
static const struct provider *
provider_by_mx(struct dns *d, struct arena *a, const char *domain)
{
	const struct provider *p = providers;
	struct dns_mx *mx;
	size_t n;

	if (dns_mx(d, a, domain, &mx, &n, NULL) != 0)
		return NULL;
	for (; p->domains != NULL; p++)
		if (p->mx != NULL &&
		    slice_ends_nocase(slice_str(mx[0].host), p->mx))
			return p;
	return NULL;
}

/* --- DNS --- */

/* `host` is `domain`, or below it. */
static bool
is_within(struct slice host, struct slice domain)
{
	if (host.n == domain.n)
		return slice_eq_nocase(host, domain);
	return host.n > domain.n && host.p[host.n - domain.n - 1] == '.' &&
	    slice_eq_nocase(slice_from(host, host.n - domain.n), domain);
}

/* 0, -ENOENT, -EAGAIN; *sure stays only if it is. */
static int
service(struct dns *d, struct arena *a, const char *name, struct slice domain,
    enum outside_security security, struct outside_server *out, bool *sure)
{
	char *full =
	    arena_printf(a, "_%s._tcp.%.*s", name, (int)domain.n, domain.p);
	struct dns_srv *srv;
	bool secure;
	size_t n;
	int rc =
	    full == NULL ? -EAGAIN : dns_srv(d, a, full, &srv, &n, &secure);

	if (rc == -ENODATA ||
	    (rc == 0 && (*srv[0].host == '\0' || srv[0].port == 0)))
		return -ENOENT;
	if (rc != 0)
		return rc;
	*out = (struct outside_server){ srv[0].host, srv[0].port, security };
	*sure = *sure && (secure || is_within(slice_str(srv[0].host), domain));
	return 0;
}

static int
by_dns(struct dns *d, struct arena *a, struct slice domain, bool pop3,
    struct outside *o)
{
	static const struct {
		const char *name;
		enum outside_protocol protocol;
		enum outside_security security;
	} services[] = { { "imaps", OUTSIDE_IMAP, OUTSIDE_TLS },
		{ "imap", OUTSIDE_IMAP, OUTSIDE_STARTTLS },
		{ "pop3s", OUTSIDE_POP3, OUTSIDE_TLS },
		{ "pop3", OUTSIDE_POP3, OUTSIDE_STARTTLS } };
	bool sure = true;
	int rc = -ENOENT;

	for (size_t i = pop3 ? 2 : 0; i < 4 && rc == -ENOENT; i++) {
		rc = service(d, a, services[i].name, domain,
		    services[i].security, &o->server, &sure);
		o->protocol = services[i].protocol;
	}
	if (rc != 0)
		return rc;
	rc = service(d, a, "submissions", domain, OUTSIDE_TLS, &o->smtp, &sure);
	if (rc == -ENOENT)
		rc = service(d, a, "submission", domain, OUTSIDE_STARTTLS,
		    &o->smtp, &sure);
	if (rc == -ENOENT)
		rc = 0;
	return rc == 0 && !sure ? -EPERM : rc;
}

/* What the domain says in a file, whose host its certificate vouches for: also
 * where DNS says what nobody vouches for (-EPERM). */
static int
by_file(struct http_client *h, struct arena *a, struct slice local,
    struct slice domain, bool pop3, bool public_only, struct outside *o,
    const char **hint, int rc)
{
	struct outside found = *o;
	bool oauth;
	int file_rc;

	if (h == NULL || (rc != -ENOENT && rc != -EPERM))
		return rc;
	file_rc =
	    autoconfig_find(h, a, local, domain, pop3, public_only, &found, &oauth);
	if (file_rc != 0)
		return file_rc == -ECANCELED ? file_rc : rc;
	*o = found;
	if (oauth)
		*hint = outside_hint_oauth;
	return 0;
}

int
outside_find(struct dns *d, struct arena *a, const char *address, bool pop3,
    struct outside *o, const char **hint)
{
	return outside_find_online(d, NULL, a, address, pop3, true, o, hint);
}

int
outside_find_online(struct dns *d, struct http_client *h, struct arena *a,
    const char *address, bool pop3, bool public_only, struct outside *o,
    const char **hint)
{
	const struct provider *p = providers;
	struct slice canonical, local, domain;
	const char *name;
	int rc = address_canonical(a, slice_str(address), &canonical);

	*hint = NULL;
	o->smtp = (struct outside_server){ .host = "" };
	if (rc == 0)
		rc = address_split(canonical, &local, &domain);
	if (rc != 0)
		return rc;
	if ((name = arena_strdup(a, domain)) == NULL)
		return -EAGAIN;
	while (p->domains != NULL && !has_word(p->domains, domain))
		p++;
	if (p->domains != NULL)
		return use_provider(p, pop3, o, hint);
	/* What the domain says itself comes before what we guess. */
	rc = by_dns(d, a, domain, pop3, o);
	rc = by_file(h, a, local, domain, pop3, public_only, o, hint, rc);
	if (rc == -ENOENT && (p = provider_by_mx(d, a, name)) != NULL)
		rc = use_provider(p, pop3, o, hint);
	return rc;
}

bool
outside_is_gmail(const struct outside *o)
{
	return strcasecmp(o->server.host, "imap.gmail.com") == 0 ||
	    strcasecmp(o->server.host, "pop.gmail.com") == 0;
}

void
outside_use_gmail(struct outside *o)
{
	o->protocol = OUTSIDE_GMAIL;
	o->server =
	    (struct outside_server){ "gmail.googleapis.com", 443, OUTSIDE_TLS };
	o->smtp = (struct outside_server){ "smtp.gmail.com", 465, OUTSIDE_TLS };
}
