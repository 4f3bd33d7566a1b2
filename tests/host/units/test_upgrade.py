"""Upgrades of a sysroot by the real `ostree`, from a signed server in a folder; and what is refused, with the host unchanged."""

from __future__ import annotations

import hashlib
import tempfile
import unittest
from collections import namedtuple
from pathlib import Path
from unittest import mock

from machine import OS, Machine
from server import EPOCH, REF, Key, Server, detached, tool

from atomic_host import commits, deployments, offers, room, status, trial, upgrade
from atomic_host.errors import HELD_BACK, NETWORK, NO_ROOM, REFUSED, HostError

DAY = 86400


class Upgrades(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        self.key, self.other = Key(folder, "key"), Key(folder, "other")
        self.server = Server(folder, self.key)
        self.first = self.server.commit("1.0", {"usr/bin/tool": "1"}, EPOCH)
        self.machine = Machine(folder / "machine", self.server, self.key)
        self.layout = self.machine.layout
        self.machine.install(self.first, "root=LABEL=root", "mine=1")
        self.machine.boot(self.first)

    def tearDown(self) -> None:
        self.machine.close()
        self.folder.cleanup()

    def publish(self, version: str = "1.1", after: int = DAY, **more) -> str:  # type: ignore[no-untyped-def]
        name = self.server.commit(version, {"usr/bin/tool": version}, EPOCH + after, **more)
        self.server.summarize()
        return name

    def upgrade(self, **more: bool) -> upgrade.Result:
        words = {"check": False, "retry": False, "automatic": False, **more}
        return upgrade.upgrade(self.layout, self.machine.source, **words)

    def fingerprint(self) -> str:
        """Returns a digest of all that a refused update must leave as it was: deployments, boot entries and refs."""
        digest = hashlib.sha256()
        for folder in (self.machine.sysroot / "boot/loader/entries", self.layout.repo / "refs", self.layout.repo / "objects"):
            # ostree keeps the folders of objects that were removed.
            for path in sorted(path for path in folder.rglob("*") if not path.is_dir()):
                digest.update(str(path).encode() + (path.read_bytes() if path.is_file() and "refs" in str(path) else b""))
        digest.update("".join(str(d) for d in deployments.load(self.layout)).encode())
        return digest.hexdigest()

    def refused(self, check: str, code: int = REFUSED, **more: bool) -> str:
        """Tries to upgrade; expects the refusal of one check and an unchanged host. Returns the message."""
        before = self.fingerprint()
        with self.assertRaises(HostError) as caught:
            self.upgrade(**more)
        self.assertEqual((caught.exception.code, caught.exception.check), (code, check), caught.exception.message)
        self.assertEqual(self.fingerprint(), before, "the host was changed")
        return caught.exception.message

    def test_a_signed_newer_commit_is_deployed_beside_the_old_one(self) -> None:
        name = self.publish()
        result = self.upgrade()
        self.assertEqual(result.commit.id if result.commit else "", name)
        now = deployments.load(self.layout)
        self.assertEqual([(d.version, d.booted, d.origin) for d in now], [("1.1", False, f"{OS}:{REF}"), ("1.0", True, f"{OS}:{REF}")])
        self.assertEqual(status.signature(self.layout, name)["state"], "valid")
        self.assertEqual([word for word in now[0].options or () if word in ("root=LABEL=root", "mine=1")], ["root=LABEL=root", "mine=1"])
        self.assertTrue(self.upgrade().staged, "a second time there is nothing to do")

    def test_check_finds_it_and_changes_nothing(self) -> None:
        name, before = self.publish(), self.fingerprint()
        result = self.upgrade(check=True)
        self.assertEqual((result.commit.id if result.commit else "", result.staged), (name, False))
        self.assertEqual(self.fingerprint(), before)

    def test_the_trees_own_kernel_arguments_come_with_it(self) -> None:
        self.server.commit("1.1", {"usr/lib/bootc/kargs.d/10-atomic-image.toml": 'kargs = ["root=LABEL=root", "panic=10"]\n'}, EPOCH + DAY)
        self.server.summarize()
        self.upgrade()
        options = deployments.load(self.layout)[0].options or ()
        self.assertEqual([word for word in ("root=LABEL=root", "mine=1", "panic=10") if options.count(word) == 1], ["root=LABEL=root", "mine=1", "panic=10"])

    def test_an_unsigned_commit_is_refused(self) -> None:
        self.publish(sign=False)
        self.refused("signature of the commit")

    def test_a_stripped_signature_is_refused(self) -> None:
        self.server.object(self.publish(), "commitmeta").write_bytes(b"")
        self.assertIn("not signed", self.refused("signature of the commit"))

    def test_a_wrong_key_is_refused(self) -> None:
        name = self.publish()
        self.server.object(name, "commitmeta").write_bytes(detached(self.other.sign(self.server.object(name, "commit").read_bytes())))
        self.assertIn("by a key that this host trusts", self.refused("signature of the commit"))

    def test_two_keys_at_once_and_a_withdrawn_one(self) -> None:
        self.publish()
        self.machine.write("usr/share/atomic-image/update-keys.ed25519", Machine.line(self.other) + Machine.line(self.key))
        self.assertIsNotNone(self.upgrade(check=True).commit)
        self.machine.write("usr/share/atomic-image/update-keys.ed25519", Machine.line(self.other))
        self.refused("signature of the summary")

    def test_a_flipped_byte_of_the_commit_is_refused(self) -> None:
        path = self.server.object(self.publish(), "commit")
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        self.refused("signature of the commit")

    def test_a_signed_commit_under_another_name_is_refused(self) -> None:
        name, third = self.publish(), self.publish("1.2", 2 * DAY)
        for kind in ("commit", "commitmeta"):
            self.server.object(third, kind).write_bytes(self.server.object(name, kind).read_bytes())
        self.refused("checksum of the commit")

    def test_a_flipped_byte_of_an_object_is_undone(self) -> None:
        name = self.publish()
        listed = tool("ostree", "ls", f"--repo={self.server.repo}", "-C", name, "/usr/bin/tool").decode().split()
        checksum = next(word for word in listed if len(word) == 64)
        path = self.server.repo / f"objects/{checksum[:2]}/{checksum[2:]}.filez"
        data = bytearray(path.read_bytes())
        data[-3] ^= 0x55
        path.write_bytes(data)
        before = self.fingerprint()
        with self.assertRaises(HostError):
            self.upgrade()
        self.assertEqual(self.fingerprint(), before)

    def test_a_replayed_summary_is_refused(self) -> None:
        self.server.summarize()
        old = [(self.server.repo / name).read_bytes() for name in ("summary", "summary.sig")]
        self.publish()
        with mock.patch.object(commits, "swapped", _later):
            self.upgrade(check=True)
        for name, data in zip(("summary", "summary.sig"), old):
            (self.server.repo / name).write_bytes(data)
        self.refused("age of the summary")

    def test_a_replayed_or_vanished_plan_is_refused(self) -> None:
        name = self.publish()
        rows = [{"version": "1.0", "commit": self.first, "published": EPOCH}, {"version": "1.1", "commit": name, "published": EPOCH + DAY}]
        old = self.server.plan(3, "1.1", rows)
        self.server.plan(4, "1.1", rows)
        self.assertIsNotNone(self.upgrade(check=True).commit)
        (self.server.repo / "release.json").write_bytes(old)
        self.assertIn("serial is 3", self.refused("release plan"))
        (self.server.repo / "release.json").unlink()
        self.assertIn("no release.json", self.refused("release plan"))

    def test_a_plan_that_misnames_a_commit_is_refused(self) -> None:
        name = self.publish()
        self.server.plan(1, "2.0", [{"version": "2.0", "commit": name, "published": EPOCH + DAY}])
        self.assertIn("the commit itself says 1.1", self.refused("release plan"))

    def test_a_downgrade_is_refused_and_deploy_takes_it_on_purpose(self) -> None:
        self.server.commit("0.9", {"usr/bin/tool": "0.9"}, EPOCH - DAY)
        self.server.summarize()
        self.refused("age of the commit")
        result = upgrade.deploy_named(self.layout, self.machine.source, "0.9")
        self.assertEqual(result.commit.version if result.commit else "", "0.9")

    def test_a_commit_made_for_another_ref_is_refused(self) -> None:
        foreign = self.server.commit("1.1", {"usr/bin/tool": "x"}, EPOCH + DAY, ref="other/x86_64/test")
        (self.server.repo / "refs/heads" / REF).write_text(foreign + "\n")
        self.server.summarize()
        self.assertIn("made for other/x86_64/test", self.refused("ref of the commit"))

    def test_a_version_that_failed_is_held_back_until_retry(self) -> None:
        name = self.publish()
        failed = deployments.Deployment(0, OS, name, 0, False, False, False, version="1.1")
        trial.record_failure(self.layout, failed, "required check 10-ssh failed")
        self.assertIn("10-ssh", self.refused("failed", HELD_BACK))
        self.assertTrue(self.upgrade(retry=True).staged)

    def test_the_timer_leaves_alone_what_a_person_rolled_back_and_a_person_does_not(self) -> None:
        name = self.publish()
        trial.record_failure(self.layout, deployments.Deployment(0, OS, name, 0, False, False, False, version="1.1"), "went back", "rolled-back")
        self.refused("failed", HELD_BACK, automatic=True)
        self.assertTrue(self.upgrade().staged)

    def test_no_room_is_said_with_its_numbers_before_anything_is_pulled(self) -> None:
        self.publish(metadata=(f"atomic-image.size=uint64 {1 << 50}",))
        message = self.refused("room", NO_ROOM)
        self.assertRegex(message, r"the root filesystem has [0-9.]+ MiB free for an update, and it needs 1073741856.0 MiB")

    def test_new_since_counts_what_the_host_lacks_alone(self) -> None:
        numbers = (f"atomic-image.size=uint64 {1 << 50}", f"atomic-image.new-since={{'{self.first}': uint64 4096}}")
        self.publish(metadata=numbers)
        self.assertTrue(self.upgrade().staged)

    def test_a_full_boot_is_refused_unless_its_kernel_is_there_already(self) -> None:
        checksum = "ab" * 32
        self.publish(metadata=("atomic-image.boot-size=uint64 99999999999999", f"atomic-image.boot-checksum='{checksum}'"))
        self.assertIn("/boot has", self.refused("room", NO_ROOM))
        (self.layout.boot / f"ostree/{OS}-{checksum}").mkdir(parents=True)
        self.assertTrue(self.upgrade().staged)

    def test_a_disk_that_becomes_full_in_the_middle_is_undone(self) -> None:
        self.publish()
        with mock.patch.object(upgrade, "stage", side_effect=HostError("ostree: error: writing: No space left on device")):
            before = self.fingerprint()
            with self.assertRaises(HostError) as caught:
                self.upgrade()
        self.assertEqual((caught.exception.code, self.fingerprint()), (NO_ROOM, before))

    def test_deployments_that_nobody_needs_make_room(self) -> None:
        for number in (1, 2):
            self.machine.install(self.publish(f"0.{number}", number))
        self.machine.boot(self.first)
        name = self.publish("1.5", 5 * DAY, metadata=("atomic-image.size=uint64 4096",))
        free = iter([0] * 2 + [1 << 40] * 9)
        State = namedtuple("State", "f_bavail f_frsize f_blocks")
        with mock.patch.object(room.os, "statvfs", lambda _: State(next(free), 1, 0)):
            removed = room.make(self.layout, commits.decode(self.server.object(name, "commit").read_bytes(), name), OS)
        self.assertEqual(removed, ["0.1"])

    def test_a_server_that_is_away_is_a_network_error(self) -> None:
        self.server.repo.rename(self.server.repo.with_name("away"))
        self.refused("", NETWORK)

    def test_the_next_mirror_is_asked_when_one_is_away(self) -> None:
        self.publish()
        self.machine.write(f"etc/ostree/remotes.d/{OS}.conf", f'[remote "{OS}"]\nurl=mirrorlist=file:///usr/share/atomic-image/update-mirrors\n')
        mirrors = ["http://127.0.0.1:1/repo", f"file://{self.server.repo}"]
        self.machine.write("usr/share/atomic-image/update-mirrors", "\n".join(mirrors) + "\n")
        self.assertEqual(self.machine.source.urls, tuple(mirrors))
        self.assertIsNotNone(self.upgrade(check=True).commit)

    def test_a_version_is_found_in_the_history(self) -> None:
        self.publish()
        self.publish("1.2", 2 * DAY)
        self.assertEqual(offers.Server(self.layout, self.machine.source).find("1.1").version, "1.1")
        with self.assertRaises(HostError):
            offers.Server(self.layout, self.machine.source).find("7.7")


def _later(number: int) -> int:
    from atomic_host.gvariant import swapped

    return swapped(number) + 100


if __name__ == "__main__":
    unittest.main()
