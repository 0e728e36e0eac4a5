/* SPDX-License-Identifier: ISC */
/*
 * URLAUTH (RFC 4467): URLs that give access to one message or a part of it.
 * A token is HMAC-SHA256 of the URL under the key of the mailbox, with "01"
 * before it that says so: another way of making them would be another number.
 */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/imap_url.h"
#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_fetch.h"

#define TOKEN_KIND "01"
#define TOKEN_LEN 66 /* hexadecimal digits */
#define URLS_MAX 100 /* in one command */

static void
token_make(const unsigned char key[MAILS_URLKEY], struct slice rump,
    char out[static TOKEN_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char mac[EVP_MAX_MD_SIZE] = { 0 };

	HMAC(EVP_sha256(), key, MAILS_URLKEY, (const unsigned char *)rump.p,
	    rump.n, mac, NULL);
	memcpy(out, TOKEN_KIND, 2);
	for (size_t i = 0; i < 32; i++) {
		out[2 + 2 * i] = hex[mac[i] >> 4];
		out[3 + 2 * i] = hex[mac[i] & 15];
	}
	out[TOKEN_LEN] = '\0';
}

/* Hexadecimal digits in any case, compared in constant time. */
static bool
token_is(const char made[TOKEN_LEN + 1], struct slice token)
{
	char given[TOKEN_LEN];

	if (token.n != TOKEN_LEN)
		return false;
	for (size_t i = 0; i < TOKEN_LEN; i++)
		given[i] = ascii_lower(token.p[i]);
	return CRYPTO_memcmp(made, given, TOKEN_LEN) == 0;
}

/* The account that a name in a URL means. 0, -ENOENT, or an error. */
static int
account_of(struct imap_session *s, struct slice user, const char **account)
{
	if (s->env->accounts == NULL) { /* tests without a directory */
		*account = arena_strdup(&s->a, user);
		return *account == NULL ? -ENOMEM : 0;
	}
	return accounts_account_name(
	    s->env->accounts, &s->a, user, account);
}

/* --- GENURLAUTH --- */

/* Why it cannot be authorized, or NULL. */
static const char *
fault_of(const struct imap_url *u)
{
	if (u->access == IMAP_URL_NO_ACCESS)
		return "Missing access identifier in supplied URL";
	if (u->user.n == 0)
		return "Missing owner username in supplied URL";
	if (u->token.p != NULL)
		return "URL is authorized already";
	return NULL;
}

/* Into `out`. What Mails or Accounts has against it is in *trouble; else as a
 * handler. */
static int
put_authorized(
    struct imap_session *s, struct slice url, struct buf *out, int *trouble)
{
	unsigned char key[MAILS_URLKEY];
	char token[TOKEN_LEN + 1];
	struct mails_status status;
	const char *owner, *fault;
	struct imap_url u;
	int rc = imap_url_parse(&s->a, url, &u);

	if (rc == -EINVAL)
		return imap_bad(s, "Not the URL of a message");
	if (rc != 0)
		return rc;
	if ((fault = fault_of(&u)) != NULL)
		return imap_bad(s, fault);
	rc = account_of(s, u.user, &owner);
	if (rc == -ENOENT || (rc == 0 && strcmp(owner, s->account) != 0))
		return imap_bad(s, "Not the owner of that mailbox");
	if (rc == 0)
		rc = mails_status(s->env->mails, owner, u.mailbox, &status);
	if (rc == -ENOENT || rc == -EINVAL ||
	    (rc == 0 && u.uidvalidity != 0 &&
		u.uidvalidity != status.uidvalidity))
		return imap_bad(s, "No such mailbox");
	if (rc == 0)
		rc = mails_urlkey_get(
		    s->env->mails, owner, u.mailbox, true, key);
	if ((*trouble = rc) != 0)
		return 0;
	token_make(key, u.rump, token);
	OPENSSL_cleanse(key, sizeof(key));
	buf_put_str(out, " \"");
	buf_put_slice(out, u.rump);
	buf_printf(out, ":internal:%s\"", token);
	return 0;
}

static int
authorize_all(struct imap_session *s, struct buf *out, int *trouble)
{
	int rc = 0;

	for (size_t i = 0; i == 0 || !imap_at_end(&s->p); i++) {
		struct slice url, mechanism;

		if ((rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_astring(&s->p, &url)) != 0 ||
		    (rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_atom(&s->p, &mechanism)) != 0)
			return rc;
		if (i == URLS_MAX)
			return imap_bad(s, "[LIMIT] Too many URLs");
		if (!slice_eq_str_nocase(mechanism, "INTERNAL"))
			return imap_bad(s, "Unknown mechanism");
		rc = put_authorized(s, url, out, trouble);
		if (rc != 0 || *trouble != 0)
			return rc;
	}
	return 0;
}

int
cmd_genurlauth(struct imap_session *s)
{
	struct buf out = BUF_INIT_MAX((size_t)1 << 20);
	int trouble = 0, rc = authorize_all(s, &out, &trouble);

	if (rc == 0 && trouble == 0) {
		buf_put_str(&s->out, "* GENURLAUTH");
		buf_put_slice(&s->out, buf_slice(&out));
		buf_put_str(&s->out, "\r\n");
		rc = out.failed ? -ENOMEM
				: imap_ok(s, NULL, "GENURLAUTH completed");
	} else if (rc == 0) {
		rc = imap_no_errno(s, trouble);
	}
	buf_clear(&out);
	return rc;
}

/* --- RESETKEY --- */

int
cmd_resetkey(struct imap_session *s)
{
	struct slice name, mechanism;
	int rc;

	if (imap_at_end(&s->p)) {
		rc = mails_urlkeys_remove(s->env->mails, s->account);
		return rc == 0 ? imap_ok(s, NULL, "All keys removed")
			       : imap_no_errno(s, rc);
	}
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_mailbox(s, &name)) != 0)
		return rc;
	/* There is none but INTERNAL, whatever is asked for. */
	while (!imap_at_end(&s->p))
		if ((rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_atom(&s->p, &mechanism)) != 0)
			return rc;
	rc = mails_urlkey_reset(s->env->mails, s->account, name);
	return rc == 0 ? imap_ok(s, "URLMECH INTERNAL", "RESETKEY completed")
		       : imap_no_errno(s, rc);
}

/* --- URLFETCH --- */

/* May this session use it? */
static bool
may_use(struct imap_session *s, const struct imap_url *u)
{
	const char *user;

	switch (u->access) {
	case IMAP_URL_SUBMIT:
		return s->env->submit; /* which has compared the user */
	case IMAP_URL_USER:
		return !s->env->submit &&
		    account_of(s, u->access_user, &user) == 0 &&
		    strcmp(user, s->account) == 0;
	case IMAP_URL_AUTHUSER:
	case IMAP_URL_ANONYMOUS:
		return true;
	case IMAP_URL_NO_ACCESS:
		break;
	}
	return false;
}

/*
 * 0: the URL is good; -EACCES: it is not. All that is wrong with it costs the
 * same time: without a key another one is used (RFC 4467 6).
 */
static int
verify(struct imap_session *s, const struct imap_url *u, const char **owner)
{
	unsigned char key[MAILS_URLKEY];
	char token[TOKEN_LEN + 1];
	int rc = account_of(s, u->user, owner);
	bool good;

	if (rc == 0)
		rc = mails_urlkey_get(
		    s->env->mails, *owner, u->mailbox, false, key);
	if (rc == -ENOENT || rc == -EINVAL)
		random_octets(key, sizeof(key));
	else if (rc != 0)
		return rc;
	token_make(key, u->rump, token);
	OPENSSL_cleanse(key, sizeof(key));
	good = token_is(token, u->token);
	return good && rc == 0 &&
		slice_eq_str_nocase(u->mechanism, "internal") &&
		u->expire_s >= clock_wall_s() && may_use(s, u)
	    ? 0
	    : -EACCES;
}

/* One line of memory, for the parser of sections. */
static int
section_line(void *arg, size_t max, struct slice *line)
{
	(void)max;
	*line = *(const struct slice *)arg;
	return 0;
}

/* 0 or -EACCES: it is no section. */
static int
section_of(struct imap_session *s, const struct imap_url *u,
    struct imap_section *out)
{
	struct slice line;
	struct imap_input in = { .line = section_line, .arg = &line };
	struct imap_parser p;
	char *text = arena_printf(
	    &s->a, "[%.*s]", (int)u->section.n, u->section.p);
	int rc;

	if (text == NULL)
		return -ENOMEM;
	line = slice_str(text);
	*out = (struct imap_section){ .next = NULL };
	imap_parser_init(&p, &in, &s->a);
	if ((rc = imap_parser_begin(&p)) == 0 &&
	    (rc = imap_section_parse(&p, out)) == 0)
		rc = imap_parse_end(&p);
	out->partial = u->partial;
	out->from = u->from;
	out->max = u->max == 0 ? INT64_MAX : u->max;
	return rc == 0 || rc == -ENOMEM ? rc : -EACCES;
}

/* The octets as an nstring, of a view of the owner's. */
static int
put_octets_of(struct imap_session *s, struct mails_view *v,
    const struct imap_url *u, const struct imap_section *section)
{
	struct mails_view *selected = s->view;
	bool exact;
	uint32_t seq = mails_view_seq(v, u->uid, &exact);
	int rc;

	if (!exact || seq == 0 ||
	    (u->uidvalidity != 0 &&
		u->uidvalidity != mails_view_uidvalidity(v)))
		return -EACCES;
	s->view = v;
	rc = imap_fetch_section(s, seq, section);
	s->view = selected;
	return rc == -ENOENT ? -EACCES : rc;
}

static int
put_fetched(struct imap_session *s, struct slice url)
{
	struct imap_section section;
	struct mails_view *v = NULL;
	const char *owner = "";
	struct imap_url u;
	int rc = imap_url_parse(&s->a, url, &u);

	if (rc == 0)
		rc = u.token.p == NULL ? -EACCES : verify(s, &u, &owner);
	if (rc == 0)
		rc = section_of(s, &u, &section);
	if (rc == 0)
		rc = mails_view_examine(
		    s->env->mails, owner, u.mailbox, &v);
	/* Another's sealed mail stays so, and that of who sends by BURL. */
	if (rc == 0 && s->account != NULL && strcmp(owner, s->account) == 0)
		mails_view_unlock(v, s->key);
	if (rc == 0)
		rc = put_octets_of(s, v, &u, &section);
	if (v != NULL)
		mails_view_close(&v);
	log_info("urlfetch", "account=%s owner=%s result=\"%s\"",
	    log_qs(s->account), log_qs(owner),
	    rc == 0 ? "ok" : strerror(-rc));
	if (rc == -EINVAL || rc == -EACCES || rc == -ENOENT) {
		buf_put_str(&s->out, "NIL");
		return 0;
	}
	return rc;
}

int
cmd_urlfetch(struct imap_session *s)
{
	struct slice *urls = arena_array(&s->a, URLS_MAX, sizeof(*urls));
	size_t n = 0;
	int rc;

	if (urls == NULL)
		return -ENOMEM;
	do {
		if (n == URLS_MAX)
			return imap_bad(s, "[LIMIT] Too many URLs");
		if ((rc = imap_parse_sp(&s->p)) != 0 ||
		    (rc = imap_parse_astring(&s->p, &urls[n++])) != 0)
			return rc;
	} while (!imap_at_end(&s->p));
	buf_put_str(&s->out, "* URLFETCH");
	for (size_t i = 0; i < n; i++) {
		buf_put_char(&s->out, ' ');
		imap_put_string(&s->out, urls[i]);
		buf_put_char(&s->out, ' ');
		rc = put_fetched(s, urls[i]);
		if (rc == -ECANCELED || rc == -EPIPE || rc == -ECONNRESET ||
		    rc == -ETIMEDOUT)
			return rc;
		if (rc != 0) {
			buf_put_str(&s->out, "NIL\r\n");
			return imap_no_errno(s, rc);
		}
	}
	buf_put_str(&s->out, "\r\n");
	return imap_ok(s, NULL, "URLFETCH completed");
}
