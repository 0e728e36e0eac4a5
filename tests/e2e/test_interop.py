# SPDX-License-Identifier: ISC
"""Every extension through two of our own, and to and from Debian's Postfix and
Exim."""
import email
import json
import os
import smtplib
import unittest

import peers
from pneu import (PASSWORD, PATIENCE, System, certificate, listening_socket,
                  tls_context, until)
from zone import TestZone

HEAD = b"Subject: %s\r\nFrom: %s\r\n\r\n"


def message(subject, sender=b"alice@example.test", body=b"body\r\n"):
    return HEAD % (subject, sender) + body


# What a relay could get wrong: dots, long lines, all octets but CR, LF, NUL.
HARD = (b".\r\n..\r\n.x\r\n\r\nFrom here\r\n" + b"y" * 990 + b"\r\n" +
        bytes(c for c in range(1, 256) if c not in (10, 13)) + b"\r\n")


def submit(system, user="alice"):
    c = smtplib.SMTP("127.0.0.1", system.port["submission"], timeout=PATIENCE)
    c.starttls(context=tls_context())
    c.ehlo()
    c.login(system.address(user), PASSWORD)
    return c


def bdat(c, data):
    """The message in two chunks; the final reply."""
    half = len(data) // 2
    c.send(b"BDAT %d\r\n" % half + data[:half])
    code, text = c.getreply()
    if code != 250:
        return code, text
    c.send(b"BDAT %d LAST\r\n" % (len(data) - half) + data[half:])
    return c.getreply()


def status_of(text):
    """(message fields, recipient fields, ...) of a delivery report."""
    m = email.message_from_bytes(text)
    part = next(p for p in m.walk() if p.get_content_type() in
                ("message/delivery-status", "message/global-delivery-status"))
    return part.get_payload()


class WithPeer:
    """The same for each peer; `peer_class` names it. Ours has a smarthost: the
    peer; what the peer does not keep it hands to our mta."""
    peer_class = None

    @classmethod
    def setUpClass(cls):
        cls.s = System(start=False)
        cls.addClassCleanup(cls.s.close)
        cls.peer = cls.peer_class(cls.s.port["smtp"])
        cls.addClassCleanup(cls.peer.close)
        cls.s.write_conf({"qm": {
            "smarthost": "127.0.0.1:%d" % cls.peer.port,
            "smarthost_tls": "may", "retry_first": "100ms",
            "retry_max": "1s"}})
        cls.s.start_all()
        cls.s.pneu("address", "add", "away@example.test", cls.at("bob"))

    @classmethod
    def at(cls, name):
        return "%s@%s" % (name, cls.peer.domain)

    def to_peer(self):
        c = smtplib.SMTP("127.0.0.1", self.peer.port, timeout=PATIENCE)
        self.addCleanup(c.close)
        c.ehlo("client.test")
        return c

    def from_us(self):
        c = submit(self.s)
        self.addCleanup(c.close)
        return c

    def wait_peer(self, text, to=None):
        def find():
            return next((m for r, m in self.peer.messages()
                         if text in m and to in (None, r)), None)
        try:
            return until(find, "message with %r" % text)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.peer.log()[-4000:]))

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

    # --- to us ---

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
    peer_class = peers.Exim

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
    peer_class = peers.Postfix

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
            "mta": {"priority_from": ["127.0.0.1"]},
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

    def test_pipelining_size_and_limits(self):
        """A hundred recipients of one transaction, and one too big."""
        self.send(b"many", to=["bob+%d@example.test" % i for i in range(100)])
        self.assertEqual(sum(b"Subject: many" in m
                             for m in self.b.messages("bob")), 1)


if __name__ == "__main__":
    unittest.main()
