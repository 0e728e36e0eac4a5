# SPDX-License-Identifier: ISC
"""`pneu run`: the supervisor with stand-ins for the programs, which note what
happens to them."""
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

from pneu import BUILD, PATIENCE, certificate, children, until

# A program of the pipeline as the supervisor sees it. What it is to do stands
# in NAME.mode beside it: "ready", "silent", "stubborn", "exit N" or "once N"
# (exit so the first time).
STAND_IN = r"""#!%s
import json, os, signal, socket, sys
me = os.path.basename(sys.argv[0])
here = os.path.dirname(os.path.abspath(sys.argv[0]))
def note(event, **more):
    with open(os.path.join(here, me + ".events"), "a") as f:
        f.write(json.dumps(dict(more, event=event)) + "\n")
names = os.environ.get("LISTEN_FDNAMES", "").split(":")
n = int(os.environ.get("LISTEN_FDS", "0"))
sockets = [socket.socket(fileno=3 + i) for i in range(n)]
note("start", pid=os.getpid(), argv=sys.argv[1:], names=names,
     pid_fits=os.environ.get("LISTEN_PID") == str(os.getpid()),
     at=[s.getsockname() for s in sockets],
     fds=sorted(int(f) for f in os.listdir("/proc/self/fd")),
     listening=[s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                for s in sockets],
     stdin=os.readlink("/proc/self/fd/0"))
try:
    with open(os.path.join(here, me + ".mode")) as f:
        mode = f.read().split()
except FileNotFoundError:
    mode = ["ready"]
if mode[0] == "once":
    os.unlink(os.path.join(here, me + ".mode"))
if mode[0] in ("once", "exit"):
    sys.exit(int(mode[1]))
def end(sig, frame):
    note("term")
    if mode[0] != "stubborn":
        sys.exit(0)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGHUP, lambda sig, frame: note("hup"))
if mode[0] != "silent":
    path = os.environ["NOTIFY_SOCKET"]
    path = "\0" + path[1:] if path[0] == "@" else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(path)
        s.send(b"STATUS=here\nREADY=1")
while True:
    signal.pause()
""" % sys.executable

NAMES = ["guard", "mailbox", "qm", "mta", "msa", "gateway"]


class Supervisor:
    def __init__(self, conf=None, args=(), modes=None):
        self.dir = tempfile.mkdtemp(prefix="pneu-run-", dir="/tmp")
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        # The programs are looked for beside the real file of the binary.
        shutil.copy(os.path.join(BUILD, "pneu"), self.bin)
        for name in NAMES:
            path = os.path.join(self.bin, "pneu-" + name)
            with open(path, "w") as f:
                f.write(STAND_IN)
            os.chmod(path, 0o755)
        for name, mode in (modes or {}).items():
            self.mode(name, mode)
        self.conf = os.path.join(self.dir, "pneu.conf")
        pem, key = certificate()
        with open(self.conf, "w") as f:
            json.dump({
                "data_dir": "data", "run_dir": "sock", "drain": "10s",
                "tls": {"certificate": pem, "key": key},
                "mta": {"listen": ["127.0.0.1:0", "[::1]:0"]},
                "mailbox": {"imap": "127.0.0.1:0", "imaps": "127.0.0.1:0",
                            "pop3": "127.0.0.1:0", "pop3s": []},
                "msa": {"submission": "127.0.0.1:0",
                        "submissions": "127.0.0.1:0"},
                "mgmt": {"http": []}, **(conf or {})}, f)
        self.err = open(os.path.join(self.dir, "err"), "wb")
        self.process = subprocess.Popen(
            [os.path.join(self.bin, "pneu"), "-c", self.conf, "run", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.err,
            pass_fds=[int(a) for a in args if a.isdigit()])

    def mode(self, name, mode):
        with open(os.path.join(self.bin, "pneu-%s.mode" % name), "w") as f:
            f.write(mode)

    def log(self):
        with open(os.path.join(self.dir, "err"), errors="replace") as f:
            return f.read()

    def wait_ready(self):
        line = self.process.stdout.readline()
        if line != b"ready\n":
            raise AssertionError("%r\n%s" % (line, self.log()))

    def events(self, name, event=None):
        path = os.path.join(self.bin, "pneu-%s.events" % name)
        if not os.path.exists(path):
            return []
        with open(path) as f:
            all_events = [json.loads(line) for line in f
                          if line.endswith("\n")]
        return [e for e in all_events if event in (None, e["event"])]

    def wait_event(self, name, event, count=1):
        return until(lambda: len(self.events(name, event)) >= count and
                     self.events(name, event), "%s of %s" % (event, name))

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.wait()

    def wait(self):
        return self.process.wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.err.close()
        log = self.log()
        shutil.rmtree(self.dir, ignore_errors=True)
        if exc[0] is None and ("Sanitizer" in log or "runtime error" in log):
            raise AssertionError(log)
        return False


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


class Starting(unittest.TestCase):
    def test_each_program_gets_its_sockets_as_from_systemd(self):
        with Supervisor(args=["--set", "workers=3"]) as s:
            s.wait_ready()
            names = {"guard": ["lmtp"], "qm": ["lmtp"],
                     "gateway": ["lmtp"],
                     "mailbox": ["lmtp", "imap", "imaps", "pop3", "submit",
                                 "http"],
                     "mta": ["smtp", "smtp"],
                     "msa": ["submission", "submissions", "api"]}
            for name in NAMES:
                start, = s.events(name, "start")
                self.assertEqual(start["names"], names[name])
                self.assertTrue(start["pid_fits"])
                self.assertTrue(all(start["listening"]))
                self.assertEqual(start["stdin"], "/dev/null")
                self.assertEqual(start["argv"],
                                 ["-c", s.conf, "--set", "workers=3"])
                # Nothing of the others: 0 to 2, the sockets, and the
                # descriptor of the listing itself.
                self.assertLessEqual(len(start["fds"]),
                                     3 + len(names[name]) + 1)
            mta, = s.events("mta", "start")
            self.assertEqual([a[0] for a in mta["at"]], ["127.0.0.1", "::1"])
            with socket.create_connection(tuple(mta["at"][0])):
                pass
            path = os.path.join(s.dir, "sock", "guard.sock")
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
            self.assertEqual(s.stop(), 0)
            self.assertFalse(os.path.exists(path))
            for name in NAMES:
                self.assertEqual(len(s.events(name, "term")), 1)

    def test_ready_goes_to_a_descriptor_if_so_wanted(self):
        r, w = os.pipe()
        with Supervisor(args=["--ready-fd", str(w)]) as s:
            os.close(w)
            with os.fdopen(r) as f:
                self.assertEqual(f.read(), "ready\n")
            self.assertEqual(s.stop(signal.SIGINT), 0)
            self.assertEqual(s.process.stdout.read(), b"")

    def test_without_addresses_a_program_is_not_started(self):
        with Supervisor({"msa": {"submission": [], "submissions": [],
                                 "api": []}}) as s:
            s.wait_ready()
            self.assertEqual(s.events("msa"), [])
            self.assertEqual(s.stop(), 0)

    def test_without_a_certificate_tls_is_not_served(self):
        with Supervisor({"tls": {}}) as s:
            s.wait_ready()
            self.assertEqual(s.events("mailbox", "start")[0]["names"],
                             ["lmtp", "imap", "pop3", "submit", "http"])
            self.assertIn("tls.certificate", s.log())

    def test_the_status_page_is_one_of_them(self):
        with Supervisor({"mgmt": {"http": "unix:http.sock"}}) as s:
            s.wait_ready()
            with socket.socket(socket.AF_UNIX) as c:
                c.settimeout(PATIENCE)
                c.connect(os.path.join(s.dir, "sock", "http.sock"))
                c.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                with c.makefile("rb") as f:
                    self.assertIn(b'"name": "pneu"', f.read())
            self.assertEqual(s.stop(), 0)


class Refusing(unittest.TestCase):
    """Nothing has been started then."""

    def refused(self, status, *text, conf=None, args=()):
        with Supervisor(conf, args) as s:
            self.assertEqual(s.wait(), status, s.log())
            for t in text:
                self.assertIn(t, s.log())
            for name in NAMES:
                self.assertEqual(s.events(name), [])
            self.assertFalse(os.path.exists(
                os.path.join(s.dir, "sock", "guard.sock")))

    def test_faults_of_the_configuration(self):
        self.refused(78, "pneu.conf:1:", "lissten: unknown setting; did you "
                     "mean mta.listen?", conf={"mta": {"lissten": "x"}})
        self.refused(78, "--set nix", args=["--set", "nix=1"])
        self.refused(78, "mta.listen: here: not an address",
                     conf={"mta": {"listen": ["here"]}})

    def test_addresses_in_use(self):
        with socket.socket() as t:
            t.bind(("127.0.0.1", 0))
            t.listen()
            address = "127.0.0.1:%d" % t.getsockname()[1]
            self.refused(69, "mta.listen: %s: another program" % address,
                         conf={"mta": {"listen": [address]}})

    def test_an_address_of_elsewhere(self):
        self.refused(69, "192.0.2.1:2525: not an address of this machine",
                     conf={"mta": {"listen": "192.0.2.1:2525"}})

    def test_wrong_options(self):
        self.refused(64, "usage:", args=["--nix"])
        self.refused(64, "usage:", args=["extra"])
        self.refused(64, "Bad file descriptor", args=["--ready-fd=999"])

    @unittest.skipIf(os.getuid() != 0, "only root can give up being root")
    def test_low_ports_without_permission(self):
        with tempfile.TemporaryDirectory(dir="/tmp") as d:
            conf = os.path.join(d, "pneu.conf")
            with open(conf, "w") as f:
                json.dump({"run_dir": "sock", "mta": {
                    "listen": ["127.0.0.1:25"]}}, f)
            os.chmod(d, 0o777)
            os.chmod(conf, 0o644)
            shutil.copy(os.path.join(BUILD, "pneu"), d)
            try:
                with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as f:
                    if int(f.read()) <= 25:
                        self.skipTest("every port is for everybody here")
            except FileNotFoundError:
                pass
            r = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 os.path.join(d, "pneu"), "-c", conf, "run"],
                capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(r.returncode, 77, r.stderr)
            self.assertIn("mta.listen: 127.0.0.1:25: Permission", r.stderr)
            self.assertIn("setcap", r.stderr)


class Supervising(unittest.TestCase):
    def test_who_dies_is_started_again(self):
        with Supervisor() as s:
            s.wait_ready()
            for count in (2, 3):
                pid = s.events("mta", "start")[-1]["pid"]
                os.kill(pid, signal.SIGKILL)
                s.wait_event("mta", "start", count)
            self.assertEqual(len(s.events("qm", "start")), 1)
            self.assertIn("program=mta pid=%d signal=9 again_in_ms=100" %
                          s.events("mta", "start")[0]["pid"], s.log())
            self.assertIn("again_in_ms=200", s.log())
            # On the same socket.
            first, last = s.events("mta", "start")[0], \
                s.events("mta", "start")[-1]
            self.assertEqual(first["at"], last["at"])
            self.assertEqual(s.stop(), 0)

    def test_the_wait_between_starts_doubles(self):
        with Supervisor(modes={"qm": "exit 75"}) as s:
            until(lambda: "again_in_ms=800" in s.log(), "four ends")
            waits = [line.rsplit("=", 1)[1] for line in s.log().splitlines()
                     if "program=qm" in line]
            self.assertEqual(waits[:4], ["100", "200", "400", "800"])
            self.assertIn("status=75", s.log())
            self.assertEqual(s.stop(), 0)

    def test_who_gets_ready_late_delays_ready(self):
        with Supervisor(modes={"qm": "once 75"}) as s:
            s.wait_ready()
            self.assertEqual(len(s.events("qm", "start")), 2)
            self.assertEqual(s.stop(), 0)

    def test_a_program_that_refuses_the_configuration_ends_all(self):
        with Supervisor(modes={"qm": "exit 78"}) as s:
            self.assertEqual(s.wait(), 78)
            self.assertEqual(s.process.stdout.read(), b"")
            self.assertEqual(len(s.events("qm", "start")), 1)

    def test_a_missing_program_ends_all(self):
        with Supervisor() as s:
            s.wait_ready()
            self.assertEqual(s.stop(), 0)
            os.unlink(os.path.join(s.bin, "pneu-qm"))
            r = subprocess.run(
                [os.path.join(s.bin, "pneu"), "-c", s.conf, "run"],
                capture_output=True, text=True, timeout=PATIENCE,
                env={"PATH": "/nowhere"})
            self.assertEqual(r.returncode, 69)
            self.assertIn("pneu-qm: No such file", r.stderr)

    def test_not_ready_in_time_ends_all(self):
        with Supervisor(modes={"qm": "silent"},
                        args=["--ready-timeout=1"]) as s:
            self.assertEqual(s.wait(), 69)
            self.assertIn("not ready in time program=qm", s.log())
            # On a busy machine a second is not enough for Python to begin.
            for name in NAMES:
                for start in s.events(name, "start"):
                    self.assertFalse(alive(start["pid"]))

    def test_ready_of_a_stranger_does_not_count(self):
        with Supervisor(modes={"qm": "silent"}) as s:
            pid = s.wait_event("qm", "start")[0]["pid"]
            with open("/proc/%d/environ" % pid, "rb") as f:
                env = dict(v.split(b"=", 1) for v in f.read().split(b"\0")
                           if b"=" in v)
            path = b"\0" + env[b"NOTIFY_SOCKET"][1:]
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as t:
                t.connect(path)
                t.send(b"READY=1")
            s.process.send_signal(signal.SIGHUP)
            s.wait_event("mta", "start")
            until(lambda: "reload" in s.log(), "reload")
            self.assertNotIn("program=all", s.log())
            self.assertEqual(s.stop(), 0)
            self.assertEqual(s.process.stdout.read(), b"")

    def test_sighup_is_passed_on(self):
        with Supervisor() as s:
            s.wait_ready()
            s.process.send_signal(signal.SIGHUP)
            for name in NAMES:
                s.wait_event(name, "hup")
            self.assertEqual(s.stop(), 0)

    def test_who_does_not_stop_is_killed(self):
        # It takes `drain` and 5 seconds, by design.
        with Supervisor({"drain": 0}, modes={"qm": "stubborn"}) as s:
            s.wait_ready()
            pid = s.events("qm", "start")[0]["pid"]
            self.assertEqual(s.stop(), 70)
            self.assertEqual(len(s.events("qm", "term")), 1)
            self.assertIn("killed program=qm", s.log())
            self.assertFalse(alive(pid))

    def test_nobody_outlives_a_killed_supervisor(self):
        with Supervisor() as s:
            s.wait_ready()
            s.process.kill()
            s.wait()
            for name in NAMES:
                s.wait_event(name, "term")
                pid = s.events(name, "start")[0]["pid"]
                until(lambda: not alive(pid), "end of " + name)


class Real(unittest.TestCase):
    """The programs themselves, all of them, on Unix sockets."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-all-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, True)
        pem, key = certificate()
        self.conf = os.path.join(self.dir, "pneu.conf")
        with open(self.conf, "w") as f:
            json.dump({
                "hostname": "mx.example.test", "data_dir": "data",
                "run_dir": "sock", "drain": "5s", "workers": 2,
                "tls": {"certificate": pem, "key": key},
                "mta": {"listen": "unix:mta.sock"},
                "msa": {"submission": "unix:submission.sock",
                        "submissions": "unix:submissions.sock"},
                "mailbox": {"imap": "unix:imap.sock",
                            "imaps": "unix:imaps.sock",
                            "pop3": "unix:pop3.sock",
                            "pop3s": "unix:pop3s.sock"},
                "mgmt": {"http": "unix:http.sock"}}, f)

    def health(self):
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(PATIENCE)
            c.connect(os.path.join(self.dir, "sock", "http.sock"))
            c.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            with c.makefile("rb") as f:
                return json.loads(f.read().split(b"\r\n\r\n", 1)[1])

    @staticmethod
    def program(pid):
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return os.path.basename(f.read().split(b"\0")[0].decode())

    def test_all_answer_and_one_that_is_killed_comes_back(self):
        log = os.path.join(self.dir, "log")
        with open(log, "wb") as err:
            p = subprocess.Popen(
                [os.path.join(BUILD, "pneu"), "-c", self.conf, "run"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err)
        try:
            line = p.stdout.readline()
            with open(log, errors="replace") as f:
                self.assertEqual(line, b"ready\n", f.read())
            health = self.health()
            self.assertEqual(health["status"], "ok", health)
            self.assertEqual(set(health["programs"]),
                             {"guard", "mailbox", "qm", "mta", "msa", "gateway"})
            self.assertTrue(all(s["status"] == "ok"
                                for program in health["programs"].values()
                                for s in program["sockets"]))
            for name in ("pneu-guard", "pneu-mailbox"):
                old, = [c for c in children(p.pid) if self.program(c) == name]
                os.kill(old, signal.SIGKILL)
                until(lambda: [c for c in children(p.pid) if c != old and
                               self.program(c) == name], name)
            until(lambda: self.health()["status"] == "ok", "health")
            everybody = [c for child in children(p.pid)
                         for c in [child] + children(child)]
            p.terminate()
            self.assertEqual(p.wait(PATIENCE), 0)
            self.assertFalse([c for c in everybody if alive(c)])
            self.assertEqual(os.listdir(os.path.join(self.dir, "sock")), [])
        finally:
            p.kill()
            p.wait()
            p.stdout.close()


if __name__ == "__main__":
    unittest.main()
