# SPDX-License-Identifier: ISC
"""OAUTHBEARER and XOAUTH2 at every door, against an authorization server that
is strict about what it is asked (RFC 7662)."""
import base64
import http.server
import imaplib
import json
import poplib
import smtplib
import threading
import time
import unittest
import urllib.parse

from pneu import PATIENCE, System, certificate, tls_context

SECRET = "s3cret"


class Introspection:
    """`tokens`: what is known; `asked`: those it was asked about."""

    def __init__(self, tls=False):
        self.tokens, self.asked, self.faults = {}, [], []
        self.reply = None
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                form = urllib.parse.parse_qs(body.decode("ascii"),
                                             strict_parsing=True)
                want = base64.b64encode(("pneu:" + SECRET).encode()).decode()
                if self.path != "/introspect" or \
                        self.headers["Content-Type"] != \
                        "application/x-www-form-urlencoded" or \
                        self.headers["Authorization"] != "Basic " + want or \
                        set(form) != {"token", "token_type_hint"} or \
                        form["token_type_hint"] != ["access_token"] or \
                        len(form["token"]) != 1:
                    owner.faults.append((self.path, form))
                    return self.answer(401, b"{}")
                token = form["token"][0]
                owner.asked.append(token)
                if owner.reply is not None:
                    return self.answer(*owner.reply)
                known = owner.tokens.get(token, {"active": False})
                self.answer(200, json.dumps(known).encode())

            def answer(self, status, body):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        if tls:
            import ssl
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate())
            self.server.socket = context.wrap_socket(self.server.socket,
                                                     server_side=True)
        self.url = "%s://localhost:%d/introspect" % (
            "https" if tls else "http", self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def bearer(token, user="alice@example.test"):
    return ("n,a=%s,\x01host=mx.example.test\x01port=993\x01"
            "auth=Bearer %s\x01\x01" % (user, token)).encode()


def xoauth2(token, user="alice@example.test"):
    return ("user=%s\x01auth=Bearer %s\x01\x01" % (user, token)).encode()


class Doors:
    """Sign in; True, or the error result as the client sees it."""

    def __init__(self, system):
        self.s = system

    def imap(self, mechanism, message):
        c = imaplib.IMAP4_SSL("127.0.0.1", self.s.port["imaps"],
                              ssl_context=tls_context(), timeout=PATIENCE)
        seen = []

        def respond(challenge):
            if not seen:
                seen.append(None)
                return message
            seen.append(json.loads(challenge))
            return b"\x01"
        try:
            c.authenticate(mechanism, respond)
            return True
        except imaplib.IMAP4.error as e:
            return seen[1] if len(seen) > 1 else str(e)
        finally:
            c.shutdown()

    def pop3(self, mechanism, message):
        c = poplib.POP3_SSL("127.0.0.1", self.s.port["pop3s"],
                            context=tls_context(), timeout=PATIENCE)
        try:
            c._putcmd("AUTH " + mechanism)
            c._getline()
            c._putline(base64.b64encode(message))
            line = c._getline()[0]
            if line.startswith(b"+OK"):
                return True
            if line.startswith(b"-ERR"):
                return line.decode()
            c._putline(base64.b64encode(b"\x01"))
            assert c._getline()[0].startswith(b"-ERR")
            return json.loads(base64.b64decode(line[2:]))
        finally:
            c.close()

    def submission(self, mechanism, message):
        with smtplib.SMTP_SSL("127.0.0.1", self.s.port["submissions"],
                              context=tls_context(), timeout=PATIENCE) as c:
            c.ehlo()
            code, text = c.docmd("AUTH", mechanism + " " + base64.b64encode(
                message).decode())
            if code == 334 and text == b"":
                code, _ = c.docmd("*")
                assert code == 501, code
                return "no message"
            if code == 334:
                code, _ = c.docmd(base64.b64encode(b"\x01").decode())
                assert code == 535, code
                return json.loads(base64.b64decode(text))
            return True if code == 235 else "%d" % code

    def all(self):
        return self.imap, self.pop3, self.submission


class OAuth(unittest.TestCase):
    def system(self, server, **more):
        auth = dict({"oauth_url": server.url, "oauth_client": "pneu",
                     "oauth_secret_file": "oauth.secret",
                     "oauth_scope": "mail",
                     "oauth_discovery": "https://id.test/conf"}, **more)
        s = System(programs=("guard", "mailbox", "qm", "msa"), start=False,
                   conf={"auth": auth, "tls": dict(zip(
                       ("certificate", "key"), certificate()),
                       ca=certificate()[0])})
        s.setup_accounts()
        with open(s.dir + "/data/oauth.secret", "w") as f:
            f.write(SECRET + "\n")
        for program in s.programs:
            s.start(program)
        return s

    def setUp(self):
        self.server = Introspection()
        self.addCleanup(self.server.close)

    def test_tokens_open_every_door(self):
        now = int(time.time())
        good = {"active": True, "scope": "openid mail",
                "email": "Alice@example.test", "exp": now + 3600}
        self.server.tokens = {
            "good+/=": good,
            "name": {"active": True, "scope": "mail",
                     "username": "alice@example.test"},
            "over": dict(good, exp=now - 1),
            "early": dict(good, nbf=now + 3600),
            "scope": dict(good, scope="openid mailbox"),
            "claimed": dict(good, email_verified=False),
            "bob": dict(good, email="bob@example.test"),
            "nobody": dict(good, email="carol@example.test"),
            "nameless": {"active": True, "scope": "mail"},
            "truthy": dict(good, active=1),
        }
        refused = {"status": "invalid_token", "scope": "mail",
                   "openid-configuration": "https://id.test/conf"}
        with self.system(self.server) as s:
            doors = Doors(s)
            for door in doors.all():
                for mechanism, form in (("OAUTHBEARER", bearer),
                                        ("XOAUTH2", xoauth2)):
                    for token in ("good+/=", "name"):
                        self.assertIs(door(mechanism, form(token)), True,
                                      (door, mechanism, token))
                    for token in ("over", "early", "scope", "claimed",
                                  "nobody", "nameless", "unknown",
                                  "not a token"):
                        self.assertEqual(door(mechanism, form(token)),
                                         refused, (door, mechanism, token))
                    # Another's token, and one for nobody in particular.
                    self.assertEqual(door(mechanism, form("bob")), refused)
                    self.assertIn(type(door(mechanism, form("truthy"))),
                                  (str,))
                self.assertIs(door("OAUTHBEARER", b"n,,\x01auth=bearer "
                                   b"good+/=\x01\x01"), True)
                for bad in (b"", b"\x01", b"n,,\x01\x01", b"p=x,,\x01auth="
                            b"Bearer good\x01\x01", b"n,,auth=Bearer good"
                            b"\x01\x01", b"n,,\x01auth=Basic good\x01\x01",
                            b"n,,\x01auth=Bearer good"):
                    self.assertIsInstance(door("OAUTHBEARER", bad), str, bad)
            # Each process asks once a minute.
            self.assertEqual(self.server.asked.count("good+/="), 2)
            self.assertEqual(self.server.faults, [])
            for program in ("mailbox", "msa"):
                for secret in (SECRET, "good+/="):
                    self.assertNotIn(secret, s.log(program))

    def test_trouble_there_is_no_verdict(self):
        """Not asked, no answer or nonsense: try later, and no more."""
        self.server.tokens["good"] = {"active": True, "scope": "mail",
                                      "email": "alice@example.test"}
        with self.system(self.server) as s:
            doors = Doors(s)
            for reply in ((500, b"{}"), (200, b"x"), (200, b"[]"), (200, b"{}"),
                          (302, b""), (200, b" " * 70000)):
                self.server.reply = reply
                self.assertEqual(doors.submission("XOAUTH2", xoauth2("good")),
                                 "454", reply)
                self.assertIn("UNAVAILABLE",
                              doors.imap("XOAUTH2", xoauth2("good")))
            self.server.reply = None
            self.assertIs(doors.submission("XOAUTH2", xoauth2("good")), True)

    def test_https_is_verified(self):
        server = Introspection(tls=True)
        self.addCleanup(server.close)
        server.tokens["good"] = {"active": True, "scope": "mail",
                                 "email": "alice@example.test"}
        with self.system(server) as s:
            self.assertIs(Doors(s).submission("XOAUTH2", xoauth2("good")),
                          True)
            s.write_conf({"auth": {"oauth_url": server.url,
                                   "oauth_client": "pneu",
                                   "oauth_secret_file": "oauth.secret"}})
            s.restart("msa")
            self.assertEqual(Doors(s).submission("XOAUTH2", xoauth2("good")),
                             "454")
            self.assertEqual(len(server.asked), 1)

    def test_not_without_a_server(self):
        with System(programs=("msa",)) as s:
            with smtplib.SMTP_SSL("127.0.0.1", s.port["submissions"],
                                  context=tls_context(),
                                  timeout=PATIENCE) as c:
                c.ehlo()
                self.assertNotIn("OAUTH", c.esmtp_features["auth"])


if __name__ == "__main__":
    unittest.main()
