/* SPDX-License-Identifier: ISC */
/*
 * The commands that need to know how outside accounts stand, or that speak to
 * the other side. `pneu outside` hands over to them.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/program_ask.h"
#include "common/base/log.h"
#include "common/mail/date.h"
#include "gateway/gateway.h"

/* One run of one command. */
struct run {
	const struct conf *conf;
	const char *command;
	bool json;
	const char *operand;      /* or NULL */
	int (*fn)(struct run *r); /* the exit status */
	struct gateway g;
	struct arena a;
	int status;
};

static int
complain(const struct run *r, const char *what, const char *why)
{
	fprintf(stderr, "pneu outside %s: %s: %s\n", r->command, what, why);
	return 1;
}

static int
failed(const struct run *r, int rc)
{
	complain(r, r->operand != NULL ? r->operand : "accounts",
	    rc == -ENOENT ? "no such outside account; see: pneu outside list"
		: rc == -EAGAIN ? "there are no accounts yet"
				: strerror(-rc));
	return rc == -ENOENT || rc == -EAGAIN ? 1 : EX_TEMPFAIL;
}

/* --- words --- */

static const char *
time_text(struct run *r, int64_t s)
{
	struct buf b = BUF_INIT;
	const char *text;

	if (s == 0)
		return "never";
	date_put_iso(&b, s);
	text = arena_strdup(&r->a, buf_slice(&b));
	buf_clear(&b);
	return text != NULL ? text : "";
}

static json_t *
json_time(struct run *r, int64_t s)
{
	return s == 0 ? json_null() : json_string(time_text(r, s));
}

static const char *
span_text(struct run *r, int64_t s)
{
	const char *text = s % 3600 == 0 && s > 0 ? "h"
	    : s % 60 == 0 && s > 0                ? "m"
						  : "s";
	int64_t n = *text == 'h' ? s / 3600 : *text == 'm' ? s / 60 : s;

	text = arena_printf(&r->a, "%lld%s", (long long)n, text);
	return text != NULL ? text : "";
}

static const char *
state_word(const struct outside *o, const struct state_status *st)
{
	return o->paused ? "paused" : state_kinds[st->kind];
}

static void
status_of(struct run *r, const struct outside *o, struct state_status *st)
{
	*st = (struct state_status){ .error = "" };
	if (r->g.state != NULL &&
	    state_status_now(r->g.state, &r->a, o->address, st) != 0)
		st->error = "";
}

static json_t *
folders_json(const struct outside *o)
{
	json_t *list = json_array();

	for (size_t i = 0; i < o->n_folders; i++)
		json_array_append_new(list, json_string(o->folders[i]));
	return list;
}

static json_t *
smtp_json(const struct outside_server *s)
{
	return *s->host == '\0'
	    ? json_null()
	    : json_pack("{s:s, s:i, s:s}", "host", s->host, "port",
		  (int)s->port, "security", outside_securities[s->security]);
}

static json_t *
oauth_json(const struct outside_oauth *v)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b}", "provider",
	    v->provider, "client_id", v->client, "scope", v->scope, "auth_url",
	    v->auth_url, "token_url", v->token_url, "device_url", v->device_url,
	    "has_client_secret", v->sealed.n > 0);
}

/* No password, and nothing of it. */
static json_t *
outside_json(struct run *r, const struct outside *o)
{
	struct state_status st;
	json_t *j;

	status_of(r, o, &st);
	j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b, s:s, s:o, "
		      "s:I, s:b, s:s, s:s, s:o, s:o, s:o, s:I, s:I, s:I}",
	    "address", o->address, "account", o->account, "protocol",
	    outside_protocols[o->protocol], "host", o->server.host, "port",
	    (int)o->server.port, "security",
	    outside_securities[o->server.security], "user", o->user,
	    "has_password", o->sealed.n > 0, "into", o->into, "folders",
	    folders_json(o), "interval_seconds", (json_int_t)o->interval_s,
	    "paused", o->paused, "state", state_word(o, &st), "error", st.error,
	    "looked", json_time(r, st.looked_s), "worked",
	    json_time(r, st.good_s), "next", json_time(r, st.next_s),
	    "messages", (json_int_t)st.messages, "octets",
	    (json_int_t)st.octets, "refused", (json_int_t)st.refused);
	if (j != NULL)
		json_object_set_new(
		    j, "left", json_integer((json_int_t)st.left));
	if (j != NULL)
		json_object_set_new(
		    j, "sign_in", json_string(outside_sign_ins[o->sign_in]));
	if (j != NULL && o->sign_in == OUTSIDE_OAUTH)
		json_object_set_new(j, "oauth", oauth_json(&o->oauth));
	if (j != NULL && o->protocol == OUTSIDE_GMAIL)
		json_object_set_new(
		    j, "labels", json_string(outside_label_words[o->labels]));
	if (j != NULL)
		json_object_set_new(j, "smtp", smtp_json(&o->smtp));
	if (j != NULL && o->protocol == OUTSIDE_IMAP)
		json_object_set_new(
		    j, "sync", json_string(outside_syncs[o->sync]));
	if (j != NULL)
		json_object_set_new(j, "delete_after_days",
		    o->delete_days < 0
			? json_null()
			: json_integer((json_int_t)o->delete_days));
	return j;
}

static int
print_json(json_t *j)
{
	int rc = j == NULL ? -1 : json_dumpf(j, stdout, JSON_INDENT(2));

	json_decref(j);
	putchar('\n');
	return rc == 0 ? 0 : EX_IOERR;
}

/* --- list --- */

static int
list(struct run *r)
{
	json_t *all = r->json ? json_array() : NULL;
	struct outside *v = NULL;
	struct state_status st;
	size_t n = 0;
	int rc =
	    outside_list(r->g.accounts, &r->a, slice_str(r->operand), &v, &n);

	if (rc != 0 && rc != -EAGAIN) {
		json_decref(all);
		return failed(r, rc);
	}
	if (!r->json && n > 0)
		printf("%-32s %-28s %-6s %-7s %s\n", "OUTSIDE", "ACCOUNT", "BY",
		    "STATE", "LOOKED");
	for (size_t i = 0; i < n; i++) {
		if (r->json) {
			json_array_append_new(all, outside_json(r, &v[i]));
			continue;
		}
		status_of(r, &v[i], &st);
		printf("%-32s %-28s %-6s %-7s %s\n", v[i].address, v[i].account,
		    outside_protocols[v[i].protocol], state_word(&v[i], &st),
		    time_text(r, st.looked_s));
		if (*st.error != '\0')
			printf("    %s\n", log_qs(st.error));
	}
	return r->json ? print_json(all) : 0;
}

/* --- show --- */

static void
line(const char *name, const char *value)
{
	printf("%-14s %s\n", name, *value != '\0' ? value : "-");
}

static void
show_folders(const struct outside *o)
{
	if (o->protocol == OUTSIDE_GMAIL)
		line("labels", outside_label_words[o->labels]);
	line("into",
	    *o->into != '\0'                  ? o->into
		: o->protocol == OUTSIDE_POP3 ? "INBOX"
					      : "folders of the same name");
	for (size_t i = 0; i < o->n_folders; i++)
		line(i == 0 ? "folders" : "", o->folders[i]);
}

static void
show_oauth(const struct outside *o)
{
	line("signs in by", "OAuth");
	line("provider",
	    *o->oauth.provider != '\0' ? o->oauth.provider
				       : o->oauth.token_url);
	line("client",
	    *o->oauth.client != '\0' ? o->oauth.client
				     : "as gateway.oauth_clients says");
	line("token", o->sealed.n > 0 ? "kept, sealed" : "none: log in");
}

static void
show_text(struct run *r, const struct outside *o)
{
	struct state_status st;

	status_of(r, o, &st);
	line("address", o->address);
	line("account", o->account);
	printf("%-14s %s://%s:%u (%s)\n", "server",
	    outside_protocols[o->protocol], o->server.host, o->server.port,
	    outside_securities[o->server.security]);
	if (*o->smtp.host != '\0')
		printf("%-14s smtp://%s:%u (%s)\n", "sends by", o->smtp.host,
		    o->smtp.port, outside_securities[o->smtp.security]);
	line("user", o->user);
	if (o->sign_in == OUTSIDE_OAUTH)
		show_oauth(o);
	else
		line("password", o->sealed.n > 0 ? "kept, sealed" : "none");
	show_folders(o);
	line("interval",
	    o->interval_s > 0 ? span_text(r, o->interval_s)
			      : "as gateway.interval says");
	if (o->delete_days < 0)
		line("there", "kept");
	else
		printf("%-14s deleted after %lld days\n", "there",
		    (long long)o->delete_days);
	line("state", state_word(o, &st));
	line("error", log_qs(st.error));
	line("looked", time_text(r, st.looked_s));
	line("worked", time_text(r, st.good_s));
	if (!o->paused)
		line("next", time_text(r, st.next_s));
	if (st.left > 0)
		printf("%-14s message %llu of %llu\n", "fetches",
		    (unsigned long long)st.messages,
		    (unsigned long long)(st.messages + st.left));
	printf("%-14s %llu messages, %llu octets; %llu not taken\n", "so far",
	    (unsigned long long)st.messages, (unsigned long long)st.octets,
	    (unsigned long long)st.refused);
}

static int
show(struct run *r)
{
	struct outside o;
	int rc = outside_get(r->g.accounts, &r->a, slice_str(r->operand), &o);

	if (rc != 0)
		return failed(r, rc == -EAGAIN ? -ENOENT : rc);
	if (r->json)
		return print_json(outside_json(r, &o));
	show_text(r, &o);
	return 0;
}

/* --- fetch: by the daemon --- */

#define FETCH_MS (24 * 3600 * INT64_C(1000))

/* The running gateway: 0 with its answer, or the exit status, told. */
static int
ask(struct run *r, const char *verb, json_t **out)
{
	const char *question = arena_printf(&r->a, "%s <%s>", verb, r->operand);
	struct buf err = BUF_INIT_MAX(4096);
	int rc = question == NULL ? -ENOMEM
				  : program_ask(r->conf, "gateway.lmtp",
					question, FETCH_MS, out, &err);

	if (rc != 0 && err.n > 0)
		complain(r, r->operand, buf_str(&err));
	else if (rc != 0)
		complain(r, "pneu-gateway does not answer", strerror(-rc));
	rc = rc == 0 ? 0 : err.n > 0 ? 1 : EX_UNAVAILABLE;
	buf_clear(&err);
	return rc;
}

static int
fetch(struct run *r)
{
	json_t *j;
	const char *error, *text;
	json_int_t messages, octets;
	int ok, rc = ask(r, "XFETCH", &j);

	if (rc != 0)
		return rc;
	if (json_unpack(j, "{s:b, s:s, s:I, s:I}", "ok", &ok, "error", &error,
		"messages", &messages, "octets", &octets) != 0)
		ok = 0, error = "no answer that makes sense";
	text = ok ? arena_printf(&r->a, "%lld messages, %lld octets",
			(long long)messages, (long long)octets)
		  : error;
	if (r->json)
		rc = print_json(
		    json_pack("{s:b, s:s*}", "ok", ok, "text", text));
	else if (ok)
		printf("%s: %s\n", r->operand, text);
	else
		complain(r, r->operand, text);
	json_decref(j);
	return ok ? rc : 1;
}

/* --- test --- */

static int
tell_test(struct run *r, const struct outside *o, bool ok, const char *error)
{
	int rc = 0;

	if (r->json)
		rc = print_json(
		    json_pack("{s:b, s:s}", "ok", (int)ok, "error", error));
	else if (ok)
		printf("%s: signed in at %s\n", o->address, o->server.host);
	else
		complain(r, r->operand, error);
	return ok ? rc : 1;
}

static int
test_here(struct run *r, const struct outside *o)
{
	struct fetch f = { .g = &r->g, .probe = true };
	enum fetch_end end = fetch_run(&f, o->address);
	int status = tell_test(r, o, end == FETCH_OK, buf_str(&f.why));

	fetch_clear(&f);
	return status;
}

static int
test_there(struct run *r, const struct outside *o)
{
	const char *error = "";
	json_t *j;
	int ok = 0, rc = ask(r, "XTEST", &j);

	if (rc != 0)
		return rc;
	(void)json_unpack(j, "{s:b, s:s}", "ok", &ok, "error", &error);
	rc = tell_test(r, o, ok, error);
	json_decref(j);
	return rc;
}

static int
test(struct run *r)
{
	struct outside o;
	int rc = outside_get(r->g.accounts, &r->a, slice_str(r->operand), &o);

	if (rc != 0)
		return failed(r, rc == -EAGAIN ? -ENOENT : rc);
	/* A refresh token may be good for one use, and then only who keeps the
	 * next one may use it. */
	return o.sign_in == OUTSIDE_OAUTH ? test_there(r, &o)
					  : test_here(r, &o);
}

/* --- running one --- */

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct buf err = BUF_INIT_MAX(4096);
	int rc = r->fn == fetch ? 0 : gateway_open(&r->g, r->conf, true, &err);

	if (rc != 0) {
		fprintf(stderr, "pneu outside %s: %s\n", r->command,
		    err.n > 0 ? buf_str(&err) : strerror(-rc));
		r->status = EX_TEMPFAIL;
	} else {
		r->status = r->fn(r);
	}
	gateway_close(&r->g);
	buf_clear(&err);
}

static int
run(struct run *r, int argc, char **argv, int min, int max)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c;

	optind = 0;
	r->command = argv[0];
	r->a = ARENA_INIT_MAX((size_t)256 << 20);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (c == 'j')
			r->json = true;
		else
			good = false;
	if (!good || argc - optind < min || argc - optind > max) {
		fprintf(stderr, "usage: pneu outside %s [--json] %s\n", argv[0],
		    min > 0 ? "ADDRESS" : "[ACCOUNT]");
		return EX_USAGE;
	}
	r->operand = optind < argc ? argv[optind] : NULL;
	if (co_run(run_main, r) != 0)
		return EX_TEMPFAIL;
	arena_reset(&r->a);
	return fflush(stdout) == 0 ? r->status : EX_IOERR;
}

static int
run_list(const struct conf *conf, int argc, char **argv)
{
	return run(&(struct run){ .conf = conf, .fn = list }, argc, argv, 0, 1);
}

static int
run_show(const struct conf *conf, int argc, char **argv)
{
	return run(&(struct run){ .conf = conf, .fn = show }, argc, argv, 1, 1);
}

static int
run_test(const struct conf *conf, int argc, char **argv)
{
	return run(&(struct run){ .conf = conf, .fn = test }, argc, argv, 1, 1);
}

static int
run_fetch(const struct conf *conf, int argc, char **argv)
{
	return run(
	    &(struct run){ .conf = conf, .fn = fetch }, argc, argv, 1, 1);
}

const struct service_command gateway_commands[] = {
	{ "list", "[--json] [ACCOUNT]",
	    "The outside accounts, and how they stand", run_list },
	{ "show", "[--json] ADDRESS", "One of them", run_show },
	{ "test", "[--json] ADDRESS", "Sign in there, and say how it went",
	    run_test },
	{ "fetch", "[--json] ADDRESS",
	    "Have the running gateway look at it now, and wait for the end",
	    run_fetch },
	{ NULL, NULL, NULL, NULL },
};
