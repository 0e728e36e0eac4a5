# SPDX-License-Identifier: ISC
"""SMTP extensions through the real programs, each from the port where it is
offered to where it has its effect."""
import datetime
import email
import json
import os
import smtplib
import unittest

import pneu
from pneu import PASSWORD, PATIENCE, System, tls_context


class Case(unittest.TestCase):
    CONF = {}
    CLOCK = False

    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=cls.CONF, clock=cls.CLOCK)
        cls.addClassCleanup(cls.s.close)
        cls.prepare()

    @classmethod
    def prepare(cls):
        pass

    def mta(self):
        c = self.s.smtp()
        self.addCleanup(c.close)
        c.ehlo("client.test")
        return c

    def msa(self, user="alice"):
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                         timeout=PATIENCE)
        self.addCleanup(c.close)
        c.starttls(context=tls_context())
        c.ehlo("client.test")
        c.login(self.s.address(user), PASSWORD)
        return c


class Verify(Case):
    """VRFY (RFC 5321 3.5): mta asks guard, msa asks qm, which asks guard."""
    CONF = {"mta": {"vrfy": True}, "msa": {"vrfy": True}}

    @classmethod
    def prepare(cls):
        cls.s.pneu("address", "add", "sales@example.test", "alice@example.test",
                   "x@elsewhere.test")

    def answers(self, c):
        return [c.docmd("VRFY", "<%s>" % a) for a in
                ("bob@example.test", "nobody@example.test",
                 "sales@example.test", "x@elsewhere.test")]

    def test_by_both(self):
        for name in ("mta", "msa"):
            with self.subTest(name):
                c = getattr(self, name)()
                self.assertTrue(c.has_extn("vrfy"))
                good, bad, alias, other = self.answers(c)
                self.assertEqual(good, (250, b"2.1.5 <bob@example.test>"))
                self.assertEqual(bad[0], 550)
                self.assertTrue(bad[1].startswith(b"5.1.1 "))
                self.assertEqual(alias, (250, b"2.1.5 <sales@example.test>"))
                self.assertEqual(other[0], 252)

    def test_with_guard_away_nobody_is_denied(self):
        self.s.stop("guard")
        try:
            for name in ("mta", "msa"):
                with self.subTest(name):
                    c = getattr(self, name)()
                    self.assertEqual({a[0] for a in self.answers(c)}, {252})
        finally:
            self.s.start("guard")


MAIL = b"Subject: hi\r\nFrom: alice@example.test\r\n\r\nbody\r\n"


class FutureRelease(Case):
    """RFC 4865: msa takes it, qm keeps the time over a restart."""
    CONF = {"msa": {"future_release": "2d"}}
    CLOCK = True

    def queue(self):
        return json.loads(self.s.pneu("queue", "list", "--json"))

    def test_offered_for_submission_only(self):
        self.assertFalse(self.mta().has_extn("futurerelease"))
        max_s, until = self.msa().esmtp_features["futurerelease"].split()
        self.assertEqual(max_s, "172800")
        self.assertRegex(until, r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(self.msa().mail("alice@example.test",
                                         ["HOLDFOR=172801"])[0], 501)

    def test_held_shown_and_released(self):
        now = datetime.datetime.now(datetime.timezone.utc)
        soon = now + datetime.timedelta(hours=1)
        c = self.msa()
        c.sendmail("alice@example.test", ["bob@example.test"], MAIL,
                   ["HOLDFOR=86400"])
        c.sendmail("alice@example.test", ["bob@example.test"],
                   MAIL.replace(b"hi", b"soon"),
                   ["HOLDUNTIL=" + soon.strftime("%Y-%m-%dT%H:%M:%SZ")])
        self.s.restart("qm")
        # Asked to try them at once, the queue still keeps the sender's time.
        self.s.pneu("queue", "flush")
        self.assertEqual([e["attempts"] for e in self.queue()], [0, 0])
        self.s.clock.move(3590)
        self.s.pneu("queue", "flush")
        # What is sent now goes before them.
        self.msa().sendmail("alice@example.test", ["bob@example.test"],
                            MAIL.replace(b"hi", b"now"))
        self.s.wait_message("bob", b"Subject: now")
        self.assertEqual(len(self.s.messages("bob")), 1)
        self.s.clock.move(11)
        self.s.wait_message("bob", b"Subject: soon")
        (left,) = pneu.until(lambda: len(self.queue()) == 1 and self.queue(),
                             "the other to be delivered")
        at = datetime.datetime.fromisoformat(left["release"].rstrip("Z"))
        at = at.replace(tzinfo=datetime.timezone.utc)
        self.assertGreaterEqual((at - now).total_seconds(), 86399)
        self.assertLess((at - soon).total_seconds(), 86400)
        self.assertEqual(left["next_attempt"], left["release"])
        self.assertIn("not before " + left["release"],
                      self.s.pneu("queue", "list"))
        self.assertEqual(len(self.s.messages("bob")), 2)


class DeliverBy(Case):
    """RFC 2852: what is ours to deliver is delivered; the rest is qm's."""
    # Nobody answers there: mail for it waits.
    CONF = {"dns": {"stub": {"elsewhere.test": "127.0.0.1@9"}}}

    @classmethod
    def prepare(cls):
        cls.s.pneu("address", "add", "away@example.test", "x@elsewhere.test")

    def test_least_is_announced_and_kept(self):
        for name in ("mta", "msa"):
            with self.subTest(name):
                c = getattr(self, name)()
                self.assertEqual(c.esmtp_features["deliverby"], "5")
                self.assertEqual(
                    c.mail("alice@example.test", ["BY=4;R"])[0], 555)

    def test_through_mta_and_msa_to_a_mailbox(self):
        for name, sender in (("mta", "x@elsewhere.test"),
                             ("msa", "alice@example.test")):
            with self.subTest(name):
                subject = b"by " + name.encode()
                getattr(self, name)().sendmail(
                    sender, ["bob@example.test"],
                    MAIL.replace(b"hi", subject), ["BY=1000;RT"])
                self.s.wait_message("bob", subject)

    def test_qm_knows_of_it(self):
        self.mta().sendmail("x@elsewhere.test", ["away@example.test"], MAIL,
                            ["BY=100000;N"])
        (entry,) = pneu.until(
            lambda: json.loads(self.s.pneu("queue", "list", "--json")),
            "a queue id")
        shown = json.loads(self.s.pneu("queue", "show", "--json", entry["id"]))
        self.assertIsNotNone(shown["deliver_by"])
        self.assertIn("late      after " + shown["deliver_by"],
                      self.s.pneu("queue", "show", entry["id"]))


class RequireTls(Case):
    """RFC 8689: under TLS only, and from hop to hop to qm."""
    CONF = {"dns": {"stub": {"elsewhere.test": "127.0.0.1@9"}}}

    @classmethod
    def prepare(cls):
        cls.s.pneu("address", "add", "away@example.test", "x@elsewhere.test")

    def test_offered_under_tls_only(self):
        c = self.mta()
        self.assertFalse(c.has_extn("requiretls"))
        self.assertEqual(c.mail("x@elsewhere.test", ["REQUIRETLS"])[0], 555)
        c.starttls(context=tls_context())
        c.ehlo()
        self.assertTrue(c.has_extn("requiretls"))
        self.assertTrue(self.msa().has_extn("requiretls"))

    def test_to_a_mailbox_and_to_the_queue(self):
        mta = self.mta()
        mta.starttls(context=tls_context())
        for c, sender in ((mta, "x@elsewhere.test"),
                          (self.msa(), "alice@example.test")):
            c.sendmail(sender, ["bob@example.test", "away@example.test"],
                       MAIL.replace(b"hi", sender.encode()), ["REQUIRETLS"])
            self.s.wait_message("bob", b"Subject: " + sender.encode())
        entries = pneu.until(
            lambda: (lambda q: len(q) == 2 and q)(
                json.loads(self.s.pneu("queue", "list", "--json"))), "queue")
        for e in entries:
            shown = self.s.pneu("queue", "show", e["id"])
            self.assertIn("requires  verified TLS", shown)


class LongNames(Case):
    """RFC 5321 4.5.3.1.1: a reverse-path of VERP or SRS, and its report."""

    def test_a_long_sender_is_taken_and_reported_to(self):
        sender = "bounces+" + "x" * 180 + "=example.test@example.test"
        self.mta().sendmail(sender, ["bob@example.test"], MAIL)
        self.assertIn(b"Return-Path: <%s>" % sender.encode(),
                      self.s.wait_message("bob", b"Subject: hi"))
        # guard says what it says of any address, and not "later".
        with smtplib.LMTP(os.path.join(self.s.dir, "sock", "guard.sock")) as c:
            c.ehlo()
            c.mail("")
            self.assertEqual(c.rcpt(sender)[0], 550)
            self.assertEqual(c.rcpt("x" * 180 + "@elsewhere.test")[1][:5],
                             b"5.7.1")
        with smtplib.LMTP(os.path.join(self.s.dir, "sock", "qm.sock")) as c:
            c.ehlo()
            c.mail("")
            self.assertEqual(c.rcpt("x" * 180 + "@elsewhere.test")[0], 250)


class Reports(Case):
    """RFC 3461: who asks mta or msa to hear of success, hears of it."""

    @classmethod
    def prepare(cls):
        cls.s.pneu("address", "add", "both@example.test", "alice@example.test",
                   "bob@example.test")
        cls.s.pneu("account", "add", "carol@example.test",
                   input=PASSWORD + "\n")

    def report(self, user, text):
        m = email.message_from_bytes(self.s.wait_message(user, text))
        status = next(p for p in m.walk()
                      if p.get_content_type() == "message/delivery-status")
        return status.get_payload()

    def test_through_both(self):
        for name in ("mta", "msa"):
            with self.subTest(name):
                c = getattr(self, name)()
                envid = "e-" + name
                c.sendmail("alice@example.test", ["bob@example.test"], MAIL,
                           ["ENVID=" + envid, "RET=HDRS"],
                           ["NOTIFY=SUCCESS,FAILURE",
                            "ORCPT=rfc822;b+2Bx@else.test"])
                message, recipient = self.report("alice", envid.encode())
                self.assertEqual(message["Original-Envelope-Id"], envid)
                self.assertEqual(recipient["Action"], "delivered")
                self.assertEqual(recipient["Original-Recipient"],
                                 "rfc822;b+x@else.test")
        self.assertEqual(b"".join(self.s.messages("bob")).count(
            b"Subject: hi\r\n"), 2)

    def test_aliases_are_expanded_once(self):
        self.mta().sendmail(
            "carol@example.test", ["both@example.test", "alice@example.test"],
            MAIL.replace(b"hi", b"expanded"), ["ENVID=x"], ["NOTIFY=SUCCESS"])
        actions = pneu.until(
            lambda: (lambda v: len(v) == 2 and v)(
                [l for m in self.s.messages("carol") for l in m.split(b"\r\n")
                 if l.startswith(b"Action: ")]), "reports")
        self.assertEqual(sorted(actions), [b"Action: delivered",
                                           b"Action: expanded"])
        for user in ("alice", "bob"):
            self.s.wait_message(user, b"Subject: expanded")
            got = [m for m in self.s.messages(user)
                   if b"Subject: expanded" in m]
            self.assertEqual(len(got), 1)

    def test_never(self):
        self.mta().sendmail("alice@example.test", ["bob@example.test"],
                            MAIL.replace(b"hi", b"never"), [],
                            ["NOTIFY=NEVER"])
        self.s.wait_message("bob", b"Subject: never")
        self.assertNotIn(b"never", b"".join(self.s.messages("alice")))


class Etrn(Case):
    """RFC 1985: mta and msa hand it on to qm, for peers that are listed."""
    CONF = {"dns": {"stub": {"elsewhere.test": "127.0.0.1@9"}},
            "qm": {"retry_first": "1h"},
            "mta": {"etrn_from": ["127.0.0.2"]},
            "msa": {"etrn_from": ["127.0.0.1"]}}

    def attempts(self):
        return {e["waiting"][0]["address"]: e["attempts"] for e in
                json.loads(self.s.pneu("queue", "list", "--json"))}

    def tried(self, **times):
        want = {"%s@%s.elsewhere.test" % (n[0], n): t
                for n, t in times.items()}
        pneu.until(lambda: self.attempts() == want, "attempts %r" % want)

    def test_mail_of_a_domain_is_tried_now(self):
        msa = self.msa()
        self.assertTrue(msa.has_extn("etrn"))
        msa.sendmail("alice@example.test", ["a@a.elsewhere.test"], MAIL)
        msa.sendmail("alice@example.test", ["b@b.elsewhere.test"], MAIL)
        self.tried(a=1, b=1)
        self.assertEqual(msa.docmd("ETRN", "a.elsewhere.test"),
                         (253, b"2.0.0 1 pending messages for node "
                          b"a.elsewhere.test started"))
        self.tried(a=2, b=1)
        self.assertEqual(msa.docmd("ETRN", "nobody.test")[0], 251)
        self.assertEqual(msa.docmd("ETRN", "elsewhere.test")[0], 251)
        with smtplib.SMTP("127.0.0.1", self.s.port["smtp"], timeout=PATIENCE,
                          source_address=("127.0.0.2", 0)) as c:
            c.ehlo()
            self.assertEqual(c.docmd("ETRN", "@elsewhere.test")[0], 253)
            self.tried(a=3, b=2)
            self.s.stop("qm")
            self.assertEqual(c.docmd("ETRN", "@elsewhere.test")[0], 458)
            self.s.start("qm")

    def test_not_for_everybody(self):
        mta = self.mta()
        self.assertTrue(mta.has_extn("etrn"))
        self.assertEqual(mta.docmd("ETRN", "elsewhere.test")[0], 459)
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                         timeout=PATIENCE)
        self.addCleanup(c.close)
        c.ehlo()
        self.assertEqual(c.docmd("ETRN", "elsewhere.test")[0], 530)


class Priority(Case):
    """MT-PRIORITY (RFC 6710): who may ask for how much, and what is told."""
    CONF = {"mta": {"priority_from": ["127.0.0.2"]}}

    def received(self, c, sender, subject, priority, reply):
        self.assertTrue(c.has_extn("mt-priority"))
        code, text = c.mail(sender, ["MT-PRIORITY=%d" % priority])
        self.assertEqual((code, text.split()[0]), (250, reply))
        self.assertEqual(c.rcpt("bob@example.test")[0], 250)
        self.assertEqual(c.data(MAIL.replace(b"hi", subject))[0], 250)
        return self.s.wait_message("bob", b"Subject: " + subject)

    def test_strangers_may_only_be_humble(self):
        m = self.received(self.mta(), "x@elsewhere.test", b"s1", 9, b"2.3.6")
        self.assertIn(b"\r\n\tPRIORITY 0;\r\n", m)
        m = self.received(self.mta(), "x@elsewhere.test", b"s2", -9, b"2.1.0")
        self.assertIn(b"\r\n\tPRIORITY -9;\r\n", m)

    def test_who_is_listed_may_hurry(self):
        with smtplib.SMTP("127.0.0.1", self.s.port["smtp"], timeout=PATIENCE,
                          source_address=("127.0.0.2", 0)) as c:
            c.ehlo()
            m = self.received(c, "x@elsewhere.test", b"s3", 9, b"2.1.0")
        self.assertIn(b"\r\n\tPRIORITY 9;\r\n", m)
        self.assertIn("priority=9", self.s.log("mailbox"))

    def test_users_up_to_urgent(self):
        m = self.received(self.msa(), "alice@example.test", b"s4", 9, b"2.3.6")
        self.assertIn(b"\r\n\tPRIORITY 4;\r\n", m)
        self.assertIn("priority=4", self.s.log("qm"))


if __name__ == "__main__":
    unittest.main()
