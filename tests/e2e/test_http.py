# SPDX-License-Identifier: ISC
"""`pneu http`: the status page and what it says about the programs."""
import html.parser
import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from pneu import (BUILD, PATIENCE, Clock, certificate, listening_socket,
                  preloaded, until)


class Greeter:
    """A program that says one line to whoever connects, and notes the rest."""

    def __init__(self, line, tls=False):
        self.line, self.tls, self.heard = line, tls, []
        self.socket = listening_socket()
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            try:
                if self.tls:
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                    context.load_cert_chain(*certificate())
                    c = context.wrap_socket(c, server_side=True)
                with c:
                    c.settimeout(PATIENCE)
                    if self.line is not None:
                        c.sendall(self.line)
                    self.heard.append(c.recv(100))
            except OSError:
                pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Status(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-http-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.greeters = {
            "guard": Greeter(b"220 guard\r\n"),
            "mailbox": Greeter(b"220 box LMTP\r\n"),
            "imap": Greeter(b"* OK imap\r\n"),
            "imaps": Greeter(b"* OK imaps\r\n", tls=True),
            "pop3": Greeter(b"+OK pop\r\n"),
            "qm": Greeter(b"220 qm\r\n"),
            "mta": Greeter(b"220-mta\r\n220 mta\r\n"),
            "msa": Greeter(b"220 msa\r\n"),
            "gateway": Greeter(b"220 gateway\r\n"),
        }
        for g in self.greeters.values():
            self.addCleanup(g.close)
        at = {k: g.address for k, g in self.greeters.items()}
        pem, key = certificate()
        self.conf = {
            "hostname": "mx.<b>&example", "data_dir": "data",
            "run_dir": "sock", "drain": "1s",
            "tls": {"certificate": pem, "key": key},
            "guard": {"lmtp": at["guard"]},
            "mailbox": {"lmtp": at["mailbox"], "imap": at["imap"],
                        "imaps": at["imaps"], "pop3": at["pop3"],
                        "pop3s": []},
            "qm": {"lmtp": at["qm"]}, "mta": {"listen": at["mta"]},
            "msa": {"submission": at["msa"], "submissions": []},
            "gateway": {"lmtp": at["gateway"]},
        }

    def start(self, *assignments, **env):
        """As from systemd, on a port of ours; it is told to be ready.
        assignments: of variables, for the program alone."""
        path = os.path.join(self.dir, "pneu.conf")
        with open(path, "w") as f:
            json.dump(self.conf, f)
        listener = listening_socket()
        self.port = listener.getsockname()[1]
        notify = os.path.join(self.dir, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n, \
                open(os.path.join(self.dir, "log"), "wb") as log:
            n.bind(notify)
            n.settimeout(PATIENCE)
            self.process = subprocess.Popen(
                ["bash", "-c", "exec 3<&%d %d<&-; LISTEN_PID=$$ exec \"$@\"" %
                 (listener.fileno(), listener.fileno()), "bash", "env",
                 *assignments, os.path.join(BUILD, "pneu"), "-c", path, "http"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=[listener.fileno()],
                env={**os.environ, **env, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http",
                     "NOTIFY_SOCKET": notify})
            self.addCleanup(self.stop)
            listener.close()
            while b"READY=1" not in n.recv(1000):
                pass

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(PATIENCE), 0, self.log())
        self.assertNotIn("Sanitizer", self.log())
        self.assertNotIn("runtime error", self.log())

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def get(self, path, method="GET", **kw):
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=PATIENCE)
        c.request(method, path, **kw)
        r = c.getresponse()
        body = r.read()
        c.close()
        return r, body

    def raw(self, octets):
        with socket.create_connection(("127.0.0.1", self.port),
                                      PATIENCE) as c:
            c.sendall(octets)
            with c.makefile("rb") as f:
                return f.read()

    def test_all_answer(self):
        self.start()
        r, body = self.get("/health")
        health = json.loads(body)
        self.assertEqual((r.status, health["status"]), (200, "ok"), body)
        self.assertEqual(set(health["programs"]),
                         {"guard", "mailbox", "qm", "mta", "msa", "gateway"})
        sockets = health["programs"]["mailbox"]["sockets"]
        self.assertEqual([(s["protocol"], s["status"], s["said"])
                          for s in sockets], [
            ("lmtp", "ok", "220 box LMTP"), ("imap", "ok", "* OK imap"),
            ("imaps", "ok", "* OK imaps"), ("pop3", "ok", "+OK pop")])
        until(lambda: self.greeters["imap"].heard, "goodbye")
        self.assertEqual(self.greeters["imap"].heard, [b"a LOGOUT\r\n"])
        self.assertEqual(r.getheader("Cache-Control"), "no-store")

    def test_who_does_not_answer_or_says_something_else(self):
        with listening_socket() as s:
            closed = "127.0.0.1:%d" % s.getsockname()[1]
        self.conf["qm"]["lmtp"] = closed
        self.conf["guard"]["lmtp"] = "unix:guard.sock"
        other = Greeter(b"421 <script>busy\r\n")
        self.addCleanup(other.close)
        self.conf["msa"]["submission"] = other.address
        self.conf["tls"] = {}
        self.start()
        r, body = self.get("/health")
        self.assertEqual(r.status, 503)
        programs = json.loads(body)["programs"]
        self.assertEqual({n: p["status"] for n, p in programs.items()}, {
            "guard": "failed", "mailbox": "ok", "qm": "failed", "mta": "ok",
            "msa": "failed", "gateway": "ok"})
        self.assertEqual(programs["qm"]["sockets"][0]["said"],
                         "no connection: Connection refused")
        self.assertEqual(programs["msa"]["sockets"][0]["said"],
                         "421 <script>busy")
        self.assertEqual(programs["mailbox"]["sockets"][2]["status"], "off")
        r, body = self.get("/status")
        self.assertEqual(r.status, 200)
        self.assertIn(b"421 &lt;script&gt;busy", body)
        self.assertNotIn(b"<script", body)

    def test_the_page(self):
        self.start()
        r, body = self.get("/status")
        self.assertEqual(r.status, 200)
        self.assertEqual(r.getheader("Content-Type"),
                         "text/html; charset=utf-8")
        self.assertIn("default-src 'none'",
                      r.getheader("Content-Security-Policy"))
        self.assertIn(b"mx.&lt;b&gt;&amp;example", body)
        for name in (b"mta", b"guard", b"mailbox", b"msa", b"qm", b"gateway"):
            self.assertIn(b"<b class=\"ok\">%s</b>" % name, body)
        depth = []

        class Parser(html.parser.HTMLParser):
            def handle_starttag(self, tag, attrs):
                if tag in ("b", "pre", "table", "h1", "h2", "span", "style"):
                    depth.append(tag)

            def handle_endtag(self, tag):
                if tag in ("b", "pre", "table", "h1", "h2", "span", "style"):
                    assert depth.pop() == tag, tag

        Parser().feed(body.decode())
        self.assertEqual(depth, [])

    def test_the_web_page(self):
        self.start()
        r, body = self.get("/")
        self.assertEqual((r.status, r.getheader("Content-Type")),
                         (200, "text/html; charset=utf-8"))
        found = re.findall(rb'(?:href|src)="(/[^"]+)"', body)
        self.assertGreater(len(found), 2)
        seen = set()
        while found:
            path = found.pop().decode()
            if path in seen:
                continue
            seen.add(path)
            r, body = self.get(path)
            self.assertEqual(r.status, 200, path)
            policy = r.getheader("Content-Security-Policy")
            self.assertIn("default-src 'none'", policy)
            self.assertIn("script-src 'self';", policy)
            self.assertNotIn("unsafe", policy)
            self.assertNotRegex(body, rb"innerHTML|outerHTML|insertAdj|eval\(",
                                path)
            self.assertNotRegex(body, rb"https?://(?!www.w3.org/2000/svg)\w")
            found += [b"/web/" + m for m in re.findall(
                rb'from "\./([a-z]+\.js)"', body)]
            again, nothing = self.get(path, headers={
                "If-None-Match": r.getheader("ETag")})
            self.assertEqual((again.status, nothing), (304, b""))
        self.assertIn("/web/compose.js", seen)
        self.assertEqual(self.get("/web/../web.c")[0].status, 404)

    def test_version_head_and_what_there_is_not(self):
        self.start()
        r, body = self.get("/version?x=1")
        self.assertEqual(r.status, 200)
        self.assertEqual(json.loads(body)["name"], "pneu")
        head, nothing = self.get("/version", "HEAD")
        self.assertEqual((head.status, nothing), (200, b""))
        self.assertEqual(head.getheader("Content-Length"), str(len(body)))
        self.assertEqual(self.get("/nix")[0].status, 404)
        r, _ = self.get("/version", "POST", body=b"x")
        self.assertEqual((r.status, r.getheader("Allow")), (405, "GET, HEAD"))
        r, _ = self.get("/version", "GET", body=b"x")
        self.assertEqual(r.status, 413)

    def test_requests_that_are_none(self):
        self.start()
        for octets, status in (
                (b"GET / HTTP/1.1\r\n\r\n", b"400"),
                (b"GET /\r\n\r\n", b"400"),
                (b"\x16\x03\x01\x00\r\n", b"400"),
                (b"GET / HTTP/3.0\r\n\r\n", b"505"),
                (b"GET /version HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
                (b"\r\nGET /version HTTP/1.0\n\n", b"200"),
                (b"GET /" + b"x" * 5000 + b" HTTP/1.0\r\n\r\n", b"431"),
                (b"GET / HTTP/1.0\r\nX: " + b"x" * 5000 + b"\r\n\r\n", b"431"),
                (b"GET / HTTP/1.0\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
                # One request a connection: no second answer.
                (b"GET /nix HTTP/1.0\r\n\r\n" * 2, b"404")):
            answer = self.raw(octets)
            self.assertEqual(answer.split(b" ", 2)[1], status, octets[:40])
            self.assertEqual(answer.count(b"HTTP/1.1 "), 1)

    def test_a_slow_request_has_an_end(self):
        # 10 seconds, by design, however often an octet comes.
        clock = Clock(self.dir)
        self.start("LD_PRELOAD=" + preloaded("shim_clock"),
                   **clock.env)
        with socket.create_connection(("127.0.0.1", self.port),
                                      PATIENCE) as c:
            for _ in range(100):
                c.send(b"G")
                clock.move(1)
                if select.select([c], [], [], 0.05)[0]:
                    break
            with c.makefile("rb") as f:
                self.assertEqual(f.readline(),
                                 b"HTTP/1.1 408 Request Timeout\r\n")

    def test_many_at_once_ask_the_programs_once(self):
        self.start()
        results = []

        def ask():
            results.append(self.get("/health")[0].status)
        threads = [threading.Thread(target=ask) for _ in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(results, [200] * 30)
        # How often depends on how long 30 take; each time serves 2 seconds.
        self.assertLess(len(self.greeters["mta"].heard), 15)


if __name__ == "__main__":
    unittest.main()
