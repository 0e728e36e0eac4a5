# SPDX-License-Identifier: ISC
"""Signing in, by STARTTLS and in implicit TLS: our queue at a smarthost that
is another of ours, Debian's Postfix or Exim, and these at our submission."""
import os
import smtplib
import subprocess
import unittest

import imapraw
import peers
from beside import message
from pneu import PASSWORD, PATIENCE, System, certificate, until

THERE = "user1@example.org:pass1" # Dovecot's, whom that Postfix asks
HERE = "alice@example.test:" + PASSWORD


class Postfix(peers.Postfix):
    """Dovecot looks after the passwords."""

    def __init__(self, next_port, dovecot, extra):
        self.dovecot = dovecot
        super().__init__(next_port, extra)

    def operands(self):
        return [self.dovecot.dir]

    def change(self, *lines):
        etc = os.path.join(self.dir, "run", "etc")
        for args in (["postconf", "-c", etc, "-e", *lines],
                     ["postfix", "-c", etc, "reload"]):
            subprocess.run(args, check=True, stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=PATIENCE)


class Exim(peers.Exim):
    def __init__(self, next_port, sign_in, **env):
        super().__init__(next_port, SIGN_IN=sign_in, **env)

    def environment(self):
        return dict(super().environment(), SMTPS_PORT=str(self.more_ports[0]))


class SigningIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s = System()
        cls.addClassCleanup(cls.s.close)
        if not imapraw.dovecot_is_here():
            raise unittest.SkipTest("no Dovecot to ask about passwords")
        cls.dovecot = imapraw.Dovecot()
        cls.addClassCleanup(cls.dovecot.close)

    def there(self, peer, ca, port, tls, to, sign_in=THERE):
        """Through our msa and queue to the smarthost at that port."""
        user, password = sign_in.split(":")
        secret = os.path.join(self.s.dir, "secret")
        with open(secret, "w") as f:
            f.write(password + "\n")
        self.s.stop("qm")
        self.s.write_conf({"tls": dict(zip(("certificate", "key"),
                                           certificate()), ca=ca), "qm": {
            "smarthost": "127.0.0.1:%d" % port, "smarthost_tls": tls,
            "smarthost_user": user, "smarthost_password_file": secret}})
        self.s.start("qm")
        word = b"there by " + tls.encode()
        self.s.submit("alice", [to], message(word))
        until(lambda: any(word in m for _, m in peer.messages()),
              "%r\n%s\n%s" % (word, self.s.log("qm")[-2000:],
                              peer.log()[-2000:]))

    def here(self, peer, word):
        """What the peer is given for elsewhere it hands to our msa."""
        with smtplib.SMTP("127.0.0.1", peer.port, timeout=PATIENCE) as c:
            c.sendmail("alice@example.test", ["bob@example.test"],
                       message(word))
        try:
            got = self.s.wait_message("bob", b"Subject: " + word)
        except AssertionError as e:
            raise AssertionError("%s\n%s" % (e, peer.log()[-4000:]))
        self.assertIn(b" with ESMTPSA ", got)

    def test_ours(self):
        with System(domain="hub.test") as hub:
            hub.pneu("account", "grant", "alice@hub.test",
                     "alice@example.test")
            ca = certificate()[0]

            class Peer:
                def messages(self):
                    return [(None, m) for m in hub.messages("bob")]

                def log(self):
                    return hub.log("msa")
            for name, tls in (("submission", "starttls"),
                              ("submissions", "tls")):
                self.there(Peer(), ca, hub.port[name], tls, "bob@hub.test",
                           "alice@hub.test:" + PASSWORD)

    def test_postfix(self):
        with Postfix(self.s.port["submission"], self.dovecot, "\n".join((
                "virtual_mailbox_maps = static:x",
                "smtp_sasl_auth_enable = yes",
                "smtp_sasl_password_maps = static:" + HERE,
                "smtp_sasl_security_options = noanonymous",
                "smtp_tls_security_level = encrypt", ""))) as peer:
            ca = os.path.join(self.dovecot.dir, "cert.pem")
            for port, tls in zip(peer.more_ports, ("starttls", "tls")):
                self.there(peer, ca, port, tls, "bob@postfix.test")
            self.assertEqual(
                peer.log().count("sasl_username=user1@example.org"), 2)
            self.here(peer, b"postfix by starttls")
            peer.change("smtp_tls_wrappermode = yes",
                        "default_transport = smtp:[127.0.0.1]:%d" %
                        self.s.port["submissions"])
            self.here(peer, b"postfix by tls")

    def test_exim(self):
        for name, word, env in (("submission", b"exim by starttls", {}),
                                ("submissions", b"exim by tls",
                                 {"NEXT_PROTOCOL": "smtps"})):
            with Exim(self.s.port[name], HERE, **env) as peer:
                self.here(peer, word)
                port, tls = (peer.more_ports[0], "tls") if env else \
                    (peer.port, "starttls")
                self.there(peer, certificate()[0], port, tls, "bob@exim.test",
                           HERE)
                self.assertIn("A=plain:alice@example.test", peer.log())


class Outside(unittest.TestCase):
    """Mail of an outside account goes out by Postfix, signed in there."""

    def test_postfix(self):
        if not imapraw.dovecot_is_here():
            raise unittest.SkipTest("no Dovecot to ask about passwords")
        dovecot = imapraw.Dovecot()
        self.addCleanup(dovecot.close)
        ca = os.path.join(dovecot.dir, "cert.pem")
        with System(programs=("guard", "mailbox", "qm", "msa", "gateway"),
                    conf={"tls": {"ca": ca}}) as s, \
                Postfix(1, dovecot, "virtual_mailbox_maps = static:x\n") as peer:
            for port, tls in zip(peer.more_ports, ("starttls", "tls")):
                s.pneu("outside", "add", "--pause", "--protocol", "imap",
                       "--host", "localhost", "--port",
                       str(dovecot.port["imap"]), "--security", "starttls",
                       "--user", "user1@example.org", "--smtp-host",
                       "localhost", "--smtp-port", str(port),
                       "--smtp-security", tls, "far@out.test",
                       "alice@example.test", input="pass1\n")
                word = b"out by " + tls.encode()
                s.submit("alice", ["bob@postfix.test"], b"From: far@out.test"
                         b"\r\nSubject: " + word + b"\r\n\r\nbody\r\n",
                         "far@out.test")
                until(lambda: any(word in m for _, m in peer.messages()),
                      "%r\n%s" % (word, s.log("qm")[-2000:]))
                s.pneu("outside", "remove", "far@out.test")
            self.assertEqual(
                peer.log().count("sasl_username=user1@example.org"), 2)


if __name__ == "__main__":
    unittest.main()
