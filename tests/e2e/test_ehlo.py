# SPDX-License-Identifier: ISC
"""What each port lists after EHLO or LHLO, against the table of extensions,
which is data here: one row for each keyword."""
import os
import smtplib
import unittest

import pneu
from pneu import PASSWORD, PATIENCE, System, tls_context

# Where it is listed: (plain text, under TLS, signed in). LMTP is asked on the
# programs' Unix sockets: what their peers see.
TABLE = """
keyword              mta  mta+tls  msa  msa+tls  msa+auth  guard  mailbox  qm
PIPELINING            x     x       x     x        x         x      x       x
SIZE                  x     x       x     x        x         x      x       x
8BITMIME              x     x       x     x        x         x      x       x
SMTPUTF8              x     x       x     x        x         x      x       x
ENHANCEDSTATUSCODES   x     x       x     x        x         x      x       x
STARTTLS              x     -       x     -        -         -      x       -
HELP                  x     x       x     x        x         x      x       x
VRFY                  x     x       x     x        x         x      x       x
CHUNKING              x     x       x     x        x         x      x       x
BINARYMIME            x     x       x     x        x         x      x       x
DSN                   x     x       x     x        x         x      x       x
PRDR                  x     x       -     -        -         -      -       -
LIMITS                x     x       x     x        x         x      x       x
REQUIRETLS            -     x       -     x        x         x      x       x
MT-PRIORITY           x     x       x     x        x         x      x       x
DELIVERBY             x     x       x     x        x         x      x       x
FUTURERELEASE         -     -       x     x        x         -      -       x
XCLIENT               x     x       x     x        x         x      x       x
XFORWARD              x     x       x     x        x         x      x       x
XTRACE                -     -       -     -        -         x      x       x
ETRN                  x     x       x     x        x         -      -       x
AUTH                  -     -       -     x        x         -      -       -
XWHO                  -     -       -     -        -         -      x       -
XMIRROR               -     -       -     -        -         -      x       -
XARRIVED              -     -       -     -        -         -      x       -
XSOURCE               -     -       -     -        -         -      x       -
XGATHER               -     -       -     -        -         -      x       -
XOUTSIDE              -     -       -     -        -         -      -       x
"""
# Said by the rows of others' work, listed where that is configured.
MORE = {"BURL"}
CONF = {p: {"xclient_from": ["127.0.0.0/8", "unix"]} for p in
        ("mta", "msa", "guard", "mailbox", "qm")}
for p in ("mta", "msa"):
    CONF[p]["xforward_from"] = ["127.0.0.0/8"]


def table():
    """{column: keywords}"""
    head, *rows = [line.split() for line in TABLE.strip().splitlines()]
    return {name: {r[0] for r in rows if r[i] == "x"}
            for i, name in enumerate(head) if i > 0}


class Ehlo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=CONF)
        cls.addClassCleanup(cls.s.close)

    def connect(self, column):
        program, _, how = column.partition("+")
        if program not in ("mta", "msa"):
            path = os.path.join(self.s.dir, "sock", program + ".sock")
            return smtplib.LMTP(path)
        port = self.s.port["smtp" if program == "mta" else "submission"]
        c = smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE)
        if how:
            c.starttls(context=tls_context())
        c.ehlo()
        if how == "auth":
            c.login("alice@example.test", PASSWORD)
        return c

    def listed(self, column):
        c = self.connect(column)
        self.addCleanup(c.close)
        code, text = c.ehlo()
        self.assertEqual(code, 250)
        return {line.split()[0].decode() for line in text.split(b"\n")[1:]}

    def test_each_port_lists_its_column(self):
        for column, want in table().items():
            with self.subTest(column):
                self.assertEqual(self.listed(column) - MORE, want)

    def test_nobody_may_speak_for_others_by_default(self):
        with System() as s:
            self.s, kept = s, self.s
            try:
                for column, want in table().items():
                    with self.subTest(column):
                        if column[:3] in ("mta", "msa"):
                            want = want - {"XFORWARD"}
                        self.assertEqual(self.listed(column) - MORE,
                                         want - {"XCLIENT"})
            finally:
                self.s = kept

    def test_submissions_is_under_tls_from_the_start(self):
        c = smtplib.SMTP_SSL("127.0.0.1", self.s.port["submissions"],
                             context=tls_context(), timeout=PATIENCE)
        self.addCleanup(c.close)
        c.ehlo()
        self.assertEqual(set(k.upper() for k in c.esmtp_features) - MORE,
                         table()["msa+tls"])


class OverTcp(unittest.TestCase):
    """guard and qm on TCP have STARTTLS, as mailbox; their clients use it."""

    def start(self, program, conf=None):
        pneu.PROTOCOLS[program] = [("lmtp", None)]
        try:
            s = System(programs=(program,), start=False)
        finally:
            pneu.PROTOCOLS[program] = []
        self.addCleanup(s.close)
        s.write_conf({program: {"lmtp": [
            "unix:%s.sock" % program, "127.0.0.1:%d" % s.port["lmtp"]],
            **(conf or {})}})
        return s

    def lmtp(self, s):
        c = smtplib.LMTP("127.0.0.1", s.port["lmtp"])
        self.addCleanup(c.close)
        c.ehlo()
        return c

    def test_starttls(self):
        for program in ("guard", "qm"):
            with self.subTest(program):
                s = self.start(program)
                s.start_all()
                c = self.lmtp(s)
                self.assertTrue(c.has_extn("starttls"))
                self.assertEqual(c.starttls(context=tls_context())[0], 220)
                c.ehlo()
                self.assertFalse(c.has_extn("starttls"))
                self.assertTrue(c.has_extn("requiretls"))
                self.assertEqual(c.mail("a@b.test")[0], 250)

    def test_starttls_at_mailbox(self):
        """Which has a STARTTLS of IMAP too."""
        with System(programs=("guard", "mailbox")) as s:
            c = self.lmtp(s)
            self.assertEqual(c.starttls(context=tls_context())[0], 220)
            c.ehlo()
            self.assertTrue(c.has_extn("requiretls"))
            self.assertEqual(c.mail("a@b.test")[0], 250)
            c.quit() # or its transaction would be waited for

    def test_who_asks_them_uses_it(self):
        guard = self.start("guard")
        guard.start_all()
        qm = self.start("qm", {"guard": "127.0.0.1:%d" % guard.port["lmtp"]})
        qm.start_all()
        c = self.lmtp(qm)
        c.mail("a@b.test")
        self.assertEqual(c.rcpt("alice@example.test")[0], 250)
        self.assertEqual(c.rcpt("nobody@example.test")[0], 550)
        c.quit()
        qm.stop("qm")
        guard.stop("guard")
        self.assertRegex(guard.log("guard"), r"session .*tls=TLS1\.[23]")


if __name__ == "__main__":
    unittest.main()
