# SPDX-License-Identifier: ISC
"""A client that reads slowly costs a buffer, not what it reads."""
import os
import re
import socket
import subprocess
import unittest

from pneu import BUILD, System

MESSAGES = 60
ROOM = 8192  # KiB
MESSAGE = b"Subject: large\r\n\r\n" + (b"x" * 70 + b"\r\n") * 14000


def rss(pid):
    """KiB of the process, with what it has mapped of the store."""
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^VmRSS:\s+(\d+)", f.read(), re.M)[1])


@unittest.skipIf("san" in BUILD, "sanitizers keep memory")
class Slow(unittest.TestCase):
    def test_fetch_of_a_large_mailbox(self):
        with System(programs=("guard", "mailbox")) as s:
            c = s.imap()
            for _ in range(MESSAGES):
                c.append("INBOX", None, None, MESSAGE)
            c.select("INBOX", readonly=True)
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            pid = s.process["mailbox"].pid
            before = most = rss(pid)
            c.send(b"f FETCH 1:* (UID BODY.PEEK[])\r\n")
            left = MESSAGES * len(MESSAGE)
            while left > 0:
                left -= len(c.read(min(left, 1 << 20)))
                most = max(most, rss(pid))
            while not c.readline().startswith(b"f OK"):
                pass
            self.assertLess(most, before + ROOM)
            c.shutdown()

    def test_fetch_of_many_messages(self):
        """All that lies in rows, which are mapped."""
        n = 20000
        with System(programs=("guard", "mailbox"), start=False) as s:
            store = os.path.join(s.dir, "data", "mails")
            os.makedirs(os.path.dirname(store), exist_ok=True)
            subprocess.run([os.path.join(BUILD, "tests", "bigbox"), "pneu",
                            store, "alice@example.test", "0", str(n), "600"],
                           check=True, stdout=subprocess.DEVNULL)
            s.start_all()
            c = s.imap()
            c.select("INBOX", readonly=True)
            c.fetch("1:50", "(ENVELOPE)")
            pid = s.process["mailbox"].pid
            before = most = rss(pid)
            c.send(b"f FETCH 1:* (UID RFC822.SIZE ENVELOPE BODYSTRUCTURE)\r\n")
            lines = 0
            while not c.readline().startswith(b"f OK"):
                lines += 1
                if lines % 500 == 0:
                    most = max(most, rss(pid))
            self.assertEqual(lines, n)
            self.assertLess(most, before + ROOM)
            c.logout()


if __name__ == "__main__":
    unittest.main()
