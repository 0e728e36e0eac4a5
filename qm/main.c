/* SPDX-License-Identifier: ISC */
/*
 * pneu-qm: the queue. Takes messages over LMTP, keeps them until each
 * recipient's fate is known, delivers to the mailbox and to other servers,
 * and tells the sender what could not be delivered.
 */
#include "qm/qm_service.h"

static const struct service_protocol protocols[] = {
	{ .name = "lmtp",
	    .setting = "qm.lmtp",
	    .port = 24,
	    .session = qm_serve,
	    .busy = "421 4.3.2 too many connections, try later\r\n" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const struct service qm = {
		.name = "qm",
		.summary = "queues mail and delivers it",
		.protocols = protocols,
		.proxy_from = "qm.proxy_from",
		.xclient_from = "qm.xclient_from",
		.commands = qm_commands,
		.start = qm_start,
		.reload = qm_reload,
		.stop = qm_stop,
		.paths = qm_paths,
		.connects_out = true,
		.tls_on_tcp = true,
	};

	return service_main(&qm, argc, argv);
}
