# SPDX-License-Identifier: ISC
"""The paths of Inbucket's REST API v1, as its clients use them."""
import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import subprocess
import unittest
import urllib.request

from pneu import PATIENCE, TOP, System
from test_api import MAIL, deliver

CLIENT = "/usr/local/lib/pneu-peers/inbucket/node_modules"


class WebSocket:
    """Enough of RFC 6455 to listen."""

    def __init__(self, port, path, origin=None):
        self.s = socket.create_connection(("127.0.0.1", port), PATIENCE)
        key = base64.b64encode(os.urandom(16))
        self.s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                       b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       b"Sec-WebSocket-Key: %s\r\n%s\r\n" % (
                           path.encode(), key, b"Origin: %s\r\n" % origin
                           if origin else b""))
        self.f = self.s.makefile("rb")
        self.status = int(self.f.readline().split()[1])
        head = {}
        while (line := self.f.readline().strip()):
            name, _, value = line.partition(b": ")
            head[name.lower()] = value
        if self.status == 101:
            want = base64.b64encode(hashlib.sha1(
                key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            assert head[b"sec-websocket-accept"] == want

    def frame(self):
        op, n = self.f.read(2)
        if n == 126:
            n, = struct.unpack(">H", self.f.read(2))
        elif n == 127:
            n, = struct.unpack(">Q", self.f.read(8))
        return op & 15, self.f.read(n)

    def message(self):
        op, data = self.frame()
        while op == 9:  # ping
            op, data = self.frame()
        assert op == 1, op
        return json.loads(data)

    def send(self, op, data):
        mask = os.urandom(4)
        self.s.sendall(bytes([0x80 | op, 0x80 | len(data)]) + mask + bytes(
            b ^ mask[i % 4] for i, b in enumerate(data)))

    def close(self):
        self.f.close()
        self.s.close()


class Inbucket(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = System(programs=("mailbox",), conf={
            "mailbox": {"test_inbox": True}})
        cls.addClassCleanup(cls.system.close)

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection(
            "127.0.0.1", self.system.port["http"], timeout=PATIENCE)
        self.addCleanup(c.close)
        c.request(method, "/api/v1" + path,
                  None if body is None else json.dumps(body),
                  {"Content-Type": "application/json"})
        r = c.getresponse()
        data = r.read()
        return r.status, json.loads(data) if "json" in r.getheader(
            "Content-Type") else data

    def test_a_mailbox(self):
        deliver(self.system, "alice", MAIL % (1, 1, 1), MAIL % (2, 2, 2))
        status, got = self.call("GET", "/mailbox/alice")
        self.assertEqual(status, 200)
        self.assertEqual([m["subject"] for m in got], ["Grüße 1", "Grüße 2"])
        first = got[0]
        self.assertEqual(set(first), {
            "mailbox", "id", "from", "to", "subject", "date", "posix-millis",
            "size", "seen"})
        self.assertEqual(first["from"], "Jürgen <j@else.test>")
        self.assertEqual(first["to"], ["<alice@example.test>",
                                       "Bob <bob@example.test>"])
        self.assertIs(first["seen"], False)
        self.assertGreater(first["posix-millis"], 1.7e12)
        one = "/mailbox/alice@example.test/" + first["id"]
        status, m = self.call("GET", one)
        self.assertEqual(m["body"], {
            "text": "Schöne Grüße, word1",
            "html": "<p>Hi<script>x</script></p>"})
        self.assertEqual(m["header"]["Message-ID"], ["<m1@else.test>"])
        a, = m["attachments"]
        self.assertEqual((a["filename"], a["content-type"], a["md5"]), (
            "über.bin", "application/octet-stream",
            hashlib.md5(bytes(range(10))).hexdigest()))
        self.assertEqual(a["view-link"], a["download-link"])
        with urllib.request.urlopen(a["download-link"],
                                    timeout=PATIENCE) as r:
            self.assertEqual(r.read(), bytes(range(10)))
        status, source = self.call("GET", one + "/source")
        self.assertTrue(source.endswith(MAIL % (1, 1, 1)))
        self.assertEqual(self.call("PATCH", one, {"seen": True}),
                         (200, "OK"))
        self.assertIs(self.call("GET", one)[1]["seen"], True)
        self.call("PATCH", one, {"seen": False})
        self.assertIs(self.call("GET", one)[1]["seen"], False)
        # MarkSeen of Inbucket's client for Go has no body.
        self.assertEqual(self.call("PATCH", one), (200, "OK"))
        self.assertIs(self.call("GET", one)[1]["seen"], True)
        self.assertEqual(self.call("DELETE", one), (200, "OK"))
        self.assertEqual(self.call("GET", one)[0], 404)
        self.assertEqual(len(self.call("GET", "/mailbox/alice")[1]), 1)
        self.assertEqual(self.call("DELETE", "/mailbox/alice"), (200, "OK"))
        self.assertEqual(self.call("GET", "/mailbox/alice"), (200, []))
        self.assertEqual(self.call("GET", "/mailbox/nobody"), (200, []))
        self.assertEqual(self.call("GET", "/mailbox/nobody/1")[0], 404)
        self.assertEqual(self.call("GET", "/mailbox/alice/x")[0], 404)

    @unittest.skipUnless(os.path.exists(CLIENT), CLIENT + " is missing: "
                         "tools/deps peers installs it by npm")
    def test_by_a_client_of_inbucket(self):
        self.call("DELETE", "/mailbox/alice")
        deliver(self.system, "alice", MAIL % (5, 5, 5), MAIL % (6, 6, 6))
        out = json.loads(subprocess.run(
            ["node", TOP + "/tests/inbucket/use.js", CLIENT,
             "http://127.0.0.1:%d/" % self.system.port["http"], "alice"],
            check=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout)
        self.assertEqual([m["subject"] for m in out["list"]],
                         ["Grüße 5", "Grüße 6"])
        self.assertEqual(out["message"]["header"]["Subject"], ["Grüße 5"])
        self.assertEqual(out["message"]["body"]["text"],
                         "Schöne Grüße, word5")
        self.assertEqual([m["subject"] for m in out["left"]], ["Grüße 6"])
        self.assertEqual((out["removed"], out["purged"]), ("OK", "OK"))
        self.assertEqual((out["empty"], out["nobody"]), ([], []))
        self.assertIn("404", out["gone"])

    def test_the_monitor_is_not_for_other_sites(self):
        """Of a WebSocket no browser asks whether it may (RFC 6455 10.2)."""
        for origin, status in ((b"http://evil.test", 403), (b"null", 403),
                               (b"http://x", 101), (b"https://X", 101)):
            w = WebSocket(self.system.port["http"],
                          "/api/v1/monitor/messages", origin)
            self.addCleanup(w.close)
            self.assertEqual(w.status, status)

    def test_the_monitor(self):
        every = WebSocket(self.system.port["http"],
                          "/api/v1/monitor/messages")
        bob = WebSocket(self.system.port["http"],
                        "/api/v1/monitor/messages/bob")
        self.addCleanup(every.close)
        self.addCleanup(bob.close)
        self.assertEqual((every.status, bob.status), (101, 101))
        bob.send(9, b"there?")
        self.assertEqual(bob.frame(), (10, b"there?"))
        deliver(self.system, "bob", MAIL % (3, 3, 3))
        for w in (every, bob):
            got = w.message()
            self.assertEqual((got["mailbox"], got["subject"]),
                             ("bob@example.test", "Grüße 3"))
        bob.send(8, b"\x03\xe8")
        self.assertEqual(bob.frame(), (8, b"\x03\xe8"))
        self.assertEqual(bob.f.read(), b"")
        every.s.sendall(b"\x81\xfe\xff\xff")  # longer than is wanted
        self.assertEqual(every.frame(), (8, b"\x03\xf1"))
        self.assertEqual(self.call("GET", "/monitor/messages")[0], 400)

    def test_off_by_default(self):
        with System(programs=("mailbox",)) as s:
            c = http.client.HTTPConnection("127.0.0.1", s.port["http"],
                                           timeout=PATIENCE)
            for path in ("/mailbox/alice", "/monitor/messages"):
                c.request("GET", "/api/v1" + path)
                r = c.getresponse()
                self.assertEqual((r.status, json.load(r)["code"]),
                                 (404, "not-found"))
            c.close()


if __name__ == "__main__":
    unittest.main()
