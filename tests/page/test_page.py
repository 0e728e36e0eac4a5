# SPDX-License-Identifier: ISC
"""The web page in Debian's Chromium: `make page-test`. views.mjs is the person
who uses it; here are the mail system, and the mail that arrives."""
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))

from pneu import System, free_ports  # noqa: E402
from pop3server import Pop3Server  # noqa: E402
from test_api import Api, deliver  # noqa: E402
from test_api_send import hostile_cases  # noqa: E402

LETTERS = [
    ("Charles Babbage <c@else.test>", "Minutes of the meeting"),
    ("Grace Hopper <g@else.test>", "A moth was found in relay 70"),
    ("Post Office <p@else.test>", "Your parcel has arrived by tube"),
    ("Ada Lovelace <bob@example.test>", "Plans for the engine"),
]


def letter(who, subject, i=0):
    return ("From: %s\r\nTo: alice@example.test\r\nSubject: %s\r\n"
            "Message-ID: <l%d@else.test>\r\n"
            "Date: Fri, 27 Nov 2026 12:00:00 +0000\r\n\r\nDear Alice,\r\n\r\n"
            "the engine weaves algebraical patterns just as the Jacquard loom"
            " weaves flowers and leaves.\r\n" % (who, subject, i)).encode()


NEWSLETTER = (
    b"From: News <news@else.test>\r\nTo: alice@example.test\r\n"
    b"Subject: Newsletter with pictures\r\nMIME-Version: 1.0\r\n"
    b"Date: Sat, 28 Nov 2026 09:00:00 +0000\r\n"
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b"<h1 style=\"color:#1f6feb\">Pneumatic news</h1><p>Hello <b>Alice</b>, "
    b"<a href=\"https://else.test/\">read more</a>.</p><table border=1 "
    b"cellpadding=6><tr><td>Tubes</td><td bgcolor=#eeeeee>12 km</td></tr>"
    b"</table><img src=\"https://track.test/x.gif\">"
    b"<script>window.hacked=1</script>\r\n--b\r\n"
    b"Content-Type: application/pdf\r\n"
    b"Content-Disposition: attachment; filename=report.pdf\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--b--\r\n")


class Person(unittest.TestCase):
    """Runs VIEWS in node, and answers what it asks for by answer_WHAT."""

    VIEWS, env = None, {}

    def answer(self, line):
        return getattr(self, "answer_" + line.replace(" ", "_"))()

    def run_person(self):
        person = subprocess.Popen(
            ["node", self.VIEWS], cwd=HERE, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PORT": str(self.port), **self.env})
        self.addCleanup(person.stdout.close)
        self.addCleanup(person.stdin.close)
        self.addCleanup(person.kill)
        line = ""
        for line in person.stdout:
            line = line.strip()
            if line == "good":
                break
            if line.startswith("say "):
                print(line[4:], flush=True)
                continue
            person.stdin.write("done %s\n" % (self.answer(line) or ""))
            person.stdin.flush()
        self.assertEqual(line, "good")
        self.assertEqual(person.wait(60), 0)


class Page(Person):
    VIEWS = "views.mjs"

    def setUp(self):
        self.system = System(
            programs=("guard", "mailbox", "qm", "mta", "msa", "gateway",
                      "manage", "http"),
            conf={"mailbox": {"http_rate": 0, "http": "unix:api.sock"},
                  "manage": {"outside_private": True},
                  "gateway": {"notice_private": True},
                  # What goes out waits: nobody is there.
                  "qm": {"smarthost": "127.0.0.1:%d" % free_ports(1)[0]}})
        self.addCleanup(self.system.close)
        self.port = self.system.port["web"]
        self.system.pneu("account", "set", "--admin", "alice@example.test")
        self.pop3 = Pop3Server([letter("Far <far@else.test>",
                                       "From an account elsewhere", 70)],
                               user="u", password="p")
        self.addCleanup(self.pop3.close)
        self.api = Api(self.port)
        self.api.sign_in()
        deliver(self.system, "alice", *(
            letter(*l, i) for i, l in enumerate(LETTERS)), NEWSLETTER)
        self.hostile = self.put_hostile()

    def put_hostile(self):
        cases = hostile_cases()
        box = self.api.call("POST", "/mailboxes", {"name": "hostile"})[1]
        c = self.system.imap("alice")
        for case in cases:
            c.append("hostile", None, None,
                     b"Subject: hostile\r\nContent-Type: text/html; "
                     b"charset=utf-8\r\n\r\n" + case)
        c.logout()
        self.assertEqual(self.api.mailbox("hostile")["id"], box["id"])
        return len(cases)

    def answer_sent(self):
        m = self.system.wait_message("bob", b"from the page")
        self.assertIn(b"In-Reply-To: <l3@else.test>", m)

    def answer_deliver_fresh(self):
        deliver(self.system, "alice", letter("New <n@else.test>",
                                             "A fresh one", 90))

    def answer_deliver_second(self):
        deliver(self.system, "alice", letter("New <n@else.test>",
                                             "A second one", 91))

    def answer_queue(self):
        self.system.submit("bob", ["someone@away.test"],
                           letter("Bob <bob@example.test>", "Out", 80))

    def test_the_page(self):
        self.env = {"POP3": str(self.pop3.port), "HOSTILE": str(self.hostile)}
        self.run_person()


if __name__ == "__main__":
    unittest.main()
