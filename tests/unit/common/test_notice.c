/* SPDX-License-Identifier: ISC */
/* Subscriptions in the directory: what may be written, what is sealed, whose
 * they are. */
#include "tests/unit/common/accounts_fixture.h"

#include "common/auth/notice.h"
#include "common/mail/transfer.h"

#define POINT                                                                  \
	"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-"                   \
	"AYWXvTBHm4bjyPjs7Vd"                                                  \
	"8pZGH6SRpkNtoIAiw4"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define SECRET "0123456789abcdef"

#define CHECK(condition)                                                       \
	do {                                                                   \
		if (!(condition) && fixture_fault[0] == '\0')                  \
			snprintf(fixture_fault, sizeof(fixture_fault),         \
			    "line %d: %s", __LINE__, #condition);              \
	} while (0)

static struct arena arena;

static struct notice
hook(const char *account, const char *url)
{
	return (struct notice){
		.account = account, .url = url, .name = "", .p256dh = ""
	};
}

static int
add(struct accounts *a, struct notice *n, const char *secret)
{
	struct buf err = BUF_INIT, made = BUF_INIT;
	int rc = notice_add(a, &arena, n,
	    secret == NULL ? slice(NULL, 0) : slice_str(secret), &made, &err);

	CHECK((rc == 0) == (err.n == 0));
	CHECK(secret != NULL || rc != 0 || n->kind != NOTICE_WEBHOOK ||
	    made.n == 43);
	buf_clear(&err);
	buf_clear(&made);
	return rc;
}

static void
secrets(struct accounts *a)
{
	struct buf b = BUF_INIT, err = BUF_INIT;
	struct notice n = hook("bob@d.test", "https://x.test/"), got, other;

	CHECK(add(a, &n, SECRET) == 0);
	CHECK(notice_get(a, &arena, slice_str(n.id), &got) == 0);
	CHECK(strcmp(got.account, "bob@d.test") == 0);
	CHECK(got.version != 0 && got.created_s > 0);
	CHECK(slice_find_slice(got.sealed, SLICE_LIT(SECRET)) < 0);
	CHECK(notice_secret(a, &got, &b) == 0);
	CHECK(slice_eq_str(buf_slice(&b), SECRET));
	/* Another's secret does not open as this one's. */
	other = got;
	other.id = "aaaaaaaaaaaaaaaa";
	buf_reset(&b);
	CHECK(notice_secret(a, &other, &b) == -EBADMSG);
	/* A change keeps it, and is another version. */
	other = got;
	other.paused = true;
	CHECK(notice_set(a, &other, slice(NULL, 0), &err) == 0);
	CHECK(notice_get(a, &arena, slice_str(n.id), &other) == 0);
	CHECK(other.paused && other.version != got.version);
	buf_reset(&b);
	CHECK(notice_secret(a, &other, &b) == 0);
	CHECK(slice_eq_str(buf_slice(&b), SECRET));
	buf_clear(&b);
	buf_clear(&err);
}

static void
what_may_be(struct accounts *a)
{
	static const char *const bad_senders[] = { "nobody" };
	struct notice n = hook("bob@d.test", "https://x.test/");

	CHECK(add(a, &n, NULL) == 0);
	CHECK(add(a, &n, "tooshort") == -EINVAL);
	CHECK(add(a, &n, "with spaces in it, which is not fine") == -EINVAL);
	n = hook("nobody@d.test", "https://x.test/");
	CHECK(add(a, &n, SECRET) == -ENOENT);
	n = hook("bob@d.test", "https://u@x.test/");
	CHECK(add(a, &n, SECRET) == -EINVAL);
	n = hook("bob@d.test", "https://x.test/");
	n.senders = bad_senders;
	n.n_senders = 1;
	CHECK(add(a, &n, SECRET) == -EINVAL);
	n = hook("bob@d.test", "https://x.test/");
	n.min_size = 5;
	n.max_size = 4;
	CHECK(add(a, &n, SECRET) == -EINVAL);
	n = hook("bob@d.test", "https://x.test/");
	n.p256dh = POINT;
	CHECK(add(a, &n, SECRET) == -EINVAL);
	n.kind = NOTICE_WEBPUSH;
	CHECK(add(a, &n, SECRET) == -EINVAL);
	CHECK(add(a, &n, NULL) == -EINVAL);
	CHECK(add(a, &n, AUTH) == 0);
	n.p256dh = "BCVx";
	CHECK(add(a, &n, AUTH) == -EINVAL);
	n.p256dh = "";
	CHECK(add(a, &n, AUTH) == -EINVAL);
	n.kind = NOTICE_UNIFIEDPUSH;
	CHECK(add(a, &n, AUTH) == -EINVAL);
	CHECK(add(a, &n, NULL) == 0);
	n.kind = NOTICE_NTFY;
	CHECK(add(a, &n, NULL) == 0);
	CHECK(add(a, &n, "tk_x") == 0);
}

static void
whose(struct accounts *a)
{
	struct buf err = BUF_INIT;
	struct notice n = hook("al@d.test", "https://x.test/"), *v;
	uint64_t before, after;
	size_t count;

	CHECK(notice_wanted(a, SLICE_LIT("al@d.test")) == 0);
	CHECK(notice_generation(a, &before) == 0);
	CHECK(add(a, &n, SECRET) == 0);
	CHECK(notice_generation(a, &after) == 0 && before != after);
	CHECK(notice_wanted(a, SLICE_LIT("al@d.test")) == 1);
	/* A longer name is another account. */
	CHECK(notice_wanted(a, SLICE_LIT("a@d.test")) == 0);
	CHECK(notice_wanted(a, SLICE_LIT("al@d.testx")) == 0);
	CHECK(notice_list(a, &arena, SLICE_LIT("Al@D.test"), &v, &count) == 0);
	CHECK(count == 1 && strcmp(v[0].id, n.id) == 0);
	CHECK(notice_list(a, &arena, SLICE_EMPTY, &v, &count) == 0);
	CHECK(count > 1 && strcmp(v[0].account, "al@d.test") == 0);
	CHECK(notice_remove(a, SLICE_LIT("bob@d.test"), slice_str(n.id),
		  &err) == -ENOENT);
	CHECK(
	    notice_remove(a, SLICE_EMPTY, SLICE_LIT("x/../"), &err) == -ENOENT);
	buf_reset(&err);
	CHECK(notice_remove(a, SLICE_LIT("al@d.test"), slice_str(n.id), &err) ==
	    0);
	CHECK(notice_get(a, &arena, slice_str(n.id), &n) == -ENOENT);
	CHECK(notice_wanted(a, SLICE_LIT("al@d.test")) == 0);
	for (int i = 0; i < NOTICE_PER_ACCOUNT; i++) {
		n = hook("al@d.test", "https://x.test/");
		CHECK(add(a, &n, SECRET) == 0);
	}
	CHECK(add(a, &n, SECRET) == -ENOSPC);
	/* With the account they go, and who has its name next has none. */
	CHECK(accounts_account_remove(a, SLICE_LIT("al@d.test"), &err) == 0);
	CHECK(notice_wanted(a, SLICE_LIT("al@d.test")) == 0);
	CHECK(notice_get(a, &arena, slice_str(n.id), &n) == -ENOENT);
	buf_clear(&err);
}

static void
run_all(void *arg)
{
	struct accounts *a = fixture_open("domain d.test\n"
					  "account bob@d.test\n"
					  "account al@d.test\n",
	    7);

	(void)arg;
	secrets(a);
	what_may_be(a);
	whose(a);
	arena_reset(&arena);
	accounts_close(&a);
}

static void
test_records(void **state)
{
	(void)state;
	assert_int_equal(co_run(run_all, NULL), 0);
	assert_string_equal(fixture_fault, "");
}

static void
test_base64url(void **state)
{
	static const char *const bad[] = { "a", "ab+_", "ab/_",
		"ab=", "a===", "ab\n", "aa=a", "ab", "====" };
	struct buf b = BUF_INIT, back = BUF_INIT;

	(void)state;
	assert_true(base64url_encode(&b, slice("\xfb\xff\xfe\x01", 4)));
	assert_string_equal(buf_str(&b), "-__-AQ");
	assert_int_equal(base64url_decode(&back, buf_slice(&b)), 0);
	assert_memory_equal(back.p, "\xfb\xff\xfe\x01", 4);
	buf_reset(&back);
	assert_int_equal(base64url_decode(&back, SLICE_LIT("-__-AQ==")), 0);
	assert_int_equal(back.n, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (base64url_decode(&back, slice_str(bad[i])) != -EINVAL)
			fail_msg("taken: %s", bad[i]);
	buf_clear(&b);
	buf_clear(&back);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64url),
		cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
