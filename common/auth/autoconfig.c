/* SPDX-License-Identifier: ISC */
#include "common/auth/autoconfig.h"

#include <errno.h>
#include <expat.h>
#include <string.h>

#include "common/base/log.h"
#include "common/net/http_form.h"

#define DEPTH_MAX 16
#define TEXT_MAX ((size_t)255)
#define WAIT_MS 10000

/* A server as it is being read. */
struct entry {
	bool pop3, smtp, usable; /* has TLS, and a way to sign in */
	bool password, token;
	const char *host, *user;
	uint16_t port;
	enum outside_security security;
};
struct reader {
	XML_Parser parser;
	struct arena *a;
	struct slice local, domain;
	size_t depth;
	bool is_config, in_provider, in_server, failed;
	struct buf text;
	struct entry e;
	struct entry imap, pop3, smtp; /* the first of each; host NULL: none */
};

/* --- reading --- */

static void
stop(struct reader *r)
{
	r->failed = true;
	XML_StopParser(r->parser, XML_FALSE);
}

/* Entities of one's own are what XML is attacked by; the format has none. */
static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
    const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(arg);
}

static const char *
attribute(const XML_Char **v, const char *name)
{
	for (; *v != NULL; v += 2)
		if (strcmp(v[0], name) == 0)
			return v[1];
	return "";
}

static void XMLCALL
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = arg;
	const char *type = attribute(attributes, "type");
	bool incoming = strcmp(name, "incomingServer") == 0;

	if (r->depth == 0) {
		r->is_config = strcmp(name, "clientConfig") == 0 &&
		    strncmp(attribute(attributes, "version"), "1.", 2) == 0;
		if (!r->is_config)
			stop(r);
	}
	if (r->depth == 1)
		r->in_provider = strcmp(name, "emailProvider") == 0;
	if (r->depth == 2) {
		r->in_server = r->in_provider &&
		    ((incoming &&
			 (strcmp(type, "imap") == 0 ||
			     strcmp(type, "pop3") == 0)) ||
			(strcmp(name, "outgoingServer") == 0 &&
			    strcmp(type, "smtp") == 0));
		r->e = (struct entry){ .pop3 = strcmp(type, "pop3") == 0,
			.smtp = !incoming,
			.security = OUTSIDE_PLAIN };
	}
	buf_reset(&r->text);
	if (++r->depth > DEPTH_MAX)
		stop(r);
}

static void XMLCALL
on_text(void *arg, const XML_Char *text, int n)
{
	struct reader *r = arg;

	/* One that is too long is none: `failed` stays until the next one. */
	if (r->depth == 4 && r->in_server)
		buf_put(&r->text, text, (size_t)n);
}

/* --- what a field says --- */

/* %EMAILADDRESS% and the like; NULL: out of memory, "": not of use. */
static const char *
filled(struct reader *r, struct slice in)
{
	struct buf b = BUF_INIT_MAX(TEXT_MAX);
	const char *out = "";

	while (in.n > 0) {
		if (slice_starts(in, "%EMAILADDRESS%")) {
			buf_put_slice(&b, r->local);
			buf_put_char(&b, '@');
			buf_put_slice(&b, r->domain);
			in = slice_from(in, 14);
		} else if (slice_starts(in, "%EMAILLOCALPART%")) {
			buf_put_slice(&b, r->local);
			in = slice_from(in, 16);
		} else if (slice_starts(in, "%EMAILDOMAIN%")) {
			buf_put_slice(&b, r->domain);
			in = slice_from(in, 13);
		} else {
			if ((unsigned char)*in.p < 0x20 || *in.p == 0x7f)
				b.failed = true;
			buf_put_char(&b, *in.p);
			in = slice_from(in, 1);
		}
	}
	if (!b.failed)
		out = arena_strdup(r->a, buf_slice(&b));
	buf_clear(&b);
	return out;
}

static void
field(struct reader *r, const char *name, struct slice text)
{
	struct entry *e = &r->e;
	uint64_t port;

	if (strcmp(name, "hostname") == 0)
		e->host = filled(r, text);
	else if (strcmp(name, "username") == 0)
		e->user = filled(r, text);
	else if (strcmp(name, "port") == 0)
		e->port = slice_u64(text, UINT16_MAX, &port) == 0
		    ? (uint16_t)port
		    : 0;
	else if (strcmp(name, "socketType") == 0)
		e->security = slice_eq_str_nocase(text, "SSL") ? OUTSIDE_TLS
		    : slice_eq_str_nocase(text, "STARTTLS") ? OUTSIDE_STARTTLS
							    : OUTSIDE_PLAIN;
	else if (strcmp(name, "authentication") == 0) {
		/* "plain" and "secure": of before. */
		if (slice_eq_str_nocase(text, "password-cleartext") ||
		    slice_eq_str_nocase(text, "password-encrypted") ||
		    slice_eq_str_nocase(text, "plain") ||
		    slice_eq_str_nocase(text, "secure"))
			e->password = true;
		if (slice_eq_str_nocase(text, "OAuth2"))
			e->token = true;
	}
}

static bool
is_host(const char *host)
{
	for (const char *p = host; *p != '\0'; p++)
		if (!ascii_is_alpha(*p) && !ascii_is_digit(*p) && *p != '-' &&
		    *p != '.')
			return false;
	return *host != '\0';
}

/* Servers stand in the order that the provider prefers. */
static void
server(struct reader *r)
{
	struct entry *e = &r->e,
		     *to = e->smtp ? &r->smtp
	    : e->pop3              ? &r->pop3
				   : &r->imap;

	if (to->host == NULL && e->host != NULL && is_host(e->host) &&
	    e->port != 0 && e->security != OUTSIDE_PLAIN &&
	    (e->password || e->token))
		*to = *e;
}

static void XMLCALL
on_end(void *arg, const XML_Char *name)
{
	struct reader *r = arg;

	r->depth--;
	if (r->depth == 3 && r->in_server && !r->text.failed)
		field(r, name, slice_trim(buf_slice(&r->text)));
	if (r->depth == 2 && r->in_server) {
		server(r);
		r->in_server = false;
	}
	if (r->depth == 1)
		r->in_provider = false;
	buf_reset(&r->text);
}

/* --- all of it --- */

static struct outside_server
server_of(const struct entry *e)
{
	return (struct outside_server){ e->host, e->port, e->security };
}

static int
choose(const struct reader *r, bool pop3, struct outside *o, bool *oauth)
{
	const struct entry *in =
	    pop3 || r->imap.host == NULL ? &r->pop3 : &r->imap;

	if (in->host == NULL)
		return -ENOENT;
	o->protocol = in->pop3 ? OUTSIDE_POP3 : OUTSIDE_IMAP;
	o->server = server_of(in);
	if (in->user != NULL && *in->user != '\0')
		o->user = in->user;
	o->smtp = (struct outside_server){ .host = "" };
	/* One record has one name and one way to sign in. */
	if (r->smtp.host != NULL &&
	    (r->smtp.password || (r->smtp.token && !in->password)) &&
	    (r->smtp.user == NULL || in->user == NULL ||
		strcmp(r->smtp.user, in->user) == 0))
		o->smtp = server_of(&r->smtp);
	*oauth = !in->password;
	return 0;
}

int
autoconfig_parse(struct arena *a, struct slice xml, struct slice local,
    struct slice domain, bool pop3, struct outside *o, bool *oauth)
{
	struct reader r = { .parser = XML_ParserCreate(NULL),
		.a = a,
		.local = local,
		.domain = domain,
		.text = BUF_INIT_MAX(TEXT_MAX) };
	int rc = -EBADMSG;

	if (r.parser == NULL)
		return -ENOMEM;
	XML_SetUserData(r.parser, &r);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	XML_SetElementHandler(r.parser, on_start, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	if (xml.n > 0 && xml.n <= AUTOCONFIG_MAX &&
	    XML_Parse(r.parser, xml.p, (int)xml.n, 1) == XML_STATUS_OK &&
	    !r.failed)
		rc = choose(&r, pop3, o, oauth);
	XML_ParserFree(r.parser);
	buf_clear(&r.text);
	return rc;
}

/* --- asking the domain --- */

static int
ask(struct http_client *h, struct arena *a, const struct buf *url,
    struct slice local, struct slice domain, bool pop3, bool public_only,
    struct outside *o, bool *oauth)
{
	const struct http_request r = { .url = buf_str(url),
		.timeout_ms = WAIT_MS,
		.max = AUTOCONFIG_MAX,
		.global_only = public_only };
	struct buf xml = BUF_INIT_MAX(AUTOCONFIG_MAX);
	int status = 0, rc = -ENOENT;

	if (!url->failed)
		rc = http_fetch(h, &r, &status, &xml);
	if (rc == 0)
		rc = status == 200 ? autoconfig_parse(a, buf_slice(&xml), local,
					 domain, pop3, o, oauth)
				   : -ENOENT;
	buf_clear(&xml);
	return rc == 0 || rc == -ECANCELED ? rc : -ENOENT;
}

int
autoconfig_find(struct http_client *h, struct arena *a, struct slice local,
    struct slice domain, bool pop3, bool public_only, struct outside *o,
    bool *oauth)
{
	struct buf url = BUF_INIT_MAX(2000), address = url;
	int rc;

	buf_put_slice(&address, local);
	buf_put_char(&address, '@');
	buf_put_slice(&address, domain);
	buf_printf(&url, "https://autoconfig.%.*s/mail/config-v1.1.xml?",
	    (int)domain.n, domain.p);
	http_form_put(&url, "emailaddress", buf_slice(&address));
	rc = ask(h, a, &url, local, domain, pop3, public_only, o, oauth);
	if (rc == -ENOENT) {
		buf_reset(&url);
		buf_printf(&url,
		    "https://%.*s/.well-known/autoconfig/mail/"
		    "config-v1.1.xml",
		    (int)domain.n, domain.p);
		rc = ask(h, a, &url, local, domain, pop3, public_only, o, oauth);
	}
	buf_clear(&url);
	buf_clear(&address);
	return rc;
}
