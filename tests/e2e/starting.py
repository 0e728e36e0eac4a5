# SPDX-License-Identifier: ISC
"""The four ways to start a program (design 2.4), as a test class to mix in.

    class Imap(FourWays, unittest.TestCase):
        program = ["build/pneu-mailbox", "-c", "pneu.conf"]
        protocol = "imap"                       # also what --protocol is given
        greeting = rb"\* OK "
        dialogue = [(b"a NOOP\r\n", rb"a OK "), (b"b LOGOUT\r\n", rb"b OK ")]
        tls = False                             # handshake first (imaps)

`program` may be a property, from another base class. The last step of the dialogue ends the session.
Each test chooses a free port and keeps it bound (not listening), so that
nobody else gets it before the program has it.
"""
import contextlib
import io
import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time

from pneu import PATIENCE, children, tls_context, until

INETD = "/usr/sbin/inetd"


class Port:
    """A port of 127.0.0.1 that stays ours until the program listens on it."""

    def __init__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.number = self.socket.getsockname()[1]

    def __enter__(self):
        return self.number

    def __exit__(self, *exc):
        self.socket.close()


class Talk:
    """Lines with a server over a connected socket (or two files)."""

    def __init__(self, sock=None, reader=None, writer=None):
        self.socket = sock
        if sock is not None:
            sock.settimeout(PATIENCE)
            reader, writer = sock.makefile("rb"), sock.makefile("wb")
        self.reader, self.writer = reader, writer

    def send(self, octets):
        self.writer.write(octets)
        self.writer.flush()

    def expect(self, pattern):
        """Read lines until one matches; returns it."""
        seen = []
        while True:
            line = self.reader.readline()
            if not line:
                raise AssertionError("end of input, wanted %r, had %r" % (
                    pattern, seen))
            seen.append(line)
            if re.match(pattern, line):
                return line.rstrip(b"\r\n")

    def ask(self, octets, pattern=rb""):
        self.send(octets)
        return self.expect(pattern)

    def expect_end(self):
        rest = self.reader.read()
        if rest:
            raise AssertionError("unexpected %r" % rest)

    def close(self):
        with contextlib.suppress(OSError):
            self.writer.close()
        self.reader.close()
        if self.socket is not None:
            self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class TlsOverPipes(io.RawIOBase):
    """Python's ssl wraps only sockets; this is for two files."""

    def __init__(self, reader, writer):
        self.files = reader, writer
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = tls_context().wrap_bio(self.incoming, self.outgoing)
        self.drive(self.object.do_handshake)

    def drive(self, step):
        reader, writer = self.files
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                writer.write(self.outgoing.read())
                writer.flush()
            octets = reader.read1(65536)
            if octets:
                self.incoming.write(octets)
            else:
                self.incoming.write_eof()

    def readable(self):
        return True

    def readinto(self, into):
        octets = self.drive(lambda: self.object.read(len(into)))
        into[:len(octets)] = octets
        return len(octets)

    def writable(self):
        return True

    def write(self, octets):
        return self.drive(lambda: self.object.write(octets))


def connect(address, tls=False):
    """To (host, port) or a path; tries until somebody listens."""
    def attempt():
        s = socket.socket(socket.AF_UNIX if isinstance(address, str)
                          else socket.AF_INET)
        s.settimeout(PATIENCE)
        try:
            s.connect(address)
            return s
        except (ConnectionRefusedError, FileNotFoundError):
            s.close()
            return None
    s = until(attempt, "connection to %r" % (address,))
    if tls:
        s = tls_context().wrap_socket(s)
    return Talk(s)


class Running:
    """A process that ends with the test, whatever happens."""

    def __init__(self, command, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.log,
                                        stderr=self.log, **kw)

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.wait()

    def wait(self):
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            family = descendants(self.process.pid) + [self.process.pid]
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
        if exc[0] is not None:
            print(self.output())
        self.log.close()


def descendants(pid):
    found = []
    for child in children(pid):
        found += descendants(child) + [child]
    return found


class FourWays:
    tls = False

    def talk(self, t):
        t.expect(self.greeting)
        for said, answer in self.dialogue:
            t.ask(said, answer)
        t.expect_end()

    def talk_at(self, port):
        with connect(("127.0.0.1", port), self.tls) as t:
            self.talk(t)

    def command(self):
        return list(self.program) + ["--protocol", self.protocol]

    def serves_many(self, port):
        """Two at once, the second finishing first, and one after."""
        with connect(("127.0.0.1", port), self.tls) as first:
            with connect(("127.0.0.1", port), self.tls) as second:
                self.talk(second)
            self.talk(first)
        self.talk_at(port)

    # (a) systemd

    def test_systemd_accept_no(self):
        with Port() as port, Running(
                ["systemd-socket-activate", "-l", "127.0.0.1:%d" % port,
                 "--fdname=" + self.protocol, *self.program]) as p:
            self.serves_many(port)
            self.assertEqual(p.stop(), 0)

    def test_systemd_accept_yes(self):
        with Port() as port, Running(
                ["systemd-socket-activate", "--accept", "-l",
                 "127.0.0.1:%d" % port, *self.command()]) as p:
            self.serves_many(port)
            # Each session was a process, and each ended with status 0.
            until(lambda: p.output().count("died with code 0") == 3,
                  "three ended children: " + p.output())

    # (b) inetd nowait, UCSPI, pipes

    def inetd(self, port, wait):
        user = os.environ.get("USER") or subprocess.check_output(
            ["id", "-un"], text=True).strip()
        command = self.command()
        self.assertLess(len(command), 20)  # inetd's own limit
        conf = tempfile.NamedTemporaryFile("w", suffix=".conf")
        conf.write("127.0.0.1:%d stream tcp %s %s %s %s\n" % (
            port, wait, user, command[0], " ".join(command)))
        conf.flush()
        self.addCleanup(conf.close)
        # -E: the sanitizers' options; -i: stay, so that it can be ended.
        return Running([INETD, "-E", "-i", conf.name])

    def test_inetd_nowait(self):
        with Port() as port, self.inetd(port, "nowait") as p:
            self.serves_many(port)
            until(lambda: not children(p.process.pid), "ended sessions")

    def test_tcpserver(self):
        with Port() as port, Running(
                ["tcpserver", "-v", "-H", "-R", "-l", "localhost", "127.0.0.1",
                 str(port), *self.command()]) as p:
            self.serves_many(port)
            until(lambda: p.output().count("status 0\n") == 3,
                  "three sessions with status 0: " + p.output())

    def test_pipe(self):
        log = tempfile.TemporaryFile()
        p = subprocess.Popen(self.command(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=log)
        if self.tls:
            tls = TlsOverPipes(p.stdout, p.stdin)
            t = Talk(reader=io.BufferedReader(tls), writer=tls)
        else:
            t = Talk(reader=p.stdout, writer=p.stdin)
        with t:
            self.talk(t)
        p.stdin.close()
        p.stdout.close()
        self.assertEqual(p.wait(PATIENCE), 0)
        log.close()

    def test_pipe_that_ends_early(self):
        p = subprocess.run(self.command(), input=b"", timeout=PATIENCE,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.assertEqual(p.returncode, 0)

    # (c) inetd wait

    def test_inetd_wait(self):
        with Port() as port, self.inetd(port, "wait") as p:
            self.serves_many(port)
            server = children(p.process.pid)
            self.assertEqual(len(server), 1)
            os.kill(server[0], signal.SIGTERM)
            # inetd takes the port back and starts it again when asked.
            until(lambda: server[0] not in children(p.process.pid), "its end")
            self.talk_at(port)

    # (d) alone

    def test_standalone(self):
        with Port() as port, Running(
                [*self.program, "--listen",
                 "%s=127.0.0.1:%d" % (self.protocol, port)]) as p:
            self.serves_many(port)
            began = time.monotonic()
            self.assertEqual(p.stop(), 0)
            self.assertLess(time.monotonic() - began, PATIENCE / 2)
