# SPDX-License-Identifier: ISC
"""Gmail accounts, by its HTTP API: the first look, history, what goes wrong, and
what goes out; at a server that is strict about what it is asked."""
import json
import random
import unittest

import test_gateway_imap
from gmailserver import GmailServer
from oauthserver import OAuthServer
from pneu import PASSWORD, System, certificate, until
from scripted import Scripted

USER = "alice@gmail.test"
DATE_MS = 1700000000000


def message(n):
    return (b"From: a@else.test\r\nTo: alice@gmail.test\r\nSubject: %d\r\n"
            b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
            b"Message-ID: <%d@else.test>\r\n\r\nbody %d\r\n" % (n, n, n))


class Case(test_gateway_imap.Case):
    programs = ("mailbox", "gateway")

    @classmethod
    def setUpClass(cls):
        cls.oauth = OAuthServer()
        cls.oauth.user = USER
        cls.addClassCleanup(cls.oauth.close)
        cls.s = System(programs=cls.programs, conf={
            "tls": {"ca": certificate()[0]},
            "qm": {"retry_first": "1s", "retry_max": "1s", "smtp_port": 1},
            "gateway": test_gateway_imap.SETTINGS})
        cls.addClassCleanup(cls.s.close)

    def setUp(self):
        self.there = GmailServer(self.oauth)
        self.addCleanup(self.there.close)
        self.addCleanup(lambda: self.assertEqual(self.there.faults, []))

        # One of its own: what an account has had does not come again.
        self.user = self.id().split(".")[-1].replace("_", "")
        self.s.pneu("account", "add", self.s.address(self.user),
                    input=PASSWORD + "\n")
        self.out = self.user + "@out.test"

    def add_gmail(self, *args):
        self.s.pneu("outside", "add", "--protocol", "gmail", "--host",
                    "localhost", "--port", str(self.there.port),
                    "--user", USER, *self.oauth.options(),
                    "--client-secret-file", "-", *args, self.out,
                    self.s.address(self.user), input="s3cret\n")
        self.addCleanup(self.s.pneu, "outside", "remove", self.out,
                        check=False)
        self.login()

    def login(self):
        self.s.pneu("outside", "login", "--token", self.out,
                    input=self.oauth.new_refresh(USER) + "\n")

    def boxes(self, c):
        return [line.decode().split(' "/" ')[1].strip('"')
                for line in c.list()[1] if b"\\Noselect" not in line]

    def here(self):
        """Mailbox to a sorted list of (octets, flags, date)."""
        out = {}
        with self.s.imap(self.user) as c:
            for box in self.boxes(c):
                c.select('"%s"' % box, True)
                found = c.uid("FETCH", "1:*",
                              "(FLAGS INTERNALDATE BODY.PEEK[])")[1]
                for item in found:
                    if isinstance(item, tuple):
                        flags = item[0].split(b"FLAGS (")[1].split(b")")[0]
                        date = item[0].split(b'INTERNALDATE "')[1].split(
                            b'"')[0]
                        out.setdefault(box, []).append(
                            (item[1], sorted(
                                f for f in flags.decode().split()
                                if f != "\\Recent"), date.decode()))
        return {box: sorted(v) for box, v in out.items()}

    def subjects(self):
        return {box: sorted(m[0].split(b"Subject: ")[1].split(b"\r\n")[0]
                            .decode() for m in v)
                for box, v in self.here().items()}


class Fetching(Case):
    def test_first_look_labels_and_history(self):
        there = self.there
        work = there.label("Work/Projects 2026")
        home = there.label("H\u00e4user")
        for labels in (["INBOX", "UNREAD", "CATEGORY_SOCIAL"],
                       ["INBOX", "STARRED", work], ["SENT"], ["TRASH"],
                       ["SPAM", "UNREAD"], ["DRAFT"], [home, "IMPORTANT"],
                       [], ["CHAT"]):
            there.put(message(len(there.messages)), labels)
        self.add_gmail()
        self.wait(self.s, self.out, messages=8)
        self.assertEqual(self.subjects(), {
            "INBOX": ["0", "1"], "Sent": ["2"], "Trash": ["3"],
            "Junk": ["4"], "Drafts": ["5"], "Archive": ["6", "7"]})
        here = self.here()
        flags = {m[0].split(b"Subject: ")[1][:1]: m[1]
                 for v in here.values() for m in v}
        self.assertEqual(flags[b"0"], [])
        self.assertEqual(flags[b"1"], ["Work/Projects_2026", "\\Flagged",
                                       "\\Seen"])
        self.assertEqual(flags[b"4"], [])
        self.assertEqual(flags[b"5"], ["\\Draft", "\\Seen"])
        self.assertEqual(flags[b"6"], ["$Important", "H&AOQ-user", "\\Seen"])
        self.assertEqual(sorted(m[0] for v in here.values() for m in v),
                         [message(n) for n in range(8)])
        self.assertEqual({m[2] for v in here.values() for m in v},
                         {"14-Nov-2023 22:13:20 +0000"})
        # A look when nothing is new is one request.
        n = len(there.asked)
        self.assertEqual(self.fetch(self.s, self.out), 0)
        self.assertEqual(len(there.asked), n + 1)
        # What comes.
        for n in range(20, 25):
            there.put(message(n))
        there.erase(there.put(message(25)))
        self.assertEqual(self.fetch(self.s, self.out), 5)
        self.assertEqual(self.subjects()["INBOX"],
                         ["0", "1", "20", "21", "22", "23", "24"])

    def test_folders(self):
        there = self.there
        a, b = there.label("Apples/Red"), there.label("Bees")
        there.put(message(1), [b, a])
        there.put(message(2), [b, "SENT"])
        there.put(message(3), [a, "INBOX"])
        self.add_gmail("--labels", "folders")
        self.wait(self.s, self.out, messages=3)
        self.assertEqual(self.subjects(), {
            "Apples/Red": ["1"], "Bees": ["2"], "INBOX": ["3"]})
        self.assertEqual(self.here()["Apples/Red"][0][1],
                         ["Bees", "\\Seen"])


    def test_history_too_old(self):
        there = self.there
        for n in range(3):
            there.put(message(n))
        self.add_gmail()
        self.wait(self.s, self.out, messages=3)
        there.put(message(3))
        there.age()
        there.put(message(4))
        self.assertEqual(self.fetch(self.s, self.out), 2)
        self.assertEqual(self.subjects(), {"INBOX": list("01234")})
        self.assertEqual(there.count(r"messages\?(?!.*labelIds)"), 2)
        # Each was asked for once.
        self.assertEqual(there.count(r"format=raw"), 5)

    def flags(self):
        return {m[0].split(b"Subject: ")[1].split(b"\r\n")[0].decode():
                (box, m[1]) for box, v in self.here().items() for m in v}

    def test_flags_are_followed(self):
        there = self.there
        work = there.label("Work")
        a, b, c = (there.put(message(n)) for n in range(3))
        draft = there.put(message(3), ["DRAFT"])
        self.add_gmail()
        self.wait(self.s, self.out, messages=4)
        with self.s.imap(self.user) as imap:
            imap.select("INBOX")
            imap.store("1:*", "+FLAGS", "(\\Flagged here)")
        there.change(a, [work, "STARRED"], ["UNREAD"])
        there.change(b, ["TRASH"], ["INBOX", "UNREAD"])
        there.change(c, (), ["INBOX", "UNREAD"])  # no label is left
        there.erase(draft)
        there.change(there.put(message(4)), ["STARRED"])
        self.assertEqual(self.fetch(self.s, self.out), 1)
        self.assertEqual(self.flags(), {
            "0": ("INBOX", ["Work", "\\Flagged", "\\Seen", "here"]),
            "1": ("INBOX", ["\\Flagged", "\\Seen", "here"]),
            "2": ("INBOX", ["\\Flagged", "\\Seen", "here"]),
            "4": ("INBOX", ["\\Flagged"])})
        there.change(a, ["UNREAD"], [work, "STARRED"])
        self.fetch(self.s, self.out)
        self.assertEqual(self.flags()["0"], ("INBOX", ["here"]))
        self.s.pneu("outside", "set", "--apart", self.out)
        there.change(b, ["UNREAD"])
        until(lambda: self.fetch(self.s, self.out) == 0, "a look")
        self.assertEqual(self.flags()["1"][1],
                         ["\\Flagged", "\\Seen", "here"])

    def test_tokens(self):
        self.there.put(message(1))
        self.add_gmail()
        self.wait(self.s, self.out, messages=1)
        asked = self.oauth.count("refresh_token")
        # Revoked while four are fetched: one asks for all.
        for n in range(2, 12):
            self.there.put(message(n))
        self.oauth.revoke_access()
        self.assertEqual(self.fetch(self.s, self.out), 10)
        self.assertEqual(self.oauth.count("refresh_token"), asked + 1)
        # The login is over.
        self.oauth.revoke_access()
        self.oauth.fail = [(400, {"error": "invalid_grant"})]
        self.s.pneu("outside", "fetch", self.out, check=False)
        self.assertEqual(self.wait(self.s, self.out, "login")["messages"], 11)
        self.there.put(message(12))
        self.login()
        self.wait(self.s, self.out, messages=12)

    def test_too_many_requests_and_errors(self):
        for n in range(6):
            self.there.put(message(n))
        self.there.plans = [
            ("profile", 429, {"Retry-After": "1"}, None),
            ("messages[?]", 503, {}, None),
            ("messages[?]", 403, {}, "userRateLimitExceeded"),
            ("format=raw", 429, {}, None), ("format=raw", 500, {}, None),
            ("format=raw", 403, {}, "rateLimitExceeded")]
        self.add_gmail()
        self.wait(self.s, self.out, messages=6)
        self.assertEqual(self.there.plans, [])
        self.assertLessEqual(self.there.most, 4)
        # It says how long: that is for the next look, which does not come.
        self.there.plans = [("history", 429, {"Retry-After": "600"}, None)]
        self.s.pneu("outside", "fetch", self.out, check=False)
        shown = self.wait(self.s, self.out, "retry")
        self.assertIn("429", shown["error"])
        n = len(self.there.asked)
        self.assertNotIn("history", str(self.there.plans))
        # What it does not allow is the user's to mend.
        self.there.plans = [("history", 403, {}, "insufficientPermissions")]
        self.s.pneu("outside", "fetch", self.out, check=False)
        self.wait(self.s, self.out, "login")
        self.assertEqual(len(self.there.asked), n + 1)

    def test_breaks_off_in_a_message(self):
        ids = [self.there.put(message(n) + b"x" * (3000000 * (n == 2)))
               for n in range(5)]
        self.there.plans = [("%s.format=raw" % ids[2], 0, {}, None),
                            ("%s.format=raw" % ids[2], 0, {}, None)]
        self.add_gmail()
        self.wait(self.s, self.out, messages=4)
        self.assertEqual(self.fetch(self.s, self.out), 0)
        self.assertEqual(self.there.plans, [])
        self.assertEqual(self.fetch(self.s, self.out), 1)
        self.assertEqual(self.fetch(self.s, self.out), 0)
        self.assertEqual(sorted(m[0] for m in self.here()["INBOX"]), sorted(
            self.there.messages[i].raw for i in ids))
        # All break off: the look ends, and tells.
        for n in range(5, 10):
            self.there.put(message(n))
        self.there.plans = [("format=raw", 0, {}, None)] * 20
        self.s.pneu("outside", "fetch", self.out, check=False)
        self.there.plans = []
        self.wait(self.s, self.out, "ok", messages=10)

    def test_a_large_message_streams(self):
        big = message(1) + (b"y" * 998 + b"\r\n") * 30000
        self.there.put(big)
        self.add_gmail()
        self.wait(self.s, self.out, messages=1)
        self.assertTrue(self.here()["INBOX"][0][0] == big)

    def test_killed_at_any_moment(self):
        there, chance = self.there, random.Random(5)
        ids = [there.put(message(n)) for n in range(700)]
        self.add_gmail()
        for kill in range(6):
            n = there.count("format=raw")
            more = chance.randrange(10, 90)
            until(lambda: there.count("format=raw") >= n + more or
                  self.show(self.s, self.out)["messages"] >= 700, "some")
            self.s.kill("gateway")
            # Whatever was on its way has another place now.
            for i in chance.sample(ids, 200):
                there.change(i, (), ["INBOX"])
            there.forgotten = kill == 3
            there.put(message(1000 + kill))
            self.s.start("gateway")
        there.forgotten = False

        def all_here():
            with self.s.imap(self.user) as c:
                return sum(int(c.select(b, True)[1][0])
                           for b in ("INBOX", "Archive")
                           if c.select(b, True)[0] == "OK") >= 706
        until(all_here, "all")
        self.fetch(self.s, self.out)
        got = sorted(m[0] for v in self.here().values() for m in v)
        self.assertEqual(got, sorted(m.raw for m in there.messages.values()))

    def test_list_show_test(self):
        self.there.put(message(1))
        self.add_gmail("--pause")
        s = self.s
        self.assertIn("signed in", s.pneu("outside", "test", self.out))
        self.assertIn("gmail", s.pneu("outside", "list"))
        self.assertIn("gmail://localhost", s.pneu("outside", "show", self.out))
        self.assertEqual(self.show(s, self.out)["labels"], "keywords")
        for wrong in (["--security", "none"], ["--folder", "INBOX"],
                      ["--delete-after", "1"], ["--labels", "no"],
                      ["--password"]):
            r = s.pneu("outside", "set", *wrong, self.out, check=False,
                       input="x\n")
            self.assertNotEqual(r.returncode, 0, wrong)
        self.there.user = "other@gmail.test"
        self.there.plans = [("profile", 401, {}, None)] * 2
        r = s.pneu("outside", "test", self.out, check=False)
        self.assertEqual(r.returncode, 1)
        self.there.faults.clear()


class Sending(Case):
    programs = ("guard", "mailbox", "qm", "msa", "mta", "gateway")

    def submit(self, header, recipients, n=1):
        self.message = (b"From: %s\r\n%sSubject: out\r\n"
                        b"Date: Sat, 28 Nov 2026 12:00:00 +0000\r\n"
                        b"Message-ID: <%d-%s>\r\n\r\n.dot\r\nbody\r\n" % (
                            self.out.encode(), header, n, self.out.encode()))
        self.s.submit(self.user, recipients, self.message, self.out)

    def queued(self):
        return json.loads(self.s.pneu("queue", "list", "--json"))

    def wait_sent(self, n=1):
        until(lambda: len(self.there.sent) >= n, "sent")
        until(lambda: not self.queued(), "empty queue")
        self.assertEqual(len(self.there.sent), n)
        return self.there.sent

    def wait_status(self, status):
        until(lambda: any(w["status"] == status for m in self.queued()
                          for w in m["waiting"]), status)

    def test_sends_to_the_envelope(self):
        self.add_gmail()
        self.submit(b"To: x@else.test\r\nCc: y@else.test\r\n",
                    ["x@else.test", "y@else.test", "z@other.test"])
        (to, raw), = self.wait_sent()
        self.assertEqual(to, ["x@else.test", "y@else.test", "z@other.test"])
        bcc, rest = raw.split(b"\r\n", 1)
        self.assertEqual(bcc, b"Bcc: z@other.test")
        self.assertTrue(rest.endswith(b"\r\n\r\n.dot\r\nbody\r\n"))
        # It comes back as what was sent, without Bcc.
        self.fetch(self.s, self.out)
        sent, = self.here()["Sent"]
        self.assertNotIn(b"Bcc", sent[0])
        # The header names one whom it must not reach from there.
        self.submit(b"To: x@else.test, bob@example.test\r\n",
                    ["x@else.test", "bob@example.test"], 2)
        self.s.wait_message("bob", b"Subject: out")
        until(lambda: "5.3.3 localhost: its header names others" in
              self.s.log("qm"), "report")
        self.wait_sent()

    def test_by_smtp_where_the_api_cannot(self):
        """The API would send to all whom the header names."""
        def knows(user, token):
            return user == USER and self.oauth.access.get(token, [""])[0] == USER
        with Scripted(starttls="good", auth=knows) as server:
            self.add_gmail("--pause", "--smtp-host", "localhost", "--smtp-port",
                           str(server.port), "--smtp-security", "starttls")
            header = b"To: x@else.test, bob@example.test\r\n"
            for n in (1, 2):
                self.submit(header, ["x@else.test", "bob@example.test"], n)
                until(lambda: len(server.messages) >= n, "sent")
                until(lambda: not self.queued(), "empty queue")
                message = server.messages[-1]
                self.assertEqual((message.sender, message.recipients, message.tls),
                                 (self.out, ["x@else.test"], True))
                self.assertIn(header, message.data)
                self.assertNotIn(b"Bcc", message.data)
                # The second time by a token that is not taken any more.
                self.oauth.revoke_access()
            self.assertEqual(len(server.messages), 2)
            # What it can is sent by the API still.
            self.submit(b"To: x@else.test\r\n", ["x@else.test"], 3)
            self.wait_sent()
            self.assertEqual(len(server.messages), 2)

    def test_errors_of_the_api(self):
        self.add_gmail("--pause")
        self.there.plans = [("send", 500, {}, None), ("send", 429, {}, None),
                            ("send", 403, {}, "userRateLimitExceeded"),
                            ("send", 401, {}, None)]
        self.submit(b"To: x@else.test\r\n", ["x@else.test"])
        self.wait_sent()
        self.assertEqual(self.there.plans, [])
        # Not for good.
        self.there.plans = [("send", 403, {}, "insufficientPermissions")]
        self.submit(b"To: x@else.test\r\n", ["x@else.test"], 2)
        self.wait_sent(2)
        # For good.
        self.submit(b"To: invalid@else.test\r\n", ["invalid@else.test"], 3)
        until(lambda: "550 5.6.0 localhost: 400 Invalid To header" in
              self.s.log("qm"), "report")
        self.wait_sent(2)

    def test_a_lost_answer_sends_nothing_twice(self):
        self.add_gmail("--pause")
        self.there.plans = [("send", 0, {}, None)]
        self.submit(b"To: x@else.test\r\n", ["x@else.test"])
        self.wait_sent()
        self.assertEqual(self.there.count("messages/send"), 1)

    def test_push(self):
        self.add_gmail("--pause")
        self.s.pneu("outside", "push", self.out)
        self.there.plans = [("upload.*messages", 500, {}, None),
                            ("upload.*messages", 0, {}, None)]
        sender = "x@else.test"
        self.s.send(sender, [self.s.address(self.user)], message(7))
        until(lambda: self.there.messages, "inserted")
        until(lambda: not self.queued(), "empty queue")
        there, = self.there.messages.values()
        self.assertEqual(there.labels, ["INBOX", "UNREAD"])
        self.assertTrue(there.raw.startswith(
            b"Return-Path: <x@else.test>\r\n"))
        self.assertTrue(there.raw.endswith(b"\r\n\r\nbody 7\r\n"))
        self.s.wait_message(self.user, b"body 7")


if __name__ == "__main__":
    unittest.main()
