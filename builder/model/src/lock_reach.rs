//! Whether a lock of the kernel keeps every writer out, also those on other machines.

use std::path::Path;

/// File systems of several machines whose `flock` may hold on this machine alone (`linux/magic.h`): FUSE (sshfs, virtiofs), 9p, SMB, VirtualBox's and
/// VMware's shared folders. NFS is not among them: since Linux 2.6.12 its server holds these locks.
const LOCAL_LOCKS: [u32; 7] = [0x6573_5546, 0x0102_1997, 0xff53_4d42, 0xfe53_4d42, 0x517b, 0x786f_4256, 0xbacb_acbc];

/// Where this is false, a file that nobody here holds locked may still be in use on another machine: nothing may be swept.
pub(crate) fn locks_reach_every_writer(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|found| is_reached(found.f_type as u32))
}

fn is_reached(kind: u32) -> bool {
    !LOCAL_LOCKS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_of_one_machine_and_nfs_are_swept() {
        // ext4, tmpfs, overlay, btrfs, xfs, nfs.
        for kind in [0xef53, 0x0102_1994, 0x794c_7630, 0x9123_683e, 0x5846_5342, 0x6969] {
            assert!(is_reached(kind), "{kind:#x}");
        }
        for kind in LOCAL_LOCKS {
            assert!(!is_reached(kind), "{kind:#x}");
        }
        let folder = tempfile::tempdir().unwrap();
        assert!(locks_reach_every_writer(folder.path()));
        assert!(!locks_reach_every_writer(&folder.path().join("absent")));
    }
}
