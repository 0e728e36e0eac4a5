/* SPDX-License-Identifier: ISC */
/* The whole main() of a daemon: options, and the order of all that follows. */
#include "common/net/service.h"

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/net/service_impl.h"

#define CONF_DEFAULT "/etc/pneu/pneu.conf"

/* Of this process; sessions ask for them from anywhere. */
static const struct conf *conf_now;
static struct tls_server *tls_now;

const struct conf *
service_conf(void)
{
	return conf_now;
}

void
service_conf_set(const struct conf *conf)
{
	conf_now = conf;
}

struct tls_server *
service_tls(void)
{
	return tls_now;
}

void
service_tls_set(struct tls_server *tls)
{
	tls_now = tls;
}

/* The machine's name, as complete as it can be found without a setting. */
static const char *
machine_name(void)
{
	static char name[256];
	struct addrinfo hints = { .ai_flags = AI_CANONNAME }, *ai;

	if (name[0] != '\0')
		return name;
	if (gethostname(name, sizeof(name) - 1) == -1 || name[0] == '\0')
		snprintf(name, sizeof(name), "localhost");
	if (strchr(name, '.') == NULL &&
	    getaddrinfo(name, NULL, &hints, &ai) == 0) {
		if (ai->ai_canonname != NULL)
			snprintf(name, sizeof(name), "%s", ai->ai_canonname);
		freeaddrinfo(ai);
	}
	return name;
}

/* Clients and sessions hold the name for longer than a configuration lives:
 * each that there was is kept. */
static const char *
kept_name(const char *name)
{
	static struct kept {
		struct kept *next;
		char text[];
	} *all;
	size_t n = strlen(name) + 1;
	struct kept *k = all;

	while (k != NULL && strcmp(k->text, name) != 0)
		k = k->next;
	if (k != NULL)
		return k->text;
	if ((k = malloc(sizeof(*k) + n)) == NULL)
		return machine_name();
	memcpy(k->text, name, n);
	k->next = all;
	all = k;
	return k->text;
}

const char *
service_hostname(void)
{
	const char *name = conf_now ? conf_str(conf_now, "hostname") : "";

	return *name != '\0' ? kept_name(name) : machine_name();
}

/* --- options --- */

static void
print_help(const struct service *s)
{
	const struct service_protocol *p;
	const struct service_command *c;

	printf("pneu-%s: %s\n\n"
	       "usage: pneu-%s [options]\n",
	    s->name, s->summary, s->name);
	if (s->commands != NULL)
		printf("       pneu-%s [-c FILE] COMMAND ...\n", s->name);
	printf("\n  -c, --config FILE            configuration "
	       "(default: $PNEU_CONF or " CONF_DEFAULT ")\n"
	       "      --set NAME=VALUE         change one setting\n"
	       "      --listen PROTO=ADDRESS   listen there instead of where "
	       "the configuration says\n"
	       "      --protocol NAME          what an inherited socket "
	       "speaks\n"
	       "      --workers N              processes (default: one per "
	       "CPU)\n"
	       "      --foreground             always so\n"
	       "  -h, --help\n"
	       "  -V, --version\n"
	       "\nProtocols:");
	for (p = s->protocols; p->name != NULL; p++)
		printf(" %s", p->name);
	printf("\n\nWith a socket or pipe as standard input (inetd, tcpserver) "
	       "or sockets from\nsystemd it serves those. SIGTERM stops, "
	       "SIGHUP reloads.\n");
	if (s->commands == NULL)
		return;
	printf("\nCommands:\n");
	for (c = s->commands; c->name != NULL; c++)
		printf("  %s %s\n      %s\n", c->name, c->args ? c->args : "",
		    c->help);
}

static bool
keep(const char **list, size_t *n, const char *value)
{
	if (*n == SERVICE_OPTIONS_MAX)
		return false;
	list[(*n)++] = value;
	return true;
}

enum { OPT_SET = 256, OPT_LISTEN, OPT_PROTOCOL, OPT_WORKERS, OPT_FOREGROUND };

/* -1: go on; else the exit status. */
static int
parse_options(
    const struct service *s, struct service_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, OPT_SET },
		{ "listen", required_argument, NULL, OPT_LISTEN },
		{ "protocol", required_argument, NULL, OPT_PROTOCOL },
		{ "workers", required_argument, NULL, OPT_WORKERS },
		{ "foreground", no_argument, NULL, OPT_FOREGROUND },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	bool ok = true;
	int opt;

	while ((opt = getopt_long(argc, argv, "+c:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			o->conf_path = optarg;
			break;
		case OPT_SET:
			ok &= keep(o->set, &o->n_set, optarg);
			break;
		case OPT_LISTEN:
			ok &= keep(o->listen, &o->n_listen, optarg);
			break;
		case OPT_PROTOCOL:
			o->protocol = optarg;
			break;
		case OPT_WORKERS:
			o->workers = optarg;
			break;
		case OPT_FOREGROUND:
			break;
		case 'h':
			print_help(s);
			return 0;
		case 'V':
			printf("pneu-%s " PNEU_VERSION "\n", s->name);
			return 0;
		default:
			ok = false;
		}
	}
	if (ok)
		return -1;
	fprintf(stderr, "pneu-%s: see pneu-%s --help\n", s->name, s->name);
	return EX_USAGE;
}

static const struct service_command *
find_command(const struct service *s, const char *name)
{
	const struct service_command *c = s->commands;

	for (; c != NULL && c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	fprintf(stderr, "pneu-%s: %s: unknown command; see pneu-%s --help\n",
	    s->name, name, s->name);
	return NULL;
}

/* --- configuration --- */

static int
apply_set(struct conf *conf, const char *text, struct buf *err)
{
	struct slice value = slice_str(text);
	struct slice name = slice_split(&value, '=');
	char *copy = slice_strdup(name);
	int rc = -ENOMEM;

	if (copy != NULL)
		rc = conf_set(conf, copy, value.p, err);
	free(copy);
	return rc;
}

struct conf *
service_conf_load(const struct service_options *o, struct buf *err)
{
	struct conf *conf = conf_load(o->conf_path, err);
	int rc = 0;

	if (conf == NULL)
		return NULL;
	for (size_t i = 0; i < o->n_set && rc == 0; i++)
		rc = apply_set(conf, o->set[i], err);
	if (rc == 0 && o->workers != NULL)
		rc = conf_set(conf, "workers", o->workers, err);
	if (rc != 0) {
		if (err->n == 0)
			buf_printf(err, "%s\n", strerror(-rc));
		conf_free(&conf);
	}
	return conf;
}

/* Without -c and without a file in the usual place the defaults do. */
static void
find_conf(struct service_options *o)
{
	if (o->conf_path == NULL)
		o->conf_path = getenv("PNEU_CONF");
	if (o->conf_path != NULL && *o->conf_path != '\0')
		return;
	o->conf_path = access(CONF_DEFAULT, F_OK) == 0 ? CONF_DEFAULT : NULL;
}

static struct conf *
load_conf(const struct service *s, struct service_options *o)
{
	struct buf err = BUF_INIT;
	struct conf *conf;

	find_conf(o);
	if ((conf = service_conf_load(o, &err)) == NULL)
		fprintf(stderr, "pneu-%s: configuration:\n%s", s->name,
		    buf_str(&err));
	buf_clear(&err);
	return conf;
}

/* --- running --- */

static int
load_tls(
    const struct service *s, const struct conf *conf, struct tls_server **tls)
{
	struct buf err = BUF_INIT;
	int rc = 0;

	*tls = NULL;
	if (service_uses_tls(s, conf))
		rc = tls_server_new(tls, conf, &err);
	if (rc != 0)
		log_error("tls", "%s", buf_str(&err));
	buf_clear(&err);
	return rc == 0 ? 0 : EX_CONFIG;
}

/* A connection is a descriptor: take as many as we may have. And two malloc
 * arenas do: threads here compute, they hardly allocate. */
#define DESCRIPTORS 65536
static void
set_limits(void)
{
	struct rlimit r, was;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
		/* As root there may be more. */
		r.rlim_cur = r.rlim_max = DESCRIPTORS;
		if (getrlimit(RLIMIT_NOFILE, &was) == 0 &&
		    was.rlim_max < DESCRIPTORS)
			setrlimit(RLIMIT_NOFILE, &r);
	}
	mallopt(M_ARENA_MAX, 2);
	signal(SIGPIPE, SIG_IGN);
}

static size_t
worker_count(const struct service *s, const struct conf *conf)
{
	int64_t n = s->one_worker ? 1 : conf_int(conf, "workers");

	if (n == 0)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n < 1 ? 1 : (size_t)n;
}

/* As root: sockets, certificates, folders. What follows in service_worker is
 * done as the configured user, in the sandbox. */
static int
serve(const struct service *s, const struct service_options *o,
    struct conf **conf)
{
	struct service_start start;
	struct service_process p = { s, o, &start, NULL, NULL, false, -1 };
	size_t workers = worker_count(s, *conf);
	int rc;

	set_limits();
	service_notify_open();
	if ((rc = service_folders(s, *conf)) != 0 ||
	    (rc = service_start_find(&start, s, *conf, o)) != 0)
		return rc;
	if ((rc = load_tls(s, *conf, &p.tls)) != 0) {
		service_start_close(&start, true);
		return rc;
	}
	service_trace_open(s, *conf, false);
	machine_name(); /* asked now: the sandbox may not reach a resolver */
	p.conf = *conf;
	*conf = NULL;
	if (start.one_session || (workers == 1 && start.inherited))
		rc = service_worker(&p);
	else
		rc = service_master(&p, workers);
	tls_server_free(&p.tls);
	conf_free(&p.conf);
	return rc;
}

int
service_main(const struct service *s, int argc, char **argv)
{
	struct service_options o = { 0 };
	const struct service_command *c = NULL;
	struct conf *conf;
	int rc = parse_options(s, &o, argc, argv);

	if (rc != -1)
		return rc;
	service_rescue_stderr();
	if (optind < argc && (c = find_command(s, argv[optind])) == NULL)
		return EX_USAGE;
	if ((conf = load_conf(s, &o)) == NULL)
		return EX_CONFIG;
	conf_now = conf;
	log_open(s->name, (enum log_level)conf_enum(conf, "log_level"));
	if (c == NULL)
		rc = serve(s, &o, &conf);
	else if ((rc = service_become_user(s, conf)) == 0) {
		service_trace_open(s, conf, true);
		rc = c->run(conf, argc - optind, argv + optind);
	}
	conf_now = NULL;
	conf_free(&conf);
	return rc;
}
