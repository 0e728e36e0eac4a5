/* SPDX-License-Identifier: ISC */
/* qm's service hooks: what is opened at the start and closed at the end. */
#include "qm/qm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/smtp/server.h"
#include "qm/qm_service.h"
#include "qm/qm_session.h"
#include "qm/verdict.h"

#define GUARD_CONNECTIONS 256
#define GUARD_TIMEOUT_MS 60000
/* RFC 5321 4.5.3.2: five minutes for most; the client doubles it for the dot. */
#define SERVER_TIMEOUT_MS (5 * 60 * 1000)
#define WINDOW_START 2
#define IDLE_MS 5000

static struct {
	struct qm qm;
	struct smtp_server server;
	struct smtp_client_conf guard;
	struct dns *dns;
	struct tls_client *tls_any, *tls_names, *tls_dane;
	struct http_client *http;
	struct sts_cache *sts;
	struct arena arena;
	void *kept; /* in the arena */
	int64_t drain_ms;
	bool active;
} service;

/*
 * Deliveries that are under way use these texts for longer than a
 * configuration lives, so each that there was is kept.
 */
static const char *
kept(const char *text)
{
	struct kept {
		struct kept *next;
		char text[];
	} * k;
	size_t n = strlen(text) + 1;

	for (k = service.kept; k != NULL; k = k->next)
		if (strcmp(k->text, text) == 0)
			return k->text;
	k = arena_alloc(&service.arena, sizeof(*k) + n);
	if (k == NULL)
		return "";
	memcpy(k->text, text, n);
	k->next = service.kept;
	service.kept = k;
	return k->text;
}

/* --- the smarthost --- */

static int
read_password(const char *path, const char **out, struct buf *err)
{
	char text[1024];
	struct slice line;
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1 || (n = read(fd, text, sizeof(text) - 1)) == -1) {
		int rc = -errno;

		buf_printf(err, "qm.smarthost_password_file %s: %s", path,
		    strerror(errno));
		if (fd != -1)
			close(fd);
		return rc;
	}
	close(fd);
	line = slice(text, (size_t)n);
	line = slice_trim(slice_split(&line, '\n'));
	*out = "";
	if (line.n > 0) {
		text[(line.p - text) + (ptrdiff_t)line.n] = '\0';
		*out = kept(line.p);
	}
	explicit_bzero(text, sizeof(text));
	if (**out == '\0') {
		buf_printf(err,
		    "qm.smarthost_password_file %s: no password "
		    "in the first line",
		    path);
		return -EINVAL;
	}
	return 0;
}

static int
smarthost_set(const struct conf *conf, struct deliver_conf *d, struct buf *err)
{
	static const enum smtp_client_tls modes[] = { SMTP_TLS_NONE,
		SMTP_TLS_MAY, SMTP_TLS_STARTTLS, SMTP_TLS_IMPLICIT };
	const char *user = conf_str(conf, "qm.smarthost_user");
	int rc;

	d->smarthost = kept(conf_str(conf, "qm.smarthost"));
	d->smarthost_tls = modes[conf_enum(conf, "qm.smarthost_tls")];
	if (d->smarthost[0] == '\0' || user[0] == '\0')
		return 0;
	if (conf_str(conf, "qm.smarthost_password_file")[0] == '\0') {
		buf_put_str(
		    err, "qm.smarthost_user needs qm.smarthost_password_file");
		return -EINVAL;
	}
	rc = read_password(conf_file(conf, "qm.smarthost_password_file"),
	    &d->smarthost_password, err);
	d->smarthost_user = kept(user);
	return rc;
}

/* --- settings, at the start and at each reload --- */

static int
deliver_set(const struct conf *conf, struct deliver *d, struct buf *err)
{
	struct deliver_conf c = { .hostname = service_hostname(),
		.run_dir = kept(conf_file(conf, "run_dir")),
		.mailbox = kept(conf_str(conf, "qm.mailbox")),
		.gateway = kept(conf_str(conf, "qm.gateway")),
		.smtp_port = (uint16_t)conf_int(conf, "qm.smtp_port"),
		.connect_timeout_ms =
		    conf_duration_ms(conf, "qm.connect_timeout"),
		.timeout_ms = SERVER_TIMEOUT_MS,
		.tls_any = service.tls_any,
		.tls_names = service.tls_names };
	int rc;

	if ((rc = smarthost_set(conf, &c, err)) != 0)
		return rc;
	d->conf = c;
	d->self.hostname = c.hostname;
	return 0;
}

/* What servers' domains say of TLS, as far as it is minded. */
static struct policy
policy_settings(const struct conf *conf)
{
	return (struct policy){ .dns = service.dns,
		.dane = conf_bool(conf, "qm.dane") ? service.tls_dane : NULL,
		.sts = conf_bool(conf, "qm.mta_sts") ? service.sts : NULL,
		.port = (uint16_t)conf_int(conf, "qm.smtp_port") };
}

static struct scheduler_conf
scheduler_settings(const struct conf *conf)
{
	int64_t first_ms = conf_duration_ms(conf, "qm.retry_first");
	int64_t max_ms = conf_duration_ms(conf, "qm.retry_max");

	return (struct scheduler_conf){ .window_start = WINDOW_START,
		.window_max = (unsigned)conf_int(conf, "qm.concurrency"),
		.near = DESTINATION_LOCAL,
		.connections_max = (unsigned)conf_int(conf, "qm.max_outgoing"),
		.jobs_max = (size_t)conf_int(conf, "qm.max_active"),
		.leave_alone_ms = first_ms / 2,
		.leave_alone_max_ms = max_ms / 2,
		.idle_ms = IDLE_MS };
}

static int
settings_apply(const struct conf *conf, struct qm *qm, struct buf *err)
{
	struct scheduler_conf scheduler = scheduler_settings(conf);
	int rc = deliver_set(conf, &qm->deliver, err);

	if (rc != 0)
		return rc;
	qm->deliver.policy = policy_settings(conf);
	if (qm->scheduler != NULL)
		scheduler_configure(qm->scheduler, &scheduler);
	qm->smarthost = qm->deliver.conf.smarthost[0] != '\0';
	qm->active_max = (size_t)conf_int(conf, "qm.max_active");
	qm->rcpts_max = qm->active_max * 20;
	qm->retry = (struct retry_conf){ .first_ms = conf_duration_ms(
					     conf, "qm.retry_first"),
		.max_ms = conf_duration_ms(conf, "qm.retry_max"),
		.max_age_ms = conf_duration_ms(conf, "qm.max_age"),
		.delay_notice_ms = conf_duration_ms(conf, "qm.delay_notice") };
	qm->report = (struct report_conf){ .hostname = service_hostname(),
		.max_age_ms = qm->retry.max_age_ms };
	service.drain_ms = conf_duration_ms(conf, "drain");
	qm_session_server(&service.server, qm, conf);
	return 0;
}

/* --- opening --- */

static int
deliver_open(const struct conf *conf, struct deliver *d, struct buf *err)
{
	int rc;

	if ((rc = tls_client_new(
		 &service.tls_any, conf, TLS_VERIFY_NONE, err)) != 0 ||
	    (rc = tls_client_new(
		 &service.tls_names, conf, TLS_VERIFY_NAMES, err)) != 0 ||
	    (rc = tls_client_new(
		 &service.tls_dane, conf, TLS_VERIFY_DANE, err)) != 0 ||
	    (rc = dns_new(&service.dns, conf, err)) != 0 ||
	    (rc = http_client_new(&service.http, conf, err)) != 0 ||
	    (rc = sts_cache_new(&service.sts, queue_store(d->queue),
		 service.dns, service.http,
		 (uint16_t)conf_int(conf, "qm.sts_port"))) != 0)
		return rc;
	sts_cache_sweep(service.sts);
	d->dns = route_dns_real(service.dns);
	/* Where the kernel does not tell, the name still cuts loops. */
	rc = route_self_addresses(&service.arena, &d->self);
	if (rc != 0)
		log_warning("own addresses", "error=%s", strerror(-rc));
	return 0;
}

static int
guard_open(const struct conf *conf, struct qm *qm, struct buf *err)
{
	int rc;

	service.guard = (struct smtp_client_conf){ .lmtp = true,
		.hostname = service_hostname(),
		.connect_timeout_ms = 10000,
		.timeout_ms = GUARD_TIMEOUT_MS };
	rc = smtp_pool_new(&qm->guard, conf_str(conf, "qm.guard"),
	    conf_file(conf, "run_dir"), &service.guard, GUARD_CONNECTIONS);
	if (rc != 0)
		buf_printf(err, "qm.guard %s: %s", conf_str(conf, "qm.guard"),
		    strerror(-rc));
	return rc;
}

/* A worker's part of the slices. */
static unsigned
share(const struct conf *conf)
{
	long workers = (long)conf_int(conf, "workers");

	if (workers == 0)
		workers = sysconf(_SC_NPROCESSORS_ONLN);
	if (workers < 1)
		workers = 1;
	return (unsigned)((QUEUE_SLICES + workers - 1) / workers);
}

static int
open_all(const struct conf *conf, struct qm *qm, struct buf *err)
{
	struct store_conf store = { .engine = "embedded",
		.dir = conf_file(conf, "qm.dir") };
	struct scheduler_conf scheduler = scheduler_settings(conf);
	int rc;

	if ((rc = queue_open(&qm->queue, &store, err)) != 0)
		return rc;
	qm->deliver.queue = qm->queue;
	if ((rc = guard_open(conf, qm, err)) != 0 ||
	    (rc = deliver_open(conf, &qm->deliver, err)) != 0 ||
	    (rc = settings_apply(conf, qm, err)) != 0 ||
	    (rc = scheduler_new(
		 &qm->scheduler, &scheduler, &deliver_ops, &qm->deliver)) != 0)
		return rc;
	if ((rc = qm_active_start(qm, share(conf))) == 0)
		service.active = true;
	return rc;
}

int
qm_start(const struct conf *conf)
{
	struct buf err = BUF_INIT_MAX(4096);
	int rc = open_all(conf, &service.qm, &err);

	if (rc != 0)
		log_error("start", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
	return rc;
}

/* Where the queue, guard and the resolver are, and who is trusted (qm.dir,
 * qm.guard, dns, tls.ca), holds until a restart. */
void
qm_reload(const struct conf *conf)
{
	struct buf err = BUF_INIT_MAX(4096);
	int rc = settings_apply(conf, &service.qm, &err);

	if (rc != 0)
		log_error("reload", "error=\"%s\" reason=\"%s\"", strerror(-rc),
		    log_q(buf_slice(&err)));
	buf_clear(&err);
}

void
qm_stop(void)
{
	if (service.active)
		qm_active_stop(&service.qm, service.drain_ms);
	scheduler_free(&service.qm.scheduler);
	smtp_pool_free(&service.qm.guard);
	sts_cache_free(&service.sts);
	queue_close(&service.qm.queue);
	http_client_free(&service.http);
	dns_free(&service.dns);
	tls_client_free(&service.tls_any);
	tls_client_free(&service.tls_names);
	tls_client_free(&service.tls_dane);
	service.kept = NULL;
	arena_reset(&service.arena);
}

size_t
qm_paths(const struct conf *conf, struct service_path *out, size_t max)
{
	size_t n = 0;

	if (max < 3)
		return 0;
	out[n++] = (struct service_path){ conf_file(conf, "qm.dir"), true };
	out[n++] =
	    (struct service_path){ conf_file(conf, "qm.spool_dir"), true };
	if (conf_str(conf, "qm.smarthost_password_file")[0] != '\0')
		out[n++] = (struct service_path){
			conf_file(conf, "qm.smarthost_password_file"), false
		};
	return n;
}

void
qm_serve(struct conn *c, const struct service_protocol *p)
{
	(void)p;
	smtp_serve(&service.server, c);
}
