# SPDX-License-Identifier: ISC
"""Mail that is sealed at rest: read by every protocol and tool as any other,
and not to be found in the files."""
import base64
import glob
import json
import os
import shutil
import subprocess
import unittest

from imapraw import Imap
from pneu import BUILD, PASSWORD, System, until
from test_oauth import SECRET, Introspection, bearer

ALICE = "alice@example.test"
MARK = "quicksilver"
PROGRAMS = ("guard", "mailbox", "qm", "mta")
SERVER = {"mailbox": {"encryption": "server", "compression": 0}}
ACCOUNT = {"mailbox": {"encryption": "account", "compression": 0}}


def message(i, size=0):
    body = "Body %d of %s.\r\n" % (i, MARK)
    body += (MARK + "\r\n") * (size // (len(MARK) + 2))
    return ("From: <%s@else.test>\r\nSubject: %s %d\r\n\r\n%s" % (
        MARK, MARK, i, body)).encode()


def in_files(directory, text):
    """The files below that have the text, in whatever case."""
    found = []
    for path in glob.glob(os.path.join(directory, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as f:
                if text.encode() in f.read().lower():
                    found.append(path)
    return found


class Sealed(unittest.TestCase):
    def start(self, conf, **kw):
        s = System(programs=PROGRAMS, conf=conf, **kw)
        s.__enter__()
        self.addCleanup(s.__exit__, None, None, None)
        self.store = os.path.join(s.dir, "data", "mails")
        return s

    def login(self, s, account=ALICE):
        c = Imap(s.port["imaps"], tls=True)
        self.addCleanup(c.close)
        c.ok("LOGIN %s %s" % (account, PASSWORD))
        return c

    def assert_all_there(self, s, account, mailbox, numbers):
        """By IMAP: ENVELOPE and all of each message."""
        c = self.login(s, account)
        c.ok('SELECT "%s"' % mailbox)
        r = c.ok("FETCH 1:* (ENVELOPE BODY.PEEK[])")
        text = b"".join(r.untagged)
        for i in numbers:
            self.assertIn(b'"%s %d"' % (MARK.encode(), i), text)
            self.assertIn(b"Body %d of %s." % (i, MARK.encode()), text)
        r = c.ok("SEARCH BODY \"body %d of\"" % numbers[0])
        self.assertEqual(len(r.search()), 1, r.untagged)
        c.close()

    def named(self, c):
        """Names of every kind that have the mark."""
        box = '"%s box"' % MARK
        c.ok("CREATE %s" % box)
        c.ok("SUBSCRIBE later-%s" % MARK)
        c.ok("CREATE old-%s/below" % MARK)
        c.ok("DELETE old-%s/below" % MARK)
        c.append("INBOX", message(90))
        c.ok("SELECT INBOX")
        c.ok("STORE * +FLAGS (%s-word)" % MARK)
        c.ok("COPY * %s" % box)
        c.ok("MOVE * old-%s" % MARK)
        c.ok("SELECT %s" % box)
        return self.names_of(c)

    def names_of(self, c):
        names = c.ok('LIST "" "*"').untagged + c.ok('LSUB "" "*"').untagged
        names = sorted(u for u in names if MARK.encode() in u)
        self.assertGreaterEqual(len(names), 3, names)
        c.ok('SELECT "%s box"' % MARK)
        self.assertIn(b"%s-word" % MARK.encode(),
                      b"".join(c.ok("FETCH 1 FLAGS").untagged))
        return names

    def test_server_end_to_end(self):
        s = self.start(SERVER)
        s.send("x@else.test", ["alice"], message(1))
        s.send("x@else.test", ["alice", "bob"], message(2))
        s.send("x@else.test", ["alice"], message(3, 400000))
        c = self.login(s)
        c.append("INBOX", message(4))
        c.ok("SELECT INBOX")
        c.ok("COPY 1:4 Archive")
        c.ok("MOVE 3 Trash")
        for mailbox, numbers in (("INBOX", [1, 2, 4]), ("Trash", [3]),
                                 ("Archive", [1, 2, 3, 4])):
            self.assert_all_there(s, ALICE, mailbox, numbers)
        self.named(c)
        self.assert_all_there(s, "bob@example.test", "INBOX", [2])
        p = s.pop3("alice")
        self.assertIn(b"Body 2 of " + MARK.encode() + b".", p.retr(2)[1])
        p.quit()
        # Expunged, brought back; under #deleted in between.
        c.ok("SELECT INBOX")
        c.ok("STORE 1 +FLAGS (\\Deleted)")
        c.ok("EXPUNGE")
        self.assert_all_there(s, ALICE, "#deleted/INBOX", [1])
        s.pneu("mail", "undelete", ALICE)
        self.assert_all_there(s, ALICE, "INBOX", [1, 2, 4])
        self.assertIn("no faults", s.pneu("mail", "check"))
        # Out and in again.
        tar = os.path.join(s.dir, "out.tar")
        s.pneu("mail", "export", ALICE, tar)
        self.assertEqual(in_files(s.dir, MARK), [tar])
        s.pneu("mail", "import", "bob@example.test", tar)
        self.assert_all_there(s, "bob@example.test", "Archive", [1, 2, 3, 4])
        os.unlink(tar)
        names = self.names_of(self.login(s))
        self.backup(s)
        self.assertEqual(self.names_of(self.login(s)), names)
        s.stop("mailbox")
        self.assertEqual(in_files(s.dir, MARK), [])
        self.key_is_needed(s)

    def backup(self, s):
        copy = os.path.join(s.dir, "copy")
        said = s.pneu("mail", "backup", copy)
        self.assertIn("sealing.key, is not in it: keep a copy", said)
        self.assertIn("no faults", s.pneu("mail", "verify", copy))
        self.assertEqual(in_files(copy, MARK), [])
        self.assertFalse(os.path.exists(os.path.join(copy, "sealing.key")))
        s.stop("mailbox")
        key = os.path.join(self.store, "sealing.key")
        kept = os.path.join(s.dir, "kept.key")
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        shutil.move(key, kept)
        shutil.rmtree(self.store)
        s.pneu("mail", "restore", copy)
        shutil.rmtree(copy)
        shutil.move(kept, key)
        s.start("mailbox")
        self.assert_all_there(s, ALICE, "INBOX", [1, 2, 4])

    def key_is_needed(self, s):
        """Another key, or none: said, and no second one is made."""
        key = os.path.join(self.store, "sealing.key")
        os.rename(key, key + ".old")
        r = s.pneu("mail", "messages", ALICE, check=False)
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("it is gone, and there is mail that was sealed with it",
                      r.stderr)
        self.assertFalse(os.path.exists(key))
        with open(key, "wb") as f:
            f.write(bytes(32))
        r = s.pneu("mail", "messages", ALICE, check=False)
        self.assertIn("sealed with another key", r.stderr)
        os.rename(key + ".old", key)
        self.assertIn("no faults", s.pneu("mail", "check"))
        s.start("mailbox")

    def test_made_again(self):
        """The rows are lost: names and keywords come back, sealed."""
        s = self.start(ACCOUNT)
        c = self.login(s)
        c.ok('CREATE "%s box"' % MARK)
        for i in range(3):
            c.append('"%s box"' % MARK, message(i),
                     "(\\Seen %s-word) " % MARK)
        c.close()
        s.stop("mailbox")
        for name in ("data.mdb", "lock.mdb"):
            os.unlink(os.path.join(self.store, name))
        s.pneu("mail", "check", "--rebuild")
        s.start("mailbox")
        self.assert_all_there(s, ALICE, "%s box" % MARK, [0, 1, 2])
        c = self.login(s)
        c.ok('SELECT "%s box"' % MARK)
        r = c.ok("FETCH 3 FLAGS")
        self.assertIn(b"%s-word" % MARK.encode(), b"".join(r.untagged))
        self.assertIn("no faults", s.pneu("mail", "check"))
        s.stop("mailbox")
        self.assertEqual(in_files(s.dir, MARK), [])

    def test_key_made_later(self):
        """By one of several processes, for names that all of them read."""
        s = System(programs=("guard", "mailbox"), workers=3, start=False)
        self.addCleanup(s.close)
        s.setup_accounts()
        for program in s.programs:
            s.start(program)
        sessions = [self.login(s) for _ in range(6)]
        s.pneu("account", "set", ALICE, "--encryption", "server")
        sessions[0].ok('CREATE "%s"' % MARK)
        for c in sessions:
            c.ok('SELECT "%s"' % MARK)
            c.append(MARK, message(1), "(%s-word) " % MARK)
            c.ok('LIST "" %s' % MARK)
        c.ok("FETCH 1:6 FLAGS")

    def test_modes_mixed(self):
        """What is there stays as it is, whatever the mode is."""
        s = self.start({"mailbox": {"compression": 0}})
        s.send("x@else.test", ["alice"], message(1))
        self.assertTrue(in_files(self.store, MARK))
        s.write_conf(SERVER)
        s.restart("mailbox")
        s.send("x@else.test", ["alice", "bob"], message(2))
        self.assert_all_there(s, ALICE, "INBOX", [1, 2])
        s.write_conf({"mailbox": {"compression": 0}})
        s.restart("mailbox")
        s.send("x@else.test", ["alice"], message(3))
        self.assert_all_there(s, ALICE, "INBOX", [1, 2, 3])
        c = self.login(s)
        c.ok("SELECT INBOX")
        c.ok("COPY 1:3 Archive")
        self.assert_all_there(s, ALICE, "Archive", [1, 2, 3])
        # Without the key, what is sealed says so; the rest can be read.
        s.stop("mailbox")
        os.unlink(os.path.join(self.store, "sealing.key"))
        s.start("mailbox")
        c = self.login(s)
        c.ok("SELECT INBOX")
        r = c.cmd("FETCH 1:3 BODY.PEEK[TEXT]")
        self.assertEqual((r.status, r.code), ("NO", "NOPERM"), r)
        text = b"".join(r.untagged)
        self.assertIn(b"Body 1 of", text)
        self.assertNotIn(b"Body 2 of", text)
        self.assertIn(b"Body 3 of", text)

    def test_account_end_to_end(self):
        """Deliveries need no key; who signs in with a password brings it."""
        s = self.start(ACCOUNT)
        s.send("x@else.test", ["alice"], message(1))
        s.send("x@else.test", ["alice", "bob"], message(2))
        s.send("x@else.test", ["alice"], message(3, 400000))
        c = self.login(s)
        c.append("INBOX", message(4))
        c.ok("SELECT INBOX")
        c.ok("COPY 1:4 Archive")
        c.ok("MOVE 3 Trash")
        self.named(c)
        c.ok("SELECT INBOX")
        self.assert_all_there(s, ALICE, "INBOX", [1, 2, 4])
        self.assert_all_there(s, ALICE, "Archive", [1, 2, 3, 4])
        self.assert_all_there(s, ALICE, "Trash", [3])
        self.assert_all_there(s, "bob@example.test", "INBOX", [2])
        p = s.pop3("alice")
        self.assertIn(b"Body 2 of " + MARK.encode() + b".", p.retr(2)[1])
        p.quit()
        c.ok("STORE 1 +FLAGS (\\Deleted)")
        c.ok("EXPUNGE")
        self.assert_all_there(s, ALICE, "#deleted/INBOX", [1])
        s.pneu("mail", "undelete", ALICE)
        self.assert_all_there(s, ALICE, "INBOX", [1, 2, 4])
        self.assertIn("no faults", s.pneu("mail", "check"))
        self.urls(s, c)
        self.tools(s)
        s.stop("mailbox")
        self.assertEqual(in_files(s.dir, MARK), [])
        # The server's key opens none of it.
        with self.assertRaises(AssertionError):
            s.pneu("mail", "show", ALICE, "INBOX", "2")
        s.start("mailbox")

    def urls(self, s, c):
        """One's own sealed mail can be fetched by URL, by oneself."""
        c.ok("SELECT INBOX")
        uid = c.ok("FETCH 1 UID").untagged[0].split()[-1].strip(b")").decode()
        url = "imap://alice%%40example.test@h/INBOX/;UID=%s" % uid
        for access, account, status in (
                ("user+" + ALICE, ALICE, "OK"), ("authuser", ALICE, "OK"),
                ("authuser", "bob@example.test", "NO")):
            access = access.replace("@", "%40")
            made = c.ok('GENURLAUTH "%s;URLAUTH=%s" INTERNAL' % (url, access))
            text = made.find("GENURLAUTH")
            text = [u for u in made.untagged if b"GENURLAUTH" in u][0]
            token = text.split(b'"')[1].decode() if b'"' in text else \
                text.split()[-1].decode()
            r = self.login(s, account).cmd('URLFETCH "%s"' % token)
            self.assertEqual(r.status, status, (access, account, r))
            self.assertEqual(b"Body" in b"".join(r.untagged), status == "OK")
            if status == "NO":
                self.assertEqual(r.code, "NOPERM")

    def tools(self, s):
        self.assertIn("(sealed to the account)",
                      s.pneu("mail", "messages", ALICE))
        r = s.pneu("mail", "show", ALICE, "INBOX", "2", check=False)
        self.assertIn("sealed to the account, whose passwords open it",
                      r.stderr)
        tar = os.path.join(s.dir, "out.tar")
        r = s.pneu("mail", "export", ALICE, tar, check=False, input="wrong\n")
        self.assertNotEqual(r.returncode, 0)
        self.assertIn("this opens no sealed mail", r.stderr)
        r = s.pneu("mail", "export", ALICE, tar, check=False)
        self.assertIn("no password", r.stderr)
        s.pneu("mail", "export", ALICE, tar, input=PASSWORD + "\n")
        s.pneu("mail", "import", "bob@example.test", tar)
        os.unlink(tar)
        self.assert_all_there(s, "bob@example.test", "Archive", [1, 2, 3, 4])

    def test_sign_in_without_key(self):
        """By token: what is not sealed is there, the rest says that it is."""
        server = Introspection()
        self.addCleanup(server.close)
        server.tokens = {"t": {"active": True, "email": ALICE}}
        s = System(programs=("guard", "mailbox"), start=False, conf={
            "mailbox": {"encryption": "account"},
            "auth": {"oauth_url": server.url, "oauth_client": "pneu",
                     "oauth_secret_file": "oauth.secret"}})
        self.addCleanup(s.close)
        s.setup_accounts()
        with open(s.dir + "/data/oauth.secret", "w") as f:
            f.write(SECRET)
        for program in s.programs:
            s.start(program)
        c = self.login(s)
        for i in range(3):
            c.append("INBOX", message(i))
        token = Imap(s.port["imaps"], tls=True)
        self.addCleanup(token.close)
        token.ok("AUTHENTICATE OAUTHBEARER " +
                 base64.b64encode(bearer("t")).decode())
        token.ok("STATUS INBOX (MESSAGES UNSEEN)")
        token.ok("SELECT INBOX")
        token.ok("FETCH 1:* (FLAGS UID RFC822.SIZE INTERNALDATE)")
        token.ok("SEARCH UNSEEN LARGER 10")
        # The other session's key is not this one's, though it is open.
        c.ok("SELECT INBOX")
        c.ok("FETCH 1:* BODY.PEEK[]<0.10>")
        for text in ("FETCH 1:* ENVELOPE", "FETCH 2 BODY[]",
                     "FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
                     "SEARCH TEXT %s" % MARK, "SEARCH SUBJECT %s" % MARK):
            r = token.cmd(text)
            self.assertEqual((r.status, r.code), ("NO", "NOPERM"), (text, r))
            self.assertNotIn(MARK.encode(), b"".join(r.untagged))
        token.ok("STORE 1 +FLAGS (\\Flagged)")
        token.ok("COPY 1 Archive")
        token.ok("MOVE 2 Trash")
        token.append("INBOX", message(7))
        self.assert_all_there(s, ALICE, "INBOX", [0, 2, 7])
        self.assert_all_there(s, ALICE, "Archive", [0])
        self.assert_all_there(s, ALICE, "Trash", [1])
        self.assertNotIn("message not readable", s.log("mailbox"))
        self.index(s, c)

    def index(self, s, c):
        """Made while a session has the key."""
        c.ok("UNSELECT")
        for i in range(140):
            c.append("Archive", message(i))
        r = s.pneu("mail", "index", ALICE, check=False)
        self.assertIn("is indexed while it is signed in", r.stderr)
        c.ok("SELECT Archive")
        until(lambda: json.loads(s.pneu(
            "mail", "index", "--status", "--json", ALICE))["indexed"] >= 128,
            "the index")
        self.assertEqual(c.ok('SEARCH BODY "body 77 of"').search(), [79])
        self.assertEqual(len(c.ok("SEARCH TEXT %s" % MARK).search()), 141)

    def test_what_is_there(self):
        """pneu mail seal: killed and begun again, read meanwhile."""
        s = self.start({"mailbox": {"compression": 0}})
        c = self.login(s)
        for i in range(60):
            c.append("INBOX", message(i))
        s.send("x@else.test", ["alice", "bob"], message(60))
        s.send("x@else.test", ["alice"], message(61, 300000))
        c.ok("SELECT INBOX")
        c.ok("COPY 1:20 Archive")
        c.ok("STORE 1:30 +FLAGS (\\Flagged blue)")
        r = s.pneu("mail", "seal", ALICE, check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("its mail is not sealed", r.stderr)
        c.ok("SELECT INBOX")  # nothing is \\Recent any more
        before = self.all_of(c)
        self.assertEqual(len(before), 62)
        s.write_conf(SERVER)
        s.restart("mailbox")
        c = self.login(s)
        c.ok("SELECT INBOX")
        command = [os.path.join(BUILD, "pneu-mailbox"), "-c", s.conf, "seal",
                   "--json", ALICE]
        for _ in range(4):
            p = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            for _ in range(2):
                self.assertTrue(self.all_of(c) == before)
            p.kill()
            p.wait()
        report = json.loads(s.pneu("mail", "seal", "--json", ALICE))
        self.assertEqual((report["messages"], report["locked"],
                          report["failed"]), (82, 0, 0))
        self.assertTrue(self.all_of(c) == before)
        self.assertIn("0 of 82", s.pneu("mail", "seal", ALICE))
        self.assertIn("no faults", s.pneu("mail", "check"))
        self.assert_all_there(s, "bob@example.test", "INBOX", [60])
        s.write_conf({"mailbox": {"compression": 0}})
        s.restart("mailbox")
        self.assertIn("82 of 82", s.pneu("mail", "unseal", ALICE))
        c = self.login(s)
        c.ok("SELECT INBOX")
        self.assertTrue(self.all_of(c) == before)
        self.assertIn("no faults", s.pneu("mail", "check"))

    def all_of(self, c):
        """A large list: not for assertEqual, which would look for the
        smallest difference for minutes."""
        return [u for u in c.ok("FETCH 1:* (UID FLAGS INTERNALDATE ENVELOPE "
                                "BODY.PEEK[])").untagged
                if b" FETCH " in u[:20]]


if __name__ == "__main__":
    unittest.main()
