# SPDX-License-Identifier: ISC
"""What all daemons share (common/net/service), by the program echo."""
import contextlib
import json
import os
import pwd
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import unittest

from pneu import (BUILD, PATIENCE, certificate, children, kill_at_once,
                  until)
from starting import FourWays, Port, Running, Talk, connect

ECHO = os.path.join(BUILD, "tests", "echo")


class Echo(unittest.TestCase):
    """A folder with a configuration for echo."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.conf = os.path.join(self.dir, "pneu.conf")
        self.socket = os.path.join(self.dir, "sock", "echo.sock")
        self.write_conf()

    def write_conf(self, text=None, **changes):
        pem, key = certificate()
        conf = {"hostname": "h.test", "data_dir": "data", "run_dir": "sock",
                "workers": 1, "tls": {"certificate": pem, "key": key},
                "mailbox": {"imap": [], "imaps": [],
                            "lmtp": ["unix:echo.sock"]}}
        conf.update(changes)
        with open(self.conf, "w") as f:
            f.write(text if text is not None else json.dumps(conf))

    @property
    def program(self):
        return [ECHO, "-c", self.conf]

    def run_echo(self, *args, **kw):
        return subprocess.run([*self.program, *args], capture_output=True,
                              text=True, timeout=PATIENCE,
                              stdin=kw.pop("stdin", subprocess.DEVNULL), **kw)

    @contextlib.contextmanager
    def running(self, *args, **kw):
        """echo on its own, and where it listens."""
        with Port() as port, Running(
                [*self.program, "--listen", "echo=127.0.0.1:%d" % port,
                 *args], **kw) as p:
            yield p, ("127.0.0.1", port)


class EchoStarts(FourWays, Echo):
    protocol = "echo"
    greeting = rb"220 h.test echo"
    dialogue = [(b"hello\r\n", rb"hello\r\n"), (b"QUIT\r\n", rb"bye\r\n")]


class EchoOverTlsStarts(FourWays, Echo):
    protocol = "echos"
    greeting = rb"220 h.test echos"
    dialogue = [(b"hello\r\n", rb"tls hello\r\n"), (b"QUIT\r\n", rb"bye\r\n")]
    tls = True


class Options(Echo):
    def test_help_version_and_commands(self):
        self.assertIn("--listen PROTO=ADDRESS", self.run_echo("--help").stdout)
        self.assertEqual(self.run_echo("--version").stdout.split()[0],
                         "pneu-mailbox")
        r = self.run_echo("say", "hello", "--world")
        self.assertEqual((r.returncode, r.stdout), (0, "hello --world\n"))
        self.assertEqual(self.run_echo("say").returncode, 1)

    def test_wrong_use_is_64(self):
        for args in (["--nonsense"], ["nonsense"], ["--protocol", "nonsense"],
                     ["--listen", "nonsense=127.0.0.1:1"],
                     ["--listen", "echo"]):
            r = self.run_echo(*args)
            self.assertEqual(r.returncode, 64, args)
            self.assertIn("--help", r.stderr)

    def test_wrong_configuration_is_78(self):
        cases = [('{\n "mailbox": { "imapp": [] } }', "pneu.conf:2:"),
                 ('{ "workers": "many" }', "pneu.conf:1:"),
                 ('{ "tls": { "certificate": "/no/such.pem" } }', "such.pem")]
        for text, said in cases:
            self.write_conf(text=text)
            r = self.run_echo("--set", "run_dir=" + self.dir, "--set",
                              "data_dir=" + self.dir, "--listen",
                              "echo=unix:x.sock")
            self.assertEqual(r.returncode, 78, r.stderr)
            self.assertIn(said, r.stderr)
        self.write_conf(mailbox={"imap": ["nowhere"]})
        self.assertEqual(self.run_echo().returncode, 78)
        os.unlink(self.conf)
        self.assertEqual(self.run_echo().returncode, 78)

    def test_what_may_pass_is_75(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            r = self.run_echo("--listen", "echo=127.0.0.1:%d" %
                              other.getsockname()[1])
        self.assertEqual(r.returncode, 75)
        self.assertIn("in use", r.stderr)
        # start() fails in each worker
        self.write_conf(mailbox={"dir": "fail", "lmtp": ["unix:echo.sock"]})
        self.assertEqual(self.run_echo("--set", "data_dir=/").returncode, 75)

    def test_set_changes_a_setting(self):
        with self.running("--set", "hostname=other.test") as (p, at):
            with connect(at) as t:
                t.expect(rb"220 other.test echo")
        self.assertEqual(self.run_echo("--set", "hostnam=x").returncode, 78)


class Sockets(Echo):
    def test_unix_socket_mode_and_removal(self):
        with Running(self.program) as p:
            with connect(self.socket) as t:
                t.expect(rb"220 h.test lecho")
                self.assertEqual(t.ask(b"PEER\r\n"), b"peer unix")
            self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)
            self.assertEqual(p.stop(), 0)
        self.assertFalse(os.path.exists(self.socket))

    def test_stale_unix_socket_is_replaced_and_a_live_one_not(self):
        with Running(self.program) as p:
            connect(self.socket).close()
            kill_at_once([p.process.pid] + children(p.process.pid))
            p.wait()
        self.assertTrue(os.path.exists(self.socket))
        with Running(self.program) as p:
            with connect(self.socket) as t:
                t.expect(rb"220")
            r = self.run_echo()
            self.assertEqual(r.returncode, 75)
            self.assertIn("in use", r.stderr)
            with connect(self.socket) as t:
                t.expect(rb"220")

    def test_inherited_sockets_are_told_apart_by_name(self):
        with Port() as a, Port() as b, Running(
                ["systemd-socket-activate", "-l", "127.0.0.1:%d" % a, "-l",
                 "127.0.0.1:%d" % b, "--fdname=echos:echo", *self.program]):
            with connect(("127.0.0.1", a), tls=True) as t:
                t.expect(rb"220 h.test echos")
            with connect(("127.0.0.1", b)) as t:
                t.expect(rb"220 h.test echo\r")
            # Beside them the configured Unix socket is opened too.
            with connect(self.socket) as t:
                t.expect(rb"220 h.test lecho")

    def test_inherited_sockets_are_told_apart_by_port(self):
        with Port() as a, Port() as b:
            self.write_conf(mailbox={"imap": ["127.0.0.1:%d" % b],
                                     "imaps": ["127.0.0.1:%d" % a]})
            with Running(["systemd-socket-activate", "-l", "127.0.0.1:%d" % a,
                          "-l", "127.0.0.1:%d" % b, *self.program]):
                with connect(("127.0.0.1", a), tls=True) as t:
                    t.expect(rb"220 h.test echos")
                with connect(("127.0.0.1", b)) as t:
                    t.expect(rb"220 h.test echo\r")

    def test_starttls(self):
        with self.running() as (p, at):
            with connect(at) as t:
                t.expect(rb"220")
                self.assertEqual(t.ask(b"STARTTLS\r\n"), b"go ahead")
                from pneu import tls_context
                with Talk(tls_context().wrap_socket(t.socket)) as s:
                    self.assertEqual(s.ask(b"x\r\n"), b"tls x")

    def test_ucspi_tells_the_peer_of_a_pipe(self):
        env = dict(os.environ, PROTO="TCP", TCPREMOTEIP="192.0.2.9",
                   TCPREMOTEPORT="99")
        p = subprocess.run(self.program, input=b"PEER\r\nQUIT\r\n", env=env,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           timeout=PATIENCE)
        self.assertIn(b"peer 192.0.2.9:99\r\n", p.stdout)

    def test_nothing_is_logged_to_the_peer_under_inetd(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            p = subprocess.Popen(
                [*self.program, "--set", "log_level=debug"], stdin=theirs,
                stdout=theirs, stderr=theirs)
            theirs.close()
            with Talk(ours) as t:
                t.expect(rb"220")
                t.ask(b"QUIT\r\n", rb"bye")
                t.expect_end()
            self.assertEqual(p.wait(PATIENCE), 0)


class Limits(Echo):
    def test_too_many_connections_are_told(self):
        with self.running("--set", "max_connections=2") as (p, at):
            with connect(at) as a, connect(at) as b:
                a.expect(rb"220")
                b.expect(rb"220")
                with connect(at) as c:
                    c.expect(rb"421 too many connections \[ref [0-9A-Z]{8}\]\r\n")
                    c.expect_end()
                a.ask(b"QUIT\r\n", rb"bye")
                a.expect_end()
                with connect(at) as d:
                    d.expect(rb"220")

    def test_without_descriptors_new_ones_are_told_and_old_ones_go_on(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))
        with contextlib.ExitStack() as stack:
            p, at = stack.enter_context(self.running(preexec_fn=few))
            first = stack.enter_context(connect(at))
            first.expect(rb"220")
            refused = None
            while refused is None:
                t = stack.enter_context(connect(at))
                if t.expect(rb"220|421").startswith(b"421"):
                    refused = t
            refused.expect_end()
            self.assertEqual(first.ask(b"still here\r\n"), b"still here")
            first.ask(b"QUIT\r\n", rb"bye")
            first.expect_end()
            with connect(at) as t:
                t.expect(rb"220")


class Processes(Echo):
    def pids(self, at, n):
        """Process ids that serve, asked until `n` different ones have."""
        seen = set()

        def asked():
            with connect(at) as t:
                t.expect(rb"220")
                seen.add(int(t.ask(b"PID\r\n", rb"pid ").split()[1]))
            return len(seen) >= n
        until(asked, "%d workers" % n)
        return seen

    def test_workers_share_the_socket_and_are_restarted(self):
        with self.running("--workers", "2") as (p, at):
            before = self.pids(at, 2)
            self.assertEqual(before, set(children(p.process.pid)))
            with connect(at) as t:
                t.expect(rb"220")
                dead = int(t.ask(b"PID\r\n", rb"pid ").split()[1])
                t.ask(b"SLOW?\r\n", rb"SLOW")
                os.kill(dead, signal.SIGKILL)
            until(lambda: len(children(p.process.pid)) == 2 and
                  dead not in children(p.process.pid), "another worker")
            self.pids(at, 1)
            self.assertIn("ended by signal 9", p.output())
            self.assertEqual(p.stop(), 0)

    def test_one_worker_that_inherits_needs_no_master(self):
        with Port() as port, Running(
                ["systemd-socket-activate", "-l", "127.0.0.1:%d" % port,
                 *self.program]) as p:
            self.assertEqual(self.pids(("127.0.0.1", port), 1),
                             {p.process.pid})

    def test_workers_end_with_a_killed_master(self):
        with self.running("--workers", "2") as (p, at):
            pids = self.pids(at, 2)
            p.process.kill()
            p.wait()
            for pid in pids:
                until(lambda: not os.path.exists("/proc/%d" % pid) or
                      "Z" in open("/proc/%d/stat" % pid).read().split()[2],
                      "end of %d" % pid)

    def drain(self, *args):
        with self.running(*args) as (p, at):
            with connect(at) as idle, connect(at) as busy:
                idle.expect(rb"220")
                busy.expect(rb"220")
                busy.ask(b"DRAIN\r\n", rb"working")
                p.process.terminate()
                idle.expect(rb"421 going down\r\n")
                idle.expect_end()
                busy.expect(rb"worked\r\n")
                busy.expect(rb"421 going down\r\n")
                busy.expect_end()
            self.assertEqual(p.wait(), 0)
            self.assertEqual(p.output().count(": stop\n"),
                             2 if "2" in args else 1)

    def test_termination_drains(self):
        self.drain("--workers", "1")
        self.drain("--workers", "2")

    def test_draining_ends_in_time(self):
        with self.running("--set", "drain=10ms") as (p, at):
            with connect(at) as busy:
                busy.expect(rb"220")
                busy.ask(b"DRAIN\r\n", rb"working")
                p.process.terminate()
                self.assertEqual(p.wait(), 0)

    def test_second_termination_ends_at_once(self):
        with self.running("--set", "drain=1h") as (p, at):
            with connect(at) as t:
                t.expect(rb"220")
                for _ in range(100):
                    t.send(b"DRAIN\r\n")
                t.expect(rb"working")
                p.process.terminate()
                until(lambda: not os.path.exists(self.socket) and
                      self.refused(at), "closed port")
                p.process.terminate()
                self.assertEqual(p.wait(), 75)

    def refused(self, at):
        with socket.socket() as s:
            return s.connect_ex(at) != 0

    def level(self, t):
        return int(t.ask(b"LEVEL\r\n", rb"level ").split()[1])

    def reload(self, *args):
        with self.running(*args) as (p, at):
            with connect(at) as t:
                t.expect(rb"220")
                self.assertEqual(self.level(t), 2)
                self.write_conf(log_level="debug",
                                mailbox={"dir": "elsewhere"})
                p.process.send_signal(signal.SIGHUP)
                until(lambda: self.level(t) == 3, "reload")
                until(lambda: "reload dir=%s/data/elsewhere" % self.dir
                      in p.output(), "reload()")
                self.write_conf(text='{ "mailbox": { "dirr": "x" } }')
                p.process.send_signal(signal.SIGHUP)
                until(lambda: "configuration not reloaded" in p.output(),
                      "complaint")
                self.assertIn("mailbox.dirr", p.output())
                self.assertEqual(self.level(t), 3)
                with connect(at) as other:
                    other.expect(rb"220 h.test")
            self.assertEqual(p.stop(), 0)

    def test_reload(self):
        self.reload()

    def test_reload_in_workers(self):
        self.write_conf()
        self.reload("--workers", "2")

    def notifications(self, *args, inherit):
        path = os.path.join(self.dir, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, \
                contextlib.ExitStack() as stack:
            s.bind(path)
            s.settimeout(PATIENCE)
            env = dict(os.environ, NOTIFY_SOCKET=path)
            port = stack.enter_context(Port())
            if inherit:
                command = ["systemd-socket-activate", "-E", "NOTIFY_SOCKET",
                           "-l", "127.0.0.1:%d" % port, *self.program]
            else:
                command = [*self.program, "--listen",
                           "echo=127.0.0.1:%d" % port, *args]
            p = stack.enter_context(Running(command, env=env))
            connect(("127.0.0.1", port)).close()
            self.assertEqual(s.recv(100), b"READY=1")
            p.process.send_signal(signal.SIGHUP)
            self.assertRegex(s.recv(100),
                             rb"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
            self.assertEqual(s.recv(100), b"READY=1")
            self.assertEqual(p.stop(), 0)
            self.assertEqual(s.recv(100), b"STOPPING=1")
        os.unlink(path)

    def test_systemd_is_told(self):
        self.notifications(inherit=True)
        self.notifications(inherit=False)
        self.notifications("--workers", "2", inherit=False)

    def test_watchdog(self):
        path = os.path.join(self.dir, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(path)
            s.settimeout(PATIENCE)
            env = dict(os.environ, NOTIFY_SOCKET=path, WATCHDOG_USEC="20000")
            with self.running(env=env):
                while s.recv(100) != b"WATCHDOG=1":
                    pass


class Confinement(Echo):
    def answers(self, *args):
        with self.running(*args) as (p, at):
            with connect(at) as t:
                t.expect(rb"220")
                return [t.ask(b"OPEN /etc/passwd\r\n"),
                        t.ask(b"OPEN /etc/hosts\r\n"),
                        t.ask(b"OPEN %s\r\n" % self.conf.encode()),
                        t.ask(b"OPEN %s/data\r\n" % self.dir.encode()),
                        t.ask(b"OPEN %s/data/mails\r\n" % self.dir.encode())]

    def test_files_outside_are_out_of_reach(self):
        no = b"Permission denied"
        self.assertEqual(self.answers(),
                         [no, b"opened", b"opened", no, b"opened"])
        self.assertEqual(self.answers("--set", "sandbox=false"),
                         [b"opened"] * 5)

    def test_no_program_can_be_run(self):
        with self.running() as (p, at), connect(at) as t:
            t.expect(rb"220")
            self.assertEqual(t.ask(b"EXEC\r\n"), b"Operation not permitted")

    @unittest.skipUnless(os.geteuid() == 0, "only root can become another")
    def test_root_becomes_the_user(self):
        nobody = pwd.getpwnam("nobody")
        os.chmod(self.dir, 0o755)
        for name in ("nobody", "no*y"):
            conf = {"user": name}
            self.write_conf(**conf)
            if name == "no*y":
                r = self.run_echo()  # "nomailboxy"
                self.assertEqual(r.returncode, 78)
                self.assertIn("nomailboxy", r.stderr)
                continue
            with self.running() as (p, at), connect(at) as t:
                t.expect(rb"220")
                pid = int(t.ask(b"PID\r\n", rb"pid ").split()[1])
                with open("/proc/%d/status" % pid) as f:
                    status = f.read()
                self.assertIn("\nUid:\t" + "\t".join(
                    [str(nobody.pw_uid)] * 4), status)
                self.assertIn("\nNoNewPrivs:\t1\n", status)
                self.assertIn("\nSeccomp:\t2\n", status)
            self.assertEqual(os.stat(os.path.join(
                self.dir, "data", "mails")).st_uid, nobody.pw_uid)


del Echo

if __name__ == "__main__":
    unittest.main()
