/* SPDX-License-Identifier: ISC */
/* MTA-STS (RFC 8461): records, policies, and which hosts they name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "qm/sts.h"

static const struct {
	const char *txt, *id; /* NULL: refused */
	int rc;
} records[] = {
	{ "v=STSv1; id=20160831085700Z;", "20160831085700Z", 0 },
	{ "v=STSv1;id=1", "1", 0 },
	{ "v=STSv1 ; id = abc ;", "abc", 0 },
	{ "v=STSv1; x=y; id=1; id=2; note=", "1", 0 },
	{ "v=STSv1; id=12345678901234567890123456789012;",
	    "12345678901234567890123456789012", 0 },
	{ "v=STSv1; id=123456789012345678901234567890123;", NULL, -EINVAL },
	{ "v=STSv1; id=a-b;", NULL, -EINVAL },
	{ "v=STSv1; id=;", NULL, -EINVAL },
	{ "v=STSv1;", NULL, -EINVAL },
	{ "v=STSv1; nonsense; id=1", NULL, -EINVAL },
	{ "v=STSv1; =1; id=1", NULL, -EINVAL },
	{ "v=stsv1; id=1;", NULL, -ENOENT },
	{ "v=STSv2; id=1;", NULL, -ENOENT },
	{ "id=1; v=STSv1;", NULL, -ENOENT },
	{ "v=spf1 -all", NULL, -ENOENT },
	{ "", NULL, -ENOENT },
};

static void
records_have_an_id(void **state)
{
	struct slice id;

	(void)state;
	for (size_t i = 0; i < sizeof(records) / sizeof(*records); i++) {
		if (sts_txt_parse(slice_str(records[i].txt), &id) !=
		    records[i].rc)
			fail_msg("%s", records[i].txt);
		if (records[i].id != NULL && !slice_eq_str(id, records[i].id))
			fail_msg("%s", records[i].txt);
	}
}

#define V "version: STSv1\r\n"

static const struct {
	const char *text;
	int mode; /* -1: refused */
	int64_t age_s;
	size_t n_mx;
} policies[] = {
	{ V "mode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
	    "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
	    STS_ENFORCE, 604800, 3 },
	{ "version:STSv1\nmode:testing\nmx:a.b\nmax_age:1", STS_TESTING, 1, 1 },
	{ V "mode: none\r\nmax_age: 0\r\n", STS_NONE, 0, 0 },
	{ "max_age: 7\r\nmx: a.b\r\nmode: enforce\r\n" V, STS_ENFORCE, 7, 1 },
	{ V "mode: enforce \r\n\r\nmx:  a.b  \r\nmax_age: 7\r\nx-y.z: q\r\n",
	    STS_ENFORCE, 7, 1 },
	/* Of what stands once the first counts; ages have an end. */
	{ V "mode: testing\nmode: enforce\nmx: a\nmax_age: 99999999\n"
	    "max_age: 1\n",
	    STS_TESTING, STS_AGE_MAX, 1 },
	{ V "mode: enforce\nmx: a\nmax_age: 9999999999\n", STS_ENFORCE,
	    STS_AGE_MAX, 1 },
	{ V "mode: enforce\nmx: a\nmax_age: 99999999999\n", -1, 0, 0 },
	{ V "mode: enforce\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a\n", -1, 0, 0 },
	{ V "mx: a\nmax_age: 1\n", -1, 0, 0 },
	{ "mode: enforce\nmx: a\nmax_age: 1\n", -1, 0, 0 },
	{ "version: STSv2\nmode: enforce\nmx: a\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: Enforce\nmx: a\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a\nmax_age: -1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a\nmax_age: 1d\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: *\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: *.\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a.*.b\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: .a\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a b\nmax_age: 1\n", -1, 0, 0 },
	{ V "mode: enforce\nmx: a\nmax_age: 1\n<html>\n", -1, 0, 0 },
	{ "", -1, 0, 0 },
};

static void
policies_are_read(void **state)
{
	struct sts_policy p;

	(void)state;
	for (size_t i = 0; i < sizeof(policies) / sizeof(*policies); i++) {
		int rc = sts_policy_parse(slice_str(policies[i].text), &p);

		if (policies[i].mode < 0) {
			if (rc != -EINVAL)
				fail_msg("%s", policies[i].text);
			continue;
		}
		if (rc != 0 || (int)p.mode != policies[i].mode ||
		    p.max_age_s != policies[i].age_s ||
		    p.n_mx != policies[i].n_mx)
			fail_msg("%s", policies[i].text);
	}
}

static void
too_many_hosts_are_refused(void **state)
{
	struct sts_policy p;
	struct buf b = BUF_INIT;

	(void)state;
	buf_put_str(&b, V "mode: enforce\nmax_age: 1\n");
	for (int i = 0; i < STS_MX_MAX; i++)
		buf_printf(&b, "mx: mx%d.example.org\n", i);
	assert_int_equal(sts_policy_parse(buf_slice(&b), &p), 0);
	assert_true(sts_policy_fits(&p, SLICE_LIT("mx63.example.org")));
	buf_put_str(&b, "mx: one.too.many\n");
	assert_int_equal(sts_policy_parse(buf_slice(&b), &p), -EINVAL);
	buf_clear(&b);
}

static const struct {
	const char *host;
	bool fits;
} hosts[] = {
	{ "mail.example.com", true },
	{ "MAIL.Example.COM", true },
	{ "a.mail.example.com", false },
	{ "example.com", false },
	{ "mx.example.net", true },
	{ "x.Example.net", true },
	{ "a.b.example.net", false },
	{ "example.net", false },
	{ "xexample.net", false },
	{ ".example.net", false },
	{ "net", false },
	{ "", false },
	{ "*.example.net", true }, /* no name of a host */
};

static void
a_star_is_one_label(void **state)
{
	struct sts_policy p;

	(void)state;
	assert_int_equal(
	    sts_policy_parse(SLICE_LIT(V "mode: enforce\nmax_age: 1\n"
				       "mx: mail.example.com\n"
				       "mx: *.example.net\n"),
		&p),
	    0);
	for (size_t i = 0; i < sizeof(hosts) / sizeof(*hosts); i++)
		if (sts_policy_fits(&p, slice_str(hosts[i].host)) !=
		    hosts[i].fits)
			fail_msg("%s", hosts[i].host);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_have_an_id),
		cmocka_unit_test(policies_are_read),
		cmocka_unit_test(too_many_hosts_are_refused),
		cmocka_unit_test(a_star_is_one_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
