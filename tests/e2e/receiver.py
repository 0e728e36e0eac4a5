# SPDX-License-Identifier: ISC
"""A receiver of notices: an HTTP server on loopback, plain or TLS, that answers
as it is told and remembers what came."""
import http.server
import json
import ssl
import threading

from pneu import PATIENCE, certificate, until


class Notice:
    def __init__(self, path, headers, body, answer):
        self.path, self.headers, self.body = path, headers, body
        self.answer = answer

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def taken(self):
        return isinstance(self.answer, int) and 200 <= self.answer < 300


class Receiver:
    """answer: a status, or a function of (handler, notice) that answers by
    itself; by path where it is a dict."""

    def __init__(self, answer=200, tls=False, names=None):
        self.answer = answer
        self.all = []
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                receiver.take(self)

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 100

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        self.tls = tls
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(
                *(certificate(names) if names else certificate()))
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True)
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def take(self, handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        with self.lock:
            answer = self.answer
            if isinstance(answer, dict):
                answer = answer.get(handler.path, 200)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            notice = Notice(handler.path, handler.headers, body, answer)
            self.all.append(notice)
        if callable(answer):
            handler.close_connection = True
            answer(handler, notice)
            return
        handler.send_response(answer)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def url(self, path, host="127.0.0.1"):
        return "http%s://%s:%d%s" % (
            "s" if self.tls else "", host, self.port, path)

    def at(self, path, taken=False):
        with self.lock:
            return [n for n in self.all
                    if n.path == path and (n.taken or not taken)]

    def wait(self, path, n=1, taken=True, patience=None):
        """At least n that came there; all that did."""
        return until(lambda: (lambda v: v if len(v) >= n else None)(
            self.at(path, taken)), "%d notices at %s" % (n, path),
            patience or PATIENCE)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
