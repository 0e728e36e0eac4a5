# SPDX-License-Identifier: ISC
"""IMAP by hand: commands as written, responses parsed; and Dovecot as a peer
that the same dialogues run against, where it is installed."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time

from pneu import PATIENCE, SCRATCH, TOP, free_ports, tls_context


class Closed(Exception):
    pass


class Imap:
    """c.cmd("FETCH 1 FLAGS") -> Reply; c.untagged() for what comes by itself."""

    def __init__(self, port, tls=False, greeting=True):
        self.s = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        if tls:
            self.s = tls_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")
        self.tag = 0
        if greeting:
            self.greeting = self.response()

    def starttls(self):
        self.s = tls_context().wrap_socket(self.s)
        self.f = self.s.makefile("rb")

    def send(self, data):
        self.s.sendall(data.encode("utf-8") if isinstance(data, str) else data)

    def response(self):
        """One response, its literals in it as they came."""
        out = b""
        while True:
            line = self.f.readline()
            if not line:
                raise Closed(out)
            out += line
            m = re.search(rb"\{(\d+)\}\r\n$", line)
            if not m:
                return out[:-2]
            out += self.f.read(int(m.group(1)))

    def finish(self, tag):
        """Responses up to the tagged one."""
        untagged = []
        while True:
            r = self.response()
            if r.startswith(tag.encode() + b" "):
                return Reply(r[len(tag) + 1:], untagged)
            untagged.append(r)

    def cmd(self, text, *literals):
        """`text` has {} where a literal goes."""
        self.tag += 1
        tag = "t%d" % self.tag
        parts = text.split("{}") if literals else [text]
        line = (tag + " " + parts[0]).encode("utf-8")
        before = []
        for literal, rest in zip(literals, parts[1:]):
            self.send(line + b"{%d}\r\n" % len(literal))
            while True:
                r = self.response()
                if r.startswith(b"+"):
                    break
                if r.startswith(tag.encode() + b" "):
                    return Reply(r[len(tag) + 1:], before)
                before.append(r)
            line = literal + rest.encode("utf-8")
        self.send(line + b"\r\n")
        reply = self.finish(tag)
        reply.untagged[:0] = before
        return reply

    def ok(self, text, *literals):
        r = self.cmd(text, *literals)
        assert r.status == "OK", (text, r)
        return r

    def append(self, mailbox, message, more=""):
        if isinstance(message, str):
            message = message.encode("utf-8")
        return self.ok("APPEND %s %s{}" % (mailbox, more), message)

    def idle(self):
        self.tag += 1
        self.send("t%d IDLE\r\n" % self.tag)
        r = self.response()
        while not r.startswith(b"+"):
            r = self.response()

    def done(self):
        self.send("DONE\r\n")
        return self.finish("t%d" % self.tag)

    def wait_for(self, wanted):
        """Read until a response matches the pattern."""
        while True:
            r = self.response()
            if re.fullmatch(wanted, r.decode("utf-8", "replace")):
                return r

    def close(self):
        self.f.close()
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Reply:
    def __init__(self, line, untagged):
        self.status, _, self.text = line.decode("utf-8", "replace").partition(" ")
        m = re.match(r"\[([^]\s]+)[ ]?([^]]*)\]", self.text)
        self.code = m.group(1).upper() if m else None
        self.code_args = m.group(2) if m else ""
        self.untagged = untagged

    def __repr__(self):
        return "%s %s %r" % (self.status, self.text, self.untagged)

    def find(self, name):
        """The untagged responses with this name: "* n NAME ..." or
        "* NAME ...", parsed to lists."""
        out = []
        for r in self.untagged:
            v = parse(r)
            if v[1] == name or (len(v) > 2 and v[2] == name):
                out.append(v)
        return out

    def fetched(self):
        """{sequence number: {item: value}} of FETCH responses."""
        out = {}
        for v in self.find("FETCH"):
            items = out.setdefault(int(v[1]), {})
            it = iter(v[3])
            for name in it:
                items[name] = next(it)
        return out

    def search(self):
        return [int(n) for v in self.find("SEARCH") for n in v[2:]]

    def codes(self):
        """{response code: its arguments} of untagged OKs and the reply."""
        out = {}
        for r in self.untagged:
            m = re.match(rb"\* OK \[([A-Z]+) ?(.*?)\]( |$)", r)
            if m:
                out[m.group(1).decode()] = m.group(2).decode()
        if self.code:
            out[self.code] = self.code_args
        return out


TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"|\{(\d+)\}\r\n|([()])|'
                   rb'((?:[A-Za-z0-9.]+)\[[^]]*\](?:<\d+>)?|[^ ()"{]+)|( )')


def parse(data):
    """A response as nested lists: atoms are str (NIL: None), strings bytes."""
    stack, at = [[]], 0
    while at < len(data):
        m = TOKEN.match(data, at)
        if not m:
            raise ValueError(data[at:])
        at = m.end()
        quoted, literal, bracket, atom, _ = m.groups()
        if quoted is not None:
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted))
        elif literal is not None:
            stack[-1].append(data[at:at + int(literal)])
            at += int(literal)
        elif bracket == b"(":
            stack.append([])
        elif bracket == b")":
            done = stack.pop()
            stack[-1].append(done)
        elif atom is not None:
            text = atom.decode("utf-8", "replace")
            stack[-1].append(None if text.upper() == "NIL" else text)
    assert len(stack) == 1, data
    return stack[0]


# --- the peer ---

SCRIPT = os.path.join(TOP, "tests/peers/dovecot.sh")


def dovecot_is_here():
    return shutil.which("dovecot") is not None and os.geteuid() == 0


class Dovecot:
    """user1 .. user20@example.org, passwords pass1 .. pass20."""

    NAMES = ("IMAP", "IMAPS", "POP3", "POP3S", "LMTP")

    def __init__(self, extra=None):
        """`extra`: lines for the end of its configuration, where "@DIR@" is its
        folder, and files beside that by name."""
        self.extra = extra
        for attempt in range(5):  # somebody may take a free port before it
            try:
                self.start()
                return
            except AssertionError:
                if attempt == 4:
                    raise

    def start(self):
        self.dir = tempfile.mkdtemp(prefix="dovecot-", dir=SCRATCH)
        os.chmod(self.dir, 0o755)
        ports = free_ports(len(self.NAMES))
        self.port = dict(zip((n.lower() for n in self.NAMES), ports))
        self.env = dict(os.environ, USERS="4", MAIL_FORMAT="mdbox", **{
            n + "_PORT": str(p) for n, p in zip(self.NAMES, ports)})
        for name, text in (self.extra or {}).items():
            with open(os.path.join(self.dir, name), "w") as f:
                f.write(text.replace("@DIR@", self.dir))
            self.env["DOVECOT_EXTRA"] = os.path.join(self.dir, "extra.conf")
        # Stops it when this process ends, however that happens.
        self.keeper = subprocess.Popen(
            ["sh", "-c", 'cat >/dev/null; "$0" stop "$1"; rm -rf "$1"',
             SCRIPT, self.dir], stdin=subprocess.PIPE, env=self.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        try:
            self.run("start")
            self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                Imap(self.port["imap"]).close()
                return
            except (OSError, Closed):
                time.sleep(0.05)
        raise AssertionError("Dovecot does not answer")

    def run(self, verb):
        # To a file: the daemon would keep a pipe open.
        with tempfile.TemporaryFile("w+") as out:
            rc = subprocess.call(
                [SCRIPT, verb, self.dir],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, timeout=60)
            out.seek(0)
            assert rc == 0, out.read()

    def close(self):
        self.keeper.stdin.close()
        self.keeper.wait(PATIENCE)
