/* SPDX-License-Identifier: ISC */
/* The document describes what there is, all of it and nothing else. That
 * replies are as it says is shown in e2e test_openapi. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "mailbox/api/api_impl.h"

static json_t *
document(void)
{
	struct slice text = api_openapi();
	json_error_t e;
	json_t *doc =
	    json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);

	if (doc == NULL)
		fail_msg("line %d: %s", e.line, e.text);
	return doc;
}

static const char *
method_name(enum http_method m)
{
	return m == HTTP_GET ? "get"
	    : m == HTTP_POST ? "post"
	    : m == HTTP_PATCH ? "patch"
			      : "delete";
}

static const char *const scope_names[] = { [API_READ] = "read",
	[API_WRITE] = "write", [API_SEND] = "send", [API_TOKENS] = "tokens",
	[API_ACCOUNT] = "account", [API_ADMIN] = "admin" };

static void
check_scope(const struct api_route *r, json_t *op)
{
	json_t *security = json_object_get(op, "security");
	const char *scope = NULL;

	assert_true(json_is_array(security));
	if (r->scope == 0) {
		assert_int_equal(json_array_size(security), 0);
		return;
	}
	if (r->scope == API_SCOPES_ALL) { /* any will do */
		assert_int_equal(json_unpack(json_array_get(security, 0),
				     "{s:[!]}", "bearer"),
		    0);
		return;
	}
	assert_int_equal(json_unpack(json_array_get(security, 0),
			     "{s:[s]}", "bearer", &scope),
	    0);
	assert_string_equal(scope, scope_names[r->scope]);
}

static void
each_route_is_described(void **state)
{
	json_t *doc = document(), *paths = json_object_get(doc, "paths");
	size_t described = 0;
	const char *path;
	json_t *item;

	(void)state;
	for (const struct api_route *r = api_routes; r->path != NULL; r++) {
		json_t *op = json_object_get(json_object_get(paths, r->path),
		    method_name(r->method));

		if (op == NULL)
			fail_msg("%s %s", method_name(r->method), r->path);
		assert_string_equal(
		    json_string_value(json_object_get(op, "operationId")),
		    r->id);
		check_scope(r, op);
		if (r->json)
			assert_non_null(json_object_get(op, "requestBody"));
	}
	json_object_foreach(paths, path, item)
		described += json_object_size(item);
	assert_int_equal(described, api_n_routes);
	json_decref(doc);
}

static int
status_of(const char *code)
{
	for (const struct http_problem *p = api_problems; p->code != NULL; p++)
		if (strcmp(p->code, code) == 0)
			return p->status;
	fail_msg("no such problem: %s", code);
	return 0;
}

static void
check_responses(json_t *responses)
{
	const char *status;
	json_t *response, *code;
	size_t i;

	assert_non_null(json_object_get(responses, "default"));
	json_object_foreach(responses, status, response)
	{
		json_t *codes = json_object_get(
		    json_object_get(
			json_object_get(
			    json_object_get(
				json_object_get(
				    json_object_get(response, "content"),
				    "application/problem+json"),
				"schema"),
			    "properties"),
			"code"),
		    "enum");

		assert_true(status[0] == '2' || codes != NULL ||
		    strcmp(status, "default") == 0);
		json_array_foreach(codes, i, code)
			assert_int_equal(strtol(status, NULL, 10),
			    status_of(json_string_value(code)));
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
			check_responses(json_object_get(op, "responses"));
	json_decref(doc);
}

/* What the path finds; and no route hides another. */
static const struct {
	enum http_method method;
	const char *path, *id, *param[API_PARAMS];
	unsigned allow;
} finds[] = {
	{ HTTP_GET, "/mailboxes", "listMailboxes", { NULL },
	    HTTP_GET | HTTP_POST },
	{ HTTP_HEAD, "/mailboxes/7", "getMailbox", { "7" },
	    HTTP_GET | HTTP_PATCH | HTTP_DELETE },
	{ HTTP_GET, "/mailboxes/7/messages/9/parts/2", "getPart",
	    { "7", "9", "2" }, HTTP_GET },
	{ HTTP_GET, "/mailboxes/%37/messages", "listMessages", { "7" },
	    HTTP_GET | HTTP_PATCH },
	{ HTTP_POST, "/mailboxes/7/messages/move", "moveMessages", { "7" },
	    HTTP_POST | HTTP_GET | HTTP_PATCH | HTTP_DELETE },
	{ HTTP_PUT, "/mailboxes", NULL, { NULL }, HTTP_GET | HTTP_POST },
	{ HTTP_GET, "/mailboxes/", NULL, { NULL }, 0 },
	{ HTTP_GET, "/mailboxes/%00", NULL, { NULL }, 0 },
	{ HTTP_GET, "/mailboxes/7/messages/9/", NULL, { NULL }, 0 },
	{ HTTP_GET, "/mailboxesx", NULL, { NULL }, 0 },
	{ HTTP_GET, "", NULL, { NULL }, 0 },
	{ HTTP_GET, "//mailboxes", NULL, { NULL }, 0 },
};

static void
paths_find_routes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
		struct arena a = ARENA_INIT_MAX(0);
		struct slice param[API_PARAMS] = { { 0 } };
		struct http_match m = { .method = finds[i].method,
			.path = slice_str(finds[i].path) };
		const struct api_route *r =
		    api_route_find(api_routes, &m, &a, param);

		if ((r != NULL) != (finds[i].id != NULL) ||
		    m.allow != finds[i].allow)
			fail_msg("%s", finds[i].path);
		if (r != NULL)
			assert_string_equal(r->id, finds[i].id);
		for (size_t p = 0; r != NULL && p < API_PARAMS; p++)
			if (finds[i].param[p] != NULL)
				assert_true(slice_eq_str(
				    param[p], finds[i].param[p]));
		arena_reset(&a);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_route_is_described),
		cmocka_unit_test(each_code_has_the_status_that_it_has),
		cmocka_unit_test(paths_find_routes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
