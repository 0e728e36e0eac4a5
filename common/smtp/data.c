/* SPDX-License-Identifier: ISC */
/*
 * See data.h. A line ends with CRLF and by nothing else (RFC 5321 2.3.8): that
 * rule is what keeps a message from ending where another server, which takes
 * a bare LF, sees text (SMTP smuggling, 2023).
 */
#include "common/smtp/data.h"

enum state {
	LINE = 0, /* at the start of a line */
	INSIDE,
	AFTER_CR,
	AFTER_DOT,    /* a dot at the start of a line, held back */
	AFTER_DOT_CR, /* and a CR, held back */
	AFTER_LF,     /* a line that a bare LF began, normalising */
	AFTER_LF_DOT, /* a dot there, dropped: it cannot be the end */
};

static const char *
find(const char *p, const char *end, char c)
{
	return memchr(p, c, (size_t)(end - p));
}

static int
emit_run(smtp_emit *emit, void *arg, const char *from, const char *to)
{
	return from == to ? 0 : emit(arg, slice(from, (size_t)(to - from)));
}

/* --- receiving --- */

/* Inside a line: go to behind its end, or to `end`. Every CR must stand before
 * an LF, every LF behind a CR. */
static const char *
scan_line(struct smtp_decoder *d, const char *p, const char *end)
{
	const char *lf = find(p, end, '\n');
	const char *stop = lf == NULL ? end : lf;
	const char *cr = find(p, stop, '\r');
	bool cr_last = stop > p && stop[-1] == '\r';

	if (cr != NULL && !(cr_last && cr == stop - 1))
		d->faults |= SMTP_DATA_BARE_CR;
	if (lf == NULL) {
		d->state = cr_last ? AFTER_CR : INSIDE;
		return end;
	}
	if (!cr_last && !d->normalise)
		d->faults |= SMTP_DATA_BARE_LF;
	d->state = cr_last ? LINE : d->normalise ? AFTER_LF : INSIDE;
	return lf + 1;
}

/*
 * The states in which a single octet decides. Returns how many octets were
 * taken (0: look again in the new state), -1 at the end of the message. What
 * was held back and now belongs to the message after all goes to *held.
 */
static int
step(struct smtp_decoder *d, char c, const char **held)
{
	switch ((enum state)d->state) {
	case LINE:
		d->state = c == '.' && !d->chunked ? AFTER_DOT : INSIDE;
		return d->state == AFTER_DOT ? 1 : 0;
	case AFTER_LF:
		d->state = c == '.' && !d->chunked ? AFTER_LF_DOT : INSIDE;
		return d->state == AFTER_LF_DOT ? 1 : 0;
	case AFTER_LF_DOT:
		d->state = INSIDE;
		return 0;
	case AFTER_DOT:
		d->state = c == '\r' ? AFTER_DOT_CR : INSIDE;
		return c == '\r' ? 1 : 0;
	case AFTER_DOT_CR:
		if (c == '\n')
			return -1;
		d->faults |= SMTP_DATA_BARE_CR;
		d->state = INSIDE;
		*held = "\r";
		return 0;
	case AFTER_CR:
		if (c != '\n')
			d->faults |= SMTP_DATA_BARE_CR;
		d->state = c == '\n' ? LINE : INSIDE;
		return c == '\n' ? 1 : 0;
	case INSIDE:
		break;
	}
	return 0;
}

int
smtp_decode(struct smtp_decoder *d, struct slice in, size_t *used,
    smtp_emit *emit, void *arg)
{
	const char *p = in.p, *end = in.p + in.n, *run = p;
	int rc = 0;

	while (rc == 0 && p < end) {
		const char *held = NULL;
		enum state before = d->state;
		int took;

		if (before == INSIDE) {
			p = scan_line(d, p, end);
			if (d->state == AFTER_LF) {
				rc = emit_run(emit, arg, run, p - 1);
				if (rc == 0)
					rc = emit(arg, SLICE_LIT("\r"));
				run = p - 1;
			}
			continue;
		}
		if ((took = step(d, *p, &held)) < 0) {
			p++;
			rc = 1;
			run = p;
			break;
		}
		if (d->state == AFTER_DOT || d->state == AFTER_DOT_CR ||
		    d->state == AFTER_LF_DOT) {
			/* Held back: the run goes on behind it. */
			rc = emit_run(emit, arg, run, p);
			run = p + took;
		}
		if (rc == 0 && held != NULL)
			rc = emit(arg, slice(held, 1));
		p += took;
	}
	if (rc == 0)
		rc = emit_run(emit, arg, run, p);
	*used = (size_t)(p - in.p);
	if (memchr(in.p, '\0', *used) != NULL)
		d->faults |= SMTP_DATA_NUL;
	return rc;
}

bool
smtp_decode_end(struct smtp_decoder *d)
{
	if (d->state == AFTER_CR)
		d->faults |= SMTP_DATA_BARE_CR;
	return d->state != LINE && d->state != AFTER_LF;
}

/* --- sending --- */

int
smtp_encode(struct smtp_encoder *e, struct slice in, smtp_emit *emit, void *arg)
{
	const char *p = in.p, *end = in.p + in.n, *run = p;
	int rc = 0;

	if (e->binary)
		return emit_run(emit, arg, p, end);
	while (rc == 0 && p < end) {
		const char *lf, *cr;

		if (e->state == AFTER_CR) {
			e->state = LINE;
			if (*p == '\n') {
				p++;
				continue;
			}
			rc = emit_run(emit, arg, run, p);
			run = p;
			if (rc == 0)
				rc = emit(arg, SLICE_LIT("\n"));
			continue;
		}
		if (e->state == LINE && *p == '.' && !e->chunked) {
			/* The run that follows sends the dot again. */
			rc = emit_run(emit, arg, run, p + 1);
			run = p;
		}
		e->state = INSIDE;
		lf = find(p, end, '\n');
		cr = find(p, lf == NULL ? end : lf, '\r');
		if (cr != NULL) {
			e->state = AFTER_CR;
			p = cr + 1;
		} else if (lf != NULL) {
			if (rc == 0)
				rc = emit_run(emit, arg, run, lf);
			if (rc == 0)
				rc = emit(arg, SLICE_LIT("\r"));
			run = lf;
			e->state = LINE;
			p = lf + 1;
		} else {
			p = end;
		}
	}
	return rc != 0 ? rc : emit_run(emit, arg, run, p);
}

int
smtp_encode_end(struct smtp_encoder *e, smtp_emit *emit, void *arg)
{
	int rc = 0;

	if (!e->binary && e->state == AFTER_CR)
		rc = emit(arg, SLICE_LIT("\n"));
	else if (!e->binary && e->state == INSIDE)
		rc = emit(arg, SLICE_LIT("\r\n"));
	e->state = LINE;
	return rc != 0 || e->chunked ? rc : emit(arg, SLICE_LIT(".\r\n"));
}
