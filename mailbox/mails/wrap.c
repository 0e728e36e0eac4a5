/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/wrap.h"

#include <assert.h>

#include "mailbox/mails/impl.h"

size_t
wrap_octets(enum wrap_kind kind)
{
	return kind == WRAP_ACCOUNT ? SEAL_BOX_LEN
	    : kind == WRAP_SERVER   ? SEAL_WRAP_LEN
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

/* Of the account. -ENOENT: it has none, so the server's key it is. */
static int
public_key(struct mails *m, const char *account,
    unsigned char out[static SEAL_PUBLIC_LEN])
{
	return m->public_key == NULL
	    ? -ENOENT
	    : m->public_key(m->public_key_arg, account, out);
}

int
wrap_make(struct mails *m, const char *account, struct slice about,
    const unsigned char secret[static SEAL_SECRET_LEN], struct wrap *out)
{
	unsigned char public[SEAL_PUBLIC_LEN];
	struct buf c = BUF_INIT;
	int rc = context(&c, account, about), found = -ENOENT;

	*out = (struct wrap){ .kind = WRAP_NONE };
	if (rc == 0)
		found = public_key(m, account, public);
	if (rc == 0 && found == 0) {
		out->kind = WRAP_ACCOUNT;
		rc = seal_to(public, secret, buf_slice(&c), out->octets);
	} else if (rc == 0 && found == -ENOENT) {
		out->kind = WRAP_SERVER;
		rc = m->has_server_key ? seal_wrap(m->server_key, secret,
					     buf_slice(&c), out->octets)
				       : -ENOKEY;
	} else if (rc == 0) {
		rc = found;
	}
	buf_clear(&c);
	return rc;
}

int
wrap_open(struct mails *m, const char *account, const struct seal_key *k,
    struct slice about, const struct wrap *w,
    unsigned char secret[static SEAL_SECRET_LEN])
{
	struct buf c = BUF_INIT;
	int rc = context(&c, account, about);

	if (rc == 0 && w->kind == WRAP_ACCOUNT)
		rc = k == NULL
		    ? -ENOKEY
		    : seal_open(k, w->octets, buf_slice(&c), secret);
	else if (rc == 0 && w->kind == WRAP_SERVER)
		rc = !m->has_server_key
		    ? -ENOKEY
		    : seal_unwrap(
			  m->server_key, w->octets, buf_slice(&c), secret);
	else if (rc == 0)
		rc = -EBADMSG;
	buf_clear(&c);
	return rc;
}
