# SPDX-License-Identifier: ISC
"""What a domain publishes about TLS to its servers: DANE (RFC 7672) in a signed
zone, MTA-STS (RFC 8461) from a policy host on loopback. qm with scripted servers
around it, as in test_qm."""
import hashlib
import http.server
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import unittest

import test_qm
from pneu import certificate, until
from test_qm import Case, PORT
from zone import TestZone

DIR = tempfile.mkdtemp(prefix="pneu-policy-", dir="/tmp")


def run(*args, **kw):
    return subprocess.run(args, check=True, capture_output=True, **kw).stdout


def sha256(octets):
    return hashlib.sha256(octets).hexdigest()


def spki(pem):
    return run("openssl", "pkey", "-pubin", "-outform", "DER",
               input=run("openssl", "x509", "-in", pem, "-pubkey", "-noout"))


def der(pem):
    return run("openssl", "x509", "-in", pem, "-outform", "DER")


def issued(ca, names):
    """(chain, key) of a certificate that `ca` has issued."""
    path = os.path.join(DIR, sha256(names.encode())[:16])
    key, pem, request = path + ".key", path + ".pem", path + ".csr"
    run("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-addext",
        "subjectAltName=" + names, "-keyout", key, "-out", request)
    leaf = run("openssl", "x509", "-req", "-in", request, "-CA", ca[0],
               "-CAkey", ca[1], "-days", "30", "-copy_extensions", "copy")
    with open(ca[0], "rb") as f, open(pem, "wb") as out:
        out.write(leaf + f.read())
    return pem, key


# Nobody trusts this one but by TLSA, and its name is nobody's.
OWN = certificate("DNS:other.invalid")
ANCHOR = certificate("DNS:ca.invalid")
WEB = certificate(",".join("DNS:" + n for n in (
    "mta-sts.good.lab", "mta-sts.test.lab", "mta-sts.away.lab",
    "mta-sts.gone.lab", "mta-sts.bad.lab", "mta-sts.moved.lab",
    "mta-sts.both.safe", "mx.one.lab")))


def tlsa(host, *rdata):
    return "".join("_%d._tcp.%s TLSA %s\n" % (PORT, host, r) for r in rdata)


def mx(domain, host):
    return "%s MX 10 %s\n" % (domain, host)


EE = "3 1 1 " + sha256(spki(OWN[0]))
OTHER_EE = "3 1 1 " + sha256(b"another")
TA = "2 0 1 " + sha256(der(ANCHOR[0]))
UNUSABLE = "1 1 1 " + sha256(spki(OWN[0]))
STS = ("good", "test", "away", "gone", "bad", "moved", "forged", "twice")

ZONE = TestZone({"_tcp.mx.lame.safe": "_%d TLSA %s" % (PORT, EE),
                 "safe": "\n".join([
    *(mx(n, "mx." + n) + "mx.%s A 127.0.0.2" % n for n in (
        "ee", "wrong", "ta", "pkix", "plain", "lame", "both")),
    tlsa("mx.ee", OTHER_EE, EE), tlsa("mx.wrong", OTHER_EE),
    tlsa("mx.ta", TA), tlsa("mx.pkix", UNUSABLE), tlsa("mx.both", EE),
    "next MX 10 mx.wrong", "next MX 20 mx.next", "mx.next A 127.0.0.3",
    tlsa("mx.next", EE),
    "mta-sts.both A 127.0.0.1", '_mta-sts.both TXT "v=STSv1; id=1"',
]), "lab": "\n".join([
    "wrong MX 10 mx.wrong", "mx.wrong A 127.0.0.2", tlsa("mx.wrong", OTHER_EE),
    "mx.one A 127.0.0.2", "mx.two A 127.0.0.3",
    *("%s MX 10 mx.one\nmta-sts.%s A 127.0.0.1\n"
      '_mta-sts.%s TXT "v=STSv1; id=20261128;"' % (n, n, n) for n in STS),
    "away MX 20 mx.two", '_mta-sts.twice TXT "v=STSv1; id=2"',
])}, signed=("safe",), tampered=("_tcp.mx.lame.safe",))


def tearDownModule():
    ZONE.close()
    test_qm.tearDownModule()
    shutil.rmtree(DIR, True)


class PolicyCase(Case):
    CONF = {"retry_first": "200ms", "retry_max": "200ms"}

    def conf(self, **qm):
        self.s.write_conf({
            "qm": {"smtp_port": PORT, "sts_port": self.web_port(),
                   **self.CONF, **qm},
            "hostname": "us.lab", "tls": {"ca": WEB[0]}, **ZONE.conf()})

    def web_port(self):
        return 1

    def server(self, pem=OWN, host="127.0.0.2", tls=True, offers=()):
        from test_qm_wishes import OFFERS
        return self.serve(host, starttls="good" if tls else None, pem=pem,
                          extensions=lambda s: OFFERS + (
                              offers if s.tls else ()))

    def taken(self, server, to, policy):
        self.queue(to)
        got = self.wait_got(server)
        self.wait_empty()
        log = next(l for l in self.s.log("qm").splitlines()
                   if "status=sent" in l and "to=<%s>" % to in l)
        self.assertEqual(" policy=%s " % policy in log, policy is not None,
                         log)
        if policy is None:
            self.assertNotIn("policy=", log)
        return got

    def kept(self, servers, to, status, words):
        """It waits, however often it is tried; the servers got nothing."""
        qid = self.queue(to)
        until(lambda: self.show(qid)["attempts"] > 1, "attempts")
        (r,) = self.show(qid)["recipients"]
        self.assertEqual(r["status"], status, r)
        self.assertIn(words, r["reply"])
        for s in servers:
            self.assertEqual(s.messages, [])
        self.command("delete", qid)


class Dane(PolicyCase):
    def test_the_record_alone_decides(self):
        """RFC 7672 3.1.1: no chain, no name, no date."""
        one = self.server()
        self.assertTrue(self.taken(one, "x@ee.safe", "DANE").tls)
        self.assertIn("as DANE demands", self.s.pneu("why", "x@ee.safe"))

    def test_another_certificate(self):
        one = self.server()
        self.kept([one], "x@wrong.safe", "4.7.5", "DANE: mx.wrong.safe")
        self.hup(dane=False)
        self.taken(one, "x@wrong.safe", None)

    def hup(self, **qm):
        test_qm.Reload.hup(self, **qm)

    def test_no_tls_at_all(self):
        one = self.server(tls=False)
        self.kept([one], "x@ee.safe", "4.7.4", "offers no TLS")
        self.kept([one], "x@pkix.safe", "4.7.4", "offers no TLS")

    def test_an_issuer_and_a_name(self):
        """3.1.2, 3.2.3: the host's, or the domain's."""
        for names, good in (("DNS:mx.ta.safe", True), ("DNS:ta.safe", True),
                            ("DNS:*.ta.safe", True),
                            ("DNS:other.safe", False)):
            one = self.server(issued(ANCHOR, names))
            if good:
                self.taken(one, "x@ta.safe", "DANE")
            else:
                self.kept([one], "x@ta.safe", "4.7.5", "DANE")
            one.close()
        one = self.server() # not issued by it
        self.kept([one], "x@ta.safe", "4.7.5", "DANE")

    def test_records_that_cannot_be_used_want_tls(self):
        """2.2: whatever certificate."""
        self.assertTrue(self.taken(self.server(WEB), "x@pkix.safe",
                                   "DANE").tls)

    def test_records_that_cannot_be_had(self):
        """2.1.1: or whoever is between keeps them away."""
        self.kept([self.server()], "x@lame.safe", "4.7.5",
                  "its TLSA records cannot be had")

    def test_without_records_nothing_is_wanted(self):
        self.assertFalse(self.taken(self.server(tls=False), "x@plain.safe",
                                    None).tls)

    def test_unsigned_records_are_not_looked_at(self):
        self.taken(self.server(), "x@wrong.lab", None)

    def test_the_next_host(self):
        one, two = self.server(), self.server(host="127.0.0.3")
        self.taken(two, "x@next.safe", "DANE")
        self.assertEqual(one.messages, [])

    def test_requiretls(self):
        """RFC 8689 4.2.1: the certificate may be verified by DANE."""
        one = self.server(offers=("REQUIRETLS",))
        self.queue("x@ee.safe", mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", self.wait_got(one).params)


    def test_tls_required_no(self):
        """RFC 8689 4.2.2: such mail goes whatever the domain says."""
        one = self.server(tls=False)
        for field in ("TLS-Required: No", "tls-required:\r\n no"):
            with self.lmtp() as c:
                c.deliver("alice@example.test", ["x@wrong.safe"],
                          b"%s\r\n\r\nbody\r\n" % field.encode())
            self.wait_got(one)
            one.messages.clear()
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@wrong.safe"],
                      b"TLS-Required: Yes\r\n\r\nbody\r\n")
        until(lambda: self.list()[-1]["attempts"] > 1, "attempts")
        self.assertEqual(one.messages, [])


class Web:
    """Policy hosts: {host: (status, text)}."""

    def __init__(self):
        self.pages, self.asked = {}, []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"].split(":")[0]
                web.asked.append(host)
                status, text = web.pages.get(host, (404, ""))
                if self.path != "/.well-known/mta-sts.txt":
                    status = 404
                self.send_response(status)
                if status in (301, 302):
                    self.send_header("Location", text)
                    text = ""
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*WEB)
        self.server.socket = context.wrap_socket(self.server.socket,
                                                 server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       args=(0.05,), daemon=True)
        self.thread.start()

    def policy(self, domain, mode="enforce", mx=("mx.one.lab",), age=86400):
        self.pages["mta-sts." + domain] = (200, "".join(
            ["version: STSv1\r\n", "mode: %s\r\n" % mode] +
            ["mx: %s\r\n" % m for m in mx] + ["max_age: %d\r\n" % age]))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Sts(PolicyCase):
    CLOCK = True

    def setUp(self):
        self.web = Web()
        self.addCleanup(self.web.close)
        super().setUp()

    def web_port(self):
        return self.web.port

    def test_a_named_host_with_its_certificate(self):
        one = self.server(WEB)
        self.web.policy("good.lab", mx=("*.else.lab", "*.ONE.lab",
                                        "mx.one.lab"))
        self.assertTrue(self.taken(one, "x@good.lab", "MTA-STS").tls)
        self.assertIn("as MTA-STS demands", self.s.pneu("why", "x@good.lab"))
        self.taken(one, "y@GOOD.lab", "MTA-STS")
        self.assertEqual(self.web.asked, ["mta-sts.good.lab"])

    def test_another_certificate_or_none(self):
        self.web.policy("good.lab")
        one = self.server(OWN)
        self.kept([one], "x@good.lab", "4.7.5", "MTA-STS: mx.one.lab")
        one.close()
        one = self.server(tls=False)
        self.kept([one], "x@good.lab", "4.7.4", "offers no TLS")
        self.s.stop("qm")
        self.conf(mta_sts=False)
        self.s.start("qm")
        self.taken(one, "x@good.lab", None)

    def test_a_host_that_is_not_named(self):
        one, two = self.server(WEB), self.server(WEB, "127.0.0.3")
        self.web.policy("good.lab", mx=("*.two.lab", "one.lab", "*.mx.one.lab"))
        self.kept([one], "x@good.lab", "4.7.5", "the policy does not name it")
        # The next one is, but has the wrong certificate.
        self.web.policy("away.lab", mx=("mx.two.lab",))
        self.kept([one, two], "x@away.lab", "4.7.5", "MTA-STS: mx.")

    def test_testing_and_what_is_no_policy(self):
        one = self.server(OWN)
        self.web.policy("test.lab", "testing", mx=("else.lab",))
        self.web.policy("bad.lab", "whatever")
        self.web.pages["mta-sts.moved.lab"] = (
            301, "https://mta-sts.test.lab:%d/.well-known/mta-sts.txt" %
            self.web.port)
        self.web.policy("forged.lab") # the certificate has not that name
        self.web.policy("twice.lab") # two records
        for name in ("test", "bad", "moved", "gone", "forged", "twice"):
            self.taken(one, "x@%s.lab" % name, None)
            one.messages.clear()
        self.assertIn("MTA-STS would refuse", self.s.log("qm"))
        self.assertNotIn("mta-sts.twice.lab", self.web.asked)
        # What failed is not fetched again for a while.
        self.taken(one, "y@bad.lab", None)
        one.messages.clear()
        self.assertEqual(self.web.asked.count("mta-sts.bad.lab"), 1)
        self.web.policy("bad.lab")
        self.s.clock.move(301)
        self.kept([one], "z@bad.lab", "4.7.5", "MTA-STS")

    def test_what_was_fetched_holds_for_its_time(self):
        one = self.server(OWN)
        self.web.policy("good.lab")
        self.kept([one], "x@good.lab", "4.7.5", "MTA-STS")
        self.web.pages.clear()
        self.s.restart("qm")
        self.kept([one], "x@good.lab", "4.7.5", "MTA-STS")
        self.assertEqual(len(self.web.asked), 1)
        # Past half of it another is asked for, in vain.
        self.s.clock.move(50000)
        self.kept([one], "x@good.lab", "4.7.5", "MTA-STS")
        self.assertEqual(len(self.web.asked), 2)
        self.s.clock.move(40000)
        self.taken(one, "x@good.lab", None)

    def test_dane_goes_before(self):
        one = self.server(OWN)
        self.web.policy("both.safe", mx=("else.safe",))
        self.taken(one, "x@both.safe", "DANE")

    def test_requiretls(self):
        """RFC 8689 4.2.1: the host's name may be sure by MTA-STS."""
        one = self.server(WEB, offers=("REQUIRETLS",))
        self.web.policy("good.lab")
        self.queue("x@good.lab", mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", self.wait_got(one).params)
        self.web.policy("test.lab", "testing")
        self.queue("x@test.lab", mail_options=["REQUIRETLS"])
        self.assertIn(b"\r\nStatus: 5.7.30\r\n", self.wait_got(self.box).data)


if __name__ == "__main__":
    unittest.main()
