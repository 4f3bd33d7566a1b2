"""Boot counting from the host's side: who is on trial, what a fallback leaves behind, and that every interruption ends well.

`Grub` does what boot/grub.cfg does, on the same files; tests/qemu runs the real one.
"""

from __future__ import annotations

import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from typing import Optional
from unittest import mock

import server  # noqa: F401  # pylint: disable=unused-import

from atomic_host import grubenv, health, trial
from atomic_host.deployments import Deployment
from atomic_host.errors import HostError
from atomic_host.layout import Layout


def tree(letter: str, version: str, *options: str) -> Deployment:
    return Deployment(0, "atomic-host", letter * 64, 0, False, False, False, version=version, options=options)


class Host:
    """A list of deployments in place of `ostree`, and the files in place of a disk."""

    def __init__(self, folder: Path, *trees: Deployment) -> None:
        self.layout = Layout.below(folder, folder)
        self.layout.grubenv.parent.mkdir(parents=True)
        self.layout.grubenv.write_bytes(grubenv.encode({}))
        self.trees = list(trees)
        self.running = 0
        self.write_entries()

    def write_entries(self) -> None:
        """As libostree does for every change: a new folder of entries, without what stood in the old one."""
        if self.layout.entries.exists():
            for path in self.layout.entries.iterdir():
                path.unlink()
        self.layout.entries.mkdir(parents=True, exist_ok=True)
        for number in range(1, len(self.trees) + 1):
            (self.layout.entries / f"ostree-{number}.conf").write_text("")

    def load(self, _: Layout) -> list[Deployment]:
        return [replace(one, index=index, booted=index == self.running) for index, one in enumerate(self.trees)]

    def run(self, words: list[str], limit: float = 0) -> str:
        """`ostree admin set-default INDEX`."""
        if words[:3] != ["ostree", "admin", "set-default"]:
            raise AssertionError(words)
        index = int(words[-1])
        self.trees.insert(0, self.trees.pop(index))
        self.running = {index: 0}.get(self.running, self.running + (self.running < index))
        self.write_entries()
        return ""

    def deploy(self, new: Deployment) -> None:
        """Deploys `new` as the default; the booted tree stays as the second."""
        self.trees = [new, self.trees[self.running]]
        self.running = 1
        self.write_entries()

    def power_on(self, choose: Optional[int] = None) -> None:
        """Boots as boot/grub.cfg does; `choose` is what a person takes from the menu."""
        variables = grubenv.read(self.layout.grubenv)
        entry = 0
        if not trial.is_proven(self.layout) and (self.layout.entries / "ostree-2.conf").exists():
            tries = variables.get("boot_tries", "3")
            if tries == "0":
                entry = 1
                grubenv.update(self.layout.grubenv, {"boot_fallback": "1"})
            else:
                grubenv.update(self.layout.grubenv, {"boot_tries": {"1": "0", "2": "1"}.get(tries, "2")})
        self.running = entry if choose is None else choose


OLD, NEW = tree("a", "1.0", "quiet"), tree("b", "1.1", "quiet")


class Trials(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.host = Host(Path(self.folder.name), OLD, OLD)
        self.layout = self.host.layout
        self.patches = [mock.patch.object(trial, "load", self.host.load), mock.patch.object(trial, "run", self.host.run)]
        self.patches += [mock.patch.object(health, "load", self.host.load), mock.patch.object(health, "announce", self.announced)]
        self.patches += [mock.patch.object(health, "attempt", self.attempted), mock.patch.object(health, "say", lambda *_: None)]
        self.said: list[str] = []
        self.commands: list[list[str]] = []
        for patch in self.patches:
            patch.start()
        self.host.power_on()
        trial.mark_good(self.layout)

    def tearDown(self) -> None:
        for patch in self.patches:
            patch.stop()
        self.folder.cleanup()

    def announced(self, sentences: list[str]) -> None:
        self.said.extend(sentences)

    def attempted(self, words: list[str], limit: float = 0) -> mock.Mock:
        self.commands.append(list(words))
        return mock.Mock(returncode=0, stdout="")

    def running(self) -> str:
        return self.host.trees[self.host.running].version

    def test_a_proven_tree_is_not_counted(self) -> None:
        for _ in range(5):
            self.host.power_on()
            self.assertEqual(self.running(), "1.0")
        self.assertEqual(grubenv.read(self.layout.grubenv), {})

    def test_a_new_tree_is_on_trial_whoever_deployed_it_and_a_healthy_boot_ends_the_trial(self) -> None:
        self.host.deploy(NEW)
        self.host.power_on()
        self.assertTrue(trial.on_trial(self.layout, self.host.load(self.layout)))
        trial.mark_good(self.layout)
        self.assertFalse(trial.on_trial(self.layout, self.host.load(self.layout)))
        self.assertEqual((grubenv.read(self.layout.grubenv), trial.is_proven(self.layout)), ({}, True))

    def test_three_silent_boots_fall_back_and_it_says_so(self) -> None:
        self.host.deploy(NEW)
        for _ in range(3):
            self.host.power_on()
            self.assertEqual(self.running(), "1.1")
        self.host.power_on()
        self.assertEqual(self.running(), "1.0")
        health.report(self.layout)
        self.assertIn("Version 1.1 did not become healthy in three boots, so this host fell back to 1.0.", self.said)
        self.assertIn("no record of its boots", self.said[-1])
        self.assertEqual([row["version"] for row in trial.failed(self.layout)], ["1.1"])
        self.assertIn("no record", trial.held_back(self.layout, NEW.commit, True))
        trial.mark_good(self.layout)
        self.assertEqual([one.version for one in self.host.trees], ["1.0", "1.1"])
        self.host.power_on()
        self.assertEqual((self.running(), grubenv.read(self.layout.grubenv)), ("1.0", {}))

    def test_a_failed_check_reboots_and_is_the_reason_after_the_fallback(self) -> None:
        self.host.deploy(NEW)
        for _ in range(3):
            self.host.power_on()
            health.report(self.layout)
            health.bad(self.layout, "required check 30-docker failed: no daemon", force=False)
        self.assertEqual(self.commands.count(["systemctl", "reboot"]), 3)
        self.host.power_on()
        health.report(self.layout)
        self.assertEqual(self.said[-1], "Why: required check 30-docker failed: no daemon.")
        self.assertEqual(grubenv.read(self.layout.grubenv)["boot_reason"], "required check 30-docker failed: no daemon")

    def test_a_boot_that_hangs_in_user_space_is_told_from_one_that_never_came_there(self) -> None:
        self.host.deploy(NEW)
        for _ in range(3):
            self.host.power_on()
            health.report(self.layout)
        self.host.power_on()
        health.report(self.layout)
        self.assertIn("3 of its boots reached user space", self.said[-1])

    def test_an_unhealthy_tree_that_is_proven_or_alone_stays_up(self) -> None:
        health.bad(self.layout, "required check x failed", force=False)
        self.host.trees = [NEW]
        self.host.write_entries()
        health.bad(self.layout, "required check x failed", force=False)
        self.host.trees = [NEW, NEW]
        self.host.write_entries()
        health.bad(self.layout, "required check x failed", force=False)
        self.assertEqual(self.commands, [])

    def test_an_unhealthy_fallback_stays_up_and_is_booted_until_someone_decides(self) -> None:
        self.host.deploy(NEW)
        for _ in range(4):
            self.host.power_on()
        health.report(self.layout)
        health.bad(self.layout, "required check x failed", force=False)
        self.assertEqual(self.commands, [])
        self.host.power_on()
        self.assertEqual(self.running(), "1.0")

    def test_power_may_go_at_every_step_of_a_fallback(self) -> None:
        for step in range(8):
            with self.subTest(step=step):
                self.host.running = self.host.trees.index(next(one for one in self.host.trees if one.version == "1.0"))
                self.host.deploy(replace(NEW, commit=f"{step:x}" * 64))
                trial.arm(self.layout)
                for _ in range(4):
                    self.host.power_on()
                self.interrupted(step)
                for _ in range(3):
                    self.host.power_on()
                    if self.running() == "1.0":
                        trial.mark_good(self.layout)
                for _ in range(2):
                    self.host.power_on()
                    self.assertEqual(self.running(), "1.0")

    def interrupted(self, step: int) -> None:
        """Runs mark_good and loses the power before its `step`-th change."""
        count = 0

        def limited(real):  # type: ignore[no-untyped-def]
            def call(*words, **more):  # type: ignore[no-untyped-def]
                nonlocal count
                count += 1
                if count > step:
                    raise KeyboardInterrupt
                return real(*words, **more)

            return call

        with mock.patch.object(trial.grubenv, "update", limited(grubenv.update)), mock.patch.object(trial, "run", limited(self.host.run)), \
                mock.patch.object(trial, "write_state", limited(trial.write_state)), mock.patch.object(trial, "write_proven", limited(trial.write_proven)):
            try:
                trial.mark_good(self.layout)
            except KeyboardInterrupt:
                pass

    def test_a_tree_that_a_person_takes_from_the_menu_becomes_the_default_when_it_is_healthy(self) -> None:
        self.host.deploy(NEW)
        self.host.power_on(choose=1)
        health.report(self.layout)
        trial.mark_good(self.layout)
        self.assertEqual(self.host.trees[0].version, "1.0")
        self.assertEqual((self.said, trial.failed(self.layout)), ([], []))

    def test_arm_counts_what_is_new_and_not_what_was_healthy(self) -> None:
        self.host.trees = [NEW, OLD]
        self.host.running = 1
        # libostree wrote no new entries: version, kernel and arguments are equal.
        self.assertTrue(trial.is_proven(self.layout))
        self.assertIn("three tries", trial.arm(self.layout))
        self.assertFalse(trial.is_proven(self.layout))
        grubenv.update(self.layout.grubenv, {"boot_tries": "1"})
        trial.arm(self.layout)
        self.assertEqual(grubenv.read(self.layout.grubenv)["boot_tries"], "1", "arming twice gives no new tries")
        self.host.run(["ostree", "admin", "set-default", "1"])
        self.assertIn("has been healthy", trial.arm(self.layout))
        self.assertTrue(trial.is_proven(self.layout))

    def test_other_kernel_arguments_are_a_trial_of_their_own(self) -> None:
        self.host.deploy(replace(OLD, options=("quiet", "rdinit=/nope")))
        self.host.power_on()
        self.assertTrue(trial.on_trial(self.layout, self.host.load(self.layout)))
        for _ in range(3):
            self.host.power_on()
        health.report(self.layout)
        self.assertEqual(trial.failed(self.layout), [], "the commit itself has been healthy")

    def test_where_another_boot_loader_boots_nothing_is_on_trial_and_a_healthy_boot_is_recorded(self) -> None:
        self.layout.grubenv.unlink()
        trial.proven_file(self.layout).unlink()
        self.host.deploy(NEW)
        for place in (0, 1):
            self.host.running = place
            self.assertFalse(trial.on_trial(self.layout, self.host.load(self.layout)))
            self.assertEqual(health.bad(self.layout, "a reason", force=True), 1)
            self.assertEqual(self.commands, [], "it stays up")
            self.assertIn("counts no boots", " ".join(trial.mark_good(self.layout)))
            self.assertIn(self.host.load(self.layout)[place].identity, trial.good(self.layout))
            self.assertEqual([one.version for one in self.host.trees], ["1.1", "1.0"], "the order stays")
        self.assertEqual((trial.is_proven(self.layout), self.layout.grubenv.exists()), (False, False))
        self.assertIn("counts no boots", trial.arm(self.layout))

    def test_when_the_deployments_cannot_be_read_a_counted_boot_reboots(self) -> None:
        with mock.patch.object(health, "load", side_effect=HostError("no")):
            self.assertEqual(health.cannot_tell(self.layout, "no"), 1)
            self.assertEqual(self.commands, [])
            self.host.deploy(NEW)
            health.cannot_tell(self.layout, "no")
            self.assertEqual(self.commands, [["systemctl", "reboot", "--force"]])
            for _ in range(4):
                self.host.power_on()
            health.cannot_tell(self.layout, "no")
            self.assertEqual(len(self.commands), 1, "the tree that GRUB fell back to stays up")

    def test_a_cut_off_line_and_a_damaged_state_are_no_obstacle(self) -> None:
        with open(self.layout.state / "boots.jsonl", "a", encoding="utf-8") as file:
            file.write('{"event": "ba')
        (self.layout.state / "good.json").write_text("{")
        (self.layout.state / "failed.json").write_text("[" * 100000)
        self.host.deploy(NEW)
        self.host.power_on()
        health.report(self.layout)
        trial.mark_good(self.layout)
        self.assertEqual(len(trial.good(self.layout)), 1)


class Checks(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.layout = Layout.below(self.root, self.root)

    def tearDown(self) -> None:
        self.folder.cleanup()

    def check(self, name: str, text: str, mode: int = 0o755) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(mode)
        return path

    def test_etc_hides_usr_and_a_link_to_null_switches_off(self) -> None:
        for name in ("usr/lib/atomic-health/required.d/10-a", "usr/lib/atomic-health/required.d/20-b", "etc/atomic-health/required.d/20-b"):
            self.check(name, "true")
        self.check("etc/atomic-health/required.d/30-c", "true", 0o644)
        (self.root / "etc/atomic-health/required.d/10-a").symlink_to("/dev/null")
        self.assertEqual([str(path.relative_to(self.root)) for path in health.checks(self.layout, "required.d")], ["etc/atomic-health/required.d/20-b"])

    def test_the_last_line_is_the_reason_and_a_slow_start_is_waited_for(self) -> None:
        self.assertEqual(health.verdict(self.check("x", "echo one; echo two; exit 3"), 1), "two")
        self.assertEqual(health.verdict(self.check("x", "exit 3"), 1), "ended with 3")
        marker = self.root / "marker"
        with mock.patch.object(health, "PAUSE", 0.1):
            self.assertIsNone(health.verdict(self.check("x", f"[ -e {marker} ] || {{ touch {marker}; exit 1; }}"), 30))

    def test_a_check_that_hangs_is_ended_with_its_children(self) -> None:
        pid = self.root / "pid"
        self.assertEqual(health.once(self.check("x", f"sleep 1000 & echo $! >{pid}; wait"), 1), "not done after 1 s")
        with self.assertRaises((ProcessLookupError, AssertionError)):
            import os
            import time

            for _ in range(50):
                os.kill(int(pid.read_text()), 0)
                state = Path(f"/proc/{pid.read_text().strip()}/stat").read_text().split()[2]
                self.assertNotEqual(state, "Z")
                time.sleep(0.1)


if __name__ == "__main__":
    unittest.main()
