# SPDX-License-Identifier: ISC
"""pneu-gateway: IMAP accounts elsewhere, at another pneu, at Dovecot (POP3 too),
and at servers that break off, refuse, stall and forget."""
import contextlib
import imaplib
import json
import random
import socket
import unittest

import test_copy
from imapraw import Dovecot, dovecot_is_here
from pneu import PASSWORD, PATIENCE, System, certificate, until
from test_copy import BOXES, DATE, MESSAGES, contents, fill, quote, some

SETTINGS = {"interval": "1h", "retry_first": "100ms", "retry_max": "200ms"}


def system(gateway=None, **kw):
    kw.setdefault("programs", ("mailbox", "gateway"))
    conf = {"tls": {"ca": kw.pop("ca", certificate()[0])},
            "gateway": {**SETTINGS, **(gateway or {})}, **kw.pop("conf", {})}
    return System(conf=conf, **kw)


class Server(test_copy.Server):
    """With IDLE: what comes is told."""

    def do_idle(self, s, f, tag, rest):
        known = len(self.boxes[self.box][1])
        self.send(s, "+ idling\r\n")
        s.settimeout(0.02)
        while True:
            now = len(self.boxes[self.box][1])
            if now != known:
                self.send(s, "* %d EXISTS\r\n" % now)
                known = now
            try:
                # Not by the file: that cannot be read on after a time-out.
                line = s.recv(100)
            except socket.timeout:
                continue
            if not line:
                return False
            s.settimeout(None)
            return self.ok(s, tag)


class Case(unittest.TestCase):
    def add(self, s, port, address, account="alice", *args, user="u",
            password="p", protocol="imap", security="none"):
        s.pneu("outside", "add", "--protocol", protocol, "--host", "127.0.0.1",
               "--port", str(port), "--security", security, "--user", user,
               *args, address, s.address(account), input=password + "\n")
        self.addCleanup(s.pneu, "outside", "remove", address, check=False)

    def show(self, s, address):
        return json.loads(s.pneu("outside", "show", "--json", address))

    def wait(self, s, address, state="ok", messages=None):
        def there():
            got = self.show(s, address)
            return got if got["state"] == state and (
                messages is None or got["messages"] == messages) else None
        return until(there, "%s %s %s" % (address, state, messages))

    def fetch(self, s, address):
        r = s.pneu("outside", "fetch", "--json", address, check=False)
        got = json.loads(r.stdout)
        return int(got["text"].split()[0]) if got["ok"] else got["text"]


class Real(Case):
    """What any server is to do; a subclass has one."""

    def run_account(self, s, port, user, password, there):
        for box in BOXES:
            self.assertEqual(there.select(quote(box), True)[0], "OK")
        n = len(MESSAGES) * len(BOXES)
        self.add(s, port, "whole@out.test", user=user, password=password,
                 security="starttls")
        self.wait(s, "whole@out.test", messages=n)
        here = s.imap("alice")
        want = contents(there, BOXES)
        self.assertEqual(contents(here, BOXES), want)
        self.assertEqual(self.fetch(s, "whole@out.test"), 0)
        # By itself, by IDLE: the interval is an hour.
        there.append("INBOX", "(\\Flagged $Label1)", DATE,
                     b"Subject: pushed\r\n\r\n")
        self.wait(s, "whole@out.test", messages=n + 1)
        # In another folder at the next look.
        there.append(quote("Work/2019"), "()", DATE, b"Subject: w\r\n\r\n")
        self.assertEqual(self.fetch(s, "whole@out.test"), 1)
        self.assertEqual(contents(here, BOXES), contents(there, BOXES))
        # Another UIDVALIDITY: fetched again, nothing twice.
        there.select("INBOX")
        there.delete(quote("Sent"))
        fill(there, ["Sent"])
        self.fetch(s, "whole@out.test")
        self.assertEqual(contents(here, ["Sent"]), contents(there, ["Sent"]))
        here.logout()


class Pneu(Real):
    def test_whole_account(self):
        with System(domain="old.test", programs=("mailbox",)) as other, \
                system() as s:
            with other.imap("alice") as there:
                fill(there)
                self.run_account(s, other.port["imap"], "alice@old.test",
                                 PASSWORD, there)


@unittest.skipUnless(dovecot_is_here(), "needs Debian's Dovecot, and root")
class AtDovecot(Real):
    @classmethod
    def setUpClass(cls):
        cls.peer = Dovecot()
        cls.addClassCleanup(cls.peer.close)

    def test_whole_account(self):
        with system(ca=self.peer.dir + "/cert.pem") as s:
            c = imaplib.IMAP4("127.0.0.1", self.peer.port["imap"], timeout=PATIENCE)
            c.login("user1@example.org", "pass1")
            fill(c)
            self.run_account(s, self.peer.port["imap"], "user1@example.org", "pass1",
                             c)
            c.logout()

    def test_pop3(self):
        with system(ca=self.peer.dir + "/cert.pem") as s:
            c = imaplib.IMAP4("127.0.0.1", self.peer.port["imap"], timeout=PATIENCE)
            c.login("user2@example.org", "pass2")
            fill(c, ["INBOX"])
            self.add(s, self.peer.port["pop3"], "pop@out.test", "bob",
                     user="user2@example.org", password="pass2",
                     protocol="pop3", security="starttls")
            self.wait(s, "pop@out.test", messages=len(MESSAGES))
            # A line without an end is none that POP3 could give.
            want = [m[0] if m[0].endswith(b"\r\n") else m[0] + b"\r\n"
                    for m in contents(c, ["INBOX"])["INBOX"]]
            self.assertEqual(s.messages("bob"), want)
            self.assertEqual(self.fetch(s, "pop@out.test"), 0)
            s.pneu("outside", "set", "--delete-after", "0", "pop@out.test")
            self.assertEqual(self.fetch(s, "pop@out.test"), 0)
            c.noop()
            self.assertEqual(c.select("INBOX")[1], [b"0"])
            c.logout()
            self.add(s, self.peer.port["pop3"], "no@out.test", "bob",
                     user="user2@example.org", password="wrong",
                     protocol="pop3", security="starttls")
            self.wait(s, "no@out.test", "login")


class Bad(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = system(accounts=("alice", "bob", "carol"))
        cls.addClassCleanup(cls.s.close)

    def check(self, server, address, n, box="INBOX", account="alice",
              into=None, refused=0, *args):
        """All of it, once."""
        into = into or address.split("@")[0]
        self.add(self.s, server.port, address, account, "--into", into, *args)
        self.wait(self.s, address, messages=n)
        want = [m[0] for u, m in sorted(server.boxes[box][1].items())]
        got = self.s.messages(account, into)
        self.assertEqual(len(got), n)
        if not refused:
            self.assertEqual(sorted(got), sorted(want))
        self.assertEqual(self.show(self.s, address)["refused"], refused)

    def test_breaks_off_in_a_literal(self):
        with Server({"INBOX": (1, some(7))}) as server:
            server.break_at = {1: 0, 3: 1000, 7: 5000}
            self.check(server, "broken@out.test", 7)
            # What had come was not asked for again.
            self.assertEqual(sorted(server.fetched), list(range(1, 8)))

    def test_breaks_off_at_one_each_time(self):
        with Server({"INBOX": (1, some(5))}) as server:
            server.break_at, server.break_times = {3: 10}, 100
            self.check(server, "stuck@out.test", 4, refused=1)

    def test_refuses_one(self):
        with Server({"INBOX": (1, some(5))}) as server:
            server.refused = {2}
            self.check(server, "refused@out.test", 4, refused=1)

    def test_octet_by_octet_and_noise(self):
        with Server({"INBOX": (1, some(3, 20))}) as server:
            server.step = 1
            server.before = b"* 9 EXPUNGE\r\n* OK [X {3}] y {4}\r\n* 3 EXISTS\r\n"
            self.check(server, "noise@out.test", 3)

    def test_names_of_folders(self):
        boxes = {"INBOX": (1, some(1, 1)), "INBOX.Gr&APYA3w-e": (1, some(2, 2)),
                 "INBOX.a.b": (2, some(3, 3)), "INBOX.Everything": (3, some(4)),
                 "INBOX.Gesendet": (4, some(1, 5))}
        with Server(boxes, capabilities="IMAP4rev1 NAMESPACE") as server:
            server.separator = "."
            server.attributes = {"INBOX.Everything": "\\All",
                                 "INBOX.Gesendet": "\\Sent"}
            self.add(self.s, server.port, "names@out.test", "carol")
            self.wait(self.s, "names@out.test", messages=7)
            for name, n in (("INBOX", 1), ("Gr&APYA3w-e", 2), ("a/b", 3),
                            ("Sent", 1)):
                self.assertEqual(len(self.s.messages("carol", name)), n, name)
            self.s.pneu("outside", "set", "--folder", "Everything", "--into",
                        "All", "names@out.test")
            self.wait(self.s, "names@out.test", messages=11)
            self.assertEqual(
                len(self.s.messages("carol", "All/Everything")), 4)

    def test_idle(self):
        messages = some(2)
        with Server({"INBOX": (1, messages)},
                    capabilities="IMAP4rev1 IDLE") as server:
            self.check(server, "idle@out.test", 2)
            until(lambda: "IDLE" in server.commands, "IDLE")
            connections = server.connections
            for i in range(3, 6):
                messages[i] = (b"Subject: %d\r\n\r\n" % i, "")
                self.wait(self.s, "idle@out.test", messages=i)
            self.assertEqual(server.connections, connections)
            # Asked for now, though it waits; paused, it goes.
            self.assertEqual(self.fetch(self.s, "idle@out.test"), 0)
            self.assertEqual(server.connections, connections)
            self.s.pneu("outside", "pause", "idle@out.test")
            until(lambda: "LOGOUT" in server.commands, "LOGOUT")
            self.s.pneu("outside", "resume", "idle@out.test")
            until(lambda: server.connections > connections, "it comes again")

    def test_idle_that_is_cut_each_time(self):
        messages = some(1)
        with Server({"INBOX": (1, messages)},
                    capabilities="IMAP4rev1 IDLE") as server:
            server.override["IDLE"] = "+ ok\r\n* BYE go away\r\n"
            self.check(server, "cut@out.test", 1)
            before = server.connections
            messages[2] = (b"Subject: late\r\n\r\n", "")
            self.wait(self.s, "cut@out.test", messages=2)
            # Not as fast as it goes: each time later.
            self.assertLess(server.connections - before, 50)

    def test_uidvalidity_changes_while_it_runs(self):
        with Server({"INBOX": (1, some(4))}) as server:
            self.check(server, "uidv@out.test", 4)
            server.boxes["INBOX"] = (2, {u + 10: m for u, m in
                                         some(5).items()})
            self.fetch(self.s, "uidv@out.test")
            self.assertEqual(len(self.s.messages("alice", "uidv")), 5)

    def test_what_servers_say(self):
        cases = (
            ({"greeting": "* BYE not today"}, {}, "retry"),
            ({"greeting": "220 smtp"}, {}, "retry"),
            ({}, {"AUTHENTICATE": "TAG NO [AUTHENTICATIONFAILED] no\r\n"},
             "login"),
            ({}, {"AUTHENTICATE": "TAG NO [UNAVAILABLE] later\r\n"}, "retry"),
            ({}, {"LIST": "TAG NO none\r\n"}, "retry"),
            ({}, {"LIST": "* BYE\r\n"}, "retry"),
            ({}, {"FETCH": "* 1 FETCH (UID 1 BODY[] {99999999999}\r\n* BYE\r\n"},
             "retry"),
            ({}, {"FETCH": "* 1 FETCH (" + "x" * 300000 + "\r\n"}, "retry"),
        )
        for i, (how, override, state) in enumerate(cases):
            with self.subTest(how=(how, str(override)[:80])), \
                    Server({"INBOX": (1, {1: (b"Subject: s%d\r\n\r\n" % i,
                                              "")})}, **how) as server:
                server.override = override
                address = "says%d@out.test" % i
                if any("BYE" in v for v in override.values()):
                    server.do_none = lambda *a: False
                    cut = override.copy()
                    server.override = {}
                    for verb in cut:
                        def end(s, f, tag, rest, text=cut[verb]):
                            server.send(s, text)
                            return False
                        setattr(server, "do_" + verb.lower(), end)
                self.add(self.s, server.port, address, "bob", "--into", "Says")
                self.wait(self.s, address, state)
                server.override, server.greeting = {}, "* OK hello"
                for verb in list(override):
                    server.__dict__.pop("do_" + verb.lower(), None)
                self.assertIn(self.fetch(self.s, address), (0, 1))
                self.assertEqual(self.show(self.s, address)["messages"], 1)
        self.assertEqual(len(self.s.messages("bob", "Says")), len(cases))


class Killed(Case):
    def test_exactly_once(self):
        """Gateway and mailbox are killed at random; a first look at a large
        account goes on where it was."""
        chance = random.Random(7)
        messages = {i: (b"Subject: k%d\r\n\r\n%s\r\n" % (
            i, b"x" * chance.choice((10, 5000, 90000))), "\\Seen")
            for i in range(1, 81)}
        with Server({"INBOX": (1, messages)}) as server, system() as s:
            self.add(s, server.port, "k@out.test")
            for i in range(6):
                at = len(server.fetched) + chance.randrange(1, 15)
                until(lambda: len(server.fetched) >= at or
                      self.show(s, "k@out.test")["state"] == "ok", "progress")
                program = "mailbox" if i % 2 else "gateway"
                s.kill(program)
                s.start(program)
            self.wait(s, "k@out.test")
            self.fetch(s, "k@out.test")
            self.assertEqual(sorted(s.messages("alice")),
                             sorted(m[0] for m in messages.values()))
            self.assertIn("no faults", s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
