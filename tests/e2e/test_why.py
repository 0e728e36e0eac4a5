# SPDX-License-Identifier: ISC
"""pneu why: what the running programs wrote about messages and connections,
found by id, address, IP address and Message-ID."""
import contextlib
import imaplib
import json
import os
import poplib
import re
import smtplib
import socket
import subprocess
import unittest

from pneu import BUILD, PASSWORD, System, children, tls_context, until
from scripted import Scripted

REF = re.compile(r"\[ref ([0-9A-Z]+)\]")
IDS = re.compile(r"^[0-9A-Z]{18}$")


def message(name, sender="x@else.test"):
    return ("From: %s\r\nSubject: %s\r\nMessage-ID: <%s@else.test>"
            "\r\n\r\nbody\r\n" % (sender, name, name)).encode()


class Case(unittest.TestCase):
    CONF = {}

    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=cls.CONF)
        try:
            cls.accounts()
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def accounts(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def why(self, *args):
        """The records, as data."""
        r = self.s.pneu("why", "--json", "--last", "0", *args, check=False)
        self.assertIn(r.returncode, (0, 1), r.stderr)
        return json.loads(r.stdout)

    def wait_why(self, what, *expected):
        """Records about it, once there is one of each (program, kind)."""
        def look():
            records = self.why(what)
            found = {(r["program"], r["kind"]) for r in records}
            return records if set(expected) <= found else None
        return until(look, "%r in the trace of %s" % (expected, what))

    def one(self, records, program, kind, **fields):
        found = [r for r in records
                 if (r["program"], r["kind"]) == (program, kind) and
                 all(r.get(k) == v for k, v in fields.items())]
        self.assertEqual(len(found), 1, "%s %s %s in %s" % (
            program, kind, fields, json.dumps(records, indent=1)))
        return found[0]

    def refused(self, recipient, sender="x@else.test", text=b""):
        """(code, text) of the refusal of a recipient."""
        with self.s.smtp() as c:
            c.ehlo("client.test")
            self.assertEqual(c.mail(sender)[0], 250)
            code, said = c.rcpt(self.s.address(recipient))
            return code, said.decode()

    def reference(self, text):
        refs = REF.findall(text)
        self.assertEqual(len(refs), 1, text)
        self.assertTrue(text.rstrip().endswith("[ref %s]" % refs[0]), text)
        return refs[0]


class Inbound(Case):
    @classmethod
    def accounts(cls):
        s = cls.s
        s.pneu("address", "add", "sales@example.test", "alice@example.test",
               "bob@example.test")
        s.pneu("address", "add", "--blocked", "spam@example.test")
        s.pneu("account", "add", "--quota", "1k", "full@example.test",
               input=PASSWORD + "\n")
        s.pneu("account", "add", "--disable", "gone@example.test",
               input=PASSWORD + "\n")
        s.pneu("domain", "add", "--catch-all", "bob@example.test",
               "all.test")

    def test_a_delivered_message_by_each_of_its_names(self):
        self.s.send("x1@else.test", ["alice"], message("delivered"))
        records = self.wait_why("<delivered@else.test>", ("mta", "session"))
        of_message = {r["id"] for r in records if "id" in r}
        self.assertEqual(len(of_message), 1)
        trace_id = of_message.pop()
        self.assertRegex(trace_id, IDS)
        r = self.one(records, "mta", "mail")
        self.assertEqual(r["sender"], "x1@else.test")
        self.assertEqual(r["peer"], "127.0.0.1")
        r = self.one(records, "guard", "rcpt")
        self.assertEqual(r["rule"], "account alice@example.test")
        self.assertEqual(r["recipient"], "alice@example.test")
        r = self.one(records, "mailbox", "stored")
        self.assertEqual(r["account"], "alice@example.test")
        self.assertRegex(r["text"], r"^INBOX as UID \d+$")
        self.assertGreater(r["duration_us"], 0)
        r = self.one(records, "mta", "handover")
        self.assertEqual((r["rule"], r["code"]), ("mailbox", 250))
        r = self.one(records, "mta", "message")
        self.assertEqual(r["code"], 250)
        self.assertEqual(r["message_id"], "delivered@else.test")
        self.assertEqual(records, sorted(records, key=lambda r: r["time"]))
        # The same by its id (from Received), its sender, and its peer.
        self.assertEqual(self.why(trace_id), records)
        self.assertEqual(self.why(trace_id.lower()), records)
        self.assertEqual(self.why("x1@else.test"), records)
        by_peer = self.why("127.0.0.1")
        for r in records:
            self.assertIn(r, by_peer)
        got = self.s.wait_message("alice", b"Subject: delivered")
        self.assertIn(b"\tid " + trace_id.encode(), got)
        self.assertEqual(got.count(b"\nReceived:"), 1)
        for program in ("guard", "mailbox", "mta"):
            self.assertIn("id=" + trace_id, self.s.log(program))

    def test_in_words(self):
        self.s.send("x2@else.test", ["alice"], message("words"))
        self.wait_why("words@else.test", ("mta", "session"))
        text = self.s.pneu("why", "words@else.test")
        lines = text.splitlines()
        self.assertRegex(lines[0], r"^[0-9A-Z]{18}  from <x2@else.test> to "
                         r"<alice@example.test>, Message-ID "
                         r"<words@else.test>: delivered$")
        self.assertRegex(lines[1], r"^  \d{4}-\d\d-\d\d \(UTC\)$")
        for line in lines[2:]:
            self.assertRegex(
                line, r"^  \d\d:\d\d:\d\d\.\d{3}  (mta|guard|mailbox) +\w")
        self.assertIn("knows the recipient <alice@example.test> (account "
                      "alice@example.test)", text)
        self.assertIn("stored it for alice@example.test in INBOX as UID",
                      text)

    def test_alias(self):
        self.s.send("x3@else.test", ["sales"], message("aliased"))
        records = self.wait_why("x3@else.test", ("mta", "session"))
        r = self.one(records, "guard", "rcpt")
        self.assertEqual((r["code"], r["rule"]),
                         (251, "alias sales@example.test"))
        stored = {r["account"] for r in records if r["kind"] == "stored"}
        self.assertEqual(stored, {"alice@example.test", "bob@example.test"})
        self.assertIn("<sales@example.test> stands for <alice@example.test>, "
                      "<bob@example.test> (alias sales@example.test)",
                      self.s.pneu("why", "x3@else.test"))

    def test_catch_all(self):
        self.s.send("x4@else.test", ["anybody@all.test"], message("caught"))
        records = self.wait_why("anybody@all.test", ("mta", "session"))
        self.assertEqual(self.one(records, "guard", "rcpt")["rule"],
                         "catch-all of all.test")
        # Its domain finds it too.
        self.assertEqual(self.why("@all.test"), records)

    def test_refused_recipients(self):
        for recipient, code, rule in (
                ("nobody", 550, "no such address"),
                ("spam", 550, "blocked address spam@example.test"),
                ("gone", 550, "disabled account gone@example.test"),
                ("x@outside.test", 550, "no domain of ours")):
            with self.subTest(recipient):
                got, text = self.refused(recipient)
                self.assertEqual(got, code)
                records = self.wait_why(self.reference(text),
                                        ("mta", "session"))
                r = self.one(records, "guard", "rcpt")
                self.assertEqual((r["rule"], r["code"]), (rule, code))
                r = self.one(records, "mta", "rcpt")
                self.assertEqual((r["rule"], r["code"]), ("guard", code))
                self.assertEqual(r["recipient"], self.s.address(recipient))

    def test_over_quota(self):
        with self.s.smtp() as c:
            c.ehlo("client.test")
            c.mail("x5@else.test", ["SIZE=5000"])
            code, text = c.rcpt("full@example.test")
        self.assertEqual(code, 452)
        records = self.wait_why(self.reference(text.decode()),
                                ("mta", "session"))
        self.assertEqual(self.one(records, "mailbox", "rcpt")["rule"],
                         "quota of full@example.test")
        self.assertEqual(self.one(records, "guard", "rcpt")["rule"],
                         "quota of full@example.test")
        # The size was not told before: it shows at the end.
        with self.s.smtp() as c:
            c.helo("client.test")
            c.mail("x6@else.test")
            self.assertEqual(c.rcpt("full@example.test")[0], 250)
            code, text = c.data(message("big") + b"x" * 5000 + b"\r\n")
        self.assertEqual(code, 452)
        records = self.wait_why(self.reference(text.decode()),
                                ("mta", "session"))
        r = self.one(records, "mta", "handover")
        self.assertEqual((r["code"], r["rule"]), (452, "mailbox"))
        self.assertEqual(self.one(records, "mta", "message")["code"], 452)
        with smtplib.LMTP("127.0.0.1", self.s.port["lmtp"]) as c:
            c.ehlo("client.test")
            c.mail("x7@else.test")
            self.assertEqual(c.rcpt("full@example.test")[0], 250)
            code, text = c.data(message("bigger") + b"x" * 5000 + b"\r\n")
        self.assertEqual(code, 452)
        records = self.why(self.reference(text.decode()))
        r = self.one(records, "mailbox", "stored")
        self.assertEqual((r["code"], r["rule"]),
                         (452, "quota of full@example.test"))
        self.assertEqual(r["message_id"], "bigger@else.test")
        self.assertIn("could not store it for full@example.test",
                      self.s.pneu("why", "bigger@else.test"))

    def test_guard_is_down(self):
        self.s.stop("guard")
        try:
            code, text = self.refused("alice")
        finally:
            self.s.start("guard")
        self.assertEqual(code, 451)
        records = self.wait_why(self.reference(text), ("mta", "session"))
        r = self.one(records, "mta", "rcpt")
        self.assertRegex(r["rule"], "^guard does not answer: ")
        self.assertEqual(r["enhanced"], "4.3.0")
        self.assertIn("put off the recipient <alice@example.test>",
                      self.s.pneu("why", r["id"]))

    def test_mailbox_is_down(self):
        self.s.stop("mailbox")
        try:
            with self.s.smtp() as c:
                with self.assertRaises(smtplib.SMTPDataError) as e:
                    c.sendmail("x9@else.test", ["alice@example.test"],
                               message("no mailbox"))
        finally:
            self.s.start("mailbox")
        self.assertEqual(e.exception.smtp_code, 451)
        ref = self.reference(e.exception.smtp_error.decode())
        records = self.why(ref)
        for kind in ("handover", "message"):
            r = self.one(records, "mta", kind)
            self.assertEqual(r["code"], 451)
            self.assertRegex(r["rule"], "^mailbox does not answer: ")

    def test_an_aborted_session(self):
        c = self.s.smtp()
        c.ehlo("client.test")
        c.mail("aborted@else.test")
        c.rcpt("alice@example.test")
        c.close()
        records = self.wait_why("aborted@else.test", ("mta", "abort"),
                                ("mta", "session"))
        self.assertIn("the client has gone, after 1 recipients",
                      self.one(records, "mta", "abort")["text"])
        self.assertIn("never completed",
                      self.s.pneu("why", "aborted@else.test"))

    def test_a_refused_command(self):
        with self.s.smtp() as c:
            code, text = c.docmd("MAIL FROM:<x@else.test> FOO=bar")
            self.assertEqual(code, 503)
            c.ehlo("client.test")
            code, text = c.docmd("FROBNICATE")
            self.assertEqual(code, 500)
        ref = self.reference(text.decode())
        records = self.wait_why(ref, ("mta", "session"))
        self.assertEqual({r["connection"] for r in records}, {ref})
        self.assertEqual([r["code"] for r in records
                          if r["kind"] == "command"], [503, 500])

    def test_lmtp_refusals_have_one_reference(self):
        with smtplib.LMTP("127.0.0.1", self.s.port["lmtp"]) as c:
            c.ehlo("client.test")
            c.mail("x@else.test")
            code, text = c.rcpt("nobody@example.test")
        self.assertEqual(code, 550)
        records = self.wait_why(self.reference(text.decode()),
                                ("mailbox", "rcpt"))
        self.assertEqual(self.one(records, "mailbox", "rcpt")["rule"],
                         "no such address")

    def test_no_reference_is_forged(self):
        """An address that looks like one does not take its place."""
        code, text = self.refused('"[ref 0123ABCD]"@example.test')
        self.assertEqual(code, 550)
        self.assertTrue(self.why(re.search(
            r"\[ref ([0-9A-Z]{18})\]$", text)[1]))

    def test_without_a_mark_mailbox_names_its_own_id(self):
        """Who gave no id gets one, in a Received of mailbox's."""
        with smtplib.LMTP("127.0.0.1", self.s.port["lmtp"]) as c:
            c.sendmail("x8@else.test", ["bob@example.test"],
                       message("by lmtp"))
        records = self.wait_why("x8@else.test", ("mailbox", "stored"))
        got = self.s.wait_message("bob", b"Subject: by lmtp")
        self.assertIn(b" id " + records[0]["id"].encode(), got)

    def test_since_last_and_nothing(self):
        for i in range(3):
            self.s.send("many@else.test", ["bob"], message("many%d" % i))
        self.wait_why("many2@else.test", ("mta", "session"))
        r = self.s.pneu("why", "--last", "2", "many@else.test", check=False)
        self.assertEqual(r.returncode, 0)
        self.assertNotIn("many0@", r.stdout)
        self.assertLess(r.stdout.index("many1@"), r.stdout.index("many2@"))
        self.assertIn("and 1 older", r.stderr)
        self.assertEqual(len(self.why("--since", "1h", "many2@else.test")),
                         len(self.why("many2@else.test")))
        r = self.s.pneu("why", "--since", "2100-01-01", "many@else.test",
                        check=False)
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertRegex(r.stderr, r"nothing found about many@else.test; the "
                         r"trace goes back to \d{4}-\d\d-\d\d ")
        r = self.s.pneu("why", "--json", "nobody@nowhere.test", check=False)
        self.assertEqual((r.returncode, json.loads(r.stdout)), (1, []))
        for wrong in (["--since", "yesterday", "x"], ["--last", "x", "y"],
                      [], ["a", "b"], [""], ["--nothing"]):
            r = self.s.pneu("why", *wrong, check=False)
            self.assertEqual(r.returncode, 64, wrong)

    def test_follow(self):
        p = subprocess.Popen(
            [os.path.join(BUILD, "pneu"), "-c", self.s.conf, "why",
             "--follow", "--json", "live@else.test"],
            stdout=subprocess.PIPE)
        try:
            # It reads from when it has opened the rings: send until it does.
            os.set_blocking(p.stdout.fileno(), False)
            seen = b""

            def look():
                nonlocal seen
                self.s.send("live@else.test", ["bob"], message("live"))
                seen += p.stdout.read() or b""
                lines = [json.loads(line) for line in seen.splitlines(True)
                         if line.endswith(b"\n")]
                kinds = {(r["program"], r["kind"]) for r in lines}
                return {("mta", "mail"), ("guard", "rcpt"),
                        ("mailbox", "stored")} <= kinds
            until(look, "what is followed")
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


class SignIns(Case):
    CONF = {"auth": {"exempt": [], "block_address": 0, "delay": "1ms",
                     "block_account": 3}}

    def test_imap_and_pop3(self):
        self.s.imap("alice").logout()
        self.s.pop3("alice").quit()
        c = self.s.imap("alice", login=False)
        with self.assertRaises(imaplib.IMAP4.error):
            c.login("alice@example.test", "wrong")
        c.shutdown()
        records = self.why("alice@example.test")
        good = [r for r in records if (r["program"], r["kind"]) ==
                ("mailbox", "auth") and r["code"] == 235]
        self.assertEqual({r["text"] for r in good}, {"IMAP", "POP3"})
        bad = self.one(records, "mailbox", "auth", code=535)
        self.assertEqual(bad["text"], "wrong password")
        self.assertEqual(bad["peer"], "127.0.0.1")
        self.assertIn("refused the sign-in as alice@example.test from "
                      "127.0.0.1", self.s.pneu("why", "127.0.0.1"))

    def test_submission(self):
        self.s.submit("alice", ["bob"], message("submitted", "alice@example.test"))
        records = self.wait_why("submitted@else.test", ("mailbox", "stored"),
                                ("msa", "session"), ("qm", "attempt"))
        r = self.one(records, "msa", "auth")
        self.assertEqual((r["account"], r["code"]),
                         ("alice@example.test", 235))
        self.assertEqual(self.one(records, "msa", "message")["rule"],
                         "added Date")
        queued = self.one(records, "qm", "queued")
        qid = re.match(r"as ([0-9A-Z]{20}), ", queued["text"])[1]
        self.assertEqual(self.why(qid), records)
        with self.assertRaises(smtplib.SMTPAuthenticationError) as e:
            with smtplib.SMTP("127.0.0.1", self.s.port["submission"]) as c:
                c.starttls(context=tls_context())
                c.login("alice@example.test", "wrong")
        ref = self.reference(e.exception.smtp_error.decode())
        self.assertIn(535, [r["code"] for r in self.why(ref)
                            if r["kind"] == "auth"])

    def test_a_sender_that_is_not_the_accounts(self):
        with self.assertRaises(smtplib.SMTPSenderRefused) as e:
            self.s.submit("alice", ["bob"], message("forged"),
                          sender="bob@example.test")
        ref = self.reference(e.exception.smtp_error.decode())
        records = self.wait_why(ref, ("msa", "session"))
        r = self.one(records, "msa", "mail")
        self.assertEqual(r["rule"],
                         "the sender is no address of alice@example.test")

    def test_blocked(self):
        self.s.pneu("account", "add", "eve@example.test",
                    input=PASSWORD + "\n")

        def fail():
            with smtplib.SMTP("127.0.0.1", self.s.port["submission"]) as c:
                c.starttls(context=tls_context())
                try:
                    c.login("eve@example.test", "wrong")
                except smtplib.SMTPAuthenticationError as e:
                    return e.smtp_code == 454
        until(fail, "a block")
        records = self.why("eve@example.test")
        self.assertIn("auth.block_account", [r.get("rule") for r in records])

    def test_unknown_names_are_not_written(self):
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"]) as c:
            c.starttls(context=tls_context())
            with self.assertRaises(smtplib.SMTPAuthenticationError):
                c.login("my-secret-password", "x")
        self.assertEqual(self.why("my-secret-password"), [])


class Outbound(unittest.TestCase):
    """To a server that says no, then for too long, through qm."""

    def system(self, server, **qm):
        conf = {"smarthost": "localhost:%d" % server.port,
                "smarthost_tls": "none", "retry_first": "50ms",
                "retry_max": "50ms"}
        conf.update(qm)
        s = System(conf={"qm": conf})
        self.addCleanup(s.close)
        return s

    why = Case.why
    wait_why = Case.wait_why
    one = Case.one

    def test_retried_and_then_bounced(self):
        server = Scripted(rcpt="450 4.2.0 greylisted, come back")
        self.addCleanup(server.close)
        self.s = s = self.system(server, max_age="1s")
        s.pneu("address", "add", "away@example.test", "far@else.test")
        s.send("bob@example.test", ["away"], message("bounced"))
        records = self.wait_why(
            "bounced@else.test", ("qm", "expired"), ("qm", "report"),
            ("mailbox", "stored"))
        r = self.one(records, "guard", "rcpt", code=251)
        self.assertEqual(r["rule"], "alias away@example.test")
        r = self.one(records, "mta", "handover")
        self.assertEqual((r["rule"], r["recipient"]), ("qm", "far@else.test"))
        attempts = [r for r in records
                    if r["kind"] == "attempt" and r.get("rule") != "mailbox"]
        self.assertGreater(len(attempts), 1)
        for r in attempts:
            self.assertEqual((r["code"], r["enhanced"], r["text"], r["rule"]),
                             (450, "4.2.0", "greylisted, come back",
                              "no TLS"))
            self.assertIn("127.0.0.1", r["peer"])
        self.assertIn("qm", {r["program"] for r in records
                             if r["kind"] == "retry"})
        r = self.one(records, "qm", "expired")
        self.assertEqual((r["rule"], r["code"]), ("qm.max_age", 450))
        report = self.one(records, "qm", "report")
        self.assertEqual(report["text"], "1 failed")
        stored = self.one(records, "mailbox", "stored")
        self.assertEqual(stored["id"], report["link"])
        # The report leads to its message, too.
        self.assertEqual(self.why(report["link"]), self.why(report["id"]))
        text = s.pneu("why", "bounced@else.test")
        self.assertIn("failed, reported to the sender", text.splitlines()[0])
        self.assertIn("\n  of %s:\n" % report["link"], text)
        got = s.wait_message("bob", b"greylisted")
        self.assertIn(b"id " + report["link"].encode(), got)

    def test_orders_of_an_admin(self):
        server = Scripted(starttls="good")
        self.addCleanup(server.close)
        self.s = s = self.system(server, smarthost_tls="may",
                                 retry_first="1h", retry_max="1h")
        server.rcpt = "450 4.2.0 later"
        s.submit("alice", ["far@else.test"], message("ordered", "alice@example.test"))
        self.wait_why("ordered@else.test", ("qm", "retry"))
        qid = json.loads(s.pneu("queue", "list", "--json"))[0]["id"]
        s.pneu("queue", "hold", qid)
        server.rcpt = None
        s.pneu("queue", "release", qid)
        until(lambda: server.texts(), "the message")
        records = self.wait_why("ordered@else.test", ("qm", "order"))
        self.assertEqual([r["text"] for r in records if r["kind"] == "order"],
                         ["hold it", "release it, and attempt it now"])

        def sent():
            return [r for r in self.why("ordered@else.test")
                    if r["kind"] == "attempt" and r["code"] == 250]
        r = until(sent, "the record of it")[0]
        self.assertRegex(r["rule"], "^TLS")


class Limits(Case):
    CONF = {"mta": {"max_per_address": 2, "crowd_from": [], "max_mails": 1,
                    "max_hops": 10}}

    def test_connections_turned_away(self):
        with self.s.smtp() as a, self.s.smtp() as b:
            with self.assertRaises(smtplib.SMTPConnectError) as e:
                self.s.smtp()
        text = e.exception.smtp_error.decode()
        r = self.one(self.why(REF.findall(text)[0]), "mta", "connect")
        self.assertEqual((r["code"], r["rule"]), (421, "mta.max_per_address"))

    def test_421_in_a_session(self):
        with self.s.smtp() as c:
            c.ehlo("client.test")
            c.mail("x@else.test")
            c.rset()
            code, text = c.mail("x@else.test")
        self.assertEqual(code, 421)
        ref = REF.findall(text.decode())
        self.assertEqual(len(ref), 1)
        self.assertIn("mta.max_mails",
                      [r.get("rule") for r in self.why(ref[0])])

    def test_a_loop(self):
        with self.s.smtp() as c:
            with self.assertRaises(smtplib.SMTPDataError) as e:
                c.sendmail("loop@else.test", ["alice@example.test"],
                           b"Received: from a by b\r\n" * 11 + message("loop"))
        self.assertIn("[ref ", e.exception.smtp_error.decode())
        r = self.one(self.why("loop@else.test"), "mta", "message")
        self.assertEqual(r["rule"], "mta.max_hops")


    def test_tls_that_does_not_begin(self):
        with socket.create_connection(
                ("127.0.0.1", self.s.port["imaps"])) as c:
            c.sendall(b"a LOGIN plain text\r\n" * 10)
            with contextlib.suppress(ConnectionError):
                while c.recv(1000):
                    pass
        records = until(lambda: [r for r in self.why("127.0.0.1")
                                 if r.get("rule") == "imaps"], "the record")
        self.assertEqual(records[0]["text"], "TLS did not begin")


class Trouble(Case):
    def test_nothing_is_traced_when_it_is_off(self):
        with System(conf={"trace": {"size": "0"}}) as s:
            s.send("x@else.test", ["alice"], message("off"))
            r = s.pneu("why", "x@else.test", check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("trace.size", r.stderr)

    def test_a_session_on_a_pipe_writes_into_the_same_ring(self):
        r = subprocess.run(
            [os.path.join(BUILD, "pneu-mailbox"), "-c", self.s.conf,
             "--protocol", "lmtp"], capture_output=True, text=True, input=
            "FROBNICATE\r\n")
        ref = self.reference(next(line for line in r.stdout.splitlines()
                                  if line.startswith("500 ")))
        self.one(self.why(ref), "mailbox", "command", code=500)

    def test_a_kill_loses_nothing(self):
        self.s.send("killed@else.test", ["alice"], message("killed"))
        before = self.wait_why("killed@else.test", ("mta", "session"))
        for program in ("mta", "guard", "mailbox"):
            self.s.kill(program)
        self.assertEqual(self.why("killed@else.test"), before)
        for program in ("guard", "mailbox", "mta"):
            self.s.start(program)
        self.s.send("again@else.test", ["alice"], message("again"))
        self.wait_why("again@else.test", ("mta", "session"))
        self.assertEqual(self.why("killed@else.test"), before)

    def test_imap_trouble_has_a_reference(self):
        """An account base that is away: NO with a reference."""
        accounts = os.path.join(self.s.dir, "data", "accounts")
        self.s.stop("mailbox")
        os.rename(accounts, accounts + ".away")
        try:
            self.s.start("mailbox")
            c = self.s.imap("alice", login=False)
            with self.assertRaises(imaplib.IMAP4.error) as e:
                c.login("alice@example.test", PASSWORD)
            c.shutdown()
            with self.assertRaises(poplib.error_proto) as p:
                self.s.pop3("alice")
            self.s.stop("mailbox")
        finally:
            if os.path.isdir(accounts):
                os.rename(accounts, accounts + ".made")
            os.rename(accounts + ".away", accounts)
            self.s.start("mailbox")
        for text in (str(e.exception), str(p.exception)):
            ref = REF.findall(text)
            self.assertEqual(len(ref), 1, text)
            self.assertIn("command", [r["kind"] for r in self.why(ref[0])])


if __name__ == "__main__":
    unittest.main()
