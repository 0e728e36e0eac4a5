# SPDX-License-Identifier: ISC
"""SMTP extensions through the real programs, each from the port where it is
offered to where it has its effect."""
import smtplib
import unittest

from pneu import PASSWORD, PATIENCE, System, tls_context


class Case(unittest.TestCase):
    CONF = {}

    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=cls.CONF)
        cls.addClassCleanup(cls.s.close)
        cls.prepare()

    @classmethod
    def prepare(cls):
        pass

    def mta(self):
        c = self.s.smtp()
        self.addCleanup(c.close)
        c.ehlo("client.test")
        return c

    def msa(self, user="alice"):
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                         timeout=PATIENCE)
        self.addCleanup(c.close)
        c.starttls(context=tls_context())
        c.ehlo("client.test")
        c.login(self.s.address(user), PASSWORD)
        return c


class Verify(Case):
    """VRFY (RFC 5321 3.5): mta asks guard, msa asks qm, which asks guard."""
    CONF = {"mta": {"vrfy": True}, "msa": {"vrfy": True}}

    @classmethod
    def prepare(cls):
        cls.s.pneu("address", "add", "sales@example.test", "alice@example.test",
                   "x@elsewhere.test")

    def answers(self, c):
        return [c.docmd("VRFY", "<%s>" % a) for a in
                ("bob@example.test", "nobody@example.test",
                 "sales@example.test", "x@elsewhere.test")]

    def test_by_both(self):
        for name in ("mta", "msa"):
            with self.subTest(name):
                c = getattr(self, name)()
                self.assertTrue(c.has_extn("vrfy"))
                good, bad, alias, other = self.answers(c)
                self.assertEqual(good, (250, b"2.1.5 <bob@example.test>"))
                self.assertEqual(bad[0], 550)
                self.assertTrue(bad[1].startswith(b"5.1.1 "))
                self.assertEqual(alias, (250, b"2.1.5 <sales@example.test>"))
                self.assertEqual(other[0], 252)

    def test_with_guard_away_nobody_is_denied(self):
        self.s.stop("guard")
        try:
            for name in ("mta", "msa"):
                with self.subTest(name):
                    c = getattr(self, name)()
                    self.assertEqual({a[0] for a in self.answers(c)}, {252})
        finally:
            self.s.start("guard")


if __name__ == "__main__":
    unittest.main()
