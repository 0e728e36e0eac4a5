# SPDX-License-Identifier: ISC
"""Outside accounts that sign in by OAuth: tokens from refresh tokens, and what
goes wrong with them; at another pneu, which asks the same server about them."""
import json
import unittest

import test_gateway_imap
from oauthserver import OAuthServer
from pneu import System, certificate, until
from test_gateway_imap import system

USER = "alice@old.test"


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

    def give(self, s, address, token):
        s.pneu("outside", "login", "--token", address, input=token + "\n")


class AtPneu(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = OAuthServer()
        cls.addClassCleanup(cls.server.close)
        cls.old = System(domain="old.test", programs=("mailbox",), conf={
            "tls": {"ca": certificate()[0]}, "auth": cls.server.settings()})
        cls.addClassCleanup(cls.old.close)
        cls.s = system()
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        s = self.server
        s.rotate, s.expires_in, s.fail, s.hold = False, 3600, [], None
        s.faults.clear()
        s.asked.clear()

    def tearDown(self):
        self.assertEqual(self.server.faults, [])

    def test_imap_and_pop3(self):
        for protocol in ("imap", "pop3"):
            with self.subTest(protocol):
                address = protocol + "@out.test"
                with self.old.imap("alice") as c:
                    c.append("INBOX", "", None, b"Subject: " +
                             protocol.encode() + b"\r\n\r\n")
                n = len(self.old.messages("alice"))
                self.add_oauth(self.s, self.server, self.old.port[protocol],
                               address, "--into", protocol, protocol=protocol)
                self.wait(self.s, address, messages=n)
                asked = self.server.count("refresh_token")
                self.assertEqual(self.fetch(self.s, address), 0)
                self.assertEqual(self.server.count("refresh_token"), asked)


if __name__ == "__main__":
    unittest.main()
