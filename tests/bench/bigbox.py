# SPDX-License-Identifier: ISC
"""One large mailbox, the same mail in pneu and in Debian's Dovecot (mdbox),
both with their syncs on. Times are the best of three, in a client that only
counts octets."""
import json
import os
import smtplib
import socket
import subprocess
import tempfile
import time

from measure import table
from pneu import BUILD, PASSWORD, System, listening_socket

N = int(os.environ.get("BENCH_BIGBOX", "1000000"))
SIZE = int(os.environ.get("BENCH_BIGBOX_SIZE", "2048"))
# A look at every message takes Dovecot minutes: no more than these seconds.
PEER_SEARCH = int(os.environ.get("BENCH_PEER_SEARCH", "300"))
DELIVERIES = 300
TOOL = os.path.join(BUILD, "tests", "bigbox")
PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers")


class Client:
    """IMAP, raw: what is received is counted, not kept."""

    def __init__(self, port, user, password):
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray(1 << 20)
        self.sock.recv(4096)
        self.time("LOGIN %s %s" % (user, password))

    def time(self, command, timeout=None):
        """Seconds until its reply is there; None when that takes too long."""
        self.sock.settimeout(timeout)
        began = time.monotonic()
        self.sock.sendall(b"x " + command.encode() + b"\r\n")
        tail = b"\r\n"
        self.octets = 0
        while True:
            try:
                n = self.sock.recv_into(self.buffer)
            except TimeoutError:
                return None
            if n == 0:
                raise SystemExit("connection closed in: " + command)
            self.octets += n
            tail = (tail + self.buffer[max(0, n - 500):n])[-500:]
            last = tail[tail.rfind(b"\r\n", 0, -2) + 2:]
            if last.startswith(b"x ") and last.endswith(b"\r\n"):
                if not last.startswith(b"x OK"):
                    raise SystemExit("%s: %s" % (command, bytes(last)))
                return time.monotonic() - began

    def best(self, command, times=3):
        return min(self.time(command) for _ in range(times))


LATE = (b"From: a@else.test\r\nSubject: late\r\n\r\n" +
        (b"text of some length, in a line." * 2 + b"\r\n") * 60)


def deliveries(port, users):
    """Messages a second, by LMTP on one connection, to each of the users in
    turns, so that all have the same weather."""
    took = {u: 0.0 for u in users}
    with smtplib.LMTP("127.0.0.1", port) as c:
        for _ in range(DELIVERIES):
            for u in users:
                began = time.monotonic()
                c.sendmail("a@else.test", [u], LATE)
                took[u] += time.monotonic() - began
    return ["%.0f" % (DELIVERIES / took[u]) for u in users]


def ms(seconds):
    return "-" if seconds is None else "%.1f" % (seconds * 1000)


def measure(port, lmtp, password, search_limit):
    """The column of one system."""
    user = "user1@example.org"
    c = Client(port, user, password)
    first = c.time("SELECT INBOX")
    select = c.best("SELECT INBOX")
    flags = c.best("FETCH 1:* (UID FLAGS)")
    c.time("FETCH %d:%d (ENVELOPE)" % (N - 999, N))
    envelopes = c.best("FETCH %d:%d (ENVELOPE)" % (N - 999, N))
    search = c.time("SEARCH TEXT zugzwang", search_limit)
    if search is not None and search < 1:
        search = min(search, c.best("SEARCH TEXT zugzwang", 2))
    into = deliveries(lmtp, (user, "user2@example.org"))
    return [ms(first), ms(select), ms(flags), ms(envelopes), ms(search)] + into


def sh(*args):
    r = subprocess.run(args, capture_output=True, text=True)
    if r.returncode != 0:
        raise SystemExit("%s: %s%s" % (args[0], r.stdout, r.stderr))
    return r.stdout


def octets_of(directory):
    return int(sh("du", "-sB1", directory).split()[0])


def pneu_column():
    with System(domain="example.org", accounts=("user1", "user2"), workers=1,
                programs=("guard", "mailbox"), start=False,
                conf={"mailbox": {"plaintext_login": True}}) as s:
        store = os.path.join(s.dir, "data", "mails")
        os.makedirs(os.path.dirname(store), exist_ok=True)
        print("  pneu: " + sh(TOOL, "pneu", store, "user1@example.org", "0",
                              str(N), str(SIZE)).strip())
        s.setup_accounts()
        size = octets_of(store)
        began = time.monotonic()
        r = subprocess.run(
            [os.path.join(BUILD, "pneu"), "-c", s.conf, "mail", "index",
             "--json", "user1@example.org"], capture_output=True, text=True)
        index = json.loads(r.stdout)
        print("  pneu: indexed in %.0f s" % (time.monotonic() - began))
        for program in s.programs:
            s.start(program)
        column = measure(s.port["imap"], s.port["lmtp"], PASSWORD, None)
        per = index["octets"] / max(1, index["indexed"])
        return column + ["%.0f" % per, "%.2f" % (size / (N * SIZE))]


def peer_column():
    """The same in Debian's Dovecot."""
    where = tempfile.mkdtemp(prefix="peer-", dir="/tmp")
    os.chmod(where, 0o755)
    env = dict(os.environ, USERS="2", MAIL_FORMAT="mdbox",
               DOVECOT_EXTRA=os.path.join(where, "extra.conf"))
    for name in ("IMAP_PORT", "IMAPS_PORT", "POP3_PORT", "POP3S_PORT",
                 "LMTP_PORT"):
        with listening_socket() as sock:
            env[name] = str(sock.getsockname()[1])
    script = os.path.join(PEERS, "dovecot.sh")

    def control(verb):
        # The daemons keep these descriptors: a pipe would never end.
        with open(os.path.join(where, "peer.log"), "a+") as log:
            rc = subprocess.call(["bash", script, verb, where], env=env,
                                 stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log)
            log.seek(0)
            if rc != 0:
                raise SystemExit("dovecot.sh: " + log.read())

    try:
        # By default a million messages do not fit into its memory.
        with open(env["DOVECOT_EXTRA"], "w") as f:
            f.write("default_vsz_limit = 8G\n")
        control("start")
        try:
            # A folder where Dovecot's user may lock.
            source = os.path.join(where, "source")
            mbox = os.path.join(source, "inbox")
            os.mkdir(source)
            sh(TOOL, "mbox", mbox, "0", str(N), str(SIZE))
            sh("chown", "-R", "nobody", source)
            sh("doveadm", "-o", "mail_fsync=never", "-c",
               os.path.join(where, "dovecot.conf"), "import", "-u",
               "user1@example.org", "mbox:%s/none:INBOX=%s" % (source, mbox),
               "", "all")
            os.unlink(mbox)
            os.sync()
            size = octets_of(os.path.join(where, "mail", "user1"))
            column = measure(int(env["IMAP_PORT"]), int(env["LMTP_PORT"]),
                             "pass1", PEER_SEARCH)
        finally:
            control("stop")
        return column + ["-", "%.2f" % (size / (N * SIZE))]
    finally:
        subprocess.call(["rm", "-rf", where])


ROWS = ("SELECT, the first, ms", "SELECT, ms", "FETCH 1:* (UID FLAGS), ms",
        "FETCH of the last 1,000 ENVELOPEs, ms", "SEARCH TEXT of a rare word, ms",
        "deliveries into it, one after another, per s",
        "deliveries into an empty one, per s",
        "octets of search index a message", "octets stored an octet of mail")


def bigbox():
    pneu = pneu_column()
    peer = peer_column()

    def ratio(a, b):
        return "" if "-" in (a, b) or float(b) == 0 else \
            "%.3g" % (float(a) / float(b))
    table("One mailbox with {:,} messages of {:,} octets".format(N, SIZE),
          ["what", "pneu", "Dovecot", "ratio"],
          [[name, a, b, ratio(a, b)] for name, a, b in zip(ROWS, pneu, peer)])
