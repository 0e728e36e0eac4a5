# SPDX-License-Identifier: ISC
"""Accounts at providers of OAuth, added in the page, and Web Push to a browser:
elsewhere.mjs is the person; here are the providers, at their own names and
ports on loopback addresses (so this needs root), and the push service."""
import json
import os
import random
import socket
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

import webpush  # noqa: E402
from gmailserver import GmailServer  # noqa: E402
from oauthserver import OAuthServer  # noqa: E402
from pneu import System, certificate, free_ports, until  # noqa: E402
from receiver import Receiver  # noqa: E402
from test_api import deliver  # noqa: E402
from test_page import Person  # noqa: E402
from zone import TestZone  # noqa: E402

GMAIL, OUTLOOK = "someone@gmail.com", "someone@outlook.com"
NAMES = ",".join(["IP:127.0.0.1"] + ["DNS:" + n for n in (
    "localhost", "accounts.google.com", "oauth2.googleapis.com",
    "gmail.googleapis.com", "login.microsoftonline.com",
    "outlook.office365.com", "smtp.office365.com")])
SCOPES = ("https://outlook.office.com/IMAP.AccessAsUser.All "
          "https://outlook.office.com/POP.AccessAsUser.All "
          "https://outlook.office.com/SMTP.Send offline_access")
MICROSOFT = "/common/oauth2/v2.0/"


def letter(to, subject):
    return ("From: Ada Lovelace <ada@else.test>\r\nTo: %s\r\nSubject: %s\r\n"
            "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
            "Message-ID: <%s@else.test>\r\n\r\nbody\r\n" % (
                to, subject, subject.replace(" ", "."))).encode()


def own_address(make):
    """(address, what make makes there): of the ports that a provider has."""
    for attempt in range(10):
        address = "127.%d.%d.%d" % tuple(random.randrange(2, 250)
                                         for _ in range(3))
        try:
            return address, make(address)
        except OSError:
            if attempt == 9:
                raise


class Relay:
    """Connections to `at` go on to a port of this machine."""

    def __init__(self, at, port):
        self.listener = socket.create_server(at)
        self.port = port
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                a = self.listener.accept()[0]
                b = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            for pair in ((a, b), (b, a)):
                threading.Thread(target=self.copy, args=pair,
                                 daemon=True).start()

    def copy(self, source, to):
        try:
            while octets := source.recv(65536):
                to.sendall(octets)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (source, to):
                s.close()

    def close(self):
        self.listener.close()


@unittest.skipUnless(os.geteuid() == 0, "needs the providers' ports, and so root")
class Elsewhere(Person):
    VIEWS = "elsewhere.mjs"

    def setUp(self):
        webpush.self_test()
        google, self.google = own_address(lambda a: OAuthServer(
            address=(a, 443), names=NAMES, basic=False,
            scope="https://mail.google.com/",
            paths={"/o/oauth2/v2/auth": "/authorize"}))
        self.google.user = GMAIL
        self.addCleanup(self.google.close)
        gmail, self.gmail = own_address(lambda a: GmailServer(
            self.google, GMAIL, (a, 443), NAMES))
        self.addCleanup(self.gmail.close)
        login, self.microsoft = own_address(lambda a: OAuthServer(
            clients={"pneu": None}, address=(a, 443), names=NAMES,
            base="https://login.microsoftonline.com", scope=SCOPES,
            paths={MICROSOFT + "token": "/token",
                   MICROSOFT + "devicecode": "/device"}))
        self.microsoft.user = OUTLOOK
        self.addCleanup(self.microsoft.close)
        outlook = "127.%d.%d.%d" % tuple(random.randrange(2, 250)
                                         for _ in range(3))
        zone = TestZone({
            "away.lab": "_imaps._tcp SRV 0 0 1993 imap.else.lab.",
            "google.com": "accounts A " + google,
            "googleapis.com": "oauth2 A %s\ngmail A %s" % (google, gmail),
            "microsoftonline.com": "login A " + login,
            "office365.com": "outlook A %s\nsmtp A %s" % (outlook, outlook)})
        self.addCleanup(zone.close)
        pem, key = certificate(NAMES)
        tls = {"ca": pem, "certificate": pem, "key": key}
        self.old = System(
            domain="outlook.com", accounts=("someone", "friend"),
            programs=("guard", "mailbox", "qm", "msa"),
            conf={**zone.conf(), "tls": tls,
                  "auth": self.microsoft.settings()})
        self.addCleanup(self.old.close)
        for port, name in ((993, "imaps"), (587, "submission")):
            relay = Relay((outlook, port), self.old.port[name])
            self.addCleanup(relay.close)
        secret = tempfile.NamedTemporaryFile("w", suffix=".secret")
        self.addCleanup(secret.close)
        secret.write("s3cret\n")
        secret.flush()
        self.system = System(
            programs=("guard", "mailbox", "qm", "mta", "msa", "gateway",
                      "manage", "http"),
            conf={**zone.conf(), "tls": tls,
                  "mailbox": {"http": "unix:api.sock"},
                  "manage": {"outside_private": True},
                  "gateway": {
                      "interval": "3s", "notice_private": True,
                      "oauth_clients": {"google": "pneu",
                                        "microsoft": "pneu"},
                      "oauth_secrets": {"google": secret.name}},
                  "qm": {"retry_first": "1s", "retry_max": "1s",
                         "smarthost": "127.0.0.1:%d" % free_ports(1)[0]}})
        self.addCleanup(self.system.close)
        self.port = self.system.port["web"]
        self.gmail.put(letter(GMAIL, "Hello from Gmail"))
        self.gmail.put(letter(GMAIL, "About tubes"),
                       [self.gmail.label("Tubes")])
        deliver(self.old, "someone", letter(OUTLOOK, "Hello from Outlook"))
        self.service = Receiver(tls=True, names=NAMES)
        self.addCleanup(self.service.close)
        self.browser = webpush.Receiver()
        self.env = {
            "RULES": "MAP accounts.google.com %s, "
                     "MAP login.microsoftonline.com %s" % (google, login),
            "PUSH": json.dumps({
                "endpoint": self.service.url("/push/alice", "localhost"),
                "p256dh": self.browser.p256dh,
                "auth": webpush.b64(self.browser.auth)})}

    # --- what the person asks for ---

    def answer_pushed(self):
        """What the push service got, as the browser opens it."""
        deliver(self.system, "alice", letter(
            "alice@example.test", "Push me").replace(
                b"body", b"here is how it begins"))
        n = self.service.wait("/push/alice")[0]
        webpush.check_vapid(n.headers["Authorization"],
                            "https://localhost:%d" % self.service.port,
                            time.time())
        return json.dumps(json.loads(self.browser.open(n.body)))

    def notice(self):
        n = json.loads(self.system.pneu("notice", "list", "--json"))[0]
        return {**(n["status"] or {}), "state": n["state"]}

    def answer_refuse(self):
        self.service.answer = 422
        deliver(self.system, "alice", letter("alice@example.test", "Not me"))
        until(lambda: self.notice()["dead"] == 1, "a dead notice")

    def answer_take(self):
        self.service.answer = 201

    def answer_retried(self):
        until(lambda: self.notice()["dead"] == 0, "the retry")

    def answer_gmail(self):
        self.gmail.put(letter(GMAIL, "Another one from Gmail"))

    def answer_sent_by_gmail(self):
        until(lambda: self.gmail.sent, "it, sent")
        (to, raw), = self.gmail.sent
        self.assertEqual(to, ["friend@away.test"])
        self.assertIn(b"Subject: By Gmail", raw)
        self.assertEqual(self.gmail.faults + self.google.faults, [])

    def answer_outlook(self):
        deliver(self.old, "someone", letter(OUTLOOK,
                                            "Another one from Outlook"))

    def answer_sent_by_outlook(self):
        m = self.old.wait_message("friend", b"By Outlook")
        self.assertIn(b"From: " + OUTLOOK.encode(), m)

    def answer_push(self):
        deliver_to = "alice@example.test"
        self.system.submit("bob", [deliver_to], letter(
            deliver_to, "Put there too").replace(
                b"Ada Lovelace <ada@else.test>", b"bob@example.test"))
        self.old.wait_message("someone", b"Put there too")
        # From the first look on both sides are kept alike.
        self.system.pneu("outside", "fetch", OUTLOOK)

    def answer_deleted_there(self):
        until(lambda: not any(b"Hello from Outlook" in m for m in
                              self.old.messages("someone")),
              "it, out of the inbox there")
        self.assertEqual(self.microsoft.faults, [])

    def test_accounts_by_oauth_and_push(self):
        self.run_person()


if __name__ == "__main__":
    unittest.main()
