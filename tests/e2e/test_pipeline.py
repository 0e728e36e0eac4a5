# SPDX-License-Identifier: ISC
"""The whole pipeline with the programs people use: swaks, curl, msmtp,
fetchmail; and a second pneu found by MX in a real DNS zone."""
import email
import os
import subprocess
import tempfile
import unittest

import zone
from pneu import PASSWORD, System, certificate, until


def run(*args, input=None, env=None, check=True):
    r = subprocess.run(args, input=input, capture_output=True, timeout=120,
                       env=env)
    if check and r.returncode != 0:
        raise AssertionError("%s: exit %d\n%s\n%s" % (
            " ".join(args), r.returncode, r.stdout.decode(errors="replace"),
            r.stderr.decode(errors="replace")))
    return r.stdout


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System()

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def test_swaks_in_with_and_without_tls(self):
        server = "127.0.0.1:%d" % self.s.port["smtp"]
        for subject, more in (("swaks plain", []), ("swaks tls", ["-tls"])):
            run("swaks", "--server", server, "--from", "you@else.test", "--to",
                "bob@example.test", "--header", "Subject: " + subject, *more)
            self.s.wait_message("bob", subject.encode())

    def test_swaks_submits_with_each_mechanism(self):
        for mech in ("PLAIN", "LOGIN"):
            run("swaks", "--server", "127.0.0.1:%d" % self.s.port["submission"],
                "-tls", "--auth", mech, "-au", "alice@example.test", "-ap",
                PASSWORD, "--from", "alice@example.test", "--to",
                "bob@example.test", "--header", "Subject: by " + mech)
            self.s.wait_message("bob", b"Subject: by " + mech.encode())

    def test_curl_smtp_imap_and_pop3(self):
        with tempfile.NamedTemporaryFile() as f:
            f.write(b"From: alice@example.test\r\nSubject: curled\r\n\r\nhi\r\n")
            f.flush()
            run("curl", "-sS", "--url",
                "smtp://127.0.0.1:%d" % self.s.port["submission"], "--ssl-reqd",
                "-k", "-u", "alice@example.test:" + PASSWORD, "--mail-from",
                "alice@example.test", "--mail-rcpt", "alice@example.test",
                "-T", f.name)
        self.s.wait_message("alice", b"Subject: curled")
        user = "alice@example.test:" + PASSWORD
        for url in ("imap://127.0.0.1:%d/INBOX;MAILINDEX=1" % self.s.port["imap"],
                    "imaps://127.0.0.1:%d/INBOX;MAILINDEX=1" % self.s.port["imaps"],
                    "pop3://127.0.0.1:%d/1" % self.s.port["pop3"],
                    "pop3s://127.0.0.1:%d/1" % self.s.port["pop3s"]):
            got = run("curl", "-sS", "--url", url, "--ssl-reqd", "-k", "-u", user)
            self.assertIn(b"Subject: curled", got, url)

    def test_msmtp(self):
        run("msmtp", "--host=127.0.0.1", "--port=%d" % self.s.port["submissions"],
            "--tls=on", "--tls-starttls=off", "--tls-certcheck=off", "--auth=on",
            "--user=alice@example.test", "--passwordeval=echo " + PASSWORD,
            "--from=alice@example.test", "bob@example.test",
            input=b"From: alice@example.test\nTo: bob@example.test\n"
                  b"Subject: by msmtp\n\nx\n")
        got = self.s.wait_message("bob", b"Subject: by msmtp")
        m = email.message_from_bytes(got)
        self.assertIsNotNone(m["Date"])
        self.assertIsNotNone(m["Message-ID"])

    def test_fetchmail(self):
        s = self.s
        s.pneu("account", "add", "fred@example.test", input=PASSWORD + "\n")
        s.send("a@b.test", ["fred"], b"Subject: fetched 1\r\n\r\nx\r\n")
        s.send("a@b.test", ["fred"], b"Subject: fetched 2\r\n\r\nx\r\n")
        with tempfile.TemporaryDirectory() as d:
            for proto, port, n in (("IMAP", s.port["imaps"], 1),
                                   ("POP3", s.port["pop3s"], 2)):
                out = os.path.join(d, proto)
                rc = os.path.join(d, "rc")
                with open(rc, "w") as f:
                    f.write('poll 127.0.0.1 protocol %s port %d auth password\n'
                            ' user "fred@example.test" password "%s" ssl '
                            'no sslcertck %s mda "cat >> %s"\n' % (
                                proto, port, PASSWORD,
                                "keep fetchall" if n == 1 else "fetchall nokeep", out))
                os.chmod(rc, 0o600)
                run("fetchmail", "-f", rc, "--nosyslog", "--nodetach", "-i",
                    os.path.join(d, "ids"), env=dict(os.environ, HOME=d,
                    FETCHMAILHOME=d))
                with open(out, "rb") as f:
                    text = f.read()
                self.assertIn(b"Subject: fetched 1", text)
                self.assertIn(b"Subject: fetched 2", text)
        self.assertEqual(s.messages("fred"), [])


class TwoInstances(unittest.TestCase):
    """Mail goes from one pneu to another by MX, and a bounce comes back."""

    def test_relay_by_mx_and_back(self):
        with System(domain="there.lab", accounts=("tom",)) as there, \
                System(domain="here.lab", start=False) as here:
            # qm uses one port for all outside servers: one system's port.
            with zone.TestZone({"lab": "there MX 10 mx.there\n"
                                "mx.there A 127.0.0.1"}) as z:
                here.write_conf(dict(z.conf(), qm={
                    "smtp_port": there.port["smtp"]}))
                here.setup_accounts()
                for p in here.programs:
                    here.start(p)
                here.submit("alice", ["tom@there.lab"],
                            "From: alice@here.lab\r\nSubject: across\r\n\r\nhi\r\n")
                got = there.wait_message("tom", b"Subject: across")
                m = email.message_from_bytes(got)
                self.assertEqual(m["Return-Path"], "<alice@here.lab>")
                self.assertIn("ESMTPS", m.get_all("Received")[0])
                here.submit("alice", ["nobody@there.lab"],
                            "From: alice@here.lab\r\nSubject: lost\r\n\r\nhi\r\n")
                got = here.wait_message("alice", b"report-type=delivery-status")
                report = email.message_from_bytes(got)
                self.assertEqual(report["Return-Path"], "<>")
                status = report.get_payload()[1].as_string()
                self.assertIn("Action: failed", status)
                self.assertIn("5.1.1", status)
                self.assertIn("nobody@there.lab", status)
                until(lambda: here.pneu("queue", "list", "--json").strip()
                      in ("", "[]"), "empty queue")


if __name__ == "__main__":
    unittest.main()
