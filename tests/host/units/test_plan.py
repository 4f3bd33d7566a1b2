"""Release plans: signatures, strict reading, waves, pauses and barriers."""

from __future__ import annotations

import base64
import json
import tempfile
import unittest
from pathlib import Path
from typing import Any

from server import EPOCH, REF, Key, signed_plan

from atomic_host import plan
from atomic_host.errors import REFUSED, HostError

MACHINE = "0123456789abcdef0123456789abcdef"


def release(version: str, after: int = 0, **more: Any) -> dict[str, Any]:
    return {"version": version, "commit": (version.replace(".", "") * 64)[:64], "published": EPOCH + after, **more}


def document(*releases: dict[str, Any], channel: str = "", serial: int = 1) -> dict[str, Any]:
    return {"schema": 1, "serial": serial, "refs": {REF: {"channels": {"stable": channel or releases[-1]["version"]}, "releases": list(releases)}}}


class Plans(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory()
        cls.key = Key(Path(cls.folder.name), "release")
        cls.other = Key(Path(cls.folder.name), "other")

    @classmethod
    def tearDownClass(cls) -> None:
        cls.folder.cleanup()

    def read(self, text: Any) -> plan.Plan:
        data = text if isinstance(text, bytes) else signed_plan(text, self.key)
        return plan.parse(data, REF, [self.key.public])

    def choose(self, text: Any, running: str, now: int, made: int = 0) -> tuple[str, str]:
        choice = plan.choose(self.read(text), "stable", release(running)["commit"], made, MACHINE, now)
        return (choice.release.version if choice.release else "", choice.waiting)

    def test_the_newest_release_of_the_channel_is_chosen(self) -> None:
        text = document(release("1.0"), release("1.1"), release("1.2"), channel="1.1")
        self.assertEqual(self.choose(text, "1.0", EPOCH), ("1.1", ""))
        self.assertEqual(self.choose(text, "1.1", EPOCH), ("", ""))
        self.assertEqual(self.choose(text, "1.2", EPOCH), ("", ""), "a channel that stands behind the host is no reason to go back")

    def test_a_host_that_is_not_in_the_plan_stands_where_its_time_says(self) -> None:
        text = document(release("1.0"), release("1.1", 100, barrier=True), release("1.2", 200))
        self.assertEqual(self.choose(text, "0.9", EPOCH + 500, made=EPOCH - 10)[0], "1.1")
        self.assertEqual(self.choose(text, "0.9", EPOCH + 500, made=EPOCH + 150)[0], "1.2")

    def test_a_barrier_is_not_skipped(self) -> None:
        text = document(release("1.0"), release("1.1", barrier=True), release("1.2"), release("1.3"))
        version, why = self.choose(text, "1.0", EPOCH)
        self.assertEqual(version, "1.1")
        self.assertIn("must not be skipped", why)
        self.assertEqual(self.choose(text, "1.1", EPOCH), ("1.3", ""))

    def test_a_paused_release_is_passed_over_for_an_older_one_and_a_paused_barrier_holds(self) -> None:
        self.assertEqual(self.choose(document(release("1.0"), release("1.1"), release("1.2", paused=True)), "1.0", EPOCH), ("1.1", "version 1.2 is paused"))
        held = document(release("1.0"), release("1.1", barrier=True, paused=True), release("1.2"))
        self.assertEqual(self.choose(held, "1.0", EPOCH), ("", "version 1.1 is paused"))

    def test_waves_come_to_every_host_in_its_turn_and_to_a_tenth_first(self) -> None:
        waves = [{"percent": 10, "after_seconds": 0}, {"percent": 50, "after_seconds": 3600}, {"percent": 100, "after_seconds": 7200}]
        one = self.read(document(release("1.1", waves=waves))).releases[0]
        machines = [f"{number:032x}" for number in range(2000)]
        shares = [sum(one.admits(machine, EPOCH + after) for machine in machines) / len(machines) for after in (-1, 0, 3600, 7200)]
        for found, expected in zip(shares, (0.0, 0.1, 0.5, 1.0)):
            self.assertAlmostEqual(found, expected, delta=0.04)
        self.assertNotEqual([plan.wave_place(m, "1.1") for m in machines], [plan.wave_place(m, "1.2") for m in machines])
        late = next(machine for machine in machines if plan.wave_place(machine, "1.1") >= 50)
        choice = plan.choose(self.read(document(release("1.1", waves=waves))), "stable", "", 0, late, EPOCH)
        self.assertEqual(choice, plan.Choice(None, "version 1.1 comes to this host in 120 minutes"))

    def test_the_place_is_sha256_of_machine_id_and_version_modulo_100(self) -> None:
        # sha256sum of the text, as one number: python3 -c 'print(int(HEX, 16) % 100)'.
        import hashlib

        self.assertEqual(plan.wave_place(MACHINE, "1.1"), int(hashlib.sha256(f"{MACHINE}1.1".encode()).hexdigest(), 16) % 100)

    def test_tampering_is_refused_and_named(self) -> None:
        good = signed_plan(document(release("1.1")), self.key)
        outer = json.loads(good)
        payload = base64.b64decode(outer["payload"])
        rows = [
            (signed_plan(document(release("1.1")), self.other), "not signed"),
            (json.dumps({**outer, "payload": base64.b64encode(payload.replace(b"1.1", b"6.6")).decode()}), "none of its 1 signatures"),
            (json.dumps({**outer, "payload": outer["payload"] + "\n"}), ""),
            (json.dumps({**outer, "signatures": []}), "not signed"),
            (json.dumps({**outer, "signatures": [{**outer["signatures"][0], "signature": "AAAA"}]}), "expected 64 bytes"),
            (json.dumps({**outer, "signatures": [{**outer["signatures"][0], "key": "!"}]}), "not base64"),
            (good[:-1], ""),
            (b"[" * 100_000, ""),
            (b"\xff", ""),
            (b'{"payload": "", "payload": "", "signatures": []}', "two times"),
        ]
        for data, expected in rows:
            with self.assertRaises(HostError, msg=expected) as caught:
                self.read(data if isinstance(data, bytes) else data.encode())
            self.assertEqual(caught.exception.code, REFUSED)
            self.assertIn("release plan", caught.exception.message)
            self.assertIn(expected, caught.exception.message)
            self.assertTrue(caught.exception.message.endswith("the host is unchanged"))

    def test_signed_nonsense_is_refused_too(self) -> None:
        for text in (
            [], {}, {"schema": 2, "serial": 1, "refs": {}}, {"schema": 1, "serial": True, "refs": {}}, {"schema": 1, "serial": 1, "refs": {}},
            document(release("1.1", waves=[{"percent": 101, "after_seconds": 0}])), document(release("1.1", waves=3)), document(release("1.1", paused=1)),
            document(release("1.1"), release("1.1")), document({**release("1.1"), "commit": "abc"}), document({**release("1.1"), "published": "1"}),
        ):
            with self.assertRaises(HostError, msg=str(text)) as caught:
                self.read(text)
            self.assertEqual(caught.exception.check, "release plan")

    def test_a_channel_that_is_not_there_names_those_that_are(self) -> None:
        with self.assertRaises(HostError) as caught:
            plan.choose(self.read(document(release("1.1"))), "beta", "", 0, MACHINE, EPOCH)
        self.assertIn("no channel beta; channels: stable", caught.exception.message)


if __name__ == "__main__":
    unittest.main()
