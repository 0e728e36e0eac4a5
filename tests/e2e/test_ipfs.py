# SPDX-License-Identifier: ISC
"""All mail at an IPFS node too (docs/ipfs.md): put, kept up with whatever dies
or is away, unpinned, and an account restored from there on another machine. On a
scripted node, and the main course on a real one."""
import json
import os
import re
import subprocess
import unittest

from ipfsnode import BLOCK_MAX, Real, Scripted, cid_of
from pneu import BUILD, PASSWORD, PATIENCE, System, until

ALICE = "alice@example.test"
MARK = "quicksilver"
PROGRAMS = ("guard", "mailbox", "qm", "mta")


def message(i, size=0):
    body = "Body %d of %s.\r\n" % (i, MARK)
    if size:
        body += "".join("%s %08x\r\n" % (os.urandom(30).hex(), n)
                        for n in range(size // 71))
    return ("From: <%s@else.test>\r\nTo: <alice@example.test>\r\nSubject: %s "
            "%d\r\nMessage-ID: <%d@else.test>\r\n\r\n%s" % (
                MARK, MARK, i, i, body)).encode()


def export(s, account=ALICE):
    """All of the account, as octets."""
    r = subprocess.run(
        [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "export",
         "--format", "tar", account, "-"], capture_output=True,
        timeout=PATIENCE, input=(PASSWORD + "\n").encode())
    if r.returncode != 0:
        raise AssertionError(r.stderr.decode())
    return r.stdout


def state(s, account=ALICE):
    """What a client sees: UIDs, flags, dates, and so on, of each mailbox."""
    found = {}
    with s.imap("alice") as c:
        for line in c.list()[1]:
            name = line.decode().split(' "/" ')[1].strip('"')
            typ, data = c.select('"%s"' % name, readonly=True)
            validity = c.response("UIDVALIDITY")[1]
            uidnext = c.response("UIDNEXT")[1]
            rows = []
            if data != [b"0"]:
                rows = c.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE "
                             "RFC822.SIZE)")[1]
            rows = [re.sub(rb"^\d+ ", b"", r).replace(rb" \Recent", b"")
                    .replace(rb"\Recent ", b"").replace(rb"\Recent", b"")
                    for r in rows]
            found[name] = (validity, uidnext, rows)
    return found


class Base:
    """The main course, for either node."""
    node_class = None

    def setUp(self):
        self.nodes = []

    def start(self, node=None, conf=None, **kw):
        mailbox = dict((conf or {}).get("mailbox", {}), keep_deleted="0s")
        if node:
            mailbox["ipfs"] = node.address
        s = System(programs=PROGRAMS, conf=dict(conf or {}, mailbox=mailbox),
                   **kw)
        self.addCleanup(s.__exit__, None, None, None)
        return s

    def make_node(self, up=True):
        node = self.node_class(up)
        self.nodes.append(node)
        self.addCleanup(node.close)
        return node

    def status(self, s):
        return json.loads(s.pneu("mail", "ipfs", "--json"))

    def settled(self, s, put):
        """So many blobs are there, and nothing is left to do."""
        def done():
            self.last = self.status(s)
            return (self.last["put"], self.last["waiting"],
                    self.last["leaving"]) == (put, 0, 0)
        try:
            until(done, "settled")
        except AssertionError as e:
            raise AssertionError("%s: %s\n%s" % (
                e, self.last, s.log("mailbox")[-2000:]))
        return self.last

    def assert_sealed(self, node, cids):
        for cid in cids:
            block = node.get(cid)
            self.assertEqual(cid_of(block), cid)
            self.assertLessEqual(len(block), BLOCK_MAX)
            for word in (MARK, "alice", "INBOX", "example"):
                self.assertNotIn(word.encode(), block.lower()
                                 if word != "INBOX" else block)

    def fill(self, s):
        """Mail of every kind; number of blobs."""
        for i in range(3):
            s.send("x@else.test", ["alice"], message(i))
        s.send("x@else.test", ["alice", "bob"], message(3))
        s.send("x@else.test", ["alice"], message(4, 2000000))
        with s.imap("alice") as c:
            c.select("INBOX")
            c.store("2", "+FLAGS", r"(\Seen \Flagged $Forwarded)")
            c.create('"Work/Old &AOk-t&AOk-"')
            c.copy("1:2", '"Work/Old &AOk-t&AOk-"')
            c.store("1", "+FLAGS", r"(\Deleted)")
            c.expunge()
            c.append("Archive", r"(\Seen Custom)",
                     '"01-Feb-2003 04:05:06 +0700"', message(5))
            c.delete("Junk")
            c.unsubscribe("Trash")
        return 6

    def test_restore_elsewhere(self):
        node = self.make_node()
        s = self.start(node)
        blobs = self.fill(s)
        now = self.settled(s, blobs)
        self.assertGreater(now["blocks"], blobs)
        self.assert_sealed(node, node.pins())
        s.restart("mailbox")
        before = node.pins()
        self.settled(s, blobs)
        cid = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        self.assertEqual(len(node.pins() - before), 1, cid)
        self.assert_sealed(node, [cid])
        # Another machine, with the account and the key, and nothing else.
        key = os.path.join(s.dir, "data", "mails", "sealing.key")
        other = self.start(accounts=("alice",))
        other.pneu("mail", "import", "--ipfs", "--node", node.address, "--key",
                   key, cid)
        self.assertEqual(export(other), export(s))
        self.assertEqual(state(other), state(s))
        # Once more changes nothing; new mail does not either.
        other.send("x@else.test", ["alice"], message(9))
        r = json.loads(other.pneu(
            "mail", "import", "--ipfs", "--node", node.address, "--key", key,
            "--json", cid))
        self.assertEqual((r["messages"], r["failed"]), (0, 0))
        self.assertEqual(len(other.messages()), len(s.messages()) + 1)

    def test_killed_between(self):
        """The node, and mailbox; what is pinned is what is known."""
        node = self.make_node(up=False)
        s = self.start(node)
        for i in range(10):
            s.send("x@else.test", ["alice"], message(i, 50000))
        now = self.status(s)
        self.assertEqual((now["put"], now["waiting"]), (0, 10))
        node.up()
        # As soon as the first is there.
        until(lambda: self.status(s)["put"] > 0, "first one put")
        s.kill("mailbox")
        node.kill()
        s.start("mailbox")
        s.send("x@else.test", ["alice"], message(10, 3000000))
        node.up()
        now = self.settled(s, 11)
        self.assertEqual(len(node.pins()), now["blocks"])
        # Gone while the node is away, and after a new start.
        node.kill()
        with s.imap("alice") as c:
            c.select("INBOX")
            c.store("1:10", "+FLAGS", r"(\Deleted)")
            c.expunge()
        s.kill("mailbox")
        s.start("mailbox")
        self.assertEqual(self.status(s)["leaving"], 10)
        node.up()
        now = self.settled(s, 1)
        self.assertEqual(len(node.pins()), now["blocks"])
        self.assertGreater(now["blocks"], 1)


class Ipfs(Base, unittest.TestCase):
    node_class = Scripted

    def tearDown(self):
        for node in self.nodes:
            self.assertEqual(node.complaints, [])

    def run_pneu(self, s, *args, **kw):
        return s.pneu("mail", *args, check=False, **kw)

    def take(self, s, node, *args, **kw):
        return self.run_pneu(s, "import", "--ipfs", "--node", node.address,
                             *args, **kw)

    def test_shared_and_removed(self):
        """Blocks go with the last who has the message, a manifest with the
        account's mail, or the next manifest."""
        node = self.make_node()
        s = self.start(node)
        s.send("x@else.test", ["alice", "bob"], message(1))
        self.settled(s, 1)
        first = node.pins()
        for user, left in (("alice", 1), ("bob", 0)):
            with s.imap(user) as c:
                c.select("INBOX")
                c.store("1", "+FLAGS", r"(\Deleted)")
                c.expunge()
            self.settled(s, left)
            self.assertEqual(len(node.pins()), left)
        s.send("x@else.test", ["alice"], message(2))
        self.settled(s, 1)
        one = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        self.assertIn(one, node.pins())
        two = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        self.assertIn(two, node.pins())
        self.assertNotIn(one, node.pins())
        self.assertFalse(first & node.pins())
        s.pneu("mail", "remove", "--yes", ALICE)
        until(lambda: not node.pins(), "all unpinned")
        self.settled(s, 0)
        self.assertEqual(self.status(s)["manifests"], 0)

    def test_bad_nodes(self):
        """Answers that are none, or lies, put nothing."""
        ok = b"HTTP/1.1 200 OK\r\n"
        lie = json.dumps({"Name": "block", "Hash": cid_of(b"another"),
                          "Size": "7"}).encode()
        answers = [
            "drop", b"", b"220 mx ESMTP\r\n", ok + b"\r\n{}",
            ok + b"Content-Length: 900\r\n\r\n" + lie, ok + b"\r\n" + lie,
            ok + b"Content-Length: 99999\r\n\r\n" + b"x" * 99999,
            ok + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 500 x\r\n\r\n{\"Message\": \"full\\n\\u0007\"}",
        ]
        node = self.make_node()
        todo = list(answers)
        node.fault = lambda name, query: todo.pop(0) if todo else None
        s = self.start(node)
        s.send("x@else.test", ["alice"], message(1))
        # One bad answer a try; a wait lies between.
        until(lambda: len(todo) < len(answers), "first try")
        self.assertEqual(self.status(s)["put"], 0)
        while todo:
            left = len(todo)
            s.restart("mailbox")
            until(lambda: len(todo) < left, "next try")
            if todo:
                self.assertEqual(self.status(s)["put"], 0)
        self.settled(s, 1)
        self.assertIn("the node takes nothing", s.log("mailbox"))
        self.assertEqual(len(node.pins()), 1)

    def test_tampered(self):
        """A block that is not the one is refused; the rest comes, and that
        one when it is right."""
        node = self.make_node()
        s = self.start(node, conf={"mailbox": {"encryption": "server"}})
        for i in range(4):
            s.send("x@else.test", ["alice"], message(i))
        self.settled(s, 4)
        blobs = node.pins()
        cid = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        self.assert_sealed(node, node.pins())
        key = os.path.join(s.dir, "data", "mails", "sealing.key")
        other = self.start(accounts=("alice",))
        # Without the key, with another, without the account.
        r = self.take(other, node, cid)
        self.assertEqual(r.returncode, 1)
        self.assertIn("no key", r.stderr)
        with open(other.dir + "/wrong.key", "wb") as f:
            f.write(os.urandom(32))
        os.chmod(other.dir + "/wrong.key", 0o600)
        r = self.take(other, node, "--key", other.dir + "/wrong.key", cid)
        self.assertEqual(r.returncode, 1)
        self.assertIn("another key", r.stderr)
        r = self.take(other, node, "--key", key, cid, "carol@example.test")
        self.assertEqual(r.returncode, 1)
        self.assertIn("no such account", r.stderr)
        r = self.take(other, node, "--key", key, next(iter(blobs)))
        self.assertIn("no manifest", r.stderr)
        r = self.take(other, node, "--key", key, "QmVnWhM2qYr9")
        self.assertIn("not a CID", r.stderr)
        # A root, then a message, with one bit changed.
        for bad in (cid, sorted(blobs)[0]):
            good = node.blocks[bad]
            node.blocks[bad] = good[:99] + bytes([good[99] ^ 1]) + good[100:]
            r = self.take(other, node, "--key", key, cid)
            self.assertEqual(r.returncode, 1)
            self.assertIn("other octets" if bad == cid else "damaged",
                          r.stderr)
            self.assertEqual(len(other.messages()), 0 if bad == cid else 3)
            node.blocks[bad] = good
        # One that the node has not, then has.
        missing = node.blocks.pop(sorted(blobs)[0])
        r = self.take(other, node, "--key", key, cid)
        self.assertEqual(r.returncode, 1)
        self.assertIn("not all of its blocks", r.stderr)
        node.blocks[sorted(blobs)[0]] = missing
        r = self.take(other, node, "--key", key, cid)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(sorted(other.messages()), sorted(s.messages()))

    def test_broken_off(self):
        """Where the node dies in the middle, the same command goes on."""
        node = self.make_node()
        s = self.start(node)
        self.fill(s)
        cid = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        key = os.path.join(s.dir, "data", "mails", "sealing.key")
        other = self.start(accounts=("alice",))
        left = [4]

        def dies(name, query):
            left[0] -= 1
            return "drop" if left[0] <= 0 else None
        node.fault = dies
        for _ in range(3):
            left[0] = 4
            r = self.take(other, node, "--key", key, cid)
            self.assertEqual(r.returncode, 1)
            self.assertIn("no answer", r.stderr)
        node.fault = None
        r = self.take(other, node, "--key", key, cid)
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(export(other), export(s))
        self.assertEqual(state(other), state(s))

    def test_sealed_to_the_account(self):
        node = self.make_node()
        conf = {"mailbox": {"encryption": "account"}}
        s = self.start(node, conf=conf)
        words = s.pneu("account", "recovery", ALICE, input=PASSWORD + "\n")
        recovery = re.search(r"(?:[0-9a-z]{4}-){7}[0-9a-z]{4}", words).group()
        blobs = self.fill(s)
        self.settled(s, blobs)
        cid = s.pneu("mail", "export", "--ipfs", ALICE).strip()
        self.assert_sealed(node, node.pins())
        # A machine where the account has another pair, and no key of there.
        other = self.start(accounts=("alice",), conf=conf)
        r = self.take(other, node, cid)
        self.assertIn("say ACCOUNT", r.stderr)
        for wrong in (PASSWORD, recovery[:-4] + "0000", recovery.upper()[:-1]):
            r = self.take(other, node, cid, ALICE, input=wrong + "\n")
            self.assertEqual(r.returncode, 1)
            self.assertIn("opens no mail", r.stderr)
        r = self.take(other, node, cid, ALICE, input=recovery + "\n")
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertEqual(export(other), export(s))
        self.assertEqual(state(other), state(s))
        # Where the pair is the same, the password.
        r = self.take(s, node, "--json", cid, ALICE, input=PASSWORD + "\n")
        self.assertEqual(r.returncode, 0, r.stderr)

    def test_away(self):
        """Commands say so; deliveries do not mind."""
        node = self.make_node()
        node.down()
        s = self.start(node)
        s.send("x@else.test", ["alice"], message(1))
        self.assertEqual(len(s.messages()), 1)
        r = self.run_pneu(s, "export", "--ipfs", ALICE)
        self.assertEqual((r.returncode, r.stdout), (1, ""))
        self.assertIn("no connection", r.stderr)
        r = self.take(s, node, cid_of(b""))
        self.assertEqual(r.returncode, 1)
        self.assertIn("no connection", r.stderr)
        r = self.run_pneu(s, "import", "--ipfs", "--node", "nonsense",
                          cid_of(b""))
        self.assertIn("not an address", r.stderr)
        r = self.run_pneu(s, "import", "--ipfs")
        self.assertEqual(r.returncode, 64)
        node.up()
        self.settled(s, 1)
        self.assertEqual(s.pneu("mail", "check", check=False).returncode, 0)


class IpfsReal(Base, unittest.TestCase):
    node_class = Real


if __name__ == "__main__":
    unittest.main()
