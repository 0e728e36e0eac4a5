# SPDX-License-Identifier: ISC
"""common/net/dns against a real name server, by the program dnsq."""
import json
import os
import subprocess
import tempfile
import unittest

from pneu import BUILD, PATIENCE
from zone import TestZone

LAB = """
@       MX 10 mx
mx      A 192.0.2.1
many    MX 20 c
many    MX 10 a
many    MX 10 b
many    MX 30 D.many
nomail  MX 0 .
halfnull MX 0 .
halfnull MX 5 a
a       A 192.0.2.11
a       A 192.0.2.12
a       AAAA 2001:db8::11
a       AAAA 2001:db8::12
a       AAAA 2001:db8::13
six     AAAA 2001:db8::6
alias   CNAME alias2
alias2  CNAME many
alias3  CNAME a
dead    CNAME nowhere
away    CNAME www.elsewhere.example.
loop    CNAME loop2
loop2   CNAME loop
text    TXT "one " "and two"
text    TXT "v=spf1 -all"
*.wild  A 192.0.2.77
big     TXT %s
""" % " ".join('"%s"' % (chr(97 + i) * 255) for i in range(20))

REVERSE = """
11 PTR a.lab.
12 PTR liar.lab.
12 PTR a.lab.
13 PTR nowhere.lab.
14 PTR liar.lab.
"""
REVERSE6 = "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR a.lab."


class Questions:
    """dnsq with a configuration."""

    def ask(self, conf, *questions, check=True):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            json.dump(conf, f)
            f.flush()
            r = subprocess.run(
                [os.path.join(BUILD, "tests", "dnsq"), f.name,
                 *" ".join(questions).split()],
                capture_output=True, text=True, timeout=PATIENCE)
        if not check:
            return r
        self.assertEqual(r.returncode, 0, r.stderr)
        return r.stdout.splitlines()


class Signed(Questions, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.zone = TestZone({
            "lab": LAB + "liar A 192.0.2.99\n",
            "insec.lab": "@ MX 5 mx\nmx A 192.0.2.2\n",
            "bogus.lab": "@ MX 5 mx\nmx A 192.0.2.3\n",
            "2.0.192.in-addr.arpa": REVERSE,
            "8.b.d.0.1.0.0.2.ip6.arpa": REVERSE6,
        }, signed=["lab"], tampered=["bogus.lab"])

    @classmethod
    def tearDownClass(cls):
        cls.zone.close()

    def check(self, question, *answers, conf=None):
        """The answer is one of those."""
        self.assertIn(self.ask(conf or self.zone.conf(), question)[0],
                      ["%s %s" % (question, a) for a in answers])

    def test_mx_is_sorted_and_random_among_equals(self):
        end = " 20:c.lab 30:d.many.lab"
        first = set()
        for _ in range(40):
            line = self.ask(self.zone.conf(), "mx many.lab")[0]
            self.assertIn(line, ["mx many.lab secure 10:a.lab 10:b.lab" + end,
                                 "mx many.lab secure 10:b.lab 10:a.lab" + end])
            first.add(line.split()[3])
            if len(first) == 2:
                return
        self.fail("the order among equals is not random")

    def test_mx_of_a_name_in_upper_case_and_with_a_final_dot(self):
        self.check("mx LAB", "secure 10:mx.lab")
        self.check("mx lab.", "secure 10:mx.lab")

    def test_null_mx(self):
        self.check("mx nomail.lab", "secure 0:")
        self.check("mx halfnull.lab", "secure 5:a.lab")

    def test_no_such_name_and_no_such_records(self):
        self.check("mx nowhere.lab", "secure ENOENT")
        self.check("addr nowhere.lab", "secure ENOENT")
        self.check("mx a.lab", "secure ENODATA")
        self.check("addr many.lab", "secure ENODATA")
        self.check("txt a.lab", "secure ENODATA")

    def test_a_cname_is_followed(self):
        self.check("addr alias3.lab", "secure 2001:db8::11 192.0.2.11 "
                   "2001:db8::12 192.0.2.12 2001:db8::13",
                   *self.orders("secure"))
        end = " 20:c.lab 30:d.many.lab"
        self.check("mx alias.lab", "secure 10:a.lab 10:b.lab" + end,
                   "secure 10:b.lab 10:a.lab" + end)
        self.check("addr dead.lab", "secure ENOENT")
        self.check("addr loop.lab", "insecure EAGAIN")

    @staticmethod
    def orders(prefix):
        """The server may turn each family's records round."""
        import itertools
        for six in itertools.permutations(["11", "12", "13"]):
            for four in itertools.permutations(["11", "12"]):
                yield "%s 2001:db8::%s 192.0.2.%s 2001:db8::%s 192.0.2.%s " \
                    "2001:db8::%s" % (prefix, six[0], four[0], six[1],
                                      four[1], six[2])

    def test_addresses_of_both_families_in_turn(self):
        self.check("addr a.lab", *self.orders("secure"))
        self.check("addr six.lab", "secure 2001:db8::6")
        self.check("addr mx.lab", "secure 192.0.2.1")
        self.check("addr x.y.wild.lab", "secure 192.0.2.77")

    def test_an_address_gives_itself(self):
        self.check("addr 192.0.2.5", "insecure 192.0.2.5")
        self.check("addr 2001:db8::5", "insecure 2001:db8::5")

    def test_text_strings_are_joined(self):
        line = self.ask(self.zone.conf(), "txt text.lab")[0]
        self.assertEqual(sorted(line.split(" [")), [
            "one and two]", "txt text.lab secure", "v=spf1 -all]"])

    def test_a_large_answer_comes_over_tcp(self):
        self.check("txt big.lab", "secure [%s]" % "".join(
            chr(97 + i) * 255 for i in range(20)))

    def test_an_unsigned_delegation_is_insecure(self):
        self.check("mx insec.lab", "insecure 5:mx.insec.lab")
        self.check("addr mx.insec.lab", "insecure 192.0.2.2")
        self.check("addr no.insec.lab", "insecure ENOENT")

    def test_bogus_is_try_later(self):
        self.check("addr mx.bogus.lab", "insecure EAGAIN")
        self.check("mx bogus.lab", "secure 5:mx.bogus.lab")

    def test_bogus_without_validation_is_an_answer(self):
        conf = self.zone.conf(trust_anchor="none")
        self.check("addr mx.bogus.lab", "insecure 198.51.100.3", conf=conf)
        self.check("mx lab", "insecure 10:mx.lab", conf=conf)

    def test_a_zone_that_the_server_refuses_is_try_later(self):
        self.check("mx elsewhere.example", "insecure EAGAIN")
        self.check("addr away.lab", "insecure EAGAIN")

    def test_the_name_of_an_address_maps_back(self):
        self.check("ptr 192.0.2.11", "a.lab")
        self.check("ptr ::ffff:192.0.2.11", "a.lab")
        self.check("ptr 192.0.2.12", "a.lab")
        self.check("ptr 192.0.2.13", "ENOENT")
        self.check("ptr 192.0.2.14", "ENOENT")
        self.check("ptr 192.0.2.15", "ENOENT")
        self.check("ptr 2001:db8::11", "a.lab")

    def test_no_domain_name_at_all(self):
        self.check("mx " + "x" * 64 + ".lab", "insecure ENOENT")
        self.check("mx a..b", "insecure ENOENT")

    def test_many_at_once_and_the_same_twice(self):
        lines = self.ask(self.zone.conf(), *["addr h%d.wild.lab" % (i // 2)
                                             for i in range(600)])
        self.assertEqual(lines, ["addr h%d.wild.lab secure 192.0.2.77" %
                                 (i // 2) for i in range(600)])


class Stub(Questions, unittest.TestCase):
    """Zones that are asked at a server of their own."""

    def test_a_stub_zone_beside_a_resolver(self):
        with TestZone({"lab": "@ MX 1 stub\n"}) as stub, \
                TestZone({"lab": "@ MX 1 wrong\n",
                          "other": "@ MX 1 mx\n"}) as resolver:
            conf = resolver.conf(stub={"lab": stub.address})
            self.assertEqual(self.ask(conf, "mx lab", "mx other"), [
                "mx lab insecure 1:stub.lab", "mx other insecure 1:mx.other"])

    def test_a_stub_zone_in_a_name_that_libunbound_answers_itself(self):
        with TestZone({"example.test": "@ MX 1 mx\nmx A 127.0.0.1\n"}) as z:
            conf = z.conf()
            self.assertEqual(self.ask(conf, "mx example.test"),
                             ["mx example.test insecure ENOENT"])
            conf = z.conf(stub={"example.test": z.address})
            self.assertEqual(
                self.ask(conf, "mx example.test", "addr mx.example.test"),
                ["mx example.test insecure 1:mx.example.test",
                 "addr mx.example.test insecure 127.0.0.1"])

    def test_a_stub_zone_needs_no_signature_under_a_trust_anchor(self):
        """The root (here: lab) says that the zone does not exist."""
        with TestZone({"lab": "a A 192.0.2.1\n"}, signed=["lab"]) as z, \
                TestZone({"corp.lab": "a A 192.0.2.2\n"}) as stub:
            conf = z.conf(stub={"corp.lab": stub.address})
            self.assertEqual(self.ask(conf, "addr a.lab", "addr a.corp.lab"), [
                "addr a.lab secure 192.0.2.1",
                "addr a.corp.lab insecure 192.0.2.2"])

    def test_a_signed_stub_zone_with_its_own_anchor_is_secure(self):
        with TestZone({"lab": "a A 192.0.2.1\n"}, signed=["lab"]) as z:
            conf = z.conf(servers=["127.0.0.1@1"], stub={"lab": z.address})
            self.assertEqual(self.ask(conf, "addr a.lab"),
                             ["addr a.lab secure 192.0.2.1"])


class Setup(Questions, unittest.TestCase):
    def fails(self, dns, *text):
        r = self.ask({"dns": dns}, check=False)
        self.assertEqual(r.returncode, 78)
        for t in text:
            self.assertIn(t, r.stderr)

    def test_bad_settings_are_told(self):
        self.fails({"servers": "127.0.0.1:53"}, "dns.servers: 127.0.0.1:53",
                   "127.0.0.1@53")
        self.fails({"servers": "resolver.example"}, "dns.servers")
        self.fails({"stub": {"lab": "127.0.0.1:53"}}, "dns.stub: lab")
        self.fails({"stub": {"lab": ""}}, "dns.stub: lab")
        self.fails({"trust_anchor": "/nowhere"}, "dns.trust_anchor: /nowhere",
                   "No such file")
        with tempfile.NamedTemporaryFile("w") as f:
            f.write("rubbish here\n")
            f.flush()
            self.fails({"trust_anchor": f.name}, "dns")

    def test_no_server_there_is_try_later(self):
        self.assertEqual(
            self.ask({"dns": {"servers": "127.0.0.1@1",
                              "trust_anchor": "none"}}, "mx lab"),
            ["mx lab insecure EAGAIN"])


if __name__ == "__main__":
    unittest.main()
