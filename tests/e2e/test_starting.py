# SPDX-License-Identifier: ISC
"""Every daemon, by each of the four ways to start."""
import json
import os
import shutil
import tempfile
import unittest

from pneu import BUILD, certificate
from starting import FourWays


class Daemon(FourWays):
    daemon = None

    def setUp(self):
        # Short: Unix socket paths are.
        self.dir = tempfile.mkdtemp(prefix="pneu-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, True)
        pem, key = certificate()
        # Nothing listens by configuration: several of one kind run at once.
        conf = {"hostname": "h.test", "data_dir": "data", "run_dir": "sock",
                "workers": 2, "tls": {"certificate": pem, "key": key},
                "mailbox": {"lmtp": []}, "guard": {"lmtp": []},
                "qm": {"lmtp": []}}
        self.conf = os.path.join(self.dir, "pneu.conf")
        with open(self.conf, "w") as f:
            json.dump(conf, f)

    @property
    def program(self):
        return [os.path.join(BUILD, "pneu-" + self.daemon), "-c", self.conf]


SMTP = [(b"EHLO client.test\r\n", rb"250 "), (b"NOOP\r\n", rb"250 "),
        (b"QUIT\r\n", rb"221 ")]
LMTP = [(b"LHLO client.test\r\n", rb"250 "), (b"QUIT\r\n", rb"221 ")]
IMAP = [(b"a CAPABILITY\r\n", rb"a OK "), (b"b LOGOUT\r\n", rb"b OK ")]
POP3 = [(b"NOOP\r\n", rb"-ERR"), (b"QUIT\r\n", rb"\+OK")]


class Mta(Daemon, unittest.TestCase):
    daemon, protocol = "mta", "smtp"
    greeting, dialogue = rb"220 h.test ", SMTP


class Guard(Daemon, unittest.TestCase):
    daemon, protocol = "guard", "lmtp"
    greeting, dialogue = rb"220 h.test ", LMTP


class Qm(Daemon, unittest.TestCase):
    daemon, protocol = "qm", "lmtp"
    greeting, dialogue = rb"220 h.test ", LMTP


class Submission(Daemon, unittest.TestCase):
    daemon, protocol = "msa", "submission"
    greeting, dialogue = rb"220 h.test ", SMTP


class Submissions(Daemon, unittest.TestCase):
    daemon, protocol, tls = "msa", "submissions", True
    greeting, dialogue = rb"220 h.test ", SMTP


class MailboxLmtp(Daemon, unittest.TestCase):
    daemon, protocol = "mailbox", "lmtp"
    greeting, dialogue = rb"220 h.test ", LMTP


class Imap(Daemon, unittest.TestCase):
    daemon, protocol = "mailbox", "imap"
    greeting, dialogue = rb"\* OK ", IMAP


class Imaps(Daemon, unittest.TestCase):
    daemon, protocol, tls = "mailbox", "imaps", True
    greeting, dialogue = rb"\* OK ", IMAP


class Pop3(Daemon, unittest.TestCase):
    daemon, protocol = "mailbox", "pop3"
    greeting, dialogue = rb"\+OK ", POP3


class Pop3s(Daemon, unittest.TestCase):
    daemon, protocol, tls = "mailbox", "pop3s", True
    greeting, dialogue = rb"\+OK ", POP3


if __name__ == "__main__":
    unittest.main()
