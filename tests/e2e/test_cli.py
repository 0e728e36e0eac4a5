# SPDX-License-Identifier: ISC
"""The command pneu: domains, accounts, addresses and passwords; and that the
daemons see each change at once."""
import json
import os
import pty
import re
import select
import smtplib
import subprocess
import time
import unittest

from pneu import BUILD, PATIENCE, System, tls_context, until


class Case(unittest.TestCase):
    """One directory for all tests of a class, without any daemon."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=(), start=False)

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def run_pneu(self, *args, input=""):
        r = self.s.pneu(*args, input=input, check=False)
        # What ASan says of every program that has coroutines.
        r.stderr = re.sub(r"(?m)^==\d+==WARNING: ASan doesn't fully.*\n", "",
                          r.stderr)
        return r

    def ok(self, *args, input=""):
        r = self.run_pneu(*args, input=input)
        self.assertEqual((r.returncode, r.stderr), (0, ""), args)
        return r.stdout

    def fails(self, status, *args, input="", says=()):
        r = self.run_pneu(*args, input=input)
        self.assertEqual(r.returncode, status, (args, r.stdout, r.stderr))
        self.assertEqual(r.stdout, "")
        for text in says:
            self.assertIn(text, r.stderr)
        return r.stderr

    def json(self, *args):
        return json.loads(self.ok(*args))


class Empty(Case):
    def test_before_anything_is_there(self):
        for args in (("domain", "list"), ("account", "list"),
                     ("address", "list")):
            r = self.run_pneu(*args)
            self.assertEqual((r.returncode, r.stdout), (0, ""))
            self.assertIn("pneu %s add" % args[0], r.stderr)
            self.assertEqual(self.json(*args, "--json"), [])
        for args in (("domain", "show", "b.test"),
                     ("account", "show", "a@b.test"),
                     ("address", "show", "a@b.test"),
                     ("password", "list", "a@b.test")):
            self.fails(1, *args, says=["no domain b.test",
                                       "pneu domain add b.test"])

    def test_an_account_needs_its_domain(self):
        self.fails(1, "account", "add", "carol@example.test", input="x\n",
                   says=["no domain example.test",
                         "pneu domain add example.test"])


class Commands(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s.pneu("domain", "add", "example.test")
        cls.s.pneu("account", "add", "alice@example.test", input="demo\n")
        cls.s.pneu("account", "add", "--name", "Bob Büß", "--quota", "1.5G",
                   "--quota-messages", "1000", "bob@example.test",
                   input="demo")

    # --- domains ---

    def test_domain_life(self):
        self.ok("domain", "add", "life.test", "--catch-all", "bob@example.test")
        self.fails(1, "domain", "add", "LIFE.test", says=["exists"])
        self.assertEqual(self.json("domain", "show", "--json", "life.test")
                         ["catch_all"], ["bob@example.test"])
        self.ok("domain", "set", "life.test", "--no-catch-all", "--disable")
        d = self.json("domain", "show", "life.test", "--json")
        self.assertEqual((d["catch_all"], d["disabled"]), ([], True))
        self.assertRegex(d["created"], r"^20\d\d-\d\d-\d\dT.*Z$")
        self.assertIn("disabled", self.ok("domain", "show", "life.test"))
        self.ok("domain", "set", "life.test", "--enable")
        self.ok("domain", "remove", "life.test")
        self.fails(1, "domain", "show", "life.test", says=["no domain"])

    def test_domain_list(self):
        self.ok("domain", "add", "bücher.test")
        names = [d["name"] for d in self.json("domain", "list", "--json")]
        self.assertIn("xn--bcher-kva.test", names)
        out = self.ok("domain", "list")
        self.assertIn("bücher.test", out)
        # Aligned: every row's second column begins at the same place.
        rows = out.splitlines()
        at = rows[0].index("ACCOUNTS")
        for row in rows:
            self.assertEqual(row[at - 2:at], "  ", out)
            self.assertNotEqual(row[at], " ", out)
        self.ok("domain", "remove", "bücher.test")

    def test_domain_quota(self):
        self.ok("domain", "add", "--quota", "2G", "quota.test")
        self.ok("domain", "set", "quota.test", "--quota-messages", "1000")
        d = json.loads(self.ok("domain", "show", "--json", "quota.test"))
        self.assertEqual((d["quota_octets"], d["quota_messages"]),
                         (2 << 30, 1000))
        self.assertIn("2 GiB", self.ok("domain", "show", "quota.test"))
        self.fails(64, "domain", "set", "quota.test", "--quota", "lots")
        self.ok("domain", "set", "quota.test", "--quota", "none")
        d = json.loads(self.ok("domain", "show", "--json", "quota.test"))
        self.assertEqual((d["quota_octets"], d["quota_messages"]), (0, 1000))
        self.ok("domain", "remove", "quota.test")

    def test_domain_with_accounts_stays(self):
        self.fails(1, "domain", "remove", "example.test",
                   says=["pneu account list example.test"])

    def test_domain_near(self):
        self.fails(1, "domain", "show", "exmaple.test",
                   says=["did you mean example.test?"])

    def test_bad_domains(self):
        for name in ("exa mple", "[127.0.0.1]", "a..b", "-", ".", "x" * 300):
            self.fails(64, "domain", "add", "--", name)

    # --- accounts ---

    def test_account_life(self):
        self.ok("account", "add", "carol@example.test", input="secret\n")
        self.fails(1, "account", "add", "Carol@Example.TEST", input="x\n",
                   says=["exists", "pneu password set"])
        self.ok("account", "set", "carol@example.test", "--name", "Carol C.",
                "--quota", "500M", "--admin", "--disable")
        a = self.json("account", "show", "--json", "carol@example.test")
        self.assertEqual(
            (a["name"], a["quota_octets"], a["admin"], a["disabled"]),
            ("Carol C.", 500 << 20, True, True))
        self.assertEqual(a["passwords"], ["password"])
        self.ok("account", "set", "carol@example.test", "--quota", "none",
                "--no-admin", "--enable")
        a = self.json("account", "show", "--json", "carol@example.test")
        self.assertEqual((a["quota_octets"], a["admin"], a["disabled"]),
                         (0, False, False))
        self.ok("account", "remove", "carol@example.test")
        self.fails(1, "account", "remove", "carol@example.test",
                   says=["no account"])

    def test_account_grants(self):
        self.ok("account", "grant", "bob@example.test", "Alice@Example.TEST",
                "@example.test")
        r = self.s.pneu("account", "grant", "bob@example.test", "me@else.lab",
                        check=False)
        self.assertEqual(r.returncode, 0)
        self.assertIn("else.lab is not a domain of ours", r.stderr)
        a = self.json("account", "show", "--json", "bob@example.test")
        self.assertEqual(a["send_as"], ["alice@example.test", "@example.test",
                                        "me@else.lab"])
        self.assertIn("me@else.lab", self.ok("account", "show",
                                             "bob@example.test"))
        # Other changes leave them alone.
        self.ok("account", "set", "bob@example.test", "--quota-messages",
                "1000")
        self.ok("account", "revoke", "bob@example.test", "ME@else.lab",
                "@example.test")
        a = self.json("account", "show", "--json", "bob@example.test")
        self.assertEqual(a["send_as"], ["alice@example.test"])
        self.fails(1, "account", "revoke", "bob@example.test", "me@else.lab",
                   says=["was not granted"])
        self.fails(64, "account", "grant", "bob@example.test", "nobody",
                   says=["not an address"])
        self.fails(64, "account", "grant", "bob@example.test",
                   says=["usage"])
        self.fails(1, "account", "grant", "bbo@example.test", "a@b.lab",
                   says=["bob@example.test"])
        self.ok("account", "revoke", "bob@example.test",
                "alice@example.test")

    def test_account_list(self):
        out = self.ok("account", "list", "example.test")
        self.assertRegex(out, r"(?m)^ACCOUNT +NAME +QUOTA +MESSAGES +STATE$")
        self.assertRegex(
            out, r"(?m)^bob@example.test +Bob Büß +1.5 GiB +1000 +active$")
        names = [a["address"] for a in
                 self.json("account", "list", "--json")]
        self.assertEqual(names, sorted(names))
        self.assertIn("alice@example.test", names)
        self.fails(1, "account", "list", "exmple.test",
                   says=["did you mean example.test?"])

    def test_account_near(self):
        self.fails(1, "account", "show", "alcie@example.test",
                   says=["did you mean alice@example.test?"])
        self.fails(1, "account", "set", "bob@exmaple.test", "--admin",
                   says=["no domain exmaple.test",
                         "did you mean example.test?"])

    def test_generate(self):
        out = self.ok("account", "add", "--generate", "gen@example.test")
        self.assertRegex(out, r"^[2-9a-z]{5}(-[2-9a-z]{5}){3}\n$")
        self.ok("account", "remove", "gen@example.test")

    def test_no_password(self):
        self.ok("account", "add", "--no-password", "np@example.test")
        r = self.run_pneu("password", "list", "np@example.test")
        self.assertIn("nobody can sign in", r.stderr)
        self.assertEqual(self.json("password", "list", "--json",
                                   "np@example.test"), [])
        self.ok("account", "remove", "np@example.test")

    def test_bad_passwords_leave_nothing(self):
        for text in ("", "\n", "a\x07b\n", "x" * 501 + "\n", "\ud83d"):
            r = subprocess.run(
                [os.path.join(BUILD, "pneu"), "-c", self.s.conf, "account",
                 "add", "none@example.test"],
                input=text.encode("utf-8", "surrogatepass"),
                capture_output=True, timeout=PATIENCE)
            self.assertEqual(r.returncode, 64, text)
            self.assertIn(b"password", r.stderr)
        self.fails(1, "account", "show", "none@example.test")

    def test_password_is_no_argument(self):
        self.fails(64, "account", "add", "x@example.test", "secret",
                   says=["never an argument"])
        self.fails(64, "password", "set", "alice@example.test", "secret",
                   says=["never an argument"])
        self.fails(1, "account", "show", "x@example.test")

    def test_usage(self):
        for args in (("account", "add"), ("account", "set",
                     "alice@example.test"), ("account", "list", "a", "b"),
                     ("domain", "add"), ("domain", "set", "example.test"),
                     ("address", "add", "x@example.test"),
                     ("address", "add", "--blocked", "x@example.test", "y@z"),
                     ("account", "add", "--quota", "lots", "x@example.test"),
                     ("account", "set", "--admin", "--no-admin",
                      "alice@example.test"),
                     ("password", "set", "--scope", "mail",
                      "alice@example.test"),
                     ("account", "list", "--nonsense"),
                     ("account", "add", "no-address")):
            self.fails(64, *args)

    # --- addresses ---

    def test_address_life(self):
        self.ok("address", "add", "sales@example.test", "bob@example.test",
                "ALICE@example.test")
        a = self.json("address", "show", "--json", "sales@example.test")
        self.assertEqual(a["fate"], "forwarded")
        self.assertEqual([t["address"] for t in a["goes_to"]],
                         ["bob@example.test", "alice@example.test"])
        self.assertEqual(self.json("account", "show", "--json",
                                   "bob@example.test")["aliases"],
                         ["sales@example.test"])
        self.fails(1, "address", "add", "sales@example.test", "x@y.test",
                   says=["pneu address set sales@example.test"])
        self.ok("address", "set", "sales@example.test", "x@y.test")
        self.assertEqual(self.json("address", "list", "--json"),
                         [{"address": "sales@example.test", "blocked": False,
                           "targets": ["x@y.test"]}])
        self.ok("address", "set", "--blocked", "sales@example.test")
        self.assertIn("blocked", self.ok("address", "show",
                                         "sales@example.test"))
        self.assertIn("(blocked)", self.ok("address", "list"))
        self.ok("address", "remove", "sales@example.test")
        self.fails(1, "address", "show", "sales@example.test",
                   says=["no address"])

    def test_address_warns_of_what_is_not_there(self):
        r = self.run_pneu("address", "add", "dead@example.test",
                          "nobody@example.test")
        self.assertEqual(r.returncode, 0)
        self.assertIn("no nobody@example.test yet", r.stderr)
        self.fails(1, "address", "show", "deda@example.test",
                   says=["did you mean dead@example.test?"])
        self.ok("address", "remove", "dead@example.test")

    def test_an_address_is_one_thing(self):
        self.fails(1, "address", "add", "alice@example.test", "x@y.test",
                   says=["is an account"])
        self.fails(1, "address", "remove", "alice@example.test",
                   says=["is an account"])
        self.ok("address", "add", "one@example.test", "alice@example.test")
        self.fails(1, "account", "add", "one@example.test", input="x\n",
                   says=["alias", "pneu address remove one@example.test"])
        self.fails(1, "account", "show", "one@example.test",
                   says=["alias"])
        self.ok("address", "remove", "one@example.test")

    def test_removing_a_target_says_who_names_it(self):
        self.ok("account", "add", "gone@example.test", input="x\n")
        self.ok("address", "add", "who@example.test", "gone@example.test")
        r = self.run_pneu("account", "remove", "gone@example.test")
        self.assertEqual(r.returncode, 0)
        self.assertIn("who@example.test still names it", r.stderr)
        self.ok("address", "remove", "who@example.test")

    def test_address_show_explains_any(self):
        self.assertIn("alice@example.test", self.ok(
            "address", "show", "postmaster@example.test"))
        a = self.json("address", "show", "--json", "bob+Lists@example.test")
        self.assertEqual((a["fate"], a["account"], a["detail"]),
                         ("delivered", "bob@example.test", "Lists"))
        self.fails(1, "address", "show", "x@else.test", says=["no domain"])

    # --- passwords ---

    def test_passwords(self):
        out = self.ok("password", "set", "--name", "phone", "--scope",
                      "imap,submission", "--generate", "alice@example.test")
        self.assertRegex(out, r"^[-2-9a-z]{23}\n$")
        self.ok("password", "set", "alice@example.test", input="other\n")
        v = self.json("password", "list", "--json", "alice@example.test")
        self.assertEqual([(p["name"], p["scopes"]) for p in v], [
            ("password", ["imap", "pop3", "submission", "api"]),
            ("phone", ["imap", "submission"])])
        self.assertRegex(self.ok("password", "list", "alice@example.test"),
                         r"(?m)^phone +imap, submission +20")
        self.fails(1, "password", "remove", "--name", "phon",
                   "alice@example.test", says=['did you mean "phone"?'])
        self.ok("password", "remove", "--name", "phone", "alice@example.test")
        self.fails(1, "password", "remove", "--name", "phone",
                   "alice@example.test")
        self.fails(1, "password", "set", "alcie@example.test", input="x\n",
                   says=["did you mean alice@example.test?"])

    def test_nothing_secret_is_in_the_database(self):
        self.ok("account", "add", "leak@example.test",
                input="Xyzzy-plugh-1234\n")
        folder = os.path.join(self.s.dir, "data", "accounts")
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    self.assertNotIn(b"plugh", f.read(), name)
        self.ok("account", "remove", "leak@example.test")


class Prompt(Case):
    """At a terminal: twice, without echo."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s.pneu("domain", "add", "example.test")
        cls.s.pneu("account", "add", "alice@example.test", input="demo\n")

    def terminal(self, answers):
        """Answer each prompt; (exit status, all that the terminal showed)."""
        pid, fd = pty.fork()
        if pid == 0:
            os.execv(os.path.join(BUILD, "pneu"),
                     ["pneu", "-c", self.s.conf, "password", "set",
                      "alice@example.test"])
        shown, answers = b"", list(answers)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not select.select([fd], [], [], 1)[0]:
                continue
            try:
                got = os.read(fd, 4096)
            except OSError:
                break
            if not got:
                break
            shown += got
            if answers and re.search(rb"(: )$", shown):
                os.write(fd, answers.pop(0))
        _, status = os.waitpid(pid, 0)
        os.close(fd)
        return status, shown.decode()

    def test_asked_twice_and_not_shown(self):
        status, shown = self.terminal([b"hidden-1\n", b"hidden-1\n"])
        self.assertEqual(status, 0, shown)
        self.assertIn("Password for alice@example.test: ", shown)
        self.assertNotIn("hidden", shown)

    def test_two_that_differ(self):
        before = self.ok("password", "list", "--json", "alice@example.test")
        status, shown = self.terminal([b"hidden-1\n", b"hidden-2\n"])
        self.assertEqual(os.WEXITSTATUS(status), 64)
        self.assertIn("not the same", shown)
        self.assertNotIn("hidden", shown)
        self.assertEqual(before, self.ok("password", "list", "--json",
                                         "alice@example.test"))

    def test_interrupted(self):
        status, shown = self.terminal([b"half\x03"])
        self.assertTrue(os.WIFSIGNALED(status), shown)


class Daemons(unittest.TestCase):
    """A daemon that was there before the database, and every change seen."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("msa",), start=False, workers=2)
        cls.s.start("msa")

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def sign_in(self, user, password):
        """The reply code to AUTH, on a connection of its own."""
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=PATIENCE) as c:
            c.starttls(context=tls_context())
            c.ehlo()
            c.user, c.password = user, password
            try:
                return c.auth("PLAIN", c.auth_plain)[0]
            except smtplib.SMTPAuthenticationError as e:
                return e.smtp_code

    def test_changes_are_seen_at_once(self):
        alice = "alice@example.test"
        self.assertEqual(self.sign_in(alice, "one"), 454)
        self.s.pneu("domain", "add", "example.test")
        self.s.pneu("account", "add", alice, input="one\n")
        self.assertEqual(self.sign_in(alice, "one"), 235)
        self.assertEqual(self.sign_in(alice, "two"), 535)
        self.s.pneu("password", "set", alice, input="two\n")
        self.assertEqual(self.sign_in(alice, "one"), 535)
        self.assertEqual(self.sign_in(alice, "two"), 235)
        app = self.s.pneu("password", "set", "--name", "app", "--scope",
                          "submission", "--generate", alice).strip()
        self.assertEqual(self.sign_in(alice, app), 235)
        self.assertEqual(self.sign_in(alice, "two"), 235)
        self.s.pneu("password", "set", "--name", "app", "--scope", "imap",
                    alice, input=app + "\n")
        self.assertEqual(self.sign_in(alice, app), 535)
        self.s.pneu("password", "remove", "--name", "app", alice)
        self.assertEqual(self.sign_in(alice, app), 535)
        self.s.pneu("account", "set", "--disable", alice)
        self.assertEqual(self.sign_in(alice, "two"), 535)
        self.s.pneu("account", "set", "--enable", alice)
        self.assertEqual(self.sign_in(alice, "two"), 235)
        self.s.pneu("domain", "set", "--disable", "example.test")
        self.assertEqual(self.sign_in(alice, "two"), 535)
        self.s.pneu("domain", "set", "--enable", "example.test")
        self.s.pneu("account", "remove", alice)
        self.assertEqual(self.sign_in(alice, "two"), 535)
        log = self.s.log("msa")
        for secret in ("two", app):
            self.assertNotIn("=" + secret, log)


if __name__ == "__main__":
    unittest.main()
