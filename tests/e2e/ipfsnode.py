# SPDX-License-Identifier: ISC
"""IPFS nodes for tests.

Scripted: what pneu asks of a node's RPC API, strict about what it is sent, with
faults when told. Real: js-ipfs from npm, where tools/deps has installed it; both
have the same methods, so that a test can run on either.
"""
import base64
import contextlib
import hashlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from pneu import PATIENCE, TOP, free_ports

HOME = os.environ.get("PNEU_IPFS_NODE", "/usr/local/lib/pneu-peers/ipfs")
BLOCK_MAX = 768 << 10
ADD = {"cid-version": "1", "raw-leaves": "true", "hash": "sha2-256",
       "chunker": "size-1048576", "cid-base": "base32", "pin": "true",
       "progress": "false"}


def cid_of(block):
    """Not by pneu's code: CIDv1, raw, sha2-256, base32."""
    binary = b"\x01\x55\x12\x20" + hashlib.sha256(block).digest()
    return "b" + base64.b32encode(binary).decode().lower().rstrip("=")


class Refused(Exception):
    pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_POST(self):
        node = self.server.node
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, strict_parsing=bool(url.query))
        query = {k: v[0] for k, v in query.items() if len(v) == 1}
        name = url.path[len("/api/v0/"):]
        with node.lock:
            node.requests.append(name)
            fault = node.fault(name, query) if node.fault else None
        if fault == "drop":
            self.close_connection = True
            return
        if isinstance(fault, bytes):
            self.wfile.write(fault)
            self.close_connection = True
            return
        try:
            if self.headers["Connection"] != "close" or self.headers["Origin"]:
                raise Refused("headers")
            answer = getattr(self, "on_" + name.replace("/", "_"))(query, body)
        except Refused as e:
            node.complaints.append("%s: %s" % (self.path, e))
            return self.answer(400, {"Message": str(e)})
        if isinstance(answer, bytes):
            return self.answer_octets(answer)
        return self.answer(500 if "Message" in answer else 200, answer)

    def do_GET(self):
        self.server.node.complaints.append("GET " + self.path)
        self.answer(405, {"Message": "POST only"})

    def answer(self, status, value):
        text = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(text)

    def answer_octets(self, octets):
        """In chunks, as Kubo does."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for at in range(0, len(octets), 50000):
            part = octets[at:at + 50000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\nX-Stream-Error: \r\n\r\n")

    def block_of(self, body):
        kind = self.headers["Content-Type"] or ""
        m = re.fullmatch(r"multipart/form-data; boundary=([0-9a-zA-Z]{16,70})",
                         kind)
        if not m:
            raise Refused("content type " + kind)
        mark = m.group(1).encode()
        m = re.fullmatch(
            rb"--%s\r\nContent-Disposition: form-data; name=\"file\"; "
            rb"filename=\"[a-z]+\"\r\nContent-Type: application/octet-stream"
            rb"\r\n\r\n(.*)\r\n--%s--\r\n" % (mark, mark), body, re.DOTALL)
        if not m:
            raise Refused("form")
        return m.group(1)

    def cid_in(self, query):
        timeout = query.pop("timeout", "")
        if set(query) != {"arg"} or not re.fullmatch(r"[0-9]+s", timeout):
            raise Refused("query")
        if not re.fullmatch(r"bafkrei[a-z2-7]{52}", query["arg"]):
            raise Refused("CID")
        return query["arg"]

    def on_add(self, query, body):
        node = self.server.node
        block = self.block_of(body)
        if query != ADD:
            raise Refused("query")
        if len(block) > BLOCK_MAX:
            raise Refused("block of %d octets" % len(block))
        cid = cid_of(block)
        with node.lock:
            node.blocks[cid] = block
            node.pinned.add(cid)
        return {"Name": "block", "Hash": cid, "Size": str(len(block))}

    def on_block_get(self, query, body):
        cid = self.cid_in(query)
        with self.server.node.lock:
            block = self.server.node.blocks.get(cid)
        if block is None:
            return {"Message": "block was not found locally (offline)",
                    "Code": 0, "Type": "error"}
        return block

    def on_pin_rm(self, query, body):
        cid, node = self.cid_in(query), self.server.node
        with node.lock:
            if cid not in node.pinned:
                return {"Message": "not pinned or pinned indirectly",
                        "Code": 0, "Type": "error"}
            node.pinned.discard(cid)
        return {"Pins": [cid]}


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that is killed


class Scripted:
    def __init__(self, up=True):
        self.lock = threading.Lock()
        self.blocks, self.pinned = {}, set()
        self.requests, self.complaints = [], []
        self.fault = None  # name, query -> None, "drop" or octets to answer
        self.server = None
        (self.port,) = free_ports(1)
        if up:
            self.up()

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def up(self):
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.node = self
        threading.Thread(target=self.server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def down(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
        self.server = None

    kill = close = down

    def pins(self):
        with self.lock:
            return set(self.pinned)

    def get(self, cid):
        with self.lock:
            return self.blocks[cid]


class Real:
    def __init__(self, up=True):
        self.process = None
        if not os.path.exists(HOME + "/node_modules/.bin/jsipfs"):
            raise unittest.SkipTest("no IPFS node in %s: tools/deps peers "
                                    "installs one by npm" % HOME)
        self.dir = tempfile.mkdtemp(prefix="pneu-ipfs-", dir="/tmp")
        (self.port,) = free_ports(1)
        try:
            if up:
                self.up()
        except BaseException:
            self.close()
            raise

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def up(self):
        with open(self.dir + "/log", "ab") as log:
            self.process = subprocess.Popen(
                [TOP + "/tests/ipfs/up.sh", HOME, self.dir + "/repo",
                 str(self.port)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        end = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask("version")
                return
            time.sleep(0.1)
        with open(self.dir + "/log", errors="replace") as f:
            text = f.read()[-3000:]
        raise AssertionError("the IPFS node did not start:\n" + text)

    def end(self, sig):
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sig)
            self.process.wait(PATIENCE)
        self.process = None

    def kill(self):
        self.end(signal.SIGKILL)

    down = kill

    def close(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def ask(self, what, **query):
        url = "http://%s/api/v0/%s?%s" % (
            self.address, what, urllib.parse.urlencode(query))
        with urllib.request.urlopen(url, data=b"", timeout=PATIENCE) as r:
            return r.read()

    def pins(self):
        """Those that pneu has put; the node pins things of its own."""
        text = self.ask("pin/ls", type="recursive",
                        **{"cid-base": "base32"}).decode()
        found = set()
        for line in text.splitlines():
            value = json.loads(line)
            for cid in value.get("Keys", {}) or [value.get("Cid")]:
                found.add(cid)
        return {c for c in found if c and c.startswith("bafkrei")}

    def get(self, cid):
        return self.ask("block/get", arg=cid, timeout="10s")
