# SPDX-License-Identifier: ISC
"""Hostile clients of IMAP and POP3, against the real program. Crowds are in
test_crowd.py, SMTP in test_hostile.py."""
import contextlib
import random
import re
import select
import socket
import struct
import unittest

from pneu import PASSWORD, System, until
from smtpraw import Raw
from steady import steady

ALICE = "alice@example.test"
LOGIN = {"imap": ["a LOGIN %s %s" % (ALICE, PASSWORD)],
         "pop3": ["USER " + ALICE, "PASS " + PASSWORD]}
NOOP = {"imap": "n NOOP", "pop3": "NOOP"}
CAPABILITY = {"imap": "n CAPABILITY", "pop3": "CAPA"}


class Case(unittest.TestCase):
    conf = {"mailbox": {"plaintext_login": True}}

    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=cls.conf)
        cls.addClassCleanup(cls.s.close)
        for n in range(3):
            cls.s.send("x@else.test", ["alice"], b"Subject: %d\r\n\r\nx\r\n" % n)

    def connect(self, name, login=False):
        c = Raw(self.s.port[name], banner=False)
        self.assertIn(c.line()[:3], (b"* O", b"+OK"))
        for line in LOGIN[name] if login else ():
            self.good(c, line)
        return c

    def good(self, c, line):
        """Until its tagged OK, or +OK."""
        c.send(line)
        tag = line.split()[0].encode()
        while True:
            got = c.line()
            self.assertTrue(got, line)
            if got.startswith((tag + b" OK", b"+OK")):
                return
            self.assertTrue(got.startswith(b"* "), got)


class Injection(Case):
    def test_behind_starttls(self):
        """What came in the clear is never answered, in the clear or in TLS
        (CVE-2011-0411)."""
        with steady(self.s):
            for name, start, evil in (
                    ("imap", "a STARTTLS", "evil NOOP"),
                    ("pop3", "STLS", "NOOP evil")):
                with self.connect(name) as c:
                    c.send(start, evil)
                    got = c.all()
                    self.assertIn(b"You sent more", got)
                    self.assertEqual(got.count(b"\n"), 1, got)
                with self.connect(name) as c:
                    self.good(c, start)
                    c.send(evil)
                    self.assertNotIn(b"OK", c.all())
                with self.connect(name) as c:
                    self.good(c, start)
                    c.secure()
                    for line in LOGIN[name]:
                        self.good(c, line)
                    self.good(c, NOOP[name])


class Excess(Case):
    def test_long_lines_and_literals(self):
        with steady(self.s):
            for name in ("imap", "pop3"):
                for login in (False, True):
                    for octets in (b"x" * (8 << 20), b"a " + b"x" * (8 << 20),
                                   b"a LOGIN " + b"(" * (1 << 20) + b"\r\n",
                                   b"USER " + b"x" * (8 << 20) + b"\r\n",
                                   b"\r\n" * 100000, b"\0" * 100000,
                                   b"a b\0c\r\n" * 1000,
                                   b"a LOGIN {99999999999}\r\n",
                                   b"a LOGIN {4294967296+}\r\n" + b"x" * 100000,
                                   b"a APPEND INBOX {9999999999999999}\r\n",
                                   b"a APPEND x {50000000+}\r\n" + b"x" * 99999,
                                   b"a FETCH 1:* (" * 10000 + b"\r\n",
                                   b"a SEARCH " + b"(OR NOT " * 50000 + b"\r\n",
                                   b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"):
                        with self.connect(name, login) as c:
                            try:
                                c.send(octets)
                                c.end_input()
                            except OSError:
                                pass # closed for it
                            c.all()

    def test_noise(self):
        rng = random.Random(9)
        with steady(self.s):
            for name in ("imap", "imaps", "pop3", "pop3s"):
                for _ in range(30):
                    with Raw(self.s.port[name], banner=False) as c:
                        try:
                            c.send(rng.randbytes(rng.randrange(1, 20000)))
                            c.end_input()
                            while c.line():
                                pass
                        except OSError:
                            pass


class Many(unittest.TestCase):
    FULL = {"imap": b"* BYE [LIMIT] Too many", "pop3": b"-ERR [SYS/TEMP] Too",
            "submission": b"421 4.7.0 too many connections from your"}

    def test_connections_of_an_address(self):
        limit = {"max_per_address": 3, "crowd_from": ["192.0.2.0/24"]}
        with System(conf={"mailbox": limit, "msa": limit}) as s:
            for group in (("imap", "imaps", "pop3", "pop3s"),
                          ("submission", "submissions")):
                with contextlib.ExitStack() as stack:
                    def greeting(name):
                        c = stack.enter_context(Raw(
                            s.port[name], banner=False, tls=name[-1] == "s"))
                        return c, c.line()
                    had = [greeting(group[i % len(group)]) for i in range(3)]
                    for _, line in had:
                        self.assertRegex(line, rb"^([*] OK|[+]OK|220) ")
                    for name in group:
                        full = self.FULL[name.rstrip("s")]
                        c, line = greeting(name)
                        self.assertTrue(line.startswith(full), line)
                        self.assertRegex(line, rb"\[ref \w+\]")
                        self.assertEqual(c.line(), b"")
                    # Whoever goes makes room.
                    had[0][0].close()
                    until(lambda: not greeting(name)[1].startswith(full),
                          "room")
            ref = re.search(rb"ref (\w+)", line).group(1).decode()
            self.assertIn("msa.max_per_address", s.pneu("why", ref))


class Memory(unittest.TestCase):
    FULL = {"smtp": b"421 4.3.2 ", "submission": b"421 4.3.2 ",
            "imap": b"* BYE [UNAVAILABLE] ", "pop3": b"-ERR [SYS/TEMP] "}

    def test_all_connections_together(self):
        """Half a line is kept in a buffer; many of them are too much."""
        with System(conf={"max_memory": "1M"}) as s:
            for name, full in self.FULL.items():
                with contextlib.ExitStack() as stack:
                    def connect():
                        c = stack.enter_context(Raw(s.port[name],
                                                    banner=False))
                        return c, c.line()
                    first, line = connect()
                    self.assertFalse(line.startswith(full), line)
                    for _ in range(200):
                        c, line = connect()
                        if line.startswith(full):
                            break
                        c.send(b"NOOP" * 100)
                    self.assertTrue(line.startswith(full), line)
                    self.assertRegex(line, rb"\[ref \w+\]")
                    ref = re.search(rb"ref (\w+)", line).group(1).decode()
                    self.assertIn("max_memory", s.pneu("why", ref))
                    if name == "smtp":
                        self.assertEqual(first.code("EHLO x.test"), 250)
                        self.assertEqual(first.cmd("MAIL FROM:<a@b.test>")[0],
                                         452)
                until(lambda: not Raw(s.port[name], banner=False).line()
                      .startswith(full), "room")
            s.send("x@else.test", ["alice"], b"Subject: again\r\n\r\nx\r\n")


class Slow(unittest.TestCase):
    LIMIT = 60

    def drip(self, s, c, octets):
        """An octet now and then until the connection ends."""
        for octet in octets:
            try:
                c.send(bytes([octet]))
            except OSError:
                return
            s.clock.move(self.LIMIT / 10)
            if select.select([c.s], [], [], 0.05)[0] and not c.line():
                return
        self.fail("all was taken")

    def test_signing_in_has_its_time(self):
        conf = {"mailbox": {"login_timeout": "%ds" % self.LIMIT,
                            "plaintext_login": True}}
        with System(conf=conf, clock=True) as s, steady(s):
            for name in ("imap", "pop3"):
                # Busy with something else.
                with Raw(s.port[name], banner=False) as c:
                    c.line()
                    while True:
                        try:
                            c.send(CAPABILITY[name])
                        except OSError:
                            break
                        while (got := c.line()) and \
                                not got.startswith((b"n ", b".")):
                            pass
                        if not got:
                            break
                        s.clock.move(self.LIMIT / 10)
                # An octet now and then: of a command, of a literal.
                for octets in (b"a LOGIN " + b"x" * 4000,
                               b"a LOGIN {4000+}\r\n" + b"x" * 4000):
                    with Raw(s.port[name], banner=False) as c:
                        c.line()
                        self.drip(s, c, octets)
                # Who has signed in may stay, and who came with him may not.
                with Raw(s.port[name], banner=False) as c, \
                        Raw(s.port[name], banner=False) as other:
                    other.line()
                    c.line()
                    for line in LOGIN[name]:
                        c.send(line)
                        while not c.line().startswith((b"a OK", b"+OK")):
                            pass
                    s.clock.move(self.LIMIT * 1.2)
                    self.assertTrue(other.line().startswith(
                        (b"* BYE", b"-ERR")) or not other.line())
                    c.send(NOOP[name], "z LOGOUT" if name == "imap" else "QUIT")
                    said = c.all()
                    self.assertIn(b"n OK" if name == "imap" else b"+OK", said)
                    self.assertNotIn(b"Autologout", said)

    def test_one_octet_packets(self):
        with System(conf=Case.conf) as s, steady(s):
            s.send("x@else.test", ["alice"], b"Subject: one\r\n\r\nx\r\n")
            text = b"Subject: two\r\n\r\nx\r\n"
            for name, octets, said in (
                    ("imap", "\r\n".join(LOGIN["imap"] + [
                        "b APPEND INBOX {%d+}" % len(text), text.decode(),
                        "c SELECT INBOX", "d FETCH 1:* BODY[]", "e LOGOUT",
                        ""]), b"Subject: two"),
                    ("pop3", "\r\n".join(LOGIN["pop3"] + [
                        "STAT", "RETR 2", "QUIT", ""]), b"Subject: two")):
                with Raw(s.port[name], banner=False) as c:
                    for octet in octets.encode():
                        c.send(bytes([octet]))
                    got = c.all()
                    self.assertIn(said, got)
                    self.assertIn(b"BYE" if name == "imap" else b"+OK", got)


class Ends(Case):
    STEPS = {"imap": LOGIN["imap"] + [
        "b SELECT INBOX", "c FETCH 1:* (FLAGS BODY[])", "d IDLE", "DONE",
        "e APPEND INBOX {20+}\r\nSubject: gone", "x\r\n\r\nf LOGOUT"],
        "pop3": LOGIN["pop3"] + ["STAT", "RETR 1", "DELE 1", "TOP 2 1"]}

    def test_half_closed(self):
        """Who says no more may still read."""
        with steady(self.s):
            for name in ("imap", "pop3"):
                with self.connect(name) as c:
                    c.send(*LOGIN[name])
                    c.send("c SELECT INBOX", "d FETCH 1:* BODY[]"
                           if name == "imap" else "RETR 1")
                    c.end_input()
                    self.assertIn(b"Subject: 0", c.all())

    def test_dropped_at_every_state(self):
        with steady(self.s):
            for name, steps in self.STEPS.items():
                for n in range(len(steps) + 1):
                    for reset in (False, True):
                        for part in (0, 3):
                            with self.connect(name) as c:
                                for line in steps[:n]:
                                    c.send(line)
                                if n < len(steps):
                                    c.send(steps[n][:part].encode())
                                if reset:
                                    c.s.setsockopt(
                                        socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
            # Without QUIT nothing is deleted (RFC 1939 6).
            got = self.s.messages("alice")
            for n in range(3):
                self.assertTrue([m for m in got if b"Subject: %d\r" % n in m])


if __name__ == "__main__":
    unittest.main()
