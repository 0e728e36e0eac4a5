# SPDX-License-Identifier: ISC
"""Rules of RFC 5321 that leave no choice, asked of our own and of Postfix,
where it is installed: so a wrong expectation shows."""
import unittest

import postfix
from smtpraw import Raw
from steady import steady
from test_hostile import Case


class Here(Case):
    domain = "example.test"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s.pneu("account", "add", "user1@example.test", input="x\n")
        cls.s.pneu("address", "add", "postmaster@example.test",
                   "user1@example.test")

    def dialogue(self):
        return self.front("smtp").ready()


class There(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not postfix.is_here():
            raise unittest.SkipTest("no Postfix to compare with")
        cls.s = postfix.Postfix(BARE_LF="reject")
        cls.addClassCleanup(cls.s.close)
        cls.domain = cls.s.domain

    def dialogue(self):
        c = Raw(self.s.port)
        c.hello()
        return c


class Order:
    """RFC 5321 4.1.4, 4.1.1, 3.3. Mixed into a class with dialogue(),
    domain."""

    def talk(self, *steps):
        with self.dialogue() as c:
            for line, codes in steps:
                line = line.replace("DOMAIN", self.domain)
                self.assertIn(c.code(line), codes, line)
            self.assertEqual(c.code("QUIT"), 221)
            self.assertIsNone(c.reply())

    def test_order(self):
        mail, rcpt = "MAIL FROM:<a@b.test>", "RCPT TO:<user1@DOMAIN>"
        self.talk((rcpt, (503,)), ("DATA", (503,)), ("RSET", (250,)),
                  (mail, (250,)), (mail, (503,)), ("DATA", (503, 554)),
                  (rcpt, (250,)), ("RSET", (250,)), (rcpt, (503,)),
                  (mail, (250,)), ("EHLO x.test", (250,)), (rcpt, (503,)))

    def test_words(self):
        self.talk(("FROB", (500, 502)), ("NOOP", (250,)), ("NOOP x", (250,)),
                  ("HELP", (211, 214, 500, 502)), ("VRFY user1@DOMAIN", (
                      250, 251, 252)), ("MAIL FROM:<a@b.test> FOO=1",
                                        (501, 555)),
                  ("MAIL FROM:<>", (250,)), ("RSET", (250,)),
                  ("mail from:<a@b.test> size=1000 body=8bitmime", (250,)),
                  ("rcpt to:<user1@DOMAIN> notify=never", (250,)),
                  ("RSET", (250,)), ("MAIL FROM:<a@b.test> SIZE=99999999999",
                                     (552,)),
                  ("DATA x", (501, 503)), ("MAIL FROM:", (501,)),
                  ("MAIL <a@b.test>", (501,)), ("RSET x", (501, 250)))

    def test_what_is_not_ended_by_crlf_dot_crlf_goes_on(self):
        """One reply, and none to what stands within."""
        evil = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<user1@%s>\r\nDATA\r\nx"
        for end in (b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\n\n.\n\n"):
            with self.dialogue() as c:
                c.envelope("user1@" + self.domain)
                self.assertEqual(c.code("DATA"), 354)
                c.send(b"Subject: x\r\n\r\nx" + end +
                       evil % self.domain.encode() + b"\r\n.\r\n")
                self.assertIn(c.reply()[0], (550, 521), end)
                self.assertIn(c.code("NOOP"), (250, None))

    def test_dots(self):
        with self.dialogue() as c:
            for text in (b".\r\n", b"\r\n.\r\n", b"..\r\n.\r\n",
                         b".x\r\n.\r\n", b"x\r\n. \r\n.\r\n"):
                c.envelope("user1@" + self.domain)
                self.assertEqual(c.code("DATA"), 354)
                c.send(text)
                self.assertEqual(c.reply()[0], 250, text)

    def test_starttls_takes_nothing_along(self):
        with self.dialogue() as c:
            self.assertIn(c.code("STARTTLS x"), (501, 503))
            self.assertEqual(c.code("STARTTLS"), 220)
            c.secure()
            self.assertIn(c.code("MAIL FROM:<a@b.test>"), (503, 250))
            self.assertIn(c.code("RSET"), (250,))
            c.hello()
            self.assertIn(c.code("STARTTLS"), (503, 554, 502))


class OrderHere(Here, Order):
    pass


class OrderThere(There, Order):
    pass


class Addresses:
    """RFC 5321 4.1.2 and 4.5.3.1, RFC 6531. Mixed into a class with: dialogue()
    ready for MAIL, `domain`, `strict`."""

    def rcpt(self, path):
        with self.dialogue() as c:
            c.envelope()
            c.send(b"RCPT TO:" + path + b"\r\n")
            code = c.reply()[0]
            self.assertEqual(c.code("NOOP"), 250)
            return code

    def check(self, *cases):
        for path, codes in cases:
            path = path.replace(b"DOMAIN", self.domain.encode())
            with self.subTest(path=path[:90]):
                self.assertIn(self.rcpt(path), codes)

    BAD = (501, 500, 553, 554, 555, 550)

    def test_paths(self):
        self.check((b"<user1@DOMAIN>", (250,)), (b"<USER1@DOMAIN>", (250,)),
                   (b"<@a.test,@b.test:user1@DOMAIN>", (250,)),
                   (b"<@a.test:user1@DOMAIN>", (250,)),
                   (b'<"user1"@DOMAIN>', (250,)),
                   (b'<"us\\er1"@DOMAIN>', (250,)),
                   (b'<"no body"@DOMAIN>', (550,)),
                   (b'<"no@body"@DOMAIN>', (550, 554)),
                   (b"<Postmaster>", (250,)), (b"<postmaster@DOMAIN>", (250,)),
                   (b"<nobody@DOMAIN>", (550,)),
                   (b"<user1@elsewhere.test>", (550, 554, 551)))

    def test_paths_that_are_none(self):
        self.check((b"<>", self.BAD), (b"<user1@DOMAIN", self.BAD),
                   (b"<user1@@DOMAIN>", self.BAD), (b"<@DOMAIN>", self.BAD),
                   (b'<"user1@DOMAIN>', self.BAD), (b"<a b@DOMAIN>", self.BAD),
                   (b"", self.BAD), (b"<user1@DOMAIN> FOO=BAR", self.BAD))

    def test_literals(self):
        refused = self.BAD + (454, 450)
        self.check((b"<user1@[192.0.2.1]>", refused),
                   (b"<user1@[IPv6:2001:db8::1]>", refused),
                   (b"<user1@[999.0.2.1]>", refused),
                   (b"<user1@127.0.0.1]>", refused), (b"<user1@[]>", refused),
                   (b"<user1@[IPv6:x]>", refused))

    def test_lengths(self):
        label = b"x" * 63
        domain = b".".join([label] * 4) # 255
        self.check((b"<" + b"x" * 64 + b"@DOMAIN>", (550,)),
                   (b"<" + b"x" * 300 + b"@DOMAIN>", self.BAD),
                   (b"<x@" + domain[:240] + b">", (550, 554, 451, 501)),
                   (b"<x@" + domain + b".x>", self.BAD),
                   (b"<" + b"x" * 900 + b">", self.BAD))


class AddressesHere(Here, Addresses):
    def test_a_literal_without_its_end(self):
        """Postfix takes it for one that is whole."""
        self.check((b"<user1@[127.0.0.1>", (501,)))

    def test_lengths_to_the_octet(self):
        """What Postfix lets pass: 64, 255, 254 (RFC 5321 4.5.3.1, 4.1.2)."""
        domain = ".".join(["x" * 62] * 3) + "." # 189
        self.check((b"<" + b"x" * 64 + b"@DOMAIN>", (550,)),
                   (b"<" + b"x" * 65 + b"@DOMAIN>", (501,)))
        at = "x" * 10 + "@" + domain
        self.check((b"<" + (at + "y" * (254 - len(at))).encode() + b">",
                    (550,)), # a label of 54
                   (b"<" + (at + "y" * (255 - len(at))).encode() + b">",
                    (501,)))

    def test_8bit_needs_smtputf8(self):
        with steady(self.s):
            for line, codes in (
                    ("MAIL FROM:<\xe4@b.test>", (550, 553)),
                    ("MAIL FROM:<a@\xe4.test>", (550, 553)),
                    ("MAIL FROM:<\xe4@b.test> SMTPUTF8", (250,)),
                    ("MAIL FROM:<a@b.test> SMTPUTF8=1", (501,))):
                with self.dialogue() as c:
                    self.assertIn(c.code(line), codes, line)
            for octets in (b"\xe4@b.test", b"a@\xff\xfe.test", b"\xc3(@b.test"):
                with self.dialogue() as c: # is no UTF-8
                    c.send(b"MAIL FROM:<" + octets + b"> SMTPUTF8\r\n")
                    self.assertEqual(c.reply()[0] // 100, 5)
            self.check(("<b\xf6b@DOMAIN>".encode(), (550, 553)))

    def test_bob_by_all_his_names(self):
        for path in ("<bob@example.test>", '<"bob"@example.test>',
                     "<@a.test,@b.test:bob@example.test>", '<"b\\ob"@EXAMPLE.test>'):
            word = self.word()
            with self.dialogue() as c:
                c.envelope()
                self.assertEqual(c.code("RCPT TO:" + path), 250)
                self.assertEqual(c.code("DATA"), 354)
                c.send("Subject: " + word, "", "x", ".")
                self.assertEqual(c.reply()[0], 250)
            got = self.arrived(word)
            self.assertNotIn(b"a.test", got.split(b"Subject")[0])


class AddressesThere(There, Addresses):
    pass


if __name__ == "__main__":
    unittest.main()
