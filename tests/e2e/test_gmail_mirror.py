# SPDX-License-Identifier: ISC
"""Gmail accounts that are mirrored: what is done on one side is done on the other,
by labels; after history was too old, when a label is renamed, where the server
refuses, and while gateway and mailbox are killed."""
import random
import threading
import time
import unittest

import test_gateway_gmail
from pneu import until
from test_mirror import quote

SPECIAL = {"TRASH": "Trash", "SPAM": "Junk", "DRAFT": "Drafts", "INBOX": "INBOX"}


def message(n):
    # No two are alike in date and size: those may be taken for one another.
    return test_gateway_gmail.message(n) + b"x" * n + b"\r\n"


class Case(test_gateway_gmail.Case):
    labels = "keywords"

    def begin(self, n=8, *args, mirror=("--mirror",)):
        ids = [self.there.put(message(k)) for k in range(n)]
        self.add_gmail(*mirror, "--labels", self.labels, *args)
        self.wait(self.s, self.out, messages=n)
        self.look()
        return ids

    def look(self):
        n = self.fetch(self.s, self.out)
        self.assertIsInstance(n, int, n)
        return n

    def imap(self):
        c = self.s.imap(self.user)
        self.addCleanup(c.logout)
        return c

    def uid(self, c, box, n):
        self.assertEqual(c.select(quote(box))[0], "OK")
        uids = c.uid("SEARCH", "HEADER", "MESSAGE-ID", '"<%d@else.test>"' % n)[1][0].split()
        self.assertEqual(len(uids), 1, (box, n, uids))
        return uids[0].decode()

    def flag(self, c, box, n, how, flags):
        self.assertEqual(c.uid("STORE", self.uid(c, box, n), how, flags)[0], "OK")

    def move(self, c, box, n, to):
        self.assertEqual(c.uid("MOVE", self.uid(c, box, n), quote(to))[0], "OK")

    def expunge(self, c, box, n):
        uid = self.uid(c, box, n)
        c.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        self.assertEqual(c.uid("EXPUNGE", uid)[0], "OK")

    def seen(self):
        """{subject: (box, flags)} here; none is twice."""
        found = {}
        for box, v in self.here().items():
            for octets, flags, _ in v:
                n = int(octets.split(b"Subject: ")[1].split(b"\r\n")[0])
                self.assertNotIn(n, found)
                found[n] = (box, set(flags))
        return found

    def expected(self, expunged=()):
        """The same, by what is there."""
        found = {}
        with self.there.lock:
            for m in self.there.messages.values():
                n = int(m.raw.split(b"Subject: ")[1].split(b"\r\n")[0])
                if n in expunged and "TRASH" in m.labels:
                    continue
                names = [self.there.labels[i] for i in m.labels if i in self.there.labels]
                box = next((b for i, b in SPECIAL.items() if i in m.labels), None)
                if box is None and self.labels == "folders" and names:
                    box = min(names)
                    names.remove(box)
                box = box or ("Sent" if "SENT" in m.labels else "Archive")
                flags = {w.replace(" ", "_") for w in names}
                for label, flag in (("STARRED", "\\Flagged"), ("IMPORTANT", "$Important"),
                                    ("DRAFT", "\\Draft")):
                    flags |= {flag} if label in m.labels else set()
                flags |= set() if "UNREAD" in m.labels else {"\\Seen"}
                found[n] = (box, flags)
        return found

    def alike(self, expunged=()):
        self.look()
        self.assertEqual(self.seen(), self.expected(expunged))

    def quiet(self):
        """Nothing echoes: looks ask for history and do nothing."""
        self.look()
        state = self.there.history_id
        asked = len(self.there.asked)
        for _ in range(3):
            self.assertEqual(self.look(), 0)
        self.assertEqual(self.there.history_id, state)
        self.assertEqual([a.split("?")[0].split("/")[-1] for a in self.there.asked[asked:]],
                         ["history"] * 3)


class Both(Case):
    def test_flags_moves_and_deletions(self):
        there = self.there
        work = there.label("Work 1")
        ids = self.begin(14)
        c = self.imap()
        # Flags, on both sides, and of one message on both.
        there.change(ids[0], ["STARRED", work], ["UNREAD"])
        self.flag(c, "INBOX", 0, "+FLAGS", "($Important)")
        self.flag(c, "INBOX", 1, "+FLAGS", "(\\Seen \\Flagged Work_1)")
        there.change(ids[2], ["STARRED"])
        self.alike()
        self.assertEqual(self.seen()[0], ("INBOX", {"\\Seen", "\\Flagged", "Work_1",
                                                    "$Important"}))
        self.flag(c, "INBOX", 0, "-FLAGS", "(\\Seen \\Flagged Work_1)")
        self.flag(c, "INBOX", 2, "-FLAGS", "(\\Flagged)")
        self.alike()
        self.assertEqual(set(there.messages[ids[0]].labels), {"INBOX", "UNREAD", "IMPORTANT"})
        self.quiet()
        # Moved here, and there.
        self.flag(c, "INBOX", 3, "+FLAGS", "(\\Seen)")
        self.move(c, "INBOX", 3, "Archive")
        self.move(c, "INBOX", 4, "Trash")
        self.move(c, "INBOX", 5, "Junk")
        there.change(ids[6], (), ["INBOX"])
        there.change(ids[7], ["TRASH"], ["INBOX"])
        there.change(ids[8], ["SPAM"], ["INBOX"])
        self.alike()
        self.assertEqual(there.messages[ids[3]].labels, [])
        self.assertEqual(set(there.messages[ids[4]].labels), {"UNREAD", "TRASH"})
        self.assertEqual(set(there.messages[ids[5]].labels), {"UNREAD", "SPAM"})
        self.assertEqual({n: box for n, (box, _) in self.seen().items() if box != "INBOX"},
                         {3: "Archive", 4: "Trash", 5: "Junk", 6: "Archive", 7: "Trash",
                          8: "Junk"})
        self.quiet()
        # And back, and both at once: what was moved here goes where it was moved to.
        self.move(c, "Trash", 4, "INBOX")
        there.change(ids[3], ["INBOX"])
        there.change(ids[7], ["INBOX"], ["TRASH"])
        self.move(c, "INBOX", 9, "Archive")
        there.change(ids[9], ["TRASH", "STARRED"], ["INBOX"])
        self.alike()
        self.assertEqual(self.seen()[9], ("Archive", {"\\Flagged"}))
        # Expunged here: to Trash there, whatever was done to it meanwhile. Gone there:
        # gone here, but what was moved.
        self.expunge(c, "INBOX", 10)
        there.change(ids[10], ["STARRED"])
        self.expunge(c, "Junk", 5)
        there.erase(ids[11])
        there.erase(ids[12])
        self.move(c, "INBOX", 12, "Archive")
        self.look()
        seen, expected = self.seen(), self.expected({5, 10})
        self.assertEqual(seen.pop(12)[0], "Archive")
        self.assertEqual(seen, expected)
        self.assertIn("TRASH", there.messages[ids[10]].labels)
        self.assertIn("TRASH", there.messages[ids[5]].labels)
        self.assertEqual(set(self.boxes(c)) & {"#deleted/INBOX"}, set())
        # What lies in Trash there stays there: nothing is deleted for good by us.
        self.expunge(c, "INBOX", 4)
        self.look()
        self.assertIn("TRASH", there.messages[ids[4]].labels)
        self.assertEqual(there.count("^DELETE|batchDelete"), 0)
        self.quiet()

    def test_many_in_one_request(self):
        ids = self.begin(1010)
        c = self.imap()
        c.select("INBOX")
        c.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Seen)")
        n = self.there.count("POST")
        self.alike()
        self.assertEqual(self.there.count("POST"), n + 2)
        c.select("INBOX")
        self.assertEqual(c.uid("MOVE", "1:*", "Archive")[0], "OK")
        self.alike()
        self.assertEqual(self.there.count("POST"), n + 4)
        for i in ids:
            self.there.change(i, ["INBOX"])
        self.alike()
        self.quiet()

    def test_to_a_mailbox_that_is_none_there(self):
        there = self.there
        ids = self.begin()
        c = self.imap()
        c.create("Mine")
        self.move(c, "INBOX", 0, "Mine")
        self.look()
        # Filed away: archived. It is followed there, and goes with its flags.
        self.assertEqual(there.messages[ids[0]].labels, ["UNREAD"])
        there.change(ids[0], ["STARRED"], ["UNREAD"])
        self.look()
        self.assertEqual(self.seen()[0], ("Mine", {"\\Seen", "\\Flagged"}))
        # Not sent by anybody: it cannot be in Sent there.
        self.move(c, "INBOX", 1, "Sent")
        self.look()
        self.look()
        self.assertEqual(there.messages[ids[1]].labels, ["UNREAD"])
        self.assertEqual(self.seen()[1][0], "Sent")
        there.change(ids[0], ["TRASH"])
        self.look()
        self.assertEqual(self.seen()[0][0], "Trash")
        # Copies and drafts are nobody else's business.
        uid = self.uid(c, "INBOX", 2)
        c.uid("COPY", uid, "Mine")
        c.append("INBOX", None, None, message(77))
        n = there.history_id
        self.look()
        self.assertEqual(there.history_id, n)
        self.assertEqual(len(there.messages), 8)

    def test_was_followed_before(self):
        """Set later: what was done before is done then, but for deletions."""
        there = self.there
        ids = self.begin(8, mirror=())
        c = self.imap()
        self.flag(c, "INBOX", 0, "+FLAGS", "(\\Seen)")
        self.expunge(c, "INBOX", 1)
        there.change(ids[2], (), ["INBOX"])
        there.erase(ids[3])
        there.change(ids[4], ["STARRED"])
        self.look()
        self.assertEqual(self.seen()[2][0], "INBOX")
        self.s.pneu("outside", "set", "--mirror", self.out)
        until(lambda: "\\Seen" in self.expected()[0][1], "mirrored")
        self.look()
        seen = self.seen()
        self.assertEqual(seen.pop(3)[0], "INBOX")
        expected = self.expected()
        self.assertEqual(expected.pop(1)[0], "INBOX")
        self.assertEqual(seen, expected)
        self.assertEqual(seen[2][0], "Archive")
        self.quiet()
        # And not any more.
        self.s.pneu("outside", "set", "--no-mirror", self.out)
        until(lambda: isinstance(self.fetch(self.s, self.out), int), "a look")
        self.flag(c, "INBOX", 5, "+FLAGS", "(\\Seen)")
        there.change(ids[6], ["STARRED"], ["INBOX"])
        self.look()
        self.assertIn("UNREAD", there.messages[ids[5]].labels)
        self.assertEqual(self.seen()[6], ("INBOX", {"\\Flagged"}))

    def test_into(self):
        there = self.there
        ids = self.begin(8, "--into", "Out")
        c = self.imap()
        there.change(ids[0], (), ["INBOX"])
        self.move(c, "Out", 1, "Trash")
        self.look()
        self.assertEqual(self.seen()[0][0], "Out/Archive")
        # Trash is the account's own, and none of these: archived.
        self.assertEqual(there.messages[ids[1]].labels, ["UNREAD"])
        self.move(c, "Out", 2, "Out/Archive")
        self.look()
        self.assertEqual(there.messages[ids[2]].labels, ["UNREAD"])
        self.quiet()


class Folders(Case):
    labels = "folders"

    def test_labels_are_mailboxes(self):
        there = self.there
        deep, odd = there.label("a/b/c"), there.label("H\u00e4user & % * co.")
        both = there.label("zz")
        ids = self.begin()
        there.change(ids[0], [deep], ["INBOX"])
        there.change(ids[1], [odd], ["INBOX"])
        there.change(ids[2], [both, deep], ["INBOX"])
        self.look()
        c = self.imap()
        seen = self.seen()
        self.assertEqual([seen[n][0] for n in range(4)],
                         ["a/b/c", "H&AOQ-user &- % * co.", "a/b/c", "INBOX"])
        self.assertEqual(seen[2][1], {"zz"})
        # Here: to a label, from one to another, to one that is made there.
        self.move(c, "INBOX", 3, "a/b/c")
        self.move(c, "a/b/c", 0, "H&AOQ-user &- % * co.")
        c.create(quote("New/Level &AOQ-"))
        self.move(c, "INBOX", 4, "New/Level &AOQ-")
        self.move(c, "a/b/c", 2, "INBOX")
        self.look()
        self.assertEqual(there.messages[ids[3]].labels, ["UNREAD", deep])
        self.assertEqual(there.messages[ids[0]].labels, ["UNREAD", odd])
        made, = [i for i, n in there.labels.items() if n == "New/Level \u00e4"]
        self.assertEqual(there.messages[ids[4]].labels, ["UNREAD", made])
        self.assertEqual(set(there.messages[ids[2]].labels), {"UNREAD", both, "INBOX"})
        self.quiet()
        # Thrown away, labels stay with it, and it comes back to where it was.
        self.move(c, "a/b/c", 3, "Trash")
        self.look()
        self.look()
        self.assertEqual(set(there.messages[ids[3]].labels), {"UNREAD", deep, "TRASH"})
        there.change(ids[3], (), ["TRASH"])
        self.look()
        self.assertEqual(self.seen()[3][0], "a/b/c")
        # A name that no label can have: it is archived there.
        c.create("Important")
        self.move(c, "INBOX", 5, "Important")
        self.look()
        self.assertEqual(there.messages[ids[5]].labels, ["UNREAD"])
        self.quiet()


class Compared(Case):
    """What history does not tell."""

    @classmethod
    def setUpClass(cls):
        was = test_gateway_gmail.test_gateway_imap.SETTINGS
        test_gateway_gmail.test_gateway_imap.SETTINGS = {**was, "compare": "0s"}
        super().setUpClass()
        test_gateway_gmail.test_gateway_imap.SETTINGS = was

    def test_history_too_old(self):
        there = self.there
        work = there.label("Work")
        ids = self.begin(20)
        c = self.imap()
        for labels, n in ((["STARRED", work], 0), (["SPAM"], 1)):
            there.change(ids[n], labels, ["UNREAD", "INBOX"])
        there.erase(ids[2])
        there.change(ids[3], ["STARRED"])
        self.flag(c, "INBOX", 3, "+FLAGS", "(\\Seen)")
        self.move(c, "INBOX", 4, "Archive")
        self.expunge(c, "INBOX", 5)
        there.put(message(50), ["INBOX"])
        there.age()
        raw = there.count("format=raw")
        # It breaks off in all parts of it, and goes on.
        for plan in ("profile", "labelIds=INBOX", "labelIds=UNREAD", "format=minimal",
                     "format=minimal"):
            there.plans = [(plan, 403, {}, "insufficientPermissions")]
            until(lambda: self.s.pneu("outside", "fetch", self.out, check=False) and
                  not there.plans, plan)
        until(lambda: isinstance(self.fetch(self.s, self.out), int), "a look")
        self.alike({5})
        self.assertEqual(self.seen()[3], ("INBOX", {"\\Seen", "\\Flagged"}))
        self.assertEqual(there.count("format=raw"), raw + 1)
        # Only what differed was asked for.
        self.assertLess(there.count("format=minimal"), 16)

    def test_most_is_gone(self):
        there = self.there
        ids = self.begin(30)
        for i in ids[:16]:
            there.erase(i)
        self.look()
        self.assertEqual(len(self.seen()), 30)
        # By a comparison, too.
        for i in ids[16:27]:
            there.erase(i)
        there.age()
        self.look()
        self.look()
        self.assertEqual(len(self.seen()), 30)
        # What was thrown away may go.
        for i in ids[27:]:
            there.change(i, ["TRASH"], ["INBOX"])
        self.look()
        self.assertEqual([b for b, _ in self.seen().values()].count("Trash"), 3)
        for i in ids[27:]:
            there.erase(i)
        self.look()
        self.assertEqual(len(self.seen()), 27)

    def test_label_renamed_and_deleted(self):
        there = self.there
        work, home = there.label("Work"), there.label("Home")
        ids = self.begin()
        there.change(ids[0], [work])
        there.change(ids[1], [home])
        self.alike()
        there.rename(work, "Job")
        there.unlabel(home)
        self.look()
        self.alike()
        self.assertEqual(self.seen()[0][1], {"Job"})
        self.assertEqual(self.seen()[1][1], set())
        # By its new name it is the same label.
        c = self.imap()
        self.flag(c, "INBOX", 0, "-FLAGS", "(Job)")
        self.flag(c, "INBOX", 2, "+FLAGS", "(Job Work)")
        self.look()
        self.assertNotIn(work, there.messages[ids[0]].labels)
        self.assertIn(work, there.messages[ids[2]].labels)


class FolderCompared(Compared):
    labels = "folders"
    test_history_too_old = test_most_is_gone = None

    def test_label_renamed_and_deleted(self):
        there = self.there
        work, home = there.label("Work/Old"), there.label("Home")
        ids = self.begin()
        there.change(ids[0], [work], ["INBOX"])
        there.change(ids[1], [home], ["INBOX"])
        self.alike()
        there.rename(work, "Work/New")
        there.unlabel(home)
        self.look()
        self.alike()
        self.assertEqual([self.seen()[n][0] for n in (0, 1)], ["Work/New", "Archive"])


class Bad(Case):
    def test_refuses(self):
        there = self.there
        ids = self.begin(10)
        c = self.imap()
        c.select("INBOX")
        c.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Seen)")
        # For a while.
        there.plans = [("batchModify", 429, {"Retry-After": "1"}, None),
                       ("batchModify", 503, {}, None),
                       ("batchModify", 403, {}, "userRateLimitExceeded"),
                       ("batchModify", 0, {}, None)]
        self.s.pneu("outside", "fetch", self.out, check=False)
        until(lambda: isinstance(self.fetch(self.s, self.out), int), "a look")
        self.alike()
        self.assertEqual(there.plans, [])
        # Quota: the next look, not before they say.
        self.flag(c, "INBOX", 0, "-FLAGS", "(\\Seen)")
        there.plans = [("modify", 403, {"Retry-After": "600"}, "dailyLimitExceeded")]
        self.s.pneu("outside", "fetch", self.out, check=False)
        self.assertIn("403", self.wait(self.s, self.out, "retry")["error"])
        self.assertNotIn("UNREAD", there.messages[ids[0]].labels)
        self.alike()
        # Ids that are gone.
        self.flag(c, "INBOX", 1, "-FLAGS", "(\\Seen)")
        there.erase(ids[1])
        there.history.pop()  # it is told later
        self.look()
        there.history.append((there.history_id + 7, "messagesDeleted", {"message": {
            "id": ids[1], "threadId": ids[1], "labelIds": ["INBOX"]}}))
        there.history_id += 7
        self.alike()
        # Some it lets nobody change: the others are.
        there.unwanted = {ids[2], ids[5]}
        c.select("INBOX")
        c.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Flagged)")
        self.look()
        for i in ids:
            if i in there.messages:
                self.assertEqual("STARRED" in there.messages[i].labels,
                                 i not in there.unwanted)
        # Nothing is undone here, and nothing is tried for ever.
        self.assertIn("\\Flagged", self.seen()[2][1])
        self.quiet()


class Killed(Case):
    def test_before_it_is_noted(self):
        """Killed when it has been done there and nothing of it was noted."""
        there, s = self.there, self.s
        ids = self.begin(24)
        c = self.imap()
        for k, (request, act) in enumerate((
                ("batchModify", lambda n: self.flag(c, "INBOX", n, "+FLAGS", "(\\Seen)")),
                ("batchModify", lambda n: self.move(c, "INBOX", n, "Archive")),
                ("/modify", lambda n: self.move(c, "INBOX", n, "Junk")),
                ("/trash", lambda n: self.expunge(c, "INBOX", n)))):
            with self.subTest(request=request, k=k):
                for n in range(6 * k, 6 * k + (1 if request[0] == "/" else 3)):
                    act(n)
                # In the same look as these: done here, if the kill lets it.
                there.change(ids[6 * k + 4], ["STARRED"], ["INBOX"])
                there.change(ids[6 * k + 5], ["TRASH"], ["INBOX"])
                killed = threading.Event()
                there.after = (request, lambda: (s.kill("gateway"), killed.set()))
                s.pneu("outside", "fetch", self.out, check=False)
                self.assertTrue(killed.wait(60))
                s.start("gateway")
                until(lambda: isinstance(self.fetch(s, self.out), int), "a look")
                self.alike({18})
        self.quiet()

    def test_both_ways(self):
        """Both sides are changed while gateway and mailbox are killed: in the end
        both are alike, nothing is lost, nothing is twice."""
        chance = random.Random(7)
        there, s = self.there, self.s
        ids = self.begin(40)
        by_n = {n: i for n, i in enumerate(ids)}
        c = s.imap(self.user)
        expunged = set()
        free = set(by_n)
        for i in range(8):
            inbox = sorted(n for n, (box, _) in self.seen().items()
                           if box == "INBOX" and n in free)
            a, b, d, e, g, h, k = picked = chance.sample(inbox, 7)
            self.move(c, "INBOX", a, "Archive")
            there.change(by_n[b], ["TRASH"], ["INBOX"])
            self.expunge(c, "INBOX", d)
            expunged.add(d)
            there.erase(by_n.pop(e))
            self.flag(c, "INBOX", g, "+FLAGS", "(\\Flagged)")
            there.change(by_n[h], ["STARRED"], ["UNREAD"])
            self.move(c, "INBOX", k, "Junk")
            there.change(by_n[k], ["IMPORTANT"])
            free -= {a, b, d, e, k}
            by_n[100 + i] = there.put(message(100 + i))
            look = threading.Thread(target=s.pneu, args=("outside", "fetch", self.out),
                                    kwargs={"check": False})
            look.start()
            time.sleep(chance.random() * 0.06)  # anywhere in it
            program = "mailbox" if i % 2 else "gateway"
            s.kill(program)
            look.join()
            s.start(program)
            if program == "mailbox":
                c = s.imap(self.user)
            free.add(100 + i)
            until(lambda: isinstance(self.fetch(s, self.out), int), "a look")
            self.assertEqual(len(picked), 7)
        self.alike(expunged)
        self.assertEqual(set(self.seen()), set(by_n) - expunged)
        self.quiet()
        self.assertIn("no faults", s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
