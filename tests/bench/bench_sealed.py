#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What sealing costs end to end: LMTP in, IMAP out, CPU of the mailbox daemon.

usage: bench_sealed.py [MESSAGES]"""
import socket
import sys
import threading

from measure import cpu_seconds, table, tree
from imapraw import Imap
from pneu import PASSWORD, System

WRITERS = 10
AGAIN = 10  # the clock of CPU counts in 10 ms
BODY = ("Subject: capsule\r\nFrom: Alice <alice@else.test>\r\n"
        "To: bob@example.test\r\nMessage-ID: <%d.%d@else.test>\r\n"
        "Date: Fri, 20 Nov 2026 22:00:00 +0000\r\n\r\n")


def message(w, i):
    text = BODY % (w, i)
    line = "The quick brown fox %d of %d jumps over the lazy dog.\r\n" % (i, w)
    return (text + line * ((4096 - len(text)) // len(line))).encode()


def deliver(port, user, w, n):
    with socket.create_connection(("127.0.0.1", port)) as s:
        f = s.makefile("rb")

        def say(text, code):
            s.sendall(text)
            line = f.readline()
            while line[3:4] == b"-":
                line = f.readline()
            assert line.startswith(code), line

        say(b"", b"220")
        say(b"LHLO x\r\n", b"250")
        for i in range(n):
            say(b"MAIL FROM:<x@else.test>\r\n", b"250")
            say(b"RCPT TO:<%s@example.test>\r\n" % user.encode(), b"250")
            say(b"DATA\r\n", b"354")
            say(message(w, i) + b".\r\n", b"250")


def measured(s, n, fn):
    pids = tree(s.process["mailbox"].pid)
    cpu = cpu_seconds(pids)
    fn()
    return (cpu_seconds(pids) - cpu) * 1e6 / n


def run(mode, n):
    with System(programs=("guard", "mailbox"),
                conf={"mailbox": {"encryption": mode}}) as s:
        def incoming():
            threads = [threading.Thread(target=deliver, args=(
                s.port["lmtp"], "alice", w, n // WRITERS))
                for w in range(WRITERS)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()

        row = [mode, "%.0f" % measured(s, n, incoming)]
        c = Imap(s.port["imaps"], tls=True)
        c.ok("LOGIN alice@example.test %s" % PASSWORD)
        c.ok("SELECT INBOX")
        for times, what in ((1, "ENVELOPE"), (AGAIN, "ENVELOPE"),
                            (AGAIN, "BODY.PEEK[]")):
            row.append("%.1f" % measured(s, n * times, lambda: [
                c.ok("FETCH 1:* %s" % what) for _ in range(times)]))
        c.close()
        return row


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    table("CPU us of mailbox, for a message of 4 KiB",
          ["mode", "LMTP", "ENVELOPE", "again", "BODY[], again"],
          [run(mode, n) for mode in ("none", "server", "account")])


if __name__ == "__main__":
    main()
