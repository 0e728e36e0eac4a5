/* SPDX-License-Identifier: ISC */
#include "common/mail/message_id.h"

#include <errno.h>

#include "common/base/clock.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"

static bool
is_host(struct slice s)
{
	if (s.n == 0 || s.n > 253)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_' &&
		    (s.p[i] != '.' || i == 0 || i + 1 == s.n ||
			s.p[i - 1] == '.'))
			return false;
	return true;
}

bool
message_id_put(struct buf *b, struct slice domain)
{
	char id[ID_LEN + 1];
	unsigned char chance[8];

	/* The trace id alone has 40 bits of chance: enough for log lines,
	 * not for the name of a message for ever. */
	id_new(id);
	random_octets(chance, sizeof(chance));
	buf_printf(b, "<%s.", id);
	for (size_t i = 0; i < sizeof(chance); i++)
		buf_printf(b, "%02x", chance[i]);
	buf_put_char(b, '@');
	buf_put_slice(b, is_host(domain) ? domain : SLICE_LIT("localhost"));
	return buf_put_char(b, '>');
}

/* Octets of the comment at the start of s, 0 when it has no end. */
static size_t
closed_comment(struct slice s)
{
	size_t n = lex_comment_size(s);

	return n > 1 && s.p[n - 1] == ')' ? n : 0;
}

/* The inside of "<...>" in canonical form into p; returns its octets. */
static size_t
canonical(struct slice s, char *p)
{
	bool quoted = false, comments = true;
	size_t n = 0, skip;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '(' && comments && !quoted) {
			/* Without an end it is a letter, and so are those
			 * after it: none is looked for again. */
			skip = closed_comment(slice_from(s, i));
			comments = skip > 0;
			if (comments) {
				i += skip - 1;
				continue;
			}
		}
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && i + 1 < s.n)
			p[n++] = s.p[++i];
		else if (quoted || !lex_is_wsp(c))
			p[n++] = c;
	}
	return n;
}

/*
 * The next "<...>" of *rest, the inside as written; .p NULL at the end. A "<"
 * inside one begins anew: the ">" was lost. Inside, quotes and comments do not
 * hide a ">": ids with stray ones of either are seen, and must not take those
 * after them along.
 */
static struct slice
next_id(struct slice *rest)
{
	struct slice id = { NULL, 0 };

	while (rest->n > 0) {
		char c = *rest->p;
		size_t n = 1;

		if (c == '(' && id.p == NULL) {
			n = lex_comment_size(*rest);
		} else if (c == '<') {
			id.p = rest->p + 1;
		} else if (c == '>' && id.p != NULL) {
			id.n = (size_t)(rest->p - id.p);
			*rest = slice_from(*rest, 1);
			return id;
		}
		*rest = slice_from(*rest, n);
	}
	return slice(NULL, 0);
}

/* Ids without "@" are seen and thread well; only empty ones do not count. */
static int
add_id(struct arena *a, struct slice inside, struct slice **v, size_t *n)
{
	char *p = arena_alloc(a, inside.n + 1);
	size_t size;

	if (p == NULL)
		return -ENOMEM;
	if ((size = canonical(inside, p)) == 0)
		return 0;
	if ((*n & (*n - 1)) == 0) { /* grow at each power of two */
		struct slice *more =
		    arena_array(a, *n == 0 ? 1 : *n * 2, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		if (*n > 0)
			memcpy(more, *v, *n * sizeof(*more));
		*v = more;
	}
	(*v)[(*n)++] = slice(p, size);
	return 0;
}

int
message_id_list(
    struct arena *a, struct slice value, struct slice **out, size_t *n)
{
	struct slice rest = header_unfold(a, value), id;
	int rc = rest.p == NULL ? -ENOMEM : 0;

	*out = NULL;
	*n = 0;
	while (rc == 0 && *n < MESSAGE_IDS_MAX && (id = next_id(&rest)).p)
		rc = add_id(a, id, out, n);
	return rc;
}

struct slice
message_id_first(struct arena *a, struct slice value)
{
	struct slice *ids;
	size_t n;

	if (message_id_list(a, value, &ids, &n) != 0 || n == 0)
		return slice(NULL, 0);
	return ids[0];
}
