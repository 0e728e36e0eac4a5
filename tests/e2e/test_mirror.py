# SPDX-License-Identifier: ISC
"""pneu-gateway: flags that are followed, and accounts that are mirrored, at
Debian's Dovecot (QRESYNC), at another pneu (CONDSTORE), and at servers without
either, that forget, lose what they had, and refuse."""
import base64
import imaplib
import os
import random
import re
import smtplib
import socket
import threading
import time
import unittest

import test_gateway_imap
from imapraw import Dovecot, dovecot_is_here
from pneu import PASSWORD, PATIENCE, System, until
from test_copy import quote
from test_gateway_imap import system

# Of what goes by chance; make torture TORTURE=mirror tries others.
CHANCE = int(os.environ.get("CHANCE", "12"))


def message(n, size=10):
    return b"Message-ID: <m%d@x.test>\r\nSubject: m%d\r\n\r\n%s\r\n" % (n, n, b"x" * size)


def seen(c, box):
    """{subject: set of flags} of a mailbox, by an IMAP connection"""
    typ, data = c.select(quote(box), readonly=True)
    if typ != "OK" or data == [b"0"]:
        return {}
    found = {}
    typ, data = c.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    if typ == "NO" and b"[EXPUNGEISSUED]" in data[0]:
        return seen(c, box)  # the gateway has done something just now
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
    typ, data = c.uid("SEARCH", "HEADER", "MESSAGE-ID", '"<%s@x.test>"' % subject)
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
    def setUp(self):
        # Of its own, for what is known of an address goes a while after it.
        self.address = self._testMethodName.replace("_", "-") + "@out.test"

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

    def test_into_empty(self):
        """A folder that nothing was ever fetched from: what is moved into it is
        followed there, and nothing that goes later is taken for it."""
        def run(s, port, user, password, there):
            here = self.prepare(s, port, user, password, there, "--mirror")
            self.look(s)
            move(here, "INBOX", "m1", "Archive")
            self.look(s)
            flag(there, "Archive", "m1", "+FLAGS", "(\\Flagged)")
            self.look(s)
            self.assertEqual(seen(here, "Archive"), {"m1": {"\\Flagged"}})
            # All of this account are alike in size, and nearly all in date.
            for n in range(2, 9):
                if n != 2:  # seen
                    expunge(here, "INBOX", "m%d" % n)
            self.alike(s, there, here, ("INBOX", "Archive"))
            self.assertEqual(set(seen(there, "Archive")), {"m1"})
            expunge(there, "Archive", "m1")
            self.alike(s, there, here, ("INBOX", "Archive"))
            here.logout()
        self.run_at(run)


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

    def test_delete_after(self):
        """What is deleted there by us stays here, mirrored or not."""
        def run(s, port, user, password, there):
            here = self.prepare(s, port, user, password, there, "--mirror", "--into", "Days")
            expunge(here, "Days", "m1")
            self.look(s)
            s.pneu("outside", "set", "--delete-after", "1", self.address)
            self.look(s)
            self.assertEqual(len(seen(there, "INBOX")), 7)
            s.pneu("outside", "set", "--delete-after", "0", self.address)
            for _ in range(2):
                self.look(s)
            self.assertEqual(seen(there, "INBOX"), {})
            self.assertEqual(len(seen(here, "Days")), 7)
            here.logout()
        self.run_at(3, run)

    def test_uidvalidity(self):
        def run(s, port, user, password, there):
            there.create("Old")
            for n in range(40, 46):
                self.append(there, "Old", n)
            self.add(s, port, self.address, "alice", "--mirror", "--into", "Valid",
                     user=user, password=password, security="starttls")
            self.wait(s, self.address, messages=6)
            here = s.imap("alice")
            flag(here, "Valid/Old", "m40", "+FLAGS", "(\\Seen)")
            self.look(s)
            there.select("INBOX")
            there.delete("Old")
            there.create("Old")
            for n in range(40, 43):
                self.append(there, "Old", n)
            self.look(s)
            self.assertEqual(len(seen(here, "Valid/Old")), 6)
            # Known again by the octets.
            flag(here, "Valid/Old", "m41", "+FLAGS", "(\\Flagged)")
            expunge(here, "Valid/Old", "m42")
            self.look(s)
            self.assertEqual(seen(there, "Old"), {"m40": set(), "m41": {"\\Flagged"}})
            here.logout()
        self.run_at(4, run)


class Verbs(unittest.TestCase):
    """What gateway asks mailbox, by its words."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",))
        cls.addClassCleanup(cls.s.close)

    def ask(self, line):
        c = smtplib.LMTP(self.s.dir + "/sock/mailbox.sock")
        try:
            c.ehlo()
            self.assertIn("xmirror", c.esmtp_features)
            code, text = c.docmd(line)
            return code, text.decode()
        finally:
            c.close()

    def test_words(self):
        alice = self.s.address("alice")
        for n in (1, 2):
            with self.s.imap("alice") as c:
                c.append("INBOX", "(\\Seen Zebra)" if n == 1 else "()", None, message(n))
        code, text = self.ask("XBOXES <%s>" % alice)
        self.assertEqual(code, 250)
        lines = [line[6:] if line.startswith("2.0.0") else line for line in text.split("\n")]
        self.assertRegex(lines[0], "^end [0-9a-f]{16}$")
        # A page of another list is none: what is missing is deleted there.
        self.assertEqual(self.ask("XBOXES <%s> None" % alice)[0], 451)
        page = "XBOXES <%s> INBOX" % alice
        self.assertIn(lines[0], self.ask(page)[1])
        with self.s.imap("alice") as c:
            c.create("Words")
            self.assertNotIn(lines[0], self.ask(page)[1])
            c.delete("Words")
        self.assertIn(lines[0], self.ask(page)[1])
        boxes = {base64.b64decode(x.split()[5]).decode(): x.split() for x in lines[1:]}
        self.assertEqual(boxes["Trash"][4], "Trash")
        validity, uidnext, modseq = boxes["INBOX"][:3]
        self.assertEqual(uidnext, "3")
        code, text = self.ask("XCHANGES <%s> %s;1;0;4294967295;INBOX" % (alice, validity))
        self.assertEqual(code, 250)
        self.assertIn("k Zebra", text)
        self.assertRegex(text, r"\+ 1 [0-9a-f]+ 1 1\b")
        self.assertRegex(text, r"\+ 2 [0-9a-f]+ 0 0\b")
        self.assertEqual(self.ask("XAPPLY <%s> add;%s;1:2;INBOX;\\Flagged+20Y+20" % (
            alice, validity))[0], 250)
        self.assertEqual(self.ask("XAPPLY <%s> gone;%s;2,9:7;INBOX;" % (alice, validity))[0],
                         250)
        with self.s.imap("alice") as c:
            self.assertEqual(seen(c, "INBOX"), {"m1": {"\\Seen", "\\Flagged", "Zebra", "Y"}})
        self.assertRegex(self.ask("XCHANGES <%s> %s;3;%s;4294967295;INBOX" % (
            alice, validity, modseq))[1], r"- 2\b")

    def test_boxes(self):
        bob = self.s.address("bob")

        def box(name):
            _, text = self.ask("XBOXES <%s>" % bob)
            for line in text.split("\n"):
                if line.endswith(" " + base64.b64encode(name.encode()).decode()):
                    return line.split()[-6:]
            return None
        code, text = self.ask("XBOX <%s> make;-;Up/Low+20er" % bob)
        self.assertEqual(code, 250)
        uidvalidity = text.split()[-1]
        self.assertEqual(box("Up/Low er")[0], uidvalidity)
        self.assertIsNone(box("Up"))  # a name only
        # Once more, and from another name that it had.
        self.assertEqual(self.ask("XBOX <%s> make;-;Up/Low+20er" % bob)[1].split()[-1],
                         uidvalidity)
        line = "XBOX <%s> rename;%s;Up/Low+20er;New" % (bob, uidvalidity)
        for _ in range(2):
            self.assertEqual(self.ask(line)[0], 250)
        self.assertEqual(box("New")[0], uidvalidity)
        self.assertEqual(self.ask("XBOX <%s> rename;%s;New;Trash" % (bob, uidvalidity))[0],
                         553)
        with self.s.imap("bob") as c:
            self.assertIn(b"New", b" ".join(c.lsub()[1]))
            self.assertNotIn(b"Low", b" ".join(c.lsub()[1]))
            was = box("New")
            c.append("New", None, None, message(1))
        old = "XBOX <%s> delete;%s;%s;%s;New" % (bob, *was[:3])
        self.assertEqual(self.ask(old)[0], 553)
        self.assertIsNotNone(box("New"))
        now = box("New")
        self.assertEqual(now[3], "1")
        line = "XBOX <%s> delete;%s;%s;%s;New" % (bob, *now[:3])
        self.assertEqual(self.ask(line)[0], 250)
        self.assertEqual(self.ask(line)[0], 550)
        self.assertIsNone(box("New"))

    def test_nonsense(self):
        alice = self.s.address("alice")
        for line, want in (
                ("XBOXES", 501), ("XBOXES alice", 501), ("XBOXES <no@example.test>", 550),
                ("XBOXES <%s> a+Z" % alice, 501), ("XCHANGES <%s>" % alice, 501),
                ("XCHANGES <%s> 1;2;3" % alice, 501), ("XCHANGES <%s> 1;2;3;x;I" % alice, 501),
                ("XCHANGES <%s> 1;1;0;0;INBOX" % alice, 552),
                ("XCHANGES <%s> 1;1;0;0;None" % alice, 550),
                ("XCHANGES <%s> 1;1;99999999999999999999;0;INBOX" % alice, 501),
                ("XAPPLY <%s> what;1;1;INBOX;" % alice, 501),
                ("XAPPLY <%s> add;1;1;None;" % alice, 550),
                ("XAPPLY <%s> gone;1;1;INBOX;" % alice, 550),
                ("XBOX", 501), ("XBOX <%s>" % alice, 501),
                ("XBOX <%s> what;1;a" % alice, 501),
                ("XBOX <%s> make;-;a+Z" % alice, 501),
                ("XBOX <%s> make;-;" % alice, 553),
                ("XBOX <%s> make;-;/a" % alice, 553),
                ("XBOX <%s> make;-;%s" % (alice, "a" * 256), 553),
                ("XBOX <%s> make;-;#deleted/a" % alice, 553),
                ("XBOX <%s> make;-;a+01" % alice, 553),
                ("XBOX <%s> rename;1;Trash;b" % alice, 550),
                ("XBOX <%s> rename;x;Trash;b" % alice, 501),
                ("XBOX <%s> delete;1;1;1;Trash" % alice, 550),
                ("XBOX <%s> delete;1;1;Trash" % alice, 501)):
            with self.subTest(line=line):
                self.assertEqual(self.ask(line)[0], want)
        _, text = self.ask("XBOXES <%s>" % alice)
        validity = [x.split()[-6] for x in text.split("\n")
                    if x.endswith(base64.b64encode(b"INBOX").decode())][0]
        for uids in ("", "0", "a", "1:", "1:*"):
            with self.subTest(uids=uids):
                self.assertEqual(self.ask("XAPPLY <%s> gone;%s;%s;INBOX;" % (
                    alice, validity, uids))[0],
                    250 if uids == "" else 501)


class Killed(Case):
    def test_both_ways(self):
        """Both sides are changed while gateway and mailbox are killed: in the
        end both are alike, nothing is lost, nothing is twice."""
        chance = random.Random(CHANCE)
        with System(domain="old.test", programs=("mailbox",)) as other, system() as s:
            with other.imap("alice") as there:
                here = self.prepare(s, other.port["imap"], "alice@old.test", PASSWORD,
                                    there, "--mirror")
                for n in range(9, 31):
                    self.append(there, "INBOX", n)
                self.look(s)
                kept = {"m%d" % n for n in range(1, 31)}
                for i in range(4):  # so few that the origin is believed
                    inbox = sorted(set(seen(here, "INBOX")) & set(seen(there, "INBOX")))
                    a, b, c, d, e, g = chance.sample(inbox, 6)
                    move(here, "INBOX", a, "Archive")
                    move(there, "INBOX", b, "Trash")
                    expunge(here, "INBOX", c)
                    expunge(there, "INBOX", d)
                    kept -= {c, d}
                    flag(here, "INBOX", e, "+FLAGS", "(\\Flagged)")
                    flag(there, "INBOX", g, "+FLAGS", "(\\Answered)")
                    look = threading.Thread(target=s.pneu, args=(
                        "outside", "fetch", self.address), kwargs={"check": False})
                    look.start()
                    time.sleep(chance.random() * 0.05)  # anywhere in it
                    program = "mailbox" if i % 2 else "gateway"
                    s.kill(program)
                    look.join()
                    s.start(program)
                    if program == "mailbox":
                        here = s.imap("alice")
                boxes = ("INBOX", "Archive", "Trash")

                until(lambda: isinstance(self.fetch(s, self.address), int), "a look")
                self.alike(s, there, here, boxes)
                found = [m for b in boxes for m in seen(here, b)]
                self.assertEqual(sorted(found), sorted(kept))
                self.assertEqual(self.look(s), 0)
                self.assertIn("no faults", s.pneu("mail", "check"))


class Bare(test_gateway_imap.Server):
    """Without CONDSTORE, UIDPLUS, MOVE; with what changes mail."""

    read_only = False
    copies = 0     # done
    break_copy = False

    def do_select(self, s, f, tag, rest):
        return self.do_examine(s, f, tag, rest)

    def uids(self, wanted):
        messages = self.boxes[self.box][1]
        found = []
        for part in wanted.split(","):
            low, _, high = part.partition(":")
            high = 1 << 32 if high == "*" else int(high or low)
            found += [u for u in sorted(messages) if int(low) <= u <= high]
        return found

    def do_fetch(self, s, f, tag, rest):
        verb = rest.split()[1].upper()
        if verb == "FETCH" and "ENVELOPE" in rest:
            for u in self.uids(rest.split()[2]):
                octets = self.boxes[self.box][1][u][0]
                self.send(s, "* 1 FETCH (UID %d RFC822.SIZE %d ENVELOPE (NIL {%d}\r\n%s "
                          "NIL))\r\n" % (u, len(octets), len(octets), octets.decode()))
            return self.ok(s, tag)
        if verb == "FETCH":
            return super().do_fetch(s, f, tag, rest)
        if self.read_only:
            self.send(s, tag + " NO not here\r\n")
            return True
        messages = self.boxes[self.box][1]
        uids = self.uids(rest.split()[2])
        if verb == "STORE":
            how, flags = rest.split(" ", 4)[3:]
            flags = set(flags.strip("()").split())
            for u in uids:
                had = set(messages[u][1].split())
                messages[u] = (messages[u][0], " ".join(sorted(
                    had | flags if how[0] == "+" else had - flags)))
        elif verb == "COPY":
            to = self.boxes[rest.split(" ", 3)[3].strip('"')][1]
            for u in uids:
                to[max(to, default=0) + 1] = messages[u]
            self.copies += 1
            if self.break_copy:
                self.break_copy = False
                s.shutdown(socket.SHUT_RDWR)
                return False
        else:
            self.send(s, tag + " BAD what?\r\n")
            return True
        return self.ok(s, tag)


class AtBare(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = system({"compare": "0s"})
        cls.addClassCleanup(cls.s.close)

    def begin(self, name, n=8, **boxes):
        self.address = name + "@out.test"
        self.into = name
        server = Bare({"INBOX": (1, {i: (message(i), "") for i in range(1, n + 1)}),
                       **boxes})
        self.addCleanup(server.close)
        self.add(self.s, server.port, self.address, "alice", "--mirror", "--into", name)
        self.wait(self.s, self.address)
        self.look(self.s)
        here = self.s.imap("alice")
        self.addCleanup(here.logout)
        self.assertEqual(len(seen(here, name)), n)
        return server, here

    def test_by_comparison(self):
        server, here = self.begin("bare")
        messages = server.boxes["INBOX"][1]
        messages[1] = (messages[1][0], "\\Seen $L")
        flag(here, "bare", "m2", "+FLAGS", "(\\Flagged)")
        del messages[3]
        expunge(here, "bare", "m4")
        self.look(self.s)
        self.assertEqual(seen(here, "bare")["m1"], {"\\Seen", "$L"})
        self.assertEqual(messages[2][1], "\\Flagged")
        self.assertNotIn("m3", seen(here, "bare"))
        # Without UIDPLUS others' would go too.
        self.assertEqual(messages[4][1], "\\Deleted")
        self.assertEqual(len(server.fetched), 8)

    def test_move_without_move(self):
        server, here = self.begin("moves", Archive=(2, {1: (message(50), "")}))
        for broken in (False, True):
            with self.subTest(broken=broken):
                server.break_copy = broken
                subject = "m2" if broken else "m1"
                move(here, "moves", subject, "moves/Archive")
                until(lambda: isinstance(self.fetch(self.s, self.address), int) and
                      any(subject.encode() in m[0]
                          for m in server.boxes["Archive"][1].values()), "moved")
                for _ in range(2):
                    self.look(self.s)
                self.assertEqual(server.boxes["INBOX"][1][int(subject[1:])][1], "\\Deleted")
        self.assertEqual(set(seen(here, "moves/Archive")), {"m50", "m1", "m2"})
        self.assertEqual(len(server.boxes["Archive"][1]), 3)
        # It was met there, and known.
        self.assertEqual(len(server.fetched), 9)
        flag(here, "moves/Archive", "m2", "+FLAGS", "(\\Answered)")
        self.look(self.s)
        self.assertIn("\\Answered", server.boxes["Archive"][1][3][1])

    def test_suddenly_empty(self):
        server, here = self.begin("empty")
        kept = dict(server.boxes["INBOX"][1])
        server.boxes["INBOX"][1].clear()
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(len(seen(here, "empty")), 8)
        # It comes back, or not: they are here once, and deleted nowhere.
        server.boxes["INBOX"][1].update(kept)
        expunge(here, "empty", "m1")
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(len(seen(here, "empty")), 7)
        self.assertEqual({m[1] for m in server.boxes["INBOX"][1].values()}, {""})

    def test_most_of_a_folder(self):
        server, here = self.begin("most", 30)
        for u in range(1, 21):
            del server.boxes["INBOX"][1][u]
        self.look(self.s)
        self.assertEqual(len(seen(here, "most")), 30)
        del server.boxes["INBOX"][1][30]
        self.look(self.s)
        self.assertEqual(len(seen(here, "most")), 29)

    def test_another_uidvalidity(self):
        server, here = self.begin("validity")
        messages = server.boxes["INBOX"][1]
        server.boxes["INBOX"] = (2, {u + 100: m for u, m in messages.items() if u > 5})
        self.look(self.s)
        self.assertEqual(len(seen(here, "validity")), 8)
        # Which is which is known again, by the octets.
        flag(here, "validity", "m7", "+FLAGS", "(\\Seen)")
        self.look(self.s)
        self.assertEqual(server.boxes["INBOX"][1][107][1], "\\Seen")

    def test_another_mailbox_here(self):
        server, here = self.begin("another")
        here.select("INBOX")
        self.assertEqual(here.delete("another")[0], "OK")
        here.create("another")
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(len(server.boxes["INBOX"][1]), 8)
        self.assertEqual({m[1] for m in server.boxes["INBOX"][1].values()}, {""})

    def test_refused(self):
        server, here = self.begin("refused")
        server.read_only = True
        flag(here, "refused", "m1", "+FLAGS", "(\\Seen)")
        expunge(here, "refused", "m2")
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(seen(here, "refused")["m1"], {"\\Seen"})
        self.assertEqual(len(server.boxes["INBOX"][1]), 8)
        # Touched again, it is tried again.
        server.read_only = False
        flag(here, "refused", "m1", "+FLAGS", "(\\Flagged)")
        self.look(self.s)
        self.assertEqual(server.boxes["INBOX"][1][1][1], "\\Flagged \\Seen")

    def test_to_a_mailbox_that_is_not_there(self):
        server, here = self.begin("nowhere")
        here.create("Mine")
        move(here, "nowhere", "m1", "Mine")
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(server.boxes["INBOX"][1][1][1], "")
        self.assertEqual(set(seen(here, "Mine")), {"m1"})
        self.assertNotIn("m1", seen(here, "nowhere"))

    def test_apart(self):
        server, here = self.begin("apart")
        self.s.pneu("outside", "set", "--apart", self.address)
        messages = server.boxes["INBOX"][1]
        messages[1] = (messages[1][0], "\\Seen")
        del messages[2]
        flag(here, "apart", "m3", "+FLAGS", "(\\Seen)")
        expunge(here, "apart", "m4")
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(seen(here, "apart")["m1"], set())
        self.assertIn("m2", seen(here, "apart"))
        self.assertEqual((messages[3][1], messages[4][1]), ("", ""))

    def test_delete_after_needs_uidplus(self):
        server, here = self.begin("days")
        self.s.pneu("outside", "set", "--delete-after", "0", self.address)
        self.look(self.s)
        self.assertEqual({m[1] for m in server.boxes["INBOX"][1].values()}, {""})


if __name__ == "__main__":
    unittest.main()
