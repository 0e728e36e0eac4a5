# SPDX-License-Identifier: ISC
"""pneu-gateway: many messages at once go to mailbox together, and each comes once,
also where mailbox takes some of them only; how far it is can be seen; and an
account that is removed and added again at once begins anew."""
import collections
import imaplib
import json
import re
import threading
import time

from pneu import PASSWORD, PATIENCE, tls_context, until
from pop3server import Pop3Server
from test_gateway import Case, system

MANY = 260  # a full batch, and some


def message(i, size=100):
    return b"Subject: number %d\r\n\r\n%s\r\n" % (i, b"x" * size)


def numbers(messages):
    return collections.Counter(
        int(re.search(rb"Subject: number (\d+)", m)[1]) for m in messages)


class Many(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = system(accounts=("alice", "bob", "carol", "dave", "erin"))
        cls.addClassCleanup(cls.s.close)

    def expect(self, account, n, mailbox="INBOX"):
        got = numbers(self.s.messages(account, mailbox))
        self.assertEqual(got, {i: 1 for i in range(n)})

    def append(self, user, n, mailbox="INBOX"):
        """As quickly as may be: MULTIAPPEND (RFC 3502)."""
        with self.s.imap(user) as c:
            c.create(mailbox)
            for i in range(n):
                c.append(mailbox, "\\Seen" if i % 3 == 0 else "",
                         imaplib.Time2Internaldate(1700000000 + i), message(i))

    def test_imap(self):
        self.append("bob", MANY)
        self.append("bob", 3, "Other")
        address = self.add(self.s.port["imaps"], "alice", password=PASSWORD,
                           user="bob@example.test", protocol="imap",
                           security="tls")
        until(lambda: self.show(address)["messages"] == MANY + 3, "all")
        self.expect("alice", MANY)
        self.expect("alice", 3, "Other")
        # In their order, with flags and dates; and each is a pair.
        c = self.s.imap("alice")
        self.addCleanup(c.shutdown)
        c.select()
        _, data = c.uid("FETCH", "1:*", "(FLAGS INTERNALDATE "
                        "BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        got = [d for d in data if isinstance(d, tuple)]
        self.assertEqual([int(re.search(rb"number (\d+)", d[1])[1])
                          for d in got], list(range(MANY)))
        for i, d in enumerate(got):
            self.assertEqual(rb"\Seen" in d[0], i % 3 == 0)
        self.assertIn(b"14-Nov-2023 22:16:40", got[200][0])
        with self.s.imap("bob") as there:
            there.select()
            there.store("251", "+FLAGS", "\\Flagged")
        until(lambda: b"\\Flagged" in c.fetch("251", "(FLAGS)")[1][0],
              "the flag")
        self.fetch(address, 0)

    def test_mailbox_takes_some(self):
        """Its quota ends in the midst of a batch: as many come as find room, and
        the others when there is more."""
        self.s.pneu("account", "set", "--quota", "100K", "dave@example.test")
        with Pop3Server([message(i, 900) for i in range(250)]) as server:
            address = self.add(server, "dave")
            self.assertIn("4.2.2", self.fetch(address))
            some = numbers(self.s.messages("dave"))
            self.assertGreater(len(some), 50)
            self.assertLess(len(some), 120)
            self.assertEqual(max(some), len(some) - 1)
            self.s.pneu("account", "set", "--quota", "10M",
                        "dave@example.test")
            until(lambda: self.fetch(address) is not None and
                  self.show(address)["state"] == "ok", "it goes on")
            self.expect("dave", 250)

    def test_how_far_it_is(self):
        """RETR of one waits until somebody has looked."""
        looked, first = threading.Event(), []

        def slow(arg):
            first[:] = first or [time.monotonic()]
            while int(arg) == 150 and time.monotonic() < first[0] + 2.2:
                time.sleep(0.1)  # what is over sooner tells nothing
            if int(arg) == 220:
                looked.wait(PATIENCE)
        with Pop3Server([message(i) for i in range(250)],
                        override={"RETR": slow}) as server:
            self.addCleanup(looked.set)
            address = self.add(server, "erin")
            st = until(lambda: (lambda j: j if j["left"] else None)(
                self.show(address)), "progress")
            self.assertEqual(st["messages"] + st["left"], 250)
            self.assertGreater(st["messages"], 100)
            self.assertRegex(self.outside("show", address),
                             r"fetches +message \d+ of 250\n")
            looked.set()
            until(lambda: self.show(address)["state"] == "ok", "all")
            st = self.show(address)
            self.assertEqual((st["messages"], st["left"]), (250, 0))
            self.expect("erin", 250)

    def test_another_one_with_the_same_address(self):
        """What was known of the one that was removed is not the new one's."""
        with Pop3Server([message(i) for i in range(3)]) as server:
            address = self.add(server, "carol")
            until(lambda: self.show(address)["messages"] == 3, "three")
            self.fetch(address, 0)
            before = len(server.retrieved)
            for _ in range(3):  # in the same second, once at least
                self.outside("remove", address)
                self.outside(
                    "add", "--protocol", "pop3", "--host", "127.0.0.1",
                    "--port", str(server.port), "--security", "none",
                    "--user", "u", "--into", "Anew", address,
                    "carol@example.test", input="p\n")
            until(lambda: len(server.retrieved) >= before + 3, "fetched anew")
            until(lambda: self.show(address)["messages"] == 3, "three again")
            self.expect("carol", 3)
            self.expect("carol", 3, "Anew")


del Case
