# SPDX-License-Identifier: ISC
"""The unit files of contrib/systemd: systemd finds nothing wrong with them, they
leave little open; and all programs work together as the users, with the groups,
sockets and folders that the units, sysusers and tmpfiles give them. systemd itself
cannot run here: sockets and folders are made as it would, each program is started
as its unit says by setpriv, and can write where its unit lets it and nowhere else."""
import collections
import configparser
import contextlib
import glob
import http.client
import json
import os
import shutil
import signal
import smtplib
import socket
import subprocess
import tempfile
import unittest

from pneu import BUILD, PASSWORD, PATIENCE, TOP, certificate, until
from pop3server import Pop3Server

UNITS = os.path.join(TOP, "contrib", "systemd")
EXPOSURE = 20  # tenths, of 100: systemd-analyze security


def units(kind):
    """{name: {section: {key: value}}}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(UNITS, "*." + kind))):
        c = configparser.ConfigParser(interpolation=None, strict=False)
        c.optionxform = str
        c.read(path)
        found[os.path.basename(path)] = c
    return found


@unittest.skipUnless(shutil.which("systemd-analyze"), "needs systemd")
class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="pneu-units-")
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        for path in glob.glob(os.path.join(UNITS, "pneu*.*")):
            with open(path) as f, open(os.path.join(
                    cls.dir, os.path.basename(path)), "w") as out:
                out.write(f.read().replace("@SBINDIR@", BUILD))
        cls.names = sorted(os.listdir(cls.dir))

    def analyze(self, *args):
        r = subprocess.run(
            ["systemd-analyze", *args], cwd=self.dir, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "SYSTEMD_UNIT_PATH": self.dir + ":"})
        return r.returncode, r.stdout

    def test_nothing_is_wrong(self):
        rc, said = self.analyze("verify", "--man=no",
                                *("./" + n for n in self.names))
        # Units of the machine are none of ours.
        said = [line for line in said.splitlines() if "pneu" in line]
        self.assertEqual((rc, said), (0, []))

    def test_little_is_open(self):
        for name in self.names:
            if name.endswith(".service"):
                rc, said = self.analyze("security", "--offline=true",
                                        "--threshold=%d" % EXPOSURE, "./" + name)
                self.assertEqual(rc, 0, said)
                self.assertIn("Overall exposure", said)

    def test_each_program_has_all(self):
        services = units("service")
        for name, unit in services.items():
            self.assertEqual(unit["Service"]["User"],
                             unit["Service"]["Group"], name)
        for name, unit in units("socket").items():
            self.assertIn(unit["Socket"]["Service"], services, name)
        wanted = units("target")["pneu.target"]["Unit"]["Wants"].split()
        # The page is started by who comes to it.
        self.assertEqual(set(wanted) | {"pneu-http.service"}, set(services))


class Root:
    """A folder that is the machine's: /etc, /run and /var as sysusers.d and
    tmpfiles.d make them, and the programs of the units."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-root-")
        os.chmod(self.dir, 0o755)
        self.process, self.port = {}, {}
        os.makedirs(self.path("/etc"))
        for name in ("passwd", "group"):
            shutil.copy("/etc/" + name, self.path("/etc"))
        for tool, args in (("sysusers", []), ("tmpfiles", ["--create"])):
            where = self.path("/usr/lib/%s.d" % tool)
            os.makedirs(where)
            shutil.copy(os.path.join(UNITS, tool + ".conf"), where)
            subprocess.run(["systemd-" + tool, "--root=" + self.dir, *args],
                           check=True, capture_output=True)
        self.users = self.ids("passwd")
        self.groups = self.ids("group")
        # The tests' own folder may be closed to these users.
        os.makedirs(self.path("/sbin"))
        for program in glob.glob(os.path.join(BUILD, "pneu*")):
            if os.path.isfile(program):
                shutil.copy(program, self.path("/sbin"))

    def path(self, p):
        return self.dir + p

    def ids(self, name):
        with open(self.path("/etc/" + name)) as f:
            return {line.split(":")[0]: int(line.split(":")[2]) for line in f}

    def configure(self, conf):
        for src, name, mode in zip(certificate(), ("cert", "key"),
                                   (0o644, 0o640)):
            to = self.path("/etc/%s.pem" % name)
            shutil.copy(src, to)
            os.chown(to, 0, self.groups["ssl-cert"])
            os.chmod(to, mode)
        with open(self.path("/etc/pneu.conf"), "w") as f:
            json.dump({"hostname": "mx.example.test",
                       "data_dir": self.path("/var/lib/pneu"),
                       "run_dir": self.path("/run/pneu"),
                       "user": "",
                       "tls": {"certificate": self.path("/etc/cert.pem"),
                               "key": self.path("/etc/key.pem"),
                               "ca": self.path("/etc/cert.pem")}, **conf}, f)

    def pneu(self, *args, input=""):
        """As root, as an admin does it."""
        return subprocess.run(
            [self.path("/sbin/pneu"), "-c", self.path("/etc/pneu.conf"), *args],
            input=input, text=True, check=True, capture_output=True).stdout

    def open_socket(self, unit):
        where = unit["ListenStream"]
        if where.startswith("/"):
            s = socket.socket(socket.AF_UNIX)
            s.bind(self.path(where))
            os.chown(self.path(where), self.users.get(unit["SocketUser"], 0),
                     self.groups[unit["SocketGroup"]])
            os.chmod(self.path(where), int(unit["SocketMode"], 8))
        else:
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            self.port[int(where.split(":")[-1])] = s.getsockname()[1]
        s.listen(64)
        return s

    def start(self, name, unit, sockets):
        """sockets: [(name, socket)]"""
        service = unit["Service"]
        uid, gid = self.users[service["User"]], self.groups[service["Group"]]
        writable = [self.path(p) for p in service["ReadWritePaths"].split()]
        for p in service.get("StateDirectory", "").split():
            writable.append(self.path("/var/lib/" + p))
            os.makedirs(writable[-1], mode=int(service["StateDirectoryMode"], 8))
            os.chown(writable[-1], uid, gid)
        # Of ProtectSystem=strict, as much as is ours to try.
        binds = "".join("mount --bind %s %s; " % (p, p)
                        for p in [self.dir] + writable)
        script = ("set -e; %s mount -o remount,bind,ro %s; umask %s; "
                  "mount --bind %s /etc/passwd; mount --bind %s /etc/group; "
                  "export LISTEN_PID=$$; exec setpriv --reuid %d --regid %d "
                  "--groups %s --no-new-privs --bounding-set=-all "
                  "--inh-caps=-all \"$@\"") % (
            # The folder first, so that the others stand above it.
            binds, self.dir, service["UMask"], self.path("/etc/passwd"),
            self.path("/etc/group"), uid, gid, ",".join(
                str(self.groups[g])
                for g in service["SupplementaryGroups"].split()))
        command = service["ExecStart"].replace(
            "@SBINDIR@", self.path("/sbin")).replace(
                "/etc/pneu/", self.path("/etc/")).split()
        self.process[name] = self.spawn(name, sockets, [
            "unshare", "--mount", "bash", "-c", script, "bash", *command])

    def spawn(self, name, sockets, command):
        """With the sockets as 3 and so on."""
        fds = [os.dup(s.fileno()) for _, s in sockets]
        moves = " ".join("%d<&%d" % (3 + i, 100 + i) for i in range(len(fds)))
        closes = " ".join("%d<&-" % (100 + i) for i in range(len(fds)))
        for i, fd in enumerate(fds):
            os.dup2(fd, 100 + i)
            os.close(fd)
        high = [100 + i for i in range(len(fds))]
        with open(self.path("/%s.log" % name), "ab") as log:
            p = subprocess.Popen(
                ["bash", "-c", "exec %s %s; exec \"$@\"" % (moves, closes),
                 "bash", *command], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, pass_fds=high, start_new_session=True,
                env={**os.environ, "LISTEN_FDS": str(len(fds)),
                     "LISTEN_FDNAMES": ":".join(n for n, _ in sockets)})
        for fd in high:
            os.close(fd)
        return p

    def start_all(self):
        sockets = collections.defaultdict(list)
        with contextlib.ExitStack() as opened:
            for unit in units("socket").values():
                s = opened.enter_context(self.open_socket(unit["Socket"]))
                sockets[unit["Socket"]["Service"]].append(
                    (unit["Socket"]["FileDescriptorName"], s))
            for name, unit in units("service").items():
                self.start(name, unit, sockets[name])

    def log(self):
        text = ""
        for path in glob.glob(self.path("/*.log")):
            with open(path, errors="replace") as f:
                text += "== %s\n%s" % (os.path.basename(path), f.read())
        return text

    def close(self):
        for p in self.process.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(p.pid, signal.SIGTERM)
        for p in self.process.values():
            p.wait(PATIENCE)
        shutil.rmtree(self.dir)


class Api:
    def __init__(self, port):
        self.port, self.token = port, None

    def call(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port,
                                       timeout=PATIENCE)
        c.request(method, "/api/v1" + path,
                  json.dumps(body) if body is not None else None,
                  {**({"Content-Type": "application/json"} if body is not None
                      else {}),
                   **({"Authorization": "Bearer " + self.token}
                      if self.token else {})})
        r = c.getresponse()
        text = r.read()
        c.close()
        return r.status, json.loads(text) if text else None


def can_be_others():
    return os.geteuid() == 0 and all(map(shutil.which, (
        "setpriv", "unshare", "systemd-sysusers", "systemd-tmpfiles"))) and \
        subprocess.run(["unshare", "--mount", "true"],
                       capture_output=True).returncode == 0


@unittest.skipUnless(can_be_others(), "needs root, and systemd's tools")
class AsUsers(unittest.TestCase):
    def test_all_work_together(self):
        root = Root()
        self.addCleanup(root.close)
        root.configure({
            "gateway": {"interval": "1h"}, "manage": {"outside_private": True}})
        root.pneu("domain", "add", "example.test")
        root.pneu("account", "add", "alice@example.test", input=PASSWORD + "\n")
        root.pneu("account", "add", "root@example.test", input=PASSWORD + "\n")
        root.pneu("account", "set", "--admin", "root@example.test")
        root.start_all()
        try:
            self.story(root)
        except BaseException:
            print(root.log())
            raise
        log = root.log()
        for word in ("Sanitizer", "Permission denied", "Read-only",
                     "not permitted"):
            self.assertNotIn(word, log)

    def signed_in(self, root, user):
        api = Api(root.port[80])

        def sign_in():
            status, got = api.call("POST", "/session", {
                "address": user, "password": PASSWORD})
            api.token = got["token"] if status == 201 else None
            return status == 201
        until(sign_in, "sign in")
        return api

    def story(self, root):
        alice = self.signed_in(root, "alice@example.test")
        boxes = alice.call("GET", "/mailboxes")[1]["mailboxes"]
        inbox = [b["id"] for b in boxes if b["name"] == "INBOX"][0]

        def subjects():
            return {m["subject"] for m in alice.call(
                "GET", "/mailboxes/%s/messages" % inbox)[1]["messages"]}
        # mta, guard, mailbox.
        with smtplib.SMTP("127.0.0.1", root.port[25], timeout=PATIENCE) as c:
            c.sendmail("x@else.test", ["alice@example.test"],
                       b"Subject: from elsewhere\r\n\r\n")
        # msa, qm.
        status, got = alice.call("POST", "/send", {
            "to": ["alice@example.test"], "subject": "to myself", "text": "x"})
        self.assertEqual(status, 202, got)
        # manage makes the key and writes, gateway reads both and fetches.
        with Pop3Server([b"Subject: fetched\r\n\r\n"]) as server:
            status, got = alice.call("POST", "/outside", {
                "address": "u@else.test", "user": "u", "password": "p",
                "protocol": "pop3", "host": "127.0.0.1", "port": server.port,
                "security": "none"})
            self.assertEqual(status, 201, got)
            until(lambda: subjects() == {"from elsewhere", "to myself",
                                         "fetched"}, "all mail")
        # What root adds to the same files, manage changes, and root again.
        admin = self.signed_in(root, "root@example.test")
        self.assertEqual(admin.call("POST", "/admin/accounts", {
            "address": "bob@example.test", "password": "long enough"})[0], 201)
        root.pneu("account", "set", "--name", "Bob", "bob@example.test")
        self.assertEqual(admin.call(
            "GET", "/admin/accounts/bob@example.test")[1]["name"], "Bob")
        self.assertEqual(admin.call("GET", "/admin/queue")[0], 200)
        status, got = admin.call("GET", "/admin/status")
        self.assertEqual(status, 200)
        # TCP ports are others here.
        said = {s["address"]: s["status"] for p in got["programs"].values()
                for s in p["sockets"] if s["address"].startswith("unix:")}
        self.assertEqual(set(said.values()), {"ok"}, said)
        status, got = admin.call("GET", "/admin/why?about=alice@example.test")
        self.assertEqual(status, 200)
        self.assertGreater(len(got["journeys"]), 0, got)
