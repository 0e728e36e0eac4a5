/* SPDX-License-Identifier: ISC */
/*
 * The SASL server with what a client may send: the first octet chooses the
 * mechanism, lines are messages, "@" in a SCRAM final message stands for the
 * nonce that only the harness knows. Properties: nobody is let in who did not
 * send the password, never by SCRAM (nobody here can make a proof), a failed
 * exchange stays failed, and no output comes with an error.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/auth/accounts_impl.h"
#include "common/auth/sasl.h"
#include "common/base/log.h"

static struct accounts *accounts;
static struct conn *server, *client;

struct input {
	struct slice all;
	const char *mechanism;
};

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static void
prepare(void *arg)
{
	static const char text[] = "{ \"accounts\": { \"hash_cost\": 1, "
				   "\"scram_iterations\": 4096 } }";
	struct store_conf sc = { .engine = "memory" };
	struct accounts_domain d = { .name = "d.test" };
	struct accounts_account u = { .address = "u@d.test", .name = "" };
	struct buf err = BUF_INIT;
	struct conf *conf = conf_parse("fuzz", slice_str(text), &err);

	(void)arg;
	need(accounts_open_store(&accounts, conf, &sc, &err) == 0);
	need(accounts_domain_put(accounts, &d, true, &err) == 0);
	need(accounts_account_put(accounts, &u, true, &err) == 0);
	need(accounts_password_set(accounts, SLICE_LIT("u@d.test"), "password",
		 SLICE_LIT("pw"), 0, &err) == 0);
	need(conn_pair(&server, &client) == 0);
	conf_free(&conf);
}

/* The message with the nonce of the challenge put in for "@". */
static void
expand(struct slice message, struct slice challenge, struct buf *out)
{
	ssize_t comma = slice_find(challenge, ',');

	for (size_t i = 0; i < message.n; i++) {
		if (message.p[i] == '@' && comma > 2 &&
		    slice_starts(challenge, "r="))
			buf_put_slice(out, slice(challenge.p + 2,
			    (size_t)comma - 2));
		else
			buf_put_char(out, message.p[i]);
	}
}

static void
exchange(void *arg)
{
	const struct input *in = arg;
	struct slice rest = in->all, message;
	struct sasl_server *s = NULL;
	struct buf out = BUF_INIT, text = BUF_INIT;
	int rc = SASL_MORE;
	bool failed = false;

	need(sasl_server_new(&s, accounts, server, slice_str(in->mechanism),
		 ACCOUNTS_IMAP, true) == 0);
	for (int i = 0; i < 4 && rest.n > 0; i++) {
		size_t before;

		message = slice_split(&rest, '\n');
		buf_reset(&text);
		expand(message, buf_slice(&out), &text);
		buf_reset(&out);
		before = out.n;
		rc = sasl_server_step(s, buf_slice(&text), &out);
		need(rc == SASL_OK || rc == SASL_MORE || rc == -EACCES ||
		    rc == -EBADMSG);
		need(rc >= 0 || out.n == before);
		need(!failed || rc == -EBADMSG);
		failed = rc != SASL_MORE;
		if (rc == SASL_OK) {
			need(strncmp(in->mechanism, "SCRAM", 5) != 0);
			need(slice_find_slice(in->all, SLICE_LIT("pw")) >= 0);
			need(strcmp(sasl_server_account(s), "u@d.test") == 0);
		}
	}
	sasl_server_free(&s);
	buf_clear(&out);
	buf_clear(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const mechanisms[] = { "PLAIN", "LOGIN",
		"SCRAM-SHA-256" };
	struct input in;

	if (size < 1 || size > 20000)
		return 0;
	if (accounts == NULL) {
		log_set_level(LOG_LEVEL_ERROR);
		need(loop_init() == 0);
		co_run(prepare, NULL);
	}
	in.mechanism = mechanisms[data[0] % 3];
	in.all = slice(data + 1, size - 1);
	co_run(exchange, &in);
	return 0;
}
