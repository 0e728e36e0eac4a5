/* SPDX-License-Identifier: ISC */
/*
 * TLS over a socketpair, with certificates made here. Server and client are
 * coroutines that note what they saw; the tests assert afterwards.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/conn.h"
#include "common/net/tls.h"

#define BIG ((size_t)1 << 20)

static char dir[] = "/tmp/test_tls.XXXXXX";
static char mx_pem[64], other_pem[64], wild_pem[64];

/* --- certificates --- */

static void
add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* Self-signed for `name`; chain and key in one file, as tls.names has it. */
static void
make_certificate(const char *path, const char *name)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	char alt[128];
	FILE *f = fopen(path, "w");

	snprintf(alt, sizeof(alt), "DNS:%s", name);
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	    (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(x));
	add_extension(x, NID_subject_alt_name, alt);
	add_extension(x, NID_basic_constraints, "critical,CA:TRUE");
	X509_sign(x, key, EVP_sha256());
	PEM_write_X509(f, x);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	X509_free(x);
	EVP_PKEY_free(key);
}

/* --- one dialogue, with parameters --- */

struct dialogue {
	const char *name; /* the client asks for */
	enum tls_verify verify;
	const char *ca;
	void (*server)(struct conn *c);
	void (*client)(struct conn *c);
};

static struct dialogue now;
static struct tls_server *server_tls;
static struct tls_client *client_tls;
static struct conn *server, *client;

static struct {
	int server_rc, client_rc, rc, rc2;
	char subject[64], text[128], version[16];
	struct buf a, b;
	size_t right;
	bool flag;
} seen;

static void
server_main(void *arg)
{
	(void)arg;
	seen.server_rc = conn_starttls_server(server, server_tls);
	if (seen.server_rc == 0 && now.server != NULL)
		now.server(server);
	conn_free(&server);
}

static void
note_subject(const struct conn *c)
{
	X509 *x = SSL_get1_peer_certificate(conn_ssl(c));

	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x),
		    NID_commonName, seen.subject, sizeof(seen.subject));
	X509_free(x);
}

static void
run_dialogue(void *arg)
{
	struct co_group g = { 0 };

	(void)arg;
	conn_pair(&server, &client);
	co_group_spawn(&g, server_main, NULL);
	seen.client_rc = conn_starttls_client(client, client_tls, now.name);
	if (seen.client_rc == 0) {
		note_subject(client);
		if (now.client != NULL)
			now.client(client);
	}
	conn_free(&client);
	co_group_join(&g);
}

static void
dialogue(struct dialogue d)
{
	struct buf err = BUF_INIT;

	buf_clear(&seen.a);
	buf_clear(&seen.b);
	memset(&seen, 0, sizeof(seen));
	now = d;
	assert_int_equal(
	    tls_client_new_files(&client_tls, d.verify, d.ca, &err), 0);
	co_run(run_dialogue, NULL);
	tls_client_free(&client_tls);
	buf_clear(&err);
	assert_int_equal(ERR_peek_error(), 0);
}

static int
server_start(void **state)
{
	struct buf err = BUF_INIT;

	(void)state;
	make_certificate(mx_pem, "mx.example.test");
	make_certificate(other_pem, "other.example.test");
	make_certificate(wild_pem, "*.wild.test");
	return tls_server_new_files(&server_tls, mx_pem, mx_pem, &err) +
	    tls_server_add_name(
		server_tls, "other.example.test", other_pem, &err) +
	    tls_server_add_name(server_tls, "*.wild.test", wild_pem, &err);
}

static int
server_stop(void **state)
{
	(void)state;
	buf_clear(&seen.a);
	buf_clear(&seen.b);
	tls_server_free(&server_tls);
	return 0;
}

/* --- what goes through --- */

static void
serve_lines(struct conn *c)
{
	struct slice line;
	bool bare;

	while ((seen.rc = conn_read_line(c, 1000, &line, &bare)) == 0)
		conn_printf(
		    c, "<%.*s>%s\r\n", (int)line.n, line.p, bare ? "bare" : "");
}

static void
talk_in_octets(struct conn *c)
{
	static const char said[] = "one\r\ntwo\nthree\r\n";
	struct slice line;

	for (size_t i = 0; i < sizeof(said) - 1; i++) {
		conn_write(c, slice(said + i, 1));
		conn_flush(c);
		co_yield ();
	}
	for (int i = 0; i < 3; i++)
		if (conn_read_line(c, 100, &line, NULL) == 0)
			snprintf(seen.text + strlen(seen.text), 32, "%.*s ",
			    (int)line.n, line.p);
	snprintf(seen.version, sizeof(seen.version), "%s", conn_tls_version(c));
	seen.flag = conn_is_tls(c) && *conn_tls_cipher(c) != '\0';
	conn_shutdown(c);
	seen.rc2 = conn_read_line(c, 100, &line, NULL);
}

static void
lines_go_through_tls(void **state)
{
	(void)state;
	dialogue((struct dialogue){ "mx.example.test", TLS_VERIFY_NAMES, mx_pem,
	    serve_lines, talk_in_octets });
	assert_int_equal(seen.server_rc, 0);
	assert_int_equal(seen.client_rc, 0);
	assert_string_equal(seen.text, "<one> <two>bare <three> ");
	assert_string_equal(seen.version, "TLS1.3");
	assert_true(seen.flag);
	assert_int_equal(seen.rc, -EPIPE);
	assert_int_equal(seen.rc2, -EPIPE);
}

static char
pattern(size_t i)
{
	return (char)('a' + i % 23 + i / 4099 % 3);
}

static void
serve_big(struct conn *c)
{
	char block[1009];

	for (size_t at = 0; at < BIG; at += sizeof(block)) {
		for (size_t i = 0; i < sizeof(block); i++)
			block[i] = pattern(at + i);
		if (conn_write(c, slice(block, sizeof(block))) != 0)
			return;
	}
	seen.rc = conn_flush(c);
}

static void
read_big(struct conn *c)
{
	struct slice s;
	size_t at = 0;

	while (conn_wait_input(c, NULL, -1) == 1 && conn_peek(c, &s) == 0) {
		for (size_t i = 0; i < s.n; i++)
			seen.right += s.p[i] == pattern(at + i);
		at += s.n;
		conn_consume(c, s.n);
		co_yield ();
	}
}

static void
big_transfers_go_through_tls(void **state)
{
	(void)state;
	dialogue((struct dialogue){
	    "", TLS_VERIFY_NONE, NULL, serve_big, read_big });
	assert_int_equal(seen.rc, 0);
	assert_true(seen.right >= BIG);
}

static void
close_without_notify(struct conn *c)
{
	struct slice line;

	conn_puts(c, "half a li");
	conn_flush(c);
	shutdown(SSL_get_fd(conn_ssl(c)), SHUT_WR);
	seen.rc2 = conn_read_line(c, 10, &line, NULL);
}

static void
an_end_without_close_notify_is_an_end(void **state)
{
	(void)state;
	dialogue((struct dialogue){
	    "", TLS_VERIFY_NONE, NULL, serve_lines, close_without_notify });
	assert_int_equal(seen.rc, -EPIPE);
	assert_int_equal(seen.rc2, -EPIPE);
}

/* --- names --- */

struct name_case {
	const char *name;
	enum tls_verify verify;
	const char *ca; /* one of the files */
	int rc;
	const char *subject;
};

static void
certificates_are_chosen_and_checked_by_name(void **state)
{
	const struct name_case cases[] = {
		{ "mx.example.test", TLS_VERIFY_NAMES, mx_pem, 0,
		    "mx.example.test" },
		{ "MX.Example.Test", TLS_VERIFY_NAMES, mx_pem, 0,
		    "mx.example.test" },
		{ "other.example.test", TLS_VERIFY_NAMES, other_pem, 0,
		    "other.example.test" },
		{ "a.wild.test", TLS_VERIFY_NAMES, wild_pem, 0, "*.wild.test" },
		{ "a.b.wild.test", TLS_VERIFY_NONE, NULL, 0,
		    "mx.example.test" },
		{ "wild.test", TLS_VERIFY_NONE, NULL, 0, "mx.example.test" },
		{ "unknown.test", TLS_VERIFY_NONE, NULL, 0, "mx.example.test" },
		{ "", TLS_VERIFY_NONE, NULL, 0, "mx.example.test" },
		{ "127.0.0.1", TLS_VERIFY_NONE, NULL, 0, "mx.example.test" },
		/* another's name; another's root; no name to check */
		{ "unknown.test", TLS_VERIFY_NAMES, mx_pem, -EPROTO, "" },
		{ "127.0.0.1", TLS_VERIFY_NAMES, mx_pem, -EPROTO, "" },
		{ "mx.example.test", TLS_VERIFY_NAMES, other_pem, -EPROTO, "" },
		{ "mx.example.test", TLS_VERIFY_NAMES, NULL, -EPROTO, "" },
		{ "", TLS_VERIFY_NAMES, mx_pem, -ENOMEM, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		dialogue((struct dialogue){
		    cases[i].name, cases[i].verify, cases[i].ca, NULL, NULL });
		assert_int_equal(seen.client_rc, cases[i].rc);
		assert_string_equal(seen.subject, cases[i].subject);
		if (cases[i].rc != 0)
			assert_int_not_equal(seen.server_rc, 0);
	}
}

/* --- files that change --- */

static void
assert_served(const char *name)
{
	dialogue((struct dialogue){ "", TLS_VERIFY_NONE, NULL, NULL, NULL });
	assert_int_equal(seen.client_rc, 0);
	assert_string_equal(seen.subject, name);
}

static void
a_changed_certificate_is_served(void **state)
{
	char fresh[80];

	(void)state;
	snprintf(fresh, sizeof(fresh), "%s.new", mx_pem);
	make_certificate(fresh, "renewed.test");
	rename(fresh, mx_pem);
	tls_server_check(server_tls);
	assert_served("renewed.test");
}

static void
write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

static void
a_bad_new_certificate_leaves_the_old(void **state)
{
	(void)state;
	write_text(mx_pem, "-----BEGIN CERTIFICATE-----\nnonsense\n");
	tls_server_check(server_tls);
	assert_served("mx.example.test");
	unlink(mx_pem);
	tls_server_check(server_tls);
	assert_served("mx.example.test");
	make_certificate(mx_pem, "again.test");
	tls_server_check(server_tls);
	assert_served("again.test");
}

static void
certificates_are_taken_over_by_a_running_server(void **state)
{
	struct tls_server *fresh;
	struct buf err = BUF_INIT;

	(void)state;
	assert_int_equal(
	    tls_server_new_files(&fresh, other_pem, other_pem, &err), 0);
	tls_server_take(server_tls, &fresh);
	assert_null(fresh);
	assert_served("other.example.test");
}

static void
errors_name_the_file_and_the_reason(void **state)
{
	struct tls_server *t = NULL;
	struct tls_client *c = NULL;
	struct buf err = BUF_INIT;

	(void)state;
	assert_int_equal(
	    tls_server_new_files(&t, "/no/file", mx_pem, &err), -EINVAL);
	assert_string_equal(
	    buf_str(&err), "/no/file: No such file or directory\n");
	buf_reset(&err);
	assert_int_equal(
	    tls_server_new_files(&t, mx_pem, other_pem, &err), -EINVAL);
	assert_non_null(strstr(buf_str(&err), "mismatch"));
	assert_int_equal(
	    tls_client_new_files(&c, TLS_VERIFY_NAMES, "/no/ca", &err),
	    -EINVAL);
	assert_null(t);
	assert_null(c);
	buf_clear(&err);
}

/* --- STARTTLS --- */

static void
run_injected(void *arg)
{
	struct co_group g = { 0 };
	struct slice line;

	(void)arg;
	conn_pair(&server, &client);
	conn_puts(client, "STARTTLS\r\nMAIL FROM:<injected>\r\n");
	conn_flush(client);
	conn_read_line(server, 100, &line, NULL);
	seen.right = conn_buffered(server);
	conn_puts(server, "220 go\r\n");
	co_group_spawn(&g, server_main, NULL);
	conn_read_line(client, 100, &line, NULL);
	seen.flag = slice_eq_str(line, "220 go") && !conn_is_tls(client);
	seen.client_rc = conn_starttls_client(client, client_tls, "");
	conn_puts(client, "NOOP\r\n");
	seen.rc = conn_read_line(client, 100, &line, NULL);
	snprintf(seen.text, sizeof(seen.text), "%.*s", (int)line.n, line.p);
	conn_free(&client);
	co_group_join(&g);
}

static void
plain_text_before_tls_is_not_heard(void **state)
{
	struct buf err = BUF_INIT;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	now = (struct dialogue){ .server = serve_lines };
	tls_client_new_files(&client_tls, TLS_VERIFY_NONE, NULL, &err);
	co_run(run_injected, NULL);
	tls_client_free(&client_tls);
	assert_true(seen.right > 0); /* it was there */
	assert_true(seen.flag);
	assert_int_equal(seen.client_rc, 0);
	assert_string_equal(seen.text, "<NOOP>");
}

static void
run_garbage(void *arg)
{
	struct co_group g = { 0 };
	struct slice all;

	(void)arg;
	conn_pair(&server, &client);
	co_group_spawn(&g, server_main, NULL);
	conn_puts(client, "EHLO this is not TLS\r\n");
	conn_flush(client);
	seen.rc = conn_peek(client, &all);
	co_group_join(&g);
	conn_free(&client);
}

static void
garbage_is_a_protocol_error(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	co_run(run_garbage, NULL);
	assert_int_equal(seen.server_rc, -EPROTO);
	assert_int_equal(ERR_peek_error(), 0);
}

static void
run_silent(void *arg)
{
	(void)arg;
	conn_pair(&server, &client);
	conn_set_timeout(server, 20);
	seen.rc = conn_starttls_server(server, server_tls);
	seen.rc2 = conn_puts(server, "421 too late\r\n");
	conn_free(&server);
	conn_free(&client);
}

static void
a_silent_peer_times_out(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	co_run(run_silent, NULL);
	assert_int_equal(seen.rc, -ETIMEDOUT);
	assert_int_equal(seen.rc2, -ETIMEDOUT);
}

/* --- versions --- */

/* OpenSSL alone as the client, to have what our own would not do. */
static int
raw_handshake(int fd, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	int r, rc = -EPROTO;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, version);
	SSL_CTX_set_max_proto_version(ctx, version);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	for (;;) {
		if ((r = SSL_connect(ssl)) == 1) {
			rc = 0;
			break;
		}
		if (SSL_get_error(ssl, r) != SSL_ERROR_WANT_READ)
			break;
		co_wait_fd(fd, EV_READ, 5000);
	}
	if (rc == 0) {
		seen.right =
		    SSL_get_finished(ssl, seen.text, sizeof(seen.text));
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

static int raw_version;

static void
note_unique(struct conn *c)
{
	snprintf(seen.version, sizeof(seen.version), "%s", conn_tls_version(c));
	seen.rc = conn_tls_binding(c, "tls-unique", &seen.a);
	seen.rc2 = conn_tls_binding(c, "tls-exporter", &seen.b);
}

static void
run_raw(void *arg)
{
	struct co_group g = { 0 };
	int fd[2];

	(void)arg;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
	conn_new(&server, fd[0], fd[0]);
	co_group_spawn(&g, server_main, NULL);
	seen.client_rc = raw_handshake(fd[1], raw_version);
	co_group_join(&g);
	close(fd[1]);
}

static void
older_than_tls_1_2_is_refused(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	raw_version = TLS1_1_VERSION;
	co_run(run_raw, NULL);
	assert_int_equal(seen.client_rc, -EPROTO);
	assert_int_equal(seen.server_rc, -EPROTO);
}

static void
tls_1_2_has_its_own_channel_binding(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	raw_version = TLS1_2_VERSION;
	now = (struct dialogue){ .server = note_unique };
	co_run(run_raw, NULL);
	assert_int_equal(seen.client_rc, 0);
	assert_string_equal(seen.version, "TLS1.2");
	assert_int_equal(seen.rc, 0);
	assert_int_equal(seen.rc2, -ENOTSUP);
	/* The client's Finished message, which the client knows too. */
	assert_int_equal(seen.a.n, seen.right);
	assert_memory_equal(seen.a.p, seen.text, seen.right);
}

static void
bind_server(struct conn *c)
{
	seen.rc = conn_tls_binding(c, "tls-exporter", &seen.a);
}

static void
bind_client(struct conn *c)
{
	struct slice s;

	seen.rc2 = conn_tls_binding(c, "tls-exporter", &seen.b);
	seen.flag = conn_tls_binding(c, "tls-unique", &seen.b) == -ENOTSUP;
	conn_peek(c, &s); /* until the server is done */
}

static void
both_ends_have_the_same_channel_binding(void **state)
{
	(void)state;
	dialogue((struct dialogue){
	    "", TLS_VERIFY_NONE, NULL, bind_server, bind_client });
	assert_int_equal(seen.rc, 0);
	assert_int_equal(seen.rc2, 0);
	assert_true(seen.flag);
	assert_int_equal(seen.a.n, 32);
	assert_int_equal(seen.b.n, 32);
	assert_memory_equal(seen.a.p, seen.b.p, 32);
}

/* --- resumption --- */

static SSL_SESSION *ticket;

static int
on_ticket(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	ticket = s;
	return 1;
}

/* Connect by TLS 1.3, with the ticket of the last time where there is one. */
static void
raw_resume(int fd)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl;
	char octet;
	int r;

	/* Not in its own store: that would end with the context. */
	SSL_CTX_set_session_cache_mode(
	    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
	SSL_CTX_sess_set_new_cb(ctx, on_ticket);
	ssl = SSL_new(ctx);
	if (ticket != NULL)
		SSL_set_session(ssl, ticket);
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	while ((r = SSL_read(ssl, &octet, 1)) <= 0 &&
	    SSL_get_error(ssl, r) == SSL_ERROR_WANT_READ)
		co_wait_fd(fd, EV_READ, 5000);
	seen.flag = SSL_session_reused(ssl) == 1;
	SSL_shutdown(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static void
say_one_octet(struct conn *c)
{
	struct slice s;

	conn_puts(c, "x");
	conn_peek(c, &s);
}

static void
run_resume(void *arg)
{
	struct co_group g = { 0 };
	int fd[2];

	(void)arg;
	socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd);
	conn_new(&server, fd[0], fd[0]);
	co_group_spawn(&g, server_main, NULL);
	raw_resume(fd[1]);
	co_group_join(&g);
	close(fd[1]);
}

static void
a_ticket_resumes_even_after_a_reload(void **state)
{
	SSL_SESSION *first;

	(void)state;
	memset(&seen, 0, sizeof(seen));
	now = (struct dialogue){ .server = say_one_octet };
	co_run(run_resume, NULL);
	assert_false(seen.flag);
	first = ticket;
	assert_non_null(first);
	make_certificate(mx_pem, "mx.example.test");
	tls_server_check(server_tls);
	co_run(run_resume, NULL);
	assert_true(seen.flag);
	if (ticket != first)
		SSL_SESSION_free(first);
	SSL_SESSION_free(ticket);
	ticket = NULL;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, server_start, server_stop)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_go_through_tls),
		TEST(big_transfers_go_through_tls),
		TEST(an_end_without_close_notify_is_an_end),
		TEST(certificates_are_chosen_and_checked_by_name),
		TEST(a_changed_certificate_is_served),
		TEST(a_bad_new_certificate_leaves_the_old),
		TEST(certificates_are_taken_over_by_a_running_server),
		TEST(errors_name_the_file_and_the_reason),
		TEST(plain_text_before_tls_is_not_heard),
		TEST(garbage_is_a_protocol_error),
		TEST(a_silent_peer_times_out),
		TEST(older_than_tls_1_2_is_refused),
		TEST(tls_1_2_has_its_own_channel_binding),
		TEST(both_ends_have_the_same_channel_binding),
		TEST(a_ticket_resumes_even_after_a_reload),
	};
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(mx_pem, sizeof(mx_pem), "%s/mx.pem", dir);
	snprintf(other_pem, sizeof(other_pem), "%s/other.pem", dir);
	snprintf(wild_pem, sizeof(wild_pem), "%s/wild.pem", dir);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(mx_pem);
	unlink(other_pem);
	unlink(wild_pem);
	rmdir(dir);
	return rc;
}
