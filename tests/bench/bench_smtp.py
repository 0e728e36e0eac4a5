# SPDX-License-Identifier: ISC
"""The front door alone: mta with guard, and Postfix, each handing its mail by
LMTP to the same null sink (build/tests/smtpsink)."""
import contextlib
import os
import resource
import socket
import statistics
import subprocess
import time

from measure import (MAILBOXES, Peer, cpu_seconds, pneu_pids, pss_kib, source,
                     table, tree, users)
from pneu import BUILD, System, listening_socket, until

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "4000"))
CONNECTIONS = int(os.environ.get("BENCH_IDLE", "2000"))
# What is sent, octets, a connection for each message or kept, what part of
# MESSAGES.
LOADS = (
    ("4 KiB, a session each", 4 << 10, False, 1),
    ("4 KiB", 4 << 10, True, 1),
    ("100 KiB", 100 << 10, True, 4),
    ("10 MiB", 10 << 20, True, 100),
)


@contextlib.contextmanager
def sink():
    with listening_socket() as s:
        port = s.getsockname()[1]
    p = subprocess.Popen([os.path.join(BUILD, "tests", "smtpsink"), "-l",
                          "127.0.0.1:%d" % port], stdout=subprocess.DEVNULL)
    try:
        until(lambda: answers(port), "the sink")
        yield port
    finally:
        p.terminate()
        p.wait()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    except ConnectionRefusedError:
        return False


def door(port, **more):
    return System(domain="example.org", accounts=users(), workers=0,
                  programs=("guard", "mta"),
                  conf={**more, "mta": {"max_per_address": 100000,
                                "mailbox": "127.0.0.1:%d" % port}})


def measured(pids, port, load, finished):
    """[messages/s, CPU s/1000] of one load; the clock stops when all of it is
    at the sink."""
    _, size, keep, part = load
    each = max(1, MESSAGES // part // MAILBOXES)
    cpu, began = cpu_seconds(pids()), time.monotonic()
    source(port, "example.org", each, size, keep)
    finished()
    took, n = time.monotonic() - began, each * MAILBOXES
    return [n / took, (cpu_seconds(pids()) - cpu) * 1000 / n]


def throughput(ours, theirs):
    rows = []
    for load, a, b in zip(LOADS, ours, theirs):
        rows.append([load[0], "%.0f" % a[0], "%.0f" % b[0],
                     "%.1f" % (a[0] / b[0]), "%.2f" % a[1], "%.2f" % b[1],
                     "%.2f" % (a[1] / b[1])])
    table("SMTP into a null LMTP sink: smtp-source, 20 connections",
          ["load", "pneu/s", "Postfix/s", "ratio", "pneu CPU s/1000",
           "Postfix CPU", "ratio"], rows)


def trace():
    """The front door with and without the trace, in turns."""
    load, rounds = ("4 KiB", 4 << 10, True, 1), 5
    got = {"8M": [], "0": []}
    with sink() as to:
        doors = {size: door(to, trace={"size": size}) for size in got}
        try:
            for s in doors.values():
                source(s.port["smtp"], "example.org", 50, keep=True)
            for _ in range(rounds):
                for size, s in doors.items():
                    got[size].append(measured(
                        lambda: pneu_pids(s), s.port["smtp"], load,
                        lambda: None))
        finally:
            for s in doors.values():
                s.close()
    table("The trace: 4 KiB into a null LMTP sink, the median of %d" % rounds,
          ["trace.size", "messages/s", "CPU s/1000"],
          [[size, "%.0f" % statistics.median(r[0] for r in rows),
            "%.3f" % statistics.median(r[1] for r in rows)]
           for size, rows in got.items()])


def greeted(port):
    c = socket.create_connection(("127.0.0.1", port))
    f = c.makefile("rwb", buffering=0)
    f.readline()
    f.write(b"EHLO bench.test\r\n")
    while not f.readline().startswith(b"250 "):
        pass
    f.close()
    return c


def each_kib(pids, port, n):
    """Growth of PSS for each of n connections that have said EHLO."""
    keep = [greeted(port) for _ in range(5)]
    before = pss_kib(pids())
    keep += [greeted(port) for _ in range(n)]
    grown = pss_kib(pids()) - before
    for c in keep:
        c.close()
    return "%.1f" % (grown / n)


def smtp():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    memory = []
    with sink() as to:
        with door(to) as s:
            pids, port = lambda: pneu_pids(s), s.port["smtp"]
            source(port, "example.org", 5)
            ours = [measured(pids, port, l, lambda: None) for l in LOADS]
            memory.append(["pneu-mta", CONNECTIONS, each_kib(
                lambda: tree(s.process["mta"].pid), port, CONNECTIONS)])
        with Peer(sink=to) as p:
            def empty():
                until(lambda: p.queued() == 0, "the peer's queue", 600)
            source(10025, "example.org", 5)
            empty()
            theirs = [measured(p.pids, 10025, l, empty) for l in LOADS]
            memory.append(["Postfix", 90, each_kib(p.pids, 10025, 90)])
    throughput(ours, theirs)
    table("SMTP connections after EHLO: growth of PSS",
          ["server", "number", "KiB each"], memory)
