# SPDX-License-Identifier: ISC
"""Every mechanism at every door: submission, IMAP and POP3, with a client
written here from the RFCs, under TLS 1.2 and 1.3; and app passwords, their last
use and their revocation. EXTERNAL is in test_external, tokens in test_oauth."""
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import unittest

from pneu import PASSWORD, PATIENCE, System, tls_context, until

USER = "alice@example.test"


class No(Exception):
    """The server said no."""


# --- the doors: a dialogue of base64 over each protocol ---

class Door:
    """A connection under TLS, before signing in."""

    def __init__(self, system, version=None):
        context = tls_context()
        if version:
            context.minimum_version = context.maximum_version = version
        raw = socket.create_connection(("127.0.0.1", system.port[self.port]),
                                       timeout=PATIENCE)
        self.sock = context.wrap_socket(raw)
        self.file = self.sock.makefile("rb")
        self.greet()

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        return False

    def say(self, line):
        self.sock.sendall(line.encode() + b"\r\n")

    def hear(self):
        line = self.file.readline().decode().rstrip("\r\n")
        if not line:
            raise No("closed")
        return line

    def challenge(self, line, mark):
        """What stands behind the mark, decoded; None: it is none."""
        if not line.startswith(mark):
            return None
        return base64.b64decode(line[len(mark):].strip())

    def authenticate(self, mechanism, initial, respond):
        """respond(challenge) gives the next answer. Raises No."""
        first = None
        if initial is not None:
            first = base64.b64encode(initial).decode() or "="
        self.begin(mechanism, first)
        while True:
            line = self.hear()
            challenge = self.challenge(line, self.mark)
            if challenge is None:
                break
            self.say(base64.b64encode(respond(challenge)).decode())
        if not self.is_good(line):
            raise No(line)


class Submission(Door):
    port, mark = "submissions", "334"

    def greet(self):
        self.hear()
        self.say("EHLO client.test")
        self.mechanisms = []
        while True:
            line = self.hear()
            if line[4:].startswith("AUTH "):
                self.mechanisms = line[9:].split()
            if line[3] == " ":
                break

    def begin(self, mechanism, first):
        self.say("AUTH %s%s" % (mechanism, "" if first is None
                                else " " + first))

    def is_good(self, line):
        return line.startswith("235")


class Imap(Door):
    port, mark = "imaps", "+"

    def greet(self):
        self.mechanisms = re.findall(r"AUTH=(\S+?)[\] ]", self.hear() + " ")

    def begin(self, mechanism, first):
        self.say("a AUTHENTICATE %s%s" % (mechanism, "" if first is None
                                          else " " + first))

    def is_good(self, line):
        return line.startswith("a OK")


class Pop3(Door):
    port, mark = "pop3s", "+ "

    def greet(self):
        self.hear()
        self.say("CAPA")
        self.mechanisms = []
        while True:
            line = self.hear()
            if line.startswith("SASL "):
                self.mechanisms = line[5:].split()
            if line == ".":
                break

    def begin(self, mechanism, first):
        self.say("AUTH %s%s" % (mechanism, "" if first is None
                                else " " + first))

    def is_good(self, line):
        return line.startswith("+OK")


DOORS = (Submission, Imap, Pop3)
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


# --- the mechanisms: each signs in, or raises No ---

def plain(door, user, password):
    door.authenticate("PLAIN", b"\0%s\0%s" % (user.encode(),
                                              password.encode()), None)


def plain_late(door, user, password):
    """Without an initial response."""
    door.authenticate("PLAIN", None, lambda _: b"\0%s\0%s" % (
        user.encode(), password.encode()))


def login(door, user, password):
    answers = [user.encode(), password.encode()]
    door.authenticate("LOGIN", None, lambda _: answers.pop(0))


def cram_md5(door, user, password):
    door.authenticate("CRAM-MD5", None, lambda c: b"%s %s" % (
        user.encode(), hmac.new(password.encode(), c,
                                "md5").hexdigest().encode()))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


class Scram:
    """RFC 5802; `binding`: None, or (type, octets)."""

    def __init__(self, name, algorithm, binding=None, flag=b"n"):
        self.name, self.algorithm = name, algorithm
        self.binding = binding
        self.gs2 = (b"p=%s,," % binding[0].encode() if binding
                    else flag + b",,")

    def hmac(self, key, text):
        return hmac.new(key, text, self.algorithm).digest()

    def __call__(self, door, user, password):
        self.password, self.steps = password.encode(), 0
        self.nonce = base64.b64encode(os.urandom(15))
        self.bare = b"n=%s,r=%s" % (user.encode(), self.nonce)
        self.proved = False
        door.authenticate(self.name, self.gs2 + self.bare, self.respond)
        if not self.proved:
            raise AssertionError("the server did not prove itself")

    def respond(self, challenge):
        self.steps += 1
        return self.final(challenge) if self.steps == 1 else \
            self.check(challenge)

    def final(self, first):
        fields = dict(f.split(b"=", 1) for f in first.split(b","))
        assert fields[b"r"].startswith(self.nonce)
        salted = hashlib.pbkdf2_hmac(
            self.algorithm, self.password,
            base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        client = self.hmac(salted, b"Client Key")
        stored = hashlib.new(self.algorithm, client).digest()
        data = self.gs2 + (self.binding[1] if self.binding else b"")
        without = b"c=%s,r=%s" % (base64.b64encode(data), fields[b"r"])
        signed = b",".join((self.bare, first, without))
        self.verifier = base64.b64encode(
            self.hmac(self.hmac(salted, b"Server Key"), signed))
        proof = base64.b64encode(xor(client, self.hmac(stored, signed)))
        return without + b",p=" + proof

    def check(self, last):
        self.proved = last == b"v=" + self.verifier
        return b""


def scram_1(door, user, password):
    Scram("SCRAM-SHA-1", "sha1")(door, user, password)


def scram_256(door, user, password):
    Scram("SCRAM-SHA-256", "sha256")(door, user, password)


def unique(door):
    return "tls-unique", door.sock.get_channel_binding("tls-unique")


def scram_1_plus(door, user, password):
    Scram("SCRAM-SHA-1-PLUS", "sha1", unique(door))(door, user, password)


def scram_256_plus(door, user, password):
    Scram("SCRAM-SHA-256-PLUS", "sha256", unique(door))(door, user, password)


# name, the client's side, under which TLS. tls-exporter needs what Python's
# ssl does not give: our own client speaks it in test_auth.
MECHANISMS = (
    ("PLAIN", plain, None),
    ("PLAIN", plain_late, None),
    ("LOGIN", login, None),
    ("CRAM-MD5", cram_md5, None),
    ("SCRAM-SHA-1", scram_1, TLS12),
    ("SCRAM-SHA-1", scram_1, TLS13),
    ("SCRAM-SHA-256", scram_256, TLS12),
    ("SCRAM-SHA-256", scram_256, TLS13),
    ("SCRAM-SHA-1-PLUS", scram_1_plus, TLS12),
    ("SCRAM-SHA-256-PLUS", scram_256_plus, TLS12),
)


class Mechanisms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = s = System(conf={"accounts": {"scram_sha1": True}})
        try:
            s.pneu("account", "set", "--allow-cram-md5", USER)
            s.pneu("password", "set", USER, input=PASSWORD + "\n")
            # A key that came after the start is out of the sandbox.
            s.restart("mailbox")
            s.restart("msa")
        except BaseException:
            s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def sign_in(self, door, client, password, version=None):
        with door(self.s, version) as d:
            try:
                client(d, USER, password)
                return True
            except No:
                return False

    def test_each_at_each_door(self):
        for door in DOORS:
            for name, client, version in MECHANISMS:
                with self.subTest(door=door.__name__, mechanism=name,
                                  client=client.__name__, tls=version):
                    with door(self.s, version) as d:
                        self.assertIn(name, d.mechanisms)
                    self.assertTrue(
                        self.sign_in(door, client, PASSWORD, version))
                    self.assertFalse(
                        self.sign_in(door, client, "wrong", version))

    def test_a_binding_to_another_connection_is_refused(self):
        """Who stands between has two connections, and two bindings."""
        for door in DOORS:
            with self.subTest(door.__name__), door(self.s, TLS12) as other:
                binding = unique(other)
                scram = Scram("SCRAM-SHA-256-PLUS", "sha256", binding)
                self.assertFalse(self.sign_in(door, scram, PASSWORD, TLS12))

    def test_a_downgrade_is_noticed(self):
        """A client that could bind and was told that we cannot says so
        (flag y, RFC 5802 6): but we can."""
        for door in DOORS:
            for flag, good in ((b"n", True), (b"y", False)):
                with self.subTest(door=door.__name__, flag=flag):
                    scram = Scram("SCRAM-SHA-256", "sha256", flag=flag)
                    self.assertEqual(
                        self.sign_in(door, scram, PASSWORD), good)

    def test_unique_binds_nothing_under_tls_13(self):
        """RFC 9266 3: it is not defined there."""
        for door in DOORS:
            with self.subTest(door.__name__):
                scram = Scram("SCRAM-SHA-256-PLUS", "sha256",
                              ("tls-unique", b"x" * 12))
                self.assertFalse(self.sign_in(door, scram, PASSWORD, TLS13))

    def test_mechanisms_are_traced(self):
        for door, program in ((Submission, "msa"), (Imap, "mailbox"),
                              (Pop3, "mailbox")):
            self.assertTrue(
                self.sign_in(door, scram_256_plus, PASSWORD, TLS12))
        r = json.loads(self.s.pneu("why", "--json", "--last", "0", USER))
        good = {(x["program"], x["text"]) for x in r
                if x["kind"] == "auth" and x["code"] == 235 and
                x["rule"] == "SCRAM-SHA-256-PLUS"}
        self.assertEqual(good, {("msa", "signed in"), ("mailbox", "IMAP"),
                                ("mailbox", "POP3")})


class AppPasswords(unittest.TestCase):
    CLIENTS = (plain, scram_256)

    def setUp(self):
        self.s = System(workers=2)
        self.addCleanup(self.s.close)

    def passwords(self):
        return {p["name"]: p for p in json.loads(
            self.s.pneu("password", "list", "--json", USER))}

    def add(self, name, *options):
        return self.s.pneu("password", "set", "--generate", "--name", name,
                           *options, USER).strip()

    def signs_in(self, door, client, password):
        with door(self.s) as d:
            try:
                client(d, USER, password)
                return True
            except No:
                return False

    def test_scopes_hold_for_every_mechanism(self):
        scopes = {"submission": Submission, "imap": Imap, "pop3": Pop3}
        app = {name: self.add(name, "--scope", name) for name in scopes}
        app["two"] = self.add("two", "--scope", "imap,pop3")
        for client in self.CLIENTS:
            for name, password in app.items():
                for scope, door in scopes.items():
                    good = scope in ("imap", "pop3") if name == "two" \
                        else scope == name
                    self.assertEqual(
                        self.signs_in(door, client, password), good,
                        (name, scope, client.__name__))

    def test_last_use_and_revocation(self):
        phone, laptop = self.add("phone"), self.add("laptop")
        listed = self.passwords()
        self.assertIsNone(listed["phone"]["used"])
        for client in self.CLIENTS:
            for door in DOORS:
                self.assertTrue(self.signs_in(door, client, phone))
        listed = self.passwords()
        self.assertRegex(listed["phone"]["used"], r"^20\d\d-")
        self.assertIsNone(listed["laptop"]["used"])
        # At once, also where it was right a moment ago and is remembered.
        self.s.pneu("password", "remove", "--name", "phone", USER)
        for client in self.CLIENTS:
            for door in DOORS:
                for _ in range(2):  # of two workers
                    self.assertFalse(self.signs_in(door, client, phone))
                self.assertTrue(self.signs_in(door, client, laptop))
                self.assertTrue(self.signs_in(door, client, PASSWORD))
        self.assertEqual(set(self.passwords()), {"password", "laptop"})
        r = self.s.pneu("password", "remove", "--name", "phone", USER,
                        check=False)
        self.assertEqual(r.returncode, 1)
        # One of the same name is another: it was never used.
        again = self.add("phone")
        self.assertIsNone(self.passwords()["phone"]["used"])
        self.assertFalse(self.signs_in(Imap, plain, phone))
        self.assertTrue(self.signs_in(Imap, plain, again))
        until(lambda: self.passwords()["phone"]["used"], "its use")

    def test_a_changed_password_ends_the_old_one(self):
        self.assertTrue(self.signs_in(Imap, plain, PASSWORD))
        self.s.pneu("password", "set", USER, input="another one\n")
        for client in self.CLIENTS:
            for door in DOORS:
                self.assertFalse(self.signs_in(door, client, PASSWORD))
                self.assertTrue(self.signs_in(door, client, "another one"))


class Delays(unittest.TestCase):
    def test_each_mechanism_counts_at_each_door(self):
        """Whatever fails, wherever: one count, of the address and of the
        account."""
        with System(conf={"auth": {"exempt": [], "delay": "1ms",
                                   "block_address": 1000,
                                   "block_account": 1000}}) as s:
            n = 0
            for door in DOORS:
                for client in (plain, login, scram_256):
                    with door(s) as d:
                        with self.assertRaises(No):
                            client(d, USER, "wrong")
                    n += 1
                    seen = json.loads(s.pneu("auth", "list", "--json"))
                    self.assertEqual(
                        ([x["failed"] for x in seen["addresses"]],
                         [x["failed"] for x in seen["accounts"]]),
                        ([n], [n]), (door.__name__, client.__name__))
            # The next one waits longer than the first, at another door too.
            self.assertGreater(seen["accounts"][0]["delay_ms"], 1)


if __name__ == "__main__":
    unittest.main()
