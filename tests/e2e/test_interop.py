# SPDX-License-Identifier: ISC
"""Every extension through two of our own, and to and from Debian's Postfix and
Exim."""
import email
import json
import os
import shutil
import smtplib
import subprocess
import tempfile
import unittest

import peers
from beside import HARD, Beside, bdat, message, status_of, submit
from pneu import PATIENCE, System, certificate, listening_socket, until
from zone import TestZone


class WithPeer(Beside):
    """The same with each peer."""

    # --- from us ---

    def test_octets_arrive_there(self):
        self.from_us().sendmail("alice@example.test", [self.at("bob")],
                                message(b"hard", body=HARD), ["BODY=8BITMIME"])
        got = self.wait_peer(b"Subject: hard\n")
        body = got.partition(b"\n\n")[2]
        self.assertEqual(body.rstrip(b"\n"),
                         HARD.replace(b"\r\n", b"\n").rstrip(b"\n"))
        self.assertRegex(self.s.log("qm"), r"delivery .*tls=TLS1\.3 .*sent")

    def test_a_big_one_arrives_there(self):
        big = b"0123456789" * 7 + b"\r\n"
        self.from_us().sendmail("alice@example.test", [self.at("bob")],
                                message(b"big", body=big * 20000 +
                                        b"the end\r\n"))
        got = self.wait_peer(b"\nthe end\n")
        self.assertEqual(got.count(b"0123456789" * 7 + b"\n"), 20000)

    def test_utf8_addresses_there(self):
        to = "j\u00f6rg@" + self.peer.domain
        c = self.from_us()
        c.command_encoding = "utf-8"
        c.sendmail("alice@example.test", [to],
                   message("gr\u00fc\u00dfe".encode()),
                   ["SMTPUTF8", "BODY=8BITMIME"])
        self.wait_peer("gr\u00fc\u00dfe".encode())

    def test_dsn_is_asked_of_them_and_comes_back(self):
        self.from_us().sendmail(
            "alice@example.test", [self.at("bob")], message(b"dsn"),
            ["RET=HDRS", "ENVID=env-1"],
            ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;o@else.test"])
        fields, recipient = status_of(self.s.wait_message("alice", b"env-1"))
        self.assertIn(recipient["Action"], ("delivered", "relayed"))
        self.assertIn("o@else.test", recipient["Original-Recipient"])

    def test_who_is_refused_there_comes_back(self):
        self.from_us().sendmail(
            "alice@example.test", [self.at("nobody"), self.at("bob")],
            message(b"refused"), ["ENVID=refused"])
        _, recipient = status_of(self.s.wait_message("alice", b"refused"))
        self.assertEqual(recipient["Action"], "failed")
        self.assertIn("nobody@", recipient["Final-Recipient"])
        self.wait_peer(b"Subject: refused", self.at("bob"))

    def test_size_is_respected_there(self):
        """It is over what the peer says: nothing is sent."""
        self.from_us().sendmail(
            "alice@example.test", [self.at("bob")],
            message(b"too big", body=(b"x" * 70 + b"\r\n") * 50000),
            ["ENVID=size-there"])
        _, recipient = status_of(self.s.wait_message("alice", b"size-there"))
        self.assertEqual((recipient["Action"], recipient["Status"]),
                         ("failed", "5.3.4"))

    def test_each_notify_there(self):
        """Who asked for nothing hears nothing; the later report shows that
        the earlier one would have been there."""
        for notify, to in (("NEVER", "nobody"), ("DELAY", "nobody"),
                           ("SUCCESS", "nobody"), ("FAILURE", "bob"),
                           ("FAILURE,DELAY", "nobody")):
            self.from_us().sendmail(
                "alice@example.test", [self.at(to)], message(b"notify"),
                ["ENVID=there-%s-%s" % (notify.replace(",", "-"), to),
                 "RET=HDRS"],
                ["NOTIFY=" + notify, "ORCPT=rfc822;o+2Bx@else.test"])
            if notify == "SUCCESS" or to == "bob":
                self.drained()
        fields, recipient = status_of(self.s.wait_message(
            "alice", b"there-FAILURE-DELAY-nobody"))
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Original-Recipient"],
                         "rfc822;o+x@else.test")
        reports = b"".join(m for m in self.s.messages("alice")
                           if b"there-" in m)
        for envid in (b"there-NEVER-nobody", b"there-DELAY-nobody",
                      b"there-SUCCESS-nobody", b"there-FAILURE-bob"):
            self.assertNotIn(envid, reports)

    def drained(self):
        until(lambda: json.loads(self.s.pneu("queue", "list", "--json")) == [],
              "the queue to get empty")

    # --- to us ---

    def test_size_is_respected_here(self):
        self.to_peer().sendmail(
            self.at("sam"), ["bob@example.test"],
            message(b"too big2", body=(b"x" * 70 + b"\r\n") * 35000))
        self.wait_peer(b"bob@example.test", self.at("sam"))
        self.assertFalse([m for m in self.s.messages("bob")
                          if b"too big2" in m])

    def test_each_notify_here(self):
        """gone@ is forwarded to who is not there: the report is ours."""
        for notify, to in (("NEVER", "gone"), ("SUCCESS", "gone"),
                           ("FAILURE", "bob"), ("FAILURE,DELAY", "gone")):
            self.to_peer().sendmail(
                self.at("sam"), [to + "@example.test"], message(b"notify2"),
                ["ENVID=here-%s-%s" % (notify.replace(",", "-"), to),
                 "RET=HDRS"],
                ["NOTIFY=" + notify, "ORCPT=rfc822;o+2Bx@else.test"])
        fields, recipient = status_of(self.wait_peer(
            b"Original-Envelope-Id: here-FAILURE-DELAY-gone"))
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Original-Recipient"],
                         "rfc822;o+x@else.test")
        self.drained()
        reports = b"".join(m for r, m in self.peer.messages()
                           if r == self.at("sam"))
        for envid in (b"here-NEVER-gone", b"here-SUCCESS-gone",
                      b"here-FAILURE-bob"):
            self.assertNotIn(envid, reports)

    def test_octets_arrive_here(self):
        self.to_peer().sendmail(self.at("sam"), ["bob@example.test"],
                                message(b"hard2", body=HARD),
                                ["BODY=8BITMIME"])
        got = self.s.wait_message("bob", b"Subject: hard2")
        body = got.partition(b"\r\n\r\n")[2]
        self.assertEqual(body.rstrip(b"\r\n"), HARD.rstrip(b"\r\n"))
        self.assertIn(b" with ESMTPS ", got)

    def test_a_big_one_arrives_here(self):
        big = b"0123456789" * 7 + b"\r\n"
        self.to_peer().sendmail(self.at("sam"), ["bob@example.test"],
                                message(b"big2", body=big * 20000))
        got = self.s.wait_message("bob", b"Subject: big2")
        self.assertEqual(got.count(big), 20000)

    def test_utf8_addresses_here(self):
        c = self.to_peer()
        c.command_encoding = "utf-8"
        c.sendmail("j\u00f6rg@" + self.peer.domain, ["bob@example.test"],
                   message("s\u00fc\u00df".encode()),
                   ["SMTPUTF8", "BODY=8BITMIME"])
        got = self.s.wait_message("bob", "s\u00fc\u00df".encode())
        self.assertIn(b" with UTF8SMTPS ", got)

    def test_dsn_is_asked_of_us_and_goes_back(self):
        self.to_peer().sendmail(
            self.at("sam"), ["bob@example.test"], message(b"dsn2"),
            ["RET=HDRS", "ENVID=back+2B1"],
            ["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;o@else.test"])
        fields, recipient = status_of(
            self.wait_peer(b"\nAction: delivered\n", self.at("sam")))
        self.assertEqual(fields["Original-Envelope-Id"], "back+1")
        self.assertEqual(recipient["Original-Recipient"],
                         "rfc822;o@else.test")
        self.assertIn("mx.example.test", fields["Reporting-MTA"])


class WithExim(WithPeer, unittest.TestCase):
    @staticmethod
    def make_peer(port):
        return peers.Exim(port, SIZE_LIMIT="3000000")

    def test_chunking_and_prdr_there(self):
        """picky@ is refused after the data, bob@ is not."""
        self.from_us().sendmail(
            "alice@example.test", [self.at("picky"), self.at("bob")],
            message(b"prdr there"), ["ENVID=picky"])
        _, recipient = status_of(self.s.wait_message("alice", b"picky"))
        self.assertEqual(recipient["Action"], "failed")
        self.assertIn("picky@", recipient["Final-Recipient"])
        self.wait_peer(b"Subject: prdr there", self.at("bob"))
        self.assertEqual([r for r, m in self.peer.messages()
                          if b"Subject: prdr there" in m], [self.at("bob")])
        # K: the message came by BDAT.
        self.assertRegex(self.peer.log(),
                         r" <= alice@example.test .* PRDR K ")

    def test_prdr_here(self):
        """With mailbox away bob waits at Exim, and the other does not."""
        self.s.stop("mailbox")
        try:
            self.to_peer().sendmail(
                self.at("sam"), ["away@example.test", "bob@example.test"],
                message(b"prdr here"))
            self.wait_peer(b"Subject: prdr here", self.at("bob"))
        finally:
            self.s.start("mailbox")
        self.s.wait_message("bob", b"Subject: prdr here")
        self.assertRegex(self.peer.log(),
                         r" => away@example.test .*PRDR .*K ")
        until(lambda: len([1 for r, m in self.peer.messages()
                           if b"Subject: prdr here" in m]) == 1, "one")


class WithPostfix(WithPeer, unittest.TestCase):
    @staticmethod
    def make_peer(port):
        return peers.Postfix(port, "message_size_limit = 3000000\n")

    def test_binary_mail_there(self):
        """Postfix offers CHUNKING and no BINARYMIME: it gets base64."""
        c = self.from_us()
        self.assertEqual(c.mail("alice@example.test",
                                ["BODY=BINARYMIME"])[0], 250)
        self.assertEqual(c.rcpt(self.at("bob"))[0], 250)
        self.assertEqual(bdat(c, message(
            b"binary", body=b"a\x00b\nc\r\n"))[0], 250)
        got = email.message_from_bytes(self.wait_peer(b"Subject: binary"))
        self.assertEqual(got.get_payload(decode=True), b"a\x00b\nc\r\n")


class GuardBehindPostfix(unittest.TestCase):
    """Postfix hands its mail to our guard by LMTP and says by XFORWARD whose
    it is; guard, which delivers nothing, refuses it after the dot."""

    def test_xforward(self):
        s = System(programs=("guard",), start=False)
        self.addCleanup(s.close)
        with listening_socket() as free:
            port = free.getsockname()[1]
        s.write_conf({"guard": {"lmtp": ["127.0.0.1:%d" % port]}})
        s.setup_accounts()
        s.start("guard")

        class Front(peers.Postfix):
            def environment(self):
                env = super().environment()
                with open(env["POSTFIX_EXTRA"], "a") as f:
                    f.write("virtual_transport = lmtp:inet:127.0.0.1:%d\n"
                            "lmtp_send_xforward_command = yes\n" % port)
                return env
        with Front(port) as peer:
            with smtplib.SMTP("127.0.0.1", peer.port, timeout=PATIENCE) as c:
                c.sendmail("x@else.test", ["bob@" + peer.domain],
                           message(b"forwarded"))
            line = until(lambda: next(
                (l for l in s.log("guard").splitlines()
                 if "rcpt=<bob@" in l), None), "guard is asked")
        self.assertIn(" client=127.0.0.1 helo=", line)


class MtaBehindPostfix(unittest.TestCase):
    """Postfix passes mail on to our mta and says by XFORWARD whose it is;
    guard hears of it."""

    def test_xforward(self):
        s = System(programs=("guard", "mailbox", "qm", "mta"),
                   conf={"mta": {"xforward_from": ["127.0.0.1"]}})
        self.addCleanup(s.close)
        with peers.Postfix(s.port["smtp"],
                           "smtp_send_xforward_command = yes\n") as peer:
            with smtplib.SMTP("127.0.0.1", peer.port, "first.test",
                              timeout=PATIENCE) as c:
                c.sendmail("x@else.test", ["bob@example.test"],
                           message(b"forwarded"))
            s.wait_message("bob", b"Subject: forwarded")
        self.assertRegex(s.log("guard"), r"rcpt=<bob@\S* .* "
                         r"client=127\.0\.0\.1 helo=first\.test")
        self.assertRegex(s.log("mta"), r"xforward .*helo=first\.test ident=\S")


class MailboxBehindBoth(unittest.TestCase):
    """Both hand mail to our mailbox by LMTP."""

    def test_lmtp(self):
        s = System(programs=("guard", "mailbox"))
        self.addCleanup(s.close)
        port = s.port["lmtp"]
        for make in (lambda: peers.Postfix(
                port, "default_transport = lmtp:inet:127.0.0.1:%d\n" % port),
                     lambda: peers.Exim(port, NEXT_PROTOCOL="lmtp")):
            with make() as peer:
                word = peer.domain.encode()
                with smtplib.SMTP("127.0.0.1", peer.port,
                                  timeout=PATIENCE) as c:
                    c.sendmail("x@else.test", ["bob@example.test",
                                               "alice@example.test"],
                               message(word))
                for user in ("bob", "alice"):
                    got = s.wait_message(user, b"Subject: " + word)
                    self.assertIn(b" with LMTP", got)


ZONE = TestZone({"b.lab": "mx A 127.0.0.1"})


def tearDownModule():
    ZONE.close()


class TwoOfOurs(unittest.TestCase):
    """a.test sends, example.test gets; qm of the one talks to mta of the
    other, over TLS that is verified."""

    @classmethod
    def setUpClass(cls):
        cls.b = System(start=False)
        cls.addClassCleanup(cls.b.close)
        cls.a = System(domain="a.test", start=False, clock=True)
        cls.addClassCleanup(cls.a.close)
        pem, key = certificate("DNS:mx.b.lab")
        cls.a.write_conf({
            "mta": {"etrn_from": ["127.0.0.1"]},
            "tls": {"ca": pem}, **ZONE.conf(),
            "qm": {"smarthost": "mx.b.lab:%d" % cls.b.port["smtp"],
                   "smarthost_tls": "starttls", "retry_first": "100ms",
                   "retry_max": "500ms"}})
        cls.b.write_conf({
            "mta": {"priority_from": ["127.0.0.1"], "max_size": "2M",
                    "max_recipients": 100},
            "tls": {"certificate": pem, "key": key},
            "qm": {"smarthost": "127.0.0.1:%d" % cls.a.port["smtp"],
                   "smarthost_tls": "may", "retry_first": "100ms",
                   "retry_max": "500ms"}})
        cls.a.start_all()
        cls.b.start_all()
        cls.b.pneu("address", "add", "away@example.test", "bob@a.test")

    def send(self, subject, mail=(), rcpt=(), to=("bob@example.test",),
             body=b"body\r\n", wait=True):
        c = submit(self.a)
        self.addCleanup(c.close)
        c.sendmail("alice@a.test", list(to),
                   message(subject, b"alice@a.test", body), list(mail),
                   list(rcpt))
        if wait:
            return self.b.wait_message("bob", b"Subject: " + subject)

    def queue(self, system):
        return json.loads(system.pneu("queue", "list", "--json"))

    def test_octets_8bitmime_and_chunking(self):
        got = self.send(b"hard", ["BODY=8BITMIME"], body=HARD)
        self.assertTrue(got.endswith(b"\r\n\r\n" + HARD))
        got = self.send(b"big", body=(b"x" * 70 + b"\r\n") * 20000)
        self.assertEqual(got.count(b"x" * 70 + b"\r\n"), 20000)

    def test_binarymime(self):
        c = submit(self.a)
        self.addCleanup(c.close)
        body = b"a\x00b\nc\rd\r\n" * 50000
        self.assertEqual(c.mail("alice@a.test", ["BODY=BINARYMIME"])[0], 250)
        self.assertEqual(c.rcpt("bob@example.test")[0], 250)
        data = message(b"binary", b"alice@a.test", body)
        self.assertEqual(bdat(c, data)[0], 250)
        got = self.b.wait_message("bob", b"Subject: binary")
        # IMAP has no NUL outside of literal8.
        self.assertTrue(got.endswith(b"\r\n\r\n" +
                                     body.replace(b"\x00", b"\x80")))

    def test_smtputf8(self):
        got = self.send("gr\u00fc\u00dfe".encode(),
                        ["SMTPUTF8", "BODY=8BITMIME"])
        self.assertIn(b" with UTF8SMTPS ", got)

    def test_dsn(self):
        self.send(b"dsn", ["ENVID=two+2Bones", "RET=HDRS"],
                  ["NOTIFY=SUCCESS", "ORCPT=rfc822;o@else.test"])
        fields, recipient = status_of(
            self.a.wait_message("alice", b"two+ones"))
        self.assertEqual(recipient["Action"], "delivered")
        self.assertEqual(recipient["Original-Recipient"],
                         "rfc822;o@else.test")
        self.assertIn("mx.example.test", fields["Reporting-MTA"])

    def test_priority(self):
        got = self.send(b"urgent", ["MT-PRIORITY=4"])
        self.assertEqual(got.count(b"\r\n\tPRIORITY 4;\r\n"), 2)
        self.assertIn(b"\r\n\tPRIORITY 0;\r\n", self.send(b"plain"))

    def test_deliverby(self):
        self.send(b"by", ["BY=1000;RT", "ENVID=by"])
        _, recipient = status_of(
            self.a.wait_message("alice", b"Original-Envelope-Id: by"))
        self.assertEqual(recipient["Action"], "relayed")

    def test_requiretls(self):
        got = self.send(b"tls", ["REQUIRETLS"])
        self.assertIn(b" with ESMTPS ", got)

    def test_futurerelease(self):
        self.send(b"held", ["HOLDFOR=3600"], wait=False)
        (held,) = self.queue(self.a)
        self.a.clock.move(3590)
        self.send(b"not held")
        self.assertEqual([e["id"] for e in self.queue(self.a)], [held["id"]])
        self.a.clock.move(11)
        self.b.wait_message("bob", b"Subject: held")

    def test_prdr(self):
        """mailbox of the other is away: one is taken, one waits here."""
        self.b.stop("mailbox")
        try:
            self.send(b"prdr", to=("away@example.test", "bob@example.test"),
                      wait=False)
            self.a.wait_message("bob", b"Subject: prdr")
            (left,) = until(lambda: self.queue(self.a), "queue")
            self.assertEqual([w["address"] for w in left["waiting"]],
                             ["bob@example.test"])
        finally:
            self.b.start("mailbox")
        self.b.wait_message("bob", b"Subject: prdr")
        until(lambda: self.queue(self.a) == [], "the queue to get empty")
        self.assertEqual(sum(b"Subject: prdr" in m
                             for m in self.a.messages("bob")), 1)

    def test_etrn(self):
        """The other was away, is back and asks for what waits."""
        with smtplib.SMTP("127.0.0.1", self.a.port["smtp"]) as c:
            c.ehlo("mx.example.test")
            self.b.stop("mta")
            self.b.start("mta")
            self.assertIn(c.docmd("ETRN", "example.test")[0], (251, 253))

    def test_etrn_by_fetchmail(self):
        """A client of ETRN that is not ours."""
        if shutil.which("fetchmail") is None:
            self.skipTest("no fetchmail")
        with tempfile.TemporaryDirectory() as d:
            rc = os.path.join(d, "rc")
            with open(rc, "w") as f:
                f.write("poll 127.0.0.1 protocol ETRN service %d fetchdomains "
                        "example.test\n" % self.a.port["smtp"])
            os.chmod(rc, 0o600)
            r = subprocess.run(
                ["fetchmail", "-v", "-f", rc, "--nosyslog", "--nodetach"],
                env=dict(os.environ, HOME=d, FETCHMAILHOME=d), text=True,
                capture_output=True, stdin=subprocess.DEVNULL,
                timeout=PATIENCE)
        self.assertRegex(r.stdout + r.stderr, r"ETRN< 25[0-3] 2\.0\.0")

    def test_pipelining_and_limits(self):
        """The other says RCPTMAX=100: nobody is refused."""
        self.send(b"many", to=["bob+%d@example.test" % i for i in range(150)])
        until(lambda: self.queue(self.a) == [], "the queue to get empty")
        self.assertEqual(sum(b"Subject: many" in m
                             for m in self.b.messages("bob")), 2)
        log = self.b.log("mta")
        for n in (100, 50):
            self.assertIn("nrcpt=%d refused=0" % n, log)

    def test_size(self):
        """The other says so: nothing is sent."""
        self.send(b"too big", ["ENVID=big"], body=(b"x" * 70 + b"\r\n") * 35000,
                  wait=False)
        _, recipient = status_of(
            self.a.wait_message("alice", b"Original-Envelope-Id: big"))
        self.assertEqual((recipient["Action"], recipient["Status"]),
                         ("failed", "5.3.4"))


if __name__ == "__main__":
    unittest.main()
