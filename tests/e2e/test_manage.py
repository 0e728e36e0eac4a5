# SPDX-License-Identifier: ISC
"""The rest of the HTTP API, which pneu manage serves through pneu http: own
settings and passwords, outside accounts, and what admins do. Every reply is
checked against the OpenAPI document by test_api.Api."""
import http.client
import json
import os
import smtplib
import socket
import tempfile
import threading
import unittest
import urllib.parse

import openapi
from oauthserver import OAuthServer
from pneu import (PASSWORD, PATIENCE, System, certificate, free_ports,
                  tls_context, until)
from pop3server import Pop3Server
from receiver import Receiver
from test_api import Api

ADMIN, USER = "alice@example.test", "bob@example.test"


def secret_file(text):
    f = tempfile.NamedTemporaryFile("w", suffix=".secret")
    unittest.addModuleCleanup(f.close)
    f.write(text)
    f.flush()
    return f.name


def world(**more):
    s = System(programs=("guard", "mailbox", "qm", "msa", "gateway", "manage",
                         "http"), accounts=("alice", "bob", "carol"),
               conf={"mailbox": {"http_rate": 0, "http": "unix:api.sock"},
                     "manage": {"outside_private": True, "http_rate": 0},
                     # What goes out waits: nobody is there.
                     "qm": {"smarthost": "127.0.0.1:%d" % free_ports(1)[0]},
                     "gateway": {
                         "interval": "1h", "notice_private": True,
                         "oauth_clients": {"yahoo": "ours"},
                         "oauth_secrets": {"yahoo": secret_file("s3cret\n")}},
                     "tls": {"ca": certificate()[0]}},
               **more)
    s.pneu("account", "set", "--admin", ADMIN)
    return s


def setUpModule():
    Case.system = world()
    unittest.addModuleCleanup(Case.system.close)


class Case(unittest.TestCase):
    system = None  # one for all

    def setUp(self):
        self.admin, self.user = self.client(ADMIN), self.client(USER)

    def client(self, who, password=PASSWORD, **more):
        api = Api(self.system.port["web"])
        api.sign_in(who, password, **more)
        return api

    def setting(self, name, value):
        with open(self.system.conf) as f:
            conf = json.load(f)
        conf["manage"][name] = value
        with open(self.system.conf, "w") as f:
            json.dump(conf, f)
        self.system.restart("manage")

    def good(self, api, method, path, body=None, status=200):
        got = api.call(method, path, body)
        if (method, path, got[0]) == ("POST", "/outside", 201):
            self.addCleanup(self.admin.call, "DELETE",
                            "/outside/" + body["address"])
        self.assertEqual(got[0], status, got)
        return got[1]

    def bad(self, api, method, path, body, status, code):
        got = api.call(method, path, body)
        self.assertEqual((got[0], got[1]["code"]), (status, code), got)
        return got[1]


class Own(Case):
    def test_settings(self):
        got = self.good(self.user, "PATCH", "/account",
                        {"name": "Bob Builder", "reply_as": True})
        self.assertEqual((got["name"], got["reply_as"], got["admin"]),
                         ("Bob Builder", True, False))
        # What only an admin may change is not known here.
        for name, value in (("admin", True), ("quota_octets", 0),
                            ("send_as", ["x@else.test"])):
            self.bad(self.user, "PATCH", "/account", {name: value}, 422,
                     "bad-value")
        self.assertFalse(self.good(self.user, "GET", "/account")["admin"])
        self.good(self.user, "PATCH", "/account", {"name": "",
                                                   "reply_as": False})

    def test_own_settings_undo_nothing(self):
        """What an admin changes meanwhile stays, however often one changes
        one's own name: else nobody could be shut out."""
        stop = threading.Event()
        out = "/outside/carols@elsewhere.test"
        self.good(self.client("carol@example.test"), "POST", "/outside", {
            **OUTSIDE, "address": "carols@elsewhere.test"}, 201)

        def rename():
            u = self.client("carol@example.test")
            while not stop.is_set():
                u.call("PATCH", "/account", {"name": "Carol"})
                u.call("PATCH", out, {"push": True})
                u.call("PATCH", out, {"push": False})
        threads = [threading.Thread(target=rename) for _ in range(4)]
        for t in threads:
            t.start()
        try:
            for n in range(1, 26):
                at = "/admin/accounts/carol@example.test"
                until(lambda: self.admin.call(
                    "PATCH", at, {"quota_messages": n})[0] == 200, "change")
                self.assertEqual(self.good(self.admin, "GET", at)
                                 ["quota_messages"], n)
        finally:
            stop.set()
            for t in threads:
                t.join()
            self.admin.call("PATCH", at, {"quota_messages": None})

    def test_password_change(self):
        carol = self.client("carol@example.test")
        other = self.client("carol@example.test")
        self.bad(carol, "POST", "/account/password",
                 {"current": "wrong", "password": "long enough"}, 403,
                 "wrong-password")
        self.bad(carol, "POST", "/account/password",
                 {"current": PASSWORD, "password": "short"}, 422, "bad-value")
        self.good(carol, "POST", "/account/password",
                  {"current": PASSWORD, "password": "long enough"}, 204)
        for api in (carol, other):
            self.bad(api, "GET", "/account", None, 401, "bad-token")
        self.assertEqual(Api(carol.port).call("POST", "/session", {
            "address": "carol@example.test", "password": PASSWORD})[0], 401)
        carol = self.client("carol@example.test", "long enough")
        made = self.good(carol, "POST", "/account/passwords", {
            "current": "long enough", "name": "phone", "scopes": ["imap"]},
            201)
        c = self.system.imap("carol", login=False)
        c.login("carol@example.test", made["password"])
        c.logout()
        carol = self.client("carol@example.test", "long enough")
        names = {p["name"]: p for p in self.good(
            carol, "GET", "/account/passwords")["passwords"]}
        self.assertEqual(names["phone"]["scopes"], ["imap"])
        self.assertTrue(names["password"]["main"])
        self.good(carol, "DELETE", "/account/passwords/phone", None, 204)
        carol = self.client("carol@example.test", "long enough")
        self.bad(carol, "DELETE", "/account/passwords/phone", None, 404,
                 "no-such-password")
        self.bad(carol, "DELETE", "/account/passwords/password", None, 403,
                 "not-allowed")


OUTSIDE = {"address": "bob@elsewhere.test", "password": "Geheimnis7",
           "protocol": "imap", "host": "127.0.0.1", "port": 9,
           "security": "none", "paused": True}


class Outside(Case):
    def test_life_of_one(self):
        u = self.user
        got = self.good(u, "POST", "/outside", OUTSIDE, 201)
        self.assertEqual((got["account"], got["has_password"], got["smtp"]),
                         (USER, True, None))
        self.assertNotIn("Geheimnis", json.dumps(got))
        self.bad(u, "POST", "/outside", OUTSIDE, 409, "exists")
        at = "/outside/bob@elsewhere.test"
        self.assertEqual(self.good(u, "GET", at)["port"], 9)
        self.assertEqual([o["address"] for o in self.good(
            u, "GET", "/outside")["outside"]], ["bob@elsewhere.test"])
        got = self.good(u, "PATCH", at, {
            "folders": ["INBOX", "Archiv/ä"], "interval_seconds": 600,
            "smtp": {"host": "127.0.0.1", "port": 587, "security": "starttls"},
            "password": "Geheimnis8"})
        self.assertEqual((got["folders"], got["interval_seconds"]),
                         (["INBOX", "Archiv/ä"], 600))
        self.assertEqual(got["smtp"]["security"], "starttls")
        # The password goes to no other server without being said again.
        self.bad(u, "PATCH", at, {"host": "evil.test"}, 422, "bad-value")
        self.bad(u, "PATCH", at, {"smtp": {"host": "evil.test"}}, 422,
                 "bad-value")
        self.good(u, "PATCH", at, {"host": "localhost", "password": "x",
                                   "smtp": None})
        self.assertIn("bob@elsewhere.test",
                      self.system.pneu("outside", "list"))
        self.good(u, "DELETE", at, None, 204)
        self.bad(u, "GET", at, None, 404, "no-such-outside")

    def test_of_another_is_not_there(self):
        self.good(self.user, "POST", "/outside", {
            **OUTSIDE, "address": "mine@elsewhere.test"}, 201)
        # Also to an admin whose token may not do that.
        carol = self.client(ADMIN, scopes=["account"])
        at = "/outside/mine@elsewhere.test"
        for method, body in (("GET", None), ("PATCH", {"paused": True}),
                             ("DELETE", None)):
            self.bad(carol, method, at, body, 404, "no-such-outside")
        self.assertEqual(self.good(carol, "GET", "/outside?account=" + USER)
                         ["outside"], [])
        # An admin sees all of them.
        self.assertEqual(len(self.good(
            self.admin, "GET", "/outside?account=" + USER)["outside"]), 1)
        self.good(self.admin, "DELETE", at, None, 204)

    def test_what_is_done_with_its_mail(self):
        """sync, labels, deleting there: each protocol has its own."""
        u, at = self.user, "/outside/ways@elsewhere.test"
        got = self.good(u, "POST", "/outside", {
            **OUTSIDE, "address": "ways@elsewhere.test", "sync": "mirror",
            "delete_after_days": 30}, 201)
        self.assertEqual([got[k] for k in ("sync", "labels", "push", "notes",
                                           "delete_after_days")],
                         ["mirror", None, False, [], 30])
        for sync in ("apart", "follow", "mirror"):
            self.assertEqual(self.good(u, "PATCH", at, {"sync": sync})["sync"],
                             sync)
        show = json.loads(self.system.pneu("outside", "show", "--json",
                                           "ways@elsewhere.test"))
        self.assertEqual(show["sync"], "mirror")
        got = self.good(u, "PATCH", at, {"delete_after_days": None})
        self.assertIsNone(got["delete_after_days"])
        for body in ({"labels": "folders"}, {"sync": "both"}, {"sync": None},
                     {"push": 1}, {"delete_after_days": -1}):
            self.bad(u, "PATCH", at, body, 422, "bad-value")
        got = self.good(u, "PATCH", at, {"protocol": "pop3",
                                         "password": "x"})
        self.assertIsNone(got["sync"])
        self.bad(u, "PATCH", at, {"sync": "mirror"}, 422, "bad-value")
        # Gmail: what it has, and what it has not.
        gmail = {"address": "ways@gmail.test", "protocol": "gmail",
                 "paused": True}
        got = self.good(u, "POST", "/outside", {**gmail, "labels": "folders"},
                        201)
        self.assertEqual([got[k] for k in ("host", "port", "security",
                                           "sign_in", "oauth_provider",
                                           "labels", "sync")],
                         ["gmail.googleapis.com", 443, "tls", "oauth",
                          "google", "folders", "follow"])
        at = "/outside/ways@gmail.test"
        for body in ({"folders": ["INBOX"]}, {"delete_after_days": 1},
                     {"sign_in": "password"}):
            self.bad(u, "PATCH", at, body, 422, "bad-value")
        self.assertEqual(self.good(u, "PATCH", at, {"sync": "mirror"})["sync"],
                         "mirror")
        got = self.good(u, "PATCH", at, {"labels": "keywords",
                                         "sync": "apart"})
        self.assertEqual((got["labels"], got["sync"]), ("keywords", "apart"))

    def test_putting_in(self):
        u = self.user
        for name in ("one", "two"):
            self.good(u, "POST", "/outside", {
                **OUTSIDE, "address": name + "@elsewhere.test",
                "push": name == "one"}, 201)
        one, two = ("/outside/%s@elsewhere.test" % n for n in ("one", "two"))

        def pushed():
            got = json.loads(self.system.pneu("account", "show", "--json",
                                              USER))
            return got["push"], got["push_only"]

        self.assertEqual(pushed(), (["one@elsewhere.test"], False))
        self.assertEqual(self.good(u, "GET", one)["notes"], [])
        got = self.good(u, "PATCH", two, {"push": True, "push_only": True})
        self.assertTrue(got["push"] and got["push_only"])
        self.assertTrue(self.good(u, "GET", one)["push_only"])  # of all
        self.assertEqual(pushed(), (["one@elsewhere.test",
                                     "two@elsewhere.test"], True))
        # What is fetched as well comes here: said as the command says it.
        self.assertEqual(self.good(u, "GET", one)["notes"], [])
        notes = self.good(u, "PATCH", one, {"paused": False})["notes"]
        self.assertIn("comes here from there", notes[0])
        self.assertEqual(self.good(u, "PATCH", one, {
            "folders": ["Other"]})["notes"], [])
        self.good(u, "PATCH", one, {"push": False})
        self.bad(u, "PATCH", one, {"push_only": True}, 422, "bad-value")
        got = self.good(u, "PATCH", two, {"push_only": False})
        self.assertEqual((got["push"], got["push_only"]), (True, False))
        # By POP3 nothing can be put in; nothing of it is kept then.
        got = self.bad(u, "PATCH", two, {"protocol": "pop3"}, 422, "bad-value")
        self.assertIn("by pop3", got["detail"])
        self.bad(u, "POST", "/outside", {
            **OUTSIDE, "address": "three@elsewhere.test", "protocol": "pop3",
            "push": True}, 422, "bad-value")
        self.bad(u, "GET", "/outside/three@elsewhere.test", None, 404,
                 "no-such-outside")
        # With the outside account it ends.
        self.good(u, "DELETE", two, None, 204)
        self.assertEqual(pushed(), ([], False))

    def test_found_by_the_address_alone(self):
        got = self.good(self.user, "GET",
                        "/outside/find?address=someone@gmail.com")
        self.assertEqual((got["protocol"], got["host"], got["security"]),
                         ("imap", "imap.gmail.com", "tls"))
        self.bad(self.user, "GET", "/outside/find?address=nothing", None, 422,
                 "bad-value")

    def test_goes_with_the_account(self):
        self.good(self.admin, "POST", "/admin/accounts", {
            "address": "dora@example.test", "password": "long enough"}, 201)
        dora = self.client("dora@example.test", "long enough")
        self.good(dora, "POST", "/outside", {
            **OUTSIDE, "address": "dora@elsewhere.test"}, 201)
        self.good(self.admin, "DELETE", "/admin/accounts/dora@example.test",
                  None, 204)
        self.assertNotIn("dora", self.system.pneu("outside", "list"))
        self.bad(dora, "GET", "/outside", None, 401, "bad-token")


class Fetching(Case):
    def test_from_adding_to_mail(self):
        u, at = self.user, "/outside/far@elsewhere.test"
        with Pop3Server([b"Subject: from afar\r\n\r\nhello\r\n"]) as server:
            self.good(u, "POST", "/outside", {
                "address": "far@elsewhere.test", "user": "u",
                "password": "p", "protocol": "pop3", "host": "127.0.0.1",
                "port": server.port, "security": "none", "paused": True}, 201)
            self.assertEqual(self.good(u, "POST", at + "/test", {}),
                             {"ok": True, "error": ""})
            got = self.good(u, "POST", at + "/fetch", {})
            self.assertEqual((got["ok"], got["error"]),
                             (False, "it is paused"))
            self.good(u, "PATCH", at, {"paused": False})
            got = self.good(u, "POST", at + "/fetch", {})
            self.assertEqual((got["done"], got["ok"]), (True, True))
            self.assertIn(b"from afar", b"".join(
                self.system.messages("bob")))
            s = self.good(u, "GET", at)["status"]
            self.assertEqual((s["state"], s["messages"]), ("ok", 1))
            self.good(u, "PATCH", at, {"password": "wrong"})
            got = self.good(u, "POST", at + "/test", {})
            self.assertFalse(got["ok"])
            self.assertIn("refuses to sign us in", got["error"])
        self.good(u, "DELETE", at, None, 204)

    def test_added_by_admins_alone(self):
        self.setting("outside", False)
        self.addCleanup(self.setting, "outside", True)
        body = {"address": "asked@elsewhere.test", "user": "u", "password": "p",
                "protocol": "pop3", "host": "127.0.0.1", "port": 9,
                "security": "none", "paused": True}
        at = "/outside/asked@elsewhere.test"
        self.bad(self.user, "POST", "/outside", body, 403, "not-allowed")
        self.good(self.admin, "POST", "/outside?account=" + USER, body, 201)
        self.addCleanup(self.admin.call, "DELETE", at)
        self.bad(self.user, "PATCH", at, {"smtp": {
            "host": "own.test", "port": 25, "security": "none"}}, 403, "not-allowed")
        self.good(self.user, "PATCH", at, {"password": "q", "paused": False})
        self.assertIsNone(self.good(self.user, "GET", at)["smtp"])

    def test_a_user_reaches_no_private_address(self):
        self.setting("outside_private", False)
        self.addCleanup(self.setting, "outside_private", True)
        with Pop3Server([]) as server:
            body = {"user": "u", "password": "p", "protocol": "pop3",
                    "host": "127.0.0.1", "port": server.port,
                    "security": "none", "paused": True}
            self.good(self.user, "POST", "/outside", {
                **body, "address": "near@elsewhere.test"}, 201)
            got = self.good(self.user, "POST",
                            "/outside/near@elsewhere.test/test", {})
            self.assertEqual(got, {"ok": False, "error":
                                   "127.0.0.1: no such host: it has no "
                                   "address that the whole world can reach"})
            self.assertEqual(server.connections, 0)
            # Of what an admin has set up, a user cannot move the port.
            self.system.pneu("outside", "add", "--pause", "--protocol", "pop3",
                             "--host", "127.0.0.1", "--port", "9",
                             "--security", "none", "moved@elsewhere.test",
                             USER, input="p\n")
            at = "/outside/moved@elsewhere.test"
            self.good(self.user, "PATCH", at, {"port": server.port,
                                               "password": "p"})
            self.assertFalse(self.good(self.user, "POST", at + "/test",
                                       {})["ok"])
            self.assertEqual(server.connections, 0)
            self.good(self.user, "DELETE", at, None, 204)
            # What an admin says is meant.
            self.good(self.admin, "POST", "/outside", {
                **body, "address": "root@elsewhere.test"}, 201)
            self.assertTrue(self.good(
                self.admin, "POST", "/outside/root@elsewhere.test/test",
                {})["ok"])

    def test_the_gateway_is_away(self):
        self.good(self.user, "POST", "/outside", {
            **OUTSIDE, "address": "away@elsewhere.test"}, 201)
        at = "/outside/away@elsewhere.test"
        self.system.stop("gateway")
        try:
            self.assertIsNone(self.good(self.user, "GET", at)["status"])
            self.bad(self.user, "POST", at + "/test", {}, 503, "try-later")
        finally:
            self.system.start("gateway")
        self.good(self.user, "DELETE", at, None, 204)


class Login(Case):
    """OAuth: the record is made by the command, as only admins may say where
    tokens come from; the login is the user's."""

    @classmethod
    def setUpClass(cls):
        cls.server = OAuthServer(clients={"pneu": None, "ours": "s3cret"})
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        super().setUp()
        self.server.reset()
        self.address = self.id().rsplit(".", 1)[1] + "@out.test"
        self.at = "/outside/" + self.address
        self.add(*self.server.options("pneu"))

    def add(self, *options):
        self.system.pneu("outside", "add", "--pause", "--protocol", "imap",
                         "--host", "localhost", *options, self.address, USER)

    def tearDown(self):
        self.good(self.user, "DELETE", self.at, None, 204)
        self.assertEqual(self.server.faults, [])

    def test_by_device(self):
        got = self.good(self.user, "POST", self.at + "/login",
                        {"flow": "device"}, 201)
        self.assertEqual((got["state"], got["flow"]), ("waiting", "device"))
        self.assertTrue(got["code"])
        self.assertEqual(self.good(self.user, "GET", self.at + "/login")
                         ["state"], "waiting")
        self.allow(got["code"])
        until(lambda: self.good(self.user, "GET", self.at + "/login")
              ["state"] == "done", "the login")
        self.assertTrue(self.good(self.user, "GET", self.at)["has_password"])

    def test_client_of_the_settings(self):
        """Whose secret is in a file, which the sandbox lets it read."""
        self.system.pneu("outside", "remove", self.address)
        options = self.server.options()
        at = options.index("--client-id")
        del options[at:at + 2]
        self.add(*options, "--oauth-provider", "yahoo")
        got = self.good(self.user, "POST", self.at + "/login",
                        {"flow": "code"}, 201)
        self.good(self.user, "POST", "/outside/login",
                  {"query": self.browse(got["url"])})
        self.assertTrue(self.good(self.user, "GET", self.at)["has_password"])

    def allow(self, code):
        device = next(d for d in self.server.devices.values()
                      if d["user_code"] == code)
        device["decision"] = "allow"

    def test_by_the_browser(self):
        got = self.good(self.user, "POST", self.at + "/login",
                        {"flow": "code"}, 201)
        query = self.browse(got["url"])
        # Not of a session of somebody else: it is his browser then.
        self.bad(self.admin, "POST", "/outside/login", {"query": query}, 409,
                 "login-failed")
        done = self.good(self.user, "POST", "/outside/login",
                         {"query": "?" + query})
        self.assertEqual(done, {"state": "done", "address": self.address})
        self.assertTrue(self.good(self.user, "GET", self.at)["has_password"])
        self.bad(self.user, "POST", "/outside/login", {"query": query}, 409,
                 "login-failed")

    def browse(self, url):
        """What the provider sends the browser back with."""
        parts = urllib.parse.urlsplit(url)
        c = http.client.HTTPSConnection(parts.hostname, parts.port,
                                        context=tls_context(),
                                        timeout=PATIENCE)
        c.request("GET", parts.path + "?" + parts.query)
        r = c.getresponse()
        r.read()
        c.close()
        self.assertEqual(r.status, 302)
        back = urllib.parse.urlsplit(r.getheader("Location"))
        self.assertEqual((back.path, back.port),
                         ("/login", self.system.port["web"]))
        return back.query

    def test_gmail_is_not_here_either(self):
        self.setting("outside_private", False)
        self.addCleanup(self.setting, "outside_private", True)
        refresh = self.server.new_refresh(self.address)
        for host in ("localhost", "127.0.0.1"):
            with socket.create_server(("127.0.0.1", 0)) as s:
                self.good(self.user, "PATCH", self.at, {
                    "protocol": "gmail", "host": host,
                    "port": s.getsockname()[1], "security": "tls",
                    "password": refresh})
                got = self.good(self.user, "POST", self.at + "/test", {})
                self.assertFalse(got["ok"])
                self.assertIn("not a public address", got["error"])
                s.setblocking(False)
                self.assertRaises(BlockingIOError, s.accept)

    def test_by_password_there_is_none(self):
        self.good(self.user, "POST", "/outside", {
            **OUTSIDE, "address": "pw@elsewhere.test"}, 201)
        # Whose it is, is nobody else's business.
        got = self.bad(self.client("carol@example.test"), "POST", "/outside", {
            **OUTSIDE, "address": "pw@elsewhere.test"}, 409, "exists")
        self.assertNotIn(USER, json.dumps(got))
        self.bad(self.user, "POST", "/outside/pw@elsewhere.test/login", {},
                 409, "login-failed")
        self.good(self.user, "DELETE", "/outside/pw@elsewhere.test", None,
                  204)


class Queue(Case):
    def test_queue(self):
        a = self.admin
        self.system.submit("bob", ["x@away.test"],
                           b"Subject: wait\r\n\r\nx\r\n")
        one = until(lambda: next((m for m in self.good(
            a, "GET", "/admin/queue")["messages"] if m["from"] == USER), None),
            "the message in the queue")
        at = "/admin/queue/" + one["id"]
        self.good(a, "POST", at + "/hold", {}, 204)
        got = self.good(a, "GET", at)
        self.assertEqual((got["held"], got["next_attempt"]), (True, None))
        self.assertEqual(got["recipients"][0]["address"], "x@away.test")
        self.assertGreater(self.good(a, "GET", "/admin/queue")["held"], 0)
        self.good(a, "POST", at + "/release", {}, 204)
        self.assertFalse(self.good(a, "GET", at)["held"])
        self.good(a, "POST", at + "/retry", {}, 204)
        until(lambda: self.good(a, "GET", at)["attempts"] > 0, "an attempt")
        self.good(a, "DELETE", at, None, 204)
        self.bad(a, "GET", at, None, 404, "no-such-queued")
        self.bad(a, "GET", "/admin/queue/" + "x%20y", None, 404,
                 "no-such-queued")

    def test_counts_of_each_minute(self):
        self.system.submit("bob", ["alice"], b"Subject: n\r\n\r\nx\r\n")

        def counted():
            got = self.good(self.admin, "GET", "/admin/status?minutes=60")
            s = got["stats"]["series"]
            return all(sum(v or 0 for v in s[k]) > 0 for k in (
                "submitted", "stored", "connections", "signed_in"))
        until(counted, "counts")
        s = self.good(self.admin, "GET", "/admin/status?minutes=1440")["stats"]
        self.assertEqual((s["step_seconds"], len(s["series"]["stored"])),
                         (1200, 72))


class Notices(Case):
    def test_records(self):
        u = self.user
        got = self.good(u, "POST", "/notices", {
            "kind": "webhook", "url": "https://hook.example/x",
            "content": "preview", "senders": ["@else.test"]}, 201)
        self.assertGreater(len(got["secret"]), 15)
        at = "/notices/" + got["id"]
        got = self.good(u, "PATCH", at, {"paused": True, "name": "mine"})
        self.assertNotIn("secret", got)
        self.assertEqual((got["paused"], got["name"], got["senders"]),
                         (True, "mine", ["@else.test"]))
        self.assertEqual(len(self.good(u, "GET", "/notices")["notices"]), 1)
        # What was said is shown, but for secrets.
        key = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInm" \
              "YWAmS6TlzAC8wEqKK6PBru3jl7A8"
        push = self.good(u, "POST", "/notices", {
            "kind": "webpush", "url": "https://push.example/x",
            "p256dh": key, "secret": "BTBZMqHH6r4Tts7J_aSIgg"}, 201)
        self.addCleanup(u.call, "DELETE", "/notices/" + push["id"])
        shown = self.good(u, "GET", "/notices/" + push["id"])
        self.assertEqual((shown["p256dh"], shown["has_secret"]), (key, True))
        self.assertEqual(got["p256dh"], "")
        self.assertNotIn("BTBZMqHH6r4Tts7J_aSIgg", json.dumps(
            [push, shown]))
        self.bad(self.admin, "GET", at, None, 404, "no-such-notice")
        self.bad(self.admin, "DELETE", at, None, 404, "no-such-notice")
        self.good(u, "DELETE", at, None, 204)
        self.bad(u, "POST", "/notices", {
            "kind": "webhook", "url": "ftp://x/"}, 422, "bad-value")
        # A token goes to the server that it is of.
        at = "/notices/" + self.good(u, "POST", "/notices", {
            "kind": "ntfy", "url": "https://ntfy.example/mine",
            "secret": "tk_abc"}, 201)["id"]
        self.bad(u, "PATCH", at, {"url": "https://other.example/mine"}, 422,
                 "bad-value")
        self.good(u, "PATCH", at, {"url": "https://ntfy.example/new"})
        self.good(u, "PATCH", at, {"url": "https://other.example/mine",
                                   "secret": "tk_def"})
        self.good(u, "DELETE", at, None, 204)

    def test_sent(self):
        """Through the gateway: test, dead, retry, replay, events, the key."""
        u, r = self.user, Receiver()
        self.addCleanup(r.close)
        n = self.good(u, "POST", "/notices", {
            "kind": "webhook", "url": r.url("/hook")}, 201)
        at = "/notices/" + n["id"]
        self.addCleanup(u.call, "DELETE", at)

        def status(**want):
            got = self.good(u, "GET", at)["status"] or {}
            return got if all(got.get(k) == v for k, v in want.items()) \
                else None

        got = self.good(u, "POST", at + "/test", {})
        self.assertEqual((got["ok"], got["status"]), (True, 200))
        self.assertEqual(r.wait("/hook")[0].json["type"], "test")
        self.assertEqual(self.good(u, "GET", at + "/dead"), {"dead": []})
        self.assertGreater(len(self.good(u, "GET",
                                         "/notices/key")["public"]), 80)

        r.answer = 422  # not this one: dead at once
        got = self.good(u, "POST", at + "/test", {})
        self.assertEqual((got["ok"], got["status"]), (False, 422))
        with smtplib.LMTP("127.0.0.1", self.system.port["lmtp"],
                          timeout=PATIENCE) as c:
            c.sendmail("x@else.test", [USER], b"Subject: told\r\n\r\nhi\r\n")
        until(lambda: status(dead=1), "a dead notice")
        dead = self.good(u, "GET", at + "/dead")["dead"]
        self.assertEqual([d["status"] for d in dead], [422])
        event = dead[0]["event"]
        self.assertEqual(self.good(u, "GET", "/notices/events")["last"], event)

        r.answer = 200
        self.assertEqual(self.good(u, "POST", at + "/retry", {}),
                         {"events": 1})
        # Neither its number nor the reason is left.
        got = until(lambda: status(sent=1, dead=0), "it, sent again")
        self.assertEqual((got["state"], got["error"], got["status"]),
                         ("ok", "", 200))
        self.assertEqual(self.good(u, "GET", at + "/dead"), {"dead": []})
        had = len(r.at("/hook", True))
        self.assertEqual(self.good(u, "POST", at + "/replay", {"from": event}),
                         {"from": event, "last": event})
        again = r.wait("/hook", had + 1)[-1].json
        self.assertEqual((again["event"], again["subject"]), (event, "told"))
        # An event that is not there is not a subscription that is not there.
        self.bad(u, "POST", at + "/replay", {"from": event + 1000}, 422,
                 "bad-value")
        self.good(u, "PATCH", at, {"paused": True})
        for path, body in (("/replay", {"from": event}), ("/retry", {})):
            self.bad(u, "POST", at + path, body, 422, "bad-value")
        # Of somebody else it is not there.
        for path in ("/test", "/retry"):
            self.bad(self.admin, "POST", at + path, {}, 404, "no-such-notice")
        self.bad(self.admin, "GET", at + "/dead", None, 404, "no-such-notice")


class Admin(Case):
    def test_accounts(self):
        a, at = self.admin, "/admin/accounts/eve@example.test"
        got = self.good(a, "POST", "/admin/accounts", {
            "address": "Eve@Example.test", "name": "Eve",
            "quota_octets": 1 << 30}, 201)
        self.assertEqual((got["address"], got["passwords"], got["outside"]),
                         ("eve@example.test", [], 0))
        made = self.good(a, "POST", at + "/password", {})["password"]
        eve = self.client("eve@example.test", made)
        got = self.good(a, "PATCH", at, {
            "quota_octets": None, "limits": {"messages_per_hour": 5,
                                             "messages_per_day": False}})
        self.assertEqual((got["quota_octets"],
                          got["limits"]["messages_per_hour"]), (0, 5))
        self.good(a, "PATCH", at, {"disabled": True})
        self.bad(eve, "GET", "/account", None, 401, "bad-token")
        self.good(a, "DELETE", at, None, 204)
        self.bad(a, "GET", at, None, 404, "no-such-account")

    def test_pages_of_accounts(self):
        a, seen, cursor = self.admin, [], ""
        while True:
            got = self.good(a, "GET", "/admin/accounts?limit=2&domain="
                            "example.test&cursor=" + cursor)
            seen += [x["address"] for x in got["accounts"]]
            if got["next"] is None:
                break
            cursor = got["next"]
        self.assertEqual(seen, sorted(seen))
        self.assertLessEqual({ADMIN, USER}, set(seen))
        got = self.good(a, "GET", "/admin/accounts?q=BOB")
        self.assertEqual([x["address"] for x in got["accounts"]], [USER])

    def test_who_was_an_admin(self):
        self.good(self.admin, "POST", "/admin/accounts", {
            "address": "root@example.test", "admin": True,
            "password": "long enough"}, 201)
        root = self.client("root@example.test", "long enough")
        self.good(root, "GET", "/admin/domains")
        # Not by a token without the scope.
        self.bad(self.client("root@example.test", "long enough",
                             scopes=["read", "account"]),
                 "GET", "/admin/domains", None, 403, "bad-scope")
        for body in ({"admin": False}, {"disabled": True}):
            self.bad(root, "PATCH", "/admin/accounts/root@example.test", body,
                     403, "not-allowed")
        self.good(self.admin, "PATCH", "/admin/accounts/root@example.test",
                  {"admin": False})
        self.bad(root, "GET", "/admin/domains", None, 403, "bad-scope")

    def test_domains_and_addresses(self):
        a = self.admin
        self.good(a, "POST", "/admin/domains", {"name": "new.test"}, 201)
        self.bad(a, "POST", "/admin/domains", {"name": "new.test"}, 409,
                 "exists")
        got = self.good(a, "PATCH", "/admin/domains/new.test",
                        {"catch_all": [USER]})
        self.assertEqual(got["catch_all"], [USER])
        self.good(a, "POST", "/admin/addresses", {
            "address": "info@new.test", "targets": [USER, "x@else.test"]},
            201)
        self.bad(a, "DELETE", "/admin/domains/new.test", None, 409,
                 "not-empty")
        got = self.good(a, "PUT", "/admin/addresses/info@new.test",
                        {"blocked": True})
        self.assertEqual((got["blocked"], got["targets"]), (True, []))
        self.assertEqual(len(self.good(
            a, "GET", "/admin/addresses?domain=new.test")["addresses"]), 1)
        self.good(a, "DELETE", "/admin/addresses/info@new.test", None, 204)
        self.good(a, "DELETE", "/admin/domains/new.test", None, 204)

    def test_why(self):
        self.system.submit("bob", ["alice"], b"Subject: hi\r\n\r\nbody\r\n")
        self.system.wait_message("alice", b"body")
        got = self.good(self.admin, "GET", "/admin/why?about=" + USER)
        words = json.dumps(got)
        self.assertIn(ADMIN, words)
        self.assertGreater(len(got["journeys"]), 0)


class Who(Case):
    def test_the_cookie_needs_the_csrf_value(self):
        r, data = Api(self.user.port).call("POST", "/session", {
            "address": USER, "password": PASSWORD, "cookie": True}, raw=True)
        cookie = {"Cookie": r.getheader("Set-Cookie").split(";")[0]}
        api = Api(self.user.port)
        self.assertEqual(api.call("GET", "/account", headers=cookie)[0], 200)
        got = api.call("PATCH", "/account", {"name": "x"}, cookie)
        self.assertEqual((got[0], got[1]["code"]), (403, "bad-csrf"))
        got = api.call("PATCH", "/account", {"name": ""}, {
            **cookie, "X-CSRF-Token": json.loads(data)["csrf"]})
        self.assertEqual(got[0], 200)

    def test_one_document_for_both(self):
        got = self.good(Api(self.user.port), "GET", "/openapi.json")
        self.assertEqual(set(got["paths"]), set(openapi.DOC["paths"]))
        self.assertEqual(got, openapi.DOC)

    def test_a_password_from_elsewhere_wants_tls(self):
        """pneu http says for whom; from elsewhere it is plain HTTP."""
        c = http.client.HTTPConnection("localhost", timeout=PATIENCE)
        import socket
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.connect(os.path.join(self.system.dir, "sock", "manage.sock"))
        c.request("POST", "/api/v1/account/password", json.dumps(
            {"current": PASSWORD, "password": "long enough"}), {
            "Content-Type": "application/json",
            "Forwarded": 'for="192.0.2.7:99";proto=http',
            "Authorization": "Bearer " + self.user.token})
        r = c.getresponse()
        self.assertEqual((r.status, json.loads(r.read())["code"]),
                         (403, "not-private"))
        c.close()

    def test_the_log_has_statuses_and_no_secrets(self):
        self.good(self.user, "POST", "/outside", {
            **OUTSIDE, "address": "log@elsewhere.test"}, 201)
        self.good(self.user, "DELETE", "/outside/log@elsewhere.test", None,
                  204)
        self.assertIn("path=/api/v1/outside status=201",
                      self.system.log("http"))
        for program in ("http", "manage", "mailbox"):
            text = self.system.log(program)
            self.assertNotIn("Geheimnis", text)
            self.assertNotIn(self.user.token, text)


class Rate(Case):
    @classmethod
    def setUpClass(cls):
        # mailbox, which is asked of each token, has none here.
        cls.system = System(
            programs=("guard", "mailbox", "manage", "http"),
            conf={"mailbox": {"http_rate": 0, "http": "unix:api.sock"},
                  "manage": {"http_rate": 6}})  # 10 at once
        cls.addClassCleanup(cls.system.close)

    def test_one_account_and_no_other(self):
        for _ in range(1000):
            r, body = self.user.call("GET", "/account", raw=True)
            if r.status == 429:
                break
        self.assertEqual(r.status, 429)
        self.assertEqual(json.loads(body)["code"], "too-many-requests")
        self.assertGreaterEqual(int(r.getheader("Retry-After")), 1)
        self.good(self.admin, "GET", "/account")
        # Who has not signed in counts by where he is.
        got = [Api(self.user.port).call("GET", "/openapi.json")[0]
               for _ in range(100)]
        self.assertEqual((got[0], set(got)), (200, {200, 429}))


class Walk(Case):
    """Each operation has each problem that the document names."""

    ELSEWHERE = {"not-private", "sealed"}  # above; test_sealed has how
    BODY = {"changeAccount": {"name": 7}, "changePassword": {},
            "addPassword": {"name": "x"}, "addOutside": {},
            "changeOutside": {"port": 0}, "addAccount": {},
            "changeAnyAccount": {"quota_octets": "x"},
            "setAnyPassword": {"password": 1}, "addDomain": {},
            "changeDomain": {"catch_all": "x"}, "addAddress": {},
            "setAddress": {}, "finishLogin": {}, "testOutside": {"x": 1},
            "fetchOutside": {"x": 1}, "logIn": {"flow": "x"},
            "addNotice": {}, "changeNotice": {"paused": 1},
            "testNotice": {"x": 1}, "retryNotices": {"x": 1},
            "replayNotices": {}, "retryQueued": {"x": 1},
            "holdQueued": {"x": 1}, "releaseQueued": {"x": 1}}
    QUERY = {"findOutside": "?address=", "askWhy": "?since=x",
             "listAccounts": "?limit=0", "listQueue": "?cursor=.",
             "getStatus": "?minutes=1"}

    def special(self, name, code, path):
        missing = {
            "no-such-outside": {"address": "none@else.test"},
            "no-such-account": {"address": "none@example.test"},
            "no-such-address": {"address": "none@example.test"},
            "no-such-domain": {"domain": "none.test"},
            "no-such-notice": {"id": "none"},
            "no-such-queued": {"id": "none"},
            "no-such-password": {"name": "none"}}
        if code == "bad-value":
            return path + self.QUERY.get(name, ""), self.BODY.get(name)
        if name in ("addAccount", "addAddress") and code == "no-such-domain":
            return path, {"address": "x@none.test", **(
                {"blocked": True} if name == "addAddress" else {})}
        if name in ("listAccounts", "listAddresses"):
            return path + "?domain=none.test", None
        if code in missing:
            for k, v in missing[code].items():
                path = path.replace("{%s}" % k, v)
            return path, {"setAddress": {"blocked": True},
                          "replayNotices": {"from": 1}}.get(name, {})
        return {
            ("changePassword", "wrong-password"): (
                path, {"current": "no", "password": "long enough"}),
            ("addPassword", "wrong-password"): (
                path, {"current": "no", "name": "x"}),
            ("addPassword", "exists"): (
                path, {"current": PASSWORD, "name": "password"}),
            ("removePassword", "not-allowed"): (
                "/account/passwords/password", None),
            ("finishLogin", "login-failed"): (path, {"query": "x=y"}),
            ("logIn", "login-failed"): (path, {}),
            ("addOutside", "exists"): (path, OUTSIDE),
            ("addOutside", "not-found-out"): (
                path, {"address": "x@nothing.invalid"}),
            ("findOutside", "not-found-out"): (
                path + "?address=x@nothing.invalid", None),
            ("addAccount", "exists"): (path, {"address": USER}),
            ("changeAnyAccount", "not-allowed"): (
                "/admin/accounts/" + ADMIN, {"admin": False}),
            ("removeAccount", "not-allowed"): (
                "/admin/accounts/" + ADMIN, None),
            ("addDomain", "exists"): (path, {"name": "example.test"}),
            ("removeDomain", "not-empty"): (
                "/admin/domains/example.test", None),
            ("addAddress", "exists"): (
                path, {"address": USER, "blocked": True}),
        }[name, code]

    def general(self, code, scope, method):
        """(client, body, headers)"""
        api, headers = self.admin, {"Content-Type": "application/json"}
        body = None if method in ("GET", "DELETE") else b"{}"
        if code == "not-signed-in":
            return Api(api.port), body, headers
        if code == "bad-token":
            return Api(api.port, "x" * 43), body, headers
        if code == "bad-scope":
            return self.reader, body, headers
        if code == "bad-csrf":
            return Api(api.port), body, {**headers, "Cookie": self.cookie}
        return api, {"bad-json": b"[", "bad-type": b"x=1",
                     "too-large": b" " * (256 * 1024 + 1)}[code], {
            "Content-Type": "text/plain" if code == "bad-type"
            else "application/json"}

    GENERAL = {"not-signed-in", "bad-token", "bad-scope", "bad-csrf",
               "bad-json", "bad-type", "too-large"}

    def test_every_problem_is_had(self):
        self.reader = self.client(ADMIN, scopes=["read"])
        r, _ = Api(self.admin.port).call("POST", "/session", {
            "address": ADMIN, "password": PASSWORD, "cookie": True}, raw=True)
        self.cookie = r.getheader("Set-Cookie").split(";")[0]
        self.good(self.admin, "POST", "/outside", OUTSIDE, 201)
        notice = self.good(self.admin, "POST", "/notices", {
            "kind": "ntfy", "url": "https://ntfy.example/x"}, 201)["id"]
        had = 0
        for method, path, op in openapi.operations(openapi.MANAGE):
            name = op["operationId"]
            for code, status in openapi.codes(op).items():
                if code in self.ELSEWHERE or code == "must-confirm":
                    continue  # test_autoconfig has a DNS server for that
                if "Outside" in name and code == "not-allowed":
                    continue  # test_added_by_admins_alone
                with self.subTest(operation=name, code=code):
                    if code in self.GENERAL:
                        scope = op["security"][0]["bearer"][0]
                        api, body, headers = self.general(code, scope, method)
                        at = path
                    else:
                        at, body = self.special(name, code, path)
                        api, headers = self.admin, {}
                        if method in ("GET", "DELETE"):
                            body = None
                    at = at.replace("{address}", USER if "admin/acc" in at
                                    else "bob@elsewhere.test")
                    at = at.replace("{domain}", "example.test")
                    at = at.replace("{name}", "x")
                    at = at.replace("{id}", notice if "notices" in at
                                    else "x")
                    r, data = api.call(method, at, body, headers, raw=True)
                    self.assertTrue(data, r.status)
                    got = json.loads(data)
                    self.assertEqual((r.status, got.get("code")),
                                     (status, code), got)
                    had += 1
        self.assertGreater(had, 180)
        self.good(self.admin, "DELETE", "/outside/bob@elsewhere.test", None,
                  204)
        self.good(self.admin, "DELETE", "/notices/" + notice, None, 204)


if __name__ == "__main__":
    unittest.main()
