# SPDX-License-Identifier: ISC
"""When the world around the programs is in trouble (issue 2, "Bad input"):
disks that fill up or fail, damaged records, broken configurations, missing
peers, stops in the middle of work. Hostile peers are in test_hostile.py.
"""
import contextlib
import imaplib
import os
import poplib
import re
import smtplib
import subprocess
import threading
import unittest

from pneu import BUILD, PASSWORD, System, tls_context, until


def shim():
    """LD_PRELOAD for programs on the disk that fails when told to. ASan wants
    to be the first library."""
    binary = os.path.join(BUILD, "pneu-mailbox")
    libraries = subprocess.run(["ldd", binary], check=True, text=True,
                               capture_output=True).stdout
    asan = re.search(r"=> (\S*libasan\S*)", libraries)
    return (asan.group(1) + " " if asan else "") + os.path.join(
        BUILD, "tests", "shim_disk.so")


class DiskSystem(System):
    """A system whose state lies on such a disk."""

    def __init__(self, **kw):
        start = kw.pop("start", True)
        super().__init__(start=False, preload=shim(), **kw)
        self.flag = os.path.join(self.dir, "disk")
        self.env.update(PNEU_DISK=self.flag,
                        PNEU_DISK_DIR=os.path.join(self.dir, "data"))
        if start:
            self.begin()

    def begin(self):
        try:
            self.setup_accounts()
            for program in self.programs:
                self.start(program)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def fault(self, kind):
        """kind: "full", "eio" or "meta" (see the shim)."""
        path = self.flag + "." + kind
        open(path, "w").close()
        try:
            yield
        finally:
            os.unlink(path)


def text_of(n, size=200, sender="alice@example.test"):
    line = "%078d\r\n" % n
    return ("From: %s\r\nSubject: trouble\r\nX-Number: %d\r\n\r\n" % (
        sender, n) + line * max(1, size // len(line))).encode()


def refusal(function, *args):
    """The code of an SMTP client's exception, or None when it went well."""
    try:
        function(*args)
    except smtplib.SMTPRecipientsRefused as e:
        return next(iter(e.recipients.values()))[0]
    except smtplib.SMTPResponseException as e:
        return e.smtp_code
    return None


class Disk(unittest.TestCase):
    # What SMTP, LMTP and IMAP say.
    KINDS = {"full": (452, "[LIMIT]"), "eio": (451, "[UNAVAILABLE]"),
             "meta": (451, "[UNAVAILABLE]")}

    def lmtp(self, s, recipients, text):
        """The replies after the dot."""
        with smtplib.LMTP("127.0.0.1", s.port["lmtp"]) as c:
            c.ehlo("test")
            self.assertEqual(c.mail("x@else.test")[0], 250)
            for r in recipients:
                code, said = c.rcpt(s.address(r))
                self.assertEqual(code, 250, said)
            c.putcmd("data")
            code, said = c.getreply()
            if code != 354:
                return [code] * len(recipients)
            c.send(text + b".\r\n")
            return [c.getreply()[0] for _ in recipients]

    def imap_changes(self, c, kind, want):
        """Each command that changes something answers OK (want: None), or NO
        with a code."""
        typ, data = c.select("Work")
        self.assertEqual(typ, "OK", data)
        for name, command in (
                ("APPEND", lambda: c.append("Work", "", None, text_of(1))),
                ("APPEND of much", lambda: c.append("Work", "", None, text_of(
                    2, 1 << 20))),
                ("STORE", lambda: c.store("1", "FLAGS", r"(\Flagged here)")),
                ("COPY", lambda: c.copy("1", "Other")),
                ("MOVE", lambda: c._simple_command("MOVE", "2", "Other")),
                ("CREATE", lambda: c.create("New")),
                ("RENAME", lambda: c.rename("New" if want is None else "Work",
                                            "Newer")),
                ("SUBSCRIBE", lambda: c.subscribe("Sub" + kind)),
                ("DELETE", lambda: c.delete("Newer" if want is None
                                            else "Other"))):
            typ, data = command()
            if want is None:
                self.assertEqual(typ, "OK", (name, data))
            else:
                self.assertEqual(typ, "NO", (name, data))
                self.assertIn(want, data[0].decode(), name)
        # The session is as it was, and reading works.
        self.assertEqual(c.noop()[0], "OK")
        typ, data = c.fetch("1", "(FLAGS BODY[])")
        self.assertEqual(typ, "OK", data)
        self.assertTrue(data and isinstance(data[0], tuple), data)

    def faulty(self, s, kind):
        code, imap = self.KINDS[kind]
        with s.fault(kind):
            for size in (200, 1 << 20):
                text = text_of(0, size)
                self.assertEqual(refusal(s.send, "x@else.test", ["alice"],
                                         text), code, size)
                self.assertEqual(refusal(s.submit, "alice", ["bob"], text),
                                 code, size)
                self.assertEqual(self.lmtp(s, ["alice", "bob"], text),
                                 [code, code], size)
            c = s.imap("alice")
            self.imap_changes(c, kind, imap)
            c.logout()
            p = s.pop3("carol")
            self.assertEqual(len(p.list()[1]), 1)
            p.retr(1)
            p.dele(1)
            with self.assertRaisesRegex(poplib.error_proto, "SYS/TEMP"):
                p.quit()

    def test_each_protocol_says_so_and_recovers(self):
        with DiskSystem(accounts=("alice", "bob", "carol")) as s:
            c = s.imap("alice")
            for name in ("Work", "Other"):
                c.create(name)
            for n in (1, 2, 3):
                c.append("Work", "", None, text_of(n))
            s.send("x@else.test", ["carol"], text_of(0))
            for n, kind in enumerate(self.KINDS, 1):
                self.faulty(s, kind)
                # Nothing needs a restart, in old sessions and new ones.
                self.imap_changes(c, kind, None)
                for size in (200, 1 << 20):
                    s.send("x@else.test", ["alice"], text_of(7, size))
                    s.submit("alice", ["alice"], text_of(8, size))
                    self.assertEqual(self.lmtp(s, ["bob", "alice"], text_of(
                        9, size)), [250, 250])
                until(lambda: len(s.messages("alice")) == 6 * n, "messages")
                self.assertEqual(len(s.messages("bob")), 2 * n)
                self.assertEqual(len(s.messages("carol")), 1)


if __name__ == "__main__":
    unittest.main()
