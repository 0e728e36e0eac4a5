# SPDX-License-Identifier: ISC
"""pneu outside push: what comes for an account here is put into an outside
account, from another server's mail, ours, and by an alias; the queue keeps it
until the other side has said OK."""
import email
import imaplib
import json
import os
import re
import smtplib
import socket
import threading
import unittest

import test_copy
from imapraw import Dovecot, dovecot_is_here
from pneu import PASSWORD, PATIENCE, System, certificate, until

ADDRESS = "far@out.test"
MESSAGE = (b"From: x@else.test\r\nTo: alice@example.test\r\nSubject: %s\r\n"
           b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
           b"Message-ID: <%s@else.test>\r\n\r\nbody\r\n")


class Server(test_copy.Server):
    """Takes APPEND; `lose` replies to it are lost."""

    lose = 0
    said = None  # in place of OK
    tells = True  # APPENDUID
    change = staticmethod(lambda octets: octets)
    appended = staticmethod(lambda: None)  # before the reply

    def do_append(self, s, f, tag, rest):
        n = int(re.search(r"\{(\d+)\+?\}$", rest)[1])
        if not rest.endswith("+}"):
            self.send(s, "+ go on\r\n")
        octets = f.read(n)
        f.readline()
        if self.said:
            self.send(s, "%s %s\r\n" % (tag, self.said))
            return True
        messages = self.boxes["INBOX"][1]
        messages[len(messages) + 1] = (self.change(octets), "")
        self.appended()
        if self.lose:
            self.lose -= 1
            s.shutdown(socket.SHUT_RDWR)
            return False
        return self.ok(s, tag, "[APPENDUID 1 %d] done" % len(messages)
                       if self.tells else "done")

    def do_fetch(self, s, f, tag, rest):  # UID SEARCH, too
        if rest.startswith("UID SEARCH"):
            wanted = re.search(r"HEADER Message-ID \"(.*)\"$", rest)[1]
            found = [str(u) for u, (m, _) in self.boxes["INBOX"][1].items()
                     if wanted.encode() in m]
            self.send(s, "* SEARCH %s\r\n" % " ".join(found))
            return self.ok(s, tag)
        return super().do_fetch(s, f, tag, rest)

    def texts(self):
        return [m for m, _ in self.boxes["INBOX"][1].values()]


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(
            programs=("guard", "mailbox", "qm", "mta", "msa", "gateway"),
            accounts=("alice", "bob", "carol", "dave"),
            conf={"tls": {"ca": certificate()[0]},
                  "gateway": {"interval": "1h"},
                  "qm": {"retry_first": "200ms", "retry_max": "300ms",
                         "smtp_port": 1}})
        cls.addClassCleanup(cls.s.close)

    def push(self, port, account, *args, user="u", password="p",
             security="none"):
        s = self.s
        s.pneu("outside", "add", "--pause", "--protocol", "imap", "--host",
               "localhost", "--port", str(port), "--security", security,
               "--user", user, ADDRESS, s.address(account),
               input=password + "\n")
        self.addCleanup(s.pneu, "outside", "remove", ADDRESS)
        s.pneu("outside", "push", *args, ADDRESS)
        self.addCleanup(s.pneu, "outside", "push", "--stop", ADDRESS,
                        check=False)

    def queued(self):
        return json.loads(self.s.pneu("queue", "list", "--json"))

    def drained(self):
        until(lambda: not self.queued(), "empty queue")

    def test_here_and_there(self):
        s = self.s
        with System(domain="old.test", programs=("mailbox",)) as other:
            self.push(other.port["imap"], "alice", user="alice@old.test",
                      password=PASSWORD, security="starttls")
            s.pneu("address", "add", "sales@example.test",
                   "alice@example.test", "bob@example.test")
            self.addCleanup(s.pneu, "address", "remove", "sales@example.test")
            s.send("x@else.test", ["alice", "bob"], MESSAGE % (b"one", b"1"))
            s.send("x@else.test", ["sales"], MESSAGE % (b"two", b"2"))
            s.submit("bob", ["alice"], b"From: bob@example.test\r\n"
                     b"Subject: three\r\n\r\nbody\r\n")
            for text in (b"one", b"two", b"three"):
                there = other.wait_message("alice", b"Subject: " + text)
                self.assertIn(b"\r\n\r\nbody\r\n", there)
                s.wait_message("alice", b"Subject: " + text)
            there = email.message_from_bytes(
                other.wait_message("alice", b"Subject: one"))
            self.assertEqual(there["Return-Path"], "<x@else.test>")
            self.assertIn("example.test", there["Received"])
            self.drained()
            self.assertEqual(len(other.messages("alice")), 3)
            self.assertEqual(len(s.messages("bob")), 2)
            show = json.loads(s.pneu("account", "show", "--json",
                                     "alice@example.test"))
            self.assertEqual((show["push"], show["push_only"]),
                             ([ADDRESS], False))
            s.pneu("outside", "push", "--stop", ADDRESS)
            s.send("x@else.test", ["alice"], MESSAGE % (b"four", b"4"))
            s.wait_message("alice", b"Subject: four")
            self.drained()
            self.assertEqual(len(other.messages("alice")), 3)
            # Nobody was told of it: no report came to bob.
            self.assertEqual(len(s.messages("bob")), 2)

    @unittest.skipUnless(dovecot_is_here(), "no Dovecot")
    def test_dovecot(self):
        d = Dovecot()
        self.addCleanup(d.close)
        self.push(d.port["imap"], "carol", "--only", user="user1@example.org",
                  password="pass1")
        large = MESSAGE % (b"large", b"l") + b"0123456789abcde\r\n" * 40000
        self.s.send("x@else.test", ["carol"], large)

        c = imaplib.IMAP4("127.0.0.1", d.port["imap"])
        c.login("user1@example.org", "pass1")

        def there():
            return c.select("INBOX")[0] == "OK" and \
                c.uid("SEARCH", "SUBJECT", "large")[1][0]
        uid = until(there, "appended")
        got = c.uid("FETCH", uid, "(FLAGS BODY.PEEK[])")[1][0]
        self.assertTrue(got[1].endswith(large[large.index(b"From:"):]))
        self.assertNotIn(b"Seen", got[0])
        c.logout()
        self.drained()
        self.assertEqual(self.s.messages("carol"), [])

    def test_a_lost_reply_doubles_nothing(self):
        with Server({"INBOX": (1, {})}) as server:
            server.lose = 1
            self.push(server.port, "bob", "--only")
            self.s.send("x@else.test", ["bob"], MESSAGE % (b"lost", b"9"))
            until(lambda: any("SEARCH" in c for c in server.commands),
                  "looked for")
            self.drained()
            self.assertEqual(len(server.texts()), 1)
            # Refused for now: it is tried again.
            server.said = "NO [OVERQUOTA] full"
            self.s.send("x@else.test", ["bob"], MESSAGE % (b"full", b"10"))
            until(lambda: any("full" in w["reply"] for m in self.queued()
                              for w in m["waiting"]), "waits")
            server.said = None
            self.drained()
            self.assertEqual(len(server.texts()), 2)

    def gateway(self):
        """As qm speaks to it."""
        c = smtplib.LMTP(os.path.join(self.s.dir, "sock", "gateway.sock"))
        self.addCleanup(c.close)
        c.ehlo()
        return c

    def test_what_qm_did_not_hear_of(self):
        with Server({"INBOX": (1, {})}) as server:
            self.push(server.port, "bob", "--only")
            # Its 250 was lost, so it comes again; without a Message-ID nobody
            # could find out there.
            for _ in range(2):
                c = self.gateway()
                c.mail("x@else.test", ["XTRACE=" + "1" * 18])
                self.assertEqual(c.rcpt(ADDRESS + ".outside.invalid")[0], 250)
                self.assertEqual(c.data(b"Subject: once\r\n\r\nbody\r\n")[0],
                                 250)
            self.assertEqual(len(server.texts()), 1)

    def test_of_nobody_nothing_is_known(self):
        for verb in ("XSTATE", "XTEST", "XFETCH"):
            c = self.gateway()
            self.assertEqual(c.docmd(verb, "<nobody@out.test>")[0], 550)

    def test_what_cannot_be_put_in_stays_here(self):
        s = self.s
        with Server({"INBOX": (1, {})}) as server:
            self.push(server.port, "dave", "--only")
            server.said = "NO [TOOBIG] too big for us"
            s.send("x@else.test", ["dave"], MESSAGE % (b"big", b"20"))
            s.wait_message("dave", b"Subject: big")
            server.said = None
            # Not let in.
            server.override["AUTHENTICATE"] = "TAG NO wrong\r\n"
            server.override["LOGIN"] = "TAG NO wrong\r\n"
            s.send("x@else.test", ["dave"], MESSAGE % (b"login", b"21"))
            s.wait_message("dave", b"Subject: login")
            # Where it is here already it does not come twice.
            s.pneu("outside", "push", ADDRESS)
            s.send("x@else.test", ["dave"], MESSAGE % (b"both", b"22"))
            s.wait_message("dave", b"Subject: both")
            self.drained()
            self.assertEqual(len(s.messages("dave")), 3)
            self.assertEqual(server.texts(), [])
            server.override.clear()
        # Away: it waits, however the gateway ends meanwhile.
        s.send("x@else.test", ["dave"], MESSAGE % (b"away", b"23"))
        s.wait_message("dave", b"Subject: away")
        until(lambda: any(w["status"] == "4.4.0" for m in self.queued()
                          for w in m["waiting"]), "deferred")
        s.kill("gateway")
        s.start("gateway")
        with Server({"INBOX": (1, {})}) as server:
            s.pneu("outside", "set", "--port", str(server.port), ADDRESS)
            self.drained()
            self.assertEqual(len(server.texts()), 1)

    def test_what_is_refused(self):
        s = self.s
        s.pneu("outside", "add", "--pause", "--protocol", "pop3", "--host",
               "localhost", "p@out.test", s.address("bob"), input="p\n")
        self.addCleanup(s.pneu, "outside", "remove", "p@out.test")
        for args, said in ((["p@out.test"], "POP3"),
                           (["no@out.test"], "no outside account"),
                           (["p@out.test", "no@example.test"], "no account"),
                           (["--stop", "p@out.test"], "not pushed")):
            r = s.pneu("outside", "push", *args, check=False)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn(said, r.stderr)
        # What goes is not put into any more, and nobody hears of it.
        s.pneu("outside", "add", "--pause", "--protocol", "imap", "--host",
               "localhost", "i@out.test", s.address("bob"), input="p\n")
        s.pneu("outside", "push", "--only", "i@out.test", s.address("carol"))
        s.pneu("outside", "remove", "i@out.test")
        show = json.loads(s.pneu("account", "show", "--json",
                                 s.address("carol")))
        self.assertEqual((show["push"], show["push_only"]), ([], False))
        # From elsewhere nobody gets there.
        with s.smtp() as c:
            c.ehlo()
            c.mail("x@else.test")
            code, _ = c.rcpt("p@out.test.outside.invalid")
            self.assertEqual(code, 550)


class Back(unittest.TestCase):
    """What is put into an account that is fetched, too, is here once."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(
            programs=("guard", "mailbox", "qm", "mta", "gateway"),
            accounts=("alice", "bob", "carol", "dave", "erin"),
            conf={"tls": {"ca": certificate()[0]},
                  "gateway": {"interval": "1h", "compare": "0s",
                              "retry_first": "100ms", "retry_max": "200ms"},
                  "qm": {"retry_first": "200ms", "retry_max": "300ms",
                         "smtp_port": 1}})
        cls.addClassCleanup(cls.s.close)

    def begin(self, port, account, *args, only=(), user="u", password="p",
              security="none"):
        s, self.address = self.s, account + "@back.test"
        s.pneu("outside", "add", "--protocol", "imap", "--host", "localhost",
               "--port", str(port), "--security", security, "--user", user,
               *args, self.address, s.address(account), input=password + "\n")
        self.addCleanup(s.pneu, "outside", "remove", self.address)
        until(self.look, "a first look")
        s.pneu("outside", "push", *only, self.address)

    def look(self):
        return self.s.pneu("outside", "fetch", self.address,
                           check=False).returncode == 0

    def send(self, account, *numbers):
        for n in numbers:
            self.s.send("x@else.test", [account], MESSAGE % (b"b%d" % n, b"b%d" % n))

    def drained(self):
        until(lambda: not json.loads(self.s.pneu("queue", "list", "--json")),
              "empty queue")
        for _ in range(2):
            until(self.look, "a look")

    def subjects(self, account):
        return sorted(email.message_from_bytes(m)["Subject"]
                      for m in self.s.messages(account))

    def test_mirrored(self):
        with System(domain="old.test", programs=("mailbox",)) as other:
            self.begin(other.port["imap"], "alice", "--mirror",
                       user="alice@old.test", password=PASSWORD,
                       security="starttls")
            self.send("alice", 1, 2, 3)
            until(lambda: len(other.messages("alice")) == 3, "put in")
            self.drained()
            self.assertEqual(self.subjects("alice"), ["b1", "b2", "b3"])
            # And each is the one there: both ways.
            with self.s.imap("alice") as here, other.imap("alice") as there:
                here.select("INBOX")
                there.select("INBOX")
                here.store("1", "+FLAGS", "(\\Seen)")
                there.store("2:3", "+FLAGS", "(\\Flagged)")
                until(self.look, "a look")
                for c in (here, there):
                    c.select("INBOX")
                    flags = c.fetch("1:3", "(FLAGS)")[1]
                    self.assertEqual([b"Flagged" in f for f in flags].count(True), 2)
                    self.assertEqual([b"Seen" in f for f in flags].count(True), 1)

    def test_only_there_comes_here_once(self):
        with Server({"INBOX": (1, {})}) as server:
            self.begin(server.port, "bob", only=("--only",))
            self.send("bob", 1)
            until(lambda: server.texts(), "put in")
            self.drained()
            (got,) = self.s.messages("bob")
            self.assertTrue(got.startswith(b"Return-Path: <x@else.test>\r\n"))
            self.assertEqual(got.count(b"Return-Path:"), 1)

    def test_known_by_its_place(self):
        """A server that changes what it is given, and tells where it is."""
        with Server({"INBOX": (1, {})}) as server:
            server.change = lambda octets: b"X-Scanned: yes\r\n" + octets
            self.begin(server.port, "carol")
            self.send("carol", 1, 2)
            until(lambda: len(server.texts()) == 2, "put in")
            self.drained()
            self.assertEqual(self.subjects("carol"), ["b1", "b2"])

    def test_known_by_its_octets(self):
        """One that does not tell, and what is moved before it is met."""
        with Server({"INBOX": (1, {}), "Else": (2, {})}) as server:
            server.tells = False
            self.begin(server.port, "dave")
            self.send("dave", 1)
            until(lambda: server.texts(), "put in")
            self.drained()
            self.assertEqual(self.subjects("dave"), ["b1"])
            self.s.pneu("outside", "pause", self.address)
            self.send("dave", 2)
            until(lambda: len(server.texts()) == 2, "put in")
            server.boxes["Else"][1][1] = server.boxes["INBOX"][1].pop(2)
            self.s.pneu("outside", "resume", self.address)
            self.drained()
            self.assertEqual(self.subjects("dave"), ["b1", "b2"])
            with self.s.imap("dave") as c:
                self.assertNotEqual(c.select("Else")[1], [b"1"])

    def test_killed_before_it_is_noted(self):
        with Server({"INBOX": (1, {})}) as server:
            server.tells = False
            self.begin(server.port, "erin")
            dead = threading.Event()

            def kill():
                server.appended = lambda: None
                self.s.kill("gateway")
                dead.set()
            server.appended = kill
            self.send("erin", 1)
            self.assertTrue(dead.wait(PATIENCE))
            self.s.start("gateway")
            self.drained()
            self.assertEqual(len(server.texts()), 1)
            self.assertEqual(self.subjects("erin"), ["b1"])


if __name__ == "__main__":
    unittest.main()
