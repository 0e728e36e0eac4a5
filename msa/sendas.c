/* SPDX-License-Identifier: ISC */
#include "msa/sendas.h"

#include <errno.h>

#include "common/mail/address.h"
#include "common/mail/encoded.h"
#include "common/mail/header.h"
#include "common/mail/lex.h"

#define TAG "[sendas:"

/* --- the tag in a text of one line --- */

struct place {
	size_t at, n; /* of the tag with its brackets */
	struct slice inside;
};

static bool
find_place(struct slice text, struct place *out)
{
	for (size_t i = 0; i + strlen(TAG) < text.n; i++) {
		struct slice rest = slice_from(text, i);
		ssize_t end;

		if (rest.p[0] != '[' || !slice_starts_nocase(rest, TAG))
			continue;
		if ((end = slice_find(rest, ']')) < 0)
			return false;
		out->at = i;
		out->n = (size_t)end + 1;
		out->inside = slice_trim(slice_from(
		    slice_head(rest, (size_t)end), strlen(TAG)));
		return true;
	}
	return false;
}

/* Without the tag and one space beside it: the one behind, if there is. */
static struct slice
cut(struct arena *a, struct slice text, const struct place *p)
{
	size_t from = p->at, to = p->at + p->n;
	char *out = arena_alloc(a, text.n + 1);

	if (out == NULL)
		return slice(NULL, 0);
	if (to < text.n && lex_is_wsp(text.p[to]))
		to++;
	else if (from > 0 && lex_is_wsp(text.p[from - 1]))
		from--;
	memcpy(out, text.p, from);
	memcpy(out + from, text.p + to, text.n - to);
	return slice_trim(slice(out, from + text.n - to));
}

/* --- what it says --- */

static bool
is_local(struct slice s)
{
	if (s.n == 0 || s.n > ADDRESS_LOCAL_MAX || s.p[0] == '.' ||
	    s.p[s.n - 1] == '.')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '.' ? s.p[i - 1] == '.' : !lex_is_atext(s.p[i]))
			return false;
	return true;
}

/* "<x@y>", "x @ y": white space can come in where a client has folded. */
static bool
take_address(struct slice inside, struct sendas_tag *out)
{
	struct slice s = inside, canonical;
	struct arena a = ARENA_INIT_MAX(65536);
	ssize_t at;
	bool ok;

	out->text = inside;
	if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
		s = slice_trim(slice_from(slice_head(s, s.n - 1), 1));
	at = slice_rfind(s, '@');
	out->local = at < 0 ? s : slice_trim(slice_head(s, (size_t)at));
	out->domain = at < 0 ? slice(NULL, 0)
			     : slice_trim(slice_from(s, (size_t)at + 1));
	ok = is_local(out->local) &&
	    (at < 0 || domain_canonical(&a, out->domain, &canonical) == 0);
	arena_reset(&a);
	return ok;
}

/* --- the Subject --- */

/* The value as a line of its own, folded: everything behind "Subject:". */
static struct slice
folded(struct arena *a, struct slice text, bool encode)
{
	struct buf b = BUF_INIT;
	struct slice out = { NULL, 0 };

	if (encode) {
		buf_put_char(&b, ' ');
		encoded_put_text(&b, text, strlen("Subject: "));
		buf_put_str(&b, "\r\n");
		out = buf_slice(&b);
	} else if (header_put(&b, "Subject", text)) {
		out = slice_from(buf_slice(&b), strlen("Subject:"));
	}
	out = b.failed ? slice(NULL, 0) : arena_dup(a, out);
	buf_clear(&b);
	return out;
}

/*
 * The tag stands in the text as it is on the wire, outside encoded words: then
 * only it is cut, and all else keeps its octets. That must not bring two
 * encoded words together, between which spaces do not count: what comes out
 * has to read as `wanted`.
 */
static struct slice
cut_raw(struct arena *a, struct slice raw, const struct place *decoded,
    struct slice wanted)
{
	struct slice left, reads;
	struct place p;

	if (!find_place(raw, &p) || !slice_eq(p.inside, decoded->inside))
		return slice(NULL, 0);
	left = cut(a, raw, &p);
	if (left.p == NULL)
		return left;
	reads = encoded_decode(a, left);
	if (reads.p == NULL || !slice_eq(reads, wanted))
		return slice(NULL, 0);
	return left;
}

/* One Subject field; as sendas_find. */
static int
find_in(struct arena *a, const struct header_field *f, struct sendas_tag *out)
{
	struct slice raw = header_unfold(a, f->value);
	struct slice text = encoded_decode(a, f->value), left, reads;
	struct place p, other;

	if (raw.p == NULL || text.p == NULL)
		return -ENOMEM;
	if (!find_place(text, &p))
		return SENDAS_NONE;
	out->field = f->raw;
	if (!take_address(p.inside, out))
		return SENDAS_BAD;
	if ((reads = cut(a, text, &p)).p == NULL)
		return -ENOMEM;
	if (find_place(reads, &other))
		return SENDAS_MANY;
	left = cut_raw(a, raw, &p, reads);
	out->subject = left.p != NULL ? folded(a, left, false)
				      : folded(a, reads, true);
	return out->subject.p == NULL ? -ENOMEM : SENDAS_TAG;
}

int
sendas_find(struct arena *a, struct slice header, struct sendas_tag *out)
{
	struct slice rest = header;
	struct header_field f;
	int found = SENDAS_NONE;

	while (header_next(&rest, &f)) {
		struct sendas_tag tag = { .text = SLICE_EMPTY };
		int rc;

		if (!slice_eq_str_nocase(f.name, "Subject"))
			continue;
		if ((rc = find_in(a, &f, &tag)) < 0)
			return rc;
		if (rc == SENDAS_NONE)
			continue;
		if (found != SENDAS_NONE)
			return SENDAS_MANY;
		found = rc;
		*out = tag;
	}
	return found;
}

/* --- From --- */

/* Where the address of a From with one mailbox stands in the value. Not for
 * every form that is allowed: the caller looks at what comes of it. */
static void
spec_span(struct slice value, size_t *from, size_t *to)
{
	size_t i = 0, end = 0;
	bool any = false;

	*from = *to = 0;
	while (i < value.n) {
		struct slice rest = slice_from(value, i);
		char c = value.p[i];

		if (c == '(') {
			i += lex_comment_size(rest);
			continue;
		}
		if (c == '<') {
			ssize_t close = slice_find(rest, '>');

			*from = i + 1;
			*to = close < 0 ? value.n : i + (size_t)close;
			return;
		}
		if (!lex_is_wsp(c) && c != '\r' && c != '\n') {
			if (!any)
				*from = i;
			any = true;
			i += c == '"' ? lex_quoted_size(rest) : 1;
			end = i;
			continue;
		}
		i++;
	}
	*to = any ? end : 0;
}

/* The one mailbox of the value, or NULL. */
static const struct address *
only_one(const struct address_list *list)
{
	return list->n == 1 && list->v[0].kind == ADDRESS_MAILBOX
	    ? &list->v[0]
	    : NULL;
}

/* A name that is the address itself would tell it. */
static bool
name_is_address(const struct address *m)
{
	struct buf spec = BUF_INIT_MAX(2048);
	bool same = m->name.n > 0 && m->domain.n > 0 &&
	    address_put_spec(&spec, m->local, m->domain) &&
	    slice_eq_nocase(slice_trim(m->name), buf_slice(&spec));

	buf_clear(&spec);
	return same;
}

/* In place, octets around it kept: 1 done, 0 it cannot be done so, -ENOMEM. */
static int
splice(struct arena *a, struct slice value, const struct address *old,
    struct slice spec, struct slice local, struct slice domain,
    struct slice *out)
{
	struct address_list list;
	const struct address *m;
	size_t from, to;
	char *text;
	int rc;

	spec_span(value, &from, &to);
	if ((text = arena_alloc(a, value.n + spec.n + 1)) == NULL)
		return -ENOMEM;
	memcpy(text, value.p, from);
	memcpy(text + from, spec.p, spec.n);
	memcpy(text + from + spec.n, value.p + to, value.n - to);
	*out = slice(text, value.n - (to - from) + spec.n);
	if ((rc = address_list_parse(a, *out, &list)) != 0)
		return rc;
	m = only_one(&list);
	return m != NULL && !m->broken && slice_eq(m->local, local) &&
	    slice_eq(m->domain, domain) && slice_eq(m->name, old->name);
}

static int
put_made(struct slice name, struct slice local, struct slice domain,
    struct buf *out)
{
	struct address m = { .kind = ADDRESS_MAILBOX,
		.name = name,
		.local = local,
		.domain = domain };

	buf_put_char(out, ' ');
	address_put(out, &m, false);
	return buf_put_str(out, "\r\n") ? 0 : -ENOMEM;
}

/* What follows "From:". */
static int
put_from(struct arena *a, struct slice value, struct slice local,
    struct slice domain, struct buf *out)
{
	struct address_list list;
	const struct address *m;
	struct slice name = SLICE_EMPTY, new;
	struct buf spec = BUF_INIT_MAX(4096);
	int rc = address_list_parse(a, value, &list);

	if (rc == 0 && !address_put_spec(&spec, local, domain))
		rc = -ENOMEM;
	for (size_t i = 0; rc == 0 && i < list.n && name.n == 0; i++)
		if (list.v[i].kind == ADDRESS_MAILBOX) {
			if (!name_is_address(&list.v[i]))
				name = list.v[i].name;
			break;
		}
	m = rc == 0 ? only_one(&list) : NULL;
	if (m != NULL && !name_is_address(m))
		rc = splice(
		    a, value, m, buf_slice(&spec), local, domain, &new);
	if (rc == 1) {
		buf_put_slice(out, new);
		rc = buf_put_str(out, "\r\n") ? 0 : -ENOMEM;
	} else if (rc == 0) {
		rc = put_made(name, local, domain, out);
	}
	buf_clear(&spec);
	return rc;
}

/* --- the header --- */

static int
put_changed(struct arena *a, const struct header_field *f,
    const struct sendas_tag *tag, struct slice local, struct slice domain,
    bool *has_from, struct buf *out)
{
	if (slice_eq_str_nocase(f->name, "Sender"))
		return 0;
	if (slice_eq_str_nocase(f->name, "From")) {
		if (*has_from)
			return 0;
		*has_from = true;
		buf_put_str(out, "From:");
		return put_from(a, f->value, local, domain, out);
	}
	if (tag != NULL && f->raw.p == tag->field.p) {
		buf_put_str(out, "Subject:");
		return buf_put_slice(out, tag->subject) ? 0 : -ENOMEM;
	}
	return buf_put_slice(out, f->raw) ? 0 : -ENOMEM;
}

int
sendas_rewrite(struct arena *a, struct slice header,
    const struct sendas_tag *tag, struct slice local, struct slice domain,
    struct buf *out)
{
	struct slice rest = header;
	struct header_field f;
	bool has_from = false;
	int rc = 0;

	while (rc == 0 && header_next(&rest, &f))
		rc = put_changed(a, &f, tag, local, domain, &has_from, out);
	return rc == 0 && out->failed ? -ENOMEM : rc;
}
