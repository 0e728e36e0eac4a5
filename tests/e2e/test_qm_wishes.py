# SPDX-License-Identifier: ISC
"""What MAIL asked qm for beyond delivery, with scripted servers around it."""
import email
import threading

import test_qm
from pneu import until
from test_qm import Case, PATIENCE

tearDownModule = test_qm.tearDownModule
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
    CONF = {"retry_first": "100ms", "retry_max": "100ms"}

    def fields(self, n=1):
        """Per-message and per-recipient fields of the nth report."""
        m = self.wait_got(self.box, n)
        parts = list(email.message_from_bytes(m.data).walk())
        of = next(p for p in parts
                  if p.get_content_type() == "message/delivery-status")
        return of.get_payload()[0], of.get_payload()[1]

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
        self.queue("x@one.lab", mail_options=["BY=2;R"])
        recipient = self.fields()[1]
        self.assertEqual(recipient["Action"], "failed")
        self.assertEqual(recipient["Status"], "5.4.7")
        self.wait_empty()

    def test_sender_hears_that_it_is_late(self):
        """4.1.3, once; and it is tried on."""
        refuse = ["450 4.2.1 busy"]
        one = self.serve("127.0.0.2", rcpt=lambda s, a: refuse[0],
                         extensions=OFFERS + ("DELIVERBY",))
        self.queue("x@one.lab", mail_options=["BY=1;N"])
        recipient = self.fields()[1]
        self.assertEqual(recipient["Action"], "delayed")
        self.assertEqual(recipient["Status"], "4.4.7")
        refuse[0] = None
        self.assertRegex(self.wait_got(one).params["BY"], r"^-?\d+;N$")
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 1)

    def test_not_who_does_not_want_to(self):
        refuse = ["450 4.2.1 busy"]
        one = self.serve("127.0.0.2", rcpt=lambda s, a: refuse[0])
        self.queue("x@one.lab", mail_options=["BY=-1;N"])
        self.queue("y@one.lab", mail_options=["BY=1;N"],
                   rcpt_options=["NOTIFY=FAILURE"])
        until(lambda: min(e["attempts"] for e in self.list()) > 12, "attempts")
        refuse[0] = None
        self.wait_got(one, 2)
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


del Case
