# SPDX-License-Identifier: ISC
"""The HTTP API: sending, drafts, events, and HTML made harmless."""
import base64
import email
import email.policy
import html.parser
import http.client
import json
import os
import re
import unittest

from pneu import PASSWORD, PATIENCE, System, until
from test_api import Api, MAIL, deliver

HOSTILE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "hostile_html.txt")


class Case(unittest.TestCase):
    conf = {"mailbox": {"http_rate": 0}}

    @classmethod
    def setUpClass(cls):
        cls.system = System(programs=("guard", "mailbox", "qm", "msa"),
                            accounts=("alice", "bob", "dave"),
                            conf=cls.conf)
        cls.addClassCleanup(cls.system.close)

    def setUp(self):
        self.api = Api(self.system.port["http"])
        self.api.sign_in()

    def problem(self, got, status, code):
        self.assertEqual((got[0], got[1].get("code")), (status, code), got)


class Sending(Case):
    def arrived(self, user, text):
        m = self.system.wait_message(user, text)
        return email.message_from_bytes(m, policy=email.policy.default)

    def test_structured(self):
        data = bytes(range(256)) * 10
        status, got = self.api.call("POST", "/send", {
            "from": {"name": "Älice", "address": "alice@example.test"},
            "to": ["Bob <bob@example.test>", {"address": "bob@example.test"}],
            "bcc": ["dave@example.test"],
            "subject": "Grüße an alle\r\nBcc: evil@example.test",
            "text": "Schöne Grüße,\nstructured1\n.\nEnde",
            "html": "<p>Schöne Grüße</p>",
            "attachments": [{"filename": "ü \"a\".bin", "type": "image/x-y",
                             "content": base64.b64encode(data).decode()}]})
        self.assertEqual(status, 202, got)
        for user in ("bob", "dave"):
            m = self.arrived(user, b"structured1")
            self.assertEqual(m["From"], "Älice <alice@example.test>")
            self.assertEqual(m["Subject"].split(),
                             "Grüße an alle Bcc: evil@example.test".split())
            self.assertEqual(m["Message-ID"], got["message_id"])
            self.assertIsNone(m["Bcc"])
            self.assertTrue(m["Date"])
            self.assertEqual(
                m.get_body(("plain",)).get_content().splitlines(),
                ["Schöne Grüße,", "structured1", ".", "Ende"])
            part, = m.iter_attachments()
            self.assertEqual((part.get_filename(), part.get_content()),
                             ("ü \"a\".bin", data))
        # Kept, seen, in Sent.
        sent = self.api.list("/mailboxes/" + got["mailbox"])["messages"][0]
        self.assertEqual((sent["uid"], sent["flags"]), (got["uid"], ["seen"]))
        self.assertEqual(self.api.mailbox("Sent")["id"], got["mailbox"])

    def test_an_answer(self):
        deliver(self.system, "alice", MAIL % (70, 70, 70))
        box = self.api.mailbox()["id"]
        uid = self.api.list("/mailboxes/" + box,
                            q="word70")["messages"][0]["uid"]
        status, got = self.api.call("POST", "/send", {
            "to": ["bob@example.test"], "subject": "Re: x", "text": "answer1",
            "answers": {"mailbox": box, "uid": uid}, "save": False})
        self.assertEqual((status, got["uid"]), (202, None), got)
        m = self.arrived("bob", b"answer1")
        self.assertEqual(m["In-Reply-To"], "<m70@else.test>")
        self.assertEqual(m["References"], "<m70@else.test>")
        self.assertEqual(m["From"], "alice@example.test")
        self.assertIn("answered", self.api.call(
            "GET", "/mailboxes/%s/messages/%d" % (box, uid))[1]["flags"])

    def test_raw(self):
        body = (b"From: alice@example.test\nTo: bob@example.test\n"
                b"Bcc: dave@example.test\nSubject: raw\n\nraw1\n.\n..\nend\n")
        status, got = self.api.call("POST", "/send", body, {
            "Content-Type": "message/rfc822"})
        self.assertEqual(status, 202, got)
        for user in ("bob", "dave"):
            m = self.arrived(user, b"raw1")
            self.assertEqual(m.get_content().replace("\r\n", "\n"),
                             "raw1\n.\n..\nend\n")
            self.assertIsNone(m["Bcc"])

    def test_the_rules_of_submission_hold(self):
        good = {"to": ["bob@example.test"], "text": "x"}
        self.problem(self.api.call("POST", "/send", {
            **good, "from": "bob@example.test"}), 403, "not-your-address")
        self.problem(self.api.call(
            "POST", "/send", b"From: bob@example.test\nTo: a@b.test\n\nx", {
                "Content-Type": "message/rfc822"}), 403, "not-your-address")
        # The reverse-path is alice, the header is not.
        self.problem(self.api.call(
            "POST", "/send", b"From: alice@example.test\n"
            b"Sender: bob@example.test\nTo: bob@example.test\n\nx", {
                "Content-Type": "message/rfc822"}), 403, "not-your-address")
        self.problem(self.api.call("POST", "/send", {
            **good, "to": ["bob@example.test", "nobody@example.test"]}), 422,
            "bad-recipient")
        self.system.pneu("account", "set", "--messages-per-hour", "1",
                         "dave@example.test")
        dave = Api(self.api.port)
        dave.sign_in("dave@example.test")
        self.assertEqual(dave.call("POST", "/send", good)[0], 202)
        self.problem(dave.call("POST", "/send", good), 429, "sending-limit")

    def test_what_cannot_be_sent(self):
        for body in ({}, {"to": []}, {"to": "bob@example.test"},
                     {"to": ["bob"]}, {"to": ["a@b.test, c@d.test"]},
                     {"to": ["<a@b.test>\r\nX: y"]}, {"to": [1]},
                     {"to": ["a@b c.test"]}, {"to": ["@b.test"]},
                     {"to": ["bob@example.test"], "text": 1},
                     {"to": ["bob@example.test"], "from": "x"},
                     {"to": ["bob@example.test"], "answers": {}},
                     {"to": ["bob@example.test"],
                      "attachments": [{"content": "###"}]},
                     {"to": ["bob@example.test"], "attachments": [
                         {"content": "", "type": "a/b\r\nX: y"}]},
                     {"to": ["bob@example.test"], "attachments": [
                         {"content": "", "type": "/b"}]},
                     {"to": ["bob@example.test"], "attachments": [
                         {"content": "", "type": "a/"}]}):
            got = self.api.call("POST", "/send", body)
            self.problem(got, 422, "bad-value")
        self.problem(self.api.call("POST", "/send", b"x", {
            "Content-Type": "text/plain"}), 415, "bad-type")
        self.problem(self.api.call("POST", "/send", b"To: a@b.test\n\nx", {
            "Content-Type": "message/rfc822"}), 422, "bad-value")
        reader = Api(self.api.port)
        reader.sign_in(scopes=["read"])
        self.problem(reader.call("POST", "/send", {"to": ["a@b.test"]}), 403,
                     "bad-scope")

    def test_a_draft(self):
        status, got = self.api.call("POST", "/drafts", {
            "to": ["bob@example.test"], "subject": "later", "text": "draft1"})
        self.assertEqual((status, got["mailbox"]), (
            201, self.api.mailbox("Drafts")["id"]), got)
        m = self.api.call("GET", "/mailboxes/%s/messages/%d" % (
            got["mailbox"], got["uid"]))[1]
        self.assertEqual((m["text"].strip(), sorted(m["flags"])),
                         ("draft1", ["draft", "seen"]))

    def test_msa_down_means_later(self):
        self.system.stop("msa")
        self.addCleanup(self.system.start, "msa")
        got = self.api.call("POST", "/send", {"to": ["bob@example.test"]})
        self.problem(got, 503, "try-later")


class Stream:
    """Server-sent events, as a browser reads them."""

    def __init__(self, api, path="/events", last=None):
        self.c = http.client.HTTPConnection("127.0.0.1", api.port,
                                            timeout=PATIENCE)
        headers = {"Authorization": "Bearer " + api.token}
        if last:
            headers["Last-Event-ID"] = last
        self.c.request("GET", "/api/v1" + path, None, headers)
        self.r = self.c.getresponse()
        self.last = None

    def next(self):
        event = {}
        while True:
            line = self.r.readline().decode().rstrip("\n")
            if line == "" and event:
                self.last = event["id"]
                return event["event"], json.loads(event["data"])
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value

    def close(self):
        self.r.close()  # which has the socket
        self.c.close()


class Events(Case):
    def stream(self, *args, **kw):
        s = Stream(self.api, *args, **kw)
        self.addCleanup(s.close)
        self.assertEqual(s.r.status, 200)
        self.assertEqual(s.r.getheader("Content-Type"), "text/event-stream")
        self.assertEqual(s.next()[0], "ready")
        return s

    def test_what_happens_is_told(self):
        inbox = self.api.mailbox()["id"]
        s = self.stream()
        deliver(self.system, "alice", MAIL % (80, 80, 80))
        name, got = s.next()
        self.assertEqual((name, got["mailbox"], got["subject"]),
                         ("message", inbox, "Grüße 80"))
        one = "/mailboxes/%s/messages/%d" % (inbox, got["uid"])
        self.api.call("PATCH", one, {"add": ["seen", "$x"]})
        self.assertEqual(s.next(), ("flags", {
            "mailbox": inbox, "uid": got["uid"], "flags": ["seen", "$x"]}))
        before = s.last
        self.api.call("DELETE", one)
        self.assertEqual(s.next(), ("expunged", {
            "mailbox": inbox, "uid": got["uid"]}))
        deliver(self.system, "alice", MAIL % (81, 81, 81))
        name, got = s.next()
        self.assertEqual((name, got["subject"]), ("message", "Grüße 81"))
        last = s.last
        s.close()
        # What came meanwhile.
        deliver(self.system, "alice", MAIL % (82, 82, 82), MAIL % (83, 83, 83))
        self.api.call("PATCH", "/mailboxes/%s/messages/%d" % (
            inbox, got["uid"]), {"add": ["flagged"]})
        s = self.stream(last=last)
        self.assertEqual(s.next()[1], {
            "mailbox": inbox, "uid": got["uid"], "flags": ["flagged"]})
        self.assertEqual([s.next()[1]["subject"] for _ in range(2)],
                         ["Grüße 82", "Grüße 83"])
        # Once more from the same place by `since`; and from before a delete.
        s = self.stream("/events?since=" + last)
        self.assertEqual([s.next()[0] for _ in range(3)],
                         ["flags", "message", "message"])
        s = self.stream(last=before)
        self.assertEqual(s.next(), ("reload", {"mailbox": inbox}))

    def test_one_mailbox_and_what_is_none(self):
        work = self.api.call("POST", "/mailboxes", {"name": "w"})[1]["id"]
        s = self.stream("/events?mailbox=" + work)
        deliver(self.system, "alice", MAIL % (90, 90, 90))
        inbox = self.api.mailbox()["id"]
        uid = self.api.list("/mailboxes/" + inbox,
                            q="word90")["messages"][0]["uid"]
        self.api.call("POST", "/mailboxes/%s/messages/copy" % inbox,
                      {"uids": [uid], "to": work})
        name, got = s.next()
        self.assertEqual((name, got["mailbox"]), ("message", work))
        self.problem(self.api.call("GET", "/events?mailbox=1234567"), 404,
                     "no-such-mailbox")
        for since in ("x", "1:2:3", "1:2:3:4:5", "1:2:3:99999999999"):
            self.problem(self.api.call("GET", "/events?since=" + since), 422,
                         "bad-value")

    def test_streams_of_an_account_are_counted(self):
        self.api.sign_in("dave@example.test")
        for _ in range(16):
            last = self.stream()
        got = self.api.call("GET", "/events")
        self.problem(got, 429, "too-many-requests")
        last.close()
        # Its end is seen at once: the server waits for input there.

        def again():
            s = Stream(self.api)
            self.addCleanup(s.close)
            return s.r.status == 200
        until(again, "room for one more")

    def test_a_token_that_is_no_more_is_told_nothing(self):
        def revoked():
            self.api.call("DELETE", "/session")

        def changed():
            self.system.pneu("password", "set", "dave@example.test",
                             input=PASSWORD + "\n")
        for number, end in enumerate((revoked, changed)):
            self.api.sign_in("dave@example.test")
            s = self.stream()
            end()
            deliver(self.system, "dave", MAIL % ((95 + number,) * 3))
            self.assertEqual(s.r.readline(), b"")

    def test_a_stop_ends_streams(self):
        s = self.stream()
        self.system.restart("mailbox")
        try:
            self.assertEqual(s.r.read(), b"")
        except http.client.IncompleteRead:
            pass
        self.api.sign_in()


ALLOWED = set("""a abbr address article aside b bdo big blockquote body br
    caption center cite code col colgroup dd del dfn div dl dt em figcaption
    figure font footer h1 h2 h3 h4 h5 h6 head header hr html i img ins kbd li
    main mark meta nav ol p pre q s samp section small span strike strong
    style sub sup table tbody td tfoot th thead tr tt u ul var""".split())
ATTRIBUTES = set("""align alt bgcolor border cellpadding cellspacing color
    colspan dir face height href lang rowspan size src start style title type
    valign width target rel""".split())


class Harmless(html.parser.HTMLParser):
    def __init__(self, test, case):
        super().__init__()
        self.test, self.case = test, case

    def handle_starttag(self, tag, attrs):
        self.test.assertIn(tag, ALLOWED, self.case)
        for name, value in attrs:
            self.test.assertIn(name, ATTRIBUTES, self.case)
            if name == "href":
                self.test.assertRegex(value, r"\A(https?://|mailto:)",
                                      self.case)
            elif name == "src":
                self.test.assertRegex(value, r"\Adata:image/(png|jpeg|gif|"
                                      r"webp);base64,[A-Za-z0-9+/=]*\Z",
                                      self.case)
            elif name == "style":
                self.test.assertNotRegex(
                    value, r"(?i)url|expression|[\\@<{}]|position|var\(",
                    self.case)

    def handle_comment(self, data):
        self.test.fail((data, self.case))


def hostile_cases():
    with open(HOSTILE, encoding="utf-8", errors="surrogateescape",
              newline="\n") as f:
        return [line.rstrip("\n").replace("&NEWLINE;", "\n").replace(
            "&RETURN;", "\r").replace("&NUL;", "\0").encode(
                "utf-8", "surrogateescape") for line in f]


class Html(Case):
    def page(self, uid, query=""):
        r, body = self.api.call("GET", "%s/messages/%d/html%s" % (
            self.box, uid, query), raw=True)
        self.assertEqual(r.status, 200)
        return r.getheader("Content-Security-Policy"), body.decode()

    def setUp(self):
        super().setUp()
        self.box = self.api.box()

    def test_hostile_mail_does_nothing(self):
        cases = hostile_cases()
        self.assertGreater(len(cases), 200)
        deliver(self.system, "alice", *(
            b"Subject: hostile\r\nContent-Type: text/html; charset=utf-8\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" +
            base64.encodebytes(c).replace(b"\n", b"\r\n") for c in cases))
        uids, query = [], {"subject": "hostile", "limit": 200}
        while True:
            got = self.api.list(self.box, **query)
            uids += [m["uid"] for m in got["messages"]]
            if got["next"] is None:
                break
            query["cursor"] = got["next"]
        self.assertEqual(len(uids), len(cases))
        for case, uid in zip(cases, sorted(uids)):
            policy, text = self.page(uid)
            self.assertTrue(policy.startswith("default-src 'none';"))
            self.assertIn("sandbox allow-popups", policy)
            self.assertNotIn("allow-scripts", policy)
            body = text.split("<body>", 1)[1]
            Harmless(self, case).feed(body)
            self.assertNotRegex(body, r"(?i)<\s*/?\s*(script|style|svg)",
                                case)
            self.assertNotIn("evil.test", re.sub(
                r'href="https?://[^"]*"', "", re.sub(">[^<]*<", "><", body)),
                case)

    def test_images(self):
        png = base64.b64encode(b"\x89PNG fake").decode()
        deliver(self.system, "alice", (
            "Subject: images\r\nMIME-Version: 1.0\r\n"
            "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
            "Content-Type: text/html\r\n\r\n"
            "<img src=\"cid:a@b\"><img src=cid:none>"
            "<img src='https://tracker.test/1.gif?u=me'>\r\n--b\r\n"
            "Content-Type: image/png\r\nContent-ID: <a@b>\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" %
            png).encode())
        uid = self.api.list(self.box, subject="images")["messages"][0]["uid"]
        policy, text = self.page(uid)
        self.assertIn('<img src="data:image/png;base64,%s">' % png, text)
        self.assertNotIn("tracker", text)
        self.assertIn("img-src data:;", policy)
        policy, text = self.page(uid, "?remote=true")
        self.assertIn('src="https://tracker.test/1.gif?u=me"', text)
        self.assertIn("img-src data: http: https:;", policy)
        m = self.api.call("GET", "%s/messages/%d" % (self.box, uid))[1]
        self.assertEqual(m["remote_images"], 1)

    def test_plain_text(self):
        deliver(self.system, "alice",
                b"Subject: plain\r\n\r\na <b> & c\r\n  d\r\n")
        uid = self.api.list(self.box, subject="plain")["messages"][0]["uid"]
        self.assertIn("a &lt;b&gt; &amp; c\r\n  d", self.page(uid)[1])


if __name__ == "__main__":
    unittest.main()
