/* SPDX-License-Identifier: ISC */
/*
 * What one record of the trace costs: nanoseconds of wall clock and of CPU.
 * Between two there is other work in truth, so caches are colder there.
 *
 *	bench-trace DIR [RECORDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/trace.h"

#define T(s) ((struct slice){ s, sizeof(s) - 1 })

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
run(const char *name, const struct trace_record *r, uint64_t n)
{
	int64_t wall_us = clock_mono_us(), cpu = cpu_ns();

	for (uint64_t i = 0; i < n; i++)
		trace_write(r);
	cpu = cpu_ns() - cpu;
	wall_us = clock_mono_us() - wall_us;
	printf("%-28s %4.0f ns, %4.0f ns of CPU\n", name,
	    (double)wall_us * 1000 / (double)n, (double)cpu / (double)n);
}

int
main(int argc, char **argv)
{
	struct trace_conf conf = { .dir = argc > 1 ? argv[1] : ".",
		.program = "bench",
		.size = (size_t)8 << 20,
		.uid = (uid_t)-1,
		.gid = (gid_t)-1 };
	const struct trace_record rcpt = { .kind = TRACE_RCPT,
		.code = 250,
		.enhanced = "2.1.5",
		.took_us = 250,
		.field = { [TRACE_ID] = T("01M8H2C9R8BVNSMFVX"),
		    [TRACE_CONN] = T("S3N60F3P"), [TRACE_PEER] = T("192.0.2.1"),
		    [TRACE_RECIPIENT] = T("alice@example.test"),
		    [TRACE_RULE] = T("account alice@example.test"),
		    [TRACE_TEXT] = T("recipient ok") } };
	struct trace_record longest = rcpt;
	uint64_t n = 10000000;
	char text[TRACE_TEXT_MAX];
	int rc;

	if (argc > 2 && slice_u64(slice_str(argv[2]), UINT32_MAX, &n) != 0)
		return 64;
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < TRACE_FIELDS; i++)
		longest.field[i] = slice(text, sizeof(text));
	run("no ring", &rcpt, n);
	if ((rc = trace_open(&conf)) != 0) {
		fprintf(stderr, "%s: %s\n", conf.dir, strerror(-rc));
		return 1;
	}
	run("a recipient", &rcpt, n);
	run("all fields, as long as can be", &longest, n / 10);
	trace_close();
	return 0;
}
