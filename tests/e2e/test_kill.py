# SPDX-License-Identifier: ISC
"""SIGKILL to each program at random moments under load, or to one of several
workers. Then: what had a 250 is there exactly once with the right octets;
everything else at most once; what IMAP answered OK for is done.

PNEU_KILL_ROUNDS (default 6) kills of each program.
"""
import collections
import contextlib
import hashlib
import imaplib
import os
import random
import re
import signal
import smtplib
import threading
import unittest

from pneu import PASSWORD, System, children, tls_context, until

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


class Marker(threading.Thread):
    """An IMAP client that flags each message of Alice's, and copies it; notes
    what was answered OK. Whatever breaks, it comes again."""

    def __init__(self, system):
        super().__init__()
        self.s, self.ending = system, threading.Event()
        self.flagged, self.copied, self.tried = set(), set(), set()
        self.start()

    def session(self):
        c = self.s.imap("alice")
        c.select("INBOX")
        while not self.ending.is_set():
            c.noop()
            uids = c.uid("SEARCH", "ALL")[1][0].split()
            for uid in uids:
                if uid in self.tried or self.ending.is_set():
                    continue
                self.tried.add(uid)
                if c.uid("STORE", uid, "+FLAGS.SILENT",
                         r"(\Flagged)")[0] == "OK":
                    self.flagged.add(uid)
                if c.uid("COPY", uid, "Archive")[0] == "OK":
                    self.copied.add(uid)
        c.logout()

    def run(self):
        while not self.ending.is_set():
            with contextlib.suppress(OSError, imaplib.IMAP4.error):
                self.session()

    def finish(self):
        self.ending.set()
        self.join()

    def number(self, c, uid):
        text = c.uid("FETCH", uid, "(BODY.PEEK[])")[1][0][1]
        return re.search(rb"^X-Number: (\d+)\r$", text, re.M).group(1)

    def check(self, test):
        c = self.s.imap("alice")
        c.select("INBOX", readonly=True)
        flagged = set(c.uid("SEARCH", "FLAGGED")[1][0].split())
        test.assertLessEqual(self.flagged, flagged)
        test.assertLessEqual(flagged, self.tried)
        wanted = {self.number(c, uid) for uid in self.copied}
        c.logout()
        there = [re.search(rb"^X-Number: (\d+)\r$", m, re.M).group(1)
                 for m in self.s.messages("alice", "Archive")]
        test.assertEqual(len(there), len(set(there)), "copied twice")
        test.assertLessEqual(wanted, set(there))
        test.assertGreater(len(self.copied), 0)


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

    def test_one_worker_of_four(self):
        """The others go on, and a new one comes in its place."""
        with System(workers=4) as s:
            def workers(program):
                return set(children(s.process[program].pid))

            load, marker = Load(s, False), Marker(s)
            try:
                for i in range(2 * ROUNDS):
                    program = ("mailbox", "mta")[i % 4 == 3]
                    load.progress(random.randint(1, 12))
                    before = workers(program)
                    self.assertEqual(len(before), 4)
                    one = random.choice(sorted(before))
                    os.kill(one, signal.SIGKILL)
                    until(lambda: len(workers(program) - {one}) == 4,
                          "another worker")
                load.progress(5)
            finally:
                load.finish()
                marker.finish()
            self.check(s, load)
            marker.check(self)
            said = s.pneu("mail", "check")
            self.assertIn("no faults", said)

    def test_submission(self):
        self.run_kills(("qm", "mailbox", "msa"), True,
                       {"qm": {"retry_first": "200ms", "retry_max": "1s"}})


if __name__ == "__main__":
    unittest.main()
