/* SPDX-License-Identifier: ISC */
#include "mailbox/mailbox.h"

#include <errno.h>
#include <string.h>

#include "common/auth/accounts.h"
#include "common/auth/sasl.h"
#include "common/base/log.h"
#include "common/base/trace.h"
#include "common/net/clients.h"
#include "mailbox/api/api.h"
#include "mailbox/imap/imap.h"
#include "mailbox/ipfs/keeper.h"
#include "mailbox/lmtp/lmtp.h"
#include "mailbox/mails/index.h"
#include "mailbox/mails/kept.h"
#include "mailbox/mails/mails.h"
#include "mailbox/pop3/pop3.h"
#include "mailbox/sealing_conf.h"

static struct accounts *accounts;
static struct mails *mails;
static struct clients *clients;
static struct ipfs *ipfs;

static int
start_sessions(const struct conf *conf)
{
	int rc;

	clients_configure(clients, conf, "mailbox");
	if ((rc = lmtp_start(conf, mails, accounts)) != 0 ||
	    (rc = imap_start(conf, mails, accounts)) != 0 ||
	    (rc = api_start(conf, mails, accounts)) != 0)
		return rc;
	return pop3_start(conf, mails, accounts);
}

int
mailbox_start(const struct conf *conf)
{
	struct mails_conf mc = {
		.store = { .engine = "embedded",
		    .dir = conf_file(conf, "mailbox.dir") },
		.keep_s = conf_duration_ms(conf, "mailbox.keep_deleted") / 1000,
		.compression = (int)conf_int(conf, "mailbox.compression"),
	};
	struct buf err = BUF_INIT;
	int rc;

	if ((rc = clients_new(&clients)) == 0)
		rc = accounts_open(&accounts, conf, false, &err);
	if (rc == 0)
		rc = sasl_server_start(accounts, conf, &err);
	if (rc == 0)
		rc = sealing_mails_open(&mails, conf, &mc, accounts, &err);
	if (rc == 0)
		rc = mails_index_start(mails);
	if (rc == 0)
		rc = mails_purge_start(mails);
	if (rc == 0)
		rc = ipfs_start(&ipfs, mails,
		    &(struct ipfs_conf){ conf_str(conf, "mailbox.ipfs"),
			conf_file(conf, "run_dir"), 0, 0, 0, 0 });
	if (rc == 0)
		rc = start_sessions(conf);
	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	return rc;
}

void
mailbox_reload(const struct conf *conf)
{
	int rc = start_sessions(conf);

	if (rc != 0)
		log_error("reload", "error=\"%s\"", strerror(-rc));
}

void
mailbox_stop(void)
{
	ipfs_stop(&ipfs);
	mails_close(&mails);
	sasl_server_stop(accounts);
	accounts_close(&accounts);
	clients_free(&clients);
}

size_t
mailbox_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	/* LMDB's reader table is written by readers too. */
	static const char *const names[] = { "mailbox.dir", "mailbox.spool_dir",
		"accounts.dir" };
	size_t n = 0;

	for (; n < sizeof(names) / sizeof(names[0]) && n < max; n++)
		out[n] =
		    (struct service_path){ conf_file(conf, names[n]), true };
	if (n < max && *conf_str(conf, "mailbox.sealing_key") != '\0')
		out[n++] = (struct service_path){
			conf_file(conf, "mailbox.sealing_key"), false
		};
	return n;
}

/* --- clients --- */

static void
turn_away(struct conn *c, const char *words)
{
	char peer[128];

	net_addr_host(conn_peer(c), peer);
	log_info("too many connections", "peer=%s", peer);
	trace_write(&(struct trace_record){ .kind = TRACE_CONNECT,
	    .code = 421,
	    .enhanced = "4.7.0",
	    .field = { [TRACE_PEER] = slice_str(peer),
		[TRACE_RULE] = SLICE_LIT("mailbox.max_per_address"),
		[TRACE_TEXT] = SLICE_LIT("too many connections") } });
	conn_printf(c, "%s from your address [ref %s]\r\n", words, conn_id(c));
	(void)conn_flush(c);
}

static void
serve(struct conn *c, const struct service_protocol *p, const char *words,
    void (*session)(struct conn *, const struct service_protocol *))
{
	struct client_prefix prefix;

	if (clients_enter(clients, conn_peer(c), &prefix) == 0)
		session(c, p);
	else
		turn_away(c, words);
	clients_leave(clients, &prefix);
}

void
mailbox_imap(struct conn *c, const struct service_protocol *p)
{
	serve(c, p, "* BYE [LIMIT] Too many connections", imap_session);
}

void
mailbox_pop3(struct conn *c, const struct service_protocol *p)
{
	serve(c, p, "-ERR [SYS/TEMP] Too many connections", pop3_session);
}
