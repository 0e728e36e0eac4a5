/* SPDX-License-Identifier: ISC */
/*
 * The search index: its blocks, and that a search by it finds what a look at
 * every message finds, for mail of all kinds, through deliveries, copies,
 * moves and expunges.
 */
#include <iconv.h>

#include "common/base/clock.h"
#include "common/mail/casemap.h"
#include "common/mail/encoded.h"
#include "common/mail/transfer.h"
#include "mailbox/imap/imap_search.h"
#include "mailbox/mails/index_impl.h"
#include "tests/unit/mailbox/mails_test.h"

static uint32_t seed = 1;

static uint32_t
chance(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* --- blocks --- */

static bool
has_token(unsigned message, unsigned token)
{
	uint32_t h = (message * 2654435761u) ^ (token * 40503u);

	h ^= h >> 15;
	h *= 2246822519u;
	h ^= h >> 13;
	/* Some tokens are everywhere, most are rare, many are nowhere. */
	if (token % 3 == 0)
		return false;
	return h % (token % 97 + 1) == 0 && h / 128 % 16 == 0;
}

static void
block_keeps_what_it_is_given(unsigned n, bool is_bounded)
{
	struct index_maker *m = index_maker_new();
	struct buf rows[INDEX_CHUNKS] = { { 0 } };
	uint32_t uids[INDEX_BLOCK];
	struct index_chunk c;
	struct index_set s;
	unsigned chunks;
	size_t size = 0;

	for (unsigned i = 0; i < n; i++) {
		for (unsigned t = 0; t < INDEX_TOKENS; t++)
			if (has_token(i, t))
				index_maker_token(m, (uint16_t)t);
		assert_int_equal(
		    index_maker_message(m, 100 + i * 3, i == 5), 0);
	}
	chunks = index_maker_chunks(m);
	for (unsigned i = 0; i < chunks; i++) {
		assert_int_equal(
		    index_maker_chunk(m, i, 90, 100 + n * 3, &rows[i]), 0);
		size += rows[i].n;
		assert_true(rows[i].n <= STORE_VALUE_MAX);
	}
	index_maker_free(&m);
	if (is_bounded)
		assert_true(size <= INDEX_OCTETS * n);
	assert_int_equal(index_chunk_read(buf_slice(&rows[0]), &c), 0);
	assert_int_equal(c.n, n);
	assert_int_equal(index_chunk_uids(&c, uids), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(uids[i], 100 + i * 3);
	index_set_fill(&s, 0);
	assert_int_equal(index_chunk_always(&c, &s), 0);
	assert_true(n <= 5 || index_set_has(&s, 5));
	for (unsigned t = 0; t < INDEX_TOKENS; t += 1 + t % 7) {
		unsigned i = t / (INDEX_TOKENS / chunks), found = 0;

		assert_int_equal(index_chunk_read(buf_slice(&rows[i]), &c), 0);
		assert_true(index_chunk_has(&c, (uint16_t)t));
		index_set_fill(&s, n);
		assert_int_equal(index_chunk_and(&c, (uint16_t)t, &s), 0);
		for (unsigned k = 0; k < n; k++) {
			if (k != 5 && has_token(k, t))
				assert_true(index_set_has(&s, k));
			found += index_set_has(&s, k);
		}
		/* All or exactly those. */
		for (unsigned k = 0; k < n && found < n; k++)
			if (k != 5 && !has_token(k, t))
				assert_false(index_set_has(&s, k));
	}
	for (unsigned i = 0; i < chunks; i++)
		buf_clear(&rows[i]);
}

static void
blocks(void **state)
{
	static const unsigned sizes[] = { 1, 2, 64, 128, 129, 500, 1024 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		block_keeps_what_it_is_given(sizes[i], sizes[i] >= 128);
}

/* Damage is an error or another list, never a crash. */
static void
damaged_blocks(void **state)
{
	struct index_maker *m = index_maker_new();
	struct buf row = BUF_INIT;
	uint32_t uids[INDEX_BLOCK];

	(void)state;
	for (unsigned i = 0; i < 128; i++) {
		for (unsigned k = 0; k < 300; k++)
			index_maker_token(m, (uint16_t)chance(INDEX_TOKENS));
		index_maker_message(m, i + 1, false);
	}
	assert_int_equal(index_maker_chunk(m, 0, 1, 200, &row), 0);
	index_maker_free(&m);
	for (unsigned k = 0; k < 3000; k++) {
		struct slice s = buf_slice(&row);
		char *copy;
		struct index_chunk c;
		struct index_set set;

		s.n = k % 3 == 0 ? chance((uint32_t)s.n) : s.n;
		copy = malloc(s.n + 1);
		memcpy(copy, s.p, s.n);
		for (unsigned f = 0; f < 4 && s.n > 0; f++)
			copy[chance((uint32_t)s.n >> chance(9)) % s.n] ^=
			    (char)(1 << chance(8));
		if (index_chunk_read(slice(copy, s.n), &c) == 0) {
			index_set_fill(&set, c.n);
			for (unsigned t = 0; t < 50; t++)
				(void)index_chunk_and(
				    &c, (uint16_t)chance(INDEX_TOKENS), &set);
			if (c.i == 0) {
				(void)index_chunk_uids(&c, uids);
				(void)index_chunk_always(&c, &set);
			}
		}
		free(copy);
	}
	buf_clear(&row);
}

/* --- random mail --- */

static const char *const words[] = { "capsule", "tube", "Stra\303\237e",
	"\303\251t\303\251", "\320\237\320\275\320\265\320\262\320\274\320\276",
	"\345\234\247\347\270\256", "report", "quarter", "invoice", "lunch",
	"pressure", "valve", "the", "and", "of", "station", "\316\221\316\270",
	"\357\254\201n", "O'Neil", "a\"b", "100%", "x@y.example" };

static void
put_words(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			buf_put_char(b, i % 12 == 11 ? '\n' : ' ');
		if (chance(4) == 0)
			buf_printf(b, "w%x", chance(100000));
		else
			buf_put_str(b, words[chance(22)]);
	}
}

static void
put_crlf(struct buf *b, struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '\n')
			buf_put_char(b, '\r');
		buf_put_char(b, text.p[i]);
	}
	buf_put_str(b, "\r\n");
}

/* In a charset that has not all of it: what is missing is "?". */
static void
put_charset(struct buf *b, struct slice text, const char *charset)
{
	iconv_t cd = iconv_open(charset, "UTF-8");
	char room[4096], *out = room, *in = (char *)(uintptr_t)text.p;
	size_t n_in = text.n, n_out = sizeof(room);

	assert_true(cd != (iconv_t)-1);
	while (n_in > 0 && iconv(cd, &in, &n_in, &out, &n_out) == (size_t)-1 &&
	    n_out > 8) {
		*out++ = '?';
		n_out--;
		do {
			in++;
			n_in--;
		} while (n_in > 0 && (*in & 0xc0) == 0x80);
	}
	iconv_close(cd);
	buf_put(b, room, sizeof(room) - n_out);
}

static void
put_encoded(struct buf *b, struct slice text, enum transfer_encoding how)
{
	struct transfer_encoder e;

	transfer_encoder_init(&e, how);
	transfer_encode(&e, text, b);
	transfer_encoder_end(&e, b);
	buf_put_str(b, "\r\n");
}

static void
put_html(struct buf *b, struct slice text)
{
	buf_put_str(b, "<html><style>p { color: hidden }</style><p>");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"')
			buf_put_str(b, "&quot;");
		else if (text.p[i] == ' ' && chance(3) == 0)
			buf_put_str(b, chance(2) ? " <b>" : "&nbsp;");
		else if (text.p[i] == 'e' && chance(2) == 0)
			buf_put_str(b, "<i>e</i>");
		else
			buf_put_char(b, text.p[i]);
	}
	buf_put_str(b, "</p></html>");
}

/* A part: its header fields, an empty line, its body. */
static void
put_part(struct buf *b)
{
	struct buf text = BUF_INIT, other = BUF_INIT;

	put_words(&text, 1 + chance(60));
	switch (chance(6)) {
	case 0:
		buf_put_str(
		    b, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		put_crlf(b, buf_slice(&text));
		break;
	case 1:
		buf_put_str(b,
		    "Content-Type: text/plain; charset=iso-8859-1\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
		put_charset(&other, buf_slice(&text), "ISO-8859-1");
		put_encoded(b, buf_slice(&other), TRANSFER_QP);
		break;
	case 2:
		buf_put_str(b,
		    "Content-Type: text/plain; charset=koi8-r\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n");
		put_charset(&other, buf_slice(&text), "KOI8-R");
		put_encoded(b, buf_slice(&other), TRANSFER_BASE64);
		break;
	case 3:
		buf_put_str(
		    b, "Content-Type: text/html; charset=utf-8\r\n\r\n");
		put_html(&other, buf_slice(&text));
		put_crlf(b, buf_slice(&other));
		break;
	case 4:
		buf_put_str(b,
		    "Content-Type: text/html; charset=utf-8\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n");
		put_html(&other, buf_slice(&text));
		put_encoded(b, buf_slice(&other), TRANSFER_BASE64);
		break;
	default:
		buf_put_str(
		    b, "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n");
		put_charset(&other, buf_slice(&text), "ISO-2022-JP");
		put_crlf(b, buf_slice(&other));
	}
	buf_clear(&text);
	buf_clear(&other);
}

static void
put_message(struct buf *b, int depth)
{
	struct buf text = BUF_INIT;

	buf_printf(b, "Received: from x (y [192.0.2.%u])\r\n\tby z id %x\r\n",
	    chance(256), chance(1 << 27));
	put_words(&text, 1 + chance(6));
	buf_put_str(b, chance(2) ? "Subject: " : "Subject:");
	encoded_put_text(b, buf_slice(&text), 9);
	buf_put_str(b, "\r\nFrom: ");
	buf_reset(&text);
	put_words(&text, 2);
	encoded_put_phrase(b, buf_slice(&text), 6);
	buf_printf(b, " <user%u@Example.test>\r\n", chance(50));
	buf_printf(b,
	    "To: \"Quo\\\"ted \\\\ %x\" <a%x@b.test>, g: c@d.test;\r\n"
	    "Message-ID: <%x.%x@z>\r\n",
	    chance(1 << 20), chance(1 << 20), chance(1 << 27), chance(1 << 27));
	switch (depth > 2 ? 9 : chance(10)) {
	case 0:
		buf_printf(b,
		    "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n",
		    depth);
		for (unsigned i = chance(3); i < 4; i++) {
			buf_printf(b, "--b%d\r\n", depth);
			put_part(b);
		}
		buf_printf(
		    b, "--b%d\r\nContent-Type: message/rfc822\r\n\r\n", depth);
		put_message(b, depth + 1);
		buf_printf(b, "--b%d--\r\n", depth);
		break;
	case 1:
		buf_put_str(b,
		    "Content-Type: application/pdf\r\n"
		    "Content-Transfer-Encoding: base64\r\n\r\n"
		    "c2VjcmV0IHdvcmRz\r\n");
		break;
	default:
		put_part(b);
	}
	buf_clear(&text);
}

static void
deliver_some(const char *mailbox, unsigned n)
{
	struct mails_message **msgs = calloc(n, sizeof(*msgs));
	struct mails_target *t = calloc(n, sizeof(*t));
	struct buf text = BUF_INIT;

	for (unsigned i = 0; i < n; i++) {
		buf_reset(&text);
		put_message(&text, 0);
		msgs[i] = message_of(buf_str(&text));
		t[i] = (struct mails_target){ .account = ALICE,
			.mailbox = slice_str(mailbox),
			.internaldate = INT64_MIN };
	}
	CHECK_INT(mails_deliver_each(msgs, t, n), 0);
	for (unsigned i = 0; i < n; i++)
		mails_message_free(&msgs[i]);
	free(msgs);
	free(t);
	buf_clear(&text);
}

/* --- a search with and without --- */

static uint64_t tested, candidates, matches;

static void
compare(struct mails_view *v, struct imap_search *q)
{
	uint64_t *may = imap_search_candidates(q, v);
	struct imap_search_run *run;

	CHECK_INT(imap_search_run_new(&run, q, v), 0);
	for (uint32_t seq = 1; seq <= mails_view_count(v); seq++) {
		int is = imap_search_test(run, seq);
		bool candidate = may == NULL ||
		    (may[(seq - 1) / 64] >> (seq - 1) % 64 & 1) != 0;

		tested++;
		candidates += candidate;
		matches += is == 1;
		CHECK(is == 0 || is == 1 || is == -ENOENT);
		CHECK(is != 1 || candidate);
	}
	imap_search_run_free(&run);
	free(may);
}

struct piece {
	struct buf text;
	unsigned seen;
};

/* One piece of all, by chance. */
static int
choose_piece(
    void *arg, enum search_text_kind kind, struct slice mapped, bool begins)
{
	struct piece *p = arg;

	(void)kind, (void)begins;
	if (mapped.n > 0 && chance(++p->seen) == 0) {
		buf_reset(&p->text);
		buf_put_slice(&p->text, mapped);
	}
	return 0;
}

/* Octets of a message's text, from anywhere in it. */
static void
needle_of(struct mails_view *v, struct buf *out)
{
	struct search_text t = { .turn_ms = 1000 };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct piece p = { BUF_INIT, 0 };
	struct mails_summary sum;
	uint32_t seq = 1 + chance(mails_view_count(v));
	size_t n = 1 + chance(14), at;

	buf_reset(out);
	if (mails_summary(v, seq, &a, &sum) == 0)
		(void)search_text_walk(&t, v, seq, &sum, 15, choose_piece, &p);
	at = p.text.n == 0 ? 0 : chance((uint32_t)p.text.n);
	buf_put_slice(out, slice_head(slice_from(buf_slice(&p.text), at), n));
	if (chance(8) == 0) {
		buf_reset(out);
		casemap_put(out, slice_str(words[chance(22)]));
	}
	buf_clear(&p.text);
	search_text_clear(&t);
	arena_reset(&a);
}

static void
compare_some(struct mails_view *v, unsigned n)
{
	static const enum imap_key_kind kinds[] = { IMAP_KEY_TEXT,
		IMAP_KEY_TEXT, IMAP_KEY_TEXT, IMAP_KEY_BODY, IMAP_KEY_BODY,
		IMAP_KEY_SUBJECT, IMAP_KEY_FROM, IMAP_KEY_TO, IMAP_KEY_HEADER };
	static const char *const fields[] = { "Subject", "to", "Received",
		"Message-ID" };
	struct buf needle[2] = { BUF_INIT, BUF_INIT };

	for (; n > 0 && mails_view_count(v) > 0; n--) {
		struct imap_key k[3] = { 0 };
		struct imap_search q = { .root = &k[0] };

		for (unsigned i = 0; i < 2; i++) {
			needle_of(v, &needle[i]);
			k[i].kind = kinds[chance(9)];
			k[i].needle = buf_slice(&needle[i]);
			k[i].name = slice_str(fields[chance(4)]);
			if (k[i].kind == IMAP_KEY_TEXT ||
			    k[i].kind == IMAP_KEY_BODY) {
				k[i].text = q.n_texts;
				q.texts[q.n_texts++] = &k[i];
			}
		}
		if (chance(3) == 0) {
			static const enum imap_key_kind of[] = { IMAP_KEY_AND,
				IMAP_KEY_OR, IMAP_KEY_NOT };

			k[2].kind = of[chance(3)];
			k[2].child = &k[0];
			k[0].next = k[2].kind == IMAP_KEY_NOT ? NULL : &k[1];
			q.root = &k[2];
		}
		compare(v, &q);
	}
	buf_clear(&needle[0]);
	buf_clear(&needle[1]);
}

static void
delete_some(const char *mailbox, unsigned one_of)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	uint32_t *seqs = calloc(mails_view_count(v) + 1, sizeof(*seqs));
	size_t n = 0;

	for (uint32_t seq = 1; seq <= mails_view_count(v); seq++)
		if (chance(one_of) == 0)
			seqs[n++] = seq;
	if (n > 0)
		CHECK_INT(mails_expunge(v, seqs, n, true), 0);
	free(seqs);
	mails_view_close(&v);
}

static void
transfer_some(const char *from, const char *to, bool move)
{
	struct mails_view *v = view_of(ALICE, from);
	struct arena a = ARENA_INIT_MAX(1 << 20);
	struct mails_copied copied;
	uint32_t seqs[100];
	size_t n = 0;

	for (uint32_t seq = 1; seq <= mails_view_count(v) && n < 100; seq++)
		if (chance(3) == 0)
			seqs[n++] = seq;
	if (n > 0 && move)
		CHECK_INT(
		    mails_move(v, seqs, n, slice_str(to), &a, &copied), 0);
	else if (n > 0)
		CHECK_INT(
		    mails_copy(v, seqs, n, slice_str(to), NULL, &a, &copied),
		    0);
	arena_reset(&a);
	mails_view_close(&v);
}

static void
index_mailbox(const char *mailbox, struct mails_index_status *s)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	uint64_t id = mails_view_mailbox_id(v);

	CHECK_INT(mails_index_build(mm, id, NULL, NULL), 0);
	CHECK_INT(mails_index_status(mm, id, s), 0);
	CHECK_INT(s->messages, mails_view_count(v));
	CHECK(s->messages - s->indexed < 128);
	mails_view_close(&v);
}

static void
search_finds_what_a_look_finds(void)
{
	static const char *const boxes[] = { "INBOX", "Archive" };
	struct mails_index_status s;

	seed = 7;
	tested = candidates = matches = 0;
	for (unsigned round = 0; round < 6; round++) {
		struct mails_view *v[2];

		for (unsigned i = 0; i < 2; i++)
			v[i] = view_of(ALICE, boxes[i]);
		deliver_some(boxes[round % 2], 150);
		transfer_some(boxes[0], boxes[1], round % 2);
		if (round > 1)
			delete_some(boxes[round % 2], round == 4 ? 2 : 6);
		for (unsigned i = 0; i < 2; i++) {
			index_mailbox(boxes[i], &s);
			/* One that was opened before: gone ones, no new ones */
			compare_some(v[i], 3);
			mails_view_close(&v[i]);
			v[i] = view_of(ALICE, boxes[i]);
			compare_some(v[i], 10);
			mails_view_close(&v[i]);
		}
		deliver_some(boxes[round % 2], chance(20));
	}
	CHECK(matches > 200);
	CHECK(candidates < tested);
	print_message("          %llu tested, %llu candidates, %llu matches\n",
	    (unsigned long long)tested, (unsigned long long)candidates,
	    (unsigned long long)matches);
}
MAILS_ON_ALL_PLAIN(search_finds_what_a_look_finds)

static void
sealed_search_finds_too(void **state)
{
	(void)state;
	test_seal = MAILS_SEAL_ACCOUNT;
	mails_run_on(&test_engines[0], search_finds_what_a_look_finds);
	test_seal = MAILS_SEAL_NONE;
}

static uint64_t
candidates_for(struct mails_view *v, const char *word)
{
	struct slice needle = slice_str(word);
	uint64_t *may, n = 0;

	CHECK_INT(mails_index_ask(v, &needle, 1, &may), 0);
	if (may == NULL)
		return mails_view_count(v);
	for (uint32_t i = 0; i < mails_view_count(v); i++)
		n += may[i / 64] >> i % 64 & 1;
	free(may);
	return n;
}

/* Blocks grow together, shrink, and go; damage costs speed only. */
static void
life_of_an_index(void)
{
	struct mails_index_status s;
	struct mails_view *v;
	struct store_batch *b;
	struct key k;

	seed = 11;
	for (unsigned i = 0; i < 9; i++) {
		deliver_some("INBOX", 140);
		index_mailbox("INBOX", &s);
		CHECK_INT(s.messages, (i + 1) * 140);
		CHECK(s.blocks <= 8);
		CHECK(s.octets <= s.indexed * INDEX_OCTETS);
	}
	CHECK(s.blocks < 9);
	deliver_to(ALICE, "INBOX", 0, "Subject: xylophone zugzwang\r\n\r\n");
	v = view_of(ALICE, "INBOX");
	CHECK(candidates_for(v, "XYLOPHONE ZUGZ") < 140);
	CHECK(candidates_for(v, "XYLOPHONE ZUGZ") >= 1);
	CHECK_INT(candidates_for(v, "XY"), mails_view_count(v));

	/* A block that cannot be read: its messages are candidates. */
	k = index_block_key(1, 0);
	b = store_batch_new(st, box_part(v->x));
	store_put(b, key_slice(&k), SLICE_LIT("damaged"));
	CHECK_INT(store_commit_one(st, b), 0);
	store_batch_free(&b);
	CHECK(candidates_for(v, "XYLOPHONE ZUGZ") >= 128);
	CHECK_INT(mails_index_drop(mm, mails_view_mailbox_id(v)), 0);
	CHECK_INT(candidates_for(v, "XYLOPHONE ZUGZ"), mails_view_count(v));
	mails_view_close(&v);

	index_mailbox("INBOX", &s);
	delete_some("INBOX", 1);
	index_mailbox("INBOX", &s);
	CHECK_INT(s.blocks, 0);
	CHECK_INT(s.octets, 0);
}

static void
life_of_an_index_(void **state)
{
	(void)state;
	mails_run_on(&test_engines[0], life_of_an_index);
}

/* --- sealed --- */

struct seen {
	unsigned rows, plain;
};

static int
on_block_row(void *arg, struct slice key, struct slice val)
{
	struct seen *s = arg;
	struct index_chunk c;

	(void)key;
	s->rows++;
	s->plain += index_chunk_read(val, &c) == 0;
	return 0;
}

static struct seen
rows_of(const char *mailbox)
{
	struct mails_view *v = view_of(ALICE, mailbox);
	struct seen s = { 0, 0 };

	CHECK_INT(store_scan(st, box_part(v->x), SLICE_LIT("t"),
		      SLICE_LIT("u"), 0, on_block_row, &s),
	    0);
	mails_view_close(&v);
	return s;
}

static size_t
key_row_octets(void)
{
	struct buf row = BUF_INIT;
	size_t n;

	CHECK_INT(store_get(st, SLICE_LIT("a" ALICE), SLICE_LIT("q"), &row), 0);
	n = row.n;
	buf_clear(&row);
	return n;
}

/* The index follows how mail is sealed, with a new key and new blocks; sealed to
 * the account, it is made and used while a view has the key, and not else. */
static void
sealed_life(void)
{
	struct mails_index_status s;
	struct mails_view *v;
	struct seen seen;

	seed = 12;
	deliver_some("INBOX", 140);
	index_mailbox("INBOX", &s);
	seen = rows_of("INBOX");
	CHECK(seen.rows > 0 && seen.plain == seen.rows);
	CHECK_INT(key_row_octets(), 32);
	for (unsigned i = 0; i < 2; i++) {
		test_seal = i == 0 ? MAILS_SEAL_SERVER : MAILS_SEAL_ACCOUNT;
		deliver_some("INBOX", 140);
		index_mailbox("INBOX", &s);
		seen = rows_of("INBOX");
		CHECK(seen.rows > 0 && seen.plain == 0);
		CHECK_INT(key_row_octets(), i == 0 ? 61 : 81);
	}
	deliver_to(ALICE, "INBOX", 0, "Subject: xylophone zugzwang\r\n\r\n");
	v = view_of(ALICE, "INBOX");
	CHECK(candidates_for(v, "XYLOPHONE ZUGZ") < 140);
	mails_view_unlock(v, NULL);
	CHECK_INT(candidates_for(v, "XYLOPHONE ZUGZ"), mails_view_count(v));
	deliver_some("INBOX", 140);
	CHECK_INT(mails_index_build(
		      mm, mails_view_mailbox_id(v), NULL, NULL), -ENOKEY);
	mails_view_unlock(v, test_account_key);
	CHECK_INT(mails_index_build(
		      mm, mails_view_mailbox_id(v), NULL, NULL), 0);
	CHECK_INT(mails_view_sync(v, true, NULL), 0);
	CHECK(candidates_for(v, "XYLOPHONE ZUGZ") < 140);
	mails_view_close(&v);
	test_seal = MAILS_SEAL_NONE;
}

static void
sealed_life_(void **state)
{
	(void)state;
	mails_run_on(&test_engines[0], sealed_life);
	test_seal = MAILS_SEAL_NONE;
}

/* The background's own turn: it starts, is told, ends. */
static void
background(void)
{
	struct mails_index_status s = { 0 };
	struct mails_view *v;

	CHECK_INT(mails_index_start(mm), 0);
	deliver_some("INBOX", 3);
	v = view_of(ALICE, "INBOX");
	deliver_some("INBOX", 300);
	for (int i = 0; i < 6000 && s.indexed < 128; i++) {
		(void)co_sleep(10);
		CHECK_INT(
		    mails_index_status(mm, mails_view_mailbox_id(v), &s), 0);
	}
	CHECK(s.indexed >= 128);
	mails_view_close(&v);
	/* Closing ends it, whatever it is at. */
	deliver_some("INBOX", 300);
}

static void
background_(void **state)
{
	(void)state;
	mails_run_on(&test_engines[0], background);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks),
		cmocka_unit_test(damaged_blocks),
		cmocka_unit_test(on_all_search_finds_what_a_look_finds),
		cmocka_unit_test(sealed_search_finds_too),
		cmocka_unit_test(sealed_life_),
		cmocka_unit_test(life_of_an_index_),
		cmocka_unit_test(background_),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
