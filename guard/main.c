/* SPDX-License-Identifier: ISC */
/*
 * pneu-guard: says over LMTP what is to become of each recipient. It holds the
 * policy so that mta, which faces the network, needs no database.
 */
#include "common/net/service.h"
#include "guard/guard.h"

static const struct service_protocol protocols[] = {
	{ .name = "lmtp",
	    .setting = "guard.lmtp",
	    .port = 24,
	    .session = guard_session,
	    .busy = "421 4.3.2 too many connections, try later\r\n" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const struct service guard = {
		.name = "guard",
		.summary = "decides about recipients, asked over LMTP",
		.protocols = protocols,
		.proxy_from = "guard.proxy_from",
		.xclient_from = "guard.xclient_from",
		.start = guard_start,
		.reload = guard_reload,
		.stop = guard_stop,
		.paths = guard_paths,
		.tls_on_tcp = true,
	};

	return service_main(&guard, argc, argv);
}
