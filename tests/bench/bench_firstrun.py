# SPDX-License-Identifier: ISC
"""pneu-gateway: the first look at one large account at Debian's Dovecot, beside
mbsync and fetchmail, and once more with gateway and mailbox killed in it: how
fast, how much memory, and is each message here exactly once?"""
import collections
import json
import os
import random
import re
import subprocess
import tempfile
import threading
import time

from bench_gateway import Dovecot
from measure import cpu_seconds, table, tree
from pneu import BUILD, System, free_ports, until

MESSAGES = int(os.environ.get("BENCH_FIRST", "100000"))
KILLS = int(os.environ.get("BENCH_KILLS", "6"))
PEER = min(MESSAGES, int(os.environ.get("BENCH_PEER", "20000")))
TEXT = """Return-Path: <sender%(n)d@else.test>
Received: from mx.else.test (mx.else.test [192.0.2.7])
\tby mail.example.org with ESMTPS id %(n)d; %(date)s
Date: %(date)s
From: Sender %(n)d <sender%(n)d@else.test>
To: user1@example.org
Subject: message %(n)d of many
Message-ID: <%(n)d.first@else.test>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

"""


def fill(folder, n):
    """A Maildir of n small messages, flags on every third."""
    os.makedirs(folder, exist_ok=True)
    for sub in ("cur", "new", "tmp"):
        os.makedirs(os.path.join(folder, sub), exist_ok=True)
    start = 1700000000
    for i in range(1, n + 1):
        date = time.strftime("%a, %d %b %Y %H:%M:%S +0000",
                             time.gmtime(start + i))
        text = TEXT % {"n": i, "date": date} + "".join(
            "line %d of %d, and so on and so forth\n" % (k, i)
            for k in range(10 + i % 40))
        name = "%d.%d.bench,S=%d,W=%d:2,%s" % (
            start + i, i, len(text), len(text) + text.count("\n"),
            "S" if i % 3 == 0 else "")
        path = os.path.join(folder, "cur", name)
        with open(path, "w") as f:
            f.write(text)
        os.utime(path, (start + i, start + i))


class Filled(Dovecot):
    """user1 has MESSAGES, user2 PEER of them."""

    format = "maildir"

    def __init__(self):
        super().__init__()
        for user, n in (("user1", MESSAGES), ("user2", PEER)):
            home = os.path.join(self.dir, "mail", user)
            fill(os.path.join(home, "mail"), n)
            subprocess.run(["chown", "-R", "nobody", home], check=True)
            # It gives out UIDs, so that nobody pays for it who comes first.
            subprocess.run(["doveadm", "-c",
                            os.path.join(self.dir, "dovecot.conf"), "mailbox",
                            "status", "-u", user + "@example.org", "uidnext",
                            "INBOX"], check=True, stdout=subprocess.DEVNULL)

    def pids(self):
        with open(os.path.join(self.dir, "run", "master.pid")) as f:
            return tree(int(f.read()))


class Watch(threading.Thread):
    """The most memory that a program took, and what CPU; also of those that
    came after it was killed."""

    def __init__(self, pids):
        super().__init__(daemon=True)
        self.pids, self.rss, self.ended = pids, 0, False
        self.start()

    def run(self):
        while not self.ended:
            for pid in self.pids():
                try:
                    with open("/proc/%d/status" % pid) as f:
                        m = re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)
                    self.rss = max(self.rss, int(m[1]) if m else 0)
                except (FileNotFoundError, ProcessLookupError):
                    pass
            time.sleep(0.2)

    def end(self):
        self.ended = True
        self.join()
        return "%.1f" % (self.rss / 1024)


def system(d, **gateway):
    return System(programs=("mailbox", "gateway"), accounts=("alice",), conf={
        "tls": {"ca": os.path.join(d.dir, "cert.pem")},
        "gateway": {"interval": "1h", "retry_first": "100ms",
                    "retry_max": "200ms", **gateway}})


def add(s, d, protocol, user="user1"):
    s.pneu("outside", "add", "--protocol", protocol, "--host", "localhost",
           "--port", str(d.port[protocol.upper() + "S"]), "--user",
           user + "@example.org", "a@out.test", s.address("alice"),
           input="pass%s\n" % user[4:])


def state(s):
    return json.loads(s.pneu("outside", "show", "--json", "a@out.test"))


def pids_of(s, program):
    p = s.process.get(program)
    return tree(p.pid) if p is not None else []


def subjects(s):
    with s.imap("alice") as c:
        c.select(readonly=True)
        _, data = c.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
    return collections.Counter(
        m[1] for d in data if isinstance(d, tuple)
        for m in [re.search(rb"<(\d+)\.first@", d[1])] if m)


def complete(s):
    got = subjects(s)
    assert len(got) == MESSAGES, "%d of %d are here" % (len(got), MESSAGES)
    assert max(got.values()) == 1, "some are here twice"


def ended(s):
    st = state(s)
    return st["state"] == "ok" and st["worked"] is not None


def pneu(d, protocol, kills=0):
    with system(d) as s:
        gateway = Watch(lambda: pids_of(s, "gateway"))
        mailbox = Watch(lambda: pids_of(s, "mailbox"))
        began = time.monotonic()
        add(s, d, protocol)
        for k in range(kills):
            want = MESSAGES * (k + random.random()) / (kills + 1)
            until(lambda: here(s) >= want, "messages", 3600)
            program = ("gateway", "mailbox")[k % 2]
            s.kill(program)
            s.start(program)
        until(lambda: wait(1) or (here(s) >= MESSAGES and ended(s)), "all", 3600)
        took = time.monotonic() - began
        cpu = [cpu_seconds(pids_of(s, p)) for p in ("gateway", "mailbox")]
        complete(s)
        return ["pneu, %s%s" % (protocol.upper(), ", %d kills" % kills
                                if kills else ""), MESSAGES, "%.1f" % took,
                "%.0f" % (MESSAGES / took),
                "-" if kills else "%.2f" % (cpu[0] * 1000 / MESSAGES),
                "-" if kills else "%.2f" % (cpu[1] * 1000 / MESSAGES),
                gateway.end(), mailbox.end()]


def wait(s):
    time.sleep(s)


def here(s):
    """How many are in the mailbox, as its owner sees it."""
    try:
        with s.imap("alice") as c:
            _, data = c.status("INBOX", "(MESSAGES)")
        time.sleep(0.1)
        return int(re.search(rb"MESSAGES (\d+)", data[0])[1])
    except OSError:
        return 0


def peer(title, args, files):
    """A program that fetches PEER messages of user2: rates by its own."""
    began = time.monotonic()
    p = subprocess.Popen(args, stdout=subprocess.DEVNULL, env=dict(
        os.environ, **files))
    watch = Watch(lambda: tree(p.pid))
    _, status, used = os.wait4(p.pid, 0)
    took = time.monotonic() - began
    assert status == 0, title
    cpu = (used.ru_utime + used.ru_stime) * 1000 / PEER
    return [title, PEER, "%.1f" % took, "%.0f" % (PEER / took), "%.2f" % cpu,
            "-", watch.end(), "-"]


def mbsync(d, folder):
    conf = os.path.join(folder, "mbsyncrc")
    os.makedirs(os.path.join(folder, "here"))
    with open(conf, "w") as f:
        f.write("""IMAPStore there
Host localhost
Port %d
User user2@example.org
Pass pass2
SSLType IMAPS
CertificateFile %s/cert.pem
AuthMechs PLAIN

MaildirStore here
Path %s/here/
Inbox %s/here/INBOX

Channel all
Far :there:
Near :here:
Patterns INBOX
Create Near
Sync Pull
SyncState *
""" % (d.port["IMAPS"], d.dir, folder, folder))
    return peer("mbsync, IMAP, into Maildir", ["mbsync", "-q", "-c", conf, "all"], {})


def fetchmail(d, folder, protocol, sink):
    conf = os.path.join(folder, "fetchmailrc")
    with open(conf, "w") as f:
        f.write("""poll localhost protocol %s port %d user "user2@example.org"
  password pass2 ssl sslcertfile %s/cert.pem keep fetchall
  smtphost localhost/%d is nobody here
""" % (protocol, d.port[protocol + "S"], d.dir, sink))
    os.chmod(conf, 0o600)
    return peer("fetchmail, %s, to a sink that keeps nothing" % protocol,
                ["fetchmail", "-s", "-f", conf], {"FETCHMAILHOME": folder})


def firstrun():
    rows = []
    with Filled() as d:
        for protocol in ("imap", "pop3"):
            rows.append(pneu(d, protocol))
        rows.append(pneu(d, "imap", KILLS))
        with tempfile.TemporaryDirectory(prefix="peer-", dir="/var/tmp") as t:
            rows.append(mbsync(d, t))
            port, = free_ports(1)
            sink = subprocess.Popen([os.path.join(BUILD, "tests", "smtpsink"),
                                     "127.0.0.1:%d" % port])
            try:
                for protocol in ("IMAP", "POP3"):
                    rows.append(fetchmail(d, t, protocol, port))
            finally:
                sink.kill()
                sink.wait()
    table("The first look at an account of %d messages at Dovecot, by TLS" %
          MESSAGES, ["", "messages", "s", "messages/s", "CPU ms a message",
                     "of mailbox", "RSS MiB at most", "of mailbox"], rows)
