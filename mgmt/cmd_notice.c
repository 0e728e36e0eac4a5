/* SPDX-License-Identifier: ISC */
/* pneu notice: who is told of an account's new mail. How notices go is asked of
 * the running gateway. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "common/auth/notice.h"
#include "common/auth/notice_ask.h"
#include "common/net/http_url.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/secret.h"

struct notice_args {
	const struct conf *conf;
	const char *operands[2];
	const char *kind, *content, *url, *name, *p256dh;
	const char *mailboxes[NOTICE_FILTERS_MAX], *senders[NOTICE_FILTERS_MAX];
	size_t n_mailboxes, n_senders;
	bool all_mailboxes, all_senders, has_min, has_max;
	uint64_t min_size, max_size;
	bool secret, pause, json;
	uint64_t from;
	bool has_from, dead;
	struct secret text;
};

/* --- the command line --- */

enum {
	OPT_ALL_MAILBOXES = 256,
	OPT_ALL_SENDERS,
	OPT_MIN,
	OPT_MAX,
	OPT_P256DH,
	OPT_URL,
	OPT_JSON,
	OPT_DEAD
};

static const struct option options[] = {
	{ "kind", required_argument, NULL, 'k' },
	{ "content", required_argument, NULL, 'c' },
	{ "name", required_argument, NULL, 'n' },
	{ "url", required_argument, NULL, OPT_URL },
	{ "mailbox", required_argument, NULL, 'm' },
	{ "usual-mailboxes", no_argument, NULL, OPT_ALL_MAILBOXES },
	{ "sender", required_argument, NULL, 's' },
	{ "any-sender", no_argument, NULL, OPT_ALL_SENDERS },
	{ "min-size", required_argument, NULL, OPT_MIN },
	{ "max-size", required_argument, NULL, OPT_MAX },
	{ "p256dh", required_argument, NULL, OPT_P256DH },
	{ "secret", no_argument, NULL, 'w' },
	{ "pause", no_argument, NULL, 'z' },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "from", required_argument, NULL, 'f' },
	{ "dead", no_argument, NULL, OPT_DEAD },
	{ NULL, 0, NULL, 0 },
};

static bool
add_filter(const char **list, size_t *n, const char *value)
{
	if (*n == NOTICE_FILTERS_MAX) {
		complain("at most %d of each filter", NOTICE_FILTERS_MAX);
		return false;
	}
	list[(*n)++] = value;
	return true;
}

static bool
size_option(const char *text, uint64_t *out, bool *has)
{
	*has = size_parse(text, out) == 0;
	if (!*has)
		complain("%s: not a size; like 500, 20K, 1M, none", text);
	return *has;
}

static bool
option(struct notice_args *in, int c, const char *value)
{
	switch (c) {
	case 'k':
		in->kind = value;
		return true;
	case 'c':
		in->content = value;
		return true;
	case 'n':
		in->name = value;
		return true;
	case OPT_URL:
		in->url = value;
		return true;
	case 'm':
		return add_filter(in->mailboxes, &in->n_mailboxes, value);
	case 's':
		return add_filter(in->senders, &in->n_senders, value);
	case OPT_ALL_MAILBOXES:
		return in->all_mailboxes = true;
	case OPT_ALL_SENDERS:
		return in->all_senders = true;
	case OPT_MIN:
		return size_option(value, &in->min_size, &in->has_min);
	case OPT_MAX:
		return size_option(value, &in->max_size, &in->has_max);
	case OPT_P256DH:
		in->p256dh = value;
		return true;
	case 'w':
		return in->secret = true;
	case 'z':
		return in->pause = true;
	case OPT_JSON:
		return in->json = true;
	case OPT_DEAD:
		return in->dead = true;
	case 'f':
		in->has_from =
		    slice_u64(slice_str(value), INT64_MAX, &in->from) == 0 &&
		    in->from > 0;
		if (!in->has_from)
			complain("%s: not the number of an event", value);
		return in->has_from;
	}
	return false;
}

/* `allowed`: what this command takes, by the options' own letters. */
static bool
parse(struct notice_args *in, int argc, char **argv, const int *allowed,
    int min, int max)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const int *a = allowed;

		while (*a != 0 && *a != c)
			a++;
		if (*a == 0 || !option(in, c, optarg))
			return false;
	}
	if (argc - optind < min || argc - optind > max)
		return false;
	for (int i = 0; optind + i < argc; i++)
		in->operands[i] = argv[optind + i];
	return true;
}

/* --- what the options say --- */

/* The gateway would not send to it; better said now. */
static bool
url_is_good(const struct notice_args *in, const char *text)
{
	struct http_url url;

	if (http_url_parse(slice_str(text), &url) != 0) {
		complain("%s: not a URL like https://host/path, without a "
			 "user",
		    text);
		return false;
	}
	if (conf_bool(in->conf, "gateway.notice_private") ||
	    (url.tls && !(url.is_address && !net_addr_is_global(&url.address))))
		return true;
	complain("%s: only https to public addresses, unless "
		 "gateway.notice_private is on",
	    text);
	return false;
}

/* Over what `n` has. */
static bool
apply(const struct notice_args *in, struct notice *n)
{
	int content = (int)n->content;

	if (in->content != NULL &&
	    !word_option("content (nothing, envelope, preview)", in->content,
		notice_contents, NOTICE_CONTENTS, &content))
		return false;
	n->content = (enum notice_content)content;
	if (in->url != NULL)
		n->url = in->url;
	if (in->name != NULL)
		n->name = in->name;
	if (in->p256dh != NULL)
		n->p256dh = in->p256dh;
	if (in->n_mailboxes > 0 || in->all_mailboxes) {
		n->mailboxes = in->mailboxes;
		n->n_mailboxes = in->n_mailboxes;
	}
	if (in->n_senders > 0 || in->all_senders) {
		n->senders = in->senders;
		n->n_senders = in->n_senders;
	}
	if (in->has_min)
		n->min_size = in->min_size;
	if (in->has_max)
		n->max_size = in->max_size;
	return in->url == NULL || url_is_good(in, in->url);
}

static bool
read_secret(struct notice_args *in, enum notice_kind kind, struct slice *out)
{
	static const char *const prompts[] = { "Secret of the webhook: ",
		"auth of the subscription: ", "auth of the subscription: ",
		"Token: " };

	if (!secret_read_once(&in->text, prompts[kind]))
		return false;
	*out = slice(in->text.text, in->text.n);
	return true;
}

/* --- add --- */

static int
tell_added(const struct notice_args *in, const struct notice *n,
    const struct buf *made)
{
	json_t *j;

	if (!in->json) {
		printf("%s\n", n->id);
		if (made->n > 0)
			printf("secret: %s\n", buf_str(made));
		return EX_OK;
	}
	j = json_pack("{s:s}", "id", n->id);
	if (made->n > 0)
		json_object_set_new(j, "secret", json_string(buf_str(made)));
	return json_print(j);
}

static int
add(struct directory *d, void *arg)
{
	struct notice_args *in = arg;
	struct notice n = { .account = in->operands[0],
		.url = in->operands[1],
		.name = "",
		.p256dh = "",
		.content = NOTICE_ENVELOPE,
		.paused = in->pause };
	struct slice secret = { NULL, 0 };
	struct buf made = BUF_INIT_MAX(256);
	int rc, kind = NOTICE_WEBHOOK;

	if (in->kind != NULL &&
	    !word_option("kind (webhook, ntfy, unifiedpush, webpush)", in->kind,
		notice_kinds, NOTICE_KINDS, &kind))
		return EX_USAGE;
	n.kind = (enum notice_kind)kind;
	if (!apply(in, &n) || !url_is_good(in, n.url))
		return EX_USAGE;
	if ((in->secret || *n.p256dh != '\0') &&
	    !read_secret(in, n.kind, &secret))
		return EX_USAGE;
	rc = notice_add(d->a, &d->arena, &n, secret, &made, &d->err);
	if (rc == 0)
		rc = tell_added(in, &n, &made);
	else
		rc = directory_failed(d, rc);
	buf_wipe(&made);
	return rc;
}

int
cmd_notice_add(const struct conf *conf, int argc, char **argv)
{
	static const int allowed[] = { 'k', 'c', 'n', 'm', 's', OPT_MIN,
		OPT_MAX, OPT_P256DH, 'w', 'z', OPT_JSON, 0 };
	struct notice_args in = { .conf = conf };
	int status;

	if (!parse(&in, argc, argv, allowed, 2, 2))
		return command_usage();
	status = directory_run(conf, true, add, &in);
	secret_wipe(&in.text);
	return status;
}

/* --- set, pause, resume, remove --- */

static int
get(struct directory *d, const char *id, struct notice *n)
{
	int rc = notice_get(d->a, &d->arena, slice_str(id), n);

	if (rc == -ENOENT) {
		complain(
		    "no subscription %s; `pneu notice list` lists them", id);
		return 1;
	}
	return rc == 0 ? 0 : directory_failed(d, rc);
}

static int
put(struct directory *d, const struct notice *n, struct slice secret)
{
	int rc = notice_set(d->a, n, secret, &d->err);

	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
set(struct directory *d, void *arg)
{
	struct notice_args *in = arg;
	struct slice secret = { NULL, 0 };
	struct notice n;
	int status = get(d, in->operands[0], &n);

	if (status != 0)
		return status;
	if (!apply(in, &n) ||
	    ((in->secret || in->p256dh != NULL) &&
		!read_secret(in, n.kind, &secret)))
		return EX_USAGE;
	return put(d, &n, secret);
}

int
cmd_notice_set(const struct conf *conf, int argc, char **argv)
{
	static const int allowed[] = { 'c', 'n', OPT_URL, 'm',
		OPT_ALL_MAILBOXES, 's', OPT_ALL_SENDERS, OPT_MIN, OPT_MAX,
		OPT_P256DH, 'w', 0 };
	struct notice_args in = { .conf = conf };
	int status;

	if (!parse(&in, argc, argv, allowed, 1, 1))
		return command_usage();
	status = directory_run(conf, true, set, &in);
	secret_wipe(&in.text);
	return status;
}

static int
pause_it(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	struct notice n;
	int status = get(d, in->operands[0], &n);

	if (status != 0)
		return status;
	n.paused = in->pause;
	return put(d, &n, slice(NULL, 0));
}

static int
remove_it(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	struct notice n;
	int rc, status = get(d, in->operands[0], &n);

	if (status != 0)
		return status;
	rc = notice_remove(d->a, SLICE_EMPTY, slice_str(n.id), &d->err);
	return rc == 0 ? EX_OK : directory_failed(d, rc);
}

static int
change_one(const struct conf *conf, int argc, char **argv, bool pause,
    int (*fn)(struct directory *d, void *arg))
{
	static const int allowed[] = { 0 };
	struct notice_args in = { .conf = conf };

	if (!parse(&in, argc, argv, allowed, 1, 1))
		return command_usage();
	in.pause = pause;
	return directory_run(conf, true, fn, &in);
}

int
cmd_notice_pause(const struct conf *conf, int argc, char **argv)
{
	return change_one(conf, argc, argv, true, pause_it);
}

int
cmd_notice_resume(const struct conf *conf, int argc, char **argv)
{
	return change_one(conf, argc, argv, false, pause_it);
}

int
cmd_notice_remove(const struct conf *conf, int argc, char **argv)
{
	return change_one(conf, argc, argv, false, remove_it);
}

/* --- asking the gateway --- */

static int
asking_failed(int rc, const struct buf *err, const char *id)
{
	if (rc == -ENOENT)
		complain("%s: %s", id, err->n > 0 ? buf_str(err) : "not known");
	else if (err->n > 0)
		complain("pneu-gateway says: %s", buf_str(err));
	else
		complain("pneu-gateway does not answer: %s", strerror(-rc));
	return rc == -ENOENT ? 1 : EX_UNAVAILABLE;
}

/* NULL after it was told why, with the status. */
static json_t *ask(const struct notice_args *in, const char *id, int *status,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static json_t *
ask(const struct notice_args *in, const char *id, int *status, const char *fmt,
    ...)
{
	struct buf what = BUF_INIT_MAX(900), err = BUF_INIT_MAX(1000);
	json_t *j = NULL;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	buf_vprintf(&what, fmt, ap);
	va_end(ap);
	rc = notice_ask(in->conf, buf_str(&what), &j, &err);
	*status = rc == 0 ? EX_OK : asking_failed(rc, &err, id);
	buf_clear(&what);
	buf_clear(&err);
	return j;
}

/* How those of an account stand, by id; NULL: nobody tells. */
static json_t *
statuses(const struct notice_args *in, const char *account)
{
	struct buf what = BUF_INIT_MAX(900), err = BUF_INIT_MAX(1000);
	json_t *j = NULL;

	buf_printf(&what, "STATUS %s", account);
	(void)notice_ask(in->conf, buf_str(&what), &j, &err);
	buf_clear(&what);
	buf_clear(&err);
	return j;
}

static const char *
state_of(const struct notice *n, const json_t *status)
{
	const char *word = json_string_value(json_object_get(status, "state"));

	return n->paused ? "paused" : word != NULL ? word : "unknown";
}

/* --- list, show --- */

/* No secret, and nothing of it. */
static json_t *
notice_json(const struct notice *n, json_t *status)
{
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, "
			      "s:I, s:b, s:b, s:o, s:s, s:o}",
	    "id", n->id, "account", n->account, "kind", notice_kinds[n->kind],
	    "content", notice_contents[n->content], "url", n->url, "name",
	    n->name, "mailboxes", json_texts(n->mailboxes, n->n_mailboxes),
	    "senders", json_texts(n->senders, n->n_senders), "min_size",
	    (json_int_t)n->min_size, "max_size", (json_int_t)n->max_size,
	    "paused", n->paused, "has_secret", n->sealed.n > 0, "created",
	    json_time(n->created_s), "state", state_of(n, status), "status",
	    status != NULL ? json_incref(status) : json_null());

	if (j != NULL && *n->p256dh != '\0')
		json_object_set_new(j, "p256dh", json_string(n->p256dh));
	return j;
}

static const char *
number_text(struct arena *a, const json_t *status, const char *name)
{
	const json_t *v = json_object_get(status, name);

	return json_is_integer(v)
	    ? arena_printf(a, "%lld", (long long)json_integer_value(v))
	    : NULL;
}

static void
list_one(struct directory *d, struct table *t, const struct notice *n,
    const json_t *status)
{
	struct http_url url;
	bool good = http_url_parse(slice_str(n->url), &url) == 0;
	const char *cells[] = { n->id, n->account, notice_kinds[n->kind],
		notice_contents[n->content],
		arena_strdup(&d->arena, slice_str(state_of(n, status))),
		number_text(&d->arena, status, "sent"),
		number_text(&d->arena, status, "dead"),
		good ? arena_strdup(&d->arena, url.origin) : n->url };

	table_row(t, cells);
}

static int
list(struct directory *d, void *arg)
{
	static const char *const head[] = { "ID", "ACCOUNT", "KIND", "CONTENT",
		"STATE", "SENT", "DEAD", "TO" };
	const struct notice_args *in = arg;
	json_t *all = in->json ? json_array() : NULL, *known = NULL, *status;
	const char *of = "";
	struct notice *v;
	struct table t;
	size_t n;
	int rc =
	    notice_list(d->a, &d->arena, slice_str(in->operands[0]), &v, &n);

	if (rc != 0) {
		json_decref(all);
		return directory_failed(d, rc);
	}
	table_init(&t, &d->arena, 8, head);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].account, of) != 0) {
			json_decref(known);
			known = statuses(in, of = v[i].account);
		}
		status = json_object_get(known, v[i].id);
		if (in->json)
			json_array_append_new(all, notice_json(&v[i], status));
		else
			list_one(d, &t, &v[i], status);
	}
	json_decref(known);
	if (in->json)
		return json_print(all);
	if (n > 0)
		table_print(&t);
	return EX_OK;
}

static void
show_texts(const char *name, const char *const *v, size_t n, const char *none)
{
	for (size_t i = 0; i < n; i++)
		show_line(i == 0 ? name : "", v[i]);
	if (n == 0)
		show_line(name, none);
}

static void
show_status(struct directory *d, const json_t *status)
{
	static const char *const texts[][2] = { { "error", "error" },
		{ "last sent", "sent_at" }, { "next try", "next_at" } };
	static const char *const numbers[][2] = { { "sent", "sent" },
		{ "dead", "dead" }, { "next event", "next" },
		{ "newest event", "last" } };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *s =
		    json_string_value(json_object_get(status, texts[i][1]));

		if (s != NULL && *s != '\0')
			show_line(texts[i][0], s);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const char *s = number_text(&d->arena, status, numbers[i][1]);

		if (s != NULL)
			show_line(numbers[i][0], s);
	}
}

static void
show_text(struct directory *d, const struct notice *n, const json_t *status)
{
	printf("%s\n", n->id);
	show_line("account", n->account);
	show_line("kind", notice_kinds[n->kind]);
	show_line("content", notice_contents[n->content]);
	show_line("to", n->url);
	if (*n->name != '\0')
		show_line("name", n->name);
	show_line("secret", n->sealed.n > 0 ? "kept, sealed" : "none");
	show_texts("mailboxes", n->mailboxes, n->n_mailboxes,
	    "all but Sent, Drafts, Trash, Junk");
	show_texts("senders", n->senders, n->n_senders, "any");
	if (n->min_size > 0)
		show_line("from size", size_text(&d->arena, n->min_size));
	if (n->max_size > 0)
		show_line("to size", size_text(&d->arena, n->max_size));
	show_line("created", time_text(&d->arena, n->created_s));
	show_line("state", state_of(n, status));
	show_status(d, status);
}

static int
show(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	json_t *known;
	struct notice n;
	int status = get(d, in->operands[0], &n);

	if (status != 0)
		return status;
	known = statuses(in, n.account);
	if (in->json)
		status =
		    json_print(notice_json(&n, json_object_get(known, n.id)));
	else
		show_text(d, &n, json_object_get(known, n.id));
	json_decref(known);
	return status;
}

static int
read_only(const struct conf *conf, int argc, char **argv, int min,
    int (*fn)(struct directory *d, void *arg))
{
	static const int allowed[] = { OPT_JSON, 0 };
	struct notice_args in = { .conf = conf };

	if (!parse(&in, argc, argv, allowed, min, 1))
		return command_usage();
	return directory_run(conf, false, fn, &in);
}

int
cmd_notice_list(const struct conf *conf, int argc, char **argv)
{
	return read_only(conf, argc, argv, 0, list);
}

int
cmd_notice_show(const struct conf *conf, int argc, char **argv)
{
	return read_only(conf, argc, argv, 1, show);
}

/* --- test, dead, replay, key --- */

static int
test(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	const char *id = in->operands[0], *error;
	int status;
	json_t *j = ask(in, id, &status, "TEST %s", id);
	bool ok = json_is_true(json_object_get(j, "ok"));

	(void)d;
	if (j == NULL)
		return status;
	if (in->json)
		return json_print(j) | !ok;
	error = json_string_value(json_object_get(j, "error"));
	if (ok)
		printf("%s: it was taken\n", id);
	else
		complain("%s: %s", id, error != NULL ? error : "not taken");
	json_decref(j);
	return ok ? EX_OK : 1;
}

static int
dead(struct directory *d, void *arg)
{
	static const char *const head[] = { "EVENT", "AT", "ATTEMPTS", "STATUS",
		"ERROR" };
	const struct notice_args *in = arg;
	const char *id = in->operands[0];
	int status;
	json_t *j = ask(in, id, &status, "DEAD %s", id), *one;
	struct table t;
	size_t i;

	if (j == NULL)
		return status;
	if (in->json)
		return json_print(j);
	table_init(&t, &d->arena, 5, head);
	json_array_foreach(j, i, one)
	{
		const char *cells[] = { number_text(&d->arena, one, "event"),
			json_string_value(json_object_get(one, "at")),
			number_text(&d->arena, one, "attempts"),
			number_text(&d->arena, one, "status"),
			json_string_value(json_object_get(one, "error")) };

		table_row(&t, cells);
	}
	if (json_array_size(j) > 0)
		table_print(&t);
	json_decref(j);
	return EX_OK;
}

static int
key(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	int status;
	json_t *j = ask(in, "key", &status, "KEY");

	(void)d;
	if (j == NULL)
		return status;
	if (in->json)
		return json_print(j);
	printf("%s\n", json_string_value(json_object_get(j, "public")));
	json_decref(j);
	return EX_OK;
}

int
cmd_notice_test(const struct conf *conf, int argc, char **argv)
{
	return read_only(conf, argc, argv, 1, test);
}

int
cmd_notice_dead(const struct conf *conf, int argc, char **argv)
{
	return read_only(conf, argc, argv, 1, dead);
}

int
cmd_notice_key(const struct conf *conf, int argc, char **argv)
{
	static const int allowed[] = { OPT_JSON, 0 };
	struct notice_args in = { .conf = conf };

	if (!parse(&in, argc, argv, allowed, 0, 0))
		return command_usage();
	return directory_run(conf, false, key, &in);
}

static int
replay(struct directory *d, void *arg)
{
	const struct notice_args *in = arg;
	const char *id = in->operands[0];
	int status;
	json_t *j = in->dead ? ask(in, id, &status, "RETRY %s", id)
			     : ask(in, id, &status, "REPLAY %s %llu", id,
				   (unsigned long long)in->from);

	(void)d;
	if (j == NULL)
		return status;
	if (in->json)
		return json_print(j);
	if (in->dead)
		printf("%lld events again\n",
		    (long long)json_integer_value(
			json_object_get(j, "events")));
	else
		printf("from event %lld to %lld again\n",
		    (long long)json_integer_value(json_object_get(j, "from")),
		    (long long)json_integer_value(json_object_get(j, "last")));
	json_decref(j);
	return EX_OK;
}

int
cmd_notice_replay(const struct conf *conf, int argc, char **argv)
{
	static const int allowed[] = { 'f', OPT_DEAD, OPT_JSON, 0 };
	struct notice_args in = { .conf = conf };

	if (!parse(&in, argc, argv, allowed, 1, 1) || in.has_from == in.dead)
		return command_usage();
	return directory_run(conf, false, replay, &in);
}
