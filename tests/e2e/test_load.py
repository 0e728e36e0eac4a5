# SPDX-License-Identifier: ISC
"""Ordinary mail beside thousands of connections to mta: none of it is lost, and
memory comes back. Smaller here than in `make torture` (tests/torture/load)."""
import os
import re
import resource
import subprocess
import unittest

from pneu import BUILD, System, tls_context
from steady import SANITIZED, steady
from test_crowd import ask, crowd, descriptors

CONNECTIONS = int(os.environ.get("PNEU_LOAD_CONNECTIONS",
                                 500 if SANITIZED else 1500))
MESSAGES = int(os.environ.get("PNEU_LOAD_MESSAGES",
                              500 if SANITIZED else 2000))
LIMIT_S = 1800


class Load(unittest.TestCase):
    def flood(self, s, n):
        """n messages of 4 KiB by 20 connections."""
        r = subprocess.run([os.path.join(BUILD, "tests", "smtpflood"),
                            "127.0.0.1:%d" % s.port["smtp"], "20", str(n),
                            "4096"], capture_output=True, text=True,
                           timeout=LIMIT_S)
        self.assertEqual(r.returncode, 0, r.stdout + r.stderr)
        print("%d connections: %s" % (CONNECTIONS, r.stdout.strip()))

    def count(self, s):
        c = s.imap("alice", login=False)
        c.login("recipient@b.example", "secret")
        typ, data = c.status("INBOX", "(MESSAGES)")
        c.logout()
        return int(re.search(rb"MESSAGES (\d+)", data[0])[1])

    def test_thousands_of_connections_beside_thousands_of_messages(self):
        descriptors()
        if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < CONNECTIONS + 500:
            self.skipTest("not as many descriptors")
        conf = {"mta": {"max_per_address": 100000, "max_mails": 0},
                "max_connections": 20000}
        with System(conf=conf) as s:
            s.pneu("domain", "add", "b.example")
            s.pneu("account", "add", "recipient@b.example", input="secret\n")
            port = s.port["smtp"]
            with steady(s):
                third = CONNECTIONS // 3
                with crowd(third, port) as silent, \
                        crowd(third, port) as asking, \
                        crowd(CONNECTIONS - 2 * third, port) as secure:
                    for c in silent[::2]:
                        c.sendall(b"EHLO half a li")
                    ask(asking, b"HELO x.test\r\n", 1)
                    ask(asking, b"MAIL FROM:<a@b.test>\r\n", 1)
                    for said in ask(asking, b"RCPT TO:<bob@example.test>\r\n",
                                    1):
                        self.assertEqual(said[:9], b"250 2.1.5")
                    ask(secure, b"HELO x.test\r\n", 1)
                    ask(secure, b"STARTTLS\r\n", 1)
                    context = tls_context()
                    for i in range(0, len(secure), 2):
                        secure[i] = context.wrap_socket(secure[i])
                    self.flood(s, MESSAGES)
                    # They are all still there.
                    ask(asking, b"RCPT TO:<alice@example.test>\r\n", 1)
                    ask(secure[::2], b"HELO x.test\r\n", 1)
                    for c in secure[::2]:
                        c.close()
                self.assertEqual(self.count(s), MESSAGES)


if __name__ == "__main__":
    unittest.main()
