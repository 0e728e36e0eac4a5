/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/envelope_read.h"

#include <errno.h>

/* Octets of the quoted string or literal that begins s; 0: broken. */
static size_t
string_length(struct slice s)
{
	uint64_t n;
	ssize_t end;

	if (s.n == 0)
		return 0;
	if (s.p[0] == '"') {
		for (size_t i = 1; i < s.n; i++) {
			if (s.p[i] == '"')
				return i + 1;
			i += s.p[i] == '\\';
		}
		return 0;
	}
	if (s.p[0] != '{' || (end = slice_find(s, '}')) < 0 ||
	    slice_u64(slice(s.p + 1, (size_t)end - 1), s.n, &n) != 0 ||
	    s.n - (size_t)end < n + 3)
		return 0;
	return (size_t)end + 3 + (size_t)n;
}

/* Octets of the nstring or list that begins s; 0: broken. */
static size_t
item_length(struct slice s)
{
	size_t at = 0, depth = 0, n;

	do {
		struct slice rest = slice_from(s, at);

		if (rest.n == 0)
			return 0;
		n = 1;
		if (rest.p[0] == '(')
			depth++;
		else if (rest.p[0] == ')' && depth > 0)
			depth--;
		else if (slice_starts(rest, "NIL"))
			n = 3;
		else if (rest.p[0] != ' ' || depth == 0)
			n = string_length(rest);
		if (n == 0)
			return 0;
		at += n;
	} while (depth > 0);
	return at;
}

/* Take an item and the space behind it, if there is one. */
static bool
next_item(struct slice *rest, struct slice *out)
{
	size_t n = item_length(*rest);

	if (n == 0)
		return false;
	*out = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	if (rest->n > 0 && rest->p[0] == ' ')
		*rest = slice_from(*rest, 1);
	return true;
}

/* What is between the parentheses of a list. */
static struct slice
inside(struct slice list)
{
	return slice(list.p + 1, list.n - 2);
}

int
envelope_read_split(struct slice envelope, struct slice fields[ENVELOPE_FIELDS])
{
	struct slice rest;

	if (envelope.n < 2 || envelope.p[0] != '(' ||
	    item_length(envelope) != envelope.n)
		return -EINVAL;
	rest = inside(envelope);
	for (size_t i = 0; i < ENVELOPE_FIELDS; i++)
		if (!next_item(&rest, &fields[i]))
			return -EINVAL;
	return rest.n == 0 ? 0 : -EINVAL;
}

int
envelope_read_string(struct arena *a, struct slice field, struct slice *out)
{
	size_t n = 0;
	char *to;

	if (slice_eq_str(field, "NIL")) {
		*out = slice(NULL, 0);
		return 0;
	}
	if (field.n == 0 || string_length(field) != field.n)
		return -EINVAL;
	if (field.p[0] == '{') {
		*out = slice_from(field, (size_t)slice_find(field, '}') + 3);
		return 0;
	}
	if ((to = arena_alloc(a, field.n)) == NULL)
		return -ENOMEM;
	for (size_t i = 1; i + 1 < field.n; i++) {
		i += field.p[i] == '\\';
		to[n++] = field.p[i];
	}
	*out = slice(to, n);
	return 0;
}

int
envelope_read_address(struct arena *a, struct slice *rest, struct slice *out)
{
	struct slice item, part[4]; /* name, route, mailbox, host */
	char *text;
	int rc;

	if (rest->n >= 2 && rest->p[0] == '(' && rest->p[1] == '(')
		*rest = inside(*rest);
	if (rest->n == 0 || slice_eq_str(*rest, "NIL"))
		return 0;
	if (!next_item(rest, &item) || item.p[0] != '(')
		return -EINVAL;
	item = inside(item);
	for (size_t i = 0; i < 4; i++) {
		struct slice raw;

		if (!next_item(&item, &raw))
			return -EINVAL;
		if ((rc = envelope_read_string(a, raw, &part[i])) != 0)
			return rc;
	}
	if (part[3].p == NULL) {
		*out = part[2].p == NULL ? SLICE_EMPTY : part[2];
		return 1;
	}
	text = arena_printf(a, "%.*s%s<%.*s@%.*s>", (int)part[0].n,
	    part[0].n == 0 ? "" : part[0].p, part[0].n == 0 ? "" : " ",
	    (int)part[2].n, part[2].n == 0 ? "" : part[2].p, (int)part[3].n,
	    part[3].p);
	if (text == NULL)
		return -ENOMEM;
	*out = slice_str(text);
	return 1;
}
