/* SPDX-License-Identifier: ISC */
/*
 * BURL (RFC 4468): the octets are fetched from our own mailbox, by URLFETCH on
 * its socket for submission servers (RFC 4467). Whatever host the URL names,
 * nobody else is asked: mailbox knows the URLs that it has made.
 */
#include "msa/msa.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/imap_url.h"

#define LINE_MAX_OCTETS (IMAP_URL_MAX * 2 + 256)
#define UNTAGGED_MAX 16 /* lines that are not what was asked for */
#define STEP_MS 60000
#define FETCH_MS ((int64_t)10 * 60 * 1000)

/* --- may the user have it? --- */

static int
refuse(struct smtp_reply *reply, struct smtp_reply with)
{
	*reply = with;
	return 1;
}

/* 0; 1 with *reply set; or an error. RFC 4468 3.3: "submit+" is compared here,
 * for mailbox sees only that it is us who asks. */
static int
check_url(struct smtp_session *s, struct slice url, struct smtp_reply *reply)
{
	struct arena *a = smtp_session_tx_arena(s);
	struct imap_url u;
	const char *user;
	int rc = imap_url_parse(a, url, &u);

	if (rc == -EINVAL)
		return refuse(reply,
		    SMTP_REPLY(501, "5.5.4", "that is no IMAP URL of a message"));
	if (rc != 0)
		return rc;
	if (u.access == IMAP_URL_NO_ACCESS || u.token.p == NULL)
		return refuse(reply,
		    SMTP_REPLY(554, "5.7.8",
			"URL resolution requires trust relationship: only "
			"URLs by GENURLAUTH are taken"));
	if (u.access == IMAP_URL_AUTHUSER || u.access == IMAP_URL_ANONYMOUS)
		return 0;
	rc = accounts_account_name(
	    msa_of(s)->accounts, a, u.access_user, &user);
	if (rc != 0 && rc != -ENOENT)
		return rc;
	if (rc == 0 && u.access == IMAP_URL_SUBMIT &&
	    strcmp(user, smtp_session_authenticated(s)) == 0)
		return 0;
	return refuse(reply,
	    SMTP_REPLY(554, "5.7.0", "IMAP URL authorization failed"));
}

/* --- the dialogue --- */

/* The literal's size at the end of a line: "... {n}". */
static bool
literal_size(struct slice line, uint64_t *n)
{
	ssize_t at = slice_rfind(line, '{');

	return at >= 0 && line.p[line.n - 1] == '}' &&
	    slice_u64(slice_from(slice_head(line, line.n - 1),
			  (size_t)at + 1),
		(uint64_t)1 << 62, n) == 0;
}

static int
pass_on(struct conn *c, uint64_t left,
    int (*take)(void *arg, struct slice octets), void *arg)
{
	struct slice in;
	int rc = 0;

	while (left > 0 && rc == 0) {
		if ((rc = conn_peek(c, &in)) != 0)
			return rc;
		in = slice_head(in, left < in.n ? (size_t)left : in.n);
		rc = take(arg, in);
		left -= in.n;
		conn_consume(c, in.n);
	}
	return rc;
}

/* "* URLFETCH ...", others passed over. */
static int
read_response(struct conn *c, struct slice *line)
{
	for (int i = 0; i < UNTAGGED_MAX; i++) {
		int rc = conn_read_line(c, LINE_MAX_OCTETS, line, NULL);

		if (rc != 0 || !slice_starts(*line, "* "))
			return rc != 0 ? rc : -EPROTO;
		if (slice_starts_nocase(*line, "* URLFETCH "))
			return 0;
		if (slice_starts_nocase(*line, "* BYE"))
			return -ECONNRESET;
	}
	return -EPROTO;
}

/* 0 after "OK"; what was passed on before anything else is not the message. */
static int
read_end(struct conn *c, bool in_response)
{
	struct slice line;
	int rc = 0;

	if (in_response)
		rc = conn_read_line(c, LINE_MAX_OCTETS, &line, NULL);
	if (rc == 0 && in_response && line.n > 0)
		rc = -EPROTO;
	for (int i = 0; i < UNTAGGED_MAX && rc == 0; i++) {
		rc = conn_read_line(c, LINE_MAX_OCTETS, &line, NULL);
		if (rc == 0 && slice_starts_nocase(line, "a OK"))
			return 0;
		if (rc == 0 && !slice_starts(line, "* "))
			return -EAGAIN;
	}
	return rc != 0 ? rc : -EPROTO;
}

/* 0 with *reply where there are no octets; or an error of the connection. */
static int
fetch(struct conn *c, struct slice url,
    int (*take)(void *arg, struct slice octets), void *arg,
    struct smtp_reply *reply)
{
	struct slice line;
	uint64_t n;
	int rc = conn_read_line(c, LINE_MAX_OCTETS, &line, NULL);

	if (rc == 0 && !slice_starts_nocase(line, "* PREAUTH"))
		return -EPROTO;
	if (rc == 0)
		rc = conn_printf(c, "a URLFETCH \"%.*s\"\r\n", (int)url.n,
		    url.p);
	if (rc == 0)
		rc = read_response(c, &line);
	if (rc != 0)
		return rc;
	if (literal_size(line, &n)) {
		rc = pass_on(c, n, take, arg);
		return rc != 0 ? rc : read_end(c, true);
	}
	*reply = slice_ends_nocase(line, " \"\"")
	    ? SMTP_REPLY(554, "5.6.6",
		  "IMAP URL resolution failed: there is nothing")
	    : SMTP_REPLY(554, "5.7.0", "IMAP URL authorization failed");
	return read_end(c, false);
}

static int
fetch_from(struct smtp_session *s, struct slice url,
    int (*take)(void *arg, struct slice octets), void *arg,
    struct smtp_reply *reply)
{
	struct conn *c;
	int rc = conn_connect(&c, &msa_of(s)->imap, NULL, 10000);

	if (rc != 0)
		return rc;
	conn_set_timeout(c, STEP_MS);
	conn_set_deadline(c, clock_mono_ms() + FETCH_MS);
	rc = fetch(c, url, take, arg, reply);
	conn_free(&c);
	return rc;
}

int
msa_burl(struct smtp_session *s, struct slice url,
    int (*take)(void *arg, struct slice octets), void *arg,
    struct smtp_reply *reply)
{
	int rc = check_url(s, url, reply);

	if (rc != 0)
		return rc < 0 ? rc : 0;
	rc = fetch_from(s, url, take, arg, reply);
	log_info("burl", "account=%s result=\"%s\"",
	    log_qs(smtp_session_authenticated(s)),
	    rc != 0		? strerror(-rc)
		: reply->code != 0 ? "refused"
				   : "ok");
	/* -EFBIG is take's: the engine knows why. */
	if (rc != 0 && rc != -EFBIG)
		*reply = SMTP_REPLY(
		    451, "4.4.1", "IMAP server unavailable, try again later");
	return 0;
}
