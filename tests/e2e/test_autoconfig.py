# SPDX-License-Identifier: ISC
"""The servers of an outside address from the domain's own file for mail programs
(Mozilla's autoconfig), over HTTPS at the places that it has."""
import concurrent.futures
import contextlib
import http.server
import json
import os
import random
import ssl
import threading
import unittest
import urllib.parse

from pneu import PATIENCE, System, certificate, until
from test_api import Api
from zone import TestZone

FILE = """<?xml version="1.0"?>
<clientConfig version="1.1">
  <emailProvider id="x">
    <incomingServer type="imap">
      <hostname>imap.provider.example</hostname><port>993</port>
      <socketType>SSL</socketType><username>%s</username>
      <authentication>%s</authentication>
    </incomingServer>
    <outgoingServer type="smtp">
      <hostname>smtp.provider.example</hostname><port>465</port>
      <socketType>SSL</socketType><username>%s</username>
      <authentication>%s</authentication>
    </outgoingServer>
  </emailProvider>
</clientConfig>
"""


class Web:
    """One for all names, at an address of its own: the port is 443."""

    def __init__(self, names):
        self.files, self.asked = {}, []
        self.hold = {}  # host -> Event that its answers wait for
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"]
                owner.asked.append((host, self.path))
                if host in owner.hold:
                    owner.hold[host].wait(PATIENCE)
                status, body = owner.files.get(
                    (host, urllib.parse.urlsplit(self.path).path), (404, b""))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body.decode())
                    body = b""
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(OSError):  # nobody waits any more
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        for attempt in range(10):
            self.address = "127.%d.%d.%d" % tuple(
                random.randrange(2, 250) for _ in range(3))
            try:
                self.server = http.server.ThreadingHTTPServer(
                    (self.address, 443), Handler)
                break
            except OSError:
                if attempt == 9:
                    raise
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate(
            ",".join("DNS:" + n for n in names)))
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@unittest.skipUnless(os.geteuid() == 0, "needs port 443, and so root")
class Found(unittest.TestCase):
    NAMES = ("autoconfig.auto.lab", "well.lab", "autoconfig.oauth.lab",
             "autoconfig.bad.lab", "autoconfig.srv.lab", "autoconfig.away.lab",
             "autoconfig.moved.lab", "autoconfig.mx.lab")
    CONFIG, WELL = "/mail/config-v1.1.xml", \
        "/.well-known/autoconfig/mail/config-v1.1.xml"

    def test_all(self):
        web = Web(self.NAMES)
        self.addCleanup(web.close)
        here = "autoconfig A %s" % web.address
        zones = {
            "auto.lab": here, "well.lab": "@ A %s" % web.address,
            "oauth.lab": here, "bad.lab": here, "moved.lab": here,
            "other.lab": here,  # which the certificate does not name
            "srv.lab": here + "\n_imaps._tcp SRV 0 0 993 imap.srv.lab.",
            "away.lab": here + "\n_imaps._tcp SRV 0 0 993 evil.else.lab.",
            "mx.lab": here + "\n@ MX 1 aspmx.l.google.com.",
        }
        good = (FILE % (("%EMAILADDRESS%", "password-cleartext") * 2)).encode()
        at = lambda name: ("autoconfig." + name, self.CONFIG)
        web.files = {
            at("auto.lab"): (200, good.replace(
                b"%EMAILADDRESS%", b"%EMAILLOCALPART%")),
            ("well.lab", self.WELL): (200, good),
            at("oauth.lab"): (200, good.replace(b"password-cleartext",
                                                b"OAuth2")),
            at("bad.lab"): (200, b"<!DOCTYPE x>" + good),
            at("other.lab"): (200, good),
            at("srv.lab"): (200, good), at("away.lab"): (200, good),
            at("mx.lab"): (200, good),
            at("moved.lab"): (302, b"http://autoconfig.auto.lab/"),
        }
        with TestZone(zones) as zone, System(
                programs=(), start=False, conf={**zone.conf(), "tls": {
                    "ca": certificate(",".join(
                        "DNS:" + n for n in self.NAMES))[0]}}) as s:
            s.setup_accounts()

            def add(address):
                return s.pneu("outside", "add", "--pause", address,
                              "alice@example.test", input="pw\n", check=False)

            def show(address):
                got = json.loads(s.pneu("outside", "show", "--json", address))
                return got["host"], got["user"], (got["smtp"] or {}).get("host")

            for address, want in (
                    ("a+b@auto.lab", ("imap.provider.example", "a+b",
                                      "smtp.provider.example")),
                    ("a@well.lab", ("imap.provider.example", "a@well.lab",
                                    "smtp.provider.example")),
                    # DNS of its own comes first, then the file, then the MX.
                    ("a@srv.lab", ("imap.srv.lab", "a@srv.lab", None)),
                    ("a@away.lab", ("imap.provider.example", "a@away.lab",
                                    "smtp.provider.example")),
                    ("a@mx.lab", ("imap.provider.example", "a@mx.lab",
                                  "smtp.provider.example"))):
                with self.subTest(address):
                    r = add(address)
                    self.assertEqual(r.returncode, 0, r.stderr)
                    self.assertEqual(show(address), want)
            self.assertIn(("autoconfig.auto.lab", self.CONFIG +
                           "?emailaddress=a%2Bb%40auto.lab"), web.asked)
            self.assertIn("--oauth", add("a@oauth.lab").stderr)
            for address in ("a@bad.lab", "a@other.lab", "a@moved.lab"):
                with self.subTest(address):
                    self.assertIn("cannot be found", add(address).stderr)
            # Nobody was asked in the clear, or where a redirect said.
            self.assertNotIn(("autoconfig.auto.lab", "/"), web.asked)


class ByApi(unittest.TestCase):
    """The same through the HTTP API, for users whose word is not believed."""

    NAMES = ("autoconfig.auto.lab", "autoconfig.oauth.lab",
             "autoconfig.slow.lab")

    @classmethod
    def setUpClass(cls):
        cls.web, address = None, "127.0.0.1"
        if os.geteuid() == 0:
            cls.web = Web(cls.NAMES)
            cls.addClassCleanup(cls.web.close)
            address = cls.web.address
        here = "autoconfig A %s" % address
        zone = TestZone({
            "auto.lab": here, "oauth.lab": here, "slow.lab": here,
            "away.lab": "_imaps._tcp SRV 0 0 1993 imap.else.lab.\n"
                        "_submissions._tcp SRV 0 0 465 smtp.else.lab."})
        cls.addClassCleanup(zone.close)
        cls.s = System(
            programs=("guard", "mailbox", "manage", "http"),
            conf={**zone.conf(), "mailbox": {"http": "unix:api.sock"},
                  "tls": {"ca": certificate(",".join(
                      "DNS:" + n for n in cls.NAMES))[0]}})
        cls.addClassCleanup(cls.s.close)
        cls.s.pneu("account", "set", "--admin", "alice@example.test")
        cls.admin, cls.user = (cls.client(who) for who in ("alice", "bob"))

    @classmethod
    def client(cls, who):
        api = Api(cls.s.port["web"])
        api.sign_in(who + "@example.test")
        return api

    def find(self, api, address, more=""):
        return api.call("GET", "/outside/find?address=" +
                        urllib.parse.quote(address) + more)

    def test_must_confirm(self):
        """Unsigned DNS of a domain names a server of another one."""
        address = "bob@away.lab"
        for status, got in (self.find(self.user, address), self.user.call(
                "POST", "/outside", {"address": address, "password": "x"})):
            self.assertEqual((status, got["code"]), (409, "must-confirm"))
            self.assertEqual(got["detail"], "imap://imap.else.lab:1993 (tls)")
        status, got = self.find(self.user, address, "&confirm=true")
        self.assertEqual((status, got["vouched"], got["host"], got["port"]),
                         (200, False, "imap.else.lab", 1993))
        self.assertEqual(got["smtp"]["host"], "smtp.else.lab")
        # Who says it, confirms it.
        status, made = self.user.call("POST", "/outside", {
            "address": address, "password": "x", "paused": True, **{
                k: got[k] for k in ("protocol", "host", "port", "security",
                                    "smtp")}})
        self.assertEqual((status, made.get("host")), (201, "imap.else.lab"),
                         made)

    @unittest.skipUnless(os.geteuid() == 0, "needs port 443, and so root")
    def test_the_domains_own_file(self):
        good = FILE % (("%EMAILLOCALPART%", "password-cleartext") * 2)
        at = lambda name: ("autoconfig." + name, Found.CONFIG)
        self.web.files = {
            at("auto.lab"): (200, good.encode()),
            at("slow.lab"): (200, good.encode()),
            at("oauth.lab"): (200, good.replace("password-cleartext",
                                                "OAuth2").encode())}
        status, got = self.find(self.admin, "a+b@auto.lab")
        self.assertEqual((status, got["host"], got["user"], got["vouched"]),
                         (200, "imap.provider.example", "a+b", True))
        self.assertEqual(got["smtp"]["host"], "smtp.provider.example")
        self.assertFalse(got["oauth_only"])
        self.assertIn(("autoconfig.auto.lab", Found.CONFIG +
                       "?emailaddress=a%2Bb%40auto.lab"), self.web.asked)
        got = self.find(self.admin, "a@oauth.lab")[1]
        self.assertTrue(got["oauth_only"])
        self.assertEqual(got["hint"], "it takes no password, but OAuth")
        status, made = self.admin.call("POST", "/outside", {
            "address": "a@auto.lab", "password": "x", "paused": True})
        self.assertEqual((status, made.get("user"), made.get("host")),
                         (201, "a", "imap.provider.example"), made)
        # A user has no server of ours asked by naming a domain.
        before = len(self.web.asked)
        self.assertEqual(self.find(self.user, "a@auto.lab")[0], 404)
        self.assertEqual(len(self.web.asked), before)

    @unittest.skipUnless(os.geteuid() == 0, "needs port 443, and so root")
    def test_a_slow_one_holds_up_nobody(self):
        go = threading.Event()
        self.addCleanup(go.set)
        self.addCleanup(self.web.hold.clear)
        self.web.hold["autoconfig.slow.lab"] = go
        asked = len(self.web.asked)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            # Connections of their own.
            slow = [pool.submit(self.find, self.client("alice"),
                                "a%d@slow.lab" % i) for i in range(2)]
            until(lambda: len(self.web.asked) >= asked + 2, "both asked")
            # Others, and whatever else the same account asks, do not wait.
            self.assertEqual(self.admin.call("GET", "/account")[0], 200)
            self.assertEqual(self.find(self.user, "x@gmail.com")[0], 200)
            status, got = self.find(self.admin, "third@slow.lab")
            self.assertEqual((status, got["code"]),
                             (429, "too-many-requests"))
            self.assertFalse(any(f.done() for f in slow))
            go.set()
            self.assertTrue(all(f.result(PATIENCE)[0] in (200, 404)
                                for f in slow))
        # Each took its place, and gave it back.
        self.web.hold.clear()
        self.assertEqual(self.find(self.admin, "b@gmail.com")[0], 200)


if __name__ == "__main__":
    unittest.main()
