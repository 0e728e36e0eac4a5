# SPDX-License-Identifier: ISC
"""What MAIL asked qm for beyond delivery, with scripted servers around it."""
import threading

import test_qm
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


del Case
