# SPDX-License-Identifier: ISC
"""pneu outside login: by device, by a browser that comes back, and by what is
pasted, at a server that is strict about each parameter."""
import contextlib
import http.client
import json
import os
import pty
import re
import socket
import subprocess
import unittest
import urllib.parse
import urllib.request

from oauthserver import DEVICE, OAuthServer
from pneu import BUILD, PATIENCE, System, certificate, tls_context, until


class Login(unittest.TestCase):
    """Who says yes is the test."""

    @classmethod
    def setUpClass(cls):
        cls.server = OAuthServer(clients={
            "pneu": "s3cret", "public": None, "a b/c": "p%+ \u00e9"})
        cls.addClassCleanup(cls.server.close)
        cls.s = System(programs=(), conf={"tls": {"ca": certificate()[0]}})
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        self.server.reset()
        self.address = self.id().rsplit(".", 1)[1] + "@out.test"

    def tearDown(self):
        self.assertEqual(self.server.faults, [])

    def add(self, client="pneu", secret="s3cret", address=None):
        self.s.pneu("outside", "add", "--pause", "--protocol", "imap", "--host",
                    "localhost", *self.server.options(client),
                    *(["--client-secret-file", "-"] if secret else []),
                    address or self.address, self.s.address("alice"),
                    input=(secret or "") + "\n")

    def has_token(self):
        return json.loads(self.s.pneu(
            "outside", "show", "--json", self.address))["has_password"]

    @contextlib.contextmanager
    def login(self, *args):
        """(what it says first, a function that waits for the end)."""
        p = subprocess.Popen(
            [os.path.join(BUILD, "pneu"), "-c", self.s.conf, "outside",
             "login", "--json", *args, self.address], text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)

        def end():
            out, err = p.communicate(timeout=PATIENCE)
            last = json.loads(out.strip().split("\n")[-1])
            self.assertEqual(last["ok"], p.returncode == 0, err)
            return last
        try:
            yield json.loads(p.stdout.readline()), end
        finally:
            p.kill()
            p.communicate()

    def device(self):
        """The newest one's."""
        return list(self.server.devices.values())[-1]

    def test_device(self):
        self.add()
        with self.login() as (first, end):
            self.assertEqual(first["by"], "device")
            self.assertEqual(first["code"], self.device()["user_code"])
            self.assertEqual(first["url"], self.server.base + "/enter")
            self.assertFalse(self.has_token())
            until(lambda: DEVICE in self.server.asked, "asked")
            self.device()["decision"] = "allow"
            self.assertEqual(end(), {"ok": True, "address": self.address,
                                     "error": ""})
        self.assertTrue(self.has_token())

    def test_device_that_is_slowed_down(self):
        self.add("public", None)
        with self.login("--device") as (first, end):
            self.device()["answers"] = ["authorization_pending", "slow_down"]
            self.device()["decision"] = "allow"
            self.assertTrue(end()["ok"])
        # tearDown: it waited five seconds longer after that.

    def test_device_refused(self):
        self.add()
        for decision in ("access_denied", "expired_token"):
            with self.subTest(decision), self.login() as (first, end):
                self.device()["decision"] = decision
                self.assertIn(decision, end()["error"])
        self.assertFalse(self.has_token())
        # The device endpoint itself.
        self.add("unknown", None, "unknown@out.test")
        self.address = "unknown@out.test"
        with self.login() as (first, end):
            self.assertIn("unauthorized_client", first["error"])

    def browser(self, url):
        """Follows the redirect, as one does."""
        context = tls_context()
        with urllib.request.urlopen(url, context=context,
                                    timeout=PATIENCE) as r:
            return r.read().decode()

    def get(self, port, path):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read().decode()

    def test_loopback(self):
        for client, secret in (("pneu", "s3cret"), ("public", None),
                               ("a b/c", "p%+ \u00e9")):
            with self.subTest(client):
                self.address = "%d@out.test" % len(client)
                self.add(client, secret)
                with self.login("--loopback") as (first, end):
                    # Spare connections, and what is not for us.
                    spare = socket.create_connection(("127.0.0.1",
                                                      first["port"]))
                    self.assertEqual(self.get(first["port"],
                                              "/favicon.ico")[0], 404)
                    for path in ("/", "/?code=x&state=y", "/?state=%00",
                                 "/?error=access_denied"):
                        self.assertIn("not the login", self.get(
                            first["port"], path)[1])
                    self.assertIn("You may close this window",
                                  self.browser(first["url"]))
                    self.assertTrue(end()["ok"])
                    spare.close()
                self.assertTrue(self.has_token())

    def test_loopback_refused(self):
        self.add()
        self.server.decision = "access_denied"
        with self.login("--loopback") as (first, end):
            self.assertIn("Not logged in: the provider says access_denied",
                          self.browser(first["url"]))
            self.assertIn("access_denied", end()["error"])
        self.assertFalse(self.has_token())

    def test_a_code_of_somebody_else(self):
        """The server does not know the code, or another verifier made it."""
        self.add()
        with self.login("--loopback") as (first, end):
            query = urllib.parse.parse_qs(
                urllib.parse.urlsplit(first["url"]).query)
            self.assertIn("invalid_grant", self.get(
                first["port"], "/?code=stolen&state=" + query["state"][0])[1])
            self.assertFalse(end()["ok"])

    def test_pasted(self):
        """At a terminal of another machine than the browser's."""
        self.add()
        master, slave = pty.openpty()
        p = subprocess.Popen(
            [os.path.join(BUILD, "pneu"), "-c", self.s.conf, "outside",
             "login", "--loopback", self.address], stdin=slave,
            stdout=subprocess.PIPE, text=True)
        try:
            text = ""
            while "paste here" not in text:
                text += p.stdout.readline()
            url = re.search(r"https://\S+", text).group()
            to = self.server.authorize(dict(urllib.parse.parse_qsl(
                urllib.parse.urlsplit(url).query)))
            os.write(master, b"hello\n" + to.encode() + b"\n")
            self.assertIn("Logged in.", p.communicate(timeout=PATIENCE)[0])
            self.assertEqual(p.returncode, 0)
        finally:
            p.kill()
            p.wait()
            p.stdout.close()
            os.close(master)
            os.close(slave)
        self.assertTrue(self.has_token())

    def test_what_cannot_be(self):
        for args, text in (
                (["--host", "imap.else.test", "--oauth"],
                 "--oauth-provider or --oauth-token-url"),
                (["--host", "imap.else.test", "--oauth-provider", "nobody"],
                 "not a provider"),
                (["--host", "imap.else.test", "--oauth-token-url",
                  "http://localhost/token"], "only https")):
            r = self.s.pneu("outside", "add", "--protocol", "imap", *args,
                            "no@out.test", self.s.address("alice"), check=False)
            self.assertNotEqual(r.returncode, 0)
            self.assertIn(text, r.stderr)
        self.s.pneu("outside", "add", "--protocol", "imap", "--host",
                    "imap.gmail.com", "--oauth", "g@gmail.com",
                    self.s.address("alice"))
        self.address = "g@gmail.com"
        with self.login() as (first, end):
            self.assertIn("gateway.oauth_clients", first["error"])
        self.s.pneu("outside", "set", "--client-id", "x.apps", "g@gmail.com")
        with self.login() as (first, end):
            self.assertEqual(first["by"], "loopback")
            self.assertTrue(first["url"].startswith(
                "https://accounts.google.com/o/oauth2/v2/auth?"))
            self.assertIn("access_type=offline&prompt=consent", first["url"])
        with self.login("--device") as (first, end):
            self.assertIn("no login by device", first["error"])
        self.s.pneu("outside", "add", "--protocol", "imap", "--host",
                    "localhost", "pw@out.test", self.s.address("alice"),
                    input="p\n")
        self.address = "pw@out.test"
        with self.login() as (first, end):
            self.assertIn("signs in by password", first["error"])


if __name__ == "__main__":
    unittest.main()
