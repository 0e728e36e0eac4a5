/* SPDX-License-Identifier: ISC */
/*
 * pneu-mta: takes mail from other servers. It asks guard about each recipient
 * and hands the message on before it answers; it has no queue and opens no
 * database.
 */
#include "common/net/service.h"
#include "mta/mta.h"

static const struct service_protocol protocols[] = {
	{ .name = "smtp",
	    .setting = "mta.listen",
	    .port = 25,
	    .session = mta_session,
	    .busy = "421 4.3.2 too many connections, try later\r\n" },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const char *const networks[] = { "mta.priority_from",
		"mta.etrn_from",
		"mta.xforward_from", "mta.crowd_from", NULL };
	static const struct service mta = {
		.name = "mta",
		.summary = "receives mail by ESMTP",
		.protocols = protocols,
		.proxy_from = "mta.proxy_from",
		.xclient_from = "mta.xclient_from",
		.networks = networks,
		.start = mta_start,
		.reload = mta_reload,
		.stop = mta_stop,
		.paths = mta_paths,
	};

	return service_main(&mta, argc, argv);
}
