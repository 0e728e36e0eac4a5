/* SPDX-License-Identifier: ISC */
/* What an admin asks about, as he has it: pasted from a bounce, a log, a
 * header or the user's complaint. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/net/conn.h"
#include "mgmt/why.h"

#define CONN_ID_LEN 8
#define QUEUE_ID_LEN (ID_LEN + 2)

/* --- reading it --- */

static bool
is_id(struct slice s)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	if (s.n != CONN_ID_LEN && s.n != ID_LEN && s.n != QUEUE_ID_LEN)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' ||
		    strchr(alphabet, ascii_upper(s.p[i])) == NULL)
			return false;
	return true;
}

/* "[ref X]" is X, and so are "<X>" and "ref X". */
static struct slice
unwrap(struct slice s)
{
	s = slice_trim(s);
	if (s.n > 1 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		s = slice_trim(slice(s.p + 1, s.n - 2));
	if (slice_starts_nocase(s, "ref "))
		s = slice_trim(slice_from(s, 4));
	if (s.n > 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = slice(s.p + 1, s.n - 2);
	return s;
}

static enum why_what
what_is(const char *text)
{
	struct slice s = slice_str(text);

	if (net_network_is_valid(text))
		return WHY_NETWORK;
	if (is_id(s))
		return WHY_ID;
	return slice_find(s, '@') >= 0 ? WHY_ADDRESS : WHY_WORD;
}

int
why_query_parse(struct why_query *q, struct arena *a, const char *text)
{
	char *copy;

	*q = (struct why_query){ .what = WHY_ALL };
	if (text == NULL)
		return 0;
	copy = arena_strdup(a, unwrap(slice_str(text)));
	if (copy == NULL)
		return -ENOMEM;
	q->what = what_is(copy);
	if (q->what == WHY_ID)
		for (char *p = copy; *p != '\0'; p++)
			*p = ascii_upper(*p);
	q->text = slice_str(copy);
	return 0;
}

/* --- times --- */

static int
ago_parse(const char *text, int64_t *us)
{
	static const struct {
		char unit;
		int64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 7 * 86400 } };
	struct slice s = slice_str(text);
	uint64_t n;

	if (s.n < 2 || slice_u64(slice_head(s, s.n - 1), 1000000, &n) != 0)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (s.p[s.n - 1] == units[i].unit) {
			*us = (int64_t)n * units[i].s * 1000000;
			return 0;
		}
	return -EINVAL;
}

int
why_since_parse(const char *text, int64_t now_us, int64_t *out_us)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M:%SZ",
		"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%d %H:%M", "%Y-%m-%d" };
	int64_t us;

	if (ago_parse(text, &us) == 0) {
		*out_us = now_us > us ? now_us - us : 0;
		return 0;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, forms[i], &tm);

		if (end == NULL || *end != '\0')
			continue;
		*out_us = (int64_t)timegm(&tm) * 1000000;
		return 0;
	}
	return -EINVAL;
}

/* --- matching --- */

static bool
contains_nocase(struct slice s, struct slice what)
{
	for (size_t i = 0; i + what.n <= s.n; i++)
		if (slice_eq_nocase(slice(s.p + i, what.n), what))
			return true;
	return false;
}

static bool
ends_nocase(struct slice s, struct slice end)
{
	return s.n >= end.n &&
	    slice_eq_nocase(slice_from(s, s.n - end.n), end);
}

static bool
matches_id(const struct slice *f, struct slice id)
{
	return slice_eq(f[TRACE_ID], id) || slice_eq(f[TRACE_CONN], id) ||
	    slice_eq(f[TRACE_LINK], id) ||
	    slice_find_slice(f[TRACE_TEXT], id) >= 0;
}

static bool
matches_address(const struct slice *f, struct slice text)
{
	static const enum trace_field fields[] = { TRACE_SENDER,
		TRACE_RECIPIENT, TRACE_ACCOUNT, TRACE_MESSAGE_ID };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct slice s = f[fields[i]];

		if (text.p[0] == '@' ? ends_nocase(s, text)
				     : slice_eq_nocase(s, text))
			return true;
	}
	return false;
}

/* "192.0.2.1", or with a name and a port: "mx.example[192.0.2.1]:25". */
static bool
matches_network(struct slice peer, const char *network)
{
	const char *const list[] = { network, NULL };
	ssize_t open = slice_rfind(peer, '['), close = slice_rfind(peer, ']');
	struct net_addr a;

	if (open >= 0 && close > open)
		peer = slice(peer.p + open + 1, (size_t)(close - open - 1));
	/* An address with its port, but for IPv6 alone. */
	close = slice_rfind(peer, ':');
	if (close >= 0 && slice_find(peer, ':') == close)
		peer = slice_head(peer, (size_t)close);
	return peer.n > 0 && net_addr_parse_host(&a, peer, 0) == 0 &&
	    net_addr_is_listed(&a, list);
}

static bool
matches_word(const struct slice *f, struct slice word)
{
	for (int i = 0; i < TRACE_FIELDS; i++)
		if (f[i].n > 0 && contains_nocase(f[i], word))
			return true;
	return false;
}

bool
why_query_matches(const struct why_query *q, const struct trace_record *r)
{
	if (r->at_us < q->since_us)
		return false;
	switch (q->what) {
	case WHY_ALL:
		return true;
	case WHY_ID:
		return matches_id(r->field, q->text);
	case WHY_ADDRESS:
		return matches_address(r->field, q->text);
	case WHY_NETWORK:
		return matches_network(r->field[TRACE_PEER], q->text.p);
	case WHY_WORD:
		return matches_word(r->field, q->text);
	}
	return false;
}
