# SPDX-License-Identifier: ISC
"""common/mail beside Python's email package: where both have a right answer,
it is the same one. The mails are made from a fixed seed."""
import datetime
import email
import email.header
import email.message
import email.mime.application
import email.mime.message
import email.mime.multipart
import email.mime.text
import email.policy
import email.utils
import json
import os
import random
import subprocess
import unittest

from pneu import BUILD

WORDS = ("tube capsule desk post air pressure station letter brass lid "
         "--not-a-boundary -- From ==== grün Straße 日本語 ΑΒΓ").split()


class Mailq:
    """The program tests/programs/mailq.c."""

    def __init__(self):
        self.p = subprocess.Popen([os.path.join(BUILD, "tests", "mailq")],
                                  stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)

    def ask(self, kind, octets):
        self.p.stdin.write(b"%s %d\n%s" % (kind.encode(), len(octets), octets))
        self.p.stdin.flush()
        return json.loads(self.p.stdout.readline())

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        return self.p.wait(30)


def unhex(s):
    return bytes.fromhex(s)


class MailTest(unittest.TestCase):
    def setUp(self):
        self.random = random.Random(2026)
        self.mailq = Mailq()

    def tearDown(self):
        self.assertEqual(self.mailq.close(), 0)

    def text(self, lines, ascii_only=False):
        words = [w for w in WORDS if w.isascii()] if ascii_only else WORDS
        return "".join(" ".join(self.random.choices(words, k=8)) + "\n"
                       for _ in range(lines))

    # --- structure ---

    def leaf(self):
        r = self.random
        kind = r.randrange(4)
        if kind == 0:
            return email.mime.text.MIMEText(
                self.text(r.randrange(5), True), "plain", "us-ascii")
        if kind == 1:   # base64
            return email.mime.text.MIMEText(self.text(r.randrange(5)), "html",
                                            "utf-8")
        if kind == 2:
            m = email.mime.application.MIMEApplication(r.randbytes(
                r.randrange(300)))
            m.add_header("Content-Disposition", "attachment",
                         filename=("utf-8", "de", r.choice(WORDS)))
            return m
        m = email.message.EmailMessage()
        m.set_content(self.text(r.randrange(1, 4)), cte="quoted-printable")
        m.add_attachment(b"x", maintype="a", subtype="b",
                         filename=" ".join(r.choices(WORDS, k=12)))
        return m

    def tree(self, depth):
        r = self.random
        if depth == 0 or r.random() < 0.3:
            return self.leaf()
        if r.random() < 0.2:
            inner = self.tree(depth - 1)
            inner["Subject"] = "inner"
            return email.mime.message.MIMEMessage(inner)
        m = email.mime.multipart.MIMEMultipart(
            r.choice(["mixed", "alternative", "related"]))
        if r.random() < 0.3:
            m.preamble = "a preamble\n--\n"
        if r.random() < 0.3:
            m.epilogue = "an epilogue\n"
        for _ in range(r.randrange(1, 4)):
            m.attach(self.tree(depth - 1))
        return m

    def compare(self, octets):
        """The parts that both see, from octets."""
        theirs = list(email.message_from_bytes(octets).walk())
        ours = self.mailq.ask("mime", octets)
        self.assertEqual([p["type"] for p in ours],
                         [p.get_content_type() for p in theirs], octets)
        for our, their in zip(ours, theirs):
            self.assertEqual("body" in our, not their.is_multipart())
            if "body" not in our:
                continue
            raw = their.get_payload().encode("ascii", "surrogateescape")
            self.assertEqual(unhex(our["body"]), raw, octets)
            self.assertEqual(unhex(our["decoded"]),
                             their.get_payload(decode=True), octets)
            name = their.get_filename()
            if name is not None:
                name = name.replace("\r\n", "").replace("\n", "")  # folds
                self.assertEqual(unhex(our["file"]).decode(), name, octets)

    def test_generated_messages_have_the_same_parts(self):
        for _ in range(300):
            m = self.tree(4)
            m["Subject"] = "outer"
            self.compare(m.as_bytes())
            self.compare(m.as_bytes(policy=email.policy.SMTP))

    def test_cut_messages_have_the_same_parts(self):
        """Ends that are missing; not cut within a header or a quantum."""
        for _ in range(200):
            m = self.tree(3)
            m["Subject"] = "outer"
            lines = m.as_bytes().split(b"\n")
            blanks = [i for i, line in enumerate(lines) if line == b""]
            at = self.random.choice(blanks)
            octets = b"\n".join(lines[:at + 1]) + b"\n"
            theirs = email.message_from_bytes(octets)
            ours = self.mailq.ask("mime", octets)
            self.assertEqual([p["type"] for p in ours],
                             [p.get_content_type() for p in theirs.walk()],
                             octets)

    # --- fields ---

    def test_addresses_are_the_same(self):
        r = self.random
        names = ["", "Joe Doe", "J. Doe", "Doe, Joe", 'Joe "Q" Doe', "Jürgen",
                 "日本語 名前", "a@b", "(x)", "back\\slash"]
        for _ in range(300):
            people = [(r.choice(names), "%s@%s.example" % (
                r.choice(["a", "a.b", "a+b", "x-y"]), r.choice("cdef")))
                for _ in range(r.randrange(1, 8))]
            value = r.choice([", ", ",", ",\r\n "]).join(
                email.utils.formataddr(p) for p in people)
            ours = self.mailq.ask("addresses", value.encode())
            self.assertEqual(
                [(unhex(n).decode(), (unhex(l) + b"@" + unhex(d)).decode())
                 for n, l, d in ours], people, value)

    def test_dates_are_the_same(self):
        r = self.random
        for _ in range(500):
            zone = datetime.timezone(datetime.timedelta(
                minutes=r.randrange(-720, 840, 15)))
            when = datetime.datetime.fromtimestamp(
                r.randrange(-2**31, 2**33), zone)
            for value in (email.utils.format_datetime(when),
                          when.strftime("%d %b %Y %H:%M:%S %z"),
                          when.strftime("%A, %d-%b-%Y %H:%M:%S %z"),
                          when.strftime("%d %B %Y %H:%M:%S %z (zone)")):
                ours = self.mailq.ask("date", value.encode())
                theirs = email.utils.parsedate_tz(value)
                self.assertEqual(ours[0], email.utils.mktime_tz(theirs), value)
                self.assertEqual(ours[0], int(when.timestamp()), value)
                self.assertEqual(ours[1] * 60, theirs[9], value)

    def test_encoded_words_are_read_the_same(self):
        r = self.random
        charsets = {"utf-8": WORDS, "iso-8859-1": ["grün", "Straße", "a"],
                    "iso-2022-jp": ["日本語", "テスト", "a"],
                    "koi8-r": ["пневмо", "почта"], "gb2312": ["你好", "x"],
                    "windows-1252": ["€uro", "grün"]}
        for _ in range(500):
            charset = r.choice(sorted(charsets))
            text = " ".join(r.choices(charsets[charset], k=r.randrange(1, 20)))
            value = email.header.Header(text, charset, 60).encode()
            ours = unhex(self.mailq.ask("words", value.encode())).decode()
            self.assertEqual(ours, text, value)

    def test_encoded_words_are_written_for_others(self):
        r = self.random
        for _ in range(500):
            text = " ".join(r.choices(WORDS, k=r.randrange(1, 30)))
            value = unhex(self.mailq.ask("encode", text.encode())).decode()
            theirs = email.header.make_header(
                email.header.decode_header(value.replace("\r\n", "")))
            self.assertEqual(str(theirs), text, value)
            for i, line in enumerate(value.split("\r\n")):
                self.assertLessEqual(len(line) + (9 if i == 0 else 0), 76)


if __name__ == "__main__":
    unittest.main()
