/* SPDX-License-Identifier: ISC */
#include "mailbox/ipfs/manifest.h"

#include <errno.h>

#define VERSION 1
#define RECORD_HEAD 5
#define RECORD_MAX ((size_t)96 << 10)
#define ACCOUNT_MAX 320
#define KEYWORD_MAX 255
#define FLAGS_KNOWN 0x1f /* enum mails_flag */
#define ATTRS_KNOWN (MAILS_SUBSCRIBED | MAILS_NOSELECT | MAILS_SPECIAL_USES)

/* --- writing --- */

static size_t
record_begin(struct buf *out, char letter)
{
	buf_put_char(out, letter);
	buf_put_be32(out, 0);
	return out->n;
}

static bool
record_end(struct buf *out, size_t at)
{
	if (!out->failed)
		put_be32(out->p + at - 4, (uint32_t)(out->n - at));
	return !out->failed;
}

bool
manifest_put_head(struct buf *out, const struct manifest_head *h)
{
	size_t at = record_begin(out, 'H');

	buf_put_char(out, VERSION);
	buf_put_be64(out, (uint64_t)h->made_s);
	buf_put_slice(out, h->account);
	return record_end(out, at);
}

bool
manifest_put_mailbox(struct buf *out, const struct manifest_mailbox *b)
{
	size_t at = record_begin(out, 'B');

	buf_put_be32(out, b->attrs);
	buf_put_be32(out, b->uidvalidity);
	buf_put_be32(out, b->uidnext);
	buf_put_be64(out, b->modseq);
	buf_put_char(out, (char)(b->name.n >> 8));
	buf_put_char(out, (char)b->name.n);
	buf_put_slice(out, b->name);
	for (size_t i = 0; i < b->n_keywords; i++) {
		buf_put_char(out, (char)b->keywords[i].n);
		buf_put_slice(out, b->keywords[i]);
	}
	return record_end(out, at);
}

bool
manifest_put_message(struct buf *out, const struct manifest_message *m)
{
	const struct row *r = &m->row;
	size_t at = record_begin(out, 'M');

	buf_put_be32(out, m->uid);
	buf_put_be32(out, r->flags.system);
	buf_put_be64(out, r->flags.keywords);
	buf_put_be64(out, (uint64_t)r->internaldate);
	buf_put_be64(out, (uint64_t)r->savedate);
	buf_put_be64(out, r->size);
	buf_put(out, r->blob.octets, sizeof(r->blob.octets));
	buf_put_char(out, r->framed);
	buf_put_char(out, (char)r->wrap.kind);
	buf_put(out, r->wrap.octets, wrap_octets(r->wrap.kind));
	buf_put(out, m->key, sizeof(m->key));
	buf_put_be64(out, m->stored);
	buf_put_slice(out, m->digests);
	return record_end(out, at);
}

bool
manifest_put_end(struct buf *out, const struct manifest_end *e)
{
	size_t at = record_begin(out, 'Z');

	buf_put_be32(out, e->mailboxes);
	buf_put_be64(out, e->messages);
	return record_end(out, at);
}

/* --- reading --- */

/* Octets that are taken from the front; `bad` sticks. */
struct taking {
	struct slice in;
	bool bad;
};

static struct slice
take(struct taking *t, size_t n)
{
	struct slice part = slice_head(t->in, n);

	if (part.n < n) {
		t->bad = true;
		t->in = SLICE_EMPTY;
		return SLICE_EMPTY;
	}
	t->in = slice_from(t->in, n);
	return part;
}

static uint64_t
take_number(struct taking *t, size_t octets)
{
	struct slice part = take(t, octets);
	uint64_t v = 0;

	for (size_t i = 0; i < part.n; i++)
		v = v << 8 | (unsigned char)part.p[i];
	return v;
}

static void
take_octets(struct taking *t, void *out, size_t n)
{
	struct slice part = take(t, n);

	memcpy(out, part.p, part.n);
}

static int
take_head(struct manifest_reader *r, struct taking *t)
{
	struct manifest_head h;
	uint64_t version = take_number(t, 1);

	h.made_s = (int64_t)take_number(t, 8);
	h.account = t->in;
	if (t->bad || version != VERSION || h.account.n == 0 ||
	    h.account.n > ACCOUNT_MAX ||
	    memchr(h.account.p, '\0', h.account.n) != NULL)
		return -EBADMSG;
	r->begun = true;
	return r->fns->head(r->arg, &h);
}

static int
take_mailbox(struct manifest_reader *r, struct taking *t)
{
	struct manifest_mailbox b = { .attrs = (uint32_t)take_number(t, 4),
		.uidvalidity = (uint32_t)take_number(t, 4),
		.uidnext = (uint32_t)take_number(t, 4),
		.modseq = take_number(t, 8) };
	struct slice *k;

	b.name = take(t, (size_t)take_number(t, 2));
	while (t->in.n > 0 && !t->bad) {
		if (b.n_keywords == MAILS_KEYWORDS_MAX)
			return -EBADMSG;
		k = &b.keywords[b.n_keywords++];
		*k = take(t, (size_t)take_number(t, 1));
		if (k->n == 0 || memchr(k->p, '\0', k->n) != NULL)
			return -EBADMSG;
	}
	if (t->bad || b.name.n == 0 || b.name.n > MAILS_NAME_MAX ||
	    memchr(b.name.p, '\0', b.name.n) != NULL ||
	    (b.attrs & ~(uint32_t)ATTRS_KNOWN) != 0 ||
	    (b.uidvalidity == 0) != (b.uidnext == 0))
		return -EBADMSG;
	r->in_mailbox = true;
	r->uidnext = b.uidnext;
	r->last_uid = 0;
	r->n_keywords = b.n_keywords;
	r->seen.mailboxes++;
	return r->fns->mailbox(r->arg, &b);
}

static bool
message_is_fit(
    const struct manifest_reader *r, const struct manifest_message *m)
{
	const struct mails_flags *f = &m->row.flags;

	return r->in_mailbox && m->uid > r->last_uid && m->uid < r->uidnext &&
	    (f->system & ~(uint32_t)FLAGS_KNOWN) == 0 &&
	    (r->n_keywords == 64 || f->keywords >> r->n_keywords == 0) &&
	    m->digests.n % CID_DIGEST == 0 && m->n <= IPFS_BLOCKS_MAX &&
	    m->n == block_count(m->stored);
}

static int
take_message(struct manifest_reader *r, struct taking *t)
{
	struct manifest_message m = { .uid = (uint32_t)take_number(t, 4) };
	uint64_t framed, kind;

	m.row.flags.system = (uint32_t)take_number(t, 4);
	m.row.flags.keywords = take_number(t, 8);
	m.row.internaldate = (int64_t)take_number(t, 8);
	m.row.savedate = (int64_t)take_number(t, 8);
	m.row.size = take_number(t, 8);
	take_octets(t, m.row.blob.octets, sizeof(m.row.blob.octets));
	framed = take_number(t, 1);
	kind = take_number(t, 1);
	if (t->bad || framed > 1 || kind > WRAP_CLEAR)
		return -EBADMSG;
	m.row.framed = framed == 1;
	m.row.wrap.kind = (enum wrap_kind)kind;
	take_octets(t, m.row.wrap.octets, wrap_octets(m.row.wrap.kind));
	take_octets(t, m.key, sizeof(m.key));
	m.stored = take_number(t, 8);
	m.digests = t->in;
	m.n = m.digests.n / CID_DIGEST;
	if (t->bad || !message_is_fit(r, &m))
		return -EBADMSG;
	r->last_uid = m.uid;
	r->seen.messages++;
	return r->fns->message(r->arg, &m);
}

static int
take_end(struct manifest_reader *r, struct taking *t)
{
	struct manifest_end e = { .mailboxes = (uint32_t)take_number(t, 4),
		.messages = take_number(t, 8) };

	if (t->bad || t->in.n > 0 || e.mailboxes != r->seen.mailboxes ||
	    e.messages != r->seen.messages)
		return -EBADMSG;
	r->ended = true;
	return 0;
}

static int
take_record(struct manifest_reader *r, char letter, struct slice octets)
{
	struct taking t = { octets, false };

	if (r->ended || r->begun != (letter != 'H'))
		return -EBADMSG;
	switch (letter) {
	case 'H':
		return take_head(r, &t);
	case 'B':
		return take_mailbox(r, &t);
	case 'M':
		return take_message(r, &t);
	case 'Z':
		return take_end(r, &t);
	default:
		return -EBADMSG;
	}
}

void
manifest_reader_init(
    struct manifest_reader *r, const struct manifest_fns *fns, void *arg)
{
	*r = (struct manifest_reader){ .fns = fns,
		.arg = arg,
		.held = BUF_INIT_MAX(RECORD_HEAD + RECORD_MAX) };
}

void
manifest_reader_clear(struct manifest_reader *r)
{
	buf_wipe(&r->held);
}

/* Octets of the record that begins there; 0: not even that is known. */
static int
record_octets(struct slice in, size_t *out)
{
	size_t n;

	*out = 0;
	if (in.n < RECORD_HEAD)
		return 0;
	if ((n = get_be32(in.p + 1)) > RECORD_MAX)
		return -EBADMSG;
	*out = RECORD_HEAD + n;
	return 0;
}

/* Into `held`, up to n octets of it. */
static int
hold(struct manifest_reader *r, struct slice *octets, size_t n)
{
	struct slice part = slice_head(*octets, n - r->held.n);

	*octets = slice_from(*octets, part.n);
	return buf_put_slice(&r->held, part) ? 0 : -ENOMEM;
}

int
manifest_feed(struct manifest_reader *r, struct slice octets)
{
	size_t n;
	int rc = 0;

	while (octets.n > 0 && rc == 0) {
		if (r->ended)
			return -EBADMSG;
		rc = record_octets(buf_slice(&r->held), &n);
		if (rc == 0)
			rc = hold(r, &octets, n == 0 ? RECORD_HEAD : n);
		if (rc == 0)
			rc = record_octets(buf_slice(&r->held), &n);
		if (rc != 0 || n == 0 || r->held.n < n)
			continue;
		rc = take_record(r, r->held.p[0],
		    slice(r->held.p + RECORD_HEAD, n - RECORD_HEAD));
		buf_reset(&r->held);
	}
	return rc;
}

int
manifest_feed_end(const struct manifest_reader *r)
{
	return r->ended && r->held.n == 0 ? 0 : -EBADMSG;
}
