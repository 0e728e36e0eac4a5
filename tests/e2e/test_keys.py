# SPDX-License-Identifier: ISC
"""Key pairs of accounts: the commands, where a private key is in memory, and
what opens sealed mail at which door."""
import os
import re
import subprocess
import unittest

import test_mechanisms
from imapraw import Imap
from pneu import BUILD, PASSWORD, System, until
from test_api import Api
from test_cli import Case

ALICE = "alice@example.test"
# The commands are looked at here, not what guessing costs.
CHEAP = {"accounts": {"hash_cost": 1, "scram_iterations": 4096}}


class Commands(Case):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=(), start=False, conf=CHEAP)
        cls.s.pneu("domain", "add", "example.test")

    def setUp(self):
        """Alice with a main password and one for her phone, no key pair."""
        self.ok("account", "add", ALICE, input="one\n")
        self.addCleanup(self.ok, "account", "remove", ALICE)
        self.ok("password", "set", "--name", "phone", "--scope", "imap", ALICE,
                input="two\n")

    def seal(self, *args):
        r = self.run_pneu("account", "seal", *args, ALICE, input="one\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        # What cannot be helped is said.
        self.assertIn('"phone" does not open', r.stderr)
        # Behind the recovery key, if any, stands what pneu-mailbox says.
        self.assertIn("0 of 0 messages", r.stdout)
        return r.stdout.splitlines()[0] if "--recovery" in args else None

    def show(self):
        return self.json("account", "show", "--json", ALICE)

    def test_a_pair_by_a_password(self):
        v = self.show()
        self.assertEqual((v["encryption"], v["has_key"], v["opened_by"]),
                         ("default", False, []))
        self.assertNotIn("opened by", self.ok("account", "show", ALICE))
        self.assertNotIn("SEALED", self.ok("password", "list", ALICE))
        self.fails(1, "account", "seal", ALICE, input="wrong\n",
                   says=["no password of"])
        self.fails(1, "account", "recovery", ALICE,
                   says=["no key pair", "pneu account seal"])
        self.seal()
        v = self.show()
        self.assertEqual((v["encryption"], v["has_key"], v["opened_by"],
                          v["has_recovery_key"]),
                         ("account", True, ["password"], False))
        text = self.ok("account", "show", ALICE)
        self.assertRegex(text, r"encryption +account\n")
        self.assertRegex(text, r"opened by +password\n +no recovery key")
        self.assertIn("OPENS SEALED MAIL", self.ok("password", "list", ALICE))
        # Again, it asks for nothing and goes on.
        self.ok("account", "seal", ALICE)
        self.fails(1, "account", "seal", "--recovery", ALICE,
                   says=["pneu account recovery"])
        self.assertEqual(self.show(), v)

    def test_a_change_needs_what_opens(self):
        self.seal()
        # One line only is taken for the old one.
        self.fails(1, "password", "set", ALICE, input="new\n",
                   says=["no password of", "--recovery", "--lose-sealed-mail"])
        self.fails(1, "password", "set", ALICE, input="two\nnew\n",
                   says=['"phone" does not open'])
        self.fails(64, "password", "set", ALICE, input="one\n",
                   says=["no password on standard input"])
        self.ok("password", "set", ALICE, input="one\nnew\n")
        self.ok("password", "set", "--name", "phone", "--scope", "imap", ALICE,
                input="new\nthree\n")
        app = self.ok("password", "set", "--name", "tablet", "--generate",
                      ALICE, input="three\n").strip()
        self.assertEqual(self.show()["opened_by"],
                         ["password", "phone", "tablet"])
        # What only sends needs nothing, and opens nothing.
        self.ok("password", "set", "--name", "printer", "--scope",
                "submission", ALICE, input="print\n")
        listed = {p["name"]: p["opens_sealed"] for p in
                  self.json("password", "list", "--json", ALICE)}
        self.assertEqual(listed, {"password": True, "phone": True,
                                  "tablet": True, "printer": False})
        self.ok("password", "set", ALICE, input=app + "\nagain\n")

    def test_recovery(self):
        key = self.seal("--recovery")
        self.assertRegex(key, r"\A([0-9a-z]{4}-){7}[0-9a-z]{4}\Z")
        self.assertIn("the recovery key", self.ok("account", "show", ALICE))
        self.fails(1, "password", "set", "--recovery", ALICE,
                   input=key[:-1] + "\nnew\n", says=["no recovery key"])
        typed = key.upper().replace("-", " ")
        self.ok("password", "set", "--recovery", ALICE,
                input=typed + "\nnew\n")
        # Forgotten, and with it a new one.
        r = self.run_pneu("account", "recovery", "--recovery", ALICE,
                          input=key + "\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.fails(1, "password", "set", "--recovery", ALICE,
                   input=key + "\nx\n", says=["not the recovery key"])
        self.ok("password", "set", "--recovery", ALICE,
                input=r.stdout.strip() + "\nnewer\n")
        self.ok("account", "recovery", "--remove", ALICE)
        self.assertFalse(self.show()["has_recovery_key"])
        self.ok("password", "set", ALICE, input="newer\nnewest\n")

    def test_what_is_given_up_is_said(self):
        self.seal()
        self.fails(1, "password", "remove", ALICE,
                   says=["last that opens", "pneu account recovery",
                         "--lose-sealed-mail"])
        r = self.run_pneu("password", "set", "--lose-sealed-mail", ALICE,
                          input="new\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("cannot be read by anybody any more", r.stderr)
        self.assertEqual(self.show()["opened_by"], ["password"])
        self.ok("password", "remove", "--lose-sealed-mail", ALICE)
        v = self.show()
        self.assertEqual((v["has_key"], v["opened_by"]), (False, []))
        self.assertRegex(self.ok("account", "show", ALICE),
                         r"encryption +account, once it has a key pair")
        self.fails(64, "account", "set", "--encryption", "both", ALICE,
                   says=["none, server, account or default"])
        self.ok("account", "set", "--encryption", "none", ALICE)
        self.assertEqual(self.show()["encryption"], "none")


class Looking(unittest.TestCase):
    """At where Alice's private key is."""

    @classmethod
    def seal(cls):
        cls.addClassCleanup(cls.s.close)
        cls.s.pneu("account", "seal", ALICE, input=PASSWORD + "\n")
        out = subprocess.run(
            [os.path.join(BUILD, "tests", "privatekey"), cls.s.conf, ALICE,
             PASSWORD], check=True, capture_output=True, text=True).stdout
        cls.key = bytes.fromhex(out)

    def processes(self):
        """All of mailbox."""
        pids, todo = [], [self.s.process["mailbox"].pid]
        while todo:
            pid = todo.pop()
            pids.append(pid)
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                todo += [int(p) for p in f.read().split()]
        return pids

    def places(self):
        """Where the key is in the memory of mailbox, all processes."""
        found = []
        for pid in self.processes():
            with open("/proc/%d/maps" % pid) as f:
                maps = [re.match(r"([0-9a-f]+)-([0-9a-f]+) r(.)", line)
                        for line in f]
            with open("/proc/%d/mem" % pid, "rb", 0) as mem:
                for m in filter(None, maps):
                    found += self.search(mem, int(m[1], 16), int(m[2], 16))
        return found

    def search(self, mem, start, end):
        if end - start > 1 << 30:  # reserved: LMDB's map, ASan's shadow
            return []
        try:
            mem.seek(start)
            octets = mem.read(end - start)
        except (OSError, OverflowError):
            return []
        return [start + m.start()
                for m in re.finditer(re.escape(self.key), octets)]


class Memory(Looking):
    """With one worker, so that its sessions share what they have."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("guard", "mailbox"), accounts=("alice",),
                       conf=CHEAP)
        cls.seal()

    def test_a_key_is_in_one_place_while_somebody_is_signed_in(self):
        self.assertEqual(self.places(), [])
        one = self.s.imap()
        self.assertEqual(len(self.places()), 1)
        other, third = self.s.imap(), self.s.pop3()
        self.assertEqual(len(self.places()), 1)
        one.logout()
        third.quit()
        other.noop()
        self.assertEqual(len(self.places()), 1)
        other.logout()
        until(lambda: self.places() == [], "the key to be wiped")
        # Out of the cache, where it is masked.
        one = self.s.imap()
        self.assertEqual(len(self.places()), 1)
        one.shutdown()  # gone without a word
        until(lambda: self.places() == [], "the key to be wiped")

    def test_what_fails_leaves_nothing(self):
        c = self.s.imap(login=False)
        with self.assertRaises(Exception):
            c.login(ALICE, PASSWORD + "x")
        self.assertEqual(self.places(), [])
        c.shutdown()


class Tokens(Looking):
    """The API: a token opens what the password did that it was made by."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("guard", "mailbox", "qm", "msa"),
                       accounts=("alice",), conf=dict(
                           CHEAP, mailbox={"compression": 0, "http_rate": 0}))
        cls.s.pneu("password", "set", "--name", "phone", ALICE,
                   input="phone\n")
        cls.seal()
        c = cls.s.imap()
        c.append("INBOX", None, None, b"Subject: quick\r\n\r\nsilver1\r\n")
        c.logout()

    def client(self, **more):
        api = Api(self.s.port["http"])
        api.sign_in(ALICE, **more)
        return api

    def message(self, api, mailbox="INBOX"):
        return api.call("GET", "/mailboxes/%s/messages/1" % (
            api.mailbox(mailbox)["id"]))

    def in_files(self, text, below=""):
        found = []
        for folder, _, names in os.walk(
                os.path.join(self.s.dir, "data", below)):
            for name in names:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue
                with open(path, "rb") as f:
                    if text in f.read():
                        found.append(path)
        return found

    def test_a_token_opens_what_its_password_did(self):
        api = self.client()
        status, got = self.message(api)
        self.assertEqual((status, got.get("text", "").strip()),
                         (200, "silver1"), got)
        # Only while a call runs, and in no file.
        self.assertEqual(self.places(), [])
        self.assertEqual(self.in_files(self.key), [])
        made = api.call("POST", "/tokens", {"scopes": ["read"]})[1]["token"]
        self.assertEqual(self.message(Api(api.port, made))[0], 200)
        got = self.message(self.client(password="phone"))
        self.assertEqual((got[0], got[1]["code"]), (403, "sealed"))

    def test_what_is_kept_is_sealed(self):
        api = self.client()
        status, got = api.call("POST", "/drafts", {
            "to": ["x@else.test"], "subject": "s", "text": "mercurial"})
        self.assertEqual(status, 201, got)
        self.assertEqual(self.message(api, "Drafts")[1]["text"].strip(),
                         "mercurial")
        status, got = api.call("POST", "/send", {
            "to": [ALICE], "subject": "s", "text": "mercurial"})
        self.assertEqual(status, 202, got)
        self.assertEqual(self.message(api, "Sent")[1]["text"].strip(),
                         "mercurial")
        until(lambda: self.message(api)[0] == 200, "its own copy")
        self.s.stop("mailbox")
        self.addCleanup(self.s.start, "mailbox")
        self.assertEqual(self.in_files(b"mercurial", "mails"), [])


class Doors(unittest.TestCase):
    """Sealed mail, read after every mechanism that shows a secret; and told to
    be sealed where what was shown opens nothing."""

    @classmethod
    def setUpClass(cls):
        cls.s = s = System(programs=("guard", "mailbox"), accounts=("alice",),
                           conf=dict(CHEAP, accounts=dict(
                               CHEAP["accounts"], scram_sha1=True)))
        cls.addClassCleanup(s.close)
        s.pneu("account", "set", "--allow-cram-md5", ALICE)
        s.pneu("password", "set", ALICE, input=PASSWORD + "\n")
        s.pneu("password", "set", "--name", "phone", ALICE, input="phone\n")
        c = s.imap()
        c.append("INBOX", None, None, b"Subject: quick\r\n\r\nsilver1\r\n")
        c.logout()
        s.pneu("account", "seal", ALICE, input=PASSWORD + "\n")
        # A key that came after the start is out of the sandbox.
        s.restart("mailbox")

    def test_each_mechanism_opens_it(self):
        for door in (test_mechanisms.Imap, test_mechanisms.Pop3):
            for name, client, version in test_mechanisms.MECHANISMS:
                with self.subTest(door=door.__name__, mechanism=name,
                                  client=client.__name__, tls=version), \
                        door(self.s, version) as d:
                    client(d, ALICE, PASSWORD)
                    self.assertIn("silver1", self.read(d))

    def read(self, door):
        """The message, and the end of the session."""
        door.say("RETR 1\r\nQUIT" if door.port == "pop3s" else
                 "a EXAMINE INBOX\r\nb FETCH 1 BODY[TEXT]\r\nc LOGOUT")
        return door.file.read().decode()

    def test_what_is_told_without_a_key(self):
        c = Imap(self.s.port["imaps"], tls=True)
        self.addCleanup(c.close)
        c.ok("LOGIN %s phone" % ALICE)
        c.ok("SELECT INBOX")
        for command in ("FETCH 1 ENVELOPE", "FETCH 1 BODYSTRUCTURE",
                        "FETCH 1 BODY[]", "FETCH 1 BODY[HEADER]",
                        "SEARCH TEXT silver1", "SEARCH SUBJECT quick",
                        "SEARCH NOT SUBJECT nope", "SEARCH SENTSINCE 1-Jan-2020",
                        "UID SEARCH RETURN (COUNT) BODY silver1"):
            with self.subTest(command):
                r = c.cmd(command)
                self.assertEqual((r.status, r.code), ("NO", "NOPERM"), r)
                self.assertNotRegex(b"".join(r.untagged), b"silver|quick")
        for command in ("FETCH 1 (UID FLAGS RFC822.SIZE INTERNALDATE)",
                        "SEARCH LARGER 1", "STORE 1 +FLAGS (\\Flagged)",
                        "COPY 1 Trash"):
            c.ok(command)
        with test_mechanisms.Pop3(self.s) as d:
            test_mechanisms.plain(d, ALICE, "phone")
            self.assertTrue(self.read(d).startswith("-ERR [SYS/PERM] "))


if __name__ == "__main__":
    unittest.main()
