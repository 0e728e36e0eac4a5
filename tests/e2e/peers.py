# SPDX-License-Identifier: ISC
"""Debian's Exim and Postfix, each a private instance on loopback with its own
configuration and spool (tests/peers), for one test run.

    with Exim(next_port) as peer:      # what is for elsewhere goes there
        peer.port, peer.domain, peer.messages(), peer.log()
"""
import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from pneu import PATIENCE, SCRATCH, TOP, certificate, free_ports
from scripted import Scripted

EXIM = os.environ.get("EXIM",
                      "/usr/local/lib/pneu-peers/exim/usr/sbin/exim4")


class Peer:
    script = None

    def __init__(self, next_port):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root to start another server")
        self.dir = tempfile.mkdtemp(prefix="pneu-peer-", dir=SCRATCH)
        os.chmod(self.dir, 0o755)
        self.next_port = next_port
        for attempt in range(5):
            (self.port, *self.more_ports) = free_ports(3)
            try:
                if self.run("start").returncode == 0:
                    return
            except subprocess.TimeoutExpired:
                self.close()
                raise
            self.run("stop")
        text = self.log()
        self.close()
        raise AssertionError("%s did not start: %s" % (self.script, text))

    def run(self, command):
        with open(os.path.join(self.dir, "start.log"), "ab") as log:
            return subprocess.run(
                [os.path.join(TOP, "tests", "peers", self.script), command,
                 os.path.join(self.dir, "run"), *self.operands()],
                env=dict(os.environ, SMTP_PORT=str(self.port),
                         NEXT_PORT=str(self.next_port), DOMAIN=self.domain,
                         **self.environment()),
                stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def operands(self):
        return []

    def environment(self):
        return {}

    def log(self):
        text = ""
        for path in (glob.glob(self.dir + "/run/log/*") +
                     glob.glob(self.dir + "/run/*.log") +
                     [self.dir + "/start.log"]):
            with open(path, errors="replace") as f:
                text += f.read()
        return text

    def close(self):
        self.run("stop")
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Exim(Peer):
    script, domain = "exim.sh", "exim.test"

    def __init__(self, next_port, **env):
        """env: more for exim.sh."""
        if not os.path.exists(EXIM):
            raise unittest.SkipTest("no Exim: tools/deps peers")
        self.env = env
        super().__init__(next_port)

    def environment(self):
        pem, key = certificate()
        return {"CERT": pem, "KEY": key, "EXIM": EXIM, **self.env}

    def messages(self):
        """[(recipient, octets with LF)] of what was delivered there."""
        path = os.path.join(self.dir, "run", "mail", "box")
        if not os.path.exists(path):
            return []
        with open(path, "rb") as f:
            parts = re.split(rb"(?m)^From .* \d\d:\d\d:\d\d \d{4}\n", f.read())
        found = []
        for text in parts[1:]:
            to = re.search(rb"(?m)^Envelope-to: (.*)\n", text)
            if to is None or not text.endswith(b"\n\n"):
                continue # being written
            found.append((to[1].decode(), re.sub(rb"(?m)^>From ", b"From ",
                                                 text)))
        return found


class Postfix(Peer):
    """Delivers by LMTP to a scripted server."""
    script, domain = "postfix.sh", "postfix.test"

    def __init__(self, next_port, extra=""):
        """extra: more lines for main.cf."""
        if not shutil.which("postfix"):
            raise unittest.SkipTest("no Postfix: tools/deps peers")
        self.extra = extra
        self.box = Scripted(lmtp=True, extensions=(
            "PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"))
        super().__init__(next_port)

    def operands(self):
        users = os.path.join(self.dir, "users")
        os.makedirs(users, exist_ok=True)
        pem, key = certificate()
        shutil.copy(pem, os.path.join(users, "cert.pem"))
        shutil.copy(key, os.path.join(users, "key.pem"))
        with open(os.path.join(users, "passwd"), "w") as f:
            for name in ("bob", "sam", "j\u00f6rg", "picky"):
                f.write("%s@%s:x\n" % (name, self.domain))
        return [users]

    def environment(self):
        extra = os.path.join(self.dir, "extra")
        with open(extra, "w") as f:
            f.write("default_transport = smtp:[127.0.0.1]:%d\n"
                    "relay_transport = smtp:[127.0.0.1]:%d\n"
                    "smtpd_relay_restrictions = permit_mynetworks, reject\n"
                    "smtp_tls_security_level = may\n"
                    "smtp_host_lookup = native\n"
                    "minimal_backoff_time = 1s\nqueue_run_delay = 1s\n%s"
                    % (self.next_port, self.next_port, self.extra))
        return {"POSTFIX_EXTRA": extra, "LMTP_PORT": str(self.box.port),
                "SUBMISSION_PORT": str(self.more_ports[0]),
                "SUBMISSIONS_PORT": str(self.more_ports[1])}

    def messages(self):
        with self.box.lock:
            return [(r, m.data.replace(b"\r\n", b"\n"))
                    for m in self.box.messages for r in m.recipients]

    def close(self):
        super().close()
        self.box.close()
