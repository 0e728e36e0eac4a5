/* SPDX-License-Identifier: ISC */
/*
 * The admin's commands. They open the queue beside the running daemon, and
 * tell it of what they change.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/base/log.h"
#include "common/mail/date.h"
#include "common/smtp/smtp.h"
#include "qm/check.h"
#include "qm/qm_service.h"
#include "qm/queue/queue.h"
#include "qm/queue_json.h"

#define CHUNK ((size_t)64 << 10)

/* One run of one command. */
struct run {
	const struct conf *conf;
	const char *command;
	int argc;
	char **argv; /* operands, options taken out */
	bool json, all, content;
	bool readonly;
	int min_args;
	int (*fn)(struct run *r); /* 0 or -errno */
	enum queue_order order;
	struct queue *queue;
	int status;
};

static int
complain(const char *what, int rc)
{
	fprintf(stderr, "pneu-qm: %s: %s\n", what,
	    rc == -ENOENT ? "no such message in the queue; see: pneu-qm list"
			  : strerror(-rc));
	return rc;
}

/* --- words --- */

static void
iso(struct buf *b, int64_t ms)
{
	buf_reset(b);
	date_put_iso(b, ms / 1000);
}

/* "12s", "5m", "3h", "4d" */
static void
span(char out[static 16], int64_t ms)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (s < 120)
		snprintf(out, 16, "%llds", (long long)s);
	else if (s < 2 * 3600)
		snprintf(out, 16, "%lldm", (long long)(s / 60));
	else if (s < 48 * 3600)
		snprintf(out, 16, "%lldh", (long long)(s / 3600));
	else
		snprintf(out, 16, "%lldd", (long long)(s / 86400));
}

static int
print_json(json_t *j)
{
	int rc = j == NULL || json_dumpf(j, stdout, JSON_INDENT(1)) != 0
	    ? -ENOMEM
	    : 0;

	putchar('\n');
	json_decref(j);
	return rc;
}

/* --- list --- */

#define RECIPIENTS_SHOWN 10 /* of a message, in the table */

struct entry {
	struct queue_info info;
	char *from;
};

struct entries {
	struct entry *v;
	size_t n, cap;
};

static int
entry_add(void *arg, const struct queue_info *info)
{
	struct entries *e = arg;

	if (e->n == e->cap) {
		size_t cap = e->cap == 0 ? 64 : e->cap * 2;
		struct entry *v = realloc(e->v, cap * sizeof(*v));

		if (v == NULL)
			return -ENOMEM;
		e->v = v;
		e->cap = cap;
	}
	e->v[e->n].info = *info;
	e->v[e->n].info.trace = SLICE_EMPTY;
	if ((e->v[e->n].from = slice_strdup(info->from)) == NULL)
		return -ENOMEM;
	e->n++;
	return 0;
}

static void
entries_free(struct entries *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->v[i].from);
	free(e->v);
}

static int
by_arrival(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->info.id,
	    ((const struct entry *)b)->info.id);
}

/* Who still waits for it, and what was said last. */
static json_t *
waiting_json(const struct queue_message *m)
{
	json_t *all = json_array();

	for (size_t i = 0; m != NULL && i < m->n_rcpts; i++)
		if (m->rcpts[i]->state == QUEUE_PENDING)
			json_array_append_new(all,
			    json_pack("{s:o, s:s, s:o}", "address",
				queue_json_text(m->rcpts[i]->address), "status",
				m->rcpts[i]->status, "reply",
				queue_json_text(m->rcpts[i]->diagnostic)));
	return all;
}

static json_t *
entry_json(const struct entry *e, const struct queue_message *m)
{
	bool held = (e->info.flags & QUEUE_HELD) != 0;

	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:b, s:o, s:o, s:o, s:o}",
	    "id", e->info.id, "from", queue_json_text(slice_str(e->from)), "octets",
	    (json_int_t)e->info.size, "recipients",
	    (json_int_t)e->info.recipients, "attempts",
	    (json_int_t)e->info.attempts, "held", held, "arrived",
	    queue_json_time(e->info.arrival_ms), "next_attempt",
	    held ? json_null() : queue_json_time(e->info.due_ms), "release",
	    queue_json_release(e->info.release_ms), "waiting", waiting_json(m));
}

static void
waiting_print(const struct queue_message *m)
{
	size_t shown = 0, left = 0;

	for (size_t i = 0; m != NULL && i < m->n_rcpts; i++) {
		const struct queue_rcpt *r = m->rcpts[i];

		if (r->state != QUEUE_PENDING)
			continue;
		if (shown == RECIPIENTS_SHOWN) {
			left++;
			continue;
		}
		shown++;
		printf("    %s%s%s\n", log_q(r->address),
		    r->diagnostic.n > 0 ? ": " : "", log_q(r->diagnostic));
	}
	if (left > 0)
		printf("    and %zu more\n", left);
}

/* What its sender has said about when. */
static void
time_print(const char *what, int64_t ms)
{
	struct buf at = BUF_INIT;

	iso(&at, ms);
	printf("%s %s\n", what, buf_str(&at));
	buf_clear(&at);
}

static void
entry_print(
    const struct entry *e, const struct queue_message *m, int64_t now_ms)
{
	char age[16], next[16];

	span(age, now_ms - e->info.arrival_ms);
	span(next, e->info.due_ms - now_ms);
	printf("%-20s %10llu %5s %5s %5u %4u  %s\n", e->info.id,
	    (unsigned long long)e->info.size, age,
	    (e->info.flags & QUEUE_HELD) != 0 ? "held"
		: e->info.due_ms <= now_ms    ? "now"
					      : next,
	    e->info.attempts, e->info.recipients,
	    e->from[0] == '\0' ? "<>" : log_qs(e->from));
	if (e->info.release_ms > now_ms)
		time_print("    not before", e->info.release_ms);
	waiting_print(m);
}

static int
list_print(const struct run *r, const struct entries *e)
{
	json_t *all = json_array();
	int64_t now_ms = clock_wall_ms();

	if (!r->json && e->n == 0)
		printf("The queue is empty.\n");
	else if (!r->json)
		printf("%-20s %10s %5s %5s %5s %4s  %s\n", "ID", "OCTETS",
		    "AGE", "NEXT", "TRIED", "FOR", "SENDER");
	for (size_t i = 0; i < e->n; i++) {
		struct queue_message *m = NULL;

		/* One that has gone since then is shown without recipients. */
		(void)queue_load(r->queue, e->v[i].info.id, -1, &m);
		if (r->json)
			json_array_append_new(all, entry_json(&e->v[i], m));
		else
			entry_print(&e->v[i], m, now_ms);
		queue_message_free(&m);
	}
	if (r->json)
		return print_json(all);
	json_decref(all);
	return 0;
}

static int
cmd_list(struct run *r)
{
	struct entries e = { 0 };
	int rc = r->queue == NULL ? 0 : queue_list(r->queue, entry_add, &e);

	if (e.n > 0)
		qsort(e.v, e.n, sizeof(*e.v), by_arrival);
	if (rc == 0)
		rc = list_print(r, &e);
	entries_free(&e);
	return rc;
}

/* --- show --- */

static int
show_json(const struct queue_message *m)
{
	return print_json(queue_message_json(m, SIZE_MAX, false));
}

static void
show_text(const struct queue_message *m)
{
	struct buf arrived = BUF_INIT, next = BUF_INIT;

	iso(&arrived, m->arrival_ms);
	iso(&next, m->due_ms);
	printf("id        %s\ntrace     %s\nsender    <%s>\noctets    %llu\n"
	       "arrived   %s\nnext      %s\nattempts  %u\n",
	    m->id, log_q(m->trace), log_q(m->from), (unsigned long long)m->size,
	    buf_str(&arrived),
	    (m->flags & QUEUE_HELD) != 0 ? "held" : buf_str(&next),
	    m->attempts);
	buf_clear(&arrived);
	buf_clear(&next);
	if (m->wishes.release_ms > 0)
		time_print("release   not before", m->wishes.release_ms);
	if (m->wishes.requiretls)
		printf("requires  verified TLS\n");
	if (m->wishes.by_mode != '\0')
		time_print(m->wishes.by_mode == 'R' ? "returned  after"
						    : "late      after",
		    m->wishes.by_ms);
	for (size_t i = 0; i < m->n_rcpts; i++) {
		const struct queue_rcpt *r = m->rcpts[i];

		printf("%-9s <%s>\n", queue_state_word(r), log_q(r->address));
		if (r->diagnostic.n > 0)
			printf("          %s%s%s\n", log_q(r->diagnostic),
			    r->remote.n > 0 ? " -- " : "", log_q(r->remote));
	}
}

static int
show_content(struct run *r, const struct queue_message *m)
{
	char *p = malloc(CHUNK);
	uint64_t at = 0;
	size_t got = 1;
	int rc = p == NULL ? -ENOMEM : 0;

	while (rc == 0 && got > 0) {
		rc = queue_read(r->queue, m, at, p, CHUNK, &got);
		if (rc == 0 && fwrite(p, 1, got, stdout) != got)
			rc = -EIO;
		at += got;
	}
	free(p);
	return rc;
}

static int
cmd_show(struct run *r)
{
	struct queue_message *m;
	int rc = 0, one;

	for (int i = 0; i < r->argc; i++) {
		one = r->queue == NULL
		    ? -ENOENT
		    : queue_load(r->queue, r->argv[i], -1, &m);
		if (one != 0) {
			rc = complain(r->argv[i], one);
			continue;
		}
		if (r->content)
			one = show_content(r, m);
		else if (r->json)
			one = show_json(m);
		else
			show_text(m);
		queue_message_free(&m);
		if (one != 0)
			rc = complain(r->argv[i], one);
	}
	return rc;
}

/* --- orders --- */

static int
order_all(struct run *r)
{
	struct entries e = { 0 };
	int rc = queue_list(r->queue, entry_add, &e), one;

	for (size_t i = 0; i < e.n && rc == 0; i++) {
		one = queue_order(r->queue, e.v[i].info.id, r->order);
		if (one != 0 && one != -ENOENT) /* gone meanwhile: fine */
			rc = complain(e.v[i].info.id, one);
	}
	entries_free(&e);
	return rc;
}

static int
cmd_order(struct run *r)
{
	int rc = 0, one;

	if (r->queue == NULL)
		return r->argc > 0 ? complain(r->argv[0], -ENOENT) : 0;
	if (r->all)
		return order_all(r);
	for (int i = 0; i < r->argc; i++) {
		one = queue_order(r->queue, r->argv[i], r->order);
		if (one != 0)
			rc = complain(r->argv[i], one);
	}
	return rc;
}

/* --- check --- */

static int
cmd_check(struct run *r)
{
	int rc = queue_check(r->queue, r->json);

	return rc < 0 ? complain("check", rc) : rc;
}

/* --- running one --- */

static void
run_main(void *arg)
{
	struct run *r = arg;
	struct buf err = BUF_INIT_MAX(4096);
	struct store_conf store = { .engine = "embedded",
		.dir = conf_file(r->conf, "qm.dir"),
		.readonly = r->readonly };
	int rc;

	rc = queue_open(&r->queue, &store, &err);
	if (rc == -ENOENT) /* nothing was ever queued */
		rc = 0;
	if (rc != 0)
		fprintf(stderr,
		    "pneu-qm: the queue in %s cannot be opened: "
		    "%s%s%s\n",
		    store.dir, strerror(-rc), err.n > 0 ? ": " : "",
		    buf_str(&err));
	else
		rc = r->fn(r);
	queue_close(&r->queue);
	buf_clear(&err);
	r->status = rc == 0 ? 0 : rc == -ENOENT || rc > 0 ? 1 : EX_TEMPFAIL;
}

static int
usage(const struct run *r, const char *why, const char *what)
{
	fprintf(stderr, "pneu-qm %s: %s%s; see: pneu-qm --help\n", r->command,
	    why, what);
	return EX_USAGE;
}

/* Take the options out of argv; 0 or an exit status. */
static int
parse(struct run *r, int argc, char **argv)
{
	r->command = argv[0];
	r->argv = argv + 1;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0 && r->readonly)
			r->json = true;
		else if (strcmp(argv[i], "--all") == 0 && !r->readonly)
			r->all = true;
		else if (strcmp(argv[i], "--content") == 0 && r->fn == cmd_show)
			r->content = true;
		else if (argv[i][0] == '-')
			return usage(r, "no such option: ", argv[i]);
		else
			r->argv[r->argc++] = argv[i];
	}
	if (r->argc < r->min_args && !r->all)
		return usage(r, "which message?", "");
	if (r->argc > 0 && (r->min_args == 0 || r->all))
		return usage(r, "takes no message: ", r->argv[0]);
	return 0;
}

static int
run(struct run *r, int argc, char **argv)
{
	int status = parse(r, argc, argv);

	if (status != 0)
		return status;
	if (co_run(run_main, r) != 0) {
		fprintf(stderr, "pneu-qm: out of memory\n");
		return EX_TEMPFAIL;
	}
	return fflush(stdout) == 0 ? r->status : EX_IOERR;
}

static int
run_list(const struct conf *conf, int argc, char **argv)
{
	return run(
	    &(struct run){ .conf = conf, .fn = cmd_list, .readonly = true },
	    argc, argv);
}

static int
run_show(const struct conf *conf, int argc, char **argv)
{
	return run(
	    &(struct run){
		.conf = conf, .fn = cmd_show, .readonly = true, .min_args = 1 },
	    argc, argv);
}

static int
run_check(const struct conf *conf, int argc, char **argv)
{
	return run(
	    &(struct run){ .conf = conf, .fn = cmd_check, .readonly = true },
	    argc, argv);
}

static int
run_order(
    const struct conf *conf, enum queue_order order, int argc, char **argv)
{
	return run(
	    &(struct run){
		.conf = conf, .fn = cmd_order, .order = order, .min_args = 1 },
	    argc, argv);
}

static int
run_retry(const struct conf *conf, int argc, char **argv)
{
	return run_order(conf, QUEUE_ORDER_RETRY, argc, argv);
}

static int
run_hold(const struct conf *conf, int argc, char **argv)
{
	return run_order(conf, QUEUE_ORDER_HOLD, argc, argv);
}

static int
run_release(const struct conf *conf, int argc, char **argv)
{
	return run_order(conf, QUEUE_ORDER_RELEASE, argc, argv);
}

static int
run_delete(const struct conf *conf, int argc, char **argv)
{
	return run_order(conf, QUEUE_ORDER_DELETE, argc, argv);
}

static int
run_flush(const struct conf *conf, int argc, char **argv)
{
	return run(&(struct run){ .conf = conf,
		       .fn = cmd_order,
		       .order = QUEUE_ORDER_RETRY,
		       .all = true },
	    argc, argv);
}

const struct service_command qm_commands[] = {
	{ "list", "[--json]", "What is in the queue, the oldest first",
	    run_list },
	{ "show", "[--json] [--content] ID ...",
	    "One message: recipients, what became of each, or its octets",
	    run_show },
	{ "retry", "ID ... | --all", "Attempt it now", run_retry },
	{ "hold", "ID ... | --all", "Keep it, attempt nothing", run_hold },
	{ "release", "ID ... | --all", "Attempt what was held", run_release },
	{ "delete", "ID ... | --all", "Remove it; the sender hears nothing",
	    run_delete },
	{ "flush", "", "Attempt all now that is not held", run_flush },
	{ "check", "[--json]", "Verify the queue; changes nothing", run_check },
	{ NULL, NULL, NULL, NULL },
};
