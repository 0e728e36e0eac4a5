# SPDX-License-Identifier: ISC
"""pneu-gateway: flags that are followed, and accounts that are mirrored, at
Debian's Dovecot (QRESYNC), at another pneu (CONDSTORE), and at servers without
either, that forget, lose what they had, and refuse."""
import contextlib
import imaplib
import re
import time
import unittest

import test_gateway_imap
from imapraw import Dovecot, dovecot_is_here
from pneu import PASSWORD, PATIENCE, System, until
from test_copy import quote
from test_gateway_imap import system


def message(n, size=10):
    return b"Message-ID: <m%d@x.test>\r\nSubject: m%d\r\n\r\n%s\r\n" % (n, n, b"x" * size)


def seen(c, box):
    """{subject: set of flags} of a mailbox, by an IMAP connection"""
    typ, data = c.select(quote(box), readonly=True)
    if typ != "OK" or data == [b"0"]:
        return {}
    found = {}
    typ, data = c.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    assert typ == "OK", data
    for part in data:
        if isinstance(part, tuple):
            flags = imaplib.ParseFlags(part[0])
            subject = re.search(rb"Subject: (\S+)", part[1]).group(1).decode()
            # Twice is what must not be.
            assert subject not in found, (box, subject)
            found[subject] = {f.decode() for f in flags} - {"\\Recent"}
    return found


def uid_of(c, box, subject, readonly=False):
    assert c.select(quote(box), readonly)[0] == "OK"
    typ, data = c.uid("SEARCH", "SUBJECT", '"%s"' % subject)
    uids = data[0].split()
    assert len(uids) == 1, (box, subject, data)
    return uids[0].decode()


def flag(c, box, subject, how, flags):
    uid = uid_of(c, box, subject)
    assert c.uid("STORE", uid, how, flags)[0] == "OK"


def expunge(c, box, subject):
    uid = uid_of(c, box, subject)
    assert c.uid("STORE", uid, "+FLAGS", "(\\Deleted)")[0] == "OK"
    assert c.uid("EXPUNGE", uid)[0] == "OK"


def move(c, box, subject, to):
    assert c.uid("MOVE", uid_of(c, box, subject), quote(to))[0] == "OK"


class Case(test_gateway_imap.Case):
    address = "m@out.test"

    def append(self, c, box, n, flags="()"):
        self.assertEqual(c.append(quote(box), flags, None, message(n))[0], "OK")

    def alike(self, s, there, here, boxes=("INBOX", "Trash")):
        """What both have, once a look brings nothing new."""
        self.look(s)
        for box in boxes:
            self.assertEqual(seen(here, box), seen(there, box), box)

    def look(self, s):
        n = self.fetch(s, self.address)
        self.assertIsInstance(n, int, "%s %s" % (n, [l for l in s.log("mailbox").split("\n") if "mirror" in l][-5:]))
        return n

    def prepare(self, s, port, user, password, there, *args, security="starttls"):
        for box in ("Trash", "Archive"):
            there.create(box)
        for n in range(1, 9):
            self.append(there, "INBOX", n, "(\\Seen)" if n == 2 else "()")
        self.add(s, port, self.address, "alice", *args, user=user,
                 password=password, security=security)
        self.wait(s, self.address, messages=8)
        return s.imap("alice")


class Real(Case):
    """What is to be at any server; a subclass has one."""

    def run_follow(self, s, port, user, password, there):
        here = self.prepare(s, port, user, password, there)
        flag(there, "INBOX", "m1", "+FLAGS", "(\\Seen \\Flagged $Label1)")
        flag(there, "INBOX", "m2", "-FLAGS", "(\\Seen)")
        self.look(s)
        self.assertEqual(seen(here, "INBOX")["m1"], {"\\Seen", "\\Flagged", "$Label1"})
        self.assertEqual(seen(here, "INBOX")["m2"], set())
        # What was done here stays, and is nobody else's business.
        flag(here, "INBOX", "m3", "+FLAGS", "(\\Answered)")
        expunge(here, "INBOX", "m4")
        flag(there, "INBOX", "m3", "+FLAGS", "(\\Seen)")
        expunge(there, "INBOX", "m5")
        self.look(s)
        self.assertEqual(seen(here, "INBOX")["m3"], {"\\Answered", "\\Seen"})
        self.assertIn("m5", seen(here, "INBOX"))
        self.assertIn("m4", seen(there, "INBOX"))
        self.assertEqual(seen(there, "INBOX")["m3"], {"\\Seen"})
        # By itself: it is told while it waits.
        flag(there, "INBOX", "m6", "+FLAGS", "(\\Flagged)")
        until(lambda: "\\Flagged" in seen(here, "INBOX")["m6"], "followed by IDLE")
        here.logout()
        s.pneu("outside", "remove", self.address)

    def run_mirror(self, s, port, user, password, there):
        here = self.prepare(s, port, user, password, there, "--mirror",
                            "--into", "Mirror")
        self.both_ways(s, there, here, "Mirror")
        here.logout()

    def both_ways(self, s, there, here, into):
        box = {"INBOX": into, "Archive": into + "/Archive", "Trash": into + "/Trash"}

        def alike():
            self.look(s)
            for b in box:
                self.assertEqual(seen(here, box[b]), seen(there, b), b)
        # An account that is new there has no mailbox here before mail came.
        self.append(there, "Archive", 20)
        self.append(there, "Trash", 21)
        alike()
        # Flags, both ways, of the same message too.
        flag(there, "INBOX", "m1", "+FLAGS", "(\\Seen $Label1)")
        flag(here, box["INBOX"], "m1", "+FLAGS", "(\\Flagged)")
        flag(here, box["INBOX"], "m2", "-FLAGS", "(\\Seen)")
        flag(here, box["INBOX"], "m3", "+FLAGS", "(\\Answered Zebra)")
        alike()
        self.assertEqual(seen(there, "INBOX")["m1"], {"\\Seen", "\\Flagged", "$Label1"})
        self.assertEqual(seen(there, "INBOX")["m2"], set())
        self.assertEqual(seen(there, "INBOX")["m3"], {"\\Answered", "Zebra"})
        # Deleted there, and here.
        expunge(there, "INBOX", "m4")
        expunge(here, box["INBOX"], "m5")
        alike()
        self.assertEqual(set(seen(there, "INBOX")), {"m1", "m2", "m3", "m6", "m7", "m8"})
        self.assertEqual(set(seen(here, "#deleted/" + into)), {"m4", "m5"})
        # Moved, with a flag set just before.
        flag(here, box["INBOX"], "m6", "+FLAGS", "(\\Seen)")
        move(here, box["INBOX"], "m6", box["Archive"])
        move(here, box["INBOX"], "m7", box["Trash"])
        move(there, "INBOX", "m8", "Archive")
        alike()
        self.assertEqual(seen(there, "Archive"), {"m20": set(), "m6": {"\\Seen"}, "m8": set()})
        self.assertEqual(set(seen(there, "Trash")), {"m21", "m7"})
        # No echo: nothing is fetched again, nothing changes any more.
        state = [there.status(b, "(UIDNEXT MESSAGES)")[1] for b in box]
        modseq = [here.status(quote(b), "(UIDNEXT HIGHESTMODSEQ)")[1] for b in box.values()]
        for _ in range(3):
            self.assertEqual(self.look(s), 0)
        self.assertEqual(state, [there.status(b, "(UIDNEXT MESSAGES)")[1] for b in box])
        self.assertEqual(modseq, [here.status(quote(b), "(UIDNEXT HIGHESTMODSEQ)")[1]
                                  for b in box.values()])
        # What was moved is a pair still.
        flag(there, "Archive", "m6", "-FLAGS", "(\\Seen)")
        flag(here, box["Archive"], "m8", "+FLAGS", "(\\Flagged)")
        move(here, box["Archive"], "m6", box["INBOX"])
        alike()
        self.assertEqual(seen(there, "INBOX")["m6"], set())
        # By itself, both ways: the interval is an hour.
        flag(here, box["INBOX"], "m1", "-FLAGS", "(\\Flagged)")
        until(lambda: there.noop() and "\\Flagged" not in seen(there, "INBOX")["m1"],
              "what was done here is there")
        began = time.monotonic()
        self.append(there, "INBOX", 9)
        until(lambda: here.noop() and "m9" in seen(here, box["INBOX"]), "m9")
        print("%s: mail is here %.2f s after it is there" % (
            type(self).__name__, time.monotonic() - began))
        alike()


class Pneu(Real):
    def run_at(self, what):
        with System(domain="old.test", programs=("mailbox",)) as other, \
                system() as s:
            with other.imap("alice") as there:
                what(s, other.port["imap"], "alice@old.test", PASSWORD, there)

    def test_follow(self):
        self.run_at(self.run_follow)

    def test_mirror(self):
        self.run_at(self.run_mirror)


@unittest.skipUnless(dovecot_is_here(), "needs Debian's Dovecot, and root")
class AtDovecot(Real):
    @classmethod
    def setUpClass(cls):
        # How often it looks for changes by others while somebody waits.
        cls.peer = Dovecot({"extra.conf": "mailbox_idle_check_interval = 1 secs\n"})
        cls.addClassCleanup(cls.peer.close)
        cls.s = system(ca=cls.peer.dir + "/cert.pem")
        cls.addClassCleanup(cls.s.close)

    def run_at(self, n, what):
        user, password = "user%d@example.org" % n, "pass%d" % n
        c = imaplib.IMAP4("127.0.0.1", self.peer.port["imap"], timeout=PATIENCE)
        c.login(user, password)
        what(self.s, self.peer.port["imap"], user, password, c)
        c.logout()

    def test_follow(self):
        self.run_at(1, self.run_follow)

    def test_mirror(self):
        self.run_at(2, self.run_mirror)


if __name__ == "__main__":
    unittest.main()
