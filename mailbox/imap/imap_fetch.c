/* SPDX-License-Identifier: ISC */
/*
 * The answers to FETCH. Flags and UIDs come from the view, sizes and dates
 * from rows, structures from the summaries that delivery made; only sections
 * open a message, and stream it in pieces.
 */
#include "mailbox/imap/imap_fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mail/date.h"

#define CHUNK ((size_t)64 << 10)
#define HEADER_MAX_FILTERED ((size_t)1 << 20)
#define SEEN_BATCH 256 /* messages whose \Seen is one commit */
#define SCRATCH_MAX ((size_t)8 << 20)

#define ROW_ITEMS (IMAP_FETCH_INTERNALDATE | IMAP_FETCH_SIZE)
#define SUMMARY_ITEMS                                                          \
	(IMAP_FETCH_ENVELOPE | IMAP_FETCH_BODY | IMAP_FETCH_BODYSTRUCTURE)

struct message {
	uint32_t seq;
	unsigned items; /* FLAGS too, where \Seen has just been set */
	struct mails_row row;
	struct mails_summary sum;
};

struct work {
	struct imap_session *s;
	struct imap_fetch *f;
	bool need_row, need_summary;
	struct arena scratch; /* of one message */
	char *chunk;          /* CHUNK octets, once needed */
	bool sent; /* some of this message's answer has left s->out */
	int64_t turn_began_ms;
};

/* --- octets of a message --- */

/* Errors that are the connection's or the session's, not the message's. */
static bool
is_final(int rc)
{
	return rc == -ECANCELED || rc == -ECONNRESET || rc == -EPIPE ||
	    rc == -ETIMEDOUT;
}

/* A literal must not have NUL (RFC 3501 4.3.1). */
static void
hide_nuls(char *p, size_t n)
{
	char *at;

	while ((at = memchr(p, '\0', n)) != NULL) {
		*at = (char)0x80;
		n -= (size_t)(at - p);
		p = at;
	}
}

static int
read_chunk(struct work *w, uint32_t seq, uint64_t at, uint64_t n, size_t *got)
{
	int rc;

	if (w->chunk == NULL && (w->chunk = malloc(CHUNK)) == NULL)
		return -ENOMEM;
	rc = mails_read(
	    w->s->view, seq, at, w->chunk, n < CHUNK ? (size_t)n : CHUNK, got);
	if (rc == 0 && *got == 0)
		rc = -EIO; /* shorter than its row says */
	if (rc == 0)
		hide_nuls(w->chunk, *got);
	return rc;
}

static void
put_literal_size(struct buf *b, uint64_t n)
{
	buf_put_char(b, '{');
	buf_put_u64(b, n);
	buf_put_str(b, "}\r\n");
}

static void
note_unreadable(struct work *w, uint32_t seq, int rc)
{
	w->f->failed = rc;
	if (rc == -ENOKEY)
		return; /* nothing is wrong with it */
	log_error("message not readable",
	    "account=%s mailbox=\"%s\" uid=%u "
	    "error=%s",
	    log_qs(w->s->account), log_qs(mails_view_name(w->s->view)),
	    mails_view_uid(w->s->view, seq), strerror(-rc));
}

/*
 * `size` octets from `at` as a literal. What was promised has to be sent:
 * where reading fails behind the first piece, blanks go out instead and the
 * command ends in NO, so that one bad message costs no more than itself.
 */
static int
put_octets(struct work *w, uint32_t seq, uint64_t at, uint64_t size)
{
	struct imap_session *s = w->s;
	size_t got;
	int rc;

	if (size == 0) {
		buf_put_str(&s->out, "\"\"");
		return 0;
	}
	if ((rc = read_chunk(w, seq, at, size, &got)) != 0)
		return rc;
	put_literal_size(&s->out, size);
	w->sent = true;
	for (;;) {
		if ((rc = imap_drain_all(s)) != 0 ||
		    (rc = conn_write(s->c, slice(w->chunk, got))) != 0)
			return rc;
		at += got;
		if ((size -= got) == 0)
			return 0;
		rc = read_chunk(w, seq, at, size, &got);
		if (rc == -ECANCELED || rc == -ENOMEM)
			return rc;
		if (rc != 0) {
			note_unreadable(w, seq, rc);
			got = size < CHUNK ? (size_t)size : CHUNK;
			memset(w->chunk, ' ', got);
		}
	}
}

/* What a partial leaves of a section. */
static struct imap_octets
cut(const struct imap_section *section, struct imap_octets o)
{
	if (!section->partial)
		return o;
	if (section->from >= o.size)
		return (struct imap_octets){ o.at, 0 };
	o.at += section->from;
	o.size -= section->from;
	if (o.size > section->max)
		o.size = section->max;
	return o;
}

/* A header whole, in the scratch arena. */
static int
read_header(
    struct work *w, uint32_t seq, struct imap_octets o, struct slice *out)
{
	char *p;
	size_t got, n = 0;
	int rc;

	if (o.size > HEADER_MAX_FILTERED ||
	    (p = arena_alloc(&w->scratch, (size_t)o.size + 1)) == NULL)
		return -ENOMEM;
	while (n < o.size) {
		rc = mails_read(
		    w->s->view, seq, o.at + n, p + n, (size_t)o.size - n, &got);
		if (rc != 0 || got == 0)
			return rc != 0 ? rc : -EIO;
		n += got;
	}
	hide_nuls(p, n);
	*out = slice(p, n);
	return 0;
}

static int
put_fields(struct work *w, uint32_t seq, const struct imap_section *section,
    struct imap_octets o)
{
	struct buf chosen = BUF_INIT;
	struct slice header;
	int rc;

	if ((rc = read_header(w, seq, o, &header)) != 0)
		return rc;
	imap_section_filter(section, header, &chosen);
	o = cut(section, (struct imap_octets){ 0, chosen.n });
	if (chosen.failed) {
		rc = -ENOMEM;
	} else {
		put_literal_size(&w->s->out, o.size);
		buf_put(&w->s->out, buf_str(&chosen) + o.at, (size_t)o.size);
	}
	buf_clear(&chosen);
	return rc;
}

static int
put_content(
    struct work *w, const struct message *m, const struct imap_section *section)
{
	struct imap_octets o;

	if (!imap_section_find(section, &m->sum, m->row.size, &o)) {
		buf_put_str(&w->s->out, "NIL");
		return 0;
	}
	if (section->what == IMAP_SECTION_FIELDS ||
	    section->what == IMAP_SECTION_FIELDS_NOT)
		return put_fields(w, m->seq, section, o);
	o = cut(section, o);
	return put_octets(w, m->seq, o.at, o.size);
}

static int
put_section(
    struct work *w, const struct message *m, const struct imap_section *section)
{
	int rc;

	buf_put_slice(&w->s->out, section->label);
	buf_put_char(&w->s->out, ' ');
	rc = put_content(w, m, section);
	if (rc == 0 || is_final(rc) || !w->sent)
		return rc;
	/* Too late to take the message back. */
	note_unreadable(w, m->seq, rc);
	buf_put_str(&w->s->out, "NIL");
	return 0;
}

/* --- one message --- */

static void
put_text(struct buf *b, const char *name, struct slice text)
{
	buf_put_str(b, name);
	buf_put_slice(b, text);
	buf_put_char(b, ' ');
}

/* Items from view, row and summary, each with a space behind it. */
static void
put_plain_items(struct work *w, const struct message *m)
{
	struct imap_session *s = w->s;
	struct buf *b = &s->out;

	if ((m->items & IMAP_FETCH_UID) != 0) {
		buf_put(b, "UID ", 4);
		buf_put_u64(b, mails_view_uid(s->view, m->seq));
		buf_put_char(b, ' ');
	}
	if ((m->items & IMAP_FETCH_FLAGS) != 0) {
		imap_put_flags(s, m->seq);
		buf_put_char(b, ' ');
	}
	if ((m->items & IMAP_FETCH_MODSEQ) != 0) {
		buf_put_str(b, "MODSEQ (");
		buf_put_u64(b, mails_view_modseq(s->view, m->seq));
		buf_put_str(b, ") ");
	}
	if ((m->items & IMAP_FETCH_INTERNALDATE) != 0) {
		buf_put_str(b, "INTERNALDATE \"");
		date_put_imap(b, (struct date){ m->row.internaldate, 0 });
		buf_put_str(b, "\" ");
	}
	if ((m->items & IMAP_FETCH_SIZE) != 0) {
		buf_put_str(b, "RFC822.SIZE ");
		buf_put_u64(b, m->row.size);
		buf_put_char(b, ' ');
	}
	if ((m->items & IMAP_FETCH_ENVELOPE) != 0)
		put_text(b, "ENVELOPE ", m->sum.envelope);
	if ((m->items & IMAP_FETCH_BODY) != 0)
		put_text(b, "BODY ", m->sum.body);
	if ((m->items & IMAP_FETCH_BODYSTRUCTURE) != 0)
		put_text(b, "BODYSTRUCTURE ", m->sum.bodystructure);
}

static int
put_message(struct work *w, const struct message *m)
{
	struct buf *b = &w->s->out;
	int rc;

	buf_put(b, "* ", 2);
	buf_put_u64(b, m->seq);
	buf_put(b, " FETCH (", 8);
	put_plain_items(w, m);
	for (const struct imap_section *section = w->f->sections;
	     section != NULL; section = section->next) {
		if ((rc = put_section(w, m, section)) != 0)
			return rc;
		buf_put_char(b, ' ');
	}
	buf_truncate(b, b->n - 1); /* the space behind the last item */
	buf_put(b, ")\r\n", 3);
	return imap_drain(w->s);
}

static int
load(struct work *w, struct message *m)
{
	int rc = 0;

	if (w->need_row)
		rc = mails_row(w->s->view, m->seq, &m->row);
	if (rc == 0 && w->need_summary)
		rc = mails_summary(w->s->view, m->seq, &w->scratch, &m->sum);
	return rc;
}

static int
fetch_message(struct work *w, uint32_t seq, unsigned items)
{
	struct message m = { .seq = seq, .items = items };
	struct imap_session *s = w->s;
	size_t before;
	int rc;

	if (mails_view_is_gone(s->view, seq) && (w->need_row || s->uid)) {
		w->f->gone = true;
		return 0;
	}
	if (w->f->changed_only &&
	    mails_view_modseq(s->view, seq) <= w->f->changed_since)
		return 0;
	before = s->out.n;
	w->sent = false;
	if ((rc = load(w, &m)) == 0)
		rc = put_message(w, &m);
	if (w->scratch.used > 0)
		arena_reset(&w->scratch);
	if (rc == 0 || is_final(rc) || w->sent || s->out.failed)
		return rc;
	if (rc == -ENOENT)
		w->f->gone = true;
	else
		note_unreadable(w, seq, rc);
	buf_truncate(&s->out, before);
	return 0;
}

int
imap_fetch_section(
    struct imap_session *s, uint32_t seq, const struct imap_section *section)
{
	struct imap_fetch f = { .items = 0 };
	struct work w = { .s = s,
		.f = &f,
		.scratch = ARENA_INIT_MAX(SCRATCH_MAX),
		.need_row = true,
		.need_summary = !imap_section_is_whole(section) };
	struct message m = { .seq = seq };
	size_t before = s->out.n;
	int rc = load(&w, &m);

	if (rc == 0)
		rc = put_content(&w, &m, section);
	if (rc != 0 && !w.sent)
		buf_truncate(&s->out, before);
	free(w.chunk);
	arena_reset(&w.scratch);
	return rc;
}

/* --- many messages --- */

/* Set \Seen where it is missing; `changed` are those, in order. */
static size_t
set_seen(
    struct work *w, uint32_t from, uint32_t to, uint32_t changed[SEEN_BATCH])
{
	struct mails_view *v = w->s->view;
	uint32_t *failed;
	size_t n = 0, n_failed;
	int rc;

	for (uint32_t seq = from; seq <= to; seq++)
		if ((mails_view_flags(v, seq).system & MAILS_SEEN) == 0 &&
		    !mails_view_is_gone(v, seq))
			changed[n++] = seq;
	if (n == 0)
		return 0;
	rc = mails_store_flags(v, changed, n, MAILS_FLAGS_ADD, MAILS_SEEN, NULL,
	    0, true, &w->scratch, &failed, &n_failed);
	arena_reset(&w->scratch);
	if (rc == 0)
		return n;
	/* Mail can be read on a full disk too. */
	log_warning("\\Seen not stored", "account=%s error=%s",
	    log_qs(w->s->account), strerror(-rc));
	return 0;
}

/* Formatting never waits by itself: let others run now and then. */
static int
take_turns(struct work *w)
{
	int64_t now = clock_mono_ms();
	int rc;

	if (now - w->turn_began_ms < 5)
		return 0;
	rc = co_yield ();
	w->turn_began_ms = clock_mono_ms();
	return rc;
}

static int
fetch_batch(struct work *w, uint32_t from, uint32_t to)
{
	uint32_t changed[SEEN_BATCH];
	size_t n = w->f->sets_seen ? set_seen(w, from, to, changed) : 0, i = 0;
	int rc = 0;

	for (uint32_t seq = from; seq <= to && rc == 0; seq++) {
		bool seen = i < n && changed[i] == seq;
		unsigned flags = IMAP_FETCH_FLAGS |
		    (w->s->condstore ? IMAP_FETCH_MODSEQ : 0);

		i += seen;
		rc = fetch_message(w, seq, w->f->items | (seen ? flags : 0));
	}
	return rc != 0 ? rc : take_turns(w);
}

int
imap_fetch_run(struct imap_session *s, struct imap_fetch *f)
{
	struct work w = {
		.s = s,
		.f = f,
		.scratch = ARENA_INIT_MAX(SCRATCH_MAX),
		.need_row = (f->items & (ROW_ITEMS | SUMMARY_ITEMS)) != 0 ||
		    f->sections != NULL,
		.need_summary = (f->items & SUMMARY_ITEMS) != 0,
		.turn_began_ms = clock_mono_ms(),
	};
	int rc = 0;

	for (struct imap_section *i = f->sections; i != NULL; i = i->next)
		w.need_summary |= !imap_section_is_whole(i);
	for (size_t i = 0; i < f->set.n && rc == 0; i++) {
		uint32_t from = f->set.v[i].lo, hi = f->set.v[i].hi;

		for (; from <= hi && rc == 0; from += SEEN_BATCH) {
			uint32_t to =
			    hi - from < SEEN_BATCH ? hi : from + SEEN_BATCH - 1;

			rc = fetch_batch(&w, from, to);
		}
	}
	free(w.chunk);
	arena_reset(&w.scratch);
	return rc;
}
