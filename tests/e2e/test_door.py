# SPDX-License-Identifier: ISC
"""The two-way door: mail comes in from Maildir, mbox and tar, and goes out;
what goes out, in and out again is the same octet by octet."""
import contextlib
import gzip
import io
import json
import os
import subprocess
import tarfile
import time
import unittest

from pneu import BUILD, PATIENCE, System, until

FROM = b"From somebody at some time\r\n>From quoted\r\n>>From twice\r\n"
# name: (octets as stored, time, Maildir info)
MESSAGES = [
    (b"Subject: plain\n\nbody\n", 1000000000, "S"),
    (b"Subject: from lines\n\n" + FROM.replace(b"\r\n", b"\n") + b"From \n",
     1000000001, "FRS"),
    (b"Subject: 8bit \xc3\xbc\n\n\xff\xfe raw \x80 octets\n", 1700000000, "T"),
    (b"Subject: long\n\n" + b"x" * 70000 + b"\nFrom x\n" + b"y" * 5000,
     1600000000, "D"),
    (b"Subject: no end", 1600000001, ""),
    (b"\nno header\n\n\n", 1600000002, "P"),
    (b"Subject: blanks\n\n\n\n\n", 1600000003, "Sab"),
    (b"Subject: crcr\r\n\r\nx\r\r\ny\r\n", 1600000004, "a"),
    (b"Status: R\nX-Keywords: mine\nContent-Length: 3\nSubject: own\n\nabc\n",
     1600000005, "b"),
    (b"Subject: big\n\n" + b"z" * 78 + b"\n" * 300000, 1600000006, "S"),
]
# folders as Dovecot names them, and what they are called here
FOLDERS = {
    "": "INBOX",
    ".Sent": "Sent",
    ".Gr&APYA3w-e": "Gr\xf6\xdfe",
    ".a.b.c": "a/b/c",
    ".dot&AC4-dot": "dot.dot",
    ".amp&-amp": "amp&amp",
    ".quo\"te * % [x] ~": "quo\"te * % [x] ~",
    ".&ZeVnLIqe-": "\u65e5\u672c\u8a9e",
}


def system(**kw):
    kw.setdefault("programs", ())
    kw.setdefault("accounts", ("alice", "bob"))
    return System(**kw)


def mail(s, *args, stdin=None, check=True, env=None, binary=False):
    """pneu mail ...; its standard output."""
    r = subprocess.run([os.path.join(BUILD, "pneu"), "-c", s.conf, "mail",
                        *args], stdin=stdin, capture_output=True,
                       timeout=PATIENCE * 5, env=env)
    if check and r.returncode != 0:
        raise AssertionError("pneu mail %s: exit %d: %s%s" % (
            " ".join(args), r.returncode, r.stdout[-2000:], r.stderr[-4000:]))
    if not check:
        return r
    return r.stdout if binary else r.stdout.decode()


def report(s, *args, **kw):
    return json.loads(mail(s, *args[:1], "--json", *args[1:], **kw))


def make_maildir(top, messages=MESSAGES, folders=FOLDERS):
    for i, folder in enumerate(folders):
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(top, folder, sub))
        with open(os.path.join(top, folder, "dovecot-keywords"), "w") as f:
            f.write("0 $Junk\n1 Zebra-%d\n2 unused\n" % i)
        for n, (text, when, info) in enumerate(messages):
            path = os.path.join(top, folder, "cur", "%d.M%dP1.host,S=%d:2,%s"
                                % (when, n, len(text), info))
            with open(path, "wb") as f:
                f.write(text)
            os.utime(path, (when, when))
    with open(os.path.join(top, "subscriptions"), "w") as f:
        f.write("V\t2\n\nINBOX\nSent\na\tb\tc\ngone\n")


def tree(top):
    """path: (time of messages, octets)"""
    found = {}
    for at, dirs, files in os.walk(top):
        for name in dirs:
            found[os.path.relpath(os.path.join(at, name), top)] = None
        for name in files:
            path = os.path.join(at, name)
            with open(path, "rb") as f:
                data = f.read()
            when = int(os.stat(path).st_mtime) if "/cur" in at else 0
            found[os.path.relpath(path, top)] = (when, data)
    return found


def messages(s, account, mailbox="INBOX"):
    return json.loads(mail(s, "messages", "--json", s.address(account),
                           mailbox))


def show(s, account, mailbox, uid):
    return mail(s, "show", s.address(account), mailbox, str(uid), binary=True)


class Maildir(unittest.TestCase):
    def test_there_and_back(self):
        """Through every format: what was exported from the account that it was
        imported to is the same."""
        with system(accounts=("alice", "bob", "carol", "dave")) as s:
            source = os.path.join(s.dir, "source")
            make_maildir(source)
            n = len(MESSAGES) * len(FOLDERS)
            got = report(s, "import", s.address("alice"), source)
            self.assertEqual((got["messages"], got["failed"]), (n, 0))
            one = os.path.join(s.dir, "one")
            got = report(s, "export", s.address("alice"), one)
            self.assertEqual(got["messages"], n)
            first = tree(one)
            steps = [("maildir", "bob"), ("tar", "carol"), ("mboxes", "dave")]
            for form, account in steps:
                there = os.path.join(s.dir, "out." + form)
                again = os.path.join(s.dir, "again." + form)
                mail(s, "export", "--format", form, s.address("alice"), there)
                got = report(s, "import", s.address(account), there)
                self.assertEqual((got["messages"], got["failed"]), (n, 0), form)
                mail(s, "export", "--format", form, s.address(account), again)
                if form == "tar":
                    with open(there, "rb") as a, open(again, "rb") as b:
                        self.assertTrue(a.read() == b.read(), form)
                else:
                    self.assertTrue(tree(there) == tree(again), form)
                there = os.path.join(s.dir, "maildir-" + form)
                mail(s, "export", s.address(account), there)
                second = tree(there)
                if form == "mboxes":  # has no subscriptions
                    second.pop("subscriptions")
                    first = {k: v for k, v in first.items()
                             if k != "subscriptions"}
                self.assertEqual(sorted(first), sorted(second), form)
                self.assertTrue(first == second, form)

    def test_what_comes_in(self):
        with system() as s:
            source = os.path.join(s.dir, "source")
            make_maildir(source)
            mail(s, "import", s.address("alice"), source)
            boxes = {b["mailbox"]: b for b in json.loads(
                mail(s, "list", "--json", s.address("alice")))}
            for name in FOLDERS.values():
                self.assertEqual(boxes[name]["messages"], len(MESSAGES), name)
            self.assertNotIn("a", boxes)  # a name only
            self.assertTrue(boxes["a/b/c"]["subscribed"])
            self.assertFalse(boxes["dot.dot"]["subscribed"])
            self.assertTrue(boxes["Trash"]["subscribed"])
            got = messages(s, "alice", "Gr\xf6\xdfe")
            # in the order of their names
            order = sorted(range(len(MESSAGES)), key=lambda i: MESSAGES[i][1])
            for i, m in zip(order, got):
                text, when, info = MESSAGES[i]
                self.assertEqual(
                    show(s, "alice", "Gr\xf6\xdfe", m["uid"]),
                    text if b"\r\n" in text else text.replace(b"\n", b"\r\n"))
                letters = {"S": "S", "R": "R", "F": "F", "T": "T", "D": "D"}
                self.assertEqual({c for c in m["flags"] if c != "-"},
                                 {c for c in info if c in letters}, m)

    def test_twice_and_changed(self):
        """A second import brings nothing but what is new; flags that have
        changed at the source are changed here, others are left alone."""
        with system() as s:
            source = os.path.join(s.dir, "source")
            make_maildir(source, folders=[""])
            address = s.address("alice")
            got = report(s, "import", "--dry-run", address, source)
            self.assertEqual((got["messages"], got["known"]),
                             (len(MESSAGES), 0))
            self.assertEqual(json.loads(mail(s, "accounts", "--json")), [])
            mail(s, "import", address, source)
            cur = os.path.join(source, "cur")
            name = next(n for n in os.listdir(cur) if n.startswith("1000000000"))
            os.rename(os.path.join(cur, name), os.path.join(cur, name + "F"))
            with open(os.path.join(source, "new", "1900000000.x"), "wb") as f:
                f.write(b"Subject: new\n\n")
            # alike in all with another one
            with open(os.path.join(source, "new", "1900000001.x"), "wb") as f:
                f.write(MESSAGES[0][0])
            got = report(s, "import", "--dry-run", address, source)
            self.assertEqual((got["messages"], got["known"], got["changed"]),
                             (2, len(MESSAGES), 1))
            got = report(s, "import", address, source)
            self.assertEqual((got["messages"], got["known"], got["changed"]),
                             (2, len(MESSAGES), 1))
            self.assertEqual(messages(s, "alice")[0]["flags"], "S-F--")
            got = report(s, "import", address, source)
            self.assertEqual((got["messages"], got["changed"]), (0, 0))
            self.assertEqual(len(messages(s, "alice")), len(MESSAGES) + 2)

    def test_order_and_lists(self):
        """UIDs of dovecot-uidlist say the order; Courier's keywords, dates and
        subscriptions; folders in folders; a compressed message."""
        with system(programs=("mailbox",)) as s:
            source = os.path.join(s.dir, "source")
            for d in ("cur", "new", "tmp", "Work/2019/cur", ".Old.Er/cur",
                      "courierimapkeywords"):
                os.makedirs(os.path.join(source, d))
            for name, text in (("100.a", b"a\n"), ("200.b,S=2:2,S", b"b\n"),
                               ("300.c", b"c\n")):
                with open(os.path.join(source, "cur", name), "wb") as f:
                    f.write(b"Subject: " + text)
            with gzip.open(os.path.join(source, "Work/2019/cur/1.z"), "wb") as f:
                f.write(b"Subject: packed\n\n")
            with open(os.path.join(source, ".Old.Er/cur/2.y"), "wb") as f:
                f.write(b"Subject: old\n\n")
            with open(os.path.join(source, "dovecot-uidlist"), "w") as f:
                f.write("3 V1 N9 Gabc\n5 :300.c\n7 W33 :200.b,S=2\n8 :100.a\n")
            with open(os.path.join(source, "courierimapkeywords/:list"),
                      "w") as f:
                f.write("$Label1\nblue\n\n300.c:0 1\n200.b,S=2:1\n")
            with open(os.path.join(source, "courierimapsubscribed"), "w") as f:
                f.write("INBOX\nINBOX.Old.Er\n")
            os.symlink("/etc/passwd", os.path.join(source, "cur", "400.link"))
            open(os.path.join(source, "cur", "500.empty"), "w").close()
            r = mail(s, "import", "--json", s.address("alice"), source,
                     check=False)
            self.assertEqual(r.returncode, 1, r.stderr)  # two are no messages
            got = json.loads(r.stdout)
            self.assertEqual((got["messages"], got["failed"]), (5, 2))
            self.assertIn(b"400.link", r.stderr)
            self.assertIn(b"500.empty: is empty", r.stderr)
            self.assertEqual([m["subject"] for m in messages(s, "alice")],
                             ["c", "b", "a"])
            self.assertEqual(
                messages(s, "alice", "Work/2019")[0]["subject"], "packed")
            c = s.imap("alice")
            c.select("INBOX")
            flags = [f.decode().lower() for f in c.fetch("1:*", "FLAGS")[1]]
            self.assertIn("$label1", flags[0])
            self.assertIn("blue", flags[0])
            self.assertIn("blue", flags[1])
            self.assertNotIn("blue", flags[2])
            subscribed = b"\n".join(c.lsub()[1])
            self.assertIn(b"Old/Er", subscribed)
            self.assertNotIn(b"Work/2019", subscribed)
            c.logout()

    def test_killed_and_again(self):
        """An import that is killed again and again ends with each message once."""
        with system() as s:
            source = os.path.join(s.dir, "source")
            os.makedirs(os.path.join(source, "cur"))
            for i in range(3000):
                with open(os.path.join(source, "cur", "%d.x" % i), "wb") as f:
                    f.write(b"Subject: %d\n\ntext\n" % i)
            address = s.address("alice")
            for wanted in (1, 700, 1900):
                p = subprocess.Popen(
                    [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail",
                     "import", address, source], stdout=subprocess.DEVNULL)
                until(lambda: p.poll() is not None or self.count(s) >= wanted)
                p.kill()
                p.wait()
            mail(s, "import", address, source)
            self.assertEqual([m["subject"] for m in messages(s, "alice")],
                             [str(i) for i in range(3000)])
            self.assertIn("no faults", mail(s, "check"))

    @staticmethod
    def count(s):
        return sum(a["messages"] for a in json.loads(
            mail(s, "accounts", "--json")))

    def test_export_again(self):
        """A second export to the same folder brings it up to date."""
        with system(programs=("mailbox",)) as s:
            source, out = (os.path.join(s.dir, n) for n in ("source", "out"))
            make_maildir(source, folders=[""])
            address = s.address("alice")
            mail(s, "import", address, source)
            mail(s, "export", address, out)
            with open(os.path.join(out, "cur", "foreign"), "w") as f:
                f.write("x")
            got = report(s, "export", address, out)
            self.assertEqual((got["messages"], got["known"]),
                             (0, len(MESSAGES)))
            c = s.imap("alice")
            c.select("INBOX")
            c.store("1", "+FLAGS", "(\\Flagged \\Answered)")
            c.store(str(len(MESSAGES)), "+FLAGS", "(\\Deleted)")
            c.expunge()
            c.logout()
            mail(s, "export", address, out)
            fresh = os.path.join(s.dir, "fresh")
            mail(s, "export", address, fresh)
            os.unlink(os.path.join(out, "cur", "foreign"))
            self.assertEqual(tree(out), tree(fresh))
            # What is there and no export is left alone.
            r = mail(s, "export", address, "/etc", check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(b"neither empty nor a Maildir", r.stderr)


class Others(unittest.TestCase):
    def test_tar_stream(self):
        """Through a pipe, compressed, with the lists behind the messages and
        hard links; one that breaks off gives what it has."""
        with system() as s:
            source = os.path.join(s.dir, "Maildir")
            make_maildir(source, folders=["", ".a.b"])
            first = os.path.join(
                source, "cur", sorted(os.listdir(source + "/cur"))[0])
            os.link(first, os.path.join(source, "new", "1900000000.link"))
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w:gz") as t:
                t.add(source + "/cur", "./home/Maildir/cur")
                t.add(source + "/new", "./home/Maildir/new")
                t.add(source + "/.a.b", "./home/Maildir/.a.b")
                t.add(source + "/dovecot-keywords",
                      "./home/Maildir/dovecot-keywords")
            self.assertEqual(self.pour(s, "alice", data.getvalue()), (21, 0, 0))
            out = mail(s, "export", s.address("alice"), "-", binary=True)
            r = mail(s, "export", "--json", s.address("alice"), "-",
                     check=False)
            self.assertTrue(r.stdout == out)
            self.assertEqual(json.loads(
                r.stderr[r.stderr.index(b"{"):])["messages"], 21)
            with tarfile.open(fileobj=io.BytesIO(out)) as t:
                names = t.getnames()
            self.assertIn(".a.b/cur", names)
            self.assertIn("dovecot-keywords", names)
            self.assertEqual(self.pour(s, "bob", out), (21, 0, 0))
            self.assertEqual(out, mail(s, "export", s.address("bob"), "-",
                                       binary=True))
            rc, messages_, failed = self.pour(s, "bob", out[:len(out) // 2])[::-1]
            self.assertEqual((rc, failed), (1, 0))  # nothing that is new
            self.assertGreater(messages_, 0)  # ... broke off

    def pour(self, s, account, data):
        """(messages, failed, exit status) of an import from a pipe"""
        r = subprocess.run(
            [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "import",
             "--json", s.address(account), "-"], input=data,
            capture_output=True, timeout=PATIENCE)
        got = json.loads(r.stdout)
        return got["messages"], got["failed"], r.returncode

    def test_mbox_variants(self):
        """The four variants, told and seen; a folder of them."""
        body = b"line\n\nFrom the past\n>From quoted\nend\n"
        when = b"From x@y.test Thu Nov 26 10:00:00 2020\n"
        head = b"Subject: m\nStatus: RO\nX-Status: AF\nX-Keywords: k1 k2\n"
        quoted = body.replace(b"From the", b">From the")
        rd = quoted.replace(b">From q", b">>From q")
        cl = b"Content-Length: %d\n"
        variants = {
            "mboxo": (when + head + b"\n" + quoted + b"\n",
                      body.replace(b">From q", b"From q")),
            "mboxrd": (when + head + b"\n" + rd + b"\n", body),
            "mboxcl": (when + head + cl % len(quoted) + b"\n" + quoted + b"\n",
                       body.replace(b">From q", b"From q")),
            "mboxcl2": (when + head + cl % len(body) + b"\n" + body + b"\n",
                        body),
        }
        with system() as s:
            folder = os.path.join(s.dir, "mboxes")
            os.makedirs(os.path.join(folder, "Deep.sbd"))
            for form, (text, want) in variants.items():
                path = os.path.join(folder, form)
                with open(path, "wb") as f:
                    f.write(text * 2)
                mail(s, "import", "--format", form, "--into", form,
                     s.address("alice"), path)
                got = messages(s, "alice", form)
                self.assertEqual([m["flags"] for m in got], ["SRF--"] * 2, form)
                self.assertEqual(show(s, "alice", form, got[0]["uid"]),
                                 b"Subject: m\r\n\r\n" +
                                 want.replace(b"\n", b"\r\n"), form)
            os.rename(folder + "/mboxrd", folder + "/Deep.sbd/mboxrd")
            open(folder + "/Deep", "w").close()
            with open(folder + "/notes.txt", "w") as f:
                f.write("no mail\n")
            got = report(s, "import", s.address("bob"), folder)
            self.assertEqual((got["messages"], got["skipped"]), (8, 1))
            boxes = {b["mailbox"]: b["messages"] for b in json.loads(
                mail(s, "list", "--json", s.address("bob")))}
            self.assertEqual(boxes["Deep/mboxrd"], 2)
            self.assertEqual(boxes["Deep"], 0)
            self.assertEqual(
                show(s, "bob", "mboxcl2", 1).split(b"\r\n\r\n", 1)[1],
                body.replace(b"\n", b"\r\n"))

    def test_some_mailboxes(self):
        with system() as s:
            source = os.path.join(s.dir, "source")
            make_maildir(source)
            address = s.address("alice")
            mail(s, "import", "--mailbox", "inbox", "--mailbox", "a/b/c",
                 "--into", "Old", address, source)
            boxes = {b["mailbox"]: b["messages"] for b in json.loads(
                mail(s, "list", "--json", address))}
            self.assertEqual(boxes["Old"], len(MESSAGES))
            self.assertEqual(boxes["Old/a/b/c"], len(MESSAGES))
            self.assertNotIn("Old/Sent", boxes)
            out = os.path.join(s.dir, "one.mbox")
            mail(s, "export", "--mailbox", "Old/a/b/c", address, out)
            got = report(s, "import", s.address("bob"), out)
            self.assertEqual(got["messages"], len(MESSAGES))
            mail(s, "export", "--mailbox", "Old/a/b/c", address, out)
            with open(out, "wb") as f:
                f.write(b"From me\n\nmine\n")
            r = mail(s, "export", address, out, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(b"not of our making", r.stderr)

    def test_quota_and_mistakes(self):
        with system() as s:
            source = os.path.join(s.dir, "source")
            make_maildir(source, folders=[""])
            address = s.address("alice")
            s.pneu("account", "set", address, "--quota", "100000")
            r = mail(s, "import", address, source, check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(b"is full", r.stderr)
            got = report(s, "import", "--ignore-quota", address, source)
            self.assertEqual(got["messages"] + got["known"], len(MESSAGES))
            for args, status, text in (
                    (("import", "nobody@example.test", source), 1,
                     b"no such account"),
                    (("import", address, "/nowhere"), 1, b"No such file"),
                    (("import", address, s.conf), 1, b"neither a Maildir"),
                    (("import", "--format", "pst", address, source), 1,
                     b"no such format"),
                    (("import", address), 64, b"usage"),
                    (("import", "--bogus", address, source), 64, b"usage"),
                    (("export", "--ignore-quota", address, "x"), 64, b"usage"),
                    (("export", "nobody@example.test", "x"), 1,
                     b"no such account")):
                r = mail(s, *args, check=False)
                self.assertEqual(r.returncode, status, args)
                self.assertIn(text, r.stderr, args)

    def test_damaged_message(self):
        """A message that is damaged in the store costs that message."""
        with system() as s:
            source = os.path.join(s.dir, "source")
            os.makedirs(source + "/cur")
            for i in range(3):
                with open(source + "/cur/%d.x" % i, "wb") as f:
                    f.write(b"Subject: %d\n\nMARK%d\n" % (i, i) +
                            os.urandom(2000).hex().encode())
            mail(s, "import", s.address("alice"), source)
            blobs = os.path.join(s.dir, "data", "mails", "blobs")
            for name in os.listdir(blobs):
                path = os.path.join(blobs, name)
                with open(path, "r+b") as f:
                    data = f.read()
                    at = len(data) // 2
                    f.seek(at)
                    f.write(bytes([data[at] ^ 0xff]))
            out = os.path.join(s.dir, "out")
            r = mail(s, "export", "--json", s.address("alice"), out,
                     check=False)
            self.assertEqual(r.returncode, 1)
            got = json.loads(r.stdout)
            self.assertEqual((got["messages"], got["failed"]), (2, 1))
            self.assertIn(b"damaged; passed over", r.stderr)


class Memory(unittest.TestCase):
    def test_constant(self):
        """Ten times the mail takes no more than 8 MiB more memory."""
        if "san" in BUILD:
            self.skipTest("sanitizers keep memory")
        with system() as s:
            text = b"x" * 76 + b"\n"
            sizes = [2000, 400000, 12000000]  # own file, segment, both
            peaks = {}
            for name, count in (("alice", 8), ("bob", 80)):
                source = os.path.join(s.dir, name)
                os.makedirs(source + "/cur")
                for i in range(count):
                    size = sizes[i % 8 if i % 8 < 3 else 0]
                    with open(source + "/cur/%d.x" % i, "wb") as f:
                        f.write(b"Subject: %d\n\n" % i)
                        f.write(text * (size // len(text)))
                address, out = s.address(name), os.path.join(s.dir, "o" + name)
                peaks[name] = [
                    self.peak(s, "import", address, source),
                    self.peak(s, "export", address, out),
                    self.peak(s, "export", address, out + ".tar"),
                    self.peak(s, "import", "--into", "x", address,
                              out + ".tar"),
                    self.peak(s, "export", "--format", "mboxes", address,
                              out + ".m"),
                    self.peak(s, "import", "--into", "y", address, out + ".m")]
            for a, b in zip(peaks["alice"], peaks["bob"]):
                self.assertLess(b - a, 8 << 10, peaks)

    def peak(self, s, *args):
        """KiB of the process at its largest, the store's map apart."""
        p = subprocess.Popen(
            [os.path.join(BUILD, "pneu-mailbox"), "-c", s.conf, *args],
            stdout=subprocess.DEVNULL)
        most = 0
        while p.poll() is None:
            with contextlib.suppress(OSError, IndexError):
                with open("/proc/%d/status" % p.pid) as f:
                    text = f.read()
                if text.startswith("Name:\tpneu-mailbox"):  # not ours before
                    most = max(most,
                               int(text.split("RssAnon:")[1].split()[0]))
            time.sleep(0.002)
        self.assertEqual(p.returncode, 0, args)
        return most


if __name__ == "__main__":
    unittest.main()
