/* SPDX-License-Identifier: ISC */
/*
 * Words about records whose texts are anybody's, and a question. Lines: the
 * question, then for each record its kind, program and code in three octets,
 * and a line for each field. Whatever it is, only what prints is printed, and
 * JSON is made of it.
 */
#include <stdlib.h>
#include <unictype.h>
#include <unistr.h>

#include "mgmt/why.h"

#define RECORDS 4

static void
must_print(struct slice s)
{
	for (size_t at = 0; at < s.n;) {
		ucs4_t c;
		int n = u8_mbtoucr(
		    &c, (const uint8_t *)s.p + at, s.n - at);

		if (n <= 0 || !uc_is_print(c))
			abort();
		at += (size_t)n;
	}
}

static void
make_record(struct slice *in, struct why_record *r)
{
	static const char *const programs[] = { "mta", "guard", "mailbox",
		"msa", "qm" };
	struct slice head = slice_split(in, '\n');

	*r = (struct why_record){ .program = "mta" };
	if (head.n >= 3) {
		r->r.kind = (enum trace_kind)((unsigned char)head.p[0] % 24);
		r->program = programs[(unsigned char)head.p[1] % 5];
		r->r.code = (unsigned char)head.p[2] * 4;
	}
	r->r.at_us = (int64_t)head.n * 1000003;
	r->r.took_us = r->r.at_us * (int64_t)in->n;
	for (int i = 0; i < TRACE_FIELDS && in->n > 0; i++) {
		struct slice line = slice_split(in, '\n');

		if (line.n > 0)
			r->r.field[i] = slice_head(line, TRACE_TEXT_MAX);
	}
}

static void
tell(const struct why_record *r)
{
	struct buf b = BUF_INIT;
	json_t *j = why_json(r);
	char *text = json_dumps(j, JSON_COMPACT);

	if (text == NULL || json_object_get(j, "words") == NULL)
		abort();
	free(text);
	json_decref(j);
	why_words(r, &b);
	must_print(buf_slice(&b));
	why_duration(r->r.took_us, &b);
	why_time(r->r.at_us, true, &b);
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice(data, size), text = slice_split(&in, '\n');
	struct why_query q, all = { .what = WHY_ALL };
	struct why_record r[RECORDS];
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	char *question = slice_strdup(text);
	int64_t us;

	if (question == NULL || why_query_parse(&q, &a, question) != 0)
		abort();
	(void)why_since_parse(question, (int64_t)1 << 50, &us);
	for (size_t i = 0; i < RECORDS; i++) {
		make_record(&in, &r[i]);
		(void)why_query_matches(&q, &r[i].r);
		if (!why_query_matches(&all, &r[i].r))
			abort();
		tell(&r[i]);
	}
	why_headline(r, RECORDS, &b);
	must_print(buf_slice(&b));
	buf_clear(&b);
	free(question);
	arena_reset(&a);
	return 0;
}
