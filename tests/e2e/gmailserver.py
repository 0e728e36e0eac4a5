# SPDX-License-Identifier: ISC
"""Gmail's HTTP API (REST v1), from its public reference, as much as a mail
program needs, and strict about what it is asked: each path, method, parameter
and content type, whole bodies, tokens. What was not as it must be is in
`faults`; what was asked in `asked`. Tokens are those of an OAuthServer."""
import base64
import email
import email.policy
import email.utils
import http.server
import json
import re
import socket
import ssl
import threading
import time
import urllib.parse

from pneu import certificate

SYSTEM = ["INBOX", "SENT", "TRASH", "SPAM", "DRAFT", "UNREAD", "STARRED",
          "IMPORTANT", "CHAT", "CATEGORY_PERSONAL", "CATEGORY_SOCIAL",
          "CATEGORY_PROMOTIONS", "CATEGORY_UPDATES", "CATEGORY_FORUMS"]
FORBIDDEN = {"SENT", "DRAFT", "CHAT"}  # nobody adds or takes these
SEND_MAX, INSERT_MAX = 36700160, 52428800
ME = "/gmail/v1/users/me/"
UP = "/upload" + ME
RATE = {403: "rateLimitExceeded", 429: "rateLimitExceeded"}


class Refused(Exception):
    def __init__(self, status, message, fault=False, reason=None):
        super().__init__(message)
        self.status, self.message, self.fault = status, message, fault
        self.reason = reason or RATE.get(status, "invalidArgument")


class Message:
    def __init__(self, ident, raw, labels, date_ms):
        self.id, self.raw, self.labels = ident, raw, list(labels)
        self.date_ms = date_ms
        self.history = 0

    def ref(self):
        out = {"id": self.id, "threadId": self.id}
        if self.labels:
            out["labelIds"] = self.labels
        return out


def error_body(status, message, reason):
    return {"error": {"code": status, "message": message, "errors": [
        {"message": message, "domain": "global", "reason": reason}],
        "status": {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED",
                   403: "PERMISSION_DENIED", 404: "NOT_FOUND",
                   429: "RESOURCE_EXHAUSTED"}.get(status, "INTERNAL")}}


def header_addresses(raw, *names):
    m = email.message_from_bytes(raw, policy=email.policy.compat32)
    return [a for n in names
            for _, a in email.utils.getaddresses(m.get_all(n, []))]


class GmailServer:
    def __init__(self, oauth, user="alice@gmail.test",
                 address=("127.0.0.1", 0), names=None):
        self.oauth, self.user = oauth, user
        self.lock = threading.RLock()
        self.messages, self.labels, self.history = {}, {}, []
        self.history_id, self.oldest = 1000, 1000
        self.next_id = 0x18c0000000000000
        self.next_label = 0
        self.sent = []         # (sorted recipients, raw)
        self.pages = set()     # tokens that were given out
        self.unwanted = set()  # ids of messages that it lets nobody change
        self.forgotten = False # they hold no longer
        self.asked, self.faults = [], []
        # For the next requests whose path matches: (regex, status, headers,
        # reason); status 0: the connection is cut in the middle.
        self.plans = []
        # (regex, function): called once such a request is done, before it is
        # answered.
        self.after = None
        self.hold = None       # an Event: raw messages wait for it, half given
        self.running = self.most = 0
        server = self.server = http.server.ThreadingHTTPServer(
            address, self.handler())
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(certificate(names) if names
                                  else certificate()))
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- for tests: what its user does there ---

    def record(self, kind, m, labels=None):
        self.history_id += 7  # "with random gaps"
        m.history = self.history_id
        what = {"message": m.ref()}
        if labels is not None:
            what["labelIds"] = list(labels)
        self.history.append((self.history_id, kind,
                             json.loads(json.dumps(what))))

    def put(self, raw, labels=("INBOX", "UNREAD"), date_ms=1700000000000):
        with self.lock:
            self.next_id += 0x11
            m = Message("%x" % self.next_id, raw, labels, date_ms)
            self.messages[m.id] = m
            self.record("messagesAdded", m)
            return m.id

    def label(self, name):
        with self.lock:
            self.next_label += 1
            ident = "Label_%d" % self.next_label
            self.labels[ident] = name
            return ident

    def rename(self, ident, name):
        """No message's history has it."""
        with self.lock:
            self.labels[ident] = name

    def unlabel(self, ident):
        with self.lock:
            del self.labels[ident]
            for m in self.messages.values():
                m.labels = [n for n in m.labels if n != ident]

    def change(self, ident, add=(), remove=()):
        with self.lock:
            m = self.messages[ident]
            add = [n for n in add if n not in m.labels]
            remove = [n for n in remove if n in m.labels]
            m.labels += add
            if add:
                self.record("labelsAdded", m, add)
            m.labels = [n for n in m.labels if n not in remove]
            if remove:
                self.record("labelsRemoved", m, remove)

    def erase(self, ident):
        with self.lock:
            self.record("messagesDeleted", self.messages.pop(ident))

    def age(self):
        """History of before is gone."""
        with self.lock:
            self.history.clear()
            self.history_id += 7
            self.oldest = self.history_id

    def count(self, pattern):
        return sum(1 for a in self.asked if re.search(pattern, a))

    # --- what it answers ---

    def want(self, query, known, need=()):
        for name in query:
            if name not in known:
                raise Refused(400, "Unknown name \"%s\"" % name, True)
            if len(query[name]) > 1 and name not in ("historyTypes",
                                                     "labelIds"):
                raise Refused(400, "%s twice" % name, True)
        for name in need:
            if name not in query:
                raise Refused(400, "Required: " + name, True)

    def number(self, query, name, default, most):
        text = query.get(name, [str(default)])[0]
        if not re.fullmatch(r"[0-9]{1,20}", text) or int(text) > most or \
                int(text) == 0:
            raise Refused(400, "Invalid " + name, True)
        return int(text)

    def page(self, items, query, n):
        """Items of the page, and the token of the next."""
        token = query.get("pageToken", [None])[0]
        at = 0
        if token is not None:
            if token not in self.pages or self.forgotten:
                raise Refused(400, "Invalid pageToken", token not in self.pages)
            at = int(token[2:])
        more = {}
        if at + n < len(items):
            # Of any characters: it must be escaped.
            more["nextPageToken"] = "&=%d" % (at + n)
            self.pages.add(more["nextPageToken"])
        return items[at:at + n], more

    def get_profile(self, query, _):
        self.want(query, ())
        return {"emailAddress": self.user,
                "messagesTotal": len(self.messages),
                "threadsTotal": len(self.messages),
                "historyId": str(self.history_id)}

    def get_labels(self, query, _):
        self.want(query, ())
        return {"labels": [{"id": n, "name": n, "type": "system"}
                           for n in SYSTEM] +
                [{"id": i, "name": n, "type": "user",
                  "messageListVisibility": "show"}
                 for i, n in self.labels.items()]}

    def post_labels(self, query, body):
        self.want(query, ())
        name = body.get("name")
        if set(body) - {"name", "labelListVisibility",
                        "messageListVisibility"}:
            raise Refused(400, "Unknown name", True)
        if not name or len(name) > 225 or name.strip("/ ") != name or \
                name.upper() in SYSTEM:
            raise Refused(400, "Invalid label name")
        if name.lower() in [n.lower() for n in self.labels.values()]:
            raise Refused(409, "Label name exists or conflicts", True)
        return {"id": self.label(name), "name": name, "type": "user"}

    def list_messages(self, query, _):
        self.want(query, ("q", "pageToken", "maxResults", "labelIds",
                          "includeSpamTrash"))
        found = list(reversed(self.messages.values()))
        if query.get("includeSpamTrash", ["false"])[0] != "true":
            found = [m for m in found
                     if not {"SPAM", "TRASH"} & set(m.labels)]
        for label in query.get("labelIds", []):
            self.known_label(label)
            found = [m for m in found if label in m.labels]
        if "q" in query:
            word = re.fullmatch(r"(in:sent )?rfc822msgid:(\S+)",
                                query["q"][0])
            if word is None:
                raise Refused(400, "q is not known here", True)
            found = [m for m in found if b"<" + word[2].encode() + b">" in
                     m.raw and (not word[1] or "SENT" in m.labels)]
        part, more = self.page(found, query,
                               self.number(query, "maxResults", 100, 500))
        out = {"resultSizeEstimate": len(found), **more}
        if part:
            out["messages"] = [{"id": m.id, "threadId": m.id} for m in part]
        return out

    def message(self, ident):
        if ident not in self.messages:
            raise Refused(404, "Requested entity was not found.",
                          reason="notFound")
        return self.messages[ident]

    def get_message(self, query, _, ident):
        self.want(query, ("format", "metadataHeaders"))
        form = query.get("format", ["full"])[0]
        if form not in ("minimal", "full", "raw", "metadata"):
            raise Refused(400, "Invalid format", True)
        m = self.message(ident)
        out = {**m.ref(), "snippet": "\u00e4 \"\\\U0001f600 &lt;",
               "sizeEstimate": len(m.raw), "historyId": str(m.history),
               "internalDate": str(m.date_ms)}
        if form == "raw":
            raw = base64.urlsafe_b64encode(m.raw).decode()
            if int(m.id, 16) % 2:
                out = {"raw": raw, **out}
            else:
                out["raw"] = raw
        return out

    def get_history(self, query, _):
        self.want(query, ("startHistoryId", "historyTypes", "pageToken",
                          "labelId", "maxResults"), ("startHistoryId",))
        start = self.number(query, "startHistoryId", 1, 2 ** 64)
        kinds = {"messageAdded": "messagesAdded",
                 "messageDeleted": "messagesDeleted",
                 "labelAdded": "labelsAdded", "labelRemoved": "labelsRemoved"}
        wanted = query.get("historyTypes", list(kinds))
        if len(set(wanted)) != len(wanted) or set(wanted) - set(kinds):
            raise Refused(400, "Invalid historyTypes", True)
        if start < self.oldest:
            raise Refused(404, "Requested entity was not found.",
                          reason="notFound")
        if start > self.history_id:
            raise Refused(404, "of the future", True, "notFound")
        found = [{"id": str(i), "messages": [
            {"id": what["message"]["id"],
             "threadId": what["message"]["threadId"]}], kind: [what]}
            for i, kind, what in self.history
            if i > start and kind in [kinds[w] for w in wanted]]
        part, more = self.page(found, query,
                               self.number(query, "maxResults", 100, 500))
        out = {"historyId": str(self.history_id), **more}
        if part:
            out["history"] = part
        return out

    def known_label(self, name):
        if name not in SYSTEM and name not in self.labels:
            raise Refused(400, "Invalid label: " + str(name), True)

    def modify_one(self, body, ident):
        add, remove = body.get("addLabelIds", []), body.get("removeLabelIds",
                                                            [])
        if set(body) - {"addLabelIds", "removeLabelIds", "ids"} or \
                not (add or remove) or set(add) & set(remove) or \
                len(add) > 100 or len(remove) > 100:
            raise Refused(400, "No label add or removes specified", True)
        for name in add + remove:
            self.known_label(name)
            if name in FORBIDDEN:
                raise Refused(400, "Invalid label: " + name, True)
        self.change(ident, add, remove)

    def modify(self, query, body, ident):
        self.want(query, ())
        m = self.message(ident)
        if ident in self.unwanted:
            raise Refused(400, "Precondition check failed.")
        self.modify_one(body, ident)
        return m.ref()

    def batch_modify(self, query, body):
        self.want(query, ())
        ids = body.get("ids")
        if self.unwanted & set(ids):
            raise Refused(400, "Invalid ids value")
        if not ids or len(ids) > 1000 or len(set(ids)) != len(ids):
            raise Refused(400, "ids", True)
        for ident in ids:
            if ident in self.messages:
                self.modify_one(body, ident)
        return None

    def trash(self, query, body, ident, un=False):
        self.want(query, ())
        m = self.message(ident)
        # The others stay, as there.
        self.change(ident, [] if un else ["TRASH"], ["TRASH"] if un else
                    ["INBOX"])
        return m.ref()

    def untrash(self, query, body, ident):
        return self.trash(query, body, ident, True)

    def delete(self, query, _, ident):
        self.want(query, ())
        self.message(ident)
        self.erase(ident)
        return None

    def parse(self, raw, most):
        if len(raw) > most:
            raise Refused(413, "Request Entity Too Large")
        if not re.match(rb"[!-9;-~]+:", raw) or b"\r\n\r\n" not in raw or \
                re.search(rb"(?<!\r)\n", raw):
            raise Refused(400, "not a message", True)
        return raw

    def insert(self, query, body):
        self.want(query, ("uploadType", "internalDateSource", "deleted"),
                  ("uploadType",))
        meta, raw = self.upload(query, body)
        if set(meta) - {"labelIds", "threadId"}:
            raise Refused(400, "metadata", True)
        for name in meta.get("labelIds", []):
            self.known_label(name)
        raw = self.parse(raw, INSERT_MAX)
        source = query.get("internalDateSource", ["receivedTime"])[0]
        date_ms = int(time.time() * 1000)
        if source == "dateHeader":
            date = email.message_from_bytes(raw)["Date"]
            if date:
                date_ms = int(email.utils.parsedate_to_datetime(
                    date).timestamp() * 1000)
        elif source != "receivedTime":
            raise Refused(400, "internalDateSource", True)
        m = self.messages[self.put(raw, meta.get("labelIds", ()), date_ms)]
        return m.ref()

    def send(self, query, body):
        if "uploadType" in query:
            self.want(query, ("uploadType",))
            _, raw = self.upload(query, body)
        else:
            self.want(query, ())
            if set(body) != {"raw"} or not re.fullmatch(
                    r"[A-Za-z0-9_-]+={0,2}", body["raw"]):
                raise Refused(400, "raw", True)
            raw = base64.urlsafe_b64decode(body["raw"] + "==")
        raw = self.parse(raw, SEND_MAX)
        to = header_addresses(raw, "To", "Cc", "Bcc")
        if not to:
            raise Refused(400, "Recipient address required")
        if any(a.startswith("invalid@") for a in to):
            raise Refused(400, "Invalid To header")
        kept = re.sub(rb"(?im)^bcc:.*\r\n([ \t].*\r\n)*", b"", raw)
        self.sent.append((sorted(to), raw))
        m = self.messages[self.put(kept, ["SENT"], int(time.time() * 1000))]
        return m.ref()

    def upload(self, query, body):
        kind = query["uploadType"][0]
        form, octets = body
        if kind == "media":
            if form != "message/rfc822":
                raise Refused(400, "Media type '%s' is not supported" % form,
                              True)
            return {}, octets
        if kind != "multipart":
            raise Refused(400, "uploadType", True)
        m = re.fullmatch(r"multipart/related; boundary=\"?([A-Za-z0-9_'()+,./:"
                         r"=?-]{1,70})\"?", form)
        if m is None:
            raise Refused(400, "Content-Type", True)
        mark = b"--" + m[1].encode()
        if not octets.startswith(mark + b"\r\n") or \
                octets.count(b"\r\n" + mark) != 2 or \
                not octets.endswith(b"\r\n" + mark + b"--\r\n"):
            raise Refused(400, "Malformed multipart body.", True)
        first, second = octets[len(mark) + 2:-len(mark) - 6].split(
            b"\r\n" + mark + b"\r\n")
        head, _, meta = first.partition(b"\r\n\r\n")
        head2, _, raw = second.partition(b"\r\n\r\n")
        if head.lower() != b"content-type: application/json; charset=utf-8" \
                or head2.lower() != b"content-type: message/rfc822":
            raise Refused(400, "Malformed multipart body.", True)
        return json.loads(meta), raw

    ROUTES = [("GET", ME + "profile", "get_profile", None),
              ("GET", ME + "labels", "get_labels", None),
              ("POST", ME + "labels", "post_labels", "json"),
              ("GET", ME + "messages", "list_messages", None),
              ("GET", ME + "history", "get_history", None),
              ("POST", ME + "messages/batchModify", "batch_modify", "json"),
              ("POST", ME + "messages/send", "send", "json"),
              ("POST", UP + "messages/send", "send", "upload"),
              ("POST", UP + "messages", "insert", "upload"),
              ("GET", ME + "messages/([0-9a-f]+)", "get_message", None),
              ("DELETE", ME + "messages/([0-9a-f]+)", "delete", None),
              ("POST", ME + "messages/([0-9a-f]+)/modify", "modify", "json"),
              ("POST", ME + "messages/([0-9a-f]+)/trash", "trash", "none"),
              ("POST", ME + "messages/([0-9a-f]+)/untrash", "untrash",
               "none")]

    # --- HTTP ---

    def authorize(self, headers):
        m = re.fullmatch(r"Bearer ([A-Za-z0-9._~+/=-]+)",
                         headers.get("Authorization", ""))
        if m is None:
            raise Refused(401, "Login Required.", True, "required")
        known = self.oauth.access.get(m[1])
        if known is None or known[1] < time.time():
            raise Refused(401, "Invalid Credentials", reason="authError")
        if known[0] != self.user:
            raise Refused(401, "of somebody else", True, "authError")

    def body_of(self, kind, method, headers, octets):
        form = headers.get("Content-Type")
        if method in ("GET", "DELETE") or kind == "none":
            if octets or form:
                raise Refused(400, "a body", True)
            return None
        if kind == "upload":
            return form, octets
        if form is None or not re.fullmatch(
                r"application/json(; charset=UTF-8)?", form):
            raise Refused(400, "Content-Type", True)
        body = json.loads(octets)
        if not isinstance(body, dict):
            raise Refused(400, "Invalid JSON payload", True)
        return body

    def plan(self, path):
        for plan in self.plans:
            if re.search(plan[0], path):
                self.plans.remove(plan)
                return plan
        return None

    def answer(self, method, target, headers, octets):
        """Status, headers, body, and whether to break off in it."""
        cut = False
        try:
            with self.lock:
                self.asked.append(method + " " + target)
                plan = self.plan(target)
                self.authorize(headers)
                if plan is not None and plan[1] != 0:
                    return (plan[1], plan[2], error_body(
                        plan[1], "as planned", plan[3] or
                        RATE.get(plan[1], "backendError")), False)
                cut = plan is not None
                url = urllib.parse.urlsplit(target)
                query = urllib.parse.parse_qs(
                    url.query, keep_blank_values=True, strict_parsing=bool(
                        url.query))
                for verb, pattern, name, kind in self.ROUTES:
                    m = re.fullmatch(pattern, url.path)
                    if m and verb == method:
                        body = self.body_of(kind, method, headers, octets)
                        done = getattr(self, name)(query, body, *m.groups())
                        if self.after and re.search(self.after[0], target):
                            after, self.after = self.after[1], None
                            after()
                        return 200, {}, done, cut
                raise Refused(404, "no such method", True, "notFound")
        except Refused as e:
            if e.fault:
                self.faults.append((method, target, e.message))
            return (e.status, {}, error_body(e.status, e.message, e.reason),
                    False)
        except ValueError as e:
            self.faults.append((method, target, repr(e)))
            return 400, {}, error_body(400, repr(e), "parseError"), False

    def handler(owner):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 120

            def run(self):
                n = self.headers.get("Content-Length", "0")
                octets = self.rfile.read(int(n))
                with owner.lock:
                    owner.running += 1
                    owner.most = max(owner.most, owner.running)
                try:
                    self.reply(*owner.answer(self.command, self.path,
                                             self.headers, octets))
                finally:
                    with owner.lock:
                        owner.running -= 1

            do_GET = do_POST = do_DELETE = run

            def reply(self, status, headers, body, cut):
                text = b"" if body is None else json.dumps(
                    body, indent=2, ensure_ascii=False).encode()
                # As Google's own writer has it.
                text = text.replace(b"=\"", b"\\u003d\"")
                if status == 200 and not text and not cut:
                    self.send_response(204)
                    self.end_headers()
                    return
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type",
                                 "application/json; charset=UTF-8")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                half = len(text) // 2
                self.chunk(text[:half])
                if owner.hold is not None and "format=raw" in self.path:
                    self.wfile.flush()
                    owner.hold.wait(120)
                if cut:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.chunk(text[half:])
                self.wfile.write(b"0\r\n\r\n")

            def chunk(self, octets):
                for i in range(0, len(octets), 1 << 20):
                    part = octets[i:i + (1 << 20)]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))

            def handle(self):
                try:
                    super().handle()
                except OSError:
                    pass  # they hang up when they like

            def log_message(self, *_):
                pass

        return Handler
