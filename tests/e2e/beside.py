# SPDX-License-Identifier: ISC
"""A system of ours beside a peer (peers.py), each the next hop of the other;
and mail that is hard to relay."""
import email
import smtplib

from pneu import PASSWORD, PATIENCE, System, tls_context, until

HEAD = b"Subject: %s\r\nFrom: %s\r\n\r\n"


def message(subject, sender=b"alice@example.test", body=b"body\r\n"):
    return HEAD % (subject, sender) + body


# What a relay could get wrong: dots, long lines, all octets but CR, LF, NUL.
HARD = (b".\r\n..\r\n.x\r\n\r\nFrom here\r\n" + b"y" * 990 + b"\r\n" +
        bytes(c for c in range(1, 256) if c not in (10, 13)) + b"\r\n")


def submit(system, user="alice"):
    c = smtplib.SMTP("127.0.0.1", system.port["submission"], timeout=PATIENCE)
    c.starttls(context=tls_context())
    c.ehlo()
    c.login(system.address(user), PASSWORD)
    return c


def bdat(c, data):
    """The message in two chunks; the final reply."""
    half = len(data) // 2
    c.send(b"BDAT %d\r\n" % half + data[:half])
    code, text = c.getreply()
    if code != 250:
        return code, text
    c.send(b"BDAT %d LAST\r\n" % (len(data) - half) + data[half:])
    return c.getreply()


def status_of(text):
    """(message fields, recipient fields, ...) of a delivery report."""
    m = email.message_from_bytes(text)
    part = next(p for p in m.walk() if p.get_content_type() in
                ("message/delivery-status", "message/global-delivery-status"))
    return part.get_payload()


class Beside:
    """Mixed into test cases. Ours has a smarthost: what make_peer makes; what
    the peer does not keep it hands to our mta."""

    @classmethod
    def setUpClass(cls):
        cls.s = System(start=False)
        cls.addClassCleanup(cls.s.close)
        cls.peer = cls.make_peer(cls.s.port["smtp"])
        cls.addClassCleanup(cls.peer.close)
        cls.s.write_conf({"mta": {"max_size": "2M"}, "qm": {
            "smarthost": "127.0.0.1:%d" % cls.peer.port,
            "smarthost_tls": "may", "retry_first": "100ms",
            "retry_max": "1s"}})
        cls.s.start_all()
        cls.s.pneu("address", "add", "away@example.test", cls.at("bob"))
        cls.s.pneu("address", "add", "gone@example.test", cls.at("nobody"))

    @classmethod
    def at(cls, name):
        return "%s@%s" % (name, cls.peer.domain)

    def to_peer(self):
        c = smtplib.SMTP("127.0.0.1", self.peer.port, timeout=PATIENCE)
        self.addCleanup(c.close)
        c.ehlo("client.test")
        return c

    def from_us(self):
        c = submit(self.s)
        self.addCleanup(c.close)
        return c

    def wait_peer(self, text, to=None):
        def find():
            return next((m for r, m in self.peer.messages()
                         if text in m and to in (None, r)), None)
        try:
            return until(find, "message with %r" % text)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, self.peer.log()[-4000:]))
