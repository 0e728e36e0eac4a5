/* SPDX-License-Identifier: ISC */
/*
 * One stream connection: a socket or a pair of pipes, plain or TLS, read by
 * line or by octets, written through a buffer. For the coroutine that owns it;
 * every call that may wait says so. A peer that does not read makes writers
 * wait, so nothing here grows with what a peer does.
 *
 * Errors: -ETIMEDOUT, -ECANCELED (shutdown), -ECONNRESET (gone, or TLS
 * broken), -EPIPE (end of input, where input was needed; a write after
 * conn_shutdown). After an error all later reads (writes) return it again, but
 * for -EMSGSIZE; a failed read does not stop writing (a last "421"), nor does
 * being cancelled, as far as the kernel takes it without a wait.
 */
#ifndef PNEU_NET_CONN_H
#define PNEU_NET_CONN_H

#include <stdint.h>
#include <sys/socket.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/co.h"
#include "common/base/slice.h"

struct conn;
struct tls_server;
struct tls_client;
struct tls_dane;

/* An IPv4, IPv6 or Unix address. */
struct net_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};
/*
 * "127.0.0.1:25", "[::1]:25", "*:25" (both families), "unix:/path"; a relative
 * Unix path is under `run_dir`. Numbers only, no look-up. 0 or -EINVAL.
 */
int net_addr_parse(struct net_addr *a, const char *text, const char *run_dir);
/* "192.0.2.1", "2001:db8::1" or "unix"; and with the port "192.0.2.1:25",
 * "[2001:db8::1]:25", "unix:/path". At most 128 octets with the NUL. */
void net_addr_host(const struct net_addr *a, char out[static 128]);
void net_addr_text(const struct net_addr *a, char out[static 128]);
bool net_addr_is_unix(const struct net_addr *a);
bool net_addr_is_loopback(const struct net_addr *a); /* or Unix */
/* Host order; 0 for Unix. Setting it on a Unix address does nothing. */
uint16_t net_addr_port(const struct net_addr *a);
void net_addr_set_port(struct net_addr *a, uint16_t port);
/* The path of a Unix address, "" where it has none. */
const char *net_addr_path(const struct net_addr *a);
/* A bare IPv4 or IPv6 address, without brackets. 0 or -EINVAL. */
int net_addr_parse_host(struct net_addr *a, struct slice host, uint16_t port);
/* Is it in one of these networks? "192.0.2.0/24", "2001:db8::/32", "::1",
 * "loopback" and "unix"; the list ends with NULL. */
bool net_addr_is_listed(const struct net_addr *a, const char *const *networks);
bool net_network_is_valid(const char *network);
/* Key for counters: the IPv4 address, the IPv6 /64 prefix, or "unix". */
void net_addr_prefix(const struct net_addr *a, char out[static 64]);

/*
 * Take over `rfd` and `wfd` (the same for a socket); both become non-blocking
 * and are closed with the conn, on failure too. 0 or -errno. The owner is the
 * coroutine that uses it first.
 */
int conn_new(struct conn **out, int rfd, int wfd);
/* Two that talk to each other, for tests. 0 or -errno. */
int conn_pair(struct conn **a, struct conn **b);
/* Waits. `local`: address to come from, or NULL. 0, or -errno of connect(2),
 * -ETIMEDOUT, -ECANCELED. */
int conn_connect(struct conn **out, const struct net_addr *to,
    const struct net_addr *local, int64_t timeout_ms);
/* Sends what is buffered only if that needs no wait. NULL is fine. */
void conn_free(struct conn **c);

/*
 * Each single wait is at most this long (default 5 minutes); conn_read_line
 * and a TLS handshake are as a whole, so that a peer that sends an octet now
 * and then gains nothing. -1: no limit.
 */
void conn_set_timeout(struct conn *c, int64_t timeout_ms);
/* And none goes beyond this time of clock_mono_ms(); -1: no such limit. */
void conn_set_deadline(struct conn *c, int64_t mono_ms);

/* 8 characters that tell this connection from others in the log. */
const char *conn_id(const struct conn *c);
const struct net_addr *conn_peer(const struct conn *c);
const struct net_addr *conn_local(const struct conn *c);
/* For PROXY and XCLIENT: the peer stands for somebody else. */
void conn_set_peer(struct conn *c, const struct net_addr *peer);
/* The owner stands in conn_wait_input: nothing is under way, so a service that
 * drains may cancel it at once. */
bool conn_is_idle(const struct conn *c);

/*
 * --- reading ---
 *
 * A read that would have to wait sends what is buffered for output first (and
 * waits for that too). So replies to pipelined commands go out together, in
 * one write, and nobody waits for a reply that still stands in a buffer. A read
 * that is served from the buffer sends nothing.
 */

/* Octets that can be read without a wait (decrypted ones). */
size_t conn_buffered(const struct conn *c);
/*
 * Wait until a line is there and give it without its ending, consumed; valid
 * until the next read. The ending is LF or CRLF; `*bare_lf` (may be NULL) says
 * that the CR was missing, and is set for -EMSGSIZE too: longer than `max` octets without its
 * ending; the whole line has been read and dropped, the next read goes on
 * behind it. What follows the line stays buffered.
 */
int conn_read_line(struct conn *c, size_t max, struct slice *line,
    bool *bare_lf);
/*
 * Wait until at least one octet is there and show all that is buffered (at
 * most 64 KiB); valid until the next read. 0, or an error.
 */
int conn_peek(struct conn *c, struct slice *out);
/* Go past `n` of the octets that conn_peek showed. */
void conn_consume(struct conn *c, size_t n);
/* Wait until exactly `n` octets have been read to `p`. */
int conn_read_exact(struct conn *c, void *p, size_t n);
/*
 * Wait until there is input (returns 1) or `also` is set (returns 2); -ETIMEDOUT
 * after timeout_ms (-1: none; the deadline holds too), which is not sticky;
 * -EPIPE at the end of input. This is the wait for the next command: buffers
 * and stack go back meanwhile, and the conn counts as idle. `also` may be NULL;
 * it is looked at before input.
 */
int conn_wait_input(struct conn *c, struct co_event *also, int64_t timeout_ms);
/* Gives back buffers that hold nothing, of one that will not be used soon. */
void conn_rest(struct conn *c);
/* Throw away what is buffered, read or unread (STARTTLS). Number of octets. */
size_t conn_discard_input(struct conn *c);

/* --- writing --- */

/* Buffered; waits when over 64 KiB wait to be sent. */
int conn_write(struct conn *c, struct slice s);
int conn_puts(struct conn *c, const char *s);
int conn_printf(struct conn *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Wait until all has gone to the kernel. */
int conn_flush(struct conn *c);
/* Octets that wait for a flush, or for the peer to read. */
size_t conn_unsent(const struct conn *c);
/* Close the sending side after a flush; the peer reads an end. */
int conn_shutdown(struct conn *c);

/* --- TLS --- */

/*
 * Handshake as the server (client). What was buffered in plain text is
 * discarded first (CVE-2011-0411). Waits. 0, or -ECONNRESET or -EPROTO with
 * the reason in the log.
 */
int conn_starttls_server(struct conn *c, struct tls_server *t);
/* `name`: the host name for SNI and, where the tls_client verifies, for the
 * check. */
int conn_starttls_client(struct conn *c, struct tls_client *t,
    const char *name);
/* Why it failed, and what could be done about it, for people: static. "" where it
 * has not, or the connection was just lost. */
const char *conn_tls_failure(const struct conn *c);
/* The same as conn_starttls_client; why it failed stands in `said`, for people. */
int conn_secure(struct conn *c, struct tls_client *t, const char *name,
    struct buf *said);
/* The same with a certificate that TLSA records vouch for. */
int conn_starttls_dane(struct conn *c, struct tls_client *t,
    const struct tls_dane *dane);
bool conn_is_tls(const struct conn *c);
/* "TLS1.3", "TLS_AES_256_GCM_SHA384"; "" without TLS. */
const char *conn_tls_version(const struct conn *c);
const char *conn_tls_cipher(const struct conn *c);
/*
 * Channel binding data for SCRAM-PLUS: "tls-exporter" (RFC 9266, TLS 1.3) or
 * "tls-unique" (RFC 5929, TLS 1.2). 0, or -ENOTSUP.
 */
int conn_tls_binding(const struct conn *c, const char *type, struct buf *out);
/*
 * The addresses (subjectAltName rfc822Name) of the certificate that the client
 * showed, where tls.client_ca vouches for it; at most 16, in the arena. 0, or
 * -ENOENT: nobody that is known.
 */
int conn_tls_client_mails(const struct conn *c, struct arena *a,
    struct slice **out, size_t *n);
struct ssl_st *conn_ssl(const struct conn *c);

#endif
