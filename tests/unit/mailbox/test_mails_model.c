/* SPDX-License-Identifier: ISC */
/*
 * Random operations on Mails beside a simple model in memory: after each
 * sync a view must show what the model has, and what it told on the way must
 * lead a client to the same.
 */
#include "tests/unit/mailbox/mails_test.h"

#include "mailbox/mails/check.h"

#define BOXES_N 3
#define MESSAGES 400
#define VIEWS 4

struct model_message {
	uint32_t uid, flags;
	unsigned keywords; /* bits of keyword_names */
	unsigned text;
};

static const char *const box_names[BOXES_N] = { "INBOX", "Archive", "Trash" };
static const char *const keyword_names[] = { "red", "green", "$Blue" };

static struct {
	struct model_message m[MESSAGES];
	size_t n;
	uint32_t uidnext;
} model[BOXES_N];

/* A view, and what its client has been told. */
static struct {
	struct mails_view *v;
	size_t box;
	uint32_t uids[MESSAGES];
	uint32_t n;
} views[VIEWS];

static unsigned texts;
static uint32_t chance;

static uint32_t
pick(uint32_t n)
{
	chance = chance * 1664525 + 1013904223;
	return (chance >> 8) % n;
}

static void
text_of(char out[static 200], unsigned text)
{
	snprintf(
	    out, 200, "Subject: %u\r\n\r\nNumber %u of all.\r\n", text, text);
}

static struct model_message *
model_find(size_t box, uint32_t uid)
{
	for (size_t i = 0; i < model[box].n; i++)
		if (model[box].m[i].uid == uid)
			return &model[box].m[i];
	return NULL;
}

static uint32_t
model_add(size_t box, struct model_message m)
{
	m.uid = model[box].uidnext++;
	model[box].m[model[box].n++] = m;
	return m.uid;
}

static void
model_remove(size_t box, uint32_t uid)
{
	struct model_message *m = model_find(box, uid);
	size_t i = (size_t)(m - model[box].m);

	memmove(m, m + 1, (model[box].n - i - 1) * sizeof(*m));
	model[box].n--;
}

/* --- operations --- */

static void
op_deliver(void)
{
	size_t n = 1 + pick(2), box = pick(BOXES_N);
	struct mails_target t[2];
	struct mails_message *msg;
	char text[200];

	if (model[0].n + model[1].n + model[2].n > 120)
		return;
	text_of(text, ++texts);
	msg = message_of(text);
	for (size_t i = 0; i < n; i++)
		t[i] = (struct mails_target){ .account = ALICE,
			.mailbox = slice_str(box_names[(box + i) % BOXES_N]),
			.flags = pick(2) ? MAILS_SEEN : 0,
			.internaldate = INT64_MIN };
	CHECK_INT(mails_deliver(msg, t, n), 0);
	mails_message_free(&msg);
	for (size_t i = 0; i < n; i++)
		CHECK_INT(t[i].uid,
		    model_add((box + i) % BOXES_N,
			(struct model_message){
			    .flags = t[i].flags, .text = texts }));
}

/* Some messages of a view; their numbers. */
static size_t
some(size_t view, uint32_t seqs[static MESSAGES])
{
	uint32_t count = mails_view_count(views[view].v);
	size_t n = 0;

	for (uint32_t seq = 1; seq <= count; seq++)
		if (pick(4) == 0)
			seqs[n++] = seq;
	return n;
}

static void
op_flags(size_t view)
{
	static const uint32_t all[] = { MAILS_SEEN, MAILS_ANSWERED,
		MAILS_DELETED, MAILS_FLAGGED_FLAG | MAILS_DRAFT };
	struct arena a = ARENA_INIT_MAX(1 << 20);
	enum mails_store_mode mode = pick(3);
	unsigned keyword = pick(4);
	const char *names[2] = { keyword < 3 ? keyword_names[keyword] : NULL,
		NULL };
	unsigned bit = keyword < 3 ? 1u << keyword : 0;
	uint32_t flags = all[pick(4)], seqs[MESSAGES], *failed;
	size_t n = some(view, seqs), n_failed;
	struct model_message *m;

	CHECK_INT(mails_store_flags(views[view].v, seqs, n, mode, flags, names,
		      0, pick(2), &a, &failed, &n_failed),
	    0);
	for (size_t i = 0; i < n; i++) {
		m = model_find(
		    views[view].box, mails_view_uid(views[view].v, seqs[i]));
		if (m == NULL)
			continue;
		if (mode == MAILS_FLAGS_SET) {
			m->flags = flags;
			m->keywords = bit;
		} else if (mode == MAILS_FLAGS_ADD) {
			m->flags |= flags;
			m->keywords |= bit;
		} else {
			m->flags &= ~flags;
			m->keywords &= ~bit;
		}
	}
	arena_reset(&a);
}

static void
op_expunge(size_t view)
{
	size_t box = views[view].box, n;
	uint32_t seqs[MESSAGES], uid;
	bool force = pick(3) == 0;
	struct model_message *m;

	n = some(view, seqs);
	CHECK_INT(mails_expunge(views[view].v, seqs, n, force), 0);
	for (size_t i = 0; i < n; i++) {
		uid = mails_view_uid(views[view].v, seqs[i]);
		m = model_find(box, uid);
		if (m != NULL && (force || (m->flags & MAILS_DELETED)))
			model_remove(box, uid);
	}
}

static void
op_copy_or_move(size_t view, bool move)
{
	struct arena a = ARENA_INIT_MAX(1 << 20);
	size_t from = views[view].box, to = pick(BOXES_N), n, k = 0;
	uint32_t seqs[MESSAGES], uid, new;
	struct mails_copied out;
	struct model_message *m;

	if (!move && model[0].n + model[1].n + model[2].n > 120)
		return;
	n = some(view, seqs);
	CHECK_INT(move ? mails_move(views[view].v, seqs, n,
			     slice_str(box_names[to]), &a, &out)
		       : mails_copy(views[view].v, seqs, n,
			     slice_str(box_names[to]), NULL, &a, &out),
	    0);
	for (size_t i = 0; i < n; i++) {
		uid = mails_view_uid(views[view].v, seqs[i]);
		if ((m = model_find(from, uid)) == NULL)
			continue;
		new = model_add(to, *m);
		if (move)
			model_remove(from, uid);
		CHECK(k < out.n && out.from[k] == uid && out.to[k] == new);
		k++;
	}
	CHECK_INT(out.n, k);
	arena_reset(&a);
}

/* --- comparing --- */

static void
client_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	size_t i = *(size_t *)arg;

	CHECK(seq >= 1 && seq <= views[i].n && views[i].uids[seq - 1] == uid);
	memmove(&views[i].uids[seq - 1], &views[i].uids[seq],
	    (views[i].n - seq) * sizeof(uint32_t));
	views[i].n--;
}

static void
client_exists(void *arg, uint32_t count)
{
	size_t i = *(size_t *)arg;

	CHECK(count > views[i].n);
	for (; views[i].n < count; views[i].n++)
		views[i].uids[views[i].n] =
		    mails_view_uid(views[i].v, views[i].n + 1);
}

static unsigned
keywords_of(const struct mails_view *v, uint64_t bits)
{
	unsigned all = 0;

	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 3; k++)
			if ((bits >> i & 1) && mails_view_keyword(v, i) &&
			    strcmp(mails_view_keyword(v, i),
				keyword_names[k]) == 0)
				all |= 1u << k;
	return all;
}

static void
view_compare(size_t i)
{
	const struct mails_view *v = views[i].v;
	size_t box = views[i].box;
	char text[200];

	CHECK_INT(mails_view_count(v), model[box].n);
	CHECK_INT(views[i].n, model[box].n);
	for (uint32_t k = 0; k < mails_view_count(v) && k < model[box].n; k++) {
		struct model_message *m = &model[box].m[k];
		struct mails_flags f = mails_view_flags(v, k + 1);

		CHECK_INT(mails_view_uid(v, k + 1), m->uid);
		CHECK_INT(views[i].uids[k], m->uid);
		CHECK_INT(f.system, m->flags);
		CHECK_INT(keywords_of(v, f.keywords), m->keywords);
		if (pick(8) == 0) {
			text_of(text, m->text);
			CHECK(text_is(views[i].v, k + 1, text));
		}
	}
}

static void
op_sync(size_t i)
{
	const struct mails_changes changes = {
		.expunged = client_expunged, .exists = client_exists, .arg = &i
	};
	bool expunge = pick(3) != 0;

	CHECK_INT(mails_view_sync(views[i].v, expunge, &changes), 0);
	if (expunge)
		view_compare(i);
}

static void
op_reopen(size_t i)
{
	mails_view_close(&views[i].v);
	views[i].box = pick(BOXES_N);
	views[i].v = view_of(ALICE, box_names[views[i].box]);
	views[i].n = 0;
	if (views[i].v == NULL)
		return;
	for (uint32_t k = 0; k < mails_view_count(views[i].v); k++)
		views[i].uids[views[i].n++] = mails_view_uid(views[i].v, k + 1);
	view_compare(i);
}

static void
no_fault(void *arg, const struct mails_fault *f)
{
	(void)arg;
	print_message("check: %s\n", f->what);
}

static void
statuses_compare(void)
{
	struct mails_status s;
	unsigned unseen, deleted;

	for (size_t box = 0; box < BOXES_N; box++) {
		unseen = deleted = 0;
		for (size_t i = 0; i < model[box].n; i++) {
			unseen += !(model[box].m[i].flags & MAILS_SEEN);
			deleted += !!(model[box].m[i].flags & MAILS_DELETED);
		}
		CHECK_INT(
		    mails_status(mm, ALICE, slice_str(box_names[box]), &s), 0);
		CHECK_INT(s.messages, model[box].n);
		CHECK_INT(s.unseen, unseen);
		CHECK_INT(s.deleted, deleted);
		CHECK_INT(s.uidnext, model[box].uidnext);
	}
}

/* Empty everything: then nothing may be left of any blob. */
static void
empty(void)
{
	struct mails_collected collected;
	struct store_stats stats;
	uint32_t seqs[MESSAGES];

	for (uint32_t i = 0; i < MESSAGES; i++)
		seqs[i] = i + 1;
	for (size_t i = 0; i < BOXES_N; i++) {
		struct mails_view *v = view_of(ALICE, box_names[i]);

		CHECK_INT(mails_expunge(v, seqs, mails_view_count(v), true), 0);
		mails_view_close(&v);
	}
	CHECK_INT(mails_collect(mm, -1, &collected), 0);
	CHECK_INT(collected.blobs, 0); /* none was lost sight of */
	CHECK_INT(mails_check(mm, true, no_fault, NULL, NULL), 0);
	CHECK_INT(store_stats(st, &stats), 0);
	CHECK_INT(stats.blob_octets, 0);
}

static void
random_operations(void)
{
	unsigned ops = strcmp(test_engine->name, "embedded") ? 600 : 250;

	memset(model, 0, sizeof(model));
	for (size_t i = 0; i < BOXES_N; i++)
		model[i].uidnext = 1;
	for (size_t i = 0; i < VIEWS; i++)
		op_reopen(i);
	for (unsigned k = 0; k < ops && !store_test_failure[0]; k++) {
		size_t view = pick(VIEWS);
		uint32_t what = pick(100);

		if (what < 35)
			op_deliver();
		else if (what < 50)
			op_flags(view);
		else if (what < 58)
			op_expunge(view);
		else if (what < 66)
			op_copy_or_move(view, false);
		else if (what < 76)
			op_copy_or_move(view, true);
		else if (what < 97)
			op_sync(view);
		else
			op_reopen(view);
	}
	statuses_compare();
	CHECK_INT(mails_check(mm, false, no_fault, NULL, NULL), 0);
	for (size_t i = 0; i < VIEWS; i++)
		mails_view_close(&views[i].v);
	if (!store_test_failure[0])
		empty();
}

static void
views_show_what_the_model_has(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 5; seed++)
		for (size_t i = 0; i < TEST_ENGINES; i++) {
			struct test_engine e = test_engines[i];

			if (strcmp(e.name, "embedded") == 0 && seed > 2)
				continue;
			e.conf.seed = chance = seed;
			test_seal = (enum mails_sealing)(seed % 3);
			print_message("seed %u, %s\n", seed, e.name);
			mails_run_on(&e, random_operations);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_show_what_the_model_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
