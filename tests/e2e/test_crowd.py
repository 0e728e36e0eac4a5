# SPDX-License-Identifier: ISC
"""Many peers at once, who do nothing or little: others are served meanwhile,
and memory comes back (docs/smtp.md, "Crowds")."""
import contextlib
import resource
import select
import socket
import unittest

from pneu import PATIENCE, System
from steady import SANITIZED, steady

SILENT = 300 if SANITIZED else 1500
RECIPIENTS = memoryview(b"RCPT TO:<bob@example.test>\r\n" * 1000)


def descriptors():
    """As many as we may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def connect(port):
    c = socket.create_connection(("127.0.0.1", port), PATIENCE)
    return c


def read_lines(c, n):
    """At least n lines; fails at the end of input."""
    got = b""
    while got.count(b"\n") < n:
        more = c.recv(4096)
        assert more, got
        got += more
    return got


@contextlib.contextmanager
def crowd(n, port, banner=True):
    """n connections, each with its banner read."""
    with contextlib.ExitStack() as stack:
        all_of_them = [stack.enter_context(connect(port)) for _ in range(n)]
        if banner:
            for c in all_of_them:
                read_lines(c, 1)
        yield all_of_them


def ask(connections, octets, lines):
    """The last line that each got."""
    for c in connections:
        c.sendall(octets)
    return [read_lines(c, lines).split(b"\r\n")[-2] for c in connections]


class Crowds(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        descriptors()
        # (Few recipients, for what comes behind them asks nobody.)
        cls.s = System(conf={"mta": {"max_per_address": 100000,
                                     "max_recipients": 100}})

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def test_silent_ones_at_each_port(self):
        for port in sorted(self.s.port):
            quiet = port in ("imaps", "pop3s", "submissions", "http")
            with self.subTest(port), steady(self.s):
                with crowd(SILENT, self.s.port[port], banner=not quiet):
                    with steady(self.s, 1 << 20):
                        pass

    def test_silence_after_rcpt_keeps_nobody_waiting(self):
        """More of them than mta has connections to guard."""
        with steady(self.s):
            with crowd(600, self.s.port["smtp"]) as them:
                for octets, lines, said in (
                        (b"EHLO x.test\r\n", 1, b"250"),
                        (b"MAIL FROM:<a@b.test>\r\n", 1, b"250 2.1.0"),
                        (b"RCPT TO:<bob@example.test>\r\n", 1, b"250 2.1.5"),
                        # And half a command behind the next.
                        (b"RCPT TO:<bob@example.test>\r\nRCPT TO:<", 1,
                         b"250 2.1.5")):
                    for got in ask(them, octets, lines):
                        self.assertEqual(got[:len(said)], said)
                with steady(self.s, 1 << 20):
                    pass
                # A whole line more, that asks nobody.
                ask(them, b"\r\nNOOP\r\n", 2)
                with steady(self.s, 1 << 20):
                    pass
                # Each goes on where it was.
                for got in ask(them, b"RCPT TO:<alice@example.test>\r\n", 1):
                    self.assertEqual(got[:9], b"250 2.1.5")

    def pour(self, left):
        """What they take; false: nothing for a while."""
        ready = select.poll()
        by_fd = {}
        for c in left:
            by_fd[c.fileno()] = c
            ready.register(c, select.POLLOUT)
        events = ready.poll(1000)
        for fd, _ in events:
            c = by_fd[fd]
            with contextlib.suppress(BlockingIOError):
                left[c] = left[c][c.send(left[c]):] or RECIPIENTS
        return events

    @unittest.skipIf(SANITIZED, "takes too long")
    def test_who_does_not_read_keeps_nobody_waiting(self):
        with steady(self.s):
            with contextlib.ExitStack() as stack:
                them = []
                for _ in range(300):
                    c = stack.enter_context(socket.socket())
                    # So that little fits into the kernel.
                    c.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    c.connect(("127.0.0.1", self.s.port["smtp"]))
                    read_lines(c, 1)
                    them.append(c)
                ask(them, b"EHLO x.test\r\n", 1)
                ask(them, b"MAIL FROM:<a@b.test>\r\n", 1)
                for c in them:
                    c.setblocking(False)
                left = {c: RECIPIENTS for c in them}
                # Until mta takes no more from any of them.
                while self.pour(left):
                    pass
                with steady(self.s, 1 << 20):
                    pass


if __name__ == "__main__":
    unittest.main()
