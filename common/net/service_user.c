/* SPDX-License-Identifier: ISC */
/* Folders, the user to become, and what the sandbox leaves reachable. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/log.h"
#include "common/net/service_impl.h"

#define PATHS_MAX 64

/* --- the user --- */

int
service_wanted_user(
    const struct service *s, const struct conf *conf, struct passwd **pw)
{
	const char *user = conf_str(conf, "user");
	const char *star = strchr(user, '*');
	char name[64];

	*pw = NULL;
	if (*user == '\0' || geteuid() != 0)
		return 0;
	if (star == NULL)
		snprintf(name, sizeof(name), "%s", user);
	else
		snprintf(name, sizeof(name), "%.*s%s%s", (int)(star - user),
		    user, s->name, star + 1);
	if ((*pw = getpwnam(name)) != NULL)
		return 0;
	log_error(
	    "user", "name=\"%s\" is not a user of this machine", log_qs(name));
	return EX_CONFIG;
}

int
service_become_user(const struct service *s, const struct conf *conf)
{
	struct passwd *pw;
	int rc = service_wanted_user(s, conf, &pw);

	if (rc != 0 || pw == NULL)
		return rc;
	if (initgroups(pw->pw_name, pw->pw_gid) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1) {
		log_error("user", "name=%s error=\"%s\"", pw->pw_name,
		    strerror(errno));
		return EX_TEMPFAIL;
	}
	/* What cannot be undone must not be undoable. */
	if (pw->pw_uid != 0 && setuid(0) == 0)
		abort();
	return 0;
}

/* --- folders --- */

/* `path` and what is missing above it; what is made belongs to `owner`. */
static int
make_folder(const char *path, mode_t mode, const struct passwd *owner)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, mode) == 0) {
			if (owner != NULL &&
			    chown(part, owner->pw_uid, owner->pw_gid) == -1)
				return -errno;
		} else if (errno != EEXIST && access(part, F_OK) == -1) {
			return -errno;
		}
	}
	return 0;
}

static int
make_told(const char *path, mode_t mode, const struct passwd *owner)
{
	int rc = make_folder(path, mode, owner);

	if (rc == 0)
		return 0;
	log_error(
	    "folder", "path=\"%s\" error=\"%s\"", log_qs(path), strerror(-rc));
	return EX_TEMPFAIL;
}

static size_t
paths_of(const struct service *s, const struct conf *conf,
    struct service_path *out, size_t max)
{
	size_t n = s->paths != NULL ? s->paths(conf, out, max) : 0;

	return n < max ? n : max;
}

int
service_folders(const struct service *s, const struct conf *conf)
{
	struct service_path paths[PATHS_MAX];
	size_t n = paths_of(s, conf, paths, PATHS_MAX);
	struct passwd *owner;
	int rc = service_wanted_user(s, conf, &owner);

	/* Others pass through these two to what is theirs. */
	if (rc == 0)
		rc = make_told(conf_file(conf, "data_dir"), 0755, owner);
	if (rc == 0)
		rc = make_told(conf_file(conf, "run_dir"), 0755, owner);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (paths[i].write && access(paths[i].path, F_OK) == -1)
			rc = make_told(paths[i].path, 0700, owner);
	return rc;
}

/* --- the sandbox --- */

struct path_list {
	struct arena arena;
	struct service_path paths[PATHS_MAX];
	size_t n;
};

static void
allow(struct path_list *l, const char *path, bool write)
{
	if (path != NULL && l->n < PATHS_MAX)
		l->paths[l->n++] = (struct service_path){ path, write };
}

/* Is `path` the folder `dir` or below it? */
static bool
is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		n--;
	return strncmp(path, dir, n) == 0 &&
	    (path[n] == '\0' || path[n] == '/' || n == 1);
}

/* The folder of a file that is not there yet. */
static bool
folder_of(const char *file, char real[static PATH_MAX])
{
	char folder[PATH_MAX];
	int n = snprintf(folder, sizeof(folder), "%s", file);
	char *slash = n < PATH_MAX ? strrchr(folder, '/') : NULL;

	if (slash == NULL)
		return false;
	slash[slash == folder] = '\0';
	return realpath(folder, real) != NULL;
}

/*
 * A file that is replaced by another of the same name (a certificate, the
 * configuration), or comes later, is read through its folder; but a folder that
 * has the data below it must stay closed, and there only this very file is open.
 */
static void
allow_file(struct path_list *l, const struct conf *conf, const char *file)
{
	char real[PATH_MAX], data[PATH_MAX], run[PATH_MAX];
	bool is_there;
	char *slash;

	if (file == NULL || *file == '\0')
		return;
	is_there = realpath(file, real) != NULL;
	if (!is_there && !folder_of(file, real))
		return;
	if (realpath(conf_file(conf, "data_dir"), data) == NULL ||
	    realpath(conf_file(conf, "run_dir"), run) == NULL)
		return;
	if (is_there) {
		allow(l, arena_strdup(&l->arena, slice_str(real)), false);
		slash = strrchr(real, '/');
		slash[slash == real] = '\0';
	}
	if (!is_below(data, real) && !is_below(run, real))
		allow(l, arena_strdup(&l->arena, slice_str(real)), false);
}

bool
service_uses_tls(const struct service *s, const struct conf *conf)
{
	if (s->without_tls)
		return false;
	for (const struct service_protocol *p = s->protocols;
	     (s->tls_on_tcp || s->tls_if_served) && p->name != NULL; p++) {
		size_t n = 0;
		const char *const *list =
		    p->setting == NULL ? NULL : conf_list(conf, p->setting, &n);

		if (s->tls_if_served && p->tls && n > 0)
			return true;
		for (size_t i = 0; s->tls_on_tcp && i < n; i++)
			if (strncmp(list[i], "unix:", 5) != 0)
				return true;
	}
	return !s->tls_on_tcp && !s->tls_if_served;
}

/* The files that a map names. */
static void
allow_map(struct path_list *l, const struct conf *conf, const char *name)
{
	size_t n;
	const char *const *keys = conf_map_keys(conf, name, &n);

	for (size_t i = 0; i < n; i++)
		allow_file(l, conf,
		    conf_resolve(
			conf, &l->arena, conf_map(conf, name, keys[i])));
}

static void
allow_tls(struct path_list *l, const struct service *s, const struct conf *conf)
{
	allow_file(l, conf, conf_file(conf, "tls.ca"));
	if (!service_uses_tls(s, conf))
		return;
	allow_file(l, conf, conf_file(conf, "tls.certificate"));
	allow_file(l, conf, conf_file(conf, "tls.key"));
	allow_file(l, conf, conf_file(conf, "tls.client_ca"));
	allow_map(l, conf, "tls.names");
}

/* Is a setting of the service's own section the address of a TCP peer? *port
 * is that of its fixed one, which does not count; else 0. */
static bool
has_tcp_peer(const struct service *s, const struct conf *conf, uint16_t *port)
{
	const struct conf_setting *c;
	size_t n = strlen(s->name);
	struct net_addr a;
	bool any = false;

	*port = 0;
	for (c = conf_settings; c->name != NULL; c++)
		if (c->type == CONF_STRING &&
		    strncmp(c->name, s->name, n) == 0 && c->name[n] == '.' &&
		    net_addr_parse(&a, conf_str(conf, c->name), "/") == 0 &&
		    !net_addr_is_unix(&a)) {
			if (s->fixed_peer != NULL &&
			    strcmp(c->name, s->fixed_peer) == 0)
				*port = net_addr_port(&a);
			else
				any = true;
		}
	return any;
}

int
service_enter_sandbox(const struct service *s, const struct conf *conf)
{
	struct path_list l = { .arena = ARENA_INIT_MAX(1 << 20) };
	struct sandbox box;
	uint16_t port;
	int rc;

	if (!conf_bool(conf, "sandbox"))
		return 0;
	l.n = paths_of(s, conf, l.paths, PATHS_MAX);
	allow(&l, conf_file(conf, "run_dir"), true);
	allow_file(&l, conf, conf_path(conf));
	allow_tls(&l, s, conf);
	allow_file(&l, conf, conf_file(conf, "dns.trust_anchor"));
	if (s->signs_in) {
		allow_file(&l, conf, conf_file(conf, "accounts.key"));
		allow_file(&l, conf, conf_file(conf, "auth.oauth_secret_file"));
	}
	if (s->asks_for_tokens)
		allow_map(&l, conf, "gateway.oauth_secrets");
	box = (struct sandbox){ l.paths, l.n,
		has_tcp_peer(s, conf, &port) || s->connects_out ||
		    (s->signs_in && *conf_str(conf, "auth.oauth_url") != '\0'),
		&port, port != 0 };
	rc = sandbox_enter(&box);
	arena_reset(&l.arena);
	return rc == 0 ? 0 : EX_TEMPFAIL;
}
