# SPDX-License-Identifier: ISC
"""Send-As through the whole system: a tag in the Subject says as whom a message
is sent; what arrives is looked at octet by octet."""
import email
import email.policy
import email.utils
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


class ReplyAs(unittest.TestCase):
    """A reply goes out from the address that was written to."""

    @classmethod
    def setUpClass(cls):
        cls.s = System()
        try:
            p = cls.s.pneu
            p("domain", "add", "all.lab")
            p("domain", "set", "all.lab", "--catch-all", "alice@example.test")
            p("address", "add", "sales@example.test", "alice@example.test")
            p("account", "set", "--reply-as", "alice@example.test")
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def receive(self, id, to="shop@all.lab", **kw):
        self.s.send("bob@example.test", [to],
                    b"From: bob@example.test\r\nMessage-ID: <%s>\r\n"
                    b"Subject: question\r\n\r\n" % id.encode(), **kw)

    def reply(self, fields, user="alice", sender=b"alice@example.test"):
        """The address that bob sees, of From; Return-Path has the same."""
        SendAs.count += 1
        mark = b"X-Mark: reply%dx\r\n" % SendAs.count
        self.s.submit(user, ["bob"], b"From: Alice <%s>\r\nSubject: Re: x\r\n"
                      % sender + fields + mark + b"\r\n",
                      sender=sender.decode())
        m = email.message_from_bytes(self.s.wait_message("bob", mark))
        self.assertEqual(m["Subject"], "Re: x")
        name, address = email.utils.parseaddr(m["From"])
        self.assertEqual(name, "Alice")
        self.assertEqual(m["Return-Path"], "<%s>" % address)
        self.assertTrue(m["Message-ID"].endswith(
            address[address.index("@"):] + ">"))
        return address

    def test_replies(self):
        self.receive("1@else.lab")
        self.receive("2@else.lab", "Other+x@All.LAB")
        self.receive("4@else.lab", "alice@example.test")
        self.receive("5@else.lab", "sales@example.test")
        self.receive("6@else.lab", "\"a b\"@all.lab")
        own = "alice@example.test"
        for fields, address in (
                (b"In-Reply-To: <1@else.lab>\r\n", "shop@all.lab"),
                (b"in-reply-to:\r\n <1@else.lab>\r\n", "shop@all.lab"),
                (b"References: <1@else.lab>\r\n", "shop@all.lab"),
                (b"In-Reply-To: <2@else.lab>\r\n", "Other+x@all.lab"),
                (b"In-Reply-To: <6@else.lab>\r\n", "\"a b\"@all.lab"),
                # the last of References first; In-Reply-To before it
                (b"References: <1@else.lab> <9@x> <2@else.lab>\r\n",
                 "Other+x@all.lab"),
                (b"References: <2@else.lab>\r\nIn-Reply-To: <1@else.lab>\r\n",
                 "shop@all.lab"),
                (b"In-Reply-To: <own@x>\r\nReferences: <1@else.lab> <own@x>"
                 b"\r\n", "shop@all.lab"),
                # not for a catch-all address, not known, no reply
                (b"In-Reply-To: <4@else.lab>\r\n", own),
                (b"In-Reply-To: <5@else.lab>\r\n", own),
                (b"In-Reply-To: <3@else.lab>\r\n", own),
                (b"In-Reply-To: 1@else.lab\r\n", own),
                (b"In-Reply-To: \r\nReferences: \r\n", own),
                (b"X-In-Reply-To: <1@else.lab>\r\n", own),
                (b"", own)):
            self.assertEqual(self.reply(fields), address, fields)

    def test_who_writes_another_address_means_it(self):
        self.receive("10@else.lab")
        reply = b"In-Reply-To: <10@else.lab>\r\n"
        for sender in (b"other@all.lab", b"sales@example.test",
                       b"alice+x@example.test"):
            self.assertEqual(self.reply(reply, sender=sender), sender.decode())

    def test_a_tag_counts_before(self):
        self.receive("11@else.lab")
        self.s.submit("alice", ["bob"], b"In-Reply-To: <11@else.lab>\r\n"
                      b"Subject: [sendas:tag] tagged\r\n\r\n")
        got = self.s.wait_message("bob", b"Subject: tagged\r\n")
        self.assertIn(b"From: <tag@all.lab>", got)

    def test_of_a_stranger_or_a_blocked_address(self):
        self.receive("12@else.lab", "late@all.lab")
        self.receive("13@else.lab", rcpt_options=[
            "ORCPT=rfc822;bob@example.test"])
        reply = b"In-Reply-To: <12@else.lab>\r\n"
        self.assertEqual(self.reply(reply), "late@all.lab")
        self.assertEqual(self.reply(reply, user="bob",
                                    sender=b"bob@example.test"),
                         "bob@example.test")
        self.s.pneu("address", "add", "--blocked", "late@all.lab")
        self.assertEqual(self.reply(reply), "alice@example.test")
        # Whom the client of mta wrote to counts only if it is ours.
        self.assertEqual(self.reply(b"In-Reply-To: <13@else.lab>\r\n"),
                         "alice@example.test")

    def test_from_the_queue_too(self):
        """What came in by msa and qm."""
        self.s.submit("bob", ["viaqm@all.lab"],
                      b"Message-ID: <14@else.lab>\r\nSubject: 14\r\n\r\n")
        self.s.wait_message("alice", b"Subject: 14\r\n")
        self.assertEqual(self.reply(b"In-Reply-To: <14@else.lab>\r\n"),
                         "viaqm@all.lab")

    def test_switched_off(self):
        p = self.s.pneu
        p("account", "set", "--no-reply-as", "alice@example.test")
        try:
            self.receive("15@else.lab")
            self.assertEqual(self.reply(b"In-Reply-To: <15@else.lab>\r\n"),
                             "alice@example.test")
        finally:
            p("account", "set", "--reply-as", "alice@example.test")
        # What came in meanwhile was not kept.
        self.assertEqual(self.reply(b"In-Reply-To: <15@else.lab>\r\n"),
                         "alice@example.test")
        self.assertIn("catch-all address", p("account", "show",
                                             "alice@example.test"))

    def test_mailbox_down_means_later(self):
        self.s.stop("mailbox")
        try:
            with self.assertRaises(smtplib.SMTPDataError) as e:
                self.s.submit("alice", ["bob"],
                              b"In-Reply-To: <1@x>\r\n\r\n")
            self.assertEqual(e.exception.smtp_code, 451)
            # Others are not asked for.
            self.s.submit("alice", ["bob"], b"Subject: down\r\n\r\n")
        finally:
            self.s.start("mailbox")

    def test_xwho_is_for_own_programs(self):
        path = self.s.dir + "/sock/mailbox.sock"
        with smtplib.LMTP(path) as c:
            c.ehlo()
            self.assertIn("xwho", c.esmtp_features)
            self.assertEqual(c.docmd("XWHO <alice@example.test> no@id")[0],
                             252)
            self.assertEqual(c.docmd("XWHO alice@example.test no@id")[0], 501)
            self.assertEqual(c.docmd("XWHO <alice@example.test>")[0], 501)
            self.assertEqual(c.docmd("XWHO <alice@example.test> a+ZZ")[0], 501)
        with smtplib.LMTP("127.0.0.1", self.s.port["lmtp"]) as c:
            c.ehlo()
            self.assertNotIn("xwho", c.esmtp_features)
            self.assertEqual(c.docmd("XWHO <alice@example.test> no@id")[0],
                             500)


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
