//! The free space that an upgrade will need: it brings a third tree beside the two deployments and a third kernel into /boot before anything is
//! removed.

use filesystems::ext4;
use model::tree::{FileTree, NodeKind};
use model::{ByteSize, ImagePath, Result, Segments};
use ostree::Commit;

/// Blocks of the filesystems.
const BLOCK: u64 = 4096;
/// libostree writes no object that would leave less of the filesystem free (`core.min-free-space-percent`).
const KEPT_FREE_PERCENT: u64 = 3;

/// What one filesystem has and would need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Balance {
    size: u64,
    free: u64,
    need: u64,
}

/// A sentence for each filesystem that is too small for an upgrade to a tree like this one that shares nothing with it.
pub fn shortages(boot: &Segments, root: &Segments, commit: &Commit, tree: &FileTree) -> Result<Vec<String>> {
    let (tree_size, kernel) = (tree_size(commit, tree), kernel_size(tree)?);
    let kept = root.size() / 100 * KEPT_FREE_PERCENT;
    let mut out = Vec::new();
    let boot = Balance { size: boot.size(), free: free(boot)?, need: kernel };
    if boot.free < boot.need {
        out.push(format!("/boot {}: a third kernel with its initramfs; raise [disk] boot", boot.short()));
    }
    let root = Balance { size: root.size(), free: free(root)?, need: tree_size + kept };
    if root.free < root.need {
        out.push(format!(
            "the root filesystem {}: a third tree of {}, and {KEPT_FREE_PERCENT} % that libostree keeps free; raise [disk] reserve or size",
            root.short(),
            ByteSize(tree_size)
        ));
    }
    Ok(out)
}

impl Balance {
    fn short(&self) -> String {
        format!("of {} has {} free, an upgrade needs up to {}", ByteSize(self.size), ByteSize(self.free), ByteSize(self.need))
    }
}

/// As the superblock will say.
fn free(filesystem: &Segments) -> Result<u64> {
    let read = |offset: u64, buffer: &mut [u8]| filesystem.read_at(buffer, offset).map(drop);
    Ok(ext4::Reader::open(&read)?.free())
}

/// Blocks of all contents, of each directory in the deployment and of its object in the repository.
fn tree_size(commit: &Commit, tree: &FileTree) -> u64 {
    let content = |id| match &tree.inode(id).kind {
        NodeKind::File(content) => content.len().next_multiple_of(BLOCK),
        _ => 0,
    };
    let contents: u64 = commit.distinct_contents(tree).into_values().map(content).sum();
    let directories = tree.walk().iter().filter(|entry| tree.inode(entry.id).is_directory()).count() as u64;
    let objects = (commit.dirtrees.len() + commit.dirmetas.len()) as u64;
    contents + (directories + objects) * BLOCK
}

/// What a deployment puts into /boot: kernels and their initramfs, and a directory.
fn kernel_size(tree: &FileTree) -> Result<u64> {
    let Some(modules) = tree.walk_from(&ImagePath::parse("/usr/lib/modules")?) else { return Ok(0) };
    let size = |id| match &tree.inode(id).kind {
        NodeKind::File(content) => content.len().next_multiple_of(BLOCK),
        _ => 0,
    };
    let booted = modules.iter().filter(|e| matches!(e.path.name(), Some(b"vmlinuz" | b"initramfs.img" | b"devicetree")));
    Ok(booted.map(|e| size(e.id)).sum::<u64>() + BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::SourceDateEpoch;
    use model::tree::{Attributes, Edit, Inode};
    use ostree::{CommitMeta, commit};

    #[test]
    fn a_shortage_is_told_with_its_numbers_and_room_is_not() {
        let mut tree = FileTree::new();
        for (path, size) in
            [("/usr/lib/modules/6/vmlinuz", 3 << 20), ("/usr/lib/modules/6/initramfs.img", 5 << 20), ("/usr/bin/x", 20 << 20)]
        {
            tree.insert(&ImagePath::parse(path).unwrap(), Inode::file(vec![7; size], Attributes::root(0o644)), Edit::Create).unwrap();
        }
        let epoch = SourceDateEpoch(1_700_000_000);
        let meta = CommitMeta { subject: String::new(), body: String::new(), parent: None, epoch, metadata: Default::default() };
        let commit = commit(&tree, &meta).unwrap();
        let told = |boot: u64, reserve: u64| {
            let volume = |reserve| {
                let options = ext4::Options { reserve, ..ext4::Options::new("x", [1; 16], epoch) };
                ext4::plan(&FileTree::new(), &options).unwrap()
            };
            shortages(&volume(boot), &volume(reserve), &commit, &tree).unwrap()
        };
        assert_eq!(told(9 << 20, 40 << 20), Vec::<String>::new());
        let both = told(7 << 20, 28 << 20);
        assert!(both[0].starts_with("/boot of ") && both[0].contains("an upgrade needs up to 8.0 MiB: a third kernel"), "{both:?}");
        assert!(both[1].contains("a third tree of 28.1 MiB, and 3 % that libostree keeps free"), "{both:?}");
        assert_eq!(told(9 << 20, 28 << 20).len(), 1);
    }
}
