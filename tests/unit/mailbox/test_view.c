/* SPDX-License-Identifier: ISC */
/* The list of messages: pages that views share, and snapshots of it. */
#include "common/base/clock.h"
#include "mailbox/mails/snapshot.h"
#include "tests/unit/mailbox/mails_test.h"

#define MESSAGE "Subject: capsule\r\n\r\ntube\r\n"

static uint32_t seed;

static uint32_t
chance(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 4) * n >> 28);
}

/* --- rolls --- */

#define MODEL 5000

struct model {
	struct entry v[MODEL];
	uint32_t n;
	struct roll roll;
};

static void
model_check(const struct model *m)
{
	assert_int_equal(m->roll.n, m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct entry *e = roll_at(&m->roll, i);

		assert_int_equal(e->uid, m->v[i].uid);
		assert_int_equal(e->modseq, m->v[i].modseq);
		assert_int_equal(roll_find(&m->roll, e->uid), i + 1);
		assert_int_equal(roll_find(&m->roll, e->uid - 1), i);
	}
	assert_int_equal(roll_find(&m->roll, UINT32_MAX), m->n);
}

struct removed {
	struct model *m;
	uint32_t n;
};

static void
on_removed(void *arg, uint32_t i, const struct entry *e)
{
	struct removed *r = arg;

	assert_int_equal(r->m->v[i].uid, e->uid);
	memmove(&r->m->v[i], &r->m->v[i + 1],
	    (r->m->n - i - 1) * sizeof(r->m->v[0]));
	r->m->n--;
	r->n++;
}

static void
model_change(struct model *m)
{
	struct removed r = { m, 0 };
	struct entry e = { .modseq = chance(1000) };
	uint32_t n, had = m->n;

	switch (chance(4)) {
	case 0:
		for (n = chance(1500); n > 0 && m->n < MODEL; n--) {
			e.uid = (m->n == 0 ? 0 : m->v[m->n - 1].uid) + 1 +
			    chance(3) * chance(3);
			m->v[m->n++] = e;
			assert_int_equal(roll_append(&m->roll, &e), 0);
		}
		break;
	case 1:
		for (n = chance(9); n > 0 && m->n > 0; n--) {
			uint32_t i = chance(m->n);

			m->v[i].modseq = chance(1 << 20);
			roll_edit(&m->roll, i)->modseq = m->v[i].modseq;
		}
		break;
	case 2:
		for (uint32_t i = 0, of = 1 + chance(1200); i < had; i++)
			if (chance(of) == 0)
				roll_edit(&m->roll, i)->gone = true;
		roll_remove_gone(&m->roll, on_removed, &r);
		break;
	default:
		for (n = chance(1500); n > 0 && m->n < MODEL; n--) {
			e.uid = m->n == 0 ? 1 : m->v[m->n - 1].uid + 1;
			m->n++;
			m->v[m->n - 1] = e;
			assert_int_equal(roll_append(&m->roll, &e), 0);
		}
		if (m->n > had) {
			m->n = had;
			roll_truncate(&m->roll, had);
		}
	}
}

/* Two lists that share pages do not see each other's changes. */
static void
rolls(void **state)
{
	struct model *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));

	(void)state;
	seed = 3;
	for (int round = 0; round < 300; round++) {
		model_change(chance(2) ? a : b);
		model_check(a);
		model_check(b);
		if (chance(6) == 0) {
			roll_clear(&b->roll);
			memcpy(b->v, a->v, sizeof(b->v));
			b->n = a->n;
			assert_int_equal(roll_share(&b->roll, &a->roll), 0);
		}
	}
	roll_clear(&a->roll);
	roll_clear(&b->roll);
	free(a);
	free(b);
}

/* --- rows of snapshots --- */

static void
snapshot_rows(void **state)
{
	struct roll in = { .n = 0 }, out = { .n = 0 };
	struct buf row = BUF_INIT;
	struct entry e = { .uid = 0 };
	uint32_t i = 0;

	(void)state;
	seed = 5;
	for (int k = 0; k < 9000; k++) {
		e.uid += 1 + (chance(20) == 0 ? chance(7000) : 0);
		e.modseq = chance(9) == 0 ? UINT64_MAX - chance(9)
		    : chance(3) == 0      ? chance(1 << 20)
					  : e.modseq + 1;
		e.system = (uint8_t)chance(32);
		e.keywords = chance(5) == 0 ? UINT64_MAX >> chance(64) : 0;
		assert_int_equal(roll_append(&in, &e), 0);
	}
	for (uint32_t base = 0; base <= e.uid; base += SNAPSHOT_UIDS) {
		buf_reset(&row);
		snapshot_row_encode(base, &in, &i, &row);
		assert_int_equal(
		    snapshot_row_decode(base, buf_slice(&row), &out), 0);
		assert_int_equal(out.n, i);
		/* Damage is seen, or makes another list. */
		for (int k = 0; k < 20 && row.n > 0; k++) {
			struct roll other = { .n = 0 };

			row.p[chance((uint32_t)row.n)] ^= (char)chance(256);
			(void)snapshot_row_decode(base,
			    slice_head(
				buf_slice(&row), chance((uint32_t)row.n + 1)),
			    &other);
			roll_clear(&other);
		}
	}
	assert_int_equal(out.n, in.n);
	for (i = 0; i < in.n; i++) {
		const struct entry *a = roll_at(&in, i), *b = roll_at(&out, i);

		assert_true(a->uid == b->uid && a->modseq == b->modseq &&
		    a->system == b->system && a->keywords == b->keywords);
	}
	roll_clear(&in);
	roll_clear(&out);
	buf_clear(&row);
}

/* --- a large mailbox --- */

#define AT_ONCE 300

static void
deliver_many(unsigned n)
{
	struct mails_message *msgs[AT_ONCE];
	struct mails_target t[AT_ONCE];

	for (; n > 0; n -= n < AT_ONCE ? n : AT_ONCE) {
		unsigned k = n < AT_ONCE ? n : AT_ONCE;

		for (unsigned i = 0; i < k; i++) {
			msgs[i] = message_of(MESSAGE);
			t[i] = (struct mails_target){ .account = ALICE,
				.mailbox = SLICE_LIT("INBOX"),
				.flags = chance(32),
				.internaldate = INT64_MIN };
		}
		CHECK_INT(mails_deliver_each(msgs, t, k), 0);
		for (unsigned i = 0; i < k; i++)
			mails_message_free(&msgs[i]);
	}
}

static void
change_some(struct mails_view *v)
{
	static const char *const keywords[] = { "$Forwarded", NULL };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	uint32_t seqs[60], *failed;
	size_t n = 0, n_failed;

	for (uint32_t seq = 1 + chance(100);
	     seq <= mails_view_count(v) && n < 60; seq += 1 + chance(150))
		seqs[n++] = seq;
	if (chance(2))
		CHECK_INT(mails_expunge(v, seqs, n, true), 0);
	else
		CHECK_INT(mails_store_flags(v, seqs, n, MAILS_FLAGS_ADD,
			      MAILS_FLAGGED_FLAG, keywords, 0, false, &a,
			      &failed, &n_failed),
		    0);
	arena_reset(&a);
}

/* What the view has is what the rows have. */
static void
view_check(struct mails_view *v)
{
	struct mails_status s;
	struct mails_row row;
	bool same = true;

	CHECK_INT(mails_status(mm, ALICE, SLICE_LIT("INBOX"), &s), 0);
	CHECK_INT(s.messages, mails_view_count(v));
	CHECK_INT(s.highestmodseq, mails_view_highestmodseq(v));
	for (uint32_t seq = 1; seq <= mails_view_count(v); seq++) {
		struct mails_flags f = mails_view_flags(v, seq);

		same &= mails_row(v, seq, &row) == 0 &&
		    row.uid == mails_view_uid(v, seq) &&
		    row.modseq == mails_view_modseq(v, seq) &&
		    row.flags.system == f.system &&
		    row.flags.keywords == f.keywords;
	}
	CHECK(same);
}

static bool
has_snapshot(struct mails_view *v)
{
	struct mails_view of = { .m = v->m, .x = v->x };
	struct header h;
	int rc;

	CHECK_INT(box_read(v->x, &h), 0);
	rc = snapshot_load(&of, &h);
	roll_clear(&of.roll);
	CHECK(rc == 0 || rc == -ENOENT);
	return rc == 0;
}

static void
large_mailbox(void)
{
	struct mails_view *old, *v;

	seed = 9;
	deliver_many(300);
	old = view_of(ALICE, "INBOX");
	CHECK_INT(snapshot_keep(old->x), 0);
	CHECK(!has_snapshot(old));
	deliver_many(4500);
	CHECK_INT(snapshot_keep(old->x), 0);
	CHECK(has_snapshot(old));
	for (int round = 0; round < 6; round++) {
		v = view_of(ALICE, "INBOX");
		view_check(v);
		change_some(v);
		CHECK_INT(mails_view_sync(v, true, NULL), 0);
		view_check(v);
		deliver_many(chance(40));
		CHECK_INT(mails_view_sync(v, round % 2, NULL), 0);
		mails_view_close(&v);
		/* With nobody else there it is read from the snapshot. */
		if (round == 2)
			mails_view_close(&old);
		if (round == 3) {
			deliver_many(4500);
			old = view_of(ALICE, "INBOX");
			CHECK_INT(snapshot_keep(old->x), 0);
			CHECK(has_snapshot(old));
			mails_view_close(&old);
		}
	}
	v = view_of(ALICE, "INBOX");
	view_check(v);
	mails_view_close(&v);
}

static void
large_mailbox_(void **state)
{
	(void)state;
	mails_run_on(&test_engines[0], large_mailbox);
	mails_run_on(&test_engines[2], large_mailbox);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rolls),
		cmocka_unit_test(snapshot_rows),
		cmocka_unit_test(large_mailbox_),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
