/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/name_seal.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "mailbox/mails/aead.h"
#include "mailbox/mails/impl.h"

/* What a keyed digest is for: its first octet. "s" alone is the key that
 * seals. */
#define FOR_NAME 'd'
#define FOR_NONCE 'n'

static bool
hmac(const unsigned char key[static 32], struct slice text,
    unsigned char out[static 32])
{
	return HMAC(EVP_sha256(), key, 32, (const unsigned char *)text.p,
		   text.n, out, NULL) != NULL;
}

int
name_sealer_init(struct name_sealer *s, struct mails *m, const char *account)
{
	unsigned char public[SEAL_PUBLIC_LEN];
	enum mails_sealing how = MAILS_SEAL_NONE;

	*s = (struct name_sealer){ 0 };
	s->write_rc = sealing_of(m, account, &how, public);
	s->seals = how != MAILS_SEAL_NONE;
	if (s->write_rc == 0 && s->seals)
		s->write_rc = server_key_need(m);
	else
		server_key_look(m);
	s->opens = m->has_server_key;
	return s->opens && !hmac(m->names_key, slice_str(account), s->base)
	    ? -ENOMEM
	    : 0;
}

void
name_sealer_wipe(struct name_sealer *s)
{
	explicit_bzero(s, sizeof(*s));
}

int
name_digest(const struct name_sealer *s, struct slice name,
    unsigned char out[static NAME_DIGEST])
{
	struct buf text = BUF_INIT;
	unsigned char md[32];
	bool ok;

	if (!s->opens)
		return -ENOKEY;
	buf_put_char(&text, FOR_NAME);
	buf_put_slice(&text, name);
	ok = !text.failed && hmac(s->base, buf_slice(&text), md);
	if (ok)
		memcpy(out, md, NAME_DIGEST);
	buf_clear(&text);
	return ok ? 0 : -ENOMEM;
}

static int
need_seal(struct name_sealer *s)
{
	if (!s->opens)
		return -ENOKEY;
	if (!s->has_seal && !hmac(s->base, SLICE_LIT("s"), s->seal))
		return -ENOMEM;
	s->has_seal = true;
	return 0;
}

static int
nonce_of(const struct name_sealer *s, struct slice about, struct slice plain,
    struct aead_nonce *out)
{
	struct buf text = BUF_INIT;
	unsigned char md[32];
	bool ok;

	buf_put_char(&text, FOR_NONCE);
	buf_put_be32(&text, (uint32_t)about.n);
	buf_put_slice(&text, about);
	buf_put_slice(&text, plain);
	ok = !text.failed && hmac(s->base, buf_slice(&text), md);
	if (ok)
		memcpy(out->octets, md, AEAD_NONCE);
	buf_clear(&text);
	return ok ? 0 : -ENOMEM;
}

int
name_seal(struct name_sealer *s, struct slice about, struct slice text,
    struct buf *out)
{
	struct buf plain = BUF_INIT;
	struct aead_nonce nonce;
	int rc = need_seal(s);

	buf_put_slice(&plain, text);
	do
		buf_put_char(&plain, '\0');
	while (!plain.failed && plain.n % NAME_PAD != 0);
	if (rc == 0 && plain.failed)
		rc = -ENOMEM;
	if (rc == 0)
		rc = nonce_of(s, about, buf_slice(&plain), &nonce);
	if (rc == 0 && (!buf_put(out, nonce.octets, AEAD_NONCE) ||
			   !buf_reserve(out, plain.n + AEAD_TAG)))
		rc = -ENOMEM;
	if (rc == 0 && (rc = aead_seal(s->seal, &nonce, about,
			    buf_slice(&plain), out->p + out->n)) == 0) {
		out->n += plain.n + AEAD_TAG;
		out->p[out->n] = '\0';
	}
	buf_wipe(&plain);
	return rc;
}

int
name_open(struct name_sealer *s, struct slice about, struct slice sealed,
    struct buf *out)
{
	struct aead_nonce nonce;
	size_t n;
	int rc = need_seal(s);

	if (rc == 0 && sealed.n < AEAD_NONCE + AEAD_TAG)
		rc = -EBADMSG;
	if (rc != 0)
		return rc;
	memcpy(nonce.octets, sealed.p, AEAD_NONCE);
	sealed = slice_from(sealed, AEAD_NONCE);
	n = sealed.n - AEAD_TAG;
	if (!buf_reserve(out, n + 1))
		return -ENOMEM;
	if ((rc = aead_open(s->seal, &nonce, about, sealed, out->p + out->n)) !=
	    0)
		return rc;
	while (n > 0 && out->p[out->n + n - 1] == '\0')
		n--;
	out->n += n;
	out->p[out->n] = '\0';
	return 0;
}
