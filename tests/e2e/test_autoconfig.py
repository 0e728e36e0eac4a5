# SPDX-License-Identifier: ISC
"""The servers of an outside address from the domain's own file for mail programs
(Mozilla's autoconfig), over HTTPS at the places that it has."""
import http.server
import json
import os
import random
import ssl
import threading
import unittest
import urllib.parse

from pneu import System, certificate
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
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"]
                owner.asked.append((host, self.path))
                status, body = owner.files.get(
                    (host, urllib.parse.urlsplit(self.path).path), (404, b""))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body.decode())
                    body = b""
                self.send_header("Content-Length", str(len(body)))
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


if __name__ == "__main__":
    unittest.main()
