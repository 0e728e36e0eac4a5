#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make bench: speed and size, beside Debian's Postfix and Dovecot in the same
run. Prints tables; judges nothing.

usage: bench.py [inbound] [memory] [idle]        (default: all)
BENCH_MESSAGES (default 4000), BENCH_IDLE (default 2000 connections)
"""
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from pneu import PASSWORD, System, children, tls_context, until  # noqa: E402

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "4000"))
IDLE = int(os.environ.get("BENCH_IDLE", "2000"))
MAILBOXES = 20
PEERS = os.path.join(HERE, "..", "peers")
TICK = os.sysconf("SC_CLK_TCK")


def table(title, head, rows):
    print("\n" + title)
    rows = [head] + [[str(c) for c in r] for r in rows]
    width = [max(len(r[i]) for r in rows) for i in range(len(head))]
    for n, r in enumerate(rows):
        print("  " + "  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                               for i, (c, w) in enumerate(zip(r, width))))
        if n == 0:
            print("  " + "  ".join("-" * w for w in width))
    sys.stdout.flush()


def tree(pid):
    pids = [pid]
    for c in children(pid):
        pids += tree(c)
    return pids


def pss_kib(pids):
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/smaps_rollup" % pid) as f:
                total += next(int(l.split()[1]) for l in f
                              if l.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            pass
    return total


def cpu_seconds(pids):
    total = 0.0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += sum(int(x) for x in fields[11:15]) / TICK
        except (FileNotFoundError, ProcessLookupError):
            pass
    return total


def source(port, domain, each, size=4096, names=None):
    """20 connections, one per mailbox; seconds until all had their 250."""
    began = time.monotonic()
    ps = [subprocess.Popen(["smtp-source", "-s", "1", "-m", str(each), "-l",
                            str(size), "-f", "s@else.test", "-t",
                            "user%d@%s" % (i + 1, domain), "-M", "bench.test",
                            "127.0.0.1:%d" % port])
          for i in range(MAILBOXES)]
    for p in ps:
        if p.wait() != 0:
            raise SystemExit("smtp-source failed")
    return time.monotonic() - began


class Peer:
    """Debian's Postfix delivering by LMTP to Debian's Dovecot."""

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="peer-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.sh("dovecot.sh", "start", self.dir + "/dovecot")
        self.sh("postfix.sh", "start", self.dir + "/postfix",
                self.dir + "/dovecot")
        return self

    def sh(self, script, *args):
        # The daemons keep these descriptors: a pipe would never end.
        with open(os.path.join(self.dir, "start.log"), "a+") as log:
            rc = subprocess.call(["bash", os.path.join(PEERS, script), *args],
                                 stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log,
                                 env=dict(os.environ, USERS=str(MAILBOXES)))
            log.seek(0)
            if rc != 0:
                raise SystemExit("%s: %s" % (script, log.read()))

    def pids(self):
        found = []
        for name, path in (("postfix", "spool/pid/master.pid"),
                           ("dovecot", "run/master.pid")):
            with open(os.path.join(self.dir, name, path)) as f:
                found += tree(int(f.read()))
        return found

    def count(self):
        n = 0
        for _, _, files in os.walk(self.dir + "/dovecot/mail"):
            n += sum(f.startswith("u.") for f in files)
        return n

    def __exit__(self, *exc):
        self.sh("postfix.sh", "stop", self.dir + "/postfix")
        self.sh("dovecot.sh", "stop", self.dir + "/dovecot")
        subprocess.run(["rm", "-rf", self.dir])


def users():
    return tuple("user%d" % (i + 1) for i in range(MAILBOXES))


def system():
    return System(domain="example.org", accounts=users(), workers=0,
                  conf={"mta": {"max_per_address": 100000},
                        "log_level": "info"})


def pneu_pids(s):
    return [p for proc in s.process.values() for p in tree(proc.pid)]


def inbound():
    each = MESSAGES // MAILBOXES
    rows = []
    with system() as s:
        source(s.port["smtp"], "example.org", 5)
        before, done = pneu_pids(s), None
        cpu = cpu_seconds(before)
        peak = pss_kib(before)
        took = source(s.port["smtp"], "example.org", each)
        cpu = cpu_seconds(pneu_pids(s)) - cpu
        loaded = pss_kib(pneu_pids(s))
        n = each * MAILBOXES
        done = took  # 250 means durable in the mailbox
        rows.append(["pneu", n, "%.2f" % done, "%.0f" % (n / done),
                     "%.2f" % (cpu * 1000 / n), "%.1f" % (loaded / 1024)])
        assert len(s.messages("user1")) == each + 5
        del peak
    with Peer() as p:
        source(10025, "example.org", 5)
        until(lambda: p.count() >= 5 * MAILBOXES, "warm-up of the peer")
        start = p.count()
        # Short-lived Postfix processes end before they could be asked: what
        # their parents have waited for counts too (cutime, cstime).
        cpu = cpu_seconds(p.pids())
        began = time.monotonic()
        source(10025, "example.org", each)
        until(lambda: p.count() - start >= each * MAILBOXES,
              "the peer's deliveries", 600)
        took = time.monotonic() - began
        cpu = cpu_seconds(p.pids()) - cpu
        n = each * MAILBOXES
        rows.append(["Postfix + Dovecot", n, "%.2f" % took, "%.0f" % (n / took),
                     "%.2f" % (cpu * 1000 / n),
                     "%.1f" % (pss_kib(p.pids()) / 1024)])
    rows.append(["ratio", "", "", "%.1f" % (float(rows[0][3]) / float(rows[1][3])),
                 "%.3f" % (float(rows[0][4]) / float(rows[1][4])), ""])
    table("Inbound: smtp-source, 20 connections, 4 KiB, 20 mailboxes, until "
          "durable in the mailbox",
          ["system", "messages", "s", "messages/s", "CPU s/1000", "PSS MiB"],
          rows)


def memory():
    with system() as s:
        idle = {name: pss_kib(tree(p.pid)) for name, p in s.process.items()}
    rows = [[n, "%.1f" % (k / 1024)] for n, k in idle.items()]
    rows.append(["whole set", "%.1f" % (sum(idle.values()) / 1024)])
    with Peer() as p:
        rows.append(["Postfix + Dovecot", "%.1f" % (pss_kib(p.pids()) / 1024)])
    table("Idle: PSS of all daemons, workers = CPUs (%d)" % os.cpu_count(),
          ["program", "PSS MiB"], rows)


def idle_client(port, tls, user):
    c = socket.create_connection(("127.0.0.1", port))
    if tls:
        c = tls_context().wrap_socket(c)
    f = c.makefile("rwb", buffering=0)
    f.readline()
    f.write(b"a LOGIN %s %s\r\n" % (user.encode(), PASSWORD.encode()))
    while not f.readline().startswith(b"a "):
        pass
    f.write(b"b SELECT INBOX\r\n")
    while not f.readline().startswith(b"b "):
        pass
    f.write(b"c IDLE\r\n")
    if not f.readline().startswith(b"+"):
        raise SystemExit("no IDLE")
    return c, f


def idle():
    import resource
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rows = []
    for tls in (False, True):
        with System(domain="example.org", accounts=users(), workers=1,
                    programs=("guard", "mailbox"),
                    conf={"mailbox": {"plaintext_login": True}}) as s:
            pid = s.process["mailbox"].pid
            port = s.port["imaps" if tls else "imap"]
            keep = [idle_client(port, tls, "user1@example.org")
                    for _ in range(50)]
            before = pss_kib(tree(pid))
            keep += [idle_client(port, tls, "user%d@example.org"
                                 % (i % MAILBOXES + 1)) for i in range(IDLE)]
            after = pss_kib(tree(pid))
            rows.append(["IMAP IDLE, " + ("TLS" if tls else "no TLS"), IDLE,
                         "%.1f" % ((after - before) / IDLE)])
            for c, f in keep:
                f.close()
                c.close()
    table("Idle connections: growth of mailbox's PSS",
          ["connection", "number", "KiB each"], rows)


def main():
    wanted = sys.argv[1:] or ["inbound", "memory", "idle"]
    with open("/proc/cpuinfo") as f:
        cpu = next((l.split(":")[1].strip() for l in f
                    if l.startswith("model name")), "?")
    print("%s, %d CPUs, %s" % (cpu, os.cpu_count(), platform.platform()))
    for name in wanted:
        {"inbound": inbound, "memory": memory, "idle": idle}[name]()


main()
