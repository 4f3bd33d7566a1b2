//! The EFI System Partition: the loader under the name that firmware tries without any boot variable.

use filesystems::fat;
use model::tree::{Attributes, Edit, FileTree, Inode};
use model::{Arch, Blob, ByteSize, ImagePath, ImageSeed, Result, Segments, SourceDateEpoch};

/// The folder in which firmware looks for a loader (UEFI specification §3.5.1.1).
const FOLDER: &str = "/EFI/BOOT";

/// What firmware finds.
#[derive(Debug, Clone)]
pub struct EspFiles {
    /// The loader, or a shim that starts one of `others`.
    pub loader: Blob,
    /// Path and content of further files, such as the loader behind a shim.
    pub others: Vec<(ImagePath, Blob)>,
}

/// Plans the volume, labelled `EFI-SYSTEM` as fstab expects it, on a disk with sectors of `sector` bytes.
pub fn esp(files: EspFiles, size: ByteSize, sector: u64, seed: &ImageSeed, epoch: SourceDateEpoch) -> Result<Segments> {
    let mut tree = FileTree::new();
    let loader = ImagePath::parse(FOLDER)?.join(Arch::TARGET.efi_loader())?;
    for (path, content) in std::iter::once((loader, files.loader)).chain(files.others) {
        tree.insert(&path, Inode::file(content, Attributes::root(0o644)), Edit::Create)?;
    }
    let id = seed.derive("esp-volume-id");
    let volume_id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
    fat::plan(&tree, &fat::Options { label: "EFI-SYSTEM".into(), volume_id, epoch, size: size.0, sector })
}
