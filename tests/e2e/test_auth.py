# SPDX-License-Identifier: ISC
"""Signing in, at every door, and by our own client at our own door."""
import base64
import imaplib
import json
import os
import poplib
import smtplib
import unittest

from pneu import PASSWORD, PATIENCE, System, certificate, tls_context, until


class Smarthost(unittest.TestCase):
    def test_qm_signs_in_by_scram_bound_to_tls(self):
        """A queue without accounts relays over another system's submission,
        without its password ever crossing."""
        with System() as hub:
            password = os.path.join(hub.dir, "password")
            with open(password, "w") as f:
                f.write(PASSWORD + "\n")
            edge = System(domain="edge.test", accounts=(),
                          programs=("guard", "qm"), start=False,
                          conf={"tls": {"ca": certificate()[0]},
                                "qm": {"smarthost": "localhost:%d" %
                                       hub.port["submission"],
                                       "smarthost_user": "alice@example.test",
                                       "smarthost_password_file": password}})
            with edge:
                edge.setup_accounts()
                edge.start("guard")
                edge.start("qm")
                path = os.path.join(edge.dir, "sock", "qm.sock")
                with smtplib.LMTP(path) as c:
                    c.sendmail("alice@example.test", ["bob@example.test"],
                               b"From: alice@example.test\r\n"
                               b"Subject: over scram\r\n\r\nhi\r\n")
                hub.wait_message("bob", b"over scram")
            self.assertIn("mechanism=SCRAM-SHA-256-PLUS", hub.log("msa"))


class Doors(unittest.TestCase):
    """The same passwords at submission, IMAP and POP3, each for its scope."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(workers=2)
        cls.app = {
            scope: cls.s.pneu("password", "set", "--generate", "--name",
                              scope, "--scope", scope,
                              "alice@example.test").strip()
            for scope in ("imap", "pop3", "submission")}

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def imap(self, password, mechanism=None):
        c = imaplib.IMAP4_SSL("127.0.0.1", self.s.port["imaps"],
                              ssl_context=tls_context(), timeout=PATIENCE)
        try:
            if mechanism is None:
                c.login("alice@example.test", password)
            else:
                c.authenticate("PLAIN", lambda _: (
                    "\0alice@example.test\0" + password).encode())
            return True
        except imaplib.IMAP4.error:
            return False
        finally:
            c.shutdown()

    def pop3(self, password):
        c = poplib.POP3_SSL("127.0.0.1", self.s.port["pop3s"],
                            context=tls_context(), timeout=PATIENCE)
        try:
            c.user("alice@example.test")
            c.pass_(password)
            return True
        except poplib.error_proto:
            return False
        finally:
            c.close()

    def submission(self, password):
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=PATIENCE) as c:
            c.starttls(context=tls_context())
            try:
                c.login("alice@example.test", password)
                return True
            except smtplib.SMTPAuthenticationError:
                return False

    def test_each_password_opens_its_doors(self):
        doors = {"imap": self.imap, "pop3": self.pop3,
                 "submission": self.submission}
        for door, sign_in in doors.items():
            self.assertTrue(sign_in(PASSWORD), door)
            self.assertFalse(sign_in("wrong"), door)
            for scope, password in self.app.items():
                self.assertEqual(sign_in(password), scope == door,
                                 (scope, door))
        self.assertTrue(self.imap(self.app["imap"], "PLAIN"))

    def test_no_sign_in_without_tls(self):
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=PATIENCE) as c:
            c.ehlo()
            self.assertFalse(c.has_extn("auth"))
            token = base64.b64encode(b"\0alice@example.test\0demo").decode()
            self.assertEqual(c.docmd("AUTH", "PLAIN " + token)[0] // 100, 5)
        c = imaplib.IMAP4("127.0.0.1", self.s.port["imap"], timeout=PATIENCE)
        self.assertIn("LOGINDISABLED", c.capabilities)
        self.assertFalse([x for x in c.capabilities if x.startswith("AUTH=")])
        c.shutdown()

    def test_no_password_in_any_log(self):
        self.imap("Xyzzy-1")
        self.pop3("Xyzzy-2")
        self.submission("Xyzzy-3")
        # A password where the name belongs.
        c = imaplib.IMAP4_SSL("127.0.0.1", self.s.port["imaps"],
                              ssl_context=tls_context(), timeout=PATIENCE)
        with self.assertRaises(imaplib.IMAP4.error):
            c.login("Xyzzy-4@home", "x")
        c.shutdown()
        until(lambda: "sign-in refused" in self.s.log("mailbox"), "the log")
        for program in ("mailbox", "msa", "qm", "mta", "guard"):
            self.assertNotIn("Xyzzy", self.s.log(program), program)


class Shared(unittest.TestCase):
    """CRAM-MD5 and APOP, for the account that switches them on."""

    def test_offered_and_accepted_once_somebody_has_them(self):
        with System(workers=2, conf={"accounts": {"key": "own.key"}}) as s:
            def imap():
                return imaplib.IMAP4_SSL("127.0.0.1", s.port["imaps"],
                                         ssl_context=tls_context(),
                                         timeout=PATIENCE)

            def pop3():
                return poplib.POP3_SSL("127.0.0.1", s.port["pop3s"],
                                       context=tls_context(),
                                       timeout=PATIENCE)

            def smtp():
                return smtplib.SMTP_SSL("127.0.0.1", s.port["submissions"],
                                        context=tls_context(),
                                        timeout=PATIENCE)
            c = imap()
            self.assertNotIn("AUTH=CRAM-MD5", c.capabilities)
            c.shutdown()
            c = pop3()
            self.assertNotIn(b"<", c.getwelcome())
            c.close()
            s.pneu("account", "set", "--allow-cram-md5", "alice@example.test")
            s.pneu("password", "set", "alice@example.test", input="Geheim\n")
            key = os.path.join(s.dir, "data", "own.key")
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
            # A key that came after the start is out of the sandbox.
            s.restart("mailbox")
            s.restart("msa")
            for password, good in (("Geheim", True), ("x", False),
                                   (PASSWORD, False)):
                c = imap()
                self.assertIn("AUTH=CRAM-MD5", c.capabilities)
                try:
                    c.login_cram_md5("alice@example.test", password)
                    self.assertTrue(good)
                except imaplib.IMAP4.error:
                    self.assertFalse(good)
                c.shutdown()
                c = pop3()
                try:
                    c.apop("alice@example.test", password)
                    self.assertTrue(good)
                except poplib.error_proto:
                    self.assertFalse(good)
                c.close()
                with smtp() as c:
                    c.ehlo()
                    self.assertIn("CRAM-MD5", c.esmtp_features["auth"])
                    c.user, c.password = "alice@example.test", password
                    try:
                        c.auth("CRAM-MD5", c.auth_cram_md5,
                               initial_response_ok=False)
                        self.assertTrue(good)
                    except smtplib.SMTPAuthenticationError:
                        self.assertFalse(good)
            c = imap()
            with self.assertRaises(imaplib.IMAP4.error):
                c.login_cram_md5("bob@example.test", PASSWORD)
            c.shutdown()
            with open(os.path.join(s.dir, "data", "accounts",
                                   "data.mdb"), "rb") as f:
                self.assertNotIn(b"Geheim", f.read())
            s.pneu("account", "set", "--no-cram-md5", "alice@example.test")
            c = imap()
            self.assertNotIn("AUTH=CRAM-MD5", c.capabilities)
            c.login("alice@example.test", "Geheim")
            c.shutdown()
            for program in ("mailbox", "msa"):
                self.assertNotIn("Geheim", s.log(program))


class Failures(unittest.TestCase):
    """What fails at one door costs at all of them."""

    def test_counted_by_all_programs_together(self):
        with System(workers=2, conf={"auth": {
                "exempt": [], "delay": "1ms", "block_address": 6}}) as s:
            doors = Doors()
            doors.s = s
            self.assertTrue(doors.imap(PASSWORD))
            before = json.loads(s.pneu("password", "list", "--json",
                                       "bob@example.test"))
            self.assertIsNone(before[0]["used"])
            for _ in range(3):
                self.assertFalse(doors.imap("wrong"))
                self.assertFalse(doors.submission("wrong"))
            # The wrong ones took away that this address did well before.
            for door in (doors.imap, doors.pop3, doors.submission):
                self.assertFalse(door(PASSWORD))
            self.assertIn("too many failed", s.log("mailbox"))
            self.assertIn("too many failed", s.log("msa"))
            # It outlives the programs, however they end.
            s.kill("mailbox")
            s.start("mailbox")
            self.assertFalse(doors.imap(PASSWORD))

            seen = json.loads(s.pneu("auth", "list", "--json"))
            self.assertEqual([(x["who"], x["failed"])
                              for x in seen["addresses"]], [("127.0.0.1", 6)])
            self.assertGreater(seen["addresses"][0]["blocked_ms"], 0)
            self.assertEqual([(x["who"], x["failed"])
                              for x in seen["accounts"]],
                             [("alice@example.test", 6)])
            self.assertIn("alice@example.test", s.pneu("auth", "list"))
            s.pneu("auth", "clear", "127.0.0.1")
            for door in (doors.imap, doors.pop3, doors.submission):
                self.assertTrue(door(PASSWORD))
            s.pneu("auth", "clear", "ALICE@example.test")
            seen = json.loads(s.pneu("auth", "list", "--json"))
            self.assertEqual(seen, {"addresses": [], "accounts": [],
                                    "unknown_names": 0})
            self.assertFalse(doors.imap("wrong"))
            s.pneu("auth", "clear", "--all")
            self.assertEqual(json.loads(s.pneu("auth", "list", "--json")),
                             seen)
            used = json.loads(s.pneu("password", "list", "--json",
                                     "alice@example.test"))
            self.assertRegex(used[0]["used"], "^20..-")
            for bad in (("auth", "clear"), ("auth", "clear", "--all", "x"),
                        ("auth", "list", "x")):
                self.assertEqual(s.pneu(*bad, check=False).returncode, 64)


if __name__ == "__main__":
    unittest.main()
