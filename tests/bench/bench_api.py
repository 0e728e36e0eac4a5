# SPDX-License-Identifier: ISC
"""A page of 50 messages by the HTTP API, again and again on one connection,
the way a program polls; of a small mailbox and of a large one."""
import http.client
import json
import os
import subprocess
import time

from measure import cpu_seconds, table, tree
from pneu import BUILD, PASSWORD, System

LARGE = int(os.environ.get("BENCH_API", "100000"))
SMALL = 1000
REQUESTS = 1000
TOOL = os.path.join(BUILD, "tests", "bigbox")


class Client:
    def __init__(self, system, user):
        self.http = http.client.HTTPConnection("127.0.0.1",
                                               system.port["http"])
        self.token = None
        self.token = json.loads(self.call("POST", "/session", json.dumps(
            {"address": user, "password": PASSWORD})))["token"]
        boxes = json.loads(self.call("GET", "/mailboxes"))["mailboxes"]
        self.box = [b["id"] for b in boxes if b["name"] == "INBOX"][0]

    def call(self, method, path, body=None):
        head = {"Content-Type": "application/json"} if body else {}
        if self.token:
            head["Authorization"] = "Bearer " + self.token
        self.http.request(method, "/api/v1" + path, body, head)
        r = self.http.getresponse()
        got = r.read()
        assert r.status in (200, 201), (path, r.status, got[:200])
        return got

    def page(self):
        return self.call("GET", "/mailboxes/%s/messages?limit=50" % self.box)


def measured(system, user):
    c = Client(system, user)
    pids = tree(system.process["mailbox"].pid)
    began = time.monotonic()
    octets = len(c.page())
    first = time.monotonic() - began
    took = []
    cpu = cpu_seconds(pids)
    for _ in range(REQUESTS):
        began = time.monotonic()
        c.page()
        took.append(time.monotonic() - began)
    cpu = cpu_seconds(pids) - cpu
    took.sort()
    return ["%.1f" % (first * 1e3), "%.2f" % (took[REQUESTS // 2] * 1e3),
            "%.2f" % (took[REQUESTS * 99 // 100] * 1e3),
            "%.2f" % (cpu * 1e3 / REQUESTS), octets]


def api():
    users = ("user1", "user2")
    with System(domain="example.org", accounts=users, workers=1,
                programs=("mailbox",), start=False,
                conf={"mailbox": {"http": "127.0.0.1:1", "http_rate": 0,
                                  "plaintext_login": True}}) as s:
        store = os.path.join(s.dir, "data", "mails")
        os.makedirs(os.path.dirname(store), exist_ok=True)
        sizes = (SMALL, LARGE)
        for user, n in zip(users, sizes):
            subprocess.run([TOOL, "pneu", store, user + "@example.org", "0",
                            str(n), "2048"], check=True,
                           stdout=subprocess.DEVNULL)
        s.setup_accounts()
        s.start("mailbox")
        rows = [["{:,}".format(n)] + measured(s, user + "@example.org")
                for user, n in zip(users, sizes)]
    table("A page of 50 messages by the API, %d times" % REQUESTS,
          ["messages in the mailbox", "the first, ms", "median", "99 %",
           "CPU of the daemon, ms", "octets"], rows)
