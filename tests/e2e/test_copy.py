# SPDX-License-Identifier: ISC
"""pneu mail copy: whole accounts of other IMAP servers, of Dovecot, of another
pneu, and of servers that break off, stall, lie and forget."""
import base64
import contextlib
import imaplib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from pneu import (BUILD, PASSWORD, PATIENCE, SCRATCH, TOP, System,
                  certificate, tls_context, until)

DATE = '"17-Jul-2001 02:44:25 -0700"'
MESSAGES = [
    (b"Subject: one\r\n\r\nbody\r\n", "(\\Seen)"),
    (b"Subject: 8bit \xc3\xbc\r\n\r\n\xff\x80\r\n", "(\\Flagged $Label1 Zebra)"),
    (b"Subject: long\r\n\r\n" + b"x" * 70000 + b"\r\n", "(\\Answered \\Draft)"),
    (b"Subject: {5}\r\n\r\n) BODY[] {7}\r\nA1 OK\r\n", "()"),
    (b"Subject: no end\r\n\r\nx", "(\\Deleted)"),
]
BOXES = {"INBOX": "INBOX", "Work/2019": "Work/2019", "Gr&APYA3w-e": "Gr\xf6\xdfe",
         "a b\"c\\d": "a b\"c\\d", "Sent": "Sent"}


def quote(name):
    return '"%s"' % name.replace("\\", "\\\\").replace('"', '\\"')


def copy(s, url, account="alice", *args, password=PASSWORD, check=True):
    r = subprocess.run(
        [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "copy", "--json",
         *args, url, s.address(account)], input=password + "\n",
        capture_output=True, text=True, timeout=PATIENCE * 5)
    if check and r.returncode != 0:
        raise AssertionError("copy: exit %d: %s%s" % (
            r.returncode, r.stdout[-2000:], r.stderr[-4000:]))
    return json.loads(r.stdout) if check else r


def system(**kw):
    kw.setdefault("programs", ("mailbox",))
    return System(**kw)


def contents(c, names):
    """{mailbox: [(octets, flags, date)]} by an IMAP connection"""
    found = {}
    for name in names:
        typ, data = c.select(quote(name), readonly=True)
        assert typ == "OK", (name, data)
        found[name] = []
        if data == [b"0"]:
            continue
        typ, data = c.fetch("1:*", "(FLAGS INTERNALDATE BODY.PEEK[])")
        rows = [d for d in data if isinstance(d, tuple)]
        tails = [d for d in data if isinstance(d, bytes)]
        for (head, body), tail in zip(rows, tails):
            text = head + tail
            flags = re.search(rb"FLAGS \((.*?)\)", text)[1].split()
            date = imaplib.Internaldate2tuple(text)
            found[name].append((body, sorted(f for f in flags
                                             if f != b"\\Recent"), date))
    return found


def fill(c, boxes=BOXES):
    for name in boxes:
        c.create(quote(name))
        c.subscribe(quote(name))
        for text, flags in MESSAGES:
            typ, data = c.append(quote(name), flags, DATE, text)
            assert typ == "OK", data


class Real:
    """What any server is to do; a subclass has one."""

    def test_whole_account(self):
        with system() as s:
            self.fill()
            got = copy(s, self.url, "alice", *self.options,
                       password=self.password)
            self.assertEqual((got["messages"], got["failed"]),
                             (len(MESSAGES) * len(BOXES), 0))
            here = s.imap("alice")
            there = self.imap()
            want = contents(there, BOXES)
            self.assertEqual(contents(here, BOXES), want)
            boxes = b"\n".join(here.lsub()[1])
            self.assertIn(b"Gr&APYA3w-e", boxes)
            # Again: nothing. Then what has changed, and only that.
            got = copy(s, self.url, "alice", *self.options,
                       password=self.password)
            self.assertEqual((got["messages"], got["changed"]), (0, 0))
            there.select("INBOX")
            there.store("1", "FLAGS", "(\\Flagged New)")
            there.append("INBOX", "(\\Seen)", DATE, b"Subject: new\r\n\r\n")
            there.select(quote("Work/2019"))
            there.store("2", "+FLAGS", "(\\Deleted)")
            there.expunge()
            here.select("INBOX")
            here.store("2", "+FLAGS", "(\\Deleted)")  # and gone it stays
            here.expunge()
            got = copy(s, self.url, "alice", *self.options,
                       password=self.password)
            self.assertEqual((got["messages"], got["changed"]), (1, 1), got)
            want = contents(there, ["INBOX"])["INBOX"]
            want = [m for i, m in enumerate(want)
                    if i != 1 and b"\\Deleted" not in m[1]]
            self.assertEqual(contents(here, ["INBOX"])["INBOX"], want)
            # Another UIDVALIDITY: fetched again, nothing twice.
            there.select("INBOX")
            there.delete(quote("Sent"))
            fill(there, ["Sent"])
            got = copy(s, self.url, "alice", *self.options,
                       password=self.password)
            self.assertEqual((got["messages"], got["known"]),
                             (0, got["known"]))
            self.assertEqual(len(contents(here, ["Sent"])["Sent"]),
                             len(MESSAGES))
            got = copy(s, self.url, "alice", *self.options,
                       password=self.password)
            self.assertEqual((got["messages"], got["changed"]), (0, 0))
            there.logout()
            here.logout()
            self.assertIn("no faults", s.pneu("mail", "check"))


class Dovecot(Real, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if shutil.which("dovecot") is None or os.geteuid() != 0:
            raise unittest.SkipTest("needs Debian's Dovecot, and root")
        cls.dir = tempfile.mkdtemp(prefix="pneu-dovecot-", dir=SCRATCH)
        cls.env = dict(os.environ, USERS="2", MAIL_FORMAT="maildir")
        for attempt in range(3):
            taken = [socket.socket() for _ in range(5)]
            for s in taken:
                s.bind(("127.0.0.1", 0))
            cls.ports = [s.getsockname()[1] for s in taken]
            for s in taken:
                s.close()
            for name, port in zip(("IMAP", "IMAPS", "POP3", "POP3S", "LMTP"),
                                  cls.ports):
                cls.env[name + "_PORT"] = str(port)
            cls.script("start", check=False)
            with contextlib.suppress(AssertionError):
                until(cls.connected, "Dovecot", PATIENCE / 3).logout()
                break
            cls.script("stop", check=False)
        else:
            with open(os.path.join(cls.dir, "dovecot.log")) as f:
                raise AssertionError("Dovecot does not start: " + f.read())
        cls.url = "imap://user1%%40example.org@localhost:%d" % cls.ports[0]
        cls.password = "pass1"
        cls.options = ("--ca", os.path.join(cls.dir, "cert.pem"))

    @classmethod
    def script(cls, command, check=True):
        return subprocess.run(
            [os.path.join(TOP, "tests", "peers", "dovecot.sh"), command,
             cls.dir], env=cls.env, check=check, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=PATIENCE)

    @classmethod
    def tearDownClass(cls):
        cls.script("stop")
        shutil.rmtree(cls.dir, ignore_errors=True)

    @classmethod
    def imap(cls, user="1"):
        c = imaplib.IMAP4("127.0.0.1", cls.ports[0], timeout=PATIENCE)
        c.login("user%s@example.org" % user, "pass" + user)
        return c

    def fill(self):
        c = self.imap()
        fill(c)
        c.logout()

    @classmethod
    def connected(cls):
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            return cls.imap()

    def test_maildir_then_copy(self):
        """The Maildir from the disk first, then the rest over IMAP: nothing
        comes twice; and ours is one that Dovecot takes as it is."""
        c = self.imap("2")
        fill(c, ["INBOX", "Gr&APYA3w-e"])
        with system() as s:
            tar = subprocess.run(
                ["tar", "c", "-C", os.path.join(self.dir, "mail", "user2"),
                 "mail"], check=True, capture_output=True).stdout
            r = subprocess.run(
                [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "import",
                 "--json", s.address("alice"), "-"], input=tar, check=True,
                capture_output=True, timeout=PATIENCE)
            self.assertEqual(json.loads(r.stdout)["messages"],
                             2 * len(MESSAGES))
            c.append("INBOX", "()", DATE, b"Subject: late\r\n\r\n")
            url = self.url.replace("user1", "user2")
            got = copy(s, url, "alice", *self.options, password="pass2")
            self.assertEqual((got["messages"], got["known"]),
                             (1, 2 * len(MESSAGES)))
            here = s.imap("alice")
            want = contents(c, ["INBOX", "Gr&APYA3w-e"])
            self.assertEqual(contents(here, ["INBOX", "Gr&APYA3w-e"]), want)
            here.logout()
            # Out again, into the place of Dovecot's own.
            for name in ("INBOX", "Gr&APYA3w-e"):
                c.select(quote(name))
                c.store("1:*", "+FLAGS", "\\Deleted")
                c.expunge()
            c.logout()
            out = os.path.join(self.dir, "mail", "user2", "mail")
            shutil.rmtree(out)
            s.pneu("mail", "export", s.address("alice"), out)
            subprocess.run(["chown", "-R", "nobody", out], check=True)
            c = self.imap("2")
            self.assertEqual(contents(c, ["INBOX", "Gr&APYA3w-e"]), want)
            c.logout()

    def test_tls(self):
        with system() as s:
            for url, options, text in (
                    (self.url, (), "certificate"),
                    (self.url.replace("@localhost", "@127.0.0.2"),
                     self.options, ""),
                    (self.url.replace("imap:", "imaps:").replace(
                        str(self.ports[0]), str(self.ports[1])), (),
                     "certificate")):
                r = copy(s, url, "alice", *options, password="pass1",
                         check=False)
                self.assertEqual(r.returncode, 1, url)
                self.assertIn(text, r.stderr)
            r = copy(s, self.url, "alice", *self.options, password="wrong",
                     check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("sign-in refused", r.stderr)
            url = self.url.replace("imap:", "imaps:").replace(
                str(self.ports[0]), str(self.ports[1]))
            copy(s, url, "alice", "--dry-run", *self.options, password="pass1")
            copy(s, url, "alice", "--dry-run", "--insecure", password="pass1")


class Pneu(Real, unittest.TestCase):
    def setUp(self):
        self.other = system(domain="old.test")
        self.url = "imap://alice%%40old.test@localhost:%d" % (
            self.other.port["imap"])
        self.password = PASSWORD
        self.options = ("--ca", certificate()[0])

    def tearDown(self):
        self.other.close()

    def imap(self):
        return self.other.imap("alice")

    def fill(self):
        c = self.imap()
        fill(c)
        c.logout()


class Server:
    """A scripted IMAP server with one user; mailboxes are {name: (uidvalidity,
    {uid: (octets, flags)})}. What it does wrong is in attributes."""

    def __init__(self, boxes, capabilities="IMAP4rev1 AUTH=PLAIN SASL-IR",
                 greeting="* OK hello"):
        self.boxes, self.capabilities = boxes, capabilities
        self.greeting = greeting
        self.attributes, self.separator = {}, "/"
        self.break_at = {}    # uid: octets of it that are sent, then the end
        self.break_times = 1  # of each
        self.refused = set()  # uids that get NO
        self.items = "UID {uid} FLAGS ({flags}) INTERNALDATE {date} BODY[] "
        self.body = None      # function: octets -> as sent
        self.step = 0         # octets at a time
        self.before = b""     # what comes before each FETCH
        self.commands, self.connections, self.fetched = [], 0, []
        self.msgid = lambda name, uid: uid
        self.select_codes = ""
        self.override = {}    # verb: what is sent in place of all
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(50)
        self.port = self.listener.getsockname()[1]
        self.url = "imap://u@127.0.0.1:%d" % self.port
        self.closed = False
        self.sockets = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while not self.closed:
            with contextlib.suppress(OSError):
                s, _ = self.listener.accept()
                self.sockets.append(s)
                self.connections += 1
                threading.Thread(target=self.serve, args=(s,),
                                 daemon=True).start()

    def close(self):
        self.closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def send(self, s, data):
        if isinstance(data, str):
            data = data.encode()
        if not self.step:
            s.sendall(data)
        for i in range(0, len(data) if self.step else 0, self.step or 1):
            s.sendall(data[i:i + self.step])

    def serve(self, s):
        with contextlib.suppress(OSError), s, s.makefile("rb") as f:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.send(s, self.greeting + "\r\n")
            self.box = None
            while True:
                line = f.readline()
                if not line:
                    return
                tag, _, rest = line.decode("utf-8", "replace").strip() \
                    .partition(" ")
                self.commands.append(rest)
                verb = (rest.split() or ["none"])[0].upper()
                if verb == "UID":
                    verb = "FETCH"
                if verb in self.override:
                    self.send(s, self.override[verb].replace("TAG", tag))
                    continue
                do = getattr(self, "do_" + verb.lower(), None)
                if do is None or not do(s, f, tag, rest):
                    return

    def ok(self, s, tag, text="done"):
        self.send(s, "%s OK %s\r\n" % (tag, text))
        return True

    def do_capability(self, s, f, tag, rest):
        self.send(s, "* CAPABILITY %s\r\n" % self.capabilities)
        return self.ok(s, tag)

    def do_authenticate(self, s, f, tag, rest):
        words = rest.split()
        if len(words) < 3:
            self.send(s, "+ \r\n")
            words.append(f.readline().decode().strip())
        self.credentials = base64.b64decode(words[2])
        return self.ok(s, tag)

    def do_login(self, s, f, tag, rest):
        self.credentials = rest.encode()
        return self.ok(s, tag)

    def do_logout(self, s, f, tag, rest):
        return False

    def do_list(self, s, f, tag, rest):
        for name in self.boxes:
            self.send(s, "* LIST (%s) %s %s\r\n" % (
                self.attributes.get(name, ""),
                '"%s"' % self.separator if self.separator else "NIL",
                quote(name)))
        return self.ok(s, tag)

    def do_lsub(self, s, f, tag, rest):
        return self.ok(s, tag)

    def do_namespace(self, s, f, tag, rest):
        self.send(s, '* NAMESPACE (("INBOX." ".")) NIL NIL\r\n')
        return self.ok(s, tag)

    def do_status(self, s, f, tag, rest):
        return self.ok(s, tag)

    def do_examine(self, s, f, tag, rest):
        name = rest.split(" ", 1)[1].replace(" (CONDSTORE)", "")
        name = name[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        self.box = name
        if name not in self.boxes:
            self.send(s, tag + " NO no such mailbox\r\n")
            return True
        uidvalidity, messages = self.boxes[name]
        self.send(s, "* FLAGS (\\Seen)\r\n* %d EXISTS\r\n* 0 RECENT\r\n"
                  "* OK [UIDVALIDITY %d] x\r\n* OK [UIDNEXT %d] x\r\n%s" % (
                      len(messages), uidvalidity,
                      max(messages, default=0) + 1, self.select_codes))
        return self.ok(s, tag, "[READ-ONLY] done")

    def do_fetch(self, s, f, tag, rest):
        _, _, wanted, items = rest.split(" ", 3)
        messages = self.boxes[self.box][1]
        last = max(messages, default=0)
        uids = []
        for part in wanted.split(","):
            low, _, high = part.partition(":")
            high = last if high == "*" else int(high or low)
            low = min(int(low), high)
            uids += [u for u in sorted(messages) if low <= u <= high]
        with_body = "BODY.PEEK[]" in items
        if with_body and self.refused & set(uids):
            self.send(s, "%s NO cannot read that\r\n" % tag)
            return True
        for uid in uids:
            octets, flags = messages[uid]
            head = "* %d FETCH (" % (sorted(messages).index(uid) + 1)
            if not with_body:
                self.send(s, head + "UID %d FLAGS (%s) INTERNALDATE %s "
                          "RFC822.SIZE %d X-GM-MSGID %d)\r\n" % (
                              uid, flags, DATE, len(octets),
                              self.msgid(self.box, uid)))
                continue
            self.send(s, self.before)
            data = head + self.items.format(uid=uid, flags=flags, date=DATE)
            if self.body:
                data = data.encode() + self.body(octets)
            else:
                data = data.encode() + b"{%d}\r\n" % len(octets) + octets
            with self.lock:
                cut = self.break_at.get(uid)
                times = self.broken = getattr(self, "broken", {})
                breaks = cut is not None and \
                    times.get(uid, 0) < self.break_times
                if breaks:
                    times[uid] = times.get(uid, 0) + 1
            if breaks:
                at = data.index(b"{") if cut == 0 else data.index(b"}") + 3 + cut
                self.send(s, data[:at])
                s.shutdown(socket.SHUT_RDWR)
                return False
            self.fetched.append(uid)
            self.send(s, data + b")\r\n")
        return self.ok(s, tag)


def some(n, size=2000):
    return {i: (b"Subject: %d\r\n\r\n" % i + b"%d\r\n" % i * size, "\\Seen")
            for i in range(1, n + 1)}


class Bad(unittest.TestCase):
    def check(self, server, n, boxes=("INBOX",), **want):
        """Copied once, and exactly."""
        want = dict({"messages": n, "failed": 0}, **want)
        with system() as s:
            r = copy(s, server.url, "alice", "--insecure", check=False)
            got = json.loads(r.stdout)
            self.assertEqual({k: got[k] for k in want}, want, r.stderr)
            self.assertEqual(r.returncode, 1 if want["failed"] else 0, r.stderr)
            c = s.imap("alice")
            found = contents(c, boxes)
            for name in boxes:
                bodies = [m[0] for m in found[name]]
                all_ = [m[0] for u, m in sorted(server.boxes[name][1].items())]
                if not want["failed"]:
                    self.assertEqual(bodies, all_)
                self.assertEqual(len(bodies), len(set(bodies)))
            c.logout()
            again = copy(s, server.url, "alice", "--insecure", check=False)
            self.assertEqual(json.loads(again.stdout)["messages"], 0)
            return r

    def test_breaks_in_a_literal(self):
        with Server({"INBOX": (7, some(10))}) as server:
            server.break_at = {3: 0, 5: 100, 6: 1, 10: 5000}
            self.check(server, 10)
            # What came whole was not asked for again.
            self.assertEqual(sorted(server.fetched), list(range(1, 11)))
            self.assertGreaterEqual(server.connections, 5)

    def test_one_that_always_breaks(self):
        with Server({"INBOX": (7, some(6))}) as server:
            server.break_at = {3: 20}
            server.break_times = 1000
            r = self.check(server, 5, failed=1)
            self.assertIn("INBOX, UID 3: the server breaks off each time",
                          r.stderr)

    def test_refuses_one(self):
        with Server({"INBOX": (7, some(6))}) as server:
            server.refused = {4}
            r = self.check(server, 5, failed=1)
            self.assertIn("UID 4: cannot read that", r.stderr)

    def test_odd_forms(self):
        """Items in another order, bodies that are quoted, octet by octet,
        things nobody asked for in between, words that we do not know."""
        small = {i: (b"Subject: %d" % i, "") for i in range(1, 5)}
        with Server({"INBOX": (7, small)}) as server:
            server.items = "X-ODD (a (b \"c)\")) INTERNALDATE {date} BODY[] "
            server.items = "X-ODD (a (b \"c)\") NIL) MODSEQ (3) UID {uid} " \
                "FLAGS ({flags}) BODY[] "
            server.body = lambda octets: b'"' + octets + b'"'
            server.step = 1
            server.before = (b"* 1 FETCH (FLAGS (\\Seen))\r\n* 9 EXISTS\r\n"
                             b"* SEARCH 1 2\r\n* ODD {3}\r\n{1}\r\n\r\n"
                             b"* OK still here {5}\r\n* VANISHED (x\r\n"
                             b"* 1 FETCH (UID 1 BODY[] NIL)\r\nZZ9 OK x\r\n")
            self.check(server, 4)
        with Server({"INBOX": (7, some(3))}) as server:
            server.items = "BODY[] "
            server.body = lambda octets: (
                b"~{%d}\r\n" % len(octets) + octets + b" UID %d FLAGS ()" %
                int(octets[9:10]))
            self.check(server, 3)

    def test_nonsense(self):
        """Each ends with a word and no mail; none with a crash or a wait."""
        for override, greeting, text in (
                ({}, "* BYE busy", "busy"),
                ({}, "220 smtp.test ESMTP", "not what was expected"),
                ({}, "x" * 300000, ""),
                ({"CAPABILITY": "TAG BAD what\r\n"}, "* OK", ""),
                ({"AUTHENTICATE": "+ !!!\r\nTAG NO go away\r\n"}, "* OK",
                 "refused"),
                ({"LIST": "TAG NO none\r\n"}, "* OK", "no list of mailboxes"),
                ({"LIST": "* LIST (\\\r\nTAG OK x\r\n"}, "* OK", None),
                ({"LIST": "* LIST () \"/\" \"..\"\r\n* LIST () \"/\" {3}\r\n"
                          "a\r\n\r\nTAG OK x\r\n"}, "* OK", ""),
                ({"EXAMINE": "TAG NO not today\r\n"}, "* OK", "not today"),
                ({"FETCH": "* 1 FETCH (UID 1 FLAGS () BODY[] "
                           "{99999999999999999999}\r\n"}, "* OK", ""),
                ({"FETCH": "* 1 FETCH (UID 1 FLAGS ((((((\r\nTAG OK\r\n"},
                 "* OK", None)):
            with self.subTest(override=override, greeting=greeting[:30]), \
                    Server({"INBOX": (7, some(2))}, greeting=greeting) as server, \
                    system() as s:
                server.override = override
                r = copy(s, server.url, "alice", "--insecure", "--timeout",
                         "1", check=False)
                self.assertIn(r.returncode, (0, 1), r.stderr)
                self.assertEqual(r.returncode, 0 if text is None else 1,
                                 r.stdout + r.stderr)
                self.assertIn(text or "", r.stderr)
                self.assertEqual(json.loads(r.stdout)["messages"], 0)

    def test_stalls(self):
        """A server that says nothing more is left after the time-out, and
        asked again."""
        with Server({"INBOX": (7, some(3))}) as server:
            stalled = []
            real = server.do_fetch

            def do_fetch(s, f, tag, rest):
                if "PEEK" in rest and not stalled:
                    stalled.append(1)
                    server.send(s, "* 1 FETCH (UID 1 BODY[] {100}\r\nxyz")
                    return True
                return real(s, f, tag, rest)
            server.do_fetch = do_fetch
            with system() as s:
                got = copy(s, server.url, "alice", "--insecure", "--timeout",
                           "1")
                self.assertEqual(got["messages"], 3)

    def test_uidvalidity_in_between(self):
        """It changes while the connection is down: the old UIDs mean nothing."""
        with Server({"INBOX": (7, some(10))}) as server:
            server.break_at = {5: 10}
            real = server.do_examine

            def do_examine(s, f, tag, rest):
                if server.connections > 1:
                    server.boxes["INBOX"] = (8, {
                        100 + u: m for u, m in some(10).items()})
                return real(s, f, tag, rest)
            server.do_examine = do_examine
            self.check(server, 10)

    def test_signing_in(self):
        with system() as s, Server({}) as server:
            # No TLS, not asked to do without, and not on this machine's word.
            r = copy(s, server.url, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("no STARTTLS", r.stderr)
            self.assertFalse(hasattr(server, "credentials"))
            copy(s, server.url, "alice", "--insecure")
            self.assertEqual(server.credentials, b"\0u\0" + PASSWORD.encode())
            server.capabilities = "IMAP4rev1"
            copy(s, server.url, "alice", "--insecure", password='pa"s\\s')
            self.assertEqual(server.credentials, b'LOGIN "u" "pa\\"s\\\\s"')
            token = os.path.join(s.dir, "token")
            with open(token, "w") as f:
                f.write("ya29.x\n")
            for caps, want in (
                    ("AUTH=XOAUTH2 AUTH=PLAIN",
                     b"user=u\1auth=Bearer ya29.x\1\1"),
                    ("AUTH=XOAUTH2 AUTH=OAUTHBEARER SASL-IR",
                     b"n,a=u,\1host=127.0.0.1\1auth=Bearer ya29.x\1\1")):
                server.capabilities = "IMAP4rev1 " + caps
                copy(s, server.url, "alice", "--insecure", "--token-file",
                     token)
                self.assertEqual(server.credentials, want)
            server.capabilities = "IMAP4rev1 LOGINDISABLED"
            r = copy(s, server.url, "alice", "--insecure", check=False)
            self.assertIn("no way to sign in", r.stderr)
            for url in ("http://x", "imap://host", "imap://a:secret@host"):
                self.assertEqual(copy(s, url, check=False).returncode, 1)
            r = copy(s, server.url, "nobody", check=False)
            self.assertIn("no such account", r.stderr)

    def test_names_and_uses(self):
        """Courier's prefix and separator; special uses go to ours."""
        boxes = {n: (1, {1: (b"Subject: %d\r\n\r\n" % i, "")})
                 for i, n in enumerate(("INBOX", "INBOX.Sent Items",
                                        "INBOX.a.b", "INBOX.x/y",
                                        "INBOX.Gr&APYA3w-e"))}
        with Server(boxes, "IMAP4rev1 AUTH=PLAIN NAMESPACE") as server, \
                system() as s:
            server.separator = "."
            server.attributes = {"INBOX.Sent Items": "\\Sent"}
            got = copy(s, server.url, "alice", "--insecure")
            self.assertEqual(got["messages"], 5)
            c = s.imap("alice")
            for name in ("INBOX", "Sent", "a/b", "x_y", "Gr&APYA3w-e"):
                self.assertEqual(len(contents(c, [name])[name]), 1, name)
            c.logout()
            got = copy(s, server.url, "bob", "--insecure", "--into", "Old",
                       "--except", "a/b", "--except", "Sent Items")
            self.assertEqual(got["messages"], 3)
            c = s.imap("bob")
            contents(c, ["Old", "Old/x_y"])
            c.logout()

    def test_condstore(self):
        """Only changes are asked for."""
        with Server({"INBOX": (7, some(5))},
                    "IMAP4rev1 AUTH=PLAIN CONDSTORE") as server, system() as s:
            server.select_codes = "* OK [HIGHESTMODSEQ 10] x\r\n"
            copy(s, server.url, "alice", "--insecure")
            del server.commands[:]
            copy(s, server.url, "alice", "--insecure")
            self.assertFalse([c for c in server.commands if "FETCH" in c])
            server.select_codes = "* OK [HIGHESTMODSEQ 12] x\r\n"
            copy(s, server.url, "alice", "--insecure")
            self.assertEqual([c for c in server.commands if "FETCH" in c],
                             ["UID FETCH 1:5 (UID FLAGS) (CHANGEDSINCE 10)"])

    def test_gmail(self):
        """One message with several labels is had once more at most: not again
        in All Mail; the views are left out."""
        m = some(4)
        boxes = {"[Gmail]/All Mail": (3, m), "INBOX": (1, {1: m[1]}),
                 "Label": (2, {5: m[2]}), "[Gmail]/Starred": (4, {1: m[1]})}
        with Server(boxes, "IMAP4rev1 AUTH=PLAIN X-GM-EXT-1") as server, \
                system() as s:
            server.attributes = {"[Gmail]/All Mail": "\\All",
                                 "[Gmail]/Starred": "\\Flagged"}
            server.msgid = lambda name, uid: 1000 + (
                2 if name == "Label" else uid)
            for expected in (4, 0):
                got = copy(s, server.url, "alice", "--insecure")
                self.assertEqual(got["messages"], expected)
            c = s.imap("alice")
            found = contents(c, ["INBOX", "Label", "[Gmail]/All Mail"])
            self.assertEqual([len(v) for v in found.values()], [1, 1, 2])
            c.logout()

    def test_killed(self):
        """Ours is killed, again and again: each message once in the end."""
        with Server({"INBOX": (7, some(600, 10))}) as server, system() as s:
            for wanted in (150, 350):
                p = subprocess.Popen(
                    [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "copy",
                     "--insecure", server.url, s.address("alice")],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                p.stdin.write(PASSWORD.encode() + b"\n")
                p.stdin.close()
                until(lambda: len(server.fetched) >= wanted or
                      p.poll() is not None)
                p.kill()
                p.wait()
            copy(s, server.url, "alice", "--insecure")
            c = s.imap("alice")
            self.assertEqual([m[0] for m in contents(c, ["INBOX"])["INBOX"]],
                             [m[0] for m in server.boxes["INBOX"][1].values()])
            c.logout()

    def test_quota(self):
        with Server({"INBOX": (7, some(10))}) as server, system() as s:
            s.pneu("account", "set", s.address("alice"), "--quota", "30000")
            r = copy(s, server.url, "alice", "--insecure", check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn("is full", r.stderr)
            got = copy(s, server.url, "alice", "--insecure", "--ignore-quota")
            self.assertEqual(got["messages"] + got["known"], 10)


class Memory(unittest.TestCase):
    def test_constant(self):
        """100 MB, some of it in large messages: no more than 8 MiB."""
        if "san" in BUILD:
            self.skipTest("sanitizers keep memory")
        peaks = []
        for count in (2, 20):
            big = {i: (b"Subject: %d\r\n\r\n" % i + b"x" * 76 + b"\r\n" +
                       (b"%078d\r\n" % i) * 65000, "") for i in range(count)}
            big = {i + 1: m for i, m in big.items()}
            with Server({"INBOX": (7, big)}) as server, system() as s:
                p = subprocess.Popen(
                    [os.path.join(BUILD, "pneu-mailbox"), "-c", s.conf, "copy",
                     "--insecure", server.url, s.address("alice")],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
                p.stdin.write(PASSWORD.encode() + b"\n")
                p.stdin.close()
                most = 0
                while p.poll() is None:
                    with contextlib.suppress(OSError, IndexError):
                        with open("/proc/%d/status" % p.pid) as f:
                            text = f.read()
                        if text.startswith("Name:\tpneu-mailbox"):
                            most = max(most, int(
                                text.split("RssAnon:")[1].split()[0]))
                    time.sleep(0.005)
                self.assertEqual(p.returncode, 0)
                peaks.append(most)
        self.assertLess(peaks[1] - peaks[0], 8 << 10, peaks)


if __name__ == "__main__":
    unittest.main()
