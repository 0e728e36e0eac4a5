# SPDX-License-Identifier: ISC
"""mta and guard: dialogues of RFC 5321 with the real programs."""
import email
import json
import smtplib
import socket
import threading
import unittest

from pneu import System, until
from smtpraw import Raw


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(conf={"mta": {"max_size": "1M", "max_recipients": 100,
                                     "max_per_address": 1000}})
        cls.s.pneu("address", "add", "sales@example.test", "bob@example.test",
                   "alice@example.test")
        cls.s.pneu("address", "add", "away@example.test", "x@elsewhere.test")
        cls.s.pneu("address", "add", "spam@example.test", "--blocked")
        cls.s.pneu("domain", "add", "all.test")
        cls.s.pneu("domain", "set", "all.test", "--catch-all",
                   "alice@example.test")

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def raw(self):
        return Raw(self.s.port["smtp"])

    def transaction(self, recipients, sender="s@else.test", data=True,
                    message="Subject: x\r\n\r\nbody"):
        """Codes of EHLO, MAIL, each RCPT, DATA, the message."""
        with self.raw() as c:
            codes = [c.cmd("EHLO client.test")[0],
                     c.cmd("MAIL FROM:<%s>" % sender)[0]]
            codes += [c.cmd("RCPT TO:<%s>" % r)[0] for r in recipients]
            if data:
                codes.append(c.cmd("DATA")[0])
                c.send(message, ".")
                codes.append(c.reply()[0])
            return codes


class Greeting(Case):
    def test_banner_names_the_host(self):
        with self.raw() as c:
            self.assertEqual(c.banner[0], 220)
            self.assertIn("mx.example.test", c.banner[1])

    def test_ehlo_offers_what_the_issue_lists(self):
        with self.raw() as c:
            code, text = c.cmd("EHLO client.test")
            self.assertEqual(code, 250)
            words = {l.split()[0] for l in text.split("\n")[1:]}
            self.assertLessEqual({"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8",
                                  "ENHANCEDSTATUSCODES", "STARTTLS"}, words)
            self.assertIn("SIZE %d" % (1 << 20), text.split("\n"))

    def test_helo_is_enough_for_mail(self):
        with self.raw() as c:
            self.assertEqual(c.cmd("HELO client.test")[0], 250)
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 250)

    def test_starttls_offers_itself_no_more(self):
        with self.s.smtp() as c:
            from pneu import tls_context
            self.assertEqual(c.starttls(context=tls_context())[0], 220)
            c.ehlo()
            self.assertFalse(c.has_extn("starttls"))


class Order(Case):
    def test_rcpt_before_mail_is_503(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertEqual(c.cmd("RCPT TO:<bob@example.test>")[0], 503)

    def test_data_before_rcpt_is_503_or_554(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertEqual(c.cmd("DATA")[0], 503)
            c.cmd("MAIL FROM:<a@b.test>")
            self.assertIn(c.cmd("DATA")[0], (503, 554))

    def test_second_mail_is_503(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 250)
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 503)
            self.assertEqual(c.cmd("RSET")[0], 250)
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 250)

    def test_unknown_verb_is_500_and_bad_parameter_555(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertEqual(c.cmd("FROB")[0], 500)
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test> FOO=1")[0], 555)
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test")[0], 501)
            self.assertEqual(c.cmd("VRFY bob")[0], 252)
            self.assertEqual(c.cmd("NOOP")[0], 250)
            self.assertEqual(c.cmd("QUIT")[0], 221)

    def test_pipelined_commands_are_answered_in_order(self):
        with self.raw() as c:
            self.assertEqual(c.cmd("EHLO x.test")[0], 250)
            c.send("MAIL FROM:<a@b.test>",
                   "RCPT TO:<bob@example.test>", "RCPT TO:<no@example.test>",
                   "RCPT TO:<alice@example.test>", "DATA")
            self.assertEqual([c.reply()[0] for _ in range(5)],
                             [250, 250, 550, 250, 354])
            c.send("Subject: p", "", "x", ".", "QUIT")
            self.assertEqual([c.reply()[0] for _ in range(2)], [250, 221])

    def test_too_many_errors_end_the_session(self):
        with self.raw() as c:
            replies = []
            while not replies or replies[-1][0] == 500:
                replies.append(c.cmd("FROB"))
                self.assertLess(len(replies), 30)
            self.assertEqual(replies[-1][0], 500 if c.reply() else 421)
            self.assertIsNone(c.reply())


class Recipients(Case):
    def rcpt(self, address):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            c.cmd("MAIL FROM:<a@b.test>")
            return c.cmd("RCPT TO:<%s>" % address)

    def test_verdicts(self):
        for address, code, esc in (
                ("bob@example.test", 250, "2.1.5"),
                ("BOB@EXAMPLE.TEST", 250, "2.1.5"),
                ("bob+list@example.test", 250, "2.1.5"),
                ("sales@example.test", 250, "2.1.5"),
                ("away@example.test", 250, "2.1.5"),
                ("anything@all.test", 250, "2.1.5"),
                ("nobody@example.test", 550, "5.1.1"),
                ("spam@example.test", 550, "5.1.1"),
                ("bob@elsewhere.test", 550, "5.7.1")):
            with self.subTest(address):
                got = self.rcpt(address)
                self.assertEqual(got[0], code)
                self.assertIn(esc, got[1].split()[0])

    def test_disabled_account_is_550_5_2_1(self):
        self.s.pneu("account", "add", "dis@example.test", input="x\n")
        self.s.pneu("account", "set", "dis@example.test", "--disable")
        code, text = self.rcpt("dis@example.test")
        self.assertEqual((code, text.split()[0]), (550, "5.2.1"))

    def test_a_new_account_works_at_once(self):
        self.assertEqual(self.rcpt("carol@example.test")[0], 550)
        self.s.pneu("account", "add", "carol@example.test", input="secret\n")
        self.assertEqual(self.rcpt("carol@example.test")[0], 250)
        self.s.send("a@b.test", ["carol"], b"Subject: hello carol\r\n\r\nhi\r\n")
        with self.s.imap("alice", login=False) as c:
            c.login("carol@example.test", "secret")
            self.assertEqual(c.select()[1], [b"1"])

    def test_too_many_recipients_is_452(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            c.cmd("MAIL FROM:<a@b.test>")
            for i in range(100):
                self.assertEqual(
                    c.cmd("RCPT TO:<r%d@all.test>" % i)[0], 250)
            code, text = c.cmd("RCPT TO:<more@all.test>")
            self.assertEqual((code, text.split()[0]), (452, "4.5.3"))
            self.assertEqual(c.cmd("DATA")[0], 354)
            c.send("Subject: hundred", "", "x", ".")
            self.assertEqual(c.reply()[0], 250)


class Delivery(Case):
    def test_message_arrives_as_sent_under_trace_fields(self):
        text = b"Subject: exact\r\n\r\n..dots\r\n.\xe4 8-bit\r\n\r\nend\r\n"
        with self.s.smtp() as c:
            c.sendmail("s@else.test", ["bob@example.test"], text,
                       mail_options=["BODY=8BITMIME"])
        got = self.s.wait_message("bob", b"Subject: exact")
        self.assertTrue(got.endswith(text), got)
        m = email.message_from_bytes(got)
        self.assertEqual(m["Return-Path"], "<s@else.test>")
        self.assertRegex(m["Received"], r"from \S+ \(\[127.0.0.1\]\)\s+by "
                         r"mx.example.test with ESMTP\s+id [0-9A-Z]{18}\s+"
                         r"for <bob@example.test>;")

    def test_alias_delivers_to_each_target_once(self):
        self.assertEqual(self.transaction(
            ["sales@example.test", "alice@example.test"],
            message="Subject: sale\r\n\r\nx"), [250] * 4 + [354, 250])
        for who in ("alice", "bob"):
            self.s.wait_message(who, b"Subject: sale\r\n")
            self.assertEqual(sum(b"Subject: sale\r\n" in m for m in
                                 self.s.messages(who)), 1, who)

    def test_catch_all_says_which_address(self):
        self.assertEqual(self.transaction(["shop-17@all.test"],
                         message="Subject: shop\r\n\r\nx")[-1], 250)
        got = self.s.wait_message("alice", b"Subject: shop\r\n")
        self.assertEqual(email.message_from_bytes(got)["Delivered-To"],
                         "shop-17@all.test")

    def test_size_limits(self):
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertEqual(c.cmd("MAIL FROM:<a@b.test> SIZE=2000000")[0], 552)
        with self.assertRaises(smtplib.SMTPResponseException) as e:
            with smtplib.SMTP("127.0.0.1", self.s.port["smtp"]) as c:
                c.ehlo()
                c.mail("a@b.test")
                c.rcpt("bob@example.test")
                code, text = c.data(b"Subject: big\r\n\r\n" +
                                    b"x" * 70 + b"\r\n" * (1 << 20))
                raise smtplib.SMTPResponseException(code, text)
        self.assertEqual(e.exception.smtp_code, 552)

    def test_a_looping_message_is_refused(self):
        hops = "".join("Received: from a by b; Fri, 20 Nov 2026 10:00:00 +0000\r\n"
                       for _ in range(60))
        self.assertEqual(self.transaction(
            ["bob@example.test"], message=hops + "Subject: l\r\n\r\nx")[-1], 554)

    def test_bare_lf_is_refused_and_nothing_smuggled(self):
        before = len(self.s.messages("bob"))
        for end in (b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\n"):
            with self.raw() as c:
                c.cmd("EHLO x.test")
                c.cmd("MAIL FROM:<a@b.test>")
                c.cmd("RCPT TO:<bob@example.test>")
                c.cmd("DATA")
                c.send(b"Subject: smug\r\n\r\nx" + end +
                       b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@example.test>"
                       b"\r\nDATA\r\nSubject: evil\r\n\r\nx\r\n.\r\n")
                self.assertEqual(c.reply()[0], 550, end)
                self.assertEqual(c.cmd("NOOP")[0], 250)
        self.assertEqual(len(self.s.messages("bob")), before)

    def test_utf8_addresses(self):
        self.s.pneu("account", "add", "jürgen@example.test", input="x\n")
        with self.raw() as c:
            c.cmd("EHLO x.test")
            self.assertIn(c.cmd("MAIL FROM:<ä@b.test>")[0], (550, 553))
            self.assertEqual(c.cmd("MAIL FROM:<ä@b.test> SMTPUTF8")[0], 250)
            self.assertEqual(c.cmd("RCPT TO:<jürgen@example.test>")[0], 250)
            self.assertEqual(c.cmd("DATA")[0], 354)
            c.send("Subject: grüß", "", "x", ".")
            self.assertEqual(c.reply()[0], 250)


class Trouble(unittest.TestCase):
    """Something of ours is down: 451, and a log line that names it."""

    def test_each_peer_down(self):
        with System(programs=("guard", "mailbox", "qm", "mta")) as s:
            s.pneu("address", "add", "away@example.test", "x@else.test")

            def attempt(to):
                with Raw(s.port["smtp"]) as c:
                    c.cmd("EHLO x.test")
                    c.cmd("MAIL FROM:<a@b.test>")
                    code = c.cmd("RCPT TO:<%s@example.test>" % to)[0]
                    if code != 250:
                        return "rcpt", code
                    c.cmd("DATA")
                    c.send("Subject: t", "", "x", ".")
                    return "dot", c.reply()[0]

            self.assertEqual(attempt("bob"), ("dot", 250))
            s.kill("mailbox")
            self.assertEqual(attempt("bob"), ("dot", 451))
            self.assertIn("mailbox", s.log("mta"))
            s.start("mailbox")
            self.assertEqual(attempt("bob"), ("dot", 250))
            s.kill("qm")
            self.assertEqual(attempt("away"), ("dot", 451))
            s.start("qm")
            self.assertEqual(attempt("away"), ("dot", 250))
            s.kill("guard")
            self.assertEqual(attempt("bob"), ("rcpt", 451))
            self.assertIn("guard", s.log("mta"))
            s.start("guard")
            self.assertEqual(attempt("bob"), ("dot", 250))

    def test_quota_is_452_4_2_2(self):
        with System() as s:
            s.pneu("account", "set", "bob@example.test", "--quota", "20K")
            with Raw(s.port["smtp"]) as c:
                c.cmd("EHLO x.test")
                c.cmd("MAIL FROM:<a@b.test> SIZE=30000")
                code, text = c.cmd("RCPT TO:<bob@example.test>")
                self.assertEqual((code, text.split()[0]), (452, "4.2.2"))
                self.assertEqual(c.cmd("RCPT TO:<alice@example.test>")[0], 250)
            body = b"Subject: q\r\n\r\n" + b"x" * 70 + b"\r\n"
            s.send("a@b.test", ["bob"], body + b"y\r\n" * 5000)
            with self.assertRaises(smtplib.SMTPException):
                s.send("a@b.test", ["bob"], body + b"y\r\n" * 5000)
            self.assertEqual(len(s.messages("bob")), 1)

    def test_a_domain_has_a_quota_of_all_its_accounts(self):
        """Exact, though two send to two accounts at once."""
        with System() as s:
            s.pneu("domain", "set", "example.test", "--quota-messages", "7")
            text = b"Subject: q\r\n\r\nx\r\n"
            taken = []

            def many(who):
                for _ in range(8):
                    try:
                        s.send("a@b.test", [who], text)
                        taken.append(who)
                    except smtplib.SMTPException:
                        pass
            threads = [threading.Thread(target=many, args=(who,))
                       for who in ("alice", "bob")]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(len(taken), 7)
            self.assertEqual(
                len(s.messages("alice")) + len(s.messages("bob")), 7)
            with Raw(s.port["smtp"]) as c:
                c.cmd("EHLO x.test")
                c.cmd("MAIL FROM:<a@b.test>")
                code, said = c.cmd("RCPT TO:<alice@example.test>")
                self.assertEqual((code, said.split()[0]), (452, "4.2.2"))
            s.pneu("domain", "set", "example.test", "--quota-messages", "8")
            s.send("a@b.test", ["bob"], text)

    def test_mixed_fates_are_left_to_qm(self):
        """bob is over quota, alice is not: 250, alice has it, qm keeps bob's."""
        with System() as s:
            s.pneu("account", "set", "bob@example.test", "--quota", "5K")
            with Raw(s.port["smtp"]) as c: # says no SIZE: known at the dot
                c.cmd("EHLO x.test")
                c.cmd("MAIL FROM:<a@b.test>")
                for to in ("alice", "bob"):
                    self.assertEqual(
                        c.cmd("RCPT TO:<%s@example.test>" % to)[0], 250)
                c.cmd("DATA")
                c.send("Subject: mixed", "", "y" * 9000, ".")
                self.assertEqual(c.reply()[0], 250)
            s.wait_message("alice", b"Subject: mixed")
            queue = until(lambda: json.loads(s.pneu("queue", "list", "--json")),
                          "a queued message")
            self.assertEqual([w["address"] for w in queue[0]["waiting"]],
                             ["bob@example.test"])
            self.assertIn("bob@example.test: 452", until(
                lambda: s.pneu("queue", "list"), "queue list"))
            s.pneu("account", "set", "bob@example.test", "--quota", "0")
            s.pneu("queue", "flush")
            s.wait_message("bob", b"Subject: mixed")
            self.assertEqual(len(s.messages("alice")), 1)

    def test_prdr_tells_of_each_recipient(self):
        """bob is over quota: he is refused alone, and nothing waits in qm; an
        alias of both is taken, and qm has what bob's part of it needs."""
        with System() as s:
            s.pneu("account", "set", "bob@example.test", "--quota", "5K")
            s.pneu("address", "add", "both@example.test", "bob@example.test",
                   "alice@example.test")
            for rcpts, codes in ((("alice", "bob"), (353, 250, 452, 250)),
                                 (("bob", "bob"), (353, 452, 452, 550)),
                                 (("bob",), (452,)),
                                 (("both", "alice"), (353, 250, 250, 250))):
                self.assertEqual(
                    json.loads(s.pneu("queue", "list", "--json")), [])
                with Raw(s.port["smtp"]) as c:
                    self.assertIn("PRDR", c.cmd("EHLO x.test")[1].split("\n"))
                    c.cmd("MAIL FROM:<a@b.test> PRDR")
                    for to in rcpts:
                        self.assertEqual(
                            c.cmd("RCPT TO:<%s@example.test>" % to)[0], 250)
                    c.cmd("DATA")
                    c.send("Subject: prdr", "", "y" * 9000, ".")
                    got = tuple(c.reply()[0] for _ in codes)
                    self.assertEqual(got, codes, rcpts)
                    self.assertEqual(c.cmd("NOOP")[0], 250)
            s.wait_message("alice", b"Subject: prdr")
            self.assertEqual(len(s.messages("alice")), 2)
            queue = until(lambda: json.loads(s.pneu("queue", "list", "--json")),
                          "a queued message")
            shown = s.pneu("queue", "show", queue[0]["id"])
            self.assertIn("bob@example.test", shown)
            self.assertNotIn("alice@example.test", shown)

    def test_early_talkers_are_sent_away(self):
        with System(conf={"mta": {"greet_pause": "300ms"}}) as s:
            with Raw(s.port["smtp"], banner=False) as c:
                c.send("EHLO x.test")
                self.assertEqual(c.reply()[0], 554)
                self.assertIsNone(c.reply())
            with Raw(s.port["smtp"]) as c:
                self.assertEqual(c.banner[0], 220)
                self.assertEqual(c.cmd("EHLO x.test")[0], 250)

    def test_limits_are_announced_and_hold(self):
        with System(conf={"mta": {"max_mails": 2, "max_recipients": 100},
                          "msa": {"max_mails": 7, "max_domains": 3}}) as s:
            with Raw(s.port["submission"]) as c:
                self.assertIn("LIMITS MAILMAX=7 RCPTMAX=1000 RCPTDOMAINMAX=3",
                              c.cmd("EHLO x.test")[1].split("\n"))
            with Raw(s.port["smtp"]) as c:
                self.assertIn("LIMITS MAILMAX=2 RCPTMAX=100",
                              c.cmd("EHLO x.test")[1].split("\n"))
                for _ in range(2):
                    self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 250)
                    self.assertEqual(c.cmd("RSET")[0], 250)
                self.assertEqual(c.cmd("MAIL FROM:<a@b.test>")[0], 421)
                self.assertIsNone(c.reply())

    V2 = b"\r\n\r\n\0\r\nQUIT\n"

    def test_proxy_names_the_client(self):
        """PROXY v1, v2 and LOCAL; what is none ends the connection; behind
        PROXY comes implicit TLS."""
        import struct
        from pneu import tls_context
        v4 = self.V2 + b"\x21\x11" + struct.pack(
            ">H4s4sHH", 12 + 5, bytes([203, 0, 113, 9]), bytes(4), 99, 25) \
            + b"\x04\0\x02xx"
        v6 = self.V2 + b"\x21\x21" + struct.pack(
            ">H16s16sHH", 36, socket.inet_pton(socket.AF_INET6, "2001:db8::9"),
            bytes(16), 99, 25)
        cases = (
            (b"PROXY TCP4 192.0.2.77 192.0.2.1 5555 25\r\n", "[192.0.2.77]"),
            (b"PROXY TCP6 2001:db8::7 ::1 5555 25\r\n",
             "[IPv6:2001:db8::7]"),
            (b"PROXY UNKNOWN\r\n", "[127.0.0.1]"),
            (b"PROXY UNKNOWN ffff::1 ::1 1 1\r\n", "[127.0.0.1]"),
            (v4, "[203.0.113.9]"), (v6, "[IPv6:2001:db8::9]"),
            (self.V2 + b"\x20\x00\0\0", "[127.0.0.1]"))
        bad = (b"EHLO x.test is no header\r\n",
               b"PROXY TCP4 192.0.2.77 192.0.2.1 5555\r\n",
               b"PROXY TCP4 2001:db8::7 ::1 5555 25\r\n",
               b"PROXY TCP4 192.0.2.77 192.0.2.1 99999 25\r\n",
               b"PROXY " + b"x" * 200, b"PROXY TCP4 1.1.1.1\n" + b"x" * 99,
               self.V2 + b"\x31\x11\0\x0c" + bytes(12),
               self.V2 + b"\x21\x11\0\x04" + bytes(4))
        with System(conf={"mta": {"proxy_from": ["127.0.0.0/8"]},
                          "msa": {"proxy_from": "127.0.0.1"}}) as s:
            for header, name in cases:
                with Raw(s.port["smtp"], banner=False) as c:
                    c.send(header)
                    self.assertEqual(c.reply()[0], 220, header)
                    for line in ("EHLO x.test", "MAIL FROM:<a@b.test>",
                                 "RCPT TO:<bob@example.test>"):
                        self.assertEqual(c.cmd(line)[0], 250)
                    c.cmd("DATA")
                    c.send("Subject: p", "", ".")
                    self.assertEqual(c.reply()[0], 250)
                self.assertIn(("from x.test (%s)" % name).encode(),
                              s.messages("bob")[-1])
            for header in bad:
                with Raw(s.port["smtp"], banner=False) as c:
                    c.send(header)
                    try:
                        self.assertIsNone(c.reply(), header)
                    except ConnectionResetError:
                        pass
            with socket.create_connection(
                    ("127.0.0.1", s.port["submissions"]), timeout=60) as raw:
                raw.sendall(v4)
                with tls_context().wrap_socket(
                        raw, server_hostname="localhost") as t:
                    self.assertEqual(t.recv(4), b"220 ")

    def test_xclient_names_the_client(self):
        with System(conf={"mta": {"xclient_from": ["127.0.0.1"],
                                  "max_per_address": 1,
                                  "crowd_from": []}}) as s:
            with Raw(s.port["smtp"]) as c, Raw(s.port["submission"]) as msa:
                self.assertIn("XCLIENT", c.cmd("EHLO x.test")[1])
                self.assertNotIn("XCLIENT", msa.cmd("EHLO x.test")[1])
                self.assertEqual(msa.cmd("XCLIENT ADDR=1.2.3.4")[0], 550)
                self.assertEqual(
                    c.cmd("XCLIENT ADDR=192.0.2.77 HELO=real.test")[0], 220)
                for line in ("EHLO x.test", "MAIL FROM:<a@b.test>",
                             "RCPT TO:<bob@example.test>"):
                    self.assertEqual(c.cmd(line)[0], 250)
                c.cmd("DATA")
                c.send("Subject: p", "", ".")
                self.assertEqual(c.reply()[0], 250)
                # 127.0.0.1 is not counted any more, 192.0.2.77 is.
                with Raw(s.port["smtp"]) as second:
                    self.assertEqual(second.banner[0], 220)
                    self.assertEqual(
                        second.cmd("XCLIENT ADDR=192.0.2.77")[0], 421)
            self.assertIn(b"from real.test ([192.0.2.77])",
                          s.messages("bob")[-1])

    def test_a_list_of_networks_with_a_fault_is_told(self):
        with System(start=False, conf={
                "mta": {"proxy_from": ["10.0.0.0/40"]}}) as s:
            with self.assertRaises(AssertionError) as caught:
                s.start("mta")
            self.assertIn("10.0.0.0/40", str(caught.exception))
            s.kill("mta")


if __name__ == "__main__":
    unittest.main()
