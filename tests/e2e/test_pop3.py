# SPDX-License-Identifier: ISC
"""POP3 with the real program; what RFC 1939 leaves no choice about runs against
Dovecot too, where it is installed."""
import base64
import os
import poplib
import shutil
import socket
import subprocess
import tempfile
import unittest

import imapraw
from imapraw import Imap
from pneu import PASSWORD, PATIENCE, System, certificate, tls_context

ONE = b"Subject: one\r\n\r\n.dot\r\n..two dots\r\nlast\r\n"
TWO = b"Subject: two\r\nX: y\r\n\r\n" + b"line of the body\r\n" * 1000


class Pop3:
    def __init__(self, port, tls=False):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        if tls:
            self.s = tls_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")
        self.greeting = self.line()

    def starttls(self):
        self.s = tls_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")

    def send(self, data):
        self.s.sendall(data if isinstance(data, bytes) else data.encode())

    def line(self):
        return self.f.readline().rstrip(b"\r\n").decode("utf-8", "replace")

    def cmd(self, text):
        self.send(text + "\r\n")
        return self.line()

    def ok(self, text):
        r = self.cmd(text)
        assert r.startswith("+OK"), (text, r)
        return r[4:]

    def err(self, text):
        r = self.cmd(text)
        assert r.startswith("-ERR"), (text, r)
        return r[5:]

    def rest(self):
        """The lines of a multi-line response, unstuffed."""
        out = []
        while True:
            line = self.f.readline()
            if line in (b".\r\n", b""):
                return b"".join(out)
            out.append(line[1:] if line.startswith(b".") else line)

    def multi(self, text):
        self.ok(text)
        return self.rest()

    def close(self):
        self.f.close()
        self.s.close()


class Dialogues:
    """Mixed into a class with: port, imap_port, user(n)."""

    def fill(self, n, *messages):
        c = Imap(self.imap_port)
        self.addCleanup(c.close)
        c.ok('LOGIN "%s" "%s"' % self.user(n))
        c.ok("SELECT INBOX")
        c.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        c.ok("EXPUNGE")
        for m in messages:
            c.append("INBOX", m)
        return c

    def connect(self, n):
        p = Pop3(self.port)
        self.addCleanup(p.close)
        p.ok("USER " + self.user(n)[0])
        p.ok("PASS " + self.user(n)[1])
        return p

    def test_reading(self):
        self.fill(1, ONE, TWO)
        p = self.connect(1)
        size = len(ONE), len(TWO)
        self.assertEqual("2 %d" % sum(size), p.ok("STAT"))
        self.assertEqual(b"1 %d\r\n2 %d\r\n" % size, p.multi("LIST"))
        self.assertEqual("2 %d" % size[1], p.ok("list 2"))
        self.assertEqual(ONE, p.multi("RETR 1"))
        self.assertEqual(TWO, p.multi("RETR 2"))
        self.assertEqual(b"Subject: one\r\n\r\n", p.multi("TOP 1 0"))
        self.assertEqual(b"Subject: one\r\n\r\n.dot\r\n", p.multi("TOP 1 1"))
        self.assertEqual(ONE, p.multi("TOP 1 100"))
        self.assertEqual(b"Subject: two\r\nX: y\r\n\r\n" +
                         b"line of the body\r\n" * 7, p.multi("TOP 2 7"))
        ids = p.multi("UIDL").split(b"\r\n")[:-1]
        self.assertEqual([b"1", b"2"], [i.split()[0] for i in ids])
        self.assertEqual(2, len({i.split()[1] for i in ids}))
        self.assertEqual(ids[1].decode(), p.ok("UIDL 2"))
        for bad in ("RETR 3", "RETR 0", "RETR x", "RETR", "LIST 9", "UIDL 9",
                    "TOP 1", "TOP 9 1", "DELE 3", "NOPE", "TOP 1 -1"):
            p.err(bad)
        p.ok("NOOP")
        p.ok("QUIT")
        # the same identifiers later
        p = self.connect(1)
        self.assertEqual(ids, p.multi("UIDL").split(b"\r\n")[:-1])
        p.ok("QUIT")

    def test_deleting(self):
        self.fill(2, ONE, TWO, ONE)
        p = self.connect(2)
        p.ok("DELE 1")
        p.err("DELE 1")
        p.err("RETR 1")
        p.err("LIST 1")
        self.assertEqual(b"2 %d\r\n3 %d\r\n" % (len(TWO), len(ONE)),
                         p.multi("LIST"))
        self.assertEqual("2 %d" % (len(ONE) + len(TWO)), p.ok("STAT"))
        p.ok("RSET")
        self.assertEqual("3 %d" % (2 * len(ONE) + len(TWO)), p.ok("STAT"))
        p.ok("DELE 2")
        # gone without QUIT: nothing happens (RFC 1939 6)
        p.close()
        p = self.connect(2)
        self.assertEqual("3", p.ok("STAT").split()[0])
        p.ok("DELE 1")
        p.ok("DELE 2")
        p.ok("QUIT")
        p = self.connect(2)
        self.assertEqual("1 %d" % len(ONE), p.ok("STAT"))
        p.ok("QUIT")

    def test_pipelining(self):
        self.fill(3, ONE, TWO)
        p = self.connect(3)
        p.send("STAT\r\nRETR 1\r\nDELE 1\r\nNOOP\r\nQUIT\r\n")
        self.assertTrue(p.line().startswith("+OK 2"))
        self.assertTrue(p.line().startswith("+OK"))
        self.assertEqual(ONE, p.rest())
        for _ in range(3):
            self.assertTrue(p.line().startswith("+OK"))
        self.assertEqual("", p.line())

    def test_capa(self):
        p = Pop3(self.port)
        self.addCleanup(p.close)
        caps = p.multi("CAPA").decode().split("\r\n")
        for cap in ("TOP", "UIDL", "RESP-CODES", "PIPELINING",
                    "AUTH-RESP-CODE", "STLS", "USER"):
            self.assertIn(cap, caps)
        self.assertIn("PLAIN", next(
            c for c in caps if c.startswith("SASL")).split())
        for bad in ("STAT", "RETR 1"):
            p.err(bad)
        p.ok("QUIT")

    def test_auth(self):
        plain = base64.b64encode("\0{}\0{}".format(
            *self.user(1)).encode()).decode()
        p = Pop3(self.port)
        self.addCleanup(p.close)
        p.send("AUTH PLAIN\r\n")
        self.assertEqual("+ ", p.line())
        p.send("*\r\n")
        self.assertTrue(p.line().startswith("-ERR"))
        p.err("AUTH NOPE")
        p.err("AUTH PLAIN !!!")
        p.ok("AUTH PLAIN " + plain)
        p.err("AUTH PLAIN " + plain)
        p.ok("STAT")
        p.ok("QUIT")
        p = Pop3(self.port)
        self.addCleanup(p.close)
        p.ok("USER " + self.user(1)[0])
        self.assertTrue(p.err("PASS wrong").startswith("[AUTH]"))


class Dovecot(Dialogues, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not imapraw.dovecot_is_here():
            raise unittest.SkipTest("no Dovecot to compare with")
        cls.s = imapraw.Dovecot()
        cls.addClassCleanup(cls.s.close)
        cls.port = cls.s.port["pop3"]
        cls.imap_port = cls.s.port["imap"]

    def user(self, n):
        return "user%d@example.org" % n, "pass%d" % n


class Pneu(Dialogues, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",),
                       accounts=["user%d" % n for n in range(1, 5)],
                       conf={"mailbox": {"plaintext_login": True}})
        cls.addClassCleanup(cls.s.close)
        cls.port = cls.s.port["pop3"]
        cls.imap_port = cls.s.port["imap"]

    def user(self, n):
        return "user%d@example.test" % n, PASSWORD

    def test_any_number_of_clients(self):
        c = self.fill(4, ONE, TWO)
        p, q = self.connect(4), self.connect(4)
        c.append("INBOX", TWO)
        self.assertEqual("2", p.ok("STAT").split()[0])  # as at the login
        p.ok("DELE 1")
        p.ok("QUIT")
        q.err("RETR 1")                 # is gone, and said so
        self.assertEqual(TWO, q.multi("RETR 2"))
        q.ok("DELE 1")
        q.ok("QUIT")
        self.assertIn(b"EXPUNGE", b"".join(c.ok("NOOP").untagged))


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",))
        cls.addClassCleanup(cls.s.close)

    def test_no_password_in_the_clear(self):
        p = Pop3(self.s.port["pop3"])
        self.addCleanup(p.close)
        caps = p.multi("CAPA").decode().split("\r\n")
        self.assertIn("STLS", caps)
        self.assertNotIn("USER", caps)
        self.assertFalse([c for c in caps if c.startswith("SASL")])
        p.err("USER alice@example.test")
        p.err("AUTH PLAIN")
        # What is sent with STLS in the clear ends it, and is never run.
        p.send("STLS\r\nUSER injected\r\n")
        self.assertTrue(p.line().startswith("-ERR You sent more"))

    def test_stls(self):
        p = Pop3(self.s.port["pop3"])
        self.addCleanup(p.close)
        p.ok("STLS")
        p.starttls()
        caps = p.multi("CAPA").decode().split("\r\n")
        self.assertNotIn("STLS", caps)
        self.assertIn("USER", caps)
        p.err("STLS")
        p.ok("USER alice@example.test")
        p.ok("PASS " + PASSWORD)
        p.ok("QUIT")

    def test_limits(self):
        p = Pop3(self.s.port["pop3s"], tls=True)
        self.addCleanup(p.close)
        p.err("NOOP" + "x" * 5000)
        for _ in range(4):
            p.err("NOPE")
        self.assertEqual("", p.line())

    def test_programs(self):
        c = self.s.imap("bob")
        self.addCleanup(c.logout)
        for m in (ONE, TWO):
            c.append("INBOX", None, None, m)
        p = self.s.pop3("bob")
        self.assertEqual((2, len(ONE) + len(TWO)), p.stat())
        self.assertEqual(ONE, b"\r\n".join(p.retr(1)[1]) + b"\r\n")
        self.assertEqual(2, len(p.uidl()[1]))
        p.quit()
        p = poplib.POP3("127.0.0.1", self.s.port["pop3"], timeout=PATIENCE)
        p.stls(tls_context())
        p.user("bob@example.test")
        p.pass_(PASSWORD)
        p.quit()
        if shutil.which("curl"):
            got = subprocess.run(
                ["curl", "-sS", "-k", "-u", "bob@example.test:" + PASSWORD,
                 "pop3s://127.0.0.1:%d/2" % self.s.port["pop3s"]],
                capture_output=True, check=True, timeout=PATIENCE).stdout
            self.assertEqual(TWO, got)
        if shutil.which("fetchmail"):
            self.fetchmail()
            c.select()
            self.assertEqual(("OK", [b""]), c.search(None, "ALL"))

    def fetchmail(self):
        d = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, d)
        rc = os.path.join(d, "rc")
        with open(rc, "w") as f:
            f.write('poll localhost service %d protocol pop3 user '
                    '"bob@example.test" password "%s" ssl sslcertck '
                    'sslcertfile "%s" mda "cat >> %s/got; echo >> %s/got"\n'
                    % (self.s.port["pop3s"], PASSWORD, certificate()[0], d, d))
        os.chmod(rc, 0o600)
        r = subprocess.run(["fetchmail", "-f", rc, "--idfile", d + "/ids",
                            "--pidfile", d + "/pid"], text=True,
                           env=dict(os.environ, HOME=d), capture_output=True,
                           timeout=PATIENCE)
        self.assertEqual(0, r.returncode, r.stdout + r.stderr)
        with open(d + "/got", "rb") as f:
            got = f.read()
        self.assertIn(b".dot\n..two dots\nlast\n", got)
        self.assertEqual(1000, got.count(b"line of the body\n"))


if __name__ == "__main__":
    unittest.main()
