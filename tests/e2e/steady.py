# SPDX-License-Identifier: ISC
"""What an attack must leave as it was: the same processes, which serve
ordinary mail, with about the memory they had (issue 2: no input of any peer
makes a process exit, hang, or grow without bound)."""
import contextlib
import os
import uuid

from pneu import BUILD, children, pss, until

# ASan keeps what was freed for a while, up to 256 MiB.
SANITIZED = "san" in os.path.basename(BUILD)
ROOM_KIB = 524288 if SANITIZED else 6144


def pids(s):
    return {p: [s.process[p].pid] + sorted(children(s.process[p].pid))
            for p in s.programs}


def memory(s):
    return {p: pss(s.process[p].pid) for p in s.programs}


def serves(s):
    """Mail comes in by SMTP and by submission, and is read by IMAP and
    POP3."""
    words = [("steady-%s" % uuid.uuid4().hex).encode() for _ in range(2)]
    text = b"From: alice@example.test\r\nSubject: %s\r\n\r\nx\r\n"
    s.send("x@else.test", ["bob"], text % words[0])
    s.submit("alice", ["bob"], text % words[1])
    for word in words:
        s.wait_message("bob", word)
    p = s.pop3("bob")
    p.list()
    p.quit()
    c = s.imap("bob")
    c.select()
    c.store("1:*", "+FLAGS.SILENT", r"\Deleted")
    c.expunge()
    c.logout()


@contextlib.contextmanager
def steady(s, room_kib=ROOM_KIB):
    serves(s)
    who, before = pids(s), memory(s)
    yield
    serves(s)
    assert pids(s) == who, (pids(s), who)
    # What a crowd used goes back when it is gone; pools follow in their time.
    after = {}

    def is_small():
        after.update(memory(s))
        return all(after[p] < before[p] + room_kib for p in s.programs)
    try:
        until(is_small)
    except AssertionError:
        raise AssertionError("memory in KiB: %s before, %s after" % (
            before, after)) from None
