# SPDX-License-Identifier: ISC
"""pneu-gateway: very many accounts elsewhere in one process, which another
pneu-mailbox serves by IMAP over TLS (a process for each session, as Dovecot has
it, would not fit here): all waiting by IDLE, then all looked at in turns."""
import os
import re
import subprocess
import time

from measure import cpu_seconds, pss_kib, table, tree
from pneu import BUILD, System, certificate, until

ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "10000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
USERS = 100  # whose mailboxes the accounts share, but for the first 20
FEW = 10


def there():
    many = ACCOUNTS + 1000
    return System(domain="out.test", programs=("mailbox",),
                  accounts=["u%d" % i for i in range(1, USERS + 1)],
                  conf={"max_connections": many,
                        "mailbox": {"max_per_address": many}})


def here(t, n, idle):
    s = System(programs=("mailbox", "gateway"), accounts=("alice",),
               start=False, conf={
        "tls": {"ca": certificate()[0], "certificate": certificate()[0],
                "key": certificate()[1]},
        "gateway": {"interval": "1h" if idle else "%ds" % SECONDS,
                    "max_idle": n if idle else 0,
                    "max_fetches": 50, "max_per_host": 50}})
    s.setup_accounts()
    subprocess.run([os.path.join(BUILD, "tests", "outsides"), s.conf, str(n),
                    "localhost", str(t.port["imaps"]), str(USERS),
                    s.address("alice")], check=True)
    s.start("mailbox")
    return s


def sockets(pids):
    n = 0
    for pid in pids:
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                n += os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith(
                    "socket:")
            except FileNotFoundError:
                pass
    return n


def looked(s):
    time.sleep(0.25)  # its log is long
    return len(re.findall(r'fetched.* account=', s.log("gateway")))


def memory(pid):
    with open("/proc/%d/status" % pid) as f:
        text = f.read()
    return [int(re.search(r"^%s:\s+(\d+)" % n, text, re.M)[1])
            for n in ("VmRSS", "VmHWM")]


def started(s, n):
    """(pids, seconds until all were looked at, CPU seconds of that)"""
    began = time.monotonic()
    s.start("gateway")
    pids = tree(s.process["gateway"].pid)
    until(lambda: looked(s) >= n, "all looked at", 1800)
    return pids, time.monotonic() - began, cpu_seconds(pids)


def mailed(t, s, i):
    began = time.monotonic()
    text = "Subject: m%d-%d\r\n\r\nbody\r\n" % (i, time.time_ns())
    before = s.log("gateway").count("messages=1 ")
    with_lmtp(t, "u%d" % (1 + i), text)
    until(lambda: s.log("gateway").count("messages=1 ") > before,
          "mail is here", 60)
    return time.monotonic() - began


def with_lmtp(t, user, text):
    import smtplib
    with smtplib.LMTP("127.0.0.1", t.port["lmtp"]) as c:
        c.sendmail("a@else.test", [t.address(user)], text)


def quiet(pids):
    """CPU seconds of a while in which nothing happens but what always does."""
    time.sleep(5)
    cpu = cpu_seconds(pids)
    time.sleep(SECONDS)
    return cpu_seconds(pids) - cpu


def waiting(t):
    with here(t, FEW, True) as s:
        pids, _, _ = started(s, FEW)
        base = pss_kib(pids)
    with here(t, ACCOUNTS, True) as s:
        pids, took, cpu = started(s, ACCOUNTS)
        until(lambda: sockets(pids) >= ACCOUNTS, "all wait", 60)
        idle = quiet(pids)
        kib = pss_kib(pids)
        fds = sum(len(os.listdir("/proc/%d/fd" % p)) for p in pids)
        peak = max(memory(p)[1] for p in pids)
        each = sorted(mailed(t, s, i) for i in range(9))[4]
        s.stop("gateway")
        return ["all wait by IDLE", ACCOUNTS, "%.0f" % took, "%.1f" % cpu,
                fds, "%.1f" % (kib / 1024), "%.1f" % (peak / 1024),
                "%.1f" % ((kib - base) / (ACCOUNTS - FEW)),
                "%.2f" % (100 * idle / SECONDS), "%.0f" % (each * 1000)]


def polled(t):
    with here(t, ACCOUNTS, False) as s:
        pids, took, cpu = started(s, ACCOUNTS)
        before = looked(s)
        busy = quiet(pids)
        looks = looked(s) - before
        kib = pss_kib(pids)
        fds = sum(len(os.listdir("/proc/%d/fd" % p)) for p in pids)
        peak = max(memory(p)[1] for p in pids)
        return ["%d looks in %d s" % (looks, SECONDS + 5), ACCOUNTS,
                "%.0f" % took, "%.1f" % cpu, fds, "%.1f" % (kib / 1024),
                "%.1f" % (peak / 1024), "%.1f" % (kib / ACCOUNTS),
                "%.2f" % (100 * busy / SECONDS), "-"]


def crowd():
    with there() as t:
        rows = [waiting(t), polled(t)]
    table("pneu-gateway: %d accounts in one process, IMAP over TLS" % ACCOUNTS,
          ["", "accounts", "s until all were looked at", "CPU s of that",
           "descriptors", "PSS MiB", "RSS at most", "KiB each",
           "% of a core after", "mail here after, ms"], rows)
