# SPDX-License-Identifier: ISC
"""An authorization server (RFC 6749) that is strict about what it is asked: each
parameter, once and no other; PKCE (RFC 7636), the device flow (RFC 8628),
refresh tokens that are taken once, and introspection (RFC 7662) for servers
that are to believe its tokens. What was not as it must be is in `faults`."""
import base64
import contextlib
import hashlib
import http.server
import json
import re
import secrets
import ssl
import sys
import threading
import time
import urllib.parse

from pneu import certificate

FORM = "application/x-www-form-urlencoded"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
INTROSPECTION_SECRET = "introspect me"


class Refused(Exception):
    def __init__(self, error, status=400, fault=False):
        super().__init__(error)
        self.error, self.status, self.fault = error, status, fault


class OAuthServer:
    """`clients`: id -> secret, or None. `basic`: how they must say it.
    `address`: where it listens; `names`: of its certificate; `paths`: of a
    provider's own path to "/token", "/device" or "/authorize"."""

    def __init__(self, clients=None, rotate=False, expires_in=3600,
                 scope="mail", basic=True, address=("127.0.0.1", 0),
                 names=None, base=None, paths=None):
        self.paths = paths or {}
        self.clients = clients or {"pneu": "s3cret"}
        self.rotate, self.expires_in = rotate, expires_in
        self.scope, self.basic = scope, basic
        self.refresh, self.access = {}, {}
        self.codes, self.devices = {}, {}
        self.used = set()  # refresh tokens and codes that were taken
        self.asked, self.faults = [], []
        self.fail = []      # (status, body) for the next token requests
        self.hold = None    # an Event: answers of /token wait for it
        self.bad = 0        # so many access tokens nobody will believe
        self.decision = "allow"
        self.user = "alice@example.test"
        self.interval = 1
        self.lock = threading.Lock()
        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *args):
                # Who does not trust us, or goes away, is no fault of ours.
                if not isinstance(sys.exc_info()[1], OSError):
                    super().handle_error(*args)

        self.server = Server(address, self.handler())
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(certificate(names) if names
                                  else certificate()))
        # The handshake in the connection's own thread, not in accept.
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.base = base or "https://localhost:%d" % (
            self.server.server_address[1])
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- for tests ---

    def reset(self):
        self.rotate, self.expires_in, self.fail = False, 3600, []
        self.hold, self.bad, self.decision = None, 0, "allow"
        self.faults.clear()
        self.asked.clear()

    def options(self, client="pneu"):
        """Of `pneu outside add`; the secret goes to its input."""
        return ["--oauth", "--client-id", client, "--scope", self.scope,
                "--oauth-token-url", self.base + "/token",
                "--oauth-auth-url", self.base + "/authorize",
                "--oauth-device-url", self.base + "/device"]

    def settings(self):
        """auth of a pneu that believes its tokens."""
        return {"oauth_url": self.base + "/introspect",
                "oauth_client": "pneu-server"}

    def new_refresh(self, user=None, client="pneu"):
        token = "r-" + secrets.token_urlsafe(30)
        self.refresh[token] = (user or self.user, client)
        return token

    def new_access(self, user, client="pneu"):
        token = "a-" + secrets.token_urlsafe(60)
        if self.bad > 0:
            self.bad -= 1
            return token
        self.access[token] = (user, time.time() + self.expires_in, client)
        return token

    def revoke_access(self):
        with self.lock:
            self.access.clear()

    def count(self, grant):
        return sum(1 for a in self.asked if a == grant)

    # --- what it answers ---

    def tokens(self, user, client, refresh=None):
        out = {"access_token": self.new_access(user, client),
               "token_type": "bearer", "expires_in": self.expires_in,
               "scope": self.scope}
        if refresh:
            out["refresh_token"] = refresh
        return out

    def client_of(self, headers, form):
        """Takes who it is out of the form."""
        client, secret = form.pop("client_id", None), form.pop("client_secret",
                                                               None)
        basic = headers.get("Authorization")
        if basic:
            if not self.basic or client or secret:
                raise Refused("invalid_request", fault=True)
            name, _, word = base64.b64decode(
                basic.removeprefix("Basic ")).decode().partition(":")
            client, secret = (urllib.parse.unquote_plus(w)
                              for w in (name, word))
        elif secret and self.basic:
            raise Refused("invalid_client", 401, fault=True)
        if client not in self.clients:
            raise Refused("unauthorized_client" if client else
                          "invalid_request", fault=not client)
        if self.clients[client] != secret:
            raise Refused("invalid_client", 401)
        return client

    def need(self, form, *names):
        if set(form) != set(names):
            raise Refused("invalid_request", fault=True)
        return [form[n] for n in names]

    def grant_refresh(self, form, client):
        token, = self.need(form, "refresh_token")
        if token in self.used or token not in self.refresh or \
                self.refresh[token][1] != client:
            raise Refused("invalid_grant")
        user = self.refresh[token][0]
        new = None
        if self.rotate:
            del self.refresh[token]
            self.used.add(token)
            new = self.new_refresh(user, client)
        return self.tokens(user, client, new)

    def grant_code(self, form, client):
        code, uri, verifier = self.need(form, "code", "redirect_uri",
                                        "code_verifier")
        if code in self.used or code not in self.codes:
            raise Refused("invalid_grant", fault=code in self.used)
        self.used.add(code)
        want = self.codes.pop(code)
        if not re.fullmatch(r"[A-Za-z0-9._~-]{43,128}", verifier):
            raise Refused("invalid_request", fault=True)
        digest = base64.urlsafe_b64encode(
            hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if want != (client, uri, digest):
            raise Refused("invalid_grant", fault=True)
        return self.tokens(self.user, client, self.new_refresh(None, client))

    def grant_device(self, form, client):
        code, = self.need(form, "device_code")
        device = self.devices.get(code)
        if code in self.used or device is None or device["client"] != client:
            raise Refused("invalid_grant", fault=True)
        now, last = time.monotonic(), device["asked"]
        device["asked"] = now
        if now - last < device["interval"] * 0.95:
            self.faults.append("asked after %.2f s" % (now - last))
        answers = device["answers"]
        if answers:
            error = answers.pop(0)
            if error == "slow_down":
                device["interval"] += 5
            raise Refused(error)
        if device["decision"] is None:
            raise Refused("authorization_pending")
        self.used.add(code)
        if device["decision"] != "allow":
            raise Refused(device["decision"])
        return self.tokens(self.user, client, self.new_refresh(None, client))

    def token(self, headers, form):
        grant = form.pop("grant_type", None)
        self.asked.append(grant)
        if self.fail:
            return self.fail.pop(0)
        client = self.client_of(headers, form)
        grants = {"refresh_token": self.grant_refresh,
                  "authorization_code": self.grant_code,
                  DEVICE: self.grant_device}
        if grant not in grants:
            raise Refused("unsupported_grant_type", fault=True)
        return 200, grants[grant](form, client)

    def device(self, headers, form):
        client = self.client_of(headers, form)
        scope, = self.need(form, "scope")
        if scope != self.scope:
            raise Refused("invalid_scope", fault=True)
        code, user_code = secrets.token_urlsafe(30), "WDJB-%04d" % (
            secrets.randbelow(10000))
        self.devices[code] = {
            "client": client, "user_code": user_code, "answers": [],
            "decision": None, "asked": time.monotonic(),
            "interval": self.interval}
        return 200, {"device_code": code, "user_code": user_code,
                     "verification_uri": self.base + "/enter",
                     "verification_uri_complete":
                         self.base + "/enter?user_code=" + user_code,
                     "expires_in": 600, "interval": self.interval}

    def enter(self, query):
        """The page at which a device's code is entered (RFC 8628 3.3)."""
        code = dict(urllib.parse.parse_qsl(query)).get("user_code")
        for device in self.devices.values():
            if code is not None and device["user_code"] == code:
                device["decision"] = self.decision
                return "Allowed."
        return ("<form><input name=user_code id=user_code>"
                "<button>Allow</button></form>")

    def authorize(self, query):
        """Where to the browser is sent."""
        for name in ("access_type", "prompt", "login_hint"):
            query.pop(name, None)
        (kind, client, uri, scope, state, challenge, method) = self.need(
            query, "response_type", "client_id", "redirect_uri", "scope",
            "state", "code_challenge", "code_challenge_method")
        if kind != "code" or client not in self.clients or \
                scope != self.scope or method != "S256" or \
                not re.fullmatch(r"[A-Za-z0-9_-]{43}", challenge) or \
                not re.fullmatch(r"[A-Za-z0-9_-]{16,}", state) or \
                not re.fullmatch(r"http://(127\.0\.0\.1|localhost):\d+/?(login)?", uri):
            raise Refused("invalid_request", fault=True)
        answer = {"state": state}
        if self.decision == "allow":
            code = secrets.token_urlsafe(20)
            self.codes[code] = (client, uri, challenge)
            answer["code"] = code
        else:
            answer["error"] = self.decision
        return uri + "?" + urllib.parse.urlencode(answer)

    def introspect(self, headers, form):
        token, _ = self.need(form, "token", "token_type_hint")
        known = self.access.get(token)
        if known is None or known[1] < time.time():
            return 200, {"active": False}
        return 200, {"active": True, "exp": int(known[1]), "email": known[0],
                     "username": known[0], "client_id": known[2],
                     "scope": self.scope, "token_type": "Bearer"}

    def introspect_for_dovecot(self, headers, form):
        status, answer = self.introspect(headers, {
            "token": form["token"], "token_type_hint": "access_token"})
        # It takes an answer without a name for no answer.
        return status, {"email": self.user, **answer}

    # --- HTTP ---

    def handler(owner):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                paths = {"/token": owner.token, "/device": owner.device,
                         "/introspect": owner.introspect,
                         "/dovecot": owner.introspect_for_dovecot}
                self.path = owner.paths.get(self.path, self.path)
                try:
                    if self.path not in paths or \
                            self.headers["Content-Type"] != FORM:
                        raise Refused("invalid_request", 404, True)
                    pairs = urllib.parse.parse_qsl(
                        body.decode("ascii"), keep_blank_values=True,
                        strict_parsing=True)
                    form = dict(pairs)
                    if len(form) != len(pairs) or "" in form.values():
                        raise Refused("invalid_request", fault=True)
                    with owner.lock:
                        status, answer = paths[self.path](self.headers, form)
                except Refused as e:
                    if e.fault:
                        owner.faults.append((self.path, e.error,
                                             body.decode()))
                    status, answer = e.status, {"error": e.error}
                if self.path == "/token" and owner.hold is not None:
                    owner.hold.wait(60)
                self.answer(status, answer)

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                path = owner.paths.get(url.path, url.path)
                try:
                    if path == "/enter":
                        return self.page(owner.enter(url.query))
                    if path != "/authorize":
                        raise Refused("not found", 404)
                    pairs = urllib.parse.parse_qsl(url.query,
                                                   strict_parsing=True)
                    if len(dict(pairs)) != len(pairs):
                        raise Refused("invalid_request", fault=True)
                    with owner.lock:
                        to = owner.authorize(dict(pairs))
                except Refused as e:
                    if e.fault:
                        owner.faults.append((self.path, e.error))
                    return self.answer(e.status, {"error": e.error})
                self.send_response(302)
                self.send_header("Location", to)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def page(self, text):
                body = ("<!DOCTYPE html><title>Provider</title><p>%s" %
                        text).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def answer(self, status, body):
                if not isinstance(body, bytes):
                    body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Cache-Control", "no-store")
                self.send_header("Content-Length", str(len(body)))
                with contextlib.suppress(OSError):  # it was killed meanwhile
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
