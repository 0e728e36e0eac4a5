# SPDX-License-Identifier: ISC
"""pneu-gateway: many accounts at one Dovecot, looked at each minute, and
waiting by IDLE: its memory, its CPU, and how soon mail is here."""
import json
import os
import smtplib
import subprocess
import tempfile
import time

from measure import cpu_seconds, pss_kib, table, tree
from pneu import System, certificate, free_ports, until

ACCOUNTS = int(os.environ.get("BENCH_ACCOUNTS", "2000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
IDLE = 200
PEERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers")
LIMITS = """
default_process_limit = %d
default_client_limit = 20000
service imap-login {
  service_count = 0
  process_min_avail = 2
  client_limit = 10000
}
mail_max_userip_connections = 0
"""


class Dovecot:
    format = "mdbox"

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="dovecot-", dir="/var/tmp")
        os.chmod(self.dir, 0o755)
        names = ("IMAP", "IMAPS", "POP3", "POP3S", "LMTP")
        self.port = dict(zip(names, free_ports(len(names))))
        extra = os.path.join(self.dir, "extra.conf")
        with open(extra, "w") as f:
            f.write(LIMITS % (ACCOUNTS + 1000))
        self.env = dict(os.environ, USERS=str(ACCOUNTS), MAIL_FORMAT=self.format,
                        DOVECOT_EXTRA=extra, **{
                            n + "_PORT": str(p) for n, p in self.port.items()})
        self.run("start")

    def run(self, command):
        subprocess.run([os.path.join(PEERS, "dovecot.sh"), command, self.dir],
                       env=self.env, check=True, stdout=subprocess.DEVNULL)

    def deliver(self, user, text):
        with smtplib.LMTP("127.0.0.1", self.port["LMTP"]) as c:
            c.sendmail("a@else.test", ["user%d@example.org" % user],
                       "Subject: %s\r\n\r\nbody\r\n" % text)

    def close(self):
        subprocess.call([os.path.join(PEERS, "dovecot.sh"), "stop", self.dir],
                        env=self.env, stdout=subprocess.DEVNULL)
        subprocess.call(["rm", "-rf", self.dir])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def add(s, d, i):
    return subprocess.Popen(
        [os.path.join(os.environ.get("PNEU_BUILD", "build"), "pneu"), "-c",
         s.conf, "outside", "add", "--protocol", "imap", "--host", "localhost",
         "--port", str(d.port["IMAP"]), "--security", "starttls", "--user",
         "user%d@example.org" % i, "user%d@out.test" % i, s.address("alice")],
        stdin=subprocess.PIPE, text=True)


def system(d, n, idle):
    s = System(programs=("mailbox", "gateway"), accounts=("alice",), conf={
        "tls": {"ca": os.path.join(d.dir, "cert.pem")},
        "gateway": {"interval": "%ds" % SECONDS, "max_idle": n if idle else 0,
                    "max_fetches": 50, "max_per_host": 50}})
    for i in range(1, n + 1, 4):
        batch = [(k, add(s, d, k)) for k in range(i, min(i + 4, n + 1))]
        for k, p in batch:
            p.communicate("pass%d\n" % k)
            assert p.returncode == 0
    return s


def states(s):
    return json.loads(s.pneu("outside", "list", "--json"))


def all_good(s):
    return all(a["state"] == "ok" for a in states(s))


def mailed(s, d, user, text):
    """Seconds from there to here."""
    began = time.monotonic()
    d.deliver(user, text)
    s.wait_message("alice", ("Subject: " + text).encode())
    return time.monotonic() - began


def measured(s, idle):
    pid = tree(s.process["gateway"].pid)
    cpu, looked = cpu_seconds(pid), time.time()
    time.sleep(SECONDS)
    cpu = cpu_seconds(pid) - cpu
    looks = sum(a["looked"] is not None and
                stamp(a["looked"]) >= looked for a in states(s))
    return pss_kib(pid), cpu, looks


def stamp(text):
    return time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - \
        time.timezone if isinstance(text, str) else text


def gateway():
    rows = []
    with Dovecot() as d:
        for n, idle in ((ACCOUNTS, False), (min(IDLE, ACCOUNTS), True)):
            with system(d, n, idle) as s:
                until(lambda: all_good(s), "all looked at", 600)
                kib, cpu, looks = measured(s, idle)
                took = sorted(mailed(s, d, i + 1, "m%d" % i)
                              for i in range(9))[4] if idle else None
                rows.append([
                    "by IDLE" if idle else "looked at each %d s" % SECONDS, n,
                    looks, "%.1f" % (kib / 1024), "%.1f" % (kib / n),
                    "%.2f" % (100 * cpu / SECONDS),
                    "-" if idle or not looks else "%.2f" %
                    (1000 * cpu / looks),
                    "-" if took is None else "%.0f" % (took * 1000)])
    table("pneu-gateway: accounts at one Dovecot, STARTTLS, for %d s" % SECONDS,
          ["accounts", "number", "looks", "PSS MiB", "KiB each",
           "% of a core", "CPU ms a look", "mail here after, ms"], rows)
