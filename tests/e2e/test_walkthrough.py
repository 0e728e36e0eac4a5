# SPDX-License-Identifier: ISC
"""docs/walkthrough.md, run as it stands: an account at Debian's Dovecot and
Postfix is read by IMAP, in the page's way and by curl, tells of new mail, and is
answered from. Only ports and folders are others."""
import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import unittest

from imapraw import dovecot_is_here
from pneu import BUILD, PATIENCE, TOP, free_ports, until

DOC = os.path.join(TOP, "docs", "walkthrough.md")
DEMO_PORTS = (24, 25, 80, 99, 110, 143, 465, 587, 993, 995)
PEER_PORTS = {"IMAP_PORT": 10143, "SMTP_PORT": 10025, "SUBMISSION_PORT": 10587}
MORE_PORTS = ("IMAPS_PORT", "POP3_PORT", "POP3S_PORT", "LMTP_PORT",
              "SUBMISSIONS_PORT")


def port_base():
    """One above which the demo's ports are free now; below those that the
    kernel gives away."""
    while True:
        base = random.randrange(10000, 30000, 100)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for p in DEMO_PORTS:
                held.enter_context(socket.socket()).bind(
                    ("127.0.0.1", base + p))
            return base


def blocks():
    """The commands of the page, each indented part."""
    with open(DOC) as f:
        return [textwrap.dedent(b) for b in re.findall(
            r"(?m)(?<=\n\n)(?:    .*\n|\n(?=    ))+", f.read())]


@unittest.skipUnless(
    dovecot_is_here() and shutil.which("postfix") and shutil.which("swaks") and
    shutil.which("jq"), "needs Debian's Dovecot, Postfix, swaks and jq, and root")
class Walkthrough(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-walk-")
        self.addCleanup(shutil.rmtree, self.dir)
        os.chmod(self.dir, 0o755)
        self.base = port_base()
        names = list(PEER_PORTS) + list(MORE_PORTS)
        self.peer = dict(zip(names, map(str, free_ports(len(names)))))
        self.env = {**os.environ, **self.peer}

    def here(self, text):
        """With this test's ports and folders."""
        for name, port in PEER_PORTS.items():
            text = re.sub(r"\b%d\b" % port, self.peer[name], text)
        text = re.sub(r"(127\.0\.0\.1(?::|\", ))2(\d\d\d)\b", lambda m: "%s%d" % (
            m[1], self.base + int(m[2])), text)
        return text.replace("/tmp/", self.dir + "/").replace(
            "build/pneu", BUILD + "/pneu").replace(
                "run/pneu.conf", self.dir + "/run/pneu.conf")

    def bash(self, text, **kw):
        return subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail", "-c",
             "sudo() { \"$@\"; }\n" + self.here(text)], cwd=TOP, env=self.env,
            stdin=subprocess.DEVNULL, start_new_session=True, **kw)

    def run_all(self, text):
        """Its output. Not by a pipe: daemons that are started keep it."""
        with open(self.dir + "/out", "w+") as out:
            p = self.bash(text, stdout=out, stderr=out)
            self.addCleanup(self.end, p)
            try:
                rc = p.wait(3 * PATIENCE)
            except subprocess.TimeoutExpired:
                rc = "no end"
            out.seek(0)
            said = out.read()
        self.assertEqual(rc, 0, said)
        return said

    def end(self, p):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signal.SIGTERM)
        p.wait(PATIENCE)

    def stop_peers(self):
        for script, where in (("postfix", "elsewhere-smtp"),
                              ("dovecot", "elsewhere")):
            if os.path.isdir(os.path.join(self.dir, where)):
                self.run_all("tests/peers/%s.sh stop /tmp/%s" % (script, where))

    def start_demo(self, command):
        """`make run` without installing and building."""
        ca = self.here(re.fullmatch(r"make run CA=(\S+)\n+", command)[1])
        log = open(self.dir + "/demo.log", "w+")
        self.addCleanup(log.close)
        p = subprocess.Popen(
            [TOP + "/tools/demo", BUILD, self.dir + "/run", str(self.base)],
            env={**self.env, "CA": ca}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True)
        self.addCleanup(self.end, p)

        def healthy():
            if p.poll() is not None:
                log.seek(0)
                self.fail("the demo has ended: " + log.read())
            with contextlib.suppress(OSError):
                c = http.client.HTTPConnection("127.0.0.1", self.base + 80,
                                               timeout=PATIENCE)
                c.request("GET", "/health")
                return c.getresponse().status == 200
        until(healthy, "the demo")

    def page(self):
        """As the page does it: by the cookie."""
        c = http.client.HTTPConnection("127.0.0.1", self.base + 80,
                                       timeout=PATIENCE)

        def get(method, path, body=None, **head):
            c.request(method, path, body, head)
            r = c.getresponse()
            return r.status, r.getheader("Set-Cookie"), r.read()
        self.assertIn(b"<script", get("GET", "/")[2])
        _, cookie, _ = get("POST", "/api/v1/session", json.dumps({
            "address": "bob@example.test", "password": "demo",
            "cookie": True}), **{"Content-Type": "application/json"})
        head = {"Cookie": cookie.split(";")[0]}
        one = json.loads(get("GET", "/api/v1/outside/user1@example.org",
                             **head)[2])
        self.assertEqual((one["status"]["state"], one["status"]["messages"]),
                         ("ok", 1))
        c.close()

    def test_as_it_stands(self):
        parts = blocks()
        peers, demo, story, end = parts[0], parts[1], parts[2:-1], parts[-1]
        self.addCleanup(self.stop_peers)
        self.run_all(peers)
        self.start_demo(demo)
        said = self.run_all("\n".join(story))
        # Told, by IMAP, by curl, and at Ann's.
        self.assertRegex(said, r'"subject": ?"Dinner\?"')
        self.assertIn("At eight?", said)
        self.assertIn("* SEARCH 1", said)
        self.assertIn('"Dinner?"\n"At eight?', said)
        self.assertIn("From: user1@example.org", said)
        self.assertRegex(said, r"Subject: Re: Dinner\?")
        self.page()
        with open(self.dir + "/elsewhere-smtp/mail.log") as f:
            self.assertRegex(f.read(), r"sasl_username=user1@example\.org")
        said = self.run_all(parts[2].splitlines()[0] + "\nsleep 1000 &\n" + end)
        self.assertRegex(said, r"so far +1 messages")
        self.assertIn("user2@example.org", said)
