# SPDX-License-Identifier: ISC
"""Mail for servers that lack what it needs: Debian's Postfix and Exim, with
their extensions switched off."""
import email
import unittest

import peers
from beside import HARD, Beside, bdat, message, status_of


class ToThePoor(Beside):
    def send(self, c, text, mail, rcpt=()):
        c.sendmail("alice@example.test", [self.at("bob")], text, list(mail),
                   list(rcpt))

    def test_8bit_goes_in_7_bits(self):
        self.send(self.from_us(), message(b"hard", body=HARD),
                  ["BODY=8BITMIME"])
        got = self.wait_peer(b"Subject: hard\n")
        self.assertLess(max(got), 0x80)
        self.assertLess(max(len(l) for l in got.split(b"\n")), 999)
        body = email.message_from_bytes(got).get_payload(decode=True)
        self.assertEqual(body.replace(b"\r\n", b"\n").rstrip(b"\n"),
                         HARD.replace(b"\r\n", b"\n").rstrip(b"\n"))

    def test_binary_too(self):
        c = self.from_us()
        self.assertEqual(c.mail("alice@example.test",
                                ["BODY=BINARYMIME"])[0], 250)
        self.assertEqual(c.rcpt(self.at("bob"))[0], 250)
        body = b"a\x00b\nc\r\n.\r\n\n.\n\xff"
        self.assertEqual(bdat(c, message(b"binary", body=body))[0], 250)
        got = email.message_from_bytes(self.wait_peer(b"Subject: binary"))
        self.assertEqual(got.get_payload(decode=True), body)

    def test_a_big_one_goes_by_data(self):
        self.send(self.from_us(), message(
            b"big", body=b".\r\n" + b"0123456789\r\n" * 50000), [])
        got = self.wait_peer(b"Subject: big\n")
        self.assertEqual(got.count(b"\n0123456789"), 50000)
        self.assertIn(b"\n\n.\n0123456789", got)
        self.by_data()

    def test_utf8_addresses_come_back(self):
        c = self.from_us()
        c.command_encoding = "utf-8"
        c.sendmail("alice@example.test", ["j\u00f6rg@" + self.peer.domain],
                   message(b"utf8"), ["SMTPUTF8", "ENVID=utf8-to-the-poor"])
        report = self.s.wait_message("alice", b"utf8-to-the-poor")
        self.assertIn(b"\r\nAction: failed\r\n", report)
        self.assertIn(b"\r\nStatus: 5.6.7\r\n", report)

    def test_success_is_told_as_relayed(self):
        """RFC 3461 5.2.2: to who has no DSN."""
        self.send(self.from_us(), message(b"relayed"), ["ENVID=relayed-1"],
                  ["NOTIFY=SUCCESS", "ORCPT=rfc822;o@else.test"])
        self.wait_peer(b"Subject: relayed")
        _, recipient = status_of(self.s.wait_message("alice", b"relayed-1"))
        self.assertEqual(recipient["Action"], "relayed")
        self.assertEqual(recipient["Original-Recipient"],
                         "rfc822;o@else.test")


class AtPostfix(ToThePoor, unittest.TestCase):
    @staticmethod
    def make_peer(port):
        return peers.Postfix(
            port, "smtpd_discard_ehlo_keywords = smtputf8, chunking, "
            "8bitmime, dsn, pipelining, enhancedstatuscodes, silent-discard\n")

    def by_data(self):
        with self.to_peer() as c:
            self.assertFalse(c.has_extn("chunking"))


class AtExim(ToThePoor, unittest.TestCase):
    @staticmethod
    def make_peer(port):
        return peers.Exim(port, POOR="yes")

    def by_data(self):
        self.assertNotIn(" K ", self.peer.log()) # Exim's mark of BDAT


if __name__ == "__main__":
    unittest.main()
