/* SPDX-License-Identifier: ISC */
#include "mailbox/mails/index_block.h"

#include <errno.h>
#include <stdlib.h>

#define VERSION 1
#define HEAD 14
#define GROUP 32u                   /* tokens */
#define CHUNK_MESSAGES 128u         /* a row for each so many */
#define LISTS_MAX ((size_t)6 << 20) /* of a block that is being made */
#define ALWAYS_OVER 24576u          /* tokens: has nearly every one */

/* How a list begins: an Elias gamma code of one of these. */
#define LIST_EMPTY 1u
#define LIST_ANY 2u  /* left out: any message */
#define LIST_SOME 2u /* and more: that minus this is how many */

struct index_maker {
	uint64_t now[INDEX_TOKENS / 64]; /* of the message being read */
	uint32_t n_now;
	struct buf lists; /* of each message: steps from token to token */
	uint32_t at[INDEX_BLOCK];   /* where each begins; then, how far read */
	int32_t token[INDEX_BLOCK]; /* read last */
	uint32_t end[INDEX_BLOCK];
	uint32_t uid[INDEX_BLOCK];
	struct index_set always;
	unsigned n;
	uint16_t counts[INDEX_TOKENS];
};

/* --- sets --- */

void
index_set_fill(struct index_set *s, unsigned n)
{
	for (unsigned w = 0; w < INDEX_WORDS; w++)
		s->words[w] = n >= (w + 1) * 64 ? UINT64_MAX
		    : n > w * 64                ? (UINT64_C(1) << n % 64) - 1
						: 0;
}

bool
index_set_is_empty(const struct index_set *s)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < INDEX_WORDS; w++)
		any |= s->words[w];
	return any == 0;
}

static void
set_add(struct index_set *s, unsigned i)
{
	s->words[i / 64] |= UINT64_C(1) << i % 64;
}

/* --- octets --- */

static void
put16(struct buf *b, unsigned v)
{
	buf_put_char(b, (char)(v >> 8));
	buf_put_char(b, (char)v);
}

static unsigned
get16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void
put_varint(struct buf *b, uint32_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_put_char(b, (char)(v | 0x80));
	buf_put_char(b, (char)v);
}

static uint32_t
get_varint(const char *p, uint32_t *at)
{
	uint32_t v = 0;
	unsigned char c;

	for (unsigned shift = 0; shift < 35; shift += 7) {
		c = (unsigned char)p[(*at)++];
		v |= (uint32_t)(c & 0x7f) << shift;
		if (c < 0x80)
			break;
	}
	return v;
}

/* --- taking messages in --- */

struct index_maker *
index_maker_new(void)
{
	return calloc(1, sizeof(struct index_maker));
}

void
index_maker_free(struct index_maker **out)
{
	struct index_maker *m = *out;

	*out = NULL;
	if (m == NULL)
		return;
	buf_clear(&m->lists);
	free(m);
}

void
index_maker_token(struct index_maker *m, uint16_t token)
{
	uint64_t bit = UINT64_C(1) << token % 64;

	m->n_now += (m->now[token / 64] & bit) == 0;
	m->now[token / 64] |= bit;
}

static void
put_tokens(struct index_maker *m)
{
	int32_t last = -1;

	for (unsigned w = 0; w < INDEX_TOKENS / 64; w++)
		for (uint64_t left = m->now[w]; left != 0; left &= left - 1) {
			int32_t token =
			    (int32_t)(w * 64) + __builtin_ctzll(left);

			put_varint(&m->lists, (uint32_t)(token - last));
			m->counts[token]++;
			last = token;
		}
}

int
index_maker_message(struct index_maker *m, uint32_t uid, bool always)
{
	m->uid[m->n] = uid;
	m->at[m->n] = (uint32_t)m->lists.n;
	m->token[m->n] = -1;
	if (always || m->n_now > ALWAYS_OVER)
		set_add(&m->always, m->n);
	else
		put_tokens(m);
	m->end[m->n++] = (uint32_t)m->lists.n;
	if (m->n_now > 0)
		memset(m->now, 0, sizeof(m->now));
	m->n_now = 0;
	return m->lists.failed ? -ENOMEM : 0;
}

unsigned
index_maker_count(const struct index_maker *m)
{
	return m->n;
}

bool
index_maker_is_full(const struct index_maker *m)
{
	return m->n == INDEX_BLOCK || m->lists.n > LISTS_MAX;
}

/* --- writing bits, the highest first --- */

struct bits_out {
	struct buf *b;
	uint64_t word;
	unsigned n; /* bits in it, under 8 between two calls */
};

static void
put_bits(struct bits_out *o, uint32_t v, unsigned n)
{
	o->word = o->word << n | v;
	for (o->n += n; o->n >= 8; o->n -= 8)
		buf_put_char(o->b, (char)(o->word >> (o->n - 8)));
}

static void
put_zeros(struct bits_out *o, unsigned n)
{
	for (; n > 16; n -= 16)
		put_bits(o, 0, 16);
	put_bits(o, 0, n);
}

static void
put_align(struct bits_out *o)
{
	if (o->n > 0)
		put_bits(o, 0, 8 - o->n);
}

static unsigned
log2_of(uint32_t v)
{
	return 31 - (unsigned)__builtin_clz(v);
}

/* v > 0: as many zeros as it has bits behind the first, then it. */
static void
put_gamma(struct bits_out *o, uint32_t v)
{
	put_zeros(o, log2_of(v));
	put_bits(o, v, log2_of(v) + 1);
}

/* Bits of a step that are written as they are: log2 of some 0.7 of the mean
 * step is best for steps by chance. */
static unsigned
rice_bits(unsigned count, unsigned n)
{
	unsigned mean = n * 11 / (count * 16);

	return mean < 2 ? 0 : log2_of(mean);
}

static void
put_list(struct bits_out *o, const uint16_t *list, unsigned count, unsigned n)
{
	unsigned k = rice_bits(count, n), next = 0;

	put_gamma(o, count + LIST_SOME);
	for (unsigned i = 0; i < count; i++) {
		unsigned step = list[i] - next;

		put_zeros(o, step >> k);
		put_bits(o, 1u << k | (step & ((1u << k) - 1)), k + 1);
		next = list[i] + 1u;
	}
}

static uint32_t
list_bits(const uint16_t *list, unsigned count, unsigned n)
{
	unsigned k = rice_bits(count, n), next = 0;
	uint32_t bits = 2 * log2_of(count + LIST_SOME) + 1;

	for (unsigned i = 0; i < count; i++) {
		bits += ((list[i] - next) >> k) + 1 + k;
		next = list[i] + 1u;
	}
	return bits;
}

/* --- a row --- */

/* The tokens of one row, turned round: messages by token. */
struct turned {
	unsigned lo, n; /* tokens */
	uint32_t *at;   /* n + 1: where each token's messages begin */
	uint16_t *v;
};

static int
turned_init(
    struct turned *t, const struct index_maker *m, unsigned lo, unsigned n)
{
	uint32_t sum = 0;

	*t = (struct turned){ lo, n, malloc((n + 1) * sizeof(*t->at)), NULL };
	if (t->at == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		t->at[i] = sum;
		sum += m->counts[lo + i];
	}
	t->at[n] = sum;
	t->v = malloc((sum + 1) * sizeof(*t->v));
	return t->v == NULL ? -ENOMEM : 0;
}

static void
turned_clear(struct turned *t)
{
	free(t->at);
	free(t->v);
}

/* Each message's list is read on from where the row before ended. */
static void
turned_fill(struct turned *t, struct index_maker *m)
{
	for (unsigned i = 0; i < m->n; i++)
		while (m->at[i] < m->end[i]) {
			uint32_t next = m->at[i];
			int32_t token = m->token[i] +
			    (int32_t)get_varint(m->lists.p, &next);

			if ((unsigned)token >= t->lo + t->n)
				break;
			t->v[t->at[(unsigned)token - t->lo]++] = (uint16_t)i;
			m->at[i] = next;
			m->token[i] = token;
		}
	/* Each now stands where the next one began. */
	for (unsigned i = t->n; i-- > 1;)
		t->at[i] = t->at[i - 1];
	t->at[0] = 0;
}

static unsigned
turned_count(const struct turned *t, unsigned i)
{
	return t->at[i + 1] - t->at[i];
}

/* Lists of at most so many messages are kept: what fits into `room` bits. */
static unsigned
commonest_kept(const struct turned *t, unsigned n, uint64_t room)
{
	uint32_t by_count[INDEX_BLOCK + 1] = { 0 };
	uint64_t used = 0;
	unsigned most = 0, count;

	for (unsigned i = 0; i < t->n; i++) {
		count = turned_count(t, i);
		used += count == 0 ? 1 : 3; /* LIST_EMPTY, LIST_ANY */
		if (count > 0)
			by_count[count] +=
			    list_bits(t->v + t->at[i], count, n) - 3;
	}
	while (most < n && used + by_count[most + 1] <= room)
		used += by_count[++most];
	return most;
}

static void
put_lists(struct buf *row, const struct turned *t, unsigned n, unsigned most)
{
	struct bits_out o = { .b = row };
	size_t groups = row->n, lists;
	unsigned count;

	for (unsigned i = 0; i < t->n / GROUP; i++)
		put16(row, 0);
	lists = row->n;
	for (unsigned i = 0; i < t->n && !row->failed; i++) {
		if (i % GROUP == 0) {
			size_t at = row->n - lists;

			row->p[groups++] = (char)(at >> 8);
			row->p[groups++] = (char)at;
		}
		count = turned_count(t, i);
		if (count == 0)
			put_gamma(&o, LIST_EMPTY);
		else if (count > most)
			put_gamma(&o, LIST_ANY);
		else
			put_list(&o, t->v + t->at[i], count, n);
		if (i % GROUP == GROUP - 1)
			put_align(&o);
	}
}

static void
put_messages(struct buf *row, const struct index_maker *m, uint32_t first)
{
	size_t at;
	unsigned n = 0;

	for (unsigned i = 0; i < m->n; i++) {
		put_varint(row, m->uid[i] - first);
		first = m->uid[i];
	}
	at = row->n;
	put16(row, 0);
	for (unsigned i = 0; i < m->n; i++)
		if (index_set_has(&m->always, i)) {
			put16(row, i);
			n++;
		}
	if (row->failed)
		return;
	row->p[at] = (char)(n >> 8);
	row->p[at + 1] = (char)n;
}

unsigned
index_maker_chunks(const struct index_maker *m)
{
	unsigned chunks = 1;

	while (chunks * CHUNK_MESSAGES < m->n)
		chunks *= 2;
	return chunks;
}

int
index_maker_chunk(struct index_maker *m, unsigned i, uint32_t first,
    uint32_t end, struct buf *row)
{
	unsigned chunks = index_maker_chunks(m), size = INDEX_TOKENS / chunks;
	size_t began = row->n, used;
	uint64_t room = (uint64_t)INDEX_OCTETS * m->n / chunks;
	struct turned t;
	int rc;

	if ((rc = turned_init(&t, m, i * size, size)) == 0) {
		turned_fill(&t, m);
		buf_put_char(row, VERSION);
		buf_put_char(row, (char)log2_of(chunks));
		buf_put_char(row, (char)i);
		buf_put_char(row, 0);
		buf_put_be32(row, first);
		buf_put_be32(row, end);
		put16(row, m->n);
		if (i == 0)
			put_messages(row, m, first);
		/* Also what is lost to octets where groups end. */
		used = row->n - began + 3 * size / GROUP;
		room = room > used ? (room - used) * 8 : 0;
		put_lists(row, &t, m->n, commonest_kept(&t, m->n, room));
		rc = row->failed ? -ENOMEM : 0;
	}
	turned_clear(&t);
	return rc;
}

/* --- reading bits --- */

struct bits_in {
	struct slice s;
	size_t at; /* bits */
};

/* The next bits, the first on top: at least 57, or zeros behind the end. */
static uint64_t
peek(const struct bits_in *in)
{
	size_t octet = in->at / 8;
	uint64_t v;

	if (octet + 8 <= in->s.n) {
		v = get_be64(in->s.p + octet);
	} else {
		v = 0;
		for (size_t i = 0; i < 8 && octet + i < in->s.n; i++)
			v |= (uint64_t)(unsigned char)in->s.p[octet + i]
			    << (56 - 8 * i);
	}
	return v << in->at % 8;
}

/* 0: broken. */
static uint32_t
get_gamma(struct bits_in *in)
{
	uint64_t v = peek(in);
	unsigned zeros = v == 0 ? 64 : (unsigned)__builtin_clzll(v);

	if (zeros > 16)
		return 0;
	in->at += 2 * zeros + 1;
	return (uint32_t)(v >> (63 - 2 * zeros));
}

/* A step; over INDEX_BLOCK when broken. */
static uint32_t
get_step(struct bits_in *in, unsigned k)
{
	uint32_t high = 0;
	uint64_t v;
	unsigned zeros;

	while ((v = peek(in)) >> 24 == 0) {
		in->at += 40;
		if ((high += 40) > INDEX_BLOCK)
			return high;
	}
	zeros = (unsigned)__builtin_clzll(v);
	in->at += zeros + 1 + k;
	v = v << zeros << 1;
	return (high + zeros) << k | (k == 0 ? 0 : (uint32_t)(v >> (64 - k)));
}

/* Read the list, into `out` unless that is NULL. 1: LIST_ANY. -EBADMSG. */
static int
get_list(struct bits_in *in, unsigned n, struct index_set *out)
{
	uint32_t head = get_gamma(in), count, next = 0, step;
	unsigned k;

	if (head == LIST_EMPTY)
		return 0;
	if (head == LIST_ANY)
		return 1;
	count = head - LIST_SOME;
	if (head == 0 || count > n)
		return -EBADMSG;
	k = rice_bits(count, n);
	for (; count > 0; count--) {
		step = get_step(in, k);
		if (step >= n || next + step >= n)
			return -EBADMSG;
		if (out != NULL)
			set_add(out, next + step);
		next += step + 1;
	}
	return in->at > in->s.n * 8 ? -EBADMSG : 0;
}

/* --- reading rows --- */

/* Octets of n varints; 0 when they are not there. */
static size_t
varints_length(struct slice s, unsigned n)
{
	size_t at = 0, run = 0;

	for (; n > 0; n -= (unsigned char)s.p[at++] < 0x80) {
		if (at == s.n)
			return 0;
		run = (unsigned char)s.p[at] < 0x80 ? 0 : run + 1;
		if (run > 4)
			return 0;
	}
	return at;
}

static int
read_messages(struct slice *rest, struct index_chunk *out)
{
	size_t n = varints_length(*rest, out->n), always;

	if (n == 0)
		return -EBADMSG;
	out->uids = slice_head(*rest, n);
	*rest = slice_from(*rest, n);
	if (rest->n < 2 || (always = 2 * get16(rest->p)) > rest->n - 2)
		return -EBADMSG;
	out->always = slice(rest->p + 2, always);
	*rest = slice_from(*rest, 2 + always);
	return 0;
}

int
index_chunk_read(struct slice row, struct index_chunk *out)
{
	struct slice rest = slice_from(row, HEAD);
	size_t groups;
	int rc;

	*out = (struct index_chunk){ .n = 0 };
	if (row.n < HEAD || row.p[0] != VERSION || (unsigned char)row.p[1] > 3)
		return -EBADMSG;
	out->chunks = 1u << row.p[1];
	out->i = (unsigned char)row.p[2];
	out->first = get_be32(row.p + 4);
	out->end = get_be32(row.p + 8);
	out->n = get16(row.p + 12);
	if (out->i >= out->chunks || out->n == 0 || out->n > INDEX_BLOCK ||
	    out->end <= out->first)
		return -EBADMSG;
	if (out->i == 0 && (rc = read_messages(&rest, out)) != 0)
		return rc;
	groups = 2 * (INDEX_TOKENS / out->chunks / GROUP);
	if (rest.n < groups)
		return -EBADMSG;
	out->groups = slice_head(rest, groups);
	out->lists = slice_from(rest, groups);
	return 0;
}

bool
index_chunk_has(const struct index_chunk *c, uint16_t token)
{
	return token / (INDEX_TOKENS / c->chunks) == c->i;
}

int
index_chunk_and(
    const struct index_chunk *c, uint16_t token, struct index_set *s)
{
	unsigned at = token % (INDEX_TOKENS / c->chunks);
	struct bits_in in = { .s = c->lists };
	struct index_set list = { { 0 } };
	int rc = 0;

	in.at = (size_t)get16(c->groups.p + 2 * (at / GROUP)) * 8;
	for (unsigned i = 0; i < at % GROUP && rc >= 0; i++)
		rc = get_list(&in, c->n, NULL);
	if (rc >= 0)
		rc = get_list(&in, c->n, &list);
	if (rc != 0)
		return rc < 0 ? rc : 0;
	for (unsigned w = 0; w < INDEX_WORDS; w++)
		s->words[w] &= list.words[w];
	return 0;
}

int
index_chunk_uids(const struct index_chunk *c, uint32_t *uids)
{
	uint32_t at = 0, last = c->first, step;

	for (unsigned i = 0; i < c->n; i++) {
		step = get_varint(c->uids.p, &at);
		if (step >= c->end - last || (i > 0 && step == 0))
			return -EBADMSG;
		uids[i] = last += step;
	}
	return 0;
}

int
index_chunk_always(const struct index_chunk *c, struct index_set *s)
{
	for (size_t at = 0; at < c->always.n; at += 2) {
		unsigned i = get16(c->always.p + at);

		if (i >= c->n)
			return -EBADMSG;
		set_add(s, i);
	}
	return 0;
}
