/* SPDX-License-Identifier: ISC */
/*
 * TLS contexts: TLS 1.2 and newer, SNI, certificates noticed when their files
 * change.
 */
#ifndef PNEU_NET_TLS_H
#define PNEU_NET_TLS_H

#include "common/base/buf.h"
#include "common/base/conf.h"

struct tls_server;
struct tls_client;
struct ssl_st;
struct dns_tlsa;

/*
 * From tls.certificate, tls.key, tls.names. *out is NULL where none is set.
 * 0, or -errno with the reason (file, OpenSSL's words) in `err`.
 */
int tls_server_new(struct tls_server **out, const struct conf *conf,
    struct buf *err);
/*
 * Make `t` serve what `conf` says now; connections go on. On error the old
 * certificates stay in force. Without tls.certificate nothing changes.
 */
int tls_server_reload(struct tls_server *t, const struct conf *conf,
    struct buf *err);
/*
 * The same of given files, for tests and tools; `key` may be the same file.
 * More names by tls_server_add_name: "mail.example.org" or "*.example.org"
 * (one label), to a file with chain and key.
 */
int tls_server_new_files(struct tls_server **out, const char *certificate,
    const char *key, struct buf *err);
int tls_server_add_name(struct tls_server *t, const char *name,
    const char *file, struct buf *err);
/* Ask clients for a certificate; one that is not of these CAs, or none, is no
 * reason to refuse the connection (conn_tls_client_mails). */
int tls_server_client_ca(
    struct tls_server *t, const char *file, struct buf *err);
/* Look now whether a file has changed. */
void tls_server_check(struct tls_server *t);
/* Take over the certificates of *from, which is freed. */
void tls_server_take(struct tls_server *t, struct tls_server **from);
/* After the last SSL of it has ended. NULL is fine. */
void tls_server_free(struct tls_server **t);
/* A new SSL, after a look (at most once a second) whether a file has changed;
 * bad new files leave the old certificate in force, and are logged. */
struct ssl_st *tls_server_ssl(struct tls_server *t);

enum tls_verify {
	TLS_VERIFY_NONE,  /* opportunistic: any certificate is better than none */
	TLS_VERIFY_NAMES, /* chain and name (RFC 9525) */
	TLS_VERIFY_DANE,  /* TLSA records (RFC 7672) */
};
int tls_client_new(struct tls_client **out, const struct conf *conf,
    enum tls_verify verify, struct buf *err);
/* `ca`: PEM file of trusted roots, NULL for the system's. */
int tls_client_new_files(struct tls_client **out, enum tls_verify verify,
    const char *ca, struct buf *err);
void tls_client_free(struct tls_client **t);
/* NULL when out of memory, or when `name` cannot be a host name. */
struct ssl_st *tls_client_ssl(struct tls_client *t, const char *name);

/*
 * What DNSSEC says of a server's certificate. With usage 3 (DANE-EE) the
 * records alone decide; with 2 (DANE-TA) it must be issued by what they name,
 * and to the host or the domain (RFC 7672 3.1, 3.2.3). Others are not usable.
 */
struct tls_dane {
	const struct dns_tlsa *records;
	size_t n;
	const char *host;   /* of the server; SNI */
	const char *domain; /* whose mail it takes, or NULL */
};
/* How many of the records can be used; `t` is one of TLS_VERIFY_DANE. */
size_t tls_dane_usable(struct tls_client *t, const struct tls_dane *d);
/* NULL when none can, or out of memory. */
struct ssl_st *tls_client_ssl_dane(
    struct tls_client *t, const struct tls_dane *d);

#endif
