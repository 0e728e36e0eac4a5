# SPDX-License-Identifier: ISC
"""The HTTP API of mail: sessions, mailboxes, messages, as programs see it."""
import http.client
import json
import os
import socket
import subprocess
import unittest
import urllib.parse

import openapi
from pneu import (BUILD, PASSWORD, PATIENCE, System, listening_socket,
                  tls_context, until)

MAIL = (b"From: =?utf-8?q?J=C3=BCrgen?= <j@else.test>\r\n"
        b"To: alice@example.test, Bob <bob@example.test>\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= %d\r\n"
        b"Message-ID: <m%d@else.test>\r\n"
        b"Date: Fri, 20 Nov 2026 22:00:00 +0100\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Sch=F6ne Gr=FC=DFe, word%d\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n<p>Hi<script>x</script></p>\r\n"
        b"--b\r\nContent-Type: application/octet-stream; name=\"a b.bin\"\r\n"
        b"Content-Transfer-Encoding: base64\r\n"
        b"Content-Disposition: attachment; "
        b"filename*=utf-8''%%C3%%BCber.bin\r\n\r\n"
        b"AAECAwQFBgcICQ==\r\n--b--\r\n")


class Api:
    """One client. `token`: a bearer token, or None. Every reply must be as
    the OpenAPI document says."""

    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def call(self, method, path, body=None, headers=None, raw=False):
        headers = dict(headers or {})
        if self.token:
            headers.setdefault("Authorization", "Bearer " + self.token)
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=PATIENCE)
        try:
            c.request(method, path if path.startswith("/x") else
                      "/api/v1" + path, body, headers)
            r = c.getresponse()
            data = r.read()
        finally:
            c.close()
        openapi.check_reply(method, path, r.status,
                            r.getheader("Content-Type", ""), data)
        if raw:
            return r, data
        return r.status, json.loads(data) if data else None

    def sign_in(self, user="alice@example.test", password=PASSWORD, **more):
        status, got = self.call("POST", "/session", {
            "address": user, "password": password, **more})
        assert status == 201, got
        self.token = got["token"]
        return got

    def mailbox(self, name="INBOX"):
        status, got = self.call("GET", "/mailboxes")
        assert status == 200, got
        return next(m for m in got["mailboxes"] if m["name"] == name)

    def box(self, name="INBOX"):
        return "/mailboxes/" + self.mailbox(name)["id"]

    def list(self, box, **query):
        status, got = self.call("GET", "%s/messages?%s" % (
            box, urllib.parse.urlencode(query)))
        assert status == 200, got
        return got


def deliver(system, user, *messages):
    import smtplib
    with smtplib.LMTP("127.0.0.1", system.port["lmtp"],
                      timeout=PATIENCE) as c:
        for m in messages:
            c.sendmail("x@else.test", [system.address(user)], m)


class Case(unittest.TestCase):
    conf = {}

    @classmethod
    def setUpClass(cls):
        cls.system = System(programs=("mailbox",), conf=cls.conf,
                            workers=2)
        cls.addClassCleanup(cls.system.close)

    def setUp(self):
        self.api = Api(self.system.port["http"])

    def problem(self, got, status, code):
        self.assertEqual((got[0], got[1].get("code")), (status, code), got)
        self.assertEqual(got[1]["status"], status)
        self.assertEqual(got[1]["type"], "urn:pneu:problem:" + code)


class Sessions(Case):
    def test_sign_in_and_out(self):
        got = self.api.sign_in()
        self.assertEqual(got["account"], "alice@example.test")
        self.assertEqual(got["token_type"], "Bearer")
        self.assertEqual(len(got["token"]), 43)
        status, who = self.api.call("GET", "/session")
        self.assertEqual((status, who["id"]), (200, got["id"]))
        self.assertNotIn("token", who)
        self.assertEqual(who["scopes"], [
            "read", "write", "send", "tokens", "account"])
        self.assertEqual(self.api.call("DELETE", "/session"), (204, None))
        self.problem(self.api.call("GET", "/session"), 401, "bad-token")

    def test_who_may_not(self):
        for user, password in (("alice@example.test", "wrong"),
                               ("nobody@example.test", PASSWORD), ("", "")):
            self.problem(self.api.call("POST", "/session", {
                "address": user, "password": password}), 401,
                "bad-credentials")
        self.problem(self.api.call("GET", "/mailboxes"), 401, "not-signed-in")
        for token in ("x", "A" * 43, "\xff" * 43):
            self.api.token = token
            r, _ = self.api.call("GET", "/mailboxes", raw=True)
            self.assertEqual(r.status, 401)
            self.assertIn("Bearer", r.getheader("WWW-Authenticate"))

    def test_bodies_that_are_none(self):
        for body, status, code in (
                (b"{", 400, "bad-json"), (b"[]", 400, "bad-json"),
                (b'{"address":"a","address":"b"}', 400, "bad-json"),
                (b'{"address":1}', 422, "bad-value"),
                (b'{"address":"a\\u0000b"}', 400, "bad-json"),
                (b"{}", 422, "bad-value"), (b"", 422, "bad-value"),
                (b"[" * 5000, 400, "bad-json"),
                (b'{"x":"' + b"y" * (1 << 20) + b'"}', 413, "too-large")):
            self.problem(self.api.call(
                "POST", "/session", body,
                {"Content-Type": "application/json"}), status, code)
        self.problem(self.api.call("POST", "/session", b"address=x", {
            "Content-Type": "application/x-www-form-urlencoded"}), 415,
            "bad-type")

    def test_scopes_and_tokens(self):
        self.api.sign_in()
        status, made = self.api.call("POST", "/tokens", {
            "name": "script", "scopes": ["read"], "expires_in": 3600})
        self.assertEqual((status, made["scopes"]), (201, ["read"]))
        script = Api(self.api.port, made["token"])
        self.assertEqual(script.call("GET", "/mailboxes")[0], 200)
        self.problem(script.call("POST", "/mailboxes", {"name": "x"}), 403,
                     "bad-scope")
        self.problem(script.call("GET", "/tokens"), 403, "bad-scope")
        status, got = self.api.call("GET", "/tokens")
        self.assertIn(made["id"], [t["id"] for t in got["tokens"]])
        self.assertNotIn(made["token"], json.dumps(got))
        self.assertEqual(self.api.call(
            "DELETE", "/tokens/" + made["id"]), (204, None))
        self.problem(script.call("GET", "/mailboxes"), 401, "bad-token")
        self.problem(self.api.call("DELETE", "/tokens/" + made["id"]), 404,
                     "no-such-token")
        # Nobody else's; and never more than one has.
        status, other = Api(self.api.port).call("POST", "/session", {
            "address": "bob@example.test", "password": PASSWORD,
            "scopes": ["tokens", "read"]})
        bob = Api(self.api.port, other["token"])
        mine = self.api.call("GET", "/session")[1]["id"]
        self.problem(bob.call("DELETE", "/tokens/" + mine), 404,
                     "no-such-token")
        self.problem(bob.call("POST", "/tokens", {"scopes": ["write"]}), 403,
                     "bad-scope")
        self.problem(bob.call("POST", "/tokens", {"scopes": ["x"]}), 422,
                     "bad-value")

    def test_tokens_end(self):
        api = Api(self.api.port)
        api.sign_in("bob@example.test", expires_in=1)
        until(lambda: api.call("GET", "/session")[0] == 401, "expiry")

    def test_a_new_password_ends_all_tokens(self):
        self.system.pneu("account", "add", "carol@example.test",
                         input=PASSWORD + "\n")
        api = Api(self.api.port)
        api.sign_in("carol@example.test")
        self.system.pneu("password", "set", "carol@example.test",
                         input="other\n")
        self.problem(api.call("GET", "/session"), 401, "bad-token")
        api.sign_in("carol@example.test", "other")
        self.system.pneu("account", "set", "--disable", "carol@example.test")
        self.problem(api.call("GET", "/session"), 401, "bad-token")

    def test_cookies_need_the_csrf_token(self):
        r, body = self.api.call("POST", "/session", {
            "address": "alice@example.test", "password": PASSWORD,
            "cookie": True}, raw=True)
        got = json.loads(body)
        self.assertNotIn("token", got)
        cookie = r.getheader("Set-Cookie")
        for part in ("HttpOnly", "SameSite=Strict", "Path=/api/v1"):
            self.assertIn(part, cookie)
        jar = {"Cookie": "other=1; " + cookie.split(";")[0]}
        self.assertEqual(self.api.call("GET", "/mailboxes", headers=jar)[0],
                         200)
        for csrf in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": "A" * 43}):
            self.problem(self.api.call("POST", "/mailboxes", {"name": "c"},
                                       {**jar, **csrf}), 403, "bad-csrf")
        csrf = {"X-CSRF-Token": got["csrf"]}
        self.assertEqual(self.api.call("GET", "/session",
                                       headers=jar)[1]["csrf"], got["csrf"])
        r, _ = self.api.call("DELETE", "/session", headers={**jar, **csrf},
                             raw=True)
        self.assertEqual(r.status, 204)
        self.assertIn("Max-Age=0", r.getheader("Set-Cookie"))
        self.problem(self.api.call("GET", "/session", headers=jar), 401,
                     "bad-token")

    def test_paths_methods_and_no_cors(self):
        self.problem(self.api.call("GET", "/nix"), 404, "not-found")
        self.problem(self.api.call("GET", "/x"), 404, "not-found")
        r, _ = self.api.call("PUT", "/session", raw=True)
        self.assertEqual((r.status, r.getheader("Allow")),
                         (405, "GET, HEAD, POST, DELETE"))
        r, _ = self.api.call("OPTIONS", "/session", raw=True, headers={
            "Origin": "https://evil.test",
            "Access-Control-Request-Method": "POST"})
        self.assertEqual(r.status, 405)
        self.assertIsNone(r.getheader("Access-Control-Allow-Origin"))
        self.assertEqual(r.getheader("Cache-Control"), "no-store")

    def test_sessions_outlive_a_restart_and_nothing_is_kept_in_plain(self):
        token = self.api.sign_in()["token"]
        self.system.restart("mailbox")
        self.assertEqual(self.api.call("GET", "/session")[0], 200)
        data = os.path.join(self.system.dir, "data")
        self.assertNotEqual(subprocess.run(
            ["grep", "-rqa", token, data]).returncode, 0)
        self.assertNotIn(token, self.system.log("mailbox"))


class Messages(Case):
    def setUp(self):
        super().setUp()
        self.api.sign_in()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        deliver(cls.system, "alice", *(MAIL % (i, i, i) for i in range(25)))

    def test_mailboxes(self):
        status, got = self.api.call("GET", "/mailboxes")
        roles = {m["name"]: m["role"] for m in got["mailboxes"]}
        self.assertEqual((roles["INBOX"], roles["Trash"], roles["Sent"]),
                         ("inbox", "trash", "sent"))
        status, made = self.api.call("POST", "/mailboxes", {"name": "Ä/b"})
        self.assertEqual((status, made["name"], made["messages"]),
                         (201, "Ä/b", 0))
        box = "/mailboxes/" + made["id"]
        self.problem(self.api.call("POST", "/mailboxes", {"name": "Ä/b"}),
                     409, "mailbox-exists")
        for name in ("", "a\nb", "a" * 300, "/x"):
            self.problem(self.api.call("POST", "/mailboxes", {"name": name}),
                         422, "bad-mailbox-name")
        status, got = self.api.call("PATCH", box, {"name": "new",
                                                   "subscribed": False})
        self.assertEqual((status, got["name"], got["id"], got["subscribed"]),
                         (200, "new", made["id"], False))
        self.assertEqual(self.api.call("GET", box)[1]["name"], "new")
        self.assertEqual(self.api.call("DELETE", box), (204, None))
        self.problem(self.api.call("GET", box), 404, "no-such-mailbox")
        inbox = self.api.box()
        self.problem(self.api.call("DELETE", inbox), 409, "not-with-inbox")
        self.problem(self.api.call("PATCH", inbox, {"name": "y"}), 409,
                     "not-with-inbox")
        for box in ("0", "x", "99999999", "%00", "-1", "1" * 30):
            self.problem(self.api.call("GET", "/mailboxes/%s/messages" % box),
                         404, "no-such-mailbox" if box != "%00"
                         else "not-found")

    def test_pages(self):
        box, seen, query = self.api.box(), [], {"limit": 10}
        while True:
            got = self.api.list(box, **query)
            self.assertLessEqual(len(got["messages"]), 10)
            seen += [m["uid"] for m in got["messages"]]
            if got["next"] is None:
                break
            query["cursor"] = got["next"]
        self.assertEqual(seen, sorted(seen, reverse=True))
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(len(seen), got["total"])
        m = got["messages"][-1]
        self.assertEqual(m["subject"], "Grüße 0")
        self.assertEqual(m["from"], [{"name": "Jürgen",
                                      "address": "j@else.test"}])
        self.assertEqual([a["address"] for a in m["to"]],
                         ["alice@example.test", "bob@example.test"])
        self.assertEqual(m["date"], "2026-11-20T21:00:00Z")
        self.assertIn("Schöne Grüße", m["preview"])
        self.assertTrue(m["attachments"])
        for query in ("limit=x", "limit=201", "cursor=-1", "limit=%4",
                      "since=yesterday", "seen=1"):
            self.problem(self.api.call("GET", box + "/messages?" + query), 422,
                         "bad-value")

    def test_search(self):
        box = self.api.box()

        def found(**query):
            return sorted(m["subject"] for m in
                          self.api.list(box, limit=200, **query)["messages"])
        self.assertEqual(found(q="WORD7"), ["Grüße 7"])
        self.assertEqual(found(body="schöne grüße, word11"), ["Grüße 11"])
        self.assertEqual(found(subject="grüße 2"), sorted(
            ["Grüße 2"] + ["Grüße %d" % i for i in range(20, 25)]))
        self.assertEqual(len(found(**{"from": "jürgen"})), 25)
        self.assertEqual(found(to="nobody"), [])
        self.assertEqual(found(q="word3", to="bob"), ["Grüße 3"])
        self.assertEqual(len(found(since="2020-01-01")), 25)
        self.assertEqual(found(before="2020-01-01"), [])
        # Pages of a search.
        first = self.api.list(box, subject="grüße 2", limit=4)
        rest = self.api.list(box, subject="grüße 2", limit=4,
                             cursor=first["next"])
        self.assertEqual((len(first["messages"]), len(rest["messages"]),
                          rest["next"]), (4, 2, None))

    def test_one_message(self):
        box = self.api.box()
        uid = self.api.list(box, q="word5")["messages"][0]["uid"]
        message = "%s/messages/%d" % (box, uid)
        status, m = self.api.call("GET", message)
        self.assertEqual(status, 200)
        self.assertEqual(m["text"], "Schöne Grüße, word5")
        self.assertEqual(m["html"], "<p>Hi<script>x</script></p>")
        self.assertEqual(m["message_id"], "<m5@else.test>")
        self.assertIn({"name": "Subject", "value": "Grüße 5"}, m["header"])
        self.assertNotIn("seen", m["flags"])
        files = [p for p in m["parts"] if p["filename"]]
        self.assertEqual([(p["filename"], p["type"]) for p in files],
                         [("über.bin", "application/octet-stream")])
        part = "%s/parts/%d" % (message, files[0]["part"])
        r, data = self.api.call("GET", part, raw=True)
        self.assertEqual((r.status, data), (200, bytes(range(10))))
        self.assertEqual(r.getheader("Content-Disposition"),
                         "attachment; filename*=UTF-8''%C3%BCber.bin")
        self.assertIn("sandbox", r.getheader("Content-Security-Policy"))
        for ask, status, want, content in (
                ("bytes=2-4", 206, b"\2\3\4", "bytes 2-4/10"),
                ("bytes=7-", 206, b"\7\x08\x09", "bytes 7-9/10"),
                ("bytes=-2", 206, b"\x08\x09", "bytes 8-9/10"),
                ("bytes=0-999", 206, bytes(range(10)), "bytes 0-9/10"),
                ("bytes=1-2,4-5", 200, bytes(range(10)), None),
                ("lines=1-2", 200, bytes(range(10)), None),
                ("bytes=10-", 416, None, "bytes */10")):
            r, data = self.api.call("GET", part, raw=True,
                                    headers={"Range": ask})
            self.assertEqual((r.status, r.getheader("Content-Range")),
                             (status, content), ask)
            if want is not None:
                self.assertEqual(data, want)
        r, raw = self.api.call("GET", message + "/raw", raw=True)
        self.assertEqual(r.getheader("Content-Type"), "message/rfc822")
        self.assertTrue(raw.endswith(MAIL % (5, 5, 5)), raw)
        r, data = self.api.call("GET", message + "/raw", raw=True,
                                headers={"Range": "bytes=100-199"})
        self.assertEqual((r.status, data), (206, raw[100:200]))
        r, data = self.api.call("HEAD", message + "/raw", raw=True)
        self.assertEqual((r.getheader("Content-Length"), data),
                         (str(len(raw)), b""))
        self.problem(self.api.call("GET", message + "/parts/99"), 404,
                     "no-such-part")
        self.problem(self.api.call("GET", message + "/parts/0"), 404,
                     "no-such-part")
        # Sent nobody knows when: then it is the receipt that counts.
        deliver(self.system, "bob", b"Subject: timeless\r\n\r\n")
        bob = Api(self.api.port)
        bob.sign_in(self.system.address("bob"))
        m = bob.list(bob.box(), subject="timeless")["messages"][0]
        self.assertEqual(m["date"], m["received"])
        for uid in ("0", "999999", "x", "4294967296"):
            self.problem(self.api.call("GET", "%s/messages/%s" % (box, uid)),
                         404, "no-such-message")

    def test_flags_move_copy_delete_undelete(self):
        status, made = self.api.call("POST", "/mailboxes", {"name": "work"})
        work, inbox = "/mailboxes/" + made["id"], self.api.box()
        uids = [m["uid"] for m in
                self.api.list(inbox, subject="grüße 1", limit=3)["messages"]]
        status, got = self.api.call("POST", inbox + "/messages/copy",
                                    {"uids": uids + uids, "to": made["id"]})
        self.assertEqual(status, 200)
        self.assertEqual(got["mailbox"], made["id"])
        self.assertEqual([p["from"] for p in got["uids"]], sorted(uids))
        copies = [p["to"] for p in got["uids"]]
        one = "%s/messages/%d" % (work, copies[0])
        self.assertEqual(self.api.call("PATCH", one, {
            "add": ["seen", "flagged", "$Work"]})[0], 200)
        flags = self.api.call("GET", one)[1]["flags"]
        self.assertEqual(sorted(flags), ["$Work", "flagged", "seen"])
        self.assertEqual([m["uid"] for m in self.api.list(
            work, seen="false")["messages"]], copies[:0:-1])
        self.assertEqual([m["uid"] for m in self.api.list(
            work, keyword="$work")["messages"]], copies[:1])
        self.assertEqual(self.api.call("PATCH", work + "/messages", {
            "uids": copies + [99999], "set": ["answered"]})[1],
            {"uids": copies})
        self.assertEqual(self.api.call("GET", one)[1]["flags"], ["answered"])
        self.assertEqual(self.api.call("PATCH", one, {
            "remove": ["answered"]})[0], 200)
        for body in ({}, {"add": "seen"}, {"add": ["a b"]}, {"add": [1]},
                     {"add": ["\\Seen"]}):
            self.problem(self.api.call("PATCH", one, body), 422, "bad-value")
        for body in ({}, {"uids": []}, {"uids": [0]}, {"uids": ["1"]},
                     {"uids": list(range(1, 1002))}):
            self.problem(self.api.call(
                "POST", work + "/messages/delete", body), 422, "bad-value")
        self.problem(self.api.call("POST", work + "/messages/move", {
            "uids": copies, "to": "12345678"}), 404, "no-such-mailbox")
        # Away and back.
        status, got = self.api.call("POST", work + "/messages/move", {
            "uids": copies[:1], "to": self.api.mailbox("Archive")["id"]})
        self.assertEqual((status, got["uids"][0]["from"]), (200, copies[0]))
        self.problem(self.api.call("GET", one), 404, "no-such-message")
        self.assertEqual(self.api.mailbox("Archive")["messages"], 1)
        self.assertEqual(self.api.call("DELETE", "%s/messages/%d" % (
            work, copies[1])), (204, None))
        self.assertEqual(self.api.call("POST", work + "/messages/delete", {
            "uids": copies})[1], {"uids": copies[2:]})
        self.assertEqual(self.api.list(work)["total"], 0)
        gone = self.api.call("GET", work + "/deleted")[1]["messages"]
        self.assertEqual(len(gone), 2, gone)
        self.assertTrue(gone[0]["subject"].startswith("Grüße 1"))
        self.assertEqual(self.api.call("POST", work + "/undelete", {
            "uids": [gone[0]["uid"]] * 2})[1], {"restored": 1})
        self.assertEqual([m["subject"] for m in
                          self.api.list(work)["messages"]],
                         [gone[0]["subject"]])
        self.assertEqual(self.api.call("POST", work + "/undelete", {
            "uids": [4000000]})[1], {"restored": 0})

    def test_by_curl(self):
        root = "http://127.0.0.1:%d/api/v1" % self.api.port

        def curl(*args):
            return subprocess.run(
                ["curl", "-sS", "--fail", "--max-time", str(int(PATIENCE)),
                 *args], check=True, capture_output=True).stdout
        token = json.loads(curl(root + "/session", "--json", json.dumps({
            "address": "alice@example.test",
            "password": PASSWORD})))["token"]
        header = "Authorization: Bearer " + token
        box = root + self.api.box()
        listed = json.loads(curl("-H", header, "-G", box + "/messages",
                                 "--data-urlencode", "q=Größe",
                                 "--data-urlencode", "limit=1"))
        self.assertEqual(listed["messages"], [])
        listed = json.loads(curl("-H", header, "-G", box + "/messages",
                                 "--data-urlencode", "subject=Grüße 9"))
        one = box + "/messages/%d" % listed["messages"][0]["uid"]
        raw = curl("-H", header, one + "/raw")
        self.assertEqual(curl("-H", header, "-r", "10-19", one + "/raw"),
                         raw[10:20])
        self.assertEqual(curl("-H", header, "-C", str(len(raw) - 5),
                              one + "/raw"), raw[-5:])
        # Chunked, and with "Expect: 100-continue".
        curl("-H", header, "-X", "PATCH", one, "-H",
             "Content-Type: application/json", "-H", "Expect: 100-continue",
             "-H", "Transfer-Encoding: chunked", "-d",
             json.dumps({"add": ["flagged"]}))
        self.assertIn("flagged", json.loads(curl("-H", header, one))["flags"])

    def test_nobody_sees_another_accounts_mail(self):
        box = self.api.box()
        uid = self.api.list(box)["messages"][0]["uid"]
        bob = Api(self.api.port)
        bob.sign_in("bob@example.test")
        for path in ("", "/messages", "/messages/%d" % uid,
                     "/messages/%d/raw" % uid, "/deleted"):
            self.problem(bob.call("GET", box + path), 404, "no-such-mailbox")
        self.problem(bob.call("DELETE", box), 404, "no-such-mailbox")

    def test_two_requests_on_one_connection(self):
        c = http.client.HTTPConnection("127.0.0.1", self.api.port,
                                       timeout=PATIENCE)
        self.addCleanup(c.close)
        c.connect()
        s = c.sock
        for method, path in (("GET", "/nix"), ("POST", "/session"),
                             ("GET", "/session"), ("HEAD", "/mailboxes")):
            c.request(method, "/api/v1" + path, b"{}" if method == "POST"
                      else None, {"Content-Type": "application/json",
                                  "Authorization": "Bearer " +
                                  self.api.token})
            c.getresponse().read()
            self.assertIs(c.sock, s, path)


class Limits(Case):
    conf = {"mailbox": {"http_rate": 60, "http_session": "60s",
                        "http_origins": "https://app.test"}}

    def test_rate(self):
        self.api.sign_in("bob@example.test")
        r = None
        for _ in range(100):
            r, body = self.api.call("GET", "/session", raw=True)
            if r.status == 429:
                break
        self.assertEqual(r.status, 429)
        self.assertEqual(json.loads(body)["code"], "too-many-requests")
        self.assertGreaterEqual(int(r.getheader("Retry-After")), 1)

    def test_cors_where_it_is_wanted(self):
        r, _ = self.api.call("OPTIONS", "/mailboxes", raw=True, headers={
            "Origin": "https://app.test",
            "Access-Control-Request-Method": "GET"})
        self.assertEqual(r.status, 204)
        self.assertEqual(r.getheader("Access-Control-Allow-Origin"),
                         "https://app.test")
        self.assertIn("Authorization",
                      r.getheader("Access-Control-Allow-Headers"))
        self.assertIsNone(r.getheader("Access-Control-Allow-Credentials"))
        r, _ = self.api.call("GET", "/nix", raw=True, headers={
            "Origin": "https://app.test.evil"})
        self.assertIsNone(r.getheader("Access-Control-Allow-Origin"))

    def test_heads(self):
        for octets, status in (
                (b"GET /api/v1/session HTTP/1.1\r\n\r\n", 400),
                (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n", 431),
                (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 200, 431),
                (b"GET / HTTP/2.0\r\n", 505),
                (b"POST /api/v1/session HTTP/1.1\r\nHost: x\r\n"
                 b"Content-Type: application/json\r\n"
                 b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400)):
            with socket.create_connection(("127.0.0.1", self.api.port),
                                          PATIENCE) as c:
                c.sendall(octets)
                with c.makefile("rb") as f:
                    answer = f.read()
            self.assertEqual(answer.split(b" ", 2)[1], b"%d" % status)
            self.assertIn(b"application/problem+json", answer)


class Sealed(Case):
    """Mail that only the account's passwords open (docs/sealing.md)."""
    conf = {"mailbox": {"encryption": "account"}}

    def test_a_token_brings_the_key(self):
        deliver(self.system, "alice", MAIL % (7, 7, 7))
        self.api.sign_in()
        box = self.api.box()

        def read(api):
            got = api.list(box, q="word7")["messages"]
            self.assertEqual([m["subject"] for m in got], ["Grüße 7"])
            m = api.call("GET", "%s/messages/%d" % (box, got[0]["uid"]))[1]
            self.assertEqual(m["text"], "Schöne Grüße, word7")
        read(self.api)
        made = self.api.call("POST", "/tokens", {"scopes": ["read"]})[1]
        self.system.restart("mailbox")
        read(self.api)
        read(Api(self.api.port, made["token"]))
        # Its record has a key that the token alone opens.
        self.api.call("DELETE", "/tokens/" + made["id"])
        self.problem(Api(self.api.port, made["token"]).call("GET", box), 401,
                     "bad-token")


class OneAddress(unittest.TestCase):
    """pneu http hands the API on."""

    def setUp(self):
        self.system = System(programs=("mailbox",), conf={
            "mailbox": {"http": "unix:api.sock", "test_inbox": True},
            "mgmt": {"https": "127.0.0.1:1"}})
        self.addCleanup(self.system.close)
        listeners = [listening_socket() for _ in range(2)]
        self.port, self.tls_port = (s.getsockname()[1] for s in listeners)
        # Numbers that are 3 and 4 in the program.
        for i, s in enumerate(listeners):
            os.dup2(s.fileno(), 100 + i)
            s.close()
        with open(self.system.log_path("http"), "ab") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", "exec 3<&100 4<&101 100<&- 101<&-; "
                 "LISTEN_PID=$$ exec \"$@\"", "bash",
                 os.path.join(BUILD, "pneu"), "-c", self.system.conf, "http"],
                stdin=subprocess.DEVNULL, pass_fds=[100, 101],
                stdout=log, stderr=log,
                env={**os.environ, "LISTEN_FDS": "2",
                     "LISTEN_FDNAMES": "http:https"})
        os.close(100)
        os.close(101)
        self.addCleanup(self.stop)
        # Not before it answers is a SIGTERM the end that it means to have.
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=PATIENCE)
        c.request("GET", "/version")
        self.assertEqual(c.getresponse().status, 200)
        c.close()

    def stop(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(PATIENCE), 0)
        self.assertNotIn("Sanitizer", self.system.log("http"))

    def test_events_and_websockets_pass(self):
        from test_api_send import Stream
        from test_inbucket import WebSocket
        api = Api(self.port)
        api.sign_in()
        events = Stream(api)
        socket_ = WebSocket(self.port, "/api/v1/monitor/messages/alice")
        self.addCleanup(events.close)
        self.addCleanup(socket_.close)
        self.assertEqual(events.next()[0], "ready")
        deliver(self.system, "alice", MAIL % (1, 1, 1))
        self.assertEqual(events.next()[1]["subject"], "Grüße 1")
        self.assertEqual(socket_.message()["subject"], "Grüße 1")

    def test_tls(self):
        for port, secure in ((self.tls_port, True), (self.port, False)):
            c = http.client.HTTPSConnection(
                "127.0.0.1", port, timeout=PATIENCE,
                context=tls_context()) if secure else \
                http.client.HTTPConnection("127.0.0.1", port,
                                           timeout=PATIENCE)
            self.addCleanup(c.close)
            c.request("GET", "/")
            r = c.getresponse()
            self.assertIn(b"/web/app.js", r.read())
            c.request("POST", "/api/v1/session", json.dumps({
                "address": "alice@example.test", "password": PASSWORD,
                "cookie": True}), {"Content-Type": "application/json"})
            r = c.getresponse()
            r.read()
            self.assertEqual(r.status, 201)
            self.assertEqual("; Secure" in r.getheader("Set-Cookie"), secure)

    def test_passwords_from_elsewhere_want_tls(self):
        # Only who passes it on is believed.
        body = json.dumps({"address": "alice@example.test",
                           "password": PASSWORD})
        for proto, status in (("http", 403), ("https", 201)):
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(os.path.join(self.system.dir, "sock", "api.sock"))
                s.settimeout(PATIENCE)
                s.sendall(("POST /api/v1/session HTTP/1.1\r\nHost: x\r\n"
                           "Forwarded: for=\"192.0.2.1:9\";proto=%s\r\n"
                           "Connection: close\r\nContent-Length: %d\r\n"
                           "Content-Type: application/json\r\n\r\n%s" % (
                               proto, len(body), body)).encode())
                with s.makefile("rb") as f:
                    answer = f.read()
            self.assertEqual(answer.split(b" ", 2)[1], b"%d" % status)
            self.assertEqual(b'"not-private"' in answer, status == 403)
        self.assertIn("peer=192.0.2.1", self.system.log("mailbox"))

    def test_the_api_behind_it(self):
        api = Api(self.port)
        api.sign_in()
        self.assertIn("peer=127.0.0.1", self.system.log("mailbox"))
        deliver(self.system, "alice", MAIL % (1, 1, 1) + b"x" * 300000)
        box = api.box()
        uid = api.list(box, q="word1")["messages"][0]["uid"]
        r, raw = api.call("GET", "%s/messages/%d/raw" % (box, uid), raw=True)
        self.assertGreater(len(raw), 300000)
        self.assertEqual(len(raw), int(r.getheader("Content-Length")))
        # Whom we speak for is not the client's to say.
        r, _ = api.call("GET", "/session", raw=True, headers={
            "Forwarded": "for=192.0.2.1"})
        self.assertEqual(r.status, 200)
        self.assertNotIn("192.0.2.1", self.system.log("mailbox"))
        status, _ = api.call("POST", "/mailboxes", {"name": "a"})
        self.assertEqual(status, 201)
        r, _ = api.call("POST", "/session", b"x" * (2 << 20), raw=True,
                        headers={"Content-Type": "application/json"})
        self.assertEqual(r.status, 413)
        self.system.stop("mailbox")
        status, got = api.call("GET", "/session")
        self.assertEqual((status, got["code"]), (503, "try-later"))


if __name__ == "__main__":
    unittest.main()
