# SPDX-License-Identifier: ISC
"""URLAUTH (RFC 4467) through mailbox: who may fetch what by a URL."""
import imaplib
import socket
import unittest

from pneu import System

TEXT = b"Subject: part\r\n\r\nSi vis pacem, para bellum.\r\n\r\n"


class UrlAuth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",), start=False)
        try:
            cls.s.setup_accounts()
            cls.s.start("mailbox")
            cls.alice, cls.bob = cls.s.imap("alice"), cls.s.imap("bob")
            typ, data = cls.alice.append("INBOX", None, None, TEXT)
            assert typ == "OK", data
            cls.alice.create('"box &AOQ-"')
            cls.alice.append('"box &AOQ-"', None, None, TEXT * 5000)
        except BaseException:
            cls.s.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def command(self, c, *words):
        """(OK or so, all untagged data of that name)"""
        imaplib.Commands.setdefault(words[0], ("AUTH", "SELECTED"))
        typ, data = c._simple_command(*words)
        return typ, c._untagged_response(typ, data, words[0])[1]

    def make(self, url):
        typ, data = self.command(self.alice, "GENURLAUTH", '"%s"' % url,
                                 "INTERNAL")
        self.assertEqual(typ, "OK")
        made = data[0].decode().strip('"')
        self.assertTrue(made.startswith(url + ":internal:"))
        return made

    def fetch(self, c, url):
        """The octets, or None."""
        typ, data = self.command(c, "URLFETCH", '"%s"' % url)
        self.assertEqual(typ, "OK")
        if isinstance(data[0], tuple):
            return data[0][1]
        self.assertTrue(data[0].endswith(b" NIL"), data)
        return None

    def test_capability_and_urlmech(self):
        self.assertIn("URLAUTH", self.alice.capabilities)
        self.alice.select("INBOX")
        self.assertEqual(self.alice.response("URLMECH")[1], [b"INTERNAL"])
        self.alice.unselect()

    def test_who_may(self):
        base = "imap://alice%%40example.test@mx.example.test/INBOX/;UID=1" \
            "/;SECTION=TEXT;URLAUTH=%s"
        text = b"Si vis pacem, para bellum.\r\n\r\n"
        for access, alice, bob in (
                ("authuser", True, True), ("anonymous", True, True),
                ("user+bob", False, True), ("user+alice", True, False),
                ("user+bob%40example.test", False, True),
                ("user+nobody", False, False),
                ("submit+alice", False, False)):
            url = self.make(base % access)
            self.assertEqual(self.fetch(self.alice, url),
                             text if alice else None, access)
            self.assertEqual(self.fetch(self.bob, url),
                             text if bob else None, access)
            self.assertIsNone(self.fetch(self.bob, url.replace(
                "UID=1", "UID=2")))

    def test_only_the_owner_makes_them(self):
        for url in ("imap://alice@h/INBOX/;UID=1;URLAUTH=authuser",
                    "imap://nobody@h/INBOX/;UID=1;URLAUTH=authuser",
                    "imap://h/INBOX/;UID=1;URLAUTH=authuser",
                    "imap://bob@h/nope/;UID=1;URLAUTH=authuser",
                    "imap://bob@h/INBOX/;UID=1"):
            with self.assertRaises(imaplib.IMAP4.error):
                self.command(self.bob, "GENURLAUTH", '"%s"' % url, "INTERNAL")

    def test_large_and_taken_back(self):
        url = self.make("imap://alice@h/box%20%C3%A4/;UID=1;URLAUTH=authuser")
        for _ in range(2):
            self.assertEqual(self.fetch(self.bob, url), TEXT * 5000)
        self.s.restart("mailbox")
        type(self).alice, type(self).bob = \
            self.s.imap("alice"), self.s.imap("bob")
        self.assertEqual(self.fetch(self.bob, url), TEXT * 5000)
        other = self.make("imap://alice@h/INBOX/;UID=1;URLAUTH=authuser")
        self.assertEqual(self.command(self.alice, "RESETKEY",
                                      '"box &AOQ-"')[0], "OK")
        self.assertIsNone(self.fetch(self.bob, url))
        self.assertEqual(self.fetch(self.bob, other), TEXT)
        self.assertEqual(self.command(self.alice, "RESETKEY")[0], "OK")
        self.assertIsNone(self.fetch(self.bob, other))

    def test_submission_servers(self):
        url = self.make("imap://alice@h/INBOX/;UID=1;URLAUTH=submit+alice")
        with socket.socket(socket.AF_UNIX) as c:
            c.connect(self.s.dir + "/sock/submit.sock")
            c.settimeout(60)
            c.sendall(b'a URLFETCH "%s"\r\nb SELECT INBOX\r\n'
                      b"c LOGOUT\r\n" % url.encode())
            got = b""
            while True:
                part = c.recv(65536)
                if not part:
                    break
                got += part
        self.assertTrue(got.startswith(b"* PREAUTH "))
        self.assertIn(b'* URLFETCH "%s" {%d}\r\n%s\r\na OK ' % (
            url.encode(), len(TEXT), TEXT), got)
        self.assertIn(b"b NO [NOPERM]", got)

    def test_check_finds_nothing_wrong(self):
        self.make("imap://alice@h/INBOX/;UID=1;URLAUTH=authuser")
        self.assertIn("no faults", self.s.pneu("mail", "check"))


if __name__ == "__main__":
    unittest.main()
