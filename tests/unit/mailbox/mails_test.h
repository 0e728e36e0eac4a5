/* SPDX-License-Identifier: ISC */
/* For tests of Mails: bodies on every kind of store, small helpers. */
#ifndef PNEU_TESTS_MAILS_TEST_H
#define PNEU_TESTS_MAILS_TEST_H

#include "common/auth/seal.h"
#include "mailbox/mails/mails.h"
#include "tests/unit/common/store_test.h"

static struct mails *mm;
static int64_t test_keep_s; /* of mails_conf */

/* How what comes in is sealed; the keys are the same in every process. */
static enum mails_sealing test_seal;
static struct seal_key *test_server_key, *test_account_key;

#define ALICE "alice@example.test"
#define BOB "bob@example.test"

static inline int
test_sealing(void *arg, const char *account, enum mails_sealing *how,
    unsigned char public[static 32])
{
	(void)arg;
	(void)account;
	*how = test_seal;
	memcpy(public, seal_key_public(test_account_key), 32);
	return 0;
}

static inline void
test_keys_make(void)
{
	unsigned char octets[SEAL_KEY_LEN] = { 's' };

	if (test_server_key != NULL)
		return;
	assert_int_equal(seal_key_new(&test_server_key, octets), 0);
	octets[0] = 'a';
	assert_int_equal(seal_key_new(&test_account_key, octets), 0);
}

static inline void
mails_test_open(void)
{
	struct mails_conf conf = { .store = test_conf(),
		.keep_s = test_keep_s,
		.seal = test_seal,
		.sealing = test_sealing,
		.compression = 1 };
	struct buf err = BUF_INIT;

	test_keys_make();
	conf.server_key = test_server_key;
	CHECK_INT(mails_open(&mm, &conf, &err), 0);
	buf_clear(&err);
	st = mm == NULL ? NULL : mails_store(mm);
}

static inline void
mails_test_body(void *arg)
{
	mails_test_open();
	if (mm != NULL)
		(*(void (**)(void))arg)();
	mails_close(&mm);
}

static inline void
mails_run_on(const struct test_engine *engine, void (*body)(void))
{
	test_engine = engine;
	store_test_failure[0] = '\0';
	test_dir_new();
	assert_int_equal(co_run(mails_test_body, &body), 0);
	test_dir_remove();
	if (store_test_failure[0] != '\0')
		fail_msg("%s: %s", engine->name, store_test_failure);
}

static inline void
mails_run_on_all(void (*body)(void))
{
	for (size_t i = 0; i < TEST_ENGINES; i++)
		mails_run_on(&test_engines[i], body);
}

/* The same, and sealed in each way, where no disk makes it slow. */
static inline void
mails_run_sealed_too(void (*body)(void))
{
	mails_run_on_all(body);
	test_seal = MAILS_SEAL_SERVER;
	mails_run_on(&test_engines[0], body);
	test_seal = MAILS_SEAL_ACCOUNT;
	mails_run_on(&test_engines[1], body);
	test_seal = MAILS_SEAL_NONE;
}

#define MAILS_ON_ALL(body)                                                     \
	static void on_all_##body(void **state)                                \
	{                                                                      \
		(void)state;                                                   \
		mails_run_sealed_too(body);                                    \
	}
#define MAILS_ON_ALL_PLAIN(body)                                               \
	static void on_all_##body(void **state)                                \
	{                                                                      \
		(void)state;                                                   \
		mails_run_on_all(body);                                        \
	}

static inline struct mails_message *
message_of(const char *text)
{
	struct mails_message *msg = NULL;

	CHECK_INT(mails_message_begin(mm, &msg), 0);
	CHECK_INT(mails_message_for(msg, ALICE), 0);
	CHECK_INT(mails_message_write(msg, slice_str(text)), 0);
	CHECK_INT(mails_message_end(msg), 0);
	return msg;
}

/* Deliver one message; its UID, or the error. */
static inline int
deliver_to(
    const char *account, const char *mailbox, uint32_t flags, const char *text)
{
	struct mails_message *msg = message_of(text);
	struct mails_target t = { .account = account,
		.mailbox = slice_str(mailbox),
		.flags = flags,
		.internaldate = INT64_MIN };
	int rc = mails_deliver(msg, &t, 1);

	CHECK_INT(rc, t.rc);
	mails_message_free(&msg);
	return rc == 0 ? (int)t.uid : rc;
}

static inline struct mails_view *
view_of(const char *account, const char *mailbox)
{
	struct mails_view *v = NULL;

	CHECK_INT(mails_view_open(mm, account, slice_str(mailbox), &v), 0);
	if (v != NULL)
		mails_view_unlock(v, test_account_key);
	return v;
}

/* The text of a message, compared. */
static inline bool
text_is(struct mails_view *v, uint32_t seq, const char *want)
{
	char got[4096];
	size_t n = 0;
	int rc = mails_read(v, seq, 0, got, sizeof(got), &n);

	return rc == 0 && slice_eq_str(slice(got, n), want);
}

/* What a sync tells, as "x3 e5 f2": expunge, exists, flags. */
static inline void
tell_expunged(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	buf_printf(arg, "x%u ", seq);
}

static inline void
tell_exists(void *arg, uint32_t count)
{
	buf_printf(arg, "e%u ", count);
}

static inline void
tell_flags(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	buf_printf(arg, "f%u ", seq);
}

static inline void
tell_keywords(void *arg)
{
	buf_printf(arg, "k ");
}

static inline bool
sync_is(struct mails_view *v, bool expunge, const char *want)
{
	struct buf told = BUF_INIT;
	struct mails_changes changes = { tell_expunged, tell_exists, tell_flags,
		tell_keywords, &told };
	bool is;

	CHECK_INT(mails_view_sync(v, expunge, &changes), 0);
	is = strcmp(buf_str(&told), want) == 0;
	if (!is)
		print_message(
		    "sync tells <%s>, not <%s>\n", buf_str(&told), want);
	buf_clear(&told);
	return is;
}

#endif
