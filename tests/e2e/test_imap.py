# SPDX-License-Identifier: ISC
"""IMAP with the real program. What RFC 3501 and its extensions leave no choice
about runs against Dovecot too, where it is installed: so a wrong expectation
shows."""
import base64
import hashlib
import hmac
import imaplib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

import imapraw
from imapraw import Closed, Imap
from pneu import PASSWORD, PATIENCE, System, tls_context, until

PLAIN = b"""Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: Fred Foobar <foobar@Blurdybloop.example>
Subject: afternoon meeting
To: mooch@owatagu.siam.example, "Joe Q. Public" <john.q.public@x.example>
Cc: =?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.example>
Message-Id: <B27397-0100000@Blurdybloop.example>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

Hello Joe, do you think we can meet at 3:30 tomorrow?
""".replace(b"\n", b"\r\n")

# The tree of the example of RFC 3501 6.4.5.
NESTED = b"""From: a@b.example
Subject: nested
Date: Tue, 1 Apr 1997 09:00:00 +0200
Message-ID: <nested@b.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

preamble
--outer
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

first part: \xc3\xa9t\xc3\xa9
--outer
Content-Type: application/octet-stream; name="x.bin"
Content-Transfer-Encoding: base64
Content-Disposition: attachment; filename="x.bin"
Content-ID: <cid@x>
Content-Description: some octets

AAECAwQFBgc=
--outer
Content-Type: message/rfc822

From: inner@b.example
To: group: x@y.example, z@y.example;
Subject: inner message
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

inner text
--inner
Content-Type: text/html; charset=utf-8
Content-Language: de, en

<p>inner html</p>
--inner--
--outer
Content-Type: multipart/related; boundary=third

--third
Content-Type: image/gif
Content-Transfer-Encoding: base64
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==

R0lGODlhAQABAAAAACw=
--third
Content-Type: message/rfc822
Content-Disposition: inline

Subject: deepest

deepest body
--third--
--outer--
epilogue
""".replace(b"\n", b"\r\n")

ODD = b"""Subject: =?utf-8?B?w4ltaWxlIFpvbGE=?=
 =?utf-8?Q?_et?= al.
From: "quoted \\"name\\"" <q@x.example>, <@route.example:r@x.example>
Sender: s@x.example
Reply-To: undisclosed:;
Date: 31 Dec 2025 23:30 -0500
X-Long: a
\tb
 c

stra\xdfe is not UTF-8 here
.dot
""".replace(b"\n", b"\r\n")


class Dialogues:
    """Mixed into a class with: port, user(n) -> (name, password)."""

    def connect(self, n=1):
        c = Imap(self.port)
        self.addCleanup(c.close)
        c.ok('LOGIN "%s" "%s"' % self.user(n))
        return c

    def mailbox(self, c, *messages, select=True):
        """A mailbox of this test's own."""
        name = "t/" + self.id().rsplit(".", 1)[1]
        c.ok("CREATE " + name)
        for m in messages:
            c.append(name, m)
        if select:
            c.ok("SELECT " + name)
        return name

    def test_select(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, NESTED, select=False)
        r = c.ok("SELECT " + name)
        codes = r.codes()
        self.assertEqual(["*", "2", "EXISTS"], r.find("EXISTS")[0])
        self.assertEqual(["*", "2", "RECENT"], r.find("RECENT")[0])
        self.assertEqual("READ-WRITE", r.code)
        self.assertEqual("1", codes["UNSEEN"])
        self.assertEqual("3", codes["UIDNEXT"])
        self.assertIn(r"\*", codes["PERMANENTFLAGS"])
        self.assertGreater(int(codes["UIDVALIDITY"]), 0)
        flags = r.find("FLAGS")[0][2]
        for f in (r"\Answered", r"\Flagged", r"\Deleted", r"\Seen", r"\Draft"):
            self.assertIn(f, flags)
        # \Recent has been told to a session that may take it.
        r = c.ok("EXAMINE " + name)
        self.assertEqual("READ-ONLY", r.code)
        self.assertEqual("0", r.find("RECENT")[0][1])
        c.cmd("STORE 1 +FLAGS (\\Seen)")
        self.assertEqual([], c.ok("SEARCH SEEN").search())
        self.assertEqual("BAD", c.cmd("FETCH 3 FLAGS").status)
        self.assertEqual("NO", c.cmd("SELECT nonexistent").status)
        # A SELECT that failed has left the old one.
        self.assertEqual("BAD", c.cmd("FETCH 1 FLAGS").status)

    def test_examine_leaves_recent(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, select=False)
        for _ in range(2):
            r = c.ok("EXAMINE " + name)
            self.assertEqual("1", r.find("RECENT")[0][1])
            self.assertEqual({1: {"FLAGS": [r"\Recent"]}},
                             c.ok("FETCH 1 FLAGS").fetched())
        self.assertIn("RECENT 1", c.ok(
            "STATUS %s (RECENT)" % name).untagged[0].decode())

    def test_status(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, NESTED, select=False)
        c.ok("APPEND %s (\\Seen) {}" % name, PLAIN)
        v = c.ok("STATUS %s (MESSAGES UIDNEXT UNSEEN RECENT UIDVALIDITY)"
                 % name).find("STATUS")[0]
        items = dict(zip(v[3][::2], v[3][1::2]))
        self.assertEqual(("3", "4", "2", "3"), (
            items["MESSAGES"], items["UIDNEXT"], items["UNSEEN"],
            items["RECENT"]))
        self.assertEqual("NO", c.cmd("STATUS nope (MESSAGES)").status)
        self.assertEqual("BAD", c.cmd("STATUS %s (NOPE)" % name).status)
        self.assertEqual("BAD", c.cmd("STATUS %s ()" % name).status)

    def test_fetch_items(self):
        c = self.connect()
        name = self.mailbox(c, select=False)
        c.ok('APPEND %s (\\Flagged $Word) "17-Jul-1996 02:44:25 -0700" {}'
             % name, PLAIN)
        c.ok("SELECT " + name)
        m = c.ok("FETCH 1 FULL").fetched()[1]
        self.assertEqual({r"\Flagged", "$Word", r"\Recent"}, set(m["FLAGS"]))
        self.assertEqual(str(len(PLAIN)), m["RFC822.SIZE"])
        date = imaplib.Internaldate2tuple(
            b'INTERNALDATE "' + m["INTERNALDATE"] + b'"')
        self.assertEqual(imaplib.Internaldate2tuple(
            b'INTERNALDATE "17-Jul-1996 02:44:25 -0700"'), date)
        fred = [[b"Fred Foobar", None, b"foobar", b"Blurdybloop.example"]]
        self.assertEqual([
            b"Mon, 7 Feb 1994 21:52:25 -0800 (PST)", b"afternoon meeting",
            fred, fred, fred,
            [[None, None, b"mooch", b"owatagu.siam.example"],
             [b"Joe Q. Public", None, b"john.q.public", b"x.example"]],
            [[b"=?ISO-8859-1?Q?Andr=E9?= Pirard", None, b"PIRARD",
              b"vm1.ulg.example"]], None, None,
            b"<B27397-0100000@Blurdybloop.example>"], m["ENVELOPE"])
        self.assertEqual(
            ["text", "plain", ["charset", "us-ascii"], "", "", "7bit", "55",
             "1"], lower(m["BODY"]))
        self.assertNotIn("UID", m)
        m = c.ok("UID FETCH 1 (RFC822.SIZE)").fetched()[1]
        self.assertEqual({"UID": "1", "RFC822.SIZE": str(len(PLAIN))}, m)

    def test_fetch_sections(self):
        c = self.connect()
        self.mailbox(c, NESTED, PLAIN)
        sections = {
            "": NESTED,
            "HEADER": NESTED[:NESTED.index(b"preamble")],
            "TEXT": NESTED[NESTED.index(b"preamble"):],
            "1": b"first part: \xc3\xa9t\xc3\xa9",
            "1.MIME": b"Content-Type: text/plain; charset=utf-8\r\n"
                      b"Content-Transfer-Encoding: 8bit\r\n\r\n",
            "2": b"AAECAwQFBgc=",
            "3.1": b"inner text",
            "3.2": b"<p>inner html</p>",
            "3.2.MIME": b"Content-Type: text/html; charset=utf-8\r\n"
                        b"Content-Language: de, en\r\n\r\n",
            "4.1": b"R0lGODlhAQABAAAAACw=",
            "4.2": b"Subject: deepest\r\n\r\ndeepest body",
            "4.2.HEADER": b"Subject: deepest\r\n\r\n",
            "4.2.TEXT": b"deepest body",
            "4.2.1": b"deepest body",
            "3.HEADER.FIELDS (SUBJECT)": b"Subject: inner message\r\n\r\n",
            "HEADER.FIELDS (FROM DATE NOPE)":
                b"From: a@b.example\r\n"
                b"Date: Tue, 1 Apr 1997 09:00:00 +0200\r\n\r\n",
            "HEADER.FIELDS.NOT (FROM DATE CONTENT-TYPE MIME-VERSION "
            "SUBJECT)": b"Message-ID: <nested@b.example>\r\n\r\n",
        }
        for section, want in sections.items():
            item = "BODY[%s]" % section
            got = c.ok("FETCH 1 BODY.PEEK[%s]" % section).fetched()[1]
            self.assertEqual({item: want}, got, section)
            got = c.ok("FETCH 1 BODY.PEEK[%s]<3.5>" % section).fetched()[1]
            self.assertEqual({item + "<3>": want[3:8]}, got, section)
        for section in ("5", "4.3", "3.9"):
            got = c.ok("FETCH 1 BODY.PEEK[%s]" % section).fetched()[1]
            self.assertFalse(got["BODY[%s]" % section], section)
        # One part, of a message that is not a multipart.
        got = c.ok("FETCH 2 (BODY.PEEK[1] BODY.PEEK[2])").fetched()[2]
        self.assertEqual(PLAIN[PLAIN.index(b"Hello"):], got["BODY[1]"])
        self.assertFalse(got["BODY[2]"])
        got = c.ok("FETCH 1 (RFC822.HEADER)").fetched()[1]
        self.assertEqual({"RFC822.HEADER": sections["HEADER"]}, got)
        self.assertEqual([], c.ok("SEARCH SEEN").search())

    def test_fetch_bodystructure(self):
        c = self.connect()
        self.mailbox(c, NESTED, ODD)
        m = c.ok("FETCH 1:2 (BODY BODYSTRUCTURE ENVELOPE)").fetched()
        want = [
            ["text", "plain", ["charset", "utf-8"], "", "", "8bit", "17",
             "0"],
            ["application", "octet-stream", ["name", "x.bin"], "<cid@x>",
             "some octets", "base64", "12"],
            ["message", "rfc822", "", "", "", "7bit", None,
             ["", "inner message", [["", "", "inner", "b.example"]],
              [["", "", "inner", "b.example"]],
              [["", "", "inner", "b.example"]],
              [["", "", "group", ""], ["", "", "x", "y.example"],
               ["", "", "z", "y.example"], ["", "", "", ""]], "", "", "", ""],
             [["text", "plain", ["charset", "us-ascii"], "", "", "7bit", "10",
               "0"],
              ["text", "html", ["charset", "utf-8"], "", "", "7bit", "17",
               "0"], "alternative"], None],
            [["image", "gif", "", "", "", "base64", "20"],
             ["message", "rfc822", "", "", "", "7bit", "32",
              ["", "deepest", "", "", "", "", "", "", "", ""],
              ["text", "plain", ["charset", "us-ascii"], "", "", "7bit",
               "12", "0"], "2"], "related"],
            "mixed"]
        got = lower(m[1]["BODY"])
        # Sizes of multiparts in messages are counted differently.
        self.assertEqual(want[2][:6], got[2][:6])
        got[2][6] = got[2][9] = None
        self.assertEqual(want, got)
        full = lower(m[1]["BODYSTRUCTURE"])
        self.assertEqual(["", ["attachment", ["filename", "x.bin"]], "", ""],
                         full[1][7:])
        self.assertEqual(["boundary", "outer"], full[5])
        self.assertEqual("q2hly2sgsw50zwdyaxr5iq==", full[3][0][7])
        self.assertEqual(["de", "en"], full[2][8][1][10])
        env = m[2]["ENVELOPE"]
        self.assertEqual(b"31 Dec 2025 23:30 -0500", env[0])
        self.assertEqual(b"=?utf-8?B?w4ltaWxlIFpvbGE=?= =?utf-8?Q?_et?= al.",
                         env[1].replace(b"\t", b" "))
        self.assertEqual(b'quoted "name"', env[2][0][0])
        self.assertEqual(b"r", env[2][1][2])
        self.assertEqual([[None, None, b"s", b"x.example"]], env[3])
        self.assertEqual([None, None, b"undisclosed", None], env[4][0])

    def test_fetch_sets_seen(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, PLAIN, PLAIN)
        r = c.ok("FETCH 1 BODY[TEXT]")
        flags = [i["FLAGS"] for i in (parse_fetch(u) for u in r.untagged)
                 if "FLAGS" in i]
        self.assertIn(r"\Seen", flags[0])
        c.ok("FETCH 2 (BODY.PEEK[TEXT] RFC822.HEADER)")
        c.ok("FETCH 3 RFC822")
        self.assertEqual([1, 3], c.ok("SEARCH SEEN").search())
        c.ok("EXAMINE " + name)
        c.ok("FETCH 2 BODY[]")
        self.assertEqual([1, 3], c.ok("SEARCH SEEN").search())

    def test_store(self):
        c, d = self.connect(), self.connect()
        name = self.mailbox(c, PLAIN, PLAIN)
        d.ok("SELECT " + name)
        f = c.ok("STORE 1:2 +FLAGS (\\Seen $Foo)").fetched()
        self.assertEqual({r"\Seen", "$Foo", r"\Recent"}, set(f[2]["FLAGS"]))
        self.assertEqual([], c.ok(
            "STORE 1 -FLAGS.SILENT (\\Seen)").find("FETCH"))
        f = c.ok("UID STORE 2 FLAGS \\Answered").fetched()
        self.assertEqual("2", f[2]["UID"])
        self.assertEqual({r"\Answered", r"\Recent"}, set(f[2]["FLAGS"]))
        f = d.ok("NOOP").fetched()
        self.assertEqual({"$Foo"}, set(f[1]["FLAGS"]) - {r"\Recent"})
        self.assertEqual({r"\Answered"}, set(f[2]["FLAGS"]) - {r"\Recent"})
        self.assertEqual("BAD", c.cmd("STORE 1 FLAGS (\\Nope)").status)
        self.assertEqual("BAD", c.cmd("STORE 5 FLAGS ()").status)
        self.assertEqual([2], c.ok("SEARCH UNKEYWORD $Foo").search())

    def test_expunge(self):
        c, d = self.connect(), self.connect()
        name = self.mailbox(c, *[PLAIN] * 6)
        d.ok("SELECT " + name)
        c.ok("STORE 2,4:5 +FLAGS.SILENT (\\Deleted)")
        r = c.ok("EXPUNGE")
        self.assertEqual([1, 3, 6], without(range(1, 7), r))
        # Numbers stay while d only fetches (RFC 3501 7.4.1).
        self.assertEqual([], d.cmd("FETCH 1 FLAGS").find("EXPUNGE"))
        self.assertEqual([], d.ok("SEARCH ALL").find("EXPUNGE"))
        got = d.cmd("FETCH 6 UID").fetched()
        self.assertEqual({6: {"UID": "6"}}, got)
        r = d.ok("NOOP")
        self.assertEqual([1, 3, 6], without(range(1, 7), r))
        self.assertEqual([1, 2, 3], d.ok("SEARCH ALL").search())
        # UIDPLUS: only those in the set
        c.ok("STORE 1:2 +FLAGS.SILENT (\\Deleted)")
        r = c.ok("UID EXPUNGE 3:*")
        self.assertEqual(["2"], [v[1] for v in r.find("EXPUNGE")])
        # CLOSE expunges and says nothing.
        r = c.ok("CLOSE")
        self.assertEqual([], r.untagged)
        self.assertEqual("1", c.ok("SELECT " + name).find("EXISTS")[0][1])

    def test_copy_and_move(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, NESTED, ODD)
        c.ok("CREATE %s/to" % name)
        c.ok("STORE 2 +FLAGS (\\Flagged $Kept)")
        r = c.ok("COPY 1:2 %s/to" % name)
        self.assertEqual("COPYUID", r.code)
        self.assertEqual(["1:2", "1:2"], r.code_args.split()[1:])
        r = c.cmd("COPY 1 %s/nope" % name)
        self.assertEqual(("NO", "TRYCREATE"), (r.status, r.code))
        self.assertEqual("OK", c.cmd("UID COPY 99 %s/to" % name).status)
        r = c.ok("UID MOVE 1,3 %s/to" % name)
        self.assertEqual(["1,3", "3:4"],
                         r.codes()["COPYUID"].split()[1:])
        self.assertEqual(2, len(r.find("EXPUNGE")))
        self.assertEqual([2], c.ok("UID SEARCH ALL").search())
        c.ok("SELECT %s/to" % name)
        m = c.ok("FETCH 1:* (FLAGS BODY.PEEK[])").fetched()
        self.assertEqual([PLAIN, NESTED, PLAIN, ODD],
                         [m[n]["BODY[]"] for n in sorted(m)])
        self.assertEqual({r"\Flagged", "$Kept"},
                         set(m[2]["FLAGS"]) - {r"\Recent"})

    def test_append(self):
        c = self.connect()
        name = self.mailbox(c)
        r = c.append(name, PLAIN)
        self.assertEqual("APPENDUID", r.code)
        self.assertEqual("1", r.code_args.split()[1])
        self.assertEqual("1", r.find("EXISTS")[-1][1])
        r = c.cmd("APPEND nope {}", PLAIN)
        self.assertEqual(("NO", "TRYCREATE"), (r.status, r.code))
        # LITERAL+, and the command after it in the same write
        c.send(b"x APPEND %s {%d+}\r\n%s\r\ny NOOP\r\n" % (
            name.encode(), len(ODD), ODD))
        self.assertEqual("OK", c.finish("x").status)
        self.assertEqual("OK", c.finish("y").status)
        self.assertEqual({2: {"BODY[]": ODD}},
                         c.ok("FETCH 2 BODY.PEEK[]").fetched())
        c.send(b"x APPEND nope {5+}\r\na NOO\r\ny NOOP\r\n")
        self.assertEqual("NO", c.finish("x").status)
        self.assertEqual("OK", c.finish("y").status)

    def test_search(self):
        c = self.connect()
        name = self.mailbox(c, select=False)
        c.ok('APPEND %s (\\Seen) "01-Feb-1994 23:30:00 +0000" {}' % name, PLAIN)
        c.ok('APPEND %s (\\Flagged $Kw) "02-Feb-1994 12:00:00 +0000" {}' % name,
             NESTED)
        c.ok('APPEND %s (\\Deleted \\Draft) "03-Mar-2020 12:00:00 +0000" {}'
             % name, ODD)
        c.ok("SELECT " + name)
        for case in SEARCHES:
            r = c.ok("SEARCH " + case[0], *case[2:])
            self.assertEqual(case[1], r.search(), case[0])
        r = c.cmd("SEARCH CHARSET X-NOPE TEXT x")
        self.assertEqual(("NO", "BADCHARSET"), (r.status, r.code))
        for bad in ("", "NOPE", "BEFORE x", "(ALL", "OR ALL", "FROM",
                    "LARGER x", "0"):
            self.assertEqual("BAD", c.cmd(("SEARCH " + bad).strip()).status,
                             bad)
        r = c.ok("UID SEARCH RETURN (MIN MAX COUNT ALL) UNDELETED")
        v = r.find("ESEARCH")[0]
        self.assertEqual("UID", v[3])
        got = dict(zip(v[4::2], v[5::2]))
        self.assertEqual({"MIN": "1", "MAX": "2", "COUNT": "2", "ALL": "1:2"},
                         got)
        v = c.ok("SEARCH RETURN () ANSWERED").find("ESEARCH")[0]
        self.assertNotIn("ALL", v)

    def test_sequence_sets(self):
        c = self.connect()
        name = self.mailbox(c, *[PLAIN] * 5)
        c.ok("STORE 2 +FLAGS.SILENT (\\Deleted)")
        c.ok("EXPUNGE")                            # UIDs 1 3 4 5
        for cmd, want in (
                ("FETCH 1:* UID", [1, 3, 4, 5]),
                ("FETCH *:1 UID", [1, 3, 4, 5]),
                ("FETCH * UID", [5]),
                ("FETCH 4,1,2:3,2 UID", [1, 3, 4, 5]),
                ("UID FETCH 2:4 FLAGS", [3, 4]),
                ("UID FETCH 2 FLAGS", []),
                ("UID FETCH 9:* FLAGS", [5]),
                ("UID FETCH 100 FLAGS", []),
                ("UID FETCH 4294967295:1 FLAGS", [1, 3, 4, 5])):
            got = c.ok(cmd).fetched()
            self.assertEqual(want, [int(i["UID"]) for i in got.values()], cmd)
        for bad in ("0", "1:", "a", "1,,2", "5", "1:5", "4294967296"):
            self.assertEqual("BAD", c.cmd("FETCH %s UID" % bad).status, bad)
        c.ok("CREATE %s/empty" % name)
        c.ok("SELECT %s/empty" % name)
        self.assertEqual([], c.ok("UID FETCH 1:* FLAGS").untagged)
        self.assertEqual([], c.ok("UID SEARCH UID 1:*").search())

    def test_list(self):
        c = self.connect(2)
        c.ok('CREATE "a/b/c"')
        c.ok("SUBSCRIBE a/b/c")
        self.assertEqual(("NO", "ALREADYEXISTS"),
                         status(c.cmd("CREATE a/b/c")))
        c.ok("SELECT INBOX")
        self.assertEqual("NO", c.cmd("CREATE inbox").status)

        def names(reply, kind="LIST"):
            return sorted(decode(v[-1]) for v in reply.find(kind))

        self.assertEqual(["a/b/c"], names(c.ok('LIST "" "a*c"')))
        self.assertEqual(["a"], names(c.ok('LIST "" a%')))
        self.assertIn("a/b", names(c.ok('LIST "a/" %')))
        self.assertEqual(["INBOX"], names(c.ok('LIST "" inbox')))
        self.assertEqual([], names(c.ok('LIST "" A/B')))
        v = c.ok('LIST "" ""').find("LIST")[0]
        self.assertEqual((b"/", b""), (v[3], v[4]))
        attrs = {decode(v[-1]): v[2] for v in c.ok(
            'LIST "" * RETURN (CHILDREN)').find("LIST")}
        self.assertIn(r"\HasChildren", attrs["a"])
        self.assertIn(r"\HasNoChildren", attrs["a/b/c"])
        # LSUB: the parent stands for what is below it.
        self.assertEqual(["a/b/c"], names(c.ok('LSUB "" a*'), "LSUB"))
        v = c.ok('LSUB "" a%').find("LSUB")[0]
        self.assertEqual(("a", [r"\noselect"]),
                         (decode(v[-1]), [x.lower() for x in v[2]]))
        self.assertEqual([], c.ok('LIST (SUBSCRIBED) "" a%').find("LIST"))
        v = c.ok('LIST (SUBSCRIBED RECURSIVEMATCH) "" a').find("LIST")[0]
        self.assertEqual(["CHILDINFO", ["SUBSCRIBED"]],
                         [decode(v[-1][0]), [decode(x) for x in v[-1][1]]])
        # Special uses
        uses = {a for v in c.ok('LIST (SPECIAL-USE) "" *').find("LIST")
                for a in v[2]}
        self.assertLessEqual({r"\Sent", r"\Drafts", r"\Trash", r"\Junk"}, uses)
        r = c.ok('LIST "" a/b/% RETURN (STATUS (MESSAGES))')
        self.assertEqual(["MESSAGES", "0"], r.find("STATUS")[0][3])
        for bad in ("LIST", 'LIST ""', 'LIST "" * RETURN', 'LIST (NOPE) "" *'):
            self.assertEqual("BAD", c.cmd(bad).status, bad)

    def test_create_rename_delete(self):
        c = self.connect(2)
        c.ok("CREATE r/one/two")
        c.append("r/one/two", PLAIN)
        before = c.ok("STATUS r/one/two (UIDVALIDITY UIDNEXT)").untagged
        c.ok("RENAME r/one s/eins")
        self.assertEqual("NO", c.cmd("STATUS r/one/two (MESSAGES)").status)
        after = c.ok("STATUS s/eins/two (UIDVALIDITY UIDNEXT)").untagged
        self.assertEqual(before[0].split(b"(")[1], after[0].split(b"(")[1])
        self.assertEqual(("NO", "NONEXISTENT"), status(c.cmd("RENAME q z")))
        self.assertEqual("NO", c.cmd("RENAME s/eins s/eins/two").status)
        c.ok("DELETE s/eins/two")
        self.assertEqual(("NO", "NONEXISTENT"), status(c.cmd(
            "DELETE s/eins/two")))
        self.assertEqual("NO", c.cmd("DELETE INBOX").status)
        # A new one by the same name is not taken for the old one.
        c.ok("CREATE s/eins/two")
        again = c.ok("STATUS s/eins/two (UIDVALIDITY UIDNEXT)").untagged
        self.assertNotEqual(after, again)

    def test_rename_inbox(self):
        c = self.connect(3)
        c.append("INBOX", PLAIN)
        c.append("INBOX", NESTED)
        if not c.ok("STATUS INBOX (MESSAGES)").find("STATUS"):
            self.fail()
        c.ok("RENAME INBOX old-mail")
        self.assertIn(b"MESSAGES 2", c.ok(
            "STATUS old-mail (MESSAGES)").untagged[0])
        self.assertIn(b"MESSAGES 0", c.ok(
            "STATUS INBOX (MESSAGES)").untagged[0])

    def test_international_names(self):
        c = self.connect(2)
        c.ok('CREATE "Entw&APw-rfe/&ZeVnLIqe-"')
        self.assertEqual([b"Entw&APw-rfe/&ZeVnLIqe-"], [
            v[-1] if isinstance(v[-1], bytes) else v[-1].encode()
            for v in c.ok('LIST "" "Entw*/*"').find("LIST")])
        c.ok('SELECT "Entw&APw-rfe/&ZeVnLIqe-"')
        for bad in ("&", "x&AGE-", "&Jjo!"):
            self.assertEqual("NO", c.cmd('CREATE "%s"' % bad).status, bad)

    def test_idle(self):
        c, d = self.connect(), self.connect()
        name = self.mailbox(c)
        d.ok("SELECT " + name)
        d.idle()
        c.append(name, PLAIN)
        d.wait_for(r"\* 1 EXISTS")
        c.ok("STORE 1 +FLAGS.SILENT (\\Deleted)")
        d.wait_for(r"\* 1 FETCH \(.*\\Deleted.*\)")
        c.ok("EXPUNGE")
        d.wait_for(r"\* 1 EXPUNGE")
        self.assertEqual("OK", d.done().status)
        d.ok("NOOP")

    def test_condstore(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, PLAIN, select=False)
        r = c.ok("SELECT %s (CONDSTORE)" % name)
        top = int(r.codes()["HIGHESTMODSEQ"])
        m = c.ok("FETCH 1:2 (MODSEQ)").fetched()
        self.assertLessEqual(max(int(i["MODSEQ"][0]) for i in m.values()), top)
        f = c.ok("STORE 1 +FLAGS (\\Seen)").fetched()
        new = int(f[1]["MODSEQ"][0])
        self.assertGreater(new, top)
        r = c.cmd("STORE 1:2 (UNCHANGEDSINCE %d) +FLAGS.SILENT (\\Draft)"
                  % top)
        self.assertEqual(("MODIFIED", "1"), (r.code, r.code_args))
        self.assertGreater(int(r.fetched()[2]["MODSEQ"][0]), new)
        got = c.ok("FETCH 1:* (UID) (CHANGEDSINCE %d)" % new).fetched()
        self.assertEqual([2], list(got))
        v = c.ok("SEARCH MODSEQ %d" % (new + 1)).find("SEARCH")[0]
        self.assertEqual(["2", "MODSEQ"], [v[2], v[3][0]])
        self.assertEqual("OK", c.cmd("ENABLE CONDSTORE").status)

    def test_pipelining(self):
        c = self.connect()
        self.mailbox(c, PLAIN, NESTED)
        c.send("a FETCH 1 UID\r\nb SEARCH ALL\r\nc STORE 1 FLAGS (\\Seen)\r\n"
               "d FETCH 1 FLAGS\r\ne NOOP\r\n")
        for tag in "abcde":
            self.assertEqual("OK", c.finish(tag).status)
        # an octet at a time
        for octet in b"f FETCH 1 UID\r\n":
            c.send(bytes([octet]))
        self.assertEqual("OK", c.finish("f").status)

    def test_bad_syntax(self):
        c = self.connect()
        for bad in ("NOPE", "FETCH 1 FLAGS", "LOGIN x y", "SELECT", "STATUS",
                    'SELECT "x', "CREATE", "COPY 1", "UID NOOP"):
            self.assertEqual("BAD", c.cmd(bad).status, bad)
        c.send("\r\n")
        self.assertTrue(c.response().startswith(b"* BAD"))
        c.ok("NOOP")

    def test_namespace_id_capability(self):
        c = self.connect()
        self.assertEqual([[b"", b"/"]],
                         c.ok("NAMESPACE").find("NAMESPACE")[0][2])
        self.assertEqual(1, len(c.ok('ID ("name" "test")').find("ID")))
        caps = [x.upper() for x in
                c.ok("CAPABILITY").find("CAPABILITY")[0][2:]]
        for cap in ("IMAP4REV1 LITERAL+ SASL-IR ID ENABLE IDLE UIDPLUS MOVE "
                    "NAMESPACE SPECIAL-USE LIST-EXTENDED LIST-STATUS CHILDREN "
                    "UNSELECT ESEARCH CONDSTORE WITHIN").split():
            self.assertIn(cap, caps)


SEARCHES = (
    ("ALL", [1, 2, 3]),
    ("2:*", [2, 3]),
    ("UID 1,3", [1, 3]),
    ("NOT 2", [1, 3]),
    ("SEEN", [1]), ("UNSEEN", [2, 3]),
    ("FLAGGED", [2]), ("UNFLAGGED", [1, 3]),
    ("DELETED", [3]), ("UNDELETED", [1, 2]),
    ("DRAFT", [3]), ("UNDRAFT", [1, 2]),
    ("ANSWERED", []), ("UNANSWERED", [1, 2, 3]),
    ("KEYWORD $Kw", [2]), ("UNKEYWORD $kw", [1, 3]),
    ("RECENT", [1, 2, 3]), ("NEW", [2, 3]), ("OLD", []),
    ("OR SEEN DRAFT", [1, 3]),
    ("OR (SEEN FLAGGED) (UNSEEN 3)", [3]),
    ("NOT (SEEN)", [2, 3]),
    ("BEFORE 2-Feb-1994", [1]),
    ("ON 2-Feb-1994", [2]),
    ("SINCE 02-Feb-1994", [2, 3]),
    ('SENTON "7-Feb-1994"', [1]),
    ("SENTBEFORE 1-Apr-1997", [1]),
    ("SENTSINCE 1-Apr-1997", [2, 3]),
    ("SENTON 31-Dec-2025", [3]),
    ("LARGER %d" % (len(PLAIN) - 1), [1, 2]),
    ("SMALLER %d" % len(PLAIN), [3]),
    ("FROM foobar", [1]), ('FROM "fred FOO"', [1]),
    ("TO public", [1]), ("CC pirard", [1]), ("BCC x", []),
    ("SUBJECT MEET", [1]), ("SUBJECT inner", []),
    ("CHARSET UTF-8 SUBJECT {}", [3], "émile zola et".encode()),
    ("CHARSET UTF-8 CC {}", [1], "andré".encode()),
    ("HEADER X-Long b", [3]), ('HEADER X-Long ""', [3]),
    ("HEADER Message-ID nested@", [2]),
    ("HEADER Nope x", []),
    ("BODY 3:30", [1]), ("BODY Fred", []),
    ("CHARSET UTF-8 BODY {}", [2], "PART: ÉTÉ".encode()),
    ('BODY "inner text"', [2]), ("BODY deepest", [2]),
    ("TEXT Fred", [1]), ("TEXT blurdybloop", [1]),
    ('TEXT "inner message"', [2]),
    ('TEXT "afternoon meeting" BODY Joe', [1]),
)


def lower(v):
    """Strings of a structure, comparable: lower-case text, "" for NIL."""
    if isinstance(v, list):
        return [lower(x) for x in v]
    if isinstance(v, bytes):
        v = v.decode("utf-8", "replace")
    return (v or "").lower()


def decode(name):
    return name.decode() if isinstance(name, bytes) else name


def without(numbers, reply):
    """What is left of the list after the EXPUNGEs, in whatever order."""
    left = list(numbers)
    for v in reply.find("EXPUNGE"):
        del left[int(v[1]) - 1]
    return left


def status(reply):
    return reply.status, reply.code


def parse_fetch(response):
    v = imapraw.parse(response)
    return dict(zip(v[3][::2], v[3][1::2])) if v[2:3] == ["FETCH"] else {}


class Dovecot(Dialogues, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not imapraw.dovecot_is_here():
            raise unittest.SkipTest("no Dovecot to compare with")
        cls.s = imapraw.Dovecot()
        cls.addClassCleanup(cls.s.close)
        cls.port = cls.s.port["imap"]

    def user(self, n):
        return "user%d@example.org" % n, "pass%d" % n


class Pneu(Dialogues, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",), workers=2,
                       accounts=["user%d" % n for n in range(1, 5)],
                       conf={"mailbox": {"plaintext_login": True,
                                         "max_size": "25M"}})
        cls.addClassCleanup(cls.s.close)
        cls.port = cls.s.port["imap"]

    def user(self, n):
        return "user%d@example.test" % n, PASSWORD

    def test_strictness(self):
        """Where Dovecot is lenient."""
        c = self.connect()
        name = self.mailbox(c, PLAIN)
        self.assertEqual("BAD", c.cmd("NOOP x").status)
        self.assertEqual("BAD", c.cmd("STORE 1 FLAGS").status)
        c.ok("EXAMINE " + name)
        self.assertEqual(("NO", "READ-ONLY"),
                         status(c.cmd("STORE 1 FLAGS ()")))

    def test_every_worker_sees_every_change(self):
        # More than one in each worker, by any chance.
        clients = [self.connect() for _ in range(12)]
        name = self.mailbox(clients[0])
        for c in clients[1:]:
            c.ok("SELECT " + name)
        for n, c in enumerate(clients, 1):
            c.append(name, PLAIN)
            for d in clients:
                r = d.ok("NOOP")
                if d is not c:
                    self.assertEqual(str(n), r.find("EXISTS")[0][1])
        for n, c in enumerate(clients, 1):
            c.ok("STORE %d +FLAGS.SILENT (\\Deleted)" % n)
        for c in clients:
            c.ok("NOOP")
            self.assertEqual(len(clients), len(c.ok(
                "SEARCH DELETED").search()))
        for c in clients[1:]:
            c.idle()
        clients[0].ok("EXPUNGE")
        for c in clients[1:]:
            for _ in clients:
                c.wait_for(r"\* \d+ EXPUNGE")
            self.assertEqual("OK", c.done().status)

    def test_concurrent_writers(self):
        """Appends and flags from many at once: nothing lost, UIDs unique."""
        name = self.mailbox(self.connect())
        each, problems, uids = 30, [], []

        def work(k):
            try:
                c = self.connect()
                c.ok("SELECT " + name)
                for i in range(each):
                    r = c.append(name, b"Subject: %d %d\r\n\r\n" % (k, i))
                    uid = r.code_args.split()[1]
                    uids.append(uid)
                    c.ok("UID STORE %s +FLAGS.SILENT (\\Seen $k%d)"
                         % (uid, k))
            except Exception as e:
                problems.append(repr(e))

        threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([], problems, self.s.log("mailbox")[-2000:])
        self.assertEqual(6 * each, len(set(uids)))
        c = self.connect()
        c.ok("SELECT " + name)
        m = c.ok("FETCH 1:* (FLAGS BODY.PEEK[])").fetched()
        self.assertEqual(6 * each, len({i["BODY[]"] for i in m.values()}))
        for i in m.values():
            k = i["BODY[]"].split()[1].decode()
            self.assertEqual({"\\Seen", "$k" + k},
                             set(i["FLAGS"]) - {"\\Recent"})

    def test_large_messages(self):
        c = self.connect()
        name = self.mailbox(c)
        line = b"0123456789" * 7 + b"\r\n"
        big = b"Subject: big\r\n\r\n" + line * (20 * 2**20 // len(line))
        c.append(name, big)
        m = c.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])").fetched()[1]
        self.assertEqual(str(len(big)), m["RFC822.SIZE"])
        self.assertTrue(big == m["BODY[]"])
        m = c.ok("FETCH 1 BODY.PEEK[]<20000000.100>").fetched()[1]
        self.assertEqual(big[20000000:20000100], m["BODY[]<20000000>"])
        self.assertEqual([1], c.ok(
            "SEARCH BODY 9012345 NOT BODY 9012346").search())
        r = c.cmd("APPEND %s {26214401}" % name)
        self.assertEqual(("NO", "TOOBIG"), status(r))

    def test_quota(self):
        self.s.pneu("account", "set", "--quota-messages", "3",
                    "user4@example.test")
        c = self.connect(4)
        name = self.mailbox(c, PLAIN, PLAIN)
        self.assertEqual(("NO", "OVERQUOTA"), status(c.cmd(
            "COPY 1:2 " + name)))
        c.ok("COPY 1 " + name)
        self.assertEqual(("NO", "OVERQUOTA"), status(c.cmd(
            "APPEND %s {}" % name, PLAIN)))
        c.ok("CREATE %s/x" % name)
        c.ok("MOVE 1:* %s/x" % name)

    def test_kept_over_a_restart(self):
        c = self.connect()
        name = self.mailbox(c, PLAIN, NESTED)
        c.ok("STORE 2 +FLAGS (\\Flagged $Kept)")
        before = c.ok("STATUS %s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)" % name)
        c.idle()
        self.s.stop("mailbox")
        r = c.response()
        self.assertTrue(r.startswith(b"* BYE"), r)
        self.s.start("mailbox")
        c = self.connect()
        after = c.ok("STATUS %s (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)" % name)
        self.assertEqual(before.untagged, after.untagged)
        c.ok("SELECT " + name)
        m = c.ok("FETCH 1:2 (FLAGS BODY.PEEK[])").fetched()
        self.assertEqual([PLAIN, NESTED], [m[n]["BODY[]"] for n in (1, 2)])
        self.assertEqual({"\\Flagged", "$Kept"}, set(m[2]["FLAGS"]))


class Login(unittest.TestCase):
    """Without plaintext_login, as it is by default."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",))
        cls.addClassCleanup(cls.s.close)

    def connect(self, tls=False):
        c = Imap(self.s.port["imaps" if tls else "imap"], tls)
        self.addCleanup(c.close)
        return c

    def test_no_password_in_the_clear(self):
        c = self.connect()
        self.assertIn(b"LOGINDISABLED", c.greeting)
        self.assertIn(b"STARTTLS", c.greeting)
        self.assertNotIn(b"AUTH=PLAIN", c.greeting)
        self.assertEqual(("NO", "PRIVACYREQUIRED"),
                         status(c.cmd("LOGIN alice@example.test demo")))
        self.assertEqual(("NO", "PRIVACYREQUIRED"),
                         status(c.cmd("AUTHENTICATE PLAIN")))
        self.assertEqual("BAD", c.cmd("SELECT INBOX").status)

    def test_starttls(self):
        c = self.connect()
        # (What is sent behind it in the clear: test_hostile_readers.py)
        c.ok("STARTTLS")
        c.starttls()
        caps = c.ok("CAPABILITY").untagged[0]
        self.assertIn(b"AUTH=PLAIN", caps)
        self.assertNotIn(b"STARTTLS", caps)
        self.assertNotIn(b"LOGINDISABLED", caps)
        self.assertEqual("BAD", c.cmd("STARTTLS").status)
        r = c.ok('LOGIN "alice@example.test" demo')
        self.assertEqual("CAPABILITY", r.code)
        self.assertNotIn("AUTH=", r.code_args)
        self.assertEqual([], c.ok('LIST "" injected').untagged)

    def test_authenticate(self):
        plain = base64.b64encode(b"\0alice@example.test\0demo").decode()
        c = self.connect(tls=True)
        c.ok("AUTHENTICATE PLAIN " + plain)             # RFC 4959
        self.assertEqual("BAD", c.cmd("AUTHENTICATE PLAIN").status)
        c = self.connect(tls=True)
        c.send("a AUTHENTICATE PLAIN\r\n")
        self.assertEqual(b"+ ", c.response())
        c.send("*\r\n")
        self.assertEqual("BAD", c.finish("a").status)
        c.send("a AUTHENTICATE PLAIN\r\n")
        c.response()
        c.send("!!\r\n")
        self.assertEqual("BAD", c.finish("a").status)
        self.assertEqual("BAD", c.cmd("AUTHENTICATE PLAIN a=b").status)
        self.assertEqual("NO", c.cmd("AUTHENTICATE NOPE").status)
        c.send("a AUTHENTICATE PLAIN\r\n")
        c.response()
        c.send(plain + "\r\n")
        self.assertEqual("OK", c.finish("a").status)

    def test_scram(self):
        """With the server's proof as the last challenge."""
        c = self.connect(tls=True)
        first = b"n=alice@example.test,r=abcdefgh"
        c.send(b"a AUTHENTICATE SCRAM-SHA-256 %s\r\n"
               % base64.b64encode(b"n,," + first))
        server = base64.b64decode(c.response()[2:])
        v = dict(x.split(b"=", 1) for x in server.split(b","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(),
                                     base64.b64decode(v[b"s"]), int(v[b"i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        final = b"c=biws,r=" + v[b"r"]
        auth = first + b"," + server + b"," + final
        sign = hmac.digest(hashlib.sha256(key).digest(), auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(key, sign))
        c.send(base64.b64encode(final + b",p=" + base64.b64encode(proof)) +
               b"\r\n")
        got = base64.b64decode(c.response()[2:])
        want = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), auth,
                           "sha256")
        self.assertEqual(b"v=" + base64.b64encode(want), got)
        c.send("\r\n")
        self.assertEqual("OK", c.finish("a").status)

    def test_wrong_passwords_end_it(self):
        c = self.connect(tls=True)
        for n in range(5):
            self.assertEqual(("NO", "AUTHENTICATIONFAILED"), status(c.cmd(
                "LOGIN nobody@example.test wrong")))
        self.assertTrue(c.response().startswith(b"* BYE"))
        with self.assertRaises(Closed):
            c.response()

    def test_bad_commands_end_it(self):
        c = self.connect()
        for n in range(5):
            self.assertEqual("BAD", c.cmd("NOPE").status)
        self.assertTrue(c.response().startswith(b"* BYE"))

    def test_limits_before_login(self):
        c = self.connect(tls=True)
        self.assertEqual("BAD", c.cmd("LOGIN {100000}").status)
        c.send("a LOGIN {100000+}\r\n")
        self.assertTrue(any(c.response().startswith(b"* BYE")
                            for _ in range(2)))
        c = self.connect()
        c.send(b"a LOGIN " + b"x" * 100000 + b"\r\n")
        self.assertTrue(c.response().startswith(b"* BYE"))


class Programs(unittest.TestCase):
    """Mail programs that people use."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(programs=("mailbox",))
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)

    def test_imaplib(self):
        c = self.s.imap("alice")
        self.addCleanup(c.logout)
        self.assertEqual("OK", c.create("lib")[0])
        self.assertEqual("OK", c.append("lib", "(\\Seen)", None, PLAIN)[0])
        self.assertEqual(("OK", [b"1"]), c.select("lib"))
        typ, data = c.fetch("1", "(RFC822)")
        self.assertEqual(PLAIN, data[0][1])
        self.assertEqual(("OK", [b"1"]),
                         c.search(None, "SUBJECT", '"afternoon"'))
        self.assertEqual("OK", c.copy("1", "Archive")[0])
        c.store("1", "+FLAGS", "(\\Deleted)")
        self.assertEqual(("OK", [b"1"]), c.expunge())
        self.assertEqual("OK", c.unselect()[0])
        self.assertEqual("OK", c.delete("lib")[0])

    def curl(self, *args, **kw):
        return subprocess.run(
            ["curl", "-sS", "-k", "-u", "alice@example.test:" + PASSWORD,
             "--max-time", "60", *args], capture_output=True, check=True,
            timeout=PATIENCE, **kw).stdout

    @unittest.skipUnless(shutil.which("curl"), "no curl")
    def test_curl(self):
        url = "imaps://127.0.0.1:%d/" % self.s.port["imaps"]
        mail = os.path.join(self.dir, "m")
        with open(mail, "wb") as f:
            f.write(NESTED)
        self.curl(url, "-X", "CREATE curl")
        self.curl("-T", mail, url + "curl")
        self.assertIn(b'"curl"', self.curl(url))
        self.assertEqual(NESTED, self.curl(url + "curl;UID=1"))
        self.assertEqual(b"inner text", self.curl(
            url + "curl;UID=1;SECTION=3.1"))
        self.assertIn(b"* SEARCH 1", self.curl(url + "curl?SUBJECT%20nested"))
        # and with STARTTLS
        plain = "imap://127.0.0.1:%d/" % self.s.port["imap"]
        self.assertIn(b'"curl"', self.curl("--ssl-reqd", plain))

    @unittest.skipUnless(shutil.which("mbsync"), "no mbsync")
    def test_mbsync(self):
        """Both ways; a second run has nothing to do."""
        c = self.s.imap("bob")
        self.addCleanup(c.logout)
        c.create("box")
        for m in (PLAIN, NESTED, ODD):
            c.append("box", "(\\Flagged)", None, m)
        maildir = os.path.join(self.dir, "mail")
        os.mkdir(maildir)
        rc = os.path.join(self.dir, "mbsyncrc")
        with open(rc, "w") as f:
            f.write("""IMAPAccount p
Host localhost
Port %d
User bob@example.test
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore far
Account p

MaildirStore near
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
""" % (self.s.port["imaps"], PASSWORD, self.certificate(), maildir, maildir))

        def sync():
            r = subprocess.run(["mbsync", "-c", rc, "-a"], text=True,
                               capture_output=True, timeout=PATIENCE)
            self.assertEqual(0, r.returncode, r.stderr)
            return sorted(x for d, _, names in os.walk(maildir + "/box")
                          for x in names if not x.startswith("."))

        first = sync()
        self.assertEqual(3, len(first))
        self.assertEqual(first, sync())
        modseq = c.status("box", "(HIGHESTMODSEQ)")
        self.assertEqual(first, sync())
        self.assertEqual(modseq, c.status("box", "(HIGHESTMODSEQ)"))
        contents = set()
        for d, _, names in os.walk(maildir + "/box"):
            for x in names:
                if not x.startswith("."):
                    with open(os.path.join(d, x), "rb") as f:
                        contents.add(f.read().replace(b"\r\n", b"\n"))
        # mbsync adds a line of its own to what it has moved.
        self.assertEqual({m.replace(b"\r\n", b"\n")
                          for m in (PLAIN, NESTED, ODD)},
                         {re.sub(rb"X-TUID: .*\n", b"", m) for m in contents})
        # here: a flag, a deletion, a new message; there: another flag
        for uid, more in ("1", "S"), ("2", "T"):
            folder, name = next(
                (d, x) for d in ("cur", "new")
                for x in os.listdir(maildir + "/box/" + d)
                if re.search(r",U=%s(:|$)" % uid, x))
            os.rename("%s/box/%s/%s" % (maildir, folder, name),
                      "%s/box/cur/%s:2,F%s" % (maildir, name.split(":")[0],
                                               more))
        with open(maildir + "/box/new/1.x.y", "wb") as f:
            f.write(b"Subject: from here\n\nbody\n")
        c.select("box")
        c.store("3", "+FLAGS", "(\\Answered)")
        after = sync()
        self.assertEqual(after, sync())
        self.assertEqual(3, len(after))
        c.noop()
        typ, data = c.fetch("1:*", "(FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        text = b" ".join(b"".join(d) if isinstance(d, tuple) else d
                         for d in data)
        self.assertRegex(text, rb"(?s)1 \(FLAGS \(\\Flagged \\Seen\).*meeting"
                               rb".*2 \(FLAGS \(\\Answered \\Flagged"
                               rb".*3 \(FLAGS.*from here")
        self.assertNotIn(b"nested", text)
        self.assertTrue(any("RS" in x or "FR" in x for x in after), after)

    def certificate(self):
        import pneu
        return pneu.certificate()[0]


if __name__ == "__main__":
    unittest.main()
