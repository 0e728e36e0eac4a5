/* SPDX-License-Identifier: ISC */
/* Files of Mozilla's autoconfig: what is taken of them, and what is not; and
 * each cut off at every octet. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/auth/autoconfig.h"

#define HEAD                                                                   \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                         \
	"<clientConfig version=\"1.1\"><emailProvider id=\"p\">"               \
	"<domain>d.test</domain><displayName>x &amp; y</displayName>"
#define END "</emailProvider><webMail><a/></webMail></clientConfig>\n"
#define SERVER(tag, type, host, port, socket, auth, user)                      \
	"<" tag " type=\"" type "\"><hostname> " host                          \
	" </hostname><port>" port "</port><socketType>" socket                 \
	"</socketType><username>" user "</username>" auth "</" tag ">"
#define AUTH(name) "<authentication>" name "</authentication>"
#define IN(type, host, port, socket, auth)                                     \
	SERVER("incomingServer", type, host, port, socket, auth,               \
	    "%EMAILADDRESS%")
#define OUT(host, port, socket, auth, user)                                    \
	SERVER("outgoingServer", "smtp", host, port, socket, auth, user)
#define PASSWORD AUTH("password-cleartext")

static const struct {
	const char *xml;
	bool pop3;
	int rc;
	enum outside_protocol protocol;
	const char *host;
	uint16_t port;
	enum outside_security security;
	const char *user, *smtp;
	bool oauth;
} cases[] = {
	{ HEAD IN("imap", "imap.%EMAILDOMAIN%", "993", "SSL", PASSWORD) OUT(
	      "smtp.d.test", "465", "SSL", PASSWORD, "%EMAILADDRESS%") END,
	    false, 0, OUTSIDE_IMAP, "imap.d.test", 993, OUTSIDE_TLS, "a@d.test",
	    "smtp.d.test", false },
	/* IMAP before POP3, whatever comes first, unless that is wanted. */
	{ HEAD IN("pop3", "p.d.test", "995", "SSL", PASSWORD)
		IN("imap", "i.d.test", "143", "STARTTLS", PASSWORD) END,
	    false, 0, OUTSIDE_IMAP, "i.d.test", 143, OUTSIDE_STARTTLS,
	    "a@d.test", "", false },
	{ HEAD IN("pop3", "p.d.test", "995", "SSL", PASSWORD)
		IN("imap", "i.d.test", "143", "STARTTLS", PASSWORD) END,
	    true, 0, OUTSIDE_POP3, "p.d.test", 995, OUTSIDE_TLS, "a@d.test", "",
	    false },
	{ HEAD IN("pop3", "p.d.test", "995", "SSL", PASSWORD) END, false, 0,
	    OUTSIDE_POP3, "p.d.test", 995, OUTSIDE_TLS, "a@d.test", "", false },
	{ HEAD IN("imap", "i.d.test", "993", "SSL", PASSWORD) END, true,
	    -ENOENT, 0, NULL, 0, 0, NULL, NULL, false },
	/* The first that has TLS and a way that we have. */
	{ HEAD IN("imap", "no.d.test", "143", "plain", PASSWORD) IN("imap",
	      "ntlm.d.test", "993", "SSL", AUTH("NTLM")) IN("imap", "bad_host",
	      "993", "SSL", PASSWORD) IN("imap", "x.test", "0", "SSL", PASSWORD)
		IN("imap", "y.test", "99999", "SSL", PASSWORD)
		    IN("imap", "yes.d.test", "993", "SSL",
			AUTH("GSSAPI") AUTH("password-encrypted")) END,
	    false, 0, OUTSIDE_IMAP, "yes.d.test", 993, OUTSIDE_TLS, "a@d.test",
	    "", false },
	{ HEAD IN("imap", "i.d.test", "993", "SSL", AUTH("OAuth2")) OUT(
	      "o.d.test", "587", "STARTTLS", AUTH("OAuth2"), "%EMAILADDRESS%")
		END,
	    false, 0, OUTSIDE_IMAP, "i.d.test", 993, OUTSIDE_TLS, "a@d.test",
	    "o.d.test", true },
	{ HEAD IN("imap", "i.d.test", "993", "SSL", AUTH("OAuth2") PASSWORD)
		OUT("o.d.test", "587", "STARTTLS", AUTH("OAuth2"),
		    "%EMAILADDRESS%") END,
	    false, 0, OUTSIDE_IMAP, "i.d.test", 993, OUTSIDE_TLS, "a@d.test",
	    "", false },
	/* Another name for sending: we have one only. */
	{ HEAD IN("imap", "i.d.test", "993", "SSL", PASSWORD)
		OUT("o.d.test", "465", "SSL", PASSWORD, "%EMAILLOCALPART%") END,
	    false, 0, OUTSIDE_IMAP, "i.d.test", 993, OUTSIDE_TLS, "a@d.test",
	    "", false },
	{ HEAD SERVER("incomingServer", "imap", "i.d.test", "993", "ssl",
	      PASSWORD, "%EMAILLOCALPART%-%EMAILDOMAIN%") END,
	    false, 0, OUTSIDE_IMAP, "i.d.test", 993, OUTSIDE_TLS, "a-d.test",
	    "", false },
	{ HEAD END, false, -ENOENT, 0, NULL, 0, 0, NULL, NULL, false },
	{ "<clientConfig version=\"2.0\"/>", false, -EBADMSG, 0, NULL, 0, 0,
	    NULL, NULL, false },
	{ "<html/>", false, -EBADMSG, 0, NULL, 0, 0, NULL, NULL, false },
	{ "", false, -EBADMSG, 0, NULL, 0, 0, NULL, NULL, false },
	/* No DTD, and so no entities. */
	{ "<!DOCTYPE x [<!ENTITY e \"i.d.test\">]>"
	  "<clientConfig version=\"1.1\"/>",
	    false, -EBADMSG, 0, NULL, 0, 0, NULL, NULL, false },
	{ "<!DOCTYPE x SYSTEM \"file:///etc/passwd\">"
	  "<clientConfig version=\"1.1\"/>",
	    false, -EBADMSG, 0, NULL, 0, 0, NULL, NULL, false },
};

static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice xml = slice_str(cases[i].xml);
		struct arena a = ARENA_INIT_MAX(65536);
		struct outside o = { .user = "as it was" };
		bool oauth = false;
		int rc = autoconfig_parse(&a, xml, SLICE_LIT("a"),
		    SLICE_LIT("d.test"), cases[i].pop3, &o, &oauth);

		if (rc != cases[i].rc)
			print_error("case %zu: %d\n", i, rc);
		assert_int_equal(rc, cases[i].rc);
		if (rc == 0) {
			assert_int_equal(o.protocol, cases[i].protocol);
			assert_string_equal(o.server.host, cases[i].host);
			assert_int_equal(o.server.port, cases[i].port);
			assert_int_equal(o.server.security, cases[i].security);
			assert_string_equal(o.user, cases[i].user);
			assert_string_equal(o.smtp.host, cases[i].smtp);
			assert_int_equal(oauth, cases[i].oauth);
		}
		/* Without its end it is not such a file. */
		for (size_t n = 0; n + 2 < xml.n; n++) {
			char *cut = malloc(n + 1); /* ASan sees its end */

			memcpy(cut, xml.p, n);
			assert_int_equal(
			    autoconfig_parse(&a, slice(cut, n), SLICE_LIT("a"),
				SLICE_LIT("d.test"), cases[i].pop3, &o, &oauth),
			    -EBADMSG);
			free(cut);
		}
		arena_reset(&a);
	}
}

/* Depth and lengths have an end. */
static void
test_bounds(void **state)
{
	struct arena a = ARENA_INIT_MAX(65536);
	struct outside o = { .user = "" };
	struct buf b = BUF_INIT;
	bool oauth;

	(void)state;
	buf_put_str(&b, "<clientConfig version=\"1.1\">");
	for (int i = 0; i < 1000; i++)
		buf_put_str(&b, "<a>");
	for (int i = 0; i < 1000; i++)
		buf_put_str(&b, "</a>");
	buf_put_str(&b, "</clientConfig>");
	assert_int_equal(autoconfig_parse(&a, buf_slice(&b), SLICE_LIT("a"),
			     SLICE_LIT("d.test"), false, &o, &oauth),
	    -EBADMSG);
	buf_reset(&b);
	buf_put_str(&b, HEAD "<incomingServer type=\"imap\"><hostname>");
	for (int i = 0; i < 300; i++)
		buf_put_str(&b, "a");
	buf_put_str(&b,
	    "</hostname><port>993</port><socketType>SSL"
	    "</socketType>" PASSWORD "</incomingServer>" END);
	assert_int_equal(autoconfig_parse(&a, buf_slice(&b), SLICE_LIT("a"),
			     SLICE_LIT("d.test"), false, &o, &oauth),
	    -ENOENT);
	buf_clear(&b);
	arena_reset(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
