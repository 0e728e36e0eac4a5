# SPDX-License-Identifier: ISC
"""A mail server that does as it is told: SMTP or LMTP, refusing, dropping,
stalling, with good, broken or no STARTTLS; it keeps what it was sent.

    with Scripted(rcpt={"bob@x.lab": "550 5.1.1 unknown"}) as server:
        ... server.port, server.messages, server.commands
"""
import re
import socket
import ssl
import threading

from pneu import PATIENCE, certificate


class Drop(Exception):
    """Raised by a reply function: close the connection at once."""


class Message:
    def __init__(self, sender, recipients, data, tls, params):
        self.sender, self.recipients = sender, recipients
        self.data, self.tls, self.params = data, tls, params


class Scripted:
    """Replies are texts, None for the usual one, or functions that return
    one of these (called with the server and the argument) or raise Drop.

    banner, ehlo, mail, data: a reply; rcpt, final: a dict by recipient, or a
    reply for all; starttls: None (not offered), "good", "broken" (garbage in
    place of the handshake) or "refused"; auth: "user:password" that is asked
    for, or a function of user and access token (XOAUTH2); extensions: more EHLO lines, or a function of the Session that gives
    them; pem: (certificate, key).
    """

    def __init__(self, lmtp=False, banner=None, ehlo=None, mail=None,
                 rcpt=None, data=None, final=None, starttls=None, auth=None,
                 extensions=("PIPELINING", "8BITMIME", "SIZE 10000000",
                             "ENHANCEDSTATUSCODES"),
                 host="127.0.0.1", port=0, path=None, pem=None):
        self.pem = pem or certificate()
        self.lmtp, self.banner, self.ehlo = lmtp, banner, ehlo
        self.mail, self.rcpt, self.data, self.final = mail, rcpt, data, final
        self.starttls, self.auth = starttls, auth
        self.extensions = extensions
        self.lock = threading.Lock()
        self.messages, self.commands, self.connections = [], [], 0
        self.open, self.most_open = 0, 0
        self.sockets = set()
        self.closed = False
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.port = None
        else:
            self.listener = socket.socket()
            self.listener.setsockopt(socket.SOL_SOCKET,
                                     socket.SO_REUSEADDR, 1)
            self.listener.bind((host, port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(200)
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def close(self):
        if self.closed:
            return
        self.closed = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self.lock:
            for s in self.sockets:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.thread.join(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        return False

    def texts(self):
        """All messages as texts, in order of arrival."""
        with self.lock:
            return [m.data for m in self.messages]

    # --- connections ---

    def _accept(self):
        while not self.closed:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,),
                             daemon=True).start()

    def _serve(self, s):
        s.settimeout(PATIENCE)
        with self.lock:
            self.sockets.add(s)
            self.connections += 1
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        try:
            Session(self, s).run()
        except (OSError, Drop, ssl.SSLError):
            pass
        finally:
            with self.lock:
                self.open -= 1
                self.sockets.discard(s)
            s.close()


class Session:
    def __init__(self, server, s):
        self.server, self.s = server, s
        self.f = s.makefile("rb")
        self.tls = False
        self.signed_in = server.auth is None
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.params = None, [], {}

    def send(self, text):
        self.s.sendall(text.replace("\n", "\r\n").encode() + b"\r\n")

    def answer(self, what, default, arg=""):
        """What to reply; a dict is asked by address."""
        if isinstance(what, dict):
            what = what.get(arg)
        if callable(what):
            what = what(self.server, arg)
        return what or default

    def run(self):
        reply = self.answer(self.server.banner, "220 scripted ESMTP")
        self.send(reply)
        if not reply.startswith("220"):
            return
        while True:
            line = self.f.readline()
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            with self.server.lock:
                self.server.commands.append(text)
            verb = text.split(" ")[0].split(":")[0].upper()
            if verb == "QUIT":
                self.send("221 2.0.0 bye")
                return
            getattr(self, "cmd_" + verb.lower(), self.unknown)(text)

    def unknown(self, text):
        self.send("500 5.5.1 not known here")

    def cmd_ehlo(self, text):
        self.reset()
        extensions = self.server.extensions
        if callable(extensions):
            extensions = extensions(self)
        lines = ["scripted"] + list(extensions)
        if self.server.starttls and not self.tls:
            lines.append("STARTTLS")
        if self.server.auth:
            lines.append("AUTH XOAUTH2" if callable(self.server.auth)
                         else "AUTH PLAIN")
        usual = "\n".join("250%s%s" % (" " if i == len(lines) - 1 else "-", l)
                          for i, l in enumerate(lines))
        self.send(self.answer(self.server.ehlo, usual))

    cmd_lhlo = cmd_ehlo

    def cmd_helo(self, text):
        self.send("250 scripted")

    def cmd_noop(self, text):
        self.send("250 2.0.0 ok")

    def cmd_rset(self, text):
        self.reset()
        self.send("250 2.0.0 ok")

    def cmd_starttls(self, text):
        if self.server.starttls == "refused":
            self.send("454 4.7.0 not now")
            return
        self.send("220 2.0.0 go ahead")
        if self.server.starttls == "broken":
            self.f.peek(1)
            self.s.sendall(b"this is not a handshake, not at all\r\n")
            raise Drop
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.server.pem)
        self.s = context.wrap_socket(self.s, server_side=True)
        with self.server.lock:
            self.server.sockets.add(self.s)
        self.f = self.s.makefile("rb")
        self.tls = True
        self.reset()

    def cmd_auth(self, text):
        import base64
        given = base64.b64decode(text.split(" ")[2]).decode()
        if callable(self.server.auth):
            m = re.fullmatch("user=([^\1]+)\1auth=Bearer ([^\1]+)\1\1", given)
            good = m is not None and self.server.auth(m[1], m[2])
            if not good:  # an error is told, and acknowledged
                self.send("334 " + base64.b64encode(
                    b'{"status":"401","schemes":"bearer"}').decode())
                self.f.readline()
        else:
            good = ":".join(given.split("\0")[1:]) == self.server.auth
        if good:
            self.signed_in = True
            self.send("235 2.7.0 welcome")
        else:
            self.send("535 5.7.8 wrong")

    def cmd_mail(self, text):
        address, self.params = path_of(text)
        if not self.signed_in:
            self.send("530 5.7.0 sign in first")
            return
        reply = self.answer(self.server.mail, "250 2.1.0 ok", address)
        if reply.startswith("2"):
            self.sender = address
        self.send(reply)

    def cmd_rcpt(self, text):
        address, params = path_of(text)
        if self.sender is None:
            self.send("503 5.5.1 MAIL first")
            return
        reply = self.answer(self.server.rcpt, "250 2.1.5 ok", address)
        if reply.startswith("2"):
            self.recipients.append(address)
            self.params.setdefault("RCPT", []).append(params)
        self.send(reply)

    def cmd_data(self, text):
        if not self.recipients:
            self.send("554 5.5.1 no recipients")
            return
        reply = self.answer(self.server.data, "354 go on")
        self.send(reply)
        if not reply.startswith("354"):
            return
        data = []
        while True:
            line = self.f.readline()
            if not line:
                raise Drop
            if line == b".\r\n":
                break
            data.append(line[1:] if line.startswith(b".") else line)
        self.finish(b"".join(data))

    def finish(self, data):
        s = self.server
        of = self.recipients if s.lmtp else [self.recipients[0]]
        replies = [self.answer(s.final, "250 2.0.0 taken", r) for r in of]
        taken = [r for r, reply in zip(of, replies) if reply.startswith("2")]
        if not s.lmtp and taken:
            taken = self.recipients
        with s.lock:
            if taken:
                s.messages.append(Message(self.sender, taken, data, self.tls,
                                          self.params))
        self.reset()
        for reply in replies:
            self.send(reply)


def path_of(text):
    """("a@b", {"SIZE": "1"}) of a MAIL or RCPT."""
    address = text[text.index("<") + 1:text.index(">")]
    params = {}
    for word in text[text.index(">") + 1:].split():
        name, _, value = word.partition("=")
        params[name.upper()] = value
    return address, params
