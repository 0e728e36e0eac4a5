/* SPDX-License-Identifier: ISC */
/* Sizes as people write and read them, and "did you mean ...?". */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "mgmt/directory.h"
#include "mgmt/nearest.h"

static const struct {
	const char *in;
	int rc;
	uint64_t octets;
} parse_cases[] = {
	{ "0", 0, 0 },
	{ "none", 0, 0 },
	{ "Unlimited", 0, 0 },
	{ "1024", 0, 1024 },
	{ "700b", 0, 700 },
	{ "64K", 0, 65536 },
	{ "50m", 0, 50 << 20 },
	{ "2G", 0, (uint64_t)2 << 30 },
	{ " 2 GiB ", 0, (uint64_t)2 << 30 },
	{ "2gb", 0, (uint64_t)2 << 30 },
	{ "1.5G", 0, (uint64_t)3 << 29 },
	{ "0.5k", 0, 512 },
	{ "8388607T", 0, (uint64_t)8388607 << 40 },
	{ "8388608T", -EINVAL, 0 },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", -EINVAL, 0 },
	{ "", -EINVAL, 0 },
	{ "G", -EINVAL, 0 },
	{ "-1", -EINVAL, 0 },
	{ "1.5", -EINVAL, 0 },
	{ "1.55G", -EINVAL, 0 },
	{ "1.x", -EINVAL, 0 },
	{ "1..5G", -EINVAL, 0 },
	{ "2X", -EINVAL, 0 },
	{ "2Gx", -EINVAL, 0 },
	{ "2 G B", -EINVAL, 0 },
};

static void
sizes_are_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]);
	     i++) {
		uint64_t octets = 0;

		if (size_parse(parse_cases[i].in, &octets) !=
		    parse_cases[i].rc)
			print_error("\"%s\"\n", parse_cases[i].in);
		octets = 0;
		assert_int_equal(size_parse(parse_cases[i].in, &octets),
		    parse_cases[i].rc);
		if (parse_cases[i].rc == 0)
			assert_true(octets == parse_cases[i].octets);
	}
}

static const struct {
	uint64_t octets;
	const char *text;
} text_cases[] = {
	{ 0, "-" },
	{ 1, "1 B" },
	{ 1023, "1023 B" },
	{ 1024, "1 KiB" },
	{ 1536, "1.5 KiB" },
	{ 50 << 20, "50 MiB" },
	{ (uint64_t)3 << 29, "1.5 GiB" },
	{ ((uint64_t)2 << 30) - 1, "2 GiB" },
	{ INT64_MAX, "8 EiB" },
	{ UINT64_MAX, "16 EiB" },
};

static void
sizes_are_written(void **state)
{
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(text_cases) / sizeof(text_cases[0]); i++)
		assert_string_equal(size_text(&a, text_cases[i].octets),
		    text_cases[i].text);
	assert_string_equal(time_text(&a, 0), "");
	assert_string_equal(time_text(&a, 1700000000), "2023-11-14T22:13:20Z");
	arena_reset(&a);
}

static const struct {
	const char *name, *found;
} near_cases[] = {
	{ "alcie@d.test", "alice@d.test" },
	{ "alice@d.tset", "alice@d.test" },
	{ "ALICE@d.tes", "alice@d.test" },
	{ "bbo@d.test", "bob@d.test" },
	{ "phon", "phone" },
	{ "alice@d.test", NULL }, /* itself is no suggestion */
	{ "zzzzzzzzzz", NULL },
	{ "x", NULL },
	{ "", NULL },
};

static void
the_nearest_is_found(void **state)
{
	static const char *const names[] = { "alice@d.test", "bob@d.test",
		"phone" };

	(void)state;
	for (size_t i = 0; i < sizeof(near_cases) / sizeof(near_cases[0]);
	     i++) {
		struct nearest near = nearest_to(near_cases[i].name);

		if (strcmp(near_cases[i].name, "alice@d.test") == 0)
			nearest_try(&near, names[0]);
		else
			for (size_t k = 0; k < 3; k++)
				nearest_try(&near, names[k]);
		if (near_cases[i].found == NULL)
			assert_null(near.found);
		else
			assert_string_equal(near.found, near_cases[i].found);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_read),
		cmocka_unit_test(sizes_are_written),
		cmocka_unit_test(the_nearest_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
