/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "qm/destination.h"

static const struct {
	struct smtp_wishes wishes;
	bool smarthost;
	const char *domain, *name;
	enum destination_kind kind;
	unsigned needs;
} cases[] = {
	{ { 0 }, false, "Else.TEST", "smtp:else.test", DESTINATION_DOMAIN, 0 },
	{ { 0 }, true, "", "smarthost", DESTINATION_SMARTHOST, 0 },
	{ { 0 }, false, "[IPv6:::1]", "smtp:[ipv6:::1]", DESTINATION_DOMAIN,
	    0 },
	{ { .by_mode = 'N' }, false, "a", "smtp:a", DESTINATION_DOMAIN, 0 },
	{ { .by_mode = 'R' }, false, "a+by", "smtp+by:a+by", DESTINATION_DOMAIN,
	    DESTINATION_BY },
	{ { .by_mode = 'R' }, true, "", "smarthost+by", DESTINATION_SMARTHOST,
	    DESTINATION_BY },
	{ { .requiretls = true }, false, "a", "smtp+tls:a", DESTINATION_DOMAIN,
	    DESTINATION_TLS },
	{ { .requiretls = true, .by_mode = 'R' }, true, "", "smarthost+by+tls",
	    DESTINATION_SMARTHOST, DESTINATION_TLS | DESTINATION_BY },
	{ { .by_mode = 'N' }, false, "+by", "smtp:+by", DESTINATION_DOMAIN, 0 },
	{ { .outside = true }, false, "a", "gateway:a@b", DESTINATION_GATEWAY,
	    0 },
	{ { .outside = true, .requiretls = true, .by_mode = 'R' }, true, "",
	    "gateway:a@b", DESTINATION_GATEWAY, 0 },
	{ { 0 }, false, "gateway", "smtp:gateway", DESTINATION_DOMAIN, 0 },
};

static void
names_say_where_and_what_is_needed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct queue_message *m = queue_message_new();
		struct destination_name d;
		const char *name;

		m->from = SLICE_LIT("a@b");
		m->wishes = cases[i].wishes;
		name = destination_name_of(
		    m, cases[i].smarthost, slice_str(cases[i].domain));
		assert_string_equal(name, cases[i].name);
		d = destination_parse(name);
		assert_int_equal(d.kind, cases[i].kind);
		assert_int_equal(d.needs, cases[i].needs);
		if (d.kind == DESTINATION_DOMAIN)
			assert_string_equal(d.domain, strchr(name, ':') + 1);
		queue_message_free(&m);
	}
}

/* RFC 8689 5 */
static void
reports_go_without_rather_than_not_at_all(void **state)
{
	struct queue_message *m = queue_message_new();
	const char *name;

	(void)state;
	m->wishes.requiretls = true;
	name = destination_name_of(m, false, SLICE_LIT("a"));
	assert_string_equal(name, "smtp+iftls:a");
	assert_int_equal(destination_parse(name).needs, DESTINATION_TLS_IF);
	queue_message_free(&m);
}

/* RFC 8689 3, 4.1 */
static void
tls_required_no_yields_to_requiretls(void **state)
{
	struct queue_message *m = queue_message_new();
	const char *name;

	(void)state;
	m->from = SLICE_LIT("a@b");
	m->flags = QUEUE_TLS_ANY;
	name = destination_name_of(m, false, SLICE_LIT("a"));
	assert_string_equal(name, "smtp+anytls:a");
	assert_int_equal(destination_parse(name).needs, DESTINATION_TLS_ANY);
	m->wishes.requiretls = true;
	name = destination_name_of(m, false, SLICE_LIT("a"));
	assert_string_equal(name, "smtp+tls:a");
	assert_int_equal(destination_parse(name).needs, DESTINATION_TLS);
	queue_message_free(&m);
}

static void
the_mailbox_is_one(void **state)
{
	(void)state;
	assert_int_equal(
	    destination_parse(DESTINATION_LOCAL).kind, DESTINATION_MAILBOX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_say_where_and_what_is_needed),
		cmocka_unit_test(reports_go_without_rather_than_not_at_all),
		cmocka_unit_test(tls_required_no_yields_to_requiretls),
		cmocka_unit_test(the_mailbox_is_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
