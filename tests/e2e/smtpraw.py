# SPDX-License-Identifier: ISC
"""SMTP and LMTP by hand: octets out, replies in."""
import socket
import ssl

from pneu import PATIENCE, tls_context


class Raw:
    """A dialogue on any stream socket address: a port of 127.0.0.1, or the
    path of a Unix socket."""

    def __init__(self, at, banner=True, tls=False, source=None):
        if isinstance(at, int):
            self.s = socket.create_connection(
                ("127.0.0.1", at), PATIENCE, source and (source, 0))
            self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            self.s = socket.socket(socket.AF_UNIX)
            self.s.settimeout(PATIENCE)
            self.s.connect(at)
        self.f = None
        if tls:
            self.secure()
        else:
            self.f = self.s.makefile("rb")
        self.banner = self.reply() if banner else None

    def secure(self):
        """TLS from here on."""
        if self.f:
            self.f.close()
        self.s = tls_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")

    def send(self, *lines):
        """str: a line; bytes: as they are."""
        self.s.sendall(b"".join(l.encode() + b"\r\n" if isinstance(l, str)
                                else l for l in lines))

    def line(self):
        """One line; b"" at the end, however it comes."""
        try:
            return self.f.readline()
        except (ConnectionError, ssl.SSLError):
            return b""

    def all(self):
        """All octets up to the end, however it comes."""
        got = b""
        while octets := self.line():
            got += octets
        return got

    def reply(self):
        """(code, text) of one reply, its lines joined by a line feed; None at
        the end."""
        lines = []
        while True:
            line = self.line()
            if not line:
                return None
            lines.append(line.rstrip(b"\r\n").decode("utf-8", "replace"))
            if line[3:4] != b"-":
                return int(line[:3]), "\n".join(l[4:] for l in lines)

    def cmd(self, line):
        self.send(line)
        return self.reply()

    def code(self, line):
        got = self.cmd(line)
        return got and got[0]

    def codes(self, n):
        """Of the next n replies; None for each that does not come."""
        replies = [self.reply() for _ in range(n)]
        return [r and r[0] for r in replies]

    def rest(self):
        """Codes of all replies up to the end."""
        codes = []
        while True:
            r = self.reply()
            if r is None:
                return codes
            codes.append(r[0])

    def hello(self, lmtp=False):
        code, text = self.cmd(("LHLO" if lmtp else "EHLO") + " client.test")
        assert code == 250, text
        return text.split("\n")

    def envelope(self, *recipients, sender="s@else.test"):
        for line in ["MAIL FROM:<%s>" % sender] + [
                "RCPT TO:<%s>" % r for r in recipients]:
            code, text = self.cmd(line)
            assert code == 250, (line, code, text)

    def end_input(self):
        # (That of an SSLSocket would go on without TLS.)
        socket.socket.shutdown(self.s, socket.SHUT_WR)

    def close(self):
        if self.f:
            self.f.close()
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
