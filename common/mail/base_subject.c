/* SPDX-License-Identifier: ISC */
/* The base subject, step by step as RFC 5256 2.1 and its section 5 have it. */
#include "common/mail/charset.h"
#include "common/mail/encoded.h"
#include "common/mail/envelope.h"

/* Longer ones are cut: each round below looks at all of it. */
#define SUBJECT_MAX 4000

/* Step 1, the second half: white space to single spaces. In place. */
static struct slice
collapse(char *p, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i] == '\t' ? ' ' : p[i];

		if (c != ' ' || to == 0 || p[to - 1] != ' ')
			p[to++] = c;
	}
	return slice(p, to);
}

static struct slice
skip_spaces(struct slice s)
{
	while (s.n > 0 && *s.p == ' ')
		s = slice_from(s, 1);
	return s;
}

/* subj-trailer = "(fwd)" / WSP */
static struct slice
without_trailers(struct slice s, bool *is_reply)
{
	for (;;) {
		if (s.n > 0 && s.p[s.n - 1] == ' ') {
			s.n--;
		} else if (slice_ends_nocase(s, "(fwd)")) {
			s.n -= 5;
			*is_reply = true;
		} else {
			return s;
		}
	}
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP; s itself when there is none. */
static struct slice
without_blob(struct slice s)
{
	for (size_t i = 1; s.n > 0 && *s.p == '[' && i < s.n; i++) {
		if (s.p[i] == '[')
			break;
		if (s.p[i] == ']')
			return skip_spaces(slice_from(s, i + 1));
	}
	return s;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static struct slice
without_refwd(struct slice s)
{
	struct slice t;

	if (slice_starts_nocase(s, "fwd"))
		t = slice_from(s, 3);
	else if (slice_starts_nocase(s, "re") || slice_starts_nocase(s, "fw"))
		t = slice_from(s, 2);
	else
		return s;
	t = without_blob(skip_spaces(t));
	return t.n > 0 && *t.p == ':' ? slice_from(t, 1) : s;
}

/* subj-leader = (*subj-blob subj-refwd) / WSP */
static struct slice
without_leader(struct slice s, bool *is_reply)
{
	struct slice t = s, after;

	if (s.n > 0 && *s.p == ' ')
		return slice_from(s, 1);
	while ((after = without_blob(t)).n < t.n)
		t = after;
	after = without_refwd(t);
	if (after.n == t.n)
		return s;
	*is_reply = true;
	return after;
}

/* Steps 3 to 5. */
static struct slice
without_prefixes(struct slice s, bool *is_reply)
{
	for (;;) {
		struct slice t = without_leader(s, is_reply);

		if (t.n == s.n) {
			t = without_blob(s);
			if (t.n == 0 || t.n == s.n)
				return s;
		}
		s = t;
	}
}

struct slice
envelope_base_subject(struct arena *a, struct slice subject, bool *is_reply)
{
	struct slice s = encoded_decode(a, subject);
	bool reply = false;
	char *p;

	if (s.p == NULL || (p = arena_strdup(a, s)) == NULL)
		return slice(NULL, 0);
	s = collapse(p, s.n);
	if (s.n > SUBJECT_MAX)
		s = slice_head(s, utf8_prefix(s, SUBJECT_MAX / 4));
	for (;;) {
		s = without_trailers(s, &reply);
		s = without_prefixes(s, &reply);
		/* Step 6: subj-fwd-hdr = "[fwd:", subj-fwd-trl = "]" */
		if (!slice_starts_nocase(s, "[fwd:") || s.p[s.n - 1] != ']')
			break;
		s = slice(s.p + 5, s.n - 6);
		reply = true;
	}
	if (is_reply != NULL)
		*is_reply = reply;
	return s;
}
