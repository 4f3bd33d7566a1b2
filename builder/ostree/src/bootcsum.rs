//! The kernel of a tree, and the checksum that names its folder on the boot filesystem (libostree `ostree-sysroot-deploy.c`,
//! `get_kernel_from_tree_usrlib_modules`): the SHA-256 of the kernel's bytes followed by the initramfs's.

use crate::commit::stored_xattrs;
use model::tree::{Attributes, FileTree, NodeKind};
use model::{Blob, Digest, Error, Hasher, Result, ResultJudged};

/// One file that goes to the boot filesystem.
#[derive(Debug, Clone)]
pub struct BootFile {
    /// Its name there.
    pub name: String,
    pub content: Blob,
    pub attributes: Attributes,
}

#[derive(Debug, Clone)]
pub struct Kernel {
    /// The folder's name below /usr/lib/modules.
    pub version: String,
    pub bootcsum: Digest,
    pub vmlinuz: BootFile,
    pub initramfs: Option<BootFile>,
    /// What FIPS mode checks the kernel against; not part of the checksum.
    pub hmac: Option<BootFile>,
}

impl Kernel {
    /// Exactly one folder below /usr/lib/modules may hold a `vmlinuz`.
    pub fn find(tree: &FileTree) -> Result<Kernel> {
        let modules = "/usr/lib/modules";
        let entries = tree.get(&model::ImagePath::parse(modules)?);
        let mut versions = Vec::new();
        for (name, id) in entries.into_iter().flat_map(|id| tree.children(id)) {
            if tree.child(id, b"vmlinuz").is_some() {
                let name = std::str::from_utf8(name)
                    .none_because("the caller's sentence says what a kernel's version is")
                    .filter(|n| !n.contains(char::is_whitespace));
                versions.push(
                    name.ok_or_else(|| Error::integrity(format!("expected a kernel version without spaces below {modules}")))?.to_owned(),
                );
            }
        }
        let version = match versions.as_slice() {
            [one] => one.clone(),
            [] => {
                return Err(
                    Error::integrity(format!("no kernel: expected {modules}/VERSION/vmlinuz")).hint("is a kernel package installed?")
                );
            }
            many => return Err(Error::integrity(format!("expected one kernel below {modules}, found {}", many.join(", ")))),
        };
        let folder = format!("{modules}/{version}");
        for other in ["devicetree", "dtb"] {
            if tree.at(&format!("{folder}/{other}")).is_some() {
                return Err(Error::integrity(format!("{folder}/{other}: kernels with device trees are not supported")));
            }
        }
        let vmlinuz = boot_file(tree, &format!("{folder}/vmlinuz"), format!("vmlinuz-{version}"))?
            .ok_or_else(|| Error::internal(format!("{folder}/vmlinuz vanished")))?;
        let initramfs = boot_file(tree, &format!("{folder}/initramfs.img"), format!("initramfs-{version}.img"))?;
        let hmac = boot_file(tree, &format!("{folder}/.vmlinuz.hmac"), format!(".vmlinuz-{version}.hmac"))?;
        let mut hasher = Hasher::new();
        for file in [Some(&vmlinuz), initramfs.as_ref()].into_iter().flatten() {
            file.content.for_each_window(|bytes| {
                hasher.update(bytes);
                Ok(())
            })?;
        }
        Ok(Kernel { version, bootcsum: hasher.finish(), vmlinuz, initramfs, hmac })
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &BootFile> {
        [Some(&self.vmlinuz), self.initramfs.as_ref(), self.hmac.as_ref()].into_iter().flatten()
    }
}

fn boot_file(tree: &FileTree, path: &str, name: String) -> Result<Option<BootFile>> {
    let Some(inode) = tree.at(path) else { return Ok(None) };
    match &inode.kind {
        NodeKind::File(content) => {
            // libostree gives files of its own time 0; here the boot filesystem has no link to the object, but keeps its attributes.
            let attributes =
                Attributes { mtime: 0, immutable: false, xattrs: stored_xattrs(&inode.attributes), ..inode.attributes.clone() };
            Ok(Some(BootFile { name, content: content.clone(), attributes }))
        }
        other => Err(Error::integrity(format!("expected a file at {path}, found a {}", other.name()))),
    }
}
