#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make bench: speed and size, beside Debian's Postfix and Dovecot in the same
run. Prints tables; judges nothing.

usage: bench.py [inbound] [smtp] [trace] [memory] [idle] [bigbox] [compaction]
                [gateway] [api] [crowd] [firstrun]
       (default: all)
BENCH_MESSAGES (default 4000), BENCH_IDLE (default 2000 connections),
BENCH_ACCOUNTS (default 2000, of gateway; 10000, of crowd),
BENCH_API (default 100000 messages), BENCH_FIRST (default 100000 messages),
BENCH_BIGBOX (default 1000000 messages; see bigbox.py)
"""
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time

from bench_api import api
from bench_crowd import crowd
from bench_firstrun import firstrun
from bench_gateway import gateway
from bench_smtp import smtp, trace
from bigbox import bigbox
from measure import (MAILBOXES, Peer, cpu_seconds, pneu_pids, pss_kib, source,
                     table, tree, users)
from pneu import BUILD, PASSWORD, System, tls_context, until

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "4000"))
IDLE = int(os.environ.get("BENCH_IDLE", "2000"))


def system():
    return System(domain="example.org", accounts=users(), workers=0,
                  conf={"mta": {"max_per_address": 100000},
                        "log_level": "info"})


def inbound():
    each = MESSAGES // MAILBOXES
    rows = []
    with system() as s:
        source(s.port["smtp"], "example.org", 5)
        cpu = cpu_seconds(pneu_pids(s))
        took = source(s.port["smtp"], "example.org", each)
        cpu = cpu_seconds(pneu_pids(s)) - cpu
        loaded = pss_kib(pneu_pids(s))
        n = each * MAILBOXES
        # 250 means durable in the mailbox
        rows.append(["pneu", n, "%.2f" % took, "%.0f" % (n / took),
                     "%.2f" % (cpu * 1000 / n), "%.1f" % (loaded / 1024)])
        assert len(s.messages("user1")) == each + 5
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


def compaction():
    """The engine alone: what a delivery waits for while segments are
    rewritten."""
    program = os.path.join(BUILD, "bench-compaction")
    with tempfile.TemporaryDirectory(prefix="pneu-bench-") as d:
        out = subprocess.run([program, d + "/store"], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    table("Deliveries beside compaction, ms: 4 writers, 4 KiB and three rows, "
          "the three kinds in turns of 3 s",
          ["", "number", "median", "90 %", "99 %", "99.9 %", "most"],
          [line.split("\t") for line in out.splitlines() if "\t" in line])
    print("\n".join(line for line in out.splitlines() if "\t" not in line))


def main():
    tables = {"inbound": inbound, "smtp": smtp, "trace": trace,
              "memory": memory, "idle": idle, "bigbox": bigbox,
              "compaction": compaction, "gateway": gateway, "api": api,
              "crowd": crowd, "firstrun": firstrun}
    wanted = sys.argv[1:] or list(tables)
    with open("/proc/cpuinfo") as f:
        cpu = next((l.split(":")[1].strip() for l in f
                    if l.startswith("model name")), "?")
    print("%s, %d CPUs, %s" % (cpu, os.cpu_count(), platform.platform()))
    for name in wanted:
        tables[name]()


main()
