# SPDX-License-Identifier: ISC
"""The long form of the exactly-once tests of the gateway (tests/torture)."""
import json
import os
import random
import sys
import time

from pneu import System, certificate, until
from pop3server import Pop3Server
from test_gateway_imap import Server

MESSAGES, ACCOUNTS = 1000, 5


def message(chance, i):
    return b"Subject: t%d\r\n\r\n%s\r\n" % (
        i, b"x" * chance.choice((10, 3000, 70000, 300000)))


def state(s, address):
    return json.loads(s.pneu("outside", "show", "--json", address))


def one(seed):
    chance = random.Random(seed)
    want = [message(chance, i) for i in range(MESSAGES)]
    servers = []
    for k in range(ACCOUNTS):
        part = want[k::ACCOUNTS]
        servers.append(Pop3Server(part) if k % 2 else Server(
            {"INBOX": (1, {i + 1: (m, "") for i, m in enumerate(part)})}))
    s = System(programs=("mailbox", "gateway"), accounts=("alice",),
               conf={"tls": {"ca": certificate()[0]},
                     "gateway": {"interval": "1h", "retry_first": "100ms",
                                 "retry_max": "300ms"}})
    kills = 0
    try:
        names = ["a%d@out.test" % k for k in range(ACCOUNTS)]
        for k, server in enumerate(servers):
            s.pneu("outside", "add", "--protocol", "pop3" if k % 2 else "imap",
                   "--host", "127.0.0.1", "--port", str(server.port),
                   "--security", "none", "--user", "u", names[k],
                   "alice@example.test", input="p\n")
        while not all(state(s, n)["state"] == "ok" and
                      state(s, n)["messages"] for n in names):
            time.sleep(chance.random() * 1.5)
            program = chance.choice(("mailbox", "gateway"))
            s.kill(program)
            s.start(program)
            kills += 1
            if kills % 20 == 0:  # now and then it may get on
                time.sleep(5)
        until(lambda: all(state(s, n)["state"] == "ok" for n in names), "end",
              600)
        for name in names:
            s.pneu("outside", "fetch", name)
        got = s.messages("alice")
        assert sorted(got) == sorted(want), (len(got), len(want))
        assert "no faults" in s.pneu("mail", "check")
    finally:
        for server in servers:
            server.close()
        s.close()
    return kills


def main():
    end = time.monotonic() + float(os.environ.get("TORTURE_SECONDS", "60"))
    seed = int(os.environ.get("TORTURE_SEED", random.randrange(1 << 30)))
    while True:
        began = time.monotonic()
        kills = one(seed)
        print("gateway: seed %d: %d messages, %d kills, each once, %.0f s" % (
            seed, MESSAGES, kills, time.monotonic() - began))
        seed += 1
        if time.monotonic() > end:
            return 0


if __name__ == "__main__":
    sys.exit(main())
