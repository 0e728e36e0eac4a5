/* SPDX-License-Identifier: ISC */
/*
 * pneu-mailbox: the owner of Mails. Takes mail by LMTP and serves it by IMAP,
 * POP3 and an HTTP API.
 */
#include "common/net/service.h"
#include "mailbox/api/api.h"
#include "mailbox/commands.h"
#include "mailbox/imap/imap.h"
#include "mailbox/lmtp/lmtp.h"
#include "mailbox/mailbox.h"
#include "mailbox/pop3/pop3.h"

static const struct service_protocol protocols[] = {
	{ .name = "lmtp", .setting = "mailbox.lmtp", .port = 24,
	    .session = lmtp_session },
	{ .name = "imap", .setting = "mailbox.imap", .port = 143,
	    .busy = "* BYE [UNAVAILABLE] Too many connections\r\n",
	    .session = mailbox_imap },
	{ .name = "imaps", .setting = "mailbox.imaps", .port = 993,
	    .tls = true, .session = mailbox_imap },
	{ .name = "pop3", .setting = "mailbox.pop3", .port = 110,
	    .busy = "-ERR [SYS/TEMP] Too many connections\r\n",
	    .session = mailbox_pop3 },
	{ .name = "pop3s", .setting = "mailbox.pop3s", .port = 995,
	    .tls = true, .session = mailbox_pop3 },
	{ .name = "http", .setting = "mailbox.http",
	    .busy = "HTTP/1.1 503 Service Unavailable\r\n"
		    "Retry-After: 5\r\nContent-Length: 0\r\n"
		    "Connection: close\r\n\r\n",
	    .session = api_session },
	{ .name = "submit", .setting = "mailbox.submit",
	    .session = imap_submit_session },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const char *const networks[] = { "mailbox.crowd_from", NULL };
	static const struct service mailbox = {
		.name = "mailbox",
		.summary = "keeps mail: LMTP in, IMAP, POP3 and HTTP out",
		.protocols = protocols,
		.proxy_from = "mailbox.proxy_from",
		.xclient_from = "mailbox.xclient_from",
		.networks = networks,
		.commands = mailbox_commands,
		.start = mailbox_start,
		.reload = mailbox_reload,
		.stop = mailbox_stop,
		.paths = mailbox_paths,
		.signs_in = true,
		.fixed_peer = "mailbox.ipfs",
	};

	return service_main(&mailbox, argc, argv);
}
