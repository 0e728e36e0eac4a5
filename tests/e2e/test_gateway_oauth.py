# SPDX-License-Identifier: ISC
"""Outside accounts that sign in by OAuth: tokens from refresh tokens, and what
goes wrong with them; at another pneu, which asks the same server about them."""
import concurrent.futures
import contextlib
import imaplib
import json
import os
import tempfile
import threading
import time
import unittest

import test_gateway_imap
from imapraw import Dovecot, dovecot_is_here
from oauthserver import OAuthServer
from pneu import PATIENCE, System, certificate, until
from test_gateway_imap import system

USER = "alice@old.test"
OTHER = "bob@old.test"
MESSAGE = (b"From: alice@old.test\r\nTo: bob@old.test\r\nSubject: out\r\n"
           b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
           b"Message-ID: <%d@out.test>\r\n\r\nbody\r\n")


class Case(test_gateway_imap.Case):
    def add_oauth(self, s, server, port, address, *args, protocol="imap",
                  security="starttls", account="alice", user=USER, token=None):
        s.pneu("outside", "add", "--protocol", protocol, "--host", "localhost",
               "--port", str(port), "--security", security, "--user", user,
               *server.options(), "--client-secret-file", "-", *args, address,
               s.address(account), input="s3cret\n")
        self.addCleanup(s.pneu, "outside", "remove", address, check=False)
        if token is not False:
            self.give(s, address, token or server.new_refresh(user))

    def wait_login(self, s, address, text):
        """Until the user is told to act, and why."""
        def told():
            got = self.show(s, address)
            return got["state"] == "login" and text in got["error"] and got
        return until(told, "%s: %s" % (address, text))["error"]

    def give(self, s, address, token):
        s.pneu("outside", "login", "--token", address, input=token + "\n")


class AtPneu(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = OAuthServer()
        cls.addClassCleanup(cls.server.close)
        cls.old = System(
            domain="old.test", programs=("guard", "mailbox", "qm", "msa"),
            conf={"tls": {"ca": certificate()[0]},
                  "auth": cls.server.settings()})
        cls.addClassCleanup(cls.old.close)
        secret = tempfile.NamedTemporaryFile("w", suffix=".secret")
        cls.addClassCleanup(secret.close)
        secret.write("s3cret\n")
        secret.flush()
        late = tempfile.TemporaryDirectory(prefix="pneu-late-", dir="/tmp")
        cls.addClassCleanup(late.cleanup)
        cls.late = os.path.join(late.name, "secret")
        cls.s = system(programs=("guard", "mailbox", "qm", "msa", "gateway"),
                       gateway={"oauth_clients": {"google": "pneu",
                                                  "fastmail": "pneu"},
                                "oauth_secrets": {"google": secret.name,
                                                  "fastmail": cls.late}},
                       conf={"qm": {"retry_first": "1s", "retry_max": "1s",
                                    "smtp_port": 1}})
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        self.server.reset()

    def tearDown(self):
        self.assertEqual(self.server.faults, [])

    def refreshes(self):
        return self.server.count("refresh_token")

    def append(self, text):
        with self.old.imap("alice") as c:
            c.append("INBOX", "", None, b"Subject: %s\r\n\r\n" % text.encode())
        return len(self.old.messages("alice"))

    def account(self, address, *args, **kw):
        self.add_oauth(self.s, self.server, self.old.port["imap"], address,
                       "--into", address.split("@")[0], *args, **kw)

    def test_imap_and_pop3(self):
        for protocol in ("imap", "pop3"):
            with self.subTest(protocol):
                address = protocol + "@out.test"
                n = self.append(protocol)
                self.add_oauth(self.s, self.server, self.old.port[protocol],
                               address, "--into", protocol, protocol=protocol)
                self.wait(self.s, address, messages=n)
                asked = self.refreshes()
                self.assertEqual(self.fetch(self.s, address), 0)
                self.assertEqual(self.refreshes(), asked)
                show = self.show(self.s, address)
                self.assertEqual(show["sign_in"], "oauth")
                self.assertTrue(show["oauth"]["has_client_secret"])

    def test_client_of_the_settings(self):
        """Whose secret is in a file, which the sandbox lets it read."""
        n = self.append("settings")
        options = self.server.options()
        at = options.index("--client-id")
        del options[at:at + 2]
        self.s.pneu("outside", "add", "--protocol", "imap", "--host",
                    "localhost", "--port", str(self.old.port["imap"]),
                    "--security", "starttls", "--user", USER, "--into", "conf",
                    *options, "--oauth-provider", "google", "conf@out.test",
                    self.s.address("alice"))
        self.addCleanup(self.s.pneu, "outside", "remove", "conf@out.test")
        self.give(self.s, "conf@out.test", self.server.new_refresh(USER))
        self.wait(self.s, "conf@out.test", messages=n)

    def test_a_secret_that_comes_later(self):
        """In the sandbox of a gateway that has started without it."""
        n = self.append("later")
        options = self.server.options()
        at = options.index("--client-id")
        del options[at:at + 2]
        address = "later@out.test"
        self.s.pneu("outside", "add", "--protocol", "imap", "--host",
                    "localhost", "--port", str(self.old.port["imap"]),
                    "--security", "starttls", "--user", USER, "--into",
                    "later", *options, "--oauth-provider", "fastmail",
                    address, self.s.address("alice"))
        self.addCleanup(self.s.pneu, "outside", "remove", address)
        with open(self.late + ".new", "w") as f:
            f.write("s3cret\n")
        os.rename(self.late + ".new", self.late)  # login reads it, too
        self.give(self.s, address, self.server.new_refresh(USER))
        self.wait(self.s, address, messages=n)

    def test_a_token_that_is_refused(self):
        for protocol in ("imap", "pop3"):
            with self.subTest(protocol):
                address = "refused-%s@out.test" % protocol
                n = self.append("refused")
                self.server.reset()
                self.server.bad = 1
                self.add_oauth(self.s, self.server, self.old.port[protocol],
                               address, "--into", address[:12],
                               protocol=protocol)
                self.wait(self.s, address, messages=n)
                self.assertEqual(self.refreshes(), 2)
                # Not for ever: two are refused.
                address = "two-" + address
                self.server.reset()
                self.server.bad = 100
                self.add_oauth(self.s, self.server, self.old.port[protocol],
                               address, protocol=protocol)
                self.wait_login(self.s, address, "refuses to sign us in")
                self.assertGreaterEqual(self.refreshes(), 2)
                self.s.pneu("outside", "remove", address)

    def test_refresh_tokens_that_change(self):
        self.server.rotate, self.server.expires_in = True, 1
        n = self.append("rotate")
        self.add_oauth(self.s, self.server, self.old.port["pop3"],
                       "rotate@out.test", "--into", "rotate", protocol="pop3")
        self.wait(self.s, "rotate@out.test", messages=n)
        for i in range(3):
            time.sleep(1)  # tokens expire
            test = json.loads(self.s.pneu("outside", "test", "--json",
                                          "rotate@out.test"))
            self.assertTrue(test["ok"], test)
            self.assertEqual(self.fetch(self.s, "rotate@out.test"), 0)
            self.assertGreater(self.refreshes(), i + 1)
            if i == 1:
                self.s.kill("gateway")
                self.s.start("gateway")
        # A new login comes before what was kept of the old one.
        self.server.refresh.clear()
        self.give(self.s, "rotate@out.test", self.server.new_refresh(USER))
        self.assertEqual(self.fetch(self.s, "rotate@out.test"), 0)

    def test_login_is_over(self):
        self.account("over@out.test", token="r-never-given")
        self.assertIn("invalid_grant", self.wait_login(
            self.s, "over@out.test",
            "must log in again: pneu outside login over@out.test"))
        self.assertIn("must log in again", self.s.pneu("outside", "list"))
        asked = self.refreshes()
        for _ in range(3):
            self.assertIn("must log in again",
                          self.fetch(self.s, "over@out.test"))
        self.assertEqual(self.refreshes(), asked)
        self.give(self.s, "over@out.test", self.server.new_refresh(USER))
        self.wait(self.s, "over@out.test")

    def test_nobody_has_logged_in(self):
        self.account("never@out.test", token=False)
        self.wait_login(self.s, "never@out.test",
                        "pneu outside login never@out.test")
        self.assertEqual(self.refreshes(), 0)
        # A password is never sent where tokens are asked for, nor the other way
        # round.
        self.s.pneu("outside", "set", "--password", "never@out.test",
                    input="secret\n")
        self.s.pneu("outside", "set", *self.server.options(),
                    "never@out.test")
        got = self.wait(self.s, "never@out.test", "login")
        self.assertEqual(self.refreshes(), 0)

    def test_what_servers_say(self):
        token = json.dumps({"access_token": "x", "token_type": "mac"})
        cases = ((503, b""), (500, {"error": "invalid_grant"}),
                 (429, {"error": "slow"}), (200, b"no json"),
                 (200, b"[" * 5000), (200, token.encode()), (200, b"{}"),
                 (200, {"access_token": "a\tb", "token_type": "bearer"}),
                 (200, {"access_token": "a" * 7000, "token_type": "bearer"}),
                 (200, b"x" * 100000),
                 (302, b""), (400, {"error": "temporarily_unavailable"}))
        # Each is tried again, and the last one works.
        self.server.fail = list(cases)
        n = self.append("says")
        self.account("says@out.test")
        self.wait(self.s, "says@out.test", messages=n)
        self.assertEqual(self.refreshes(), len(cases) + 1)
        for error in ("invalid_client", "unauthorized_client",
                      "invalid_scope"):
            with self.subTest(error):
                self.server.fail = [(400, {
                    "error": error, "error_description": "a\x1b[1m"})] * 1000
                self.account(error + "@out.test")
                self.assertNotIn("\x1b", self.wait_login(
                    self.s, error + "@out.test",
                    "does not take our client (%s" % error))
                self.s.pneu("outside", "remove", error + "@out.test")

    def test_killed_before_the_new_token_is_kept(self):
        self.server.rotate = True
        n = self.append("killed")
        self.account("killed@out.test", token=False)
        for how in ("kill", "stop"):
            with self.subTest(how):
                self.server.reset()
                self.server.rotate = True
                self.server.hold = threading.Event()
                self.give(self.s, "killed@out.test",
                          self.server.new_refresh(USER))
                until(lambda: self.refreshes() == 1, "a refresh")
                hold, self.server.hold = self.server.hold, None
                if how == "kill":
                    self.s.kill("gateway")
                    hold.set()
                    self.s.start("gateway")
                    # The answer is lost; that is known, and can be mended.
                    self.wait_login(self.s, "killed@out.test",
                                    "must log in again")
                    self.give(self.s, "killed@out.test",
                              self.server.new_refresh(USER))
                    self.wait(self.s, "killed@out.test", messages=n)
                else:
                    # One that is told to stop waits for it.
                    with concurrent.futures.ThreadPoolExecutor() as pool:
                        stopped = pool.submit(self.s.stop, "gateway")
                        time.sleep(0.3)
                        hold.set()
                        self.assertEqual(stopped.result(), 0)
                    self.s.start("gateway")
                    self.assertEqual(self.fetch(self.s, "killed@out.test"), 0)
        self.assertEqual(len(self.s.messages("alice", "killed")), n)

    def send(self, i):
        self.s.submit("alice", ["bob@old.test"], MESSAGE % i, USER)

    def test_send(self):
        self.account(USER, "--smtp-host", "localhost", "--smtp-port",
                     str(self.old.port["submission"]), "--smtp-security",
                     "starttls", "--pause", token=False)
        # It waits until the user has logged in.
        self.send(1)
        until(lambda: "pneu outside login" in self.s.log("gateway"), "told")
        self.assertEqual(self.refreshes(), 0)
        # One refresh for all who want a token.
        self.server.hold = threading.Event()
        self.give(self.s, USER, self.server.new_refresh(USER))
        until(lambda: self.refreshes() == 1, "a refresh")
        self.s.pneu("outside", "resume", USER)
        self.send(2)
        hold, self.server.hold = self.server.hold, None
        hold.set()
        until(lambda: len(self.old.messages("bob")) == 2, "sent")
        self.wait(self.s, USER)
        self.assertEqual(self.refreshes(), 1)
        # A token that is refused: another one, once.
        self.s.pneu("outside", "pause", USER)
        self.s.restart("gateway")
        self.server.reset()
        self.server.bad = 1
        self.send(3)
        until(lambda: len(self.old.messages("bob")) == 3, "sent")
        self.assertEqual(self.refreshes(), 2)

    @classmethod
    def tearDownClass(cls):
        """No token, and no secret, in any log or listing."""
        s, server = cls.s, cls.server
        words = list(server.refresh) + list(server.used) + \
            list(server.access) + ["s3cret"]
        texts = [s.log(p) for p in s.programs] + [
            s.pneu("outside", "list", "--json")]
        for word in words:
            for text in texts:
                assert word not in text, word


DOVECOT = {"extra.conf": """
auth_mechanisms = %s
auth_cache_size = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = @DIR@/oauth2.conf
}
""", "oauth2.conf": """
introspection_mode = post
introspection_url = %s/dovecot
tls_ca_cert_file = @DIR@/ca.pem
client_id = dovecot
client_secret = dovecot
username_attribute = email
active_attribute = active
active_value = true
"""}


@unittest.skipUnless(dovecot_is_here(), "needs Debian's Dovecot, and root")
class AtDovecot(Case):
    """Another's server, which asks the same authorization server."""

    def test_mechanisms(self):
        user = "user1@example.org"
        with OAuthServer() as server:
            server.user = user
            for mechanism in ("oauthbearer", "xoauth2"):
                with self.subTest(mechanism):
                    self.check(server, user, mechanism)
            self.assertEqual(server.faults, [])

    def check(self, server, user, mechanism):
        extra = {"extra.conf": DOVECOT["extra.conf"] % ("plain " + mechanism),
                 "oauth2.conf": DOVECOT["oauth2.conf"] % server.base}
        with open(certificate()[0]) as f:
            extra["ca.pem"] = f.read()
        peer = Dovecot(extra)
        self.addCleanup(peer.close)
        # It trusts what we do, and it is trusted too.
        with tempfile.NamedTemporaryFile("w") as ca, \
                contextlib.ExitStack() as stack:
            for path in (certificate()[0], peer.dir + "/cert.pem"):
                with open(path) as f:
                    ca.write(f.read())
            ca.flush()
            s = stack.enter_context(system(ca=ca.name))
            c = imaplib.IMAP4("127.0.0.1", peer.port["imap"],
                              timeout=PATIENCE)
            c.login(user, "pass1")
            self.assertIn("AUTH=" + mechanism.upper(), c.capabilities)
            for i in range(3):
                c.append("INBOX", "", None, b"Subject: %d\r\n\r\n" % i)
            for protocol in ("imap", "pop3"):
                address = protocol + "@out.test"
                server.reset()
                server.bad = 1  # and so the challenge that says why not
                self.add_oauth(s, server, peer.port[protocol], address,
                               "--into", protocol, protocol=protocol,
                               user=user)
                self.wait(s, address, messages=3)
                self.assertEqual(server.count("refresh_token"), 2)
                address = "no-" + address
                server.bad = 1000
                self.add_oauth(s, server, peer.port[protocol], address,
                               protocol=protocol, user=user)
                self.wait_login(s, address, "refuses to sign us in")
                s.pneu("outside", "remove", address)
            c.logout()


if __name__ == "__main__":
    unittest.main()
