# SPDX-License-Identifier: ISC
"""The command pneu: configuration, help, completion, handing over, and the
manual pages."""
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from pneu import BUILD, PATIENCE, TOP

PNEU = os.path.join(BUILD, "pneu")


def run(*args, env=None, binary=PNEU):
    e = {k: v for k, v in os.environ.items() if k != "PNEU_CONF"}
    e.update(env or {})
    return subprocess.run([binary, *args], capture_output=True, text=True,
                          timeout=PATIENCE, env=e, stdin=subprocess.DEVNULL)


class Folder(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="pneu-cmd-", dir="/tmp")
        self.addCleanup(shutil.rmtree, self.dir, True)

    def file(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        return path


class Config(Folder):
    def test_check(self):
        good = self.file("good", "{ \"workers\": 2, } # fine\n")
        r = run("-c", good, "config", "check")
        self.assertEqual((r.returncode, r.stdout), (0, good + ": fine\n"))
        bad = self.file("bad", "{\n\t\"mta\": { \"lissten\": 1 },\n"
                        "\t\"workers\": \"x\",\n}\n")
        r = run("-c", bad, "config", "check")
        self.assertEqual(r.returncode, 78)
        self.assertEqual(r.stderr.splitlines(), [
            bad + ":2:11: mta.lissten: unknown setting; did you mean "
            "mta.listen?",
            bad + ":3:13: workers: expected an integer, such as 0; found a "
            "string"])

    def test_show_is_a_configuration(self):
        conf = self.file("conf", "{ \"workers\": 7 }")
        shown = run("-c", conf, "config", "show").stdout
        self.assertRegex(shown, r'"workers": 7, +# %s:1\n' % conf)
        self.assertRegex(shown, r'"listen": \["\*:25"\], +# default\n')
        again = self.file("again", shown)
        self.assertEqual(run("-c", again, "config", "check").returncode, 0)

    def test_show_for_machines(self):
        conf = self.file("conf", "{ \"workers\": 7 }")
        shown = json.loads(run("-c", conf, "config", "show", "--json").stdout)
        self.assertEqual(shown["workers"],
                         {"value": 7, "origin": conf + ":1"})
        self.assertEqual(shown["mta.listen"],
                         {"value": ["*:25"], "origin": "default"})

    def test_where_the_file_is(self):
        one = self.file("one", "{ \"workers\": 1 }")
        two = self.file("two", "{ \"workers\": 2 }")
        r = run("config", "check", env={"PNEU_CONF": one})
        self.assertEqual(r.stdout, one + ": fine\n")
        r = run("-c", two, "config", "check", env={"PNEU_CONF": one})
        self.assertEqual(r.stdout, two + ": fine\n")
        r = run("-c", "/nowhere", "config", "check")
        self.assertEqual((r.returncode, r.stderr),
                         (78, "/nowhere: No such file or directory\n"))


class Commands(Folder):
    def names(self):
        return re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: .*)?\n\t",
                          run("help").stdout, re.M)

    def test_help_lists_and_every_command_tells_its_usage(self):
        names = self.names()
        for name in ("run", "config check", "queue", "version"):
            self.assertIn(name, names)
        for name in names:
            r = run(*name.split(), "--help")
            self.assertEqual(r.returncode, 0, name)
            self.assertTrue(r.stderr.startswith(
                "usage: pneu [-c FILE] " + name), r.stderr)
        self.assertEqual(run("--help").stdout, run("help").stdout)

    def test_version(self):
        for args in (["version"], ["--version"], ["-V"]):
            self.assertRegex(run(*args).stdout, r"^pneu \d+\.\d+\.\d+\n$")

    def test_wrong_words(self):
        for args, text in (
                ([], "usage: pneu"),
                (["nix"], "pneu: nix: unknown command"),
                (["config"], "usage: pneu config check"),
                (["config", "nix"], "usage: pneu config check"),
                (["config", "check", "extra"], "usage: pneu [-c FILE] config"),
                (["config", "show", "--nix"], "usage: pneu [-c FILE] config"),
                (["version", "extra"], "usage: pneu [-c FILE] version"),
                (["help", "nix"], "pneu: nix: unknown command"),
                (["--nix"], "usage: pneu"),
                (["completion", "tcsh"], "usage: pneu [-c FILE] completion")):
            r = run(*args)
            self.assertEqual(r.returncode, 64, args)
            self.assertIn(text, r.stderr)

    def test_a_full_disk_for_the_output_is_an_error(self):
        with open("/dev/full", "w") as full:
            r = subprocess.run([PNEU, "version"], stdout=full,
                               stderr=subprocess.PIPE, text=True,
                               timeout=PATIENCE)
        self.assertEqual(r.returncode, 74)
        self.assertIn("No space left", r.stderr)

    def test_handing_over(self):
        shutil.copy(PNEU, self.dir)
        pneu = os.path.join(self.dir, "pneu")
        script = "#!/bin/sh\necho %s \"$0\" \"$@\"\nexit 3\n"
        path = os.path.join(self.dir, "path")
        os.mkdir(path)
        for where in (self.dir, path):
            name = os.path.join(where, "pneu-mailbox")
            with open(name, "w") as f:
                f.write(script % os.path.basename(where))
            os.chmod(name, 0o755)
        env = {"PATH": path + ":/bin:/usr/bin"}
        r = run("-c", "some.conf", "mail", "check", "--x", "a b",
                binary=pneu, env=env)
        beside = os.path.basename(self.dir)
        self.assertEqual((r.returncode, r.stdout), (
            3, "%s %s/pneu-mailbox -c some.conf check --x a b\n" %
            (beside, self.dir)))
        r = run("mail", "check", binary=pneu, env=env)
        self.assertEqual(r.stdout, "%s %s/pneu-mailbox check\n" %
                         (beside, self.dir))
        # In PATH where it is not beside.
        os.unlink(os.path.join(self.dir, "pneu-mailbox"))
        self.assertEqual(run("mail", "check", binary=pneu, env=env).stdout,
                         "path %s/pneu-mailbox check\n" % path)
        r = run("queue", "list", binary=pneu, env=env)
        self.assertEqual(r.returncode, 69)
        self.assertIn("pneu-qm: No such file", r.stderr)


class Completion(Folder):
    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = run("completion", "bash").stdout + \
            "COMP_WORDS=(%s)\nCOMP_CWORD=%d\n_pneu\n" \
            "printf '%%s\\n' \"${COMPREPLY[@]}\"\n" % (
                " ".join("'%s'" % w for w in words), len(words) - 1)
        r = subprocess.run(["bash", "-c", script], capture_output=True,
                           text=True, timeout=PATIENCE)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        return r.stdout.split()

    def test_bash(self):
        nouns = self.complete("pneu", "")
        for noun in ("run", "config", "queue", "completion"):
            self.assertIn(noun, nouns)
        self.assertEqual(len(nouns), len(set(nouns)))
        self.assertEqual(self.complete("pneu", "conf"), ["config"])
        self.assertEqual(self.complete("pneu", "-c", "x", "conf"), ["config"])
        self.assertEqual(self.complete("pneu", "config", ""),
                         ["check", "show"])
        self.assertEqual(self.complete("pneu", "config", "show", "-"),
                         ["--json"])
        self.assertEqual(self.complete("pneu", "run", "--r"),
                         ["--ready-fd", "--ready-timeout"])
        self.assertEqual(self.complete("pneu", "completion", ""),
                         ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("pneu", "config", "check", ""), [])

    def test_the_other_shells_know_every_command(self):
        fish, zsh = run("completion", "fish").stdout, \
            run("completion", "zsh").stdout
        for noun in self.complete("pneu", ""):
            self.assertRegex(fish, r"(?m)^complete .* -a %s\b" % noun)
            self.assertRegex(zsh, r"reply=\(.*\b%s\b.*\)" % noun)
        self.assertEqual(zsh.count("case "), zsh.count("esac"))


class Manual(unittest.TestCase):
    pages = sorted(
                   glob.glob(os.path.join(TOP, "docs/man/*.[158]")) +
                   glob.glob(os.path.join(BUILD, "man/*.[158]")))

    def test_the_pages_are_well_formed(self):
        self.assertTrue(any(p.endswith("pneu.conf.5") for p in self.pages))
        for page in self.pages:
            r = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page],
                               capture_output=True, text=True,
                               timeout=PATIENCE)
            self.assertEqual(r.stdout + r.stderr, "", page)

    def test_pneu_conf_has_every_setting(self):
        with open(os.path.join(BUILD, "man/pneu.conf.5")) as f:
            page = f.read()
        for name in json.loads(run("-c", "/dev/null", "config", "show",
                                   "--json").stdout):
            self.assertRegex(page, r"(?m)^\.It Cm %s$" % name.split(".")[-1])
        self.assertNotIn("@SETTINGS@", page)


if __name__ == "__main__":
    unittest.main()
