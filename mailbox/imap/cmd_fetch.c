/* SPDX-License-Identifier: ISC */
/* FETCH: its arguments, and its reply. */
#include <errno.h>

#include "mailbox/imap/imap_commands.h"
#include "mailbox/imap/imap_fetch.h"

static const struct {
	const char *name;
	unsigned items;
} plain_items[] = {
	{ "UID", IMAP_FETCH_UID },
	{ "FLAGS", IMAP_FETCH_FLAGS },
	{ "INTERNALDATE", IMAP_FETCH_INTERNALDATE },
	{ "RFC822.SIZE", IMAP_FETCH_SIZE },
	{ "ENVELOPE", IMAP_FETCH_ENVELOPE },
	{ "BODYSTRUCTURE", IMAP_FETCH_BODYSTRUCTURE },
	{ "MODSEQ", IMAP_FETCH_MODSEQ },
};
#define FAST (IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE)
static const struct {
	const char *name;
	unsigned items;
} macros[] = {
	{ "ALL", FAST | IMAP_FETCH_ENVELOPE },
	{ "FAST", FAST },
	{ "FULL", FAST | IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY },
};

/* The older names of sections. */
static const struct {
	const char *name;
	enum imap_section_what what;
	bool sets_seen;
} rfc822_items[] = {
	{ "RFC822", IMAP_SECTION_ALL, true },
	{ "RFC822.HEADER", IMAP_SECTION_HEADER, false },
	{ "RFC822.TEXT", IMAP_SECTION_TEXT, true },
};

static void
add_section(struct imap_fetch *f, struct imap_section *section)
{
	struct imap_section **last = &f->sections;

	while (*last != NULL)
		last = &(*last)->next;
	*last = section;
}

/* BODY and BODY.PEEK. */
static int
parse_body(struct imap_session *s, struct imap_fetch *f, bool peek)
{
	struct imap_section *section;
	int rc;

	if (!peek && imap_peek(&s->p) != '[') {
		f->items |= IMAP_FETCH_BODY;
		return 0;
	}
	if ((section = arena_alloc(&s->a, sizeof(*section))) == NULL)
		return -ENOMEM;
	if ((rc = imap_section_parse(&s->p, section)) != 0)
		return rc;
	add_section(f, section);
	f->sets_seen |= !peek;
	return 0;
}

static int
parse_rfc822(struct imap_session *s, struct imap_fetch *f, struct slice name)
{
	struct imap_section *section;

	for (size_t i = 0; i < sizeof(rfc822_items) / sizeof(rfc822_items[0]);
	     i++) {
		if (!slice_eq_str_nocase(name, rfc822_items[i].name))
			continue;
		section = arena_alloc(&s->a, sizeof(*section));
		if (section == NULL)
			return -ENOMEM;
		section->what = rfc822_items[i].what;
		section->label = slice_str(rfc822_items[i].name);
		add_section(f, section);
		f->sets_seen |= rfc822_items[i].sets_seen;
		return 0;
	}
	return imap_bad(s, "Unknown FETCH item");
}

static int
parse_item(struct imap_session *s, struct imap_fetch *f, bool macro_ok)
{
	struct slice name;
	int rc;

	if ((rc = imap_parse_name(&s->p, &name)) != 0)
		return rc;
	for (size_t i = 0; i < sizeof(plain_items) / sizeof(plain_items[0]);
	     i++)
		if (slice_eq_str_nocase(name, plain_items[i].name)) {
			f->items |= plain_items[i].items;
			return 0;
		}
	for (size_t i = 0; i < sizeof(macros) / sizeof(macros[0]); i++)
		if (macro_ok && slice_eq_str_nocase(name, macros[i].name)) {
			f->items |= macros[i].items;
			return 0;
		}
	if (slice_eq_str_nocase(name, "BODY"))
		return parse_body(s, f, false);
	if (slice_eq_str_nocase(name, "BODY.PEEK"))
		return parse_body(s, f, true);
	return parse_rfc822(s, f, name);
}

static int
parse_items(struct imap_session *s, struct imap_fetch *f)
{
	int rc;

	if (!imap_accept(&s->p, '('))
		return parse_item(s, f, true);
	do {
		if ((rc = parse_item(s, f, false)) != 0)
			return rc;
	} while (imap_accept(&s->p, ' '));
	return imap_parse_char(&s->p, ')');
}

/* SP "(CHANGEDSINCE n)" */
static int
parse_modifier(struct imap_session *s, struct imap_fetch *f)
{
	int rc;

	if (!imap_accept(&s->p, ' '))
		return 0;
	if ((rc = imap_parse_char(&s->p, '(')) != 0)
		return rc;
	if (!imap_accept_word(&s->p, "CHANGEDSINCE"))
		return imap_bad(s, "Unknown modifier");
	f->changed_only = true;
	f->items |= IMAP_FETCH_MODSEQ;
	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_u64(&s->p, &f->changed_since)) != 0)
		return rc;
	return imap_parse_char(&s->p, ')');
}

static int
reply_fetched(struct imap_session *s, const struct imap_fetch *f)
{
	if (f->failed == -ENOMEM)
		return imap_no(s, "LIMIT", "Some messages are too complex");
	if (f->failed == -ENOKEY)
		return imap_no_errno(s, f->failed);
	if (f->failed != 0)
		return imap_no_trouble(
		    s, f->failed, "Some messages could not be read");
	if (f->gone && !s->uid) /* RFC 2180 4.1.2 */
		return imap_no(
		    s, "EXPUNGEISSUED", "Some of the messages no longer exist");
	return imap_ok(s, f->gone ? "EXPUNGEISSUED" : NULL, "FETCH completed");
}

int
cmd_fetch(struct imap_session *s)
{
	struct imap_fetch f = { .items = 0 };
	int rc;

	if ((rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = imap_parse_seqs(s, &f.set)) != 0 ||
	    (rc = imap_parse_sp(&s->p)) != 0 ||
	    (rc = parse_items(s, &f)) != 0 ||
	    (rc = parse_modifier(s, &f)) != 0 ||
	    (rc = imap_parse_end(&s->p)) != 0)
		return rc;
	if ((f.items & IMAP_FETCH_MODSEQ) != 0)
		imap_enable_condstore(s);
	if (s->uid)
		f.items |= IMAP_FETCH_UID;
	if (s->read_only)
		f.sets_seen = false;
	if ((rc = imap_fetch_run(s, &f)) != 0)
		return rc;
	return reply_fetched(s, &f);
}
