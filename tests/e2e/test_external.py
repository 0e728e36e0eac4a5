# SPDX-License-Identifier: ISC
"""EXTERNAL: who shows a certificate of tls.client_ca is who it says."""
import base64
import imaplib
import os
import poplib
import shutil
import smtplib
import subprocess
import tempfile
import unittest

from pneu import PASSWORD, PATIENCE, System, tls_context


class Certificates:
    """A CA, and certificates that it or others issued."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-ca-")
        self.ca("good")
        self.ca("other")

    def path(self, name):
        return os.path.join(self.dir, name)

    def openssl(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True,
                       cwd=self.dir)

    def ca(self, name):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
                     "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                     "-subj", "/CN=%s CA" % name, "-keyout", name + ".key",
                     "-out", name + ".pem")

    def issue(self, name, ca="good", usage="clientAuth"):
        """`name`: subjectAltName, without spaces."""
        file = "%s-%s-%s" % (name.replace(":", "-").replace(",", "-"), ca,
                             usage)
        if not os.path.exists(self.path(file + ".pem")):
            with open(self.path("ext"), "w") as f:
                f.write("subjectAltName=%s\nextendedKeyUsage=%s\n" % (name,
                                                                      usage))
            self.openssl("req", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x",
                         "-keyout", file + ".key", "-out", "csr")
            self.openssl("x509", "-req", "-in", "csr", "-CA", ca + ".pem",
                         "-CAkey", ca + ".key", "-CAcreateserial", "-days",
                         "30", "-extfile", "ext", "-out", file + ".pem")
        return self.path(file + ".pem"), self.path(file + ".key")


class External(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()
        cls.s = System(programs=("guard", "mailbox", "qm", "msa"),
                       start=False)
        pem = cls.certificates.path("good.pem")
        with open(cls.s.conf) as f:
            text = f.read()
        with open(cls.s.conf, "w") as f:
            f.write(text.replace('"tls": {', '"tls": { "client_ca": "%s",' %
                                 pem))
        cls.s.setup_accounts()
        for program in cls.s.programs:
            cls.s.start(program)

    @classmethod
    def tearDownClass(cls):
        cls.s.close()
        shutil.rmtree(cls.certificates.dir)

    def context(self, issued):
        context = tls_context()
        if issued is not None:
            context.load_cert_chain(*issued)
        return context

    def imap(self, issued, authzid):
        c = imaplib.IMAP4_SSL("127.0.0.1", self.s.port["imaps"],
                              ssl_context=self.context(issued),
                              timeout=PATIENCE)
        try:
            offered = "AUTH=EXTERNAL" in c.capabilities
            c.authenticate("EXTERNAL", lambda _: authzid.encode())
            self.assertTrue(offered)
            return True
        except imaplib.IMAP4.error:
            return False if offered else None
        finally:
            c.shutdown()

    def pop3(self, issued, authzid):
        c = poplib.POP3_SSL("127.0.0.1", self.s.port["pop3s"],
                            context=self.context(issued), timeout=PATIENCE)
        try:
            offered = "EXTERNAL" in c.capa().get("SASL", [])
            c._shortcmd("AUTH EXTERNAL " + (base64.b64encode(
                authzid.encode()).decode() or "="))
            self.assertTrue(offered)
            return True
        except poplib.error_proto:
            return False if offered else None
        finally:
            c.close()

    def submission(self, issued, authzid):
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=PATIENCE) as c:
            c.starttls(context=self.context(issued))
            c.ehlo()
            offered = "EXTERNAL" in c.esmtp_features["auth"].split()
            code, _ = c.docmd("AUTH", "EXTERNAL " + (base64.b64encode(
                authzid.encode()).decode() or "="))
            if code == 235:
                self.assertTrue(offered)
                return True
            return False if offered else None

    def test_the_certificate_says_who(self):
        issue = self.certificates.issue
        alice = "email:Alice@example.test"
        cases = [
            (issue(alice), "", True),
            (issue(alice), "alice@example.test", True),
            (issue(alice), "bob@example.test", False),
            (issue(alice), "no address", False),
            (issue("email:x@else.test,email:bob@example.test"), "", True),
            (issue("email:alice@example.test,email:bob@example.test"),
             "bob@example.test", True),
            (issue("email:carol@example.test"), "", False),
            # Not offered: no address in it, another's, for other use, none.
            (issue("DNS:alice.example.test"), "", None),
            (issue(alice, "other"), "", None),
            (issue(alice, usage="serverAuth"), "", None),
            (None, "alice@example.test", None),
        ]
        for issued, authzid, expected in cases:
            for door in (self.imap, self.pop3, self.submission):
                self.assertIs(door(issued, authzid), expected,
                              (issued, authzid, door))

    def test_a_strange_certificate_shuts_out_nobody(self):
        strange = self.certificates.issue("email:alice@example.test", "other")
        c = imaplib.IMAP4_SSL("127.0.0.1", self.s.port["imaps"],
                              ssl_context=self.context(strange),
                              timeout=PATIENCE)
        c.login("alice@example.test", PASSWORD)
        c.logout()


if __name__ == "__main__":
    unittest.main()
