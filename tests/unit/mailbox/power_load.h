/* SPDX-License-Identifier: ISC */
/*
 * The load of the power failure test: actors that work on a mail store, each on
 * messages and mailboxes of its own (all deliver to the same INBOX), and mark
 * in the record when an operation begins and is answered, and what it makes of
 * which message.
 */
#ifndef PNEU_TESTS_POWER_LOAD_H
#define PNEU_TESTS_POWER_LOAD_H

#include "common/store/store_io.h"
#include "common/store/store_io.h"
#include "tests/unit/mailbox/mails_test.h"
#include "tests/unit/mailbox/power_record.h"

#define PROCESSES 2
#define ACTORS 6 /* three in each process */
#define NUMBERS_EACH 32
#define NUMBERS (ACTORS * NUMBERS_EACH)
#define OWN_BOXES 2
#define BOXES_SHARED 4
#define N_BOXES (BOXES_SHARED + ACTORS * OWN_BOXES)
#define BOX_ITSELF 0 /* «number» of the mailbox: it exists */

/* --- what is marked in the record --- */

enum operation {
	OP_DELIVER,
	OP_FLAGS,
	OP_COPY,
	OP_MOVE,
	OP_EXPUNGE,
	OP_CREATE,
	OP_RENAME,
	OP_DELETE,
	OP_COMPACT,
};

/* What an operation makes of one message in one mailbox. */
struct effect {
	uint16_t box, number;
	uint32_t value; /* 0: not there; else 1 | flags << 1 */
	uint32_t uid;   /* of a message that is new there; 0: as it was */
};

#define EFFECTS 80

struct mark {
	uint16_t actor, what, end, n; /* end: it was answered */
	struct effect effects[EFFECTS];
};

static inline size_t
mark_size(const struct mark *m)
{
	return offsetof(struct mark, effects) + m->n * sizeof(m->effects[0]);
}

/* --- messages and mailboxes --- */

static const struct {
	const char *account, *name;
} shared_boxes[BOXES_SHARED] = {
	{ ALICE, "INBOX" },
	{ ALICE, "Archive" },
	{ ALICE, "Trash" },
	{ BOB, "INBOX" },
};

static inline const char *
box_account(unsigned box)
{
	return box < BOXES_SHARED ? shared_boxes[box].account : ALICE;
}

static inline const char *
box_name(unsigned box)
{
	static char name[16];

	if (box < BOXES_SHARED)
		return shared_boxes[box].name;
	snprintf(name, sizeof(name), "Own%u", box);
	return name;
}

static inline unsigned
box_of_name(const char *account, const char *name)
{
	for (unsigned i = 0; i < N_BOXES; i++)
		if (strcmp(account, box_account(i)) == 0 &&
		    strcmp(name, box_name(i)) == 0)
			return i;
	return N_BOXES;
}

static const char *keyword_names[] = { "one", "$two" };
#define KEYWORDS 2
#define FLAG_BITS (5 + KEYWORDS)

static inline uint32_t
value_of(struct mails_view *v, uint32_t seq)
{
	struct mails_flags f = mails_view_flags(v, seq);
	uint32_t value = 1 | f.system << 1;
	const char *name;

	for (unsigned i = 0; (name = mails_view_keyword(v, i)) != NULL; i++)
		for (unsigned k = 0; k < KEYWORDS; k++)
			if (f.keywords >> i & 1 &&
			    strcmp(name, keyword_names[k]) == 0)
				value |= 1u << (6 + k);
	return value;
}

static inline void
text_of(struct buf *out, unsigned number)
{
	size_t n = number % 23 == 5 ? 70000 : number % 5 == 1 ? 3000 : 100;

	buf_reset(out);
	buf_printf(out, "Subject: %u\r\nFrom: <a@b.example>\r\n\r\n", number);
	for (unsigned i = 0; out->n < 100 || (n < 70000 && out->n < n); i++)
		buf_printf(out, "Line %u of number %u.\r\n", i, number);
	/* What does not pack, so that the blob is a large one. */
	for (uint32_t x = number; out->n < n; x = x * 1664525 + 1013904223)
		buf_put_char(out, (char)(1 + (x >> 24) % 255));
}

/* --- the actors --- */

struct cell {
	uint32_t value, uid;
};

struct actor {
	unsigned id;
	unsigned made; /* messages */
	struct cell cells[N_BOXES][NUMBERS_EACH];
	bool own[OWN_BOXES]; /* mailboxes that exist */
	struct mark mark;
	bool failed;
};

static inline unsigned
own_box(const struct actor *a, unsigned i)
{
	return BOXES_SHARED + a->id * OWN_BOXES + i;
}

static inline unsigned
number_of(const struct actor *a, unsigned i)
{
	return 1 + a->id * NUMBERS_EACH + i;
}

static unsigned load_operations = 50; /* of each actor */
static bool load_checks;              /* and look after each what is there */
/* Operations may fail, with errors of a medium, and are under way then. */
static bool power_faults;

/* Everything happens in a small store. */
static inline void
small_sizes(void)
{
	store_io.blob_small = 1; /* beyond the first chunk, in fact */
	store_io.segment_max = 8192;
	store_io.dead_min = 512;
	store_io.ahead = 8192;
}

static inline bool
is_fine(int rc)
{
	return rc == 0 ||
	    (power_faults && (rc == -ENOSPC || rc == -EIO || rc == -EAGAIN));
}

static inline void
begin(struct actor *a, enum operation what)
{
	a->mark.actor = (uint16_t)a->id;
	a->mark.what = (uint16_t)what;
	a->mark.end = 0;
	power_mark(&a->mark, mark_size(&a->mark));
}

static inline void
end(struct actor *a, int rc)
{
	struct effect *e = a->mark.effects;
	unsigned first = 1 + a->id * NUMBERS_EACH;

	if (!is_fine(rc) && store_test_failure[0] == '\0')
		snprintf(store_test_failure, sizeof(store_test_failure),
		    "operation %u of actor %u: %s", a->mark.what, a->id,
		    strerror(-rc));
	a->failed = rc != 0;
	if (rc != 0)
		return; /* it stays under way */
	a->mark.end = 1;
	power_mark(&a->mark, mark_size(&a->mark));
	for (; e < a->mark.effects + a->mark.n; e++)
		if (e->number != BOX_ITSELF)
			a->cells[e->box][e->number - first] = (struct cell){
				e->value,
				e->uid != 0
				    ? e->uid
				    : a->cells[e->box][e->number - first].uid,
			};
}

static inline struct effect *
effect(struct actor *a, unsigned box, unsigned number, uint32_t value)
{
	struct effect *e = &a->mark.effects[a->mark.n++];

	assert(a->mark.n <= EFFECTS);
	*e = (struct effect){ (uint16_t)box, (uint16_t)number, value, 0 };
	return e;
}

/* A mailbox of the actor's that exists, or one of all. */
static inline unsigned
some_box(const struct actor *a)
{
	unsigned box = random_below(BOXES_SHARED + OWN_BOXES);

	if (box < BOXES_SHARED)
		return box;
	return a->own[box - BOXES_SHARED] ? own_box(a, box - BOXES_SHARED) : 0;
}

static inline int
deliver_text(unsigned number, struct mails_target *t, size_t n)
{
	struct mails_message *msg;
	struct buf text = BUF_INIT;
	int rc;

	text_of(&text, number);
	if ((rc = mails_message_begin(mm, &msg)) == 0 &&
	    (rc = mails_message_for(msg, ALICE)) == 0 &&
	    (rc = mails_message_write(msg, buf_slice(&text))) == 0 &&
	    (rc = mails_message_end(msg)) == 0)
		rc = mails_deliver(msg, t, n);
	mails_message_free(&msg);
	buf_clear(&text);
	return rc;
}

static inline struct mails_target
target_of(unsigned box, const char *key)
{
	return (struct mails_target){ .account = box_account(box),
		.mailbox = slice_str(box_name(box)),
		.internaldate = INT64_MIN,
		.key = slice_str(key) };
}

static inline void
do_deliver(struct actor *a)
{
	unsigned number = number_of(a, a->made);
	struct mails_target t[2];
	size_t n = 1 + random_below(2);
	char key[16];
	int rc;

	if (a->made == NUMBERS_EACH)
		return;
	a->made++;
	snprintf(key, sizeof(key), "K%u", number);
	t[0] = target_of(0, key);
	t[1] = target_of(3, key);
	for (size_t i = 0; i < n; i++)
		effect(a, i == 0 ? 0 : 3, number, 1);
	begin(a, OP_DELIVER);
	rc = deliver_text(number, t, n);
	for (size_t i = 0; i < n; i++)
		a->mark.effects[i].uid = t[i].uid;
	end(a, rc);
}

/* Some messages of the actor's in a mailbox, in a view of it. */
struct some {
	struct mails_view *v;
	unsigned numbers[8];
	uint32_t seqs[8];
	size_t n;
};

static inline void
some_open(struct some *s, struct actor *a, unsigned box, unsigned absent_in)
{
	struct cell *c;
	bool exact;
	int rc;

	*s = (struct some){ .v = NULL };
	rc = mails_view_open(
	    mm, box_account(box), slice_str(box_name(box)), &s->v);
	if (!is_fine(rc))
		CHECK_INT(rc, 0);
	for (unsigned i = 0; i < a->made && s->n < 8 && s->v != NULL; i++) {
		c = &a->cells[box][i];
		if (c->value == 0 || random_below(2) ||
		    (absent_in != box && a->cells[absent_in][i].value != 0))
			continue;
		s->numbers[s->n] = number_of(a, i);
		s->seqs[s->n] = mails_view_seq(s->v, c->uid, &exact);
		CHECK(exact);
		s->n++;
	}
}

static inline uint32_t
cell_value(const struct actor *a, unsigned box, unsigned number)
{
	return a->cells[box][number - number_of(a, 0)].value;
}

static inline void
do_flags(struct actor *a)
{
	unsigned box = some_box(a), bits = random_below(1 << FLAG_BITS);
	enum mails_store_mode mode = (enum mails_store_mode)random_below(3);
	const char *names[KEYWORDS + 1] = { NULL };
	struct some s;
	uint32_t old, new;
	size_t n = 0;
	int rc;

	some_open(&s, a, box, box);
	for (unsigned k = 0; k < KEYWORDS; k++)
		if (bits >> (5 + k) & 1)
			names[n++] = keyword_names[k];
	for (size_t i = 0; i < s.n; i++) {
		old = cell_value(a, box, s.numbers[i]);
		new = mode == MAILS_FLAGS_ADD    ? old | bits << 1
		    : mode == MAILS_FLAGS_REMOVE ? old & ~(bits << 1)
						 : 1 | bits << 1;
		effect(a, box, s.numbers[i], new);
	}
	if (s.n > 0) {
		begin(a, OP_FLAGS);
		rc = mails_store_flags(s.v, s.seqs, s.n, mode, bits & 31, names,
		    0, random_below(2), NULL, NULL, NULL);
		end(a, rc);
	}
	mails_view_close(&s.v);
}

static inline void
do_copy(struct actor *a)
{
	struct arena arena = ARENA_INIT_MAX(1 << 16);
	unsigned box = some_box(a), to = some_box(a);
	bool move = random_below(2);
	struct mails_copied out;
	struct some s;
	uint32_t value;
	int rc;

	/* Between accounts there are no copies. */
	if (box == to || box == 3 || to == 3)
		return;
	some_open(&s, a, box, to);
	for (size_t i = 0; i < s.n; i++) {
		value = cell_value(a, box, s.numbers[i]);
		effect(a, to, s.numbers[i], value);
		if (move)
			effect(a, box, s.numbers[i], 0);
	}
	if (s.n > 0) {
		begin(a, move ? OP_MOVE : OP_COPY);
		rc = move ? mails_move(s.v, s.seqs, s.n,
				slice_str(box_name(to)), &arena, &out)
			  : mails_copy(s.v, s.seqs, s.n,
				slice_str(box_name(to)), NULL, &arena, &out);
		CHECK(rc != 0 || out.n == s.n);
		for (size_t i = 0; i < s.n && rc == 0; i++)
			a->mark.effects[move ? 2 * i : i].uid = out.to[i];
		end(a, rc);
	}
	mails_view_close(&s.v);
	arena_reset(&arena);
}

static inline void
do_expunge(struct actor *a)
{
	unsigned box = some_box(a);
	struct some s;
	int rc;

	some_open(&s, a, box, box);
	for (size_t i = 0; i < s.n; i++)
		effect(a, box, s.numbers[i], 0);
	if (s.n > 0) {
		begin(a, OP_EXPUNGE);
		rc = mails_expunge(s.v, s.seqs, s.n, true);
		end(a, rc);
	}
	mails_view_close(&s.v);
}

/* Rename or delete with all that is in it. */
static inline void
do_box(struct actor *a)
{
	unsigned i = random_below(OWN_BOXES), box = own_box(a, i), to;
	bool rename = !a->own[(i + 1) % OWN_BOXES] && random_below(2);
	const struct cell *c;
	char name[16];
	uint64_t id;
	int rc;

	snprintf(name, sizeof(name), "%s", box_name(box));
	if (!a->own[i]) {
		effect(a, box, BOX_ITSELF, 1);
		begin(a, OP_CREATE);
		rc = mails_create(mm, ALICE, slice_str(name), 0, &id);
		a->own[i] = rc == 0;
		end(a, rc);
		return;
	}
	to = own_box(a, (i + 1) % OWN_BOXES);
	effect(a, box, BOX_ITSELF, 0);
	if (rename)
		effect(a, to, BOX_ITSELF, 1);
	for (unsigned k = 0; k < a->made; k++) {
		c = &a->cells[box][k];
		if (c->value == 0)
			continue;
		effect(a, box, number_of(a, k), 0);
		if (rename)
			effect(a, to, number_of(a, k), c->value)->uid = c->uid;
	}
	begin(a, rename ? OP_RENAME : OP_DELETE);
	rc = rename
	    ? mails_rename(mm, ALICE, slice_str(name), slice_str(box_name(to)))
	    : mails_delete(mm, ALICE, slice_str(name));
	a->own[i] = false;
	a->own[(i + 1) % OWN_BOXES] |= rename;
	end(a, rc);
}

static inline void
do_compact(struct actor *a)
{
	bool more;

	begin(a, OP_COMPACT);
	end(a, store_compact(st, &more));
}

/* What the actor has in one mailbox is there as it should be, and no more. */
static inline void
check_own(const struct actor *a, unsigned box)
{
	struct mails_view *v = view_of(box_account(box), box_name(box));
	const struct cell *c;
	uint32_t seq;
	bool exact;

	for (unsigned i = 0; i < NUMBERS_EACH && v != NULL; i++) {
		c = &a->cells[box][i];
		/* A mailbox of that name may have been another. */
		if (c->uid == 0 || (c->value == 0 && box >= BOXES_SHARED))
			continue;
		seq = mails_view_seq(v, c->uid, &exact);
		CHECK(exact == (c->value != 0));
		if (exact)
			CHECK_INT(value_of(v, seq), c->value);
	}
	mails_view_close(&v);
}

static inline void
act(void *arg)
{
	static void (*const does[])(struct actor *) = { do_deliver, do_deliver,
		do_deliver, do_flags, do_flags, do_copy, do_copy, do_expunge,
		do_box, do_compact };
	struct actor *a = calloc(1, sizeof(*a));

	a->id = *(unsigned *)arg;
	for (unsigned i = 0; i < load_operations && !a->failed; i++) {
		a->mark.n = 0;
		does[random_below(sizeof(does) / sizeof(does[0]))](a);
		if (load_checks)
			check_own(a, some_box(a));
	}
	free(a);
}

#endif
