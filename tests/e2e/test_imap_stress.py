# SPDX-License-Identifier: ISC
"""Many clients change one mailbox at once, over several workers. Each keeps
what it was told (EXISTS, EXPUNGE, FETCH), as a mail program does, and that must
agree with what the server says whenever it asks, and with all others in the
end. The seed of a run is printed when it fails."""
import os
import random
import re
import threading
import unittest

from imapraw import Imap, parse
from pneu import PASSWORD, System

CLIENTS = 6
STEPS = 150
FLAGS = (r"\Seen", r"\Flagged", r"\Answered", r"\Draft", "$a", "$b")


class Client:
    """What a mail program remembers."""

    def __init__(self, port, user, name, seed):
        self.random = random.Random(seed)
        self.c = Imap(port)
        self.c.ok("LOGIN %s %s" % (user, PASSWORD))
        self.name = name
        self.uids = []          # by number; None: not known yet
        self.flags = {}         # by UID
        self.appended = set()
        self.take(self.c.ok("SELECT " + name))

    def take(self, reply, quiet=False):
        """quiet: during FETCH, STORE and SEARCH nothing may be expunged."""
        for r in reply.untagged:
            m = re.match(rb"\* (\d+) (EXISTS|EXPUNGE|FETCH)", r)
            if not m:
                continue
            n, what = int(m.group(1)), m.group(2)
            if what == b"EXISTS":
                assert n >= len(self.uids), (n, len(self.uids))
                self.uids += [None] * (n - len(self.uids))
            elif what == b"EXPUNGE":
                assert not quiet, r
                self.flags.pop(self.uids.pop(n - 1), None)
            else:
                self.fetched(n, parse(r)[3])
        return reply

    def fetched(self, n, items):
        items = dict(zip(items[::2], items[1::2]))
        if "UID" in items:
            uid = int(items["UID"])
            assert self.uids[n - 1] in (None, uid), (self.uids, n, uid)
            self.uids[n - 1] = uid
        if "FLAGS" in items and self.uids[n - 1] is not None:
            self.flags[self.uids[n - 1]] = set(items["FLAGS"]) - {r"\Recent"}

    def some(self):
        """A message set, by number."""
        n = len(self.uids)
        a, b = self.random.randint(1, n), self.random.randint(1, n)
        return "%d:%d" % (a, b) if self.random.random() < .3 else str(a)

    def step(self):
        what = self.random.choice(
            "append append append store store store fetch check noop expunge "
            "copy move search uidstore".split())
        if not self.uids and what not in ("append", "noop"):
            what = "append"
        getattr(self, what)()

    def append(self):
        r = self.take(self.c.append(
            self.name, "Subject: %d\r\n\r\nbody\r\n" % len(self.appended)))
        self.appended.add(int(r.code_args.split()[1]))

    def store(self):
        flags = self.random.sample(FLAGS, self.random.randint(1, 3))
        self.take(self.c.cmd("STORE %s %sFLAGS (%s)" % (
            self.some(), self.random.choice(("", "+", "-")),
            " ".join(flags))), quiet=True)

    def uidstore(self):
        uid = self.random.choice(self.uids)
        if uid is not None:
            self.take(self.c.ok("UID STORE %d +FLAGS (\\Deleted)" % uid))

    def fetch(self):
        self.take(self.c.cmd("FETCH %s (UID FLAGS BODY.PEEK[])" % self.some()),
                  quiet=True)

    def search(self):
        r = self.take(self.c.ok("SEARCH ALL"), quiet=True)
        assert r.search() == list(range(1, len(r.search()) + 1)), r

    def check(self):
        """All that is known must be as it was told."""
        known = list(self.uids)
        r = self.c.cmd("FETCH 1:%d (UID)" % len(known))
        for n, items in r.fetched().items():
            assert known[n - 1] in (None, int(items["UID"])), (known, r)
        self.take(r, quiet=True)

    def noop(self):
        self.take(self.c.ok("NOOP"))

    def expunge(self):
        if self.random.random() < .3:
            self.take(self.c.ok("EXPUNGE"))

    def copy(self):
        self.take(self.c.cmd("COPY %s %s/other" % (self.some(), self.name)))

    def move(self):
        if self.random.random() < .3:
            self.take(self.c.cmd("MOVE %s %s/other" % (self.some(), self.name)))


class Stress(unittest.TestCase):
    def run_clients(self, workers, seed):
        with System(programs=("mailbox",), workers=workers,
                    conf={"mailbox": {"plaintext_login": True}}) as s:
            user = s.address("alice")
            with Imap(s.port["imap"]) as c:
                c.ok("LOGIN %s %s" % (user, PASSWORD))
                c.ok("CREATE box")
                c.ok("CREATE box/other")
            clients = [Client(s.port["imap"], user, "box", seed * 100 + i)
                       for i in range(CLIENTS)]
            problems = []

            def work(client):
                try:
                    for _ in range(STEPS):
                        client.step()
                except Exception as e:
                    problems.append("seed %d: %r" % (seed, e))

            threads = [threading.Thread(target=work, args=(c,))
                       for c in clients]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual([], problems)
            self.compare(clients, seed)
            for c in clients:
                c.c.close()

    def compare(self, clients, seed):
        for c in clients:
            c.noop()
            told = dict(c.flags)
            r = c.c.ok("FETCH 1:* (UID FLAGS)") if c.uids else None
            got = {int(i["UID"]): set(i["FLAGS"]) - {r"\Recent"}
                   for i in r.fetched().values()} if r else {}
            for uid, flags in told.items():
                self.assertEqual(flags, got[uid], "seed %d" % seed)
            c.state = sorted(got.items())
            self.assertEqual([n for n, _ in c.state],
                             [u for u in sorted(got)])
            self.assertEqual(len(c.uids), len(got))
        for c in clients[1:]:
            self.assertEqual(clients[0].state, c.state, "seed %d" % seed)

    def test_one_worker(self):
        self.run_clients(1, int(os.environ.get("PNEU_SEED", "1")))

    def test_three_workers(self):
        self.run_clients(3, int(os.environ.get("PNEU_SEED", "2")))


if __name__ == "__main__":
    unittest.main()
