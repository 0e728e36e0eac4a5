/* SPDX-License-Identifier: ISC */
/*
 * pneu why: what the programs decided about a message, from their rings
 * (common/base/trace.h). It only reads files, so it works while nothing runs.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "common/base/clock.h"
#include "mgmt/commands.h"
#include "mgmt/directory.h"
#include "mgmt/why.h"

#define LAST_DEFAULT 10

struct why_args {
	const char *text; /* NULL: about all */
	const char *since;
	uint64_t last; /* 0: all */
	bool json, follow, has_last;
};

/* --- one journey --- */

static void
print_line(const struct why_record *r, bool date)
{
	struct buf b = BUF_INIT;

	why_time(r->r.at_us, date, &b);
	buf_printf(&b, "  %-8s ", r->program);
	why_words(r, &b);
	if (r->r.took_us > 0) {
		buf_put_str(&b, "  [");
		why_duration(r->r.took_us, &b);
		buf_put_char(&b, ']');
	}
	printf("%s%s\n", date ? "" : "  ", buf_str(&b));
	buf_clear(&b);
}

static int64_t
day_of(const struct why_record *r)
{
	return r->r.at_us / 86400000000;
}

static void
print_day(const struct why_record *r)
{
	struct buf b = BUF_INIT;

	why_time(r->r.at_us, true, &b);
	printf("  %.10s (UTC)\n", buf_str(&b));
	buf_clear(&b);
}

/* The report about it has an id of its own. */
static void
print_other(struct slice id)
{
	struct buf b = BUF_INIT;

	why_text(id, &b);
	printf("  of %s:\n", buf_str(&b));
	buf_clear(&b);
}

static void
print_journey(const struct why_record *r, size_t n)
{
	struct slice id = why_journey_key(r, n);
	struct buf b = BUF_INIT;

	why_headline(r, n, &b);
	puts(buf_str(&b));
	buf_clear(&b);
	for (size_t i = 0; i < n; i++) {
		struct slice of = r[i].r.field[TRACE_ID];

		if (i == 0 || day_of(&r[i]) != day_of(&r[i - 1]))
			print_day(&r[i]);
		if (of.n > 0 && !slice_eq(of, id))
			print_other(of);
		if (of.n > 0)
			id = of;
		print_line(&r[i], false);
	}
}

/* --- the answer --- */

static int
print_found(const struct why_found *f, bool json)
{
	json_t *all = json ? json_array() : NULL;

	for (size_t i = 0, n; i < f->n; i += n) {
		for (n = 1; i + n < f->n &&
		     f->v[i + n].journey == f->v[i].journey;
		     n++)
			continue;
		for (size_t k = 0; json && k < n; k++)
			json_array_append_new(all, why_json(&f->v[i + k]));
		if (json)
			continue;
		if (i > 0)
			putchar('\n');
		print_journey(&f->v[i], n);
	}
	if (f->n_left > 0)
		fprintf(stderr,
		    "pneu: and %zu older; --last shows more of them\n",
		    f->n_left);
	if (f->cut)
		complain("there is more than fits into memory; use --since");
	return json ? json_print(all) : EX_OK;
}

static int
nothing_found(struct why_rings *rings, const struct why_args *in)
{
	int64_t from_us = why_rings_from_us(rings);
	struct buf b = BUF_INIT;

	if (rings->rc != 0) {
		complain("%s: not all of it can be read: %s", rings->dir,
		    strerror(-rings->rc));
		return rings->rc == -EACCES ? EX_NOPERM : 1;
	}
	if (in->json)
		puts("[]");
	if (from_us == 0) {
		complain("there is no trace in %s yet; are the programs "
			 "running, and is trace.size not 0?",
		    rings->dir);
		return 1;
	}
	why_time(from_us, true, &b);
	complain("nothing found%s%s; the trace goes back to %s UTC",
	    in->text != NULL ? " about " : "",
	    in->text != NULL ? in->text : "", buf_str(&b));
	buf_clear(&b);
	return 1;
}

static int
answer(const char *dir, const struct why_query *q, const struct why_args *in)
{
	struct why_rings *rings = calloc(1, sizeof(*rings));
	struct why_found found;
	int rc = rings == NULL ? -ENOMEM : why_rings_open(rings, dir);
	int status;

	if (rc == -ENOENT)
		rc = 0; /* no program has run: nothing is found */
	if (rc == 0)
		rc = why_collect(rings, q, in->last, &found);
	if (rc != 0) {
		complain("%s: %s", dir, strerror(-rc));
		free(rings);
		return rc == -EACCES ? EX_NOPERM : EX_OSERR;
	}
	status = found.n > 0 ? print_found(&found, in->json)
			     : nothing_found(rings, in);
	if (found.n > 0 && rings->rc != 0)
		complain("%s: not all of it can be read: %s", dir,
		    strerror(-rings->rc));
	why_found_clear(&found);
	why_rings_close(rings);
	free(rings);
	return status;
}

/* --- the command --- */

static bool
parse(struct why_args *in, int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "follow", no_argument, NULL, 'f' },
		{ "since", required_argument, NULL, 's' },
		{ "last", required_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "fn:", options, NULL)) != -1) {
		if (c == 'j')
			in->json = true;
		else if (c == 'f')
			in->follow = true;
		else if (c == 's')
			in->since = optarg;
		else if (c == 'n' &&
		    slice_u64(slice_str(optarg), 1000000, &in->last) == 0)
			in->has_last = true;
		else
			return false;
	}
	in->text = argv[optind];
	if (argc - optind > 1 || (in->text != NULL && in->text[0] == '\0'))
		return false;
	return in->text != NULL || in->follow || in->has_last ||
	    in->since != NULL;
}

int
cmd_why(const struct conf *conf, int argc, char **argv)
{
	struct why_args in = { .last = LAST_DEFAULT };
	struct arena a = { 0 };
	const char *dir = conf_file(conf, "trace.dir");
	struct why_query q;
	int status = EX_OSERR;

	if (!parse(&in, argc, argv))
		return command_usage();
	if (why_query_parse(&q, &a, in.text) != 0)
		complain("out of memory");
	else if (in.since != NULL &&
	    why_since_parse(in.since, clock_wall_us(), &q.since_us) != 0) {
		complain("--since %s: say 90s, 15m, 2h, 3d, or a time in UTC "
			 "such as \"2026-11-28 12:30\"",
		    in.since);
		status = EX_USAGE;
	} else if (in.follow)
		status = why_follow(dir, &q, in.json);
	else
		status = answer(dir, &q, &in);
	arena_reset(&a);
	return status;
}
