/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts. One SSL_CTX per certificate, chosen by SNI (RFC 6066 3); a
 * changed file makes a new SSL_CTX, and connections that began with the old
 * one keep it. Session tickets are under keys that all workers share, because
 * the server is made before the fork, and that step forward every day.
 */
#include "common/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/dns.h"

#define CHECK_EVERY_MS 1000
#define TICKET_KEYS_LEN 80 /* name, HMAC key and AES key of OpenSSL 3 */
#define DAY_S 86400

/* What tells that a file is not the one that was read. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct certificate {
	char *name; /* of SNI; NULL for the default */
	char *file, *key;
	SSL_CTX *ctx;
	struct stamp file_stamp, key_stamp; /* of the last attempt */
};

struct tls_server {
	struct certificate *certificates; /* the first is the default */
	size_t n;
	X509_STORE *client_ca; /* NULL: no certificates are asked for */
	STACK_OF(X509_NAME) *client_ca_names;
	int64_t checked_ms;
	int64_t day;
	unsigned char ticket_seed[SHA256_DIGEST_LENGTH];
};

struct tls_client {
	SSL_CTX *ctx;
	enum tls_verify verify;
};

/* --- both sides --- */

static const char *
openssl_words(void)
{
	unsigned long e = ERR_peek_error();
	const char *words;

	if (ERR_SYSTEM_ERROR(e))
		return strerror(ERR_GET_REASON(e));
	words = ERR_reason_error_string(e);
	return words != NULL ? words : "unknown error";
}

static int
fail(struct buf *err, const char *file)
{
	buf_printf(err, "%s: %s\n", file, openssl_words());
	ERR_clear_error();
	return -EINVAL;
}

static SSL_CTX *
context_new(const SSL_METHOD *method)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* All our protocols have their own end marks, and many peers close
	 * without close_notify. */
	SSL_CTX_set_options(ctx,
	    SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
		SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE);
	/* conn.c tries again with the same octets, at another place. */
	SSL_CTX_set_mode(ctx,
	    SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

/* --- ticket keys --- */

/* Each day's keys come from the day before by a one-way step, so workers agree
 * without talking, and a key found later opens no older traffic. */
static void
ticket_step(struct tls_server *t)
{
	int64_t today = clock_wall_s() / DAY_S;

	if (today > t->day + 365 || today < t->day) /* the clock was set */
		t->day = today;
	for (; t->day < today; t->day++)
		SHA256(t->ticket_seed, sizeof(t->ticket_seed), t->ticket_seed);
}

static void
ticket_keys_set(const struct tls_server *t, SSL_CTX *ctx)
{
	unsigned char in[SHA256_DIGEST_LENGTH + 1];
	unsigned char keys[2 * SHA512_DIGEST_LENGTH];

	memcpy(in, t->ticket_seed, sizeof(t->ticket_seed));
	in[sizeof(in) - 1] = 1;
	SHA512(in, sizeof(in), keys);
	in[sizeof(in) - 1] = 2;
	SHA512(in, sizeof(in), keys + SHA512_DIGEST_LENGTH);
	SSL_CTX_set_tlsext_ticket_keys(ctx, keys, TICKET_KEYS_LEN);
	OPENSSL_cleanse(in, sizeof(in));
	OPENSSL_cleanse(keys, sizeof(keys));
}

/* --- certificates --- */

/* An encrypted key is an error: a daemon has nobody to ask. */
static int
no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out, (void)size, (void)writing, (void)arg;
	return 0;
}

static struct stamp
stamp_of(const char *path)
{
	struct stamp s = { 0 };
	struct stat st;

	if (stat(path, &st) == 0)
		s = (struct stamp){ st.st_dev, st.st_ino, st.st_size,
			st.st_mtim };
	return s;
}

static bool
stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

/* Does the name of a certificate, perhaps "*.example.org", cover `host`? */
static bool
name_covers(const char *name, struct slice host)
{
	ssize_t dot;

	if (name[0] != '*')
		return slice_eq_str_nocase(host, name);
	dot = slice_find(host, '.');
	return dot > 0 &&
	    slice_eq_str_nocase(slice_from(host, (size_t)dot), name + 1);
}

static int
on_server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *t = arg;
	const char *text = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct slice host = slice_str(text);

	(void)alert;
	if (text == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	for (size_t i = 1; i < t->n; i++) {
		if (!name_covers(t->certificates[i].name, host))
			continue;
		SSL_set_SSL_CTX(ssl, t->certificates[i].ctx);
		return SSL_TLSEXT_ERR_OK;
	}
	/* An unknown name gets the default certificate, as every mail server
	 * does it; the client decides. */
	return SSL_TLSEXT_ERR_OK;
}

static int
load_files(SSL_CTX *ctx, const struct certificate *c, struct buf *err)
{
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_certificate_chain_file(ctx, c->file) != 1)
		return fail(err, c->file);
	if (SSL_CTX_use_PrivateKey_file(ctx, c->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(ctx) != 1)
		return fail(err, c->key);
	return 0;
}

/* Whoever must be known looks at the verdict (SSL_get_verify_result). */
static int
any_certificate(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

static int
client_ca_set(const struct tls_server *t, SSL_CTX *ctx)
{
	STACK_OF(X509_NAME) *names;

	if (t->client_ca == NULL)
		return 0;
	/* The list takes over its copy. */
	names = SSL_dup_CA_list(t->client_ca_names);
	if (names == NULL ||
	    SSL_CTX_set1_verify_cert_store(ctx, t->client_ca) != 1)
		return -ENOMEM;
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, any_certificate);
	return 0;
}

/* (Re)read the files into a new SSL_CTX; on error the old one stays. */
static int
certificate_load(struct tls_server *t, struct certificate *c, struct buf *err)
{
	SSL_CTX *ctx = context_new(TLS_server_method());
	int rc;

	/* Before reading: a change in the midst is seen at the next look. */
	c->file_stamp = stamp_of(c->file);
	c->key_stamp = stamp_of(c->key);
	if (ctx == NULL)
		return -ENOMEM;
	if ((rc = load_files(ctx, c, err)) != 0 ||
	    (rc = client_ca_set(t, ctx)) != 0) {
		SSL_CTX_free(ctx);
		return rc;
	}
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"pneu", 4);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, t);
	ticket_keys_set(t, ctx);
	SSL_CTX_free(c->ctx);
	c->ctx = ctx;
	return 0;
}

static void
certificate_clear(struct certificate *c)
{
	free(c->name);
	free(c->file);
	free(c->key);
	SSL_CTX_free(c->ctx);
}

static int
certificate_add(struct tls_server *t, const char *name, const char *file,
    const char *key, struct buf *err)
{
	struct certificate c = { 0 }, *more;
	int rc = -ENOMEM;

	c.name = name != NULL ? strdup(name) : NULL;
	c.file = strdup(file);
	c.key = strdup(key);
	if (c.file != NULL && c.key != NULL && (c.name != NULL || name == NULL))
		rc = certificate_load(t, &c, err);
	more =
	    rc != 0 ? NULL : reallocarray(t->certificates, t->n + 1, sizeof(c));
	if (more == NULL) {
		certificate_clear(&c);
		return rc != 0 ? rc : -ENOMEM;
	}
	t->certificates = more;
	t->certificates[t->n++] = c;
	return 0;
}

/* --- the server --- */

int
tls_server_new_files(struct tls_server **out, const char *certificate,
    const char *key, struct buf *err)
{
	struct tls_server *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL)
		return -ENOMEM;
	random_octets(t->ticket_seed, sizeof(t->ticket_seed));
	t->day = clock_wall_s() / DAY_S;
	t->checked_ms = clock_mono_ms();
	if ((rc = certificate_add(t, NULL, certificate, key, err)) != 0) {
		tls_server_free(&t);
		return rc;
	}
	*out = t;
	return 0;
}

int
tls_server_add_name(
    struct tls_server *t, const char *name, const char *file, struct buf *err)
{
	return certificate_add(t, name, file, file, err);
}

int
tls_server_client_ca(
    struct tls_server *t, const char *file, struct buf *err)
{
	int rc = 0;

	ERR_clear_error();
	t->client_ca = X509_STORE_new();
	t->client_ca_names = SSL_load_client_CA_file(file);
	if (t->client_ca == NULL || t->client_ca_names == NULL ||
	    X509_STORE_load_file(t->client_ca, file) != 1)
		return fail(err, file);
	for (size_t i = 0; i < t->n && rc == 0; i++)
		rc = client_ca_set(t, t->certificates[i].ctx);
	return rc;
}

void
tls_server_free(struct tls_server **server)
{
	struct tls_server *t = *server;

	if (t == NULL)
		return;
	*server = NULL;
	for (size_t i = 0; i < t->n; i++)
		certificate_clear(&t->certificates[i]);
	free(t->certificates);
	X509_STORE_free(t->client_ca);
	sk_X509_NAME_pop_free(t->client_ca_names, X509_NAME_free);
	OPENSSL_cleanse(t, sizeof(*t));
	free(t);
}

void
tls_server_take(struct tls_server *t, struct tls_server **from)
{
	struct certificate *old = t->certificates;
	STACK_OF(X509_NAME) *old_names = t->client_ca_names;
	X509_STORE *old_ca = t->client_ca;
	size_t old_n = t->n;

	t->certificates = (*from)->certificates;
	t->n = (*from)->n;
	(*from)->certificates = old;
	(*from)->n = old_n;
	t->client_ca = (*from)->client_ca;
	t->client_ca_names = (*from)->client_ca_names;
	(*from)->client_ca = old_ca;
	(*from)->client_ca_names = old_names;
	for (size_t i = 0; i < t->n; i++) {
		SSL_CTX_set_tlsext_servername_arg(t->certificates[i].ctx, t);
		ticket_keys_set(t, t->certificates[i].ctx);
	}
	/* A handshake that began under the old ones asks `t` for its name. */
	tls_server_free(from);
}

/* A file that is not there now is in the middle of its replacement. */
static bool
certificate_changed(const struct certificate *c)
{
	struct stamp none = { 0 };
	struct stamp file = stamp_of(c->file), key = stamp_of(c->key);

	if (stamp_eq(&file, &none) || stamp_eq(&key, &none))
		return false;
	return !stamp_eq(&file, &c->file_stamp) ||
	    !stamp_eq(&key, &c->key_stamp);
}

static void
certificate_refresh(struct tls_server *t, struct certificate *c)
{
	struct buf err = BUF_INIT_MAX(4096);

	if (!certificate_changed(c))
		return;
	if (certificate_load(t, c, &err) == 0)
		log_info("certificate reloaded", "file=\"%s\"", c->file);
	else
		log_error("certificate not reloaded", "the old one stays: %s",
		    buf_str(&err));
	buf_clear(&err);
}

void
tls_server_check(struct tls_server *t)
{
	int64_t day = t->day;

	t->checked_ms = clock_mono_ms();
	ticket_step(t);
	for (size_t i = 0; i < t->n; i++) {
		certificate_refresh(t, &t->certificates[i]);
		if (t->day != day)
			ticket_keys_set(t, t->certificates[i].ctx);
	}
}

struct ssl_st *
tls_server_ssl(struct tls_server *t)
{
	if (clock_mono_ms() - t->checked_ms >= CHECK_EVERY_MS)
		tls_server_check(t);
	return SSL_new(t->certificates[0].ctx);
}

/* --- the client --- */

/* Without a ca file, the system's folder of roots, read as it is needed. */
static int
load_roots(SSL_CTX *ctx, const char *ca, struct buf *err)
{
	ERR_clear_error();
	if (ca != NULL && SSL_CTX_load_verify_file(ctx, ca) != 1)
		return fail(err, ca);
	if (ca == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
		return fail(err, "system roots");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

static int
dane_enable(SSL_CTX *ctx)
{
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return SSL_CTX_dane_enable(ctx) == 1 ? 0 : -ENOMEM;
}

int
tls_client_new_files(struct tls_client **out, enum tls_verify verify,
    const char *ca, struct buf *err)
{
	struct tls_client *t = calloc(1, sizeof(*t));
	int rc = 0;

	if (t == NULL || (t->ctx = context_new(TLS_client_method())) == NULL) {
		free(t);
		return -ENOMEM;
	}
	t->verify = verify;
	if (verify == TLS_VERIFY_NONE)
		/* The other choice is plain text: let short old keys pass. */
		SSL_CTX_set_security_level(t->ctx, 1);
	else if (verify == TLS_VERIFY_DANE)
		rc = dane_enable(t->ctx);
	else
		rc = load_roots(t->ctx, ca, err);
	if (rc != 0)
		tls_client_free(&t);
	else
		*out = t;
	return rc;
}

void
tls_client_free(struct tls_client **t)
{
	if (*t == NULL)
		return;
	SSL_CTX_free((*t)->ctx);
	free(*t);
	*t = NULL;
}

static bool
is_address(const char *name)
{
	struct in6_addr a;

	return inet_pton(AF_INET, name, &a) == 1 ||
	    inet_pton(AF_INET6, name, &a) == 1;
}

/* RFC 9525: the name as a whole, "*" only as the whole first label. SNI does
 * not take addresses (RFC 6066 3). */
static bool
expect_name(const struct tls_client *t, SSL *ssl, const char *name)
{
	bool address = is_address(name);

	if (!address && SSL_set_tlsext_host_name(ssl, name) != 1)
		return false;
	if (t->verify == TLS_VERIFY_NONE)
		return true;
	if (address)
		return X509_VERIFY_PARAM_set1_ip_asc(
			   SSL_get0_param(ssl), name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1;
}

struct ssl_st *
tls_client_ssl(struct tls_client *t, const char *name)
{
	SSL *ssl = SSL_new(t->ctx);
	bool named = name != NULL && *name != '\0';

	if (ssl == NULL)
		return NULL;
	if (named ? expect_name(t, ssl, name) : t->verify == TLS_VERIFY_NONE)
		return ssl;
	SSL_free(ssl);
	return NULL;
}

/* --- by TLSA records --- */

/* PKIX-TA and PKIX-EE are for others than mail servers (RFC 7672 3.1.3). */
static bool
dane_add(SSL *ssl, const struct dns_tlsa *r)
{
	bool added = (r->usage == 2 || r->usage == 3) &&
	    SSL_dane_tlsa_add(ssl, r->usage, r->selector, r->matching,
		(const unsigned char *)r->data.p, r->data.n) > 0;

	ERR_clear_error(); /* what it thinks of a bad one */
	return added;
}

static SSL *
dane_ssl(struct tls_client *t, const struct tls_dane *d, size_t *usable)
{
	SSL *ssl = SSL_new(t->ctx);

	*usable = 0;
	if (ssl == NULL || SSL_dane_enable(ssl, d->host) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (d->domain != NULL && SSL_add1_host(ssl, d->domain) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	for (size_t i = 0; i < d->n; i++)
		*usable += dane_add(ssl, &d->records[i]);
	return ssl;
}

size_t
tls_dane_usable(struct tls_client *t, const struct tls_dane *d)
{
	size_t usable;

	SSL_free(dane_ssl(t, d, &usable));
	return usable;
}

struct ssl_st *
tls_client_ssl_dane(struct tls_client *t, const struct tls_dane *d)
{
	size_t usable;
	SSL *ssl = dane_ssl(t, d, &usable);

	if (usable > 0)
		return ssl;
	SSL_free(ssl);
	return NULL;
}
