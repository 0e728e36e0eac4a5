/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/net/dns.h"

/* Header of an answer with one question and `an` answers; QR set. */
#define HEAD(rcode, an) "\0\1\x81" rcode "\0\1\0" an "\0\0\0\0"
/* "a.lab", at 12, and its question; "lab" is at 14. */
#define NAME "\1a\3lab\0"
#define QUESTION(type) NAME "\0" type "\0\1"
#define RR(type, len) "\0" type "\0\1\0\0\0\x3c\0" len
#define MX "\x0f"
#define A "\x01"
#define CNAME "\x05"
#define TO_A "\xc0\x0c"   /* a.lab */
#define TO_LAB "\xc0\x0e" /* lab */

#define PACKET(s)                                                              \
	{                                                                      \
		s, sizeof(s) - 1                                               \
	}

static const struct {
	const char *what;
	struct slice packet;
	uint16_t type;
	int n; /* or -EBADMSG */
	int rcode;
	const char *name; /* in the last record: an MX's host */
} cases[] = {
	{ "one MX whose name is cut by its length",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX)
		    TO_A RR(MX, "\5") "\0\x0a\1x\xc0"),
	    15, 1, 0, NULL },
	{ "one MX with its length right",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX)
		    TO_A RR(MX, "\6") "\0\x0a\1X" TO_LAB),
	    15, 1, 0, "x.lab" },
	{ "two MX",
	    PACKET(HEAD("\x80", "\2") QUESTION(MX)
		    TO_A RR(MX, "\6") "\0\x0a\1x" TO_LAB
				      "\1A\3LaB\0" RR(MX, "\4") "\0\x0a" TO_A),
	    15, 2, 0, "a.lab" },
	{ "the null MX",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX) TO_A RR(MX, "\3") "\0\0\0"),
	    15, 1, 0, "" },
	{ "no answer", PACKET(HEAD("\x80", "\0") QUESTION(MX)), 15, 0, 0,
	    NULL },
	{ "no such name", PACKET(HEAD("\x83", "\0") QUESTION(MX)), 15, 0, 3,
	    NULL },
	{ "another owner",
	    PACKET(
		HEAD("\x80", "\1") QUESTION(MX) TO_LAB RR(MX, "\3") "\0\0\0"),
	    15, 0, 0, NULL },
	{ "another type",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX) TO_A RR(A, "\4") "\1\2\3\4"),
	    15, 0, 0, NULL },
	{ "another class",
	    PACKET(
		HEAD("\x80", "\1") QUESTION(MX) TO_A "\0\x0f\0\3\0\0\0\x3c\0\3"
						     "\0\0\0"),
	    15, 0, 0, NULL },
	{ "another question",
	    PACKET(HEAD("\x80", "\1") QUESTION(A) TO_A RR(MX, "\3") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "alias",
	    PACKET(HEAD("\x80", "\2") QUESTION(MX) TO_A RR(CNAME,
		"\4") "\1b" TO_LAB "\1b" TO_LAB RR(MX, "\6") "\0\5\1c" TO_LAB),
	    15, 1, 0, "c.lab" },
	{ "alias after what it points to",
	    PACKET(HEAD("\x80", "\2") QUESTION(MX) "\1b" TO_LAB RR(
		MX, "\6") "\0\5\1c" TO_LAB TO_A RR(CNAME, "\4") "\1b" TO_LAB),
	    15, 1, 0, "c.lab" },
	{ "alias to nothing",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX)
		    TO_A RR(CNAME, "\4") "\1b" TO_LAB),
	    15, 0, 0, NULL },
	{ "alias to itself",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX) TO_A RR(CNAME, "\2") TO_A),
	    15, -EBADMSG, 0, NULL },
	{ "alias with octets behind the name",
	    PACKET(
		HEAD("\x80", "\1") QUESTION(MX) TO_A RR(CNAME, "\3") TO_A "x"),
	    15, -EBADMSG, 0, NULL },
	{ "pointer to itself",
	    PACKET(HEAD("\x80", "\1")
		    QUESTION(MX) "\xc0\x17" RR(MX, "\3") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "pointer ahead",
	    PACKET(HEAD("\x80", "\1")
		    QUESTION(MX) "\xc0\x30" RR(MX, "\3") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "reserved label type",
	    PACKET(
		HEAD("\x80", "\1") QUESTION(MX) "\x40\0" RR(MX, "\3") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "rdata over the end",
	    PACKET(
		HEAD("\x80", "\1") QUESTION(MX) TO_A RR(MX, "\x09") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "fewer answers than counted",
	    PACKET(HEAD("\x80", "\2") QUESTION(MX) TO_A RR(MX, "\3") "\0\0\0"),
	    15, -EBADMSG, 0, NULL },
	{ "a query", PACKET("\0\1\1\0\0\1\0\0\0\0\0\0" QUESTION(MX)), 15,
	    -EBADMSG, -EBADMSG, NULL },
	{ "two questions",
	    PACKET("\0\1\x81\x80\0\2\0\0\0\0\0\0" QUESTION(MX) QUESTION(MX)),
	    15, -EBADMSG, 0, NULL },
	{ "nothing", PACKET(""), 15, -EBADMSG, -EBADMSG, NULL },
	{ "dots, blanks and others in a label",
	    PACKET(HEAD("\x80", "\1") QUESTION(MX)
		    TO_A RR(MX, "\x0a") "\0\5\5a.\\ \xff" TO_LAB),
	    15, 1, 0, "a\\.\\\\\\032\\255.lab" },
};

static void
answers_are_found(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice packet = cases[i].packet;
		struct dns_rr rr[4];
		char name[256];
		int n = dns_packet_parse(packet, cases[i].type, rr, 4);

		if (n != cases[i].n)
			fail_msg("%s: %d", cases[i].what, n);
		if (dns_packet_rcode(packet) != cases[i].rcode)
			fail_msg("%s: rcode", cases[i].what);
		if (cases[i].name == NULL)
			continue;
		if (dns_rdata_name(packet, rr[n - 1].rdata, 2, name) !=
		    (int)rr[n - 1].rdata.n - 2)
			fail_msg("%s: length of the name", cases[i].what);
		assert_string_equal(name, cases[i].name);
	}
}

static void
more_than_wanted_are_left_out(void **state)
{
	struct slice packet = cases[2].packet;
	struct dns_rr rr[2] = { { { NULL, 7 } }, { { NULL, 7 } } };

	(void)state;
	assert_int_equal(dns_packet_parse(packet, 15, rr, 1), 1);
	assert_int_equal(rr[0].rdata.n, 6);
	assert_int_equal(rr[1].rdata.n, 7);
}

/* A cut packet is bad, never one with other answers. */
static void
every_cut_is_noticed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice whole = cases[i].packet;

		for (size_t n = 0; cases[i].n > 0 && n < whole.n; n++) {
			/* Of its own size, for ASan to see what goes over. */
			char *copy = malloc(n + 1);
			struct dns_rr rr[4];

			assert_non_null(copy);
			memcpy(copy, whole.p, n);
			assert_int_equal(
			    dns_packet_parse(slice(copy, n), 15, rr, 4),
			    -EBADMSG);
			free(copy);
		}
	}
}

static void
a_long_chain_of_aliases_is_refused(void **state)
{
	struct buf packet = BUF_INIT;
	struct dns_rr rr[4];

	(void)state;
	for (char links = 10; links <= 20; links = (char)(links + 10)) {
		buf_reset(&packet);
		buf_put(&packet, "\0\1\x81\x80\0\1\0", 7);
		buf_put_char(&packet, (char)(links + 1));
		buf_put(&packet, "\0\0\0\0\1a\3lab\0\0\x0f\0\1", 15);
		for (char i = 0; i <= links; i++) {
			buf_put_char(&packet, 1);
			buf_put_char(&packet, (char)('a' + i));
			buf_put(&packet, TO_LAB "\0", 3);
			buf_put_char(&packet, i < links ? 5 : 15);
			buf_put(&packet, "\0\1\0\0\0\x3c\0", 7);
			if (i == links) {
				buf_put(&packet, "\3\0\0\0", 4);
				break;
			}
			buf_put(&packet, "\4\1", 2);
			buf_put_char(&packet, (char)('a' + i + 1));
			buf_put(&packet, TO_LAB, 2);
		}
		assert_int_equal(
		    dns_packet_parse(buf_slice(&packet), 15, rr, 4),
		    links == 10 ? 1 : -EBADMSG);
	}
	buf_clear(&packet);
}

static void
names_have_a_longest(void **state)
{
	/* 4 labels of 63: 256 octets with the root; then 61 in the last. */
	static const unsigned last[] = { 61, 62 };
	struct buf p = BUF_INIT;
	char name[256];

	(void)state;
	for (int i = 0; i < 2; i++) {
		buf_reset(&p);
		for (int label = 0; label < 4; label++) {
			unsigned n = label < 3 ? 63 : last[i];

			buf_put_char(&p, (char)n);
			while (n-- > 0)
				buf_put_char(&p, 'a');
		}
		buf_put_char(&p, 0);
		assert_int_equal(
		    dns_rdata_name(buf_slice(&p), buf_slice(&p), 0, name),
		    i == 0 ? 255 : -EBADMSG);
	}
	assert_int_equal(strlen(name), 253);
	buf_clear(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_found),
		cmocka_unit_test(more_than_wanted_are_left_out),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(a_long_chain_of_aliases_is_refused),
		cmocka_unit_test(names_have_a_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
