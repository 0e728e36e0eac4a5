/* SPDX-License-Identifier: ISC */
#include "gateway/here.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/log.h"
#include "common/imap/set.h"
#include "common/mail/transfer.h"

#define REPLY_MAX ((size_t)256 << 10)
#define LINE_MAX_OCTETS ((size_t)1900)
#define APPLY_STEP 40 /* messages of one command: 11 octets each */
#define FLAGS_STEP ((size_t)300)
#define CHANGES_MAX 1000000 /* of one mailbox, in memory */

/* --- asking --- */

static int
here_fail(struct fetch *f, int rc, const struct smtp_reply *reply)
{
	if (rc != 0)
		fetch_fail(f, FETCH_RETRY, "our mailbox: %s", strerror(-rc));
	else
		fetch_fail(f, FETCH_RETRY, "our mailbox: %d %s %s", reply->code,
		    reply->enhanced, log_q(reply->text));
	return rc != 0 ? rc : -EAGAIN;
}

/* "XVERB <account> rest"; a reply that is none of those wanted is an error. */
static int
here_ask(struct fetch *f, struct arena *a, const char *verb, struct slice rest,
    struct smtp_reply *reply)
{
	struct buf line = BUF_INIT_MAX(LINE_MAX_OCTETS), joined = BUF_INIT;
	struct smtp_client *c;
	int rc;

	buf_printf(&line, "%s <%s> ", verb, f->o.account);
	buf_put_slice(&line, rest);
	if (line.failed) {
		buf_clear(&line);
		return here_fail(f, -E2BIG, NULL);
	}
	if ((rc = smtp_pool_get(f->g->mailbox, &c)) == 0) {
		rc = smtp_client_own(c, buf_slice(&line), reply, &joined);
		/* Its text is the client's: before that is given back. */
		if (rc == 0 &&
		    (reply->text = arena_dup(a, reply->text)).p == NULL)
			rc = -ENOMEM;
		smtp_pool_put(f->g->mailbox, c, rc == 0);
	}
	buf_clear(&joined);
	buf_clear(&line);
	return rc == 0 ? 0 : here_fail(f, rc, NULL);
}

static bool
number(struct slice *line, uint64_t max, uint64_t *out)
{
	return slice_u64(slice_split(line, ' '), max, out) == 0;
}

static bool
number_u32(struct slice *line, uint32_t *out)
{
	uint64_t n;

	if (!number(line, UINT32_MAX, &n))
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool
hex(struct slice *line, uint64_t *out)
{
	struct slice word = slice_split(line, ' ');
	uint64_t v = 0;

	if (word.n == 0 || word.n > 16)
		return false;
	for (size_t i = 0; i < word.n; i++) {
		char c = ascii_lower(word.p[i]);

		if (!ascii_is_digit(c) && (c < 'a' || c > 'f'))
			return false;
		v = v << 4 |
		    (uint64_t)(ascii_is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	*out = v;
	return true;
}

/* --- mailboxes --- */

static char *
name_of(struct arena *a, struct slice word)
{
	struct buf b = BUF_INIT_MAX(4096);
	char *text = base64_decode(&b, word) == 0
	    ? arena_strdup(a, buf_slice(&b))
	    : NULL;

	buf_clear(&b);
	return text;
}

static int
take_box(struct arena *a, struct slice line, struct here_box *b)
{
	struct slice use;

	*b = (struct here_box){ .use = "" };
	if (!number_u32(&line, &b->uidvalidity) ||
	    !number_u32(&line, &b->uidnext) ||
	    !number(&line, UINT64_MAX, &b->modseq) ||
	    !number_u32(&line, &b->messages))
		return -EPROTO;
	use = slice_split(&line, ' ');
	if (!slice_eq_str(use, "-"))
		b->use = arena_strdup(a, use);
	b->name = name_of(a, line);
	return b->use == NULL || b->name == NULL ? -EPROTO : 0;
}

struct boxes {
	struct arena *a;
	struct here_box *v;
	size_t n, cap;
	uint64_t print; /* of all names, as of the first page */
	bool begun;
};

/* What is missing is taken for deleted: pages of two lists are none. */
static int
same_list(struct boxes *b, struct slice head)
{
	uint64_t print;

	if (!hex(&head, &print))
		return -EPROTO;
	if (b->begun && print != b->print)
		return -EAGAIN;
	b->begun = true;
	b->print = print;
	return 0;
}

static int
boxes_page(struct boxes *b, struct slice text, bool *more)
{
	struct slice head = slice_split(&text, '\n');
	struct slice word = slice_split(&head, ' ');
	size_t cap;
	struct here_box *v;
	int rc;

	*more = slice_eq_str(word, "more");
	if (!*more && !slice_eq_str(word, "end"))
		return -EPROTO;
	if ((rc = same_list(b, head)) != 0)
		return rc;
	while (text.n > 0) {
		if (b->n == b->cap) {
			cap = b->cap == 0 ? 32 : b->cap * 2;
			if ((v = arena_array(b->a, cap, sizeof(*v))) == NULL)
				return -ENOMEM;
			if (b->n > 0)
				memcpy(v, b->v, b->n * sizeof(*v));
			b->v = v;
			b->cap = cap;
		}
		rc = take_box(b->a, slice_split(&text, '\n'), &b->v[b->n]);
		if (rc != 0)
			return rc;
		b->n++;
	}
	return 0;
}

int
here_boxes(struct fetch *f, struct arena *a, struct here_box **out, size_t *n)
{
	struct boxes b = { .a = a };
	struct arena page = ARENA_INIT_MAX(REPLY_MAX);
	struct buf after = BUF_INIT_MAX(LINE_MAX_OCTETS);
	struct smtp_reply reply;
	bool more = true;
	size_t had;
	int rc = 0;

	while (rc == 0 && more) {
		arena_reset(&page);
		buf_reset(&after);
		had = b.n;
		if (b.n > 0)
			smtp_xtext_encode(slice_str(b.v[b.n - 1].name), &after);
		rc = here_ask(f, &page, "XBOXES", buf_slice(&after), &reply);
		if (rc == 0 && !smtp_reply_is_positive(&reply))
			rc = here_fail(f, 0, &reply);
		else if (rc == 0 &&
		    (rc = boxes_page(&b, reply.text, &more)) != 0)
			here_fail(f, rc, NULL);
		more &= b.n > had;
	}
	arena_reset(&page);
	buf_clear(&after);
	*out = b.v;
	*n = b.n;
	return rc;
}

/* --- changes --- */

/* Bits of that mailbox's keywords as bits of ours. */
struct bits {
	struct merge_flags of[PAIR_KEYWORDS];
	size_t n;
};

static bool
take_cursor(struct slice line, struct pair_cursor *c)
{
	return number_u32(&line, &c->uidvalidity) &&
	    number_u32(&line, &c->uid) &&
	    number(&line, INT64_MAX, &c->modseq) &&
	    number_u32(&line, &c->modseq_uid);
}

static int
add_change(struct here_box *b, const struct here_change *c)
{
	size_t cap = b->cap == 0 ? 64 : b->cap * 2;
	struct here_change *v;

	if (b->n == CHANGES_MAX) {
		b->cut = true;
		return 0;
	}
	if (b->n == b->cap) {
		if ((v = reallocarray(b->v, cap, sizeof(*v))) == NULL)
			return -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] = *c;
	return 0;
}

static int
take_change(struct here_box *b, const struct bits *bits, struct slice line)
{
	struct here_change c = { .gone = slice_starts(line, "- ") };
	uint64_t system, keywords;

	line = slice_from(line, 2);
	if (!number_u32(&line, &c.uid))
		return -EPROTO;
	if (c.gone)
		return add_change(b, &c);
	if (!hex(&line, &c.print) || !hex(&line, &system) ||
	    !hex(&line, &keywords))
		return -EPROTO;
	c.flags.system = (uint32_t)system & ((1u << SYSTEM_FLAGS) - 1);
	for (size_t i = 0; i < bits->n; i++)
		if (keywords & UINT64_C(1) << i)
			c.flags.keywords |= bits->of[i].keywords;
	return add_change(b, &c);
}

static int
changes_page(
    struct pair_keywords *k, struct here_box *b, struct slice text, bool *more)
{
	struct slice head = slice_split(&text, '\n'),
		     word = slice_split(&head, ' ');
	struct bits bits = { .n = 0 };
	int rc = 0;

	*more = slice_eq_str(word, "more");
	if ((!*more && !slice_eq_str(word, "end")) ||
	    !take_cursor(head, &b->cursor))
		return -EPROTO;
	while (rc == 0 && text.n > 0) {
		struct slice line = slice_split(&text, '\n');

		if (slice_starts(line, "k ") && bits.n < PAIR_KEYWORDS)
			(void)pair_flag_add(
			    k, &bits.of[bits.n++], slice_from(line, 2));
		else if (slice_starts(line, "+ ") || slice_starts(line, "- "))
			rc = take_change(b, &bits, line);
		else
			rc = -EPROTO;
	}
	return rc;
}

int
here_changes(struct fetch *f, struct pair_keywords *k, struct here_box *b)
{
	struct arena page = ARENA_INIT_MAX(REPLY_MAX);
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);
	struct smtp_reply reply;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		arena_reset(&page);
		buf_reset(&args);
		buf_printf(&args, "%u;%u;%llu;%u;", b->cursor.uidvalidity,
		    b->cursor.uid, (unsigned long long)b->cursor.modseq,
		    b->cursor.modseq_uid);
		smtp_xtext_encode(slice_str(b->name), &args);
		rc = here_ask(f, &page, "XCHANGES", buf_slice(&args), &reply);
		if (rc == 0 && smtp_reply_is_positive(&reply))
			rc = changes_page(k, b, reply.text, &more);
		else if (rc == 0 && reply.code == 552)
			rc = take_cursor(reply.text, &b->cursor) ? -ESTALE
								 : -EPROTO;
		else if (rc == 0 && reply.code == 550)
			rc = -ENOENT;
		else if (rc == 0)
			rc = here_fail(f, 0, &reply);
	}
	if (rc == -EPROTO || rc == -ENOMEM)
		here_fail(f, rc, NULL);
	arena_reset(&page);
	buf_clear(&args);
	return rc;
}

int
here_changes_or_all(
    struct fetch *f, struct pair_keywords *k, struct here_box *b)
{
	int rc = here_changes(f, k, b);

	if (rc == -ENOENT)
		return 0;
	if (rc != -ESTALE)
		return rc;
	b->cursor.uid = 1;
	rc = here_changes(f, k, b);
	return rc == -ENOENT || rc == -ESTALE ? 0 : rc;
}

const char *
here_cursor_name(const struct here_box *b, char room[static 12])
{
	if (strcmp(b->name, "INBOX") == 0)
		return "INBOX";
	snprintf(room, 12, "%u", b->uidvalidity);
	return room;
}

bool
here_is_behind(const struct here_box *b)
{
	return b->cursor.uidvalidity != b->uidvalidity ||
	    b->cursor.uid != b->uidnext || b->cursor.modseq != b->modseq;
}

void
here_box_clear(struct here_box *b)
{
	free(b->v);
	b->v = NULL;
	b->n = b->cap = 0;
}

/* --- doing --- */

static int
apply_step(struct fetch *f, const struct here_box *b, enum here_op op,
    const uint32_t *uids, size_t n, struct slice flags, bool *some)
{
	static const char *const words[] = { "add", "remove", "gone" };
	struct arena a = ARENA_INIT_MAX(8192);
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);
	struct smtp_reply reply;
	int rc;

	buf_printf(&args, "%s;%u;", words[op], b->uidvalidity);
	imap_set_put(&args, uids, n);
	buf_put_char(&args, ';');
	smtp_xtext_encode(slice_str(b->name), &args);
	buf_put_char(&args, ';');
	smtp_xtext_encode(flags, &args);
	rc = args.failed ? here_fail(f, -E2BIG, NULL)
			 : here_ask(f, &a, "XAPPLY", buf_slice(&args), &reply);
	if (rc == 0 && smtp_reply_is_positive(&reply))
		*some |= slice_eq_str(reply.text, "some");
	else if (rc == 0 && reply.code != 550)
		rc = here_fail(f, 0, &reply);
	arena_reset(&a);
	buf_clear(&args);
	return rc;
}

/* As many flags as fit into a line with all the rest; *all is what is left. */
static struct slice
some_flags(struct slice *all)
{
	struct slice out = slice_head(*all, 0), rest = *all;

	while (rest.n > 0) {
		(void)slice_split(&rest, ' ');
		if (out.n > 0 && (size_t)(rest.p - all->p) > FLAGS_STEP)
			break;
		out = slice_head(*all, (size_t)(rest.p - all->p));
	}
	*all = slice_from(*all, out.n);
	return out;
}

int
here_apply(struct fetch *f, const struct here_box *b, enum here_op op,
    const uint32_t *uids, size_t n, struct slice flags, bool *some)
{
	struct slice part;
	size_t step;
	int rc = 0;

	*some = false;
	do {
		part = some_flags(&flags);
		for (size_t at = 0; at < n && rc == 0; at += step) {
			step = n - at < APPLY_STEP ? n - at : APPLY_STEP;
			rc = apply_step(f, b, op, uids + at, step, part, some);
		}
	} while (rc == 0 && flags.n > 0);
	return rc;
}

/* "<uidvalidity>", and a line for each: UID, and UID there. */
static int
take_moved(struct slice text, const uint32_t *uids, size_t n, uint32_t *to_uids,
    uint32_t *uidvalidity)
{
	struct slice line = slice_split(&text, '\n');
	uint32_t from, to;

	if (slice_eq_str(line, "done")) /* none was there any more */
		return 0;
	if (!number_u32(&line, uidvalidity))
		return -EPROTO;
	while (text.n > 0) {
		line = slice_split(&text, '\n');
		if (!number_u32(&line, &from) || !number_u32(&line, &to))
			return -EPROTO;
		for (size_t i = 0; i < n; i++)
			if (uids[i] == from)
				to_uids[i] = to;
	}
	return 0;
}

static int
move_step(struct fetch *f, const struct here_box *b, struct slice target,
    const uint32_t *uids, size_t n, uint32_t *to_uids, uint32_t *uidvalidity)
{
	struct arena a = ARENA_INIT_MAX(REPLY_MAX);
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);
	struct smtp_reply reply;
	int rc;

	buf_printf(&args, "move;%u;", b->uidvalidity);
	imap_set_put(&args, uids, n);
	buf_put_char(&args, ';');
	smtp_xtext_encode(slice_str(b->name), &args);
	buf_put_char(&args, ';');
	smtp_xtext_encode(target, &args);
	rc = args.failed ? here_fail(f, -E2BIG, NULL)
			 : here_ask(f, &a, "XAPPLY", buf_slice(&args), &reply);
	if (rc == 0 && smtp_reply_is_positive(&reply) &&
	    (rc = take_moved(reply.text, uids, n, to_uids, uidvalidity)) != 0)
		here_fail(f, rc, NULL);
	else if (rc == 0 && !smtp_reply_is_positive(&reply))
		rc = here_fail(f, 0, &reply);
	arena_reset(&a);
	buf_clear(&args);
	return rc;
}

int
here_move(struct fetch *f, const struct here_box *b, struct slice to,
    const uint32_t *uids, size_t n, uint32_t *to_uids, uint32_t *uidvalidity)
{
	size_t step;
	int rc = 0;

	*uidvalidity = 0;
	memset(to_uids, 0, n * sizeof(*to_uids));
	for (size_t at = 0; at < n && rc == 0; at += step) {
		step = n - at < APPLY_STEP ? n - at : APPLY_STEP;
		rc = move_step(
		    f, b, to, uids + at, step, to_uids + at, uidvalidity);
	}
	return rc;
}

/* --- mailboxes as such --- */

static int
box_command(struct fetch *f, struct buf *args, uint32_t *out)
{
	struct arena a = ARENA_INIT_MAX(8192);
	struct smtp_reply reply;
	uint64_t n = 0;
	int rc = args->failed
	    ? here_fail(f, -E2BIG, NULL)
	    : here_ask(f, &a, "XBOX", buf_slice(args), &reply);

	if (rc == 0 && smtp_reply_is_positive(&reply)) {
		if (out != NULL && slice_u64(reply.text, UINT32_MAX, &n) != 0)
			rc = here_fail(f, -EPROTO, NULL);
	} else if (rc == 0) {
		rc = reply.code == 550 || reply.code == 553
		    ? 1
		    : here_fail(f, 0, &reply);
	}
	if (out != NULL)
		*out = (uint32_t)n;
	arena_reset(&a);
	buf_clear(args);
	return rc;
}

int
here_make(
    struct fetch *f, struct slice name, const char *use, uint32_t *uidvalidity)
{
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);

	buf_printf(&args, "make;%s;", *use != '\0' ? use : "-");
	smtp_xtext_encode(name, &args);
	return box_command(f, &args, uidvalidity);
}

int
here_rename(struct fetch *f, const struct here_box *b, struct slice to)
{
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);

	buf_printf(&args, "rename;%u;", b->uidvalidity);
	smtp_xtext_encode(slice_str(b->name), &args);
	buf_put_char(&args, ';');
	smtp_xtext_encode(to, &args);
	return box_command(f, &args, NULL);
}

int
here_delete(struct fetch *f, const struct here_box *b)
{
	struct buf args = BUF_INIT_MAX(LINE_MAX_OCTETS);

	buf_printf(&args, "delete;%u;%u;%llu;", b->uidvalidity, b->uidnext,
	    (unsigned long long)b->modseq);
	smtp_xtext_encode(slice_str(b->name), &args);
	return box_command(f, &args, NULL);
}
