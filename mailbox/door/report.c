/* SPDX-License-Identifier: ISC */
/* Progress on the terminal, warnings, and the summary at the end. */
#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "mailbox/door/door.h"

#define TELL_MS 200

void
door_report_begin(struct door_report *r, const char *what)
{
	r->what = what;
	r->terminal = isatty(STDERR_FILENO);
	r->begun_ms = r->told_ms = clock_mono_ms();
}

void
door_report_mailbox(struct door_report *r, struct slice name)
{
	size_t n =
	    name.n < sizeof(r->mailbox) ? name.n : sizeof(r->mailbox) - 1;

	/* Not in the middle of a character. */
	while (n < name.n && n > 0 && (name.p[n] & 0xc0) == 0x80)
		n--;
	memcpy(r->mailbox, name.p, n);
	r->mailbox[n] = '\0';
	r->mailboxes++;
}

static void
size_text(uint64_t n, char out[static 16])
{
	static const char units[] = "BKMGT";
	double v = (double)n;
	int u = 0;

	for (; v >= 1024 && units[u + 1] != '\0'; u++)
		v /= 1024;
	snprintf(out, 16, u == 0 ? "%.0f octets" : "%.1f%c", v, units[u]);
}

/* How fast, and, where it is known how much there is, how long it takes yet. */
static void
put_rate(const struct door_report *r, int64_t now)
{
	uint64_t done = r->messages + r->known + r->skipped + r->failed;
	double seconds = (double)(now - r->begun_ms) / 1000;
	char rate[16];

	if (seconds < 1)
		return;
	size_text((uint64_t)((double)r->octets / seconds), rate);
	fprintf(stderr, ", %s/s", rate);
	if (r->expected > done && done > 0)
		fprintf(stderr, ", %.0f min left",
		    (double)(r->expected - done) * seconds / (double)done / 60 +
			0.5);
}

void
door_report_tick(struct door_report *r)
{
	int64_t now;
	char size[16];

	if (!r->terminal || (now = clock_mono_ms()) < r->told_ms + TELL_MS)
		return;
	r->told_ms = now;
	r->line = true;
	size_text(r->octets, size);
	fprintf(stderr, "\r%s: %s: %llu", r->what, log_qs(r->mailbox),
	    (unsigned long long)(r->messages + r->known));
	if (r->expected > 0)
		fprintf(stderr, " of %llu", (unsigned long long)r->expected);
	fprintf(stderr, " messages, %s", size);
	put_rate(r, now);
	fputs("\x1b[K", stderr);
	fflush(stderr);
}

static void
line_end(struct door_report *r)
{
	if (r->line)
		fputs("\r\x1b[K", stderr);
	r->line = false;
}

void
door_warn(struct door_report *r, const char *fmt, ...)
{
	va_list ap;

	line_end(r);
	fputs("pneu mail: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static int
print_json(const struct door_report *r, FILE *to)
{
	json_t *j = json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
	    "command", r->what, "dry_run", r->dry_run, "mailboxes",
	    (json_int_t)r->mailboxes, "messages", (json_int_t)r->messages,
	    "octets", (json_int_t)r->octets, "known", (json_int_t)r->known,
	    "changed", (json_int_t)r->changed, "skipped",
	    (json_int_t)r->skipped, "failed", (json_int_t)r->failed);
	int rc = j == NULL || json_dumpf(j, to, JSON_INDENT(1)) != 0 ? -EIO : 0;

	fputc('\n', to);
	json_decref(j);
	return rc;
}

static void
print_text(const struct door_report *r, FILE *to)
{
	char size[16];

	size_text(r->octets, size);
	fprintf(to, "%s%s: %llu messages (%s) of %llu mailboxes",
	    r->dry_run ? "would " : "", r->what,
	    (unsigned long long)r->messages, size,
	    (unsigned long long)r->mailboxes);
	if (r->known > 0)
		fprintf(to, "; %llu were there already",
		    (unsigned long long)r->known);
	if (r->changed > 0)
		fprintf(to, " (%llu with other flags now)",
		    (unsigned long long)r->changed);
	if (r->skipped > 0)
		fprintf(to, "; %llu things that are no mail left out",
		    (unsigned long long)r->skipped);
	if (r->failed > 0)
		fprintf(to, "; %llu FAILED", (unsigned long long)r->failed);
	fputc('\n', to);
}

int
door_report_end(struct door_report *r, bool stdout_is_taken)
{
	FILE *to = stdout_is_taken ? stderr : stdout;
	int rc = 0;

	line_end(r);
	if (r->json)
		rc = print_json(r, to);
	else
		print_text(r, to);
	if (fflush(to) != 0)
		rc = -EIO;
	return rc;
}
