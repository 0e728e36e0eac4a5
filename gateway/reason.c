/* SPDX-License-Identifier: ISC */
/*
 * Why a look did not work, in words for whoever can do something about it. What a
 * server says is passed on, but for our own secret, which a bad one may echo.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "common/mail/transfer.h"
#include "gateway/fetch.h"

#define CONCEAL_MIN 3 /* octets: less than that is in any text */

/* --- secrets --- */

static void
strike(struct buf *text, struct slice secret)
{
	ssize_t at;

	if (secret.n < CONCEAL_MIN)
		return;
	while ((at = slice_find_slice(buf_slice(text), secret)) >= 0)
		memset(text->p + at, '*', secret.n);
}

void
fetch_conceal(struct buf *text, const char *user, const char *secret)
{
	struct buf plain = BUF_INIT, b64 = BUF_INIT;

	if (secret == NULL)
		return;
	strike(text, slice_str(secret));
	/* As SASL PLAIN and LOGIN send it. */
	if (base64_encode(&b64, slice_str(secret)))
		strike(text, buf_slice(&b64));
	buf_wipe(&b64);
	b64 = BUF_INIT;
	buf_put_char(&plain, '\0');
	buf_put_str(&plain, user);
	buf_put_char(&plain, '\0');
	buf_put_str(&plain, secret);
	if (!plain.failed && base64_encode(&b64, buf_slice(&plain)))
		strike(text, buf_slice(&b64));
	buf_wipe(&plain);
	buf_wipe(&b64);
}

/* --- ends --- */

enum fetch_end
fetch_fail(struct fetch *f, enum fetch_end end, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&f->why);
	va_start(ap, fmt);
	buf_vprintf(&f->why, fmt, ap);
	va_end(ap);
	fetch_conceal(&f->why, f->o.user != NULL ? f->o.user : "", f->secret.p);
	return end;
}

const char *
fetch_words(int rc)
{
	switch (rc) {
	case -ECONNREFUSED:
		return "nothing listens there (connection refused): is the "
		       "port right?";
	case -ETIMEDOUT:
		return "no answer in time: is the port right, or a firewall in "
		       "between?";
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return "there is no way to it from here (no route)";
	case -ECONNRESET:
		return "it closed the connection";
	default:
		return strerror(-rc);
	}
}

enum fetch_end
fetch_fail_name(struct fetch *f, int rc)
{
	const char *host = f->o.server.host;

	switch (rc) {
	case -ENOENT:
		return fetch_fail(f, FETCH_HOST,
		    "%s: no such host: DNS knows no such name; is it spelt "
		    "right?",
		    host);
	case -ENODATA:
		return fetch_fail(f, FETCH_HOST, "%s: no such host: %s", host,
		    f->o.public_only
			? "it has no address that the whole world can reach"
			: "DNS knows no address of it");
	case -ECANCELED:
		return fetch_fail(f, FETCH_RETRY, "stopped");
	default:
		return fetch_fail(f, FETCH_HOST,
		    "%s: DNS gives no answer; it is asked again", host);
	}
}

static const char *
colon(const char *said)
{
	return *said == '\0' ? "" : ": ";
}

/* Who refuses may say nothing, or "failed". */
static const char *
advice(const struct fetch *f)
{
	return f->o.sign_in == OUTSIDE_OAUTH
	    ? "; log in again"
	    : "; are user and password right? Many providers want a password "
	      "made for mail programs, and IMAP or POP3 switched on";
}

/* That says it all. */
static bool
is_tls(const char *said)
{
	return slice_starts(slice_str(said), "no TLS");
}

enum fetch_end
fetch_fail_open(struct fetch *f, int rc, const char *said)
{
	const char *host = f->o.server.host;
	unsigned port = f->o.server.port;

	switch (rc) {
	case -EACCES:
		return fetch_fail(f, FETCH_LOGIN,
		    "%s refuses to sign us in%s%s%s", host, colon(said), said,
		    advice(f));
	case -ENOTSUP:
		f->renewed = true; /* no other token would do */
		return fetch_fail(f, FETCH_LOGIN,
		    "%s offers no way to sign in that we have%s%s", host,
		    colon(said), said);
	case -EBUSY:
		return fetch_fail(
		    f, FETCH_RETRY, "%s: not now%s%s", host, colon(said), said);
	case -EPROTO:
		if (*said == '\0')
			said = "is the port right, and the security?";
		return fetch_fail(f, FETCH_RETRY, "%s port %u: %s%s", host,
		    port, is_tls(said) ? "" : "not what was expected: ", said);
	case -ECANCELED:
		return fetch_fail(f, FETCH_RETRY, "stopped");
	default:
		return fetch_fail(f, FETCH_HOST, "%s port %u: %s%s%s", host,
		    port, fetch_words(rc), colon(said), said);
	}
}

enum fetch_end
fetch_fail_broken(struct fetch *f, int rc, const char *said)
{
	if (f->why.n > 0) /* it was ours, and told */
		return FETCH_RETRY;
	return fetch_fail(f, FETCH_RETRY, "%s: %s%s%s", f->o.server.host,
	    rc == -EPROTO ? "not what was expected" : fetch_words(rc),
	    colon(said), said);
}
