# SPDX-License-Identifier: ISC
"""SIGKILL to each program at random moments under load. Then: what had a 250
is there exactly once with the right octets; everything else at most once.

PNEU_KILL_ROUNDS (default 6) kills of each program.
"""
import collections
import hashlib
import os
import random
import re
import smtplib
import threading
import unittest

from pneu import PASSWORD, System, tls_context, until

ROUNDS = int(os.environ.get("PNEU_KILL_ROUNDS", "6"))
CLIENTS = 6


def message(n, sender, to):
    body = hashlib.sha256(b"%d" % n).hexdigest() * random.randint(1, 200)
    lines = "\r\n".join(body[i:i + 76] for i in range(0, len(body), 76))
    return ("From: %s\r\nTo: %s\r\nSubject: kill\r\nX-Number: %d\r\n\r\n%s\r\n"
            % (sender, to, n, lines)).encode()


class Load:
    """Clients that send numbered messages until told to stop; every number
    is used once, whatever became of it."""

    def __init__(self, system, submit):
        self.s, self.submit = system, submit
        self.lock = threading.Lock()
        self.next, self.sent, self.acknowledged = 0, {}, {}
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.client)
                        for _ in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def connect(self):
        if not self.submit:
            return self.s.smtp()
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"], timeout=60)
        c.starttls(context=tls_context())
        c.login(self.s.address("alice"), PASSWORD)
        return c

    def client(self):
        c = None
        while not self.stop.is_set():
            to = random.choice(("alice", "bob"))
            with self.lock:
                n, self.next = self.next, self.next + 1
            text = message(n, self.s.address("alice"), self.s.address(to))
            with self.lock:
                self.sent[n] = (to, text)
            try:
                c = c or self.connect()
                c.sendmail(self.s.address("alice"), [self.s.address(to)], text)
                with self.lock:
                    self.acknowledged[n] = to
            except (smtplib.SMTPException, OSError):
                try:
                    c and c.close()
                finally:
                    c = None
        if c:
            c.close()

    def progress(self, n):
        """Wait until n more messages have been acknowledged."""
        goal = len(self.acknowledged) + n
        until(lambda: len(self.acknowledged) >= goal, "progress under load")

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join()


class Kill(unittest.TestCase):
    def check(self, system, load):
        def numbers():
            found = collections.defaultdict(list)
            for who in ("alice", "bob"):
                for m in system.messages(who):
                    match = re.search(rb"^X-Number: (\d+)\r$", m, re.M)
                    if match:
                        found[int(match.group(1))].append((who, m))
            return found

        found, missing = {}, []

        def complete():
            nonlocal found, missing
            found = numbers()
            missing = [n for n in load.acknowledged if n not in found]
            return not missing

        try:
            until(complete, "all acknowledged messages")
        except AssertionError:
            self.fail("acknowledged, and not there: %s" % missing)
        for n, copies in found.items():
            self.assertEqual(len(copies), 1, "message %d is there %d times"
                             % (n, len(copies)))
            who, octets = copies[0]
            to, text = load.sent[n]
            self.assertEqual(who, to)
            self.assertEqual(octets.split(b"\r\n\r\n", 1)[1],
                             text.split(b"\r\n\r\n", 1)[1], "message %d" % n)
        self.assertGreater(len(load.acknowledged), ROUNDS)

    def run_kills(self, programs, submit, conf=None, workers=1):
        with System(conf=conf, workers=workers) as s:
            load = Load(s, submit)
            try:
                for _ in range(ROUNDS):
                    for program in programs:
                        load.progress(random.randint(1, 12))
                        s.kill(program)
                        s.start(program)
                load.progress(5)
            finally:
                load.finish()
            if submit:
                s.pneu("queue", "flush")
                until(lambda: s.pneu("queue", "list", "--json").strip()
                      in ("", "[]"), "empty queue")
            self.check(s, load)

    def test_inbound(self):
        self.run_kills(("mailbox", "guard", "mta"), False)

    def test_inbound_with_workers(self):
        self.run_kills(("mailbox", "mta"), False, workers=2)

    def test_submission(self):
        self.run_kills(("qm", "mailbox", "msa"), True,
                       {"qm": {"retry_first": "200ms", "retry_max": "1s"}})


if __name__ == "__main__":
    unittest.main()
