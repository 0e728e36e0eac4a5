/* SPDX-License-Identifier: ISC */
/*
 * Asks through common/net/dns, for tests: dnsq CONF [TYPE NAME]... where TYPE
 * is mx, addr, txt or ptr; all at the same time. One line per question:
 *
 *	mx example.lab secure 10:a.example.lab 20:b.example.lab
 *	addr nix.lab insecure ENOENT
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/net/dns.h"
#include "common/net/sandbox.h"

struct question {
	const char *type, *name;
	struct arena arena;
	struct buf line;
	int rc;
};

static struct dns *dns;
static struct question *questions;
static size_t count;
static const struct conf *conf;
static int status = EX_CONFIG;

static void
put_secure(struct question *q, bool secure)
{
	buf_put_str(&q->line, secure ? " secure" : " insecure");
}

static int
ask_mx(struct question *q)
{
	struct dns_mx *mx;
	bool secure;
	size_t n = 0;
	int rc = dns_mx(dns, &q->arena, q->name, &mx, &n, &secure);

	put_secure(q, secure);
	for (size_t i = 0; rc == 0 && i < n; i++)
		buf_printf(&q->line, " %d:%s", mx[i].preference, mx[i].host);
	return rc;
}

static int
ask_addr(struct question *q)
{
	struct net_addr *addr;
	char text[128];
	bool secure;
	size_t n = 0;
	int rc = dns_addresses(dns, &q->arena, q->name, &addr, &n, &secure);

	put_secure(q, secure);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		net_addr_host(&addr[i], text);
		buf_printf(&q->line, " %s", text);
	}
	return rc;
}

static int
ask_txt(struct question *q)
{
	struct slice *txt;
	bool secure;
	size_t n = 0;
	int rc = dns_txt(dns, &q->arena, q->name, &txt, &n, &secure);

	put_secure(q, secure);
	for (size_t i = 0; rc == 0 && i < n; i++)
		buf_printf(&q->line, " [%.*s]", (int)txt[i].n, txt[i].p);
	return rc;
}

static int
ask_ptr(struct question *q)
{
	struct net_addr addr;
	const char *name = "";
	int rc = net_addr_parse_host(&addr, slice_str(q->name), 0);

	if (rc == 0)
		rc = dns_ptr(dns, &q->arena, &addr, &name);
	if (rc == 0)
		buf_printf(&q->line, " %s", name);
	return rc;
}

static void
ask(void *arg)
{
	static const struct {
		const char *type;
		int (*ask)(struct question *q);
	} types[] = {
		{ "mx", ask_mx },
		{ "addr", ask_addr },
		{ "txt", ask_txt },
		{ "ptr", ask_ptr },
	};
	struct question *q = arg;

	q->rc = -EINVAL;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].type, q->type) == 0)
			q->rc = types[i].ask(q);
}

/* As in a daemon: set-up, and all look-ups, inside of the cage. */
static int
enter_sandbox(void)
{
	struct service_path anchors = { conf_file(conf, "dns.trust_anchor"),
		false };
	struct sandbox box = { &anchors, 1, true, NULL, 0 };

	return conf_bool(conf, "sandbox") ? sandbox_enter(&box) : 0;
}

static void
run(void *arg)
{
	struct co_group group = { 0 };
	struct buf err = BUF_INIT;

	(void)arg;
	if (enter_sandbox() != 0)
		return;
	if (dns_new(&dns, conf, &err) != 0) {
		fputs(buf_str(&err), stderr);
		buf_clear(&err);
		return;
	}
	for (size_t i = 0; i < count; i++)
		co_group_spawn(&group, ask, &questions[i]);
	co_group_join(&group);
	dns_free(&dns);
	status = 0;
}

static void
print(struct question *q)
{
	const char *name = q->rc == 0 ? ""
	    : q->rc == -ENOENT        ? " ENOENT"
	    : q->rc == -ENODATA       ? " ENODATA"
	    : q->rc == -EAGAIN        ? " EAGAIN"
				      : " other";

	printf("%s %s%s%s\n", q->type, q->name, buf_str(&q->line), name);
	buf_clear(&q->line);
	arena_reset(&q->arena);
}

int
main(int argc, char **argv)
{
	struct buf err = BUF_INIT;
	struct conf *c;

	if (argc < 2 || (c = conf_load(argv[1], &err)) == NULL) {
		fputs(buf_str(&err), stderr);
		return EX_CONFIG;
	}
	conf = c;
	count = (size_t)(argc - 2) / 2;
	questions = calloc(count + 1, sizeof(*questions));
	if (questions == NULL)
		return EX_OSERR;
	for (size_t i = 0; i < count; i++) {
		questions[i].type = argv[2 + 2 * i];
		questions[i].name = argv[3 + 2 * i];
	}
	co_run(run, NULL);
	for (size_t i = 0; i < count && status == 0; i++)
		print(&questions[i]);
	free(questions);
	conf_free(&c);
	return status;
}
