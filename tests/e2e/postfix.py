# SPDX-License-Identifier: ISC
"""Debian's Postfix on loopback (tests/peers/postfix.sh), to ask how another
server takes a dialogue. What it accepts stays in its queue."""
import os
import shutil
import subprocess
import tempfile

from pneu import TOP, certificate, free_ports

SCRIPT = os.path.join(TOP, "tests", "peers", "postfix.sh")


def is_here():
    return os.getuid() == 0 and shutil.which("postfix") is not None


class Postfix:
    domain = "example.org"

    def __init__(self, **env):
        self.dir = tempfile.mkdtemp(prefix="pneu-postfix-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        dovecot = os.path.join(self.dir, "dovecot")
        os.mkdir(dovecot)
        pem, key = certificate()
        shutil.copy(pem, os.path.join(dovecot, "cert.pem"))
        shutil.copy(key, os.path.join(dovecot, "key.pem"))
        with open(os.path.join(dovecot, "passwd"), "w") as f:
            f.write("user1@example.org:x\n")
        ports = free_ports(4)
        self.port = ports[0]
        self.env = dict(os.environ, **env, **{
            name: str(port) for name, port in zip(
                ("SMTP_PORT", "SUBMISSION_PORT", "SUBMISSIONS_PORT",
                 "LMTP_PORT"), ports)})
        self.script("start", dovecot)

    def script(self, command, *args):
        r = subprocess.run([SCRIPT, command, os.path.join(self.dir, "postfix"),
                            *args], env=self.env, capture_output=True,
                           text=True, stdin=subprocess.DEVNULL, timeout=120)
        assert r.returncode == 0, r.stdout + r.stderr

    def close(self):
        self.script("stop")
        shutil.rmtree(self.dir, ignore_errors=True)
