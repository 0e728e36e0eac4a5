# SPDX-License-Identifier: ISC
"""Scripted dialogues, one for each rule (dialogues/*.txt; dialogues/README
says how they are written), with our own programs and, where the rule is a
standard's, with Debian's Postfix, Exim and Dovecot too: so that a wrong
expectation shows."""
import concurrent.futures
import glob
import os
import re
import unittest

import imapraw
import peers
from pneu import System, free_ports
from smtpraw import Raw
from test_hostile import FRONTS, Front

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = {
    "all": FRONTS[:2] + FRONTS[3:], "esmtp": ("smtp", "submission"),
    "lmtp": ("mailbox", "qm", "guard"),
    "takers": ("smtp", "submission", "mailbox", "qm"),
}
PEERS = ("postfix", "exim", "dovecot")
LIMIT = 102400 # octets, everywhere
# 127.0.0.2 may speak for others, everywhere; PROXY comes from 127.0.0.5.
CONF = {
    "mta": {"max_errors": 1000, "max_per_address": 10000, "max_size": LIMIT,
            "etrn_from": ["127.0.0.2"], "xclient_from": ["127.0.0.2"],
            "xforward_from": ["127.0.0.2"], "proxy_from": ["127.0.0.5"],
            "max_domains": 1},
    "msa": {"max_size": LIMIT, "etrn_from": ["127.0.0.2"],
            "xclient_from": ["127.0.0.2"], "proxy_from": ["127.0.0.5"]},
    "mailbox": {"max_size": LIMIT, "xclient_from": ["unix"]},
    "qm": {"max_size": LIMIT},
    # Nobody answers there.
    "dns": {"stub": {"else.test": "127.0.0.1@9",
                     "elsewhere.test": "127.0.0.1@9"}},
}


# --- the places that are asked ---

class Ours(Front):
    strict = True # what follows the code is compared too

    def __init__(self, s, name):
        super().__init__(s, name)
        self.domain, self.to = s.domain, "bob@" + s.domain
        self.to2 = "alice@" + s.domain

    def port(self):
        return os.path.join(self.s.dir, "sock", self.name + ".sock") \
            if self.lmtp else self.s.port[self.name]

    def start(self, how, source):
        if how != "ready" or self.name != "submission":
            return begin(self, how, source)
        # Spares the password, whose check is meant to take long.
        c = begin(self, how, "127.0.0.2")
        assert c.code("XCLIENT LOGIN=" + self.sender) == 220
        c.hello()
        return c


class There:
    strict = False

    def __init__(self, name, at, domain, to, to2, lmtp=False, proxy=None):
        self.name, self.at, self.domain, self.lmtp = name, at, domain, lmtp
        self.to, self.to2 = to + "@" + domain, to2 + "@" + domain
        self.sender, self.proxy = "s@else.test", proxy

    def port(self):
        return self.at

    def start(self, how, source):
        if source == "127.0.0.5":
            return Raw(self.proxy, banner=False)
        return begin(self, how, source)


def begin(place, how, source):
    """silent: connected; greeted: by the banner; hello, ready: and said hello
    to; tls: again, under TLS."""
    c = Raw(place.port(), how != "silent", source=source)
    if how in ("silent", "greeted"):
        return c
    c.hello(place.lmtp)
    if how == "tls":
        assert c.code("STARTTLS") == 220
        c.secure()
        c.hello(place.lmtp)
    return c


class Postfix(peers.Postfix):
    MORE = """
smtpd_helo_required = yes
message_size_limit = %d
smtpd_authorized_xclient_hosts = 127.0.0.2
smtpd_authorized_xforward_hosts = 127.0.0.2
fast_flush_domains = flushed.test
smtpd_etrn_restrictions = check_client_access inline:{127.0.0.2=OK}, reject
smtpd_relay_restrictions = reject_unauth_destination
""" % LIMIT

    def __init__(self):
        super().__init__(9, self.MORE)

    def environment(self):
        self.proxy = free_ports(1)[0]
        return dict(super().environment(), BARE_LF="reject",
                    PROXY_PORT=str(self.proxy))


# --- the dialogues ---

class Dialogue:
    def __init__(self, file, line, name):
        self.file, self.line, self.name = file, line, name
        self.places, self.how, self.source = (), "ready", None
        self.cut = self.alone = False
        self.steps = [] # ("C", octets), ("S", {place: want}), ("TLS", None)

    def __str__(self):
        return "%s:%d %s" % (self.file, self.line, self.name)

    def head(self, key, value):
        if key == "on":
            self.places = [p for word in value.split()
                           for p in GROUPS.get(word, (word,))]
        elif key == "start":
            self.how = value
        elif key == "from":
            self.source = value
        elif key == "cut":
            self.cut = True
        elif key == "alone": # why no other server is asked
            self.alone = True
        else:
            raise ValueError("%s: what is %r?" % (self, key))

    def reply(self, place, text):
        want, _, reason = text.partition(" -- ")
        if not place:
            self.steps.append(("S", {"": want}))
        elif not reason:
            raise ValueError("%s: %s differs, without a reason" % (
                self, place))
        else:
            self.steps[-1][1].update({p: want for p in place.split(",")})

    def check(self):
        if not self.alone and not set(self.places) & set(PEERS):
            raise ValueError("%s: no peer is asked, without a reason" % self)


def octets(text):
    return text.encode().decode("unicode_escape").encode("latin-1")


def read(path):
    found, alone = [], False
    name = os.path.basename(path)
    with open(path) as f:
        for n, line in enumerate(f, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            m = re.match(r"(C:|C\||S(?:\[([a-z,]*)\])?:|TLS|[a-z]+:|==) ?(.*)",
                         line)
            if m is None:
                raise ValueError("%s:%d: %r" % (name, n, line))
            word, place, rest = m.groups()
            if word == "==":
                found.append(Dialogue(name, n, rest))
                found[-1].alone = alone
            elif word == "alone:" and not found:
                alone = True # for the whole file
            elif word == "C:":
                found[-1].steps.append(("C", rest.encode() + b"\r\n"))
            elif word == "C|":
                found[-1].steps.append(("C", octets(rest)))
            elif word == "TLS":
                found[-1].steps.append(("TLS", None))
            elif word.startswith("S"):
                found[-1].reply(place, rest)
            else:
                found[-1].head(word[:-1], rest)
    for d in found:
        d.check()
    return found


class Run:
    """One dialogue in one place."""

    def __init__(self, test, dialogue, place):
        self.test, self.d, self.place = test, dialogue, place
        self.values = {
            "FROM": place.sender, "TO": place.to, "TO2": place.to2,
            "DOMAIN": place.domain, "USER": place.to.partition("@")[0],
            "UPPER": place.to.upper(),
            "HELLO": ("LHLO" if place.lmtp else "EHLO") + " client.test",
            "BIG": "x" * (LIMIT + 1000)}
        self.ended = False

    def fill(self, text):
        return re.sub(rb"\$([A-Z]+[0-9]?)",
                      lambda m: self.values[m[1].decode()].encode(), text)

    def pieces(self, text, cut):
        """cut: None, or the place between { and } where it is cut, or "all":
        in single octets."""
        if not self.d.cut:
            return [self.fill(text)]
        before, mark, rest = text.partition(b"{")
        if not mark:
            return [self.fill(text)]
        inside, _, after = rest.partition(b"}")
        whole = self.fill(before + inside + after)
        at = len(self.fill(before))
        if cut is None:
            return [whole]
        if cut == "all":
            return [whole[i:i + 1] for i in range(len(whole))]
        return [whole[:at + cut], whole[at + cut:]]

    def compare(self, c, want):
        want = want.get(self.place.name, want[""])
        codes, _, text = want.partition(" ")
        got = c.reply()
        if codes == "closed":
            self.ended = True
            return self.test.assertIsNone(got, want)
        if got is None and "closed" in codes.split(","):
            self.ended = True
            return None
        self.test.assertIsNotNone(got, "closed, not " + want)
        self.test.assertIn(str(got[0]), codes.split(","), got)
        if self.place.strict and text:
            self.test.assertRegex(got[1], "(?ms)\\A" + text)
        return None

    def cuts(self):
        if not self.d.cut:
            return [None]
        inside = next(re.search(rb"\{(.*?)\}", t, re.S)[1]
                      for k, t in self.d.steps if k == "C" and b"{" in t)
        return [None, "all"] + list(range(len(inside) + 1))

    def send(self, c, octets):
        try:
            c.send(octets)
        except ConnectionError:
            pass # it was ended; what was said before is read all the same

    def once(self, cut):
        self.ended, waiting = False, []
        with self.place.start(self.d.how, self.d.source) as c:
            for kind, what in self.d.steps + [("", None)]:
                if kind == "C":
                    waiting += self.pieces(what, cut)
                    continue
                # What stands together goes in one packet.
                for piece in waiting if self.d.cut else [b"".join(waiting)]:
                    if piece:
                        self.send(c, piece)
                waiting = []
                if kind == "S":
                    self.compare(c, what)
                    if self.ended:
                        return
                elif kind == "TLS":
                    c.secure()
            # In step: nothing was taken for more, or for fewer, commands.
            self.test.assertEqual(c.code("NOOP"), 250, "out of step")

    def run(self):
        for cut in self.cuts():
            self.once(cut)


PLACES = {}


def start_postfix():
    p = Postfix()
    return p, There("postfix", p.port, p.domain, "bob", "sam", proxy=p.proxy)


def start_exim():
    e = peers.Exim(9, SIZE_LIMIT=str(LIMIT))
    return e, There("exim", e.port, e.domain, "bob", "sam")


def start_dovecot():
    if not imapraw.dovecot_is_here():
        raise unittest.SkipTest("no Dovecot")
    d = imapraw.Dovecot()
    return d, There("dovecot", d.port["lmtp"], "example.org", "user1",
                    "user2", lmtp=True)


def stop(future):
    if future.exception() is None:
        future.result()[0].close()


def setUpModule():
    """All peers at once: each waits for its own most of the time."""
    pool = concurrent.futures.ThreadPoolExecutor(4)
    unittest.addModuleCleanup(pool.shutdown)
    begun = [pool.submit(f) for f in (start_postfix, start_exim,
                                      start_dovecot)]
    for future in begun:
        unittest.addModuleCleanup(pool.submit, stop, future)
    s = System(conf=CONF)
    unittest.addModuleCleanup(s.close)
    PLACES.update({name: Ours(s, name) for name in FRONTS}, system=s)
    for future in begun:
        try:
            _, place = future.result()
        except unittest.SkipTest:
            continue # not installed
        PLACES[place.name] = place


class Dialogues(unittest.TestCase):
    """A test for each dialogue; its name is the file's and the line."""

    def converse(self, dialogue):
        for name in dialogue.places:
            if name in PEERS and name not in PLACES:
                continue # not installed
            with self.subTest(str(dialogue), place=name):
                Run(self, dialogue, PLACES[name]).run()

    def test_zz_nothing_was_smuggled(self):
        """By none of them all: after the others, by its name."""
        s = PLACES["system"]
        for user in s.accounts:
            for message in s.messages(user):
                self.assertNotIn(b"Return-Path: <evil", message)
        self.assertFalse(re.search(r"from=<evil", s.log("mta")))


def add_tests():
    for path in sorted(glob.glob(os.path.join(HERE, "dialogues", "*.txt"))):
        for d in read(path):
            def test(self, d=d):
                self.converse(d)
            test.__doc__ = d.name
            name = "test_%s_%03d" % (d.file[:-4], d.line)
            setattr(Dialogues, name, test)


add_tests()

if __name__ == "__main__":
    unittest.main()
