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


class Ipfs(unittest.TestCase):
    node_class = Scripted

    def start(self, node=None, conf=None, **kw):
        mailbox = dict((conf or {}).get("mailbox", {}))
        if node:
            mailbox["ipfs"] = node.address
        s = System(programs=PROGRAMS, conf=dict(conf or {}, mailbox=mailbox),
                   **kw)
        self.addCleanup(s.__exit__, None, None, None)
        return s

    def make_node(self):
        node = self.node_class()
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


class IpfsReal(Ipfs):
    node_class = Real


if __name__ == "__main__":
    unittest.main()
