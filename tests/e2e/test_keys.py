# SPDX-License-Identifier: ISC
"""Key pairs of accounts: the commands, and where a private key is in memory."""
import os
import re
import subprocess
import unittest

from pneu import BUILD, PASSWORD, System, until
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
        return r.stdout.strip()

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
        self.assertEqual(self.seal(), "")
        v = self.show()
        self.assertEqual((v["encryption"], v["has_key"], v["opened_by"],
                          v["has_recovery_key"]),
                         ("account", True, ["password"], False))
        text = self.ok("account", "show", ALICE)
        self.assertRegex(text, r"encryption +account\n")
        self.assertRegex(text, r"opened by +password\n +no recovery key")
        self.assertIn("OPENS SEALED MAIL", self.ok("password", "list", ALICE))
        # Again, it asks for nothing and changes nothing.
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


class Memory(unittest.TestCase):
    """With one worker, so that its sessions share what they have."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("guard", "mailbox"), accounts=("alice",),
                       conf=CHEAP)
        cls.s.pneu("account", "seal", ALICE, input=PASSWORD + "\n")
        out = subprocess.run(
            [os.path.join(BUILD, "tests", "privatekey"), cls.s.conf, ALICE,
             PASSWORD], check=True, capture_output=True, text=True).stdout
        cls.key = bytes.fromhex(out)

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

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


if __name__ == "__main__":
    unittest.main()
