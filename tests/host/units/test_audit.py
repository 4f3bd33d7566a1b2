"""`atomic host audit` on a host in a folder: everything holds, then one thing at a time does not."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from typing import Callable, Optional
from unittest import mock

import server  # noqa: F401  # pylint: disable=unused-import

from atomic_host import audit, status
from atomic_host.layout import Layout, write_state
from test_trial import tree

CHAIN = "table inet atomic {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\t}\n}\n"
SSHD = "permitrootlogin no\npasswordauthentication no\npermitemptypasswords no\nx11forwarding no\n"
FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/bash\ncore:x:1000:1000::/home/core:/bin/bash\n",
    "etc/shadow": "root:!*:1::::::\ncore:$y$hash:1::::::\ndaemon:*:1::::::\n",
    "etc/ssh/ssh_host_ed25519_key": "a test's own, without a key in it\n",
    "etc/selinux/config": "SELINUX=enforcing\n",
    "sys/fs/selinux/enforce": "1",
    "usr/share/atomic-image/firewall.nft": "",
    "usr/lib/sysctl.d/90-atomic-image.conf": "# The recipe's [tuning].\nkernel.kptr_restrict = 2\nnet/ipv4/conf/eth0.7/forwarding = 0\nkernel.pid_max = 4 5\nno.such.key = 1\n",
    "proc/sys/kernel/kptr_restrict": "2\n",
    "proc/sys/net/ipv4/conf/eth0.7/forwarding": "0\n",
    "proc/sys/kernel/pid_max": "4\t5\n",
    "proc/self/mounts": "tmpfs /tmp tmpfs rw,nosuid,nodev 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n",
    "usr/bin/docker": "",
    "run/docker.sock": "",
    "var/log/text": "",
}
PRIVATE = ("etc/shadow", "etc/ssh/ssh_host_ed25519_key", "run/docker.sock")


class Audit(unittest.TestCase):
    """One host for each test."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.layout = Layout.below(self.root, self.root)
        for name, content in FILES.items():
            self.write(name, content)
        for name in PRIVATE:
            (self.root / name).chmod(0o640)
        write_state(self.layout.update_source, {"remote": "atomic"})
        self.programs: dict[str, Optional[str]] = {
            "sshd": SSHD, "nft": CHAIN, "systemctl": "", "docker": '["name=seccomp,profile=builtin","name=selinux","name=cgroupns"]',
        }
        self.signature = "valid"

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)

    def rows(self) -> dict[str, audit.Found]:
        read_only = os.statvfs_result((4096, 4096, 1, 1, 1, 1, 1, 1, os.ST_RDONLY, 255))
        with (
            mock.patch.object(audit.Host, "said", lambda _, *words: self.programs[words[0]]),
            mock.patch.object(status, "require_booted", lambda _: tree("a", "1.0")),
            mock.patch.object(status, "signature", lambda *_: {"state": self.signature, "key": None}),
            mock.patch.object(audit.os, "statvfs", lambda _: read_only),
        ):
            found = audit.collect(self.layout)
        self.text = audit.text(found)
        self.assertEqual(found["failed"], sum(row["holds"] is False for row in found["checks"]))
        return {row["name"]: audit.Found(row["holds"], row["detail"]) for row in found["checks"]}

    def test_a_host_as_it_was_made_holds(self) -> None:
        self.assertEqual({name: found for name, found in self.rows().items() if found != audit.HOLDS}, {})
        self.assertTrue(self.text.endswith(f"\n{len(audit.CHECKS)} of {len(audit.CHECKS)} hold, 0 do not apply\n"), self.text)

    def test_each_fault_is_found_and_named(self) -> None:
        def file(name: str, content: str) -> Callable[[], None]:
            return lambda: self.write(name, content)

        def mode(name: str, bits: int) -> Callable[[], None]:
            return lambda: (self.root / name).chmod(bits)

        def program(name: str, said: Optional[str]) -> Callable[[], None]:
            return lambda: self.programs.update({name: said})

        faults: list[tuple[str, Callable[[], None], str]] = [
            ("root-locked", file("etc/shadow", "root:$y$hash:1::::::\n"), "root has a password"),
            ("no-empty-password", file("etc/shadow", "root:!:1::::::\ncore::1::::::\n"), "core has an empty password"),
            ("one-superuser", file("etc/passwd", "root:x:0:0::/:/\ntoor:x:0:0::/:/\n"), "toor has user id 0"),
            ("private-secrets", mode("etc/shadow", 0o644), "/etc/shadow has mode 0644"),
            ("private-secrets", mode("etc/ssh/ssh_host_ed25519_key", 0o660), "/etc/ssh/ssh_host_ed25519_key has mode 0660"),
            ("ssh", program("sshd", SSHD.replace("rootlogin no", "rootlogin prohibit-password")), "permitrootlogin is prohibit-password"),
            ("selinux", file("sys/fs/selinux/enforce", "0"), "SELinux is permissive"),
            ("selinux", lambda: (self.root / "sys/fs/selinux/enforce").unlink(), "the kernel runs without SELinux"),
            ("firewall", program("nft", None), "the table inet atomic is not loaded"),
            ("firewall", program("nft", CHAIN.replace("drop", "accept")), "does not drop by default"),
            ("kernel-settings", file("proc/sys/kernel/kptr_restrict", "0\n"), "kernel.kptr_restrict is 0, not 2"),
            ("kernel-settings", file("proc/sys/net/ipv4/conf/eth0.7/forwarding", "1\n"), "net/ipv4/conf/eth0.7/forwarding is 1, not 0"),
            ("temporary-folders", file("proc/self/mounts", "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n"), "/tmp is not a tmpfs"),
            ("temporary-folders", file("proc/self/mounts", "t /tmp tmpfs nosuid 0 0\nt /dev/shm tmpfs nosuid,nodev 0 0\n"), "/tmp is mounted without nodev"),
            ("no-set-id", mode("var/log/text", 0o4755), "/var/log/text has a set-id bit"),
            ("no-public-file", mode("etc/passwd", 0o666), "/etc/passwd is writable by everybody"),
            ("units", program("systemctl", "sshd.service loaded failed failed OpenSSH\n"), "sshd.service failed"),
            ("signed-tree", lambda: setattr(self, "signature", "unsigned"), "the running tree is not signed"),
            ("containers", program("docker", '["name=seccomp,profile=builtin"]'), "docker runs without selinux"),
            ("docker-socket", mode("run/docker.sock", 0o666), "/run/docker.sock has mode 0666"),
        ]
        for name, spoil, detail in faults:
            with self.subTest(detail):
                spoil()
                rows = self.rows()
                self.assertIs(rows[name].holds, False)
                self.assertIn(detail, rows[name].detail)
                self.assertIn("FAILED ", self.text)
                self.doCleanups()
                self.setUp()
        self.assertEqual({name for name, _, _ in audit.CHECKS} - {name for name, _, _ in faults}, {"read-only-usr"})

    def test_a_writable_usr_is_found(self) -> None:
        self.assertIs(audit.usr_is_read_only(audit.Host(Layout.below(self.root, self.root))).holds, bool(os.statvfs(self.root).f_flag & os.ST_RDONLY))

    def test_what_a_host_does_not_have_is_no_fault(self) -> None:
        for name in ("etc/selinux/config", "usr/share/atomic-image/firewall.nft", "usr/lib/sysctl.d/90-atomic-image.conf", "usr/bin/docker", "run/docker.sock"):
            (self.root / name).unlink()
        write_state(self.layout.update_source, {"remote": None})
        self.programs.update(sshd=None, systemctl=None)
        rows = self.rows()
        absent = {name for name, found in rows.items() if found.holds is None}
        self.assertEqual(absent, {"selinux", "firewall", "kernel-settings", "containers", "docker-socket", "signed-tree", "ssh", "units"})
        self.assertTrue(all(found.holds is not False for found in rows.values()), rows)

    def test_files_of_containers_and_links_are_not_the_hosts(self) -> None:
        self.write("var/lib/docker/overlay2/a/su", "")
        (self.root / "var/lib/docker/overlay2/a/su").chmod(0o4777)
        (self.root / "etc/link").symlink_to("/nowhere")
        rows = self.rows()
        self.assertEqual((rows["no-set-id"], rows["no-public-file"]), (audit.HOLDS, audit.HOLDS))


if __name__ == "__main__":
    unittest.main()
