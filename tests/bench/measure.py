# SPDX-License-Identifier: ISC
"""What all benchmarks use: tables, processes, the load, the peer."""
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from pneu import children  # noqa: E402

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


def source(port, domain, each, size=4096, keep=False):
    """20 connections, one per mailbox; a new one for each message unless they
    are kept. Seconds until all had their 250."""
    began = time.monotonic()
    ps = [subprocess.Popen(["smtp-source", *(["-d"] if keep else []), "-s", "1",
                            "-m", str(each), "-l", str(size), "-f",
                            "s@else.test", "-t", "user%d@%s" % (i + 1, domain),
                            "-M", "bench.test", "127.0.0.1:%d" % port])
          for i in range(MAILBOXES)]
    for p in ps:
        if p.wait() != 0:
            raise SystemExit("smtp-source failed")
    return time.monotonic() - began


def users():
    return tuple("user%d" % (i + 1) for i in range(MAILBOXES))


def pneu_pids(s):
    return [p for proc in s.process.values() for p in tree(proc.pid)]


class Peer:
    """Debian's Postfix delivering by LMTP to Debian's Dovecot, or to what
    listens at the port `sink`."""

    def __init__(self, sink=None):
        self.sink = sink

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="peer-", dir="/tmp")
        os.chmod(self.dir, 0o755)
        if self.sink is None:
            self.sh("dovecot.sh", "start", self.dir + "/dovecot")
        else:
            os.mkdir(self.dir + "/dovecot")
            with open(self.dir + "/dovecot/passwd", "w") as f:
                f.writelines(u + "@example.org:\n" for u in users())
        self.sh("postfix.sh", "start", self.dir + "/postfix",
                self.dir + "/dovecot")
        return self

    def sh(self, script, *args):
        # The daemons keep these descriptors: a pipe would never end.
        with open(os.path.join(self.dir, "start.log"), "a+") as log:
            rc = subprocess.call(["bash", os.path.join(PEERS, script), *args],
                                 stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=log, env=self.environment())
            log.seek(0)
            if rc != 0:
                raise SystemExit("%s: %s" % (script, log.read()))

    def environment(self):
        e = dict(os.environ, USERS=str(MAILBOXES))
        if self.sink is not None:
            e["LMTP_PORT"] = str(self.sink)
        return e

    def pids(self):
        found = []
        for name, path in (("postfix", "spool/pid/master.pid"),
                           ("dovecot", "run/master.pid")):
            if name == "dovecot" and self.sink is not None:
                continue
            with open(os.path.join(self.dir, name, path)) as f:
                found += tree(int(f.read()))
        return found

    def queued(self):
        """Messages in Postfix's queue."""
        n = 0
        for queue in ("incoming", "active", "deferred"):
            for _, _, files in os.walk(
                    os.path.join(self.dir, "postfix/spool", queue)):
                n += len(files)
        return n

    def count(self):
        """Messages in Dovecot's mailboxes."""
        n = 0
        for _, _, files in os.walk(self.dir + "/dovecot/mail"):
            n += sum(f.startswith("u.") for f in files)
        return n

    def __exit__(self, *exc):
        self.sh("postfix.sh", "stop", self.dir + "/postfix")
        if self.sink is None:
            self.sh("dovecot.sh", "stop", self.dir + "/dovecot")
        subprocess.run(["rm", "-rf", self.dir])
