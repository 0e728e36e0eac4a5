/* SPDX-License-Identifier: ISC */
/* Every address that the configuration gives to a program. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/listen.h"
#include "mgmt/commands.h"
#include "mgmt/run.h"

/* --- what to tell --- */

static void
tell_low_ports(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	complain("ports below 1024 are for root. Start it as root (the setting "
		 "`user` then names who the programs become), or run once "
		 "`setcap cap_net_bind_service=+ep %s`, or set other ports",
	    self);
}

static int
trouble(const struct program_protocol *p, const char *text, int rc)
{
	switch (rc) {
	case -EINVAL:
		complain("%s: %s: not an address; expected 127.0.0.1:25, "
			 "[::1]:25, *:25 or unix:path",
		    p->setting, text);
		return EX_CONFIG;
	case -EADDRINUSE:
		complain("%s: %s: another program listens there; "
			 "`ss -lptn` shows which",
		    p->setting, text);
		return EX_UNAVAILABLE;
	case -EADDRNOTAVAIL:
		complain(
		    "%s: %s: not an address of this machine", p->setting, text);
		return EX_UNAVAILABLE;
	}
	complain("%s: %s: %s", p->setting, text, strerror(-rc));
	return rc == -EACCES && strncmp(text, "unix:", 5) != 0 ? EX_NOPERM
							       : EX_UNAVAILABLE;
}

/* --- folders and owners --- */

/* Where the programs become another user, the group "pneu" (or that user's)
 * reaches the sockets that root makes. */
static void
give_to_group(const struct conf *conf, const char *path)
{
	const char *user = conf_str(conf, "user");
	struct passwd *pw;
	struct group *gr;
	gid_t gid;

	if (geteuid() != 0 || user[0] == '\0')
		return;
	if (strchr(user, '*') == NULL && (pw = getpwnam(user)) != NULL)
		gid = pw->pw_gid;
	else if ((gr = getgrnam("pneu")) != NULL)
		gid = gr->gr_gid;
	else
		return;
	if (chown(path, (uid_t)-1, gid) == -1)
		log_warning("socket", "path=%s error=\"%s\"", log_qs(path),
		    strerror(errno));
}

/* `path` and what is missing above it. */
static int
make_folder(const char *path)
{
	char *part = strdup(path);
	int rc = 0;

	if (part == NULL)
		return -ENOMEM;
	for (char *p = part; *p != '\0' && rc == 0; p++) {
		if (*p != '/' || p == part)
			continue;
		*p = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST)
			rc = -errno;
		*p = '/';
	}
	if (rc == 0 && mkdir(part, 0755) == -1 && errno != EEXIST)
		rc = -errno;
	free(part);
	return rc;
}

static int
make_run_dir(const struct conf *conf)
{
	const char *dir = conf_file(conf, "run_dir");
	int rc = make_folder(dir);

	if (rc == 0)
		return 0;
	complain("run_dir: %s: %s%s", dir, strerror(-rc),
	    rc == -EACCES ? "; start it as root, or set another run_dir" : "");
	return EX_NOPERM;
}

/* --- sockets --- */

static int
open_one(struct run *r, struct run_child *c, const struct program_protocol *p,
    const char *text)
{
	struct run_socket *s = &c->sockets[c->n_sockets];
	struct net_addr a = { 0 };
	int rc;

	if (c->n_sockets == RUN_SOCKETS_MAX) {
		complain(
		    "%s: more than %d addresses", p->setting, RUN_SOCKETS_MAX);
		return EX_CONFIG;
	}
	rc = net_listen(text, conf_file(r->conf, "run_dir"), &a, &s->fd);
	if (rc != 0)
		return trouble(p, text, rc);
	s->protocol = p->name;
	s->path[0] = '\0';
	if (net_addr_is_unix(&a)) {
		snprintf(s->path, sizeof(s->path), "%s", net_addr_path(&a));
		give_to_group(r->conf, s->path);
	}
	c->n_sockets++;
	return 0;
}

/* All trouble is told, but one status returned; EX_CONFIG is the highest. */
static int
graver(int a, int b)
{
	return a > b ? a : b;
}

static int
open_protocol(
    struct run *r, struct run_child *c, const struct program_protocol *p)
{
	size_t n;
	const char *const *list = conf_list(r->conf, p->setting, &n);
	int status = 0;

	if (p->tls && n > 0 &&
	    conf_str(r->conf, "tls.certificate")[0] == '\0') {
		log_warning("not served", "%s=\"%s\" missing=tls.certificate",
		    p->setting, list[0]);
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		status = graver(status, open_one(r, c, p, list[i]));
	return status;
}

int
run_sockets_open(struct run *r)
{
	int status = make_run_dir(r->conf);
	bool low_ports = false;

	if (status != 0)
		return status;
	for (size_t i = 0; i < r->n; i++) {
		const struct program_protocol *p = programs[i].protocols;

		r->children[i].program = &programs[i];
		for (; p->name != NULL; p++)
			status = graver(
			    status, open_protocol(r, &r->children[i], p));
		low_ports |= status == EX_NOPERM;
	}
	if (low_ports)
		tell_low_ports();
	return status;
}

void
run_sockets_close(struct run *r)
{
	for (size_t i = 0; i < r->n; i++) {
		struct run_child *c = &r->children[i];

		for (size_t j = 0; j < c->n_sockets; j++) {
			close(c->sockets[j].fd);
			if (c->sockets[j].path[0] != '\0')
				unlink(c->sockets[j].path);
		}
		c->n_sockets = 0;
	}
}
