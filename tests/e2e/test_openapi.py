# SPDX-License-Identifier: ISC
"""A walk through the OpenAPI document: every operation succeeds, and every
problem that it names is had. Replies are checked by test_api.Api."""
import http.client
import json
import re
import unittest

import openapi
from pneu import PASSWORD, PATIENCE, System
from test_api import Api, MAIL, deliver

ALL = {code: op for _, _, op in openapi.operations(openapi.MAIL)
       for code in openapi.codes(op)}


class Walk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.system = System(
            programs=("guard", "mailbox", "qm", "msa"),
            accounts=("alice", "bob", "full"),
            conf={"mailbox": {"http_rate": 0}, "msa": {"max_size": "64K"}})
        cls.addClassCleanup(cls.system.close)
        deliver(cls.system, "alice", *(MAIL % (i, i, i) for i in range(6)))
        deliver(cls.system, "full", MAIL % (0, 0, 0))
        cls.system.pneu("account", "set", "--quota", "1K",
                        "full@example.test")
        cls.api = Api(cls.system.port["http"])
        cls.api.sign_in()
        cls.box = cls.api.mailbox()["id"]
        cls.part = next(
            p["part"] for p in cls.api.call(
                "GET", "/mailboxes/%s/messages/1" % cls.box)[1]["parts"]
            if p["filename"])

    def fill(self, path, **other):
        values = {"mailbox": self.box, "uid": "1", "part": str(self.part),
                  "token": "x", **other}
        return re.sub(r"{(\w+)}", lambda m: values[m[1]], path)

    def good_body(self, op):
        """A body that succeeds; also valid by the document."""
        name = op["operationId"]
        archive = self.api.mailbox("Archive")["id"]
        body = {
            "signIn": {"address": "alice@example.test",
                       "password": PASSWORD},
            "createToken": {"scopes": ["read"], "name": "x"},
            "createMailbox": {"name": "made"},
            "changeMailbox": {"subscribed": True},
            "changeMessages": {"uids": [1, 2], "add": ["flagged"]},
            "moveMessages": {"uids": [3], "to": archive},
            "copyMessages": {"uids": [1], "to": archive},
            "deleteMessages": {"uids": [4]},
            "changeMessage": {"add": ["seen"]},
            "undeleteMessages": {"uids": [1]},
            "send": {"to": ["bob@example.test"], "text": "x",
                     "answers": {"mailbox": self.box, "uid": 1}},
            "saveDraft": {"subject": "x"},
        }[name]
        schema = op["requestBody"]["content"]["application/json"]["schema"]
        self.assertIsNone(openapi.fault(schema, body))
        return body

    # --- success ---

    def test_every_operation_succeeds(self):
        other = Api(self.api.port)
        last = {"deleteMailbox", "deleteMessage", "signOut"}
        ops = sorted(openapi.operations(openapi.MAIL),
                     key=lambda o: o[2]["operationId"] in last)
        made = self.api.call("POST", "/mailboxes", {"name": "extra"})[1]["id"]
        for method, path, op in ops:
            name = op["operationId"]
            with self.subTest(name):
                want = next(int(s) for s in op["responses"] if s[0] == "2")
                if name == "watch":
                    self.watch_succeeds()
                    continue
                token = other.sign_in()["id"] \
                    if name in ("revokeToken", "signOut") else ""
                path = self.fill(path, token=token, **(
                    {"mailbox": made} if name == "deleteMailbox" else
                    {"uid": "5"} if name == "deleteMessage" else {}))
                body = self.good_body(op) if "requestBody" in op else None
                api = other if name == "signOut" else self.api
                status, got = api.call(method, path, body) \
                    if not self.is_raw(op) else (
                        api.call(method, path, raw=True)[0].status, None)
                self.assertEqual(status, want, got)

    def is_raw(self, op):
        return not any("json" in t for s, r in op["responses"].items()
                       if s[0] == "2" for t in r.get("content", {"json": 0}))

    def watch_succeeds(self):
        c = http.client.HTTPConnection("127.0.0.1", self.api.port,
                                       timeout=PATIENCE)
        c.request("GET", "/api/v1/events", headers={
            "Authorization": "Bearer " + self.api.token})
        r = c.getresponse()
        self.assertEqual((r.status, r.getheader("Content-Type")),
                         (200, "text/event-stream"))
        c.close()

    # --- problems ---

    def special(self, name, code, method, path):
        """(client, path, body, headers) that has the problem; what is
        peculiar to an operation."""
        api, box = self.api, "/mailboxes/" + self.box
        if code == "bad-value":
            bad = {"signIn": {}, "createToken": {"scopes": []},
                   "createMailbox": {}, "changeMailbox": {"subscribed": 1},
                   "send": {"to": "x"}, "saveDraft": {"to": "x"}}
            query = {"listMessages": "?limit=x", "watch": "?since=x"}
            return api, self.fill(path) + query.get(name, ""), \
                None if name in query else bad.get(name, {}), {}
        if code == "no-such-mailbox":
            if name in ("send", "saveDraft"):
                return api, path, {"to": ["a@b.test"], "answers": {
                    "mailbox": "77", "uid": 1}}, {}
            if name == "watch":
                return api, path + "?mailbox=77", None, {}
            return api, self.fill(path, mailbox="77"), {
                "uids": [1], "to": self.box, "add": []}, {}
        if code == "no-such-message":
            return api, self.fill(path, uid="777"), {"add": ["seen"]}, {}
        if code == "no-such-part":
            return api, self.fill(path, part="77"), None, {}
        if code == "bad-range":
            return api, self.fill(path), None, {"Range": "bytes=99999999-"}
        if code == "over-quota":
            full = Api(api.port)
            full.sign_in("full@example.test")
            return full, self.fill(path, mailbox=full.mailbox()["id"]), {
                "text": "x" * 2000} if name == "saveDraft" else {
                "uids": [1], "to": full.mailbox("Trash")["id"]}, {}
        return api, *{
            ("signIn", "bad-credentials"): (
                path, {"address": "bob@example.test", "password": "no"}, {}),
            ("signIn", "bad-scope"): (
                path, {"address": "bob@example.test", "password": PASSWORD,
                       "scopes": ["admin"]}, {}),
            ("createToken", "bad-scope"): (path, None, {}),
            ("revokeToken", "no-such-token"): (self.fill(path), None, {}),
            ("createMailbox", "mailbox-exists"): (
                path, {"name": "Trash"}, {}),
            ("createMailbox", "bad-mailbox-name"): (path, {"name": ""}, {}),
            ("changeMailbox", "mailbox-exists"): (
                "/mailboxes/" + api.mailbox("Sent")["id"],
                {"name": "Trash"}, {}),
            ("changeMailbox", "bad-mailbox-name"): (
                "/mailboxes/" + api.mailbox("Sent")["id"], {"name": ""}, {}),
            ("changeMailbox", "not-with-inbox"): (box, {"name": "x"}, {}),
            ("deleteMailbox", "not-with-inbox"): (box, None, {}),
            ("send", "not-your-address"): (
                path, {"from": "bob@example.test",
                       "to": ["bob@example.test"]}, {}),
            ("send", "bad-recipient"): (
                path, {"to": ["nobody@example.test"]}, {}),
            ("send", "not-accepted"): (
                path, {"to": ["bob@example.test"], "subject":
                       "[sendas:not an address]"},
                {}),
        }[name, code]

    def general(self, name, code, method, path):
        """The same, of what all operations have in common."""
        if code == "not-signed-in":
            return Api(self.api.port), self.fill(path), None, {}
        if code == "bad-token":
            return Api(self.api.port, "x" * 43), self.fill(path), None, {}
        if code == "bad-scope":
            return self.without[name], self.fill(path), None, {}
        if code == "bad-csrf":
            return Api(self.api.port), self.fill(path), None, {
                "Cookie": self.cookie}
        return self.api, self.fill(path), {
            "bad-json": b"[", "bad-type": b"x=1",
            "too-large": b"x" * ((24 << 20) + 1 if name in (
                "send", "saveDraft") else (1 << 20) + 1)}[code], {
            "Content-Type": "text/plain" if code == "bad-type"
            else "application/json"}

    GENERAL = {"not-signed-in", "bad-token", "bad-scope", "bad-csrf",
               "bad-json", "bad-type", "too-large"}
    # Shown in test_api.Limits, test_api_send.Sending, test_keys.Tokens, below.
    ELSEWHERE = {"too-many-requests", "sending-limit", "not-private", "sealed"}

    def prepare(self):
        self.without = {}
        reader, writer = Api(self.api.port), Api(self.api.port)
        reader.sign_in(scopes=["read"])
        writer.sign_in(scopes=["write"])
        for _, _, op in openapi.operations(openapi.MAIL):
            needs = op["security"][0]["bearer"] if op["security"] else []
            self.without[op["operationId"]] = \
                writer if needs == ["read"] else reader
        r, _ = self.api.call("POST", "/session", {
            "address": "alice@example.test", "password": PASSWORD,
            "cookie": True}, raw=True)
        self.cookie = r.getheader("Set-Cookie").split(";")[0]

    def test_every_problem_is_had(self):
        self.prepare()
        had = 0
        for method, path, op in openapi.operations(openapi.MAIL):
            name = op["operationId"]
            for code, status in openapi.codes(op).items():
                if code in self.ELSEWHERE:
                    continue
                how = self.general if code in self.GENERAL and (
                    name, code) != ("signIn", "bad-scope") else self.special
                with self.subTest(operation=name, code=code):
                    api, at, body, headers = how(name, code, method, path)
                    r, data = api.call(method, at, body, headers, raw=True)
                    got = json.loads(data)
                    self.assertEqual((r.status, got["code"]),
                                     (status, code), got)
                    had += 1
        self.assertGreater(had, 150)

    def test_the_document(self):
        status, doc = Api(self.api.port).call("GET", "/openapi.json")
        self.assertEqual((status, doc), (200, openapi.MAIL))
        self.assertEqual(doc["openapi"], "3.1.0")
        refs = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(doc)))
        for r in refs:
            openapi.resolve({"$ref": r})
        used = {r.rsplit("/", 1)[1] for r in refs if "/schemas/" in r}
        self.assertEqual(used, set(doc["components"]["schemas"]))


if __name__ == "__main__":
    unittest.main()
