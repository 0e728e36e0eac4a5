# SPDX-License-Identifier: ISC
"""The search index of the real program: `pneu mail index`, and SEARCH with it
and without it."""
import json
import unittest

from pneu import System, until

MESSAGE = (b"From: x@else.test\r\nSubject: number %d\r\n"
           b"Content-Type: text/html; charset=utf-8\r\n\r\n"
           b"<p>The w%dord and <b>caf</b>&eacute; %d.</p>\r\n")
KEYS = (("TEXT", "w77ord"), ("BODY", "CAF\u00c9 130"), ("SUBJECT", "number 12"),
        ("TEXT", "<b>"), ("HEADER", "From", "ELSE.TEST"), ("TEXT", "7"),
        ("OR", "TEXT", "w1ord", "BODY", "w2ord"), ("NOT", "TEXT", "ord"),
        ("1:30", "FROM", "x@else"))


def find(c, keys):
    args = []
    for k in keys:
        if k.isascii():
            args.append('"%s"' % k if " " in k or "<" in k else k)
        else:
            c.literal = k.encode()
    typ, data = c.uid("SEARCH", "CHARSET", "UTF-8", *args)
    assert typ == "OK", data
    return data[0].split()


class Index(unittest.TestCase):
    def test_search(self):
        with System(programs=("guard", "mailbox")) as s:
            c = s.imap()
            for i in range(140):
                c.append("INBOX", None, None, MESSAGE % (i, i, i))
            c.select()
            # The daemon has begun by itself.
            until(lambda: self.status(s)["indexed"] >= 128, "the index")
            s.pneu("mail", "index", "alice@example.test")
            with_index = [find(c, k) for k in KEYS]
            self.assertEqual(with_index[0], [b"78"])
            self.assertEqual(with_index[1], [b"131"])
            self.assertEqual(len(with_index[2]), 11)
            self.assertEqual(with_index[3], [])
            c.store("1:100", "+FLAGS.SILENT", "(\\Deleted)")
            c.expunge()
            without = [find(c, k) for k in KEYS]
            self.assertEqual([n for n in with_index[5] if int(n) > 100],
                             without[5])
            report = json.loads(s.pneu("mail", "index", "--json", "--rebuild",
                                       "alice@example.test"))
            self.assertEqual(report["messages"], 40)
            self.assertEqual(report["indexed"], 0)  # not worth a block
            self.assertEqual([find(c, k) for k in KEYS], without)
            self.assertIn("INBOX", s.pneu("mail", "index", "--status",
                                          "alice@example.test"))
            r = s.pneu("mail", "index", check=False)
            self.assertEqual(r.returncode, 64)
            c.logout()

    def status(self, s):
        return json.loads(s.pneu("mail", "index", "--status", "--json",
                                 "alice@example.test"))


if __name__ == "__main__":
    unittest.main()
