# SPDX-License-Identifier: ISC
"""qm with scripted servers around it: guard and mailbox over LMTP, other
servers by MX in a real DNS zone, all on addresses of loopback."""
import collections
import email
import email.policy
import json
import os
import re
import signal
import smtplib
import socket
import subprocess
import threading
import unittest

from pneu import BUILD, PATIENCE, System, certificate, until
from scripted import Drop, Scripted
from zone import TestZone

ZONE = TestZone({"lab": """
one MX 10 mx.one
mx.one A 127.0.0.2
two MX 10 mx.one
two MX 20 mx.two
mx.two A 127.0.0.3
down MX 10 mx.down
down MX 20 mx.two
mx.down A 127.0.0.9
dead MX 10 mx.down
wide MX 10 mx.wide
mx.wide A 127.0.0.9
mx.wide A 127.0.0.8
mx.wide A 127.0.0.3
bare A 127.0.0.3
null MX 0 .
loop MX 10 us
us A 127.0.0.4
dangling MX 10 nowhere
six MX 10 mx.six
mx.six AAAA ::1
"""})


def tearDownModule():
    ZONE.close()


_kept = []


def shared_port():
    """A port that is free on all the loopback addresses in use here. On
    127.0.0.1 it stays ours, so that no other process chooses the same."""
    while True:
        s = socket.socket()
        _kept.append(s)
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        try:
            for host in ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.8",
                         "127.0.0.9"):
                with socket.socket() as s:
                    s.bind((host, port))
            return port
        except OSError:
            pass


PORT = shared_port()
LOCAL = ("alice", "bob", "carol")
GUARD_OFFERS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")


def guard_says(server, address):
    local, _, domain = address.rpartition("@")
    if domain == "example.test":
        if local == "sales":
            return ("251-2.1.5 <alice@example.test> local\n"
                    "251 2.1.5 <x@one.lab> relay")
        if local == "away":
            return "251 2.1.5 <x@one.lab> relay"
        if local.split("+")[0] in LOCAL or local.startswith("r"):
            return "250 2.1.5 ok"
        return "550 5.1.1 <%s>: no such recipient" % address
    return "550 5.7.1 relay access denied"


class Refused(Exception):
    pass


class Lmtp(smtplib.LMTP):
    """smtplib reads one reply after the dot; LMTP has one per recipient."""

    def deliver(self, sender, recipients, data, mail_options=(),
                rcpt_options=()):
        """The replies after the dot."""
        self.ehlo_or_helo_if_needed()
        if "SMTPUTF8" in mail_options:
            self.command_encoding = "utf-8"
        self.expect(250, self.mail(sender, mail_options))
        for r in recipients:
            self.expect(250, self.rcpt(r, rcpt_options))
        self.expect(354, self.docmd("DATA"))
        self.send(smtplib._quote_periods(data) + b".\r\n")
        return [self.getreply() for _ in recipients]

    def expect(self, code, reply):
        if reply[0] != code:
            raise Refused(reply)


class Case(unittest.TestCase):
    CONF = {}
    CLOCK = False
    WORKERS = 1

    def setUp(self):
        self.guard = self.box = None
        self.s = System(programs=("qm",), start=False, clock=self.CLOCK)
        self.addCleanup(self.close)
        os.makedirs(os.path.join(self.s.dir, "sock"), exist_ok=True)
        self.conf()
        self.guard = Scripted(lmtp=True, path=self.sock("guard"),
                              rcpt=guard_says, extensions=GUARD_OFFERS)
        self.box = self.serve(lmtp=True, path=self.sock("mailbox"),
                              extensions=GUARD_OFFERS)
        self.s.start("qm")

    def close(self):
        try:
            self.s.close()
        finally:
            if self.guard:
                self.guard.close()

    def conf(self, **qm):
        settings = {"smtp_port": PORT, "retry_first": "50ms",
                    "retry_max": "200ms", "connect_timeout": "5s"}
        settings.update(self.CONF)
        settings.update(qm)
        self.s.write_conf({"qm": settings, "hostname": "us.lab", **ZONE.conf()},
                          workers=self.WORKERS)

    def sock(self, name):
        return os.path.join(self.s.dir, "sock", name + ".sock")

    def serve(self, host=None, **how):
        if host:
            how.update(host=host, port=PORT)
        server = Scripted(**how)
        self.addCleanup(server.close)
        return server

    def lmtp(self):
        return Lmtp(self.sock("qm"))

    def queue(self, recipients, text=b"body", sender="alice@example.test",
              **kw):
        """Queue one message; returns its queue id."""
        if isinstance(recipients, str):
            recipients = [recipients]
        data = b"Subject: test\r\nFrom: alice@example.test\r\n\r\n%s\r\n" % text
        with self.lmtp() as c:
            replies = c.deliver(sender, recipients, data, **kw)
        for code, text in replies:
            self.assertEqual((code, text), (250, replies[0][1]))
        return replies[0][1].split()[-1].decode()

    def command(self, *args, status=0):
        r = subprocess.run([os.path.join(BUILD, "pneu-qm"), "-c", self.s.conf,
                            *args], capture_output=True, text=True,
                           timeout=PATIENCE)
        self.assertEqual(r.returncode, status, r.stdout + r.stderr)
        return r.stdout

    def list(self):
        return json.loads(self.command("list", "--json"))

    def show(self, qid):
        return json.loads(self.command("show", "--json", qid))

    def wait_empty(self):
        until(lambda: self.list() == [], "the queue to get empty")

    def wait_got(self, server, n=1):
        until(lambda: len(server.messages) >= n, "%d messages" % n)
        return server.messages[n - 1]

    def wait_log(self, text):
        until(lambda: text in self.s.log("qm"), "log: " + text)

    def report(self):
        """The notification that the mailbox gets next, parsed."""
        m = self.wait_got(self.box)
        self.assertEqual(m.sender, "")
        parsed = email.message_from_bytes(m.data, policy=email.policy.default)
        self.assertEqual(parsed.get_content_type(), "multipart/report")
        self.assertEqual(parsed.get_param("report-type"), "delivery-status")
        parts = list(parsed.iter_parts())
        self.assertEqual(parts[0].get_content_type(), "text/plain")
        self.assertEqual(parts[1].get_content_type(),
                         "message/delivery-status")
        fields = parts[1].get_payload()
        return m, parsed, fields[0], fields[1:], parts[2]


class Delivery(Case):
    def test_local_and_remote_recipients_of_one_message(self):
        one = self.serve("127.0.0.2")
        self.queue(["alice@example.test", "bob@example.test", "x@one.lab",
                    "Y@ONE.lab"])
        local, remote = self.wait_got(self.box), self.wait_got(one)
        self.assertEqual(local.recipients,
                         ["alice@example.test", "bob@example.test"])
        self.assertEqual(remote.recipients, ["x@one.lab", "Y@ONE.lab"])
        self.assertEqual(remote.sender, "alice@example.test")
        # No id came with it: then a Received of ours is all that is added.
        head, _, rest = remote.data.partition(b"Subject: ")
        self.assertRegex(head, rb"\AReceived: from \S+\r\n\tby us\.lab with "
                         rb"LMTP\r\n\tid [0-9A-Z]{18};\r\n\t[^\n]+\r\n\Z")
        self.assertEqual(rest, b"test\r\nFrom: alice@example.test\r\n\r\n"
                         b"body\r\n")
        self.assertEqual(local.data, remote.data)
        self.wait_empty()
        log = self.s.log("qm")
        self.assertRegex(log, r"delivery .*to=<x@one.lab> .*relay=mx.one.lab"
                         r"\[127.0.0.2:\d+\] .*dsn=2.0.0 status=sent")
        self.assertEqual(log.count("removed"), 1)

    def test_octets_arrive_as_they_are(self):
        one = self.serve("127.0.0.2")
        text = b"\r\n".join([b".", b"..", b". x", b"", b"\xe9\xff" * 30,
                             b"x" * 900] * 400)
        self.queue("x@one.lab", text)
        got = self.wait_got(one)
        self.assertTrue(got.data.endswith(b"\r\n\r\n" + text + b"\r\n"))
        self.assertEqual(got.params.get("BODY"), "8BITMIME")

    def test_big_message(self):
        one = self.serve("127.0.0.2")
        text = b"\r\n".join([b"0123456789" * 7] * 60000)
        self.queue(["x@one.lab", "alice@example.test"], text)
        for server in (one, self.box):
            self.assertTrue(self.wait_got(server).data.endswith(text + b"\r\n"))

    def test_temporary_refusals_are_tried_again(self):
        replies = iter(["450 4.2.1 busy", "421 4.3.2 going down",
                        "451 4.7.1 greylisted"])
        one = self.serve("127.0.0.2",
                         rcpt=lambda s, a: next(replies, "250 2.1.5 ok"))
        self.queue("x@one.lab")
        self.wait_got(one)
        self.wait_empty()
        log = self.s.log("qm")
        self.assertIn('dsn=4.2.1 status=deferred reply="450 4.2.1 busy"', log)
        self.assertEqual(log.count("status=sent"), 1)
        self.assertEqual(self.box.messages, [])

    def test_each_recipient_has_its_own_fate_smtp(self):
        tries = collections.Counter()

        def rcpt(server, address):
            tries[address] += 1
            if address == "b@one.lab":
                return "550 5.1.1 unknown"
            if address == "c@one.lab" and tries[address] == 1:
                return "450 4.2.1 later"

        one = self.serve("127.0.0.2", rcpt=rcpt)
        self.queue(["a@one.lab", "b@one.lab", "c@one.lab"])
        self.assertEqual(self.wait_got(one, 1).recipients, ["a@one.lab"])
        self.assertEqual(self.wait_got(one, 2).recipients, ["c@one.lab"])
        _, _, _, recipients, _ = self.report()
        self.assertEqual([r["Final-Recipient"] for r in recipients],
                         ["rfc822; b@one.lab"])
        self.wait_empty()
        self.assertEqual(tries, {"a@one.lab": 1, "b@one.lab": 1,
                                 "c@one.lab": 2})

    def test_each_recipient_has_its_own_fate_lmtp(self):
        tries = collections.Counter()

        def final(server, address):
            tries[address] += 1
            if address == "bob@example.test" and tries[address] < 3:
                return "452 4.2.2 mailbox full"
            if address == "carol@example.test":
                return "550 5.7.0 not wanted"

        self.box.final = final
        self.queue(["alice@example.test", "bob@example.test",
                    "carol@example.test"], sender="dave@one.lab")
        one = self.serve("127.0.0.2")
        self.wait_got(one)
        self.wait_got(self.box, 2)
        self.wait_empty()
        self.assertEqual(tries, {"alice@example.test": 1,
                                 "bob@example.test": 3,
                                 "carol@example.test": 1})
        self.assertIn(b"5.7.0 not wanted", one.messages[0].data)

    def test_dropped_connections_are_tried_again(self):
        def at(stage):
            seen = []

            def reply(server, arg):
                if not seen:
                    seen.append(stage)
                    raise Drop
            return reply

        for stage in ("banner", "ehlo", "mail", "rcpt", "data"):
            with self.subTest(stage):
                with Scripted(host="127.0.0.2", port=PORT,
                              **{stage: at(stage)}) as one:
                    self.queue("x@one.lab", b"drop at " + stage.encode())
                    self.wait_got(one)
                    self.wait_empty()
                    self.assertEqual(len(one.messages), 1)

    def test_a_refusing_banner_is_not_the_end(self):
        replies = iter(["554 5.7.1 not you", "421 busy", None])
        one = self.serve("127.0.0.2", banner=lambda s, a: next(replies, None))
        two = self.serve("127.0.0.3")
        self.queue("x@two.lab")  # one refuses for good; two takes it
        self.wait_got(two)
        self.queue("x@one.lab")
        self.wait_got(one)
        self.wait_empty()

    def test_helo_where_ehlo_is_refused(self):
        one = self.serve("127.0.0.2", ehlo="502 5.5.1 what?")
        self.queue("x@one.lab")
        self.wait_got(one)
        self.assertTrue(any(c.startswith("HELO us.lab") for c in one.commands))

    def test_connections_are_kept_and_bounded(self):
        one = self.serve("127.0.0.2")
        with self.lmtp() as c:
            for i in range(60):
                c.deliver("a@example.test", ["x@one.lab"],
                          b"Subject: %d\r\n\r\n" % i)
        self.wait_got(one, 60)
        self.wait_empty()
        self.assertEqual(sorted(int(re.search(rb"Subject: (\d+)", t)[1])
                                for t in one.texts()), list(range(60)))
        self.assertLessEqual(one.most_open, 20)
        self.assertLess(one.connections, 40)

    def test_many_recipients_share_transactions(self):
        one = self.serve("127.0.0.2")
        self.queue(["x%d@one.lab" % i for i in range(250)])
        until(lambda: sum(len(m.recipients) for m in one.messages) == 250,
              "all recipients")
        self.assertEqual(sorted(len(m.recipients) for m in one.messages),
                         [50, 100, 100])

    def test_a_server_that_takes_two_at_a_time(self):
        def rcpt(server, address):
            # Counts the RCPTs since the last MAIL of any connection.
            with server.lock:
                said = [c.split(" ")[0] for c in server.commands]
            last = len(said) - 1 - said[::-1].index("MAIL")
            if said[last:].count("RCPT") > 2:
                return "452 4.5.3 too many recipients"

        one = self.serve("127.0.0.2", rcpt=rcpt)
        self.queue(["x%d@one.lab" % i for i in range(5)])
        until(lambda: sum(len(m.recipients) for m in one.messages) == 5,
              "all recipients")
        self.assertNotIn("status=deferred", self.s.log("qm"))

    def test_stalled_server_does_not_hold_up_others(self):
        release = threading.Event()
        self.addCleanup(release.set)
        one = self.serve("127.0.0.2",
                         banner=lambda s, a: release.wait(PATIENCE) and None)
        two = self.serve("127.0.0.3")
        for i in range(30):
            self.queue("x@one.lab")
        self.queue("x@bare.lab")
        self.wait_got(two)
        self.assertEqual(one.messages, [])
        release.set()
        self.wait_got(one, 30)
        self.wait_empty()

    def test_size_is_known_before_it_is_sent(self):
        one = self.serve("127.0.0.2", extensions=("SIZE 2000", "PIPELINING"))
        self.queue("x@one.lab", b"x" * 900 + b"\r\n" + b"y" * 900 + b"\r\n" +
                   b"z" * 900)
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Status"], "5.3.4")
        self.assertEqual(one.messages, [])

    def test_utf8_addresses_need_smtputf8(self):
        self.serve("127.0.0.2")
        self.queue("j\u00f6rg@one.lab",
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        report = self.wait_got(self.box)
        self.assertIn(b"report-type=global-delivery-status", report.data)
        self.assertIn(b"\r\nStatus: 5.6.7\r\n", report.data)
        self.assertIn("SMTPUTF8", report.params)
        # Elsewhere: qm may still be at the first server, and leaves one alone
        # for a while that goes away.
        two = self.serve("127.0.0.3", extensions=GUARD_OFFERS)
        self.queue("j\u00f6rg@bare.lab",
                   mail_options=["SMTPUTF8", "BODY=8BITMIME"])
        got = self.wait_got(two)
        self.assertEqual(got.recipients, ["j\u00f6rg@bare.lab"])
        self.assertIn("SMTPUTF8", got.params)


class Routing(Case):
    CONF = {"retry_first": "10s", "retry_max": "10s"}

    def failed(self, recipient, status):
        self.queue(recipient)
        m, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Status"], status)
        self.assertEqual(recipients[0]["Action"], "failed")
        self.wait_empty()

    def test_next_mx_when_the_first_is_down(self):
        two = self.serve("127.0.0.3")
        self.queue("x@down.lab")
        self.wait_got(two)

    def test_next_address_of_the_same_host(self):
        two = self.serve("127.0.0.3")
        self.queue("x@wide.lab")
        self.wait_got(two)

    def test_preference_is_kept(self):
        one, two = self.serve("127.0.0.2"), self.serve("127.0.0.3")
        for i in range(5):
            self.queue("x@two.lab")
        self.wait_got(one, 5)
        self.assertEqual(two.messages, [])

    def test_address_record_where_there_is_no_mx(self):
        two = self.serve("127.0.0.3")
        self.queue("x@bare.lab")
        self.wait_got(two)

    def test_address_literal(self):
        two = self.serve("127.0.0.3")
        self.queue("x@[127.0.0.3]")
        self.assertEqual(self.wait_got(two).recipients, ["x@[127.0.0.3]"])

    def test_null_mx(self):
        self.failed("x@null.lab", "5.1.10")

    def test_no_such_domain(self):
        self.failed("x@nonesuch.lab", "5.1.2")

    def test_mx_that_does_not_exist(self):
        self.failed("x@dangling.lab", "5.4.4")

    def test_mx_is_ourselves(self):
        self.failed("x@loop.lab", "5.4.6")

    def test_dead_host_waits_and_is_left_alone(self):
        qid = self.queue("x@dead.lab")
        self.wait_log("left alone")
        self.wait_log("status=deferred")
        other = self.queue("y@dead.lab")
        until(lambda: self.show(other)["recipients"][0]["status"], "a status")
        shown = self.show(other)
        self.assertEqual(shown["recipients"][0]["status"], "4.4.1")
        self.assertIn("mx.down.lab[127.0.0.9:%d]" % PORT,
                      shown["recipients"][0]["reply"])
        self.assertEqual(self.s.log("qm").count("connection failed"), 1)
        self.assertEqual(len(self.list()), 2)
        # An admin who knows that it is back.
        dead = self.serve("127.0.0.9")
        self.command("retry", qid)
        self.wait_got(dead)
        self.command("flush")
        self.wait_empty()

    def test_ipv6(self):
        try:
            six = socket.create_server(("::1", PORT), family=socket.AF_INET6)
            six.close()
        except OSError as e:
            self.skipTest("no IPv6 here: %s" % e)
        # A listener of the other family, by hand.
        got = threading.Event()
        listener = socket.create_server(("::1", PORT), family=socket.AF_INET6)
        self.addCleanup(listener.close)

        def serve():
            s, _ = listener.accept()
            got.set()
            s.close()
        threading.Thread(target=serve, daemon=True).start()
        self.queue("x@six.lab")
        self.assertTrue(got.wait(PATIENCE))


class Tls(Case):
    def deliver(self, starttls):
        one = self.serve("127.0.0.2", starttls=starttls)
        self.queue("x@one.lab")
        return self.wait_got(one)

    def test_used_where_offered_whatever_the_certificate(self):
        self.assertTrue(self.deliver("good").tls)
        self.wait_log("tls=TLS1.3")

    def test_plain_where_it_is_not_offered(self):
        self.assertFalse(self.deliver(None).tls)
        self.wait_log("tls=none")

    def test_plain_where_it_is_refused(self):
        self.assertFalse(self.deliver("refused").tls)

    def test_plain_where_the_handshake_fails(self):
        self.assertFalse(self.deliver("broken").tls)


class Smarthost(Case):
    def setUp(self):
        self.hub = Scripted(starttls="good", auth="us:sesame")
        self.addCleanup(self.hub.close)
        super().setUp()

    def conf(self, **qm):
        path = os.path.join(self.s.dir, "password")
        with open(path, "w") as f:
            f.write("sesame\n")
        settings = {"smarthost": "localhost:%d" % self.hub.port,
                    "smarthost_user": "us", "smarthost_password_file": path,
                    "smtp_port": PORT, "retry_first": "50ms",
                    "retry_max": "200ms"}
        settings.update(qm)
        self.s.write_conf({
            "qm": settings, "hostname": "us.lab", **ZONE.conf(),
            "tls": {"ca": certificate()[0]}})

    def test_all_outside_mail_goes_there_and_local_mail_does_not(self):
        one = self.serve("127.0.0.2")
        self.queue(["x@one.lab", "y@null.lab", "alice@example.test"])
        got = self.wait_got(self.hub)
        self.assertEqual(sorted(got.recipients), ["x@one.lab", "y@null.lab"])
        self.assertTrue(got.tls)
        self.assertEqual(self.wait_got(self.box).recipients,
                         ["alice@example.test"])
        self.assertEqual(one.messages, [])

    def test_a_wrong_password_returns_no_mail(self):
        self.hub.auth = "us:changed"
        qid = self.queue("x@one.lab")
        self.wait_log("status=deferred")
        self.assertIn("535", self.s.log("qm"))
        self.hub.auth = "us:sesame"
        self.wait_got(self.hub)
        self.wait_empty()
        self.assertEqual(self.box.messages, [])
        self.assertNotIn("sesame", self.s.log("qm"))

    def test_no_password_to_an_unverified_host(self):
        self.s.stop("qm")
        self.s.write_conf({
            "qm": {"smarthost": "localhost:%d" % self.hub.port,
                   "smarthost_user": "us", "smarthost_password_file":
                   os.path.join(self.s.dir, "password")},
            "hostname": "us.lab", **ZONE.conf()})
        self.s.start("qm")
        self.queue("x@one.lab")
        self.wait_log("status=deferred")
        self.assertFalse([c for c in self.hub.commands if "AUTH" in c])

    def test_no_password_where_tls_is_not_offered(self):
        self.hub.starttls = None
        self.queue("x@one.lab")
        self.wait_log("status=deferred")
        self.assertFalse([c for c in self.hub.commands if "AUTH" in c])
        self.hub.starttls = "good"
        self.wait_got(self.hub)


class Reports(Case):
    def test_failure_tells_who_what_and_why(self):
        self.serve("127.0.0.2", rcpt={"x@one.lab": "550-5.1.1 nobody\n"
                                                   "550 5.1.1 of that name"})
        self.queue(["x@one.lab", "y@one.lab"], b"the body")
        m, parsed, message, recipients, original = self.report()
        self.assertEqual(m.recipients, ["alice@example.test"])
        self.assertEqual(parsed["To"], "alice@example.test")
        self.assertIn("MAILER-DAEMON", parsed["From"].upper())
        self.assertEqual(parsed["Auto-Submitted"], "auto-replied")
        self.assertTrue(parsed["Message-ID"] and parsed["Date"])
        self.assertEqual(message["Reporting-MTA"], "dns; us.lab")
        self.assertEqual(len(recipients), 1)
        r = recipients[0]
        self.assertEqual(r["Final-Recipient"], "rfc822; x@one.lab")
        self.assertEqual(r["Action"], "failed")
        self.assertEqual(r["Status"], "5.1.1")
        self.assertIn("dns; mx.one.lab", r["Remote-MTA"])
        self.assertIn("550 5.1.1 nobody", r["Diagnostic-Code"])
        self.assertEqual(original.get_content_type(), "message/rfc822")
        self.assertIn("the body", original.as_string())
        self.wait_empty()

    def test_only_the_header_when_asked_so(self):
        self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue("x@one.lab", b"the body",
                   mail_options=["RET=HDRS", "ENVID=Q+2B1"],
                   rcpt_options=["ORCPT=rfc822;x+2By@else.lab"])
        _, _, message, recipients, original = self.report()
        self.assertEqual(message["Original-Envelope-Id"], "Q+1")
        self.assertEqual(recipients[0]["Original-Recipient"],
                         "rfc822;x+y@else.lab")
        self.assertEqual(original.get_content_type(), "text/rfc822-headers")
        self.assertNotIn("the body", original.as_string())
        self.assertIn("Subject: test", original.as_string())

    def test_all_failures_of_a_pass_in_one_report(self):
        self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue(["a@one.lab", "b@one.lab", "c@null.lab", "d@nonesuch.lab"])
        _, _, _, recipients, _ = self.report()
        self.assertEqual(sorted(r["Status"] for r in recipients),
                         ["5.1.1", "5.1.1", "5.1.10", "5.1.2"])
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 1)

    def test_no_bounce_of_a_bounce(self):
        one = self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue("x@one.lab", sender="")
        self.wait_empty()
        self.wait_log("failed unreported")
        # A report whose own recipient is refused ends there too.
        self.queue("x@one.lab", sender="y@one.lab")
        self.wait_empty()
        self.assertEqual(self.box.messages + one.messages, [])
        self.assertEqual(self.s.log("qm").count(": reported "), 1)

    def test_never_means_never(self):
        self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue("x@one.lab", rcpt_options=["NOTIFY=NEVER"])
        self.queue("x@one.lab", rcpt_options=["NOTIFY=SUCCESS,DELAY"])
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_success_where_asked(self):
        one = self.serve("127.0.0.2")
        self.queue("bob@example.test", rcpt_options=["NOTIFY=SUCCESS"])
        self.wait_got(self.box, 2)
        self.box.messages.pop(0)
        _, _, _, recipients, original = self.report()
        self.assertEqual(recipients[0]["Action"], "delivered")
        self.assertEqual(original.get_content_type(), "text/rfc822-headers")
        self.box.messages.clear()
        # A server that knows no DSN: from there on nobody reports.
        self.queue("x@one.lab", rcpt_options=["NOTIFY=SUCCESS"])
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Action"], "relayed")
        self.wait_empty()

    def test_requests_are_passed_on_to_who_knows_dsn(self):
        one = self.serve("127.0.0.2", extensions=("DSN", "PIPELINING"))
        self.queue("x@one.lab", mail_options=["RET=FULL", "ENVID=e1"],
                   rcpt_options=["NOTIFY=SUCCESS,FAILURE",
                                 "ORCPT=rfc822;x@one.lab"])
        got = self.wait_got(one)
        self.assertEqual(got.params["RET"], "FULL")
        self.assertEqual(got.params["ENVID"], "e1")
        self.assertEqual(got.params["RCPT"], [{"NOTIFY": "SUCCESS,FAILURE",
                                               "ORCPT": "rfc822;x@one.lab"}])
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_reports_of_8bit_mail(self):
        self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue("x@one.lab", b"caf\xc3\xa9")
        m, _, _, _, original = self.report()
        self.assertIn(b"caf\xc3\xa9", m.data)
        self.assertEqual(m.params["BODY"], "8BITMIME")

    def test_a_report_says_what_it_is(self):
        """With UTF-8 addresses it is 8-bit, whatever the original was; else
        it needs no more than any mail (RFC 6533 4)."""
        self.serve("127.0.0.2", rcpt="550 5.1.1 no", extensions=GUARD_OFFERS)
        self.queue("j\u00f6rg@one.lab", mail_options=["SMTPUTF8"])
        m = self.wait_got(self.box)
        self.assertIn("j\u00f6rg".encode(), m.data)
        self.assertEqual(m.params["BODY"], "8BITMIME")
        self.assertIn("SMTPUTF8", m.params)
        self.queue("joerg@one.lab", mail_options=["SMTPUTF8"])
        m = self.wait_got(self.box, 2)
        self.assertNotIn("BODY", m.params)
        self.assertNotIn("SMTPUTF8", m.params)
        m.data.decode("ascii")

    def test_aliases_that_became_several_are_expanded(self):
        """RFC 3461 5.2.7.3"""
        one = self.serve("127.0.0.2", extensions=GUARD_OFFERS + ("DSN",))
        self.queue("sales@example.test", sender="bob@example.test",
                   rcpt_options=["NOTIFY=SUCCESS"])
        self.assertEqual(self.wait_got(one).params["RCPT"][0]["NOTIFY"],
                         "NEVER")
        self.wait_got(self.box, 2)
        self.box.messages.sort(key=lambda m: m.sender)
        _, _, _, recipients, _ = self.report()
        self.assertEqual([(r["Action"], r["Final-Recipient"])
                          for r in recipients],
                         [("expanded", "rfc822; sales@example.test")])


class Waiting(Case):
    CONF = {"delay_notice": "300ms", "max_age": "3s"}

    def test_delay_is_told_once_and_then_it_fails(self):
        self.queue("x@dead.lab")
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Action"], "delayed")
        self.assertEqual(recipients[0]["Status"], "4.4.1")
        self.assertTrue(recipients[0]["Will-Retry-Until"])
        self.wait_got(self.box, 2)
        self.box.messages.pop(0)
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Action"], "failed")
        self.assertEqual(recipients[0]["Status"], "4.4.7")
        self.assertIn("127.0.0.9", recipients[0]["Diagnostic-Code"])
        self.wait_empty()
        self.assertEqual(len(self.box.messages), 1)

    def test_delay_not_told_where_not_wanted(self):
        self.queue("x@dead.lab", rcpt_options=["NOTIFY=FAILURE"])
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Action"], "failed")


class Recipients(Case):
    def test_unknown_ones_are_refused_at_once(self):
        with self.lmtp() as c:
            c.ehlo()
            c.mail("x@one.lab")
            self.assertEqual(c.rcpt("nobody@example.test")[0], 550)
            self.assertEqual(c.rcpt("alice@example.test")[0], 250)
            self.assertEqual(c.rcpt("x@one.lab")[0], 250)

    def test_aliases_become_their_targets(self):
        one = self.serve("127.0.0.2")
        self.queue(["sales@example.test", "alice@example.test"],
                   sender="dave@two.lab")
        self.assertEqual(self.wait_got(self.box).recipients,
                         ["alice@example.test"])
        got = self.wait_got(one)
        self.assertEqual(got.recipients, ["x@one.lab"])
        self.assertEqual(got.sender, "dave@two.lab")
        self.wait_empty()

    def test_failed_forward_names_the_original_recipient(self):
        self.serve("127.0.0.2", rcpt="550 5.1.1 no")
        self.queue("away@example.test")
        _, _, _, recipients, _ = self.report()
        self.assertEqual(recipients[0]["Original-Recipient"],
                         "rfc822;away@example.test")
        self.assertEqual(recipients[0]["Final-Recipient"],
                         "rfc822; x@one.lab")

    def retried_when_told(self):
        """No attempt but the first by itself."""
        self.conf(retry_first="1h", retry_max="1h")
        self.s.restart("qm")

    def test_guard_away_means_later(self):
        self.retried_when_told()
        self.guard.close()
        os.unlink(self.sock("guard"))
        one = self.serve("127.0.0.2")
        qid = self.queue(["alice@example.test", "x@one.lab",
                          "sales@example.test", "nobody@example.test"])
        self.wait_log("status=deferred")
        self.assertEqual(self.box.messages + one.messages, [])
        self.guard = Scripted(lmtp=True, path=self.sock("guard"),
                              rcpt=guard_says, extensions=GUARD_OFFERS)
        self.command("retry", qid)
        until(lambda: sum(len(m.recipients) for m in one.messages) == 1 and
              len(self.box.messages) == 2, "delivery and report")
        self.wait_empty()
        self.assertEqual(sorted(m.sender for m in self.box.messages),
                         ["", "alice@example.test"])

    def test_mailbox_away_means_later(self):
        self.retried_when_told()
        self.box.close()
        os.unlink(self.sock("mailbox"))
        qid = self.queue("alice@example.test")
        self.wait_log("status=deferred")
        self.box = self.serve(lmtp=True, path=self.sock("mailbox"))
        self.command("retry", qid)
        self.wait_got(self.box)

    def test_limits(self):
        with self.lmtp() as c:
            c.ehlo()
            c.mail("x@one.lab")
            codes = [c.rcpt("r%d@example.test" % i)[0] for i in range(1001)]
            self.assertEqual(codes, [250] * 1000 + [452])
            c.expect(354, c.docmd("DATA"))
            c.send(b"Subject: all\r\n\r\n.\r\n")
            self.assertEqual([c.getreply()[0] for _ in range(1000)],
                             [250] * 1000)
        until(lambda: sum(len(m.recipients) for m in self.box.messages) ==
              1000, "all recipients")
        self.wait_empty()


class Commands(Case):
    CONF = {"retry_first": "1h", "retry_max": "1h"}

    def test_what_is_listed_and_shown(self):
        self.assertIn("empty", self.command("list"))
        qid = self.queue(["x@dead.lab", "alice@example.test"], b"hello",
                         sender="bob@example.test")
        self.wait_log("status=deferred")
        until(lambda: self.list()[0]["attempts"] == 1, "the first attempt")
        (entry,) = self.list()
        self.assertEqual(entry["id"], qid)
        self.assertEqual(entry["from"], "bob@example.test")
        self.assertFalse(entry["held"])
        self.assertIn(qid, self.command("list"))
        shown = self.show(qid)
        self.assertEqual([r["address"] for r in shown["recipients"]],
                         ["x@dead.lab"])
        self.assertEqual(shown["recipients"][0]["state"], "deferred")
        self.assertIn("deferred", self.command("show", qid))
        self.assertTrue(self.command("show", "--content", qid)
                        .endswith("hello\n"))

    def test_hold_release_retry_delete(self):
        qid = self.queue("x@dead.lab")
        until(lambda: self.list()[0]["attempts"] == 1, "the first attempt")
        self.command("hold", qid)
        self.assertTrue(self.list()[0]["held"])
        dead = self.serve("127.0.0.9")
        self.command("flush")
        self.command("retry", qid)
        other = self.queue("y@one.lab", sender="c@example.test")
        until(lambda: self.show(other)["attempts"] == 1, "another attempt")
        self.assertEqual(dead.messages, [])
        self.command("release", qid)
        self.wait_got(dead)
        self.command("delete", other)
        self.wait_empty()
        self.assertEqual(self.box.messages, [])

    def test_all(self):
        for i in range(5):
            self.queue("x%d@dead.lab" % i)
        until(lambda: all(e["attempts"] for e in self.list()), "attempts")
        self.command("hold", "--all")
        self.assertTrue(all(e["held"] for e in self.list()))
        dead = self.serve("127.0.0.9")
        self.command("release", "--all")
        self.wait_got(dead, 5)
        self.wait_empty()

    def test_mistakes(self):
        self.command("show", "01M7XKBCWGY8BZ2K156E", status=1)
        self.command("delete", "nonsense", status=1)
        self.command("retry", status=64)
        self.command("list", "--jsn", status=64)
        self.command("show", "--json", status=64)

    def test_before_anything_was_queued(self):
        self.s.stop("qm")
        self.s.write_conf({"data_dir": "elsewhere"})
        self.assertEqual(self.list(), [])
        self.command("delete", "01M7XKBCWGY8BZ2K156E", status=1)
        self.s.start("qm")

    def test_deleted_while_it_is_delivered(self):
        reached, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def data(server, arg):
            reached.set()
            release.wait(PATIENCE)

        self.serve("127.0.0.2", data=data)
        qid = self.queue("x@one.lab")
        self.assertTrue(reached.wait(PATIENCE))
        self.command("delete", qid)
        self.assertEqual(self.list(), [])
        release.set()
        # Nothing comes back to life, and the daemon goes on.
        self.queue("alice@example.test")
        self.wait_got(self.box)
        self.wait_empty()


class Reload(Case):
    CONF = {"retry_first": "1h", "retry_max": "1h"}

    def hup(self, **qm):
        before = self.s.log("qm").count("configuration reloaded")
        self.conf(**qm)
        self.s.process["qm"].send_signal(signal.SIGHUP)
        until(lambda: self.s.log("qm").count("configuration reloaded") >
              before, "reload")

    def test_settings_change_for_what_comes(self):
        hub = self.serve()
        two = self.serve("127.0.0.3")
        qid = self.queue("x@dead.lab")
        until(lambda: self.show(qid)["attempts"] == 1, "an attempt")
        self.hup(smarthost="127.0.0.1:%d" % hub.port, smarthost_tls="none")
        self.command("retry", qid)
        self.assertEqual(self.wait_got(hub).recipients, ["x@dead.lab"])
        # What the first configurations held is gone after some more.
        for i in range(4):
            self.hup(max_size="%dM" % (i + 1))
        self.queue(["x@bare.lab", "alice@example.test"])
        self.wait_got(two)
        self.wait_got(self.box)
        self.wait_empty()
        self.assertEqual(len(hub.messages), 1)
        with self.lmtp() as c:
            c.ehlo()
            self.assertEqual(c.esmtp_features["size"], str(4 << 20))

    def test_a_bad_one_changes_nothing(self):
        with open(self.s.conf, "w") as f:
            f.write('{ "qm": { "max_sice": 1 } }')
        self.s.process["qm"].send_signal(signal.SIGHUP)
        self.wait_log("configuration not reloaded")
        self.conf()
        self.queue("alice@example.test")
        self.wait_got(self.box)


class SmallMemory(Case):
    CONF = {"max_active": 10}

    def test_more_than_fits_waits_on_disk(self):
        self.s.stop("qm")
        self.box.final = "451 4.3.0 not now"
        self.s.start("qm")
        one = self.serve("127.0.0.2")
        with self.lmtp() as c:
            for i in range(150):
                c.deliver("a@example.test", ["alice@example.test"],
                          b"Subject: %d\r\n\r\n" % i)
            c.deliver("a@example.test", ["x@one.lab"], b"Subject: x\r\n\r\n")
        # Those that are refused again and again do not keep it back.
        self.wait_got(one)
        self.box.final = None
        self.wait_empty()
        self.assertEqual(sorted(int(re.search(rb"Subject: (\d+)", t)[1])
                                for t in self.box.texts()),
                         list(range(150)))


class Restart(Case):
    def test_what_waited_is_tried_after_a_restart(self):
        ids = [self.queue("x%d@dead.lab" % i) for i in range(20)]
        until(lambda: all(e["attempts"] for e in self.list()), "attempts")
        self.s.restart("qm")
        self.assertEqual(sorted(e["id"] for e in self.list()), sorted(ids))
        dead = self.serve("127.0.0.9")
        self.wait_got(dead, 20)
        self.wait_empty()
        self.assertEqual(len(dead.messages), 20)

    def test_killed_in_the_middle_of_a_transaction(self):
        reached = threading.Event()
        hang = threading.Event()
        self.addCleanup(hang.set)

        def data(server, arg):
            if not reached.is_set():
                reached.set()
                hang.wait(PATIENCE)

        one = self.serve("127.0.0.2", data=data)
        self.queue(["x@one.lab", "alice@example.test"])
        self.wait_got(self.box)
        self.assertTrue(reached.wait(PATIENCE))
        # The outcome of the one is on disk while the other still goes on.
        until(lambda: len(self.show(self.list()[0]["id"])["recipients"]) == 1,
              "the outcome to be written")
        self.s.kill("qm")
        self.s.start("qm")
        self.wait_got(one)
        self.wait_empty()
        self.assertEqual(len(one.messages), 1)
        self.assertEqual(len(self.box.messages), 1)

    def test_killed_under_load_nothing_is_lost(self):
        stop = threading.Event()
        lock = threading.Lock()
        acknowledged, sent = set(), [0]

        def client():
            while not stop.is_set():
                with lock:
                    sent[0] += 1
                    n = sent[0]
                try:
                    with self.lmtp() as c:
                        replies = c.deliver(
                            "a@example.test", ["alice@example.test"],
                            b"Subject: number %d\r\n\r\n" % n)
                    assert replies[0][0] == 250, replies
                    with lock:
                        acknowledged.add(n)
                except (smtplib.SMTPException, OSError, Refused):
                    pass

        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            for i in range(6):
                goal = len(acknowledged) + 30
                until(lambda: len(acknowledged) >= goal, "progress")
                self.s.kill("qm")
                self.s.start("qm")
        finally:
            stop.set()
            for t in threads:
                t.join()
        self.wait_empty()
        got = collections.Counter(
            int(re.search(rb"number (\d+)", t)[1]) for t in self.box.texts())
        self.assertEqual(acknowledged - set(got), set())

    def test_stopped_while_delivering_finishes_first(self):
        reached, release = threading.Event(), threading.Event()
        self.addCleanup(release.set)

        def data(server, arg):
            reached.set()
            release.wait(PATIENCE)

        one = self.serve("127.0.0.2", data=data)
        self.queue("x@one.lab")
        self.assertTrue(reached.wait(PATIENCE))
        stopper = threading.Thread(target=self.s.stop, args=("qm",))
        stopper.start()
        release.set()
        stopper.join(PATIENCE)
        self.assertEqual(len(one.messages), 1)
        self.assertEqual(self.list(), [])


class Workers(Case):
    WORKERS = 3

    def test_they_share_one_queue(self):
        one = self.serve("127.0.0.2")
        threads = [threading.Thread(target=lambda: [
            self.queue(["x@one.lab", "alice@example.test"])
            for _ in range(20)]) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.wait_empty()
        self.assertEqual(len(one.messages), 80)
        self.assertEqual(len(self.box.messages), 80)

    def test_what_a_dead_worker_held_is_taken_over(self):
        ids = [self.queue("x%d@dead.lab" % i) for i in range(30)]
        until(lambda: all(e["attempts"] for e in self.list()), "attempts")
        with open("/proc/%d/task/%d/children" % (
                (self.s.process["qm"].pid,) * 2)) as f:
            os.kill(int(f.read().split()[0]), signal.SIGKILL)
        dead = self.serve("127.0.0.9")
        self.wait_got(dead, 30)
        self.wait_empty()
        self.assertEqual(len(dead.messages), 30)


if __name__ == "__main__":
    unittest.main()
