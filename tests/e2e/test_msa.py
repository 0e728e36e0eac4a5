# SPDX-License-Identifier: ISC
"""msa with a scripted queue behind it: signing in, who may send as whom, what
becomes of the header, and what the client is told."""
import base64
import email
import email.policy
import hashlib
import hmac
import json
import os
import signal
import smtplib
import socket
import unittest

from pneu import PASSWORD, System, tls_context, until
from scripted import Drop, Scripted

OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN",
          "XTRACE", "SIZE 0")


class Case(unittest.TestCase):
    CONF = {"max_size": "1M", "max_recipients": 100}

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("msa",), start=False, conf={"msa": cls.CONF})
        try:
            cls.s.setup_accounts()
            cls.s.pneu("address", "add", "sales@example.test",
                       "alice@example.test", "x@else.lab")
            cls.s.pneu("domain", "add", "all.lab")
            cls.s.pneu("domain", "set", "all.lab", "--catch-all",
                       "bob@example.test")
            cls.s.pneu("account", "grant", "bob@example.test",
                       "Boss@Else.LAB", "@granted.lab")
            os.makedirs(os.path.join(cls.s.dir, "sock"), exist_ok=True)
            cls.path = os.path.join(cls.s.dir, "sock", "qm.sock")
            cls.qm = Scripted(lmtp=True, path=cls.path, extensions=OFFERS)
            cls.s.start("msa")
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.s.close()
        finally:
            cls.qm.close()

    def setUp(self):
        q = self.qm
        q.mail = q.rcpt = q.data = q.final = None
        with q.lock:
            q.messages.clear()
            q.commands.clear()

    def connect(self, user="alice", tls=True, login=True):
        c = smtplib.SMTP("127.0.0.1", self.s.port["submission"], timeout=60)
        self.addCleanup(c.close)
        if tls:
            c.starttls(context=tls_context())
        c.ehlo()
        if login:
            c.login(self.s.address(user), PASSWORD)
        return c

    def send(self, text, sender="alice@example.test",
             to=("bob@example.test",), user="alice", **kw):
        """Send; returns what the queue got, as Message."""
        with self.connect(user) as c:
            refused = c.sendmail(sender, list(to), text, **kw)
        self.assertEqual(refused, {})
        return self.qm.messages[-1]

    def refusal(self, text, sender="alice@example.test", user="alice"):
        """The reply after the dot."""
        with self.connect(user) as c:
            self.assertEqual(c.mail(sender)[0], 250)
            self.assertEqual(c.rcpt("bob@example.test")[0], 250)
            reply = c.data(text)
        self.assertEqual(self.qm.messages, [])
        return reply


class SigningIn(Case):
    def code(self, c, *lines):
        for line in lines:
            reply = c.docmd(line)
        return reply[0]

    def b64(self, text):
        return base64.b64encode(text.encode()).decode()

    def test_nothing_without_tls(self):
        c = self.connect(tls=False, login=False)
        self.assertNotIn("auth", c.esmtp_features)
        self.assertIn("starttls", c.esmtp_features)
        self.assertGreaterEqual(self.code(c, "AUTH PLAIN " + self.b64(
            "\0alice@example.test\0" + PASSWORD)), 500)
        self.assertEqual(self.code(c, "MAIL FROM:<alice@example.test>"), 530)

    def test_nothing_without_signing_in(self):
        c = self.connect(login=False)
        self.assertEqual(self.code(c, "MAIL FROM:<alice@example.test>"), 530)
        self.assertEqual(self.qm.commands, [])

    def test_plain_with_and_without_initial_response(self):
        token = self.b64("\0alice@example.test\0" + PASSWORD)
        c = self.connect(login=False)
        self.assertEqual(self.code(c, "AUTH PLAIN " + token), 235)
        self.assertEqual(self.code(c, "AUTH PLAIN " + token), 503)
        c = self.connect(login=False)
        self.assertEqual(self.code(c, "AUTH PLAIN"), 334)
        self.assertEqual(self.code(c, token), 235)

    def test_login(self):
        c = self.connect(login=False)
        self.assertEqual(self.code(c, "AUTH LOGIN"), 334)
        self.assertEqual(self.code(c, self.b64("alice@example.test")), 334)
        self.assertEqual(self.code(c, self.b64(PASSWORD)), 235)

    def test_scram(self):
        c = self.connect(login=False)
        self.assertIn("SCRAM-SHA-256", c.esmtp_features["auth"])
        first = "n=alice@example.test,r=fyko"
        code, reply = c.docmd("AUTH SCRAM-SHA-256 " + self.b64("n,," + first))
        self.assertEqual(code, 334)
        challenge = base64.b64decode(reply).decode()
        parts = dict(p.split("=", 1) for p in challenge.split(","))
        self.assertTrue(parts["r"].startswith("fyko"))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(),
                                     base64.b64decode(parts["s"]),
                                     int(parts["i"]))
        bare = "c=biws,r=" + parts["r"]
        signed = ",".join((first, challenge, bare)).encode()

        def mac(key, text):
            return hmac.new(key, text, "sha256").digest()
        key = mac(salted, b"Client Key")
        proof = bytes(a ^ b for a, b in zip(
            key, mac(hashlib.sha256(key).digest(), signed)))
        code, reply = c.docmd(self.b64("%s,p=%s" % (
            bare, base64.b64encode(proof).decode())))
        self.assertEqual(code, 334)
        server = base64.b64encode(mac(mac(salted, b"Server Key"), signed))
        self.assertEqual(base64.b64decode(reply), b"v=" + server)
        self.assertEqual(self.code(c, ""), 235)

    def test_implicit_tls(self):
        with smtplib.SMTP_SSL("127.0.0.1", self.s.port["submissions"],
                              context=tls_context(), timeout=60) as c:
            c.login("alice@example.test", PASSWORD)
            c.sendmail("alice@example.test", ["bob@example.test"],
                       b"Subject: by 465\r\n\r\n")
        self.assertIn(b"Subject: by 465", self.qm.messages[-1].data)

    def test_refusals(self):
        c = self.connect(login=False)
        wrong = self.b64("\0alice@example.test\0open-sesame")
        self.assertEqual(self.code(c, "AUTH PLAIN " + wrong), 535)
        self.assertEqual(self.code(c, "AUTH PLAIN " + self.b64(
            "\0nobody@example.test\0demo")), 535)
        self.assertEqual(self.code(c, "AUTH PLAIN !!!"), 501)
        self.assertEqual(self.code(c, "AUTH PLAIN", "*"), 501)
        self.assertEqual(self.code(c, "AUTH NTLM"), 504)
        self.assertEqual(self.code(c, "AUTH LOGIN", self.b64("alice"), "*"),
                         501)
        # And it goes on.
        self.assertEqual(self.code(c, "AUTH PLAIN " + self.b64(
            "\0alice@example.test\0" + PASSWORD)), 235)
        self.assertNotIn("open-sesame", self.s.log("msa"))

    def test_disabled_accounts_cannot(self):
        self.s.pneu("account", "add", "carol@example.test",
                    input=PASSWORD + "\n")
        self.connect("carol").close()
        self.s.pneu("account", "set", "carol@example.test", "--disable")
        with self.assertRaises(smtplib.SMTPAuthenticationError):
            self.connect("carol")


class PlaintextAllowed(Case):
    CONF = {"plaintext_login": True}

    def test_by_configuration(self):
        c = self.connect(tls=False)
        c.sendmail("alice@example.test", ["bob@example.test"],
                   b"Subject: plain\r\n\r\n")
        got = self.qm.messages[-1].data
        self.assertIn(b" with ESMTPA\r\n", got)


class Senders(Case):
    def mail(self, sender, user="alice"):
        with self.connect(user) as c:
            code, text = c.mail(sender)
            return code, text.decode()

    def test_own_addresses_only(self):
        for sender in ("alice@example.test", "Alice@Example.TEST",
                       "alice+news@example.test", "sales@example.test", ""):
            self.assertEqual(self.mail(sender)[0], 250, sender)
        for sender in ("bob@example.test", "sales2@example.test",
                       "alice@else.lab", "any@all.lab"):
            code, text = self.mail(sender)
            self.assertEqual(code, 550, sender)
            self.assertIn("5.7.1", text)
            self.assertIn("<%s>" % sender, text)

    def test_catch_all_gives_all_addresses_of_the_domain(self):
        self.assertEqual(self.mail("any@all.lab", "bob")[0], 250)
        self.assertEqual(self.mail("any@example.test", "bob")[0], 550)

    def test_from_is_checked_too(self):
        for header in (b"From: bob@example.test", b"from: Bob <bob@else.lab>",
                       b"From: alice@example.test, bob@example.test",
                       b"From: alice@example.test\r\nFrom: bob@example.test",
                       b"From: team: alice@example.test, b@else.lab;",
                       b"From:\r\n \"alice@example.test\"\r\n <b@else.lab>",
                       b"From: alice"):
            code, text = self.refusal(header + b"\r\n\r\nbody\r\n")
            self.assertEqual(code, 550, header)
            self.assertIn(b"5.7.1", text)
        self.assertEqual(self.refusal(b"From: \r\n\r\n")[0], 554)
        self.assertEqual(self.refusal(b"From: nobody:;\r\n\r\n")[0], 554)

    def test_granted_addresses(self):
        for sender in ("boss@else.lab", "Boss+x@ELSE.lab", "any@granted.lab"):
            self.assertEqual(self.mail(sender, "bob")[0], 250, sender)
            self.assertEqual(self.mail(sender)[0], 550, sender)
        got = self.send(b"From: The Boss <boss@else.lab>\r\n\r\n",
                        sender="boss@else.lab", user="bob")
        self.assertEqual(got.sender, "boss@else.lab")
        self.s.pneu("account", "grant", "bob@example.test", "late@else.lab")
        self.assertEqual(self.mail("late@else.lab", "bob")[0], 250)
        self.s.pneu("account", "revoke", "bob@example.test", "late@else.lab")
        self.assertEqual(self.mail("late@else.lab", "bob")[0], 550)

    def test_other_fields_that_name_a_sender(self):
        own = b"From: alice@example.test\r\n"
        for name in (b"Sender", b"Resent-From", b"resent-sender"):
            code, text = self.refusal(
                own + name + b": bob@example.test\r\n\r\nbody\r\n")
            self.assertEqual(code, 550, name)
            self.assertIn(b"5.7.1", text)
            self.assertIn(b"<bob@example.test>", text)
            self.send(own + name + b": sales@example.test\r\n\r\nbody\r\n")
            self.qm.messages.clear()
        self.assertEqual(self.refusal(own + b"Sender: \r\n\r\n")[0], 554)
        code, text = self.refusal(b"From: " + b",".join(
            [b"alice@example.test"] * 8200) + b"\r\n\r\n")
        self.assertEqual(code, 554, text)

    def test_from_may_be_any_own_address(self):
        for header in (b"From: A <sales@example.test>",
                       b"From: alice@example.test, alice+x@example.test",
                       b"From: =?utf-8?q?=22bob=40example.test=22?= "
                       b"<alice@example.test>"):
            got = self.send(header + b"\r\n\r\nbody\r\n")
            self.assertIn(header, got.data)


class Headers(Case):
    def test_what_is_missing_is_added(self):
        got = self.send(b"Subject: bare\r\n\r\nbody\r\n")
        m = email.message_from_bytes(got.data)
        self.assertTrue(email.utils.parsedate_to_datetime(m["Date"]))
        self.assertRegex(m["Message-ID"], r"^<[^@ ]+@example\.test>$")
        self.assertEqual(m["From"], "<alice@example.test>")
        self.assertEqual(m["Subject"], "bare")
        self.assertEqual(m.get_payload(), "body\r\n")

    def test_what_is_there_stays_octet_by_octet(self):
        header = (b"Message-ID: <1@x>\r\nDATE:  Fri, 20 Nov 2026 10:00:00 "
                  b"+0000\r\nfrom: \"A\"  <alice@example.test>\r\n"
                  b"X-Odd:\ttab\r\n folded \xc3\xa9\xff\r\n")
        body = b"\xff\xfe8-bit\r\n.dots\r\n..\r\n" + b"x" * 900 + b"\r\n"
        got = self.send(header + b"\r\n" + body,
                        mail_options=["BODY=8BITMIME"])
        received, _, rest = got.data.partition(b"Message-ID")
        self.assertEqual(b"Message-ID" + rest, header + b"\r\n" + body)
        self.assertEqual(got.params.get("BODY"), "8BITMIME")

    def test_from_has_the_name_of_the_account(self):
        self.s.pneu("account", "set", "alice@example.test", "--name",
                    "Alice Ü., M.D.")
        try:
            m = email.message_from_bytes(self.send(b"\r\n").data,
                                         policy=email.policy.default)
            self.assertEqual(m["From"].addresses[0].display_name,
                             "Alice Ü., M.D.")
            got = self.send(b"\r\n", sender="sales@example.test")
            self.assertIn(b"From: <sales@example.test>\r\n", got.data)
        finally:
            self.s.pneu("account", "set", "alice@example.test", "--name", "")

    def test_several_authors_need_a_sender(self):
        got = self.send(b"From: alice@example.test, sales@example.test\r\n"
                        b"\r\n")
        self.assertIn(b"\r\nSender: <alice@example.test>\r\n", got.data)

    def test_received_tells_nothing_of_the_client(self):
        got = self.send(b"Subject: x\r\n\r\n")
        received = email.message_from_bytes(got.data)["Received"]
        self.assertIn("by mx.example.test with ESMTPSA", received)
        self.assertIn("TLS1.", received)
        self.assertNotIn("127.0.0.1", received)
        self.assertNotIn("alice", received)
        self.assertIn("id " + got.params["XTRACE"], received)

    def test_blind_recipients_stay_blind(self):
        got = self.send(b"To: bob@example.test\r\nBcc: carol@example.test,\r\n"
                        b"\tdave@else.lab\r\nResent-Bcc: e@else.lab\r\n"
                        b"bcc : f@else.lab\r\nSubject: x\r\n\r\nBcc: body\r\n")
        self.assertNotIn(b"else.lab", got.data)
        self.assertNotIn(b"carol", got.data)
        self.assertIn(b"\r\n\r\nBcc: body\r\n", got.data)

    def test_no_header_at_all(self):
        got = self.send(b"just text\r\n\r\nFrom: bob@example.test\r\n")
        self.assertTrue(got.data.endswith(
            b"\r\n\r\njust text\r\n\r\nFrom: bob@example.test\r\n"))
        m = email.message_from_bytes(got.data)
        self.assertEqual(m["From"], "<alice@example.test>")

    def test_large_headers(self):
        to = b"To: " + b",\r\n ".join(b"r%d@else.lab" % i
                                      for i in range(6000)) + b"\r\n"
        self.assertGreater(len(to), 100000)
        got = self.send(to + b"From: alice@example.test\r\nBcc: x@y.lab\r\n"
                        b"Subject: large\r\n\r\nbody\r\n")
        self.assertIn(to, got.data)
        self.assertIn(b"Subject: large\r\n", got.data)
        self.assertNotIn(b"x@y.lab", got.data)
        self.assertEqual(got.data.count(b"\r\nFrom:"), 1)
        # A From beyond where one looks first is looked at as well.
        with self.connect() as c:
            with self.assertRaises(smtplib.SMTPDataError) as e:
                c.sendmail("alice@example.test", ["bob@example.test"],
                           to + b"From: bob@example.test\r\n\r\n")
        self.assertEqual(e.exception.smtp_code, 550)

    def test_too_large_headers_are_refused(self):
        line = b"X-Fill: " + b"x" * 900 + b"\r\n"
        self.assertEqual(self.refusal(line * 400 + b"\r\n")[0], 554)
        code, text = self.refusal(line * 400 + b"From: bob@example.test\r\n"
                                  b"\r\n")
        self.assertEqual(code, 554)

    def test_null_sender_takes_the_accounts_address(self):
        got = self.send(b"Subject: read\r\n\r\n", sender="")
        self.assertEqual(got.sender, "")
        self.assertIn(b"From: <alice@example.test>\r\n", got.data)


    def test_recipients_without_a_domain(self):
        """RFC 6409 8: those that the account's domain has."""
        got = self.send(
            b"From: alice@example.test\r\n"
            b"To: bob, Bob <bob> (yes), nobody, sales, x@else.lab,\r\n"
            b" \"bob\" <bob@else.lab>, undisclosed recipients\r\n"
            b"Cc: team: bob, alice;, undisclosed-recipients:;\r\n"
            b"Reply-To: alice+tag\r\nSubject: bob, bob\r\n\r\nTo: bob\r\n")
        self.assertIn(
            b"To: bob@example.test, Bob <bob@example.test> (yes), nobody, "
            b"sales@example.test, x@else.lab,\r\n"
            b" \"bob\" <bob@else.lab>, undisclosed recipients\r\n"
            b"Cc: team: bob@example.test, alice@example.test;, "
            b"undisclosed-recipients:;\r\n"
            b"Reply-To: alice+tag@example.test\r\nSubject: bob, bob\r\n",
            got.data)
        self.assertTrue(got.data.endswith(b"\r\n\r\nTo: bob\r\n"))


class FixesOff(Case):
    CONF = {"add_date": False, "add_message_id": False, "add_from": False,
            "add_sender": "always", "add_domain": "never",
            "remove_bcc": False, "received_client": True}

    def test_each_can_be_switched_off(self):
        got = self.send(b"Bcc: x@else.lab, bob\r\nSubject: x\r\n\r\n")
        received, _, rest = got.data.partition(b"Bcc:")
        self.assertEqual(rest, b" x@else.lab, bob\r\nSubject: x\r\n\r\n")
        self.assertRegex(received.decode(),
                         r"^Received: from \S+ \(\[127\.0\.0\.1\]\)\r\n"
                         r"\tby mx\.example\.test with ESMTPSA")

    def test_sender_where_it_is_another(self):
        got = self.send(b"From: sales@example.test\r\n\r\n")
        self.assertIn(b"\r\nSender: <alice@example.test>\r\n", got.data)
        got = self.send(b"From: A <alice@example.test>\r\n\r\n")
        self.assertNotIn(b"Sender:", got.data)


class Limits(Case):
    CONF = {"messages_per_hour": 3, "recipients_per_day": 6}
    TEXT = b"Subject: x\r\n\r\n"

    def account(self, name, *args):
        address = name + "@example.test"
        self.s.pneu("account", "add", address, input=PASSWORD + "\n")
        if args:
            self.s.pneu("account", "set", *args, address)
        return address

    def sent(self, c, sender, *to):
        """The codes of MAIL, each RCPT and the message, and the last text."""
        codes = [c.mail(sender)[0]]
        for i in range(*to) if to else range(1):
            codes.append(c.rcpt("r%d@else.lab" % i)[0])
        reply = c.data(self.TEXT) if codes[0] == 250 and 250 in codes[1:] \
            else (0, b"")
        c.rset()
        return codes + [reply[0]]

    def test_messages(self):
        who = self.account("m1")
        for _ in range(3):
            with self.connect(who) as c:
                self.assertEqual(self.sent(c, who), [250, 250, 250])
        with self.connect(who) as c:
            code, text = c.mail(who)
            self.assertEqual(code, 452)
            self.assertRegex(text.decode(),
                             r"^4\.7\.1 m1@example\.test may send 3 messages "
                             r"an hour; try again at \d{4}-\d\d-\d\d "
                             r"\d\d:\d\d UTC, in 6[0-5] minutes")
        # Of one account only, and known after a restart.
        self.s.restart("msa")
        with self.connect(who) as c:
            self.assertEqual(c.mail(who)[0], 452)
        self.send(self.TEXT)

    def test_recipients(self):
        who = self.account("r1")
        with self.connect(who) as c:
            self.assertEqual(self.sent(c, who, 4), [250] * 6)
            self.assertEqual(self.sent(c, who, 4),
                             [250, 250, 250, 452, 452, 250])
            self.assertEqual(c.mail(who)[0], 452)
        self.assertEqual(len(self.qm.messages[-1].recipients), 2)

    def test_what_was_not_accepted_does_not_count(self):
        who = self.account("n1")
        with self.connect(who) as c:
            for said in ("452 4.3.1 no room", "554 5.6.0 never"):
                for _ in range(4):
                    self.qm.final = said
                    self.assertEqual(self.sent(c, who)[2], int(said[:3]))
            self.qm.final = None
            for _ in range(4):
                c.mail(who)
                c.rcpt("r@else.lab")
                self.assertEqual(c.data(b"From: bob@example.test\r\n\r\n")[0],
                                 550)
                c.mail(who)
                c.rcpt("r@else.lab")
                c.rset()
            for _ in range(3):
                self.assertEqual(self.sent(c, who), [250, 250, 250])
            self.assertEqual(c.mail(who)[0], 452)

    def test_transactions_at_once(self):
        who = self.account("o1")
        sessions = [self.connect(who) for _ in range(6)]
        for c in sessions:
            self.assertEqual(c.mail(who)[0], 250)
            self.assertEqual(c.rcpt("r@else.lab")[0], 250)
        codes = sorted(c.data(self.TEXT)[0] for c in sessions)
        self.assertEqual(codes, [250] * 3 + [452] * 3)

    def test_an_accounts_own_limits(self):
        who = self.account("own", "--messages-per-hour", "1")
        with self.connect(who) as c:
            self.assertEqual(self.sent(c, who), [250, 250, 250])
            self.assertEqual(c.mail(who)[0], 452)
            # Seen at once.
            self.s.pneu("account", "set", "--messages-per-hour", "none",
                        "--recipients-per-day", "none", who)
            for _ in range(4):
                self.assertEqual(self.sent(c, who, 3), [250] * 5)
            self.s.pneu("account", "set", "--messages-per-hour", "default",
                        who)
            self.assertEqual(c.mail(who)[0], 452)
        shown = json.loads(self.s.pneu("account", "show", "--json", who))
        self.assertEqual(shown["limits"], {
            "messages_per_hour": None, "messages_per_day": None,
            "recipients_per_hour": None, "recipients_per_day": False})
        self.assertIn("any number of recipients a day",
                      self.s.pneu("account", "show", who))
        r = self.s.pneu("account", "set", "--messages-per-hour", "0", who,
                        check=False)
        self.assertEqual(r.returncode, 64)


class Queueing(Case):
    TEXT = b"Subject: x\r\n\r\nbody\r\n"

    def test_recipients_are_asked_of_the_queue(self):
        self.qm.rcpt = {"no@example.test": "550 5.1.1 no such recipient",
                        "full@example.test": "452 4.2.2 later"}
        with self.connect() as c:
            c.mail("alice@example.test")
            self.assertEqual(c.rcpt("no@example.test")[0], 550)
            self.assertEqual(c.rcpt("full@example.test")[0], 452)
            self.assertEqual(c.rcpt("bob@example.test")[0], 250)
            self.assertEqual(c.data(self.TEXT)[0], 250)
        self.assertEqual(self.qm.messages[-1].recipients, ["bob@example.test"])

    def test_recipients_have_whole_domains(self):
        self.s.pneu("domain", "add", "intranet")
        with self.connect() as c:
            c.mail("alice@example.test")
            code, text = c.rcpt("bob@sales")
            self.assertEqual((code, text[:5]), (554, b"5.1.2"))
            self.assertEqual(c.rcpt("bob@intranet")[0], 250)
            self.assertEqual(c.rcpt("bob@[127.0.0.1]")[0], 250)

    def test_the_answer_is_the_queues(self):
        for said in ("452 4.3.1 no room", "451 4.3.0 not now",
                     "554 5.6.0 never"):
            self.qm.final = said
            code, text = self.refusal(self.TEXT)
            self.assertEqual(code, int(said[:3]))
            self.assertIn(said[4:].encode(), text)
        self.qm.final = None
        self.send(self.TEXT)

    def test_a_queue_that_dies_means_later(self):
        def drop(server, arg):
            raise Drop
        for stage in ("mail", "rcpt", "data", "final"):
            setattr(self.qm, stage, drop)
            with self.connect() as c:
                c.mail("alice@example.test")
                code, _ = c.rcpt("bob@example.test")
                if code == 250:
                    code, _ = c.data(self.TEXT)
                self.assertEqual(code, 451, stage)
                setattr(self.qm, stage, None)
                self.assertEqual(c.rset()[0], 250)
                self.assertEqual(c.sendmail("alice@example.test",
                                            ["bob@example.test"], self.TEXT),
                                 {}, stage)

    def test_a_queue_that_shuts_down_means_later(self):
        """Its 421 to MAIL is passed on, whatever becomes of the connection
        (found by ASan in test_trouble: the text was the freed client's)."""
        def mail(server, address):
            with server.lock:
                sockets = [s for s in server.sockets
                           if s.family == socket.AF_UNIX]
            for s in sockets:
                s.sendall(b"421 4.3.2 shutting down now\r\n")
                s.shutdown(socket.SHUT_RDWR)
            raise Drop
        self.qm.mail = mail
        for _ in range(3):
            with self.connect() as c:
                self.assertEqual(c.mail("alice@example.test")[0], 250)
                code, text = c.rcpt("bob@example.test")
                self.assertEqual(code, 421, text)
                self.assertIn(b"shutting down now", text)

    def test_no_queue_means_later(self):
        os.rename(self.path, self.path + ".away")
        try:
            # Connections that it has already may go on: those end first.
            with self.qm.lock:
                for s in list(self.qm.sockets):
                    s.shutdown(socket.SHUT_RDWR)
            with self.connect() as c:
                c.mail("alice@example.test")
                code, text = c.rcpt("bob@example.test")
                self.assertEqual(code, 451)
                self.assertIn(b"4.3.0", text)
            self.assertIn("peer down", self.s.log("msa"))
        finally:
            os.rename(self.path + ".away", self.path)
        self.send(self.TEXT)

    def test_limits(self):
        with self.connect() as c:
            self.assertEqual(c.docmd("MAIL FROM:<alice@example.test> "
                                     "SIZE=2000000")[0], 552)
            c.mail("alice@example.test")
            codes = [c.rcpt("r%d@else.lab" % i)[0] for i in range(101)]
            self.assertEqual(codes, [250] * 100 + [452])
            c.rset()
            c.mail("alice@example.test")
            c.rcpt("bob@example.test")
            self.assertEqual(c.data(b"x" * 70 + b"\r\n" +
                                    (b"y" * 70 + b"\r\n") * 20000)[0], 552)
            self.assertEqual(c.noop()[0], 250)
        self.assertEqual(self.qm.messages, [])

    def test_dsn_requests_are_handed_on(self):
        got = self.send(self.TEXT, mail_options=["RET=HDRS", "ENVID=e1"],
                        rcpt_options=["NOTIFY=SUCCESS,DELAY",
                                      "ORCPT=rfc822;bob@example.test"])
        self.assertEqual(got.params["RET"], "HDRS")
        self.assertEqual(got.params["ENVID"], "e1")
        self.assertEqual(got.params["RCPT"],
                         [{"NOTIFY": "SUCCESS,DELAY",
                           "ORCPT": "rfc822;bob@example.test"}])

    def test_pipelined(self):
        with self.connect() as c:
            c.send(b"MAIL FROM:<alice@example.test>\r\n"
                   b"RCPT TO:<bob@example.test>\r\n"
                   b"RCPT TO:<x@else.lab>\r\nDATA\r\n")
            self.assertEqual([c.getreply()[0] for _ in range(4)],
                             [250, 250, 250, 354])
            c.send(self.TEXT + b".\r\n")
            self.assertEqual(c.getreply()[0], 250)
        self.assertEqual(self.qm.messages[-1].recipients,
                         ["bob@example.test", "x@else.lab"])

    def test_several_messages_on_a_connection(self):
        with self.connect() as c:
            for i in range(5):
                c.sendmail("alice@example.test", ["bob@example.test"],
                           b"Subject: %d\r\n\r\n" % i)
        self.assertEqual(len(self.qm.messages), 5)
        self.assertEqual(len({m.params["XTRACE"]
                              for m in self.qm.messages}), 5)


class Reload(Case):
    def test_settings_change_for_new_sessions(self):
        for i in range(1, 5):
            before = self.s.log("msa").count("configuration reloaded")
            self.s.write_conf({"msa": {"max_size": "%dM" % i}})
            self.s.process["msa"].send_signal(signal.SIGHUP)
            until(lambda: self.s.log("msa").count("configuration reloaded") >
                  before, "reload")
        with self.connect() as c:
            self.assertEqual(c.esmtp_features["size"], str(4 << 20))
        # Large enough for the spool folder.
        self.send(b"Subject: x\r\n\r\n" + (b"x" * 70 + b"\r\n") * 20000)


if __name__ == "__main__":
    unittest.main()
