/* SPDX-License-Identifier: ISC */
/*
 * pneu-gateway: fetches the mail that people have elsewhere, and hands it to
 * mailbox.
 */
#include "gateway/gateway.h"

static const struct service_protocol protocols[] = {
	{ .name = "lmtp",
	    .setting = "gateway.lmtp",
	    .port = 24,
	    .session = gateway_session,
	    .busy = "421 4.3.2 too many connections, try later\r\n" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const struct service gateway = {
		.name = "gateway",
		.summary = "fetches the mail of accounts elsewhere",
		.protocols = protocols,
		.commands = gateway_commands,
		.start = gateway_start,
		.reload = gateway_reload,
		.stop = gateway_stop,
		.paths = gateway_paths,
		.connects_out = true,
		.asks_for_tokens = true,
		.tls_on_tcp = true,
		.one_worker = true,
	};

	return service_main(&gateway, argc, argv);
}
