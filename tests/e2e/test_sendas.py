# SPDX-License-Identifier: ISC
"""Send-As through the whole system: a tag in the Subject says as whom a message
is sent; what arrives is looked at octet by octet."""
import email
import email.policy
import smtplib
import unittest

from pneu import PASSWORD, System, tls_context

DATE = b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\n"


class SendAs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System()
        try:
            p = cls.s.pneu
            for domain in ("all.lab", "more.lab", "foreign.lab"):
                p("domain", "add", domain)
            p("domain", "set", "all.lab", "--catch-all", "alice@example.test")
            p("domain", "set", "more.lab", "--catch-all", "alice@example.test")
            p("domain", "set", "foreign.lab", "--catch-all",
              "bob@example.test")
            p("address", "add", "--blocked", "spam@all.lab")
            p("account", "add", "carl@all.lab", input=PASSWORD + "\n")
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def submit(self, message, user="alice", sender=None, options=()):
        """The reply to the message, sent to bob."""
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=60) as c:
            c.starttls(context=tls_context())
            c.login(self.s.address(user), PASSWORD)
            self.assertEqual(c.mail(
                self.s.address(user) if sender is None else sender,
                options)[0], 250)
            self.assertEqual(c.rcpt("bob@example.test")[0], 250)
            return c.data(message)

    count = 0

    def deliver(self, header, body=b"body\r\n", **kw):
        """What bob gets of a message: its octets."""
        SendAs.count += 1
        mark = b"X-Mark: mark%dx\r\n" % SendAs.count
        code, text = self.submit(header + mark + b"\r\n" + body, **kw)
        self.assertEqual(code, 250, text)
        return self.s.wait_message("bob", mark)

    def refused(self, subject, code=550, esc=b"5.7.1", says=b"", **kw):
        before = len(self.s.messages("bob"))
        got, text = self.submit(b"From: alice@example.test\r\nSubject: " +
                                subject + b"\r\n\r\nbody\r\n", **kw)
        self.assertEqual((got, text[:len(esc)]), (code, esc), text)
        self.assertIn(says, text)
        self.assertEqual(len(self.s.messages("bob")), before)

    def test_what_arrives_octet_by_octet(self):
        got = self.deliver(
            b"To: bob@example.test\r\n"
            b"From: \"Alice, A.\"  <alice@example.test>\r\n"
            b"X-Odd:\ttab\r\n folded \xc3\xa9\xff\r\n"
            b"Subject: Hello [sendas:shop] world\r\n" + DATE,
            b"[sendas:x] stays\r\n.dots\r\n\xff\r\n",
            options=["BODY=8BITMIME"])
        head, _, rest = got.partition(b"To: bob@example.test\r\n")
        self.assertIn(b"Return-Path: <shop@all.lab>\r\n", head)
        self.assertNotIn(b"alice", got)
        mark = b"X-Mark: mark%dx\r\n" % SendAs.count
        rest, _, made = rest.partition(mark)
        self.assertEqual(
            rest,
            b"From: \"Alice, A.\"  <shop@all.lab>\r\n"
            b"X-Odd:\ttab\r\n folded \xc3\xa9\xff\r\n"
            b"Subject: Hello world\r\n" + DATE)
        self.assertRegex(made,
                         rb"^Message-ID: <[^@<>\s]+@all\.lab>\r\n\r\n"
                         rb"\[sendas:x\] stays\r\n\.dots\r\n\xff\r\n$")

    def test_forms(self):
        for subject, address, reads in (
                (b"[sendas:shop@more.lab] a", "shop@more.lab", "a"),
                (b"a [SENDAS:<Shop@MORE.lab>]", "Shop@more.lab", "a"),
                (b"a\r\n [sendas:shop]\r\n b", "shop@all.lab", "a b"),
                (b"=?utf-8?q?=C3=BC_[sen?=\r\n =?utf-8?q?das:shop]_=C3=A4?=",
                 "shop@all.lab", "ü ä"),
                (b"=?iso-8859-1?q?=FC?= [sendas:shop] =?utf-8?q?=C3=A4?=",
                 "shop@all.lab", "ü ä"),
                (b"[sendas:alice+x@example.test] own", "alice+x@example.test",
                 "own")):
            got = self.deliver(b"From: =?utf-8?q?Al=C3=AEce?= "
                               b"<alice@example.test>\r\nSubject: " + subject +
                               b"\r\n")
            m = email.message_from_bytes(got, policy=email.policy.default)
            self.assertEqual(m["Subject"], reads)
            self.assertEqual(str(m["From"]), "Alîce <%s>" % address)
            self.assertEqual(m["Return-Path"], "<%s>" % address)
            self.assertTrue(m["Message-ID"].endswith(
                "@%s>" % address.split("@")[1]))

    def test_domain_of_from_before_the_oldest(self):
        got = self.deliver(b"From: x@more.lab\r\nSubject: [sendas:y] a\r\n")
        self.assertIn(b"\r\nFrom: y@more.lab\r\n", got)
        self.assertIn(b"Return-Path: <y@more.lab>\r\n", got)

    def test_message_id_of_the_client_stays(self):
        got = self.deliver(b"Message-ID: <1@client.lab>\r\n"
                           b"Subject: [sendas:shop] a\r\n")
        self.assertIn(b"Message-ID: <1@client.lab>\r\n", got)
        self.assertIn(b"From: <shop@all.lab>\r\n", got)

    def test_sender_does_not_tell(self):
        got = self.deliver(b"From: A <alice@example.test>, "
                           b"alice+2@example.test\r\n"
                           b"Sender: alice@example.test\r\n"
                           b"Subject: [sendas:shop] a\r\n")
        self.assertIn(b"\r\nFrom: A <shop@all.lab>\r\n", got)
        self.assertNotIn(b"alice", got)

    def test_notifications_stay_without_sender(self):
        got = self.deliver(b"From: alice@example.test\r\n"
                           b"Subject: [sendas:shop] read\r\n", sender="")
        self.assertIn(b"Return-Path: <>\r\n", got)
        self.assertIn(b"\r\nFrom: shop@all.lab\r\n", got)

    def test_without_a_tag_nothing_changes(self):
        head = (b"subject:  sendas: [sendas x] =?utf-8?q?=5Bsend?= \r\n"
                b"FROM: \"alice@example.test\" <alice@example.test>\r\n"
                b"Sender: alice+x@example.test\r\nMessage-ID: <2@x>\r\n" + DATE)
        got = self.deliver(head)
        self.assertIn(head, got)
        self.assertIn(b"Return-Path: <alice@example.test>\r\n", got)

    def test_refusals(self):
        for subject, says in (
                (b"[sendas:x@foreign.lab] a", b"<x@foreign.lab>"),
                (b"[sendas:x@nowhere.lab] a", b"<x@nowhere.lab>"),
                (b"[sendas:bob@example.test] a", b"<bob@example.test>"),
                (b"[sendas:spam] a", b"<spam@all.lab>"),
                (b"[sendas:carl] a", b"<carl@all.lab>"),
                (b"[sendas:carl+x] a", b"<carl+x@all.lab>"),
                (b"=?utf-8?q?[sendas:x=40foreign.lab]?=", b"<x@foreign.lab>"),
                (b"[sendas:a] [sendas:b]", b"more than one")):
            self.refused(subject, says=says)
        self.refused(b"[sendas:a b] x", esc=b"5.1.7", says=b"no address")
        self.refused(b"[sendas:] x", esc=b"5.1.7")
        self.refused(b"=?utf-8?q?[sendas:=C3=BC]?=", esc=b"5.6.7")

    def test_who_has_no_catch_all_domain(self):
        code, text = self.submit(b"From: carl@all.lab\r\n"
                                 b"Subject: [sendas:shop] x\r\n\r\n",
                                 user="carl@all.lab")
        self.assertEqual(code, 550)
        self.assertIn(b"no catch-all domain is yours", text)
        code, text = self.submit(b"From: carl@all.lab\r\n"
                                 b"Subject: [sendas:shop@all.lab] x\r\n\r\n",
                                 user="carl@all.lab")
        self.assertEqual(code, 550)
        self.assertIn(b"5.7.1 you may not send as <shop@all.lab>", text)

    def test_large_bodies_and_several_recipients(self):
        body = b"x" * 70 + b"\r\n"
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=60) as c:
            c.starttls(context=tls_context())
            c.login("alice@example.test", PASSWORD)
            for i in range(2):  # the connection to the queue is good for more
                refused = c.sendmail(
                    "alice@example.test",
                    ["bob@example.test", "carl@all.lab", "any@all.lab"],
                    b"Subject: [sendas:big] large%d\r\n\r\n" % i +
                    body * 20000)
                self.assertEqual(refused, {})
        for who in ("bob", "carl@all.lab", "alice"):
            got = self.s.wait_message(who, b"Subject: large1\r\n")
            self.assertIn(b"From: <big@all.lab>\r\n", got)
            self.assertTrue(got.endswith(body * 20000))


class Off(unittest.TestCase):
    def test_switched_off(self):
        with System(conf={"msa": {"send_as": False}}) as s:
            s.pneu("domain", "add", "all.lab")
            s.pneu("domain", "set", "all.lab", "--catch-all",
                   "alice@example.test")
            s.submit("alice", ["bob"], b"Subject: [sendas:x] y\r\n\r\n")
            got = s.wait_message("bob", b"Subject: [sendas:x] y\r\n")
            self.assertIn(b"From: <alice@example.test>\r\n", got)


if __name__ == "__main__":
    unittest.main()
