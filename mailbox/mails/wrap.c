/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/wrap.h"

#include <assert.h>

#include "mailbox/mails/impl.h"

size_t
wrap_octets(enum wrap_kind kind)
{
	return kind == WRAP_ACCOUNT ? SEAL_BOX_LEN
	    : kind == WRAP_SERVER   ? SEAL_WRAP_LEN
	    : kind == WRAP_CLEAR    ? SEAL_SECRET_LEN
				    : 0;
}

static int
context(struct buf *out, const char *account, struct slice about)
{
	assert(about.n <= WRAP_ABOUT);
	buf_put_str(out, "pneu mail");
	buf_put_char(out, '\0');
	buf_put_char(out, (char)about.n);
	buf_put_slice(out, about);
	return buf_put_str(out, account) ? 0 : -ENOMEM;
}

static int
wrap_with(struct mails *m, enum wrap_kind kind, struct slice c,
    const unsigned char *public, const unsigned char *secret, struct wrap *out)
{
	int rc = 0;

	out->kind = kind;
	if (kind == WRAP_ACCOUNT)
		return seal_to(public, secret, c, out->octets);
	if (kind == WRAP_CLEAR)
		memcpy(out->octets, secret, SEAL_SECRET_LEN);
	else if ((rc = server_key_need(m)) == 0)
		rc = seal_wrap(m->server_key, secret, c, out->octets);
	return rc;
}

int
wrap_make(struct mails *m, const char *account, struct slice about,
    const unsigned char secret[static SEAL_SECRET_LEN], struct wrap *out)
{
	static const enum wrap_kind kinds[] = {
		[MAILS_SEAL_NONE] = WRAP_CLEAR,
		[MAILS_SEAL_SERVER] = WRAP_SERVER,
		[MAILS_SEAL_ACCOUNT] = WRAP_ACCOUNT,
	};
	unsigned char public[SEAL_PUBLIC_LEN];
	enum mails_sealing how;
	struct buf c = BUF_INIT;
	int rc = context(&c, account, about);

	*out = (struct wrap){ .kind = WRAP_NONE };
	if (rc == 0)
		rc = sealing_of(m, account, &how, public);
	if (rc == 0)
		rc = wrap_with(
		    m, kinds[how], buf_slice(&c), public, secret, out);
	buf_clear(&c);
	return rc;
}

int
wrap_open(struct mails *m, const char *account, const struct seal_key *k,
    struct slice about, const struct wrap *w,
    unsigned char secret[static SEAL_SECRET_LEN])
{
	return wrap_open_by(m->has_server_key ? m->server_key : NULL, account,
	    k, about, w, secret);
}

int
wrap_open_by(const unsigned char *server_key, const char *account,
    const struct seal_key *k, struct slice about, const struct wrap *w,
    unsigned char secret[static SEAL_SECRET_LEN])
{
	struct buf c = BUF_INIT;
	int rc = context(&c, account, about);

	if (rc == 0 && w->kind == WRAP_ACCOUNT)
		rc = k == NULL
		    ? -ENOKEY
		    : seal_open(k, w->octets, buf_slice(&c), secret);
	else if (rc == 0 && w->kind == WRAP_SERVER)
		rc = server_key == NULL
		    ? -ENOKEY
		    : seal_unwrap(server_key, w->octets, buf_slice(&c), secret);
	else if (rc == 0 && w->kind == WRAP_CLEAR)
		memcpy(secret, w->octets, SEAL_SECRET_LEN);
	else if (rc == 0)
		rc = -EBADMSG;
	buf_clear(&c);
	return rc;
}
