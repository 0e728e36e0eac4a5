# SPDX-License-Identifier: ISC
"""pneu-gateway: why an account elsewhere does not work is told in words, the
same in `pneu outside test`, `show`, `fetch` and the log, and never a secret."""
import base64
import json
import os
import socket
import ssl
import subprocess
import tempfile

from pneu import certificate, until
from pop3server import Pop3Server
from test_gateway import Case, system
from zone import TestZone

SECRET = "c0rrect-h0rse-battery"
CA = """[ca]
default_ca = d
[d]
new_certs_dir = %(dir)s
database = %(dir)s/index
serial = %(dir)s/serial
default_md = sha256
policy = p
x509_extensions = x
[p]
commonName = supplied
[x]
subjectAltName = DNS:localhost
[req]
distinguished_name = n
[n]
"""


def expired(d):
    """(certificate, key) of 2020."""
    pem, key = os.path.join(d, "old.pem"), os.path.join(d, "old.key")
    conf, csr = os.path.join(d, "ca.conf"), os.path.join(d, "old.csr")
    with open(conf, "w") as f:
        f.write(CA % {"dir": d})
    open(os.path.join(d, "index"), "w").close()
    for args in (
            ["req", "-new", "-config", conf, "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=old.test",
             "-keyout", key, "-out", csr],
            ["ca", "-batch", "-config", conf, "-selfsign", "-create_serial",
             "-startdate", "20200101000000Z", "-enddate", "20200201000000Z",
             "-keyfile", key, "-in", csr, "-notext", "-out", pem]):
        subprocess.run(["openssl", *args], check=True, capture_output=True)
    return pem, key


class TlsServer(Pop3Server):
    def __init__(self, pem, **kw):
        self.pem = pem
        super().__init__(tls="implicit", password=SECRET, **kw)

    def _context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pem)
        return context


class Reasons(Case):
    @classmethod
    def setUpClass(cls):
        d = tempfile.TemporaryDirectory(prefix="pneu-certs-", dir="/tmp")
        cls.addClassCleanup(d.cleanup)
        cls.old = expired(d.name)
        cls.other = certificate("DNS:other.test")
        ca = os.path.join(d.name, "ca.pem")
        with open(ca, "w") as f:
            for pem, _ in (certificate(), cls.other, cls.old):
                with open(pem) as one:
                    f.write(one.read())
        zone = TestZone({"lab": "www A 127.0.0.1\nno TXT address"})
        cls.addClassCleanup(zone.close)
        cls.s = system(conf={"tls": {"ca": ca}, **zone.conf()},
                       accounts=("alice",))
        cls.addClassCleanup(cls.s.close)

    def told(self, server, *texts, host="localhost", state="retry",
             security="tls"):
        address = self.add(server, "alice", "--host", host, password=SECRET,
                           security=security)
        test = self.outside("test", "--json", address, check=False)
        self.assertEqual(test.returncode, 1)
        self.wait_state(address, state)
        shown = self.outside("show", address)
        everywhere = (json.loads(test.stdout)["error"], self.fetch(address),
                      self.show(address)["error"], shown,
                      self.s.log("gateway"))
        for text in texts:
            for said in everywhere:
                self.assertIn(text, said)
        for secret in (SECRET, base64.b64encode(SECRET.encode()).decode(),
                       base64.b64encode(b"\0u\0" + SECRET.encode()).decode()):
            for said in (*everywhere, test.stderr):
                self.assertNotIn(secret, said)
        return address

    def test_certificates(self):
        for pem, text in ((self.other, "for another name"),
                          (self.old, "has expired"),
                          (certificate("DNS:localhost,DNS:alone.test"),
                           "self-signed")):
            with self.subTest(text), TlsServer(pem) as server:
                self.told(server, "no TLS", text)
        with TlsServer(certificate()) as server:
            address = self.add(server, "alice", "--host", "localhost",
                               password=SECRET, security="tls")
            self.assertIn("signed in", self.outside("test", address))

    def test_no_connection(self):
        with Pop3Server() as server:
            self.told(server, "does not speak TLS at this port")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))  # and nobody listens
            self.told(s.getsockname()[1], "connection refused",
                      "port %d" % s.getsockname()[1])
        for host, text in (("nowhere.lab", "DNS knows no such name"),
                           ("no.lab", "DNS knows no address")):
            with self.subTest(host):
                self.told(1, "%s: no such host" % host, text, host=host)

    def test_refused(self):
        """What the server says is passed on, but for what it must not say."""
        def refuse(arg):
            return ("-ERR [AUTH] no %s, nor %s, nor %s: see "
                    "https://help.test/7\r\n" % (
                        arg, base64.b64encode(SECRET.encode()).decode(),
                        base64.b64encode(b"\0u\0" + SECRET.encode()).decode())
                    ).encode()
        with TlsServer(certificate(), override={"PASS": refuse}) as server:
            self.told(server, "refuses to sign us in", "https://help.test/7",
                      "made for mail programs", state="login")

    def test_over_in_the_middle(self):
        """What comes instead of a greeting, and a server that hangs up."""
        with Pop3Server(greeting=b"220 smtp.test ESMTP\r\n") as server:
            self.told(server, "smtp.test ESMTP", security="none")
        with Pop3Server(override={"USER": (b"",), "CAPA": (b"",)}) as server:
            self.told(server, "it closed the connection", security="none")


del Case
