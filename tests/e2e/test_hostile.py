# SPDX-License-Identifier: ISC
"""Hostile clients of SMTP, submission and LMTP, against the real programs
(docs/smtp.md, "What the server decides"). Rules that Postfix is asked about too
are in test_dialogues.py, crowds in test_crowd.py, IMAP and POP3 in
test_hostile_readers.py.
"""
import base64
import os
import random
import select
import socket
import struct
import threading
import unittest
import uuid

from pneu import PASSWORD, PATIENCE, System, until
from smtpraw import Raw
from steady import SANITIZED, steady

BOB = "bob@example.test"
PLAIN = base64.b64encode(b"\0alice@example.test\0" + PASSWORD.encode()).decode()


class Front:
    """One of the places where messages come in."""

    def __init__(self, s, name):
        self.s, self.name = s, name
        self.lmtp = name in ("mailbox", "qm", "guard")
        # guard decides about recipients and takes no message.
        self.takes = name != "guard"
        self.sender = "alice@example.test" if name.startswith("sub") else \
            "s@else.test"

    def connect(self, banner=True):
        """As it is, with TLS where that comes first."""
        at = os.path.join(self.s.dir, "sock", self.name + ".sock") \
            if self.lmtp else self.s.port[self.name]
        return Raw(at, banner, tls=self.name == "submissions")

    def ready(self):
        """Ready for MAIL."""
        c = self.connect()
        words = c.hello(self.lmtp)
        if self.name == "submission":
            assert c.code("STARTTLS") == 220
            c.secure()
            words = c.hello()
        if self.name.startswith("sub"):
            assert c.code("AUTH PLAIN " + PLAIN) == 235, words
        return c

    def begun(self, *recipients):
        c = self.ready()
        c.envelope(*recipients or [BOB], sender=self.sender)
        return c


FRONTS = ("smtp", "submission", "submissions", "mailbox", "qm", "guard")
TAKERS = FRONTS[:-1]


class Case(unittest.TestCase):
    conf = {"mta": {"max_per_address": 10000, "max_errors": 1000,
                    "normalise_from": ["127.0.0.9"]}}

    @classmethod
    def setUpClass(cls):
        cls.s = System(conf=cls.conf)
        cls.addClassCleanup(cls.s.close)

    def front(self, name):
        return Front(self.s, name)

    def word(self):
        return uuid.uuid4().hex

    def arrived(self, word):
        """The message with that word, as bob reads it."""
        return self.s.wait_message("bob", word.encode())

    def nothing_with(self, *words):
        got = self.s.messages("bob") + self.s.messages("alice")
        for word in words:
            self.assertFalse([m for m in got if word in m], word)


# --- the end of a message ---

EVIL = (b"MAIL FROM:<evil@else.test>\r\nRCPT TO:<bob@example.test>\r\n"
        b"DATA\r\nSubject: evil\r\n\r\nevil\r\n")
# What stands where CRLF.CRLF should.
ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n",
        b"\r\r\n.\r", b"\n\r.\n\r", b"\n\n.\n\n", b"\r\n.\r\r\n", b"\r.\n",
        b"\r\n\n.\r\n", b"\r\n.\n\r\n", b"\n.\r", b"\r\n.\r.\r\n",
        b"\r\n\0.\r\nx\n", b"\r\n.\0\r\nx\n", b"\r\n.\r\0\n"]


class Smuggling(Case):
    def refused(self, c, front, pieces):
        self.assertEqual(c.code("DATA"), 354)
        for piece in pieces:
            c.send(piece)
        self.assertEqual(c.reply()[0], 550, (front, pieces))
        # In step: what stood in the message was not taken for commands.
        self.assertEqual(c.cmd("NOOP")[0], 250)

    def test_nothing_else_ends_a_message(self):
        with steady(self.s):
            for name in TAKERS:
                front = self.front(name)
                for end in ENDS:
                    whole = b"Subject: x\r\n\r\nx" + end + EVIL + b"\r\n.\r\n"
                    at = whole.index(end)
                    c = front.ready()
                    with c:
                        # Whole, cut at each octet of it, and all in octets.
                        cuts = [(whole,)] + [
                            (whole[:n], whole[n:])
                            for n in range(at, at + len(end) + 1)] + [
                            [whole[i:i + 1] for i in range(len(whole))]]
                        for pieces in cuts:
                            if name.startswith("sub") and len(pieces) != 1:
                                continue # TLS: a packet is what it likes
                            c.envelope(BOB, sender=front.sender)
                            self.refused(c, name, pieces)
                            if c.code("RSET") != 250:
                                self.fail(name)
            self.nothing_with(b"evil")

    def test_bdat_is_text_too(self):
        for name in TAKERS:
            front = self.front(name)
            for text in (b"Subject: x\r\n\r\na\nb\r\n", b"\r\n\r\na\rb\r\n",
                         b"Subject: x\r\n\r\na\r", b"a\0b\r\n"):
                with self.subTest(name, text=text), front.begun() as c:
                    c.send(b"BDAT %d LAST\r\n" % len(text) + text)
                    self.assertEqual(c.reply()[0], 550)
                    self.assertEqual(c.code("NOOP"), 250)

    def test_normalised_for_who_is_listed(self):
        text = (b"Subject: %s\n\nfirst\n.\nsecond\n..third\n.\r\nfourth\r\n"
                b"..fifth\r\n.\r\n")
        want = (b"\r\n\r\nfirst\r\n\r\nsecond\r\n.third\r\n\r\nfourth\r\n"
                b".fifth\r\n")
        for step in (1, 2, 3, 7, 1000):
            word = self.word()
            octets = text % word.encode()
            with socket.create_connection(
                    ("127.0.0.1", self.s.port["smtp"]), PATIENCE,
                    ("127.0.0.9", 0)) as s:
                f = s.makefile("rb")

                def say(line, code):
                    s.sendall(line)
                    self.assertEqual(f.readline()[:3], code, line)
                say(b"", b"220")
                say(b"HELO x.test\n", b"250")
                say(b"MAIL FROM:<s@else.test>\n", b"250")
                say(b"RCPT TO:<bob@example.test>\n", b"250")
                say(b"DATA\n", b"354")
                for i in range(0, len(octets), step):
                    s.sendall(octets[i:i + step])
                say(b"", b"250")
                say(b"QUIT\n", b"221")
            self.assertTrue(self.arrived(word).endswith(want))
        with self.front("smtp").connect() as c: # who is not
            c.send(b"HELO x.test\n")
            self.assertEqual(c.reply()[0], 500)


class Sink:
    """An SMTP server that keeps every octet it is sent."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        self.octets, self.messages = [], 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        c.sendall(b"220 sink\r\n")
        got, at, in_data = b"", 0, False
        while True:
            more = c.recv(65536)
            if not more:
                c.close()
                return
            got += more
            self.octets.append(more)
            while True:
                end = got.find(b"\r\n.\r\n" if in_data else b"\r\n", at)
                if end < 0:
                    break
                if in_data:
                    at, in_data = end + 5, False
                    self.messages += 1
                    c.sendall(b"250 ok\r\n")
                    continue
                verb, at = got[at:at + 4].upper(), end + 2
                in_data = verb == b"DATA"
                if in_data:
                    at -= 2 # an empty message
                c.sendall(b"354 go\r\n" if in_data else b"250-sink\r\n"
                          b"250-8BITMIME\r\n250 SMTPUTF8\r\n"
                          if verb == b"EHLO" else b"250 ok\r\n")

    def close(self):
        self.listener.close()


class WhatWeSend(unittest.TestCase):
    def test_never_holds_a_bare_cr_or_lf(self):
        sink = Sink()
        self.addCleanup(sink.close)
        with System(conf={"qm": {"smarthost": "127.0.0.1:%d" % sink.port,
                                 "smarthost_tls": "none"}}) as s:
            s.pneu("address", "add", "away@example.test", "x@outside.test")
            texts = [b"Subject: a\r\n\r\nx\r\n", b"Subject: a", b"\r\n", b"x",
                     b"Subject: a\r\n folded\r\nBcc: x@y.test\r\n more\r\n\r\n"
                     b"x\r\n.\r\n..\r\n", b"From:\r\n\r\n",
                     b"From: alice@example.test\r\n\r\n\r\n\r\n",
                     b"Subject: a\r\nX: " + b"y" * 70000 + b"\r\n\r\n" +
                     b"z" * 70000 + b"\r\n"]
            n = 0
            for name in ("smtp", "submission", "qm"):
                front = Front(s, name)
                to = "away@example.test" if name == "smtp" else \
                    "x@outside.test"
                for text in texts:
                    with front.begun(to) as c:
                        # BDAT: no line ending at the end is needed.
                        c.send(b"BDAT %d LAST\r\n" % len(text) + text)
                        n += c.reply()[0] == 250
                    with front.begun(to) as c:
                        self.assertEqual(c.code("DATA"), 354)
                        text = text.replace(b"\r\n.", b"\r\n..")
                        c.send(text + b"\r\n.\r\n")
                        n += c.reply()[0] == 250
            self.assertGreaterEqual(n, 3 * len(texts))
            # BINARYMIME cannot go there: it is reported, and that is text.
            with Front(s, "qm").ready() as c:
                self.assertEqual(
                    c.code("MAIL FROM:<s@outside.test> BODY=BINARYMIME"), 250)
                self.assertEqual(c.code("RCPT TO:<x@outside.test>"), 250)
                c.send(b"BDAT 21 LAST\r\nSubject: bin\n\n\n.\n\r.\r\0")
                self.assertEqual(c.reply()[0], 250)
            until(lambda: sink.messages >= n + 1, "%d messages" % n)
            sent = b"".join(sink.octets).replace(b"\r\n", b"")
            for octet in (b"\r", b"\n", b"\0"):
                at = sent.find(octet)
                self.assertEqual(at, -1, sent[max(0, at - 60):at + 60])


# --- out of step ---

class OutOfStep(Case):
    conf = {"mta": dict(Case.conf["mta"], greet_pause="500ms")}

    def test_early_talkers(self):
        with steady(self.s):
            with self.front("smtp").connect(banner=False) as c:
                c.send("EHLO x.test")
                self.assertEqual(c.rest(), [554])
            with self.front("smtp").connect(banner=False) as c:
                c.send(b"\0")
                self.assertEqual(c.rest(), [554])

    def test_starttls_injection(self):
        """What came in the clear behind it is never answered (RFC 3207 4.2,
        CVE-2011-0411)."""
        with steady(self.s):
            for name in ("smtp", "submission"):
                for behind in ("EHLO evil.test", "RSET", "X", ""):
                    with self.front(name).connect() as c:
                        c.hello()
                        c.send(b"STARTTLS\r\n" + behind.encode() + b"\r\n")
                        self.assertEqual(c.rest(), [554], (name, behind))
                # In its own packet, before the handshake: that fails.
                with self.front(name).connect() as c:
                    c.hello()
                    self.assertEqual(c.code("STARTTLS"), 220)
                    c.send("EHLO evil.test", "MAIL FROM:<evil@else.test>")
                    got = c.all()
                    self.assertNotIn(b"250", got)
                # Within TLS the old hello counts for nothing.
                with self.front(name).connect() as c:
                    c.hello()
                    self.assertEqual(c.code("STARTTLS"), 220)
                    c.secure()
                    self.assertEqual(c.code("MAIL FROM:<a@b.test>") // 100, 5)
                    c.hello()

    def test_pipelining_without_the_right(self):
        letter = "Subject: x\r\n\r\nx\r\n."
        with steady(self.s):
            for lines in (["EHLO x.test", "MAIL FROM:<a@b.test>"],
                          ["HELO x.test", "MAIL FROM:<a@b.test>"]):
                with self.front("smtp").connect() as c:
                    c.send(*lines)
                    self.assertEqual(c.rest(), [554], lines)
            for name in ("smtp", "mailbox", "qm"):
                with self.front(name).begun() as c:
                    c.send("DATA\r\n" + letter)
                    self.assertEqual(c.rest(), [554], name)
            # HELO offers no pipelining.
            with self.front("smtp").connect() as c:
                self.assertEqual(c.code("HELO x.test"), 250)
                c.send("MAIL FROM:<a@b.test>", "RCPT TO:<%s>" % BOB)
                self.assertEqual(c.rest(), [554])


# --- too much, too slow, too little ---

class Excess(Case):
    def test_long_lines(self):
        with steady(self.s):
            for name in FRONTS:
                with self.subTest(name), self.front(name).ready() as c:
                    for n in (2100, 20000, 500000):
                        self.assertEqual(c.code("X" * n), 500)
                        self.assertEqual(c.code("MAIL FROM:<%s@b.test>" % (
                            "x" * n)), 500)
                        self.assertEqual(c.code("NOOP " + "x" * n), 500)
                    self.assertEqual(c.code("NOOP"), 250)
                # Without an end: nothing of it is kept.
                with self.front(name).connect() as c:
                    c.send(b"x" * (16 << 20))
                    c.end_input()
                    c.rest()

    def test_a_hundred_thousand_recipients(self):
        n = 10000 if SANITIZED else 100000
        with steady(self.s), self.front("smtp").ready() as c:
            word = self.word()
            self.assertEqual(c.code("MAIL FROM:<a@b.test>"), 250)
            lines = b"RCPT TO:<bob@example.test>\r\n" * n
            sender = threading.Thread(target=c.s.sendall, args=(lines,))
            sender.start()
            codes = c.codes(n)
            sender.join()
            self.assertEqual(codes, [250] * 1000 + [452] * (n - 1000))
            self.assertEqual(c.code("DATA"), 354)
            c.send("Subject: " + word, "", "x", ".")
            self.assertEqual(c.reply()[0], 250)
            self.arrived(word)
            self.assertEqual(sum(word.encode() in m for m in
                                 self.s.messages("bob")), 1)

    def test_unknown_recipients_come_to_an_end(self):
        conf = {"mta": {"max_errors": 10}}
        with System(conf=conf) as s, steady(s):
            c = Front(s, "smtp").ready()
            with c:
                c.envelope()
                c.send(b"RCPT TO:<nobody@example.test>\r\n" * 2000)
                codes = c.rest()
                self.assertEqual(codes[-1], 421)
                self.assertLess(len(codes), 200)


class Slow(unittest.TestCase):
    LIMIT = 60

    def drip(self, s, c, octets):
        """An octet now and then until there is a reply; all of them."""
        for octet in octets:
            try:
                c.send(bytes([octet]))
            except OSError:
                break
            s.clock.move(self.LIMIT / 10)
            if select.select([c.s], [], [], 0.05)[0]:
                break
        return c.rest()

    def test_a_command_has_its_time(self):
        with System(conf={"mta": {"timeout": "%ds" % self.LIMIT}},
                    clock=True) as s, steady(s):
            for before, octets in (("", b"EHLO " + b"x" * 4000),
                                   ("MAIL FROM:<a@b.test>", b" " * 4000)):
                with Front(s, "smtp").connect() as c:
                    c.hello()
                    if before:
                        c.cmd(before)
                    self.assertEqual(self.drip(s, c, octets), [421])
            # And a message has to come on.
            with Front(s, "smtp").begun() as c:
                self.assertEqual(c.code("DATA"), 354)
                self.assertEqual(self.drip(s, c, b"x" * 4000), [421])

    def test_a_session_has_its_time(self):
        limit = {"max_session": "%ds" % self.LIMIT}
        with System(conf={"mta": dict(limit, max_errors=1000),
                          "msa": limit}, clock=True) as s, steady(s):
            for name in ("smtp", "submission"):
                c = Front(s, name).connect()
                with c:
                    c.hello()
                    while True:
                        got = c.cmd("NOOP")
                        if got[0] != 250:
                            break
                        s.clock.move(self.LIMIT / 15)
                    self.assertEqual(got[0], 421, got)
                    self.assertIn("lasted", got[1])
                    self.assertIsNone(c.reply())

    def test_one_octet_packets(self):
        with System() as s, steady(s):
            for name in TAKERS:
                word = uuid.uuid4().hex
                with Front(s, name).begun() as c:
                    self.assertEqual(c.code("DATA"), 354)
                    text = b"Subject: %s\r\n\r\n..dot\r\n.\r\nQUIT\r\n" % (
                        word.encode())
                    for i in range(len(text)):
                        try:
                            c.send(text[i:i + 1])
                        except OSError:
                            self.fail("%s went away at %d" % (name, i))
                    self.assertEqual(c.rest(), [250, 221], name)
                got = s.wait_message("bob", word.encode())
                self.assertTrue(got.endswith(b"\r\n\r\n.dot\r\n"), got)


# --- the end of a connection ---

class Ends(Case):
    def test_half_closed(self):
        """Who says no more may still read."""
        with steady(self.s):
            for name in ("smtp", "mailbox", "qm"):
                front, word = self.front(name), self.word()
                with front.ready() as c:
                    text = b"Subject: %s\r\n\r\nx\r\n" % word.encode()
                    c.send(b"MAIL FROM:<s@else.test>\r\nRCPT TO:<" +
                           BOB.encode() + b">\r\nBDAT %d LAST\r\n" % len(text) +
                           text)
                    c.end_input()
                    self.assertEqual(c.rest(), [250] * 3, name)
                self.arrived(word)
                # Nothing of half a message.
                word = self.word()
                with front.begun() as c:
                    self.assertEqual(c.code("DATA"), 354)
                    c.send("Subject: " + word, "", "x")
                    c.end_input()
                    self.assertEqual(c.rest(), [])
                self.nothing_with(word.encode())

    def test_dropped_at_every_state(self):
        rng = random.Random(3)
        with steady(self.s):
            for name in FRONTS:
                front, word = self.front(name), self.word()
                steps = ["MAIL FROM:<%s>" % front.sender, "RCPT TO:<%s>" % BOB,
                         "DATA", "Subject: %s\r\n\r\nx" % word]
                for n in range(len(steps)):
                    for reset in (False, True):
                        for part in (len(steps[n]) // 2, None):
                            with front.ready() as c:
                                for line in steps[:n]:
                                    c.send(line)
                                    c.reply()
                                c.send(steps[n].encode()[:part] +
                                       (b"" if part else b"\r\n"))
                                if reset:
                                    c.s.setsockopt(
                                        socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
                self.nothing_with(word.encode())
            # Before the banner, within the handshake of TLS, in AUTH.
            for name in FRONTS:
                for octets in (b"", b"\x16\x03\x01", b"EHLO", b"\r\n",
                               rng.randbytes(300)):
                    c = Raw(os.path.join(self.s.dir, "sock", name + ".sock")
                            if self.front(name).lmtp else self.s.port[name],
                            banner=False)
                    with c:
                        c.send(octets)
            for line in ("AUTH PLAIN", "AUTH LOGIN", "AUTH SCRAM-SHA-256"):
                with self.front("submissions").connect() as c:
                    c.hello()
                    c.send(line)


# --- what stands in the words of a command ---

class Words(Case):
    def refused(self, *lines, codes, fronts=("smtp", "mailbox", "qm")):
        for name in fronts:
            for line in lines:
                with self.subTest(name, line=line):
                    with self.front(name).ready() as c:
                        if line[:4] in (b"RCPT",):
                            c.envelope()
                        c.send(line + b"\r\n")
                        self.assertIn(c.reply()[0], codes)
                        self.assertEqual(c.code("NOOP"), 250)

    def test_control_characters(self):
        with steady(self.s):
            lines = []
            for o in (b"\0", b"\r", b"\x01", b"\x7f", b"\x1b", b"\t"):
                lines += [b"MAIL FROM:<a%sb@b.test>" % o,
                          b'MAIL FROM:<"a%sb"@b.test>' % o,
                          b"MAIL FROM:<a@b.test> ENVID=a%sb" % o,
                          b"RCPT TO:<bob%s@example.test>" % o,
                          b"RCPT TO:<bob@example.test> ORCPT=rfc822;a%sb" % o,
                          b"NOOP a%sb" % o]
            self.refused(*lines, codes=(500, 501, 555))
            with self.front("smtp").connect() as c:
                c.send(b"EHLO a\rReceived: evil\r\n")
                self.assertEqual(c.reply()[0], 500)

    def test_encoded_line_ends_in_parameters(self):
        """xtext could carry them into a header field or a report."""
        with steady(self.s):
            for evil in (b"+0D+0A", b"+0A", b"+0D", b"+00"):
                self.refused(
                    b"MAIL FROM:<a@b.test> ENVID=x" + evil + b"Evil:+20y",
                    b"RCPT TO:<bob@example.test> ORCPT=rfc822;x" + evil,
                    codes=(501, 555))
                self.refused(b"XFORWARD HELO=x" + evil + b"Evil:+20y",
                             b"XFORWARD NAME=x" + evil, b"XFORWARD ADDR=" + evil,
                             codes=(501,), fronts=("guard", "mailbox", "qm"))
                with self.front("submissions").ready() as c:
                    self.assertIn(c.code("MAIL FROM:<alice@example.test> AUTH=x"
                                         + evil.decode()), (501, 555))

    def test_helo_is_harmless_in_received(self):
        with steady(self.s):
            for helo in ("a(b", "a)b", "<a>", "a\\", 'a"b', "a;b", "a,b",
                         "[127.0.0.1]", "x" * 255, "%s%n", "a@b"):
                word = self.word()
                with self.front("smtp").connect() as c:
                    self.assertEqual(c.code("EHLO " + helo), 250)
                    c.envelope(BOB)
                    self.assertEqual(c.code("DATA"), 354)
                    c.send("Subject: " + word, "", "x", ".")
                    self.assertEqual(c.reply()[0], 250)
                got = self.arrived(word).split(b"\r\n\r\n")[0]
                field = got[got.index(b"Received: from "):]
                said = field[15:field.index(b" ", 15)]
                self.assertEqual(len(said), len(helo), said)
                self.assertFalse(set(said) & set(b'()<>\\";,@ '), said)
            for helo in ("", "x" * 256):
                with self.front("smtp").connect() as c:
                    self.assertEqual(c.code("EHLO " + helo), 501)

    def test_bob_by_all_his_names(self):
        """RFC 5321 4.1.2; the source route is dropped."""
        for path in ("<bob@example.test>", '<"bob"@example.test>',
                     "<@a.test,@b.test:bob@example.test>",
                     '<"b\\ob"@EXAMPLE.test>'):
            word = self.word()
            with self.front("smtp").ready() as c:
                c.envelope()
                self.assertEqual(c.code("RCPT TO:" + path), 250)
                self.assertEqual(c.code("DATA"), 354)
                c.send("Subject: " + word, "", "x", ".")
                self.assertEqual(c.reply()[0], 250)
            got = self.arrived(word)
            self.assertNotIn(b"a.test", got.split(b"Subject")[0])


if __name__ == "__main__":
    unittest.main()
