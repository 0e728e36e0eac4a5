/* SPDX-License-Identifier: ISC */
/*
 * The lexer on any input: the first octet chooses the order in which tokens
 * are asked for. Properties: whole or octet by octet it gives the same tokens
 * and the same errors, and leaves the same rest; tokens are what they claim to
 * be.
 */
#include <stdlib.h>

#include "common/base/buf.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/imap/imap_section.h"
#include "tests/unit/mailbox/imap_memory.h"

static void
need(bool fine)
{
	if (!fine)
		abort();
}

static int
token(struct imap_parser *p, unsigned kind, struct slice *out)
{
	uint32_t n = 0;

	*out = SLICE_EMPTY;
	switch (kind % 11) {
	case 0:
		return imap_parse_tag(p, out);
	case 1:
		return imap_parse_atom(p, out);
	case 2:
		return imap_parse_astring(p, out);
	case 3:
		return imap_parse_string(p, out);
	case 4:
		return imap_parse_nstring(p, out);
	case 5:
		return imap_parse_list_mailbox(p, out);
	case 6:
		return imap_parse_flag(p, out);
	case 7:
		return imap_parse_set_token(p, out);
	case 8:
		return imap_parse_u32(p, &n);
	case 9:
		return imap_parse_char(p, '(');
	default:
		return imap_parse_sp(p);
	}
}

static int
literal(struct imap_parser *p, struct buf *seen)
{
	struct imap_literal l;
	struct slice s;
	size_t n = 0;
	int rc;

	if ((rc = imap_parse_literal(p, &l)) != 0 || l.size > 100 ||
	    (rc = imap_literal_go(p)) != 0)
		return rc;
	while ((rc = imap_literal_read(p, &s)) == 0 && s.n > 0) {
		buf_put_slice(seen, s);
		n += s.n;
	}
	need(rc != 0 || n == l.size);
	return rc;
}

static int
structure(struct imap_parser *p, unsigned kind, struct buf *seen)
{
	struct imap_section section;
	struct imap_search search;
	int rc;

	if (kind == 0) {
		if ((rc = imap_section_parse(p, &section)) == 0)
			buf_put_slice(seen, section.label);
		return rc;
	}
	if (kind == 1) {
		if ((rc = imap_search_parse(p, &search)) == 0)
			need(search.bad_charset || search.root != NULL);
		return rc;
	}
	return literal(p, seen);
}

/* Read commands until the input ends; everything seen goes into `seen`. */
static void
run(struct slice in, size_t step, unsigned seed, struct buf *seen)
{
	struct arena a = ARENA_INIT_MAX((size_t)1 << 20);
	struct imap_parser p;
	struct memory m;
	int rc = 0;

	memory_init(&m, in, step);
	for (int commands = 0; commands < 50 && rc == 0; commands++) {
		imap_parser_init(&p, &m.in, &a);
		p.literal_max = 200;
		rc = imap_parser_begin(&p);
		for (int i = 0; rc == 0 && i < 40; i++) {
			struct slice t;

			seed = seed * 1103515245 + 12345;
			rc = (seed >> 16) % 16 < 13
			    ? token(&p, seed >> 20, &t)
			    : (t = SLICE_EMPTY,
				  structure(&p, (seed >> 16) % 16 - 13, seen));
			if (rc == 0)
				buf_put_slice(seen, t);
			buf_put_char(seen, '|');
		}
		buf_printf(seen, "%d %s;", rc, p.why);
		need(rc != -EBADMSG || p.why[0] != '\0');
		if (rc == -EBADMSG || rc == -E2BIG || rc == 0)
			rc = imap_parser_finish(&p);
		buf_printf(seen, "%d %zu\n", rc, m.left.n);
		arena_reset(&a);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = BUF_INIT, octets = BUF_INIT;
	struct slice in;

	if (size < 1)
		return 0;
	in = slice(data + 1, size - 1);
	run(in, SIZE_MAX, data[0], &whole);
	run(in, 1, data[0], &octets);
	need(slice_eq(buf_slice(&whole), buf_slice(&octets)));
	buf_clear(&whole);
	buf_clear(&octets);
	return 0;
}
