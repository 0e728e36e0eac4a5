# SPDX-License-Identifier: ISC
"""A real DNS server (nsd) on loopback for a test.

    with TestZone({"lab": "@ MX 10 mx\nmx A 127.0.0.1"}) as z:
        System(conf=z.conf())          # {"dns": {...}}: asks this server only

The keys are zones; SOA and NS records are added. Names in `signed` are signed
with a fresh key each; one that has no signed parent here is a trust anchor.
A zone below a signed one, both in the same server, gets its DS record there.
Names in `tampered` are signed and then changed, so that they are bogus.

Use a top-level domain such as "lab": "test" and "invalid" are answered by the
resolver itself, but for stub zones.
"""
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time

PATIENCE = float(os.environ.get("PNEU_PATIENCE", "60"))


class TestZone:
    __test__ = False  # no test case, whatever the name says

    def __init__(self, zones, signed=(), tampered=()):
        self.dir = tempfile.mkdtemp(prefix="pneu-zone-", dir="/tmp")
        self.zones = zones
        self.signed = set(signed) | set(tampered)
        self.tampered = set(tampered)
        self.process = None
        self.anchor = None
        try:
            # Children first: their DS records go into the parent.
            self.ds = {}
            for name in sorted(zones, key=lambda z: -z.count(".")):
                self._write(name)
            self._start()
        except BaseException:
            self.close()
            raise

    def conf(self, **more):
        """The part of a configuration that asks this server and no other."""
        return {"dns": {"servers": [self.address],
                        "trust_anchor": self.anchor or "none", **more}}

    # --- zone files ---

    def _parent(self, name):
        while "." in name:
            name = name.split(".", 1)[1]
            if name in self.zones:
                return name
        return None

    def _write(self, name):
        path = os.path.join(self.dir, name + ".zone")
        text = ("$ORIGIN %s.\n$TTL 60\n"
                "@ SOA ns.%s. hostmaster.%s. 1 3600 600 86400 5\n"
                "@ NS ns.%s.\nns A 127.0.0.1\n" % (name, name, name, name))
        for child in self.zones:
            if self._parent(child) == name:
                text += "%s. NS ns.%s.\nns.%s. A 127.0.0.1\n%s" % (
                    child, child, child, self.ds.get(child, ""))
        text += self.zones[name] + "\n"
        with open(path, "w") as f:
            f.write(text)
        if name in self.signed:
            self._sign(name, path)

    def _run(self, *args):
        r = subprocess.run(args, cwd=self.dir, capture_output=True, text=True,
                           timeout=PATIENCE)
        if r.returncode != 0:
            raise AssertionError("%s: %s%s" % (args, r.stdout, r.stderr))
        return r.stdout.strip()

    def _sign(self, name, path):
        key = self._run("ldns-keygen", "-a", "ECDSAP256SHA256", "-k",
                        name + ".")
        self._run("ldns-signzone", "-n", "-o", name + ".", "-f",
                  path + ".signed", path, key)
        os.rename(path + ".signed", path)
        if name in self.tampered:
            # Every address and TLSA in there changes under its signature.
            with open(path) as f:
                text = f.read()
            with open(path, "w") as f:
                f.write(text.replace("\t192.0.2.", "\t198.51.100.")
                        .replace("\tTLSA\t3 1 1", "\tTLSA\t3 0 1"))
        if self._parent(name) in self.signed:
            with open(os.path.join(self.dir, key + ".ds")) as f:
                self.ds[name] = f.read()
        else:
            self.anchor = os.path.join(self.dir, "anchors")
            with open(os.path.join(self.dir, key + ".key")) as f, \
                    open(self.anchor, "a") as out:
                out.write(f.read())

    # --- the server ---

    def _start(self):
        # nsd opens its own socket: another may take the port meanwhile.
        for _ in range(10):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u, \
                    socket.socket() as t:
                u.bind(("127.0.0.1", 0))
                self.port = u.getsockname()[1]
                try:
                    t.bind(("127.0.0.1", self.port))
                except OSError:
                    continue
            self._spawn()
            if self._wait():
                self.address = "127.0.0.1@%d" % self.port
                return
            self._stop()
        raise AssertionError("nsd does not start:\n" + self.log())

    def _spawn(self):
        conf = os.path.join(self.dir, "nsd.conf")
        with open(conf, "w") as f:
            f.write("server:\n"
                    " ip-address: 127.0.0.1@%d\n"
                    " server-count: 1\n username: \"\"\n chroot: \"\"\n"
                    " database: \"\"\n zonesdir: \"%s\"\n"
                    " zonelistfile: \"%s/zone.list\"\n"
                    " xfrdfile: \"%s/xfrd.state\"\n pidfile: \"\"\n"
                    " logfile: \"%s/nsd.log\"\n rrl-ratelimit: 0\n"
                    "remote-control:\n control-enable: no\n"
                    % (self.port, self.dir, self.dir, self.dir, self.dir))
            for name in self.zones:
                f.write("zone:\n name: \"%s\"\n zonefile: \"%s.zone\"\n"
                        % (name, name))
        self.process = subprocess.Popen(
            ["/usr/sbin/nsd", "-d", "-c", conf], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)

    def _wait(self):
        """Until it answers with authority for a zone of ours."""
        name = next(iter(self.zones))
        query = struct.pack(">6H", 0x1234, 0, 1, 0, 0, 0)
        for label in name.split("."):
            query += bytes([len(label)]) + label.encode()
        query += b"\0" + struct.pack(">2H", 6, 1)
        end = time.monotonic() + PATIENCE
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            s.connect(("127.0.0.1", self.port))
            while time.monotonic() < end and self.process.poll() is None:
                try:
                    s.send(query)
                    answer = s.recv(4096)
                except (socket.timeout, ConnectionRefusedError):
                    time.sleep(0.02)
                    continue
                if answer[:2] == b"\x12\x34" and answer[2] & 4:
                    return True
        return False

    def log(self):
        with contextlib.suppress(FileNotFoundError), \
                open(os.path.join(self.dir, "nsd.log")) as f:
            return f.read()
        return ""

    def _stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def close(self):
        self._stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        return False
