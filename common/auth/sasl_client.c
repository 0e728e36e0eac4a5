/* SPDX-License-Identifier: ISC */
/* SASL, the client's side, on libgsasl: for smarthosts and outside accounts. */
#include <errno.h>
#include <gsasl.h>
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/auth/password.h"
#include "common/auth/sasl.h"
#include "common/auth/scram_salted.h"
#include "common/base/log.h"
#include "common/mail/transfer.h"

#define MESSAGE_MAX 8192 /* of a server */

struct choice {
	const char *name;
	bool reveals; /* the password, to whoever listens */
	bool server_first;
	bool scram, plus;
	bool token, xoauth2;
};

struct sasl_client {
	const struct choice *choice;
	Gsasl_session *session;
	unsigned step;
	bool done, over;
	unsigned char salted_id[SCRAM_SALTED_ID];
	struct buf first; /* with a token: the only message; no session */
	/* The step that runs on the thread pool. */
	struct slice in;
	char *out;
	size_t out_n;
	int rc;
};

/* Best first. CRAM-MD5 (RFC 2195) can be guessed off line, so under TLS the
 * password itself is the lesser evil: the server is the one we mean. */
static const struct choice choices[] = {
	{ "SCRAM-SHA-256-PLUS", .scram = true, .plus = true },
	{ "SCRAM-SHA-1-PLUS", .scram = true, .plus = true },
	{ "SCRAM-SHA-256", .scram = true },
	{ "SCRAM-SHA-1", .scram = true },
	{ "PLAIN", .reveals = true },
	{ "LOGIN", .reveals = true, .server_first = true },
	{ "CRAM-MD5", .server_first = true },
	{ "OAUTHBEARER", .reveals = true, .token = true },
	{ "XOAUTH2", .reveals = true, .token = true, .xoauth2 = true },
	{ .name = NULL },
};

/* --- choosing --- */

static bool
is_offered(struct slice offered, const char *name)
{
	while (offered.n > 0)
		if (slice_eq_str_nocase(slice_split(&offered, ' '), name))
			return true;
	return false;
}

static bool
has_binding(const struct conn *c)
{
	struct buf b = BUF_INIT;
	bool has = conn_tls_binding(c, "tls-exporter", &b) == 0 ||
	    conn_tls_binding(c, "tls-unique", &b) == 0;

	buf_clear(&b);
	return has;
}

static const struct choice *
choose(
    struct slice offered, const struct conn *c, bool plaintext_ok, bool token)
{
	bool private = plaintext_ok || conn_is_tls(c) ||
	    net_addr_is_loopback(conn_peer(c));
	const struct choice *ch = choices;

	for (; ch->name != NULL; ch++)
		if (ch->token == token && is_offered(offered, ch->name) &&
		    (private || !ch->reveals) && (!ch->plus || has_binding(c)))
			return ch;
	return NULL;
}

/* --- the session --- */

/* One for the process: mechanisms and nothing else. */
static Gsasl *
library(void)
{
	static Gsasl *lib;

	if (lib == NULL && gsasl_init(&lib) != GSASL_OK)
		lib = NULL;
	return lib;
}

/* gsasl refuses non-PLUS when it knows binding data, so only -PLUS gets it. */
static int
set_binding(Gsasl_session *session, const struct conn *c)
{
	struct buf raw = BUF_INIT, text = BUF_INIT;
	Gsasl_property property = GSASL_CB_TLS_EXPORTER;
	int rc = conn_tls_binding(c, "tls-exporter", &raw);

	if (rc != 0) {
		property = GSASL_CB_TLS_UNIQUE;
		rc = conn_tls_binding(c, "tls-unique", &raw);
	}
	if (rc == 0 && !base64_encode(&text, buf_slice(&raw)))
		rc = -ENOMEM;
	if (rc == 0 &&
	    gsasl_property_set(session, property, buf_str(&text)) != GSASL_OK)
		rc = -ENOMEM;
	buf_clear(&raw);
	buf_clear(&text);
	return rc;
}

int
sasl_client_new(struct sasl_client **out, struct slice offered, struct conn *c,
    const char *user, const char *password, const char *service,
    const char *host, bool plaintext_ok)
{
	const struct choice *choice = choose(offered, c, plaintext_ok, false);
	struct sasl_client *s;
	int rc = -ENOMEM;

	if (choice == NULL)
		return -ENOTSUP;
	if (library() == NULL || (s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->choice = choice;
	if (gsasl_client_start(library(), choice->name, &s->session) ==
		GSASL_OK &&
	    gsasl_property_set(s->session, GSASL_AUTHID, user) == GSASL_OK &&
	    gsasl_property_set(s->session, GSASL_PASSWORD, password) ==
		GSASL_OK &&
	    gsasl_property_set(s->session, GSASL_SERVICE, service) ==
		GSASL_OK &&
	    gsasl_property_set(s->session, GSASL_HOSTNAME, host) == GSASL_OK)
		rc = choice->plus ? set_binding(s->session, c) : 0;
	if (rc != 0) {
		sasl_client_free(&s);
		return rc;
	}
	*out = s;
	return 0;
}

/* "a=user," of GS2, where ',' and '=' are escaped (RFC 5801 4). */
static void
put_saslname(struct buf *b, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == ',' || *name == '=')
			buf_put_str(b, *name == ',' ? "=2C" : "=3D");
		else
			buf_put_char(b, *name);
	}
}

int
sasl_client_new_token(struct sasl_client **out, struct slice offered,
    struct conn *c, const char *user, const char *token, const char *host,
    bool plaintext_ok)
{
	const struct choice *choice = choose(offered, c, plaintext_ok, true);
	struct sasl_client *s;

	if (choice == NULL)
		return -ENOTSUP;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return -ENOMEM;
	s->choice = choice;
	if (choice->xoauth2) {
		buf_printf(&s->first, "user=%s\1", user);
	} else {
		buf_put_str(&s->first, "n,a=");
		put_saslname(&s->first, user);
		buf_printf(&s->first, ",\1host=%s\1", host);
	}
	buf_printf(&s->first, "auth=Bearer %s\1\1", token);
	if (s->first.failed) {
		sasl_client_free(&s);
		return -ENOMEM;
	}
	*out = s;
	return 0;
}

/* The token; to a challenge, which says why it is not taken, the answer that
 * lets the server say no (RFC 7628 3.2.3). */
static int
step_token(struct sasl_client *s, bool first, struct buf *out)
{
	if (first) {
		s->done = true;
		return buf_put_slice(out, buf_slice(&s->first)) ? SASL_OK
								: -EAGAIN;
	}
	s->over = true;
	s->done = false;
	if (!s->choice->xoauth2)
		buf_put_char(out, '\1');
	return SASL_OK;
}

/* gsasl frees what it keeps, but does not wipe it. */
static void
wipe(Gsasl_session *session, Gsasl_property property)
{
	char *kept = (char *)(uintptr_t)gsasl_property_fast(session, property);

	if (kept != NULL)
		OPENSSL_cleanse(kept, strlen(kept));
}

void
sasl_client_free(struct sasl_client **s)
{
	struct sasl_client *c = *s;

	if (c == NULL)
		return;
	*s = NULL;
	if (c->session != NULL) {
		wipe(c->session, GSASL_PASSWORD);
		wipe(c->session, GSASL_SCRAM_SALTED_PASSWORD);
		gsasl_finish(c->session);
	}
	buf_wipe(&c->first);
	free(c);
}

const char *
sasl_client_mechanism(const struct sasl_client *s)
{
	return s->choice->name;
}

bool
sasl_client_is_done(const struct sasl_client *s)
{
	return s->done;
}

/* --- steps --- */

/*
 * RFC 5802 5.1: the count is the server's to choose, and ours to work off: a
 * hostile one would hold a thread for hours with a high one, and get what can
 * be guessed at leisure with a low one.
 */
static int
check_iterations(struct slice server_first)
{
	uint64_t n;

	while (server_first.n > 0) {
		struct slice attribute = slice_split(&server_first, ',');

		if (!slice_starts(attribute, "i="))
			continue;
		if (slice_u64(slice_from(attribute, 2), SCRAM_ITERATIONS_MAX,
			&n) == 0 &&
		    n >= SCRAM_ITERATIONS_MIN)
			return 0;
		log_warning("SCRAM iteration count refused", "count=%s",
		    log_q(attribute));
		return -EBADMSG;
	}
	return -EBADMSG;
}

static void
step_work(void *arg)
{
	struct sasl_client *s = arg;

	s->rc = gsasl_step(s->session, s->in.p, s->in.n, &s->out, &s->out_n);
}

static int
error_of(int rc)
{
	switch (rc) {
	case GSASL_OK:
		return SASL_OK;
	case GSASL_NEEDS_MORE:
		return SASL_MORE;
	case GSASL_AUTHENTICATION_ERROR:
		return -EACCES;
	case GSASL_MALLOC_ERROR:
		return -EAGAIN;
	default:
		return -EBADMSG;
	}
}

/* --- SCRAM's slow step --- */

static int
digit(char c)
{
	return ascii_is_digit(c) ? c - '0' : ascii_lower(c) - 'a' + 10;
}

static struct slice
property(const struct sasl_client *s, Gsasl_property p)
{
	return slice_str(gsasl_property_fast(s->session, p));
}

static struct slice
attribute(struct slice server_first, const char *name)
{
	while (server_first.n > 0) {
		struct slice a = slice_split(&server_first, ',');

		if (slice_starts(a, name))
			return slice_from(a, 2);
	}
	return SLICE_EMPTY;
}

/* What the rounds gave last time, for gsasl to go on from. */
static bool
recall(struct sasl_client *s, struct slice in, bool *may_keep)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char salted[SCRAM_SALTED_MAX];
	char hex[2 * SCRAM_SALTED_MAX + 1];
	bool known;
	size_t n;

	*may_keep = scram_salted_id(s->choice->name, property(s, GSASL_AUTHID),
	    property(s, GSASL_PASSWORD), attribute(in, "s="),
	    attribute(in, "i="), s->salted_id);
	if (!*may_keep || (n = scram_salted_get(s->salted_id, salted)) == 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		hex[2 * i] = digits[salted[i] >> 4];
		hex[2 * i + 1] = digits[salted[i] & 15];
	}
	hex[2 * n] = '\0';
	known = gsasl_property_set(
		    s->session, GSASL_SCRAM_SALTED_PASSWORD, hex) == GSASL_OK;
	OPENSSL_cleanse(hex, sizeof(hex));
	OPENSSL_cleanse(salted, sizeof(salted));
	return known;
}

static void
keep(struct sasl_client *s)
{
	struct slice hex = property(s, GSASL_SCRAM_SALTED_PASSWORD);
	unsigned char salted[SCRAM_SALTED_MAX];
	size_t n = hex.n / 2;

	if (n == 0 || n > sizeof(salted) || hex.n % 2 != 0)
		return;
	for (size_t i = 0; i < n; i++)
		salted[i] = (unsigned char)(digit(hex.p[2 * i]) << 4 |
		    digit(hex.p[2 * i + 1]));
	scram_salted_put(s->salted_id, slice(salted, n));
	OPENSSL_cleanse(salted, sizeof(salted));
}

/* Thousands of rounds are for the thread pool, where they are not known. */
static int
step_slow(struct sasl_client *s)
{
	bool may_keep, known = recall(s, s->in, &may_keep);
	int rc;

	if (known) {
		step_work(s);
		return 0;
	}
	rc = co_work(step_work, s);
	if (rc == 0 && may_keep && error_of(s->rc) >= 0)
		keep(s);
	return rc;
}

/* One message into gsasl. */
static int
step(struct sasl_client *s, struct slice in, struct buf *out)
{
	int rc = 0;

	s->in = in;
	s->out = NULL;
	s->out_n = 0;
	if (s->choice->scram && s->step == 2)
		rc = step_slow(s);
	else
		step_work(s);
	if (rc == 0)
		rc = error_of(s->rc);
	if (rc >= 0 && !buf_put(out, s->out, s->out_n))
		rc = -EAGAIN;
	if (s->out != NULL) {
		OPENSSL_cleanse(s->out, s->out_n);
		gsasl_free(s->out);
	}
	return rc;
}

int
sasl_client_step(struct sasl_client *s, struct slice in, struct buf *out)
{
	bool first = s->step++ == 0;
	int rc;

	if (s->over || in.n > MESSAGE_MAX || first != (in.p == NULL))
		return -EBADMSG;
	if (s->choice->token)
		return step_token(s, first, out);
	if (first && s->choice->server_first)
		return SASL_MORE;
	if (s->choice->scram && s->step == 2 &&
	    (rc = check_iterations(in)) != 0) {
		s->over = true;
		return rc;
	}
	rc = step(s, in, out);
	s->done = rc == SASL_OK;
	s->over = rc != SASL_MORE;
	return rc;
}

/* --- for the SMTP client --- */

static int
smtp_begin(void **state, struct conn *c, struct slice offered, const char *user,
    const char *password, const char *host, bool plaintext_ok,
    const char **mechanism)
{
	struct sasl_client *s;
	int rc = sasl_client_new(&s, offered, c, user, password, "smtp",
	    host != NULL ? host : "", plaintext_ok);

	if (rc != 0)
		return rc;
	*state = s;
	*mechanism = sasl_client_mechanism(s);
	return 0;
}

static int
smtp_begin_token(void **state, struct conn *c, struct slice offered,
    const char *user, const char *token, const char *host, bool plaintext_ok,
    const char **mechanism)
{
	struct sasl_client *s;
	int rc = sasl_client_new_token(&s, offered, c, user, token,
	    host != NULL ? host : "", plaintext_ok);

	if (rc != 0)
		return rc;
	*state = s;
	*mechanism = sasl_client_mechanism(s);
	return 0;
}

static int
smtp_step(void *state, struct slice in, struct buf *out)
{
	return sasl_client_step(state, in, out);
}

static bool
smtp_is_done(const void *state)
{
	return sasl_client_is_done(state);
}

static void
smtp_end(void **state)
{
	struct sasl_client *s = *state;

	sasl_client_free(&s);
	*state = NULL;
}

const struct smtp_client_sasl sasl_smtp_client = {
	.begin = smtp_begin,
	.step = smtp_step,
	.is_done = smtp_is_done,
	.end = smtp_end,
};

const struct smtp_client_sasl sasl_smtp_client_token = {
	.begin = smtp_begin_token,
	.step = smtp_step,
	.is_done = smtp_is_done,
	.end = smtp_end,
};
