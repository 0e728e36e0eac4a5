# SPDX-License-Identifier: ISC
"""Gmail accounts, by its HTTP API: the first look, history, what goes wrong, and
what goes out; at a server that is strict about what it is asked."""
import json
import random
import unittest

import test_gateway_imap
from gmailserver import GmailServer
from oauthserver import OAuthServer
from pneu import PASSWORD, System, certificate, until

USER = "alice@gmail.test"
DATE_MS = 1700000000000


def message(n, size=0):
    return (b"From: a@else.test\r\nTo: alice@gmail.test\r\nSubject: %d\r\n"
            b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
            b"Message-ID: <%d@else.test>\r\n\r\nbody %d\r\n" % (n, n, n) +
            random.Random(n).randbytes(size))


class Case(test_gateway_imap.Case):
    programs = ("mailbox", "gateway")

    @classmethod
    def setUpClass(cls):
        cls.oauth = OAuthServer()
        cls.oauth.user = USER
        cls.addClassCleanup(cls.oauth.close)
        cls.s = System(programs=cls.programs, conf={
            "tls": {"ca": certificate()[0]},
            "qm": {"retry_first": "1s", "retry_max": "1s", "smtp_port": 1},
            "gateway": test_gateway_imap.SETTINGS})
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        self.there = GmailServer(self.oauth)
        self.addCleanup(self.there.close)
        self.addCleanup(lambda: self.assertEqual(self.there.faults, []))

        # One of its own: what an account has had does not come again.
        self.user = self.id().split(".")[-1].replace("_", "")
        self.s.pneu("account", "add", self.s.address(self.user),
                    input=PASSWORD + "\n")
        self.out = self.user + "@out.test"

    def add_gmail(self, *args):
        self.s.pneu("outside", "add", "--protocol", "gmail", "--host",
                    "localhost", "--port", str(self.there.port),
                    "--user", USER, *self.oauth.options(),
                    "--client-secret-file", "-", *args, self.out,
                    self.s.address(self.user), input="s3cret\n")
        self.addCleanup(self.s.pneu, "outside", "remove", self.out,
                        check=False)
        self.login()

    def login(self):
        self.s.pneu("outside", "login", "--token", self.out,
                    input=self.oauth.new_refresh(USER) + "\n")

    def boxes(self, c):
        return [line.decode().split(' "/" ')[1].strip('"')
                for line in c.list()[1] if b"\\Noselect" not in line]

    def here(self):
        """Mailbox to a sorted list of (octets, flags, date)."""
        out = {}
        with self.s.imap(self.user) as c:
            for box in self.boxes(c):
                c.select('"%s"' % box, True)
                found = c.uid("FETCH", "1:*",
                              "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
                for item in found:
                    if isinstance(item, tuple):
                        flags = item[0].split(b"FLAGS (")[1].split(b")")[0]
                        date = item[0].split(b'INTERNALDATE "')[1].split(
                            b'"')[0]
                        out.setdefault(box, []).append(
                            (item[1], sorted(
                                f for f in flags.decode().split()
                                if f != "\\Recent"), date.decode()))
        return {box: sorted(v) for box, v in out.items()}

    def subjects(self):
        return {box: sorted(m[0].split(b"Subject: ")[1].split(b"\r\n")[0]
                            .decode() for m in v)
                for box, v in self.here().items()}


class Fetching(Case):
    def test_first_look_labels_and_history(self):
        there = self.there
        work = there.label("Work/Projects 2026")
        home = there.label("H\u00e4user")
        for labels in (["INBOX", "UNREAD", "CATEGORY_SOCIAL"],
                       ["INBOX", "STARRED", work], ["SENT"], ["TRASH"],
                       ["SPAM", "UNREAD"], ["DRAFT"], [home, "IMPORTANT"],
                       [], ["CHAT"]):
            there.put(message(len(there.messages)), labels)
        self.add_gmail()
        self.wait(self.s, self.out, messages=8)
        self.assertEqual(self.subjects(), {
            "INBOX": ["0", "1"], "Sent": ["2"], "Trash": ["3"],
            "Junk": ["4"], "Drafts": ["5"], "Archive": ["6", "7"]})
        here = self.here()
        flags = {m[0].split(b"Subject: ")[1][:1]: m[1]
                 for v in here.values() for m in v}
        self.assertEqual(flags[b"0"], [])
        self.assertEqual(flags[b"1"], ["Work/Projects_2026", "\\Flagged",
                                       "\\Seen"])
        self.assertEqual(flags[b"4"], [])
        self.assertEqual(flags[b"5"], ["\\Draft", "\\Seen"])
        self.assertEqual(flags[b"6"], ["$Important", "H&AOQ-user", "\\Seen"])
        self.assertEqual(sorted(m[0] for v in here.values() for m in v),
                         [message(n) for n in range(8)])
        self.assertEqual({m[2] for v in here.values() for m in v},
                         {"14-Nov-2023 22:13:20 +0000"})
        # A look when nothing is new is one request.
        n = len(there.asked)
        self.assertEqual(self.fetch(self.s, self.out), 0)
        self.assertEqual(len(there.asked), n + 1)
        # What comes.
        for n in range(20, 25):
            there.put(message(n))
        there.erase(there.put(message(25)))
        self.assertEqual(self.fetch(self.s, self.out), 5)
        self.assertEqual(self.subjects()["INBOX"],
                         ["0", "1", "20", "21", "22", "23", "24"])

    def test_folders(self):
        there = self.there
        a, b = there.label("Apples/Red"), there.label("Bees")
        there.put(message(1), [b, a])
        there.put(message(2), [b, "SENT"])
        there.put(message(3), [a, "INBOX"])
        self.add_gmail("--labels", "folders")
        self.wait(self.s, self.out, messages=3)
        self.assertEqual(self.subjects(), {
            "Apples/Red": ["1"], "Bees": ["2"], "INBOX": ["3"]})
        self.assertEqual(self.here()["Apples/Red"][0][1],
                         ["Bees", "\\Seen"])


if __name__ == "__main__":
    unittest.main()
