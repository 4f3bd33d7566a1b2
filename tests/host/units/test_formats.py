"""Formats of others, each against the program that owns it: GVariant and status against ostree, the environment block against grub-editenv."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from server import EPOCH, REF, Key, Server, detached, tool

from atomic_host import commits, deployments, grubenv, gvariant, signatures, unverified, upgrade
from atomic_host.errors import HostError
from atomic_host.layout import Layout


def bytes_of(text: str) -> bytes:
    """Returns the only byte string of `aay` in GVariant's text form: numbers, or `b'…'` without its last byte where that is zero."""
    quoted = re.search(r"b'.*'|b\".*\"", text)
    return ast.literal_eval(quoted[0]) + b"\0" if quoted else bytes(int(word, 16) for word in re.findall(r"0x([0-9a-f]{2})", text))


class Variants(unittest.TestCase):
    def test_a_commit_and_a_summary_read_as_ostree_shows_them(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            server = Server(folder, Key(folder, "key"))
            numbers = ("atomic-image.size=uint64 123456789012", "atomic-image.new-since={'ab': uint64 7, 'cd': 8}")
            name_of_it = server.commit("1.0", {}, EPOCH, metadata=numbers)
            server.summarize()
            commit = commits.decode(server.object(name_of_it, "commit").read_bytes(), name_of_it)
            self.assertEqual((commit.version, commit.time, commit.refs, commit.parent), ("1.0", EPOCH, [REF], ""))
            self.assertEqual(commit.number("atomic-image.size"), 123456789012)
            self.assertEqual(commit.metadata["atomic-image.new-since"], {"ab": 7, "cd": 8})
            refs, metadata = gvariant.parse((server.repo / "summary").read_bytes(), "(a(s(taya{sv}))a{sv})")
            self.assertEqual([(ref, found.hex()) for ref, (_, found, _) in refs], [(REF, name_of_it)])
            self.assertGreater(gvariant.swapped(metadata["ostree.summary.last-modified"]), EPOCH)
            shown = tool("ostree", "show", f"--repo={server.repo}", "--print-detached-metadata-key=ostree.sign.ed25519", name_of_it).decode()
            self.assertEqual(bytes_of(shown), signatures.detached(server.object(name_of_it, "commitmeta").read_bytes())[0])

    def test_signatures_of_one_and_of_many_are_read_back(self) -> None:
        for count in (1, 2, 5):
            found = [bytes([number]) * signatures.SIGNATURE for number in range(count)]
            self.assertEqual(signatures.detached(detached(*found)), found)

    def test_bytes_that_are_no_value_are_refused(self) -> None:
        good = detached(b"x" * 64)
        for data in (good[:-1], good[1:], b"\xff" * 40, good[:30], b"\0"):
            with self.assertRaises(ValueError):
                signatures.detached(data)
        with self.assertRaises(ValueError):
            gvariant.parse(b"\0" + b"a" * 200, "v")
        with self.assertRaises(ValueError):
            gvariant.parse(b"x\0" + b"v" * 1, "v")


class EnvironmentBlock(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.file = Path(self.folder.name, "grubenv")
        self.file.write_bytes(grubenv.encode({}))

    def tearDown(self) -> None:
        self.folder.cleanup()

    def test_it_is_changed_in_place_and_keeps_what_others_wrote(self) -> None:
        self.file.write_bytes(grubenv.encode({"other": "kept", "boot_tries": "2"}))
        before = self.file.stat()
        grubenv.update(self.file, {"boot_tries": None, "boot_reason": "a \\ b"})
        after = self.file.stat()
        self.assertEqual((before.st_ino, before.st_size), (after.st_ino, after.st_size))
        self.assertEqual(grubenv.read(self.file), {"other": "kept", "boot_reason": "a \\ b"})

    @unittest.skipUnless(shutil.which("grub-editenv"), "no grub-editenv")
    def test_grub_editenv_reads_and_writes_the_same(self) -> None:
        grubenv.update(self.file, {"boot_tries": "2", "boot_reason": "back\\slash"})
        listed = tool("grub-editenv", str(self.file), "list").decode().splitlines()
        self.assertEqual(sorted(listed), ["boot_reason=back\\slash", "boot_tries=2"])
        tool("grub-editenv", str(self.file), "set", "boot_fallback=1")
        self.assertEqual(grubenv.read(self.file)["boot_fallback"], "1")

    def test_a_file_that_is_no_block_is_refused_and_not_written(self) -> None:
        for data in (b"", b"#" * 1024, grubenv.encode({})[:-1], grubenv.encode({}) + b"#"):
            self.file.write_bytes(data)
            with self.assertRaises(HostError):
                grubenv.update(self.file, {"boot_tries": "1"})
            self.assertEqual(self.file.read_bytes(), data)

    def test_the_longest_state_stays_in_the_first_sector(self) -> None:
        state = {"boot_tries": "2", "boot_fallback": "1", "boot_trial": "0" * 12, "boot_reason": grubenv.short_reason("é\n\\" * 300 + "x" * 300)}
        self.assertLess(len(grubenv.encode(state).rstrip(b"#")), grubenv.SECTOR)


class Status(unittest.TestCase):
    TEXT = """\
  atomic-host {a}.0 (staged)
    Version: 1.1
    origin refspec: atomic-host:x/y
* atomic-host {b}.1
    Version: 1.0
    Unlocked: hotfix
    Pinned: yes
    origin: <unknown origin type>
  other {c}.0 (rollback)
    origin refspec: r:x
"""

    def test_every_mark_is_read(self) -> None:
        text = self.TEXT.format(a="a" * 64, b="b" * 64, c="c" * 64)
        first, second, third = deployments.parse(text, {("b" * 64, 1): ("quiet",)})
        self.assertEqual((first.staged, first.version, first.origin, first.options), (True, "1.1", "atomic-host:x/y", None))
        self.assertEqual((second.booted, second.serial, second.unlocked, second.pinned, second.options), (True, 1, "hotfix", True, ("quiet",)))
        self.assertEqual((third.os, third.rollback, third.version, third.name), ("other", True, "", "c" * 12))
        self.assertEqual(deployments.default([first, second, third]), second)
        self.assertEqual(deployments.parse("No deployments.\n", {}), [])

    def test_a_remote_without_checks_keeps_everything_else(self) -> None:
        text = '[remote "a"]\nurl=https://x/\ngpg-verify=true\ngpg-verify-summary=true\ngpgkeypath=/k\n\n[remote "b"]\nurl=file:///y\nsign-verify=ed25519\n'
        expected = '[remote "a"]\ngpg-verify=false\nurl=https://x/\n\n[remote "b"]\ngpg-verify=false\nurl=file:///y\n'
        self.assertEqual(unverified.without_checks(text), expected)

    def test_deployments_are_listed_though_one_has_no_signature(self) -> None:
        text = "* os " + "a" * 64 + ".0\n"
        refused = subprocess.CompletedProcess([], 1, "", "error: Deployment 0: GPG verification enabled, but no signatures found")
        layout = Layout.below(Path("/nowhere"), Path("/nowhere"))
        with mock.patch.object(deployments, "attempt", return_value=refused), \
                mock.patch.object(deployments, "unverified", return_value=subprocess.CompletedProcess([], 0, text, "")):
            self.assertEqual([one.commit for one in deployments.load(layout)], ["a" * 64])
        broken = subprocess.CompletedProcess([], 1, "", "error: the repository is broken")
        with mock.patch.object(deployments, "attempt", return_value=broken), self.assertRaisesRegex(HostError, "is broken"):
            deployments.load(layout)


class KernelArguments(unittest.TestCase):
    def test_the_trees_changes_are_applied_and_the_hosts_own_stay(self) -> None:
        current = ("root=LABEL=root", "panic=10", "mine=1")
        self.assertEqual(upgrade.kargs_changes(["panic=10", "gone"], ["panic=5", "mine=1"], current), ["--karg-delete=panic=10", "--karg-append=panic=5"])
        self.assertEqual(upgrade.parse_kargs('# x\nkargs = ["a=b", "c",\n]\n'), ["a=b", "c"])
        self.assertEqual(upgrade.parse_kargs("kargs = [a]"), [])


if __name__ == "__main__":
    unittest.main()
