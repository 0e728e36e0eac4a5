/* SPDX-License-Identifier: ISC */
/* What a notice says, how it is signed, what answers mean. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/notice_send.h"

static const struct notice notice = { .id = "abcdefghabcdefgh",
	.account = "bob@d.test",
	.name = "",
	.p256dh = "",
	.content = NOTICE_PREVIEW };
static const struct notice_event event = { .number = 7,
	.mailbox = 18446744073709551615u,
	.uidvalidity = 5,
	.uid = 9,
	.size = 1234,
	.arrived_s = 1795894009 };

static const char about[] =
    "{\"from\":[{\"name\":\"B\",\"address\":\"b@x.test\"}],\"subject\":\"S\","
    "\"preview\":\"P\",\"message_id\":\"1@x\",\"uid\":9,"
    "\"mailbox_name\":\"INBOX\"}";

static void
check_body(const struct notice *n, const struct notice_event *e, const char *of,
    bool shorter, const char *want)
{
	json_t *j = of == NULL ? NULL : json_loads(of, 0, NULL);
	json_t *body = notice_body(n, e, j, shorter);
	char *text = json_dumps(body, JSON_COMPACT);

	assert_string_equal(text, want);
	free(text);
	json_decref(body);
	json_decref(j);
}

#define HEAD                                                                   \
	"{\"id\":\"abcdefghabcdefgh-7\",\"type\":\"mail\",\"event\":7,"        \
	"\"subscription\":\"abcdefghabcdefgh\",\"account\":\"bob@d.test\","    \
	"\"arrived\":\"2026-11-28T19:26:49Z\""
#define WHERE                                                                  \
	",\"mailbox\":{\"id\":\"18446744073709551615\",\"name\":\"INBOX\"},"   \
	"\"uid\":9,\"uidvalidity\":5,\"size\":1234"
#define FROM ",\"from\":{\"name\":\"B\",\"address\":\"b@x.test\"}"

static void
test_bodies(void **state)
{
	struct notice n = notice;

	(void)state;
	check_body(&n, &event, about, false,
	    HEAD WHERE FROM ",\"subject\":\"S\",\"message_id\":\"1@x\","
			    "\"preview\":\"P\"}");
	check_body(&n, &event, about, true,
	    HEAD WHERE FROM ",\"subject\":\"S\",\"preview\":\"P\"}");
	n.content = NOTICE_ENVELOPE;
	check_body(
	    &n, &event, about, true, HEAD WHERE FROM ",\"subject\":\"S\"}");
	check_body(&n, &event, "{\"gone\":true,\"mailbox_name\":\"INBOX\"}",
	    true, HEAD WHERE ",\"gone\":true}");
	check_body(&n, &event, "{\"sealed\":true,\"subject\":\"no\"}", true,
	    HEAD ",\"sealed\":true}");
	check_body(&n, &event, "{\"mailbox_name\":\"INBOX\"}", true,
	    HEAD WHERE ",\"from\":null,\"subject\":null}");
	n.content = NOTICE_NOTHING;
	check_body(&n, &event, about, false, HEAD "}");
}

/* Whatever a message says of itself, a push message has room for it. */
static void
test_short(void **state)
{
	static const char *const fill[] = { "\"", "\\", "\x01", "\x7f",
		"\xc3\xa9", "\xf0\x9f\x92\xa9" };
	struct notice n = notice;
	char text[4001], name[256];

	(void)state;
	for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
		size_t k = strlen(fill[i]);
		json_t *j, *body;
		char *dump;

		for (size_t at = 0; at + k <= 4000; at += k)
			memcpy(text + at, fill[i], k);
		text[4000 / k * k] = '\0';
		memcpy(name, text, 252);
		name[252 / k * k] = '\0';
		n.name = name;
		j = json_pack("{s:[{s:s, s:s}], s:s, s:s, s:s}", "from", "name",
		    text, "address", text, "subject", text, "preview", text,
		    "mailbox_name", name);
		assert_non_null(j);
		body = notice_body(&n, &event, j, true);
		dump = json_dumps(body, JSON_COMPACT);
		assert_non_null(dump);
		assert_true(strlen(dump) <= WEBPUSH_MAX);
		free(dump);
		json_decref(body);
		json_decref(j);
	}
}

static void
test_signature(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	/* printf '1700000000.{}' | openssl dgst -sha256 -hmac secret */
	assert_true(notice_signature(
	    SLICE_LIT("secret"), 1700000000, SLICE_LIT("{}"), &b));
	assert_string_equal(buf_str(&b),
	    "t=1700000000,v1="
	    "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
	buf_clear(&b);
}

static void
test_judge(void **state)
{
	static const struct {
		int status;
		enum notice_fate hook, push;
	} cases[] = {
		{ 200, NOTICE_DONE, NOTICE_DONE },
		{ 201, NOTICE_DONE, NOTICE_DONE },
		{ 299, NOTICE_DONE, NOTICE_DONE },
		{ 301, NOTICE_LATER, NOTICE_LATER },
		{ 400, NOTICE_DEAD, NOTICE_DEAD },
		{ 401, NOTICE_LATER, NOTICE_LATER },
		{ 404, NOTICE_LATER, NOTICE_ENDED },
		{ 408, NOTICE_LATER, NOTICE_LATER },
		{ 410, NOTICE_ENDED, NOTICE_ENDED },
		{ 413, NOTICE_DEAD, NOTICE_DEAD },
		{ 422, NOTICE_DEAD, NOTICE_DEAD },
		{ 429, NOTICE_LATER, NOTICE_LATER },
		{ 500, NOTICE_LATER, NOTICE_LATER },
		{ 999, NOTICE_LATER, NOTICE_LATER },
		{ 0, NOTICE_LATER, NOTICE_LATER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
		    notice_judge(cases[i].status, false), cases[i].hook);
		assert_int_equal(
		    notice_judge(cases[i].status, true), cases[i].push);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_judge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
