# SPDX-License-Identifier: ISC
"""pneu-gateway: of a mirrored account folders are made, renamed and deleted on
both sides, at another pneu, at Debian's Dovecot, and at a server that refuses,
loses them, and tells what is which by MAILBOXID."""
import imaplib
import os
import random
import re
import shutil
import threading
import time
import unittest

from imapraw import Dovecot, dovecot_is_here
from pneu import PASSWORD, PATIENCE, System, until
from test_copy import quote
from test_gateway_imap import system
from test_mirror import Bare, Case, expunge, flag, message, move, seen


def names(c, command="LIST"):
    """Mailboxes that can be opened, by an IMAP connection"""
    typ, data = (c.lsub if command == "LSUB" else c.list)()
    assert typ == "OK", data
    found = set()
    for line in data:
        m = re.match(rb'\((.*?)\) (?:"(.)"|NIL) (?:"(.*)"|(.*))$', line or b"")
        if m and b"noselect" not in m[1].lower() and b"nonexist" not in m[1].lower():
            name = (m[4] if m[3] is None else m[3]).decode()
            found.add(re.sub(r"\\(.)", r"\1", name))
    return found


def ok(answer):
    assert answer[0] == "OK", answer
    return answer[1]


# Of what goes by chance; make torture TORTURE=mirror tries others.
CHANCE = int(os.environ.get("CHANCE", "5"))


class Folders(Case):
    """What is to be at any server; a subclass has one."""

    def run_folders(self, s, port, user, password, there, into):
        sep = ok(there.list('""', '""'))[0].split(b'"')[1].decode()

        def at(name):  # there
            return name.replace("/", sep)

        def box(name):  # here
            return into + "/" + name if into else name

        def mine(found):
            return {n[len(into) + 1:] for n in found if n.startswith(into + "/")} \
                if into else found

        def both(name):
            return name in mine(names(here)), at(name) in names(there)
        ok(there.create(quote(at("Lists"))))
        ok(there.create(quote(at("Lists/deep"))))
        ok(there.create(quote("Empty")))
        for n in (1, 2):
            self.append(there, at("Lists"), n)
        self.append(there, at("Lists/deep"), 3)
        self.append(there, "INBOX", 4)
        self.add(s, port, self.address, "alice", "--mirror",
                 *(["--into", into] if into else []),
                 user=user, password=password, security="starttls")
        self.wait(s, self.address, messages=4)
        here = s.imap("alice")
        self.addCleanup(here.logout)
        # Empty ones, too, and subscribed to.
        self.assertIn("Empty", mine(names(here)))
        self.assertIn("Empty", mine(names(here, "LSUB")))
        local = names(here) - {into} - {box(n) for n in
                                        ("Empty", "Lists", "Lists/deep")}
        self.assertFalse({"Lone"} & names(there))

        # Made here.
        ok(here.create(quote(box("Made/below"))))
        self.look(s)
        self.assertEqual(both("Made"), (True, True))
        self.assertEqual(both("Made/below"), (True, True))
        self.assertIn(at("Made/below"), names(there, "LSUB"))
        # Needed: made and moved to in the same moment.
        ok(here.create(quote(box("Needed"))))
        move(here, box("INBOX") if not into else into, "m4", box("Needed"))
        for _ in range(2):
            self.look(s)
        self.assertEqual(set(seen(there, "Needed")), {"m4"})

        # Renamed there, with what is below it: nothing is fetched again.
        ok(there.rename(quote(at("Lists")), quote(at("L&AOk-"))))
        self.assertEqual(self.look(s), 0)
        self.assertEqual(both("Lists"), (False, False))
        self.assertEqual(both("L&AOk-"), (True, True))
        self.assertEqual(both("L&AOk-/deep"), (True, True))
        self.assertIn("L&AOk-", mine(names(here, "LSUB")))
        flag(there, at("L&AOk-"), "m1", "+FLAGS", "(\\Seen)")
        flag(here, box("L&AOk-/deep"), "m3", "+FLAGS", "(\\Flagged)")
        self.assertEqual(self.look(s), 0)
        self.assertEqual(seen(here, box("L&AOk-"))["m1"], {"\\Seen"})
        self.assertEqual(seen(there, at("L&AOk-/deep"))["m3"], {"\\Flagged"})

        # Renamed here, and one of the name that it had is made there.
        ok(here.rename(quote(box("L&AOk-")), quote(box("Made/Two"))))
        flag(here, box("Made/Two"), "m2", "+FLAGS", "(\\Answered)")
        expunge(here, box("Made/Two"), "m1")
        self.assertEqual(self.look(s), 0)
        self.assertEqual(both("L&AOk-"), (False, False))
        self.assertEqual(both("Made/Two/deep"), (True, True))
        self.assertIn(at("Made/Two/deep"), names(there, "LSUB"))
        self.assertEqual(seen(there, at("Made/Two")), {"m2": {"\\Answered"}})
        ok(there.create(quote("L&AOk-")))
        self.append(there, "L&AOk-", 5)
        self.append(there, at("Made/Two"), 6)
        self.assertEqual(self.look(s), 2)
        self.assertEqual(set(seen(here, box("L&AOk-"))), {"m5"})
        self.assertEqual(set(seen(here, box("Made/Two"))), {"m2", "m6"})

        # Deleted: there, and here with what is in it.
        there.select("INBOX")
        here.select("INBOX")
        ok(there.delete("Empty"))
        ok(there.delete("L&AOk-"))
        ok(here.delete(quote(box("Made/below"))))
        ok(here.delete(quote(box("Made/Two/deep"))))
        self.look(s)
        for name in ("Empty", "L&AOk-", "Made/below", "Made/Two/deep"):
            self.assertEqual(both(name), (False, False), name)
        # Emptied into another one before it goes: nothing is deleted.
        move(here, box("Needed"), "m4", box("Made"))
        here.select("INBOX")
        ok(here.delete(quote(box("Needed"))))
        for _ in range(2):
            self.look(s)
        self.assertEqual(both("Needed"), (False, False))
        self.assertEqual(set(seen(there, "Made")), {"m4"})
        self.assertEqual(set(seen(here, box("Made"))), {"m4"})
        # With more than a few messages it is kept here, and no more there.
        for n in range(10, 15):
            self.append(there, at("Made/Two"), n)
        self.look(s)
        there.select("INBOX")
        ok(there.delete(quote(at("Made/Two"))))
        for _ in range(2):
            self.look(s)
        self.assertEqual(both("Made/Two"), (True, False))
        self.assertEqual(len(seen(here, box("Made/Two"))), 7)
        # What was changed here is kept as well.
        self.append(there, "Made", 7)
        self.look(s)
        flag(here, box("Made"), "m7", "+FLAGS", "(\\Flagged)")
        there.select("INBOX")
        ok(there.delete("Made"))
        self.look(s)
        self.assertEqual(both("Made"), (True, False))
        # Nothing moves any more.
        found = names(here), names(there)
        for _ in range(2):
            self.assertEqual(self.look(s), 0)
        self.assertEqual((names(here), names(there)), found)
        self.assertLessEqual(local, names(here))
        self.assertIn("no faults", s.pneu("mail", "check"))


class Pneu(Folders):
    def test_all(self):
        for into in ("", "Tree"):
            with self.subTest(into=into), \
                    System(domain="old.test", programs=("mailbox",)) as other, \
                    system() as s, other.imap("alice") as there:
                self.run_folders(s, other.port["imap"], "alice@old.test", PASSWORD,
                                 there, into)


@unittest.skipUnless(dovecot_is_here(), "needs Debian's Dovecot, and root")
class AtDovecot(Folders):
    def test_all(self):
        peer = Dovecot()
        self.addCleanup(peer.close)
        with system(ca=peer.dir + "/cert.pem") as s:
            c = imaplib.IMAP4("127.0.0.1", peer.port["imap"], timeout=PATIENCE)
            c.login("user1@example.org", "pass1")
            self.run_folders(s, peer.port["imap"], "user1@example.org", "pass1", c, "")
            c.logout()


class Names(Bare):
    """With commands for folders; levels are parted by '.'."""

    refuse = ()  # verbs
    ids = None   # name: MAILBOXID

    def __init__(self, boxes, **kw):
        super().__init__(boxes, **kw)
        self.separator = "."
        self.before_reply = lambda verb: None

    def word(self, rest, n=1):
        found = re.findall(r'"((?:[^"\\]|\\.)*)"', rest)
        return re.sub(r"\\(.)", r"\1", found[n - 1])

    def change(self, s, tag, verb, fn):
        if verb in self.refuse:
            self.send(s, tag + " NO not here\r\n")
            return True
        fn()
        self.before_reply(verb)
        return self.ok(s, tag)

    def do_create(self, s, f, tag, rest):
        name = self.word(rest)
        if name in self.boxes:
            self.send(s, tag + " NO it is there\r\n")
            return True
        return self.change(s, tag, "CREATE",
                           lambda: self.boxes.update({name: (1, {})}))

    def do_rename(self, s, f, tag, rest):
        a, b = self.word(rest), self.word(rest, 2)

        def rename():
            for name in list(self.boxes):
                if name == a or name.startswith(a + "."):
                    self.boxes[b + name[len(a):]] = self.boxes.pop(name)
        return self.change(s, tag, "RENAME", rename)

    def do_delete(self, s, f, tag, rest):
        return self.change(s, tag, "DELETE", lambda: self.boxes.pop(self.word(rest)))

    def do_subscribe(self, s, f, tag, rest):
        return self.ok(s, tag)

    do_unsubscribe = do_close = do_subscribe

    def do_status(self, s, f, tag, rest):
        name = self.word(rest)
        uidvalidity, messages = self.boxes[name]
        self.send(s, '* STATUS %s (UIDVALIDITY %d UIDNEXT %d MESSAGES %d%s)\r\n' % (
            quote(name), uidvalidity, max(messages, default=0) + 1, len(messages),
            " MAILBOXID (%s)" % self.ids[name] if self.ids else ""))
        return self.ok(s, tag)


def some(*numbers, at=1):
    return 1, {at + i: (message(n), "") for i, n in enumerate(numbers)}


class AtNames(Case):
    """UIDVALIDITY is 1 of all."""

    @classmethod
    def setUpClass(cls):
        cls.s = system({"compare": "0s"}, accounts=("alice", "bob"))
        cls.addClassCleanup(cls.s.close)

    def begin(self, boxes, capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR", ids=None):
        self.into = "T" + self._testMethodName[5:]
        server = Names({"INBOX": some(1), **boxes}, capabilities=capabilities)
        server.ids = ids
        self.addCleanup(server.close)
        self.add(self.s, server.port, self.address, "alice", "--mirror", "--into",
                 self.into)
        self.wait(self.s, self.address)
        self.look(self.s)
        here = self.s.imap("alice")
        self.addCleanup(here.shutdown)
        return server, here

    def box(self, name):
        return self.into + "/" + name

    def mine(self, here):
        return {n[len(self.into) + 1:] for n in names(here)
                if n.startswith(self.into + "/")}

    def test_mailboxid(self):
        boxes = {"A": some(*range(10, 18)), "B": some(20)}
        server, here = self.begin(
            boxes, "IMAP4rev1 AUTH=PLAIN SASL-IR OBJECTID",
            {"INBOX": "F1", "A": "F2", "B": "F3", "C": "F2"})
        # Renamed, the message that it is known by deleted, and others come.
        server.boxes["C"] = server.boxes.pop("A")
        server.boxes["C"][1].pop(1)
        server.boxes["C"][1][9] = (message(30), "\\Seen")
        self.assertEqual(self.look(self.s), 1)
        self.assertEqual(self.mine(here), {"B", "C"})
        self.assertEqual(len(seen(here, self.box("C"))), 8)
        self.assertNotIn("m10", seen(here, self.box("C")))

    def test_another_that_is_alike(self):
        server, here = self.begin({"A": some(10, 11, 12), "B": some(20)})
        server.boxes["C"] = some(13, 14, 15)
        del server.boxes["A"]
        self.assertEqual(self.look(self.s), 3)
        # It was deleted, and that is another one.
        self.assertEqual(self.mine(here), {"B", "C"})
        self.assertEqual(set(seen(here, self.box("C"))), {"m13", "m14", "m15"})
        server.boxes["D"] = server.boxes.pop("C")
        self.assertEqual(self.look(self.s), 0)
        self.assertEqual(self.mine(here), {"B", "D"})

    def test_refused(self):
        server, here = self.begin({"A": some(10, 11), "B": some(20)})
        server.refuse = ("CREATE", "RENAME", "DELETE")
        ok(here.create(quote(self.box("New"))))
        ok(here.rename(quote(self.box("A")), quote(self.box("Z"))))
        here.select("INBOX")
        ok(here.delete(quote(self.box("B"))))
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(set(server.boxes), {"INBOX", "A", "B"})
        said = [c for c in server.commands if c.split()[0] in server.refuse]
        self.assertEqual(len(said), 2, said)  # no UIDPLUS: B is not empty
        # Under two names they are one.
        server.boxes["A"][1][3] = (message(12), "")
        flag(here, self.box("Z"), "m10", "+FLAGS", "(\\Flagged)")
        self.assertEqual(self.look(self.s), 1)
        self.assertEqual(set(seen(here, self.box("Z"))), {"m10", "m11", "m12"})
        self.assertEqual(server.boxes["A"][1][1][1], "\\Flagged")
        self.assertNotIn("A", self.mine(here))
        # What is new in B brings it back.
        server.boxes["B"][1][2] = (message(21), "")
        self.look(self.s)
        self.assertIn("m21", seen(here, self.box("B")))

    def test_names_that_one_side_cannot_have(self):
        long = "x" * 300
        server, here = self.begin({"A": some(10), long: some(11)})
        self.assertEqual(self.mine(here), {"A"})
        ok(here.create(quote(self.box("v1.2"))))
        move(here, self.box("A"), "m10", self.box("v1.2"))
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(set(server.boxes), {"INBOX", "A", long, "v1_2"})
        self.assertEqual(len(server.boxes["v1_2"][1]), 1)
        server.boxes["v1_2"][1][2] = (message(12), "")
        self.look(self.s)
        self.assertEqual(set(seen(here, self.box("v1.2"))), {"m10", "m12"})
        self.assertEqual(self.mine(here), {"A", "v1.2"})

    def test_most_are_gone(self):
        all_of = {n: some(i) for i, n in enumerate("ABCDEF", 10)}
        server, here = self.begin(dict(all_of))
        for name in all_of:
            del server.boxes[name]
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(self.mine(here), set(all_of))
        self.assertEqual(set(server.boxes), {"INBOX"})
        server.boxes.update(all_of)
        self.assertEqual(self.mine(here), set(all_of))
        self.look(self.s)
        flag(here, self.box("A"), "m10", "+FLAGS", "(\\Flagged)")
        self.look(self.s)
        self.assertEqual(server.boxes["A"][1][1][1], "\\Flagged")
        # No list at all says nothing.
        lost, server.boxes = server.boxes, {}
        self.fetch(self.s, self.address)
        self.assertEqual(self.mine(here), set(all_of))
        server.boxes = lost
        # Gone here: they come back, with what is in them.
        here.select("INBOX")
        for name in "ABCDE":
            ok(here.delete(quote(self.box(name))))
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(self.mine(here), set(all_of))
        self.assertEqual(set(seen(here, self.box("A"))), {"m10"})
        self.assertEqual(server.boxes["A"][1][1][1], "\\Flagged")

    def test_renamed_while_it_is_fetched(self):
        server, here = self.begin({"A": some(10)})
        server.boxes["A"][1].update({n: (message(n), "") for n in range(20, 26)})

        def body(octets):
            if b"m20@" in octets:
                ok(here.rename(quote(self.box("A")), quote(self.box("Z"))))
            return b"{%d}\r\n" % len(octets) + octets
        server.body = body
        self.assertEqual(self.look(self.s), 6)
        server.body = None
        self.look(self.s)
        self.assertEqual(self.mine(here), {"Z"})
        self.assertEqual(len(seen(here, self.box("Z"))), 7)
        self.assertEqual(set(server.boxes), {"INBOX", "Z"})

    def test_from_a_backup(self):
        server, _ = self.begin({"A": some(10)})
        s = self.s
        s.stop("mailbox")
        shutil.copytree(s.dir + "/data/mails", s.dir + "/kept")
        s.start("mailbox")
        server.boxes["Later"] = some(20)
        server.boxes["A"][1][2] = (message(11), "")
        self.assertEqual(self.look(s), 2)
        s.stop("mailbox")
        shutil.rmtree(s.dir + "/data/mails")
        shutil.move(s.dir + "/kept", s.dir + "/data/mails")
        s.start("mailbox")
        for _ in range(2):
            self.look(s)
        here = s.imap("alice")
        self.addCleanup(here.shutdown)
        self.assertEqual({m[1] for b in server.boxes.values() for m in b[1].values()},
                         {""})
        self.assertEqual(self.mine(here), {"A", "Later"})
        self.assertEqual(set(seen(here, self.box("Later"))), {"m20"})

    def test_another_outside_account_has_its_own(self):
        server, here = self.begin({"A": some(10)})
        # One that has all of the account's mailboxes, but not that tree.
        other = Names({"INBOX": some(50), "O": some(51)})
        self.addCleanup(other.close)
        self.add(self.s, other.port, "all@out.test", "alice", "--mirror")
        self.wait(self.s, "all@out.test")
        ok(here.create(quote(self.box("In"))))
        ok(here.create("Out"))
        for address in (self.address, "all@out.test", self.address, "all@out.test"):
            self.assertIsInstance(self.fetch(self.s, address), int)
        self.assertEqual(set(server.boxes), {"INBOX", "A", "In"})
        self.assertEqual(set(other.boxes), {"INBOX", "O", "Out"})

    def test_mirrored_no_more(self):
        server, here = self.begin({"A": some(10), "B": some(20)})
        self.s.pneu("outside", "set", "--no-mirror", self.address)
        self.look(self.s)
        here.select("INBOX")
        ok(here.delete(quote(self.box("A"))))
        ok(here.rename(quote(self.box("B")), quote(self.box("Z"))))
        ok(here.create(quote(self.box("N"))))
        self.look(self.s)
        self.s.pneu("outside", "set", "--mirror", self.address)
        for _ in range(2):
            self.look(self.s)
        self.assertEqual(set(server.boxes), {"INBOX", "A", "B"})
        self.assertEqual({m[1] for b in server.boxes.values() for m in b[1].values()},
                         {""})

    def test_killed_before_it_is_noted(self):
        """Each step, the program killed when it is done there."""
        server, here = self.begin({"A": some(10), "B": ((1, {}))})

        def killed(verb, what):
            dead = threading.Event()

            def kill(done):
                if done == verb and not dead.is_set():
                    dead.set()
                    self.s.kill("gateway")
            server.before_reply = kill
            what()
            look = threading.Thread(target=self.s.pneu, args=(
                "outside", "fetch", self.address), kwargs={"check": False})
            look.start()
            self.assertTrue(dead.wait(PATIENCE), verb)
            look.join()
            self.s.start("gateway")
            until(lambda: isinstance(self.fetch(self.s, self.address), int), "a look")
            self.look(self.s)
        killed("CREATE", lambda: ok(here.create(quote(self.box("v.1")))))
        self.assertEqual(set(server.boxes), {"INBOX", "A", "B", "v_1"})
        self.assertEqual(self.mine(here), {"A", "B", "v.1"})
        killed("RENAME", lambda: ok(here.rename(
            quote(self.box("A")), quote(self.box("Z")))))
        self.assertEqual(set(server.boxes), {"INBOX", "Z", "B", "v_1"})
        self.assertEqual(self.mine(here), {"Z", "B", "v.1"})
        flag(here, self.box("Z"), "m10", "+FLAGS", "(\\Seen)")
        self.look(self.s)
        self.assertEqual(server.boxes["Z"][1][1][1], "\\Seen")

        def delete():
            here.select("INBOX")
            ok(here.delete(quote(self.box("B"))))
        killed("DELETE", delete)
        self.assertEqual(set(server.boxes), {"INBOX", "Z", "v_1"})
        self.assertEqual(self.mine(here), {"Z", "v.1"})
        self.assertEqual(len(server.fetched), 2)


class Killed(Case):
    def test_both_ways(self):
        """Both sides are changed while gateway and mailbox are killed: in the
        end both are alike, and nothing is lost."""
        chance = random.Random(CHANCE)
        with System(domain="old.test", programs=("mailbox",)) as other, system() as s:
            with other.imap("alice") as there:
                here = self.begin(s, other, there)
                for i in range(4):
                    ok(there.rename("R%d" % i, "Made/R%d" % i))
                    ok(here.rename("H%d" % i, "Made/H%d" % i))
                    ok(here.create("Here%d" % i))
                    ok(there.create("There%d" % i))
                    there.select("INBOX")
                    here.select("INBOX")
                    ok(there.delete("D%d" % i))
                    ok(here.delete("E%d" % i))
                    flag(here, "Made/H%d" % i, "m%d" % (20 + i), "+FLAGS", "(\\Seen)")
                    look = threading.Thread(target=s.pneu, args=(
                        "outside", "fetch", self.address), kwargs={"check": False})
                    look.start()
                    time.sleep(chance.random() * 0.4)  # anywhere in it
                    program = "mailbox" if i % 2 else "gateway"
                    s.kill(program)
                    look.join()
                    s.start(program)
                    if program == "mailbox":
                        here = s.imap("alice")
                self.end(s, there, here)

    def begin(self, s, other, there):
        for i in range(4):
            for n, name in ((10, "R"), (20, "H"), (30, "D"), (40, "E")):
                ok(there.create("%s%d" % (name, i)))
                self.append(there, "%s%d" % (name, i), n + i)
        for name in ("Keep", "Made"):
            ok(there.create(name))
        self.add(s, other.port["imap"], self.address, "alice", "--mirror",
                 user="alice@old.test", password=PASSWORD, security="starttls")
        self.wait(s, self.address, messages=16)
        return s.imap("alice")

    def end(self, s, there, here):
        want = {"Keep", "Made"} | {x % i for i in range(4) for x in (
            "Made/R%d", "Made/H%d", "Here%d", "There%d")}
        until(lambda: isinstance(self.fetch(s, self.address), int), "a look")
        self.look(s)
        self.assertLessEqual(want, names(here) & names(there))
        self.assertEqual(names(here) ^ names(there), set())
        for i in range(4):
            for n, name in ((10, "Made/R%d"), (20, "Made/H%d")):
                flags = {"\\Seen"} if n == 20 else set()
                for c in (here, there):
                    self.assertEqual(seen(c, name % i), {"m%d" % (n + i): flags})
        self.assertEqual(self.look(s), 0)
        self.assertIn("no faults", s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
