/* SPDX-License-Identifier: ISC */
/* Asks each address as a client would: one coroutine for each, all at the same
 * time, none longer than 5 seconds. */
#include "mgmt/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/co.h"
#include "common/base/log.h"
#include "common/net/conn.h"
#include "common/net/tls.h"

#define FRESH_MS 2000
#define PROBE_MS 5000
#define LINE_MAX 512

/* One answer for all who ask at the same time: asking us often must not make
 * us ask often. */
static struct {
	struct co_mutex lock;
	struct health health;
	int64_t at_ms;
	bool known;
} now;
static struct tls_client *tls;

int
health_open(void)
{
	struct buf err = BUF_INIT;
	int rc = tls_client_new_files(&tls, TLS_VERIFY_NONE, NULL, &err);

	if (rc != 0)
		log_error("tls", "%s", buf_str(&err));
	buf_clear(&err);
	return rc;
}

void
health_close(void)
{
	tls_client_free(&tls);
}

/* --- one address --- */

static void
say(struct probe *p, const char *what, int rc)
{
	snprintf(p->said, sizeof(p->said), "%s: %s", what, strerror(-rc));
}

/* What is not plain text is left out: it goes into pages and JSON. */
static void
keep_greeting(struct probe *p, struct slice line)
{
	size_t n = 0;

	for (size_t i = 0; i < line.n && n + 1 < sizeof(p->said); i++)
		if (line.p[i] >= ' ' && line.p[i] < 0x7f)
			p->said[n++] = line.p[i];
	p->said[n] = '\0';
	p->ok = slice_starts(line, p->protocol->greeting);
}

static void
greet(struct probe *p, struct conn *c)
{
	struct slice line;
	int rc;

	if (p->protocol->tls &&
	    (rc = conn_starttls_client(c, tls, "localhost")) != 0) {
		say(p, "TLS", rc);
		return;
	}
	if ((rc = conn_read_line(c, LINE_MAX, &line, NULL)) != 0) {
		say(p, "no greeting", rc);
		return;
	}
	keep_greeting(p, line);
	if (conn_puts(c, p->protocol->quit) == 0)
		conn_flush(c);
}

static int
connect_to(const struct conf *conf, const char *address, struct conn **out)
{
	struct net_addr a;
	int rc = net_addr_parse(&a, address, conf_file(conf, "run_dir"));

	if (rc == 0)
		rc = conn_connect(out, &a, NULL, PROBE_MS);
	/* "*" where the machine has no IPv6. */
	if ((rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) &&
	    address[0] == '*' &&
	    net_addr_parse_host(
		&a, SLICE_LIT("127.0.0.1"), net_addr_port(&a)) == 0)
		rc = conn_connect(out, &a, NULL, PROBE_MS);
	return rc;
}

struct probing {
	const struct conf *conf;
	struct probe *probe;
};

static void
run_probe(void *arg)
{
	struct probing *r = arg;
	struct probe *p = r->probe;
	int64_t began = clock_mono_ms();
	struct conn *c = NULL;
	int rc = connect_to(r->conf, p->address, &c);

	if (rc == 0) {
		conn_set_deadline(c, began + PROBE_MS);
		greet(p, c);
	} else {
		say(p, "no connection", rc);
	}
	conn_free(&c);
	p->took_ms = clock_mono_ms() - began;
}

/* --- all of them --- */

static void
add_probes(struct health *h, const struct conf *conf,
    const struct program *program, const struct program_protocol *protocol)
{
	bool certificate = conf_str(conf, "tls.certificate")[0] != '\0';
	size_t n;
	const char *const *list = conf_list(conf, protocol->setting, &n);

	for (size_t i = 0; i < n && h->n < HEALTH_PROBES_MAX; i++) {
		struct probe *p = &h->probes[h->n++];

		*p = (struct probe){ .program = program, .protocol = protocol };
		snprintf(p->address, sizeof(p->address), "%s", list[i]);
		p->served = !protocol->tls || certificate;
		if (!p->served)
			snprintf(p->said, sizeof(p->said),
			    "not served without tls.certificate");
	}
}

static int
probe_all(struct health *h, const struct conf *conf)
{
	struct co_group group = { 0 };
	struct probing probing[HEALTH_PROBES_MAX];
	int rc;

	h->n = 0;
	for (const struct program *p = programs; p->name != NULL; p++)
		for (int i = 0; p->protocols[i].name != NULL; i++)
			if (p->protocols[i].greeting != NULL)
				add_probes(h, conf, p, &p->protocols[i]);
	for (size_t i = 0; i < h->n; i++) {
		probing[i] = (struct probing){ conf, &h->probes[i] };
		if (h->probes[i].served &&
		    co_group_spawn(&group, run_probe, &probing[i]) != 0)
			say(&h->probes[i], "not asked", -ENOMEM);
	}
	rc = co_group_join(&group);
	h->ok = true;
	for (size_t i = 0; i < h->n; i++)
		h->ok &= h->probes[i].ok || !h->probes[i].served;
	return rc;
}

const struct health *
health_now(const struct conf *conf)
{
	int rc;

	if (co_mutex_lock(&now.lock, -1) != 0)
		return NULL;
	rc = 0;
	if (!now.known || clock_mono_ms() - now.at_ms > FRESH_MS) {
		rc = probe_all(&now.health, conf);
		now.known = rc == 0;
		now.at_ms = clock_mono_ms();
	}
	co_mutex_unlock(&now.lock);
	return rc == 0 ? &now.health : NULL;
}

/* --- JSON --- */

static json_t *
probe_json(const struct probe *p)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:I}", "protocol",
	    p->protocol->name, "address", p->address, "status",
	    p->ok           ? "ok"
		: p->served ? "failed"
			    : "off",
	    "said", p->said, "ms", (json_int_t)p->took_ms);
}

json_t *
health_json(const struct health *h)
{
	json_t *all = json_object(), *one = NULL;
	const struct program *last = NULL;

	for (size_t i = 0; i < h->n; i++) {
		const struct probe *p = &h->probes[i];

		if (p->program != last) {
			one =
			    json_pack("{s:s, s:[]}", "status", "ok", "sockets");
			json_object_set_new(all, p->program->name, one);
			last = p->program;
		}
		json_array_append_new(
		    json_object_get(one, "sockets"), probe_json(p));
		if (p->served && !p->ok)
			json_object_set_new(
			    one, "status", json_string("failed"));
	}
	return json_pack(
	    "{s:s, s:o}", "status", h->ok ? "ok" : "failed", "programs", all);
}
