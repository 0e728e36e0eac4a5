# SPDX-License-Identifier: ISC
"""A whole pneu system on loopback for a test: temporary folder, own ports.

    with System() as s:                       # alice and bob @example.test
        s.send("x@else.test", ["alice"], b"Subject: hi\r\n\r\nbody\r\n")
        s.imap("alice").select()

The test opens the listening sockets and hands them over as systemd does
(LISTEN_FDS), so no port is guessed, and a program that is killed and started
again finds its port as it was. PNEU_BUILD names the folder of the binaries.
"""
import contextlib
import imaplib
import json
import os
import poplib
import random
import re
import select
import shutil
import signal
import smtplib
import socket
import ssl
import struct
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("PNEU_BUILD", "build"))
PASSWORD = "demo"
# Sanitised programs are slow; every wait below ends early when it can.
PATIENCE = float(os.environ.get("PNEU_PATIENCE", "60"))
# Where systems keep what they have; run-e2e says another.
SCRATCH = os.environ.get("PNEU_TMP", "/tmp")

# program -> [(protocol, setting)]; Unix sockets are opened by the programs.
PROTOCOLS = {
    "guard": [],
    "mailbox": [("lmtp", None), ("imap", "imap"), ("imaps", "imaps"),
                ("pop3", "pop3"), ("pop3s", "pop3s"), ("http", "http")],
    "qm": [],
    "gateway": [],
    "mta": [("smtp", "listen")],
    "msa": [("submission", "submission"), ("submissions", "submissions")],
    "manage": [],
    "http": [("web", "http")],
}
# Those that are commands of pneu; and a protocol's name there, if another.
COMMANDS = ("manage", "http")
NAMES = {"web": "http"}
SECTIONS = {"http": "mgmt"}

# A shell ignores these for what it starts in the background, and that would be
# inherited by the programs, which are to be interrupted.
for _sig in (signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_sig) == signal.SIG_IGN:
        signal.signal(_sig, signal.SIG_DFL)


def until(condition, what="condition", patience=None):
    """Poll until condition() is true and return what it returned."""
    end = time.monotonic() + (patience or PATIENCE)
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError("not in time: " + what)
        time.sleep(0.02)


def kill_at_once(pids):
    """SIGKILL to all, in this order; returns when they are gone, and so what
    they listened at."""
    with contextlib.ExitStack() as stack:
        gone = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                gone.append(os.pidfd_open(pid))
                stack.callback(os.close, gone[-1])
        for fd in gone:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
        for fd in gone:
            if not select.select([fd], [], [], PATIENCE)[0]:
                raise AssertionError("killed, and still there")


def listening_socket():
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(1024)
    return s


def preloaded(library):
    """LD_PRELOAD for it. ASan wants to be the first library."""
    libraries = subprocess.run(
        ["ldd", os.path.join(BUILD, "pneu-mailbox")], check=True, text=True,
        capture_output=True).stdout
    asan = re.search(r"=> (\S*libasan\S*)", libraries)
    return (asan.group(1) + " " if asan else "") + os.path.join(
        BUILD, "tests", library + ".so")


class Clock:
    """Of programs that run with shim_clock and `env`: it goes as time does,
    and jumps forward when told to."""

    def __init__(self, directory):
        self.ahead_s, self.path = 0, os.path.join(directory, "clock")
        self.env = {"PNEU_CLOCK": self.path}
        self.move(0)

    def move(self, seconds):
        """That long has passed."""
        self.ahead_s += seconds
        with open(self.path, "r+b" if self.ahead_s else "wb") as f:
            f.write(struct.pack("=q", int(self.ahead_s * 10**9)))

    def time(self):
        return time.time() + self.ahead_s


def free_ports(n):
    """Ports that nobody has now, for those that cannot be handed sockets: below
    those that the kernel gives to whoever asks for any, so that nobody gets one
    before it is used."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low = int(f.read().split()[0])
    chance, found = random.SystemRandom(), []
    with contextlib.ExitStack() as stack:
        while len(found) < n:
            port = chance.randrange(10000, low)
            s = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", port))
                found.append(port)
    return found


_certificates = {}


def certificate(names="DNS:localhost,DNS:mx.example.test,IP:127.0.0.1"):
    """(certificate file, key file), self-signed, made once per test run."""
    if names not in _certificates:
        d = tempfile.mkdtemp(prefix="pneu-cert-")
        import atexit
        atexit.register(shutil.rmtree, d, True)
        pem, key = os.path.join(d, "cert.pem"), os.path.join(d, "key.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=" + names,
             "-keyout", key, "-out", pem], check=True, capture_output=True)
        _certificates[names] = pem, key
    return _certificates[names]


class System:
    def __init__(self, domain="example.test", accounts=("alice", "bob"),
                 programs=("guard", "mailbox", "qm", "mta", "msa"), conf=None,
                 workers=1, start=True, directory=None, env=None,
                 preload=None, clock=False):
        """env: more environment of programs; preload: name of a library of
        tests/programs for them; clock: theirs can be moved (pass)."""
        self.domain = domain
        self.accounts = accounts
        self.programs = programs
        self.env = dict(env or {})
        if preload or clock:
            self.env["PNEU_PRELOAD"] = preloaded(preload or "shim_clock")
        self.own_directory = directory is None
        # Unix socket paths are short: not under a deep TMPDIR.
        self.dir = directory or tempfile.mkdtemp(prefix="pneu-", dir=SCRATCH)
        self.clock = Clock(self.dir) if clock else None
        if clock:
            self.env.update(self.clock.env)
        self.process = {}
        self.sockets = {}
        self.port = {}
        for program in programs:
            for name, _ in PROTOCOLS[program]:
                s = listening_socket()
                self.sockets[program, name] = s
                self.port[name] = s.getsockname()[1]
        self.write_conf(conf or {}, workers)
        if start:
            self.start_all()

    # --- configuration ---

    def write_conf(self, changes, workers=1):
        """changes: {"mta": {"max_size": "1M"}, "log_level": "debug"}"""
        pem, key = certificate()
        conf = {
            "hostname": "mx." + self.domain, "data_dir": "data",
            "run_dir": "sock", "workers": workers, "log_level": "info",
            "tls": {"certificate": pem, "key": key},
            "mta": {"listen": ["127.0.0.1:%d" % self.port.get("smtp", 1)]},
            "mailbox": {"lmtp": ["unix:mailbox.sock"]},
            "msa": {}, "qm": {}, "guard": {}, "gateway": {},
            "mgmt": {},
            # What a password costs by default would be a third of the suite.
            "accounts": {"hash_cost": 1, "scram_iterations": 4096},
        }
        for program in self.programs:
            for name, setting in PROTOCOLS[program]:
                if setting:
                    conf[SECTIONS.get(program, program)][setting] = ["127.0.0.1:%d" % self.port[name]]
        if ("mailbox", "lmtp") in self.sockets:
            conf["mailbox"]["lmtp"].append("127.0.0.1:%d" % self.port["lmtp"])
        for name, value in changes.items():
            if isinstance(value, dict):
                conf.setdefault(name, {}).update(value)
            else:
                conf[name] = value
        self.conf = os.path.join(self.dir, "pneu.conf")
        with open(self.conf, "w") as f:
            json.dump(conf, f, indent=1)

    def pneu(self, *args, input="", check=True):
        """The command pneu; returns its standard output."""
        r = subprocess.run([os.path.join(BUILD, "pneu"), "-c", self.conf, *args],
                           input=input, capture_output=True, text=True,
                           timeout=PATIENCE)
        if check and r.returncode != 0:
            raise AssertionError("pneu %s: exit %d: %s%s" % (
                " ".join(args), r.returncode, r.stdout, r.stderr))
        return r.stdout if check else r

    def start_all(self):
        try:
            self.setup_accounts()
            for program in self.programs:
                self.start(program)
        except BaseException:
            self.close()
            raise

    def setup_accounts(self):
        self.pneu("domain", "add", self.domain)
        for account in self.accounts:
            self.pneu("account", "add", self.address(account),
                      input=PASSWORD + "\n")

    def address(self, name):
        return name if "@" in name else "%s@%s" % (name, self.domain)

    # --- processes ---

    def log_path(self, program):
        return os.path.join(self.dir, program + ".log")

    def log(self, program):
        with open(self.log_path(program), errors="replace") as f:
            return f.read()

    def start(self, program, wait=True):
        """Start with inherited sockets plus its configured Unix socket."""
        inherited = [(n, s) for (p, n), s in self.sockets.items() if p == program]
        # Descriptors 3, 4, ... and LISTEN_PID are set in the child.
        script = "".join("exec %d<&%d; " % (3 + i, 100 + i)
                         for i in range(len(inherited)))
        script += "".join("exec %d<&-; " % (100 + i)
                          for i in range(len(inherited)))
        script += ('LISTEN_PID=$$ exec '
                   '${PNEU_PRELOAD:+env "LD_PRELOAD=$PNEU_PRELOAD"} "$@"')
        env = dict(os.environ, **self.env)
        if inherited:
            env["LISTEN_FDS"] = str(len(inherited))
            env["LISTEN_FDNAMES"] = ":".join(
                NAMES.get(n, n) for n, _ in inherited)
        dup = []
        for i, (_, s) in enumerate(inherited):
            os.dup2(s.fileno(), 100 + i)
            dup.append(100 + i)
        ready_r, ready_w = self._ready_socket(program)
        env["NOTIFY_SOCKET"] = ready_w
        try:
            with open(self.log_path(program), "ab") as log:
                self.process[program] = subprocess.Popen(
                    ["bash", "-c", script, "bash",
                     *self.words(program)],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                    pass_fds=dup)
        finally:
            for fd in dup:
                os.close(fd)
        if wait:
            self._wait_ready(program, ready_r)
        ready_r.close()

    def words(self, program):
        if program in COMMANDS:
            return [os.path.join(BUILD, "pneu"), "-c", self.conf, program]
        return [os.path.join(BUILD, "pneu-" + program), "-c", self.conf]

    def _ready_socket(self, program):
        path = os.path.join(self.dir, "ready." + program)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        r = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        r.bind(path)
        r.settimeout(0.1)
        return r, path

    def _wait_ready(self, program, sock):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process[program].poll() is not None:
                break
            try:
                if b"READY=1" in sock.recv(4096):
                    return
            except socket.timeout:
                pass
        raise AssertionError("pneu-%s did not get ready:\n%s" % (
            program, self.log(program)[-4000:]))

    def stop(self, program, sig=signal.SIGTERM):
        """Returns the exit status. Unless killed, the status must be 0 and
        sanitizers must have said nothing."""
        p = self.process.pop(program, None)
        if p is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            p.send_signal(sig)
        try:
            return p.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            raise AssertionError("pneu-%s did not stop" % program)

    def kill(self, program):
        """SIGKILL to the program and its workers."""
        p = self.process.pop(program)
        kill_at_once([p.pid] + children(p.pid))
        p.wait()

    def restart(self, program):
        self.stop(program)
        self.start(program)

    def close(self):
        trouble = []
        for program in reversed(list(self.process)):
            try:
                rc = self.stop(program)
                if rc not in (0, None):
                    trouble.append("pneu-%s: exit status %s\n%s" % (
                        program, rc, self.log(program)[-6000:]))
            except AssertionError as e:
                trouble.append(str(e))
        for program in self.programs:
            if os.path.exists(self.log_path(program)):
                text = self.log(program)
                for mark in ("ERROR: AddressSanitizer", "runtime error:",
                             "ERROR: LeakSanitizer", "Assertion"):
                    if mark in text:
                        at = text.index(mark)
                        trouble.append("pneu-%s: %s" % (
                            program, text[max(0, at - 200):at + 4000]))
        for s in self.sockets.values():
            s.close()
        if self.own_directory and not os.environ.get("PNEU_KEEP"):
            shutil.rmtree(self.dir, ignore_errors=True)
        if trouble:
            raise AssertionError("\n".join(trouble))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        try:
            self.close()
        except AssertionError:
            if exc[0] is None:
                raise
        return False

    # --- clients ---

    def smtp(self):
        return smtplib.SMTP("127.0.0.1", self.port["smtp"], timeout=PATIENCE)

    def send(self, sender, recipients, message, **kw):
        with self.smtp() as c:
            return c.sendmail(sender, [self.address(r) for r in recipients],
                              message, **kw)

    def submit(self, user, recipients, message, sender=None):
        with smtplib.SMTP("127.0.0.1", self.port["submission"],
                          timeout=PATIENCE) as c:
            c.starttls(context=tls_context())
            c.login(self.address(user), PASSWORD)
            return c.sendmail(sender or self.address(user),
                              [self.address(r) for r in recipients], message)

    def imap(self, user="alice", login=True):
        c = imaplib.IMAP4_SSL("127.0.0.1", self.port["imaps"],
                              ssl_context=tls_context(), timeout=PATIENCE)
        if login:
            c.login(self.address(user), PASSWORD)
        return c

    def pop3(self, user="alice"):
        c = poplib.POP3_SSL("127.0.0.1", self.port["pop3s"],
                            context=tls_context(), timeout=PATIENCE)
        c.user(self.address(user))
        c.pass_(PASSWORD)
        return c

    def messages(self, user="alice", mailbox="INBOX"):
        """The octets of all messages in the mailbox."""
        c = self.imap(user)
        try:
            typ, data = c.select(mailbox, readonly=True)
            assert typ == "OK", data
            if data == [b"0"]:
                return []
            typ, data = c.fetch("1:*", "(BODY.PEEK[])")
            assert typ == "OK", data
            return [d[1] for d in data if isinstance(d, tuple)]
        finally:
            c.logout()

    def wait_message(self, user, text, mailbox="INBOX"):
        """Wait until a message that holds `text` (bytes) is there."""
        return until(lambda: next((m for m in self.messages(user, mailbox)
                                   if text in m), None),
                     "message with %r for %s" % (text, user))


def tls_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(x) for x in f.read().split()]
    except FileNotFoundError:
        return []


def pss(pid):
    """KiB of the process and its workers."""
    total = 0
    for p in [pid] + children(pid):
        with open("/proc/%d/smaps_rollup" % p) as f:
            total += int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M)[1])
    return total
