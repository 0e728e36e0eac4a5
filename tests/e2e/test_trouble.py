# SPDX-License-Identifier: ISC
"""When the world around the programs is in trouble (issue 2, "Bad input"):
disks that fill up or fail, damaged records, broken configurations, missing
peers, stops in the middle of work. Hostile peers are in test_hostile.py.
"""
import collections
import contextlib
import fcntl
import imaplib
import json
import os
import poplib
import random
import re
import signal
import smtplib
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

from pneu import (BUILD, PASSWORD, PATIENCE, TOP, System, children, pss,
                  tls_context, until)


class DiskSystem(System):
    """A system whose state lies on such a disk."""

    def __init__(self, **kw):
        super().__init__(start=False, preload="shim_disk", **kw)
        self.flag = os.path.join(self.dir, "disk")
        self.env.update(PNEU_DISK=self.flag,
                        PNEU_DISK_DIR=os.path.join(self.dir, "data"))
        self.start_all()

    @contextlib.contextmanager
    def fault(self, kind):
        """kind: "full", "eio" or "meta" (see the shim)."""
        path = self.flag + "." + kind
        open(path, "w").close()
        try:
            yield
        finally:
            os.unlink(path)


class SmallSystem(System):
    """Its state lies on a small file system, which can be filled."""

    def __init__(self, **kw):
        super().__init__(start=False, **kw)
        self.data = os.path.join(self.dir, "data")
        os.mkdir(self.data)
        r = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "pneu",
                            self.data], capture_output=True, text=True)
        if r.returncode != 0:
            self.close()
            raise unittest.SkipTest("may not mount: " + r.stderr.strip())
        self.start_all()

    def close(self):
        subprocess.run(["umount", "-l", self.data], capture_output=True)
        super().close()

    @contextlib.contextmanager
    def fault(self, kind):
        path = os.path.join(self.data, "filler")
        with open(path, "wb", buffering=0) as f:
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x" * 65536)
            with contextlib.suppress(OSError):
                while True:
                    f.write(b"x")
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
        with smtplib.LMTP("127.0.0.1", s.port["lmtp"],
                          timeout=PATIENCE) as c:
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

    def under_load(self, system, kinds):
        fast = {"qm": {"retry_first": "200ms", "retry_max": "1s"}}
        with system(conf=fast, workers=2) as s:
            load = Load(s)
            try:
                for kind in kinds:
                    load.wait_for("acknowledged", 20)
                    with s.fault(kind):
                        load.wait_for("refused", 6)
                load.wait_for("acknowledged", 20)
            finally:
                load.finish()
            s.pneu("queue", "flush")
            until(lambda: not json.loads(s.pneu("queue", "list", "--json")),
                  "empty queue")
            load.check(self)

    def test_nothing_is_lost_while_it_fails_and_recovers(self):
        self.under_load(DiskSystem, ("full", "eio", "full", "meta", "full"))

    def test_nothing_is_lost_while_it_fills_and_empties(self):
        self.under_load(SmallSystem, ("full",) * 4)


def is_refusal(e):
    """Said in words, and for now."""
    if isinstance(e, imaplib.IMAP4.error):
        return not isinstance(e, imaplib.IMAP4.abort)
    if isinstance(e, smtplib.SMTPRecipientsRefused):
        return all(400 <= code < 500 for code, _ in e.recipients.values())
    return isinstance(e, smtplib.SMTPResponseException) and \
        400 <= e.smtp_code < 500


class Load:
    """Clients that send numbered messages to alice by each way in. `patient`:
    they come again when the other side goes away."""

    def __init__(self, system, patient=False):
        self.patient = patient
        self.s, self.lock = system, threading.Lock()
        self.n, self.acknowledged, self.refused = 0, set(), set()
        self.trouble = []
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(way,))
                        for way in (self.by_smtp, self.by_submission,
                                    self.by_append) * 2]
        for t in self.threads:
            t.start()

    def by_smtp(self):
        with self.s.smtp() as c:
            yield
            while True:
                c.sendmail("x@else.test", ["alice@example.test"], (yield))

    def by_submission(self):
        with smtplib.SMTP("127.0.0.1", self.s.port["submission"],
                          timeout=PATIENCE) as c:
            c.starttls(context=tls_context())
            c.login("alice@example.test", PASSWORD)
            yield
            while True:
                c.sendmail("alice@example.test", ["alice@example.test"],
                           (yield))

    def by_append(self):
        c = self.s.imap("alice")
        try:
            yield
            while True:
                typ, data = c.append("INBOX", "", None, (yield))
                if typ != "OK":
                    raise c.error(data)
        finally:
            c.shutdown()

    def run(self, way):
        session = None
        while not self.stop.is_set():
            with self.lock:
                n, self.n = self.n, self.n + 1
            try:
                if session is None:
                    session = way()
                    next(session)
                    next(session)
                session.send(text_of(n, 300000 if n % 16 == 7 else 500))
                with self.lock:
                    self.acknowledged.add(n)
            except (smtplib.SMTPException, imaplib.IMAP4.error,
                    OSError) as e:
                session = None
                with self.lock:
                    self.refused.add(n)
                if not self.patient and not is_refusal(e):
                    self.trouble.append(e)
        if session:
            session.close()

    def wait_for(self, what, n):
        goal = len(getattr(self, what)) + n
        until(lambda: len(getattr(self, what)) >= goal or self.trouble, what)
        if self.trouble:
            raise self.trouble[0]

    def finish(self):
        self.stop.set()
        for t in self.threads:
            t.join()

    def check(self, test):
        """What was acknowledged is there once, all else at most once."""
        found = collections.Counter()
        for m in self.s.messages("alice"):
            n = int(re.search(rb"^X-Number: (\d+)\r$", m, re.M).group(1))
            found[n] += 1
            test.assertIn(text_of(n, 300000 if n % 16 == 7 else 500).split(
                b"\r\n\r\n")[1], m)
        test.assertEqual(self.acknowledged - set(found), set())
        test.assertEqual([n for n in found if found[n] > 1], [])


def records(octets):
    """(begin, end) of each record of a blob file (common/store/record.h)."""
    at, chunk = 0, 65536
    while octets[at:at + 4] == b"PNB1":
        length = struct.unpack(">Q", octets[at + 24:at + 32])[0]
        end = at + 40 + length + (length + chunk - 1) // chunk * 4
        yield at, end
        at = end


def readable(s, who):
    """How many messages there are; -1 while one cannot be read now."""
    try:
        return len(s.messages(who))
    except AssertionError:
        print([l for l in s.log("mailbox").splitlines()
               if "not readable" in l or "failed" in l])
        return -1


class Damage(unittest.TestCase):
    SIZES = [300, 3000, 90000, 300, 500000, 70000, 1000, 300] * 2

    @classmethod
    def setUpClass(cls):
        # Not packed, so that a message's place in the files can be found.
        cls.s = System(programs=("mailbox",), accounts=("alice",),
                       conf={"mailbox": {"compression": 0}})
        cls.blobs = os.path.join(cls.s.dir, "data", "mails", "blobs")
        cls.texts = [text_of(n, size) for n, size in enumerate(cls.SIZES, 1)]
        c = cls.s.imap("alice")
        for text in cls.texts:
            c.append("INBOX", "", None, text)
        c.logout()
        cls.s.stop("mailbox")
        # {(file, begin, end): sequence number}
        cls.places = {}
        cls.sound = {}
        for name in os.listdir(cls.blobs):
            with open(os.path.join(cls.blobs, name), "rb") as f:
                octets = cls.sound[name] = f.read()
            for begin, end in records(octets):
                n = int(re.search(rb"X-Number: (\d+)", octets[begin:end])[1])
                cls.places[name, begin, end] = n
        assert len(cls.places) == len(cls.texts), cls.places

    @classmethod
    def tearDownClass(cls):
        cls.s.close()

    def setUp(self):
        for name, octets in self.sound.items():
            with open(os.path.join(self.blobs, name), "wb") as f:
                f.write(octets)

    @contextlib.contextmanager
    def running(self):
        self.s.start("mailbox")
        try:
            yield
        finally:
            self.assertEqual(self.s.stop("mailbox"), 0)

    def flip(self, name, at):
        with open(os.path.join(self.blobs, name), "r+b") as f:
            f.seek(at)
            octet = f.read(1)[0]
            f.seek(at)
            f.write(bytes([octet ^ random.randrange(1, 256)]))
        return next((n for (file, begin, end), n in self.places.items()
                     if file == name and begin <= at < end), None)

    def read_by_imap(self, command):
        """{sequence number: octets, or None when refused}."""
        got, c = {}, None
        for n in range(1, len(self.texts) + 1):
            try:
                if c is None:
                    c = self.s.imap("alice")
                    c.select("INBOX")
                typ, data = c.fetch(str(n), command)
                self.assertIn(typ, ("OK", "NO"))
                got[n] = data[0][1] if typ == "OK" else None
                # A literal that was promised before a NO.
                c.untagged_responses.clear()
            except imaplib.IMAP4.abort:
                # In the middle of a literal there is no way to say so.
                got[n] = c = None
        return got

    def read_by_pop3(self):
        got, p = {}, None
        for n in range(1, len(self.texts) + 1):
            try:
                p = p or self.s.pop3("alice")
                got[n] = b"\r\n".join(p.retr(n)[1]) + b"\r\n"
            except poplib.error_proto as e:
                got[n] = None
                if not str(e).startswith("b'-ERR"):
                    p = None
            except OSError:
                got[n] = p = None
        return got

    def check(self, damaged):
        want = {n: None if n in damaged else text
                for n, text in enumerate(self.texts, 1)}
        for got in (self.read_by_imap("(BODY.PEEK[])"), self.read_by_pop3()):
            self.assertEqual({n for n in got if got[n] is None}, damaged)
            self.assertEqual([n for n in got if got[n] != want[n]], [])

    def use_all(self):
        c = self.s.imap("alice")
        c.select("INBOX")
        # What is kept apart of the octets is still there.
        self.assertEqual(len(c.fetch("1:*", "(UID ENVELOPE)")[1]),
                         len(self.texts))
        c.copy("1:*", "Trash")
        c.search(None, "TEXT", "nowhere")
        self.assertEqual(c.noop()[0], "OK")
        self.assertEqual(c.append("Sent", "", None, text_of(99))[0], "OK")
        c.logout()

    def test_a_damaged_record_costs_one_message(self):
        for (name, begin, end), n in list(self.places.items())[::3]:
            self.setUp()
            self.assertEqual(self.flip(name, random.randrange(begin, end)), n)
            with self.running():
                self.check({n})
                self.use_all()

    def test_flips_all_over(self):
        for seed in range(12):
            random.seed(seed)
            with self.subTest(seed=seed):
                self.setUp()
                damaged = set()
                for _ in range(random.choice((1, 3, 30))):
                    name = random.choice(list(self.sound))
                    damaged.add(self.flip(name, random.randrange(
                        len(self.sound[name]))))
                with self.running():
                    self.check(damaged - {None})
                    self.read_by_imap("(FLAGS BODYSTRUCTURE BODY[1])")

    def test_a_damaged_message_in_the_queue(self):
        programs = ("guard", "mailbox", "qm", "msa")
        fast = {"qm": {"retry_first": "100ms", "retry_max": "500ms"}}
        with System(programs=programs, conf=fast) as s:
            s.stop("mailbox")
            for n in range(6):
                s.submit("alice", ["bob"], text_of(n, 3000))
            s.stop("qm")
            blobs = os.path.join(s.dir, "data", "queue", "blobs")
            name, = os.listdir(blobs)
            with open(os.path.join(blobs, name), "r+b") as f:
                f.seek(f.read().index(b"X-Number: 3\r") + 1000)
                f.write(b"?")
            s.start("qm")
            s.start("mailbox")
            until(lambda: readable(s, "bob") == 5, "the other five")
            until(lambda: "message cannot be read" in s.log("qm"), "log")
            left, = json.loads(s.pneu("queue", "list", "--json"))
            self.assertNotIn(b"X-Number: 3", b"".join(s.messages("bob")))
            s.pneu("queue", "delete", left["id"])


class Configuration(unittest.TestCase):
    """File, line, column and what was expected; exit status 78."""

    CASES = [
        ('{\n "mta": { "listen" "x" }\n}', r":2:20: .*expected"),
        ('{\n\n  "lissten": 1 }', r":3:3: .*lissten: unknown"),
        ('{ "mta": {\n "lissten": [] } }', r":2:2: .*mean mta.listen"),
        ('{ "workers":\n  "many" }', r":2:3: .*workers: .*integer"),
        ('{ "workers": 1000 }', r":1:14: .*workers: .*256"),
        ('{ "log_level": "loud" }', r":1:16: .*error.*warning.*info.*debug"),
        ('{ "drain": "soon" }', r":1:12: .*drain: "),
        ('{ "mta": { "max_size": -1 } }', r":1:24: .*max_size: "),
        ('{ "mta": [] }', r":1:10: .*mta"),
        ('{ "hostname": "a\nb" }', r":1:\d+: "),
        ('{ "hostname": "unended }', r":1:\d+: "),
        ("\x00\x01", r":1:\d+: "), ("[" * 100000, r":1:\d+: "),
        ('{ "dns": { "stub": ' + '{"a":' * 100000, r":1:\d+: "),
        ("{}" + " " * (3 << 20) + "x", ": larger than"),
    ]
    PROGRAMS = [["pneu-guard"], ["pneu-mailbox"], ["pneu-qm"], ["pneu-mta"],
                ["pneu-msa"], ["pneu", "run"], ["pneu", "config", "check"]]

    def run_program(self, program, conf):
        return subprocess.run(
            [os.path.join(BUILD, program[0]), "-c", conf, *program[1:]],
            capture_output=True, text=True, errors="replace", timeout=60,
            stdin=subprocess.DEVNULL)

    def test_what_is_wrong_and_where(self):
        with tempfile.TemporaryDirectory() as d:
            conf = os.path.join(d, "pneu.conf")
            for text, said in self.CASES:
                with open(conf, "w") as f:
                    f.write(text)
                for program in self.PROGRAMS:
                    with self.subTest(text=text[:60], program=program):
                        r = self.run_program(program, conf)
                        self.assertEqual(r.returncode, 78, r.stderr)
                        self.assertRegex(r.stderr, "pneu[.]conf" + said)
                        self.assertLess(len(r.stderr), 2000)

    def test_no_such_file(self):
        for program in self.PROGRAMS:
            r = self.run_program(program, "/nowhere/pneu.conf")
            self.assertEqual(r.returncode, 78, program)
            self.assertIn("/nowhere/pneu.conf", r.stderr)
            self.assertIn("No such file", r.stderr)

    def test_a_bad_new_one_leaves_the_old_in_force(self):
        with System() as s:
            with open(s.conf, "w") as f:
                f.write('{\n "workers": oops }')
            for program in s.programs:
                s.process[program].send_signal(signal.SIGHUP)
                until(lambda: "pneu.conf:2:13: " in s.log(program), program)
            s.send("x@else.test", ["alice"], text_of(1))
            s.wait_message("alice", b"X-Number: 1")


class Peers(unittest.TestCase):
    """Those that are away, or talk nonsense: 451 and a line in the log."""

    FAST = {"qm": {"retry_first": "100ms", "retry_max": "500ms"}}

    def refused(self, s, program, peer, function, *args):
        self.assertEqual(refusal(function, *args), 451)
        until(lambda: re.search("(warning|error): .*peer=\\S*%s.sock" % peer,
                                s.log(program)), "name of " + peer)

    def test_each_may_be_away(self):
        with System(conf=self.FAST) as s:
            s.pneu("address", "add", "out@example.test", "x@away.invalid")
            incoming = (s.send, "x@else.test", ["alice"], text_of(1))
            for peer in ("guard", "mailbox"):
                s.stop(peer)
                self.refused(s, "mta", peer, *incoming)
                s.start(peer)
                self.assertIsNone(refusal(*incoming))
            s.stop("qm")
            self.refused(s, "mta", "qm", s.send, "x@else.test", ["out"],
                         text_of(2))
            self.refused(s, "msa", "qm", s.submit, "alice", ["bob"],
                         text_of(3))
            s.start("qm")
            self.assertIsNone(refusal(s.send, "x@else.test", ["out"],
                                      text_of(2)))
            s.stop("mailbox")
            self.assertIsNone(refusal(s.submit, "alice", ["bob"], text_of(3)))
            until(lambda: re.search(r"peer=\S*mailbox.sock|to \S*mailbox.sock",
                                    s.log("qm")), "name of mailbox")
            s.stop("guard")
            self.assertIn(refusal(s.submit, "alice", ["bob"], text_of(4)),
                          (None, 451))
            s.start("mailbox")
            s.start("guard")
            s.pneu("queue", "flush")
            s.wait_message("bob", b"X-Number: 3")

    def nonsense(self, s, program, peer, octets, function, *args):
        """Somebody else answers at the peer's socket."""
        path = os.path.join(s.dir, "sock", peer + ".sock")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(100)

            def serve():
                while True:
                    try:
                        c, _ = listener.accept()
                    except OSError:
                        return
                    with c, contextlib.suppress(OSError):
                        c.settimeout(60)
                        c.sendall(octets)
                        c.shutdown(socket.SHUT_WR)
                        while c.recv(65536):
                            pass
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                self.assertEqual(refusal(function, *args), 451, octets[:40])
            finally:
                os.unlink(path)
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    NONSENSE = [
        b"", b"\r\n" * 100, b"\x00\xff" * 5000, b"999 what\r\n",
        b"220 hi\r\n" * 100, b"220-more\r\n" * 500000, b"220 " + b"x" * 5000000,
        b"220 hi\r\n250 hi\r\n250-", b"550 no\r\n", b"354 go on\r\n" * 50,
        b"220 hi\r\n250 hi\r\n" + b"251 <" + b"x" * 4000 + b">\r\n" * 9,
        b"220 hi\r\n250 hi\r\n" + b"251-<a@b> local\r\n" * 200000 + b"251 .\r\n",
    ]

    def test_each_may_talk_nonsense(self):
        with System(conf=self.FAST) as s:
            incoming = (s.send, "x@else.test", ["alice"], text_of(1))
            outgoing = (s.submit, "alice", ["bob"], text_of(2))
            for peer, program, way in (("guard", "mta", incoming),
                                       ("mailbox", "mta", incoming),
                                       ("qm", "msa", outgoing)):
                s.stop(peer)
                before = pss(s.process[program].pid)
                for octets in self.NONSENSE:
                    self.nonsense(s, program, peer, octets, *way)
                # ASan keeps what was freed for a while.
                room = 65536 if "san" in os.path.basename(BUILD) else 8192
                self.assertLess(pss(s.process[program].pid), before + room)
                s.start(peer)
                self.assertIsNone(refusal(*way))

    def test_one_that_hangs_is_not_waited_for_for_ever(self):
        with System(conf={"mta": {"timeout": "1s"}}) as s:
            incoming = (s.send, "x@else.test", ["alice"], text_of(1))
            for peer in ("guard", "mailbox"):
                pid = s.process[peer].pid
                pids = children(pid) + [pid]
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                try:
                    self.refused(s, "mta", peer, *incoming)
                finally:
                    for pid in pids:
                        os.kill(pid, signal.SIGCONT)
                until(lambda: refusal(*incoming) is None, "recovery")


class Stop(unittest.TestCase):
    def sockets(self, s):
        return sorted(os.listdir(os.path.join(s.dir, "sock")))

    def test_under_load(self):
        fast = {"qm": {"retry_first": "200ms", "retry_max": "1s"}}
        with System(conf=fast, workers=2) as s:
            there = self.sockets(s)
            load = Load(s, patient=True)
            try:
                for program in s.programs:
                    load.wait_for("acknowledged", 10)
                    self.assertEqual(s.stop(program), 0, program)
                    if program in ("guard", "mailbox", "qm"):
                        self.assertNotIn(program + ".sock", self.sockets(s))
                    s.start(program)
                load.wait_for("acknowledged", 10)
                self.assertEqual(self.sockets(s), there)
                # All of them at once, and then again.
                for program in s.programs:
                    s.process[program].terminate()
                # (A second SIGTERM would mean: now, without a farewell.)
                for program in s.programs:
                    self.assertEqual(s.process.pop(program).wait(PATIENCE), 0,
                                     program)
                self.assertEqual(self.sockets(s), [])
                for program in s.programs:
                    s.start(program)
                load.wait_for("acknowledged", 10)
            finally:
                load.finish()
            s.pneu("queue", "flush")
            until(lambda: not json.loads(s.pneu("queue", "list", "--json")),
                  "empty queue")
            load.check(self)


OFFSETS = {"lmtp": 24, "smtp": 25, "http": 80, "pop3": 110, "imap": 143,
           "submissions": 465, "submission": 587, "imaps": 993, "pop3s": 995}


def free_base():
    """A PORT_BASE whose ports are free, and an open file that keeps others
    who run this test from choosing the same: bases are 1,000 apart, so two
    never overlap."""
    while True:
        base = 1000 * random.SystemRandom().randrange(10, 32)
        claim = open(os.path.join(tempfile.gettempdir(),
                                  "pneu-test-base-%d" % base), "w")
        with contextlib.ExitStack() as stack:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for offset in OFFSETS.values():
                    t = stack.enter_context(socket.socket())
                    t.bind(("127.0.0.1", base + offset))
                return base, claim
            except OSError:
                claim.close()


class Demo(System):
    """What `make run` starts, as a System to talk to."""

    def __init__(self):
        super().__init__(programs=(), start=False)
        base, self.claim = free_base()
        self.base = base
        self.port = {name: base + n for name, n in OFFSETS.items()}

    def run(self):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            self.supervisor = subprocess.Popen(
                [os.path.join(TOP, "tools", "demo"), BUILD, self.dir,
                 str(self.base)], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=log, text=True)
        said = ""
        for line in self.supervisor.stdout:
            said += line
            if line == "ready\n":
                return said
        with open(os.path.join(self.dir, "log")) as log:
            raise AssertionError(said + log.read())

    def end(self, sig=signal.SIGTERM):
        self.supervisor.send_signal(sig)
        status = self.supervisor.wait(60)
        self.supervisor.stdout.close()
        return status

    def close(self):
        self.claim.close()
        super().close()


class MakeRun(unittest.TestCase):
    def test_twice_and_two_of_them(self):
        with Demo() as one, Demo() as other:
            os.unlink(one.conf)
            os.unlink(other.conf)
            said = one.run()
            try:
                self.assertIn("127.0.0.1:%d" % one.port["smtp"], said)
                one.send("x@else.test", ["bob"], text_of(1))
                self.assertIn(b"X-Number: 1\r", one.messages("bob")[0])
                one.pneu("account", "add", "carol@example.test",
                         input=PASSWORD + "\n")
                one.send("x@else.test", ["carol"], text_of(2))
                one.submit("carol", ["alice"], text_of(3, 200,
                           "carol@example.test"))
                one.wait_message("alice", b"X-Number: 3")
                other.run()
                try:
                    self.assertEqual(other.messages("bob"), [])
                    other.send("x@else.test", ["bob"], text_of(4))
                    self.assertEqual(len(other.messages("bob")), 1)
                finally:
                    self.assertEqual(other.end(signal.SIGINT), 0)
            finally:
                self.assertEqual(one.end(), 0)
            one.run()
            try:
                self.assertEqual(len(one.messages("bob")), 1)
                self.assertEqual(len(one.messages("carol")), 1)
                one.send("x@else.test", ["bob"], text_of(5))
                self.assertEqual(len(one.messages("bob")), 2)
            finally:
                self.assertEqual(one.end(), 0)
            self.assertEqual(os.listdir(os.path.join(one.dir, "sock")), [])


if __name__ == "__main__":
    unittest.main()
