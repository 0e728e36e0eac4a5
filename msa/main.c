/* SPDX-License-Identifier: ISC */
/*
 * pneu-msa: takes mail from users who have signed in (RFC 6409), completes it,
 * and queues it at qm before it answers.
 */
#include "common/net/service.h"
#include "msa/msa.h"

static const struct service_protocol protocols[] = {
	{ .name = "submission",
	    .setting = "msa.submission",
	    .port = 587,
	    .session = msa_session,
	    .busy = "421 4.3.2 too many connections, try later\r\n" },
	{ .name = "submissions",
	    .setting = "msa.submissions",
	    .port = 465,
	    .tls = true,
	    .session = msa_session },
	{ .name = "api", .setting = "msa.api", .session = msa_api_session },
	{ 0 },
};

int
main(int argc, char **argv)
{
	static const char *const networks[] = { "msa.etrn_from",
		"msa.xforward_from",
		"msa.crowd_from", NULL };
	static const struct service msa = {
		.name = "msa",
		.summary = "takes mail from its users",
		.protocols = protocols,
		.proxy_from = "msa.proxy_from",
		.xclient_from = "msa.xclient_from",
		.networks = networks,
		.start = msa_start,
		.reload = msa_reload,
		.stop = msa_stop,
		.paths = msa_paths,
		.signs_in = true,
	};

	return service_main(&msa, argc, argv);
}
