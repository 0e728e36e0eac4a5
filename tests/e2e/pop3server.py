# SPDX-License-Identifier: ISC
"""A POP3 server that does as it is told: one maildrop, which may break off,
lie about its ids, refuse, or send what no server should.

    with Pop3Server([b"Subject: a\\r\\n\\r\\n"]) as server:
        server.port, server.commands, server.messages
"""
import contextlib
import socket
import ssl
import threading

from pneu import certificate


class Pop3Server:
    """messages: [(unique-id, octets)] or octets, ids being made. override:
    {verb: what is sent in place of all (in a tuple: and then the end), or a
    function of the argument that gives it or None}; break_at: {unique-id: octets that are sent of it, then
    the end}, once each; tls: None, "implicit" or "stls"."""

    def __init__(self, messages=(), user="u", password="p", tls=None,
                 override=None, greeting=b"+OK hello\r\n", capa=()):
        self.messages = [m if isinstance(m, tuple) else ("id%d" % i, m)
                         for i, m in enumerate(messages)]
        self.user, self.password, self.tls = user, password, tls
        self.override, self.greeting = dict(override or {}), greeting
        self.capa = list(capa)
        self.break_at, self.retrieved, self.commands = {}, [], []
        self.lock = threading.Lock()
        self.connections = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(100)
        self.port = self.listener.getsockname()[1]
        self.closed, self.sockets = False, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self.closed:
            with contextlib.suppress(OSError):
                s, _ = self.listener.accept()
                self.connections += 1
                self.sockets.append(s)
                threading.Thread(target=self._serve, args=(s,),
                                 daemon=True).start()

    def close(self):
        self.closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate())
        return context

    def _serve(self, s):
        with contextlib.suppress(OSError, ValueError):
            if self.tls == "implicit":
                s = self._context().wrap_socket(s, server_side=True)
            s.sendall(self.greeting)
            self._session(s, list(self.messages))
        with contextlib.suppress(OSError):
            s.close()

    @staticmethod
    def stuff(octets):
        lines = octets.split(b"\r\n")
        if lines[-1] == b"":
            lines.pop()
        return b"".join((b"." if line.startswith(b".") else b"") + line +
                        b"\r\n" for line in lines) + b".\r\n"

    def _session(self, s, drop):
        user, deleted = None, set()
        f = s.makefile("rb")
        while True:
            line = f.readline().decode("latin-1").rstrip("\r\n")
            if not line:
                return
            verb, _, arg = line.partition(" ")
            verb = verb.upper()
            with self.lock:
                self.commands.append(line)
            other = self.override.get(verb)
            if callable(other):
                other = other(arg)
            if isinstance(other, tuple):
                s.sendall(*other)
                return
            if other is not None:
                s.sendall(other)
                continue
            if verb == "CAPA":
                s.sendall(b"+OK\r\n" + b"".join(
                    c.encode() + b"\r\n" for c in self.capa +
                    (["STLS"] if self.tls == "stls" else [])) + b".\r\n")
            elif verb == "STLS" and self.tls == "stls":
                s.sendall(b"+OK\r\n")
                s = self._context().wrap_socket(s, server_side=True)
                f = s.makefile("rb")
            elif verb == "USER":
                user = arg
                s.sendall(b"+OK\r\n")
            elif verb == "PASS":
                good = (user, arg) == (self.user, self.password)
                s.sendall(b"+OK\r\n" if good else b"-ERR no\r\n")
            elif verb == "UIDL":
                s.sendall(b"+OK\r\n" + b"".join(
                    b"%d %s\r\n" % (i + 1, uid.encode())
                    for i, (uid, _) in enumerate(drop)
                    if i not in deleted) + b".\r\n")
            elif verb == "RETR":
                uid, octets = drop[int(arg) - 1]
                cut = self.break_at.pop(uid, None)
                s.sendall(b"+OK\r\n")
                if cut is not None:
                    s.sendall(self.stuff(octets)[:cut])
                    return
                s.sendall(self.stuff(octets))
                with self.lock:
                    self.retrieved.append(uid)
            elif verb == "DELE":
                deleted.add(int(arg) - 1)
                s.sendall(b"+OK\r\n")
            elif verb == "QUIT":
                with self.lock:
                    gone = {drop[i][0] for i in deleted}
                    self.messages = [m for m in self.messages
                                     if m[0] not in gone]
                s.sendall(b"+OK\r\n")
                return
            else:
                s.sendall(b"-ERR what?\r\n")
