# SPDX-License-Identifier: ISC
"""What was expunged: seen under #deleted and #time, and brought back."""
import datetime
import json
import unittest

from imapraw import Imap
from pneu import PASSWORD, System

ALICE = "alice@example.test"
MESSAGE = "From: <x@else.test>\r\nSubject: number %d\r\n\r\nBody %d.\r\n"


class Undelete(unittest.TestCase):
    def setUp(self):
        self.s = System(programs=("guard", "mailbox"))
        self.s.__enter__()
        self.addCleanup(self.s.__exit__, None, None, None)
        self.c = self.login()
        for i in range(1, 5):
            self.ok("APPEND INBOX {}", MESSAGE % (i, i))
        self.ok("SELECT INBOX")

    def login(self):
        c = Imap(self.s.port["imaps"], tls=True)
        c.ok("LOGIN %s %s" % (ALICE, PASSWORD))
        return c

    def ok(self, text, *literals):
        return self.c.ok(text, *(x.encode() for x in literals))

    def no(self, text, code):
        r = self.c.cmd(text)
        self.assertEqual((r.status, r.code), ("NO", code), (text, r))

    def expunge(self, numbers):
        self.ok("STORE %s +FLAGS.SILENT (\\Deleted)" % numbers)
        self.ok("EXPUNGE")

    def exists(self, mailbox):
        r = self.ok('SELECT "%s"' % mailbox)
        return [int(u.split()[1]) for u in r.untagged
                if u.endswith(b" EXISTS")][0]

    def listed(self, pattern):
        r = self.ok('LIST "" "%s"' % pattern)
        return [u.rsplit(b'"/" ', 1)[1].decode().strip('"')
                for u in r.untagged if u.startswith(b"* LIST")]

    def test_seen_and_copied(self):
        self.expunge("1:2")
        self.assertIn(b'* NAMESPACE (("" "/")) NIL '
                      b'(("#deleted/" "/")("#time/" "/"))',
                      self.ok("NAMESPACE").untagged)
        self.assertEqual(self.listed("#deleted/*"), ["#deleted/INBOX"])
        self.assertIn("#deleted", self.listed("#%"))
        self.assertFalse([n for n in self.listed("*") if n[0] == "#"])
        r = self.ok('SELECT "#deleted/INBOX"')
        self.assertEqual(r.code, "READ-ONLY")
        self.assertIn(b"* 2 EXISTS", r.untagged)
        r = self.ok("FETCH 1:2 (UID ENVELOPE BODY.PEEK[TEXT])")
        self.assertIn(b"number 2", r.untagged[1])
        self.assertIn(b"Body 1.", r.untagged[0])
        r = self.ok("SEARCH BODY \"Body 2\"")
        self.assertIn(b"* SEARCH 2", r.untagged)
        self.no("STORE 1 +FLAGS (\\Seen)", "READ-ONLY")
        self.no("EXPUNGE", "READ-ONLY")
        self.no("MOVE 1 Archive", "READ-ONLY")
        self.no('APPEND "#deleted/INBOX" {3+}\r\nx\r\n', "NOPERM")
        self.no('DELETE "#deleted/INBOX"', "NOPERM")
        self.no('CREATE "#time/x"', "NOPERM")
        self.no('RENAME Junk "#deleted/Junk"', "NOPERM")
        self.no('SELECT "#deleted/Nowhere"', "NONEXISTENT")
        self.ok('SELECT "#deleted/INBOX"')
        r = self.ok("COPY 2 INBOX")
        self.assertEqual(r.code, "COPYUID")
        self.ok("CLOSE")
        self.assertEqual(self.exists("INBOX"), 3)
        self.assertIn(b"number 2",
                      self.ok("FETCH 3 ENVELOPE").untagged[0])
        r = self.ok('STATUS "#deleted/INBOX" (MESSAGES UNSEEN)')
        self.assertIn(b"(MESSAGES 2 UNSEEN 2)", r.untagged[0])

    def test_time(self):
        now = datetime.datetime.now()
        days = self.listed("#time/%")
        self.assertEqual(len(days), 8)
        self.assertIn("#time/%s" % now.strftime("%Y-%m-%d"), days)
        self.assertIn("%s/INBOX" % days[0], self.listed("#time/*"))
        # Before all mail there is none; at this second all of it.
        self.assertEqual(self.exists("%s/INBOX" % days[1]), 0)
        self.ok("SELECT INBOX")
        self.expunge("1")
        self.ok('EXAMINE "%s/INBOX"' % days[1])
        self.no('EXAMINE "#time/2001-01-01/INBOX"', "NONEXISTENT")
        self.no('EXAMINE "#time/yesterday/INBOX"', "NONEXISTENT")

    def test_commands(self):
        self.expunge("1:3")
        listed = json.loads(self.s.pneu("mail", "undelete", "--list", "--json",
                                        ALICE))
        self.assertEqual([m["subject"] for m in listed],
                         ["number 1", "number 2", "number 3"])
        self.assertEqual(listed[0]["mailbox"], "INBOX")
        self.assertIn("number 2", self.s.pneu(
            "mail", "undelete", "--list", "--since", "1h", ALICE, "INBOX"))
        self.assertIn("1 messages are back", self.s.pneu(
            "mail", "undelete", "--uid", "2", ALICE, "INBOX"))
        # A session that has the mailbox open is told.
        r = self.ok("NOOP")
        self.assertIn(b"* 2 EXISTS", r.untagged)
        self.assertIn(b"number 2", self.ok("FETCH 2 ENVELOPE").untagged[0])
        self.assertIn("2 messages are back",
                      self.s.pneu("mail", "undelete", "--since", "2h", ALICE))
        self.ok("NOOP")
        self.expunge("1:*")
        r = self.s.pneu("mail", "purge", ALICE, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("4 messages are gone", self.s.pneu(
            "mail", "purge", "--yes", ALICE))
        self.assertEqual(self.exists("#deleted/INBOX"), 0)
        self.assertIn("0 messages are back",
                      self.s.pneu("mail", "undelete", ALICE))
        for bad in (["undelete"], ["undelete", "--uid", "0", ALICE, "INBOX"],
                    ["undelete", "--uid", "3", ALICE],
                    ["undelete", "--since", "soon", ALICE], ["purge"]):
            r = self.s.pneu("mail", *bad, check=False)
            self.assertEqual(r.returncode, 64, bad)
        r = self.s.pneu("mail", "undelete", ALICE, "Nowhere", check=False)
        self.assertEqual(r.returncode, 1)
        self.s.pneu("mail", "check")

    def test_mailbox(self):
        self.ok("CREATE Work/Old")
        self.ok("APPEND Work/Old {}", MESSAGE % (9, 9))
        self.ok("DELETE Work/Old")
        self.no("SELECT Work/Old", "NONEXISTENT")
        self.assertEqual(self.listed("#deleted/*"), ["#deleted/Work/Old"])
        self.assertEqual(self.exists("#deleted/Work/Old"), 1)
        self.assertIn("the mailbox itself", self.s.pneu(
            "mail", "undelete", "--list", ALICE, "Work/Old"))
        self.s.pneu("mail", "undelete", ALICE, "Work/Old")
        self.assertEqual(self.exists("Work/Old"), 1)

    def test_pop3(self):
        c = self.s.pop3()
        c.dele(1)
        c.quit()
        self.assertEqual(self.exists("#deleted/INBOX"), 1)


class NotKept(unittest.TestCase):
    def test_off(self):
        with System(conf={"mailbox": {"keep_deleted": "0"}},
                    programs=("guard", "mailbox")) as s:
            c = s.imap()
            self.assertIn(b"NIL NIL", c.namespace()[1][0])
            self.assertEqual(c.select('"#deleted/INBOX"')[0], "NO")
            c.logout()


if __name__ == "__main__":
    unittest.main()
