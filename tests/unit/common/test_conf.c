/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/conf.h"

/* --- faults: the text and all that is said about it --- */

static const struct {
	const char *text, *errors;
} faults[] = {
	/* syntax */
	{ "{", "f:1:2: string or '}' expected near end of file\n" },
	{ "{ \"a\": }", "f:1:8: unexpected token near '}'\n" },
	{ "{ \"hostname\": \"a\" \"workers\": 1 }",
	    "f:1:19: ',' or '}' expected near '\"workers\"'\n" },
	{ "{ \"hostname\": \"\xc3\xa9\" \"workers\": 1 }",
	    "f:1:19: ',' or '}' expected near '\"workers\"'\n" },
	{ "# c\n{\n\t\"mta\": { \"listen\": [\"x\" } }",
	    "f:3:26: ',' or ']' expected near '}'\n" },
	{ "{ \"hostname\": \"x,\n }",
	    "f:1:15: unexpected newline near '\"x,'\n" },
	{ "hostname", "f:1:1: '{' expected near 'hostname'\n" },
	{ "[]", "f:1:1: expected an object, { \"setting\": value, ... }\n" },
	{ "{ \"mta\": { \"listen\": [,] } }",
	    "f:1:23: unexpected token near ','\n" },
	{ "{ \"mta\": { \"listen\": [\"a\",,] } }",
	    "f:1:27: unexpected token near ','\n" },
	{ "{,}", "f:1:2: string or '}' expected near ','\n" },
	{ "{} {}", "f:1:4: end of file expected near '{'\n" },
	{ "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "f:1:17: nested too deep\n" },
	/* names */
	{ "{ \"mta\": { \"lissten\": [] } }",
	    "f:1:12: mta.lissten: unknown setting; did you mean "
	    "mta.listen?\n" },
	{ "{ \"hostnmae\": \"x\" }",
	    "f:1:3: hostnmae: unknown setting; did you mean hostname?\n" },
	{ "{ \"mtaa\": { } }",
	    "f:1:3: mtaa: unknown setting; did you mean mta?\n" },
	{ "{ \"qm\": { \"imaps\": [] } }",
	    "f:1:11: qm.imaps: unknown setting; did you mean "
	    "mailbox.imaps?\n" },
	{ "{ \"zzzzzzzzzzzz\": 1 }", "f:1:3: zzzzzzzzzzzz: unknown setting\n" },
	{ "{ \"mta.listen\": [] }",
	    "f:1:3: mta.listen: write it as \"mta\": { \"listen\": ... }\n" },
	{ "{ \"mta\": 5 }",
	    "f:1:10: mta: this is a section; expected "
	    "{ \"setting\": value, ... }\n" },
	{ "{ \"hostname\": \"a\",\n \"hostname\": \"b\" }",
	    "f:2:2: hostname: stands here twice; the first is in line 1\n" },
	{ "{ \"mta\": {},\n \"qm\": {}, \"mta\": {} }",
	    "f:2:12: mta: stands here twice; the first is in line 1\n" },
	{ "{ \"mta\": { \"qm\": \"a\",\n \"qm\": \"b\" } }",
	    "f:2:2: mta.qm: stands here twice; the first is in line 1\n" },
	{ "{ \"dns\": { \"stub\": { \"a\": \"1\",\n\"\\u0061\": \"2\" } } }",
	    "f:2:1: dns.stub.a: stands here twice; the first is in "
	    "line 1\n" },
	/* types */
	{ "{ \"hostname\": 5 }",
	    "f:1:15: hostname: expected a string; found a number\n" },
	{ "{ \"hostname\": null }",
	    "f:1:15: hostname: expected a string; found null\n" },
	{ "{ \"data_dir\": {} }",
	    "f:1:15: data_dir: expected a string, such as "
	    "\"/var/lib/pneu\"; found an object\n" },
	{ "{ \"sandbox\": \"true\" }",
	    "f:1:14: sandbox: expected true or false; found a string\n" },
	{ "{ \"mta\": { \"max_errors\": \"10\" } }",
	    "f:1:26: mta.max_errors: expected an integer, such as 10; found "
	    "a string\n" },
	{ "{ \"mta\": { \"max_errors\": 1.5 } }",
	    "f:1:26: mta.max_errors: expected an integer, such as 10; found "
	    "a fraction\n" },
	{ "{ \"mta\": { \"max_size\": true } }",
	    "f:1:24: mta.max_size: expected a size in octets, such as "
	    "\"64K\" or \"50M\"; found true\n" },
	{ "{ \"drain\": 30 }",
	    "f:1:12: drain: expected a time with its unit, such as "
	    "\"500ms\", \"30s\", \"5m\", \"2h\" or \"5d\"; found a number\n" },
	{ "{ \"mta\": { \"listen\": { } } }",
	    "f:1:22: mta.listen: expected a list of strings, such as "
	    "[\"*:25\"]; found an object\n" },
	{ "{ \"mta\": { \"listen\": [\"a\", 5,\n [\"b\"]] } }",
	    "f:1:28: mta.listen[1]: expected a string; found a number\n"
	    "f:2:2: mta.listen[2]: expected a string; found a list\n" },
	{ "{ \"dns\": { \"stub\": [] } }",
	    "f:1:20: dns.stub: expected names with strings, such as "
	    "{ \"name\": \"text\" }; found a list\n" },
	{ "{ \"dns\": { \"stub\": { \"a\": [] } } }",
	    "f:1:27: dns.stub.a: expected a string; found a list\n" },
	/* values */
	{ "{ \"workers\": 257 }",
	    "f:1:14: workers: 257 is above the maximum, 256\n" },
	{ "{ \"workers\": -1 }",
	    "f:1:14: workers: -1 is below the minimum, 0\n" },
	{ "{ \"mta\": { \"max_size\": \"1K\" } }",
	    "f:1:24: mta.max_size: 1K is below the minimum, 64K\n" },
	{ "{ \"drain\": \"2d\" }",
	    "f:1:12: drain: 2d is above the maximum, 1d\n" },
	{ "{ \"drain\": \"2 s\" }",
	    "f:1:12: drain: expected a time with its unit, such as "
	    "\"500ms\", \"30s\", \"5m\", \"2h\" or \"5d\"; found \"2 s\"\n" },
	{ "{ \"mta\": { \"max_size\": \"99999999999T\" } }",
	    "f:1:24: mta.max_size: expected a size in octets, such as "
	    "\"64K\" or \"50M\"; found \"99999999999T\"\n" },
	{ "{ \"log_level\": \"loud\" }",
	    "f:1:16: log_level: expected \"error\", \"warning\", \"info\" or "
	    "\"debug\"; found \"loud\"\n" },
	{ "{ \"hostname\": \"a\\nb\" }",
	    "f:1:15: hostname: a line break or another control character is "
	    "not allowed\n" },
	/* several at once, in order */
	{ "{ \"x\": 1,\n  \"workers\": \"a\",\n  \"mta\": { \"y\": 2 }\n}",
	    "f:1:3: x: unknown setting\n"
	    "f:2:14: workers: expected an integer, such as 0; found a "
	    "string\n"
	    "f:3:12: mta.y: unknown setting\n" },
};

static void
each_fault_is_told_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct buf err = BUF_INIT;

		assert_null(conf_parse("f", slice_str(faults[i].text), &err));
		assert_string_equal(buf_str(&err), faults[i].errors);
		buf_clear(&err);
	}
}

/* --- values --- */

static struct conf *
parse(const char *text)
{
	struct buf err = BUF_INIT;
	struct conf *c = conf_parse("/etc/p/f", slice_str(text), &err);

	assert_string_equal(buf_str(&err), "");
	assert_non_null(c);
	buf_clear(&err);
	return c;
}

static void
defaults_hold_for_an_empty_file(void **state)
{
	static const char *const empty[] = { "", "  \n", "# only a comment",
		"{}", "\xef\xbb\xbf{}", "{ # }\n}", "{ \"mta\": {}, }" };
	struct conf *c;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		c = parse(empty[i]);
		assert_string_equal(conf_str(c, "hostname"), "");
		assert_int_equal(conf_int(c, "mta.max_recipients"), 1000);
		assert_int_equal(conf_size(c, "mta.max_size"), 50 << 20);
		assert_int_equal(conf_duration_ms(c, "drain"), 20000);
		assert_int_equal(conf_enum(c, "log_level"), 2);
		assert_true(conf_bool(c, "sandbox"));
		assert_string_equal(conf_list(c, "mta.listen", &n)[0], "*:25");
		assert_int_equal(n, 1);
		assert_null(conf_list(c, "dns.servers", &n)[0]);
		assert_int_equal(n, 0);
		assert_null(conf_map(c, "dns.stub", "x"));
		conf_free(&c);
		assert_null(c);
	}
}

static void
values_are_read(void **state)
{
	struct conf *c = parse(
	    "# \"comment\" { [\n"
	    "{\n"
	    "\t\"hostname\": \"a#b\\\"#\", # not in the string\n"
	    "\t\"sandbox\": false, \"workers\": 3, \"log_level\": \"debug\",\n"
	    "\t\"drain\": 0,\n"
	    "\t\"mta\": {\n"
	    "\t\t\"listen\": [\"*:2025\", \"unix:x\", ], # comma, ]\n"
	    "\t\t\"max_size\": 100000, \"timeout\": \"1500ms\",\n"
	    "\t},\n"
	    "\t\"qm\": { \"max_size\": \"2g\", \"lmtp\": \"one\" },\n"
	    "\t\"mailbox\": { \"imap\": [], \"pop3\": \"\" },\n"
	    "\t\"dns\": { \"stub\": { \"lab\": \"127.0.0.1@5\", \"\": \"e\" } "
	    "},\n"
	    "}\n");
	const char *const *list;
	size_t n;

	(void)state;
	assert_string_equal(conf_str(c, "hostname"), "a#b\"#");
	assert_false(conf_bool(c, "sandbox"));
	assert_int_equal(conf_int(c, "workers"), 3);
	assert_int_equal(conf_enum(c, "log_level"), 3);
	assert_int_equal(conf_duration_ms(c, "drain"), 0);
	assert_int_equal(conf_duration_ms(c, "mta.timeout"), 1500);
	assert_int_equal(conf_size(c, "mta.max_size"), 100000);
	assert_int_equal(conf_size(c, "qm.max_size"), (size_t)2 << 30);
	list = conf_list(c, "mta.listen", &n);
	assert_int_equal(n, 2);
	assert_string_equal(list[1], "unix:x");
	assert_null(list[2]);
	assert_string_equal(conf_list(c, "qm.lmtp", &n)[0], "one");
	conf_list(c, "mailbox.imap", &n);
	assert_int_equal(n, 0);
	conf_list(c, "mailbox.pop3", &n);
	assert_int_equal(n, 0);
	assert_string_equal(conf_map(c, "dns.stub", "lab"), "127.0.0.1@5");
	assert_string_equal(conf_map(c, "dns.stub", ""), "e");
	list = conf_map_keys(c, "dns.stub", &n);
	assert_int_equal(n, 2);
	assert_string_equal(list[0], "lab");
	conf_free(&c);
}

static const struct {
	const char *data_dir, *path, *file;
} paths[] = {
	{ "/d", "k.pem", "/d/k.pem" },
	{ "/d", "/k.pem", "/k.pem" },
	{ "/", "k.pem", "/k.pem" },
	{ "d", "k.pem", "/etc/p/d/k.pem" },
	{ ".", "k.pem", "/etc/p/k.pem" },
	{ "d", "", "" },
	{ "d", "../k", "/etc/p/d/../k" },
};

static void
paths_are_relative_to_data_dir_and_that_to_the_file(void **state)
{
	struct arena a = { 0 };
	struct buf err = BUF_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct conf *c = parse("{ \"run_dir\": \"r\" }");

		assert_int_equal(
		    conf_set(c, "data_dir", paths[i].data_dir, &err), 0);
		assert_int_equal(
		    conf_set(c, "tls.key", paths[i].path, &err), 0);
		assert_string_equal(conf_file(c, "tls.key"), paths[i].file);
		assert_string_equal(
		    conf_resolve(c, &a, paths[i].path), paths[i].file);
		assert_string_equal(conf_file(c, "run_dir"), "/etc/p/r");
		conf_free(&c);
	}
	arena_reset(&a);
}

static void
a_file_in_the_current_folder_has_it_as_its_folder(void **state)
{
	struct buf err = BUF_INIT;
	struct conf *c = conf_parse("pneu.conf",
	    slice_str("{ \"data_dir\": "
		      "\"d\", \"tls\": { \"key\": \"k\" } }"),
	    &err);
	char *cwd = getcwd(NULL, 0);
	char want[5000];

	(void)state;
	assert_non_null(c);
	snprintf(want, sizeof(want), "%s/d/k", cwd);
	assert_string_equal(conf_file(c, "tls.key"), want);
	free(cwd);
	conf_free(&c);
}

static void
set_changes_one_setting(void **state)
{
	struct buf err = BUF_INIT;
	struct conf *c = parse("");
	size_t n;

	(void)state;
	assert_int_equal(conf_set(c, "mta.listen", "[::1]:5, unix:x", &err), 0);
	assert_string_equal(conf_list(c, "mta.listen", &n)[0], "[::1]:5");
	assert_string_equal(conf_list(c, "mta.listen", &n)[1], "unix:x");
	assert_int_equal(n, 2);
	assert_int_equal(conf_set(c, "mta.listen", "", &err), 0);
	conf_list(c, "mta.listen", &n);
	assert_int_equal(n, 0);
	assert_int_equal(
	    conf_set(c, "dns.stub", "lab=1.2.3.4@5,b=c=d", &err), 0);
	assert_string_equal(conf_map(c, "dns.stub", "b"), "c=d");
	assert_int_equal(conf_set(c, "drain", "3s", &err), 0);
	assert_int_equal(conf_duration_ms(c, "drain"), 3000);
	assert_int_equal(conf_set(c, "sandbox", "false", &err), 0);
	assert_false(conf_bool(c, "sandbox"));
	assert_string_equal(buf_str(&err), "");

	assert_int_equal(conf_set(c, "drain", "3", &err), -EINVAL);
	assert_int_equal(conf_set(c, "dran", "3s", &err), -EINVAL);
	assert_int_equal(conf_set(c, "dns.stub", "lab", &err), -EINVAL);
	assert_int_equal(conf_set(c, "hostname", "a\nb", &err), -EINVAL);
	assert_string_equal(buf_str(&err),
	    "drain: expected a time with its unit, such as \"500ms\", "
	    "\"30s\", \"5m\", \"2h\" or \"5d\"; found \"3\"\n"
	    "dran: unknown setting; did you mean drain?\n"
	    "dns.stub: expected NAME=TEXT,NAME=TEXT...\n"
	    "hostname: a line break or another control character is not "
	    "allowed\n");
	assert_int_equal(conf_duration_ms(c, "drain"), 3000);
	buf_clear(&err);
	conf_free(&c);
}

/* --- showing --- */

static void
what_is_shown_is_a_configuration_with_the_same_values(void **state)
{
	struct conf *c = parse("{ \"hostname\": \"a\\\"b\\\\\",\n"
			       "\"mta\": { \"max_size\": 65537,\n"
			       "\"timeout\": \"90s\" },\n"
			       "\"dns\": { \"stub\": { \"l\": \"x\" } } }");
	struct buf one = BUF_INIT, two = BUF_INIT;
	struct conf *again;

	(void)state;
	conf_show(c, false, &one);
	assert_non_null(strstr(one.p, "\"hostname\": \"a\\\"b\\\\\","));
	assert_non_null(strstr(one.p, "# /etc/p/f:1\n"));
	assert_non_null(strstr(one.p, "\"max_size\": \"65537\","));
	assert_non_null(strstr(one.p, "# /etc/p/f:2\n"));
	assert_non_null(strstr(one.p, "\"timeout\": \"90s\","));
	assert_non_null(strstr(one.p, "\"stub\": {\"l\": \"x\"},"));
	again = parse(one.p);
	for (size_t i = 0; conf_settings[i].name != NULL; i++)
		if (conf_settings[i].type == CONF_SIZE)
			assert_int_equal(conf_size(c, conf_settings[i].name),
			    conf_size(again, conf_settings[i].name));
	assert_int_equal(conf_duration_ms(again, "mta.timeout"), 90000);
	conf_show(c, true, &two);
	assert_non_null(strstr(two.p, "\"origin\": \"/etc/p/f:3\""));
	buf_clear(&one);
	buf_clear(&two);
	conf_free(&c);
	conf_free(&again);
}

static void
a_file_is_loaded_and_a_missing_one_is_told(void **state)
{
	char path[] = "/tmp/pneu-conf-XXXXXX";
	struct buf err = BUF_INIT;
	int fd = mkstemp(path);
	struct conf *c;

	(void)state;
	assert_int_equal(write(fd, "{ \"workers\": 2, }", 17), 17);
	close(fd);
	c = conf_load(path, &err);
	assert_non_null(c);
	assert_int_equal(conf_int(c, "workers"), 2);
	assert_string_equal(conf_path(c), path);
	conf_free(&c);
	unlink(path);

	assert_null(conf_load("/nowhere/pneu.conf", &err));
	assert_string_equal(
	    buf_str(&err), "/nowhere/pneu.conf: No such file or directory\n");
	buf_reset(&err);
	assert_null(conf_load("/tmp", &err));
	assert_string_equal(buf_str(&err), "/tmp: Is a directory\n");
	buf_clear(&err);

	c = conf_load(NULL, &err);
	assert_non_null(c);
	assert_null(conf_path(c));
	conf_free(&c);
}

static void
too_large_a_file_is_refused(void **state)
{
	struct buf text = BUF_INIT, err = BUF_INIT;

	(void)state;
	while (text.n <= (size_t)1 << 20)
		buf_put_str(&text, "# comment\n");
	assert_null(conf_parse("f", buf_slice(&text), &err));
	assert_string_equal(buf_str(&err), "f: larger than 1 MiB\n");
	buf_reset(&text);
	buf_reset(&err);
	buf_put_str(&text, "{ \"mta\": { \"listen\": [");
	for (int i = 0; i < 20000; i++)
		buf_put_str(&text, "\"x\",");
	buf_put_str(&text, "]}}");
	assert_null(conf_parse("f", buf_slice(&text), &err));
	assert_string_equal(buf_str(&err), "f:1:1: too many settings\n");
	buf_clear(&text);
	buf_clear(&err);
}

/* The table itself: names unique, sections together, help there. */
static void
the_table_is_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; conf_settings[i].name != NULL; i++) {
		const struct conf_setting *s = &conf_settings[i];

		assert_true(strlen(s->help) > 3);
		assert_true(s->help[strlen(s->help) - 1] != '.');
		assert_int_equal(s->type == CONF_ENUM, s->choices != NULL);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(s->name, conf_settings[j].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_is_told_with_its_place),
		cmocka_unit_test(defaults_hold_for_an_empty_file),
		cmocka_unit_test(values_are_read),
		cmocka_unit_test(
		    paths_are_relative_to_data_dir_and_that_to_the_file),
		cmocka_unit_test(
		    a_file_in_the_current_folder_has_it_as_its_folder),
		cmocka_unit_test(set_changes_one_setting),
		cmocka_unit_test(
		    what_is_shown_is_a_configuration_with_the_same_values),
		cmocka_unit_test(a_file_is_loaded_and_a_missing_one_is_told),
		cmocka_unit_test(too_large_a_file_is_refused),
		cmocka_unit_test(the_table_is_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
