//! The last step before sealing: what must not be in an image, and times that say nothing.

use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{ImagePath, Result, SourceDateEpoch};

/// Secrets and identities that every host makes for itself at first boot.
const ABSENT: &[&str] = &[
    "/etc/hostname",
    "/var/lib/systemd/random-seed",
    "/etc/machine-info",
    "/etc/.pwd.lock",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
];

/// Removes host identity, leaves an empty machine-id, clamps every time to the epoch. Runs before the OSTree shape is applied.
pub fn apply(tree: &mut FileTree, epoch: SourceDateEpoch) -> Result<()> {
    for path in ABSENT {
        tree.remove(&ImagePath::parse(path)?);
    }
    let ssh = ImagePath::parse("/etc/ssh")?;
    if let Some(id) = tree.get(&ssh) {
        let keys: Vec<Vec<u8>> = tree.children(id).map(|(name, _)| name.to_vec()).filter(|name| name.starts_with(b"ssh_host_")).collect();
        for key in keys {
            tree.remove(&ssh.join(key)?);
        }
    }
    let machine_id = Inode::file(Vec::new(), Attributes::at(epoch, 0o444));
    tree.insert(&ImagePath::parse("/etc/machine-id")?, machine_id, Edit::Replace)?;
    clamp(tree, epoch);
    Ok(())
}

/// No time before 1970 nor after the epoch.
pub fn clamp(tree: &mut FileTree, epoch: SourceDateEpoch) {
    for entry in tree.walk() {
        let time = &mut tree.inode_mut(entry.id).attributes.mtime;
        *time = (*time).clamp(0, i64::from(epoch.0));
    }
}
