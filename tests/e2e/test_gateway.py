# SPDX-License-Identifier: ISC
"""pneu-gateway: accounts elsewhere by POP3, at another pneu, at Dovecot, and at
servers that break off, lie and forget; and exactly once, whatever is killed."""
import json
import os
import random
import smtplib
import stat
import time
import unittest

from pneu import PASSWORD, PATIENCE, System, certificate, until
from pop3server import Pop3Server
from zone import TestZone

SETTINGS = {"interval": "1h", "retry_first": "100ms", "retry_max": "200ms"}


def system(gateway=None, **kw):
    kw.setdefault("programs", ("mailbox", "gateway"))
    conf = {"tls": {"ca": certificate()[0]},
            "gateway": {**SETTINGS, **(gateway or {})}, **kw.pop("conf", {})}
    return System(conf=conf, **kw)


def deliver(s, user, *messages):
    with smtplib.LMTP("127.0.0.1", s.port["lmtp"], timeout=PATIENCE) as c:
        for m in messages:
            c.sendmail("x@else.test", [s.address(user)], m)


class Case(unittest.TestCase):
    count = 0

    @classmethod
    def setUpClass(cls):
        cls.s = system(accounts=("alice", "bob", "carol", "dave"))
        cls.addClassCleanup(cls.s.close)

    def outside(self, *args, **kw):
        return self.s.pneu("outside", *args, **kw)

    def add(self, server, account="alice", *args, password="p", user="u",
            protocol="pop3", security="none"):
        """An outside account at a scripted server; its address."""
        Case.count += 1
        address = "u%d@out.test" % Case.count
        port = server if isinstance(server, int) else server.port
        self.outside(
            "add", "--protocol", protocol, "--host", "127.0.0.1", "--port",
            str(port), "--security", security, "--user", user, *args, address,
            self.s.address(account), input=password + "\n")
        self.addCleanup(self.outside, "remove", address, check=False)
        return address

    def show(self, address):
        return json.loads(self.outside("show", "--json", address))

    def fetch(self, address, want=None):
        """Number of messages, or the error."""
        r = self.outside("fetch", "--json", address, check=False)
        got = json.loads(r.stdout)
        self.assertEqual(r.returncode, 0 if got["ok"] else 1, r.stderr)
        got = int(got["text"].split()[0]) if got["ok"] else got["text"]
        if want is not None:
            self.assertEqual(got, want)
        return got

    def wait_state(self, address, state):
        return until(lambda: (lambda j: j if j["state"] == state else None)(
            self.show(address)), "%s %s" % (address, state))


class Pneu(Case):
    """Another pneu is a server as any other: here it is this one."""

    def test_what_is_there_comes_once_as_it_is(self):
        want = [b"Subject: %d\r\n\r\n.dots\r\n..\r\n\xff\xfe\r\n" % i + b"x" *
                size + b"\r\n" for i, size in enumerate((0, 70000, 400000))]
        deliver(self.s, "bob", *want)
        address = self.add(self.s.port["pop3s"], "alice", password=PASSWORD,
                           user="bob@example.test", security="tls")
        until(lambda: self.show(address)["messages"] == 3, "three messages")
        there = self.s.messages("bob")
        self.assertEqual(self.s.messages("alice"), there)
        self.fetch(address, 0)
        deliver(self.s, "bob", b"Subject: late\r\n\r\n")
        self.fetch(address, 1)
        self.assertEqual(self.s.messages("alice"), self.s.messages("bob"))
        # By STARTTLS too, and from the start, as ports that are not the usual
        # ones may be of two servers: it is all here.
        self.outside("set", "--port", str(self.s.port["pop3"]), "--security",
                     "starttls", address)
        self.fetch(address)
        self.fetch(address, 0)
        self.assertEqual(self.s.messages("alice"), self.s.messages("bob"))
        self.outside("remove", address)
        address = self.add(self.s.port["pop3"], "alice", password=PASSWORD,
                           user="bob@example.test", security="starttls")
        until(lambda: self.show(address)["state"] == "ok", "ok")
        self.assertEqual(self.s.messages("alice"), self.s.messages("bob"))

    def test_secrets_are_sealed_and_told_to_nobody(self):
        secret = "s3cret-and-long-enough-to-be-found"
        with Pop3Server([b"Subject: x\r\n\r\n"], password=secret) as server:
            address = self.add(server, "carol", password=secret)
            until(lambda: self.show(address)["state"] == "ok", "ok")
            data = os.path.join(self.s.dir, "data")
            key = os.path.join(data, "outside", "key")
            self.assertEqual(stat.S_IMODE(os.stat(key).st_mode), 0o600)
            self.assertEqual(os.path.getsize(key), 32)
            for folder, _, names in os.walk(self.s.dir):
                for name in names:
                    path = os.path.join(folder, name)
                    if stat.S_ISREG(os.stat(path).st_mode):
                        with open(path, "rb") as f:
                            self.assertNotIn(secret.encode(), f.read(), path)
            for args in (("list",), ("list", "--json"), ("show", address)):
                self.assertNotIn(secret, self.outside(*args))
            # Another key does not open it; it is the user's to say it again.
            with open(key, "rb+") as f:
                good = f.read()
                f.seek(0)
                f.write(bytes(b ^ 1 for b in good))
            self.assertIn("another key", self.fetch(address))
            self.assertEqual(self.show(address)["state"], "login")
            with open(key, "wb") as f:
                f.write(good)
            self.fetch(address, 0)

    def test_a_certificate_that_is_not_for_the_name(self):
        address = self.add(self.s.port["pop3s"], "dave", "--host",
                           "127.0.0.2", password=PASSWORD,
                           user="bob@example.test", security="tls")
        with self.s.imap("dave") as c:
            c.select()
        self.assertNotEqual(self.fetch(address), 0)
        self.assertEqual(self.show(address)["state"], "retry")
        r = self.outside("test", address, check=False)
        self.assertEqual(r.returncode, 1, r.stdout)

    def test_commands(self):
        with Pop3Server() as server:
            address = self.add(server, "dave")
            self.assertIn("signed in", self.outside("test", address))
            self.assertEqual(
                json.loads(self.outside("test", "--json", address)),
                {"ok": True, "error": ""})
            one, = json.loads(self.outside("list", "--json",
                                           "dave@example.test"))
            self.assertEqual((one["address"], one["port"]),
                             (address, server.port))
            self.outside("pause", address)
            self.assertEqual(self.show(address)["state"], "paused")
            self.assertIn("paused", self.fetch(address))
            self.outside("resume", address)
            self.fetch(address, 0)
            self.outside("set", "--interval", "2h", "--delete-after", "30",
                         address)
            one = self.show(address)
            self.assertEqual((one["interval_seconds"],
                              one["delete_after_days"]), (7200, 30))
            for args, text in (
                    (("add", "--protocol", "pop3", "--host", "h", address,
                      "dave@example.test"), "is there already"),
                    (("add", "--protocol", "pop3", "--host", "h", "a@b.test",
                      "nobody@example.test"), "no account"),
                    (("add", "--protocol", "nntp", "--host", "h", "a@b.test",
                      "dave@example.test"), "not a protocol"),
                    (("add", "--protocol", "pop3", "--host", "a b",
                      "a@b.test", "dave@example.test"), "host"),
                    (("add", "--host", "h", "a@b.test", "dave@example.test"),
                     "--protocol"),
                    (("show", "a@b.test"), "no such outside account"),
                    (("set", "--keep", "a@b.test"), "no outside account"),
                    (("remove", "a@b.test"), "no outside account"),
                    (("test", "a@b.test"), "no such outside account"),
                    (("fetch", "a@b.test"), "no such outside account")):
                r = self.outside(*args, input="x\n", check=False)
                self.assertNotEqual(r.returncode, 0, args)
                self.assertIn(text, r.stderr, args)
            self.outside("remove", address)
            self.assertEqual(json.loads(self.outside(
                "list", "--json", "dave@example.test")), [])

    def test_an_account_that_goes_and_comes(self):
        with Pop3Server([b"Subject: gone\r\n\r\n"]) as server:
            self.s.pneu("account", "add", "erin@example.test",
                        input=PASSWORD + "\n")
            address = self.add(server, "erin", "--pause")
            self.s.pneu("account", "set", "--disable", "erin@example.test")
            self.outside("resume", address)
            self.assertIn("5.2.1", self.fetch(address))
            self.s.pneu("account", "set", "--enable", "erin@example.test")
            until(lambda: self.show(address)["messages"] == 1, "message")


class Scripted(Case):
    def test_from_the_first_to_the_last_octet(self):
        odd = [b"\r\n", b".\r\n", b"Subject: nul\r\n\r\n\0\r\n",
               b"no header at all", b"Subject: " + b"x" * 5000 + b"\r\n\r\n",
               b"Subject: l\r\n\r\n" + b"y" * 300000]
        with Pop3Server(odd) as server:
            address = self.add(server, "carol", "--into", "Elsewhere/Pop")
            until(lambda: self.show(address)["messages"] == len(odd), "all")
            got = self.s.messages("carol", "Elsewhere/Pop")
            # IMAP has no NUL (RFC 3501 9): BODY[] shows it as 0x80.
            odd = [m.replace(b"\0", b"\x80") for m in odd]
            self.assertEqual(got, [m if m.endswith(b"\r\n") else m + b"\r\n"
                                   for m in odd])
            # Ids that are lost bring nothing twice.
            server.messages = [("new-%d" % i, m)
                               for i, (_, m) in enumerate(server.messages)]
            self.fetch(address)
            self.assertEqual(len(self.s.messages("carol", "Elsewhere/Pop")),
                             len(odd))
            # Without CR, as no server should send it.
            server.messages.append(("lf", b""))
            server.override["RETR"] = lambda arg: (
                b"+OK\r\nSubject: lf\n\n..x\n.\n"
                if int(arg) == len(odd) + 1 else None)
            self.fetch(address, 1)
            self.assertIn(b"Subject: lf\r\n\r\n.x\r\n",
                          self.s.messages("carol", "Elsewhere/Pop"))

    def test_breaks_off_in_the_middle(self):
        want = [b"Subject: b%d\r\n\r\n%s\r\n" % (i, b"z" * 3000)
                for i in range(5)]
        with Pop3Server(want) as server:
            server.break_at = {"id%d" % i: 1500 for i in range(5)}
            address = self.add(server, "bob", "--into", "Broken")
            until(lambda: self.show(address)["messages"] == 5, "all five")
            self.assertEqual(sorted(self.s.messages("bob", "Broken")), want)
            self.wait_state(address, "ok")
            self.assertEqual(sorted(server.retrieved),
                             ["id%d" % i for i in range(5)])

    def test_what_servers_say(self):
        """Each of these is an error that is told, and no more; then it goes
        on as if nothing had been."""
        cases = (
            ({"greeting": b"220 smtp\r\n"}, "retry", "not what was expected"),
            ({"greeting": b"-ERR [SYS/TEMP] later\r\n"}, "retry", "not now"),
            ({"override": {"CAPA": (b"",)}}, "retry",
             "closed"),
            ({"override": {"CAPA": b"+OK\r\n" + b"X\r\n" * 300}}, "retry",
             "expected"),
            ({"override": {"PASS": b"-ERR [IN-USE] busy\r\n"}}, "retry",
             "not now"),
            ({"override": {"PASS": b"-ERR [AUTH] no\r\n"}}, "login",
             "refuses"),
            ({"override": {"USER": b"+ what\r\n"}}, "retry", "expected"),
            ({"override": {"UIDL": b"-ERR none\r\n"}}, "retry", "no UIDL"),
            ({"override": {"UIDL": (b"+OK\r\n1 a\r\n",)}}, "retry",
             "closed"),
            ({"override": {"UIDL": (b"",)}}, "retry",
             "closed"),
            ({"override": {"RETR": b"what\r\n"}}, "retry", "expected"),
            ({"override": {"UIDL": b"+OK\r\n" + b"1" * 20000 + b"\r\n"}},
             "retry", "expected"),
        )
        for i, (how, state, text) in enumerate(cases):
            with self.subTest(how=str(how)[:100]), \
                    Pop3Server([b"Subject: c%d\r\n\r\n" % i], **how) as server:
                address = self.add(server, "dave", "--into", "Said")
                self.assertIn(text, str(self.fetch(address)))
                self.assertEqual(self.show(address)["state"], state)
                server.greeting, server.override = b"+OK\r\n", {}
                self.fetch(address)
                self.assertEqual(self.show(address)["messages"], 1)
        self.assertEqual(len(self.s.messages("dave", "Said")), len(cases))

    def test_one_that_is_refused_costs_itself(self):
        with Pop3Server([b"Subject: r%d\r\n\r\n" % i for i in range(3)],
                        override={"RETR": lambda n: b"-ERR no\r\n"
                                  if n == "2" else None}) as server:
            address = self.add(server, "bob", "--into", "Refused")
            until(lambda: self.show(address)["messages"] == 2, "two")
            self.wait_state(address, "ok")
            server.override.clear()
            self.fetch(address, 1)  # it is asked for again

    def test_too_large_is_passed_over_and_kept_there(self):
        with system(accounts=("alice",),
                    conf={"mailbox": {"max_size": "64K"}}) as s:
            own, self.s = self.s, s
            try:
                with Pop3Server([b"Subject: big\r\n\r\n" + b"x" * 99999 +
                                 b"\r\n", b"Subject: small\r\n\r\n"]) as server:
                    address = self.add(server, "alice", "--delete-after", "0")
                    until(lambda: self.show(address)["messages"] == 1, "one")
                    self.fetch(address, 0)
                    self.assertEqual(self.show(address)["refused"], 1)
                    self.assertEqual([m[0] for m in server.messages], ["id0"])
            finally:
                self.s = own

    def test_another_server_is_another(self):
        """Unique-ids are of a maildrop: what has one of those at another
        server was never here."""
        one = Pop3Server([b"Subject: of one\r\n\r\n"])
        two = Pop3Server([b"Subject: of two\r\n\r\n"])
        three = Pop3Server([b"Subject: of three\r\n\r\n"], user="u3")
        for server in one, two, three:
            self.addCleanup(server.close)
        address = self.add(one, "bob", "--into", "Moved", "--delete-after", "0")
        until(lambda: self.show(address)["messages"] == 1, "one")
        for n, server, *more in (2, two), (3, three, "--user", "u3"):
            self.outside("set", "--port", str(server.port), *more, address)
            until(lambda: self.show(address)["messages"] == n, "the other's")
        self.assertEqual(
            sorted(m[m.index(b"of "):].split()[1]
                   for m in self.s.messages("bob", "Moved")),
            [b"one", b"three", b"two"])
        until(lambda: not any(s.messages for s in (one, two, three)), "gone")

    def test_deleted_there_when_it_is_here(self):
        with Pop3Server([b"Subject: d%d\r\n\r\n" % i
                         for i in range(3)]) as server:
            address = self.add(server, "bob", "--into", "Del",
                               "--delete-after", "1")
            until(lambda: self.show(address)["messages"] == 3, "three")
            self.wait_state(address, "ok")
            self.assertEqual(len(server.messages), 3)  # not yet
            self.outside("set", "--delete-after", "0", address)
            self.fetch(address, 0)
            self.assertEqual(server.messages, [])
            self.assertEqual(len(self.s.messages("bob", "Del")), 3)

    def test_ways_to_sign_in(self):
        with Pop3Server([b"Subject: apop\r\n\r\n"], override={
                "APOP": b"+OK\r\n", "USER": b"-ERR\r\n"},
                greeting=b"+OK hi <1896.697170952@dbc.mtview.ca.us>\r\n"
                ) as server:
            address = self.add(server, "bob", "--into", "In", user="mrose",
                               password="tanstaaf")
            self.fetch(address)
            # RFC 1939 7 has this very example.
            self.assertIn("APOP mrose c4c9334bac560ecc979e58001b3e22fb",
                          server.commands)
        with Pop3Server([b"Subject: plain\r\n\r\n"], capa=["SASL PLAIN"],
                        override={"AUTH": b"+OK\r\n"}) as server:
            address = self.add(server, "bob", "--into", "In")
            self.fetch(address)
            self.assertIn("AUTH PLAIN AHUAcA==", server.commands)

    def test_stls_is_a_must_where_it_was_asked_for(self):
        with Pop3Server([b"Subject: t\r\n\r\n"], tls="stls") as server:
            address = self.add(server, "bob", "--into", "Tls",
                               security="starttls")
            self.fetch(address)
            self.wait_state(address, "ok")
            server.tls = None
            self.assertIn("no STLS", self.fetch(address))
            server.tls = "stls"
            server.override["STLS"] = b"+OK\r\n+OK injected\r\n"
            self.assertIn("plain text behind", self.fetch(address))
            self.assertFalse([c for c in server.commands if "PASS" in c and
                              server.tls is None])

    def test_a_new_password_is_tried_at_once(self):
        with Pop3Server([b"Subject: pw\r\n\r\n"], password="new") as server:
            address = self.add(server, "bob", "--into", "Pw", password="old")
            self.wait_state(address, "login")
            self.outside("set", "--password", address, input="new\n")
            self.wait_state(address, "ok")

    def test_by_itself_and_with_backoff(self):
        with Pop3Server() as server:
            address = self.add(server, "bob", "--into", "Self", "--interval",
                               "1s")
            self.wait_state(address, "ok")
            server.messages = [("late", b"Subject: late\r\n\r\n")]
            until(lambda: self.show(address)["messages"] == 1, "by itself")
        self.wait_state(address, "retry")
        self.assertIn("refused", self.show(address)["error"])


class Found(unittest.TestCase):
    """The servers of an address, from the address alone."""

    def test_by_table_and_by_dns(self):
        zones = {
            "own.lab": "_imaps._tcp SRV 10 0 1993 b.own.lab.\n"
                       "_imaps._tcp SRV 5 0 2993 a.own.lab.\n"
                       "_pop3s._tcp SRV 0 0 2995 a.own.lab.\n"
                       "_submissions._tcp SRV 0 0 2465 a.own.lab.",
            "old.lab": "_imaps._tcp SRV 0 0 0 .\n"
                       "_imap._tcp SRV 0 0 143 mail.old.lab.\n"
                       "_submission._tcp SRV 0 0 587 mail.old.lab.",
            "away.lab": "_imaps._tcp SRV 0 0 993 evil.else.lab.",
            "sure.lab": "_imaps._tcp SRV 0 0 993 mail.else.lab.",
            "hosted.lab": "@ MX 1 aspmx.l.google.com.",
            "none.lab": "@ MX 1 mx.none.lab.",
        }
        with TestZone(zones, signed=["sure.lab"]) as zone, \
                System(programs=(), start=False, conf=zone.conf()) as s:
            s.setup_accounts()

            def add(address, *args):
                r = s.pneu("outside", "add", "--pause", *args, address,
                           "alice@example.test", input="pw\n", check=False)
                if r.returncode != 0:
                    return r.stderr
                got = json.loads(s.pneu("outside", "show", "--json", address))
                smtp = got["smtp"] or {}
                return tuple(got[k] for k in (
                    "protocol", "host", "port", "security")) + tuple(
                        smtp.get(k) for k in ("host", "port", "security"))

            for args, want in (
                    (("a@gmail.com",),
                     ("imap", "imap.gmail.com", 993, "tls",
                      "smtp.gmail.com", 465, "tls")),
                    (("a@gmx.de", "--protocol", "pop3"),
                     ("pop3", "pop.gmx.net", 995, "tls",
                      "mail.gmx.net", 465, "tls")),
                    (("a@own.lab",),
                     ("imap", "a.own.lab", 2993, "tls",
                      "a.own.lab", 2465, "tls")),
                    (("b@own.lab", "--protocol", "pop3"),
                     ("pop3", "a.own.lab", 2995, "tls",
                      "a.own.lab", 2465, "tls")),
                    (("a@old.lab",),
                     ("imap", "mail.old.lab", 143, "starttls",
                      "mail.old.lab", 587, "starttls")),
                    (("a@sure.lab",),
                     ("imap", "mail.else.lab", 993, "tls", None, None, None)),
                    (("a@hosted.lab",),
                     ("imap", "imap.gmail.com", 993, "tls",
                      "smtp.gmail.com", 465, "tls"))):
                with self.subTest(args=args):
                    self.assertEqual(add(*args), want)
            self.assertIn("evil.else.lab for a@away.lab, which is in another "
                          "domain", add("a@away.lab"))
            self.assertEqual(add("a@away.lab", "--protocol", "imap", "--host",
                                 "evil.else.lab")[1], "evil.else.lab")
            self.assertIn("cannot be found", add("a@none.lab"))
            self.assertIn("cannot be found", add("a@nowhere.own.lab"))


class Killed(unittest.TestCase):
    def test_exactly_once(self):
        """Gateway and mailbox are killed at random while messages come in."""
        chance = random.Random(5)
        want = {b"k%d" % i: b"Subject: k%d\r\n\r\n%s\r\n" % (
            i, b"x" * chance.choice((10, 5000, 90000))) for i in range(50)}
        with Pop3Server(list(want.values())) as server, \
                system(accounts=("alice",)) as s:
            s.pneu("outside", "add", "--protocol", "pop3", "--host",
                   "127.0.0.1", "--port", str(server.port), "--security",
                   "none", "--user", "u", "o@out.test", "alice@example.test",
                   input="p\n")

            def so_far():
                return json.loads(s.pneu("outside", "show", "--json",
                                         "o@out.test"))

            for i in range(6):
                # At some message or other, wherever it stands then.
                at = len(server.retrieved) + chance.randrange(1, 8)
                until(lambda: len(server.retrieved) >= at or
                      so_far()["state"] == "ok", "progress")
                program = "mailbox" if i % 2 else "gateway"
                s.kill(program)
                s.start(program)
            until(lambda: so_far()["state"] == "ok", "the end")
            s.pneu("outside", "fetch", "o@out.test")
            self.assertEqual(sorted(s.messages("alice")),
                             sorted(want.values()))
            self.assertIn("no faults", s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
