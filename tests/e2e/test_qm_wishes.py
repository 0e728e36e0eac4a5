# SPDX-License-Identifier: ISC
"""What MAIL asked qm for beyond delivery, with scripted servers around it."""
import email
import threading

import test_qm
from pneu import certificate, until
from test_qm import Case, PATIENCE, PORT
from zone import TestZone

OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


class Priority(Case):
    """RFC 6710"""
    CONF = {"concurrency": 1}

    def test_order_and_what_is_passed_on(self):
        reached, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def banner(server, arg):
            reached.set()
            release.wait(PATIENCE)

        one = self.serve("127.0.0.2", banner=banner,
                         extensions=OFFERS + ("MT-PRIORITY",))
        self.queue("x@one.lab", b"first")
        self.assertTrue(reached.wait(PATIENCE))
        for text, priority in ((b"plain", None), (b"low", -4), (b"high", 4),
                               (b"plain too", 0), (b"highest", 9)):
            self.queue("x@one.lab", text, mail_options=[]
                       if priority is None else
                       ["MT-PRIORITY=%d" % priority])
        self.wait_log("priority=9")
        release.set()
        self.wait_got(one, 6)
        self.assertEqual(
            [(m.data.split(b"\r\n")[-2].decode(), m.params["MT-PRIORITY"])
             for m in one.messages],
            [("first", "0"), ("highest", "9"), ("high", "4"), ("plain", "0"),
             ("plain too", "0"), ("low", "-4")])

    def test_not_passed_on_where_it_is_not_offered(self):
        one = self.serve("127.0.0.2")
        self.queue("x@one.lab", mail_options=["MT-PRIORITY=4"])
        self.assertNotIn("MT-PRIORITY", self.wait_got(one).params)

    def test_a_report_is_as_urgent(self):
        self.box.extensions = OFFERS + ("MT-PRIORITY",)
        self.serve("127.0.0.2", rcpt="550 5.1.1 unknown")
        self.queue("x@one.lab", mail_options=["MT-PRIORITY=7"])
        self.assertEqual(self.report()[0].params["MT-PRIORITY"], "7")


class DeliverBy(Case):
    """RFC 2852"""
    CLOCK = True
    CONF = {"retry_first": "100ms", "retry_max": "100ms"}

    def fields(self, n=1):
        """Per-message and per-recipient fields of the nth report."""
        m = self.wait_got(self.box, n)
        parts = list(email.message_from_bytes(m.data).walk())
        of = next(p for p in parts
                  if p.get_content_type() == "message/delivery-status")
        return of.get_payload()[0], of.get_payload()[1]

    def got_in_time(self, server, n):
        """wait_got, while time passes: what an attempt was waiting for when
        the clock moved did not come, and the server is left alone."""
        def got():
            self.s.clock.move(1)
            return len(server.messages) >= n
        until(got, "%d messages" % n)
        return server.messages[n - 1]

    def test_time_left_is_passed_on(self):
        one = self.serve("127.0.0.2", extensions=OFFERS + ("DELIVERBY 10",))
        self.queue("x@one.lab", mail_options=["BY=1000;R"])
        time_left, mode = self.wait_got(one).params["BY"].split(";")
        self.assertEqual(mode, "R")
        self.assertTrue(800 < int(time_left) <= 1000, time_left)
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_return_needs_a_server_that_can(self):
        """4.1.4.1: the next MX is asked; without one it goes back."""
        self.serve("127.0.0.2")
        two = self.serve("127.0.0.3", extensions=OFFERS + ("DELIVERBY",))
        self.queue("x@two.lab", mail_options=["BY=1000;R"])
        self.assertIn("BY", self.wait_got(two).params)
        self.queue("x@one.lab", mail_options=["BY=1000;R"])
        message, recipient = self.fields()
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.3.3")
        self.assertIn("Deliver-By-Date", message)
        self.assertIn("Arrival-Date", message)

    def test_other_mail_still_goes_there(self):
        one = self.serve("127.0.0.2")
        self.queue("x@one.lab", mail_options=["BY=1000;R"])
        self.queue("x@one.lab", b"without")
        self.assertIn(b"without", self.wait_got(one).data)
        self.assertEqual(self.fields()[1]["Status"], "5.3.3")
        self.assertEqual(len(one.messages), 1)

    def test_returned_in_time(self):
        """4.1.3: no attempt is left once the time is over."""
        self.serve("127.0.0.2", rcpt="450 4.2.1 busy",
                   extensions=OFFERS + ("DELIVERBY",))
        qid = self.queue("x@one.lab", mail_options=["BY=7200;R"])
        until(lambda: self.show(qid)["attempts"] > 2, "attempts")
        self.s.clock.move(7201)
        recipient = self.fields()[1]
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.4.7")
        self.wait_empty()

    def test_returned_in_time_between_two_attempts(self):
        self.conf(retry_first="10h", retry_max="10h")
        self.s.restart("qm")
        self.serve("127.0.0.2", rcpt="450 4.2.1 busy",
                   extensions=OFFERS + ("DELIVERBY",))
        qid = self.queue("x@one.lab", mail_options=["BY=7200;R"])
        until(lambda: self.show(qid)["attempts"] == 1, "an attempt")
        self.s.clock.move(7201)
        recipient = self.fields()[1]
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.4.7")
        self.wait_empty()
        self.assertIn("(DELIVERBY)", self.s.pneu("why", "x@one.lab"))

    def test_sender_hears_that_it_is_late(self):
        """4.1.3, once; and it is tried on."""
        refuse = ["450 4.2.1 busy"]
        one = self.serve("127.0.0.2", rcpt=lambda s, a: refuse[0],
                         extensions=OFFERS + ("DELIVERBY",))
        qid = self.queue("x@one.lab", mail_options=["BY=3600;N"])
        until(lambda: self.show(qid)["attempts"] > 0, "an attempt")
        self.s.clock.move(3601)
        recipient = self.fields()[1]
        self.assertEqual(recipient["Action"], "delayed")
        self.assertEqual(recipient["Status"], "4.4.7")
        refuse[0] = None
        self.assertRegex(self.got_in_time(one, 1).params["BY"], r"^-?\d+;N$")
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 1)

    def test_not_who_does_not_want_to(self):
        refuse = ["450 4.2.1 busy"]
        one = self.serve("127.0.0.2", rcpt=lambda s, a: refuse[0])
        self.queue("x@one.lab", mail_options=["BY=-1;N"])
        self.queue("y@one.lab", mail_options=["BY=3600;N"],
                   rcpt_options=["NOTIFY=FAILURE"])
        self.s.clock.move(3601)
        n = max(e["attempts"] for e in self.list())

        def tried():
            self.s.clock.move(1)
            return min(e["attempts"] for e in self.list()) > n + 2
        until(tried, "attempts")
        refuse[0] = None
        self.got_in_time(one, 2)
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_each_hop_is_told_with_trace(self):
        """4.1.4: also where nobody asked to hear of success."""
        one = self.serve("127.0.0.2", extensions=OFFERS + ("DELIVERBY", "DSN"))
        self.queue("x@one.lab", mail_options=["BY=1000;RT"])
        self.assertRegex(self.wait_got(one).params["BY"], r";RT$")
        self.assertEqual(self.fields()[1]["Action"], "relayed")
        self.queue("x@one.lab", mail_options=["BY=1000;RT"],
                   rcpt_options=["NOTIFY=NEVER"])
        self.wait_got(one, 2)
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 1)

    def test_where_the_time_ends_the_sender_is_told(self):
        """4.1.4.2: relayed to who does not know of it."""
        one = self.serve("127.0.0.2", extensions=OFFERS + ("DSN",))
        self.queue("x@one.lab", mail_options=["BY=1000;N"])
        got = self.wait_got(one)
        self.assertNotIn("BY", got.params)
        self.assertEqual(got.params["RCPT"][0]["NOTIFY"], "FAILURE,DELAY")
        self.assertEqual(self.fields()[1]["Action"], "relayed")
        # Local delivery is the end of the way.
        self.queue("alice@example.test", mail_options=["BY=1000;NT"])
        self.wait_got(self.box, 2)
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 2)


ZONE = TestZone({"safe": """
one MX 10 mx.one
two MX 10 mx.one
two MX 20 mx.two
mx.one A 127.0.0.2
mx.two A 127.0.0.3
bare MX 10 mx.two
""", "lab": """
one MX 10 mx.one
mx.one A 127.0.0.2
bare A 127.0.0.3
"""}, signed=("safe",))


def tearDownModule():
    ZONE.close()
    test_qm.tearDownModule()


class RequireTls(Case):
    """RFC 8689. The zone safe is signed, lab is not."""
    PEM = certificate("DNS:mx.one.safe,DNS:mx.one.lab,DNS:mx.two.safe,"
                      "DNS:bare.lab")

    def conf(self, **qm):
        self.s.write_conf({
            "qm": {"smtp_port": PORT, "retry_first": "50ms",
                   "retry_max": "200ms", **self.CONF, **qm},
            "hostname": "us.lab", "tls": {"ca": self.PEM[0]}, **ZONE.conf()})

    def server(self, host="127.0.0.2", offers=("REQUIRETLS", "DSN"), tls=True,
               pem=PEM):
        return self.serve(
            host, starttls="good" if tls else None, pem=pem,
            extensions=lambda s: OFFERS + (offers if s.tls else ()))

    def returned(self, to, status, **kw):
        n = len(self.box.messages)
        self.queue(to, mail_options=["REQUIRETLS"], **kw)
        report = self.wait_got(self.box, n + 1)
        self.assertIn(b"\r\nStatus: %s\r\n" % status.encode(), report.data)
        return report

    def test_verified_and_said_again(self):
        one = self.server()
        self.queue("x@one.safe", mail_options=["REQUIRETLS"])
        got = self.wait_got(one)
        self.assertTrue(got.tls)
        self.assertIn("REQUIRETLS", got.params)
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_never_without_being_asked(self):
        one = self.server()
        self.queue("x@one.safe")
        self.assertNotIn("REQUIRETLS", self.wait_got(one).params)

    def test_the_domain_itself_needs_no_signature(self):
        bare = self.server("127.0.0.3")
        self.queue("x@bare.lab", mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", self.wait_got(bare).params)

    def test_not_offered_is_5_7_30(self):
        one = self.server(offers=())
        self.returned("x@one.safe", "5.7.30")
        self.assertEqual(one.messages, [])

    def test_offered_in_plain_text_is_none(self):
        one = self.serve("127.0.0.2", extensions=OFFERS + ("REQUIRETLS",))
        self.returned("x@one.safe", "5.7.10")
        self.assertEqual(one.messages, [])

    def test_no_tls_is_5_7_10(self):
        one = self.server(tls=False)
        self.returned("x@one.safe", "5.7.10")
        self.assertEqual(one.messages, [])

    def test_a_wrong_name_is_5_7_10(self):
        one = self.server(pem=certificate())
        self.returned("x@one.safe", "5.7.10")
        self.assertEqual(one.messages, [])
        # Other mail goes there as ever, by the same TLS.
        self.queue("x@one.safe")
        self.assertTrue(self.wait_got(one).tls)

    def test_an_unsigned_mx_is_5_7_30(self):
        one = self.server()
        self.returned("x@one.lab", "5.7.30")
        self.assertEqual(one.messages, [])

    def test_the_next_mx_is_asked(self):
        """4.2.1: steps 2 to 5 with each host."""
        one, two = self.server(tls=False), self.server("127.0.0.3")
        self.queue("x@two.safe", mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", self.wait_got(two).params)
        self.assertEqual(one.messages, [])

    def test_away_is_not_the_end(self):
        self.queue("x@one.safe", mail_options=["REQUIRETLS"])
        until(lambda: self.list()[0]["attempts"] > 1, "attempts")
        self.assertIn("REQUIRETLS", self.wait_got(self.server()).params)

    def test_reports_are_as_secret(self):
        """5: the header only, REQUIRETLS where offered, but never lost."""
        self.box.extensions = OFFERS + ("REQUIRETLS",)
        self.server(offers=())
        report = self.returned("x@one.safe", "5.7.30", text=b"secret words")
        self.assertIn("REQUIRETLS", report.params)
        self.assertNotIn(b"secret words", report.data)
        two = self.server("127.0.0.3")
        self.returned_to(two, "REQUIRETLS")
        two.close()
        two = self.server("127.0.0.3", tls=False)
        self.returned_to(two, None)

    def returned_to(self, server, param):
        """A report to a sender who is elsewhere."""
        self.queue("x@one.safe", mail_options=["REQUIRETLS"],
                   sender="a@bare.safe")
        got = self.wait_got(server)
        self.assertEqual(got.sender, "")
        if param:
            self.assertIn(param, got.params)
        else:
            self.assertNotIn("REQUIRETLS", got.params)

    def test_tls_required_no(self):
        """4.2.2: such mail goes by any TLS or none; 4.1: not where MAIL said
        otherwise."""
        one = self.server(pem=certificate())
        text = b"Subject: x\r\nTLS-Required: No\r\n\r\nbody\r\n"
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@one.safe"], text)
        self.assertTrue(self.wait_got(one).tls)
        self.wait_empty()
        one.close()
        one = self.serve("127.0.0.2", starttls="broken",
                         extensions=OFFERS + ("REQUIRETLS",))
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@one.safe"], text)
        self.assertFalse(self.wait_got(one).tls)
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@one.safe"], text,
                      mail_options=["REQUIRETLS"])
        self.assertIn(b"\r\nStatus: 5.7.10\r\n", self.wait_got(self.box).data)
        self.assertEqual(len(one.messages), 1)

    def test_the_mailbox_is_the_end_of_the_way(self):
        """Offered there or not: nothing crosses a wire."""
        self.queue("alice@example.test", mail_options=["REQUIRETLS"])
        self.assertNotIn("REQUIRETLS", self.wait_got(self.box).params)


class SevenBit(Case):
    """RFC 6152 3, RFC 3030 4: what the next server does not take is made
    7-bit, or comes back."""

    def test_8bit_becomes_quoted_printable(self):
        one = self.serve("127.0.0.2", extensions=("PIPELINING",))
        text = b"a caf\xc3\xa9 in the evening = good\r\n" * 3000
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@one.lab"],
                      b"Subject: x\r\nMIME-Version: 1.0\r\n"
                      b"Content-Type: text/plain; charset=utf-8\r\n"
                      b"Content-Transfer-Encoding: 8bit\r\n\r\n" + text,
                      ["BODY=8BITMIME"])
        got = self.wait_got(one)
        got.data.decode("ascii")
        self.assertNotIn("BODY", got.params)
        self.assertNotIn("SIZE", got.params)
        m = email.message_from_bytes(got.data)
        self.assertEqual(m["Content-Transfer-Encoding"], "quoted-printable")
        self.assertEqual(m.get_payload(decode=True), text)
        self.wait_empty()

    def test_8bit_goes_as_it_is_to_who_takes_it(self):
        one = self.serve("127.0.0.2")
        self.queue("x@one.lab", b"caf\xc3\xa9")
        got = self.wait_got(one)
        self.assertIn(b"caf\xc3\xa9", got.data)
        self.assertEqual(got.params["BODY"], "8BITMIME")

    def test_binary_becomes_base64(self):
        one = self.serve("127.0.0.2")
        octets = bytes(range(256)) * 1000
        data = (b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: image/x\r\n"
                b"Content-Transfer-Encoding: binary\r\n\r\n" + octets)
        with self.lmtp() as c:
            c.ehlo()
            c.expect(250, c.mail("alice@example.test", ["BODY=BINARYMIME"]))
            c.expect(250, c.rcpt("x@one.lab"))
            c.send(b"BDAT %d LAST\r\n" % len(data) + data)
            c.expect(250, c.getreply())
        m = email.message_from_bytes(self.wait_got(one).data)
        self.assertEqual(m["Content-Transfer-Encoding"], "base64")
        self.assertEqual(m.get_payload(decode=True), octets)

    def test_what_cannot_be_made_7bit_comes_back(self):
        one = self.serve("127.0.0.2", extensions=("PIPELINING",))
        with self.lmtp() as c:
            c.deliver("alice@example.test", ["x@one.lab"],
                      b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed"
                      b"\r\n\r\nno boundary \xe9\r\n", ["BODY=8BITMIME"])
        self.assertIn(b"\r\nStatus: 5.6.3\r\n", self.wait_got(self.box).data)
        self.assertEqual(one.messages, [])


class RequireTlsSmarthost(Case):
    CONF = {"smarthost": "mx.one.lab:%d" % PORT, "smarthost_tls": "may"}
    conf = RequireTls.conf
    PEM = RequireTls.PEM

    def test_verified_by_its_name(self):
        how = dict(starttls="good", pem=self.PEM)
        one = self.serve("127.0.0.2", extensions=OFFERS + ("REQUIRETLS",),
                         **how)
        self.queue("x@any.lab", mail_options=["REQUIRETLS"])
        self.assertIn("REQUIRETLS", self.wait_got(one).params)
        self.wait_empty()
        one.close()
        one = self.serve("127.0.0.2", extensions=OFFERS, **how)
        self.queue("x@any.lab", mail_options=["REQUIRETLS"])
        self.assertIn(b"\r\nStatus: 5.7.30\r\n", self.wait_got(self.box).data)
        self.assertEqual(one.messages, [])


del Case
