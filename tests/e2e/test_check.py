# SPDX-License-Identifier: ISC
"""Looking after the mail store: check names what is damaged, a backup of a
live store has all that was acknowledged before it began."""
import glob
import json
import os
import tempfile
import threading
import unittest

from pneu import PATIENCE, System, until

BODY = b"Subject: %s\r\n\r\n%s\r\n"


def numbered(i):
    return BODY % (b"number %d" % i, b"text of number %d." % i)


def mail(system, *args):
    """pneu mail ...; the CompletedProcess."""
    return system.pneu("mail", *args, check=False)


# What is flipped is looked for in the files.
FINDABLE = {"mailbox": {"compression": 0}}


def flip(directory, text):
    """Change octets of `text` in the one place of the store that has it."""
    places = []
    for path in glob.glob(os.path.join(directory, "blobs", "*")):
        with open(path, "rb") as f:
            at = f.read().find(text)
        if at >= 0:
            places.append((path, at))
    assert len(places) == 1, places
    with open(places[0][0], "r+b") as f:
        f.seek(places[0][1])
        f.write(bytes(c ^ 0x20 for c in text))


class Check(unittest.TestCase):
    def test_live_then_damaged(self):
        with System(programs=("guard", "mailbox", "qm", "mta"),
                    conf=FINDABLE) as s:
            store = os.path.join(s.dir, "data", "mails")
            for i in range(5):
                s.send("x@else.test", ["alice"], numbered(i))
            s.send("x@else.test", ["alice", "bob"], BODY % (b"both", b"shared"))
            r = mail(s, "check")
            said = [l for l in r.stderr.splitlines() if "ASan doesn't" not in l]
            self.assertEqual((r.returncode, said), (0, []))
            self.assertRegex(r.stdout, r"^7 messages in \d+ mailboxes, "
                             r"\d+ octets, no faults\n$")
            report = json.loads(s.pneu("mail", "check", "--json"))
            self.assertEqual((report["messages"], report["faults"]), (7, []))
            self.assertIn("Nothing older than a day",
                          s.pneu("mail", "collect"))
            stats = json.loads(s.pneu("mail", "stats", "--json"))
            self.assertEqual(stats["blobs"], 6)
            self.assertGreaterEqual(stats["segments"], 1)
            self.assertIn("blobs     6, ", s.pneu("mail", "stats"))
            r = mail(s, "restore", store)
            self.assertEqual(r.returncode, 1)
            self.assertIn("move that folder away", r.stderr)
            s.stop("mailbox")
            flip(store, b"text of number 2.")
            r = mail(s, "check")
            self.assertEqual(r.returncode, 1)
            lines = r.stdout.splitlines()
            self.assertEqual(len(lines), 2, r.stdout)
            self.assertTrue(lines[0].startswith(
                "account alice@example.test, mailbox INBOX, UID 3: "), lines)
            self.assertIn("damaged", lines[0])
            self.assertTrue(lines[1].endswith(", 1 fault"), lines)
            # One octet string that two mailboxes share: both are named.
            flip(store, b"shared")
            r = mail(s, "check", "--json")
            self.assertEqual(r.returncode, 1)
            self.assertEqual(
                sorted((f["account"], f["mailbox"], f["uid"])
                       for f in json.loads(r.stdout)["faults"]),
                [("alice@example.test", "INBOX", 3),
                 ("alice@example.test", "INBOX", 6),
                 ("bob@example.test", "INBOX", 1)])
            # The daemon runs on it, and all other mail is there.
            s.start("mailbox")
            r = mail(s, "show", "alice@example.test", "INBOX", "2")
            self.assertIn("text of number 1.", r.stdout)

    def test_rebuild(self):
        """Without the database nothing starts, and nothing is lost."""
        with System(programs=("guard", "mailbox", "qm", "mta")) as s:
            store = os.path.join(s.dir, "data", "mails")
            for i in range(3):
                s.send("x@else.test", ["alice", "bob"], numbered(i))
            s.send("x@else.test", ["bob"], b"Subject: l\r\n\r\n" +
                   b"0123456789abcdef\r\n" * 40000)
            before = [sorted(s.messages(who)) for who in ("alice", "bob")]
            self.assertEqual(mail(s, "check", "--rebuild").returncode, 0)
            s.stop("mailbox")
            os.unlink(os.path.join(store, "data.mdb"))
            r = mail(s, "check")
            self.assertNotEqual(r.returncode, 0)
            self.assertIn("check --rebuild", r.stderr)
            r = mail(s, "check", "--rebuild")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn("7 messages put back", r.stdout)
            r = mail(s, "check")
            self.assertEqual(r.returncode, 0, r.stdout)
            s.start("mailbox")
            self.assertEqual(
                before, [sorted(s.messages(who)) for who in ("alice", "bob")])
            s.send("x@else.test", ["alice"], numbered(9))
            self.assertEqual(len(s.messages("alice")), 4)

    def test_nothing_yet(self):
        with System(start=False) as s:
            r = mail(s, "check")
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertIn("0 messages", r.stdout)
            r = mail(s, "verify", os.path.join(s.dir, "none"))
            self.assertEqual(r.returncode, 1)
            self.assertIn("there is no mail store", r.stderr)


class Queue(unittest.TestCase):
    def test_check(self):
        # Without mailbox the mail of a local recipient waits.
        with System(programs=("guard", "qm", "msa")) as s:
            for i in range(3):
                s.submit("alice", ["bob"], numbered(i))
            self.assertRegex(s.pneu("queue", "check"),
                             r"^3 messages, \d+ octets, no faults\n$")
            waiting = [q["id"] for q in json.loads(
                s.pneu("queue", "list", "--json"))]
            s.stop("qm")
            flip(os.path.join(s.dir, "data", "queue"), b"text of number 1.")
            r = s.pneu("queue", "check", check=False)
            self.assertEqual(r.returncode, 1)
            lines = r.stdout.splitlines()
            self.assertEqual(len(lines), 2, r.stdout)
            self.assertIn("message %s: " % waiting[1], lines[0])
            self.assertTrue(lines[1].endswith(", 1 fault"), lines)
            report = json.loads(s.pneu("queue", "check", "--json",
                                       check=False).stdout)
            self.assertEqual(report["faults"][0]["id"], waiting[1])


class Load(threading.Thread):
    """Delivers until it is told to stop; notes what was acknowledged."""

    def __init__(self, system):
        super().__init__(daemon=True)
        self.s, self.done, self.ending = system, 0, False

    def run(self):
        with self.s.smtp() as c:
            while not self.ending:
                c.sendmail("x@else.test", ["alice@example.test"],
                           numbered(self.done))
                self.done += 1


class Backup(unittest.TestCase):
    def texts(self, system):
        return [system.pneu("mail", "show", "alice@example.test", "INBOX",
                            str(m["uid"]))
                for m in json.loads(system.pneu(
                    "mail", "messages", "--json", "alice@example.test"))]

    def test_live_backup_and_restore(self):
        with System(programs=("guard", "mailbox", "qm", "mta")) as s, \
                tempfile.TemporaryDirectory(dir="/tmp") as d:
            target = os.path.join(d, "backup")
            load = Load(s)
            load.start()
            try:
                # The second one goes on from the first.
                for wanted in (10, 30):
                    until(lambda: load.done >= wanted, "deliveries")
                    before = load.done
                    s.pneu("mail", "backup", target)
                    self.assertIn("no faults",
                                  s.pneu("mail", "verify", target))
            finally:
                load.ending = True
                load.join(PATIENCE)
            self.assertFalse(load.is_alive())
            whole = self.texts(s)
            self.assertEqual(len(whole), load.done)
            with System(start=False) as other:
                other.pneu("mail", "restore", target)
                self.assertIn("no faults", other.pneu("mail", "check"))
                got = self.texts(other)
                self.assertGreaterEqual(len(got), before)
                self.assertEqual(got, whole[:len(got)])
                other.setup_accounts()
                for program in other.programs:
                    other.start(program)
                other.send("x@else.test", ["alice"],
                           b"Subject: after\r\n\r\nx\r\n")
                other.wait_message("alice", b"Subject: after")
                self.assertEqual(len(other.messages()), len(got) + 1)

    def test_damage_in_a_backup(self):
        with System(programs=("guard", "mailbox", "qm", "mta"),
                    conf=FINDABLE) as s, \
                tempfile.TemporaryDirectory(dir="/tmp") as d:
            target = os.path.join(d, "backup")
            s.send("x@else.test", ["bob"], BODY % (b"once", b"octets here"))
            s.pneu("mail", "backup", target)
            flip(target, b"octets here")
            r = mail(s, "verify", target)
            self.assertEqual(r.returncode, 1)
            self.assertIn("account bob@example.test, mailbox INBOX, UID 1: ",
                          r.stdout)
            self.assertIn("no faults", s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
