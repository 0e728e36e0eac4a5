# SPDX-License-Identifier: ISC
"""guard asked directly over LMTP: catch-all domains, blocked addresses."""
import smtplib
import unittest

from pneu import PASSWORD, System


class CatchAll(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("guard",), start=False)
        try:
            cls.s.setup_accounts()
            p = cls.s.pneu
            p("domain", "add", "--catch-all", "alice@example.test", "all.lab")
            p("account", "add", "carl@all.lab", input=PASSWORD + "\n")
            p("address", "add", "to-bob@all.lab", "bob@example.test")
            p("address", "add", "--blocked", "Spam@all.lab")
            p("address", "add", "--blocked", "bad+tag@all.lab")
            p("domain", "add", "many.lab")
            p("domain", "set", "many.lab", "--catch-all", "alice@example.test",
              "--catch-all", "bob@example.test", "--catch-all", "x@else.lab")
            cls.s.start("guard")
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def ask(self, *recipients):
        """The replies to RCPT, all in one transaction."""
        with smtplib.LMTP(self.s.dir + "/sock/guard.sock") as c:
            c.ehlo()
            self.assertEqual(c.mail("x@else.lab")[0], 250)
            return [c.docmd("RCPT TO:<%s>" % r) for r in recipients]

    def test_every_address_goes_to_one_account(self):
        for code, text in self.ask(
                "any@all.lab", "other@all.lab", "a.b-c+d@ALL.lab",
                "\"quoted local\"@all.lab", "x" * 64 + "@all.lab",
                "postmaster@all.lab", "carlx@all.lab"):
            self.assertEqual((code, text),
                             (251, b"2.1.5 <alice@example.test> local"))

    def test_records_come_before_it(self):
        replies = self.ask("carl@all.lab", "CARL+x@all.lab", "to-bob@all.lab")
        self.assertEqual([r[0] for r in replies], [250, 250, 251])
        self.assertIn(b"<bob@example.test> local", replies[2][1])

    def test_blocked_addresses_are_unknown(self):
        replies = self.ask("spam@all.lab", "SPAM@all.lab", "spam+x@all.lab",
                           "\"spam\"@all.lab", "bad+tag@all.lab")
        for code, text in replies:
            self.assertEqual((code, text[:5]), (550, b"5.1.1"), text)
        self.assertEqual(self.ask("bad@all.lab", "spam2@all.lab")[0][0], 251)

    def test_who_the_client_is_comes_by_xforward(self):
        with smtplib.LMTP(self.s.dir + "/sock/guard.sock") as c:
            c.ehlo()
            self.assertTrue(c.has_extn("xforward"))
            self.assertEqual(c.docmd(
                "XFORWARD NAME=mx.else.lab ADDR=192.0.2.77 HELO=mx.else.lab "
                "PROTO=ESMTP")[0], 250)
            c.mail("x@else.lab")
            c.docmd("RCPT TO:<xforward@all.lab>")
        line = next(l for l in self.s.log("guard").splitlines()
                    if "rcpt=<xforward@all.lab>" in l)
        self.assertIn("client=192.0.2.77 helo=mx.else.lab", line)

    def test_several_targets(self):
        (code, text), = self.ask("any@many.lab")
        self.assertEqual(code, 251)
        self.assertEqual(text.split(b"\n"), [
            b"2.1.5 <alice@example.test> local",
            b"2.1.5 <bob@example.test> local",
            b"2.1.5 <x@else.lab> relay"])

    def test_others_stay_unknown(self):
        replies = self.ask("any@example.test", "any@sub.all.lab", "any@lab")
        self.assertEqual([(r[0], r[1][:5]) for r in replies],
                         [(550, b"5.1.1"), (550, b"5.7.1"), (550, b"5.7.1")])

    def test_changes_are_seen_at_once(self):
        self.assertEqual(self.ask("now@all.lab")[0][0], 251)
        self.s.pneu("address", "add", "--blocked", "now@all.lab")
        self.assertEqual(self.ask("now@all.lab")[0][0], 550)
        self.s.pneu("address", "remove", "now@all.lab")
        self.assertEqual(self.ask("now@all.lab")[0][0], 251)


if __name__ == "__main__":
    unittest.main()
