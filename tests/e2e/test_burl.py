# SPDX-License-Identifier: ISC
"""BURL (RFC 4468): what lies in a mailbox is sent without being fetched first;
by URLs that IMAP has authorized (RFC 4467)."""
import email
import imaplib
import smtplib
import unittest

from pneu import PASSWORD, System, tls_context

imaplib.Commands["GENURLAUTH"] = ("AUTH", "SELECTED")
imaplib.Commands["RESETKEY"] = ("AUTH", "SELECTED")


class Burl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(conf={"msa": {"max_size": "1M"}})
        try:
            cls.imap = cls.s.imap("alice")
            cls.imap.create("Outbox")
            cls.s.pneu("domain", "add", "all.lab")
            cls.s.pneu("domain", "set", "all.lab", "--catch-all",
                       "alice@example.test")
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def url(self, message, access="submit+alice", more=""):
        """The authorized URL of a new message in alice's Outbox."""
        typ, data = self.imap.append("Outbox", None, None, message)
        self.assertEqual(typ, "OK", data)
        uid = int(data[0].split(b"]")[0].split()[-1])
        rump = "imap://alice%%40example.test@mx.example.test/Outbox/;UID=%d" \
            "%s;URLAUTH=%s" % (uid, more, access)
        typ, data = self.imap._simple_command(
            "GENURLAUTH", '"%s"' % rump, "INTERNAL")
        self.assertEqual(typ, "OK", data)
        return self.imap.untagged_responses.pop("GENURLAUTH")[-1].decode() \
            .strip('"')

    def connect(self, user="alice"):
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"], timeout=60)
        self.addCleanup(c.close)
        c.starttls(context=tls_context())
        c.ehlo()
        self.before = c.esmtp_features.get("burl")
        c.login(self.s.address(user), PASSWORD)
        c.ehlo()
        return c

    def envelope(self, c, *to, sender="alice@example.test"):
        self.assertEqual(c.mail(sender)[0], 250)
        for r in to or ("bob@example.test",):
            self.assertEqual(c.rcpt(r)[0], 250)

    def burl(self, c, url, last=True):
        code, text = c.docmd("BURL %s%s" % (url, " LAST" if last else ""))
        return code, text.decode()

    def test_offered_after_signing_in(self):
        c = self.connect()
        self.assertEqual(self.before, "")
        self.assertEqual(c.esmtp_features["burl"], "imap")
        with self.s.smtp() as c:
            c.ehlo()
            self.assertNotIn("burl", c.esmtp_features)
            self.assertEqual(c.docmd("BURL imap://x/y/;UID=1 LAST")[0], 502)

    def test_a_message_of_the_mailbox(self):
        url = self.url(b"From: Alice <alice@example.test>\r\nBcc: x@y.lab\r\n"
                       b"Subject: whole\r\n\r\n.dots\r\n..\r\n")
        c = self.connect()
        for to in ("bob@example.test", "alice+again@example.test"):
            self.envelope(c, to)
            code, text = self.burl(c, url)
            self.assertEqual(code, 250, text)
        for user in ("bob", "alice"):
            got = self.s.wait_message(user, b"Subject: whole\r\n")
            self.assertIn(b"From: Alice <alice@example.test>\r\n", got)
            self.assertTrue(got.endswith(b"\r\n\r\n.dots\r\n..\r\n"))
            self.assertNotIn(b"Bcc", got)
            self.assertIn("Message-ID", email.message_from_bytes(got))

    def test_forwarded_without_download(self):
        """A part of one message, between chunks of BDAT."""
        large = b"0123456789abcdef" * 4 + b"\r\n"
        part = self.url(b"Subject: old\r\nContent-Type: multipart/mixed; "
                        b"boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n"
                        b"Content-Type: text/plain\r\n\r\n" + large * 9000 +
                        b"--b--\r\n", more="/;SECTION=2")
        c = self.connect()
        self.envelope(c)
        head = (b"Subject: forwarded\r\nContent-Type: multipart/mixed; "
                b"boundary=n\r\n\r\n--n\r\n\r\nlook:\r\n--n\r\n\r\n")
        c.send(b"BDAT %d\r\n" % len(head) + head)
        self.assertEqual(c.getreply()[0], 250)
        code, text = self.burl(c, part, last=False)
        self.assertEqual((code, text[:5]), (250, "2.5.0"))
        tail = b"\r\n--n--\r\n"
        c.send(b"BDAT %d LAST\r\n" % len(tail) + tail)
        self.assertEqual(c.getreply()[0], 250)
        m = email.message_from_bytes(
            self.s.wait_message("bob", b"Subject: forwarded\r\n"))
        self.assertEqual(
            m.get_payload()[1].get_payload().encode().replace(
                b"\r\n", b"\n"), (large * 9000)[:-2].replace(b"\r\n", b"\n"))

    def test_rules_of_submission_hold(self):
        c = self.connect()
        self.envelope(c)
        code, text = self.burl(c, self.url(
            b"From: bob@example.test\r\n\r\n"))
        self.assertEqual(code, 550)
        self.assertIn("<bob@example.test>", text)
        self.envelope(c)
        code, text = self.burl(c, self.url(
            b"From: alice@example.test\r\nSubject: [sendas:shop] burl\r\n"
            b"\r\n"))
        self.assertEqual(code, 250, text)
        got = self.s.wait_message("bob", b"Subject: burl\r\n")
        self.assertIn(b"From: shop@all.lab\r\n", got)
        self.envelope(c)
        code, text = self.burl(c, self.url(b"Subject: x\r\n\r\n" +
                                           b"x" * 70 + b"\r\n" * 600000))
        self.assertEqual((code, text[:5]), (552, "5.3.4"))

    def test_who_may(self):
        text = b"Subject: x\r\n\r\n"
        good = self.url(text)
        other = "10" if good.endswith("00") else "00"
        for url, code, esc in (
                (good[:-2] + other, 554, "5.7.0"),
                (good.replace("Outbox", "Nowhere"), 554, "5.7.0"),
                (self.url(text, "submit+bob"), 554, "5.7.0"),
                (self.url(text, "submit+nobody"), 554, "5.7.0"),
                (self.url(text, "user+alice"), 554, "5.7.0"),
                (self.url(text, more=";EXPIRE=2001-01-01T00:00:00Z"), 554,
                 "5.7.0"),
                (good.split(";URLAUTH")[0], 554, "5.7.8"),
                (good.split(":internal")[0], 554, "5.7.8"),
                ("imap://mx.example.test/", 501, "5.5.4"),
                ("http://example.test/", 501, "5.5.4"),
                (self.url(text, "authuser"), 250, "2.0.0"),
                (self.url(text, "submit+alice%40example.test"), 250,
                 "2.0.0")):
            c = self.connect()
            self.envelope(c)
            got = self.burl(c, url)
            self.assertEqual((got[0], got[1][:5]), (code, esc), url)
            c.quit()
        # bob cannot use what is for alice's submissions.
        c = self.connect("bob")
        self.envelope(c, sender="bob@example.test")
        got = self.burl(c, good)
        self.assertEqual((got[0], got[1][:5]), (554, "5.7.0"))

    def test_taken_back(self):
        url = self.url(b"Subject: back\r\n\r\n")
        self.assertEqual(self.imap._simple_command("RESETKEY", "Outbox")[0],
                         "OK")
        c = self.connect()
        self.envelope(c)
        self.assertEqual(self.burl(c, url)[0], 554)

    def test_pipelined(self):
        url = self.url(b"Subject: piped\r\n\r\n").encode()
        c = self.connect()
        c.send(b"MAIL FROM:<alice@example.test>\r\n"
               b"RCPT TO:<nobody@example.test>\r\nBURL %s LAST\r\n"
               b"RSET\r\nMAIL FROM:<alice@example.test>\r\n"
               b"RCPT TO:<bob@example.test>\r\nBURL %s LAST\r\n" % (url, url))
        codes = [c.getreply()[0] for _ in range(7)]
        self.assertEqual(codes[0], 250)
        self.assertEqual(codes[3:], [250] * 4)
        self.s.wait_message("bob", b"Subject: piped\r\n")

    def test_mailbox_down_means_later(self):
        url = self.url(b"Subject: down\r\n\r\n")
        c = self.connect()
        self.envelope(c)
        self.s.stop("mailbox")
        try:
            code, text = self.burl(c, url)
            self.assertEqual((code, text[:5]), (451, "4.4.1"))
        finally:
            self.s.start("mailbox")
            type(self).imap = self.s.imap("alice")
        self.envelope(c)
        self.assertEqual(self.burl(c, url)[0], 250)

    def test_tokens_are_in_no_log(self):
        url = self.url(b"Subject: log\r\n\r\n")
        c = self.connect()
        self.envelope(c)
        self.assertEqual(self.burl(c, url)[0], 250)
        for program in ("msa", "mailbox", "qm"):
            self.assertNotIn(url[-64:], self.s.log(program))


if __name__ == "__main__":
    unittest.main()
