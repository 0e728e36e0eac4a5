/* SPDX-License-Identifier: ISC */
/*
 * The ring of trace records, opened once before the workers are made, who
 * inherit it. So the folder need not be reachable from the sandbox, and no
 * program sees what another has written.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/trace.h"
#include "common/net/service_impl.h"

/* May read the rings, and make its own beside those of others. */
#define GROUP "pneu"

static gid_t
readers(void)
{
	const struct group *g = getgrnam(GROUP);

	return g != NULL ? g->gr_gid : (gid_t)-1;
}

/* Each program has its own user, and each makes its own file: the sticky bit
 * keeps them from one another's. */
static int
make_folder(const char *dir, gid_t group)
{
	bool shared = geteuid() == 0 && group != (gid_t)-1;

	if (mkdir(dir, 0750) == -1)
		return errno == EEXIST ? 0 : -errno;
	if (shared &&
	    (chown(dir, (uid_t)-1, group) == -1 || chmod(dir, 01770) == -1))
		return -errno;
	return 0;
}

void
service_trace_open(
    const struct service *s, const struct conf *conf, bool existing)
{
	struct trace_conf c = { .dir = conf_file(conf, "trace.dir"),
		.program = s->name,
		.size = conf_size(conf, "trace.size"),
		.uid = (uid_t)-1,
		.gid = readers(),
		.existing = existing };
	struct passwd *owner;
	int rc = 0;

	if (s->without_trace || service_wanted_user(s, conf, &owner) != 0)
		return;
	if (owner != NULL)
		c.uid = owner->pw_uid;
	if (c.size > 0 && !existing)
		rc = make_folder(c.dir, c.gid);
	if (rc == 0)
		rc = trace_open(&c);
	/* Mail goes on without. */
	if (rc != 0 && !existing)
		log_warning("trace", "nothing is kept: dir=\"%s\" error=\"%s\"",
		    log_qs(c.dir), strerror(-rc));
}
