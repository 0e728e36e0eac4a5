/* SPDX-License-Identifier: ISC */
/* The document describes what pneu manage has, all of it and nothing else. That
 * replies are as it says is shown in e2e test_manage. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "mgmt/api/manage.h"
#include "mgmt/api/manage_impl.h"

static const char *
method_name(enum http_method m)
{
	return m == HTTP_GET  ? "get"
	    : m == HTTP_POST  ? "post"
	    : m == HTTP_PUT   ? "put"
	    : m == HTTP_PATCH ? "patch"
			      : "delete";
}

static json_t *
document(void)
{
	json_t *doc = json_loadb(manage_openapi().p, manage_openapi().n,
	    JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(doc);
	return doc;
}

static void
each_route_is_described(void **state)
{
	json_t *doc = document(), *paths = json_object_get(doc, "paths");
	size_t described = 0;
	const char *path, *scope;
	json_t *item, *op;

	(void)state;
	for (const struct manage_route *r = manage_routes; r->path; r++) {
		if (r->scope == MANAGE_OPEN)
			continue; /* described with what mailbox has */
		op = json_object_get(
		    json_object_get(paths, r->path), method_name(r->method));
		if (op == NULL)
			fail_msg("%s %s", method_name(r->method), r->path);
		assert_string_equal(
		    json_string_value(json_object_get(op, "operationId")),
		    r->id);
		assert_int_equal(
		    json_unpack(
			json_array_get(json_object_get(op, "security"), 0),
			"{s:[s]}", "bearer", &scope),
		    0);
		assert_string_equal(
		    scope, r->scope == MANAGE_ADMIN ? "admin" : "account");
		assert_int_equal(
		    r->json, json_object_get(op, "requestBody") != NULL);
		assert_true(manage_has_path(slice_str(r->path)));
		described++;
	}
	assert_int_equal(described + 1, manage_n_routes);
	json_object_foreach(paths, path, item) described -=
	    json_object_size(item);
	assert_int_equal(described, 0);
	json_decref(doc);
}

static void
check_codes(json_t *responses)
{
	const char *status;
	json_t *response, *codes, *code;
	size_t i;

	json_object_foreach(responses, status, response)
	{
		if (json_unpack(response, "{s:{s:{s:{s:{s:{s:o}}}}}}",
			"content", "application/problem+json", "schema",
			"properties", "code", "enum", &codes) != 0)
			continue;
		json_array_foreach(codes, i, code)
		{
			const struct http_problem *p = manage_problems;

			while (p->code != NULL &&
			    strcmp(p->code, json_string_value(code)) != 0)
				p++;
			assert_non_null(p->code);
			assert_int_equal(p->status, strtol(status, NULL, 10));
		}
	}
}

static void
each_code_has_the_status_that_it_has(void **state)
{
	json_t *doc = document(), *item, *op;
	const char *path, *method;

	(void)state;
	json_object_foreach(json_object_get(doc, "paths"), path, item)
	    json_object_foreach(item, method, op)
		check_codes(json_object_get(op, "responses"));
	json_decref(doc);
}

/* Mail is pneu-mailbox's. */
static void
other_paths_are_not_ours(void **state)
{
	static const char *const not_ours[] = { "/session", "/mailboxes/7",
		"/events", "/accounts", "/outsider", "/", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(not_ours) / sizeof(not_ours[0]); i++)
		assert_false(manage_has_path(slice_str(not_ours[i])));
}

static void
json_is_taken_within_limits(void **state)
{
	static const struct {
		const char *text;
		int rc;
	} cases[] = {
		{ "", 0 },
		{ "{}", 0 },
		{ "{\"a\": [1, {\"b\": \"[[[[[[[[[[[[[[[[[[[[[[[[\"}]}", 0 },
		{ "[]", -EINVAL },
		{ "7", -EINVAL },
		{ "{\"a\":1,\"a\":2}", -EINVAL },
		{ "{\"a\":[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]}",
		    -EINVAL },
		{ "{\"a\":\"\xff\"}", -EINVAL },
		{ "{} x", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf why = BUF_INIT;
		json_t *j = NULL;

		if (http_json_load(slice_str(cases[i].text), &j, &why) !=
		    cases[i].rc)
			fail_msg("%s", cases[i].text);
		assert_int_equal(j != NULL, cases[i].rc == 0);
		assert_int_equal(why.n > 0, cases[i].rc != 0);
		json_decref(j);
		buf_clear(&why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_route_is_described),
		cmocka_unit_test(each_code_has_the_status_that_it_has),
		cmocka_unit_test(other_paths_are_not_ours),
		cmocka_unit_test(json_is_taken_within_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
