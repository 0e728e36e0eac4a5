# SPDX-License-Identifier: ISC
"""Sending through outside accounts: msa checks, qm keeps, the gateway signs in
at the account's own server; what that says comes back to the sender."""
import json
import os
import smtplib
import subprocess
import unittest

from pneu import BUILD, PASSWORD, System, certificate, until
from scripted import Scripted

ADDRESS = "alice@out.test"
MESSAGE = (b"From: alice@out.test\r\nTo: x@else.test\r\nSubject: out\r\n"
           b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
           b"Message-ID: <1@out.test>\r\n\r\n.dot\r\nbody\r\n")


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(
            programs=("guard", "mailbox", "qm", "msa", "gateway"),
            conf={"tls": {"ca": certificate()[0]},
                  "gateway": {"interval": "1h"},
                  "qm": {"retry_first": "1s", "retry_max": "1s",
                         "smtp_port": 1}})
        cls.addClassCleanup(cls.s.close)

    def add(self, server, *args, password="secret"):
        # Nothing is fetched here: it is paused, which sending is not.
        self.s.pneu("outside", "add", "--pause", "--protocol", "pop3",
                    "--host", "127.0.0.1", "--port", "1", "--smtp-host",
                    "localhost", "--smtp-port", str(server.port), *args,
                    ADDRESS, "alice@example.test", input=password + "\n")
        self.addCleanup(self.s.pneu, "outside", "remove", ADDRESS)

    def queued(self):
        return json.loads(self.s.pneu("queue", "list", "--json"))

    def wait_sent(self, server, n=1):
        until(lambda: len(server.messages) >= n, "sent")
        until(lambda: not self.queued(), "empty queue")
        return server.messages

    def test_through_its_own_server(self):
        with Scripted(starttls="good", auth=ADDRESS + ":secret") as server:
            self.add(server, "--smtp-security", "starttls")
            self.assertEqual(self.s.submit("alice", ["x@else.test",
                                                     "y@other.test"],
                                           MESSAGE, ADDRESS), {})
            # One transaction, for whatever domains.
            message, = self.wait_sent(server)
            self.assertEqual(message.sender, ADDRESS)
            self.assertEqual(sorted(message.recipients),
                             ["x@else.test", "y@other.test"])
            self.assertTrue(message.tls)
            self.assertIn(b"\r\n\r\n.dot\r\nbody\r\n", message.data)
            # What is ours stays here.
            self.s.submit("alice", ["bob"], MESSAGE, ADDRESS)
            self.s.wait_message("bob", b"Subject: out")
            until(lambda: not self.queued(), "empty queue")
            self.assertEqual(len(server.messages), 1)
            show = json.loads(self.s.pneu("outside", "show", "--json",
                                          ADDRESS))
            self.assertEqual(show["smtp"], {
                "host": "localhost", "port": server.port,
                "security": "starttls"})

    def test_who_may(self):
        with Scripted(starttls="good", auth=ADDRESS + ":secret") as server:
            self.add(server, "--smtp-security", "starttls")
            for user, sender in (("bob", ADDRESS), ("alice", "bob@out.test")):
                with self.assertRaises(smtplib.SMTPSenderRefused) as e:
                    self.s.submit(user, ["x@else.test"], MESSAGE, sender)
                self.assertIn(b"5.7.1", e.exception.smtp_error)
            # Nobody is bob because he has a server for bob's address.
            theirs = "bob@example.test"
            self.s.pneu("outside", "add", "--pause", "--protocol", "pop3",
                        "--host", "127.0.0.1", "--smtp-host", "localhost",
                        "--smtp-port", str(server.port), theirs,
                        "alice@example.test", input="secret\n")
            self.addCleanup(self.s.pneu, "outside", "remove", theirs)
            with self.assertRaises(smtplib.SMTPSenderRefused) as e:
                self.s.submit("alice", ["bob"], MESSAGE, theirs)
            self.assertIn(b"5.7.1", e.exception.smtp_error)
            # Without a server to send through it is only fetched from.
            self.s.pneu("outside", "set", "--smtp-host", "none", ADDRESS)
            with self.assertRaises(smtplib.SMTPSenderRefused):
                self.s.submit("alice", ["x@else.test"], MESSAGE, ADDRESS)
            self.assertEqual(server.messages, [])

    def test_what_it_says_comes_back(self):
        with Scripted(starttls="good", auth=ADDRESS + ":secret",
                      rcpt={"no@else.test": "550 5.1.1 unknown"}) as server:
            self.add(server, "--smtp-security", "starttls")
            self.s.pneu("address", "add", "sales@example.test",
                        "alice@example.test")
            self.s.submit("alice", ["no@else.test", "yes@else.test"],
                          MESSAGE, ADDRESS)
            message, = self.wait_sent(server, 1)
            self.assertEqual(message.recipients, ["yes@else.test"])
            self.assertIn("550 5.1.1 unknown", self.s.log("qm"))

    def test_a_wrong_password_waits(self):
        with Scripted(starttls="good", auth=ADDRESS + ":new") as server:
            self.add(server, "--smtp-security", "starttls", password="old")
            self.s.submit("alice", ["x@else.test"], MESSAGE, ADDRESS)

            def reply():
                for m in self.queued():
                    for w in m["waiting"]:
                        if w["status"] == "4.7.8":
                            return w["reply"]
            self.assertIn("535", until(reply, "4.7.8"))
            self.s.pneu("outside", "set", "--password", ADDRESS,
                        input="new\n")
            self.wait_sent(server)

    def test_without_tls_nothing_is_said(self):
        with Scripted(auth=ADDRESS + ":secret") as server:
            self.add(server, "--smtp-security", "starttls")
            self.s.submit("alice", ["x@else.test"], MESSAGE, ADDRESS)
            until(lambda: any(w["status"].startswith("4.") and w["reply"]
                              for m in self.queued() for w in m["waiting"]),
                  "deferred")
            self.assertFalse([c for c in server.commands
                              if c.upper().startswith("AUTH")])
            self.assertEqual(server.messages, [])
            server.starttls = "good"
            self.wait_sent(server)

    def test_the_gateway_is_away(self):
        with Scripted(starttls="good", auth=ADDRESS + ":secret") as server:
            self.add(server, "--smtp-security", "starttls")
            self.s.stop("gateway")
            self.s.submit("alice", ["x@else.test"], MESSAGE, ADDRESS)
            until(lambda: any(w["reply"] for m in self.queued()
                              for w in m["waiting"]), "deferred")
            self.s.start("gateway")
            self.wait_sent(server)

    def test_only_what_msa_has_checked(self):
        """Mail that names the address but does not come from its user goes
        elsewhere: XOUTSIDE is not for others to say."""
        with Scripted(starttls="good", auth=ADDRESS + ":secret") as server:
            self.add(server, "--smtp-security", "starttls")
            with smtplib.SMTP("127.0.0.1", self.s.port["submission"]) as c:
                c.ehlo()
                self.assertNotIn("xoutside", c.esmtp_features)
            path = os.path.join(self.s.dir, "sock", "gateway.sock")
            with smtplib.LMTP(path) as c:
                with self.assertRaises(smtplib.SMTPRecipientsRefused):
                    c.sendmail(ADDRESS, ["x@else.test"], MESSAGE)
            self.assertEqual(server.messages, [])


if __name__ == "__main__":
    unittest.main()
