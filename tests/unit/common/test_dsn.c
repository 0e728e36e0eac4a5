/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/mail/charset.h"
#include "common/mail/dsn.h"
#include "common/mail/header.h"
#include "common/mail/mime.h"

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct dsn_recipient failed = {
	.final = SLICE_LIT("bob@there.example"),
	.original = SLICE_LIT("rfc822;bobby@here.example"),
	.action = DSN_FAILED,
	.status = SLICE_LIT("5.1.1"),
	.diagnostic = SLICE_LIT("550-5.1.1 No such user.\r\n"
				"550 5.1.1 See our page."),
	.remote_mta = SLICE_LIT("mx.there.example"),
	.last_attempt = 1795204800,
};

static const struct dsn_recipient delayed = {
	.final = SLICE_LIT("eve@slow.example"),
	.action = DSN_DELAYED,
	.status = SLICE_LIT("4.4.1"),
	.will_retry_until = 1795204800,
};

static const char original[] = "From: alice@here.example\r\n"
			       "Subject: hello\r\n\r\nThe text.\r\n";

static struct dsn
example(const struct dsn_recipient *recipients, size_t n)
{
	return (struct dsn){ .reporting_mta = SLICE_LIT("mail.here.example"),
		.now = 1795204800,
		.arrival = 1795204000,
		.envelope_id = SLICE_LIT("QQ314159"),
		.sender = SLICE_LIT("alice@here.example"),
		.recipients = recipients,
		.n_recipients = n,
		.original = slice_str(original) };
}

/* Whatever is in it, a notification is a message that any server takes. */
static void
check_form(struct slice s, bool eight_bit)
{
	assert_true(s.n > 2 && s.p[s.n - 1] == '\n');
	if (!eight_bit)
		assert_true(ascii_is_all(s));
	while (s.n > 0) {
		struct slice line = slice_split(&s, '\n');

		assert_true(line.n > 0 && line.p[line.n - 1] == '\r');
		line.n--;
		assert_true(line.n <= 998);
		assert_int_equal(slice_find(line, '\r'), -1);
		assert_int_equal(slice_find(line, '\0'), -1);
	}
}

static struct slice
body_of(struct slice message, const struct mime_part *p)
{
	return slice_head(slice_from(message, p->body_at), p->body_size);
}

/* Writes it, checks what always holds, and gives the three parts. */
static struct mime_part *
write_and_parse(
    const struct dsn *d, struct arena *a, struct buf *b, struct slice parts[3])
{
	struct mime_part *root, *p;
	size_t i = 0;

	assert_int_equal(dsn_write(d, dsn_put_buf, b), 0);
	check_form(buf_slice(b), d->utf8 || d->eight_bit);
	assert_int_equal(mime_parse(a, buf_slice(b), &root), 0);
	assert_true(mime_part_is(root, "multipart", "report"));
	assert_int_equal(root->n_children, 3);
	for (p = root->children; p != NULL; p = p->next)
		parts[i++] = body_of(buf_slice(b), p);
	return root;
}

static void
assert_has(struct slice s, const char *text)
{
	if (slice_find_slice(s, slice_str(text)) < 0)
		fail_msg("no \"%s\" in:\n%.*s", text, (int)s.n, s.p);
}

static void
a_failure_is_reported(void **state)
{
	struct dsn d = example(&failed, 1);
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3], m;
	struct mime_part *root = write_and_parse(&d, &a, &b, parts);

	(void)state;
	m = buf_slice(&b);
	assert_true(slice_eq_str(header_value(&a, m, "From"),
	    "Mail Delivery System <MAILER-DAEMON@mail.here.example>"));
	assert_true(
	    slice_eq_str(header_value(&a, m, "To"), "alice@here.example"));
	assert_true(slice_eq_str(header_value(&a, m, "Subject"),
	    "Your message could not be delivered"));
	assert_true(slice_eq_str(
	    header_value(&a, m, "Auto-Submitted"), "auto-replied"));
	assert_true(slice_eq_str(
	    header_value(&a, m, "Date"), "Fri, 20 Nov 2026 20:00:00 +0000"));
	assert_int_equal(header_count(m, "Message-ID"), 1);
	assert_true(slice_eq_str(
	    param_raw(&root->params, "report-type"), "delivery-status"));

	assert_has(parts[0], "bob@there.example");
	assert_has(parts[0], "There is no such address there.");
	assert_has(parts[0], "Check the address for typing errors");
	assert_has(parts[0], "The answer came from mx.there.example:");
	assert_has(parts[0], "      550 5.1.1 See our page.\r\n");
	assert_has(parts[0], "postmaster@mail.here.example");

	assert_true(slice_eq_str(parts[1],
	    "Original-Envelope-Id: QQ314159\r\n"
	    "Reporting-MTA: dns; mail.here.example\r\n"
	    "Arrival-Date: Fri, 20 Nov 2026 19:46:40 +0000\r\n"
	    "\r\n"
	    "Original-Recipient: rfc822;bobby@here.example\r\n"
	    "Final-Recipient: rfc822; bob@there.example\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.there.example\r\n"
	    "Diagnostic-Code: smtp; 550-5.1.1 No such user."
	    " 550 5.1.1 See our page.\r\n"
	    "Last-Attempt-Date: Fri, 20 Nov 2026 20:00:00 +0000\r\n"));
	assert_true(slice_eq_str(
	    parts[2], "From: alice@here.example\r\nSubject: hello\r\n"));
	assert_true(mime_part_is(root->last_child, "text", "rfc822-headers"));
	buf_clear(&b);
	arena_reset(&a);
}

static void
a_delay_says_that_nothing_is_to_be_done(void **state)
{
	struct dsn d = example(&delayed, 1);
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3];

	(void)state;
	write_and_parse(&d, &a, &b, parts);
	assert_true(slice_eq_str(header_value(&a, buf_slice(&b), "Subject"),
	    "Your message is delayed"));
	assert_has(parts[0], "It is tried again until Fri, 20 Nov 2026");
	assert_has(parts[0], "need not send the message again");
	assert_has(parts[1],
	    "Action: delayed\r\nStatus: 4.4.1\r\n"
	    "Will-Retry-Until: Fri, 20 Nov 2026");
	buf_clear(&b);
	arena_reset(&a);
}

static void
several_recipients_have_a_block_each(void **state)
{
	const struct dsn_recipient rs[] = { failed, delayed,
		{ .final = SLICE_LIT("c@d"), .action = DSN_RELAYED },
		{ .final = SLICE_LIT("e@f"), .action = DSN_DELIVERED } };
	struct dsn d = example(rs, N(rs));
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3];

	(void)state;
	write_and_parse(&d, &a, &b, parts);
	assert_has(parts[1],
	    "\r\n\r\nFinal-Recipient: rfc822; c@d\r\n"
	    "Action: relayed\r\nStatus: 2.0.0\r\n\r\n"
	    "Final-Recipient: rfc822; e@f\r\n"
	    "Action: delivered\r\nStatus: 2.0.0\r\n");
	buf_clear(&b);
	arena_reset(&a);
}

static void
the_whole_message_is_returned(void **state)
{
	struct dsn d = example(&failed, 1);
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3];
	struct mime_part *root;

	(void)state;
	d.whole = true;
	root = write_and_parse(&d, &a, &b, parts);
	assert_true(slice_eq_str(parts[2], original));
	assert_int_equal(root->last_child->kind, MIME_MESSAGE);
	buf_clear(&b);
	arena_reset(&a);
}

/* --- what others sent cannot break it --- */

static void
hostile_input_stays_in_its_place(void **state)
{
	static const struct slice evils[] = {
		SLICE_LIT("a\r\nBcc: victim@x\r\n\r\nbody"),
		SLICE_LIT("a\n\n--pneu\n"),
		SLICE_LIT("\0\r\x1b[31m\xff\xfe"),
		SLICE_LIT("a\rb"),
	};
	char lengthy[3000];

	(void)state;
	memset(lengthy, 'x', sizeof(lengthy));
	for (size_t i = 0; i <= N(evils); i++) {
		struct slice evil =
		    i < N(evils) ? evils[i] : slice(lengthy, sizeof(lengthy));
		const struct dsn_recipient r = { .final = evil,
			.original = evil,
			.status = evil,
			.diagnostic = evil,
			.remote_mta = evil };

		for (int how = 0; how < 8; how++) {
			struct dsn d = example(&r, 1);
			struct arena a = { 0 };
			struct buf b = BUF_INIT;
			struct slice parts[3], m;

			d.sender = d.envelope_id = d.original = evil;
			d.utf8 = how & 1;
			d.eight_bit = how & 2;
			d.whole = how & 4;
			write_and_parse(&d, &a, &b, parts);
			m = buf_slice(&b);
			assert_int_equal(header_count(m, "Bcc"), 0);
			assert_int_equal(header_count(m, "From"), 1);
			assert_has(parts[1], "\r\n\r\n");
			buf_clear(&b);
			arena_reset(&a);
		}
	}
}

static void
line_ends_of_the_original_become_crlf(void **state)
{
	struct dsn d = example(&failed, 1);
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3];

	(void)state;
	d.whole = true;
	d.original = SLICE_LIT("A: 1\n\nx\ry\r\n\rz\r");
	write_and_parse(&d, &a, &b, parts);
	assert_true(slice_eq_str(parts[2], "A: 1\r\n\r\nx\r\ny\r\n\r\nz\r\n"));
	buf_clear(&b);
	arena_reset(&a);
}

/* --- UTF-8 (RFC 6533) --- */

static void
utf8_addresses_are_reported(void **state)
{
	const struct dsn_recipient r = {
		.final = SLICE_LIT("j\xc3\xbcrgen@b\xc3\xbc"
				   "cher.example"),
		.original = SLICE_LIT("utf-8;j\xc3\xbcrgen@x"),
		.diagnostic = SLICE_LIT("550 gr\xc3\xbc\xc3\x9f"),
	};
	struct dsn d = example(&r, 1);
	struct arena a = { 0 };
	struct buf b = BUF_INIT;
	struct slice parts[3];
	struct mime_part *root;

	(void)state;
	d.utf8 = true;
	root = write_and_parse(&d, &a, &b, parts);
	assert_true(mime_part_is(
	    root->children->next, "message", "global-delivery-status"));
	assert_true(
	    mime_part_is(root->last_child, "message", "global-headers"));
	assert_has(parts[1],
	    "Original-Recipient: utf-8; j\xc3\xbcrgen@x\r\n"
	    "Final-Recipient: utf-8; j\xc3\xbcrgen@b\xc3\xbc"
	    "cher.example\r\n");
	assert_has(parts[1], "Diagnostic-Code: smtp; 550 gr\xc3\xbc\xc3\x9f");
	arena_reset(&a);

	/* a sender who takes only ASCII */
	d.utf8 = false;
	buf_reset(&b);
	write_and_parse(&d, &a, &b, parts);
	assert_has(parts[1],
	    "Final-Recipient: utf-8; j\\x{FC}rgen@b\\x{FC}cher.example\r\n");
	assert_has(parts[1], "Diagnostic-Code: smtp; 550 gr??");
	buf_clear(&b);
	arena_reset(&a);
}

/* --- reading and writing in pieces, and errors --- */

struct source {
	struct slice rest;
	size_t step;
	int rc;
};

static int
read_step(void *arg, struct slice *chunk)
{
	struct source *s = arg;

	*chunk = slice_head(s->rest, s->step);
	s->rest = slice_from(s->rest, s->step);
	return s->rc;
}

static void
the_original_may_come_in_pieces(void **state)
{
	(void)state;
	for (size_t step = 1; step < 60; step += 7) {
		for (int whole = 0; whole < 2; whole++) {
			struct dsn d = example(&failed, 1);
			struct source s = { slice_str(original), step, 0 };
			struct arena a = { 0 };
			struct buf b = BUF_INIT;
			struct slice parts[3];

			d.whole = whole;
			d.read = read_step;
			d.read_arg = &s;
			write_and_parse(&d, &a, &b, parts);
			assert_true(slice_eq_str(parts[2],
			    whole ? original
				  : "From: alice@here.example\r\n"
				    "Subject: hello\r\n"));
			buf_clear(&b);
			arena_reset(&a);
		}
	}
}

static void
errors_are_handed_on(void **state)
{
	struct dsn d = example(&failed, 1);
	struct source s = { slice_str(original), 10, -EIO };
	struct buf b = BUF_INIT, small = BUF_INIT_MAX(500);

	(void)state;
	d.sender = SLICE_EMPTY;
	assert_int_equal(dsn_write(&d, dsn_put_buf, &b), -EINVAL);
	d = example(&failed, 0);
	assert_int_equal(dsn_write(&d, dsn_put_buf, &b), -EINVAL);
	assert_int_equal(b.n, 0);
	d = example(&failed, 1);
	assert_int_equal(dsn_write(&d, dsn_put_buf, &small), -ENOSPC);
	d.read = read_step;
	d.read_arg = &s;
	assert_int_equal(dsn_write(&d, dsn_put_buf, &b), -EIO);
	d.whole = true;
	assert_int_equal(dsn_write(&d, dsn_put_buf, &b), -EIO);
	buf_clear(&b);
	buf_clear(&small);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failure_is_reported),
		cmocka_unit_test(a_delay_says_that_nothing_is_to_be_done),
		cmocka_unit_test(several_recipients_have_a_block_each),
		cmocka_unit_test(the_whole_message_is_returned),
		cmocka_unit_test(hostile_input_stays_in_its_place),
		cmocka_unit_test(line_ends_of_the_original_become_crlf),
		cmocka_unit_test(utf8_addresses_are_reported),
		cmocka_unit_test(the_original_may_come_in_pieces),
		cmocka_unit_test(errors_are_handed_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
